// SPDX-License-Identifier: MIT
/* Will messages, those that wait for their delay among them [3.1.2.5, 3.1.3.2]. */
#include "base/list.h"
#include "base/mem.h"
#include "broker/session/mqtt_session.h"

enum { SYS_EVERY_MS = 10000 };

/* Stands among the sessions for its wake-up alone: it has no connection. */
struct mqtt_wills {
    struct session s; /* first: the two are one address */
    struct heap due;  /* struct waiting.node, by monotonic ms */
    struct map by_key;
    uint64_t since_ms;
    uint64_t sys_at_ms; /* 0: nobody has asked for $SYS */
};

struct waiting {
    struct heap_node node;
    struct buf key;
    struct mqtt_will_message *will;
};

struct mqtt_will_message *mqtt_will_new(struct mqtt_session *s, const struct mqtt_will *w)
{
    struct mqtt_will_message *m = mem_new(struct mqtt_will_message);

    mqtt_topic_to_key(&m->key, w->topic);
    mqtt_props_in(s->shared, &w->props, w->qos, w->retain, (struct bytes){ 0 }, &m->props);
    buf_bytes(&m->body, w->payload);
    m->qos = w->qos;
    m->retain = w->retain;
    m->delay_s = w->props.will_delay;
    m->has_ttl = w->props.has & MQTT_HAS(message_expiry);
    m->ttl_s = w->props.message_expiry;
    return m;
}

void mqtt_will_free(struct mqtt_will_message **w)
{
    if (!*w)
        return;
    buf_fini(&(*w)->key);
    buf_fini(&(*w)->props);
    buf_fini(&(*w)->body);
    mem_free(*w);
    *w = NULL;
}

void mqtt_will_publish(struct core *c, client_id client, const struct mqtt_will_message *w,
                       uint64_t now_ms)
{
    struct publish p = { .m = { .exchange = MQTT_EXCHANGE,
                                .routing_key = buf_view(&w->key),
                                .props = buf_view(&w->props),
                                .body = buf_view(&w->body),
                                .body_size = w->body.n },
                         .headers_apart = true,
                         .persistent = w->qos > 0,
                         .has_ttl = w->has_ttl,
                         .ttl_ms = w->ttl_s * UINT64_C(1000) };
    uint8_t reason = mqtt_publish_neutral(c, client, &p, w->retain, now_ms);

    if (reason >= 0x80)
        log_warn("mqtt.will_refused", "key=%s why=\"%s\"", log_text(buf_view(&w->key)).s,
                 mqtt_reason_name(reason));
}

/* ---- those that wait ---- */

static void forget(struct mqtt_wills *ws, struct waiting *at)
{
    heap_remove(&ws->due, &at->node);
    (void)map_remove(&ws->by_key, buf_view(&at->key));
    buf_fini(&at->key);
    mem_free(at);
}

static void arm(struct mqtt_wills *ws)
{
    const struct heap_node *first = heap_min(&ws->due);

    uint64_t at = first ? first->key : UINT64_MAX;

    if (ws->sys_at_ms && ws->sys_at_ms < at)
        at = ws->sys_at_ms;
    session_wake_at(&ws->s, at);
}

/* The session has not come back: it is told, and noted as told. */
static void let_out(struct mqtt_wills *ws, struct waiting *at)
{
    struct session_env *env = ws->s.env;
    uint64_t vhost_id;
    struct buf name = { 0 };

    memcpy(&vhost_id, at->key.p, sizeof vhost_id);
    client_id client = core_client_open(env->core, vhost_id, &ws->s.port);
    struct buf *note = &env->mqtt_shared->note;
    struct queue_info info;

    mqtt_will_publish(env->core, client, at->will, env->now_ms);
    mqtt_queue_name(&name, bytes_from(buf_view(&at->key), sizeof vhost_id));
    if (core_queue_look(env->core, client, buf_view(&name), &info)) {
        mqtt_note_without_will(note, core_queue_note_get(env->core, client, buf_view(&name)));
        core_queue_note(env->core, client, buf_view(&name), buf_view(note));
    }
    core_client_close(env->core, client, env->now_ms);
    buf_fini(&name);
}

static void tell_sys(struct mqtt_wills *ws)
{
    struct session_env *env = ws->s.env;
    client_id client = core_client_open(env->core, core_vhost_find(env->core, BYTES("/")),
                                        &ws->s.port);

    mqtt_sys_publish(env, client);
    core_client_close(env->core, client, env->now_ms);
    ws->sys_at_ms = env->now_mono_ms + SYS_EVERY_MS;
}

void mqtt_sys_wanted(struct mqtt_shared *sh)
{
    if (!sh->wills || sh->wills->sys_at_ms)
        return;
    sh->wills->sys_at_ms = sh->wills->s.env->now_mono_ms + SYS_EVERY_MS;
    arm(sh->wills);
}

uint64_t mqtt_since_ms(const struct mqtt_shared *sh)
{
    return sh->wills ? sh->wills->since_ms : 0;
}

static void on_tick(struct session *base)
{
    struct mqtt_wills *ws = (struct mqtt_wills *)(void *)base;
    struct heap_node *node;

    if (ws->sys_at_ms && ws->sys_at_ms <= base->env->now_mono_ms)
        tell_sys(ws);

    while ((node = heap_min(&ws->due)) && node->key <= base->env->now_mono_ms) {
        struct waiting *at = container_of(node, struct waiting, node);

        let_out(ws, at);
        mqtt_will_free(&at->will);
        forget(ws, at);
    }
    arm(ws);
}

static void on_effect(struct session *s, struct session_port *to, const struct effect *e)
{
    (void)s;
    (void)to;
    (void)e;
}

static const struct session_ops wills_ops = { .name = "mqtt.wills",
                                              .effect = on_effect,
                                              .tick = on_tick };

static struct mqtt_wills *wills_of(struct session_env *env)
{
    struct mqtt_shared *sh = mqtt_shared_ref(env);

    if (!sh->wills) {
        sh->wills = mem_new(struct mqtt_wills);
        sh->wills->s.ops = &wills_ops;
        sh->wills->s.env = env;
        sh->wills->s.port.session = &sh->wills->s;
        sh->wills->since_ms = env->now_mono_ms;
        return sh->wills; /* which keeps the reference */
    }
    mqtt_shared_unref(env);
    return sh->wills;
}

void mqtt_will_later(struct session_env *env, struct bytes key, struct mqtt_will_message *w,
                     uint64_t at_mono_ms)
{
    struct mqtt_wills *ws = wills_of(env);
    struct waiting *at = mem_new(struct waiting);

    at->will = w;
    buf_bytes(&at->key, key);
    (void)map_put(&ws->by_key, buf_view(&at->key), at);
    heap_push(&ws->due, &at->node, at_mono_ms);
    arm(ws);
}

struct mqtt_will_message *mqtt_will_cancel(struct mqtt_shared *sh, struct bytes key)
{
    struct waiting *at = sh->wills ? map_get(&sh->wills->by_key, key) : NULL;
    struct mqtt_will_message *w;

    if (!at)
        return NULL;
    w = at->will;
    forget(sh->wills, at);
    arm(sh->wills);
    return w;
}

/* ---- start and stop ---- */

static void recover_queue(struct session_env *env, client_id client, uint64_t vhost_id,
                          struct bytes name)
{
    struct bytes note = core_queue_note_get(env->core, client, name);
    struct mqtt_will_message *w = note.n ? mqtt_note_will(note) : NULL;
    struct buf key = { 0 };
    uint64_t left_ms;

    if (mqtt_note_expiry(note, env->now_ms, &left_ms)) /* it went on while we were not there */
        core_queue_expires(env->core, client, name, left_ms);
    if (!w)
        return;
    mqtt_key_set(&key, vhost_id, bytes_from(name, sizeof MQTT_QUEUE_PREFIX - 1));
    mqtt_will_later(env, buf_view(&key), w, env->now_mono_ms + w->delay_s * UINT64_C(1000));
    buf_fini(&key);
}

/* Whoever was connected when the process ended has lost its connection. */
void mqtt_recovered(struct session_env *env)
{
    uint64_t vhost_id = 0;
    struct queue_info info;

    for (size_t v = 0; core_vhost_each(env->core, &v, &vhost_id);) {
        client_id client = core_client_open(env->core, vhost_id, &wills_of(env)->s.port);

        for (size_t at = 0; core_queue_each(env->core, vhost_id, &at, &info);)
            if (bytes_starts(info.name, BYTES(MQTT_QUEUE_PREFIX)))
                recover_queue(env, client, vhost_id, info.name);
        core_client_close(env->core, client, env->now_ms);
    }
}

/* Those that wait are in the notes of their queues. */
void mqtt_fini(struct session_env *env)
{
    struct mqtt_wills *ws = env->mqtt_shared ? env->mqtt_shared->wills : NULL;
    struct heap_node *node;

    if (!ws)
        return;
    while ((node = heap_min(&ws->due))) {
        struct waiting *at = container_of(node, struct waiting, node);

        mqtt_will_free(&at->will);
        forget(ws, at);
    }
    session_wake_at(&ws->s, UINT64_MAX);
    session_untouch(&ws->s);
    heap_fini(&ws->due);
    map_fini(&ws->by_key);
    env->mqtt_shared->wills = NULL;
    mem_free(ws);
    mqtt_shared_unref(env);
}
