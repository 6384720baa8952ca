// SPDX-License-Identifier: MIT
/* What a client does and writes. */
#include "tests/sim/model_client.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/sim/trace.h"

enum { BACKLOG_MAX = 1200, UP_MAX_BYTES = 30000 };

void client_init(struct client *c, struct world *w, unsigned no)
{
    memset(c, 0, sizeof *c);
    c->world = w;
    c->no = no;
    c->slow = 1;
}

void client_dropped(struct client *c)
{
    for (size_t i = 0; i < c->sub_count; i++) {
        mem_free(c->sub[i]->held);
        mem_free(c->sub[i]);
    }
    c->sub_count = 0;
    for (size_t i = 0; i < c->promise_count; i++)
        mem_free(c->promise[c->promise_head + i].settle);
    c->promise_head = c->promise_count = 0;
    for (int i = 0; i < TRANSACTIONS; i++)
        c->tx[i].record = NULL;
    c->in.n = 0;
    c->up = c->leaving = c->failed = false;
    c->decoder = (struct stomp_decoder){ 0 };
}

void client_hang_up(struct client *c)
{
    if (!c->wire)
        return;
    trace("client %u hangs up", c->no);
    world_hang_up(c->world, &c->wire);
    client_dropped(c);
}

void client_fini(struct client *c)
{
    client_hang_up(c);
    client_dropped(c);
    buf_fini(&c->in);
    mem_free(c->sub);
    mem_free(c->promise);
    for (int i = 0; i < TRANSACTIONS; i++)
        mem_free(c->tx[i].staged);
}

/* ---- frames ---- */

void client_frame(struct client *c, enum stomp_command command)
{
    stomp_put_command(&c->wire->up, command);
}

void client_header(struct client *c, const char *name, struct bytes value)
{
    stomp_put_header(&c->wire->up, c->version, bytes_str(name), value);
}

void client_header_u64(struct client *c, const char *name, uint64_t value)
{
    stomp_put_header_u64(&c->wire->up, bytes_str(name), value);
}

void client_header_fmt(struct client *c, const char *name, const char *fmt, uint64_t a)
{
    struct buf b = { 0 };

    buf_fmt(&b, "%s%" PRIu64, fmt, a);
    client_header(c, name, buf_view(&b));
    buf_fini(&b);
}

void client_end_frame(struct client *c, struct bytes body)
{
    if (body.n)
        client_header_u64(c, "content-length", body.n);
    stomp_put_head_end(&c->wire->up);
    buf_bytes(&c->wire->up, body);
    stomp_put_end(&c->wire->up);
}

uint64_t client_ask_receipt(struct client *c)
{
    if (!c->draining && rng_one_in(&c->world->rng, 4))
        return 0;
    client_header_u64(c, "receipt", ++c->next_receipt);
    return c->next_receipt;
}

struct promise *client_promise(struct client *c, uint64_t receipt)
{
    if (c->promise_head > 1000 && c->promise_head > c->promise_count) {
        memmove(c->promise, c->promise + c->promise_head, c->promise_count * sizeof *c->promise);
        c->promise_head = 0;
    }
    c->promise = mem_grow(c->promise, &c->promise_cap, c->promise_head + c->promise_count + 1,
                          sizeof *c->promise);
    struct promise *p = &c->promise[c->promise_head + c->promise_count++];
    *p = (struct promise){ .receipt = receipt };
    return p;
}

void client_connect(struct client *c, enum stomp_version version, bool beats)
{
    static const char *const accept[] = { NULL, "1.0,1.1", "1.0,1.1,1.2" };

    trace("client %u connects, %s", c->no, stomp_version_name(version));
    client_dropped(c);
    c->wire = world_connect(c->world, c, stomp_session_open, client_handed);
    c->version = STOMP_V1_0;
    c->beats = beats;
    c->connected_ms = c->world->now_ms;
    c->connection = ++c->world->connections;
    client_frame(c, STOMP_CMD_CONNECT);
    if (accept[version])
        client_header(c, "accept-version", bytes_str(accept[version]));
    client_header(c, "host", BYTES("/"));
    if (beats)
        client_header(c, "heart-beat", BYTES("2000,2000"));
    client_end_frame(c, (struct bytes){ NULL, 0 });
    c->version = c->decoder.version = version;
}

void client_beat(struct client *c)
{
    if (c->wire && c->up && c->beats && !c->leaving)
        buf_u8(&c->wire->up, '\n');
}

/* ---- SEND ---- */

static uint32_t some_size(struct rng *r)
{
    if (rng_one_in(r, 500)) /* in parts of its own */
        return BLOB_MIN_BYTES + rng_below(r, 2 * BLOB_PART_BYTES);
    switch (rng_below(r, 20)) {
    case 0:
        return rng_below(r, 20000);
    case 1:
    case 2:
        return rng_below(r, 3000);
    case 3:
        return 0;
    default:
        return rng_below(r, 200);
    }
}

static void describe(struct client *c, struct sent *m)
{
    struct rng *r = &c->world->rng;

    m->sender = c->connection;
    m->boot = c->world->boot;
    m->size = some_size(r);
    m->persistent = !rng_one_in(r, 8);
    m->fancy = c->version > STOMP_V1_0 && rng_one_in(r, 2);
    if (!m->persistent)
        client_header(c, "persistent", BYTES("false"));
    if (sim_queues[m->copy[0].queue].priorities) {
        m->priority = (uint8_t)rng_below(r, 5);
        client_header_u64(c, "priority", m->priority);
    }
    if (rng_one_in(r, 12)) {
        m->has_ttl = true;
        client_header_u64(c, "expiration", rng_below(r, 5000));
    }
    if (rng_one_in(r, 16)) {
        m->delayed = true;
        client_header_u64(c, "x-delay", 1 + rng_below(r, 3000));
    }
    client_header_u64(c, "m", m->id);
    if (m->fancy)
        client_header_fmt(c, "n\n:ame", "a:b\\c\n=", m->id);
}

static void send_one(struct client *c, struct transaction *t)
{
    struct rng *r = &c->world->rng;
    struct sent *m = oracle_send(&c->world->oracle, (int)rng_below(r, PLACES));
    struct buf body = { 0 };
    uint64_t receipt;

    client_frame(c, STOMP_CMD_SEND);
    client_header(c, "destination", bytes_str(sim_places[m->place].destination));
    describe(c, m);
    if (t)
        client_header_fmt(c, "transaction", "t", t->number);
    receipt = client_ask_receipt(c);
    oracle_body(m, &body);
    client_end_frame(c, buf_view(&body));
    buf_fini(&body);
    trace("client %u sends m%" PRIu64 " to %s receipt %" PRIu64 "%s", c->no, m->id,
          sim_places[m->place].destination, receipt, t ? " in a transaction" : "");
    struct promise *p = client_promise(c, receipt);
    if (!t) {
        p->sent = m;
        oracle_published(&c->world->oracle, m);
        return;
    }
    m->tx = t->record;
    t->record->sent = mem_grow(t->record->sent, &t->record->sent_cap, t->record->sent_count + 1,
                               sizeof *t->record->sent);
    t->record->sent[t->record->sent_count++] = m;
}

/* ---- transactions ---- */

static void tx_frame(struct client *c, enum stomp_command command, struct transaction *t)
{
    client_frame(c, command);
    client_header_fmt(c, "transaction", "t", t->number);
}

static void begin(struct client *c, struct transaction *t)
{
    t->number = ++c->next_tx;
    t->record = oracle_tx(&c->world->oracle, c->world->boot);
    t->staged_count = 0;
    tx_frame(c, STOMP_CMD_BEGIN, t);
    uint64_t receipt = client_ask_receipt(c);
    client_end_frame(c, (struct bytes){ NULL, 0 });
    trace("client %u begins t%" PRIu64, c->no, t->number);
    (void)client_promise(c, receipt);
}

static bool is_held(const struct subscription *s, uint64_t n)
{
    for (size_t i = 0; i < s->held_count; i++)
        if (s->held[i].n == n)
            return true;
    return false;
}

static void commit(struct client *c, struct transaction *t)
{
    struct sim_tx *record = t->record;

    tx_frame(c, STOMP_CMD_COMMIT, t);
    uint64_t receipt = client_ask_receipt(c);
    client_end_frame(c, (struct bytes){ NULL, 0 });
    trace("client %u commits t%" PRIu64 " of %zu and %zu, receipt %" PRIu64, c->no, t->number,
          record->sent_count, t->staged_count, receipt);
    record->committed = true;
    for (size_t i = 0; i < t->staged_count; i++) {
        const struct staged *g = &t->staged[i];
        struct subscription *s = c->sub[g->subscription - 1];

        if (s->active && is_held(s, g->n))
            client_take_held(s, g->n, g->upto, g->reject, g->requeue, &record->settle,
                             &record->settle_count, &record->settle_cap);
    }
    for (size_t i = 0; i < record->sent_count; i++)
        oracle_published(&c->world->oracle, record->sent[i]);
    client_promise(c, receipt)->tx = record;
    t->record = NULL;
}

static void unstage(struct client *c, const struct transaction *t)
{
    for (size_t i = 0; i < t->staged_count; i++) {
        struct subscription *s = c->sub[t->staged[i].subscription - 1];

        for (size_t k = 0; k < s->held_count; k++)
            if (s->held[k].n == t->staged[i].n)
                s->held[k].staged = false;
    }
}

static void roll_back(struct client *c, struct transaction *t)
{
    tx_frame(c, STOMP_CMD_ABORT, t);
    uint64_t receipt = client_ask_receipt(c);
    client_end_frame(c, (struct bytes){ NULL, 0 });
    trace("client %u aborts t%" PRIu64, c->no, t->number);
    (void)client_promise(c, receipt);
    unstage(c, t);
    t->record = NULL;
}

static void transact(struct client *c)
{
    struct transaction *t = &c->tx[rng_below(&c->world->rng, TRANSACTIONS)];

    if (!t->record)
        begin(c, t);
    else if (rng_one_in(&c->world->rng, 4))
        roll_back(c, t);
    else
        commit(c, t);
}

/* ---- by chance ---- */

static void disconnect(struct client *c)
{
    trace("client %u disconnects", c->no);
    client_frame(c, STOMP_CMD_DISCONNECT);
    uint64_t receipt = client_ask_receipt(c);
    client_end_frame(c, (struct bytes){ NULL, 0 });
    (void)client_promise(c, receipt);
    c->leaving = true;
}

static void act_when_up(struct client *c)
{
    struct rng *r = &c->world->rng;
    struct transaction *t = &c->tx[rng_below(r, TRANSACTIONS)];
    uint32_t what = rng_below(r, 200);
    bool in_tx = t->record && rng_one_in(r, 2);
    bool full = world_stats(c->world).ready > BACKLOG_MAX;

    if (what < 90 && !full)
        send_one(c, in_tx ? t : NULL);
    else if (what < 170)
        client_answer_some(c, in_tx ? t : NULL);
    else if (what < 180)
        transact(c);
    else if (what < 190)
        client_subscribe_some(c);
    else if (what < 192)
        client_unsubscribe_some(c);
    else if (what == 192 && rng_one_in(r, 4))
        disconnect(c);
    else if (what == 193 && rng_one_in(r, 4))
        client_hang_up(c);
}

void client_act(struct client *c)
{
    struct rng *r = &c->world->rng;

    if (!c->wire)
        client_connect(c, (enum stomp_version)rng_below(r, 3), rng_one_in(r, 4));
    else if (c->up && !c->leaving && !c->wire->cut && c->wire->up.n < UP_MAX_BYTES)
        act_when_up(c);
    else if (c->leaving && rng_one_in(r, 200))
        client_hang_up(c); /* does not wait for the rest */
}
