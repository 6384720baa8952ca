// SPDX-License-Identifier: MIT
#include <check.h>

#include "base/buf.h"
#include "base/reader.h"

START_TEST(numbers_are_read_in_network_order)
{
    struct reader r = reader_over(
        BYTES("\x01\x02\x03\x04\x05\x06\x07\x88\x09\x0a\x0b\x0c\x0d\x0e\x0f"));

    ck_assert_uint_eq(reader_u8(&r), 0x01);
    ck_assert_uint_eq(reader_u16(&r), 0x0203);
    ck_assert_uint_eq(reader_u32(&r), 0x04050607);
    ck_assert_uint_eq(reader_u64(&r), 0x88090a0b0c0d0e0f);
    ck_assert_uint_eq(r.left, 0);
    ck_assert(!r.failed);
}
END_TEST

START_TEST(a_number_cut_short_is_zero)
{
    static const char ones[] = "\xff\xff\xff\xff\xff\xff\xff";

    for (size_t n = 0; n < 8; n++) {
        struct reader r2 = reader_over(bytes_of(ones, n)), r4 = r2, r8 = r2;

        ck_assert(n >= 2 || (reader_u16(&r2) == 0 && r2.failed));
        ck_assert_msg(n >= 4 || (reader_u32(&r4) == 0 && r4.failed), "u32 of %zu bytes", n);
        ck_assert_msg(reader_u64(&r8) == 0 && r8.failed, "u64 of %zu bytes", n);
    }
}
END_TEST

START_TEST(after_a_failure_every_read_gives_nothing)
{
    struct reader r = reader_over(BYTES("\x01\x02\x03"));

    ck_assert_ptr_null(reader_take(&r, 4).p);
    ck_assert(r.failed);
    ck_assert_uint_eq(r.left, 3);
    ck_assert_uint_eq(reader_u8(&r), 0);
    ck_assert_uint_eq(reader_u16(&r), 0);
    ck_assert_uint_eq(reader_varint(&r), 0);
    ck_assert_ptr_null(reader_take(&r, 0).p);
    ck_assert_ptr_null(reader_rest(&r).p);
    ck_assert_ptr_null(reader_bytes8(&r).p);
    ck_assert_ptr_null(reader_bytes_varint(&r).p);
}
END_TEST

START_TEST(a_length_that_would_wrap_fails)
{
    struct reader r = reader_over(BYTES("abc"));

    ck_assert_ptr_null(reader_take(&r, SIZE_MAX).p);
    ck_assert(r.failed);
}
END_TEST

START_TEST(nothing_can_be_read_of_nothing)
{
    struct reader r = reader_over((struct bytes){ NULL, 0 });

    ck_assert_uint_eq(reader_take(&r, 0).n, 0);
    ck_assert_uint_eq(reader_rest(&r).n, 0);
    ck_assert(!r.failed);
    ck_assert_uint_eq(reader_u8(&r), 0);
    ck_assert(r.failed);
}
END_TEST

START_TEST(counted_bytes_are_taken_whole)
{
    struct reader r = reader_over(BYTES("\1a\0\2bc\0\0\0\3def\2gh\0ij"));

    ck_assert(bytes_eq(reader_bytes8(&r), BYTES("a")));
    ck_assert(bytes_eq(reader_bytes16(&r), BYTES("bc")));
    ck_assert(bytes_eq(reader_bytes32(&r), BYTES("def")));
    ck_assert(bytes_eq(reader_bytes_varint(&r), BYTES("gh")));
    struct bytes empty = reader_bytes8(&r);
    ck_assert(empty.n == 0 && empty.p);
    ck_assert(bytes_eq(reader_rest(&r), BYTES("ij")));
    ck_assert_uint_eq(r.left, 0);
    ck_assert(!r.failed);
}
END_TEST

START_TEST(counted_bytes_past_the_end_fail)
{
    struct reader r8 = reader_over(BYTES("\2a")), r16 = reader_over(BYTES("\0\2a"));
    struct reader r32 = reader_over(BYTES("\xff\xff\xff\xff"
                                          "a"));
    struct reader rv = reader_over(BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                                         "a"));

    ck_assert(!reader_bytes8(&r8).p && r8.failed);
    ck_assert(!reader_bytes16(&r16).p && r16.failed);
    ck_assert(!reader_bytes32(&r32).p && r32.failed);
    ck_assert(!reader_bytes_varint(&rv).p && rv.failed);
}
END_TEST

START_TEST(varints_come_back_as_they_were_written)
{
    for (unsigned shift = 0; shift < 64; shift++) {
        for (uint64_t less = 0; less < 2; less++) {
            uint64_t v = ((uint64_t)1 << shift) - less;
            struct buf b = { 0 };

            buf_varint(&b, v);
            struct reader r = reader_over(buf_view(&b));
            ck_assert_uint_eq(reader_varint(&r), v);
            ck_assert(!r.failed && r.left == 0);
            buf_fini(&b);
        }
    }
}
END_TEST

START_TEST(the_largest_varint_has_ten_bytes)
{
    struct reader r = reader_over(BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    struct reader over = reader_over(BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"));
    struct reader longer = reader_over(BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\0"));

    ck_assert_uint_eq(reader_varint(&r), UINT64_MAX);
    ck_assert(!r.failed);
    ck_assert(reader_varint(&over) == 0 && over.failed);
    ck_assert(reader_varint(&longer) == 0 && longer.failed);
}
END_TEST

START_TEST(a_varint_cut_short_fails)
{
    struct reader r = reader_over(BYTES("\xff\xff"));

    ck_assert_uint_eq(reader_varint(&r), 0);
    ck_assert(r.failed);
}
END_TEST

Suite *reader_suite(void);

Suite *reader_suite(void)
{
    Suite *s = suite_create("reader");
    TCase *t = tcase_create("reader");

    tcase_add_test(t, numbers_are_read_in_network_order);
    tcase_add_test(t, a_number_cut_short_is_zero);
    tcase_add_test(t, after_a_failure_every_read_gives_nothing);
    tcase_add_test(t, a_length_that_would_wrap_fails);
    tcase_add_test(t, nothing_can_be_read_of_nothing);
    tcase_add_test(t, counted_bytes_are_taken_whole);
    tcase_add_test(t, counted_bytes_past_the_end_fail);
    tcase_add_test(t, varints_come_back_as_they_were_written);
    tcase_add_test(t, the_largest_varint_has_ten_bytes);
    tcase_add_test(t, a_varint_cut_short_fails);
    suite_add_tcase(s, t);
    return s;
}
