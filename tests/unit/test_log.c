// SPDX-License-Identifier: MIT
#include <check.h>
#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

static int kept_stderr;
static FILE *caught;
static char line[8192];

/* What is logged goes to a file of ours until stop(). */
static void start(void)
{
    caught = tmpfile();
    ck_assert_ptr_nonnull(caught);
    kept_stderr = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(fileno(caught), STDERR_FILENO), 0);
    log_configure(LOG_INFO, false);
}

static void stop(void)
{
    ck_assert_int_ge(dup2(kept_stderr, STDERR_FILENO), 0);
    (void)close(kept_stderr);
    (void)fclose(caught);
    log_configure(LOG_INFO, false);
}

/* Everything that was logged so far; its length. */
static size_t read_log(void)
{
    rewind(caught);
    size_t n = fread(line, 1, sizeof line - 1, caught);
    line[n] = 0;
    return n;
}

static void assert_log_matches(const char *pattern)
{
    regex_t re;

    (void)read_log();
    ck_assert_int_eq(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    ck_assert_msg(regexec(&re, line, 0, NULL, 0) == 0, "%s does not match %s", line, pattern);
    regfree(&re);
}

#define STAMP "20[0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{3}Z"

START_TEST(an_event_is_one_line_of_time_level_name_and_pairs)
{
    log_info("client.open", "id=%d proto=%s", 7, "stomp");
    assert_log_matches("^" STAMP " info client\\.open id=7 proto=stomp\n$");
}
END_TEST

START_TEST(an_event_may_have_no_pairs)
{
    log_warn("broker.stop", "%s", "");
    assert_log_matches("^" STAMP " warn broker\\.stop\n$");
}
END_TEST

START_TEST(levels_below_the_least_are_not_printed)
{
    log_debug("a", "x=1");
    ck_assert_uint_eq(read_log(), 0);
    ck_assert(!log_enabled(LOG_DEBUG));
    ck_assert(log_enabled(LOG_INFO));
    log_configure(LOG_ERROR, false);
    log_warn("b", "x=1");
    ck_assert_uint_eq(read_log(), 0);
    log_error("c", "x=1");
    log_fatal("d", "x=1");
    assert_log_matches(" error c x=1\n.* fatal d x=1\n$");
}
END_TEST

START_TEST(json_has_a_member_for_each_pair)
{
    log_configure(LOG_INFO, true);
    log_info("client.open", "id=%d name=%s z=\"a b\"", 7, log_text(BYTES("x \"y\"")).s);
    assert_log_matches("^\\{\"time\":\"" STAMP "\",\"level\":\"info\",\"event\":\"client\\.open\","
                       "\"id\":\"7\",\"name\":\"x [^ ]*\",\"z\":\"a b\"\\}\n$");
}
END_TEST

START_TEST(json_without_pairs_is_an_object_too)
{
    log_configure(LOG_INFO, true);
    log_info("broker.stop", "%s", "");
    assert_log_matches("^\\{[^{}]*\"event\":\"broker\\.stop\"\\}\n$");
}
END_TEST

/* A line too long is cut, but it stays one line, and one object. */
START_TEST(a_long_event_is_still_one_line)
{
    static char text[6000];

    memset(text, "xxx\1="[_i], sizeof text - 1);
    log_configure(LOG_INFO, _i > 1);
    log_info("long", "a=1 text=%s%s", _i % 2 ? "\"" : "", text);
    size_t n = read_log();
    ck_assert_uint_gt(n, 1000);
    ck_assert_ptr_eq(strchr(line, '\n'), line + n - 1);
    if (_i > 1)
        ck_assert_mem_eq(line + n - 3, "\"}\n", 3);
}
END_TEST

START_TEST(plain_text_is_printed_as_it_is)
{
    ck_assert_str_eq(log_text(BYTES("/queue/a-b_c:1,2")).s, "/queue/a-b_c:1,2");
}
END_TEST

/* Otherwise a peer's name forges a line, or moves the cursor of a terminal. */
START_TEST(other_text_cannot_break_out_of_its_quotes)
{
    ck_assert_str_eq(log_text(BYTES("")).s, "\"\"");
    ck_assert_str_eq(log_text((struct bytes){ NULL, 0 }).s, "\"\"");
    ck_assert_str_eq(log_text(BYTES("a b")).s, "\"a b\"");
    ck_assert_str_eq(log_text(BYTES("a=b")).s, "\"a=b\"");
    ck_assert_str_eq(log_text(BYTES("a\"b\\")).s, "\"a\\\"b\\\\\"");
    ck_assert_str_eq(log_text(BYTES("x\n\x1b\0\x7f\xff")).s, "\"x\\x0a\\x1b\\x00\\x7f\\xff\"");
}
END_TEST

START_TEST(long_text_is_cut_and_says_so)
{
    static uint8_t text[1000];

    for (unsigned c = 0; c < 256; c++) {
        memset(text, (int)c, sizeof text);
        struct log_str s = log_text(bytes_of(text, sizeof text));
        size_t n = strlen(s.s);

        ck_assert_uint_lt(n, sizeof s.s);
        ck_assert_uint_gt(n, 100);
        ck_assert_ptr_nonnull(strstr(s.s, "..."));
        ck_assert(s.s[0] != '"' || s.s[n - 1] == '"');
    }
}
END_TEST

START_TEST(a_flood_of_events_is_held_back_and_counted)
{
    struct log_limit limit = { 0 };
    unsigned dropped = 99, allowed = 0;

    for (int i = 0; i < 100; i++)
        allowed += log_allowed(&limit, 3, &dropped);
    ck_assert_uint_ge(allowed, 3);
    ck_assert_uint_le(allowed, 6); /* a second may have ended meanwhile */
    limit.window_s--;              /* now one has */
    ck_assert(log_allowed(&limit, 3, &dropped));
    ck_assert_uint_ge(dropped, 91);
    ck_assert(log_allowed(&limit, 3, &dropped));
    ck_assert_uint_eq(dropped, 0);
}
END_TEST

Suite *log_suite(void);

Suite *log_suite(void)
{
    Suite *s = suite_create("log");
    TCase *t = tcase_create("log");

    tcase_add_checked_fixture(t, start, stop);
    tcase_add_test(t, an_event_is_one_line_of_time_level_name_and_pairs);
    tcase_add_test(t, an_event_may_have_no_pairs);
    tcase_add_test(t, levels_below_the_least_are_not_printed);
    tcase_add_test(t, json_has_a_member_for_each_pair);
    tcase_add_test(t, json_without_pairs_is_an_object_too);
    tcase_add_loop_test(t, a_long_event_is_still_one_line, 0, 5);
    tcase_add_test(t, plain_text_is_printed_as_it_is);
    tcase_add_test(t, other_text_cannot_break_out_of_its_quotes);
    tcase_add_test(t, long_text_is_cut_and_says_so);
    tcase_add_test(t, a_flood_of_events_is_held_back_and_counted);
    suite_add_tcase(s, t);
    return s;
}
