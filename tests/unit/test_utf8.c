// SPDX-License-Identifier: MIT
#include <check.h>

#include "base/mem.h"
#include "base/utf8.h"

static bool valid_exact(struct bytes in)
{
    uint8_t *exact = mem_alloc(in.n);

    if (in.n)
        memcpy(exact, in.p, in.n);
    bool ok = utf8_valid(bytes_of(exact, in.n));
    mem_free(exact);
    return ok;
}

/* Any 32-bit number in the form of its size, whether allowed or not. */
static size_t put_code_point(uint8_t out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c);
    return n;
}

START_TEST(every_code_point_but_surrogates_is_text)
{
    for (uint32_t c = 0; c < 0x120000; c++) {
        uint8_t form[4];
        size_t n = put_code_point(form, c);
        bool want = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);

        ck_assert_msg(utf8_valid(bytes_of(form, n)) == want, "U+%04X", (unsigned)c);
    }
}
END_TEST

START_TEST(overlong_forms_are_refused)
{
    ck_assert(!utf8_valid(BYTES("\xc0\x80")));
    ck_assert(!utf8_valid(BYTES("\xc1\xbf")));
    ck_assert(!utf8_valid(BYTES("\xe0\x9f\xbf")));
    ck_assert(!utf8_valid(BYTES("\xf0\x8f\xbf\xbf")));
}
END_TEST

START_TEST(broken_sequences_are_refused)
{
    ck_assert(!utf8_valid(BYTES("\x80")));
    ck_assert(!utf8_valid(BYTES("a\xbf")));
    ck_assert(!utf8_valid(BYTES("\xc3(")));
    ck_assert(!utf8_valid(BYTES("\xe2\x82(")));
    ck_assert(!utf8_valid(BYTES("\xf5\x80\x80\x80")));
    ck_assert(!utf8_valid(BYTES("\xff")));
    ck_assert(!utf8_valid(BYTES("\xf8\xa0\x80\x80")));
    ck_assert(!utf8_valid(BYTES("\xf8\x88\x80\x80\x80")));
}
END_TEST

START_TEST(a_sequence_cut_short_is_refused_and_not_read_on)
{
    struct bytes smile = BYTES("\xf0\x9f\x98\x80");

    for (size_t n = 1; n < smile.n; n++)
        ck_assert(!valid_exact(bytes_head(smile, n)));
    ck_assert(valid_exact(smile));
    ck_assert(!valid_exact(BYTES("ok\xe2\x82")));
}
END_TEST

START_TEST(nothing_and_plain_text_are_text)
{
    ck_assert(utf8_valid((struct bytes){ NULL, 0 }));
    ck_assert(utf8_valid(BYTES("plain \0 text")));
    ck_assert(utf8_valid(BYTES("gr\xc3\xbc\xc3\x9f dich \xe2\x82\xac")));
}
END_TEST

Suite *utf8_suite(void);

Suite *utf8_suite(void)
{
    Suite *s = suite_create("utf8");
    TCase *t = tcase_create("utf8");

    tcase_add_test(t, every_code_point_but_surrogates_is_text);
    tcase_add_test(t, overlong_forms_are_refused);
    tcase_add_test(t, broken_sequences_are_refused);
    tcase_add_test(t, a_sequence_cut_short_is_refused_and_not_read_on);
    tcase_add_test(t, nothing_and_plain_text_are_text);
    suite_add_tcase(s, t);
    return s;
}
