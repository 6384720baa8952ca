// SPDX-License-Identifier: MIT
/* From the protocol header to connection.open-ok [2.2.4], and connection.close. */
#include "broker/session/amqp_session.h"

#include <inttypes.h>

#include "base/mem.h"
#include "broker/session/auth.h"
#include "broker/session/permit.h"
#include "proto/table.h"

static const struct bytes guest = { (const uint8_t *)"guest", 5 };

/* What clients look for before they use an extension.  All of them are there. */
static const char *const capabilities[] = {
    "publisher_confirms",     "exchange_exchange_bindings",   "basic.nack",
    "consumer_cancel_notify", "connection.blocked",           "consumer_priorities",
    "per_consumer_qos",       "authentication_failure_close", "direct_reply_to",
};

static void put0(struct amqp_session *s, const struct amqp_args *args)
{
    amqp_put_method(&s->s.out, 0, args);
    s->s.env->count.frames_out++;
    s->last_out_ms = s->s.env->now_mono_ms;
}

/* The product is not RabbitMQ: clients change their ways by that name and its version. */
static void put_start(struct amqp_session *s)
{
    struct buf *t = &s->shared->table;

    t->n = 0;
    size_t mark = table_begin(t, BYTES("capabilities"), 'F');
    for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++)
        table_put_bool(t, bytes_str(capabilities[i]), true);
    table_end(t, mark);
    table_put_str(t, BYTES("product"), BYTES("Lodge"));
    table_put_str(t, BYTES("version"), BYTES(LODGE_VERSION));
    table_put_str(t, BYTES("platform"), BYTES("C"));
    table_put_str(t, BYTES("copyright"), BYTES("The Lodge authors"));
    table_put_str(t, BYTES("information"), BYTES("MIT licence"));
    table_put_str(t, BYTES("cluster_name"), BYTES("lodge"));
    put0(s, &(struct amqp_args){ .id = AMQP_connection_start,
                                 .connection_start = { .version_major = 0,
                                                       .version_minor = 9,
                                                       .server_properties = buf_view(t),
                                                       .mechanisms = BYTES("PLAIN AMQPLAIN"),
                                                       .locales = BYTES("en_US") } });
    s->state = AMQP_STATE_START;
}

/* Another version is answered with the one we speak [4.2.2]. */
size_t amqp_on_header(struct amqp_session *s, struct bytes in)
{
    struct bytes want = bytes_of(amqp_protocol, AMQP_PROTOCOL_BYTES);

    if (!bytes_eq(bytes_head(in, want.n), bytes_head(want, in.n))) {
        amqp_log_fault(s, "amqp.refused", "not the protocol header of AMQP 0-9-1");
        buf_bytes(&s->s.out, want);
        amqp_end(s);
        return in.n;
    }
    if (in.n < want.n)
        return 0;
    put_start(s);
    return want.n;
}

/* ---- start-ok ---- */

static bool has_capability(struct bytes table, const char *name)
{
    struct table_value v;
    bool on = false;

    return table_find(table, bytes_str(name), &v) && table_bool(&v, &on) && on;
}

static void take_client_properties(struct amqp_session *s, struct bytes properties)
{
    struct table_value v;
    struct bytes product;

    s->qos_of_channel = table_find(properties, BYTES("product"), &v) && table_str(&v, &product) &&
                        bytes_eq(product, BYTES("py-amqp"));
    if (!table_find(properties, BYTES("capabilities"), &v) || v.type != 'F')
        return;
    s->can_cancel = has_capability(v.raw, "consumer_cancel_notify");
    s->can_blocked = has_capability(v.raw, "connection.blocked");
    s->can_close_login = has_capability(v.raw, "authentication_failure_close");
}

/* "authzid NUL user NUL password" (RFC 4616); nobody may act for another. */
static bool read_plain(struct bytes r, struct bytes *user, struct bytes *password)
{
    const uint8_t *first = r.n ? memchr(r.p, 0, r.n) : NULL, *second;

    if (!first)
        return false;
    *user = bytes_from(r, (size_t)(first - r.p) + 1);
    second = user->n ? memchr(user->p, 0, user->n) : NULL;
    if (!second)
        return false;
    *password = bytes_from(*user, (size_t)(second - user->p) + 1);
    user->n = (size_t)(second - user->p);
    return true;
}

static bool read_amqplain(struct bytes r, struct bytes *user, struct bytes *password)
{
    struct table_value u, p;

    return table_valid(r) && table_find(r, BYTES("LOGIN"), &u) && table_str(&u, user) &&
           table_find(r, BYTES("PASSWORD"), &p) && table_str(&p, password);
}

/* A client that does not know the word is only hung up on, as RabbitMQ does. */
static void refuse_login(struct amqp_session *s)
{
    if (s->can_close_login) {
        amqp_fail(s, AMQP_ACCESS_REFUSED, 0,
                  "Login was refused for user '%s'. For details see the log of the broker",
                  log_text(bytes_str(s->user)).s);
        return;
    }
    amqp_log_fault(s, "amqp.refused", "login refused");
    amqp_end(s);
}

void amqp_auth_done(struct amqp_session *s, bool accepted)
{
    const struct amqp_limits *l = &s->s.env->amqp;

    if (s->state != AMQP_STATE_LOGIN)
        return;
    s->s.paused = false;
    if (!accepted) {
        refuse_login(s);
        return;
    }
    s->state = AMQP_STATE_TUNE;
    put0(s, &(struct amqp_args){ .id = AMQP_connection_tune,
                                 .connection_tune = { .channel_max = l->channels,
                                                      .frame_max = l->frame_bytes,
                                                      .heartbeat = l->heartbeat_s } });
}

static void log_in(struct amqp_session *s, struct bytes user, struct bytes password)
{
    struct session_env *env = s->s.env;
    struct core_user known = { 0 };
    bool accepted = true;

    s->user = bytes_dup_str(user);
    s->state = AMQP_STATE_LOGIN;
    if (bytes_eq(user, guest) && !s->s.loopback) {
        amqp_auth_done(s, false);
        return;
    }
    if (env->auth) {
        (void)core_user_find(env->core, user, &known);
        s->s.paused = true;
        if (!auth_check(env->auth, &s->s, user, password, known.password_hash, &accepted))
            return;
    }
    amqp_auth_done(s, accepted);
}

static void on_start_ok(struct amqp_session *s, const struct amqp_args *args)
{
    const struct amqp_connection_start_ok *a = &args->connection_start_ok;
    struct bytes user = { 0 }, password = { 0 };
    bool read;

    take_client_properties(s, a->client_properties);
    if (bytes_eq(a->mechanism, BYTES("PLAIN"))) {
        read = read_plain(a->response, &user, &password);
    } else if (bytes_eq(a->mechanism, BYTES("AMQPLAIN"))) {
        read = read_amqplain(a->response, &user, &password);
    } else {
        amqp_fail(s, AMQP_COMMAND_INVALID, args->id, "unknown SASL mechanism '%s'",
                  log_text(a->mechanism).s);
        return;
    }
    if (read)
        log_in(s, user, password);
    else
        amqp_fail(s, AMQP_SYNTAX_ERROR, args->id, "malformed SASL response");
}

/* ---- tune-ok and open ---- */

static void on_tune_ok(struct amqp_session *s, const struct amqp_args *args)
{
    const struct amqp_connection_tune_ok *a = &args->connection_tune_ok;
    const struct amqp_limits *l = &s->s.env->amqp;

    /* 0: no limit of the client's own. */
    if (a->frame_max != 0 && a->frame_max < AMQP_FRAME_MIN_BYTES)
        amqp_fail(s, AMQP_NOT_ALLOWED, args->id,
                  "negotiated frame_max = %" PRIu32 " is lower than the minimum allowed value (%d)",
                  a->frame_max, AMQP_FRAME_MIN_BYTES);
    else if (a->frame_max > l->frame_bytes)
        amqp_fail(s, AMQP_NOT_ALLOWED, args->id,
                  "negotiated frame_max = %" PRIu32
                  " is higher than the maximum allowed value (%" PRIu32 ")",
                  a->frame_max, l->frame_bytes);
    else if (a->channel_max > l->channels)
        amqp_fail(s, AMQP_NOT_ALLOWED, args->id,
                  "negotiated channel_max = %u is higher than the maximum allowed value (%u)",
                  a->channel_max, l->channels);
    if (s->state != AMQP_STATE_TUNE)
        return;
    s->frame_max = a->frame_max ? a->frame_max : l->frame_bytes;
    s->channel_max = a->channel_max ? a->channel_max : l->channels;
    s->heartbeat_ms = a->heartbeat * 1000u;
    s->state = AMQP_STATE_OPEN;
}

static void on_open(struct amqp_session *s, const struct amqp_args *args)
{
    struct session_env *env = s->s.env;
    struct bytes name = args->connection_open.virtual_host;

    s->vhost_id = core_vhost_find(env->core, name);
    if (!s->vhost_id) {
        amqp_fail(s, AMQP_NOT_ALLOWED, args->id, "vhost %s not found", log_text(name).s);
        return;
    }
    if (!permit_vhost(env, bytes_str(s->user), s->vhost_id)) {
        amqp_fail(s, AMQP_NOT_ALLOWED, args->id, "%s", env->denied);
        return;
    }
    s->vhost = bytes_dup_str(name);
    s->client = core_client_open(env->core, s->vhost_id, &s->s.port);
    core_client_user(env->core, s->client, bytes_str(s->user));
    s->state = AMQP_STATE_RUNNING;
    put0(s, &(struct amqp_args){ .id = AMQP_connection_open_ok });
    s->last_in_ms = env->now_mono_ms;
    amqp_wake(s);
    log_debug("amqp.login", "id=%" PRIu64 " user=%s vhost=%s", s->s.id,
              log_text(bytes_str(s->user)).s, log_text(name).s);
}

static void on_close(struct amqp_session *s, const struct amqp_args *args)
{
    (void)args;
    put0(s, &(struct amqp_args){ .id = AMQP_connection_close_ok });
    amqp_end(s);
}

/* Tokens of OAuth are not known here: the secret of a password log-in has nothing to renew. */
static void on_update_secret(struct amqp_session *s, const struct amqp_args *args)
{
    (void)args;
    put0(s, &(struct amqp_args){ .id = AMQP_connection_update_secret_ok });
}

typedef void connection_fn(struct amqp_session *s, const struct amqp_args *args);

/* The dialogue, whole.  A method without a row for the state is 503 command-invalid. */
static const struct {
    enum amqp_state in;
    enum amqp_method method;
    connection_fn *run;
} steps[] = {
    { AMQP_STATE_START, AMQP_connection_start_ok, on_start_ok },
    { AMQP_STATE_TUNE, AMQP_connection_tune_ok, on_tune_ok },
    { AMQP_STATE_OPEN, AMQP_connection_open, on_open },
    { AMQP_STATE_RUNNING, AMQP_connection_update_secret, on_update_secret },
    { AMQP_STATE_RUNNING, AMQP_connection_close, on_close },
    { AMQP_STATE_OPEN, AMQP_connection_close, on_close },
    { AMQP_STATE_TUNE, AMQP_connection_close, on_close },
    { AMQP_STATE_START, AMQP_connection_close, on_close },
};

void amqp_on_connection(struct amqp_session *s, const struct amqp_args *args)
{
    const char *name = amqp_method_name(args->id);

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (steps[i].in == s->state && (uint32_t)steps[i].method == args->id) {
            steps[i].run(s, args);
            return;
        }
    }
    amqp_fail(s, AMQP_COMMAND_INVALID, args->id, "%s is not for channel 0 in state %s",
              name ? name : "?", amqp_state_name(s->state));
}
