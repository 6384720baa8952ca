// SPDX-License-Identifier: MIT
/* Messages with a time: TTL of messages and of queues, and delay. */
#include <check.h>
#include <stdio.h>

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

static void tiny_memory(void)
{
    struct core_options o = rig_options();

    rig_close(&r);
    o.memory_bytes = 1;
    rig_open(&r, &o);
}

static void put_ttl(const char *queue, const char *body, uint64_t ttl_ms)
{
    ck_assert_int_eq(rig_send(&r, r.client,
                              &(struct rig_message){
                                  .key = queue, .body = body, .has_ttl = true, .ttl_ms = ttl_ms }),
                     PUBLISH_ROUTED);
}

static void put_delay(const char *queue, const char *body, uint64_t delay_ms)
{
    ck_assert_int_eq(
        rig_send(&r, r.client,
                 &(struct rig_message){ .key = queue, .body = body, .delay_ms = delay_ms }),
        PUBLISH_ROUTED);
}

START_TEST(a_message_expires_by_its_own_ttl)
{
    rig_queue(&r, "q", NULL);
    put_ttl("q", "a", 100);
    put_ttl("q", "b", 200);
    rig_run(&r);
    rig_later(&r, 99);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 2);
    rig_later(&r, 1);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    ck_assert_uint_eq(rig_stats(&r).expired, 1);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "b");
}
END_TEST

START_TEST(one_in_the_middle_of_a_queue_expires_too)
{
    rig_queue(&r, "q", NULL);
    ck_assert_int_eq(rig_put(&r, "q", "a"), PUBLISH_ROUTED);
    put_ttl("q", "b", 10);
    ck_assert_int_eq(rig_put(&r, "q", "c"), PUBLISH_ROUTED);
    rig_run(&r);
    rig_later(&r, 10);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "a c");
}
END_TEST

START_TEST(the_core_wakes_for_the_earliest)
{
    rig_queue(&r, "q", NULL);
    put_ttl("q", "a", 500);
    put_ttl("q", "b", 100);
    put_ttl("q", "c", 300);
    rig_run(&r);
    ck_assert_uint_eq(core_next_at_ms(r.core), r.now_ms + 100);
    rig_later(&r, 100);
    ck_assert_uint_eq(core_next_at_ms(r.core), r.now_ms + 200);
    rig_later(&r, 200);
    rig_later(&r, 200);
    ck_assert_uint_eq(core_next_at_ms(r.core), UINT64_MAX);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
}
END_TEST

START_TEST(the_lesser_of_both_ttls_counts)
{
    rig_queue(&r, "q", "x-message-ttl=100");
    put_ttl("q", "short", 50);
    put_ttl("q", "long", 500);
    ck_assert_int_eq(rig_put(&r, "q", "plain"), PUBLISH_ROUTED);
    rig_run(&r);
    rig_later(&r, 50);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 2);
    rig_later(&r, 50);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
}
END_TEST

START_TEST(what_is_unacked_does_not_expire_until_it_comes_back)
{
    rig_queue(&r, "q", "x-message-ttl=100");
    ck_assert_int_eq(rig_put(&r, "q", "a"), PUBLISH_ROUTED);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    rig_later(&r, 1000);
    ck_assert_uint_eq(rig_info(&r, "q").unacked, 1);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_RETURN), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").unacked, 0);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 1);
    ck_assert_uint_eq(rig_stats(&r).expired, 1);
    ck_assert_uint_eq(rig_rows(&r), 0);
}
END_TEST

START_TEST(what_comes_back_after_its_time_expires_without_a_consumer)
{
    rig_queue(&r, "q", "x-message-ttl=100");
    ck_assert_int_eq(rig_put(&r, "q", "a"), PUBLISH_ROUTED);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    rig_later(&r, 1000);
    core_cancel(r.core, r.client, k, r.now_ms);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_rows(&r), 0);
}
END_TEST

START_TEST(what_comes_back_in_time_expires_in_its_time)
{
    rig_queue(&r, "q", "x-message-ttl=100");
    ck_assert_int_eq(rig_put(&r, "q", "a"), PUBLISH_ROUTED);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    rig_later(&r, 50);
    core_cancel(r.core, r.client, k, r.now_ms);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    rig_later(&r, 50);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
}
END_TEST

START_TEST(messages_expire_after_a_crash_too)
{
    rig_queue(&r, "q", NULL);
    put_ttl("q", "a", 100);
    put_ttl("q", "b", 1000);
    rig_run(&r);
    r.now_ms += 200;
    rig_crash(&r, false);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    rig_later(&r, 800);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_rows(&r), 0);
}
END_TEST

START_TEST(messages_on_disk_expire)
{
    tiny_memory();
    rig_queue(&r, "q", NULL);
    for (int i = 0; i < 10; i++) {
        put_ttl("q", "a", 100 + 10 * (uint64_t)i);
        rig_run(&r);
    }
    ck_assert_uint_eq(rig_stats(&r).memory_bytes, 0);
    rig_later(&r, 140);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 5);
    rig_later(&r, 50);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_rows(&r), 0);
}
END_TEST

START_TEST(a_message_with_no_time_at_all_reaches_a_waiting_consumer_only)
{
    rig_queue(&r, "q", NULL);
    put_ttl("q", "a", 0);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    put_ttl("q", "b", 0);
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "b");
}
END_TEST

/* A turn that reads much takes milliseconds; who waits gets it all the same. */
START_TEST(a_ttl_of_0_outlives_the_turn_it_came_in)
{
    (void)rig_queue(&r, "q", "x-message-ttl=0");
    (void)rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_int_eq(rig_put(&r, "q", "a"), PUBLISH_ROUTED);
    r.now_ms += 7;
    rig_run(&r);
    ck_assert_str_eq(rig_next_text(&r), "a");
}
END_TEST

START_TEST(expired_messages_are_dead_lettered)
{
    rig_queue(&r, "dead", NULL);
    rig_queue(&r, "q", "x-dead-letter-exchange=amq.direct x-dead-letter-routing-key=dead");
    ck_assert_int_eq(core_bind(r.core, r.client,
                               &(struct binding_spec){ .exchange = BYTES("amq.direct"),
                                                       .target = BYTES("dead"),
                                                       .routing_key = BYTES("dead") },
                               NULL),
                     OK);
    put_ttl("q", "a", 10);
    put_ttl("q", "b", 20);
    rig_run(&r);
    rig_later(&r, 15);
    rig_later(&r, 15);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_info(&r, "dead").ready, 2);
    rig_later(&r, 10000); /* the ttl does not go along */
    ck_assert_str_eq(rig_drain(&r, "dead", &text), "a b");
}
END_TEST

START_TEST(messages_on_disk_are_dead_lettered_when_they_expire)
{
    tiny_memory();
    rig_queue(&r, "dead", NULL);
    rig_queue(&r, "q",
              "x-message-ttl=10 x-dead-letter-exchange=amq.direct x-dead-letter-routing-key=dead");
    ck_assert_int_eq(core_bind(r.core, r.client,
                               &(struct binding_spec){ .exchange = BYTES("amq.direct"),
                                                       .target = BYTES("dead"),
                                                       .routing_key = BYTES("dead") },
                               NULL),
                     OK);
    ck_assert_int_eq(rig_put(&r, "q", "a"), PUBLISH_ROUTED);
    rig_run(&r);
    ck_assert_int_eq(rig_put(&r, "q", "b"), PUBLISH_ROUTED);
    rig_run(&r);
    ck_assert_uint_eq(rig_stats(&r).memory_bytes, 0);
    rig_later(&r, 10);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_str_eq(rig_drain(&r, "dead", &text), "a b");
}
END_TEST

START_TEST(a_delayed_message_comes_when_it_is_due)
{
    rig_queue(&r, "q", NULL);
    put_delay("q", "late", 100);
    ck_assert_int_eq(rig_put(&r, "q", "now"), PUBLISH_ROUTED);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "now");
    ck_assert_uint_eq(core_next_at_ms(r.core), r.now_ms + 100);
    rig_later(&r, 99);
    ck_assert_str_eq(rig_texts(&r, &text), "");
    rig_later(&r, 1);
    ck_assert_str_eq(rig_texts(&r, &text), "late");
}
END_TEST

START_TEST(delayed_messages_come_in_order_of_their_times)
{
    rig_queue(&r, "q", NULL);
    put_delay("q", "c", 300);
    put_delay("q", "a", 100);
    rig_run(&r);
    put_delay("q", "b", 200);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    for (int i = 0; i < 30; i++)
        rig_later(&r, 10);
    ck_assert_str_eq(rig_texts(&r, &text), "a b c");
}
END_TEST

START_TEST(of_several_that_are_due_at_once_the_earliest_comes_first)
{
    rig_queue(&r, "q", NULL);
    put_delay("q", "c", 300);
    put_delay("q", "a", 100);
    put_delay("q", "b", 200);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    rig_later(&r, 1000);
    ck_assert_str_eq(rig_texts(&r, &text), "a b c");
}
END_TEST

START_TEST(a_delay_survives_a_crash)
{
    rig_queue(&r, "q", NULL);
    put_delay("q", "late", 1000);
    (void)core_confirm(r.core, r.client, false);
    rig_run(&r);
    ck_assert_uint_eq(rig_confirmed(&r, r.client), 1);
    r.now_ms += 500;
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    rig_later(&r, 499);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    rig_later(&r, 1);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    rig_crash(&r, false);
    rig_later(&r, 5000);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "late");
}
END_TEST

START_TEST(a_delayed_message_is_never_in_two_places)
{
    rig_queue(&r, "q", NULL);
    put_delay("q", "late", 100);
    rig_run(&r);
    r.hold_commits = true;
    rig_later(&r, 100);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    rig_crash(&r, false); /* before the move was on disk */
    r.hold_commits = false;
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    rig_crash(&r, false); /* after it */
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
}
END_TEST

START_TEST(the_ttl_of_a_delayed_message_counts_from_its_time)
{
    rig_queue(&r, "q", NULL);
    ck_assert_int_eq(
        rig_send(&r, r.client,
                 &(struct rig_message){
                     .key = "q", .body = "a", .delay_ms = 100, .has_ttl = true, .ttl_ms = 50 }),
        PUBLISH_ROUTED);
    rig_run(&r);
    rig_later(&r, 100);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    rig_later(&r, 50);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
}
END_TEST

START_TEST(a_delayed_message_is_routed_by_what_is_bound_when_it_is_due)
{
    rig_queue(&r, "q", NULL);
    ck_assert_int_eq(
        rig_send(&r, r.client,
                 &(struct rig_message){
                     .exchange = "amq.topic", .key = "a.b", .body = "m", .delay_ms = 100 }),
        PUBLISH_ROUTED);
    ck_assert_int_eq(rig_send(&r, r.client,
                              &(struct rig_message){
                                  .exchange = "none", .key = "a.b", .body = "m", .delay_ms = 100 }),
                     PUBLISH_NO_EXCHANGE);
    ck_assert_int_eq(core_bind(r.core, r.client,
                               &(struct binding_spec){ .exchange = BYTES("amq.topic"),
                                                       .target = BYTES("q"),
                                                       .routing_key = BYTES("a.*") },
                               NULL),
                     OK);
    rig_later(&r, 100);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "m");
}
END_TEST

START_TEST(delayed_messages_on_disk_come_when_they_are_due)
{
    tiny_memory();
    rig_queue(&r, "q", NULL);
    for (int i = 0; i < 10; i++) {
        char body[2] = { (char)('a' + i), 0 };
        put_delay("q", body, 100 + 10 * (uint64_t)i);
        rig_run(&r);
    }
    ck_assert_uint_eq(rig_stats(&r).memory_bytes, 0);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    for (int i = 0; i < 20; i++)
        rig_later(&r, 10);
    ck_assert_str_eq(rig_texts(&r, &text), "a b c d e f g h i j");
}
END_TEST

START_TEST(nobody_can_reach_the_queue_where_delayed_messages_wait)
{
    struct consume s = { .queue = BYTES("lodge.delay") };
    const char *why = NULL;
    uint64_t count;
    consumer_id k;

    rig_queue(&r, "q", NULL);
    put_delay("q", "late", 100);
    ck_assert_int_eq(core_consume(r.core, r.client, &s, &k, &why), ERR_NOT_FOUND);
    ck_assert_int_eq(core_get(r.core, r.client, s.queue, true, 0, &why), ERR_NOT_FOUND);
    ck_assert_int_eq(core_queue_purge(r.core, r.client, s.queue, &count, &why), ERR_NOT_FOUND);
    ck_assert_int_eq(core_queue_delete(r.core, r.client, s.queue, false, false, &count, &why),
                     ERR_NOT_FOUND);
    ck_assert_int_eq(rig_put(&r, "lodge.delay", "x"), PUBLISH_UNROUTED);
    struct queue_spec q = { .name = s.queue, .durable = true };
    struct queue_info info;
    ck_assert_int_ne(core_queue_declare(r.core, r.client, &q, &info, &why, r.now_ms), OK);
}
END_TEST

START_TEST(the_queue_of_delayed_messages_cannot_be_taken_beforehand)
{
    struct queue_spec q = { .name = BYTES("lodge.delay"), .durable = true };
    struct queue_info info;
    const char *why = NULL;

    ck_assert_int_eq(core_queue_declare(r.core, r.client, &q, &info, &why, r.now_ms), ERR_REFUSED);
    ck_assert_ptr_nonnull(why);
}
END_TEST

Suite *due_suite(void);

Suite *due_suite(void)
{
    Suite *s = suite_create("due");
    TCase *t = tcase_create("due");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_message_expires_by_its_own_ttl);
    tcase_add_test(t, one_in_the_middle_of_a_queue_expires_too);
    tcase_add_test(t, the_core_wakes_for_the_earliest);
    tcase_add_test(t, the_lesser_of_both_ttls_counts);
    tcase_add_test(t, what_is_unacked_does_not_expire_until_it_comes_back);
    tcase_add_test(t, what_comes_back_after_its_time_expires_without_a_consumer);
    tcase_add_test(t, what_comes_back_in_time_expires_in_its_time);
    tcase_add_test(t, messages_expire_after_a_crash_too);
    tcase_add_test(t, messages_on_disk_expire);
    tcase_add_test(t, a_message_with_no_time_at_all_reaches_a_waiting_consumer_only);
    tcase_add_test(t, a_ttl_of_0_outlives_the_turn_it_came_in);
    tcase_add_test(t, expired_messages_are_dead_lettered);
    tcase_add_test(t, messages_on_disk_are_dead_lettered_when_they_expire);
    tcase_add_test(t, a_delayed_message_comes_when_it_is_due);
    tcase_add_test(t, delayed_messages_come_in_order_of_their_times);
    tcase_add_test(t, of_several_that_are_due_at_once_the_earliest_comes_first);
    tcase_add_test(t, a_delay_survives_a_crash);
    tcase_add_test(t, a_delayed_message_is_never_in_two_places);
    tcase_add_test(t, the_ttl_of_a_delayed_message_counts_from_its_time);
    tcase_add_test(t, a_delayed_message_is_routed_by_what_is_bound_when_it_is_due);
    tcase_add_test(t, delayed_messages_on_disk_come_when_they_are_due);
    tcase_add_test(t, nobody_can_reach_the_queue_where_delayed_messages_wait);
    tcase_add_test(t, the_queue_of_delayed_messages_cannot_be_taken_beforehand);
    suite_add_tcase(s, t);
    return s;
}
