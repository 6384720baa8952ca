// SPDX-License-Identifier: MIT
/* store.c - the loop's side of the store: hand over, ask, take back.
 *
 * The threads are in store_thread.c. */
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "storage/store_thread.h"

enum err store_open(const struct store_options *o, struct store **out)
{
    struct store *s = mem_new(struct store);
    enum err err;

    s->ops = o->ops;
    s->checkpoint_bytes = o->engine.checkpoint_bytes;
    s->done_tail = &s->done;
    s->asked_tail = &s->asked;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->submitted, NULL);
    pthread_cond_init(&s->loads, NULL);
    store_cond_init_monotonic(&s->keep);
    s->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->fd < 0) {
        log_error("store.open", "err=\"eventfd: %s\"", strerror(errno));
        store_close(&s);
        return ERR_IO;
    }
    err = s->ops->open(&o->engine, &s->engine);
    if (err) {
        store_close(&s);
        return err;
    }
    *out = s;
    return OK;
}

struct engine *store_engine(struct store *s)
{
    return s->engine;
}

const struct engine_ops *store_engine_ops(const struct store *s)
{
    return s->ops;
}

/* Signals are the loop's: the threads inherit a mask that keeps them all out. */
enum err store_start(struct store *s)
{
    static void *(*const run[STORE_THREADS])(void *) = { store_writer, store_reader, store_keeper };
    sigset_t all, before;

    (void)sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (s->thread_count < STORE_THREADS) {
        int rc = pthread_create(&s->thread[s->thread_count], NULL, run[s->thread_count], s);

        if (rc != 0) {
            log_error("store.start", "err=\"%s\"", strerror(rc));
            break;
        }
        s->thread_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return s->thread_count == STORE_THREADS ? OK : ERR_IO;
}

int store_fd(const struct store *s)
{
    return s->fd;
}

bool store_idle(const struct store *s)
{
    return !s->busy;
}

void store_submit(struct store *s, struct commit *c)
{
    CHECK(!s->busy && c);
    s->busy = true;
    pthread_mutex_lock(&s->lock);
    s->commit = c;
    pthread_mutex_unlock(&s->lock);
    pthread_cond_signal(&s->submitted); /* it wakes into a free lock */
}

void store_commit_here(struct store *s, struct commit *c)
{
    CHECK(!s->busy && c);
    store_commit(s, c);
    store_commit_counted(s, c, false);
}

static void ask(struct store *s, uint64_t batch_id, uint64_t blob_id, uint32_t part)
{
    struct load *l = mem_new(struct load);

    l->batch_id = batch_id;
    l->blob_id = blob_id;
    l->part = part;
    pthread_mutex_lock(&s->lock);
    *s->asked_tail = l;
    s->asked_tail = &l->next;
    pthread_cond_signal(&s->loads);
    pthread_mutex_unlock(&s->lock);
}

void store_load(struct store *s, uint64_t batch_id)
{
    ask(s, batch_id, 0, 0);
}

void store_load_part(struct store *s, uint64_t blob_id, uint32_t part)
{
    ask(s, 0, blob_id, part);
}

/* Only when the list is empty, and under the lock: whoever adds to it next
 * writes anew, so no wake-up is lost. */
static void clear_fd(const struct store *s)
{
    uint64_t count;
    ssize_t n = read(s->fd, &count, sizeof count);

    (void)n; /* nothing to read: the writer of the list has not written yet */
}

bool store_take_done(struct store *s, struct commit **commit, struct load **load)
{
    pthread_mutex_lock(&s->lock);
    *commit = s->commit_done;
    *load = NULL;
    if (*commit) {
        s->commit_done = NULL;
        s->busy = false;
    } else if (s->done) {
        *load = s->done;
        s->done = (*load)->next;
        (*load)->next = NULL;
        if (!s->done)
            s->done_tail = &s->done;
    }
    if ((*commit || *load) && !s->commit_done && !s->done)
        clear_fd(s);
    pthread_mutex_unlock(&s->lock);
    return *commit || *load;
}

void load_free(struct load **l)
{
    if (!*l)
        return;
    batch_content_free(&(*l)->content);
    buf_fini(&(*l)->data);
    mem_free(*l);
    *l = NULL;
}

static void free_loads(struct load *l)
{
    while (l) {
        struct load *next = l->next;

        load_free(&l);
        l = next;
    }
}

void store_close(struct store **out)
{
    struct store *s = *out;

    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->submitted);
    pthread_cond_signal(&s->loads);
    pthread_cond_signal(&s->keep);
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < s->thread_count; i++)
        pthread_join(s->thread[i], NULL);
    if (s->engine)
        s->ops->close(&s->engine);
    if (s->fd >= 0)
        close(s->fd);
    pthread_cond_destroy(&s->submitted);
    pthread_cond_destroy(&s->loads);
    pthread_cond_destroy(&s->keep);
    pthread_mutex_destroy(&s->lock);
    commit_free(&s->commit);
    commit_free(&s->commit_done);
    free_loads(s->asked);
    free_loads(s->done);
    mem_free(s);
    *out = NULL;
}
