// SPDX-License-Identifier: MIT
#include "tests/unit/client_rig.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

static struct event *listen_ev, *heard_ev, *tick_ev;
static int listener;
struct client_rig rig;

/* ---- the broker -------------------------------------------------------------- */

void rig_hang_up(void)
{
    if (heard_ev)
        event_free(heard_ev);
    heard_ev = NULL;
    if (rig.peer >= 0)
        (void)close(rig.peer);
    rig.peer = -1;
}

static void on_heard(evutil_socket_t fd, short what, void *arg)
{
    ssize_t n = recv(fd, buf_reserve(&rig.heard, 65536), 65536, 0);

    (void)what;
    (void)arg;
    if (n <= 0) {
        rig_hang_up();
        return;
    }
    for (ssize_t i = 0; i < n; i++)
        if (rig.heard.p[rig.heard.n + (size_t)i] == 0)
            rig.heard.p[rig.heard.n + (size_t)i] = '^';
    rig.heard.n += (size_t)n;
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    (void)arg;
    rig_hang_up();
    rig.heard.n = 0;
    rig.peer = accept(fd, NULL, NULL);
    ck_assert_int_ge(rig.peer, 0);
    rig.connections++;
    heard_ev = event_new(rig.base, rig.peer, EV_READ | EV_PERSIST, on_heard, NULL);
    ck_assert_int_eq(event_add(heard_ev, NULL), 0);
}

void rig_say(const char *text)
{
    struct buf b = { 0 };

    buf_str(&b, text);
    for (size_t i = 0; i < b.n; i++)
        if (b.p[i] == '^')
            b.p[i] = 0;
    ck_assert_int_eq(send(rig.peer, b.p, b.n, MSG_NOSIGNAL), (ssize_t)b.n);
    buf_fini(&b);
}

bool rig_has_heard(const char *text)
{
    return memmem(rig.heard.p ? rig.heard.p : (const uint8_t *)"", rig.heard.n, text,
                  strlen(text)) != NULL;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

void rig_turn_ms(uint64_t ms)
{
    uint64_t end_ns = clock_monotonic_ns() + ms * 1000000;

    while (clock_monotonic_ns() < end_ns)
        (void)event_base_loop(rig.base, EVLOOP_ONCE);
}

void rig_accept_login(void)
{
    UNTIL(rig_has_heard("CONNECT\n") && rig_has_heard("^"));
    rig.heard.n = 0;
    rig_say("CONNECTED\nversion:1.2\nheart-beat:0,0\n\n^");
    UNTIL(lodge_is_connected(rig.client));
}

void rig_break_and_login(void)
{
    unsigned before = rig.connections;

    rig_hang_up();
    UNTIL(rig.connections > before);
    rig_accept_login();
}

/* ---- what the client tells ------------------------------------------------------ */

void rig_note(const char *what, const char *text)
{
    size_t n = strlen(rig.log);

    (void)snprintf(rig.log + n, sizeof rig.log - n, "%s%s ", what, text);
}

bool rig_noted(const char *text)
{
    return strstr(rig.log, text) != NULL;
}

void rig_on_confirm(void *arg, enum lodge_status status, const char *reason)
{
    char text[200];

    (void)snprintf(text, sizeof text, "=%s(%s)", lodge_status_text(status), reason);
    rig_note(arg, text);
}

static void on_event(void *arg, enum lodge_event event, const char *text, uint32_t wait_ms)
{
    (void)arg;
    (void)wait_ms;
    if (event == LODGE_RETRYING)
        rig_note("retry:", text);
    else if (event == LODGE_GAVE_UP)
        rig_note("gave-up", "");
}

static void on_drained(void *arg)
{
    (void)arg;
    rig_note("drained", "");
}

void rig_on_message(void *arg, const struct lodge_message *m)
{
    (void)arg;
    rig_note("got:", m->body);
    lodge_message_free(rig.kept);
    rig.kept = lodge_message_copy(m);
}

static void on_subscribed(void *arg, enum lodge_status status, const char *reason)
{
    (void)arg;
    rig_note(status == LODGE_OK ? "subscribed" : "not-subscribed:", reason);
}

static void on_reply(void *arg, enum lodge_status status, const struct lodge_message *reply,
                     const char *reason)
{
    (void)reason;
    rig_note(arg, reply ? reply->body : lodge_status_text(status));
}

void rig_on_closed(void *arg, enum lodge_status status)
{
    (void)arg;
    rig_note("closed=", lodge_status_text(status));
}

void rig_send_text(const char *text)
{
    struct lodge_outgoing m = { "/queue/q", NULL, 0, text, strlen(text) };

    ck_assert_int_eq(lodge_send(rig.client, &m, rig_on_confirm, (void *)(uintptr_t)text), LODGE_OK);
}

uint64_t rig_subscribe(enum lodge_ack_mode ack)
{
    struct lodge_subscribe_options o = {
        .destination = "q",
        .ack = ack,
        .prefetch = 5,
        .on_message = rig_on_message,
        .on_subscribed = on_subscribed,
    };

    return lodge_subscribe(rig.client, &o);
}

/* ---- set-up --------------------------------------------------------------------- */

void rig_setup(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof a;
    struct timeval tick = { 0, 5000 };

    rig.log[0] = '\0';
    rig.connections = 0;
    rig.peer = -1;
    rig.base = event_base_new();
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)(void *)&a, sizeof a), 0);
    ck_assert_int_eq(listen(listener, 5), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)(void *)&a, &size), 0);
    listen_ev = event_new(rig.base, listener, EV_READ | EV_PERSIST, on_accept, NULL);
    tick_ev = event_new(rig.base, -1, EV_PERSIST, on_tick, NULL);
    ck_assert_int_eq(event_add(listen_ev, NULL) + event_add(tick_ev, &tick), 0);
    lodge_options_init(&rig.options);
    rig.options.port = ntohs(a.sin_port);
    rig.options.heart_beat_send_ms = rig.options.heart_beat_want_ms = 0;
    rig.options.backoff_min_ms = 1;
    rig.options.backoff_max_ms = 5;
    rig.options.on_event = on_event;
    rig.options.on_drained = on_drained;
}

void rig_teardown(void)
{
    lodge_free(rig.client);
    rig.client = NULL;
    lodge_message_free(rig.kept);
    rig.kept = NULL;
    rig_hang_up();
    (void)close(listener);
    event_free(listen_ev);
    event_free(tick_ev);
    event_base_free(rig.base);
    buf_fini(&rig.heard);
}

void rig_start(void)
{
    rig.client = lodge_new(rig.base, &rig.options);
    ck_assert_ptr_nonnull(rig.client);
}

void rig_start_and_login(void)
{
    rig_start();
    rig_accept_login();
}

void rig_request(const char *name, uint32_t timeout_ms)
{
    struct lodge_outgoing m = { "/queue/q", NULL, 0, "ask", 3 };

    ck_assert_int_eq(lodge_request(rig.client, &m, timeout_ms, on_reply, (void *)(uintptr_t)name),
                     LODGE_OK);
}
