// SPDX-License-Identifier: MIT
#include "broker/pace.h"

enum { DISTRUST_FIRST = 16, DISTRUST_MOST = 4096 };

void pace_input(struct pace *p, uint64_t now_ns)
{
    p->input_ns = now_ns;
}

/* A wait is over.  Input in its last quarter says that more would have come; by chance it
 * says so where everybody waits, too, so one such wait does not outweigh what others said. */
static void judge(struct pace *p, uint64_t now_ns)
{
    p->holding = false;
    if (p->input_ns + p->spacing_ns / 4 >= now_ns)
        p->distrust /= 4;
    else
        p->distrust = p->distrust ? p->distrust * 2 : DISTRUST_FIRST;
    if (p->distrust > DISTRUST_MOST)
        p->distrust = DISTRUST_MOST;
    p->skip = p->distrust;
}

bool pace_may_begin(struct pace *p, uint64_t now_ns)
{
    if (!p->holding && p->skip > 0) {
        p->skip--;
        return true;
    }
    if (now_ns - p->began_ns < p->spacing_ns) {
        p->holding = true;
        return false;
    }
    if (p->holding)
        judge(p, now_ns);
    return true;
}

void pace_began(struct pace *p, uint64_t now_ns)
{
    p->began_ns = now_ns;
}

void pace_nothing(struct pace *p)
{
    p->holding = false;
}

uint64_t pace_until_ns(const struct pace *p)
{
    return p->holding ? p->began_ns + p->spacing_ns : UINT64_MAX;
}
