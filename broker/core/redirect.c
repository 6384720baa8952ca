// SPDX-License-Identifier: MIT
/* Messages that go on from one queue to another inside the broker: dead letters
 * and delayed ones.  The new place and the old one's end share a commit. */
#include <inttypes.h>

#include "base/check.h"
#include "base/log.h"
#include "broker/core/publish.h"
#include "broker/core/state.h"
#include "proto/props.h"

/* Copies the message out of its batch: publishing may move the batch's bytes. */
static bool message_copy(struct core *c, const struct batch *b, uint32_t slot, struct message *m)
{
    struct message at;

    CHECK(b->content);
    if (b->content->slot[slot].record == SLOT_NONE ||
        !record_get(buf_view(&b->content->bodies), b->content->slot[slot].record, &at, NULL))
        return false;
    c->scratch.n = 0;
    buf_bytes(&c->scratch, at.exchange);
    buf_bytes(&c->scratch, at.routing_key);
    buf_bytes(&c->scratch, at.props);
    buf_bytes(&c->scratch, at.body);
    *m = at;
    m->exchange.p = c->scratch.p;
    m->routing_key.p = m->exchange.p + at.exchange.n;
    m->props.p = m->routing_key.p + at.routing_key.n;
    m->body.p = m->props.p + at.props.n;
    return true;
}

/* Fills in what a publish takes from the properties. */
static void publish_from(const struct message *m, bool keep_ttl, struct publish *p)
{
    struct props props;

    *p = (struct publish){ .m = *m };
    if (!props_decode(m->props, &props))
        return;
    p->headers = props.headers;
    p->persistent = (props.flags & PROPS_delivery_mode) && props.delivery_mode == 2;
    p->priority = props.flags & PROPS_priority ? props.priority : 0;
    if (keep_ttl && props.flags & PROPS_expiration)
        p->has_ttl = bytes_to_u64(props.expiration, UINT64_MAX, &p->ttl_ms);
}

static void store_inside(struct core *c, const struct publish *p)
{
    if (c->routed.count == 0)
        c->stats.unrouted++;
    else
        publish_to(c, p);
}

static void log_dead(struct core *c, const char *event, struct bytes queue)
{
    unsigned unlogged;

    if (log_allowed(&c->dead_log, 10, &unlogged))
        log_warn(event, "queue=%s unlogged=%u", log_text(queue).s, unlogged);
}

/* A message that comes round to a queue where it died before, without a
 * rejection on the way, would go round for ever: that queue is left out. */
static void leave_out_cycles(struct core *c, const struct message *m)
{
    struct routed *r = &c->routed;
    size_t kept = 0;

    for (size_t i = 0; i < r->count; i++) {
        struct bytes name = bytes_str(r->queue[i]->name);

        if (!deadletter_cycles(m, name)) {
            r->queue[kept++] = r->queue[i];
            continue;
        }
        c->stats.dropped++;
        log_dead(c, "deadletter.cycle", name);
    }
    r->count = kept;
}

static void dead_letter(struct core *c, struct queue *q, struct message *m, enum death why)
{
    struct publish p;

    c->scratch2.n = 0;
    deadletter_props(&c->scratch2, m, why, bytes_str(q->name), c->now_ms);
    m->props = buf_view(&c->scratch2);
    m->exchange = q->args->dlx;
    if (q->args->has_dlx_key)
        m->routing_key = q->args->dlx_key;
    publish_from(m, false, &p);
    c->stats.dead_lettered++;
    c->routed.count = 0;
    if (!publish_route(c, q->vhost, &p))
        log_dead(c, "deadletter.no_exchange", bytes_str(q->name));
    leave_out_cycles(c, m);
    store_inside(c, &p);
}

void publish_refused_dead(struct core *c, struct queue *q, const struct publish *p)
{
    struct message m = p->m;

    if (!q->args->has_dlx)
        return;
    /* c->routed belongs to the publish that is being refused: it ends here. */
    dead_letter(c, q, &m, DEATH_MAXLEN);
}

static void count_drop(struct core *c, const struct queue *q, enum death why)
{
    static const char *const text = "queue.drop";

    if (why == DEATH_EXPIRED)
        c->stats.expired++;
    else if (!q->args->has_dlx)
        c->stats.dropped++;
    check_event(text, q->id, (uint64_t)why);
}

bool queue_drop(struct core *c, struct span *s, uint32_t slot, uint32_t bytes, bool taken,
                enum death why)
{
    struct queue *q = s->queue;
    struct message m;

    if (q && q->args->has_dlx && !s->batch->content && !s->batch->damaged) {
        CHECK(taken); /* what is ready is only dropped with its content at hand */
        retain_defer(c, s->batch,
                     &(struct deferred){ .kind = DEFER_DROP,
                                         .span = s,
                                         .slot = slot,
                                         .bytes = bytes,
                                         .taken = taken,
                                         .why = why });
        retain_note_death(c, s->batch, slot, why);
        return false;
    }
    if (q) {
        count_drop(c, q, why);
        if (q->args->has_dlx && s->batch->content && message_copy(c, s->batch, slot, &m))
            dead_letter(c, q, &m, why);
    }
    queue_settle(c, s, slot, bytes, taken);
    return true;
}

void publish_due(struct core *c, struct span *s, uint32_t slot)
{
    struct message m;
    struct publish p;
    uint32_t bytes = s->batch->content->slot[slot].bytes;

    if (message_copy(c, s->batch, slot, &m)) {
        publish_from(&m, true, &p);
        if (!s->batch->transient)
            p.persistent = true;
        c->routed.count = 0;
        if (!publish_route(c, s->queue->vhost, &p))
            c->stats.dropped++;
        store_inside(c, &p);
    }
    queue_settle(c, s, slot, bytes, false);
}
