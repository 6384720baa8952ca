// SPDX-License-Identifier: MIT
#include <check.h>
#include <stdio.h>

#include "proto/table.h"
#include "tests/unit/topology_fixture.h"

static void put_keys(struct buf *headers, const char *name, const char *a, const char *b)
{
    size_t mark = table_begin(headers, bytes_str(name), 'A');

    table_put_element(headers, &(struct table_value){ 'S', bytes_str(a) });
    if (b)
        table_put_element(headers, &(struct table_value){ 'S', bytes_str(b) });
    table_end(headers, mark);
}

static enum err declare_with_alternate(const char *name, const char *type, const char *alternate)
{
    struct buf args = { 0 };
    struct exchange_spec s = { .name = bytes_str(name), .type = bytes_str(type) };
    enum err e;

    table_put_str(&args, BYTES("alternate-exchange"), bytes_str(alternate));
    s.arguments = buf_view(&args);
    e = core_exchange_declare(topology, topology_client, &s, &topology_why);
    buf_fini(&args);
    return e;
}

static void open_with_queues(void)
{
    static const char *const names[] = { "a", "b", "c", "d" };

    topology_open();
    for (size_t i = 0; i < 4; i++)
        topology_queue(names[i], false);
}

START_TEST(direct_takes_the_key_as_it_is)
{
    ck_assert_int_eq(OK, topology_bind("amq.direct", "x.*", "a"));
    ck_assert_int_eq(OK, topology_bind("amq.direct", "", "b"));
    ck_assert_str_eq("a", topology_routes("amq.direct", "x.*"));
    ck_assert_str_eq("", topology_routes("amq.direct", "x.y"));
    ck_assert_str_eq("b", topology_routes("amq.direct", ""));
}
END_TEST

START_TEST(fanout_takes_every_key_in_the_order_of_binding)
{
    ck_assert_int_eq(OK, topology_bind("amq.fanout", "1", "b"));
    ck_assert_int_eq(OK, topology_bind("amq.fanout", "2", "a"));
    ck_assert_str_eq("b a", topology_routes("amq.fanout", "anything"));
}
END_TEST

START_TEST(topic_takes_patterns)
{
    ck_assert_int_eq(OK, topology_bind("amq.topic", "stock.*.nyse", "a"));
    ck_assert_int_eq(OK, topology_bind("amq.topic", "stock.#", "b"));
    ck_assert_str_eq("b", topology_routes("amq.topic", "stock"));
    ck_assert_uint_eq(3, strlen(topology_routes("amq.topic", "stock.ibm.nyse")));
    ck_assert_str_eq("", topology_routes("amq.topic", "bond.ibm"));
}
END_TEST

START_TEST(headers_takes_fields_and_ignores_the_key)
{
    struct buf args = { 0 }, headers = { 0 };

    table_put_int(&args, BYTES("size"), 4);
    table_put_int(&headers, BYTES("size"), 4);
    ck_assert_int_eq(OK, topology_bind_args("amq.match", "k", "a", &args));
    ck_assert_str_eq("a", topology_routes_headers("amq.match", "other", &headers));
    ck_assert_str_eq("", topology_routes("amq.match", "k"));
    /* The fields of the message before must not linger. */
    ck_assert_str_eq("a", topology_routes_headers("amq.match", "other", &headers));
    buf_fini(&args);
    buf_fini(&headers);
}
END_TEST

START_TEST(the_default_exchange_goes_to_the_queue_of_that_name)
{
    ck_assert_str_eq("b", topology_routes("", "b"));
    ck_assert_str_eq("", topology_routes("", "nobody"));
}
END_TEST

START_TEST(a_queue_gets_a_message_once_however_many_bindings_match)
{
    ck_assert_int_eq(OK, topology_bind("amq.topic", "#", "a"));
    ck_assert_int_eq(OK, topology_bind("amq.topic", "x.*", "a"));
    ck_assert_int_eq(OK, topology_bind("amq.topic", "x.y", ">amq.fanout"));
    ck_assert_int_eq(OK, topology_bind("amq.fanout", "", "a"));
    ck_assert_str_eq("a", topology_routes("amq.topic", "x.y"));
    ck_assert_str_eq("a", topology_routes("amq.topic", "x.y")); /* and again the next time */
}
END_TEST

START_TEST(a_cycle_of_exchanges_ends)
{
    ck_assert_int_eq(OK, topology_declare("x", "fanout", ""));
    ck_assert_int_eq(OK, topology_declare("y", "fanout", ""));
    ck_assert_int_eq(OK, topology_bind("x", "", ">y"));
    ck_assert_int_eq(OK, topology_bind("y", "", ">x"));
    ck_assert_int_eq(OK, topology_bind("x", "", ">x"));
    ck_assert_int_eq(OK, topology_bind("y", "", "c"));
    ck_assert_str_eq("c", topology_routes("x", "k"));
    ck_assert_str_eq("c", topology_routes("y", "k"));
}
END_TEST

START_TEST(the_alternate_takes_what_its_exchange_could_not_place)
{
    ck_assert_int_eq(OK, declare_with_alternate("x", "direct", "lost"));
    ck_assert_str_eq("", topology_routes("x", "k")); /* not there yet */
    ck_assert_int_eq(OK, topology_declare("lost", "fanout", ""));
    ck_assert_int_eq(OK, topology_bind("lost", "", "d"));
    ck_assert_int_eq(OK, topology_bind("x", "known", "a"));
    ck_assert_str_eq("d", topology_routes("x", "k"));
    ck_assert_str_eq("a", topology_routes("x", "known"));
}
END_TEST

START_TEST(what_any_type_placed_does_not_go_to_the_alternate)
{
    static const char *const types[] = { "direct", "fanout", "topic", "headers" };

    ck_assert_int_eq(OK, topology_declare("lost", "fanout", ""));
    ck_assert_int_eq(OK, topology_bind("lost", "", "d"));
    ck_assert_int_eq(OK, declare_with_alternate("x", types[_i], "lost"));
    ck_assert_str_eq("d", topology_routes("x", "k"));
    ck_assert_int_eq(OK, topology_bind("x", "k", "a"));
    ck_assert_str_eq("a", topology_routes("x", "k"));
}
END_TEST

/* RabbitMQ: of each exchange, not of the whole pass; and a match counts though it
 * leads to an exchange that itself places nothing. */
START_TEST(the_alternate_is_of_the_exchange_and_not_of_the_pass)
{
    ck_assert_int_eq(OK, declare_with_alternate("inner", "direct", "lost"));
    ck_assert_int_eq(OK, declare_with_alternate("outer", "fanout", "never"));
    ck_assert_int_eq(OK, topology_declare("lost", "fanout", ""));
    ck_assert_int_eq(OK, topology_declare("never", "fanout", ""));
    ck_assert_int_eq(OK, topology_bind("lost", "", "d"));
    ck_assert_int_eq(OK, topology_bind("never", "", "c"));
    ck_assert_int_eq(OK, topology_bind("outer", "", ">inner"));
    ck_assert_int_eq(OK, topology_bind("outer", "", "a"));
    ck_assert_str_eq("a d", topology_routes("outer", "k"));
}
END_TEST

START_TEST(alternates_in_a_circle_end)
{
    ck_assert_int_eq(OK, declare_with_alternate("x", "direct", "y"));
    ck_assert_int_eq(OK, declare_with_alternate("y", "direct", "x"));
    ck_assert_str_eq("", topology_routes("x", "k"));
    ck_assert_int_eq(OK, topology_bind("y", "k", "b"));
    ck_assert_str_eq("b", topology_routes("x", "k"));
}
END_TEST

START_TEST(the_default_exchange_may_be_an_alternate)
{
    ck_assert_int_eq(OK, declare_with_alternate("x", "direct", ""));
    ck_assert_str_eq("c", topology_routes("x", "c"));
}
END_TEST

START_TEST(copies_are_routed_by_cc_and_bcc)
{
    struct buf headers = { 0 };

    put_keys(&headers, "CC", "b", NULL);
    table_put_int(&headers, BYTES("n"), 1);
    put_keys(&headers, "BCC", "c", "a");
    ck_assert_str_eq("a b c", topology_routes_headers("", "a", &headers));
    ck_assert_int_eq(OK, topology_bind("amq.direct", "b", "d"));
    ck_assert_str_eq("d", topology_routes_headers("amq.direct", "none", &headers));
    ck_assert_int_eq(OK, topology_bind("amq.topic", "*", "d"));
    ck_assert_str_eq("d", topology_routes_headers("amq.topic", "x.y", &headers));
    buf_fini(&headers);
}
END_TEST

START_TEST(a_cc_that_is_no_array_of_strings_adds_nothing)
{
    struct buf headers = { 0 };
    size_t mark;

    table_put_str(&headers, BYTES("CC"), BYTES("b"));
    mark = table_begin(&headers, BYTES("BCC"), 'A');
    table_put_element(&headers, &(struct table_value){ 'V', { NULL, 0 } });
    table_end(&headers, mark);
    ck_assert_str_eq("a", topology_routes_headers("", "a", &headers));
    buf_fini(&headers);
}
END_TEST

START_TEST(a_long_chain_of_exchanges_needs_no_stack)
{
    char name[16], next[16];
    uint32_t n = TOPOLOGY_EXCHANGES - topology->exchange_count;

    for (uint32_t i = 0; i < n; i++) {
        (void)snprintf(name, sizeof name, "x%u", i);
        ck_assert_int_eq(OK, topology_declare(name, i % 2 ? "topic" : "fanout", ""));
    }
    for (uint32_t i = 0; i + 1 < n; i++) {
        (void)snprintf(name, sizeof name, "x%u", i);
        (void)snprintf(next, sizeof next, ">x%u", i + 1);
        ck_assert_int_eq(OK, topology_bind(name, "#", next));
    }
    (void)snprintf(name, sizeof name, "x%u", n - 1);
    ck_assert_int_eq(OK, topology_bind(name, "#", "d"));
    ck_assert_str_eq("d", topology_routes("x0", "k"));
}
END_TEST

Suite *route_suite(void);

Suite *route_suite(void)
{
    Suite *s = suite_create("route");
    TCase *t = tcase_create("route");

    tcase_add_checked_fixture(t, open_with_queues, topology_close);
    tcase_add_test(t, direct_takes_the_key_as_it_is);
    tcase_add_test(t, fanout_takes_every_key_in_the_order_of_binding);
    tcase_add_test(t, topic_takes_patterns);
    tcase_add_test(t, headers_takes_fields_and_ignores_the_key);
    tcase_add_test(t, the_default_exchange_goes_to_the_queue_of_that_name);
    tcase_add_test(t, a_queue_gets_a_message_once_however_many_bindings_match);
    tcase_add_test(t, a_cycle_of_exchanges_ends);
    tcase_add_test(t, the_alternate_takes_what_its_exchange_could_not_place);
    tcase_add_loop_test(t, what_any_type_placed_does_not_go_to_the_alternate, 0, 4);
    tcase_add_test(t, the_alternate_is_of_the_exchange_and_not_of_the_pass);
    tcase_add_test(t, alternates_in_a_circle_end);
    tcase_add_test(t, the_default_exchange_may_be_an_alternate);
    tcase_add_test(t, copies_are_routed_by_cc_and_bcc);
    tcase_add_test(t, a_cc_that_is_no_array_of_strings_adds_nothing);
    tcase_add_test(t, a_long_chain_of_exchanges_needs_no_stack);
    suite_add_tcase(s, t);
    return s;
}
