// SPDX-License-Identifier: MIT
/* Transactions: calls are staged, and done in one go, so all of them are in one
 * commit: atomic over any number of queues. */
#include "base/check.h"
#include "base/mem.h"
#include "broker/core/publish.h"
#include "broker/core/state.h"

struct staged_publish {
    struct publish p;  /* its views are set anew when it is needed */
    size_t at;         /* exchange, routing key, properties, body follow each other */
    size_t headers_at; /* from the start of the properties */
    bool unrouted;
};

struct staged_settle {
    consumer_id consumer;
    uint64_t tag;
    bool upto;
    enum settle how;
};

struct tx {
    struct core *core;
    client_id client;
    struct buf bytes;
    struct staged_publish *publish;
    size_t publish_count, publish_cap;
    struct staged_settle *settle;
    size_t settle_count, settle_cap;
    struct list in_done;
};

struct tx *core_tx_begin(struct core *c, client_id id)
{
    struct tx *t = mem_new(struct tx);

    t->core = c;
    t->client = id;
    list_init(&t->in_done);
    return t;
}

bool core_tx_publish(struct tx *t, const struct publish *p)
{
    const struct message *m = &p->m;
    struct staged_publish *s;

    if (t->bytes.n + m->body.n + m->props.n + p->headers.n + sizeof *s * t->publish_count >
        t->core->opt.transaction_bytes)
        return false;
    t->publish = mem_grow(t->publish, &t->publish_cap, t->publish_count + 1, sizeof *s);
    s = &t->publish[t->publish_count++];
    s->p = *p;
    s->at = t->bytes.n;
    s->unrouted = false;
    s->headers_at = 0;
    buf_bytes(&t->bytes, m->exchange);
    buf_bytes(&t->bytes, m->routing_key);
    buf_bytes(&t->bytes, m->props);
    buf_bytes(&t->bytes, m->body);
    if (p->headers_apart)
        buf_bytes(&t->bytes, p->headers);
    else
        s->headers_at = p->headers.n ? (size_t)(p->headers.p - m->props.p) : 0;
    return true;
}

static struct publish unstage(const struct tx *t, const struct staged_publish *s)
{
    struct publish p = s->p;
    const uint8_t *at = t->bytes.p + s->at;

    p.m.exchange.p = at;
    p.m.routing_key.p = p.m.exchange.p + p.m.exchange.n;
    p.m.props.p = p.m.routing_key.p + p.m.routing_key.n;
    p.m.body.p = p.m.props.p + p.m.props.n;
    p.headers.p = p.headers_apart ? p.m.body.p + p.m.body.n : p.m.props.p + s->headers_at;
    return p;
}

void core_tx_settle(struct tx *t, consumer_id consumer, uint64_t tag, bool upto, enum settle how)
{
    t->settle = mem_grow(t->settle, &t->settle_cap, t->settle_count + 1, sizeof *t->settle);
    t->settle[t->settle_count++] = (struct staged_settle){ consumer, tag, upto, how };
}

void core_tx_abort(struct tx **tp)
{
    struct tx *t = *tp;

    if (!t)
        return;
    list_remove(&t->in_done);
    for (size_t i = 0; i < t->publish_count; i++)
        if (t->publish[i].p.m.blob_id)
            core_blob_abort(t->core, t->publish[i].p.m.blob_id); /* unless it was published */
    buf_fini(&t->bytes);
    mem_free(t->publish);
    mem_free(t->settle);
    mem_free(t);
    *tp = NULL;
}

static enum publish_result check_all(struct core *c, struct tx *t, const char **why)
{
    struct client *cl = client_get(c, t->client);

    for (size_t i = 0; i < t->publish_count; i++) {
        struct publish p = unstage(t, &t->publish[i]);
        enum publish_result r = publish_check(c, cl, &p, why);

        if (r != PUBLISH_ROUTED && r != PUBLISH_UNROUTED)
            return r;
    }
    return PUBLISH_ROUTED;
}

static void settle_all(struct core *c, struct tx *t)
{
    for (size_t i = 0; i < t->settle_count; i++) {
        const struct staged_settle *s = &t->settle[i];
        enum err e = core_settle(c, t->client, s->consumer, s->tag, s->upto, s->how, c->now_ms);

        (void)e; /* gone meanwhile: passed over, as promised */
    }
}

/* Sets *returns when there are effects that need the transaction's messages. */
static enum publish_result publish_all(struct core *c, struct tx *t, bool *returns)
{
    struct client *cl = client_get(c, t->client);
    enum publish_result r = PUBLISH_ROUTED;

    for (size_t i = 0; i < t->publish_count; i++) {
        struct publish p = unstage(t, &t->publish[i]);

        if (publish_now(c, cl, &p) != PUBLISH_UNROUTED)
            continue;
        r = PUBLISH_UNROUTED;
        if (!p.mandatory)
            continue;
        struct effect *e = core_effect(c, EFFECT_RETURN, t->client);
        e->tx = t;
        e->slot = (uint32_t)i;
        *returns = true;
    }
    return r;
}

enum publish_result core_tx_commit(struct core *c, struct tx **tp, const char **why,
                                   uint64_t now_ms)
{
    struct tx *t = *tp;
    const char *unused;
    bool returns = false;

    c->now_ms = now_ms;
    enum publish_result r = check_all(c, t, why ? why : &unused);
    if (r != PUBLISH_ROUTED) {
        core_tx_abort(tp);
        return r;
    }
    settle_all(c, t);
    r = publish_all(c, t, &returns);
    if (!returns) {
        core_tx_abort(tp);
        return r;
    }
    list_push_back(&c->done_txs, &t->in_done);
    *tp = NULL;
    return r;
}

void tx_message(const struct tx *t, uint32_t i, struct message *out)
{
    *out = unstage(t, &t->publish[i]).m;
}

void tx_sweep(struct core *c)
{
    struct list *node;

    while ((node = list_pop(&c->done_txs))) {
        struct tx *t = container_of(node, struct tx, in_done);

        core_tx_abort(&t);
    }
}
