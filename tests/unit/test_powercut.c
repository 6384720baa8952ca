// SPDX-License-Identifier: MIT
/* The power goes at any write, any write or sync fails: a commit that returned
 * OK is there afterwards, whole; the one under way is there whole or not at all.
 *
 * What must be there is asked of the engine in memory, given the same commits.
 * LODGE_POWER_CUTS sets how many cuts are made; with LODGE_FAULT_STRIDE=n only
 * every n-th operation is tried as the one that fails. */
#include <check.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "storage/engine_mem.h"
#include "storage/sqlite_vfs.h"
#include "tests/lib/store_script.h"
#include "tests/lib/vfs_faulty.h"

enum { COMMITS = 40, CUTS_A_TEST = 50, TESTS = 10 };

static char *dir;
static struct engine *engine;

static void start(void)
{
    log_configure(LOG_FATAL, false);
    dir = scratch_dir();
}

static void stop(void)
{
    engine_sqlite.close(&engine);
    scratch_remove(&dir);
    log_configure(LOG_INFO, false);
}

/* Half of the runs with the gathering VFS between, as the daemon has it. */
static enum err open_engine(bool gather)
{
    struct engine_options o = {
        .path = dir,
        .vfs = gather ? sqlite_vfs_over("faulty") : "faulty",
        .checkpoint_bytes = 256 * 1024,
        .cache_bytes = 1 << 20,
    };

    return engine_sqlite.open(&o, &engine);
}

/* Commits until one fails; how many came back OK. */
static unsigned run_script(struct script *s)
{
    for (unsigned n = 0; n < COMMITS; n++) {
        struct commit *c = script_commit(s);
        enum err err = engine_sqlite.commit(engine, c);

        script_commit_free(&c);
        if (err)
            return n;
        if (n % 4 == 3)
            (void)engine_sqlite.maintain(engine);
    }
    return COMMITS;
}

static char *text_of(const struct engine_ops *ops, struct engine *e)
{
    struct buf out = { 0 };
    size_t n;

    ck_assert_int_eq(store_dump(ops, e, &out), OK);
    return (char *)buf_take(&out, &n);
}

/* What the first `commits` of the seed leave. */
static char *expected(uint64_t seed, unsigned commits)
{
    struct mem_disk *disk = mem_disk_new();
    struct engine *model = engine_mem_on(disk);
    struct script s;

    script_init(&s, seed);
    for (unsigned i = 0; i < commits; i++) {
        struct commit *c = script_commit(&s);
        ck_assert_int_eq(engine_mem.commit(model, c), OK);
        script_commit_free(&c);
    }
    char *text = text_of(&engine_mem, model);
    engine_mem.close(&model);
    mem_disk_free(&disk);
    return text;
}

static void assert_integrity(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    char path[256];

    (void)snprintf(path, sizeof path, "%s/lodge.db", dir);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &s, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
    ck_assert_str_eq((const char *)sqlite3_column_text(s, 0), "ok");
    sqlite3_finalize(s);
    sqlite3_close(db);
}

/* After the engine failed with `acked` commits done: the state must be that of
 * `acked` commits, or of one more. */
static void assert_recovers(uint64_t seed, unsigned acked, bool gather, bool power)
{
    engine_sqlite.close(&engine);
    vfs_faulty_reboot(power);
    ck_assert_msg(open_engine(gather) == OK, "seed %u: does not open", (unsigned)seed);

    char *got = text_of(&engine_sqlite, engine), *want = expected(seed, acked);
    bool same = strcmp(got, want) == 0;
    if (!same) {
        mem_free(want);
        want = expected(seed, acked + 1);
        same = strcmp(got, want) == 0;
    }
    ck_assert_msg(same, "seed %u: neither the %u confirmed commits nor one more", (unsigned)seed,
                  acked);
    mem_free(got);
    mem_free(want);
    engine_sqlite.close(&engine);
    assert_integrity();
}

static void clean_directory(void)
{
    scratch_remove(&dir);
    dir = scratch_dir();
}

/* One life: opened, filled, cut at operation `op`. */
static void cut_once(uint64_t seed, bool gather, uint64_t op)
{
    struct script s;
    unsigned acked = 0;

    vfs_faulty_start(seed);
    vfs_faulty_cut_at(op);
    script_init(&s, seed);
    if (open_engine(gather) == OK)
        acked = run_script(&s);
    vfs_faulty_cut_now();
    assert_recovers(seed, acked, gather, true);
    clean_directory();
}

/* How many operations a whole life takes. */
static uint64_t life_ops(uint64_t seed, bool gather)
{
    struct script s;

    vfs_faulty_start(seed);
    script_init(&s, seed);
    ck_assert_int_eq(open_engine(gather), OK);
    ck_assert_uint_eq(run_script(&s), COMMITS);
    uint64_t ops = vfs_faulty_ops();
    engine_sqlite.close(&engine);
    clean_directory();
    return ops;
}

static unsigned cuts_a_test(void)
{
    const char *cuts = getenv("LODGE_POWER_CUTS");

    return cuts ? (unsigned)atoi(cuts) / TESTS : CUTS_A_TEST;
}

START_TEST(what_was_confirmed_survives_a_power_cut)
{
    bool gather = _i % 2;
    uint64_t ops = 0;

    for (unsigned i = 0; i < cuts_a_test(); i++) {
        uint64_t seed = (uint64_t)_i * 1000003 + i;
        if (i % 10 == 0)
            ops = life_ops(seed, gather);
        cut_once(seed, gather, 1 + seed * 2654435761 % ops);
    }
}
END_TEST

/* The same disk, cut again and again, with the recovery itself cut short, too. */
START_TEST(cuts_upon_cuts_lose_nothing_confirmed)
{
    bool gather = _i % 2;
    uint64_t seed = 42 + (uint64_t)_i;
    unsigned acked = 0;
    struct script s;

    vfs_faulty_start(seed);
    script_init(&s, seed);
    for (unsigned life = 0; life < 30 && acked < COMMITS; life++) {
        vfs_faulty_cut_at(vfs_faulty_ops() + 20 + life * 7);
        if (open_engine(gather) == OK) {
            /* The commits before were done; those may be done twice. */
            script_init(&s, seed);
            for (unsigned i = 0; i < acked; i++) {
                struct commit *c = script_commit(&s);
                script_commit_free(&c);
            }
            acked += run_script(&s);
        }
        vfs_faulty_cut_now();
        engine_sqlite.close(&engine);
        vfs_faulty_reboot(true);
    }
    ck_assert_uint_gt(acked, 3);
    vfs_faulty_cut_now();
    assert_recovers(seed, acked, gather, false);
}
END_TEST

static uint64_t fault_stride(void)
{
    const char *stride = getenv("LODGE_FAULT_STRIDE");

    return stride ? strtoull(stride, NULL, 10) : 1;
}

/* Operation n fails, for every n until a life passes without. */
static void fail_each(int rc, uint64_t more, bool gather, bool power)
{
    uint64_t seed = 7;

    for (uint64_t n = 1;; n += fault_stride()) {
        struct script s;
        unsigned acked = 0;

        vfs_faulty_start(seed);
        vfs_faulty_fail_at(n, more, rc);
        script_init(&s, seed);
        if (open_engine(gather) == OK)
            acked = run_script(&s);
        bool failed = vfs_faulty_failed();
        if (power)
            vfs_faulty_cut_now();
        else
            vfs_faulty_fail_at(0, 0, SQLITE_OK);
        assert_recovers(seed, acked, gather, power);
        clean_directory();
        if (!failed)
            break;
    }
}

static const struct {
    int rc;
    uint64_t more;
} faults[] = {
    { SQLITE_FULL, 0 },
    { SQLITE_IOERR_FSYNC, 0 },
    { SQLITE_IOERR_WRITE, 1000000 },
};

START_TEST(a_failed_write_or_sync_never_confirms_what_is_lost)
{
    fail_each(faults[_i / 2].rc, faults[_i / 2].more, true, _i % 2);
}
END_TEST

Suite *powercut_suite(void);
Suite *powercut_suite(void)
{
    Suite *s = suite_create("powercut");
    TCase *t = tcase_create("powercut");

    tcase_set_timeout(t, 600);
    tcase_add_checked_fixture(t, start, stop);
    tcase_add_loop_test(t, what_was_confirmed_survives_a_power_cut, 0, TESTS);
    tcase_add_loop_test(t, cuts_upon_cuts_lose_nothing_confirmed, 0, 6);
    tcase_add_loop_test(t, a_failed_write_or_sync_never_confirms_what_is_lost, 0, 6);
    suite_add_tcase(s, t);
    return s;
}
