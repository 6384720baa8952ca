// SPDX-License-Identifier: MIT
#include "client/client.h"

#include <event2/event.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/mem.h"
#include "client/url.h"

enum {
    DEFAULT_PORT = 61613,
    HEAD_BYTES_MAX = 256 << 10,
    STOOD_MS = 1000 /* a connection that stood so long starts the back-off anew */
};

uint64_t client_now_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

void lodge_options_init(struct lodge_options *options)
{
    *options = (struct lodge_options){
        .host = "127.0.0.1",
        .port = DEFAULT_PORT,
        .login = "guest",
        .passcode = "guest",
        .vhost = "/",
        .heart_beat_send_ms = 10000,
        .heart_beat_want_ms = 10000,
        .connect_timeout_ms = 10000,
        .backoff_min_ms = 100,
        .backoff_max_ms = 30000,
        .unconfirmed_max = 10000,
        .unconfirmed_max_bytes = 64U << 20,
        .body_max_bytes = 256U << 20,
    };
}

/* What the server text names, or else the field, or else the fallback. */
static char *chosen(char *named, const char *field, const char *fallback)
{
    if (named)
        return named;
    if (!field)
        field = fallback;
    return field ? mem_strdup(field) : NULL;
}

static void owned_fini(struct owned_texts *t)
{
    mem_free(t->host);
    mem_free(t->login);
    mem_free(t->passcode);
    mem_free(t->vhost);
}

static bool options_copy(struct lodge *c, const struct lodge_options *from)
{
    struct lodge_options *to = &c->options;
    struct url url = { 0 };

    if (from->backoff_min_ms == 0 || from->backoff_max_ms < from->backoff_min_ms ||
        from->unconfirmed_max == 0 || from->connect_timeout_ms == 0 ||
        (from->server && !url_parse(from->server, &url)))
        return false;
    c->owned = (struct owned_texts){
        .host = chosen(url.host, from->host, "127.0.0.1"),
        .login = chosen(url.login, from->login, NULL),
        .passcode = chosen(url.passcode, from->passcode, NULL),
        .vhost = chosen(NULL, from->vhost, "/"),
    };
    *to = *from;
    to->server = NULL;
    to->host = c->owned.host;
    to->login = c->owned.login;
    to->passcode = c->owned.passcode;
    to->vhost = c->owned.vhost;
    if (url.port)
        to->port = url.port;
    return true;
}

static void arm(struct event *ev, uint64_t ms)
{
    struct timeval tv = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };

    (void)event_add(ev, &tv);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct lodge *c = arg;

    (void)fd;
    (void)what;
    client_enter(c);
    link_attempt(c);
    client_leave(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct lodge *c = arg;

    (void)fd;
    (void)what;
    client_enter(c);
    request_on_deadline(c);
    client_leave(c);
}

static void on_close_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct lodge *c = arg;

    (void)fd;
    (void)what;
    client_enter(c);
    client_disconnected(c, c->state == CLIENT_OVER ? LODGE_OK : LODGE_TIMEOUT);
    client_leave(c);
}

struct lodge *lodge_new(struct event_base *base, const struct lodge_options *options)
{
    struct lodge *c = mem_new(struct lodge);

    if (!options_copy(c, options)) {
        mem_free(c);
        return NULL;
    }
    c->base = base;
    c->limits = (struct stomp_limits){ HEAD_BYTES_MAX, STOMP_HEADERS_MAX, c->options.body_max_bytes,
                                       SIZE_MAX };
    c->backoff = (struct backoff){ c->options.backoff_min_ms, c->options.backoff_max_ms, 0 };
    if (getrandom(&c->random, sizeof c->random, GRND_NONBLOCK) != sizeof c->random)
        c->random = (uint32_t)clock_monotonic_ns();
    c->random |= 1;
    outbox_init(&c->outbox);
    c->retry_ev = event_new(base, -1, 0, on_retry, c);
    c->deadline_ev = event_new(base, -1, 0, on_deadline, c);
    c->close_ev = event_new(base, -1, 0, on_close_timeout, c);
    link_init(c);
    arm(c->retry_ev, 0);
    return c;
}

bool lodge_is_connected(const struct lodge *c)
{
    return c->state == CLIENT_UP;
}

size_t lodge_unconfirmed(const struct lodge *c)
{
    return c->outbox.unconfirmed;
}

static void destroy(struct lodge *c)
{
    link_fini(c);
    outbox_fini(&c->outbox);
    event_free(c->retry_ev);
    event_free(c->deadline_ev);
    event_free(c->close_ev);
    map_fini(&c->subscriptions);
    map_fini(&c->requests);
    heap_fini(&c->deadlines);
    buf_fini(&c->name);
    owned_fini(&c->owned);
    mem_free(c);
}

void client_enter(struct lodge *c)
{
    c->depth++;
}

void client_leave(struct lodge *c)
{
    if (--c->depth == 0 && c->doomed)
        destroy(c);
}

/* Nothing will be sent any more: tells everyone who waits. */
static void lose_everything(struct lodge *c)
{
    struct outbox_owner owner;

    c->state = CLIENT_OVER;
    link_close(c);
    event_del(c->retry_ev);
    outbox_rewind(&c->outbox);
    while (outbox_take_any(&c->outbox, &owner))
        if (owner.confirm)
            owner.confirm(owner.arg, LODGE_LOST, "");
    request_free_all(c);
}

void lodge_free(struct lodge *c)
{
    if (!c || c->doomed)
        return;
    client_enter(c);
    c->doomed = true;
    c->closing = true;
    c->on_closed = NULL;
    lose_everything(c);
    subscription_free_all(c);
    client_leave(c);
}

/* xorshift32: spreads clients in time, no secret. */
static uint32_t next_random(struct lodge *c)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 17;
    c->random ^= c->random << 5;
    return c->random;
}

static void tell(struct lodge *c, enum lodge_event event, const char *text, uint32_t wait_ms)
{
    if (c->options.on_event && !c->doomed)
        c->options.on_event(c->options.arg, event, text, wait_ms);
}

static void lose_what_a_break_ends(struct lodge *c)
{
    struct outbox_owner owner;

    while (outbox_take_once(&c->outbox, &owner))
        if (owner.confirm)
            owner.confirm(owner.arg, LODGE_LOST, "the connection was lost");
    request_connection_lost(c);
}

void client_down(struct lodge *c, const char *why)
{
    char text[sizeof c->reason];
    uint32_t wait_ms;

    (void)snprintf(text, sizeof text, "%s", why);
    if (c->state == CLIENT_OVER)
        return;
    if (c->state == CLIENT_UP && client_now_ms() - c->up_since_ms >= STOOD_MS)
        backoff_reset(&c->backoff);
    c->state = CLIENT_WAITING;
    link_close(c);
    outbox_rewind(&c->outbox);
    subscription_reset(c);
    lose_what_a_break_ends(c);
    if (c->doomed)
        return;
    if (c->disconnect_sent) {
        client_disconnected(c, LODGE_LOST);
        return;
    }
    wait_ms = backoff_next(&c->backoff, next_random(c));
    if (c->options.attempts_max && c->backoff.attempts >= c->options.attempts_max) {
        lose_everything(c);
        tell(c, LODGE_GAVE_UP, text, 0);
        client_settle(c);
        return;
    }
    arm(c->retry_ev, wait_ms);
    tell(c, LODGE_RETRYING, text, wait_ms);
    client_settle(c);
}

void client_up(struct lodge *c)
{
    char text[300];

    c->state = CLIENT_UP;
    c->connection++;
    c->up_since_ms = client_now_ms();
    subscription_resubscribe(c);
    link_flush_soon(c);
    (void)snprintf(text, sizeof text, "%.255s:%u", c->options.host, (unsigned)c->options.port);
    tell(c, LODGE_CONNECTED, text, 0);
    client_settle(c);
}

static bool has_room_again(const struct lodge *c)
{
    return c->outbox.unconfirmed <= c->options.unconfirmed_max / 2 &&
           c->outbox.unconfirmed_bytes <= c->options.unconfirmed_max_bytes / 2;
}

static void send_disconnect(struct lodge *c)
{
    struct buf *out = send_loose_begin(c);

    c->disconnect_sent = true;
    stomp_put_command(out, STOMP_CMD_DISCONNECT);
    buf_str(out, "receipt:d\n");
    stomp_put_head_end(out);
    stomp_put_end(out);
    send_loose_end(c);
}

/* Without a connection there is nobody to take leave of. */
static void close_unconnected(struct lodge *c)
{
    c->state = CLIENT_OVER;
    event_del(c->retry_ev);
    link_close(c);
    arm(c->close_ev, 0);
}

void client_settle(struct lodge *c)
{
    if (c->doomed)
        return;
    if (c->closing) {
        if (c->outbox.unconfirmed > 0 || c->disconnect_sent)
            return;
        if (c->state == CLIENT_UP)
            send_disconnect(c);
        else
            close_unconnected(c);
        return;
    }
    if (c->was_full && has_room_again(c) && c->state != CLIENT_OVER) {
        c->was_full = false;
        if (c->options.on_drained)
            c->options.on_drained(c->options.arg);
    }
}

/* The end of lodge_close. */
void client_disconnected(struct lodge *c, enum lodge_status status)
{
    lodge_closed_fn *on_closed = c->on_closed;

    c->on_closed = NULL;
    event_del(c->close_ev);
    lose_everything(c);
    if (on_closed && !c->doomed)
        on_closed(c->closed_arg, status);
}

void lodge_close(struct lodge *c, uint32_t timeout_ms, lodge_closed_fn *on_closed, void *arg)
{
    if (c->closing)
        return;
    c->closing = true;
    c->on_closed = on_closed;
    c->closed_arg = arg;
    arm(c->close_ev, timeout_ms);
    client_settle(c);
}

const char *lodge_version(void)
{
    return LODGE_VERSION;
}

const char *lodge_status_text(enum lodge_status status)
{
    switch (status) {
    case LODGE_OK:
        return "done";
    case LODGE_FULL:
        return "too much is unconfirmed";
    case LODGE_INVALID:
        return "cannot be sent";
    case LODGE_CLOSED:
        return "the client is closed";
    case LODGE_REFUSED:
        return "refused";
    case LODGE_LOST:
        return "lost";
    case LODGE_TIMEOUT:
        return "timed out";
    }
    return "unknown";
}
