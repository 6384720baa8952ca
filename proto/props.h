// SPDX-License-Identifier: MIT
/* props.h - message properties in their one neutral form.
 *
 * The form is AMQP 0-9-1's basic-properties as on the wire: flags (u16), then
 * the fields that the flags name, headers as a field table with its u32 length.
 * AMQP stores its bytes as they came; STOMP and MQTT build and read them here.
 * Views point into the decoded bytes. */
#ifndef PROTO_PROPS_H
#define PROTO_PROPS_H

#include "base/buf.h"
#include "base/bytes.h"

/* bit (from 15 down, in wire order), field, wire type: s shortstr, o octet, T timestamp, F table */
#define PROPS_FIELDS(X)        \
    X(15, content_type, s)     \
    X(14, content_encoding, s) \
    X(13, headers, F)          \
    X(12, delivery_mode, o)    \
    X(11, priority, o)         \
    X(10, correlation_id, s)   \
    X(9, reply_to, s)          \
    X(8, expiration, s)        \
    X(7, message_id, s)        \
    X(6, timestamp, T)         \
    X(5, type, s)              \
    X(4, user_id, s)           \
    X(3, app_id, s)            \
    X(2, cluster_id, s)

enum props_flag {
#define X(bit, name, type) PROPS_##name = 1 << (bit),
    PROPS_FIELDS(X)
#undef X
};

struct props {
    uint16_t flags; /* which of the fields below are there */
    uint8_t delivery_mode, priority;
    uint64_t timestamp; /* seconds since 1970 */
    struct bytes content_type, content_encoding, correlation_id, reply_to, expiration, message_id,
        type, user_id, app_id, cluster_id; /* each <= 255 bytes */
    struct bytes headers;                  /* table.h, without the u32 length */
};

/* False: malformed.  Headers are not looked into: table_valid does that. */
bool props_decode(struct bytes in, struct props *out);

/* Appends the wire form of `p`.  A text above 255 bytes is the caller's fault. */
void props_encode(struct buf *out, const struct props *p);

#endif
