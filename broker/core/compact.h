// SPDX-License-Identifier: MIT
/* compact.h - rewriting what is alive into fewer and denser batches.
 *
 * Two kinds of batches cost more than they hold.  *Small* ones have few slots a
 * span: a queue filled one message a commit, or a thousand queues interleaved;
 * they cost memory.  *Sparse* ones are mostly settled and left alone since; they
 * cost disk.  A window of either is read, what is alive is appended to new
 * batches grouped by queue, and the old rows go in the same commit.
 *
 * A small batch may be *wide*: one message to a hundred thousand queues.  A window of
 * those holds few of them, so what comes of it is rewritten again, together with others
 * that hold the same queues, as long as it is small.
 *
 * A batch with unacked deliveries is left out, for those name its slots. */
#ifndef CORE_COMPACT_H
#define CORE_COMPACT_H

#include "base/list.h"
#include "broker/core/compact_merge.h"
#include "broker/core/core.h"

struct batch;

struct compact {
    struct list small, sparse; /* struct batch.in_compact, oldest first */
    size_t small_count, small_spans;
    struct batch **source; /* the window at work; pinned in memory */
    size_t source_count, source_cap;
    size_t loading;     /* of these not here yet */
    bool wide;          /* they are */
    struct merge merge; /* of the window, a step a commit */
    uint64_t ended_ns;  /* the last commit */
    uint64_t quiet_ms;  /* from then on the disk has time, unless one more follows at once */
    size_t alone;       /* so many small ones were looked at in vain since one was added */
};

/* How much time the disk has is read off the commits. */
void compact_committed(struct core *c, const struct commit *done);

/* A batch has been written, recovered, or settled in part: is it a candidate? */
void compact_note(struct core *c, struct batch *b);

/* The batch goes, or cannot be read. */
void compact_forget(struct core *c, struct batch *b);

/* A source of the window has been loaded (or failed). */
void compact_loaded(struct core *c, struct batch *b);

/* Before a commit is sealed: picks a window, or rewrites the one that is here. */
void compact_step(struct core *c);

/* When the next step is due though nothing happens; UINT64_MAX: never. */
uint64_t compact_next_at_ms(const struct core *c);

/* What the spans of small batches take: they share the memory budget. */
uint64_t compact_span_bytes(const struct core *c);

void compact_fini(struct core *c);

#endif
