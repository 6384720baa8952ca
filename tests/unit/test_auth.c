// SPDX-License-Identifier: MIT
#include <check.h>
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "broker/session/auth.h"
#include "broker/session/session.h"
#include "broker/session/siphash.h"

Suite *auth_suite(void);

enum { SESSIONS = 100 };

static struct auth *auth;
static struct session_env env;
static struct session sessions[SESSIONS];
static int answer[SESSIONS]; /* -1: none yet */
static unsigned answers;
static char *hash;

static void on_auth_done(struct session *s, bool accepted)
{
    answer[s - sessions] = accepted;
    answers++;
}

static const struct session_ops ops = { .name = "none", .auth_done = on_auth_done };

static void setup(void)
{
    ck_assert_int_eq(auth_new(&auth), OK);
    env = (struct session_env){ .auth = auth };
    answers = 0;
    for (unsigned i = 0; i < SESSIONS; i++) {
        sessions[i] = (struct session){ .ops = &ops, .env = &env };
        answer[i] = -1;
    }
    hash = auth_hash(BYTES("secret"), true);
}

static void teardown(void)
{
    auth_free(&auth);
    mem_free(hash);
}

static bool check(unsigned i, const char *user, const char *password, bool *accepted)
{
    return auth_check(auth, &sessions[i], bytes_str(user), bytes_str(password), bytes_str(hash),
                      accepted);
}

static void run_until(unsigned count)
{
    struct pollfd p = { .fd = auth_fd(auth), .events = POLLIN };

    for (unsigned i = 0; i < 1000 && answers < count; i++) {
        ck_assert_int_eq(poll(&p, 1, 5000), 1);
        auth_run(auth);
    }
    ck_assert_uint_eq(answers, count);
}

/* From the reference implementation: key 00..0f, input 00 01 02 ... */
START_TEST(siphash_gives_the_reference_vectors)
{
    static const struct {
        size_t n;
        uint8_t out[16];
    } vector[] = {
        { 0,
          { 0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55,
            0x02, 0x93 } },
        { 1,
          { 0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22,
            0xfc, 0x45 } },
        { 8,
          { 0x3b, 0x62, 0xa9, 0xba, 0x62, 0x58, 0xf5, 0x61, 0x0f, 0x83, 0xe2, 0x64, 0xf3, 0x14,
            0x97, 0xb4 } },
    };
    uint8_t key[16], in[16], out[16];

    for (unsigned i = 0; i < 16; i++)
        key[i] = in[i] = (uint8_t)i;
    for (unsigned i = 0; i < 3; i++) {
        siphash(key, bytes_of(in, vector[i].n), out);
        ck_assert_mem_eq(out, vector[i].out, 16);
    }
}
END_TEST

START_TEST(right_password_is_accepted_and_then_remembered)
{
    bool accepted = false;

    ck_assert(!check(0, "u", "secret", &accepted));
    run_until(1);
    ck_assert_int_eq(answer[0], true);
    ck_assert(sessions[0].touched);
    ck_assert(check(1, "u", "secret", &accepted));
    ck_assert(accepted);
}
END_TEST

START_TEST(wrong_password_is_refused_late_each_time)
{
    bool accepted = true;

    for (unsigned i = 0; i < 2; i++) {
        uint64_t began = clock_monotonic_ns();

        ck_assert(!check(i, "u", "Secret", &accepted));
        run_until(i + 1);
        ck_assert_int_eq(answer[i], false);
        ck_assert_uint_ge(clock_monotonic_ns() - began, 400 * 1000000ULL);
    }
}
END_TEST

START_TEST(unknown_user_and_hash_that_is_none_are_refused)
{
    bool accepted;

    ck_assert(!auth_check(auth, &sessions[0], BYTES("x"), BYTES("secret"), BYTES(""), &accepted));
    ck_assert(!auth_check(auth, &sessions[1], BYTES("u"), BYTES("secret"), BYTES("*"), &accepted));
    ck_assert(!auth_check(auth, &sessions[2], BYTES("u"), BYTES("secret\0x"), bytes_str(hash),
                          &accepted));
    run_until(3);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(answer[i], false);
}
END_TEST

START_TEST(new_hash_forgets_what_was_remembered)
{
    bool accepted;

    ck_assert(!check(0, "u", "secret", &accepted));
    run_until(1);
    mem_free(hash);
    hash = auth_hash(BYTES("other"), true);
    ck_assert(!check(1, "u", "secret", &accepted));
    run_until(2);
    ck_assert_int_eq(answer[1], false);
}
END_TEST

/* A thousand clients that come back at once are one computation. */
START_TEST(same_question_of_many_is_answered_once)
{
    bool accepted;

    for (unsigned i = 0; i < SESSIONS; i++)
        ck_assert(!check(i, "u", "secret", &accepted));
    run_until(SESSIONS);
    for (unsigned i = 0; i < SESSIONS; i++)
        ck_assert_int_eq(answer[i], true);
}
END_TEST

START_TEST(session_that_went_gets_no_answer)
{
    bool accepted;

    ck_assert(!check(0, "u", "secret", &accepted));
    ck_assert(!check(1, "u", "secret", &accepted));
    auth_forget(auth, &sessions[0]);
    auth_forget(auth, &sessions[0]);
    run_until(1);
    ck_assert_int_eq(answer[0], -1);
    ck_assert_int_eq(answer[1], true);
}
END_TEST

/* Ninety guesses at one user wait in that user's lane; another is served next. */
START_TEST(flood_of_guesses_does_not_keep_others_out)
{
    char guess[16];
    bool accepted;

    for (unsigned i = 0; i < 90; i++) {
        (void)snprintf(guess, sizeof guess, "guess%u", i);
        ck_assert(!check(i, "victim", guess, &accepted));
    }
    ck_assert(!check(95, "good", "secret", &accepted));
    run_until(1);
    ck_assert_int_eq(answer[95], true);
    run_until(91);
    for (unsigned i = 0; i < 90; i++)
        ck_assert_int_eq(answer[i], false);
}
END_TEST

START_TEST(hashes_are_salted_and_checked)
{
    char *again = auth_hash(BYTES("secret"), true), *costly = auth_hash(BYTES("secret"), false);

    ck_assert_str_ne(hash, again);
    ck_assert(auth_matches(BYTES("secret"), bytes_str(costly)));
    ck_assert(!auth_matches(BYTES("secre"), bytes_str(costly)));
    ck_assert(!auth_matches(BYTES("secret"), BYTES("")));
    mem_free(again);
    mem_free(costly);
}
END_TEST

START_TEST(end_with_questions_open_frees_all)
{
    bool accepted;

    for (unsigned i = 0; i < 10; i++)
        ck_assert(!check(i, "u", i % 2 ? "a" : "secret", &accepted));
}
END_TEST

Suite *auth_suite(void)
{
    Suite *s = suite_create("auth");
    TCase *t = tcase_create("all");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, siphash_gives_the_reference_vectors);
    tcase_add_test(t, right_password_is_accepted_and_then_remembered);
    tcase_add_test(t, wrong_password_is_refused_late_each_time);
    tcase_add_test(t, unknown_user_and_hash_that_is_none_are_refused);
    tcase_add_test(t, new_hash_forgets_what_was_remembered);
    tcase_add_test(t, same_question_of_many_is_answered_once);
    tcase_add_test(t, session_that_went_gets_no_answer);
    tcase_add_test(t, flood_of_guesses_does_not_keep_others_out);
    tcase_add_test(t, hashes_are_salted_and_checked);
    tcase_add_test(t, end_with_questions_open_frees_all);
    suite_add_tcase(s, t);
    return s;
}
