// SPDX-License-Identifier: MIT
/* Walks over queues, and over the bindings that lead to one. */
#include <check.h>
#include <stdio.h>

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

/* "exchange:key exchange:key" */
static const char *bindings(const char *queue)
{
    struct binding_view b;

    text.n = 0;
    for (size_t at = 0; core_queue_binding_next(r.core, r.client, bytes_str(queue), &at, &b);)
        buf_fmt(&text, "%s%.*s:%.*s", text.n ? " " : "", BYTES_FMT(b.exchange),
                BYTES_FMT(b.routing_key));
    buf_u8(&text, 0);
    return (const char *)text.p;
}

static void unbind(const char *exchange, const char *key, const char *queue)
{
    struct binding_spec s = { .exchange = bytes_str(exchange),
                              .target = bytes_str(queue),
                              .routing_key = bytes_str(key) };

    ck_assert_int_eq(core_unbind(r.core, r.client, &s, NULL), OK);
}

START_TEST(bindings_come_in_the_order_they_were_made)
{
    rig_queue(&r, "q", NULL);
    rig_queue(&r, "w", NULL);
    ck_assert_str_eq(bindings("q"), "");
    rig_bind(&r, "amq.topic", "c.#", "q");
    rig_bind(&r, "amq.direct", "x", "w");
    rig_bind(&r, "amq.direct", "b", "q");
    rig_bind(&r, "amq.topic", "a", "q");
    ck_assert_str_eq(bindings("q"), "amq.topic:c.# amq.direct:b amq.topic:a");
    unbind("amq.direct", "b", "q");
    rig_bind(&r, "amq.topic", "b", "q");
    rig_bind(&r, "amq.topic", "c.#", "q");
    ck_assert_str_eq(bindings("q"), "amq.topic:c.# amq.topic:a amq.topic:b");
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_str_eq(bindings("q"), "amq.topic:c.# amq.topic:a amq.topic:b");
    ck_assert_str_eq(bindings("w"), "amq.direct:x");
}
END_TEST

START_TEST(a_binding_shows_its_arguments)
{
    struct buf args = { 0 };
    struct binding_spec s = { .exchange = BYTES("amq.topic"),
                              .target = BYTES("q"),
                              .routing_key = BYTES("k"),
                              .arguments = rig_args(&args, "b=2 a=1") };
    struct binding_view v;
    size_t at = 0;

    rig_queue(&r, "q", NULL);
    ck_assert_int_eq(core_bind(r.core, r.client, &s, NULL), OK);
    ck_assert(core_queue_binding_next(r.core, r.client, BYTES("q"), &at, &v));
    ck_assert(bytes_eq(v.arguments, rig_args(&args, "a=1 b=2")));
    ck_assert(!core_queue_binding_next(r.core, r.client, BYTES("q"), &at, &v));
    ck_assert(!core_queue_binding_next(r.core, r.client, BYTES("q"), &at, &v));
    buf_fini(&args);
}
END_TEST

START_TEST(a_queue_that_is_not_there_has_no_bindings)
{
    ck_assert_str_eq(bindings("q"), "");
}
END_TEST

/* "name:flags name:flags": d durable, x exclusive. */
static const char *queues(uint64_t vhost)
{
    struct queue_info q;

    text.n = 0;
    for (size_t at = 0; core_queue_each(r.core, vhost, &at, &q);) {
        buf_fmt(&text, "%s%.*s:%s%s%u", text.n ? " " : "", BYTES_FMT(q.name), q.durable ? "d" : "",
                q.exclusive ? "x" : "", (unsigned)q.ready);
        struct queue_info look;
        ck_assert(core_queue_look(r.core, r.client, q.name, &look) == (vhost == 1));
    }
    buf_u8(&text, 0);
    return (const char *)text.p;
}

START_TEST(all_queues_of_a_vhost_are_shown_and_no_others)
{
    struct queue_spec s = { .name = BYTES("own"), .exclusive = true, .durable = true };
    uint64_t vhost = core_vhost_find(r.core, BYTES("/"));
    struct queue_info info;
    const char *why;

    ck_assert_uint_eq(vhost, 1);
    ck_assert_int_eq(core_vhost_add(r.core, BYTES("other")), OK);
    ck_assert_str_eq(queues(vhost), "");
    rig_queue(&r, "q", NULL);
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), OK);
    s = (struct queue_spec){ .name = BYTES("t") };
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &s, &info, &why, r.now_ms), OK);
    ck_assert_int_eq(
        rig_send(&r, r.client, &(struct rig_message){ .key = "q", .body = "a", .delay_ms = 99 }),
        PUBLISH_ROUTED); /* makes a queue that is nobody's business */
    rig_put_each(&r, "q", "ab");
    ck_assert_str_eq(queues(vhost), "q:d2 own:dx0 t:0");
    ck_assert_str_eq(queues(core_vhost_find(r.core, BYTES("other"))), "");
    ck_assert_str_eq(queues(4711), "");
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_str_eq(queues(vhost), "q:d2");
}
END_TEST

Suite *walk_suite(void);

Suite *walk_suite(void)
{
    Suite *s = suite_create("walk");
    TCase *t = tcase_create("walk");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, bindings_come_in_the_order_they_were_made);
    tcase_add_test(t, a_binding_shows_its_arguments);
    tcase_add_test(t, a_queue_that_is_not_there_has_no_bindings);
    tcase_add_test(t, all_queues_of_a_vhost_are_shown_and_no_others);
    suite_add_tcase(s, t);
    return s;
}
