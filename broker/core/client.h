// SPDX-License-Identifier: MIT
/* client.h - who talks to the core: a connection or a channel, its consumers,
 * what it has unacked, and the confirms it waits for.  Private to the core.
 *
 * Owner: core->clients and core->consumers own the objects; ids name them. */
#ifndef CORE_CLIENT_H
#define CORE_CLIENT_H

#include "base/list.h"
#include "broker/core/core.h"

struct batch;
struct queue;
struct may;
struct span;
struct user;
struct vhost;
struct vhost_permission;

/* One unacked delivery.  span NULL: settled, its place not yet reclaimed. */
struct delivery {
    uint64_t tag, seq;
    struct span *span;
    struct consumer *consumer; /* NULL: by basic.get, or the consumer went */
    uint32_t slot, bytes;
};

/* Unacked deliveries in order of tag: a ring with holes.  A hole costs until
 * the ring is full, then holes are squeezed out, so memory follows what is
 * really unacked however long one of them stays. */
struct ledger {
    struct delivery *ring;
    uint32_t cap, head, used; /* places, holes included */
    uint32_t live;
    uint64_t next_tag; /* from 1 */
};

struct consumer {
    consumer_id id;
    uint64_t handle;
    struct client *client;
    struct queue *queue;
    struct list in_client, in_queue, in_able;
    struct ledger *ledger; /* own, or &client->ledger */
    bool no_ack, exclusive, own_ledger, able;
    uint32_t prefetch, unacked;
    int32_t priority;
};

/* Confirms up to `last` wait for commit `commit`. */
struct held {
    uint64_t commit, last;
    bool refused;
};

/* A basic.get that waits for a batch to be loaded. */
struct get {
    struct list in_queue, in_client;
    struct client *client;
    uint64_t handle;
    bool no_ack;
};

struct client {
    client_id id;
    void *owner;
    struct vhost *vhost;
    struct user *user;                   /* that it acts for; NULL: the broker itself */
    struct vhost_permission *permission; /* of that user here; NULL: none, or not looked up yet */
    struct may *may;                     /* NULL: no pattern was asked yet */
    uint64_t permissions_seen;           /* core->permission_changes as of then */
    struct list consumers;               /* struct consumer.in_client */
    struct list gets;                    /* struct get.in_client */
    struct list writing;                 /* struct blob.in_writer: not yet published */
    struct list reading;                 /* struct reading.in_client: being sent to it */
    struct list exclusive;               /* struct queue.in_owner: of a connection */
    client_id connection; /* owns what it declares exclusive; itself, unless it was joined */
    uint32_t joined;      /* clients that belong to this connection */
    struct ledger ledger;
    size_t room;
    bool starved; /* some consumer found no room */
    uint32_t prefetch, unacked, unacked_max;
    uint32_t deferred;                   /* rejections that wait to be dead-lettered */
    uint64_t last_commit;                /* commit that holds its latest doing */
    uint64_t confirm_next, confirm_done; /* numbers given, numbers told */
    struct held *held;                   /* ring */
    uint32_t held_cap, held_head, held_count;
    struct list in_holding;
};

struct client *client_get(const struct core *c, client_id id); /* CHECKs that it is there */

/* Exclusive to another connection than this client's? */
bool client_locked_out(const struct client *cl, const struct queue *q);

/* This client's doing is part of the commit being gathered. */
void client_did(struct core *c, struct client *cl);

/* The newest deferred doing of the batch is this client's: its confirms from now
 * on wait until it is done. */
void client_defer(struct client *cl, struct batch *b);
void client_deferred_done(struct core *c, client_id id);

/* Tells every confirm whose commit is done. */
void client_release_confirms(struct core *c, struct client *cl);

/* Credit that its consumers share came or went: looks at each. */
void client_update_consumers(struct core *c, struct client *cl);

/* Has credit: may be given a message of `bytes`? */
bool consumer_able(const struct consumer *k);
/* Puts it on or off its queue's list of able consumers as its credit says. */
void consumer_update(struct core *c, struct consumer *k);

/* One delivery settled: gives back credit, says what becomes of the message. */
void delivery_settle(struct core *c, struct client *cl, struct ledger *l, struct delivery *d,
                     enum settle how);

/* Everything unacked in the ledger goes back to its place. */
void ledger_return(struct core *c, struct client *cl, struct ledger *l);

/* Delivers the slot (ready, content in memory) to the consumer. */
void consumer_deliver(struct core *c, struct consumer *k, struct span *s, uint32_t slot);

/* The same for a basic.get; frees it. */
void get_deliver(struct core *c, struct get *g, struct span *s, uint32_t slot);
void get_end(struct get *g);

/* Ends it: with a ledger of its own its unacked go back.  `tell`: EFFECT_CANCELLED. */
void consumer_end(struct core *c, struct consumer *k, bool tell);

/* Appends `d` under the next tag, which is returned. */
uint64_t ledger_add(struct ledger *l, const struct delivery *d);
struct delivery *ledger_find(const struct ledger *l, uint64_t tag); /* NULL: none */
struct delivery *ledger_first(const struct ledger *l);              /* oldest live, or NULL */
/* The next live one after `d`, or NULL. */
struct delivery *ledger_next(const struct ledger *l, const struct delivery *d);
void ledger_remove(struct ledger *l, struct delivery *d);
void ledger_fini(struct ledger *l);

#endif
