// SPDX-License-Identifier: MIT
#include <check.h>

#include "tests/lib/core_rig.h"

static struct rig r;
static struct buf text;

static void setup(void)
{
    rig_open(&r, NULL);
    rig_queue(&r, "q", NULL);
    rig_queue(&r, "w", NULL);
    rig_run(&r);
}

static void teardown(void)
{
    rig_close(&r);
    buf_fini(&text);
}

static void stage(struct tx *t, const char *queue, const char *body)
{
    ck_assert(rig_stage(&r, t, &(struct rig_message){ .key = queue, .body = body }));
}

static enum publish_result commit(struct tx **t)
{
    const char *why = NULL;
    enum publish_result result = core_tx_commit(r.core, t, &why, r.now_ms);

    ck_assert_ptr_null(*t);
    ck_assert(result == PUBLISH_ROUTED || result == PUBLISH_UNROUTED || why);
    return result;
}

START_TEST(nothing_is_seen_before_the_commit)
{
    struct tx *t = core_tx_begin(r.core, r.client);

    stage(t, "q", "a");
    stage(t, "w", "b");
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready + rig_info(&r, "w").ready, 0);
    ck_assert_int_eq(commit(&t), PUBLISH_ROUTED);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "a");
    ck_assert_str_eq(rig_drain(&r, "w", &text), "b");
}
END_TEST

START_TEST(an_aborted_transaction_leaves_nothing)
{
    struct tx *t = core_tx_begin(r.core, r.client);

    stage(t, "q", "a");
    core_tx_abort(&t);
    ck_assert_ptr_null(t);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
}
END_TEST

START_TEST(all_of_it_is_in_one_commit)
{
    struct tx *t = core_tx_begin(r.core, r.client);
    uint64_t before = r.commits;

    for (int i = 0; i < 50; i++) {
        stage(t, "q", "a");
        stage(t, "w", "b");
    }
    ck_assert_int_eq(commit(&t), PUBLISH_ROUTED);
    r.hold_commits = true;
    rig_turn(&r);
    rig_crash(&r, true);
    ck_assert_uint_eq(r.commits, before + 2); /* and that of the start */
    ck_assert_uint_eq(rig_info(&r, "q").ready, 50);
    ck_assert_uint_eq(rig_info(&r, "w").ready, 50);
}
END_TEST

START_TEST(a_transaction_of_several_batches_is_in_one_commit)
{
    struct tx *t = core_tx_begin(r.core, r.client);

    for (int i = 0; i < 20; i++)
        ck_assert(rig_stage(
            &r, t,
            &(struct rig_message){ .key = i % 2 ? "q" : "w", .body = "a", .padding = 100000 }));
    ck_assert_int_eq(commit(&t), PUBLISH_ROUTED);
    r.hold_commits = true;
    rig_turn(&r);
    ck_assert_uint_gt(rig_stats(&r).batches, 3);
    rig_crash(&r, true);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 10);
    ck_assert_uint_eq(rig_info(&r, "w").ready, 10);
}
END_TEST

START_TEST(acks_and_messages_go_together)
{
    ck_assert_int_eq(rig_put(&r, "q", "in"), PUBLISH_ROUTED);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    struct tx *t = core_tx_begin(r.core, r.client);
    stage(t, "w", "out");
    core_tx_settle(t, k, 1, false, SETTLE_ACK);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").unacked, 1);
    ck_assert_int_eq(commit(&t), PUBLISH_ROUTED);
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_info(&r, "w").ready, 1);
}
END_TEST

/* What is dead-lettered must be read first, when memory does not hold it: that it is
 * rejected is in the commit all the same, and a start after a crash finishes it. */
START_TEST(a_rejection_of_a_cold_message_is_in_the_commit_too)
{
    struct core_options o = rig_options();

    o.memory_bytes = o.read_ahead_bytes = 1;
    rig_close(&r);
    rig_open(&r, &o);
    (void)rig_queue(&r, "w", NULL);
    (void)rig_queue(&r, "dead", NULL);
    (void)rig_queue(&r, "in", "x-dead-letter-exchange= x-dead-letter-routing-key=dead");
    rig_put_each(&r, "in", "abc");
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "in" });
    rig_run(&r);
    ck_assert_uint_eq(rig_stats(&r).memory_bytes, 0);
    struct tx *t = core_tx_begin(r.core, r.client);
    stage(t, "w", "out");
    core_tx_settle(t, k, 2, false, SETTLE_REJECT);
    ck_assert_int_eq(commit(&t), PUBLISH_ROUTED);
    r.hold_commits = r.hold_loads = true;
    rig_turn(&r);
    rig_crash(&r, true);
    r.hold_commits = r.hold_loads = false;
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "w").ready, 1);
    ck_assert_uint_eq(rig_info(&r, "dead").ready, 1);
    struct buf out = { 0 };
    ck_assert_str_eq(rig_drain(&r, "in", &out), "a c");
    ck_assert_str_eq(rig_drain(&r, "dead", &out), "b");
    rig_run(&r);
    rig_crash(&r, false); /* once is enough */
    rig_run(&r);
    ck_assert_str_eq(rig_drain(&r, "in", &out), "a c");
    ck_assert_str_eq(rig_drain(&r, "dead", &out), "b");
    buf_fini(&out);
}
END_TEST

START_TEST(an_ack_of_what_is_gone_is_passed_over)
{
    ck_assert_int_eq(rig_put(&r, "q", "in"), PUBLISH_ROUTED);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    struct tx *t = core_tx_begin(r.core, r.client);
    core_tx_settle(t, k, 99, false, SETTLE_ACK);
    core_tx_settle(t, k, 1, false, SETTLE_ACK);
    stage(t, "w", "out");
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_RETURN), OK);
    core_cancel(r.core, r.client, k, r.now_ms);
    ck_assert_int_eq(commit(&t), PUBLISH_ROUTED);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    ck_assert_uint_eq(rig_info(&r, "w").ready, 1);
}
END_TEST

START_TEST(one_refused_message_refuses_all)
{
    rig_queue(&r, "full", "x-max-length=1 x-overflow=reject-publish");
    ck_assert_int_eq(rig_put(&r, "full", "x"), PUBLISH_ROUTED);
    ck_assert_int_eq(rig_put(&r, "w", "in"), PUBLISH_ROUTED);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "w" });
    rig_run(&r);
    struct tx *t = core_tx_begin(r.core, r.client);
    stage(t, "q", "a");
    core_tx_settle(t, k, 1, false, SETTLE_ACK);
    stage(t, "full", "b");
    stage(t, "q", "c");
    ck_assert_int_eq(commit(&t), PUBLISH_REFUSED);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_info(&r, "full").ready, 1);
    ck_assert_uint_eq(rig_info(&r, "w").unacked, 1);
}
END_TEST

START_TEST(a_refused_transaction_dead_letters_nothing)
{
    rig_queue(&r, "dead", NULL);
    rig_queue(&r, "full",
              "x-max-length=1 x-overflow=reject-publish-dlx x-dead-letter-exchange=amq.direct "
              "x-dead-letter-routing-key=dead");
    ck_assert_int_eq(core_bind(r.core, r.client,
                               &(struct binding_spec){ .exchange = BYTES("amq.direct"),
                                                       .target = BYTES("dead"),
                                                       .routing_key = BYTES("dead") },
                               NULL),
                     OK);
    ck_assert_int_eq(rig_put(&r, "full", "x"), PUBLISH_ROUTED);
    struct tx *t = core_tx_begin(r.core, r.client);
    stage(t, "full", "b");
    ck_assert_int_eq(commit(&t), PUBLISH_REFUSED);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "dead").ready, 0);
}
END_TEST

START_TEST(one_unknown_exchange_refuses_all)
{
    struct tx *t = core_tx_begin(r.core, r.client);

    stage(t, "q", "a");
    ck_assert(rig_stage(&r, t, &(struct rig_message){ .exchange = "none", .body = "b" }));
    ck_assert_int_eq(commit(&t), PUBLISH_NO_EXCHANGE);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
}
END_TEST

START_TEST(one_internal_exchange_refuses_all)
{
    struct exchange_spec s = { .name = BYTES("in"), .type = BYTES("fanout"), .internal = true };
    struct tx *t = core_tx_begin(r.core, r.client);

    ck_assert_int_eq(core_exchange_declare(r.core, r.client, &s, NULL), OK);
    rig_bind(&r, "in", "", "w");
    stage(t, "q", "a");
    ck_assert(rig_stage(&r, t, &(struct rig_message){ .exchange = "in", .body = "b" }));
    ck_assert_int_eq(commit(&t), PUBLISH_FORBIDDEN);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready + rig_info(&r, "w").ready, 0);
}
END_TEST

START_TEST(a_mandatory_message_that_no_queue_takes_is_returned_and_the_rest_done)
{
    struct tx *t = core_tx_begin(r.core, r.client);

    stage(t, "q", "a");
    ck_assert(rig_stage(
        &r, t, &(struct rig_message){ .key = "nowhere", .body = "lost", .mandatory = true }));
    ck_assert_int_eq(commit(&t), PUBLISH_UNROUTED);
    (void)core_confirm(r.core, r.client, false);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    const struct rig_effect *e = rig_next(&r, EFFECT_RETURN);
    ck_assert_ptr_nonnull(e);
    ck_assert_str_eq(e->text, "lost");
    ck_assert(bytes_eq(e->m.routing_key, BYTES("nowhere")));
    ck_assert_ptr_nonnull(rig_next(&r, EFFECT_CONFIRM)); /* after the return */
}
END_TEST

START_TEST(what_is_not_mandatory_is_not_returned)
{
    struct tx *t = core_tx_begin(r.core, r.client);

    stage(t, "nowhere", "lost");
    ck_assert_int_eq(commit(&t), PUBLISH_UNROUTED);
    rig_run(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_RETURN), 0);

    t = core_tx_begin(r.core, r.client);
    stage(t, "nowhere", "lost");
    ck_assert(
        rig_stage(&r, t, &(struct rig_message){ .key = "q", .body = "a", .mandatory = true }));
    ck_assert(rig_stage(
        &r, t, &(struct rig_message){ .key = "nowhere", .body = "back", .mandatory = true }));
    ck_assert_int_eq(commit(&t), PUBLISH_UNROUTED);
    rig_run(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_RETURN), 1);
    ck_assert_str_eq(rig_next(&r, EFFECT_RETURN)->text, "back");
}
END_TEST

START_TEST(a_transaction_that_is_too_large_says_so)
{
    struct core_options o = rig_options();

    rig_close(&r);
    o.transaction_bytes = 1000;
    rig_open(&r, &o);
    rig_queue(&r, "q", NULL);
    struct tx *t = core_tx_begin(r.core, r.client);
    ck_assert(rig_stage(&r, t, &(struct rig_message){ .key = "q", .body = "a", .padding = 600 }));
    ck_assert(!rig_stage(&r, t, &(struct rig_message){ .key = "q", .body = "b", .padding = 600 }));
    core_tx_abort(&t);
}
END_TEST

START_TEST(its_confirm_waits_for_its_commit)
{
    struct tx *t = core_tx_begin(r.core, r.client);

    r.hold_commits = true;
    stage(t, "q", "a");
    ck_assert_int_eq(commit(&t), PUBLISH_ROUTED);
    (void)core_confirm(r.core, r.client, false);
    rig_turn(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_CONFIRM), 0);
    rig_commit(&r);
    rig_turn(&r);
    ck_assert_uint_eq(rig_confirmed(&r, r.client), 1);
}
END_TEST

START_TEST(delayed_and_expiring_messages_keep_their_times)
{
    struct tx *t = core_tx_begin(r.core, r.client);

    ck_assert(
        rig_stage(&r, t, &(struct rig_message){ .key = "q", .body = "late", .delay_ms = 50 }));
    ck_assert(rig_stage(
        &r, t,
        &(struct rig_message){ .key = "w", .body = "short", .has_ttl = true, .ttl_ms = 50 }));
    ck_assert_int_eq(commit(&t), PUBLISH_ROUTED);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_info(&r, "w").ready, 1);
    rig_later(&r, 50);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    ck_assert_uint_eq(rig_info(&r, "w").ready, 0);
}
END_TEST

Suite *tx_suite(void);

Suite *tx_suite(void)
{
    Suite *s = suite_create("tx");
    TCase *t = tcase_create("tx");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, nothing_is_seen_before_the_commit);
    tcase_add_test(t, an_aborted_transaction_leaves_nothing);
    tcase_add_test(t, all_of_it_is_in_one_commit);
    tcase_add_test(t, a_transaction_of_several_batches_is_in_one_commit);
    tcase_add_test(t, acks_and_messages_go_together);
    tcase_add_test(t, a_rejection_of_a_cold_message_is_in_the_commit_too);
    tcase_add_test(t, an_ack_of_what_is_gone_is_passed_over);
    tcase_add_test(t, one_refused_message_refuses_all);
    tcase_add_test(t, a_refused_transaction_dead_letters_nothing);
    tcase_add_test(t, one_unknown_exchange_refuses_all);
    tcase_add_test(t, one_internal_exchange_refuses_all);
    tcase_add_test(t, a_mandatory_message_that_no_queue_takes_is_returned_and_the_rest_done);
    tcase_add_test(t, what_is_not_mandatory_is_not_returned);
    tcase_add_test(t, a_transaction_that_is_too_large_says_so);
    tcase_add_test(t, its_confirm_waits_for_its_commit);
    tcase_add_test(t, delayed_and_expiring_messages_keep_their_times);
    suite_add_tcase(s, t);
    return s;
}
