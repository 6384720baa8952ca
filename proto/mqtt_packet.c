// SPDX-License-Identifier: MIT
/* PUBLISH and its answers, DISCONNECT and AUTH, in and out; and the way to all decoders. */
#include "base/check.h"
#include "proto/mqtt_wire.h"

enum { FLAG_RETAIN = 1, FLAG_QOS = 6, FLAG_DUP = 8 };
enum { QOS_SHIFT = 1 };

/* ---- in ---- */

static const char id_is_0[] = "packet id is 0 [MQTT-2.2.1-3, 2.2.1-4]";

uint16_t mqtt_read_packet_id(struct mqtt_wire *w)
{
    uint16_t id = reader_u16(&w->r);

    if (id == 0)
        mqtt_fault(w, MQTT_PROTOCOL_ERROR, id_is_0);
    return id;
}

static void check_topic(struct mqtt_wire *w, const struct mqtt_publish *p)
{
    if (p->topic.n == 0 && w->level >= MQTT_5) {
        if (!(p->props.has & MQTT_HAS(topic_alias)))
            mqtt_fault(w, MQTT_PROTOCOL_ERROR, "no topic and no alias [3.3.2.1]");
    } else if (!mqtt_topic_valid(p->topic)) {
        if (mqtt_text_valid(p->topic))
            mqtt_fault(w, MQTT_TOPIC_NAME_INVALID,
                       "topic is empty or has + or # [MQTT-3.3.2-2, 4.7.3-1]");
        else
            mqtt_fault(w, MQTT_MALFORMED_PACKET,
                       "topic is no valid UTF-8 or has U+0000 [MQTT-3.3.2-1]");
    }
}

/* The fields before the payload; nothing is judged before all are there. */
static void read_publish(struct mqtt_wire *w, const struct mqtt_head *head,
                         struct mqtt_publish *out)
{
    size_t n = w->r.left;
    struct bytes section = { NULL, 0 };

    *out = (struct mqtt_publish){
        .dup = head->flags & FLAG_DUP,
        .retain = head->flags & FLAG_RETAIN,
        .qos = (head->flags & FLAG_QOS) >> QOS_SHIFT,
    };
    out->topic = reader_bytes16(&w->r);
    if (out->qos > 0)
        out->packet_id = reader_u16(&w->r);
    if (w->level >= MQTT_5)
        section = mqtt_read_section(w);
    if (w->r.failed)
        return;
    if (out->qos > 0 && out->packet_id == 0)
        mqtt_fault(w, MQTT_PROTOCOL_ERROR, id_is_0);
    if (section.n > 0)
        mqtt_parse_props(w, section, MQTT_IN(PUBLISH), &out->props);
    check_topic(w, out);
    out->payload_at = (uint32_t)(n - w->r.left);
    out->payload_bytes = head->remaining - out->payload_at;
    out->payload = reader_rest(&w->r);
}

/* The reason and properties of 5.0, of which the end may be left out [3.4.2.1, 3.14.2.1]. */
static uint8_t read_reason(struct mqtt_wire *w, uint8_t type, struct mqtt_props *props)
{
    if (w->level < MQTT_5 || w->r.left == 0)
        return MQTT_SUCCESS;
    uint8_t reason = reader_u8(&w->r);
    if (!mqtt_reason_is_of(reason, 1u << type))
        mqtt_fault(w, MQTT_PROTOCOL_ERROR, "reason is none of such a packet [2.4]");
    if (w->r.left > 0)
        mqtt_read_props(w, 1u << type, props);
    return reason;
}

static void read_ack(struct mqtt_wire *w, uint8_t type, struct mqtt_ack *out)
{
    *out = (struct mqtt_ack){ .packet_id = mqtt_read_packet_id(w) };
    out->reason = read_reason(w, type, &out->props);
}

static void read_disconnect(struct mqtt_wire *w, struct mqtt_disconnect *out)
{
    *out = (struct mqtt_disconnect){ 0 };
    out->reason = read_reason(w, MQTT_DISCONNECT, &out->props);
}

/* Without a reason it is a success; with one it has a method [3.15.2.1, 3.15.2.2.2]. */
static void read_auth(struct mqtt_wire *w, struct mqtt_disconnect *out)
{
    bool is_short = w->r.left == 0;

    *out = (struct mqtt_disconnect){ 0 };
    if (w->r.left == 1)
        mqtt_fault(w, MQTT_MALFORMED_PACKET, "reason without properties [3.15.2.1]");
    out->reason = read_reason(w, MQTT_AUTH, &out->props);
    if (!is_short && !(out->props.has & MQTT_HAS(auth_method)))
        mqtt_fault(w, MQTT_PROTOCOL_ERROR, "no authentication method [3.15.2.2.2]");
}

static void read_packet(struct mqtt_wire *w, const struct mqtt_head *head, struct mqtt_packet *out)
{
    switch ((enum mqtt_type)head->type) {
    case MQTT_CONNECT:
        mqtt_read_connect(w, head, &out->connect);
        break;
    case MQTT_CONNACK:
        mqtt_read_connack(w, &out->connack);
        break;
    case MQTT_PUBLISH:
        read_publish(w, head, &out->publish);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        read_ack(w, head->type, &out->ack);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        mqtt_read_filters(w, head->type, &out->subscribe);
        break;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        mqtt_read_suback(w, head->type, &out->suback);
        break;
    case MQTT_DISCONNECT:
        read_disconnect(w, &out->disconnect);
        break;
    case MQTT_AUTH:
        read_auth(w, &out->auth);
        break;
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        break;
    }
}

static struct mqtt_wire wire_over(uint8_t level, const struct mqtt_head *head, struct bytes in)
{
    return (struct mqtt_wire){ reader_over(bytes_head(in, head->remaining)), level, 0, NULL };
}

/* What a packet of which all was there, or all that was needed, is. */
static enum decode verdict(struct mqtt_wire *w, uint8_t *reason, const char **why)
{
    if (w->r.left > 0)
        mqtt_fault(w, MQTT_MALFORMED_PACKET, "packet goes on behind its last field");
    if (mqtt_wire_ok(w))
        return DECODE_OK;
    *reason = w->why ? w->reason : MQTT_MALFORMED_PACKET;
    *why = w->why ? w->why : "packet ends within a field";
    return DECODE_BAD;
}

enum decode mqtt_decode(uint8_t level, const struct mqtt_head *head, struct bytes in,
                        struct mqtt_packet *out, uint8_t *reason, const char **why)
{
    struct mqtt_wire w = wire_over(level, head, in);

    if (in.n < head->remaining)
        return DECODE_MORE;
    out->type = head->type;
    read_packet(&w, head, out);
    return verdict(&w, reason, why);
}

enum decode mqtt_publish_head_decode(uint8_t level, const struct mqtt_head *head, struct bytes in,
                                     struct mqtt_publish *out, uint8_t *reason, const char **why)
{
    struct mqtt_wire w = wire_over(level, head, in);

    read_publish(&w, head, out);
    if (w.r.failed && in.n < head->remaining)
        return DECODE_MORE;
    return verdict(&w, reason, why);
}

/* ---- out ---- */

static uint8_t flags_of(const struct mqtt_publish *p)
{
    unsigned flags = (unsigned)p->qos << QOS_SHIFT | (p->retain ? FLAG_RETAIN : 0);

    if (p->dup && p->qos > 0) /* [MQTT-3.3.1-2] */
        flags |= FLAG_DUP;
    return (uint8_t)flags;
}

static size_t publish_remaining(const struct mqtt_publish *p, const struct mqtt_section *props,
                                uint32_t payload_bytes)
{
    return 2 + p->topic.n + (p->qos > 0 ? 2 : 0) + props->whole_bytes + payload_bytes;
}

void mqtt_put_publish_head(struct buf *out, uint8_t level, const struct mqtt_publish *p,
                           uint32_t payload_bytes)
{
    struct mqtt_section props = mqtt_section_of(level, MQTT_IN(PUBLISH), &p->props);

    mqtt_put_head(out, MQTT_PUBLISH, flags_of(p), publish_remaining(p, &props, payload_bytes));
    mqtt_put_text(out, p->topic);
    if (p->qos > 0)
        buf_u16(out, p->packet_id);
    mqtt_put_section(out, &props);
}

void mqtt_put_publish(struct buf *out, uint8_t level, const struct mqtt_publish *p)
{
    CHECK(p->payload.n <= MQTT_REMAINING_MAX);
    mqtt_put_publish_head(out, level, p, (uint32_t)p->payload.n);
    buf_bytes(out, p->payload);
}

size_t mqtt_publish_bytes(uint8_t level, const struct mqtt_publish *p, uint32_t payload_bytes)
{
    struct mqtt_section props = mqtt_section_of(level, MQTT_IN(PUBLISH), &p->props);
    size_t remaining = publish_remaining(p, &props, payload_bytes);

    return 1 + mqtt_varint_bytes(remaining) + remaining;
}

void mqtt_put_ack(struct buf *out, uint8_t level, enum mqtt_type type, uint16_t packet_id,
                  uint8_t reason, const struct mqtt_props *props)
{
    struct mqtt_section section = { 0 };
    uint8_t flags = type == MQTT_PUBREL ? 2 : 0;
    uint8_t ack[] = { (uint8_t)(type << 4 | flags), 2, (uint8_t)(packet_id >> 8),
                      (uint8_t)packet_id };

    if (props)
        section = mqtt_section_of(level, 1u << type, props);
    if (section.bytes > 0) {
        mqtt_put_head(out, (uint8_t)type, flags, 3 + section.whole_bytes);
        buf_put(out, ack + 2, 2);
        buf_u8(out, reason);
        mqtt_put_section(out, &section);
    } else if (level >= MQTT_5 && reason != MQTT_SUCCESS) {
        ack[1] = 3;
        buf_put(out, ack, sizeof ack);
        buf_u8(out, reason);
    } else {
        buf_put(out, ack, sizeof ack);
    }
}

void mqtt_put_pingreq(struct buf *out)
{
    mqtt_put_head(out, MQTT_PINGREQ, 0, 0);
}

void mqtt_put_pingresp(struct buf *out)
{
    mqtt_put_head(out, MQTT_PINGRESP, 0, 0);
}

void mqtt_put_disconnect(struct buf *out, uint8_t level, uint8_t reason,
                         const struct mqtt_props *props)
{
    struct mqtt_section section = mqtt_section_of(level, MQTT_IN(DISCONNECT), props);

    if (level < MQTT_5 || (reason == MQTT_SUCCESS && section.bytes == 0)) {
        mqtt_put_head(out, MQTT_DISCONNECT, 0, 0);
    } else if (section.bytes == 0) {
        mqtt_put_head(out, MQTT_DISCONNECT, 0, 1);
        buf_u8(out, reason);
    } else {
        mqtt_put_head(out, MQTT_DISCONNECT, 0, 1 + section.whole_bytes);
        buf_u8(out, reason);
        mqtt_put_section(out, &section);
    }
}

void mqtt_put_auth(struct buf *out, uint8_t reason, const struct mqtt_props *props)
{
    struct mqtt_section section = mqtt_section_of(MQTT_5, MQTT_IN(AUTH), props);

    if (reason == MQTT_SUCCESS && section.bytes == 0) {
        mqtt_put_head(out, MQTT_AUTH, 0, 0);
        return;
    }
    mqtt_put_head(out, MQTT_AUTH, 0, 1 + section.whole_bytes);
    buf_u8(out, reason);
    mqtt_put_section(out, &section);
}
