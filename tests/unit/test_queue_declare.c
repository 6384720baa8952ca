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
    tcase_add_test(t, an_auto_delete_queue_goes_with_its_last_consumer);
    tcase_add_test(t, an_unused_queue_expires);
    tcase_add_test(t, expiry_of_a_queue_counts_from_the_start_after_a_crash);
    tcase_add_test(t, too_many_queues_are_refused);
    suite_add_tcase(s, t);
    return s;
}
