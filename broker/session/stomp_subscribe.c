// SPDX-License-Identifier: MIT
/* SUBSCRIBE, UNSUBSCRIBE, and the queues behind /temp-queue/. */
#include "broker/session/stomp_session.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"

enum { QUEUE_NAME_MAX_BYTES = 255 };

/* What a SUBSCRIBE asks for, before it is done. */
struct wish {
    struct bytes text; /* of the destination */
    struct bytes id;   /* or the destination */
    bool named, durable;
    bool anonymous; /* its queue has no name that anybody could know */
    enum stomp_ack ack;
    uint64_t prefetch;
    int32_t priority;
    struct stomp_destination to;
};

/* ---- the session's subscriptions, by number ---- */

static size_t position(const struct stomp_session *s, uint64_t number)
{
    size_t low = 0, high = s->sub_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (s->sub[mid]->number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct stomp_subscription *stomp_subscription_find(const struct stomp_session *s, uint64_t number)
{
    size_t at = position(s, number);

    return at < s->sub_count && s->sub[at]->number == number ? s->sub[at] : NULL;
}

struct stomp_subscription *stomp_subscription_by_id(const struct stomp_session *s, struct bytes id)
{
    for (size_t i = 0; i < s->sub_count; i++)
        if (bytes_eq(s->sub[i]->id, id))
            return s->sub[i];
    return NULL;
}

static void put_prefix(struct stomp_session *s, const struct wish *w, struct buf *out)
{
    out->n = 0;
    stomp_put_command(out, STOMP_CMD_MESSAGE);
    if (w->named)
        stomp_put_header(out, stomp_version(s), BYTES("subscription"), w->id);
}

static struct bytes keep(uint8_t **at, struct bytes b)
{
    struct bytes kept = { *at, b.n };

    if (b.n)
        memcpy(*at, b.p, b.n);
    *at += b.n;
    return kept;
}

static struct stomp_subscription *subscription_add(struct stomp_session *s, const struct wish *w,
                                                   struct bytes queue)
{
    struct buf *prefix = &s->shared->prefix;
    struct stomp_subscription *sub;
    uint8_t *at;

    put_prefix(s, w, prefix);
    sub = mem_zalloc(sizeof *sub + w->id.n + queue.n + prefix->n);
    at = sub->text;
    sub->number = ++s->sub_last;
    sub->ack = w->ack;
    sub->named = w->named;
    sub->deletable = w->durable;
    sub->id = keep(&at, w->id);
    sub->queue = keep(&at, queue);
    sub->prefix = keep(&at, buf_view(prefix));
    if (s->sub_cap == 0) /* most connections have one */
        s->sub = mem_array(s->sub_cap = 1, sizeof *s->sub);
    s->sub = mem_grow(s->sub, &s->sub_cap, s->sub_count + 1, sizeof *s->sub);
    s->sub[s->sub_count++] = sub;
    return sub;
}

static void subscription_remove(struct stomp_session *s, struct stomp_subscription *sub)
{
    size_t at = position(s, sub->number);

    memmove(&s->sub[at], &s->sub[at + 1], (s->sub_count - at - 1) * sizeof *s->sub);
    s->sub_count--;
    mem_free(sub);
}

void stomp_subscriptions_free(struct stomp_session *s)
{
    for (size_t i = 0; i < s->sub_count; i++)
        mem_free(s->sub[i]);
    mem_free(s->sub);
    s->sub = NULL;
    s->sub_count = s->sub_cap = 0;
}

/* ---- reading the frame ---- */

static bool read_id(struct stomp_session *s, const struct stomp_frame *f, struct wish *w)
{
    const struct stomp_known *k = &s->shared->known;

    w->id = stomp_known_get(k, STOMP_NAME_id);
    w->named = w->id.p;
    if (!w->named && (stomp_version(s) > STOMP_V1_0 || w->durable)) {
        stomp_fail(s, f, "Missing header", "SUBSCRIBE must include an 'id' header");
        return false;
    }
    if (!w->named)
        w->id = w->text;
    if (bytes_starts(w->id, BYTES(STOMP_TEMP_QUEUE_PREFIX))) {
        stomp_fail(s, f, "Invalid id", "An 'id' may not begin with " STOMP_TEMP_QUEUE_PREFIX);
        return false;
    }
    if (stomp_subscription_by_id(s, w->id)) {
        stomp_fail(s, f, "Duplicated subscription identifier",
                   "A subscription with the id '%s' is there already", log_text(w->id).s);
        return false;
    }
    return true;
}

static bool read_ack(struct stomp_session *s, const struct stomp_frame *f, struct wish *w)
{
    struct bytes mode = stomp_known_get(&s->shared->known, STOMP_NAME_ack);

    w->ack = STOMP_ACK_AUTO;
    if (!mode.p || bytes_eq(mode, BYTES("auto")))
        return true;
    w->ack = STOMP_ACK_CLIENT;
    if (bytes_eq(mode, BYTES("client")))
        return true;
    w->ack = STOMP_ACK_INDIVIDUAL;
    if (bytes_eq(mode, BYTES("client-individual")))
        return true;
    stomp_fail(s, f, "Invalid header", "'ack' is auto, client or client-individual");
    return false;
}

static bool read_numbers(struct stomp_session *s, const struct stomp_frame *f, struct wish *w)
{
    struct bytes prefetch = stomp_known_get(&s->shared->known, STOMP_NAME_prefetch_count);
    struct bytes priority = stomp_known_get(&s->shared->known, STOMP_NAME_x_priority);
    bool minus = bytes_starts(priority, BYTES("-"));
    uint64_t magnitude = 0;

    w->prefetch = s->s.env->stomp_prefetch;
    if ((prefetch.p && !bytes_to_u64(prefetch, UINT32_MAX, &w->prefetch)) ||
        (priority.p && !bytes_to_u64(bytes_from(priority, minus), INT32_MAX, &magnitude))) {
        stomp_fail(s, f, "Invalid header", "'prefetch-count' and 'x-priority' are whole numbers");
        return false;
    }
    w->priority = minus ? -(int32_t)magnitude : (int32_t)magnitude;
    return true;
}

static bool read_destination(struct stomp_session *s, const struct stomp_frame *f, struct wish *w)
{
    const char *wrong;

    w->text = stomp_known_get(&s->shared->known, STOMP_NAME_destination);
    if (!w->text.p) {
        stomp_fail(s, f, "Missing destination", "SUBSCRIBE must include a 'destination' header");
        return false;
    }
    wrong = stomp_destination_parse(w->text, &s->shared->room, &w->to);
    if (!wrong && w->to.kind == STOMP_TO_TEMP_QUEUE)
        wrong = "A /temp-queue/ is subscribed to by naming it in a 'reply-to'";
    if (wrong)
        stomp_fail(s, f, "Invalid destination", "'%s': %s", log_text(w->text).s, wrong);
    return !wrong;
}

/* `persistent` is an old name of `durable`, as in RabbitMQ. */
static bool wants_durable(const struct stomp_known *k)
{
    return stomp_known_bool(k, STOMP_NAME_durable, false) ||
           stomp_known_bool(k, STOMP_NAME_persistent, false);
}

static bool read_wish(struct stomp_session *s, const struct stomp_frame *f, struct wish *w)
{
    const struct stomp_known *k = &s->shared->known;

    if (!read_destination(s, f, w))
        return false;
    w->durable = wants_durable(k) &&
                 (w->to.kind == STOMP_TO_TOPIC || w->to.kind == STOMP_TO_EXCHANGE);
    return read_id(s, f, w) && read_ack(s, f, w) && read_numbers(s, f, w);
}

/* ---- the queue behind it ---- */

/* The same for all who give the same id and destination, after a restart too:
 * hence seeds that never change.  Two of them make 128 bits. */
static size_t durable_name(const struct wish *w, char *out, size_t size)
{
    struct buf all = { 0 };
    uint64_t hash[2];

    buf_u16(&all, (uint16_t)w->to.exchange.n);
    buf_bytes(&all, w->to.exchange);
    buf_u16(&all, (uint16_t)w->to.key.n);
    buf_bytes(&all, w->to.key);
    buf_bytes(&all, w->id);
    for (uint64_t i = 0; i < 2; i++)
        hash[i] = bytes_hash(buf_view(&all), i);
    buf_fini(&all);
    return (size_t)snprintf(out, size, "stomp-subscription-%016" PRIx64 "%016" PRIx64, hash[0],
                            hash[1]);
}

static void delete_queue(struct stomp_session *s, struct bytes queue, bool if_unused)
{
    const char *why;
    uint64_t count;
    enum err e = core_queue_delete(s->s.env->core, s->client, queue, if_unused, false, &count,
                                   &why);

    (void)e; /* gone already, or others use it */
}

/* A queue that nobody will find again must not stay when a later step failed. */
static void subscribe_failed(struct stomp_session *s, const struct stomp_frame *f,
                             const struct wish *w, struct bytes queue, enum err e, const char *why)
{
    if (w->anonymous)
        delete_queue(s, queue, true);
    stomp_fail_err(s, f, w->text, e, why);
}

static bool bind(struct stomp_session *s, const struct stomp_frame *f, const struct wish *w,
                 struct bytes queue)
{
    struct binding_spec b = { .exchange = w->to.exchange,
                              .target = queue,
                              .routing_key = w->to.key };
    const char *why = NULL;
    enum err e = core_bind(s->s.env->core, s->client, &b, &why);

    if (e != OK)
        subscribe_failed(s, f, w, queue, e, why);
    return e == OK;
}

static bool may_bind(struct stomp_session *s, const struct stomp_frame *f, const struct wish *w,
                     struct bytes queue)
{
    return stomp_may_queue(s, f, PERMISSION_WRITE, queue) &&
           stomp_may_queue(s, f, PERMISSION_READ, queue) &&
           stomp_may_exchange(s, f, PERMISSION_READ, w->to.exchange, w->to.key);
}

/* Of a topic or an exchange: a queue of its own, or one that goes by a name. */
static bool bound_queue(struct stomp_session *s, const struct stomp_frame *f, struct wish *w,
                        unsigned user_count, struct queue_info *info)
{
    struct bytes given = stomp_known_get(&s->shared->known, STOMP_NAME_x_queue_name);
    struct queue_spec spec = { .auto_delete = true };
    char name[CORE_MADE_NAME_BYTES];

    if (given.n > QUEUE_NAME_MAX_BYTES) {
        stomp_fail(s, f, "Invalid header", "'x-queue-name' has at most %d bytes",
                   QUEUE_NAME_MAX_BYTES);
        return false;
    }
    spec.durable = w->durable;
    spec.name = given;
    if (given.n == 0 && w->durable)
        spec.name = bytes_of(name, durable_name(w, name, sizeof name));
    w->anonymous = spec.name.n == 0;
    if (w->anonymous)
        spec.name = bytes_of(name,
                             core_queue_name(s->s.env->core, BYTES("stomp-subscription-"), name));
    spec.exclusive = w->anonymous && w->to.kind == STOMP_TO_EXCHANGE;
    return may_bind(s, f, w, spec.name) && stomp_queue_spec(s, f, user_count, &spec) &&
           stomp_queue_declare(s, f, &spec, info) && bind(s, f, w, info->name);
}

static bool own_queue(struct stomp_session *s, const struct stomp_frame *f, struct wish *w,
                      unsigned user_count, struct queue_info *info)
{
    struct queue_spec spec = { .name = w->to.key, .durable = true };

    if (!stomp_may_queue(s, f, PERMISSION_READ, w->to.key))
        return false;
    if (w->to.kind == STOMP_TO_QUEUE)
        return stomp_queue_spec(s, f, user_count, &spec) && stomp_queue_declare(s, f, &spec, info);
    *info = (struct queue_info){ .name = w->to.key };
    return true;
}

static bool consume(struct stomp_session *s, const struct stomp_frame *f, const struct wish *w,
                    struct bytes queue)
{
    struct stomp_subscription *sub = subscription_add(s, w, queue);
    struct consume spec = { .queue = sub->queue,
                            .no_ack = w->ack == STOMP_ACK_AUTO,
                            .own_ledger = true,
                            .priority = w->priority,
                            .handle = sub->number };
    const char *why = NULL;
    enum err e;

    if (!spec.no_ack)
        spec.prefetch = (uint32_t)w->prefetch;
    e = core_consume(s->s.env->core, s->client, &spec, &sub->consumer, &why);
    if (e == OK)
        return true;
    subscription_remove(s, sub);
    subscribe_failed(s, f, w, queue, e, why);
    return false;
}

void stomp_on_subscribe(struct stomp_session *s, const struct stomp_frame *f)
{
    struct stomp_known *k = &s->shared->known;
    unsigned user_count = stomp_known_collect(f, 0, k, s->shared->user);
    struct wish w = { 0 };
    struct queue_info info;

    if (!read_wish(s, f, &w))
        return;
    bool bound = w.to.kind == STOMP_TO_TOPIC || w.to.kind == STOMP_TO_EXCHANGE;

    if (!(bound ? bound_queue : own_queue)(s, f, &w, user_count, &info) ||
        !consume(s, f, &w, info.name))
        return;
    stomp_receipt(s, f, stomp_known_get(k, STOMP_NAME_receipt));
}

/* NULL: failed. */
static struct stomp_subscription *subscription_of(struct stomp_session *s,
                                                  const struct stomp_frame *f)
{
    const struct stomp_known *k = &s->shared->known;
    struct bytes id = stomp_known_get(k, STOMP_NAME_id);
    struct stomp_subscription *sub;

    if (!id.p && stomp_version(s) == STOMP_V1_0)
        id = stomp_known_get(k, STOMP_NAME_destination);
    if (!id.p) {
        stomp_fail(s, f, "Missing header", "UNSUBSCRIBE must include an 'id' header");
        return NULL;
    }
    sub = stomp_subscription_by_id(s, id);
    if (sub && !bytes_starts(id, BYTES(STOMP_TEMP_QUEUE_PREFIX)))
        return sub;
    stomp_fail(s, f, "No subscription found", "UNSUBSCRIBE '%s': %s", log_text(id).s,
               sub ? "a temporary queue stays until the end of the connection"
                   : "this connection has no such subscription");
    return NULL;
}

void stomp_on_unsubscribe(struct stomp_session *s, const struct stomp_frame *f)
{
    struct stomp_known *k = &s->shared->known;
    struct stomp_subscription *sub;

    (void)stomp_known_collect(f, 0, k, s->shared->user);
    sub = subscription_of(s, f);
    if (!sub || (sub->deletable && wants_durable(k) &&
                 !stomp_may_queue(s, f, PERMISSION_CONFIGURE, sub->queue)))
        return;
    core_cancel(s->s.env->core, s->client, sub->consumer, s->s.env->now_ms);
    stomp_sending_cancel(s, sub->number);
    if (sub->deletable && wants_durable(k))
        delete_queue(s, sub->queue, false);
    subscription_remove(s, sub);
    stomp_receipt(s, f, stomp_known_get(k, STOMP_NAME_receipt));
}

/* ---- temporary queues ---- */

bool stomp_temp_queue(struct stomp_session *s, const struct stomp_frame *f, struct bytes name,
                      struct bytes *queue)
{
    struct session_env *env = s->s.env;
    struct stomp_subscription *sub = stomp_subscription_by_id(s, name);
    struct queue_spec spec = { .exclusive = true, .auto_delete = true };
    char made[CORE_MADE_NAME_BYTES];
    struct wish w = { .text = name, .id = name, .named = true, .ack = STOMP_ACK_AUTO };
    struct queue_info info;
    const char *why = NULL;
    enum err e;

    if (!sub) {
        spec.name = bytes_of(made, core_queue_name(env->core, BYTES("stomp-temp-"), made));
        if (!stomp_may_queue(s, f, PERMISSION_CONFIGURE, spec.name) ||
            !stomp_may_queue(s, f, PERMISSION_READ, spec.name))
            return false;
        e = core_queue_declare(env->core, s->client, &spec, &info, &why, env->now_ms);
        if (e != OK) {
            stomp_fail_err(s, f, name, e, why);
            return false;
        }
        if (!consume(s, f, &w, info.name))
            return false;
        sub = s->sub[s->sub_count - 1];
    }
    *queue = sub->queue;
    return true;
}
