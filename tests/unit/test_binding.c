// SPDX-License-Identifier: MIT
#include <check.h>
#include <stdio.h>

#include "proto/table.h"
#include "tests/unit/topology_fixture.h"

START_TEST(the_same_binding_twice_is_one)
{
    topology_queue("q", true);
    ck_assert_int_eq(OK, topology_bind("amq.direct", "k", "q"));
    ck_assert_int_eq(OK, topology_bind("amq.direct", "k", "q"));
    ck_assert_uint_eq(1, topology->binding_count);
    ck_assert_uint_eq(1, topology_ops(OP_BINDING_PUT));
    ck_assert_int_eq(OK, topology_unbind("amq.direct", "k", "q"));
    ck_assert_uint_eq(0, topology->binding_count);
    ck_assert_str_eq("", topology_routes("amq.direct", "k"));
}
END_TEST

START_TEST(bindings_differ_by_key_target_and_arguments)
{
    struct buf args = { 0 };

    table_put_int(&args, BYTES("n"), 1);
    topology_queue("q", false);
    topology_queue("r", false);
    ck_assert_int_eq(OK, topology_bind("amq.direct", "k", "q"));
    ck_assert_int_eq(OK, topology_bind("amq.direct", "kk", "q"));
    ck_assert_int_eq(OK, topology_bind("amq.direct", "k", "r"));
    ck_assert_int_eq(OK, topology_bind_args("amq.direct", "k", "q", &args));
    ck_assert_uint_eq(4, topology->binding_count);
    ck_assert_uint_eq(2, strlen(topology_routes("amq.direct", "k")) / 2 + 1); /* q once */
    ck_assert_str_eq("q", topology_routes("amq.direct", "kk"));
    buf_fini(&args);
}
END_TEST

START_TEST(the_order_of_arguments_does_not_matter)
{
    struct buf ab = { 0 }, ba = { 0 };
    struct binding_spec s;

    table_put_int(&ab, BYTES("a"), 1);
    table_put_str(&ab, BYTES("b"), BYTES("x"));
    table_put_str(&ba, BYTES("b"), BYTES("x"));
    table_put_int(&ba, BYTES("a"), 1);
    topology_queue("q", false);
    ck_assert_int_eq(OK, topology_bind_args("amq.headers", "", "q", &ab));
    ck_assert_int_eq(OK, topology_bind_args("amq.headers", "", "q", &ba));
    ck_assert_uint_eq(1, topology->binding_count);
    s = topology_spec("amq.headers", "", "q");
    s.arguments = buf_view(&ba);
    ck_assert_int_eq(OK, core_unbind(topology, topology_client, &s, NULL));
    ck_assert_uint_eq(0, topology->binding_count);
    buf_fini(&ab);
    buf_fini(&ba);
}
END_TEST

START_TEST(unbinding_what_is_not_bound_is_fine)
{
    topology_queue("q", false);
    ck_assert_int_eq(OK, topology_unbind("amq.direct", "k", "q"));
    ck_assert_int_eq(OK, topology_unbind("amq.topic", "a.#", "q"));
}
END_TEST

START_TEST(missing_ends_are_not_found_and_the_default_exchange_is_refused)
{
    topology_queue("q", false);
    ck_assert_int_eq(ERR_NOT_FOUND, topology_bind("none", "k", "q"));
    ck_assert_str_eq("no such exchange", topology_why);
    ck_assert_int_eq(ERR_NOT_FOUND, topology_bind("amq.direct", "k", "none"));
    ck_assert_str_eq("no such queue", topology_why);
    ck_assert_int_eq(ERR_NOT_FOUND, topology_bind("amq.direct", "k", ">none"));
    ck_assert_str_eq("no such exchange to bind to", topology_why);
    ck_assert_int_eq(ERR_NOT_FOUND, topology_unbind("amq.direct", "k", "none"));
    ck_assert_int_eq(ERR_REFUSED, topology_bind("", "q", "q"));
    ck_assert_int_eq(ERR_REFUSED, topology_unbind("", "q", "q"));
    ck_assert_int_eq(ERR_REFUSED, topology_bind("amq.direct", "k", ">"));
}
END_TEST

START_TEST(a_key_of_256_bytes_and_malformed_arguments_are_invalid)
{
    struct buf bad = { 0 };
    char key[257];

    topology_queue("q", false);
    memset(key, '.', 256);
    key[256] = '\0';
    buf_str(&bad, "\1a?");
    ck_assert_int_eq(ERR_INVALID, topology_bind("amq.topic", key, "q"));
    ck_assert_int_eq(OK, topology_bind("amq.topic", key + 1, "q"));
    ck_assert_int_eq(ERR_INVALID, topology_bind_args("amq.topic", "k", "q", &bad));
    buf_fini(&bad);
}
END_TEST

START_TEST(an_unknown_x_match_is_invalid_on_a_headers_exchange_only)
{
    struct buf args = { 0 };

    table_put_str(&args, BYTES("x-match"), BYTES("some"));
    topology_queue("q", false);
    ck_assert_int_eq(ERR_INVALID, topology_bind_args("amq.headers", "", "q", &args));
    ck_assert_int_eq(OK, topology_bind_args("amq.direct", "", "q", &args));
    buf_fini(&args);
}
END_TEST

START_TEST(the_exclusive_queue_of_another_client_is_locked)
{
    struct queue_spec s = { .name = BYTES("mine"), .exclusive = true, .durable = true };
    struct queue_info info;
    client_id other = core_client_open(topology, topology_vhost->id, &info);

    ck_assert_int_eq(OK, core_queue_declare(topology, other, &s, &info, NULL, 1000));
    ck_assert_int_eq(ERR_LOCKED, topology_bind("amq.direct", "k", "mine"));

    struct binding_spec b = topology_spec("amq.direct", "k", "mine");
    ck_assert_int_eq(OK, core_bind(topology, other, &b, NULL));
    ck_assert_uint_eq(0, topology_ops(OP_BINDING_PUT));
    core_client_close(topology, other, 2000);
    ck_assert_uint_eq(0, topology->binding_count);
}
END_TEST

START_TEST(a_binding_is_stored_when_both_its_ends_are)
{
    const struct op *o;

    topology_queue("durable", true);
    topology_queue("transient", false);
    ck_assert_int_eq(OK, topology_declare("x", "direct", ""));
    ck_assert_int_eq(OK, topology_declare("y", "direct", "d"));
    ck_assert_int_eq(OK, topology_bind("x", "k", "durable"));
    ck_assert_int_eq(OK, topology_bind("amq.direct", "k", "transient"));
    ck_assert_int_eq(OK, topology_bind("amq.direct", "k", ">x"));
    ck_assert_uint_eq(0, topology_ops(OP_BINDING_PUT));

    ck_assert_int_eq(OK, topology_bind("amq.direct", "k", "durable"));
    o = topology_op(OP_BINDING_PUT);
    ck_assert_uint_eq(topology_exchange("amq.direct")->id, o->binding.exchange_id);
    ck_assert_uint_eq(queue_find(topology_vhost, BYTES("durable"))->id, o->binding.target_id);
    ck_assert(!o->binding.to_exchange);
    ck_assert(bytes_eq(o->binding.routing_key, BYTES("k")));
    ck_assert_int_eq(OK, topology_bind("amq.direct", "k", ">y"));
    ck_assert(topology_op(OP_BINDING_PUT)->binding.to_exchange);

    uint64_t id = topology_op(OP_BINDING_PUT)->binding.id;
    ck_assert_int_eq(OK, topology_unbind("amq.direct", "k", ">y"));
    ck_assert_uint_eq(id, topology_op(OP_BINDING_DELETE)->id);
}
END_TEST

START_TEST(a_change_that_is_stored_is_waited_for_by_its_client)
{
    const struct client *cl = client_get(topology, topology_client);

    topology_queue("q", false);
    topology_queue("durable", true);
    topology->open_number = 10;
    ck_assert_int_eq(OK, topology_bind("amq.direct", "k", "q"));
    ck_assert_uint_lt(cl->last_commit, 10);
    ck_assert_int_eq(OK, topology_bind("amq.direct", "k", "durable"));
    ck_assert_uint_eq(10, cl->last_commit);
    topology->open_number = 11;
    ck_assert_int_eq(OK, topology_unbind("amq.direct", "k", "durable"));
    ck_assert_uint_eq(11, cl->last_commit);
}
END_TEST

START_TEST(the_limit_of_bindings_is_kept_and_room_comes_back)
{
    char key[16];

    topology_queue("q", false);
    for (int i = 0; i < TOPOLOGY_BINDINGS; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        ck_assert_int_eq(OK, topology_bind("amq.topic", key, "q"));
    }
    ck_assert_int_eq(ERR_LIMIT, topology_bind("amq.topic", "more", "q"));
    ck_assert_int_eq(OK, topology_bind("amq.topic", key, "q")); /* is there already */
    ck_assert_int_eq(OK, topology_unbind("amq.topic", key, "q"));
    ck_assert_int_eq(OK, topology_bind("amq.topic", "more", "q"));
}
END_TEST

/* The head of the chain of one key is also the owner of the key in the map. */
START_TEST(bindings_of_one_key_may_go_in_any_order)
{
    static const char *const names[] = { "a", "b", "c" };
    static const int orders[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 0, 2 }, { 1, 2, 0 } };
    const char *from = _i < 4 ? "amq.direct" : "amq.topic";
    const int *order = orders[_i % 4];

    for (int i = 0; i < 3; i++) {
        topology_queue(names[i], false);
        ck_assert_int_eq(OK, topology_bind(from, "k", names[i]));
    }
    for (int i = 0; i < 3; i++) {
        (void)topology_routes(from, "k");
        ck_assert_uint_eq(3 - (size_t)i, topology->routed.count);
        ck_assert_int_eq(OK, topology_unbind(from, "k", names[order[i]]));
        ck_assert_ptr_null(strstr(topology_routes(from, "k"), names[order[i]]));
    }
    ck_assert_str_eq("", topology_routes(from, "k"));
}
END_TEST

/* Plays the definitions of the commit at hand into a fresh core. */
static struct core *restart(void)
{
    struct core *c = topology_core_new();
    const struct commit *k = topology->open;
    static const enum op_kind order[] = { OP_VHOST_PUT, OP_EXCHANGE_PUT, OP_QUEUE_PUT,
                                          OP_BINDING_PUT };

    for (size_t pass = 0; pass < 4; pass++) {
        for (size_t i = 0; i < k->op_count; i++) {
            const struct op *o = &k->op[i];

            if (o->kind != order[pass])
                continue;
            if (o->kind == OP_VHOST_PUT)
                core_recover_sink.vhost(c, &o->vhost);
            else if (o->kind == OP_EXCHANGE_PUT)
                core_recover_sink.exchange(c, &o->exchange);
            else if (o->kind == OP_QUEUE_PUT)
                core_recover_sink.queue(c, &o->queue);
            else
                core_recover_sink.binding(c, &o->binding);
        }
    }
    core_recovered(c, 9000);
    return c;
}

START_TEST(what_was_stored_routes_after_a_restart_as_before)
{
    struct buf args = { 0 }, headers = { 0 };
    struct core *before = topology;

    table_put_str(&args, BYTES("x-match"), BYTES("any"));
    table_put_int(&args, BYTES("n"), 5);
    table_put_int(&args, BYTES("k"), 5);
    table_put_int(&headers, BYTES("n"), 5);
    table_put_int(&headers, BYTES("m"), 6);
    topology_queue("q", true);
    topology_queue("r", true);
    ck_assert_int_eq(OK, topology_declare("x", "headers", "d"));
    ck_assert_int_eq(OK, topology_bind("amq.topic", "a.#", "q"));
    ck_assert_int_eq(OK, topology_bind("amq.topic", "a.*", ">x"));
    ck_assert_int_eq(OK, topology_bind_args("x", "", "r", &args));
    ck_assert_str_eq("q r", topology_routes_headers("amq.topic", "a.b", &headers));

    topology = restart();
    topology_vhost = map_get(&topology->vhosts, BYTES("/"));
    ck_assert_str_eq("q r", topology_routes_headers("amq.topic", "a.b", &headers));
    ck_assert_uint_eq(3, topology->binding_count);
    ck_assert_uint_ge(topology->next_def_id, before->next_def_id);
    ck_assert_uint_lt(topology->next_def_id, UINT32_MAX);

    core_free(&before);
    buf_fini(&args);
    buf_fini(&headers);
}
END_TEST

START_TEST(a_stored_binding_without_its_ends_is_passed_over)
{
    struct queue *q = topology_queue("q", true);
    struct def_binding d = { .id = 500,
                             .vhost_id = topology_vhost->id,
                             .exchange_id = topology_exchange("amq.direct")->id,
                             .target_id = 4711,
                             .routing_key = BYTES("k") };

    binding_recover(topology, &d);
    ck_assert_uint_eq(0, topology->binding_count);
    d.target_id = q->id;
    d.exchange_id = 4711;
    binding_recover(topology, &d);
    ck_assert_uint_eq(0, topology->binding_count);
    d.exchange_id = topology_exchange("amq.direct")->id;
    binding_recover(topology, &d);
    binding_recover(topology, &d);
    ck_assert_uint_eq(1, topology->binding_count);
    ck_assert_str_eq("q", topology_routes("amq.direct", "k"));
}
END_TEST

Suite *binding_suite(void);

Suite *binding_suite(void)
{
    Suite *s = suite_create("binding");
    TCase *t = tcase_create("binding");

    tcase_add_checked_fixture(t, topology_open, topology_close);
    tcase_add_test(t, the_same_binding_twice_is_one);
    tcase_add_test(t, bindings_differ_by_key_target_and_arguments);
    tcase_add_test(t, the_order_of_arguments_does_not_matter);
    tcase_add_test(t, unbinding_what_is_not_bound_is_fine);
    tcase_add_test(t, missing_ends_are_not_found_and_the_default_exchange_is_refused);
    tcase_add_test(t, a_key_of_256_bytes_and_malformed_arguments_are_invalid);
    tcase_add_test(t, an_unknown_x_match_is_invalid_on_a_headers_exchange_only);
    tcase_add_test(t, the_exclusive_queue_of_another_client_is_locked);
    tcase_add_test(t, a_binding_is_stored_when_both_its_ends_are);
    tcase_add_test(t, a_change_that_is_stored_is_waited_for_by_its_client);
    tcase_add_test(t, the_limit_of_bindings_is_kept_and_room_comes_back);
    tcase_add_loop_test(t, bindings_of_one_key_may_go_in_any_order, 0, 8);
    tcase_add_test(t, what_was_stored_routes_after_a_restart_as_before);
    tcase_add_test(t, a_stored_binding_without_its_ends_is_passed_over);
    suite_add_tcase(s, t);
    return s;
}
