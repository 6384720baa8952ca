// SPDX-License-Identifier: MIT
#include "tests/sim/oracle.h"

#include <inttypes.h>

#include "base/mem.h"
#include "proto/props.h"
#include "proto/table.h"
#include "tests/sim/trace.h"

void oracle_init(struct oracle *o)
{
    memset(o, 0, sizeof *o);
}

static void ids_fini(struct map *ids)
{
    struct seen_id *id;

    for (size_t at = 0; (id = map_next(ids, &at));) {
        (void)map_remove(ids, map_key_u64(&id->seq));
        mem_free(id);
    }
    map_fini(ids);
}

void oracle_fini(struct oracle *o)
{
    for (size_t i = 0; i < o->count; i++)
        mem_free(o->sent[i]);
    mem_free(o->sent);
    for (struct sim_tx *t = o->txs, *next; t; t = next) {
        next = t->next;
        mem_free(t->sent);
        mem_free(t->settle);
        mem_free(t);
    }
    for (int q = 0; q < QUEUES; q++)
        ids_fini(&o->ids[q]);
    memset(o, 0, sizeof *o);
}

/* ---- sending ---- */

struct sent *oracle_send(struct oracle *o, int place)
{
    struct sent *m = mem_new(struct sent);

    o->sent = mem_grow(o->sent, &o->cap, o->count + 1, sizeof *o->sent);
    o->sent[o->count++] = m;
    m->id = o->count;
    m->place = place;
    for (const int *q = sim_places[place].target; *q != NOWHERE; q++)
        m->copy[m->copies++] = (struct copy){ .of = m, .queue = *q };
    return m;
}

/* "m17:" and a filling that follows from the number, NULs and line ends among it. */
void oracle_body(const struct sent *m, struct buf *out)
{
    size_t at = out->n;

    buf_fmt(out, "m%" PRIu64 ":", m->id);
    while (out->n - at < m->size)
        buf_u8(out, (uint8_t)(m->id * 7 + (out->n - at) * 13));
}

void oracle_published(struct oracle *o, struct sent *m)
{
    size_t i = m->sender % 64;
    struct sent **last = &o->last[i][m->place][m->priority];

    if (o->last_sender[i] != m->sender)
        memset(o->last[i], 0, sizeof o->last[i]);
    o->last_sender[i] = m->sender;
    for (unsigned k = 0; k < m->copies; k++) {
        const struct sim_queue *q = &sim_queues[m->copy[k].queue];

        if (q->lossy || (m->has_ttl && q->dead == NOWHERE))
            m->copy[k].gone_ok = true;
    }
    if (m->delayed)
        return;
    m->before = *last;
    if (*last)
        (*last)->after = m;
    *last = m;
}

void oracle_confirmed(struct oracle *o, struct sent *m)
{
    SIM_CHECK(!m->refused, "message %" PRIu64 " was refused, and yet confirmed", m->id);
    m->confirmed = true;
    o->confirmed++;
}

struct sim_tx *oracle_tx(struct oracle *o, uint32_t boot)
{
    struct sim_tx *t = mem_new(struct sim_tx);

    t->next = o->txs;
    t->boot = boot;
    o->txs = t;
    return t;
}

void oracle_tx_confirmed(struct oracle *o, struct sim_tx *t)
{
    t->confirmed = true;
    for (size_t i = 0; i < t->sent_count; i++)
        oracle_confirmed(o, t->sent[i]);
    for (size_t i = 0; i < t->settle_count; i++)
        oracle_settled(o, &t->settle[i]);
}

/* ---- what is seen ---- */

struct sent *oracle_find(const struct oracle *o, struct bytes body)
{
    const uint8_t *colon = body.n ? memchr(body.p, ':', body.n) : NULL;
    struct buf want = { 0 };
    struct sent *m;
    uint64_t id = 0;

    SIM_CHECK(colon && body.p[0] == 'm' &&
                  bytes_to_u64(bytes_of(body.p + 1, (size_t)(colon - body.p) - 1), o->count, &id) &&
                  id > 0,
              "a body that was never sent, of %zu bytes", body.n);
    m = o->sent[id - 1];
    oracle_body(m, &want);
    SIM_CHECK(bytes_eq(buf_view(&want), body), "the body of message %" PRIu64 " has changed", id);
    buf_fini(&want);
    return m;
}

struct sent *oracle_find_props(const struct oracle *o, struct bytes props)
{
    struct table_value v;
    struct bytes text;
    struct props p;
    uint64_t id = 0;

    SIM_CHECK(props_decode(props, &p) && table_find(p.headers, BYTES("m"), &v) &&
                  table_str(&v, &text) && bytes_to_u64(text, o->count, &id) && id > 0,
              "a message that was never sent: it has no header m");
    return o->sent[id - 1];
}

struct sent *oracle_find_message(const struct oracle *o, const struct message *m)
{
    struct sent *sent;

    if (m->blob_id == 0)
        return oracle_find(o, m->body);
    sent = oracle_find_props(o, m->props);
    SIM_CHECK(m->body_size == sent->size, "message %" PRIu64 " has %" PRIu64 " bytes", sent->id,
              m->body_size);
    return sent;
}

struct copy *oracle_copy(struct sent *m, int queue)
{
    for (unsigned i = 0; i < m->copies; i++)
        if (m->copy[i].queue == queue || sim_queues[queue].root == m->copy[i].queue)
            return &m->copy[i];
    sim_fail("message %" PRIu64 " to %s is in %s", m->id, sim_places[m->place].destination,
             sim_queues[queue].name);
}

static void check_may_be_seen(const struct copy *c, int queue)
{
    const struct sent *m = c->of;

    SIM_CHECK(!c->settled, "message %" PRIu64 " in %s was settled for good, and is there again",
              m->id, sim_queues[queue].name);
    SIM_CHECK(!c->rejected || queue != c->queue,
              "message %" PRIu64 " was rejected for good, and is in %s again", m->id,
              sim_queues[queue].name);
    SIM_CHECK(!c->done, "message %" PRIu64 " in %s was settled, and is there again", m->id,
              sim_queues[queue].name);
    SIM_CHECK(!c->done_dead || queue != c->queue,
              "message %" PRIu64 " was rejected, and is in %s again", m->id,
              sim_queues[queue].name);
    SIM_CHECK(!m->refused || sim_queues[queue].root == Q_FULL_DLX,
              "message %" PRIu64 " was refused, and is in %s", m->id, sim_queues[queue].name);
    SIM_CHECK(!m->tx || m->tx->committed, "message %" PRIu64 " is in %s before its COMMIT", m->id,
              sim_queues[queue].name);
    SIM_CHECK(!m->tx || !m->tx->refused, "message %" PRIu64 " of a refused transaction is in %s",
              m->id, sim_queues[queue].name);
}

/* What one connection sent to one place keeps its order there. */
static void check_sender_order(const struct copy *c)
{
    size_t i = (size_t)(c - c->of->copy);
    const struct sent *before = c->of->before, *after = c->of->after;

    SIM_CHECK(!before || before->copy[i].seq < c->seq,
              "%s: message %" PRIu64 " was sent before %" PRIu64 " and comes after it",
              sim_queues[c->queue].name, before->id, c->of->id);
    SIM_CHECK(!after || after->copy[i].seq == 0 || after->copy[i].seq > c->seq,
              "%s: message %" PRIu64 " was sent before %" PRIu64 " and comes after it",
              sim_queues[c->queue].name, c->of->id, after->id);
}

static void check_place(struct copy *c, int queue, uint64_t seq)
{
    uint64_t *known = queue == c->queue ? &c->seq : &c->dead_seq;

    SIM_CHECK(*known == 0 || *known == seq, "message %" PRIu64 " has changed its place in %s",
              c->of->id, sim_queues[queue].name);
    if (*known)
        return;
    *known = seq;
    if (queue == c->queue && !c->of->delayed)
        check_sender_order(c);
}

/* A message id that was seen stands for that message for ever, also when the
 * message was lost with a crash. */
static void check_id(struct map *ids, const struct sent *m, uint64_t seq)
{
    struct seen_id *id = map_get(ids, map_key_u64(&seq));

    if (!id) {
        id = mem_new(struct seen_id);
        id->seq = seq;
        id->of = m;
        (void)map_put(ids, map_key_u64(&id->seq), id);
    }
    SIM_CHECK(id->of == m, "messages %" PRIu64 " and %" PRIu64 " have one id", id->of->id, m->id);
}

void oracle_handed(struct oracle *o, struct copy *c, int queue, uint64_t seq, bool redelivered,
                   bool for_good, uint32_t boot)
{
    unsigned lane = sim_queues[queue].priorities ? c->of->priority : 0;
    uint64_t *highest = &o->highest[queue][lane];

    check_may_be_seen(c, queue);
    check_id(&o->ids[queue], c->of, seq);
    check_place(c, queue, seq);
    SIM_CHECK(redelivered || seq > *highest,
              "%s: message %" PRIu64 " comes after later ones and is not marked redelivered",
              sim_queues[queue].name, c->of->id);
    SIM_CHECK(redelivered || queue != c->queue || c->reads == 0,
              "message %" PRIu64 " of %s was read before and is not marked redelivered", c->of->id,
              sim_queues[queue].name);
    if (seq > *highest)
        *highest = seq;
    c->boot = boot;
    if (for_good)
        c->gone_ok = true;
    o->delivered++;
    o->redelivered += redelivered;
}

void oracle_read(struct copy *c, int queue)
{
    c->reads += queue == c->queue;
}

/* ---- answers ---- */

static bool goes(const struct sim_settle *s)
{
    return !s->reject || s->dead || sim_queues[s->copy->queue].dead == NOWHERE;
}

void oracle_answered(const struct sim_settle *s)
{
    if (goes(s))
        s->copy->gone_ok = true;
}

void oracle_settled(struct oracle *o, const struct sim_settle *s)
{
    if (goes(s))
        s->copy->settled = true;
    else
        s->copy->rejected = true;
    o->settled++;
}

void oracle_done(struct oracle *o, const struct sim_settle *s)
{
    if (goes(s))
        s->copy->done = true;
    else
        s->copy->done_dead = true;
    o->settled++;
}

/* ---- the end of a process ---- */

/* What was moved inside (dead letters, delayed ones) may have been seen in a
 * place that was not on disk yet; then it is moved once more. */
static void process_ended(struct oracle *o, bool crashed)
{
    memset(o->highest, 0, sizeof o->highest);
    for (size_t i = 0; i < o->count; i++) {
        struct sent *m = o->sent[i];

        for (unsigned k = 0; k < m->copies; k++) {
            struct copy *c = &m->copy[k];

            c->gone_ok = c->gone_ok || !m->persistent;
            if (!crashed)
                continue;
            c->done = c->done_dead = false;
            c->dead_seq = 0;
            c->seq = m->delayed ? 0 : c->seq;
            c->reads = m->delayed ? 0 : c->reads;
        }
    }
}

void oracle_crashed(struct oracle *o)
{
    process_ended(o, true);
}

void oracle_restarted(struct oracle *o)
{
    process_ended(o, false);
}

/* ---- the end ---- */

static void check_copy(const struct copy *c)
{
    const struct sent *m = c->of;

    SIM_CHECK(c->found <= 1, "message %" PRIu64 " is in %s %u times", m->id,
              sim_queues[c->queue].name, c->found);
    SIM_CHECK(c->found || !m->confirmed || c->gone_ok,
              "message %" PRIu64 " to %s was confirmed and is lost from %s (reads=%u)", m->id,
              sim_places[m->place].destination, sim_queues[c->queue].name, c->reads);
}

/* Nobody was told how it ended, but it must have ended as a whole. */
static void check_tx(const struct sim_tx *t)
{
    const struct copy *there = NULL, *missing = NULL;

    for (size_t i = 0; i < t->sent_count; i++)
        for (unsigned k = 0; k < t->sent[i]->copies && t->sent[i]->persistent; k++) {
            const struct copy *c = &t->sent[i]->copy[k];

            if (c->found || c->boot > t->boot)
                there = c;
            else if (!c->gone_ok)
                missing = c;
        }
    SIM_CHECK(!there || !missing,
              "half a transaction: message %" PRIu64 " is there, message %" PRIu64 " is not",
              there->of->id, missing->of->id);
    for (size_t i = 0; there && i < t->settle_count; i++) {
        const struct sim_settle *s = &t->settle[i];

        SIM_CHECK(!goes(s) || !s->copy->found,
                  "half a transaction: message %" PRIu64 " is there, its ack of %" PRIu64 " is not",
                  there->of->id, s->copy->of->id);
    }
}

void oracle_final(const struct oracle *o)
{
    for (size_t i = 0; i < o->count; i++)
        for (unsigned k = 0; k < o->sent[i]->copies; k++)
            check_copy(&o->sent[i]->copy[k]);
    for (const struct sim_tx *t = o->txs; t; t = t->next)
        if (t->committed)
            check_tx(t);
}
