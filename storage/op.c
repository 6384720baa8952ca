// SPDX-License-Identifier: MIT
#include "storage/op.h"

#include "base/check.h"
#include "base/mem.h"

enum { CHUNK_BYTES = 16 * 1024 };

struct commit_chunk {
    struct commit_chunk *next;
    size_t used, cap;
    uint8_t data[];
};

struct commit *commit_new(uint64_t number)
{
    struct commit *c = mem_new(struct commit);

    CHECK(number != 0);
    c->number = number;
    return c;
}

void commit_free(struct commit **c)
{
    if (!*c)
        return;
    for (struct commit_chunk *k = (*c)->arena, *next; k; k = next) {
        next = k->next;
        mem_free(k);
    }
    mem_free((*c)->op);
    mem_free(*c);
    *c = NULL;
}

struct op *commit_op(struct commit *c, enum op_kind kind)
{
    c->op = mem_grow(c->op, &c->op_cap, c->op_count + 1, sizeof *c->op);

    struct op *o = &c->op[c->op_count++];
    memset(o, 0, sizeof *o);
    o->kind = kind;
    return o;
}

/* A large piece gets a chunk of its own behind the one being filled, so that
 * the room left in that one is not given up. */
static struct commit_chunk *chunk_for(struct commit *c, size_t n)
{
    bool large = n > CHUNK_BYTES / 4;
    struct commit_chunk *first = c->arena;

    if (first && n <= first->cap - first->used)
        return first;

    struct commit_chunk *k = mem_alloc(sizeof *k + (large ? n : CHUNK_BYTES));
    k->used = 0;
    k->cap = large ? n : CHUNK_BYTES;
    if (large && first) {
        k->next = first->next;
        first->next = k;
    } else {
        k->next = first;
        c->arena = k;
    }
    return k;
}

uint8_t *commit_alloc(struct commit *c, size_t n)
{
    size_t rounded = (n + 7) & ~(size_t)7;

    CHECK(n <= SIZE_MAX / 2);
    struct commit_chunk *k = chunk_for(c, rounded);
    uint8_t *p = k->data + k->used;
    k->used += rounded;
    c->bytes += rounded;
    return p;
}

struct bytes commit_copy(struct commit *c, struct bytes b)
{
    if (b.n == 0)
        return (struct bytes){ NULL, 0 };

    uint8_t *p = commit_alloc(c, b.n);
    memcpy(p, b.p, b.n);
    return bytes_of(p, b.n);
}
