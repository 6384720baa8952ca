// SPDX-License-Identifier: MIT
/* slots.h - objects by 64-bit id: index and generation.
 *
 * An id of something that went finds nothing, though its place is used again.
 * Id 0 is never given.  Zero-initialised is empty and valid. */
#ifndef BASE_SLOTS_H
#define BASE_SLOTS_H

#include <stddef.h>
#include <stdint.h>

struct slots_entry {
    void *value;
    uint32_t generation, next_free;
};

struct slots {
    struct slots_entry *entry;
    size_t used, cap, count;
    uint32_t free; /* index + 1 of the first free one; 0: none */
};

void slots_fini(struct slots *s);
uint64_t slots_add(struct slots *s, void *value);
void slots_remove(struct slots *s, uint64_t id);

static inline void *slots_get(const struct slots *s, uint64_t id)
{
    uint32_t at = (uint32_t)id - 1;

    if (at >= s->used || s->entry[at].generation != (uint32_t)(id >> 32))
        return NULL;
    return s->entry[at].value;
}

/* Walks in order of place: start with *at = 0; NULL ends. */
void *slots_next(const struct slots *s, size_t *at);

#endif
