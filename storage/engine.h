// SPDX-License-Identifier: MIT
/* engine.h - the seam below which a database is known.
 *
 * One of the program's two vtables.  engine_sqlite is the default; engine_mem
 * serves the simulator and tests, with delays and losses decided by its driver.
 * `commit` is called from one thread, `load*` from one other, `maintain` from a
 * third, at the same time; `recover` before any of them. */
#ifndef STORAGE_ENGINE_H
#define STORAGE_ENGINE_H

#include "base/err.h"
#include "storage/op.h"

struct engine;

struct engine_options {
    const char *path;          /* the data directory; it exists */
    const char *vfs;           /* SQLite VFS to use, NULL: our own over the default */
    uint64_t checkpoint_bytes; /* WAL size that wakes the checkpoint */
    uint64_t cache_bytes;
};

/* What is on disk, in this order: boot, vhosts, exchanges, queues, bindings,
 * users, permissions, topic permissions, notes, retained messages, blobs, batches
 * by rising id, deliveries.  Views live during the call. */
struct recover_sink {
    void (*boot)(void *arg, uint64_t boot, bool clean_stop);
    void (*vhost)(void *arg, const struct def_vhost *v);
    void (*exchange)(void *arg, const struct def_exchange *x);
    void (*queue)(void *arg, const struct def_queue *q);
    void (*binding)(void *arg, const struct def_binding *b);
    void (*user)(void *arg, const struct def_user *u);
    void (*permission)(void *arg, const struct def_permission *p);
    void (*topic_permission)(void *arg, const struct def_topic_permission *p);
    void (*note)(void *arg, uint64_t queue_id, struct bytes note);
    void (*retained)(void *arg, const struct def_retained *r);
    void (*blob)(void *arg, uint64_t blob_id, uint64_t size);
    /* `summary` is taken over.  `settled` may be empty. */
    void (*batch)(void *arg, uint64_t batch_id, struct batch_content *summary,
                  struct bytes settled);
    /* Of batches that were given, and of no other. */
    void (*deliveries)(void *arg, uint64_t batch_id, uint32_t slot, uint32_t count);
    /* A row that cannot be read: set aside, reported, never "empty but fine". */
    void (*damaged)(void *arg, uint64_t batch_id, const char *why);
};

struct engine_ops {
    const char *name;
    enum err (*open)(const struct engine_options *o, struct engine **out);
    enum err (*recover)(struct engine *e, const struct recover_sink *sink, void *arg);
    /* All or nothing, and on disk when it returns OK.  Anything else: the caller
     * ends the process (docs/decisions/0004). */
    enum err (*commit)(struct engine *e, struct commit *c);
    /* ERR_NOT_FOUND, ERR_CORRUPT (the row is kept), ERR_IO. */
    enum err (*load)(struct engine *e, uint64_t batch_id, struct batch_content **out);
    enum err (*load_part)(struct engine *e, uint64_t blob_id, uint32_t index, struct buf *out);
    /* Does what can be done beside commits (checkpoint); called now and then.
     * True when there was work. */
    bool (*maintain)(struct engine *e);
    void (*close)(struct engine **e);
};

extern const struct engine_ops engine_sqlite;
extern const struct engine_ops engine_mem;

/* A short text about the last failure on this engine, for the log. */
const char *engine_error(const struct engine *e);

#endif
