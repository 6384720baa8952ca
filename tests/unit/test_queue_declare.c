// SPDX-License-Identifier: MIT
/* Queues come and go. */
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

START_TEST(delete_heeds_if_unused_and_if_empty)
{
    uint64_t count = 0;
    const char *why;

    rig_queue(&r, "q", NULL);
    rig_put_each(&r, "q", "a");
    ck_assert_int_eq(core_queue_delete(r.core, r.client, BYTES("q"), false, true, &count, &why),
                     ERR_NOT_EMPTY);
    rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    ck_assert_int_eq(core_queue_delete(r.core, r.client, BYTES("q"), true, false, &count, &why),
                     ERR_IN_USE);
    ck_assert_int_eq(core_queue_delete(r.core, r.client, BYTES("w"), true, false, &count, &why),
                     ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_queue_is_declared_again_only_as_it_is)
{
    struct buf args = { 0 };
    struct queue_spec s = { .name = BYTES("q"), .durable = true };
    struct queue_info info;
    const char *why = NULL;

    rig_queue(&r, "q", "x-max-length=5");
    s.arguments = rig_args(&args, "x-max-length=5");
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), OK);
    s.arguments = rig_args(&args, "x-max-length=6");
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), ERR_EXISTS);
    ck_assert_ptr_nonnull(why);
    s.arguments = rig_args(&args, "x-max-length=5");
    s.durable = false;
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), ERR_EXISTS);
    s.arguments = rig_args(&args, "x-max-length=many");
    s.name = BYTES("w");
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), ERR_INVALID);
    s.passive = true;
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms),
                     ERR_NOT_FOUND);
    buf_fini(&args);
}
END_TEST

START_TEST(a_queue_without_a_name_gets_one_of_its_own)
{
    struct queue_spec s = { .prefix = BYTES("tmp-") };
    struct queue_info one, two;
    const char *why;

    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &one, &why, r.now_ms), OK);
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &two, &why, r.now_ms), OK);
    ck_assert(bytes_starts(one.name, BYTES("tmp-")));
    ck_assert_uint_eq(one.name.n, 4 + 32);
    ck_assert(!bytes_eq(one.name, two.name));
}
END_TEST

START_TEST(an_exclusive_queue_is_locked_to_others_and_goes_with_its_client)
{
    client_id second = rig_client(&r);
    struct queue_spec s = { .name = BYTES("q"), .exclusive = true };
    struct queue_info info;
    const char *why;
    uint64_t count;
    consumer_id k;

    ck_assert_int_eq(core_queue_declare(r.core, second, &s, &info, &why, r.now_ms), OK);
    rig_put_each(&r, "q", "ab");
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), ERR_LOCKED);
    ck_assert_int_eq(core_queue_delete(r.core, r.client, BYTES("q"), false, false, &count, &why),
                     ERR_LOCKED);
    ck_assert_int_eq(core_queue_purge(r.core, r.client, BYTES("q"), &count, &why), ERR_LOCKED);
    ck_assert_int_eq(
        core_consume(r.core, r.client, &(struct consume){ .queue = BYTES("q") }, &k, &why),
        ERR_LOCKED);
    ck_assert_int_eq(core_get(r.core, r.client, BYTES("q"), true, 1, &why), ERR_LOCKED);
    core_client_close(r.core, second, r.now_ms);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").queue_id, 0);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
}
END_TEST

/* What the client gets when it declares, consumes, gets from, purges and binds "q". */
static void uses_q(client_id id, enum err expected)
{
    struct queue_spec s = { .name = BYTES("q"), .exclusive = true };
    struct binding_spec b = { .exchange = BYTES("amq.direct"), .target = BYTES("q") };
    struct queue_info info;
    uint64_t count;
    consumer_id k;

    ck_assert_int_eq(core_queue_declare(r.core, id, &s, &info, NULL, r.now_ms), expected);
    ck_assert_int_eq(core_bind(r.core, id, &b, NULL), expected);
    ck_assert_int_eq(core_get(r.core, id, s.name, true, 1, NULL), expected);
    ck_assert_int_eq(core_queue_purge(r.core, id, s.name, &count, NULL), expected);
    ck_assert_int_eq(core_consume(r.core, id, &(struct consume){ .queue = s.name }, &k, NULL),
                     expected);
    rig_run(&r);
}

START_TEST(an_exclusive_queue_is_of_the_connection_and_used_by_all_its_clients)
{
    client_id connection = rig_client(&r), other = rig_client(&r);
    client_id one = rig_join(&r, connection), two = rig_join(&r, connection);
    client_id stranger = rig_join(&r, other);
    struct queue_spec s = { .name = BYTES("q"), .exclusive = true };
    struct queue_info info;
    uint64_t count;

    ck_assert_int_eq(core_queue_declare(r.core, one, &s, &info, NULL, r.now_ms), OK);
    uses_q(one, OK);
    uses_q(two, OK);
    uses_q(connection, OK);
    uses_q(other, ERR_LOCKED);
    uses_q(stranger, ERR_LOCKED);
    ck_assert_int_eq(core_queue_delete(r.core, stranger, s.name, false, false, &count, NULL),
                     ERR_LOCKED);
    ck_assert_int_eq(core_queue_delete(r.core, two, s.name, false, false, &count, NULL), OK);
    rig_run(&r);
    ck_assert_uint_eq(rig_stats(&r).queues, 0);
}
END_TEST

START_TEST(an_exclusive_queue_outlives_its_declarer_and_goes_with_the_connection)
{
    client_id connection = rig_client(&r);
    client_id one = rig_join(&r, connection), two = rig_join(&r, connection);
    struct queue_spec s = { .name = BYTES("q"), .exclusive = true };
    struct queue_info info;

    ck_assert_int_eq(core_queue_declare(r.core, one, &s, &info, NULL, r.now_ms), OK);
    rig_put_each(&r, "q", "ab");
    core_client_close(r.core, one, r.now_ms);
    rig_run(&r);
    ck_assert_uint_eq(rig_stats(&r).queues, 1);
    rig_consume(&r, two, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    ck_assert_str_eq(rig_texts(&r, &text), "a b");
    core_client_close(r.core, two, r.now_ms);
    core_client_close(r.core, connection, r.now_ms);
    rig_run(&r);
    ck_assert_uint_eq(rig_stats(&r).queues, 0);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
}
END_TEST

START_TEST(a_queue_may_be_looked_at_by_those_it_is_locked_to)
{
    client_id second = rig_client(&r);
    struct queue_spec s = { .name = BYTES("q"), .exclusive = true };
    struct queue_info info;

    ck_assert(!core_queue_look(r.core, r.client, BYTES("q"), &info));
    ck_assert_int_eq(core_queue_declare(r.core, second, &s, &info, NULL, r.now_ms), OK);
    rig_put_each(&r, "q", "abc");
    rig_consume(&r, second, &(struct rig_consume){ .queue = "q", .prefetch = 1 });
    rig_run(&r);
    info = (struct queue_info){ 0 };
    ck_assert(core_queue_look(r.core, r.client, BYTES("q"), &info));
    ck_assert(bytes_eq(info.name, BYTES("q")));
    ck_assert_uint_eq(info.ready, 2);
    ck_assert_uint_eq(info.unacked, 1);
    ck_assert_uint_eq(info.consumers, 1);
}
END_TEST

START_TEST(a_queue_of_another_vhost_is_not_looked_at)
{
    struct queue_info info;

    rig_queue(&r, "q", NULL);
    ck_assert_int_eq(core_vhost_add(r.core, BYTES("two")), OK);
    client_id there = core_client_open(r.core, core_vhost_find(r.core, BYTES("two")), &info);
    ck_assert(!core_queue_look(r.core, there, BYTES("q"), &info));
    ck_assert(core_queue_look(r.core, r.client, BYTES("q"), &info));
}
END_TEST

START_TEST(names_beginning_with_amq_are_for_the_broker_to_give)
{
    struct queue_spec s = { .name = BYTES("amq.q") };
    struct queue_info info;
    const char *why = NULL;

    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), ERR_REFUSED);
    ck_assert_ptr_nonnull(why);
    s.passive = true;
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms),
                     ERR_NOT_FOUND);
    s = (struct queue_spec){ .prefix = BYTES("amq.gen-") };
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), OK);
    s = (struct queue_spec){ .name = info.name };
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), OK);
    s.passive = true;
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), OK);
}
END_TEST

START_TEST(an_auto_delete_queue_goes_with_its_last_consumer)
{
    struct queue_spec s = { .name = BYTES("q"), .durable = true, .auto_delete = true };
    struct queue_info info;
    const char *why;

    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), OK);
    rig_put_each(&r, "q", "abc");
    consumer_id one = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    consumer_id two = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q" });
    rig_run(&r);
    core_cancel(r.core, r.client, one, r.now_ms);
    ck_assert_uint_ne(rig_info(&r, "q").queue_id, 0);
    core_cancel(r.core, r.client, two, r.now_ms);
    rig_run(&r);
    ck_assert_uint_eq(rig_info(&r, "q").queue_id, 0);
    ck_assert_uint_eq(rig_stats(&r).batches, 0);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_stats(&r).queues, 0);
}
END_TEST

START_TEST(an_unused_queue_expires)
{
    rig_queue(&r, "q", "x-expires=1000");
    rig_put_each(&r, "q", "a");
    rig_later(&r, 999);
    ck_assert_uint_eq(rig_stats(&r).queues, 1);
    rig_later(&r, 1);
    ck_assert_uint_eq(rig_stats(&r).queues, 0);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_stats(&r).queues, 0);
}
END_TEST

START_TEST(expiry_of_a_queue_counts_from_the_start_after_a_crash)
{
    rig_queue(&r, "q", "x-expires=1000");
    rig_run(&r);
    r.now_ms += 100000;
    rig_crash(&r, false);
    rig_later(&r, 999);
    ck_assert_uint_eq(rig_stats(&r).queues, 1);
    rig_later(&r, 1);
    ck_assert_uint_eq(rig_stats(&r).queues, 0);
}
END_TEST

START_TEST(too_many_queues_are_refused)
{
    struct core_options o = rig_options();
    struct queue_spec s = { .name = BYTES("w") };
    struct queue_info info;
    const char *why = NULL;

    rig_close(&r);
    o.queues = 1;
    rig_open(&r, &o);
    rig_queue(&r, "q", NULL);
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), ERR_LIMIT);
    ck_assert_ptr_nonnull(why);
}
END_TEST

Suite *queue_declare_suite(void);

Suite *queue_declare_suite(void)
{
    Suite *s = suite_create("queue_declare");
    TCase *t = tcase_create("queue_declare");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, delete_heeds_if_unused_and_if_empty);
    tcase_add_test(t, a_queue_is_declared_again_only_as_it_is);
    tcase_add_test(t, a_queue_without_a_name_gets_one_of_its_own);
    tcase_add_test(t, an_exclusive_queue_is_locked_to_others_and_goes_with_its_client);
    tcase_add_test(t, an_exclusive_queue_is_of_the_connection_and_used_by_all_its_clients);
    tcase_add_test(t, an_exclusive_queue_outlives_its_declarer_and_goes_with_the_connection);
    tcase_add_test(t, a_queue_may_be_looked_at_by_those_it_is_locked_to);
    tcase_add_test(t, a_queue_of_another_vhost_is_not_looked_at);
    tcase_add_test(t, names_beginning_with_amq_are_for_the_broker_to_give);
    tcase_add_test(t, an_auto_delete_queue_goes_with_its_last_consumer);
    tcase_add_test(t, an_unused_queue_expires);
    tcase_add_test(t, expiry_of_a_queue_counts_from_the_start_after_a_crash);
    tcase_add_test(t, too_many_queues_are_refused);
    suite_add_tcase(s, t);
    return s;
}
