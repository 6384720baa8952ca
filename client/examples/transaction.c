// SPDX-License-Identifier: MIT
/* Moves a message from one queue to two others: the acknowledgement and both sends
 * happen together or not at all. */
#include <event2/event.h>
#include <lodge.h>
#include <stdio.h>
#include <stdlib.h>

static struct event_base *base;
static struct lodge *client;
static int failed = 1;

static void on_closed(void *arg, enum lodge_status status)
{
    (void)arg;
    (void)status;
    event_base_loopbreak(base);
}

static void on_commit(void *arg, enum lodge_status status, const char *reason)
{
    (void)arg;
    printf("transaction: %s %s\n", lodge_status_text(status), reason);
    if (status == LODGE_LOST)
        return; /* the connection broke: the message comes again, and so does this */
    failed = status != LODGE_OK;
    lodge_close(client, 5000, on_closed, NULL);
}

static void on_message(void *arg, const struct lodge_message *m)
{
    struct lodge_tx *tx = lodge_begin(client);
    struct lodge_outgoing copy = { .body = m->body, .body_size = m->body_size };

    (void)arg;
    copy.destination = "/queue/example-tx-audit";
    lodge_tx_send(tx, &copy);
    copy.destination = "/queue/example-tx-out";
    lodge_tx_send(tx, &copy);
    lodge_tx_ack(tx, m);
    if (lodge_commit(tx, on_commit, NULL) == LODGE_FULL)
        lodge_abort(tx);
}

int main(void)
{
    struct lodge_options options;
    struct lodge_subscribe_options in = {
        .destination = "/queue/example-tx-in",
        .ack = LODGE_ACK_INDIVIDUAL,
        .prefetch = 1,
        .on_message = on_message,
    };
    struct lodge_outgoing order = { in.destination, NULL, 0, "an order", 8 };

    lodge_options_init(&options);
    options.server = getenv("LODGE_SERVER");
    base = event_base_new();
    client = lodge_new(base, &options);
    if (!client || !lodge_subscribe(client, &in))
        return 1;
    lodge_send(client, &order, NULL, NULL);
    event_base_dispatch(base);
    lodge_free(client);
    event_base_free(base);
    return failed;
}
