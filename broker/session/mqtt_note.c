// SPDX-License-Identifier: MIT
/* What of a session is neither message nor binding: the note of its queue.
 *
 *     version u8 | left_ms u64, expiry_s u32 | packet ids | will | subscriptions
 *
 * The last three have their length before them, as varints.  left_ms is when the last
 * connection ended, 0 while there is one.  Packet ids, u16, are of QoS 2 messages that came
 * and were not released [MQTT-4.3.3-9].  Subscriptions are those of other queues, each
 * options u8, id u32, filter; its own are bindings. */
#include "base/mem.h"
#include "base/reader.h"
#include "broker/session/mqtt_session.h"

enum { NOTE_VERSION = 1 };

struct note {
    uint64_t left_ms;
    uint32_t expiry_s;
    struct bytes ids, will, subscriptions;
};

/* ---- received packet ids ---- */

bool mqtt_received_has(const struct mqtt_session *s, uint16_t id)
{
    return s->received && s->received->bits[id / 8] >> id % 8 & 1;
}

size_t mqtt_received_count(const struct mqtt_session *s)
{
    return s->received ? s->received->count : 0;
}

size_t mqtt_received_of_connection(const struct mqtt_session *s)
{
    return s->received ? s->received->count - s->received->before : 0;
}

void mqtt_received_free(struct mqtt_session *s)
{
    if (s->received)
        mem_free(s->received->id);
    mem_free(s->received);
    s->received = NULL;
}

void mqtt_received_add(struct mqtt_session *s, uint16_t id)
{
    if (!s->received)
        s->received = mem_new(struct mqtt_received);

    struct mqtt_received *r = s->received;

    r->bits[id / 8] |= (uint8_t)(1 << id % 8);
    r->id = mem_grow(r->id, &r->cap, r->count + 1, sizeof *r->id);
    r->id[r->count++] = id;
}

void mqtt_received_remove(struct mqtt_session *s, uint16_t id)
{
    struct mqtt_received *r = s->received;
    size_t i = 0;

    if (!mqtt_received_has(s, id))
        return;
    r->bits[id / 8] &= (uint8_t) ~(1 << id % 8);
    while (r->id[i] != id) /* the oldest is mostly the one */
        i++;
    r->before -= i < r->before;
    memmove(r->id + i, r->id + i + 1, (--r->count - i) * sizeof *r->id);
}

/* ---- bytes ---- */

static void put_text(struct buf *b, struct bytes text)
{
    buf_varint(b, text.n);
    buf_bytes(b, text);
}

static bool note_read(struct bytes bytes, struct note *out)
{
    struct reader r = reader_over(bytes);

    *out = (struct note){ 0 };
    if (reader_u8(&r) != NOTE_VERSION)
        return false;
    out->left_ms = reader_u64(&r);
    out->expiry_s = reader_u32(&r);
    out->ids = reader_bytes_varint(&r);
    out->will = reader_bytes_varint(&r);
    out->subscriptions = reader_bytes_varint(&r);
    return !r.failed;
}

/* Nothing, where there is nothing to note. */
static void note_write(struct buf *b, const struct note *n)
{
    b->n = 0;
    if (!n->left_ms && !n->ids.n && !n->will.n && !n->subscriptions.n)
        return;
    buf_u8(b, NOTE_VERSION);
    buf_u64(b, n->left_ms);
    buf_u32(b, n->expiry_s);
    put_text(b, n->ids);
    put_text(b, n->will);
    put_text(b, n->subscriptions);
}

static void put_will(struct buf *b, const struct mqtt_will_message *w)
{
    buf_u8(b, w->qos);
    buf_u8(b, w->retain);
    buf_u8(b, w->has_ttl);
    buf_u32(b, w->delay_s);
    buf_u32(b, w->ttl_s);
    put_text(b, buf_view(&w->key));
    put_text(b, buf_view(&w->props));
    put_text(b, buf_view(&w->body));
}

static struct mqtt_will_message *read_will(struct bytes bytes)
{
    struct reader r = reader_over(bytes);
    struct mqtt_will_message *w = mem_new(struct mqtt_will_message);

    w->qos = reader_u8(&r);
    w->retain = reader_u8(&r) != 0;
    w->has_ttl = reader_u8(&r) != 0;
    w->delay_s = reader_u32(&r);
    w->ttl_s = reader_u32(&r);
    buf_bytes(&w->key, reader_bytes_varint(&r));
    buf_bytes(&w->props, reader_bytes_varint(&r));
    buf_bytes(&w->body, reader_bytes_varint(&r));
    if (r.failed)
        mqtt_will_free(&w);
    return w;
}

static void put_ids(struct buf *b, const struct mqtt_session *s)
{
    for (size_t i = 0; i < mqtt_received_count(s); i++)
        buf_u16(b, s->received->id[i]);
}

static void put_subscriptions(struct buf *b, const struct mqtt_session *s)
{
    for (size_t i = 0; i < s->sub_count; i++) {
        const struct mqtt_subscription_state *u = s->sub[i];

        if (u->source == MQTT_FROM_SESSION)
            continue;
        buf_u8(b, mqtt_options_of(u));
        buf_u32(b, u->id);
        put_text(b, bytes_of(u->filter, u->filter_n));
    }
}

/* ---- of a session ---- */

void mqtt_note_store(struct mqtt_session *s)
{
    struct buf *parts = &s->shared->table, *whole = &s->shared->note;
    size_t ids_n, will_n;

    if (!s->persistent || !s->has_queue)
        return;
    parts->n = 0;
    put_ids(parts, s);
    ids_n = parts->n;
    if (s->will)
        put_will(parts, s->will);
    will_n = parts->n - ids_n;
    put_subscriptions(parts, s);
    struct bytes all = buf_view(parts);
    note_write(whole, &(struct note){ .left_ms = s->left_ms,
                                      .expiry_s = s->session_expiry_s,
                                      .ids = bytes_head(all, ids_n),
                                      .will = bytes_head(bytes_from(all, ids_n), will_n),
                                      .subscriptions = bytes_from(all, ids_n + will_n) });
    core_queue_note(mqtt_core(s), s->client, buf_view(&s->queue), buf_view(whole));
}

static struct bytes note_of(const struct mqtt_session *s)
{
    return core_queue_note_get(mqtt_core(s), s->client, buf_view(&s->queue));
}

void mqtt_note_resume(struct mqtt_session *s)
{
    struct note n;

    if (!note_read(note_of(s), &n))
        return;
    for (struct reader r = reader_over(n.ids); r.left >= sizeof(uint16_t);) {
        uint16_t id = reader_u16(&r);

        if (!mqtt_received_has(s, id))
            mqtt_received_add(s, id);
    }
    if (s->received)
        s->received->before = s->received->count;
}

void mqtt_note_resume_subscriptions(struct mqtt_session *s)
{
    struct buf copy = { 0 }; /* the note is rewritten meanwhile */
    struct note n;

    if (!note_read(note_of(s), &n))
        return;
    buf_bytes(&copy, n.subscriptions);
    for (struct reader r = reader_over(buf_view(&copy)); r.left > 0 && !r.failed;) {
        uint8_t options = reader_u8(&r);
        uint32_t id = reader_u32(&r);
        struct bytes filter = reader_bytes_varint(&r);

        if (!r.failed)
            mqtt_subscription_resume(s, filter, options, id);
    }
    buf_fini(&copy);
}

/* ---- of a session that is offline ---- */

struct mqtt_will_message *mqtt_note_will(struct bytes note)
{
    struct note n;

    return note_read(note, &n) && n.will.n ? read_will(n.will) : NULL;
}

void mqtt_note_without_will(struct buf *out, struct bytes note)
{
    struct note n;

    out->n = 0;
    if (!note_read(note, &n))
        return;
    n.will.n = 0;
    note_write(out, &n);
}

bool mqtt_note_expiry(struct bytes note, uint64_t now_ms, uint64_t *left_ms)
{
    struct note n;

    if (!note_read(note, &n) || n.left_ms == 0)
        return false;
    uint64_t ends_ms = n.left_ms + n.expiry_s * UINT64_C(1000);

    *left_ms = ends_ms > now_ms ? ends_ms - now_ms : 0;
    return true;
}
