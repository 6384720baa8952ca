// SPDX-License-Identifier: MIT
/* The tree of retained.h: words of routing keys, and patterns over them. */
#include "base/check.h"
#include "base/mem.h"
#include "broker/core/retained.h"
#include "proto/topic.h"

/* What an entry takes in the map, free places included. */
enum { MAP_ENTRY_BYTES = 64 };

static size_t node_bytes(size_t word_n)
{
    return sizeof(struct retained_node) + word_n + MAP_ENTRY_BYTES;
}

size_t retained_node_bytes(const struct retained_node *n)
{
    return node_bytes(n->word_n) + (n->kept ? kept_bytes(n->kept) : 0);
}

/* The parent's address and the word follow each other in the node. */
static struct bytes node_key(const struct retained_node *n)
{
    return bytes_of((const uint8_t *)n + offsetof(struct retained_node, parent),
                    sizeof(struct retained_node *) + n->word_n);
}

static struct retained_node *node_new(struct retained_tree *t, struct retained_node *parent,
                                      struct bytes word)
{
    struct retained_node *n = mem_zalloc(sizeof *n + word.n);

    CHECK(word.n <= UINT8_MAX);
    n->parent = parent;
    n->word_n = (uint8_t)word.n;
    if (word.n)
        memcpy(n->word, word.p, word.n);
    *t->bytes += node_bytes(word.n);
    return n;
}

struct retained_tree *retained_tree_new(uint64_t vhost_id, uint64_t seed, uint64_t *bytes)
{
    struct retained_tree *t = mem_new(struct retained_tree);

    t->vhost_id = vhost_id;
    t->words.seed = seed;
    t->bytes = bytes;
    t->root = node_new(t, NULL, (struct bytes){ NULL, 0 });
    return t;
}

static void node_free(struct retained_node *n)
{
    if (n->kept)
        mem_free(n->kept->expiry);
    mem_free(n->kept);
    mem_free(n);
}

void retained_tree_free(struct retained_tree **tp)
{
    struct retained_tree *t = *tp;
    struct retained_node *n;

    if (!t)
        return;
    for (size_t at = 0; (n = map_next(&t->words, &at));)
        node_free(n);
    node_free(t->root);
    map_fini(&t->words);
    buf_fini(&t->key);
    mem_free(t);
    *tp = NULL;
}

static struct retained_node *child_find(struct retained_tree *t, const struct retained_node *parent,
                                        struct bytes word)
{
    if (!parent->child)
        return NULL;
    t->key.n = 0;
    buf_put(&t->key, &parent, sizeof parent);
    buf_bytes(&t->key, word);
    return map_get(&t->words, buf_view(&t->key));
}

static struct retained_node *child_add(struct retained_tree *t, struct retained_node *parent,
                                       struct bytes word)
{
    struct retained_node *n = node_new(t, parent, word);

    n->next = parent->child;
    if (n->next)
        n->next->prev = n;
    parent->child = n;
    CHECK(!map_put(&t->words, node_key(n), n));
    return n;
}

static void child_remove(struct retained_tree *t, struct retained_node *n)
{
    CHECK(map_remove(&t->words, node_key(n)) == n);
    if (n->prev)
        n->prev->next = n->next;
    else
        n->parent->child = n->next;
    if (n->next)
        n->next->prev = n->prev;
    *t->bytes -= node_bytes(n->word_n);
    node_free(n);
}

struct retained_node *retained_tree_find(struct retained_tree *t, struct bytes key)
{
    struct retained_node *n = t->root;
    struct bytes word;

    for (size_t at = 0; n && topic_next(key, &at, &word);)
        n = child_find(t, n, word);
    return n;
}

struct retained_node *retained_tree_add(struct retained_tree *t, struct bytes key)
{
    struct retained_node *n = t->root;
    struct bytes word;

    for (size_t at = 0; topic_next(key, &at, &word);) {
        struct retained_node *child = child_find(t, n, word);

        n = child ? child : child_add(t, n, word);
    }
    return n;
}

size_t retained_tree_cost(struct retained_tree *t, struct bytes key)
{
    struct retained_node *n = t->root;
    struct bytes word;
    size_t cost = 0;

    for (size_t at = 0; topic_next(key, &at, &word);) {
        n = n ? child_find(t, n, word) : NULL;
        if (!n)
            cost += node_bytes(word.n);
    }
    return cost;
}

void retained_tree_prune(struct retained_tree *t, struct retained_node *n)
{
    while (n->parent && !n->child && !n->kept && !n->changed && !n->stored) {
        struct retained_node *parent = n->parent;

        child_remove(t, n);
        n = parent;
    }
}

void retained_tree_key(const struct retained_node *n, struct buf *out)
{
    size_t length = 0;
    uint8_t *end;

    for (const struct retained_node *at = n; at->parent; at = at->parent)
        length += at->word_n + (at->parent->parent ? 1u : 0u);
    end = buf_reserve(out, length) + length;
    out->n += length;
    for (; n->parent; n = n->parent) {
        end -= n->word_n;
        if (n->word_n)
            memcpy(end, n->word, n->word_n);
        if (n->parent->parent)
            *--end = '.';
    }
}

/* ---- patterns ---- */

static void push(struct retained_nodes *list, struct retained_node *n)
{
    if (list->count == list->cap)
        list->at = mem_grow(list->at, &list->cap, list->count + 1, sizeof(struct retained_node *));
    list->at[list->count++] = n;
}

/* This one of the children, or the next that a wildcard may match. */
static struct retained_node *visible(struct retained_node *n, bool skip_dollar)
{
    if (!skip_dollar || !n || n->parent->parent)
        return n;
    while (n && n->word_n > 0 && n->word[0] == '$')
        n = n->next;
    return n;
}

/* The node and all below it that were not reached yet: what is below one that was
 * reached was reached too. */
static void reach(struct retained_nodes *out, struct retained_node *top, bool skip_dollar)
{
    struct retained_node *n = top, *next;

    for (;;) {
        bool fresh = !n->reached;

        if (fresh) {
            n->reached = true;
            push(out, n);
        }
        next = fresh ? visible(n->child, skip_dollar) : NULL;
        while (!next) {
            if (n == top)
                return;
            next = visible(n->next, skip_dollar);
            n = n->parent;
        }
        n = next;
    }
}

static void step(struct retained_tree *t, struct retained_node *n, struct topic_word w,
                 bool skip_dollar, struct retained_nodes *out)
{
    struct retained_node *child;

    switch (w.kind) {
    case TOPIC_LITERAL:
        child = child_find(t, n, w.text);
        if (child)
            push(out, child);
        break;
    case TOPIC_ONE:
        for (child = visible(n->child, skip_dollar); child;
             child = visible(child->next, skip_dollar))
            push(out, child);
        break;
    case TOPIC_MANY:
        reach(out, n, skip_dollar);
        break;
    }
}

/* Word by word of the pattern, with all nodes that its beginning matches at hand:
 * each is there once, for parents that differ have children that differ, and after
 * a `#` they are marked. */
void retained_tree_match(struct retained_tree *t, struct bytes pattern, bool skip_dollar,
                         struct retained_nodes *out)
{
    struct retained_nodes then = { 0 };
    struct topic_word w;

    out->count = 0;
    push(out, t->root);
    for (size_t at = 0; out->count > 0 && topic_next_pattern(pattern, &at, &w);) {
        struct retained_nodes now = *out;

        then.count = 0;
        for (size_t i = 0; i < now.count; i++)
            step(t, now.at[i], w, skip_dollar, &then);
        for (size_t i = 0; w.kind == TOPIC_MANY && i < then.count; i++)
            then.at[i]->reached = false;
        *out = then;
        then = now;
    }
    mem_free(then.at);
}
