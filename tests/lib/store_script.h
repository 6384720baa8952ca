// SPDX-License-Identifier: MIT
/* store_script.h - seeded commits as a broker would make them, and the text of
 * what an engine holds, so that two engines, or two states of one, compare.
 *
 * Commit n of a seed is always the same, whatever became of those before it. */
#ifndef TESTS_LIB_STORE_SCRIPT_H
#define TESTS_LIB_STORE_SCRIPT_H

#include "storage/engine.h"

enum { SCRIPT_LIVE_MAX = 24 };

struct script_batch {
    uint64_t id;
    uint32_t slots, settled;
    uint8_t bits[64];
    uint64_t blob_id;
};

struct script {
    uint64_t rng, number, next_batch, next_blob, next_definition;
    uint32_t body_max; /* bytes of a body, at most */
    bool spills;       /* transient batches, too */
    struct script_batch live[SCRIPT_LIVE_MAX];
    size_t live_count;
};

void script_init(struct script *s, uint64_t seed);

/* The next commit: publishes, settles, deletes, counts, blobs, definitions. */
struct commit *script_commit(struct script *s);

/* With the contents that its operations point to. */
void script_commit_free(struct commit **c);

/* Recovers the engine and appends one line for each thing found, every batch
 * and part loaded and hashed.  Returns recover's result. */
enum err store_dump(const struct engine_ops *ops, struct engine *e, struct buf *out);

/* A batch of one queue with `n` messages of `bytes` bytes each. */
struct batch_content *script_batch(uint64_t queue_id, uint64_t first_seq, uint32_t n,
                                   uint32_t bytes);

/* A fresh directory under the place for temporary files, and its removal. */
char *scratch_dir(void);
void scratch_remove(char **dir);

#endif
