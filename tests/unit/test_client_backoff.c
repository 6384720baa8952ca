// SPDX-License-Identifier: MIT
#include <check.h>

#include "client/backoff.h"

Suite *client_backoff_suite(void);

START_TEST(spans_double_up_to_the_limit)
{
    struct backoff b = { 100, 1000, 0 };
    const uint32_t most = UINT32_MAX;

    ck_assert_uint_eq(backoff_next(&b, most), 99);
    ck_assert_uint_eq(backoff_next(&b, most), 199);
    ck_assert_uint_eq(backoff_next(&b, most), 399);
    ck_assert_uint_eq(backoff_next(&b, most), 799);
    ck_assert_uint_eq(backoff_next(&b, most), 999);
    ck_assert_uint_eq(backoff_next(&b, most), 999);
    ck_assert_uint_eq(b.attempts, 6);
}
END_TEST

START_TEST(at_least_half_of_the_span_is_waited)
{
    struct backoff b = { 100, 1000, 0 };

    ck_assert_uint_eq(backoff_next(&b, 0), 50);
    ck_assert_uint_eq(backoff_next(&b, 0), 100);
}
END_TEST

START_TEST(success_starts_anew)
{
    struct backoff b = { 100, 1000, 0 };

    (void)backoff_next(&b, 0);
    (void)backoff_next(&b, 0);
    backoff_reset(&b);
    ck_assert_uint_eq(backoff_next(&b, 0), 50);
    ck_assert_uint_eq(b.attempts, 1);
}
END_TEST

/* The doubling must not wrap after hours of failure. */
START_TEST(many_failures_stay_at_the_limit)
{
    struct backoff b = { UINT32_MAX / 2 + 1, UINT32_MAX, UINT32_MAX };

    ck_assert_uint_ge(backoff_next(&b, 0), UINT32_MAX / 2);
    ck_assert_uint_eq(b.attempts, UINT32_MAX);
}
END_TEST

Suite *client_backoff_suite(void)
{
    Suite *s = suite_create("client_backoff");
    TCase *t = tcase_create("waits");

    tcase_add_test(t, spans_double_up_to_the_limit);
    tcase_add_test(t, at_least_half_of_the_span_is_waited);
    tcase_add_test(t, success_starts_anew);
    tcase_add_test(t, many_failures_stay_at_the_limit);
    suite_add_tcase(s, t);
    return s;
}
