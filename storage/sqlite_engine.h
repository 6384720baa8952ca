// SPDX-License-Identifier: MIT
/* sqlite_engine.h - what the files of the SQLite engine share.
 *
 * Three connections, so that no thread waits for another's: `write` belongs to
 * the thread that commits (and to who opens and recovers), `read` to the one
 * that loads, `tidy` to the one that maintains.  Fields belong to the thread of
 * the connection under which they stand, but for the atomic ones. */
#ifndef STORAGE_SQLITE_ENGINE_H
#define STORAGE_SQLITE_ENGINE_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "storage/engine.h"

#define WRITE_STATEMENTS(X)                                                             \
    X(BEGIN, "BEGIN IMMEDIATE")                                                         \
    X(COMMIT, "COMMIT")                                                                 \
    X(ROLLBACK, "ROLLBACK")                                                             \
    X(BATCH_PUT, "INSERT OR REPLACE INTO batch(id, slots, bodies) VALUES(?1, ?2, ?3)")  \
    X(BATCH_DELETE, "DELETE FROM batch WHERE id=?1")                                    \
    X(SETTLED_PUT, "INSERT OR REPLACE INTO settled(batch, bits, checksum)"              \
                   " VALUES(?1, ?2, row_sum(?1, ?2))")                                  \
    X(SETTLED_DELETE, "DELETE FROM settled WHERE batch=?1")                             \
    X(COUNT_PUT, "INSERT OR REPLACE INTO counts(batch, slot, deliveries)"               \
                 " VALUES(?1, ?2, ?3)")                                                 \
    X(COUNTS_DELETE, "DELETE FROM counts WHERE batch=?1")                               \
    X(PART_PUT, "INSERT OR REPLACE INTO part(blob, idx, data, checksum)"                \
                " VALUES(?1, ?2, ?3, ?4)")                                              \
    X(PARTS_DELETE, "DELETE FROM part WHERE blob=?1")                                   \
    X(BLOB_PUT, "INSERT OR REPLACE INTO blob(id, size) VALUES(?1, ?2)")                 \
    X(BLOB_DELETE, "DELETE FROM blob WHERE id=?1")                                      \
    X(VHOST_PUT, "INSERT OR REPLACE INTO vhost(id, name, checksum)"                     \
                 " VALUES(?1, ?2, row_sum(?1, ?2))")                                    \
    X(VHOST_DELETE, "DELETE FROM vhost WHERE id=?1")                                    \
    X(EXCHANGE_PUT, "INSERT OR REPLACE INTO exchange(id, vhost, name, type,"            \
                    " auto_delete, internal, arguments, checksum)"                      \
                    " VALUES(?1,?2,?3,?4,?5,?6,?7, row_sum(?1,?2,?3,?4,?5,?6,?7))")     \
    X(EXCHANGE_DELETE, "DELETE FROM exchange WHERE id=?1")                              \
    X(QUEUE_PUT, "INSERT OR REPLACE INTO queue(id, vhost, name, auto_delete, consumed," \
                 " arguments, checksum)"                                                \
                 " VALUES(?1,?2,?3,?4,?5,?6, row_sum(?1,?2,?3,?4,?5,?6))")              \
    X(QUEUE_DELETE, "DELETE FROM queue WHERE id=?1")                                    \
    X(BINDING_PUT, "INSERT OR REPLACE INTO binding(id, vhost, exchange, to_exchange,"   \
                   " target, routing_key, arguments, checksum)"                         \
                   " VALUES(?1,?2,?3,?4,?5,?6,?7, row_sum(?1,?2,?3,?4,?5,?6,?7))")      \
    X(BINDING_DELETE, "DELETE FROM binding WHERE id=?1")                                \
    X(USER_PUT, "INSERT OR REPLACE INTO user(name, password_hash, tags, checksum)"      \
                " VALUES(?1, ?2, ?3, row_sum(?1, ?2, ?3))")                             \
    X(USER_DELETE, "DELETE FROM user WHERE name=?1")                                    \
    X(PERMISSION_PUT, "INSERT OR REPLACE INTO permission(vhost, user,"                  \
                      " configure, write, read, checksum)"                              \
                      " VALUES(?1,?2,?3,?4,?5, row_sum(?1,?2,?3,?4,?5))")               \
    X(TOPIC_PERMISSION_PUT, "INSERT OR REPLACE INTO topic_permission(vhost, user,"      \
                            " exchange, write, read, checksum)"                         \
                            " VALUES(?1,?2,?3,?4,?5, row_sum(?1,?2,?3,?4,?5))")         \
    X(NOTE_PUT, "INSERT OR REPLACE INTO note(queue, note, checksum)"                    \
                " VALUES(?1, ?2, row_sum(?1, ?2))")                                     \
    X(NOTE_DELETE, "DELETE FROM note WHERE queue=?1")                                   \
    X(RETAINED_PUT, "INSERT OR REPLACE INTO retained(vhost, routing_key, props, body,"  \
                    " stored_ms, expires_ms, checksum)"                                 \
                    " VALUES(?1,?2,?3,?4,?5,?6, row_sum(?1,?2,?3,?4,?5,?6))")           \
    X(RETAINED_DELETE, "DELETE FROM retained WHERE vhost=?1 AND routing_key=?2")        \
    X(META_PUT, "INSERT OR REPLACE INTO meta(key, value) VALUES(?1, ?2)")

enum write_statement {
#define X(name, sql) WRITE_##name,
    WRITE_STATEMENTS(X)
#undef X
        WRITE_COUNT
};

/* Batches that a start found to be of no use, by rising id. */
struct doomed {
    uint64_t *id;
    size_t n, cap;
};

struct engine {
    char *path; /* of the database file */
    char *dir;
    uint64_t checkpoint_bytes, page_bytes;

    sqlite3 *write;
    sqlite3_stmt *statement[WRITE_COUNT];
    sqlite3_stmt *freelist;
    uint64_t measured_ns, disk_free_bytes, file_bytes;
    struct buf slots, packed; /* of the batch being written */
    struct doomed doomed;
    bool counts_used; /* the table counts may have rows */

    sqlite3 *read;
    sqlite3_stmt *load_batch, *load_part;

    sqlite3 *tidy;
    uint64_t commits_seen;

    atomic_ullong commits, wal_bytes, wal_done_bytes;
    /* Set by `tidy` when little is left to check in: the next commit does that
     * rest before it begins, and so lets the WAL start over. */
    atomic_bool finish;
    /* Held by a load while it reads, and by the commit that starts the WAL over:
     * the WAL cannot start over under a reader. */
    pthread_mutex_t reading;
};

/* Runs the statement to its end and makes it ready for the next time. */
enum err sqlite_run(struct engine *e, enum write_statement which) MUST_USE;

/* The row, its settled bits and its deliveries. */
enum err sqlite_batch_delete(struct engine *e, uint64_t batch_id) MUST_USE;

/* All of OP_*, within the transaction that is open. */
enum err sqlite_apply(struct engine *e, const struct op *o) MUST_USE;

/* Makes row_sum(...) known to SQL on this connection: a checksum of its arguments. */
enum err sqlite_row_sum_register(sqlite3 *db) MUST_USE;

uint64_t sqlite_part_sum(uint64_t blob_id, uint32_t index, struct bytes data);

enum err sqlite_recover(struct engine *e, const struct recover_sink *sink, void *arg);

/* sqlite_wal.c: keeping the WAL short. */
bool sqlite_maintain(struct engine *e);
void sqlite_wal_committed(struct engine *e, uint64_t frames);
bool sqlite_wal_finish_begin(struct engine *e); /* true: call _end after the commit */
void sqlite_wal_finish_end(struct engine *e);

bool doomed_has(const struct doomed *d, uint64_t id);
void doomed_add(struct doomed *d, uint64_t id);
void doomed_remove(struct doomed *d, uint64_t id);

#endif
