// SPDX-License-Identifier: MIT
/* retain.h - batches: which are in memory, which on disk, and what of them is done.
 *
 * Private to the core.  Life of a batch:
 *
 *     OPEN --seal--> SEALED --committed--> STORED --all settled--> row deleted
 *       |                                    |  ^
 *       | all settled: never written         v  | load
 *       +--> gone                        content dropped (cold)
 *
 * A transient batch is not sealed: it stays CLOSED in memory, and is spilled
 * (SEALED, STORED, marked transient) only when the budget asks for its room. */
#ifndef CORE_RETAIN_H
#define CORE_RETAIN_H

#include "base/list.h"
#include "base/map.h"
#include "broker/core/core.h"
#include "broker/core/deadletter.h"
#include "broker/core/queue.h"
#include "storage/batch.h"
#include "storage/record.h"

struct blob;

/* GONE: the row is deleted, somebody still holds unacked deliveries of it. */
enum batch_state { BATCH_OPEN, BATCH_CLOSED, BATCH_SEALED, BATCH_STORED, BATCH_GONE };

/* What is kept of a slot that was delivered and is not done: as on disk, but for the
 * death of it.  `received`: see core_received. */
struct returned {
    uint32_t slot;
    uint32_t count : 31;
    bool received : 1;
};

enum deferred_kind {
    DEFER_DROP,   /* a slot that is to be dead-lettered */
    DEFER_DEATH,  /* the same, found at a start: who was to drop it is not there any more */
    DEFER_RETURN, /* a slot that comes back to a span that is to be purged */
    DEFER_PURGE   /* what is ready in the span */
};

/* To be done, in order, when the batch's content is here. */
struct deferred {
    enum deferred_kind kind;
    struct span *span;
    uint32_t slot, bytes;
    bool taken;
    enum death why;
    client_id client; /* whose confirms wait for it; 0: none */
};

struct batch {
    uint64_t id;
    enum batch_state state;
    bool transient, loading, damaged, dirty;
    struct batch_content *content; /* NULL: cold */
    struct span first_span;        /* of group 0 */
    struct span **spans;           /* of the others: [i] has those from 2^i on; they do not move */
    uint32_t span_count, slot_count;
    uint32_t live, taken;          /* slots not settled; slots unacked (orphans too) */
    uint8_t *settled, *taken_bits; /* lazily made */
    size_t settled_cap, taken_cap; /* in bytes */
    struct returned *returned;     /* ascending by slot */
    size_t returned_count, returned_cap;
    struct blob *blob;         /* of its one message, or NULL */
    struct deferred *deferred; /* to be done once the content is loaded */
    size_t deferred_count, deferred_cap;
    uint32_t sealed_live;   /* live when it was sealed */
    size_t memory;          /* of content, as counted in the budget */
    struct list in_lru;     /* STORED with content: oldest use first */
    struct list in_dirty;   /* settled bits to write, or a row to delete */
    struct list in_compact; /* a candidate, see compact.h */
    enum { NOTED_NOT, NOTED_SMALL, NOTED_SPARSE } noted;
    bool pinned;                    /* being rewritten: not dropped from memory */
    uint8_t passes;                 /* so often was rewritten what it holds */
    bool shared;                    /* slots share records; known while it is being rewritten */
    uint64_t low_queue, high_queue; /* ids that its spans lie between; of a wide one */
    bool held;                      /* nothing of it is delivered before it is STORED */
    uint64_t changed_ms;            /* last time a slot was settled */
    uint64_t used_ms;               /* last time its content was, see in_lru */
    struct list in_doomed;          /* to be freed at the end of the turn */
};

struct retain {
    struct map by_id; /* struct batch */
    uint64_t next_id;
    struct batch *open[2]; /* [durable? 0 : 1] */
    struct record_routes routes[2];
    struct list closed; /* durable, full, to be sealed (in_lru) */
    struct list lru, dirty, doomed;
    struct list transient; /* CLOSED transient ones, oldest first (in_lru) */
    uint64_t memory, unsealed_bytes, sealed_bytes;
    uint64_t *want; /* ring of batch ids to load */
    size_t want_head, want_count, want_cap;
    uint64_t rest_at_ms, give_back_ms; /* not before */
    uint64_t rested_bytes;             /* dropped, and not given back yet */
    struct batch_content *spare[4];    /* recycled */
    size_t spare_count;
};

/* The open batch of that kind with room for a body of `n` bytes. */
struct batch *retain_open(struct core *c, bool transient, size_t n);

/* A batch for one message alone, whose body is a blob; closed with retain_close. */
struct batch *retain_open_alone(struct core *c, bool transient);

/* No more messages go into it. */
void retain_close(struct core *c, struct batch *b);

static inline struct span *batch_span(const struct batch *b, uint32_t group)
{
    if (group == 0)
        return (struct span *)(uintptr_t)&b->first_span;

    unsigned i = 31 - (unsigned)__builtin_clz(group);

    return &b->spans[i][group - (1u << i)];
}

/* Another span of the batch, zeroed but for batch and group; it lives as long. */
struct span *retain_new_span(struct batch *b);

/* The same with a group in the content. */
struct span *retain_add_span(struct batch *b, struct queue *q, uint8_t priority);

void retain_set_settled(struct core *c, struct batch *b, uint32_t slot);
void retain_set_taken(struct batch *b, uint32_t slot, bool taken);

/* Counts a settled slot or returned slot gone; frees or deletes what is empty. */
void retain_look(struct core *c, struct batch *b);

/* Asks for the content of a cold batch. */
void retain_want(struct core *c, struct batch *b);

void retain_defer(struct core *c, struct batch *b, const struct deferred *d);

/* A drop that waits for the content is in the commit of the call that asked for it,
 * as a number beside the slot's returns: a start that finds it finishes it. */
void retain_note_death(struct core *c, struct batch *b, uint32_t slot, enum death why);
void retain_recover_returns(struct core *c, struct batch *b, uint32_t slot, uint32_t noted);

/* The consumer that has it unacked has it for good, noted like a return. */
void retain_note_received(struct core *c, struct batch *b, uint32_t slot);

/* What it holds cannot be read: its messages leave their queues, said aloud; the
 * row stays on disk. */
void retain_set_aside(struct core *c, struct batch *b, enum err why);

/* STORED with content: onto the list of those, as used now. */
void retain_used(struct core *c, struct batch *b);
/* Moves it there. */
void retain_touch(struct core *c, struct batch *b);

/* Drops content that nobody used for a while, be there room or not: the file is in the
 * system's cache as long as there is room for that. */
void retain_rest(struct core *c);
/* When there is some; UINT64_MAX: never. */
uint64_t retain_next_at_ms(const struct core *c);

/* Drops content until the budget holds. */
void retain_evict(struct core *c);

/* The bitmaps grow when a bit is set: beyond their end all bits are clear. */
static inline bool retain_is_settled(const struct batch *b, uint32_t slot)
{
    return slot / 8 < b->settled_cap && bit_get(b->settled, slot);
}

static inline bool retain_is_taken(const struct batch *b, uint32_t slot)
{
    return slot / 8 < b->taken_cap && bit_get(b->taken_bits, slot);
}

struct batch *retain_new_batch(struct core *c, uint64_t id);
/* Its content has grown: into the budget with it. */
void retain_count_memory(struct core *c, struct batch *b);
void retain_drop_content(struct core *c, struct batch *b);
uint32_t retain_returns(const struct batch *b, uint32_t slot);
bool retain_is_received(const struct batch *b, uint32_t slot);
void retain_count_return(struct core *c, struct batch *b, uint32_t slot);
/* What is noted of slot `i` of `from` goes with it to slot `slot` of `to`. */
void retain_move_returns(struct core *c, const struct batch *from, uint32_t i, struct batch *to,
                         uint32_t slot);

/* Moves everything writable into the commit. */
void retain_seal(struct core *c, struct commit *commit);
void retain_committed(struct core *c, struct commit *commit);
void retain_loaded(struct core *c, struct load *l);

/* End of turn: frees what nobody needs any more. */
void retain_sweep(struct core *c);

void retain_recover_batch(struct core *c, uint64_t id, struct batch_content *summary,
                          struct bytes settled);
void retain_fini(struct core *c);

#endif
