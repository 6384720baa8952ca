// SPDX-License-Identifier: MIT
/* compact_merge.h - the rewriting itself.  Private to the core.
 *
 * The spans of a window are put in order once: by queue, then priority, then seq.
 * Each commit then takes one new batch of them, so a publisher never waits for
 * more than that.  A record that several slots share stays one in each new batch.
 *
 * What comes of a wide batch is cut where the ids of queues are multiples of a power of two,
 * so that what comes of another later holds the same queues, and the two go together. */
#ifndef CORE_COMPACT_MERGE_H
#define CORE_COMPACT_MERGE_H

#include "broker/core/core.h"

struct batch;

/* A span of a source, by number: it may be gone when its turn comes. */
struct merge_entry {
    uint32_t source, group, next;
};

/* Where a record of a source stands in the batch being written; by hash. */
struct merge_share {
    uint32_t source_plus_1, record, moved;
};

struct merge {
    struct merge_entry *entry; /* NULL: nothing is being rewritten */
    uint32_t *order;
    size_t count, at;
    uint64_t width;            /* of the blocks of queue ids that are kept apart; 0: none are */
    struct merge_share *share; /* NULL: no source shares records */
    size_t share_size, share_count;
};

/* Finds out whether its slots share records.  False: they do, and those are too large to be
 * copied with every few thousand slots. */
bool compact_merge_look(struct batch *b);

/* Puts the spans of the sources (entries may be NULL) in order. */
void compact_merge_begin(struct merge *m, struct batch **source, size_t count, bool wide);

/* Moves what fits into one new closed batch; what has unacked slots stays where
 * it is.  False: that was the last. */
bool compact_merge_step(struct core *c, struct merge *m, struct batch **source);

void compact_merge_end(struct merge *m);

#endif
