// SPDX-License-Identifier: MIT
/* sim.c - the seeded simulator: many model clients over sessions, core and an
 * engine in memory, with crashes at any step.  A seed repeats a run exactly.
 *
 *     sim [--seeds N] [--steps N] [--seed K] [--verbose] [--stomp | --amqp | --direct | --mqtt]
 *
 * --seed alone runs that one, with --seeds so many from it on.
 * Each seed runs with clients of STOMP and of AMQP on the same queues, then on the
 * core directly, unless one of these is named; --mqtt has clients of MQTT. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "tests/sim/amqp_client.h"
#include "tests/sim/direct.h"
#include "tests/sim/model_client.h"
#include "tests/sim/mqtt_peer.h"
#include "tests/sim/trace.h"

enum { CLIENTS = 8, CHECK_EVERY = 97, LONG_BYTES = 40000 };

/* What the clients speak; of both, chance says how many speak which. */
enum protocols { STOMP_AND_AMQP, ONLY_STOMP, ONLY_AMQP };

struct run {
    struct world world;
    unsigned amqp_count; /* so many, from the first on, speak AMQP */
    struct amqp_client amqp[CLIENTS];
    struct client stomp[CLIENTS];
    uint32_t crash_one_in;
};

static void time_passes(struct run *run)
{
    struct rng *r = &run->world.rng;

    for (int i = 0; i < CLIENTS; i++) {
        client_beat(&run->stomp[i]);
        amqp_client_beat(&run->amqp[i]);
    }
    world_pass(&run->world, rng_one_in(r, 10) ? rng_below(r, 3000) : rng_below(r, 60));
}

static void seldom(struct run *run)
{
    struct world *w = &run->world;

    if (rng_one_in(&w->rng, run->crash_one_in))
        world_crash(w);
    else if (rng_one_in(&w->rng, 100))
        world_restart(w);
    else if (w->disk_low ? rng_one_in(&w->rng, 3) : rng_one_in(&w->rng, 60))
        world_disk(w, !w->disk_low);
}

static void feed(struct run *run, struct wire *wire)
{
    struct rng *r = &run->world.rng;

    if (wire)
        world_feed(&run->world, wire,
                   1 + rng_below(r, rng_one_in(r, 4)          ? 10
                                    : wire->up.n > LONG_BYTES ? 10 * LONG_BYTES
                                                              : 4000));
}

static bool is_amqp(const struct run *run, uint32_t i)
{
    return i < run->amqp_count;
}

static void act(struct run *run, uint32_t i)
{
    if (is_amqp(run, i))
        amqp_client_act(&run->amqp[i]);
    else
        client_act(&run->stomp[i]);
}

static void read_some(struct run *run, uint32_t i)
{
    struct rng *r = &run->world.rng;

    if (!rng_one_in(r, is_amqp(run, i) ? run->amqp[i].slow : run->stomp[i].slow))
        return;
    uint32_t n = 1 + rng_below(r, rng_one_in(r, 4) ? 50 : 20000);
    if (is_amqp(run, i))
        amqp_client_read(&run->amqp[i], n);
    else
        client_read(&run->stomp[i], n);
}

static void step(struct run *run)
{
    struct world *w = &run->world;
    uint32_t i = rng_below(&w->rng, CLIENTS);
    uint32_t what = rng_below(&w->rng, 100);

    if (what < 35)
        act(run, i);
    else if (what < 55)
        feed(run, is_amqp(run, i) ? run->amqp[i].wire : run->stomp[i].wire);
    else if (what < 70)
        world_turn(w);
    else if (what < 87)
        read_some(run, i);
    else if (what < 91)
        world_commit(w);
    else if (what < 95)
        world_load(w);
    else if (what < 98)
        time_passes(run);
    else
        seldom(run);
}

/* ---- the end of a run ---- */

static void answer_all(struct client *c)
{
    for (size_t i = 0; i < c->sub_count; i++)
        while (c->sub[i]->held_count > 0)
            client_answer(c, c->sub[i], c->sub[i]->held_count - 1, false, false, NULL);
}

static void exchange_bytes(struct world *w, struct client *c)
{
    world_feed(w, c->wire, SIZE_MAX);
    world_settle(w);
    client_read(c, SIZE_MAX);
}

static void drain(struct world *w)
{
    struct client c;
    struct core_stats s;
    uint64_t rounds = 0;

    client_init(&c, w, CLIENTS);
    c.draining = true;
    client_connect(&c, STOMP_V1_2, false);
    exchange_bytes(w, &c);
    CHECK(c.up);
    for (int q = 0; q < QUEUES; q++)
        (void)client_subscribe(&c, q, rng_one_in(&w->rng, 2) ? ACK_CLIENT : ACK_INDIVIDUAL,
                               1 + rng_below(&w->rng, 100));
    do {
        exchange_bytes(w, &c);
        answer_all(&c);
        s = world_stats(w);
        SIM_CHECK(++rounds < 100000, "%" PRIu64 " messages do not come", s.ready);
    } while (s.ready + s.unacked > 0 || c.promise_count > 0 || c.wire->up.n > 0);
    client_fini(&c);
    world_settle(w);
}

/* Delays of three seconds at most, then a life of five. */
static void let_time_end(struct world *w)
{
    for (int i = 0; i < 4; i++) {
        world_pass(w, 5000);
        world_settle(w);
    }
}

static void check_empty(const struct world *w)
{
    struct core_stats s = world_stats(w);
    struct mem_disk_stats d = mem_disk_stats(w->disk);

    SIM_CHECK(s.ready == 0 && s.unacked == 0, "ready=%" PRIu64 " unacked=%" PRIu64, s.ready,
              s.unacked);
    SIM_CHECK(s.batches == 0, "%" PRIu64 " batches are left in the core", s.batches);
    SIM_CHECK(s.memory_bytes == 0, "%" PRIu64 " bytes are left in memory", s.memory_bytes);
    SIM_CHECK(s.clients == 0 && s.consumers == 0, "clients=%u consumers=%u", s.clients,
              s.consumers);
    SIM_CHECK(d.batches == 0, "%" PRIu64 " batches are left on disk", d.batches);
    SIM_CHECK(d.settled == 0 && d.deliveries == 0, "settled=%" PRIu64 " deliveries=%" PRIu64,
              d.settled, d.deliveries);
    SIM_CHECK(d.blobs == 0 && d.parts == 0, "blobs=%" PRIu64 " parts=%" PRIu64, d.blobs, d.parts);
}

/* Did anything come, but for heartbeats?  Or is a rest of it on the way? */
static bool exchange_amqp(struct world *w, struct amqp_client *c)
{
    uint64_t before = c->frames;

    amqp_client_flush(c);
    amqp_client_beat(c);
    if (c->wire)
        world_feed(w, c->wire, SIZE_MAX);
    world_settle(w);
    amqp_client_read(c, SIZE_MAX);
    return c->frames > before ||
           (c->wire && c->in.n + c->wire->up.n + c->wire->left.n + c->wire->down.n > 0);
}

/* Nobody does anything new: what is due must come. */
static void come_to_rest(struct run *run)
{
    enum { ROUNDS = 100000, IDLE_ROUNDS = 8, IDLE_MS = 600 };
    int idle = 0;

    for (int round = 0; idle < IDLE_ROUNDS; round++) {
        bool moved = false;

        SIM_CHECK(round < ROUNDS, "the clients do not come to rest");
        for (unsigned i = 0; i < run->amqp_count; i++)
            moved = exchange_amqp(&run->world, &run->amqp[i]) || moved;
        idle = moved ? 0 : idle + 1;
        world_pass(&run->world, moved ? 1 : IDLE_MS);
    }
    for (unsigned i = 0; i < run->amqp_count; i++)
        amqp_client_check_quiet(&run->amqp[i]);
}

static void hang_up(struct run *run)
{
    for (int i = 0; i < CLIENTS; i++) {
        client_hang_up(&run->stomp[i]);
        amqp_client_hang_up(&run->amqp[i]);
    }
}

static void finish(struct run *run)
{
    struct world *w = &run->world;

    trace("the end: everything is drained");
    w->disk_low = false;
    core_disk_free(w->env.core, UINT64_C(1) << 40);
    if (!rng_one_in(&w->rng, 4))
        come_to_rest(run);
    hang_up(run);
    if (rng_one_in(&w->rng, 2))
        world_crash(w);
    let_time_end(w);
    world_check(w);
    /* And the open batch of transient messages, whose buffer has grown by doubling. */
    SIM_CHECK(world_stats(w).memory_bytes <= w->opt.memory_bytes + 3 * BATCH_BODIES_MAX_BYTES,
              "%" PRIu64 " bytes are held at rest, the budget is %" PRIu64,
              world_stats(w).memory_bytes, w->opt.memory_bytes);
    drain(w);
    world_check(w);
    oracle_final(&w->oracle);
    check_empty(w);
    world_crash(w);
    world_settle(w);
    check_empty(w);
}

struct totals {
    uint64_t sent, confirmed, delivered, redelivered, settled, crashes, turns, commits, loads;
};

static void add(struct totals *t, const struct world *w)
{
    t->sent += w->oracle.count;
    t->confirmed += w->oracle.confirmed;
    t->delivered += w->oracle.delivered;
    t->redelivered += w->oracle.redelivered;
    t->settled += w->oracle.settled;
    t->crashes += w->crashes;
    t->turns += w->turns;
    t->commits += w->commits;
    t->loads += w->loads;
}

static unsigned slowness(struct rng *r)
{
    return rng_one_in(r, 3) ? 1 + rng_below(r, 20) : 1;
}

static void begin(struct run *run, uint64_t seed, enum protocols p)
{
    struct world *w = &run->world;

    world_init(w, seed);
    run->crash_one_in = rng_one_in(&w->rng, 4) ? UINT32_MAX : 5 + rng_below(&w->rng, 100);
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_init(&run->stomp[i], w, i);
        amqp_client_init(&run->amqp[i], w, i);
        run->stomp[i].slow = run->amqp[i].slow = slowness(&w->rng);
    }
    run->amqp_count = p == ONLY_STOMP  ? 0
                      : p == ONLY_AMQP ? CLIENTS
                                       : 1 + rng_below(&w->rng, CLIENTS - 1);
}

static void run_seed(uint64_t seed, uint64_t steps, bool verbose, enum protocols p,
                     struct totals *t)
{
    static struct run run;
    struct world *w = &run.world;

    trace_begin(seed, verbose);
    begin(&run, seed, p);
    for (uint64_t i = 1; i <= steps; i++) {
        trace_step(i);
        step(&run);
        if (i % CHECK_EVERY == 0)
            world_check(w);
    }
    finish(&run);
    add(t, w);
    for (int i = 0; i < CLIENTS; i++) {
        client_fini(&run.stomp[i]);
        amqp_client_fini(&run.amqp[i]);
    }
    world_fini(w);
}

/* ---- the command ---- */

struct options {
    uint64_t seeds, steps, seed;
    bool verbose, stomp, amqp, direct, mqtt;
};

struct flag {
    const char *name;
    bool *value;
};

static bool number(const char *text, uint64_t *out)
{
    return text && bytes_to_u64(bytes_str(text), UINT64_MAX, out);
}

static bool parse_flag(const char *text, struct options *o)
{
    const struct flag flags[] = { { "--verbose", &o->verbose },
                                  { "--stomp", &o->stomp },
                                  { "--amqp", &o->amqp },
                                  { "--direct", &o->direct },
                                  { "--mqtt", &o->mqtt } };

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (strcmp(text, flags[i].name) == 0) {
            *flags[i].value = true;
            return true;
        }
    }
    return false;
}

static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (parse_flag(argv[i], o))
            continue;
        uint64_t *to = strcmp(argv[i], "--seeds") == 0   ? &o->seeds
                       : strcmp(argv[i], "--steps") == 0 ? &o->steps
                       : strcmp(argv[i], "--seed") == 0  ? &o->seed
                                                         : NULL;
        if (!to || !number(value, to))
            return false;
        i++;
    }
    return true;
}

static void print_totals(const struct totals *t)
{
    printf("sent=%" PRIu64 " confirmed=%" PRIu64 " delivered=%" PRIu64 " redelivered=%" PRIu64
           " settled=%" PRIu64 " crashes=%" PRIu64 " turns=%" PRIu64 " commits=%" PRIu64
           " loads=%" PRIu64 "\n",
           t->sent, t->confirmed, t->delivered, t->redelivered, t->settled, t->crashes, t->turns,
           t->commits, t->loads);
}

static void print_mqtt(const struct mqtt_totals *t)
{
    printf("mqtt: sent=%" PRIu64 " confirmed=%" PRIu64 " delivered=%" PRIu64 " redelivered=%" PRIu64
           " crashes=%" PRIu64 " turns=%" PRIu64 " commits=%" PRIu64 "\n",
           t->sent, t->confirmed, t->delivered, t->redelivered, t->crashes, t->turns, t->commits);
}

int main(int argc, char **argv)
{
    struct options o = { .steps = 20000 };
    struct totals t = { 0 };
    struct mqtt_totals m = { 0 };

    if (!parse(argc, argv, &o)) {
        (void)fprintf(stderr, "usage: sim [--seeds N] [--steps N] [--seed K] [--verbose]"
                              " [--stomp | --amqp | --direct | --mqtt]\n");
        return 2;
    }
    log_configure(LOG_FATAL, false);
    uint64_t first = o.seed ? o.seed : 1;
    uint64_t last = first - 1 + (o.seeds ? o.seeds : o.seed ? 1 : 200);
    for (uint64_t seed = first; seed <= last; seed++) {
        if (!o.direct && !o.mqtt)
            run_seed(seed, o.steps, o.verbose,
                     o.stomp  ? ONLY_STOMP
                     : o.amqp ? ONLY_AMQP
                              : STOMP_AND_AMQP,
                     &t);
        if (!o.stomp && !o.amqp && !o.mqtt)
            direct_run(seed, o.steps, o.verbose);
        if (o.mqtt)
            mqtt_run(seed, o.steps, o.verbose, &m);
    }
    if (!o.direct && !o.mqtt)
        print_totals(&t);
    if (o.mqtt)
        print_mqtt(&m);
    printf("ok sim %" PRIu64 " seeds of %" PRIu64 " steps\n", last - first + 1, o.steps);
    return 0;
}
