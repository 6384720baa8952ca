// SPDX-License-Identifier: MIT
/* CONNECT and CONNACK, in and out. */
#include "proto/mqtt_wire.h"

enum {
    FLAG_RESERVED = 0x01,
    FLAG_CLEAN_START = 0x02,
    FLAG_WILL = 0x04,
    FLAG_WILL_QOS = 0x18,
    FLAG_WILL_RETAIN = 0x20,
    FLAG_PASSWORD = 0x40,
    FLAG_USER_NAME = 0x80
};
enum { WILL_QOS_SHIFT = 3 };

static struct bytes name_at(uint8_t level)
{
    return level == MQTT_3_1 ? BYTES("MQIsdp") : BYTES("MQTT");
}

/* ---- CONNECT in ---- */

/* The protocol's name and level; 0: none that is spoken here. */
static uint8_t read_level(struct mqtt_wire *w, struct mqtt_connect *out)
{
    struct bytes name = reader_bytes16(&w->r);
    uint8_t level = reader_u8(&w->r);

    if (bytes_eq(name, name_at(MQTT_5)) || bytes_eq(name, name_at(MQTT_3_1)))
        out->level = level;
    if (level >= MQTT_3_1 && level <= MQTT_5 && bytes_eq(name, name_at(level)))
        return level;
    mqtt_fault(w, MQTT_UNSUPPORTED_PROTOCOL_VERSION,
               "protocol is none of MQIsdp 3, MQTT 4, MQTT 5 [MQTT-3.1.2-1, 3.1.2-2]");
    return 0;
}

/* 3.1 leaves open what unused flags are. */
static const char *flags_fault(uint8_t level, unsigned flags)
{
    if (flags & FLAG_WILL && (flags & FLAG_WILL_QOS) == FLAG_WILL_QOS)
        return "will QoS is 3 [MQTT-3.1.2-12]";
    if (level < MQTT_5 && flags & FLAG_PASSWORD && !(flags & FLAG_USER_NAME))
        return "password without a user name [3.1.1: MQTT-3.1.2-22]";
    if (level == MQTT_3_1)
        return NULL;
    if (flags & FLAG_RESERVED)
        return "reserved connect flag is set [MQTT-3.1.2-3]";
    if (!(flags & FLAG_WILL) && flags & (FLAG_WILL_QOS | FLAG_WILL_RETAIN))
        return "will QoS or retain without a will [MQTT-3.1.2-11, 3.1.2-13]";
    return NULL;
}

static void read_will(struct mqtt_wire *w, unsigned flags, struct mqtt_will *will)
{
    will->qos = (uint8_t)((flags & FLAG_WILL_QOS) >> WILL_QOS_SHIFT);
    will->retain = flags & FLAG_WILL_RETAIN;
    mqtt_read_props(w, MQTT_IN_WILL, &will->props);
    will->topic = mqtt_read_text(w);
    if (!mqtt_topic_valid(will->topic))
        mqtt_fault(w, MQTT_TOPIC_NAME_INVALID, "will topic is empty or has + or # [MQTT-4.7.0-1]");
    will->payload = reader_bytes16(&w->r);
}

/* 3.1 allows a flag whose field is not there. */
static bool is_there(const struct mqtt_wire *w, unsigned flag)
{
    return flag && (w->level > MQTT_3_1 || w->r.left > 0);
}

static void read_login(struct mqtt_wire *w, unsigned flags, struct mqtt_connect *out)
{
    out->has_user_name = is_there(w, flags & FLAG_USER_NAME);
    if (out->has_user_name)
        out->user_name = mqtt_read_text(w);
    out->has_password = is_there(w, flags & FLAG_PASSWORD);
    if (out->has_password)
        out->password = reader_bytes16(&w->r);
}

static void check_client_id(struct mqtt_wire *w, const struct mqtt_connect *c)
{
    if (c->client_id.n > 0 || w->level == MQTT_5)
        return;
    if (w->level == MQTT_3_1)
        mqtt_fault(w, MQTT_CLIENT_ID_NOT_VALID, "client id is empty [3.1: 3.1]");
    else if (!c->clean_start)
        mqtt_fault(w, MQTT_CLIENT_ID_NOT_VALID,
                   "client id is empty without clean session [3.1.1: MQTT-3.1.3-8]");
}

void mqtt_read_connect(struct mqtt_wire *w, const struct mqtt_head *head, struct mqtt_connect *out)
{
    *out = (struct mqtt_connect){ 0 };
    w->level = read_level(w, out);
    if (!mqtt_wire_ok(w))
        return;
    if (w->level == MQTT_5 && head->bytes > 1 + mqtt_varint_bytes(head->remaining))
        mqtt_fault(w, MQTT_MALFORMED_PACKET, "length in more bytes than it needs [MQTT-1.5.5-1]");
    unsigned flags = reader_u8(&w->r);
    const char *fault = flags_fault(w->level, flags);
    if (fault)
        mqtt_fault(w, MQTT_MALFORMED_PACKET, fault);
    out->clean_start = flags & FLAG_CLEAN_START;
    out->keep_alive_s = reader_u16(&w->r);
    mqtt_read_props(w, MQTT_IN(CONNECT), &out->props);
    out->client_id = mqtt_read_text(w);
    out->has_will = flags & FLAG_WILL;
    if (out->has_will)
        read_will(w, flags, &out->will);
    read_login(w, flags, out);
    check_client_id(w, out);
}

/* ---- CONNECT out ---- */

static unsigned flags_of(const struct mqtt_connect *p)
{
    unsigned flags = p->clean_start ? FLAG_CLEAN_START : 0;

    if (p->has_will)
        flags |= FLAG_WILL | (unsigned)p->will.qos << WILL_QOS_SHIFT |
                 (p->will.retain ? FLAG_WILL_RETAIN : 0);
    if (p->has_password)
        flags |= FLAG_PASSWORD;
    if (p->has_user_name)
        flags |= FLAG_USER_NAME;
    return flags;
}

static size_t optional_bytes(bool is_there, struct bytes field)
{
    return is_there ? 2 + field.n : 0;
}

void mqtt_put_connect(struct buf *out, const struct mqtt_connect *p)
{
    struct bytes name = name_at(p->level);
    struct mqtt_section props = mqtt_section_of(p->level, MQTT_IN(CONNECT), &p->props);
    struct mqtt_section will = { 0 };

    if (p->has_will)
        will = mqtt_section_of(p->level, MQTT_IN_WILL, &p->will.props);
    mqtt_put_head(out, MQTT_CONNECT, 0,
                  2 + name.n + 4 + props.whole_bytes + 2 + p->client_id.n + will.whole_bytes +
                      optional_bytes(p->has_will, p->will.topic) +
                      optional_bytes(p->has_will, p->will.payload) +
                      optional_bytes(p->has_user_name, p->user_name) +
                      optional_bytes(p->has_password, p->password));
    mqtt_put_text(out, name);
    buf_u8(out, p->level);
    buf_u8(out, (uint8_t)flags_of(p));
    buf_u16(out, p->keep_alive_s);
    mqtt_put_section(out, &props);
    mqtt_put_text(out, p->client_id);
    if (p->has_will) {
        mqtt_put_section(out, &will);
        mqtt_put_text(out, p->will.topic);
        mqtt_put_text(out, p->will.payload);
    }
    if (p->has_user_name)
        mqtt_put_text(out, p->user_name);
    if (p->has_password)
        mqtt_put_text(out, p->password);
}

/* ---- CONNACK: return codes below 5.0 are the reasons at their place [3.1.1: 3.2.2.3] ---- */

static const uint8_t return_codes[] = { MQTT_SUCCESS,
                                        MQTT_UNSUPPORTED_PROTOCOL_VERSION,
                                        MQTT_CLIENT_ID_NOT_VALID,
                                        MQTT_SERVER_UNAVAILABLE,
                                        MQTT_BAD_USER_NAME_OR_PASSWORD,
                                        MQTT_NOT_AUTHORIZED };

enum { RETURN_CODE_END = sizeof return_codes / sizeof *return_codes };

void mqtt_read_connack(struct mqtt_wire *w, struct mqtt_connack *out)
{
    uint8_t flags = reader_u8(&w->r);
    uint8_t code = reader_u8(&w->r);

    *out = (struct mqtt_connack){ .session_present = flags & 1, .reason = code };
    if (w->level < MQTT_5) {
        if (code >= RETURN_CODE_END)
            mqtt_fault(w, MQTT_MALFORMED_PACKET, "return code is reserved");
        else
            out->reason = return_codes[code];
    } else if (!mqtt_reason_is_of(code, MQTT_IN(CONNACK))) {
        mqtt_fault(w, MQTT_PROTOCOL_ERROR, "reason is none of a CONNACK [MQTT-3.2.2-8]");
    }
    if (w->level == MQTT_3_1) /* which has no such flag, and no rule for its byte */
        out->session_present = false;
    else if (flags > 1)
        mqtt_fault(w, MQTT_MALFORMED_PACKET, "reserved bit is set [MQTT-3.2.2-1]");
    else if (flags && code != MQTT_SUCCESS)
        mqtt_fault(w, MQTT_PROTOCOL_ERROR, "session present in a refusal [MQTT-3.2.2-6]");
    mqtt_read_props(w, MQTT_IN(CONNACK), &out->props);
}

static uint8_t return_code_of(uint8_t reason)
{
    uint8_t code = 0;

    if (reason == MQTT_SERVER_BUSY)
        reason = MQTT_SERVER_UNAVAILABLE;
    while (code < RETURN_CODE_END && return_codes[code] != reason)
        code++;
    return code;
}

bool mqtt_put_connack(struct buf *out, uint8_t level, const struct mqtt_connack *p)
{
    struct mqtt_section props = mqtt_section_of(level, MQTT_IN(CONNACK), &p->props);
    uint8_t code = level < MQTT_5 ? return_code_of(p->reason) : p->reason;

    if (level < MQTT_5 && code == RETURN_CODE_END)
        return false;
    mqtt_put_head(out, MQTT_CONNACK, 0, 2 + props.whole_bytes);
    buf_u8(out, p->session_present && level != MQTT_3_1);
    buf_u8(out, code);
    mqtt_put_section(out, &props);
    return true;
}
