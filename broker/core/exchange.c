// SPDX-License-Identifier: MIT
#include "broker/core/exchange.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/core/refuse.h"
#include "broker/core/state.h"
#include "broker/core/trie.h"
#include "proto/table.h"

/* Predeclared exchanges are not stored but their bindings are, so their ids come
 * from the vhost's: far above what the counter of ids reaches, and positive in
 * SQLite. */
#define PREDECLARED_IDS (UINT64_C(1) << 62)
enum { PREDECLARED_BITS = 3 };

/* RabbitMQ's delayed message exchange: x-delayed-type says how it routes. */
#define DELAYED_TYPE BYTES("x-delayed-message")

static const char *const type_names[] = {
    [EXCHANGE_DIRECT] = "direct",
    [EXCHANGE_FANOUT] = "fanout",
    [EXCHANGE_TOPIC] = "topic",
    [EXCHANGE_HEADERS] = "headers",
};

static const struct {
    const char *name;
    enum exchange_type type;
} predeclared[] = {
    { "amq.direct", EXCHANGE_DIRECT }, { "amq.fanout", EXCHANGE_FANOUT },
    { "amq.topic", EXCHANGE_TOPIC },   { "amq.headers", EXCHANGE_HEADERS },
    { "amq.match", EXCHANGE_HEADERS },
};

static bool type_find(struct bytes name, enum exchange_type *out)
{
    for (unsigned i = 0; i < sizeof type_names / sizeof *type_names; i++) {
        if (bytes_eq(name, bytes_str(type_names[i]))) {
            *out = (enum exchange_type)i;
            return true;
        }
    }
    return false;
}

struct exchange *exchange_find(const struct vhost *v, struct bytes name)
{
    return map_get(&v->exchanges, name);
}

/* What an exchange is made from, checked. */
struct shape {
    struct bytes name, arguments;
    enum exchange_type type;
    bool durable, auto_delete, internal, delayed;
    bool has_alternate;
    struct bytes alternate;
};

static struct exchange *exchange_new(struct core *c, struct vhost *v, uint64_t id,
                                     const struct shape *s)
{
    struct exchange *x = mem_new(struct exchange);

    x->id = id;
    x->vhost = v;
    x->name = bytes_dup_str(s->name);
    x->type = s->type;
    x->durable = s->durable;
    x->auto_delete = s->auto_delete;
    x->internal = s->internal;
    x->delayed = s->delayed;
    if (s->has_alternate)
        x->alternate = bytes_dup_str(s->alternate);
    buf_bytes(&x->arguments, s->arguments);
    list_init(&x->bindings);
    list_init(&x->inbound);
    x->bound.seed = x->direct.seed = c->opt.seed;
    if (s->type == EXCHANGE_TOPIC)
        x->topic = trie_new(c->opt.seed);
    CHECK(!map_put(&v->exchanges, bytes_str(x->name), x));
    CHECK(!map_put(&c->exchange_by_id, map_key_u64(&x->id), x));
    c->exchange_count++;
    return x;
}

void exchange_free(struct core *c, struct exchange **xp)
{
    struct exchange *x = *xp;
    struct list *node;

    if (!x)
        return;
    while ((node = list_first(&x->bindings))) {
        struct binding *b = container_of(node, struct binding, in_exchange);
        binding_free(c, &b);
    }
    while ((node = list_first(&x->inbound))) {
        struct binding *b = container_of(node, struct binding, in_target);
        binding_free(c, &b);
    }
    map_remove(&x->vhost->exchanges, bytes_str(x->name));
    map_remove(&c->exchange_by_id, map_key_u64(&x->id));
    c->exchange_count--;
    map_fini(&x->bound);
    map_fini(&x->direct);
    trie_free(&x->topic);
    buf_fini(&x->arguments);
    mem_free(x->alternate);
    mem_free(x->name);
    mem_free(x);
    *xp = NULL;
}

void exchange_predeclare(struct core *c, struct vhost *v)
{
    for (unsigned i = 0; i < sizeof predeclared / sizeof *predeclared; i++) {
        uint64_t id = PREDECLARED_IDS | v->id << PREDECLARED_BITS | i;
        struct shape s = { .name = bytes_str(predeclared[i].name),
                           .type = predeclared[i].type,
                           .durable = true };

        if (!exchange_find(v, s.name))
            exchange_new(c, v, id, &s)->predeclared = true;
    }
}

static bool has_nul(struct bytes b)
{
    return b.n > 0 && memchr(b.p, 0, b.n);
}

static bool alternate_get(struct bytes arguments, struct shape *out)
{
    struct table_value v;

    out->has_alternate = table_find(arguments, BYTES("alternate-exchange"), &v);
    return !out->has_alternate || (table_str(&v, &out->alternate) && !has_nul(out->alternate) &&
                                   out->alternate.n <= TOPOLOGY_NAME_MAX_BYTES);
}

/* From `arguments` too, which are well formed. */
static bool type_get(struct bytes type, struct bytes arguments, struct shape *out)
{
    struct table_value v;

    out->delayed = bytes_eq(type, DELAYED_TYPE);
    if (out->delayed &&
        !(table_find(arguments, BYTES("x-delayed-type"), &v) && table_str(&v, &type)))
        return false;
    return type_find(type, &out->type);
}

static enum err shape_check(const struct exchange_spec *s, struct shape *out, const char **why)
{
    *out = (struct shape){ .name = s->name,
                           .arguments = s->arguments,
                           .durable = s->durable,
                           .auto_delete = s->auto_delete,
                           .internal = s->internal };

    if (s->name.n > TOPOLOGY_NAME_MAX_BYTES || has_nul(s->name))
        return refuse(why, ERR_INVALID, "the exchange name is too long or has a NUL in it");
    if (s->arguments.n > TOPOLOGY_ARGUMENTS_MAX_BYTES || !table_valid(s->arguments))
        return refuse(why, ERR_INVALID, "exchange arguments are too long or malformed");
    if (!type_get(s->type, s->arguments, out))
        return refuse(why, ERR_INVALID,
                      out->delayed ? "x-delayed-type must be direct, fanout, topic or headers"
                                   : "unknown exchange type");
    if (!alternate_get(s->arguments, out))
        return refuse(why, ERR_INVALID, "alternate-exchange must be the name of an exchange");
    return OK;
}

static bool alternate_same(const struct exchange *x, const struct shape *s)
{
    if (!x->alternate || !s->has_alternate)
        return !x->alternate && !s->has_alternate;
    return bytes_eq(bytes_str(x->alternate), s->alternate);
}

static enum err equivalent(const struct exchange *x, const struct shape *s, const char **why)
{
    if (x->type != s->type || x->delayed != s->delayed)
        return refuse(why, ERR_EXISTS, "the exchange exists with another type");
    if (x->durable != s->durable)
        return refuse(why, ERR_EXISTS, "the exchange exists with another durable");
    if (x->auto_delete != s->auto_delete)
        return refuse(why, ERR_EXISTS, "the exchange exists with another auto_delete");
    if (x->internal != s->internal)
        return refuse(why, ERR_EXISTS, "the exchange exists with another internal");
    if (!alternate_same(x, s))
        return refuse(why, ERR_EXISTS, "the exchange exists with another alternate-exchange");
    return OK;
}

static void exchange_store(struct core *c, const struct exchange *x)
{
    struct commit *commit = core_open_commit(c);
    struct op *o = core_op(c, OP_EXCHANGE_PUT);

    o->exchange = (struct def_exchange){
        .id = x->id,
        .vhost_id = x->vhost->id,
        .name = commit_copy(commit, bytes_str(x->name)),
        .type = x->delayed ? DELAYED_TYPE : bytes_str(type_names[x->type]),
        .auto_delete = x->auto_delete,
        .internal = x->internal,
        .arguments = commit_copy(commit, buf_view(&x->arguments)),
    };
}

static enum err exchange_make(struct core *c, struct client *cl, const struct shape *s,
                              const char **why)
{
    struct exchange *x;

    if (bytes_starts(s->name, BYTES("amq.")))
        return refuse(why, ERR_REFUSED, "names beginning with amq. are reserved");
    if (c->exchange_count >= c->opt.exchanges)
        return refuse(why, ERR_LIMIT, "too many exchanges");

    x = exchange_new(c, cl->vhost, c->next_def_id++, s);
    if (x->durable) {
        exchange_store(c, x);
        client_did(c, cl);
    }
    return OK;
}

enum err core_exchange_declare(struct core *c, client_id id, const struct exchange_spec *s,
                               const char **why)
{
    struct client *cl = client_get(c, id);
    struct exchange *x = exchange_find(cl->vhost, s->name);
    struct shape shape;
    enum err e;

    if (s->name.n == 0)
        return refuse(why, ERR_REFUSED, "the default exchange cannot be declared");
    if (s->passive)
        return x ? OK : refuse(why, ERR_NOT_FOUND, "no such exchange");
    e = shape_check(s, &shape, why);
    if (e != OK)
        return e;
    return x ? equivalent(x, &shape, why) : exchange_make(c, cl, &shape, why);
}

bool exchange_left(const struct exchange *x)
{
    return x->auto_delete && list_empty(&x->bindings);
}

/* Bindings that lead to x go.  Exchanges that are left by it join the end of the
 * run of those to be removed: each but once, for it loses its last binding once. */
static struct exchange *unbind_inbound(struct core *c, struct exchange *x, struct exchange *last)
{
    struct list *node;

    while ((node = list_first(&x->inbound))) {
        struct binding *b = container_of(node, struct binding, in_target);
        struct exchange *from = b->exchange;

        binding_remove(c, b);
        if (from != x && exchange_left(from)) {
            from->next = NULL;
            last = last->next = from;
        }
    }
    return last;
}

void exchange_remove(struct core *c, struct exchange *x)
{
    struct exchange *last = x;

    x->next = NULL;
    while (x) {
        struct list *node;
        struct exchange *next;

        last = unbind_inbound(c, x, last);
        while ((node = list_first(&x->bindings)))
            binding_remove(c, container_of(node, struct binding, in_exchange));
        if (x->durable && !x->predeclared)
            core_op(c, OP_EXCHANGE_DELETE)->id = x->id;
        next = x->next;
        exchange_free(c, &x);
        x = next;
    }
}

enum err core_exchange_delete(struct core *c, client_id id, struct bytes name, bool if_unused,
                              const char **why)
{
    struct client *cl = client_get(c, id);
    struct exchange *x = exchange_find(cl->vhost, name);

    if (name.n == 0 || bytes_starts(name, BYTES("amq.")))
        return refuse(why, ERR_REFUSED, "the exchange belongs to the broker");
    if (!x)
        return refuse(why, ERR_NOT_FOUND, "no such exchange");
    if (if_unused && !list_empty(&x->bindings))
        return refuse(why, ERR_IN_USE, "the exchange has bindings");
    exchange_remove(c, x);
    client_did(c, cl);
    return OK;
}

void exchange_recover(struct core *c, const struct def_exchange *d)
{
    struct vhost *v = map_get(&c->vhost_by_id, map_key_u64(&d->vhost_id));
    struct shape s = { .name = d->name,
                       .arguments = d->arguments,
                       .durable = true,
                       .auto_delete = d->auto_delete,
                       .internal = d->internal };

    if (!v || !type_get(d->type, d->arguments, &s) || !alternate_get(d->arguments, &s) ||
        exchange_find(v, d->name)) {
        c->unusable_defs = true;
        log_error("recover.exchange", "id=%" PRIu64 " name=%s why=unusable", d->id,
                  log_text(d->name).s);
        return;
    }
    if (d->id >= c->next_def_id)
        c->next_def_id = d->id + 1;
    (void)exchange_new(c, v, d->id, &s);
}
