// SPDX-License-Identifier: MIT
#include <check.h>

#include "base/buf.h"
#include "proto/topic.h"

/* The words of a key, each in brackets. */
static void assert_words(const char *key, const char *want)
{
    struct buf b = { 0 };
    struct bytes word;

    for (size_t at = 0; topic_next(bytes_str(key), &at, &word);)
        buf_fmt(&b, "[%.*s]", BYTES_FMT(word));
    buf_u8(&b, 0);
    ck_assert_str_eq((const char *)b.p, want);
    buf_fini(&b);
}

START_TEST(a_key_is_split_at_its_dots)
{
    assert_words("a", "[a]");
    assert_words("a.bc.d", "[a][bc][d]");
    assert_words("a/b.c d", "[a/b][c d]");
}
END_TEST

START_TEST(empty_words_count_but_the_empty_key_has_none)
{
    assert_words("", "");
    assert_words(".", "[][]");
    assert_words("a.", "[a][]");
    assert_words(".a", "[][a]");
    assert_words("a..b", "[a][][b]");
}
END_TEST

START_TEST(the_end_is_told_again_and_again)
{
    struct bytes word;
    size_t at = 0;

    ck_assert(topic_next(BYTES("a"), &at, &word));
    ck_assert(!topic_next(BYTES("a"), &at, &word));
    ck_assert(!topic_next(BYTES("a"), &at, &word));
    at = 0;
    ck_assert(!topic_next((struct bytes){ NULL, 0 }, &at, &word));
}
END_TEST

START_TEST(only_a_lone_star_or_hash_is_a_wildcard)
{
    static const struct {
        const char *pattern;
        enum topic_word_kind kind;
    } cases[] = {
        { "*", TOPIC_ONE },      { "#", TOPIC_MANY },     { "a", TOPIC_LITERAL },
        { "**", TOPIC_LITERAL }, { "#a", TOPIC_LITERAL }, { "a*", TOPIC_LITERAL },
        { "+", TOPIC_LITERAL },  { ".", TOPIC_LITERAL },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct topic_word word;
        size_t at = 0;

        ck_assert(topic_next_pattern(bytes_str(cases[i].pattern), &at, &word));
        ck_assert_msg(word.kind == cases[i].kind, "pattern %s", cases[i].pattern);
    }
}
END_TEST

static const struct {
    const char *pattern, *key;
    bool match;
} matches[] = {
    { "a.b", "a.b", true },
    { "a.b", "a.c", false },
    { "a.b", "a", false },
    { "a", "a.b", false },
    { "a.b", "A.b", false },
    { "*", "a", true },
    { "*", "", false },
    { "*", "a.b", false },
    { "*.*", ".", true },
    { "a.*", "a.", true },
    { "a.*", "a", false },
    { "a.*.c", "a.b.c", true },
    { "a.*.c", "a.b.b.c", false },
    { "#", "", true },
    { "#", "a.b.c", true },
    { "a.#", "a", true },
    { "a.#", "a.b.c", true },
    { "a.#", "ab", false },
    { "#.a", "a", true },
    { "#.a", "b.c.a", true },
    { "#.a", "a.b", false },
    { "#.a.#", "x.a.y", true },
    { "#.#", "", true },
    { "#.*", "", false },
    { "*.#", "a", true },
    { "#.*.#", "a", true },
    { "#.a.#.b", "a.a.b.c.b", true },
    { "#.a.#.b", "b.a.c", false },
    { "#.a.*.b", "a.x.a.y.b", true },
    { "a.#.b.#.c", "a.b.b.c.c", true },
    { "a.#.b.#.c", "a.c.c", false },
    { "", "", true },
    { "", "a", false },
    { "a", "", false },
    { "#", ".", true },
    { "stock.*.nyse", "stock.ibm.nyse", true },
};

START_TEST(patterns_match_as_the_topic_exchange_has_it)
{
    bool match = topic_match(bytes_str(matches[_i].pattern), bytes_str(matches[_i].key));

    ck_assert_msg(match == matches[_i].match, "\"%s\" on \"%s\"", matches[_i].pattern,
                  matches[_i].key);
}
END_TEST

/* A matcher that tries every `#` again would not come back from this. */
START_TEST(many_hashes_cost_no_more_than_words_times_words)
{
    struct buf pattern = { 0 }, key = { 0 };

    for (int i = 0; i < 60; i++) {
        buf_str(&pattern, "#.a.");
        buf_str(&key, "a.a.a.a.");
    }
    buf_str(&pattern, "b");
    buf_str(&key, "a");
    ck_assert(!topic_match(buf_view(&pattern), buf_view(&key)));
    buf_fini(&pattern);
    buf_fini(&key);
}
END_TEST

Suite *topic_suite(void);

Suite *topic_suite(void)
{
    Suite *s = suite_create("topic");
    TCase *t = tcase_create("words");

    tcase_add_test(t, a_key_is_split_at_its_dots);
    tcase_add_test(t, empty_words_count_but_the_empty_key_has_none);
    tcase_add_test(t, the_end_is_told_again_and_again);
    tcase_add_test(t, only_a_lone_star_or_hash_is_a_wildcard);
    tcase_add_loop_test(t, patterns_match_as_the_topic_exchange_has_it, 0,
                        sizeof matches / sizeof matches[0]);
    tcase_add_test(t, many_hashes_cost_no_more_than_words_times_words);
    suite_add_tcase(s, t);
    return s;
}
