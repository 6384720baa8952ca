// SPDX-License-Identifier: MIT
/* Properties on their way out. */
#include "base/check.h"
#include "proto/mqtt_wire.h"

void mqtt_put_text(struct buf *out, struct bytes text)
{
    CHECK(text.n <= MQTT_TEXT_MAX_BYTES);
    buf_u16(out, (uint16_t)text.n);
    buf_bytes(out, text);
}

void mqtt_put_user_property(struct buf *out, struct bytes name, struct bytes value)
{
    buf_u8(out, MQTT_PROP_user_property);
    mqtt_put_text(out, name);
    mqtt_put_text(out, value);
}

#define GOT(type, name) \
    type name;          \
    memcpy(&name, from, sizeof name)

static void put_number(struct buf *out, enum mqtt_prop_type type, const uint8_t *from)
{
    if (type == MQTT_PROP_TYPE_flag) {
        buf_u8(out, *from);
    } else if (type == MQTT_PROP_TYPE_u16 || type == MQTT_PROP_TYPE_u16_not_0) {
        GOT(uint16_t, v);
        buf_u16(out, v);
    } else if (type == MQTT_PROP_TYPE_varint) {
        GOT(uint32_t, v);
        buf_varint(out, v);
    } else {
        GOT(uint32_t, v);
        buf_u32(out, v);
    }
}

static void put_value(struct buf *out, enum mqtt_prop_type type, const uint8_t *from)
{
    if (type == MQTT_PROP_TYPE_utf8 || type == MQTT_PROP_TYPE_topic ||
        type == MQTT_PROP_TYPE_binary) {
        GOT(struct bytes, v);
        mqtt_put_text(out, v);
    } else {
        put_number(out, type, from);
    }
}

static size_t value_bytes(enum mqtt_prop_type type, const uint8_t *from)
{
    switch (type) {
    case MQTT_PROP_TYPE_flag:
        return 1;
    case MQTT_PROP_TYPE_u16:
    case MQTT_PROP_TYPE_u16_not_0:
        return 2;
    case MQTT_PROP_TYPE_u32:
    case MQTT_PROP_TYPE_u32_not_0:
        return 4;
    case MQTT_PROP_TYPE_varint: {
        GOT(uint32_t, v);
        return mqtt_varint_bytes(v);
    }
    case MQTT_PROP_TYPE_utf8:
    case MQTT_PROP_TYPE_topic:
    case MQTT_PROP_TYPE_binary: {
        GOT(struct bytes, v);
        return 2 + v.n;
    }
    case MQTT_PROP_TYPE_pair:
    case MQTT_PROP_TYPE_NONE:
        break;
    }
    CHECK_UNREACHABLE();
}

static uint64_t fields_of(const struct mqtt_props *props)
{
    return props->has & ~MQTT_HAS(user_property);
}

static size_t more_ids(const struct mqtt_section *s)
{
    return mqtt_prop_rows[MQTT_PROP_subscription_id].where & s->where
               ? s->props->subscription_id_count
               : 0;
}

static size_t section_bytes(const struct mqtt_section *s)
{
    const struct mqtt_props *props = s->props;
    size_t n = 0, at = 0;
    struct bytes name, value;

    for (uint64_t left = fields_of(props); left; left &= left - 1) {
        const struct mqtt_prop_row *p = &mqtt_prop_rows[__builtin_ctzll(left)];

        if (p->where & s->where)
            n += 1 + value_bytes((enum mqtt_prop_type)p->type, (const uint8_t *)props + p->at);
    }
    for (size_t i = 0; i < more_ids(s); i++)
        n += 1 + mqtt_varint_bytes(props->subscription_ids[i]);
    while (props->has & MQTT_HAS(user_property) &&
           mqtt_user_property_next(props->raw, &at, &name, &value))
        n += 5 + name.n + value.n;
    return n;
}

struct mqtt_section mqtt_section_of(uint8_t level, unsigned where, const struct mqtt_props *props)
{
    struct mqtt_section s = { props, where, 0, level < MQTT_5 ? 0 : 1 };

    if (level < MQTT_5 || !props || (!props->has && !props->subscription_id_count))
        return s;
    s.bytes = section_bytes(&s);
    s.whole_bytes = mqtt_varint_bytes(s.bytes) + s.bytes;
    return s;
}

void mqtt_put_section(struct buf *out, const struct mqtt_section *s)
{
    const struct mqtt_props *props = s->props;
    struct bytes name, value;
    size_t at = 0;

    if (s->whole_bytes == 0)
        return;
    buf_varint(out, s->bytes);
    if (s->bytes == 0)
        return;
    for (uint64_t left = fields_of(props); left; left &= left - 1) {
        unsigned id = (unsigned)__builtin_ctzll(left);

        if (!(mqtt_prop_rows[id].where & s->where))
            continue;
        buf_u8(out, (uint8_t)id);
        put_value(out, (enum mqtt_prop_type)mqtt_prop_rows[id].type,
                  (const uint8_t *)props + mqtt_prop_rows[id].at);
    }
    for (size_t i = 0; i < more_ids(s); i++) {
        buf_u8(out, MQTT_PROP_subscription_id);
        buf_varint(out, props->subscription_ids[i]);
    }
    while (props->has & MQTT_HAS(user_property) &&
           mqtt_user_property_next(props->raw, &at, &name, &value))
        mqtt_put_user_property(out, name, value);
}
