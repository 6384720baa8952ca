// SPDX-License-Identifier: MIT
/* exchange.h - exchanges, bindings, and where a message goes.
 *
 * Private to the core.  The default exchange "" is no object: its routing key
 * is the queue's name.  A message goes to a queue once per publish, however
 * many bindings match.  Cycles of exchange-to-exchange bindings and of alternate
 * exchanges end at the second visit.
 *
 * Owner: the vhost's maps own exchanges, an exchange owns the bindings that
 * leave it. */
#ifndef CORE_EXCHANGE_H
#define CORE_EXCHANGE_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "broker/core/core.h"
#include "broker/core/headers_match.h"

struct queue;
struct trie;
struct vhost;

/* Names and routing keys are short strings on the wire (AMQP 0-9-1 4.2.5.3), so
 * a key has at most 256 words. */
enum { TOPOLOGY_NAME_MAX_BYTES = 255, TOPOLOGY_ARGUMENTS_MAX_BYTES = 64 * 1024 };

enum exchange_type { EXCHANGE_DIRECT, EXCHANGE_FANOUT, EXCHANGE_TOPIC, EXCHANGE_HEADERS };

struct exchange {
    uint64_t id;
    struct vhost *vhost;
    char *name;
    enum exchange_type type;
    bool durable, auto_delete, internal, predeclared;
    bool delayed;    /* declared as x-delayed-message; `type` routes what is due */
    char *alternate; /* NULL: none */
    struct buf arguments;
    struct list bindings;  /* struct binding.in_exchange: all that leave it */
    struct list inbound;   /* struct binding.in_target: all that lead to it */
    struct map bound;      /* identity -> struct binding: each once */
    struct map direct;     /* routing key -> first of the bindings with it (direct) */
    struct trie *topic;    /* (topic) */
    uint64_t visited;      /* serial of the routing pass that came here last */
    struct exchange *next; /* to be looked at after this one, in a pass or a removal */
};

struct binding {
    uint64_t id; /* of its row; 0: not durable */
    struct exchange *exchange;
    struct queue *queue; /* target: one of the two */
    struct exchange *to;
    struct list in_exchange, in_target;
    struct binding *next_same, *prev_same; /* same key (direct) or same pattern (topic) */
    enum headers_match match;              /* (headers) */
    uint32_t key_at, key_n, bytes_n;
    uint8_t bytes[]; /* id of the target, key, arguments in order of name */
};

/* What it is, each once an exchange. */
static inline struct bytes binding_identity(const struct binding *b)
{
    return bytes_of(b->bytes, b->bytes_n);
}

static inline struct bytes binding_key(const struct binding *b)
{
    return bytes_of(b->bytes + b->key_at, b->key_n);
}

static inline struct bytes binding_arguments(const struct binding *b)
{
    return bytes_from(binding_identity(b), b->key_at + b->key_n);
}

/* The queues that a message goes to; scratch of the core, reused. */
struct routed {
    struct queue **queue;
    size_t count, cap;
    uint64_t serial; /* rises with every pass; queue->routed == serial: already in */
    struct header_index headers;
};

/* Adds to `r` unless it is there. */
void routed_add(struct routed *r, struct queue *q);
void routed_fini(struct routed *r);

/* Fills c->routed from the exchange, its alternate included.  `headers` is the
 * message's table.  With CC and BCC in it, their keys too (RabbitMQ's
 * sender-selected distribution). */
void exchange_route(struct core *c, struct exchange *x, struct bytes routing_key,
                    struct bytes headers);
/* The same from the default exchange. */
void exchange_route_default(struct core *c, const struct vhost *v, struct bytes routing_key,
                            struct bytes headers);

struct exchange *exchange_find(const struct vhost *v, struct bytes name);

/* The predeclared ones: amq.direct amq.fanout amq.topic amq.headers amq.match.
 * They are not stored, but bindings are that name them, so their ids are fixed:
 * see PREDECLARED_IDS in exchange.c.  Call it before bindings are recovered. */
void exchange_predeclare(struct core *c, struct vhost *v);

/* A queue goes: its bindings go, and auto-delete exchanges that lose their last. */
void exchange_unbind_queue(struct core *c, struct queue *q);

/* Takes the exchange away with its bindings and its row, and the auto-delete
 * exchanges that lose their last binding by that. */
void exchange_remove(struct core *c, struct exchange *x);
/* Auto-delete, and its last binding just went. */
bool exchange_left(const struct exchange *x);

/* Recovery.  A row that names what is not there is logged and passed over. */
void exchange_recover(struct core *c, const struct def_exchange *d);
void binding_recover(struct core *c, const struct def_binding *d);

/* Out of the maps, with the bindings from it and to it; no ops.  Before the queues
 * that it leads to are freed. */
void exchange_free(struct core *c, struct exchange **x);

/* Takes it out of exchange and target and frees it; no op. */
void binding_free(struct core *c, struct binding **b);
/* The same, with its row. */
void binding_remove(struct core *c, struct binding *b);

#endif
