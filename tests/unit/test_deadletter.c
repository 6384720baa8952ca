// SPDX-License-Identifier: MIT
#include <check.h>

#include "broker/core/deadletter.h"
#include "proto/props.h"
#include "proto/table.h"

static struct buf wire[2]; /* properties, written in turn */
static unsigned turn;
static struct message m;
static struct props props;
static struct buf headers;

static void open_message(void)
{
    m = (struct message){ .exchange = BYTES("ex"), .routing_key = BYTES("key") };
    turn = 0;
}

static void close_message(void)
{
    buf_fini(&wire[0]);
    buf_fini(&wire[1]);
    buf_fini(&headers);
}

static void set_props(const struct props *p)
{
    wire[turn].n = 0;
    props_encode(&wire[turn], p);
    m.props = buf_view(&wire[turn]);
    turn ^= 1;
}

static void die(enum death why, const char *queue, uint64_t now_ms)
{
    wire[turn].n = 0;
    deadletter_props(&wire[turn], &m, why, bytes_str(queue), now_ms);
    m.props = buf_view(&wire[turn]);
    turn ^= 1;
    ck_assert(props_decode(m.props, &props));
    ck_assert(table_valid(props.headers));
}

static size_t entry_count(void)
{
    struct table_value v;
    struct table_iter it;
    size_t n = 0;

    ck_assert(table_find(props.headers, BYTES("x-death"), &v));
    it = table_iter(v.raw);
    while (table_next_element(&it, &v))
        n++;
    return n;
}

static struct bytes entry(size_t i)
{
    struct table_value v;
    struct table_iter it;

    ck_assert(table_find(props.headers, BYTES("x-death"), &v));
    ck_assert_int_eq('A', v.type);
    it = table_iter(v.raw);
    for (size_t k = 0; k <= i; k++)
        ck_assert(table_next_element(&it, &v));
    ck_assert_int_eq('F', v.type);
    return v.raw;
}

static void assert_text(struct bytes table, const char *name, const char *want)
{
    struct table_value v;

    ck_assert_msg(table_find(table, bytes_str(name), &v), "no %s", name);
    ck_assert_int_eq('S', v.type);
    ck_assert_msg(bytes_eq(v.raw, bytes_str(want)), "%s is %.*s", name, BYTES_FMT(v.raw));
}

static void assert_count(struct bytes table, int64_t want)
{
    struct table_value v;
    int64_t count;

    ck_assert(table_find(table, BYTES("count"), &v));
    ck_assert_int_eq('l', v.type);
    ck_assert(table_int(&v, &count));
    ck_assert_int_eq(want, count);
}

static size_t times(struct bytes table, const char *name)
{
    struct table_iter it = table_iter(table);
    struct table_value v;
    struct bytes at;
    size_t n = 0;

    while (table_next(&it, &at, &v))
        n += bytes_eq(at, bytes_str(name));
    return n;
}

static bool has(struct bytes table, const char *name)
{
    return times(table, name) > 0;
}

static void put_keys(struct buf *out, const char *name, const char *key)
{
    size_t mark = table_begin(out, bytes_str(name), 'A');

    table_put_element(out, &(struct table_value){ 'S', bytes_str(key) });
    table_end(out, mark);
}

START_TEST(reasons_are_spelled_as_rabbitmq_does)
{
    ck_assert_str_eq("rejected", death_name(DEATH_REJECTED));
    ck_assert_str_eq("expired", death_name(DEATH_EXPIRED));
    ck_assert_str_eq("maxlen", death_name(DEATH_MAXLEN));
    ck_assert_str_eq("delivery_limit", death_name(DEATH_DELIVERY_LIMIT));
}
END_TEST

START_TEST(a_first_death_is_told_whole)
{
    struct table_value v;
    struct table_iter it;

    die(DEATH_REJECTED, "work", 1234567);
    ck_assert_uint_eq(1, entry_count());
    assert_count(entry(0), 1);
    assert_text(entry(0), "reason", "rejected");
    assert_text(entry(0), "queue", "work");
    assert_text(entry(0), "exchange", "ex");
    ck_assert(table_find(entry(0), BYTES("time"), &v));
    ck_assert_int_eq('T', v.type);
    ck_assert_uint_eq(1234567 / 1000 % 256, v.raw.p[7]);
    ck_assert(table_find(entry(0), BYTES("routing-keys"), &v));
    it = table_iter(v.raw);
    ck_assert(table_next_element(&it, &v));
    ck_assert(bytes_eq(v.raw, BYTES("key")));
    ck_assert(!table_next_element(&it, &v));
    ck_assert(!has(entry(0), "original-expiration"));
    assert_text(props.headers, "x-first-death-reason", "rejected");
    assert_text(props.headers, "x-first-death-queue", "work");
    assert_text(props.headers, "x-first-death-exchange", "ex");
}
END_TEST

START_TEST(the_same_death_again_is_counted_and_comes_first)
{
    die(DEATH_REJECTED, "work", 1000);
    die(DEATH_EXPIRED, "retry", 2000);
    ck_assert_uint_eq(2, entry_count());
    assert_text(entry(0), "queue", "retry");
    m.exchange = BYTES("other");
    die(DEATH_REJECTED, "work", 3000);
    ck_assert_uint_eq(2, entry_count());
    assert_text(entry(0), "queue", "work");
    assert_text(entry(0), "exchange", "ex"); /* told of the first time */
    assert_count(entry(0), 2);
    assert_count(entry(1), 1);
}
END_TEST

START_TEST(another_reason_in_the_same_queue_is_another_entry)
{
    die(DEATH_REJECTED, "work", 1000);
    die(DEATH_EXPIRED, "work", 2000);
    ck_assert_uint_eq(2, entry_count());
    assert_text(entry(0), "reason", "expired");
    assert_text(props.headers, "x-first-death-reason", "rejected");
}
END_TEST

START_TEST(the_first_death_is_set_once)
{
    die(DEATH_EXPIRED, "one", 1000);
    m.exchange = BYTES("dlx");
    die(DEATH_MAXLEN, "two", 2000);
    assert_text(props.headers, "x-first-death-reason", "expired");
    assert_text(props.headers, "x-first-death-queue", "one");
    assert_text(props.headers, "x-first-death-exchange", "ex");
}
END_TEST

START_TEST(expiration_is_taken_out_and_remembered)
{
    set_props(&(struct props){ .flags = PROPS_expiration | PROPS_message_id,
                               .expiration = BYTES("5000"),
                               .message_id = BYTES("m1") });
    die(DEATH_EXPIRED, "work", 1000);
    assert_text(entry(0), "original-expiration", "5000");
    ck_assert(!(props.flags & PROPS_expiration));
    ck_assert(bytes_eq(props.message_id, BYTES("m1")));
}
END_TEST

START_TEST(copies_are_named_in_the_entry_and_taken_out)
{
    struct table_value v;
    struct table_iter it;

    put_keys(&headers, "CC", "copy");
    put_keys(&headers, "BCC", "blind");
    table_put_int(&headers, BYTES("mine"), 4);
    set_props(&(struct props){ .flags = PROPS_headers, .headers = buf_view(&headers) });
    die(DEATH_REJECTED, "work", 1000);
    ck_assert(!has(props.headers, "CC") && !has(props.headers, "BCC"));
    ck_assert(has(props.headers, "mine"));
    ck_assert(table_find(entry(0), BYTES("routing-keys"), &v));
    it = table_iter(v.raw);
    ck_assert(table_next_element(&it, &v) && bytes_eq(v.raw, BYTES("key")));
    ck_assert(table_next_element(&it, &v) && bytes_eq(v.raw, BYTES("copy")));
    ck_assert(!table_next_element(&it, &v));
}
END_TEST

START_TEST(a_history_that_a_client_made_up_does_no_harm)
{
    size_t mark, inner;

    table_put_str(&headers, BYTES("x-death"), BYTES("nonsense"));
    table_put_str(&headers, BYTES("x-first-death-queue"), BYTES("forged"));
    set_props(&(struct props){ .flags = PROPS_headers, .headers = buf_view(&headers) });
    ck_assert(!deadletter_cycles(&m, BYTES("work")));
    die(DEATH_REJECTED, "work", 1000);
    ck_assert_uint_eq(1, entry_count());
    assert_text(props.headers, "x-first-death-queue", "work");
    ck_assert_uint_eq(1, times(props.headers, "x-first-death-queue"));
    ck_assert_uint_eq(1, times(props.headers, "x-death"));

    headers.n = 0;
    mark = table_begin(&headers, BYTES("x-death"), 'A');
    table_put_element(&headers, &(struct table_value){ 'S', BYTES("text") });
    inner = table_begin_element(&headers, 'F');
    table_put_str(&headers, BYTES("queue"), BYTES("work"));
    table_put_str(&headers, BYTES("reason"), BYTES("rejected"));
    table_put_int(&headers, BYTES("count"), INT64_MAX);
    table_end(&headers, inner);
    table_end(&headers, mark);
    set_props(&(struct props){ .flags = PROPS_headers, .headers = buf_view(&headers) });
    die(DEATH_REJECTED, "work", 1000);
    ck_assert_uint_eq(2, entry_count());
    assert_count(entry(0), 1);
}
END_TEST

START_TEST(an_automatic_circle_is_seen)
{
    ck_assert(!deadletter_cycles(&m, BYTES("a")));
    die(DEATH_EXPIRED, "a", 1000);
    ck_assert(deadletter_cycles(&m, BYTES("a")));
    ck_assert(!deadletter_cycles(&m, BYTES("b")));
    die(DEATH_MAXLEN, "b", 2000);
    ck_assert(deadletter_cycles(&m, BYTES("a")));
}
END_TEST

/* The usual retry loop: rejected from a, waits in b, comes back to a. */
START_TEST(a_circle_with_a_rejection_in_it_goes_on)
{
    die(DEATH_REJECTED, "a", 1000);
    ck_assert(!deadletter_cycles(&m, BYTES("a")));
    die(DEATH_EXPIRED, "b", 2000);
    ck_assert(!deadletter_cycles(&m, BYTES("a")));
    ck_assert(deadletter_cycles(&m, BYTES("b")));
}
END_TEST

START_TEST(properties_that_cannot_be_read_count_as_none)
{
    m.props = BYTES("\xff");
    ck_assert(!deadletter_cycles(&m, BYTES("a")));
    die(DEATH_EXPIRED, "a", 1000);
    ck_assert_uint_eq(1, entry_count());
}
END_TEST

Suite *deadletter_suite(void);

Suite *deadletter_suite(void)
{
    Suite *s = suite_create("deadletter");
    TCase *t = tcase_create("deadletter");

    tcase_add_checked_fixture(t, open_message, close_message);
    tcase_add_test(t, reasons_are_spelled_as_rabbitmq_does);
    tcase_add_test(t, a_first_death_is_told_whole);
    tcase_add_test(t, the_same_death_again_is_counted_and_comes_first);
    tcase_add_test(t, another_reason_in_the_same_queue_is_another_entry);
    tcase_add_test(t, the_first_death_is_set_once);
    tcase_add_test(t, expiration_is_taken_out_and_remembered);
    tcase_add_test(t, copies_are_named_in_the_entry_and_taken_out);
    tcase_add_test(t, a_history_that_a_client_made_up_does_no_harm);
    tcase_add_test(t, an_automatic_circle_is_seen);
    tcase_add_test(t, a_circle_with_a_rejection_in_it_goes_on);
    tcase_add_test(t, properties_that_cannot_be_read_count_as_none);
    suite_add_tcase(s, t);
    return s;
}
