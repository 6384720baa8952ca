// SPDX-License-Identifier: MIT
/* load_tally.h - what a run saw: latencies, and which messages came.
 *
 * A histogram's buckets are 1/128 of their value wide.  Zero-initialised is empty. */
#ifndef TESTS_BENCH_LOAD_TALLY_H
#define TESTS_BENCH_LOAD_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_SLOTS = 128 * 44 };

struct histogram {
    uint64_t count, max_ns;
    uint64_t slot[HISTOGRAM_SLOTS];
};

void histogram_add(struct histogram *h, uint64_t ns);
double histogram_us(const struct histogram *h, double quantile);

struct seen {
    unsigned consumers, queues; /* set before the first message */
    struct seen_publisher *publisher;
    size_t publishers;
    uint64_t distinct, duplicated, out_of_order;
};

/* False when no publisher of ours can have sent that.  Order is asked of each
 * (consumer, publisher, queue). */
bool seen_add(struct seen *s, unsigned consumer, unsigned publisher, unsigned queue, uint64_t seq);

/* The sequences below `next` of that publisher that never came. */
uint64_t seen_missing(const struct seen *s, unsigned publisher, uint64_t next);

#endif
