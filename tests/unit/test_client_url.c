// SPDX-License-Identifier: MIT
#include <check.h>

#include "client/url.h"

Suite *client_url_suite(void);

static struct url a;

static void fini(void)
{
    url_fini(&a);
}

START_TEST(host_alone_leaves_the_rest_open)
{
    ck_assert(url_parse("broker.example", &a));
    ck_assert_str_eq(a.host, "broker.example");
    ck_assert_uint_eq(a.port, 0);
    ck_assert_ptr_null(a.login);
    ck_assert_ptr_null(a.passcode);
}
END_TEST

START_TEST(every_part_is_read)
{
    ck_assert(url_parse("stomp://bob:secret@10.0.0.1:61614/", &a));
    ck_assert_str_eq(a.host, "10.0.0.1");
    ck_assert_uint_eq(a.port, 61614);
    ck_assert_str_eq(a.login, "bob");
    ck_assert_str_eq(a.passcode, "secret");
}
END_TEST

START_TEST(percent_escapes_carry_any_character)
{
    ck_assert(url_parse("b%40b:a%3Ab%2fc@h", &a));
    ck_assert_str_eq(a.login, "b@b");
    ck_assert_str_eq(a.passcode, "a:b/c");
}
END_TEST

/* A password with an @ in it is common; the host is behind the last one. */
START_TEST(host_is_behind_the_last_at)
{
    ck_assert(url_parse("bob:p@ss@h:1", &a));
    ck_assert_str_eq(a.passcode, "p@ss");
    ck_assert_str_eq(a.host, "h");
}
END_TEST

START_TEST(colons_of_ipv6_are_not_ports)
{
    ck_assert(url_parse("[::1]:61613", &a));
    ck_assert_str_eq(a.host, "::1");
    ck_assert_uint_eq(a.port, 61613);
}
END_TEST

START_TEST(user_without_password_has_none)
{
    ck_assert(url_parse("bob@h", &a));
    ck_assert_str_eq(a.login, "bob");
    ck_assert_ptr_null(a.passcode);
}
END_TEST

static const char *const bad[] = {
    "",   ":61613", "h:",    "h:0",    "h:65536", "h:x",      "[::1",  "[]:1",
    "@h", ":p@h",   "a%4@h", "a%zz@h", "a%00b@h", "stomp://", "h/x:1", "[::1]x",
};

START_TEST(what_cannot_be_understood_is_refused)
{
    ck_assert_msg(!url_parse(bad[_i], &a), "%s", bad[_i]);
    ck_assert_ptr_null(a.host);
    ck_assert_ptr_null(a.login);
}
END_TEST

Suite *client_url_suite(void)
{
    Suite *s = suite_create("client_url");
    TCase *t = tcase_create("parse");

    tcase_add_checked_fixture(t, NULL, fini);
    tcase_add_test(t, host_alone_leaves_the_rest_open);
    tcase_add_test(t, every_part_is_read);
    tcase_add_test(t, percent_escapes_carry_any_character);
    tcase_add_test(t, host_is_behind_the_last_at);
    tcase_add_test(t, colons_of_ipv6_are_not_ports);
    tcase_add_test(t, user_without_password_has_none);
    tcase_add_loop_test(t, what_cannot_be_understood_is_refused, 0,
                        (int)(sizeof bad / sizeof *bad));
    suite_add_tcase(s, t);
    return s;
}
