// SPDX-License-Identifier: MIT
#include "tests/sim/world.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/amqp.h"
#include "tests/lib/core_rig.h"
#include "tests/lib/everybody.h"
#include "tests/sim/trace.h"

enum { SOCKET_BYTES = 20000 };

/* ---- disk ---- */

/* Whoever changes what is on its way to disk is found out. */
static uint64_t commit_hash(const struct commit *c)
{
    uint64_t h = c->number;

    for (size_t i = 0; i < c->op_count; i++) {
        const struct op *o = &c->op[i];

        h = bytes_hash(o->bits, h ^ (uint64_t)o->kind << 56 ^ o->batch_id);
        if (o->kind != OP_BATCH_PUT)
            continue;
        h = bytes_hash(buf_view(&o->content->bodies), h);
        h = bytes_hash(bytes_of(o->content->slot, o->content->slot_count * sizeof(struct slot)), h);
    }
    return h;
}

static void land(struct world *w, struct commit *c)
{
    SIM_CHECK(commit_hash(c) == w->under_way_hash, "a commit changed while it was under way");
    CHECK(engine_mem.commit(w->engine, c) == OK);
    /* The core takes its pauses by them: real ones would not repeat. */
    c->began_ns = w->disk_ns += rng_below(&w->rng, 1000);
    c->ended_ns = w->disk_ns += 1 + rng_below(&w->rng, 200);
    c->disk_free_bytes = w->disk_low ? 0 : UINT64_C(1) << 40;
    w->commits++;
}

static void seal(struct world *w)
{
    if (w->under_way)
        return;
    w->under_way = core_seal(w->env.core, w->now_ms);
    if (w->under_way)
        w->under_way_hash = commit_hash(w->under_way);
}

void world_commit(struct world *w)
{
    struct commit *c = w->under_way;

    if (!c)
        return;
    w->under_way = NULL;
    land(w, c);
    core_committed(w->env.core, c);
}

void world_load(struct world *w)
{
    struct load *l;

    if (w->load_count == 0)
        return;
    l = mem_new(struct load);
    *l = w->load[0];
    memmove(w->load, w->load + 1, --w->load_count * sizeof *w->load);
    if (l->blob_id)
        l->err = engine_mem.load_part(w->engine, l->blob_id, l->part, &l->data);
    else
        l->err = engine_mem.load(w->engine, l->batch_id, &l->content);
    core_loaded(w->env.core, l);
    w->loads++;
}

static void ask_for_loads(struct world *w)
{
    struct load l = { 0 };

    while (core_next_load(w->env.core, &l.batch_id, &l.blob_id, &l.part)) {
        w->load = mem_grow(w->load, &w->load_cap, w->load_count + 1, sizeof *w->load);
        w->load[w->load_count++] = l;
    }
}

/* ---- the life of a process ---- */

static uint64_t declare(struct core *core, client_id id, const struct sim_queue *q, uint64_t now_ms)
{
    struct buf args = { 0 };
    struct queue_spec s = { .name = bytes_str(q->name),
                            .durable = true,
                            .arguments = rig_args(&args, q->args) };
    struct binding_spec b = { .target = s.name,
                              .exchange = bytes_str(q->exchange),
                              .routing_key = bytes_str(q->key) };
    struct queue_info info;

    CHECK(core_queue_declare(core, id, &s, &info, NULL, now_ms) == OK);
    if (q->exchange)
        CHECK(core_bind(core, id, &b, NULL) == OK);
    buf_fini(&args);
    return info.queue_id;
}

static void start(struct world *w)
{
    struct core *core = core_new(&w->opt);
    int owner;

    w->engine = engine_mem_on(w->disk);
    CHECK(engine_mem.recover(w->engine, &core_recover_sink, core) == OK);
    core_recovered(core, w->now_ms);
    if (w->boot == 0) {
        everything_for(core, "guest", "/");
        client_id id = core_client_open(core, core_vhost_find(core, BYTES("/")), &owner);

        for (int i = 0; i < QUEUES; i++)
            w->queue_id[i] = declare(core, id, &sim_queues[i], w->now_ms);
        core_client_close(core, id, w->now_ms);
    }
    w->env.core = core;
    w->boot++;
    w->disk_low = false;
    seal(w);
    world_commit(w);
    mqtt_recovered(&w->env);
    world_check(w);
}

/* What has left for the client stays on its way; a part of it, when all of a
 * sudden nobody is there to send it again. */
static void cut(struct world *w, struct wire *wire, bool whole)
{
    struct session *s = wire->session;

    if (!s)
        return;
    if (whole)
        buf_bytes(&wire->down, buf_view(&s->out));
    else if (wire->down.n > 0)
        wire->down.n = rng_below(&w->rng, (uint32_t)wire->down.n + 1);
    session_untouch(s);
    s->ops->close(&wire->session);
    wire->cut = true;
    wire->up.n = wire->left.n = 0;
}

static void wire_dies(struct world *w, struct wire *wire, bool whole)
{
    if (wire->session)
        wire->died = true;
    cut(w, wire, whole);
}

static void stop(struct world *w)
{
    for (size_t i = 0; i < WIRES_MAX; i++)
        if (w->wire[i])
            wire_dies(w, w->wire[i], false);
    mqtt_fini(&w->env);
    core_free(&w->env.core);
    engine_mem.close(&w->engine);
    commit_free(&w->under_way);
    w->load_count = 0;
    CHECK(heap_min(&w->env.wakes) == NULL && w->env.touched == NULL);
}

void world_crash(struct world *w)
{
    bool landed = w->under_way && rng_one_in(&w->rng, 2);

    trace("crash (%s)", !w->under_way ? "idle" : landed ? "commit landed" : "commit lost");
    if (landed)
        land(w, w->under_way);
    stop(w);
    w->crashes++;
    oracle_crashed(&w->oracle);
    start(w);
}

void world_restart(struct world *w)
{
    trace("clean stop and start");
    for (size_t i = 0; i < WIRES_MAX; i++)
        if (w->wire[i])
            wire_dies(w, w->wire[i], true);
    world_settle(w);
    core_stopping(w->env.core);
    seal(w);
    world_commit(w);
    stop(w);
    oracle_restarted(&w->oracle);
    start(w);
}

/* ---- the network ---- */

struct wire *world_connect(struct world *w, void *client, session_open_fn *open,
                           world_handed_fn *handed)
{
    for (size_t i = 0; i < WIRES_MAX; i++) {
        struct wire *wire;

        if (w->wire[i])
            continue;
        wire = w->wire[i] = mem_new(struct wire);
        wire->client = client;
        wire->handed = handed;
        wire->session = open(&w->env, true);
        wire->session->conn = wire;
        return wire;
    }
    CHECK_UNREACHABLE();
}

static void wire_free(struct wire *wire)
{
    buf_fini(&wire->up);
    buf_fini(&wire->left);
    buf_fini(&wire->down);
    mem_free(wire);
}

void world_hang_up(struct world *w, struct wire **at)
{
    struct wire *wire = *at;

    cut(w, wire, true);
    for (size_t i = 0; i < WIRES_MAX; i++)
        if (w->wire[i] == wire)
            w->wire[i] = NULL;
    wire_free(wire);
    *at = NULL;
}

static bool may_read(const struct world *w, const struct session *s)
{
    bool pressed = s->publisher && core_pressure(w->env.core) == CORE_PRESSURE_MEMORY;

    return !s->paused && !s->ending && !pressed && s->out.n < w->env.output_bytes;
}

static size_t input(struct wire *wire, uint8_t *in, size_t n)
{
    struct session *old = wire->session;
    size_t used = old->ops->input(old, in, n);

    if (!old->become)
        return used;
    wire->session = old->become(old->env, old->loopback);
    wire->session->conn = wire;
    session_untouch(old);
    old->ops->close(&old);
    return wire->session->ops->input(wire->session, in, n);
}

void world_feed(struct world *w, struct wire *wire, size_t n)
{
    struct session *s = wire->session;

    if (!s || !may_read(w, s))
        return;
    if (n > wire->up.n)
        n = wire->up.n;
    buf_put(&wire->left, wire->up.p, n);
    buf_drop(&wire->up, n);
    if (wire->left.n == 0)
        return;
    /* An exact copy, so that a read past the end is seen. */
    size_t have = wire->left.n;
    uint8_t *in = mem_alloc(have);
    memcpy(in, wire->left.p, have);
    size_t used = input(wire, in, have);
    s = wire->session;
    CHECK(used <= have);
    wire->left.n = 0;
    buf_put(&wire->left, in + used, have - used);
    mem_free(in);
    session_touch(s);
    SIM_CHECK(s->ending || s->paused || wire->left.n < 200000, "a session uses none of %zu bytes",
              wire->left.n);
}

/* What the socket would take: a reader that does not read fills it up. */
static size_t writable(const struct wire *wire)
{
    size_t room = wire->down.n < SOCKET_BYTES ? SOCKET_BYTES - wire->down.n : 0;

    if (!wire->session)
        return 0;
    return wire->session->out.n < room ? wire->session->out.n : room;
}

static void write_out(struct world *w, struct wire *wire)
{
    struct session *s = wire->session;
    size_t n = writable(wire);

    if (n > 1 && rng_one_in(&w->rng, 3))
        n = 1 + rng_below(&w->rng, (uint32_t)n);
    buf_put(&wire->down, s->out.p, n);
    buf_drop(&s->out, n);
    if (s->ending && s->out.n == 0) {
        cut(w, wire, true);
        return;
    }
    if (n > 0 && !s->ending && s->out.n <= w->env.output_bytes / 2)
        s->ops->drained(s);
}

/* ---- the turn ---- */

static void observe(struct world *w)
{
    size_t n;
    const struct effect *e = core_effects(w->env.core, &n);

    for (size_t i = 0; i < n; i++) {
        struct session_port *port = core_client_owner(w->env.core, e[i].client);
        struct message m;

        if (!port || e[i].kind != EFFECT_DELIVER)
            continue;
        struct wire *to = port->session->conn;
        core_effect_message(w->env.core, &e[i], &m);
        to->handed(w, to, port, &e[i], &m);
    }
}

void world_turn(struct world *w)
{
    struct session_env *env = &w->env;

    env->now_ms = env->now_mono_ms = w->now_ms;
    (void)session_run_wakes(env);
    core_turn(env->core, w->now_ms);
    observe(w);
    session_run_effects(env);
    core_effects_done(env->core);
    while (env->touched)
        session_untouch(env->touched);
    for (size_t i = 0; i < WIRES_MAX; i++)
        if (w->wire[i] && w->wire[i]->session)
            write_out(w, w->wire[i]);
    seal(w);
    ask_for_loads(w);
    w->turns++;

    uint64_t memory = world_stats(w).memory_bytes;
    if (memory > w->peak_memory)
        w->peak_memory = memory;
}

void world_pass(struct world *w, uint64_t ms)
{
    w->now_ms += ms;
    w->env.now_ms = w->env.now_mono_ms = w->now_ms;
}

void world_disk(struct world *w, bool low)
{
    if (w->disk_low == low)
        return;
    w->disk_low = low;
    trace("the disk is %s", low ? "full" : "as it was");
    core_disk_free(w->env.core, low ? 0 : UINT64_C(1) << 40);
}

bool world_is_idle(const struct world *w)
{
    for (size_t i = 0; i < WIRES_MAX; i++)
        if (w->wire[i] && writable(w->wire[i]) > 0)
            return false;
    return !w->under_way && w->load_count == 0 && core_next_at_ms(w->env.core) > w->now_ms;
}

void world_settle(struct world *w)
{
    for (int i = 0; i < 1000000; i++) {
        world_turn(w);
        if (world_is_idle(w))
            return;
        world_commit(w);
        while (w->load_count > 0)
            world_load(w);
    }
    sim_fail("the broker does not come to rest");
}

int world_queue(const struct world *w, uint64_t queue_id)
{
    for (int i = 0; i < QUEUES; i++)
        if (w->queue_id[i] == queue_id)
            return i;
    return NOWHERE;
}

struct core_stats world_stats(const struct world *w)
{
    struct core_stats s;

    core_stats(w->env.core, &s);
    return s;
}

void world_check(const struct world *w)
{
    struct core_stats s = world_stats(w);

    SIM_CHECK(core_check(w->env.core), "core_check");
    SIM_CHECK(s.set_aside == 0 && s.damaged_batches == 0, "set_aside=%" PRIu64 " damaged=%" PRIu64,
              s.set_aside, s.damaged_batches);
}

/* ---- a run ---- */

static uint64_t one_of(struct rng *r, const uint64_t *list, uint32_t n)
{
    return list[rng_below(r, n)];
}

static void choose_amqp(struct world *w)
{
    static const uint64_t frame[] = { AMQP_FRAME_MIN_BYTES, 16 << 10, 128 << 10 };
    static const uint64_t consumer_timeout[] = { 0, 15000, 1800000 };

    w->env.message_bytes = w->opt.message_bytes;
    w->env.amqp = (struct amqp_limits){
        .frame_bytes = (uint32_t)one_of(&w->rng, frame, 3),
        .channels = 8,
        .heartbeat_s = 60,
        .consumer_timeout_ms = one_of(&w->rng, consumer_timeout, 3),
    };
}

static void choose(struct world *w)
{
    static const uint64_t memory[] = { 1, 4 << 10, 64 << 10, 256 << 10, 8 << 20 };
    static const uint64_t ahead[] = { 1, 2 << 10, 64 << 10 };
    static const uint64_t pending[] = { 2 << 10, 32 << 10, 1 << 20 };
    static const uint64_t unacked[] = { 5, 50, 10000 };
    static const uint64_t compact[] = { 2, 20, 0 };
    static const uint64_t output[] = { 400, 4 << 10, 64 << 10 };

    w->opt = rig_options();
    w->opt.seed = rng_next(&w->rng);
    w->opt.memory_bytes = one_of(&w->rng, memory, 5);
    w->opt.read_ahead_bytes = one_of(&w->rng, ahead, 3);
    w->opt.uncommitted_bytes = one_of(&w->rng, pending, 3);
    w->opt.unacked = (uint32_t)one_of(&w->rng, unacked, 3);
    w->opt.compact_batches = (uint32_t)one_of(&w->rng, compact, 3);
    w->env.output_bytes = one_of(&w->rng, output, 3);
    w->env.login_ms = 60000;
    w->env.heart_beat_ms = 1000;
    w->env.stomp_prefetch = rng_one_in(&w->rng, 2) ? 0 : 20;
    w->env.stomp = (struct stomp_limits){
        .head_bytes = 16384,
        .headers = 64,
        .body_bytes = 16 << 20,
        .inline_bytes = rng_one_in(&w->rng, 2) ? 300 : 65536,
    };
    choose_amqp(w);
    trace("memory=%" PRIu64 " ahead=%" PRIu64 " uncommitted=%" PRIu64 " unacked=%u output=%zu",
          w->opt.memory_bytes, w->opt.read_ahead_bytes, w->opt.uncommitted_bytes, w->opt.unacked,
          w->env.output_bytes);
}

void world_init(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->rng.state = seed * 0x9e3779b97f4a7c15u;
    w->now_ms = UINT64_C(1700000000000);
    w->env.now_ms = w->env.now_mono_ms = w->now_ms;
    oracle_init(&w->oracle);
    choose(w);
    w->disk = mem_disk_new();
    start(w);
}

void world_fini(struct world *w)
{
    stop(w);
    for (size_t i = 0; i < WIRES_MAX; i++)
        if (w->wire[i])
            wire_free(w->wire[i]);
    mem_disk_free(&w->disk);
    mem_free(w->load);
    heap_fini(&w->env.wakes);
    oracle_fini(&w->oracle);
}
