// SPDX-License-Identifier: MIT
/* A commit: a list of operations and the memory they point to. */
#include <check.h>

#include "storage/op.h"

START_TEST(operations_are_zeroed_and_kept_in_order)
{
    struct commit *c = commit_new(9);

    for (unsigned i = 0; i < 100; i++) {
        struct op *o = commit_op(c, OP_SETTLED_PUT);
        ck_assert_uint_eq(o->batch_id, 0);
        ck_assert_ptr_null(o->bits.p);
        o->batch_id = i;
        o->slot = o->count = o->index = UINT32_MAX;
    }
    ck_assert_uint_eq(c->number, 9);
    ck_assert_uint_eq(c->op_count, 100);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_uint_eq(c->op[i].batch_id, i);
    commit_free(&c);
    ck_assert_ptr_null(c);
}
END_TEST

START_TEST(memory_of_a_commit_stays_where_it_was_given)
{
    struct commit *c = commit_new(1);
    uint8_t *piece[200];

    for (unsigned i = 0; i < 200; i++) {
        size_t n = i % 7 == 0 ? 20000 : i;
        piece[i] = commit_alloc(c, n);
        ck_assert_uint_eq((uintptr_t)piece[i] % 8, 0);
        memset(piece[i], (int)i, n);
    }
    for (unsigned i = 0; i < 200; i++)
        for (size_t k = 0; k < (i % 7 == 0 ? 20000 : i); k++)
            ck_assert_uint_eq(piece[i][k], i);
    commit_free(&c);
}
END_TEST

START_TEST(copies_are_counted_and_equal)
{
    struct commit *c = commit_new(1);
    struct bytes copy = commit_copy(c, BYTES("settled"));

    ck_assert(bytes_eq(copy, BYTES("settled")));
    ck_assert_uint_ge(c->bytes, 7);
    ck_assert_uint_eq(commit_copy(c, BYTES("")).n, 0);
    commit_free(&c);
}
END_TEST

START_TEST(nothing_is_freed_twice)
{
    struct commit *c = NULL;

    commit_free(&c);
    ck_assert_ptr_null(c);
}
END_TEST

Suite *op_suite(void);
Suite *op_suite(void)
{
    Suite *s = suite_create("op");
    TCase *t = tcase_create("op");

    tcase_add_test(t, operations_are_zeroed_and_kept_in_order);
    tcase_add_test(t, memory_of_a_commit_stays_where_it_was_given);
    tcase_add_test(t, copies_are_counted_and_equal);
    tcase_add_test(t, nothing_is_freed_twice);
    suite_add_tcase(s, t);
    return s;
}
