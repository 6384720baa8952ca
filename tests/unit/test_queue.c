// SPDX-License-Identifier: MIT
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

START_TEST(messages_come_in_the_order_they_were_sent)
{
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "abc");
    rig_run(&r);
    rig_put_each(&r, "q", "def");
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "a b c d e f");
}
END_TEST

START_TEST(what_is_returned_goes_back_to_its_own_place)
{
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "abcd");
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 3 });
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "a b c");
    ck_assert_int_eq(rig_settle(&r, r.client, k, 2, SETTLE_RETURN), OK);
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "b");
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), OK);
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "d");
}
END_TEST

START_TEST(a_client_that_goes_leaves_order_behind)
{
    client_id second = rig_client(&r);

    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "abcde");
    consumer_id k = rig_consume(&r, second, &(struct rig_consume){ .queue = "q", .prefetch = 4 });
    rig_run(&r);
    ck_assert_int_eq(rig_settle(&r, second, k, 2, SETTLE_ACK), OK);
    core_client_close(r.core, second, r.now_ms);
    rig_forget(&r);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "a c d e");
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(r.effect[i].e.deliveries, i < 3);
}
END_TEST

START_TEST(a_returned_message_is_marked_and_counted)
{
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "a");
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });

    for (uint32_t times = 0; times < 3; times++) {
        rig_run(&r);
        const struct rig_effect *d = rig_next(&r, EFFECT_DELIVER);
        ck_assert_ptr_nonnull(d);
        ck_assert_uint_eq(d->e.deliveries, times);
        ck_assert_int_eq(d->e.redelivered, times > 0);
        ck_assert_int_eq(rig_settle(&r, r.client, k, d->e.tag, SETTLE_RETURN), OK);
    }
}
END_TEST

START_TEST(counts_of_ready_and_unacked_follow)
{
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "abc");
    ck_assert_uint_eq(rig_info(&r, "q").ready, 3);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 2 });
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    ck_assert_uint_eq(rig_info(&r, "q").unacked, 2);
    ck_assert_uint_eq(rig_info(&r, "q").consumers, 1);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), OK);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 2, SETTLE_REJECT), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_info(&r, "q").unacked, 1);
}
END_TEST

START_TEST(purge_takes_what_is_ready_and_leaves_what_is_unacked)
{
    uint64_t count = 0;
    const char *why;

    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "abcde");
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 2 });
    rig_run(&r);
    ck_assert_int_eq(core_queue_purge(r.core, r.client, BYTES("q"), &count, &why), OK);
    ck_assert_uint_eq(count, 3);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_info(&r, "q").unacked, 2);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 2, SETTLE_ACK), OK);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_rows(&r), 0);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
}
END_TEST

START_TEST(purge_of_a_queue_on_disk_takes_it_all)
{
    struct core_options o = rig_options();
    uint64_t count = 0;
    const char *why;

    rig_close(&r);
    o.memory_bytes = 1;
    rig_open(&r, &o);
    rig_queue(&r, "q", NULL);
    for (int i = 0; i < 10; i++) {
        rig_put_each(&r, "q", "ab");
        rig_run(&r);
    }
    ck_assert_uint_eq(rig_stats(&r).memory_bytes, 0);
    ck_assert_int_eq(core_queue_purge(r.core, r.client, BYTES("q"), &count, &why), OK);
    ck_assert_uint_eq(count, 20);
    rig_put_each(&r, "q", "c");
    ck_assert_int_eq(core_queue_purge(r.core, r.client, BYTES("q"), &count, &why), OK);
    rig_put_each(&r, "q", "d");
    rig_run(&r);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "d");
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
}
END_TEST

START_TEST(purge_of_a_queue_on_disk_spares_what_comes_back)
{
    struct core_options o = rig_options();
    uint64_t count = 0;
    const char *why;

    rig_close(&r);
    o.memory_bytes = 1;
    rig_open(&r, &o);
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "abcd");
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 2 });
    rig_run(&r);
    r.hold_loads = true;
    ck_assert_int_eq(core_queue_purge(r.core, r.client, BYTES("q"), &count, &why), OK);
    (void)core_confirm(r.core, r.client, false);
    ck_assert_uint_eq(count, 2);
    core_cancel(r.core, r.client, k, r.now_ms);
    rig_turn(&r);
    ck_assert_uint_eq(rig_confirmed(&r, r.client), 0); /* it is not done */
    r.hold_loads = false;
    while (rig_load(&r))
        ;
    rig_run(&r);
    ck_assert_uint_eq(rig_confirmed(&r, r.client), 1);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 2);
    rig_forget(&r);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "a b");
}
END_TEST

START_TEST(what_comes_after_a_purge_of_the_disk_is_delivered)
{
    struct core_options o = rig_options();
    uint64_t count = 0;
    const char *why;

    rig_close(&r);
    o.memory_bytes = 1;
    rig_open(&r, &o);
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "ab");
    rig_run(&r);
    r.hold_loads = true;
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_turn(&r);
    ck_assert_int_eq(core_queue_purge(r.core, r.client, BYTES("q"), &count, &why), OK);
    rig_put_each(&r, "q", "c");
    rig_turn(&r);
    while (rig_load(&r))
        ;
    r.hold_loads = false;
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "c");
}
END_TEST

START_TEST(deleting_a_queue_lets_go_of_its_messages)
{
    uint64_t count = 0;
    const char *why;

    rig_queue(&r, "q", NULL);
    rig_queue(&r, "other", NULL);
    rig_put_each(&r, "q", "abc");
    rig_put_each(&r, "other", "x");
    rig_run(&r);
    ck_assert_uint_eq(rig_rows(&r), 1);
    ck_assert_int_eq(core_queue_delete(r.core, r.client, BYTES("q"), false, false, &count, &why),
                     OK);
    ck_assert_uint_eq(count, 3);
    ck_assert_int_eq(
        core_queue_delete(r.core, r.client, BYTES("other"), false, false, &count, &why), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_rows(&r), 0);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
    ck_assert_uint_eq(rig_stats(&r).queues, 0);
}
END_TEST

START_TEST(a_queue_may_go_while_messages_of_it_are_unacked)
{
    uint64_t count = 0;
    const char *why;
    enum settle how[] = { SETTLE_ACK, SETTLE_RETURN, SETTLE_REJECT };

    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "abcd");
    rig_consume(&r, r.client,
                &(struct rig_consume){ .queue = "q", .prefetch = 3, .shared = true, .handle = 7 });
    rig_run(&r);
    ck_assert_int_eq(core_queue_delete(r.core, r.client, BYTES("q"), false, false, &count, &why),
                     OK);
    rig_run(&r);
    const struct rig_effect *gone = rig_next(&r, EFFECT_DELIVER);
    while (gone && gone->e.kind != EFFECT_CANCELLED)
        gone = rig_next(&r, EFFECT_CANCELLED);
    ck_assert_ptr_nonnull(gone);
    ck_assert_uint_eq(gone->e.handle, 7);
    rig_queue(&r, "q", NULL);
    for (uint64_t tag = 1; tag <= 3; tag++)
        ck_assert_int_eq(rig_settle(&r, r.client, 0, tag, how[tag - 1]), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
    ck_assert_uint_eq(rig_rows(&r), 0);
}
END_TEST

START_TEST(a_consumer_keeps_a_queue_from_expiring)
{
    rig_queue(&r, "q", "x-expires=1000");
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_later(&r, 5000);
    ck_assert_uint_ne(rig_info(&r, "q").queue_id, 0);
    core_cancel(r.core, r.client, k, r.now_ms);
    rig_later(&r, 999);
    ck_assert_uint_eq(rig_stats(&r).queues, 1);
    rig_later(&r, 1);
    ck_assert_uint_eq(rig_stats(&r).queues, 0);
}
END_TEST

START_TEST(a_get_keeps_a_queue_from_expiring)
{
    const char *why;

    rig_queue(&r, "q", "x-expires=1000");
    rig_later(&r, 900);
    ck_assert_int_eq(core_get(r.core, r.client, BYTES("q"), true, 1, &why), OK);
    rig_run(&r);
    rig_later(&r, 900);
    ck_assert_uint_eq(rig_stats(&r).queues, 1);
    rig_later(&r, 100);
    ck_assert_uint_eq(rig_stats(&r).queues, 0);
}
END_TEST

START_TEST(fan_out_gives_each_queue_its_own_copy)
{
    struct binding_spec b = { .exchange = BYTES("amq.fanout") };
    const char *names[] = { "a", "b", "c" };
    const char *why;

    for (int i = 0; i < 3; i++) {
        rig_queue(&r, names[i], NULL);
        b.target = bytes_str(names[i]);
        ck_assert_int_eq(core_bind(r.core, r.client, &b, &why), OK);
    }
    ck_assert_int_eq(
        rig_send(&r, r.client, &(struct rig_message){ .exchange = "amq.fanout", .body = "m" }),
        PUBLISH_ROUTED);
    rig_run(&r);
    ck_assert_uint_eq(rig_rows(&r), 1);
    for (int i = 0; i < 3; i++) {
        consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = names[i] });
        rig_run(&r);
        ck_assert_str_eq(rig_texts(&r, &text), "m");
        ck_assert_uint_eq(rig_rows(&r), 1);
        ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), OK);
        rig_run(&r);
    }
    ck_assert_uint_eq(rig_rows(&r), 0);
}
END_TEST

START_TEST(order_holds_between_durable_and_transient_messages)
{
    rig_queue(&r, "q", NULL);
    for (int i = 0; i < 6; i++) {
        char body[2] = { (char)('a' + i), 0 };
        ck_assert_int_eq(
            rig_send(&r, r.client,
                     &(struct rig_message){ .key = "q", .body = body, .transient = i % 2 }),
            PUBLISH_ROUTED);
        if (i == 2)
            rig_run(&r);
    }
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "a b c d e f");
}
END_TEST

Suite *queue_suite(void);

Suite *queue_suite(void)
{
    Suite *s = suite_create("queue");
    TCase *t = tcase_create("queue");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, messages_come_in_the_order_they_were_sent);
    tcase_add_test(t, what_is_returned_goes_back_to_its_own_place);
    tcase_add_test(t, a_client_that_goes_leaves_order_behind);
    tcase_add_test(t, a_returned_message_is_marked_and_counted);
    tcase_add_test(t, counts_of_ready_and_unacked_follow);
    tcase_add_test(t, purge_takes_what_is_ready_and_leaves_what_is_unacked);
    tcase_add_test(t, purge_of_a_queue_on_disk_takes_it_all);
    tcase_add_test(t, purge_of_a_queue_on_disk_spares_what_comes_back);
    tcase_add_test(t, what_comes_after_a_purge_of_the_disk_is_delivered);
    tcase_add_test(t, deleting_a_queue_lets_go_of_its_messages);
    tcase_add_test(t, a_queue_may_go_while_messages_of_it_are_unacked);
    tcase_add_test(t, a_consumer_keeps_a_queue_from_expiring);
    tcase_add_test(t, a_get_keeps_a_queue_from_expiring);
    tcase_add_test(t, fan_out_gives_each_queue_its_own_copy);
    tcase_add_test(t, order_holds_between_durable_and_transient_messages);
    suite_add_tcase(s, t);
    return s;
}
