// SPDX-License-Identifier: MIT
/* Dead letters: on from one queue to another inside the broker. */
#include <check.h>

#include "proto/props.h"
#include "proto/table.h"
#include "tests/lib/core_rig.h"

static struct rig r;
static struct buf text;

#define DLX " x-dead-letter-exchange=amq.direct x-dead-letter-routing-key=dead"

static void setup(void)
{
    rig_open(&r, NULL);
    rig_queue(&r, "dead", NULL);
    ck_assert_int_eq(core_bind(r.core, r.client,
                               &(struct binding_spec){ .exchange = BYTES("amq.direct"),
                                                       .target = BYTES("dead"),
                                                       .routing_key = BYTES("dead") },
                               NULL),
                     OK);
    rig_run(&r);
}

static void teardown(void)
{
    rig_close(&r);
    buf_fini(&text);
}

/* The table of headers of a message; empty without one. */
static struct bytes headers_of(const struct rig_effect *e)
{
    struct props p;

    ck_assert(props_decode(e->m.props, &p));
    return p.flags & PROPS_headers ? p.headers : (struct bytes){ NULL, 0 };
}

/* Entry `i` of x-death. */
static struct bytes death(const struct rig_effect *e, int i)
{
    struct table_value v;

    ck_assert(table_find(headers_of(e), BYTES("x-death"), &v));
    ck_assert_int_eq(v.type, 'A');
    struct table_iter it = table_iter(v.raw);
    do
        ck_assert(table_next_element(&it, &v));
    while (i-- > 0);
    ck_assert_int_eq(v.type, 'F');
    return v.raw;
}

static void assert_field(struct bytes table, const char *name, const char *want)
{
    struct table_value v;
    struct bytes got;

    ck_assert(table_find(table, bytes_str(name), &v) && table_str(&v, &got));
    ck_assert(bytes_eq(got, bytes_str(want)));
}

static int64_t death_count(struct bytes entry)
{
    struct table_value v;
    int64_t n = -1;

    ck_assert(table_find(entry, BYTES("count"), &v) && table_int(&v, &n));
    return n;
}

START_TEST(a_rejected_message_is_dead_lettered_with_its_history)
{
    rig_queue(&r, "q", "x-dead-letter-exchange=amq.direct x-dead-letter-routing-key=dead");
    ck_assert_int_eq(
        rig_send(&r, r.client, &(struct rig_message){ .key = "q", .body = "a", .headers = "k=v" }),
        PUBLISH_ROUTED);
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_REJECT), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_stats(&r).dead_lettered, 1);
    rig_crash(&r, false);
    ck_assert_str_eq(rig_drain(&r, "dead", &text), "a");
    const struct rig_effect *e = &r.effect[r.seen - 1];
    assert_field(death(e, 0), "reason", "rejected");
    assert_field(death(e, 0), "queue", "q");
    assert_field(death(e, 0), "exchange", "");
    ck_assert_int_eq(death_count(death(e, 0)), 1);
    assert_field(headers_of(e), "x-first-death-queue", "q");
    assert_field(headers_of(e), "k", "v");
    ck_assert(bytes_eq(e->m.exchange, BYTES("amq.direct")));
    ck_assert(bytes_eq(e->m.routing_key, BYTES("dead")));
}
END_TEST

START_TEST(without_a_key_a_dead_letter_keeps_its_own)
{
    rig_queue(&r, "q", "x-dead-letter-exchange=amq.topic x-max-length=0");
    ck_assert_int_eq(core_bind(r.core, r.client,
                               &(struct binding_spec){ .exchange = BYTES("amq.topic"),
                                                       .target = BYTES("dead"),
                                                       .routing_key = BYTES("q") },
                               NULL),
                     OK);
    rig_put_each(&r, "q", "a");
    rig_run(&r);
    ck_assert_str_eq(rig_drain(&r, "dead", &text), "a");
}
END_TEST

START_TEST(a_dead_letter_may_go_to_a_queue_by_name)
{
    struct buf table = { 0 };
    struct queue_spec s = { .name = BYTES("q"), .durable = true };
    struct queue_info info;
    const char *why;

    table_put_str(&table, BYTES("x-dead-letter-exchange"), BYTES(""));
    table_put_str(&table, BYTES("x-dead-letter-routing-key"), BYTES("dead"));
    table_put_int(&table, BYTES("x-max-length"), 1);
    s.arguments = buf_view(&table);
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), OK);
    buf_fini(&table);
    rig_put_each(&r, "q", "abc");
    rig_run(&r);
    ck_assert_str_eq(rig_drain(&r, "dead", &text), "a b");
}
END_TEST

START_TEST(a_dead_letter_without_a_place_to_go_is_dropped)
{
    rig_queue(&r, "q", "x-dead-letter-exchange=none x-max-length=0");
    rig_put_each(&r, "q", "a");
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
    ck_assert_uint_eq(rig_stats(&r).unrouted, 1);
}
END_TEST

START_TEST(a_cycle_without_a_rejection_ends)
{
    rig_queue(&r, "q", "x-dead-letter-exchange=amq.fanout x-max-length=0");
    ck_assert_int_eq(
        core_bind(r.core, r.client,
                  &(struct binding_spec){ .exchange = BYTES("amq.fanout"), .target = BYTES("q") },
                  NULL),
        OK);
    rig_put_each(&r, "q", "ab");
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_stats(&r).dead_lettered, 2);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
}
END_TEST

START_TEST(a_cycle_by_rejection_goes_on_and_is_counted)
{
    rig_queue(&r, "q", "x-dead-letter-exchange=amq.fanout");
    ck_assert_int_eq(
        core_bind(r.core, r.client,
                  &(struct binding_spec){ .exchange = BYTES("amq.fanout"), .target = BYTES("q") },
                  NULL),
        OK);
    rig_put_each(&r, "q", "a");
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    for (uint64_t tag = 1; tag <= 4; tag++) {
        rig_run(&r);
        const struct rig_effect *e = rig_next(&r, EFFECT_DELIVER);
        ck_assert_ptr_nonnull(e);
        ck_assert_str_eq(e->text, "a");
        if (tag > 1)
            ck_assert_int_eq(death_count(death(e, 0)), (int64_t)tag - 1);
        ck_assert_int_eq(rig_settle(&r, r.client, k, tag, SETTLE_REJECT), OK);
    }
}
END_TEST

START_TEST(beyond_its_delivery_limit_a_message_goes)
{
    rig_queue(&r, "q", "x-delivery-limit=2" DLX);
    rig_put_each(&r, "q", "a");
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    for (uint64_t tag = 1; tag <= 3; tag++) {
        rig_run(&r);
        const struct rig_effect *e = rig_next(&r, EFFECT_DELIVER);
        ck_assert_ptr_nonnull(e);
        ck_assert_uint_eq(e->e.deliveries, tag - 1);
        ck_assert_int_eq(rig_settle(&r, r.client, k, tag, SETTLE_RETURN), OK);
    }
    rig_run(&r);
    ck_assert_str_eq(rig_next_text(&r), "(none)");
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_str_eq(rig_drain(&r, "dead", &text), "a");
    assert_field(death(&r.effect[r.seen - 1], 0), "reason", "delivery_limit");
}
END_TEST

START_TEST(the_delivery_limit_counts_over_a_crash)
{
    rig_queue(&r, "q", "x-delivery-limit=1");
    rig_put_each(&r, "q", "a");
    for (int run = 0; run < 2; run++) {
        consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
        rig_run(&r);
        core_client_room(r.core, r.client, 0);
        ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_RETURN), OK);
        rig_run(&r);
        rig_crash(&r, false);
    }
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_rows(&r), 0);
}
END_TEST

START_TEST(a_rejected_message_on_disk_is_dead_lettered_once_it_is_read)
{
    struct core_options o = rig_options();

    teardown();
    setup();
    o.memory_bytes = 1;
    r.opt = o;
    rig_crash(&r, false);
    rig_queue(&r, "q", "x-dead-letter-exchange=amq.direct x-dead-letter-routing-key=dead");
    rig_put_each(&r, "q", "abc");
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_uint_eq(rig_stats(&r).memory_bytes, 0);
    rig_forget(&r);
    ck_assert_int_eq(rig_settle(&r, r.client, k, 2, SETTLE_REJECT), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").unacked, 2);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 2);
    ck_assert_str_eq(rig_drain(&r, "dead", &text), "b");
}
END_TEST

START_TEST(a_dead_letter_and_its_end_are_in_one_commit)
{
    rig_queue(&r, "q", "x-dead-letter-exchange=amq.direct x-dead-letter-routing-key=dead");
    rig_put_each(&r, "q", "a");
    consumer_id k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    r.hold_commits = true;
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_REJECT), OK);
    rig_turn(&r);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    ck_assert_uint_eq(rig_info(&r, "dead").ready, 0);
    k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_turn(&r);
    rig_commit(&r);
    rig_turn(&r); /* with what was read */
    ck_assert_int_eq(rig_settle(&r, r.client, k, 1, SETTLE_REJECT), OK);
    rig_turn(&r);
    rig_crash(&r, true);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 0);
    ck_assert_uint_eq(rig_info(&r, "dead").ready, 1);
}
END_TEST

START_TEST(a_refused_message_may_be_dead_lettered)
{
    rig_queue(&r, "q", "x-max-length=1 x-overflow=reject-publish-dlx" DLX);
    rig_put_each(&r, "q", "a");
    ck_assert_int_eq(rig_put(&r, "q", "b"), PUBLISH_REFUSED);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").ready, 1);
    ck_assert_str_eq(rig_drain(&r, "dead", &text), "b");
    assert_field(death(&r.effect[r.seen - 1], 0), "reason", "maxlen");
}
END_TEST

Suite *redirect_suite(void);

Suite *redirect_suite(void)
{
    Suite *s = suite_create("redirect");
    TCase *t = tcase_create("redirect");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_rejected_message_is_dead_lettered_with_its_history);
    tcase_add_test(t, without_a_key_a_dead_letter_keeps_its_own);
    tcase_add_test(t, a_dead_letter_may_go_to_a_queue_by_name);
    tcase_add_test(t, a_dead_letter_without_a_place_to_go_is_dropped);
    tcase_add_test(t, a_cycle_without_a_rejection_ends);
    tcase_add_test(t, a_cycle_by_rejection_goes_on_and_is_counted);
    tcase_add_test(t, beyond_its_delivery_limit_a_message_goes);
    tcase_add_test(t, the_delivery_limit_counts_over_a_crash);
    tcase_add_test(t, a_rejected_message_on_disk_is_dead_lettered_once_it_is_read);
    tcase_add_test(t, a_dead_letter_and_its_end_are_in_one_commit);
    tcase_add_test(t, a_refused_message_may_be_dead_lettered);
    suite_add_tcase(s, t);
    return s;
}
