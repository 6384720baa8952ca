// SPDX-License-Identifier: MIT
/* ACK, NACK and transactions. */
#include <stdio.h>

#include "tests/lib/stomp_wire.h"
#include "tests/unit/stomp_heard.h"

Suite *stomp_ack_suite(void);

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

/* ---- ACK and NACK ---- */

START_TEST(client_acks_are_cumulative)
{
    fill("/queue/q", 4);
    (void)wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client\n\n");
    has(wire_ask(&w, 0, "ACK\nid:1-3\nreceipt:a\n\n"), "RECEIPT\n");
    wire_hang_up(&w, 0);
    wire_settle(&w);
    ck_assert_uint_eq(ready("q"), 1);
}
END_TEST

START_TEST(individual_acks_are_not)
{
    fill("/queue/q", 4);
    (void)wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client-individual\n\n");
    wire_say(&w, 0, "ACK\nid:1-3\n\n");
    wire_settle(&w);
    wire_hang_up(&w, 0);
    wire_settle(&w);
    ck_assert_uint_eq(ready("q"), 3);
}
END_TEST

START_TEST(auto_needs_no_ack)
{
    fill("/queue/q", 2);
    const char *heard = wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:auto\n\n");

    has_not(heard, "\nack:");
    wire_hang_up(&w, 0);
    wire_settle(&w);
    ck_assert_uint_eq(ready("q"), 0);
}
END_TEST

START_TEST(the_ledger_is_of_the_subscription)
{
    fill("/queue/p", 2);
    fill("/queue/q", 2);
    wire_say(&w, 0, "SUBSCRIBE\nid:p\ndestination:/queue/p\nack:client\n\n");
    (void)wire_ask(&w, 0, "SUBSCRIBE\nid:q\ndestination:/queue/q\nack:client\n\n");
    ck_assert_str_eq(wire_ask(&w, 0, "ACK\nid:2-2\n\n"), "");
    wire_hang_up(&w, 0);
    wire_settle(&w);
    ck_assert_uint_eq(ready("p"), 2);
    ck_assert_uint_eq(ready("q"), 0);
}
END_TEST

START_TEST(nack_returns_the_message_marked)
{
    fill("/queue/q", 1);
    (void)wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client-individual\n\n");
    const char *heard = wire_ask(&w, 0, "NACK\nid:1-1\n\n");

    has(heard, "\nack:1-2\nredelivered:true\nx-delivery-count:1\n");
    has(heard, "\n1^");
}
END_TEST

START_TEST(nack_without_requeue_dead_letters)
{
    wire_say(&w, 0,
             "SEND\ndestination:/queue/q\nx-dead-letter-exchange:\n"
             "x-dead-letter-routing-key:dead\n\n");
    wire_say(&w, 0, "SUBSCRIBE\nid:d\ndestination:/queue/dead\n\n");
    (void)wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client\n\n");
    const char *heard = wire_ask(&w, 0, "NACK\nid:2-1\nrequeue:false\n\n");

    has(heard, "MESSAGE\nsubscription:d\ndestination:/queue/dead\n");
    has(heard, "\nx-first-death-queue:q\n");
    ck_assert_uint_eq(ready("q"), 0);
}
END_TEST

START_TEST(wrong_acks_are_errors)
{
    static const char *const wrong[] = { "",         "id:\n",    "id:1\n",
                                         "id:x-1\n", "id:1-9\n", "id:9-1\n",
                                         "id:1-0\n", "id:-\n",   "id:1-1\ntransaction:none\n" };

    fill("/queue/q", 1);
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char frame[128];

        wire_peer(&w, 1, "1.2");
        has(wire_ask(&w, 1, "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client\n\n"), "MESSAGE\n");
        (void)snprintf(frame, sizeof frame, "%s\n%s\n", i % 2 ? "ACK" : "NACK", wrong[i]);
        has(wire_ask(&w, 1, frame), "ERROR\n");
        ck_assert_msg(w.peer[1]->ending, "%s", wrong[i]);
        wire_hang_up(&w, 1);
        wire_settle(&w);
    }
}
END_TEST

START_TEST(wrong_acks_of_older_versions_are_errors)
{
    static const char *const wrong[] = { "", "message-id:\n", "message-id:x\n", "message-id:9-9\n",
                                         "message-id:9\nsubscription:0\n" };

    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char frame[128];

        wire_peer(&w, 1, "1.1");
        wire_say(&w, 1, "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client\n\n");
        (void)snprintf(frame, sizeof frame, "ACK\n%s\n", wrong[i]);
        has(wire_ask(&w, 1, frame), "ERROR\n");
        wire_hang_up(&w, 1);
    }
}
END_TEST

/* The subscription named must be the one that has it. */
START_TEST(a_message_is_acked_on_its_own_subscription)
{
    char frame[128];

    fill("/queue/q", 1);
    wire_peer(&w, 1, "1.1");
    wire_say(&w, 1, "SUBSCRIBE\nid:other\ndestination:/queue/p\nack:client\n\n");
    const char *heard = wire_ask(&w, 1, "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client\n\n");
    const char *id = strstr(heard, "message-id:");

    ck_assert_ptr_nonnull(id);
    (void)snprintf(frame, sizeof frame, "ACK\n%.*s\nsubscription:other\n\n", (int)strcspn(id, "\n"),
                   id);
    has(wire_ask(&w, 1, frame), "message:Message not found\n");
}
END_TEST

/* Several workers may finish out of turn; what a later ack took is acked. */
START_TEST(an_ack_overtaken_by_a_cumulative_one_is_no_fault)
{
    fill("/queue/q", 3);
    (void)wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client\n\n");
    wire_say(&w, 0, "ACK\nid:1-3\n\n");
    ck_assert_str_eq(wire_ask(&w, 0, "ACK\nid:1-2\nreceipt:a\n\n"), "RECEIPT\nreceipt-id:a\n\n^");
}
END_TEST

START_TEST(an_individual_ack_counts_once)
{
    fill("/queue/q", 3);
    (void)wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client-individual\n\n");
    wire_say(&w, 0, "ACK\nid:1-2\n\n");
    has(wire_ask(&w, 0, "ACK\nid:1-2\n\n"), "message:Message not found\n");
}
END_TEST

/* The message went back: a receipt for its ack would be a lie. */
START_TEST(an_ack_after_unsubscribe_is_an_error)
{
    fill("/queue/q", 1);
    (void)wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client\n\n");
    wire_say(&w, 0, "UNSUBSCRIBE\nid:0\n\n");
    has(wire_ask(&w, 0, "ACK\nid:1-1\nreceipt:a\n\n"), "ERROR\nreceipt-id:a\n");
    wire_hang_up(&w, 0);
    wire_settle(&w);
    ck_assert_uint_eq(ready("q"), 1);
}
END_TEST

static void ack_by_message_id(const char *version, const char *more)
{
    char frame[128];

    fill("/queue/q", 3);
    wire_peer(&w, 1, version);
    const char *heard = wire_ask(
        &w, 1, "SUBSCRIBE\nid:7\ndestination:/queue/q\nack:client-individual\n\n");

    has_not(heard, "\nack:");
    const char *second = strstr(strstr(heard, "message-id:") + 1, "message-id:");
    (void)snprintf(frame, sizeof frame, "ACK\n%.*s\n%s\n", (int)strcspn(second, "\n"), second,
                   more);
    ck_assert_str_eq(wire_ask(&w, 1, frame), "");
    wire_hang_up(&w, 1);
    wire_settle(&w);
    has_not(wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n"), "\n2^");
    wire_hang_up(&w, 0);
    wire_peer(&w, 0, "1.2");
}

START_TEST(older_versions_ack_by_message_id)
{
    ack_by_message_id("1.1", "subscription:7\n");
    ack_by_message_id("1.0", "");
    ack_by_message_id("1.0", "subscription:7\n");
}
END_TEST

/* ---- transactions ---- */

START_TEST(a_transaction_is_seen_when_committed)
{
    wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n");
    wire_say(&w, 0, "BEGIN\ntransaction:t\n\n");
    wire_say(&w, 0, "SEND\ndestination:/queue/q\ntransaction:t\n\none");
    ck_assert_str_eq(wire_ask(&w, 0, "SEND\ndestination:/queue/q\ntransaction:t\n\ntwo"), "");
    const char *heard = wire_ask(&w, 0, "COMMIT\ntransaction:t\nreceipt:c\n\n");

    has(heard, "\none^MESSAGE\n");
    has(heard, "\ntwo^RECEIPT\nreceipt-id:c\n\n^");
    has(wire_ask(&w, 0, "COMMIT\ntransaction:t\n\n"), "message:Bad transaction\n");
}
END_TEST

START_TEST(an_aborted_one_never_was)
{
    fill("/queue/q", 1);
    (void)wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client\n\n");
    wire_say(&w, 0, "BEGIN\ntransaction:t\n\n");
    wire_say(&w, 0, "SEND\ndestination:/queue/p\ntransaction:t\n\n");
    wire_say(&w, 0, "ACK\nid:1-1\ntransaction:t\n\n");
    ck_assert_str_eq(wire_ask(&w, 0, "ABORT\ntransaction:t\n\n"), "");
    wire_hang_up(&w, 0);
    wire_settle(&w);
    ck_assert_uint_eq(ready("p"), 0);
    ck_assert_uint_eq(ready("q"), 1);
}
END_TEST

START_TEST(acks_in_a_transaction_count_at_commit)
{
    fill("/queue/q", 3);
    (void)wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client-individual\n\n");
    wire_say(&w, 0, "BEGIN\ntransaction:t\n\n");
    wire_say(&w, 0, "ACK\nid:1-1\ntransaction:t\n\n");
    wire_say(&w, 0, "NACK\nid:1-2\ntransaction:t\nrequeue:false\n\n");
    has(wire_ask(&w, 0, "COMMIT\ntransaction:t\nreceipt:c\n\n"), "RECEIPT\n");
    wire_hang_up(&w, 0);
    wire_settle(&w);
    ck_assert_uint_eq(ready("q"), 1);
}
END_TEST

START_TEST(several_are_open_side_by_side)
{
    wire_say(&w, 0, "BEGIN\ntransaction:a\n\n");
    wire_say(&w, 0, "BEGIN\ntransaction:b\n\n");
    wire_say(&w, 0, "SEND\ndestination:/queue/a\ntransaction:a\n\n");
    wire_say(&w, 0, "SEND\ndestination:/queue/b\ntransaction:b\n\n");
    wire_say(&w, 0, "ABORT\ntransaction:a\n\n");
    ck_assert_str_eq(wire_ask(&w, 0, "COMMIT\ntransaction:b\n\n"), "");
    ck_assert_uint_eq(ready("a"), 0);
    ck_assert_uint_eq(ready("b"), 1);
}
END_TEST

START_TEST(open_ones_abort_with_the_connection)
{
    wire_say(&w, 0, "BEGIN\ntransaction:t\n\n");
    wire_say(&w, 0, "SEND\ndestination:/queue/q\ntransaction:t\n\n");
    has(wire_ask(&w, 0, "DISCONNECT\nreceipt:d\n\n"), "RECEIPT\n");
    wire_settle(&w);
    ck_assert_uint_eq(ready("q"), 0);
}
END_TEST

START_TEST(a_refused_commit_does_nothing)
{
    wire_say(&w, 0,
             "SEND\ndestination:/queue/full\nx-max-length:1\n"
             "x-overflow:reject-publish\n\n");
    wire_say(&w, 0, "BEGIN\ntransaction:t\n\n");
    wire_say(&w, 0, "SEND\ndestination:/queue/q\ntransaction:t\n\n");
    wire_say(&w, 0, "SEND\ndestination:/queue/full\ntransaction:t\n\n");
    has(wire_ask(&w, 0, "COMMIT\ntransaction:t\nreceipt:c\n\n"),
        "ERROR\nreceipt-id:c\nmessage:Transaction refused\n");
    ck_assert_uint_eq(ready("q"), 0);
}
END_TEST

START_TEST(transactions_have_limits)
{
    char frame[200];

    wire_say(&w, 0, "BEGIN\ntransaction:big\n\n");
    for (unsigned i = 0; i < 1000 && !w.peer[0]->ending; i++)
        wire_say(&w, 0,
                 "SEND\ndestination:/queue/q\ntransaction:big\n\n"
                 "a hundred bytes or so, a hundred bytes or so, a hundred bytes or so, ...");
    has(wire_hear(&w, 0), "message:Limit reached\n");
    wire_peer(&w, 1, "1.2");
    for (unsigned i = 0; i < 17; i++) {
        ck_assert(!w.peer[1]->ending);
        (void)snprintf(frame, sizeof frame, "BEGIN\ntransaction:%u\n\n", i);
        wire_say(&w, 1, frame);
    }
    has(wire_hear(&w, 1), "message:Limit reached\n");
}
END_TEST

START_TEST(a_transaction_holds_so_many_acks)
{
    fill("/queue/q", 1);
    (void)wire_ask(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client\n\n");
    wire_say(&w, 0, "BEGIN\ntransaction:t\n\n");
    for (unsigned i = 0; i < 100000; i++)
        wire_say(&w, 0, "ACK\nid:1-1\ntransaction:t\n\n");
    ck_assert(!w.peer[0]->ending);
    has(wire_ask(&w, 0, "ACK\nid:1-1\ntransaction:t\n\n"), "message:Limit reached\n");
}
END_TEST

START_TEST(a_commit_to_no_exchange_does_nothing)
{
    wire_say(&w, 0, "BEGIN\ntransaction:t\n\n");
    wire_say(&w, 0, "SEND\ndestination:/queue/q\ntransaction:t\n\n");
    wire_say(&w, 0, "SEND\ndestination:/exchange/none/k\ntransaction:t\n\n");
    has(wire_ask(&w, 0, "COMMIT\ntransaction:t\n\n"), "message:Transaction refused\n");
    ck_assert_uint_eq(ready("q"), 0);
}
END_TEST

START_TEST(wrong_transactions_are_errors)
{
    static const char *const wrong[] = { "BEGIN\n\n",
                                         "BEGIN\ntransaction:\n\n",
                                         "BEGIN\ntransaction:t\n\n",
                                         "COMMIT\ntransaction:u\n\n",
                                         "ABORT\ntransaction:u\n\n",
                                         "ABORT\n\n",
                                         "SEND\ndestination:/queue/q\ntransaction:u\n\n" };

    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        wire_peer(&w, 1, "1.2");
        wire_say(&w, 1, "BEGIN\ntransaction:t\n\n");
        has(wire_ask(&w, 1, wrong[i]), "ERROR\n");
        wire_hang_up(&w, 1);
    }
}
END_TEST

Suite *stomp_ack_suite(void)
{
    Suite *s = suite_create("stomp_ack");
    TCase *t = tcase_create("core");

    tcase_add_checked_fixture(t, open_wire, close_wire);
    tcase_add_test(t, client_acks_are_cumulative);
    tcase_add_test(t, individual_acks_are_not);
    tcase_add_test(t, auto_needs_no_ack);
    tcase_add_test(t, the_ledger_is_of_the_subscription);
    tcase_add_test(t, nack_returns_the_message_marked);
    tcase_add_test(t, nack_without_requeue_dead_letters);
    tcase_add_test(t, wrong_acks_are_errors);
    tcase_add_test(t, wrong_acks_of_older_versions_are_errors);
    tcase_add_test(t, a_message_is_acked_on_its_own_subscription);
    tcase_add_test(t, an_ack_overtaken_by_a_cumulative_one_is_no_fault);
    tcase_add_test(t, an_individual_ack_counts_once);
    tcase_add_test(t, an_ack_after_unsubscribe_is_an_error);
    tcase_add_test(t, older_versions_ack_by_message_id);
    tcase_add_test(t, a_transaction_is_seen_when_committed);
    tcase_add_test(t, an_aborted_one_never_was);
    tcase_add_test(t, acks_in_a_transaction_count_at_commit);
    tcase_add_test(t, several_are_open_side_by_side);
    tcase_add_test(t, open_ones_abort_with_the_connection);
    tcase_add_test(t, a_refused_commit_does_nothing);
    tcase_add_test(t, transactions_have_limits);
    tcase_add_test(t, a_transaction_holds_so_many_acks);
    tcase_add_test(t, a_commit_to_no_exchange_does_nothing);
    tcase_add_test(t, wrong_transactions_are_errors);
    suite_add_tcase(s, t);
    return s;
}
