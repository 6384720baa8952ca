// SPDX-License-Identifier: MIT
/* Messages that nobody may see before they are on disk: publish.deliver_committed. */
#include <check.h>
#include <string.h>

#include "tests/lib/core_rig.h"

static struct rig r;
static struct buf text;

static void setup(void)
{
    rig_open(&r, NULL);
    rig_queue(&r, "q", NULL);
    rig_run(&r);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    r.hold_commits = true;
}

static void teardown(void)
{
    rig_close(&r);
    buf_fini(&text);
}

static void send(const char *key, const char *body, bool late)
{
    ck_assert_int_eq(
        rig_send(&r, r.client,
                 &(struct rig_message){ .key = key, .body = body, .deliver_committed = late }),
        PUBLISH_ROUTED);
}

static const char *seen(void)
{
    rig_turn(&r);
    return rig_texts(&r, &text);
}

START_TEST(a_consumer_gets_it_only_once_its_commit_is_on_disk)
{
    send("q", "a", true);
    ck_assert_str_eq(seen(), "");
    ck_assert_str_eq(seen(), "");
    rig_commit(&r);
    ck_assert_str_eq(seen(), "a");
}
END_TEST

START_TEST(an_earlier_commit_does_not_let_it_go)
{
    send("q", "a", false);
    ck_assert_str_eq(seen(), "a"); /* its commit is under way now */
    send("q", "b", true);
    ck_assert_str_eq(seen(), "");
    rig_commit(&r);
    ck_assert_str_eq(seen(), "");
    rig_commit(&r);
    ck_assert_str_eq(seen(), "b");
}
END_TEST

START_TEST(what_comes_behind_it_waits_and_what_is_before_it_does_not)
{
    send("q", "a", false);
    ck_assert_str_eq(seen(), "a");
    send("q", "b", true);
    send("q", "c", false);
    ck_assert_int_eq(
        rig_send(&r, r.client, &(struct rig_message){ .key = "q", .body = "d", .transient = true }),
        PUBLISH_ROUTED);
    ck_assert_str_eq(seen(), "");
    rig_commit(&r);
    ck_assert_str_eq(seen(), "");
    rig_commit(&r);
    ck_assert_str_eq(seen(), "b c d");
}
END_TEST

START_TEST(who_asks_for_one_message_waits_too)
{
    const char *why;

    rig_queue(&r, "g", NULL);
    rig_turn(&r);
    rig_commit(&r);
    send("g", "a", true);
    ck_assert_int_eq(core_get(r.core, r.client, BYTES("g"), true, 7, &why), OK);
    ck_assert_str_eq(seen(), "");
    ck_assert_uint_eq(rig_count(&r, EFFECT_GET_EMPTY), 0);
    rig_commit(&r);
    ck_assert_str_eq(seen(), "a");
}
END_TEST

START_TEST(a_copy_that_no_crash_outlives_need_not_wait)
{
    struct queue_spec s = { .name = BYTES("t") };
    struct queue_info info;
    const char *why;

    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), OK);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "t", .handle = 2 });
    rig_bind(&r, "amq.fanout", "", "q");
    rig_bind(&r, "amq.fanout", "", "t");
    ck_assert_int_eq(rig_send(&r, r.client,
                              &(struct rig_message){ .exchange = "amq.fanout",
                                                     .body = "a",
                                                     .deliver_committed = true }),
                     PUBLISH_ROUTED);
    rig_turn(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 1);
    ck_assert_uint_eq(rig_next(&r, EFFECT_DELIVER)->e.handle, 2);
    rig_commit(&r);
    ck_assert_str_eq(seen(), "a");
}
END_TEST

START_TEST(a_transaction_keeps_to_it)
{
    struct tx *t = core_tx_begin(r.core, r.client);
    const char *why;

    ck_assert(rig_stage(
        &r, t, &(struct rig_message){ .key = "q", .body = "a", .deliver_committed = true }));
    ck_assert_int_eq(core_tx_commit(r.core, &t, &why, r.now_ms), PUBLISH_ROUTED);
    ck_assert_str_eq(seen(), "");
    rig_commit(&r);
    ck_assert_str_eq(seen(), "a");
}
END_TEST

START_TEST(a_delayed_one_is_delivered_when_it_is_due)
{
    r.hold_commits = false;
    ck_assert_int_eq(
        rig_send(&r, r.client,
                 &(struct rig_message){
                     .key = "q", .body = "a", .delay_ms = 500, .deliver_committed = true }),
        PUBLISH_ROUTED);
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "");
    rig_later(&r, 500);
    ck_assert_str_eq(rig_texts(&r, &text), "a");
}
END_TEST

START_TEST(a_long_body_waits_too)
{
    enum { SIZE = 2 * BLOB_PART_BYTES };
    static const uint8_t half[BLOB_PART_BYTES];
    struct publish p = { .persistent = true, .deliver_committed = true };
    const char *why;

    p.m.routing_key = BYTES("q");
    p.m.body_size = SIZE;
    p.m.blob_id = core_blob_begin(r.core, r.client, SIZE, &why);
    ck_assert_uint_ne(p.m.blob_id, 0);
    for (int i = 0; i < 2; i++)
        core_blob_append(r.core, p.m.blob_id, bytes_of(half, sizeof half));
    ck_assert_int_eq(core_publish(r.core, r.client, &p, &why, r.now_ms), PUBLISH_ROUTED);
    rig_turn(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 0);
    rig_commit(&r);
    rig_turn(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 1);
}
END_TEST

/* Else the queue would wait for a commit that is never made. */
START_TEST(when_what_waits_is_purged_the_queue_goes_on)
{
    uint64_t count = 0;
    const char *why;

    send("q", "a", true);
    core_turn(r.core, r.now_ms);
    core_effects_done(r.core);
    ck_assert_int_eq(core_queue_purge(r.core, r.client, BYTES("q"), &count, &why), OK);
    ck_assert_uint_eq(count, 1);
    rig_turn(&r);
    ck_assert_ptr_null(r.under_way);
    ck_assert_int_eq(
        rig_send(&r, r.client, &(struct rig_message){ .key = "q", .body = "b", .transient = true }),
        PUBLISH_ROUTED);
    ck_assert_str_eq(seen(), "b");
}
END_TEST

START_TEST(what_a_crash_took_nobody_has_seen)
{
    send("q", "a", true);
    ck_assert_str_eq(seen(), "");
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    send("q", "b", true);
    ck_assert_str_eq(seen(), "");
    rig_crash(&r, true);
    r.hold_commits = false;
    ck_assert_str_eq(rig_drain(&r, "q", &text), "b");
}
END_TEST

START_TEST(it_may_be_dead_lettered_like_any_other)
{
    rig_queue(&r, "short", "x-max-length=0 x-dead-letter-exchange=amq.fanout");
    rig_bind(&r, "amq.fanout", "", "q");
    send("short", "a", true);
    rig_turn(&r);
    rig_commit(&r);
    r.hold_commits = false;
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "a");
}
END_TEST

Suite *committed_suite(void);

Suite *committed_suite(void)
{
    Suite *s = suite_create("committed");
    TCase *t = tcase_create("committed");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_consumer_gets_it_only_once_its_commit_is_on_disk);
    tcase_add_test(t, an_earlier_commit_does_not_let_it_go);
    tcase_add_test(t, what_comes_behind_it_waits_and_what_is_before_it_does_not);
    tcase_add_test(t, who_asks_for_one_message_waits_too);
    tcase_add_test(t, a_copy_that_no_crash_outlives_need_not_wait);
    tcase_add_test(t, a_transaction_keeps_to_it);
    tcase_add_test(t, a_delayed_one_is_delivered_when_it_is_due);
    tcase_add_test(t, a_long_body_waits_too);
    tcase_add_test(t, when_what_waits_is_purged_the_queue_goes_on);
    tcase_add_test(t, what_a_crash_took_nobody_has_seen);
    tcase_add_test(t, it_may_be_dead_lettered_like_any_other);
    suite_add_tcase(s, t);
    return s;
}
