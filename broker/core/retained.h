// SPDX-License-Identifier: MIT
/* retained.h - the last message of each routing key, by vhost.
 *
 * Private to the core.  A tree by words (proto/topic.h): a node is a beginning of
 * routing keys, so a look-up costs what the nodes cost that its pattern reaches.
 * Nothing here recurses.  What changed is written once a commit: the node is noted
 * until the commit is sealed, and stays that long though it holds nothing.
 *
 * Owner: the vhost owns its tree, a node its message. */
#ifndef CORE_RETAINED_H
#define CORE_RETAINED_H

#include "base/buf.h"
#include "base/heap.h"
#include "base/map.h"
#include "broker/core/core.h"

struct vhost;

struct kept;

/* In core->retained.expiring, by the time. */
struct kept_expiry {
    struct heap_node node;
    struct retained_tree *tree;
    struct kept *kept;
};

struct kept {
    struct retained_node *node;
    struct kept_expiry *expiry; /* NULL: it stays */
    uint64_t stored_ms;
    uint32_t props_n, body_n;
    uint8_t key_n;
    uint8_t bytes[]; /* routing key, properties, body */
};

struct retained_node {
    struct retained_node *child, *next, *prev; /* the first below it; beside it */
    struct kept *kept;                         /* NULL: none of its own */
    bool stored;                               /* it has a row, or a commit under way makes one */
    bool changed;                              /* in core->retained.change */
    bool reached;                              /* during a look-up */
    uint8_t word_n;
    struct retained_node *parent; /* with the word its key in `words` */
    uint8_t word[];
};

struct retained_tree {
    uint64_t vhost_id;
    struct retained_node *root;
    struct map words; /* all nodes but the root */
    struct buf key;   /* of a look-up */
    uint64_t *bytes;  /* core->retained.bytes */
};

struct retained_nodes {
    struct retained_node **at;
    size_t count, cap;
};

struct retained_change {
    struct retained_tree *tree;
    struct retained_node *node;
};

struct retained {
    struct heap expiring;
    struct retained_change *change;
    size_t change_count, change_cap;
    struct retained_view *view; /* of the last look-up */
    size_t view_cap;
    uint64_t count, bytes; /* bytes: of memory, nodes included */
};

/* ---- retained_tree.c: words ---- */

struct retained_tree *retained_tree_new(uint64_t vhost_id, uint64_t seed, uint64_t *bytes);
void retained_tree_free(struct retained_tree **t); /* with the messages */

struct retained_node *retained_tree_find(struct retained_tree *t, struct bytes key);
struct retained_node *retained_tree_add(struct retained_tree *t, struct bytes key);
/* What adding the key would take. */
size_t retained_tree_cost(struct retained_tree *t, struct bytes key);
/* Frees the node, and those above it, as far as they are of no use. */
void retained_tree_prune(struct retained_tree *t, struct retained_node *n);
/* Appends the words that lead to it, with dots between. */
void retained_tree_key(const struct retained_node *n, struct buf *out);
/* Appends the nodes of all keys that the pattern matches, each once. */
void retained_tree_match(struct retained_tree *t, struct bytes pattern, bool skip_dollar,
                         struct retained_nodes *out);

/* ---- retained.c ---- */

/* Removes what expired. */
void retained_run(struct core *c);
/* Changed ones go into the commit. */
void retained_seal(struct core *c, struct commit *commit);
void retained_recover(struct core *c, const struct def_retained *d);
void retained_fini(struct core *c); /* after the vhosts */

size_t kept_bytes(const struct kept *k);
/* With the message that it has. */
size_t retained_node_bytes(const struct retained_node *n);

static inline uint64_t kept_expires_ms(const struct kept *k)
{
    return k->expiry ? k->expiry->node.key : 0;
}

#endif
