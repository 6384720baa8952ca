// SPDX-License-Identifier: MIT
#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { EVENT_COUNT = 64 };

static struct {
    const char *what;
    uint64_t a, b;
} events[EVENT_COUNT];
static unsigned event_next;

void check_event(const char *what, uint64_t a, uint64_t b)
{
    unsigned i = event_next++ % EVENT_COUNT;

    events[i].what = what;
    events[i].a = a;
    events[i].b = b;
}

void check_failed(const char *what, const char *file, int line)
{
    for (unsigned i = 0; i < EVENT_COUNT; i++) {
        unsigned k = (event_next + i) % EVENT_COUNT;

        if (events[k].what)
            (void)fprintf(stderr, "check.event what=%s a=%" PRIu64 " b=%" PRIu64 "\n",
                          events[k].what, events[k].a, events[k].b);
    }
    (void)fprintf(stderr, "check.failed cond=\"%s\" at=%s:%d\n", what, file, line);
    abort();
}
