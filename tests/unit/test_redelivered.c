// SPDX-License-Identifier: MIT
/* Who gets a message once more is told so, also after a crash. */
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

START_TEST(what_is_stored_waits_for_the_mark_that_it_was_handed_out)
{
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "a");
    rig_run(&r);
    r.hold_commits = true;
    rig_put_each(&r, "q", "b");
    ck_assert_str_eq(rig_drain(&r, "q", &text), "");
    rig_commit(&r);
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "a b");
}
END_TEST

START_TEST(the_delivery_count_survives_a_crash)
{
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "ab");
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    for (uint64_t tag = 1; tag <= 5; tag += 2) {
        rig_run(&r);
        ck_assert_int_eq(core_settle(r.core, r.client, k, tag, false, SETTLE_RETURN, r.now_ms), OK);
        ck_assert_int_eq(core_settle(r.core, r.client, k, tag + 1, false, SETTLE_RETURN, r.now_ms),
                         OK);
    }
    core_client_room(r.core, r.client, 0);
    rig_run(&r);
    rig_crash(&r, false);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 2);
    ck_assert_uint_eq(r.effect[0].e.deliveries, 3);
    ck_assert_uint_eq(r.effect[1].e.deliveries, 3);
    ck_assert(r.effect[0].e.redelivered);
}
END_TEST

START_TEST(after_a_crash_what_may_have_been_seen_is_marked_redelivered)
{
    rig_queue(&r, "q", NULL);
    rig_queue(&r, "w", NULL);
    rig_put_each(&r, "q", "a");
    rig_put_each(&r, "w", "x");
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    rig_crash(&r, false);
    rig_put_each(&r, "q", "b");
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "w" });
    rig_run(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 3);
    for (size_t i = 0; i < r.count; i++)
        if (r.effect[i].e.kind == EFFECT_DELIVER)
            ck_assert_int_eq(r.effect[i].e.redelivered, r.effect[i].text[0] == 'a');
}
END_TEST

START_TEST(nothing_is_given_before_it_is_on_disk_that_the_queue_is_consumed)
{
    const char *why;

    rig_queue(&r, "q", NULL);
    rig_queue(&r, "w", NULL);
    rig_put_each(&r, "q", "a");
    rig_put_each(&r, "w", "b");
    rig_run(&r);
    r.hold_commits = true;
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    ck_assert_int_eq(core_get(r.core, r.client, BYTES("w"), false, 1, &why), OK);
    rig_turn(&r);
    rig_turn(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 0);
    rig_commit(&r);
    rig_turn(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 2);
    rig_crash(&r, false);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "w" });
    r.hold_commits = false;
    rig_run(&r);
    ck_assert_uint_eq(rig_count(&r, EFFECT_DELIVER), 2);
    for (size_t i = 0; i < r.count; i++)
        ck_assert(r.effect[i].e.kind != EFFECT_DELIVER || r.effect[i].e.redelivered);
}
END_TEST

START_TEST(a_consumer_of_an_empty_queue_waits_for_no_disk)
{
    rig_queue(&r, "q", NULL);
    rig_run(&r);
    r.hold_commits = true;
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_put_each(&r, "q", "a");
    rig_turn(&r);
    ck_assert_str_eq(rig_next_text(&r), "a");
}
END_TEST

START_TEST(after_a_clean_stop_nothing_is_marked_redelivered)
{
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "ab");
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 1 });
    rig_run(&r);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_ACK), OK);
    core_cancel(r.core, r.client, k, r.now_ms);
    rig_restart(&r);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    const struct rig_effect *d = rig_next(&r, EFFECT_DELIVER);
    ck_assert_ptr_nonnull(d);
    ck_assert_str_eq(d->text, "b");
    ck_assert(!d->e.redelivered);
}
END_TEST

START_TEST(a_clean_stop_does_not_hide_what_a_crash_before_it_left_open)
{
    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "a");
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    rig_crash(&r, false);
    rig_restart(&r);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    const struct rig_effect *d = rig_next(&r, EFFECT_DELIVER);
    ck_assert_ptr_nonnull(d);
    ck_assert(d->e.redelivered);
}
END_TEST

Suite *redelivered_suite(void);

Suite *redelivered_suite(void)
{
    Suite *s = suite_create("redelivered");
    TCase *t = tcase_create("redelivered");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, what_is_stored_waits_for_the_mark_that_it_was_handed_out);
    tcase_add_test(t, the_delivery_count_survives_a_crash);
    tcase_add_test(t, after_a_crash_what_may_have_been_seen_is_marked_redelivered);
    tcase_add_test(t, nothing_is_given_before_it_is_on_disk_that_the_queue_is_consumed);
    tcase_add_test(t, a_consumer_of_an_empty_queue_waits_for_no_disk);
    tcase_add_test(t, after_a_clean_stop_nothing_is_marked_redelivered);
    tcase_add_test(t, a_clean_stop_does_not_hide_what_a_crash_before_it_left_open);
    suite_add_tcase(s, t);
    return s;
}
