// SPDX-License-Identifier: MIT
#include "storage/record.h"

#include "base/check.h"
#include "base/reader.h"

enum { RECORD_FLAGS = RECORD_ROUTE_BACK | RECORD_PERSISTENT_ONLY | RECORD_BLOB };

/* Flags, two names and three varints: what a record takes beside props and body. */
enum { RECORD_OVERHEAD_BYTES = 1 + 2 * 256 + 3 * 10 };

/* Properties that say "delivery-mode 2" and nothing else, as on the wire. */
static const uint8_t persistent_only[] = { 0x10, 0x00, 0x02 };

static struct bytes persistent_props(void)
{
    return bytes_of(persistent_only, sizeof persistent_only);
}

/* The route that the record at `offset` spells out. */
static bool route_spelled(struct bytes bodies, size_t offset, struct bytes *exchange,
                          struct bytes *routing_key)
{
    struct reader r = reader_over(bytes_from(bodies, offset));
    uint8_t flags = reader_u8(&r);

    *exchange = reader_bytes8(&r);
    *routing_key = reader_bytes8(&r);
    return !r.failed && !(flags & RECORD_ROUTE_BACK);
}

static bool route_matches(struct bytes bodies, size_t offset, const struct message *m)
{
    struct bytes exchange, key;

    return route_spelled(bodies, offset, &exchange, &key) && bytes_eq(exchange, m->exchange) &&
           bytes_eq(key, m->routing_key);
}

/* How far back from `at` the route of `m` is spelled out; 0: nowhere, and `at`
 * is remembered as the place. */
static uint32_t route_back(struct bytes bodies, struct record_routes *routes,
                           const struct message *m, uint32_t at)
{
    uint64_t hash = bytes_hash(m->routing_key, bytes_hash(m->exchange, 0));
    size_t i = hash % RECORD_ROUTES;
    uint32_t known = routes->offset_plus_1[i];

    if (known && routes->hash[i] == hash && known <= at && route_matches(bodies, known - 1, m))
        return at - (known - 1);
    routes->hash[i] = hash;
    routes->offset_plus_1[i] = at + 1;
    return 0;
}

static void put_name(struct buf *b, struct bytes name)
{
    CHECK(name.n <= UINT8_MAX);
    buf_u8(b, (uint8_t)name.n);
    buf_bytes(b, name);
}

uint32_t record_put(struct buf *bodies, struct record_routes *routes, const struct message *m)
{
    CHECK(bodies->n < UINT32_MAX && m->props.n < UINT32_MAX && m->body.n < UINT32_MAX);
    (void)buf_reserve(bodies, RECORD_OVERHEAD_BYTES + m->props.n + m->body.n);

    uint32_t at = (uint32_t)bodies->n;
    uint32_t back = route_back(buf_view(bodies), routes, m, at);
    bool plain = bytes_eq(m->props, persistent_props());

    buf_u8(bodies, (uint8_t)((back ? RECORD_ROUTE_BACK : 0) | (plain ? RECORD_PERSISTENT_ONLY : 0) |
                             (m->blob_id ? RECORD_BLOB : 0)));
    if (back) {
        buf_varint(bodies, back);
    } else {
        put_name(bodies, m->exchange);
        put_name(bodies, m->routing_key);
    }
    if (!plain) {
        buf_varint(bodies, m->props.n);
        buf_bytes(bodies, m->props);
    }
    if (m->blob_id) {
        buf_varint(bodies, m->blob_id);
        buf_varint(bodies, m->body_size);
    } else {
        buf_varint(bodies, m->body.n);
        buf_bytes(bodies, m->body);
    }
    return at;
}

/* The route of the record whose flags `r` has just passed. */
static bool get_route(struct bytes bodies, uint32_t offset, uint8_t flags, struct reader *r,
                      struct message *m)
{
    if (!(flags & RECORD_ROUTE_BACK)) {
        m->exchange = reader_bytes8(r);
        m->routing_key = reader_bytes8(r);
        return !r->failed;
    }
    uint64_t back = reader_varint(r);

    if (r->failed || back == 0 || back > offset)
        return false;
    return route_spelled(bytes_head(bodies, offset), offset - (size_t)back, &m->exchange,
                         &m->routing_key);
}

bool record_get(struct bytes bodies, uint32_t offset, struct message *out, size_t *end_out)
{
    struct reader r = reader_over(bytes_from(bodies, offset));
    struct message m = { .props = persistent_props() };
    uint8_t flags = reader_u8(&r);

    if (flags & ~RECORD_FLAGS || !get_route(bodies, offset, flags, &r, &m))
        return false;
    if (!(flags & RECORD_PERSISTENT_ONLY))
        m.props = reader_bytes_varint(&r);
    if (flags & RECORD_BLOB) {
        m.blob_id = reader_varint(&r);
        m.body_size = reader_varint(&r);
    } else {
        m.body = reader_bytes_varint(&r);
        m.body_size = m.body.n;
    }
    if (r.failed || (flags & RECORD_BLOB && m.blob_id == 0))
        return false;
    *out = m;
    if (end_out)
        *end_out = bodies.n - r.left;
    return true;
}
