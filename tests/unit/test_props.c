// SPDX-License-Identifier: MIT
#include <check.h>

#include "base/mem.h"
#include "proto/props.h"

/* In an allocation of its exact size, so that reading on is seen. */
static bool decode_exact(struct bytes in, struct props *out)
{
    uint8_t *exact = mem_alloc(in.n);

    if (in.n)
        memcpy(exact, in.p, in.n);
    bool ok = props_decode(bytes_of(exact, in.n), out);
    mem_free(exact);
    return ok;
}

static struct props all_fields(void)
{
    return (struct props){
        .flags = 0xfffc,
        .content_type = BYTES("text/plain"),
        .content_encoding = BYTES("gzip"),
        .headers = BYTES("\x01"
                         "at\x01"),
        .delivery_mode = 2,
        .priority = 9,
        .correlation_id = BYTES("c"),
        .reply_to = BYTES(""),
        .expiration = BYTES("60000"),
        .message_id = BYTES("m-1"),
        .timestamp = 0x0102030405060708,
        .type = BYTES("t"),
        .user_id = BYTES("guest"),
        .app_id = BYTES("app"),
        .cluster_id = BYTES("cl"),
    };
}

START_TEST(the_wire_form_is_amqps)
{
    static const char want[] = "\xff\xfc"
                               "\x0atext/plain"
                               "\x04gzip"
                               "\0\0\0\x04\x01"
                               "at\x01"
                               "\x02\x09"
                               "\x01"
                               "c"
                               "\0"
                               "\x05"
                               "60000"
                               "\x03m-1"
                               "\x01\x02\x03\x04\x05\x06\x07\x08"
                               "\x01t"
                               "\x05guest"
                               "\x03"
                               "app"
                               "\x02"
                               "cl";
    struct props p = all_fields();
    struct buf b = { 0 };

    props_encode(&b, &p);
    ck_assert_uint_eq(b.n, sizeof want - 1);
    ck_assert_mem_eq(b.p, want, b.n);
    buf_fini(&b);
}
END_TEST

START_TEST(every_field_comes_back)
{
    struct props p = all_fields(), q;
    struct buf b = { 0 };

    props_encode(&b, &p);
    ck_assert(props_decode(buf_view(&b), &q));
    ck_assert_uint_eq(q.flags, p.flags);
    ck_assert_uint_eq(q.delivery_mode, 2);
    ck_assert_uint_eq(q.priority, 9);
    ck_assert_uint_eq(q.timestamp, p.timestamp);
    ck_assert(bytes_eq(q.content_type, p.content_type));
    ck_assert(bytes_eq(q.content_encoding, p.content_encoding));
    ck_assert(bytes_eq(q.headers, p.headers));
    ck_assert(bytes_eq(q.correlation_id, p.correlation_id));
    ck_assert(bytes_eq(q.reply_to, p.reply_to));
    ck_assert_ptr_nonnull(q.reply_to.p);
    ck_assert(bytes_eq(q.expiration, p.expiration));
    ck_assert(bytes_eq(q.message_id, p.message_id));
    ck_assert(bytes_eq(q.type, p.type));
    ck_assert(bytes_eq(q.user_id, p.user_id));
    ck_assert(bytes_eq(q.app_id, p.app_id));
    ck_assert(bytes_eq(q.cluster_id, p.cluster_id));
    buf_fini(&b);
}
END_TEST

/* One bit of the flags alone: what is not named is neither written nor read. */
START_TEST(only_the_named_fields_are_there)
{
    struct props p = all_fields(), q;
    struct buf b = { 0 };

    p.flags = (uint16_t)(1 << _i);
    props_encode(&b, &p);
    ck_assert(decode_exact(buf_view(&b), &q));
    ck_assert_uint_eq(q.flags, p.flags);
    ck_assert_uint_eq(q.priority, p.flags == PROPS_priority ? 9 : 0);
    ck_assert_uint_eq(q.message_id.n, p.flags == PROPS_message_id ? 3 : 0);
    ck_assert_uint_eq(q.headers.n, p.flags == PROPS_headers ? 4 : 0);
    ck_assert_uint_eq(q.cluster_id.n, p.flags == PROPS_cluster_id ? 2 : 0);
    ck_assert_uint_eq(q.timestamp > 0, p.flags == PROPS_timestamp);
    buf_fini(&b);
}
END_TEST

START_TEST(no_fields_are_two_bytes)
{
    struct props p;

    ck_assert(decode_exact(BYTES("\0\0"), &p));
    ck_assert_uint_eq(p.flags, 0);
}
END_TEST

START_TEST(properties_cut_short_are_refused_whole)
{
    struct props p = all_fields(), q = { .priority = 77 };
    struct buf b = { 0 };

    props_encode(&b, &p);
    for (size_t n = 0; n < b.n; n++) {
        ck_assert(!decode_exact(bytes_head(buf_view(&b), n), &q));
        ck_assert_uint_eq(q.priority, 77);
    }
    buf_fini(&b);
}
END_TEST

START_TEST(bytes_behind_the_last_field_are_refused)
{
    struct props p;

    ck_assert(!decode_exact(BYTES("\0\0\0"), &p));
    ck_assert(decode_exact(BYTES("\x08\0\x05"), &p));
    ck_assert_uint_eq(p.priority, 5);
    ck_assert(!decode_exact(BYTES("\x08\0\x05\0"), &p));
}
END_TEST

/* Bit 0 announces a second word of flags; bit 1 means nothing. */
START_TEST(flags_without_a_field_are_refused)
{
    struct props p;

    ck_assert(!decode_exact(BYTES("\0\x01"), &p));
    ck_assert(!decode_exact(BYTES("\0\x02"), &p));
    ck_assert(!decode_exact(BYTES("\0\x01\0\0"), &p));
}
END_TEST

START_TEST(a_text_of_255_bytes_still_fits)
{
    uint8_t text[255];
    struct props p = { .flags = PROPS_type, .type = { text, sizeof text } }, q;
    struct buf b = { 0 };

    memset(text, 'x', sizeof text);
    props_encode(&b, &p);
    ck_assert_uint_eq(b.n, 2 + 1 + 255);
    ck_assert(decode_exact(buf_view(&b), &q));
    ck_assert_uint_eq(q.type.n, 255);
    buf_fini(&b);
}
END_TEST

Suite *props_suite(void);

Suite *props_suite(void)
{
    Suite *s = suite_create("props");
    TCase *t = tcase_create("props");

    tcase_add_test(t, the_wire_form_is_amqps);
    tcase_add_test(t, every_field_comes_back);
    tcase_add_loop_test(t, only_the_named_fields_are_there, 2, 16);
    tcase_add_test(t, no_fields_are_two_bytes);
    tcase_add_test(t, properties_cut_short_are_refused_whole);
    tcase_add_test(t, bytes_behind_the_last_field_are_refused);
    tcase_add_test(t, flags_without_a_field_are_refused);
    tcase_add_test(t, a_text_of_255_bytes_still_fits);
    suite_add_tcase(s, t);
    return s;
}
