// SPDX-License-Identifier: MIT
#include <check.h>

#include "broker/core/headers_match.h"

static struct buf args, headers;
static struct header_index index_of;

static void open_buffers(void)
{
    args.n = headers.n = 0;
}

static void close_buffers(void)
{
    buf_fini(&args);
    buf_fini(&headers);
    header_index_fini(&index_of);
}

static bool fits(void)
{
    enum headers_match kind;

    ck_assert(headers_match_kind(buf_view(&args), &kind));
    header_index_fill(&index_of, buf_view(&headers));
    return headers_match(buf_view(&args), kind, &index_of);
}

static void want(const char *kind)
{
    table_put_str(&args, BYTES("x-match"), bytes_str(kind));
}

static void put_void(struct buf *out, const char *name)
{
    table_put_value(out, bytes_str(name), &(struct table_value){ 'V', { NULL, 0 } });
}

START_TEST(x_match_is_one_of_four_and_all_when_absent)
{
    static const struct {
        const char *word;
        enum headers_match kind;
    } words[] = { { "all", MATCH_ALL },
                  { "any", MATCH_ANY },
                  { "all-with-x", MATCH_ALL_WITH_X },
                  { "any-with-x", MATCH_ANY_WITH_X } };
    enum headers_match kind = MATCH_ANY;

    ck_assert(headers_match_kind(buf_view(&args), &kind));
    ck_assert_int_eq(MATCH_ALL, kind);
    for (size_t i = 0; i < 4; i++) {
        args.n = 0;
        want(words[i].word);
        ck_assert(headers_match_kind(buf_view(&args), &kind));
        ck_assert_int_eq(words[i].kind, kind);
    }
    args.n = 0;
    want("All");
    ck_assert(!headers_match_kind(buf_view(&args), &kind));
    args.n = 0;
    table_put_int(&args, BYTES("x-match"), 1);
    ck_assert(!headers_match_kind(buf_view(&args), &kind));
}
END_TEST

START_TEST(all_wants_every_field)
{
    want("all");
    table_put_int(&args, BYTES("b"), 2);
    table_put_str(&args, BYTES("a"), BYTES("one"));
    ck_assert(!fits());
    table_put_str(&headers, BYTES("a"), BYTES("one"));
    ck_assert(!fits());
    table_put_int(&headers, BYTES("z"), 9);
    table_put_int(&headers, BYTES("b"), 2);
    ck_assert(fits());
}
END_TEST

START_TEST(any_wants_one_field)
{
    want("any");
    table_put_int(&args, BYTES("a"), 1);
    table_put_int(&args, BYTES("b"), 2);
    table_put_int(&headers, BYTES("a"), 7);
    ck_assert(!fits());
    table_put_int(&headers, BYTES("b"), 2);
    ck_assert(fits());
}
END_TEST

/* RabbitMQ: nothing to fulfil is fulfilled by all, and never by any. */
START_TEST(without_fields_all_fits_everything_and_any_nothing)
{
    table_put_int(&headers, BYTES("a"), 1);
    ck_assert(fits());
    want("all");
    ck_assert(fits());
    args.n = 0;
    want("any");
    ck_assert(!fits());
    args.n = 0;
    want("all-with-x");
    ck_assert(fits());
    args.n = 0;
    want("any-with-x");
    ck_assert(!fits());
}
END_TEST

START_TEST(fields_with_x_count_only_when_asked)
{
    want("all");
    table_put_int(&args, BYTES("x-tenant"), 1);
    ck_assert(fits());
    args.n = 0;
    want("all-with-x");
    table_put_int(&args, BYTES("x-tenant"), 1);
    ck_assert(!fits());
    table_put_int(&headers, BYTES("x-tenant"), 1);
    ck_assert(fits());
    args.n = 0;
    want("any");
    table_put_int(&args, BYTES("x-tenant"), 1);
    ck_assert(!fits());
    args.n = 0;
    want("any-with-x");
    table_put_int(&args, BYTES("x-tenant"), 1);
    ck_assert(fits());
}
END_TEST

START_TEST(x_match_itself_never_counts)
{
    want("any-with-x");
    table_put_str(&headers, BYTES("x-match"), BYTES("any-with-x"));
    ck_assert(!fits());
    args.n = 0;
    want("all-with-x");
    headers.n = 0;
    ck_assert(fits());
}
END_TEST

START_TEST(a_field_without_a_value_asks_for_presence)
{
    put_void(&args, "a");
    ck_assert(!fits());
    table_put_str(&headers, BYTES("a"), BYTES("whatever"));
    ck_assert(fits());
}
END_TEST

START_TEST(numbers_compare_by_value_and_not_with_text)
{
    static const uint8_t small[] = { 5 };

    table_put_int(&args, BYTES("n"), 5);
    table_put_value(&headers, BYTES("n"), &(struct table_value){ 'b', bytes_of(small, 1) });
    ck_assert(fits());
    headers.n = 0;
    table_put_str(&headers, BYTES("n"), BYTES("5"));
    ck_assert(!fits());
}
END_TEST

START_TEST(the_first_of_repeated_headers_counts)
{
    table_put_int(&args, BYTES("a"), 1);
    table_put_int(&headers, BYTES("b"), 0);
    table_put_int(&headers, BYTES("a"), 1);
    table_put_int(&headers, BYTES("a"), 2);
    ck_assert(fits());
    args.n = 0;
    table_put_int(&args, BYTES("a"), 2);
    ck_assert(!fits());
}
END_TEST

START_TEST(names_that_begin_alike_are_told_apart)
{
    static const char *const names[] = { "ab", "a", "abc", "", "b", "aa" };

    for (size_t i = 0; i < 6; i++)
        table_put_int(&headers, bytes_str(names[i]), (int64_t)i);
    header_index_fill(&index_of, buf_view(&headers));
    ck_assert_uint_eq(6, index_of.count);
    for (size_t i = 0; i < 6; i++) {
        args.n = 0;
        table_put_int(&args, bytes_str(names[i]), (int64_t)i);
        ck_assert(fits());
        args.n = 0;
        table_put_int(&args, bytes_str(names[i]), (int64_t)i + 1);
        ck_assert(!fits());
    }
}
END_TEST

Suite *headers_match_suite(void);

Suite *headers_match_suite(void)
{
    Suite *s = suite_create("headers_match");
    TCase *t = tcase_create("headers_match");

    tcase_add_checked_fixture(t, open_buffers, close_buffers);
    tcase_add_test(t, x_match_is_one_of_four_and_all_when_absent);
    tcase_add_test(t, all_wants_every_field);
    tcase_add_test(t, any_wants_one_field);
    tcase_add_test(t, without_fields_all_fits_everything_and_any_nothing);
    tcase_add_test(t, fields_with_x_count_only_when_asked);
    tcase_add_test(t, x_match_itself_never_counts);
    tcase_add_test(t, a_field_without_a_value_asks_for_presence);
    tcase_add_test(t, numbers_compare_by_value_and_not_with_text);
    tcase_add_test(t, the_first_of_repeated_headers_counts);
    tcase_add_test(t, names_that_begin_alike_are_told_apart);
    suite_add_tcase(s, t);
    return s;
}
