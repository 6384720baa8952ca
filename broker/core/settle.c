// SPDX-License-Identifier: MIT
/* Acks, returns and rejects. */
#include "base/check.h"
#include "broker/core/state.h"

/* True when the message has come back too often and goes instead. */
static bool over_delivery_limit(const struct queue *q, const struct batch *b, uint32_t slot)
{
    return q->args->has_delivery_limit && retain_returns(b, slot) > q->args->delivery_limit;
}

/* False: it waits for the batch's content. */
static bool give_back(struct core *c, struct span *s, uint32_t slot, uint32_t bytes)
{
    struct queue *q = s->queue;

    c->stats.returned++;
    /* What was received is no failed attempt. */
    if (q && !retain_is_received(s->batch, slot)) {
        retain_count_return(c, s->batch, slot);
        if (over_delivery_limit(q, s->batch, slot))
            return queue_drop(c, s, slot, bytes, true, DEATH_DELIVERY_LIMIT);
    }
    if (!s->purge) {
        queue_put_back(c, s, slot, bytes);
        return true;
    }
    /* It was not ready when the queue was purged, so it must not go with the rest. */
    retain_defer(
        c, s->batch,
        &(struct deferred){
            .kind = DEFER_RETURN, .span = s, .slot = slot, .bytes = bytes, .taken = true });
    return false;
}

void delivery_settle(struct core *c, struct client *cl, struct ledger *l, struct delivery *d,
                     enum settle how)
{
    struct span *s = d->span;
    struct consumer *k = d->consumer;
    uint32_t slot = d->slot, bytes = d->bytes;
    bool done = true;

    ledger_remove(l, d);
    cl->unacked--;
    switch (how) {
    case SETTLE_ACK:
        c->stats.acked++;
        queue_settle(c, s, slot, bytes, true);
        break;
    case SETTLE_RETURN:
        done = give_back(c, s, slot, bytes);
        break;
    case SETTLE_REJECT:
        done = queue_drop(c, s, slot, bytes, true, DEATH_REJECTED);
        break;
    }
    if (!done)
        client_defer(cl, s->batch);
    if (k) {
        k->unacked--;
        consumer_update(c, k);
    }
}

void ledger_return(struct core *c, struct client *cl, struct ledger *l)
{
    struct delivery *d;

    while ((d = ledger_first(l))) {
        d->consumer = NULL;
        delivery_settle(c, cl, l, d, SETTLE_RETURN);
    }
}

static void settle_upto(struct core *c, struct client *cl, struct ledger *l, uint64_t tag,
                        enum settle how)
{
    struct delivery *d;

    while ((d = ledger_first(l)) && (tag == 0 || d->tag <= tag))
        delivery_settle(c, cl, l, d, how);
}

/* consumer 0: the client's shared one.  NULL: no such consumer of this client. */
static struct ledger *ledger_of(const struct core *c, struct client *cl, consumer_id consumer)
{
    struct consumer *k = consumer ? slots_get(&c->consumers, consumer) : NULL;

    if (consumer == 0)
        return &cl->ledger;
    return k && k->client == cl ? k->ledger : NULL;
}

enum err core_received(struct core *c, client_id id, consumer_id consumer, uint64_t tag)
{
    struct client *cl = client_get(c, id);
    struct ledger *l = ledger_of(c, cl, consumer);
    struct delivery *d = l && tag ? ledger_find(l, tag) : NULL;

    if (!d)
        return ERR_NOT_FOUND;
    client_did(c, cl);
    if (d->span->queue)
        retain_note_received(c, d->span->batch, d->slot);
    return OK;
}

enum err core_settle(struct core *c, client_id id, consumer_id consumer, uint64_t tag, bool upto,
                     enum settle how, uint64_t now_ms)
{
    struct client *cl = client_get(c, id);
    struct ledger *l = ledger_of(c, cl, consumer);

    c->now_ms = now_ms;
    if (!l)
        return ERR_NOT_FOUND;
    struct delivery *d = tag ? ledger_find(l, tag) : NULL;
    if (tag && !d)
        return ERR_NOT_FOUND;
    /* With a limit over all of them, credit comes back to all its consumers. */
    bool shared_credit = cl->prefetch || l->live >= cl->unacked_max;
    client_did(c, cl);
    if (upto)
        settle_upto(c, cl, l, tag, how);
    else if (d)
        delivery_settle(c, cl, l, d, how);
    else
        return ERR_NOT_FOUND;
    if (shared_credit)
        client_update_consumers(c, cl);
    return OK;
}

uint64_t core_unacked_oldest(const struct core *c, client_id id)
{
    const struct delivery *d = ledger_first(&client_get(c, id)->ledger);

    return d ? d->tag : 0;
}

uint64_t core_tag_find(const struct core *c, client_id id, consumer_id consumer, uint64_t queue_id,
                       uint64_t seq)
{
    const struct consumer *k = slots_get(&c->consumers, consumer);

    if (!k || k->client->id != id || k->queue->id != queue_id)
        return 0;
    for (struct delivery *d = ledger_first(k->ledger); d; d = ledger_next(k->ledger, d))
        if (d->seq == seq)
            return d->tag;
    return 0;
}

bool core_unacked_has(const struct core *c, client_id id, uint64_t tag)
{
    const struct client *cl = client_get(c, id);

    return tag ? ledger_find(&cl->ledger, tag) != NULL : cl->ledger.live > 0;
}
