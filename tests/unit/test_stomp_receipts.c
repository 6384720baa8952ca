// SPDX-License-Identifier: MIT
#include <check.h>
#include <stdio.h>

#include "broker/session/stomp_receipts.h"

Suite *stomp_receipts_suite(void);

static void push(struct stomp_receipts *r, unsigned number)
{
    char id[16];

    stomp_receipts_push(r, bytes_of(id, (size_t)snprintf(id, sizeof id, "r%u", number)));
}

static void pop(struct stomp_receipts *r, unsigned number)
{
    char id[16];
    size_t n = (size_t)snprintf(id, sizeof id, "r%u", number);

    ck_assert(bytes_eq(stomp_receipts_pop(r), bytes_of(id, n)));
}

START_TEST(they_leave_in_the_order_they_came)
{
    struct stomp_receipts r = { 0 };
    unsigned in = 0, out = 0;

    for (unsigned round = 0; round < 2000; round++) {
        for (unsigned i = 0; i < round % 7; i++)
            push(&r, in++);
        for (unsigned i = 0; i < round % 5 && out < in; i++)
            pop(&r, out++);
    }
    while (out < in)
        pop(&r, out++);
    ck_assert_uint_eq(stomp_receipts_bytes(&r), 0);
    stomp_receipts_fini(&r);
}
END_TEST

/* One in, one out for ever must not grow. */
START_TEST(a_steady_window_takes_steady_room)
{
    struct stomp_receipts r = { 0 };

    for (unsigned i = 0; i < 100; i++)
        push(&r, i);
    for (unsigned i = 100; i < 100000; i++) {
        push(&r, i);
        pop(&r, i - 100);
    }
    ck_assert_uint_le(r.ids.cap, 4096);
    stomp_receipts_fini(&r);
}
END_TEST

START_TEST(an_empty_id_and_the_longest_are_kept)
{
    struct stomp_receipts r = { 0 };
    uint8_t longest[STOMP_RECEIPT_ID_MAX_BYTES];

    memset(longest, 'l', sizeof longest);
    stomp_receipts_push(&r, (struct bytes){ NULL, 0 });
    stomp_receipts_push(&r, bytes_of(longest, sizeof longest));
    ck_assert_uint_eq(stomp_receipts_pop(&r).n, 0);
    ck_assert(bytes_eq(stomp_receipts_pop(&r), bytes_of(longest, sizeof longest)));
    stomp_receipts_fini(&r);
}
END_TEST

Suite *stomp_receipts_suite(void)
{
    Suite *s = suite_create("stomp_receipts");
    TCase *t = tcase_create("core");

    tcase_add_test(t, they_leave_in_the_order_they_came);
    tcase_add_test(t, a_steady_window_takes_steady_room);
    tcase_add_test(t, an_empty_id_and_the_longest_are_kept);
    suite_add_tcase(s, t);
    return s;
}
