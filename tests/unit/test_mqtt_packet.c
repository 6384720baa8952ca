// SPDX-License-Identifier: MIT
/* Every packet there and back, cut at every place, and byte for byte. */
#include "tests/lib/mqtt_again.h"
#include "tests/unit/mqtt_heard.h"

#define USER_PROPERTIES           \
    "\x26\0\1b\0\1"               \
    "2\x26\0\1a\0\0\x26\0\1b\0\1" \
    "1"

/* Everything: the encoders leave out what a packet may not have. */
static struct mqtt_props every_prop(void)
{
    static const uint32_t ids[] = { 1, 128, 268435455 };
    struct mqtt_props p = { .subscription_ids = ids, .subscription_id_count = COUNT_OF(ids) };

#define SET_flag(name) p.name = 1
#define SET_u16(name) p.name = 0x0102
#define SET_u16_not_0(name) p.name = 0x0304
#define SET_u32(name) p.name = 0x01020304
#define SET_u32_not_0(name) p.name = 0xfffefdfc
#define SET_varint(name) p.name = 300
#define SET_utf8(name) p.name = BYTES("text \xe2\x82\xac")
#define SET_topic(name) p.name = BYTES("reply/to")
#define SET_binary(name) p.name = BYTES("\0\xff\0")
#define SET_pair(name) p.raw = BYTES(USER_PROPERTIES)
#define X(id, name, type, where) \
    SET_##type(name);            \
    p.has |= MQTT_HAS(name);
    MQTT_PROPS(X)
#undef X
    return p;
}

static uint64_t props_of(unsigned where)
{
    uint64_t has = 0;

#define X(id, name, type, in) has |= (in)&where ? MQTT_HAS(name) : 0;
    MQTT_PROPS(X)
#undef X
    return has;
}

/* ---- one of each ---- */

static void connect_bare(struct buf *out, uint8_t level)
{
    struct mqtt_connect c = { .level = level, .clean_start = true, .client_id = BYTES("c") };

    mqtt_put_connect(out, &c);
}

static void connect_full(struct buf *out, uint8_t level)
{
    struct mqtt_connect c = {
        .level = level,
        .keep_alive_s = 0xfffe,
        .client_id = BYTES("client \xe2\x82\xac"),
        .has_will = true,
        .will = { .topic = BYTES("will/topic"),
                  .payload = BYTES("\0will\xff"),
                  .qos = 2,
                  .retain = true,
                  .props = every_prop() },
        .has_user_name = true,
        .user_name = BYTES("user"),
        .has_password = true,
        .password = BYTES("\0secret\xff"),
        .props = every_prop(),
    };

    mqtt_put_connect(out, &c);
}

static void connack_bare(struct buf *out, uint8_t level)
{
    ck_assert(mqtt_put_connack(out, level, &(struct mqtt_connack){ .reason = 0x87 }));
}

static void connack_full(struct buf *out, uint8_t level)
{
    struct mqtt_connack c = { .session_present = true, .props = every_prop() };

    ck_assert(mqtt_put_connack(out, level, &c));
}

static void publish_0(struct buf *out, uint8_t level)
{
    mqtt_put_publish(out, level, &(struct mqtt_publish){ .topic = BYTES("t") });
}

static void publish_1(struct buf *out, uint8_t level)
{
    struct mqtt_publish p = { .dup = true, .qos = 1, .packet_id = 1, .topic = BYTES("a/b") };

    p.payload = BYTES("payload");
    mqtt_put_publish(out, level, &p);
}

static void publish_2(struct buf *out, uint8_t level)
{
    struct mqtt_publish p = { .retain = true, .qos = 2, .packet_id = 65535, .props = every_prop() };

    p.topic = BYTES("\xe2\x82\xac/$/\xe2\x82\xac");
    p.payload = BYTES("\0payload\xff");
    mqtt_put_publish(out, level, &p);
}

#define ACK(name, NAME, some_reason)                               \
    static void name##_bare(struct buf *out, uint8_t level)        \
    {                                                              \
        mqtt_put_ack(out, level, MQTT_##NAME, 0x1234, 0, NULL);    \
    }                                                              \
    static void name##_full(struct buf *out, uint8_t level)        \
    {                                                              \
        struct mqtt_props p = every_prop();                        \
                                                                   \
        mqtt_put_ack(out, level, MQTT_##NAME, 1, some_reason, &p); \
    }
ACK(puback, PUBACK, 0x97)
ACK(pubrec, PUBREC, 0x10)
ACK(pubrel, PUBREL, 0x92)
ACK(pubcomp, PUBCOMP, 0x92)

static void subscribe_bare(struct buf *out, uint8_t level)
{
    struct mqtt_subscription s = { .filter = BYTES("#") };

    mqtt_put_subscribe(out, level, 1, &s, 1, NULL);
}

static void subscribe_full(struct buf *out, uint8_t level)
{
    struct mqtt_subscription s[] = {
        { .filter = BYTES("a/+/b"), .qos = 2, .no_local = true, .retain_handling = 2 },
        { .filter = BYTES("$share/g/a"), .qos = 1, .retain_as_published = true },
        { .filter = BYTES("/"), .retain_handling = 1 },
    };
    struct mqtt_props p = every_prop();

    p.subscription_id_count = 0;
    mqtt_put_subscribe(out, level, 0xffff, s, COUNT_OF(s), &p);
}

static void suback_full(struct buf *out, uint8_t level)
{
    struct mqtt_props p = every_prop();

    mqtt_put_suback(out, level, 7, BYTES("\0\1\2\x80\x87\x9e"), &p);
}

static void unsubscribe_full(struct buf *out, uint8_t level)
{
    struct bytes filters[] = { BYTES("a/+/b"), BYTES("$share/g/a"), BYTES("#") };
    struct mqtt_props p = every_prop();

    mqtt_put_unsubscribe(out, level, 8, filters, COUNT_OF(filters), &p);
}

static void unsuback_full(struct buf *out, uint8_t level)
{
    struct mqtt_props p = every_prop();

    mqtt_put_unsuback(out, level, 8, BYTES("\0\x11\x87"), &p);
}

static void pingreq(struct buf *out, uint8_t level)
{
    (void)level;
    mqtt_put_pingreq(out);
}

static void pingresp(struct buf *out, uint8_t level)
{
    (void)level;
    mqtt_put_pingresp(out);
}

static void disconnect_bare(struct buf *out, uint8_t level)
{
    mqtt_put_disconnect(out, level, 0, NULL);
}

static void disconnect_full(struct buf *out, uint8_t level)
{
    struct mqtt_props p = every_prop();

    mqtt_put_disconnect(out, level, 0x8e, &p);
}

/* 5.0 alone has it. */
static void auth_full(struct buf *out, uint8_t level)
{
    struct mqtt_props p = every_prop();

    if (level == MQTT_5)
        mqtt_put_auth(out, 0x18, &p);
    else
        mqtt_put_pingreq(out);
}

static const struct sample {
    void (*put)(struct buf *out, uint8_t level);
    uint8_t type;
    bool is_full; /* has the properties that such a packet may have */
    bool may_end; /* a part of it is a packet too, and so is it with more behind it */
} samples[] = {
    { connect_bare, MQTT_CONNECT, false, false },
    { connect_full, MQTT_CONNECT, true, false },
    { connack_bare, MQTT_CONNACK, false, false },
    { connack_full, MQTT_CONNACK, true, false },
    { publish_0, MQTT_PUBLISH, false, true },
    { publish_1, MQTT_PUBLISH, false, true },
    { publish_2, MQTT_PUBLISH, true, true },
    { puback_bare, MQTT_PUBACK, false, true },
    { puback_full, MQTT_PUBACK, true, true },
    { pubrec_bare, MQTT_PUBREC, false, true },
    { pubrec_full, MQTT_PUBREC, true, true },
    { pubrel_bare, MQTT_PUBREL, false, true },
    { pubrel_full, MQTT_PUBREL, true, true },
    { pubcomp_bare, MQTT_PUBCOMP, false, true },
    { pubcomp_full, MQTT_PUBCOMP, true, true },
    { subscribe_bare, MQTT_SUBSCRIBE, false, false },
    { subscribe_full, MQTT_SUBSCRIBE, true, true },
    { suback_full, MQTT_SUBACK, true, true },
    { unsubscribe_full, MQTT_UNSUBSCRIBE, true, true },
    { unsuback_full, MQTT_UNSUBACK, true, true },
    { pingreq, MQTT_PINGREQ, false, false },
    { pingresp, MQTT_PINGRESP, false, false },
    { disconnect_bare, MQTT_DISCONNECT, false, true },
    { disconnect_full, MQTT_DISCONNECT, true, true },
    { auth_full, MQTT_AUTH, true, false },
};

enum { LEVELS = 3, ALL = (int)COUNT_OF(samples) * LEVELS };

static const struct sample *sample_of(int i, uint8_t *level, struct buf *out)
{
    const struct sample *s = &samples[i / LEVELS];

    *level = (uint8_t)(MQTT_3_1 + i % LEVELS);
    s->put(out, *level);
    return s;
}

static const struct mqtt_props *props_in(const struct mqtt_packet *p)
{
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNECT:
        return &p->connect.props;
    case MQTT_CONNACK:
        return &p->connack.props;
    case MQTT_PUBLISH:
        return &p->publish.props;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        return &p->ack.props;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        return &p->subscribe.props;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        return &p->suback.props;
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        return &p->disconnect.props;
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        break;
    }
    return NULL;
}

START_TEST(every_packet_comes_back_as_it_was_sent)
{
    struct buf b = { 0 }, again = { 0 }, one = { 0 }, two = { 0 };
    uint8_t level;
    const struct sample *s = sample_of(_i, &level, &b);
    struct mqtt_heard h = mqtt_hear_ok(level, buf_view(&b));

    if (s->type != MQTT_AUTH || level == MQTT_5)
        ck_assert_uint_eq(h.packet.type, s->type);
    mqtt_put_again(&again, level, &h.packet);
    assert_bytes(buf_view(&again), buf_view(&b));
    struct mqtt_heard h2 = mqtt_hear_ok(level, buf_view(&again));
    mqtt_describe(&one, &h.packet);
    mqtt_describe(&two, &h2.packet);
    assert_bytes(buf_view(&two), buf_view(&one));
    mqtt_heard_fini(&h);
    mqtt_heard_fini(&h2);
    buf_fini(&b);
    buf_fini(&again);
    buf_fini(&one);
    buf_fini(&two);
}
END_TEST

/* Table 2-4: which packets have which, and below 5.0 none. */
START_TEST(a_packet_has_every_property_that_it_may_have_and_no_other)
{
    struct buf b = { 0 };
    uint8_t level;
    const struct sample *s = sample_of(_i, &level, &b);
    struct mqtt_heard h = mqtt_hear_ok(level, buf_view(&b));
    const struct mqtt_props *p = props_in(&h.packet);
    bool has_some = s->is_full && level == MQTT_5;

    if (p)
        ck_assert_uint_eq(p->has, has_some ? props_of(1u << s->type) : 0);
    if (p && has_some) {
        struct mqtt_props want = every_prop();

#define X(id, name, type, where) SAME_##type(name);
#define SAME_flag(name) ck_assert_uint_eq(p->name, p->has &MQTT_HAS(name) ? want.name : 0)
#define SAME_u16(name) SAME_flag(name)
#define SAME_u16_not_0(name) SAME_flag(name)
#define SAME_u32(name) SAME_flag(name)
#define SAME_u32_not_0(name) SAME_flag(name)
#define SAME_varint(name) SAME_flag(name)
#define SAME_utf8(name) assert_bytes(p->name, p->has &MQTT_HAS(name) ? want.name : BYTES(""))
#define SAME_topic(name) SAME_utf8(name)
#define SAME_binary(name) SAME_utf8(name)
#define SAME_pair(name) ck_assert(p->has &MQTT_HAS(name))
        MQTT_PROPS(X)
#undef X
    }
    mqtt_heard_fini(&h);
    buf_fini(&b);
}
END_TEST

START_TEST(every_prefix_of_a_packet_needs_more)
{
    struct buf b = { 0 };
    uint8_t level;

    (void)sample_of(_i, &level, &b);
    for (size_t n = 0; n < b.n; n++) {
        struct mqtt_heard h = mqtt_hear(level, bytes_head(buf_view(&b), n));

        ck_assert_msg(h.result == DECODE_MORE, "cut at %zu of %zu", n, b.n);
        mqtt_heard_fini(&h);
    }
    buf_fini(&b);
}
END_TEST

/* With a length that says so. */
START_TEST(a_packet_that_ends_within_a_field_is_malformed)
{
    struct buf b = { 0 };
    uint8_t level;
    const struct sample *s = sample_of(_i, &level, &b);
    struct mqtt_heard h = mqtt_hear_ok(level, buf_view(&b));
    struct bytes body = bytes_from(buf_view(&b), h.head.bytes);

    for (size_t n = 0; n < body.n; n++) {
        unsigned reason = mqtt_refusal(level, b.p[0], bytes_head(body, n));
        /* A user name may be missing in 3.1, and the shortest AUTH is empty. */
        bool may_end = s->may_end || (level == MQTT_3_1 && s->type == MQTT_CONNECT) ||
                       (s->type == MQTT_AUTH && n == 0);

        if (!may_end)
            ck_assert_msg(reason >= 0x81 && reason <= 0x82, "%zu of %zu", n, body.n);
    }
    mqtt_heard_fini(&h);
    buf_fini(&b);
}
END_TEST

START_TEST(a_packet_that_goes_on_behind_its_last_field_is_malformed)
{
    struct buf b = { 0 }, longer = { 0 };
    uint8_t level;
    const struct sample *s = sample_of(_i, &level, &b);
    struct mqtt_heard h = mqtt_hear_ok(level, buf_view(&b));
    bool takes_more = s->type == MQTT_PUBLISH || (s->type == MQTT_SUBACK) ||
                      ((s->type == MQTT_UNSUBACK || (s->may_end && !s->is_full)) &&
                       level == MQTT_5);

    buf_bytes(&longer, bytes_from(buf_view(&b), h.head.bytes));
    buf_u8(&longer, 0);
    ck_assert_uint_eq(mqtt_refusal(level, b.p[0], buf_view(&longer)), takes_more ? 0 : 0x81);
    mqtt_heard_fini(&h);
    buf_fini(&b);
    buf_fini(&longer);
}
END_TEST

START_TEST(user_properties_keep_their_order_and_their_number)
{
    static const char *const want[][2] = { { "b", "2" }, { "a", "" }, { "b", "1" } };
    static const uint32_t ids[] = { 300, 1, 128, 268435455 };
    struct buf b = { 0 };
    struct bytes name, value;
    uint32_t id;
    size_t at = 0, n = 0;

    publish_2(&b, MQTT_5);
    struct mqtt_heard h = mqtt_hear_ok(MQTT_5, buf_view(&b));
    struct bytes raw = h.packet.publish.props.raw;
    for (; mqtt_user_property_next(raw, &at, &name, &value); n++) {
        assert_bytes(name, bytes_str(want[n][0]));
        assert_bytes(value, bytes_str(want[n][1]));
    }
    ck_assert_uint_eq(n, COUNT_OF(want));
    for (at = 0, n = 0; mqtt_subscription_id_next(raw, &at, &id); n++)
        ck_assert_uint_eq(id, ids[n]);
    ck_assert_uint_eq(n, COUNT_OF(ids));
    mqtt_heard_fini(&h);
    buf_fini(&b);
}
END_TEST

/* ---- byte for byte ---- */

#define WIRE(level, put, bytes)                    \
    do {                                           \
        struct buf b_ = { 0 };                     \
                                                   \
        put(&b_, level);                           \
        assert_bytes(buf_view(&b_), BYTES(bytes)); \
        buf_fini(&b_);                             \
    } while (0)

START_TEST(packets_of_3_1_and_3_1_1_are_the_bytes_of_their_standards)
{
    WIRE(3, connect_bare, "\x10\x0f\0\6MQIsdp\3\2\0\0\0\1c");
    WIRE(4, connect_bare, "\x10\x0d\0\4MQTT\4\2\0\0\0\1c");
    WIRE(4, connect_full,
         "\x10\x3a\0\4MQTT\4\xf4\xff\xfe\0\x0a"
         "client \xe2\x82\xac\0\x0awill/topic\0\6\0will\xff"
         "\0\4user\0\x08\0secret\xff");
    WIRE(3, connack_bare, "\x20\2\0\5");
    WIRE(4, connack_full, "\x20\2\1\0");
    WIRE(3, connack_full, "\x20\2\0\0"); /* session present is of 3.1.1 */
    WIRE(4, publish_0, "\x30\3\0\1t");
    WIRE(4, publish_1, "\x3a\x0e\0\3a/b\0\1payload");
    WIRE(4, puback_full, "\x40\2\0\1");
    WIRE(4, pubrec_bare, "\x50\2\x12\x34");
    WIRE(4, pubrel_bare, "\x62\2\x12\x34");
    WIRE(4, pubcomp_full, "\x70\2\0\1");
    WIRE(4, subscribe_full, "\x82\x1b\xff\xff\0\5a/+/b\2\0\x0a$share/g/a\1\0\1/\0");
    WIRE(4, suback_full, "\x90\x08\0\7\0\1\2\x80\x80\x80");
    WIRE(4, unsubscribe_full, "\xa2\x18\0\x08\0\5a/+/b\0\x0a$share/g/a\0\1#");
    WIRE(4, unsuback_full, "\xb0\2\0\x08");
    WIRE(4, pingreq, "\xc0\0");
    WIRE(4, pingresp, "\xd0\0");
    WIRE(4, disconnect_full, "\xe0\0");
}
END_TEST

/* Without properties there is a length of 0 [MQTT-2.2.2-1], or where 5.0 allows it nothing. */
START_TEST(packets_of_5_0_are_the_bytes_of_the_standard)
{
    WIRE(5, connect_bare, "\x10\x0e\0\4MQTT\5\2\0\0\0\0\1c");
    WIRE(5, connack_bare, "\x20\3\0\x87\0");
    WIRE(5, publish_0, "\x30\4\0\1t\0");
    WIRE(5, publish_1, "\x3a\x0f\0\3a/b\0\1\0payload");
    WIRE(5, puback_bare, "\x40\2\x12\x34");
    WIRE(5, pubrel_bare, "\x62\2\x12\x34");
    WIRE(5, subscribe_bare, "\x82\7\0\1\0\0\1#\0");
    WIRE(5, disconnect_bare, "\xe0\0");
    WIRE(5, puback_full, "\x40\x23\0\1\x97\x1f\x1f\0\x08text \xe2\x82\xac" USER_PROPERTIES);
    WIRE(5, unsuback_full,
         "\xb0\x25\0\x08\x1f\x1f\0\x08text \xe2\x82\xac" USER_PROPERTIES "\0\x11\x87");
    WIRE(5, subscribe_full,
         "\x82\x33\xff\xff\x17\x0b\xac\2" USER_PROPERTIES
         "\0\5a/+/b\x26\0\x0a$share/g/a\x09\0\1/\x10");
    WIRE(5, auth_full,
         "\xf0\x32\x18\x30\x15\0\x08text \xe2\x82\xac\x16\0\3\0\xff\0"
         "\x1f\0\x08text \xe2\x82\xac" USER_PROPERTIES);
}
END_TEST

START_TEST(a_reason_of_an_acknowledgement_takes_one_byte_without_properties)
{
    struct buf b = { 0 };

    mqtt_put_ack(&b, MQTT_5, MQTT_PUBACK, 1, 0x10, NULL);
    mqtt_put_ack(&b, MQTT_5, MQTT_PUBREL, 2, 0x92, &(struct mqtt_props){ 0 });
    mqtt_put_ack(&b, MQTT_3_1_1, MQTT_PUBREC, 3, 0x87, NULL);
    mqtt_put_disconnect(&b, MQTT_5, 0x8b, NULL);
    mqtt_put_auth(&b, 0, NULL);
    assert_bytes(buf_view(&b), BYTES("\x40\3\0\1\x10\x62\3\0\2\x92\x50\2\0\3\xe0\1\x8b\xf0\0"));
    buf_fini(&b);
}
END_TEST

Suite *mqtt_packet_suite(void);

Suite *mqtt_packet_suite(void)
{
    Suite *s = suite_create("mqtt_packet");
    TCase *t = tcase_create("mqtt_packet");

    tcase_add_loop_test(t, every_packet_comes_back_as_it_was_sent, 0, ALL);
    tcase_add_loop_test(t, a_packet_has_every_property_that_it_may_have_and_no_other, 0, ALL);
    tcase_add_loop_test(t, every_prefix_of_a_packet_needs_more, 0, ALL);
    tcase_add_loop_test(t, a_packet_that_ends_within_a_field_is_malformed, 0, ALL);
    tcase_add_loop_test(t, a_packet_that_goes_on_behind_its_last_field_is_malformed, 0, ALL);
    tcase_add_test(t, user_properties_keep_their_order_and_their_number);
    tcase_add_test(t, packets_of_3_1_and_3_1_1_are_the_bytes_of_their_standards);
    tcase_add_test(t, packets_of_5_0_are_the_bytes_of_the_standard);
    tcase_add_test(t, a_reason_of_an_acknowledgement_takes_one_byte_without_properties);
    suite_add_tcase(s, t);
    return s;
}
