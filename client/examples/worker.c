// SPDX-License-Identifier: MIT
/* A worker: takes jobs from a queue, ten at a time, and acknowledges each when it is
 * done.  What fails goes back to the queue.  It ends after three jobs, which it has
 * sent to itself. */
#include <event2/event.h>
#include <lodge.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOBS = 3 };

struct worker {
    struct event_base *base;
    struct lodge *client;
    int done;
};

static void on_closed(void *arg, enum lodge_status status)
{
    struct worker *w = arg;

    printf("%d jobs done, closed: %s\n", w->done, lodge_status_text(status));
    event_base_loopbreak(w->base);
}

static void on_job(void *arg, const struct lodge_message *m)
{
    struct worker *w = arg;
    const char *attempt = m->redelivered ? "again" : "first";

    printf("%s: %.*s\n", attempt, (int)m->body_size, (const char *)m->body);
    if (memcmp(m->body, "job 1", 5) == 0 && !m->redelivered) {
        lodge_nack(w->client, m, true); /* not now: it comes again */
        return;
    }
    lodge_ack(w->client, m);
    if (++w->done == JOBS)
        lodge_close(w->client, 5000, on_closed, w);
}

static void on_event(void *arg, enum lodge_event event, const char *text, uint32_t wait_ms)
{
    (void)arg;
    if (event != LODGE_CONNECTED)
        fprintf(stderr, "%s; again in %u ms\n", text, (unsigned)wait_ms);
}

int main(void)
{
    struct worker w = { .base = event_base_new() };
    struct lodge_options options;
    struct lodge_subscribe_options in = {
        .destination = "/queue/example-worker",
        .ack = LODGE_ACK_INDIVIDUAL,
        .prefetch = 10,
        .on_message = on_job,
        .arg = &w,
    };
    const char *jobs[JOBS] = { "job 0", "job 1", "job 2" };

    lodge_options_init(&options);
    options.server = getenv("LODGE_SERVER");
    options.on_event = on_event;
    w.client = lodge_new(w.base, &options);
    if (!w.client || !lodge_subscribe(w.client, &in))
        return 1;
    for (int i = 0; i < JOBS; i++) {
        struct lodge_outgoing m = { .destination = in.destination,
                                    .body = jobs[i],
                                    .body_size = 5 };

        lodge_send(w.client, &m, NULL, NULL);
    }
    event_base_dispatch(w.base);
    lodge_free(w.client);
    event_base_free(w.base);
    return w.done != JOBS;
}
