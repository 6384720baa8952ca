// SPDX-License-Identifier: MIT
#include "storage/def_codec.h"

#include "base/check.h"
#include "base/reader.h"

static void put_text(struct buf *b, struct bytes v)
{
    buf_varint(b, v.n);
    buf_bytes(b, v);
}

void def_put_vhost(struct buf *b, const struct def_vhost *v)
{
    buf_u64(b, v->id);
    put_text(b, v->name);
}

struct def_vhost def_get_vhost(struct bytes b)
{
    struct reader r = reader_over(b);
    struct def_vhost v = { .id = reader_u64(&r) };

    v.name = reader_bytes_varint(&r);
    CHECK(!r.failed && r.left == 0);
    return v;
}

void def_put_exchange(struct buf *b, const struct def_exchange *x)
{
    buf_u64(b, x->id);
    buf_u64(b, x->vhost_id);
    put_text(b, x->name);
    put_text(b, x->type);
    buf_u8(b, x->auto_delete);
    buf_u8(b, x->internal);
    put_text(b, x->arguments);
}

struct def_exchange def_get_exchange(struct bytes b)
{
    struct reader r = reader_over(b);
    struct def_exchange x = { .id = reader_u64(&r) };

    x.vhost_id = reader_u64(&r);
    x.name = reader_bytes_varint(&r);
    x.type = reader_bytes_varint(&r);
    x.auto_delete = reader_u8(&r);
    x.internal = reader_u8(&r);
    x.arguments = reader_bytes_varint(&r);
    CHECK(!r.failed && r.left == 0);
    return x;
}

void def_put_queue(struct buf *b, const struct def_queue *q)
{
    buf_u64(b, q->id);
    buf_u64(b, q->vhost_id);
    put_text(b, q->name);
    buf_u8(b, q->auto_delete);
    buf_u8(b, q->consumed);
    put_text(b, q->arguments);
}

struct def_queue def_get_queue(struct bytes b)
{
    struct reader r = reader_over(b);
    struct def_queue q = { .id = reader_u64(&r) };

    q.vhost_id = reader_u64(&r);
    q.name = reader_bytes_varint(&r);
    q.auto_delete = reader_u8(&r);
    q.consumed = reader_u8(&r);
    q.arguments = reader_bytes_varint(&r);
    CHECK(!r.failed && r.left == 0);
    return q;
}

void def_put_binding(struct buf *b, const struct def_binding *d)
{
    buf_u64(b, d->id);
    buf_u64(b, d->vhost_id);
    buf_u64(b, d->exchange_id);
    buf_u8(b, d->to_exchange);
    buf_u64(b, d->target_id);
    put_text(b, d->routing_key);
    put_text(b, d->arguments);
}

struct def_binding def_get_binding(struct bytes b)
{
    struct reader r = reader_over(b);
    struct def_binding d = { .id = reader_u64(&r) };

    d.vhost_id = reader_u64(&r);
    d.exchange_id = reader_u64(&r);
    d.to_exchange = reader_u8(&r);
    d.target_id = reader_u64(&r);
    d.routing_key = reader_bytes_varint(&r);
    d.arguments = reader_bytes_varint(&r);
    CHECK(!r.failed && r.left == 0);
    return d;
}

void def_put_user(struct buf *b, const struct def_user *u)
{
    put_text(b, u->name);
    put_text(b, u->password_hash);
    put_text(b, u->tags);
}

struct def_user def_get_user(struct bytes b)
{
    struct reader r = reader_over(b);
    struct def_user u = { .name = reader_bytes_varint(&r) };

    u.password_hash = reader_bytes_varint(&r);
    u.tags = reader_bytes_varint(&r);
    CHECK(!r.failed && r.left == 0);
    return u;
}

void def_put_permission(struct buf *b, const struct def_permission *p)
{
    buf_u64(b, p->vhost_id);
    put_text(b, p->user);
    put_text(b, p->configure);
    put_text(b, p->write);
    put_text(b, p->read);
}

struct def_permission def_get_permission(struct bytes b)
{
    struct reader r = reader_over(b);
    struct def_permission p = { .vhost_id = reader_u64(&r) };

    p.user = reader_bytes_varint(&r);
    p.configure = reader_bytes_varint(&r);
    p.write = reader_bytes_varint(&r);
    p.read = reader_bytes_varint(&r);
    CHECK(!r.failed && r.left == 0);
    return p;
}

void def_put_topic_permission(struct buf *b, const struct def_topic_permission *p)
{
    buf_u64(b, p->vhost_id);
    put_text(b, p->user);
    put_text(b, p->exchange);
    put_text(b, p->write);
    put_text(b, p->read);
}

struct def_topic_permission def_get_topic_permission(struct bytes b)
{
    struct reader r = reader_over(b);
    struct def_topic_permission p = { .vhost_id = reader_u64(&r) };

    p.user = reader_bytes_varint(&r);
    p.exchange = reader_bytes_varint(&r);
    p.write = reader_bytes_varint(&r);
    p.read = reader_bytes_varint(&r);
    CHECK(!r.failed && r.left == 0);
    return p;
}

void def_put_retained(struct buf *b, const struct def_retained *r)
{
    buf_u64(b, r->vhost_id);
    buf_u64(b, r->stored_ms);
    buf_u64(b, r->expires_ms);
    put_text(b, r->routing_key);
    put_text(b, r->props);
    put_text(b, r->body);
}

struct def_retained def_get_retained(struct bytes b)
{
    struct reader r = reader_over(b);
    struct def_retained v = { .vhost_id = reader_u64(&r) };

    v.stored_ms = reader_u64(&r);
    v.expires_ms = reader_u64(&r);
    v.routing_key = reader_bytes_varint(&r);
    v.props = reader_bytes_varint(&r);
    v.body = reader_bytes_varint(&r);
    CHECK(!r.failed && r.left == 0);
    return v;
}
