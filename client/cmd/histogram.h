// SPDX-License-Identifier: MIT
/* histogram.h - latencies in little memory, to about 3 % of the value.
 *
 * 32 classes per power of two.  Zero-initialised is empty.  Pure. */
#ifndef CLIENT_CMD_HISTOGRAM_H
#define CLIENT_CMD_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_CLASSES = 60 * 32 };

struct histogram {
    uint64_t count, max;
    uint64_t class_count[HISTOGRAM_CLASSES];
};

void histogram_add(struct histogram *h, uint64_t value);

/* The value that `share` (0 to 1) of all do not exceed; 0 when it is empty. */
uint64_t histogram_at(const struct histogram *h, double share);

#endif
