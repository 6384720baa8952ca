// SPDX-License-Identifier: MIT
#include <inttypes.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/core/exchange.h"
#include "broker/core/refuse.h"
#include "broker/core/state.h"
#include "broker/core/trie.h"
#include "proto/table.h"

/* What leads from where to where. */
struct ends {
    struct exchange *from;
    struct queue *queue; /* one of the two */
    struct exchange *to;
};

static bool ends_stored(const struct ends *e)
{
    return e->from->durable && (e->queue ? queue_stored(e->queue) : e->to->durable);
}

/* Arguments in order of name, so that those that say the same are the same. */
static void put_sorted(struct buf *out, struct header_index *h, struct bytes arguments)
{
    header_index_fill(h, arguments);
    for (size_t i = 0; i < h->count; i++)
        table_put_value(out, h->field[i].name, &h->field[i].value);
}

/* In no list and no map yet. */
static struct binding *binding_new(struct core *c, const struct ends *e, struct bytes key,
                                   struct bytes arguments)
{
    uint64_t target = e->queue ? e->queue->id : e->to->id;
    struct buf identity = { 0 };
    struct binding *b;
    size_t key_at;

    buf_u64(&identity, target); /* no exchange has the id of a queue */
    buf_u8(&identity, (uint8_t)key.n);
    key_at = identity.n;
    buf_bytes(&identity, key);
    put_sorted(&identity, &c->routed.headers, arguments);

    b = mem_zalloc(sizeof *b + identity.n);
    memcpy(b->bytes, identity.p, identity.n);
    b->exchange = e->from;
    b->queue = e->queue;
    b->to = e->to;
    b->bytes_n = (uint32_t)identity.n;
    b->key_at = (uint32_t)key_at;
    b->key_n = (uint32_t)key.n;
    list_init(&b->in_exchange);
    list_init(&b->in_target);
    buf_fini(&identity);
    return b;
}

static void direct_add(struct exchange *x, struct binding *b)
{
    b->next_same = map_put(&x->direct, binding_key(b), b);
    if (b->next_same)
        b->next_same->prev_same = b;
}

static void direct_remove(struct exchange *x, struct binding *b)
{
    if (b->next_same)
        b->next_same->prev_same = b->prev_same;
    if (b->prev_same)
        b->prev_same->next_same = b->next_same;
    else if (b->next_same)
        map_put(&x->direct, binding_key(b->next_same), b->next_same);
    else
        map_remove(&x->direct, binding_key(b));
}

static void binding_link(struct core *c, struct binding *b)
{
    struct exchange *x = b->exchange;

    CHECK(!map_put(&x->bound, binding_identity(b), b));
    list_push_back(&x->bindings, &b->in_exchange);
    list_push_back(b->queue ? &b->queue->bindings : &b->to->inbound, &b->in_target);
    if (x->type == EXCHANGE_DIRECT)
        direct_add(x, b);
    else if (x->type == EXCHANGE_TOPIC)
        trie_add(x->topic, b);
    c->binding_count++;
}

void binding_free(struct core *c, struct binding **bp)
{
    struct binding *b = *bp;
    struct exchange *x = b->exchange;

    CHECK(map_remove(&x->bound, binding_identity(b)) == b);
    list_remove(&b->in_exchange);
    list_remove(&b->in_target);
    if (x->type == EXCHANGE_DIRECT)
        direct_remove(x, b);
    else if (x->type == EXCHANGE_TOPIC)
        trie_remove(x->topic, b);
    c->binding_count--;
    mem_free(b);
    *bp = NULL;
}

void binding_remove(struct core *c, struct binding *b)
{
    if (b->id)
        core_op(c, OP_BINDING_DELETE)->id = b->id;
    binding_free(c, &b);
}

static void binding_store(struct core *c, const struct binding *b)
{
    struct commit *commit = core_open_commit(c);
    struct op *o = core_op(c, OP_BINDING_PUT);

    o->binding = (struct def_binding){
        .id = b->id,
        .vhost_id = b->exchange->vhost->id,
        .exchange_id = b->exchange->id,
        .to_exchange = b->to != NULL,
        .target_id = b->to ? b->to->id : b->queue->id,
        .routing_key = commit_copy(commit, binding_key(b)),
        .arguments = commit_copy(commit, binding_arguments(b)),
    };
}

static enum err ends_find(const struct client *cl, const struct binding_spec *s, struct ends *out,
                          const char **why)
{
    *out = (struct ends){ .from = exchange_find(cl->vhost, s->exchange) };
    if (s->exchange.n == 0 || (s->to_exchange && s->target.n == 0))
        return refuse(why, ERR_REFUSED, "the default exchange has no bindings of its own");
    if (!out->from)
        return refuse(why, ERR_NOT_FOUND, "no such exchange");
    if (s->to_exchange) {
        out->to = exchange_find(cl->vhost, s->target);
        return out->to ? OK : refuse(why, ERR_NOT_FOUND, "no such exchange to bind to");
    }
    out->queue = queue_find(cl->vhost, s->target);
    if (!out->queue || out->queue->delay)
        return refuse(why, ERR_NOT_FOUND, "no such queue");
    if (client_locked_out(cl, out->queue))
        return refuse(why, ERR_LOCKED, "queue is exclusive to another connection");
    return OK;
}

static enum err spec_check(const struct client *cl, const struct binding_spec *s, struct ends *out,
                           const char **why)
{
    if (s->routing_key.n > TOPOLOGY_NAME_MAX_BYTES)
        return refuse(why, ERR_INVALID, "the routing key is too long");
    if (s->arguments.n > TOPOLOGY_ARGUMENTS_MAX_BYTES || !table_valid(s->arguments))
        return refuse(why, ERR_INVALID, "binding arguments are too long or malformed");
    return ends_find(cl, s, out, why);
}

enum err core_bind(struct core *c, client_id id, const struct binding_spec *s, const char **why)
{
    struct client *cl = client_get(c, id);
    enum headers_match match = MATCH_ALL;
    struct binding *b;
    struct ends ends;
    enum err e = spec_check(cl, s, &ends, why);

    if (e != OK)
        return e;
    if (ends.from->type == EXCHANGE_HEADERS && !headers_match_kind(s->arguments, &match))
        return refuse(why, ERR_INVALID, "x-match must be all, any, all-with-x or any-with-x");

    b = binding_new(c, &ends, s->routing_key, s->arguments);
    if (map_get(&ends.from->bound, binding_identity(b))) {
        mem_free(b);
        return OK;
    }
    if (c->binding_count >= c->opt.bindings) {
        mem_free(b);
        return refuse(why, ERR_LIMIT, "too many bindings");
    }
    b->match = match;
    binding_link(c, b);
    if (ends_stored(&ends)) {
        b->id = c->next_def_id++;
        binding_store(c, b);
        client_did(c, cl);
    }
    return OK;
}

static void unbind(struct core *c, struct binding *b)
{
    struct exchange *x = b->exchange;

    binding_remove(c, b);
    if (exchange_left(x))
        exchange_remove(c, x);
}

enum err core_unbind(struct core *c, client_id id, const struct binding_spec *s, const char **why)
{
    struct client *cl = client_get(c, id);
    struct binding *probe, *b;
    struct ends ends;
    enum err e = spec_check(cl, s, &ends, why);

    if (e != OK)
        return e;
    probe = binding_new(c, &ends, s->routing_key, s->arguments);
    b = map_get(&ends.from->bound, binding_identity(probe));
    mem_free(probe);
    if (b) {
        unbind(c, b);
        client_did(c, cl);
    }
    return OK;
}

void exchange_unbind_queue(struct core *c, struct queue *q)
{
    struct list *node;

    while ((node = list_first(&q->bindings)))
        unbind(c, container_of(node, struct binding, in_target));
}

/* The cursor is the place in the list of the binding that was given last. */
bool core_queue_binding_next(const struct core *c, client_id id, struct bytes queue, size_t *at,
                             struct binding_view *out)
{
    const struct queue *q = queue_find(client_get(c, id)->vhost, queue);
    const struct list *node;

    if (!q)
        return false;
    node = *at ? ((const struct list *)(uintptr_t)*at)->next : q->bindings.next;
    if (node == &q->bindings)
        return false;
    const struct binding *b = (const void *)((const char *)node -
                                             offsetof(struct binding, in_target));
    *out = (struct binding_view){ .exchange = bytes_str(b->exchange->name),
                                  .routing_key = binding_key(b),
                                  .arguments = binding_arguments(b) };
    *at = (size_t)(uintptr_t)node;
    return true;
}

static bool ends_by_id(const struct core *c, const struct def_binding *d, struct ends *out)
{
    struct bytes target = map_key_u64(&d->target_id);

    *out = (struct ends){ .from = map_get(&c->exchange_by_id, map_key_u64(&d->exchange_id)) };
    if (d->to_exchange)
        out->to = map_get(&c->exchange_by_id, target);
    else
        out->queue = map_get(&c->queue_by_id, target);
    return out->from && (out->to || out->queue);
}

void binding_recover(struct core *c, const struct def_binding *d)
{
    struct ends ends;
    enum headers_match match;

    if (d->id >= c->next_def_id)
        c->next_def_id = d->id + 1;
    if (!ends_by_id(c, d, &ends) || d->routing_key.n > TOPOLOGY_NAME_MAX_BYTES ||
        !table_valid(d->arguments) || !headers_match_kind(d->arguments, &match)) {
        c->unusable_defs = true;
        log_error("recover.binding", "id=%" PRIu64 " why=unusable", d->id);
        return;
    }

    struct binding *b = binding_new(c, &ends, d->routing_key, d->arguments);

    if (map_get(&ends.from->bound, binding_identity(b))) {
        mem_free(b);
        return;
    }
    b->id = d->id;
    b->match = match;
    binding_link(c, b);
}
