// SPDX-License-Identifier: MIT
/* load_stomp.c - STOMP 1.2: persistent SEND with a receipt on each; SUBSCRIBE with
 * ack:client, acknowledging what one read brought with one ACK a subscription, or
 * ack:client-individual.  Not the broker's codec, so that a fault of that one shows. */
#include "tests/bench/load.h"

struct frame {
    struct bytes command, body;
    struct bytes receipt, ack, subscription, length, message; /* headers */
};

static void put_nul(struct buf *out)
{
    buf_u8(out, 0);
}

static void prefix(const struct load *l, unsigned queue, struct buf *out)
{
    char name[128];

    buf_fmt(out, "SEND\ndestination:/queue/%s\npersistent:true\ncontent-length:%zu\nreceipt:",
            load_queue_name(l, queue, name), l->o.size);
}

static void publish(struct conn *c, unsigned queue, uint64_t seq, struct bytes body)
{
    buf_bytes(&c->out, buf_view(&c->load->prefix[queue]));
    buf_decimal(&c->out, seq);
    buf_put(&c->out, "\n\n", 2);
    buf_bytes(&c->out, body);
    put_nul(&c->out);
}

static void hello(struct conn *c)
{
    buf_str(&c->out, "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n"
                     "heart-beat:0,0\n\n");
    put_nul(&c->out);
}

static void subscribe(struct conn *c, unsigned queue)
{
    const struct load_options *o = &c->load->o;
    char name[128];

    buf_fmt(&c->out, "SUBSCRIBE\nid:%u\ndestination:/queue/%s\nack:%s\nprefetch-count:%u\n", queue,
            load_queue_name(c->load, queue, name), o->ack_each ? "client-individual" : "client",
            o->prefetch);
}

/* A queue is there once somebody subscribed to it, and stays. */
static void begin(struct conn *c)
{
    unsigned queues = c->load->o.queues, step = load_queue_step(c);

    for (unsigned q = load_queue_first(c); q < queues; q += step) {
        const char *receipt = q + step < queues ? "" : "receipt:begun\n";

        subscribe(c, q);
        if (c->role == ROLE_SETUP) {
            buf_str(&c->out, "\n");
            put_nul(&c->out);
            buf_fmt(&c->out, "UNSUBSCRIBE\nid:%u\n", q);
        }
        buf_fmt(&c->out, "%s\n", receipt);
        put_nul(&c->out);
    }
}

static void finish(struct conn *c)
{
    unsigned queues = c->load->o.queues, step = load_queue_step(c);

    c->finishing = true;
    for (unsigned q = load_queue_first(c); q < queues; q += step) {
        buf_fmt(&c->out, "UNSUBSCRIBE\nid:%u\n%s\n", q,
                q + step < queues ? "" : "receipt:finished\n");
        put_nul(&c->out);
    }
}

static void put_ack(struct conn *c)
{
    buf_put(&c->out, "ACK\nid:", 7);
    buf_bytes(&c->out, buf_view(&c->acks));
    buf_put(&c->out, "\n\n", 3); /* with its NUL */
    c->acks.n = 0;
}

static void settle(struct conn *c)
{
    if (c->acks.n > 0)
        put_ack(c);
}

static void on_message(struct conn *c, const struct frame *f)
{
    uint64_t subscription = 0;

    if (c->role != ROLE_SUB || c->finishing) /* the server takes it back */
        return;
    (void)bytes_to_u64(f->subscription, UINT32_MAX, &subscription);
    if (c->acks.n > 0 && (c->load->o.ack_each || c->queue != subscription))
        put_ack(c);
    load_message(c, f->body);
    c->queue = (unsigned)subscription;
    c->acks.n = 0;
    buf_bytes(&c->acks, f->ack);
}

static void on_receipt(struct conn *c, const struct frame *f)
{
    uint64_t seq;

    if (bytes_eq(f->receipt, BYTES("begun")))
        load_begun(c);
    else if (bytes_eq(f->receipt, BYTES("finished")))
        load_finished(c);
    else if (bytes_to_u64(f->receipt, UINT64_MAX, &seq))
        load_confirmed(c, seq);
    else
        load_fault(c, "a receipt that nobody asked for:", f->receipt);
}

/* RabbitMQ answers with it when a delivery crosses the UNSUBSCRIBE; the acks came before. */
static bool is_crossing(const struct conn *c, const struct frame *f)
{
    return c->finishing && bytes_eq(f->message, BYTES("Subscription not found"));
}

static void on_frame(struct conn *c, const struct frame *f)
{
    if (bytes_eq(f->command, BYTES("MESSAGE")))
        on_message(c, f);
    else if (bytes_eq(f->command, BYTES("RECEIPT")))
        on_receipt(c, f);
    else if (bytes_eq(f->command, BYTES("CONNECTED")))
        load_logged_in(c);
    else if (is_crossing(c, f))
        load_finished(c);
    else
        load_fault(c, "ERROR:", f->message);
}

static void take(struct bytes line, struct bytes name, struct bytes *to)
{
    if (bytes_starts(line, name) && line.n > name.n && line.p[name.n] == ':')
        *to = bytes_from(line, name.n + 1);
}

static void on_header(struct frame *f, struct bytes line)
{
    switch (line.p[0]) {
    case 'r':
        take(line, BYTES("receipt-id"), &f->receipt);
        break;
    case 'a':
        take(line, BYTES("ack"), &f->ack);
        break;
    case 's':
        take(line, BYTES("subscription"), &f->subscription);
        break;
    case 'c':
        take(line, BYTES("content-length"), &f->length);
        break;
    case 'm':
        take(line, BYTES("message"), &f->message);
        break;
    }
}

/* The length of the head, 0 when its end is not there. */
static size_t read_head(const uint8_t *p, size_t n, struct frame *f)
{
    const uint8_t *at = p, *eol;

    while ((eol = memchr(at, '\n', n - (size_t)(at - p)))) {
        struct bytes line = { at, (size_t)(eol - at) };

        at = eol + 1;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n == 0)
            return (size_t)(at - p);
        if (f->command.n == 0)
            f->command = line;
        else
            on_header(f, line);
    }
    return 0;
}

static bool read_body(const uint8_t *p, size_t n, struct frame *f)
{
    uint64_t length;
    const uint8_t *nul;

    if (bytes_to_u64(f->length, SIZE_MAX / 2, &length)) {
        f->body = bytes_of(p, (size_t)length);
        return n > length;
    }
    nul = memchr(p, 0, n);
    f->body = bytes_of(p, nul ? (size_t)(nul - p) : 0);
    return nul;
}

static size_t input(struct conn *c, const uint8_t *p, size_t n)
{
    size_t at = 0;

    while (at < n) {
        struct frame f = { 0 };

        if (p[at] == '\n' || p[at] == '\r') {
            at++;
            continue;
        }
        size_t head = read_head(p + at, n - at, &f);
        if (head == 0 || !read_body(p + at + head, n - at - head, &f))
            break;
        on_frame(c, &f);
        at += head + f.body.n + 1;
    }
    return at;
}

const struct speaker speaker_stomp = {
    .name = "stomp",
    .port = 61613,
    .prefix = prefix,
    .hello = hello,
    .begin = begin,
    .input = input,
    .publish = publish,
    .settle = settle,
    .finish = finish,
};
