// SPDX-License-Identifier: MIT
/* PUBLISH and what answers it: what is refused, and a PUBLISH that comes in parts. */
#include "tests/unit/mqtt_heard.h"

#define REFUSED(level, first, body) mqtt_refusal(level, first, BYTES(body))

/* [MQTT-2.2.1-3, 2.2.1-4], 3.1.1: [MQTT-2.3.1-1] */
START_TEST(a_packet_id_is_not_0)
{
    uint8_t level = (uint8_t)_i;
    static const uint8_t firsts[] = { 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xa2, 0xb0 };

    ck_assert_uint_eq(REFUSED(level, 0x30, "\0\1t\0\0"), 0);
    ck_assert_uint_eq(REFUSED(level, 0x32, "\0\1t\0\0\0"), 0x82);
    ck_assert_uint_eq(REFUSED(level, 0x34, "\0\1t\0\0\0"), 0x82);
    ck_assert_uint_eq(REFUSED(level, 0x32, "\0\1t\1\0\0"), 0);
    ck_assert_uint_eq(REFUSED(level, 0x34, "\0\1t\0\1\0"), 0);
    for (size_t i = 0; i < COUNT_OF(firsts); i++)
        ck_assert_uint_eq(REFUSED(level, firsts[i], "\0\0"), 0x82);
}
END_TEST

/* [MQTT-3.3.1-2, 3.3.1-4]: no packet at all, by its first byte. */
START_TEST(qos_3_and_dup_with_qos_0_are_malformed)
{
    uint8_t level = (uint8_t)_i;

    ck_assert_uint_eq(REFUSED(level, 0x36, "\0\1t\0\1\0"), 0x81);
    ck_assert_uint_eq(REFUSED(level, 0x3e, "\0\1t\0\1\0"), 0x81);
    ck_assert_uint_eq(REFUSED(level, 0x38, "\0\1t\0"), 0x81);
    ck_assert_uint_eq(REFUSED(level, 0x39, "\0\1t\0"), 0x81);
    ck_assert_uint_eq(REFUSED(level, 0x3b, "\0\1t\0\1\0"), 0);
    ck_assert_uint_eq(REFUSED(level, 0x3d, "\0\1t\0\1\0"), 0);
}
END_TEST

/* [MQTT-3.3.2-1, 3.3.2-2, 4.7.3-1] */
START_TEST(a_topic_is_a_name_without_wildcards)
{
    uint8_t level = (uint8_t)_i;

    ck_assert_uint_eq(REFUSED(level, 0x30, "\0\3a/b\0"), 0);
    ck_assert_uint_eq(REFUSED(level, 0x30, "\0\3a/+\0"), 0x90);
    ck_assert_uint_eq(REFUSED(level, 0x30, "\0\1#\0"), 0x90);
    ck_assert_uint_eq(REFUSED(level, 0x30, "\0\1\xff\0"), 0x81);
    ck_assert_uint_eq(REFUSED(level, 0x30, "\0\3a\0b\0"), 0x81);
    ck_assert_uint_eq(REFUSED(level, 0x30, "\0\3\xed\xa0\x80\0"), 0x81);
    ck_assert_uint_eq(REFUSED(level, 0x30, "\0\0\0"), level == 5 ? 0x82 : 0x90);
}
END_TEST

START_TEST(a_topic_may_be_empty_with_a_topic_alias)
{
    struct mqtt_heard h = mqtt_hear_ok(5, BYTES("\x30\x08\0\0\3\x23\1\2hi"));

    ck_assert_uint_eq(h.packet.publish.topic.n, 0);
    ck_assert_uint_eq(h.packet.publish.props.topic_alias, 0x0102);
    assert_bytes(h.packet.publish.payload, BYTES("hi"));
    mqtt_heard_fini(&h);
    /* [MQTT-3.3.2-8] */
    ck_assert_uint_eq(REFUSED(5, 0x30, "\0\0\3\x23\0\0"), 0x94);
    ck_assert_uint_eq(REFUSED(5, 0x30, "\0\1t\3\x23\0\0"), 0x94);
    ck_assert_uint_eq(REFUSED(5, 0x30, "\0\0\2\1\1"), 0x82);
}
END_TEST

START_TEST(the_fields_of_a_publish_are_what_was_sent)
{
    struct mqtt_heard h = mqtt_hear_ok(4, BYTES("\x3d\x0c\0\3a/b\x12\x34hello"));
    const struct mqtt_publish *p = &h.packet.publish;

    ck_assert(p->dup && p->retain && p->qos == 2);
    ck_assert_uint_eq(p->packet_id, 0x1234);
    assert_bytes(p->topic, BYTES("a/b"));
    assert_bytes(p->payload, BYTES("hello"));
    ck_assert_uint_eq(p->payload_at, 7);
    ck_assert_uint_eq(p->payload_bytes, 5);
    ck_assert_uint_eq(p->props.has, 0);
    mqtt_heard_fini(&h);
}
END_TEST

/* ---- in parts ---- */

static enum decode publish_head_of(uint8_t level, struct bytes in, struct mqtt_publish *out,
                                   uint8_t *reason)
{
    uint8_t *exact = mem_alloc(in.n);
    struct mqtt_head head;
    const char *why = NULL;

    if (in.n)
        memcpy(exact, in.p, in.n);
    in.p = exact;
    ck_assert(mqtt_head_decode(in, level, UINT32_MAX, &head, reason, &why) == DECODE_OK);
    enum decode r = mqtt_publish_head_decode(level, &head, bytes_from(in, head.bytes), out, reason,
                                             &why);
    ck_assert(r != DECODE_BAD || (why && *why));
    mem_free(exact);
    return r;
}

START_TEST(a_publish_is_known_when_all_before_its_payload_is_there)
{
    struct mqtt_publish p = { .qos = 1, .packet_id = 9, .topic = BYTES("a/b"), .payload_at = 0 };
    uint8_t level = (uint8_t)_i, reason;
    struct mqtt_publish got;
    struct buf b = { 0 };

    p.props.has = MQTT_HAS(content_type);
    p.props.content_type = BYTES("text/plain");
    mqtt_put_publish_head(&b, level, &p, 1000000);
    size_t before = b.n;
    for (size_t n = 4; n < before; n++)
        ck_assert(publish_head_of(level, bytes_head(buf_view(&b), n), &got, &reason) ==
                  DECODE_MORE);
    for (size_t n = 0; n < 20; n++) {
        ck_assert(publish_head_of(level, buf_view(&b), &got, &reason) == DECODE_OK);
        ck_assert_uint_eq(got.payload_at, before - 4);
        ck_assert_uint_eq(got.payload_bytes, 1000000);
        ck_assert_uint_eq(got.payload.n, n);
        ck_assert_uint_eq(got.packet_id, 9);
        ck_assert_uint_eq(got.props.has, level == 5 ? p.props.has : 0);
        buf_u8(&b, 'x');
    }
    buf_fini(&b);
}
END_TEST

START_TEST(what_follows_a_publish_is_none_of_it)
{
    struct mqtt_publish got;
    uint8_t reason;

    ck_assert(publish_head_of(4, BYTES("\x30\5\0\1tab\xc0\0"), &got, &reason) == DECODE_OK);
    ck_assert_uint_eq(got.payload.n, 2);
    ck_assert_uint_eq(got.payload_bytes, 2);
}
END_TEST

START_TEST(a_part_of_a_publish_is_refused_when_its_fields_are_there_and_wrong)
{
    struct mqtt_publish got;
    uint8_t reason;

    ck_assert(publish_head_of(4, BYTES("\x30\x7f\0\3a/+"), &got, &reason) == DECODE_BAD);
    ck_assert_uint_eq(reason, 0x90);
    ck_assert(publish_head_of(4, BYTES("\x32\x7f\0\1t\0\0"), &got, &reason) == DECODE_BAD);
    ck_assert_uint_eq(reason, 0x82);
    ck_assert(publish_head_of(5, BYTES("\x30\x7f\0\1t\2\1\2"), &got, &reason) == DECODE_BAD);
    ck_assert_uint_eq(reason, 0x82);
    /* A topic that is longer than its packet is seen when the packet is whole. */
    ck_assert(publish_head_of(4, BYTES("\x30\4\0\x09t"), &got, &reason) == DECODE_MORE);
    ck_assert(publish_head_of(4, BYTES("\x30\4\0\x09to"), &got, &reason) == DECODE_BAD);
    ck_assert_uint_eq(reason, 0x81);
}
END_TEST

/* ---- acknowledgements ---- */

static unsigned refused_reason(uint8_t first, uint8_t reason)
{
    uint8_t body[] = { 0, 1, reason };

    return mqtt_refusal(5, first, bytes_of(body, sizeof body));
}

static bool among(unsigned reason, const char *list)
{
    return reason == 0 || strchr(list, (int)(char)reason) != NULL;
}

/* Tables 3-4 to 3-7 [MQTT-3.4.2-1, 3.5.2-1, 3.6.2-1, 3.7.2-1]. */
START_TEST(an_acknowledgement_has_a_reason_of_its_table)
{
    static const char received[] = "\x10\x80\x83\x87\x90\x91\x97\x99", released[] = "\x92";

    for (unsigned reason = 0; reason < 256; reason++) {
        uint8_t code = (uint8_t)reason;

        ck_assert_uint_eq(refused_reason(0x40, code), among(reason, received) ? 0 : 0x82);
        ck_assert_uint_eq(refused_reason(0x50, code), among(reason, received) ? 0 : 0x82);
        ck_assert_uint_eq(refused_reason(0x62, code), among(reason, released) ? 0 : 0x82);
        ck_assert_uint_eq(refused_reason(0x70, code), among(reason, released) ? 0 : 0x82);
    }
}
END_TEST

START_TEST(an_acknowledgement_may_leave_out_its_end_in_5_0_only)
{
    static const uint8_t firsts[] = { 0x40, 0x50, 0x62, 0x70 };

    for (size_t i = 0; i < COUNT_OF(firsts); i++) {
        ck_assert_uint_eq(REFUSED(5, firsts[i], "\0\1"), 0);
        ck_assert_uint_eq(REFUSED(5, firsts[i], "\0\1\0"), 0);
        ck_assert_uint_eq(REFUSED(5, firsts[i], "\0\1\0\0"), 0);
        ck_assert_uint_eq(REFUSED(5, firsts[i], "\0\1\0\0\0"), 0x81);
        ck_assert_uint_eq(REFUSED(5, firsts[i], "\0"), 0x81);
        ck_assert_uint_eq(REFUSED(5, firsts[i], ""), 0x81);
        ck_assert_uint_eq(REFUSED(4, firsts[i], "\0\1"), 0);
        ck_assert_uint_eq(REFUSED(4, firsts[i], "\0\1\0"), 0x81);
        ck_assert_uint_eq(REFUSED(3, firsts[i], "\0\1\0\0"), 0x81);
        ck_assert_uint_eq(REFUSED(3, firsts[i], "\0"), 0x81);
    }
}
END_TEST

/* ---- DISCONNECT and AUTH ---- */

/* Table 3-10 [MQTT-3.14.2-1] */
START_TEST(a_disconnect_has_a_reason_of_its_table)
{
    static const char list[] = "\x04\x80\x81\x82\x83\x87\x89\x8b\x8c\x8d\x8e\x8f\x90\x93\x94\x95"
                               "\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0\xa1\xa2";

    for (unsigned reason = 0; reason < 256; reason++) {
        uint8_t code = (uint8_t)reason;

        ck_assert_uint_eq(mqtt_refusal(5, 0xe0, bytes_of(&code, 1)),
                          among(reason, list) ? 0 : 0x82);
        ck_assert_uint_eq(mqtt_refusal(4, 0xe0, bytes_of(&code, 1)), 0x81);
    }
    ck_assert_uint_eq(REFUSED(5, 0xe0, ""), 0);
    ck_assert_uint_eq(REFUSED(5, 0xe0, "\x04\0"), 0);
    ck_assert_uint_eq(REFUSED(5, 0xe0, "\0\5\x11\0\0\0\1"), 0);
    ck_assert_uint_eq(REFUSED(5, 0xe0, "\0\0\0"), 0x81);
}
END_TEST

/* [MQTT-3.15.2-1] */
START_TEST(an_auth_has_a_method_and_a_reason_of_its_table)
{
    static const char list[] = "\x18\x19";

    for (unsigned reason = 0; reason < 256; reason++) {
        uint8_t body[] = { (uint8_t)reason, 4, 0x15, 0, 1, 'm' };

        ck_assert_uint_eq(mqtt_refusal(5, 0xf0, bytes_of(body, sizeof body)),
                          among(reason, list) ? 0 : 0x82);
    }
    ck_assert_uint_eq(REFUSED(5, 0xf0, ""), 0);
    ck_assert_uint_eq(REFUSED(5, 0xf0, "\x18"), 0x81);
    ck_assert_uint_eq(REFUSED(5, 0xf0, "\x18\0"), 0x82);
    ck_assert_uint_eq(REFUSED(5, 0xf0, "\x18\4\x16\0\1d"), 0x82);
    ck_assert_uint_eq(REFUSED(4, 0xf0, "\x18\4\x15\0\1m"), 0x81);
}
END_TEST

START_TEST(pings_have_no_body)
{
    uint8_t level = (uint8_t)_i;

    ck_assert_uint_eq(REFUSED(level, 0xc0, ""), 0);
    ck_assert_uint_eq(REFUSED(level, 0xd0, ""), 0);
    ck_assert_uint_eq(REFUSED(level, 0xc0, "\0"), 0x81);
    ck_assert_uint_eq(REFUSED(level, 0xd0, "\0"), 0x81);
}
END_TEST

Suite *mqtt_publish_suite(void);

Suite *mqtt_publish_suite(void)
{
    Suite *s = suite_create("mqtt_publish");
    TCase *t = tcase_create("mqtt_publish");

    tcase_add_loop_test(t, a_packet_id_is_not_0, 3, 6);
    tcase_add_loop_test(t, qos_3_and_dup_with_qos_0_are_malformed, 3, 6);
    tcase_add_loop_test(t, a_topic_is_a_name_without_wildcards, 3, 6);
    tcase_add_test(t, a_topic_may_be_empty_with_a_topic_alias);
    tcase_add_test(t, the_fields_of_a_publish_are_what_was_sent);
    tcase_add_loop_test(t, a_publish_is_known_when_all_before_its_payload_is_there, 3, 6);
    tcase_add_test(t, what_follows_a_publish_is_none_of_it);
    tcase_add_test(t, a_part_of_a_publish_is_refused_when_its_fields_are_there_and_wrong);
    tcase_add_test(t, an_acknowledgement_has_a_reason_of_its_table);
    tcase_add_test(t, an_acknowledgement_may_leave_out_its_end_in_5_0_only);
    tcase_add_test(t, a_disconnect_has_a_reason_of_its_table);
    tcase_add_test(t, an_auth_has_a_method_and_a_reason_of_its_table);
    tcase_add_loop_test(t, pings_have_no_body, 3, 6);
    suite_add_tcase(s, t);
    return s;
}
