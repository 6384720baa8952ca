// SPDX-License-Identifier: MIT
#include "client/cmd/histogram.h"

enum { BITS = 5, PER_OCTAVE = 1 << BITS };

/* Values below 32 have a class each; above, the five bits behind the first one tell. */
static unsigned class_of(uint64_t value)
{
    unsigned octave;

    if (value < PER_OCTAVE)
        return (unsigned)value;
    octave = 63 - (unsigned)__builtin_clzll(value) - BITS;
    return (octave + 1) * PER_OCTAVE + (unsigned)(value >> octave & (PER_OCTAVE - 1));
}

static uint64_t highest_of(unsigned class)
{
    unsigned octave = class / PER_OCTAVE;
    uint64_t in_octave = class % PER_OCTAVE;

    if (octave == 0)
        return class;
    return ((in_octave | PER_OCTAVE) << (octave - 1)) + ((1ULL << (octave - 1)) - 1);
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->class_count[class_of(value)]++;
    h->count++;
    if (value > h->max)
        h->max = value;
}

uint64_t histogram_at(const struct histogram *h, double share)
{
    uint64_t want = (uint64_t)(share * (double)h->count + 0.5), seen = 0;

    if (h->count == 0)
        return 0;
    for (unsigned i = 0; i < HISTOGRAM_CLASSES; i++) {
        seen += h->class_count[i];
        if (seen >= want && seen > 0)
            return highest_of(i) < h->max ? highest_of(i) : h->max;
    }
    return h->max;
}
