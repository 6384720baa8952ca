// SPDX-License-Identifier: MIT
#include "storage/sqlite_vfs.h"

#include <sqlite3.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"

/* SQLite's unix VFS takes the length of one write modulo 128 KiB (`nBuf &= 0x1ffff`
 * in seekAndWriteFd), and calls a write of nothing "disk full". */
enum { GATHER_BYTES = 512 * 1024, WRITE_MAX_BYTES = 124 * 1024 };

/* How far the file is written ahead with zeros: as much as there is, within these. */
enum { AHEAD_MIN_BYTES = 128 * 1024, AHEAD_MAX_BYTES = 2 * 1024 * 1024 };

struct gather_vfs {
    sqlite3_vfs vfs; /* first: what SQLite sees */
    char name[64];
};

struct gather_file {
    sqlite3_file file; /* first: what SQLite sees */
    sqlite3_file *real;
    uint8_t *data; /* GATHER_BYTES, from the first write on */
    size_t n;
    sqlite3_int64 at;  /* where data belongs in the file */
    sqlite3_int64 end; /* of the file; negative: not known */
};

static sqlite3_vfs *base_of(sqlite3_vfs *v)
{
    return v->pAppData;
}

static struct gather_file *gather_of(sqlite3_file *f)
{
    return (struct gather_file *)(void *)f;
}

static sqlite3_file *real_of(sqlite3_file *f)
{
    return gather_of(f)->real;
}

static int write_all(struct gather_file *g, const uint8_t *from, size_t size, sqlite3_int64 at)
{
    for (size_t done = 0; done < size;) {
        size_t n = size - done < WRITE_MAX_BYTES ? size - done : WRITE_MAX_BYTES;
        int rc = g->real->pMethods->xWrite(g->real, from + done, (int)n, at + (sqlite3_int64)done);

        if (rc != SQLITE_OK)
            return rc;
        done += n;
    }
    return SQLITE_OK;
}

/* Grows the file past `to` with zeros, if it ends before.  To sync what lies
 * inside a file costs half of what it costs to sync its new end, which takes a
 * commit of the file system's own.  Zeros are no frames: recovery stops there.
 * When the disk is full there is no room ahead, and that is all. */
static void write_ahead(struct gather_file *g, sqlite3_int64 to)
{
    sqlite3_int64 ahead;

    if (g->end < 0 && g->real->pMethods->xFileSize(g->real, &g->end) != SQLITE_OK)
        return;
    if (to < g->end)
        return;
    ahead = to < AHEAD_MIN_BYTES ? AHEAD_MIN_BYTES : to;
    ahead = ahead < AHEAD_MAX_BYTES ? ahead : AHEAD_MAX_BYTES;

    uint8_t *zeros = mem_zalloc((size_t)ahead);
    g->end = write_all(g, zeros, (size_t)ahead, to) == SQLITE_OK ? to + ahead : -1;
    mem_free(zeros);
}

static int write_through(struct gather_file *g, const uint8_t *from, size_t n, sqlite3_int64 at)
{
    int rc = write_all(g, from, n, at);

    if (rc == SQLITE_OK)
        write_ahead(g, at + (sqlite3_int64)n);
    return rc;
}

static int flush(struct gather_file *g)
{
    int rc = g->n ? write_through(g, g->data, g->n, g->at) : SQLITE_OK;

    if (rc == SQLITE_OK)
        g->n = 0;
    return rc;
}

static int on_close(sqlite3_file *f)
{
    struct gather_file *g = gather_of(f);
    int flushed = flush(g), closed = g->real->pMethods->xClose(g->real);

    mem_free(g->data);
    g->data = NULL;
    return flushed != SQLITE_OK ? flushed : closed;
}

static int on_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
    int rc = flush(gather_of(f));

    return rc != SQLITE_OK ? rc : real_of(f)->pMethods->xRead(real_of(f), to, n, at);
}

static int on_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
    struct gather_file *g = gather_of(f);
    size_t size = (size_t)n;

    if (g->n > 0 && (at != g->at + (sqlite3_int64)g->n || size > GATHER_BYTES - g->n)) {
        int rc = flush(g);
        if (rc != SQLITE_OK)
            return rc;
    }
    if (size > GATHER_BYTES)
        return write_through(g, from, size, at);
    if (!g->data)
        g->data = mem_alloc(GATHER_BYTES);
    if (g->n == 0)
        g->at = at;
    memcpy(g->data + g->n, from, size);
    g->n += size;
    return SQLITE_OK;
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    int rc = flush(gather_of(f));

    gather_of(f)->end = -1;
    return rc != SQLITE_OK ? rc : real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int on_sync(sqlite3_file *f, int flags)
{
    int rc = flush(gather_of(f));

    return rc != SQLITE_OK ? rc : real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int on_size(sqlite3_file *f, sqlite3_int64 *size)
{
    int rc = flush(gather_of(f));

    return rc != SQLITE_OK ? rc : real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int on_lock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int on_unlock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int on_reserved(sqlite3_file *f, int *out)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int on_control(sqlite3_file *f, int op, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int on_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int on_device(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

/* Version 1: a WAL file is neither shared memory nor mapped. */
static const sqlite3_io_methods gather_methods = {
    .iVersion = 1,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_reserved,
    .xFileControl = on_control,
    .xSectorSize = on_sector,
    .xDeviceCharacteristics = on_device,
};

/* Only WAL files are gathered; the others are the real ones themselves. */
static int on_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
    struct gather_file *g = gather_of(f);

    if (!(flags & SQLITE_OPEN_WAL))
        return base_of(v)->xOpen(base_of(v), name, f, flags, out_flags);
    memset(g, 0, sizeof *g);
    g->end = -1;
    g->real = (sqlite3_file *)(void *)(g + 1);

    int rc = base_of(v)->xOpen(base_of(v), name, g->real, flags, out_flags);
    if (rc == SQLITE_OK)
        f->pMethods = &gather_methods;
    return rc;
}

static int on_delete(sqlite3_vfs *v, const char *name, int sync_dir)
{
    return base_of(v)->xDelete(base_of(v), name, sync_dir);
}

static int on_access(sqlite3_vfs *v, const char *name, int flags, int *out)
{
    return base_of(v)->xAccess(base_of(v), name, flags, out);
}

static int on_full_path(sqlite3_vfs *v, const char *name, int n, char *out)
{
    return base_of(v)->xFullPathname(base_of(v), name, n, out);
}

static int on_randomness(sqlite3_vfs *v, int n, char *out)
{
    return base_of(v)->xRandomness(base_of(v), n, out);
}

static int on_sleep(sqlite3_vfs *v, int us)
{
    return base_of(v)->xSleep(base_of(v), us);
}

static int on_time(sqlite3_vfs *v, double *out)
{
    return base_of(v)->xCurrentTime(base_of(v), out);
}

static int on_last_error(sqlite3_vfs *v, int n, char *out)
{
    return base_of(v)->xGetLastError(base_of(v), n, out);
}

const char *sqlite_vfs_over(const char *base)
{
    char name[64];
    sqlite3_vfs *under = sqlite3_vfs_find(base), *known;

    if (!under)
        return NULL;
    (void)snprintf(name, sizeof name, "gather-%s", under->zName);
    known = sqlite3_vfs_find(name);
    if (known)
        return known->zName;

    struct gather_vfs *g = mem_new(struct gather_vfs); /* lives as long as the process */
    memcpy(g->name, name, sizeof name);
    g->vfs = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = (int)sizeof(struct gather_file) + under->szOsFile,
        .mxPathname = under->mxPathname,
        .zName = g->name,
        .pAppData = under,
        .xOpen = on_open,
        .xDelete = on_delete,
        .xAccess = on_access,
        .xFullPathname = on_full_path,
        .xRandomness = on_randomness,
        .xSleep = on_sleep,
        .xCurrentTime = on_time,
        .xGetLastError = on_last_error,
    };
    if (sqlite3_vfs_register(&g->vfs, 0) != SQLITE_OK) {
        mem_free(g);
        return NULL;
    }
    return g->name;
}
