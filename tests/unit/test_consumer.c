// SPDX-License-Identifier: MIT
#include <check.h>
#include <stdio.h>

#include "tests/lib/core_rig.h"

static struct rig r;
static struct buf text;

static void setup(void)
{
    rig_open(&r, NULL);
    rig_queue(&r, "q", NULL);
}

static void teardown(void)
{
    rig_close(&r);
    buf_fini(&text);
}

static void put_many(const char *queue, int n)
{
    char body[16];

    for (int i = 0; i < n; i++) {
        (void)snprintf(body, sizeof body, "%d", i);
        ck_assert_int_eq(rig_put(&r, queue, body), PUBLISH_ROUTED);
    }
}

static size_t given_to(uint64_t handle)
{
    size_t n = 0;

    for (size_t i = 0; i < r.count; i++)
        n += r.effect[i].e.kind == EFFECT_DELIVER && r.effect[i].e.handle == handle;
    return n;
}

START_TEST(no_more_is_unacked_than_the_prefetch)
{
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 2 });

    put_many("q", 5);
    rig_run(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 2);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 2, SETTLE_ACK), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 3);
}
END_TEST

START_TEST(without_a_prefetch_the_limit_of_the_node_holds)
{
    struct core_options o = rig_options();

    rig_close(&r);
    o.unacked = 3;
    rig_open(&r, &o);
    rig_queue(&r, "q", NULL);
    put_many("q", 5);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 3);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 4);
}
END_TEST

START_TEST(a_full_shared_ledger_lets_its_other_consumers_go_on)
{
    struct core_options o = rig_options();

    rig_close(&r);
    o.unacked = 2;
    rig_open(&r, &o);
    rig_queue(&r, "q", NULL);
    rig_queue(&r, "w", NULL);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .shared = true, .handle = 1 });
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "w", .shared = true, .handle = 2 });
    put_many("q", 2);
    rig_run(&r);
    put_many("w", 1);
    rig_run(&r);
    ck_assert_uint_eq(given_to(2), 0);
    ck_assert_int_eq(rig_settle(&r, r.client, 0, 1, SETTLE_ACK), OK);
    rig_run(&r);
    ck_assert_uint_eq(given_to(2), 1);
}
END_TEST

START_TEST(consumers_take_turns)
{
    for (uint64_t i = 1; i <= 3; i++)
        rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .handle = i });
    put_many("q", 9);
    rig_run(&r);
    for (uint64_t i = 1; i <= 3; i++)
        ck_assert_uint_eq(given_to(i), 3);
    ck_assert_uint_ne(r.effect[0].e.handle, r.effect[1].e.handle);
}
END_TEST

START_TEST(turns_go_on_over_many_small_publishes)
{
    for (uint64_t i = 1; i <= 2; i++)
        rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .handle = i });
    for (int i = 0; i < 10; i++) {
        put_many("q", 1);
        rig_run(&r);
    }
    ck_assert_uint_eq(given_to(1), 5);
    ck_assert_uint_eq(given_to(2), 5);
}
END_TEST

START_TEST(a_higher_priority_is_served_first_while_it_has_credit)
{
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .handle = 1, .priority = -1 });
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .handle = 2 });
    rig_consume(&r, r.client,
                &(struct rig_consume){ .queue = "q", .handle = 3, .priority = 5, .prefetch = 2 });
    put_many("q", 3);
    rig_run(&r);
    ck_assert_uint_eq(given_to(3), 2);
    ck_assert_uint_eq(given_to(2), 1);
    ck_assert_uint_eq(given_to(1), 0);
}
END_TEST

START_TEST(an_exclusive_consumer_is_alone)
{
    consumer_id k = rig_consume(&r, r.client,
                                &(struct rig_consume){ .queue = "q", .exclusive = true });

    ck_assert_uint_ne(k, 0);
    ck_assert_uint_eq(rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" }), 0);
    core_cancel(r.core, r.client, k, r.now_ms);
    ck_assert_uint_ne(rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" }), 0);
    ck_assert_uint_eq(
        rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .exclusive = true }), 0);
}
END_TEST

START_TEST(without_acks_a_message_is_done_when_it_is_given)
{
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .no_ack = true });
    put_many("q", 100);
    rig_run(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 100);
    ck_assert_uint_eq(rig_info(&r, "q").unacked, 0);
    ck_assert_uint_eq(rig_rows(&r), 0);
    ck_assert_uint_eq(r.batches_put, 0);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
}
END_TEST

START_TEST(cancel_returns_what_is_in_a_ledger_of_its_own)
{
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });

    put_many("q", 3);
    rig_run(&r);
    core_cancel(r.core, r.client, k, r.now_ms);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 3);
    ck_assert_uint_eq(rig_info(&r, "q").unacked, 0);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), ERR_NOT_FOUND);
}
END_TEST

START_TEST(cancel_leaves_a_shared_ledger_as_it_is)
{
    consumer_id k = rig_consume(&r, r.client,
                                &(struct rig_consume){ .queue = "q", .shared = true });

    put_many("q", 3);
    rig_run(&r);
    core_cancel(r.core, r.client, k, r.now_ms);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").unacked, 3);
    ck_assert_int_eq(core_settle(r.core, r.client, 0, 2, true, SETTLE_ACK, r.now_ms), OK);
    ck_assert_int_eq(rig_settle(&r, r.client, 0, 3, SETTLE_RETURN), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    ck_assert_uint_eq(rig_info(&r, "q").unacked, 0);
}
END_TEST

START_TEST(a_slow_reader_gets_no_more_than_it_has_room_for)
{
    client_id slow = rig_client(&r);

    core_client_room(r.core, slow, 0);
    rig_consume(&r, slow, &(struct rig_consume){ .queue = "q" });
    put_many("q", 10);
    rig_run(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 0);
    core_client_room(r.core, slow, 600);
    rig_run(&r);
    size_t first = rig_count(&r, EFFECT_DELIVER);
    ck_assert_uint_ge(first, 2);
    ck_assert_uint_le(first, 4);
    core_client_room(r.core, slow, SIZE_MAX);
    rig_run(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 10);
}
END_TEST

START_TEST(a_slow_reader_does_not_hold_up_the_others)
{
    client_id slow = rig_client(&r);

    core_client_room(r.core, slow, 1);
    rig_consume(&r, slow, &(struct rig_consume){ .queue = "q", .handle = 1 });
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .handle = 2 });
    put_many("q", 10);
    rig_run(&r);
    ck_assert_uint_eq(given_to(1), 1);
    ck_assert_uint_eq(given_to(2), 9);
}
END_TEST

START_TEST(the_prefetch_of_a_client_is_over_all_its_consumers)
{
    rig_queue(&r, "w", NULL);
    core_client_prefetch(r.core, r.client, 3);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .shared = true, .handle = 1 });
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "w", .shared = true, .handle = 2 });
    put_many("q", 3);
    rig_run(&r);
    put_many("w", 3);
    rig_run(&r);
    ck_assert_uint_eq(given_to(1), 3);
    ck_assert_uint_eq(given_to(2), 0);
    ck_assert_int_eq(core_settle(r.core, r.client, 0, 2, true, SETTLE_ACK, r.now_ms), OK);
    rig_run(&r);
    ck_assert_uint_eq(given_to(2), 2);
    core_client_prefetch(r.core, r.client, 0);
    rig_run(&r);
    ck_assert_uint_eq(given_to(2), 3);
}
END_TEST

START_TEST(a_cancelled_consumer_gives_back_the_credit_of_its_client)
{
    rig_queue(&r, "w", NULL);
    core_client_prefetch(r.core, r.client, 2);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .handle = 1 });
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "w", .handle = 2 });
    put_many("q", 2);
    rig_run(&r);
    put_many("w", 2);
    rig_run(&r);
    ck_assert_uint_eq(given_to(2), 0);
    core_cancel(r.core, r.client, k, r.now_ms);
    rig_run(&r);
    ck_assert_uint_eq(given_to(2), 2);
}
END_TEST

START_TEST(settling_upto_a_tag_takes_all_before_it)
{
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });

    put_many("q", 6);
    rig_run(&r);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 2, SETTLE_RETURN), OK);
    ck_assert_int_eq(core_settle(r.core, r.client, k, 4, true, SETTLE_ACK, r.now_ms), OK);
    rig_forget(&r);
    rig_run(&r);
    ck_assert_str_eq(rig_next_text(&r), "1");
    ck_assert_uint_eq(rig_info(&r, "q").unacked, 3);
    ck_assert_int_eq(core_settle(r.core, r.client, k, 0, true, SETTLE_ACK, r.now_ms), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").unacked, 0);
    ck_assert_uint_eq(rig_rows(&r), 0);
}
END_TEST

START_TEST(an_unknown_tag_is_told)
{
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });

    put_many("q", 2);
    rig_run(&r);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 3, SETTLE_ACK), ERR_NOT_FOUND);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), OK);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), ERR_NOT_FOUND);
    ck_assert_int_eq(rig_settle(&r, r.client, 0, 2, SETTLE_ACK), ERR_NOT_FOUND);
    ck_assert_int_eq(rig_settle(&r, rig_client(&r), k, 2, SETTLE_ACK), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_tag_is_found_by_the_place_of_its_message)
{
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });

    put_many("q", 3);
    rig_run(&r);
    const struct effect *e = &r.effect[1].e;
    ck_assert_uint_eq(core_tag_find(r.core, r.client, k, e->queue_id, e->seq), e->tag);
    ck_assert_uint_eq(core_tag_find(r.core, r.client, k, e->queue_id + 1, e->seq), 0);
    ck_assert_int_eq(rig_settle(&r, r.client, k, e->tag, SETTLE_ACK), OK);
    ck_assert_uint_eq(core_tag_find(r.core, r.client, k, e->queue_id, e->seq), 0);
}
END_TEST

START_TEST(the_oldest_unacked_delivery_of_the_shared_ledger_is_told)
{
    ck_assert_uint_eq(core_unacked_oldest(r.core, r.client), 0);
    put_many("q", 4);
    consumer_id own = rig_consume(&r, r.client,
                                  &(struct rig_consume){ .queue = "q", .prefetch = 1 });
    rig_run(&r);
    ck_assert_uint_eq(core_unacked_oldest(r.core, r.client), 0); /* in a ledger of its own */
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .shared = true });
    rig_run(&r);
    ck_assert_uint_eq(core_unacked_oldest(r.core, r.client), 1);
    ck_assert_int_eq(rig_settle(&r, r.client, 0, 2, SETTLE_ACK), OK);
    ck_assert_uint_eq(core_unacked_oldest(r.core, r.client), 1);
    ck_assert_int_eq(rig_settle(&r, r.client, 0, 1, SETTLE_ACK), OK);
    ck_assert_uint_eq(core_unacked_oldest(r.core, r.client), 3);
    ck_assert_int_eq(rig_settle(&r, r.client, 0, 3, SETTLE_ACK), OK);
    ck_assert_uint_eq(core_unacked_oldest(r.core, r.client), 0);
    core_cancel(r.core, r.client, own, r.now_ms);
}
END_TEST

START_TEST(get_gives_one_message_or_says_that_there_is_none)
{
    const char *why;

    put_many("q", 2);
    ck_assert_int_eq(core_get(r.core, r.client, BYTES("q"), false, 11, &why), OK);
    ck_assert_int_eq(core_get(r.core, r.client, BYTES("q"), true, 12, &why), OK);
    ck_assert_int_eq(core_get(r.core, r.client, BYTES("q"), false, 13, &why), OK);
    ck_assert_int_eq(core_get(r.core, r.client, BYTES("none"), false, 14, &why), ERR_NOT_FOUND);
    rig_run(&r);
    ck_assert_uint_eq(r.count, 3);
    ck_assert_uint_eq(r.effect[0].e.handle, 11);
    ck_assert_str_eq(r.effect[0].text, "0");
    ck_assert_str_eq(r.effect[1].text, "1");
    ck_assert_int_eq(r.effect[2].e.kind, EFFECT_GET_EMPTY);
    ck_assert_uint_eq(r.effect[2].e.handle, 13);
    ck_assert_uint_eq(rig_info(&r, "q").unacked, 1);
    ck_assert_int_eq(rig_settle(&r, r.client, 0, r.effect[0].e.tag, SETTLE_ACK), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_rows(&r), 0);
}
END_TEST

START_TEST(get_waits_for_a_message_that_is_on_disk)
{
    struct core_options o = rig_options();
    const char *why;

    rig_close(&r);
    o.memory_bytes = 1;
    rig_open(&r, &o);
    rig_queue(&r, "q", NULL);
    put_many("q", 1);
    rig_run(&r);
    r.hold_loads = true;
    ck_assert_int_eq(core_get(r.core, r.client, BYTES("q"), false, 5, &why), OK);
    rig_turn(&r);
    rig_turn(&r);
    ck_assert_uint_eq(r.count, 0);
    ck_assert(rig_load(&r));
    rig_turn(&r);
    ck_assert_str_eq(rig_next_text(&r), "0");
}
END_TEST

START_TEST(a_get_ends_with_its_client_or_its_queue)
{
    struct core_options o = rig_options();
    client_id second;
    uint64_t count;
    const char *why;

    rig_close(&r);
    o.memory_bytes = 1;
    rig_open(&r, &o);
    rig_queue(&r, "q", NULL);
    put_many("q", 1);
    rig_run(&r);
    r.hold_loads = true;
    second = rig_client(&r);
    ck_assert_int_eq(core_get(r.core, second, BYTES("q"), false, 5, &why), OK);
    ck_assert_int_eq(core_get(r.core, r.client, BYTES("q"), false, 6, &why), OK);
    rig_turn(&r);
    core_client_close(r.core, second, r.now_ms);
    ck_assert_int_eq(core_queue_delete(r.core, r.client, BYTES("q"), false, false, &count, &why),
                     OK);
    rig_turn(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_GET_EMPTY), 1);
    ck_assert_uint_eq(r.effect[0].e.handle, 6);
    while (rig_load(&r))
        ;
    r.hold_loads = false;
    rig_run(&r);
    ck_assert_uint_eq(rig_rows(&r), 0);
}
END_TEST

START_TEST(a_get_that_waits_for_a_commit_ends_with_its_queue)
{
    uint64_t count;
    const char *why;

    put_many("q", 1);
    rig_run(&r);
    r.hold_commits = true;
    ck_assert_int_eq(core_get(r.core, r.client, BYTES("q"), false, 5, &why), OK);
    rig_turn(&r); /* that the queue is consumed goes to disk first */
    ck_assert_uint_eq(r.count, 0);
    ck_assert_int_eq(core_queue_delete(r.core, r.client, BYTES("q"), false, false, &count, &why),
                     OK);
    rig_turn(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_GET_EMPTY), 1);
    ck_assert_uint_eq(r.effect[0].e.handle, 5);
    rig_commit(&r);
    r.hold_commits = false;
    rig_run(&r);
    ck_assert_uint_eq(r.count, 1);
}
END_TEST

START_TEST(a_get_ends_when_a_sibling_deletes_its_exclusive_queue)
{
    struct queue_spec s = { .name = BYTES("mine"), .exclusive = true, .auto_delete = true };
    client_id connection = rig_client(&r), one = rig_join(&r, connection);
    struct queue_info info;
    uint64_t count;

    ck_assert_int_eq(core_queue_declare(r.core, one, &s, &info, NULL, r.now_ms), OK);
    ck_assert_int_eq(core_get(r.core, one, s.name, false, 5, NULL), OK);
    ck_assert_int_eq(core_queue_delete(r.core, connection, s.name, false, false, &count, NULL), OK);
    rig_turn(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_GET_EMPTY), 1);
    core_client_close(r.core, one, r.now_ms);
    core_client_close(r.core, connection, r.now_ms);
    rig_run(&r);
    ck_assert_uint_eq(r.count, 1);
}
END_TEST

START_TEST(a_get_is_answered_though_its_client_has_no_room)
{
    put_many("q", 1);
    core_client_room(r.core, r.client, 0);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .handle = 1 });
    ck_assert_int_eq(core_get(r.core, r.client, BYTES("q"), false, 5, NULL), OK);
    rig_run(&r);
    ck_assert_uint_eq(given_to(1), 0);
    ck_assert_uint_eq(given_to(5), 1);
    ck_assert_int_eq(core_get(r.core, r.client, BYTES("q"), false, 6, NULL), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_GET_EMPTY), 1);
}
END_TEST

START_TEST(too_many_consumers_are_refused)
{
    struct core_options o = rig_options();
    struct consume s = { .queue = BYTES("q") };
    const char *why = NULL;
    consumer_id k;

    rig_close(&r);
    o.consumers = 1;
    rig_open(&r, &o);
    rig_queue(&r, "q", NULL);
    ck_assert_int_eq(core_consume(r.core, r.client, &s, &k, &why), OK);
    ck_assert_int_eq(core_consume(r.core, r.client, &s, &k, &why), ERR_LIMIT);
    ck_assert_ptr_nonnull(why);
}
END_TEST

Suite *consumer_suite(void);

Suite *consumer_suite(void)
{
    Suite *s = suite_create("consumer");
    TCase *t = tcase_create("consumer");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, no_more_is_unacked_than_the_prefetch);
    tcase_add_test(t, without_a_prefetch_the_limit_of_the_node_holds);
    tcase_add_test(t, a_full_shared_ledger_lets_its_other_consumers_go_on);
    tcase_add_test(t, consumers_take_turns);
    tcase_add_test(t, turns_go_on_over_many_small_publishes);
    tcase_add_test(t, a_higher_priority_is_served_first_while_it_has_credit);
    tcase_add_test(t, an_exclusive_consumer_is_alone);
    tcase_add_test(t, without_acks_a_message_is_done_when_it_is_given);
    tcase_add_test(t, cancel_returns_what_is_in_a_ledger_of_its_own);
    tcase_add_test(t, cancel_leaves_a_shared_ledger_as_it_is);
    tcase_add_test(t, a_slow_reader_gets_no_more_than_it_has_room_for);
    tcase_add_test(t, a_slow_reader_does_not_hold_up_the_others);
    tcase_add_test(t, the_prefetch_of_a_client_is_over_all_its_consumers);
    tcase_add_test(t, a_cancelled_consumer_gives_back_the_credit_of_its_client);
    tcase_add_test(t, settling_upto_a_tag_takes_all_before_it);
    tcase_add_test(t, an_unknown_tag_is_told);
    tcase_add_test(t, a_tag_is_found_by_the_place_of_its_message);
    tcase_add_test(t, the_oldest_unacked_delivery_of_the_shared_ledger_is_told);
    tcase_add_test(t, get_gives_one_message_or_says_that_there_is_none);
    tcase_add_test(t, get_waits_for_a_message_that_is_on_disk);
    tcase_add_test(t, a_get_ends_with_its_client_or_its_queue);
    tcase_add_test(t, a_get_that_waits_for_a_commit_ends_with_its_queue);
    tcase_add_test(t, a_get_ends_when_a_sibling_deletes_its_exclusive_queue);
    tcase_add_test(t, a_get_is_answered_though_its_client_has_no_room);
    tcase_add_test(t, too_many_consumers_are_refused);
    suite_add_tcase(s, t);
    return s;
}
