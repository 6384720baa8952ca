// SPDX-License-Identifier: MIT
/* What an MQTT client is told, and whether it may be. */
#include "tests/sim/mqtt_peer.h"

#include "base/reader.h"
#include "tests/sim/trace.h"

/* ---- CONNACK ---- */

static void on_connack(struct mqtt_peer *p, const struct mqtt_connack *a)
{
    bool present = a->session_present;

    SIM_CHECK(!p->up && a->reason == MQTT_SUCCESS, "mqtt %u: CONNACK %u", p->no, a->reason);
    SIM_CHECK(!present || (!p->clean && p->exists != KNOWN_NO), "mqtt %u: a session is present",
              p->no);
    SIM_CHECK(present || p->clean || p->exists != KNOWN_YES, "mqtt %u: its session is lost", p->no);
    trace("mqtt %u is connected%s", p->no, present ? ", session present" : "");
    if (!present && !p->clean)
        mqtt_peer_new_session(p);
    p->stays_clean = false;
    p->exists = p->persistent ? KNOWN_YES : KNOWN_NO;
    p->up = p->greeted = true;
    /* 3.1.1 names none, but its publishes may have to be sent again at 5.0. */
    p->window = p->model->world.env.mqtt.receive_maximum;
    mqtt_peer_resend(p);
}

/* ---- PUBLISH ---- */

static int topic_of(struct mqtt_peer *p, const struct mqtt_publish *m)
{
    uint16_t alias = m->props.topic_alias;
    int topic = -1;

    SIM_CHECK(alias <= PEER_ALIASES, "mqtt %u: alias %u", p->no, alias);
    if (m->topic.n == 0)
        return alias ? p->alias[alias - 1] - 1 : -1;
    for (int i = 0; i < MQTT_TOPICS; i++)
        if (bytes_eq(m->topic, bytes_str(mqtt_topics[i])))
            topic = i;
    if (alias)
        p->alias[alias - 1] = (uint8_t)(topic + 1);
    return topic;
}

static uint32_t number_of(struct mqtt_peer *p, const struct mqtt_publish *in)
{
    struct reader r = reader_over(in->payload);
    uint32_t number = reader_u32(&r);
    int topic = topic_of(p, in);

    SIM_CHECK(!r.failed && number > 0 && number < p->model->count, "mqtt %u: message %u?", p->no,
              number);
    const struct peer_message *m = &p->model->message[number];
    SIM_CHECK(topic == m->topic, "mqtt %u: message %u comes on topic %d, not %u", p->no, number,
              topic, m->topic);
    SIM_CHECK(in->payload.n == m->bytes + sizeof number, "mqtt %u: message %u has %zu bytes", p->no,
              number, in->payload.n);
    for (size_t i = sizeof number; i < in->payload.n; i++)
        SIM_CHECK(in->payload.p[i] == (number & 0xff), "mqtt %u: message %u, byte %zu", p->no,
                  number, i);
    SIM_CHECK(in->qos <= m->qos && (!in->retain || m->retain), "mqtt %u: message %u is altered",
              p->no, number);
    return number;
}

static bool may_match(const struct mqtt_peer *p, const struct peer_message *m)
{
    for (int i = 0; i < MQTT_FILTERS; i++)
        if (p->sub[i] != KNOWN_NO &&
            mqtt_filter_match(bytes_str(mqtt_filters[i]), bytes_str(mqtt_topics[m->topic])))
            return true;
    return false;
}

static void judge(struct mqtt_peer *p, const struct mqtt_publish *in, uint32_t number)
{
    struct peer_message *m = &p->model->message[number];
    uint32_t *last = &p->last[m->from][m->topic][m->qos][in->qos];

    p->model->delivered++;
    p->model->redelivered += in->dup;
    SIM_CHECK(in->dup || may_match(p, m), "mqtt %u: message %u, which no filter matches", p->no,
              number);
    if (in->retain) /* what the topic had when it subscribed */
        return;
    SIM_CHECK(in->qos < 2 || !m->exact[p->no], "mqtt %u: message %u comes twice at QoS 2", p->no,
              number);
    if (!m->seen[p->no] && !m->resent) {
        SIM_CHECK(number > *last, "mqtt %u: message %u comes after %u", p->no, number, *last);
        *last = number;
    }
    m->seen[p->no] = true;
    m->exact[p->no] |= in->qos == 2;
}

static void open_one(struct mqtt_peer *p, const struct mqtt_publish *in)
{
    uint32_t most = p->receive_max ? p->receive_max : p->model->inflight;

    SIM_CHECK(!peer_find(&p->open, in->packet_id), "mqtt %u: id %u is in use", p->no,
              in->packet_id);
    peer_add(&p->open, MQTT_PUBLISH, in->packet_id, 0);
    SIM_CHECK(p->open.n <= most, "mqtt %u: %zu deliveries, of at most %u", p->no, p->open.n, most);
    peer_add(&p->held, in->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, in->packet_id, 0);
}

static void on_publish(struct mqtt_peer *p, const struct mqtt_publish *in)
{
    uint32_t number = number_of(p, in);
    struct peer_item *got = in->qos == 2 ? peer_find(&p->got, in->packet_id) : NULL;

    trace("mqtt %u gets %u as %u: QoS %u%s%s", p->no, number, in->packet_id, in->qos,
          in->dup ? " dup" : "", in->retain ? " retain" : "");
    if (in->qos > 0)
        open_one(p, in);
    if (got) {
        SIM_CHECK(got->what == number, "mqtt %u: message %u under the id of %u", p->no, number,
                  got->what);
        SIM_CHECK(in->dup, "mqtt %u: message %u comes again as if it were new", p->no, number);
        return;
    }
    if (in->qos == 2)
        peer_add(&p->got, MQTT_PUBLISH, in->packet_id, number);
    judge(p, in, number);
}

static void on_pubrel(struct mqtt_peer *p, const struct mqtt_ack *a)
{
    struct peer_item *rec = peer_find(&p->recs, a->packet_id);
    struct peer_item *got = peer_find(&p->got, a->packet_id);

    SIM_CHECK(a->reason == MQTT_SUCCESS, "mqtt %u: PUBREL %u, reason %u", p->no, a->packet_id,
              a->reason);
    SIM_CHECK(!rec || rec == p->recs.at, "mqtt %u: PUBREL %u before that of %u", p->no,
              a->packet_id, p->recs.at[0].id);
    SIM_CHECK(rec || !peer_find(&p->open, a->packet_id), "mqtt %u: PUBREL %u was not asked for",
              p->no, a->packet_id);
    if (rec)
        peer_take(&p->recs, rec);
    if (got)
        peer_take(&p->got, got);
    peer_add(&p->held, MQTT_PUBCOMP, a->packet_id, 0);
}

/* ---- answers to what it asked ---- */

static struct peer_item answered(struct mqtt_peer *p, uint8_t type, uint16_t id)
{
    struct peer_item d = p->due.at[0];

    SIM_CHECK(p->due.n > 0 && d.type == type && d.id == id, "mqtt %u: %s %u is not due (%s %u is)",
              p->no, mqtt_type_name(type), id, p->due.n ? mqtt_type_name(d.type) : "nothing",
              p->due.n ? d.id : 0u);
    peer_take(&p->due, p->due.at);
    return d;
}

static void on_ack(struct mqtt_peer *p, uint8_t type, const struct mqtt_ack *a)
{
    struct peer_item d = answered(p, type, a->packet_id);
    struct peer_item *o = peer_find(&p->out, a->packet_id);

    trace("mqtt %u: %s %u, reason %u", p->no, mqtt_type_name(type), a->packet_id, a->reason);
    SIM_CHECK(o, "mqtt %u: %s %u of nothing", p->no, mqtt_type_name(type), a->packet_id);
    if (type != MQTT_PUBCOMP && a->reason < 0x80) {
        p->model->message[d.what].confirmed = true;
        p->model->confirmed++;
    }
    if (type != MQTT_PUBREC || a->reason >= 0x80) {
        peer_take(&p->out, o);
        return;
    }
    o->type = MQTT_PUBREC;
    mqtt_put_ack(&p->wire->up, p->level, MQTT_PUBREL, a->packet_id, MQTT_SUCCESS, NULL);
    peer_add(&p->due, MQTT_PUBCOMP, a->packet_id, 0);
}

static bool asked_again(const struct mqtt_peer *p, uint32_t filter)
{
    for (size_t i = 0; i < p->due.n; i++)
        if ((p->due.at[i].type == MQTT_SUBACK || p->due.at[i].type == MQTT_UNSUBACK) &&
            p->due.at[i].what >> 8 == filter)
            return true;
    return false;
}

static void on_suback(struct mqtt_peer *p, uint8_t type, const struct mqtt_suback *a)
{
    struct peer_item d = answered(p, type, a->packet_id);
    uint32_t filter = d.what >> 8;

    trace("mqtt %u: %s %u", p->no, mqtt_type_name(type), a->packet_id);
    SIM_CHECK(type == MQTT_UNSUBACK || (a->reasons.n == 1 && a->reasons.p[0] == (d.what & 0xff)),
              "mqtt %u: SUBACK %u grants something else", p->no, a->packet_id);
    if (asked_again(p, filter))
        return;
    p->sub[filter] = type == MQTT_SUBACK ? KNOWN_YES : KNOWN_NO;
    p->sub_qos[filter] = d.what & 0xff;
}

/* ---- packets ---- */

static void on_packet(struct mqtt_peer *p, const struct mqtt_packet *in)
{
    SIM_CHECK(p->wire && in->type != MQTT_CONNECT, "no packet for a client");
    SIM_CHECK((in->type == MQTT_CONNACK) != p->greeted, "mqtt %u: %s", p->no,
              mqtt_type_name(in->type));
    switch (in->type) {
    case MQTT_CONNACK:
        on_connack(p, &in->connack);
        break;
    case MQTT_PUBLISH:
        on_publish(p, &in->publish);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBCOMP:
        on_ack(p, in->type, &in->ack);
        break;
    case MQTT_PUBREL:
        on_pubrel(p, &in->ack);
        break;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        on_suback(p, in->type, &in->suback);
        break;
    case MQTT_PINGRESP:
        break;
    default:
        sim_fail("mqtt %u: %s, reason %u", p->no, mqtt_type_name(in->type), in->disconnect.reason);
    }
}

static bool next_packet(struct mqtt_peer *p)
{
    struct bytes in = buf_view(&p->in);
    struct mqtt_packet packet = { 0 };
    struct mqtt_head head;
    uint8_t reason = 0;
    const char *why = "";

    enum decode d = mqtt_head_decode(in, p->level, UINT32_MAX, &head, &reason, &why);
    SIM_CHECK(d != DECODE_BAD, "mqtt %u: a head is bad: %s", p->no, why);
    if (d == DECODE_MORE || in.n - head.bytes < head.remaining)
        return false;
    d = mqtt_decode(p->level, &head, bytes_head(bytes_from(in, head.bytes), head.remaining),
                    &packet, &reason, &why);
    SIM_CHECK(d == DECODE_OK, "mqtt %u: %s is bad: %s", p->no, mqtt_type_name(head.type), why);
    p->packets++;
    on_packet(p, &packet);
    buf_drop(&p->in, head.bytes + (size_t)head.remaining);
    return true;
}

void mqtt_peer_read(struct mqtt_peer *p, size_t n)
{
    struct wire *wire = p->wire;

    if (!wire)
        return;
    if (n > wire->down.n)
        n = wire->down.n;
    buf_put(&p->in, wire->down.p, n);
    buf_drop(&wire->down, n);
    while (next_packet(p))
        ;
    if (!wire->cut || wire->down.n > 0)
        return;
    trace("mqtt %u sees the end of its connection", p->no);
    world_hang_up(&p->model->world, &p->wire);
    mqtt_peer_dropped(p);
}
