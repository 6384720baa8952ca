// SPDX-License-Identifier: MIT
#include "client/outbox.h"

#include "base/check.h"
#include "base/mem.h"

enum { CHUNK_BYTES = 128 << 10, RING_FIRST = 256, GATHER_BYTES = 1 << 20 };

struct outbox_chunk {
    struct buf b;
    size_t live;  /* entries in it that are not done */
    size_t begun; /* of the open chunk: where the frame being encoded starts */
};

void outbox_init(struct outbox *o)
{
    *o = (struct outbox){ .head = 1, .next = 1, .tail = 1 };
    o->ring_size = RING_FIRST;
    o->ring = mem_array(o->ring_size, sizeof *o->ring);
}

static void chunk_free(struct outbox_chunk *k)
{
    if (!k)
        return;
    buf_fini(&k->b);
    mem_free(k);
}

void outbox_fini(struct outbox *o)
{
    struct outbox_owner nobody;

    if (!o->ring)
        return;
    outbox_rewind(o);
    while (outbox_take_any(o, &nobody))
        ;
    chunk_free(o->open);
    chunk_free(o->spare);
    mem_free(o->ring);
    *o = (struct outbox){ 0 };
}

static struct outbox_entry *entry_at(const struct outbox *o, uint64_t number)
{
    return &o->ring[number & (o->ring_size - 1)];
}

static void ring_grow(struct outbox *o)
{
    struct outbox_entry *ring = mem_array(o->ring_size * 2, sizeof *ring);

    for (uint64_t i = o->head; i < o->tail; i++)
        ring[i & (o->ring_size * 2 - 1)] = *entry_at(o, i);
    mem_free(o->ring);
    o->ring = ring;
    o->ring_size *= 2;
}

/* Nothing in it is open any more: it is used again, unless one big body made it
 * grow or a spare is there already. */
static void chunk_settle(struct outbox *o, struct outbox_chunk *k)
{
    if (k->b.cap > (size_t)2 * CHUNK_BYTES)
        buf_fini(&k->b);
    k->b.n = 0;
    if (k == o->open)
        return;
    if (o->spare) {
        chunk_free(k);
        return;
    }
    o->spare = k;
}

static void chunk_open(struct outbox *o)
{
    struct outbox_chunk *k = o->spare;

    o->spare = NULL;
    o->open = k ? k : mem_new(struct outbox_chunk);
}

struct buf *outbox_begin(struct outbox *o, size_t hint)
{
    struct outbox_chunk *k = o->open;

    if (!k || (k->b.n > 0 && k->b.n + hint > CHUNK_BYTES)) {
        chunk_open(o);
        k = o->open;
    }
    if (k->b.cap == 0)
        buf_reserve(&k->b, hint > CHUNK_BYTES ? hint : CHUNK_BYTES);
    k->begun = k->b.n;
    return &k->b;
}

void outbox_end(struct outbox *o, enum outbox_kind kind, struct outbox_owner owner)
{
    struct outbox_chunk *k = o->open;
    struct outbox_entry *e;

    CHECK(k && k->b.n > k->begun);
    if (o->tail - o->head == o->ring_size)
        ring_grow(o);
    e = entry_at(o, o->tail++);
    *e = (struct outbox_entry){ owner.confirm, owner.arg, k, k->begun, k->b.n - k->begun, kind };
    k->live++;
    if (kind != OUTBOX_LOOSE) {
        o->unconfirmed++;
        o->unconfirmed_bytes += e->size;
    }
}

/* Adds to the last view when it goes on there; false when all views are used. */
static bool gather_add(struct iovec *iov, size_t *count, size_t max, uint8_t *p, size_t n)
{
    struct iovec *last = *count ? &iov[*count - 1] : NULL;

    if (last && (uint8_t *)last->iov_base + last->iov_len == p) {
        last->iov_len += n;
        return true;
    }
    if (*count == max)
        return false;
    iov[(*count)++] = (struct iovec){ p, n };
    return true;
}

size_t outbox_gather(const struct outbox *o, uint64_t limit, struct iovec *iov, size_t max)
{
    uint64_t end = limit < o->tail ? limit : o->tail;
    size_t count = 0, total = 0, skip = o->next_written;

    for (uint64_t i = o->next; i < end && total < GATHER_BYTES; i++) {
        const struct outbox_entry *e = entry_at(o, i);

        if (e->kind != OUTBOX_DONE &&
            !gather_add(iov, &count, max, e->chunk->b.p + e->offset + skip, e->size - skip))
            break;
        total += e->size;
        skip = 0;
    }
    return count;
}

static void release(struct outbox *o, struct outbox_entry *e)
{
    if (e->kind != OUTBOX_LOOSE) {
        o->unconfirmed--;
        o->unconfirmed_bytes -= e->size;
    }
    e->kind = OUTBOX_DONE;
    if (--e->chunk->live == 0)
        chunk_settle(o, e->chunk);
}

/* Done entries leave at the head, as far as they are behind `next`. */
static void trim(struct outbox *o)
{
    while (o->head < o->next && entry_at(o, o->head)->kind == OUTBOX_DONE)
        o->head++;
}

static void pass_done(struct outbox *o)
{
    while (o->next < o->tail && entry_at(o, o->next)->kind == OUTBOX_DONE)
        o->next++;
}

void outbox_wrote(struct outbox *o, size_t n)
{
    pass_done(o);
    while (n > 0) {
        CHECK(o->next < o->tail);
        struct outbox_entry *e = entry_at(o, o->next);
        size_t left = e->size - o->next_written;

        if (n < left) {
            o->next_written += n;
            break;
        }
        n -= left;
        o->next_written = 0;
        o->next++;
        if (e->kind == OUTBOX_LOOSE) {
            o->loose_written++;
            release(o, e);
        } else {
            o->in_flight++;
        }
        pass_done(o);
    }
    trim(o);
}

static void take(struct outbox *o, uint64_t number, struct outbox_owner *owner)
{
    struct outbox_entry *e = entry_at(o, number);

    *owner = (struct outbox_owner){ e->confirm, e->arg };
    if (number < o->next)
        o->in_flight--;
    release(o, e);
    pass_done(o);
    if (entry_at(o, o->head)->kind == OUTBOX_DONE)
        trim(o);
}

bool outbox_take(struct outbox *o, uint64_t number, struct outbox_owner *owner)
{
    if (number < o->head || number >= o->next || entry_at(o, number)->kind == OUTBOX_DONE)
        return false;
    take(o, number, owner);
    o->loose_written = 0;
    return true;
}

void outbox_rewind(struct outbox *o)
{
    for (uint64_t i = o->head; i < o->tail; i++) {
        struct outbox_entry *e = entry_at(o, i);

        if (e->kind == OUTBOX_LOOSE)
            release(o, e);
    }
    o->next = o->head;
    o->next_written = 0;
    o->in_flight = 0;
    o->loose_written = 0;
    pass_done(o);
    trim(o);
}

/* Only between two connections: nothing is written then, but in outbox_take_any. */
static bool take_first(struct outbox *o, bool once_only, struct outbox_owner *owner)
{
    for (uint64_t i = o->head; i < o->tail; i++) {
        enum outbox_kind kind = entry_at(o, i)->kind;

        if (kind == OUTBOX_ONCE || (kind == OUTBOX_KEEP && !once_only)) {
            take(o, i, owner);
            return true;
        }
    }
    return false;
}

bool outbox_take_once(struct outbox *o, struct outbox_owner *owner)
{
    return take_first(o, true, owner);
}

bool outbox_take_any(struct outbox *o, struct outbox_owner *owner)
{
    return take_first(o, false, owner);
}
