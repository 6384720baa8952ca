// SPDX-License-Identifier: MIT
/* heap.h - a binary heap of intrusive nodes, smallest key first.
 *
 * Ties leave in the order they were pushed, so that a run can be replayed (of nodes that
 * were pushed within 2^31 of each other).
 * Zero-initialised is empty and valid; the heap owns its array, not the nodes. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint64_t key;
    uint32_t tie, at; /* at: position + 1; 0: in no heap */
};

struct heap {
    struct heap_node **node;
    size_t n, cap;
    uint32_t tie_next;
};

void heap_fini(struct heap *h);
void heap_push(struct heap *h, struct heap_node *node, uint64_t key);
void heap_remove(struct heap *h, struct heap_node *node); /* no-op if in no heap */

/* Moves the node to `key`, pushing it if it was in no heap. */
void heap_set(struct heap *h, struct heap_node *node, uint64_t key);

/* The smallest, or NULL; it stays. */
struct heap_node *heap_min(const struct heap *h);

static inline bool heap_has(const struct heap_node *node)
{
    return node->at != 0;
}

#endif
