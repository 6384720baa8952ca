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
    WINDOW_BATCHES = 4096,
    WIDE_SPANS = 256,
    WIDE_PASSES = 12,
    WIDE_WINDOW_BYTES = 16 * 1024 * 1024,
    WIDE_WINDOW_SHARE = 2,
    WIDE_LOOKS = 16 /* at so many that have no mate, in one step */
};

static bool is_small(const struct batch *b)
{
    return b->slot_count < SMALL_SLOTS_A_SPAN * b->span_count;
}

static bool is_wide(const struct batch *b)
{
    return b->span_count >= WIDE_SPANS;
}

static bool may_shrink(const struct batch *b)
{
    return is_small(b) && b->passes < (is_wide(b) ? WIDE_PASSES : 1);
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

static bool usable(const struct batch *b)
{
    return b->state == BATCH_STORED && b->taken == 0 && b->deferred_count == 0 && b->live > 0;
}

static void find_range(struct batch *b)
{
    b->low_queue = UINT64_MAX;
    b->high_queue = 0;
    for (uint32_t i = 0; is_wide(b) && i < b->span_count; i++) {
        const struct queue *q = batch_span(b, i)->queue;

        if (q && q->id < b->low_queue)
            b->low_queue = q->id;
        if (q && q->id > b->high_queue)
            b->high_queue = q->id;
    }
}

static uint64_t range(uint64_t low, uint64_t high)
{
    return low <= high ? high - low + 1 : 0;
}

/* Half of the queues of one are in the other, too. */
static bool overlap(const struct batch *a, const struct batch *b)
{
    uint64_t low = a->low_queue > b->low_queue ? a->low_queue : b->low_queue;
    uint64_t high = a->high_queue < b->high_queue ? a->high_queue : b->high_queue;
    uint64_t of_a = range(a->low_queue, a->high_queue), of_b = range(b->low_queue, b->high_queue);

    return range(low, high) * 2 > (of_a < of_b ? of_a : of_b);
}

/* Spans grow by a quarter at least where two go together: a slot is rewritten few times. */
static bool alike(const struct batch *a, const struct batch *b)
{
    uint64_t a_slots = (uint64_t)a->live * b->span_count;
    uint64_t b_slots = (uint64_t)b->live * a->span_count;

    return a_slots <= b_slots * 4 && b_slots <= a_slots * 4;
}

static bool is_mate(const struct batch *first, const struct batch *b)
{
    return is_wide(b) && usable(b) && alike(first, b) && overlap(first, b);
}

void compact_note(struct core *c, struct batch *b)
{
    struct compact *k = &c->compact;

    b->changed_ms = c->now_ms;
    if (b->noted != NOTED_NOT || b->transient || b->damaged || b->live == 0 || b->pinned || b->blob)
        return;
    if (may_shrink(b)) {
        b->noted = NOTED_SMALL;
        k->small_count++;
        k->small_spans += b->span_count;
        k->alone = 0;
        find_range(b);
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
        bytes += batch_span(b, i)->live_bytes;
    return bytes + (uint64_t)b->live * 64;
}

/* Of its content in memory, at most. */
static uint64_t content_bytes(const struct batch *b)
{
    return BATCH_BODIES_MAX_BYTES + (uint64_t)b->slot_count * sizeof(struct slot) +
           (uint64_t)b->span_count * sizeof(struct group);
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

/* The first and others that hold the same queues; alone it would not shrink. */
static void pick_wide(struct core *c, struct batch *first)
{
    struct compact *k = &c->compact;
    uint64_t bytes = 0, room = c->opt.memory_bytes / WIDE_WINDOW_SHARE;
    size_t looked = 0;

    k->wide = true;
    if (room > WIDE_WINDOW_BYTES)
        room = WIDE_WINDOW_BYTES;
    LIST_EACH (&k->small, node) {
        struct batch *b = container_of(node, struct batch, in_compact);

        if (looked++ == WINDOW_BATCHES || (k->source_count > 1 && bytes + content_bytes(b) > room))
            break;
        if (!is_mate(first, b))
            continue;
        bytes += content_bytes(b);
        pin(c, b);
    }
}

static void put_off(struct compact *k, struct batch *b)
{
    list_remove(&b->in_compact);
    list_push_back(&k->small, &b->in_compact);
}

static bool has_mate(const struct compact *k, const struct batch *first)
{
    size_t looked = 0;

    LIST_EACH (&k->small, node) {
        const struct batch *b = container_of(node, struct batch, in_compact);

        if (looked++ == WINDOW_BATCHES)
            return false;
        if (b != first && is_mate(first, b))
            return true;
    }
    return false;
}

static void pick_small(struct core *c)
{
    struct compact *k = &c->compact;

    for (int i = 0; i < WIDE_LOOKS && k->alone < k->small_count; i++) {
        struct batch *b = container_of(list_first(&k->small), struct batch, in_compact);

        if (!is_wide(b))
            pick(c, &k->small, WINDOW_BATCHES, UINT64_MAX);
        else if (usable(b) && has_mate(k, b))
            pick_wide(c, b);
        if (k->source_count > 0)
            return;
        put_off(k, b);
        k->alone++;
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
            retain_used(c, b);
        if (b->live > 0)
            compact_note(c, b);
    }
    k->source_count = k->loading = 0;
    k->wide = false;
}

static bool is_ready(const struct compact *k)
{
    return k->source_count > 0 && k->loading == 0;
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

/* One that does not shrink is not looked at again. */
static bool takes(struct batch *b)
{
    if (compact_merge_look(b))
        return true;
    b->passes = UINT8_MAX;
    return false;
}

/* Of a source that was being loaded something may have been delivered since. */
static void leave_out_unusable(struct core *c)
{
    struct compact *k = &c->compact;

    for (size_t i = 0; i < k->source_count; i++) {
        struct batch *b = k->source[i];

        if (!b || (b->content && usable(b) && takes(b)))
            continue;
        k->source[i] = NULL;
        b->pinned = false;
        if (b->content && b->state == BATCH_STORED)
            retain_used(c, b);
    }
}

uint64_t compact_span_bytes(const struct core *c)
{
    return (uint64_t)c->compact.small_spans * sizeof(struct span);
}

static size_t enough_batches(const struct core *c)
{
    return c->opt.compact_batches ? c->opt.compact_batches : SMALL_BATCHES;
}

static bool enough_small(const struct core *c)
{
    return c->compact.small_count >= enough_batches(c) || c->compact.small_spans >= SMALL_SPANS;
}

/* While publishers fill the disk's time, rewriting waits until spans take too much
 * of the memory budget: a queue that is drained soon need not be rewritten. */
static bool small_worth_it(const struct core *c)
{
    const struct compact *k = &c->compact;

    return enough_small(c) &&
           (c->now_ms >= k->quiet_ms || k->small_count >= enough_batches(c) * 4 ||
            compact_span_bytes(c) >= c->opt.memory_bytes / URGENT_SHARE);
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
        pick_small(c);
    else if (!list_empty(&k->sparse) && c->now_ms > SPARSE_REST_MS)
        pick(c, &k->sparse, WINDOW_BATCHES, c->now_ms - SPARSE_REST_MS);
}

void compact_step(struct core *c)
{
    struct compact *k = &c->compact;

    if (k->source_count == 0 && !c->disk_low)
        pick_window(c);
    if (!is_ready(k))
        return;
    if (!k->merge.entry) {
        leave_out_unusable(c);
        compact_merge_begin(&k->merge, k->source, k->source_count, k->wide);
    }
    if (compact_merge_step(c, &k->merge, k->source))
        return;
    compact_merge_end(&k->merge);
    unpin_all(c);
}

uint64_t compact_next_at_ms(const struct core *c)
{
    const struct compact *k = &c->compact;

    if (is_ready(k))
        return 0;
    if (k->source_count > 0 || k->alone >= k->small_count || c->disk_low || !enough_small(c))
        return UINT64_MAX;
    return k->quiet_ms;
}

void compact_fini(struct core *c)
{
    compact_merge_end(&c->compact.merge);
    mem_free(c->compact.source);
}
