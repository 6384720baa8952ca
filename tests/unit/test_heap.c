// SPDX-License-Identifier: MIT
#include <check.h>

#include "base/heap.h"

enum { NODES = 500 };

static struct heap heap;
static struct heap_node node[NODES];
static uint64_t random_state;

static void start(void)
{
    heap = (struct heap){ 0 };
    random_state = 1;
    for (size_t i = 0; i < NODES; i++)
        node[i] = (struct heap_node){ 0 };
}

static void stop(void)
{
    heap_fini(&heap);
}

/* The same in every run. */
static uint64_t next_random(void)
{
    random_state = random_state * 6364136223846793005 + 1442695040888963407;
    return random_state >> 33;
}

static size_t pop_index(void)
{
    struct heap_node *min = heap_min(&heap);

    ck_assert_ptr_nonnull(min);
    heap_remove(&heap, min);
    return (size_t)(min - node);
}

/* Every node knows its place, and no parent is larger than its child. */
static void assert_in_order(void)
{
    for (size_t i = 0; i < heap.n; i++) {
        const struct heap_node *parent = heap.node[i ? (i - 1) / 2 : 0];

        ck_assert_uint_eq(heap.node[i]->at, i + 1);
        ck_assert(parent->key < heap.node[i]->key ||
                  (parent->key == heap.node[i]->key && parent->tie <= heap.node[i]->tie));
    }
}

START_TEST(an_empty_heap_has_no_smallest)
{
    ck_assert_ptr_null(heap_min(&heap));
    heap_remove(&heap, &node[0]);
    ck_assert_ptr_null(heap_min(&heap));
    ck_assert(!heap_has(&node[0]));
}
END_TEST

START_TEST(nodes_leave_by_their_keys)
{
    uint64_t last = 0;

    for (size_t i = 0; i < NODES; i++)
        heap_push(&heap, &node[i], next_random() % 100);
    assert_in_order();
    for (size_t i = 0; i < NODES; i++) {
        struct heap_node *min = heap_min(&heap);

        ck_assert_uint_ge(min->key, last);
        last = min->key;
        heap_remove(&heap, min);
        ck_assert(!heap_has(min));
    }
    ck_assert_ptr_null(heap_min(&heap));
}
END_TEST

START_TEST(ties_leave_in_the_order_they_came)
{
    for (size_t i = 0; i < NODES; i++)
        heap_push(&heap, &node[i], 5);
    for (size_t i = 0; i < NODES; i++)
        ck_assert_uint_eq(pop_index(), i);
}
END_TEST

START_TEST(a_moved_node_comes_behind_its_new_equals)
{
    for (size_t i = 0; i < 3; i++)
        heap_push(&heap, &node[i], 10 + i);
    heap_set(&heap, &node[0], 12);
    heap_set(&heap, &node[3], 11);
    ck_assert_uint_eq(pop_index(), 1);
    ck_assert_uint_eq(pop_index(), 3);
    ck_assert_uint_eq(pop_index(), 2);
    ck_assert_uint_eq(pop_index(), 0);
}
END_TEST

START_TEST(setting_the_same_key_keeps_the_place)
{
    heap_push(&heap, &node[0], 1);
    heap_push(&heap, &node[1], 1);
    heap_set(&heap, &node[0], 1);
    ck_assert_uint_eq(pop_index(), 0);
}
END_TEST

START_TEST(any_removal_leaves_a_heap)
{
    size_t count = 0;

    for (size_t step = 0; step < 20000; step++) {
        struct heap_node *n = &node[next_random() % NODES];

        if (heap_has(n) && next_random() % 2) {
            heap_remove(&heap, n);
            count--;
        } else {
            count += !heap_has(n);
            heap_set(&heap, n, next_random() % 1000);
        }
        ck_assert_uint_eq(heap.n, count);
        if (step % 100 == 0)
            assert_in_order();
    }
}
END_TEST

Suite *heap_suite(void);

Suite *heap_suite(void)
{
    Suite *s = suite_create("heap");
    TCase *t = tcase_create("heap");

    tcase_add_checked_fixture(t, start, stop);
    tcase_add_test(t, an_empty_heap_has_no_smallest);
    tcase_add_test(t, nodes_leave_by_their_keys);
    tcase_add_test(t, ties_leave_in_the_order_they_came);
    tcase_add_test(t, a_moved_node_comes_behind_its_new_equals);
    tcase_add_test(t, setting_the_same_key_keeps_the_place);
    tcase_add_test(t, any_removal_leaves_a_heap);
    suite_add_tcase(s, t);
    return s;
}
