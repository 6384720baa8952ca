// SPDX-License-Identifier: MIT
/* Limits of a queue and of the node, and what becomes of what is too much. */
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

START_TEST(beyond_its_length_a_queue_drops_its_head)
{
    rig_queue(&r, "q", "x-max-length=3");
    rig_put_each(&r, "q", "abcde");
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 3);
    ck_assert_uint_eq(rig_stats(&r).dropped, 2);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "c d e");
}
END_TEST

START_TEST(beyond_its_bytes_a_queue_drops_its_head)
{
    rig_queue(&r, "q", "x-max-length-bytes=250");
    for (int i = 0; i < 5; i++) {
        char body[2] = { (char)('a' + i), 0 };
        ck_assert_int_eq(rig_send(&r, r.client,
                                  &(struct rig_message){ .key = "q", .body = body, .padding = 99 }),
                         PUBLISH_ROUTED);
    }
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 2);
}
END_TEST

START_TEST(what_a_waiting_consumer_takes_does_not_count)
{
    rig_queue(&r, "q", "x-max-length=1");
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 4 });
    rig_put_each(&r, "q", "abcdef");
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "a b c d");
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    ck_assert_uint_eq(rig_stats(&r).dropped, 1);
}
END_TEST

START_TEST(a_limit_holds_for_what_is_on_disk)
{
    struct core_options o = rig_options();

    rig_close(&r);
    o.memory_bytes = 1;
    rig_open(&r, &o);
    rig_queue(&r, "q", "x-max-length=3");
    for (int i = 0; i < 10; i++) {
        char body[2] = { (char)('a' + i), 0 };
        rig_put_each(&r, "q", body);
        rig_run(&r);
    }
    ck_assert_uint_eq(rig_info(&r, "q").ready, 3);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "h i j");
}
END_TEST

START_TEST(a_dropped_head_stays_dropped_after_a_crash)
{
    rig_queue(&r, "q", "x-max-length=2");
    rig_put_each(&r, "q", "ab");
    rig_run(&r);
    rig_put_each(&r, "q", "c");
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "b c");
}
END_TEST

START_TEST(a_queue_may_refuse_instead)
{
    rig_queue(&r, "q", "x-max-length=2 x-overflow=reject-publish");
    rig_put_each(&r, "q", "ab");
    ck_assert_int_eq(rig_put(&r, "q", "c"), PUBLISH_REFUSED);
    ck_assert_uint_eq(rig_stats(&r).refused, 1);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 1 });
    rig_run(&r);
    ck_assert_int_eq(rig_put(&r, "q", "d"), PUBLISH_ROUTED);
    ck_assert_int_eq(rig_put(&r, "q", "e"), PUBLISH_REFUSED);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), OK);
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "a b");
}
END_TEST

START_TEST(a_queue_that_refuses_keeps_what_comes_back_above_its_limit)
{
    rig_queue(&r, "q", "x-max-length=2 x-overflow=reject-publish");
    rig_put_each(&r, "q", "ab");
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    rig_put_each(&r, "q", "cd");
    core_cancel(r.core, r.client, k, r.now_ms);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 4);
    ck_assert_int_eq(rig_put(&r, "q", "e"), PUBLISH_REFUSED);
    rig_forget(&r);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "a b c d");
}
END_TEST

START_TEST(a_queue_may_refuse_by_bytes)
{
    rig_queue(&r, "q", "x-max-length-bytes=3 x-overflow=reject-publish");
    rig_put_each(&r, "q", "abc");
    ck_assert_int_eq(rig_put(&r, "q", "d"), PUBLISH_REFUSED);
    ck_assert_int_eq(rig_put(&r, "q", ""), PUBLISH_ROUTED);
}
END_TEST

START_TEST(one_queue_that_refuses_keeps_the_message_from_all)
{
    const char *names[] = { "q", "w" };

    rig_queue(&r, "q", NULL);
    rig_queue(&r, "w", "x-max-length=0 x-overflow=reject-publish");
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(core_bind(r.core, r.client,
                                   &(struct binding_spec){ .exchange = BYTES("amq.fanout"),
                                                           .target = bytes_str(names[i]) },
                                   NULL),
                         OK);
    ck_assert_int_eq(
        rig_send(&r, r.client, &(struct rig_message){ .exchange = "amq.fanout", .body = "m" }),
        PUBLISH_REFUSED);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
}
END_TEST

START_TEST(a_full_disk_refuses_publishes_and_lets_the_rest_go_on)
{
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "ab");
    rig_run(&r);
    core_disk_free(r.core, 999);
    ck_assert_int_eq(core_pressure(r.core), CORE_PRESSURE_DISK);
    ck_assert_int_eq(rig_put(&r, "q", "c"), PUBLISH_REFUSED);
    r.disk_free = 999;
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "a b");
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), OK);
    (void)core_confirm(r.core, r.client, false);
    rig_run(&r);
    ck_assert_uint_eq(rig_confirmed(&r, r.client), 1);
}
END_TEST

START_TEST(service_resumes_when_there_is_space_and_not_at_the_brink)
{
    rig_queue(&r, "q", NULL);
    core_disk_free(r.core, 999);
    core_disk_free(r.core, 1400);
    ck_assert_int_eq(rig_put(&r, "q", "a"), PUBLISH_REFUSED);
    core_disk_free(r.core, 1500);
    ck_assert_int_eq(rig_put(&r, "q", "b"), PUBLISH_ROUTED);
    core_disk_free(r.core, 1000);
    ck_assert_int_eq(rig_put(&r, "q", "c"), PUBLISH_ROUTED);
    ck_assert_int_eq(core_pressure(r.core), CORE_PRESSURE_NONE);
}
END_TEST

START_TEST(a_message_that_is_too_large_is_refused)
{
    struct core_options o = rig_options();

    rig_close(&r);
    o.message_bytes = 100;
    rig_open(&r, &o);
    rig_queue(&r, "q", NULL);
    ck_assert_int_eq(rig_send(&r, r.client, &(struct rig_message){ .key = "q", .padding = 100 }),
                     PUBLISH_ROUTED);
    ck_assert_int_eq(rig_send(&r, r.client, &(struct rig_message){ .key = "q", .padding = 101 }),
                     PUBLISH_REFUSED);
}
END_TEST

START_TEST(pressure_rises_while_the_disk_is_behind)
{
    struct core_options o = rig_options();

    rig_close(&r);
    o.uncommitted_bytes = 1000;
    rig_open(&r, &o);
    rig_queue(&r, "q", NULL);
    rig_run(&r);
    r.hold_commits = true;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(core_pressure(r.core), CORE_PRESSURE_NONE);
        ck_assert_int_eq(
            rig_send(&r, r.client, &(struct rig_message){ .key = "q", .padding = 600 }),
            PUBLISH_ROUTED);
        rig_turn(&r);
    }
    ck_assert_int_eq(core_pressure(r.core), CORE_PRESSURE_MEMORY);
    rig_commit(&r);
    ck_assert_int_eq(core_pressure(r.core), CORE_PRESSURE_NONE);
    rig_turn(&r);
    rig_commit(&r);
    ck_assert_int_eq(core_pressure(r.core), CORE_PRESSURE_NONE);
}
END_TEST

Suite *limits_suite(void);

Suite *limits_suite(void)
{
    Suite *s = suite_create("limits");
    TCase *t = tcase_create("limits");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, beyond_its_length_a_queue_drops_its_head);
    tcase_add_test(t, beyond_its_bytes_a_queue_drops_its_head);
    tcase_add_test(t, what_a_waiting_consumer_takes_does_not_count);
    tcase_add_test(t, a_limit_holds_for_what_is_on_disk);
    tcase_add_test(t, a_dropped_head_stays_dropped_after_a_crash);
    tcase_add_test(t, a_queue_may_refuse_instead);
    tcase_add_test(t, a_queue_that_refuses_keeps_what_comes_back_above_its_limit);
    tcase_add_test(t, a_queue_may_refuse_by_bytes);
    tcase_add_test(t, one_queue_that_refuses_keeps_the_message_from_all);
    tcase_add_test(t, a_full_disk_refuses_publishes_and_lets_the_rest_go_on);
    tcase_add_test(t, service_resumes_when_there_is_space_and_not_at_the_brink);
    tcase_add_test(t, a_message_that_is_too_large_is_refused);
    tcase_add_test(t, pressure_rises_while_the_disk_is_behind);
    suite_add_tcase(s, t);
    return s;
}
