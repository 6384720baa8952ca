// SPDX-License-Identifier: MIT
/* The library against a broker that is played by the test: connecting, sending, the end. */
#include <check.h>
#include <stdio.h>

#include "tests/unit/client_rig.h"

Suite *client_suite(void);

/* ---- connecting ------------------------------------------------------------------- */

START_TEST(connect_says_who_and_what)
{
    rig.options.login = "bob";
    rig.options.passcode = "a:b"; /* not escaped in CONNECT */
    rig.options.heart_beat_send_ms = 1000;
    rig.options.heart_beat_want_ms = 2000;
    rig_start();
    UNTIL(rig_has_heard("^"));
    ck_assert(rig_has_heard("CONNECT\naccept-version:1.2\nhost:/\nlogin:bob\npasscode:a:b\n"
                            "heart-beat:1000,2000\n\n^"));
}
END_TEST

START_TEST(server_text_goes_before_the_fields)
{
    char server[64];

    (void)snprintf(server, sizeof server, "stomp://eve:pw@127.0.0.1:%u",
                   (unsigned)rig.options.port);
    rig.options.server = server;
    rig.options.port = 1;
    rig_start();
    UNTIL(rig_has_heard("login:eve\npasscode:pw\n"));
}
END_TEST

START_TEST(options_out_of_range_make_no_client)
{
    rig.options.server = "h:99999";
    ck_assert_ptr_null(lodge_new(rig.base, &rig.options));
    rig.options.server = NULL;
    rig.options.unconfirmed_max = 0;
    ck_assert_ptr_null(lodge_new(rig.base, &rig.options));
    rig.options.unconfirmed_max = 1;
    rig.options.backoff_max_ms = rig.options.backoff_min_ms - 1;
    ck_assert_ptr_null(lodge_new(rig.base, &rig.options));
}
END_TEST

START_TEST(refused_login_is_told_and_tried_again)
{
    rig_start();
    UNTIL(rig_has_heard("^"));
    rig_say("ERROR\nmessage:Bad CONNECT\n\nno such user^");
    UNTIL(rig_noted("refused the connection: Bad CONNECT: no such user"));
    UNTIL(rig.connections == 2);
}
END_TEST

START_TEST(older_servers_are_not_spoken_to)
{
    rig_start();
    UNTIL(rig_has_heard("^"));
    rig_say("CONNECTED\nversion:1.1\n\n^");
    UNTIL(rig_noted("does not speak STOMP 1.2"));
}
END_TEST

START_TEST(giving_up_loses_what_was_sent)
{
    rig.options.attempts_max = 2;
    rig_start();
    rig_send_text("a");
    UNTIL(rig_has_heard("^"));
    rig_hang_up();
    UNTIL(rig.connections == 2);
    rig_hang_up();
    UNTIL(rig_noted("gave-up"));
    ck_assert(rig_noted("a=lost"));
    struct lodge_outgoing m = { .destination = "q" };

    ck_assert_int_eq(lodge_send(rig.client, &m, NULL, NULL), LODGE_CLOSED);
}
END_TEST

START_TEST(malformed_frames_end_the_connection)
{
    rig_start_and_login();
    rig_say("NONSENSE\n\n^");
    UNTIL(rig_noted("malformed frame"));
    UNTIL(rig.connections == 2);
}
END_TEST

START_TEST(a_silent_server_is_dead)
{
    rig.options.heart_beat_want_ms = 20;
    rig.options.heart_beat_send_ms = 20;
    rig_start();
    UNTIL(rig_has_heard("CONNECT\n") && rig_has_heard("^"));
    rig.heard.n = 0;
    rig_say("CONNECTED\nversion:1.2\nheart-beat:20,20\n\n^");
    UNTIL(rig_has_heard("\n"));
    UNTIL(rig_noted("no heart-beat from"));
}
END_TEST

START_TEST(heart_beats_of_the_server_keep_it_alive)
{
    rig.options.heart_beat_want_ms = 40;
    rig_start();
    UNTIL(rig_has_heard("CONNECT\n") && rig_has_heard("^"));
    rig_say("CONNECTED\nversion:1.2\nheart-beat:40,0\n\n^");
    for (int i = 0; i < 10; i++) {
        rig_turn_ms(20);
        rig_say("\n");
    }
    ck_assert_str_eq(rig.log, "");
}
END_TEST

/* ---- sending ------------------------------------------------------------------------ */

START_TEST(send_is_escaped_and_persistent_and_has_its_length)
{
    struct lodge_header h = { "a:b", "1\n2" };
    struct lodge_outgoing m = { "name", &h, 1, "x", 1 };

    rig_start_and_login();
    ck_assert_int_eq(lodge_send(rig.client, &m, NULL, NULL), LODGE_OK);
    UNTIL(rig_has_heard("^"));
    ck_assert(rig_has_heard("SEND\ndestination:/queue/name\na\\cb:1\\n2\npersistent:true\n"
                            "content-length:1\nreceipt:1\n\nx^"));
}
END_TEST

START_TEST(what_is_sent_before_the_connection_waits_for_it)
{
    rig_start();
    rig_send_text("early");
    ck_assert_uint_eq(lodge_unconfirmed(rig.client), 1);
    rig_accept_login();
    UNTIL(rig_has_heard("early^"));
    rig_say("RECEIPT\nreceipt-id:1\n\n^");
    UNTIL(rig_noted("early=done()"));
    ck_assert_uint_eq(lodge_unconfirmed(rig.client), 0);
}
END_TEST

START_TEST(headers_of_the_client_may_not_be_given)
{
    static const char *const names[] = { "destination", "receipt", "content-length", "transaction",
                                         "" };
    struct lodge_header h = { names[_i], "x" };
    struct lodge_outgoing m = { "name", &h, 1, NULL, 0 };

    rig_start();
    ck_assert_int_eq(lodge_send(rig.client, &m, NULL, NULL), LODGE_INVALID);
}
END_TEST

START_TEST(after_a_break_the_unconfirmed_are_sent_again_in_order)
{
    rig_start_and_login();
    rig_send_text("aa");
    rig_send_text("bb");
    rig_send_text("cc");
    UNTIL(rig_has_heard("cc^"));
    rig_say("RECEIPT\nreceipt-id:2\n\n^");
    UNTIL(rig_noted("bb=done"));
    rig_break_and_login();
    UNTIL(rig_has_heard("cc^"));
    ck_assert(rig_has_heard("\n\naa^SEND\n"));
    ck_assert(!rig_has_heard("bb^"));
    rig_say("RECEIPT\nreceipt-id:1\n\n^RECEIPT\nreceipt-id:3\n\n^");
    UNTIL(rig_noted("aa=done() cc=done()"));
}
END_TEST

START_TEST(full_refuses_and_drained_tells_when_to_go_on)
{
    struct lodge_outgoing m = { .destination = "q" };

    rig.options.unconfirmed_max = 2;
    rig_start_and_login();
    rig_send_text("a");
    rig_send_text("b");
    ck_assert_int_eq(lodge_send(rig.client, &m, NULL, NULL), LODGE_FULL);
    UNTIL(rig_has_heard("b^"));
    ck_assert(!rig_noted("drained"));
    rig_say("RECEIPT\nreceipt-id:1\n\n^");
    UNTIL(rig_noted("drained"));
    ck_assert_int_eq(lodge_send(rig.client, &m, NULL, NULL), LODGE_OK);
}
END_TEST

START_TEST(bytes_have_their_limit_but_for_a_single_message)
{
    char body[5000] = { 0 };
    struct lodge_outgoing m = { "q", NULL, 0, body, sizeof body };

    rig.options.unconfirmed_max_bytes = 1000;
    rig_start();
    ck_assert_int_eq(lodge_send(rig.client, &m, NULL, NULL), LODGE_OK);
    ck_assert_int_eq(lodge_send(rig.client, &m, NULL, NULL), LODGE_FULL);
}
END_TEST

START_TEST(a_refusal_hits_the_message_it_names)
{
    rig_start_and_login();
    rig_send_text("aa");
    rig_send_text("bb");
    UNTIL(rig_has_heard("bb^"));
    rig_say("ERROR\nmessage:no such queue\nreceipt-id:1\n\n^");
    UNTIL(rig_noted("aa=refused(no such queue)"));
    UNTIL(rig.connections == 2);
    rig_accept_login();
    UNTIL(rig_has_heard("bb^"));
    ck_assert(!rig_has_heard("aa^"));
}
END_TEST

/* Some brokers do not say which frame was wrong.  Frames then go one at a time, until
 * it is known; the others must arrive, and nothing may go round for ever. */
START_TEST(a_refusal_without_a_name_is_tracked_down)
{
    rig_start_and_login();
    rig_send_text("aa");
    rig_send_text("bb");
    UNTIL(rig_has_heard("bb^"));
    for (int i = 0; i < 2; i++) {
        rig_say("ERROR\nmessage:bad\n\n^");
        UNTIL(rig.connections == 2 + (unsigned)i);
        rig_accept_login();
        UNTIL(rig_has_heard("aa^"));
        rig_turn_ms(20);
        ck_assert(!rig_has_heard("bb^"));
    }
    rig_say("ERROR\nmessage:bad\n\n^");
    UNTIL(rig_noted("aa=refused(bad)"));
    UNTIL(rig.connections == 4);
    rig_accept_login();
    UNTIL(rig_has_heard("bb^"));
    rig_say("RECEIPT\nreceipt-id:2\n\n^");
    UNTIL(rig_noted("bb=done()"));
}
END_TEST

/* ---- the end ------------------------------------------------------------------------------ */

START_TEST(closing_waits_for_confirms_then_takes_leave)
{
    struct lodge_outgoing m = { .destination = "q" };

    rig_start_and_login();
    rig_send_text("last");
    lodge_close(rig.client, 5000, rig_on_closed, NULL);
    ck_assert_int_eq(lodge_send(rig.client, &m, NULL, NULL), LODGE_CLOSED);
    UNTIL(rig_has_heard("last^"));
    rig_turn_ms(10);
    ck_assert(!rig_has_heard("DISCONNECT"));
    rig_say("RECEIPT\nreceipt-id:1\n\n^");
    UNTIL(rig_has_heard("DISCONNECT\nreceipt:d\n\n^"));
    ck_assert(!rig_noted("closed"));
    rig_say("RECEIPT\nreceipt-id:d\n\n^");
    UNTIL(rig_noted("last=done() closed=done"));
}
END_TEST

START_TEST(closing_has_its_time)
{
    rig_start_and_login();
    rig_send_text("stuck");
    lodge_close(rig.client, 20, rig_on_closed, NULL);
    UNTIL(rig_noted("stuck=lost() closed=timed out"));
}
END_TEST

START_TEST(freeing_tells_who_waits)
{
    rig_start_and_login();
    rig_send_text("a");
    rig_request("r:", 5000);
    lodge_free(rig.client);
    rig.client = NULL;
    ck_assert(rig_noted("a=lost()"));
    ck_assert(rig_noted("r:lost"));
}
END_TEST

static void free_on_message(void *arg, const struct lodge_message *m)
{
    (void)arg;
    lodge_free(rig.client);
    rig.client = NULL;
    rig_note("freed-at:", m->body); /* still there until we return */
}

START_TEST(a_callback_may_free_the_client)
{
    struct lodge_subscribe_options o = { .destination = "q", .on_message = free_on_message };

    rig_start_and_login();
    ck_assert_uint_ne(lodge_subscribe(rig.client, &o), 0);
    rig_say("MESSAGE\nsubscription:1\nmessage-id:7\ndestination:/q\n\none^"
            "MESSAGE\nsubscription:1\nmessage-id:8\ndestination:/q\n\ntwo^");
    UNTIL(rig_noted("freed-at:one"));
    rig_turn_ms(10);
    ck_assert(!rig_noted("two"));
}
END_TEST

Suite *client_suite(void)
{
    Suite *s = suite_create("client");
    TCase *t = tcase_create("client");

    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, rig_setup, rig_teardown);
    tcase_add_test(t, connect_says_who_and_what);
    tcase_add_test(t, server_text_goes_before_the_fields);
    tcase_add_test(t, options_out_of_range_make_no_client);
    tcase_add_test(t, refused_login_is_told_and_tried_again);
    tcase_add_test(t, older_servers_are_not_spoken_to);
    tcase_add_test(t, giving_up_loses_what_was_sent);
    tcase_add_test(t, malformed_frames_end_the_connection);
    tcase_add_test(t, a_silent_server_is_dead);
    tcase_add_test(t, heart_beats_of_the_server_keep_it_alive);
    tcase_add_test(t, send_is_escaped_and_persistent_and_has_its_length);
    tcase_add_test(t, what_is_sent_before_the_connection_waits_for_it);
    tcase_add_loop_test(t, headers_of_the_client_may_not_be_given, 0, 5);
    tcase_add_test(t, after_a_break_the_unconfirmed_are_sent_again_in_order);
    tcase_add_test(t, full_refuses_and_drained_tells_when_to_go_on);
    tcase_add_test(t, bytes_have_their_limit_but_for_a_single_message);
    tcase_add_test(t, a_refusal_hits_the_message_it_names);
    tcase_add_test(t, a_refusal_without_a_name_is_tracked_down);
    tcase_add_test(t, closing_waits_for_confirms_then_takes_leave);
    tcase_add_test(t, closing_has_its_time);
    tcase_add_test(t, freeing_tells_who_waits);
    tcase_add_test(t, a_callback_may_free_the_client);
    suite_add_tcase(s, t);
    return s;
}
