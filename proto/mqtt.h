// SPDX-License-Identifier: MIT
/* mqtt.h - MQTT 3.1, 3.1.1 and 5.0 control packets, both directions.
 *
 * Views out, nothing allocated.  A packet is a fixed header (type and flags u8, remaining
 * length varint), then so many bytes (section 2.1).  `level` is the protocol level of
 * the CONNECT, 0 before it.  Who sent a packet is not known here: what only one side may
 * send (Subscription Identifiers in a PUBLISH to a server, reasons of a DISCONNECT) and
 * the order of packets are for the session to judge.
 *
 * Clauses are those of 5.0 unless said otherwise.  A reason is a code of 5.0 at every
 * level; what 3.1.1 cannot say is left out or made its nearest by the encoders. */
#ifndef PROTO_MQTT_H
#define PROTO_MQTT_H

#include "base/buf.h"
#include "base/bytes.h"
#include "proto/decode.h"
#include "proto/mqtt_props.h"
#include "proto/mqtt_reasons.h"
#include "proto/mqtt_topic.h"

enum mqtt_level { MQTT_3_1 = 3, MQTT_3_1_1 = 4, MQTT_5 = 5 };

enum mqtt_type {
    MQTT_CONNECT = 1,
    MQTT_CONNACK,
    MQTT_PUBLISH,
    MQTT_PUBACK,
    MQTT_PUBREC,
    MQTT_PUBREL,
    MQTT_PUBCOMP,
    MQTT_SUBSCRIBE,
    MQTT_SUBACK,
    MQTT_UNSUBSCRIBE,
    MQTT_UNSUBACK,
    MQTT_PINGREQ,
    MQTT_PINGRESP,
    MQTT_DISCONNECT,
    MQTT_AUTH
};
const char *mqtt_type_name(uint8_t type); /* "PUBLISH"; NULL: no such type */

enum {
    MQTT_HEAD_MAX_BYTES = 5,
    MQTT_REMAINING_MAX = 268435455, /* four bytes of seven bits */
    MQTT_TEXT_MAX_BYTES = 65535
};

struct mqtt_head {
    uint8_t type; /* enum mqtt_type */
    uint8_t flags;
    uint8_t bytes; /* of this head: 2 to 5 */
    uint32_t remaining;
};

/* The fixed header at the start of `in`.  DECODE_BAD as soon as it can be seen: `*reason`
 * is 0x95 of a packet of more than max_bytes (head and all), else 0x81; `*why` is static.
 * Below 5.0 a length may be written longer than it need be. */
enum decode mqtt_head_decode(struct bytes in, uint8_t level, uint32_t max_bytes,
                             struct mqtt_head *out, uint8_t *reason, const char **why);

struct mqtt_will {
    struct bytes topic, payload;
    uint8_t qos;
    bool retain;
    struct mqtt_props props;
};

struct mqtt_connect {
    uint8_t level;
    bool clean_start; /* clean session below 5.0 */
    bool has_will, has_user_name, has_password;
    uint16_t keep_alive_s;
    struct bytes client_id, user_name, password;
    struct mqtt_will will;
    struct mqtt_props props;
};

struct mqtt_connack {
    bool session_present;
    uint8_t reason;
    struct mqtt_props props;
};

struct mqtt_publish {
    bool dup, retain;
    uint8_t qos;
    uint16_t packet_id; /* 0 with QoS 0 */
    struct bytes topic; /* empty: the topic alias says it (5.0) */
    struct bytes payload;
    uint32_t payload_at, payload_bytes; /* decoded: its place behind the fixed header */
    struct mqtt_props props;
};

struct mqtt_ack { /* PUBACK, PUBREC, PUBREL, PUBCOMP */
    uint16_t packet_id;
    uint8_t reason;
    struct mqtt_props props;
};

struct mqtt_subscribe { /* SUBSCRIBE, UNSUBSCRIBE */
    uint16_t packet_id;
    uint32_t count;       /* at least 1 */
    struct bytes filters; /* for mqtt_subscription_next or mqtt_filter_next */
    struct mqtt_props props;
};

struct mqtt_suback { /* SUBACK, UNSUBACK */
    uint16_t packet_id;
    struct bytes reasons; /* one a filter; of an UNSUBACK below 5.0 none */
    struct mqtt_props props;
};

struct mqtt_disconnect { /* DISCONNECT, AUTH */
    uint8_t reason;
    struct mqtt_props props;
};

struct mqtt_packet {
    uint8_t type; /* enum mqtt_type */
    union {
        struct mqtt_connect connect;
        struct mqtt_connack connack;
        struct mqtt_publish publish;
        struct mqtt_ack ack;
        struct mqtt_subscribe subscribe; /* UNSUBSCRIBE too */
        struct mqtt_suback suback;       /* UNSUBACK too */
        struct mqtt_disconnect disconnect;
        struct mqtt_disconnect auth;
    };
};

/* What is behind a fixed header: all its head->remaining bytes, else DECODE_MORE.
 * DECODE_BAD sets `*reason` and `*why` (static: the rule that was broken).  A CONNECT
 * is decoded by the level that it names, and out->connect.level is that level, known or not
 * (0: another protocol, or the packet is too short): 0x84 is a level that is not known, 0x85
 * an empty client id where there may be none, and the answer has to be in the words of that
 * level. */
enum decode mqtt_decode(uint8_t level, const struct mqtt_head *head, struct bytes in,
                        struct mqtt_packet *out, uint8_t *reason, const char **why);

/* A PUBLISH of which the payload may still be missing: DECODE_MORE until `in` has all
 * that is before it, which may be as much as the packet.  out->payload is as much of it as is
 * there. */
enum decode mqtt_publish_head_decode(uint8_t level, const struct mqtt_head *head, struct bytes in,
                                     struct mqtt_publish *out, uint8_t *reason, const char **why);

struct mqtt_subscription {
    struct bytes filter;
    uint8_t qos;
    bool no_local, retain_as_published; /* 5.0 */
    uint8_t retain_handling;            /* 5.0: 0 send, 1 send if it is new, 2 do not send */
};

/* The filters of a SUBSCRIBE, and of an UNSUBSCRIBE: start with *at = 0; false at the end. */
bool mqtt_subscription_next(struct bytes filters, size_t *at, struct mqtt_subscription *out);
bool mqtt_filter_next(struct bytes filters, size_t *at, struct bytes *filter);

/* ---- encoding ----
 *
 * Each appends a whole packet.  `props` may be NULL: none.  Below 5.0 properties and
 * reasons are left out.  Texts above 65535 bytes and packets above MQTT_REMAINING_MAX
 * are the caller's fault. */

/* Below 5.0 the reason becomes a return code; false, and nothing appended, where there is
 * none for it: then close without an answer [3.1.1: MQTT-3.2.2-6]. */
bool mqtt_put_connack(struct buf *out, uint8_t level, const struct mqtt_connack *p);

/* All but the payload, of which payload_bytes are to follow; p->payload is not looked at. */
void mqtt_put_publish_head(struct buf *out, uint8_t level, const struct mqtt_publish *p,
                           uint32_t payload_bytes);
/* Head and p->payload. */
void mqtt_put_publish(struct buf *out, uint8_t level, const struct mqtt_publish *p);
/* The whole packet's size, to compare with the peer's maximum packet size. */
size_t mqtt_publish_bytes(uint8_t level, const struct mqtt_publish *p, uint32_t payload_bytes);

/* PUBACK, PUBREC, PUBREL or PUBCOMP. */
void mqtt_put_ack(struct buf *out, uint8_t level, enum mqtt_type type, uint16_t packet_id,
                  uint8_t reason, const struct mqtt_props *props);
/* Below 5.0 every failure is 0x80. */
void mqtt_put_suback(struct buf *out, uint8_t level, uint16_t packet_id, struct bytes reasons,
                     const struct mqtt_props *props);
void mqtt_put_unsuback(struct buf *out, uint8_t level, uint16_t packet_id, struct bytes reasons,
                       const struct mqtt_props *props);
void mqtt_put_pingreq(struct buf *out);
void mqtt_put_pingresp(struct buf *out);
void mqtt_put_disconnect(struct buf *out, uint8_t level, uint8_t reason,
                         const struct mqtt_props *props);
void mqtt_put_auth(struct buf *out, uint8_t reason, const struct mqtt_props *props); /* 5.0 */

void mqtt_put_connect(struct buf *out, const struct mqtt_connect *p); /* at p->level */
void mqtt_put_subscribe(struct buf *out, uint8_t level, uint16_t packet_id,
                        const struct mqtt_subscription *subscriptions, size_t count,
                        const struct mqtt_props *props);
void mqtt_put_unsubscribe(struct buf *out, uint8_t level, uint16_t packet_id,
                          const struct bytes *filters, size_t count,
                          const struct mqtt_props *props);

#endif
