// SPDX-License-Identifier: MIT
/* Fixed headers, and the names of types and reasons. */
#include "base/check.h"
#include "proto/mqtt_wire.h"

const char *mqtt_type_name(uint8_t type)
{
    static const char *const names[] = {
        [MQTT_CONNECT] = "CONNECT",   [MQTT_CONNACK] = "CONNACK",
        [MQTT_PUBLISH] = "PUBLISH",   [MQTT_PUBACK] = "PUBACK",
        [MQTT_PUBREC] = "PUBREC",     [MQTT_PUBREL] = "PUBREL",
        [MQTT_PUBCOMP] = "PUBCOMP",   [MQTT_SUBSCRIBE] = "SUBSCRIBE",
        [MQTT_SUBACK] = "SUBACK",     [MQTT_UNSUBSCRIBE] = "UNSUBSCRIBE",
        [MQTT_UNSUBACK] = "UNSUBACK", [MQTT_PINGREQ] = "PINGREQ",
        [MQTT_PINGRESP] = "PINGRESP", [MQTT_DISCONNECT] = "DISCONNECT",
        [MQTT_AUTH] = "AUTH",
    };

    return type < sizeof names / sizeof *names ? names[type] : NULL;
}

/* ---- reasons ---- */

static const struct {
    const char *name;
    uint16_t where;
} reasons[] = {
#define X(code, name, text, where) [code] = { text, (uint16_t)(where) },
    MQTT_REASONS(X)
#undef X
};

enum { REASON_END = sizeof reasons / sizeof *reasons };

const char *mqtt_reason_name(uint8_t reason)
{
    return reason < REASON_END && reasons[reason].name ? reasons[reason].name
                                                       : "Unknown reason code";
}

bool mqtt_reason_is_of(uint8_t reason, unsigned where)
{
    return reason < REASON_END && reasons[reason].where & where;
}

/* ---- fixed headers ---- */

enum { TYPES_WITH_FLAG_2 = MQTT_IN(PUBREL) | MQTT_IN(SUBSCRIBE) | MQTT_IN(UNSUBSCRIBE) };

static const char *publish_flags_fault(unsigned flags)
{
    if ((flags & 6) == 6)
        return "QoS is 3 [MQTT-3.3.1-4]";
    if ((flags & 0xe) == 8)
        return "DUP with QoS 0 [MQTT-3.3.1-2]";
    return NULL;
}

/* What is wrong with the first byte; NULL: nothing. */
static const char *first_fault(uint8_t first, uint8_t level)
{
    unsigned type = first >> 4, flags = first & 0xf;

    if (type == MQTT_PUBLISH)
        return publish_flags_fault(flags);
    if (type == 0 || (type == MQTT_AUTH && level < MQTT_5))
        return "packet type is reserved [2.1.2]";
    if (TYPES_WITH_FLAG_2 >> type & 1)
        /* 3.1 has DUP among them, and no rule for the receiver. */
        return flags == 2 || level == MQTT_3_1 ? NULL : "flags are not 2 [MQTT-2.1.3-1]";
    return flags == 0 ? NULL : "flags are not 0 [MQTT-2.1.3-1]";
}

static enum decode refuse(uint8_t code, const char *text, uint8_t *reason, const char **why)
{
    *reason = code;
    *why = text;
    return DECODE_BAD;
}

enum decode mqtt_head_decode(struct bytes in, uint8_t level, uint32_t max_bytes,
                             struct mqtt_head *out, uint8_t *reason, const char **why)
{
    uint32_t remaining = 0;
    uint8_t at = 0, byte;

    if (in.n == 0)
        return DECODE_MORE;
    const char *fault = first_fault(in.p[0], level);
    if (fault)
        return refuse(MQTT_MALFORMED_PACKET, fault, reason, why);
    do {
        if (++at == MQTT_HEAD_MAX_BYTES)
            return refuse(MQTT_MALFORMED_PACKET, "length of more than four bytes", reason, why);
        if (at == in.n)
            return DECODE_MORE;
        byte = in.p[at];
        remaining |= (uint32_t)(byte & 0x7f) << 7 * (at - 1);
    } while (byte >= 0x80);
    if (at > 1 && byte == 0 && level >= MQTT_5)
        return refuse(MQTT_MALFORMED_PACKET, "length in more bytes than it needs [MQTT-1.5.5-1]",
                      reason, why);
    if (remaining + at + 1 > max_bytes)
        return refuse(MQTT_PACKET_TOO_LARGE, "packet is larger than the maximum packet size",
                      reason, why);
    *out = (struct mqtt_head){ in.p[0] >> 4, in.p[0] & 0xf, (uint8_t)(at + 1), remaining };
    return DECODE_OK;
}

void mqtt_put_head(struct buf *out, uint8_t type, uint8_t flags, size_t remaining)
{
    CHECK(remaining <= MQTT_REMAINING_MAX);
    uint8_t *p = buf_reserve(out, MQTT_HEAD_MAX_BYTES);

    *p++ = (uint8_t)(type << 4 | flags);
    for (; remaining >= 0x80; remaining >>= 7)
        *p++ = (uint8_t)(remaining | 0x80);
    *p++ = (uint8_t)remaining;
    out->n = (size_t)(p - out->p);
}
