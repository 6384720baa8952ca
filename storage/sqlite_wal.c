// SPDX-License-Identifier: MIT
/* sqlite_wal.c - keeps the WAL short without holding up commits for long.
 *
 * The maintenance thread copies frames into the database beside the commits
 * (PASSIVE blocks nobody) until little is left; what is left the next commit
 * copies itself before it begins, with loads held off, so that SQLite can start
 * the file over from its head.  Overwriting it is also cheaper to sync than
 * appending to it. */
#include <inttypes.h>

#include "base/log.h"
#include "storage/sqlite_engine.h"
#include "storage/sqlite_schema.h"

enum { FRAME_HEADER_BYTES = 24, PASSES = 4, LEFT_FOR_COMMIT_SHARE = 16 };

void sqlite_wal_committed(struct engine *e, uint64_t frames)
{
    uint64_t bytes = frames * (e->page_bytes + FRAME_HEADER_BYTES);

    if (bytes < atomic_load(&e->wal_bytes)) /* it started over */
        atomic_store(&e->wal_done_bytes, 0);
    atomic_store(&e->wal_bytes, bytes);
}

static uint64_t wal_left(struct engine *e)
{
    uint64_t bytes = atomic_load(&e->wal_bytes), done = atomic_load(&e->wal_done_bytes);

    return done < bytes ? bytes - done : 0;
}

/* False: somebody is in the way, or it failed; another time will do. */
static bool check_in(struct engine *e, sqlite3 *db)
{
    int frames = 0, done = 0;
    int rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &done);

    if (rc == SQLITE_OK && done >= 0)
        atomic_store(&e->wal_done_bytes, (uint64_t)done * (e->page_bytes + FRAME_HEADER_BYTES));
    if (rc != SQLITE_OK && rc != SQLITE_BUSY)
        log_warn("store.checkpoint", "err=\"%s\"", sqlite3_errmsg(db));
    return rc == SQLITE_OK;
}

bool sqlite_maintain(struct engine *e)
{
    uint64_t commits = atomic_load(&e->commits), left = wal_left(e);
    bool idle = commits == e->commits_seen;

    e->commits_seen = commits;
    if (left == 0 || (!idle && left < e->checkpoint_bytes))
        return false;
    uint64_t enough = idle ? 0 : e->checkpoint_bytes / LEFT_FOR_COMMIT_SHARE;
    for (unsigned i = 0; i < PASSES && left > enough; i++) {
        if (!check_in(e, e->tidy))
            return false;
        left = wal_left(e);
    }
    atomic_store(&e->finish, true);
    return true;
}

bool sqlite_wal_finish_begin(struct engine *e)
{
    if (!atomic_exchange(&e->finish, false))
        return false;
    pthread_mutex_lock(&e->reading);
    (void)check_in(e, e->write);
    return true;
}

void sqlite_wal_finish_end(struct engine *e)
{
    pthread_mutex_unlock(&e->reading);
}
