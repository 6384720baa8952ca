// SPDX-License-Identifier: MIT
/* Messages with a time: expiring ones anywhere in a queue, delayed ones until due. */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/core/state.h"

void due_note(struct core *c, struct span *s, uint64_t at_ms)
{
    if (!s->due) {
        s->due = mem_new(struct due);
        s->due->span = s;
    }
    if (!heap_has(&s->due->node) || at_ms < s->due->node.key)
        heap_set(&c->due, &s->due->node, at_ms);
}

void due_forget(struct core *c, struct span *s)
{
    if (!s->due)
        return;
    heap_remove(&c->due, &s->due->node);
    mem_free(s->due);
    s->due = NULL;
}

struct due_slot {
    uint64_t at_ms;
    uint32_t slot, bytes;
};

struct due_slots {
    struct due_slot *at;
    size_t n, cap;
};

/* What is due in the span; returns the earliest time that is not, or 0. */
static uint64_t find_due(const struct core *c, const struct span *s, struct due_slots *out)
{
    const struct batch *b = s->batch;
    uint64_t next_ms = 0;

    for (uint32_t i = s->first_slot; i != SLOT_NONE; i = b->content->slot[i].next) {
        const struct slot *slot = &b->content->slot[i];

        if (slot->at_ms == 0 || retain_is_settled(b, i) || retain_is_taken(b, i) ||
            retain_is_received(b, i))
            continue;
        if (slot->at_ms > c->now_ms) {
            next_ms = next_ms && next_ms < slot->at_ms ? next_ms : slot->at_ms;
            continue;
        }
        out->at = mem_grow(out->at, &out->cap, out->n + 1, sizeof *out->at);
        out->at[out->n++] = (struct due_slot){ slot->at_ms, i, slot->bytes };
    }
    return next_ms;
}

static int by_time(const void *a, const void *b)
{
    const struct due_slot *x = a, *y = b;

    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return (x->slot > y->slot) - (x->slot < y->slot);
}

static void release(struct core *c, struct span *s, struct due_slots *due)
{
    qsort(due->at, due->n, sizeof *due->at, by_time);
    for (size_t i = 0; i < due->n; i++)
        publish_due(c, s, due->at[i].slot);
}

static void expire(struct core *c, struct span *s, const struct due_slots *due)
{
    for (size_t i = 0; i < due->n; i++)
        queue_drop(c, s, due->at[i].slot, due->at[i].bytes, false, DEATH_EXPIRED);
}

static void run_span(struct core *c, struct span *s)
{
    struct due_slots due = { 0 };
    uint64_t next_ms = find_due(c, s, &due);

    if (due.n > 0 && s->queue->delay)
        release(c, s, &due);
    else
        expire(c, s, &due);
    mem_free(due.at);
    if (s->queue && next_ms)
        due_note(c, s, next_ms);
}

void due_run(struct core *c)
{
    struct heap_node *node;

    while ((node = heap_min(&c->due)) && node->key <= c->now_ms) {
        struct span *s = container_of(node, struct due, node)->span;

        heap_remove(&c->due, node);
        if (!s->batch->content) {
            retain_want(c, s->batch); /* span_loaded puts it back on the heap */
            continue;
        }
        run_span(c, s);
    }
}
