// SPDX-License-Identifier: MIT
#include "tests/unit/mqtt_heard.h"

#define ANY_SIZE UINT32_MAX

static enum decode head_of(struct bytes in, uint8_t level, uint32_t max_bytes,
                           struct mqtt_head *out, uint8_t *reason)
{
    uint8_t *exact = mem_alloc(in.n);
    const char *why = NULL;

    if (in.n)
        memcpy(exact, in.p, in.n);
    enum decode r = mqtt_head_decode(bytes_of(exact, in.n), level, max_bytes, out, reason, &why);
    ck_assert(r != DECODE_BAD || (why && *why));
    mem_free(exact);
    return r;
}

/* 0: it is not refused. */
static unsigned refusal_of_head(struct bytes in, uint8_t level, uint32_t max_bytes)
{
    struct mqtt_head head;
    uint8_t reason = 0;

    return head_of(in, level, max_bytes, &head, &reason) == DECODE_BAD ? reason : 0;
}

static const struct {
    uint32_t remaining;
    const char *bytes;
    uint8_t count;
} lengths[] = {
    { 0, "\x00", 1 },
    { 1, "\x01", 1 },
    { 127, "\x7f", 1 },
    { 128, "\x80\x01", 2 },
    { 16383, "\xff\x7f", 2 },
    { 16384, "\x80\x80\x01", 3 },
    { 2097151, "\xff\xff\x7f", 3 },
    { 2097152, "\x80\x80\x80\x01", 4 },
    { 268435455, "\xff\xff\xff\x7f", 4 },
};

/* The table of section 2.1.4 (3.1.1: 2.2.3). */
START_TEST(a_length_takes_one_to_four_bytes_and_every_prefix_of_a_head_needs_more)
{
    struct buf b = { 0 };
    struct mqtt_head head;
    uint8_t reason;

    buf_u8(&b, 0x30);
    buf_put(&b, lengths[_i].bytes, lengths[_i].count);
    for (size_t n = 0; n < b.n; n++)
        ck_assert(head_of(bytes_head(buf_view(&b), n), 5, ANY_SIZE, &head, &reason) == DECODE_MORE);
    buf_str(&b, "behind");
    ck_assert(head_of(buf_view(&b), 5, ANY_SIZE, &head, &reason) == DECODE_OK);
    ck_assert_uint_eq(head.type, MQTT_PUBLISH);
    ck_assert_uint_eq(head.flags, 0);
    ck_assert_uint_eq(head.bytes, 1 + lengths[_i].count);
    ck_assert_uint_eq(head.remaining, lengths[_i].remaining);
    buf_fini(&b);
}
END_TEST

START_TEST(a_length_is_written_in_as_few_bytes_as_it_needs)
{
    struct mqtt_publish p = { .topic = BYTES("t") };
    struct buf b = { 0 };

    if (lengths[_i].remaining < 3)
        return;
    uint32_t payload = lengths[_i].remaining - 3;
    mqtt_put_publish_head(&b, MQTT_3_1_1, &p, payload);
    ck_assert_uint_eq(b.n, 1 + lengths[_i].count + 3u);
    ck_assert_mem_eq(b.p + 1, lengths[_i].bytes, lengths[_i].count);
    ck_assert_uint_eq(mqtt_publish_bytes(MQTT_3_1_1, &p, payload), b.n + payload);
    buf_fini(&b);
}
END_TEST

START_TEST(a_length_of_more_than_four_bytes_is_refused)
{
    for (uint8_t level = 0; level <= 5; level++) {
        ck_assert_uint_eq(refusal_of_head(BYTES("\x30\xff\xff\xff\xff"), level, ANY_SIZE), 0x81);
        ck_assert_uint_eq(refusal_of_head(BYTES("\x30\x80\x80\x80\x80\x01"), level, ANY_SIZE),
                          0x81);
        ck_assert_uint_eq(refusal_of_head(BYTES("\x30\x80\x80\x80"), level, ANY_SIZE), 0);
    }
}
END_TEST

/* [MQTT-1.5.5-1]; the older ones have no such rule. */
START_TEST(a_length_in_more_bytes_than_it_needs_is_refused_by_5_0)
{
    static const char connect_5[] = "\x10\x8d\x00\0\4MQTT\5\2\0\0\0\0\0";
    static const char connect_4[] = "\x10\x8c\x00\0\4MQTT\4\2\0\0\0\0";
    struct bytes padded[] = { BYTES("\x30\x80\0"), BYTES("\x30\x83\x80\0"),
                              BYTES("\x30\xff\x80\x80\0") };

    for (size_t i = 0; i < COUNT_OF(padded); i++) {
        ck_assert_uint_eq(refusal_of_head(padded[i], MQTT_5, ANY_SIZE), 0x81);
        ck_assert_uint_eq(refusal_of_head(padded[i], MQTT_3_1_1, ANY_SIZE), 0);
        ck_assert_uint_eq(refusal_of_head(padded[i], MQTT_3_1, ANY_SIZE), 0);
    }
    /* A CONNECT says only behind its head which it is. */
    struct mqtt_heard h = mqtt_hear(0, bytes_of(connect_5, sizeof connect_5 - 1));
    ck_assert(h.result == DECODE_BAD && h.reason == 0x81);
    mqtt_heard_fini(&h);
    h = mqtt_hear_ok(0, bytes_of(connect_4, sizeof connect_4 - 1));
    mqtt_heard_fini(&h);
}
END_TEST

START_TEST(a_packet_above_the_maximum_is_refused_from_its_head_with_0x95)
{
    ck_assert_uint_eq(refusal_of_head(BYTES("\x30\x08"), 5, 10), 0);
    ck_assert_uint_eq(refusal_of_head(BYTES("\x30\x09"), 5, 10), 0x95);
    ck_assert_uint_eq(refusal_of_head(BYTES("\x30\x80\x01"), 5, 131), 0);
    ck_assert_uint_eq(refusal_of_head(BYTES("\x30\x80\x01"), 5, 130), 0x95);
    ck_assert_uint_eq(refusal_of_head(BYTES("\x30\xff\xff\xff\x7f"), 5, 268435460), 0);
    ck_assert_uint_eq(refusal_of_head(BYTES("\x30\xff\xff\xff\x7f"), 5, 268435459), 0x95);
    ck_assert_uint_eq(refusal_of_head(BYTES("\xc0\0"), 4, 1), 0x95);
}
END_TEST

/* Table 2-2: what the flags of a type have to be. */
static bool flags_are_right(unsigned type, unsigned flags, uint8_t level)
{
    unsigned qos = flags >> 1 & 3;
    bool dup = flags & 8;

    switch (type) {
    case 0:
        return false;
    case MQTT_PUBLISH: /* [MQTT-3.3.1-2, 3.3.1-4] */
        return qos < 3 && !(dup && qos == 0);
    case MQTT_PUBREL:      /* [MQTT-3.6.1-1] */
    case MQTT_SUBSCRIBE:   /* [MQTT-3.8.1-1] */
    case MQTT_UNSUBSCRIBE: /* [MQTT-3.10.1-1] */
        return flags == 2 || level == MQTT_3_1;
    case MQTT_AUTH: /* [MQTT-3.15.1-1] */
        return flags == 0 && level == MQTT_5;
    default: /* [MQTT-3.14.1-1] among them */
        return flags == 0;
    }
}

/* [MQTT-2.1.3-1], 3.1.1: [MQTT-2.2.2-1, 2.2.2-2]; seen in the first byte already. */
START_TEST(flags_that_a_type_does_not_have_are_refused_with_the_first_byte)
{
    for (unsigned first = 0; first < 256; first++) {
        uint8_t in[] = { (uint8_t)first, 0 };
        bool right = flags_are_right(first >> 4, first & 15, (uint8_t)_i);
        struct mqtt_head head;
        uint8_t reason = 0;

        ck_assert_uint_eq(refusal_of_head(bytes_of(in, 1), (uint8_t)_i, ANY_SIZE),
                          right ? 0 : 0x81);
        ck_assert(head_of(bytes_of(in, 2), (uint8_t)_i, ANY_SIZE, &head, &reason) ==
                  (right ? DECODE_OK : DECODE_BAD));
        if (right) {
            ck_assert_uint_eq(head.type, first >> 4);
            ck_assert_uint_eq(head.flags, first & 15);
        }
    }
}
END_TEST

START_TEST(types_have_the_names_and_numbers_of_the_standard)
{
    static const char *const names[] = { NULL,        "CONNECT",  "CONNACK",     "PUBLISH",
                                         "PUBACK",    "PUBREC",   "PUBREL",      "PUBCOMP",
                                         "SUBSCRIBE", "SUBACK",   "UNSUBSCRIBE", "UNSUBACK",
                                         "PINGREQ",   "PINGRESP", "DISCONNECT",  "AUTH" };

    ck_assert(!mqtt_type_name(0));
    ck_assert(!mqtt_type_name(16));
    ck_assert(!mqtt_type_name(255));
    for (uint8_t type = 1; type < COUNT_OF(names); type++)
        ck_assert_str_eq(mqtt_type_name(type), names[type]);
}
END_TEST

START_TEST(every_reason_has_a_name)
{
    static const struct {
        uint8_t reason;
        const char *name;
    } some[] = {
        { 0x00, "Success" },
        { 0x04, "Disconnect with Will Message" },
        { 0x10, "No matching subscribers" },
        { 0x81, "Malformed Packet" },
        { 0x87, "Not authorized" },
        { 0x95, "Packet too large" },
        { 0xa2, "Wildcard Subscriptions not supported" },
        { 0x03, "Unknown reason code" },
        { 0x7f, "Unknown reason code" },
        { 0xa3, "Unknown reason code" },
        { 0xff, "Unknown reason code" },
    };
    size_t known = 0;

    for (size_t i = 0; i < COUNT_OF(some); i++)
        ck_assert_str_eq(mqtt_reason_name(some[i].reason), some[i].name);
    for (unsigned reason = 0; reason < 256; reason++)
        known += strcmp(mqtt_reason_name((uint8_t)reason), "Unknown reason code") != 0;
    ck_assert_uint_eq(known, 43); /* table 2-6, where 0x00 has three names */
}
END_TEST

Suite *mqtt_frame_suite(void);

Suite *mqtt_frame_suite(void)
{
    Suite *s = suite_create("mqtt_frame");
    TCase *t = tcase_create("mqtt_frame");
    int all = (int)COUNT_OF(lengths);

    tcase_add_loop_test(t, a_length_takes_one_to_four_bytes_and_every_prefix_of_a_head_needs_more,
                        0, all);
    tcase_add_loop_test(t, a_length_is_written_in_as_few_bytes_as_it_needs, 0, all);
    tcase_add_test(t, a_length_of_more_than_four_bytes_is_refused);
    tcase_add_test(t, a_length_in_more_bytes_than_it_needs_is_refused_by_5_0);
    tcase_add_test(t, a_packet_above_the_maximum_is_refused_from_its_head_with_0x95);
    tcase_add_loop_test(t, flags_that_a_type_does_not_have_are_refused_with_the_first_byte, 3, 6);
    tcase_add_test(t, types_have_the_names_and_numbers_of_the_standard);
    tcase_add_test(t, every_reason_has_a_name);
    suite_add_tcase(s, t);
    return s;
}
