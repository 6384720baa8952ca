// SPDX-License-Identifier: MIT
/* One message in: where it goes, whether it may, and its copy into the open batch. */
#include "base/check.h"
#include "broker/core/publish.h"
#include "broker/core/state.h"

/* False: no such exchange.  *x NULL: the default one. */
static bool exchange_of(const struct vhost *v, const struct publish *p, struct exchange **x)
{
    *x = p->m.exchange.n ? exchange_find(v, p->m.exchange) : NULL;
    return *x || p->m.exchange.n == 0;
}

static void route_from(struct core *c, const struct vhost *v, struct exchange *x,
                       const struct publish *p)
{
    if (x)
        exchange_route(c, x, p->m.routing_key, p->headers);
    else
        exchange_route_default(c, v, p->m.routing_key, p->headers);
}

bool publish_route(struct core *c, const struct vhost *v, const struct publish *p)
{
    struct exchange *x;

    if (!exchange_of(v, p, &x))
        return false;
    route_from(c, v, x, p);
    return true;
}

/* Is it routed when it is due, not now? */
static bool waits(const struct vhost *v, const struct publish *p)
{
    struct exchange *x;

    if (p->delay_ms == 0 || !p->delay_by_exchange)
        return p->delay_ms > 0;
    return exchange_of(v, p, &x) && x && x->delayed;
}

static uint64_t expires_at(const struct core *c, const struct queue *q, const struct publish *p)
{
    uint64_t ttl = UINT64_MAX;

    if (p->has_ttl)
        ttl = p->ttl_ms;
    if (q->args->has_ttl && q->args->ttl_ms < ttl)
        ttl = q->args->ttl_ms;
    if (ttl >= UINT64_MAX - c->now_ms)
        return 0;
    return c->now_ms + ttl ? c->now_ms + ttl : 1;
}

static bool is_transient(const struct queue *q, const struct publish *p)
{
    return !p->persistent || !q->durable || q->exclusive;
}

/* The message is written once per open batch (durable, transient), whatever
 * the number of its queues. */
struct placed {
    struct batch *batch[2];
    uint32_t record[2];
};

static void place(struct core *c, struct placed *at, bool transient, const struct publish *p)
{
    struct batch *b;

    if (at->batch[transient])
        return;
    b = p->m.blob_id ? retain_open_alone(c, transient)
                     : retain_open(c, transient, p->m.body.n + p->m.props.n);
    at->batch[transient] = b;
    at->record[transient] = record_put(&b->content->bodies, &c->retain.routes[transient], &p->m);
    if (p->deliver_committed && !transient)
        b->held = true;
}

/* Every queue of it has been pushed to. */
static void placed(struct core *c, struct placed *at, const struct publish *p)
{
    for (int i = 0; p->m.blob_id && i < 2; i++) {
        if (!at->batch[i])
            continue;
        blob_publish(c, blob_find(c, p->m.blob_id), at->batch[i]);
        retain_close(c, at->batch[i]);
    }
    if (at->batch[0])
        c->retain.unsealed_bytes += p->m.body.n;
}

void publish_to(struct core *c, const struct publish *p)
{
    struct placed at = { 0 };

    for (size_t i = 0; i < c->routed.count; i++) {
        struct queue *q = c->routed.queue[i];
        bool transient = is_transient(q, p);

        place(c, &at, transient, p);
        queue_push(c, q, at.batch[transient], at.record[transient], p, expires_at(c, q, p),
                   p->priority);
    }
    placed(c, &at, p);
}

static const char *refusal(const struct core *c, const struct publish *p)
{
    if (p->m.body_size > c->opt.message_bytes)
        return "message is larger than max_message";
    if (c->disk_low)
        return "disk is full: free space is below disk_reserve";
    return NULL;
}

static struct queue *refusing_queue(const struct core *c, const struct publish *p)
{
    for (size_t i = 0; i < c->routed.count; i++)
        if (queue_refuses(c->routed.queue[i], p->m.body_size))
            return c->routed.queue[i];
    return NULL;
}

/* A queue that refuses may still want the message dead-lettered. */
static void dead_letter_refused(struct core *c, const struct publish *p)
{
    struct queue *q = refusing_queue(c, p);

    if (q && q->args->overflow == OVERFLOW_REJECT_PUBLISH_DLX)
        publish_refused_dead(c, q, p);
}

static enum publish_result refuse(struct core *c, const char **why, const char *text)
{
    c->stats.refused++;
    *why = text;
    return PUBLISH_REFUSED;
}

static enum publish_result publish_later(struct core *c, struct client *cl, const struct publish *p)
{
    struct queue *q = queue_delay(c, cl->vhost);
    struct placed at = { 0 };
    bool transient = !p->persistent;

    place(c, &at, transient, p);
    queue_push(c, q, at.batch[transient], at.record[transient], p, c->now_ms + p->delay_ms, 0);
    placed(c, &at, p);
    c->stats.published++;
    client_did(c, cl);
    return PUBLISH_ROUTED;
}

enum publish_result publish_check(struct core *c, struct client *cl, const struct publish *p,
                                  const char **why)
{
    const char *text = refusal(c, p);
    struct exchange *x;

    c->routed.count = 0;
    if (text)
        return refuse(c, why, text);
    if (!exchange_of(cl->vhost, p, &x)) {
        *why = "no such exchange";
        return PUBLISH_NO_EXCHANGE;
    }
    if (x && x->internal) {
        *why = "the exchange is internal";
        return PUBLISH_FORBIDDEN;
    }
    if (waits(cl->vhost, p))
        return PUBLISH_ROUTED;
    route_from(c, cl->vhost, x, p);
    if (c->routed.count == 0)
        return PUBLISH_UNROUTED;
    if (refusing_queue(c, p))
        return refuse(c, why, "queue is full: max-length reached and overflow is reject-publish");
    return PUBLISH_ROUTED;
}

static enum publish_result store_routed(struct core *c, struct client *cl, const struct publish *p)
{
    if (waits(cl->vhost, p))
        return publish_later(c, cl, p);
    if (c->routed.count == 0) {
        c->stats.unrouted++;
        return PUBLISH_UNROUTED;
    }
    publish_to(c, p);
    c->stats.published++;
    client_did(c, cl);
    return PUBLISH_ROUTED;
}

enum publish_result publish_now(struct core *c, struct client *cl, const struct publish *p)
{
    if (!waits(cl->vhost, p) && !publish_route(c, cl->vhost, p))
        return PUBLISH_NO_EXCHANGE;
    return store_routed(c, cl, p);
}

enum publish_result core_publish(struct core *c, client_id id, const struct publish *p,
                                 const char **why, uint64_t now_ms)
{
    struct client *cl = client_get(c, id);
    const char *unused;

    c->now_ms = now_ms;
    enum publish_result r = publish_check(c, cl, p, why ? why : &unused);
    if (r == PUBLISH_REFUSED)
        dead_letter_refused(c, p);
    else if (r == PUBLISH_ROUTED || r == PUBLISH_UNROUTED)
        r = store_routed(c, cl, p);
    if (p->m.blob_id)
        core_blob_abort(c, p->m.blob_id); /* unless it was published */
    return r;
}

enum publish_result core_publish_queue(struct core *c, client_id id, struct bytes queue,
                                       const struct publish *p, const char **why, uint64_t now_ms)
{
    struct client *cl = client_get(c, id);
    struct queue *q = queue_find(cl->vhost, queue);
    const char *text = refusal(c, p);

    c->now_ms = now_ms;
    if (text)
        return refuse(c, why, text);
    c->routed.count = 0;
    if (!q || q->delay)
        return PUBLISH_UNROUTED;
    c->routed.serial++;
    routed_add(&c->routed, q);
    if (refusing_queue(c, p))
        return refuse(c, why, "queue is full: max-length reached and overflow is reject-publish");
    publish_to(c, p);
    c->stats.published++;
    client_did(c, cl);
    return PUBLISH_ROUTED;
}
