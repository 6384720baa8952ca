// SPDX-License-Identifier: MIT
#include "base/check.h"
#include "base/mem.h"
#include "broker/core/refuse.h"
#include "broker/core/state.h"

/* What a delivery costs in the output besides its body. */
enum { DELIVERY_OVERHEAD_BYTES = 256 };

static bool is_active(const struct consumer *k)
{
    return !k->queue->args->single_active || k->queue->consumers.next == &k->in_queue;
}

bool consumer_able(const struct consumer *k)
{
    const struct client *cl = k->client;

    if (cl->room == 0 || !is_active(k))
        return false;
    if (k->no_ack)
        return true;
    return (k->prefetch == 0 || k->unacked < k->prefetch) &&
           (cl->prefetch == 0 || cl->unacked < cl->prefetch) &&
           k->ledger->live < k->client->unacked_max;
}

/* Behind the last of its own priority: fair among equals. */
static void able_insert(struct consumer *k)
{
    struct list *head = &k->queue->able, *after = head->prev;

    while (after != head && container_of(after, struct consumer, in_able)->priority < k->priority)
        after = after->prev;
    list_insert_after(after, &k->in_able);
}

void consumer_update(struct core *c, struct consumer *k)
{
    bool able = consumer_able(k);

    if (!able && k->client->room == 0)
        k->client->starved = true;
    if (able == k->able)
        return;
    k->able = able;
    list_remove(&k->in_able);
    if (able) {
        able_insert(k);
        if (k->queue->ready > 0)
            queue_touch(c, k->queue);
    }
}

static struct effect *deliver(struct core *c, struct client *cl, uint64_t handle, struct span *s,
                              uint32_t slot)
{
    const struct slot *at = &s->batch->content->slot[slot];
    struct effect *e = core_effect(c, EFFECT_DELIVER, cl->id);
    size_t cost = (size_t)at->bytes + DELIVERY_OVERHEAD_BYTES;

    e->handle = handle;
    e->batch = s->batch;
    e->slot = slot;
    e->queue_id = s->queue->id;
    e->seq = at->seq;
    e->expires_ms = at->at_ms;
    e->deliveries = retain_returns(s->batch, slot);
    e->counted = s->queue->args->quorum || s->queue->args->has_delivery_limit;
    e->received = retain_is_received(s->batch, slot);
    e->redelivered = e->deliveries > 0 || e->received ||
                     (s->queue->maybe_redelivered && at->seq < s->queue->recovered_seq);
    cl->room -= cost < cl->room ? cost : cl->room;
    if (s->batch->blob) {
        blob_open_for(c, cl, s->batch->blob);
        cl->room = 0;
    }
    c->stats.delivered++;
    return e;
}

void consumer_deliver(struct core *c, struct consumer *k, struct span *s, uint32_t slot)
{
    struct queue *q = s->queue;
    uint32_t bytes = s->batch->content->slot[slot].bytes;
    struct effect *e = deliver(c, k->client, k->handle, s, slot);

    if (k->no_ack) {
        e->tag = ++k->ledger->next_tag;
        client_did(c, k->client);
        queue_settle(c, s, slot, bytes, false);
    } else {
        queue_take(c, s, slot, bytes);
        e->tag = ledger_add(
            k->ledger, &(struct delivery){
                           .seq = e->seq, .span = s, .consumer = k, .slot = slot, .bytes = bytes });
        k->unacked++;
        k->client->unacked++;
    }
    CHECK(k->queue == q);
    if (consumer_able(k)) {
        list_remove(&k->in_able);
        able_insert(k);
    } else {
        consumer_update(c, k);
    }
}

void get_deliver(struct core *c, struct get *g, struct span *s, uint32_t slot)
{
    struct client *cl = g->client;
    uint32_t bytes = s->batch->content->slot[slot].bytes;
    struct effect *e = deliver(c, cl, g->handle, s, slot);

    if (g->no_ack) {
        e->tag = ++cl->ledger.next_tag;
        client_did(c, cl);
        queue_settle(c, s, slot, bytes, false);
    } else {
        queue_take(c, s, slot, bytes);
        e->tag = ledger_add(
            &cl->ledger,
            &(struct delivery){ .seq = e->seq, .span = s, .slot = slot, .bytes = bytes });
        cl->unacked++;
    }
    get_end(g);
}

void get_end(struct get *g)
{
    list_remove(&g->in_queue);
    list_remove(&g->in_client);
    mem_free(g);
}

/* After a crash nobody knows what its consumers had seen: that there were some
 * is on disk, so that what they may have had is marked redelivered. */
static void note_consumed(struct core *c, struct client *cl, struct queue *q)
{
    if (q->consumed || !q->durable || q->exclusive)
        return;
    q->consumed = true;
    q->consumed_commit = c->open_number;
    queue_store(c, q);
    client_did(c, cl);
}

enum err core_get(struct core *c, client_id id, struct bytes queue, bool no_ack, uint64_t handle,
                  const char **why)
{
    struct client *cl = client_get(c, id);
    struct queue *q = queue_find(cl->vhost, queue);

    if (!q || q->delay)
        return refuse(why, ERR_NOT_FOUND, "no such queue");
    if (client_locked_out(cl, q))
        return refuse(why, ERR_LOCKED, "queue is exclusive to another connection");
    struct get *g = mem_new(struct get);
    g->client = cl;
    g->no_ack = no_ack;
    g->handle = handle;
    list_push_back(&q->gets, &g->in_queue);
    list_push_back(&cl->gets, &g->in_client);
    q->used_ms = c->now_ms;
    note_consumed(c, cl, q);
    queue_touch(c, q);
    return OK;
}

static enum err may_consume(const struct core *c, const struct client *cl, const struct queue *q,
                            const struct consume *s, const char **why)
{
    if (!q || q->delay)
        return refuse(why, ERR_NOT_FOUND, "no such queue");
    if (client_locked_out(cl, q))
        return refuse(why, ERR_LOCKED, "queue is exclusive to another connection");
    struct list *first = list_first(&q->consumers);
    if (first && (s->exclusive || container_of(first, struct consumer, in_queue)->exclusive))
        return refuse(why, ERR_REFUSED, "queue has an exclusive consumer");
    if (c->consumers.count >= c->opt.consumers)
        return refuse(why, ERR_LIMIT, "too many consumers on this node");
    return OK;
}

enum err core_consume(struct core *c, client_id id, const struct consume *s, consumer_id *out,
                      const char **why)
{
    struct client *cl = client_get(c, id);
    struct queue *q = queue_find(cl->vhost, s->queue);
    enum err e = may_consume(c, cl, q, s, why);

    if (e != OK)
        return e;
    struct consumer *k = mem_new(struct consumer);
    k->handle = s->handle;
    k->client = cl;
    k->queue = q;
    k->no_ack = s->no_ack;
    k->exclusive = s->exclusive;
    k->prefetch = s->prefetch;
    k->priority = s->priority;
    k->own_ledger = s->own_ledger;
    k->ledger = s->own_ledger ? mem_new(struct ledger) : &cl->ledger;
    list_init(&k->in_able);
    list_push_back(&cl->consumers, &k->in_client);
    list_push_back(&q->consumers, &k->in_queue);
    q->consumer_count++;
    k->id = slots_add(&c->consumers, k);
    heap_remove(&c->timers, &q->timer);
    note_consumed(c, cl, q);
    consumer_update(c, k);
    *out = k->id;
    return OK;
}

/* A delivery whose consumer goes keeps its place in the shared ledger (AMQP:
 * cancel leaves what is unacked to the channel). */
static void forget_in_ledger(struct consumer *k)
{
    for (struct delivery *d = ledger_first(k->ledger); d; d = ledger_next(k->ledger, d))
        if (d->consumer == k)
            d->consumer = NULL;
}

static void queue_lost_consumer(struct core *c, struct queue *q)
{
    struct list *first = list_first(&q->consumers);

    if (first)
        consumer_update(c, container_of(first, struct consumer, in_queue));
    else if (q->auto_delete)
        queue_delete(c, q);
    else
        queue_used(c, q);
}

void consumer_end(struct core *c, struct consumer *k, bool tell)
{
    struct queue *q = k->queue;
    struct client *cl = k->client;

    if (tell)
        core_effect(c, EFFECT_CANCELLED, cl->id)->handle = k->handle;
    list_remove(&k->in_able);
    list_remove(&k->in_client);
    list_remove(&k->in_queue);
    k->able = false;
    q->consumer_count--;
    slots_remove(&c->consumers, k->id);
    if (k->own_ledger) {
        ledger_return(c, cl, k->ledger);
        ledger_fini(k->ledger);
        mem_free(k->ledger);
    } else if (k->unacked > 0) {
        forget_in_ledger(k);
    }
    mem_free(k);
    if (cl->prefetch)
        client_update_consumers(c, cl);
    if (!q->deleted)
        queue_lost_consumer(c, q);
}

void core_cancel(struct core *c, client_id id, consumer_id consumer, uint64_t now_ms)
{
    struct consumer *k = slots_get(&c->consumers, consumer);

    c->now_ms = now_ms;
    if (k && k->client->id == id)
        consumer_end(c, k, false);
}
