// SPDX-License-Identifier: MIT
/* The AMQP connection: frames in, their order, heartbeats, errors and the end. */
#include "broker/session/amqp_session.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "broker/session/auth.h"

/* While publishes are held because the disk is full, it is looked at this often. */
enum { BLOCKED_LOOK_MS = 500, FAULTS_LOGGED_A_SECOND = 20 };

static const char *const state_names[AMQP_STATE_COUNT] = {
#define X(name) #name,
    AMQP_STATES(X)
#undef X
};

const char *amqp_state_name(enum amqp_state s)
{
    return state_names[s];
}

/* ---- frames out ---- */

static void put_frame(struct amqp_session *s, struct buf *out, uint16_t channel,
                      const struct amqp_args *args)
{
    amqp_put_method(out, channel, args);
    s->s.env->count.frames_out++;
    s->last_out_ms = s->s.env->now_mono_ms;
}

void amqp_put(struct amqp_channel *ch, const struct amqp_args *args)
{
    put_frame(ch->conn, amqp_out(ch), ch->number, args);
}

void amqp_put_id(struct amqp_channel *ch, enum amqp_method id)
{
    amqp_put(ch, &(struct amqp_args){ .id = id });
}

void amqp_put_durable(struct amqp_channel *ch, const struct amqp_args *args)
{
    struct amqp_session *s = ch->conn;
    struct amqp_due *due = mem_new(struct amqp_due);

    CHECK(!s->due);
    due->channel = ch;
    amqp_put_method(&due->frame, ch->number, args);
    s->due = due;
    s->s.paused = true;
    due->number = core_confirm(s->s.env->core, ch->client, false);
}

static void due_free(struct amqp_session *s)
{
    if (!s->due)
        return;
    buf_fini(&s->due->frame);
    mem_free(s->due);
    s->due = NULL;
    s->s.paused = s->held;
}

/* ---- errors and the end ---- */

struct bytes amqp_reply_text(struct amqp_session *s, enum amqp_reply code, const char *text)
{
    struct buf *b = &s->shared->text;

    b->n = 0;
    buf_fmt(b, "%s - %s", amqp_reply_name(code), text);
    return bytes_head(buf_view(b), AMQP_TEXT_MAX_BYTES);
}

void amqp_log_fault(struct amqp_session *s, const char *event, const char *text)
{
    unsigned dropped;

    s->s.env->count.refused++;
    if (log_allowed(&s->shared->faults, FAULTS_LOGGED_A_SECOND, &dropped))
        log_warn(event, "id=%" PRIu64 " state=%s text=%s unlogged=%u", s->s.id,
                 amqp_state_name(s->state), log_text(bytes_str(text)).s, dropped);
}

static void close_clients(struct amqp_session *s)
{
    due_free(s);
    amqp_channels_free(s);
    if (s->client)
        core_client_close(s->s.env->core, s->client, s->s.env->now_ms);
    s->client = 0;
}

void amqp_end(struct amqp_session *s)
{
    if (s->state == AMQP_STATE_LOGIN && s->s.env->auth)
        auth_forget(s->s.env->auth, &s->s);
    s->state = AMQP_STATE_ENDED;
    s->s.ending = true;
    s->s.paused = s->held = false;
    close_clients(s);
    session_wake_at(&s->s, UINT64_MAX);
}

void amqp_fail(struct amqp_session *s, enum amqp_reply code, uint32_t method, const char *fmt, ...)
{
    char detail[512];
    va_list ap;

    if (s->state >= AMQP_STATE_CLOSING)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    amqp_log_fault(s, "amqp.refused", detail);
    close_clients(s);
    put_frame(
        s, &s->s.out, 0,
        &(struct amqp_args){ .id = AMQP_connection_close,
                             .connection_close = { .reply_code = (uint16_t)code,
                                                   .reply_text = amqp_reply_text(s, code, detail),
                                                   .class_id = (uint16_t)(method >> 16),
                                                   .method_id = (uint16_t)method } });
    s->state = AMQP_STATE_CLOSING;
    s->s.paused = s->held = false;
    session_wake_at(&s->s, s->s.env->now_mono_ms + AMQP_CLOSE_OK_MS);
}

/* ---- heartbeats [4.2.7]: at half the interval, gone after two of them ---- */

static uint64_t next_beat(const struct amqp_session *s)
{
    return s->heartbeat_ms ? s->last_out_ms + s->heartbeat_ms / 2 : UINT64_MAX;
}

static uint64_t silent_at(const struct amqp_session *s)
{
    return s->heartbeat_ms ? s->last_in_ms + 2 * (uint64_t)s->heartbeat_ms : UINT64_MAX;
}

/* Consumer time-outs are looked for this often: a sixteenth of them, within bounds. */
static uint64_t next_look(const struct amqp_session *s)
{
    uint64_t timeout = s->s.env->amqp.consumer_timeout_ms, every = timeout / 16;

    if (timeout == 0 || s->channels_consuming == 0)
        return UINT64_MAX;
    return s->s.env->now_mono_ms + (every < 100 ? 100 : every > 60000 ? 60000 : every);
}

void amqp_wake(struct amqp_session *s)
{
    uint64_t at = next_beat(s), silent = silent_at(s), look = next_look(s);

    at = silent < at ? silent : at;
    at = look < at ? look : at;
    if (s->blocked && s->s.env->now_mono_ms + BLOCKED_LOOK_MS < at)
        at = s->s.env->now_mono_ms + BLOCKED_LOOK_MS;
    session_wake_at(&s->s, at);
}

static void tick_running(struct amqp_session *s)
{
    uint64_t now = s->s.env->now_mono_ms;

    /* Who is not read from, by our choice, cannot be heard. */
    if (s->s.unread || s->s.paused)
        s->last_in_ms = now;
    if (silent_at(s) <= now) {
        amqp_log_fault(s, "amqp.silent", "missed heartbeats from the client");
        amqp_end(s);
        return;
    }
    if (next_beat(s) <= now) {
        s->last_out_ms = now;
        if (s->s.out.n == 0) /* else it is heard as it is */
            amqp_put_heartbeat(&s->s.out);
    }
    if (s->blocked)
        amqp_unblock(s);
    for (uint32_t i = 0; s->s.env->amqp.consumer_timeout_ms && i < s->channel_cap; i++) {
        struct amqp_channel *ch = amqp_channel_find(s, (uint16_t)i);

        if (ch)
            amqp_channel_tick(ch);
    }
    if (s->state == AMQP_STATE_RUNNING)
        amqp_wake(s);
}

/* ---- frames in ---- */

static void on_closing(struct amqp_session *s, const struct amqp_frame *f)
{
    struct amqp_args args;
    enum amqp_reply code;
    const char *why;

    if (f->type != AMQP_FRAME_METHOD || f->channel != 0 ||
        amqp_method_decode(f->payload, &args, &code, &why) != DECODE_OK)
        return;
    if (args.id == AMQP_connection_close)
        put_frame(s, &s->s.out, 0, &(struct amqp_args){ .id = AMQP_connection_close_ok });
    if (args.id == AMQP_connection_close || args.id == AMQP_connection_close_ok)
        amqp_end(s);
}

static void on_connection_frame(struct amqp_session *s, const struct amqp_frame *f)
{
    struct amqp_args args = { 0 };
    enum amqp_reply code;
    const char *why;

    if (f->type != AMQP_FRAME_METHOD)
        amqp_fail(s, AMQP_UNEXPECTED_FRAME, 0, "content on channel 0");
    else if (amqp_method_decode(f->payload, &args, &code, &why) != DECODE_OK)
        amqp_fail(s, code, args.id, "%s", why);
    else
        amqp_on_connection(s, &args);
}

static void on_frame(struct amqp_session *s, const struct amqp_frame *f)
{
    s->s.env->count.frames_in++;
    if (f->type == AMQP_FRAME_HEARTBEAT)
        return;
    if (s->state == AMQP_STATE_CLOSING)
        on_closing(s, f);
    else if (f->channel == 0)
        on_connection_frame(s, f);
    else if (s->state == AMQP_STATE_RUNNING)
        amqp_on_channel_content(s, f);
    else
        amqp_fail(s, AMQP_CHANNEL_ERROR, 0, "channel %u before connection.open", f->channel);
}

static uint32_t frame_limit(const struct amqp_session *s)
{
    if (s->state < AMQP_STATE_TUNE && s->s.env->amqp.frame_bytes > AMQP_LOGIN_FRAME_BYTES)
        return AMQP_LOGIN_FRAME_BYTES;
    return s->frame_max;
}

static size_t next_frame(struct amqp_session *s, struct bytes in)
{
    struct amqp_frame f;
    size_t used = 0;
    const char *why;

    switch (amqp_frame_decode(in, frame_limit(s), &f, &used, &why)) {
    case DECODE_OK:
        break;
    case DECODE_MORE:
        return 0;
    case DECODE_BAD:
        if (s->state == AMQP_STATE_CLOSING)
            amqp_end(s);
        amqp_fail(s, AMQP_FRAME_ERROR, 0, "%s", why);
        return in.n;
    }
    if (f.type == AMQP_FRAME_METHOD && s->state == AMQP_STATE_RUNNING && f.channel != 0) {
        size_t more = amqp_on_channel_method(s, &f, bytes_from(in, used));

        return more == SIZE_MAX ? 0 : used + more;
    }
    on_frame(s, &f);
    return used;
}

static size_t amqp_input(struct session *base, uint8_t *in, size_t n)
{
    struct amqp_session *s = amqp_of(base);
    size_t at = 0, used = 1;

    s->last_in_ms = base->env->now_mono_ms;
    if (s->state == AMQP_STATE_HEADER)
        at = amqp_on_header(s, bytes_of(in, n));
    while (used > 0 && at < n && s->state > AMQP_STATE_HEADER && s->state < AMQP_STATE_ENDED &&
           !base->paused) {
        used = next_frame(s, bytes_of(in + at, n - at));
        at += used;
    }
    return s->state == AMQP_STATE_ENDED ? n : at;
}

/* ---- session_ops ---- */

static void on_confirm(struct amqp_channel *ch, const struct effect *e)
{
    struct amqp_session *s = ch->conn;
    struct amqp_due *due = s->due;

    if (!due || due->channel != ch || due->number < e->first || due->number > e->last) {
        amqp_on_confirmed(ch, e);
        return;
    }
    /* It is the last that was asked for: nothing was read after it. */
    CHECK(due->number == e->last);
    struct effect before = *e;
    before.last--;
    if (before.first <= before.last)
        amqp_on_confirmed(ch, &before);
    ch->replies_confirmed++;
    buf_bytes(amqp_out(ch), buf_view(&due->frame));
    s->s.env->count.frames_out++;
    s->last_out_ms = s->s.env->now_mono_ms;
    due_free(s);
}

static void amqp_effect(struct session *base, struct session_port *to, const struct effect *e)
{
    struct amqp_channel *ch = container_of(to, struct amqp_channel, port);

    if (to == &base->port)
        return; /* the connection's own client asks for nothing */
    switch (e->kind) {
    case EFFECT_DELIVER:
        amqp_deliver(ch, e);
        break;
    case EFFECT_GET_EMPTY:
        amqp_get_empty(ch);
        break;
    case EFFECT_CONFIRM:
        on_confirm(ch, e);
        break;
    case EFFECT_CANCELLED:
        amqp_cancelled(ch, e);
        break;
    case EFFECT_PART:
        amqp_part(ch, e);
        break;
    case EFFECT_RETURN: {
        struct message m;

        core_effect_message(base->env->core, e, &m);
        amqp_put_return(ch, &m);
        break;
    }
    }
}

static void amqp_auth(struct session *base, bool accepted)
{
    amqp_auth_done(amqp_of(base), accepted);
}

static void amqp_tick(struct session *base)
{
    struct amqp_session *s = amqp_of(base);

    if (s->state == AMQP_STATE_RUNNING) {
        tick_running(s);
        return;
    }
    if (s->state < AMQP_STATE_RUNNING)
        amqp_log_fault(s, "amqp.refused", "handshake timed out");
    amqp_end(s);
}

static void amqp_drained(struct session *base)
{
    struct amqp_session *s = amqp_of(base);

    if (s->state == AMQP_STATE_RUNNING && s->channels_consuming + s->channels_sending > 0)
        amqp_room_all(s);
}

static void shared_unref(struct session_env *env)
{
    struct amqp_shared *shared = env->amqp_shared;

    if (--shared->sessions > 0)
        return;
    buf_fini(&shared->props);
    buf_fini(&shared->table);
    buf_fini(&shared->text);
    mem_free(shared);
    env->amqp_shared = NULL;
}

static void amqp_close(struct session **base)
{
    struct amqp_session *s;

    if (!*base)
        return;
    s = amqp_of(*base);
    amqp_end(s);
    buf_fini(&s->s.out);
    shared_unref(s->s.env);
    mem_free(s->channel);
    mem_free(s->user);
    mem_free(s->vhost);
    mem_free(s);
    *base = NULL;
}

static const struct session_ops amqp_ops = {
    .name = "amqp",
    .input = amqp_input,
    .effect = amqp_effect,
    .auth_done = amqp_auth,
    .tick = amqp_tick,
    .drained = amqp_drained,
    .close = amqp_close,
};

struct session *amqp_session_open(struct session_env *env, bool loopback)
{
    struct amqp_session *s = mem_new(struct amqp_session);

    if (!env->amqp_shared)
        env->amqp_shared = mem_new(struct amqp_shared);
    s->shared = env->amqp_shared;
    s->shared->sessions++;
    s->s.ops = &amqp_ops;
    s->s.env = env;
    s->s.id = ++env->next_session;
    s->s.port.session = &s->s;
    s->s.loopback = loopback;
    s->frame_max = env->amqp.frame_bytes;
    s->channel_max = env->amqp.channels;
    s->last_in_ms = s->last_out_ms = env->now_mono_ms;
    if (env->login_ms)
        session_wake_at(&s->s, env->now_mono_ms + env->login_ms);
    return &s->s;
}
