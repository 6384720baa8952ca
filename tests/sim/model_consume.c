// SPDX-License-Identifier: MIT
/* Subscriptions of a client, and its answers. */
#include <inttypes.h>

#include "base/mem.h"
#include "tests/sim/model_client.h"
#include "tests/sim/trace.h"

enum { SUBSCRIPTIONS_MAX = 4 };

/* ---- SUBSCRIBE ---- */

static struct subscription *subscribe(struct client *c, int queue, const char *topic,
                                      enum ack_mode mode, uint32_t prefetch)
{
    static const char *const modes[] = { "auto", "client", "client-individual" };
    struct subscription *s = mem_new(struct subscription);
    const char *name = topic ? topic : sim_queues[queue].name;

    c->sub = mem_grow(c->sub, &c->sub_cap, c->sub_count + 1, sizeof *c->sub);
    c->sub[c->sub_count++] = s;
    s->number = c->sub_count;
    s->queue = queue;
    s->topic = topic;
    s->mode = mode;
    s->active = true;
    s->prefetch = prefetch ? prefetch : c->world->env.stomp_prefetch;
    client_frame(c, STOMP_CMD_SUBSCRIBE);
    client_header_fmt(c, "id", "s", s->number);
    buf_fmt(&c->wire->up, "destination:%s%s\n", topic ? "" : "/queue/", name);
    client_header(c, "ack", bytes_str(modes[mode]));
    if (prefetch)
        client_header_u64(c, "prefetch-count", prefetch);
    uint64_t receipt = client_ask_receipt(c);
    client_end_frame(c, (struct bytes){ NULL, 0 });
    trace("client %u subscribes s%" PRIu64 " to %s, %s, prefetch %u, receipt %" PRIu64, c->no,
          s->number, name, modes[mode], s->prefetch, receipt);
    (void)client_promise(c, receipt);
    return s;
}

struct subscription *client_subscribe(struct client *c, int queue, enum ack_mode mode,
                                      uint32_t prefetch)
{
    return subscribe(c, queue, NULL, mode, prefetch);
}

static size_t active_count(const struct client *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->sub_count; i++)
        n += c->sub[i]->active;
    return n;
}

static struct subscription *some_subscription(struct client *c)
{
    if (c->sub_count == 0)
        return NULL;
    size_t start = rng_below(&c->world->rng, (uint32_t)c->sub_count);
    for (size_t i = 0; i < c->sub_count; i++) {
        struct subscription *s = c->sub[(start + i) % c->sub_count];

        if (s->active)
            return s;
    }
    return NULL;
}

void client_subscribe_some(struct client *c)
{
    struct rng *r = &c->world->rng;
    enum ack_mode mode = rng_one_in(r, 5)   ? ACK_AUTO
                         : rng_one_in(r, 2) ? ACK_CLIENT
                                            : ACK_INDIVIDUAL;

    uint32_t prefetch = rng_one_in(r, 3) ? 0 : 1 + rng_below(r, 20);

    if (active_count(c) == SUBSCRIPTIONS_MAX)
        return;
    if (rng_one_in(r, 5))
        (void)subscribe(c, NOWHERE, sim_topics[rng_below(r, TOPICS)], mode, prefetch);
    else
        (void)subscribe(c, (int)rng_below(r, QUEUES), NULL, mode, prefetch);
}

void client_unsubscribe_some(struct client *c)
{
    struct subscription *s = some_subscription(c);

    if (!s)
        return;
    client_frame(c, STOMP_CMD_UNSUBSCRIBE);
    client_header_fmt(c, "id", "s", s->number);
    uint64_t receipt = client_ask_receipt(c);
    client_end_frame(c, (struct bytes){ NULL, 0 });
    trace("client %u unsubscribes s%" PRIu64 " receipt %" PRIu64, c->no, s->number, receipt);
    client_promise(c, receipt)->ended = s;
    s->active = false;
    s->held_count = 0;
}

/* ---- ACK and NACK ---- */

void client_take_held(struct subscription *s, uint64_t n, bool upto, bool reject, bool requeue,
                      struct sim_settle **list, size_t *count, size_t *cap)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->held_count; i++) {
        struct held *h = &s->held[i];
        bool answered = upto ? h->n <= n : h->n == n;

        if (!answered) {
            s->held[kept++] = *h;
            continue;
        }
        if (requeue || !h->copy)
            continue;
        struct sim_settle one = { h->copy, reject, s->queue != h->copy->queue };
        oracle_answered(&one);
        *list = mem_grow(*list, cap, *count + 1, sizeof **list);
        (*list)[(*count)++] = one;
    }
    s->held_count = kept;
}

void client_answer(struct client *c, struct subscription *s, size_t i, bool nack, bool requeue,
                   struct transaction *t)
{
    struct held *h = &s->held[i];
    uint64_t n = h->n;
    uint64_t id = h->sent->id;

    client_frame(c, nack ? STOMP_CMD_NACK : STOMP_CMD_ACK);
    if (c->version == STOMP_V1_2) {
        client_header(c, "id", bytes_str(h->id));
    } else {
        client_header(c, "message-id", bytes_str(h->id));
        if (c->version == STOMP_V1_1 || rng_one_in(&c->world->rng, 2))
            client_header_fmt(c, "subscription", "s", s->number);
    }
    if (nack && !requeue)
        client_header(c, "requeue", BYTES("false"));
    if (t)
        client_header_fmt(c, "transaction", "t", t->number);
    uint64_t receipt = client_ask_receipt(c);
    client_end_frame(c, (struct bytes){ NULL, 0 });
    trace("client %u %s s%" PRIu64 " m%" PRIu64 "%s receipt %" PRIu64 "%s", c->no,
          !nack     ? "acks"
          : requeue ? "returns"
                    : "rejects",
          s->number, id, s->mode == ACK_CLIENT ? " and all before" : "", receipt,
          t ? " in a transaction" : "");
    struct promise *p = client_promise(c, receipt);
    if (!t) {
        client_take_held(s, n, s->mode == ACK_CLIENT, nack, nack && requeue, &p->settle,
                         &p->settle_count, &p->settle_cap);
        return;
    }
    h->staged = true;
    t->staged = mem_grow(t->staged, &t->staged_cap, t->staged_count + 1, sizeof *t->staged);
    t->staged[t->staged_count++] = (struct staged){ s->number, n, s->mode == ACK_CLIENT, nack,
                                                    nack && requeue };
}

void client_answer_some(struct client *c, struct transaction *t)
{
    struct rng *r = &c->world->rng;
    struct subscription *s = some_subscription(c);
    bool nack = c->version > STOMP_V1_0 && rng_one_in(r, 6);

    if (!s || s->mode == ACK_AUTO || s->held_count == 0)
        return;
    size_t i = rng_one_in(r, 2) ? 0 : rng_below(r, (uint32_t)s->held_count);
    if (!s->held[i].staged)
        client_answer(c, s, i, nack, rng_one_in(r, 2), t);
}
