// SPDX-License-Identifier: MIT
/* map.h - hash map from bytes, or from a number, to a pointer.
 *
 * Iterates in insertion order, so that two runs with one seed agree.  Keys are
 * views: they must live as long as the entry (usually inside the value).
 * Zero-initialised is empty and valid; a seed may be set before the first put. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/bytes.h"

struct map_entry {
    const uint8_t *key;
    uint32_t key_n, hash;
    void *value; /* NULL: removed */
};

struct map {
    struct map_entry *entry; /* in insertion order, with holes */
    uint32_t *index;         /* open addressing; position + 1 in entry[] */
    size_t used, count, cap, index_size;
    uint64_t seed;
};

void map_fini(struct map *m);
void *map_get(const struct map *m, struct bytes key); /* NULL: not there */

/* Adds or replaces; returns the value that was there, or NULL.  `value` is not NULL. */
void *map_put(struct map *m, struct bytes key, void *value);

/* Removes; returns the value that was there, or NULL. */
void *map_remove(struct map *m, struct bytes key);

/* Walks in insertion order: start with *at = 0, NULL ends.  The entry just
 * given may be removed; nothing may be added during the walk. */
void *map_next(const struct map *m, size_t *at);

static inline size_t map_count(const struct map *m)
{
    return m->count;
}

/* Numbers as keys: the key is part of the value, `&value->id`, of eight bytes. */
static inline struct bytes map_key_u64(const uint64_t *id)
{
    return (struct bytes){ (const uint8_t *)id, sizeof *id };
}

#endif
