// SPDX-License-Identifier: MIT
/* wire_run.h - one input played by several peers, whole and cut into pieces.
 *
 * For fuzz targets: whatever the peers say, every invariant of the core holds, what
 * comes out is in bounds, all memory comes back, and the same input gives the same output
 * however it is cut. */
#ifndef TESTS_WIRE_RUN_H
#define TESTS_WIRE_RUN_H

#include "tests/lib/stomp_wire.h"

enum { WIRE_RUN_OUTPUT_BYTES = 8 * 1024 };

struct wire_run {
    struct stomp_wire w;
    unsigned peer; /* the current one */
    size_t most;   /* of a piece; 0: not cut */
    uint64_t random;
    size_t bound; /* of what a peer is told at once */
    struct buf heard[WIRE_PEERS];
};

/* Opens the wire with limits so small that they and paging are reached. */
void wire_run_open(struct wire_run *r, size_t bound);
/* To the current peer, cut as the run has it. */
void wire_run_say(struct wire_run *r, struct bytes b);
/* Turns and commits until nothing is left to do; keeps what was said. */
void wire_run_settle(struct wire_run *r);
void wire_run_close(struct wire_run *r);

/* Plays `in` three times, cut differently, and compares. */
void wire_run_compare(struct bytes in, void (*play)(struct wire_run *r, struct bytes in));

#endif
