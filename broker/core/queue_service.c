// SPDX-License-Identifier: MIT
/* What a queue does in a turn: expire, keep its limits, deliver. */
#include "base/check.h"
#include "broker/core/state.h"

/* One queue may not hold up the others: beyond so many it comes again. */
enum { DELIVERIES_A_TURN = 4096 };

static bool over_limit(const struct queue *q)
{
    return (q->args->has_max_length && q->ready > q->args->max_length) ||
           (q->args->has_max_bytes && q->ready_bytes > q->args->max_bytes);
}

static bool expired(const struct core *c, const struct queue *q, const struct batch *b,
                    uint32_t slot)
{
    uint64_t judge_ms = c->timed_push_ms ? c->timed_push_ms : c->now_ms;
    uint64_t at_ms = b->content->slot[slot].at_ms;

    return at_ms != 0 && at_ms < judge_ms && !q->delay && !retain_is_received(b, slot);
}

/* A queue that refuses may still be over its limit: by a transaction, or by what
 * came back.  It keeps what it has taken on.  What was received stays: its exchange
 * is to be ended. */
static void keep_limits(struct core *c, struct queue *q)
{
    struct span *s;
    uint32_t slot;

    if (q->args->overflow != OVERFLOW_DROP_HEAD)
        return;
    while (over_limit(q) && queue_head_unreceived(c, q, &s, &slot))
        queue_drop(c, s, slot, s->batch->content->slot[slot].bytes, false, DEATH_MAXLEN);
}

/* The next message that may be handed out; what expired on the way goes. */
static bool next_message(struct core *c, struct queue *q, struct span **s, uint32_t *slot)
{
    while (queue_head(c, q, s, slot)) {
        const struct batch *b = (*s)->batch;

        if (!expired(c, q, b, *slot))
            return true;
        queue_drop(c, *s, *slot, b->content->slot[*slot].bytes, false, DEATH_EXPIRED);
    }
    return false;
}

/* What may outlive a crash is not handed out before it is on disk that it may
 * have been: else it would come again as if for the first time. */
static bool awaits_mark(const struct core *c, const struct queue *q, const struct batch *b)
{
    return q->consumed_commit > c->committed_number && b->state != BATCH_OPEN && !b->transient;
}

static bool awaits_own_commit(const struct batch *b)
{
    return b->held && b->state != BATCH_STORED;
}

/* Then the queue is served again after the next commit. */
static bool awaits_commit(struct core *c, struct queue *q, const struct batch *b)
{
    if (!awaits_mark(c, q, b) && !awaits_own_commit(b))
        return false;
    list_remove(&q->dirty);
    list_push_back(&c->marking, &q->dirty);
    return true;
}

static void answer_gets(struct core *c, struct queue *q)
{
    struct list *node;
    struct span *s;
    uint32_t slot;

    while ((node = list_first(&q->gets))) {
        struct get *g = container_of(node, struct get, in_queue);

        if (next_message(c, q, &s, &slot)) {
            if (awaits_commit(c, q, s->batch))
                return;
            get_deliver(c, g, s, slot);
        } else if (q->waiting) {
            return;
        } else {
            core_effect(c, EFFECT_GET_EMPTY, g->client->id)->handle = g->handle;
            get_end(g);
        }
    }
}

static struct consumer *next_consumer(struct core *c, struct queue *q)
{
    struct list *node;

    while ((node = list_first(&q->able))) {
        struct consumer *k = container_of(node, struct consumer, in_able);

        if (consumer_able(k))
            return k;
        consumer_update(c, k);
    }
    return NULL;
}

/* False: there is more than one turn takes. */
static bool deliver(struct core *c, struct queue *q)
{
    struct consumer *k;
    struct span *s;
    uint32_t slot;

    for (int i = 0; (k = next_consumer(c, q)) && next_message(c, q, &s, &slot); i++) {
        if (i == DELIVERIES_A_TURN)
            return false;
        if (awaits_commit(c, q, s->batch))
            break;
        consumer_deliver(c, k, s, slot);
    }
    return true;
}

void queue_service(struct core *c, struct queue *q)
{
    q->waiting = false;
    if (q->delay)
        return;
    answer_gets(c, q);
    if (deliver(c, q))
        keep_limits(c, q);
    else
        queue_touch(c, q);
}
