// SPDX-License-Identifier: MIT
/* direct.h - the core without sessions, beside a plain reference: what STOMP cannot
 * ask for (shared ledgers, gets, purges, deletions, refused confirms, returns).
 *
 * direct_calls.c makes calls by chance, of the core and of the reference;
 * direct.c turns, listens, compares, and ends the process. */
#ifndef SIM_DIRECT_H
#define SIM_DIRECT_H

#include "tests/lib/core_rig.h"
#include "tests/sim/reference.h"
#include "tests/sim/rng.h"

enum { DIRECT_ENTRIES_MAX = 400, DIRECT_GETS_MAX = 64 };

struct direct_get {
    uint64_t handle, queue_id; /* handle 0: none */
    unsigned client;
    bool no_ack;
};

struct direct {
    struct rng rng;
    struct rig rig;
    struct reference ref;
    struct direct_get get[DIRECT_GETS_MAX];
    uint64_t next_id;
    uint32_t crash_one_in;
    bool purging; /* a queue counts what is still to be read and purged */
    /* Messages expire, or queues drop their heads, each of which hides the other;
     * and what a crash leaves of the latter depends on when the core came round. */
    bool expiring, dropping;
};

void direct_run(uint64_t seed, uint64_t steps, bool verbose);

/* ---- direct_calls.c ---- */

static inline uint32_t direct_below(struct direct *d, uint32_t n)
{
    return rng_below(&d->rng, n);
}

static inline bool direct_one_in(struct direct *d, uint32_t n)
{
    return rng_one_in(&d->rng, n);
}

/* "q3" */
struct bytes direct_name(unsigned i, char out[8]);
void direct_open_client(struct direct *d, unsigned i);
void direct_close_client(struct direct *d, unsigned i);
void direct_delete_or_purge(struct direct *d, unsigned client, struct ref_queue *q);
/* Something that some client may do. */
void direct_call(struct direct *d);

#endif
