// SPDX-License-Identifier: MIT
/* fuzz_batch.c - columns of a batch from a damaged disk.
 *
 * Input: length of slots (u16), length of settled bits (u8), slots, settled
 * bits, bodies.  The checksums are mended first, so that what lies behind them
 * is reached.  Whatever is taken must come back the same when written again,
 * whole or with any slots dead, and the summary must agree with it. */
#include <stddef.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/reader.h"
#include "storage/batch_format.h"
#include "storage/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void put_u64(uint8_t *to, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        to[i] = (uint8_t)(v >> (56 - 8 * i));
}

/* A copy of exactly its size, with checksums that hold. */
static struct bytes mended(struct bytes slots, struct bytes bodies)
{
    uint8_t *p = mem_alloc(slots.n);

    if (slots.n)
        memcpy(p, slots.p, slots.n);
    if (slots.n >= BATCH_COUNTS_AT) {
        put_u64(p + BATCH_BODIES_CHECKSUM_AT, bodies_checksum(bodies));
        put_u64(p + BATCH_CHECKSUM_AT, batch_checksum(bytes_of(p, slots.n)));
    }
    return bytes_of(p, slots.n);
}

static struct buf exact_copy(struct bytes b)
{
    struct buf copy = { mem_alloc(b.n), 0, b.n };

    buf_bytes(&copy, b);
    return copy;
}

static void same_message(const struct batch_content *a, const struct batch_content *b, size_t i)
{
    struct message x, y;

    CHECK(record_get(buf_view(&a->bodies), a->slot[i].record, &x, NULL));
    CHECK(record_get(buf_view(&b->bodies), b->slot[i].record, &y, NULL));
    CHECK(bytes_eq(x.exchange, y.exchange) && bytes_eq(x.routing_key, y.routing_key));
    CHECK(bytes_eq(x.props, y.props) && bytes_eq(x.body, y.body));
    CHECK(x.blob_id == y.blob_id && x.body_size == y.body_size);
}

/* `b` is `a` written and read again, without the slots that are dead. */
static void same(const struct batch_content *a, const struct batch_content *b, const uint8_t *dead)
{
    CHECK(a->slot_count == b->slot_count && a->group_count == b->group_count);
    CHECK(a->created_ms == b->created_ms && a->transient == b->transient);
    for (size_t i = 0; i < a->slot_count; i++) {
        const struct slot *s = &a->slot[i], *t = &b->slot[i];

        if (s->record == SLOT_NONE || bit_get(dead, i)) {
            CHECK(t->record == SLOT_NONE);
            continue;
        }
        CHECK(s->seq == t->seq && s->at_ms == t->at_ms && s->group == t->group);
        CHECK(s->bytes == t->bytes);
        same_message(a, b, i);
    }
}

static void write_and_read(const struct batch_content *c, const uint8_t *dead)
{
    struct buf slots = { 0 }, packed = { 0 }, bodies;
    struct batch_content *again = NULL;

    batch_encode(c, dead, &slots, &packed);
    bodies = exact_copy(buf_view(packed.n ? &packed : &c->bodies));
    CHECK(batch_decode(buf_view(&slots), &bodies, &again) == OK);
    same(c, again, dead);
    batch_content_free(&again);
    buf_fini(&slots);
    buf_fini(&packed);
}

/* The bits, made as long as the batch has slots. */
static uint8_t *whole_bits(const struct batch_content *c, struct bytes bits)
{
    size_t n = bits_bytes(c->slot_count);
    uint8_t *p = mem_zalloc(n);

    if (bits.n)
        memcpy(p, bits.p, bits.n < n ? bits.n : n);
    return p;
}

static void summary_agrees(const struct batch_content *c, const struct batch_content *summary,
                           const uint8_t *settled)
{
    CHECK(summary->slot_count == c->slot_count && summary->group_count == c->group_count);
    for (uint32_t i = 0; i < c->group_count; i++) {
        uint64_t bytes = 0;
        uint32_t live = 0;

        for (uint32_t s = c->group[i].first_slot; s != SLOT_NONE; s = c->slot[s].next) {
            live += !bit_get(settled, s);
            bytes += bit_get(settled, s) ? 0 : c->slot[s].bytes;
        }
        CHECK(summary->group[i].live == live && summary->group[i].live_bytes == bytes);
    }
}

static void check_content(const struct batch_content *c, struct bytes slots, struct bytes bits)
{
    struct batch_content *summary = NULL;
    uint8_t *whole = whole_bits(c, bits);

    CHECK(batch_summarise(slots, bits, &summary) == OK);
    summary_agrees(c, summary, whole);
    write_and_read(c, NULL);
    write_and_read(c, whole);
    batch_content_free(&summary);
    mem_free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct reader r = reader_over(bytes_of(data, n));
    size_t slots_n = reader_u16(&r), bits_n = reader_u8(&r);
    struct bytes raw = reader_take(&r, slots_n), bits = reader_take(&r, bits_n);
    struct bytes rest = reader_rest(&r);
    struct batch_content *c = NULL;

    if (r.failed)
        return 0;
    struct bytes slots = mended(raw, rest);
    struct buf bodies = exact_copy(rest);
    if (batch_decode(slots, &bodies, &c) == OK)
        check_content(c, slots, bits);
    else if (batch_summarise(slots, bits, &c) == OK)
        CHECK(c->slot == NULL);
    batch_content_free(&c);
    free((void *)(uintptr_t)slots.p);
    return 0;
}
