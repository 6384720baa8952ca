// SPDX-License-Identifier: MIT
/* store.h - an engine behind threads: the broker's asynchronous door to disk.
 *
 * One commit is under way at a time; whatever gathers meanwhile is the next one
 * (so batches grow with the load, without a timer).  Loads are answered by the
 * reader thread in the order asked.  Results wait in a list and the eventfd
 * store_fd() turns readable.
 *
 * A commit that fails ends the process with exit status 74 (EX_IOERR) and a log
 * line `store.commit`: after a failed fsync nobody knows what is on disk but a
 * fresh recovery.  Thread: all calls from the loop thread. */
#ifndef STORAGE_STORE_H
#define STORAGE_STORE_H

#include "storage/engine.h"

struct store;

struct store_options {
    const struct engine_ops *ops;
    struct engine_options engine;
};

/* Opens the engine; no thread runs yet, so the caller may recover. */
enum err store_open(const struct store_options *o, struct store **out) MUST_USE;
struct engine *store_engine(struct store *s);
const struct engine_ops *store_engine_ops(const struct store *s);
enum err store_start(struct store *s) MUST_USE; /* threads */

int store_fd(const struct store *s);

bool store_idle(const struct store *s); /* no commit under way */

/* Takes `c`; only when idle. */
void store_submit(struct store *s, struct commit *c);

/* Commits on the calling thread, which waits for the disk; only when idle.  The
 * commit stays the caller's.  Two wake-ups are spared (docs/decisions/0013). */
void store_commit_here(struct store *s, struct commit *c);

/* Asks for a batch, or with blob_id != 0 for one part of a blob. */
struct load {
    uint64_t batch_id;
    uint64_t blob_id;
    uint32_t part;
    enum err err;
    struct batch_content *content; /* of a batch, owned by who takes the result */
    struct buf data;               /* of a part */
    struct load *next;
};
void store_load(struct store *s, uint64_t batch_id);
void store_load_part(struct store *s, uint64_t blob_id, uint32_t part);

/* Takes one result: returns true and sets exactly one of the two; the taker
 * frees it (commit_free; load_free). False: nothing waits. */
bool store_take_done(struct store *s, struct commit **commit, struct load **load);
void load_free(struct load **l);

/* Waits for the commit under way, stops the threads, checkpoints, closes. */
void store_close(struct store **s);

#endif
