// SPDX-License-Identifier: MIT
/* note.h - the small state that an adapter keeps beside a queue.
 *
 * Private to the core.  A queue without a note costs a pointer.  A note that
 * changes often is written once a commit: it is noted in core->noted until then.
 *
 * Owner: the queue. */
#ifndef CORE_NOTE_H
#define CORE_NOTE_H

#include "broker/core/core.h"

struct queue;

struct note {
    uint32_t n;   /* 0: there is none any more, and its row is to be deleted */
    bool stored;  /* it has a row, or the commit under way makes one */
    bool changed; /* in core->noted */
    uint8_t bytes[];
};

/* Changed ones go into the commit. */
void note_seal(struct core *c, struct commit *commit);

/* The queue goes: the row too. */
void note_forget(struct core *c, struct queue *q);

void note_recover(struct core *c, uint64_t queue_id, struct bytes bytes);

#endif
