// SPDX-License-Identifier: MIT
/* From a delivery to a MESSAGE frame. */
#include "broker/session/stomp_session.h"

#include "base/utf8.h"
#include "proto/props.h"
#include "proto/table.h"

static void put_pair(struct buf *out, struct bytes name, uint64_t a, uint64_t b)
{
    uint8_t *start = buf_reserve(out, name.n + 42);
    uint8_t *to = start + name.n;

    memcpy(start, name.p, name.n);
    to += bytes_put_u64(to, a);
    *to++ = '-';
    to += bytes_put_u64(to, b);
    *to++ = '\n';
    out->n += (size_t)(to - start);
}

/* Nothing in it that a destination or a header must escape? */
static bool is_plain(struct bytes b)
{
    for (size_t i = 0; i < b.n; i++) {
        uint8_t c = b.p[i];

        if (c <= ' ' || c >= 127 || c == '/' || c == '%' || c == ':' || c == '\\')
            return false;
    }
    return true;
}

static void put_destination(struct stomp_session *s, const struct message *m)
{
    struct buf *out = stomp_out(s), *room = &s->shared->room;

    if (m->exchange.n == 0 && is_plain(m->routing_key)) {
        buf_bytes(out, BYTES("destination:/queue/"));
        buf_bytes(out, m->routing_key);
        buf_u8(out, '\n');
        return;
    }
    room->n = 0;
    stomp_destination_put(room, m->exchange, m->routing_key);
    stomp_put_header(out, stomp_version(s), BYTES("destination"), buf_view(room));
}

/* ---- the headers table ---- */

/* Known headers that the message's properties have already given. */
static uint64_t given(const struct props *p)
{
    uint64_t names = STOMP_RESERVED;

    if (p->flags & PROPS_delivery_mode)
        names |= STOMP_BIT(persistent);
#define GIVEN(field, name)        \
    if (p->flags & PROPS_##field) \
        names |= STOMP_BIT(name);
    GIVEN(content_type, content_type)
    GIVEN(content_encoding, content_encoding)
    GIVEN(priority, priority)
    GIVEN(correlation_id, correlation_id)
    GIVEN(reply_to, reply_to)
    GIVEN(expiration, expiration)
    GIVEN(message_id, amqp_message_id)
    GIVEN(timestamp, timestamp)
    GIVEN(type, type)
    GIVEN(user_id, user_id)
    GIVEN(app_id, app_id)
#undef GIVEN
    return names;
}

/* Where MQTT wants its answer: the same for who reads `reply-to`. */
static void put_reply_topic(struct stomp_session *s, struct bytes key)
{
    struct buf *room = &s->shared->room;

    room->n = 0;
    stomp_destination_put(room, BYTES("amq.topic"), key);
    stomp_put_header(stomp_out(s), stomp_version(s), BYTES("reply-to"), buf_view(room));
}

static void put_table(struct stomp_session *s, const struct props *p)
{
    struct table_iter it = table_iter(p->headers);
    uint64_t names = given(p);
    struct table_value v;
    struct bytes name, text;

    while (table_next(&it, &name, &v)) {
        enum stomp_name known = stomp_name_of(name);

        if (name.n == 0 || !utf8_valid(name) || (known != STOMP_NAME_USER && names >> known & 1))
            continue;
        if (!table_text(&v, &s->shared->room, &text) || !utf8_valid(text))
            continue;
        stomp_put_header(stomp_out(s), stomp_version(s), name, text);
        if (v.type == 'S' && bytes_eq(name, BYTES("x-opt-reply-to-topic")) &&
            !(p->flags & PROPS_reply_to))
            put_reply_topic(s, text);
    }
}

/* ---- the properties ---- */

/* A bare name is a queue's; as a destination it must be one to send to. */
static void put_reply_to(struct stomp_session *s, struct bytes value)
{
    struct buf *room = &s->shared->room;

    if (!stomp_destination_is_full(value)) {
        room->n = 0;
        buf_str(room, STOMP_REPLY_QUEUE_PREFIX);
        for (size_t i = 0; i < value.n; i++) {
            buf_u8(room, value.p[i]);
            if (value.p[i] == '%')
                buf_str(room, "25");
        }
        value = buf_view(room);
    }
    stomp_put_header(stomp_out(s), stomp_version(s), BYTES("reply-to"), value);
}

static void put_properties(struct stomp_session *s, struct bytes encoded)
{
    static const uint8_t persistent_only[] = { PROPS_delivery_mode >> 8, 0, 2 };
    enum stomp_version v = stomp_version(s);
    struct buf *out = stomp_out(s);
    struct props p;

    if (bytes_eq(encoded, bytes_of(persistent_only, sizeof persistent_only))) {
        buf_bytes(out, BYTES("persistent:true\n"));
        return;
    }
    if (encoded.n == 0 || !props_decode(encoded, &p))
        return;
#define PUT(field, name)                                \
    if (p.flags & PROPS_##field && utf8_valid(p.field)) \
        stomp_put_header(out, v, BYTES(name), p.field);
    PUT(content_type, "content-type")
    PUT(content_encoding, "content-encoding")
    if (p.flags & PROPS_delivery_mode && p.delivery_mode == 2)
        buf_bytes(out, BYTES("persistent:true\n"));
    if (p.flags & PROPS_priority)
        stomp_put_header_u64(out, BYTES("priority"), p.priority);
    PUT(correlation_id, "correlation-id")
    if (p.flags & PROPS_reply_to && utf8_valid(p.reply_to))
        put_reply_to(s, p.reply_to);
    PUT(expiration, "expiration")
    PUT(message_id, "amqp-message-id")
    if (p.flags & PROPS_timestamp)
        stomp_put_header_u64(out, BYTES("timestamp"), p.timestamp);
    PUT(type, "type")
    PUT(user_id, "user-id")
    PUT(app_id, "app-id")
#undef PUT
    if (p.flags & PROPS_headers)
        put_table(s, &p);
}

void stomp_message(struct stomp_session *s, const struct effect *e)
{
    struct stomp_subscription *sub = stomp_subscription_find(s, e->handle);
    struct buf *out = stomp_out(s);
    size_t from = out->n;
    struct message m;

    if (!sub)
        return;
    core_effect_message(s->s.env->core, e, &m);
    sub->last_tag = e->tag;
    buf_bytes(out, sub->prefix);
    put_destination(s, &m);
    put_pair(out, BYTES("message-id:"), e->queue_id, e->seq);
    if (sub->ack != STOMP_ACK_AUTO && stomp_version(s) == STOMP_V1_2)
        put_pair(out, BYTES("ack:"), sub->number, e->tag);
    if (e->redelivered)
        buf_bytes(out, BYTES("redelivered:true\n"));
    if (e->deliveries)
        stomp_put_header_u64(out, BYTES("x-delivery-count"), e->deliveries);
    put_properties(s, m.props);
    stomp_put_header_u64(out, BYTES("content-length"), m.body_size);
    stomp_put_head_end(out);
    s->s.env->count.frames_out++;
    s->last_out_ms = s->s.env->now_mono_ms;
    if (m.blob_id) {
        stomp_sending_begin(s, &m, out, from);
        s->sending->subscription = sub->number;
        return;
    }
    buf_bytes(out, m.body);
    stomp_put_end(out);
    stomp_room(s);
}
