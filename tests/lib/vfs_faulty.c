// SPDX-License-Identifier: MIT
#include "tests/lib/vfs_faulty.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"

enum { SECTOR = 512, FILES_MAX = 16 };

/* What was asked of a file since its last sync. */
struct pending {
    struct pending *next;
    bool truncate;
    uint64_t at; /* of a truncation: the new size */
    struct buf data;
};

struct node {
    char *path;
    struct buf durable;  /* what a power cut leaves for certain */
    bool exists_durably; /* its entry in the directory, too */
    bool syncs_dir;      /* made by this handle: its first sync syncs the directory */
    bool deleted;        /* and the directory was not synced since */
    struct pending *first, **last;
};

struct faulty_file {
    sqlite3_file file;
    sqlite3_file *real;
    struct node *node; /* NULL: not one that counts */
};

static struct {
    sqlite3_vfs vfs, *base;
    struct node node[FILES_MAX];
    size_t node_count;
    uint64_t ops, cut_at, fail_from, fail_to, bytes, rng;
    int fail_rc;
    bool off, failed;
} world;

static uint64_t rnd(void)
{
    world.rng ^= world.rng << 13;
    world.rng ^= world.rng >> 7;
    world.rng ^= world.rng << 17;
    return world.rng;
}

static bool coin(void)
{
    return rnd() >> 40 & 1;
}

static void pending_clear(struct node *n)
{
    for (struct pending *p = n->first, *next; p; p = next) {
        next = p->next;
        buf_fini(&p->data);
        mem_free(p);
    }
    n->first = NULL;
    n->last = &n->first;
}

/* `durable` after a write or truncation. */
static void apply_write(struct buf *to, uint64_t at, const uint8_t *p, size_t n)
{
    if (at + n > to->n) {
        size_t had = to->n;
        (void)buf_reserve(to, at + n - had);
        memset(to->p + had, 0, at + n - had);
        to->n = at + n;
    }
    memcpy(to->p + at, p, n);
}

static void apply_truncate(struct buf *to, uint64_t size)
{
    if (size < to->n)
        to->n = size;
}

static void apply_whole(struct node *n)
{
    for (struct pending *p = n->first; p; p = p->next)
        if (p->truncate)
            apply_truncate(&n->durable, p->at);
        else
            apply_write(&n->durable, p->at, p->data.p, p->data.n);
    pending_clear(n);
}

/* Each sector for itself: there, not there, or (now and then) noise in its place. */
static void apply_torn_write(struct buf *to, const struct pending *p)
{
    size_t done = 0;
    uint8_t noise[SECTOR];

    while (done < p->data.n) {
        uint64_t at = p->at + done;
        size_t n = SECTOR - at % SECTOR;

        if (n > p->data.n - done)
            n = p->data.n - done;
        if (coin()) {
            apply_write(to, at, p->data.p + done, n);
        } else if (at >= to->n && rnd() % 16 == 0) {
            memset(noise, (int)(rnd() & 0xff), n);
            apply_write(to, at, noise, n);
        }
        done += n;
    }
}

/* Some cuts lose all that was not synced, some lose nothing; most tear. */
static void apply_torn(struct node *n)
{
    unsigned mood = (unsigned)(rnd() >> 33) % 8;

    if (mood == 0)
        pending_clear(n);
    if (mood == 1)
        apply_whole(n);
    for (struct pending *p = n->first; p; p = p->next)
        if (!p->truncate)
            apply_torn_write(&n->durable, p);
        else if (coin())
            apply_truncate(&n->durable, p->at);
    pending_clear(n);
}

static void read_whole(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");

    out->n = 0;
    for (size_t n = 1; f && n > 0; out->n += n)
        n = fread(buf_reserve(out, 65536), 1, 65536, f);
    if (f)
        (void)fclose(f);
}

static void write_whole(const char *path, const struct buf *b)
{
    FILE *f = fopen(path, "wb");

    CHECK(f && fwrite(b->p ? b->p : (const uint8_t *)"", 1, b->n, f) == b->n);
    CHECK(fclose(f) == 0);
}

static struct node *node_of(const char *path)
{
    for (size_t i = 0; i < world.node_count; i++)
        if (strcmp(world.node[i].path, path) == 0)
            return &world.node[i];
    CHECK(world.node_count < FILES_MAX);

    struct node *n = &world.node[world.node_count++];
    *n = (struct node){ .path = mem_strdup(path), .exists_durably = access(path, F_OK) == 0 };
    n->last = &n->first;
    if (n->exists_durably)
        read_whole(path, &n->durable);
    return n;
}

static void forget_content(struct node *n)
{
    pending_clear(n);
    n->durable.n = 0;
    n->exists_durably = n->deleted = false;
}

static void sync_directory(void)
{
    for (size_t i = 0; i < world.node_count; i++) {
        struct node *n = &world.node[i];

        n->syncs_dir = false;
        if (n->deleted)
            forget_content(n);
        else
            n->exists_durably = n->exists_durably || access(n->path, F_OK) == 0;
    }
}

static struct pending *pending_add(struct node *n, uint64_t at)
{
    struct pending *p = mem_new(struct pending);

    p->at = at;
    *n->last = p;
    n->last = &p->next;
    return p;
}

/* Counts an operation; other than OK is what it must return. */
static int operation(void)
{
    if (world.off)
        return SQLITE_IOERR;
    world.ops++;
    if (world.ops == world.cut_at)
        world.off = true;
    if (world.ops >= world.fail_from && world.ops <= world.fail_to) {
        world.failed = true;
        return world.fail_rc;
    }
    return SQLITE_OK;
}

static struct faulty_file *faulty_of(sqlite3_file *f)
{
    return (struct faulty_file *)(void *)f;
}

static const sqlite3_io_methods *methods(sqlite3_file *f)
{
    return faulty_of(f)->real->pMethods;
}

static int on_close(sqlite3_file *f)
{
    return methods(f)->xClose(faulty_of(f)->real);
}

static int on_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
    return world.off ? SQLITE_IOERR_READ : methods(f)->xRead(faulty_of(f)->real, to, n, at);
}

static int on_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
    struct node *node = faulty_of(f)->node;
    int rc = node ? operation() : SQLITE_OK;

    if (rc != SQLITE_OK)
        return rc;
    world.bytes += (uint64_t)n;
    if (node)
        buf_put(&pending_add(node, (uint64_t)at)->data, from, (size_t)n);
    rc = methods(f)->xWrite(faulty_of(f)->real, from, n, at);
    return world.off ? SQLITE_IOERR_WRITE : rc;
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct node *node = faulty_of(f)->node;
    int rc = node ? operation() : SQLITE_OK;

    if (rc != SQLITE_OK)
        return rc;
    if (node)
        pending_add(node, (uint64_t)size)->truncate = true;
    rc = methods(f)->xTruncate(faulty_of(f)->real, size);
    return world.off ? SQLITE_IOERR_TRUNCATE : rc;
}

static int on_sync(sqlite3_file *f, int flags)
{
    struct node *node = faulty_of(f)->node;
    int rc = node ? operation() : SQLITE_OK;

    (void)flags;
    if (rc != SQLITE_OK || world.off)
        return rc != SQLITE_OK ? rc : SQLITE_IOERR_FSYNC;
    if (node) {
        apply_whole(node);
        if (node->syncs_dir)
            sync_directory();
    }
    return SQLITE_OK;
}

static int on_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return world.off ? SQLITE_IOERR_FSTAT : methods(f)->xFileSize(faulty_of(f)->real, size);
}

static int on_lock(sqlite3_file *f, int level)
{
    return methods(f)->xLock(faulty_of(f)->real, level);
}

static int on_unlock(sqlite3_file *f, int level)
{
    return methods(f)->xUnlock(faulty_of(f)->real, level);
}

static int on_reserved(sqlite3_file *f, int *out)
{
    return methods(f)->xCheckReservedLock(faulty_of(f)->real, out);
}

static int on_control(sqlite3_file *f, int op, void *arg)
{
    return methods(f)->xFileControl(faulty_of(f)->real, op, arg);
}

static int on_sector(sqlite3_file *f)
{
    return methods(f)->xSectorSize(faulty_of(f)->real);
}

static int on_device(sqlite3_file *f)
{
    return methods(f)->xDeviceCharacteristics(faulty_of(f)->real);
}

static int on_shm_map(sqlite3_file *f, int page, int n, int extend, void volatile **out)
{
    return methods(f)->xShmMap(faulty_of(f)->real, page, n, extend, out);
}

static int on_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    return methods(f)->xShmLock(faulty_of(f)->real, at, n, flags);
}

static void on_shm_barrier(sqlite3_file *f)
{
    methods(f)->xShmBarrier(faulty_of(f)->real);
}

static int on_shm_unmap(sqlite3_file *f, int remove)
{
    return methods(f)->xShmUnmap(faulty_of(f)->real, remove);
}

static const sqlite3_io_methods faulty_methods = {
    .iVersion = 2,
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
    .xShmMap = on_shm_map,
    .xShmLock = on_shm_lock,
    .xShmBarrier = on_shm_barrier,
    .xShmUnmap = on_shm_unmap,
};

static int on_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
    struct faulty_file *file = faulty_of(f);
    int counts = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL;

    (void)v;
    memset(file, 0, sizeof *file);
    if (world.off)
        return SQLITE_CANTOPEN;
    file->real = (sqlite3_file *)(void *)(file + 1);
    if (name && flags & counts) {
        file->node = node_of(name);
        if (access(name, F_OK) != 0) { /* unix syncs the directory of a log it made */
            forget_content(file->node);
            file->node->syncs_dir = !(flags & SQLITE_OPEN_MAIN_DB);
        }
    }

    int rc = world.base->xOpen(world.base, name, file->real, flags, out_flags);
    if (rc == SQLITE_OK)
        f->pMethods = &faulty_methods;
    return rc;
}

static int on_delete(sqlite3_vfs *v, const char *name, int sync_dir)
{
    struct node *n = node_of(name);
    int rc = operation();

    (void)v;
    if (rc != SQLITE_OK)
        return rc;
    if (world.off)
        return SQLITE_IOERR_DELETE;
    /* Until the directory is synced the file may be back after a cut. */
    pending_clear(n);
    n->deleted = true;
    if (sync_dir)
        sync_directory();
    return world.base->xDelete(world.base, name, 0);
}

static int on_access(sqlite3_vfs *v, const char *name, int flags, int *out)
{
    (void)v;
    return world.base->xAccess(world.base, name, flags, out);
}

static int on_full_path(sqlite3_vfs *v, const char *name, int n, char *out)
{
    (void)v;
    return world.base->xFullPathname(world.base, name, n, out);
}

static int on_randomness(sqlite3_vfs *v, int n, char *out)
{
    (void)v;
    for (int i = 0; i < n; i++) /* of the seed, so that a run can be repeated */
        out[i] = (char)rnd();
    return n;
}

static int on_sleep(sqlite3_vfs *v, int us)
{
    (void)v;
    return world.base->xSleep(world.base, us);
}

static int on_time(sqlite3_vfs *v, double *out)
{
    (void)v;
    return world.base->xCurrentTime(world.base, out);
}

static int on_last_error(sqlite3_vfs *v, int n, char *out)
{
    (void)v;
    return world.base->xGetLastError(world.base, n, out);
}

static void forget_files(void)
{
    for (size_t i = 0; i < world.node_count; i++) {
        pending_clear(&world.node[i]);
        buf_fini(&world.node[i].durable);
        mem_free(world.node[i].path);
    }
    world.node_count = 0;
}

void vfs_faulty_start(uint64_t seed)
{
    forget_files();
    world.ops = world.cut_at = world.fail_from = world.fail_to = world.bytes = 0;
    world.off = world.failed = false;
    world.rng = seed * 0x9e3779b97f4a7c15 + 1;
    if (world.base)
        return;
    world.base = sqlite3_vfs_find(NULL);
    world.vfs = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = (int)sizeof(struct faulty_file) + world.base->szOsFile,
        .mxPathname = world.base->mxPathname,
        .zName = "faulty",
        .xOpen = on_open,
        .xDelete = on_delete,
        .xAccess = on_access,
        .xFullPathname = on_full_path,
        .xRandomness = on_randomness,
        .xSleep = on_sleep,
        .xCurrentTime = on_time,
        .xGetLastError = on_last_error,
    };
    CHECK(sqlite3_vfs_register(&world.vfs, 0) == SQLITE_OK);
}

void vfs_faulty_cut_at(uint64_t op)
{
    world.cut_at = op;
}

void vfs_faulty_cut_now(void)
{
    world.off = true;
}

bool vfs_faulty_is_off(void)
{
    return world.off;
}

void vfs_faulty_fail_at(uint64_t op, uint64_t more, int rc)
{
    world.fail_from = op;
    world.fail_to = op + more;
    world.fail_rc = rc;
}

bool vfs_faulty_failed(void)
{
    return world.failed;
}

uint64_t vfs_faulty_ops(void)
{
    return world.ops;
}

uint64_t vfs_faulty_bytes(void)
{
    return world.bytes;
}

void vfs_faulty_reboot(bool power)
{
    for (size_t i = 0; i < world.node_count; i++) {
        struct node *n = &world.node[i];
        struct buf index = { 0 };

        buf_fmt(&index, "%s-shm", n->path);
        (void)unlink((const char *)index.p);
        buf_fini(&index);
        if (!power)
            continue;
        bool exists = n->exists_durably ? !n->deleted || coin() : n->first && coin();
        apply_torn(n);
        if (exists)
            write_whole(n->path, &n->durable);
        else
            (void)unlink(n->path);
    }
    forget_files();
    world.cut_at = world.fail_from = world.fail_to = 0;
    world.off = world.failed = false;
}
