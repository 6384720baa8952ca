// SPDX-License-Identifier: MIT
#include "tests/lib/core_rig.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/props.h"
#include "proto/table.h"

enum { TURNS_MAX = 100000 };

/* Owner of every client: the core only gives it back. */
static int owner_mark;

struct core_options rig_options(void)
{
    return (struct core_options){
        .seed = 42,
        .memory_bytes = 32 * 1024 * 1024,
        .read_ahead_bytes = 1024 * 1024,
        .uncommitted_bytes = 64 * 1024 * 1024,
        .disk_reserve_bytes = 1000,
        .message_bytes = 16 * 1024 * 1024,
        .transaction_bytes = 16 * 1024 * 1024,
        .queues = 10000,
        .exchanges = 1000,
        .bindings = 10000,
        .consumers = 10000,
        .unacked = 100000,
        .retained = 100000,
        .retained_bytes = 64 * 1024 * 1024,
    };
}

static void check(const struct rig *r)
{
    CHECK(core_check(r->core));
}

/* ---- disk ---- */

static void land(struct rig *r, struct commit *commit)
{
    for (size_t i = 0; i < commit->op_count; i++)
        r->batches_put += commit->op[i].kind == OP_BATCH_PUT;
    r->commits++;
    CHECK(engine_mem.commit(r->engine, commit) == OK);
    commit->disk_free_bytes = r->disk_free;
}

void rig_commit(struct rig *r)
{
    struct commit *commit = r->under_way;

    if (!commit)
        return;
    r->under_way = NULL;
    land(r, commit);
    commit->began_ns = r->commit_ended_ns + r->pause_ns;
    commit->ended_ns = r->commit_ended_ns = commit->began_ns + r->commit_ns;
    core_committed(r->core, commit);
    check(r);
}

bool rig_load(struct rig *r)
{
    uint64_t batch_id, blob_id;
    struct load *l;
    uint32_t part;

    if (!core_next_load(r->core, &batch_id, &blob_id, &part))
        return false;
    l = mem_new(struct load);
    l->batch_id = batch_id;
    l->blob_id = blob_id;
    l->part = part;
    if (blob_id)
        l->err = engine_mem.load_part(r->engine, blob_id, part, &l->data);
    else
        l->err = engine_mem.load(r->engine, batch_id, &l->content);
    core_loaded(r->core, l);
    check(r);
    return true;
}

/* ---- effects ---- */

static void keep_message(struct rig_effect *at, const struct message *m)
{
    uint8_t *p;

    at->m = *m;
    p = buf_reserve(&at->bytes, m->exchange.n + m->routing_key.n + m->props.n + m->body.n + 1);
    buf_bytes(&at->bytes, m->exchange);
    buf_bytes(&at->bytes, m->routing_key);
    buf_bytes(&at->bytes, m->props);
    buf_bytes(&at->bytes, m->body);
    at->m.exchange.p = p;
    at->m.routing_key.p = p + m->exchange.n;
    at->m.props.p = at->m.routing_key.p + m->routing_key.n;
    at->m.body.p = at->m.props.p + m->props.n;
    at->text = bytes_dup_str(m->body);
}

static size_t collect(struct rig *r)
{
    size_t n;
    const struct effect *e = core_effects(r->core, &n);
    struct message m;

    for (size_t i = 0; i < n; i++) {
        if (!core_client_owner(r->core, e[i].client))
            continue;
        r->effect = mem_grow(r->effect, &r->cap, r->count + 1, sizeof *r->effect);
        struct rig_effect *at = &r->effect[r->count++];
        *at = (struct rig_effect){ .e = e[i] };
        if (e[i].kind != EFFECT_DELIVER && e[i].kind != EFFECT_RETURN)
            continue;
        core_effect_message(r->core, &e[i], &m);
        keep_message(at, &m);
    }
    return n;
}

void rig_forget(struct rig *r)
{
    for (size_t i = 0; i < r->count; i++) {
        buf_fini(&r->effect[i].bytes);
        mem_free(r->effect[i].text);
    }
    r->count = r->seen = 0;
}

const struct rig_effect *rig_next(struct rig *r, enum effect_kind kind)
{
    while (r->seen < r->count)
        if (r->effect[r->seen++].e.kind == kind)
            return &r->effect[r->seen - 1];
    return NULL;
}

const char *rig_next_text(struct rig *r)
{
    const struct rig_effect *at = rig_next(r, EFFECT_DELIVER);

    return at ? at->text : "(none)";
}

const char *rig_texts(struct rig *r, struct buf *out)
{
    const struct rig_effect *at;

    out->n = 0;
    while ((at = rig_next(r, EFFECT_DELIVER))) {
        if (out->n)
            buf_u8(out, ' ');
        buf_str(out, at->text);
    }
    buf_u8(out, 0);
    return (const char *)out->p;
}

size_t rig_count(const struct rig *r, enum effect_kind kind)
{
    size_t n = 0;

    for (size_t i = 0; i < r->count; i++)
        n += r->effect[i].e.kind == kind;
    return n;
}

uint64_t rig_confirmed(const struct rig *r, client_id client)
{
    for (size_t i = r->count; i-- > 0;)
        if (r->effect[i].e.kind == EFFECT_CONFIRM && r->effect[i].e.client == client)
            return r->effect[i].e.last;
    return 0;
}

/* ---- turns ---- */

static bool seal(struct rig *r)
{
    if (r->under_way)
        return false;
    r->under_way = core_seal(r->core, r->now_ms);
    check(r);
    if (!r->under_way)
        return false;
    if (!r->hold_commits)
        rig_commit(r);
    return true;
}

bool rig_turn(struct rig *r)
{
    bool any;

    core_turn(r->core, r->now_ms);
    check(r);
    any = collect(r) > 0;
    core_effects_done(r->core);
    check(r);

    uint64_t memory = rig_stats(r).memory_bytes;
    if (memory > r->peak_memory)
        r->peak_memory = memory;
    any |= seal(r);
    while (!r->hold_loads && rig_load(r))
        any = true;
    return any || core_next_at_ms(r->core) == 0;
}

void rig_run(struct rig *r)
{
    int turns = 0;

    while (rig_turn(r))
        CHECK(++turns < TURNS_MAX);
}

void rig_later(struct rig *r, uint64_t ms)
{
    r->now_ms += ms;
    rig_run(r);
}

/* ---- start and end ---- */

static void start(struct rig *r)
{
    bool held = r->hold_commits;

    r->engine = engine_mem_on(r->disk);
    r->core = core_new(&r->opt);
    CHECK(engine_mem.recover(r->engine, &core_recover_sink, r->core) == OK);
    core_recovered(r->core, r->now_ms);
    r->hold_commits = false;
    CHECK(seal(r));
    r->hold_commits = held;
    r->client = rig_client(r);
}

static void stop(struct rig *r)
{
    core_free(&r->core);
    engine_mem.close(&r->engine);
    commit_free(&r->under_way);
}

void rig_open(struct rig *r, const struct core_options *opt)
{
    *r = (struct rig){ .opt = opt ? *opt : rig_options(),
                       .now_ms = UINT64_C(1700000000000),
                       .disk_free = UINT64_C(1) << 40,
                       .disk = mem_disk_new() };
    start(r);
}

void rig_close(struct rig *r)
{
    stop(r);
    mem_disk_free(&r->disk);
    rig_forget(r);
    mem_free(r->effect);
    *r = (struct rig){ 0 };
}

void rig_crash(struct rig *r, bool landed)
{
    if (landed && r->under_way)
        land(r, r->under_way);
    stop(r);
    rig_forget(r);
    start(r);
}

void rig_restart(struct rig *r)
{
    bool held = r->hold_commits;

    core_client_close(r->core, r->client, r->now_ms);
    r->hold_commits = false;
    rig_commit(r);
    rig_run(r);
    core_stopping(r->core);
    (void)seal(r);
    r->hold_commits = held;
    stop(r);
    rig_forget(r);
    start(r);
}

/* ---- calls in short ---- */

client_id rig_client(struct rig *r)
{
    client_id id = core_client_open(r->core, core_vhost_find(r->core, BYTES("/")), &owner_mark);

    core_client_room(r->core, id, SIZE_MAX);
    return id;
}

client_id rig_join(struct rig *r, client_id connection)
{
    client_id id = core_client_join(r->core, connection, &owner_mark);

    core_client_room(r->core, id, SIZE_MAX);
    check(r);
    return id;
}

static void put_arg(struct buf *out, struct bytes name, struct bytes value)
{
    uint64_t number;

    if (bytes_to_u64(value, INT64_MAX, &number))
        table_put_int(out, name, (int64_t)number);
    else if (bytes_eq(value, BYTES("true")) || bytes_eq(value, BYTES("false")))
        table_put_bool(out, name, value.n == 4);
    else
        table_put_str(out, name, value);
}

struct bytes rig_args(struct buf *out, const char *text)
{
    out->n = 0;
    while (text && *text) {
        size_t n = strcspn(text, " "), name = strcspn(text, "=");

        CHECK(name < n);
        put_arg(out, bytes_of(text, name), bytes_of(text + name + 1, n - name - 1));
        text += n + (text[n] == ' ');
    }
    return buf_view(out);
}

enum err rig_exchange(struct rig *r, const char *name, const char *type, const char *args)
{
    struct buf table = { 0 };
    struct exchange_spec s = { .name = bytes_str(name),
                               .type = bytes_str(type),
                               .durable = true,
                               .arguments = rig_args(&table, args) };
    enum err e = core_exchange_declare(r->core, r->client, &s, NULL);

    buf_fini(&table);
    check(r);
    return e;
}

void rig_bind(struct rig *r, const char *exchange, const char *key, const char *queue)
{
    struct binding_spec s = { .exchange = bytes_str(exchange),
                              .target = bytes_str(queue),
                              .routing_key = bytes_str(key) };

    CHECK(core_bind(r->core, r->client, &s, NULL) == OK);
    check(r);
}

uint64_t rig_queue(struct rig *r, const char *name, const char *args)
{
    struct buf table = { 0 };
    struct queue_spec s = { .name = bytes_str(name),
                            .durable = true,
                            .arguments = rig_args(&table, args) };
    struct queue_info info;
    const char *why;

    CHECK(core_queue_declare(r->core, r->client, &s, &info, &why, r->now_ms) == OK);
    buf_fini(&table);
    check(r);
    return info.queue_id;
}

struct built {
    struct buf props, headers, body;
    struct publish p;
};

static void build(const struct rig_message *m, struct built *b)
{
    struct props props = { .delivery_mode = 2, .priority = m->priority };
    uint8_t digits[20];

    if (!m->transient)
        props.flags |= PROPS_delivery_mode;
    if (m->priority)
        props.flags |= PROPS_priority;
    if (m->has_ttl) {
        props.flags |= PROPS_expiration;
        props.expiration = bytes_of(digits, bytes_put_u64(digits, m->ttl_ms));
    }
    if (m->headers) {
        props.flags |= PROPS_headers;
        props.headers = rig_args(&b->headers, m->headers);
    }
    if (props.flags)
        props_encode(&b->props, &props);
    buf_str(&b->body, m->body ? m->body : "");
    memset(buf_reserve(&b->body, m->padding), '.', m->padding);
    b->body.n += m->padding;
    b->p = (struct publish){ .m = { .exchange = bytes_str(m->exchange ? m->exchange : ""),
                                    .routing_key = bytes_str(m->key ? m->key : ""),
                                    .props = buf_view(&b->props),
                                    .body = buf_view(&b->body),
                                    .body_size = b->body.n },
                             .persistent = !m->transient,
                             .priority = m->priority,
                             .has_ttl = m->has_ttl,
                             .ttl_ms = m->ttl_ms,
                             .delay_ms = m->delay_ms,
                             .delay_by_exchange = m->delay_by_exchange,
                             .mandatory = m->mandatory,
                             .deliver_committed = m->deliver_committed };
    if (m->headers && props_decode(buf_view(&b->props), &props))
        b->p.headers = props.headers;
}

static void build_free(struct built *b)
{
    buf_fini(&b->props);
    buf_fini(&b->headers);
    buf_fini(&b->body);
}

enum publish_result rig_send(struct rig *r, client_id id, const struct rig_message *m)
{
    struct built b = { 0 };
    const char *why = NULL;

    build(m, &b);
    enum publish_result result = core_publish(r->core, id, &b.p, &why, r->now_ms);
    build_free(&b);
    CHECK(result == PUBLISH_ROUTED || result == PUBLISH_UNROUTED || why);
    check(r);
    return result;
}

bool rig_stage(struct rig *r, struct tx *t, const struct rig_message *m)
{
    struct built b = { 0 };

    (void)r;
    build(m, &b);
    bool ok = core_tx_publish(t, &b.p);
    build_free(&b);
    return ok;
}

enum publish_result rig_put(struct rig *r, const char *queue, const char *body)
{
    return rig_send(r, r->client, &(struct rig_message){ .key = queue, .body = body });
}

void rig_put_each(struct rig *r, const char *queue, const char *bodies)
{
    for (; *bodies; bodies++) {
        char one[] = { *bodies, 0 };

        CHECK(rig_put(r, queue, one) == PUBLISH_ROUTED);
    }
}

consumer_id rig_consume(struct rig *r, client_id id, const struct rig_consume *how)
{
    struct consume s = { .queue = bytes_str(how->queue),
                         .no_ack = how->no_ack,
                         .exclusive = how->exclusive,
                         .own_ledger = !how->shared,
                         .prefetch = how->prefetch,
                         .priority = how->priority,
                         .handle = how->handle };
    const char *why;
    consumer_id k = 0;

    if (core_consume(r->core, id, &s, &k, &why) != OK)
        return 0;
    check(r);
    return k;
}

enum err rig_settle(struct rig *r, client_id id, consumer_id k, uint64_t tag, enum settle how)
{
    enum err e = core_settle(r->core, id, k, tag, false, how, r->now_ms);

    check(r);
    return e;
}

const char *rig_drain(struct rig *r, const char *queue, struct buf *out)
{
    rig_consume(r, r->client, &(struct rig_consume){ .queue = queue });
    rig_run(r);
    return rig_texts(r, out);
}

struct queue_info rig_info(struct rig *r, const char *queue)
{
    struct queue_spec s = { .name = bytes_str(queue), .passive = true };
    struct queue_info info = { .queue_id = 0 };
    const char *why;

    if (core_queue_declare(r->core, r->client, &s, &info, &why, r->now_ms) != OK)
        return (struct queue_info){ .queue_id = 0 };
    return info;
}

struct core_stats rig_stats(const struct rig *r)
{
    struct core_stats s;

    core_stats(r->core, &s);
    return s;
}

uint64_t rig_rows(const struct rig *r)
{
    return mem_disk_stats(r->disk).batches;
}

size_t rig_ops(const struct rig *r, enum op_kind kind)
{
    size_t n = 0;

    for (size_t i = 0; r->under_way && i < r->under_way->op_count; i++)
        n += r->under_way->op[i].kind == kind;
    return n;
}
