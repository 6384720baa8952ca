// SPDX-License-Identifier: MIT
/* sqlite_recover.c - tells the sink what is on disk, row by row.
 *
 * Runs on the writing connection before any thread.  Definitions that cannot be
 * read stop the start; batches that cannot be read are reported one by one. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "storage/engine_error.h"
#include "storage/sqlite_engine.h"
#include "storage/sqlite_schema.h"

struct recovery {
    struct engine *e;
    const struct recover_sink *sink;
    void *arg;
    uint64_t *known; /* batches that the sink was given, by rising id */
    size_t known_count, known_cap;
    uint64_t page_count;
    bool damage, unsound;
};

typedef void row_fn(struct recovery *r, sqlite3_stmt *s);

static uint64_t number(sqlite3_stmt *s, int at)
{
    return (uint64_t)sqlite3_column_int64(s, at);
}

static struct bytes column(sqlite3_stmt *s, int at)
{
    const void *p = sqlite3_column_blob(s, at);
    int n = sqlite3_column_bytes(s, at);

    return p && n > 0 ? bytes_of(p, (size_t)n) : (struct bytes){ NULL, 0 };
}

static enum err each_row(struct recovery *r, const char *sql, row_fn *row)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(r->e->write, sql, -1, &s, NULL);

    if (rc == SQLITE_OK)
        while ((rc = sqlite3_step(s)) == SQLITE_ROW)
            row(r, s);

    enum err err = rc == SQLITE_DONE ? OK : sqlite_err(r->e->write, sql);
    sqlite3_finalize(s);
    return err;
}

static void on_check(struct recovery *r, sqlite3_stmt *s)
{
    struct bytes said = column(s, 0);

    if (r->unsound || bytes_eq(said, BYTES("ok")))
        return;
    r->unsound = true;
    engine_error_set("%s: the tables of definitions are damaged: %s", r->e->path, log_text(said).s);
}

static void on_boot(struct recovery *r, sqlite3_stmt *s)
{
    r->sink->boot(r->arg, number(s, 0), number(s, 1) != 0);
}

/* The last column says whether the row matches its checksum. */
static bool sound(struct recovery *r, sqlite3_stmt *s)
{
    if (sqlite3_column_int(s, sqlite3_column_count(s) - 1) == 1)
        return true;
    if (!r->unsound)
        engine_error_set("%s: a definition does not match its checksum: %s", r->e->path,
                         sqlite3_sql(s));
    r->unsound = true;
    return false;
}

static void on_vhost(struct recovery *r, sqlite3_stmt *s)
{
    struct def_vhost v = { number(s, 0), column(s, 1) };

    if (sound(r, s))
        r->sink->vhost(r->arg, &v);
}

static void on_exchange(struct recovery *r, sqlite3_stmt *s)
{
    struct def_exchange x = {
        .id = number(s, 0),
        .vhost_id = number(s, 1),
        .name = column(s, 2),
        .type = column(s, 3),
        .auto_delete = number(s, 4) != 0,
        .internal = number(s, 5) != 0,
        .arguments = column(s, 6),
    };

    if (sound(r, s))
        r->sink->exchange(r->arg, &x);
}

static void on_queue(struct recovery *r, sqlite3_stmt *s)
{
    struct def_queue q = {
        .id = number(s, 0),
        .vhost_id = number(s, 1),
        .name = column(s, 2),
        .auto_delete = number(s, 3) != 0,
        .consumed = number(s, 4) != 0,
        .arguments = column(s, 5),
    };

    if (sound(r, s))
        r->sink->queue(r->arg, &q);
}

static void on_binding(struct recovery *r, sqlite3_stmt *s)
{
    struct def_binding b = {
        .id = number(s, 0),
        .vhost_id = number(s, 1),
        .exchange_id = number(s, 2),
        .to_exchange = number(s, 3) != 0,
        .target_id = number(s, 4),
        .routing_key = column(s, 5),
        .arguments = column(s, 6),
    };

    if (sound(r, s))
        r->sink->binding(r->arg, &b);
}

static void on_user(struct recovery *r, sqlite3_stmt *s)
{
    struct def_user u = { column(s, 0), column(s, 1), column(s, 2) };

    if (sound(r, s))
        r->sink->user(r->arg, &u);
}

static void on_permission(struct recovery *r, sqlite3_stmt *s)
{
    struct def_permission p = { number(s, 0), column(s, 1), column(s, 2), column(s, 3),
                                column(s, 4) };

    if (sound(r, s))
        r->sink->permission(r->arg, &p);
}

static void on_topic_permission(struct recovery *r, sqlite3_stmt *s)
{
    struct def_topic_permission p = { number(s, 0), column(s, 1), column(s, 2), column(s, 3),
                                      column(s, 4) };

    if (sound(r, s))
        r->sink->topic_permission(r->arg, &p);
}

static void on_note(struct recovery *r, sqlite3_stmt *s)
{
    if (sound(r, s))
        r->sink->note(r->arg, number(s, 0), column(s, 1));
}

/* One damaged message is no reason not to start: it is kept, and not given. */
static void on_retained(struct recovery *r, sqlite3_stmt *s)
{
    struct def_retained d = { .vhost_id = number(s, 0),
                              .routing_key = column(s, 1),
                              .props = column(s, 2),
                              .body = column(s, 3),
                              .stored_ms = number(s, 4),
                              .expires_ms = number(s, 5) };

    if (sqlite3_column_int(s, 6) == 1)
        r->sink->retained(r->arg, &d);
    else
        log_error("store.retained",
                  "routing_key=%s why=\"row does not match its checksum\" kept=yes served=no",
                  log_text(d.routing_key).s);
}

static void on_blob(struct recovery *r, sqlite3_stmt *s)
{
    r->sink->blob(r->arg, number(s, 0), number(s, 1));
}

static int id_cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Only of batches that the sink knows: it may delete what belongs to none, and
 * a damaged batch is to be kept. */
static void on_deliveries(struct recovery *r, sqlite3_stmt *s)
{
    uint64_t id = number(s, 0);

    r->e->counts_used = true;
    if (r->known_count && bsearch(&id, r->known, r->known_count, sizeof id, id_cmp))
        r->sink->deliveries(r->arg, id, (uint32_t)number(s, 1), (uint32_t)number(s, 2));
}

static const struct {
    const char *sql;
    row_fn *row;
} definitions[] = {
    { "SELECT coalesce((SELECT value FROM meta WHERE key='boot'), 0),"
      " coalesce((SELECT value FROM meta WHERE key='clean_stop'), 1)",
      on_boot },
    { "SELECT id, name, checksum = row_sum(id, name) FROM vhost ORDER BY id", on_vhost },
    { "SELECT id, vhost, name, type, auto_delete, internal, arguments, checksum ="
      " row_sum(id, vhost, name, type, auto_delete, internal, arguments) FROM exchange ORDER BY id",
      on_exchange },
    { "SELECT id, vhost, name, auto_delete, consumed, arguments, checksum ="
      " row_sum(id, vhost, name, auto_delete, consumed, arguments) FROM queue ORDER BY id",
      on_queue },
    { "SELECT id, vhost, exchange, to_exchange, target, routing_key, arguments, checksum ="
      " row_sum(id, vhost, exchange, to_exchange, target, routing_key, arguments) FROM binding"
      " ORDER BY id",
      on_binding },
    { "SELECT name, password_hash, tags, checksum = row_sum(name, password_hash, tags)"
      " FROM user ORDER BY name",
      on_user },
    { "SELECT vhost, user, configure, write, read, checksum ="
      " row_sum(vhost, user, configure, write, read) FROM permission ORDER BY vhost, user",
      on_permission },
    { "SELECT vhost, user, exchange, write, read, checksum ="
      " row_sum(vhost, user, exchange, write, read) FROM topic_permission"
      " ORDER BY vhost, user, exchange",
      on_topic_permission },
    { "SELECT queue, note, checksum = row_sum(queue, note) FROM note ORDER BY queue", on_note },
    { "SELECT vhost, routing_key, props, body, stored_ms, expires_ms, checksum ="
      " row_sum(vhost, routing_key, props, body, stored_ms, expires_ms) FROM retained"
      " ORDER BY vhost, routing_key",
      on_retained },
    { "SELECT id, size FROM blob ORDER BY id", on_blob },
};

static void report_damage(struct recovery *r, uint64_t id, const char *why)
{
    r->damage = true;
    r->sink->damaged(r->arg, id, why);
}

static void on_batch(struct recovery *r, sqlite3_stmt *s)
{
    uint64_t id = number(s, 0);
    struct bytes slots = column(s, 1), settled = column(s, 2);
    struct batch_content *summary = NULL;

    if (settled.n && sqlite3_column_int(s, 3) != 1) {
        /* Better delivered twice than not at all. */
        log_error("store.settled",
                  "batch=%" PRIu64 " why=\"bits do not match their checksum\""
                  " effect=\"all of it is delivered again\"",
                  id);
        settled = (struct bytes){ NULL, 0 };
    }
    if (batch_summarise(slots, settled, &summary)) {
        report_damage(r, id, "slots do not match their checksum");
        return;
    }
    if (!summary->transient) {
        r->known = mem_grow(r->known, &r->known_cap, r->known_count + 1, sizeof *r->known);
        r->known[r->known_count++] = id;
        r->sink->batch(r->arg, id, summary, settled);
        return;
    }
    /* Deleted a few at a time with the commits to come: a start does not wait
     * for gigabytes of spilled messages to be freed. */
    doomed_add(&r->e->doomed, id);
    batch_content_free(&summary);
}

/* The last step from `from` on that gives a row; its id.  False: there is none. */
static bool first_readable(sqlite3_stmt *s, uint64_t from, uint64_t *id_out)
{
    sqlite3_reset(s);
    sqlite3_bind_int64(s, 1, (sqlite3_int64)from);
    if (sqlite3_step(s) != SQLITE_ROW)
        return false;
    *id_out = number(s, 0);
    return true;
}

/* A damaged page hides the rows on it, and a scan ends there.  Looks further on
 * in growing strides for a place from which rows can be read again, then back
 * for the first such place.  0: there is none. */
static uint64_t skip_damage(sqlite3_stmt *s, uint64_t bad)
{
    uint64_t stride = 1, found = 0;

    while (stride < (uint64_t)INT64_MAX - bad && !first_readable(s, bad + stride, &found))
        stride *= 2;
    if (found == 0)
        return 0;

    uint64_t low = bad + stride / 2, high = bad + stride;
    while (low + 1 < high) {
        uint64_t mid = low + (high - low) / 2, id;

        if (first_readable(s, mid, &id))
            high = mid;
        else
            low = mid;
    }
    return high;
}

static enum err recover_batches(struct recovery *r)
{
    static const char sql[] = "SELECT b.id, b.slots, s.bits, s.checksum = row_sum(s.batch, s.bits)"
                              " FROM batch b LEFT JOIN settled s"
                              " ON s.batch = b.id WHERE b.id >= ?1 ORDER BY b.id";
    sqlite3_stmt *s = NULL;
    uint64_t next = 0;
    int rc;

    if (sqlite3_prepare_v2(r->e->write, sql, -1, &s, NULL) != SQLITE_OK)
        return sqlite_err(r->e->write, sql);
    sqlite3_bind_int64(s, 1, 0);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW || rc == SQLITE_CORRUPT) {
        if (rc == SQLITE_ROW) {
            next = number(s, 0) + 1;
            on_batch(r, s);
            continue;
        }
        report_damage(r, next, "a page of the database, from this batch on");
        next = skip_damage(s, next);
        if (next == 0)
            break;
        sqlite3_reset(s);
        sqlite3_bind_int64(s, 1, (sqlite3_int64)next);
    }

    enum err err = rc == SQLITE_DONE || rc == SQLITE_CORRUPT ? OK : sqlite_err(r->e->write, sql);
    sqlite3_finalize(s);
    return err;
}

static enum err sweep(struct engine *e, const char *sql)
{
    if (sqlite3_exec(e->write, sql, NULL, NULL, NULL) == SQLITE_OK)
        return OK;
    return sqlite_err(e->write, sql);
}

/* What belongs to no batch.  Not after damage: the batch may be there, unseen. */
static enum err sweep_orphans(struct recovery *r)
{
    enum err err = OK;

    if (r->damage)
        return OK;
    err = sweep(r->e, "DELETE FROM counts WHERE batch NOT IN (SELECT id FROM batch)");
    return err ? err : sweep(r->e, "DELETE FROM settled WHERE batch NOT IN (SELECT id FROM batch)");
}

/* A page that lost its cells reads as an empty table, and the messages of queues
 * that are not there count as dead.  The tables of definitions are small, and of
 * retained messages every row is read anyway. */
static enum err check_definitions(struct recovery *r)
{
    static const char *const checks[] = {
        "PRAGMA quick_check(vhost)",      "PRAGMA quick_check(exchange)",
        "PRAGMA quick_check(queue)",      "PRAGMA quick_check(binding)",
        "PRAGMA quick_check(user)",       "PRAGMA quick_check(settled)",
        "PRAGMA quick_check(note)",       "PRAGMA quick_check(retained)",
        "PRAGMA quick_check(permission)", "PRAGMA quick_check(topic_permission)",
    };
    enum err err = OK;

    for (size_t i = 0; !err && i < sizeof checks / sizeof *checks; i++)
        err = each_row(r, checks[i], on_check);
    if (!err && r->unsound)
        err = ERR_CORRUPT;
    return err;
}

/* Of a page whose count of cells is damaged the last rows are not there, and nothing says so but
 * the room that nobody uses.  To look for that reads the whole table: so only of a small one. */
enum { CHECKED_PAGES_MAX = 4096 };

static void on_page_count(struct recovery *r, sqlite3_stmt *s)
{
    r->page_count = number(s, 0);
}

static void on_batch_check(struct recovery *r, sqlite3_stmt *s)
{
    struct bytes said = column(s, 0);

    if (!r->damage && !bytes_eq(said, BYTES("ok"))) /* the first of up to a hundred */
        report_damage(r, 0, log_text(said).s);
}

static enum err check_batches(struct recovery *r)
{
    enum err err = each_row(r, "PRAGMA page_count", on_page_count);

    if (err || r->page_count > CHECKED_PAGES_MAX)
        return err;
    if (each_row(r, "PRAGMA quick_check(batch)", on_batch_check) && !r->damage)
        report_damage(r, 0, "the table cannot be checked");
    return OK;
}

enum err sqlite_recover(struct engine *e, const struct recover_sink *sink, void *arg)
{
    struct recovery r = { .e = e, .sink = sink, .arg = arg };
    enum err err = check_definitions(&r);

    if (!err) /* parts whose blob was never made whole */
        err = sweep(e, "DELETE FROM part WHERE blob NOT IN (SELECT id FROM blob)");
    e->doomed.n = 0;
    e->counts_used = false;
    for (size_t i = 0; !err && i < sizeof definitions / sizeof *definitions; i++)
        err = each_row(&r, definitions[i].sql, definitions[i].row);
    if (!err && r.unsound)
        err = ERR_CORRUPT;
    if (!err)
        err = check_batches(&r);
    if (!err)
        err = recover_batches(&r);
    if (!err)
        err = sweep_orphans(&r);
    if (!err)
        err = each_row(&r, "SELECT batch, slot, deliveries FROM counts ORDER BY batch, slot",
                       on_deliveries);
    mem_free(r.known);
    if (e->doomed.n)
        log_info("store.recover", "spilled_batches_dropped=%zu", e->doomed.n);
    return err;
}
