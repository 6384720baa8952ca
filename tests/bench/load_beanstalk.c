// SPDX-License-Identifier: MIT
/* load_beanstalk.c - beanstalkd: put; reserve in batches of the prefetch, the deletes
 * of one batch ahead of the reserves of the next. */
#include "tests/bench/load.h"

enum { NO_TUBE = 0 };

static void prefix(const struct load *l, unsigned queue, struct buf *out)
{
    char name[128];

    buf_fmt(out, "use %s\r\n", load_queue_name(l, queue, name));
}

static void publish(struct conn *c, unsigned queue, uint64_t seq, struct bytes body)
{
    (void)seq; /* answers come in order */
    if (c->queue != queue + 1) {
        buf_bytes(&c->out, buf_view(&c->load->prefix[queue]));
        c->queue = queue + 1;
    }
    buf_str(&c->out, "put 1000 0 3600 ");
    buf_decimal(&c->out, body.n);
    buf_str(&c->out, "\r\n");
    buf_bytes(&c->out, body);
    buf_str(&c->out, "\r\n");
}

static void hello(struct conn *c)
{
    c->queue = NO_TUBE;
    buf_str(&c->out, "list-tube-used\r\n");
}

static void reserve_batch(struct conn *c)
{
    buf_str(&c->out, "reserve\r\n");
    for (unsigned i = 1; i < c->load->o.prefetch; i++)
        buf_str(&c->out, "reserve-with-timeout 0\r\n");
    c->left = c->load->o.prefetch;
}

static void begin(struct conn *c)
{
    const struct load_options *o = &c->load->o;
    char name[128];

    load_begun(c); /* tubes come by themselves */
    if (c->role != ROLE_SUB)
        return;
    for (unsigned q = load_queue_first(c); q < o->queues; q += load_queue_step(c))
        buf_fmt(&c->out, "watch %s\r\n", load_queue_name(c->load, q, name));
    buf_str(&c->out, "ignore default\r\n");
    reserve_batch(c);
}

static void reserved(struct conn *c)
{
    if (--c->left > 0)
        return;
    buf_bytes(&c->out, buf_view(&c->acks));
    c->acks.n = 0;
    if (!c->finishing)
        reserve_batch(c);
}

static void deleted(struct conn *c)
{
    c->asked--;
    if (c->asked == 0 && c->finishing)
        load_finished(c);
}

/* "RESERVED ID LENGTH", and the body; returns the bytes of it all, 0: not whole. */
static size_t on_reserved(struct conn *c, const uint8_t *p, size_t line, size_t n)
{
    const uint8_t *id = p + 9, *space = memchr(id, ' ', line - 9);
    uint64_t length;

    if (!space || !bytes_to_u64(bytes_of(space + 1, line - 2 - (size_t)(space + 1 - p)),
                                SIZE_MAX / 4, &length))
        load_fault(c, "", bytes_of(p, line));
    if (n < line + length + 2)
        return 0;
    load_message(c, bytes_of(p + line, (size_t)length));
    buf_str(&c->acks, "delete ");
    buf_put(&c->acks, id, (size_t)(space - id));
    buf_str(&c->acks, "\r\n");
    c->asked++;
    reserved(c);
    return line + (size_t)length + 2;
}

static size_t on_line(struct conn *c, const uint8_t *p, size_t line, size_t n)
{
    struct bytes text = bytes_of(p, line);

    if (bytes_starts(text, BYTES("RESERVED ")))
        return on_reserved(c, p, line, n);
    if (bytes_starts(text, BYTES("INSERTED ")))
        load_confirmed(c, c->low_seq);
    else if (bytes_starts(text, BYTES("DELETED")))
        deleted(c);
    else if (bytes_starts(text, BYTES("TIMED_OUT")))
        reserved(c);
    else if (!bytes_starts(text, BYTES("USING ")) && !bytes_starts(text, BYTES("WATCHING ")))
        load_fault(c, "", text);
    else if (!c->logged_in)
        load_logged_in(c);
    return line;
}

static size_t input(struct conn *c, const uint8_t *p, size_t n)
{
    const uint8_t *eol;
    size_t at = 0, used;

    while (at < n && (eol = memchr(p + at, '\n', n - at))) {
        used = on_line(c, p + at, (size_t)(eol - p) + 1 - at, n - at);
        if (used == 0)
            break;
        at += used;
    }
    return at;
}

static void settle(struct conn *c)
{
    (void)c; /* reserved() did */
}

/* What is reserved and not deleted yet waits for the end of its batch, and that for
 * messages that do not come: delete it now. */
static void finish(struct conn *c)
{
    c->finishing = true;
    buf_bytes(&c->out, buf_view(&c->acks));
    c->acks.n = 0;
    if (c->asked == 0)
        load_finished(c);
}

const struct speaker speaker_beanstalk = {
    .name = "beanstalk",
    .port = 11300,
    .prefix = prefix,
    .hello = hello,
    .begin = begin,
    .input = input,
    .publish = publish,
    .settle = settle,
    .finish = finish,
};
