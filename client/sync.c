// SPDX-License-Identifier: MIT
/* The blocking interface: a loop of its own, turned until the answer is there. */
#include <event2/event.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/list.h"
#include "base/mem.h"
#include "client/lodge.h"

struct lodge_sync {
    struct event_base *base;
    struct lodge *c;
    struct event *timeout_ev;
    struct list received;      /* struct received */
    struct list subscriptions; /* struct sync_subscription */
    bool timed_out, gave_up, connected, has_message;
    char error[512];
};

struct received {
    struct list link;
    struct lodge_message *m;
};

/* Lives as long as the client: it is confirmed anew after each break. */
struct sync_subscription {
    struct list link;
    struct lodge_sync *s;
    struct wait *wait; /* of lodge_sync_subscribe, at first */
};

/* What a call waits for.  It outlives the call when that timed out, until the answer
 * comes after all. */
struct wait {
    struct lodge_sync *s;
    bool done, abandoned;
    enum lodge_status status;
    struct lodge_message *reply;
};

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct lodge_sync *s = arg;

    (void)fd;
    (void)what;
    s->timed_out = true;
}

/* Turns the loop until *done; false when `timeout_ms` went by first. */
static bool turn_until(struct lodge_sync *s, const bool *done, uint32_t timeout_ms)
{
    struct timeval tv = { (time_t)(timeout_ms / 1000), (suseconds_t)(timeout_ms % 1000 * 1000) };

    s->timed_out = false;
    if (!*done)
        (void)event_add(s->timeout_ev, &tv);
    while (!*done && !s->timed_out && !s->gave_up)
        if (event_base_loop(s->base, EVLOOP_ONCE) != 0)
            break;
    event_del(s->timeout_ev);
    return *done;
}

static void set_error(struct lodge_sync *s, const char *text)
{
    (void)snprintf(s->error, sizeof s->error, "%s", text);
}

static void on_event(void *arg, enum lodge_event event, const char *text, uint32_t wait_ms)
{
    struct lodge_sync *s = arg;

    (void)wait_ms;
    s->connected = event == LODGE_CONNECTED;
    s->gave_up = event == LODGE_GAVE_UP;
    set_error(s, s->connected ? "" : text);
}

static void sync_free(struct lodge_sync *s)
{
    struct list *node;

    lodge_free(s->c);
    while ((node = list_pop(&s->received))) {
        struct received *r = container_of(node, struct received, link);

        lodge_message_free(r->m);
        mem_free(r);
    }
    while ((node = list_pop(&s->subscriptions))) {
        struct sync_subscription *sub = container_of(node, struct sync_subscription, link);

        mem_free(sub->wait);
        mem_free(sub);
    }
    if (s->timeout_ev)
        event_free(s->timeout_ev);
    if (s->base)
        event_base_free(s->base);
    mem_free(s);
}

struct lodge_sync *lodge_sync_open(const struct lodge_options *options, uint32_t timeout_ms,
                                   char *error, size_t error_size)
{
    struct lodge_sync *s = mem_new(struct lodge_sync);
    struct lodge_options o = *options;

    list_init(&s->received);
    list_init(&s->subscriptions);
    s->base = event_base_new();
    o.on_event = on_event;
    o.on_drained = NULL;
    o.arg = s;
    if (s->base) {
        s->timeout_ev = event_new(s->base, -1, 0, on_timeout, s);
        s->c = lodge_new(s->base, &o);
    }
    if (!s->c)
        set_error(s, "the options cannot be understood");
    else if (turn_until(s, &s->connected, timeout_ms))
        return s;
    else if (!s->error[0])
        set_error(s, "no connection in time");
    if (error && error_size)
        (void)snprintf(error, error_size, "%s", s->error);
    sync_free(s);
    return NULL;
}

const char *lodge_sync_error(const struct lodge_sync *s)
{
    return s->error;
}

static struct wait *wait_new(struct lodge_sync *s)
{
    struct wait *w = mem_new(struct wait);

    w->s = s;
    s->error[0] = '\0';
    return w;
}

static void wait_over(struct wait *w, enum lodge_status status, const char *reason)
{
    if (w->abandoned) {
        mem_free(w);
        return;
    }
    w->done = true;
    w->status = status;
    if (status != LODGE_OK)
        set_error(w->s, reason[0] ? reason : lodge_status_text(status));
}

static void on_confirm(void *arg, enum lodge_status status, const char *reason)
{
    wait_over(arg, status, reason);
}

static void on_reply(void *arg, enum lodge_status status, const struct lodge_message *reply,
                     const char *reason)
{
    struct wait *w = arg;

    if (reply && !w->abandoned)
        w->reply = lodge_message_copy(reply);
    wait_over(w, status, reason);
}

/* Ends a wait: its status, or TIMEOUT while the answer may still come. */
static enum lodge_status wait_for(struct lodge_sync *s, struct wait *w, uint32_t timeout_ms)
{
    enum lodge_status status;

    if (!turn_until(s, &w->done, timeout_ms)) {
        w->abandoned = true;
        if (!s->error[0])
            set_error(s, "no answer in time");
        return LODGE_TIMEOUT;
    }
    status = w->status;
    mem_free(w);
    return status;
}

static enum lodge_status not_taken(struct lodge_sync *s, struct wait *w, enum lodge_status status)
{
    mem_free(w);
    set_error(s, lodge_status_text(status));
    return status;
}

enum lodge_status lodge_sync_send(struct lodge_sync *s, const struct lodge_outgoing *m,
                                  uint32_t timeout_ms)
{
    struct wait *w = wait_new(s);
    enum lodge_status status = lodge_send(s->c, m, on_confirm, w);

    return status == LODGE_OK ? wait_for(s, w, timeout_ms) : not_taken(s, w, status);
}

enum lodge_status lodge_sync_request(struct lodge_sync *s, const struct lodge_outgoing *m,
                                     uint32_t timeout_ms, struct lodge_message **reply_out)
{
    struct wait *w = wait_new(s);
    enum lodge_status status = lodge_request(s->c, m, timeout_ms, on_reply, w);

    *reply_out = NULL;
    if (status != LODGE_OK)
        return not_taken(s, w, status);
    /* The request has the same time-out, which is therefore the one that ends it. */
    bool over = turn_until(s, &w->done, timeout_ms + 1000);

    if (over)
        *reply_out = w->reply;
    else
        w->abandoned = true;
    status = over ? w->status : LODGE_TIMEOUT;
    if (over)
        mem_free(w);
    return status;
}

static void on_message(void *arg, const struct lodge_message *m)
{
    const struct sync_subscription *sub = arg;
    struct received *r = mem_new(struct received);

    r->m = lodge_message_copy(m);
    list_push_back(&sub->s->received, &r->link);
    sub->s->has_message = true;
}

static void on_subscribed(void *arg, enum lodge_status status, const char *reason)
{
    struct sync_subscription *sub = arg;
    struct wait *w = sub->wait;

    sub->wait = NULL;
    if (w)
        wait_over(w, status, reason);
    else if (status != LODGE_OK)
        set_error(sub->s, reason);
}

enum lodge_status lodge_sync_subscribe(struct lodge_sync *s,
                                       const struct lodge_subscribe_options *options,
                                       uint32_t timeout_ms)
{
    struct lodge_subscribe_options o = *options;
    struct sync_subscription *sub = mem_new(struct sync_subscription);

    sub->s = s;
    sub->wait = wait_new(s);
    o.on_message = on_message;
    o.on_subscribed = on_subscribed;
    o.arg = sub;
    list_push_back(&s->subscriptions, &sub->link);
    if (lodge_subscribe(s->c, &o) == 0) {
        struct wait *w = sub->wait;

        sub->wait = NULL;
        return not_taken(s, w, s->gave_up ? LODGE_CLOSED : LODGE_INVALID);
    }
    return wait_for(s, sub->wait, timeout_ms);
}

struct lodge_message *lodge_sync_receive(struct lodge_sync *s, uint32_t timeout_ms)
{
    struct lodge_message *m;
    struct received *r;
    struct list *node;

    if (!s->gave_up)
        s->error[0] = '\0';
    if (!turn_until(s, &s->has_message, timeout_ms))
        return NULL;
    node = list_pop(&s->received);
    if (!node)
        return NULL;
    r = container_of(node, struct received, link);
    s->has_message = !list_empty(&s->received);
    m = r->m;
    mem_free(r);
    return m;
}

void lodge_sync_ack(struct lodge_sync *s, const struct lodge_message *m)
{
    lodge_ack(s->c, m);
}

void lodge_sync_nack(struct lodge_sync *s, const struct lodge_message *m, bool requeue)
{
    lodge_nack(s->c, m, requeue);
}

static void on_closed(void *arg, enum lodge_status status)
{
    wait_over(arg, status, "");
}

enum lodge_status lodge_sync_close(struct lodge_sync *s, uint32_t timeout_ms)
{
    struct wait *w;
    enum lodge_status status;

    if (!s)
        return LODGE_OK;
    w = wait_new(s);
    s->gave_up = false; /* the loop has to turn for this */
    lodge_close(s->c, timeout_ms, on_closed, w);
    status = turn_until(s, &w->done, timeout_ms + 1000) ? w->status : LODGE_TIMEOUT;
    mem_free(w);
    sync_free(s);
    return status;
}
