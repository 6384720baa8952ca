// SPDX-License-Identifier: MIT
/* What clients ask of the core, by chance. */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/sim/direct.h"
#include "tests/sim/trace.h"

struct bytes direct_name(unsigned i, char out[8])
{
    (void)snprintf(out, 8, "q%u", i);
    return bytes_str(out);
}

/* ---- clients ---- */

void direct_open_client(struct direct *d, unsigned i)
{
    struct ref_client *cl = &d->ref.client[i];
    struct core *core = d->rig.core;

    cl->id = core_client_open(core, core_vhost_find(core, BYTES("/")), cl);
    cl->room = direct_one_in(d, 4) ? 0 : SIZE_MAX;
    cl->asked = cl->told = 0;
    cl->prefetch = cl->unacked = 0;
    core_client_room(core, cl->id, cl->room);
    trace("client %u opens", i);
}

void direct_close_client(struct direct *d, unsigned i)
{
    trace("client %u closes", i);
    core_client_close(d->rig.core, d->ref.client[i].id, d->rig.now_ms);
    ref_close(&d->ref, i);
    for (int g = 0; g < DIRECT_GETS_MAX; g++)
        if (d->get[g].client == i)
            d->get[g].handle = 0;
    d->ref.client[i].id = 0;
}

/* Everything that it did is to be confirmed in its order. */
static void confirm(struct direct *d, unsigned i, bool refused)
{
    struct ref_client *cl = &d->ref.client[i];

    cl->refused = mem_grow(cl->refused, &cl->refused_cap, cl->asked + 1, sizeof *cl->refused);
    cl->refused[cl->asked++] = refused;
    SIM_CHECK(core_confirm(d->rig.core, cl->id, refused) == cl->asked, "number of a confirm");
}

/* ---- queues ---- */

static void declare(struct direct *d, unsigned client, struct ref_queue *q)
{
    char name[8];
    struct buf args = { 0 }, text = { 0 };
    struct queue_spec s = { .name = direct_name(q->name, name) };
    struct queue_info info;

    q->durable = s.durable = !direct_one_in(d, 4);
    q->exclusive = s.exclusive = direct_one_in(d, 8);
    q->auto_delete = s.auto_delete = direct_one_in(d, 8);
    q->owner = client;
    q->has_max = direct_one_in(d, 3);
    q->drop_head = d->dropping && direct_one_in(d, 2);
    q->max = 1 + direct_below(d, 30);
    q->ttl_ms = d->expiring && direct_one_in(d, 4) ? 100 + direct_below(d, 2000) : 0;
    q->priorities = direct_one_in(d, 4) ? 3 : 0;
    q->single = direct_one_in(d, 6);
    q->fanout = false;
    q->count = 0;
    buf_fmt(&text, "x-single-active-consumer=%s", q->single ? "true" : "false");
    if (q->has_max)
        buf_fmt(&text, " x-max-length=%" PRIu64 " x-overflow=%s", q->max,
                q->drop_head ? "drop-head" : "reject-publish");
    if (q->ttl_ms)
        buf_fmt(&text, " x-message-ttl=%" PRIu64, q->ttl_ms);
    if (q->priorities)
        buf_fmt(&text, " x-max-priority=%u", q->priorities);
    buf_u8(&text, 0);
    s.arguments = rig_args(&args, (const char *)text.p);
    CHECK(core_queue_declare(d->rig.core, d->ref.client[client].id, &s, &info, NULL,
                             d->rig.now_ms) == OK);
    q->id = info.queue_id;
    trace("client %u declares q%u%s%s%s %s", client, q->name, q->durable ? " durable" : "",
          q->exclusive ? " exclusive" : "", q->auto_delete ? " auto-delete" : "",
          (const char *)text.p);
    buf_fini(&args);
    buf_fini(&text);
    confirm(d, client, false);
}

static void bind_to_fanout(struct direct *d, unsigned client, struct ref_queue *q)
{
    char name[8];
    struct binding_spec b = { .exchange = BYTES("amq.fanout"),
                              .target = direct_name(q->name, name) };

    CHECK((q->fanout ? core_unbind(d->rig.core, d->ref.client[client].id, &b, NULL)
                     : core_bind(d->rig.core, d->ref.client[client].id, &b, NULL)) == OK);
    q->fanout = !q->fanout;
    trace("client %u %s q%u", client, q->fanout ? "binds" : "unbinds", q->name);
}

void direct_delete_or_purge(struct direct *d, unsigned client, struct ref_queue *q)
{
    char name[8];
    struct bytes n = direct_name(q->name, name);
    client_id id = d->ref.client[client].id;
    uint64_t count;

    if (direct_one_in(d, 2)) {
        trace("client %u purges q%u", client, q->name);
        CHECK(core_queue_purge(d->rig.core, id, n, &count, NULL) == OK);
        ref_purge(q);
        d->purging = true;
    } else {
        trace("client %u deletes q%u", client, q->name);
        CHECK(core_queue_delete(d->rig.core, id, n, false, false, &count, NULL) == OK);
        ref_queue_gone(&d->ref, q);
    }
    confirm(d, client, false);
}

/* A queue that the client may touch, or NULL. */
static struct ref_queue *some_queue(struct direct *d, unsigned client)
{
    struct ref_queue *q = &d->ref.queue[direct_below(d, REF_NAMES)];

    return q->id && (!q->exclusive || q->owner == client) ? q : NULL;
}

static void manage(struct direct *d, unsigned client)
{
    struct ref_queue *q = &d->ref.queue[direct_below(d, REF_NAMES)];

    if (q->id == 0)
        declare(d, client, q);
    else if (q->exclusive && q->owner != client)
        return;
    else if (direct_one_in(d, 4))
        bind_to_fanout(d, client, q);
    else if (direct_one_in(d, 12))
        direct_delete_or_purge(d, client, q);
}

/* ---- publishing ---- */

struct letter {
    uint64_t id;
    char key[8], body[24];
    struct rig_message m;
};

static void write_letter(struct direct *d, struct letter *l)
{
    *l = (struct letter){ .id = ++d->next_id };
    (void)snprintf(l->body, sizeof l->body, "m%" PRIu64 ":", l->id);
    (void)direct_name(direct_below(d, REF_NAMES), l->key);
    l->m = (struct rig_message){ .key = l->key,
                                 .body = l->body,
                                 .exchange = direct_one_in(d, 5) ? "amq.fanout" : "",
                                 .transient = direct_one_in(d, 5),
                                 .priority = (uint8_t)direct_below(d, 5),
                                 .has_ttl = d->expiring && direct_one_in(d, 8),
                                 .ttl_ms = 1 + direct_below(d, 1000),
                                 .padding = direct_one_in(d, 10) ? direct_below(d, 20000)
                                                                 : direct_below(d, 200) };
}

static bool goes_to(const struct letter *l, const struct ref_queue *q)
{
    if (q->id == 0)
        return false;
    return *l->m.exchange ? q->fanout : (unsigned)(l->key[1] - '0') == q->name;
}

static enum publish_result expected(const struct direct *d, const struct letter *l,
                                    bool with_expired)
{
    enum publish_result r = PUBLISH_UNROUTED;

    for (unsigned i = 0; i < REF_NAMES; i++) {
        const struct ref_queue *q = &d->ref.queue[i];

        if (!goes_to(l, q))
            continue;
        if (ref_refuses(&d->ref, q, with_expired))
            return PUBLISH_REFUSED;
        r = PUBLISH_ROUTED;
    }
    return r;
}

static void deposit(struct direct *d, const struct letter *l)
{
    struct ref_entry e = { .id = l->id,
                           .lane = l->m.priority,
                           .persistent = !l->m.transient,
                           .expires_ms = l->m.has_ttl ? d->rig.now_ms + l->m.ttl_ms : 0 };

    for (unsigned i = 0; i < REF_NAMES; i++)
        if (goes_to(l, &d->ref.queue[i]))
            ref_push(&d->ref, &d->ref.queue[i], &e);
}

static void send(struct direct *d, unsigned client)
{
    struct letter l;

    write_letter(d, &l);
    enum publish_result least = expected(d, &l, false), most = expected(d, &l, true);
    enum publish_result got = rig_send(&d->rig, d->ref.client[client].id, &l.m);

    trace("client %u sends m%" PRIu64 " to %s%s: %d", client, l.id, l.m.exchange, l.key, (int)got);
    bool excused = d->purging; /* it counts what is to be purged, not what came back since */
    SIM_CHECK(got == least || got == most || excused,
              "m%" PRIu64 ": the core said %d, expected was %d or %d", l.id, (int)got, (int)least,
              (int)most);
    if (got == PUBLISH_ROUTED)
        deposit(d, &l);
    confirm(d, client, got == PUBLISH_REFUSED);
}

/* ---- consuming ---- */

static void consume(struct direct *d, unsigned client)
{
    struct ref_queue *q = some_queue(d, client);
    struct ref_consumer k = { .handle = (d->ref.next_handle += 2), .client = client };
    char name[8];
    struct consume s;
    bool any = false, alone = false;

    if (!q)
        return;
    k.queue = q->name;
    k.queue_id = q->id;
    k.no_ack = direct_one_in(d, 4);
    k.own = direct_one_in(d, 2);
    k.exclusive = direct_one_in(d, 10);
    k.prefetch = direct_one_in(d, 3) ? 0 : 1 + direct_below(d, 10);
    if (k.no_ack)
        k.prefetch = 0;
    k.priority = (int32_t)direct_below(d, 3) - 1;
    s = (struct consume){ .queue = direct_name(q->name, name),
                          .no_ack = k.no_ack,
                          .exclusive = k.exclusive,
                          .own_ledger = k.own,
                          .prefetch = k.prefetch,
                          .priority = k.priority,
                          .handle = k.handle };
    for (size_t i = 0; i < d->ref.consumers; i++) {
        any = any || d->ref.consumer[i].queue_id == q->id;
        alone = alone || (d->ref.consumer[i].queue_id == q->id && d->ref.consumer[i].exclusive);
    }
    enum err e = core_consume(d->rig.core, d->ref.client[client].id, &s, &k.id, NULL);
    SIM_CHECK((e == OK) == !(alone || (any && k.exclusive)), "consume of q%u: %d", q->name, (int)e);
    if (e != OK)
        return;
    trace("client %u consumes q%u as %" PRIu64 "%s%s prefetch %u", client, q->name, k.handle,
          k.no_ack ? " no-ack" : "", k.own ? " own" : "", k.prefetch);
    d->ref.consumer = mem_grow(d->ref.consumer, &d->ref.consumer_cap, d->ref.consumers + 1,
                               sizeof k);
    d->ref.consumer[d->ref.consumers++] = k;
}

static void cancel(struct direct *d)
{
    struct ref_consumer *k;

    if (d->ref.consumers == 0)
        return;
    k = &d->ref.consumer[direct_below(d, (uint32_t)d->ref.consumers)];
    trace("client %u cancels %" PRIu64, k->client, k->handle);
    core_cancel(d->rig.core, d->ref.client[k->client].id, k->id, d->rig.now_ms);
    ref_cancel(&d->ref, k);
}

static void get(struct direct *d, unsigned client)
{
    struct ref_queue *q = some_queue(d, client);
    struct direct_get *g = &d->get[direct_below(d, DIRECT_GETS_MAX)];
    char name[8];

    if (!q || g->handle)
        return;
    *g = (struct direct_get){ .handle = (d->ref.next_handle += 2) + 1,
                              .queue_id = q->id,
                              .client = client,
                              .no_ack = direct_one_in(d, 2) };
    trace("client %u gets from q%u as %" PRIu64, client, q->name, g->handle);
    CHECK(core_get(d->rig.core, d->ref.client[client].id, direct_name(q->name, name), g->no_ack,
                   g->handle, NULL) == OK);
}

static enum settle some_answer(struct direct *d)
{
    return direct_one_in(d, 3) ? SETTLE_RETURN : direct_one_in(d, 6) ? SETTLE_REJECT : SETTLE_ACK;
}

static void settle_in_reference(struct direct *d, struct ref_delivery one, bool upto,
                                enum settle how)
{
    for (size_t i = 0; i < d->ref.deliveries;) {
        const struct ref_delivery *at = &d->ref.delivery[i];
        bool same = at->client == one.client && at->ledger == one.ledger;

        if (same && (upto ? at->tag <= one.tag || one.tag == 0 : at->tag == one.tag))
            ref_settle(&d->ref, i, how);
        else
            i++;
    }
}

static void settle(struct direct *d, bool returns)
{
    struct ref_delivery one;
    bool upto = direct_one_in(d, 4);
    enum settle how = returns ? some_answer(d) : SETTLE_ACK;

    if (d->ref.deliveries == 0)
        return;
    one = d->ref.delivery[direct_below(d, (uint32_t)d->ref.deliveries)];
    if (upto && direct_one_in(d, 6))
        one.tag = 0;
    trace("client %u settles tag %" PRIu64 " of m%" PRIu64 "%s: %d", one.client, one.tag, one.id,
          upto ? " and all before" : "", (int)how);
    CHECK(core_settle(d->rig.core, d->ref.client[one.client].id, one.ledger, one.tag, upto, how,
                      d->rig.now_ms) == OK);
    settle_in_reference(d, one, upto, how);
    confirm(d, one.client, false);
}

/* ---- transactions ---- */

static void transact(struct direct *d, unsigned client)
{
    struct letter letter[6];
    unsigned n = direct_below(d, 6), unrouted = 0;
    struct tx *t = core_tx_begin(d->rig.core, d->ref.client[client].id);
    struct ref_delivery acked = { .tag = 0 };
    enum publish_result least = PUBLISH_ROUTED, most = PUBLISH_ROUTED, got;
    const char *why = NULL;

    for (unsigned i = 0; i < n; i++) {
        write_letter(d, &letter[i]);
        CHECK(rig_stage(&d->rig, t, &letter[i].m));
        unrouted += expected(d, &letter[i], false) == PUBLISH_UNROUTED;
        least = expected(d, &letter[i], false) == PUBLISH_REFUSED ? PUBLISH_REFUSED : least;
        most = expected(d, &letter[i], true) == PUBLISH_REFUSED ? PUBLISH_REFUSED : most;
    }
    for (size_t i = 0; i < d->ref.deliveries && !acked.tag; i++)
        if (d->ref.delivery[i].client == client)
            acked = d->ref.delivery[i];
    if (acked.tag)
        core_tx_settle(t, acked.ledger, acked.tag, false, SETTLE_ACK);
    if (least == PUBLISH_ROUTED && unrouted)
        least = PUBLISH_UNROUTED;
    if (most == PUBLISH_ROUTED && unrouted)
        most = PUBLISH_UNROUTED;
    if (direct_one_in(d, 5)) {
        core_tx_abort(&t);
        return;
    }
    got = core_tx_commit(d->rig.core, &t, &why, d->rig.now_ms);
    trace("client %u commits %u messages, the first m%" PRIu64 ": %d", client, n,
          n ? letter[0].id : 0, (int)got);
    bool excused = d->purging; /* it counts what is to be purged, not what came back since */
    SIM_CHECK(got == least || got == most || excused,
              "a transaction: the core said %d, expected was %d or %d", (int)got, (int)least,
              (int)most);
    confirm(d, client, got == PUBLISH_REFUSED);
    if (got == PUBLISH_REFUSED)
        return;
    if (acked.tag)
        settle_in_reference(d, acked, false, SETTLE_ACK);
    for (unsigned i = 0; i < n; i++)
        deposit(d, &letter[i]);
}

/* ---- by chance ---- */

static size_t entries(const struct direct *d)
{
    size_t n = 0;

    for (unsigned i = 0; i < REF_NAMES; i++)
        n += d->ref.queue[i].count;
    return n;
}

static void change_room(struct direct *d, unsigned client)
{
    struct ref_client *cl = &d->ref.client[client];

    if (direct_one_in(d, 3)) {
        cl->prefetch = direct_one_in(d, 2) ? 0 : cl->unacked + 1 + direct_below(d, 5);
        core_client_prefetch(d->rig.core, cl->id, cl->prefetch);
        trace("client %u: prefetch %u", client, cl->prefetch);
        return;
    }
    cl->room = cl->room ? 0 : SIZE_MAX;
    core_client_room(d->rig.core, cl->id, cl->room);
    trace("client %u: %s", client, cl->room ? "reads" : "does not read");
}

void direct_call(struct direct *d)
{
    unsigned client = direct_below(d, REF_CLIENTS);
    uint32_t what = direct_below(d, 100);

    if (d->ref.client[client].id == 0)
        direct_open_client(d, client);
    else if (what < 40 && entries(d) < DIRECT_ENTRIES_MAX)
        send(d, client);
    else if (what < 65)
        settle(d, true);
    else if (what < 70)
        transact(d, client);
    else if (what < 80)
        get(d, client);
    else if (what < 86)
        consume(d, client);
    else if (what < 89)
        cancel(d);
    else if (what < 95)
        manage(d, client);
    else if (what < 98)
        change_room(d, client);
    else if (direct_one_in(d, 3))
        direct_close_client(d, client);
}
