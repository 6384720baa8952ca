// SPDX-License-Identifier: MIT
#include <check.h>
#include <stdio.h>

#include "proto/table.h"
#include "tests/unit/topology_fixture.h"

static enum err declare_as(const char *name, const char *type, const struct buf *arguments)
{
    struct exchange_spec s = { .name = bytes_str(name),
                               .type = bytes_str(type),
                               .arguments = buf_view(arguments) };

    return core_exchange_declare(topology, topology_client, &s, &topology_why);
}

static enum err declare_with(const char *name, const struct buf *arguments)
{
    return declare_as(name, "direct", arguments);
}

/* x-delayed-type as text; NULL: without it. */
static enum err declare_delayed(const char *name, const char *kind)
{
    struct buf table = { 0 };
    enum err e;

    if (kind)
        table_put_str(&table, BYTES("x-delayed-type"), bytes_str(kind));
    e = declare_as(name, "x-delayed-message", &table);
    buf_fini(&table);
    return e;
}

static enum err declare_passive(const char *name)
{
    struct exchange_spec s = { .name = bytes_str(name), .passive = true };

    return core_exchange_declare(topology, topology_client, &s, &topology_why);
}

START_TEST(five_exchanges_are_there_from_the_start_and_are_not_stored)
{
    static const char *const names[] = { "amq.direct", "amq.fanout", "amq.topic", "amq.headers",
                                         "amq.match" };

    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(OK, declare_passive(names[i]));
        ck_assert(topology_exchange(names[i])->durable);
    }
    ck_assert_uint_eq(0, topology_ops(OP_EXCHANGE_PUT));
    ck_assert_uint_eq(5, topology->exchange_count);
}
END_TEST

START_TEST(predeclared_ids_depend_on_the_vhost_alone)
{
    struct core *other = topology_core_new();
    struct vhost *v;

    other->next_def_id = topology_vhost->id;
    core_recovered(other, 5000);
    v = map_get(&other->vhosts, BYTES("/"));
    ck_assert_uint_eq(exchange_find(v, BYTES("amq.topic"))->id, topology_exchange("amq.topic")->id);
    ck_assert_uint_ne(topology_exchange("amq.match")->id, topology_exchange("amq.headers")->id);
    ck_assert_uint_lt(topology_exchange("amq.match")->id, (uint64_t)INT64_MAX);

    ck_assert_int_eq(OK, core_vhost_add(other, BYTES("two")));
    v = map_get(&other->vhosts, BYTES("two"));
    ck_assert_uint_ne(exchange_find(v, BYTES("amq.topic"))->id, topology_exchange("amq.topic")->id);
    core_free(&other);
}
END_TEST

START_TEST(reserved_names_are_refused)
{
    ck_assert_int_eq(ERR_REFUSED, topology_declare("amq.mine", "direct", ""));
    ck_assert_int_eq(ERR_REFUSED, topology_declare("", "direct", "d"));
    ck_assert_int_eq(ERR_REFUSED, declare_passive(""));
    ck_assert_int_eq(ERR_REFUSED, topology_delete("", false));
    ck_assert_int_eq(ERR_REFUSED, topology_delete("amq.direct", false));
    ck_assert_int_eq(ERR_REFUSED, topology_delete("amq.none", false));
    ck_assert_int_eq(OK, topology_declare("amqp", "direct", ""));
}
END_TEST

START_TEST(a_predeclared_exchange_may_be_declared_again_as_it_is)
{
    ck_assert_int_eq(OK, topology_declare("amq.topic", "topic", "d"));
    ck_assert_int_eq(ERR_EXISTS, topology_declare("amq.topic", "topic", ""));
    ck_assert_int_eq(ERR_EXISTS, topology_declare("amq.topic", "direct", "d"));
}
END_TEST

START_TEST(passive_finds_or_fails_and_makes_nothing)
{
    ck_assert_int_eq(ERR_NOT_FOUND, declare_passive("x"));
    ck_assert_ptr_null(topology_exchange("x"));
    ck_assert_int_eq(OK, topology_declare("x", "fanout", ""));
    ck_assert_int_eq(OK, declare_passive("x"));
}
END_TEST

START_TEST(a_declaration_with_other_properties_names_the_property)
{
    static const struct {
        const char *type, *flags, *word;
    } other[] = {
        { "fanout", "d", "type" },
        { "direct", "", "durable" },
        { "direct", "da", "auto_delete" },
        { "direct", "di", "internal" },
    };

    ck_assert_int_eq(OK, topology_declare("x", "direct", "d"));
    ck_assert_int_eq(OK, topology_declare("x", "direct", "d"));
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        ck_assert_int_eq(ERR_EXISTS, topology_declare("x", other[i].type, other[i].flags));
        ck_assert_ptr_nonnull(strstr(topology_why, other[i].word));
    }
}
END_TEST

START_TEST(alternate_exchange_is_compared_and_other_arguments_are_not)
{
    struct buf none = { 0 }, ae = { 0 }, ae_and_more = { 0 }, other = { 0 };

    table_put_str(&ae, BYTES("alternate-exchange"), BYTES("lost"));
    table_put_int(&ae_and_more, BYTES("x-note"), 1);
    table_put_str(&ae_and_more, BYTES("alternate-exchange"), BYTES("lost"));
    table_put_str(&other, BYTES("alternate-exchange"), BYTES("found"));

    ck_assert_int_eq(OK, declare_with("x", &ae));
    ck_assert_int_eq(OK, declare_with("x", &ae_and_more));
    ck_assert_int_eq(ERR_EXISTS, declare_with("x", &other));
    ck_assert_int_eq(ERR_EXISTS, declare_with("x", &none));
    ck_assert_int_eq(OK, declare_with("plain", &none));
    ck_assert_int_eq(ERR_EXISTS, declare_with("plain", &ae));

    buf_fini(&ae);
    buf_fini(&ae_and_more);
    buf_fini(&other);
}
END_TEST

START_TEST(what_cannot_be_an_exchange_is_invalid)
{
    struct buf bad = { 0 }, number = { 0 }, nul = { 0 };
    char name[257];

    memset(name, 'x', 256);
    name[256] = '\0';
    ck_assert_int_eq(ERR_INVALID, topology_declare("x", "directly", ""));
    ck_assert_int_eq(ERR_INVALID, topology_declare("x", "", ""));
    ck_assert_int_eq(ERR_INVALID, topology_declare(name, "direct", ""));
    ck_assert_int_eq(OK, topology_declare(name + 1, "direct", ""));

    buf_str(&bad, "\5ab");
    table_put_int(&number, BYTES("alternate-exchange"), 1);
    table_put_str(&nul, BYTES("alternate-exchange"), BYTES("a\0b"));
    ck_assert_int_eq(ERR_INVALID, declare_with("x", &bad));
    ck_assert_int_eq(ERR_INVALID, declare_with("x", &number));
    ck_assert_int_eq(ERR_INVALID, declare_with("x", &nul));
    ck_assert_ptr_null(topology_exchange("x"));
    buf_fini(&bad);
    buf_fini(&number);
    buf_fini(&nul);
}
END_TEST

START_TEST(a_delayed_exchange_needs_the_type_that_it_routes_by)
{
    static const char *const kinds[] = { "direct", "fanout", "topic", "headers" };
    static const char *const wrong[] = { NULL, "", "magic", "x-delayed-message" };

    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(ERR_INVALID, declare_delayed("x", wrong[i]));
        ck_assert_ptr_nonnull(strstr(topology_why, "x-delayed-type"));
        ck_assert_ptr_null(topology_exchange("x"));
    }
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(OK, declare_delayed(kinds[i], kinds[i]));
        ck_assert(topology_exchange(kinds[i])->delayed);
        ck_assert_int_eq(topology_exchange(kinds[i])->type, (int)i);
    }
}
END_TEST

START_TEST(a_delayed_type_that_is_no_string_is_invalid)
{
    struct buf table = { 0 };

    table_put_int(&table, BYTES("x-delayed-type"), 1);
    ck_assert_int_eq(ERR_INVALID, declare_as("x", "x-delayed-message", &table));
    ck_assert_ptr_nonnull(strstr(topology_why, "x-delayed-type"));
    buf_fini(&table);
}
END_TEST

START_TEST(a_delayed_exchange_is_another_than_a_plain_one)
{
    ck_assert_int_eq(OK, declare_delayed("late", "topic"));
    ck_assert_int_eq(OK, declare_delayed("late", "topic"));
    ck_assert_int_eq(ERR_EXISTS, declare_delayed("late", "direct"));
    ck_assert_int_eq(ERR_EXISTS, topology_declare("late", "topic", ""));
    ck_assert_ptr_nonnull(strstr(topology_why, "type"));
    ck_assert_int_eq(OK, topology_declare("now", "topic", ""));
    ck_assert_int_eq(ERR_EXISTS, declare_delayed("now", "topic"));
}
END_TEST

START_TEST(a_delayed_exchange_is_stored_and_recovered_as_one)
{
    struct buf table = { 0 };
    struct exchange_spec s = { .name = BYTES("x"),
                               .type = BYTES("x-delayed-message"),
                               .durable = true };
    struct def_exchange row;

    table_put_str(&table, BYTES("x-delayed-type"), BYTES("topic"));
    s.arguments = buf_view(&table);
    ck_assert_int_eq(OK, core_exchange_declare(topology, topology_client, &s, &topology_why));
    ck_assert_ptr_nonnull(topology_op(OP_EXCHANGE_PUT));
    row = topology_op(OP_EXCHANGE_PUT)->exchange;
    ck_assert(bytes_eq(row.type, BYTES("x-delayed-message")));
    row.id += 1;
    row.name = BYTES("again");
    exchange_recover(topology, &row);
    ck_assert_ptr_nonnull(topology_exchange("again"));
    ck_assert(topology_exchange("again")->delayed);
    ck_assert_int_eq(topology_exchange("again")->type, EXCHANGE_TOPIC);
    buf_fini(&table);
}
END_TEST

START_TEST(a_name_with_a_nul_is_invalid)
{
    struct exchange_spec s = { .name = BYTES("a\0b"), .type = BYTES("direct") };

    ck_assert_int_eq(ERR_INVALID, core_exchange_declare(topology, topology_client, &s, NULL));
}
END_TEST

START_TEST(only_durable_exchanges_are_stored)
{
    const struct op *o;

    topology_forget_ops();
    ck_assert_int_eq(OK, topology_declare("t", "topic", ""));
    ck_assert_uint_eq(0, topology_ops(OP_EXCHANGE_PUT));
    ck_assert_int_eq(OK, topology_declare("d", "topic", "dai"));
    o = topology_op(OP_EXCHANGE_PUT);
    ck_assert_ptr_nonnull(o);
    ck_assert_uint_eq(topology_exchange("d")->id, o->exchange.id);
    ck_assert_uint_eq(topology_vhost->id, o->exchange.vhost_id);
    ck_assert(bytes_eq(o->exchange.name, BYTES("d")));
    ck_assert(bytes_eq(o->exchange.type, BYTES("topic")));
    ck_assert(o->exchange.auto_delete && o->exchange.internal);

    ck_assert_int_eq(OK, topology_delete("t", false));
    ck_assert_uint_eq(0, topology_ops(OP_EXCHANGE_DELETE));
    ck_assert_int_eq(OK, topology_delete("d", false));
    ck_assert_uint_eq(1, topology_ops(OP_EXCHANGE_DELETE));
}
END_TEST

START_TEST(the_limit_of_exchanges_is_kept_and_room_comes_back)
{
    char name[16];
    uint32_t i = topology->exchange_count;

    for (; i < TOPOLOGY_EXCHANGES; i++) {
        (void)snprintf(name, sizeof name, "x%u", i);
        ck_assert_int_eq(OK, topology_declare(name, "direct", ""));
    }
    ck_assert_int_eq(ERR_LIMIT, topology_declare("more", "direct", ""));
    ck_assert_int_eq(OK, topology_declare(name, "direct", "")); /* is there already */
    ck_assert_int_eq(OK, topology_delete(name, false));
    ck_assert_int_eq(OK, topology_declare("more", "direct", ""));
}
END_TEST

START_TEST(delete_of_what_is_missing_or_in_use_is_told_apart)
{
    uint64_t id;

    topology_queue("q", false);
    ck_assert_int_eq(ERR_NOT_FOUND, topology_delete("x", false));
    ck_assert_int_eq(OK, topology_declare("x", "direct", ""));
    ck_assert_int_eq(OK, topology_bind("x", "k", "q"));
    ck_assert_int_eq(ERR_IN_USE, topology_delete("x", true));
    ck_assert_int_eq(OK, topology_unbind("x", "k", "q"));
    id = topology_exchange("x")->id;
    ck_assert_int_eq(OK, topology_delete("x", true));
    ck_assert_ptr_null(topology_exchange("x"));
    ck_assert_ptr_null(map_get(&topology->exchange_by_id, map_key_u64(&id)));
}
END_TEST

/* Being bound to is no use of an exchange as a source (RabbitMQ). */
START_TEST(inbound_bindings_do_not_keep_an_exchange)
{
    ck_assert_int_eq(OK, topology_declare("x", "direct", ""));
    ck_assert_int_eq(OK, topology_bind("amq.direct", "k", ">x"));
    ck_assert_int_eq(OK, topology_delete("x", true));
    ck_assert_uint_eq(0, topology->binding_count);
}
END_TEST

static enum publish_result publish_to_exchange(const char *exchange)
{
    struct publish p = { .m.exchange = bytes_str(exchange), .m.routing_key = BYTES("k") };

    return core_publish(topology, topology_client, &p, &topology_why, 2000);
}

START_TEST(an_internal_exchange_takes_messages_from_exchanges_alone)
{
    struct queue *q = topology_queue("q", false);

    ck_assert_int_eq(OK, topology_declare("in", "fanout", "i"));
    ck_assert_int_eq(OK, topology_declare("out", "fanout", ""));
    ck_assert_int_eq(OK, topology_bind("in", "", "q"));
    ck_assert_int_eq(OK, topology_bind("out", "", ">in"));
    ck_assert_int_eq(PUBLISH_FORBIDDEN, publish_to_exchange("in"));
    ck_assert_str_eq("the exchange is internal", topology_why);
    ck_assert_uint_eq(0, q->ready);
    ck_assert_int_eq(PUBLISH_ROUTED, publish_to_exchange("out"));
    ck_assert_uint_eq(1, q->ready);
}
END_TEST

START_TEST(a_delayed_message_is_no_way_into_an_internal_exchange)
{
    struct publish p = { .m.exchange = BYTES("in"), .delay_ms = 5 };

    ck_assert_int_eq(OK, topology_declare("in", "fanout", "i"));
    ck_assert_int_eq(PUBLISH_FORBIDDEN,
                     core_publish(topology, topology_client, &p, &topology_why, 2000));
    ck_assert_ptr_null(topology_vhost->delay);
}
END_TEST

START_TEST(a_deleted_exchange_takes_its_bindings_and_their_rows_along)
{
    topology_queue("q", true);
    ck_assert_int_eq(OK, topology_declare("x", "topic", "d"));
    ck_assert_int_eq(OK, topology_bind("x", "a.*", "q"));
    ck_assert_int_eq(OK, topology_bind("x", "b.#", "q"));
    ck_assert_int_eq(OK, topology_bind("amq.fanout", "", ">x"));
    ck_assert_int_eq(OK, topology_delete("x", false));
    ck_assert_uint_eq(3, topology_ops(OP_BINDING_DELETE));
    ck_assert_uint_eq(0, topology->binding_count);
    ck_assert(list_empty(&queue_find(topology_vhost, BYTES("q"))->bindings));
    ck_assert_str_eq("", topology_routes("amq.fanout", "a.b"));
}
END_TEST

START_TEST(auto_delete_waits_for_a_first_binding_and_ends_with_the_last)
{
    topology_queue("q", false);
    ck_assert_int_eq(OK, topology_declare("x", "direct", "a"));
    ck_assert_ptr_nonnull(topology_exchange("x"));
    ck_assert_int_eq(OK, topology_bind("x", "1", "q"));
    ck_assert_int_eq(OK, topology_bind("x", "2", "q"));
    ck_assert_int_eq(OK, topology_unbind("x", "1", "q"));
    ck_assert_ptr_nonnull(topology_exchange("x"));
    ck_assert_int_eq(OK, topology_unbind("x", "2", "q"));
    ck_assert_ptr_null(topology_exchange("x"));
}
END_TEST

/* a -> b -> c -> q, all auto-delete: the queue takes the whole chain along. */
START_TEST(auto_delete_runs_up_a_chain_of_exchanges)
{
    uint64_t count;

    topology_queue("q", true);
    ck_assert_int_eq(OK, topology_declare("a", "fanout", "da"));
    ck_assert_int_eq(OK, topology_declare("b", "fanout", "da"));
    ck_assert_int_eq(OK, topology_declare("c", "fanout", "da"));
    ck_assert_int_eq(OK, topology_bind("a", "", ">b"));
    ck_assert_int_eq(OK, topology_bind("b", "", ">c"));
    ck_assert_int_eq(OK, topology_bind("b", "", ">b")); /* to itself */
    ck_assert_int_eq(OK, topology_unbind("b", "", ">b"));
    ck_assert_int_eq(OK, topology_bind("c", "", "q"));
    ck_assert_int_eq(
        OK, core_queue_delete(topology, topology_client, BYTES("q"), false, false, &count, NULL));
    ck_assert_ptr_null(topology_exchange("a"));
    ck_assert_ptr_null(topology_exchange("b"));
    ck_assert_ptr_null(topology_exchange("c"));
    ck_assert_uint_eq(3, topology_ops(OP_EXCHANGE_DELETE));
    ck_assert_uint_eq(4, topology_ops(OP_BINDING_DELETE));
}
END_TEST

START_TEST(an_exchange_bound_to_itself_can_be_deleted)
{
    ck_assert_int_eq(OK, topology_declare("x", "fanout", "a"));
    ck_assert_int_eq(OK, topology_bind("x", "", ">x"));
    ck_assert_int_eq(OK, topology_delete("x", false));
    ck_assert_ptr_null(topology_exchange("x"));
    ck_assert_uint_eq(0, topology->binding_count);
}
END_TEST

START_TEST(rows_that_make_no_sense_are_passed_over)
{
    struct def_exchange d = {
        .id = 77, .vhost_id = 999, .name = BYTES("x"), .type = BYTES("direct")
    };

    exchange_recover(topology, &d); /* no such vhost */
    d.vhost_id = topology_vhost->id;
    d.type = BYTES("magic");
    exchange_recover(topology, &d);
    ck_assert_ptr_null(topology_exchange("x"));
    d.type = BYTES("direct");
    exchange_recover(topology, &d);
    ck_assert_uint_eq(77, topology_exchange("x")->id);
    ck_assert_uint_ge(topology->next_def_id, 78);
    d.id = 80; /* twice the same name */
    exchange_recover(topology, &d);
    ck_assert_uint_eq(77, topology_exchange("x")->id);
}
END_TEST

Suite *exchange_suite(void);

Suite *exchange_suite(void)
{
    Suite *s = suite_create("exchange");
    TCase *t = tcase_create("exchange");

    tcase_add_checked_fixture(t, topology_open, topology_close);
    tcase_add_test(t, five_exchanges_are_there_from_the_start_and_are_not_stored);
    tcase_add_test(t, predeclared_ids_depend_on_the_vhost_alone);
    tcase_add_test(t, reserved_names_are_refused);
    tcase_add_test(t, a_predeclared_exchange_may_be_declared_again_as_it_is);
    tcase_add_test(t, passive_finds_or_fails_and_makes_nothing);
    tcase_add_test(t, a_declaration_with_other_properties_names_the_property);
    tcase_add_test(t, alternate_exchange_is_compared_and_other_arguments_are_not);
    tcase_add_test(t, what_cannot_be_an_exchange_is_invalid);
    tcase_add_test(t, a_delayed_exchange_needs_the_type_that_it_routes_by);
    tcase_add_test(t, a_delayed_type_that_is_no_string_is_invalid);
    tcase_add_test(t, a_delayed_exchange_is_another_than_a_plain_one);
    tcase_add_test(t, a_delayed_exchange_is_stored_and_recovered_as_one);
    tcase_add_test(t, a_name_with_a_nul_is_invalid);
    tcase_add_test(t, only_durable_exchanges_are_stored);
    tcase_add_test(t, the_limit_of_exchanges_is_kept_and_room_comes_back);
    tcase_add_test(t, delete_of_what_is_missing_or_in_use_is_told_apart);
    tcase_add_test(t, inbound_bindings_do_not_keep_an_exchange);
    tcase_add_test(t, an_internal_exchange_takes_messages_from_exchanges_alone);
    tcase_add_test(t, a_delayed_message_is_no_way_into_an_internal_exchange);
    tcase_add_test(t, a_deleted_exchange_takes_its_bindings_and_their_rows_along);
    tcase_add_test(t, auto_delete_waits_for_a_first_binding_and_ends_with_the_last);
    tcase_add_test(t, auto_delete_runs_up_a_chain_of_exchanges);
    tcase_add_test(t, an_exchange_bound_to_itself_can_be_deleted);
    tcase_add_test(t, rows_that_make_no_sense_are_passed_over);
    suite_add_tcase(s, t);
    return s;
}
