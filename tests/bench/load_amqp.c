// SPDX-License-Identifier: MIT
/* load_amqp.c - AMQP 0-9-1: durable queues, persistent messages through the default
 * exchange with publisher confirms; basic.consume with a prefetch, acknowledging what one
 * read brought with one basic.ack.  The broker's codec: a fault of that one shows against
 * other brokers. */
#include <errno.h>

#include "proto/amqp.h"
#include "proto/props.h"
#include "proto/table.h"
#include "tests/bench/load.h"

enum { CHANNEL = 1, FRAME_MAX_BYTES = 128 * 1024 };

/* What comes next on the channel. */
enum step { STEP_METHOD, STEP_HEADER, STEP_BODY };

#define PUT(c, channel, method, ...)               \
    amqp_put_method(&(c)->out, (channel),          \
                    &(struct amqp_args){           \
                        .id = AMQP_##method,       \
                        .method = { __VA_ARGS__ }, \
                    })

/* ---- publishing ---- */

/* All but the body: its size is the same for each. */
static void prefix(const struct load *l, unsigned queue, struct buf *out)
{
    char name[128];
    struct amqp_args args = { .id = AMQP_basic_publish };
    struct props p = { .flags = PROPS_delivery_mode, .delivery_mode = 2 };
    struct buf props = { 0 };

    args.basic_publish.routing_key = bytes_str(load_queue_name(l, queue, name));
    amqp_put_method(out, CHANNEL, &args);
    props_encode(&props, &p);
    amqp_put_content_header(out, CHANNEL, l->o.size, buf_view(&props));
    buf_fini(&props);
}

static void publish(struct conn *c, unsigned queue, uint64_t seq, struct bytes body)
{
    (void)seq; /* the server counts too, from 1 */
    buf_bytes(&c->out, buf_view(&c->load->prefix[queue]));
    amqp_put_body(&c->out, CHANNEL, c->frame_max, body);
}

/* What a cumulative ack covers and is confirmed already is not reported again; its own
 * message must have waited. */
static void on_ack(struct conn *c, const struct amqp_basic_ack *ack)
{
    uint64_t seq = ack->delivery_tag - 1;

    while (ack->multiple && c->low_seq < seq)
        load_confirmed(c, c->low_seq);
    load_confirmed(c, seq);
}

/* ---- logging in ---- */

static void hello(struct conn *c)
{
    c->frame_max = FRAME_MAX_BYTES;
    buf_put(&c->out, amqp_protocol, sizeof amqp_protocol);
}

static void start_ok(struct conn *c)
{
    PUT(c, 0, connection_start_ok, .mechanism = BYTES("PLAIN"), .response = BYTES("\0guest\0guest"),
        .locale = BYTES("en_US"));
}

/* Without heartbeats: a server may stand still for as long as others are measured. */
static void on_tune(struct conn *c, const struct amqp_connection_tune *tune)
{
    if (tune->frame_max > 0 && tune->frame_max < c->frame_max)
        c->frame_max = tune->frame_max;
    PUT(c, 0, connection_tune_ok, .channel_max = tune->channel_max, .frame_max = c->frame_max);
    PUT(c, 0, connection_open, .virtual_host = BYTES("/"));
}

static void on_channel(struct conn *c)
{
    if (c->role == ROLE_PUB)
        PUT(c, CHANNEL, confirm_select, .nowait = false);
    else
        load_logged_in(c);
}

/* ---- declaring and subscribing ---- */

static void put_arguments(const struct load_options *o, struct buf *table)
{
    for (unsigned i = 0; i < o->queue_args; i++) {
        const char *equals = strchr(o->queue_arg[i], '=');
        struct bytes name = bytes_of(o->queue_arg[i], (size_t)(equals - o->queue_arg[i]));
        uint64_t v;

        if (bytes_to_u64(bytes_str(equals + 1), INT64_MAX, &v))
            table_put_int(table, name, (int64_t)v);
        else
            table_put_str(table, name, bytes_str(equals + 1));
    }
}

static void declare(struct conn *c, unsigned queue)
{
    char name[128];
    struct buf table = { 0 };

    put_arguments(&c->load->o, &table);
    PUT(c, CHANNEL, queue_declare, .queue = bytes_str(load_queue_name(c->load, queue, name)),
        .durable = true, .arguments = buf_view(&table));
    buf_fini(&table);
    c->asked++;
}

static struct bytes consumer_tag(unsigned queue, char out[16])
{
    (void)snprintf(out, 16, "%u", queue);
    return bytes_str(out);
}

static void consume(struct conn *c, unsigned queue)
{
    char name[128], tag[16];

    PUT(c, CHANNEL, basic_consume, .queue = bytes_str(load_queue_name(c->load, queue, name)),
        .consumer_tag = consumer_tag(queue, tag));
    c->asked++;
}

static void begin(struct conn *c)
{
    const struct load_options *o = &c->load->o;

    if (o->prefetch > UINT16_MAX) {
        errno = ERANGE;
        load_die("--prefetch");
    }
    if (c->role == ROLE_SUB)
        PUT(c, CHANNEL, basic_qos, .prefetch_count = (uint16_t)o->prefetch);
    for (unsigned q = load_queue_first(c); q < o->queues; q += load_queue_step(c)) {
        if (c->role == ROLE_SUB)
            consume(c, q);
        else
            declare(c, q);
    }
}

/* Nothing answers an ack.  RabbitMQ's channel keeps acks of a quorum queue back while 32
 * commands to it are under way, and forgets them when it ends: the queue answers the cancel
 * behind those that were sent, then the get behind the rest.  (It answers a passive
 * declare before them.) */
static void finish(struct conn *c)
{
    char tag[16];

    c->finishing = true;
    for (unsigned q = load_queue_first(c); q < c->load->o.queues; q += load_queue_step(c)) {
        PUT(c, CHANNEL, basic_cancel, .consumer_tag = consumer_tag(q, tag));
        c->asked++;
    }
}

static void get(struct conn *c)
{
    char name[128];

    c->cancelled = true;
    for (unsigned q = load_queue_first(c); q < c->load->o.queues; q += load_queue_step(c)) {
        PUT(c, CHANNEL, basic_get, .queue = bytes_str(load_queue_name(c->load, q, name)));
        c->asked++;
    }
}

static void answered(struct conn *c)
{
    c->asked--;
    if (c->asked > 0)
        return;
    if (!c->finishing)
        load_begun(c);
    else if (!c->cancelled)
        get(c);
    else
        load_finished(c);
}

/* ---- consuming ---- */

static void settle(struct conn *c)
{
    if (c->unacked_tag == 0)
        return;
    PUT(c, CHANNEL, basic_ack, .delivery_tag = c->unacked_tag, .multiple = !c->load->o.ack_each);
    c->unacked_tag = 0;
}

static void on_deliver(struct conn *c, const struct amqp_basic_deliver *deliver)
{
    c->tag = deliver->delivery_tag;
    c->step = STEP_HEADER;
}

static void on_get_ok(struct conn *c)
{
    c->step = STEP_HEADER;
    answered(c);
}

static void on_delivered(struct conn *c, struct bytes body)
{
    c->step = STEP_METHOD;
    if (c->finishing) /* the server takes it back */
        return;
    load_message(c, body);
    c->unacked_tag = c->tag;
    if (c->load->o.ack_each)
        settle(c);
}

static void on_header(struct conn *c, struct bytes payload)
{
    struct amqp_content content;
    const char *why;

    if (c->step != STEP_HEADER)
        load_fault(c, "a content header that belongs to nothing", BYTES(""));
    if (amqp_content_decode(payload, &content, &why) != DECODE_OK)
        load_fault(c, why, BYTES(""));
    c->left = content.body_size;
    c->body.n = 0;
    c->step = STEP_BODY;
    if (c->left == 0)
        on_delivered(c, BYTES(""));
}

static void on_body(struct conn *c, struct bytes part)
{
    if (c->step != STEP_BODY || part.n > c->left)
        load_fault(c, "more body than was announced", BYTES(""));
    c->left -= part.n;
    if (c->left == 0 && c->body.n == 0) {
        on_delivered(c, part);
        return;
    }
    buf_bytes(&c->body, part);
    if (c->left == 0)
        on_delivered(c, buf_view(&c->body));
}

/* ---- what comes ---- */

static void on_login(struct conn *c, const struct amqp_args *a)
{
    switch (a->id) {
    case AMQP_connection_start:
        start_ok(c);
        break;
    case AMQP_connection_tune:
        on_tune(c, &a->connection_tune);
        break;
    case AMQP_connection_open_ok:
        PUT(c, CHANNEL, channel_open, ._1 = BYTES(""));
        break;
    case AMQP_channel_open_ok:
        on_channel(c);
        break;
    case AMQP_confirm_select_ok:
        load_logged_in(c);
        break;
    default:
        load_fault(c, "not expected:", bytes_str(amqp_method_name(a->id)));
    }
}

static void on_method(struct conn *c, const struct amqp_args *a)
{
    switch (a->id) {
    case AMQP_basic_deliver:
        on_deliver(c, &a->basic_deliver);
        break;
    case AMQP_basic_ack:
        on_ack(c, &a->basic_ack);
        break;
    case AMQP_queue_declare_ok:
    case AMQP_basic_consume_ok:
    case AMQP_basic_cancel_ok:
    case AMQP_basic_get_empty:
        answered(c);
        break;
    case AMQP_basic_get_ok:
        on_get_ok(c);
        break;
    case AMQP_basic_qos_ok:
        break;
    case AMQP_basic_nack:
        load_fault(c, "basic.nack: a publish was refused", BYTES(""));
    case AMQP_channel_close:
        load_fault(c, "channel.close:", a->channel_close.reply_text);
    case AMQP_connection_close:
        load_fault(c, "connection.close:", a->connection_close.reply_text);
    default:
        on_login(c, a);
    }
}

static void on_frame(struct conn *c, const struct amqp_frame *f)
{
    struct amqp_args args;
    enum amqp_reply code;
    const char *why;

    if (f->type == AMQP_FRAME_HEADER)
        on_header(c, f->payload);
    else if (f->type == AMQP_FRAME_BODY)
        on_body(c, f->payload);
    if (f->type != AMQP_FRAME_METHOD)
        return;
    if (amqp_method_decode(f->payload, &args, &code, &why) != DECODE_OK)
        load_fault(c, why, BYTES(""));
    if (f->channel == CHANNEL && c->step != STEP_METHOD)
        load_fault(c, "a method within a content:", bytes_str(amqp_method_name(args.id)));
    on_method(c, &args);
}

static size_t input(struct conn *c, const uint8_t *p, size_t n)
{
    struct amqp_frame f;
    const char *why;
    size_t at = 0, used;

    while (at < n) {
        enum decode d = amqp_frame_decode(bytes_of(p + at, n - at), c->frame_max, &f, &used, &why);

        if (d == DECODE_BAD)
            load_fault(c, why, BYTES(""));
        if (d == DECODE_MORE)
            break;
        on_frame(c, &f);
        at += used;
    }
    return at;
}

const struct speaker speaker_amqp = {
    .name = "amqp",
    .port = 5672,
    .prefix = prefix,
    .hello = hello,
    .begin = begin,
    .input = input,
    .publish = publish,
    .settle = settle,
    .finish = finish,
};
