// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "client/cmd/format.h"
#include "client/cmd/lines.h"
#include "client/cmd/session.h"

enum { BODY_BYTES_MAX = 1 << 30 };

struct request {
    struct session s;
    const struct settings *settings;
    struct lodge *client;
    struct lodge_outgoing m;
    struct lines input;
    bool sent;
};

static void on_reply(void *arg, enum lodge_status status, const struct lodge_message *reply,
                     const char *reason)
{
    struct request *r = arg;
    struct buf out = { 0 };

    if (status == LODGE_TIMEOUT) {
        session_fail(&r->s, EXIT_TIMED_OUT, "no reply in time");
    } else if (status != LODGE_OK) {
        session_fail(&r->s, EXIT_FAILED, "%s: %s", lodge_status_text(status), reason);
    } else {
        format_message(&out, reply, (enum format)r->settings->format, !r->settings->no_newline);
        if (fwrite(out.p, 1, out.n, stdout) != out.n || fflush(stdout) != 0)
            session_fail(&r->s, EXIT_FAILED, "cannot write: %s", strerror(errno));
        buf_fini(&out);
        session_finish(&r->s, EXIT_DONE);
    }
}

/* Once: a request that was confirmed is not repeated by us. */
static void on_connected(void *arg)
{
    struct request *r = arg;
    enum lodge_status status;

    if (r->sent)
        return;
    r->sent = true;
    status = lodge_request(r->client, &r->m, (uint32_t)r->settings->timeout_ms, on_reply, r);
    if (status != LODGE_OK)
        session_fail(&r->s, EXIT_FAILED, "the client writes one of these headers itself");
}

static void on_signal(void *arg)
{
    struct request *r = arg;

    session_fail(&r->s, EXIT_FAILED, "interrupted before the reply");
}

static bool read_body(struct request *r)
{
    if (r->settings->argument_count == 2) {
        r->m.body = r->settings->argument[1];
        r->m.body_size = strlen(r->settings->argument[1]);
        return true;
    }
    do {
        if (!lines_fill(&r->input) || r->input.b.n > BODY_BYTES_MAX) {
            complain("cannot read the input");
            return false;
        }
    } while (!r->input.ended);
    r->m.body = r->input.b.p;
    r->m.body_size = r->input.b.n;
    return true;
}

static int request_over_session(struct request *r)
{
    struct lodge_options options;
    int code;

    session_init(&r->s, r);
    r->s.on_signal = on_signal;
    session_options(r->settings, &options);
    r->client = session_connect(&r->s, &options, (struct session_hooks){ on_connected, NULL, r });
    if (!r->client)
        r->s.code = EXIT_USAGE;
    code = session_run(&r->s);
    session_fini(&r->s);
    return code;
}

static int run_request(struct settings *settings)
{
    struct request r = { .settings = settings, .input.fd = STDIN_FILENO };
    char *destination = destination_of(settings->argument[0]);
    char numbers[3][24];
    int code = EXIT_FAILED;

    message_headers(settings, numbers);
    r.m.destination = destination;
    r.m.headers = settings->headers.at;
    r.m.header_count = settings->headers.count;
    if (read_body(&r))
        code = request_over_session(&r);
    lines_fini(&r.input);
    mem_free(destination);
    return code;
}

static const struct option_row request_options[] = {
    { "timeout", 't', OPTION_SPAN, OPTION(timeout_ms), 1, UINT32_MAX, "SPAN", "30s",
      "wait so long for the reply (then exit 3)" },
    { "header", 'H', OPTION_HEADER, OPTION(headers), 0, 0, "NAME:VALUE", NULL,
      "a header; may be repeated" },
    { "content-type", 0, OPTION_TEXT, OPTION(content_type), 0, 0, "TYPE", NULL,
      "what the body is, e.g. text/plain" },
    { "priority", 'p', OPTION_NUMBER, OPTION(priority), 0, 255, "N", NULL,
      "in queues with priorities; higher first" },
    { "delay", 'd', OPTION_SPAN, OPTION(delay_ms), 0, UINT64_MAX - 1, "SPAN", NULL,
      "deliver after so long" },
    { "ttl", 0, OPTION_SPAN, OPTION(ttl_ms), 0, UINT64_MAX - 1, "SPAN", NULL,
      "expire after so long" },
    { "transient", 0, OPTION_FLAG, OPTION(transient), 0, 0, NULL, NULL,
      "may be lost when the broker stops" },
    { "format", 'o', OPTION_CHOICE, OPTION(format), 0, 0, "raw|json|headers", "raw",
      "how the reply is printed" },
    { "no-newline", 0, OPTION_FLAG, OPTION(no_newline), 0, 0, NULL, NULL,
      "print no newline behind the body" },
};

const struct command command_request = {
    .name = "request",
    .arguments = "DEST [TEXT]",
    .summary = "send a message and print the reply to it",
    .detail = "Without TEXT the message is what stdin holds.",
    .arguments_min = 1,
    .arguments_max = 2,
    .options = request_options,
    .option_count = COUNT_OF(request_options),
    .run = run_request,
};
