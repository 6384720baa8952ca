// SPDX-License-Identifier: MIT
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "storage/batch_format.h"
#include "storage/record.h"

/* Bodies are packed once dead records are a quarter of them. */
enum { PACK_DEAD_SHARE = 4 };

/* Where each live record went, by rising old offset. */
struct packing {
    struct {
        uint32_t from, to;
    } * move;
    size_t n, cap, found;
};

struct encoder {
    const struct batch_content *c;
    const uint8_t *dead;
    struct buf *out;
    struct group_sum *sum;
    struct packing packing;
    bool packed;
    struct slot_context at;
    uint8_t last_tag; /* SLOT_DEAD: none that could come again */
    size_t again;
};

static bool slot_is_dead(const struct encoder *e, size_t i)
{
    return bit_get(e->dead, i) || e->c->slot[i].record == SLOT_NONE;
}

static int move_cmp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Lists the records that live slots point to, each once. */
static void packing_collect(struct encoder *e)
{
    struct packing *k = &e->packing;
    bool sorted = true;
    size_t n = 0;

    for (size_t i = 0; i < e->c->slot_count; i++) {
        uint32_t record = e->c->slot[i].record;

        if (slot_is_dead(e, i) || (k->n && k->move[k->n - 1].from == record))
            continue;
        sorted = sorted && (k->n == 0 || k->move[k->n - 1].from < record);
        k->move = mem_grow(k->move, &k->cap, k->n + 1, sizeof *k->move);
        k->move[k->n++].from = record;
    }
    if (sorted)
        return;
    qsort(k->move, k->n, sizeof *k->move, move_cmp);
    for (size_t i = 0; i < k->n; i++)
        if (n == 0 || k->move[n - 1].from != k->move[i].from)
            k->move[n++] = k->move[i];
    k->n = n;
}

static size_t packing_live_bytes(const struct encoder *e)
{
    struct bytes bodies = buf_view(&e->c->bodies);
    size_t live = 0;

    for (size_t i = 0; i < e->packing.n; i++) {
        struct message m;
        size_t end = 0;

        CHECK(record_get(bodies, e->packing.move[i].from, &m, &end));
        live += end - e->packing.move[i].from;
    }
    return live;
}

/* Puts the live records into `packed`.  Putting them anew spells out the routes
 * that pointed back to a record left behind. */
static void pack(struct encoder *e, struct buf *packed)
{
    struct bytes bodies = buf_view(&e->c->bodies);
    struct record_routes routes = { 0 };
    struct packing *k = &e->packing;

    packing_collect(e);
    size_t live = packing_live_bytes(e);
    if (live > bodies.n - bodies.n / PACK_DEAD_SHARE)
        return;
    (void)buf_reserve(packed, live);
    for (size_t i = 0; i < k->n; i++) {
        struct message m;

        CHECK(record_get(bodies, k->move[i].from, &m, NULL));
        k->move[i].to = record_put(packed, &routes, &m);
    }
    e->packed = true;
}

static uint32_t packing_find(struct packing *k, uint32_t from)
{
    if (k->found < k->n && k->move[k->found].from == from)
        return k->move[k->found].to;
    if (k->found + 1 < k->n && k->move[k->found + 1].from == from)
        return k->move[++k->found].to;

    size_t low = 0, high = k->n;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (k->move[mid].from <= from)
            low = mid;
        else
            high = mid;
    }
    CHECK(k->n > 0 && k->move[low].from == from);
    k->found = low;
    return k->move[low].to;
}

static void sum_groups(struct encoder *e)
{
    const struct batch_content *c = e->c;

    e->sum = mem_array(c->group_count, sizeof *e->sum);
    for (size_t i = 0; i < c->slot_count; i++) {
        const struct slot *s = &c->slot[i];

        if (!slot_is_dead(e, i))
            group_sum_add(&e->sum[s->group], s->seq, s->bytes, s->at_ms);
    }
    for (size_t i = 0; i < c->group_count; i++)
        e->sum[i].next_seq = c->group[i].first_seq;
}

static void put_groups(struct encoder *e)
{
    uint64_t queue_id = 0;

    for (size_t i = 0; i < e->c->group_count; i++) {
        const struct group *g = &e->c->group[i];
        const struct group_sum *sum = &e->sum[i];

        buf_u8(e->out, (uint8_t)((g->priority ? GROUP_HAS_PRIORITY : 0) |
                                 (sum->min_at_ms ? GROUP_HAS_AT : 0) |
                                 (sum->live != g->count ? GROUP_HAS_DEAD : 0)));
        buf_varint(e->out, zigzag(queue_id, g->queue_id));
        buf_varint(e->out, g->first_seq);
        buf_varint(e->out, g->last_seq - g->first_seq);
        buf_varint(e->out, g->count);
        buf_varint(e->out, sum->live_bytes);
        if (g->priority)
            buf_u8(e->out, g->priority);
        if (sum->min_at_ms)
            buf_varint(e->out, zigzag(e->c->created_ms, sum->min_at_ms));
        if (sum->live != g->count)
            buf_varint(e->out, sum->live);
        queue_id = g->queue_id;
    }
}

static size_t live_blobs(const struct encoder *e)
{
    size_t n = 0;

    for (size_t i = 0; i < e->c->blob_count; i++)
        n += !slot_is_dead(e, e->c->blob[i].slot);
    return n;
}

static void put_blobs(struct encoder *e)
{
    uint64_t slot = 0;

    for (size_t i = 0; i < e->c->blob_count; i++) {
        const struct blob_ref *b = &e->c->blob[i];

        if (slot_is_dead(e, b->slot))
            continue;
        buf_varint(e->out, zigzag(slot, b->slot));
        buf_varint(e->out, b->blob_id);
        slot = b->slot;
    }
}

static unsigned group_tag_of(const struct encoder *e, uint32_t group)
{
    if (group == e->at.group)
        return SLOT_GROUP_SAME;
    return group == (e->at.group + 1) % e->c->group_count ? SLOT_GROUP_NEXT : SLOT_GROUP_GIVEN;
}

static unsigned record_tag_of(const struct encoder *e, uint32_t record)
{
    if (record == e->at.record)
        return SLOT_RECORD_SAME;
    if (record < e->at.record)
        return SLOT_RECORD_OFFSET_GIVEN;
    return record - e->at.record == e->at.step ? SLOT_RECORD_STEP : SLOT_RECORD_STEP_GIVEN;
}

static void put_again(struct encoder *e)
{
    size_t n = e->again;

    if (n == 0)
        return;
    buf_u8(e->out, (uint8_t)(SLOT_AGAIN | (n <= SLOT_AGAIN_MAX ? n << SLOT_AGAIN_SHIFT : 0)));
    if (n > SLOT_AGAIN_MAX)
        buf_varint(e->out, n);
    e->again = 0;
}

/* True: it is the tag before, and counted. */
static bool count_again(struct encoder *e, uint8_t tag)
{
    if (tag == e->last_tag) {
        e->again++;
        return true;
    }
    put_again(e);
    e->last_tag = slot_tag_is_bare(tag) ? tag : SLOT_DEAD;
    return false;
}

static void put_given(struct encoder *e, const struct slot *s, uint8_t tag, uint32_t record)
{
    unsigned record_tag = tag & SLOT_RECORD_MASK;

    buf_u8(e->out, tag);
    if ((tag & SLOT_GROUP_MASK) == SLOT_GROUP_GIVEN)
        buf_varint(e->out, s->group);
    if (tag & SLOT_SEQ_GIVEN)
        buf_varint(e->out, s->seq - e->sum[s->group].next_seq);
    if (record_tag == SLOT_RECORD_STEP_GIVEN) {
        e->at.step = record - e->at.record;
        buf_varint(e->out, e->at.step);
    } else if (record_tag == SLOT_RECORD_OFFSET_GIVEN) {
        buf_varint(e->out, record);
    }
    if (tag & SLOT_BYTES_GIVEN)
        buf_varint(e->out, s->bytes);
    if (tag & SLOT_AT_GIVEN) {
        buf_varint(e->out, zigzag(e->at.at_ms, s->at_ms));
        e->at.at_ms = s->at_ms;
    }
}

static void put_slot(struct encoder *e, const struct slot *s)
{
    struct group_sum *sum = &e->sum[s->group];
    uint32_t record = e->packed ? packing_find(&e->packing, s->record) : s->record;
    unsigned group_tag = group_tag_of(e, s->group), record_tag = record_tag_of(e, record);

    uint8_t tag = (uint8_t)(group_tag | record_tag |
                            (s->seq != sum->next_seq ? SLOT_SEQ_GIVEN : 0u) |
                            (s->bytes != e->at.bytes ? SLOT_BYTES_GIVEN : 0u) |
                            (s->at_ms ? SLOT_AT_GIVEN : 0u));

    CHECK(s->seq >= sum->next_seq && s->seq < UINT64_MAX);
    if (!count_again(e, tag))
        put_given(e, s, tag, record);
    e->at.group = s->group;
    e->at.record = record;
    e->at.bytes = s->bytes;
    sum->next_seq = s->seq + 1;
}

static void put_dead_run(struct encoder *e, size_t run)
{
    put_again(e);
    e->last_tag = SLOT_DEAD;
    buf_u8(e->out, (uint8_t)(SLOT_DEAD | (run <= SLOT_DEAD_RUN_MAX ? run : 0)));
    if (run > SLOT_DEAD_RUN_MAX)
        buf_varint(e->out, run);
}

static void put_slots(struct encoder *e)
{
    size_t count = e->c->slot_count;

    e->at.at_ms = e->c->created_ms;
    e->last_tag = SLOT_DEAD;
    for (size_t i = 0; i < count;) {
        size_t run = 0;

        while (i + run < count && slot_is_dead(e, i + run))
            run++;
        if (run)
            put_dead_run(e, run);
        else
            put_slot(e, &e->c->slot[i]);
        i += run ? run : 1;
    }
    put_again(e);
}

static void put_checksum(struct buf *slots)
{
    uint64_t sum = batch_checksum(buf_view(slots));

    for (unsigned i = 0; i < 8; i++)
        slots->p[BATCH_CHECKSUM_AT + i] = (uint8_t)(sum >> (56 - 8 * i));
}

static bool any_dead(const struct batch_content *c, const uint8_t *dead)
{
    for (size_t i = 0; dead && i < bits_bytes(c->slot_count); i++)
        if (dead[i])
            return true;
    return false;
}

void batch_encode(const struct batch_content *c, const uint8_t *dead, struct buf *slots,
                  struct buf *packed)
{
    struct encoder e = { .c = c, .dead = dead, .out = slots };

    CHECK(slots->n == 0 && packed->n == 0);
    CHECK(c->slot_count <= BATCH_SLOTS_LIMIT && c->bodies.n <= UINT32_MAX);
    sum_groups(&e);
    if (any_dead(c, dead))
        pack(&e, packed);

    struct bytes bodies = buf_view(packed->n ? packed : &c->bodies);
    e.packed = packed->n > 0;
    (void)buf_reserve(slots, BATCH_COUNTS_AT + 64 + c->group_count * 16 + c->slot_count);
    buf_u8(slots, BATCH_VERSION);
    buf_u8(slots, c->transient ? BATCH_FLAG_TRANSIENT : 0);
    buf_u64(slots, 0); /* the checksum, once the rest is there */
    buf_u64(slots, bodies_checksum(bodies));
    buf_u64(slots, c->created_ms);
    buf_varint(slots, bodies.n);
    buf_varint(slots, c->slot_count);
    buf_varint(slots, c->group_count);
    buf_varint(slots, live_blobs(&e));
    put_groups(&e);
    put_blobs(&e);
    put_slots(&e);
    put_checksum(slots);
    mem_free(e.sum);
    mem_free(e.packing.move);
}
