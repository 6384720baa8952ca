// SPDX-License-Identifier: MIT
/* trie.h - the bindings of a topic exchange, by the words of their patterns.
 *
 * Private to the core.  A node is a prefix of patterns; words are as in
 * proto/topic.h.  A key costs what the nodes cost that its words can reach, not
 * what bindings there are, and no node is looked at twice for one word however
 * many `#` a pattern has.  Nothing here recurses.
 *
 * Owner: the exchange.  Bindings are the caller's; the trie links those of one
 * pattern through next_same and prev_same. */
#ifndef CORE_TRIE_H
#define CORE_TRIE_H

#include "base/bytes.h"

struct binding;
struct trie;

/* `seed` is that of the hashes. */
struct trie *trie_new(uint64_t seed);
void trie_free(struct trie **t); /* not the bindings */

/* The pattern is the binding's key. */
void trie_add(struct trie *t, struct binding *b);
void trie_remove(struct trie *t, struct binding *b);

/* The first binding of each pattern that matches; the others follow by
 * next_same.  Valid until the next call for this trie. */
struct binding *const *trie_match(struct trie *t, struct bytes key, size_t *count);

/* Nodes besides the root: none without a binding at it or below it. */
size_t trie_nodes(const struct trie *t);

#endif
