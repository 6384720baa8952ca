// SPDX-License-Identifier: MIT
/* compact_merge.h - the rewriting itself.  Private to the core.
 *
 * The spans of a window are put in order once: by queue, then priority, then seq.
 * Each commit then takes one new batch of them, so a publisher never waits for
 * more than that. */
#ifndef CORE_COMPACT_MERGE_H
#define CORE_COMPACT_MERGE_H

#include "broker/core/core.h"

struct batch;

/* A span of a source, by number: it may be gone when its turn comes. */
struct merge_entry {
    uint32_t source, group, next;
};

struct merge {
    struct merge_entry *entry; /* NULL: nothing is being rewritten */
    uint32_t *order;
    size_t count, at;
};

/* Puts the spans of the sources (entries may be NULL) in order. */
void compact_merge_begin(struct core *c, struct merge *m, struct batch **source, size_t count);

/* Moves what fits into one new closed batch; what has unacked slots stays where
 * it is.  False: that was the last. */
bool compact_merge_step(struct core *c, struct merge *m, struct batch **source);

void compact_merge_end(struct merge *m);

#endif
