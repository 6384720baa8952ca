// SPDX-License-Identifier: MIT
/* What a client reads, and what it makes of it. */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/sim/model_client.h"
#include "tests/sim/trace.h"

static const struct stomp_limits limits = {
    .head_bytes = 65536, .headers = 128, .body_bytes = 16 << 20, .inline_bytes = 16 << 20
};

/* So long the broker waits for a peer that does not take its last words. */
enum { PATIENCE_MS = 30000 };

static struct bytes get(const struct stomp_frame *f, const char *name)
{
    return stomp_header_find(f, bytes_str(name));
}

static uint64_t get_u64(const struct stomp_frame *f, const char *name)
{
    uint64_t v;

    SIM_CHECK(bytes_to_u64(get(f, name), UINT64_MAX, &v), "%s has no number in '%s'",
              stomp_command_name(f->command), name);
    return v;
}

/* ---- RECEIPT ---- */

static void fulfil(struct client *c, struct promise *p)
{
    struct oracle *o = &c->world->oracle;

    if (p->sent)
        oracle_confirmed(o, p->sent);
    if (p->tx)
        oracle_tx_confirmed(o, p->tx);
    if (p->ended)
        p->ended->ended = true;
    for (size_t i = 0; i < p->settle_count; i++)
        oracle_settled(o, &p->settle[i]);
    mem_free(p->settle);
    c->promise_head++;
    c->promise_count--;
}

/* Receipts come in order, each once; one stands for all that was done before. */
static void on_receipt(struct client *c, const struct stomp_frame *f)
{
    uint64_t receipt = get_u64(f, "receipt-id");

    trace("client %u reads receipt %" PRIu64, c->no, receipt);
    while (c->promise_count > 0) {
        struct promise *p = &c->promise[c->promise_head];
        uint64_t own = p->receipt;

        SIM_CHECK(own == 0 || own == receipt,
                  "client %u: receipt %" PRIu64 " came and %" PRIu64 " was due", c->no, receipt,
                  own);
        fulfil(c, p);
        if (own == receipt)
            return;
    }
    sim_fail("client %u: receipt %" PRIu64 " for nothing", c->no, receipt);
}

/* ---- MESSAGE ---- */

static void check_headers(const struct client *c, const struct stomp_frame *f, const struct sent *m)
{
    char want[64];

    SIM_CHECK(m->priority == 0 || get_u64(f, "priority") == m->priority,
              "message %" PRIu64 " has lost its priority", m->id);
    SIM_CHECK(f->has_length && f->content_length == f->body.n, "content-length of m%" PRIu64,
              m->id);
    if (!m->fancy || c->version == STOMP_V1_0)
        return;
    (void)snprintf(want, sizeof want, "a:b\\c\n=%" PRIu64, m->id);
    SIM_CHECK(bytes_eq(get(f, "n\n:ame"), bytes_str(want)),
              "a header of message %" PRIu64 " has changed", m->id);
}

static void hold(struct client *c, struct subscription *s, const struct stomp_frame *f,
                 struct sent *m, struct copy *copy)
{
    struct bytes id = get(f, c->version == STOMP_V1_2 ? "ack" : "message-id");
    struct held *h;

    SIM_CHECK(id.n > 0 && id.n < sizeof h->id, "a MESSAGE without an id to answer");
    s->held = mem_grow(s->held, &s->held_cap, s->held_count + 1, sizeof *s->held);
    h = &s->held[s->held_count++];
    *h = (struct held){ .n = ++s->next_n, .sent = m, .copy = copy };
    memcpy(h->id, id.p, id.n);
    SIM_CHECK(s->prefetch == 0 || s->held_count <= s->prefetch,
              "client %u s%" PRIu64 " holds %zu, its prefetch is %u", c->no, s->number,
              s->held_count, s->prefetch);
}

/* It matches, and comes in order. */
static void check_topic(struct subscription *s, const struct stomp_frame *f, const struct sent *m)
{
    struct bytes id = get(f, "message-id");
    const uint8_t *dash = id.n ? memchr(id.p, '-', id.n) : NULL;
    uint64_t seq = 0;

    SIM_CHECK(place_matches(m->place, s->topic), "message %" PRIu64 " to %s is in %s", m->id,
              sim_places[m->place].destination, s->topic);
    SIM_CHECK(dash && bytes_to_u64(bytes_from(id, (size_t)(dash - id.p) + 1), UINT64_MAX, &seq),
              "a message-id without a dash");
    SIM_CHECK(seq > s->seq || get(f, "redelivered").n, "message %" PRIu64 " of %s is out of order",
              m->id, s->topic);
    s->seq = seq > s->seq ? seq : s->seq;
}

static void on_message(struct client *c, const struct stomp_frame *f)
{
    struct bytes id = get(f, "subscription");
    uint64_t number = 0;

    SIM_CHECK(bytes_starts(id, BYTES("s")) &&
                  bytes_to_u64(bytes_from(id, 1), c->sub_count, &number) && number > 0,
              "a MESSAGE of a subscription that is not ours");
    struct subscription *s = c->sub[number - 1];
    SIM_CHECK(!s->ended, "client %u: a MESSAGE of s%" PRIu64 " after the receipt of UNSUBSCRIBE",
              c->no, s->number);
    struct sent *m = oracle_find(&c->world->oracle, f->body);
    struct copy *copy = s->topic ? NULL : oracle_copy(m, s->queue);
    trace("client %u reads m%" PRIu64 " of %s", c->no, m->id,
          s->topic ? s->topic : sim_queues[s->queue].name);
    check_headers(c, f, m);
    /* A delayed one of a process that died may become due once more, as if new. */
    if (copy && !(m->delayed && c->wire->died))
        oracle_read(copy, s->queue);
    else if (!copy)
        check_topic(s, f, m);
    if (c->draining)
        copy->found++;
    if (s->mode != ACK_AUTO && s->active)
        hold(c, s, f, m, copy);
}

/* ---- ERROR ---- */

static void refused(struct client *c, uint64_t receipt)
{
    for (size_t i = 0; i < c->promise_count; i++) {
        struct promise *p = &c->promise[c->promise_head + i];

        if (p->receipt == 0)
            continue;
        SIM_CHECK(p->receipt == receipt,
                  "an ERROR for %" PRIu64 " while receipt %" PRIu64 " is due", receipt, p->receipt);
        if (p->sent)
            p->sent->refused = true;
        if (p->tx)
            p->tx->refused = true;
        return;
    }
    sim_fail("an ERROR for receipt %" PRIu64 ", which is not due", receipt);
}

static void on_error(struct client *c, const struct stomp_frame *f)
{
    struct bytes message = get(f, "message");
    bool refusal = bytes_eq(message, BYTES("Message refused")) ||
                   bytes_eq(message, BYTES("Transaction refused"));

    trace("client %u reads ERROR %.*s", c->no, BYTES_FMT(message));
    c->failed = true;
    SIM_CHECK(refusal || (c->beats && bytes_eq(message, BYTES("Heart-beat missed"))),
              "client %u: ERROR %.*s: %.*s", c->no, BYTES_FMT(message), BYTES_FMT(f->body));
    if (refusal && get(f, "receipt-id").p)
        refused(c, get_u64(f, "receipt-id"));
}

/* ---- bytes ---- */

static void on_frame(struct client *c, const struct stomp_frame *f)
{
    SIM_CHECK(f->part == STOMP_WHOLE, "a frame in pieces");
    if (f->command == STOMP_CMD_RECEIPT) {
        on_receipt(c, f);
    } else if (f->command == STOMP_CMD_MESSAGE) {
        on_message(c, f);
    } else if (f->command == STOMP_CMD_ERROR) {
        on_error(c, f);
    } else {
        SIM_CHECK(f->command == STOMP_CMD_CONNECTED && !c->up, "the broker sent %s",
                  stomp_command_name(f->command));
        c->up = true;
    }
}

static void decode(struct client *c)
{
    static struct stomp_scratch scratch;
    struct stomp_frame f;
    enum decode r = DECODE_OK;
    size_t at = 0, used;

    while (r == DECODE_OK) {
        r = stomp_decode(&c->decoder, &limits, &scratch, c->in.p + at, c->in.n - at, &f, &used);
        at += used;
        SIM_CHECK(r != DECODE_BAD, "client %u: %s", c->no, c->decoder.error);
        if (r == DECODE_OK)
            on_frame(c, &f);
    }
    buf_drop(&c->in, at);
}

static bool receipt_due(const struct client *c)
{
    for (size_t i = 0; i < c->promise_count; i++)
        if (c->promise[c->promise_head + i].receipt)
            return true;
    return false;
}

void client_read(struct client *c, size_t n)
{
    struct wire *w = c->wire;

    if (!w)
        return;
    if (n > w->down.n)
        n = w->down.n;
    buf_put(&c->in, w->down.p, n);
    buf_drop(&w->down, n);
    if (n > 0)
        decode(c);
    if (!w->cut || w->down.n > 0)
        return;
    trace("client %u sees the end of its connection", c->no);
    bool late = c->world->now_ms - c->connected_ms >= PATIENCE_MS;
    SIM_CHECK(w->died || late || c->failed || c->leaving,
              "client %u: its connection ended without a word", c->no);
    SIM_CHECK(w->died || late || c->failed || !receipt_due(c),
              "client %u: its connection ended and a receipt is due", c->no);
    world_hang_up(c->world, &c->wire);
    client_dropped(c);
}

void client_handed(struct world *w, struct wire *to, struct session_port *port,
                   const struct effect *e, const struct message *m)
{
    struct client *c = to->client;

    (void)port;

    /* The client may have gone from a wire that the broker still serves. */
    CHECK(e->handle > 0 && e->handle <= c->sub_count);
    struct subscription *s = c->sub[e->handle - 1];
    struct sent *sent = oracle_find_message(&w->oracle, m);

    if (s->topic)
        return;
    struct copy *copy = oracle_copy(sent, s->queue);
    trace("broker hands m%" PRIu64 " of %s to client %u%s", copy->of->id, sim_queues[s->queue].name,
          c->no, e->redelivered ? " again" : "");
    oracle_handed(&w->oracle, copy, s->queue, e->seq, e->redelivered, s->mode == ACK_AUTO, w->boot);
}
