// SPDX-License-Identifier: MIT
#include "tests/bench/load_tally.h"

#include <string.h>

#include "base/mem.h"

enum { FINE_BITS = 7, FINE = 1 << FINE_BITS, PUBLISHERS_MAX = 1 << 16, FIRST_BITS = 1 << 16 };

#define SEQ_MAX (1ULL << 36)

struct seen_publisher {
    uint64_t *bit;
    size_t bits;
    uint64_t *next; /* by consumer and queue: one past the last that it saw */
};

static size_t slot_of(uint64_t ns)
{
    if (ns < FINE)
        return (size_t)ns;
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - FINE_BITS;
    size_t slot = ((size_t)shift + 1) * FINE + (size_t)(ns >> shift) - FINE;

    return slot < HISTOGRAM_SLOTS ? slot : HISTOGRAM_SLOTS - 1;
}

static double middle_of(size_t slot)
{
    if (slot < FINE)
        return (double)slot;
    size_t shift = slot / FINE - 1;

    return ((double)(slot % FINE + FINE) + 0.5) * (double)(1ULL << shift);
}

void histogram_add(struct histogram *h, uint64_t ns)
{
    h->slot[slot_of(ns)]++;
    h->count++;
    if (ns > h->max_ns)
        h->max_ns = ns;
}

double histogram_us(const struct histogram *h, double quantile)
{
    uint64_t below = 0, want = (uint64_t)(quantile * (double)h->count);

    for (size_t i = 0; i < HISTOGRAM_SLOTS; i++) {
        below += h->slot[i];
        if (below > want)
            return middle_of(i) / 1e3;
    }
    return (double)h->max_ns / 1e3;
}

static struct seen_publisher *publisher_at(struct seen *s, unsigned publisher)
{
    if (publisher >= s->publishers) {
        size_t had = s->publishers;
        struct seen_publisher *p = mem_array(publisher + 1, sizeof *p);

        if (had > 0)
            memcpy(p, s->publisher, had * sizeof *p);
        mem_free(s->publisher);
        s->publisher = p;
        s->publishers = publisher + 1;
    }
    return &s->publisher[publisher];
}

static void widen(struct seen_publisher *p, uint64_t seq)
{
    size_t bits = p->bits ? p->bits : FIRST_BITS;

    while (bits <= seq)
        bits *= 2;
    p->bit = mem_realloc(p->bit, bits / 8);
    memset((uint8_t *)p->bit + p->bits / 8, 0, (bits - p->bits) / 8);
    p->bits = bits;
}

bool seen_add(struct seen *s, unsigned consumer, unsigned publisher, unsigned queue, uint64_t seq)
{
    if (publisher >= PUBLISHERS_MAX || queue >= s->queues || seq >= SEQ_MAX)
        return false;
    struct seen_publisher *p = publisher_at(s, publisher);
    uint64_t mask = 1ULL << (seq % 64);

    if (seq >= p->bits)
        widen(p, seq);
    if (p->bit[seq / 64] & mask) {
        s->duplicated++;
        return true;
    }
    p->bit[seq / 64] |= mask;
    s->distinct++;
    if (!p->next)
        p->next = mem_array((size_t)s->consumers * s->queues, sizeof *p->next);
    uint64_t *next = &p->next[(size_t)consumer * s->queues + queue];
    if (seq < *next)
        s->out_of_order++;
    else
        *next = seq + 1;
    return true;
}

uint64_t seen_missing(const struct seen *s, unsigned publisher, uint64_t next)
{
    uint64_t missing = 0;

    for (uint64_t seq = 0; seq < next; seq++) {
        const struct seen_publisher *p = publisher < s->publishers ? &s->publisher[publisher]
                                                                   : NULL;

        if (!p || seq >= p->bits || !(p->bit[seq / 64] >> (seq % 64) & 1))
            missing++;
    }
    return missing;
}
