// SPDX-License-Identifier: MIT
#include "base/map.h"

#include "base/check.h"
#include "base/mem.h"

static uint32_t hash_of(const struct map *m, struct bytes key)
{
    return (uint32_t)bytes_hash(key, m->seed);
}

/* In index[]: 0 is free; a slot whose entry was removed still ends no probe. */
static uint32_t *probe(const struct map *m, struct bytes key, uint32_t hash)
{
    size_t mask = m->index_size - 1;

    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        uint32_t at = m->index[i];

        if (at == 0)
            return &m->index[i];
        const struct map_entry *e = &m->entry[at - 1];
        if (e->value && e->hash == hash && bytes_eq(bytes_of(e->key, e->key_n), key))
            return &m->index[i];
    }
}

static void rebuild(struct map *m)
{
    size_t live = 0, size = 8;

    for (size_t i = 0; i < m->used; i++)
        if (m->entry[i].value)
            m->entry[live++] = m->entry[i];
    m->used = live;
    CHECK(live < UINT32_MAX / 4);
    while (size < (live + 1) * 2)
        size *= 2;
    mem_free(m->index);
    m->index = mem_array(size, sizeof *m->index);
    m->index_size = size;
    m->cap = size / 2 + size / 4;
    m->entry = mem_realloc(m->entry, m->cap * sizeof *m->entry);
    for (size_t i = 0; i < live; i++) {
        size_t at = m->entry[i].hash & (size - 1);

        while (m->index[at])
            at = (at + 1) & (size - 1);
        m->index[at] = (uint32_t)i + 1;
    }
}

void map_fini(struct map *m)
{
    mem_free(m->entry);
    mem_free(m->index);
    *m = (struct map){ 0 };
}

void *map_get(const struct map *m, struct bytes key)
{
    if (m->count == 0)
        return NULL;

    uint32_t at = *probe(m, key, hash_of(m, key));

    return at ? m->entry[at - 1].value : NULL;
}

void *map_put(struct map *m, struct bytes key, void *value)
{
    uint32_t hash = hash_of(m, key);

    CHECK(value && key.n <= UINT32_MAX);
    if (m->used == m->cap)
        rebuild(m);

    uint32_t *slot = probe(m, key, hash);

    if (*slot) {
        struct map_entry *e = &m->entry[*slot - 1];
        void *old = e->value;

        e->key = key.p;
        e->value = value;
        return old;
    }
    m->entry[m->used] = (struct map_entry){ key.p, (uint32_t)key.n, hash, value };
    *slot = (uint32_t)++m->used;
    m->count++;
    return NULL;
}

void *map_remove(struct map *m, struct bytes key)
{
    if (m->count == 0)
        return NULL;

    uint32_t at = *probe(m, key, hash_of(m, key));

    if (at == 0)
        return NULL;
    void *old = m->entry[at - 1].value;
    m->entry[at - 1].value = NULL;
    m->count--;
    return old;
}

void *map_next(const struct map *m, size_t *at)
{
    while (*at < m->used) {
        void *value = m->entry[(*at)++].value;

        if (value)
            return value;
    }
    return NULL;
}
