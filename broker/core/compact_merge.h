// SPDX-License-Identifier: MIT
/* compact_merge.h - the rewriting itself.  Private to the core. */
#ifndef CORE_COMPACT_MERGE_H
#define CORE_COMPACT_MERGE_H

#include "broker/core/core.h"

struct batch;

/* Moves every live slot of the sources (entries may be NULL; contents in memory,
 * nothing unacked) into new closed batches, grouped by queue, each queue's order
 * kept.  The sources are left with nothing alive. */
void compact_merge(struct core *c, struct batch **source, size_t count);

#endif
