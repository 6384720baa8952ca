// SPDX-License-Identifier: MIT
/* The life of an AMQP client: log-in, channels, and what it does by chance. */
#include "tests/sim/amqp_client.h"

#include <inttypes.h>

#include "base/mem.h"
#include "proto/table.h"
#include "tests/sim/trace.h"

enum { BACKLOG_MAX = 1200, UP_MAX_BYTES = 30000, HEARTBEAT_S = 2 };

void amqp_client_init(struct amqp_client *c, struct world *w, unsigned no)
{
    memset(c, 0, sizeof *c);
    c->world = w;
    c->no = no;
    c->slow = 1;
    for (uint16_t i = 0; i < AMQP_CHANNELS; i++) {
        c->chan[i].client = c;
        c->chan[i].number = (uint16_t)(1 + 3 * i); /* with holes between them */
    }
}

void amqp_chan_reset(struct amqp_chan *ch)
{
    struct amqp_chan kept = { .client = ch->client,
                              .number = ch->number,
                              .state = CHAN_CLOSED,
                              .sub = ch->sub,
                              .sub_cap = ch->sub_cap,
                              .held = ch->held,
                              .held_cap = ch->held_cap,
                              .flight = ch->flight,
                              .flight_cap = ch->flight_cap,
                              .pub = ch->pub,
                              .pub_cap = ch->pub_cap,
                              .unrouted = ch->unrouted,
                              .unrouted_cap = ch->unrouted_cap,
                              .settle = ch->settle,
                              .settle_cap = ch->settle_cap,
                              .staged = ch->staged,
                              .staged_cap = ch->staged_cap,
                              .body = ch->body,
                              .in = ch->in };

    for (size_t i = 0; i < ch->sub_count; i++)
        mem_free(ch->sub[i]);
    *ch = kept;
    ch->body.n = 0;
    ch->in.due = false;
}

void amqp_client_dropped(struct amqp_client *c)
{
    for (int i = 0; i < AMQP_CHANNELS; i++)
        amqp_chan_reset(&c->chan[i]);
    c->in.n = 0;
    c->up = c->leaving = c->failed = c->ended = c->blocked = false;
}

void amqp_client_hang_up(struct amqp_client *c)
{
    if (!c->wire)
        return;
    trace("amqp %u hangs up", c->no);
    world_hang_up(c->world, &c->wire);
    amqp_client_dropped(c);
}

static void chan_fini(struct amqp_chan *ch)
{
    mem_free(ch->sub);
    mem_free(ch->held);
    mem_free(ch->flight);
    mem_free(ch->pub);
    mem_free(ch->unrouted);
    mem_free(ch->settle);
    mem_free(ch->staged);
    buf_fini(&ch->body);
    buf_fini(&ch->in.method);
    buf_fini(&ch->in.props);
    buf_fini(&ch->in.body);
}

void amqp_client_fini(struct amqp_client *c)
{
    amqp_client_hang_up(c);
    amqp_client_dropped(c);
    for (int i = 0; i < AMQP_CHANNELS; i++)
        chan_fini(&c->chan[i]);
    buf_fini(&c->in);
}

/* ---- frames ---- */

void amqp_say(struct amqp_client *c, uint16_t channel, const struct amqp_args *args)
{
    amqp_put_method(&c->wire->up, channel, args);
}

void amqp_ask(struct amqp_chan *ch, const struct amqp_args *args, uint32_t reply)
{
    trace("amqp %u.%u asks %s", ch->client->no, ch->number, amqp_method_name(args->id));
    amqp_say(ch->client, ch->number, args);
    ch->waiting = reply;
    ch->asked = ++ch->client->requests;
    ch->settle_mark = ch->settle_count;
    ch->wild_ending = true;
    ch->ending = ch->skipped;
    for (size_t i = 0; i < ch->sub_count; i++)
        ch->sub[i]->ending = ch->sub[i]->cancelled;
}

void amqp_arrived(struct amqp_chan *ch, size_t answers)
{
    /* A word of a process that has died tells nothing of the next. */
    for (size_t i = 0; i < answers && ch->client->boot == ch->client->world->boot; i++)
        oracle_done(&ch->client->world->oracle, &ch->settle[i]);
    ch->settle_count -= answers;
    if (ch->settle_count > 0)
        memmove(ch->settle, ch->settle + answers, ch->settle_count * sizeof *ch->settle);
    ch->settle_mark = 0;
}

void amqp_client_beat(struct amqp_client *c)
{
    if (c->wire && c->up && c->beats && !c->wire->cut)
        amqp_put_heartbeat(&c->wire->up);
}

/* ---- log-in ---- */

static void say_start_ok(struct amqp_client *c)
{
    struct buf t = { 0 };

    table_put_str(&t, BYTES("product"), c->of_channel ? BYTES("py-amqp") : BYTES("model"));
    size_t mark = table_begin(&t, BYTES("capabilities"), 'F');
    table_put_bool(&t, BYTES("connection.blocked"), true);
    table_put_bool(&t, BYTES("consumer_cancel_notify"), true);
    table_end(&t, mark);
    amqp_say(c, 0,
             &(struct amqp_args){ .id = AMQP_connection_start_ok,
                                  .connection_start_ok = { .client_properties = buf_view(&t),
                                                           .mechanism = BYTES("PLAIN"),
                                                           .response = BYTES("\0guest\0guest"),
                                                           .locale = BYTES("en_US") } });
    buf_fini(&t);
}

static void say_tune_ok_and_open(struct amqp_client *c, uint32_t offered)
{
    uint32_t frame_max = rng_one_in(&c->world->rng, 2) ? AMQP_FRAME_MIN_BYTES : offered;

    c->frame_bytes = frame_max;
    if (frame_max == c->world->env.amqp.frame_bytes && rng_one_in(&c->world->rng, 2))
        frame_max = 0; /* no limit of its own */
    amqp_say(
        c, 0,
        &(struct amqp_args){ .id = AMQP_connection_tune_ok,
                             .connection_tune_ok = { .frame_max = frame_max,
                                                     .heartbeat = c->beats ? HEARTBEAT_S : 0 } });
    amqp_say(c, 0,
             &(struct amqp_args){ .id = AMQP_connection_open,
                                  .connection_open = { .virtual_host = BYTES("/") } });
}

void amqp_login_step(struct amqp_client *c, const struct amqp_args *came)
{
    SIM_CHECK(!c->up, "amqp %u: %s when it was up", c->no, amqp_method_name(came->id));
    if (came->id == AMQP_connection_open_ok)
        c->up = true;
    else if (came->id == AMQP_connection_start && !c->pipelines)
        say_start_ok(c);
    else if (came->id == AMQP_connection_tune && !c->pipelines)
        say_tune_ok_and_open(c, came->connection_tune.frame_max);
}

static void connect(struct amqp_client *c)
{
    struct rng *r = &c->world->rng;

    amqp_client_dropped(c);
    c->beats = rng_one_in(r, 4);
    c->of_channel = rng_one_in(r, 4);
    c->pipelines = rng_one_in(r, 2);
    trace("amqp %u connects%s%s", c->no, c->beats ? ", beats" : "",
          c->of_channel ? ", qos of the channel" : "");
    c->wire = world_connect(c->world, c, rng_one_in(r, 2) ? amqp_session_open : detect_session_open,
                            amqp_client_handed);
    c->connected_ms = c->world->now_ms;
    c->boot = c->world->boot;
    buf_put(&c->wire->up, amqp_protocol, AMQP_PROTOCOL_BYTES);
    if (!c->pipelines)
        return;
    say_start_ok(c);
    say_tune_ok_and_open(c, AMQP_FRAME_MIN_BYTES);
}

/* ---- channels ---- */

static void open_channel(struct amqp_chan *ch)
{
    amqp_ask(ch, &(struct amqp_args){ .id = AMQP_channel_open }, AMQP_channel_open_ok);
    ch->state = CHAN_OPENING;
    ch->sender = ++ch->client->world->connections;
}

void amqp_chan_select(struct amqp_chan *ch)
{
    struct rng *r = &ch->client->world->rng;
    bool nowait = rng_one_in(r, 3);

    ch->state = CHAN_OPEN;
    switch (rng_below(r, 5)) {
    case 0:
        return;
    case 1:
    case 2:
        ch->mode = MODE_TX;
        amqp_ask(ch, &(struct amqp_args){ .id = AMQP_tx_select }, AMQP_tx_select_ok);
        amqp_tx_open(ch);
        return;
    default:
        ch->mode = MODE_CONFIRM;
        break;
    }
    struct amqp_args select = { .id = AMQP_confirm_select, .confirm_select = { nowait, 0 } };
    if (nowait)
        amqp_say(ch->client, ch->number, &select);
    else
        amqp_ask(ch, &select, AMQP_confirm_select_ok);
}

static void close_channel(struct amqp_chan *ch)
{
    uint32_t due = ch->waiting;

    if (ch->body_at < ch->body.n) /* only content may follow */
        return;
    amqp_ask(ch,
             &(struct amqp_args){
                 .id = AMQP_channel_close,
                 .channel_close = { .reply_code = 200, .reply_text = BYTES("enough") } },
             AMQP_channel_close_ok);
    ch->state = CHAN_CLOSING;
    ch->crossed = due;
}

/* A declaration of what is there already, whose reply waits for the disk. */
static void declare_again(struct amqp_chan *ch)
{
    amqp_ask(ch,
             &(struct amqp_args){ .id = AMQP_queue_declare,
                                  .queue_declare = { .queue = BYTES("plain"), .durable = true } },
             AMQP_queue_declare_ok);
}

static void flow(struct amqp_chan *ch)
{
    bool on = ch->flow_off;

    amqp_ask(ch, &(struct amqp_args){ .id = AMQP_channel_flow, .channel_flow = { .active = on } },
             AMQP_channel_flow_ok);
    ch->flow_off = false;
    ch->asked_qos = on;
}

static void close_connection(struct amqp_client *c)
{
    trace("amqp %u closes its connection", c->no);
    amqp_say(c, 0,
             &(struct amqp_args){
                 .id = AMQP_connection_close,
                 .connection_close = { .reply_code = 200, .reply_text = BYTES("bye") } });
    c->leaving = true;
}

/* ---- by chance ---- */

static void ask_some(struct amqp_chan *ch, uint32_t what)
{
    if (ch->waiting)
        return;
    if (what < 8)
        amqp_tx_some(ch);
    else if (what < 15)
        amqp_consume_some(ch);
    else if (what < 24)
        amqp_get_some(ch);
    else if (what < 26)
        amqp_qos_some(ch);
    else if (what < 27)
        amqp_recover(ch);
    else if (what < 29)
        declare_again(ch);
    else if (ch->flow_off || rng_one_in(&ch->client->world->rng, 4))
        flow(ch);
}

static void act_on_channel(struct amqp_chan *ch)
{
    struct rng *r = &ch->client->world->rng;
    uint32_t what = rng_below(r, 200);

    if (ch->body_at < ch->body.n)
        amqp_write_body(ch, 1 + rng_below(r, 20));
    else if (what < 80 && world_stats(ch->client->world).ready <= BACKLOG_MAX)
        amqp_publish_some(ch);
    else if (what < 155)
        amqp_answer_some(ch);
    else if (what < 185)
        ask_some(ch, what - 155);
    else if (what < 188)
        amqp_cancel_some(ch);
    else if (what == 188)
        amqp_answer_all(ch);
    else if (what == 189 && rng_one_in(r, 3))
        close_channel(ch);
}

static void act_when_up(struct amqp_client *c)
{
    struct rng *r = &c->world->rng;
    struct amqp_chan *ch = &c->chan[rng_below(r, AMQP_CHANNELS)];

    if (rng_one_in(r, 800))
        close_connection(c);
    else if (rng_one_in(r, 800))
        amqp_client_hang_up(c);
    else if (ch->state == CHAN_OPEN)
        act_on_channel(ch);
    else if (ch->state == CHAN_CLOSED && rng_one_in(r, 3))
        open_channel(ch);
}

void amqp_client_act(struct amqp_client *c)
{
    struct rng *r = &c->world->rng;

    if (!c->wire)
        connect(c);
    else if (c->up && !c->leaving && !c->failed && !c->wire->cut && c->wire->up.n < UP_MAX_BYTES)
        act_when_up(c);
    else if ((c->leaving || c->failed) && rng_one_in(r, 200))
        amqp_client_hang_up(c); /* does not wait for the rest */
}

/* ---- at rest ---- */

void amqp_client_flush(struct amqp_client *c)
{
    for (int i = 0; c->wire && !c->wire->cut && !c->leaving && !c->failed && i < AMQP_CHANNELS; i++)
        amqp_write_body(&c->chan[i], UINT32_MAX);
}

/* Both sides have the same idea of what is unacked. */
static void check_unacked(const struct amqp_chan *ch)
{
    uint64_t oldest = ch->held_count ? ch->held[0].tag : 0;
    uint64_t known = ch->inside ? core_unacked_oldest(ch->client->world->env.core, ch->inside) : 0;

    for (size_t i = 0; i < ch->held_count; i++)
        if (ch->held[i].doubtful)
            return;
    SIM_CHECK(known == oldest, "amqp %u.%u: %" PRIu64 " is unacked, and not %" PRIu64,
              ch->client->no, ch->number, known, oldest);
}

static void check_chan_quiet(const struct amqp_chan *ch)
{
    SIM_CHECK(ch->waiting == 0, "amqp %u.%u: %s never came", ch->client->no, ch->number,
              amqp_method_name(ch->waiting));
    SIM_CHECK(ch->mode != MODE_CONFIRM || ch->pub_count == 0,
              "amqp %u.%u: publish %" PRIu64 " was never confirmed", ch->client->no, ch->number,
              ch->pub[0].tag);
    SIM_CHECK(ch->flight_count == 0 && !ch->skipped, "amqp %u.%u: delivery %" PRIu64 " never came",
              ch->client->no, ch->number, ch->flight_count ? ch->flight[0].tag : 0);
    if (ch->state == CHAN_OPEN)
        check_unacked(ch);
}

void amqp_client_check_quiet(const struct amqp_client *c)
{
    for (int i = 0; c->up && i < AMQP_CHANNELS; i++)
        check_chan_quiet(&c->chan[i]);
    SIM_CHECK(!c->wire || !c->leaving, "amqp %u: its connection does not end", c->no);
    SIM_CHECK(!c->up || !c->beats || c->world->now_ms - c->heard_ms < 2 * HEARTBEAT_S * 1000,
              "amqp %u has heard nothing since %" PRIu64 " ms", c->no,
              c->world->now_ms - c->heard_ms);
}
