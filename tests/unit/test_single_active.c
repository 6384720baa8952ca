// SPDX-License-Identifier: MIT
/* x-single-active-consumer: one is served, the others stand by. */
#include <check.h>

#include "tests/lib/core_rig.h"

static struct rig r;
static consumer_id k[3];

static void setup(void)
{
    rig_open(&r, NULL);
    rig_queue(&r, "q", "x-single-active-consumer=true");
    for (uint64_t i = 0; i < 3; i++)
        k[i] = rig_consume(&r, r.client,
                           &(struct rig_consume){ .queue = "q", .handle = i, .prefetch = 2 });
    rig_run(&r);
}

static void teardown(void)
{
    rig_close(&r);
}

static size_t given_to(uint64_t handle)
{
    size_t n = 0;

    for (size_t i = 0; i < r.count; i++)
        n += r.effect[i].e.kind == EFFECT_DELIVER && r.effect[i].e.handle == handle;
    return n;
}

static void put(int n)
{
    while (n-- > 0)
        ck_assert_int_eq(rig_put(&r, "q", "m"), PUBLISH_ROUTED);
    rig_run(&r);
}

START_TEST(only_the_first_is_served)
{
    put(5);
    ck_assert_uint_eq(given_to(0), 2);
    ck_assert_uint_eq(given_to(1) + given_to(2), 0);
    ck_assert_int_eq(core_settle(r.core, r.client, k[0], 0, true, SETTLE_ACK, r.now_ms), OK);
    rig_run(&r);
    ck_assert_uint_eq(given_to(0), 4);
    ck_assert_uint_eq(given_to(1) + given_to(2), 0);
}
END_TEST

START_TEST(when_it_goes_the_next_takes_over_what_it_had)
{
    put(5);
    core_cancel(r.core, r.client, k[0], r.now_ms);
    rig_forget(&r);
    rig_run(&r);
    ck_assert_uint_eq(given_to(1), 2);
    ck_assert_uint_eq(given_to(2), 0);
    ck_assert_uint_eq(r.effect[0].e.deliveries, 1);
}
END_TEST

START_TEST(when_one_that_stands_by_goes_nothing_changes)
{
    core_cancel(r.core, r.client, k[1], r.now_ms);
    put(1);
    ck_assert_uint_eq(given_to(0), 1);
    core_cancel(r.core, r.client, k[0], r.now_ms);
    rig_run(&r);
    ck_assert_uint_eq(given_to(2), 1);
}
END_TEST

START_TEST(one_that_comes_later_stands_by)
{
    for (int i = 0; i < 3; i++)
        core_cancel(r.core, r.client, k[i], r.now_ms);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .handle = 10, .prefetch = 1 });
    rig_consume(&r, r.client,
                &(struct rig_consume){ .queue = "q", .handle = 11, .prefetch = 1, .priority = 9 });
    put(3);
    ck_assert_uint_eq(given_to(10), 1);
    ck_assert_uint_eq(given_to(11), 0);
}
END_TEST

Suite *single_active_suite(void);

Suite *single_active_suite(void)
{
    Suite *s = suite_create("single_active");
    TCase *t = tcase_create("single_active");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, only_the_first_is_served);
    tcase_add_test(t, when_it_goes_the_next_takes_over_what_it_had);
    tcase_add_test(t, when_one_that_stands_by_goes_nothing_changes);
    tcase_add_test(t, one_that_comes_later_stands_by);
    suite_add_tcase(s, t);
    return s;
}
