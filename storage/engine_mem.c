// SPDX-License-Identifier: MIT
#include "storage/engine_mem.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "storage/engine_error.h"
#include "storage/mem_disk.h"

struct engine {
    struct mem_disk *disk;
    bool owns_disk;
};

static void disk_lock(struct mem_disk *d)
{
    while (atomic_flag_test_and_set_explicit(&d->lock, memory_order_acquire))
        ;
}

static void disk_unlock(struct mem_disk *d)
{
    atomic_flag_clear_explicit(&d->lock, memory_order_release);
}

struct mem_disk *mem_disk_new(void)
{
    struct mem_disk *d = mem_new(struct mem_disk);

    atomic_flag_clear(&d->lock);
    d->clean_stop = true;
    return d;
}

struct mem_disk *mem_disk_fork(const struct mem_disk *d)
{
    struct mem_disk *f = mem_disk_new();

    for (size_t i = 0; i < TABLE_COUNT; i++)
        mem_table_copy(&f->table[i], &d->table[i]);
    mem_table_copy(&f->user, &d->user);
    mem_table_copy(&f->permission, &d->permission);
    mem_table_copy(&f->topic_permission, &d->topic_permission);
    mem_table_copy(&f->retained, &d->retained);
    f->boot = d->boot;
    f->commits = d->commits;
    f->clean_stop = d->clean_stop;
    return f;
}

void mem_disk_free(struct mem_disk **d)
{
    if (!*d)
        return;
    for (size_t i = 0; i < TABLE_COUNT; i++)
        mem_table_fini(&(*d)->table[i]);
    mem_table_fini(&(*d)->user);
    mem_table_fini(&(*d)->permission);
    mem_table_fini(&(*d)->topic_permission);
    mem_table_fini(&(*d)->retained);
    mem_free(*d);
    *d = NULL;
}

struct engine *engine_mem_on(struct mem_disk *d)
{
    struct engine *e = mem_new(struct engine);

    e->disk = d;
    return e;
}

struct mem_disk *engine_mem_disk(struct engine *e)
{
    return e->disk;
}

void mem_disk_fate(struct mem_disk *d, unsigned skip, enum mem_fate fate)
{
    atomic_store(&d->skip, skip);
    atomic_store(&d->fate, 1 + (unsigned)fate);
}

void mem_disk_gate(struct mem_disk *d, void (*gate)(void *arg, const struct commit *c), void *arg)
{
    d->gate = gate;
    d->gate_arg = arg;
}

void mem_disk_fail_loads(struct mem_disk *d, bool fail)
{
    atomic_store(&d->fail_loads, fail);
}

bool mem_disk_flip(struct mem_disk *d, uint64_t batch_id, bool bodies, uint64_t bit)
{
    struct mem_row *r = mem_table_find(&d->table[TABLE_BATCH], batch_id, 0);
    struct buf *b = r ? (bodies ? &r->y : &r->x) : NULL;

    if (!b || b->n == 0)
        return false;
    bit %= b->n * 8;
    b->p[bit / 8] = (uint8_t)(b->p[bit / 8] ^ 1u << (bit % 8));
    return true;
}

struct mem_disk_stats mem_disk_stats(const struct mem_disk *d)
{
    struct mem_disk_stats s = {
        .commits = d->commits,
        .batches = d->table[TABLE_BATCH].n,
        .settled = d->table[TABLE_SETTLED].n,
        .deliveries = d->table[TABLE_DELIVERIES].n,
        .blobs = d->table[TABLE_BLOB].n,
        .parts = d->table[TABLE_PART].n,
        .notes = d->table[TABLE_NOTE].n,
        .retained = d->retained.n,
    };

    for (size_t i = 0; i < d->table[TABLE_BATCH].n; i++)
        s.batch_bytes += d->table[TABLE_BATCH].row[i].x.n + d->table[TABLE_BATCH].row[i].y.n;
    return s;
}

bool mem_disk_batch_id(const struct mem_disk *d, size_t i, uint64_t *id_out)
{
    if (i >= d->table[TABLE_BATCH].n)
        return false;
    *id_out = d->table[TABLE_BATCH].row[i].a;
    return true;
}

static enum err mem_open(const struct engine_options *o, struct engine **out)
{
    (void)o;
    *out = engine_mem_on(mem_disk_new());
    (*out)->owns_disk = true;
    return OK;
}

static void mem_close(struct engine **e)
{
    if (!*e)
        return;
    if ((*e)->owns_disk)
        mem_disk_free(&(*e)->disk);
    mem_free(*e);
    *e = NULL;
}

static void batch_put(struct mem_disk *d, const struct op *o)
{
    struct mem_row *r = mem_table_put(&d->table[TABLE_BATCH], o->batch_id, 0);

    batch_encode(o->content, o->bits.n ? o->bits.p : NULL, &r->x, &r->y);
    if (r->y.n == 0)
        buf_bytes(&r->y, buf_view(&o->content->bodies));
}

static void batch_delete(struct mem_disk *d, uint64_t id)
{
    mem_table_delete(&d->table[TABLE_BATCH], id, 0);
    mem_table_delete(&d->table[TABLE_SETTLED], id, 0);
    mem_table_delete_all(&d->table[TABLE_DELIVERIES], id);
}

static void apply_message(struct mem_disk *d, const struct op *o)
{
    struct mem_table *t = d->table;

    if (o->kind == OP_BATCH_PUT) {
        batch_put(d, o);
    } else if (o->kind == OP_BATCH_DELETE) {
        batch_delete(d, o->batch_id);
    } else if (o->kind == OP_SETTLED_PUT) {
        buf_bytes(&mem_table_put(&t[TABLE_SETTLED], o->batch_id, 0)->x, o->bits);
    } else if (o->kind == OP_DELIVERIES_PUT) {
        mem_table_put(&t[TABLE_DELIVERIES], o->batch_id, o->slot)->value = o->count;
    } else if (o->kind == OP_PART_PUT) {
        buf_bytes(&mem_table_put(&t[TABLE_PART], o->blob_id, o->index)->x, o->bits);
    } else if (o->kind == OP_BLOB_PUT) {
        mem_table_put(&t[TABLE_BLOB], o->blob_id, 0)->value = o->size;
    } else if (o->kind == OP_BLOB_DELETE) {
        mem_table_delete(&t[TABLE_BLOB], o->blob_id, 0);
        mem_table_delete_all(&t[TABLE_PART], o->blob_id);
    } else {
        CHECK(o->kind == OP_BOOT);
        d->boot = o->id;
        d->clean_stop = o->flag;
    }
}

static enum mem_fate next_fate(struct mem_disk *d)
{
    unsigned fate = atomic_load(&d->fate);

    if (fate == 0)
        return MEM_FATE_LAND;
    if (atomic_load(&d->skip) > 0) {
        atomic_fetch_sub(&d->skip, 1);
        return MEM_FATE_LAND;
    }
    atomic_store(&d->fate, 0);
    return (enum mem_fate)(fate - 1);
}

static enum err mem_commit(struct engine *e, struct commit *c)
{
    struct mem_disk *d = e->disk;

    c->began_ns = clock_monotonic_ns();
    if (d->gate)
        d->gate(d->gate_arg, c);

    enum mem_fate fate = next_fate(d);
    disk_lock(d);
    for (size_t i = 0; i < c->op_count && fate != MEM_FATE_LOSE; i++)
        if (!mem_apply_definition(d, &c->op[i]))
            apply_message(d, &c->op[i]);
    d->commits += fate != MEM_FATE_LOSE;
    disk_unlock(d);
    c->disk_free_bytes = UINT64_MAX;
    c->file_bytes = c->wal_bytes = 0;
    c->ended_ns = clock_monotonic_ns();
    if (fate == MEM_FATE_LAND)
        return OK;
    engine_error_set("commit failed on order");
    return ERR_IO;
}

/* A batch that was spilled only for room; damaged ones are kept. */
static bool is_spilled(const struct mem_row *r)
{
    struct batch_content *c = NULL;
    bool transient = false;

    if (batch_summarise(buf_view(&r->x), (struct bytes){ NULL, 0 }, &c) == OK)
        transient = c->transient;
    batch_content_free(&c);
    return transient;
}

static void drop_orphans(struct mem_disk *d, struct mem_table *t)
{
    for (size_t i = 0; i < t->n;)
        if (!mem_table_find(&d->table[TABLE_BATCH], t->row[i].a, 0))
            mem_table_delete_all(t, t->row[i].a);
        else
            i++;
}

/* What a start throws away: spilled batches, parts of a blob never made whole. */
static void sweep(struct mem_disk *d)
{
    struct mem_table *batch = &d->table[TABLE_BATCH], *part = &d->table[TABLE_PART];

    for (size_t i = 0; i < batch->n;)
        if (is_spilled(&batch->row[i]))
            batch_delete(d, batch->row[i].a);
        else
            i++;
    for (size_t i = 0; i < part->n;)
        if (!mem_table_find(&d->table[TABLE_BLOB], part->row[i].a, 0))
            mem_table_delete_all(part, part->row[i].a);
        else
            i++;
    drop_orphans(d, &d->table[TABLE_SETTLED]);
    drop_orphans(d, &d->table[TABLE_DELIVERIES]);
}

/* False: the row is damaged. */
static bool recover_batch(struct mem_disk *d, const struct mem_row *r,
                          const struct recover_sink *sink, void *arg)
{
    struct mem_row *bits = mem_table_find(&d->table[TABLE_SETTLED], r->a, 0);
    struct bytes settled = bits ? buf_view(&bits->x) : (struct bytes){ NULL, 0 };
    struct batch_content *summary = NULL;

    if (batch_summarise(buf_view(&r->x), settled, &summary) == OK) {
        sink->batch(arg, r->a, summary, settled);
        return true;
    }
    sink->damaged(arg, r->a, "slots do not match their checksum");
    return false;
}

/* Deliveries only of batches that the sink was given. */
static void recover_batches(struct mem_disk *d, const struct recover_sink *sink, void *arg)
{
    const struct mem_table *batch = &d->table[TABLE_BATCH], *count = &d->table[TABLE_DELIVERIES];
    struct mem_table known = { 0 };

    for (size_t i = 0; i < batch->n; i++)
        if (recover_batch(d, &batch->row[i], sink, arg))
            (void)mem_table_put(&known, batch->row[i].a, 0);
    for (size_t i = 0; i < count->n; i++) {
        const struct mem_row *r = &count->row[i];

        if (mem_table_find(&known, r->a, 0))
            sink->deliveries(arg, r->a, (uint32_t)r->b, (uint32_t)r->value);
    }
    mem_table_fini(&known);
}

static enum err mem_recover(struct engine *e, const struct recover_sink *sink, void *arg)
{
    struct mem_disk *d = e->disk;

    sweep(d);
    sink->boot(arg, d->boot, d->clean_stop);
    mem_recover_definitions(d, sink, arg);
    for (size_t i = 0; i < d->table[TABLE_BLOB].n; i++)
        sink->blob(arg, d->table[TABLE_BLOB].row[i].a, d->table[TABLE_BLOB].row[i].value);
    recover_batches(d, sink, arg);
    return OK;
}

static enum err mem_load(struct engine *e, uint64_t batch_id, struct batch_content **out)
{
    struct buf slots = { 0 }, bodies = { 0 };
    struct mem_row *r;
    bool found;
    enum err err = ERR_NOT_FOUND;

    if (atomic_load(&e->disk->fail_loads))
        return ERR_IO;
    disk_lock(e->disk);
    r = mem_table_find(&e->disk->table[TABLE_BATCH], batch_id, 0);
    found = r != NULL;
    if (r) {
        buf_bytes(&slots, buf_view(&r->x));
        buf_bytes(&bodies, buf_view(&r->y));
    }
    disk_unlock(e->disk);
    if (found)
        err = batch_decode(buf_view(&slots), &bodies, out);
    buf_fini(&slots);
    return err;
}

static enum err mem_load_part(struct engine *e, uint64_t blob_id, uint32_t index, struct buf *out)
{
    struct mem_row *r;

    if (atomic_load(&e->disk->fail_loads))
        return ERR_IO;
    disk_lock(e->disk);
    r = mem_table_find(&e->disk->table[TABLE_PART], blob_id, index);
    if (r)
        buf_bytes(out, buf_view(&r->x));
    disk_unlock(e->disk);
    return r ? OK : ERR_NOT_FOUND;
}

static bool mem_maintain(struct engine *e)
{
    (void)e;
    return false;
}

const struct engine_ops engine_mem = {
    .name = "mem",
    .open = mem_open,
    .recover = mem_recover,
    .commit = mem_commit,
    .load = mem_load,
    .load_part = mem_load_part,
    .maintain = mem_maintain,
    .close = mem_close,
};
