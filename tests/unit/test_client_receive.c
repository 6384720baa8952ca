// SPDX-License-Identifier: MIT
/* The library against a broker that is played by the test: receiving, transactions,
 * requests. */
#include <check.h>
#include <stdio.h>

#include "tests/unit/client_rig.h"

Suite *client_receive_suite(void);

/* ---- receiving ---------------------------------------------------------------------- */

START_TEST(messages_come_whole_and_unescaped)
{
    uint64_t id;

    rig_start_and_login();
    id = rig_subscribe(LODGE_ACK_INDIVIDUAL);
    UNTIL(rig_has_heard("SUBSCRIBE\nid:1\ndestination:/queue/q\nack:client-individual\n"
                        "prefetch-count:5\nreceipt:s1\n\n^"));
    rig_say("RECEIPT\nreceipt-id:s1\n\n^");
    rig_say(
        "MESSAGE\nsubscription:1\nmessage-id:7\ndestination:/queue/q\nack:tag\nredelivered:true\n"
        "k\\cey:v\\nx\nk\\cey:second\nempty:\n\nhello^");
    UNTIL(rig_noted("got:hello"));
    ck_assert(rig_noted("subscribed"));
    ck_assert_uint_eq(rig.kept->subscription, id);
    ck_assert_str_eq(rig.kept->id, "7");
    ck_assert_str_eq(rig.kept->ack, "tag");
    ck_assert_str_eq(rig.kept->destination, "/queue/q");
    ck_assert(rig.kept->redelivered);
    ck_assert_str_eq(lodge_message_header(rig.kept, "k:ey"), "v\nx");
    ck_assert_str_eq(lodge_message_header(rig.kept, "empty"), "");
    ck_assert_ptr_null(lodge_message_header(rig.kept, "absent"));
    ck_assert_uint_eq(rig.kept->body_size, 5);
    ck_assert_int_eq(((const char *)rig.kept->body)[5], 0);
}
END_TEST

START_TEST(acks_name_the_delivery)
{
    rig_start_and_login();
    rig_subscribe(LODGE_ACK_CLIENT);
    rig_say("MESSAGE\nsubscription:1\nmessage-id:7\ndestination:/q\nack:ta\\cg\n\nx^");
    UNTIL(rig.kept);
    lodge_ack(rig.client, rig.kept);
    lodge_nack(rig.client, rig.kept, true);
    lodge_nack(rig.client, rig.kept, false);
    UNTIL(rig_has_heard(
        "ACK\nid:ta\\cg\n\n^NACK\nid:ta\\cg\n\n^NACK\nid:ta\\cg\nrequeue:false\n\n^"));
}
END_TEST

START_TEST(acks_of_an_earlier_connection_are_dropped)
{
    rig_start_and_login();
    rig_subscribe(LODGE_ACK_CLIENT);
    rig_say("MESSAGE\nsubscription:1\nmessage-id:7\ndestination:/q\nack:t\n\nx^");
    UNTIL(rig.kept);
    rig_break_and_login();
    UNTIL(rig_has_heard("SUBSCRIBE\nid:1\n"));
    lodge_ack(rig.client, rig.kept);
    rig_send_text("later");
    UNTIL(rig_has_heard("later^"));
    ck_assert(!rig_has_heard("ACK\n"));
}
END_TEST

START_TEST(a_refused_subscription_is_told_and_forgotten)
{
    rig_start_and_login();
    ck_assert_uint_eq(rig_subscribe(LODGE_ACK_AUTO), 1);
    UNTIL(rig_has_heard("receipt:s1"));
    rig_say("ERROR\nmessage:no access\nreceipt-id:s1\n\n^");
    UNTIL(rig_noted("not-subscribed:no access"));
    UNTIL(rig.connections == 2);
    rig_accept_login();
    rig_turn_ms(20);
    ck_assert(!rig_has_heard("SUBSCRIBE"));
}
END_TEST

START_TEST(after_unsubscribing_nothing_comes)
{
    uint64_t id;

    rig_start_and_login();
    id = rig_subscribe(LODGE_ACK_AUTO);
    UNTIL(rig_has_heard("^"));
    lodge_unsubscribe(rig.client, id, NULL, 0);
    UNTIL(rig_has_heard("UNSUBSCRIBE\nid:1\n\n^"));
    rig_say("MESSAGE\nsubscription:1\nmessage-id:7\ndestination:/q\n\nx^");
    rig_turn_ms(20);
    ck_assert(!rig_noted("got:"));
}
END_TEST

START_TEST(an_id_is_used_once_at_a_time)
{
    struct lodge_subscribe_options o = { .destination = "q",
                                         .on_message = rig_on_message,
                                         .id = "me" };

    rig_start_and_login();
    uint64_t first = lodge_subscribe(rig.client, &o);

    ck_assert_uint_ne(first, 0);
    ck_assert_uint_eq(lodge_subscribe(rig.client, &o), 0);
    lodge_unsubscribe(rig.client, first, NULL, 0);
    ck_assert_uint_ne(lodge_subscribe(rig.client, &o), 0);
    UNTIL(rig_has_heard("UNSUBSCRIBE\nid:me\n\n^SUBSCRIBE\nid:me\n"));
}
END_TEST

/* ---- transactions -------------------------------------------------------------------- */

START_TEST(a_transaction_leaves_as_one)
{
    struct lodge_outgoing m = { "/queue/q", NULL, 0, "x", 1 };
    struct lodge_tx *tx;

    rig_start_and_login();
    tx = lodge_begin(rig.client);
    ck_assert_int_eq(lodge_tx_send(tx, &m), LODGE_OK);
    rig_send_text("between");
    ck_assert_int_eq(lodge_commit(tx, rig_on_confirm, (void *)(uintptr_t) "tx"), LODGE_OK);
    UNTIL(rig_has_heard("COMMIT"));
    ck_assert(rig_has_heard("between^BEGIN\ntransaction:1\n\n^SEND\ndestination:/queue/q\n"
                            "persistent:true\ncontent-length:1\ntransaction:1\n\nx^"
                            "COMMIT\ntransaction:1\nreceipt:2\n\n^"));
    rig_say("RECEIPT\nreceipt-id:2\n\n^");
    UNTIL(rig_noted("tx=done()"));
}
END_TEST

START_TEST(a_transaction_that_acknowledges_does_not_survive_a_break)
{
    struct lodge_outgoing m = { "/queue/q", NULL, 0, "x", 1 };
    struct lodge_tx *tx;

    rig_start_and_login();
    rig_subscribe(LODGE_ACK_INDIVIDUAL);
    rig_say("MESSAGE\nsubscription:1\nmessage-id:7\ndestination:/q\nack:t\n\nx^");
    UNTIL(rig.kept);
    tx = lodge_begin(rig.client);
    lodge_tx_ack(tx, rig.kept);
    ck_assert_int_eq(lodge_tx_send(tx, &m), LODGE_OK);
    ck_assert_int_eq(lodge_commit(tx, rig_on_confirm, (void *)(uintptr_t) "tx"), LODGE_OK);
    UNTIL(rig_has_heard("ACK\nid:t\ntransaction:1\n") && rig_has_heard("COMMIT"));
    rig_break_and_login();
    ck_assert(rig_noted("tx=lost"));
    rig_turn_ms(20);
    ck_assert(!rig_has_heard("COMMIT"));
    tx = lodge_begin(rig.client); /* the delivery is of the connection before */
    lodge_tx_ack(tx, rig.kept);
    ck_assert_int_eq(lodge_commit(tx, NULL, NULL), LODGE_LOST);
}
END_TEST

/* ---- requests -------------------------------------------------------------------------- */

/* The reply may be there before the request is confirmed. */
START_TEST(replies_find_their_request)
{
    rig_start_and_login();
    rig_request("one:", 5000);
    rig_request("two:", 5000);
    UNTIL(rig_has_heard("reply-to:/temp-queue/lodge\ncorrelation-id:2\n"));
    rig_say("MESSAGE\nsubscription:/temp-queue/lodge\nmessage-id:1\ndestination:/x\n"
            "correlation-id:2\n\nB^");
    UNTIL(rig_noted("two:B"));
    rig_say("RECEIPT\nreceipt-id:1\n\n^RECEIPT\nreceipt-id:2\n\n^");
    rig_say("MESSAGE\nsubscription:/temp-queue/lodge\nmessage-id:2\ndestination:/x\n"
            "correlation-id:1\n\nA^");
    UNTIL(rig_noted("one:A"));
}
END_TEST

START_TEST(no_reply_times_out_once)
{
    rig_start_and_login();
    rig_request("late:", 20);
    UNTIL(rig_noted("late:timed out"));
    rig_say("MESSAGE\nsubscription:/temp-queue/lodge\nmessage-id:1\ndestination:/x\n"
            "correlation-id:1\n\nB^RECEIPT\nreceipt-id:1\n\n^");
    rig_turn_ms(20);
    ck_assert_str_eq(rig.log, "late:timed out ");
}
END_TEST

START_TEST(after_a_break_only_unconfirmed_requests_go_on)
{
    rig_start_and_login();
    rig_request("confirmed:", 5000);
    rig_request("open:", 5000);
    UNTIL(rig_has_heard("correlation-id:2\n"));
    rig_say("RECEIPT\nreceipt-id:1\n\n^");
    rig_turn_ms(10);
    rig_break_and_login();
    UNTIL(rig_noted("confirmed:lost"));
    UNTIL(rig_has_heard("correlation-id:2\n"));
    ck_assert(!rig_has_heard("correlation-id:1\n"));
    ck_assert(!rig_noted("open:"));
}
END_TEST

START_TEST(a_reply_goes_where_it_is_wanted)
{
    rig_start_and_login();
    rig_subscribe(LODGE_ACK_AUTO);
    rig_say("MESSAGE\nsubscription:1\nmessage-id:7\ndestination:/q\nreply-to:/reply-queue/x\n"
            "correlation-id:c\\c1\n\nx^");
    UNTIL(rig.kept);
    ck_assert_int_eq(lodge_reply(rig.client, rig.kept, "yes", 3, NULL, NULL), LODGE_OK);
    UNTIL(rig_has_heard("SEND\ndestination:/reply-queue/x\ncorrelation-id:c\\c1\n"));
}
END_TEST

Suite *client_receive_suite(void)
{
    Suite *s = suite_create("client_receive");
    TCase *t = tcase_create("client_receive");

    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, rig_setup, rig_teardown);
    tcase_add_test(t, messages_come_whole_and_unescaped);
    tcase_add_test(t, acks_name_the_delivery);
    tcase_add_test(t, acks_of_an_earlier_connection_are_dropped);
    tcase_add_test(t, a_refused_subscription_is_told_and_forgotten);
    tcase_add_test(t, after_unsubscribing_nothing_comes);
    tcase_add_test(t, an_id_is_used_once_at_a_time);
    tcase_add_test(t, a_transaction_leaves_as_one);
    tcase_add_test(t, a_transaction_that_acknowledges_does_not_survive_a_break);
    tcase_add_test(t, replies_find_their_request);
    tcase_add_test(t, no_reply_times_out_once);
    tcase_add_test(t, after_a_break_only_unconfirmed_requests_go_on);
    tcase_add_test(t, a_reply_goes_where_it_is_wanted);
    suite_add_tcase(s, t);
    return s;
}
