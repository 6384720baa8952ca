// SPDX-License-Identifier: MIT
#include <stdio.h>

#include "base/mem.h"
#include "client/client.h"

static const char *const ack_names[] = {
    [LODGE_ACK_AUTO] = "auto",
    [LODGE_ACK_CLIENT] = "client",
    [LODGE_ACK_INDIVIDUAL] = "client-individual",
};

static void subscription_free(struct subscription *s)
{
    buf_fini(&s->frame);
    mem_free(s->id);
    mem_free(s);
}

static bool options_valid(const struct lodge_subscribe_options *o)
{
    if (!o->destination || !o->destination[0] || !o->on_message || (o->id && !o->id[0]) ||
        o->ack > LODGE_ACK_INDIVIDUAL)
        return false;
    for (size_t i = 0; i < o->header_count; i++)
        if (!o->headers[i].name || !o->headers[i].name[0] || !o->headers[i].value)
            return false;
    return true;
}

static void put_headers(struct buf *out, const struct lodge_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        stomp_put_header(out, STOMP_V1_2, bytes_str(headers[i].name), bytes_str(headers[i].value));
}

static void encode(struct lodge *c, struct subscription *s, const struct lodge_subscribe_options *o)
{
    stomp_put_command(&s->frame, STOMP_CMD_SUBSCRIBE);
    stomp_put_header(&s->frame, STOMP_V1_2, BYTES("id"), bytes_str(s->id));
    stomp_put_header(&s->frame, STOMP_V1_2, BYTES("destination"),
                     client_destination(c, o->destination));
    stomp_put_header(&s->frame, STOMP_V1_2, BYTES("ack"), bytes_str(ack_names[o->ack]));
    if (o->prefetch)
        stomp_put_header_u64(&s->frame, BYTES("prefetch-count"), o->prefetch);
    put_headers(&s->frame, o->headers, o->header_count);
    buf_fmt(&s->frame, "receipt:s%llu\n", (unsigned long long)s->number);
    stomp_put_head_end(&s->frame);
    stomp_put_end(&s->frame);
}

static void ask(struct lodge *c, struct subscription *s, struct buf *out)
{
    buf_bytes(out, buf_view(&s->frame));
    s->asked = true;
    c->asked_count++;
}

uint64_t lodge_subscribe(struct lodge *c, const struct lodge_subscribe_options *options)
{
    struct subscription *s;
    char id[24];

    if (c->closing || c->state == CLIENT_OVER || !options_valid(options))
        return 0;
    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)c->subscription_next + 1);
    if (map_get(&c->subscriptions, bytes_str(options->id ? options->id : id)))
        return 0;
    s = mem_new(struct subscription);
    s->number = ++c->subscription_next;
    s->id = mem_strdup(options->id ? options->id : id);
    s->manual = options->ack != LODGE_ACK_AUTO;
    s->on_message = options->on_message;
    s->on_subscribed = options->on_subscribed;
    s->arg = options->arg;
    encode(c, s, options);
    map_put(&c->subscriptions, bytes_str(s->id), s);
    if (c->state == CLIENT_UP && !c->careful) {
        /* Not ahead of an UNSUBSCRIBE of the same id. */
        ask(c, s, send_loose_begin(c));
        send_loose_end(c);
    } else if (c->state == CLIENT_UP) {
        subscription_resubscribe(c);
    }
    return s->number;
}

static struct subscription *find(const struct lodge *c, uint64_t number)
{
    size_t at = 0;
    struct subscription *s;

    while ((s = map_next(&c->subscriptions, &at)))
        if (s->number == number)
            return s;
    return NULL;
}

static void forget(struct lodge *c, struct subscription *s)
{
    if (s->asked && !s->on)
        c->asked_count--;
    map_remove(&c->subscriptions, bytes_str(s->id));
    subscription_free(s);
}

void lodge_unsubscribe(struct lodge *c, uint64_t subscription, const struct lodge_header *headers,
                       size_t header_count)
{
    struct subscription *s = find(c, subscription);
    struct buf *out;

    if (!s)
        return;
    if (c->state == CLIENT_UP && s->asked && !c->disconnect_sent) {
        out = send_loose_begin(c);
        stomp_put_command(out, STOMP_CMD_UNSUBSCRIBE);
        stomp_put_header(out, STOMP_V1_2, BYTES("id"), bytes_str(s->id));
        put_headers(out, headers, header_count);
        stomp_put_head_end(out);
        stomp_put_end(out);
        send_loose_end(c);
    }
    forget(c, s);
}

void subscription_resubscribe(struct lodge *c)
{
    size_t at = 0;
    struct subscription *s;

    while ((s = map_next(&c->subscriptions, &at))) {
        if (s->asked)
            continue;
        if (c->careful && c->asked_count + c->outbox.in_flight > 0)
            return;
        ask(c, s, &c->link.head);
        link_flush_soon(c);
    }
}

void subscription_reset(struct lodge *c)
{
    size_t at = 0;
    struct subscription *s;

    while ((s = map_next(&c->subscriptions, &at)))
        s->asked = s->on = false;
    c->asked_count = 0;
}

void subscription_confirmed(struct lodge *c, uint64_t number)
{
    struct subscription *s = find(c, number);

    if (!s || s->on)
        return;
    s->on = true;
    c->asked_count--;
    if (s->on_subscribed)
        s->on_subscribed(s->arg, LODGE_OK, "");
}

void subscription_refused(struct lodge *c, uint64_t number, const char *reason)
{
    struct subscription *s = find(c, number);
    lodge_subscribed_fn *on_subscribed;
    void *arg;

    if (!s)
        return;
    on_subscribed = s->on_subscribed;
    arg = s->arg;
    forget(c, s);
    if (on_subscribed)
        on_subscribed(arg, LODGE_REFUSED, reason);
}

uint64_t subscription_asked(const struct lodge *c)
{
    size_t at = 0;
    const struct subscription *s;

    while ((s = map_next(&c->subscriptions, &at)))
        if (s->asked && !s->on)
            return s->number;
    return 0;
}

void subscription_free_all(struct lodge *c)
{
    size_t at = 0;
    struct subscription *s;

    while ((s = map_next(&c->subscriptions, &at))) {
        map_remove(&c->subscriptions, bytes_str(s->id));
        subscription_free(s);
    }
}
