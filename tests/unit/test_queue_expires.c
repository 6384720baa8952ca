// SPDX-License-Identifier: MIT
/* core_queue_expires: how long an unused queue lives, set anew. */
#include <check.h>

#include "tests/lib/core_rig.h"

static struct rig r;
static struct buf text;

static void setup(void)
{
    rig_open(&r, NULL);
}

static void teardown(void)
{
    rig_close(&r);
    buf_fini(&text);
}

static void expires(uint64_t ms)
{
    core_queue_expires(r.core, r.client, BYTES("q"), ms);
    ck_assert(core_check(r.core));
}

/* rig_info declares, which is a use of the queue. */
static bool there(void)
{
    struct queue_info info;

    return core_queue_look(r.core, r.client, BYTES("q"), &info);
}

START_TEST(an_unused_queue_goes_after_the_time_that_was_set_last)
{
    rig_queue(&r, "q", NULL);
    rig_later(&r, 500);
    expires(1000);
    rig_run(&r);
    rig_later(&r, 500);
    expires(2000);
    rig_run(&r);
    rig_later(&r, 1999);
    ck_assert(there());
    rig_later(&r, 1);
    ck_assert(!there());
}
END_TEST

START_TEST(it_counts_again_when_the_last_consumer_goes)
{
    rig_queue(&r, "q", NULL);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    expires(1000);
    rig_later(&r, 5000);
    ck_assert(there());
    core_cancel(r.core, r.client, k, r.now_ms);
    rig_later(&r, 999);
    k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_later(&r, 5000);
    ck_assert(there());
    core_cancel(r.core, r.client, k, r.now_ms);
    rig_later(&r, 999);
    ck_assert(there());
    rig_later(&r, 1);
    ck_assert(!there());
}
END_TEST

/* The call brings no time along, and the core may have slept for long. */
START_TEST(it_counts_from_the_next_turn)
{
    rig_queue(&r, "q", NULL);
    rig_run(&r);
    r.now_ms += 100000;
    expires(1000);
    ck_assert_uint_le(core_next_at_ms(r.core), r.now_ms);
    rig_run(&r);
    ck_assert(there());
    ck_assert_uint_eq(core_next_at_ms(r.core), r.now_ms + 1000);
    rig_later(&r, 1000);
    ck_assert(!there());
}
END_TEST

START_TEST(with_0_it_goes_in_the_next_turn)
{
    rig_queue(&r, "q", "x-expires=1000");
    rig_put_each(&r, "q", "a");
    rig_run(&r);
    expires(0);
    ck_assert(there());
    rig_run(&r);
    ck_assert(!there());
    ck_assert_uint_eq(rig_rows(&r), 0);
}
END_TEST

START_TEST(with_0_it_goes_once_it_has_no_consumer)
{
    rig_queue(&r, "q", NULL);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    expires(0);
    rig_later(&r, 1000);
    ck_assert(there());
    core_cancel(r.core, r.client, k, r.now_ms);
    rig_run(&r);
    ck_assert(!there());
}
END_TEST

START_TEST(without_end_it_stays)
{
    rig_queue(&r, "q", "x-expires=1000");
    expires(UINT64_MAX);
    rig_later(&r, 1000000);
    ck_assert(there());
    ck_assert_uint_eq(core_next_at_ms(r.core), UINT64_MAX);
    rig_crash(&r, false);
    rig_later(&r, 1000000);
    ck_assert(there());
}
END_TEST

START_TEST(what_was_set_holds_after_a_crash)
{
    rig_queue(&r, "q", NULL);
    expires(3000);
    rig_run(&r);
    rig_crash(&r, false);
    rig_later(&r, 2999);
    ck_assert(there());
    rig_later(&r, 1);
    ck_assert(!there());
    rig_crash(&r, false);
    ck_assert(!there());
}
END_TEST

START_TEST(a_queue_that_was_to_go_when_its_consumer_does_goes_after_a_crash)
{
    rig_queue(&r, "q", NULL);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    expires(0);
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert(there());
    rig_run(&r);
    ck_assert(!there());
}
END_TEST

START_TEST(it_waits_for_the_disk_and_the_same_again_is_not_written)
{
    rig_queue(&r, "q", NULL);
    rig_run(&r);
    r.hold_commits = true;
    expires(1000);
    ck_assert_uint_eq(core_confirm(r.core, r.client, false), 1);
    rig_turn(&r);
    ck_assert_uint_eq(rig_ops(&r, OP_QUEUE_PUT), 1);
    ck_assert_uint_eq(rig_confirmed(&r, r.client), 0);
    rig_commit(&r);
    rig_turn(&r);
    ck_assert_uint_eq(rig_confirmed(&r, r.client), 1);
    expires(1000);
    rig_turn(&r);
    ck_assert_ptr_null(r.under_way);
    expires(UINT64_MAX);
    rig_turn(&r);
    ck_assert_uint_eq(rig_ops(&r, OP_QUEUE_PUT), 1);
    rig_commit(&r);
    expires(UINT64_MAX);
    rig_turn(&r);
    ck_assert_ptr_null(r.under_way);
}
END_TEST

/* As stored last in the commit under way. */
static void assert_arguments(const char *want)
{
    struct buf args = { 0 };
    struct bytes stored = { NULL, 0 };

    for (size_t i = 0; i < r.under_way->op_count; i++)
        if (r.under_way->op[i].kind == OP_QUEUE_PUT)
            stored = r.under_way->op[i].queue.arguments;
    ck_assert(bytes_eq(stored, rig_args(&args, want)));
    buf_fini(&args);
    rig_commit(&r);
}

START_TEST(the_other_arguments_stay_as_they_are)
{
    r.hold_commits = true;
    rig_queue(&r, "q", "x-max-length=5 x-expires=1000 x-mine=abc");
    expires(UINT64_MAX);
    rig_turn(&r);
    assert_arguments("x-max-length=5 x-mine=abc");
    expires(7000);
    rig_turn(&r);
    assert_arguments("x-max-length=5 x-mine=abc x-expires=7000");
    expires(0);
    rig_turn(&r);
    rig_commit(&r);
    ck_assert(!there());
    rig_queue(&r, "q", "x-expires=1000 x-mine=abc");
    expires(2000);
    rig_turn(&r);
    assert_arguments("x-expires=2000 x-mine=abc");
}
END_TEST

START_TEST(they_act_as_before)
{
    rig_queue(&r, "dead", NULL);
    rig_queue(&r, "q",
              "x-dead-letter-exchange=amq.direct x-dead-letter-routing-key=dead x-max-length=1");
    rig_bind(&r, "amq.direct", "dead", "dead");
    expires(9000);
    rig_put_each(&r, "q", "ab");
    rig_run(&r);
    ck_assert_str_eq(rig_drain(&r, "dead", &text), "a");
    rig_crash(&r, false);
    rig_put_each(&r, "q", "c");
    ck_assert_str_eq(rig_drain(&r, "dead", &text), "a b");
}
END_TEST

START_TEST(a_time_longer_than_any_is_a_hundred_years)
{
    rig_queue(&r, "q", NULL);
    expires(UINT64_MAX - 1);
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert(there());
    rig_run(&r);
    ck_assert_uint_gt(core_next_at_ms(r.core), r.now_ms + UINT64_C(3000000000000));
    ck_assert_uint_lt(core_next_at_ms(r.core), UINT64_MAX);
}
END_TEST

START_TEST(a_queue_of_another_connection_or_none_is_left_alone)
{
    struct queue_spec s = { .name = BYTES("q"), .exclusive = true };
    struct queue_info info;
    const char *why;
    client_id owner = rig_client(&r);

    expires(0);
    ck_assert_int_eq(core_queue_declare(r.core, owner, &s, &info, &why, r.now_ms), OK);
    expires(0);
    rig_run(&r);
    ck_assert(there());
    core_queue_expires(r.core, owner, BYTES("q"), 0);
    rig_run(&r);
    ck_assert(!there());
}
END_TEST

START_TEST(a_client_cannot_declare_the_0)
{
    struct buf args = { 0 };
    struct queue_spec s = { .name = BYTES("q"), .arguments = rig_args(&args, "x-expires=0") };
    struct queue_info info;
    const char *why;

    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), ERR_INVALID);
    buf_fini(&args);
}
END_TEST

Suite *queue_expires_suite(void);

Suite *queue_expires_suite(void)
{
    Suite *s = suite_create("queue_expires");
    TCase *t = tcase_create("queue_expires");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, an_unused_queue_goes_after_the_time_that_was_set_last);
    tcase_add_test(t, it_counts_again_when_the_last_consumer_goes);
    tcase_add_test(t, it_counts_from_the_next_turn);
    tcase_add_test(t, with_0_it_goes_in_the_next_turn);
    tcase_add_test(t, with_0_it_goes_once_it_has_no_consumer);
    tcase_add_test(t, without_end_it_stays);
    tcase_add_test(t, what_was_set_holds_after_a_crash);
    tcase_add_test(t, a_queue_that_was_to_go_when_its_consumer_does_goes_after_a_crash);
    tcase_add_test(t, it_waits_for_the_disk_and_the_same_again_is_not_written);
    tcase_add_test(t, the_other_arguments_stay_as_they_are);
    tcase_add_test(t, they_act_as_before);
    tcase_add_test(t, a_time_longer_than_any_is_a_hundred_years);
    tcase_add_test(t, a_queue_of_another_connection_or_none_is_left_alone);
    tcase_add_test(t, a_client_cannot_declare_the_0);
    suite_add_tcase(s, t);
    return s;
}
