// SPDX-License-Identifier: MIT
#include "broker/broker.h"

#include <event2/event.h>
#include <poll.h>
#include <sys/statvfs.h>

#include "base/check.h"
#include "base/clock.h"

/* A commit under way in which no input comes, so often in a row, shows that
 * whoever talks to us waits for it. */
enum { QUIET_COMMITS = 8, QUIET_MAX_NS = 1000 * 1000 };

static void take_commit(struct broker *b, struct commit *c)
{
    bool quiet = b->inputs == b->inputs_before && c->ended_ns - c->began_ns < QUIET_MAX_NS;

    b->quiet_commits = quiet ? b->quiet_commits + 1 : 0;
    core_committed(b->core, c);
}

void broker_take_done(struct broker *b)
{
    struct commit *commit = NULL;
    struct load *load = NULL;

    while (store_take_done(b->store, &commit, &load)) {
        if (commit)
            take_commit(b, commit);
        else
            core_loaded(b->core, load);
        commit = NULL;
        load = NULL;
    }
}

/* Whoever publishes waits for each commit. */
static bool alone(const struct broker *b)
{
    return b->quiet_commits >= QUIET_COMMITS;
}

/* What gathered since the last commit, when it may be made now; or NULL. */
static struct commit *next_commit(struct broker *b)
{
    if (!store_idle(b->store))
        return NULL;
    if (!core_gathered(b->core))
        pace_nothing(&b->pace);
    else if (!alone(b) && !pace_may_begin(&b->pace, clock_monotonic_ns()))
        return NULL;
    return core_seal(b->core, b->env.now_ms);
}

/* Commits grow with the load: while one is under way the next one gathers.  Where
 * nothing would gather, the loop commits itself: the two wake-ups of a hand-over
 * cost half as much as the disk (docs/decisions/0013). */
static void submit(struct broker *b)
{
    struct commit *c = next_commit(b);

    if (!c)
        return;
    b->inputs_before = b->inputs;
    pace_began(&b->pace, clock_monotonic_ns());
    if (alone(b)) {
        store_commit_here(b->store, c);
        b->committed = c;
    } else {
        store_submit(b->store, c);
    }
}

/* A turn after it was made, so that the input of that time is known. */
static void take_own_commit(struct broker *b)
{
    if (b->committed)
        take_commit(b, b->committed);
    b->committed = NULL;
}

static void ask_for_loads(struct broker *b)
{
    uint64_t batch_id = 0, blob_id = 0;
    uint32_t part = 0;

    while (core_next_load(b->core, &batch_id, &blob_id, &part)) {
        if (blob_id)
            store_load_part(b->store, blob_id, part);
        else
            store_load(b->store, batch_id);
        batch_id = blob_id = 0;
    }
}

static bool submit_rest(struct broker *b)
{
    struct commit *c = store_idle(b->store) ? core_seal(b->core, b->env.now_ms) : NULL;

    if (c)
        store_submit(b->store, c);
    return !store_idle(b->store);
}

void broker_flush(struct broker *b)
{
    struct pollfd p = { .fd = store_fd(b->store), .events = POLLIN };

    take_own_commit(b);
    while (submit_rest(b)) {
        (void)poll(&p, 1, -1);
        broker_take_done(b);
    }
}

enum { DISK_LOOK_MS = 1000 };

static void look_at_disk(struct broker *b)
{
    struct statvfs fs;

    b->disk_look_ms = b->env.now_mono_ms + DISK_LOOK_MS;
    if (statvfs(b->settings.data.s, &fs) == 0)
        core_disk_free(b->core, (uint64_t)fs.f_bavail * fs.f_frsize);
}

/* While publishes are refused there may be no commits, which tell of it otherwise. */
static void await_disk(struct broker *b)
{
    if (core_pressure(b->core) == CORE_PRESSURE_DISK && b->env.now_mono_ms >= b->disk_look_ms)
        look_at_disk(b);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When a commit that is held up begins; the timer counts in milliseconds. */
static uint64_t held_until_ms(const struct broker *b)
{
    uint64_t ns = store_idle(b->store) ? pace_until_ns(&b->pace) : UINT64_MAX;

    return ns == UINT64_MAX ? UINT64_MAX : (ns + 999999) / 1000000;
}

/* When, on the monotonic clock, something is due though nothing happens. */
static uint64_t next_at_ms(const struct broker *b)
{
    const struct heap_node *wake = heap_min(&b->env.wakes);
    uint64_t core_at = core_next_at_ms(b->core), now = b->env.now_mono_ms;
    uint64_t at = least(wake ? wake->key : UINT64_MAX, net_next_at_ms(b->net));

    at = least(at, held_until_ms(b));
    if (b->state != BROKER_RUNNING)
        at = least(at, b->stop_at_ms);
    if (core_pressure(b->core) == CORE_PRESSURE_DISK)
        at = least(at, b->disk_look_ms);
    if (core_at != UINT64_MAX)
        at = least(at, core_at > b->env.now_ms ? now + (core_at - b->env.now_ms) : now);
    return at;
}

/* A step of the wall clock is noticed within this time. */
enum { SLEEP_MAX_MS = 10000 };

static void arm_timer(struct broker *b)
{
    uint64_t at = next_at_ms(b), now = b->env.now_mono_ms;

    b->again = at <= now || net_has_work(b->net) || b->committed;
    if (b->again || at == b->armed_at_ms)
        return;
    b->armed_at_ms = at;
    if (at == UINT64_MAX) {
        (void)event_del(&b->timer);
        return;
    }
    uint64_t ms = least(at - now, SLEEP_MAX_MS);
    struct timeval in = { .tv_sec = (time_t)(ms / 1000),
                          .tv_usec = (suseconds_t)(ms % 1000 * 1000) };
    CHECK(event_add(&b->timer, &in) == 0);
}

/* Runs after every ready socket has been read.  The order matters: deliveries
 * are decided once per turn, replies leave before the disk is asked, and the disk
 * sees one batch however many clients published. */
void broker_turn_end(struct broker *b)
{
    struct session_env *env = &b->env;

    net_clock(b->net);
    if (net_took_input(b->net)) {
        b->inputs++;
        pace_input(&b->pace, clock_monotonic_ns());
    }
    take_own_commit(b);
    (void)session_run_wakes(env);
    await_disk(b);
    net_pressure(b->net, core_pressure(b->core) == CORE_PRESSURE_MEMORY);
    net_feed(b->net);
    core_turn(b->core, env->now_ms);
    session_run_effects(env);
    core_effects_done(b->core);
    net_write(b->net);
    submit(b);
    ask_for_loads(b);
    net_reap(b->net);
    if (b->state != BROKER_RUNNING)
        broker_stop_step(b);
    arm_timer(b);
}

int broker_run(struct broker *b)
{
    while (b->state != BROKER_ENDED) {
        CHECK(event_base_loop(b->base, EVLOOP_ONCE | (b->again ? EVLOOP_NONBLOCK : 0)) == 0);
        broker_turn_end(b);
    }
    return 0;
}
