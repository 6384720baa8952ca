// SPDX-License-Identifier: MIT
#include <check.h>

#include "tests/lib/core_rig.h"

static struct rig r;

static void setup(void)
{
    rig_open(&r, NULL);
    rig_queue(&r, "q", NULL);
    rig_run(&r);
    rig_forget(&r);
}

static void teardown(void)
{
    rig_close(&r);
}

/* Every confirm of the client: in order, none left out, none twice. */
static void assert_in_order(client_id id, uint64_t last)
{
    uint64_t next = 1;

    for (size_t i = 0; i < r.count; i++) {
        const struct effect *e = &r.effect[i].e;

        if (e->kind != EFFECT_CONFIRM || e->client != id)
            continue;
        ck_assert_uint_eq(e->first, next);
        ck_assert_uint_ge(e->last, e->first);
        next = e->last + 1;
    }
    ck_assert_uint_eq(next, last + 1);
}

START_TEST(a_confirm_comes_after_its_commit_and_not_before)
{
    r.hold_commits = true;
    ck_assert_int_eq(rig_put(&r, "q", "a"), PUBLISH_ROUTED);
    ck_assert_uint_eq(core_confirm(r.core, r.client, false), 1);
    rig_turn(&r);
    rig_turn(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_CONFIRM), 0);
    rig_commit(&r);
    rig_turn(&r);
    assert_in_order(r.client, 1);
}
END_TEST

START_TEST(what_gathers_during_a_commit_waits_for_the_next)
{
    r.hold_commits = true;
    ck_assert_int_eq(rig_put(&r, "q", "a"), PUBLISH_ROUTED);
    (void)core_confirm(r.core, r.client, false);
    rig_turn(&r);
    ck_assert_int_eq(rig_put(&r, "q", "b"), PUBLISH_ROUTED);
    (void)core_confirm(r.core, r.client, false);
    rig_turn(&r);
    rig_commit(&r);
    rig_turn(&r);
    assert_in_order(r.client, 1);
    rig_commit(&r);
    rig_turn(&r);
    assert_in_order(r.client, 2);
}
END_TEST

START_TEST(many_confirms_of_one_commit_come_as_one)
{
    for (uint64_t i = 1; i <= 1000; i++) {
        ck_assert_int_eq(rig_put(&r, "q", "a"), PUBLISH_ROUTED);
        ck_assert_uint_eq(core_confirm(r.core, r.client, false), i);
    }
    rig_run(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_CONFIRM), 1);
    assert_in_order(r.client, 1000);
}
END_TEST

START_TEST(who_did_nothing_is_confirmed_at_once)
{
    r.hold_commits = true;
    ck_assert_uint_eq(core_confirm(r.core, r.client, false), 1);
    rig_turn(&r);
    assert_in_order(r.client, 1);
}
END_TEST

START_TEST(others_do_not_wait_for_the_commit_of_one)
{
    client_id second = rig_client(&r);

    r.hold_commits = true;
    ck_assert_int_eq(rig_put(&r, "q", "a"), PUBLISH_ROUTED);
    (void)core_confirm(r.core, r.client, false);
    (void)core_confirm(r.core, second, false);
    rig_turn(&r);
    assert_in_order(second, 1);
    ck_assert_uint_eq(rig_confirmed(&r, r.client), 0);
}
END_TEST

START_TEST(refused_ones_keep_their_place_and_their_mark)
{
    const bool refused[] = { false, true, true, false, true };
    size_t at = 0;

    r.hold_commits = true;
    for (int i = 0; i < 5; i++) {
        if (!refused[i])
            ck_assert_int_eq(rig_put(&r, "q", "a"), PUBLISH_ROUTED);
        (void)core_confirm(r.core, r.client, refused[i]);
    }
    rig_turn(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_CONFIRM), 0);
    rig_commit(&r);
    rig_turn(&r);
    assert_in_order(r.client, 5);
    for (size_t i = 0; i < r.count; i++)
        for (uint64_t n = r.effect[i].e.first; n <= r.effect[i].e.last; n++)
            ck_assert_int_eq(r.effect[i].e.refused, refused[at++]);
    ck_assert_uint_eq(at, 5);
}
END_TEST

START_TEST(a_refused_one_waits_for_the_commit_of_those_before_it)
{
    r.hold_commits = true;
    ck_assert_int_eq(rig_put(&r, "q", "a"), PUBLISH_ROUTED);
    (void)core_confirm(r.core, r.client, true);
    rig_turn(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_CONFIRM), 0);
    rig_commit(&r);
    rig_turn(&r);
    assert_in_order(r.client, 1);
    ck_assert(r.effect[0].e.refused);
}
END_TEST

START_TEST(transient_messages_take_the_same_path)
{
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(
            rig_send(&r, r.client,
                     &(struct rig_message){ .key = "q", .body = "a", .transient = i % 2 }),
            PUBLISH_ROUTED);
        (void)core_confirm(r.core, r.client, false);
        if (i == 4)
            rig_turn(&r);
    }
    rig_run(&r);
    assert_in_order(r.client, 10);
}
END_TEST

START_TEST(transient_messages_alone_are_confirmed_without_a_commit)
{
    uint64_t commits = r.commits;

    ck_assert_int_eq(
        rig_send(&r, r.client, &(struct rig_message){ .key = "q", .body = "a", .transient = true }),
        PUBLISH_ROUTED);
    (void)core_confirm(r.core, r.client, false);
    rig_run(&r);
    assert_in_order(r.client, 1);
    ck_assert_uint_eq(r.commits, commits);
}
END_TEST

START_TEST(an_elided_message_is_confirmed_all_the_same)
{
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .no_ack = true });
    rig_run(&r);
    rig_forget(&r);
    uint64_t rows = r.batches_put;
    ck_assert_int_eq(rig_put(&r, "q", "a"), PUBLISH_ROUTED);
    (void)core_confirm(r.core, r.client, false);
    rig_run(&r);
    assert_in_order(r.client, 1);
    ck_assert_uint_eq(r.batches_put, rows);
}
END_TEST

START_TEST(an_unroutable_message_is_confirmed_and_told)
{
    ck_assert_int_eq(rig_put(&r, "nowhere", "a"), PUBLISH_UNROUTED);
    (void)core_confirm(r.core, r.client, false);
    rig_run(&r);
    assert_in_order(r.client, 1);
    ck_assert_uint_eq(rig_stats(&r).unrouted, 1);
}
END_TEST

START_TEST(an_ack_is_confirmed_after_its_bit_is_on_disk)
{
    ck_assert_int_eq(rig_put(&r, "q", "a"), PUBLISH_ROUTED);
    ck_assert_int_eq(rig_put(&r, "q", "b"), PUBLISH_ROUTED);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    r.hold_commits = true;
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), OK);
    (void)core_confirm(r.core, r.client, false);
    rig_turn(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_CONFIRM), 0);
    rig_commit(&r);
    rig_turn(&r);
    assert_in_order(r.client, 1);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
}
END_TEST

START_TEST(an_ack_of_a_batch_under_way_waits_for_the_commit_after)
{
    r.hold_commits = true;
    ck_assert_int_eq(rig_put(&r, "q", "a"), PUBLISH_ROUTED);
    ck_assert_int_eq(rig_put(&r, "q", "b"), PUBLISH_ROUTED);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_turn(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 2);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), OK);
    (void)core_confirm(r.core, r.client, false);
    rig_commit(&r);
    rig_turn(&r);
    ck_assert_uint_eq(rig_confirmed(&r, r.client), 0);
    rig_commit(&r);
    rig_turn(&r);
    assert_in_order(r.client, 1);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
}
END_TEST

START_TEST(a_client_that_went_is_not_told)
{
    r.hold_commits = true;
    client_id second = rig_client(&r);
    ck_assert_int_eq(rig_send(&r, second, &(struct rig_message){ .key = "q", .body = "a" }),
                     PUBLISH_ROUTED);
    (void)core_confirm(r.core, second, false);
    rig_turn(&r);
    core_client_close(r.core, second, r.now_ms);
    rig_commit(&r);
    rig_turn(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_CONFIRM), 0);
    ck_assert_ptr_null(core_client_owner(r.core, second));
}
END_TEST

START_TEST(a_declaration_is_confirmed_when_it_lasts)
{
    r.hold_commits = true;
    rig_queue(&r, "w", NULL);
    (void)core_confirm(r.core, r.client, false);
    rig_turn(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_CONFIRM), 0);
    rig_commit(&r);
    rig_turn(&r);
    assert_in_order(r.client, 1);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_stats(&r).queues, 2);
}
END_TEST

Suite *confirm_suite(void);

Suite *confirm_suite(void)
{
    Suite *s = suite_create("confirm");
    TCase *t = tcase_create("confirm");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_confirm_comes_after_its_commit_and_not_before);
    tcase_add_test(t, what_gathers_during_a_commit_waits_for_the_next);
    tcase_add_test(t, many_confirms_of_one_commit_come_as_one);
    tcase_add_test(t, who_did_nothing_is_confirmed_at_once);
    tcase_add_test(t, others_do_not_wait_for_the_commit_of_one);
    tcase_add_test(t, refused_ones_keep_their_place_and_their_mark);
    tcase_add_test(t, a_refused_one_waits_for_the_commit_of_those_before_it);
    tcase_add_test(t, transient_messages_take_the_same_path);
    tcase_add_test(t, transient_messages_alone_are_confirmed_without_a_commit);
    tcase_add_test(t, an_elided_message_is_confirmed_all_the_same);
    tcase_add_test(t, an_unroutable_message_is_confirmed_and_told);
    tcase_add_test(t, an_ack_is_confirmed_after_its_bit_is_on_disk);
    tcase_add_test(t, an_ack_of_a_batch_under_way_waits_for_the_commit_after);
    tcase_add_test(t, a_client_that_went_is_not_told);
    tcase_add_test(t, a_declaration_is_confirmed_when_it_lasts);
    suite_add_tcase(s, t);
    return s;
}
