// SPDX-License-Identifier: MIT
#include "tests/sim/direct.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "tests/sim/trace.h"

/* ---- what the core says ---- */

static unsigned client_of(const struct direct *d, client_id id)
{
    for (unsigned i = 0; i < REF_CLIENTS; i++)
        if (d->ref.client[i].id == id)
            return i;
    sim_fail("an effect for nobody");
}

static struct direct_get *get_of(struct direct *d, uint64_t handle)
{
    for (int i = 0; i < DIRECT_GETS_MAX; i++)
        if (d->get[i].handle == handle)
            return &d->get[i];
    sim_fail("an answer to no get");
}

static void on_deliver(struct direct *d, const struct rig_effect *at)
{
    unsigned client = client_of(d, at->e.client);
    struct ref_consumer *k = NULL;
    uint64_t id = 0;
    bool no_ack;

    SIM_CHECK(sscanf(at->text, "m%" SCNu64 ":", &id) == 1 && id <= d->next_id, "unknown message");
    trace("client %u is given m%" PRIu64 " as %" PRIu64, client, id, at->e.handle);
    if (at->e.handle & 1) {
        struct direct_get *g = get_of(d, at->e.handle);

        no_ack = g->no_ack;
        g->handle = 0;
    } else {
        k = ref_consumer_by(&d->ref, at->e.handle);
        SIM_CHECK(k && k->client == client, "a delivery to a consumer that went");
        SIM_CHECK(k->queue_id == at->e.queue_id, "a delivery of another queue");
        no_ack = k->no_ack;
    }
    ref_deliver(&d->ref, client, k, &at->e, id, no_ack);
}

static void on_empty(struct direct *d, uint64_t handle)
{
    struct direct_get *g = get_of(d, handle);
    const struct ref_queue *q = ref_queue_by_id(&d->ref, g->queue_id);

    for (size_t i = 0; q && i < q->count; i++)
        SIM_CHECK(q->entry[i].unacked || q->entry[i].expires_ms || (q->has_max && q->drop_head),
                  "q%u is said to be empty and has m%" PRIu64, q->name, q->entry[i].id);
    g->handle = 0;
}

static void on_confirm(struct direct *d, const struct effect *e)
{
    struct ref_client *cl = &d->ref.client[client_of(d, e->client)];

    SIM_CHECK(e->first == cl->told + 1 && e->last >= e->first && e->last <= cl->asked,
              "confirms %" PRIu64 "..%" PRIu64 " after %" PRIu64, e->first, e->last, cl->told);
    for (uint64_t i = e->first; i <= e->last; i++)
        SIM_CHECK(cl->refused[i - 1] == e->refused, "confirm %" PRIu64 " has the wrong mark", i);
    cl->told = e->last;
}

static void listen(struct direct *d)
{
    for (size_t i = 0; i < d->rig.count; i++) {
        const struct rig_effect *at = &d->rig.effect[i];

        if (at->e.kind == EFFECT_DELIVER)
            on_deliver(d, at);
        else if (at->e.kind == EFFECT_GET_EMPTY)
            on_empty(d, at->e.handle);
        else if (at->e.kind == EFFECT_CONFIRM)
            on_confirm(d, &at->e);
    }
    rig_forget(&d->rig);
}

static bool turn(struct direct *d)
{
    bool idle = d->rig.under_way == NULL;
    bool any = rig_turn(&d->rig);

    listen(d);
    if (idle && d->rig.under_way)
        ref_seal(&d->ref);
    return any;
}

static void commit(struct direct *d)
{
    if (!d->rig.under_way)
        return;
    rig_commit(&d->rig);
    ref_commit(&d->ref);
}

static void come_to_rest(struct direct *d)
{
    for (int i = 0; i < 100000; i++) {
        bool any = turn(d);

        any |= d->rig.under_way != NULL;
        commit(d);
        while (rig_load(&d->rig))
            any = true;
        if (!any) {
            d->purging = false;
            return;
        }
    }
    sim_fail("the core does not come to rest");
}

static void compare(struct direct *d)
{
    come_to_rest(d);
    ref_tidy(&d->ref);
    for (unsigned i = 0; i < REF_NAMES; i++) {
        const struct ref_queue *q = &d->ref.queue[i];
        char name[8];
        struct queue_spec s = { .name = direct_name(i, name), .passive = true };
        struct queue_info info = { .ready = 0 };
        unsigned as = q->id && q->exclusive ? q->owner : 0;
        client_id id = d->ref.client[as].id ? d->ref.client[as].id : d->rig.client;
        enum err e = core_queue_declare(d->rig.core, id, &s, &info, NULL, d->rig.now_ms);

        SIM_CHECK((e == OK) == (q->id != 0), "q%u is%s there", i, e == OK ? "" : " not");
        SIM_CHECK(e != OK || (info.ready == ref_ready(q) && info.queue_id == q->id &&
                              info.ready + info.unacked == q->count),
                  "q%u: ready=%" PRIu64 " unacked=%" PRIu64 ", should be %zu and %zu", i,
                  info.ready, info.unacked, ref_ready(q), q->count - ref_ready(q));
    }
    for (unsigned i = 0; i < REF_CLIENTS; i++)
        SIM_CHECK(d->ref.client[i].told == d->ref.client[i].asked || !d->ref.client[i].id,
                  "client %u: %" PRIu64 " of %" PRIu64 " are confirmed", i, d->ref.client[i].told,
                  d->ref.client[i].asked);
    ref_check_idle(&d->ref);
}

/* ---- the run ---- */

static void end_process(struct direct *d, bool clean)
{
    if (d->purging) /* until it is done a crash would undo it */
        come_to_rest(d);
    bool landed = d->rig.under_way && direct_one_in(d, 2);

    trace("the process ends (%s)", clean ? "clean" : landed ? "commit landed" : "crash");
    if (clean) {
        for (unsigned i = 0; i < REF_CLIENTS; i++)
            if (d->ref.client[i].id)
                direct_close_client(d, i);
        compare(d);
        rig_restart(&d->rig);
    } else {
        rig_crash(&d->rig, landed);
    }
    ref_crash(&d->ref, landed, clean);
    memset(d->get, 0, sizeof d->get);
}

static void step(struct direct *d)
{
    uint32_t what = direct_below(d, 100);

    if (what < 70) {
        direct_call(d);
    } else if (what < 85) {
        (void)turn(d);
    } else if (what < 91) {
        commit(d);
    } else if (what < 95) {
        (void)rig_load(&d->rig);
    } else if (what < 98) {
        d->rig.now_ms += direct_below(d, direct_one_in(d, 10) ? 2000 : 20);
        d->ref.now_ms = d->rig.now_ms;
    } else if (direct_one_in(d, d->crash_one_in)) {
        end_process(d, direct_one_in(d, 10));
    } else if (direct_one_in(d, 10)) {
        compare(d);
    }
}

/* Everything is consumed and acked: nothing may be left of it. */
static void finish(struct direct *d)
{
    struct core_stats s;
    struct mem_disk_stats on_disk;

    compare(d);
    end_process(d, d->dropping);
    compare(d);
    for (unsigned i = 0; i < REF_CLIENTS; i++)
        direct_open_client(d, i);
    for (unsigned i = 0; i < REF_NAMES; i++)
        if (d->ref.queue[i].id)
            direct_delete_or_purge(d, 0, &d->ref.queue[i]);
    compare(d);
    for (unsigned i = 0; i < REF_CLIENTS; i++)
        direct_close_client(d, i);
    compare(d);
    s = rig_stats(&d->rig);
    on_disk = mem_disk_stats(d->rig.disk);
    SIM_CHECK(s.batches == 0 && s.memory_bytes == 0, "batches=%" PRIu64 " memory=%" PRIu64,
              s.batches, s.memory_bytes);
    SIM_CHECK(on_disk.batches + on_disk.settled + on_disk.deliveries == 0, "rows are left");
    SIM_CHECK(s.consumers == 0 && s.ready + s.unacked == 0, "something is left");
}

static void choose(struct direct *d, struct core_options *o)
{
    static const uint64_t memory[] = { 1, 20000, 200000, 32 << 20 };
    static const uint32_t unacked[] = { 3, 20, 10000 };
    static const uint32_t compact[] = { 2, 20, 0 };

    *o = rig_options();
    o->seed = rng_next(&d->rng);
    o->memory_bytes = memory[direct_below(d, 4)];
    o->read_ahead_bytes = 1 + direct_below(d, 50000);
    o->unacked = unacked[direct_below(d, 3)];
    o->compact_batches = compact[direct_below(d, 3)];
    d->ref.unacked_max = o->unacked;
    d->dropping = d->crash_one_in == UINT32_MAX;
    d->expiring = !d->dropping && direct_one_in(d, 2);
    d->crash_one_in = direct_one_in(d, 4) ? UINT32_MAX : 5 + direct_below(d, 100);
}

void direct_run(uint64_t seed, uint64_t steps, bool verbose)
{
    static struct direct d;
    struct core_options o;

    trace_begin(seed, verbose);
    memset(&d, 0, sizeof d);
    d.rng.state = seed * 0x9e3779b97f4a7c15u + 1;
    ref_init(&d.ref);
    choose(&d, &o);
    rig_open(&d.rig, &o);
    d.rig.hold_commits = d.rig.hold_loads = true;
    d.ref.now_ms = d.rig.now_ms;
    for (uint64_t i = 1; i <= steps; i++) {
        trace_step(i);
        step(&d);
    }
    finish(&d);
    rig_close(&d.rig);
    ref_fini(&d.ref);
}
