// SPDX-License-Identifier: MIT
#include "broker/core/retain.h"

#include "base/check.h"
#include "base/mem.h"
#include "broker/core/state.h"

enum {
    SPARE_MAX_BYTES = 1024 * 1024,
    RECORD_OVERHEAD_BYTES = 1024,
    FIT_MIN_BYTES = 4096,
    FIT_SHARE = 4
};

static struct batch_content *content_take(struct core *c, bool transient)
{
    struct retain *r = &c->retain;

    if (r->spare_count == 0)
        return batch_content_new(c->now_ms, transient);

    struct batch_content *content = r->spare[--r->spare_count];

    content->created_ms = c->now_ms;
    content->transient = transient;
    content->slot_count = content->group_count = content->blob_count = 0;
    content->bodies.n = 0;
    return content;
}

static void content_give(struct core *c, struct batch_content *content)
{
    struct retain *r = &c->retain;

    if (r->spare_count < sizeof r->spare / sizeof r->spare[0] &&
        batch_content_memory(content) <= SPARE_MAX_BYTES)
        r->spare[r->spare_count++] = content;
    else
        batch_content_free(&content);
}

void retain_drop_content(struct core *c, struct batch *b)
{
    if (!b->content)
        return;
    c->retain.memory -= b->memory;
    b->memory = 0;
    content_give(c, b->content);
    b->content = NULL;
}

static void *copy_of(const void *p, size_t n)
{
    return n ? memcpy(mem_alloc(n), p, n) : NULL;
}

/* A small batch in recycled buffers moves to buffers of its own size, or a queue
 * filled one message a commit would hold a large buffer for each. */
static void fit(struct core *c, struct batch *b)
{
    struct batch_content *old = b->content, *content;
    size_t used = old->slot_count * sizeof *old->slot + old->group_count * sizeof *old->group +
                  old->bodies.n;

    if (batch_content_memory(old) < FIT_MIN_BYTES || used > batch_content_memory(old) / FIT_SHARE ||
        old->blob_count > 0)
        return;
    content = batch_content_new(old->created_ms, old->transient);
    content->slot = copy_of(old->slot, old->slot_count * sizeof *old->slot);
    content->slot_count = content->slot_cap = old->slot_count;
    content->group = copy_of(old->group, old->group_count * sizeof *old->group);
    content->group_count = content->group_cap = old->group_count;
    buf_bytes(&content->bodies, buf_view(&old->bodies));
    b->content = content;
    content_give(c, old);
}

void retain_count_memory(struct core *c, struct batch *b)
{
    size_t now = b->content ? batch_content_memory(b->content) : 0;

    c->retain.memory += now - b->memory;
    b->memory = now;
}

struct batch *retain_new_batch(struct core *c, uint64_t id)
{
    struct batch *b = mem_new(struct batch);

    b->id = id;
    list_init(&b->in_lru);
    list_init(&b->in_dirty);
    list_init(&b->in_doomed);
    list_init(&b->in_compact);
    map_put(&c->retain.by_id, map_key_u64(&b->id), b);
    return b;
}

static void spans_free(struct batch *b)
{
    for (unsigned i = 0; b->span_count > 1u << i; i++)
        mem_free(b->spans[i]);
    mem_free(b->spans);
}

static void batch_free(struct core *c, struct batch *b)
{
    CHECK(b->state != BATCH_SEALED && b->taken == 0);
    for (uint32_t i = 0; i < b->span_count; i++)
        span_unlink(c, batch_span(b, i));
    compact_forget(c, b);
    map_remove(&c->retain.by_id, map_key_u64(&b->id));
    list_remove(&b->in_lru);
    list_remove(&b->in_dirty);
    list_remove(&b->in_doomed);
    retain_drop_content(c, b);
    spans_free(b);
    mem_free(b->settled);
    mem_free(b->taken_bits);
    mem_free(b->returned);
    if (b->blob)
        blob_release(c, b->blob);
    mem_free(b->deferred);
    mem_free(b);
}

void retain_close(struct core *c, struct batch *b)
{
    struct retain *r = &c->retain;

    b->state = BATCH_CLOSED;
    if (r->open[b->transient] == b)
        r->open[b->transient] = NULL;
    list_push_back(b->transient ? &r->transient : &r->closed, &b->in_lru);
    fit(c, b);
    retain_count_memory(c, b);
    retain_look(c, b);
}

static bool batch_has_room(const struct batch *b, size_t n)
{
    const struct batch_content *content = b->content;

    return content->bodies.n == 0 ||
           (content->slot_count < BATCH_SLOTS_MAX &&
            content->bodies.n + n + RECORD_OVERHEAD_BYTES <= BATCH_BODIES_MAX_BYTES);
}

static struct batch *open_new(struct core *c, bool transient)
{
    struct batch *b = retain_new_batch(c, c->retain.next_id++);

    b->transient = transient;
    b->content = content_take(c, transient);
    retain_count_memory(c, b);
    c->retain.routes[transient] = (struct record_routes){ 0 };
    return b;
}

struct batch *retain_open_alone(struct core *c, bool transient)
{
    if (c->retain.open[transient])
        retain_close(c, c->retain.open[transient]);
    return open_new(c, transient);
}

struct batch *retain_open(struct core *c, bool transient, size_t n)
{
    struct retain *r = &c->retain;
    struct batch *b = r->open[transient];

    if (b && batch_has_room(b, n))
        return b;
    if (b)
        retain_close(c, b);
    b = open_new(c, transient);
    r->open[transient] = b;
    return b;
}

enum { SPAN_CHUNKS = 32 };

struct span *retain_new_span(struct batch *b)
{
    uint32_t group = b->span_count++;
    struct span *s;

    if (group == 1)
        b->spans = mem_array(SPAN_CHUNKS, sizeof(struct span *));
    if (group > 0 && (group & (group - 1)) == 0)
        b->spans[__builtin_ctz(group)] = mem_array(group, sizeof *s);
    s = batch_span(b, group);
    s->batch = b;
    s->group = group;
    return s;
}

struct span *retain_add_span(struct batch *b, struct queue *q, uint8_t priority)
{
    uint32_t group = batch_add_group(b->content, q->id, priority);
    struct span *s = retain_new_span(b);

    CHECK(group == s->group);
    s->queue = q;
    s->priority = priority;
    s->cursor = SLOT_NONE;
    return s;
}

static uint8_t *bits_for(uint8_t *bits, size_t *cap, uint32_t slot_count)
{
    size_t need = bits_bytes(slot_count);

    if (need <= *cap)
        return bits;
    size_t was = *cap;
    bits = mem_grow(bits, cap, need, 1);
    memset(bits + was, 0, *cap - was);
    return bits;
}

static void mark_dirty(struct core *c, struct batch *b)
{
    if (b->dirty || b->damaged)
        return;
    b->dirty = true;
    list_push_back(&c->retain.dirty, &b->in_dirty);
}

void retain_set_settled(struct core *c, struct batch *b, uint32_t slot)
{
    CHECK(slot < b->slot_count);
    b->settled = bits_for(b->settled, &b->settled_cap, b->slot_count);
    CHECK(!bit_get(b->settled, slot) && b->live > 0);
    bit_set(b->settled, slot);
    b->live--;
    if (b->state == BATCH_STORED) {
        mark_dirty(c, b);
        compact_note(c, b);
    }
}

void retain_set_taken(struct batch *b, uint32_t slot, bool taken)
{
    CHECK(slot < b->slot_count);
    b->taken_bits = bits_for(b->taken_bits, &b->taken_cap, b->slot_count);
    CHECK(bit_get(b->taken_bits, slot) != taken);
    if (taken) {
        bit_set(b->taken_bits, slot);
        b->taken++;
    } else {
        bit_clear(b->taken_bits, slot);
        b->taken--;
    }
}

void retain_look(struct core *c, struct batch *b)
{
    if (b->live > 0)
        return;
    if (b->state == BATCH_STORED)
        mark_dirty(c, b);
    if (b->taken > 0 || b->deferred_count > 0)
        return;
    if ((b->state == BATCH_CLOSED || b->state == BATCH_GONE) && list_empty(&b->in_doomed))
        list_push_back(&c->retain.doomed, &b->in_doomed);
}

/* A lone request and its reply would otherwise leave a batch behind each. */
static void recycle_open(struct core *c, struct batch *b)
{
    if (!b || b->slot_count == 0 || b->live > 0 || b->taken > 0)
        return;
    c->retain.open[b->transient] = NULL;
    b->state = BATCH_CLOSED;
    if (b->returned_count > 0 && !b->transient)
        core_op(c, OP_BATCH_DELETE)->batch_id = b->id;
    batch_free(c, b);
}

void retain_sweep(struct core *c)
{
    struct retain *r = &c->retain;
    struct list *node;

    while ((node = list_pop(&r->doomed))) {
        struct batch *b = container_of(node, struct batch, in_doomed);

        if (b->live == 0 && b->taken == 0 && b->state != BATCH_SEALED) {
            if (b->returned_count > 0 && b->state == BATCH_CLOSED && !b->transient)
                core_op(c, OP_BATCH_DELETE)->batch_id = b->id;
            batch_free(c, b);
        }
    }
    recycle_open(c, r->open[0]);
    recycle_open(c, r->open[1]);
    for (int i = 0; i < 2; i++)
        if (r->open[i])
            retain_count_memory(c, r->open[i]);
    retain_evict(c);
    retain_rest(c);
}

void retain_defer(struct core *c, struct batch *b, const struct deferred *d)
{
    b->deferred = mem_grow(b->deferred, &b->deferred_cap, b->deferred_count + 1,
                           sizeof *b->deferred);
    b->deferred[b->deferred_count++] = *d;
    retain_want(c, b);
}

static void free_all(struct core *c, struct batch *b)
{
    b->state = BATCH_STORED;
    b->taken = 0;
    batch_free(c, b);
}

void retain_fini(struct core *c)
{
    struct retain *r = &c->retain;
    struct batch *b;

    for (size_t at = 0; (b = map_next(&r->by_id, &at));)
        free_all(c, b);
    for (size_t i = 0; i < r->spare_count; i++)
        batch_content_free(&r->spare[i]);
    map_fini(&r->by_id);
    mem_free(r->want);
}

/* ---- sealing ---- */

static struct bytes settled_copy(struct commit *commit, struct batch *b)
{
    b->settled = bits_for(b->settled, &b->settled_cap, b->slot_count);
    return commit_copy(commit, bytes_of(b->settled, bits_bytes(b->slot_count)));
}

static void put_batch(struct core *c, struct commit *commit, struct batch *b)
{
    struct op *op = commit_op(commit, OP_BATCH_PUT);

    op->batch_id = b->id;
    op->content = b->content;
    if (b->settled)
        op->bits = settled_copy(commit, b);
    commit->bytes += b->content->bodies.n;
    b->state = BATCH_SEALED;
    b->sealed_live = b->live;
    list_remove(&b->in_lru);
    c->retain.sealed_bytes += b->content->bodies.n;
}

static void put_settled(struct core *c, struct commit *commit, struct batch *b)
{
    list_remove(&b->in_dirty);
    b->dirty = false;
    if (b->live > 0) {
        if (b->transient)
            return;
        struct op *op = commit_op(commit, OP_SETTLED_PUT);
        op->batch_id = b->id;
        op->bits = settled_copy(commit, b);
        return;
    }
    commit_op(commit, OP_BATCH_DELETE)->batch_id = b->id;
    list_remove(&b->in_lru);
    compact_forget(c, b);
    b->state = BATCH_GONE;
    retain_look(c, b);
}

void retain_seal(struct core *c, struct commit *commit)
{
    struct retain *r = &c->retain;

    if (r->open[0] && r->open[0]->slot_count > 0)
        retain_close(c, r->open[0]);
    LIST_EACH (&r->closed, node) {
        struct batch *b = container_of(node, struct batch, in_lru);

        if (b->live > 0)
            put_batch(c, commit, b);
    }
    LIST_EACH (&r->dirty, node)
        put_settled(c, commit, container_of(node, struct batch, in_dirty));
}

void retain_committed(struct core *c, struct commit *commit)
{
    struct retain *r = &c->retain;

    for (size_t i = 0; i < commit->op_count; i++) {
        if (commit->op[i].kind != OP_BATCH_PUT)
            continue;
        struct batch *b = map_get(&r->by_id, map_key_u64(&commit->op[i].batch_id));

        CHECK(b && b->state == BATCH_SEALED);
        b->state = BATCH_STORED;
        r->sealed_bytes -= b->content->bodies.n;
        retain_used(c, b);
        if (b->live != b->sealed_live)
            mark_dirty(c, b);
        compact_note(c, b);
        retain_look(c, b);
    }
}
