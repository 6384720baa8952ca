// SPDX-License-Identifier: MIT
/* sqlite_schema.h - the tables, and how an older file becomes a current one.
 *
 * The version of a file is its user_version; each step up is one transaction.
 * Steps are only ever appended: a file that is out there was made by them. */
#ifndef STORAGE_SQLITE_SCHEMA_H
#define STORAGE_SQLITE_SCHEMA_H

#include <sqlite3.h>

#include "base/err.h"

/* ERR_VERSION: written by a newer program; it is left as it is.  ERR_INVALID:
 * some other program's database.  ERR_IO or ERR_CORRUPT as SQLite says. */
enum err sqlite_schema_upgrade(sqlite3 *db, const char *path) MUST_USE;

/* What SQLite's result means to the caller, with the text left for engine_error(). */
enum err sqlite_err(sqlite3 *db, const char *doing);

#endif
