// SPDX-License-Identifier: MIT
#include "tests/sim/reference.h"

#include <inttypes.h>

#include "base/mem.h"
#include "tests/sim/trace.h"

void ref_init(struct reference *ref)
{
    memset(ref, 0, sizeof *ref);
    for (unsigned i = 0; i < REF_NAMES; i++)
        ref->queue[i].name = ref->sealed[i].name = ref->stored[i].name = i;
}

static void drop_image(struct ref_queue *image)
{
    for (unsigned i = 0; i < REF_NAMES; i++)
        mem_free(image[i].entry);
    memset(image, 0, REF_NAMES * sizeof *image);
}

void ref_fini(struct reference *ref)
{
    drop_image(ref->queue);
    drop_image(ref->sealed);
    drop_image(ref->stored);
    for (int i = 0; i < REF_CLIENTS; i++)
        mem_free(ref->client[i].refused);
    mem_free(ref->consumer);
    mem_free(ref->delivery);
}

/* ---- queues ---- */

struct ref_queue *ref_queue_by_id(struct reference *ref, uint64_t id)
{
    for (unsigned i = 0; i < REF_NAMES; i++)
        if (ref->queue[i].id == id)
            return &ref->queue[i];
    return NULL;
}

static void remove_entry(struct ref_queue *q, size_t i)
{
    memmove(q->entry + i, q->entry + i + 1, (q->count - i - 1) * sizeof *q->entry);
    q->count--;
}

void ref_push(struct reference *ref, struct ref_queue *q, const struct ref_entry *e)
{
    struct ref_entry new = *e;
    size_t at = q->count;

    new.order = ++ref->next_order;
    if (new.lane > q->priorities)
        new.lane = q->priorities;
    if (q->ttl_ms && (!new.expires_ms || ref->now_ms + q->ttl_ms < new.expires_ms))
        new.expires_ms = ref->now_ms + q->ttl_ms;
    if (!q->durable || q->exclusive)
        new.persistent = false;
    q->entry = mem_grow(q->entry, &q->cap, q->count + 1, sizeof *q->entry);
    while (at > 0 && q->entry[at - 1].lane < new.lane)
        at--;
    memmove(q->entry + at + 1, q->entry + at, (q->count - at) * sizeof *q->entry);
    q->entry[at] = new;
    q->count++;
}

size_t ref_ready(const struct ref_queue *q)
{
    size_t n = 0;

    for (size_t i = 0; i < q->count; i++)
        n += !q->entry[i].unacked;
    return n;
}

bool ref_refuses(const struct reference *ref, const struct ref_queue *q, bool with_expired)
{
    size_t n = 0;

    for (size_t i = 0; i < q->count; i++)
        n += !q->entry[i].unacked &&
             (with_expired || !q->entry[i].expires_ms || q->entry[i].expires_ms > ref->now_ms);
    return q->has_max && !q->drop_head && n >= q->max;
}

void ref_purge(struct ref_queue *q)
{
    for (size_t i = 0; i < q->count;)
        if (q->entry[i].unacked)
            i++;
        else
            remove_entry(q, i);
}

static void tidy_queue(const struct reference *ref, struct ref_queue *q)
{
    for (size_t i = 0; i < q->count;) {
        const struct ref_entry *e = &q->entry[i];

        if (!e->unacked && e->expires_ms && e->expires_ms <= ref->now_ms)
            remove_entry(q, i);
        else
            i++;
    }
    for (size_t i = 0; q->has_max && q->drop_head && ref_ready(q) > q->max;)
        if (q->entry[i].unacked)
            i++;
        else
            remove_entry(q, i);
}

void ref_tidy(struct reference *ref)
{
    for (unsigned i = 0; i < REF_NAMES; i++)
        tidy_queue(ref, &ref->queue[i]);
}

/* ---- deliveries ---- */

struct ref_consumer *ref_consumer_by(struct reference *ref, uint64_t handle)
{
    for (size_t i = 0; i < ref->consumers; i++)
        if (ref->consumer[i].handle == handle)
            return &ref->consumer[i];
    return NULL;
}

/* What lies before it must have gone by a rule. */
static size_t advance_to(const struct reference *ref, struct ref_queue *q, uint64_t id)
{
    for (size_t i = 0; i < q->count;) {
        const struct ref_entry *e = &q->entry[i];

        if (e->id == id && !e->unacked)
            return i;
        if (e->unacked) {
            i++;
            continue;
        }
        bool expired = e->expires_ms && e->expires_ms <= ref->now_ms;
        bool over = q->has_max && q->drop_head && ref_ready(q) > q->max;
        SIM_CHECK(expired || over, "q%u: message %" PRIu64 " was given before %" PRIu64, q->name,
                  id, e->id);
        remove_entry(q, i);
    }
    sim_fail("q%u: message %" PRIu64 " was given and is not there", q->name, id);
}

static bool has_credit(const struct reference *ref, const struct ref_consumer *k)
{
    const struct ref_client *cl = &ref->client[k->client];
    size_t held = 0;

    if (cl->room == 0)
        return false;
    if (k->no_ack)
        return true;
    for (size_t i = 0; i < ref->deliveries; i++)
        held += ref->delivery[i].client == k->client &&
                ref->delivery[i].ledger == (k->own ? k->id : 0);
    return (!k->prefetch || k->unacked < k->prefetch) &&
           (!cl->prefetch || cl->unacked < cl->prefetch) && held < ref->unacked_max;
}

/* None of higher priority could have had it. */
static void check_priority(const struct reference *ref, const struct ref_consumer *k)
{
    for (size_t i = 0; i < ref->consumers; i++) {
        const struct ref_consumer *other = &ref->consumer[i];

        SIM_CHECK(other->queue_id != k->queue_id || other->priority <= k->priority ||
                      ref->queue[k->queue].single || !has_credit(ref, other),
                  "consumer %" PRIu64 " was served before %" PRIu64, k->handle, other->handle);
    }
}

void ref_deliver(struct reference *ref, unsigned client, struct ref_consumer *k,
                 const struct effect *e, uint64_t id, bool no_ack)
{
    struct ref_queue *q = ref_queue_by_id(ref, e->queue_id);
    struct ref_client *cl = &ref->client[client];

    SIM_CHECK(q, "message %" PRIu64 " of a queue that went", id);
    size_t i = advance_to(ref, q, id);
    SIM_CHECK(q->entry[i].returns == e->deliveries,
              "message %" PRIu64 " came back %u times, the core says %u", id, q->entry[i].returns,
              e->deliveries);
    SIM_CHECK(e->redelivered || e->deliveries == 0, "message %" PRIu64 " is not marked", id);
    if (k)
        check_priority(ref, k);
    if (no_ack) {
        remove_entry(q, i);
        return;
    }
    q->entry[i].unacked = true;
    cl->unacked++;
    if (k) {
        k->unacked++;
        SIM_CHECK(!k->prefetch || k->unacked <= k->prefetch, "beyond the prefetch");
        SIM_CHECK(!cl->prefetch || cl->unacked <= cl->prefetch, "beyond the client's prefetch");
    }
    ref->delivery = mem_grow(ref->delivery, &ref->delivery_cap, ref->deliveries + 1,
                             sizeof *ref->delivery);
    ref->delivery[ref->deliveries++] = (struct ref_delivery){
        .client = client,
        .consumer = k ? k->handle : 0,
        .ledger = k && k->own ? k->id : 0,
        .tag = e->tag,
        .queue_id = e->queue_id,
        .id = id,
    };
}

void ref_settle(struct reference *ref, size_t i, enum settle how)
{
    struct ref_delivery d = ref->delivery[i];
    struct ref_queue *q = ref_queue_by_id(ref, d.queue_id);
    struct ref_consumer *k = d.consumer ? ref_consumer_by(ref, d.consumer) : NULL;

    memmove(ref->delivery + i, ref->delivery + i + 1,
            (ref->deliveries - i - 1) * sizeof *ref->delivery);
    ref->deliveries--;
    ref->client[d.client].unacked--;
    if (k)
        k->unacked--;
    for (size_t n = 0; q && n < q->count; n++) {
        struct ref_entry *e = &q->entry[n];

        if (e->id != d.id)
            continue;
        if (how != SETTLE_RETURN) {
            remove_entry(q, n);
            return;
        }
        e->unacked = false;
        e->returns++;
        return;
    }
}

void ref_queue_gone(struct reference *ref, struct ref_queue *q)
{
    for (size_t i = 0; i < ref->consumers;) {
        struct ref_consumer *k = &ref->consumer[i];

        if (k->queue_id == q->id)
            ref_cancel(ref, k);
        else
            i++;
    }
    q->id = 0;
    q->count = 0;
}

void ref_cancel(struct reference *ref, struct ref_consumer *k)
{
    struct ref_queue *q = ref_queue_by_id(ref, k->queue_id);
    uint64_t queue_id = k->queue_id;
    size_t at = (size_t)(k - ref->consumer);
    bool last = true;

    for (size_t i = 0; i < ref->deliveries;) {
        struct ref_delivery *d = &ref->delivery[i];

        if (d->consumer != k->handle) {
            i++;
        } else if (d->ledger) {
            ref_settle(ref, i, SETTLE_RETURN);
        } else {
            d->consumer = 0;
            i++;
        }
    }
    memmove(ref->consumer + at, ref->consumer + at + 1,
            (ref->consumers - at - 1) * sizeof *ref->consumer);
    ref->consumers--;
    for (size_t i = 0; i < ref->consumers; i++)
        last = last && ref->consumer[i].queue_id != queue_id;
    if (q && q->auto_delete && last)
        ref_queue_gone(ref, q);
}

void ref_close(struct reference *ref, unsigned client)
{
    for (size_t i = 0; i < ref->consumers;)
        if (ref->consumer[i].client == client) {
            ref_cancel(ref, &ref->consumer[i]);
            i = 0; /* more than one may have gone */
        } else {
            i++;
        }
    for (size_t i = 0; i < ref->deliveries;)
        if (ref->delivery[i].client == client)
            ref_settle(ref, i, SETTLE_RETURN);
        else
            i++;
    for (unsigned i = 0; i < REF_NAMES; i++)
        if (ref->queue[i].id && ref->queue[i].exclusive && ref->queue[i].owner == client)
            ref_queue_gone(ref, &ref->queue[i]);
}

/* ---- rest ---- */

void ref_check_idle(const struct reference *ref)
{
    bool first[REF_NAMES];

    memset(first, true, sizeof first);
    for (size_t i = 0; i < ref->consumers; i++) {
        const struct ref_consumer *k = &ref->consumer[i];
        const struct ref_queue *q = &ref->queue[k->queue];
        bool active = !q->single || first[k->queue];

        first[k->queue] = false;
        SIM_CHECK(!active || ref_ready(q) == 0 || !has_credit(ref, k),
                  "q%u: %zu are ready, and consumer %" PRIu64 " has credit", q->name, ref_ready(q),
                  k->handle);
    }
}

static void copy_image(struct ref_queue *to, const struct ref_queue *from)
{
    for (unsigned i = 0; i < REF_NAMES; i++) {
        struct ref_queue *t = &to[i];
        struct ref_entry *entry = t->entry;
        size_t cap = t->cap;

        *t = from[i];
        t->entry = mem_grow(entry, &cap, from[i].count + 1, sizeof *entry);
        t->cap = cap;
        if (from[i].count)
            memcpy(t->entry, from[i].entry, from[i].count * sizeof *entry);
    }
}

void ref_seal(struct reference *ref)
{
    copy_image(ref->sealed, ref->queue);
    ref->has_sealed = true;
}

void ref_commit(struct reference *ref)
{
    SIM_CHECK(ref->has_sealed, "a commit that was not sealed");
    copy_image(ref->stored, ref->sealed);
    ref->has_sealed = false;
}

static void recover_queue(struct ref_queue *q)
{
    if (!q->durable || q->exclusive)
        q->id = 0;
    if (q->id == 0)
        q->count = 0;
    for (size_t i = 0; i < q->count;) {
        q->entry[i].unacked = false;
        if (q->entry[i].persistent)
            i++;
        else
            remove_entry(q, i);
    }
}

void ref_crash(struct reference *ref, bool landed, bool clean)
{
    if (clean)
        ref_seal(ref);
    if ((landed || clean) && ref->has_sealed)
        ref_commit(ref);
    ref->has_sealed = false;
    copy_image(ref->queue, ref->stored);
    for (unsigned i = 0; i < REF_NAMES; i++)
        recover_queue(&ref->queue[i]);
    ref->consumers = ref->deliveries = 0;
    for (int i = 0; i < REF_CLIENTS; i++) {
        ref->client[i].id = 0;
        ref->client[i].unacked = ref->client[i].prefetch = 0;
        ref->client[i].asked = ref->client[i].told = 0;
    }
}
