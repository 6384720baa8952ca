// SPDX-License-Identifier: MIT
/* What of a session is neither message nor subscription: the note of its queue.
 *
 *     version u8 | count varint, packet ids u16 | has will u8 | the will |
 *     count varint, subscriptions: options u8, id u32, filter
 *
 * The ids are of QoS 2 messages that came and were not released [MQTT-4.3.3-9].  The
 * subscriptions are those of other queues; its own are bindings. */
#include "base/mem.h"
#include "base/reader.h"
#include "broker/session/mqtt_session.h"

enum { NOTE_VERSION = 1, IDS = 65536 };

/* ---- received packet ids ---- */

bool mqtt_received_has(const struct mqtt_session *s, uint16_t id)
{
    return s->received_bits && s->received_bits[id / 8] >> id % 8 & 1;
}

void mqtt_received_add(struct mqtt_session *s, uint16_t id)
{
    if (!s->received_bits)
        s->received_bits = mem_zalloc(IDS / 8);
    s->received_bits[id / 8] |= (uint8_t)(1 << id % 8);
    s->received = mem_grow(s->received, &s->received_cap, s->received_count + 1,
                           sizeof *s->received);
    s->received[s->received_count++] = id;
}

void mqtt_received_remove(struct mqtt_session *s, uint16_t id)
{
    size_t i = 0;

    if (!mqtt_received_has(s, id))
        return;
    s->received_bits[id / 8] &= (uint8_t) ~(1 << id % 8);
    while (s->received[i] != id) /* the oldest is mostly the one */
        i++;
    memmove(s->received + i, s->received + i + 1, (--s->received_count - i) * sizeof *s->received);
}

/* ---- the note ---- */

static void put_text(struct buf *b, struct bytes text)
{
    buf_varint(b, text.n);
    buf_bytes(b, text);
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

static void put_subscriptions(struct buf *b, const struct mqtt_session *s, size_t count)
{
    buf_varint(b, count);
    for (size_t i = 0; i < s->sub_count; i++) {
        const struct mqtt_subscription_state *u = s->sub[i];

        if (u->source == MQTT_FROM_SESSION)
            continue;
        buf_u8(b, mqtt_options_of(u));
        buf_u32(b, u->id);
        put_text(b, bytes_of(u->filter, u->filter_n));
    }
}

static size_t count_foreign(const struct mqtt_session *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->sub_count; i++)
        n += s->sub[i]->source != MQTT_FROM_SESSION;
    return n;
}

void mqtt_note_store(struct mqtt_session *s)
{
    struct buf *b = &s->shared->note;
    size_t foreign = count_foreign(s);

    if (!s->persistent || !s->has_queue)
        return;
    b->n = 0;
    if (s->received_count > 0 || s->will || foreign > 0) {
        buf_u8(b, NOTE_VERSION);
        buf_varint(b, s->received_count);
        for (size_t i = 0; i < s->received_count; i++)
            buf_u16(b, s->received[i]);
        buf_u8(b, s->will != NULL);
        if (s->will)
            put_will(b, s->will);
        put_subscriptions(b, s, foreign);
    }
    core_queue_note(mqtt_core(s), s->client, buf_view(&s->queue), buf_view(b));
}

void mqtt_note_resume(struct mqtt_session *s)
{
    struct reader r = reader_over(
        core_queue_note_get(mqtt_core(s), s->client, buf_view(&s->queue)));

    if (reader_u8(&r) != NOTE_VERSION)
        return;
    for (uint64_t n = reader_varint(&r); n > 0 && !r.failed; n--) {
        uint16_t id = reader_u16(&r);

        if (!r.failed && !mqtt_received_has(s, id))
            mqtt_received_add(s, id);
    }
}

static struct mqtt_will_message *read_will(struct reader *r)
{
    struct mqtt_will_message *w = mem_new(struct mqtt_will_message);

    w->qos = reader_u8(r);
    w->retain = reader_u8(r) != 0;
    w->has_ttl = reader_u8(r) != 0;
    w->delay_s = reader_u32(r);
    w->ttl_s = reader_u32(r);
    buf_bytes(&w->key, reader_bytes_varint(r));
    buf_bytes(&w->props, reader_bytes_varint(r));
    buf_bytes(&w->body, reader_bytes_varint(r));
    if (r->failed)
        mqtt_will_free(&w);
    return w;
}

struct mqtt_will_message *mqtt_note_will(struct bytes note)
{
    struct reader r = reader_over(note);

    if (reader_u8(&r) != NOTE_VERSION)
        return NULL;
    for (uint64_t n = reader_varint(&r); n > 0 && !r.failed; n--)
        (void)reader_u16(&r);
    return reader_u8(&r) == 1 ? read_will(&r) : NULL;
}

static void resume_foreign(struct mqtt_session *s, struct bytes note, struct reader r)
{
    struct buf copy = { 0 }; /* the note is rewritten meanwhile */
    size_t at = note.n - r.left;

    buf_bytes(&copy, note);
    r = reader_over(bytes_from(buf_view(&copy), at));
    for (uint64_t n = reader_varint(&r); n > 0 && !r.failed; n--) {
        uint8_t options = reader_u8(&r);
        uint32_t id = reader_u32(&r);
        struct bytes filter = reader_bytes_varint(&r);

        if (!r.failed)
            mqtt_subscription_resume(s, filter, options, id);
    }
    buf_fini(&copy);
}

void mqtt_note_resume_subscriptions(struct mqtt_session *s)
{
    struct bytes note = core_queue_note_get(mqtt_core(s), s->client, buf_view(&s->queue));
    struct reader r = reader_over(note);
    struct mqtt_will_message *w;

    if (reader_u8(&r) != NOTE_VERSION)
        return;
    for (uint64_t n = reader_varint(&r); n > 0 && !r.failed; n--)
        (void)reader_u16(&r);
    if (reader_u8(&r) == 1 && (w = read_will(&r)))
        mqtt_will_free(&w);
    if (!r.failed)
        resume_foreign(s, note, r);
}
