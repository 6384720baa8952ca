// SPDX-License-Identifier: MIT
/* engine_sqlite.c - the engine over one SQLite file in WAL mode. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "storage/engine_error.h"
#include "storage/sqlite_engine.h"
#include "storage/sqlite_schema.h"
#include "storage/sqlite_vfs.h"

enum { PAGE_BYTES = 8192, BUSY_MS = 10000, DOOMED_PER_COMMIT = 8 };
enum { DEFAULT_CHECKPOINT_BYTES = 64 * 1024 * 1024, DEFAULT_CACHE_BYTES = 64 * 1024 * 1024 };
enum { LEAST_FILE_BYTES = 512 }; /* SQLite takes what is shorter for a new file */
#define PLENTY_BYTES (UINT64_C(16) << 30)
enum { MEASURE_NS = 2 * 1000 * 1000 }; /* the disk is asked for its room this often */
enum { LEAST_CACHE_BYTES = 1024 * 1024, SMALL_CACHE_BYTES = 2 * 1024 * 1024 };

static enum err err_of_errno(const char *doing, const char *path)
{
    engine_error_set("%s %s: %s", doing, path, strerror(errno));
    log_error("store.open", "path=%s err=\"%s: %s\"", path, doing, strerror(errno));
    return ERR_IO;
}

static enum err check_length(int fd, const char *path)
{
    struct stat s;

    if (fstat(fd, &s) != 0)
        return err_of_errno("stat", path);
    if (s.st_size == 0 || s.st_size >= LEAST_FILE_BYTES)
        return OK;
    engine_error_set("%s is cut short: %jd bytes", path, (intmax_t)s.st_size);
    return ERR_CORRUPT;
}

/* The file is made here, for its mode and for the sync of the directory: SQLite
 * does neither.  Its WAL and index take over the mode. */
static enum err make_file(const struct engine *e)
{
    int fd = open(e->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int dir = open(e->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err err = OK;

    if (fd < 0)
        err = err_of_errno("create", e->path);
    else if (fchmod(fd, 0600) != 0)
        err = err_of_errno("chmod", e->path);
    else if (dir < 0 || fsync(dir) != 0)
        err = err_of_errno("sync", e->dir);
    else
        err = check_length(fd, e->path);
    if (fd >= 0)
        close(fd);
    if (dir >= 0)
        close(dir);
    return err;
}

static enum err pragma(sqlite3 *db, const char *name, const char *value)
{
    char sql[96];

    (void)snprintf(sql, sizeof sql, "PRAGMA %s=%s", name, value);
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? OK : sqlite_err(db, sql);
}

static enum err pragma_number(sqlite3 *db, const char *name, int64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRId64, value);
    return pragma(db, name, text);
}

static enum err connect_to(const struct engine *e, const char *vfs, int flags, uint64_t cache_bytes,
                           sqlite3 **out)
{
    int rc = sqlite3_open_v2(e->path, out, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
                             vfs);

    if (rc != SQLITE_OK)
        return sqlite_err(*out, "open");
    sqlite3_extended_result_codes(*out, 0);
    sqlite3_busy_timeout(*out, BUSY_MS);
    enum err err = sqlite_row_sum_register(*out);
    return err ? err : pragma_number(*out, "cache_size", -(int64_t)(cache_bytes / 1024));
}

/* synchronous=EXTRA is FULL, and syncs the directory when a rollback journal is
 * deleted.  There is one before the file is in WAL mode; were it to come back
 * after a power cut, it would undo everything since. */
static enum err set_up_writer(struct engine *e)
{
    enum err err = pragma(e->write, "synchronous", "EXTRA");

    if (!err)
        err = pragma_number(e->write, "page_size", PAGE_BYTES); /* of a new file */
    if (!err)
        err = pragma(e->write, "auto_vacuum", "NONE");
    if (!err)
        err = pragma(e->write, "journal_mode", "WAL");
    if (!err)
        err = pragma(e->write, "secure_delete", "OFF");
    if (!err)
        err = pragma(e->write, "wal_autocheckpoint", "0");
    if (!err)
        err = pragma_number(e->write, "journal_size_limit", (int64_t)(2 * e->checkpoint_bytes));
    return err;
}

static int on_wal(void *arg, sqlite3 *db, const char *schema, int frames)
{
    (void)db;
    (void)schema;
    sqlite_wal_committed(arg, (uint64_t)frames);
    return SQLITE_OK;
}

static enum err prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out)
{
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK)
        return OK;
    return sqlite_err(db, sql);
}

static enum err prepare_all(struct engine *e)
{
    static const char *const sql[] = {
#define X(name, text) text,
        WRITE_STATEMENTS(X)
#undef X
    };
    enum err err = OK;

    for (size_t i = 0; !err && i < WRITE_COUNT; i++)
        err = prepare(e->write, sql[i], &e->statement[i]);
    if (!err)
        err = prepare(e->write, "PRAGMA freelist_count", &e->freelist);
    if (!err)
        err = prepare(e->read, "SELECT slots, bodies FROM batch WHERE id=?1", &e->load_batch);
    if (!err)
        err = prepare(e->read, "SELECT data, checksum FROM part WHERE blob=?1 AND idx=?2",
                      &e->load_part);
    return err;
}

static enum err open_writer(struct engine *e, const char *vfs, uint64_t cache_bytes)
{
    enum err err = make_file(e);

    if (!err)
        err = connect_to(e, vfs, SQLITE_OPEN_READWRITE, cache_bytes, &e->write);
    if (!err)
        err = set_up_writer(e);
    return err ? err : sqlite_schema_upgrade(e->write, e->path);
}

/* An existing file keeps the page size it was made with. */
static enum err read_page_bytes(struct engine *e)
{
    sqlite3_stmt *s = NULL;
    enum err err = prepare(e->write, "PRAGMA page_size", &s);

    if (!err && sqlite3_step(s) == SQLITE_ROW)
        e->page_bytes = (uint64_t)sqlite3_column_int64(s, 0);
    else if (!err)
        err = sqlite_err(e->write, "page_size");
    sqlite3_finalize(s);
    return err;
}

static enum err open_others(struct engine *e, const char *vfs)
{
    enum err err = connect_to(e, vfs, SQLITE_OPEN_READONLY, SMALL_CACHE_BYTES, &e->read);

    if (!err)
        err = connect_to(e, vfs, SQLITE_OPEN_READWRITE, SMALL_CACHE_BYTES, &e->tidy);
    if (!err)
        err = pragma(e->tidy, "wal_autocheckpoint", "0");
    if (!err)
        err = pragma(e->tidy, "synchronous", "FULL");
    if (!err)
        err = read_page_bytes(e);
    return err ? err : prepare_all(e);
}

/* The writer last: who closes last checks in the WAL and removes it. */
static void engine_sqlite_close(struct engine **out)
{
    struct engine *e = *out;

    if (!e)
        return;
    sqlite3_finalize(e->load_batch);
    sqlite3_finalize(e->load_part);
    sqlite3_finalize(e->freelist);
    sqlite3_close(e->read);
    sqlite3_close(e->tidy);
    for (size_t i = 0; i < WRITE_COUNT; i++)
        sqlite3_finalize(e->statement[i]);
    sqlite3_close(e->write);
    pthread_mutex_destroy(&e->reading);
    buf_fini(&e->slots);
    buf_fini(&e->packed);
    mem_free(e->doomed.id);
    mem_free(e->path);
    mem_free(e->dir);
    mem_free(e);
    *out = NULL;
}

static enum err engine_sqlite_open(const struct engine_options *o, struct engine **out)
{
    struct engine *e = mem_new(struct engine);
    uint64_t cache = o->cache_bytes ? o->cache_bytes : DEFAULT_CACHE_BYTES;
    const char *vfs = o->vfs ? o->vfs : sqlite_vfs_over(NULL);
    struct buf path = { 0 };

    buf_fmt(&path, "%s/lodge.db", o->path);
    e->path = bytes_dup_str(buf_view(&path));
    e->dir = mem_strdup(o->path);
    e->checkpoint_bytes = o->checkpoint_bytes ? o->checkpoint_bytes : DEFAULT_CHECKPOINT_BYTES;
    e->counts_used = true; /* until a recovery has seen that there are none */
    buf_fini(&path);
    pthread_mutex_init(&e->reading, NULL);

    enum err err = open_writer(e, vfs, cache < LEAST_CACHE_BYTES ? LEAST_CACHE_BYTES : cache);
    if (!err)
        err = open_others(e, vfs);
    if (err) {
        log_error("store.open", "path=%s err=\"%s\"", e->path, engine_error(e));
        engine_sqlite_close(&e);
        return err;
    }
    sqlite3_wal_hook(e->write, on_wal, e);
    *out = e;
    return OK;
}

/* Pages of the file that hold nothing. */
static uint64_t unused_bytes(const struct engine *e)
{
    uint64_t pages = 0;

    if (sqlite3_step(e->freelist) == SQLITE_ROW)
        pages = (uint64_t)sqlite3_column_int64(e->freelist, 0);
    sqlite3_reset(e->freelist);
    return pages * e->page_bytes;
}

static void measure(struct engine *e, struct commit *c)
{
    struct statvfs fs;
    struct stat file;

    if (c->ended_ns - e->measured_ns >= MEASURE_NS) {
        e->measured_ns = c->ended_ns;
        e->disk_free_bytes = statvfs(e->dir, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : 0;
        /* The file does not shrink: what was drained is room as well, as long as
         * the WAL has room to grow.  Not asked for when it cannot matter. */
        if (e->disk_free_bytes >= e->checkpoint_bytes && e->disk_free_bytes < PLENTY_BYTES)
            e->disk_free_bytes += unused_bytes(e);
        e->file_bytes = stat(e->path, &file) == 0 ? (uint64_t)file.st_size : 0;
    }
    c->disk_free_bytes = e->disk_free_bytes;
    c->file_bytes = e->file_bytes;
    c->wal_bytes = atomic_load(&e->wal_bytes);
}

static enum err delete_doomed(struct engine *e)
{
    enum err err = OK;

    for (unsigned i = 0; !err && i < DOOMED_PER_COMMIT && e->doomed.n > 0; i++)
        err = sqlite_batch_delete(e, e->doomed.id[--e->doomed.n]);
    return err;
}

static enum err write_all(struct engine *e, const struct commit *c)
{
    enum err err = sqlite_run(e, WRITE_BEGIN);

    for (size_t i = 0; !err && i < c->op_count; i++)
        err = sqlite_apply(e, &c->op[i]);
    if (!err)
        err = delete_doomed(e);
    if (!err)
        err = sqlite_run(e, WRITE_COMMIT);
    if (err && !sqlite3_get_autocommit(e->write))
        (void)sqlite3_step(e->statement[WRITE_ROLLBACK]);
    if (err)
        sqlite3_reset(e->statement[WRITE_ROLLBACK]);
    return err;
}

static enum err engine_sqlite_commit(struct engine *e, struct commit *c)
{
    c->began_ns = clock_monotonic_ns();

    bool finishing = sqlite_wal_finish_begin(e);
    enum err err = write_all(e, c);
    if (finishing)
        sqlite_wal_finish_end(e);
    atomic_fetch_add(&e->commits, 1);
    c->ended_ns = clock_monotonic_ns();
    measure(e, c);
    return err;
}

static struct bytes column(sqlite3_stmt *s, int at)
{
    const void *p = sqlite3_column_blob(s, at);

    return bytes_of(p, p ? (size_t)sqlite3_column_bytes(s, at) : 0);
}

/* Exactly as large as it is: batches in memory are counted by their capacity. */
static void copy_exactly(struct buf *b, struct bytes v)
{
    *b = (struct buf){ mem_alloc(v.n), 0, v.n };
    buf_bytes(b, v);
}

static enum err step_to_row(struct engine *e, sqlite3_stmt *s)
{
    int rc = sqlite3_step(s);

    if (rc == SQLITE_ROW)
        return OK;
    return rc == SQLITE_DONE ? ERR_NOT_FOUND : sqlite_err(e->read, "load");
}

/* SQLite gives NULL for a value that it could not read, too. */
static enum err value_err(struct engine *e)
{
    int rc = sqlite3_errcode(e->read);

    return rc == SQLITE_OK || rc == SQLITE_ROW ? OK : sqlite_err(e->read, "load");
}

static enum err engine_sqlite_load(struct engine *e, uint64_t batch_id, struct batch_content **out)
{
    sqlite3_stmt *s = e->load_batch;
    struct buf slots = { 0 }, bodies = { 0 };

    pthread_mutex_lock(&e->reading);
    sqlite3_bind_int64(s, 1, (sqlite3_int64)batch_id);
    enum err err = step_to_row(e, s);
    if (!err) {
        buf_bytes(&slots, column(s, 0));
        copy_exactly(&bodies, column(s, 1));
        err = value_err(e);
    }
    sqlite3_reset(s);
    pthread_mutex_unlock(&e->reading);
    if (!err) {
        err = batch_decode(buf_view(&slots), &bodies, out);
        if (err)
            engine_error_set("batch %" PRIu64 " does not match its checksum", batch_id);
    }
    buf_fini(&slots);
    buf_fini(&bodies);
    return err;
}

static enum err engine_sqlite_load_part(struct engine *e, uint64_t blob_id, uint32_t index,
                                        struct buf *out)
{
    sqlite3_stmt *s = e->load_part;

    pthread_mutex_lock(&e->reading);
    sqlite3_bind_int64(s, 1, (sqlite3_int64)blob_id);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)index);
    enum err err = step_to_row(e, s);
    if (!err) {
        buf_bytes(out, column(s, 0));
        err = value_err(e);
        if (!err && (uint64_t)sqlite3_column_int64(s, 1) !=
                        sqlite_part_sum(blob_id, index, buf_view(out))) {
            engine_error_set("part %" PRIu32 " of blob %" PRIu64 " does not match its checksum",
                             index, blob_id);
            err = ERR_CORRUPT;
        }
    }
    sqlite3_reset(s);
    pthread_mutex_unlock(&e->reading);
    return err;
}

const struct engine_ops engine_sqlite = {
    .name = "sqlite",
    .open = engine_sqlite_open,
    .recover = sqlite_recover,
    .commit = engine_sqlite_commit,
    .load = engine_sqlite_load,
    .load_part = engine_sqlite_load_part,
    .maintain = sqlite_maintain,
    .close = engine_sqlite_close,
};
