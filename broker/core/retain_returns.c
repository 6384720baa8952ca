// SPDX-License-Identifier: MIT
/* What is kept of slots that were delivered and are not done: how often they came
 * back, whether they were received, and on disk the death that is to come. */
#include "base/mem.h"
#include "broker/core/state.h"

/* The first whose slot is not below. */
static size_t returned_at(const struct batch *b, uint32_t slot)
{
    size_t low = 0, high = b->returned_count;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (b->returned[mid].slot < slot)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct returned returned_of(const struct batch *b, uint32_t slot)
{
    size_t i = returned_at(b, slot);

    return i < b->returned_count && b->returned[i].slot == slot ? b->returned[i]
                                                                : (struct returned){ .slot = slot };
}

static void set_returned(struct batch *b, struct returned now)
{
    size_t i = returned_at(b, now.slot);

    if (i == b->returned_count || b->returned[i].slot != now.slot) {
        b->returned = mem_grow(b->returned, &b->returned_cap, b->returned_count + 1,
                               sizeof *b->returned);
        memmove(b->returned + i + 1, b->returned + i,
                (b->returned_count - i) * sizeof *b->returned);
        b->returned_count++;
    }
    b->returned[i] = now;
}

uint32_t retain_returns(const struct batch *b, uint32_t slot)
{
    return returned_of(b, slot).count;
}

bool retain_is_received(const struct batch *b, uint32_t slot)
{
    return returned_of(b, slot).received;
}

/* On disk, above the number of returns: the death that is to come, from 1, and
 * whether it was received. */
enum { DEATH_SHIFT = 28, DEATH_MASK = 7, RECEIVED_SHIFT = 31 };
enum { RETURNS_MASK = (1 << DEATH_SHIFT) - 1 };

static void put_returned(struct core *c, const struct batch *b, struct returned r, uint32_t death)
{
    if (b->transient || b->state == BATCH_GONE)
        return;
    struct op *op = core_op(c, OP_DELIVERIES_PUT);
    op->batch_id = b->id;
    op->slot = r.slot;
    op->count = (uint32_t)r.received << RECEIVED_SHIFT | death << DEATH_SHIFT |
                (r.count & RETURNS_MASK);
}

void retain_count_return(struct core *c, struct batch *b, uint32_t slot)
{
    struct returned r = returned_of(b, slot);

    r.count++;
    set_returned(b, r);
    put_returned(c, b, r, 0);
}

void retain_note_received(struct core *c, struct batch *b, uint32_t slot)
{
    struct returned r = returned_of(b, slot);

    if (r.received)
        return;
    r.received = true;
    set_returned(b, r);
    put_returned(c, b, r, 0);
}

void retain_move_returns(struct core *c, const struct batch *from, uint32_t i, struct batch *to,
                         uint32_t slot)
{
    struct returned r = returned_of(from, i);

    if (r.count == 0 && !r.received)
        return;
    r.slot = slot;
    set_returned(to, r);
    put_returned(c, to, r, 0);
}

void retain_note_death(struct core *c, struct batch *b, uint32_t slot, enum death why)
{
    put_returned(c, b, returned_of(b, slot), (uint32_t)why + 1);
}

void retain_recover_returns(struct core *c, struct batch *b, uint32_t slot, uint32_t noted)
{
    uint32_t death = noted >> DEATH_SHIFT & DEATH_MASK;
    struct returned r = { .slot = slot,
                          .count = noted & RETURNS_MASK,
                          .received = noted >> RECEIVED_SHIFT };

    if (r.count > 0 || r.received)
        set_returned(b, r);
    if (death > 0 && death <= (uint32_t)DEATHS && !retain_is_settled(b, slot))
        retain_defer(c, b,
                     &(struct deferred){
                         .kind = DEFER_DEATH, .slot = slot, .why = (enum death)(death - 1) });
}
