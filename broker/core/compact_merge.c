// SPDX-License-Identifier: MIT
#include "broker/core/compact_merge.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/core/state.h"

/* What is being written. */
struct merge {
    struct core *c;
    struct batch *to;          /* NULL: none open */
    struct record_routes routes;
    struct span *last;         /* the span being filled, NULL: begin one */
};

static int by_place(const void *a, const void *b)
{
    const struct span *x = *(struct span *const *)a, *y = *(struct span *const *)b;

    if (x->queue->id != y->queue->id)
        return x->queue->id < y->queue->id ? -1 : 1;
    if (x->priority != y->priority)
        return x->priority < y->priority ? -1 : 1;
    return (x->first_seq > y->first_seq) - (x->first_seq < y->first_seq);
}

static struct span **collect(struct batch **source, size_t count, size_t *n_out)
{
    struct span **all;
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += source[i] ? source[i]->span_count : 0;
    all = mem_array(n, sizeof *all);
    n = 0;
    for (size_t i = 0; i < count; i++)
        for (uint32_t k = 0; source[i] && k < source[i]->span_count; k++)
            if (source[i]->span[k]->queue)
                all[n++] = source[i]->span[k];
    qsort(all, n, sizeof *all, by_place);
    *n_out = n;
    return all;
}

static void close_batch(struct merge *m)
{
    if (m->to)
        retain_count_memory(m->c, m->to);
    m->to = NULL;
}

static void open_batch(struct merge *m)
{
    struct core *c = m->c;

    close_batch(m);
    struct batch *b = retain_new_batch(c, c->retain.next_id++);

    b->content = batch_content_new(c->now_ms, false);
    b->state = BATCH_CLOSED;
    b->rewritten = true;
    list_push_back(&c->retain.closed, &b->in_lru);
    m->routes = (struct record_routes){ 0 };
    m->to = b;
    m->last = NULL;
}

static void open_span(struct merge *m, struct span *from)
{
    struct span *s = mem_new(struct span);

    s->queue = from->queue;
    s->priority = from->priority;
    s->cursor = SLOT_NONE;
    /* In front of what it takes over, so the lane stays in order of seq. */
    list_insert_after(from->in_lane.prev, &s->in_lane);
    retain_add_span(m->to, s, s->queue->id);
    m->last = s;
}

static bool full(const struct batch *b, size_t more)
{
    return b->content->bodies.n > 0 &&
           (b->content->bodies.n + more > BATCH_BODIES_MAX_BYTES ||
            b->content->slot_count >= BATCH_SLOTS_MAX);
}

static void move_slot(struct merge *m, struct span *from, uint32_t i)
{
    struct core *c = m->c;
    const struct batch_content *old = from->batch->content;
    const struct slot *at = &old->slot[i];
    uint32_t returns = retain_returns(from->batch, i);
    struct message message;

    CHECK(record_get(buf_view(&old->bodies), at->record, &message, NULL));
    if (!m->to || full(m->to, message.body.n + message.props.n))
        open_batch(m);
    if (!m->last)
        open_span(m, from);

    struct batch *b = m->to;
    struct span *s = m->last;
    uint32_t record = record_put(&b->content->bodies, &m->routes, &message);
    uint32_t slot = batch_add_slot(b->content, s->group, at->seq, at->at_ms, record, at->bytes);

    if (s->count++ == 0) {
        s->first_seq = at->seq;
        s->first_slot = s->cursor = slot;
    }
    s->last_seq = at->seq;
    s->last_slot = slot;
    s->live++;
    s->live_bytes += at->bytes;
    b->slot_count++;
    b->live++;
    if (at->at_ms)
        due_note(c, s, at->at_ms);
    if (returns == 0)
        return;
    retain_set_returns(b, slot, returns);
    struct op *op = core_op(c, OP_DELIVERIES_PUT);
    op->batch_id = b->id;
    op->slot = slot;
    op->count = returns;
}

static void move_span(struct merge *m, struct span *from)
{
    struct core *c = m->c;
    struct batch *old = from->batch;
    const struct batch_content *content = old->content;
    struct lane *l = queue_lane(from->queue, from->priority);
    struct list *before = from->in_lane.prev;

    for (uint32_t i = from->first_slot; i != SLOT_NONE; i = content->slot[i].next)
        if (!retain_is_settled(old, i))
            move_slot(m, from, i);
    /* Split over several batches, the first of them leads. */
    if (l->head == from)
        l->head = before->next == &from->in_lane
                      ? m->last
                      : container_of(before->next, struct span, in_lane);
    old->live -= from->live;
    from->live = 0;
    from->live_bytes = 0;
    span_unlink(c, from);
    retain_look(c, old);
}

/* Does `s` come right after the span being filled, in the same lane? */
static bool follows(const struct merge *m, const struct span *s)
{
    return m->last && m->last->queue == s->queue && m->last->priority == s->priority &&
           m->last->in_lane.next == &s->in_lane;
}

void compact_merge(struct core *c, struct batch **source, size_t count)
{
    struct merge m = { .c = c };
    size_t n;
    struct span **all = collect(source, count, &n);

    for (size_t i = 0; i < n; i++) {
        if (!follows(&m, all[i]))
            m.last = NULL;
        move_span(&m, all[i]);
    }
    close_batch(&m);
    mem_free(all);
    c->stats.compacted += n;
}
