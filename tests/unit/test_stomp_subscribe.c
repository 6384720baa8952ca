// SPDX-License-Identifier: MIT
/* SUBSCRIBE and UNSUBSCRIBE. */
#include <stdio.h>

#include "base/mem.h"
#include "tests/lib/stomp_wire.h"
#include "tests/unit/stomp_heard.h"

Suite *stomp_subscribe_suite(void);

static struct stomp_wire w;

static void open_wire(void)
{
    wire_open(&w, NULL);
    wire_peer(&w, 0, "1.2");
}

static void close_wire(void)
{
    wire_close(&w);
}

/* Puts "1", "2", ... into the queue by a connection of its own. */
static void fill(const char *destination, unsigned n)
{
    char frame[100];

    wire_peer(&w, 3, "1.2");
    for (unsigned i = 1; i <= n; i++) {
        (void)snprintf(frame, sizeof frame, "SEND\ndestination:%s\n\n%u", destination, i);
        wire_say(&w, 3, frame);
    }
    wire_settle(&w);
    wire_hang_up(&w, 3);
}

static uint64_t ready(const char *queue)
{
    uint64_t vhost = core_vhost_find(w.core, BYTES("/"));
    client_id client = core_client_open(w.core, vhost, &w);
    struct queue_spec spec = { .name = bytes_str(queue), .passive = true };
    struct queue_info info = { 0 };
    const char *why;
    enum err e = core_queue_declare(w.core, client, &spec, &info, &why, w.env.now_ms);

    core_client_close(w.core, client, w.env.now_ms);
    return e == OK ? info.ready : UINT64_MAX;
}

/* ---- SUBSCRIBE ---- */

START_TEST(wrong_subscriptions_are_errors)
{
    static const char *const wrong[] = {
        "id:0\n",
        "destination:/queue/a\n",
        "id:0\ndestination:/queue/\n",
        "id:0\ndestination:/queue/a\nack:sometimes\n",
        "id:0\ndestination:/queue/a\nack:client\nprefetch-count:x\n",
        "id:0\ndestination:/queue/a\nx-priority:high\n",
        "id:/temp-queue/a\ndestination:/queue/a\n",
        "id:0\ndestination:/temp-queue/a\n",
        "id:0\ndestination:/amq/queue/nowhere\n",
        "id:0\ndestination:/exchange/nowhere\n",
        "id:0\ndestination:/queue/a\nx-expires:soon\n",
    };

    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char frame[128];

        wire_peer(&w, 1, "1.2");
        (void)snprintf(frame, sizeof frame, "SUBSCRIBE\n%sreceipt:r\n\n", wrong[i]);
        const char *heard = wire_ask(&w, 1, frame);

        has(heard, "ERROR\nreceipt-id:r\n");
        has_not(heard, "RECEIPT\n");
        ck_assert_msg(w.peer[1]->ending, "%s", wrong[i]);
        wire_hang_up(&w, 1);
    }
}
END_TEST

/* What a failed SUBSCRIBE made would stay for ever: nobody knows its name. */
START_TEST(a_failed_subscription_leaves_no_queue)
{
    struct core_stats before, after;

    core_stats(w.core, &before);
    has(wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/exchange/nowhere/k\nexclusive:false\n\n"),
        "ERROR\n");
    wire_settle(&w);
    core_stats(w.core, &after);
    ck_assert_uint_eq(after.queues, before.queues);
}
END_TEST

/* Each of the steps of a SUBSCRIBE may meet a limit of the node. */
START_TEST(limits_of_the_node_are_errors_and_leave_nothing)
{
    static const char *const frames[] = {
        "SUBSCRIBE\nid:1\ndestination:/topic/t\n\n",
        "SUBSCRIBE\nid:1\ndestination:/queue/new\n\n",
        "SUBSCRIBE\nid:1\ndestination:/queue/old\n\n",
        "SEND\ndestination:/queue/old\nreply-to:/temp-queue/t\n\n",
        "SEND\ndestination:/queue/new\n\n",
    };

    for (unsigned i = 0; i < 3 * 5; i++) {
        struct core_options o = wire_options();

        o.queues = i / 5 == 0 ? 1 : o.queues;
        o.consumers = i / 5 == 1 ? 1 : o.consumers;
        o.bindings = i / 5 == 2 ? 0 : o.bindings;
        wire_close(&w);
        wire_open(&w, &o);
        wire_peer(&w, 0, "1.2");
        wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/old\n\n");
        const char *heard = wire_ask(&w, 0, frames[i % 5]);

        if (!w.peer[0]->ending)
            continue;
        has(heard, "message:Limit reached\n");
        struct core_stats stats;

        wire_settle(&w);
        core_stats(w.core, &stats);
        ck_assert_uint_eq(stats.consumers, 0);
        ck_assert_uint_le(stats.queues, 2); /* old, and new where it could be made */
    }
}
END_TEST

START_TEST(unknown_arguments_are_kept_as_they_are)
{
    wire_say(&w, 0,
             "SUBSCRIBE\nid:0\ndestination:/queue/q\nx-colour:red\n"
             "x-single-active-consumer:true\nx-queue-type:classic\n\n");
    wire_settle(&w);
    wire_peer(&w, 1, "1.2");
    wire_say(&w, 1, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n");
    fill("/queue/q", 4);
    ck_assert_uint_eq(count(wire_hear(&w, 0), "MESSAGE\n"), 4);
    ck_assert_str_eq(wire_hear(&w, 1), "");
}
END_TEST

START_TEST(consumers_of_higher_priority_go_first)
{
    wire_peer(&w, 1, "1.2");
    wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\nx-priority:-1\n\n");
    wire_say(&w, 1, "SUBSCRIBE\nid:0\ndestination:/queue/q\nx-priority:5\n\n");
    wire_settle(&w);
    fill("/queue/q", 3);
    ck_assert_str_eq(wire_hear(&w, 0), "");
    ck_assert_uint_eq(count(wire_hear(&w, 1), "MESSAGE\n"), 3);
}
END_TEST

START_TEST(an_id_is_for_one_subscription)
{
    wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/a\n\n");
    has(wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/b\n\n"),
        "message:Duplicated subscription identifier\n");
}
END_TEST

START_TEST(in_1_0_the_destination_serves_as_id)
{
    wire_peer(&w, 1, "1.0");
    wire_say(&w, 1, "SUBSCRIBE\ndestination:/queue/a\n\n");
    fill("/queue/a", 1);
    const char *heard = wire_hear(&w, 1);

    has(heard, "MESSAGE\ndestination:/queue/a\n");
    has_not(heard, "subscription:");
    ck_assert_str_eq(wire_ask(&w, 1, "UNSUBSCRIBE\ndestination:/queue/a\nreceipt:u\n\n"),
                     "RECEIPT\nreceipt-id:u\n\n^");
    fill("/queue/a", 1);
    ck_assert_str_eq(wire_hear(&w, 1), "");
}
END_TEST

START_TEST(topics_reach_every_subscriber_that_matches)
{
    wire_peer(&w, 1, "1.2");
    wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/topic/a.*\n\n");
    wire_say(&w, 1, "SUBSCRIBE\nid:0\ndestination:/topic/#\n\n");
    fill("/topic/a.b", 1);
    has(wire_hear(&w, 0), "\ndestination:/topic/a.b\n");
    has(wire_hear(&w, 1), "\ndestination:/topic/a.b\n");
    fill("/topic/a.b.c", 1);
    ck_assert_str_eq(wire_hear(&w, 0), "");
    has(wire_hear(&w, 1), "\ndestination:/topic/a.b.c\n");
}
END_TEST

START_TEST(unsubscribe_ends_the_flow)
{
    wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/topic/t\n\n");
    ck_assert_str_eq(wire_ask(&w, 0, "UNSUBSCRIBE\nid:0\nreceipt:u\n\n"),
                     "RECEIPT\nreceipt-id:u\n\n^");
    fill("/topic/t", 1);
    ck_assert_str_eq(wire_hear(&w, 0), "");
    has(wire_ask(&w, 0, "UNSUBSCRIBE\nid:0\n\n"), "message:No subscription found\n");
}
END_TEST

START_TEST(a_durable_topic_keeps_what_came_meanwhile)
{
    static const char subscribe[] = "SUBSCRIBE\nid:me\ndestination:/topic/t\ndurable:true\n"
                                    "auto-delete:false\n\n";

    wire_say(&w, 0, subscribe);
    wire_settle(&w);
    wire_hang_up(&w, 0);
    fill("/topic/t", 2);
    wire_peer(&w, 0, "1.2");
    ck_assert_uint_eq(count(wire_ask(&w, 0, subscribe), "MESSAGE\n"), 2);
    has(wire_ask(&w, 0, "UNSUBSCRIBE\nid:me\ndurable:true\nreceipt:u\n\n"), "RECEIPT\n");
    fill("/topic/t", 2);
    ck_assert_str_eq(wire_ask(&w, 0, subscribe), "");
}
END_TEST

START_TEST(a_durable_topic_is_shared_by_id_and_destination)
{
    wire_peer(&w, 1, "1.2");
    wire_peer(&w, 2, "1.2");
    wire_say(&w, 0, "SUBSCRIBE\nid:me\ndestination:/topic/t\ndurable:true\n\n");
    wire_say(&w, 1, "SUBSCRIBE\nid:me\ndestination:/topic/t\ndurable:true\n\n");
    wire_say(&w, 2, "SUBSCRIBE\nid:you\ndestination:/topic/t\ndurable:true\n\n");
    fill("/topic/t", 4);
    ck_assert_uint_eq(count(wire_hear(&w, 0), "MESSAGE\n"), 2);
    ck_assert_uint_eq(count(wire_hear(&w, 1), "MESSAGE\n"), 2);
    ck_assert_uint_eq(count(wire_hear(&w, 2), "MESSAGE\n"), 4);
}
END_TEST

START_TEST(x_queue_name_names_the_queue_of_a_topic)
{
    wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/topic/t\nx-queue-name:mine\n\n");
    wire_settle(&w);
    ck_assert_uint_eq(ready("mine"), 0);
    wire_hang_up(&w, 0);
    wire_settle(&w);
    ck_assert_uint_eq(ready("mine"), UINT64_MAX);
}
END_TEST

START_TEST(prefetch_bounds_what_is_unacked)
{
    fill("/queue/q", 5);
    const char *heard = wire_ask(
        &w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client\nprefetch-count:2\n\n");

    ck_assert_uint_eq(count(heard, "MESSAGE\n"), 2);
    heard = wire_ask(&w, 0, "ACK\nid:1-2\n\n");
    ck_assert_uint_eq(count(heard, "MESSAGE\n"), 2);
}
END_TEST

START_TEST(a_deleted_queue_ends_the_subscription_with_an_error)
{
    static const char subscribe[] = "SUBSCRIBE\nid:me\ndestination:/topic/t\ndurable:true\n\n";

    wire_peer(&w, 1, "1.2");
    wire_say(&w, 0, subscribe);
    wire_say(&w, 1, subscribe);
    wire_say(&w, 1, "UNSUBSCRIBE\nid:me\ndurable:true\n\n");
    wire_settle(&w);
    has(wire_hear(&w, 0), "ERROR\nsubscription:me\nmessage:Subscription ended\n");
    ck_assert(w.peer[0]->ending);
}
END_TEST

/* A full output must hold deliveries back, not grow. */
START_TEST(output_is_bounded)
{
    static char frame[4000] = "SEND\ndestination:/queue/q\ncontent-length:3000\n\n";

    w.env.output_bytes = 20000;
    wire_peer(&w, 1, "1.2");
    for (unsigned i = 0; i < 100; i++)
        wire_bytes(&w, 0, bytes_of(frame, strlen(frame) + 3001));
    wire_say(&w, 1, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n");
    unsigned got = 0;

    for (unsigned i = 0; i < 100 && got < 100; i++) {
        wire_settle(&w);
        ck_assert_uint_le(w.peer[1]->out.n, 20000 + 4000);
        got += count(wire_hear(&w, 1), "MESSAGE\n");
    }
    ck_assert_uint_eq(got, 100);
}
END_TEST

Suite *stomp_subscribe_suite(void)
{
    Suite *s = suite_create("stomp_subscribe");
    TCase *t = tcase_create("core");

    tcase_add_checked_fixture(t, open_wire, close_wire);
    tcase_add_test(t, wrong_subscriptions_are_errors);
    tcase_add_test(t, a_failed_subscription_leaves_no_queue);
    tcase_add_test(t, limits_of_the_node_are_errors_and_leave_nothing);
    tcase_add_test(t, unknown_arguments_are_kept_as_they_are);
    tcase_add_test(t, consumers_of_higher_priority_go_first);
    tcase_add_test(t, an_id_is_for_one_subscription);
    tcase_add_test(t, in_1_0_the_destination_serves_as_id);
    tcase_add_test(t, topics_reach_every_subscriber_that_matches);
    tcase_add_test(t, unsubscribe_ends_the_flow);
    tcase_add_test(t, a_durable_topic_keeps_what_came_meanwhile);
    tcase_add_test(t, a_durable_topic_is_shared_by_id_and_destination);
    tcase_add_test(t, x_queue_name_names_the_queue_of_a_topic);
    tcase_add_test(t, prefetch_bounds_what_is_unacked);
    tcase_add_test(t, a_deleted_queue_ends_the_subscription_with_an_error);
    tcase_add_test(t, output_is_bounded);
    suite_add_tcase(s, t);
    return s;
}
