// SPDX-License-Identifier: MIT
#include "broker/core/compact_merge.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/core/state.h"

/* Of what shares its records more slots cost no more time, and each batch has a copy of
 * those records: so there are more slots in it, and large records are left alone. */
enum {
    STEP_SLOTS = 4096,
    SHARED_STEP_SLOTS = 16 * 1024,
    SHARED_BODIES_BYTES = 16 * 1024,
    SHARES_MIN = 64
};

/* The batch being written. */
struct output {
    struct core *c;
    struct merge *merge;
    struct batch *to; /* NULL: none open */
    struct record_routes routes;
    struct span *last; /* the span being filled, NULL: begin one */
};

static struct span *span_of(struct batch **source, const struct merge_entry *e)
{
    struct batch *b = source[e->source];

    return b ? batch_span(b, e->group) : NULL;
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

static int by_id(const void *a, const void *b)
{
    const struct queue *x = *(struct queue *const *)a, *y = *(struct queue *const *)b;

    return (x->id > y->id) - (x->id < y->id);
}

/* The spans of each queue together, the queues in the order they are met; or of their ids. */
static void flatten(struct merge *m, struct batch **source, bool sorted)
{
    struct queue **queue = mem_array(m->count, sizeof(struct queue *));
    size_t n = 0;

    for (size_t i = 0; i < m->count; i++)
        queue[i] = span_of(source, &m->entry[i])->queue;
    if (sorted)
        qsort(queue, m->count, sizeof(struct queue *), by_id);
    for (size_t i = 0; i < m->count; i++) {
        for (uint32_t at = queue[i]->merge_first; at != SLOT_NONE; at = m->entry[at].next)
            m->order[n++] = at;
        queue[i]->merge_first = queue[i]->merge_last = SLOT_NONE;
    }
    CHECK(n == m->count);
    mem_free(queue);
}

/* As many ids as hold the slots of a batch, if slots are spread almost evenly. */
static uint64_t block_width(struct batch **source, size_t count)
{
    uint64_t low = UINT64_MAX, high = 0, slots = 0, width = 1;

    for (size_t i = 0; i < count; i++) {
        if (!source[i])
            continue;
        slots += source[i]->live;
        if (source[i]->low_queue < low)
            low = source[i]->low_queue;
        if (source[i]->high_queue > high)
            high = source[i]->high_queue;
    }
    while (low < high && width * 2 * slots / (high - low + 1) <= SHARED_STEP_SLOTS * 3 / 4)
        width *= 2;
    return width;
}

/* Records follow in the order of slots where each slot has its own. */
static bool shares_records(const struct batch_content *content)
{
    uint32_t before = SLOT_NONE;

    for (size_t i = 0; i < content->slot_count; i++) {
        uint32_t record = content->slot[i].record;

        if (record == SLOT_NONE)
            continue;
        if (before != SLOT_NONE && record <= before)
            return true;
        before = record;
    }
    return false;
}

static void look_at_sources(struct merge *m, struct batch **source, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct batch *b = source[i];

        if (!b)
            continue;
        if (b->shared && !m->share) {
            m->share_size = SHARES_MIN;
            m->share = mem_array(m->share_size, sizeof *m->share);
        }
    }
}

bool compact_merge_look(struct batch *b)
{
    b->shared = shares_records(b->content);
    return !b->shared || b->content->bodies.n <= SHARED_BODIES_BYTES;
}

void compact_merge_begin(struct merge *m, struct batch **source, size_t count, bool wide)
{
    size_t spans = 0;

    look_at_sources(m, source, count);
    for (size_t i = 0; i < count; i++)
        spans += source[i] ? source[i]->span_count : 0;
    m->entry = mem_array(spans, sizeof *m->entry);
    m->order = mem_array(spans, sizeof *m->order);
    m->count = m->at = 0;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; source[i] && k < source[i]->span_count; k++) {
            if (!batch_span(source[i], k)->queue)
                continue;
            m->entry[m->count] = (struct merge_entry){ .source = i, .group = k };
            chain(m, source, (uint32_t)m->count++);
        }
    flatten(m, source, wide);
    if (wide)
        m->width = block_width(source, count);
}

void compact_merge_end(struct merge *m)
{
    mem_free(m->entry);
    mem_free(m->order);
    mem_free(m->share);
    *m = (struct merge){ 0 };
}

static void open_batch(struct output *o)
{
    struct core *c = o->c;
    struct batch *b = retain_new_batch(c, c->retain.next_id++);

    b->content = batch_content_new(c->now_ms, false);
    b->state = BATCH_CLOSED;
    list_push_back(&c->retain.closed, &b->in_lru);
    o->to = b;
}

static void open_span(struct output *m, struct span *from)
{
    struct span *s = retain_add_span(m->to, from->queue, from->priority);

    /* In front of what it takes over, so the lane stays in order of seq. */
    list_insert_after(from->in_lane.prev, &s->in_lane);
    m->last = s;
}

static struct merge_share *share_probe(const struct merge *m, uint32_t source, uint32_t record)
{
    uint64_t hash = ((uint64_t)source << 32 | record) * UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = hash >> 32;; i++) {
        struct merge_share *at = &m->share[i & (m->share_size - 1)];

        if (at->source_plus_1 == 0 || (at->source_plus_1 == source + 1 && at->record == record))
            return at;
    }
}

static void share_grow(struct merge *m)
{
    struct merge_share *old = m->share;
    size_t size = m->share_size;

    m->share_size = size * 2;
    m->share = mem_array(m->share_size, sizeof *m->share);
    for (size_t i = 0; i < size; i++)
        if (old[i].source_plus_1)
            *share_probe(m, old[i].source_plus_1 - 1, old[i].record) = old[i];
    mem_free(old);
}

static uint32_t copy_record(struct output *m, const struct batch_content *old, uint32_t record)
{
    struct message message;

    CHECK(record_get(buf_view(&old->bodies), record, &message, NULL));
    return record_put(&m->to->content->bodies, &m->routes, &message);
}

static uint32_t move_record(struct output *o, const struct batch *old, uint32_t source,
                            uint32_t record)
{
    struct merge *m = o->merge;
    struct merge_share *at;

    if (!old->shared)
        return copy_record(o, old->content, record);
    at = share_probe(m, source, record);
    if (at->source_plus_1)
        return at->moved;
    *at = (struct merge_share){ source + 1, record, copy_record(o, old->content, record) };

    uint32_t moved = at->moved;
    if (++m->share_count * 2 > m->share_size)
        share_grow(m);
    return moved;
}

static void move_slot(struct output *m, struct span *from, uint32_t source, uint32_t i)
{
    struct core *c = m->c;
    const struct slot *at = &from->batch->content->slot[i];

    if (!m->to)
        open_batch(m);
    if (!m->last)
        open_span(m, from);

    struct batch *b = m->to;
    struct span *s = m->last;
    uint32_t record = move_record(m, from->batch, source, at->record);
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

static void move_span(struct output *m, struct span *from, uint32_t source)
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
        move_slot(m, from, source, i);
        retain_set_settled(c, old, i);
    }
    if (m->to->passes <= old->passes)
        m->to->passes = old->passes < UINT8_MAX ? old->passes + 1 : UINT8_MAX;
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

static bool other_block(const struct output *o, const struct span *s)
{
    uint64_t width = o->merge->width;

    return width > 0 && o->to && s->queue->id / width != o->to->first_span.queue->id / width;
}

/* Room for the whole span: a span is not torn. */
static bool has_room(const struct output *o, const struct span *s)
{
    const struct batch_content *to = o->to ? o->to->content : NULL;
    bool shared = s->batch->shared;
    uint64_t bytes = s->live_bytes + (uint64_t)s->live * 64;

    if (!to)
        return true;
    if (shared && bytes > s->batch->content->bodies.n)
        bytes = s->batch->content->bodies.n;
    return to->slot_count + s->live <= (shared ? SHARED_STEP_SLOTS : STEP_SLOTS) &&
           to->bodies.n + bytes <= BATCH_BODIES_MAX_BYTES;
}

static bool movable(const struct span *s)
{
    return s && s->queue && s->taken == 0 && s->live > 0 && s->batch->content &&
           s->batch->state == BATCH_STORED && s->batch->deferred_count == 0;
}

bool compact_merge_step(struct core *c, struct merge *m, struct batch **source)
{
    struct output o = { .c = c, .merge = m };

    m->share_count = 0;
    if (m->share)
        memset(m->share, 0, m->share_size * sizeof *m->share);
    for (; m->at < m->count; m->at++) {
        const struct merge_entry *e = &m->entry[m->order[m->at]];
        struct span *s = span_of(source, e);

        if (!movable(s)) {
            o.last = NULL;
            continue;
        }
        if (other_block(&o, s) || !has_room(&o, s))
            break;
        if (!follows(&o, s))
            o.last = NULL;
        move_span(&o, s, e->source);
        c->stats.compacted++;
    }
    if (o.to)
        retain_count_memory(c, o.to);
    return m->at < m->count;
}
