// SPDX-License-Identifier: MIT
/* core_check: what must hold between two calls, looked at whole.  For tests, the
 * simulator and fuzzing; too slow for the loop. */
#include <inttypes.h>
#include <stdio.h>

#include "broker/core/state.h"

#define HOLDS(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            (void)fprintf(stderr, "core.check cond=\"%s\" at=%s:%d\n", #cond, __FILE__, __LINE__); \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

static bool span_holds(const struct span *s)
{
    const struct batch *b = s->batch;

    HOLDS(s->group < b->span_count && batch_span(b, s->group) == s);
    if (!s->queue) {
        HOLDS(s->live == 0);
        return true;
    }
    HOLDS(s->taken <= s->live && s->live <= s->count && s->live > 0);
    HOLDS(s->first_seq <= s->last_seq);
    if (!b->content)
        return true;

    uint32_t live = 0, taken = 0, seen = 0;
    uint64_t bytes = 0, seq = 0;
    bool ready_before_cursor = false, passed = false;

    for (uint32_t i = s->first_slot; i != SLOT_NONE; i = b->content->slot[i].next) {
        const struct slot *at = &b->content->slot[i];

        HOLDS(at->group == s->group && at->seq >= seq && i < b->slot_count);
        seq = at->seq + 1;
        seen++;
        passed = passed || i == s->cursor;
        if (retain_is_settled(b, i))
            continue;
        live++;
        bytes += at->bytes;
        taken += retain_is_taken(b, i);
        ready_before_cursor = ready_before_cursor || (!passed && !retain_is_taken(b, i));
    }
    HOLDS(seen <= s->count && live == s->live && taken == s->taken);
    HOLDS(bytes == s->live_bytes);
    HOLDS(!ready_before_cursor && !s->purge);
    return true;
}

static bool batch_holds(const struct batch *b)
{
    uint32_t live = 0, taken = 0;

    for (uint32_t i = 0; i < b->span_count; i++) {
        HOLDS(batch_span(b, i)->batch == b);
        if (!span_holds(batch_span(b, i)))
            return false;
        live += batch_span(b, i)->live;
        taken += batch_span(b, i)->taken;
    }
    HOLDS(b->damaged || live == b->live);
    HOLDS(taken == b->taken);
    HOLDS(b->content || b->state == BATCH_STORED || b->state == BATCH_GONE);
    HOLDS(b->state != BATCH_GONE || b->live == 0);
    HOLDS(!b->held || !b->transient);
    for (size_t i = 0; i < b->returned_count; i++) {
        HOLDS(b->returned[i].slot < b->slot_count);
        HOLDS(i == 0 || b->returned[i - 1].slot < b->returned[i].slot);
        HOLDS(b->returned[i].count > 0 || b->returned[i].received);
    }
    return true;
}

static bool lane_holds(const struct lane *l, uint64_t *ready, uint64_t *unacked)
{
    uint64_t seq = 0;
    bool passed = l->head == NULL;

    for (const struct list *node = l->spans.next; node != &l->spans; node = node->next) {
        const struct span *s = (const void *)((const char *)node - offsetof(struct span, in_lane));

        HOLDS(s->first_seq >= seq);
        seq = s->last_seq;
        *ready += s->live - s->taken;
        *unacked += s->taken;
        passed = passed || s == l->head;
        HOLDS(passed ? l->head != NULL || s->live == s->taken : s->live == s->taken);
    }
    return true;
}

/* It is in the list of its connection, and only clients of that have a part in it. */
static bool owner_holds(const struct core *c, const struct queue *q)
{
    if (!q->exclusive) {
        HOLDS(list_empty(&q->in_owner));
        return true;
    }
    const struct client *owner = slots_get(&c->clients, q->owner);

    HOLDS(owner && owner->connection == q->owner && owner->vhost == q->vhost);
    HOLDS(!list_empty(&q->in_owner));
    for (const struct list *node = q->consumers.next; node != &q->consumers; node = node->next) {
        const struct consumer *k = (const void *)((const char *)node -
                                                  offsetof(struct consumer, in_queue));

        HOLDS(k->client->connection == q->owner);
    }
    return true;
}

static bool note_holds(const struct queue *q)
{
    const struct note *n = q->note;

    HOLDS(!n || queue_stored(q) || (!n->stored && !n->changed && n->n > 0));
    HOLDS(!n || n->n > 0 || n->changed);
    return true;
}

/* Changed ones are noted, each once. */
static bool notes_hold(const struct core *c)
{
    const struct queue *q;
    size_t changed = 0, noted = 0;

    for (size_t at = 0; (q = map_next(&c->queue_by_id, &at));)
        changed += q->note && q->note->changed;
    for (size_t i = 0; i < c->noted_count; i++) {
        q = map_get(&c->queue_by_id, map_key_u64(&c->noted[i]));
        noted += q && q->note && q->note->changed;
    }
    HOLDS(changed == noted);
    return true;
}

/* Of a node with the memory that it takes.  One that is of no use is not there. */
static bool retained_node_holds(const struct retained_node *n, uint64_t *count)
{
    HOLDS(!n->kept || n->kept->node == n);
    HOLDS(!n->parent || n->kept || n->child || n->changed);
    HOLDS(n->stored ? n->kept || n->changed : !n->kept || n->changed);
    HOLDS(!n->reached);
    HOLDS(!n->child || (n->child->parent == n && !n->child->prev));
    HOLDS(!n->next || (n->next->parent == n->parent && n->next->prev == n));
    HOLDS(!n->kept || !n->kept->expiry || heap_has(&n->kept->expiry->node));
    *count += n->kept != NULL;
    return true;
}

static bool retained_hold(const struct core *c)
{
    const struct vhost *v;
    const struct retained_node *n;
    uint64_t count = 0, bytes = 0;

    for (size_t at = 0; (v = map_next(&c->vhosts, &at));) {
        const struct retained_tree *t = v->retained;

        if (!t)
            continue;
        if (!retained_node_holds(t->root, &count))
            return false;
        bytes += retained_node_bytes(t->root);
        for (size_t i = 0; (n = map_next(&t->words, &i));) {
            if (!retained_node_holds(n, &count))
                return false;
            bytes += retained_node_bytes(n);
        }
    }
    HOLDS(count == c->retained.count && bytes == c->retained.bytes);
    return true;
}

static bool queue_holds(const struct queue *q)
{
    uint64_t ready = 0, unacked = 0;
    uint32_t consumers = 0;

    for (unsigned i = 0; i <= q->args->max_priority; i++)
        if (!lane_holds(&q->lane[i], &ready, &unacked))
            return false;
    for (const struct list *node = q->consumers.next; node != &q->consumers; node = node->next)
        consumers++;
    HOLDS(ready == q->ready && unacked == q->unacked);
    HOLDS(consumers == q->consumer_count);
    HOLDS(heap_has(&q->timer) == (q->args->has_expires && consumers == 0));
    return note_holds(q);
}

static bool ledger_holds(const struct ledger *l)
{
    uint32_t live = 0;
    uint64_t tag = 0;

    for (const struct delivery *d = ledger_first(l); d; d = ledger_next(l, d)) {
        HOLDS(d->tag > tag && d->tag <= l->next_tag);
        HOLDS(retain_is_taken(d->span->batch, d->slot));
        tag = d->tag;
        live++;
    }
    HOLDS(live == l->live);
    return true;
}

/* Clients that belong to a connection are counted by it, and own nothing themselves. */
static bool connections_hold(const struct core *c)
{
    const struct client *cl;
    uint64_t joined = 0, counted = 0;

    for (size_t at = 0; (cl = slots_next(&c->clients, &at));) {
        const struct client *to = slots_get(&c->clients, cl->connection);

        HOLDS(to && to->connection == to->id && to->vhost == cl->vhost);
        HOLDS(to == cl || (cl->joined == 0 && list_empty(&cl->exclusive)));
        joined += to != cl;
        counted += cl->joined;
    }
    HOLDS(joined == counted);
    return true;
}

static bool client_holds(const struct client *cl)
{
    uint32_t unacked = cl->ledger.live;

    if (!ledger_holds(&cl->ledger))
        return false;
    for (const struct list *node = cl->consumers.next; node != &cl->consumers; node = node->next) {
        const struct consumer *k = (const void *)((const char *)node -
                                                  offsetof(struct consumer, in_client));

        HOLDS(k->prefetch == 0 || k->unacked <= k->prefetch);
        if (!k->own_ledger)
            continue;
        HOLDS(k->ledger->live == k->unacked);
        if (!ledger_holds(k->ledger))
            return false;
        unacked += k->unacked;
    }
    HOLDS(unacked == cl->unacked);
    HOLDS(cl->confirm_done <= cl->confirm_next);
    HOLDS(cl->held_count > 0 || cl->confirm_done == cl->confirm_next);
    return true;
}

bool core_check(const struct core *c)
{
    const struct batch *b;
    const struct queue *q;
    const struct client *cl;

    for (size_t at = 0; (b = map_next(&c->retain.by_id, &at));)
        if (!batch_holds(b))
            return false;
    for (size_t at = 0; (q = map_next(&c->queue_by_id, &at));)
        if (!queue_holds(q) || !owner_holds(c, q))
            return false;
    for (size_t at = 0; (cl = slots_next(&c->clients, &at));)
        if (!client_holds(cl))
            return false;
    if (!connections_hold(c) || !notes_hold(c) || !retained_hold(c))
        return false;
    HOLDS(map_count(&c->queue_by_id) == c->queue_count);
    return true;
}
