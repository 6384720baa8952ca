// SPDX-License-Identifier: MIT
#include "base/heap.h"

#include "base/check.h"
#include "base/mem.h"

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key != b->key ? a->key < b->key : (int32_t)(a->tie - b->tie) < 0;
}

static void place(struct heap *h, size_t i, struct heap_node *node)
{
    h->node[i] = node;
    node->at = (uint32_t)(i + 1);
}

static void sift_up(struct heap *h, size_t i, struct heap_node *node)
{
    while (i > 0 && before(node, h->node[(i - 1) / 2])) {
        place(h, i, h->node[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(h, i, node);
}

static void sift_down(struct heap *h, size_t i, struct heap_node *node)
{
    for (size_t child; (child = 2 * i + 1) < h->n; i = child) {
        if (child + 1 < h->n && before(h->node[child + 1], h->node[child]))
            child++;
        if (!before(h->node[child], node))
            break;
        place(h, i, h->node[child]);
    }
    place(h, i, node);
}

void heap_fini(struct heap *h)
{
    mem_free(h->node);
    *h = (struct heap){ 0 };
}

void heap_push(struct heap *h, struct heap_node *node, uint64_t key)
{
    CHECK(!heap_has(node) && h->n < UINT32_MAX - 1);
    h->node = mem_grow(h->node, &h->cap, h->n + 1, sizeof(struct heap_node *));
    node->key = key;
    node->tie = h->tie_next++;
    h->n++;
    sift_up(h, h->n - 1, node);
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    if (!heap_has(node))
        return;

    size_t i = node->at - 1;
    struct heap_node *last = h->node[--h->n];

    node->at = 0;
    if (last == node)
        return;
    if (i > 0 && before(last, h->node[(i - 1) / 2]))
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}

void heap_set(struct heap *h, struct heap_node *node, uint64_t key)
{
    if (heap_has(node) && node->key == key)
        return;
    heap_remove(h, node);
    heap_push(h, node, key);
}

struct heap_node *heap_min(const struct heap *h)
{
    return h->n ? h->node[0] : NULL;
}
