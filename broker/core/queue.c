// SPDX-License-Identifier: MIT
#include "broker/core/queue.h"

#include "base/check.h"
#include "base/mem.h"
#include "broker/core/state.h"

struct queue *queue_find(const struct vhost *v, struct bytes name)
{
    return map_get(&v->queues, name);
}

void queue_touch(struct core *c, struct queue *q)
{
    if (list_empty(&q->dirty) && !q->deleted)
        list_push_back(&c->dirty, &q->dirty);
}

struct lane *queue_lane(struct queue *q, uint8_t priority)
{
    uint8_t top = q->args->max_priority;

    return &q->lane[priority < top ? priority : top];
}

static uint32_t span_ready(const struct span *s)
{
    return s->live - s->taken;
}

/* The span of the open batch that may take one more slot of this lane: only the
 * last of the lane, or order would be lost between durable and transient. */
static struct span *lane_tail(struct queue *q, struct batch *b, uint8_t priority)
{
    struct lane *l = queue_lane(q, priority);
    struct span *s = l->open[b->transient];

    if (s && s->batch == b && l->spans.prev == &s->in_lane)
        return s;
    s = retain_add_span(b, q, priority);
    s->first_seq = q->next_seq;
    list_push_back(&l->spans, &s->in_lane);
    l->open[b->transient] = s;
    return s;
}

static void lane_has_ready(struct queue *q, struct span *s)
{
    struct lane *l = queue_lane(q, s->priority);

    if (!l->head || s->first_seq < l->head->first_seq)
        l->head = s;
}

void queue_push(struct core *c, struct queue *q, struct batch *b, uint32_t record,
                const struct publish *p, uint64_t at_ms, uint8_t priority)
{
    struct span *s = lane_tail(q, b,
                               priority < q->args->max_priority ? priority : q->args->max_priority);
    uint32_t bytes = (uint32_t)p->m.body_size;
    uint32_t slot = batch_add_slot(b->content, s->group, q->next_seq, at_ms, record, bytes);

    if (s->count++ == 0)
        s->first_slot = slot;
    s->last_seq = q->next_seq++;
    s->live++;
    s->live_bytes += bytes;
    if (s->cursor == SLOT_NONE)
        s->cursor = slot;
    b->slot_count++;
    b->live++;
    q->ready++;
    q->ready_bytes += bytes;
    if (at_ms) {
        due_note(c, s, at_ms);
        if (c->timed_push_ms == 0)
            c->timed_push_ms = c->now_ms;
    }
    lane_has_ready(q, s);
    queue_touch(c, q);
}

bool queue_refuses(const struct queue *q, uint64_t body_size)
{
    if (q->args->overflow == OVERFLOW_DROP_HEAD)
        return false;
    return (q->args->has_max_length && q->ready >= q->args->max_length) ||
           (q->args->has_max_bytes && q->ready_bytes + body_size > q->args->max_bytes);
}

/* The first span of the lane that has a ready slot. */
static struct span *lane_first(struct lane *l)
{
    while (l->head && span_ready(l->head) == 0)
        l->head = l->head->in_lane.next == &l->spans
                      ? NULL
                      : container_of(l->head->in_lane.next, struct span, in_lane);
    return l->head;
}

/* Batches that the lane will need next are read before it stands still for
 * them, within a share of the budget. */
static void read_ahead(struct core *c, struct lane *l, struct span *s)
{
    uint64_t ahead = 0;

    while (ahead < c->opt.read_ahead_bytes && s->in_lane.next != &l->spans) {
        s = container_of(s->in_lane.next, struct span, in_lane);
        if (span_ready(s) == 0)
            continue;
        ahead += s->live_bytes + (uint64_t)s->live * 64;
        if (!s->batch->content)
            retain_want(c, s->batch);
    }
}

static uint32_t first_ready_slot(struct span *s)
{
    const struct batch *b = s->batch;
    uint32_t slot = s->cursor;

    while (slot != SLOT_NONE && (retain_is_settled(b, slot) || retain_is_taken(b, slot)))
        slot = b->content->slot[slot].next;
    CHECK(slot != SLOT_NONE);
    s->cursor = slot;
    return slot;
}

/* The lane goes on when the content of `s` is here. */
static void await_content(struct core *c, struct queue *q, struct lane *l, struct span *s)
{
    retain_want(c, s->batch);
    read_ahead(c, l, s);
    q->waiting = true;
}

bool queue_head(struct core *c, struct queue *q, struct span **span, uint32_t *slot)
{
    for (unsigned i = q->args->max_priority + 1u; i-- > 0;) {
        struct span *s = lane_first(&q->lane[i]);

        if (!s)
            continue;
        if (!s->batch->content) {
            await_content(c, q, &q->lane[i], s);
            return false;
        }
        *span = s;
        *slot = first_ready_slot(s);
        return true;
    }
    return false;
}

/* SLOT_NONE: all of them were received. */
static uint32_t first_unreceived_slot(struct span *s)
{
    const struct batch *b = s->batch;
    uint32_t slot = first_ready_slot(s);

    while (slot != SLOT_NONE &&
           (retain_is_settled(b, slot) || retain_is_taken(b, slot) || retain_is_received(b, slot)))
        slot = b->content->slot[slot].next;
    return slot;
}

static struct span *next_ready_span(const struct lane *l, const struct span *s)
{
    while (s->in_lane.next != &l->spans) {
        struct span *next = container_of(s->in_lane.next, struct span, in_lane);

        if (span_ready(next) > 0)
            return next;
        s = next;
    }
    return NULL;
}

/* False: the lane has none.  With *slot SLOT_NONE: nobody knows yet. */
static bool lane_unreceived(struct core *c, struct queue *q, struct lane *l, struct span **span,
                            uint32_t *slot)
{
    for (struct span *s = lane_first(l); s; s = next_ready_span(l, s)) {
        *span = s;
        *slot = SLOT_NONE;
        if (!s->batch->content) {
            await_content(c, q, l, s);
            return true;
        }
        *slot = first_unreceived_slot(s);
        if (*slot != SLOT_NONE)
            return true;
    }
    return false;
}

bool queue_head_unreceived(struct core *c, struct queue *q, struct span **span, uint32_t *slot)
{
    for (unsigned i = q->args->max_priority + 1u; i-- > 0;)
        if (lane_unreceived(c, q, &q->lane[i], span, slot))
            return *slot != SLOT_NONE;
    return false;
}

void queue_take(struct core *c, struct span *s, uint32_t slot, uint32_t bytes)
{
    struct queue *q = s->queue;
    struct lane *l = queue_lane(q, s->priority);

    retain_set_taken(s->batch, slot, true);
    s->taken++;
    q->ready--;
    q->ready_bytes -= bytes;
    q->unacked++;
    s->cursor = s->batch->content->slot[slot].next;
    if (span_ready(s) == 0 && s->in_lane.next != &l->spans) {
        retain_touch(c, s->batch);
        read_ahead(c, l, s);
    }
}

/* The time of a slot may have been passed over while it was away. */
static void note_time(struct core *c, struct span *s, uint32_t slot)
{
    const struct batch_content *content = s->batch->content;
    uint64_t at_ms = content ? content->slot[slot].at_ms : c->now_ms;

    if (s->due && at_ms)
        due_note(c, s, at_ms);
}

void queue_put_back(struct core *c, struct span *s, uint32_t slot, uint32_t bytes)
{
    struct queue *q = s->queue;

    if (!q) {
        queue_settle(c, s, slot, bytes, true);
        return;
    }
    retain_set_taken(s->batch, slot, false);
    s->taken--;
    if (slot < s->cursor) /* SLOT_NONE is above all */
        s->cursor = slot;
    q->unacked--;
    q->ready++;
    q->ready_bytes += bytes;
    note_time(c, s, slot);
    lane_has_ready(q, s);
    queue_touch(c, q);
}

void queue_settle(struct core *c, struct span *s, uint32_t slot, uint32_t bytes, bool taken)
{
    struct batch *b = s->batch;
    struct queue *q = s->queue;

    if (taken) {
        retain_set_taken(b, slot, false);
        s->taken--;
    }
    if (!q) { /* the queue went: its share of `live` went with it */
        retain_look(c, b);
        return;
    }
    if (taken) {
        q->unacked--;
    } else {
        q->ready--;
        q->ready_bytes -= bytes;
    }
    retain_set_settled(c, b, slot);
    s->live--;
    s->live_bytes -= bytes;
    if (s->live == 0)
        span_unlink(c, s);
    retain_look(c, b);
}

void span_unlink(struct core *c, struct span *s)
{
    struct queue *q = s->queue;

    due_forget(c, s);
    s->purge = false;
    if (!q)
        return;
    struct lane *l = queue_lane(q, s->priority);
    for (int i = 0; i < 2; i++)
        if (l->open[i] == s)
            l->open[i] = NULL;
    if (l->head == s)
        l->head = s->in_lane.next == &l->spans
                      ? NULL
                      : container_of(s->in_lane.next, struct span, in_lane);
    list_remove(&s->in_lane);
    s->queue = NULL;
}

void span_purge(struct core *c, struct span *s)
{
    struct batch *b = s->batch;
    const struct slot *slots = b->content->slot;

    s->purge = false;
    for (uint32_t i = s->first_slot; i != SLOT_NONE && s->queue;) {
        uint32_t next = slots[i].next;

        if (!retain_is_settled(b, i) && !retain_is_taken(b, i))
            queue_settle(c, s, i, slots[i].bytes, false);
        i = next;
    }
}

void span_loaded(struct core *c, struct span *s)
{
    struct queue *q = s->queue;

    if (s->due && !heap_has(&s->due->node))
        heap_push(&c->due, &s->due->node, c->now_ms);
    if (q->waiting)
        queue_touch(c, q);
}

static uint64_t purge_lane(struct core *c, struct client *cl, struct lane *l)
{
    uint64_t count = 0;

    LIST_EACH (&l->spans, node) {
        struct span *s = container_of(node, struct span, in_lane);

        count += span_ready(s);
        if (s->batch->content) {
            span_purge(c, s);
        } else if (span_ready(s) > 0) {
            s->purge = true;
            retain_defer(c, s->batch, &(struct deferred){ .kind = DEFER_PURGE, .span = s });
            client_defer(cl, s->batch);
        }
    }
    return count;
}

uint64_t queue_purge(struct core *c, struct client *cl, struct queue *q)
{
    uint64_t count = 0;

    for (unsigned i = 0; i <= q->args->max_priority; i++)
        count += purge_lane(c, cl, &q->lane[i]);
    return count;
}

/* A span of a queue that goes: what is ready in it is dead at once; what is
 * unacked is let go when its consumer says so.  No bits are written, for after a
 * restart a group of an unknown queue is dead as a whole. */
static void abandon_span(struct core *c, struct span *s)
{
    struct batch *b = s->batch;

    b->live -= s->live;
    s->live = 0;
    s->live_bytes = 0;
    span_unlink(c, s);
    retain_look(c, b);
}

void queue_delete(struct core *c, struct queue *q)
{
    q->deleted = true;
    list_remove(&q->dirty);
    heap_remove(&c->timers, &q->timer);
    LIST_EACH (&q->consumers, node)
        consumer_end(c, container_of(node, struct consumer, in_queue), true);
    LIST_EACH (&q->gets, node) {
        struct get *g = container_of(node, struct get, in_queue);

        core_effect(c, EFFECT_GET_EMPTY, g->client->id)->handle = g->handle;
        get_end(g);
    }
    exchange_unbind_queue(c, q);
    for (unsigned i = 0; i <= q->args->max_priority; i++)
        LIST_EACH (&q->lane[i].spans, node)
            abandon_span(c, container_of(node, struct span, in_lane));
    if (queue_stored(q))
        core_op(c, OP_QUEUE_DELETE)->id = q->id;
    note_forget(c, q);
    queue_free(c, &q);
}

void queue_free(struct core *c, struct queue **qp)
{
    struct queue *q = *qp;

    if (!q)
        return;
    list_remove(&q->dirty);
    list_remove(&q->in_owner);
    heap_remove(&c->timers, &q->timer);
    map_remove(&q->vhost->queues, bytes_str(q->name));
    map_remove(&c->queue_by_id, map_key_u64(&q->id));
    c->queue_count--;
    queue_args_unshare(&c->queue_args, q->args);
    mem_free(q->note);
    mem_free(q);
    *qp = NULL;
}
