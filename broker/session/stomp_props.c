// SPDX-License-Identifier: MIT
/* From the headers of a SEND to the neutral properties of a message. */
#include "broker/session/stomp_session.h"

#include "proto/props.h"
#include "proto/table.h"

/* Headers that are a property of the same meaning; one that is longer than a
 * property may be stays a header. */
static const struct {
    enum stomp_name name;
    uint16_t flag;
    size_t offset;
} strings[] = {
#define STRING(name, field)                                             \
    {                                                                   \
        STOMP_NAME_##name, PROPS_##field, offsetof(struct props, field) \
    }
    STRING(content_type, content_type),
    STRING(content_encoding, content_encoding),
    STRING(correlation_id, correlation_id),
    STRING(expiration, expiration),
    STRING(message_id, message_id),
    STRING(amqp_message_id, message_id),
    STRING(type, type),
    STRING(user_id, user_id),
    STRING(app_id, app_id),
#undef STRING
};

static const uint64_t properties = STOMP_BIT(content_type) | STOMP_BIT(content_encoding) |
                                   STOMP_BIT(correlation_id) | STOMP_BIT(expiration) |
                                   STOMP_BIT(message_id) | STOMP_BIT(amqp_message_id) |
                                   STOMP_BIT(type) | STOMP_BIT(user_id) | STOMP_BIT(app_id) |
                                   STOMP_BIT(priority) | STOMP_BIT(timestamp) |
                                   STOMP_BIT(reply_to) | STOMP_BIT(x_delay);

enum { PROPERTY_MAX_BYTES = 255, NAME_MAX_BYTES = 255 };

static void put_strings(const struct stomp_known *k, struct props *p, struct buf *headers)
{
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        if (!stomp_known_has(k, strings[i].name))
            continue;
        struct bytes value = k->value[strings[i].name];

        if (value.n > PROPERTY_MAX_BYTES) {
            table_put_str(headers, stomp_name_text(strings[i].name), value);
            continue;
        }
        memcpy((uint8_t *)p + strings[i].offset, &value, sizeof value);
        p->flags |= strings[i].flag;
    }
}

/* False: failed.  Absent is 0. */
static bool number(struct stomp_session *s, const struct stomp_frame *f, enum stomp_name name,
                   uint64_t max, uint64_t *out)
{
    const struct stomp_known *k = &s->shared->known;

    *out = 0;
    if (!stomp_known_has(k, name) || bytes_to_u64(k->value[name], max, out))
        return true;
    stomp_fail(s, f, "Invalid header", "'%s' is a whole number, at most %llu",
               (const char *)stomp_name_text(name).p, (unsigned long long)max);
    return false;
}

static bool put_numbers(struct stomp_session *s, const struct stomp_frame *f, struct props *p,
                        struct publish *out)
{
    const struct stomp_known *k = &s->shared->known;
    uint64_t priority;

    if (!number(s, f, STOMP_NAME_priority, 255, &priority) ||
        !number(s, f, STOMP_NAME_expiration, STOMP_SPAN_MAX_MS, &out->ttl_ms) ||
        !number(s, f, STOMP_NAME_x_delay, STOMP_SPAN_MAX_MS, &out->delay_ms))
        return false;
    out->has_ttl = stomp_known_has(k, STOMP_NAME_expiration);
    out->priority = p->priority = (uint8_t)priority;
    if (stomp_known_has(k, STOMP_NAME_priority))
        p->flags |= PROPS_priority;
    if (!stomp_known_has(k, STOMP_NAME_timestamp))
        return true;
    if (bytes_to_u64(k->value[STOMP_NAME_timestamp], UINT64_MAX, &p->timestamp))
        p->flags |= PROPS_timestamp;
    else
        table_put_str(&s->shared->headers, BYTES("timestamp"), k->value[STOMP_NAME_timestamp]);
    return true;
}

static bool put_reply_to(struct stomp_session *s, const struct stomp_frame *f, struct props *p)
{
    struct bytes value = stomp_known_get(&s->shared->known, STOMP_NAME_reply_to);
    struct bytes temp = BYTES(STOMP_TEMP_QUEUE_PREFIX);

    if (!value.p)
        return true;
    if (bytes_starts(value, temp) && !stomp_temp_queue(s, f, value, &value))
        return false;
    if (value.n > PROPERTY_MAX_BYTES) {
        table_put_str(&s->shared->headers, BYTES("reply-to"), value);
    } else {
        p->reply_to = value;
        p->flags |= PROPS_reply_to;
    }
    return true;
}

static bool was_before(const struct stomp_session *s, const struct stomp_frame *f, unsigned i)
{
    struct bytes name = f->header[s->shared->user[i]].name;

    for (unsigned k = 0; k < i; k++)
        if (bytes_eq(f->header[s->shared->user[k]].name, name))
            return true;
    return false;
}

/* In their order, the first of repeated ones.  The marks spare most names the
 * search through all before them. */
static bool put_users(struct stomp_session *s, const struct stomp_frame *f, unsigned user_count)
{
    uint64_t marks[4] = { 0 };

    for (unsigned i = 0; i < user_count; i++) {
        const struct stomp_header *h = &f->header[s->shared->user[i]];
        struct bytes n = h->name;

        if (n.n > NAME_MAX_BYTES) {
            stomp_fail(s, f, "Invalid header", "The name of a header has at most %d bytes",
                       NAME_MAX_BYTES);
            return false;
        }
        unsigned mark = (unsigned)(n.n + 5U * n.p[0] + 29U * n.p[n.n - 1] + 83U * n.p[n.n / 2]);
        uint64_t *word = &marks[mark / 64 % 4];
        uint64_t bit = UINT64_C(1) << mark % 64;

        if (!(*word & bit) || !was_before(s, f, i))
            table_put_str(&s->shared->headers, n, h->value);
        *word |= bit;
    }
    return true;
}

/* A sender may only give its own name there, as in AMQP. */
static bool user_id_is_true(struct stomp_session *s, const struct stomp_frame *f)
{
    struct bytes id = stomp_known_get(&s->shared->known, STOMP_NAME_user_id);

    if (!id.p || bytes_eq(id, bytes_str(s->user)))
        return true;
    stomp_fail(s, f, "Access refused",
               "'user-id' is not the name that this connection logged in as");
    return false;
}

/* Where props_encode put the table: behind the two strings that may precede it. */
static struct bytes headers_in(struct bytes encoded, const struct props *p)
{
    size_t at = sizeof(uint16_t) + sizeof(uint32_t);

    if (p->flags & PROPS_content_type)
        at += 1 + p->content_type.n;
    if (p->flags & PROPS_content_encoding)
        at += 1 + p->content_encoding.n;
    return bytes_of(encoded.p + at, p->headers.n);
}

bool stomp_properties(struct stomp_session *s, const struct stomp_frame *f, unsigned user_count,
                      struct publish *out)
{
    static const uint8_t persistent_only[] = { PROPS_delivery_mode >> 8, 0, 2 };
    const struct stomp_known *k = &s->shared->known;
    struct props p = { 0 };

    out->persistent = stomp_known_bool(k, STOMP_NAME_persistent, true);
    if (!(k->seen & properties) && user_count == 0) {
        out->m.props = bytes_of(persistent_only, out->persistent ? sizeof persistent_only : 0);
        return true;
    }
    s->shared->headers.n = s->shared->props.n = 0;
    if (!user_id_is_true(s, f) || !put_numbers(s, f, &p, out) || !put_reply_to(s, f, &p))
        return false;
    put_strings(k, &p, &s->shared->headers);
    if (!put_users(s, f, user_count))
        return false;
    if (out->persistent) {
        p.flags |= PROPS_delivery_mode;
        p.delivery_mode = 2;
    }
    if (s->shared->headers.n) {
        p.flags |= PROPS_headers;
        p.headers = buf_view(&s->shared->headers);
    }
    props_encode(&s->shared->props, &p);
    out->m.props = buf_view(&s->shared->props);
    if (p.headers.n)
        out->headers = headers_in(out->m.props, &p);
    return true;
}
