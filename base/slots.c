// SPDX-License-Identifier: MIT
#include "base/slots.h"

#include "base/check.h"
#include "base/mem.h"

void slots_fini(struct slots *s)
{
    mem_free(s->entry);
    *s = (struct slots){ 0 };
}

uint64_t slots_add(struct slots *s, void *value)
{
    uint32_t at;

    CHECK(value);
    if (s->free) {
        at = s->free - 1;
        s->free = s->entry[at].next_free;
    } else {
        CHECK(s->used < UINT32_MAX - 1);
        s->entry = mem_grow(s->entry, &s->cap, s->used + 1, sizeof *s->entry);
        at = (uint32_t)s->used++;
        s->entry[at].generation = 1;
    }
    s->entry[at].value = value;
    s->count++;
    return (uint64_t)s->entry[at].generation << 32 | (at + 1);
}

void slots_remove(struct slots *s, uint64_t id)
{
    uint32_t at = (uint32_t)id - 1;

    CHECK(slots_get(s, id));
    s->entry[at].value = NULL;
    s->entry[at].generation++;
    s->entry[at].next_free = s->free;
    s->free = at + 1;
    s->count--;
}

void *slots_next(const struct slots *s, size_t *at)
{
    while (*at < s->used) {
        void *value = s->entry[(*at)++].value;

        if (value)
            return value;
    }
    return NULL;
}
