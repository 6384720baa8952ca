// SPDX-License-Identifier: MIT
/* load_mqtt.c - MQTT 3.1.1: PUBLISH of QoS 1; what MQTT has for a queue is a session that stays.
 * Of `pub` and `sub` it is one, named and subscribed as the queue (or all of them); else each
 * consumer has its own, with its share of the queues as topics.  PUBACKs leave after each read.
 * With --fanout consumers are clean, subscribe at QoS 0, and each gets everything.
 * Not the broker's codec, so that a fault of that one shows. */
#include "tests/bench/load.h"

enum {
    CONNACK = 2,
    PUBLISH = 3,
    PUBACK = 4,
    SUBACK = 9,
    UNSUBACK = 11,
    CLEAN = 2,
    IDS = 65535 /* packet identifiers: 1 to 65535 */
};

static void put_text(struct buf *out, struct bytes text)
{
    buf_u16(out, (uint16_t)text.n);
    buf_bytes(out, text);
}

static void put_packet(struct buf *out, uint8_t first, struct buf *rest)
{
    buf_u8(out, first);
    buf_varint(out, rest->n);
    buf_bytes(out, buf_view(rest));
    buf_fini(rest);
}

/* ---- publishing ---- */

/* All up to the packet identifier: the sizes are the same for each. */
static void prefix(const struct load *l, unsigned queue, struct buf *out)
{
    char name[128];
    struct bytes topic = bytes_str(load_queue_name(l, queue, name));

    buf_u8(out, PUBLISH << 4 | 1 << 1);
    buf_varint(out, 2 + topic.n + 2 + l->o.size);
    put_text(out, topic);
}

static void publish(struct conn *c, unsigned queue, uint64_t seq, struct bytes body)
{
    buf_bytes(&c->out, buf_view(&c->load->prefix[queue]));
    buf_u16(&c->out, (uint16_t)(seq % IDS + 1));
    buf_bytes(&c->out, body);
}

/* The one sequence of that identifier that can be waiting. */
static void on_puback(struct conn *c, uint16_t id)
{
    uint64_t first = c->low_seq % IDS, wanted = (uint64_t)id - 1;

    load_confirmed(c, c->low_seq + (wanted + IDS - first) % IDS);
}

/* ---- sessions ---- */

static bool is_stored(const struct load *l)
{
    return l->o.mode == MODE_PUB || l->o.mode == MODE_SUB;
}

static void put_connect(struct conn *c)
{
    const struct load *l = c->load;
    bool stays = !l->o.fanout && (c->role == ROLE_SUB || (c->role == ROLE_SETUP && is_stored(l))) &&
                 l->o.mode != MODE_IDLE;
    struct buf rest = { 0 };
    char id[160] = "";

    if (stays && is_stored(l))
        (void)snprintf(id, sizeof id, "%.100s", l->o.queue);
    else if (stays)
        (void)snprintf(id, sizeof id, "%.100s-%u", l->o.queue, c->index);
    put_text(&rest, BYTES("MQTT"));
    buf_u8(&rest, 4);
    buf_u8(&rest, stays ? 0 : CLEAN);
    buf_u16(&rest, 0); /* no keep alive: a server may stand still while others are measured */
    put_text(&rest, bytes_str(id));
    put_packet(&c->out, 1 << 4, &rest);
}

/* A stored session begins to flow with its CONNECT, which is left for begin(). */
static void hello(struct conn *c)
{
    if (c->role == ROLE_SUB && c->load->o.mode == MODE_SUB)
        load_logged_in(c);
    else
        put_connect(c);
}

static unsigned step_of(const struct conn *c)
{
    return c->load->o.fanout || is_stored(c->load) ? 1 : load_queue_step(c);
}

static unsigned first_of(const struct conn *c)
{
    return c->load->o.fanout || is_stored(c->load) ? 0 : load_queue_first(c);
}

/* SUBSCRIBE or UNSUBSCRIBE of all its topics. */
static void put_topics(struct conn *c, uint8_t first, bool with_qos)
{
    struct buf rest = { 0 };
    char name[128];

    buf_u16(&rest, 1);
    for (unsigned q = first_of(c); q < c->load->o.queues; q += step_of(c)) {
        put_text(&rest, bytes_str(load_queue_name(c->load, q, name)));
        if (with_qos)
            buf_u8(&rest, c->load->o.fanout ? 0 : 1);
    }
    put_packet(&c->out, first, &rest);
}

static void begin(struct conn *c)
{
    if (c->role == ROLE_SUB && c->load->o.mode == MODE_SUB) {
        put_connect(c);
        load_begun(c);
    } else if (c->role == ROLE_SUB || c->load->o.mode == MODE_PUB) {
        put_topics(c, 8 << 4 | 2, true);
    } else {
        load_begun(c);
    }
}

static void settle(struct conn *c)
{
    buf_bytes(&c->out, buf_view(&c->acks));
    c->acks.n = 0;
}

/* MQTT has no answer to a PUBACK, but what is sent behind it is answered behind it. */
static void finish(struct conn *c)
{
    c->finishing = true;
    put_topics(c, 10 << 4 | 2, false);
}

/* ---- what comes ---- */

static void on_publish(struct conn *c, uint8_t flags, struct bytes rest)
{
    size_t topic = rest.n < 2 ? 0 : 2 + ((size_t)rest.p[0] << 8 | rest.p[1]);
    size_t at = topic + (flags & 6 ? 2 : 0);

    if (topic == 0 || at > rest.n)
        load_fault(c, "a PUBLISH that is cut short", BYTES(""));
    if (c->role != ROLE_SUB || c->finishing)
        return;
    if (flags & 6) {
        buf_put(&c->acks, "\x40\2", 2);
        buf_put(&c->acks, rest.p + topic, 2);
    }
    load_message(c, bytes_from(rest, at));
}

static void on_packet(struct conn *c, uint8_t first, struct bytes rest)
{
    if (first >> 4 == PUBLISH)
        on_publish(c, first, rest);
    else if (first >> 4 == PUBACK && rest.n >= 2)
        on_puback(c, (uint16_t)(rest.p[0] << 8 | rest.p[1]));
    else if (first >> 4 == CONNACK && rest.n == 2 && rest.p[1] == 0 && !c->logged_in)
        load_logged_in(c);
    else if (first >> 4 == SUBACK && rest.n > 2 && rest.p[2] < 0x80)
        load_begun(c);
    else if (first >> 4 == UNSUBACK)
        load_finished(c);
    else if (first >> 4 != CONNACK || rest.n != 2 || rest.p[1] != 0)
        load_fault(c, "a packet that was not waited for", BYTES(""));
}

/* The bytes of the fixed header, 0 when its end is not there. */
static size_t read_head(const uint8_t *p, size_t n, size_t *remaining)
{
    *remaining = 0;
    for (size_t i = 1; i < n && i < 5; i++) {
        *remaining |= (size_t)(p[i] & 127) << 7 * (i - 1);
        if (p[i] < 128)
            return i + 1;
    }
    return 0;
}

static size_t input(struct conn *c, const uint8_t *p, size_t n)
{
    size_t at = 0, head, remaining;

    while ((head = read_head(p + at, n - at, &remaining)) && n - at - head >= remaining) {
        on_packet(c, p[at], bytes_of(p + at + head, remaining));
        at += head + remaining;
    }
    return at;
}

const struct speaker speaker_mqtt = {
    .name = "mqtt",
    .port = 1883,
    .prefix = prefix,
    .hello = hello,
    .begin = begin,
    .input = input,
    .publish = publish,
    .settle = settle,
    .finish = finish,
};
