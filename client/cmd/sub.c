// SPDX-License-Identifier: MIT
#include <event2/event.h>
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "client/cmd/format.h"
#include "client/cmd/jobs.h"
#include "client/cmd/printer.h"
#include "client/cmd/session.h"

enum {
    PRINT_PREFETCH = 1000,
    STOP_MS = 5000 /* after a signal the reader has so long */
};

struct sub {
    struct session s;
    const struct settings *settings;
    struct lodge *client;
    uint64_t received; /* printed, or given to a job */

    /* Printing: what one turn of the loop brought is written at its end; when all is
     * written, the last of it is acknowledged, and with it those before. */
    struct printer printer;
    struct event *turn_ev;
    struct buf last_ack; /* a string */
    uint64_t last_connection;
    bool stopping; /* after a signal: as soon as all is written */

    struct jobs jobs;
};

static bool enough(const struct sub *s, uint64_t n)
{
    return s->settings->count != NOT_GIVEN && n >= s->settings->count;
}

/* A message is acknowledged after it was written, never before. */
static void on_written(void *arg)
{
    struct sub *s = arg;
    struct lodge_message last = { .connection = s->last_connection };

    if (s->last_ack.n > 0) {
        last.ack = (const char *)s->last_ack.p;
        lodge_ack(s->client, &last);
    }
    s->last_ack.n = 0;
    if (s->stopping || enough(s, s->received))
        session_finish(&s->s, EXIT_DONE);
}

static void on_write_failed(void *arg, int error)
{
    struct sub *s = arg;

    s->last_ack.n = 0;
    session_fail(&s->s, EXIT_FAILED, "cannot write: %s", strerror(error));
}

static void on_turn_end(evutil_socket_t fd, short what, void *arg)
{
    struct sub *s = arg;

    (void)fd;
    (void)what;
    if (!s->s.ending && printer_write(&s->printer))
        on_written(s);
}

static void on_print(void *arg, const struct lodge_message *m)
{
    struct sub *s = arg;

    if (s->s.ending || s->stopping || enough(s, s->received))
        return;
    session_timeout(&s->s, s->settings->timeout_ms);
    s->received++;
    format_message(&s->printer.text, m, (enum format)s->settings->format, !s->settings->no_newline);
    s->last_ack.n = 0;
    buf_put(&s->last_ack, m->ack, strlen(m->ack) + 1);
    s->last_connection = m->connection;
    event_active(s->turn_ev, EV_TIMEOUT, 0);
}

/* ---- --exec -------------------------------------------------------------------- */

static void on_job(void *arg, const struct lodge_message *m)
{
    struct sub *s = arg;

    session_timeout(&s->s, s->settings->timeout_ms);
    jobs_add(&s->jobs, m);
}

static void on_idle(void *arg)
{
    struct sub *s = arg;

    session_finish(&s->s, s->s.code);
}

static void on_done(void *arg, const struct lodge_message *m, struct bytes output)
{
    struct sub *s = arg;

    (void)output;
    lodge_ack(s->client, m);
    session_timeout(&s->s, s->settings->timeout_ms);
    if (enough(s, s->jobs.done))
        jobs_stop(&s->jobs);
}

static void on_failed(void *arg, const struct lodge_message *m)
{
    struct sub *s = arg;

    lodge_nack(s->client, m, true);
}

/* ---- both ---------------------------------------------------------------------- */

static void on_subscribed(void *arg, enum lodge_status status, const char *reason)
{
    struct sub *s = arg;

    if (status != LODGE_OK)
        session_fail(&s->s, EXIT_FAILED, "cannot subscribe: %s", reason);
}

static void on_connected(void *arg)
{
    struct sub *s = arg;

    if (s->settings->exec)
        jobs_forget(&s->jobs);
}

static void on_signal(void *arg)
{
    struct sub *s = arg;

    s->stopping = true;
    if (s->settings->exec) {
        jobs_stop(&s->jobs);
        return;
    }
    if (printer_write(&s->printer))
        on_written(s);
    else
        session_timeout(&s->s, STOP_MS);
}

static void on_timeout(void *arg)
{
    struct sub *s = arg;

    if (s->stopping) {
        session_fail(&s->s, EXIT_FAILED, "the output is not read; what is left comes again");
        return;
    }
    if (s->jobs.running_count > 0 || printer_has_more(&s->printer)) {
        session_timeout(&s->s, s->settings->timeout_ms);
        return;
    }
    session_fail(&s->s, EXIT_TIMED_OUT, "no message for %" PRIu64 " ms; %" PRIu64 " received",
                 s->settings->timeout_ms, s->settings->exec ? s->jobs.done : s->received);
}

static uint32_t prefetch(const struct settings *s)
{
    uint64_t n = s->prefetch;

    if (n == NOT_GIVEN)
        n = s->exec ? 2 * s->jobs : PRINT_PREFETCH;
    /* More than are wanted would be taken from others for nothing. */
    if (!s->exec && s->count < n)
        n = s->count;
    return (uint32_t)n;
}

static bool subscribe(struct sub *s, const char *destination)
{
    const struct settings *settings = s->settings;
    struct lodge_subscribe_options o = {
        .destination = destination,
        .headers = settings->headers.at,
        .header_count = settings->headers.count,
        .ack = settings->exec ? LODGE_ACK_INDIVIDUAL : LODGE_ACK_CLIENT,
        .prefetch = prefetch(settings),
        .on_message = settings->exec ? on_job : on_print,
        .on_subscribed = on_subscribed,
        .arg = s,
    };

    /* A durable subscription is known by its id, which is a header for the user. */
    for (size_t i = 0; i < settings->headers.count; i++) {
        if (strcmp(settings->headers.at[i].name, "id") == 0) {
            o.id = settings->headers.at[i].value;
            break;
        }
    }
    return lodge_subscribe(s->client, &o) != 0;
}

static int run_sub(struct settings *settings)
{
    struct sub *s = mem_new(struct sub);
    char *destination = destination_of(settings->argument[0]);
    struct lodge_options options;
    int code;

    s->settings = settings;
    session_init(&s->s, s);
    s->s.on_signal = on_signal;
    s->s.on_idle = on_timeout;
    s->turn_ev = event_new(s->s.base, -1, 0, on_turn_end, s);
    CHECK(s->turn_ev);
    s->jobs = (struct jobs){
        .base = s->s.base,
        .command = settings->exec,
        .max = settings->jobs,
        .limit = settings->count,
        .on_done = on_done,
        .on_failed = on_failed,
        .on_idle = on_idle,
        .arg = s,
    };
    jobs_init(&s->jobs);
    s->printer = (struct printer){ .on_written = on_written,
                                   .on_failed = on_write_failed,
                                   .arg = s };
    printer_init(&s->printer, s->s.base);
    session_options(settings, &options);
    s->client = session_connect(&s->s, &options, (struct session_hooks){ on_connected, NULL, s });
    if (s->client) {
        if (!subscribe(s, destination))
            session_fail(&s->s, EXIT_USAGE, "this cannot be subscribed to");
        session_timeout(&s->s, settings->timeout_ms);
    } else {
        s->s.code = EXIT_USAGE;
    }
    code = session_run(&s->s);
    event_free(s->turn_ev);
    jobs_fini(&s->jobs);
    printer_fini(&s->printer);
    buf_fini(&s->last_ack);
    session_fini(&s->s);
    mem_free(destination);
    mem_free(s);
    return code;
}

static const struct option_row sub_options[] = {
    { "count", 'n', OPTION_NUMBER, OPTION(count), 1, UINT64_MAX - 1, "N", NULL,
      "end after N messages" },
    { "exec", 'x', OPTION_TEXT, OPTION(exec), 0, 0, "CMD", NULL,
      "run CMD for each message, the body on its stdin" },
    { "jobs", 'j', OPTION_NUMBER, OPTION(jobs), 1, 1000, "N", "1", "run up to N at a time" },
    { "format", 'o', OPTION_CHOICE, OPTION(format), 0, 0, "raw|json|headers", "raw",
      "how a message is printed" },
    { "no-newline", 0, OPTION_FLAG, OPTION(no_newline), 0, 0, NULL, NULL,
      "print no newline behind a body" },
    { "timeout", 't', OPTION_SPAN, OPTION(timeout_ms), 1, UINT32_MAX, "SPAN", NULL,
      "end when no message came for so long (exit 3)" },
    { "prefetch", 0, OPTION_NUMBER, OPTION(prefetch), 1, UINT16_MAX, "N", NULL,
      "messages the broker sends ahead [1000; with --exec 2 x jobs]" },
    { "header", 'H', OPTION_HEADER, OPTION(headers), 0, 0, "NAME:VALUE", NULL,
      "a header of the subscription; may be repeated" },
};

const struct command command_sub = {
    .name = "sub",
    .arguments = "DEST",
    .summary = "print messages as they come, or run a command for each",
    .detail = "A message is acknowledged after it was written to stdout, or after CMD exited 0.\n"
              "CMD finds each header as LODGE_NAME in its environment.  When it fails, the\n"
              "message goes back to the queue after a while.  SIGINT and SIGTERM end it in order.",
    .arguments_min = 1,
    .arguments_max = 1,
    .options = sub_options,
    .option_count = COUNT_OF(sub_options),
    .run = run_sub,
};
