// SPDX-License-Identifier: MIT
/* Receipts, errors and the end of a session, over a real core. */
#include "base/mem.h"
#include "tests/lib/stomp_wire.h"
#include "tests/unit/stomp_heard.h"

Suite *stomp_session_suite(void);

static struct stomp_wire r;

static void open_wire(void)
{
    wire_open(&r, NULL);
}

static void close_wire(void)
{
    wire_close(&r);
}

/* ---- receipts ---- */

START_TEST(a_receipt_waits_for_the_disk)
{
    wire_peer(&r, 0, "1.2");
    wire_say(&r, 0, "SEND\ndestination:/queue/a\nreceipt:one\n\nhello");
    wire_turn(&r);
    ck_assert_str_eq(wire_hear(&r, 0), "");
    wire_settle(&r);
    ck_assert_str_eq(wire_hear(&r, 0), "RECEIPT\nreceipt-id:one\n\n^");
}
END_TEST

/* An ACK that needs the disk must not be overtaken by frames that do not. */
START_TEST(receipts_leave_in_the_order_of_their_frames)
{
    wire_peer(&r, 0, "1.2");
    wire_say(&r, 0, "SEND\ndestination:/queue/a\nreceipt:1\n\n");
    wire_say(&r, 0, "SUBSCRIBE\nid:0\ndestination:/queue/b\nreceipt:2\n\n");
    wire_say(&r, 0, "BEGIN\ntransaction:t\nreceipt:3\n\n");
    wire_say(&r, 0, "ABORT\ntransaction:t\nreceipt:4\n\n");
    wire_say(&r, 0, "UNSUBSCRIBE\nid:0\nreceipt:5\n\n");
    ck_assert_str_eq(wire_ask(&r, 0, "DISCONNECT\nreceipt:6\n\n"),
                     "RECEIPT\nreceipt-id:1\n\n^RECEIPT\nreceipt-id:2\n\n^"
                     "RECEIPT\nreceipt-id:3\n\n^RECEIPT\nreceipt-id:4\n\n^"
                     "RECEIPT\nreceipt-id:5\n\n^RECEIPT\nreceipt-id:6\n\n^");
    ck_assert(r.peer[0]->ending);
}
END_TEST

START_TEST(receipt_ids_are_escaped_again)
{
    wire_peer(&r, 0, "1.2");
    ck_assert_str_eq(wire_ask(&r, 0, "BEGIN\ntransaction:t\nreceipt:a\\cb\\nc\\\\\\r\n\n"),
                     "RECEIPT\nreceipt-id:a\\cb\\nc\\\\\\r\n\n^");
}
END_TEST

START_TEST(a_receipt_id_has_a_limit)
{
    char frame[1200] = "BEGIN\ntransaction:t\nreceipt:";
    size_t n = strlen(frame);

    memset(frame + n, 'r', 1025);
    memcpy(frame + n + 1025, "\n\n", 3);
    wire_peer(&r, 0, "1.2");
    has(wire_ask(&r, 0, frame), "message:Invalid receipt\n");
}
END_TEST

/* Else a peer that never reads could make us hoard them. */
START_TEST(too_many_receipts_due_pause_the_input)
{
    char frame[1100] = "SEND\ndestination:/queue/a\nreceipt:";
    size_t n = strlen(frame);
    unsigned sent = 0;

    memset(frame + n, 'r', 1000);
    memcpy(frame + n + 1000, "\n\n", 3);
    wire_peer(&r, 0, "1.2");
    for (; !r.peer[0]->paused && sent < 5000; sent++)
        wire_say(&r, 0, frame);
    ck_assert_uint_lt(sent, 1100);
    wire_settle(&r);
    ck_assert(!r.peer[0]->paused);
    ck_assert_uint_eq(count(wire_hear(&r, 0), "RECEIPT\n"), sent);
}
END_TEST

/* ---- DISCONNECT ---- */

START_TEST(disconnect_is_answered_before_the_end)
{
    wire_peer(&r, 0, "1.2");
    wire_say(&r, 0, "SEND\ndestination:/queue/a\n\n");
    wire_say(&r, 0, "DISCONNECT\nreceipt:bye\n\n");
    wire_turn(&r);
    ck_assert(!r.peer[0]->ending);
    wire_settle(&r);
    ck_assert_str_eq(wire_hear(&r, 0), "RECEIPT\nreceipt-id:bye\n\n^");
    ck_assert(r.peer[0]->ending);
}
END_TEST

START_TEST(disconnect_without_a_receipt_just_ends)
{
    wire_peer(&r, 0, "1.2");
    ck_assert_str_eq(wire_ask(&r, 0, "DISCONNECT\n\n"), "");
    ck_assert(r.peer[0]->ending);
}
END_TEST

START_TEST(what_follows_a_disconnect_is_not_looked_at)
{
    wire_peer(&r, 0, "1.2");
    wire_say(&r, 0, "DISCONNECT\nreceipt:1\n\n");
    ck_assert_str_eq(wire_ask(&r, 0, "NONSENSE\n\n"), "RECEIPT\nreceipt-id:1\n\n^");
}
END_TEST

/* ---- errors ---- */

START_TEST(an_error_names_the_receipt_and_ends_the_session)
{
    wire_peer(&r, 0, "1.2");
    const char *heard = wire_ask(&r, 0, "SEND\ndestination:/nowhere/a\nreceipt:x\n\n");

    starts(heard, "ERROR\nreceipt-id:x\nmessage:Invalid destination\n");
    has(heard, "\ncontent-type:text/plain\ncontent-length:");
    ck_assert(r.peer[0]->ending);
}
END_TEST

START_TEST(an_error_waits_behind_the_receipts_before_it)
{
    wire_peer(&r, 0, "1.2");
    wire_say(&r, 0, "SEND\ndestination:/queue/a\nreceipt:good\n\n");
    wire_say(&r, 0, "SEND\ndestination:nowhere/a\nreceipt:bad\n\n");
    wire_say(&r, 0, "SEND\ndestination:/queue/a\nreceipt:never\n\n");
    wire_turn(&r);
    ck_assert_str_eq(wire_hear(&r, 0), "");
    ck_assert(!r.peer[0]->ending);
    wire_settle(&r);
    const char *heard = wire_hear(&r, 0);

    starts(heard, "RECEIPT\nreceipt-id:good\n\n^ERROR\nreceipt-id:bad\n");
    has_not(heard, "never");
    ck_assert(r.peer[0]->ending);
}
END_TEST

START_TEST(malformed_frames_are_errors)
{
    static const char *const bad[] = {
        "NONSENSE\n\n",
        "SEND\nno colon\n\n",
        "send\ndestination:/queue/a\n\n",
        "SEND\ndestination:/queue/a\\t\n\n",
        "SEND\ndestination:/queue/a\ncontent-length:x\n\n",
        "BEGIN\ntransaction:t\n\nbody",
        "MESSAGE\ndestination:/queue/a\n\n",
        "CONNECTED\nversion:1.2\n\n",
    };

    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        wire_peer(&r, 0, "1.2");
        has(wire_ask(&r, 0, bad[i]), "ERROR\n");
        ck_assert_msg(r.peer[0]->ending, "%s", bad[i]);
        wire_hang_up(&r, 0);
    }
}
END_TEST

START_TEST(others_do_not_notice_an_error)
{
    wire_peer(&r, 0, "1.2");
    wire_peer(&r, 1, "1.2");
    has(wire_ask(&r, 0, "NONSENSE\n\n"), "ERROR\n");
    ck_assert_str_eq(wire_ask(&r, 1, "BEGIN\ntransaction:t\nreceipt:1\n\n"),
                     "RECEIPT\nreceipt-id:1\n\n^");
}
END_TEST

/* ---- the whole ---- */

static void say_in_pieces(struct bytes script, size_t step)
{
    for (size_t at = 0; at < script.n; at += step)
        wire_bytes(&r, 0, bytes_head(bytes_from(script, at), step));
    wire_settle(&r);
}

/* Any cut of the input must give the same output. */
START_TEST(cuts_do_not_matter)
{
    struct bytes before = BYTES(
        "STOMP\naccept-version:1.2\nhost:/\n\n\0\n\r\n"
        "SUBSCRIBE\nid:0\ndestination:/topic/t.*\nack:client\nreceipt:s\n\n\0"
        "SEND\ndestination:/topic/t.1\ncontent-length:3\nk:v\\c1\n\na\0b\0"
        "SEND\r\ndestination:/topic/t.2\r\nreceipt:r\r\n\r\nbody\0\n\n");
    struct bytes after = BYTES("ACK\nid:1-1\nreceipt:a\n\n\0BEGIN\n\n\0");
    char *whole = NULL;

    for (size_t step = 500; step >= 1; step = step > 40 ? 40 : step - 1) {
        wire_close(&r);
        wire_open(&r, NULL);
        wire_peer(&r, 0, NULL);
        say_in_pieces(before, step);
        say_in_pieces(after, step);
        const char *heard = wire_hear(&r, 0);

        if (!whole) {
            whole = mem_strdup(heard);
            has(whole, "\na^b^");
            has(whole, "receipt-id:s");
            has(whole, "receipt-id:r");
            has(whole, "receipt-id:a");
            has(whole, "ERROR");
        }
        ck_assert_str_eq(heard, whole);
    }
    mem_free(whole);
}
END_TEST

START_TEST(frames_and_refusals_are_counted)
{
    wire_peer(&r, 0, "1.2");
    ck_assert_uint_eq(r.env.count.frames_in, 1);
    ck_assert_uint_eq(r.env.count.frames_out, 1);
    has(wire_ask(&r, 0, "NONSENSE\n\n"), "ERROR");
    ck_assert_uint_eq(r.env.count.refused, 1);
}
END_TEST

Suite *stomp_session_suite(void)
{
    Suite *s = suite_create("stomp_session");
    TCase *t = tcase_create("core");

    tcase_add_checked_fixture(t, open_wire, close_wire);
    tcase_add_test(t, a_receipt_waits_for_the_disk);
    tcase_add_test(t, receipts_leave_in_the_order_of_their_frames);
    tcase_add_test(t, receipt_ids_are_escaped_again);
    tcase_add_test(t, a_receipt_id_has_a_limit);
    tcase_add_test(t, too_many_receipts_due_pause_the_input);
    tcase_add_test(t, disconnect_is_answered_before_the_end);
    tcase_add_test(t, disconnect_without_a_receipt_just_ends);
    tcase_add_test(t, what_follows_a_disconnect_is_not_looked_at);
    tcase_add_test(t, an_error_names_the_receipt_and_ends_the_session);
    tcase_add_test(t, an_error_waits_behind_the_receipts_before_it);
    tcase_add_test(t, malformed_frames_are_errors);
    tcase_add_test(t, others_do_not_notice_an_error);
    tcase_add_test(t, cuts_do_not_matter);
    tcase_add_test(t, frames_and_refusals_are_counted);
    suite_add_tcase(s, t);
    return s;
}
