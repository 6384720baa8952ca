// SPDX-License-Identifier: MIT
#include <check.h>

#include "base/list.h"

struct item {
    int value;
    struct list link;
};

static struct list head;
static struct item item[4];

static void start(void)
{
    list_init(&head);
    for (int i = 0; i < 4; i++) {
        item[i].value = i;
        list_init(&item[i].link);
    }
}

/* The values in order as one decimal number, read both ways. */
static int forwards(void)
{
    int n = 0;

    LIST_EACH (&head, node)
        n = n * 10 + container_of(node, struct item, link)->value;
    return n;
}

static int backwards(void)
{
    int n = 0;

    for (struct list *node = head.prev; node != &head; node = node->prev)
        n = n * 10 + container_of(node, struct item, link)->value;
    return n;
}

START_TEST(a_new_list_is_empty)
{
    ck_assert(list_empty(&head));
    ck_assert_ptr_null(list_first(&head));
    ck_assert_ptr_null(list_last(&head));
    ck_assert_ptr_null(list_pop(&head));
    ck_assert_int_eq(forwards(), 0);
}
END_TEST

START_TEST(nodes_stand_where_they_were_put)
{
    list_push_back(&head, &item[1].link);
    list_push_back(&head, &item[2].link);
    list_push_front(&head, &item[3].link);
    ck_assert_int_eq(forwards(), 312);
    ck_assert_int_eq(backwards(), 213);
    list_insert_after(&item[1].link, &item[0].link);
    ck_assert_int_eq(forwards(), 3102);
    ck_assert(!list_empty(&head));
    ck_assert_ptr_eq(list_first(&head), &item[3].link);
    ck_assert_ptr_eq(list_last(&head), &item[2].link);
}
END_TEST

START_TEST(a_node_may_be_removed_twice)
{
    for (int i = 1; i < 4; i++)
        list_push_back(&head, &item[i].link);
    list_remove(&item[2].link);
    list_remove(&item[2].link);
    ck_assert(list_empty(&item[2].link));
    ck_assert_int_eq(forwards(), 13);
    ck_assert_int_eq(backwards(), 31);
}
END_TEST

START_TEST(popping_takes_the_first_until_none_is_left)
{
    for (int i = 1; i < 3; i++)
        list_push_back(&head, &item[i].link);
    ck_assert_ptr_eq(list_pop(&head), &item[1].link);
    ck_assert_ptr_eq(list_pop(&head), &item[2].link);
    ck_assert_ptr_null(list_pop(&head));
    ck_assert(list_empty(&item[1].link));
    list_push_back(&head, &item[1].link);
    ck_assert_int_eq(forwards(), 1);
}
END_TEST

START_TEST(the_node_at_hand_may_be_removed_in_a_walk)
{
    for (int i = 0; i < 4; i++)
        list_push_back(&head, &item[i].link);
    LIST_EACH (&head, node)
        if (container_of(node, struct item, link)->value % 2 == 0)
            list_remove(node);
    ck_assert_int_eq(forwards(), 13);
    LIST_EACH (&head, node)
        list_remove(node);
    ck_assert(list_empty(&head));
}
END_TEST

Suite *list_suite(void);

Suite *list_suite(void)
{
    Suite *s = suite_create("list");
    TCase *t = tcase_create("list");

    tcase_add_checked_fixture(t, start, NULL);
    tcase_add_test(t, a_new_list_is_empty);
    tcase_add_test(t, nodes_stand_where_they_were_put);
    tcase_add_test(t, a_node_may_be_removed_twice);
    tcase_add_test(t, popping_takes_the_first_until_none_is_left);
    tcase_add_test(t, the_node_at_hand_may_be_removed_in_a_walk);
    suite_add_tcase(s, t);
    return s;
}
