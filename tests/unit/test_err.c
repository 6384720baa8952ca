// SPDX-License-Identifier: MIT
#include <check.h>
#include <string.h>

#include "base/err.h"

enum { ERR_COUNT = ERR_VERSION + 1 };

START_TEST(success_is_zero)
{
    ck_assert_int_eq(OK, 0);
    ck_assert_str_eq(err_text(OK), "ok");
}
END_TEST

START_TEST(every_error_has_a_text_of_its_own)
{
    for (int a = 0; a < ERR_COUNT; a++) {
        ck_assert_str_ne(err_text((enum err)a), "");
        ck_assert_str_ne(err_text((enum err)a), "unknown error");
        for (int b = 0; b < a; b++)
            ck_assert_str_ne(err_text((enum err)a), err_text((enum err)b));
    }
}
END_TEST

/* A number that was read from somewhere must not lead to NULL in a log line. */
START_TEST(a_stray_number_has_a_text_too)
{
    int stray = ERR_COUNT;

    ck_assert_str_eq(err_text((enum err)stray), "unknown error");
}
END_TEST

Suite *err_suite(void);

Suite *err_suite(void)
{
    Suite *s = suite_create("err");
    TCase *t = tcase_create("err");

    tcase_add_test(t, success_is_zero);
    tcase_add_test(t, every_error_has_a_text_of_its_own);
    tcase_add_test(t, a_stray_number_has_a_text_too);
    suite_add_tcase(s, t);
    return s;
}
