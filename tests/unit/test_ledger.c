// SPDX-License-Identifier: MIT
#include <check.h>
#include <stdlib.h>

#include "broker/core/client.h"

static struct ledger l;
static char spans[1]; /* only its address counts: a place in use has a span */

static void setup(void)
{
    l = (struct ledger){ 0 };
}

static void teardown(void)
{
    ledger_fini(&l);
}

static uint64_t add(void)
{
    struct delivery d = { .seq = l.next_tag + 1000, .span = (struct span *)(void *)spans };

    return ledger_add(&l, &d);
}

static void drop(uint64_t tag)
{
    struct delivery *d = ledger_find(&l, tag);

    ck_assert_ptr_nonnull(d);
    ledger_remove(&l, d);
}

START_TEST(tags_rise_by_one_from_one)
{
    for (uint64_t i = 1; i <= 100; i++)
        ck_assert_uint_eq(add(), i);
    ck_assert_uint_eq(l.live, 100);
    for (uint64_t i = 1; i <= 100; i++)
        ck_assert_uint_eq(ledger_find(&l, i)->seq, 999 + i);
}
END_TEST

START_TEST(what_was_removed_is_not_found)
{
    for (int i = 0; i < 10; i++)
        (void)add();
    drop(5);
    drop(1);
    ck_assert_ptr_null(ledger_find(&l, 5));
    ck_assert_ptr_null(ledger_find(&l, 1));
    ck_assert_ptr_null(ledger_find(&l, 0));
    ck_assert_ptr_null(ledger_find(&l, 11));
    ck_assert_uint_eq(ledger_first(&l)->tag, 2);
    ck_assert_uint_eq(ledger_next(&l, ledger_find(&l, 4))->tag, 6);
    ck_assert_ptr_null(ledger_next(&l, ledger_find(&l, 10)));
}
END_TEST

START_TEST(one_that_stays_long_costs_little_room)
{
    (void)add();
    for (uint64_t tag = 2; tag < 100000; tag++) {
        ck_assert_uint_eq(add(), tag);
        drop(tag);
    }
    ck_assert_uint_eq(l.live, 1);
    ck_assert_uint_le(l.cap, 32);
    ck_assert_ptr_nonnull(ledger_find(&l, 1));
}
END_TEST

START_TEST(tags_go_on_after_it_was_emptied)
{
    for (uint64_t i = 1; i <= 5000; i++)
        ck_assert_uint_eq(add(), i);
    for (uint64_t i = 1; i <= 5000; i++)
        drop(i);
    ck_assert_uint_eq(l.cap, 0);
    ck_assert_ptr_null(ledger_first(&l));
    ck_assert_uint_eq(add(), 5001);
}
END_TEST

START_TEST(it_agrees_with_a_plain_list_whatever_is_done)
{
    bool there[4001] = { false };
    uint64_t last = 0, state = 7;
    uint32_t live = 0;

    while (last < 4000) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint64_t tag = (state >> 33) % (last + 1);

        if (state >> 62 < 2 || live == 0) {
            last = add();
            there[last] = true;
            live++;
        } else if (there[tag]) {
            drop(tag);
            there[tag] = false;
            live--;
        } else {
            ck_assert_ptr_null(ledger_find(&l, tag));
        }
    }
    ck_assert_uint_eq(l.live, live);
    const struct delivery *d = ledger_first(&l);
    for (uint64_t tag = 1; tag <= last; tag++) {
        ck_assert_int_eq(ledger_find(&l, tag) != NULL, there[tag]);
        if (!there[tag])
            continue;
        ck_assert_uint_eq(d->tag, tag);
        d = ledger_next(&l, d);
    }
    ck_assert_ptr_null(d);
}
END_TEST

Suite *ledger_suite(void);

Suite *ledger_suite(void)
{
    Suite *s = suite_create("ledger");
    TCase *t = tcase_create("ledger");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, tags_rise_by_one_from_one);
    tcase_add_test(t, what_was_removed_is_not_found);
    tcase_add_test(t, one_that_stays_long_costs_little_room);
    tcase_add_test(t, tags_go_on_after_it_was_emptied);
    tcase_add_test(t, it_agrees_with_a_plain_list_whatever_is_done);
    suite_add_tcase(s, t);
    return s;
}
