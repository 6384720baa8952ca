// SPDX-License-Identifier: MIT
/* Queues come and go: declare, delete, purge, expire, recover. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/core/state.h"

enum { NAME_MAX_BYTES = 255 };

#define DELAY_NAME BYTES("lodge.delay")

void queue_store(struct core *c, struct queue *q)
{
    struct op *op = core_op(c, OP_QUEUE_PUT);
    struct commit *commit = core_open_commit(c);

    op->queue = (struct def_queue){
        .id = q->id,
        .vhost_id = q->vhost->id,
        .name = commit_copy(commit, bytes_str(q->name)),
        .auto_delete = q->auto_delete,
        .consumed = q->consumed,
        .arguments = commit_copy(commit, q->args->table),
    };
}

/* One allocation: with ten thousand sessions there are ten thousand queues. */
static struct queue *queue_alloc(const struct queue_args *args, struct bytes name)
{
    size_t lanes = args->max_priority + 1u;
    struct queue *q = mem_zalloc(sizeof *q + lanes * sizeof *q->lane + name.n + 1);

    q->args = args;
    q->name = (char *)&q->lane[lanes];
    memcpy(q->name, name.p, name.n);
    for (size_t i = 0; i < lanes; i++)
        list_init(&q->lane[i].spans);
    return q;
}

static struct queue *queue_new(struct core *c, struct vhost *v, uint64_t id, struct bytes name,
                               struct bytes arguments)
{
    const char *why;
    const struct queue_args *args = queue_args_share(&c->queue_args, arguments, &why);
    struct queue *q = queue_alloc(args, name);
    struct bytes unknown;

    q->id = id;
    q->vhost = v;
    if (why)
        log_warn("queue.arguments", "queue=%s why=\"%s\"", log_text(name).s, why);
    if (queue_args_unknown(arguments, &unknown))
        log_warn("queue.argument_unknown", "queue=%s argument=%s effect=none", log_text(name).s,
                 log_text(unknown).s);
    q->next_seq = c->boot << 40 | 1;
    q->merge_first = q->merge_last = SLOT_NONE;
    list_init(&q->consumers);
    list_init(&q->able);
    list_init(&q->gets);
    list_init(&q->bindings);
    list_init(&q->in_owner);
    list_init(&q->dirty);
    map_put(&v->queues, bytes_str(q->name), q);
    map_put(&c->queue_by_id, map_key_u64(&q->id), q);
    c->queue_count++;
    return q;
}

/* Of 128 random bits: not to be guessed, and free in all likelihood. */
size_t core_queue_name(struct core *c, struct bytes prefix, char out[CORE_MADE_NAME_BYTES])
{
    unsigned long long high = core_random(c), low = core_random(c);
    int n = snprintf(out, CORE_MADE_NAME_BYTES, "%.*s%016llx%016llx", BYTES_FMT(prefix), high, low);

    CHECK(n > 0 && n < CORE_MADE_NAME_BYTES);
    return (size_t)n;
}

static void fill_info(const struct queue *q, struct queue_info *out)
{
    *out = (struct queue_info){ .name = bytes_str(q->name),
                                .queue_id = q->id,
                                .ready = q->ready,
                                .unacked = q->unacked,
                                .consumers = q->consumer_count,
                                .durable = q->durable,
                                .exclusive = q->exclusive };
}

static enum err fail(enum err e, const char **why, const char *text)
{
    if (why)
        *why = text;
    return e;
}

static enum err redeclare(const struct client *cl, const struct queue *q,
                          const struct queue_spec *s, const char **why)
{
    struct queue_args args;
    const char *text = "";

    if (client_locked_out(cl, q))
        return fail(ERR_LOCKED, why, "queue is exclusive to another connection");
    if (q->delay)
        return fail(ERR_REFUSED, why, "queue name is reserved");
    if (s->passive)
        return OK;
    if (queue_args_parse(s->arguments, &args, &text) != OK)
        return fail(ERR_INVALID, why, text);
    if (q->durable != s->durable)
        return fail(ERR_EXISTS, why, "queue exists with another value of durable");
    if (s->exclusive && !q->exclusive)
        return fail(ERR_LOCKED, why, "queue is there already, for all connections");
    if (q->exclusive != s->exclusive)
        return fail(ERR_EXISTS, why, "queue exists with another value of exclusive");
    if (q->auto_delete != s->auto_delete)
        return fail(ERR_EXISTS, why, "queue exists with another value of auto-delete");
    if (!queue_args_eq(q->args, &args))
        return fail(ERR_EXISTS, why, "queue exists with other arguments");
    return OK;
}

static enum err check_new(const struct core *c, const struct queue_spec *s, const char **why)
{
    struct queue_args args;
    const char *text = "";

    if (s->passive)
        return fail(ERR_NOT_FOUND, why, "no such queue");
    if (s->name.n > NAME_MAX_BYTES)
        return fail(ERR_INVALID, why, "queue name is longer than 255 bytes");
    if (bytes_starts(s->name, BYTES("amq.")) &&
        (s->prefix.n == 0 || !bytes_starts(s->name, s->prefix)))
        return fail(ERR_REFUSED, why, "queue names beginning with amq. are reserved");
    if (memchr(s->name.p ? s->name.p : (const uint8_t *)"", 0, s->name.n))
        return fail(ERR_INVALID, why, "queue name holds a NUL");
    if (queue_args_parse(s->arguments, &args, &text) != OK)
        return fail(ERR_INVALID, why, text);
    if (bytes_eq(s->name, DELAY_NAME))
        return fail(ERR_REFUSED, why, "queue name is reserved");
    if (c->queue_count >= c->opt.queues)
        return fail(ERR_LIMIT, why, "too many queues on this node");
    return OK;
}

enum err core_queue_declare(struct core *c, client_id id, const struct queue_spec *s,
                            struct queue_info *out, const char **why, uint64_t now_ms)
{
    struct client *cl = client_get(c, id);
    struct queue *q = s->name.n ? queue_find(cl->vhost, s->name) : NULL;
    enum err e = q ? redeclare(cl, q, s, why) : check_new(c, s, why);
    char made[CORE_MADE_NAME_BYTES];
    struct bytes name = s->name;

    c->now_ms = now_ms;
    if (e != OK)
        return e;
    if (!q) {
        if (name.n == 0)
            name = bytes_of(made, core_queue_name(c, s->prefix, made));
        q = queue_new(c, cl->vhost, c->next_def_id++, name, s->arguments);
        q->durable = s->durable;
        q->auto_delete = s->auto_delete;
        q->exclusive = s->exclusive;
        if (q->exclusive) {
            q->owner = cl->connection;
            list_push_back(&client_get(c, q->owner)->exclusive, &q->in_owner);
        } else if (q->durable) {
            queue_store(c, q);
            client_did(c, cl);
        }
    }
    queue_used(c, q);
    fill_info(q, out);
    return OK;
}

static enum err find_for(struct core *c, client_id id, struct bytes name, struct queue **out,
                         const char **why)
{
    const struct client *cl = client_get(c, id);
    struct queue *q = queue_find(cl->vhost, name);

    if (!q || q->delay)
        return fail(ERR_NOT_FOUND, why, "no such queue");
    if (client_locked_out(cl, q))
        return fail(ERR_LOCKED, why, "queue is exclusive to another connection");
    *out = q;
    return OK;
}

bool core_queue_look(const struct core *c, client_id id, struct bytes name, struct queue_info *out)
{
    const struct queue *q = queue_find(client_get(c, id)->vhost, name);

    if (!q || q->delay)
        return false;
    fill_info(q, out);
    return true;
}

bool core_queue_each(const struct core *c, uint64_t vhost_id, size_t *at, struct queue_info *out)
{
    const struct vhost *v = map_get(&c->vhost_by_id, map_key_u64(&vhost_id));
    const struct queue *q;

    while (v && (q = map_next(&v->queues, at))) {
        if (q->delay)
            continue;
        fill_info(q, out);
        return true;
    }
    return false;
}

enum err core_queue_delete(struct core *c, client_id id, struct bytes name, bool if_unused,
                           bool if_empty, uint64_t *count, const char **why)
{
    struct queue *q;
    enum err e = find_for(c, id, name, &q, why);

    if (e != OK)
        return e;
    if (if_unused && q->consumer_count > 0)
        return fail(ERR_IN_USE, why, "queue has consumers");
    if (if_empty && q->ready > 0)
        return fail(ERR_NOT_EMPTY, why, "queue is not empty");
    *count = q->ready;
    client_did(c, client_get(c, id));
    queue_delete(c, q);
    return OK;
}

enum err core_queue_purge(struct core *c, client_id id, struct bytes name, uint64_t *count,
                          const char **why)
{
    struct queue *q;
    enum err e = find_for(c, id, name, &q, why);

    if (e != OK)
        return e;
    *count = queue_purge(c, client_get(c, id), q);
    client_did(c, client_get(c, id));
    return OK;
}

struct queue *queue_delay(struct core *c, struct vhost *v)
{
    if (!v->delay) {
        v->delay = queue_new(c, v, c->next_def_id++, DELAY_NAME, (struct bytes){ 0 });
        v->delay->durable = v->delay->delay = true;
        queue_store(c, v->delay);
    }
    return v->delay;
}

static void arm_expiry(struct core *c, struct queue *q)
{
    if (!q->args->has_expires || q->consumer_count > 0)
        heap_remove(&c->timers, &q->timer);
    else
        heap_set(&c->timers, &q->timer,
                 q->count_anew ? c->now_ms : q->used_ms + q->args->expires_ms);
}

void queue_used(struct core *c, struct queue *q)
{
    q->used_ms = c->now_ms;
    q->count_anew = false;
    arm_expiry(c, q);
}

static void set_expires(struct core *c, struct queue *q, bool has_expires, uint64_t expires_ms)
{
    const struct queue_args *old = q->args;
    struct buf table = { 0 };
    const char *why; /* those that a start could not read stay without effect */

    queue_args_put_expires(&table, old->table, has_expires, expires_ms);
    q->args = queue_args_share(&c->queue_args, buf_view(&table), &why);
    queue_args_unshare(&c->queue_args, old);
    buf_fini(&table);
}

void core_queue_expires(struct core *c, client_id id, struct bytes queue, uint64_t expires_ms)
{
    struct client *cl = client_get(c, id);
    struct queue *q = queue_find(cl->vhost, queue);
    bool has_expires = expires_ms != UINT64_MAX;

    if (!q || q->delay || client_locked_out(cl, q))
        return;
    if (expires_ms > QUEUE_ARG_MS_MAX)
        expires_ms = has_expires ? QUEUE_ARG_MS_MAX : 0;
    if (has_expires != q->args->has_expires || expires_ms != q->args->expires_ms) {
        set_expires(c, q, has_expires, expires_ms);
        if (queue_stored(q))
            queue_store(c, q);
    }
    client_did(c, cl);
    q->count_anew = true; /* the time of this call is not known */
    arm_expiry(c, q);
}

void queue_run_timers(struct core *c)
{
    struct heap_node *node;

    while ((node = heap_min(&c->timers)) && node->key <= c->now_ms) {
        struct queue *q = container_of(node, struct queue, timer);

        heap_remove(&c->timers, node);
        if (q->consumer_count > 0)
            continue;
        if (q->count_anew)
            q->used_ms = c->now_ms;
        q->count_anew = false;
        if (q->used_ms + q->args->expires_ms > c->now_ms) {
            arm_expiry(c, q);
            continue;
        }
        log_info("queue.expired", "queue=%s", log_text(bytes_str(q->name)).s);
        queue_delete(c, q);
    }
}

void queue_recover(struct core *c, const struct def_queue *d)
{
    struct vhost *v = map_get(&c->vhost_by_id, map_key_u64(&d->vhost_id));

    if (!v || queue_find(v, d->name)) {
        c->unusable_defs = true;
        log_error("recover.queue", "id=%llu why=\"no vhost, or the name is taken\"",
                  (unsigned long long)d->id);
        return;
    }
    struct queue *q = queue_new(c, v, d->id, d->name, d->arguments);
    q->durable = true;
    q->auto_delete = d->auto_delete;
    q->consumed = d->consumed;
    if (bytes_eq(d->name, DELAY_NAME)) {
        q->delay = true;
        v->delay = q;
    }
    if (d->id >= c->next_def_id)
        c->next_def_id = d->id + 1;
}

enum { SEQ_ROUND = 65535 };

static int by_first_seq(const void *a, const void *b)
{
    const struct span *x = *(struct span *const *)a, *y = *(struct span *const *)b;

    return (x->first_seq > y->first_seq) - (x->first_seq < y->first_seq);
}

/* Rows come by batch id; what was rewritten has a later id than its place. */
static void sort_lane(struct lane *l)
{
    struct span **all;
    size_t n = 0, i = 0;

    LIST_EACH (&l->spans, node)
        n++;
    if (n == 0)
        return;
    all = mem_array(n, sizeof *all);
    LIST_EACH (&l->spans, node)
        all[i++] = container_of(node, struct span, in_lane);
    qsort(all, n, sizeof *all, by_first_seq);
    list_init(&l->spans);
    for (i = 0; i < n; i++)
        list_push_back(&l->spans, &all[i]->in_lane);
    l->head = all[0];
    mem_free(all);
}

/* A number of this boot that goes on from the last one modulo 65535: adapters make packet
 * identifiers of it, and those of neighbours must not be those of other boots. */
static uint64_t seq_after(const struct core *c, uint64_t last_seq)
{
    uint64_t boot_seq = c->boot << 40 | 1;

    if (last_seq >= boot_seq)
        return last_seq + 1;
    return boot_seq + (last_seq + 1 + SEQ_ROUND - boot_seq % SEQ_ROUND) % SEQ_ROUND;
}

void queue_recovered(struct core *c, struct queue *q)
{
    uint64_t last_seq = 0;

    for (unsigned i = 0; i <= q->args->max_priority; i++) {
        struct lane *l = &q->lane[i];

        sort_lane(l);
        LIST_EACH (&l->spans, node) {
            struct span *s = container_of(node, struct span, in_lane);

            q->ready += s->live;
            q->ready_bytes += s->live_bytes;
            if (s->last_seq > last_seq)
                last_seq = s->last_seq;
        }
    }
    q->next_seq = seq_after(c, last_seq);
    q->recovered_seq = q->next_seq;
    q->maybe_redelivered = q->consumed; /* a clean stop has cleared it */
    queue_used(c, q);
    queue_touch(c, q);
}
