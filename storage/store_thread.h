// SPDX-License-Identifier: MIT
/* store_thread.h - what store.c and its threads share.
 *
 * `busy` and the threads themselves belong to the loop; everything from `lock`
 * on is touched under it. */
#ifndef STORAGE_STORE_THREAD_H
#define STORAGE_STORE_THREAD_H

#include <pthread.h>

#include "storage/store.h"

enum { STORE_THREADS = 3 };

struct store {
    const struct engine_ops *ops;
    struct engine *engine;
    uint64_t checkpoint_bytes;
    int fd;
    bool busy; /* from submit until the result is taken */
    pthread_t thread[STORE_THREADS];
    unsigned thread_count;

    pthread_mutex_t lock;
    pthread_cond_t submitted, loads, keep;
    bool stop;
    struct commit *commit;      /* submitted, not yet begun */
    struct commit *commit_done; /* not yet taken */
    struct load *asked, **asked_tail;
    struct load *done, **done_tail;
    uint64_t commits;   /* that ended */
    bool keeper_sleeps; /* until it is woken, not for a time */
    bool keep_now;      /* the WAL is long */
};

void store_cond_init_monotonic(pthread_cond_t *c);

/* Ends the process when it fails. */
void store_commit(struct store *s, struct commit *c);
/* It is on disk: the keeper may have to know, and the loop when it is handed back. */
void store_commit_counted(struct store *s, struct commit *c, bool hand_back);

/* The three threads; the argument is the store. */
void *store_writer(void *arg);
void *store_reader(void *arg);
void *store_keeper(void *arg);

#endif
