// SPDX-License-Identifier: MIT
/* mqtt_wire.h - what the MQTT decoders and encoders share: a cursor with its first fault, lengths
 * of seven bits a byte, texts, property sections.  Of nobody else's interest. */
#ifndef PROTO_MQTT_WIRE_H
#define PROTO_MQTT_WIRE_H

#include "base/reader.h"
#include "proto/mqtt.h"

struct mqtt_wire {
    struct reader r;
    uint8_t level;
    uint8_t reason;
    const char *why; /* of the first fault; NULL: none yet */
};

/* Remembers the first fault.  What was read beyond the end is no fault of its own. */
static inline void mqtt_fault(struct mqtt_wire *w, uint8_t reason, const char *why)
{
    if (!w->why && !w->r.failed) {
        w->reason = reason;
        w->why = why;
    }
}

static inline bool mqtt_wire_ok(const struct mqtt_wire *w)
{
    return !w->why && !w->r.failed;
}

/* ---- properties: the table by id ---- */

enum mqtt_prop_type {
    MQTT_PROP_TYPE_NONE,
    MQTT_PROP_TYPE_flag,
    MQTT_PROP_TYPE_u16,
    MQTT_PROP_TYPE_u16_not_0,
    MQTT_PROP_TYPE_u32,
    MQTT_PROP_TYPE_u32_not_0,
    MQTT_PROP_TYPE_varint,
    MQTT_PROP_TYPE_utf8,
    MQTT_PROP_TYPE_topic,
    MQTT_PROP_TYPE_binary,
    MQTT_PROP_TYPE_pair
};

enum { MQTT_PROP_ID_END = 0x2b };

extern const struct mqtt_prop_row {
    uint8_t type;      /* enum mqtt_prop_type */
    uint16_t at;       /* offset in struct mqtt_props */
    uint16_t where;    /* 0: no such property */
    const char *fault; /* of its value */
} mqtt_prop_rows[MQTT_PROP_ID_END];

/* ---- decoding ---- */

/* A length of at most four bytes, in no more than it needs [MQTT-1.5.5-1]. */
uint32_t mqtt_read_varint(struct reader *r);

/* Two bytes of length and a text; not valid UTF-8 is a fault. */
struct bytes mqtt_read_text(struct mqtt_wire *w);

/* Length and properties of a packet (or will: `where` is one of MQTT_IN), nothing below 5.0.
 * `props` must be zero. */
void mqtt_read_props(struct mqtt_wire *w, unsigned where, struct mqtt_props *props);

/* The two steps of that: the section, and then what is in it. */
struct bytes mqtt_read_section(struct mqtt_wire *w);
void mqtt_parse_props(struct mqtt_wire *w, struct bytes section, unsigned where,
                      struct mqtt_props *props);

void mqtt_read_connect(struct mqtt_wire *w, const struct mqtt_head *head, struct mqtt_connect *out);
void mqtt_read_connack(struct mqtt_wire *w, struct mqtt_connack *out);
void mqtt_read_filters(struct mqtt_wire *w, uint8_t type, struct mqtt_subscribe *out);
void mqtt_read_suback(struct mqtt_wire *w, uint8_t type, struct mqtt_suback *out);

/* A packet id, which is not 0 [MQTT-2.2.1-3, 2.2.1-4]. */
uint16_t mqtt_read_packet_id(struct mqtt_wire *w);

/* May the reason be in such a packet? */
bool mqtt_reason_is_of(uint8_t reason, unsigned where);

/* ---- encoding ---- */

static inline size_t mqtt_varint_bytes(size_t v)
{
    return v < 1u << 7 ? 1 : v < 1u << 14 ? 2 : v < 1u << 21 ? 3 : 4;
}

/* The fixed header of a packet of `remaining` bytes. */
void mqtt_put_head(struct buf *out, uint8_t type, uint8_t flags, size_t remaining);
void mqtt_put_text(struct buf *out, struct bytes text);

/* A section being written: its size first, because its length goes before it and the packet's
 * before that. */
struct mqtt_section {
    const struct mqtt_props *props; /* NULL: none */
    unsigned where;                 /* what may not be in such a packet is left out */
    size_t bytes;                   /* of the properties */
    size_t whole_bytes;             /* with the length; 0 below 5.0 */
};
struct mqtt_section mqtt_section_of(uint8_t level, unsigned where, const struct mqtt_props *props);
void mqtt_put_section(struct buf *out, const struct mqtt_section *section);

#endif
