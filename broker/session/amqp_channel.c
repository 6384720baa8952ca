// SPDX-License-Identifier: MIT
/* Channels: opened, closed, and each method handed to its function. */
#include "broker/session/amqp_session.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"

struct amqp_channel amqp_gone;

struct amqp_channel *amqp_channel_find(struct amqp_session *s, uint16_t number)
{
    struct amqp_channel *ch = number < s->channel_cap ? s->channel[number] : NULL;

    return ch && ch != &amqp_gone && ch->state == AMQP_CHANNEL_OPEN ? ch : NULL;
}

/* ---- life ---- */

static void place_channel(struct amqp_session *s, uint16_t number, struct amqp_channel *ch)
{
    size_t cap = s->channel_cap, was = cap;

    if (number >= cap) {
        s->channel = mem_grow(s->channel, &cap, (size_t)number + 1, sizeof *s->channel);
        memset(s->channel + was, 0, (cap - was) * sizeof *s->channel);
        s->channel_cap = (uint32_t)cap;
    }
    s->channel[number] = ch;
}

static void channel_open(struct amqp_session *s, uint16_t number)
{
    struct amqp_channel *ch = mem_new(struct amqp_channel);

    ch->port.session = &s->s;
    ch->conn = s;
    ch->number = number;
    ch->client = core_client_join(s->s.env->core, s->client, &ch->port);
    place_channel(s, number, ch);
    s->channels_open++;
    amqp_put_id(ch, AMQP_channel_open_ok);
}

/* What the core knows of it goes: its consumers end, what is unacked goes back. */
static void channel_end(struct amqp_channel *ch)
{
    if (ch->client == 0)
        return;
    if (ch->consumers.count > 0)
        ch->conn->channels_consuming--;
    amqp_incoming_free(ch);
    amqp_sending_free(ch);
    core_tx_abort(&ch->tx);
    core_client_close(ch->conn->s.env->core, ch->client, ch->conn->s.env->now_ms);
    ch->client = 0;
    amqp_consumers_free(ch);
    buf_fini(&ch->last_queue);
    buf_fini(&ch->get_queue);
    buf_fini(&ch->reply_queue);
}

static void channel_free(struct amqp_channel *ch)
{
    channel_end(ch);
    ch->conn->channels_open--;
    ch->conn->channel[ch->number] = &amqp_gone;
    mem_free(ch);
}

void amqp_channels_free(struct amqp_session *s)
{
    for (uint32_t i = 0; i < s->channel_cap; i++)
        if (s->channel[i] && s->channel[i] != &amqp_gone)
            channel_free(s->channel[i]);
}

/* Of a body on its way the rest cannot come any more once the channel closes: the
 * client reads to where it stops, which only the end of the connection tells. */
static bool within_body(const struct amqp_channel *ch)
{
    return ch->sending && ch->sending->next > 0;
}

void amqp_channel_fail(struct amqp_channel *ch, enum amqp_reply code, uint32_t method,
                       const char *fmt, ...)
{
    struct amqp_session *s = ch->conn;
    char detail[512];
    va_list ap;

    if (ch->state != AMQP_CHANNEL_OPEN || s->state != AMQP_STATE_RUNNING)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    if (amqp_reply_is_hard(code) || within_body(ch)) {
        amqp_fail(s, code, method, "%s", detail);
        return;
    }
    amqp_log_fault(s, "amqp.channel_refused", detail);
    amqp_sending_skip(ch);
    channel_end(ch);
    ch->state = AMQP_CHANNEL_CLOSING;
    amqp_put(ch,
             &(struct amqp_args){ .id = AMQP_channel_close,
                                  .channel_close = { .reply_code = (uint16_t)code,
                                                     .reply_text = amqp_reply_text(s, code, detail),
                                                     .class_id = (uint16_t)(method >> 16),
                                                     .method_id = (uint16_t)method } });
}

/* ---- credit ---- */

static size_t room_each(const struct amqp_session *s)
{
    enum { LEAST_BYTES = 4096 };
    size_t room = session_room(&s->s);

    if (room == 0 || s->channels_consuming <= 1)
        return room;
    size_t each = room / s->channels_consuming;
    return each > LEAST_BYTES ? each : LEAST_BYTES;
}

void amqp_room(struct amqp_channel *ch)
{
    if (ch->client && !ch->sending && !ch->flow_off)
        core_client_room(ch->conn->s.env->core, ch->client, room_each(ch->conn));
}

void amqp_room_all(struct amqp_session *s)
{
    for (uint32_t i = 0; i < s->channel_cap; i++) {
        struct amqp_channel *ch = amqp_channel_find(s, (uint16_t)i);

        if (!ch)
            continue;
        if (ch->sending)
            amqp_sending_drained(ch);
        else if (ch->consumers.count > 0)
            amqp_room(ch);
    }
}

/* ---- consumer time-out ---- */

/* Tags rise, so when the oldest unacked one is what it was a time-out ago, it has been
 * out for that long at least. */
void amqp_channel_tick(struct amqp_channel *ch)
{
    const struct session_env *env = ch->conn->s.env;
    uint64_t oldest = core_unacked_oldest(env->core, ch->client);

    if (oldest == 0 || oldest != ch->oldest_tag) {
        ch->oldest_tag = oldest;
        ch->oldest_seen_ms = env->now_mono_ms;
        return;
    }
    if (env->now_mono_ms - ch->oldest_seen_ms >= env->amqp.consumer_timeout_ms)
        amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, 0,
                          "delivery acknowledgement on channel %u timed out. Timeout value used: "
                          "%" PRIu64 " ms",
                          ch->number, env->amqp.consumer_timeout_ms);
}

/* ---- methods of the channel itself ---- */

static void on_close(struct amqp_channel *ch, const struct amqp_args *args)
{
    struct amqp_session *s = ch->conn;
    uint16_t number = ch->number;

    (void)args;
    if (within_body(ch)) { /* close-ok would stand in the middle of a message */
        amqp_fail(s, AMQP_CHANNEL_ERROR, args->id, "channel closed while a message was being sent");
        return;
    }
    amqp_sending_skip(ch);
    channel_free(ch);
    amqp_put_method(&s->s.out, number, &(struct amqp_args){ .id = AMQP_channel_close_ok });
    s->s.env->count.frames_out++;
    s->last_out_ms = s->s.env->now_mono_ms;
}

static void on_flow(struct amqp_channel *ch, const struct amqp_args *args)
{
    ch->flow_off = !args->channel_flow.active;
    if (ch->flow_off)
        core_client_room(ch->conn->s.env->core, ch->client, 0);
    else
        amqp_room(ch);
    amqp_put(ch, &(struct amqp_args){ .id = AMQP_channel_flow_ok,
                                      .channel_flow_ok = { args->channel_flow.active, 0 } });
}

/* Realms are long gone; old clients still ask for a ticket. */
static void on_access_request(struct amqp_channel *ch, const struct amqp_args *args)
{
    (void)args;
    amqp_put(ch, &(struct amqp_args){ .id = AMQP_access_request_ok,
                                      .access_request_ok = { .ticket = 1 } });
}

static amqp_method_fn *handler_of(uint32_t id)
{
    switch (id) {
#define ROW(method, run) \
    case AMQP_##method:  \
        return run;
        ROW(channel_close, on_close)
        ROW(channel_flow, on_flow)
        ROW(access_request, on_access_request)
        ROW(exchange_declare, amqp_on_exchange_declare)
        ROW(exchange_delete, amqp_on_exchange_delete)
        ROW(exchange_bind, amqp_on_exchange_bind)
        ROW(exchange_unbind, amqp_on_exchange_unbind)
        ROW(queue_declare, amqp_on_queue_declare)
        ROW(queue_bind, amqp_on_queue_bind)
        ROW(queue_unbind, amqp_on_queue_unbind)
        ROW(queue_purge, amqp_on_queue_purge)
        ROW(queue_delete, amqp_on_queue_delete)
        ROW(basic_qos, amqp_on_qos)
        ROW(basic_consume, amqp_on_consume)
        ROW(basic_cancel, amqp_on_cancel)
        ROW(basic_publish, amqp_on_publish)
        ROW(basic_get, amqp_on_get)
        ROW(basic_ack, amqp_on_ack)
        ROW(basic_reject, amqp_on_reject)
        ROW(basic_nack, amqp_on_nack)
    case AMQP_basic_recover_async:
        ROW(basic_recover, amqp_on_recover)
        ROW(confirm_select, amqp_on_confirm_select)
        ROW(tx_select, amqp_on_tx_select)
        ROW(tx_commit, amqp_on_tx_commit)
        ROW(tx_rollback, amqp_on_tx_rollback)
#undef ROW
    default:
        return NULL;
    }
}

/* ---- dispatch ---- */

static bool is_settling(uint32_t id)
{
    return id == AMQP_basic_ack || id == AMQP_basic_nack || id == AMQP_basic_reject;
}

/* No channel of that number is open. */
static void on_no_channel(struct amqp_session *s, uint16_t number, const struct amqp_args *args)
{
    struct amqp_channel *at = number < s->channel_cap ? s->channel[number] : NULL;
    const char *name = amqp_method_name(args->id);

    if (args->id == AMQP_channel_open && number <= s->channel_max)
        channel_open(s, number);
    else if (args->id == AMQP_channel_open)
        amqp_fail(s, AMQP_NOT_ALLOWED, args->id, "channel %u is above the channel_max of %u",
                  number, s->channel_max);
    else if (args->id == AMQP_channel_close_ok && at)
        return;
    else if (!at || !is_settling(args->id)) /* acks may cross the end of their channel */
        amqp_fail(s, AMQP_CHANNEL_ERROR, args->id, "%s on channel %u, which is not open",
                  name ? name : "?", number);
}

/* channel.close was sent: all but its answer is passed over [1.5.2.5]. */
static void on_closing(struct amqp_channel *ch, const struct amqp_args *args)
{
    struct amqp_session *s = ch->conn;
    uint16_t number = ch->number;

    if (args->id != AMQP_channel_close && args->id != AMQP_channel_close_ok)
        return;
    channel_free(ch);
    if (args->id == AMQP_channel_close)
        amqp_put_method(&s->s.out, number, &(struct amqp_args){ .id = AMQP_channel_close_ok });
}

/* The disk is full, and nothing else would tell this publisher that its message is
 * refused: it is not read on until there is room. */
static bool must_hold(struct amqp_channel *ch, const struct amqp_args *args)
{
    struct amqp_session *s = ch->conn;

    if (args->id != AMQP_basic_publish || ch->confirming || ch->transactional ||
        core_pressure(s->s.env->core) != CORE_PRESSURE_DISK)
        return false;
    s->held = s->s.paused = true;
    amqp_block(s);
    return true;
}

static size_t run_method(struct amqp_channel *ch, const struct amqp_args *args, struct bytes rest)
{
    amqp_method_fn *run = handler_of(args->id);
    const char *name = amqp_method_name(args->id);

    if (ch->incoming) {
        amqp_fail(ch->conn, AMQP_UNEXPECTED_FRAME, args->id,
                  "%s where the content of a message was due", name);
        return 0;
    }
    if (must_hold(ch, args))
        return SIZE_MAX;
    if (args->id == AMQP_basic_publish) {
        size_t used = amqp_publish_whole(ch, args, rest);
        if (used > 0)
            return used;
    }
    if (run)
        run(ch, args);
    else if (args->id == AMQP_channel_open)
        amqp_fail(ch->conn, AMQP_CHANNEL_ERROR, args->id, "second channel.open on channel %u",
                  ch->number);
    else
        amqp_fail(ch->conn, AMQP_COMMAND_INVALID, args->id, "%s is not for a client to send", name);
    return 0;
}

size_t amqp_on_channel_method(struct amqp_session *s, const struct amqp_frame *f, struct bytes rest)
{
    struct amqp_channel *ch = f->channel < s->channel_cap ? s->channel[f->channel] : NULL;
    struct amqp_args args = { 0 };
    enum amqp_reply code;
    const char *why;

    s->s.env->count.frames_in++;
    if (amqp_method_decode(f->payload, &args, &code, &why) != DECODE_OK)
        amqp_fail(s, code, args.id, "%s", why);
    else if (args.id >> 16 == AMQP_connection_start >> 16)
        amqp_fail(s, AMQP_COMMAND_INVALID, args.id, "%s is for channel 0",
                  amqp_method_name(args.id));
    else if (!ch || ch == &amqp_gone)
        on_no_channel(s, f->channel, &args);
    else if (ch->state == AMQP_CHANNEL_CLOSING)
        on_closing(ch, &args);
    else
        return run_method(ch, &args, rest);
    return 0;
}

void amqp_on_channel_content(struct amqp_session *s, const struct amqp_frame *f)
{
    struct amqp_channel *ch = f->channel < s->channel_cap ? s->channel[f->channel] : NULL;

    if (ch && (ch == &amqp_gone || ch->state == AMQP_CHANNEL_CLOSING))
        return; /* of a publish that crossed the close */
    if (!ch || !ch->incoming || ch->incoming->has_header != (f->type == AMQP_FRAME_BODY))
        amqp_fail(s, AMQP_UNEXPECTED_FRAME, 0, "a content %s on channel %u where none was due",
                  f->type == AMQP_FRAME_HEADER ? "header" : "body", f->channel);
    else if (f->type == AMQP_FRAME_HEADER)
        amqp_on_content_header(ch, f->payload);
    else
        amqp_on_content_body(ch, f->payload);
}
