// SPDX-License-Identifier: MIT
/* queue.h - a queue is an ordered run of spans.
 *
 * Private to the core.  A *span* is what one batch holds for one queue (and one
 * priority): a run of slots in ascending seq.  It stays when the batch's content
 * is written out and dropped from memory, so it is small.  A *lane* is the list
 * of spans of one priority, in order of seq; a message that comes back has its
 * place, for its slot only turns ready again.
 *
 * Slot states are bits of the batch: settled, taken (delivered and unacked), and
 * neither: ready.
 *
 * Owner: vhost->queues owns queues; a batch owns its spans.  When a queue goes,
 * spans with taken slots stay until those come back, with span->queue NULL. */
#ifndef CORE_QUEUE_H
#define CORE_QUEUE_H

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "broker/core/core.h"
#include "broker/core/deadletter.h"
#include "broker/core/queue_args.h"

struct client;
struct consumer;
struct note;
struct vhost;

struct span {
    struct list in_lane;
    struct batch *batch;
    struct queue *queue; /* NULL: the queue went */
    uint64_t first_seq, last_seq;
    uint64_t live_bytes;
    struct due *due; /* has slots with at_ms; NULL: none */
    uint32_t group;  /* its number in the batch */
    uint32_t first_slot, count;
    uint32_t live, taken; /* not settled; of these unacked */
    uint32_t cursor;      /* no ready slot lies before it; SLOT_NONE: none at all */
    uint8_t priority;
    bool purge; /* cold, and to be purged once its content is here */
};

/* A span with slots that expire or fall due, in core->due by the earliest. */
struct due {
    struct heap_node node;
    struct span *span;
};

struct lane {
    struct list spans;
    struct span *head;    /* no span before it has a ready slot; NULL: none has */
    struct span *open[2]; /* in the open batch: durable, transient */
};

struct queue {
    /* What every publish touches, side by side. */
    uint64_t routed;               /* see struct routed */
    const struct queue_args *args; /* shared by all that were declared alike */
    uint64_t next_seq, ready, ready_bytes;
    struct list dirty; /* in core->dirty */
    bool durable, auto_delete, exclusive, delay;
    bool consumed;          /* stored: a consumer was attached since a clean stop */
    bool maybe_redelivered; /* recovered after a crash with a consumer attached */
    bool waiting;           /* for a batch to be loaded */
    bool deleted;
    bool count_anew; /* x-expires counts from the next turn */

    uint64_t id;
    struct vhost *vhost;
    char *name;             /* behind the lanes */
    client_id owner;        /* exclusive: the connection */
    uint64_t recovered_seq; /* seq below it: from an earlier run */
    uint64_t unacked;
    struct list consumers;    /* struct consumer.in_queue, in order of arrival */
    struct list able;         /* struct consumer.in_able: have credit; highest priority first */
    struct list gets;         /* struct get: basic.get waiting */
    struct list bindings;     /* struct binding.in_target */
    struct list in_owner;     /* exclusive: in the client's list */
    struct heap_node timer;   /* x-expires, in core->timers */
    uint64_t consumed_commit; /* which stores `consumed` */
    uint64_t used_ms;         /* last declare, get or consumer */
    struct note *note;        /* NULL: none */
    uint32_t consumer_count;
    uint32_t merge_first, merge_last; /* compact_merge.c: SLOT_NONE between uses */
    struct lane lane[];               /* args->max_priority + 1, lowest first */
};

struct lane *queue_lane(struct queue *q, uint8_t priority);
struct queue *queue_find(const struct vhost *v, struct bytes name);

/* Something may be deliverable, expired or over a limit: look in this turn. */
void queue_touch(struct core *c, struct queue *q);

/* Appends one message.  `record` is in the open batch `b`. */
void queue_push(struct core *c, struct queue *q, struct batch *b, uint32_t record,
                const struct publish *p, uint64_t at_ms, uint8_t priority);

/* Would this message be refused (x-overflow reject-publish)? */
bool queue_refuses(const struct queue *q, uint64_t body_size);

/* The first ready slot, its content in memory; false: none, or it is being
 * loaded (then queue->waiting). */
bool queue_head(struct core *c, struct queue *q, struct span **span, uint32_t *slot);

/* The same among those that no consumer has received (core_received). */
bool queue_head_unreceived(struct core *c, struct queue *q, struct span **span, uint32_t *slot);

/* ready -> taken; taken -> ready; either -> settled.  `bytes` is the slot's: the
 * span may be cold. */
void queue_take(struct core *c, struct span *s, uint32_t slot, uint32_t bytes);
void queue_put_back(struct core *c, struct span *s, uint32_t slot, uint32_t bytes);
void queue_settle(struct core *c, struct span *s, uint32_t slot, uint32_t bytes, bool taken);

/* Away otherwise than by an ack: dead-lettered when the queue says so, then
 * settled.  False: it waits, for the content must be loaded first. */
bool queue_drop(struct core *c, struct span *s, uint32_t slot, uint32_t bytes, bool taken,
                enum death why);

/* Removes everything ready; returns how many.  What is on disk alone goes once it
 * is here; the client's confirms wait for that. */
uint64_t queue_purge(struct core *c, struct client *cl, struct queue *q);
/* The same for what the span holds; its content is here. */
void span_purge(struct core *c, struct span *s);

/* The queue goes, with bindings, consumers and messages. */
void queue_delete(struct core *c, struct queue *q);

/* Expiry, limits, deliveries: all that a dirty queue needs in a turn. */
void queue_service(struct core *c, struct queue *q);

/* Is there a row of it? */
static inline bool queue_stored(const struct queue *q)
{
    return q->durable && !q->exclusive;
}

/* Puts its row into the commit being gathered. */
void queue_store(struct core *c, struct queue *q);

/* x-expires counts from now when nobody uses the queue. */
void queue_used(struct core *c, struct queue *q);
/* Deletes the queues whose x-expires has passed. */
void queue_run_timers(struct core *c);

void queue_recover(struct core *c, const struct def_queue *d);
/* After all batches: orders spans, counts. */
void queue_recovered(struct core *c, struct queue *q);

/* The span holds nothing of its queue any more, or the queue goes. */
void span_unlink(struct core *c, struct span *s);

/* Its content is in memory again: what waited for that is done. */
void span_loaded(struct core *c, struct span *s);

/* Slots with a time: keeps the span on core->due by the earliest. */
void due_note(struct core *c, struct span *s, uint64_t at_ms);
void due_forget(struct core *c, struct span *s);
/* Expires and releases what is due. */
void due_run(struct core *c);

/* Routes a message that waited in a delay queue. */
void publish_due(struct core *c, struct span *s, uint32_t slot);

/* Where messages with a delay wait, of this vhost. */
struct queue *queue_delay(struct core *c, struct vhost *v);

/* Frees the object and its empty lanes; not its spans. */
void queue_free(struct core *c, struct queue **q);

#endif
