// SPDX-License-Identifier: MIT
#include "broker/session/auth.h"

#include <crypt.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "broker/session/session.h"
#include "broker/session/siphash.h"

enum {
    CACHE_SIZE = 1024, /* of each of the two; a power of two */
    LANE_JOBS_MAX = 32,
    LANES_MAX = 256,
    MAC_BYTES = 16,
    STACK_BYTES = 256 * 1024
};

/* Each guess of one connection costs the guesser this much. */
static const uint64_t failure_delay_ns = 500 * 1000000ULL;

/* What an unknown user's password is checked against: same cost as a real hash. */
static const char nobody[] = "$y$j9T$Lodge.has.no.such.user.$";

/* One distinct (user, password, hash), asked for by any number of sessions. */
struct job {
    struct list link; /* in a lane, or in auth.failed; in neither while being computed */
    uint8_t mac[MAC_BYTES];
    char *password, *hash;
    struct list waiters;
    uint64_t due_ns; /* in auth.failed: when the answer may be given */
};

struct waiter {
    struct list link; /* in job.waiters */
    uint64_t key;     /* the session's address */
    struct session *session;
};

struct lane {
    struct list link; /* in auth.lanes */
    char *name;       /* of the user, maybe with NULs */
    size_t name_len;
    struct list jobs;
    unsigned count;
};

struct auth {
    /* The loop's. */
    uint8_t key[MAC_BYTES];
    uint8_t good[CACHE_SIZE][MAC_BYTES], bad[CACHE_SIZE][MAC_BYTES];
    struct map jobs;    /* by mac */
    struct map waiters; /* by session */
    struct map lane_of; /* by user */
    struct list lanes;  /* taking turns */
    struct list failed; /* jobs by due_ns */
    bool working;
    struct log_limit busy_log;

    pthread_t thread;
    bool started;
    int fd; /* a timer: due for the next failure, or at once by the worker */

    /* Shared; under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct job *todo, *done;
    bool accepted, stop;
};

static bool equal_in_constant_time(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;
    volatile uint8_t diff = 0;

    for (size_t i = 0; i < n; i++)
        diff |= x[i] ^ y[i];
    return diff == 0;
}

static void wipe_str(char **s)
{
    if (*s)
        explicit_bzero(*s, strlen(*s));
    mem_free(*s);
    *s = NULL;
}

static bool matches(const char *password, const char *hash)
{
    struct crypt_data *data = mem_new(struct crypt_data);
    const char *setting = *hash ? hash : nobody;
    const char *got = crypt_r(password, setting, data);
    size_t n = strlen(setting);
    bool same = got && strlen(got) == n && equal_in_constant_time(got, setting, n);

    explicit_bzero(data, sizeof *data);
    mem_free(data);
    return same && *hash;
}

bool auth_matches(struct bytes password, struct bytes hash)
{
    char *p = bytes_dup_str(password), *h = bytes_dup_str(hash);
    bool same = matches(p, h);

    wipe_str(&p);
    mem_free(h);
    return same;
}

bool auth_hash_known(struct bytes hash)
{
    char *h = bytes_dup_str(hash);
    int rc = crypt_checksalt(h);
    bool known = *h == '$' && rc != CRYPT_SALT_INVALID && rc != CRYPT_SALT_METHOD_DISABLED;

    mem_free(h);
    return known;
}

char *auth_hash(struct bytes password, bool cheap)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *data = mem_new(struct crypt_data);
    char *p = bytes_dup_str(password);

    /* The guest password is known to all: a costly hash of it protects nothing. */
    CHECK(crypt_gensalt_rn("$y$", cheap ? 1 : 5, NULL, 0, setting, sizeof setting));
    const char *hash = crypt_r(p, setting, data);
    CHECK(hash && *hash == '$');
    char *copy = mem_strdup(hash);
    explicit_bzero(data, sizeof *data);
    mem_free(data);
    wipe_str(&p);
    return copy;
}

static void arm(struct auth *a, uint64_t at_ns)
{
    struct itimerspec t = { .it_value = { .tv_sec = (time_t)(at_ns / 1000000000),
                                          .tv_nsec = (long)(at_ns % 1000000000) } };

    CHECK(timerfd_settime(a->fd, TFD_TIMER_ABSTIME, &t, NULL) == 0);
}

static void lock(struct auth *a)
{
    CHECK(pthread_mutex_lock(&a->lock) == 0);
}

static void unlock(struct auth *a)
{
    CHECK(pthread_mutex_unlock(&a->lock) == 0);
}

/* Under the lock; NULL: the end. */
static struct job *await_job(struct auth *a)
{
    while (!a->todo && !a->stop)
        CHECK(pthread_cond_wait(&a->wake, &a->lock) == 0);

    struct job *j = a->stop ? NULL : a->todo;

    a->todo = NULL;
    return j;
}

static void *work(void *arg)
{
    struct auth *a = arg;
    struct job *j;

    lock(a);
    while ((j = await_job(a))) {
        unlock(a);
        bool accepted = matches(j->password, j->hash);
        lock(a);
        a->done = j;
        a->accepted = accepted;
        arm(a, 1);
    }
    unlock(a);
    return NULL;
}

enum err auth_new(struct auth **out)
{
    struct auth *a = mem_new(struct auth);
    pthread_attr_t attr;

    list_init(&a->lanes);
    list_init(&a->failed);
    CHECK(pthread_mutex_init(&a->lock, NULL) == 0 && pthread_cond_init(&a->wake, NULL) == 0);
    a->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (a->fd < 0 || getrandom(a->key, sizeof a->key, 0) != sizeof a->key)
        goto fail;
    CHECK(pthread_attr_init(&attr) == 0);
    CHECK(pthread_attr_setstacksize(&attr, STACK_BYTES) == 0);
    a->started = pthread_create(&a->thread, &attr, work, a) == 0;
    CHECK(pthread_attr_destroy(&attr) == 0);
    if (!a->started)
        goto fail;
    *out = a;
    return OK;
fail:
    auth_free(&a);
    return ERR_IO;
}

static void job_free(struct job *j)
{
    struct list *node;

    while ((node = list_pop(&j->waiters)))
        mem_free(container_of(node, struct waiter, link));
    wipe_str(&j->password);
    mem_free(j->hash);
    mem_free(j);
}

static void worker_stop(struct auth *a)
{
    lock(a);
    a->stop = true;
    CHECK(pthread_cond_signal(&a->wake) == 0);
    unlock(a);
    CHECK(pthread_join(a->thread, NULL) == 0);
}

void auth_free(struct auth **out)
{
    struct auth *a = *out;
    size_t at = 0;

    if (!a)
        return;
    if (a->started)
        worker_stop(a);
    for (struct job *j; (j = map_next(&a->jobs, &at));)
        job_free(j);
    LIST_EACH (&a->lanes, node) {
        struct lane *l = container_of(node, struct lane, link);

        mem_free(l->name);
        mem_free(l);
    }
    map_fini(&a->jobs);
    map_fini(&a->waiters);
    map_fini(&a->lane_of);
    if (a->fd >= 0)
        (void)close(a->fd);
    CHECK(pthread_cond_destroy(&a->wake) == 0 && pthread_mutex_destroy(&a->lock) == 0);
    explicit_bzero(a, sizeof *a);
    mem_free(a);
    *out = NULL;
}

int auth_fd(const struct auth *a)
{
    return a->fd;
}

/* The stored hash is part of it, so a new password forgets the old answers. */
static void digest(const struct auth *a, struct bytes user, struct bytes password,
                   struct bytes hash, uint8_t mac[MAC_BYTES])
{
    struct buf b = { 0 };

    (void)buf_reserve(&b, user.n + password.n + hash.n + 8);
    buf_u32(&b, (uint32_t)user.n);
    buf_bytes(&b, user);
    buf_u32(&b, (uint32_t)password.n);
    buf_bytes(&b, password);
    buf_bytes(&b, hash);
    siphash(a->key, buf_view(&b), mac);
    explicit_bzero(b.p, b.n);
    buf_fini(&b);
}

static uint8_t *cache_slot(uint8_t cache[CACHE_SIZE][MAC_BYTES], const uint8_t mac[MAC_BYTES])
{
    return cache[(mac[0] | (unsigned)mac[1] << 8) % CACHE_SIZE];
}

static void fail_later(struct auth *a, struct job *j)
{
    j->due_ns = clock_monotonic_ns() + failure_delay_ns;
    list_push_back(&a->failed, &j->link);
}

static struct lane *lane_find(struct auth *a, struct bytes user)
{
    struct lane *l = map_get(&a->lane_of, user);

    if (l || map_count(&a->lane_of) == LANES_MAX)
        return l;
    l = mem_new(struct lane);
    l->name = bytes_dup_str(user);
    l->name_len = user.n;
    list_init(&l->jobs);
    list_push_back(&a->lanes, &l->link);
    (void)map_put(&a->lane_of, bytes_of(l->name, l->name_len), l);
    return l;
}

static void lane_drop(struct auth *a, struct lane *l)
{
    CHECK(map_remove(&a->lane_of, bytes_of(l->name, l->name_len)) == l);
    list_remove(&l->link);
    mem_free(l->name);
    mem_free(l);
}

static void enqueue(struct auth *a, struct job *j, struct bytes user)
{
    struct lane *l = lane_find(a, *j->hash ? user : BYTES(""));
    unsigned dropped = 0;

    if (l && l->count < LANE_JOBS_MAX) {
        list_push_back(&l->jobs, &j->link);
        l->count++;
        return;
    }
    if (log_allowed(&a->busy_log, 1, &dropped))
        log_warn("auth.busy", "user=%s more=%u", log_text(user).s, dropped);
    fail_later(a, j);
}

/* Gives the worker the next job, the lanes taking turns. */
static void start_next(struct auth *a)
{
    struct list *node = a->working ? NULL : list_pop(&a->lanes);

    if (!node)
        return;
    struct lane *l = container_of(node, struct lane, link);
    struct job *j = container_of(list_pop(&l->jobs), struct job, link);

    list_push_back(&a->lanes, &l->link);
    if (--l->count == 0)
        lane_drop(a, l);
    a->working = true;
    lock(a);
    a->todo = j;
    CHECK(pthread_cond_signal(&a->wake) == 0);
    unlock(a);
}

/* Arms the timer for the next failure, unless the worker's answer is there. */
static void arm_next(struct auth *a)
{
    struct list *first = list_first(&a->failed);

    lock(a);
    if (a->done)
        arm(a, 1);
    else
        arm(a, first ? container_of(first, struct job, link)->due_ns : 0);
    unlock(a);
}

static struct job *job_new(struct auth *a, const uint8_t mac[MAC_BYTES], struct bytes password,
                           struct bytes hash)
{
    struct job *j = mem_new(struct job);
    bool has_nul = password.n > 0 && memchr(password.p, 0, password.n);

    memcpy(j->mac, mac, MAC_BYTES);
    list_init(&j->link);
    list_init(&j->waiters);
    j->password = bytes_dup_str(password);
    /* crypt would stop at a NUL: such a password is nobody's. */
    j->hash = bytes_dup_str(has_nul ? BYTES("") : hash);
    (void)map_put(&a->jobs, bytes_of(j->mac, MAC_BYTES), j);
    return j;
}

static void wait_for(struct auth *a, struct job *j, struct session *s)
{
    struct waiter *w = mem_new(struct waiter);

    w->session = s;
    w->key = (uint64_t)(uintptr_t)s;
    list_push_back(&j->waiters, &w->link);
    CHECK(!map_put(&a->waiters, map_key_u64(&w->key), w));
}

bool auth_check(struct auth *a, struct session *s, struct bytes user, struct bytes password,
                struct bytes hash, bool *accepted)
{
    uint8_t mac[MAC_BYTES];

    digest(a, user, password, hash, mac);
    if (equal_in_constant_time(cache_slot(a->good, mac), mac, MAC_BYTES)) {
        *accepted = true;
        return true;
    }
    struct job *j = map_get(&a->jobs, bytes_of(mac, MAC_BYTES));
    if (!j) {
        j = job_new(a, mac, password, hash);
        if (equal_in_constant_time(cache_slot(a->bad, mac), mac, MAC_BYTES))
            fail_later(a, j);
        else
            enqueue(a, j, user);
    }
    wait_for(a, j, s);
    start_next(a);
    arm_next(a);
    return false;
}

static void waiter_free(struct auth *a, struct waiter *w)
{
    list_remove(&w->link);
    CHECK(map_remove(&a->waiters, map_key_u64(&w->key)) == w);
    mem_free(w);
}

void auth_forget(struct auth *a, const struct session *s)
{
    uint64_t key = (uint64_t)(uintptr_t)s;
    struct waiter *w = map_get(&a->waiters, map_key_u64(&key));

    if (w)
        waiter_free(a, w);
}

/* The job leaves the map first: a session may ask again from auth_done. */
static void answer(struct auth *a, struct job *j, bool accepted)
{
    struct list *node;

    CHECK(map_remove(&a->jobs, bytes_of(j->mac, MAC_BYTES)) == j);
    while ((node = list_first(&j->waiters))) {
        struct waiter *w = container_of(node, struct waiter, link);
        struct session *s = w->session;

        waiter_free(a, w);
        s->ops->auth_done(s, accepted);
        session_touch(s);
    }
    job_free(j);
}

static void take_done(struct auth *a)
{
    lock(a);
    struct job *j = a->done;
    bool accepted = a->accepted;
    a->done = NULL;
    unlock(a);
    if (!j)
        return;
    a->working = false;
    memcpy(cache_slot(accepted ? a->good : a->bad, j->mac), j->mac, MAC_BYTES);
    if (accepted)
        answer(a, j, true);
    else
        fail_later(a, j);
}

void auth_run(struct auth *a)
{
    uint64_t expirations, now_ns = clock_monotonic_ns();
    ssize_t got = read(a->fd, &expirations, sizeof expirations);
    struct list *node;

    (void)got; /* readable or not: what follows looks for itself */
    take_done(a);
    start_next(a);
    while ((node = list_first(&a->failed))) {
        struct job *j = container_of(node, struct job, link);

        if (j->due_ns > now_ns)
            break;
        list_remove(node);
        answer(a, j, false);
    }
    arm_next(a);
}
