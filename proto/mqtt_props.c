// SPDX-License-Identifier: MIT
#include "proto/mqtt_props.h"

#include <stddef.h>

#include "proto/mqtt_wire.h"

#define FAULT_flag(name) #name " is neither 0 nor 1"
#define FAULT_u16(name) NULL
#define FAULT_u16_not_0(name) #name " is 0"
#define FAULT_u32(name) NULL
#define FAULT_u32_not_0(name) #name " is 0"
#define FAULT_varint(name) #name " is 0"
#define FAULT_utf8(name) #name " is no valid UTF-8 text"
#define FAULT_topic(name) #name " is no topic name"
#define FAULT_binary(name) NULL
#define FAULT_pair(name) #name " is no valid UTF-8 text"

#define PLACE(name) offsetof(struct mqtt_props, name)
#define PLACE_flag(name) PLACE(name)
#define PLACE_u16(name) PLACE(name)
#define PLACE_u16_not_0(name) PLACE(name)
#define PLACE_u32(name) PLACE(name)
#define PLACE_u32_not_0(name) PLACE(name)
#define PLACE_varint(name) PLACE(name)
#define PLACE_utf8(name) PLACE(name)
#define PLACE_topic(name) PLACE(name)
#define PLACE_binary(name) PLACE(name)
#define PLACE_pair(name) 0

const struct mqtt_prop_row mqtt_prop_rows[MQTT_PROP_ID_END] = {
#define X(id, name, type, where) \
    [id] = { MQTT_PROP_TYPE_##type, PLACE_##type(name), where, FAULT_##type(name) },
    MQTT_PROPS(X)
#undef X
};

/* ---- decoding ---- */

uint32_t mqtt_read_varint(struct reader *r)
{
    uint32_t v = 0;

    for (unsigned shift = 0; shift < 28; shift += 7) {
        uint8_t byte = reader_u8(r);

        v |= (uint32_t)(byte & 0x7f) << shift;
        if (byte == 0 && shift > 0)
            break;
        if (byte < 0x80)
            return v;
    }
    r->failed = true;
    return 0;
}

struct bytes mqtt_read_text(struct mqtt_wire *w)
{
    struct bytes text = reader_bytes16(&w->r);

    if (!mqtt_text_valid(text))
        mqtt_fault(w, MQTT_MALFORMED_PACKET, "text is no valid UTF-8 or has U+0000");
    return text;
}

#define SET(type, value)            \
    do {                            \
        type v_ = (value);          \
        memcpy(to, &v_, sizeof v_); \
    } while (0)

static void read_number(struct mqtt_wire *w, const struct mqtt_prop_row *p, uint8_t id, uint8_t *to)
{
    enum mqtt_prop_type type = (enum mqtt_prop_type)p->type;
    uint32_t v;

    if (type == MQTT_PROP_TYPE_flag) {
        v = reader_u8(&w->r);
        SET(uint8_t, (uint8_t)v);
        if (v > 1)
            mqtt_fault(w, MQTT_PROTOCOL_ERROR, p->fault);
        return;
    }
    if (type == MQTT_PROP_TYPE_u16 || type == MQTT_PROP_TYPE_u16_not_0) {
        v = reader_u16(&w->r);
        SET(uint16_t, (uint16_t)v);
    } else {
        v = reader_u32(&w->r);
        SET(uint32_t, v);
    }
    if (v == 0 && p->fault)
        mqtt_fault(w, id == MQTT_PROP_topic_alias ? MQTT_TOPIC_ALIAS_INVALID : MQTT_PROTOCOL_ERROR,
                   p->fault);
}

/* The first one is kept. */
static void read_subscription_id(struct mqtt_wire *w, const struct mqtt_prop_row *p,
                                 struct mqtt_props *props)
{
    uint32_t v = mqtt_read_varint(&w->r);

    if (v == 0)
        mqtt_fault(w, MQTT_PROTOCOL_ERROR, p->fault);
    if (!(props->has & MQTT_HAS(subscription_id)))
        props->subscription_id = v;
}

static struct bytes read_utf8(struct mqtt_wire *w, const struct mqtt_prop_row *p)
{
    struct bytes text = reader_bytes16(&w->r);

    if (!mqtt_text_valid(text))
        mqtt_fault(w, MQTT_MALFORMED_PACKET, p->fault);
    return text;
}

static void read_topic(struct mqtt_wire *w, const struct mqtt_prop_row *p, uint8_t *to)
{
    struct bytes topic = read_utf8(w, p);

    if (!mqtt_topic_valid(topic))
        mqtt_fault(w, MQTT_TOPIC_NAME_INVALID, p->fault);
    SET(struct bytes, topic);
}

static void read_value(struct mqtt_wire *w, const struct mqtt_prop_row *p, uint8_t id,
                       struct mqtt_props *props)
{
    uint8_t *to = (uint8_t *)props + p->at;

    switch ((enum mqtt_prop_type)p->type) {
    case MQTT_PROP_TYPE_flag:
    case MQTT_PROP_TYPE_u16:
    case MQTT_PROP_TYPE_u16_not_0:
    case MQTT_PROP_TYPE_u32:
    case MQTT_PROP_TYPE_u32_not_0:
        read_number(w, p, id, to);
        break;
    case MQTT_PROP_TYPE_varint:
        read_subscription_id(w, p, props);
        break;
    case MQTT_PROP_TYPE_utf8:
        SET(struct bytes, read_utf8(w, p));
        break;
    case MQTT_PROP_TYPE_topic:
        read_topic(w, p, to);
        break;
    case MQTT_PROP_TYPE_binary:
        SET(struct bytes, reader_bytes16(&w->r));
        break;
    case MQTT_PROP_TYPE_pair:
        (void)read_utf8(w, p);
        (void)read_utf8(w, p);
        break;
    case MQTT_PROP_TYPE_NONE:
        break;
    }
}

static bool may_repeat(uint8_t id, unsigned where)
{
    return id == MQTT_PROP_user_property ||
           (id == MQTT_PROP_subscription_id && where == MQTT_IN(PUBLISH));
}

static void read_prop(struct mqtt_wire *w, unsigned where, struct mqtt_props *props)
{
    uint8_t id = reader_u8(&w->r);
    const struct mqtt_prop_row *p = id < MQTT_PROP_ID_END ? &mqtt_prop_rows[id]
                                                          : &mqtt_prop_rows[0];

    if (!(p->where & where)) {
        mqtt_fault(w, MQTT_MALFORMED_PACKET, "property is none of this packet's [2.2.2.2]");
        return;
    }
    if (props->has >> id & 1 && !may_repeat(id, where))
        mqtt_fault(w, MQTT_PROTOCOL_ERROR, "property is there twice [2.2.2.2]");
    read_value(w, p, id, props);
    props->has |= UINT64_C(1) << id;
}

struct bytes mqtt_read_section(struct mqtt_wire *w)
{
    return reader_take(&w->r, mqtt_read_varint(&w->r));
}

void mqtt_parse_props(struct mqtt_wire *w, struct bytes section, unsigned where,
                      struct mqtt_props *props)
{
    struct mqtt_wire inner = { reader_over(section), w->level, 0, NULL };

    props->raw = section;
    while (inner.r.left > 0 && mqtt_wire_ok(&inner))
        read_prop(&inner, where, props);
    if (inner.r.failed)
        mqtt_fault(w, MQTT_MALFORMED_PACKET, "property is longer than the properties");
    else if (inner.why)
        mqtt_fault(w, inner.reason, inner.why);
    else if (props->has & MQTT_HAS(auth_data) && !(props->has & MQTT_HAS(auth_method)))
        mqtt_fault(w, MQTT_PROTOCOL_ERROR, "authentication data without a method [3.1.2.11.10]");
}

void mqtt_read_props(struct mqtt_wire *w, unsigned where, struct mqtt_props *props)
{
    if (w->level < MQTT_5)
        return;
    struct bytes section = mqtt_read_section(w);
    if (section.n > 0)
        mqtt_parse_props(w, section, where, props);
}

/* ---- iterating ---- */

static void skip_value(struct reader *r, enum mqtt_prop_type type)
{
    static const uint8_t fixed[] = {
        [MQTT_PROP_TYPE_flag] = 1, [MQTT_PROP_TYPE_u16] = 2,       [MQTT_PROP_TYPE_u16_not_0] = 2,
        [MQTT_PROP_TYPE_u32] = 4,  [MQTT_PROP_TYPE_u32_not_0] = 4, [MQTT_PROP_TYPE_pair] = 0
    };

    if (fixed[type] > 0)
        (void)reader_take(r, fixed[type]);
    else if (type == MQTT_PROP_TYPE_varint)
        (void)mqtt_read_varint(r);
    else
        (void)reader_bytes16(r);
    if (type == MQTT_PROP_TYPE_pair)
        (void)reader_bytes16(r);
}

/* At the value of the next property `id`; false: there is no other. */
static bool find_prop(struct reader *r, uint8_t id)
{
    while (r->left > 0 && !r->failed) {
        uint8_t at = reader_u8(r);

        if (at == id)
            return true;
        if (at >= MQTT_PROP_ID_END || mqtt_prop_rows[at].type == MQTT_PROP_TYPE_NONE)
            return false;
        skip_value(r, (enum mqtt_prop_type)mqtt_prop_rows[at].type);
    }
    return false;
}

bool mqtt_user_property_next(struct bytes raw, size_t *at, struct bytes *name, struct bytes *value)
{
    struct reader r = reader_over(bytes_from(raw, *at));

    if (!find_prop(&r, MQTT_PROP_user_property))
        return false;
    *name = reader_bytes16(&r);
    *value = reader_bytes16(&r);
    *at = raw.n - r.left;
    return !r.failed;
}

bool mqtt_subscription_id_next(struct bytes raw, size_t *at, uint32_t *id)
{
    struct reader r = reader_over(bytes_from(raw, *at));

    if (!find_prop(&r, MQTT_PROP_subscription_id))
        return false;
    *id = mqtt_read_varint(&r);
    *at = raw.n - r.left;
    return !r.failed;
}
