// SPDX-License-Identifier: MIT
/* The MQTT connection: packets in, their order, keep alive, errors and the end. */
#include "broker/session/mqtt_session.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/session/auth.h"

enum { FAULTS_LOGGED_A_SECOND = 20 };

/* ---- what the sessions share ---- */

struct mqtt_shared *mqtt_shared_ref(struct session_env *env)
{
    if (!env->mqtt_shared)
        env->mqtt_shared = mem_new(struct mqtt_shared);
    env->mqtt_shared->users++;
    return env->mqtt_shared;
}

void mqtt_shared_unref(struct session_env *env)
{
    struct mqtt_shared *sh = env->mqtt_shared;

    if (--sh->users > 0)
        return;
    map_fini(&sh->online);
    buf_fini(&sh->key);
    buf_fini(&sh->props);
    buf_fini(&sh->table);
    buf_fini(&sh->text);
    buf_fini(&sh->note);
    mqtt_due_free_spare(sh);
    mem_free(sh->ids);
    mem_free(sh);
    env->mqtt_shared = NULL;
}

/* ---- errors and the end ---- */

void mqtt_log_fault(struct mqtt_session *s, const char *text)
{
    unsigned dropped;

    s->s.env->count.refused++;
    if (log_allowed(&s->shared->faults, FAULTS_LOGGED_A_SECOND, &dropped))
        log_warn("mqtt.refused", "id=%" PRIu64 " client=%s text=%s unlogged=%u", s->s.id,
                 log_text(mqtt_client_id(s)).s, log_text(bytes_str(text)).s, dropped);
}

bool mqtt_packet_fits(const struct mqtt_session *s, struct buf *out, size_t from)
{
    if (s->packet_max == 0 || out->n - from <= s->packet_max)
        return true;
    out->n = from;
    return false;
}

static void refuse_connect(struct mqtt_session *s, uint8_t reason, struct bytes text)
{
    uint8_t level = s->level ? s->level : MQTT_3_1_1;
    struct mqtt_connack a = { .reason = reason };
    struct buf *out = &s->s.out;
    size_t from = out->n;

    if (s->level < MQTT_5 && reason == MQTT_QUOTA_EXCEEDED)
        a.reason = MQTT_SERVER_UNAVAILABLE; /* the nearest that 3.1.1 has a code for */
    a.props.has = MQTT_HAS(reason_string);
    a.props.reason_string = text;
    (void)mqtt_put_connack(out, level, &a);
    if (mqtt_packet_fits(s, out, from))
        return;
    a.props.has = 0; /* [MQTT-3.2.2-19] */
    (void)mqtt_put_connack(out, level, &a);
    (void)mqtt_packet_fits(s, out, from);
}

/* The reason's text only to who has room for it [MQTT-3.14.2-3]. */
static void put_disconnect(struct mqtt_session *s, uint8_t reason, const struct mqtt_props *props)
{
    struct buf *out = &s->s.out;
    size_t from = out->n;

    mqtt_put_disconnect(out, s->level, reason, s->no_problem_info ? NULL : props);
    if (!mqtt_packet_fits(s, out, from))
        mqtt_put_disconnect(out, s->level, reason, NULL);
}

void mqtt_fail(struct mqtt_session *s, uint8_t reason, const char *fmt, ...)
{
    struct mqtt_props props = { .has = MQTT_HAS(reason_string) };
    char text[512];
    va_list ap;

    if (s->state == MQTT_STATE_ENDED)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    mqtt_log_fault(s, text);
    props.reason_string = bytes_str(text);
    if (s->state < MQTT_STATE_RUNNING)
        refuse_connect(s, reason, props.reason_string);
    else if (s->level >= MQTT_5 && !s->sending) /* else it would stand within a message */
        put_disconnect(s, reason, &props);
    mqtt_end(s, true);
}

static bool is_online(const struct mqtt_session *s)
{
    return s->key.n > 0 && map_get(&s->shared->online, buf_view(&s->key)) == s;
}

/* The one that waits, if it does; it is the clock's by then. */
static struct mqtt_will_message *let_will_out(struct mqtt_session *s)
{
    struct mqtt_will_message *w = s->will;
    uint32_t delay_s = w->delay_s < s->session_expiry_s ? w->delay_s : s->session_expiry_s;

    s->will = NULL;
    if (delay_s > 0 && s->persistent) {
        mqtt_will_later(s->s.env, buf_view(&s->key), w,
                        s->s.env->now_mono_ms + delay_s * UINT64_C(1000));
        return w;
    }
    mqtt_will_publish(mqtt_core(s), s->client, w, s->s.env->now_ms);
    mqtt_will_free(&w);
    return NULL;
}

/* What must be known of it while it is offline.  A will that waits stays in the note. */
static void leave_note(struct mqtt_session *s, struct mqtt_will_message *waits)
{
    if (s->session_expiry_s != MQTT_EXPIRY_NEVER)
        s->left_ms = s->s.env->now_ms;
    s->will = waits;
    mqtt_note_store(s);
    s->will = NULL;
}

static void close_client(struct mqtt_session *s, bool publish_will)
{
    struct mqtt_will_message *waits = NULL;

    if (!s->client)
        return;
    if (s->will && publish_will)
        waits = let_will_out(s);
    mqtt_will_free(&s->will);
    leave_note(s, waits);
    if (!s->persistent)
        mqtt_share_end(s);
    if (s->persistent && s->session_expiry_s == 0) /* it goes with its connection */
        mqtt_queue_drop(s);
    mqtt_incoming_free(s);
    mqtt_sending_free(s);
    core_client_close(mqtt_core(s), s->client, s->s.env->now_ms);
    s->client = 0;
}

void mqtt_end(struct mqtt_session *s, bool publish_will)
{
    if (s->state == MQTT_STATE_ENDED)
        return;
    if (s->state == MQTT_STATE_LOGIN && s->s.env->auth)
        auth_forget(s->s.env->auth, &s->s);
    s->state = MQTT_STATE_ENDED;
    s->s.ending = true;
    s->s.paused = false;
    close_client(s, publish_will);
    if (is_online(s))
        (void)map_remove(&s->shared->online, buf_view(&s->key));
    session_wake_at(&s->s, UINT64_MAX);
    session_touch(&s->s);
}

/* ---- packets in ---- */

static void on_packet(struct mqtt_session *s, const struct mqtt_packet *p)
{
    switch (p->type) {
    case MQTT_PUBLISH:
        mqtt_on_publish(s, &p->publish);
        break;
    case MQTT_PUBACK:
        mqtt_on_puback(s, &p->ack);
        break;
    case MQTT_PUBREC:
        mqtt_on_pubrec(s, &p->ack);
        break;
    case MQTT_PUBREL:
        mqtt_on_pubrel(s, &p->ack);
        break;
    case MQTT_PUBCOMP:
        mqtt_on_pubcomp(s, &p->ack);
        break;
    case MQTT_SUBSCRIBE:
        mqtt_on_subscribe(s, &p->subscribe);
        break;
    case MQTT_UNSUBSCRIBE:
        mqtt_on_unsubscribe(s, &p->subscribe);
        break;
    case MQTT_PINGREQ:
        mqtt_put_pingresp(mqtt_out(s));
        break;
    case MQTT_DISCONNECT:
        mqtt_on_disconnect(s, &p->disconnect);
        break;
    default:
        mqtt_fail(s, MQTT_PROTOCOL_ERROR, "%s is not for a client to send now",
                  mqtt_type_name(p->type));
    }
}

static uint32_t packet_limit(const struct mqtt_session *s)
{
    uint64_t most = s->s.env->message_bytes + MQTT_LOGIN_PACKET_BYTES;

    if (s->state < MQTT_STATE_RUNNING)
        return MQTT_LOGIN_PACKET_BYTES;
    return most < MQTT_REMAINING_MAX ? (uint32_t)most : MQTT_REMAINING_MAX;
}

static size_t first_packet(struct mqtt_session *s, const struct mqtt_head *head, struct bytes in)
{
    size_t all = head->bytes + (size_t)head->remaining;

    if (head->type != MQTT_CONNECT) {
        mqtt_log_fault(s, "the first packet is not CONNECT"); /* [MQTT-3.1.0-1] */
        mqtt_end(s, false);
        return in.n;
    }
    if (in.n < all)
        return 0;
    mqtt_on_connect(s, bytes_head(in, all));
    return all;
}

static size_t next_packet(struct mqtt_session *s, struct bytes in)
{
    struct mqtt_packet p = { 0 };
    struct mqtt_head head;
    uint8_t reason = MQTT_MALFORMED_PACKET;
    const char *why = "";

    if (s->incoming)
        return mqtt_incoming_input(s, in);
    enum decode d = mqtt_head_decode(in, s->level, packet_limit(s), &head, &reason, &why);
    if (d == DECODE_MORE)
        return 0;
    if (d == DECODE_OK && s->state == MQTT_STATE_CONNECT)
        return first_packet(s, &head, in);
    if (d == DECODE_OK && head.type == MQTT_PUBLISH && head.remaining > BLOB_MIN_BYTES)
        return mqtt_publish_long(s, &head, in);
    if (d == DECODE_OK && head.remaining > MQTT_HEAD_MAX) {
        mqtt_fail(s, MQTT_PACKET_TOO_LARGE, "%s of more than %d bytes", mqtt_type_name(head.type),
                  MQTT_HEAD_MAX);
        return in.n;
    }
    if (d == DECODE_OK) {
        if (in.n - head.bytes < head.remaining)
            return 0;
        d = mqtt_decode(s->level, &head, bytes_head(bytes_from(in, head.bytes), head.remaining), &p,
                        &reason, &why);
    }
    if (d != DECODE_OK) {
        mqtt_fail(s, reason, "%s", why);
        return in.n;
    }
    s->s.env->count.frames_in++;
    on_packet(s, &p);
    return head.bytes + (size_t)head.remaining;
}

static size_t mqtt_input(struct session *base, uint8_t *in, size_t n)
{
    struct mqtt_session *s = mqtt_of(base);
    size_t at = 0, used = 1;

    s->last_in_ms = base->env->now_mono_ms;
    while (used > 0 && at < n && s->state != MQTT_STATE_ENDED && !base->paused) {
        used = next_packet(s, bytes_of(in + at, n - at));
        at += used;
    }
    return s->state == MQTT_STATE_ENDED ? n : at;
}

/* ---- session_ops ---- */

void mqtt_room(struct mqtt_session *s)
{
    if (s->client && !s->sending && !s->s.paused)
        core_client_room(mqtt_core(s), s->client, session_room(&s->s));
}

/* The queue of a share or of $queue/NAME went. */
static void on_cancelled(struct mqtt_session *s, uint64_t handle)
{
    for (size_t i = 0; i < s->sub_count; i++)
        if (handle && s->sub[i]->handle == handle) {
            s->sub[i]->consumer = 0;
            return;
        }
    if (handle == 0)
        mqtt_fail(s, MQTT_ADMINISTRATIVE_ACTION, "the queue of the session was deleted");
}

static void mqtt_effect(struct session *base, struct session_port *to, const struct effect *e)
{
    struct mqtt_session *s = mqtt_of(base);

    (void)to;
    if (s->state == MQTT_STATE_ENDED)
        return;
    switch (e->kind) {
    case EFFECT_DELIVER:
        mqtt_deliver(s, e);
        break;
    case EFFECT_CONFIRM:
        mqtt_on_confirm(s, e);
        break;
    case EFFECT_CANCELLED:
        on_cancelled(s, e->handle);
        break;
    case EFFECT_PART:
        mqtt_part(s, e);
        break;
    case EFFECT_GET_EMPTY:
    case EFFECT_RETURN:
        break;
    }
}

static void mqtt_auth_done(struct session *base, bool accepted)
{
    mqtt_auth_finished(mqtt_of(base), accepted);
}

/* Half as long again as the keep alive without a byte is the end [MQTT-3.1.2-22]. */
static void mqtt_tick(struct session *base)
{
    struct mqtt_session *s = mqtt_of(base);
    uint64_t patience_ms = s->keep_alive_ms + s->keep_alive_ms / 2, now = base->env->now_mono_ms;

    if (s->state < MQTT_STATE_RUNNING) {
        mqtt_log_fault(s, "handshake timed out");
        mqtt_end(s, false);
        return;
    }
    if (base->unread || base->paused) /* who is not read from, by our choice, cannot be heard */
        s->last_in_ms = now;
    if (now - s->last_in_ms >= patience_ms)
        mqtt_fail(s, MQTT_KEEP_ALIVE_TIMEOUT, "keep alive timed out");
    else
        session_wake_at(base, s->last_in_ms + patience_ms);
}

static void mqtt_drained(struct session *base)
{
    struct mqtt_session *s = mqtt_of(base);

    if (s->state != MQTT_STATE_RUNNING)
        return;
    if (s->sending)
        mqtt_sending_drained(s);
    else
        mqtt_room(s);
}

static void aliases_free(struct mqtt_session *s)
{
    for (uint32_t i = 0; s->alias_in && i < s->s.env->mqtt.topic_aliases; i++)
        buf_fini(&s->alias_in[i]);
    for (uint32_t i = 0; s->alias_out && i < s->alias_out_max; i++)
        buf_fini(&s->alias_out[i]);
    mem_free(s->alias_in);
    mem_free(s->alias_out);
}

static void mqtt_close(struct session **base)
{
    struct mqtt_session *s;

    if (!*base)
        return;
    s = mqtt_of(*base);
    mqtt_end(s, true);
    session_untouch(&s->s);
    mqtt_subscriptions_free(s);
    mqtt_inflight_fini(&s->out);
    mqtt_due_free(s);
    aliases_free(s);
    buf_fini(&s->s.out);
    buf_fini(&s->key);
    buf_fini(&s->queue);
    mqtt_connect_free(s);
    mqtt_received_free(s);
    mem_free(s->user);
    mqtt_shared_unref(s->s.env);
    mem_free(s);
    *base = NULL;
}

static const struct session_ops mqtt_ops = {
    .name = "mqtt",
    .input = mqtt_input,
    .effect = mqtt_effect,
    .auth_done = mqtt_auth_done,
    .tick = mqtt_tick,
    .drained = mqtt_drained,
    .close = mqtt_close,
};

struct session *mqtt_session_open(struct session_env *env, bool loopback)
{
    struct mqtt_session *s = mem_new(struct mqtt_session);

    s->shared = mqtt_shared_ref(env);
    s->s.ops = &mqtt_ops;
    s->s.env = env;
    s->s.id = ++env->next_session;
    s->s.port.session = &s->s;
    s->s.loopback = loopback;
    s->last_in_ms = env->now_mono_ms;
    if (env->login_ms)
        session_wake_at(&s->s, env->now_mono_ms + env->login_ms);
    return &s->s;
}
