// SPDX-License-Identifier: MIT
#include <check.h>

#include "base/buf.h"
#include "base/mem.h"

static struct buf b;

static void start(void)
{
    b = (struct buf){ 0 };
}

static void stop(void)
{
    buf_fini(&b);
}

#define ASSERT_BUF(lit) ck_assert(bytes_eq(buf_view(&b), BYTES(lit)))

START_TEST(a_zeroed_buffer_is_empty_and_can_be_used)
{
    ASSERT_BUF("");
    buf_put(&b, NULL, 0);
    buf_bytes(&b, (struct bytes){ NULL, 0 });
    buf_drop(&b, 0);
    ck_assert_ptr_null(b.p);
    buf_str(&b, "abc");
    ASSERT_BUF("abc");
}
END_TEST

START_TEST(growing_keeps_what_was_written)
{
    for (unsigned i = 0; i < 5000; i++)
        buf_u8(&b, (uint8_t)(i * 7));
    ck_assert_uint_eq(b.n, 5000);
    ck_assert_uint_ge(b.cap, 5000);
    for (unsigned i = 0; i < 5000; i++)
        ck_assert_uint_eq(b.p[i], (uint8_t)(i * 7));
}
END_TEST

/* Room is really there: the sanitizer sees a write one byte too far. */
START_TEST(reserved_room_can_be_written_to_its_end)
{
    static const size_t sizes[] = { 0, 1, 63, 64, 65, 1000, 100000 };

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *p = buf_reserve(&b, sizes[i]);

        ck_assert_ptr_eq(p, b.p + b.n);
        memset(p, 'x', sizes[i]);
        ck_assert_uint_ge(b.cap - b.n, sizes[i]);
        b.n += sizes[i];
    }
}
END_TEST

START_TEST(dropping_moves_the_rest_to_the_front)
{
    buf_str(&b, "abcdef");
    buf_drop(&b, 0);
    ASSERT_BUF("abcdef");
    buf_drop(&b, 4);
    ASSERT_BUF("ef");
    buf_drop(&b, 2);
    ASSERT_BUF("");
    buf_str(&b, "g");
    ASSERT_BUF("g");
}
END_TEST

START_TEST(numbers_are_written_in_network_order)
{
    buf_u8(&b, 0x01);
    buf_u16(&b, 0x0203);
    buf_u32(&b, 0x04050607);
    buf_u64(&b, 0x08090a0b0c0d0e0f);
    ASSERT_BUF("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f");
}
END_TEST

START_TEST(numbers_are_written_in_decimal)
{
    buf_decimal(&b, 0);
    buf_str(&b, " ");
    buf_decimal(&b, UINT64_MAX);
    ASSERT_BUF("0 18446744073709551615");
}
END_TEST

START_TEST(varints_take_as_few_bytes_as_they_can)
{
    buf_varint(&b, 0);
    buf_varint(&b, 127);
    buf_varint(&b, 128);
    buf_varint(&b, 16383);
    buf_varint(&b, 16384);
    buf_varint(&b, UINT64_MAX);
    ASSERT_BUF("\0\x7f\x80\x01\xff\x7f\x80\x80\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
}
END_TEST

START_TEST(formatted_text_is_appended_without_its_nul)
{
    buf_str(&b, "<");
    buf_fmt(&b, "%d-%s", 7, "x");
    buf_fmt(&b, "%s", "");
    buf_str(&b, ">");
    ASSERT_BUF("<7-x>");
    buf_fmt(&b, "%500d", 1);
    ck_assert_uint_eq(b.n, 505);
}
END_TEST

START_TEST(taken_bytes_belong_to_the_caller)
{
    size_t n;

    buf_str(&b, "abc");
    uint8_t *p = buf_take(&b, &n);
    ck_assert_uint_eq(n, 3);
    ck_assert_mem_eq(p, "abc", 3);
    ck_assert_uint_eq(b.n + b.cap, 0);
    ck_assert_ptr_null(b.p);
    mem_free(p);
}
END_TEST

Suite *buf_suite(void);

Suite *buf_suite(void)
{
    Suite *s = suite_create("buf");
    TCase *t = tcase_create("buf");

    tcase_add_checked_fixture(t, start, stop);
    tcase_add_test(t, a_zeroed_buffer_is_empty_and_can_be_used);
    tcase_add_test(t, growing_keeps_what_was_written);
    tcase_add_test(t, reserved_room_can_be_written_to_its_end);
    tcase_add_test(t, dropping_moves_the_rest_to_the_front);
    tcase_add_test(t, numbers_are_written_in_network_order);
    tcase_add_test(t, numbers_are_written_in_decimal);
    tcase_add_test(t, varints_take_as_few_bytes_as_they_can);
    tcase_add_test(t, formatted_text_is_appended_without_its_nul);
    tcase_add_test(t, taken_bytes_belong_to_the_caller);
    suite_add_tcase(s, t);
    return s;
}
