// SPDX-License-Identifier: MIT
#include <check.h>

#include "base/buf.h"
#include "broker/core/queue_args.h"
#include "proto/table.h"

static struct buf table;
static struct queue_args args;
static const char *why;

static void open_table(void)
{
    table.n = 0;
    args = (struct queue_args){ 0 };
    why = NULL;
}

static void close_table(void)
{
    buf_fini(&table);
}

static enum err parse(void)
{
    return queue_args_parse(buf_view(&table), &args, &why);
}

static void put_int(const char *name, int64_t v)
{
    table_put_int(&table, bytes_str(name), v);
}

static void put_str(const char *name, const char *v)
{
    table_put_str(&table, bytes_str(name), bytes_str(v));
}

START_TEST(no_arguments_mean_no_limits)
{
    ck_assert_int_eq(OK, parse());
    ck_assert(!args.has_ttl && !args.has_expires && !args.has_max_length && !args.has_max_bytes);
    ck_assert(!args.has_dlx && !args.has_dlx_key && !args.has_delivery_limit);
    ck_assert(!args.single_active);
    ck_assert_int_eq(OVERFLOW_DROP_HEAD, args.overflow);
    ck_assert_uint_eq(0, args.max_priority);
}
END_TEST

START_TEST(every_argument_that_acts_is_read)
{
    put_int("x-message-ttl", 0);
    put_int("x-expires", 1);
    put_int("x-max-length", 10);
    put_int("x-max-length-bytes", 20);
    put_str("x-overflow", "reject-publish-dlx");
    put_str("x-dead-letter-exchange", "");
    put_str("x-dead-letter-routing-key", "grave");
    put_int("x-max-priority", 255);
    table_put_bool(&table, BYTES("x-single-active-consumer"), true);
    put_int("x-delivery-limit", 3);
    ck_assert_int_eq(OK, parse());
    ck_assert(args.has_ttl && args.ttl_ms == 0);
    ck_assert(args.has_expires && args.expires_ms == 1);
    ck_assert(args.has_max_length && args.max_length == 10);
    ck_assert(args.has_max_bytes && args.max_bytes == 20);
    ck_assert_int_eq(OVERFLOW_REJECT_PUBLISH_DLX, args.overflow);
    ck_assert(args.has_dlx && args.dlx.n == 0);
    ck_assert(args.has_dlx_key && bytes_eq(args.dlx_key, BYTES("grave")));
    ck_assert_uint_eq(255, args.max_priority);
    ck_assert(args.single_active);
    ck_assert(args.has_delivery_limit && args.delivery_limit == 3);
}
END_TEST

START_TEST(numbers_out_of_range_are_refused_by_name)
{
    static const struct {
        const char *name;
        int64_t bad, good;
    } cases[] = {
        { "x-message-ttl", -1, 0 },      { "x-message-ttl", INT64_MAX, 86400000 },
        { "x-expires", 0, 1 },           { "x-expires", INT64_MAX, 1 },
        { "x-max-length", -1, 0 },       { "x-max-length-bytes", -1, INT64_MAX },
        { "x-max-priority", 0, 1 },      { "x-max-priority", 256, 255 },
        { "x-delivery-limit", -2, -1 },  { "x-queue-version", 3, 2 },
        { "x-consumer-timeout", -1, 0 }, { "x-quorum-initial-group-size", 0, 3 },
    };

    put_int(cases[_i].name, cases[_i].bad);
    ck_assert_int_eq(ERR_INVALID, parse());
    ck_assert_ptr_nonnull(strstr(why, cases[_i].name));
    table.n = 0;
    put_int(cases[_i].name, cases[_i].good);
    ck_assert_int_eq(OK, parse());
}
END_TEST

START_TEST(values_of_another_type_are_refused_by_name)
{
    static const char *const numbers[] = { "x-message-ttl",  "x-expires",
                                           "x-max-length",   "x-max-length-bytes",
                                           "x-max-priority", "x-delivery-limit",
                                           "x-queue-version" };
    static const char *const texts[] = {
        "x-overflow",   "x-dead-letter-exchange",   "x-queue-type",
        "x-queue-mode", "x-single-active-consumer", "x-dead-letter-strategy",
        "x-max-age"
    };

    for (size_t i = 0; i < 7; i++) {
        table.n = 0;
        put_str(numbers[i], "1");
        ck_assert_int_eq(ERR_INVALID, parse());
        ck_assert_ptr_nonnull(strstr(why, numbers[i]));
        table.n = 0;
        put_int(texts[i], 1);
        ck_assert_int_eq(ERR_INVALID, parse());
        ck_assert_ptr_nonnull(strstr(why, texts[i]));
    }
}
END_TEST

START_TEST(words_must_be_whole)
{
    static const struct {
        const char *name, *word;
        enum err result;
    } cases[] = {
        { "x-overflow", "drop-head", OK },
        { "x-overflow", "drop", ERR_INVALID },
        { "x-overflow", "reject-publish", OK },
        { "x-queue-type", "classic", OK },
        { "x-queue-type", "quorum", OK },
        { "x-queue-type", "stream", ERR_INVALID },
        { "x-queue-type", "class", ERR_INVALID },
        { "x-queue-type", "", ERR_INVALID },
        { "x-queue-type", "classic quorum", ERR_INVALID },
        { "x-queue-mode", "lazy", OK },
        { "x-queue-mode", "laz", ERR_INVALID },
    };

    put_str(cases[_i].name, cases[_i].word);
    ck_assert_int_eq(cases[_i].result, parse());
}
END_TEST

START_TEST(a_dead_letter_key_needs_its_exchange)
{
    put_str("x-dead-letter-routing-key", "k");
    ck_assert_int_eq(ERR_INVALID, parse());
    ck_assert_ptr_nonnull(strstr(why, "x-dead-letter-routing-key"));
    put_str("x-dead-letter-exchange", "dlx");
    ck_assert_int_eq(OK, parse());
}
END_TEST

START_TEST(a_stream_is_refused_by_what_it_is)
{
    put_str("x-queue-type", "stream");
    ck_assert_int_eq(ERR_INVALID, parse());
    ck_assert_str_eq("x-queue-type stream is not offered: queues here are not streams", why);
    table.n = 0;
    put_str("x-queue-type", "streams");
    ck_assert_int_eq(ERR_INVALID, parse());
    ck_assert_str_eq("x-queue-type must be classic or quorum", why);
    table.n = 0;
    put_str("x-max-age", "7D");
    put_int("x-stream-max-segment-size-bytes", 1000);
    put_int("x-stream-filter-size-bytes", 16);
    ck_assert_int_eq(OK, parse());
}
END_TEST

START_TEST(a_delivery_limit_of_minus_one_is_none)
{
    put_int("x-delivery-limit", -1);
    ck_assert_int_eq(OK, parse());
    ck_assert(!args.has_delivery_limit);
}
END_TEST

START_TEST(unknown_arguments_are_kept_and_told)
{
    struct bytes name;

    put_int("x-max-length", 1);
    put_str("note", "not ours");
    ck_assert(!queue_args_unknown(buf_view(&table), &name));
    put_str("x-colour", "red");
    ck_assert_int_eq(OK, parse());
    ck_assert(args.has_max_length);
    ck_assert(queue_args_unknown(buf_view(&table), &name));
    ck_assert(bytes_eq(name, BYTES("x-colour")));
}
END_TEST

START_TEST(a_refused_table_leaves_the_result_alone)
{
    args.max_priority = 7;
    put_int("x-max-priority", 9);
    put_int("x-expires", 0);
    ck_assert_int_eq(ERR_INVALID, parse());
    ck_assert_uint_eq(7, args.max_priority);
    ck_assert_int_eq(ERR_INVALID, queue_args_parse(buf_view(&table), &args, NULL));
    table.n = 0;
    buf_str(&table, "\2x");
    ck_assert_int_eq(ERR_INVALID, parse());
}
END_TEST

/* Adds one argument of those that act; each makes a difference. */
static void put_nth(int n)
{
    static const char *const numbers[] = { "x-message-ttl",  "x-expires",
                                           "x-max-length",   "x-max-length-bytes",
                                           "x-max-priority", "x-delivery-limit" };

    if (n < 6)
        put_int(numbers[n], 5);
    else if (n == 6)
        put_str("x-overflow", "reject-publish");
    else if (n == 7)
        table_put_bool(&table, BYTES("x-single-active-consumer"), true);
    else
        put_str("x-dead-letter-exchange", "other");
}

START_TEST(arguments_are_equal_by_what_they_do)
{
    static const uint8_t sixteen[] = { 0, 5 };
    struct queue_args plain, one, again;
    struct buf first = { 0 };

    ck_assert_int_eq(OK, parse());
    plain = args;
    put_nth(_i);
    ck_assert_int_eq(OK, parse());
    one = args;
    ck_assert(!queue_args_eq(&plain, &one));
    ck_assert(!queue_args_eq(&one, &plain));
    buf_bytes(&first, buf_view(&table)); /* views of `one` stay in table: compare a copy */
    ck_assert_int_eq(OK, queue_args_parse(buf_view(&first), &again, NULL));
    ck_assert(queue_args_eq(&one, &again));
    buf_fini(&first);

    if (_i == 2) { /* the same number in another width, and an inert argument */
        table.n = 0;
        table_put_value(&table, BYTES("x-max-length"),
                        &(struct table_value){ 's', bytes_of(sixteen, 2) });
        put_str("x-queue-mode", "lazy");
        ck_assert_int_eq(OK, parse());
        ck_assert(queue_args_eq(&one, &args));
    }
}
END_TEST

START_TEST(dead_letter_keys_differ_from_none)
{
    struct queue_args without, with;
    struct buf copy = { 0 };

    put_str("x-dead-letter-exchange", "dlx");
    buf_bytes(&copy, buf_view(&table));
    ck_assert_int_eq(OK, queue_args_parse(buf_view(&copy), &without, NULL));
    put_str("x-dead-letter-routing-key", "");
    ck_assert_int_eq(OK, parse());
    with = args;
    ck_assert(!queue_args_eq(&without, &with));
    buf_fini(&copy);
}
END_TEST

START_TEST(who_declares_alike_shares_until_the_last_lets_go)
{
    struct map shared = { 0 };
    const struct queue_args *one, *same, *none;
    const char *fault;

    put_str("x-dead-letter-exchange", "dlx");
    one = queue_args_share(&shared, buf_view(&table), &fault);
    ck_assert_ptr_null(fault);
    same = queue_args_share(&shared, buf_view(&table), &fault);
    none = queue_args_share(&shared, (struct bytes){ 0 }, &fault);
    ck_assert_ptr_eq(one, same);
    ck_assert_ptr_ne(one, none);
    ck_assert_uint_eq(map_count(&shared), 2);
    memset(table.p, 'x', table.n); /* it keeps a copy */
    queue_args_unshare(&shared, one);
    ck_assert(same->has_dlx && bytes_eq(same->dlx, BYTES("dlx")));
    queue_args_unshare(&shared, same);
    queue_args_unshare(&shared, none);
    ck_assert_uint_eq(map_count(&shared), 0);
    map_fini(&shared);
}
END_TEST

START_TEST(of_stored_arguments_that_cannot_be_read_expiry_still_acts)
{
    struct map shared = { 0 };
    const struct queue_args *a;
    const char *fault;

    put_str("x-max-length", "many");
    table_put_int(&table, BYTES("x-expires"), 0);
    for (int i = 0; i < 2; i++) {
        a = queue_args_share(&shared, buf_view(&table), &fault);
        ck_assert_ptr_nonnull(fault);
        ck_assert(a->has_expires && a->expires_ms == 0 && !a->has_max_length);
    }
    queue_args_unshare(&shared, a);
    queue_args_unshare(&shared, a);
    map_fini(&shared);
}
END_TEST

Suite *queue_args_suite(void);

Suite *queue_args_suite(void)
{
    Suite *s = suite_create("queue_args");
    TCase *t = tcase_create("queue_args");

    tcase_add_checked_fixture(t, open_table, close_table);
    tcase_add_test(t, no_arguments_mean_no_limits);
    tcase_add_test(t, every_argument_that_acts_is_read);
    tcase_add_loop_test(t, numbers_out_of_range_are_refused_by_name, 0, 12);
    tcase_add_test(t, values_of_another_type_are_refused_by_name);
    tcase_add_loop_test(t, words_must_be_whole, 0, 11);
    tcase_add_test(t, a_dead_letter_key_needs_its_exchange);
    tcase_add_test(t, a_stream_is_refused_by_what_it_is);
    tcase_add_test(t, a_delivery_limit_of_minus_one_is_none);
    tcase_add_test(t, unknown_arguments_are_kept_and_told);
    tcase_add_test(t, a_refused_table_leaves_the_result_alone);
    tcase_add_loop_test(t, arguments_are_equal_by_what_they_do, 0, 9);
    tcase_add_test(t, dead_letter_keys_differ_from_none);
    tcase_add_test(t, who_declares_alike_shares_until_the_last_lets_go);
    tcase_add_test(t, of_stored_arguments_that_cannot_be_read_expiry_still_acts);
    suite_add_tcase(s, t);
    return s;
}
