// SPDX-License-Identifier: MIT
#include <check.h>
#include <stdio.h>

#include "broker/session/stomp_route.h"

Suite *stomp_route_suite(void);

static struct stomp_routes routes;

static void finish(void)
{
    stomp_routes_fini(&routes);
}

static struct bytes name(char *out, size_t size, unsigned i)
{
    return bytes_of(out, (size_t)snprintf(out, size, "/queue/q%u", i));
}

static struct stomp_route *add(unsigned i)
{
    char text[32];
    struct bytes b = name(text, sizeof text, i);
    struct stomp_destination to = { .kind = STOMP_TO_QUEUE, .key = bytes_from(b, 7) };

    return stomp_routes_add(&routes, b, &to);
}

static struct stomp_route *find(unsigned i)
{
    char text[32];

    return stomp_routes_find(&routes, name(text, sizeof text, i));
}

START_TEST(what_was_added_is_found)
{
    ck_assert(!find(1));
    struct stomp_route *one = add(1);
    struct stomp_route *two = add(2);

    ck_assert_ptr_eq(find(1), one);
    ck_assert_ptr_eq(find(2), two);
    ck_assert_ptr_eq(find(2), two);
    ck_assert(!find(3));
    ck_assert(bytes_eq(one->to.key, BYTES("q1")));
    ck_assert_int_eq((int)one->to.kind, STOMP_TO_QUEUE);
}
END_TEST

/* A session that cycles through a thousand queues must not parse each time. */
START_TEST(a_thousand_are_remembered)
{
    for (unsigned i = 0; i < 1000; i++)
        (void)add(i);
    for (unsigned i = 0; i < 1000; i++) {
        struct stomp_route *route = find(i);
        char key[16];

        (void)snprintf(key, sizeof key, "q%u", i);
        ck_assert(route);
        ck_assert(bytes_eq(route->to.key, bytes_str(key)));
    }
}
END_TEST

START_TEST(it_forgets_rather_than_grow_past_its_limits)
{
    for (unsigned i = 0; i < 20000; i++) {
        (void)add(i);
        ck_assert_uint_le(routes.bytes, 512 * 1024);
        ck_assert_uint_le(map_count(&routes.by_text), 4096);
    }
    ck_assert(find(19999));
    ck_assert(!find(0));
}
END_TEST

Suite *stomp_route_suite(void)
{
    Suite *s = suite_create("stomp_route");
    TCase *t = tcase_create("core");

    tcase_add_checked_fixture(t, NULL, finish);
    tcase_add_test(t, what_was_added_is_found);
    tcase_add_test(t, a_thousand_are_remembered);
    tcase_add_test(t, it_forgets_rather_than_grow_past_its_limits);
    suite_add_tcase(s, t);
    return s;
}
