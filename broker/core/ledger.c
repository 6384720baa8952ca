// SPDX-License-Identifier: MIT
#include "base/check.h"
#include "base/mem.h"
#include "broker/core/client.h"

enum { LEDGER_FIRST_CAP = 16 };

static struct delivery *at(const struct ledger *l, uint32_t i)
{
    return &l->ring[(l->head + i) & (l->cap - 1)];
}

/* Makes room: squeezes the holes out when half of the ring is holes, else doubles it. */
static void make_room(struct ledger *l)
{
    uint32_t cap = l->cap;

    if (cap == 0)
        cap = LEDGER_FIRST_CAP;
    else if (l->live > cap / 2)
        cap *= 2;
    CHECK(cap != 0);

    struct delivery *ring = mem_alloc(cap * sizeof *ring);
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->used; i++)
        if (at(l, i)->span)
            ring[n++] = *at(l, i);
    mem_free(l->ring);
    l->ring = ring;
    l->cap = cap;
    l->head = 0;
    l->used = n;
}

uint64_t ledger_add(struct ledger *l, const struct delivery *d)
{
    if (l->used == l->cap)
        make_room(l);
    *at(l, l->used) = *d;
    at(l, l->used++)->tag = ++l->next_tag;
    l->live++;
    return l->next_tag;
}

/* The first place whose tag is not below `tag`. */
static uint32_t lower_bound(const struct ledger *l, uint64_t tag)
{
    uint32_t low = 0, high = l->used;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (at(l, mid)->tag < tag)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct delivery *ledger_find(const struct ledger *l, uint64_t tag)
{
    if (l->used == 0 || tag < at(l, 0)->tag)
        return NULL;
    /* Until holes were squeezed out, the place is the distance. */
    uint64_t i = tag - at(l, 0)->tag;
    if (i >= l->used || at(l, (uint32_t)i)->tag != tag)
        i = lower_bound(l, tag);
    if (i == l->used || at(l, (uint32_t)i)->tag != tag)
        return NULL;
    struct delivery *d = at(l, (uint32_t)i);
    return d->span ? d : NULL;
}

struct delivery *ledger_first(const struct ledger *l)
{
    for (uint32_t i = 0; i < l->used; i++)
        if (at(l, i)->span)
            return at(l, i);
    return NULL;
}

struct delivery *ledger_next(const struct ledger *l, const struct delivery *d)
{
    uint32_t i = ((uint32_t)(d - l->ring) - l->head) & (l->cap - 1);

    for (i++; i < l->used; i++)
        if (at(l, i)->span)
            return at(l, i);
    return NULL;
}

void ledger_remove(struct ledger *l, struct delivery *d)
{
    d->span = NULL;
    l->live--;
    while (l->used > 0 && !at(l, 0)->span) {
        l->head = (l->head + 1) & (l->cap - 1);
        l->used--;
    }
    if (l->live == 0 && l->cap > LEDGER_FIRST_CAP * 64)
        ledger_fini(l);
}

void ledger_fini(struct ledger *l)
{
    uint64_t next_tag = l->next_tag;

    mem_free(l->ring);
    *l = (struct ledger){ .next_tag = next_tag };
}
