// SPDX-License-Identifier: MIT
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "client/cmd/lines.h"
#include "client/cmd/session.h"

enum { BODY_BYTES_MAX = 1 << 30 };

struct pub {
    struct session s;
    const struct settings *settings;
    struct lodge *client;
    struct lodge_outgoing m;
    uint64_t sent, confirmed;
    bool all_sent;

    struct lines lines;     /* with --lines, or while the one body is read */
    struct event *input_ev; /* NULL: the input is a plain file, always ready */
    bool line_waits;        /* `line` was read, and the client was full */
    struct bytes line;
};

static void on_confirm(void *arg, enum lodge_status status, const char *reason)
{
    struct pub *p = arg;

    if (status != LODGE_OK) {
        session_fail(&p->s, EXIT_FAILED, "%s: %s (%" PRIu64 " confirmed before)",
                     lodge_status_text(status), reason[0] ? reason : "not confirmed", p->confirmed);
        return;
    }
    p->confirmed++;
    if (p->all_sent && p->confirmed == p->sent)
        session_finish(&p->s, EXIT_DONE);
}

/* False: the client is full, on_drained goes on; or it is over. */
static bool send_one(struct pub *p)
{
    enum lodge_status status = lodge_send(p->client, &p->m, on_confirm, p);

    if (status == LODGE_OK)
        p->sent++;
    else if (status != LODGE_FULL)
        session_fail(&p->s, EXIT_FAILED, "%s",
                     status == LODGE_INVALID ? "the client writes one of these headers itself"
                                             : lodge_status_text(status));
    return status == LODGE_OK;
}

static void input_over(struct pub *p)
{
    p->all_sent = true;
    if (p->confirmed == p->sent)
        session_finish(&p->s, EXIT_DONE);
}

/* Reads on, when the input is there: False: not now, or never again. */
static bool read_on(struct pub *p, bool ready)
{
    if (p->input_ev && !ready) {
        (void)event_add(p->input_ev, NULL);
        return false;
    }
    if (lines_fill(&p->lines))
        return true;
    session_fail(&p->s, EXIT_FAILED, "cannot read the input: %s", strerror(errno));
    return false;
}

/* Until the input or the client's room is used up. */
static void send_lines(struct pub *p, bool ready)
{
    while (!p->s.ending && !p->all_sent) {
        enum lines_status status = p->line_waits ? LINES_OK : lines_next(&p->lines, &p->line);

        if (status == LINES_OK) {
            p->m.body = p->line.p;
            p->m.body_size = p->line.n;
            p->line_waits = !send_one(p);
            if (p->line_waits)
                return;
        } else if (status == LINES_END) {
            input_over(p);
        } else if (status == LINES_TOO_LONG) {
            session_fail(&p->s, EXIT_FAILED, "a line is longer than %d MiB", LINE_BYTES_MAX >> 20);
        } else {
            if (!read_on(p, ready))
                return;
            ready = false;
        }
    }
}

static void send_copies(struct pub *p)
{
    while (!p->s.ending && p->sent < p->settings->count)
        if (!send_one(p))
            return;
    p->all_sent = true;
}

static void go_on(void *arg)
{
    struct pub *p = arg;

    if (p->settings->lines)
        send_lines(p, false);
    else
        send_copies(p);
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    struct pub *p = arg;

    (void)fd;
    (void)what;
    send_lines(p, true);
}

/* The whole input as one body; false: it was said why not. */
static bool read_body(struct pub *p)
{
    struct lines *l = &p->lines;

    do {
        if (!lines_fill(l)) {
            complain("cannot read the input: %s", strerror(errno));
            return false;
        }
        if (l->b.n > BODY_BYTES_MAX) {
            complain("the input is longer than %d MiB", BODY_BYTES_MAX >> 20);
            return false;
        }
    } while (!l->ended);
    p->m.body = l->b.p;
    p->m.body_size = l->b.n;
    return true;
}

static bool open_input(struct pub *p)
{
    const struct settings *s = p->settings;

    if (s->argument_count == 2) {
        p->m.body = s->argument[1];
        p->m.body_size = strlen(s->argument[1]);
        return true;
    }
    if (s->file) {
        p->lines.fd = open(s->file, O_RDONLY | O_CLOEXEC);
        if (p->lines.fd < 0) {
            complain("cannot open %s: %s", s->file, strerror(errno));
            return false;
        }
    }
    return s->lines || read_body(p);
}

/* epoll refuses plain files: they are always ready. */
static void watch_input(struct pub *p)
{
    p->input_ev = event_new(p->s.base, p->lines.fd, EV_READ, on_input, p);
    if (event_add(p->input_ev, NULL) == 0) {
        event_del(p->input_ev);
        return;
    }
    event_free(p->input_ev);
    p->input_ev = NULL;
}

static const char *contradiction(const struct settings *s)
{
    if (s->argument_count == 2 && (s->file || s->lines))
        return "TEXT goes with neither --file nor --lines";
    if (s->lines && s->count != 1)
        return "--lines and --count exclude each other";
    return NULL;
}

static int pub_over_session(struct pub *p)
{
    struct lodge_options options;

    session_init(&p->s, p);
    session_options(p->settings, &options);
    p->client = session_connect(&p->s, &options, (struct session_hooks){ go_on, go_on, p });
    if (!p->client) {
        p->s.code = EXIT_USAGE;
    } else {
        session_timeout(&p->s, p->settings->timeout_ms);
        if (p->settings->lines)
            watch_input(p);
    }
    int code = session_run(&p->s);

    if (code == EXIT_DONE && !(p->all_sent && p->confirmed == p->sent)) {
        complain("interrupted: %" PRIu64 " messages were confirmed", p->confirmed);
        code = EXIT_FAILED;
    }
    if (p->input_ev)
        event_free(p->input_ev);
    session_fini(&p->s);
    return code;
}

static int run_pub(struct settings *settings)
{
    struct pub p = { .settings = settings, .lines.fd = STDIN_FILENO };
    const char *wrong = contradiction(settings);
    char numbers[3][24];
    int code = EXIT_FAILED;

    if (wrong) {
        complain("%s", wrong);
        return EXIT_USAGE;
    }
    char *destination = destination_of(settings->argument[0]);

    message_headers(settings, numbers);
    p.m.destination = destination;
    p.m.headers = settings->headers.at;
    p.m.header_count = settings->headers.count;
    if (open_input(&p))
        code = pub_over_session(&p);
    lines_fini(&p.lines);
    if (p.lines.fd > STDIN_FILENO)
        (void)close(p.lines.fd);
    mem_free(destination);
    return code;
}

static const struct option_row pub_options[] = {
    { "lines", 'l', OPTION_FLAG, OPTION(lines), 0, 0, NULL, NULL,
      "every line of the input is a message" },
    { "file", 'f', OPTION_TEXT, OPTION(file), 0, 0, "FILE", NULL, "the input, instead of stdin" },
    { "header", 'H', OPTION_HEADER, OPTION(headers), 0, 0, "NAME:VALUE", NULL,
      "a header; may be repeated" },
    { "content-type", 0, OPTION_TEXT, OPTION(content_type), 0, 0, "TYPE", NULL,
      "what the body is, e.g. text/plain" },
    { "priority", 'p', OPTION_NUMBER, OPTION(priority), 0, 255, "N", NULL,
      "in queues with priorities; higher first" },
    { "delay", 'd', OPTION_SPAN, OPTION(delay_ms), 0, UINT64_MAX - 1, "SPAN", NULL,
      "deliver after so long: 250ms, 3s, 5m, 2h, 1d" },
    { "ttl", 0, OPTION_SPAN, OPTION(ttl_ms), 0, UINT64_MAX - 1, "SPAN", NULL,
      "expire after so long" },
    { "count", 'n', OPTION_NUMBER, OPTION(count), 1, UINT64_MAX - 1, "N", "1", "send it N times" },
    { "transient", 0, OPTION_FLAG, OPTION(transient), 0, 0, NULL, NULL,
      "may be lost when the broker stops" },
    { "timeout", 't', OPTION_SPAN, OPTION(timeout_ms), 1, UINT32_MAX, "SPAN", NULL,
      "give up when not all is confirmed by then (exit 3)" },
};

const struct command command_pub = {
    .name = "pub",
    .arguments = "DEST [TEXT]",
    .summary = "send a message, or a message for every line",
    .detail = "Without TEXT the message is what stdin holds.  It ends when the broker has\n"
              "confirmed every message; from lodged that means they are on disk.",
    .arguments_min = 1,
    .arguments_max = 2,
    .options = pub_options,
    .option_count = COUNT_OF(pub_options),
    .run = run_pub,
};
