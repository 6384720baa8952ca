// SPDX-License-Identifier: MIT
/* CONNECT, passwords and heart-beats. */
#include <poll.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/session/auth.h"
#include "tests/lib/everybody.h"
#include "tests/lib/stomp_wire.h"
#include "tests/unit/stomp_heard.h"

Suite *stomp_login_suite(void);

static struct stomp_wire r;

static void open_wire(void)
{
    wire_open(&r, NULL);
}

static void close_wire(void)
{
    wire_close(&r);
}

/* ---- CONNECT ---- */

START_TEST(stomp_and_connect_are_one)
{
    static const char *const commands[] = { "CONNECT", "STOMP" };
    char frame[64];

    for (unsigned i = 0; i < 2; i++) {
        wire_peer(&r, i, NULL);
        (void)snprintf(frame, sizeof frame, "%s\naccept-version:1.2\nhost:/\n\n", commands[i]);
        const char *heard = wire_ask(&r, i, frame);

        starts(heard, "CONNECTED\nversion:1.2\n");
        has(heard, "\nserver:Lodge/");
        has(heard, "\nsession:");
        has(heard, "\nheart-beat:0,0\n");
    }
}
END_TEST

START_TEST(the_highest_common_version_is_agreed)
{
    static const struct {
        const char *headers, *version;
    } cases[] = {
        { "", "1.0" },
        { "accept-version:1.0\n", "1.0" },
        { "accept-version:1.0,1.1\n", "1.1" },
        { "accept-version:1.2,1.1,1.0\n", "1.2" },
        { "accept-version:1.1,2.0\n", "1.1" },
    };
    char frame[80], want[32];

    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        wire_peer(&r, 0, NULL);
        (void)snprintf(frame, sizeof frame, "CONNECT\n%s\n", cases[i].headers);
        (void)snprintf(want, sizeof want, "\nversion:%s\n", cases[i].version);
        has(wire_ask(&r, 0, frame), want);
        wire_hang_up(&r, 0);
    }
}
END_TEST

START_TEST(no_common_version_is_an_error_that_lists_ours)
{
    wire_peer(&r, 0, NULL);
    const char *heard = wire_ask(&r, 0, "CONNECT\naccept-version:2.0\n\n");

    starts(heard, "ERROR\n");
    has(heard, "\nversion:1.0,1.1,1.2\n");
    has(heard, "\nmessage:Version mismatch\n");
    ck_assert(r.peer[0]->ending);
}
END_TEST

START_TEST(nothing_goes_before_connect)
{
    wire_peer(&r, 0, NULL);
    has(wire_ask(&r, 0, "SEND\ndestination:/queue/a\n\n"), "ERROR\nmessage:Illegal command\n");
    ck_assert(r.peer[0]->ending);
}
END_TEST

START_TEST(a_second_connect_is_an_error)
{
    wire_peer(&r, 0, "1.2");
    has(wire_ask(&r, 0, "CONNECT\naccept-version:1.2\n\n"), "ERROR\nmessage:Illegal command\n");
}
END_TEST

START_TEST(host_is_a_virtual_host_or_a_machine)
{
    static const char *const good[] = { "host:/\n",         "",
                                        "host:\n",          "host:localhost\n",
                                        "host:127.0.0.1\n", "host:mq.example.org\n",
                                        "host:::1\n" };
    char frame[64];

    for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
        wire_peer(&r, 0, NULL);
        (void)snprintf(frame, sizeof frame, "CONNECT\naccept-version:1.2\n%s\n", good[i]);
        has(wire_ask(&r, 0, frame), "CONNECTED\n");
        wire_hang_up(&r, 0);
    }
    wire_peer(&r, 0, NULL);
    has(wire_ask(&r, 0, "CONNECT\naccept-version:1.2\nhost:nowhere\n\n"), "message:Bad CONNECT\n");
    ck_assert(r.peer[0]->ending);
}
END_TEST

START_TEST(guest_is_for_loopback_only)
{
    r.peer[0] = stomp_session_open(&r.env, false);
    has(wire_ask(&r, 0, "CONNECT\nlogin:guest\npasscode:guest\n\n"), "over loopback only");
    r.peer[1] = stomp_session_open(&r.env, false);
    has(wire_ask(&r, 1, "CONNECT\n\n"), "over loopback only");
    everything_for(r.core, "ann", "/");
    r.peer[2] = stomp_session_open(&r.env, false);
    has(wire_ask(&r, 2, "CONNECT\nlogin:ann\npasscode:x\n\n"), "CONNECTED\n");
}
END_TEST

START_TEST(who_does_not_log_in_is_sent_away)
{
    wire_peer(&r, 0, NULL);
    wire_wait(&r, 9999);
    ck_assert_str_eq(wire_hear(&r, 0), "");
    wire_wait(&r, 1);
    has(wire_hear(&r, 0), "message:Login timed out\n");
    ck_assert(r.peer[0]->ending);
}
END_TEST

/* ---- passwords ---- */

static void ask_for_passwords(void)
{
    char *hash = auth_hash(BYTES("secret"), true);
    struct core_user ann = { BYTES("ann"), bytes_str(hash), BYTES("") };

    everything_for(r.core, "ann", "/");
    core_user_put(r.core, &ann);
    mem_free(hash);
    ck_assert_int_eq((int)auth_new(&r.env.auth), OK);
}

static void await_password(unsigned i)
{
    struct pollfd p = { .fd = auth_fd(r.env.auth), .events = POLLIN };

    for (unsigned tries = 0; r.peer[i]->paused && tries < 100; tries++) {
        (void)poll(&p, 1, 100);
        auth_run(r.env.auth);
    }
    wire_settle(&r);
}

START_TEST(input_waits_for_the_password_check)
{
    ask_for_passwords();
    wire_peer(&r, 0, NULL);
    wire_say(&r, 0, "CONNECT\nlogin:ann\npasscode:secret\n\n");
    wire_say(&r, 0, "BEGIN\ntransaction:t\nreceipt:1\n\n");
    ck_assert(r.peer[0]->paused);
    ck_assert_str_eq(wire_hear(&r, 0), "");
    await_password(0);
    starts(wire_hear(&r, 0), "CONNECTED\n");
    ck_assert(!r.peer[0]->paused);
    wire_hang_up(&r, 0);
    auth_free(&r.env.auth);
}
END_TEST

START_TEST(a_wrong_password_and_no_login_are_refused)
{
    ask_for_passwords();
    wire_peer(&r, 0, NULL);
    wire_peer(&r, 1, NULL);
    wire_say(&r, 0, "CONNECT\nlogin:ann\npasscode:wrong\n\n");
    wire_say(&r, 1, "CONNECT\n\n"); /* guest, who has no password */
    await_password(0);
    await_password(1);
    has(wire_hear(&r, 0), "Access refused for user 'ann'");
    has(wire_hear(&r, 1), "Access refused for user 'guest'");
    wire_hang_up(&r, 0);
    wire_hang_up(&r, 1);
    auth_free(&r.env.auth);
}
END_TEST

/* The answer must not find a session that is gone. */
START_TEST(a_session_may_end_while_its_password_is_checked)
{
    ask_for_passwords();
    wire_peer(&r, 0, NULL);
    wire_peer(&r, 1, NULL);
    wire_say(&r, 0, "CONNECT\nlogin:ann\npasscode:secret\n\n");
    wire_say(&r, 1, "CONNECT\nlogin:ann\npasscode:wrong\n\n");
    wire_hang_up(&r, 1);
    wire_wait(&r, 10000);
    has(wire_hear(&r, 0), "message:Login timed out\n");
    wire_hang_up(&r, 0);
    wire_peer(&r, 0, NULL);
    wire_say(&r, 0, "CONNECT\nlogin:ann\npasscode:wrong\n\n");
    await_password(0);
    has(wire_hear(&r, 0), "Access refused");
    wire_hang_up(&r, 0);
    auth_free(&r.env.auth);
}
END_TEST

/* ---- heart-beats ---- */

static void connect_beating(const char *heart_beat)
{
    char frame[80];

    wire_peer(&r, 0, NULL);
    (void)snprintf(frame, sizeof frame, "CONNECT\naccept-version:1.2\nheart-beat:%s\n\n",
                   heart_beat);
    wire_say(&r, 0, frame);
    wire_settle(&r);
}

START_TEST(heart_beats_are_agreed_on_with_our_least)
{
    connect_beating("50,2000");
    has(wire_hear(&r, 0), "\nheart-beat:2000,100\n");
    wire_hang_up(&r, 0);
    connect_beating("0,0");
    has(wire_hear(&r, 0), "\nheart-beat:0,0\n");
    wire_hang_up(&r, 0);
    connect_beating("ten,20");
    has(wire_hear(&r, 0), "message:Bad CONNECT\n");
}
END_TEST

START_TEST(we_beat_within_the_interval_when_we_have_nothing_to_say)
{
    connect_beating("0,1000");
    (void)wire_hear(&r, 0);
    wire_wait(&r, 800);
    ck_assert_str_eq(wire_hear(&r, 0), "");
    wire_wait(&r, 200);
    ck_assert_str_eq(wire_hear(&r, 0), "\n");
    wire_wait(&r, 500);
    has(wire_ask(&r, 0, "BEGIN\ntransaction:t\nreceipt:1\n\n"), "RECEIPT\n");
    wire_wait(&r, 500);
    ck_assert_str_eq(wire_hear(&r, 0), "");
    wire_wait(&r, 500);
    ck_assert_str_eq(wire_hear(&r, 0), "\n");
}
END_TEST

START_TEST(a_peer_is_silent_for_twice_its_interval_at_most)
{
    connect_beating("1000,0");
    (void)wire_hear(&r, 0);
    wire_wait(&r, 1999);
    wire_bytes(&r, 0, BYTES("\n"));
    wire_wait(&r, 1999);
    ck_assert_str_eq(wire_hear(&r, 0), "");
    wire_wait(&r, 1);
    has(wire_hear(&r, 0), "message:Heart-beat missed\n");
    ck_assert(r.peer[0]->ending);
}
END_TEST

/* Under pressure we do not read publishers: their silence is our doing. */
START_TEST(who_is_not_read_from_is_not_called_silent)
{
    connect_beating("1000,0");
    r.peer[0]->unread = true;
    wire_wait(&r, 10000);
    r.peer[0]->unread = false;
    wire_wait(&r, 1000);
    has(wire_hear(&r, 0), "CONNECTED");
    ck_assert(!r.peer[0]->ending);
    wire_wait(&r, 3000);
    ck_assert(r.peer[0]->ending);
}
END_TEST

Suite *stomp_login_suite(void)
{
    Suite *s = suite_create("stomp_login");
    TCase *t = tcase_create("core");

    tcase_add_checked_fixture(t, open_wire, close_wire);
    tcase_add_test(t, stomp_and_connect_are_one);
    tcase_add_test(t, the_highest_common_version_is_agreed);
    tcase_add_test(t, no_common_version_is_an_error_that_lists_ours);
    tcase_add_test(t, nothing_goes_before_connect);
    tcase_add_test(t, a_second_connect_is_an_error);
    tcase_add_test(t, host_is_a_virtual_host_or_a_machine);
    tcase_add_test(t, guest_is_for_loopback_only);
    tcase_add_test(t, who_does_not_log_in_is_sent_away);
    tcase_add_test(t, input_waits_for_the_password_check);
    tcase_add_test(t, a_wrong_password_and_no_login_are_refused);
    tcase_add_test(t, a_session_may_end_while_its_password_is_checked);
    tcase_add_test(t, heart_beats_are_agreed_on_with_our_least);
    tcase_add_test(t, we_beat_within_the_interval_when_we_have_nothing_to_say);
    tcase_add_test(t, a_peer_is_silent_for_twice_its_interval_at_most);
    tcase_add_test(t, who_is_not_read_from_is_not_called_silent);
    suite_add_tcase(s, t);
    return s;
}
