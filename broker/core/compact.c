// SPDX-License-Identifier: MIT
/* Which batches are rewritten, and when. */
#include "broker/core/compact.h"

#include "base/check.h"
#include "base/mem.h"
#include "broker/core/state.h"

enum {
    SMALL_SLOTS_A_SPAN = 64, /* fewer: small */
    SMALL_BATCHES = 4096,    /* so many small batches, or spans in them, are worth it */
    SMALL_SPANS = 32 * 1024,
    URGENT_SHARE = 2,      /* spans of small batches may take half of the budget */
    PAUSE_COMMITS = 2,     /* a pause shorter than so many commits: the disk is busy */
    QUIET_MS = 500,        /* and was for so long after */
    SPARSE_SHARE = 4,      /* at most a quarter alive */
    SPARSE_REST_MS = 1000, /* a batch that is being drained will be gone by then */
    WINDOW_BYTES = 4 * 1024 * 1024,
    WINDOW_SHARE = 4, /* at most a quarter of the budget */
    WINDOW_BATCHES = 4096
};

static bool is_small(const struct batch *b)
{
    return b->slot_count < SMALL_SLOTS_A_SPAN * b->span_count;
}

static bool is_sparse(const struct batch *b)
{
    return b->live <= b->slot_count / SPARSE_SHARE;
}

void compact_forget(struct core *c, struct batch *b)
{
    struct compact *k = &c->compact;

    if (b->noted == NOTED_SMALL) {
        k->small_count--;
        k->small_spans -= b->span_count;
    }
    b->noted = NOTED_NOT;
    list_remove(&b->in_compact);
    for (size_t i = 0; i < k->source_count; i++)
        if (k->source[i] == b) {
            if (b->loading)
                k->loading--;
            k->source[i] = NULL;
        }
}

void compact_note(struct core *c, struct batch *b)
{
    struct compact *k = &c->compact;

    b->changed_ms = c->now_ms;
    if (b->noted != NOTED_NOT || b->transient || b->damaged || b->live == 0 || b->pinned || b->blob)
        return;
    if (is_small(b) && !b->rewritten) {
        b->noted = NOTED_SMALL;
        k->small_count++;
        k->small_spans += b->span_count;
        list_push_back(&k->small, &b->in_compact);
    } else if (is_sparse(b)) {
        b->noted = NOTED_SPARSE;
        list_push_back(&k->sparse, &b->in_compact);
    }
}

static void pin(struct core *c, struct batch *b)
{
    struct compact *k = &c->compact;

    if (b->noted == NOTED_SMALL) {
        k->small_count--;
        k->small_spans -= b->span_count;
    }
    b->noted = NOTED_NOT;
    list_remove(&b->in_compact);
    b->pinned = true;
    k->source = mem_grow(k->source, &k->source_cap, k->source_count + 1, sizeof *k->source);
    k->source[k->source_count++] = b;
    if (b->content) {
        list_remove(&b->in_lru);
        return;
    }
    k->loading++;
    retain_want(c, b);
}

static uint64_t live_bytes(const struct batch *b)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < b->span_count; i++)
        bytes += b->span[i]->live_bytes;
    return bytes + (uint64_t)b->live * 64;
}

static bool usable(const struct batch *b)
{
    return b->state == BATCH_STORED && b->taken == 0 && b->deferred_count == 0 && b->live > 0;
}

/* Candidates that cannot be used now go to the back; each is looked at once. */
static void pick(struct core *c, struct list *from, size_t most, uint64_t rested_ms)
{
    uint64_t bytes = 0, room = c->opt.memory_bytes / WINDOW_SHARE;

    if (room > WINDOW_BYTES)
        room = WINDOW_BYTES;
    for (size_t looked = 0; looked < most && bytes < room; looked++) {
        struct list *node = list_first(from);

        if (!node)
            return;
        struct batch *b = container_of(node, struct batch, in_compact);
        if (b->changed_ms > rested_ms)
            return;
        if (!usable(b)) {
            b->changed_ms = c->now_ms;
            list_remove(node);
            list_push_back(from, node);
            continue;
        }
        bytes += live_bytes(b);
        pin(c, b);
    }
}

static void unpin_all(struct core *c)
{
    struct compact *k = &c->compact;

    for (size_t i = 0; i < k->source_count; i++) {
        struct batch *b = k->source[i];

        if (!b)
            continue;
        b->pinned = false;
        if (b->state == BATCH_STORED && b->content && list_empty(&b->in_lru))
            list_push_back(&c->retain.lru, &b->in_lru);
        if (b->live > 0)
            compact_note(c, b);
    }
    k->source_count = k->loading = 0;
}

bool compact_ready(const struct core *c)
{
    return c->compact.source_count > 0 && c->compact.loading == 0;
}

void compact_loaded(struct core *c, struct batch *b)
{
    struct compact *k = &c->compact;

    if (!b->pinned)
        return;
    CHECK(k->loading > 0);
    k->loading--;
    list_remove(&b->in_lru);
}

/* Of a source that was being loaded something may have been delivered since. */
static void leave_out_unusable(struct core *c)
{
    struct compact *k = &c->compact;

    for (size_t i = 0; i < k->source_count; i++) {
        struct batch *b = k->source[i];

        if (!b || (b->content && usable(b)))
            continue;
        k->source[i] = NULL;
        b->pinned = false;
        if (b->content && b->state == BATCH_STORED)
            list_push_back(&c->retain.lru, &b->in_lru);
    }
}

uint64_t compact_span_bytes(const struct core *c)
{
    return (uint64_t)c->compact.small_spans * sizeof(struct span);
}

/* While publishers fill the disk's time, rewriting waits until spans take too much
 * of the memory budget: a queue that is drained soon need not be rewritten. */
static bool small_worth_it(const struct core *c)
{
    const struct compact *k = &c->compact;
    size_t enough = c->opt.compact_batches ? c->opt.compact_batches : SMALL_BATCHES;

    if (k->small_count < enough && k->small_spans < SMALL_SPANS)
        return false;
    return c->now_ms >= k->quiet_ms || k->small_count >= enough * 4 ||
           compact_span_bytes(c) >= c->opt.memory_bytes / URGENT_SHARE;
}

void compact_committed(struct core *c, const struct commit *done)
{
    struct compact *k = &c->compact;
    uint64_t pause_ns = done->began_ns - k->ended_ns;

    if (pause_ns < (done->ended_ns - done->began_ns) * PAUSE_COMMITS)
        k->quiet_ms = c->now_ms + QUIET_MS;
    k->ended_ns = done->ended_ns;
}

static void pick_window(struct core *c)
{
    struct compact *k = &c->compact;

    if (small_worth_it(c))
        pick(c, &k->small, WINDOW_BATCHES, UINT64_MAX);
    else if (!list_empty(&k->sparse) && c->now_ms > SPARSE_REST_MS)
        pick(c, &k->sparse, WINDOW_BATCHES, c->now_ms - SPARSE_REST_MS);
}

void compact_step(struct core *c)
{
    struct compact *k = &c->compact;

    if (k->source_count == 0 && !c->disk_low)
        pick_window(c);
    if (!compact_ready(c))
        return;
    if (!k->merge.entry) {
        leave_out_unusable(c);
        compact_merge_begin(c, &k->merge, k->source, k->source_count);
    }
    if (compact_merge_step(c, &k->merge, k->source))
        return;
    compact_merge_end(&k->merge);
    unpin_all(c);
}

void compact_fini(struct core *c)
{
    compact_merge_end(&c->compact.merge);
    mem_free(c->compact.source);
}
