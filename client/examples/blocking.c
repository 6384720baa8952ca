// SPDX-License-Identifier: MIT
/* The blocking interface: sends a message, waits for its confirm, receives it. */
#include <lodge.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    struct lodge_options options;
    struct lodge_subscribe_options in = {
        .destination = "/queue/example-blocking",
        .ack = LODGE_ACK_INDIVIDUAL,
        .prefetch = 10,
    };
    struct lodge_outgoing out = {
        .destination = "/queue/example-blocking",
        .body = "good morning",
        .body_size = strlen("good morning"),
    };
    struct lodge_message *m = NULL;
    char error[256];

    lodge_options_init(&options);
    options.server = getenv("LODGE_SERVER");
    struct lodge_sync *s = lodge_sync_open(&options, 5000, error, sizeof error);
    if (!s) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    if (lodge_sync_send(s, &out, 5000) == LODGE_OK &&
        lodge_sync_subscribe(s, &in, 5000) == LODGE_OK)
        m = lodge_sync_receive(s, 5000);
    if (m) {
        printf("%.*s\n", (int)m->body_size, (const char *)m->body);
        lodge_sync_ack(s, m);
        lodge_message_free(m);
    } else {
        fprintf(stderr, "nothing received: %s\n", lodge_sync_error(s));
    }
    return lodge_sync_close(s, 5000) == LODGE_OK && m ? 0 : 1;
}
