// SPDX-License-Identifier: MIT
#include <check.h>
#include <stdlib.h>

#include "base/mem.h"
#include "broker/core/exchange.h"
#include "broker/core/trie.h"
#include "proto/topic.h"

enum { MANY = 60 };

static struct trie *trie;
static struct binding *added[MANY];
static size_t added_count;
static uint64_t random_state;

static void open_trie(void)
{
    trie = trie_new(3);
    added_count = 0;
}

static void remove_at(size_t i)
{
    trie_remove(trie, added[i]);
    mem_free(added[i]);
    added[i] = added[--added_count];
}

static void close_trie(void)
{
    while (added_count)
        remove_at(added_count - 1);
    ck_assert_uint_eq(0, trie_nodes(trie));
    trie_free(&trie);
    ck_assert_ptr_null(trie);
}

static void add(struct bytes pattern)
{
    struct binding *b = mem_zalloc(sizeof *b + pattern.n);

    if (pattern.n)
        memcpy(b->bytes, pattern.p, pattern.n);
    b->key_n = b->bytes_n = (uint32_t)pattern.n;
    ck_assert_uint_lt(added_count, MANY);
    added[added_count++] = b;
    trie_add(trie, b);
}

static size_t chain_length(const struct binding *b)
{
    size_t n = 0;

    for (; b; b = b->next_same)
        n++;
    return n;
}

static size_t matches(struct bytes key)
{
    size_t count, n = 0;
    struct binding *const *hit = trie_match(trie, key, &count);

    for (size_t i = 0; i < count; i++)
        n += chain_length(hit[i]);
    return n;
}

static bool hit_has(struct bytes key, const struct binding *want)
{
    size_t count, found = 0;
    struct binding *const *hit = trie_match(trie, key, &count);

    for (size_t i = 0; i < count; i++)
        for (const struct binding *b = hit[i]; b; b = b->next_same)
            found += b == want;
    ck_assert_uint_le(found, 1);
    return found == 1;
}

START_TEST(patterns_match_as_amqp_says)
{
    static const struct {
        const char *pattern, *key;
        bool match;
    } cases[] = {
        { "a.b", "a.b", true },      { "a.b", "a", false },        { "a", "a.b", false },
        { "*", "a", true },          { "*", "a.b", false },        { "*", "", false },
        { "a.*", "a.", true },       { "*.*", ".", true },         { "#", "", true },
        { "#", "a.b.c", true },      { "a.#", "a", true },         { "a.#", "a.b.c", true },
        { "#.a", "a", true },        { "#.a", "b.a.a", true },     { "#.a", "a.b", false },
        { "a.#.b", "a.b", true },    { "a.#.b", "a.x.y.b", true }, { "#.#", "", true },
        { "#.*", "", false },        { "#.*", "a", true },         { "*.#", "a.b", true },
        { "#.a.#", "x.a.y", true },  { "#.a.#", "x.y", false },    { "", "", true },
        { "", "a", false },          { "a..b", "a..b", true },     { "a..b", "a.b", false },
        { "*.*.#", "a", false },     { "#.b.#.b.#", "b.b", true }, { "a/b", "a/b", true },
        { "#.b.#.b.#", "b", false }, { "+", "a", false },          { "a*", "ab", false },
    };
    const char *pattern = cases[_i].pattern, *key = cases[_i].key;

    add(bytes_str(pattern));
    ck_assert_msg(matches(bytes_str(key)) == cases[_i].match, "%s on %s", pattern, key);
    ck_assert_int_eq(cases[_i].match, topic_match(bytes_str(pattern), bytes_str(key)));
}
END_TEST

START_TEST(each_binding_that_matches_comes_once)
{
    add(BYTES("#"));
    add(BYTES("#.#"));
    add(BYTES("#.a.#"));
    add(BYTES("#.a.#")); /* another queue, the same pattern */
    add(BYTES("a.a.a"));
    ck_assert_uint_eq(5, matches(BYTES("a.a.a")));
    ck_assert_uint_eq(2, matches(BYTES("")));
}
END_TEST

START_TEST(removing_the_last_binding_of_a_pattern_removes_its_nodes)
{
    add(BYTES("a.b.c"));
    add(BYTES("a.b"));
    add(BYTES("a.*.#"));
    add(BYTES("a.b"));
    ck_assert_uint_eq(5, trie_nodes(trie));
    remove_at(3);
    ck_assert_uint_eq(5, trie_nodes(trie));
    remove_at(0); /* a.b.c: only c goes */
    ck_assert_uint_eq(4, trie_nodes(trie));
    ck_assert_uint_eq(2, matches(BYTES("a.b")));
}
END_TEST

START_TEST(a_trie_with_bindings_left_can_be_freed)
{
    static const char *const patterns[] = { "*.#.a.*.b", "#.*.#", "a.*.*.#.c", "" };

    for (size_t i = 0; i < 4; i++)
        add(bytes_str(patterns[i]));
    trie_free(&trie);
    trie_free(&trie); /* NULL by now */
    while (added_count)
        mem_free(added[--added_count]);
    open_trie();
}
END_TEST

/* 256 empty words against patterns that can place them in very many ways. */
START_TEST(the_worst_pattern_costs_words_times_nodes)
{
    char key[255], pattern[255];

    memset(key, '.', sizeof key);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = i % 2 ? '.' : '#';
    pattern[254] = 'x';
    add(bytes_of(pattern, 255));
    pattern[254] = '*';
    add(bytes_of(pattern, 255));
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(1, matches(bytes_of(key, 255)));
}
END_TEST

/* SplitMix64, so that a run is the same everywhere. */
static uint64_t random_next(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Up to five words of a small alphabet, so that they meet often. */
static struct bytes random_words(uint8_t out[32], const char *const words[], size_t word_count)
{
    uint64_t count = random_next() % 6;
    size_t n = 0;

    for (uint64_t i = 0; i < count; i++) {
        const char *word = words[random_next() % word_count];

        if (i > 0)
            out[n++] = '.';
        memcpy(out + n, word, strlen(word));
        n += strlen(word);
    }
    return bytes_of(out, n);
}

static void compare_all(struct bytes key, int seed)
{
    for (size_t i = 0; i < added_count; i++)
        ck_assert_msg(hit_has(key, added[i]) == topic_match(binding_key(added[i]), key),
                      "seed %d: %.*s on %.*s", seed, BYTES_FMT(binding_key(added[i])),
                      BYTES_FMT(key));
}

START_TEST(the_trie_agrees_with_topic_match)
{
    static const char *const pattern_words[] = { "a", "b", "", "*", "#", "#", "*" };
    static const char *const key_words[] = { "a", "b", "", "c" };
    uint8_t text[32];

    random_state = (uint64_t)_i;
    for (int round = 0; round < 400; round++) {
        if (added_count > 0 && (added_count == MANY || random_next() % 3 == 0))
            remove_at(random_next() % added_count);
        else
            add(random_words(text, pattern_words, 7));
        compare_all(random_words(text, key_words, 4), _i);
    }
}
END_TEST

Suite *trie_suite(void);

Suite *trie_suite(void)
{
    Suite *s = suite_create("trie");
    TCase *t = tcase_create("trie");

    tcase_add_checked_fixture(t, open_trie, close_trie);
    tcase_add_loop_test(t, patterns_match_as_amqp_says, 0, 33);
    tcase_add_test(t, each_binding_that_matches_comes_once);
    tcase_add_test(t, removing_the_last_binding_of_a_pattern_removes_its_nodes);
    tcase_add_test(t, a_trie_with_bindings_left_can_be_freed);
    tcase_add_test(t, the_worst_pattern_costs_words_times_nodes);
    tcase_add_loop_test(t, the_trie_agrees_with_topic_match, 0, 12);
    suite_add_tcase(s, t);
    return s;
}
