// SPDX-License-Identifier: MIT
/* Exchanges of type x-delayed-message: what they hold back, and who may ask for it. */
#include <check.h>

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

/* With x-delay, and a sender that means it for delayed exchanges alone. */
static enum publish_result send_by_exchange(const char *exchange, const char *key)
{
    return rig_send(&r, r.client,
                    &(struct rig_message){ .exchange = exchange,
                                           .key = key,
                                           .body = key,
                                           .delay_ms = 100,
                                           .delay_by_exchange = true });
}

START_TEST(a_delayed_exchange_routes_by_its_type_when_it_is_due)
{
    ck_assert_int_eq(rig_exchange(&r, "late", "x-delayed-message", "x-delayed-type=topic"), OK);
    ck_assert_int_eq(send_by_exchange("late", "a.b"), PUBLISH_ROUTED);
    ck_assert_int_eq(send_by_exchange("late", "c.d"), PUBLISH_ROUTED);
    rig_bind(&r, "late", "a.*", "q");
    rig_later(&r, 99);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    rig_later(&r, 1);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "a.b");
}
END_TEST

START_TEST(a_delayed_exchange_passes_on_at_once_what_has_no_delay)
{
    struct rig_message m = { .exchange = "late", .key = "k", .delay_by_exchange = true };

    ck_assert_int_eq(rig_exchange(&r, "late", "x-delayed-message", "x-delayed-type=direct"), OK);
    ck_assert_int_eq(rig_send(&r, r.client, &m), PUBLISH_UNROUTED);
    rig_bind(&r, "late", "k", "q");
    ck_assert_int_eq(rig_send(&r, r.client, &m), PUBLISH_ROUTED);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
}
END_TEST

START_TEST(a_delay_that_asks_for_a_delayed_exchange_is_none_elsewhere)
{
    rig_bind(&r, "amq.topic", "q", "q");
    ck_assert_int_eq(send_by_exchange("", "q"), PUBLISH_ROUTED);
    ck_assert_int_eq(send_by_exchange("amq.topic", "q"), PUBLISH_ROUTED);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 2);
    ck_assert_int_eq(send_by_exchange("", "nowhere"), PUBLISH_UNROUTED);
    ck_assert_int_eq(send_by_exchange("none", "q"), PUBLISH_NO_EXCHANGE);
}
END_TEST

START_TEST(a_transaction_heeds_the_exchange_too)
{
    struct rig_message m = { .key = "q", .delay_ms = 100, .delay_by_exchange = true };
    struct tx *t = core_tx_begin(r.core, r.client);

    ck_assert_int_eq(rig_exchange(&r, "late", "x-delayed-message", "x-delayed-type=fanout"), OK);
    rig_bind(&r, "late", "", "q");
    m.body = "now";
    ck_assert(rig_stage(&r, t, &m));
    m.exchange = "late";
    m.body = "later";
    ck_assert(rig_stage(&r, t, &m));
    ck_assert_int_eq(core_tx_commit(r.core, &t, NULL, r.now_ms), PUBLISH_ROUTED);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    rig_later(&r, 100);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "now later");
}
END_TEST

START_TEST(a_delayed_exchange_is_one_after_a_crash_too)
{
    ck_assert_int_eq(rig_exchange(&r, "late", "x-delayed-message", "x-delayed-type=direct"), OK);
    rig_bind(&r, "late", "1", "q");
    rig_bind(&r, "late", "2", "q");
    ck_assert_int_eq(send_by_exchange("late", "1"), PUBLISH_ROUTED);
    rig_run(&r);
    r.now_ms += 1;
    rig_crash(&r, false);
    ck_assert_int_eq(rig_exchange(&r, "late", "x-delayed-message", "x-delayed-type=direct"), OK);
    ck_assert_int_eq(rig_exchange(&r, "late", "direct", NULL), ERR_EXISTS);
    ck_assert_int_eq(send_by_exchange("late", "2"), PUBLISH_ROUTED);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    rig_later(&r, 99);
    ck_assert_str_eq(rig_drain(&r, "q", &text), "1");
    rig_later(&r, 1);
    ck_assert_str_eq(rig_texts(&r, &text), "2");
}
END_TEST

Suite *delayed_exchange_suite(void);

Suite *delayed_exchange_suite(void)
{
    Suite *s = suite_create("delayed_exchange");
    TCase *t = tcase_create("delayed_exchange");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_delayed_exchange_routes_by_its_type_when_it_is_due);
    tcase_add_test(t, a_delayed_exchange_passes_on_at_once_what_has_no_delay);
    tcase_add_test(t, a_delay_that_asks_for_a_delayed_exchange_is_none_elsewhere);
    tcase_add_test(t, a_transaction_heeds_the_exchange_too);
    tcase_add_test(t, a_delayed_exchange_is_one_after_a_crash_too);
    suite_add_tcase(s, t);
    return s;
}
