// SPDX-License-Identifier: MIT
/* The last message of each routing key. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/topic.h"
#include "tests/lib/core_rig.h"

static struct rig r;
static struct buf text;
static const char *why;

static void setup(void)
{
    rig_open(&r, NULL);
    why = NULL;
}

static void teardown(void)
{
    rig_close(&r);
    buf_fini(&text);
}

static enum err retain_until(const char *key, struct bytes body, bool has_ttl, uint64_t ttl_ms)
{
    struct publish p = { .m = { .exchange = BYTES("amq.topic"),
                                .routing_key = bytes_str(key),
                                .props = BYTES("props"),
                                .body = body,
                                .body_size = body.n },
                         .has_ttl = has_ttl,
                         .ttl_ms = ttl_ms };
    enum err e = core_retain(r.core, r.client, &p, &why, r.now_ms);

    ck_assert(core_check(r.core));
    return e;
}

static void retain(const char *key, const char *body)
{
    ck_assert_int_eq(retain_until(key, bytes_str(body), false, 0), OK);
}

static void retain_for(const char *key, const char *body, uint64_t ttl_ms)
{
    ck_assert_int_eq(retain_until(key, bytes_str(body), true, ttl_ms), OK);
}

static size_t find_in(struct bytes vhost, const char *pattern, bool skip_dollar,
                      const struct retained_view **out)
{
    size_t n = core_retained_find(r.core, core_vhost_find(r.core, vhost), bytes_str(pattern),
                                  skip_dollar, out, r.now_ms);

    ck_assert(core_check(r.core));
    return n;
}

/* "key=body key=body", without those that begin with '$'. */
static const char *found(const char *pattern)
{
    const struct retained_view *v;
    size_t n = find_in(BYTES("/"), pattern, true, &v);

    text.n = 0;
    for (size_t i = 0; i < n; i++)
        buf_fmt(&text, "%s%.*s=%.*s", i ? " " : "", BYTES_FMT(v[i].routing_key),
                BYTES_FMT(v[i].body));
    buf_u8(&text, 0);
    return (const char *)text.p;
}

static uint64_t rows(void)
{
    return mem_disk_stats(r.disk).retained;
}

/* ---- what is kept ---- */

START_TEST(the_last_message_of_a_key_is_kept)
{
    const struct retained_view *v;

    retain("a.b", "one");
    retain("a.c", "two");
    r.now_ms += 5;
    retain("a.b", "three");
    ck_assert_str_eq(found("a.b"), "a.b=three");
    ck_assert_str_eq(found("a.*"), "a.b=three a.c=two");
    ck_assert_uint_eq(find_in(BYTES("/"), "a.b", false, &v), 1);
    ck_assert(bytes_eq(v->props, BYTES("props")));
    ck_assert_uint_eq(v->stored_ms, r.now_ms);
    ck_assert_uint_eq(v->expires_ms, 0);
    ck_assert_uint_eq(rig_stats(&r).retained, 2);
}
END_TEST

START_TEST(an_empty_body_removes_it)
{
    uint64_t empty = rig_stats(&r).retained_bytes;

    retain("a.b.c", "one");
    ck_assert_uint_gt(rig_stats(&r).retained_bytes, empty + 3);
    rig_run(&r);
    ck_assert_uint_eq(rows(), 1);
    retain("a.b.c", "");
    ck_assert_str_eq(found("#"), "");
    ck_assert_uint_eq(rig_stats(&r).retained, 0);
    rig_run(&r);
    ck_assert_uint_eq(rows(), 0);
    retain("a.b.c", "");
    retain("x", "");
    rig_run(&r);
    ck_assert_uint_lt(rig_stats(&r).retained_bytes, 200); /* the root of the tree */
}
END_TEST

START_TEST(it_survives_a_crash_though_it_was_not_persistent)
{
    retain("a.b", "one");
    retain_for("a.c", "two", 5000);
    retain("a.d", "three");
    rig_run(&r);
    retain("a.d", "");
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_str_eq(found("#"), "a.b=one a.c=two");
    const struct retained_view *v;
    ck_assert_uint_eq(find_in(BYTES("/"), "a.c", true, &v), 1);
    ck_assert(bytes_eq(v->props, BYTES("props")));
    ck_assert_uint_eq(v->stored_ms, r.now_ms);
    ck_assert_uint_eq(v->expires_ms, r.now_ms + 5000);
    rig_restart(&r);
    ck_assert_str_eq(found("#"), "a.b=one a.c=two");
}
END_TEST

START_TEST(what_was_not_committed_is_as_before)
{
    retain("a", "one");
    retain("b", "two");
    rig_run(&r);
    r.hold_commits = true;
    retain("a", "new");
    retain("b", "");
    retain("c", "new");
    rig_turn(&r);
    rig_crash(&r, false);
    ck_assert_str_eq(found("#"), "a=one b=two");
    retain("a", "new");
    retain("b", "");
    rig_turn(&r);
    retain("a", "newer");
    retain("b", "newer");
    rig_crash(&r, true);
    ck_assert_str_eq(found("#"), "a=new");
}
END_TEST

START_TEST(a_confirm_after_it_waits_until_it_is_on_disk)
{
    r.hold_commits = true;
    retain("a", "one");
    ck_assert_uint_eq(core_confirm(r.core, r.client, false), 1);
    rig_turn(&r);
    ck_assert_uint_eq(rig_confirmed(&r, r.client), 0);
    rig_commit(&r);
    rig_turn(&r);
    ck_assert_uint_eq(rig_confirmed(&r, r.client), 1);
    retain("a", "");
    ck_assert_uint_eq(core_confirm(r.core, r.client, false), 2);
    rig_turn(&r);
    ck_assert_uint_eq(rig_confirmed(&r, r.client), 1);
    rig_commit(&r);
    rig_turn(&r);
    ck_assert_uint_eq(rig_confirmed(&r, r.client), 2);
}
END_TEST

START_TEST(several_changes_of_a_commit_are_written_once)
{
    r.hold_commits = true;
    retain("a", "one");
    retain("a", "");
    retain("a", "two");
    retain("b", "three");
    retain("b", "");
    rig_turn(&r);
    ck_assert_uint_eq(rig_ops(&r, OP_RETAINED_PUT), 1);
    ck_assert_uint_eq(rig_ops(&r, OP_RETAINED_DELETE), 0);
    rig_commit(&r);
    retain("a", "three");
    retain("a", "");
    rig_turn(&r);
    ck_assert_uint_eq(r.under_way->op_count, 1);
    ck_assert_uint_eq(rig_ops(&r, OP_RETAINED_DELETE), 1);
    rig_commit(&r);
    ck_assert_uint_eq(rows(), 0);
}
END_TEST

START_TEST(it_may_go_while_it_is_being_written)
{
    r.hold_commits = true;
    retain("a.b", "one");
    rig_turn(&r);
    retain("a.b", "");
    r.hold_commits = false;
    rig_commit(&r);
    ck_assert_uint_eq(rows(), 1);
    rig_run(&r);
    ck_assert_uint_eq(rows(), 0);
    rig_crash(&r, false);
    ck_assert_str_eq(found("#"), "");
}
END_TEST

START_TEST(each_vhost_has_its_own)
{
    const struct retained_view *v;

    ck_assert_int_eq(core_vhost_add(r.core, BYTES("other")), OK);
    retain("a", "one");
    ck_assert_uint_eq(find_in(BYTES("other"), "#", true, &v), 0);
    ck_assert_uint_eq(find_in(BYTES("/"), "#", true, &v), 1);
    ck_assert_uint_eq(core_retained_find(r.core, 4711, BYTES("#"), true, &v, r.now_ms), 0);
}
END_TEST

START_TEST(bodies_and_keys_of_any_bytes_are_kept)
{
    static const uint8_t body[] = { 0, 1, 0, 255 };
    const struct retained_view *v;

    ck_assert_int_eq(retain_until("\xff\xfe.", bytes_of(body, sizeof body), false, 0), OK);
    ck_assert_int_eq(retain_until("", BYTES("none"), false, 0), OK);
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_uint_eq(find_in(BYTES("/"), "\xff\xfe.", true, &v), 1);
    ck_assert(bytes_eq(v->body, bytes_of(body, sizeof body)));
    ck_assert(bytes_eq(v->routing_key, BYTES("\xff\xfe.")));
    ck_assert_str_eq(found(""), "=none");
    retain("\xff\xfe.", "");
    retain("", "");
    rig_run(&r);
    ck_assert_uint_eq(rows(), 0);
}
END_TEST

/* ---- expiry ---- */

START_TEST(an_expired_one_is_not_found_and_goes)
{
    retain_for("a", "one", 1000);
    retain("b", "two");
    rig_run(&r);
    r.now_ms += 999;
    ck_assert_str_eq(found("#"), "a=one b=two");
    r.now_ms += 1;
    ck_assert_str_eq(found("#"), "b=two");
    ck_assert_uint_eq(rig_stats(&r).retained, 1);
    rig_run(&r);
    ck_assert_uint_eq(rows(), 1);
}
END_TEST

START_TEST(it_goes_by_itself_too)
{
    retain_for("a", "one", 1000);
    retain_for("b", "two", 500);
    rig_run(&r);
    ck_assert_uint_eq(core_next_at_ms(r.core), r.now_ms + 500);
    rig_later(&r, 500);
    ck_assert_uint_eq(rows(), 1);
    ck_assert_uint_eq(core_next_at_ms(r.core), r.now_ms + 500);
    rig_later(&r, 500);
    ck_assert_uint_eq(rows(), 0);
    ck_assert_uint_eq(rig_stats(&r).retained, 0);
    ck_assert_uint_eq(core_next_at_ms(r.core), UINT64_MAX);
}
END_TEST

START_TEST(the_next_message_of_the_key_has_its_own_time)
{
    retain_for("a", "one", 1000);
    retain("a", "two");
    rig_later(&r, 2000);
    ck_assert_str_eq(found("#"), "a=two");
    retain_for("a", "three", 1000);
    rig_later(&r, 999);
    retain_for("a", "four", 1000);
    rig_later(&r, 999);
    ck_assert_str_eq(found("#"), "a=four");
    retain_for("a", "five", UINT64_MAX);
    rig_later(&r, 100000);
    ck_assert_str_eq(found("#"), "a=five");
}
END_TEST

START_TEST(time_goes_on_while_nothing_runs)
{
    retain_for("a", "one", 1000);
    retain_for("b", "two", 5000);
    rig_run(&r);
    r.now_ms += 1000;
    rig_crash(&r, false);
    ck_assert_str_eq(found("#"), "b=two");
    rig_run(&r);
    ck_assert_uint_eq(rows(), 1);
    rig_later(&r, 4000);
    ck_assert_uint_eq(rows(), 0);
}
END_TEST

START_TEST(many_that_expire_at_once_go_over_several_turns_and_are_not_found)
{
    const struct retained_view *v;
    char key[16];

    for (unsigned i = 0; i < 10000; i++) {
        struct publish p = { .m.body = BYTES("x"), .has_ttl = true, .ttl_ms = 1000 };
        (void)snprintf(key, sizeof key, "k.%u", i);
        p.m.routing_key = bytes_str(key);
        ck_assert_int_eq(core_retain(r.core, r.client, &p, &why, r.now_ms), OK);
    }
    rig_run(&r);
    r.now_ms += 1000;
    ck_assert_uint_eq(find_in(BYTES("/"), "#", true, &v), 0);
    ck_assert_uint_gt(rig_stats(&r).retained, 0);
    rig_turn(&r);
    ck_assert_uint_gt(rig_stats(&r).retained, 0);
    ck_assert_uint_le(core_next_at_ms(r.core), r.now_ms);
    rig_turn(&r);
    ck_assert_uint_eq(rig_stats(&r).retained, 0);
    rig_run(&r);
    ck_assert_uint_eq(rows(), 0);
}
END_TEST

/* ---- limits ---- */

START_TEST(no_more_are_kept_than_may_be)
{
    r.opt.retained = 2;
    rig_crash(&r, false);
    retain("a", "one");
    retain("b", "two");
    ck_assert_int_eq(retain_until("c", BYTES("three"), false, 0), ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(why, "too many retained"));
    ck_assert_uint_eq(rig_stats(&r).refused, 1);
    retain("a", "again");
    retain("b", "");
    retain("c", "three");
    ck_assert_str_eq(found("#"), "a=again c=three");
}
END_TEST

START_TEST(none_are_kept_when_none_may_be)
{
    r.opt.retained = 0;
    rig_crash(&r, false);
    ck_assert_int_eq(retain_until("a", BYTES("one"), false, 0), ERR_LIMIT);
    retain("a", "");
    ck_assert_str_eq(found("#"), "");
}
END_TEST

START_TEST(their_memory_has_a_limit)
{
    uint8_t body[1000] = { 'x' };
    struct bytes large = bytes_of(body, sizeof body);
    char key[16];
    int n = 0;

    r.opt.retained_bytes = 20000;
    rig_crash(&r, false);
    do
        (void)snprintf(key, sizeof key, "k.%d", n++);
    while (retain_until(key, large, false, 0) == OK);
    ck_assert_int_gt(n, 10);
    ck_assert_int_lt(n, 20);
    ck_assert_ptr_nonnull(strstr(why, "memory"));
    ck_assert_uint_le(rig_stats(&r).retained_bytes, 20000);
    ck_assert_uint_gt(rig_stats(&r).retained_bytes, 18000);
    rig_run(&r);
    r.opt.retained_bytes = 100;
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_stats(&r).retained, (unsigned)n - 1); /* what is there stays there */
    ck_assert_int_eq(retain_until("k.0", large, false, 0), OK);
    ck_assert_int_eq(retain_until("k.0", BYTES("small"), false, 0), OK);
    ck_assert_int_eq(retain_until("k.0", large, false, 0), ERR_LIMIT);
    ck_assert_int_eq(retain_until("k.0", BYTES(""), false, 0), OK);
}
END_TEST

START_TEST(a_body_of_a_mebibyte_is_kept_and_no_larger_one)
{
    uint8_t *body = mem_zalloc(RETAINED_BODY_MAX_BYTES + 1);
    struct publish p = { .m = { .routing_key = BYTES("a"), .blob_id = 1, .body_size = 300000 } };
    const struct retained_view *v;

    ck_assert_int_eq(retain_until("a", bytes_of(body, RETAINED_BODY_MAX_BYTES + 1), false, 0),
                     ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(why, "too large"));
    ck_assert_int_eq(core_retain(r.core, r.client, &p, &why, r.now_ms), ERR_LIMIT);
    ck_assert_int_eq(retain_until("a", bytes_of(body, RETAINED_BODY_MAX_BYTES), false, 0), OK);
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_uint_eq(find_in(BYTES("/"), "a", true, &v), 1);
    ck_assert_uint_eq(v->body.n, RETAINED_BODY_MAX_BYTES);
    mem_free(body);
}
END_TEST

START_TEST(a_key_too_long_or_with_a_nul_is_invalid)
{
    char key[257];
    struct publish p = { .m = { .routing_key = BYTES("a\0b"), .body = BYTES("x") } };

    memset(key, 'a', sizeof key);
    key[256] = 0;
    ck_assert_int_eq(retain_until(key, BYTES("x"), false, 0), ERR_INVALID);
    key[255] = 0;
    ck_assert_int_eq(retain_until(key, BYTES("x"), false, 0), OK);
    memset(key, '.', 255);
    ck_assert_int_eq(retain_until(key, BYTES("x"), false, 0), OK);
    ck_assert_int_eq(core_retain(r.core, r.client, &p, &why, r.now_ms), ERR_INVALID);
    ck_assert_int_eq(core_retain(r.core, r.client, &p, NULL, r.now_ms), ERR_INVALID);
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_uint_eq(rig_stats(&r).retained, 2);
}
END_TEST

START_TEST(on_a_full_disk_only_removing_is_allowed)
{
    retain("a", "one");
    rig_run(&r);
    core_disk_free(r.core, 10);
    ck_assert_int_eq(retain_until("a", BYTES("two"), false, 0), ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(why, "disk"));
    retain("a", "");
    ck_assert_str_eq(found("#"), "");
    core_disk_free(r.core, UINT64_MAX);
    retain("a", "three");
}
END_TEST

START_TEST(much_at_once_holds_publishers_back)
{
    static const uint8_t body[10000] = { 'x' };

    r.opt.uncommitted_bytes = 50000;
    rig_crash(&r, false);
    rig_run(&r);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(retain_until("a", bytes_of(body, sizeof body), false, 0), OK);
    ck_assert_int_eq(core_pressure(r.core), CORE_PRESSURE_MEMORY);
    rig_run(&r);
    ck_assert_int_eq(core_pressure(r.core), CORE_PRESSURE_NONE);
}
END_TEST

/* ---- patterns ---- */

START_TEST(a_pattern_finds_what_it_matches_by_rising_key)
{
    static const char *const keys[] = { "b",  "a",  "a.b", "a.b.c", "a.c",    "a.c.c",
                                        ".a", "a.", ".",   "x.y.z", "$SYS.a", "$SYS.a.b" };
    static const struct {
        const char *pattern, *want;
    } cases[] = {
        { "a", "a=a" },
        { "nothing", "" },
        { "a.*", "a.=a. a.b=a.b a.c=a.c" },
        { "a.#", "a=a a.=a. a.b=a.b a.b.c=a.b.c a.c=a.c a.c.c=a.c.c" },
        { "*", "a=a b=b" },
        { "*.*", ".=. .a=.a a.=a. a.b=a.b a.c=a.c" },
        { "*.*.c", "a.b.c=a.b.c a.c.c=a.c.c" },
        { "#.c", "a.b.c=a.b.c a.c=a.c a.c.c=a.c.c" },
        { "#.c.#", "a.b.c=a.b.c a.c=a.c a.c.c=a.c.c" },
        { "a.#.c", "a.b.c=a.b.c a.c=a.c a.c.c=a.c.c" },
        { "a.#.#.c.#", "a.b.c=a.b.c a.c=a.c a.c.c=a.c.c" },
        { "*.#.*", ".=. .a=.a a.=a. a.b=a.b a.b.c=a.b.c a.c=a.c a.c.c=a.c.c x.y.z=x.y.z" },
        { ".*", ".=. .a=.a" },
        { "*.", ".=. a.=a." },
        { "$SYS.#", "$SYS.a=$SYS.a $SYS.a.b=$SYS.a.b" },
        { "$SYS.*", "$SYS.a=$SYS.a" },
        { "*.a", ".a=.a" },
        { "", "" },
    };

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        retain(keys[i], keys[i]);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(strcmp(found(cases[i].pattern), cases[i].want) == 0, "%s: %s",
                      cases[i].pattern, found(cases[i].pattern));
}
END_TEST

START_TEST(a_leading_wildcard_may_take_dollars_or_not)
{
    const struct retained_view *v;

    retain("$SYS", "one");
    retain("$SYS.a", "two");
    retain("a.$SYS", "three");
    ck_assert_str_eq(found("#"), "a.$SYS=three");
    ck_assert_str_eq(found("*"), "");
    ck_assert_str_eq(found("*.*"), "a.$SYS=three");
    ck_assert_str_eq(found("#.a"), "");
    ck_assert_str_eq(found("a.*"), "a.$SYS=three");
    ck_assert_uint_eq(find_in(BYTES("/"), "#", false, &v), 3);
    ck_assert_uint_eq(find_in(BYTES("/"), "*", false, &v), 1);
    ck_assert_uint_eq(find_in(BYTES("/"), "#.a", false, &v), 1);
}
END_TEST

static uint32_t rnd(uint64_t *state, uint32_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % below;
}

static void random_words(uint64_t *state, bool pattern, char out[24])
{
    static const char *const words[] = { "a", "b", "", "cc", "*", "#", "#" };
    uint32_t n = 1 + rnd(state, 4);
    int at = 0;

    for (uint32_t i = 0; i < n; i++)
        at += snprintf(out + at, 24 - (size_t)at, "%s%s", i ? "." : "",
                       words[rnd(state, pattern ? 7 : 4)]);
}

/* Against the matcher that looks at one key at a time; keys come and go. */
START_TEST(the_tree_finds_what_the_plain_matcher_finds)
{
    uint64_t state = 1000 + (uint64_t)_i;
    static char keys[60][24];
    static bool there[60];
    char pattern[24];

    memset(there, 0, sizeof there);
    for (unsigned i = 0; i < 60; i++) {
        random_words(&state, false, keys[i]);
        for (unsigned k = 0; k < i; k++)
            if (strcmp(keys[k], keys[i]) == 0)
                (void)snprintf(keys[i], sizeof keys[i], "a.%u", i);
    }
    for (unsigned step = 0; step < 300; step++) {
        unsigned k = rnd(&state, 60), n = 0;
        const struct retained_view *v;

        there[k] = rnd(&state, 2);
        retain(keys[k], there[k] ? "x" : "");
        if (rnd(&state, 4) == 0)
            rig_turn(&r);
        random_words(&state, true, pattern);
        for (unsigned i = 0; i < 60; i++)
            n += there[i] && topic_match(bytes_str(pattern), bytes_str(keys[i]));
        ck_assert_msg(find_in(BYTES("/"), pattern, false, &v) == n, "%s", pattern);
        for (unsigned i = 0; i < n; i++) {
            ck_assert(topic_match(bytes_str(pattern), v[i].routing_key));
            ck_assert(i == 0 || bytes_cmp(v[i - 1].routing_key, v[i].routing_key) < 0);
        }
    }
    rig_run(&r);
    char *before = mem_strdup(found("#"));
    r.hold_commits = true;
    for (unsigned i = 0; i < 10; i++) {
        retain(keys[rnd(&state, 60)], rnd(&state, 2) ? "y" : "");
        rig_turn(&r);
    }
    rig_crash(&r, false);
    ck_assert_str_eq(found("#"), before);
    mem_free(before);
}
END_TEST

/* A look-up with a known beginning does not walk the others. */
START_TEST(many_keys_and_many_answers_are_no_trouble)
{
    const struct retained_view *v;
    char key[32];

    for (unsigned i = 0; i < 3000; i++) {
        struct publish p = { .m = { .routing_key = bytes_of(key, 0), .body = BYTES("x") } };
        (void)snprintf(key, sizeof key, "a.%u.state", i);
        p.m.routing_key = bytes_str(key);
        ck_assert_int_eq(core_retain(r.core, r.client, &p, &why, r.now_ms), OK);
    }
    rig_run(&r);
    ck_assert_uint_eq(find_in(BYTES("/"), "a.*.state", true, &v), 3000);
    ck_assert_uint_eq(find_in(BYTES("/"), "a.77.#", true, &v), 1);
    ck_assert(bytes_eq(v->routing_key, BYTES("a.77.state")));
    rig_crash(&r, false);
    ck_assert_uint_eq(find_in(BYTES("/"), "#.state", true, &v), 3000);
    ck_assert_uint_eq(rig_stats(&r).retained, 3000);
}
END_TEST

Suite *retained_suite(void);

Suite *retained_suite(void)
{
    Suite *s = suite_create("retained");
    TCase *t = tcase_create("kept"), *e = tcase_create("expiry"), *l = tcase_create("limits"),
          *p = tcase_create("patterns");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_last_message_of_a_key_is_kept);
    tcase_add_test(t, an_empty_body_removes_it);
    tcase_add_test(t, it_survives_a_crash_though_it_was_not_persistent);
    tcase_add_test(t, what_was_not_committed_is_as_before);
    tcase_add_test(t, a_confirm_after_it_waits_until_it_is_on_disk);
    tcase_add_test(t, several_changes_of_a_commit_are_written_once);
    tcase_add_test(t, it_may_go_while_it_is_being_written);
    tcase_add_test(t, each_vhost_has_its_own);
    tcase_add_test(t, bodies_and_keys_of_any_bytes_are_kept);
    suite_add_tcase(s, t);

    tcase_add_checked_fixture(e, setup, teardown);
    tcase_add_test(e, an_expired_one_is_not_found_and_goes);
    tcase_add_test(e, it_goes_by_itself_too);
    tcase_add_test(e, the_next_message_of_the_key_has_its_own_time);
    tcase_add_test(e, time_goes_on_while_nothing_runs);
    tcase_add_test(e, many_that_expire_at_once_go_over_several_turns_and_are_not_found);
    suite_add_tcase(s, e);

    tcase_add_checked_fixture(l, setup, teardown);
    tcase_add_test(l, no_more_are_kept_than_may_be);
    tcase_add_test(l, none_are_kept_when_none_may_be);
    tcase_add_test(l, their_memory_has_a_limit);
    tcase_add_test(l, a_body_of_a_mebibyte_is_kept_and_no_larger_one);
    tcase_add_test(l, a_key_too_long_or_with_a_nul_is_invalid);
    tcase_add_test(l, on_a_full_disk_only_removing_is_allowed);
    tcase_add_test(l, much_at_once_holds_publishers_back);
    suite_add_tcase(s, l);

    tcase_add_checked_fixture(p, setup, teardown);
    tcase_add_test(p, a_pattern_finds_what_it_matches_by_rising_key);
    tcase_add_test(p, a_leading_wildcard_may_take_dollars_or_not);
    tcase_add_loop_test(p, the_tree_finds_what_the_plain_matcher_finds, 0, 8);
    tcase_add_test(p, many_keys_and_many_answers_are_no_trouble);
    suite_add_tcase(s, p);
    return s;
}
