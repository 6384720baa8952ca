// SPDX-License-Identifier: MIT
/* sqlite_apply.c - each operation of op.h as statements. */
#include "base/check.h"
#include "base/mem.h"
#include "storage/sqlite_engine.h"
#include "storage/sqlite_schema.h"

/* A buffer that grew for one huge batch is not kept. */
enum { KEEP_BYTES = 1024 * 1024 };

enum err sqlite_run(struct engine *e, enum write_statement which)
{
    sqlite3_stmt *s = e->statement[which];
    int stepped = sqlite3_step(s), reset = sqlite3_reset(s);

    if (stepped == SQLITE_DONE && reset == SQLITE_OK)
        return OK;
    return sqlite_err(e->write, sqlite3_sql(s));
}

/* Binding fails only out of memory or out of range: our own fault, both. */
static void bind_number(struct engine *e, enum write_statement which, int at, uint64_t v)
{
    CHECK(sqlite3_bind_int64(e->statement[which], at, (sqlite3_int64)v) == SQLITE_OK);
}

/* Without a copy: what is bound lives until the statement has run. */
static void bind_blob(struct engine *e, enum write_statement which, int at, struct bytes v)
{
    sqlite3_stmt *s = e->statement[which];
    int rc = v.n ? sqlite3_bind_blob64(s, at, v.p, v.n, SQLITE_STATIC)
                 : sqlite3_bind_zeroblob(s, at, 0);

    CHECK(rc == SQLITE_OK);
}

static void bind_text(struct engine *e, enum write_statement which, int at, struct bytes v)
{
    const char *p = v.n ? (const char *)v.p : "";

    CHECK(sqlite3_bind_text64(e->statement[which], at, p, v.n, SQLITE_STATIC, SQLITE_UTF8) ==
          SQLITE_OK);
}

static enum err run_by_id(struct engine *e, enum write_statement which, uint64_t id)
{
    bind_number(e, which, 1, id);
    return sqlite_run(e, which);
}

enum err sqlite_batch_delete(struct engine *e, uint64_t batch_id)
{
    enum err err = run_by_id(e, WRITE_BATCH_DELETE, batch_id);

    if (!err)
        err = run_by_id(e, WRITE_SETTLED_DELETE, batch_id);
    if (!err && e->counts_used)
        err = run_by_id(e, WRITE_COUNTS_DELETE, batch_id);
    return err;
}

static void buf_reset(struct buf *b)
{
    if (b->cap > KEEP_BYTES)
        buf_fini(b);
    b->n = 0;
}

static enum err batch_put(struct engine *e, const struct op *o)
{
    enum err err = OK;

    if (doomed_has(&e->doomed, o->batch_id)) {
        err = sqlite_batch_delete(e, o->batch_id);
        doomed_remove(&e->doomed, o->batch_id);
    }
    if (err)
        return err;
    batch_encode(o->content, o->bits.n ? o->bits.p : NULL, &e->slots, &e->packed);
    bind_number(e, WRITE_BATCH_PUT, 1, o->batch_id);
    bind_blob(e, WRITE_BATCH_PUT, 2, buf_view(&e->slots));
    bind_blob(e, WRITE_BATCH_PUT, 3, buf_view(e->packed.n ? &e->packed : &o->content->bodies));
    err = sqlite_run(e, WRITE_BATCH_PUT);
    buf_reset(&e->slots);
    buf_reset(&e->packed);
    return err;
}

static enum err settled_put(struct engine *e, const struct op *o)
{
    bind_number(e, WRITE_SETTLED_PUT, 1, o->batch_id);
    bind_blob(e, WRITE_SETTLED_PUT, 2, o->bits);
    return sqlite_run(e, WRITE_SETTLED_PUT);
}

static enum err count_put(struct engine *e, const struct op *o)
{
    e->counts_used = true;
    bind_number(e, WRITE_COUNT_PUT, 1, o->batch_id);
    bind_number(e, WRITE_COUNT_PUT, 2, o->slot);
    bind_number(e, WRITE_COUNT_PUT, 3, o->count);
    return sqlite_run(e, WRITE_COUNT_PUT);
}

/* Of a part in its place: another part's bytes are as wrong as altered ones. */
uint64_t sqlite_part_sum(uint64_t blob_id, uint32_t index, struct bytes data)
{
    return bytes_hash(data, blob_id * 0x9e3779b97f4a7c15u + index);
}

static enum err part_put(struct engine *e, const struct op *o)
{
    uint64_t sum = sqlite_part_sum(o->blob_id, o->index, o->bits);

    bind_number(e, WRITE_PART_PUT, 1, o->blob_id);
    bind_number(e, WRITE_PART_PUT, 2, o->index);
    bind_blob(e, WRITE_PART_PUT, 3, o->bits);
    bind_number(e, WRITE_PART_PUT, 4, sum);
    return sqlite_run(e, WRITE_PART_PUT);
}

static enum err blob_put(struct engine *e, const struct op *o)
{
    bind_number(e, WRITE_BLOB_PUT, 1, o->blob_id);
    bind_number(e, WRITE_BLOB_PUT, 2, o->size);
    return sqlite_run(e, WRITE_BLOB_PUT);
}

static enum err blob_delete(struct engine *e, const struct op *o)
{
    enum err err = run_by_id(e, WRITE_BLOB_DELETE, o->blob_id);

    return err ? err : run_by_id(e, WRITE_PARTS_DELETE, o->blob_id);
}

static enum err vhost_put(struct engine *e, const struct def_vhost *v)
{
    bind_number(e, WRITE_VHOST_PUT, 1, v->id);
    bind_text(e, WRITE_VHOST_PUT, 2, v->name);
    return sqlite_run(e, WRITE_VHOST_PUT);
}

static enum err exchange_put(struct engine *e, const struct def_exchange *x)
{
    bind_number(e, WRITE_EXCHANGE_PUT, 1, x->id);
    bind_number(e, WRITE_EXCHANGE_PUT, 2, x->vhost_id);
    bind_text(e, WRITE_EXCHANGE_PUT, 3, x->name);
    bind_text(e, WRITE_EXCHANGE_PUT, 4, x->type);
    bind_number(e, WRITE_EXCHANGE_PUT, 5, x->auto_delete);
    bind_number(e, WRITE_EXCHANGE_PUT, 6, x->internal);
    bind_blob(e, WRITE_EXCHANGE_PUT, 7, x->arguments);
    return sqlite_run(e, WRITE_EXCHANGE_PUT);
}

static enum err queue_put(struct engine *e, const struct def_queue *q)
{
    bind_number(e, WRITE_QUEUE_PUT, 1, q->id);
    bind_number(e, WRITE_QUEUE_PUT, 2, q->vhost_id);
    bind_text(e, WRITE_QUEUE_PUT, 3, q->name);
    bind_number(e, WRITE_QUEUE_PUT, 4, q->auto_delete);
    bind_number(e, WRITE_QUEUE_PUT, 5, q->consumed);
    bind_blob(e, WRITE_QUEUE_PUT, 6, q->arguments);
    return sqlite_run(e, WRITE_QUEUE_PUT);
}

static enum err binding_put(struct engine *e, const struct def_binding *b)
{
    bind_number(e, WRITE_BINDING_PUT, 1, b->id);
    bind_number(e, WRITE_BINDING_PUT, 2, b->vhost_id);
    bind_number(e, WRITE_BINDING_PUT, 3, b->exchange_id);
    bind_number(e, WRITE_BINDING_PUT, 4, b->to_exchange);
    bind_number(e, WRITE_BINDING_PUT, 5, b->target_id);
    bind_text(e, WRITE_BINDING_PUT, 6, b->routing_key);
    bind_blob(e, WRITE_BINDING_PUT, 7, b->arguments);
    return sqlite_run(e, WRITE_BINDING_PUT);
}

static enum err user_put(struct engine *e, const struct def_user *u)
{
    bind_text(e, WRITE_USER_PUT, 1, u->name);
    bind_text(e, WRITE_USER_PUT, 2, u->password_hash);
    bind_text(e, WRITE_USER_PUT, 3, u->tags);
    return sqlite_run(e, WRITE_USER_PUT);
}

static enum err user_delete(struct engine *e, struct bytes name)
{
    bind_text(e, WRITE_USER_DELETE, 1, name);
    return sqlite_run(e, WRITE_USER_DELETE);
}

static enum err permission_put(struct engine *e, const struct def_permission *p)
{
    bind_number(e, WRITE_PERMISSION_PUT, 1, p->vhost_id);
    bind_text(e, WRITE_PERMISSION_PUT, 2, p->user);
    bind_text(e, WRITE_PERMISSION_PUT, 3, p->configure);
    bind_text(e, WRITE_PERMISSION_PUT, 4, p->write);
    bind_text(e, WRITE_PERMISSION_PUT, 5, p->read);
    return sqlite_run(e, WRITE_PERMISSION_PUT);
}

static enum err topic_permission_put(struct engine *e, const struct def_topic_permission *p)
{
    bind_number(e, WRITE_TOPIC_PERMISSION_PUT, 1, p->vhost_id);
    bind_text(e, WRITE_TOPIC_PERMISSION_PUT, 2, p->user);
    bind_text(e, WRITE_TOPIC_PERMISSION_PUT, 3, p->exchange);
    bind_text(e, WRITE_TOPIC_PERMISSION_PUT, 4, p->write);
    bind_text(e, WRITE_TOPIC_PERMISSION_PUT, 5, p->read);
    return sqlite_run(e, WRITE_TOPIC_PERMISSION_PUT);
}

static enum err note_put(struct engine *e, const struct op *o)
{
    bind_number(e, WRITE_NOTE_PUT, 1, o->id);
    bind_blob(e, WRITE_NOTE_PUT, 2, o->bits);
    return sqlite_run(e, WRITE_NOTE_PUT);
}

static enum err retained_put(struct engine *e, const struct def_retained *r)
{
    bind_number(e, WRITE_RETAINED_PUT, 1, r->vhost_id);
    bind_blob(e, WRITE_RETAINED_PUT, 2, r->routing_key);
    bind_blob(e, WRITE_RETAINED_PUT, 3, r->props);
    bind_blob(e, WRITE_RETAINED_PUT, 4, r->body);
    bind_number(e, WRITE_RETAINED_PUT, 5, r->stored_ms);
    bind_number(e, WRITE_RETAINED_PUT, 6, r->expires_ms);
    return sqlite_run(e, WRITE_RETAINED_PUT);
}

static enum err retained_delete(struct engine *e, const struct def_retained *r)
{
    bind_number(e, WRITE_RETAINED_DELETE, 1, r->vhost_id);
    bind_blob(e, WRITE_RETAINED_DELETE, 2, r->routing_key);
    return sqlite_run(e, WRITE_RETAINED_DELETE);
}

static enum err meta_put(struct engine *e, struct bytes key, uint64_t value)
{
    bind_text(e, WRITE_META_PUT, 1, key);
    bind_number(e, WRITE_META_PUT, 2, value);
    return sqlite_run(e, WRITE_META_PUT);
}

static enum err boot_put(struct engine *e, const struct op *o)
{
    enum err err = meta_put(e, BYTES("boot"), o->id);

    return err ? err : meta_put(e, BYTES("clean_stop"), o->flag);
}

enum err sqlite_apply(struct engine *e, const struct op *o)
{
    switch (o->kind) {
    case OP_BATCH_PUT:
        return batch_put(e, o);
    case OP_BATCH_DELETE:
        return sqlite_batch_delete(e, o->batch_id);
    case OP_SETTLED_PUT:
        return settled_put(e, o);
    case OP_DELIVERIES_PUT:
        return count_put(e, o);
    case OP_PART_PUT:
        return part_put(e, o);
    case OP_BLOB_PUT:
        return blob_put(e, o);
    case OP_BLOB_DELETE:
        return blob_delete(e, o);
    case OP_VHOST_PUT:
        return vhost_put(e, &o->vhost);
    case OP_VHOST_DELETE:
        return run_by_id(e, WRITE_VHOST_DELETE, o->id);
    case OP_EXCHANGE_PUT:
        return exchange_put(e, &o->exchange);
    case OP_EXCHANGE_DELETE:
        return run_by_id(e, WRITE_EXCHANGE_DELETE, o->id);
    case OP_QUEUE_PUT:
        return queue_put(e, &o->queue);
    case OP_QUEUE_DELETE:
        return run_by_id(e, WRITE_QUEUE_DELETE, o->id);
    case OP_BINDING_PUT:
        return binding_put(e, &o->binding);
    case OP_BINDING_DELETE:
        return run_by_id(e, WRITE_BINDING_DELETE, o->id);
    case OP_USER_PUT:
        return user_put(e, &o->user);
    case OP_USER_DELETE:
        return user_delete(e, o->user.name);
    case OP_PERMISSION_PUT:
        return permission_put(e, &o->permission);
    case OP_TOPIC_PERMISSION_PUT:
        return topic_permission_put(e, &o->topic_permission);
    case OP_NOTE_PUT:
        return note_put(e, o);
    case OP_NOTE_DELETE:
        return run_by_id(e, WRITE_NOTE_DELETE, o->id);
    case OP_RETAINED_PUT:
        return retained_put(e, &o->retained);
    case OP_RETAINED_DELETE:
        return retained_delete(e, &o->retained);
    case OP_BOOT:
        return boot_put(e, o);
    }
    CHECK_UNREACHABLE();
}

static size_t doomed_at(const struct doomed *d, uint64_t id)
{
    size_t low = 0, high = d->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (d->id[mid] < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool doomed_has(const struct doomed *d, uint64_t id)
{
    size_t at = doomed_at(d, id);

    return at < d->n && d->id[at] == id;
}

void doomed_add(struct doomed *d, uint64_t id)
{
    CHECK(d->n == 0 || d->id[d->n - 1] < id);
    d->id = mem_grow(d->id, &d->cap, d->n + 1, sizeof *d->id);
    d->id[d->n++] = id;
}

void doomed_remove(struct doomed *d, uint64_t id)
{
    size_t at = doomed_at(d, id);

    CHECK(at < d->n && d->id[at] == id);
    memmove(&d->id[at], &d->id[at + 1], (d->n - at - 1) * sizeof *d->id);
    d->n--;
}
