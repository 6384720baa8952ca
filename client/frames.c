// SPDX-License-Identifier: MIT
#include <event2/event.h>
#include <stdio.h>

#include "client/client.h"

enum { SUSPECT_TWICE = 2, REASON_MAX = 400 };

static bool alone_in_flight(const struct lodge *c)
{
    return c->outbox.in_flight + c->asked_count == 1 && c->outbox.loose_written == 0;
}

/* A NUL behind the text, where the frame has a byte that is used up: the colon, the
 * end of the line, or what unescaping left over. */
static const char *terminated(struct lodge *c, struct bytes text)
{
    uint8_t *p = c->link.in.p + (text.p - c->link.in.p);

    p[text.n] = '\0';
    return (const char *)p;
}

static void on_connected(struct lodge *c, const struct stomp_frame *f)
{
    struct bytes version = stomp_header_find(f, BYTES("version"));
    uint32_t cx = c->options.heart_beat_send_ms, cy = c->options.heart_beat_want_ms;
    uint32_t sx, sy;

    if (!bytes_eq(version, BYTES("1.2"))) {
        client_down(c, "the server does not speak STOMP 1.2");
        return;
    }
    if (!stomp_heart_beat(stomp_header_find(f, BYTES("heart-beat")), &sx, &sy)) {
        client_down(c, "the server sent a malformed heart-beat header");
        return;
    }
    event_del(c->link.timeout_ev);
    c->link.decoder.version = STOMP_V1_2;
    link_start_beats(c, cx && sy ? (cx > sy ? cx : sy) : 0, cy && sx ? (cy > sx ? cy : sx) : 0);
    client_up(c);
}

/* In careful mode an answer lets the next frame go. */
static void go_on(struct lodge *c)
{
    if (!c->careful || c->state != CLIENT_UP)
        return;
    subscription_resubscribe(c);
    link_flush_soon(c);
}

static void on_receipt(struct lodge *c, const struct stomp_frame *f)
{
    struct bytes id = stomp_header_find(f, BYTES("receipt-id"));
    struct outbox_owner owner;
    uint64_t number;

    if (bytes_to_u64(id, UINT64_MAX, &number)) {
        if (outbox_take(&c->outbox, number, &owner) && owner.confirm)
            owner.confirm(owner.arg, LODGE_OK, "");
    } else if (bytes_eq(id, BYTES("d"))) {
        if (c->disconnect_sent)
            client_disconnected(c, LODGE_OK);
    } else if (bytes_starts(id, BYTES("s")) &&
               bytes_to_u64(bytes_from(id, 1), UINT64_MAX, &number)) {
        c->outbox.loose_written = 0;
        subscription_confirmed(c, number);
    }
    go_on(c);
}

/* Views of the frame become strings; false when it lacks what a MESSAGE must have. */
static bool read_message(struct lodge *c, const struct stomp_frame *f, struct lodge_message *m,
                         struct bytes *subscription)
{
    *m = (struct lodge_message){ .destination = "", .id = "", .ack = "" };
    *subscription = (struct bytes){ NULL, 0 };
    for (unsigned i = f->header_count; i-- > 0;) {
        const struct stomp_header *h = &f->header[i];
        const char *name = terminated(c, h->name), *value = terminated(c, h->value);

        c->header[i] = (struct lodge_header){ name, value };
        if (bytes_eq(h->name, BYTES("ack")))
            m->ack = value;
        else if (bytes_eq(h->name, BYTES("subscription")))
            *subscription = h->value;
        else if (bytes_eq(h->name, BYTES("message-id")))
            m->id = value;
        else if (bytes_eq(h->name, BYTES("destination")))
            m->destination = value;
        else if (bytes_eq(h->name, BYTES("redelivered")))
            m->redelivered = bytes_eq(h->value, BYTES("true"));
    }
    m->connection = c->connection;
    m->headers = c->header;
    m->header_count = f->header_count;
    m->body = f->body.p;
    m->body_size = f->body.n;
    return subscription->p != NULL;
}

static void on_message(struct lodge *c, const struct stomp_frame *f)
{
    struct lodge_message m;
    struct bytes id;
    const struct subscription *s;

    if (!read_message(c, f, &m, &id)) {
        client_down(c, "the server sent a MESSAGE without a subscription");
        return;
    }
    if (c->closing)
        return;
    if (bytes_eq(id, BYTES(REPLY_DESTINATION))) {
        request_replied(c, &m);
        return;
    }
    s = map_get(&c->subscriptions, id);
    if (!s)
        return;
    m.subscription = s->number;
    if (!s->manual)
        m.ack = "";
    s->on_message(s->arg, &m);
}

/* One line of what the server said: its message header and, where it says more, the
 * first line of the body.  Only printable characters, for it will be shown. */
static void read_reason(const struct stomp_frame *f, char out[REASON_MAX])
{
    struct bytes message = stomp_header_find(f, BYTES("message"));
    struct bytes body = f->body;
    const uint8_t *lf = body.n ? memchr(body.p, '\n', body.n) : NULL;
    size_t n;

    if (lf)
        body.n = (size_t)(lf - body.p);
    if (body.n > 0 && body.p[body.n - 1] == '\r')
        body.n--;
    message = bytes_head(message, REASON_MAX / 2 - 4);
    body = bytes_head(body, REASON_MAX / 2 - 4);
    if (body.n == 0 || bytes_eq(body, message))
        n = (size_t)snprintf(out, REASON_MAX, "%.*s", BYTES_FMT(message));
    else if (message.n == 0)
        n = (size_t)snprintf(out, REASON_MAX, "%.*s", BYTES_FMT(body));
    else
        n = (size_t)snprintf(out, REASON_MAX, "%.*s: %.*s", BYTES_FMT(message), BYTES_FMT(body));
    if (n == 0)
        (void)snprintf(out, REASON_MAX, "no reason given");
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
}

static void refuse(struct lodge *c, bool subscription, uint64_t number, const char *reason)
{
    struct outbox_owner owner;

    if (subscription)
        subscription_refused(c, number, reason);
    else if (outbox_take(&c->outbox, number, &owner) && owner.confirm)
        owner.confirm(owner.arg, LODGE_REFUSED, reason);
}

/* The broker did not say which frame it means: see `careful` in client.h.  One who
 * is alone in flight may still be innocent (the broker is shutting down), so only
 * the second time counts. */
static void suspect(struct lodge *c, const char *reason)
{
    bool subscription = c->asked_count == 1;
    uint64_t number = subscription ? subscription_asked(c) : c->outbox.head;

    c->careful = true;
    c->careful_until = c->outbox.tail;
    if (!alone_in_flight(c))
        return;
    if (c->suspect_count == 0 || c->suspect != number ||
        c->suspect_is_subscription != subscription) {
        c->suspect = number;
        c->suspect_is_subscription = subscription;
        c->suspect_count = 1;
    } else if (++c->suspect_count >= SUSPECT_TWICE) {
        c->suspect_count = 0;
        refuse(c, subscription, number, reason);
    }
}

static void on_error(struct lodge *c, const struct stomp_frame *f)
{
    struct bytes id = stomp_header_find(f, BYTES("receipt-id"));
    char reason[REASON_MAX], text[REASON_MAX + 64];
    uint64_t number;

    read_reason(f, reason);
    if (c->state != CLIENT_UP) {
        (void)snprintf(text, sizeof text, "the server refused the connection: %s", reason);
        client_down(c, text);
        return;
    }
    if (bytes_to_u64(id, UINT64_MAX, &number))
        refuse(c, false, number, reason);
    else if (bytes_starts(id, BYTES("s")) && bytes_to_u64(bytes_from(id, 1), UINT64_MAX, &number))
        refuse(c, true, number, reason);
    else
        suspect(c, reason);
    (void)snprintf(text, sizeof text, "the server ended the connection: %s", reason);
    client_down(c, text);
}

static void on_frame(struct lodge *c, const struct stomp_frame *f)
{
    if (f->command == STOMP_CMD_ERROR)
        on_error(c, f);
    else if (c->state == CLIENT_LOGGING_IN && f->command == STOMP_CMD_CONNECTED)
        on_connected(c, f);
    else if (c->state == CLIENT_UP && f->command == STOMP_CMD_RECEIPT)
        on_receipt(c, f);
    else if (c->state == CLIENT_UP && f->command == STOMP_CMD_MESSAGE)
        on_message(c, f);
    else
        client_down(c, "the server sent a frame out of place");
}

static bool alive(const struct lodge *c)
{
    return !c->doomed && (c->state == CLIENT_UP || c->state == CLIENT_LOGGING_IN);
}

bool frames_in(struct lodge *c)
{
    struct link *l = &c->link;
    size_t at = 0;

    for (;;) {
        struct stomp_frame f;
        size_t used;
        enum decode r = stomp_decode(&l->decoder, &c->limits, &c->scratch, l->in.p + at,
                                     l->in.n - at, &f, &used);
        at += used;
        if (r == DECODE_MORE)
            break;
        if (r == DECODE_BAD) {
            (void)snprintf(c->reason, sizeof c->reason, "the server sent a malformed frame: %s",
                           l->decoder.error);
            client_down(c, c->reason);
            return false;
        }
        on_frame(c, &f);
        if (!alive(c))
            return false;
    }
    buf_drop(&l->in, at);
    return true;
}
