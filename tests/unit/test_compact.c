// SPDX-License-Identifier: MIT
/* Small and sparse batches are rewritten into few. */
#include <check.h>
#include <stdio.h>

#include "tests/lib/core_rig.h"

static struct rig r;

enum { ENOUGH = 20 };

static void setup(void)
{
    struct core_options o = rig_options();

    o.compact_batches = ENOUGH;
    rig_open(&r, &o);
    rig_queue(&r, "q", NULL);
    rig_run(&r);
}

static void teardown(void)
{
    rig_close(&r);
}

static void put_numbers(const char *queue, int from, int to, bool one_a_commit)
{
    char body[16];

    for (int i = from; i < to; i++) {
        (void)snprintf(body, sizeof body, "%d", i);
        ck_assert_int_eq(rig_put(&r, queue, body), PUBLISH_ROUTED);
        if (one_a_commit)
            rig_run(&r);
    }
    rig_run(&r);
}

static void assert_numbers(const char *queue, int from, int to, int step)
{
    int n;

    rig_forget(&r);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = queue });
    rig_run(&r);
    for (int i = from; i < to; i += step) {
        ck_assert_int_eq(sscanf(rig_next_text(&r), "%d", &n), 1);
        ck_assert_int_eq(n, i);
    }
    ck_assert_str_eq(rig_next_text(&r), "(none)");
}

/* Acks all of the first `n` but every fourth, whose turn is put off. */
static void thin_out(int n)
{
    consumer_id k = rig_consume(&r, r.client,
                                &(struct rig_consume){ .queue = "q", .prefetch = (uint32_t)n });

    rig_run(&r);
    for (int i = 0; i < n; i++)
        if (i % 5)
            ck_assert_int_eq(rig_settle(&r, r.client, k, (uint64_t)i + 1, SETTLE_ACK), OK);
    core_client_room(r.core, r.client, 0);
    core_cancel(r.core, r.client, k, r.now_ms);
    rig_run(&r);
}

START_TEST(many_small_batches_become_few)
{
    put_numbers("q", 0, 3 * ENOUGH, true);
    ck_assert_uint_le(rig_rows(&r), ENOUGH + 3);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 3 * ENOUGH);
    assert_numbers("q", 0, 3 * ENOUGH, 1);
}
END_TEST

START_TEST(while_commits_follow_hard_on_each_other_nothing_is_rewritten)
{
    r.commit_ns = 1000;
    r.pause_ns = 1000;
    put_numbers("q", 0, 2 * ENOUGH, true);
    ck_assert_uint_ge(rig_rows(&r), 2 * ENOUGH);
    r.pause_ns = 10000;
    put_numbers("q", 2 * ENOUGH, 3 * ENOUGH, true);
    ck_assert_uint_ge(rig_rows(&r), 3 * ENOUGH);
    r.now_ms += 500;
    put_numbers("q", 3 * ENOUGH, 4 * ENOUGH, true);
    ck_assert_uint_le(rig_rows(&r), 2 * ENOUGH);
    assert_numbers("q", 0, 4 * ENOUGH, 1);
}
END_TEST

START_TEST(what_was_rewritten_is_there_after_a_crash)
{
    put_numbers("q", 0, 3 * ENOUGH, true);
    rig_crash(&r, false);
    put_numbers("q", 3 * ENOUGH, 4 * ENOUGH, true);
    rig_crash(&r, false);
    assert_numbers("q", 0, 4 * ENOUGH, 1);
}
END_TEST

START_TEST(at_no_time_are_old_and_new_place_both_on_disk_or_none)
{
    put_numbers("q", 0, ENOUGH, true);
    r.hold_commits = r.hold_loads = true;
    for (int i = 0; i < _i / 2; i++) {
        rig_turn(&r);
        rig_commit(&r);
        while (rig_load(&r))
            ;
    }
    rig_turn(&r);
    rig_crash(&r, _i % 2);
    ck_assert_uint_eq(rig_info(&r, "q").ready, ENOUGH);
    r.hold_commits = r.hold_loads = false;
    assert_numbers("q", 0, ENOUGH, 1);
}
END_TEST

START_TEST(queues_that_were_mixed_are_sorted_apart)
{
    rig_queue(&r, "w", NULL);
    for (int i = 0; i < ENOUGH + 10; i++) {
        put_numbers("q", i, i + 1, false);
        put_numbers("w", i, i + 1, false);
    }
    assert_numbers("w", 0, ENOUGH + 10, 1);
    assert_numbers("q", 0, ENOUGH + 10, 1);
}
END_TEST

START_TEST(a_batch_that_is_mostly_settled_and_at_rest_is_rewritten)
{
    put_numbers("q", 0, 1000, false);
    thin_out(1000);
    uint64_t bytes = mem_disk_stats(r.disk).batch_bytes;
    rig_later(&r, 5000);
    ck_assert_int_eq(rig_put(&r, "q", "1000"), PUBLISH_ROUTED); /* gives occasion */
    rig_run(&r);
    ck_assert_uint_lt(mem_disk_stats(r.disk).batch_bytes, bytes / 2);
    ck_assert_uint_eq(mem_disk_stats(r.disk).settled, 0);
    core_client_room(r.core, r.client, SIZE_MAX);
    assert_numbers("q", 0, 1001, 5);
}
END_TEST

START_TEST(counts_of_deliveries_move_along)
{
    put_numbers("q", 0, 1000, false);
    thin_out(1000); /* what is left has come back once */
    rig_later(&r, 5000);
    ck_assert_int_eq(rig_put(&r, "q", "1000"), PUBLISH_ROUTED);
    rig_run(&r);
    rig_crash(&r, false);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 201);
    for (size_t i = 0; i < r.count; i++)
        if (r.effect[i].e.kind == EFFECT_DELIVER)
            ck_assert_uint_eq(r.effect[i].e.deliveries, strcmp(r.effect[i].text, "1000") != 0);
}
END_TEST

START_TEST(what_is_unacked_stays_where_it_is)
{
    put_numbers("q", 0, ENOUGH - 1, true);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 5 });
    rig_run(&r);
    put_numbers("q", ENOUGH - 1, 2 * ENOUGH, true);
    ck_assert_int_eq(core_settle(r.core, r.client, k, 2, false, SETTLE_ACK, r.now_ms), OK);
    core_cancel(r.core, r.client, k, r.now_ms);
    rig_run(&r);
    rig_forget(&r);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 2 * ENOUGH - 1);
    for (size_t i = 1; i < r.count; i++)
        ck_assert_uint_gt(r.effect[i].e.seq, r.effect[i - 1].e.seq);
}
END_TEST

START_TEST(times_move_along)
{
    for (int i = 0; i < ENOUGH + 5; i++) {
        ck_assert_int_eq(rig_send(&r, r.client,
                                  &(struct rig_message){ .key = "q",
                                                         .body = "x",
                                                         .has_ttl = true,
                                                         .ttl_ms = 1000 + 10 * (uint64_t)i }),
                         PUBLISH_ROUTED);
        rig_run(&r);
    }
    rig_later(&r, 1095);
    ck_assert_uint_eq(rig_info(&r, "q").ready, ENOUGH + 5 - 10);
    rig_crash(&r, false);
    rig_later(&r, 1000);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_rows(&r), 0);
}
END_TEST

enum { MANY = 300, ROUNDS = 3 * ENOUGH };

static void open_many(void)
{
    char name[16];

    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "many-%d", i);
        rig_queue(&r, name, NULL);
        rig_bind(&r, "amq.fanout", "", name);
    }
    rig_run(&r);
}

static void tell_many(const char *body)
{
    ck_assert_int_eq(
        rig_send(&r, r.client, &(struct rig_message){ .exchange = "amq.fanout", .body = body }),
        PUBLISH_ROUTED);
    rig_run(&r);
}

static void assert_many_have_rounds(void)
{
    char name[16], body[16];

    for (int i = 0; i < MANY; i += MANY / 4 - 1) {
        (void)snprintf(name, sizeof name, "many-%d", i);
        ck_assert_uint_eq(rig_info(&r, name).ready, ROUNDS);
        rig_forget(&r);
        rig_consume(&r, r.client, &(struct rig_consume){ .queue = name });
        rig_run(&r);
        for (int n = 0; n < ROUNDS; n++) {
            (void)snprintf(body, sizeof body, "round %d", n);
            ck_assert_str_eq(rig_next_text(&r), body);
        }
        ck_assert_str_eq(rig_next_text(&r), "(none)");
    }
}

START_TEST(what_many_queues_share_is_still_stored_once_for_many)
{
    char body[16];

    open_many();
    for (int n = 0; n < ROUNDS; n++) {
        (void)snprintf(body, sizeof body, "round %d", n);
        tell_many(body);
    }
    rig_later(&r, 1000);
    rig_later(&r, 1000);
    ck_assert_uint_le(rig_rows(&r), ENOUGH);
    ck_assert_uint_lt(mem_disk_stats(r.disk).batch_bytes, (uint64_t)MANY * ROUNDS * 8);
    if (_i)
        rig_crash(&r, false);
    assert_many_have_rounds();
}
END_TEST

START_TEST(large_bodies_that_many_queues_share_are_left_alone)
{
    static char body[20 * 1024];

    memset(body, 'x', sizeof body - 1);
    open_many();
    for (int n = 0; n < 2 * ENOUGH; n++)
        tell_many(body);
    rig_later(&r, 1000);
    ck_assert_uint_eq(rig_rows(&r), 2 * ENOUGH);
}
END_TEST

START_TEST(when_nothing_happens_it_is_done_all_the_same)
{
    r.commit_ns = 1000;
    r.pause_ns = 1000;
    put_numbers("q", 0, 2 * ENOUGH, true);
    ck_assert_uint_ge(rig_rows(&r), 2 * ENOUGH);
    ck_assert_uint_le(core_next_at_ms(r.core), r.now_ms + 500);
    rig_later(&r, 500);
    ck_assert_uint_le(rig_rows(&r), 3);
    assert_numbers("q", 0, 2 * ENOUGH, 1);
}
END_TEST

Suite *compact_suite(void);

Suite *compact_suite(void)
{
    Suite *s = suite_create("compact");
    TCase *t = tcase_create("compact");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, many_small_batches_become_few);
    tcase_add_test(t, while_commits_follow_hard_on_each_other_nothing_is_rewritten);
    tcase_add_test(t, what_was_rewritten_is_there_after_a_crash);
    tcase_add_loop_test(t, at_no_time_are_old_and_new_place_both_on_disk_or_none, 0, 10);
    tcase_add_test(t, queues_that_were_mixed_are_sorted_apart);
    tcase_add_test(t, a_batch_that_is_mostly_settled_and_at_rest_is_rewritten);
    tcase_add_test(t, counts_of_deliveries_move_along);
    tcase_add_test(t, what_is_unacked_stays_where_it_is);
    tcase_add_test(t, times_move_along);
    tcase_add_loop_test(t, what_many_queues_share_is_still_stored_once_for_many, 0, 2);
    tcase_add_test(t, large_bodies_that_many_queues_share_are_left_alone);
    tcase_add_test(t, when_nothing_happens_it_is_done_all_the_same);
    suite_add_tcase(s, t);
    return s;
}
