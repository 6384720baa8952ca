// SPDX-License-Identifier: MIT
#include "tests/lib/mqtt_again.h"

#include "base/check.h"
#include "base/mem.h"

/* ---- as a text ---- */

static void say_number(struct buf *out, const char *name, uint64_t v)
{
    buf_fmt(out, "%s=%llu ", name, (unsigned long long)v);
}

static void say_bytes(struct buf *out, const char *name, struct bytes v)
{
    buf_fmt(out, "%s=%zu:", name, v.n);
    buf_bytes(out, v);
    buf_u8(out, ' ');
}

#define SAY_flag(name) say_number(out, #name, p->name)
#define SAY_u16(name) say_number(out, #name, p->name)
#define SAY_u16_not_0(name) say_number(out, #name, p->name)
#define SAY_u32(name) say_number(out, #name, p->name)
#define SAY_u32_not_0(name) say_number(out, #name, p->name)
#define SAY_varint(name) say_number(out, #name, p->name)
#define SAY_utf8(name) say_bytes(out, #name, p->name)
#define SAY_topic(name) say_bytes(out, #name, p->name)
#define SAY_binary(name) say_bytes(out, #name, p->name)
#define SAY_pair(name) (void)0

static void describe_props(struct buf *out, const struct mqtt_props *p)
{
    struct bytes name, value;
    uint32_t id;

    say_number(out, "has", p->has);
#define X(id, name, type, where) SAY_##type(name);
    MQTT_PROPS(X)
#undef X
    for (size_t at = 0; mqtt_subscription_id_next(p->raw, &at, &id);)
        say_number(out, "id", id);
    for (size_t at = 0; mqtt_user_property_next(p->raw, &at, &name, &value);) {
        say_bytes(out, "name", name);
        say_bytes(out, "value", value);
    }
}

static void describe_connect(struct buf *out, const struct mqtt_connect *c)
{
    buf_fmt(out, "level %u clean %d keep alive %u will %d %u %d user %d %d ", c->level,
            c->clean_start, c->keep_alive_s, c->has_will, c->will.qos, c->will.retain,
            c->has_user_name, c->has_password);
    say_bytes(out, "client", c->client_id);
    say_bytes(out, "topic", c->will.topic);
    say_bytes(out, "payload", c->will.payload);
    say_bytes(out, "user", c->user_name);
    say_bytes(out, "password", c->password);
    describe_props(out, &c->props);
    describe_props(out, &c->will.props);
}

static void describe_publish(struct buf *out, const struct mqtt_publish *p)
{
    buf_fmt(out, "dup %d retain %d qos %u id %u bytes %u ", p->dup, p->retain, p->qos, p->packet_id,
            p->payload_bytes);
    say_bytes(out, "topic", p->topic);
    say_bytes(out, "payload", p->payload);
    describe_props(out, &p->props);
}

static void describe_subscribe(struct buf *out, const struct mqtt_subscribe *s)
{
    buf_fmt(out, "id %u count %u ", s->packet_id, s->count);
    say_bytes(out, "filters", s->filters);
    describe_props(out, &s->props);
}

void mqtt_describe(struct buf *out, const struct mqtt_packet *p)
{
    buf_fmt(out, "%s ", mqtt_type_name(p->type));
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNECT:
        describe_connect(out, &p->connect);
        break;
    case MQTT_CONNACK:
        say_number(out, "present", p->connack.session_present);
        say_number(out, "reason", p->connack.reason);
        describe_props(out, &p->connack.props);
        break;
    case MQTT_PUBLISH:
        describe_publish(out, &p->publish);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        say_number(out, "id", p->ack.packet_id);
        say_number(out, "reason", p->ack.reason);
        describe_props(out, &p->ack.props);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        describe_subscribe(out, &p->subscribe);
        break;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        say_number(out, "id", p->suback.packet_id);
        say_bytes(out, "reasons", p->suback.reasons);
        describe_props(out, &p->suback.props);
        break;
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        say_number(out, "reason", p->disconnect.reason);
        describe_props(out, &p->disconnect.props);
        break;
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        break;
    }
}

/* ---- encoded ---- */

/* The first Subscription Identifier is in its field; the others come back through the list. */
static void put_publish(struct buf *out, uint8_t level, struct mqtt_publish p)
{
    uint32_t *ids = mem_array(p.props.raw.n + 1, sizeof *ids);
    size_t at = 0, n = 0;

    while (mqtt_subscription_id_next(p.props.raw, &at, &ids[n]))
        n++;
    p.props.subscription_ids = ids + 1;
    p.props.subscription_id_count = n ? n - 1 : 0;
    size_t before = out->n;
    mqtt_put_publish(out, level, &p);
    CHECK(out->n - before == mqtt_publish_bytes(level, &p, p.payload_bytes));
    mem_free(ids);
}

static void put_subscribe(struct buf *out, uint8_t level, const struct mqtt_subscribe *s)
{
    struct mqtt_subscription *list = mem_array(s->count, sizeof *list);
    size_t at = 0, n = 0;

    while (mqtt_subscription_next(s->filters, &at, &list[n]) && ++n < s->count)
        ;
    CHECK(n == s->count && at == s->filters.n);
    mqtt_put_subscribe(out, level, s->packet_id, list, n, &s->props);
    mem_free(list);
}

static void put_unsubscribe(struct buf *out, uint8_t level, const struct mqtt_subscribe *s)
{
    struct bytes *list = mem_array(s->count, sizeof *list);
    size_t at = 0, n = 0;

    while (mqtt_filter_next(s->filters, &at, &list[n]) && ++n < s->count)
        ;
    CHECK(n == s->count && at == s->filters.n);
    mqtt_put_unsubscribe(out, level, s->packet_id, list, n, &s->props);
    mem_free(list);
}

void mqtt_put_again(struct buf *out, uint8_t level, const struct mqtt_packet *p)
{
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNECT:
        mqtt_put_connect(out, &p->connect);
        break;
    case MQTT_CONNACK:
        CHECK(mqtt_put_connack(out, level, &p->connack));
        break;
    case MQTT_PUBLISH:
        put_publish(out, level, p->publish);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        mqtt_put_ack(out, level, (enum mqtt_type)p->type, p->ack.packet_id, p->ack.reason,
                     &p->ack.props);
        break;
    case MQTT_SUBSCRIBE:
        put_subscribe(out, level, &p->subscribe);
        break;
    case MQTT_UNSUBSCRIBE:
        put_unsubscribe(out, level, &p->subscribe);
        break;
    case MQTT_SUBACK:
        mqtt_put_suback(out, level, p->suback.packet_id, p->suback.reasons, &p->suback.props);
        break;
    case MQTT_UNSUBACK:
        mqtt_put_unsuback(out, level, p->suback.packet_id, p->suback.reasons, &p->suback.props);
        break;
    case MQTT_DISCONNECT:
        mqtt_put_disconnect(out, level, p->disconnect.reason, &p->disconnect.props);
        break;
    case MQTT_AUTH:
        mqtt_put_auth(out, p->auth.reason, &p->auth.props);
        break;
    case MQTT_PINGREQ:
        mqtt_put_pingreq(out);
        break;
    case MQTT_PINGRESP:
        mqtt_put_pingresp(out);
        break;
    }
}
