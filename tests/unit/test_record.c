// SPDX-License-Identifier: MIT
/* One message in, the same message out, and damage never believed. */
#include <check.h>
#include <stdio.h>

#include "base/mem.h"
#include "storage/record.h"

static struct buf bodies;
static struct record_routes routes;

static void start(void)
{
    bodies = (struct buf){ 0 };
    memset(&routes, 0, sizeof routes);
}

static void stop(void)
{
    buf_fini(&bodies);
}

static struct message plain(const char *exchange, const char *key, const char *body)
{
    return (struct message){
        .exchange = bytes_str(exchange),
        .routing_key = bytes_str(key),
        .props = BYTES("\x10\x00\x02"),
        .body = bytes_str(body),
        .body_size = strlen(body),
    };
}

static void assert_same(const struct message *a, const struct message *b)
{
    ck_assert(bytes_eq(a->exchange, b->exchange));
    ck_assert(bytes_eq(a->routing_key, b->routing_key));
    ck_assert(bytes_eq(a->props, b->props));
    ck_assert(bytes_eq(a->body, b->body));
    ck_assert_uint_eq(a->blob_id, b->blob_id);
    ck_assert_uint_eq(a->body_size, b->body_size);
}

static struct message get(uint32_t at)
{
    struct message m = { 0 };

    ck_assert(record_get(buf_view(&bodies), at, &m, NULL));
    return m;
}

START_TEST(a_message_comes_back_as_it_was_put)
{
    struct message m = plain("amq.topic", "a.b.c", "hello");

    m.props = BYTES("\x80\x00\x0atext/plain");
    struct message got = get(record_put(&bodies, &routes, &m));
    assert_same(&got, &m);
}
END_TEST

START_TEST(empty_names_props_and_body_come_back_empty)
{
    struct message m = { 0 };

    struct message got = get(record_put(&bodies, &routes, &m));
    assert_same(&got, &m);
}
END_TEST

START_TEST(names_of_255_bytes_come_back_whole)
{
    uint8_t name[255];
    struct message m = plain("", "", "x");

    memset(name, 'n', sizeof name);
    m.exchange = m.routing_key = bytes_of(name, sizeof name);
    struct message got = get(record_put(&bodies, &routes, &m));
    assert_same(&got, &m);
}
END_TEST

START_TEST(a_blob_is_named_with_its_size)
{
    struct message m = plain("", "q", "");

    m.blob_id = 1ULL << 50;
    m.body_size = 1ULL << 33;
    struct message got = get(record_put(&bodies, &routes, &m));
    assert_same(&got, &m);
}
END_TEST

START_TEST(a_repeated_route_is_spelled_once)
{
    struct message m = plain("amq.topic", "some.long.routing.key", "one");
    uint32_t first = record_put(&bodies, &routes, &m);
    size_t spelled = bodies.n;
    uint32_t second = record_put(&bodies, &routes, &m);

    ck_assert_uint_lt(bodies.n - spelled, spelled);
    ck_assert_uint_eq(bodies.p[second] & RECORD_ROUTE_BACK, RECORD_ROUTE_BACK);
    ck_assert_uint_eq(bodies.p[first] & RECORD_ROUTE_BACK, 0);
    struct message got = get(second);
    assert_same(&got, &m);
}
END_TEST

/* Two names whose bytes run together alike are two routes. */
START_TEST(the_border_between_the_names_counts)
{
    struct message a = plain("ab", "c", "1"), b = plain("a", "bc", "2");

    uint32_t at_a = record_put(&bodies, &routes, &a), at_b = record_put(&bodies, &routes, &b);
    struct message got_a = get(at_a), got_b = get(at_b);
    assert_same(&got_a, &a);
    assert_same(&got_b, &b);
}
END_TEST

START_TEST(many_routes_in_turn_all_come_back)
{
    uint32_t at[1000];
    char key[16];

    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof key, "key.%u", i % 200);
        struct message m = plain("x", key, key);
        at[i] = record_put(&bodies, &routes, &m);
    }
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof key, "key.%u", i % 200);
        struct message m = plain("x", key, key), got = get(at[i]);
        assert_same(&got, &m);
    }
}
END_TEST

START_TEST(the_end_of_a_record_is_the_next_one)
{
    struct message m = plain("", "queue", "body");
    uint32_t first = record_put(&bodies, &routes, &m);
    uint32_t second = record_put(&bodies, &routes, &m);
    size_t end = 0;

    ck_assert(record_get(buf_view(&bodies), first, &m, &end));
    ck_assert_uint_eq(end, second);
    ck_assert(record_get(buf_view(&bodies), second, &m, &end));
    ck_assert_uint_eq(end, bodies.n);
}
END_TEST

START_TEST(persistent_and_nothing_else_takes_no_room)
{
    struct message m = plain("", "q", "0123456789");

    record_put(&bodies, &routes, &m);
    ck_assert_uint_eq(bodies.n, 1 + 1 + 2 + 1 + 10);
}
END_TEST

/* The copy has the exact size, so that one byte read too far is seen. */
static bool get_from_copy(size_t n, uint32_t at)
{
    uint8_t *copy = mem_alloc(n);
    struct message m;

    memcpy(copy, bodies.p, n);
    bool ok = record_get(bytes_of(copy, n), at, &m, NULL);
    mem_free(copy);
    return ok;
}

START_TEST(a_record_cut_short_is_refused)
{
    struct message m = plain("exchange", "key", "body");

    m.props = BYTES("\x80\x00\x0atext/plain");
    record_put(&bodies, &routes, &m);
    uint32_t second = record_put(&bodies, &routes, &m);
    for (size_t n = second + 1; n < bodies.n; n++)
        ck_assert(!get_from_copy(n, second));
    ck_assert(get_from_copy(bodies.n, second));
    for (size_t n = 1; n < second; n++)
        ck_assert(!get_from_copy(n, 0));
}
END_TEST

START_TEST(an_offset_outside_is_refused)
{
    struct message m = plain("", "q", "b");

    record_put(&bodies, &routes, &m);
    ck_assert(!record_get(buf_view(&bodies), (uint32_t)bodies.n, &m, NULL));
    ck_assert(!record_get(buf_view(&bodies), UINT32_MAX, &m, NULL));
    ck_assert(!record_get((struct bytes){ NULL, 0 }, 0, &m, NULL));
}
END_TEST

START_TEST(unknown_flags_are_refused)
{
    struct message m = plain("", "q", "b");

    record_put(&bodies, &routes, &m);
    bodies.p[0] |= 8;
    ck_assert(!record_get(buf_view(&bodies), 0, &m, NULL));
}
END_TEST

START_TEST(a_route_that_points_nowhere_is_refused)
{
    struct message m = plain("", "queue", "b");

    record_put(&bodies, &routes, &m);
    uint32_t second = record_put(&bodies, &routes, &m);
    for (unsigned back = 0; back < 128; back++) {
        bodies.p[second + 1] = (uint8_t)back;
        bool ok = record_get(buf_view(&bodies), second, &m, NULL);
        if (back == 0 || back > second)
            ck_assert(!ok);
    }
}
END_TEST

/* Chains of references could be cycles: one step back is all there is. */
START_TEST(a_route_may_not_point_to_a_reference)
{
    struct message m = plain("", "queue", "b");

    record_put(&bodies, &routes, &m);
    uint32_t second = record_put(&bodies, &routes, &m);
    uint32_t third = record_put(&bodies, &routes, &m);
    ck_assert_uint_lt(third - second, 128);
    bodies.p[third + 1] = (uint8_t)(third - second);
    ck_assert(!record_get(buf_view(&bodies), third, &m, NULL));
}
END_TEST

START_TEST(a_blob_numbered_zero_is_refused)
{
    struct message m = plain("", "", "");

    m.blob_id = 1;
    uint32_t at = record_put(&bodies, &routes, &m);
    bodies.p[at + 3] = 0;
    ck_assert(!record_get(buf_view(&bodies), at, &m, NULL));
}
END_TEST

Suite *record_suite(void);
Suite *record_suite(void)
{
    Suite *s = suite_create("record");
    TCase *t = tcase_create("record");

    tcase_add_checked_fixture(t, start, stop);
    tcase_add_test(t, a_message_comes_back_as_it_was_put);
    tcase_add_test(t, empty_names_props_and_body_come_back_empty);
    tcase_add_test(t, names_of_255_bytes_come_back_whole);
    tcase_add_test(t, a_blob_is_named_with_its_size);
    tcase_add_test(t, a_repeated_route_is_spelled_once);
    tcase_add_test(t, the_border_between_the_names_counts);
    tcase_add_test(t, many_routes_in_turn_all_come_back);
    tcase_add_test(t, the_end_of_a_record_is_the_next_one);
    tcase_add_test(t, persistent_and_nothing_else_takes_no_room);
    tcase_add_test(t, a_record_cut_short_is_refused);
    tcase_add_test(t, an_offset_outside_is_refused);
    tcase_add_test(t, unknown_flags_are_refused);
    tcase_add_test(t, a_route_that_points_nowhere_is_refused);
    tcase_add_test(t, a_route_may_not_point_to_a_reference);
    tcase_add_test(t, a_blob_numbered_zero_is_refused);
    suite_add_tcase(s, t);
    return s;
}
