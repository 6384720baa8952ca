// SPDX-License-Identifier: MIT
#include "broker/core/retained.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/core/refuse.h"
#include "broker/core/state.h"

/* What expired all at once goes over several turns. */
enum { VIEWS_KEPT = 1024, EXPIRED_A_TURN = 4096 };

static size_t kept_size(size_t key_n, size_t props_n, size_t body_n, bool expires)
{
    return sizeof(struct kept) + key_n + props_n + body_n +
           (expires ? sizeof(struct kept_expiry) : 0);
}

size_t kept_bytes(const struct kept *k)
{
    return kept_size(k->key_n, k->props_n, k->body_n, k->expiry != NULL);
}

static struct bytes kept_key(const struct kept *k)
{
    return bytes_of(k->bytes, k->key_n);
}

static struct bytes kept_props(const struct kept *k)
{
    return bytes_of(k->bytes + k->key_n, k->props_n);
}

static struct bytes kept_body(const struct kept *k)
{
    return bytes_of(k->bytes + k->key_n + k->props_n, k->body_n);
}

static uint8_t *append(uint8_t *to, struct bytes b)
{
    if (b.n)
        memcpy(to, b.p, b.n);
    return to + b.n;
}

/* ---- what is kept changes ---- */

static void kept_free(struct core *c, struct kept *k)
{
    c->retained.bytes -= kept_bytes(k);
    c->retained.count--;
    if (k->expiry)
        heap_remove(&c->retained.expiring, &k->expiry->node);
    mem_free(k->expiry);
    mem_free(k);
}

static void expire_at(struct core *c, struct retained_tree *t, struct kept *k, uint64_t at_ms)
{
    if (at_ms == 0)
        return;
    k->expiry = mem_new(struct kept_expiry);
    k->expiry->tree = t;
    k->expiry->kept = k;
    heap_push(&c->retained.expiring, &k->expiry->node, at_ms);
}

static struct retained_node *keep(struct core *c, struct retained_tree *t,
                                  const struct def_retained *d)
{
    struct retained_node *n = retained_tree_add(t, d->routing_key);
    struct kept *k = mem_alloc(sizeof *k + d->routing_key.n + d->props.n + d->body.n);

    *k = (struct kept){ .node = n,
                        .stored_ms = d->stored_ms,
                        .props_n = (uint32_t)d->props.n,
                        .body_n = (uint32_t)d->body.n,
                        .key_n = (uint8_t)d->routing_key.n };
    append(append(append(k->bytes, d->routing_key), d->props), d->body);
    expire_at(c, t, k, d->expires_ms);
    if (n->kept)
        kept_free(c, n->kept);
    n->kept = k;
    c->retained.count++;
    c->retained.bytes += kept_bytes(k);
    return n;
}

static void note_change(struct core *c, struct retained_tree *t, struct retained_node *n)
{
    struct retained *r = &c->retained;

    if (n->changed)
        return;
    n->changed = true;
    r->change = mem_grow(r->change, &r->change_cap, r->change_count + 1, sizeof *r->change);
    r->change[r->change_count++] = (struct retained_change){ t, n };
}

static void drop(struct core *c, struct retained_tree *t, struct retained_node *n)
{
    if (!n->kept)
        return;
    kept_free(c, n->kept);
    n->kept = NULL;
    note_change(c, t, n);
}

static struct vhost *vhost_of(const struct core *c, uint64_t id)
{
    return map_get(&c->vhost_by_id, map_key_u64(&id));
}

static struct retained_tree *tree_of(struct core *c, struct vhost *v)
{
    if (!v->retained)
        v->retained = retained_tree_new(v->id, c->opt.seed, &c->retained.bytes);
    return v->retained;
}

static uint64_t expires_at(const struct core *c, const struct publish *p)
{
    if (!p->has_ttl || p->ttl_ms >= UINT64_MAX - c->now_ms)
        return 0;
    return c->now_ms + p->ttl_ms ? c->now_ms + p->ttl_ms : 1;
}

static const char *over_limit(struct core *c, struct retained_tree *t, const struct publish *p)
{
    const struct message *m = &p->m;
    const struct retained_node *n = retained_tree_find(t, m->routing_key);
    size_t old = n && n->kept ? kept_bytes(n->kept) : 0;
    size_t path = n ? 0 : retained_tree_cost(t, m->routing_key);
    size_t now = kept_size(m->routing_key.n, m->props.n, m->body.n, expires_at(c, p) > 0);

    if (old == 0 && c->retained.count >= c->opt.retained)
        return "too many retained messages on this node";
    if (now > old && c->retained.bytes - old + now + path > c->opt.retained_bytes)
        return "retained messages would take too much memory";
    return NULL;
}

static const char *refusal(struct core *c, struct vhost *v, const struct publish *p)
{
    if (c->opt.retained == 0)
        return "no retained messages are kept here";
    if (p->m.blob_id || p->m.body.n > RETAINED_BODY_MAX_BYTES)
        return "message is too large to be retained";
    if (c->disk_low)
        return "disk is full: free space is below disk_reserve";
    return over_limit(c, tree_of(c, v), p);
}

static void remove_key(struct core *c, struct vhost *v, struct bytes key)
{
    struct retained_node *n = v->retained ? retained_tree_find(v->retained, key) : NULL;

    if (n)
        drop(c, v->retained, n);
}

static void keep_publish(struct core *c, struct vhost *v, const struct publish *p)
{
    struct def_retained d = { .routing_key = p->m.routing_key,
                              .props = p->m.props,
                              .body = p->m.body,
                              .stored_ms = c->now_ms,
                              .expires_ms = expires_at(c, p) };

    note_change(c, v->retained, keep(c, v->retained, &d));
    c->retain.unsealed_bytes += d.body.n;
}

enum err core_retain(struct core *c, client_id id, const struct publish *p, const char **why,
                     uint64_t now_ms)
{
    struct client *cl = client_get(c, id);
    struct bytes key = p->m.routing_key;

    c->now_ms = now_ms;
    if (key.n > TOPOLOGY_NAME_MAX_BYTES || (key.n && memchr(key.p, 0, key.n)))
        return refuse(why, ERR_INVALID, "the routing key is too long or holds a NUL");
    if (p->m.body.n == 0 && !p->m.blob_id) {
        client_did(c, cl);
        remove_key(c, cl->vhost, key);
        return OK;
    }
    const char *text = refusal(c, cl->vhost, p);
    if (text) {
        c->stats.refused++;
        return refuse(why, ERR_LIMIT, text);
    }
    client_did(c, cl);
    keep_publish(c, cl->vhost, p);
    return OK;
}

void retained_run(struct core *c)
{
    for (int i = 0; i < EXPIRED_A_TURN; i++) {
        struct heap_node *node = heap_min(&c->retained.expiring);

        if (!node || node->key > c->now_ms)
            return;
        const struct kept_expiry *e = container_of(node, struct kept_expiry, node);

        drop(c, e->tree, e->kept->node);
    }
}

/* ---- looking for them ---- */

static int by_key(const void *a, const void *b)
{
    const struct retained_view *x = a, *y = b;

    return bytes_cmp(x->routing_key, y->routing_key);
}

/* Room for one large answer is not kept. */
static void view_reset(struct retained *r)
{
    if (r->view_cap <= VIEWS_KEPT)
        return;
    mem_free(r->view);
    r->view = NULL;
    r->view_cap = 0;
}

size_t core_retained_find(struct core *c, uint64_t vhost_id, struct bytes pattern, bool skip_dollar,
                          const struct retained_view **out, uint64_t now_ms)
{
    struct retained *r = &c->retained;
    struct retained_nodes found = { 0 };
    const struct vhost *v = vhost_of(c, vhost_id);
    size_t n = 0;

    c->now_ms = now_ms;
    retained_run(c);
    view_reset(r);
    if (v && v->retained)
        retained_tree_match(v->retained, pattern, skip_dollar, &found);
    for (size_t i = 0; i < found.count; i++) {
        const struct kept *k = found.at[i]->kept;

        if (!k || (k->expiry && kept_expires_ms(k) <= now_ms))
            continue;
        r->view = mem_grow(r->view, &r->view_cap, n + 1, sizeof *r->view);
        r->view[n++] = (struct retained_view){ .routing_key = kept_key(k),
                                               .props = kept_props(k),
                                               .body = kept_body(k),
                                               .stored_ms = k->stored_ms,
                                               .expires_ms = kept_expires_ms(k) };
    }
    mem_free(found.at);
    if (n > 0)
        qsort(r->view, n, sizeof *r->view, by_key);
    *out = r->view;
    return n;
}

/* ---- the disk ---- */

static void put_row(struct commit *commit, const struct retained_tree *t, const struct kept *k)
{
    struct op *op = commit_op(commit, OP_RETAINED_PUT);

    op->retained = (struct def_retained){ .vhost_id = t->vhost_id,
                                          .routing_key = commit_copy(commit, kept_key(k)),
                                          .props = commit_copy(commit, kept_props(k)),
                                          .body = commit_copy(commit, kept_body(k)),
                                          .stored_ms = k->stored_ms,
                                          .expires_ms = kept_expires_ms(k) };
}

static void delete_row(struct commit *commit, const struct retained_tree *t,
                       const struct retained_node *n)
{
    struct op *op = commit_op(commit, OP_RETAINED_DELETE);
    struct buf key = { 0 };

    retained_tree_key(n, &key);
    op->retained.vhost_id = t->vhost_id;
    op->retained.routing_key = commit_copy(commit, buf_view(&key));
    buf_fini(&key);
}

void retained_seal(struct core *c, struct commit *commit)
{
    struct retained *r = &c->retained;

    for (size_t i = 0; i < r->change_count; i++) {
        struct retained_tree *t = r->change[i].tree;
        struct retained_node *n = r->change[i].node;

        if (n->kept)
            put_row(commit, t, n->kept);
        else if (n->stored)
            delete_row(commit, t, n);
        n->changed = false;
        n->stored = n->kept != NULL;
        retained_tree_prune(t, n);
    }
    r->change_count = 0;
}

void retained_recover(struct core *c, const struct def_retained *d)
{
    struct vhost *v = vhost_of(c, d->vhost_id);

    if (!v || d->routing_key.n > TOPOLOGY_NAME_MAX_BYTES) {
        log_error("recover.retained", "vhost=%" PRIu64 " routing_key=%s why=unusable", d->vhost_id,
                  log_text(d->routing_key).s);
        return;
    }
    keep(c, tree_of(c, v), d)->stored = true;
}

void retained_fini(struct core *c)
{
    heap_fini(&c->retained.expiring);
    mem_free(c->retained.change);
    mem_free(c->retained.view);
}
