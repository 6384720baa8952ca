// SPDX-License-Identifier: MIT
/* Notes, permissions and retained messages in each engine (_i), and files of an older version. */
#include <check.h>
#include <sqlite3.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "storage/engine_mem.h"
#include "tests/lib/store_script.h"

enum { ENGINES = 2, SQLITE = 1, PAGE_BYTES = 8192 };

static const struct engine_ops *const all[ENGINES] = { &engine_mem, &engine_sqlite };
static const struct engine_ops *ops;
static struct engine *engine;
static struct mem_disk *disk;
static char *dir;
static struct buf text;
static uint64_t number;

static enum err open_sqlite(void)
{
    struct engine_options o = { .path = dir, .cache_bytes = 1 << 20 };

    ops = &engine_sqlite;
    return ops->open(&o, &engine);
}

static void open_engine(int which)
{
    ops = all[which];
    if (ops == &engine_mem)
        engine = engine_mem_on(disk);
    else
        ck_assert_int_eq(open_sqlite(), OK);
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
    open_engine(ops == &engine_mem ? 0 : SQLITE);
}

static bool dump_has(const char *part)
{
    text.n = 0;
    ck_assert_int_eq(store_dump(ops, engine, &text), OK);
    return strstr((const char *)text.p, part) != NULL;
}

static struct commit *begin(void)
{
    return commit_new(++number);
}

static void apply(struct commit *c)
{
    ck_assert_int_eq(ops->commit(engine, c), OK);
    script_commit_free(&c);
}

static void put_note(uint64_t queue, struct bytes bits)
{
    struct commit *c = begin();
    struct op *o = commit_op(c, bits.n ? OP_NOTE_PUT : OP_NOTE_DELETE);

    o->id = queue;
    o->bits = bits;
    apply(c);
}

static struct def_retained retained(uint64_t vhost, struct bytes key, struct bytes body)
{
    return (struct def_retained){ .vhost_id = vhost,
                                  .routing_key = key,
                                  .body = body,
                                  .stored_ms = 5,
                                  .expires_ms = UINT64_C(1) << 45 };
}

static void put_retained(uint64_t vhost, struct bytes key, struct bytes body)
{
    struct commit *c = begin();

    commit_op(c, body.n ? OP_RETAINED_PUT : OP_RETAINED_DELETE)->retained = retained(vhost, key,
                                                                                     body);
    apply(c);
}

START_TEST(a_note_comes_back_and_goes)
{
    open_engine(_i);
    put_note(7, BYTES("old"));
    put_note(7, BYTES("a\0b"));
    put_note(8, BYTES("x"));
    reopen();
    ck_assert(dump_has("\nnote 7 "));
    ck_assert(dump_has("/3\nnote 8 "));
    put_note(7, (struct bytes){ NULL, 0 });
    put_note(9, (struct bytes){ NULL, 0 });
    reopen();
    ck_assert(!dump_has("note 7"));
    ck_assert(dump_has("note 8"));
}
END_TEST

/* What recovery said last. */
static struct def_retained seen[4];
static struct buf seen_bytes;
static size_t seen_count;

static struct bytes keep(struct bytes b)
{
    buf_bytes(&seen_bytes, b);
    return bytes_of(seen_bytes.p + seen_bytes.n - b.n, b.n);
}

static void on_retained(void *arg, const struct def_retained *r)
{
    (void)arg;
    ck_assert_uint_lt(seen_count, 4);
    seen[seen_count] = *r;
    seen[seen_count].routing_key = keep(r->routing_key);
    seen[seen_count].props = keep(r->props);
    seen[seen_count++].body = keep(r->body);
}

static void on_boot(void *arg, uint64_t boot, bool clean_stop)
{
    (void)arg;
    (void)boot;
    (void)clean_stop;
}

static void recover(void)
{
    static const struct recover_sink sink = { .boot = on_boot, .retained = on_retained };

    seen_count = seen_bytes.n = 0;
    buf_reserve(&seen_bytes, 4 << 20); /* so that it does not move */
    ck_assert_int_eq(ops->recover(engine, &sink, NULL), OK);
}

START_TEST(a_retained_message_comes_back_byte_for_byte_and_goes)
{
    struct bytes key = BYTES("a.\xff.");

    open_engine(_i);
    put_retained(1, key, BYTES("old"));
    struct commit *c = begin();
    struct op *o = commit_op(c, OP_RETAINED_PUT);
    o->retained = retained(1, key, BYTES("\0new\0"));
    o->retained.props = BYTES("\x10\x00\x02");
    apply(c);
    reopen();
    recover();
    ck_assert_uint_eq(seen_count, 1);
    ck_assert_uint_eq(seen[0].vhost_id, 1);
    ck_assert_uint_eq(seen[0].stored_ms, 5);
    ck_assert_uint_eq(seen[0].expires_ms, UINT64_C(1) << 45);
    ck_assert(bytes_eq(seen[0].routing_key, key));
    ck_assert(bytes_eq(seen[0].props, BYTES("\x10\x00\x02")));
    ck_assert(bytes_eq(seen[0].body, BYTES("\0new\0")));
    put_retained(2, key, BYTES("other"));
    put_retained(1, key, (struct bytes){ NULL, 0 });
    put_retained(1, BYTES("none"), (struct bytes){ NULL, 0 });
    reopen();
    recover();
    ck_assert_uint_eq(seen_count, 1);
    ck_assert_uint_eq(seen[0].vhost_id, 2);
    buf_fini(&seen_bytes);
}
END_TEST

START_TEST(the_empty_key_and_a_large_body_come_back)
{
    uint8_t *large = mem_zalloc(1 << 20);

    large[(1 << 20) - 1] = 9;
    open_engine(_i);
    put_retained(1, (struct bytes){ NULL, 0 }, BYTES("of none"));
    put_retained(1, BYTES("large"), bytes_of(large, 1 << 20));
    reopen();
    recover();
    ck_assert_uint_eq(seen_count, 2);
    for (size_t i = 0; i < 2; i++) {
        if (seen[i].routing_key.n == 0)
            ck_assert(bytes_eq(seen[i].body, BYTES("of none")));
        else
            ck_assert(bytes_eq(seen[i].body, bytes_of(large, 1 << 20)));
    }
    mem_free(large);
    buf_fini(&seen_bytes);
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

static void sql(const char *statement)
{
    sqlite3 *db = shell();

    ck_assert_int_eq(sqlite3_exec(db, statement, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static int64_t sql_number(const char *statement)
{
    sqlite3 *db = shell();
    sqlite3_stmt *s;

    ck_assert_int_eq(sqlite3_prepare_v2(db, statement, -1, &s, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return n;
}

/* A file as the first version made it. */
static void make_version_1(void)
{
    ck_assert_int_eq(open_sqlite(), OK);
    struct commit *c = begin();
    commit_op(c, OP_VHOST_PUT)->vhost = (struct def_vhost){ 1, BYTES("/") };
    commit_op(c, OP_QUEUE_PUT)->queue = (struct def_queue){ 3, 1, BYTES("q"), .consumed = true };
    struct op *o = commit_op(c, OP_BATCH_PUT);
    o->batch_id = 1;
    o->content = script_batch(3, 1, 10, 10);
    o = commit_op(c, OP_DELIVERIES_PUT);
    o->batch_id = 1;
    o->slot = 2;
    o->count = 4;
    apply(c);
    ops->close(&engine);
    sql("DROP TABLE note; DROP TABLE retained; DROP TABLE permission; DROP TABLE topic_permission;"
        "PRAGMA user_version=1");
}

START_TEST(a_file_of_version_1_is_brought_up_and_keeps_what_it_holds)
{
    make_version_1();
    ck_assert_int_eq(open_sqlite(), OK);
    ck_assert(dump_has("vhost 1 "));
    ck_assert(dump_has("queue 3 1 0 1 "));
    ck_assert(dump_has("\nbatch 1 "));
    ck_assert(dump_has("deliveries 1 2 4\n"));
    ck_assert(!dump_has("note"));
    put_note(3, BYTES("note"));
    put_retained(1, BYTES("a"), BYTES("retained"));
    reopen();
    ck_assert(dump_has("note 3 "));
    ck_assert(dump_has("retained "));
    ops->close(&engine);
    ck_assert_int_eq(sql_number("PRAGMA user_version"), 3);
}
END_TEST

/* What recovery said of permissions, a line each. */
static struct buf permissions;

static void on_vhost(void *arg, const struct def_vhost *v)
{
    (void)arg;
    (void)v;
}

static void on_user(void *arg, const struct def_user *u)
{
    (void)arg;
    (void)u;
}

static void on_permission(void *arg, const struct def_permission *p)
{
    (void)arg;
    buf_fmt(&permissions, "%d %.*s %.*s %.*s %.*s\n", (int)p->vhost_id, BYTES_FMT(p->user),
            BYTES_FMT(p->configure), BYTES_FMT(p->write), BYTES_FMT(p->read));
}

static void on_topic_permission(void *arg, const struct def_topic_permission *p)
{
    (void)arg;
    buf_fmt(&permissions, "%d %.*s %.*s %.*s %.*s\n", (int)p->vhost_id, BYTES_FMT(p->user),
            BYTES_FMT(p->exchange), BYTES_FMT(p->write), BYTES_FMT(p->read));
}

static const char *recover_permissions(void)
{
    static const struct recover_sink sink = { .boot = on_boot,
                                              .vhost = on_vhost,
                                              .user = on_user,
                                              .permission = on_permission,
                                              .topic_permission = on_topic_permission };

    permissions.n = 0;
    ck_assert_int_eq(ops->recover(engine, &sink, NULL), OK);
    buf_u8(&permissions, 0);
    return (const char *)permissions.p;
}

static void put_permission(uint64_t vhost, struct bytes user, struct bytes write)
{
    struct commit *c = begin();

    commit_op(c, OP_PERMISSION_PUT)->permission = (struct def_permission){
        vhost, user, { NULL, 0 }, write, BYTES(".*")
    };
    apply(c);
}

static void put_topic(uint64_t vhost, struct bytes user, struct bytes exchange, struct bytes write)
{
    struct commit *c = begin();

    commit_op(c, OP_TOPIC_PERMISSION_PUT)->topic_permission = (struct def_topic_permission){
        vhost, user, exchange, write, { NULL, 0 }
    };
    apply(c);
}

START_TEST(users_of_version_2_may_do_everything_as_before)
{
    ck_assert_int_eq(open_sqlite(), OK);
    struct commit *c = begin();
    commit_op(c, OP_VHOST_PUT)->vhost = (struct def_vhost){ 1, BYTES("/") };
    commit_op(c, OP_VHOST_PUT)->vhost = (struct def_vhost){ 7, BYTES("other") };
    commit_op(c, OP_USER_PUT)->user = (struct def_user){ BYTES("ann"), BYTES("$y$"), BYTES("") };
    commit_op(c, OP_USER_PUT)->user = (struct def_user){ BYTES("bob"), BYTES("$y$"), BYTES("") };
    apply(c);
    ops->close(&engine);
    sql("DROP TABLE permission; DROP TABLE topic_permission; PRAGMA user_version=2");
    ck_assert_int_eq(open_sqlite(), OK);
    ck_assert_str_eq(recover_permissions(), "1 ann .* .* .*\n1 bob .* .* .*\n"
                                            "7 ann .* .* .*\n7 bob .* .* .*\n");
    buf_fini(&permissions);
}
END_TEST

START_TEST(permissions_come_back_and_are_replaced)
{
    static const char *const there[] = { "1 ann  d .*\n", "2 ann  b .*\n", "1 bob  c .*\n",
                                         "1 ann x g \n", "1 ann y f \n" };
    size_t bytes = 0;

    open_engine(_i);
    put_permission(1, BYTES("ann"), BYTES("a"));
    put_permission(2, BYTES("ann"), BYTES("b"));
    put_permission(1, BYTES("bob"), BYTES("c"));
    put_permission(1, BYTES("ann"), BYTES("d"));
    put_topic(1, BYTES("ann"), BYTES("x"), BYTES("e"));
    put_topic(1, BYTES("ann"), BYTES("y"), BYTES("f"));
    put_topic(1, BYTES("ann"), BYTES("x"), BYTES("g"));
    reopen();
    const char *said = recover_permissions();
    for (size_t i = 0; i < sizeof there / sizeof *there; i++) {
        ck_assert_msg(strstr(said, there[i]), "%s in %s", there[i], said);
        bytes += strlen(there[i]);
    }
    ck_assert_uint_eq(strlen(said), bytes);
    buf_fini(&permissions);
}
END_TEST

START_TEST(a_damaged_permission_stops_the_start)
{
    static const char *const harm[] = { "UPDATE permission SET read='b'",
                                        "UPDATE topic_permission SET read='b'" };

    open_engine(SQLITE);
    put_permission(1, BYTES("ann"), BYTES("a"));
    put_topic(1, BYTES("ann"), BYTES("x"), BYTES("e"));
    ops->close(&engine);
    sql(harm[_i]);
    open_engine(SQLITE);
    text.n = 0;
    ck_assert_int_eq(store_dump(ops, engine, &text), ERR_CORRUPT);
}
END_TEST

START_TEST(a_damaged_retained_message_is_kept_and_not_given)
{
    open_engine(SQLITE);
    put_retained(1, BYTES("a"), BYTES("first"));
    put_retained(1, BYTES("b"), BYTES("second"));
    ops->close(&engine);
    sql("UPDATE retained SET body=x'00' WHERE routing_key=x'61'");
    open_engine(SQLITE);
    recover();
    ck_assert_uint_eq(seen_count, 1);
    ck_assert(bytes_eq(seen[0].routing_key, BYTES("b")));
    reopen();
    recover();
    ck_assert_uint_eq(seen_count, 1);
    ops->close(&engine);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM retained"), 2);
    buf_fini(&seen_bytes);
}
END_TEST

START_TEST(a_damaged_note_stops_the_start)
{
    open_engine(SQLITE);
    put_note(3, BYTES("note"));
    ops->close(&engine);
    sql("UPDATE note SET note=x'00'");
    open_engine(SQLITE);
    text.n = 0;
    ck_assert_int_eq(store_dump(ops, engine, &text), ERR_CORRUPT);
}
END_TEST

/* The first page of the table says that it has no cells. */
START_TEST(a_table_that_lost_its_rows_stops_the_start)
{
    static const char *const roots[] = {
        "SELECT rootpage FROM sqlite_schema WHERE name='note'",
        "SELECT rootpage FROM sqlite_schema WHERE name='retained'",
        "SELECT rootpage FROM sqlite_schema WHERE name='permission'",
        "SELECT rootpage FROM sqlite_schema WHERE name='topic_permission'",
    };
    static const uint8_t none[2] = { 0, 0 };
    char path[256];

    open_engine(SQLITE);
    put_note(3, BYTES("note"));
    put_retained(1, BYTES("a"), BYTES("body"));
    put_permission(1, BYTES("ann"), BYTES("a"));
    put_topic(1, BYTES("ann"), BYTES("x"), BYTES("e"));
    ops->close(&engine);
    int64_t page = sql_number(roots[_i]);
    (void)snprintf(path, sizeof path, "%s/lodge.db", dir);
    FILE *f = fopen(path, "r+");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, (long)(page - 1) * PAGE_BYTES + 3, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite(none, 1, sizeof none, f), sizeof none);
    (void)fclose(f);
    open_engine(SQLITE);
    text.n = 0;
    ck_assert_int_eq(store_dump(ops, engine, &text), ERR_CORRUPT);
}
END_TEST

Suite *engine_rows_suite(void);

Suite *engine_rows_suite(void)
{
    Suite *s = suite_create("engine_rows");
    TCase *t = tcase_create("each"), *q = tcase_create("sqlite");

    tcase_add_checked_fixture(t, start, stop);
    tcase_add_loop_test(t, a_note_comes_back_and_goes, 0, ENGINES);
    tcase_add_loop_test(t, a_retained_message_comes_back_byte_for_byte_and_goes, 0, ENGINES);
    tcase_add_loop_test(t, permissions_come_back_and_are_replaced, 0, ENGINES);
    tcase_add_loop_test(t, the_empty_key_and_a_large_body_come_back, 0, ENGINES);
    suite_add_tcase(s, t);

    tcase_add_checked_fixture(q, start, stop);
    tcase_add_test(q, a_file_of_version_1_is_brought_up_and_keeps_what_it_holds);
    tcase_add_test(q, users_of_version_2_may_do_everything_as_before);
    tcase_add_loop_test(q, a_damaged_permission_stops_the_start, 0, 2);
    tcase_add_test(q, a_damaged_retained_message_is_kept_and_not_given);
    tcase_add_test(q, a_damaged_note_stops_the_start);
    tcase_add_loop_test(q, a_table_that_lost_its_rows_stops_the_start, 0, 4);
    suite_add_tcase(s, q);
    return s;
}
