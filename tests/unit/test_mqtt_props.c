// SPDX-License-Identifier: MIT
/* Properties: where each may be, how often, and with what values. */
#include "tests/unit/mqtt_heard.h"

enum { WILL = 0 };

/* A packet of each type, `fields` its properties (of the will: of a CONNECT's). */
static unsigned refused(unsigned type, struct bytes fields)
{
    struct buf b = { 0 };
    uint8_t first = (uint8_t)(type << 4);

    switch (type) {
    case WILL:
        first = MQTT_CONNECT << 4;
        buf_bytes(&b, BYTES("\0\4MQTT\5\6\0\0\0\0\1c"));
        break;
    case MQTT_CONNECT:
        buf_bytes(&b, BYTES("\0\4MQTT\5\2\0\0"));
        break;
    case MQTT_CONNACK:
        buf_bytes(&b, BYTES("\0\0"));
        break;
    case MQTT_PUBLISH:
        buf_bytes(&b, BYTES("\0\1t"));
        break;
    case MQTT_DISCONNECT:
        buf_u8(&b, 0);
        break;
    case MQTT_AUTH:
        buf_u8(&b, 0x18);
        break;
    default:
        buf_u16(&b, 1);
        if (type >= MQTT_PUBACK && type <= MQTT_PUBCOMP)
            buf_u8(&b, 0);
        if (type == MQTT_PUBREL || type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE)
            first |= 2;
        break;
    }
    buf_varint(&b, fields.n);
    buf_bytes(&b, fields);
    if (type == WILL)
        buf_bytes(&b, BYTES("\0\1t\0\0"));
    else if (type == MQTT_CONNECT || type == MQTT_UNSUBSCRIBE)
        buf_bytes(&b, BYTES("\0\1c"));
    else if (type == MQTT_SUBSCRIBE)
        buf_bytes(&b, BYTES("\0\1c\0"));
    else if (type == MQTT_SUBACK || type == MQTT_UNSUBACK)
        buf_u8(&b, 0);
    unsigned reason = mqtt_refusal(5, first, buf_view(&b));
    buf_fini(&b);
    return reason;
}

#define REFUSED(type, fields) refused(type, BYTES(fields))

/* Table 2-4: the types by their letters in the order of their numbers, W for the will. */
static const struct row {
    uint8_t id;
    const char *where; /* letters of `letters` below */
    const char *value;
    uint8_t n;
} rows[] = {
    { 0x01, "WP", "\1", 1 },
    { 0x02, "WP", "\0\0\0\0", 4 },
    { 0x03, "WP", "\0\1t", 3 },
    { 0x08, "WP", "\0\1t", 3 },
    { 0x09, "WP", "\0\1\xff", 3 },
    { 0x0b, "PS", "\1", 1 },
    { 0x11, "CAD", "\0\0\0\0", 4 },
    { 0x12, "A", "\0\1t", 3 },
    { 0x13, "A", "\0\0", 2 },
    { 0x15, "CAX", "\0\1t", 3 },
    { 0x16, "CAX", "\0\1t\x15\0\1m", 7 }, /* the method belongs to it */
    { 0x17, "C", "\0", 1 },
    { 0x18, "W", "\0\0\0\0", 4 },
    { 0x19, "C", "\0", 1 },
    { 0x1a, "A", "\0\1t", 3 },
    { 0x1c, "AD", "\0\1t", 3 },
    { 0x1f, "A1234suDX", "\0\1t", 3 },
    { 0x21, "CA", "\0\1", 2 },
    { 0x22, "CA", "\0\0", 2 },
    { 0x23, "P", "\0\1", 2 },
    { 0x24, "A", "\0", 1 },
    { 0x25, "A", "\0", 1 },
    { 0x26, "WCAP1234SsUuDX", "\0\1t\0\1t", 6 },
    { 0x27, "CA", "\0\0\0\1", 4 },
    { 0x28, "A", "\0", 1 },
    { 0x29, "A", "\0", 1 },
    { 0x2a, "A", "\0", 1 },
};

static const char letters[] = "WCAP1234SsUu..DX";

static const struct row *row_of(unsigned id)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].id == id)
            return &rows[i];
    return NULL;
}

static void put_prop(struct buf *out, unsigned type, unsigned id, const struct row *row)
{
    buf_u8(out, (uint8_t)id);
    if (row)
        buf_put(out, row->value, row->n);
    if (type == MQTT_AUTH && id != 0x15 && id != 0x16)
        buf_bytes(out, BYTES("\x15\0\1m"));
}

START_TEST(each_property_is_allowed_where_the_standard_has_it_and_nowhere_else)
{
    unsigned type = (unsigned)_i;

    if (type == MQTT_PINGREQ || type == MQTT_PINGRESP)
        return;
    for (unsigned id = 0; id < 256; id++) {
        const struct row *row = row_of(id);
        bool allowed = row && strchr(row->where, letters[type]);
        struct buf b = { 0 };

        put_prop(&b, type, id, row);
        ck_assert_msg(refused(type, buf_view(&b)) == (allowed ? 0 : 0x81), "id %u", id);
        buf_fini(&b);
    }
}
END_TEST

/* 2.2.2.2: but for User Property, and Subscription Identifier in a PUBLISH. */
START_TEST(a_property_that_is_there_twice_is_a_protocol_error)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];

        for (unsigned type = 0; type <= MQTT_AUTH; type++) {
            struct buf b = { 0 };

            if (!strchr(row->where, letters[type]))
                continue;
            buf_u8(&b, row->id);
            buf_put(&b, row->value, row->n);
            put_prop(&b, type, row->id, row);
            bool may = row->id == 0x26 || (row->id == 0x0b && type == MQTT_PUBLISH);
            ck_assert_msg(refused(type, buf_view(&b)) == (may ? 0 : 0x82), "id %u type %u", row->id,
                          type);
            buf_fini(&b);
        }
    }
}
END_TEST

START_TEST(a_property_that_is_cut_short_is_malformed)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        unsigned type = (unsigned)(strchr(letters, row->where[0]) - letters);

        if (row->id == 0x16)
            continue;
        for (unsigned n = 0; n < row->n; n++) {
            struct buf b = { 0 };

            buf_u8(&b, row->id);
            buf_put(&b, row->value, n);
            ck_assert_msg(refused(type, buf_view(&b)) == 0x81, "id %u to %u", row->id, n);
            buf_fini(&b);
        }
    }
}
END_TEST

START_TEST(values_are_within_their_range)
{
    static const uint8_t flags_of_connack[] = { 0x24, 0x25, 0x28, 0x29, 0x2a };

    for (unsigned value = 0; value < 256; value++) {
        uint8_t f[] = { 0, (uint8_t)value };
        unsigned want = value > 1 ? 0x82 : 0;

        for (size_t i = 0; i < COUNT_OF(flags_of_connack); i++) {
            f[0] = flags_of_connack[i];
            ck_assert_uint_eq(refused(MQTT_CONNACK, bytes_of(f, 2)), want);
        }
        f[0] = 0x17;
        ck_assert_uint_eq(refused(MQTT_CONNECT, bytes_of(f, 2)), want);
        f[0] = 0x19;
        ck_assert_uint_eq(refused(MQTT_CONNECT, bytes_of(f, 2)), want);
        f[0] = 0x01;
        ck_assert_uint_eq(refused(MQTT_PUBLISH, bytes_of(f, 2)), want);
        ck_assert_uint_eq(refused(WILL, bytes_of(f, 2)), want);
    }
    ck_assert_uint_eq(REFUSED(MQTT_CONNECT, "\x21\0\0"), 0x82);     /* receive maximum */
    ck_assert_uint_eq(REFUSED(MQTT_CONNECT, "\x27\0\0\0\0"), 0x82); /* maximum packet size */
    ck_assert_uint_eq(REFUSED(MQTT_PUBLISH, "\x23\0\0"), 0x94);     /* topic alias */
    ck_assert_uint_eq(REFUSED(MQTT_PUBLISH, "\x0b\0"), 0x82);       /* subscription id */
    ck_assert_uint_eq(REFUSED(MQTT_SUBSCRIBE, "\x0b\0"), 0x82);
    ck_assert_uint_eq(REFUSED(MQTT_PUBLISH, "\x0b\1\x0b\0"), 0x82);
    ck_assert_uint_eq(REFUSED(MQTT_SUBSCRIBE, "\x0b\xff\xff\xff\x7f"), 0);
    ck_assert_uint_eq(REFUSED(MQTT_SUBSCRIBE, "\x0b\xff\xff\xff\xff\1"), 0x81);
    ck_assert_uint_eq(REFUSED(MQTT_SUBSCRIBE, "\x0b\x81\0"), 0x81); /* [MQTT-1.5.5-1] */
}
END_TEST

/* [MQTT-1.5.4-1, 1.5.4-2, 1.5.7-1] */
START_TEST(texts_are_utf_8_without_u_0000)
{
    ck_assert_uint_eq(REFUSED(MQTT_PUBLISH, "\x03\0\1\xff"), 0x81);
    ck_assert_uint_eq(REFUSED(MQTT_PUBLISH, "\x03\0\1\0"), 0x81);
    ck_assert_uint_eq(REFUSED(MQTT_PUBLISH, "\x03\0\0"), 0);
    ck_assert_uint_eq(REFUSED(MQTT_PUBLISH, "\x26\0\1\xff\0\1v"), 0x81);
    ck_assert_uint_eq(REFUSED(MQTT_PUBLISH, "\x26\0\1n\0\3\xed\xa0\x80"), 0x81);
    ck_assert_uint_eq(REFUSED(MQTT_PUBLISH, "\x26\0\0\0\0"), 0);
    ck_assert_uint_eq(REFUSED(MQTT_PUBLISH, "\x09\0\2\0\xff"), 0); /* binary */
    ck_assert_uint_eq(REFUSED(MQTT_PUBACK, "\x1f\0\1\xff"), 0x81);
}
END_TEST

/* [MQTT-3.3.2-13, 3.3.2-14] */
START_TEST(a_response_topic_is_a_topic_name)
{
    ck_assert_uint_eq(REFUSED(MQTT_PUBLISH, "\x08\0\3a/b"), 0);
    ck_assert_uint_eq(REFUSED(MQTT_PUBLISH, "\x08\0\3a/+"), 0x90);
    ck_assert_uint_eq(REFUSED(MQTT_PUBLISH, "\x08\0\1#"), 0x90);
    ck_assert_uint_eq(REFUSED(WILL, "\x08\0\0"), 0x90);
    ck_assert_uint_eq(REFUSED(MQTT_PUBLISH, "\x08\0\1\xff"), 0x81);
}
END_TEST

/* 3.1.2.11.10 */
START_TEST(authentication_data_needs_a_method)
{
    ck_assert_uint_eq(REFUSED(MQTT_CONNECT, "\x16\0\1d"), 0x82);
    ck_assert_uint_eq(REFUSED(MQTT_CONNECT, "\x16\0\1d\x15\0\1m"), 0);
    ck_assert_uint_eq(REFUSED(MQTT_CONNACK, "\x16\0\0"), 0x82);
}
END_TEST

/* [MQTT-1.5.5-1], and a length that is more than there is. */
START_TEST(the_length_of_the_properties_is_checked)
{
    ck_assert_uint_eq(mqtt_refusal(5, 0x30, BYTES("\0\1t\0")), 0);
    ck_assert_uint_eq(mqtt_refusal(5, 0x30, BYTES("\0\1t")), 0x81);
    ck_assert_uint_eq(mqtt_refusal(5, 0x30, BYTES("\0\1t\x80\0")), 0x81);
    ck_assert_uint_eq(mqtt_refusal(5, 0x30, BYTES("\0\1t\x82\0\1\1")), 0x81);
    ck_assert_uint_eq(mqtt_refusal(5, 0x30, BYTES("\0\1t\3\1\1")), 0x81);
    ck_assert_uint_eq(mqtt_refusal(5, 0x30, BYTES("\0\1t\1\1\1")), 0x81);
    ck_assert_uint_eq(mqtt_refusal(5, 0x30, BYTES("\0\1t\xff\xff\xff\xff\1")), 0x81);
    ck_assert_uint_eq(mqtt_refusal(5, 0x30, BYTES("\0\1t\2\1\1")), 0);
}
END_TEST

START_TEST(user_properties_made_by_hand_are_sent)
{
    struct mqtt_publish p = { .topic = BYTES("t") };
    struct buf user = { 0 }, b = { 0 };
    struct bytes name, value;
    size_t at = 0;

    mqtt_put_user_property(&user, BYTES("name"), BYTES("value"));
    mqtt_put_user_property(&user, BYTES(""), BYTES(""));
    p.props.raw = buf_view(&user);
    mqtt_put_publish(&b, 5, &p); /* without the bit they are none */
    assert_bytes(buf_view(&b), BYTES("\x30\4\0\1t\0"));
    b.n = 0;
    p.props.has = MQTT_HAS(user_property);
    mqtt_put_publish(&b, 5, &p);
    struct mqtt_heard h = mqtt_hear_ok(5, buf_view(&b));
    assert_bytes(h.packet.publish.props.raw, buf_view(&user));
    ck_assert(mqtt_user_property_next(h.packet.publish.props.raw, &at, &name, &value));
    assert_bytes(name, BYTES("name"));
    assert_bytes(value, BYTES("value"));
    ck_assert(mqtt_user_property_next(h.packet.publish.props.raw, &at, &name, &value));
    ck_assert(name.n == 0 && value.n == 0);
    ck_assert(!mqtt_user_property_next(h.packet.publish.props.raw, &at, &name, &value));
    mqtt_heard_fini(&h);
    buf_fini(&user);
    buf_fini(&b);
}
END_TEST

START_TEST(iterators_stop_at_what_is_no_property)
{
    static const char *const raws[] = { "\x7f", "\x26\0", "\x26\0\1n\0", "\x03\0\5a", "\x0b\xff" };
    struct bytes name, value;
    uint32_t id;

    for (size_t i = 0; i < COUNT_OF(raws); i++) {
        struct bytes raw = bytes_of(raws[i], i == 1 ? 2 : i == 2 ? 5 : i == 3 ? 4 : i == 4 ? 2 : 1);
        size_t at = 0, from = 0;

        ck_assert(!mqtt_user_property_next(raw, &at, &name, &value));
        ck_assert(!mqtt_subscription_id_next(raw, &from, &id));
    }
}
END_TEST

/* A will's delay is no property of the message that it becomes. */
START_TEST(what_a_packet_may_not_have_is_left_out)
{
    struct mqtt_publish p = { .topic = BYTES("t") };
    struct buf b = { 0 };

    p.props.has = MQTT_HAS(will_delay) | MQTT_HAS(message_expiry) | MQTT_HAS(reason_string);
    p.props.message_expiry = 1;
    mqtt_put_publish(&b, 5, &p);
    assert_bytes(buf_view(&b), BYTES("\x30\x09\0\1t\5\2\0\0\0\1"));
    ck_assert_uint_eq(mqtt_publish_bytes(5, &p, 0), b.n);
    buf_fini(&b);
}
END_TEST

Suite *mqtt_props_suite(void);

Suite *mqtt_props_suite(void)
{
    Suite *s = suite_create("mqtt_props");
    TCase *t = tcase_create("mqtt_props");

    tcase_add_loop_test(t, each_property_is_allowed_where_the_standard_has_it_and_nowhere_else, 0,
                        MQTT_AUTH + 1);
    tcase_add_test(t, a_property_that_is_there_twice_is_a_protocol_error);
    tcase_add_test(t, a_property_that_is_cut_short_is_malformed);
    tcase_add_test(t, values_are_within_their_range);
    tcase_add_test(t, texts_are_utf_8_without_u_0000);
    tcase_add_test(t, a_response_topic_is_a_topic_name);
    tcase_add_test(t, authentication_data_needs_a_method);
    tcase_add_test(t, the_length_of_the_properties_is_checked);
    tcase_add_test(t, user_properties_made_by_hand_are_sent);
    tcase_add_test(t, iterators_stop_at_what_is_no_property);
    tcase_add_test(t, what_a_packet_may_not_have_is_left_out);
    suite_add_tcase(s, t);
    return s;
}
