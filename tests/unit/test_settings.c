// SPDX-License-Identifier: MIT
#include <check.h>

#include "config/options.h"
#include "config/settings_table.h"

Suite *settings_suite(void);

static struct settings s;
static struct settings_fault why;

static void setup(void)
{
    settings_defaults(&s);
    why.text[0] = 0;
}

static bool set(const char *name, const char *value)
{
    return settings_set(&s, bytes_str(name), bytes_str(value), &why);
}

static bool reads(const char *text)
{
    return settings_read(&s, "f.conf", bytes_str(text), &why);
}

static void ck_fault(const char *text, const char *want)
{
    ck_assert(!reads(text));
    ck_assert_str_eq(why.text, want);
}

START_TEST(every_default_is_in_its_own_range)
{
    ck_assert_str_eq(s.data.s, "lodge-data");
    ck_assert_uint_eq(s.memory, 64 << 20);
    ck_assert_uint_eq(s.login_timeout, 10000);
    ck_assert_uint_eq(s.log_level, 1);
    ck_assert(!s.log_json);
    ck_assert(!s.stomp_address.off);
    ck_assert(address_is_local(&s.stomp_address));
}
END_TEST

START_TEST(bytes_and_times_take_units)
{
    ck_assert(set("memory", "3g"));
    ck_assert_uint_eq(s.memory, 3ULL << 30);
    ck_assert(set("memory", "2097152"));
    ck_assert_uint_eq(s.memory, 2 << 20);
    ck_assert(set("login_timeout", "2m"));
    ck_assert_uint_eq(s.login_timeout, 120000);
    ck_assert(set("login_timeout", "700ms"));
    ck_assert_uint_eq(s.login_timeout, 700);
}
END_TEST

static const char *const bad_numbers[] = {
    "", "k", "-1", "1.5m", "64 m", "64mb", "64M", "0x10", "99999999999999999999", "16777216t", "+1",
};

START_TEST(what_is_no_number_is_refused)
{
    uint64_t before = s.memory;

    ck_assert(!set("memory", bad_numbers[_i]));
    ck_assert_uint_eq(s.memory, before);
}
END_TEST

START_TEST(range_is_named_when_it_is_left)
{
    ck_assert(!set("max_message", "2g"));
    ck_assert_str_eq(why.text, "max_message: 2g is out of range (1k to 1g)");
    ck_assert(!set("login_timeout", "99ms"));
    ck_assert_str_eq(why.text, "login_timeout: 99ms is out of range (100ms to 10m)");
    ck_assert(set("login_timeout", "100"));
}
END_TEST

START_TEST(counts_take_no_units)
{
    ck_assert(!set("max_queues", "5k"));
    ck_assert_str_eq(why.text, "max_queues: 5k is not a whole number");
}
END_TEST

START_TEST(choices_and_booleans_are_exact)
{
    ck_assert(set("log.level", "error"));
    ck_assert_uint_eq(s.log_level, 3);
    ck_assert(!set("log.level", "err"));
    ck_assert_str_eq(why.text, "log.level: err is not debug|info|warn|error");
    ck_assert(!set("log.level", ""));
    ck_assert(set("log.json", "true"));
    ck_assert(!set("log.json", "1"));
}
END_TEST

/* A newline in a path would end up in log lines and messages. */
START_TEST(texts_hold_no_control_characters)
{
    char longer[300];

    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    ck_assert(set("data", "/srv/lodge data"));
    ck_assert(!set("data", "a\nb"));
    ck_assert(!set("data", ""));
    ck_assert(!set("data", longer));
    ck_assert_str_eq(s.data.s, "/srv/lodge data");
}
END_TEST

static const struct {
    const char *text;
    bool ok, local;
} addresses[] = {
    { "127.0.0.1:61613", true, true },
    { "0.0.0.0:1", true, false },
    { "localhost:0", true, true },
    { "[::1]:61613", true, true },
    { "[::]:65535", true, false },
    { "10.0.0.1:61613", true, false },
    { "unix:/run/lodge.sock", true, true },
    { "off", true, true },
    { "127.0.0.1", false, false },
    { "127.0.0.1:", false, false },
    { "127.0.0.1:65536", false, false },
    { "::1:61613", false, false },
    { "[::1]", false, false },
    { "[127.0.0.1]:1", false, false },
    { "example.org:61613", false, false },
    { ":61613", false, false },
    { "unix:", false, false },
    { "[]:1", false, false },
    { "", false, false },
    { "127.0.0.1:+1", false, false },
};

START_TEST(addresses_are_numbers_or_paths)
{
    struct address a;

    ck_assert_msg(address_parse(bytes_str(addresses[_i].text), &a) == addresses[_i].ok, "%s",
                  addresses[_i].text);
    if (addresses[_i].ok)
        ck_assert(address_is_local(&a) == addresses[_i].local);
}
END_TEST

START_TEST(file_may_nest_and_comment)
{
    ck_assert_msg(reads("// first\n"
                        "{ /* a { b */ \"log\": { \"level\": \"debug\", \"json\": true },\n"
                        "  \"stomp.prefetch\": 7, // \"memory\": \"1g\"\n"
                        "  \"data\": \"/a//b/*c*/\",\n"
                        "  \"memory\": \"128m\", \"output_budget\": 65536 }\n"),
                  "%s", why.text);
    ck_assert_uint_eq(s.log_level, 0);
    ck_assert(s.log_json);
    ck_assert_uint_eq(s.stomp_prefetch, 7);
    ck_assert_str_eq(s.data.s, "/a//b/*c*/");
    ck_assert_uint_eq(s.memory, 128 << 20);
    ck_assert_uint_eq(s.output_budget, 65536);
}
END_TEST

/* So that the last line of the example can be commented in or out. */
START_TEST(comma_after_the_last_member_is_taken)
{
    ck_assert_msg(reads("{ \"log\": { \"level\": \"warn\", }, \"data\": \"a,}\", // x\n }"), "%s",
                  why.text);
    ck_assert_str_eq(s.data.s, "a,}");
    ck_fault("{ , }", "f.conf:1: not valid JSON");
    ck_fault("{ \"memory\": \"1m\",, }", "f.conf:1: not valid JSON");
}
END_TEST

START_TEST(empty_object_changes_nothing)
{
    struct settings before = s;

    ck_assert(reads("{}"));
    ck_assert_mem_eq(&before, &s, sizeof s);
}
END_TEST

START_TEST(fault_names_file_line_and_key)
{
    ck_fault("{\n \"log\": {\n  \"level\": 3 } }", "f.conf:3: log.level: must be a string");
    ck_fault("{\n\n\"qeueus\": 1 }", "f.conf:3: qeueus: no such setting");
    ck_fault("{ \"stomp\": {\n\"addr\": 1 } }", "f.conf:2: stomp.addr: no such setting");
    ck_fault("{ \"data\": \"a\\n\\\"b\",\n \"x\": 1 }",
             "f.conf:1: data: \"a\\x0a\\\"b\" is not a text");
    ck_fault("{ /* \n\n */ \"memory\": true }",
             "f.conf:3: memory: must be a number, or a string with a unit");
    ck_fault("{ \"max_queues\": \"5\" }", "f.conf:1: max_queues: must be a number");
    ck_fault("{ \"max_queues\": 1.5 }",
             "f.conf:1: max_queues: must be a whole number, not negative");
    ck_fault("{ \"max_queues\": -1 }",
             "f.conf:1: max_queues: must be a whole number, not negative");
    ck_fault("{ \"max_queues\": 0 }", "f.conf:1: max_queues: 0 is out of range (1 to 16777216)");
    ck_fault("{ \"log.json\": \"true\" }", "f.conf:1: log.json: must be true or false");
    ck_fault("{ \"log\": 1 }", "f.conf:1: log: must be an object");
    ck_fault("{ \"log.level\": { \"x\": 1 } }", "f.conf:1: log.level: must be a string");
}
END_TEST

START_TEST(keys_given_twice_are_refused)
{
    ck_fault("{ \"memory\": \"1m\",\n \"memory\": \"2m\" }", "f.conf:2: memory: given twice");
    ck_fault("{ \"log.json\": true,\n \"log\": { \"json\": true } }",
             "f.conf:2: log.json: given twice");
    ck_fault("{ \"log\": {},\n\n \"log\": {} }", "f.conf:3: log: given twice");
}
END_TEST

START_TEST(text_that_is_no_json_is_refused_with_its_line)
{
    ck_fault("{\n\"memory\" 1 }", "f.conf:2: not valid JSON");
    ck_fault("", "f.conf:1: not valid JSON");
    ck_fault("{}\n\n{}", "f.conf:3: not valid JSON");
    ck_fault("{ \"memory\": \"1m\" ", "f.conf:1: not valid JSON");
    ck_fault("[]", "f.conf:1: the file must hold one object { ... }");
    ck_fault("{\n /* open", "f.conf:2: a comment without an end");
}
END_TEST

START_TEST(file_that_is_not_there_is_named)
{
    ck_assert(!settings_load(&s, "/nonexistent/lodge.conf", &why));
    ck_assert_str_eq(why.text, "/nonexistent/lodge.conf: No such file or directory");
}
END_TEST

static enum option_action action;

static enum option_result options(const char *a, const char *b, const char *c, const char *d)
{
    static char words[5][64];
    char *argv[6] = { words[0] };
    const char *in[] = { "lodged", a, b, c, d };
    int argc = 0;

    for (; argc < 5 && in[argc]; argc++) {
        argv[argc] = words[argc];
        (void)snprintf(words[argc], sizeof words[argc], "%s", in[argc]);
    }
    return options_read(argc, argv, &s, &action, &why);
}

START_TEST(command_line_sets_settings_in_both_forms)
{
    ck_assert_int_eq(options("--data", "/d", "--set=max_queues=9", NULL), OPTIONS_OK);
    ck_assert_str_eq(s.data.s, "/d");
    ck_assert_uint_eq(s.max_queues, 9);
    ck_assert_int_eq(action, OPTION_RUN);
    ck_assert_int_eq(options("--stomp=off", "--set", "log.level=warn", "--check-config"),
                     OPTIONS_OK);
    ck_assert(s.stomp_address.off);
    ck_assert_uint_eq(s.log_level, 2);
    ck_assert_int_eq(action, OPTION_CHECK_CONFIG);
}
END_TEST

START_TEST(command_line_faults_are_named)
{
    ck_assert_int_eq(options("--dta", "x", NULL, NULL), OPTIONS_USAGE);
    ck_assert_str_eq(why.text, "--dta: unknown option; see --help");
    ck_assert_int_eq(options("--data", NULL, NULL, NULL), OPTIONS_USAGE);
    ck_assert_str_eq(why.text, "--data: needs a value");
    ck_assert_int_eq(options("--set", "max_queues", NULL, NULL), OPTIONS_USAGE);
    ck_assert_str_eq(why.text, "max_queues: --set needs NAME=VALUE");
    ck_assert_int_eq(options("--set", "nope=1", NULL, NULL), OPTIONS_USAGE);
    ck_assert_str_eq(why.text, "nope: no such setting");
    ck_assert_int_eq(options("--stomp", "here", NULL, NULL), OPTIONS_USAGE);
    ck_assert_int_eq(options("--config", "/nonexistent", NULL, NULL), OPTIONS_CONFIG);
}
END_TEST

START_TEST(reload_takes_over_only_what_may_change)
{
    struct settings fresh = s;

    fresh.log_level = 3;
    fresh.max_queues = 1;
    settings_apply(&s, &fresh);
    ck_assert_uint_eq(s.log_level, 3);
    ck_assert_uint_eq(s.max_queues, 100000);
}
END_TEST

Suite *settings_suite(void)
{
    Suite *suite = suite_create("settings");
    TCase *t = tcase_create("all");

    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, every_default_is_in_its_own_range);
    tcase_add_test(t, bytes_and_times_take_units);
    tcase_add_loop_test(t, what_is_no_number_is_refused, 0,
                        (int)(sizeof bad_numbers / sizeof *bad_numbers));
    tcase_add_test(t, range_is_named_when_it_is_left);
    tcase_add_test(t, counts_take_no_units);
    tcase_add_test(t, choices_and_booleans_are_exact);
    tcase_add_test(t, texts_hold_no_control_characters);
    tcase_add_loop_test(t, addresses_are_numbers_or_paths, 0,
                        (int)(sizeof addresses / sizeof *addresses));
    tcase_add_test(t, file_may_nest_and_comment);
    tcase_add_test(t, comma_after_the_last_member_is_taken);
    tcase_add_test(t, empty_object_changes_nothing);
    tcase_add_test(t, fault_names_file_line_and_key);
    tcase_add_test(t, keys_given_twice_are_refused);
    tcase_add_test(t, text_that_is_no_json_is_refused_with_its_line);
    tcase_add_test(t, file_that_is_not_there_is_named);
    tcase_add_test(t, command_line_sets_settings_in_both_forms);
    tcase_add_test(t, command_line_faults_are_named);
    tcase_add_test(t, reload_takes_over_only_what_may_change);
    suite_add_tcase(suite, t);
    return suite;
}
