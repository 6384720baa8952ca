// SPDX-License-Identifier: MIT
/* What is on disk becomes the core's state: definitions, then spans of cold
 * batches.  No message is read: that is for whoever calls for it. */
#include <inttypes.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/core/names.h"
#include "broker/core/state.h"
#include "broker/core/user.h"

static void on_boot(void *arg, uint64_t boot, bool clean_stop)
{
    struct core *c = arg;

    c->boot = boot;
    check_event("recover.boot", boot, clean_stop);
}

static void on_vhost(void *arg, const struct def_vhost *d)
{
    vhost_recover(arg, d);
}

static void on_exchange(void *arg, const struct def_exchange *d)
{
    exchange_recover(arg, d);
}

static void on_queue(void *arg, const struct def_queue *d)
{
    queue_recover(arg, d);
}

static void on_binding(void *arg, const struct def_binding *d)
{
    binding_recover(arg, d);
}

static void on_user(void *arg, const struct def_user *d)
{
    user_recover(arg, d);
}

static void on_permission(void *arg, const struct def_permission *d)
{
    permission_recover(arg, d);
}

static void on_topic_permission(void *arg, const struct def_topic_permission *d)
{
    topic_permission_recover(arg, d);
}

static void on_note(void *arg, uint64_t queue_id, struct bytes note)
{
    note_recover(arg, queue_id, note);
}

static void on_retained(void *arg, const struct def_retained *d)
{
    retained_recover(arg, d);
}

static void on_blob(void *arg, uint64_t blob_id, uint64_t size)
{
    blob_recover(arg, blob_id, size);
}

static struct span *span_from(const struct group *g, struct queue *q, struct batch *b)
{
    struct span *s = retain_new_span(b);

    list_init(&s->in_lane);
    s->first_seq = g->first_seq;
    s->last_seq = g->last_seq;
    s->first_slot = s->cursor = g->first_slot;
    s->count = g->count;
    s->priority = g->priority;
    if (!q || g->live == 0)
        return s;
    s->queue = q;
    s->live = g->live;
    s->live_bytes = g->live_bytes;
    return s;
}

static void add_span(struct core *c, struct batch *b, const struct group *g)
{
    struct queue *q = map_get(&c->queue_by_id, map_key_u64(&g->queue_id));
    struct span *s = span_from(g, q, b);

    /* A queue that went has left its number here: a new one must not inherit. */
    if (g->queue_id >= c->next_def_id)
        c->next_def_id = g->queue_id + 1;
    if (!s->queue)
        return;
    uint8_t top = q->args->max_priority;
    list_push_back(&q->lane[s->priority < top ? s->priority : top].spans, &s->in_lane);
    b->live += s->live;
    if (g->min_at_ms)
        due_note(c, s, g->min_at_ms);
}

/* A message with a blob has a batch to itself, so a batch names one at most. */
static void recover_blob_ref(struct core *c, struct batch *b, uint64_t blob_id)
{
    struct blob *blob = blob_find(c, blob_id);

    if (b->blob == blob)
        return;
    if (!blob || b->blob) {
        log_error("recover.blob", "batch=%" PRIu64 " blob=%" PRIu64 " why=\"its parts are gone\"",
                  b->id, blob_id);
        return;
    }
    b->blob = blob;
    blob->batches++;
}

static void on_batch(void *arg, uint64_t id, struct batch_content *summary, struct bytes settled)
{
    struct core *c = arg;
    struct batch *b = retain_new_batch(c, id);

    b->state = BATCH_STORED;
    b->slot_count = (uint32_t)summary->slot_count;
    for (size_t i = 0; i < summary->group_count; i++)
        add_span(c, b, &summary->group[i]);
    if (settled.n > 0) {
        b->settled_cap = settled.n;
        b->settled = mem_alloc(settled.n);
        memcpy(b->settled, settled.p, settled.n);
    }
    for (size_t i = 0; i < summary->blob_count; i++)
        recover_blob_ref(c, b, summary->blob[i].blob_id);
    batch_content_free(&summary);
    compact_note(c, b);
    if (id >= c->retain.next_id)
        c->retain.next_id = id + 1;
    retain_look(c, b);
}

static void on_deliveries(void *arg, uint64_t batch_id, uint32_t slot, uint32_t count)
{
    struct core *c = arg;
    struct batch *b = map_get(&c->retain.by_id, map_key_u64(&batch_id));

    if (b && slot < b->slot_count)
        retain_recover_returns(c, b, slot, count);
    else /* of a batch that was never written: its slots were settled before */
        core_op(c, OP_BATCH_DELETE)->batch_id = batch_id;
}

static void on_damaged(void *arg, uint64_t batch_id, const char *why)
{
    struct core *c = arg;

    log_error("store.damaged", "batch=%" PRIu64 " why=\"%s\" kept=yes served=no", batch_id, why);
    c->stats.damaged_batches++;
    if (batch_id >= c->retain.next_id)
        c->retain.next_id = batch_id + 1;
}

const struct recover_sink core_recover_sink = {
    .boot = on_boot,
    .vhost = on_vhost,
    .exchange = on_exchange,
    .queue = on_queue,
    .binding = on_binding,
    .user = on_user,
    .permission = on_permission,
    .topic_permission = on_topic_permission,
    .note = on_note,
    .retained = on_retained,
    .blob = on_blob,
    .batch = on_batch,
    .deliveries = on_deliveries,
    .damaged = on_damaged,
};

static void put_boot(struct core *c, bool clean)
{
    struct op *op = core_op(c, OP_BOOT);

    op->id = c->boot;
    op->flag = clean;
}

bool core_recover_ok(const struct core *c)
{
    return !c->unusable_defs;
}

void core_recovered(struct core *c, uint64_t now_ms)
{
    struct queue *q;

    c->now_ms = now_ms;
    c->boot++;
    for (size_t at = 0; (q = map_next(&c->queue_by_id, &at));)
        queue_recovered(c, q);
    blob_recovered(c);
    if (core_vhost_find(c, BYTES("/")) == 0)
        CHECK(core_vhost_add(c, BYTES("/")) == OK);
    put_boot(c, false);
}

void core_stopping(struct core *c)
{
    struct queue *q;

    for (size_t at = 0; (q = map_next(&c->queue_by_id, &at));) {
        bool unsure = q->maybe_redelivered && q->ready + q->unacked > 0;

        if (!q->consumed || q->consumer_count > 0 || unsure)
            continue;
        q->consumed = false;
        queue_store(c, q);
    }
    put_boot(c, true);
}
