// SPDX-License-Identifier: MIT
/* A run with MQTT clients: the world of the others, with crashes at any step. */
#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/sim/mqtt_peer.h"
#include "tests/sim/trace.h"

enum { CHECK_EVERY = 97, LONG_BYTES = 40000 };

static void choose(struct mqtt_model *m)
{
    static const uint16_t inflight[] = { 1, 5, 20, 200 };
    struct rng *r = &m->world.rng;

    m->inflight = inflight[rng_below(r, 4)];
    m->world.env.message_bytes = m->world.opt.message_bytes;
    m->world.env.mqtt = (struct mqtt_limits){
        .receive_maximum = (uint16_t)(1 + rng_below(r, 20)),
        .inflight = (uint16_t)m->inflight,
        .topic_aliases = (uint16_t)rng_below(r, PEER_ALIASES + 1),
        .share_expiry_ms = 60000,
    };
}

static void seldom(struct mqtt_model *m, uint32_t crash_one_in)
{
    struct world *w = &m->world;

    if (rng_one_in(&w->rng, crash_one_in))
        world_crash(w);
    else if (rng_one_in(&w->rng, 100))
        world_restart(w);
    else if (w->disk_low ? rng_one_in(&w->rng, 3) : rng_one_in(&w->rng, 60))
        world_disk(w, !w->disk_low);
    else
        world_pass(w, rng_below(&w->rng, rng_one_in(&w->rng, 10) ? 3000 : 60));
}

static void feed(struct mqtt_peer *p)
{
    struct world *w = &p->model->world;
    struct rng *r = &w->rng;
    struct wire *wire = p->old && rng_one_in(r, 2) ? p->old : p->wire;

    if (wire)
        world_feed(w, wire,
                   1 + rng_below(r, rng_one_in(r, 4)          ? 10
                                    : wire->up.n > LONG_BYTES ? 10 * LONG_BYTES
                                                              : 4000));
}

static void step(struct mqtt_model *m, uint32_t crash_one_in)
{
    struct world *w = &m->world;
    struct rng *r = &w->rng;
    struct mqtt_peer *p = &m->peer[rng_below(r, MQTT_PEERS)];
    uint32_t what = rng_below(r, 100);

    if (what < 35)
        mqtt_peer_act(p);
    else if (what < 55)
        feed(p);
    else if (what < 70)
        world_turn(w);
    else if (what < 87) {
        if (rng_one_in(r, p->slow))
            mqtt_peer_read(p, 1 + rng_below(r, rng_one_in(r, 4) ? 50 : 20000));
    } else if (what < 92)
        world_commit(w);
    else if (what < 97)
        world_load(w);
    else
        seldom(m, crash_one_in);
}

/* ---- the end of a run ---- */

static bool exchange(struct mqtt_peer *p)
{
    struct world *w = &p->model->world;
    uint64_t before = p->packets;

    if (!p->wire)
        mqtt_peer_connect(p, false);
    while (p->greeted && p->held.n > 0)
        mqtt_peer_answer(p, 0);
    world_feed(w, p->wire, SIZE_MAX);
    world_settle(w);
    mqtt_peer_read(p, SIZE_MAX);
    return !p->wire || p->packets > before ||
           p->in.n + p->wire->up.n + p->wire->left.n + p->wire->down.n > 0;
}

/* Everybody comes back, once, and answers all that comes. */
static void come_to_rest(struct mqtt_model *m)
{
    enum { ROUNDS = 20000, IDLE_ROUNDS = 6 };
    int idle = 0;

    for (int round = 0; idle < IDLE_ROUNDS; round++) {
        bool moved = false;

        SIM_CHECK(round < ROUNDS, "the clients do not come to rest");
        for (int i = 0; i < MQTT_PEERS; i++)
            moved = exchange(&m->peer[i]) || moved;
        idle = moved ? 0 : idle + 1;
    }
}

static void check_quiet(const struct mqtt_peer *p)
{
    SIM_CHECK(p->up, "mqtt %u cannot connect", p->no);
    SIM_CHECK(p->due.n == 0, "mqtt %u: %s %u never came", p->no, mqtt_type_name(p->due.at[0].type),
              p->due.at[0].id);
    SIM_CHECK(p->out.n == 0, "mqtt %u: publish %u never ended", p->no, p->out.at[0].id);
    SIM_CHECK(p->got.n == 0, "mqtt %u: delivery %u, message %u, was never released", p->no,
              p->got.at[0].id, p->got.at[0].what);
    SIM_CHECK(p->open.n == 0 && p->recs.n == 0, "mqtt %u: a delivery never ended", p->no);
    for (size_t i = 1; i < p->model->count; i++) {
        const struct peer_message *m = &p->model->message[i];

        SIM_CHECK(!m->confirmed || m->seen[p->no] || m->owed[p->no] != p->session,
                  "mqtt %u: message %zu of %u is lost", p->no, i, m->from);
    }
}

static void hang_up(struct mqtt_model *m)
{
    for (int i = 0; i < MQTT_PEERS; i++) {
        mqtt_peer_forget_old(&m->peer[i]);
        mqtt_peer_hang_up(&m->peer[i]);
    }
}

static void check_empty(const struct world *w)
{
    struct core_stats s = world_stats(w);

    SIM_CHECK(s.ready == 0 && s.unacked == 0, "ready=%" PRIu64 " unacked=%" PRIu64, s.ready,
              s.unacked);
    SIM_CHECK(s.batches == 0, "%" PRIu64 " batches are left in the core", s.batches);
    SIM_CHECK(mem_disk_stats(w->disk).batches == 0, "batches are left on disk");
}

static void finish(struct mqtt_model *m)
{
    struct world *w = &m->world;

    trace("the end: everybody comes back");
    world_disk(w, false);
    hang_up(m);
    if (rng_one_in(&w->rng, 2))
        world_crash(w);
    world_settle(w);
    come_to_rest(m);
    for (int i = 0; i < MQTT_PEERS; i++)
        check_quiet(&m->peer[i]);
    world_check(w);
    hang_up(m);
    world_pass(w, 5000);
    world_settle(w);
    check_empty(w);
}

/* The queues of the others would keep what is published. */
static void drop_queues(struct world *w)
{
    struct core *core = w->env.core;
    int owner;
    client_id id = core_client_open(core, core_vhost_find(core, BYTES("/")), &owner);
    const char *why;
    uint64_t count;

    for (int i = 0; i < QUEUES; i++)
        CHECK(core_queue_delete(core, id, bytes_str(sim_queues[i].name), false, false, &count,
                                &why) == OK);
    core_client_close(core, id, w->now_ms);
    world_settle(w);
}

void mqtt_run(uint64_t seed, uint64_t steps, bool verbose, struct mqtt_totals *t)
{
    static struct mqtt_model m;
    struct world *w = &m.world;

    trace_begin(seed, verbose);
    world_init(w, seed);
    choose(&m);
    drop_queues(w);
    uint32_t crash_one_in = rng_one_in(&w->rng, 4) ? UINT32_MAX : 5 + rng_below(&w->rng, 100);
    m.count = 1;
    m.sent = m.confirmed = m.delivered = m.redelivered = 0;
    for (unsigned i = 0; i < MQTT_PEERS; i++) {
        mqtt_peer_init(&m.peer[i], &m, i);
        m.peer[i].slow = rng_one_in(&w->rng, 3) ? 1 + rng_below(&w->rng, 20) : 1;
    }
    for (uint64_t i = 1; i <= steps; i++) {
        trace_step(i);
        step(&m, crash_one_in);
        if (i % CHECK_EVERY == 0)
            world_check(w);
    }
    finish(&m);
    t->sent += m.sent;
    t->confirmed += m.confirmed;
    t->delivered += m.delivered;
    t->redelivered += m.redelivered;
    t->crashes += w->crashes;
    t->turns += w->turns;
    t->commits += w->commits;
    for (int i = 0; i < MQTT_PEERS; i++)
        mqtt_peer_fini(&m.peer[i]);
    world_fini(w);
    mem_free(m.message);
    m.message = NULL;
    m.cap = 0;
}
