// SPDX-License-Identifier: MIT
/* What an AMQP client reads, frame by frame. */
#include <inttypes.h>

#include "tests/sim/amqp_client.h"
#include "tests/sim/trace.h"

static void on_close(struct amqp_client *c, const struct amqp_connection_close *a)
{
    c->failed = true;
    amqp_check_close(c, NULL,
                     &(struct amqp_channel_close){ .reply_code = a->reply_code,
                                                   .reply_text = a->reply_text,
                                                   .class_id = a->class_id,
                                                   .method_id = a->method_id });
    amqp_say(c, 0, &(struct amqp_args){ .id = AMQP_connection_close_ok });
}

static void on_close_ok(struct amqp_client *c)
{
    SIM_CHECK(c->leaving, "amqp %u: close-ok for nothing", c->no);
    if (c->failed) { /* the two have crossed, and ours was not read in time */
        c->ended = true;
        return;
    }
    trace("amqp %u reads close-ok", c->no);
    for (int i = 0; i < AMQP_CHANNELS; i++)
        amqp_arrived(&c->chan[i], c->chan[i].settle_count);
    c->ended = true;
}

static void on_blocked(struct amqp_client *c, bool blocked)
{
    SIM_CHECK(c->blocked != blocked, "amqp %u: told twice that it is %sblocked", c->no,
              blocked ? "" : "un");
    c->blocked = blocked;
}

static void on_connection(struct amqp_client *c, const struct amqp_args *args)
{
    switch (args->id) {
    case AMQP_connection_close:
        on_close(c, &args->connection_close);
        break;
    case AMQP_connection_close_ok:
        on_close_ok(c);
        break;
    case AMQP_connection_blocked:
    case AMQP_connection_unblocked:
        on_blocked(c, args->id == AMQP_connection_blocked);
        break;
    case AMQP_connection_start:
    case AMQP_connection_tune:
    case AMQP_connection_open_ok:
        amqp_login_step(c, args);
        break;
    default:
        sim_fail("amqp %u: the broker sent %s", c->no, amqp_method_name(args->id));
    }
}

static struct amqp_chan *channel_of(struct amqp_client *c, uint16_t number)
{
    for (int i = 0; i < AMQP_CHANNELS; i++)
        if (c->chan[i].number == number)
            return &c->chan[i];
    sim_fail("amqp %u: a frame on channel %u", c->no, number);
}

static void on_frame(struct amqp_client *c, const struct amqp_frame *f)
{
    struct amqp_args args;
    enum amqp_reply code;
    const char *why = NULL;

    SIM_CHECK(!c->ended && (!c->failed || (c->leaving && f->channel == 0)),
              "amqp %u: a frame after the end", c->no);
    if (f->type == AMQP_FRAME_HEARTBEAT) {
        SIM_CHECK(c->beats, "amqp %u: a heartbeat that it did not ask for", c->no);
        return;
    }
    c->frames++;
    if (f->type != AMQP_FRAME_METHOD) {
        amqp_content_frame(channel_of(c, f->channel), f);
        return;
    }
    SIM_CHECK(amqp_method_decode(f->payload, &args, &code, &why) == DECODE_OK, "amqp %u: %s", c->no,
              why);
    if (f->channel == 0)
        on_connection(c, &args);
    else
        amqp_chan_method(channel_of(c, f->channel), &args, f->payload);
}

static void decode(struct amqp_client *c)
{
    uint32_t limit = c->up ? c->frame_bytes : c->world->env.amqp.frame_bytes;
    enum decode r = DECODE_OK;
    size_t at = 0;

    while (r == DECODE_OK) {
        struct amqp_frame f;
        size_t used = 0;
        const char *why = NULL;

        r = amqp_frame_decode(bytes_from(buf_view(&c->in), at), limit, &f, &used, &why);
        SIM_CHECK(r != DECODE_BAD, "amqp %u: %s", c->no, why);
        if (r != DECODE_OK)
            break;
        at += used;
        on_frame(c, &f);
    }
    buf_drop(&c->in, at);
}

void amqp_client_read(struct amqp_client *c, size_t n)
{
    struct wire *w = c->wire;

    if (!w)
        return;
    if (n > w->down.n)
        n = w->down.n;
    buf_put(&c->in, w->down.p, n);
    buf_drop(&w->down, n);
    if (n > 0) {
        c->heard_ms = c->world->now_ms;
        decode(c);
    }
    if (!w->cut || w->down.n > 0)
        return;
    trace("amqp %u sees the end of its connection", c->no);
    bool late = !c->up && c->world->now_ms - c->connected_ms >= c->world->env.login_ms;
    SIM_CHECK(w->died || late || c->failed || c->ended || c->beats,
              "amqp %u: its connection ended without a word", c->no);
    world_hang_up(c->world, &c->wire);
    amqp_client_dropped(c);
}
