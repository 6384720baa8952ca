// SPDX-License-Identifier: MIT
#include "storage/sqlite_schema.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "storage/engine_error.h"

/* "Lodg": what file(1) and we ourselves know our database by. */
enum { APPLICATION_ID = 0x4c6f6467 };

/* bodies is the last column of batch: who wants slots alone does not read it. */
static const char *const steps[] = {
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE batch(id INTEGER PRIMARY KEY, slots BLOB NOT NULL, bodies BLOB NOT NULL) STRICT;"
    "CREATE TABLE settled(batch INTEGER PRIMARY KEY, bits BLOB NOT NULL,"
    " checksum INTEGER NOT NULL) STRICT;"
    "CREATE TABLE counts(batch INTEGER, slot INTEGER, deliveries INTEGER NOT NULL,"
    " PRIMARY KEY(batch, slot)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE blob(id INTEGER PRIMARY KEY, size INTEGER NOT NULL) STRICT;"
    "CREATE TABLE part(blob INTEGER NOT NULL, idx INTEGER NOT NULL, checksum INTEGER NOT NULL,"
    " data BLOB NOT NULL,"
    " PRIMARY KEY(blob, idx)) STRICT;"
    "CREATE TABLE vhost(id INTEGER PRIMARY KEY, name TEXT NOT NULL,"
    " checksum INTEGER NOT NULL) STRICT;"
    "CREATE TABLE exchange(id INTEGER PRIMARY KEY, vhost INTEGER NOT NULL, name TEXT NOT NULL,"
    " type TEXT NOT NULL, auto_delete INTEGER NOT NULL, internal INTEGER NOT NULL,"
    " arguments BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;"
    "CREATE TABLE queue(id INTEGER PRIMARY KEY, vhost INTEGER NOT NULL, name TEXT NOT NULL,"
    " auto_delete INTEGER NOT NULL, consumed INTEGER NOT NULL, arguments BLOB NOT NULL,"
    " checksum INTEGER NOT NULL) STRICT;"
    "CREATE TABLE binding(id INTEGER PRIMARY KEY, vhost INTEGER NOT NULL,"
    " exchange INTEGER NOT NULL, to_exchange INTEGER NOT NULL, target INTEGER NOT NULL,"
    " routing_key TEXT NOT NULL, arguments BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;"
    "CREATE TABLE user(name TEXT PRIMARY KEY, password_hash TEXT NOT NULL, tags TEXT NOT NULL,"
    " checksum INTEGER NOT NULL) STRICT, WITHOUT ROWID;",

    "CREATE TABLE note(queue INTEGER PRIMARY KEY, note BLOB NOT NULL,"
    " checksum INTEGER NOT NULL) STRICT;"
    "CREATE TABLE retained(vhost INTEGER, routing_key BLOB, props BLOB NOT NULL,"
    " body BLOB NOT NULL, stored_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL, PRIMARY KEY(vhost, routing_key)) STRICT, WITHOUT ROWID;",

    /* Users of the versions before could do everything, and still can. */
    "CREATE TABLE permission(vhost INTEGER, user TEXT, configure TEXT NOT NULL,"
    " write TEXT NOT NULL, read TEXT NOT NULL, checksum INTEGER NOT NULL,"
    " PRIMARY KEY(vhost, user)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE topic_permission(vhost INTEGER, user TEXT, exchange TEXT,"
    " write TEXT NOT NULL, read TEXT NOT NULL, checksum INTEGER NOT NULL,"
    " PRIMARY KEY(vhost, user, exchange)) STRICT, WITHOUT ROWID;"
    "INSERT INTO permission SELECT vhost.id, user.name, '.*', '.*', '.*',"
    " row_sum(vhost.id, user.name, '.*', '.*', '.*') FROM vhost, user;",
};

enum { STEP_COUNT = sizeof steps / sizeof *steps };

enum err sqlite_err(sqlite3 *db, const char *doing)
{
    int rc = sqlite3_errcode(db);

    engine_error_set("%s: %s: %s (%d)", sqlite3_db_filename(db, "main"), doing, sqlite3_errmsg(db),
                     sqlite3_extended_errcode(db));
    return rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB ? ERR_CORRUPT : ERR_IO;
}

static enum err read_number(sqlite3 *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *s = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW) {
        enum err err = sqlite_err(db, sql);
        sqlite3_finalize(s);
        return err;
    }
    *out = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return OK;
}

static enum err run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? OK : sqlite_err(db, "upgrade");
}

static enum err take_step(sqlite3 *db, int64_t from)
{
    char version[96];
    enum err err = run(db, "BEGIN IMMEDIATE");

    (void)snprintf(version, sizeof version,
                   "PRAGMA user_version=%" PRId64 "; PRAGMA application_id=%d;", from + 1,
                   APPLICATION_ID);
    if (!err)
        err = run(db, steps[from]);
    if (!err)
        err = run(db, version);
    if (!err)
        err = run(db, "COMMIT");
    if (err)
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return err;
}

/* A database with tables but without our mark is somebody else's. */
static enum err check_owner(sqlite3 *db, const char *path, int64_t version)
{
    int64_t owner = 0, tables = 0;
    enum err err = read_number(db, "PRAGMA application_id", &owner);

    if (!err)
        err = read_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (err)
        return err;
    if (version == 0 && tables == 0 && owner == 0)
        return OK;
    if (version > 0 && owner == APPLICATION_ID)
        return OK;
    engine_error_set("%s is not a database of Lodge", path);
    log_error("store.open", "path=%s err=\"not a database of Lodge\"", path);
    return ERR_INVALID;
}

enum err sqlite_schema_upgrade(sqlite3 *db, const char *path)
{
    int64_t version = 0;
    enum err err = read_number(db, "PRAGMA user_version", &version);

    if (!err)
        err = check_owner(db, path, version);
    if (err)
        return err;
    if (version > STEP_COUNT) {
        engine_error_set("%s has schema version %" PRId64 ", this program knows %d", path, version,
                         STEP_COUNT);
        log_error("store.version", "path=%s found=%" PRId64 " known=%d", path, version, STEP_COUNT);
        return ERR_VERSION;
    }
    for (; version < STEP_COUNT; version++) {
        err = take_step(db, version);
        if (err)
            return err;
        log_info("store.upgrade", "path=%s version=%" PRId64, path, version + 1);
    }
    return OK;
}
