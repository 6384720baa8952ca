// SPDX-License-Identifier: MIT
/* From CONNECT to CONNACK [3.1, 3.2], take-over, and DISCONNECT [3.14]. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/session/auth.h"
#include "broker/session/mqtt_session.h"
#include "broker/session/permit.h"
#include "proto/table.h"

static const struct bytes guest = { (const uint8_t *)"guest", 5 };

void mqtt_key_set(struct buf *key, uint64_t vhost_id, struct bytes id)
{
    key->n = 0;
    buf_put(key, &vhost_id, sizeof vhost_id);
    buf_bytes(key, id);
}

void mqtt_queue_name(struct buf *out, struct bytes id)
{
    out->n = 0;
    buf_str(out, MQTT_QUEUE_PREFIX);
    buf_bytes(out, id);
}

/* ---- who is it? ---- */

/* "vhost:user", as RabbitMQ has it, where there is such a vhost. */
static struct bytes split_vhost(struct mqtt_session *s, struct bytes name)
{
    const uint8_t *colon = name.n ? memchr(name.p, ':', name.n) : NULL;
    uint64_t id;

    s->vhost_id = core_vhost_find(mqtt_core(s), BYTES("/"));
    if (!colon)
        return name;
    id = core_vhost_find(mqtt_core(s), bytes_head(name, (size_t)(colon - name.p)));
    if (!id)
        return name;
    s->vhost_id = id;
    return bytes_from(name, (size_t)(colon - name.p) + 1);
}

static void log_in(struct mqtt_session *s, const struct mqtt_connect *c)
{
    struct session_env *env = s->s.env;
    struct bytes user = split_vhost(s, c->has_user_name ? c->user_name : guest);
    struct core_user known = { 0 };
    bool accepted = true;

    s->user = bytes_dup_str(user);
    s->state = MQTT_STATE_LOGIN;
    if (bytes_eq(user, guest) && !s->s.loopback) {
        mqtt_auth_finished(s, false);
        return;
    }
    if (env->auth && c->has_user_name) {
        (void)core_user_find(env->core, user, &known);
        s->s.paused = true;
        if (!auth_check(env->auth, &s->s, user, c->password, known.password_hash, &accepted))
            return;
    }
    mqtt_auth_finished(s, accepted);
}

/* ---- the session that was there ---- */

static void take_over(struct mqtt_session *s)
{
    struct mqtt_session *old = map_get(&s->shared->online, buf_view(&s->key));

    if (!old)
        return;
    log_debug("mqtt.taken_over", "id=%" PRIu64 " by=%" PRIu64, old->s.id, s->s.id);
    if (old->level >= MQTT_5 && !old->sending) /* [MQTT-3.1.4-3] */
        mqtt_put_disconnect(&old->s.out, old->level, MQTT_SESSION_TAKEN_OVER, NULL);
    mqtt_end(old, true);
}

/* A will that waits is cancelled by a connection to its session, and let out by the end of
 * that [MQTT-3.1.3-9]. */
static void settle_old_will(struct mqtt_session *s, bool session_ends)
{
    struct mqtt_will_message *w = mqtt_will_cancel(s->shared, buf_view(&s->key));

    if (w && session_ends)
        mqtt_will_publish(mqtt_core(s), s->client, w, s->s.env->now_ms);
    mqtt_will_free(&w);
}

static bool find_session(struct mqtt_session *s, bool clean_start)
{
    struct queue_info info;
    bool found = core_queue_look(mqtt_core(s), s->client, buf_view(&s->queue), &info);

    if (!found || (!clean_start && info.durable))
        return found;
    mqtt_queue_drop(s);
    return false;
}

static void resume(struct mqtt_session *s)
{
    s->has_queue = s->persistent = true;
    core_queue_expires(mqtt_core(s), s->client, buf_view(&s->queue),
                       s->session_expiry_s == MQTT_EXPIRY_NEVER
                           ? UINT64_MAX
                           : s->session_expiry_s * UINT64_C(1000));
    mqtt_note_resume(s);
    mqtt_subscriptions_resume(s);
}

/* ---- what CONNECT says ---- */

/* Only clients of 5.0 can be told another than their own [MQTT-3.2.2-21]. */
static uint16_t keep_alive_s(const struct mqtt_session *s, const struct mqtt_connect *c)
{
    uint16_t most = s->s.env->mqtt.keep_alive_max_s;
    bool over = c->keep_alive_s == 0 || c->keep_alive_s > most;

    return s->level >= MQTT_5 && most > 0 && over ? most : c->keep_alive_s;
}

static void take_properties(struct mqtt_session *s, const struct mqtt_connect *c)
{
    const struct mqtt_limits *l = &s->s.env->mqtt;
    const struct mqtt_props *p = &c->props;

    s->receive_max = l->inflight;
    s->session_expiry_s = c->clean_start ? 0 : MQTT_EXPIRY_NEVER;
    if (s->level >= MQTT_5)
        s->session_expiry_s = p->session_expiry;
    if (p->has & MQTT_HAS(receive_maximum) && p->receive_maximum < s->receive_max)
        s->receive_max = p->receive_maximum;
    s->alias_out_max = p->topic_alias_maximum < l->topic_aliases ? p->topic_alias_maximum
                                                                 : l->topic_aliases;
    s->no_problem_info = p->has & MQTT_HAS(request_problem_info) && !p->request_problem_info;
    s->keep_alive_ms = keep_alive_s(s, c) * 1000u;
}

/* Names of our own begin with something that no client would think of [MQTT-3.1.3-6]. */
static struct bytes name_client(struct mqtt_session *s, struct bytes given, char made[64])
{
    if (given.n > 0)
        return given;
    (void)snprintf(made, 64, "lodge-%" PRIx64 "-%" PRIx64, core_boot(mqtt_core(s)), s->s.id);
    return bytes_str(made);
}

/* False: it is more than the client takes, so it is refused. */
static bool put_connack(struct mqtt_session *s, const struct mqtt_connect *c, bool present,
                        struct buf *out)
{
    const struct mqtt_limits *l = &s->s.env->mqtt;
    struct mqtt_connack a = { .session_present = present };
    struct mqtt_props *p = &a.props;
    uint16_t keep_alive = keep_alive_s(s, c);
    size_t from = out->n;

    if (c->client_id.n == 0) {
        p->has |= MQTT_HAS(assigned_client_id);
        p->assigned_client_id = mqtt_client_id(s);
    }
    p->has |= MQTT_HAS(receive_maximum) | MQTT_HAS(topic_alias_maximum) |
              MQTT_HAS(maximum_packet_size);
    p->receive_maximum = l->receive_maximum;
    p->topic_alias_maximum = l->topic_aliases;
    p->maximum_packet_size = s->s.env->message_bytes + MQTT_LOGIN_PACKET_BYTES < MQTT_REMAINING_MAX
                                 ? (uint32_t)s->s.env->message_bytes + MQTT_LOGIN_PACKET_BYTES
                                 : MQTT_REMAINING_MAX;
    if (keep_alive != c->keep_alive_s) {
        p->has |= MQTT_HAS(server_keep_alive);
        p->server_keep_alive = keep_alive;
    }
    if (l->no_retain)
        p->has |= MQTT_HAS(retain_available); /* 0 */
    (void)mqtt_put_connack(out, s->level, &a);
    if (mqtt_packet_fits(s, out, from))
        return true;
    mqtt_fail(s, MQTT_PACKET_TOO_LARGE, "CONNACK is larger than the client's maximum packet size");
    return false;
}

/* The session that is there or is to stay, and the will, which is not looked at again. */
static bool may_connect(struct mqtt_session *s, const struct mqtt_connect *c)
{
    struct queue_info info;

    if ((s->session_expiry_s > 0 ||
         core_queue_look(mqtt_core(s), s->client, buf_view(&s->queue), &info)) &&
        !mqtt_may_use_session(s))
        return false;
    if (!c->has_will)
        return true;
    mqtt_topic_to_key(&s->shared->key, c->will.topic);
    return mqtt_may_publish(s, buf_view(&s->shared->key));
}

static void open_session(struct mqtt_session *s, const struct mqtt_connect *c)
{
    struct session_env *env = s->s.env;
    char made[64];
    size_t from;

    mqtt_key_set(&s->key, s->vhost_id, name_client(s, c->client_id, made));
    mqtt_queue_name(&s->queue, mqtt_client_id(s));
    buf_fit(&s->key);
    buf_fit(&s->queue);
    s->client = core_client_open(env->core, s->vhost_id, &s->s.port);
    core_client_user(env->core, s->client, bytes_str(s->user));
    take_properties(s, c);
    if (!may_connect(s, c)) {
        mqtt_fail(s, MQTT_NOT_AUTHORIZED, "%s", env->denied);
        return;
    }
    s->shared->note.n = 0;
    if (!put_connack(s, c, false, &s->shared->note)) /* before anything is changed */
        return;
    take_over(s);
    core_client_prefetch(env->core, s->client, s->receive_max);
    bool present = find_session(s, c->clean_start);

    settle_old_will(s, !present);
    (void)map_put(&s->shared->online, buf_view(&s->key), s);
    if (present) {
        resume(s);
    } else if (s->session_expiry_s > 0) {
        s->persistent = true;
        (void)mqtt_queue_make(s);
    }
    if (s->state == MQTT_STATE_ENDED) /* no room for it: refused in CONNACK */
        return;
    s->state = MQTT_STATE_RUNNING;
    if (c->has_will)
        s->will = mqtt_will_new(s, &c->will);
    mqtt_note_store(s);
    struct buf *out = mqtt_due_begin(s, &from);
    (void)put_connack(s, c, present, out);
    s->s.paused = true;
    mqtt_due_packet(s, MQTT_CONNACK, from);
    session_wake_at(&s->s, s->keep_alive_ms
                               ? env->now_mono_ms + s->keep_alive_ms + s->keep_alive_ms / 2
                               : UINT64_MAX);
}

static bool decode(struct mqtt_session *s, struct bytes packet, struct mqtt_connect *out)
{
    uint8_t reason = MQTT_MALFORMED_PACKET;
    struct mqtt_packet p = { 0 };
    struct mqtt_head head;
    const char *why = "";

    if (mqtt_head_decode(packet, 0, MQTT_LOGIN_PACKET_BYTES, &head, &reason, &why) == DECODE_OK &&
        mqtt_decode(0, &head, bytes_from(packet, head.bytes), &p, &reason, &why) == DECODE_OK) {
        *out = p.connect;
        return true;
    }
    /* Of an unknown level nothing is known but that all before 5.0 answered alike. */
    s->level = reason == MQTT_UNSUPPORTED_PROTOCOL_VERSION ? MQTT_3_1_1 : p.connect.level;
    mqtt_fail(s, reason, "%s", why);
    return false;
}

static const char *refusal(const struct mqtt_session *s, const struct mqtt_connect *c,
                           uint8_t *reason)
{
    if (c->props.has & MQTT_HAS(auth_method)) {
        *reason = MQTT_BAD_AUTHENTICATION_METHOD;
        return "no authentication method is known here";
    }
    if (c->client_id.n > MQTT_CLIENT_ID_MAX_BYTES ||
        (c->client_id.n == 0 && !c->clean_start && s->level < MQTT_5)) {
        *reason = MQTT_CLIENT_ID_NOT_VALID;
        return "the client identifier is too long, or empty with a session to be kept";
    }
    if (c->has_will && c->will.topic.n > MQTT_KEY_MAX_BYTES) {
        *reason = MQTT_TOPIC_NAME_INVALID;
        return "the will's topic is longer than 255 bytes";
    }
    if (c->has_will && c->will.retain && s->level >= MQTT_5 && s->s.env->mqtt.no_retain) {
        *reason = MQTT_RETAIN_NOT_SUPPORTED; /* [MQTT-3.2.2-13] */
        return "a will with RETAIN where no messages are retained";
    }
    if (c->has_will && bytes_starts(c->will.topic, BYTES("$SYS/"))) {
        *reason = MQTT_NOT_AUTHORIZED;
        return "a will for a topic of the server's own";
    }
    if (!c->has_user_name && !s->s.loopback) {
        *reason = MQTT_NOT_AUTHORIZED;
        return "without a user name only over loopback";
    }
    return NULL;
}

void mqtt_connect_free(struct mqtt_session *s)
{
    if (s->connect)
        buf_fini(s->connect);
    mem_free(s->connect);
    s->connect = NULL;
}

void mqtt_on_connect(struct mqtt_session *s, struct bytes packet)
{
    struct mqtt_connect c;
    uint8_t reason = 0;

    if (!decode(s, packet, &c))
        return;
    s->level = c.level;
    s->packet_max = c.props.maximum_packet_size;
    const char *why = refusal(s, &c, &reason);
    if (why) {
        mqtt_fail(s, reason, "%s", why);
        return;
    }
    s->connect = mem_new(struct buf);
    buf_bytes(s->connect, packet);
    log_in(s, &c);
}

void mqtt_auth_finished(struct mqtt_session *s, bool accepted)
{
    struct mqtt_connect c;

    if (s->state != MQTT_STATE_LOGIN)
        return;
    s->s.paused = false;
    if (!accepted)
        mqtt_fail(s, MQTT_BAD_USER_NAME_OR_PASSWORD, "login was refused for user '%s'",
                  log_text(bytes_str(s->user)).s);
    else if (!permit_vhost(s->s.env, bytes_str(s->user), s->vhost_id))
        mqtt_fail(s, MQTT_NOT_AUTHORIZED, "%s", s->s.env->denied);
    else if (decode(s, buf_view(s->connect), &c))
        open_session(s, &c);
    mqtt_connect_free(s);
}

/* ---- DISCONNECT ---- */

void mqtt_on_disconnect(struct mqtt_session *s, const struct mqtt_disconnect *d)
{
    if (s->level >= MQTT_5 && d->props.has & MQTT_HAS(session_expiry)) {
        if (s->session_expiry_s == 0 && d->props.session_expiry > 0) {
            mqtt_fail(s, MQTT_PROTOCOL_ERROR,
                      "a session that ends with its connection cannot "
                      "be given a longer life at its end");
            return;
        }
        s->session_expiry_s = d->props.session_expiry;
        if (s->persistent && s->session_expiry_s > 0)
            core_queue_expires(mqtt_core(s), s->client, buf_view(&s->queue),
                               s->session_expiry_s == MQTT_EXPIRY_NEVER
                                   ? UINT64_MAX
                                   : s->session_expiry_s * UINT64_C(1000));
    }
    mqtt_end(s, s->level >= MQTT_5 && d->reason != MQTT_SUCCESS); /* [MQTT-3.14.4-3] */
}
