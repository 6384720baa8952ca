// SPDX-License-Identifier: MIT
#include "broker/session/stomp_session.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/session/auth.h"

enum { LAST_WORDS_MS = 30000 };

static const char *const state_names[STOMP_STATE_COUNT] = {
#define X(name) #name,
    STOMP_STATES(X)
#undef X
};

const char *stomp_state_name(enum stomp_state s)
{
    return state_names[s];
}

static struct stomp_session *self(struct session *s)
{
    return (struct stomp_session *)(void *)s;
}

/* ---- errors and the end ---- */

void stomp_end(struct stomp_session *s)
{
    if (s->state == STOMP_LOGIN && s->s.env->auth)
        auth_forget(s->s.env->auth, &s->s);
    s->state = STOMP_ENDED;
    s->s.ending = true;
    s->s.paused = false;
    stomp_transactions_free(s);
    if (s->client)
        core_client_close(s->s.env->core, s->client, s->s.env->now_ms);
    s->client = 0;
    stomp_subscriptions_free(s);
    stomp_sending_free(s);
    session_wake_at(&s->s, UINT64_MAX);
}

static bool receipts_due(const struct stomp_session *s)
{
    return stomp_receipts_bytes(&s->receipts) > 0;
}

static void log_fault(struct stomp_session *s, const char *message, const char *detail)
{
    unsigned dropped;

    s->s.env->count.refused++;
    if (log_allowed(&s->shared->faults, 20, &dropped))
        log_warn("stomp.refused", "id=%" PRIu64 " state=%s message=%s detail=%s unlogged=%u",
                 s->s.id, stomp_state_name(s->state), log_text(bytes_str(message)).s,
                 log_text(bytes_str(detail)).s, dropped);
}

static void put_error(struct stomp_session *s, struct buf *out, const struct stomp_frame *f,
                      struct stomp_header more, const char *message, const char *detail)
{
    enum stomp_version v = stomp_version(s);
    struct bytes receipt = { NULL, 0 };

    if (f)
        receipt = stomp_header_find(f, BYTES("receipt"));
    stomp_put_command(out, STOMP_CMD_ERROR);
    if (receipt.p)
        stomp_put_header(out, v, BYTES("receipt-id"), receipt);
    if (more.name.n)
        stomp_put_header(out, v, more.name, more.value);
    stomp_put_header(out, v, BYTES("message"), bytes_str(message));
    stomp_put_header(out, v, BYTES("content-type"), BYTES("text/plain"));
    stomp_put_header_u64(out, BYTES("content-length"), strlen(detail) + 1);
    stomp_put_head_end(out);
    buf_str(out, detail);
    buf_u8(out, '\n');
    stomp_put_end(out);
}

/* A peer that does not take what is due is not waited for any longer. */
static void wait_for_the_end(struct stomp_session *s, enum stomp_state state)
{
    s->state = state;
    core_client_room(s->s.env->core, s->client, 0);
    session_wake_at(&s->s, s->s.env->now_mono_ms + LAST_WORDS_MS);
}

void stomp_end_if_done(struct stomp_session *s)
{
    if ((s->state != STOMP_LEAVING && s->state != STOMP_FAILED) || s->sending || receipts_due(s))
        return;
    buf_bytes(&s->s.out, buf_view(&s->error));
    stomp_end(s);
}

static void fail(struct stomp_session *s, const struct stomp_frame *f, struct stomp_header more,
                 const char *message, const char *detail)
{
    bool waits = s->sending || receipts_due(s);

    if (s->state >= STOMP_FAILED)
        return;
    log_fault(s, message, detail);
    s->s.env->count.frames_out++;
    put_error(s, waits ? &s->error : &s->s.out, f, more, message, detail);
    if (waits)
        wait_for_the_end(s, STOMP_FAILED);
    else
        stomp_end(s);
}

void stomp_fail(struct stomp_session *s, const struct stomp_frame *f, const char *message,
                const char *fmt, ...)
{
    char detail[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    fail(s, f, (struct stomp_header){ 0 }, message, detail);
}

void stomp_fail_with(struct stomp_session *s, const struct stomp_frame *f, struct bytes name,
                     struct bytes value, const char *message, const char *detail)
{
    fail(s, f, (struct stomp_header){ name, value }, message, detail);
}

/* ---- receipts ---- */

void stomp_receipt(struct stomp_session *s, const struct stomp_frame *f, struct bytes id)
{
    if (!id.p || s->state >= STOMP_FAILED)
        return;
    if (id.n > STOMP_RECEIPT_ID_MAX_BYTES) {
        stomp_fail(s, f, "Invalid receipt", "A receipt has at most %d bytes",
                   STOMP_RECEIPT_ID_MAX_BYTES);
        return;
    }
    stomp_receipts_push(&s->receipts, id);
    (void)core_confirm(s->s.env->core, s->client, false);
    if (stomp_receipts_bytes(&s->receipts) > STOMP_RECEIPTS_MAX_BYTES)
        s->s.paused = true;
}

static void put_receipt(struct stomp_session *s, struct bytes id)
{
    struct buf *out = stomp_out(s);

    s->s.env->count.frames_out++;
    buf_bytes(out, BYTES("RECEIPT\n"));
    stomp_put_header(out, stomp_version(s), BYTES("receipt-id"), id);
    buf_put(out, "\n", 2);
}

static void on_confirm(struct stomp_session *s, const struct effect *e)
{
    CHECK(e->first == s->confirmed + 1 && e->last >= e->first);
    s->confirmed = e->last;
    for (uint64_t i = e->first; i <= e->last; i++)
        put_receipt(s, stomp_receipts_pop(&s->receipts));
    if (!receipts_due(s))
        stomp_receipts_fini(&s->receipts); /* an idle connection holds no buffer */
    s->last_out_ms = s->s.env->now_mono_ms;
    if (s->state == STOMP_READY &&
        stomp_receipts_bytes(&s->receipts) <= STOMP_RECEIPTS_MAX_BYTES / 2)
        s->s.paused = false;
    stomp_end_if_done(s);
}

/* ---- frames ---- */

static void on_disconnect(struct stomp_session *s, const struct stomp_frame *f)
{
    stomp_transactions_free(s);
    stomp_receipt(s, f, stomp_header_find(f, BYTES("receipt")));
    if (s->state != STOMP_READY)
        return;
    wait_for_the_end(s, STOMP_LEAVING);
    stomp_end_if_done(s);
}

typedef void handler_fn(struct stomp_session *s, const struct stomp_frame *f);

/* What has no row is refused. */
static handler_fn *const handlers[STOMP_STATE_COUNT][STOMP_CMD_COUNT] = {
    [STOMP_NEW] = {
        [STOMP_CMD_CONNECT] = stomp_on_connect,
        [STOMP_CMD_STOMP] = stomp_on_connect,
    },
    [STOMP_READY] = {
        [STOMP_CMD_SEND] = stomp_on_send,
        [STOMP_CMD_SUBSCRIBE] = stomp_on_subscribe,
        [STOMP_CMD_UNSUBSCRIBE] = stomp_on_unsubscribe,
        [STOMP_CMD_ACK] = stomp_on_ack,
        [STOMP_CMD_NACK] = stomp_on_ack,
        [STOMP_CMD_BEGIN] = stomp_on_begin,
        [STOMP_CMD_COMMIT] = stomp_on_commit,
        [STOMP_CMD_ABORT] = stomp_on_abort,
        [STOMP_CMD_DISCONNECT] = on_disconnect,
    },
};

static handler_fn *handler_of(struct stomp_session *s, const struct stomp_frame *f)
{
    handler_fn *run = handlers[s->state][f->command];

    if (run)
        return run;
    if (s->state == STOMP_NEW)
        stomp_fail(s, f, "Illegal command", "Log in with CONNECT or STOMP first");
    else
        stomp_fail(s, f, "Illegal command", "%s is not for a client to send now",
                   stomp_command_name(f->command));
    return NULL;
}

static void run_frame(struct stomp_session *s, const struct stomp_frame *f)
{
    handler_fn *run = handler_of(s, f);

    s->s.env->count.frames_in++;
    if (run)
        run(s, f);
}

static void on_part(struct stomp_session *s, const struct stomp_frame *f)
{
    switch (f->part) {
    case STOMP_WHOLE:
        run_frame(s, f);
        break;
    case STOMP_HEAD:
        if (handler_of(s, f))
            stomp_gathering_begin(s, f);
        break;
    case STOMP_BODY:
        stomp_gathering_add(s, f->body);
        break;
    case STOMP_END:
        s->gathering->frame.body = buf_view(&s->gathering->body);
        run_frame(s, &s->gathering->frame);
        stomp_gathering_free(s);
        break;
    }
}

/* ---- session_ops ---- */

static size_t stomp_input(struct session *base, uint8_t *in, size_t n)
{
    struct stomp_session *s = self(base);
    struct session_env *env = base->env;
    enum decode r = DECODE_OK;
    size_t at = 0;

    s->last_in_ms = env->now_mono_ms;
    while (r == DECODE_OK && s->state <= STOMP_READY && !base->paused) {
        struct stomp_frame f;
        size_t used;

        r = stomp_decode(&s->decoder, &env->stomp, &s->shared->scratch, in + at, n - at, &f, &used);
        at += used;
        if (r == DECODE_OK)
            on_part(s, &f);
        else if (r == DECODE_BAD)
            stomp_fail(s, NULL, "Malformed frame", "%s", s->decoder.error);
    }
    return s->state > STOMP_READY ? n : at;
}

static void on_cancelled(struct stomp_session *s, const struct effect *e)
{
    struct stomp_subscription *sub = stomp_subscription_find(s, e->handle);

    if (sub)
        stomp_fail_with(s, NULL, BYTES("subscription"), sub->id, "Subscription ended",
                        "The queue of this subscription was deleted");
}

static void stomp_effect(struct session *base, struct session_port *to, const struct effect *e)
{
    struct stomp_session *s = self(base);

    (void)to;
    switch (e->kind) {
    case EFFECT_DELIVER:
        stomp_message(s, e);
        break;
    case EFFECT_CONFIRM:
        on_confirm(s, e);
        break;
    case EFFECT_CANCELLED:
        on_cancelled(s, e);
        break;
    case EFFECT_PART:
        stomp_part(s, e);
        break;
    case EFFECT_RETURN: /* STOMP has no word for it: a topic that nobody hears is no fault */
    case EFFECT_GET_EMPTY:
        break;
    }
}

static void stomp_auth(struct session *base, bool accepted)
{
    stomp_auth_done(self(base), accepted);
}

static void stomp_tick(struct session *base)
{
    struct stomp_session *s = self(base);

    if (s->state > STOMP_READY)
        stomp_end(s);
    else if (s->state < STOMP_READY)
        stomp_fail(s, NULL, "Login timed out",
                   "A connection must be logged in within %" PRIu32 " ms", base->env->login_ms);
    else
        stomp_heart_beat_tick(s);
}

void stomp_room(struct stomp_session *s)
{
    if (s->state == STOMP_READY && !s->sending)
        core_client_room(s->s.env->core, s->client, session_room(&s->s));
}

static void stomp_drained(struct session *base)
{
    struct stomp_session *s = self(base);

    if (s->sending)
        stomp_sending_drained(s);
    else
        stomp_room(s);
}

static void shared_unref(struct session_env *env)
{
    struct stomp_shared *shared = env->stomp_shared;

    if (--shared->sessions > 0)
        return;
    buf_fini(&shared->headers);
    buf_fini(&shared->props);
    buf_fini(&shared->arguments);
    buf_fini(&shared->prefix);
    buf_fini(&shared->room);
    mem_free(shared);
    env->stomp_shared = NULL;
}

static void stomp_close(struct session **base)
{
    struct stomp_session *s;

    if (!*base)
        return;
    s = self(*base);
    stomp_end(s);
    stomp_gathering_free(s);
    stomp_routes_fini(&s->routes);
    stomp_receipts_fini(&s->receipts);
    buf_fini(&s->error);
    buf_fini(&s->s.out);
    shared_unref(s->s.env);
    mem_free(s->user);
    mem_free(s);
    *base = NULL;
}

static const struct session_ops stomp_ops = {
    .name = "stomp",
    .input = stomp_input,
    .effect = stomp_effect,
    .auth_done = stomp_auth,
    .tick = stomp_tick,
    .drained = stomp_drained,
    .close = stomp_close,
};

struct session *stomp_session_open(struct session_env *env, bool loopback)
{
    struct stomp_session *s = mem_new(struct stomp_session);

    if (!env->stomp_shared)
        env->stomp_shared = mem_new(struct stomp_shared);
    s->shared = env->stomp_shared;
    s->shared->sessions++;
    s->s.ops = &stomp_ops;
    s->s.env = env;
    s->s.id = ++env->next_session;
    s->s.port.session = &s->s;
    s->s.loopback = loopback;
    s->last_in_ms = s->last_out_ms = env->now_mono_ms;
    if (env->login_ms)
        session_wake_at(&s->s, env->now_mono_ms + env->login_ms);
    return &s->s;
}
