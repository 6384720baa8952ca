// SPDX-License-Identifier: MIT
#include "base/mem.h"
#include "base/reader.h"
#include "storage/batch_format.h"
#include "storage/record.h"

struct decoder {
    struct reader r;
    struct batch_content *c;
    struct group_sum *sum;
    uint64_t bodies_checksum;
    uint32_t bodies_bytes;
    struct slot_context at;
    uint8_t last_tag; /* of a live slot; SLOT_DEAD: none that could come again */
};

/* A varint of at most `max`; fails the reader above it. */
static uint32_t get_u32(struct decoder *d, uint32_t max)
{
    uint64_t v = reader_varint(&d->r);

    if (v > max)
        d->r.failed = true;
    return d->r.failed ? 0 : (uint32_t)v;
}

static void get_group(struct decoder *d, struct group *g, uint64_t queue_id_before)
{
    uint8_t tag = reader_u8(&d->r);
    uint64_t span;

    g->queue_id = unzigzag(queue_id_before, reader_varint(&d->r));
    g->first_seq = reader_varint(&d->r);
    span = reader_varint(&d->r);
    g->last_seq = g->first_seq + span;
    g->count = get_u32(d, BATCH_SLOTS_LIMIT);
    g->live_bytes = reader_varint(&d->r);
    if (tag & GROUP_HAS_PRIORITY)
        g->priority = reader_u8(&d->r);
    if (tag & GROUP_HAS_AT)
        g->min_at_ms = unzigzag(d->c->created_ms, reader_varint(&d->r));
    g->live = tag & GROUP_HAS_DEAD ? get_u32(d, g->count) : g->count;
    g->first_slot = g->last_slot = SLOT_NONE;

    bool empty_but_sized = g->live == 0 && (g->live_bytes || g->min_at_ms);
    bool at_zero = tag & GROUP_HAS_AT && g->min_at_ms == 0;
    bool too_many = g->count > 0 && g->count - 1 > span;
    if (tag & ~GROUP_TAGS || span > UINT64_MAX - 1 - g->first_seq || at_zero || too_many ||
        empty_but_sized)
        d->r.failed = true;
}

static void get_groups(struct decoder *d)
{
    uint64_t queue_id = 0, slots = 0;

    for (size_t i = 0; i < d->c->group_count && !d->r.failed; i++) {
        struct group *g = &d->c->group[i];

        get_group(d, g, queue_id);
        queue_id = g->queue_id;
        slots += g->count;
    }
    if (slots != d->c->slot_count)
        d->r.failed = true;
}

static void get_blobs(struct decoder *d)
{
    uint64_t slot = 0;

    for (size_t i = 0; i < d->c->blob_count && !d->r.failed; i++) {
        slot = unzigzag(slot, reader_varint(&d->r));
        uint64_t blob_id = reader_varint(&d->r);

        if (slot >= d->c->slot_count || blob_id == 0)
            d->r.failed = true;
        else
            d->c->blob[i] = (struct blob_ref){ blob_id, (uint32_t)slot };
    }
}

/* Counts come before what is counted: none may exceed the bytes left. */
static size_t get_count(struct decoder *d, size_t least_bytes_each)
{
    uint64_t n = reader_varint(&d->r);

    if (n > d->r.left / least_bytes_each)
        d->r.failed = true;
    return d->r.failed ? 0 : (size_t)n;
}

/* Everything before the slots. */
static bool get_head(struct decoder *d, struct bytes slots)
{
    struct batch_content *c = d->c;

    if (slots.n < BATCH_COUNTS_AT || slots.p[0] != BATCH_VERSION ||
        slots.p[1] & ~BATCH_FLAG_TRANSIENT)
        return false;
    d->r = reader_over(bytes_from(slots, BATCH_CHECKSUM_AT));
    if (reader_u64(&d->r) != batch_checksum(slots))
        return false;
    c->transient = slots.p[1] & BATCH_FLAG_TRANSIENT;
    d->bodies_checksum = reader_u64(&d->r);
    c->created_ms = reader_u64(&d->r);
    d->bodies_bytes = get_u32(d, UINT32_MAX);
    c->slot_count = get_u32(d, BATCH_SLOTS_LIMIT);
    c->group_count = get_count(d, 6);
    c->blob_count = get_count(d, 2);
    if (d->r.failed)
        return false;
    c->group = mem_array(c->group_count, sizeof *c->group);
    c->group_cap = c->group_count;
    if (c->blob_count) {
        c->blob = mem_array(c->blob_count, sizeof *c->blob);
        c->blob_cap = c->blob_count;
    }
    get_groups(d);
    get_blobs(d);
    return !d->r.failed;
}

static void get_slot_group(struct decoder *d, uint8_t tag)
{
    uint32_t count = (uint32_t)d->c->group_count;

    switch (tag & SLOT_GROUP_MASK) {
    case SLOT_GROUP_SAME:
        break;
    case SLOT_GROUP_NEXT:
        d->at.group = d->at.group + 1 < count ? d->at.group + 1 : 0;
        break;
    case SLOT_GROUP_GIVEN:
        d->at.group = get_u32(d, UINT32_MAX);
        break;
    default:
        d->r.failed = true;
    }
    if (d->at.group >= count)
        d->r.failed = true;
}

static void get_slot_record(struct decoder *d, uint8_t tag)
{
    uint64_t record = d->at.record;

    switch (tag & SLOT_RECORD_MASK) {
    case SLOT_RECORD_SAME:
        break;
    case SLOT_RECORD_OFFSET_GIVEN:
        record = get_u32(d, UINT32_MAX);
        break;
    case SLOT_RECORD_STEP_GIVEN:
        d->at.step = get_u32(d, UINT32_MAX);
        record += d->at.step;
        break;
    default: /* SLOT_RECORD_STEP */
        record += d->at.step;
    }
    if (record >= d->bodies_bytes)
        d->r.failed = true;
    else
        d->at.record = (uint32_t)record;
}

/* The next live slot, checked against its group. */
static bool get_slot(struct decoder *d, uint8_t tag, struct slot *s)
{
    uint64_t skipped;

    get_slot_group(d, tag);
    skipped = tag & SLOT_SEQ_GIVEN ? reader_varint(&d->r) : 0;
    get_slot_record(d, tag);
    if (tag & SLOT_BYTES_GIVEN)
        d->at.bytes = get_u32(d, UINT32_MAX);
    if (tag & SLOT_AT_GIVEN)
        d->at.at_ms = unzigzag(d->at.at_ms, reader_varint(&d->r));
    if (d->r.failed || (tag & SLOT_AT_GIVEN && d->at.at_ms == 0))
        return false;

    struct group_sum *sum = &d->sum[d->at.group];
    uint64_t last_seq = d->c->group[d->at.group].last_seq;
    if (sum->next_seq > last_seq || skipped > last_seq - sum->next_seq)
        return false;
    *s = (struct slot){
        .seq = sum->next_seq + skipped,
        .at_ms = tag & SLOT_AT_GIVEN ? d->at.at_ms : 0,
        .record = d->at.record,
        .next = SLOT_NONE,
        .group = d->at.group,
        .bytes = d->at.bytes,
    };
    group_sum_add(sum, s->seq, s->bytes, s->at_ms);
    return true;
}

/* What the next tag begins: `count` slots, alike. */
struct run {
    uint8_t tag; /* of each; SLOT_DEAD: dead ones */
    size_t count;
};

static uint64_t get_length(struct decoder *d, unsigned given)
{
    return given ? given : reader_varint(&d->r);
}

/* False: damaged. */
static bool get_run(struct decoder *d, size_t slots_left, struct run *out)
{
    uint8_t tag = reader_u8(&d->r);
    uint64_t count = 1;

    if (tag & SLOT_DEAD) {
        count = get_length(d, tag & SLOT_DEAD_RUN_MAX);
        d->last_tag = SLOT_DEAD;
        tag = SLOT_DEAD;
    } else if ((tag & SLOT_GROUP_MASK) == SLOT_AGAIN) {
        count = get_length(d, tag >> SLOT_AGAIN_SHIFT);
        tag = d->last_tag;
        if (tag == SLOT_DEAD)
            return false;
    } else {
        d->last_tag = slot_tag_is_bare(tag) ? tag : SLOT_DEAD;
    }
    *out = (struct run){ tag, (size_t)count };
    return !d->r.failed && count > 0 && count <= slots_left;
}

/* After the last slot: what the group table said must be what the slots say. */
static bool sums_hold(const struct decoder *d)
{
    for (size_t i = 0; i < d->c->group_count; i++) {
        const struct group *g = &d->c->group[i];
        const struct group_sum *sum = &d->sum[i];

        if (sum->live != g->live || sum->live_bytes != g->live_bytes ||
            sum->min_at_ms != g->min_at_ms)
            return false;
        if (g->live == g->count && g->count && sum->next_seq != g->last_seq + 1)
            return false;
    }
    return d->r.left == 0;
}

static void sums_begin(struct decoder *d)
{
    d->sum = mem_array(d->c->group_count, sizeof *d->sum);
    for (size_t i = 0; i < d->c->group_count; i++)
        d->sum[i].next_seq = d->c->group[i].first_seq;
    d->at.at_ms = d->c->created_ms;
    d->last_tag = SLOT_DEAD;
}

static void chain_slot(struct batch_content *c, uint32_t i)
{
    struct group *g = &c->group[c->slot[i].group];

    if (g->first_slot == SLOT_NONE)
        g->first_slot = i;
    else
        c->slot[g->last_slot].next = i;
    g->last_slot = i;
}

static bool get_live_slots(struct decoder *d, struct run run, size_t at)
{
    for (size_t i = at; i < at + run.count; i++) {
        if (!get_slot(d, run.tag, &d->c->slot[i]))
            return false;
        chain_slot(d->c, (uint32_t)i);
    }
    return true;
}

static bool get_slots(struct decoder *d)
{
    struct batch_content *c = d->c;
    struct run run = { 0, 0 };

    sums_begin(d);
    c->slot = mem_array(c->slot_count, sizeof *c->slot);
    c->slot_cap = c->slot_count;
    for (size_t i = 0; i < c->slot_count; i += run.count) {
        if (!get_run(d, c->slot_count - i, &run))
            return false;
        if (run.tag != SLOT_DEAD && !get_live_slots(d, run, i))
            return false;
        for (size_t k = i; run.tag == SLOT_DEAD && k < i + run.count; k++)
            c->slot[k] = (struct slot){ .record = SLOT_NONE,
                                        .next = SLOT_NONE,
                                        .group = SLOT_NONE };
    }
    return sums_hold(d);
}

static bool blobs_live(const struct batch_content *c)
{
    for (size_t i = 0; i < c->blob_count; i++)
        if (c->slot[c->blob[i].slot].record == SLOT_NONE)
            return false;
    return true;
}

/* Every record that a slot points to can be read. */
static bool records_hold(const struct batch_content *c)
{
    struct bytes bodies = buf_view(&c->bodies);
    uint32_t last = SLOT_NONE;

    for (size_t i = 0; i < c->slot_count; i++) {
        uint32_t record = c->slot[i].record;
        struct message m;

        if (record != SLOT_NONE && record != last && !record_get(bodies, record, &m, NULL))
            return false;
        last = record;
    }
    return true;
}

enum err batch_decode(struct bytes slots, struct buf *bodies, struct batch_content **out)
{
    struct decoder d = { .c = mem_new(struct batch_content) };
    bool ok;

    d.c->bodies = *bodies;
    *bodies = (struct buf){ 0 };
    ok = get_head(&d, slots) && d.c->bodies.n == d.bodies_bytes &&
         bodies_checksum(buf_view(&d.c->bodies)) == d.bodies_checksum && get_slots(&d) &&
         blobs_live(d.c) && records_hold(d.c);
    mem_free(d.sum);
    if (!ok) {
        batch_content_free(&d.c);
        return ERR_CORRUPT;
    }
    *out = d.c;
    return OK;
}

static bool settled_bit(struct bytes settled, size_t i)
{
    return i / 8 < settled.n && bit_get(settled.p, i);
}

static bool sum_unsettled(struct decoder *d, struct run run, size_t at, struct bytes settled,
                          struct group_sum *live)
{
    for (size_t i = at; i < at + run.count; i++) {
        struct slot s = { 0 };

        if (!get_slot(d, run.tag, &s))
            return false;
        if (!settled_bit(settled, i))
            group_sum_add(&live[s.group], s.seq, s.bytes, s.at_ms);
    }
    return true;
}

/* Walks the slots so as to leave the settled ones out of the sums. */
static bool subtract_settled(struct decoder *d, struct bytes settled)
{
    struct batch_content *c = d->c;
    struct group_sum *live = mem_array(c->group_count, sizeof *live);
    struct run run = { 0, 0 };
    bool ok = true;

    sums_begin(d);
    for (size_t i = 0; i < c->slot_count && ok; i += run.count)
        ok = get_run(d, c->slot_count - i, &run) &&
             (run.tag == SLOT_DEAD || sum_unsettled(d, run, i, settled, live));
    ok = ok && sums_hold(d);
    for (size_t i = 0; i < c->group_count; i++) {
        c->group[i].live = live[i].live;
        c->group[i].live_bytes = live[i].live_bytes;
        c->group[i].min_at_ms = live[i].min_at_ms;
    }
    mem_free(live);
    return ok;
}

static void drop_settled_blobs(struct batch_content *c, struct bytes settled)
{
    size_t n = 0;

    for (size_t i = 0; i < c->blob_count; i++)
        if (!settled_bit(settled, c->blob[i].slot))
            c->blob[n++] = c->blob[i];
    c->blob_count = n;
}

enum err batch_summarise(struct bytes slots, struct bytes settled, struct batch_content **out)
{
    struct decoder d = { .c = mem_new(struct batch_content) };
    bool ok = get_head(&d, slots);

    if (ok && settled.n) {
        ok = subtract_settled(&d, settled);
        drop_settled_blobs(d.c, settled);
    }
    mem_free(d.sum);
    if (!ok) {
        batch_content_free(&d.c);
        return ERR_CORRUPT;
    }
    *out = d.c;
    return OK;
}
