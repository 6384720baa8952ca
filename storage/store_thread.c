// SPDX-License-Identifier: MIT
#include "storage/store_thread.h"

#include <inttypes.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

/* How long after the last commit the WAL is checked in. */
enum { KEEP_IDLE_MS = 1000 };

void store_cond_init_monotonic(pthread_cond_t *c)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

static bool list_is_empty(const struct store *s)
{
    return !s->commit_done && !s->done;
}

/* After the lock was released: the loop wakes into a free lock. */
static void wake_loop(const struct store *s)
{
    uint64_t one = 1;
    ssize_t n = write(s->fd, &one, sizeof one);

    (void)n; /* full at 2^64-1 only */
}

/* COMMIT failed.  Trying again is no way out: after a failed fsync the kernel
 * takes the pages for clean, and a second COMMIT may "succeed" with the data
 * gone.  Nothing of this commit was confirmed; recovery reads what is there. */
static _Noreturn void end_process(const struct store *s, const struct commit *c, enum err err)
{
    log_fatal("store.commit", "commit=%" PRIu64 " err=\"%s\" detail=\"%s\"", c->number,
              err_text(err), engine_error(s->engine));
    _exit(EX_IOERR);
}

void store_commit(struct store *s, struct commit *c)
{
    enum err err = s->ops->commit(s->engine, c);

    if (err)
        end_process(s, c, err);
}

/* Under the lock.  True: the keeper is to be woken once it is released. */
static bool count_commit(struct store *s, const struct commit *c)
{
    s->commits++;
    s->keep_now = s->keep_now || (s->checkpoint_bytes && c->wal_bytes >= s->checkpoint_bytes);

    bool wake = s->keeper_sleeps || s->keep_now;
    s->keeper_sleeps = false;
    return wake;
}

void store_commit_counted(struct store *s, struct commit *c, bool hand_back)
{
    pthread_mutex_lock(&s->lock);
    bool wake = hand_back && list_is_empty(s), wake_keeper = count_commit(s, c);

    if (hand_back)
        s->commit_done = c;
    pthread_mutex_unlock(&s->lock);
    if (wake)
        wake_loop(s);
    if (wake_keeper)
        pthread_cond_signal(&s->keep);
}

void *store_writer(void *arg)
{
    struct store *s = arg;

    pthread_setname_np(pthread_self(), "lodge-write");
    for (;;) {
        pthread_mutex_lock(&s->lock);
        while (!s->commit && !s->stop)
            pthread_cond_wait(&s->submitted, &s->lock);
        struct commit *c = s->commit;
        s->commit = NULL;
        pthread_mutex_unlock(&s->lock);
        if (!c)
            return NULL;

        store_commit(s, c);
        store_commit_counted(s, c, true);
    }
}

static void run_load(struct store *s, struct load *l)
{
    if (l->blob_id)
        l->err = s->ops->load_part(s->engine, l->blob_id, l->part, &l->data);
    else
        l->err = s->ops->load(s->engine, l->batch_id, &l->content);
    if (l->err)
        log_error("store.load",
                  "batch=%" PRIu64 " blob=%" PRIu64 " part=%" PRIu32 " err=\"%s\" detail=\"%s\"",
                  l->batch_id, l->blob_id, l->part, err_text(l->err), engine_error(s->engine));
}

void *store_reader(void *arg)
{
    struct store *s = arg;

    pthread_setname_np(pthread_self(), "lodge-read");
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->asked && !s->stop)
            pthread_cond_wait(&s->loads, &s->lock);
        if (s->stop)
            break;
        struct load *l = s->asked;
        s->asked = l->next;
        if (!s->asked)
            s->asked_tail = &s->asked;
        l->next = NULL;
        pthread_mutex_unlock(&s->lock);

        run_load(s, l);
        pthread_mutex_lock(&s->lock);
        bool was_empty = list_is_empty(s);
        *s->done_tail = l;
        s->done_tail = &l->next;
        pthread_mutex_unlock(&s->lock);
        if (was_empty)
            wake_loop(s);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Sleeps while nothing is committed; beside commits, looks in now and then. */
static void keeper_wait(struct store *s, uint64_t commits_seen)
{
    struct timespec until;

    if (s->commits == commits_seen) {
        s->keeper_sleeps = true;
        while (s->keeper_sleeps && !s->stop)
            pthread_cond_wait(&s->keep, &s->lock);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += KEEP_IDLE_MS / 1000;
    while (!s->keep_now && !s->stop)
        if (pthread_cond_timedwait(&s->keep, &s->lock, &until) != 0)
            break;
}

void *store_keeper(void *arg)
{
    struct store *s = arg;
    uint64_t commits_seen = 0;

    pthread_setname_np(pthread_self(), "lodge-keep");
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        keeper_wait(s, commits_seen);
        if (s->stop)
            break;
        commits_seen = s->commits;
        s->keep_now = false;
        pthread_mutex_unlock(&s->lock);
        (void)s->ops->maintain(s->engine);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}
