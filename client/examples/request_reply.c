// SPDX-License-Identifier: MIT
/* A server that answers in capitals, and a client that asks it. */
#include <ctype.h>
#include <event2/event.h>
#include <lodge.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct lodge *server, *client;
static struct event_base *base;
static int failed = 1;

static void on_request(void *arg, const struct lodge_message *m)
{
    char answer[64];
    size_t n = m->body_size < sizeof answer ? m->body_size : sizeof answer;

    (void)arg;
    for (size_t i = 0; i < n; i++)
        answer[i] = (char)toupper(((const unsigned char *)m->body)[i]);
    lodge_reply(server, m, answer, n, NULL, NULL);
    lodge_ack(server, m); /* behind the reply: if that is lost, the request comes again */
}

static void on_closed(void *arg, enum lodge_status status)
{
    static int closed;

    (void)arg;
    (void)status;
    if (++closed == 2)
        event_base_loopbreak(base);
}

static void on_reply(void *arg, enum lodge_status status, const struct lodge_message *reply,
                     const char *reason)
{
    (void)arg;
    if (status == LODGE_OK) {
        printf("%.*s\n", (int)reply->body_size, (const char *)reply->body);
        failed = reply->body_size != 5 || memcmp(reply->body, "HELLO", 5) != 0;
    } else {
        fprintf(stderr, "%s: %s\n", lodge_status_text(status), reason);
    }
    lodge_close(client, 5000, on_closed, NULL);
    lodge_close(server, 5000, on_closed, NULL);
}

int main(void)
{
    struct lodge_options options;
    struct lodge_subscribe_options in = {
        .destination = "/queue/example-capitals",
        .ack = LODGE_ACK_INDIVIDUAL,
        .on_message = on_request,
    };
    struct lodge_outgoing request = { in.destination, NULL, 0, "hello", 5 };

    lodge_options_init(&options);
    options.server = getenv("LODGE_SERVER");
    base = event_base_new();
    server = lodge_new(base, &options);
    client = lodge_new(base, &options);
    if (!server || !client || !lodge_subscribe(server, &in))
        return 1;
    lodge_request(client, &request, 5000, on_reply, NULL);
    event_base_dispatch(base);
    lodge_free(client);
    lodge_free(server);
    event_base_free(base);
    return failed;
}
