// SPDX-License-Identifier: MIT
/* pace.h - when the next commit begins, where it could begin at once.
 *
 * A disk that syncs in 0.3 ms is asked for 3,000 syncs a second by a flow that
 * 1,000 would serve as well.  So commits keep a distance, as long as that pays:
 * messages must still be coming in when the wait ends.  Where they are not, those
 * who publish wait for their confirms, and the next commits are not held up.
 * Pure: time is an argument (monotonic ns).  See docs/decisions/0014. */
#ifndef BROKER_PACE_H
#define BROKER_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
    uint64_t spacing_ns; /* from one beginning to the next; 0: none */
    uint64_t began_ns;   /* the last commit */
    uint64_t input_ns;   /* the last input */
    bool holding;        /* something is to be committed, and waits */
    unsigned distrust;   /* commits that are not held up after a wait */
    unsigned skip;       /* so many of them are left */
};

void pace_input(struct pace *p, uint64_t now_ns);

/* Something waits to be committed, and storage is idle: may it begin? */
bool pace_may_begin(struct pace *p, uint64_t now_ns);
void pace_began(struct pace *p, uint64_t now_ns);
/* What was held needs no commit any more. */
void pace_nothing(struct pace *p);

/* When a held commit is to begin; UINT64_MAX: none is held. */
uint64_t pace_until_ns(const struct pace *p);

#endif
