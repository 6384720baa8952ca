// SPDX-License-Identifier: MIT
#include "broker/core/core.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/core/names.h"
#include "broker/core/publish.h"
#include "broker/core/state.h"
#include "broker/core/user.h"

struct core *core_new(const struct core_options *o)
{
    struct core *c = mem_new(struct core);

    c->opt = *o;
    c->random = o->seed;
    c->vhosts.seed = c->users.seed = c->queue_args.seed = o->seed;
    c->next_def_id = 1;
    c->open_number = 1;
    c->disk_free_bytes = UINT64_MAX;
    c->retain.next_id = c->next_blob_id = 1;
    list_init(&c->dirty);
    list_init(&c->marking);
    list_init(&c->holding);
    list_init(&c->done_txs);
    list_init(&c->compact.small);
    list_init(&c->compact.sparse);
    list_init(&c->retain.closed);
    list_init(&c->retain.lru);
    list_init(&c->retain.dirty);
    list_init(&c->retain.doomed);
    list_init(&c->retain.transient);
    return c;
}

static void free_clients(struct core *c)
{
    struct client *cl;

    for (size_t at = 0; (cl = slots_next(&c->clients, &at));)
        if (cl->connection != cl->id)
            core_client_close(c, cl->id, c->now_ms);
    for (size_t at = 0; (cl = slots_next(&c->clients, &at));)
        core_client_close(c, cl->id, c->now_ms);
    slots_fini(&c->clients);
    slots_fini(&c->consumers);
}

void core_free(struct core **cp)
{
    struct core *c = *cp;
    struct vhost *v;

    if (!c)
        return;
    free_clients(c);
    tx_sweep(c);
    retain_fini(c);
    compact_fini(c);
    blob_fini(c);
    for (size_t at = 0; (v = map_next(&c->vhosts, &at));)
        vhost_free(c, v);
    users_free(c);
    map_fini(&c->vhosts);
    map_fini(&c->vhost_by_id);
    map_fini(&c->exchange_by_id);
    map_fini(&c->queue_by_id);
    map_fini(&c->queue_args);
    heap_fini(&c->timers);
    heap_fini(&c->due);
    retained_fini(c);
    mem_free(c->noted);
    commit_free(&c->open);
    routed_fini(&c->routed);
    mem_free(c->effect);
    buf_fini(&c->scratch);
    buf_fini(&c->scratch2);
    mem_free(c);
    *cp = NULL;
}

uint64_t core_boot(const struct core *c)
{
    return c->boot;
}

/* SplitMix64: good enough for names within one process, and repeatable. */
uint64_t core_random(struct core *c)
{
    uint64_t z = c->random += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

struct effect *core_effect(struct core *c, enum effect_kind kind, client_id id)
{
    c->effect = mem_grow(c->effect, &c->effect_cap, c->effect_count + 1, sizeof *c->effect);

    struct effect *e = &c->effect[c->effect_count++];

    *e = (struct effect){ .kind = kind, .client = id };
    return e;
}

/* What is touched while it is served comes again the next time. */
static void serve_queues(struct core *c)
{
    struct list *node;
    struct list todo;

    list_init(&todo);
    if (!list_empty(&c->dirty)) {
        list_insert_after(&c->dirty, &todo);
        list_remove(&c->dirty);
    }
    while ((node = list_pop(&todo)))
        queue_service(c, container_of(node, struct queue, dirty));
}

/* A message whose time is over as it comes still reaches a consumer that waits
 * for it (x-message-ttl=0), so queues are served before anything expires. */
void core_turn(struct core *c, uint64_t now_ms)
{
    c->now_ms = now_ms;
    queue_run_timers(c);
    retained_run(c);
    serve_queues(c);
    c->timed_push_ms = 0;
    due_run(c);
    serve_queues(c);
}

const struct effect *core_effects(const struct core *c, size_t *count)
{
    *count = c->effect_count;
    return c->effect;
}

void core_effect_message(const struct core *c, const struct effect *e, struct message *out)
{
    (void)c;
    if (e->kind == EFFECT_RETURN) {
        tx_message(e->tx, e->slot, out);
        return;
    }
    const struct batch_content *content = e->batch->content;

    CHECK(e->kind == EFFECT_DELIVER && content);
    /* Decoding verified the content when it was loaded, so this cannot fail. */
    CHECK(record_get(buf_view(&content->bodies), content->slot[e->slot].record, out, NULL));
}

void core_effects_done(struct core *c)
{
    c->effect_count = 0;
    tx_sweep(c);
    blob_sweep(c);
    retain_sweep(c);
}

uint64_t core_next_at_ms(const struct core *c)
{
    const struct heap *heaps[] = { &c->timers, &c->due, &c->retained.expiring };
    uint64_t at = UINT64_MAX;

    if (!list_empty(&c->dirty) || c->effect_count > 0)
        return 0;
    for (size_t i = 0; i < sizeof heaps / sizeof *heaps; i++) {
        const struct heap_node *first = heap_min(heaps[i]);

        if (first && first->key < at)
            at = first->key;
    }
    if (retain_next_at_ms(c) < at)
        at = retain_next_at_ms(c);
    if (c->sealed_number == c->committed_number && compact_next_at_ms(c) < at)
        at = compact_next_at_ms(c);
    return at;
}

static void release_confirms(struct core *c)
{
    LIST_EACH (&c->holding, node)
        client_release_confirms(c, container_of(node, struct client, in_holding));
}

bool core_gathered(const struct core *c)
{
    const struct retain *r = &c->retain;

    return (c->open && c->open->op_count > 0) || (r->open[0] && r->open[0]->slot_count > 0) ||
           !list_empty(&r->closed) || !list_empty(&r->dirty) || c->noted_count > 0 ||
           c->retained.change_count > 0 || !list_empty(&c->holding);
}

/* Those whose commit is still to come wait again when they are served. */
static void serve_marked(struct core *c)
{
    struct list *node;

    while ((node = list_pop(&c->marking)))
        list_push_back(&c->dirty, node);
}

struct commit *core_seal(struct core *c, uint64_t now_ms)
{
    struct commit *commit = core_open_commit(c);

    c->now_ms = now_ms;
    CHECK(c->sealed_number == c->committed_number);
    compact_step(c);
    retain_seal(c, commit);
    c->retain.unsealed_bytes = 0;
    note_seal(c, commit);
    retained_seal(c, commit);
    if (commit->op_count == 0) {
        serve_marked(c); /* what they waited for went */
        /* Nothing of it needs the disk: who waits for it has waited long enough. */
        if (list_empty(&c->holding))
            return NULL;
        commit_free(&c->open);
        c->sealed_number = c->committed_number = c->open_number++;
        release_confirms(c);
        return NULL;
    }
    c->open = NULL;
    c->sealed_part_bytes = commit->bytes;
    c->sealed_number = c->open_number++;
    check_event("core.seal", commit->number, commit->op_count);
    return commit;
}

void core_committed(struct core *c, struct commit *done)
{
    CHECK(done->number == c->sealed_number);
    c->committed_number = done->number;
    serve_marked(c);
    c->sealed_part_bytes = 0;
    c->stats.commits++;
    c->stats.file_bytes = done->file_bytes;
    c->stats.wal_bytes = done->wal_bytes;
    core_disk_free(c, done->disk_free_bytes);
    retain_committed(c, done);
    compact_committed(c, done);
    release_confirms(c);
    commit_free(&done);
}

void core_loaded(struct core *c, struct load *l)
{
    if (l->blob_id) {
        blob_loaded(c, l);
        return;
    }
    retain_loaded(c, l);
    load_free(&l);
}

/* Half as much again must be free before publishing goes on, so that the state
 * does not flap. */
void core_disk_free(struct core *c, uint64_t free_bytes)
{
    uint64_t reserve = c->opt.disk_reserve_bytes;
    bool low = c->disk_low ? free_bytes < reserve + reserve / 2 : free_bytes < reserve;

    c->disk_free_bytes = free_bytes;
    if (low != c->disk_low)
        log_event(low ? LOG_ERROR : LOG_INFO, low ? "disk.low" : "disk.ok",
                  "free_bytes=%llu reserve_bytes=%llu publishing=%s",
                  (unsigned long long)free_bytes, (unsigned long long)reserve,
                  low ? "refused" : "resumed");
    c->disk_low = low;
}

enum core_pressure core_pressure(const struct core *c)
{
    if (c->disk_low)
        return CORE_PRESSURE_DISK;
    if (c->retain.unsealed_bytes + c->sealed_part_bytes > c->opt.uncommitted_bytes)
        return CORE_PRESSURE_MEMORY;
    return CORE_PRESSURE_NONE;
}

void core_stats(const struct core *c, struct core_stats *out)
{
    const struct queue *q;

    *out = c->stats;
    out->batches = map_count(&c->retain.by_id);
    out->memory_bytes = c->retain.memory;
    out->disk_free_bytes = c->disk_free_bytes;
    out->clients = (uint32_t)c->clients.count;
    out->consumers = (uint32_t)c->consumers.count;
    out->queues = c->queue_count;
    out->exchanges = c->exchange_count;
    out->bindings = c->binding_count;
    out->retained = c->retained.count;
    out->retained_bytes = c->retained.bytes;
    for (size_t at = 0; (q = map_next(&c->queue_by_id, &at));) {
        out->ready += q->ready;
        out->unacked += q->unacked;
    }
}
