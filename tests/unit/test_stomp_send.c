// SPDX-License-Identifier: MIT
/* SEND and what a MESSAGE makes of it. */
#include <stdio.h>

#include "base/mem.h"
#include "proto/props.h"
#include "proto/table.h"
#include "tests/lib/stomp_wire.h"
#include "tests/unit/stomp_heard.h"

Suite *stomp_send_suite(void);

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

/* Sends to /queue/q and says how the message comes back. */
static const char *echo(const char *headers)
{
    char frame[2048];

    (void)snprintf(frame, sizeof frame, "SEND\ndestination:/queue/q\n%s\nbody", headers);
    wire_say(&w, 0, frame);
    return wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n");
}

/* ---- headers ---- */

START_TEST(a_message_comes_back_with_its_frame)
{
    ck_assert_str_eq(echo(""),
                     "MESSAGE\nsubscription:0\ndestination:/queue/q\n"
                     "message-id:2-1099511627777\npersistent:true\ncontent-length:4\n\nbody^");
}
END_TEST

START_TEST(user_headers_come_back_in_order_and_once)
{
    has(echo("zebra:1\napple:2\nzebra:3\nid:mine\nx-request-id:r-7\n"),
        "\nzebra:1\napple:2\nid:mine\nx-request-id:r-7\ncontent-length:4\n");
}
END_TEST

START_TEST(user_headers_are_escaped_again)
{
    has(echo("a\\cb:c\\nd\\\\e\\rf\nempty:\nspaced:  x \n"),
        "\na\\cb:c\\nd\\\\e\\rf\nempty:\nspaced:  x \n");
}
END_TEST

START_TEST(instructions_are_not_stored)
{
    const char *heard = echo("receipt:r\ncontent-length:4\nx-delay:0\nx-max-length:5\n"
                             "subscription:forged\nack:forged\nredelivered:true\n");

    has_not(heard, "receipt:");
    has_not(heard, "forged");
    has_not(heard, "x-delay");
    has_not(heard, "x-max-length");
    has_not(heard, "redelivered");
    ck_assert_ptr_eq(strstr(strstr(heard, "content-length") + 1, "content-length"), NULL);
}
END_TEST

START_TEST(properties_come_back_as_headers)
{
    has(echo("content-type:text/plain\ncontent-encoding:gzip\npriority:7\ncorrelation-id:c\n"
             "reply-to:/queue/r\nexpiration:60000\namqp-message-id:m\ntimestamp:1700000000000\n"
             "type:t\nuser-id:guest\napp-id:a\n"),
        "\ncontent-type:text/plain\ncontent-encoding:gzip\npersistent:true\npriority:7\n"
        "correlation-id:c\nreply-to:/queue/r\nexpiration:60000\namqp-message-id:m\n"
        "timestamp:1700000000000\ntype:t\nuser-id:guest\napp-id:a\ncontent-length:4\n");
}
END_TEST

/* RabbitMQ refuses it; clients that set it get it back under RabbitMQ's name. */
START_TEST(a_message_id_of_the_sender_becomes_the_amqp_one)
{
    has(echo("message-id:mine\n"), "\namqp-message-id:mine\n");
}
END_TEST

START_TEST(what_is_too_long_for_a_property_stays_a_header)
{
    char headers[400] = "correlation-id:";

    memset(headers + 15, 'c', 300);
    headers[315] = '\n';
    const char *heard = echo(headers);

    has(heard, headers);
    ck_assert_ptr_eq(strstr(strstr(heard, "correlation-id") + 1, "correlation-id"), NULL);
}
END_TEST

START_TEST(a_header_name_has_a_limit)
{
    char frame[600] = "SEND\ndestination:/queue/q\n";
    size_t n = strlen(frame);

    memset(frame + n, 'h', 256);
    memcpy(frame + n + 256, ":v\n\n", 5);
    has(wire_ask(&w, 0, frame), "message:Invalid header\n");
}
END_TEST

START_TEST(a_timestamp_that_is_no_number_stays_a_header)
{
    has(echo("timestamp:2026-11-23T12:00:00Z\n"), "\ntimestamp:2026-11-23T12\\c00\\c00Z\n");
}
END_TEST

START_TEST(persistent_false_is_transient)
{
    has_not(echo("persistent:false\n"), "persistent");
}
END_TEST

START_TEST(wrong_values_are_errors)
{
    static const char *const wrong[] = { "priority:256\n",
                                         "priority:x\n",
                                         "expiration:soon\n",
                                         "x-delay:-1\n",
                                         "user-id:somebody\n",
                                         "x-max-length:many\n",
                                         "x-single-active-consumer:maybe\n" };

    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char frame[128];

        wire_peer(&w, 1, "1.2");
        (void)snprintf(frame, sizeof frame, "SEND\ndestination:/queue/n%u\n%s\n", i, wrong[i]);
        has(wire_ask(&w, 1, frame), "ERROR\n");
        ck_assert_msg(w.peer[1]->ending, "%s", wrong[i]);
        wire_hang_up(&w, 1);
    }
}
END_TEST

/* ---- destinations ---- */

START_TEST(missing_and_wrong_destinations_are_errors)
{
    static const char *const wrong[] = { "\n",
                                         "destination:\n\n",
                                         "destination:/queue/\n\n",
                                         "destination:/temp-queue/t\n\n",
                                         "destination:/exchange/nowhere/k\n\n",
                                         "destination:/amq/queue/nowhere\n\n" };

    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char frame[128];

        wire_peer(&w, 1, "1.2");
        (void)snprintf(frame, sizeof frame, "SEND\n%s", wrong[i]);
        has(wire_ask(&w, 1, frame), "ERROR\n");
        wire_hang_up(&w, 1);
    }
}
END_TEST

START_TEST(an_internal_exchange_is_refused_in_and_out_of_a_transaction)
{
    struct exchange_spec s = { .name = BYTES("in"), .type = BYTES("fanout"), .internal = true };
    uint64_t vhost = core_vhost_find(w.core, BYTES("/"));
    client_id client = core_client_open(w.core, vhost, &w);

    ck_assert_int_eq((int)core_exchange_declare(w.core, client, &s, NULL), OK);
    core_client_close(w.core, client, w.env.now_ms);
    wire_peer(&w, 1, "1.2");
    has(wire_ask(&w, 1, "SEND\ndestination:/exchange/in/k\nreceipt:r\n\n"),
        "the exchange is internal; nothing was stored");
    wire_hang_up(&w, 1);
    wire_peer(&w, 1, "1.2");
    wire_say(&w, 1, "BEGIN\ntransaction:t\n\n");
    wire_say(&w, 1, "SEND\ndestination:/exchange/in/k\ntransaction:t\n\n");
    has(wire_ask(&w, 1, "COMMIT\ntransaction:t\nreceipt:r\n\n"),
        "the exchange is internal; nothing of it was done");
}
END_TEST

START_TEST(a_queue_is_there_before_any_consumer)
{
    wire_say(&w, 0, "SEND\ndestination:/queue/q\n\nkept");
    wire_settle(&w);
    wire_hang_up(&w, 0);
    wire_peer(&w, 0, "1.2");
    has(wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n"), "\nkept^");
}
END_TEST

/* Its name is remembered, and yet it must not swallow messages when it is gone. */
START_TEST(a_queue_that_went_is_made_again)
{
    wire_say(&w, 0, "SEND\ndestination:/queue/q\nauto-delete:true\n\none");
    wire_peer(&w, 1, "1.2");
    has(wire_ask(&w, 1, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n"), "\none^");
    wire_hang_up(&w, 1);
    wire_settle(&w);
    ck_assert_str_eq(wire_ask(&w, 0, "SEND\ndestination:/queue/q\nreceipt:2\n\ntwo"),
                     "RECEIPT\nreceipt-id:2\n\n^");
    has(wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/amq/queue/q\n\n"), "\ntwo^");
}
END_TEST

START_TEST(a_topic_that_nobody_hears_is_no_fault)
{
    ck_assert_str_eq(wire_ask(&w, 0, "SEND\ndestination:/topic/t\nreceipt:1\n\n"),
                     "RECEIPT\nreceipt-id:1\n\n^");
}
END_TEST

START_TEST(an_exchange_and_its_key_come_back)
{
    wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/exchange/amq.direct/a%2Fb\n\n");
    wire_settle(&w);
    has(wire_ask(&w, 0, "SEND\ndestination:/exchange/amq.direct/a%2Fb\n\n"),
        "\ndestination:/exchange/amq.direct/a%2Fb\n");
}
END_TEST

START_TEST(names_are_escaped_twice_over)
{
    wire_say(&w, 0, "SEND\ndestination:/queue/a\\cb%2F\xc3\xa9\n\n");
    has(wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/a\\cb%2F%C3%A9\n\n"),
        "\ndestination:/queue/a\\cb%2F%C3%A9\n");
}
END_TEST

/* ---- time and limits ---- */

START_TEST(a_delayed_message_comes_when_due)
{
    wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n");
    ck_assert_str_eq(wire_ask(&w, 0, "SEND\ndestination:/queue/q\nx-delay:500\nreceipt:1\n\nlate"),
                     "RECEIPT\nreceipt-id:1\n\n^");
    wire_wait(&w, 499);
    ck_assert_str_eq(wire_hear(&w, 0), "");
    wire_wait(&w, 1);
    has(wire_hear(&w, 0), "\nlate^");
}
END_TEST

START_TEST(an_expired_message_is_not_delivered)
{
    wire_say(&w, 0, "SEND\ndestination:/queue/q\nexpiration:500\n\nold");
    wire_settle(&w);
    wire_wait(&w, 501);
    ck_assert_str_eq(wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n"), "");
}
END_TEST

START_TEST(priorities_go_first)
{
    wire_say(&w, 0, "SEND\ndestination:/queue/q\nx-max-priority:9\npriority:1\n\nlow");
    wire_say(&w, 0, "SEND\ndestination:/queue/q\npriority:200\n\nhigh");
    const char *heard = wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n");

    has(heard, "\npriority:200\n");
    ck_assert(strstr(heard, "high") < strstr(heard, "low"));
}
END_TEST

START_TEST(a_refused_message_is_an_error_that_says_why)
{
    static const char send[] = "SEND\ndestination:/queue/q\nx-max-length:1\n"
                               "x-overflow:reject-publish\nreceipt:r\n\n";

    ck_assert_str_eq(wire_ask(&w, 0, send), "RECEIPT\nreceipt-id:r\n\n^");
    const char *heard = wire_ask(&w, 0, send);

    has(heard, "ERROR\nreceipt-id:r\nmessage:Message refused\n");
    has(heard, "queue is full");
    ck_assert(w.peer[0]->ending);
}
END_TEST

START_TEST(queue_arguments_must_agree_only_when_given)
{
    wire_say(&w, 0, "SEND\ndestination:/queue/q\nx-message-ttl:60000\n\n");
    wire_settle(&w);
    wire_peer(&w, 1, "1.2");
    ck_assert_str_eq(wire_ask(&w, 1, "SEND\ndestination:/queue/q\nreceipt:1\n\n"),
                     "RECEIPT\nreceipt-id:1\n\n^");
    wire_peer(&w, 2, "1.2");
    has(wire_ask(&w, 2, "SEND\ndestination:/queue/q\nx-message-ttl:5\n\n"),
        "message:Precondition failed\n");
}
END_TEST

/* ---- request and reply ---- */

START_TEST(a_temporary_queue_carries_the_reply)
{
    char reply[200], frame[300];

    wire_peer(&w, 1, "1.2");
    wire_say(&w, 1, "SUBSCRIBE\nid:s\ndestination:/queue/service\n\n");
    wire_say(&w, 0, "SEND\ndestination:/queue/service\nreply-to:/temp-queue/me\n\nask");
    wire_settle(&w);
    const char *request = wire_hear(&w, 1);
    const char *at = strstr(request, "\nreply-to:/reply-queue/stomp-");

    ck_assert_ptr_ne(at, NULL);
    ck_assert_int_eq(sscanf(at, "\nreply-to:%199s", reply), 1);
    (void)snprintf(frame, sizeof frame, "SEND\ndestination:%s\nreceipt:1\n\nanswer", reply);
    has(wire_ask(&w, 1, frame), "RECEIPT");
    const char *heard = wire_hear(&w, 0);

    has(heard, "MESSAGE\nsubscription:/temp-queue/me\n");
    has(heard, "\nanswer^");

    /* The requester left: the responder must live on. */
    wire_hang_up(&w, 0);
    wire_settle(&w);
    ck_assert_str_eq(wire_ask(&w, 1, frame), "RECEIPT\nreceipt-id:1\n\n^");
}
END_TEST

START_TEST(the_same_temporary_queue_serves_again)
{
    wire_say(&w, 0, "SEND\ndestination:/queue/q\nreply-to:/temp-queue/me\n\n");
    wire_say(&w, 0, "SEND\ndestination:/queue/q\nreply-to:/temp-queue/me\n\n");
    const char *heard = wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n");
    const char *first = strstr(heard, "reply-to:");
    const char *second = strstr(first + 1, "reply-to:");

    ck_assert_ptr_ne(second, NULL);
    ck_assert_int_eq(strncmp(first, second, strcspn(first, "\n")), 0);
    has(wire_ask(&w, 0, "UNSUBSCRIBE\nid:/temp-queue/me\n\n"), "ERROR\n");
}
END_TEST

/* ---- messages of other protocols ---- */

START_TEST(foreign_headers_become_text_and_forge_nothing)
{
    uint64_t vhost = core_vhost_find(w.core, BYTES("/"));
    client_id client = core_client_open(w.core, vhost, &w);
    struct buf table = { 0 }, encoded = { 0 };
    struct props props = { .flags = PROPS_headers | PROPS_reply_to, .reply_to = BYTES("a%b") };
    struct publish p = { .m.exchange = BYTES("amq.topic"), .m.routing_key = BYTES("t") };
    const char *why;

    table_put_str(&table, BYTES("subscription"), BYTES("forged"));
    table_put_str(&table, BYTES("content-length"), BYTES("9"));
    table_put_int(&table, BYTES("n"), -5);
    table_put_bool(&table, BYTES("flag"), true);
    table_put_value(&table, BYTES("half"),
                    &(struct table_value){ 'd', BYTES("\x3f\xe0\0\0\0\0\0\0") });
    table_put_value(&table, BYTES("quarter"), &(struct table_value){ 'f', BYTES("\x3e\x80\0\0") });
    table_put_time(&table, BYTES("at"), 1700000000);
    table_end(&table, table_begin(&table, BYTES("list"), 'A'));
    table_put_str(&table, BYTES("two\nlines"), BYTES("a\n\nb"));
    props.headers = buf_view(&table);
    props_encode(&encoded, &props);
    p.m.props = buf_view(&encoded);
    wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/topic/t\n\n");
    ck_assert_int_eq((int)core_publish(w.core, client, &p, &why, w.env.now_ms), PUBLISH_ROUTED);
    core_client_close(w.core, client, w.env.now_ms);
    wire_settle(&w);
    const char *heard = wire_hear(&w, 0);

    has(heard,
        "\nreply-to:/reply-queue/a%25b\nn:-5\nflag:true\nhalf:0.5\nquarter:0.25\nat:1700000000\n"
        "two\\nlines:a\\n\\nb\ncontent-length:0\n\n^");
    has_not(heard, "forged");
    buf_fini(&table);
    buf_fini(&encoded);
}
END_TEST

Suite *stomp_send_suite(void)
{
    Suite *s = suite_create("stomp_send");
    TCase *t = tcase_create("core");

    tcase_add_checked_fixture(t, open_wire, close_wire);
    tcase_add_test(t, a_message_comes_back_with_its_frame);
    tcase_add_test(t, user_headers_come_back_in_order_and_once);
    tcase_add_test(t, user_headers_are_escaped_again);
    tcase_add_test(t, instructions_are_not_stored);
    tcase_add_test(t, properties_come_back_as_headers);
    tcase_add_test(t, a_message_id_of_the_sender_becomes_the_amqp_one);
    tcase_add_test(t, what_is_too_long_for_a_property_stays_a_header);
    tcase_add_test(t, a_header_name_has_a_limit);
    tcase_add_test(t, a_timestamp_that_is_no_number_stays_a_header);
    tcase_add_test(t, persistent_false_is_transient);
    tcase_add_test(t, wrong_values_are_errors);
    tcase_add_test(t, missing_and_wrong_destinations_are_errors);
    tcase_add_test(t, an_internal_exchange_is_refused_in_and_out_of_a_transaction);
    tcase_add_test(t, a_queue_is_there_before_any_consumer);
    tcase_add_test(t, a_queue_that_went_is_made_again);
    tcase_add_test(t, a_topic_that_nobody_hears_is_no_fault);
    tcase_add_test(t, an_exchange_and_its_key_come_back);
    tcase_add_test(t, names_are_escaped_twice_over);
    tcase_add_test(t, a_delayed_message_comes_when_due);
    tcase_add_test(t, an_expired_message_is_not_delivered);
    tcase_add_test(t, priorities_go_first);
    tcase_add_test(t, a_refused_message_is_an_error_that_says_why);
    tcase_add_test(t, queue_arguments_must_agree_only_when_given);
    tcase_add_test(t, a_temporary_queue_carries_the_reply);
    tcase_add_test(t, the_same_temporary_queue_serves_again);
    tcase_add_test(t, foreign_headers_become_text_and_forge_nothing);
    suite_add_tcase(s, t);
    return s;
}
