// SPDX-License-Identifier: MIT
/* SUBSCRIBE, UNSUBSCRIBE and their answers: what is in them and why they are refused. */
#include "tests/unit/mqtt_heard.h"

#define REFUSED(level, first, body) mqtt_refusal(level, first, BYTES(body))

/* Behind the packet id there is a length of properties in 5.0. */
static unsigned refused_filters(uint8_t level, uint8_t first, struct bytes filters)
{
    struct buf b = { 0 };

    buf_u16(&b, 1);
    if (level == 5)
        buf_u8(&b, 0);
    buf_bytes(&b, filters);
    unsigned reason = mqtt_refusal(level, first, buf_view(&b));
    buf_fini(&b);
    return reason;
}

#define SUBSCRIBE(level, filters) refused_filters(level, 0x82, BYTES(filters))
#define UNSUBSCRIBE(level, filters) refused_filters(level, 0xa2, BYTES(filters))

START_TEST(the_filters_of_a_subscribe_come_in_their_order_with_their_options)
{
    struct mqtt_subscription sent[] = {
        { BYTES("a/+"), 1, true, false, 0 },
        { BYTES("#"), 0, false, true, 2 },
        { BYTES("$share/g/x"), 2, false, true, 1 },
    };
    struct mqtt_subscription got;
    uint8_t level = (uint8_t)_i;
    struct buf b = { 0 };
    size_t at = 0;

    mqtt_put_subscribe(&b, level, 5, sent, COUNT_OF(sent), NULL);
    struct mqtt_heard h = mqtt_hear_ok(level, buf_view(&b));
    ck_assert_uint_eq(h.packet.subscribe.packet_id, 5);
    ck_assert_uint_eq(h.packet.subscribe.count, COUNT_OF(sent));
    for (size_t i = 0; i < COUNT_OF(sent); i++) {
        ck_assert(mqtt_subscription_next(h.packet.subscribe.filters, &at, &got));
        assert_bytes(got.filter, sent[i].filter);
        ck_assert_uint_eq(got.qos, sent[i].qos);
        ck_assert(got.no_local == (level == 5 && sent[i].no_local));
        ck_assert(got.retain_as_published == (level == 5 && sent[i].retain_as_published));
        ck_assert_uint_eq(got.retain_handling, level == 5 ? sent[i].retain_handling : 0);
    }
    ck_assert(!mqtt_subscription_next(h.packet.subscribe.filters, &at, &got));
    mqtt_heard_fini(&h);
    buf_fini(&b);
}
END_TEST

START_TEST(the_filters_of_an_unsubscribe_come_in_their_order)
{
    struct bytes sent[] = { BYTES("a/+"), BYTES("#"), BYTES("$share/g/x") }, got;
    uint8_t level = (uint8_t)_i;
    struct buf b = { 0 };
    size_t at = 0;

    mqtt_put_unsubscribe(&b, level, 6, sent, COUNT_OF(sent), NULL);
    struct mqtt_heard h = mqtt_hear_ok(level, buf_view(&b));
    ck_assert_uint_eq(h.packet.subscribe.packet_id, 6);
    ck_assert_uint_eq(h.packet.subscribe.count, COUNT_OF(sent));
    for (size_t i = 0; i < COUNT_OF(sent); i++) {
        ck_assert(mqtt_filter_next(h.packet.subscribe.filters, &at, &got));
        assert_bytes(got, sent[i]);
    }
    ck_assert(!mqtt_filter_next(h.packet.subscribe.filters, &at, &got));
    mqtt_heard_fini(&h);
    buf_fini(&b);
}
END_TEST

/* [MQTT-3.8.3-2, 3.10.3-2], 3.1.1: [MQTT-3.8.3-3, 3.10.3-2] */
START_TEST(a_packet_without_a_filter_is_a_protocol_error)
{
    ck_assert_uint_eq(SUBSCRIBE((uint8_t)_i, ""), 0x82);
    ck_assert_uint_eq(UNSUBSCRIBE((uint8_t)_i, ""), 0x82);
    ck_assert_uint_eq(REFUSED((uint8_t)_i, 0x82, ""), 0x81);
    ck_assert_uint_eq(REFUSED((uint8_t)_i, 0xa2, "\0"), 0x81);
}
END_TEST

/* [MQTT-3.8.3-5], 3.1.1: [MQTT-3-8.3-4] */
START_TEST(every_byte_of_options_is_right_or_refused)
{
    for (unsigned options = 0; options < 256; options++) {
        uint8_t filters[] = { 0, 1, 'a', (uint8_t)options };
        struct bytes in = bytes_of(filters, sizeof filters);
        unsigned qos = options & 3, handling = options >> 4 & 3;

        ck_assert_uint_eq(refused_filters(5, 0x82, in), options & 0xc0              ? 0x81
                                                        : qos == 3 || handling == 3 ? 0x82
                                                                                    : 0);
        for (uint8_t level = 3; level < 5; level++)
            ck_assert_uint_eq(refused_filters(level, 0x82, in), options & 0xfc ? 0x81
                                                                : qos == 3     ? 0x82
                                                                               : 0);
    }
}
END_TEST

/* [MQTT-3.8.3-4] */
START_TEST(no_local_on_a_shared_subscription_is_a_protocol_error)
{
    ck_assert_uint_eq(SUBSCRIBE(5, "\0\x0a$share/g/x\4"), 0x82);
    ck_assert_uint_eq(SUBSCRIBE(5, "\0\x0a$share/g/x\2"), 0);
    ck_assert_uint_eq(SUBSCRIBE(5, "\0\x09$shar/g/x\4"), 0);
}
END_TEST

/* [MQTT-3.8.3-1, 3.10.3-1, 4.7.1-1, 4.7.1-2, 4.7.3-1]; a later filter is looked at as well. */
START_TEST(a_filter_is_a_valid_one)
{
    uint8_t level = (uint8_t)_i;

    ck_assert_uint_eq(SUBSCRIBE(level, "\0\0\0"), 0x8f);
    ck_assert_uint_eq(SUBSCRIBE(level, "\0\3a+b\0"), 0x8f);
    ck_assert_uint_eq(SUBSCRIBE(level, "\0\1a\0\0\3#/b\0"), 0x8f);
    ck_assert_uint_eq(SUBSCRIBE(level, "\0\1\xff\0"), 0x81);
    ck_assert_uint_eq(SUBSCRIBE(level, "\0\1\0\0"), 0x81);
    ck_assert_uint_eq(SUBSCRIBE(level, "\0\1a\0\0\3a"), 0x81);
    ck_assert_uint_eq(SUBSCRIBE(level, "\0\1a"), 0x81);
    ck_assert_uint_eq(UNSUBSCRIBE(level, "\0\0"), 0x8f);
    ck_assert_uint_eq(UNSUBSCRIBE(level, "\0\1a\0\2##"), 0x8f);
    ck_assert_uint_eq(UNSUBSCRIBE(level, "\0\1\xff"), 0x81);
    ck_assert_uint_eq(UNSUBSCRIBE(level, "\0\1\0"), 0x81);
    ck_assert_uint_eq(UNSUBSCRIBE(level, "\0\2a"), 0x81);
}
END_TEST

/* [MQTT-4.8.2-1, 4.8.2-2]; 3.1.1 knows no shared subscriptions. */
START_TEST(a_shared_subscription_has_a_group_and_a_filter_in_5_0)
{
    ck_assert_uint_eq(SUBSCRIBE(5, "\0\x09$share//a\0"), 0x8f);
    ck_assert_uint_eq(SUBSCRIBE(5, "\0\x08$share/g\0"), 0x8f);
    ck_assert_uint_eq(SUBSCRIBE(5, "\0\x0a$share/+/a\0"), 0x8f);
    ck_assert_uint_eq(SUBSCRIBE(5, "\0\x0b$share/g/a#\0"), 0x8f);
    ck_assert_uint_eq(UNSUBSCRIBE(5, "\0\x09$share//a"), 0x8f);
    ck_assert_uint_eq(SUBSCRIBE(4, "\0\x09$share//a\0"), 0);
    ck_assert_uint_eq(SUBSCRIBE(4, "\0\x0a$share/+/a\0"), 0);
    ck_assert_uint_eq(SUBSCRIBE(4, "\0\x0b$share/g/a#\0"), 0x8f);
}
END_TEST

/* Tables 3-8 and 3-9 [MQTT-3.9.3-2, 3.11.3-2]. */
START_TEST(an_answer_has_reasons_of_its_table)
{
    static const char subscribed[] = "\x01\x02\x80\x83\x87\x8f\x91\x97\x9e\xa1\xa2";
    static const char unsubscribed[] = "\x11\x80\x83\x87\x8f\x91";

    for (unsigned reason = 0; reason < 256; reason++) {
        uint8_t body[] = { 0, 1, 0, 0, (uint8_t)reason }; /* the one before is right */
        struct bytes in = bytes_of(body, sizeof body);
        bool of_suback = reason == 0 || strchr(subscribed, (int)(char)reason);
        bool of_unsuback = reason == 0 || strchr(unsubscribed, (int)(char)reason);
        bool of_4 = reason <= 2 || reason == 0x80;

        ck_assert_uint_eq(mqtt_refusal(5, 0x90, in), of_suback ? 0 : 0x82);
        ck_assert_uint_eq(mqtt_refusal(5, 0xb0, in), of_unsuback ? 0 : 0x82);
        ck_assert_uint_eq(mqtt_refusal(4, 0x90, in), of_4 ? 0 : 0x82);
        ck_assert_uint_eq(mqtt_refusal(4, 0xb0, in), 0x81);
    }
}
END_TEST

/* [MQTT-3.8.4-6] */
START_TEST(an_answer_has_a_reason_at_least)
{
    ck_assert_uint_eq(REFUSED(5, 0x90, "\0\1\0"), 0x82);
    ck_assert_uint_eq(REFUSED(5, 0xb0, "\0\1\0"), 0x82);
    ck_assert_uint_eq(REFUSED(4, 0x90, "\0\1"), 0x82);
    ck_assert_uint_eq(REFUSED(4, 0xb0, "\0\1"), 0);
}
END_TEST

START_TEST(the_reasons_of_an_answer_keep_their_order)
{
    struct buf b = { 0 };

    mqtt_put_suback(&b, 5, 3, BYTES("\2\x8f\0"), NULL);
    struct mqtt_heard h = mqtt_hear_ok(5, buf_view(&b));
    ck_assert_uint_eq(h.packet.suback.packet_id, 3);
    assert_bytes(h.packet.suback.reasons, BYTES("\2\x8f\0"));
    mqtt_heard_fini(&h);
    b.n = 0;
    mqtt_put_suback(&b, 4, 3, BYTES("\2\x8f\0"), NULL);
    h = mqtt_hear_ok(4, buf_view(&b));
    assert_bytes(h.packet.suback.reasons, BYTES("\2\x80\0"));
    mqtt_heard_fini(&h);
    buf_fini(&b);
}
END_TEST

Suite *mqtt_subscribe_suite(void);

Suite *mqtt_subscribe_suite(void)
{
    Suite *s = suite_create("mqtt_subscribe");
    TCase *t = tcase_create("mqtt_subscribe");

    tcase_add_loop_test(t, the_filters_of_a_subscribe_come_in_their_order_with_their_options, 3, 6);
    tcase_add_loop_test(t, the_filters_of_an_unsubscribe_come_in_their_order, 3, 6);
    tcase_add_loop_test(t, a_packet_without_a_filter_is_a_protocol_error, 3, 6);
    tcase_add_test(t, every_byte_of_options_is_right_or_refused);
    tcase_add_test(t, no_local_on_a_shared_subscription_is_a_protocol_error);
    tcase_add_loop_test(t, a_filter_is_a_valid_one, 3, 6);
    tcase_add_test(t, a_shared_subscription_has_a_group_and_a_filter_in_5_0);
    tcase_add_test(t, an_answer_has_reasons_of_its_table);
    tcase_add_test(t, an_answer_has_a_reason_at_least);
    tcase_add_test(t, the_reasons_of_an_answer_keep_their_order);
    suite_add_tcase(s, t);
    return s;
}
