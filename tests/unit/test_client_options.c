// SPDX-License-Identifier: MIT
/* The option table of the command.  Its files belong to the program, not to the
 * library, so what is pure of them is compiled in here; before check.h, which takes the
 * word `fail` for itself. */
#include "client/cmd/histogram.c"
#include "client/cmd/lines.c"
#include "client/cmd/options.c"

#include <check.h>

Suite *client_options_suite(void);

static const struct option_row rows[] = {
    { "flag", 'f', OPTION_FLAG, OPTION(lines), 0, 0, NULL, NULL, "" },
    { "text", 't', OPTION_TEXT, OPTION(file), 0, 0, "T", NULL, "" },
    { "number", 'n', OPTION_NUMBER, OPTION(count), 2, 10, "N", "7", "" },
    { "span", 0, OPTION_SPAN, OPTION(delay_ms), 0, UINT64_MAX - 1, "S", NULL, "" },
    { "format", 0, OPTION_CHOICE, OPTION(format), 0, 0, "raw|json|headers", "raw", "" },
    { "header", 'H', OPTION_HEADER, OPTION(headers), 0, 0, "N:V", NULL, "" },
};
static const struct command command = {
    .name = "test",
    .arguments = "DEST [TEXT]",
    .arguments_min = 1,
    .arguments_max = 2,
    .options = rows,
    .option_count = COUNT_OF(rows),
};

static struct settings got;
static char error[200];

/* Words are separated by blanks. */
static bool parse(const char *line)
{
    static char copy[300];
    char *argv[20], *save = NULL;
    int argc = 0;
    bool help;

    (void)snprintf(copy, sizeof copy, "%s", line);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    return options_parse(&command, argc, argv, &got, &help, error) && !help;
}

START_TEST(options_may_stand_anywhere)
{
    ck_assert(parse("-f DEST --text=a TEXT --number 3"));
    ck_assert(got.lines);
    ck_assert_str_eq(got.file, "a");
    ck_assert_uint_eq(got.count, 3);
    ck_assert_uint_eq(got.argument_count, 2);
    ck_assert_str_eq(got.argument[1], "TEXT");
}
END_TEST

START_TEST(short_options_take_their_value_both_ways)
{
    ck_assert(parse("D -n4"));
    ck_assert_uint_eq(got.count, 4);
    ck_assert(parse("D -n 5"));
    ck_assert_uint_eq(got.count, 5);
}
END_TEST

START_TEST(after_two_dashes_all_are_arguments)
{
    ck_assert(parse("-- --text -f"));
    ck_assert_str_eq(got.argument[0], "--text");
    ck_assert_str_eq(got.argument[1], "-f");
    ck_assert(!got.lines);
}
END_TEST

START_TEST(what_is_not_given_has_its_fallback)
{
    ck_assert(parse("D"));
    ck_assert_uint_eq(got.count, 7);
    ck_assert_uint_eq(got.delay_ms, NOT_GIVEN);
    /* of options that this command does not have, too: 0 would mean "expires at once" */
    ck_assert_uint_eq(got.ttl_ms, NOT_GIVEN);
    ck_assert_uint_eq(got.priority, NOT_GIVEN);
    ck_assert_ptr_null(got.server);
}
END_TEST

START_TEST(headers_gather_and_split_at_the_first_colon)
{
    ck_assert(parse("D -H a:b --header x:y:z -H empty:"));
    ck_assert_uint_eq(got.headers.count, 3);
    ck_assert_str_eq(got.headers.at[1].name, "x");
    ck_assert_str_eq(got.headers.at[1].value, "y:z");
    ck_assert_str_eq(got.headers.at[2].value, "");
}
END_TEST

START_TEST(a_choice_is_one_of_its_words)
{
    ck_assert(parse("D --format headers"));
    ck_assert_uint_eq(got.format, FORMAT_HEADERS);
    ck_assert(!parse("D --format jso"));
    ck_assert(!parse("D --format rawx"));
}
END_TEST

START_TEST(common_options_are_known_to_all)
{
    ck_assert(parse("D --server h:1 -u bob"));
    ck_assert_str_eq(got.server, "h:1");
    ck_assert_str_eq(got.user, "bob");
}
END_TEST

static const struct {
    const char *line, *error;
} wrong[] = {
    { "", "DEST [TEXT] is missing" },
    { "a b c", "c is one argument too many" },
    { "a --nosuch", "--nosuch is not an option of this command" },
    { "a -z", "-z is not an option of this command" },
    { "a --text", "--text needs a value" },
    { "a --flag=1", "--flag=1 takes no value" },
    { "a -n 1", "-n is too small" },
    { "a -n 11", "-n is too large" },
    { "a -n x", "-n must be a number" },
    { "a --span 5", "--span must be a time with its unit, like 250ms, 3s, 5m, 2h or 1d" },
    { "a -H nocolon", "-H must be NAME:VALUE" },
    { "a -H :x", "-H must be NAME:VALUE" },
};

START_TEST(errors_name_the_option)
{
    ck_assert(!parse(wrong[_i].line));
    ck_assert_str_eq(error, wrong[_i].error);
}
END_TEST

START_TEST(spans_have_units)
{
    uint64_t ms;

    ck_assert(options_span("250ms", &ms) && ms == 250);
    ck_assert(options_span("3s", &ms) && ms == 3000);
    ck_assert(options_span("5m", &ms) && ms == 300000);
    ck_assert(options_span("2h", &ms) && ms == 7200000);
    ck_assert(options_span("1d", &ms) && ms == 86400000);
    ck_assert(options_span("0", &ms) && ms == 0);
    ck_assert(!options_span("5", &ms));
    ck_assert(!options_span("s", &ms));
    ck_assert(!options_span("-1s", &ms));
    ck_assert(!options_span("1.5s", &ms));
    ck_assert(!options_span("400000000000000000d", &ms)); /* would wrap */
}
END_TEST

START_TEST(sizes_have_binary_units)
{
    uint64_t n;

    ck_assert(options_size("100", &n) && n == 100);
    ck_assert(options_size("4k", &n) && n == 4096);
    ck_assert(options_size("1M", &n) && n == 1 << 20);
    ck_assert(!options_size("1x", &n));
    ck_assert(!options_size("99999999999999999999", &n));
}
END_TEST

/* Short enough for the list, which scripts parse, and no letter means two things. */
START_TEST(letters_of_the_common_options_are_single)
{
    const struct option_row *o, *p;

    for (size_t i = 0; (o = options_nth(&command, i)); i++)
        for (size_t k = i + 1; (p = options_nth(&command, k)); k++)
            ck_assert(!o->letter || o->letter != p->letter);
}
END_TEST

START_TEST(lines_are_the_same_however_the_input_is_cut)
{
    static const char text[] = "one\n\nthree\nlast";
    static const char *const want[] = { "one", "", "three", "last" };
    int ends[2];
    size_t found = 0;

    ck_assert_int_eq(pipe(ends), 0);
    struct lines l = { .fd = ends[0] };
    struct bytes line;
    enum lines_status status;

    for (size_t at = 0; at < sizeof text - 1; at += (size_t)_i) {
        size_t n = sizeof text - 1 - at < (size_t)_i ? sizeof text - 1 - at : (size_t)_i;

        ck_assert_int_eq(write(ends[1], text + at, n), (ssize_t)n);
        ck_assert(lines_fill(&l));
        while (lines_next(&l, &line) == LINES_OK)
            ck_assert(bytes_eq(line, bytes_str(want[found++])));
    }
    ck_assert_int_eq(close(ends[1]), 0);
    ck_assert(lines_fill(&l));
    while ((status = lines_next(&l, &line)) == LINES_OK)
        ck_assert(bytes_eq(line, bytes_str(want[found++])));
    ck_assert_int_eq(status, LINES_END);
    ck_assert_uint_eq(found, 4);
    ck_assert_int_eq(close(ends[0]), 0);
    lines_fini(&l);
}
END_TEST

START_TEST(percentiles_are_near_and_never_below)
{
    static struct histogram h;

    memset(&h, 0, sizeof h);
    ck_assert_uint_eq(histogram_at(&h, 0.5), 0);
    for (uint64_t i = 1; i <= 100000; i++)
        histogram_add(&h, i * 1000);
    ck_assert_uint_ge(histogram_at(&h, 0.5), 50000000);
    ck_assert_uint_le(histogram_at(&h, 0.5), 52000000);
    ck_assert_uint_ge(histogram_at(&h, 0.99), 99000000);
    ck_assert_uint_eq(histogram_at(&h, 1), 100000000);
    histogram_add(&h, UINT64_MAX);
    ck_assert_uint_eq(histogram_at(&h, 1), UINT64_MAX);
}
END_TEST

START_TEST(small_values_are_exact)
{
    struct histogram *h = mem_new(struct histogram);

    histogram_add(h, (uint64_t)_i);
    ck_assert_uint_eq(histogram_at(h, 0.5), (uint64_t)_i);
    mem_free(h);
}
END_TEST

Suite *client_options_suite(void)
{
    Suite *s = suite_create("client_options");
    TCase *t = tcase_create("options");

    tcase_add_test(t, options_may_stand_anywhere);
    tcase_add_test(t, short_options_take_their_value_both_ways);
    tcase_add_test(t, after_two_dashes_all_are_arguments);
    tcase_add_test(t, what_is_not_given_has_its_fallback);
    tcase_add_test(t, headers_gather_and_split_at_the_first_colon);
    tcase_add_test(t, a_choice_is_one_of_its_words);
    tcase_add_test(t, common_options_are_known_to_all);
    tcase_add_loop_test(t, errors_name_the_option, 0, (int)COUNT_OF(wrong));
    tcase_add_test(t, spans_have_units);
    tcase_add_test(t, sizes_have_binary_units);
    tcase_add_test(t, letters_of_the_common_options_are_single);
    tcase_add_loop_test(t, lines_are_the_same_however_the_input_is_cut, 1, 17);
    tcase_add_test(t, percentiles_are_near_and_never_below);
    tcase_add_loop_test(t, small_values_are_exact, 0, 64);
    suite_add_tcase(s, t);
    return s;
}
