// SPDX-License-Identifier: MIT
/* Answers that wait for the disk, in the order they were asked for. */
#include "base/mem.h"
#include "broker/session/mqtt_session.h"

enum { DUE_FIRST = 8, DUE_KEPT = 16 };

static struct mqtt_due *due_at(struct mqtt_session *s, uint32_t i)
{
    return &s->due[(s->due_head + i) & (s->due_cap - 1)];
}

static void due_grow(struct mqtt_session *s)
{
    uint32_t cap = s->due_cap ? s->due_cap * 2 : DUE_FIRST;
    struct mqtt_due *ring = mem_array(cap, sizeof *ring);

    for (uint32_t i = 0; i < s->due_count; i++)
        ring[i] = *due_at(s, i);
    mem_free(s->due);
    s->due = ring;
    s->due_cap = cap;
    s->due_head = 0;
}

static void due_add(struct mqtt_session *s, struct mqtt_due d, bool refused)
{
    if (s->due_count == s->due_cap)
        due_grow(s);
    *due_at(s, s->due_count++) = d;
    s->due_publishes += d.type == MQTT_PUBACK;
    (void)core_confirm(mqtt_core(s), s->client, refused);
}

void mqtt_due_ack(struct mqtt_session *s, enum mqtt_type type, uint16_t packet_id, uint8_t reason,
                  bool refused)
{
    due_add(s, (struct mqtt_due){ .type = (uint8_t)type, .reason = reason, .packet_id = packet_id },
            refused);
}

void mqtt_due_packet(struct mqtt_session *s, enum mqtt_type type, size_t from)
{
    due_add(
        s, (struct mqtt_due){ .type = (uint8_t)type, .bytes = (uint32_t)(s->due_packets.n - from) },
        false);
}

static void put_packet(struct mqtt_session *s, const struct mqtt_due *d)
{
    buf_put(mqtt_out(s), s->due_packets.p + s->due_packets_at, d->bytes);
    s->due_packets_at += d->bytes;
    if (d->type == MQTT_CONNACK) { /* nothing comes before it [MQTT-3.2.0-1] */
        s->s.paused = false;
        mqtt_room(s);
    }
    if (s->due_packets_at < s->due_packets.n)
        return;
    buf_fini(&s->due_packets);
    s->due_packets_at = 0;
}

/* Below 5.0 there is no way to refuse a message but to close [3.1.1: 3.3.5-2]. */
static void put_ack(struct mqtt_session *s, const struct mqtt_due *d)
{
    s->due_publishes -= d->type == MQTT_PUBACK;
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
    for (uint64_t n = e->first; n <= e->last && s->due_count > 0; n++) {
        struct mqtt_due d = *due_at(s, 0);

        s->due_head = (s->due_head + 1) & (s->due_cap - 1);
        s->due_count--;
        s->s.env->count.frames_out++;
        if (d.bytes)
            put_packet(s, &d);
        else
            put_ack(s, &d);
        if (s->state == MQTT_STATE_ENDED)
            return;
    }
    if (s->due_count > 0 || s->due_cap <= DUE_KEPT)
        return;
    mem_free(s->due);
    s->due = NULL;
    s->due_cap = s->due_head = 0;
}

void mqtt_due_free(struct mqtt_session *s)
{
    mem_free(s->due);
    s->due = NULL;
    s->due_cap = s->due_head = s->due_count = s->due_publishes = 0;
    buf_fini(&s->due_packets);
    s->due_packets_at = 0;
}
