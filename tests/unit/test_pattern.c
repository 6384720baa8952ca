// SPDX-License-Identifier: MIT
/* Regular expressions over names: what they match, and what they may cost. */
#include <check.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/core/pattern.h"

static bool matches(const char *pattern, struct bytes name)
{
    struct pattern *p = pattern_new(bytes_str(pattern), NULL);

    ck_assert_ptr_nonnull(p);
    bool yes = pattern_matches(p, name);
    pattern_free(&p);
    ck_assert_ptr_null(p);
    return yes;
}

START_TEST(it_matches_anywhere_unless_it_is_anchored)
{
    ck_assert(matches("b", BYTES("abc")));
    ck_assert(!matches("^b", BYTES("abc")));
    ck_assert(!matches("^ab$", BYTES("abc")));
    ck_assert(matches("^(abc|d)$", BYTES("abc")));
    ck_assert(!matches("B", BYTES("abc")));
    ck_assert(matches("^a\\.c$", BYTES("a.c")));
    ck_assert(!matches("^a\\.c$", BYTES("abc")));
}
END_TEST

START_TEST(two_patterns_are_known_without_asking)
{
    static const struct bytes names[] = { { (const uint8_t *)"a", 1 },
                                          { (const uint8_t *)"\n", 1 } };
    struct pattern *all = pattern_new(BYTES(".*"), NULL), *other = pattern_new(BYTES("^.*"), NULL);

    ck_assert(pattern_is_all(all));
    ck_assert(!pattern_is_all(other));
    for (size_t i = 0; i < 2; i++) {
        ck_assert(pattern_matches(all, names[i]));
        ck_assert(!matches("", names[i]));
        ck_assert(!matches("^$", names[i]));
    }
    ck_assert(pattern_matches(all, (struct bytes){ NULL, 0 }));
    ck_assert(matches("", (struct bytes){ NULL, 0 }));
    pattern_free(&all);
    pattern_free(&other);
}
END_TEST

START_TEST(a_name_is_bytes)
{
    ck_assert(matches("^.\\xff.$", BYTES("a\xff\0")));
    ck_assert(matches("^$|x", (struct bytes){ NULL, 0 }));
    ck_assert(!matches("x", BYTES("\0\0")));
}
END_TEST

START_TEST(what_is_none_is_refused_with_the_reason_and_the_place)
{
    static const char *const none[] = { "(",  "a)",  "[",  "a{2,1}",
                                        "*a", "(?<", "\\", "(?P<n>a)(?P=m)" };
    char why[PATTERN_WHY_BYTES];
    struct buf {
        char c[PATTERN_MAX_BYTES + 1];
    } *longer = mem_new(struct buf);

    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        *why = 0;
        ck_assert_msg(!pattern_new(bytes_str(none[i]), why), "%s", none[i]);
        ck_assert_ptr_nonnull(strstr(why, " at offset "));
        ck_assert_ptr_null(pattern_new(bytes_str(none[i]), NULL));
    }
    memset(longer, 'a', sizeof *longer);
    ck_assert_ptr_null(pattern_new(bytes_of(longer, PATTERN_MAX_BYTES + 1), why));
    ck_assert_ptr_nonnull(strstr(why, "longer than 4096"));
    struct pattern *p = pattern_new(bytes_of(longer, PATTERN_MAX_BYTES), why);
    ck_assert_ptr_nonnull(p);
    pattern_free(&p);
    mem_free(longer);
}
END_TEST

/* Each of them would backtrack for longer than anybody lives. */
START_TEST(what_costs_too_much_does_not_match)
{
    static const char *const slow[] = { "^(a+)+$", "^(a|aa)+$", "^(([a-z])+.)+[A-Z]([a-z])+$",
                                        "(.*)*b\\1{9}c", "^(?:(?:a?){40}){40}b" };
    struct pattern *p = pattern_new(bytes_str(slow[_i]), NULL);
    char name[255];

    log_configure(LOG_FATAL, false);
    ck_assert_ptr_nonnull(p);
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = '!';
    ck_assert(!pattern_matches(p, bytes_of(name, sizeof name)));
    pattern_free(&p);
    log_configure(LOG_INFO, false);
}
END_TEST

Suite *pattern_suite(void);

Suite *pattern_suite(void)
{
    Suite *s = suite_create("pattern");
    TCase *t = tcase_create("pattern");

    tcase_add_test(t, it_matches_anywhere_unless_it_is_anchored);
    tcase_add_test(t, two_patterns_are_known_without_asking);
    tcase_add_test(t, a_name_is_bytes);
    tcase_add_test(t, what_is_none_is_refused_with_the_reason_and_the_place);
    tcase_add_loop_test(t, what_costs_too_much_does_not_match, 0, 5);
    suite_add_tcase(s, t);
    return s;
}
