// SPDX-License-Identifier: MIT
/* What the engine in memory holds besides messages of queues. */
#include "storage/def_codec.h"
#include "storage/mem_disk.h"

typedef bool same_fn(const struct mem_row *r, const void *key);

/* The place of the row, or of a new one, under the hash of its name. */
static uint64_t place_of(const struct mem_table *t, uint64_t hash, same_fn *same, const void *key)
{
    for (uint64_t place = 0;; place++) {
        struct mem_row *r = mem_table_find(t, hash, place);

        if (!r || same(r, key))
            return place;
    }
}

static bool same_user(const struct mem_row *r, const void *key)
{
    const struct bytes *name = key;

    return bytes_eq(def_get_user(buf_view(&r->x)).name, *name);
}

static void user_put(struct mem_disk *d, const struct def_user *u)
{
    uint64_t hash = bytes_hash(u->name, 0);
    uint64_t place = place_of(&d->user, hash, same_user, &u->name);

    def_put_user(&mem_table_put(&d->user, hash, place)->x, u);
}

static void user_delete(struct mem_disk *d, struct bytes name)
{
    uint64_t hash = bytes_hash(name, 0);

    mem_table_delete(&d->user, hash, place_of(&d->user, hash, same_user, &name));
}

static bool same_permission(const struct mem_row *r, const void *key)
{
    const struct def_permission *want = key, has = def_get_permission(buf_view(&r->x));

    return has.vhost_id == want->vhost_id && bytes_eq(has.user, want->user);
}

static void permission_put(struct mem_disk *d, const struct def_permission *p)
{
    uint64_t hash = bytes_hash(p->user, p->vhost_id);
    uint64_t place = place_of(&d->permission, hash, same_permission, p);

    def_put_permission(&mem_table_put(&d->permission, hash, place)->x, p);
}

static bool same_topic_permission(const struct mem_row *r, const void *key)
{
    const struct def_topic_permission *want = key, has = def_get_topic_permission(buf_view(&r->x));

    return has.vhost_id == want->vhost_id && bytes_eq(has.user, want->user) &&
           bytes_eq(has.exchange, want->exchange);
}

static void topic_permission_put(struct mem_disk *d, const struct def_topic_permission *p)
{
    uint64_t hash = bytes_hash(p->exchange, bytes_hash(p->user, p->vhost_id));
    uint64_t place = place_of(&d->topic_permission, hash, same_topic_permission, p);

    def_put_topic_permission(&mem_table_put(&d->topic_permission, hash, place)->x, p);
}

static bool same_retained(const struct mem_row *r, const void *key)
{
    const struct def_retained *want = key, has = def_get_retained(buf_view(&r->x));

    return has.vhost_id == want->vhost_id && bytes_eq(has.routing_key, want->routing_key);
}

static void retained_put(struct mem_disk *d, const struct def_retained *v)
{
    uint64_t hash = bytes_hash(v->routing_key, v->vhost_id);
    uint64_t place = place_of(&d->retained, hash, same_retained, v);

    def_put_retained(&mem_table_put(&d->retained, hash, place)->x, v);
}

static void retained_delete(struct mem_disk *d, const struct def_retained *v)
{
    uint64_t hash = bytes_hash(v->routing_key, v->vhost_id);

    mem_table_delete(&d->retained, hash, place_of(&d->retained, hash, same_retained, v));
}

static bool apply_beside(struct mem_disk *d, const struct op *o)
{
    if (o->kind == OP_NOTE_PUT)
        buf_bytes(&mem_table_put(&d->table[TABLE_NOTE], o->id, 0)->x, o->bits);
    else if (o->kind == OP_NOTE_DELETE)
        mem_table_delete(&d->table[TABLE_NOTE], o->id, 0);
    else if (o->kind == OP_PERMISSION_PUT)
        permission_put(d, &o->permission);
    else if (o->kind == OP_TOPIC_PERMISSION_PUT)
        topic_permission_put(d, &o->topic_permission);
    else if (o->kind == OP_RETAINED_PUT)
        retained_put(d, &o->retained);
    else if (o->kind == OP_RETAINED_DELETE)
        retained_delete(d, &o->retained);
    else
        return false;
    return true;
}

bool mem_apply_definition(struct mem_disk *d, const struct op *o)
{
    struct mem_table *t = d->table;

    if (o->kind == OP_VHOST_PUT)
        def_put_vhost(&mem_table_put(&t[TABLE_VHOST], o->vhost.id, 0)->x, &o->vhost);
    else if (o->kind == OP_VHOST_DELETE)
        mem_table_delete(&t[TABLE_VHOST], o->id, 0);
    else if (o->kind == OP_EXCHANGE_PUT)
        def_put_exchange(&mem_table_put(&t[TABLE_EXCHANGE], o->exchange.id, 0)->x, &o->exchange);
    else if (o->kind == OP_EXCHANGE_DELETE)
        mem_table_delete(&t[TABLE_EXCHANGE], o->id, 0);
    else if (o->kind == OP_QUEUE_PUT)
        def_put_queue(&mem_table_put(&t[TABLE_QUEUE], o->queue.id, 0)->x, &o->queue);
    else if (o->kind == OP_QUEUE_DELETE)
        mem_table_delete(&t[TABLE_QUEUE], o->id, 0);
    else if (o->kind == OP_BINDING_PUT)
        def_put_binding(&mem_table_put(&t[TABLE_BINDING], o->binding.id, 0)->x, &o->binding);
    else if (o->kind == OP_BINDING_DELETE)
        mem_table_delete(&t[TABLE_BINDING], o->id, 0);
    else if (o->kind == OP_USER_PUT)
        user_put(d, &o->user);
    else if (o->kind == OP_USER_DELETE)
        user_delete(d, o->user.name);
    else
        return apply_beside(d, o);
    return true;
}

void mem_recover_definitions(struct mem_disk *d, const struct recover_sink *sink, void *arg)
{
    struct mem_table *t = d->table;

    for (size_t i = 0; i < t[TABLE_VHOST].n; i++) {
        struct def_vhost v = def_get_vhost(buf_view(&t[TABLE_VHOST].row[i].x));
        sink->vhost(arg, &v);
    }
    for (size_t i = 0; i < t[TABLE_EXCHANGE].n; i++) {
        struct def_exchange x = def_get_exchange(buf_view(&t[TABLE_EXCHANGE].row[i].x));
        sink->exchange(arg, &x);
    }
    for (size_t i = 0; i < t[TABLE_QUEUE].n; i++) {
        struct def_queue q = def_get_queue(buf_view(&t[TABLE_QUEUE].row[i].x));
        sink->queue(arg, &q);
    }
    for (size_t i = 0; i < t[TABLE_BINDING].n; i++) {
        struct def_binding b = def_get_binding(buf_view(&t[TABLE_BINDING].row[i].x));
        sink->binding(arg, &b);
    }
    for (size_t i = 0; i < d->user.n; i++) {
        struct def_user u = def_get_user(buf_view(&d->user.row[i].x));
        sink->user(arg, &u);
    }
    for (size_t i = 0; i < d->permission.n; i++) {
        struct def_permission p = def_get_permission(buf_view(&d->permission.row[i].x));
        sink->permission(arg, &p);
    }
    for (size_t i = 0; i < d->topic_permission.n; i++) {
        struct mem_row *row = &d->topic_permission.row[i];
        struct def_topic_permission p = def_get_topic_permission(buf_view(&row->x));
        sink->topic_permission(arg, &p);
    }
    for (size_t i = 0; i < t[TABLE_NOTE].n; i++)
        sink->note(arg, t[TABLE_NOTE].row[i].a, buf_view(&t[TABLE_NOTE].row[i].x));
    for (size_t i = 0; i < d->retained.n; i++) {
        struct def_retained v = def_get_retained(buf_view(&d->retained.row[i].x));
        sink->retained(arg, &v);
    }
}
