// SPDX-License-Identifier: MIT
/* Properties of MQTT in the neutral form and back; docs/protocols/mqtt.md has the table.
 *
 * QoS 0 is no properties at all, QoS 1 delivery_mode 2: what is more has a header.  The names of
 * headers that other protocols have a use for are RabbitMQ's.  On the way out a header is what
 * any publisher put there: nothing leaves that a client of MQTT could not have sent. */
#include "base/mem.h"
#include "broker/session/mqtt_session.h"
#include "broker/session/stomp_destination.h"
#include "proto/table.h"

enum { SHORT_MAX_BYTES = 255, DATA_MAX_BYTES = 65535, SUBSCRIPTION_ID_MAX = 268435455 };

#define OWN_PREFIX BYTES("x-mqtt-")
#define H_QOS BYTES("x-mqtt-publish-qos")
#define H_RETAIN BYTES("x-mqtt-retain")
#define H_RETAINED BYTES("x-mqtt-retained")
#define H_SHARED BYTES("x-mqtt-shared")
#define H_FROM BYTES("x-mqtt-client")
#define H_FORMAT BYTES("x-mqtt-payload-format")
#define H_RESPONSE BYTES("x-opt-reply-to-topic") /* a routing key */
#define H_CORRELATION BYTES("x-correlation-id")
#define H_USER BYTES("x-mqtt-user-properties")
#define H_CONTENT_TYPE BYTES("x-mqtt-content-type")

static void put_binary(struct buf *out, struct bytes name, struct bytes value)
{
    table_put_value(out, name, &(struct table_value){ .type = 'x', .raw = value });
}

static bool is_own(struct bytes name)
{
    return bytes_starts(name, OWN_PREFIX) || bytes_eq(name, H_RESPONSE) ||
           bytes_eq(name, H_CORRELATION);
}

/* ---- in ---- */

/* False: a name is none of a field table, or would be taken for one of ours. */
static bool fit_table(struct bytes raw)
{
    struct bytes name, value;

    for (size_t at = 0; mqtt_user_property_next(raw, &at, &name, &value);)
        if (name.n == 0 || name.n > SHORT_MAX_BYTES || is_own(name))
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

/* Many clients of AMQP take every short string for UTF-8, and fail where it is none. */
static bool fit_short_text(struct bytes b)
{
    return b.n <= SHORT_MAX_BYTES && mqtt_text_valid(b);
}

static void take_texts(struct mqtt_shared *sh, const struct mqtt_props *in, struct props *v)
{
    struct buf *t = &sh->table;

    if (in->has & MQTT_HAS(content_type)) {
        if (in->content_type.n > SHORT_MAX_BYTES) {
            table_put_str(t, H_CONTENT_TYPE, in->content_type);
        } else {
            v->flags |= PROPS_content_type;
            v->content_type = in->content_type;
        }
    }
    if (in->has & MQTT_HAS(correlation_data)) {
        if (!fit_short_text(in->correlation_data)) {
            put_binary(t, H_CORRELATION, in->correlation_data);
        } else {
            v->flags |= PROPS_correlation_id;
            v->correlation_id = in->correlation_data;
        }
    }
    if (in->has & MQTT_HAS(response_topic)) {
        mqtt_topic_to_key(&sh->text, in->response_topic);
        table_put_str(t, H_RESPONSE, buf_view(&sh->text));
    }
    if (in->has & MQTT_HAS(payload_format))
        table_put_bool(t, H_FORMAT, in->payload_format);
}

void mqtt_props_in(struct mqtt_shared *sh, const struct mqtt_props *in, uint8_t qos, bool retain,
                   struct bytes from, struct buf *out)
{
    uint8_t expiration[20];
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
        take_texts(sh, in, &v);
        if (in->has & MQTT_HAS(message_expiry)) {
            v.flags |= PROPS_expiration;
            v.expiration = bytes_of(expiration,
                                    bytes_put_u64(expiration, in->message_expiry * UINT64_C(1000)));
        }
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
        out->sub_id = n > 0 && n <= SUBSCRIPTION_ID_MAX ? (uint32_t)n : 0;
    } else if (bytes_eq(name, H_SHARED)) {
        out->shared = table_int(v, &n) && n >= 0 && n >> 1 <= SUBSCRIPTION_ID_MAX;
        out->shared_retain = out->shared && n & 1;
        out->sub_id = out->shared ? (uint32_t)(n >> 1) : 0;
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
        if (bytes_starts(name, OWN_PREFIX))
            meta_header(name, &v, out);
}

static void take_response(struct bytes topic, struct mqtt_props *out)
{
    if (!mqtt_topic_valid(topic))
        return;
    out->has |= MQTT_HAS(response_topic);
    out->response_topic = topic;
}

/* A destination of STOMP that clients of MQTT can publish to, too. */
static void take_reply_to(struct mqtt_shared *sh, struct bytes reply_to, struct mqtt_props *out)
{
    struct stomp_destination d;

    if (reply_to.n == 0 || reply_to.p[0] != '/' ||
        stomp_destination_parse(reply_to, &sh->props, &d) != NULL ||
        (d.kind != STOMP_TO_TOPIC && d.kind != STOMP_TO_EXCHANGE) ||
        !bytes_eq(d.exchange, MQTT_EXCHANGE))
        return;
    mqtt_topic_to_key(&sh->table, d.key);
    take_response(buf_view(&sh->table), out);
}

/* One that is there already stays: views of sh->table would change under it. */
static void take_own(struct mqtt_shared *sh, struct bytes name, const struct table_value *v,
                     struct mqtt_props *out)
{
    struct bytes text;
    bool on;

    if (bytes_eq(name, H_FORMAT) && table_bool(v, &on)) {
        out->has |= MQTT_HAS(payload_format);
        out->payload_format = on;
    }
    if (!table_str(v, &text))
        return;
    if (bytes_eq(name, H_RESPONSE) && !(out->has & MQTT_HAS(response_topic))) {
        mqtt_topic_to_key(&sh->table, text);
        take_response(buf_view(&sh->table), out);
    } else if (bytes_eq(name, H_CORRELATION) && text.n <= DATA_MAX_BYTES &&
               !(out->has & MQTT_HAS(correlation_data))) {
        out->has |= MQTT_HAS(correlation_data);
        out->correlation_data = text;
    } else if (bytes_eq(name, H_CONTENT_TYPE) && mqtt_text_valid(text)) {
        out->has |= MQTT_HAS(content_type);
        out->content_type = text;
    }
}

static void put_user(struct buf *user, struct bytes name, struct bytes value)
{
    if (mqtt_text_valid(name) && mqtt_text_valid(value))
        mqtt_put_user_property(user, name, value);
}

static void take_users(struct mqtt_shared *sh, struct bytes headers, struct mqtt_props *out)
{
    struct buf *user = &sh->text;
    struct bytes name, text;
    struct table_value v;

    user->n = 0;
    for (struct table_iter it = table_iter(headers); table_next(&it, &name, &v);) {
        if (bytes_eq(name, H_USER)) {
            for (size_t at = 0; mqtt_user_property_next(v.raw, &at, &name, &text);)
                put_user(user, name, text);
        } else if (is_own(name)) {
            take_own(sh, name, &v, out);
        } else if (table_text(&v, &sh->note, &text)) {
            put_user(user, name, text);
        }
    }
    if (user->n > 0) {
        out->has |= MQTT_HAS(user_property);
        out->raw = buf_view(user);
    }
}

void mqtt_props_out(struct mqtt_shared *sh, struct bytes props, struct mqtt_props *out)
{
    struct props p;

    *out = (struct mqtt_props){ 0 };
    if (props.n == 0 || !props_decode(props, &p))
        return;
    if (p.flags & PROPS_content_type && mqtt_text_valid(p.content_type)) {
        out->has |= MQTT_HAS(content_type);
        out->content_type = p.content_type;
    }
    if (p.flags & PROPS_correlation_id) {
        out->has |= MQTT_HAS(correlation_data);
        out->correlation_data = p.correlation_id;
    }
    if (p.flags & PROPS_reply_to)
        take_reply_to(sh, p.reply_to, out);
    if (p.flags & PROPS_headers)
        take_users(sh, p.headers, out);
}
