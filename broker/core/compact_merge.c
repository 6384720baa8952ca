// SPDX-License-Identifier: MIT
#include "broker/core/compact_merge.h"

#include "base/check.h"
#include "base/mem.h"
#include "broker/core/state.h"

enum { STEP_SLOTS = 4096 };

/* The batch being written. */
struct output {
    struct core *c;
    struct batch *to; /* NULL: none open */
    struct record_routes routes;
    struct span *last; /* the span being filled, NULL: begin one */
    bool full;
};

static struct span *span_of(struct batch **source, const struct merge_entry *e)
{
    struct batch *b = source[e->source];

    return b ? b->span[e->group] : NULL;
}

static bool in_order(const struct span *a, const struct span *b)
{
    if (a->priority != b->priority)
        return a->priority < b->priority;
    return a->first_seq <= b->first_seq;
}

/* Appends to the chain of the queue; sources mostly come in order of seq. */
static void chain(struct merge *m, struct batch **source, uint32_t i)
{
    struct span *s = span_of(source, &m->entry[i]);
    struct queue *q = s->queue;

    m->entry[i].next = SLOT_NONE;
    if (q->merge_first == SLOT_NONE) {
        q->merge_first = q->merge_last = i;
    } else if (in_order(span_of(source, &m->entry[q->merge_last]), s)) {
        m->entry[q->merge_last].next = i;
        q->merge_last = i;
    } else {
        uint32_t *at = &q->merge_first;

        while (in_order(span_of(source, &m->entry[*at]), s))
            at = &m->entry[*at].next;
        m->entry[i].next = *at;
        *at = i;
    }
}

static void flatten(struct merge *m, struct batch **source)
{
    size_t n = 0;

    for (size_t i = 0; i < m->count; i++) {
        struct queue *q = span_of(source, &m->entry[i])->queue;

        for (uint32_t at = q->merge_first; at != SLOT_NONE; at = m->entry[at].next)
            m->order[n++] = at;
        q->merge_first = q->merge_last = SLOT_NONE;
    }
    CHECK(n == m->count);
}

void compact_merge_begin(struct core *c, struct merge *m, struct batch **source, size_t count)
{
    size_t spans = 0;

    (void)c;
    for (size_t i = 0; i < count; i++)
        spans += source[i] ? source[i]->span_count : 0;
    m->entry = mem_array(spans, sizeof *m->entry);
    m->order = mem_array(spans, sizeof *m->order);
    m->count = m->at = 0;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; source[i] && k < source[i]->span_count; k++) {
            if (!source[i]->span[k]->queue)
                continue;
            m->entry[m->count] = (struct merge_entry){ .source = i, .group = k };
            chain(m, source, (uint32_t)m->count++);
        }
    flatten(m, source);
}

void compact_merge_end(struct merge *m)
{
    mem_free(m->entry);
    mem_free(m->order);
    *m = (struct merge){ 0 };
}

static void open_batch(struct output *o)
{
    struct core *c = o->c;
    struct batch *b = retain_new_batch(c, c->retain.next_id++);

    b->content = batch_content_new(c->now_ms, false);
    b->state = BATCH_CLOSED;
    b->rewritten = true;
    list_push_back(&c->retain.closed, &b->in_lru);
    o->to = b;
}

static void open_span(struct output *m, struct span *from)
{
    struct span *s = span_new(m->c);

    s->queue = from->queue;
    s->priority = from->priority;
    s->cursor = SLOT_NONE;
    /* In front of what it takes over, so the lane stays in order of seq. */
    list_insert_after(from->in_lane.prev, &s->in_lane);
    retain_add_span(m->to, s, s->queue->id);
    m->last = s;
}

static void move_slot(struct output *m, struct span *from, uint32_t i)
{
    struct core *c = m->c;
    const struct batch_content *old = from->batch->content;
    const struct slot *at = &old->slot[i];
    struct message message;

    CHECK(record_get(buf_view(&old->bodies), at->record, &message, NULL));
    if (!m->to)
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
    s->live++;
    s->live_bytes += at->bytes;
    b->slot_count++;
    b->live++;
    if (at->at_ms)
        due_note(c, s, at->at_ms);
    retain_move_returns(c, from->batch, i, b, slot);
}

static void move_span(struct output *m, struct span *from)
{
    struct core *c = m->c;
    struct batch *old = from->batch;
    const struct batch_content *content = old->content;
    struct lane *l = queue_lane(from->queue, from->priority);
    struct list *before = from->in_lane.prev;

    /* The rest of the batch may stay for a while: its bits tell what has left. */
    for (uint32_t i = from->first_slot; i != SLOT_NONE; i = content->slot[i].next) {
        if (retain_is_settled(old, i))
            continue;
        move_slot(m, from, i);
        retain_set_settled(c, old, i);
    }
    /* Split over several batches, the first of them leads. */
    if (l->head == from)
        l->head = before->next == &from->in_lane ? m->last
                                                 : container_of(before->next, struct span, in_lane);
    from->live = 0;
    from->live_bytes = 0;
    span_unlink(c, from);
    retain_look(c, old);
}

/* Does `s` come right after the span being filled, in the same lane? */
static bool follows(const struct output *m, const struct span *s)
{
    return m->last && m->last->queue == s->queue && m->last->priority == s->priority &&
           m->last->in_lane.next == &s->in_lane;
}

/* Room for the whole span: a span is not torn. */
static bool has_room(const struct output *o, const struct span *s)
{
    const struct batch_content *to = o->to ? o->to->content : NULL;

    return !to || (to->slot_count + s->live <= STEP_SLOTS &&
                   to->bodies.n + s->live_bytes + (size_t)s->live * 64 <= BATCH_BODIES_MAX_BYTES);
}

static bool movable(const struct span *s)
{
    return s && s->queue && s->taken == 0 && s->live > 0 && s->batch->content &&
           s->batch->state == BATCH_STORED && s->batch->deferred_count == 0;
}

bool compact_merge_step(struct core *c, struct merge *m, struct batch **source)
{
    struct output o = { .c = c };

    for (; m->at < m->count; m->at++) {
        struct span *s = span_of(source, &m->entry[m->order[m->at]]);

        if (!movable(s)) {
            o.last = NULL;
            continue;
        }
        if (!has_room(&o, s))
            break;
        if (!follows(&o, s))
            o.last = NULL;
        move_span(&o, s);
        c->stats.compacted++;
    }
    if (o.to)
        retain_count_memory(c, o.to);
    return m->at < m->count;
}
