// SPDX-License-Identifier: MIT
/* Sends a thousand messages and ends when the broker has confirmed every one. */
#include <event2/event.h>
#include <lodge.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGES = 1000 };

struct publisher {
    struct event_base *base;
    struct lodge *client;
    int sent, confirmed;
    int failed;
};

static void on_closed(void *arg, enum lodge_status status)
{
    struct publisher *p = arg;

    if (status != LODGE_OK)
        p->failed = 1;
    event_base_loopbreak(p->base);
}

static void on_confirm(void *arg, enum lodge_status status, const char *reason)
{
    struct publisher *p = arg;

    if (status != LODGE_OK) {
        fprintf(stderr, "%s: %s\n", lodge_status_text(status), reason);
        p->failed = 1;
    }
    if (++p->confirmed == MESSAGES)
        lodge_close(p->client, 5000, on_closed, p);
}

/* Sends as much as the client takes; on_drained comes when there is room again. */
static void publish(void *arg)
{
    struct publisher *p = arg;
    struct lodge_outgoing m = { .destination = "/queue/example-confirmed" };
    char body[32];

    while (p->sent < MESSAGES) {
        m.body = body;
        m.body_size = (size_t)snprintf(body, sizeof body, "message %d", p->sent);
        if (lodge_send(p->client, &m, on_confirm, p) != LODGE_OK)
            return;
        p->sent++;
    }
}

int main(void)
{
    struct publisher p = { .base = event_base_new() };
    struct lodge_options options;

    lodge_options_init(&options);
    options.server = getenv("LODGE_SERVER");
    options.unconfirmed_max = 100;
    options.on_drained = publish;
    options.arg = &p;
    p.client = lodge_new(p.base, &options);
    if (!p.client)
        return 1;
    publish(&p);
    event_base_dispatch(p.base);
    printf("%d of %d confirmed\n", p.confirmed, p.sent);
    lodge_free(p.client);
    event_base_free(p.base);
    return p.failed || p.confirmed != MESSAGES;
}
