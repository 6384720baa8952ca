// SPDX-License-Identifier: MIT
#include "client/backoff.h"

uint32_t backoff_next(struct backoff *b, uint32_t random)
{
    uint64_t span = b->min_ms;

    for (uint32_t i = 0; i < b->attempts && span < b->max_ms; i++)
        span *= 2;
    if (span > b->max_ms)
        span = b->max_ms;
    if (b->attempts < UINT32_MAX)
        b->attempts++;
    return (uint32_t)(span - span / 2 + (span / 2 * random >> 32));
}

void backoff_reset(struct backoff *b)
{
    b->attempts = 0;
}
