// SPDX-License-Identifier: MIT
#include "client/cmd/session.h"

#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { CLOSE_MS = 10000, CLOSE_LATE_MS = 1000, BACKOFF_MAX_MS = 5000 };

struct session_client {
    struct session_client *next;
    struct session *s;
    struct lodge *client;
    struct session_hooks hooks;
    bool was_connected, closed;
};

__attribute__((format(printf, 1, 0))) static void vcomplain(const char *fmt, va_list ap)
{
    (void)fputs("lodge: ", stderr);
    (void)vfprintf(stderr, fmt, ap);
    (void)fputc('\n', stderr);
}

void complain(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vcomplain(fmt, ap);
    va_end(ap);
}

void session_fail(struct session *s, int code, const char *fmt, ...)
{
    va_list ap;

    if (s->code != EXIT_DONE || s->ending)
        return;
    va_start(ap, fmt);
    vcomplain(fmt, ap);
    va_end(ap);
    session_finish(s, code);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct session *s = arg;

    (void)number;
    (void)what;
    if (s->signalled) { /* twice: at once */
        s->code = EXIT_FAILED;
        event_base_loopbreak(s->base);
        return;
    }
    s->signalled = true;
    if (s->on_signal)
        s->on_signal(s->arg);
    else
        session_finish(s, EXIT_DONE);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct session *s = arg;

    (void)fd;
    (void)what;
    if (s->on_idle)
        s->on_idle(s->arg);
    else
        session_fail(s, EXIT_TIMED_OUT, "timed out");
}

void session_init(struct session *s, void *arg)
{
    *s = (struct session){ .base = event_base_new(), .arg = arg };
    CHECK(s->base);
    s->interrupt_ev = evsignal_new(s->base, SIGINT, on_signal, s);
    s->terminate_ev = evsignal_new(s->base, SIGTERM, on_signal, s);
    s->timeout_ev = event_new(s->base, -1, 0, on_timeout, s);
    CHECK(s->interrupt_ev && s->terminate_ev && s->timeout_ev);
    (void)event_add(s->interrupt_ev, NULL);
    (void)event_add(s->terminate_ev, NULL);
}

/* What the command line says goes before the environment. */
static const char *given(const char *option, const char *variable)
{
    const char *value = option ? option : getenv(variable);

    return value && *value ? value : NULL;
}

void session_options(const struct settings *settings, struct lodge_options *out)
{
    const char *user = settings->user, *password = given(settings->password, "LODGE_PASSWORD");

    lodge_options_init(out);
    out->backoff_max_ms = BACKOFF_MAX_MS;
    out->server = given(settings->server, "LODGE_SERVER");
    if (user) {
        const char *at = out->server ? strrchr(out->server, '@') : NULL;

        out->login = user;
        out->server = at ? at + 1 : out->server;
    }
    if (password)
        out->passcode = password;
    if (settings->vhost)
        out->vhost = settings->vhost;
}

static void on_event(void *arg, enum lodge_event event, const char *text, uint32_t wait_ms)
{
    struct session_client *k = arg;
    struct session *s = k->s;

    if (event == LODGE_CONNECTED) {
        k->was_connected = true;
        if (k->hooks.on_connected && !s->ending)
            k->hooks.on_connected(k->hooks.arg);
    } else if (!k->was_connected) {
        session_fail(s, EXIT_NO_SERVER, "%s", text);
    } else if (!s->ending) {
        complain("%s; trying again in %" PRIu32 " ms", text, wait_ms);
    }
}

static void on_drained(void *arg)
{
    const struct session_client *k = arg;

    if (k->hooks.on_drained && !k->s->ending)
        k->hooks.on_drained(k->hooks.arg);
}

struct lodge *session_connect(struct session *s, const struct lodge_options *options,
                              struct session_hooks hooks)
{
    struct session_client *k = mem_new(struct session_client);
    struct lodge_options o = *options;

    o.on_event = on_event;
    o.on_drained = on_drained;
    o.arg = k;
    k->client = lodge_new(s->base, &o);
    if (!k->client) {
        complain("the server must be [stomp://][user[:password]@]host[:port]");
        mem_free(k);
        return NULL;
    }
    k->s = s;
    k->hooks = hooks;
    k->next = s->clients;
    s->clients = k;
    return k->client;
}

void session_timeout(struct session *s, uint64_t ms)
{
    struct timeval tv = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };

    if (ms != NOT_GIVEN && !s->ending)
        (void)event_add(s->timeout_ev, &tv);
}

static void on_closed(void *arg, enum lodge_status status)
{
    struct session_client *k = arg;
    struct session *s = k->s;

    k->closed = true;
    if (status != LODGE_OK && s->code == EXIT_DONE) {
        complain("the connection did not close in order: %s", lodge_status_text(status));
        s->code = EXIT_FAILED;
    }
    for (k = s->clients; k; k = k->next)
        if (!k->closed)
            return;
    event_base_loopbreak(s->base);
}

void session_finish(struct session *s, int code)
{
    if (s->ending)
        return;
    uint32_t close_ms = code == EXIT_TIMED_OUT ? CLOSE_LATE_MS : CLOSE_MS;

    s->ending = true;
    s->code = code;
    event_del(s->timeout_ev);
    for (struct session_client *k = s->clients; k; k = k->next)
        lodge_close(k->client, k->was_connected ? close_ms : 0, on_closed, k);
    if (!s->clients)
        event_base_loopbreak(s->base);
}

int session_run(struct session *s)
{
    struct session_client *k;

    if (s->clients)
        (void)event_base_dispatch(s->base);
    s->ending = true;
    while ((k = s->clients)) {
        s->clients = k->next;
        lodge_free(k->client);
        mem_free(k);
    }
    return s->code;
}

void session_fini(struct session *s)
{
    event_free(s->interrupt_ev);
    event_free(s->terminate_ev);
    event_free(s->timeout_ev);
    event_base_free(s->base);
}

char *destination_of(const char *name)
{
    size_t n = strlen(name) + sizeof "/queue/";
    char *out = mem_alloc(n);

    (void)snprintf(out, n, "%s%s", name[0] == '/' ? "" : "/queue/", name);
    return out;
}

static void add_header(struct header_list *list, const char *name, const char *value)
{
    CHECK(list->count < COUNT_OF(list->at));
    list->at[list->count++] = (struct lodge_header){ name, value };
}

static void add_number(struct header_list *list, const char *name, uint64_t number, char out[24])
{
    if (number == NOT_GIVEN)
        return;
    (void)snprintf(out, 24, "%" PRIu64, number);
    add_header(list, name, out);
}

void message_headers(struct settings *settings, char numbers[3][24])
{
    struct header_list *list = &settings->headers;

    add_header(list, "persistent", settings->transient ? "false" : "true");
    if (settings->content_type)
        add_header(list, "content-type", settings->content_type);
    add_number(list, "priority", settings->priority, numbers[0]);
    add_number(list, "x-delay", settings->delay_ms, numbers[1]);
    add_number(list, "expiration", settings->ttl_ms, numbers[2]);
}
