// SPDX-License-Identifier: MIT
/* What comes with content: deliveries, gets, returns. */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "broker/session/amqp_session.h" /* whom the core means is known only in there */
#include "proto/props.h"
#include "proto/table.h"
#include "tests/sim/amqp_client.h"
#include "tests/sim/trace.h"

/* ---- the broker hands out ---- */

void amqp_client_handed(struct world *w, struct wire *to, struct session_port *port,
                        const struct effect *e, const struct message *m)
{
    const struct amqp_channel *inside = container_of(port, struct amqp_channel, port);
    struct amqp_client *c = to->client;
    struct amqp_chan *ch = &c->chan[(inside->number - 1) / 3];
    int queue = world_queue(w, e->queue_id);
    struct amqp_consumer *k = e->handle ? slots_get(&inside->consumers, e->handle) : NULL;

    CHECK(ch->number == inside->number && queue != NOWHERE);
    ch->inside = e->client;
    ch->flight = mem_grow(ch->flight, &ch->flight_cap, ch->flight_count + 1, sizeof *ch->flight);
    struct amqp_flight *f = &ch->flight[ch->flight_count++];
    *f = (struct amqp_flight){ .tag = e->tag,
                               .sent = oracle_find_message(&w->oracle, m),
                               .queue = queue,
                               .redelivered = e->redelivered,
                               .no_ack = !core_unacked_has(w->env.core, e->client, e->tag) };
    f->copy = oracle_copy(f->sent, queue);
    trace("broker hands m%" PRIu64 " of %s to amqp %u.%u%s as %" PRIu64, f->sent->id,
          sim_queues[queue].name, c->no, ch->number, e->redelivered ? " again" : "", e->tag);
    SIM_CHECK(k || !e->handle, "a delivery to a consumer that was cancelled");
    if (k)
        memcpy(f->consumer, k->tag, k->tag_n);
    oracle_handed(&w->oracle, f->copy, queue, e->seq, e->redelivered, f->no_ack, w->boot);
    f->doubtful = ch->wild != WILD_NONE && !f->no_ack;
    if (f->doubtful && ch->wild == WILD_TAKE)
        oracle_answered(&(struct sim_settle){ .copy = f->copy, .dead = queue != f->copy->queue });
}

/* ---- properties ---- */

static bool has_text(struct bytes headers, const char *name, struct bytes want)
{
    struct table_value v;
    struct bytes text;

    return table_find(headers, bytes_str(name), &v) && table_str(&v, &text) && bytes_eq(text, want);
}

static void check_props(const struct amqp_chan *ch, const struct sent *m, bool redelivered)
{
    struct table_value v;
    struct props p;
    char text[64];
    int64_t count = 0;

    SIM_CHECK(props_decode(buf_view(&ch->in.props), &p), "properties of m%" PRIu64, m->id);
    (void)snprintf(text, sizeof text, "%" PRIu64, m->id);
    SIM_CHECK(has_text(p.headers, "m", bytes_str(text)), "header m of message %" PRIu64, m->id);
    (void)snprintf(text, sizeof text, "a:b\\c\n=%" PRIu64, m->id);
    SIM_CHECK(!m->fancy || has_text(p.headers, "n\n:ame", bytes_str(text)),
              "a header of message %" PRIu64 " has changed", m->id);
    SIM_CHECK(p.priority == m->priority, "message %" PRIu64 " has lost its priority", m->id);
    SIM_CHECK((p.delivery_mode == 2) == m->persistent, "message %" PRIu64 " has delivery mode %u",
              m->id, p.delivery_mode);
    (void)snprintf(text, sizeof text, "c%" PRIu64, m->id);
    SIM_CHECK(!m->amqp || bytes_eq(p.correlation_id, bytes_str(text)),
              "message %" PRIu64 " has lost its correlation id", m->id);
    if (table_find(p.headers, BYTES("x-delivery-count"), &v))
        SIM_CHECK(table_int(&v, &count) && count > 0 && redelivered,
                  "message %" PRIu64 " was returned %" PRIi64 " times", m->id, count);
}

static void check_address(const struct sent *m, int queue, struct bytes exchange, struct bytes key)
{
    struct sim_address want = place_address(m->place);

    if (sim_queues[queue].root != NOWHERE)
        want = (struct sim_address){ BYTES("amq.direct"), bytes_str(sim_queues[queue].name) };
    SIM_CHECK(bytes_eq(exchange, want.exchange) && bytes_eq(key, want.key),
              "message %" PRIu64 " comes from '%.*s' '%.*s'", m->id, BYTES_FMT(exchange),
              BYTES_FMT(key));
}

/* ---- deliveries ---- */

static struct amqp_sub *find_sub(const struct amqp_chan *ch, struct bytes tag)
{
    for (size_t i = 0; i < ch->sub_count; i++)
        if (ch->sub[i]->tag[0] && bytes_eq(bytes_str(ch->sub[i]->tag), tag))
            return ch->sub[i];
    sim_fail("amqp %u.%u: a delivery to '%.*s', which is not ours", ch->client->no, ch->number,
             BYTES_FMT(tag));
}

/* What is unacked of one consumer, or of all of the channel. */
static size_t count_held(const struct amqp_chan *ch, const struct amqp_sub *s)
{
    size_t n = 0;

    for (size_t i = 0; i < ch->held_count; i++) {
        const struct amqp_held *h = &ch->held[i];

        n += !h->doubtful && (s ? h->sub == s : h->sub != NULL);
    }
    return n;
}

/* A long body may have been handed out under the limit that was there before. */
static void check_prefetch(const struct amqp_chan *ch, const struct amqp_held *h)
{
    bool changing = ch->waiting == AMQP_basic_qos_ok;
    uint32_t limit = ch->prefetch, before = ch->prefetch_before;
    size_t n = count_held(ch, NULL);

    if (changing && (before == 0 || (limit > 0 && before > limit)))
        limit = before;
    SIM_CHECK(h->sub->prefetch == 0 || count_held(ch, h->sub) <= h->sub->prefetch,
              "amqp %u.%u: %s holds %zu, its prefetch is %u", ch->client->no, ch->number,
              h->sub->tag, count_held(ch, h->sub), h->sub->prefetch);
    SIM_CHECK(limit == 0 || n <= limit || h->sent->size > BLOB_MIN_BYTES,
              "amqp %u.%u holds %zu, the prefetch of the channel is %u", ch->client->no, ch->number,
              n, limit);
}

static void hold(struct amqp_chan *ch, const struct amqp_flight *f, struct amqp_sub *sub)
{
    struct amqp_held *h;

    ch->held = mem_grow(ch->held, &ch->held_cap, ch->held_count + 1, sizeof *ch->held);
    h = &ch->held[ch->held_count++];
    *h = (struct amqp_held){ .tag = f->tag,
                             .sent = f->sent,
                             .copy = f->copy,
                             .queue = f->queue,
                             .sub = sub,
                             .doubtful = f->doubtful };
    if (sub && !h->doubtful)
        check_prefetch(ch, h);
}

/* May the channel be at its end, for either side's reason? */
static bool may_be_ending(const struct amqp_chan *ch)
{
    return ch->state == CHAN_CLOSING || ch->committing || amqp_consumer_timeout(ch->client->world);
}

/* A long one of which nothing has left yet goes with its channel, and what was said
 * after it may still come: then the end of the channel is next. */
static void skip_long(struct amqp_chan *ch, uint64_t tag)
{
    while (may_be_ending(ch) && ch->flight_count > 1 && ch->flight[0].tag < tag &&
           ch->flight[0].sent->size > BLOB_MIN_BYTES) {
        memmove(ch->flight, ch->flight + 1, --ch->flight_count * sizeof *ch->flight);
        ch->skipped = true;
    }
}

/* All that the broker hands out comes, in that order. */
static struct amqp_flight take_flight(struct amqp_chan *ch, uint64_t tag, bool redelivered,
                                      struct bytes consumer)
{
    skip_long(ch, tag);
    SIM_CHECK(ch->flight_count > 0, "amqp %u.%u: a delivery of %" PRIu64 " out of nowhere",
              ch->client->no, ch->number, tag);
    struct amqp_flight f = ch->flight[0];
    memmove(ch->flight, ch->flight + 1, --ch->flight_count * sizeof f);
    SIM_CHECK(f.tag == tag, "amqp %u.%u: a delivery of %" PRIu64 ", and %" PRIu64 " was due",
              ch->client->no, ch->number, tag, f.tag);
    SIM_CHECK(f.redelivered == redelivered && bytes_eq(bytes_str(f.consumer), consumer),
              "amqp %u.%u: delivery %" PRIu64 " is of another consumer, or not marked",
              ch->client->no, ch->number, tag);
    return f;
}

static void check_consumer(const struct amqp_chan *ch, const struct amqp_sub *s,
                           const struct amqp_flight *f)
{
    SIM_CHECK(s->started, "amqp %u.%u: a delivery to %s before its consume-ok", ch->client->no,
              ch->number, s->tag);
    SIM_CHECK(!s->ended, "amqp %u.%u: a delivery to %s after its cancel-ok", ch->client->no,
              ch->number, s->tag);
    SIM_CHECK(s->queue == f->queue && s->no_ack == f->no_ack, "amqp %u.%u: a delivery of %s to %s",
              ch->client->no, ch->number, sim_queues[f->queue].name, s->tag);
    SIM_CHECK(!ch->flow_off || f->sent->size > BLOB_MIN_BYTES,
              "amqp %u.%u: a delivery while the flow is off", ch->client->no, ch->number);
}

static void on_get_ok(struct amqp_chan *ch, const struct amqp_flight *f)
{
    if (ch->state == CHAN_CLOSING)
        return;
    SIM_CHECK(ch->waiting == AMQP_basic_get_ok && ch->asked_queue == f->queue &&
                  ch->asked_no_ack == f->no_ack,
              "amqp %u.%u: a get-ok that was not asked for", ch->client->no, ch->number);
    ch->waiting = 0;
    amqp_arrived(ch, ch->settle_mark);
}

static void on_delivery(struct amqp_chan *ch, uint64_t tag, bool redelivered, struct bytes consumer,
                        struct bytes exchange, struct bytes key)
{
    struct amqp_flight f = take_flight(ch, tag, redelivered, consumer);
    struct amqp_sub *s = consumer.n ? find_sub(ch, consumer) : NULL;
    const struct sent *m = oracle_find(&ch->client->world->oracle, buf_view(&ch->in.body));

    trace("amqp %u.%u reads m%" PRIu64 " of %s as %" PRIu64, ch->client->no, ch->number, m->id,
          sim_queues[f.queue].name, tag);
    SIM_CHECK(m == f.sent, "message %" PRIu64 " came for message %" PRIu64, m->id, f.sent->id);
    if (s)
        check_consumer(ch, s, &f);
    else
        on_get_ok(ch, &f);
    check_props(ch, m, redelivered);
    check_address(m, f.queue, exchange, key);
    /* A delayed one of a process that died may become due once more, as if new. */
    if (!(m->delayed && ch->client->wire->died))
        oracle_read(f.copy, f.queue);
    if (!f.no_ack && !f.answered && !ch->recovering && ch->state == CHAN_OPEN)
        hold(ch, &f, s);
}

/* ---- basic.return ---- */

/* Of a long body in a transaction only the head comes. */
static void on_return(struct amqp_chan *ch, const struct amqp_basic_return *a)
{
    struct oracle *o = &ch->client->world->oracle;
    struct sent *m = oracle_find_props(o, buf_view(&ch->in.props));
    size_t i = 0;

    trace("amqp %u.%u reads the return of m%" PRIu64, ch->client->no, ch->number, m->id);
    SIM_CHECK((ch->in.size == 0 && m->tx && m->size > BLOB_MIN_BYTES) ||
                  oracle_find(o, buf_view(&ch->in.body)) == m,
              "another body of message %" PRIu64 " was returned", m->id);
    check_props(ch, m, false);
    check_address(m, Q_PLAIN, a->exchange, a->routing_key);
    while (i < ch->unrouted_count && ch->unrouted[i] != m)
        i++;
    SIM_CHECK(i < ch->unrouted_count && a->reply_code == AMQP_NO_ROUTE &&
                  (!m->tx || m->tx->committed),
              "message %" PRIu64 " was returned: %u", m->id, a->reply_code);
    ch->unrouted_count--;
    memmove(ch->unrouted + i, ch->unrouted + i + 1,
            (ch->unrouted_count - i) * sizeof(struct sent *));
}

/* ---- frames ---- */

static void complete(struct amqp_chan *ch)
{
    struct amqp_args a;
    enum amqp_reply code;
    const char *why;

    ch->in.due = false;
    CHECK(amqp_method_decode(buf_view(&ch->in.method), &a, &code, &why) == DECODE_OK);
    if (a.id == AMQP_basic_deliver) {
        const struct amqp_basic_deliver *d = &a.basic_deliver;

        on_delivery(ch, d->delivery_tag, d->redelivered, d->consumer_tag, d->exchange,
                    d->routing_key);
    } else if (a.id == AMQP_basic_get_ok) {
        const struct amqp_basic_get_ok *d = &a.basic_get_ok;

        on_delivery(ch, d->delivery_tag, d->redelivered, (struct bytes){ NULL, 0 }, d->exchange,
                    d->routing_key);
    } else {
        on_return(ch, &a.basic_return);
    }
}

void amqp_content_begin(struct amqp_chan *ch, struct bytes method)
{
    ch->in.method.n = ch->in.props.n = ch->in.body.n = 0;
    buf_bytes(&ch->in.method, method);
    ch->in.due = true;
    ch->in.has_header = false;
}

void amqp_content_frame(struct amqp_chan *ch, const struct amqp_frame *f)
{
    struct amqp_content head;
    const char *why;

    SIM_CHECK(ch->in.due && ch->in.has_header == (f->type == AMQP_FRAME_BODY),
              "amqp %u.%u: content where none was due", ch->client->no, ch->number);
    if (f->type == AMQP_FRAME_HEADER) {
        SIM_CHECK(amqp_content_decode(f->payload, &head, &why) == DECODE_OK, "%s", why);
        buf_bytes(&ch->in.props, head.props);
        ch->in.size = head.body_size;
        ch->in.has_header = true;
    } else {
        SIM_CHECK(f->payload.n > 0 && f->payload.n <= ch->in.size - ch->in.body.n,
                  "amqp %u.%u: a body frame of %zu bytes", ch->client->no, ch->number,
                  f->payload.n);
        buf_bytes(&ch->in.body, f->payload);
    }
    if (ch->in.body.n == ch->in.size)
        complete(ch);
}
