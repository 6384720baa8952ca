// SPDX-License-Identifier: MIT
#include "base/mem.h"
#include "client/cmd/jobs.h"
#include "client/cmd/session.h"

struct reply {
    struct session s;
    const struct settings *settings;
    struct lodge *client;
    struct jobs jobs;
};

static void on_request(void *arg, const struct lodge_message *m)
{
    struct reply *r = arg;

    if (lodge_message_header(m, "reply-to")) {
        jobs_add(&r->jobs, m);
        return;
    }
    complain("a message without reply-to was refused");
    lodge_nack(r->client, m, false);
}

static void on_confirm(void *arg, enum lodge_status status, const char *reason)
{
    (void)arg;
    if (status == LODGE_REFUSED)
        complain("a reply was refused: %s", reason);
}

/* The ack goes behind the reply: should that be lost on the way, the request comes
 * again. */
static void on_done(void *arg, const struct lodge_message *m, struct bytes output)
{
    struct reply *r = arg;

    if (lodge_reply(r->client, m, output.p, output.n, on_confirm, r) != LODGE_OK) {
        complain("too many replies wait for their confirm; the request goes back");
        lodge_nack(r->client, m, true);
        return;
    }
    lodge_ack(r->client, m);
    if (r->settings->count != NOT_GIVEN && r->jobs.done >= r->settings->count)
        jobs_stop(&r->jobs);
}

static void on_failed(void *arg, const struct lodge_message *m)
{
    struct reply *r = arg;

    lodge_nack(r->client, m, true);
}

static void on_idle(void *arg)
{
    struct reply *r = arg;

    session_finish(&r->s, EXIT_DONE);
}

static void on_signal(void *arg)
{
    struct reply *r = arg;

    jobs_stop(&r->jobs);
}

static void on_connected(void *arg)
{
    struct reply *r = arg;

    jobs_forget(&r->jobs);
}

static void on_subscribed(void *arg, enum lodge_status status, const char *reason)
{
    struct reply *r = arg;

    if (status != LODGE_OK)
        session_fail(&r->s, EXIT_FAILED, "cannot subscribe: %s", reason);
}

static void connect_and_subscribe(struct reply *r, const char *destination)
{
    struct lodge_options options;
    struct lodge_subscribe_options in = {
        .destination = destination,
        .headers = r->settings->headers.at,
        .header_count = r->settings->headers.count,
        .ack = LODGE_ACK_INDIVIDUAL,
        .prefetch = (uint32_t)(2 * r->settings->jobs),
        .on_message = on_request,
        .on_subscribed = on_subscribed,
        .arg = r,
    };

    session_options(r->settings, &options);
    r->client = session_connect(&r->s, &options, (struct session_hooks){ on_connected, NULL, r });
    if (!r->client)
        r->s.code = EXIT_USAGE;
    else if (lodge_subscribe(r->client, &in) == 0)
        session_fail(&r->s, EXIT_USAGE, "this cannot be subscribed to");
}

static int run_reply(struct settings *settings)
{
    struct reply r = { .settings = settings };
    char *destination;
    int code;

    if (!settings->exec) {
        complain("reply needs --exec CMD");
        return EXIT_USAGE;
    }
    destination = destination_of(settings->argument[0]);
    session_init(&r.s, &r);
    r.s.on_signal = on_signal;
    r.jobs = (struct jobs){
        .base = r.s.base,
        .command = settings->exec,
        .max = settings->jobs,
        .limit = settings->count,
        .capture = true,
        .on_done = on_done,
        .on_failed = on_failed,
        .on_idle = on_idle,
        .arg = &r,
    };
    jobs_init(&r.jobs);
    connect_and_subscribe(&r, destination);
    code = session_run(&r.s);
    jobs_fini(&r.jobs);
    session_fini(&r.s);
    mem_free(destination);
    return code;
}

static const struct option_row reply_options[] = {
    { "exec", 'x', OPTION_TEXT, OPTION(exec), 0, 0, "CMD", NULL,
      "what it writes to stdout is the reply (required)" },
    { "jobs", 'j', OPTION_NUMBER, OPTION(jobs), 1, 1000, "N", "1", "run up to N at a time" },
    { "count", 'n', OPTION_NUMBER, OPTION(count), 1, UINT64_MAX - 1, "N", NULL,
      "end after N replies" },
    { "header", 'H', OPTION_HEADER, OPTION(headers), 0, 0, "NAME:VALUE", NULL,
      "a header of the subscription; may be repeated" },
};

const struct command command_reply = {
    .name = "reply",
    .arguments = "DEST",
    .summary = "answer requests by running a command for each",
    .detail = "CMD gets the request on stdin and its headers as LODGE_NAME.  When it fails, the\n"
              "request goes back to the queue after a while.",
    .arguments_min = 1,
    .arguments_max = 1,
    .options = reply_options,
    .option_count = COUNT_OF(reply_options),
    .run = run_reply,
};
