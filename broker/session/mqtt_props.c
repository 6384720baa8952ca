// SPDX-License-Identifier: MIT
/* Properties of MQTT in the neutral form and back; docs/protocols/mqtt.md has the table.
 *
 * QoS 0 is no properties at all, QoS 1 delivery_mode 2: what is more has a header. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/session/mqtt_session.h"
#include "proto/table.h"

enum { SHORT_MAX_BYTES = 255 };

#define H_QOS BYTES("x-mqtt-publish-qos")
#define H_RETAIN BYTES("x-mqtt-retain")
#define H_RETAINED BYTES("x-mqtt-retained")
#define H_SHARED BYTES("x-mqtt-shared")
#define H_FROM BYTES("x-mqtt-client")
#define H_FORMAT BYTES("x-mqtt-payload-format")
#define H_RESPONSE BYTES("x-mqtt-response-topic")
#define H_CORRELATION BYTES("x-mqtt-correlation-data")
#define H_USER BYTES("x-mqtt-user-properties")
#define H_CONTENT_TYPE BYTES("x-mqtt-content-type")

static void put_binary(struct buf *out, struct bytes name, struct bytes value)
{
    table_put_value(out, name, &(struct table_value){ .type = 'x', .raw = value });
}

/* ---- in ---- */

/* False: a name is none of a field table. */
static bool fit_table(struct bytes raw)
{
    struct bytes name, value;

    for (size_t at = 0; mqtt_user_property_next(raw, &at, &name, &value);)
        if (name.n == 0 || name.n > SHORT_MAX_BYTES)
            return false;
    return true;
}

static void put_user_properties(struct mqtt_shared *sh, struct bytes raw)
{
    struct buf *t = &sh->table, *whole = &sh->text;
    bool apart = fit_table(raw);
    struct bytes name, value;

    whole->n = 0;
    for (size_t at = 0; mqtt_user_property_next(raw, &at, &name, &value);) {
        if (apart)
            table_put_str(t, name, value);
        else
            mqtt_put_user_property(whole, name, value);
    }
    if (!apart)
        put_binary(t, H_USER, buf_view(whole));
}

static void take_texts(struct buf *t, const struct mqtt_props *in, struct props *v)
{
    if (in->has & MQTT_HAS(content_type)) {
        if (in->content_type.n > SHORT_MAX_BYTES) {
            table_put_str(t, H_CONTENT_TYPE, in->content_type);
        } else {
            v->flags |= PROPS_content_type;
            v->content_type = in->content_type;
        }
    }
    if (in->has & MQTT_HAS(correlation_data)) {
        if (in->correlation_data.n > SHORT_MAX_BYTES) {
            put_binary(t, H_CORRELATION, in->correlation_data);
        } else {
            v->flags |= PROPS_correlation_id;
            v->correlation_id = in->correlation_data;
        }
    }
    if (in->has & MQTT_HAS(response_topic))
        table_put_str(t, H_RESPONSE, in->response_topic);
    if (in->has & MQTT_HAS(payload_format))
        table_put_bool(t, H_FORMAT, in->payload_format);
}

void mqtt_props_in(struct mqtt_shared *sh, const struct mqtt_props *in, uint8_t qos, bool retain,
                   struct bytes from, struct buf *out)
{
    struct buf *t = &sh->table;
    struct props v = { 0 };

    out->n = t->n = 0;
    if (qos > 0) {
        v.flags |= PROPS_delivery_mode;
        v.delivery_mode = 2;
    }
    if (qos == 2)
        table_put_int(t, H_QOS, 2);
    if (retain)
        table_put_bool(t, H_RETAIN, true);
    if (from.n > 0)
        put_binary(t, H_FROM, from);
    if (in->has) {
        take_texts(t, in, &v);
        if (in->has & MQTT_HAS(user_property))
            put_user_properties(sh, in->raw);
    }
    if (t->n > 0) {
        v.flags |= PROPS_headers;
        v.headers = buf_view(t);
    }
    if (v.flags)
        props_encode(out, &v);
}

static struct bytes marked(struct mqtt_shared *sh, struct bytes props, struct bytes name,
                           int64_t value)
{
    struct buf *t = &sh->table, *out = &sh->props;
    struct props v;

    if (!props_decode(props, &v))
        v = (struct props){ 0 };
    t->n = out->n = 0;
    buf_bytes(t, v.headers);
    table_put_int(t, name, value);
    v.flags |= PROPS_headers;
    v.headers = buf_view(t);
    props_encode(out, &v);
    return buf_view(out);
}

struct bytes mqtt_props_retained(struct mqtt_shared *sh, struct bytes props, uint32_t sub_id)
{
    return marked(sh, props, H_RETAINED, sub_id);
}

struct bytes mqtt_props_shared(struct mqtt_shared *sh, struct bytes props, uint32_t sub_id,
                               bool retain)
{
    return marked(sh, props, H_SHARED, (int64_t)sub_id << 1 | retain);
}

/* ---- out ---- */

static void meta_header(struct bytes name, const struct table_value *v, struct mqtt_meta *out)
{
    int64_t n = 0;

    if (bytes_eq(name, H_QOS)) {
        if (table_int(v, &n) && n == 2 && out->qos > 0)
            out->qos = 2;
    } else if (bytes_eq(name, H_RETAIN)) {
        (void)table_bool(v, &out->retain);
    } else if (bytes_eq(name, H_RETAINED)) {
        out->retained = table_int(v, &n);
        out->sub_id = (uint32_t)n;
    } else if (bytes_eq(name, H_SHARED)) {
        out->shared = table_int(v, &n);
        out->shared_retain = n & 1;
        out->sub_id = (uint32_t)(n >> 1);
    } else if (bytes_eq(name, H_FROM)) {
        (void)table_str(v, &out->from);
    }
}

void mqtt_meta_of(struct bytes props, struct mqtt_meta *out)
{
    struct table_value v;
    struct bytes name;
    struct props p;

    *out = (struct mqtt_meta){ 0 };
    if (props.n == 0 || !props_decode(props, &p))
        return;
    out->qos = p.delivery_mode == 2;
    for (struct table_iter it = table_iter(p.headers); table_next(&it, &name, &v);)
        if (bytes_starts(name, BYTES("x-mqtt-")))
            meta_header(name, &v, out);
}

static void put_text_value(struct buf *out, struct bytes name, const struct table_value *v)
{
    struct bytes text;
    char digits[32];
    int64_t n;
    bool on;

    if (table_str(v, &text)) {
        if (mqtt_text_valid(text))
            mqtt_put_user_property(out, name, text);
    } else if (table_int(v, &n)) {
        (void)snprintf(digits, sizeof digits, "%" PRId64, n);
        mqtt_put_user_property(out, name, bytes_str(digits));
    } else if (table_bool(v, &on)) {
        mqtt_put_user_property(out, name, on ? BYTES("true") : BYTES("false"));
    }
}

/* False: it is no property of its own. */
static bool own_header(struct bytes name, const struct table_value *v, struct mqtt_props *out)
{
    bool on = false;

    if (bytes_eq(name, H_RESPONSE)) {
        if (table_str(v, &out->response_topic))
            out->has |= MQTT_HAS(response_topic);
    } else if (bytes_eq(name, H_CORRELATION)) {
        if (table_str(v, &out->correlation_data))
            out->has |= MQTT_HAS(correlation_data);
    } else if (bytes_eq(name, H_CONTENT_TYPE)) {
        if (table_str(v, &out->content_type))
            out->has |= MQTT_HAS(content_type);
    } else if (bytes_eq(name, H_FORMAT)) {
        out->has |= MQTT_HAS(payload_format);
        out->payload_format = table_bool(v, &on) && on;
    } else {
        return bytes_starts(name, BYTES("x-mqtt-"));
    }
    return true;
}

void mqtt_props_out(struct mqtt_shared *sh, struct bytes props, struct mqtt_props *out)
{
    struct buf *user = &sh->text;
    struct table_value v;
    struct bytes name;
    struct props p;

    *out = (struct mqtt_props){ 0 };
    if (props.n == 0 || !props_decode(props, &p))
        return;
    user->n = 0;
    if (p.flags & PROPS_content_type && mqtt_text_valid(p.content_type)) {
        out->has |= MQTT_HAS(content_type);
        out->content_type = p.content_type;
    }
    if (p.flags & PROPS_correlation_id) {
        out->has |= MQTT_HAS(correlation_data);
        out->correlation_data = p.correlation_id;
    }
    for (struct table_iter it = table_iter(p.headers); table_next(&it, &name, &v);) {
        if (bytes_eq(name, H_USER))
            buf_bytes(user, v.raw);
        else if (!own_header(name, &v, out) && mqtt_text_valid(name))
            put_text_value(user, name, &v);
    }
    if (user->n > 0) {
        out->has |= MQTT_HAS(user_property);
        out->raw = buf_view(user);
    }
}
