// SPDX-License-Identifier: MIT
/* row_sum(...): what a row's checksum column must say.  XXH3 over its values with
 * their types and lengths, so that no two rows share a spelling. */
#include "base/buf.h"
#include "storage/sqlite_engine.h"
#include "storage/sqlite_schema.h"

static void put_value(struct buf *b, sqlite3_value *v)
{
    int type = sqlite3_value_type(v);

    buf_u8(b, (uint8_t)type);
    if (type == SQLITE_INTEGER) {
        buf_u64(b, (uint64_t)sqlite3_value_int64(v));
        return;
    }
    const void *p = sqlite3_value_blob(v);
    size_t n = (size_t)sqlite3_value_bytes(v);

    buf_varint(b, n);
    buf_put(b, p, n);
}

static void row_sum(sqlite3_context *context, int count, sqlite3_value **value)
{
    struct buf b = { 0 };

    for (int i = 0; i < count; i++)
        put_value(&b, value[i]);
    sqlite3_result_int64(context, (sqlite3_int64)bytes_hash(buf_view(&b), 0));
    buf_fini(&b);
}

enum err sqlite_row_sum_register(sqlite3 *db)
{
    int rc = sqlite3_create_function_v2(db, "row_sum", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL,
                                        row_sum, NULL, NULL, NULL);

    return rc == SQLITE_OK ? OK : sqlite_err(db, "row_sum");
}
