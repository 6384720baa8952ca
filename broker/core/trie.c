// SPDX-License-Identifier: MIT
#include "broker/core/trie.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "broker/core/exchange.h"
#include "proto/topic.h"

struct node {
    uint64_t id;
    struct node *parent, *one, *many; /* children by `*` and by `#` */
    struct binding *bindings;
    uint64_t reached;  /* serial of the match that came to it; of `#` nodes */
    uint32_t literals; /* children by a word */
    enum topic_word_kind kind;
    size_t key_n;
    uint8_t key[]; /* literal: id of the parent, then the word: its key in `words` */
};

struct nodes {
    struct node **at;
    size_t count, cap;
};

/* One map for all literal words: a node is small, and a look-up is one probe. */
struct trie {
    struct node *root;
    struct map words;
    size_t node_count;
    uint64_t next_id, serial;
    struct buf key; /* of a look-up */
    struct nodes now, then, many;
    struct binding **hit;
    size_t hit_cap;
};

static struct node *node_new(struct trie *t, struct node *parent, enum topic_word_kind kind,
                             struct bytes key)
{
    struct node *n = mem_zalloc(sizeof *n + key.n);

    n->id = t->next_id++;
    n->parent = parent;
    n->kind = kind;
    n->key_n = key.n;
    if (key.n)
        memcpy(n->key, key.p, key.n);
    return n;
}

static struct bytes node_key(const struct node *n)
{
    return bytes_of(n->key, n->key_n);
}

struct trie *trie_new(uint64_t seed)
{
    struct trie *t = mem_new(struct trie);

    t->words.seed = seed;
    t->root = node_new(t, NULL, TOPIC_LITERAL, bytes_of(NULL, 0));
    return t;
}

/* In the trie's buffer: valid until the next call. */
static struct bytes word_key(struct trie *t, const struct node *parent, struct bytes word)
{
    t->key.n = 0;
    buf_put(&t->key, &parent->id, sizeof parent->id);
    buf_bytes(&t->key, word);
    return buf_view(&t->key);
}

static struct node *child_find(struct trie *t, const struct node *parent, struct topic_word w)
{
    switch (w.kind) {
    case TOPIC_ONE:
        return parent->one;
    case TOPIC_MANY:
        return parent->many;
    case TOPIC_LITERAL:
        return parent->literals ? map_get(&t->words, word_key(t, parent, w.text)) : NULL;
    }
    CHECK_UNREACHABLE();
}

static struct node *child_add(struct trie *t, struct node *parent, struct topic_word w)
{
    bool literal = w.kind == TOPIC_LITERAL;
    struct bytes key = literal ? word_key(t, parent, w.text) : bytes_of(NULL, 0);
    struct node *n = node_new(t, parent, w.kind, key);

    if (literal) {
        CHECK(!map_put(&t->words, node_key(n), n));
        parent->literals++;
    } else if (w.kind == TOPIC_ONE) {
        parent->one = n;
    } else {
        parent->many = n;
    }
    t->node_count++;
    return n;
}

static void child_remove(struct trie *t, struct node *n)
{
    struct node *parent = n->parent;

    if (n->kind == TOPIC_LITERAL) {
        CHECK(map_remove(&t->words, node_key(n)) == n);
        parent->literals--;
    } else if (n->kind == TOPIC_ONE) {
        parent->one = NULL;
    } else {
        parent->many = NULL;
    }
    t->node_count--;
    mem_free(n);
}

void trie_add(struct trie *t, struct binding *b)
{
    struct node *n = t->root;
    struct topic_word w;

    for (size_t at = 0; topic_next_pattern(binding_key(b), &at, &w);) {
        struct node *child = child_find(t, n, w);

        n = child ? child : child_add(t, n, w);
    }
    b->prev_same = NULL;
    b->next_same = n->bindings;
    if (n->bindings)
        n->bindings->prev_same = b;
    n->bindings = b;
}

static bool node_useless(const struct node *n)
{
    return n->parent && !n->bindings && !n->one && !n->many && n->literals == 0;
}

void trie_remove(struct trie *t, struct binding *b)
{
    struct node *n = t->root;
    struct topic_word w;

    for (size_t at = 0; topic_next_pattern(binding_key(b), &at, &w);) {
        n = child_find(t, n, w);
        CHECK(n);
    }
    if (b->prev_same)
        b->prev_same->next_same = b->next_same;
    else
        n->bindings = b->next_same;
    if (b->next_same)
        b->next_same->prev_same = b->prev_same;
    b->next_same = b->prev_same = NULL;

    while (node_useless(n)) {
        struct node *parent = n->parent;

        child_remove(t, n);
        n = parent;
    }
}

static void nodes_push(struct nodes *list, struct node *n)
{
    if (list->count == list->cap)
        list->at = mem_grow(list->at, &list->cap, list->count + 1, sizeof(struct node *));
    list->at[list->count++] = n;
}

/* `#` matches no word too, so who is at a node is at its `#` child as well; and
 * once there stays, whatever words follow. */
static void reach(struct trie *t, struct nodes *list, struct node *n)
{
    nodes_push(list, n);
    for (n = n->many; n && n->reached != t->serial; n = n->many) {
        n->reached = t->serial;
        nodes_push(&t->many, n);
    }
}

static void step(struct trie *t, struct node *n, struct bytes word)
{
    struct node *child = child_find(t, n, (struct topic_word){ TOPIC_LITERAL, word });

    if (child)
        reach(t, &t->then, child);
    if (n->one)
        reach(t, &t->then, n->one);
}

static size_t collect(struct trie *t, const struct nodes *list, size_t count)
{
    t->hit = mem_grow(t->hit, &t->hit_cap, count + list->count, sizeof(struct binding *));
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i]->bindings)
            t->hit[count++] = list->at[i]->bindings;
    return count;
}

struct binding *const *trie_match(struct trie *t, struct bytes key, size_t *count)
{
    struct bytes word;

    t->serial++;
    t->now.count = t->many.count = 0;
    reach(t, &t->now, t->root);
    for (size_t at = 0; topic_next(key, &at, &word);) {
        size_t before = t->many.count; /* those reached by this word come after it */

        t->then.count = 0;
        for (size_t i = 0; i < t->now.count; i++)
            step(t, t->now.at[i], word);
        for (size_t i = 0; i < before; i++)
            step(t, t->many.at[i], word);

        struct nodes swap = t->now;
        t->now = t->then;
        t->then = swap;
    }
    *count = collect(t, &t->many, collect(t, &t->now, 0));
    return t->hit;
}

size_t trie_nodes(const struct trie *t)
{
    return t->node_count;
}

/* Frees what hangs below `*` and `#`, leaf by leaf; words are in the map. */
static void free_unnamed(struct node *n)
{
    struct node *top = n;

    for (;;) {
        if (n->one) {
            n = n->one;
        } else if (n->many) {
            n = n->many;
        } else if (n == top) {
            return;
        } else {
            struct node *parent = n->parent;

            if (parent->one == n)
                parent->one = NULL;
            else
                parent->many = NULL;
            mem_free(n);
            n = parent;
        }
    }
}

void trie_free(struct trie **t)
{
    if (!*t)
        return;

    struct trie *k = *t;
    struct node *n;

    free_unnamed(k->root);
    for (size_t at = 0; (n = map_next(&k->words, &at));) {
        free_unnamed(n);
        mem_free(n);
    }
    mem_free(k->root);
    map_fini(&k->words);
    buf_fini(&k->key);
    mem_free(k->now.at);
    mem_free(k->then.at);
    mem_free(k->many.at);
    mem_free(k->hit);
    mem_free(k);
    *t = NULL;
}
