// SPDX-License-Identifier: MIT
/* mqtt_props.h - the properties of MQTT 5.0 (section 2.2.2), all from one table.
 *
 * Decoded ones are views of the packet.  The same structure is what encoders take. */
#ifndef PROTO_MQTT_PROPS_H
#define PROTO_MQTT_PROPS_H

#include "base/buf.h"
#include "base/bytes.h"

/* Where a property may be: a bit per packet type, bit 0 the will of a CONNECT. */
#define MQTT_IN_WILL (1u << 0)
#define MQTT_IN(type) (1u << MQTT_##type)
#define MQTT_IN_MESSAGE (MQTT_IN(PUBLISH) | MQTT_IN_WILL)
#define MQTT_IN_OPENING (MQTT_IN(CONNECT) | MQTT_IN(CONNACK))
#define MQTT_IN_ACK (MQTT_IN(PUBACK) | MQTT_IN(PUBREC) | MQTT_IN(PUBREL) | MQTT_IN(PUBCOMP))
#define MQTT_IN_ANSWER                                                                            \
    (MQTT_IN(CONNACK) | MQTT_IN_ACK | MQTT_IN(SUBACK) | MQTT_IN(UNSUBACK) | MQTT_IN(DISCONNECT) | \
     MQTT_IN(AUTH))
#define MQTT_IN_ALL                                                             \
    (MQTT_IN_ANSWER | MQTT_IN(CONNECT) | MQTT_IN_MESSAGE | MQTT_IN(SUBSCRIBE) | \
     MQTT_IN(UNSUBSCRIBE))

/* X(id, name, type, where); types: flag (0 or 1), u16, u16_not_0, u32, u32_not_0, varint (not 0),
 * utf8, topic, binary, pair. */
#define MQTT_PROPS(X)                                                       \
    X(0x01, payload_format, flag, MQTT_IN_MESSAGE)                          \
    X(0x02, message_expiry, u32, MQTT_IN_MESSAGE) /* seconds */             \
    X(0x03, content_type, utf8, MQTT_IN_MESSAGE)                            \
    X(0x08, response_topic, topic, MQTT_IN_MESSAGE)                         \
    X(0x09, correlation_data, binary, MQTT_IN_MESSAGE)                      \
    X(0x0b, subscription_id, varint, MQTT_IN(PUBLISH) | MQTT_IN(SUBSCRIBE)) \
    X(0x11, session_expiry, u32, MQTT_IN_OPENING | MQTT_IN(DISCONNECT))     \
    X(0x12, assigned_client_id, utf8, MQTT_IN(CONNACK))                     \
    X(0x13, server_keep_alive, u16, MQTT_IN(CONNACK))                       \
    X(0x15, auth_method, utf8, MQTT_IN_OPENING | MQTT_IN(AUTH))             \
    X(0x16, auth_data, binary, MQTT_IN_OPENING | MQTT_IN(AUTH))             \
    X(0x17, request_problem_info, flag, MQTT_IN(CONNECT))                   \
    X(0x18, will_delay, u32, MQTT_IN_WILL)                                  \
    X(0x19, request_response_info, flag, MQTT_IN(CONNECT))                  \
    X(0x1a, response_info, utf8, MQTT_IN(CONNACK))                          \
    X(0x1c, server_reference, utf8, MQTT_IN(CONNACK) | MQTT_IN(DISCONNECT)) \
    X(0x1f, reason_string, utf8, MQTT_IN_ANSWER)                            \
    X(0x21, receive_maximum, u16_not_0, MQTT_IN_OPENING)                    \
    X(0x22, topic_alias_maximum, u16, MQTT_IN_OPENING)                      \
    X(0x23, topic_alias, u16_not_0, MQTT_IN(PUBLISH))                       \
    X(0x24, maximum_qos, flag, MQTT_IN(CONNACK))                            \
    X(0x25, retain_available, flag, MQTT_IN(CONNACK))                       \
    X(0x26, user_property, pair, MQTT_IN_ALL)                               \
    X(0x27, maximum_packet_size, u32_not_0, MQTT_IN_OPENING)                \
    X(0x28, wildcard_available, flag, MQTT_IN(CONNACK))                     \
    X(0x29, subscription_id_available, flag, MQTT_IN(CONNACK))              \
    X(0x2a, shared_available, flag, MQTT_IN(CONNACK))

enum mqtt_prop {
#define X(id, name, type, where) MQTT_PROP_##name = (id),
    MQTT_PROPS(X)
#undef X
};

/* A bit of mqtt_props.has. */
#define MQTT_HAS(name) (UINT64_C(1) << MQTT_PROP_##name)

#define MQTT_FIELD_flag(name) uint8_t name;
#define MQTT_FIELD_u16(name) uint16_t name;
#define MQTT_FIELD_u16_not_0(name) uint16_t name;
#define MQTT_FIELD_u32(name) uint32_t name;
#define MQTT_FIELD_u32_not_0(name) uint32_t name;
#define MQTT_FIELD_varint(name) uint32_t name;
#define MQTT_FIELD_utf8(name) struct bytes name;
#define MQTT_FIELD_topic(name) struct bytes name;
#define MQTT_FIELD_binary(name) struct bytes name;
#define MQTT_FIELD_pair(name)

/* Zero-initialised: no properties.  A field whose bit is not in `has` is 0; what its
 * absence means (receive_maximum: 65535, maximum_qos: 2 ...) is for who reads it. */
struct mqtt_props {
    uint64_t has; /* MQTT_HAS() */
    /* Decoded: the whole section behind its length, for the iterators below.
     * Encoded: its User Properties, in their order, when has & MQTT_HAS(user_property);
     * whatever else it holds is not written.  So what was decoded can be passed on as it
     * is, and mqtt_put_user_property makes one by hand. */
    struct bytes raw;
    /* For encoding: Subscription Identifiers, written besides the one of the field
     * below.  Decoded it is empty, and that field is the first of perhaps several. */
    const uint32_t *subscription_ids;
    size_t subscription_id_count;
#define X(id, name, type, where) MQTT_FIELD_##type(name)
    MQTT_PROPS(X)
#undef X
};

/* Over `raw`: start with *at = 0; false at the end. */
bool mqtt_user_property_next(struct bytes raw, size_t *at, struct bytes *name, struct bytes *value);
bool mqtt_subscription_id_next(struct bytes raw, size_t *at, uint32_t *id);

/* Appends one in its wire form; texts above 65535 bytes are the caller's fault. */
void mqtt_put_user_property(struct buf *out, struct bytes name, struct bytes value);

#endif
