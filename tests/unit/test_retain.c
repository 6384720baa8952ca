// SPDX-License-Identifier: MIT
/* What is written, what is kept in memory, what is read back, what is let go. */
#include <check.h>
#include <stdio.h>

#include "tests/lib/core_rig.h"

static struct rig r;
static struct buf text;

enum { KIB = 1024 };

static void setup(void)
{
    rig_open(&r, NULL);
    rig_queue(&r, "q", NULL);
    rig_run(&r);
}

static void teardown(void)
{
    rig_close(&r);
    buf_fini(&text);
}

static void with_memory(uint64_t bytes, uint64_t read_ahead)
{
    struct core_options o = rig_options();

    rig_close(&r);
    o.memory_bytes = bytes;
    o.read_ahead_bytes = read_ahead;
    rig_open(&r, &o);
    rig_queue(&r, "q", NULL);
    rig_run(&r);
}

static void put_padded(const char *queue, int from, int to, size_t padding)
{
    char body[16];

    for (int i = from; i < to; i++) {
        (void)snprintf(body, sizeof body, "%d ", i);
        ck_assert_int_eq(
            rig_send(&r, r.client,
                     &(struct rig_message){ .key = queue, .body = body, .padding = padding }),
            PUBLISH_ROUTED);
    }
}

static void assert_numbers(int from, int to)
{
    int n;

    for (int i = from; i < to; i++) {
        ck_assert_int_eq(sscanf(rig_next_text(&r), "%d", &n), 1);
        ck_assert_int_eq(n, i);
    }
    ck_assert_str_eq(rig_next_text(&r), "(none)");
}

static void ack_all(consumer_id k)
{
    if (core_settle(r.core, r.client, k, 0, true, SETTLE_ACK, r.now_ms) != OK)
        ck_abort_msg("settle");
}

START_TEST(a_message_settled_before_its_commit_is_never_written)
{
    uint64_t commits = r.commits;

    put_padded("q", 0, 10, 0);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    core_turn(r.core, r.now_ms);
    ack_all(k);
    rig_run(&r);
    ck_assert_uint_eq(r.batches_put, 0);
    ck_assert_uint_eq(rig_rows(&r), 0);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
    ck_assert_uint_le(r.commits, commits + 1); /* that the queue is consumed */
}
END_TEST

START_TEST(what_is_settled_while_its_commit_is_under_way_is_deleted_in_the_next)
{
    r.hold_commits = true;
    put_padded("q", 0, 10, 0);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_turn(&r);
    ack_all(k);
    rig_turn(&r);
    rig_commit(&r);
    ck_assert_uint_eq(rig_rows(&r), 1);
    rig_turn(&r);
    rig_commit(&r);
    ck_assert_uint_eq(rig_rows(&r), 0);
    rig_turn(&r);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
}
END_TEST

START_TEST(a_commit_is_one_row_for_all_queues)
{
    rig_queue(&r, "w", NULL);
    rig_run(&r);
    for (int i = 0; i < 100; i++)
        put_padded(i % 2 ? "q" : "w", i, i + 1, 10);
    rig_run(&r);
    ck_assert_uint_eq(r.batches_put, 1);
}
END_TEST

START_TEST(a_settled_row_is_there_only_while_partly_settled)
{
    put_padded("q", 0, 3, 0);
    rig_run(&r);
    ck_assert_uint_eq(mem_disk_stats(r.disk).settled, 0);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 2, SETTLE_ACK), OK);
    rig_run(&r);
    ck_assert_uint_eq(mem_disk_stats(r.disk).settled, 1);
    ack_all(k);
    rig_run(&r);
    ck_assert_uint_eq(mem_disk_stats(r.disk).settled, 0);
    ck_assert_uint_eq(rig_rows(&r), 0);
}
END_TEST

START_TEST(a_row_of_delivery_counts_goes_with_its_batch)
{
    put_padded("q", 0, 1, 0);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 1 });
    rig_run(&r);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_RETURN), OK);
    rig_run(&r);
    ck_assert_uint_eq(mem_disk_stats(r.disk).deliveries, 1);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 2, SETTLE_ACK), OK);
    rig_run(&r);
    ck_assert_uint_eq(mem_disk_stats(r.disk).deliveries, 0);
}
END_TEST

START_TEST(memory_stays_within_its_budget_with_much_queued)
{
    with_memory(64 * KIB, 16 * KIB);
    for (int i = 0; i < 1000; i++) {
        put_padded("q", 10 * i, 10 * i + 10, 1024);
        rig_run(&r);
    }
    ck_assert_uint_le(r.peak_memory, 64 * KIB + 512 * KIB);
    ck_assert_uint_le(rig_stats(&r).memory_bytes, 64 * KIB);
    r.peak_memory = 0;
    consumer_id k = rig_consume(&r, r.client,
                                &(struct rig_consume){ .queue = "q", .prefetch = 100 });
    for (int i = 0; i < 100; i++) {
        rig_run(&r);
        assert_numbers(100 * i, 100 * i + 100);
        ack_all(k);
        rig_forget(&r);
    }
    rig_run(&r);
    ck_assert_uint_le(r.peak_memory, 64 * KIB + 512 * KIB);
    ck_assert_uint_eq(rig_rows(&r), 0);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
}
END_TEST

START_TEST(large_batches_page_in_and_out)
{
    with_memory(64 * KIB, 16 * KIB);
    put_padded("q", 0, 2000, 1024);
    rig_run(&r);
    ck_assert_uint_le(rig_stats(&r).memory_bytes, 64 * KIB);
    consumer_id k = rig_consume(&r, r.client,
                                &(struct rig_consume){ .queue = "q", .prefetch = 70 });
    for (int i = 0; i < 2000; i += 70) {
        rig_run(&r);
        assert_numbers(i, i + 70 < 2000 ? i + 70 : 2000);
        ack_all(k);
    }
    rig_run(&r);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
}
END_TEST

START_TEST(batches_are_read_ahead_of_a_queue_that_is_drained)
{
    with_memory(1024 * KIB, 4 * KIB);
    for (int i = 0; i < 10; i++) {
        put_padded("q", i, i + 1, 1500);
        rig_run(&r);
    }
    rig_crash(&r, false);
    r.hold_loads = true;
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 1 });
    rig_turn(&r);
    int loads = 0;
    while (rig_load(&r))
        loads++;
    ck_assert_int_ge(loads, 3);
    ck_assert_int_le(loads, 4);
}
END_TEST

START_TEST(what_returns_to_a_cold_batch_is_delivered_again)
{
    with_memory(1, 1);
    put_padded("q", 0, 3, 100);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 3 });
    rig_run(&r);
    ck_assert_uint_eq(rig_stats(&r).memory_bytes, 0);
    rig_forget(&r);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 3, SETTLE_RETURN), OK);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_RETURN), OK);
    rig_run(&r);
    ck_assert_str_eq(bytes_eq(bytes_head(bytes_str(rig_next_text(&r)), 1), BYTES("0")) ? "0" : "?",
                     "0");
    ck_assert_str_eq(bytes_eq(bytes_head(bytes_str(rig_next_text(&r)), 1), BYTES("2")) ? "2" : "?",
                     "2");
}
END_TEST

START_TEST(acks_of_a_cold_batch_need_no_load)
{
    with_memory(1, 1);
    put_padded("q", 0, 3, 100);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    r.hold_loads = true;
    ack_all(k);
    rig_run(&r);
    ck_assert(!rig_load(&r));
    ck_assert_uint_eq(rig_rows(&r), 0);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
}
END_TEST

START_TEST(a_load_of_a_batch_that_went_meanwhile_is_let_go)
{
    uint64_t count;
    const char *why;

    with_memory(1, 1);
    put_padded("q", 0, 3, 100);
    rig_run(&r);
    r.hold_loads = true;
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_turn(&r);
    r.hold_commits = true;
    ck_assert_int_eq(core_queue_delete(r.core, r.client, BYTES("q"), false, false, &count, &why),
                     OK);
    rig_turn(&r);
    while (rig_load(&r))
        ;
    rig_commit(&r);
    while (rig_load(&r))
        ;
    r.hold_commits = r.hold_loads = false;
    rig_run(&r);
    ck_assert_uint_eq(rig_rows(&r), 0);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 0);
}
END_TEST

START_TEST(transient_messages_stay_in_memory_while_there_is_room)
{
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(
            rig_send(&r, r.client,
                     &(struct rig_message){ .key = "q", .transient = true, .padding = 1000 }),
            PUBLISH_ROUTED);
    rig_run(&r);
    ck_assert_uint_eq(r.batches_put, 0);
}
END_TEST

START_TEST(transient_messages_are_spilled_when_room_is_short_and_come_back_in_order)
{
    char body[16];

    with_memory(64 * KIB, 16 * KIB);
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(body, sizeof body, "%d ", i);
        ck_assert_int_eq(
            rig_send(&r, r.client,
                     &(struct rig_message){
                         .key = "q", .body = body, .transient = true, .padding = 1000 }),
            PUBLISH_ROUTED);
        if (i % 300 == 299)
            rig_run(&r);
    }
    ck_assert_uint_gt(r.batches_put, 0);
    ck_assert_uint_le(rig_stats(&r).memory_bytes, 64 * KIB + 600 * KIB);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    assert_numbers(0, 3000);
    ack_all(k);
    rig_run(&r);
    ck_assert_uint_eq(rig_rows(&r), 0);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
}
END_TEST

START_TEST(everything_comes_back_to_zero)
{
    rig_queue(&r, "w", NULL);
    for (int round = 0; round < 20; round++) {
        put_padded("q", 0, 17, 100);
        put_padded("w", 0, 5, 3000);
        consumer_id k = rig_consume(&r, r.client,
                                    &(struct rig_consume){ .queue = "q", .prefetch = 5 });
        rig_run(&r);
        if (round % 3 == 0)
            ck_assert_int_eq(core_settle(r.core, r.client, k, 3, true, SETTLE_ACK, r.now_ms), OK);
        core_cancel(r.core, r.client, k, r.now_ms);
    }
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .no_ack = true });
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "w", .no_ack = true });
    rig_run(&r);
    ck_assert_uint_eq(rig_stats(&r).ready, 0);
    ck_assert_uint_eq(rig_stats(&r).unacked, 0);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
    ck_assert_uint_eq(rig_stats(&r).memory_bytes, 0);
    struct mem_disk_stats d = mem_disk_stats(r.disk);
    ck_assert_uint_eq(d.batches + d.settled + d.deliveries + d.blobs + d.parts, 0);
}
END_TEST

START_TEST(content_that_nobody_asks_for_leaves_memory)
{
    put_padded("q", 0, 100, KIB);
    rig_run(&r);
    ck_assert_uint_gt(rig_stats(&r).memory_bytes, 100 * KIB);
    ck_assert_uint_le(core_next_at_ms(r.core), r.now_ms + 10000);
    rig_later(&r, 9000);
    ck_assert_uint_gt(rig_stats(&r).memory_bytes, 100 * KIB);
    rig_later(&r, 2000);
    ck_assert_uint_eq(rig_stats(&r).memory_bytes, 0);
    ck_assert_uint_eq(core_next_at_ms(r.core), UINT64_MAX);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    assert_numbers(0, 100);
}
END_TEST

Suite *retain_suite(void);

Suite *retain_suite(void)
{
    Suite *s = suite_create("retain");
    TCase *t = tcase_create("retain");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, a_message_settled_before_its_commit_is_never_written);
    tcase_add_test(t, what_is_settled_while_its_commit_is_under_way_is_deleted_in_the_next);
    tcase_add_test(t, a_commit_is_one_row_for_all_queues);
    tcase_add_test(t, a_settled_row_is_there_only_while_partly_settled);
    tcase_add_test(t, a_row_of_delivery_counts_goes_with_its_batch);
    tcase_add_test(t, memory_stays_within_its_budget_with_much_queued);
    tcase_add_test(t, large_batches_page_in_and_out);
    tcase_add_test(t, batches_are_read_ahead_of_a_queue_that_is_drained);
    tcase_add_test(t, what_returns_to_a_cold_batch_is_delivered_again);
    tcase_add_test(t, acks_of_a_cold_batch_need_no_load);
    tcase_add_test(t, a_load_of_a_batch_that_went_meanwhile_is_let_go);
    tcase_add_test(t, transient_messages_stay_in_memory_while_there_is_room);
    tcase_add_test(t, transient_messages_are_spilled_when_room_is_short_and_come_back_in_order);
    tcase_add_test(t, everything_comes_back_to_zero);
    tcase_add_test(t, content_that_nobody_asks_for_leaves_memory);
    suite_add_tcase(s, t);
    return s;
}
