// SPDX-License-Identifier: MIT
/* SUBSCRIBE and UNSUBSCRIBE [3.8, 3.10]: bindings of the session's queue, consumers of
 * shared queues [4.8.2], and the retained messages of a new subscription [3.3.1.3]. */
#include <inttypes.h>

#include "base/mem.h"
#include "broker/session/mqtt_session.h"
#include "proto/table.h"

#define A_OPTIONS BYTES("x-mqtt-options")
#define A_ID BYTES("x-mqtt-subscription-id")
#define A_FILTER BYTES("x-mqtt-filter")
#define SHARE_PREFIX "mqtt-share-"

enum { OPTION_QOS = 3, OPTION_NO_LOCAL = 4, OPTION_AS_PUBLISHED = 8 };
enum { SUBS_MANY = 64 }; /* from so many on they are found by a map */

typedef struct mqtt_subscription_state sub_state;

static struct bytes filter_of(const sub_state *u)
{
    return bytes_of(u->filter, u->filter_n);
}

/* ---- the list ---- */

static sub_state *sub_find(const struct mqtt_session *s, struct bytes filter)
{
    if (s->sub_by_filter)
        return map_get(s->sub_by_filter, filter);
    for (size_t i = 0; i < s->sub_count; i++)
        if (bytes_eq(filter_of(s->sub[i]), filter))
            return s->sub[i];
    return NULL;
}

static void sub_index(struct mqtt_session *s, sub_state *u)
{
    if (s->sub_by_filter) {
        (void)map_put(s->sub_by_filter, filter_of(u), u);
    } else if (s->sub_count == SUBS_MANY) {
        s->sub_by_filter = mem_new(struct map);
        for (size_t i = 0; i < s->sub_count; i++)
            (void)map_put(s->sub_by_filter, filter_of(s->sub[i]), s->sub[i]);
    }
}

static sub_state *sub_add(struct mqtt_session *s, struct bytes filter)
{
    sub_state *u = mem_zalloc(sizeof *u + filter.n);

    u->filter_n = (uint16_t)filter.n;
    memcpy(u->filter, filter.p, filter.n);
    u->at = s->sub_count;
    if (s->sub_count == s->sub_cap) { /* most have one */
        s->sub_cap = s->sub_cap ? s->sub_cap * 2 : 1;
        s->sub = mem_realloc(s->sub, s->sub_cap * sizeof(sub_state *));
    }
    s->sub[s->sub_count++] = u;
    sub_index(s, u);
    return u;
}

/* The last one takes its place. */
static void sub_drop(struct mqtt_session *s, sub_state *u)
{
    sub_state *last = s->sub[--s->sub_count];

    if (s->sub_by_filter)
        (void)map_remove(s->sub_by_filter, filter_of(u));
    s->sub[u->at] = last;
    last->at = u->at;
    mem_free(u);
}

void mqtt_subscriptions_free(struct mqtt_session *s)
{
    while (s->sub_count > 0)
        sub_drop(s, s->sub[s->sub_count - 1]);
    mem_free(s->sub);
    s->sub = NULL;
    if (s->sub_by_filter)
        map_fini(s->sub_by_filter);
    mem_free(s->sub_by_filter);
    s->sub_by_filter = NULL;
}

/* ---- the queue ---- */

static bool consume_own(struct mqtt_session *s)
{
    struct consume c = { .queue = buf_view(&s->queue), .prefetch = 0 };
    const char *why = "";

    if (s->consumer)
        return true;
    if (core_consume(mqtt_core(s), s->client, &c, &s->consumer, &why) == OK)
        return true;
    mqtt_fail(s, MQTT_QUOTA_EXCEEDED, "%s", why);
    return false;
}

bool mqtt_queue_make(struct mqtt_session *s)
{
    struct queue_spec spec = { .name = buf_view(&s->queue),
                               .durable = s->persistent,
                               .exclusive = !s->persistent };
    struct buf *t = &s->shared->table;
    struct queue_info info;
    const char *why = "";

    if (s->has_queue)
        return true;
    t->n = 0;
    if (s->persistent && s->session_expiry_s != MQTT_EXPIRY_NEVER)
        table_put_int(t, BYTES("x-expires"), s->session_expiry_s * INT64_C(1000));
    spec.arguments = buf_view(t);
    if (core_queue_declare(mqtt_core(s), s->client, &spec, &info, &why, s->s.env->now_ms) != OK) {
        mqtt_fail(s, MQTT_QUOTA_EXCEEDED, "%s", why);
        return false;
    }
    s->has_queue = true;
    return consume_own(s);
}

void mqtt_queue_drop(struct mqtt_session *s)
{
    const char *why = "";
    uint64_t count;

    if (core_queue_delete(mqtt_core(s), s->client, buf_view(&s->queue), false, false, &count,
                          &why) != OK)
        mqtt_log_fault(s, why);
}

/* ---- bindings ---- */

uint8_t mqtt_options_of(const sub_state *u)
{
    return (uint8_t)(u->qos | (u->no_local ? OPTION_NO_LOCAL : 0) |
                     (u->retain_as_published ? OPTION_AS_PUBLISHED : 0));
}

static void take_options(sub_state *u, uint8_t options)
{
    u->qos = options & OPTION_QOS;
    u->no_local = options & OPTION_NO_LOCAL;
    u->retain_as_published = options & OPTION_AS_PUBLISHED;
}

/* What must be known of it when the session comes back. */
static struct bytes arguments_of(struct mqtt_session *s, const sub_state *u)
{
    struct buf *t = &s->shared->table;
    struct bytes filter = filter_of(u);

    t->n = 0;
    if (!s->persistent)
        return buf_view(t);
    table_put_int(t, A_OPTIONS, mqtt_options_of(u));
    if (u->id)
        table_put_int(t, A_ID, u->id);
    if (memchr(filter.p, '*', filter.n)) /* its pattern does not tell it apart from + */
        table_put_str(t, A_FILTER, filter);
    return buf_view(t);
}

static enum err bind(struct mqtt_session *s, const sub_state *u, bool on, const char **why)
{
    mqtt_filter_to_pattern(&s->shared->key, filter_of(u));
    struct binding_spec b = { .exchange = MQTT_EXCHANGE,
                              .target = buf_view(&s->queue),
                              .routing_key = buf_view(&s->shared->key),
                              .arguments = arguments_of(s, u) };

    return on ? core_bind(mqtt_core(s), s->client, &b, why)
              : core_unbind(mqtt_core(s), s->client, &b, why);
}

static void resume_one(struct mqtt_session *s, const struct binding_view *b)
{
    struct table_value v;
    struct bytes filter;
    int64_t options = 0, id = 0;

    if (!bytes_eq(b->exchange, MQTT_EXCHANGE) || !table_find(b->arguments, A_OPTIONS, &v) ||
        !table_int(&v, &options))
        return;
    if (!table_find(b->arguments, A_FILTER, &v) || !table_str(&v, &filter)) {
        mqtt_pattern_to_filter(&s->shared->key, b->routing_key);
        filter = buf_view(&s->shared->key);
    }
    sub_state *u = sub_add(s, filter);
    take_options(u, (uint8_t)options);
    if (table_find(b->arguments, A_ID, &v) && table_int(&v, &id))
        u->id = (uint32_t)id;
    s->no_local_used |= u->no_local;
}

void mqtt_subscriptions_resume(struct mqtt_session *s)
{
    struct binding_view b;

    for (size_t at = 0;
         core_queue_binding_next(mqtt_core(s), s->client, buf_view(&s->queue), &at, &b);)
        resume_one(s, &b);
    mqtt_note_resume_subscriptions(s);
    (void)consume_own(s);
}

/* ---- shared queues ---- */

void mqtt_share_name(struct buf *out, struct bytes group, struct bytes filter)
{
    buf_str(out, SHARE_PREFIX);
    buf_bytes(out, group);
    buf_u8(out, '-');
    buf_bytes(out, filter);
}

/* The queue of a group lives as long as a session that is in it may. */
static bool share_queue_make(struct mqtt_session *s, struct bytes name, struct bytes filter)
{
    struct queue_spec spec = { .name = name, .durable = true };
    struct buf *t = &s->shared->table;
    struct queue_info info;
    const char *why;

    t->n = 0;
    if (!core_queue_look(mqtt_core(s), s->client, name, &info)) {
        table_put_int(t, BYTES("x-expires"), (int64_t)s->s.env->mqtt.share_expiry_ms);
        spec.arguments = buf_view(t);
        if (core_queue_declare(mqtt_core(s), s->client, &spec, &info, &why, s->s.env->now_ms) != OK)
            return false;
    }
    mqtt_filter_to_pattern(&s->shared->key, filter);
    struct binding_spec b = { .exchange = MQTT_EXCHANGE,
                              .target = name,
                              .routing_key = buf_view(&s->shared->key) };
    return core_bind(mqtt_core(s), s->client, &b, &why) == OK;
}

static uint8_t consume_other(struct mqtt_session *s, sub_state *u, struct bytes queue)
{
    struct consume c = { .queue = queue, .handle = ++s->next_handle };
    const char *why;

    if (u->consumer)
        return u->qos;
    enum err e = core_consume(mqtt_core(s), s->client, &c, &u->consumer, &why);
    if (e == OK)
        u->handle = c.handle;
    return e == OK                               ? u->qos
           : e == ERR_NOT_FOUND                  ? MQTT_TOPIC_FILTER_INVALID
           : e == ERR_LOCKED || e == ERR_REFUSED ? MQTT_NOT_AUTHORIZED
                                                 : MQTT_QUOTA_EXCEEDED;
}

static uint8_t subscribe_share(struct mqtt_session *s, sub_state *u, struct bytes group,
                               struct bytes rest)
{
    struct buf name = { 0 };
    uint8_t reason = MQTT_QUOTA_EXCEEDED;

    u->source = MQTT_FROM_SHARE;
    mqtt_share_name(&name, group, rest);
    if (share_queue_make(s, buf_view(&name), rest))
        reason = s->shares_held ? u->qos : consume_other(s, u, buf_view(&name));
    buf_fini(&name);
    return reason;
}

uint8_t mqtt_subscription_consume(struct mqtt_session *s, sub_state *u)
{
    struct bytes group, rest;

    if (mqtt_share_split(filter_of(u), &group, &rest) == MQTT_SHARE_OK)
        return subscribe_share(s, u, group, rest);
    u->source = MQTT_FROM_QUEUE;
    return consume_other(s, u, bytes_from(filter_of(u), MQTT_QUEUE_FILTER.n));
}

void mqtt_subscription_resume(struct mqtt_session *s, struct bytes filter, uint8_t options,
                              uint32_t id)
{
    if (!mqtt_may_subscribe(s, filter)) {
        mqtt_log_fault(s, s->s.env->denied);
        return;
    }
    sub_state *u = sub_add(s, filter);

    take_options(u, options);
    u->id = id;
    if (mqtt_subscription_consume(s, u) >= 0x80)
        sub_drop(s, u);
}

/* ---- SUBSCRIBE ---- */

/* To this session alone, as if it had been published now, but for its marks. */
static void send_retained(struct mqtt_session *s, const sub_state *u)
{
    struct session_env *env = s->s.env;
    const struct retained_view *found;
    const char *why;

    mqtt_filter_to_pattern(&s->shared->key, filter_of(u));
    size_t n = core_retained_find(env->core, s->vhost_id, buf_view(&s->shared->key), true, &found,
                                  env->now_ms);
    if (n == 0)
        return;
    struct retained_view *all = mem_array(n, sizeof *all); /* the core is called meanwhile */
    memcpy(all, found, n * sizeof *all);
    for (size_t i = 0; i < n; i++) {
        const struct retained_view *r = &all[i];
        struct mqtt_meta meta;

        mqtt_topic_to_key(&s->shared->text, r->routing_key);
        if (!mqtt_filter_match(filter_of(u), buf_view(&s->shared->text)))
            continue;
        mqtt_meta_of(r->props, &meta);
        struct publish p = { .m = { .exchange = MQTT_EXCHANGE,
                                    .routing_key = r->routing_key,
                                    .props = mqtt_props_retained(s->shared, r->props, u->id),
                                    .body = r->body,
                                    .body_size = r->body.n },
                             .headers_apart = true,
                             .persistent = meta.qos > 0 && u->qos > 0,
                             .has_ttl = r->expires_ms > 0,
                             .ttl_ms = r->expires_ms > env->now_ms ? r->expires_ms - env->now_ms
                                                                   : 0 };
        if (core_publish_queue(env->core, s->client, buf_view(&s->queue), &p, &why, env->now_ms) ==
            PUBLISH_REFUSED)
            mqtt_log_fault(s, why);
    }
    mem_free(all);
}

static uint8_t subscribe_own(struct mqtt_session *s, sub_state *u, bool is_new, uint8_t handling)
{
    const char *why;

    if (!mqtt_queue_make(s) || bind(s, u, true, &why) != OK)
        return MQTT_QUOTA_EXCEEDED;
    s->no_local_used |= u->no_local;
    if (handling == 0 || (handling == 1 && is_new))
        send_retained(s, u);
    mqtt_sys_subscribed(s, filter_of(u), u->id);
    return u->qos;
}

static uint8_t subscribe(struct mqtt_session *s, const struct mqtt_subscription *want, uint32_t id)
{
    struct bytes group, rest;
    sub_state *u = sub_find(s, want->filter);
    bool is_new = !u;
    enum mqtt_share share = mqtt_share_split(want->filter, &group, &rest);
    const char *why;

    if (want->filter.n > MQTT_KEY_MAX_BYTES || share == MQTT_SHARE_BAD)
        return MQTT_TOPIC_FILTER_INVALID;
    if (!mqtt_may_subscribe(s, want->filter)) {
        mqtt_log_fault(s, s->s.env->denied);
        return MQTT_NOT_AUTHORIZED;
    }
    if (u && u->source == MQTT_FROM_SESSION)
        (void)bind(s, u, false, &why); /* its options are arguments of the binding */
    if (!u)
        u = sub_add(s, want->filter);
    u->qos = want->qos;
    u->no_local = want->no_local;
    u->retain_as_published = want->retain_as_published;
    u->id = id;
    bool other = share == MQTT_SHARE_OK || bytes_starts(want->filter, MQTT_QUEUE_FILTER);
    uint8_t reason = other ? mqtt_subscription_consume(s, u)
                           : subscribe_own(s, u, is_new, want->retain_handling);
    if (reason >= 0x80)
        sub_drop(s, u);
    return reason;
}

void mqtt_on_subscribe(struct mqtt_session *s, const struct mqtt_subscribe *p)
{
    struct mqtt_subscription want;
    struct buf reasons = { 0 };

    for (size_t at = 0; mqtt_subscription_next(p->filters, &at, &want);) {
        buf_u8(&reasons, subscribe(s, &want, p->props.subscription_id));
        if (s->state == MQTT_STATE_ENDED)
            break;
    }
    if (s->state != MQTT_STATE_ENDED) {
        size_t from;
        struct buf *out = mqtt_due_begin(s, &from);

        mqtt_note_store(s);
        mqtt_put_suback(out, s->level, p->packet_id, buf_view(&reasons), NULL);
        mqtt_due_packet(s, MQTT_SUBACK, from);
        mqtt_room(s);
    }
    buf_fini(&reasons);
}

/* ---- UNSUBSCRIBE ---- */

static uint8_t unsubscribe(struct mqtt_session *s, struct bytes filter)
{
    sub_state *u = sub_find(s, filter);
    const char *why;

    if (!u)
        return MQTT_NO_SUBSCRIPTION_EXISTED;
    if (u->source == MQTT_FROM_SESSION)
        (void)bind(s, u, false, &why);
    else if (u->consumer)
        core_cancel(mqtt_core(s), s->client, u->consumer, s->s.env->now_ms);
    sub_drop(s, u);
    return MQTT_SUCCESS;
}

void mqtt_on_unsubscribe(struct mqtt_session *s, const struct mqtt_subscribe *p)
{
    struct buf reasons = { 0 };
    struct bytes filter;
    size_t from;

    for (size_t at = 0; mqtt_filter_next(p->filters, &at, &filter);)
        buf_u8(&reasons, unsubscribe(s, filter));
    mqtt_note_store(s);
    mqtt_put_unsuback(mqtt_due_begin(s, &from), s->level, p->packet_id, buf_view(&reasons), NULL);
    mqtt_due_packet(s, MQTT_UNSUBACK, from);
    buf_fini(&reasons);
}
