// SPDX-License-Identifier: MIT
/* Answers that wait for the disk, in the order they were asked for. */
#include "base/mem.h"
#include "broker/session/mqtt_session.h"

enum { DUE_FIRST = 8, DUE_KEPT = 16, SPARE_MAX = 64 };

/* ---- the queue of them: most sessions wait for nothing most of the time ---- */

static struct mqtt_dues *dues_of(struct mqtt_session *s)
{
    struct mqtt_shared *sh = s->shared;

    if (s->dues)
        return s->dues;
    s->dues = sh->spare_dues;
    if (!s->dues)
        return s->dues = mem_new(struct mqtt_dues);
    sh->spare_dues = s->dues->next_spare;
    sh->spare_due_count--;
    return s->dues;
}

static void dues_free(struct mqtt_dues *q)
{
    mem_free(q->ring);
    buf_fini(&q->packets);
    mem_free(q);
}

static void dues_leave(struct mqtt_session *s)
{
    struct mqtt_shared *sh = s->shared;
    struct mqtt_dues *q = s->dues;

    s->dues = NULL;
    if (sh->spare_due_count == SPARE_MAX || q->cap > DUE_KEPT) {
        dues_free(q);
        return;
    }
    q->next_spare = sh->spare_dues;
    sh->spare_dues = q;
    sh->spare_due_count++;
}

void mqtt_due_free_spare(struct mqtt_shared *sh)
{
    struct mqtt_dues *q;

    while ((q = sh->spare_dues)) {
        sh->spare_dues = q->next_spare;
        dues_free(q);
    }
}

void mqtt_due_free(struct mqtt_session *s)
{
    if (s->dues)
        dues_free(s->dues);
    s->dues = NULL;
}

static struct mqtt_due *due_at(const struct mqtt_dues *q, uint32_t i)
{
    return &q->ring[(q->head + i) & (q->cap - 1)];
}

static void due_grow(struct mqtt_dues *q)
{
    uint32_t cap = q->cap ? q->cap * 2 : DUE_FIRST;
    struct mqtt_due *ring = mem_array(cap, sizeof *ring);

    for (uint32_t i = 0; i < q->count; i++)
        ring[i] = *due_at(q, i);
    mem_free(q->ring);
    q->ring = ring;
    q->cap = cap;
    q->head = 0;
}

static struct mqtt_due due_pop(struct mqtt_dues *q)
{
    struct mqtt_due d = *due_at(q, 0);

    q->head = (q->head + 1) & (q->cap - 1);
    q->count--;
    q->publishes -= d.bytes == 0 && d.type == MQTT_PUBACK;
    return d;
}

/* ---- in ---- */

static void due_add(struct mqtt_session *s, struct mqtt_due d, bool refused)
{
    struct mqtt_dues *q = dues_of(s);

    if (q->count == q->cap)
        due_grow(q);
    *due_at(q, q->count++) = d;
    q->publishes += d.type == MQTT_PUBACK;
    (void)core_confirm(mqtt_core(s), s->client, refused);
}

void mqtt_due_ack(struct mqtt_session *s, enum mqtt_type type, uint16_t packet_id, uint8_t reason,
                  bool refused)
{
    due_add(s, (struct mqtt_due){ .type = (uint8_t)type, .reason = reason, .packet_id = packet_id },
            refused);
}

struct buf *mqtt_due_begin(struct mqtt_session *s, size_t *from)
{
    struct mqtt_dues *q = dues_of(s);

    *from = q->packets.n;
    return &q->packets;
}

void mqtt_due_packet(struct mqtt_session *s, enum mqtt_type type, size_t from)
{
    uint32_t bytes = (uint32_t)(dues_of(s)->packets.n - from);

    due_add(s, (struct mqtt_due){ .type = (uint8_t)type, .bytes = bytes }, false);
}

size_t mqtt_due_publishes(const struct mqtt_session *s)
{
    return s->dues ? s->dues->publishes : 0;
}

/* ---- out ---- */

static void put_packet(struct mqtt_session *s, const struct mqtt_due *d)
{
    struct mqtt_dues *q = s->dues;

    if (s->packet_max && d->bytes > s->packet_max) { /* SUBACK of many filters */
        mqtt_fail(s, MQTT_PACKET_TOO_LARGE, "%s is larger than the client's maximum packet size",
                  mqtt_type_name(d->type));
        return;
    }
    buf_put(mqtt_out(s), q->packets.p + q->packets_at, d->bytes);
    q->packets_at += d->bytes;
    if (q->packets_at == q->packets.n) {
        buf_fini(&q->packets);
        q->packets_at = 0;
    }
    if (d->type == MQTT_CONNACK) { /* nothing comes before it [MQTT-3.2.0-1] */
        s->s.paused = false;
        mqtt_room(s);
    }
}

/* Below 5.0 there is no way to refuse a message but to close [3.1.1: 3.3.5-2]. */
static void put_ack(struct mqtt_session *s, const struct mqtt_due *d)
{
    if (d->reason >= 0x80 && s->level < MQTT_5 &&
        (d->type == MQTT_PUBACK || d->type == MQTT_PUBREC)) {
        mqtt_fail(s, d->reason, "a message was refused: %s", mqtt_reason_name(d->reason));
        return;
    }
    if (d->type == MQTT_PUBREL) {
        struct mqtt_flight *f = mqtt_inflight_find(&s->out, d->packet_id);

        if (f)
            f->sent = MQTT_SENT_RELEASED;
    }
    mqtt_put_ack(mqtt_out(s), s->level, (enum mqtt_type)d->type, d->packet_id, d->reason, NULL);
}

void mqtt_on_confirm(struct mqtt_session *s, const struct effect *e)
{
    for (uint64_t n = e->first; n <= e->last && s->dues && s->dues->count > 0; n++) {
        struct mqtt_due d = due_pop(s->dues);

        s->s.env->count.frames_out++;
        if (d.bytes)
            put_packet(s, &d);
        else
            put_ack(s, &d);
        if (s->state == MQTT_STATE_ENDED)
            return;
    }
    if (s->dues && s->dues->count == 0)
        dues_leave(s);
}
