// SPDX-License-Identifier: MIT
/* Priorities of messages: x-max-priority. */
#include <check.h>
#include <stdio.h>

#include "tests/lib/core_rig.h"

static struct rig r;
static struct buf text;

static void setup(void)
{
    rig_open(&r, NULL);
    rig_queue(&r, "q", "x-max-priority=5");
    rig_run(&r);
}

static void teardown(void)
{
    rig_close(&r);
    buf_fini(&text);
}

static void put(const char *body, uint8_t priority)
{
    ck_assert_int_eq(
        rig_send(&r, r.client,
                 &(struct rig_message){ .key = "q", .body = body, .priority = priority }),
        PUBLISH_ROUTED);
}

static const char *drain(void)
{
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    return rig_texts(&r, &text);
}

START_TEST(the_highest_comes_first_and_order_holds_within_one)
{
    put("a", 1);
    put("b", 5);
    put("c", 0);
    put("d", 5);
    rig_run(&r);
    put("e", 1);
    put("f", 3);
    ck_assert_str_eq(drain(), "b d f a e c");
}
END_TEST

START_TEST(above_the_highest_counts_as_the_highest)
{
    put("a", 5);
    put("b", 200);
    put("c", 5);
    ck_assert_str_eq(drain(), "a b c");
}
END_TEST

START_TEST(without_the_argument_priorities_mean_nothing)
{
    rig_queue(&r, "plain", NULL);
    for (uint8_t i = 0; i < 3; i++) {
        char body[2] = { (char)('a' + i), 0 };
        ck_assert_int_eq(
            rig_send(&r, r.client,
                     &(struct rig_message){ .key = "plain", .body = body, .priority = i }),
            PUBLISH_ROUTED);
    }
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "plain" });
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "a b c");
}
END_TEST

START_TEST(a_later_message_of_higher_priority_overtakes)
{
    put("a", 1);
    put("b", 1);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 1 });
    rig_run(&r);
    put("c", 2);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), OK);
    rig_run(&r);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 2, SETTLE_ACK), OK);
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "a c b");
}
END_TEST

START_TEST(what_comes_back_has_its_place_in_its_priority)
{
    put("a", 1);
    put("b", 2);
    put("c", 2);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 2 });
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "b c");
    core_cancel(r.core, r.client, k, r.now_ms);
    put("d", 2);
    ck_assert_str_eq(drain(), "b c d a");
}
END_TEST

START_TEST(priorities_survive_a_crash)
{
    put("a", 1);
    put("b", 4);
    rig_run(&r);
    put("c", 4);
    put("d", 0);
    rig_run(&r);
    rig_crash(&r, false);
    put("e", 5);
    ck_assert_str_eq(drain(), "e b c a d");
}
END_TEST

START_TEST(priorities_hold_for_what_is_on_disk)
{
    struct core_options o = rig_options();

    rig_close(&r);
    o.memory_bytes = 1;
    rig_open(&r, &o);
    rig_queue(&r, "q", "x-max-priority=3");
    for (uint8_t i = 0; i < 8; i++) {
        char body[2] = { (char)('a' + i), 0 };
        put(body, i % 4);
        rig_run(&r);
    }
    ck_assert_str_eq(drain(), "d h c g b f a e");
}
END_TEST

START_TEST(a_full_queue_drops_its_head_whatever_its_priority)
{
    rig_queue(&r, "small", "x-max-priority=3 x-max-length=2");
    const uint8_t priority[] = { 3, 0, 2, 1 };
    for (int i = 0; i < 4; i++) {
        char body[2] = { (char)('a' + i), 0 };
        ck_assert_int_eq(rig_send(&r, r.client,
                                  &(struct rig_message){
                                      .key = "small", .body = body, .priority = priority[i] }),
                         PUBLISH_ROUTED);
    }
    rig_run(&r);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "small" });
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "d b"); /* RabbitMQ, "Priority Queue Support" */
}
END_TEST

Suite *priority_suite(void);

Suite *priority_suite(void)
{
    Suite *s = suite_create("priority");
    TCase *t = tcase_create("priority");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_highest_comes_first_and_order_holds_within_one);
    tcase_add_test(t, above_the_highest_counts_as_the_highest);
    tcase_add_test(t, without_the_argument_priorities_mean_nothing);
    tcase_add_test(t, a_later_message_of_higher_priority_overtakes);
    tcase_add_test(t, what_comes_back_has_its_place_in_its_priority);
    tcase_add_test(t, priorities_survive_a_crash);
    tcase_add_test(t, priorities_hold_for_what_is_on_disk);
    tcase_add_test(t, a_full_queue_drops_its_head_whatever_its_priority);
    suite_add_tcase(s, t);
    return s;
}
