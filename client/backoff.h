// SPDX-License-Identifier: MIT
/* backoff.h - how long to wait before the next attempt.
 *
 * Doubles from min_ms to max_ms; of each span the second half is random, so that
 * clients that lost one server do not come back in step.  Pure. */
#ifndef CLIENT_BACKOFF_H
#define CLIENT_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint32_t min_ms, max_ms;
    uint32_t attempts; /* failed in a row */
};

/* Counts one more failure; the wait for it.  `random` is any 32 bits. */
uint32_t backoff_next(struct backoff *b, uint32_t random);
void backoff_reset(struct backoff *b);

#endif
