// SPDX-License-Identifier: MIT
/* Deliveries that their consumer has for good though they are not acked yet. */
#include <check.h>
#include <string.h>

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

/* A client of its own consumes the queue; the deliveries are in r.effect. */
static client_id consume(const char *queue, uint32_t prefetch, consumer_id *k)
{
    client_id id = rig_client(&r);

    rig_forget(&r);
    *k = rig_consume(&r, id, &(struct rig_consume){ .queue = queue, .prefetch = prefetch });
    rig_run(&r);
    return id;
}

static void receive(client_id id, consumer_id k, uint64_t tag)
{
    ck_assert_int_eq(core_received(r.core, id, k, tag), OK);
    ck_assert(core_check(r.core));
}

/* The bodies of all deliveries, those received in capitals: "A b c". */
static const char *seen(void)
{
    const struct rig_effect *d;

    text.n = 0;
    while ((d = rig_next(&r, EFFECT_DELIVER))) {
        ck_assert(d->e.redelivered || !d->e.received);
        buf_fmt(&text, "%s%c", text.n ? " " : "",
                d->e.received ? d->text[0] - 'a' + 'A' : d->text[0]);
    }
    buf_u8(&text, 0);
    return (const char *)text.p;
}

/* A queue of it whose first messages a client had received when it went. */
static void leave_received(const char *args, const char *bodies, uint64_t received)
{
    consumer_id k;

    rig_queue(&r, "q", args);
    rig_put_each(&r, "q", bodies);
    client_id id = consume("q", 0, &k);
    for (uint64_t tag = 1; tag <= received; tag++)
        receive(id, k, tag);
    core_client_close(r.core, id, r.now_ms);
    rig_run(&r);
}

START_TEST(it_stays_unacked_and_keeps_its_credit_until_it_is_acked)
{
    consumer_id k;

    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "ab");
    client_id id = consume("q", 1, &k);
    ck_assert_str_eq(seen(), "a");
    receive(id, k, 1);
    rig_run(&r);
    ck_assert_str_eq(seen(), "");
    ck_assert_uint_eq(rig_info(&r, "q").unacked, 1);
    ck_assert_int_eq(rig_settle(&r, id, k, 1, SETTLE_ACK), OK);
    rig_run(&r);
    ck_assert_str_eq(seen(), "b");
    ck_assert_int_eq(rig_settle(&r, id, k, 2, SETTLE_ACK), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_rows(&r), 0);
    ck_assert_uint_eq(mem_disk_stats(r.disk).deliveries, 0);
}
END_TEST

START_TEST(a_confirm_after_it_waits_until_it_is_on_disk)
{
    consumer_id k;

    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "a");
    client_id id = consume("q", 0, &k);
    r.hold_commits = true;
    receive(id, k, 1);
    ck_assert_uint_eq(core_confirm(r.core, id, false), 1);
    rig_turn(&r);
    ck_assert_uint_eq(rig_ops(&r, OP_DELIVERIES_PUT), 1);
    ck_assert_uint_eq(rig_confirmed(&r, id), 0);
    rig_commit(&r);
    rig_turn(&r);
    ck_assert_uint_eq(rig_confirmed(&r, id), 1);
}
END_TEST

START_TEST(said_twice_it_is_written_once)
{
    consumer_id k;

    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "a");
    client_id id = consume("q", 0, &k);
    r.hold_commits = true;
    receive(id, k, 1);
    receive(id, k, 1);
    rig_turn(&r);
    ck_assert_uint_eq(rig_ops(&r, OP_DELIVERIES_PUT), 1);
}
END_TEST

START_TEST(who_gets_it_next_is_told_so)
{
    consumer_id k;

    leave_received(NULL, "abc", 2);
    client_id id = consume("q", 0, &k);
    ck_assert_str_eq(seen(), "A B c");
    ck_assert_int_eq(rig_settle(&r, id, k, 2, SETTLE_RETURN), OK);
    rig_run(&r);
    ck_assert_str_eq(seen(), "B");
}
END_TEST

START_TEST(it_survives_a_crash_and_a_clean_stop)
{
    consumer_id k;

    leave_received(NULL, "abc", 2);
    rig_crash(&r, false);
    rig_restart(&r);
    consume("q", 0, &k);
    ck_assert_str_eq(seen(), "A B c");
}
END_TEST

START_TEST(what_was_not_committed_was_not_received)
{
    consumer_id k;

    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "ab");
    client_id id = consume("q", 0, &k);
    receive(id, k, 2);
    rig_run(&r);
    r.hold_commits = true;
    receive(id, k, 1);
    rig_turn(&r);
    rig_crash(&r, false);
    r.hold_commits = false;
    consume("q", 0, &k);
    ck_assert_str_eq(seen(), "a B");
}
END_TEST

START_TEST(received_before_it_was_stored_it_is_stored_as_such)
{
    consumer_id k;

    rig_queue(&r, "q", NULL);
    client_id id = consume("q", 0, &k);
    rig_put_each(&r, "q", "ab");
    core_turn(r.core, r.now_ms);
    receive(id, k, 1);
    rig_run(&r);
    rig_crash(&r, false);
    consume("q", 0, &k);
    ck_assert_str_eq(seen(), "A b");
}
END_TEST

START_TEST(it_survives_a_rewrite_of_its_batch)
{
    struct core_options o = rig_options();
    consumer_id k;

    rig_close(&r);
    o.compact_batches = 5;
    rig_open(&r, &o);
    leave_received(NULL, "abc", 2);
    for (int i = 0; i < 10; i++) {
        rig_put_each(&r, "q", "d");
        rig_run(&r);
    }
    ck_assert_uint_gt(rig_stats(&r).compacted, 2);
    rig_crash(&r, false);
    consume("q", 3, &k);
    ck_assert_str_eq(seen(), "A B c");
}
END_TEST

START_TEST(it_does_not_expire)
{
    consumer_id k;

    leave_received("x-message-ttl=1000", "abc", 1);
    rig_later(&r, 5000);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    rig_crash(&r, false);
    rig_later(&r, 5000);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    consume("q", 0, &k);
    ck_assert_str_eq(seen(), "A");
    rig_later(&r, 60000); /* until nothing is held in memory that could be dropped */
    ck_assert_uint_eq(core_next_at_ms(r.core), UINT64_MAX);
}
END_TEST

/* Not even when it comes back after its time. */
START_TEST(it_does_not_expire_when_it_comes_back_late)
{
    consumer_id k;

    rig_queue(&r, "q", "x-message-ttl=1000");
    rig_put_each(&r, "q", "ab");
    client_id id = consume("q", 0, &k);
    receive(id, k, 2);
    rig_later(&r, 5000);
    consumer_id second;
    client_id other = consume("q", 0, &second);
    core_client_close(r.core, id, r.now_ms);
    rig_run(&r);
    ck_assert_str_eq(seen(), "B");
    core_client_close(r.core, other, r.now_ms);
}
END_TEST

START_TEST(it_is_not_dropped_for_the_length_of_the_queue)
{
    consumer_id k;

    leave_received("x-max-length=3", "abc", 2);
    rig_put_each(&r, "q", "de");
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 3);
    consume("q", 0, &k);
    ck_assert_str_eq(seen(), "A B e");
}
END_TEST

START_TEST(a_queue_may_be_longer_than_it_may_by_what_was_received)
{
    consumer_id k;

    leave_received("x-max-length=3", "abc", 3);
    rig_crash(&r, false);
    rig_put_each(&r, "q", "de");
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 3);
    consume("q", 0, &k);
    ck_assert_str_eq(seen(), "A B C");
}
END_TEST

START_TEST(on_disk_alone_it_is_not_dropped_either)
{
    struct core_options o = rig_options();
    consumer_id k;

    rig_close(&r);
    o.memory_bytes = 1;
    rig_open(&r, &o);
    leave_received("x-max-length=3", "abc", 2);
    for (int i = 0; i < 3; i++) {
        rig_put_each(&r, "q", "d");
        rig_run(&r);
    }
    ck_assert_uint_eq(rig_info(&r, "q").ready, 3);
    consume("q", 0, &k);
    ck_assert_str_eq(seen(), "A B d");
}
END_TEST

START_TEST(no_delivery_limit_counts_it)
{
    consumer_id k;

    leave_received("x-delivery-limit=2", "ab", 1);
    for (int i = 0; i < 5; i++) {
        client_id id = consume("q", 0, &k);
        ck_assert_str_eq(seen(), i < 2 ? "A b" : "A");
        core_client_close(r.core, id, r.now_ms);
        rig_run(&r);
    }
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
}
END_TEST

START_TEST(a_tag_that_is_not_there_is_not_found)
{
    client_id other = rig_client(&r);
    consumer_id k;

    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "a");
    client_id id = consume("q", 0, &k);
    ck_assert_int_eq(core_received(r.core, id, k, 0), ERR_NOT_FOUND);
    ck_assert_int_eq(core_received(r.core, id, k, 2), ERR_NOT_FOUND);
    ck_assert_int_eq(core_received(r.core, id, 0, 1), ERR_NOT_FOUND);
    ck_assert_int_eq(core_received(r.core, other, k, 1), ERR_NOT_FOUND);
    ck_assert_int_eq(core_received(r.core, id, k + 1, 1), ERR_NOT_FOUND);
    ck_assert_int_eq(rig_settle(&r, id, k, 1, SETTLE_ACK), OK);
    ck_assert_int_eq(core_received(r.core, id, k, 1), ERR_NOT_FOUND);
}
END_TEST

START_TEST(the_shared_ledger_has_such_tags_too)
{
    client_id id = rig_client(&r);
    consumer_id k;

    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "ab");
    rig_consume(&r, id, &(struct rig_consume){ .queue = "q", .shared = true });
    rig_run(&r);
    receive(id, 0, 2);
    core_client_close(r.core, id, r.now_ms);
    consume("q", 0, &k);
    ck_assert_str_eq(seen(), "a B");
}
END_TEST

START_TEST(a_transient_one_is_received_as_long_as_it_lives)
{
    consumer_id k;

    rig_queue(&r, "q", NULL);
    ck_assert_int_eq(
        rig_send(&r, r.client, &(struct rig_message){ .key = "q", .body = "a", .transient = true }),
        PUBLISH_ROUTED);
    client_id id = consume("q", 0, &k);
    receive(id, k, 1);
    core_client_close(r.core, id, r.now_ms);
    rig_run(&r);
    ck_assert_uint_eq(mem_disk_stats(r.disk).deliveries, 0);
    consume("q", 0, &k);
    ck_assert_str_eq(seen(), "A");
}
END_TEST

START_TEST(the_queue_may_have_gone_meanwhile)
{
    uint64_t count;
    const char *why;
    consumer_id k;
    client_id id = rig_client(&r);

    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "a");
    k = rig_consume(&r, id, &(struct rig_consume){ .queue = "q", .shared = true });
    rig_run(&r);
    ck_assert_uint_ne(k, 0);
    ck_assert_int_eq(core_queue_delete(r.core, r.client, BYTES("q"), false, false, &count, &why),
                     OK);
    receive(id, 0, 1);
    ck_assert_int_eq(rig_settle(&r, id, 0, 1, SETTLE_ACK), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_rows(&r), 0);
}
END_TEST

/* What the commit under way says last of a slot: received, death, returns. */
static uint32_t noted_last(uint32_t slot)
{
    uint32_t noted = 0;

    for (size_t i = 0; i < r.under_way->op_count; i++) {
        const struct op *o = &r.under_way->op[i];

        if (o->kind == OP_DELIVERIES_PUT && o->slot == slot)
            noted = o->count;
    }
    return noted;
}

/* On disk both are beside the count of returns. */
START_TEST(a_death_to_come_does_not_forget_that_it_was_received_nor_the_other_way)
{
    struct core_options o = rig_options();
    consumer_id k;

    rig_close(&r);
    o.memory_bytes = 1;
    rig_open(&r, &o);
    rig_queue(&r, "dead", NULL);
    rig_queue(&r, "q", "x-dead-letter-exchange=amq.fanout");
    rig_bind(&r, "amq.fanout", "", "dead");
    rig_put_each(&r, "q", "abc");
    client_id id = consume("q", 0, &k);
    ck_assert_int_eq(rig_settle(&r, id, k, 1, SETTLE_RETURN), OK);
    rig_run(&r);
    r.hold_loads = r.hold_commits = true;
    receive(id, k, 4); /* a again */
    receive(id, k, 2);
    ck_assert_int_eq(rig_settle(&r, id, k, 4, SETTLE_REJECT), OK);
    ck_assert_int_eq(rig_settle(&r, id, k, 3, SETTLE_REJECT), OK);
    rig_turn(&r);
    ck_assert_uint_eq(noted_last(0), UINT32_C(1) << 31 | UINT32_C(1) << 28 | 1);
    ck_assert_uint_eq(noted_last(1), UINT32_C(1) << 31);
    ck_assert_uint_eq(noted_last(2), UINT32_C(1) << 28);
    rig_crash(&r, true);
    r.hold_loads = r.hold_commits = false;
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "dead").ready, 2);
    consume("q", 0, &k);
    ck_assert_str_eq(seen(), "B");
    consume("dead", 0, &k);
    ck_assert_str_eq(seen(), "a c");
}
END_TEST

Suite *received_suite(void);

Suite *received_suite(void)
{
    Suite *s = suite_create("received");
    TCase *t = tcase_create("received");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, it_stays_unacked_and_keeps_its_credit_until_it_is_acked);
    tcase_add_test(t, a_confirm_after_it_waits_until_it_is_on_disk);
    tcase_add_test(t, said_twice_it_is_written_once);
    tcase_add_test(t, who_gets_it_next_is_told_so);
    tcase_add_test(t, it_survives_a_crash_and_a_clean_stop);
    tcase_add_test(t, what_was_not_committed_was_not_received);
    tcase_add_test(t, received_before_it_was_stored_it_is_stored_as_such);
    tcase_add_test(t, it_survives_a_rewrite_of_its_batch);
    tcase_add_test(t, it_does_not_expire);
    tcase_add_test(t, it_does_not_expire_when_it_comes_back_late);
    tcase_add_test(t, it_is_not_dropped_for_the_length_of_the_queue);
    tcase_add_test(t, a_queue_may_be_longer_than_it_may_by_what_was_received);
    tcase_add_test(t, on_disk_alone_it_is_not_dropped_either);
    tcase_add_test(t, no_delivery_limit_counts_it);
    tcase_add_test(t, a_tag_that_is_not_there_is_not_found);
    tcase_add_test(t, the_shared_ledger_has_such_tags_too);
    tcase_add_test(t, a_transient_one_is_received_as_long_as_it_lives);
    tcase_add_test(t, the_queue_may_have_gone_meanwhile);
    tcase_add_test(t, a_death_to_come_does_not_forget_that_it_was_received_nor_the_other_way);
    suite_add_tcase(s, t);
    return s;
}
