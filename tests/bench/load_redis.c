// SPDX-License-Identifier: MIT
/* load_redis.c - Redis Streams: XADD, and a consumer group read with XREADGROUP;
 * each batch's XACK goes out with the next XREADGROUP.  The streams are not trimmed.
 *
 * Replies are read token by token as they come: a batch may be longer than what one
 * read brings. */
#include <time.h>

#include "tests/bench/load.h"

enum { LOADING_NS = 2000000 };

/* Where in a reply to XREADGROUP the next token stands:
 * [[key, [[id, [field, body]] ...]] ...] */
enum step {
    STEP_TOP,
    STEP_STREAM,
    STEP_KEY,
    STEP_ENTRIES,
    STEP_ENTRY,
    STEP_ID,
    STEP_FIELDS,
    STEP_FIELD,
    STEP_BODY
};

struct token {
    char kind; /* RESP's: + - : $ * */
    bool nil;
    uint64_t number;   /* of ':' and '*' */
    struct bytes text; /* of the others */
};

static void put_bulk(struct buf *out, struct bytes v)
{
    buf_u8(out, '$');
    buf_decimal(out, v.n);
    buf_put(out, "\r\n", 2);
    buf_bytes(out, v);
    buf_put(out, "\r\n", 2);
}

static void put_text(struct buf *out, const char *s)
{
    put_bulk(out, bytes_str(s));
}

static void put_count(struct buf *out, uint64_t n)
{
    buf_u8(out, '*');
    buf_decimal(out, n);
    buf_put(out, "\r\n", 2);
}

static void prefix(const struct load *l, unsigned queue, struct buf *out)
{
    char name[128];

    put_count(out, 5);
    put_text(out, "XADD");
    put_text(out, load_queue_name(l, queue, name));
    put_text(out, "*");
    put_text(out, "d");
}

static void publish(struct conn *c, unsigned queue, uint64_t seq, struct bytes body)
{
    (void)seq; /* answers come in order */
    buf_bytes(&c->out, buf_view(&c->load->prefix[queue]));
    put_bulk(&c->out, body);
}

static void hello(struct conn *c)
{
    put_count(&c->out, 1);
    put_text(&c->out, "PING");
}

static void make_groups(struct conn *c)
{
    char name[128];

    for (unsigned q = 0; q < c->load->o.queues; q++) {
        put_count(&c->out, 6);
        put_text(&c->out, "XGROUP");
        put_text(&c->out, "CREATE");
        put_text(&c->out, load_queue_name(c->load, q, name));
        put_text(&c->out, "bench");
        put_text(&c->out, "0");
        put_text(&c->out, "MKSTREAM");
        c->asked++;
    }
}

static void read_group(struct conn *c)
{
    const struct load_options *o = &c->load->o;
    unsigned first = load_queue_first(c), step = load_queue_step(c);
    unsigned queues = (o->queues - first + step - 1) / step;
    char text[128];

    put_count(&c->out, 9 + 2 * (uint64_t)queues);
    put_text(&c->out, "XREADGROUP");
    put_text(&c->out, "GROUP");
    put_text(&c->out, "bench");
    (void)snprintf(text, sizeof text, "c%u", c->index);
    put_text(&c->out, text);
    put_text(&c->out, "COUNT");
    (void)snprintf(text, sizeof text, "%u", o->prefetch);
    put_text(&c->out, text);
    put_text(&c->out, "BLOCK");
    put_text(&c->out, "0");
    put_text(&c->out, "STREAMS");
    for (unsigned q = first; q < o->queues; q += step)
        put_text(&c->out, load_queue_name(c->load, q, text));
    for (unsigned i = 0; i < queues; i++)
        put_text(&c->out, ">");
}

static void begin(struct conn *c)
{
    if (c->role == ROLE_SETUP) {
        make_groups(c);
        return;
    }
    read_group(c);
    load_begun(c);
}

static void answered(struct conn *c)
{
    c->asked--;
    if (c->asked > 0)
        return;
    if (c->role == ROLE_SETUP)
        load_begun(c);
    else if (c->finishing)
        load_finished(c);
}

/* A reply that is no batch. */
static void on_answer(struct conn *c, const struct token *t)
{
    if (bytes_starts(t->text, BYTES("LOADING"))) { /* it starts: ask again */
        (void)nanosleep(&(struct timespec){ .tv_nsec = LOADING_NS }, NULL);
        hello(c);
        return;
    }
    if (t->kind == '-' && !bytes_starts(t->text, BYTES("BUSYGROUP")))
        load_fault(c, "", t->text);
    if (!c->logged_in)
        load_logged_in(c);
    else if (c->role == ROLE_PUB)
        load_confirmed(c, c->low_seq);
    else
        answered(c);
}

static void on_entries(struct conn *c, uint64_t count)
{
    c->left = count;
    put_count(&c->out, count + 3);
    put_text(&c->out, "XACK");
    buf_bytes(&c->out, buf_view(&c->acks)); /* the key */
    put_text(&c->out, "bench");
    c->asked++;
}

static void on_body(struct conn *c, struct bytes body)
{
    load_message(c, body);
    c->step = STEP_ENTRY;
    if (--c->left > 0)
        return;
    c->step = STEP_STREAM;
    if (--c->queue > 0) /* streams of this reply */
        return;
    c->step = STEP_TOP;
    if (!c->finishing && !load_has_all(c->load)) /* what is read is owned, unseen or not */
        read_group(c);
}

static void on_token(struct conn *c, const struct token *t)
{
    enum step at = (enum step)c->step;

    c->step = at + 1;
    switch (at) {
    case STEP_TOP:
        if (t->kind != '*' || t->nil) {
            c->step = STEP_TOP;
            on_answer(c, t);
        }
        c->queue = (unsigned)t->number;
        break;
    case STEP_KEY:
        c->acks.n = 0;
        put_bulk(&c->acks, t->text);
        break;
    case STEP_ENTRIES:
        on_entries(c, t->number);
        break;
    case STEP_ID:
        put_bulk(&c->out, t->text);
        break;
    case STEP_BODY:
        on_body(c, t->text);
        break;
    case STEP_STREAM:
    case STEP_ENTRY:
    case STEP_FIELDS:
    case STEP_FIELD:
        break;
    }
}

/* The bytes of the token at the front, 0 when it is not whole. */
static size_t read_token(struct conn *c, const uint8_t *p, size_t n, struct token *t)
{
    const uint8_t *eol = memchr(p, '\n', n);

    if (!eol)
        return 0;
    size_t line = (size_t)(eol - p) + 1;
    t->kind = (char)p[0];
    t->text = bytes_of(p + 1, line > 3 ? line - 3 : 0);
    t->nil = t->text.n > 0 && t->text.p[0] == '-';
    if (t->kind == '+' || t->kind == '-' || t->nil)
        return line;
    if (!bytes_to_u64(t->text, SIZE_MAX / 4, &t->number))
        load_fault(c, "not RESP:", t->text);
    if (t->kind != '$')
        return line;
    t->text = bytes_of(p + line, (size_t)t->number);
    return n >= line + t->number + 2 ? line + (size_t)t->number + 2 : 0;
}

static size_t input(struct conn *c, const uint8_t *p, size_t n)
{
    size_t at = 0;

    while (at < n) {
        struct token t = { 0 };
        size_t used = read_token(c, p + at, n - at, &t);

        if (used == 0)
            break;
        on_token(c, &t);
        at += used;
    }
    return at;
}

static void settle(struct conn *c)
{
    (void)c; /* on_entries did */
}

static void finish(struct conn *c)
{
    c->finishing = true;
    if (c->asked == 0)
        load_finished(c);
}

const struct speaker speaker_redis = {
    .name = "redis",
    .port = 6379,
    .prefix = prefix,
    .hello = hello,
    .begin = begin,
    .input = input,
    .publish = publish,
    .settle = settle,
    .finish = finish,
};
