// SPDX-License-Identifier: MIT
#include "tests/lib/store_script.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "storage/record.h"

static uint32_t rnd(struct script *s, uint32_t below)
{
    s->rng ^= s->rng << 13;
    s->rng ^= s->rng >> 7;
    s->rng ^= s->rng << 17;
    return (uint32_t)((s->rng >> 20) % below);
}

void script_init(struct script *s, uint64_t seed)
{
    *s = (struct script){ .rng = seed * 0x9e3779b97f4a7c15 + 77 };
    s->next_batch = s->next_blob = s->next_definition = 1;
    s->body_max = 3000;
}

static void put_message(struct script *s, struct batch_content *c, struct record_routes *routes,
                        uint32_t group, uint64_t blob_id)
{
    uint8_t body[4096];
    char key[24];
    uint32_t n = rnd(s, 4) ? rnd(s, 120) : rnd(s, s->body_max), at;
    struct message m = { .exchange = BYTES("amq.topic"), .props = BYTES("\x10\x00\x02") };

    (void)snprintf(key, sizeof key, "key.%u", rnd(s, 5));
    memset(body, (int)('a' + rnd(s, 26)), n);
    m.routing_key = bytes_str(key);
    m.blob_id = blob_id;
    m.body = blob_id ? (struct bytes){ NULL, 0 } : bytes_of(body, n);
    m.body_size = blob_id ? 300000 : n;
    at = record_put(&c->bodies, routes, &m);

    uint64_t seq = c->group[group].count ? c->group[group].last_seq + 1 + rnd(s, 2) : rnd(s, 1000);
    uint64_t due = rnd(s, 5) ? 0 : c->created_ms + rnd(s, 100000);
    uint32_t slot = batch_add_slot(c, group, seq, due, at, (uint32_t)m.body_size);
    if (blob_id)
        batch_add_blob(c, slot, blob_id);
}

static void put_parts(struct script *s, struct commit *c, uint64_t blob_id)
{
    struct op *o;

    for (uint32_t i = 0; i < 3; i++) {
        uint8_t *data = commit_alloc(c, 20000);

        memset(data, (int)('A' + rnd(s, 26)), 20000);
        o = commit_op(c, OP_PART_PUT);
        o->blob_id = blob_id;
        o->index = i;
        o->bits = bytes_of(data, 20000);
    }
    if (rnd(s, 4) == 0)
        return; /* never made whole */
    o = commit_op(c, OP_BLOB_PUT);
    o->blob_id = blob_id;
    o->size = 60000;
}

static void publish(struct script *s, struct commit *c)
{
    bool transient = s->spills && rnd(s, 6) == 0;
    struct batch_content *b = batch_content_new(1700000000000 + s->number, transient);
    struct record_routes routes = { 0 };
    struct script_batch *live = &s->live[s->live_count++];
    uint32_t groups = 1 + rnd(s, 5);

    *live = (struct script_batch){ .id = s->next_batch++, .slots = groups + rnd(s, 60) };
    if (rnd(s, 12) == 0)
        put_parts(s, c, live->blob_id = s->next_blob++);
    for (uint32_t i = 0; i < groups; i++)
        batch_add_group(b, 1 + rnd(s, 1000), (uint8_t)rnd(s, 3));
    for (uint32_t i = 0; i < live->slots; i++)
        put_message(s, b, &routes, rnd(s, groups), i == 0 ? live->blob_id : 0);

    uint8_t *dead = commit_alloc(c, sizeof live->bits);
    memset(dead, 0, sizeof live->bits);
    for (uint32_t i = 1, share = rnd(s, 4); i < live->slots; i++)
        if (rnd(s, 4) < share)
            bit_set(dead, i);
    struct op *o = commit_op(c, OP_BATCH_PUT);
    o->batch_id = live->id;
    o->content = b;
    o->bits = bytes_of(dead, bits_bytes(live->slots));
}

static void delete_batch(struct script *s, struct commit *c, size_t i)
{
    struct script_batch *b = &s->live[i];

    commit_op(c, OP_BATCH_DELETE)->batch_id = b->id;
    if (b->blob_id)
        commit_op(c, OP_BLOB_DELETE)->blob_id = b->blob_id;
    *b = s->live[--s->live_count];
}

static void settle(struct script *s, struct commit *c)
{
    size_t i = rnd(s, (uint32_t)s->live_count);
    struct script_batch *b = &s->live[i];

    for (uint32_t n = 1 + rnd(s, b->slots); n > 0; n--) {
        uint32_t slot = rnd(s, b->slots);
        b->settled += !bit_get(b->bits, slot);
        bit_set(b->bits, slot);
    }
    if (b->settled > b->slots * 3 / 4) {
        delete_batch(s, c, i);
        return;
    }
    struct op *o = commit_op(c, OP_SETTLED_PUT);
    o->batch_id = b->id;
    o->bits = commit_copy(c, bytes_of(b->bits, bits_bytes(b->slots)));
}

static void count(struct script *s, struct commit *c)
{
    struct script_batch *b = &s->live[rnd(s, (uint32_t)s->live_count)];
    struct op *o = commit_op(c, OP_DELIVERIES_PUT);

    o->batch_id = b->id;
    o->slot = rnd(s, b->slots);
    o->count = 1 + rnd(s, 9);
}

static struct bytes name_of(struct commit *c, const char *what, uint64_t id)
{
    char text[48];

    (void)snprintf(text, sizeof text, "%s \xc3\xa9 %u", what, (unsigned)id);
    return commit_copy(c, bytes_str(text));
}

static void define(struct script *s, struct commit *c)
{
    uint64_t id = s->next_definition++;
    struct op *o;

    switch (rnd(s, 5)) {
    case 0:
        commit_op(c, OP_VHOST_PUT)->vhost = (struct def_vhost){ id, name_of(c, "vhost", id) };
        break;
    case 1:
        commit_op(c, OP_EXCHANGE_PUT)->exchange = (struct def_exchange){
            id, 1, name_of(c, "exchange", id), BYTES("topic"), id % 2, id % 3 == 0, BYTES("\0\1")
        };
        break;
    case 2:
        commit_op(c, OP_QUEUE_PUT)->queue = (struct def_queue){
            id, 1, name_of(c, "queue", id), id % 2, id % 3 == 0, name_of(c, "arguments", id)
        };
        break;
    case 3:
        commit_op(c, OP_BINDING_PUT)->binding = (struct def_binding){
            id, 1, id / 2, id % 2, id / 3, name_of(c, "key", id), { NULL, 0 }
        };
        break;
    default:
        commit_op(c, OP_USER_PUT)->user = (struct def_user){ name_of(c, "user", id % 7),
                                                             name_of(c, "hash", id),
                                                             BYTES("admin") };
    }
    if (rnd(s, 3) == 0) {
        static const enum op_kind kinds[] = { OP_VHOST_DELETE, OP_EXCHANGE_DELETE, OP_QUEUE_DELETE,
                                              OP_BINDING_DELETE };
        commit_op(c, kinds[rnd(s, 4)])->id = 1 + rnd(s, (uint32_t)id);
    }
    if (rnd(s, 9) == 0) {
        struct bytes name = name_of(c, "user", rnd(s, 7));
        commit_op(c, OP_USER_DELETE)->user.name = name;
    }
    o = commit_op(c, OP_BOOT);
    o->id = id;
    o->flag = id % 2;
}

static void permit(struct script *s, struct commit *c)
{
    uint64_t vhost = 1 + rnd(s, 3);
    struct bytes user = name_of(c, "user", rnd(s, 4)), other = name_of(c, "other", s->number);

    if (rnd(s, 2))
        commit_op(c, OP_PERMISSION_PUT)->permission = (struct def_permission){
            vhost, user, other, { NULL, 0 }, BYTES(".*")
        };
    else
        commit_op(c, OP_TOPIC_PERMISSION_PUT)->topic_permission = (struct def_topic_permission){
            vhost, user, name_of(c, "exchange", rnd(s, 2)), other, { NULL, 0 }
        };
}

static void note(struct script *s, struct commit *c)
{
    uint64_t id = 1 + rnd(s, 9);
    struct bytes text = name_of(c, "note", s->number);
    struct op *o = commit_op(c, rnd(s, 4) ? OP_NOTE_PUT : OP_NOTE_DELETE);

    o->id = id;
    if (o->kind == OP_NOTE_PUT)
        o->bits = text;
}

static void retain(struct script *s, struct commit *c)
{
    uint64_t n = rnd(s, 40);
    uint8_t body[2000];
    struct def_retained r = { .vhost_id = 1 + n % 2,
                              .routing_key = name_of(c, "a.b", n),
                              .stored_ms = 1700000000000 + s->number,
                              .expires_ms = rnd(s, 2) ? 0 : 1800000000000 };

    memset(body, (int)('a' + rnd(s, 26)), sizeof body);
    if (rnd(s, 3) == 0) {
        commit_op(c, OP_RETAINED_DELETE)->retained = r;
        return;
    }
    r.props = rnd(s, 2) ? name_of(c, "props", n) : (struct bytes){ NULL, 0 };
    r.body = commit_copy(c, bytes_of(body, 1 + rnd(s, sizeof body)));
    commit_op(c, OP_RETAINED_PUT)->retained = r;
}

struct commit *script_commit(struct script *s)
{
    struct commit *c = commit_new(++s->number);

    for (uint32_t i = rnd(s, 3); i > 0 && s->live_count < SCRIPT_LIVE_MAX; i--)
        publish(s, c);
    if (s->live_count == SCRIPT_LIVE_MAX)
        delete_batch(s, c, rnd(s, SCRIPT_LIVE_MAX));
    for (uint32_t i = rnd(s, 4); i > 0 && s->live_count > 0; i--)
        settle(s, c);
    if (s->live_count > 0 && rnd(s, 3) == 0)
        count(s, c);
    if (rnd(s, 4) == 0)
        define(s, c);
    if (rnd(s, 3) == 0)
        note(s, c);
    if (rnd(s, 4) == 0)
        permit(s, c);
    if (rnd(s, 3) == 0)
        retain(s, c);
    return c;
}

void script_commit_free(struct commit **c)
{
    if (!*c)
        return;
    for (size_t i = 0; i < (*c)->op_count; i++)
        if ((*c)->op[i].kind == OP_BATCH_PUT)
            batch_content_free(&(*c)->op[i].content);
    commit_free(c);
}

struct batch_content *script_batch(uint64_t queue_id, uint64_t first_seq, uint32_t n,
                                   uint32_t bytes)
{
    struct batch_content *c = batch_content_new(1700000000000, false);
    struct record_routes routes = { 0 };
    uint8_t *body = mem_zalloc(bytes);
    struct message m = { .routing_key = BYTES("queue"), .props = BYTES("\x10\x00\x02") };
    uint32_t group = batch_add_group(c, queue_id, 0);

    memset(body, 'm', bytes);
    m.body = bytes_of(body, bytes);
    m.body_size = bytes;
    for (uint32_t i = 0; i < n; i++)
        batch_add_slot(c, group, first_seq + i, 0, record_put(&c->bodies, &routes, &m), bytes);
    mem_free(body);
    return c;
}

/* --- what an engine holds ------------------------------------------------------ */

struct dump {
    struct buf *out;
    uint64_t *batch, *blob;
    size_t batches, batch_cap, blobs, blob_cap;
};

static unsigned long long ull(uint64_t v)
{
    return v;
}

static void dump_text(struct buf *out, struct bytes b)
{
    buf_fmt(out, " %llx/%zu", ull(bytes_hash(b, 0)), b.n);
}

static void on_boot(void *arg, uint64_t boot, bool clean_stop)
{
    struct dump *d = arg;

    buf_fmt(d->out, "boot %llu %d\n", ull(boot), clean_stop);
}

static void on_vhost(void *arg, const struct def_vhost *v)
{
    struct dump *d = arg;

    buf_fmt(d->out, "vhost %llu", ull(v->id));
    dump_text(d->out, v->name);
    buf_str(d->out, "\n");
}

static void on_exchange(void *arg, const struct def_exchange *x)
{
    struct dump *d = arg;

    buf_fmt(d->out, "exchange %llu %llu %d %d", ull(x->id), ull(x->vhost_id), x->auto_delete,
            x->internal);
    dump_text(d->out, x->name);
    dump_text(d->out, x->type);
    dump_text(d->out, x->arguments);
    buf_str(d->out, "\n");
}

static void on_queue(void *arg, const struct def_queue *q)
{
    struct dump *d = arg;

    buf_fmt(d->out, "queue %llu %llu %d %d", ull(q->id), ull(q->vhost_id), q->auto_delete,
            q->consumed);
    dump_text(d->out, q->name);
    dump_text(d->out, q->arguments);
    buf_str(d->out, "\n");
}

static void on_binding(void *arg, const struct def_binding *b)
{
    struct dump *d = arg;

    buf_fmt(d->out, "binding %llu %llu %llu %d %llu", ull(b->id), ull(b->vhost_id),
            ull(b->exchange_id), b->to_exchange, ull(b->target_id));
    dump_text(d->out, b->routing_key);
    dump_text(d->out, b->arguments);
    buf_str(d->out, "\n");
}

static void on_permission(void *arg, const struct def_permission *p)
{
    struct dump *d = arg;

    buf_fmt(d->out, "permission %llu", ull(p->vhost_id));
    dump_text(d->out, p->user);
    dump_text(d->out, p->configure);
    dump_text(d->out, p->write);
    dump_text(d->out, p->read);
    buf_str(d->out, "\n");
}

static void on_topic_permission(void *arg, const struct def_topic_permission *p)
{
    struct dump *d = arg;

    buf_fmt(d->out, "topic %llu", ull(p->vhost_id));
    dump_text(d->out, p->user);
    dump_text(d->out, p->exchange);
    dump_text(d->out, p->write);
    dump_text(d->out, p->read);
    buf_str(d->out, "\n");
}

static void on_user(void *arg, const struct def_user *u)
{
    struct dump *d = arg;

    buf_str(d->out, "user");
    dump_text(d->out, u->name);
    dump_text(d->out, u->password_hash);
    dump_text(d->out, u->tags);
    buf_str(d->out, "\n");
}

static void on_note(void *arg, uint64_t queue_id, struct bytes note)
{
    struct dump *d = arg;

    buf_fmt(d->out, "note %llu", ull(queue_id));
    dump_text(d->out, note);
    buf_str(d->out, "\n");
}

static void on_retained(void *arg, const struct def_retained *r)
{
    struct dump *d = arg;

    buf_fmt(d->out, "retained %llu at %llu to %llu", ull(r->vhost_id), ull(r->stored_ms),
            ull(r->expires_ms));
    dump_text(d->out, r->routing_key);
    dump_text(d->out, r->props);
    dump_text(d->out, r->body);
    buf_str(d->out, "\n");
}

static void on_blob(void *arg, uint64_t blob_id, uint64_t size)
{
    struct dump *d = arg;

    buf_fmt(d->out, "blob %llu %llu\n", ull(blob_id), ull(size));
    d->blob = mem_grow(d->blob, &d->blob_cap, d->blobs + 1, sizeof *d->blob);
    d->blob[d->blobs++] = blob_id;
}

static void on_batch(void *arg, uint64_t id, struct batch_content *c, struct bytes settled)
{
    struct dump *d = arg;

    buf_fmt(d->out, "batch %llu at %llu slots %zu settled", ull(id), ull(c->created_ms),
            c->slot_count);
    dump_text(d->out, settled);
    for (size_t i = 0; i < c->group_count; i++) {
        const struct group *g = &c->group[i];
        buf_fmt(d->out, " [q %llu p %u seq %llu-%llu n %u live %u bytes %llu at %llu]",
                ull(g->queue_id), g->priority, ull(g->first_seq), ull(g->last_seq), g->count,
                g->live, ull(g->live_bytes), ull(g->min_at_ms));
    }
    for (size_t i = 0; i < c->blob_count; i++)
        buf_fmt(d->out, " blob %u=%llu", c->blob[i].slot, ull(c->blob[i].blob_id));
    buf_str(d->out, "\n");
    batch_content_free(&c);
    d->batch = mem_grow(d->batch, &d->batch_cap, d->batches + 1, sizeof *d->batch);
    d->batch[d->batches++] = id;
}

static void on_deliveries(void *arg, uint64_t id, uint32_t slot, uint32_t n)
{
    struct dump *d = arg;

    buf_fmt(d->out, "deliveries %llu %u %u\n", ull(id), slot, n);
}

static void on_damaged(void *arg, uint64_t id, const char *why)
{
    struct dump *d = arg;

    (void)why;
    buf_fmt(d->out, "damaged %llu\n", ull(id));
}

static void dump_slots(struct buf *out, const struct batch_content *c)
{
    for (size_t i = 0; i < c->slot_count; i++) {
        const struct slot *s = &c->slot[i];
        struct message m = { 0 };

        if (s->record == SLOT_NONE) {
            buf_str(out, " dead");
            continue;
        }
        CHECK(record_get(buf_view(&c->bodies), s->record, &m, NULL));
        buf_fmt(out, " %llu@%llu:%u", ull(s->seq), ull(s->at_ms), s->bytes);
        dump_text(out, m.routing_key);
        dump_text(out, m.body);
    }
}

static void dump_batch(const struct engine_ops *ops, struct engine *e, uint64_t id, struct buf *out)
{
    struct batch_content *c = NULL;
    enum err err = ops->load(e, id, &c);

    buf_fmt(out, "load %llu %s", ull(id), err_text(err));
    if (!err)
        dump_slots(out, c);
    buf_str(out, "\n");
    batch_content_free(&c);
}

static void dump_blob(const struct engine_ops *ops, struct engine *e, uint64_t id, struct buf *out)
{
    struct buf part = { 0 };

    for (uint32_t i = 0; ops->load_part(e, id, i, &part) == OK; i++) {
        buf_fmt(out, "part %llu %u", ull(id), i);
        dump_text(out, buf_view(&part));
        buf_str(out, "\n");
        part.n = 0;
    }
    buf_fini(&part);
}

/* Users, permissions and retained messages come in an order of the engine's own: hashes of such
 * lines are summed. */
static uint64_t take_lines(struct buf *out, const char *prefix)
{
    uint64_t sum = 0;
    char *at = (char *)out->p, *end = at + out->n, *to = at;

    while (at < end) {
        char *next = (char *)memchr(at, '\n', (size_t)(end - at)) + 1;

        if (strncmp(at, prefix, strlen(prefix)) == 0) {
            sum += bytes_hash(bytes_of(at, (size_t)(next - at)), 0);
        } else {
            memmove(to, at, (size_t)(next - at));
            to += next - at;
        }
        at = next;
    }
    out->n = (size_t)(to - (char *)out->p);
    return sum;
}

enum err store_dump(const struct engine_ops *ops, struct engine *e, struct buf *out)
{
    static const struct recover_sink sink = {
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
    struct dump d = { .out = out };
    enum err err = ops->recover(e, &sink, &d);

    uint64_t users = take_lines(out, "user "), retained = take_lines(out, "retained ");
    uint64_t permissions = take_lines(out, "permission "), topics = take_lines(out, "topic ");
    buf_fmt(out, "users %llx\n", ull(users));
    if (retained)
        buf_fmt(out, "retained %llx\n", ull(retained));
    if (permissions || topics)
        buf_fmt(out, "permissions %llx %llx\n", ull(permissions), ull(topics));
    for (size_t i = 0; i < d.batches; i++)
        dump_batch(ops, e, d.batch[i], out);
    for (size_t i = 0; i < d.blobs; i++)
        dump_blob(ops, e, d.blob[i], out);
    buf_u8(out, 0);
    mem_free(d.batch);
    mem_free(d.blob);
    return err;
}

char *scratch_dir(void)
{
    const char *under = getenv("TMPDIR");
    struct buf path = { 0 };
    size_t n;

    buf_fmt(&path, "%s/lodge-test-XXXXXX", under ? under : "/tmp");
    buf_u8(&path, 0);
    char *dir = (char *)buf_take(&path, &n);
    CHECK(mkdtemp(dir));
    return dir;
}

void scratch_remove(char **dir)
{
    DIR *d = opendir(*dir);
    struct buf path = { 0 };

    for (struct dirent *f; d && (f = readdir(d));) {
        path.n = 0;
        buf_fmt(&path, "%s/%s", *dir, f->d_name);
        (void)unlink((const char *)path.p);
    }
    if (d)
        closedir(d);
    (void)rmdir(*dir);
    buf_fini(&path);
    mem_free(*dir);
    *dir = NULL;
}
