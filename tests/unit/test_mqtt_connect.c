// SPDX-License-Identifier: MIT
/* CONNECT and CONNACK of the three levels, and why they are refused. */
#include "tests/unit/mqtt_heard.h"

/* A CONNECT of the flags, with keep alive 0 and the fields behind it. */
static struct buf connect_of(uint8_t level, uint8_t flags, struct bytes fields)
{
    struct buf b = { 0 };

    buf_bytes(&b, level == 3 ? BYTES("\0\6MQIsdp") : BYTES("\0\4MQTT"));
    buf_u8(&b, level);
    buf_u8(&b, flags);
    buf_u16(&b, 0);
    if (level == 5)
        buf_u8(&b, 0);
    buf_bytes(&b, fields);
    return b;
}

/* 0: it is not refused.  The level is always known then. */
static unsigned refused(uint8_t level, uint8_t flags, struct bytes fields)
{
    struct buf body = connect_of(level, flags, fields), whole = { 0 };

    mqtt_frame(&whole, 0x10, buf_view(&body));
    struct mqtt_heard h = mqtt_hear(0, buf_view(&whole));
    ck_assert_uint_eq(h.packet.connect.level, level);
    unsigned reason = h.result == DECODE_OK ? 0 : h.reason;
    mqtt_heard_fini(&h);
    buf_fini(&body);
    buf_fini(&whole);
    return reason;
}

#define REFUSED(level, flags, fields) refused(level, flags, BYTES(fields))

START_TEST(a_connect_is_decoded_by_the_level_that_it_names)
{
    uint8_t level = (uint8_t)_i;
    struct mqtt_connect c = {
        .level = level,
        .keep_alive_s = 60,
        .client_id = BYTES("me"),
        .has_user_name = true,
        .user_name = BYTES("u"),
        .has_password = true,
        .has_will = true,
        .will = { .topic = BYTES("t"), .qos = 1 },
    };
    struct buf b = { 0 };

    mqtt_put_connect(&b, &c);
    struct mqtt_heard h = mqtt_hear_ok(0, buf_view(&b));
    const struct mqtt_connect *got = &h.packet.connect;
    ck_assert_uint_eq(got->level, level);
    ck_assert_uint_eq(got->keep_alive_s, 60);
    ck_assert(!got->clean_start && got->has_user_name && got->has_password && got->has_will);
    assert_bytes(got->client_id, BYTES("me"));
    assert_bytes(got->user_name, BYTES("u"));
    assert_bytes(got->password, BYTES(""));
    assert_bytes(got->will.topic, BYTES("t"));
    assert_bytes(got->will.payload, BYTES(""));
    ck_assert(got->will.qos == 1 && !got->will.retain);
    mqtt_heard_fini(&h);
    buf_fini(&b);
}
END_TEST

/* [MQTT-3.1.2-1, 3.1.2-2]: 0x84, which is return code 1 below 5.0. */
START_TEST(another_protocol_or_level_is_0x84)
{
    static const struct {
        const char *name;
        uint8_t level, seen;
    } cases[] = {
        { "MQTT", 0, 0 },       { "MQTT", 3, 3 },   { "MQTT", 6, 6 },
        { "MQTT", 0x84, 0x84 }, /* as bridges have it */
        { "MQTT", 255, 255 },   { "MQIsdp", 2, 2 }, { "MQIsdp", 4, 4 },
        { "MQIsdp", 5, 5 },     { "mqtt", 4, 0 },   { "MQTT ", 4, 0 },
        { "", 4, 0 },           { "MQTTX", 5, 0 },  { "MQ", 4, 0 },
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf body = { 0 }, whole = { 0 };

        buf_u16(&body, (uint16_t)strlen(cases[i].name));
        buf_str(&body, cases[i].name);
        buf_u8(&body, cases[i].level);
        buf_str(&body, "whatever follows");
        mqtt_frame(&whole, 0x10, buf_view(&body));
        struct mqtt_heard h = mqtt_hear(0, buf_view(&whole));
        ck_assert(h.result == DECODE_BAD);
        ck_assert_uint_eq(h.reason, 0x84);
        ck_assert_uint_eq(h.packet.connect.level, cases[i].seen);
        mqtt_heard_fini(&h);
        buf_fini(&body);
        buf_fini(&whole);
    }
}
END_TEST

/* [MQTT-3.1.2-3]; of 3.1 the bit has no meaning. */
START_TEST(the_reserved_flag_is_0)
{
    ck_assert_uint_eq(REFUSED(3, 0x03, "\0\1c"), 0);
    ck_assert_uint_eq(REFUSED(4, 0x03, "\0\1c"), 0x81);
    ck_assert_uint_eq(REFUSED(5, 0x03, "\0\1c"), 0x81);
}
END_TEST

/* [MQTT-3.1.2-11, 3.1.2-12, 3.1.2-13], 3.1.1: [MQTT-3.1.2-13, 3.1.2-14, 3.1.2-15] */
START_TEST(the_flags_of_a_will_belong_to_a_will)
{
    static const uint8_t alone[] = { 0x0a, 0x12, 0x1a, 0x22, 0x3a };

    for (size_t i = 0; i < COUNT_OF(alone); i++) {
        ck_assert_uint_eq(REFUSED(3, alone[i], "\0\1c"), 0);
        ck_assert_uint_eq(REFUSED(4, alone[i], "\0\1c"), 0x81);
        ck_assert_uint_eq(REFUSED(5, alone[i], "\0\1c"), 0x81);
    }
    for (uint8_t level = 3; level < 5; level++) {
        ck_assert_uint_eq(REFUSED(level, 0x06, "\0\1c\0\1t\0\0"), 0);
        ck_assert_uint_eq(REFUSED(level, 0x36, "\0\1c\0\1t\0\0"), 0);
        ck_assert_uint_eq(REFUSED(level, 0x1e, "\0\1c\0\1t\0\0"), 0x81);
    }
    ck_assert_uint_eq(REFUSED(5, 0x36, "\0\1c\0\0\1t\0\0"), 0);
    ck_assert_uint_eq(REFUSED(5, 0x1e, "\0\1c\0\0\1t\0\0"), 0x81);
}
END_TEST

/* [MQTT-3.1.2-9, 3.1.3-9, 4.7.0-1] */
START_TEST(a_will_has_a_topic_name)
{
    ck_assert_uint_eq(REFUSED(4, 0x06, "\0\1c\0\0\0\0"), 0x90);
    ck_assert_uint_eq(REFUSED(4, 0x06, "\0\1c\0\1#\0\0"), 0x90);
    ck_assert_uint_eq(REFUSED(5, 0x06, "\0\1c\0\0\3a/+\0\0"), 0x90);
    ck_assert_uint_eq(REFUSED(5, 0x06, "\0\1c\0\0\1\xff\0\0"), 0x81);
    ck_assert_uint_eq(REFUSED(4, 0x06, "\0\1c\0\1t"), 0x81);
    ck_assert_uint_eq(REFUSED(4, 0x06, "\0\1c"), 0x81);
}
END_TEST

/* 3.1.1: [MQTT-3.1.2-22]; 5.0 took the rule away [3.1.2.9]. */
START_TEST(a_password_has_a_user_name_below_5_0)
{
    ck_assert_uint_eq(REFUSED(3, 0x42, "\0\1c\0\1p"), 0x81);
    ck_assert_uint_eq(REFUSED(4, 0x42, "\0\1c\0\1p"), 0x81);
    ck_assert_uint_eq(REFUSED(5, 0x42, "\0\1c\0\1p"), 0);
    ck_assert_uint_eq(REFUSED(4, 0xc2, "\0\1c\0\1u\0\1p"), 0);
}
END_TEST

/* [MQTT-3.1.2-17 to 3.1.2-20]: in 5.0's numbers user name and password follow their flags. */
START_TEST(a_field_is_there_when_its_flag_says_so)
{
    for (uint8_t level = 4; level <= 5; level++) {
        ck_assert_uint_eq(REFUSED(level, 0x82, "\0\1c"), 0x81);
        ck_assert_uint_eq(REFUSED(level, 0xc2, "\0\1c\0\1u"), 0x81);
        ck_assert_uint_eq(REFUSED(level, 0x02, "\0\1c\0\1u"), 0x81);
        ck_assert_uint_eq(REFUSED(level, 0x82, "\0\1c\0\1u\0\1p"), 0x81);
        ck_assert_uint_eq(REFUSED(level, 0x02, ""), 0x81);
    }
}
END_TEST

START_TEST(a_user_name_or_password_may_be_missing_in_3_1)
{
    struct buf body = connect_of(3, 0xc2, BYTES("\0\1c")), whole = { 0 };

    mqtt_frame(&whole, 0x10, buf_view(&body));
    struct mqtt_heard h = mqtt_hear_ok(0, buf_view(&whole));
    ck_assert(!h.packet.connect.has_user_name && !h.packet.connect.has_password);
    mqtt_heard_fini(&h);
    buf_fini(&body);
    buf_fini(&whole);
    ck_assert_uint_eq(REFUSED(3, 0xc2, "\0\1c\0\1u"), 0);
    ck_assert_uint_eq(REFUSED(3, 0xc2, "\0\1c\0"), 0x81);
}
END_TEST

/* 0x85 is return code 2 below 5.0.  3.1.1: [MQTT-3.1.3-7, 3.1.3-8]; 5.0: [MQTT-3.1.3-6]. */
START_TEST(an_empty_client_id_needs_a_clean_session_or_5_0)
{
    ck_assert_uint_eq(REFUSED(3, 0x02, "\0\0"), 0x85);
    ck_assert_uint_eq(REFUSED(3, 0x00, "\0\0"), 0x85);
    ck_assert_uint_eq(REFUSED(4, 0x02, "\0\0"), 0);
    ck_assert_uint_eq(REFUSED(4, 0x00, "\0\0"), 0x85);
    ck_assert_uint_eq(REFUSED(5, 0x02, "\0\0"), 0);
    ck_assert_uint_eq(REFUSED(5, 0x00, "\0\0"), 0);
    ck_assert_uint_eq(REFUSED(4, 0x00, "\0\0\0"), 0x85);
}
END_TEST

/* [MQTT-3.1.3-4, 3.1.3-10, 1.5.4-1, 1.5.4-2]; a password is bytes. */
START_TEST(client_id_and_user_name_are_utf_8)
{
    ck_assert_uint_eq(REFUSED(4, 0x02, "\0\1\xff"), 0x81);
    ck_assert_uint_eq(REFUSED(4, 0x02, "\0\1\0"), 0x81);
    ck_assert_uint_eq(REFUSED(5, 0x02, "\0\3\xed\xa0\x80"), 0x81);
    ck_assert_uint_eq(REFUSED(4, 0x82, "\0\1c\0\1\xff"), 0x81);
    ck_assert_uint_eq(REFUSED(5, 0x82, "\0\1c\0\1\0"), 0x81);
    ck_assert_uint_eq(REFUSED(4, 0xc2, "\0\1c\0\1u\0\2\0\xff"), 0);
}
END_TEST

/* ---- CONNACK ---- */

START_TEST(a_reason_becomes_a_return_code_below_5_0_and_comes_back)
{
    static const struct {
        uint8_t reason, code, back;
    } cases[] = {
        { 0x00, 0, 0x00 }, { 0x84, 1, 0x84 }, { 0x85, 2, 0x85 }, { 0x88, 3, 0x88 },
        { 0x89, 3, 0x88 }, { 0x86, 4, 0x86 }, { 0x87, 5, 0x87 },
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf b = { 0 };

        ck_assert(
            mqtt_put_connack(&b, (uint8_t)_i, &(struct mqtt_connack){ .reason = cases[i].reason }));
        ck_assert_uint_eq(b.n, 4);
        ck_assert_uint_eq(b.p[3], cases[i].code);
        struct mqtt_heard h = mqtt_hear_ok((uint8_t)_i, buf_view(&b));
        ck_assert_uint_eq(h.packet.connack.reason, cases[i].back);
        mqtt_heard_fini(&h);
        buf_fini(&b);
    }
}
END_TEST

/* 3.1.1: [MQTT-3.2.2-6] */
START_TEST(a_reason_without_a_return_code_is_not_sent_below_5_0)
{
    static const uint8_t reasons[] = { 0x80, 0x81, 0x82, 0x83, 0x8a, 0x90, 0x95, 0x9b };

    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        struct mqtt_connack c = { .reason = reasons[i] };
        struct buf b = { 0 };

        ck_assert(!mqtt_put_connack(&b, 3, &c) && !mqtt_put_connack(&b, 4, &c));
        ck_assert_uint_eq(b.n, 0);
        ck_assert(mqtt_put_connack(&b, 5, &c));
        ck_assert_uint_eq(b.p[3], reasons[i]);
        buf_fini(&b);
    }
}
END_TEST

#define BAD_ACK(level, body) mqtt_refusal(level, 0x20, BYTES(body))

/* [MQTT-3.2.2-1, 3.2.2-6, 3.2.2-8], 3.1.1: [MQTT-3.2.2-4] */
START_TEST(a_connack_is_checked)
{
    static const char list[] = "\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8c\x90\x95\x97\x99"
                               "\x9a\x9b\x9c\x9d\x9f";

    for (unsigned reason = 0; reason < 256; reason++) {
        uint8_t body[] = { 0, (uint8_t)reason, 0 };
        bool known = reason == 0 || strchr(list, (int)(char)reason);

        ck_assert_uint_eq(mqtt_refusal(5, 0x20, bytes_of(body, 3)), known ? 0 : 0x82);
        ck_assert_uint_eq(mqtt_refusal(4, 0x20, bytes_of(body, 2)), reason <= 5 ? 0 : 0x81);
    }
    ck_assert_uint_eq(BAD_ACK(5, "\1\0\0"), 0);
    ck_assert_uint_eq(BAD_ACK(5, "\2\0\0"), 0x81);
    ck_assert_uint_eq(BAD_ACK(5, "\1\x87\0"), 0x82);
    ck_assert_uint_eq(BAD_ACK(5, "\0\0"), 0x81);
    ck_assert_uint_eq(BAD_ACK(4, "\1\0"), 0);
    ck_assert_uint_eq(BAD_ACK(4, "\x80\0"), 0x81);
    ck_assert_uint_eq(BAD_ACK(4, "\1\5"), 0x82);
    ck_assert_uint_eq(BAD_ACK(3, "\xff\0"), 0);
}
END_TEST

Suite *mqtt_connect_suite(void);

Suite *mqtt_connect_suite(void)
{
    Suite *s = suite_create("mqtt_connect");
    TCase *t = tcase_create("mqtt_connect");

    tcase_add_loop_test(t, a_connect_is_decoded_by_the_level_that_it_names, 3, 6);
    tcase_add_test(t, another_protocol_or_level_is_0x84);
    tcase_add_test(t, the_reserved_flag_is_0);
    tcase_add_test(t, the_flags_of_a_will_belong_to_a_will);
    tcase_add_test(t, a_will_has_a_topic_name);
    tcase_add_test(t, a_password_has_a_user_name_below_5_0);
    tcase_add_test(t, a_field_is_there_when_its_flag_says_so);
    tcase_add_test(t, a_user_name_or_password_may_be_missing_in_3_1);
    tcase_add_test(t, an_empty_client_id_needs_a_clean_session_or_5_0);
    tcase_add_test(t, client_id_and_user_name_are_utf_8);
    tcase_add_loop_test(t, a_reason_becomes_a_return_code_below_5_0_and_comes_back, 3, 5);
    tcase_add_test(t, a_reason_without_a_return_code_is_not_sent_below_5_0);
    tcase_add_test(t, a_connack_is_checked);
    suite_add_tcase(s, t);
    return s;
}
