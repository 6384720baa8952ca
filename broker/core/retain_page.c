// SPDX-License-Identifier: MIT
/* Paging: content leaves memory when the budget asks for it, and comes back
 * when a queue's head reaches it. */
#include <inttypes.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/core/state.h"

enum {
    REST_MS = 10000,
    REST_STEP_MS = 1000, /* so often at most content is looked through */
    GIVE_BACK_BYTES = 8 * 1024 * 1024
};

void retain_used(struct core *c, struct batch *b)
{
    b->used_ms = c->now_ms;
    list_push_back(&c->retain.lru, &b->in_lru);
}

void retain_touch(struct core *c, struct batch *b)
{
    if (b->state != BATCH_STORED || !b->content || b->pinned)
        return;
    list_remove(&b->in_lru);
    retain_used(c, b);
}

void retain_want(struct core *c, struct batch *b)
{
    struct retain *r = &c->retain;

    if (b->content || b->loading || b->damaged)
        return;
    CHECK(b->state == BATCH_STORED);
    b->loading = true;
    if (r->want_count == r->want_cap) {
        size_t cap = r->want_cap ? r->want_cap * 2 : 64;
        uint64_t *ring = mem_array(cap, sizeof *ring);

        for (size_t i = 0; i < r->want_count; i++)
            ring[i] = r->want[(r->want_head + i) % r->want_cap];
        mem_free(r->want);
        r->want = ring;
        r->want_head = 0;
        r->want_cap = cap;
    }
    r->want[(r->want_head + r->want_count++) % r->want_cap] = b->id;
}

bool core_next_load(struct core *c, uint64_t *batch_id, uint64_t *blob_id, uint32_t *part)
{
    struct retain *r = &c->retain;

    if (r->want_count == 0) {
        *batch_id = 0;
        return blob_next_load(c, blob_id, part);
    }
    *batch_id = r->want[r->want_head];
    *blob_id = 0;
    *part = 0;
    r->want_head = (r->want_head + 1) % r->want_cap;
    r->want_count--;
    return true;
}

/* A transient batch has no row to come back from: it is given one. */
static void spill(struct core *c)
{
    struct list *node = list_pop(&c->retain.transient);

    CHECK(node);
    c->retain.unsealed_bytes += container_of(node, struct batch, in_lru)->content->bodies.n;
    list_push_back(&c->retain.closed, node);
}

static bool over_budget(const struct core *c, uint64_t grace_bytes)
{
    return c->retain.memory + compact_span_bytes(c) > c->opt.memory_bytes + grace_bytes;
}

void retain_evict(struct core *c)
{
    struct retain *r = &c->retain;
    uint64_t spillable = r->sealed_bytes;

    while (over_budget(c, 0)) {
        struct list *node = list_pop(&r->lru);

        if (!node)
            break;
        retain_drop_content(c, container_of(node, struct batch, in_lru));
    }
    while (over_budget(c, spillable) && !list_empty(&r->transient)) {
        spillable += BATCH_BODIES_MAX_BYTES;
        spill(c);
    }
}

static uint64_t rested_ms(struct list *node)
{
    return container_of(node, struct batch, in_lru)->used_ms + REST_MS;
}

void retain_rest(struct core *c)
{
    struct retain *r = &c->retain;
    struct list *node;

    if (c->now_ms < r->rest_at_ms)
        return;
    r->rest_at_ms = c->now_ms + REST_STEP_MS;
    while ((node = list_first(&r->lru)) && rested_ms(node) <= c->now_ms) {
        struct batch *b = container_of(node, struct batch, in_lru);

        list_remove(node);
        r->rested_bytes += b->memory;
        retain_drop_content(c, b);
    }
    if (r->rested_bytes < GIVE_BACK_BYTES || c->now_ms < r->give_back_ms)
        return;
    r->rested_bytes = 0;
    r->give_back_ms = c->now_ms + REST_MS;
    mem_give_back();
}

uint64_t retain_next_at_ms(const struct core *c)
{
    const struct retain *r = &c->retain;
    struct list *node = list_first(&r->lru);
    uint64_t at_ms = node ? rested_ms(node) : UINT64_MAX;

    if (r->rested_bytes >= GIVE_BACK_BYTES && r->give_back_ms < at_ms)
        at_ms = r->give_back_ms;
    return at_ms > r->rest_at_ms ? at_ms : r->rest_at_ms;
}

/* The row cannot be read: its messages are set aside, said aloud, never "empty
 * but fine".  The row stays on disk for whoever repairs it. */
void retain_set_aside(struct core *c, struct batch *b, enum err why)
{
    uint64_t lost = 0;

    b->damaged = true;
    compact_forget(c, b);
    list_remove(&b->in_dirty);
    for (uint32_t i = 0; i < b->span_count; i++) {
        struct span *s = batch_span(b, i);
        struct queue *q = s->queue;
        uint32_t ready = s->live - s->taken;

        if (!q)
            continue;
        lost += s->live;
        log_error("store.set_aside", "batch=%" PRIu64 " queue=%s messages=%u why=\"%s\"", b->id,
                  log_text(bytes_str(q->name)).s, s->live, err_text(why));
        q->ready -= ready;
        q->unacked -= s->taken;
        q->ready_bytes -= s->live_bytes < q->ready_bytes ? s->live_bytes : q->ready_bytes;
        s->live = 0;
        s->live_bytes = 0;
        span_unlink(c, s);
        queue_touch(c, q);
    }
    c->stats.set_aside += lost;
}

static void attach(struct core *c, struct batch *b, struct load *l)
{
    b->content = l->content;
    l->content = NULL;
    b->memory = batch_content_memory(b->content);
    c->retain.memory += b->memory;
    retain_used(c, b);
    compact_loaded(c, b);
    for (uint32_t i = 0; i < b->span_count; i++) {
        struct span *s = batch_span(b, i);

        /* Slots that were dead when it was written are in no chain. */
        s->first_slot = s->cursor = b->content->group[i].first_slot;
        if (s->queue)
            span_loaded(c, s);
    }
}

static void do_death(struct core *c, struct batch *b, const struct deferred *d)
{
    if (!b->content || retain_is_settled(b, d->slot))
        return; /* it could not be read, and was set aside, or its queue was purged */
    const struct slot *slot = &b->content->slot[d->slot];
    struct span *s = batch_span(b, slot->group);

    if (s->queue)
        CHECK(queue_drop(c, s, d->slot, slot->bytes, false, d->why));
}

static void do_deferred(struct core *c, struct batch *b, const struct deferred *d)
{
    switch (d->kind) {
    case DEFER_DEATH:
        do_death(c, b, d);
        break;
    case DEFER_DROP:
        CHECK(queue_drop(c, d->span, d->slot, d->bytes, d->taken, d->why));
        break;
    case DEFER_RETURN:
        queue_put_back(c, d->span, d->slot, d->bytes);
        break;
    case DEFER_PURGE:
        if (d->span->queue)
            span_purge(c, d->span);
        break;
    }
}

static void run_deferred(struct core *c, struct batch *b)
{
    struct deferred *list = b->deferred;
    size_t count = b->deferred_count;

    b->deferred = NULL;
    b->deferred_count = b->deferred_cap = 0;
    for (size_t i = 0; i < count; i++) {
        do_deferred(c, b, &list[i]);
        client_deferred_done(c, list[i].client);
    }
    mem_free(list);
    retain_look(c, b);
}

void retain_loaded(struct core *c, struct load *l)
{
    struct batch *b = map_get(&c->retain.by_id, map_key_u64(&l->batch_id));

    if (!b || !b->loading)
        return;                     /* it went while the reader was at it */
    if (b->state != BATCH_STORED) { /* its queues went */
        b->loading = false;
        run_deferred(c, b);
        return;
    }
    if (l->err == OK &&
        (l->content->group_count != b->span_count || l->content->slot_count != b->slot_count))
        l->err = ERR_CORRUPT;
    if (l->err != OK)
        retain_set_aside(c, b, l->err);
    else
        attach(c, b, l);
    b->loading = false;
    run_deferred(c, b);
}
