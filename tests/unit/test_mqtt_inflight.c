// SPDX-License-Identifier: MIT
/* Packet identifiers in flight: each once, the wanted one if it is free. */
#include <check.h>

#include "broker/session/mqtt_inflight.h"

Suite *mqtt_inflight_suite(void);

enum { IDS = 65535 };

static struct mqtt_inflight f;

static void stop(void)
{
    mqtt_inflight_fini(&f);
}

static uint16_t add(uint16_t wanted, uint64_t tag)
{
    struct mqtt_flight *at = mqtt_inflight_add(&f, wanted);

    at->tag = tag;
    return at->packet_id;
}

START_TEST(the_wanted_id_is_given_when_it_is_free)
{
    ck_assert_uint_eq(add(7, 1), 7);
    ck_assert_uint_eq(add(65535, 2), 65535);
    ck_assert_uint_eq(mqtt_inflight_find(&f, 7)->tag, 1);
    ck_assert_uint_eq(mqtt_inflight_find(&f, 65535)->tag, 2);
    ck_assert_ptr_null(mqtt_inflight_find(&f, 8));
    ck_assert_ptr_null(mqtt_inflight_find(&f, 0));
}
END_TEST

START_TEST(a_taken_id_gives_way_to_the_next_free_and_never_to_0)
{
    ck_assert_uint_eq(add(65535, 1), 65535);
    ck_assert_uint_eq(add(65535, 2), 1);
    ck_assert_uint_eq(add(1, 3), 2);
    ck_assert_uint_eq(add(0, 4), 3);
}
END_TEST

START_TEST(what_stands_behind_a_removed_one_is_still_found)
{
    for (uint16_t i = 0; i < 200; i++) /* many with one home, whatever the size */
        ck_assert_uint_eq(add((uint16_t)(1 + i * 256), i), 1u + i * 256u);
    for (uint16_t i = 0; i < 200; i += 2)
        mqtt_inflight_remove(&f, mqtt_inflight_find(&f, (uint16_t)(1 + i * 256)));
    ck_assert_uint_eq(f.count, 100);
    for (uint16_t i = 0; i < 200; i++) {
        const struct mqtt_flight *at = mqtt_inflight_find(&f, (uint16_t)(1 + i * 256));

        if (i % 2 == 0)
            ck_assert_ptr_null(at);
        else
            ck_assert_uint_eq(at->tag, i);
    }
}
END_TEST

START_TEST(a_walk_meets_each_once)
{
    const struct mqtt_flight *at;
    uint64_t sum = 0;
    size_t i = 0;

    ck_assert_ptr_null(mqtt_inflight_next(&f, &i));
    for (uint16_t n = 1; n <= 100; n++)
        (void)add((uint16_t)(n * 300), n);
    mqtt_inflight_remove(&f, mqtt_inflight_find(&f, 300));
    while ((at = mqtt_inflight_next(&f, &i)))
        sum += at->tag;
    ck_assert_uint_eq(sum, 5050 - 1);
}
END_TEST

START_TEST(all_ids_can_be_in_flight_at_a_time)
{
    for (uint32_t i = 0; i < IDS; i++)
        ck_assert_uint_ne(add(1, i), 0);
    ck_assert_uint_eq(f.count, IDS);
    for (uint32_t id = 1; id <= IDS; id++)
        mqtt_inflight_remove(&f, mqtt_inflight_find(&f, (uint16_t)id));
    ck_assert_uint_eq(f.count, 0);
}
END_TEST

Suite *mqtt_inflight_suite(void)
{
    Suite *s = suite_create("mqtt_inflight");
    TCase *t = tcase_create("inflight");

    tcase_add_checked_fixture(t, NULL, stop);
    tcase_add_test(t, the_wanted_id_is_given_when_it_is_free);
    tcase_add_test(t, a_taken_id_gives_way_to_the_next_free_and_never_to_0);
    tcase_add_test(t, what_stands_behind_a_removed_one_is_still_found);
    tcase_add_test(t, a_walk_meets_each_once);
    tcase_add_test(t, all_ids_can_be_in_flight_at_a_time);
    suite_add_tcase(s, t);
    return s;
}
