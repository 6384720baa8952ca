// SPDX-License-Identifier: MIT
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

START_TEST(what_is_on_disk_is_there_after_a_crash)
{
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "abc");
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 3);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "a b c");
}
END_TEST

START_TEST(what_was_not_committed_is_gone_after_a_crash)
{
    rig_queue(&r, "q", NULL);
    rig_run(&r);
    r.hold_commits = true;
    rig_put_each(&r, "q", "a");
    rig_turn(&r);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
}
END_TEST

START_TEST(a_commit_that_landed_untold_is_there)
{
    rig_queue(&r, "q", NULL);
    rig_run(&r);
    r.hold_commits = true;
    rig_put_each(&r, "q", "a");
    rig_turn(&r);
    rig_put_each(&r, "q", "b");
    rig_crash(&r, true);
    r.hold_commits = false;
    ck_assert_str_eq(rig_drain(&r, "q", &text), "a");
}
END_TEST

START_TEST(acks_on_disk_hold_after_a_crash)
{
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "abcd");
    rig_run(&r);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), OK);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 3, SETTLE_ACK), OK);
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 2);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "b d");
}
END_TEST

START_TEST(settled_bits_of_several_runs_add_up)
{
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "abcdef");
    rig_run(&r);
    for (int run = 0; run < 3; run++) {
        consumer_id k = rig_consume(&r, r.client,
                                    &(struct rig_consume){ .queue = "q", .prefetch = 2 });
        rig_run(&r);
        ck_assert_int_eq(rig_settle(&r, r.client, k, 2, SETTLE_ACK), OK);
        rig_run(&r);
        rig_crash(&r, false);
        ck_assert_uint_eq(rig_info(&r, "q").ready, 5 - (unsigned)run);
    }
    ck_assert_str_eq(rig_drain(&r, "q", &text), "a e f");
}
END_TEST

START_TEST(slots_dead_before_their_commit_stay_dead)
{
    rig_queue(&r, "q", NULL);
    rig_queue(&r, "w", NULL);
    rig_put_each(&r, "q", "abc");
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 1 });
    core_turn(r.core, r.now_ms);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), OK);
    rig_put_each(&r, "w", "x");
    rig_run(&r);
    ck_assert_uint_eq(r.batches_put, 1);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 2);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "b c");
    ck_assert_str_eq(rig_drain(&r, "w", &text), "x");
}
END_TEST

START_TEST(slots_dead_before_their_commit_stay_dead_when_paged_in)
{
    struct core_options o = rig_options();

    rig_close(&r);
    o.memory_bytes = 1;
    rig_open(&r, &o);
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "abc");
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 1 });
    core_turn(r.core, r.now_ms);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), OK);
    core_client_room(r.core, r.client, 0);
    rig_run(&r);
    ck_assert_uint_eq(rig_stats(&r).memory_bytes, 0);
    core_client_room(r.core, r.client, SIZE_MAX);
    rig_run(&r);
    const struct rig_effect *d = rig_next(&r, EFFECT_DELIVER);
    d = d && d->e.tag == 1 ? rig_next(&r, EFFECT_DELIVER) : d;
    ck_assert_ptr_nonnull(d);
    ck_assert_str_eq(d->text, "b");
}
END_TEST

START_TEST(seqs_of_a_new_run_never_repeat_those_of_a_lost_one)
{
    uint64_t seq;

    rig_queue(&r, "q", NULL);
    rig_run(&r);
    r.hold_commits = true;
    rig_put_each(&r, "q", "a");
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_turn(&r);
    const struct rig_effect *d = rig_next(&r, EFFECT_DELIVER);
    ck_assert_ptr_nonnull(d);
    seq = d->e.seq;
    rig_crash(&r, false);
    rig_put_each(&r, "q", "b");
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_turn(&r);
    d = rig_next(&r, EFFECT_DELIVER);
    ck_assert_ptr_nonnull(d);
    ck_assert_uint_gt(d->e.seq, seq);
    ck_assert_uint_eq(d->e.seq >> 40, core_boot(r.core));
}
END_TEST

START_TEST(the_boot_number_rises_with_every_start)
{
    uint64_t boot = core_boot(r.core);

    ck_assert_uint_ge(boot, 1);
    rig_crash(&r, false);
    ck_assert_uint_eq(core_boot(r.core), boot + 1);
    rig_restart(&r);
    ck_assert_uint_eq(core_boot(r.core), boot + 2);
}
END_TEST

START_TEST(transient_messages_end_with_the_process)
{
    rig_queue(&r, "q", NULL);
    ck_assert_int_eq(
        rig_send(&r, r.client, &(struct rig_message){ .key = "q", .body = "a", .transient = true }),
        PUBLISH_ROUTED);
    rig_put_each(&r, "q", "b");
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "b");
}
END_TEST

START_TEST(spilled_transient_messages_end_with_the_process_too)
{
    struct core_options o = rig_options();

    rig_close(&r);
    o.memory_bytes = 1;
    rig_open(&r, &o);
    rig_queue(&r, "q", NULL);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(
            rig_send(&r, r.client,
                     &(struct rig_message){
                         .key = "q", .body = "a", .transient = true, .padding = 100000 }),
            PUBLISH_ROUTED);
    rig_run(&r);
    ck_assert_uint_gt(rig_rows(&r), 0);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    rig_run(&r);
    ck_assert_uint_eq(rig_rows(&r), 0);
}
END_TEST

START_TEST(queues_that_do_not_last_are_not_there_after_a_crash)
{
    struct queue_spec s = { .name = BYTES("transient") };
    struct queue_info info;
    const char *why;

    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), OK);
    s = (struct queue_spec){ .name = BYTES("own"), .durable = true, .exclusive = true };
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), OK);
    rig_put_each(&r, "transient", "a");
    rig_put_each(&r, "own", "b");
    rig_run(&r);
    ck_assert_uint_eq(rig_rows(&r), 0);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_stats(&r).queues, 0);
}
END_TEST

START_TEST(arguments_of_a_queue_survive)
{
    rig_queue(&r, "q", "x-max-length=2 x-overflow=reject-publish x-max-priority=3");
    rig_run(&r);
    rig_crash(&r, false);
    rig_queue(&r, "q", "x-max-length=2 x-overflow=reject-publish x-max-priority=3");
    rig_put_each(&r, "q", "ab");
    ck_assert_int_eq(rig_put(&r, "q", "c"), PUBLISH_REFUSED);
}
END_TEST

START_TEST(order_holds_over_several_crashes)
{
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "ab");
    rig_run(&r);
    rig_crash(&r, false);
    rig_put_each(&r, "q", "cd");
    rig_run(&r);
    rig_restart(&r);
    rig_put_each(&r, "q", "e");
    rig_run(&r);
    rig_crash(&r, false);
    rig_put_each(&r, "q", "f");
    ck_assert_str_eq(rig_drain(&r, "q", &text), "a b c d e f");
}
END_TEST

START_TEST(a_deleted_queue_stays_deleted_and_takes_its_rows_along)
{
    uint64_t count;
    const char *why;

    rig_queue(&r, "q", NULL);
    rig_queue(&r, "w", NULL);
    rig_put_each(&r, "q", "ab");
    rig_put_each(&r, "w", "x");
    rig_run(&r);
    ck_assert_int_eq(core_queue_delete(r.core, r.client, BYTES("q"), false, false, &count, &why),
                     OK);
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_stats(&r).queues, 1);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "w" });
    rig_run(&r);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_rows(&r), 0);
}
END_TEST

START_TEST(a_queue_made_again_does_not_inherit_messages)
{
    uint64_t count;
    const char *why;

    rig_queue(&r, "q", NULL);
    rig_queue(&r, "w", NULL);
    rig_put_each(&r, "q", "ab");
    rig_put_each(&r, "w", "x");
    rig_run(&r);
    ck_assert_int_eq(core_queue_delete(r.core, r.client, BYTES("q"), false, false, &count, &why),
                     OK);
    rig_queue(&r, "q", NULL);
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_info(&r, "w").ready, 1);
}
END_TEST

START_TEST(a_queue_made_after_a_crash_does_not_inherit_messages)
{
    uint64_t count;
    const char *why;

    rig_queue(&r, "w", NULL);
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "ab");
    rig_put_each(&r, "w", "x");
    rig_run(&r);
    ck_assert_int_eq(core_queue_delete(r.core, r.client, BYTES("q"), false, false, &count, &why),
                     OK);
    rig_run(&r);
    rig_crash(&r, false);
    rig_queue(&r, "q", NULL);
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
}
END_TEST

START_TEST(a_message_returned_and_acked_before_its_commit_leaves_nothing)
{
    rig_queue(&r, "q", NULL);
    rig_run(&r);
    rig_put_each(&r, "q", "a");
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    core_turn(r.core, r.now_ms);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_RETURN), OK);
    core_turn(r.core, r.now_ms);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 2, SETTLE_ACK), OK);
    rig_run(&r);
    rig_crash(&r, false);
    rig_run(&r);
    ck_assert_uint_eq(rig_rows(&r), 0);
    ck_assert_uint_eq(mem_disk_stats(r.disk).deliveries, 0);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
}
END_TEST

START_TEST(a_row_that_cannot_be_read_is_set_aside_and_the_rest_served)
{
    uint64_t id;

    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "ab");
    rig_run(&r);
    rig_put_each(&r, "q", "cd");
    rig_run(&r);
    ck_assert(mem_disk_batch_id(r.disk, 0, &id));
    ck_assert(mem_disk_flip(r.disk, id, true, 5));
    rig_crash(&r, false);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "c d");
    ck_assert_uint_eq(rig_stats(&r).set_aside, 2);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_rows(&r), 2);
    rig_crash(&r, false);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "c d");
}
END_TEST

START_TEST(a_row_whose_slots_are_damaged_is_told_at_the_start)
{
    uint64_t id;

    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "ab");
    rig_run(&r);
    rig_put_each(&r, "q", "cd");
    rig_run(&r);
    ck_assert(mem_disk_batch_id(r.disk, 1, &id));
    ck_assert(mem_disk_flip(r.disk, id, false, 100));
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_stats(&r).damaged_batches, 1);
    rig_put_each(&r, "q", "e");
    ck_assert_str_eq(rig_drain(&r, "q", &text), "a b e");
    ck_assert_uint_eq(rig_rows(&r), 3);
}
END_TEST

START_TEST(bindings_route_after_a_crash)
{
    struct binding_spec b = { .exchange = BYTES("amq.topic"),
                              .target = BYTES("q"),
                              .routing_key = BYTES("a.#") };
    const char *why;

    rig_queue(&r, "q", NULL);
    ck_assert_int_eq(core_bind(r.core, r.client, &b, &why), OK);
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_int_eq(
        rig_send(&r, r.client,
                 &(struct rig_message){ .exchange = "amq.topic", .key = "a.b", .body = "m" }),
        PUBLISH_ROUTED);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "m");
}
END_TEST

START_TEST(users_survive)
{
    struct core_user u = { BYTES("anna"), BYTES("hash"), BYTES("administrator") };
    struct core_user got;

    core_user_put(r.core, &u);
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_uint_eq(core_user_count(r.core), 1);
    ck_assert(core_user_find(r.core, BYTES("anna"), &got));
    ck_assert(bytes_eq(got.password_hash, BYTES("hash")));
    ck_assert(bytes_eq(got.tags, BYTES("administrator")));
    ck_assert(!core_user_find(r.core, BYTES("bert"), &got));
}
END_TEST

Suite *recover_suite(void);

Suite *recover_suite(void)
{
    Suite *s = suite_create("recover");
    TCase *t = tcase_create("recover");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, what_is_on_disk_is_there_after_a_crash);
    tcase_add_test(t, what_was_not_committed_is_gone_after_a_crash);
    tcase_add_test(t, a_commit_that_landed_untold_is_there);
    tcase_add_test(t, acks_on_disk_hold_after_a_crash);
    tcase_add_test(t, settled_bits_of_several_runs_add_up);
    tcase_add_test(t, slots_dead_before_their_commit_stay_dead);
    tcase_add_test(t, slots_dead_before_their_commit_stay_dead_when_paged_in);
    tcase_add_test(t, seqs_of_a_new_run_never_repeat_those_of_a_lost_one);
    tcase_add_test(t, the_boot_number_rises_with_every_start);
    tcase_add_test(t, transient_messages_end_with_the_process);
    tcase_add_test(t, spilled_transient_messages_end_with_the_process_too);
    tcase_add_test(t, queues_that_do_not_last_are_not_there_after_a_crash);
    tcase_add_test(t, arguments_of_a_queue_survive);
    tcase_add_test(t, order_holds_over_several_crashes);
    tcase_add_test(t, a_deleted_queue_stays_deleted_and_takes_its_rows_along);
    tcase_add_test(t, a_queue_made_again_does_not_inherit_messages);
    tcase_add_test(t, a_queue_made_after_a_crash_does_not_inherit_messages);
    tcase_add_test(t, a_message_returned_and_acked_before_its_commit_leaves_nothing);
    tcase_add_test(t, a_row_that_cannot_be_read_is_set_aside_and_the_rest_served);
    tcase_add_test(t, a_row_whose_slots_are_damaged_is_told_at_the_start);
    tcase_add_test(t, bindings_route_after_a_crash);
    tcase_add_test(t, users_survive);
    suite_add_tcase(s, t);
    return s;
}
