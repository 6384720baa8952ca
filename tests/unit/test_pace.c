// SPDX-License-Identifier: MIT
/* Commits keep a distance while that pays, and are not held up where it does not. */
#include <check.h>

#include "broker/pace.h"

Suite *pace_suite(void);

enum { US = 1000, MS = 1000 * US };

static struct pace p;
static uint64_t now;

static void start(void)
{
    p = (struct pace){ .spacing_ns = 1 * MS };
    now = 10 * MS;
    pace_began(&p, now);
}

/* How long a commit that is wanted now is held; input comes every so often. */
static uint64_t held_ns(uint64_t input_every_ns)
{
    uint64_t from = now, step = 10 * US;

    while (!pace_may_begin(&p, now)) {
        ck_assert_uint_eq(pace_until_ns(&p), p.began_ns + p.spacing_ns);
        now += step;
        if (input_every_ns && (now - from) % input_every_ns == 0)
            pace_input(&p, now);
    }
    pace_began(&p, now);
    ck_assert_uint_eq(pace_until_ns(&p), UINT64_MAX);
    return now - from;
}

START_TEST(a_commit_long_after_the_last_begins_at_once)
{
    now += 1 * MS;
    ck_assert(pace_may_begin(&p, now));
}
END_TEST

START_TEST(while_input_keeps_coming_commits_are_as_far_apart_as_set)
{
    for (int i = 0; i < 100; i++) {
        now += 300 * US;
        ck_assert_uint_eq(held_ns(100 * US), 700 * US);
    }
}
END_TEST

START_TEST(after_a_wait_in_vain_the_next_commits_are_not_held)
{
    int held = 0;

    for (int i = 0; i < 10000; i++) {
        pace_input(&p, now);
        now += 300 * US;
        held += held_ns(0) > 0;
    }
    ck_assert_int_gt(held, 0);
    ck_assert_int_lt(held, 12);
}
END_TEST

START_TEST(trust_comes_back_when_waits_pay)
{
    for (int i = 0; i < 1000; i++) {
        now += 300 * US;
        (void)held_ns(0);
    }
    ck_assert_uint_gt(p.distrust, 0);
    for (int i = 0; i < 10000; i++) {
        now += 300 * US;
        (void)held_ns(100 * US);
    }
    now += 300 * US;
    ck_assert_uint_eq(held_ns(100 * US), 700 * US);
}
END_TEST

START_TEST(a_wait_that_pays_by_chance_does_not_outweigh_those_in_vain)
{
    int held = 0;

    for (int i = 0; i < 100000; i++) {
        pace_input(&p, now);
        now += 300 * US;
        held += held_ns(held % 5 == 4 ? 100 * US : 0) > 0;
    }
    ck_assert_int_lt(held, 100);
}
END_TEST

START_TEST(what_was_consumed_meanwhile_holds_nothing)
{
    ck_assert(!pace_may_begin(&p, now));
    pace_nothing(&p);
    ck_assert_uint_eq(pace_until_ns(&p), UINT64_MAX);
    ck_assert_uint_eq(p.distrust, 0);
}
END_TEST

START_TEST(without_a_spacing_nothing_is_held)
{
    p.spacing_ns = 0;
    ck_assert(pace_may_begin(&p, now));
}
END_TEST

Suite *pace_suite(void)
{
    Suite *s = suite_create("pace");
    TCase *t = tcase_create("pace");

    tcase_add_checked_fixture(t, start, NULL);
    tcase_add_test(t, a_commit_long_after_the_last_begins_at_once);
    tcase_add_test(t, while_input_keeps_coming_commits_are_as_far_apart_as_set);
    tcase_add_test(t, after_a_wait_in_vain_the_next_commits_are_not_held);
    tcase_add_test(t, trust_comes_back_when_waits_pay);
    tcase_add_test(t, a_wait_that_pays_by_chance_does_not_outweigh_those_in_vain);
    tcase_add_test(t, what_was_consumed_meanwhile_holds_nothing);
    tcase_add_test(t, without_a_spacing_nothing_is_held);
    suite_add_tcase(s, t);
    return s;
}
