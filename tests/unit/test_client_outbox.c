// SPDX-License-Identifier: MIT
#include <check.h>

#include "client/outbox.h"

Suite *client_outbox_suite(void);

static struct outbox o;
static struct buf wire;
static int names[100000]; /* &names[i] tells who an owner is */

static void setup(void)
{
    outbox_init(&o);
}

static void teardown(void)
{
    outbox_fini(&o);
    buf_fini(&wire);
}

static uint64_t put(enum outbox_kind kind, const char *frame, int who)
{
    uint64_t number = o.tail;

    buf_str(outbox_begin(&o, strlen(frame)), frame);
    outbox_end(&o, kind, (struct outbox_owner){ NULL, &names[who] });
    return number;
}

/* Writes at most `max` bytes to the wire, as a socket would; how many. */
static size_t write_below(uint64_t limit, size_t max)
{
    struct iovec iov[4];
    size_t count = outbox_gather(&o, limit, iov, 4), total = 0;

    for (size_t i = 0; i < count; i++) {
        size_t n = iov[i].iov_len < max - total ? iov[i].iov_len : max - total;

        buf_put(&wire, iov[i].iov_base, n);
        total += n;
    }
    outbox_wrote(&o, total);
    return total;
}

static void write_all(void)
{
    while (write_below(UINT64_MAX, 7) > 0)
        ;
}

static void expect_wire(const char *text)
{
    buf_u8(&wire, 0);
    ck_assert_str_eq((const char *)wire.p, text);
    wire.n = 0;
}

static void expect_taken(uint64_t number, int who)
{
    struct outbox_owner owner;

    ck_assert(outbox_take(&o, number, &owner));
    ck_assert_ptr_eq(owner.arg, &names[who]);
}

START_TEST(frames_leave_in_order_whatever_the_socket_takes)
{
    put(OUTBOX_KEEP, "first.", 0);
    put(OUTBOX_LOOSE, "second.", 0);
    put(OUTBOX_KEEP, "third.", 0);
    write_all();
    expect_wire("first.second.third.");
    ck_assert_uint_eq(o.in_flight, 2);
    ck_assert_uint_eq(o.unconfirmed, 2);
}
END_TEST

START_TEST(a_receipt_is_taken_once)
{
    struct outbox_owner owner;
    uint64_t number = put(OUTBOX_KEEP, "a", 5);

    ck_assert(!outbox_take(&o, number, &owner)); /* not even written */
    write_all();
    expect_taken(number, 5);
    ck_assert(!outbox_take(&o, number, &owner));
    ck_assert(!outbox_take(&o, number + 1, &owner));
    ck_assert_uint_eq(o.unconfirmed, 0);
    ck_assert_uint_eq(o.unconfirmed_bytes, 0);
    ck_assert_uint_eq(o.in_flight, 0);
}
END_TEST

/* What was confirmed out of order is not sent a second time. */
START_TEST(after_a_break_the_unconfirmed_leave_again_in_order)
{
    uint64_t first = put(OUTBOX_KEEP, "a.", 1);
    uint64_t second = put(OUTBOX_KEEP, "b.", 2);
    uint64_t third = put(OUTBOX_KEEP, "c.", 3);

    write_all();
    wire.n = 0;
    expect_taken(second, 2);
    outbox_rewind(&o);
    write_all();
    expect_wire("a.c.");
    expect_taken(third, 3);
    expect_taken(first, 1);
    ck_assert_uint_eq(o.head, o.tail);
}
END_TEST

START_TEST(a_frame_cut_by_the_break_leaves_again_whole)
{
    put(OUTBOX_KEEP, "abcdef", 0);
    write_below(UINT64_MAX, 3);
    ck_assert_uint_eq(o.next_written, 3);
    outbox_rewind(&o);
    wire.n = 0;
    write_all();
    expect_wire("abcdef");
}
END_TEST

START_TEST(loose_frames_go_with_the_connection)
{
    put(OUTBOX_LOOSE, "ack.", 0);
    put(OUTBOX_KEEP, "send.", 0);
    put(OUTBOX_LOOSE, "ack.", 0);
    outbox_rewind(&o);
    write_all();
    expect_wire("send.");
}
END_TEST

START_TEST(once_frames_are_told_and_not_repeated)
{
    struct outbox_owner owner;

    put(OUTBOX_KEEP, "a.", 1);
    put(OUTBOX_ONCE, "b.", 2);
    put(OUTBOX_KEEP, "c.", 3);
    write_all();
    wire.n = 0;
    outbox_rewind(&o);
    ck_assert(outbox_take_once(&o, &owner));
    ck_assert_ptr_eq(owner.arg, &names[2]);
    ck_assert(!outbox_take_once(&o, &owner));
    write_all();
    expect_wire("a.c.");
}
END_TEST

START_TEST(limit_holds_later_frames_back)
{
    put(OUTBOX_KEEP, "a.", 0);
    put(OUTBOX_KEEP, "b.", 0);
    ck_assert_uint_eq(write_below(o.next + 1, 100), 2);
    expect_wire("a.");
    ck_assert_uint_eq(write_below(o.next, 100), 0);
}
END_TEST

START_TEST(at_the_end_all_that_is_open_is_told)
{
    struct outbox_owner owner;
    int told = 0;

    for (int i = 0; i < 1000; i++)
        put(i % 3 ? OUTBOX_KEEP : OUTBOX_LOOSE, "x", i);
    write_below(UINT64_MAX, 500);
    outbox_rewind(&o);
    while (outbox_take_any(&o, &owner))
        told++;
    ck_assert_int_eq(told, 666);
    ck_assert_uint_eq(o.unconfirmed, 0);
}
END_TEST

/* Memory of what is done is used again: chunks of 128 KiB must not pile up. */
START_TEST(a_million_frames_reuse_their_memory)
{
    char frame[101] = { 0 };

    memset(frame, 'f', 100);
    for (int i = 0; i < 1000000; i++) {
        uint64_t number = put(OUTBOX_KEEP, frame, 7);

        write_below(UINT64_MAX, 1000);
        wire.n = 0;
        if (number > 1000)
            expect_taken(number - 1000, 7);
    }
    ck_assert_uint_eq(o.unconfirmed, 1000);
    ck_assert_uint_le(o.ring_size, 4096);
}
END_TEST

START_TEST(big_frames_pass_too)
{
    struct buf big = { 0 };

    memset(buf_reserve(&big, 1 << 20), 'b', 1 << 20);
    big.n = 1 << 20;
    put(OUTBOX_KEEP, "a.", 1);
    buf_bytes(outbox_begin(&o, big.n), buf_view(&big));
    outbox_end(&o, OUTBOX_KEEP, (struct outbox_owner){ NULL, &names[2] });
    put(OUTBOX_KEEP, ".c", 3);
    while (write_below(UINT64_MAX, 100000) > 0)
        ;
    ck_assert_uint_eq(wire.n, (1 << 20) + 4);
    ck_assert_int_eq(wire.p[wire.n - 1], 'c');
    for (int i = 1; i <= 3; i++)
        expect_taken((uint64_t)i, i);
    buf_fini(&big);
}
END_TEST

Suite *client_outbox_suite(void)
{
    Suite *s = suite_create("client_outbox");
    TCase *t = tcase_create("outbox");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, frames_leave_in_order_whatever_the_socket_takes);
    tcase_add_test(t, a_receipt_is_taken_once);
    tcase_add_test(t, after_a_break_the_unconfirmed_leave_again_in_order);
    tcase_add_test(t, a_frame_cut_by_the_break_leaves_again_whole);
    tcase_add_test(t, loose_frames_go_with_the_connection);
    tcase_add_test(t, once_frames_are_told_and_not_repeated);
    tcase_add_test(t, limit_holds_later_frames_back);
    tcase_add_test(t, at_the_end_all_that_is_open_is_told);
    tcase_add_test(t, a_million_frames_reuse_their_memory);
    tcase_add_test(t, big_frames_pass_too);
    suite_add_tcase(s, t);
    return s;
}
