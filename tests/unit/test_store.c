// SPDX-License-Identifier: MIT
/* The store's threads: what is handed over comes back, once, and the loop is woken. */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "storage/engine_mem.h"
#include "storage/store.h"
#include "tests/lib/store_script.h"

enum { ENGINES = 2, PATIENCE_MS = 20000 };

static const struct engine_ops *const all[ENGINES] = { &engine_mem, &engine_sqlite };
static struct store *store;
static char *dir;

static void start(void)
{
    log_configure(LOG_FATAL, false);
    dir = scratch_dir();
}

static void stop(void)
{
    store_close(&store);
    scratch_remove(&dir);
    log_configure(LOG_INFO, false);
}

static void open_store(int which)
{
    struct store_options o = { all[which], { .path = dir, .checkpoint_bytes = 128 * 1024 } };

    ck_assert_int_eq(store_open(&o, &store), OK);
    ck_assert_ptr_eq(store_engine_ops(store), all[which]);
    ck_assert_int_eq(store_start(store), OK);
}

static bool readable(int timeout_ms)
{
    struct pollfd p = { .fd = store_fd(store), .events = POLLIN };

    return poll(&p, 1, timeout_ms) == 1;
}

static void wait_done(struct commit **c, struct load **l)
{
    while (!store_take_done(store, c, l))
        ck_assert(readable(PATIENCE_MS));
}

static struct commit *a_commit(uint64_t number, uint32_t messages)
{
    struct commit *c = commit_new(number);
    struct op *o = commit_op(c, OP_BATCH_PUT);

    o->batch_id = number;
    o->content = script_batch(1, number * 10000, messages, 100);
    return c;
}

static void commit_and_wait(uint64_t number, uint32_t messages)
{
    struct commit *c = a_commit(number, messages), *back = NULL;
    struct load *l = NULL;

    store_submit(store, c);
    ck_assert(!store_idle(store));
    wait_done(&back, &l);
    ck_assert_ptr_eq(back, c);
    ck_assert_ptr_null(l);
    ck_assert(store_idle(store));
    script_commit_free(&back);
}

START_TEST(commits_come_back_one_by_one)
{
    open_store(_i);
    for (uint64_t i = 1; i <= 100; i++)
        commit_and_wait(i, 20);
}
END_TEST

START_TEST(nothing_is_readable_when_nothing_waits)
{
    struct commit *c = NULL;
    struct load *l = NULL;

    open_store(_i);
    ck_assert(!store_take_done(store, &c, &l));
    commit_and_wait(1, 1);
    ck_assert(!store_take_done(store, &c, &l));
    /* A wake-up may come late, once; then there is silence. */
    (void)readable(5);
    ck_assert(!store_take_done(store, &c, &l));
    ck_assert(!readable(20));
}
END_TEST

START_TEST(loads_are_answered_in_the_order_asked)
{
    struct commit *c = NULL;
    struct load *l = NULL;

    open_store(_i);
    for (uint64_t i = 1; i <= 30; i++)
        commit_and_wait(i, (uint32_t)i);
    for (uint64_t i = 1; i <= 30; i++)
        store_load(store, 31 - i);
    for (uint64_t i = 1; i <= 30; i++) {
        wait_done(&c, &l);
        ck_assert_ptr_nonnull(l);
        ck_assert_int_eq(l->err, OK);
        ck_assert_uint_eq(l->batch_id, 31 - i);
        ck_assert_uint_eq(l->content->slot_count, 31 - i);
        load_free(&l);
    }
}
END_TEST

START_TEST(a_load_of_nothing_says_so)
{
    struct commit *c = NULL;
    struct load *l = NULL;

    open_store(_i);
    store_load(store, 77);
    wait_done(&c, &l);
    ck_assert_int_eq(l->err, ERR_NOT_FOUND);
    ck_assert_ptr_null(l->content);
    load_free(&l);
    store_load_part(store, 5, 6);
    wait_done(&c, &l);
    ck_assert_int_eq(l->err, ERR_NOT_FOUND);
    ck_assert_uint_eq(l->blob_id, 5);
    ck_assert_uint_eq(l->part, 6);
    load_free(&l);
}
END_TEST

START_TEST(parts_are_loaded)
{
    struct commit *c = commit_new(1);
    struct load *l = NULL;
    struct op *o = commit_op(c, OP_PART_PUT);

    open_store(_i);
    o->blob_id = 9;
    o->index = 2;
    o->bits = BYTES("part");
    store_submit(store, c);
    wait_done(&c, &l);
    script_commit_free(&c);
    store_load_part(store, 9, 2);
    wait_done(&c, &l);
    ck_assert_int_eq(l->err, OK);
    ck_assert(bytes_eq(buf_view(&l->data), BYTES("part")));
    load_free(&l);
}
END_TEST

/* Commits, loads and checkpoints all at once; what was asked comes back. */
START_TEST(commits_and_loads_run_side_by_side)
{
    uint64_t asked = 0, answered = 0, committed = 0, submitted = 0;

    open_store(_i);
    commit_and_wait(++submitted, 50);
    committed = submitted;
    while (committed < 300 || answered < asked) {
        struct commit *c = NULL;
        struct load *l = NULL;

        if (store_idle(store) && submitted < 300)
            store_submit(store, a_commit(++submitted, 100));
        for (; asked < committed && asked - answered < 8; asked++)
            store_load(store, 1 + asked);
        while (store_take_done(store, &c, &l)) {
            if (l)
                ck_assert_int_eq(l->err, OK);
            answered += l != NULL;
            committed += c != NULL;
            script_commit_free(&c);
            load_free(&l);
        }
        if (committed < submitted || answered < asked)
            (void)readable(PATIENCE_MS);
    }
}
END_TEST

/* The loop may commit by itself between commits of the writer's, with loads and
 * checkpoints going on: what it committed is there when the call returns. */
START_TEST(a_commit_made_here_is_on_disk_at_once)
{
    struct commit *c = NULL;
    struct load *l = NULL;

    open_store(_i);
    for (uint64_t number = 1; number <= 200; number++) {
        if (number % 3 == 0) {
            commit_and_wait(number, 50);
            continue;
        }
        c = a_commit(number, 50);
        store_commit_here(store, c);
        ck_assert(store_idle(store));
        script_commit_free(&c);
        store_load(store, number);
        wait_done(&c, &l);
        ck_assert_ptr_null(c);
        ck_assert_int_eq(l->err, OK);
        ck_assert_uint_eq(l->content->slot_count, 50);
        load_free(&l);
    }
}
END_TEST

START_TEST(closing_waits_for_the_commit_under_way)
{
    struct commit *c = a_commit(1, 1000);
    struct batch_content *content = c->op[0].content;

    open_store(1);
    store_submit(store, c);
    store_load(store, 1);
    store_close(&store);
    ck_assert_ptr_null(store);
    batch_content_free(&content);

    struct commit *back = NULL;
    struct load *l = NULL;
    open_store(1);
    store_load(store, 1);
    wait_done(&back, &l);
    ck_assert_int_eq(l->err, OK);
    load_free(&l);
}
END_TEST

START_TEST(a_store_never_started_can_be_closed)
{
    struct store_options o = { &engine_mem, { .path = dir } };

    ck_assert_int_eq(store_open(&o, &store), OK);
    ck_assert_ptr_nonnull(store_engine(store));
    store_close(&store);
    store_close(&store);
}
END_TEST

START_TEST(a_store_that_cannot_open_says_so)
{
    struct store_options o = { &engine_sqlite, { .path = "/nonexistent/lodge" } };

    ck_assert_int_ne(store_open(&o, &store), OK);
    ck_assert_ptr_null(store);
}
END_TEST

/* A failed commit ends the process: nothing that waits for it may be confirmed. */
static _Noreturn void child_with_failing_commit(void)
{
    struct commit *c = NULL;
    struct load *l = NULL;

    (void)close(STDERR_FILENO); /* for its last line */
    open_store(0);
    mem_disk_fate(engine_mem_disk(store_engine(store)), 0, MEM_FATE_LOSE);
    store_submit(store, a_commit(1, 1));
    (void)readable(PATIENCE_MS);
    _exit(store_take_done(store, &c, &l) ? 1 : 2);
}

START_TEST(a_failed_commit_ends_the_process_with_74)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        child_with_failing_commit();
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 74);
}
END_TEST

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;

static void gate(void *arg, const struct commit *c)
{
    (void)arg;
    (void)c;
    pthread_mutex_lock(&gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

START_TEST(loads_do_not_wait_for_a_commit_that_is_held_back)
{
    struct commit *c = NULL;
    struct load *l = NULL;

    open_store(0);
    commit_and_wait(1, 5);
    mem_disk_gate(engine_mem_disk(store_engine(store)), gate, NULL);
    pthread_mutex_lock(&gate_lock);
    store_submit(store, a_commit(2, 5));
    store_load(store, 1);
    wait_done(&c, &l);
    ck_assert_ptr_nonnull(l);
    ck_assert_ptr_null(c);
    load_free(&l);
    ck_assert(!store_idle(store));
    pthread_mutex_unlock(&gate_lock);
    wait_done(&c, &l);
    ck_assert_ptr_nonnull(c);
    script_commit_free(&c);
}
END_TEST

/* An idle store sleeps: it was once seen to spin while it waited. */
START_TEST(an_idle_store_uses_no_time)
{
    struct timespec before, after, pause = { 0, 300 * 1000 * 1000 };

    open_store(1);
    commit_and_wait(1, 10);
    (void)nanosleep(&pause, NULL);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    (void)nanosleep(&pause, NULL);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    int64_t us = (after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000;
    ck_assert_int_lt(us, 20000);
}
END_TEST

Suite *store_suite(void);
Suite *store_suite(void)
{
    Suite *s = suite_create("store");
    TCase *t = tcase_create("store");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, start, stop);
    tcase_add_loop_test(t, commits_come_back_one_by_one, 0, ENGINES);
    tcase_add_loop_test(t, nothing_is_readable_when_nothing_waits, 0, ENGINES);
    tcase_add_loop_test(t, loads_are_answered_in_the_order_asked, 0, ENGINES);
    tcase_add_loop_test(t, a_load_of_nothing_says_so, 0, ENGINES);
    tcase_add_loop_test(t, parts_are_loaded, 0, ENGINES);
    tcase_add_loop_test(t, commits_and_loads_run_side_by_side, 0, ENGINES);
    tcase_add_loop_test(t, a_commit_made_here_is_on_disk_at_once, 0, ENGINES);
    tcase_add_test(t, closing_waits_for_the_commit_under_way);
    tcase_add_test(t, a_store_never_started_can_be_closed);
    tcase_add_test(t, a_store_that_cannot_open_says_so);
    tcase_add_test(t, a_failed_commit_ends_the_process_with_74);
    tcase_add_test(t, loads_do_not_wait_for_a_commit_that_is_held_back);
    tcase_add_test(t, an_idle_store_uses_no_time);
    suite_add_tcase(s, t);
    return s;
}
