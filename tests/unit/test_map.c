// SPDX-License-Identifier: MIT
#include <check.h>

#include "base/map.h"

enum { ITEMS = 2000 };

struct item {
    uint64_t id;
    bool in; /* by the model that the map is compared with */
};

static struct map map;
static struct item item[ITEMS];
static uint64_t random_state;

static void start(void)
{
    map = (struct map){ .seed = 7 };
    random_state = 1;
    for (size_t i = 0; i < ITEMS; i++)
        item[i] = (struct item){ .id = i };
}

static void stop(void)
{
    map_fini(&map);
}

static uint64_t next_random(void)
{
    random_state = random_state * 6364136223846793005 + 1442695040888963407;
    return random_state >> 33;
}

static void *put(size_t i)
{
    item[i].in = true;
    return map_put(&map, map_key_u64(&item[i].id), &item[i]);
}

static void *take_out(size_t i)
{
    item[i].in = false;
    return map_remove(&map, map_key_u64(&item[i].id));
}

START_TEST(an_empty_map_finds_nothing)
{
    size_t at = 0;

    ck_assert_ptr_null(map_get(&map, BYTES("a")));
    ck_assert_ptr_null(map_remove(&map, BYTES("a")));
    ck_assert_ptr_null(map_next(&map, &at));
    ck_assert_uint_eq(map_count(&map), 0);
}
END_TEST

START_TEST(keys_are_compared_by_their_bytes)
{
    int a, b, c;

    ck_assert_ptr_null(map_put(&map, BYTES("k"), &a));
    ck_assert_ptr_null(map_put(&map, BYTES("k\0"), &b));
    ck_assert_ptr_null(map_put(&map, BYTES(""), &c));
    ck_assert_ptr_eq(map_get(&map, bytes_str("k")), &a);
    ck_assert_ptr_eq(map_get(&map, BYTES("k\0")), &b);
    ck_assert_ptr_eq(map_get(&map, (struct bytes){ NULL, 0 }), &c);
    ck_assert_ptr_null(map_get(&map, BYTES("K")));
    ck_assert_uint_eq(map_count(&map), 3);
}
END_TEST

START_TEST(a_second_put_replaces_and_keeps_the_place)
{
    int a, b, c;
    size_t at = 0;

    map_put(&map, BYTES("1"), &a);
    map_put(&map, BYTES("2"), &b);
    ck_assert_ptr_eq(map_put(&map, BYTES("1"), &c), &a);
    ck_assert_uint_eq(map_count(&map), 2);
    ck_assert_ptr_eq(map_next(&map, &at), &c);
    ck_assert_ptr_eq(map_next(&map, &at), &b);
    ck_assert_ptr_null(map_next(&map, &at));
}
END_TEST

START_TEST(removal_gives_the_value_once)
{
    put(1);
    ck_assert_ptr_eq(take_out(1), &item[1]);
    ck_assert_ptr_null(take_out(1));
    ck_assert_ptr_null(map_get(&map, map_key_u64(&item[1].id)));
    ck_assert_uint_eq(map_count(&map), 0);
    ck_assert_ptr_null(put(1));
    ck_assert_ptr_eq(map_get(&map, map_key_u64(&item[1].id)), &item[1]);
}
END_TEST

START_TEST(a_walk_is_in_the_order_of_insertion_whatever_the_seed)
{
    size_t at = 0;

    map.seed = (uint64_t)_i;
    for (size_t i = 0; i < ITEMS; i++)
        put(i * 7 % ITEMS);
    for (size_t i = 0; i < ITEMS; i += 3)
        take_out(i * 7 % ITEMS);
    put(0); /* removed as the first, so now the last */
    for (size_t i = 0; i < ITEMS; i++)
        if (i % 3)
            ck_assert_ptr_eq(map_next(&map, &at), &item[i * 7 % ITEMS]);
    ck_assert_ptr_eq(map_next(&map, &at), &item[0]);
    ck_assert_ptr_null(map_next(&map, &at));
}
END_TEST

START_TEST(the_entry_just_given_may_be_removed_in_a_walk)
{
    struct item *it;
    size_t seen = 0;

    for (size_t i = 0; i < ITEMS; i++)
        put(i);
    for (size_t at = 0; (it = map_next(&map, &at)); seen++)
        if (it->id % 2)
            ck_assert_ptr_eq(take_out(it->id), it);
    ck_assert_uint_eq(seen, ITEMS);
    ck_assert_uint_eq(map_count(&map), ITEMS / 2);
}
END_TEST

/* Names of one length that differ in one place: many land in one slot. */
START_TEST(colliding_slots_do_not_hide_each_other)
{
    static char name[ITEMS][8];

    for (size_t i = 0; i < ITEMS; i++) {
        memcpy(name[i], "queue   ", 8);
        name[i][5] = (char)('a' + i / 100);
        name[i][7] = (char)(' ' + i % 100);
        ck_assert_ptr_null(map_put(&map, bytes_of(name[i], 8), name[i]));
    }
    for (size_t i = 0; i < ITEMS; i += 2)
        ck_assert_ptr_eq(map_remove(&map, bytes_of(name[i], 8)), name[i]);
    for (size_t i = 0; i < ITEMS; i++)
        ck_assert_ptr_eq(map_get(&map, bytes_of(name[i], 8)), i % 2 ? name[i] : NULL);
}
END_TEST

START_TEST(any_mix_of_puts_and_removals_is_as_the_model_has_it)
{
    size_t count = 0;

    for (size_t step = 0; step < 100000; step++) {
        size_t i = next_random() % ITEMS;
        void *was = item[i].in ? &item[i] : NULL;

        if (next_random() % 2) {
            count += !item[i].in;
            ck_assert_ptr_eq(put(i), was);
        } else {
            count -= item[i].in;
            ck_assert_ptr_eq(take_out(i), was);
        }
        ck_assert_uint_eq(map_count(&map), count);
    }
    for (size_t i = 0; i < ITEMS; i++)
        ck_assert_ptr_eq(map_get(&map, map_key_u64(&item[i].id)), item[i].in ? &item[i] : NULL);
}
END_TEST

/* One entry that comes and goes must not make the map grow for ever. */
START_TEST(holes_are_used_again)
{
    put(0);
    for (size_t i = 0; i < 100000; i++) {
        put(1);
        take_out(1);
    }
    ck_assert_uint_le(map.cap, 64);
    ck_assert_uint_le(map.index_size, 64);
    ck_assert_ptr_eq(map_get(&map, map_key_u64(&item[0].id)), &item[0]);
}
END_TEST

Suite *map_suite(void);

Suite *map_suite(void)
{
    Suite *s = suite_create("map");
    TCase *t = tcase_create("map");

    tcase_add_checked_fixture(t, start, stop);
    tcase_add_test(t, an_empty_map_finds_nothing);
    tcase_add_test(t, keys_are_compared_by_their_bytes);
    tcase_add_test(t, a_second_put_replaces_and_keeps_the_place);
    tcase_add_test(t, removal_gives_the_value_once);
    tcase_add_loop_test(t, a_walk_is_in_the_order_of_insertion_whatever_the_seed, 0, 4);
    tcase_add_test(t, the_entry_just_given_may_be_removed_in_a_walk);
    tcase_add_test(t, colliding_slots_do_not_hide_each_other);
    tcase_add_test(t, any_mix_of_puts_and_removals_is_as_the_model_has_it);
    tcase_add_test(t, holes_are_used_again);
    suite_add_tcase(s, t);
    return s;
}
