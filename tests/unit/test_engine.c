// SPDX-License-Identifier: MIT
/* What every engine promises, asked of each of them in turn: _i is the engine. */
#include <check.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "storage/engine_mem.h"
#include "storage/record.h"
#include "storage/sqlite_vfs.h"
#include "tests/lib/store_script.h"

enum { ENGINES = 2 };

static const struct engine_ops *const all[ENGINES] = { &engine_mem, &engine_sqlite };
static const struct engine_ops *ops;
static struct engine *engine;
static struct mem_disk *disk;
static char *dir;
static struct buf text;
static uint64_t number;

static enum err open_sqlite(const char *vfs)
{
    struct engine_options o = { .path = dir, .vfs = vfs, .cache_bytes = 1 << 20 };

    return engine_sqlite.open(&o, &engine);
}

static void open_engine(int which)
{
    ops = all[which];
    if (ops == &engine_mem)
        engine = engine_mem_on(disk);
    else
        ck_assert_int_eq(open_sqlite(NULL), OK);
}

static void start(void)
{
    log_configure(LOG_FATAL, false);
    dir = scratch_dir();
    disk = mem_disk_new();
    number = 0;
}

static void stop(void)
{
    if (engine)
        ops->close(&engine);
    mem_disk_free(&disk);
    scratch_remove(&dir);
    buf_fini(&text);
    log_configure(LOG_INFO, false);
}

static void reopen(void)
{
    ops->close(&engine);
    open_engine(ops == &engine_mem ? 0 : 1);
}

static const char *dump(void)
{
    text.n = 0;
    ck_assert_int_eq(store_dump(ops, engine, &text), OK);
    return (const char *)text.p;
}

static void apply(struct commit *c)
{
    ck_assert_int_eq(ops->commit(engine, c), OK);
    script_commit_free(&c);
}

static struct commit *begin(void)
{
    return commit_new(++number);
}

static void put_batch(uint64_t id, struct batch_content *content, const uint8_t *dead)
{
    struct commit *c = begin();
    struct op *o = commit_op(c, OP_BATCH_PUT);

    o->batch_id = id;
    o->content = content;
    o->bits = bytes_of(dead, dead ? bits_bytes(content->slot_count) : 0);
    apply(c);
}

static void put_settled(uint64_t id, uint8_t bits)
{
    struct commit *c = begin();
    struct bytes b = commit_copy(c, bytes_of(&bits, 1));
    struct op *o = commit_op(c, OP_SETTLED_PUT);

    o->batch_id = id;
    o->bits = b;
    apply(c);
}

static void delete_batch(uint64_t id)
{
    struct commit *c = begin();

    commit_op(c, OP_BATCH_DELETE)->batch_id = id;
    apply(c);
}

/* Dumps are long: shows where they part. */
static void assert_same_text(const char *a, const char *b)
{
    size_t i = 0;

    while (a[i] && a[i] == b[i])
        i++;
    size_t from = i < 60 ? 0 : i - 60;
    ck_assert_msg(a[i] == b[i], "\n%.200s\n--- not\n%.200s", a + from, b + from);
}

static bool dump_has(const char *what)
{
    return strstr(dump(), what) != NULL;
}

START_TEST(a_new_disk_is_empty_and_was_stopped_clean)
{
    open_engine(_i);
    ck_assert_str_eq(dump(), "boot 0 1\nusers 0\n");
}
END_TEST

START_TEST(a_batch_is_there_after_the_next_start)
{
    open_engine(_i);
    put_batch(5, script_batch(7, 100, 10, 20), NULL);
    reopen();
    ck_assert(dump_has("batch 5 at 1700000000000 slots 10 "));
    ck_assert(dump_has("[q 7 p 0 seq 100-109 n 10 live 10 bytes 200 at 0]"));
    ck_assert(dump_has("load 5 ok"));
}
END_TEST

START_TEST(loading_what_is_not_there_says_so)
{
    struct batch_content *c = NULL;
    struct buf part = { 0 };

    open_engine(_i);
    ck_assert_int_eq(ops->load(engine, 99, &c), ERR_NOT_FOUND);
    ck_assert_ptr_null(c);
    ck_assert_int_eq(ops->load_part(engine, 99, 0, &part), ERR_NOT_FOUND);
}
END_TEST

START_TEST(dead_slots_are_dead_after_the_next_start)
{
    uint8_t dead = 0x0f;

    open_engine(_i);
    put_batch(5, script_batch(7, 100, 8, 20), &dead);
    reopen();
    ck_assert(dump_has("n 8 live 4 bytes 80"));
    ck_assert(dump_has("load 5 ok dead dead dead dead 104@0:20"));
}
END_TEST

START_TEST(settled_bits_are_taken_off_at_the_next_start)
{
    open_engine(_i);
    put_batch(5, script_batch(7, 100, 8, 20), NULL);
    put_settled(5, 0x01);
    put_settled(5, 0x83); /* all of them, each time */
    reopen();
    ck_assert(dump_has("n 8 live 5 bytes 100"));
}
END_TEST

START_TEST(a_deleted_batch_takes_its_bits_and_counts_along)
{
    struct commit *c;
    struct op *o;

    open_engine(_i);
    put_batch(5, script_batch(7, 100, 8, 20), NULL);
    put_settled(5, 0xff);
    c = begin();
    o = commit_op(c, OP_DELIVERIES_PUT);
    o->batch_id = 5;
    o->slot = 3;
    o->count = 2;
    apply(c);
    ck_assert(dump_has("deliveries 5 3 2\n"));
    delete_batch(5);
    ck_assert_str_eq(dump(), "boot 0 1\nusers 0\n");
    put_batch(5, script_batch(7, 100, 8, 20), NULL);
    ck_assert(dump_has("live 8"));
    ck_assert(!dump_has("deliveries"));
}
END_TEST

START_TEST(deleting_what_is_not_there_is_fine)
{
    open_engine(_i);
    delete_batch(12345);
    ck_assert_str_eq(dump(), "boot 0 1\nusers 0\n");
}
END_TEST

START_TEST(spilled_batches_are_gone_at_the_next_start)
{
    struct batch_content *spilled = script_batch(1, 1, 4, 10);

    open_engine(_i);
    spilled->transient = true;
    put_batch(1, spilled, NULL);
    put_settled(1, 1);
    put_batch(2, script_batch(1, 5, 4, 10), NULL);
    reopen();
    ck_assert(!dump_has("batch 1 "));
    ck_assert(dump_has("batch 2 "));
    put_batch(1, script_batch(1, 9, 6, 10), NULL); /* its number may be given again */
    put_batch(3, script_batch(1, 99, 6, 10), NULL);
    reopen();
    ck_assert(dump_has("batch 1 at 1700000000000 slots 6"));
    ck_assert(dump_has("seq 9-14 n 6 live 6"));
}
END_TEST

static void put_part(struct commit *c, uint64_t blob_id, uint32_t index, const char *data)
{
    struct op *o = commit_op(c, OP_PART_PUT);

    o->blob_id = blob_id;
    o->index = index;
    o->bits = bytes_str(data);
}

START_TEST(a_blob_is_its_parts)
{
    struct buf part = { 0 };
    struct commit *c = begin();

    open_engine(_i);
    put_part(c, 8, 0, "one");
    put_part(c, 8, 1, "two");
    apply(c);
    c = begin();
    put_part(c, 8, 2, "three");
    struct op *o = commit_op(c, OP_BLOB_PUT);
    o->blob_id = 8;
    o->size = 11;
    apply(c);
    reopen();
    ck_assert(dump_has("blob 8 11\n"));
    ck_assert_int_eq(ops->load_part(engine, 8, 2, &part), OK);
    ck_assert(bytes_eq(buf_view(&part), BYTES("three")));
    part.n = 0;
    ck_assert_int_eq(ops->load_part(engine, 8, 3, &part), ERR_NOT_FOUND);
    buf_fini(&part);
    c = begin();
    commit_op(c, OP_BLOB_DELETE)->blob_id = 8;
    apply(c);
    ck_assert_int_eq(ops->load_part(engine, 8, 0, &part), ERR_NOT_FOUND);
    ck_assert(!dump_has("blob"));
}
END_TEST

START_TEST(parts_of_an_unfinished_blob_are_gone_at_the_next_start)
{
    struct buf part = { 0 };
    struct commit *c = begin();

    open_engine(_i);
    put_part(c, 8, 0, "one");
    apply(c);
    reopen();
    (void)dump();
    ck_assert_int_eq(ops->load_part(engine, 8, 0, &part), ERR_NOT_FOUND);
}
END_TEST

START_TEST(definitions_come_back_and_go)
{
    struct commit *c = begin();

    open_engine(_i);
    commit_op(c, OP_VHOST_PUT)->vhost = (struct def_vhost){ 1, BYTES("/") };
    commit_op(c, OP_EXCHANGE_PUT)->exchange = (struct def_exchange){
        2, 1, BYTES(""), BYTES("direct"), true, false, { NULL, 0 }
    };
    commit_op(c, OP_QUEUE_PUT)->queue = (struct def_queue){ 3,     1,    BYTES("q\0\xff"),
                                                            false, true, BYTES("\0\0") };
    commit_op(c, OP_BINDING_PUT)->binding = (struct def_binding){ 4,        1, 2,
                                                                  false,    3, BYTES("k.#"),
                                                                  BYTES("") };
    commit_op(c, OP_USER_PUT)->user = (struct def_user){ BYTES("guest"), BYTES("$y$"), BYTES("") };
    struct op *boot = commit_op(c, OP_BOOT);
    boot->id = 17;
    boot->flag = false;
    apply(c);
    reopen();
    ck_assert(dump_has("boot 17 0\nvhost 1 "));
    ck_assert(dump_has("\nexchange 2 1 1 0 "));
    ck_assert(dump_has("\nqueue 3 1 0 1 "));
    ck_assert(dump_has("\nbinding 4 1 2 0 3 "));
    ck_assert(!dump_has("users 0\n"));
    c = begin();
    commit_op(c, OP_VHOST_DELETE)->id = 1;
    commit_op(c, OP_EXCHANGE_DELETE)->id = 2;
    commit_op(c, OP_QUEUE_DELETE)->id = 3;
    commit_op(c, OP_BINDING_DELETE)->id = 4;
    commit_op(c, OP_USER_DELETE)->user.name = BYTES("guest");
    boot = commit_op(c, OP_BOOT);
    boot->id = 18;
    boot->flag = true;
    apply(c);
    reopen();
    ck_assert_str_eq(dump(), "boot 18 1\nusers 0\n");
}
END_TEST

/* A commit may be on disk although nobody was told; done again it changes nothing. */
START_TEST(a_commit_done_twice_is_a_commit_done_once)
{
    struct script s;

    open_engine(_i);
    script_init(&s, 3);
    for (unsigned i = 0; i < 60; i++) {
        struct commit *c = script_commit(&s);
        ck_assert_int_eq(ops->commit(engine, c), OK);
        char *once = mem_strdup(dump());
        ck_assert_int_eq(ops->commit(engine, c), OK);
        assert_same_text(dump(), once);
        mem_free(once);
        script_commit_free(&c);
    }
}
END_TEST

START_TEST(the_commit_says_when_it_ran)
{
    struct commit *c = begin();

    open_engine(_i);
    struct op *o = commit_op(c, OP_BATCH_PUT);
    o->batch_id = 1;
    o->content = script_batch(1, 1, 1000, 100);
    ck_assert_int_eq(ops->commit(engine, c), OK);
    ck_assert_uint_gt(c->began_ns, 0);
    ck_assert_uint_gt(c->ended_ns, c->began_ns);
    ck_assert_uint_gt(c->disk_free_bytes, 0);
    if (ops == &engine_sqlite)
        ck_assert_uint_gt(c->wal_bytes, 100000);
    script_commit_free(&c);
}
END_TEST

static void dump_script(int which, uint64_t seed, bool spills, char **out)
{
    struct script s;

    open_engine(which);
    script_init(&s, seed);
    s.spills = spills;
    for (unsigned i = 0; i < 100; i++) {
        apply(script_commit(&s));
        if (i % 16 == 0)
            (void)ops->maintain(engine);
    }
    reopen();
    *out = mem_strdup(dump());
    ops->close(&engine);
}

START_TEST(both_engines_hold_the_same_after_the_same_commits)
{
    char *a, *b;

    dump_script(0, (uint64_t)_i, _i % 2, &a);
    dump_script(1, (uint64_t)_i, _i % 2, &b);
    assert_same_text(a, b);
    ck_assert_uint_gt(strlen(a), 1000);
    mem_free(a);
    mem_free(b);
}
END_TEST

/* --- SQLite alone ------------------------------------------------------------- */

static sqlite3 *shell(void)
{
    sqlite3 *db = NULL;
    char path[256];

    (void)snprintf(path, sizeof path, "%s/lodge.db", dir);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static void sql(const char *text_of_it)
{
    sqlite3 *db = shell();

    ck_assert_int_eq(sqlite3_exec(db, text_of_it, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

START_TEST(the_file_is_its_owners_alone)
{
    static const char *const files[] = { "lodge.db", "lodge.db-wal", "lodge.db-shm" };
    struct stat st;
    char path[256];

    open_engine(1);
    put_batch(1, script_batch(1, 1, 1, 1), NULL);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0600);
    }
}
END_TEST

START_TEST(a_newer_schema_is_refused_and_left_alone)
{
    open_engine(1);
    ops->close(&engine);
    sql("PRAGMA user_version=9999");
    ck_assert_int_eq(open_sqlite(NULL), ERR_VERSION);
    ck_assert_ptr_null(engine);
    sql("PRAGMA user_version=3");
    ck_assert_int_eq(open_sqlite(NULL), OK);
}
END_TEST

START_TEST(another_programs_database_is_refused)
{
    sql("CREATE TABLE t(x)");
    ck_assert_int_eq(open_sqlite(NULL), ERR_INVALID);
}
END_TEST

START_TEST(a_file_that_is_no_database_is_refused)
{
    char path[256];

    (void)snprintf(path, sizeof path, "%s/lodge.db", dir);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    for (unsigned i = 0; i < 5000; i++)
        (void)fputs("no database ", f);
    (void)fclose(f);
    ck_assert_int_ne(open_sqlite(NULL), OK);
    ck_assert_ptr_null(engine);
}
END_TEST

START_TEST(a_directory_that_is_not_there_is_refused)
{
    struct engine_options o = { .path = "/nonexistent/lodge" };

    ck_assert_int_eq(engine_sqlite.open(&o, &engine), ERR_IO);
    ck_assert_ptr_null(engine);
}
END_TEST

START_TEST(a_damaged_row_is_set_aside_and_kept)
{
    struct batch_content *c = NULL;

    open_engine(1);
    put_batch(1, script_batch(1, 1, 10, 10), NULL);
    put_batch(2, script_batch(1, 11, 10, 10), NULL);
    put_batch(3, script_batch(1, 21, 10, 10), NULL);
    ops->close(&engine);
    sql("INSERT INTO counts VALUES(1, 0, 7), (2, 3, 4), (99, 1, 1)");
    sql("UPDATE batch SET slots=CAST(substr(slots, 1, 30) || x'ff' || substr(slots, 32) AS BLOB)"
        " WHERE id=2");
    sql("UPDATE batch SET bodies=CAST(substr(bodies, 1, 30) || x'ff' || substr(bodies, 32)"
        " AS BLOB) WHERE id=3");
    open_engine(1);
    ck_assert(dump_has("damaged 2\n"));
    ck_assert(dump_has("batch 1 "));
    ck_assert(dump_has("load 3 damaged data\n"));
    ck_assert(dump_has("deliveries 1 0 7\nusers")); /* of the damaged one nobody is told */
    ck_assert_int_eq(ops->load(engine, 2, &c), ERR_CORRUPT);
    reopen();
    ck_assert(dump_has("damaged 2\n"));
}
END_TEST

/* Overwrites the pages that hold batch 20 to 29 or so; the others must come. */
START_TEST(a_damaged_page_costs_its_own_batches_alone)
{
    char path[256];
    static const uint8_t zero[8192] = { 0xee };

    open_engine(1);
    for (uint64_t id = 1; id <= 300; id++)
        put_batch(id, script_batch(1, id * 10, 5, 100), NULL);
    ops->close(&engine);
    (void)snprintf(path, sizeof path, "%s/lodge.db", dir);
    FILE *f = fopen(path, "r+");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, 20 * 8192, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite(zero, 1, sizeof zero, f), sizeof zero);
    (void)fclose(f);
    open_engine(1);
    const char *found = dump();
    unsigned batches = 0, damaged = 0;
    for (const char *at = found; (at = strstr(at, "\nbatch ")) != NULL; at++)
        batches++;
    for (const char *at = found; (at = strstr(at, "\ndamaged ")) != NULL; at++)
        damaged++;
    ck_assert_uint_eq(damaged, 2); /* the table as such, then the place */
    ck_assert_uint_gt(batches, 270);
    ck_assert_uint_lt(batches, 300);
}
END_TEST

/* What is written while a checkpoint is due keeps the WAL near its size. */
/* The first page of table queue says that it has no cells. */
START_TEST(a_table_of_definitions_that_lost_its_rows_stops_the_start)
{
    char path[256];
    static const uint8_t none[2] = { 0, 0 };

    open_engine(1);
    struct commit *c = begin();
    commit_op(c, OP_VHOST_PUT)->vhost = (struct def_vhost){ 1, BYTES("/") };
    commit_op(c, OP_QUEUE_PUT)->queue = (struct def_queue){ 2, 1, BYTES("q"),
                                                            .auto_delete = false };
    apply(c);
    ops->close(&engine);
    sqlite3 *db = shell();
    sqlite3_stmt *s;
    ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_schema WHERE name='queue'",
                                        -1, &s, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
    long page = (long)sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    (void)snprintf(path, sizeof path, "%s/lodge.db", dir);
    FILE *f = fopen(path, "r+");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, (page - 1) * 8192 + 3, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite(none, 1, sizeof none, f), sizeof none);
    (void)fclose(f);
    ck_assert_int_eq(open_sqlite(NULL), OK);
    ck_assert_int_eq(store_dump(ops, engine, &text), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(engine_error(engine), "definitions are damaged"));
}
END_TEST

START_TEST(the_wal_stays_short_under_load)
{
    struct engine_options o = { .path = dir, .checkpoint_bytes = 256 * 1024 };
    uint64_t longest = 0;

    ops = &engine_sqlite;
    ck_assert_int_eq(ops->open(&o, &engine), OK);
    for (uint64_t id = 1; id <= 200; id++) {
        struct commit *c = begin();
        struct op *put = commit_op(c, OP_BATCH_PUT);
        put->batch_id = id;
        put->content = script_batch(1, id * 1000, 100, 300);
        ck_assert_int_eq(ops->commit(engine, c), OK);
        longest = c->wal_bytes > longest ? c->wal_bytes : longest;
        (void)ops->maintain(engine);
        script_commit_free(&c);
    }
    ck_assert_uint_lt(longest, 600 * 1024);
    (void)ops->maintain(engine);
    reopen();
    ck_assert(dump_has("load 200 ok"));
}
END_TEST

/* SQLite's unix VFS takes some lengths of a write for a full disk: all must do. */
START_TEST(commits_of_any_number_of_pages_pass)
{
    open_engine(1);
    for (uint64_t pages = 1; pages <= 80; pages++)
        put_batch(pages, script_batch(1, pages, 1, (uint32_t)pages * 8150), NULL);
    reopen();
    ck_assert(dump_has("load 16 ok"));
    ck_assert(dump_has("load 80 ok"));
}
END_TEST

START_TEST(the_gathering_vfs_is_registered_once)
{
    const char *name = sqlite_vfs_over(NULL);

    ck_assert_ptr_nonnull(name);
    ck_assert_ptr_eq(sqlite_vfs_over(NULL), name);
    ck_assert_ptr_null(sqlite_vfs_over("no-such-vfs"));
    ck_assert_int_eq(open_sqlite("unix"), OK); /* and it is not needed */
    ops = &engine_sqlite;
}
END_TEST

/* --- memory alone -------------------------------------------------------------- */

START_TEST(a_fork_of_a_disk_goes_its_own_way)
{
    open_engine(0);
    put_batch(1, script_batch(1, 1, 3, 3), NULL);
    struct mem_disk *fork = mem_disk_fork(disk);
    put_batch(2, script_batch(1, 4, 3, 3), NULL);
    struct engine *other = engine_mem_on(fork);
    struct batch_content *c = NULL;
    ck_assert_int_eq(ops->load(other, 2, &c), ERR_NOT_FOUND);
    ck_assert_int_eq(ops->load(other, 1, &c), OK);
    batch_content_free(&c);
    ops->close(&other);
    mem_disk_free(&fork);
}
END_TEST

START_TEST(a_commit_meets_the_fate_it_was_given)
{
    struct commit *c = begin();

    open_engine(0);
    struct op *o = commit_op(c, OP_BATCH_PUT);
    o->batch_id = 1;
    o->content = script_batch(1, 1, 3, 3);
    mem_disk_fate(disk, 1, MEM_FATE_LOSE);
    apply(begin());
    ck_assert_int_eq(ops->commit(engine, c), ERR_IO);
    ck_assert(!dump_has("batch"));
    mem_disk_fate(disk, 0, MEM_FATE_UNTOLD);
    ck_assert_int_eq(ops->commit(engine, c), ERR_IO);
    ck_assert(dump_has("batch 1 "));
    ck_assert_int_eq(ops->commit(engine, c), OK);
    script_commit_free(&c);
}
END_TEST

START_TEST(a_flipped_bit_in_memory_is_seen_as_on_disk)
{
    struct batch_content *c = NULL;

    open_engine(0);
    put_batch(1, script_batch(1, 1, 30, 3), NULL);
    put_batch(2, script_batch(1, 31, 30, 3), NULL);
    ck_assert(mem_disk_flip(disk, 1, false, 99));
    ck_assert(mem_disk_flip(disk, 2, true, 99));
    ck_assert(!mem_disk_flip(disk, 3, true, 0));
    ck_assert(dump_has("damaged 1\n"));
    ck_assert(dump_has("batch 2 "));
    ck_assert_int_eq(ops->load(engine, 2, &c), ERR_CORRUPT);
    ck_assert_int_eq(ops->load(engine, 1, &c), ERR_CORRUPT);
}
END_TEST

Suite *engine_suite(void);
Suite *engine_suite(void)
{
    Suite *s = suite_create("engine");
    TCase *t = tcase_create("each"), *q = tcase_create("sqlite"), *m = tcase_create("mem");

    tcase_set_timeout(t, 60);
    tcase_set_timeout(q, 60);
    tcase_add_checked_fixture(t, start, stop);
    tcase_add_loop_test(t, a_new_disk_is_empty_and_was_stopped_clean, 0, ENGINES);
    tcase_add_loop_test(t, a_batch_is_there_after_the_next_start, 0, ENGINES);
    tcase_add_loop_test(t, loading_what_is_not_there_says_so, 0, ENGINES);
    tcase_add_loop_test(t, dead_slots_are_dead_after_the_next_start, 0, ENGINES);
    tcase_add_loop_test(t, settled_bits_are_taken_off_at_the_next_start, 0, ENGINES);
    tcase_add_loop_test(t, a_deleted_batch_takes_its_bits_and_counts_along, 0, ENGINES);
    tcase_add_loop_test(t, deleting_what_is_not_there_is_fine, 0, ENGINES);
    tcase_add_loop_test(t, spilled_batches_are_gone_at_the_next_start, 0, ENGINES);
    tcase_add_loop_test(t, a_blob_is_its_parts, 0, ENGINES);
    tcase_add_loop_test(t, parts_of_an_unfinished_blob_are_gone_at_the_next_start, 0, ENGINES);
    tcase_add_loop_test(t, definitions_come_back_and_go, 0, ENGINES);
    tcase_add_loop_test(t, a_commit_done_twice_is_a_commit_done_once, 0, ENGINES);
    tcase_add_loop_test(t, the_commit_says_when_it_ran, 0, ENGINES);
    tcase_add_loop_test(t, both_engines_hold_the_same_after_the_same_commits, 0, 8);
    suite_add_tcase(s, t);

    tcase_add_checked_fixture(q, start, stop);
    tcase_add_test(q, the_file_is_its_owners_alone);
    tcase_add_test(q, a_newer_schema_is_refused_and_left_alone);
    tcase_add_test(q, another_programs_database_is_refused);
    tcase_add_test(q, a_file_that_is_no_database_is_refused);
    tcase_add_test(q, a_directory_that_is_not_there_is_refused);
    tcase_add_test(q, a_damaged_row_is_set_aside_and_kept);
    tcase_add_test(q, a_damaged_page_costs_its_own_batches_alone);
    tcase_add_test(q, a_table_of_definitions_that_lost_its_rows_stops_the_start);
    tcase_add_test(q, the_wal_stays_short_under_load);
    tcase_add_test(q, commits_of_any_number_of_pages_pass);
    tcase_add_test(q, the_gathering_vfs_is_registered_once);
    suite_add_tcase(s, q);

    tcase_add_checked_fixture(m, start, stop);
    tcase_add_test(m, a_fork_of_a_disk_goes_its_own_way);
    tcase_add_test(m, a_commit_meets_the_fate_it_was_given);
    tcase_add_test(m, a_flipped_bit_in_memory_is_seen_as_on_disk);
    suite_add_tcase(s, m);
    return s;
}
