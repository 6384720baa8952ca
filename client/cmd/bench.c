// SPDX-License-Identifier: MIT
#include <event2/event.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "client/cmd/histogram.h"
#include "client/cmd/session.h"

enum {
    IDLE_MS = 2000, /* a receiver alone ends when nothing came for so long */
    PROGRESS_MS = 1000,
    STAMP_BYTES = 8, /* time of sending, at the start of a body */
};

/* One side: what was counted, from the first to the last. */
struct meter {
    uint64_t count, bytes, first_ns, last_ns;
    struct histogram latency;
};

struct bench {
    struct session s;
    const struct settings *settings;
    char *destination;
    bool publishes, receives;
    uint64_t goal; /* messages to be sent, or received when none are sent */
    uint64_t sent;
    bool sending_over; /* time is up, or the goal is reached */
    struct meter confirmed, received;
    char *body; /* what all messages have after the stamp */
    struct event *progress_ev, *end_ev;
    uint64_t progress_count;
    struct connection *connections;
};

/* A message on its way: told by the argument of its confirm. */
struct slot {
    struct connection *c;
    uint64_t sent_ns;
};

struct connection {
    struct bench *b;
    struct lodge *client;
    struct slot *slots; /* of a publisher, `window` of them */
    bool started;
    struct event *ack_ev; /* of a receiver: at the end of the turn */
    struct buf last_ack;
    uint64_t last_connection;
};

static void meter_add(struct meter *m, uint64_t bytes, uint64_t now_ns)
{
    if (m->count++ == 0)
        m->first_ns = now_ns;
    m->bytes += bytes;
    m->last_ns = now_ns;
}

static void ending(struct bench *b)
{
    if (b->publishes && !(b->sending_over && b->confirmed.count == b->sent))
        return;
    if (b->receives && b->received.count < (b->publishes ? b->sent : b->goal))
        return;
    session_finish(&b->s, EXIT_DONE);
}

/* ---- sending -------------------------------------------------------------------- */

static void send_next(struct connection *c, struct slot *slot);

static void on_confirm(void *arg, enum lodge_status status, const char *reason)
{
    struct slot *slot = arg;
    struct bench *b = slot->c->b;
    uint64_t now = clock_monotonic_ns();

    if (status != LODGE_OK) {
        session_fail(&b->s, EXIT_FAILED, "%s: %s", lodge_status_text(status), reason);
        return;
    }
    meter_add(&b->confirmed, b->settings->size, now);
    histogram_add(&b->confirmed.latency, now - slot->sent_ns);
    send_next(slot->c, slot);
}

static void send_next(struct connection *c, struct slot *slot)
{
    struct bench *b = c->b;
    struct lodge_outgoing m = {
        .destination = b->destination,
        .headers = b->settings->headers.at,
        .header_count = b->settings->headers.count,
        .body = b->body,
        .body_size = b->settings->size,
    };

    if (b->s.ending)
        return;
    if (b->sent >= b->goal)
        b->sending_over = true;
    if (b->sending_over) {
        ending(b);
        return;
    }
    slot->sent_ns = clock_monotonic_ns();
    if (m.body_size >= STAMP_BYTES)
        memcpy(b->body, &slot->sent_ns, STAMP_BYTES);
    if (b->sent++ == 0)
        b->confirmed.first_ns = slot->sent_ns;
    if (lodge_send(c->client, &m, on_confirm, slot) != LODGE_OK)
        session_fail(&b->s, EXIT_FAILED, "the client writes one of these headers itself");
}

static void on_publisher_connected(void *arg)
{
    struct connection *c = arg;

    if (c->started)
        return;
    c->started = true;
    for (uint64_t i = 0; i < c->b->settings->window; i++)
        send_next(c, &c->slots[i]);
}

/* ---- receiving ------------------------------------------------------------------- */

static void on_ack(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;
    struct lodge_message last = { .connection = c->last_connection };

    (void)fd;
    (void)what;
    last.ack = (const char *)c->last_ack.p;
    lodge_ack(c->client, &last);
    ending(c->b);
}

static void on_message(void *arg, const struct lodge_message *m)
{
    struct connection *c = arg;
    struct bench *b = c->b;
    uint64_t now = clock_monotonic_ns(), stamp;

    if (b->s.ending)
        return;
    meter_add(&b->received, m->body_size, now);
    if (b->publishes && m->body_size >= STAMP_BYTES) {
        memcpy(&stamp, m->body, sizeof stamp);
        if (stamp < now)
            histogram_add(&b->received.latency, now - stamp);
    }
    c->last_ack.n = 0;
    buf_put(&c->last_ack, m->ack, strlen(m->ack) + 1);
    c->last_connection = m->connection;
    event_active(c->ack_ev, EV_TIMEOUT, 0);
    if (!b->publishes && b->settings->seconds == NOT_GIVEN)
        session_timeout(&b->s, IDLE_MS);
}

static void on_subscribed(void *arg, enum lodge_status status, const char *reason)
{
    struct connection *c = arg;

    if (status != LODGE_OK)
        session_fail(&c->b->s, EXIT_FAILED, "cannot subscribe: %s", reason);
}

static void subscribe(struct connection *c)
{
    struct lodge_subscribe_options o = {
        .destination = c->b->destination,
        .ack = LODGE_ACK_CLIENT,
        .prefetch = (uint32_t)c->b->settings->prefetch,
        .on_message = on_message,
        .on_subscribed = on_subscribed,
        .arg = c,
    };

    c->ack_ev = event_new(c->b->s.base, -1, 0, on_ack, c);
    CHECK(c->ack_ev);
    if (lodge_subscribe(c->client, &o) == 0)
        session_fail(&c->b->s, EXIT_USAGE, "this cannot be subscribed to");
}

/* ---- the run ----------------------------------------------------------------------- */

static void on_progress(evutil_socket_t fd, short what, void *arg)
{
    struct bench *b = arg;
    const struct meter *m = b->publishes ? &b->confirmed : &b->received;

    (void)fd;
    (void)what;
    (void)fprintf(stderr, "\r\033[K%" PRIu64 " messages, %" PRIu64 "/s", m->count,
                  (m->count - b->progress_count) * 1000 / PROGRESS_MS);
    (void)fflush(stderr);
    b->progress_count = m->count;
}

/* Time is up.  What is on its way still counts when it arrives. */
static void on_end(evutil_socket_t fd, short what, void *arg)
{
    struct bench *b = arg;

    (void)fd;
    (void)what;
    b->sending_over = true;
    if (!b->publishes)
        session_finish(&b->s, EXIT_DONE);
    else
        ending(b);
}

static void on_idle(void *arg)
{
    struct bench *b = arg;

    session_finish(&b->s, EXIT_DONE);
}

static bool connect_all(struct bench *b, bool publisher, struct connection *c)
{
    struct lodge_options options;
    struct session_hooks hooks = { publisher ? on_publisher_connected : NULL, NULL, NULL };

    session_options(b->settings, &options);
    options.unconfirmed_max = (uint32_t)b->settings->window;
    options.unconfirmed_max_bytes = SIZE_MAX / 2;
    for (uint64_t i = 0; i < b->settings->connections; i++, c++) {
        c->b = b;
        hooks.arg = c;
        if (publisher)
            c->slots = mem_array(b->settings->window, sizeof *c->slots);
        for (uint64_t k = 0; publisher && k < b->settings->window; k++)
            c->slots[k].c = c;
        c->client = session_connect(&b->s, &options, hooks);
        if (!c->client)
            return false;
        if (!publisher)
            subscribe(c);
    }
    return true;
}

static void start_timers(struct bench *b)
{
    struct timeval every = { PROGRESS_MS / 1000, 0 };
    struct timeval end = { (time_t)b->settings->seconds, 0 };

    if (isatty(STDERR_FILENO))
        (void)event_add(b->progress_ev, &every);
    if (b->settings->seconds != NOT_GIVEN)
        (void)event_add(b->end_ev, &end);
    else if (!b->publishes)
        session_timeout(&b->s, IDLE_MS);
}

/* ---- the result -------------------------------------------------------------------- */

static void print_latency(const char *what, const struct histogram *h)
{
    static const struct {
        const char *name;
        double share;
    } points[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 } };

    if (h->count == 0)
        return;
    (void)printf("  %s:", what);
    for (size_t i = 0; i < COUNT_OF(points); i++)
        (void)printf("  %s %.3f ms", points[i].name,
                     (double)histogram_at(h, points[i].share) / 1e6);
    (void)printf("  max %.3f ms\n", (double)h->max / 1e6);
}

static void print_meter(const char *what, const struct meter *m)
{
    double seconds = (double)(m->last_ns - m->first_ns) / 1e9;

    (void)printf("%s %" PRIu64 " messages, %.1f MB, in %.2f s\n", what, m->count,
                 (double)m->bytes / 1e6, seconds);
    if (m->count > 1 && seconds > 0)
        (void)printf("  %.0f msg/s  %.2f MB/s\n", (double)m->count / seconds,
                     (double)m->bytes / 1e6 / seconds);
}

static void print_result(const struct bench *b)
{
    const struct settings *s = b->settings;

    if (isatty(STDERR_FILENO))
        (void)fputs("\r\033[K", stderr);
    (void)printf("%s: %" PRIu64 " bytes a message, %" PRIu64 " connection%s%s\n", b->destination,
                 s->size, s->connections, s->connections == 1 ? "" : "s",
                 b->publishes && b->receives ? " each way" : "");
    if (b->publishes) {
        print_meter("confirmed", &b->confirmed);
        print_latency("confirm", &b->confirmed.latency);
        (void)printf("  window %" PRIu64 "; every message confirmed by a receipt (on disk when the "
                     "server is lodged)%s\n",
                     s->window, s->transient ? "; sent as transient" : "");
    }
    if (b->receives) {
        print_meter("received", &b->received);
        print_latency("sent to received", &b->received.latency);
        (void)printf("  prefetch %" PRIu64 "; every message acknowledged, acks not confirmed\n",
                     s->prefetch);
    }
}

static bool read_arguments(struct bench *b)
{
    const struct settings *s = b->settings;
    const char *what = s->argument[0];

    b->publishes = strcmp(what, "pub") == 0 || strcmp(what, "both") == 0;
    b->receives = strcmp(what, "sub") == 0 || strcmp(what, "both") == 0;
    if (!b->publishes && !b->receives) {
        complain("bench what? pub, sub or both");
        return false;
    }
    b->destination = destination_of(s->argument_count == 2 ? s->argument[1] : "lodge-bench");
    b->goal = s->count;
    return true;
}

static void bench_fini(struct bench *b, size_t connections)
{
    for (size_t i = 0; i < connections; i++) {
        struct connection *c = &b->connections[i];

        mem_free(c->slots);
        buf_fini(&c->last_ack);
        if (c->ack_ev)
            event_free(c->ack_ev);
    }
    mem_free(b->connections);
    mem_free(b->body);
    mem_free(b->destination);
    event_free(b->progress_ev);
    event_free(b->end_ev);
    session_fini(&b->s);
}

static int run_bench(struct settings *settings)
{
    struct bench *b = mem_new(struct bench);
    char numbers[3][24];
    size_t each = (size_t)settings->connections;
    int code;

    b->settings = settings;
    if (settings->count == NOT_GIVEN && settings->seconds == NOT_GIVEN &&
        strcmp(settings->argument[0], "sub") != 0)
        settings->seconds = 10;
    message_headers(settings, numbers);
    if (!read_arguments(b)) {
        mem_free(b);
        return EXIT_USAGE;
    }
    session_init(&b->s, b);
    b->s.on_idle = on_idle;
    b->progress_ev = event_new(b->s.base, -1, EV_PERSIST, on_progress, b);
    b->end_ev = event_new(b->s.base, -1, 0, on_end, b);
    CHECK(b->progress_ev && b->end_ev);
    b->body = mem_zalloc((size_t)settings->size);
    memset(b->body, 'x', (size_t)settings->size);
    b->connections = mem_array(2 * each, sizeof *b->connections);
    if ((b->receives && !connect_all(b, false, b->connections)) ||
        (b->publishes && !connect_all(b, true, b->connections + each)))
        session_finish(&b->s, EXIT_USAGE);
    else
        start_timers(b);
    code = session_run(&b->s);
    if (code == EXIT_DONE || b->confirmed.count + b->received.count > 0)
        print_result(b);
    bench_fini(b, 2 * each);
    mem_free(b);
    return code;
}

static const struct option_row bench_options[] = {
    { "size", 0, OPTION_SIZE, OPTION(size), 0, 1 << 30, "BYTES", "100", "of each body" },
    { "count", 'n', OPTION_NUMBER, OPTION(count), 1, UINT64_MAX - 1, "N", NULL,
      "end after N messages in all" },
    { "seconds", 0, OPTION_NUMBER, OPTION(seconds), 1, 86400, "N", NULL,
      "end after so long [10 when there is no count]" },
    { "connections", 'c', OPTION_NUMBER, OPTION(connections), 1, 10000, "N", "1", "of each kind" },
    { "window", 'w', OPTION_NUMBER, OPTION(window), 1, 1000000, "N", "1000",
      "unconfirmed messages of a sending connection" },
    { "prefetch", 0, OPTION_NUMBER, OPTION(prefetch), 1, UINT16_MAX, "N", "1000",
      "unacknowledged messages of a receiving connection" },
    { "transient", 0, OPTION_FLAG, OPTION(transient), 0, 0, NULL, NULL, "send persistent:false" },
    { "header", 'H', OPTION_HEADER, OPTION(headers), 0, 0, "NAME:VALUE", NULL,
      "a header of what is sent; may be repeated" },
};

const struct command command_bench = {
    .name = "bench",
    .arguments = "pub|sub|both [DEST]",
    .summary = "measure how fast messages go in and out",
    .detail =
        "`pub` leaves its messages in the queue; `sub` drains it, until it is empty, --count\n"
        "or --seconds.  DEST is lodge-bench unless given.",
    .arguments_min = 1,
    .arguments_max = 2,
    .options = bench_options,
    .option_count = COUNT_OF(bench_options),
    .run = run_bench,
};
