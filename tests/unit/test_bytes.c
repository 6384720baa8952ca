// SPDX-License-Identifier: MIT
#include <check.h>

#include "base/bytes.h"
#include "base/mem.h"

static const struct bytes none = { NULL, 0 };

START_TEST(equality_is_of_length_and_content)
{
    ck_assert(bytes_eq(BYTES("a\0b"), BYTES("a\0b")));
    ck_assert(!bytes_eq(BYTES("a\0b"), BYTES("a\0c")));
    ck_assert(!bytes_eq(BYTES("a"), BYTES("ab")));
    ck_assert(bytes_eq(none, BYTES("")));
    ck_assert(!bytes_eq(none, BYTES("\0")));
}
END_TEST

START_TEST(a_prefix_is_no_longer_than_the_whole)
{
    ck_assert(bytes_starts(BYTES("abc"), BYTES("ab")));
    ck_assert(bytes_starts(BYTES("abc"), BYTES("abc")));
    ck_assert(bytes_starts(BYTES("abc"), none));
    ck_assert(!bytes_starts(BYTES("abc"), BYTES("abcd")));
    ck_assert(!bytes_starts(BYTES("abc"), BYTES("b")));
    ck_assert(!bytes_starts(none, BYTES("a")));
}
END_TEST

START_TEST(parts_never_leave_the_whole)
{
    struct bytes b = BYTES("abcd");

    ck_assert(bytes_eq(bytes_from(b, 1), BYTES("bcd")));
    ck_assert_uint_eq(bytes_from(b, 4).n, 0);
    ck_assert_uint_eq(bytes_from(b, 5).n, 0);
    ck_assert_uint_eq(bytes_from(b, SIZE_MAX).n, 0);
    ck_assert_uint_eq(bytes_from(none, 0).n, 0);
    ck_assert(bytes_eq(bytes_head(b, 2), BYTES("ab")));
    ck_assert(bytes_eq(bytes_head(b, SIZE_MAX), b));
    ck_assert_uint_eq(bytes_head(none, 3).n, 0);
}
END_TEST

START_TEST(a_string_is_taken_without_its_nul)
{
    ck_assert(bytes_eq(bytes_str("abc"), BYTES("abc")));
    ck_assert_uint_eq(bytes_str(NULL).n, 0);
    ck_assert_uint_eq(BYTES("a\0").n, 2);
}
END_TEST

START_TEST(order_is_of_octets_then_of_length)
{
    ck_assert_int_lt(bytes_cmp(BYTES("a"), BYTES("b")), 0);
    ck_assert_int_gt(bytes_cmp(BYTES("\xff"), BYTES("a")), 0);
    ck_assert_int_lt(bytes_cmp(BYTES("a"), BYTES("aa")), 0);
    ck_assert_int_gt(bytes_cmp(BYTES("b"), BYTES("aa")), 0);
    ck_assert_int_gt(bytes_cmp(BYTES("a"), none), 0);
    ck_assert_int_eq(bytes_cmp(none, BYTES("")), 0);
    ck_assert_int_eq(bytes_cmp(BYTES("ab"), BYTES("ab")), 0);
}
END_TEST

START_TEST(decimals_are_read_up_to_their_limit)
{
    uint64_t v = 7;

    ck_assert(bytes_to_u64(BYTES("0"), 0, &v) && v == 0);
    ck_assert(bytes_to_u64(BYTES("0012"), 12, &v) && v == 12);
    ck_assert(bytes_to_u64(BYTES("18446744073709551615"), UINT64_MAX, &v) && v == UINT64_MAX);
    v = 7;
    ck_assert(!bytes_to_u64(BYTES("13"), 12, &v));
    ck_assert(!bytes_to_u64(BYTES("18446744073709551616"), UINT64_MAX, &v));
    ck_assert(!bytes_to_u64(BYTES("99999999999999999999999"), UINT64_MAX, &v));
    ck_assert_uint_eq(v, 7);
}
END_TEST

START_TEST(only_digits_make_a_decimal)
{
    static const char *const wrong[] = { "", " 1", "1 ", "+1", "-1", "0x1", "1.0", "a", "/", ":" };
    uint64_t v = 7;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(!bytes_to_u64(bytes_str(wrong[i]), UINT64_MAX, &v), "\"%s\"", wrong[i]);
    ck_assert(!bytes_to_u64(BYTES("1\0"), UINT64_MAX, &v));
    ck_assert_uint_eq(v, 7);
}
END_TEST

START_TEST(decimals_come_back_as_they_were_written)
{
    uint8_t digits[20];
    uint64_t v = 1, back;

    for (int i = 0; i < 64; i++, v <<= 1) {
        size_t n = bytes_put_u64(digits, v - 1);

        ck_assert(bytes_to_u64(bytes_of(digits, n), UINT64_MAX, &back));
        ck_assert_uint_eq(back, v - 1);
        ck_assert(n == 1 || digits[0] != '0');
    }
    ck_assert_uint_eq(bytes_put_u64(digits, UINT64_MAX), 20);
    ck_assert_mem_eq(digits, "18446744073709551615", 20);
    ck_assert_uint_eq(bytes_put_u64(digits, 0), 1);
}
END_TEST

START_TEST(the_hash_depends_on_every_byte_and_on_the_seed)
{
    uint64_t h = bytes_hash(BYTES("queue"), 1);

    ck_assert_uint_eq(bytes_hash(BYTES("queue"), 1), h);
    ck_assert_uint_ne(bytes_hash(BYTES("queue"), 2), h);
    ck_assert_uint_ne(bytes_hash(BYTES("queud"), 1), h);
    ck_assert_uint_ne(bytes_hash(BYTES("queue\0"), 1), h);
    ck_assert_uint_eq(bytes_hash(none, 1), bytes_hash(BYTES(""), 1));
}
END_TEST

START_TEST(a_heap_copy_is_a_string)
{
    char *s = bytes_dup_str(bytes_head(BYTES("abcdef"), 3));
    char *empty = bytes_dup_str(none);

    ck_assert_str_eq(s, "abc");
    ck_assert_str_eq(empty, "");
    mem_free(s);
    mem_free(empty);
}
END_TEST

Suite *bytes_suite(void);

Suite *bytes_suite(void)
{
    Suite *s = suite_create("bytes");
    TCase *t = tcase_create("bytes");

    tcase_add_test(t, equality_is_of_length_and_content);
    tcase_add_test(t, a_prefix_is_no_longer_than_the_whole);
    tcase_add_test(t, parts_never_leave_the_whole);
    tcase_add_test(t, a_string_is_taken_without_its_nul);
    tcase_add_test(t, order_is_of_octets_then_of_length);
    tcase_add_test(t, decimals_are_read_up_to_their_limit);
    tcase_add_test(t, only_digits_make_a_decimal);
    tcase_add_test(t, decimals_come_back_as_they_were_written);
    tcase_add_test(t, the_hash_depends_on_every_byte_and_on_the_seed);
    tcase_add_test(t, a_heap_copy_is_a_string);
    suite_add_tcase(s, t);
    return s;
}
