// SPDX-License-Identifier: MIT
#include <check.h>

#include "broker/session/stomp_names.h"

Suite *stomp_names_suite(void);

START_TEST(every_name_is_found_by_its_text)
{
    for (unsigned i = 0; i < STOMP_NAME_COUNT; i++)
        ck_assert_int_eq((int)stomp_name_of(stomp_name_text((enum stomp_name)i)), (int)i);
}
END_TEST

/* One byte changed, added or taken away makes it the user's. */
START_TEST(near_misses_are_the_users)
{
    uint8_t text[64];

    for (unsigned i = 0; i < STOMP_NAME_COUNT; i++) {
        struct bytes name = stomp_name_text((enum stomp_name)i);

        memcpy(text, name.p, name.n);
        text[name.n] = 'x';
        ck_assert_int_eq((int)stomp_name_of(bytes_of(text, name.n + 1)), STOMP_NAME_USER);
        ck_assert_int_eq((int)stomp_name_of(bytes_of(text, name.n - 1)), STOMP_NAME_USER);
        text[name.n - 1] ^= 0x20;
        ck_assert_int_eq((int)stomp_name_of(bytes_of(text, name.n)), STOMP_NAME_USER);
    }
    ck_assert_int_eq((int)stomp_name_of(bytes_of(NULL, 0)), STOMP_NAME_USER);
}
END_TEST

START_TEST(the_first_of_repeated_headers_wins)
{
    struct stomp_header h[] = {
        { BYTES("receipt"), BYTES("1") },
        { BYTES("colour"), BYTES("red") },
        { BYTES("receipt"), BYTES("2") },
        { BYTES("id"), BYTES("mine") },
    };
    struct stomp_frame f = { .header = h, .header_count = 4 };
    struct stomp_known k;
    uint8_t user[STOMP_HEADERS_MAX];

    ck_assert_uint_eq(stomp_known_collect(&f, STOMP_BIT(id), &k, user), 2);
    ck_assert_uint_eq(user[0], 1);
    ck_assert_uint_eq(user[1], 3);
    ck_assert(bytes_eq(stomp_known_get(&k, STOMP_NAME_receipt), BYTES("1")));
    ck_assert(!stomp_known_has(&k, STOMP_NAME_id));
    ck_assert(!stomp_known_get(&k, STOMP_NAME_destination).p);
}
END_TEST

START_TEST(booleans_are_true_or_false_and_nothing_else)
{
    struct stomp_known k = { .seen = STOMP_BIT(durable) };

    k.value[STOMP_NAME_durable] = BYTES("true");
    ck_assert(stomp_known_bool(&k, STOMP_NAME_durable, false));
    k.value[STOMP_NAME_durable] = BYTES("False");
    ck_assert(!stomp_known_bool(&k, STOMP_NAME_durable, true));
    k.value[STOMP_NAME_durable] = BYTES("yes");
    ck_assert(stomp_known_bool(&k, STOMP_NAME_durable, true));
    ck_assert(!stomp_known_bool(&k, STOMP_NAME_durable, false));
    ck_assert(stomp_known_bool(&k, STOMP_NAME_exclusive, true));
}
END_TEST

Suite *stomp_names_suite(void)
{
    Suite *s = suite_create("stomp_names");
    TCase *t = tcase_create("core");

    tcase_add_test(t, every_name_is_found_by_its_text);
    tcase_add_test(t, near_misses_are_the_users);
    tcase_add_test(t, the_first_of_repeated_headers_wins);
    tcase_add_test(t, booleans_are_true_or_false_and_nothing_else);
    suite_add_tcase(s, t);
    return s;
}
