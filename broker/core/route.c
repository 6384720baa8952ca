// SPDX-License-Identifier: MIT
/* route.c - where a message goes: one pass over the exchanges it reaches. */
#include "base/mem.h"
#include "broker/core/state.h"
#include "broker/core/trie.h"
#include "proto/table.h"

/* A message under way.  Exchanges still to be looked at hang together by
 * exchange->next: each enters once, so cycles end and no stack is needed. */
struct pass {
    struct routed *out;
    struct bytes headers, key;
    struct bytes cc, bcc; /* arrays of further keys */
    struct exchange *last;
    bool indexed; /* out->headers is of this message */
};

struct keys {
    unsigned stage;
    struct table_iter it;
};

static void find_copies(struct pass *p)
{
    struct table_iter it = table_iter(p->headers);
    struct table_value v;
    struct bytes name;

    while (table_next(&it, &name, &v)) {
        if (v.type == 'A' && bytes_eq(name, BYTES("CC")))
            p->cc = v.raw;
        else if (v.type == 'A' && bytes_eq(name, BYTES("BCC")))
            p->bcc = v.raw;
    }
}

static bool keys_next(const struct pass *p, struct keys *k, struct bytes *key)
{
    struct table_value v;

    if (k->stage == 0) {
        *k = (struct keys){ 1, table_iter(p->cc) };
        *key = p->key;
        return true;
    }
    for (;;) {
        while (table_next_element(&k->it, &v))
            if (table_str(&v, key))
                return true;
        if (k->stage == 2)
            return false;
        *k = (struct keys){ 2, table_iter(p->bcc) };
    }
}

void routed_add(struct routed *r, struct queue *q)
{
    if (q->routed == r->serial)
        return;
    q->routed = r->serial;
    if (r->count == r->cap)
        r->queue = mem_grow(r->queue, &r->cap, r->count + 1, sizeof(struct queue *));
    r->queue[r->count++] = q;
}

void routed_fini(struct routed *r)
{
    mem_free(r->queue);
    header_index_fini(&r->headers);
    *r = (struct routed){ 0 };
}

static void visit(struct pass *p, struct exchange *x)
{
    if (x->visited == p->out->serial)
        return;
    x->visited = p->out->serial;
    x->next = NULL;
    if (p->last)
        p->last->next = x;
    p->last = x;
}

static void follow(struct pass *p, const struct binding *b)
{
    if (b->queue)
        routed_add(p->out, b->queue);
    else
        visit(p, b->to);
}

static bool follow_chain(struct pass *p, const struct binding *b)
{
    bool any = b != NULL;

    for (; b; b = b->next_same)
        follow(p, b);
    return any;
}

static void add_named_queues(struct pass *p, const struct vhost *v)
{
    struct keys k = { 0 };
    struct bytes key;

    while (keys_next(p, &k, &key)) {
        struct queue *q = queue_find(v, key);

        if (q && !q->delay)
            routed_add(p->out, q);
    }
}

static bool route_direct(struct pass *p, struct exchange *x)
{
    struct keys k = { 0 };
    struct bytes key;
    bool any = false;

    while (keys_next(p, &k, &key))
        any |= follow_chain(p, map_get(&x->direct, key));
    return any;
}

static bool route_topic(struct pass *p, struct exchange *x)
{
    struct keys k = { 0 };
    struct bytes key;
    bool any = false;

    while (keys_next(p, &k, &key)) {
        size_t count;
        struct binding *const *hit = trie_match(x->topic, key, &count);

        for (size_t i = 0; i < count; i++)
            any |= follow_chain(p, hit[i]);
    }
    return any;
}

static bool route_fanout(struct pass *p, struct exchange *x)
{
    LIST_EACH (&x->bindings, node)
        follow(p, container_of(node, struct binding, in_exchange));
    return !list_empty(&x->bindings);
}

static bool route_headers(struct pass *p, struct exchange *x)
{
    bool any = false;

    if (!p->indexed)
        header_index_fill(&p->out->headers, p->headers);
    p->indexed = true;
    LIST_EACH (&x->bindings, node) {
        const struct binding *b = container_of(node, struct binding, in_exchange);

        if (headers_match(binding_arguments(b), b->match, &p->out->headers)) {
            follow(p, b);
            any = true;
        }
    }
    return any;
}

static bool (*const route_by_type[])(struct pass *, struct exchange *) = {
    [EXCHANGE_DIRECT] = route_direct,
    [EXCHANGE_FANOUT] = route_fanout,
    [EXCHANGE_TOPIC] = route_topic,
    [EXCHANGE_HEADERS] = route_headers,
};

static struct pass pass_begin(struct core *c, struct bytes routing_key, struct bytes headers)
{
    struct pass p = { .out = &c->routed, .key = routing_key, .headers = headers };

    c->routed.serial++;
    c->routed.count = 0;
    if (headers.n)
        find_copies(&p);
    return p;
}

/* The alternate belongs to the one exchange that had no match, not to the pass
 * (RabbitMQ, rabbit_exchange:process_alternate). */
static void visit_alternate(struct pass *p, const struct exchange *x)
{
    struct bytes name = bytes_str(x->alternate);
    struct exchange *to = exchange_find(x->vhost, name);

    if (name.n == 0)
        add_named_queues(p, x->vhost);
    else if (to)
        visit(p, to);
}

void exchange_route(struct core *c, struct exchange *x, struct bytes routing_key,
                    struct bytes headers)
{
    struct pass p = pass_begin(c, routing_key, headers);

    for (visit(&p, x); x; x = x->next)
        if (!route_by_type[x->type](&p, x) && x->alternate)
            visit_alternate(&p, x);
}

void exchange_route_default(struct core *c, const struct vhost *v, struct bytes routing_key,
                            struct bytes headers)
{
    struct pass p = pass_begin(c, routing_key, headers);

    add_named_queues(&p, v);
}
