// SPDX-License-Identifier: MIT
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "client/client.h"

enum {
    READ_BYTES = 256 << 10,
    KEEP_BYTES = 1 << 20, /* a larger input buffer is given back when it is empty */
    VIEWS_MAX = 64,
    WRITES_PER_TURN = 16
};

static void try_next_address(struct lodge *c, int error);

static struct timeval span(uint32_t ms)
{
    return (struct timeval){ (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };
}

static void event_drop(struct event **ev)
{
    if (*ev)
        event_free(*ev);
    *ev = NULL;
}

/* `what` and the system's words for it, where the server is. */
static const char *describe(struct lodge *c, const char *what, const char *error)
{
    (void)snprintf(c->reason, sizeof c->reason, "%s %.255s:%u: %s", what, c->options.host,
                   (unsigned)c->options.port, error);
    return c->reason;
}

static const char *describe_errno(struct lodge *c, const char *what, int error)
{
    char text[128];

    return describe(c, what, strerror_r(error, text, sizeof text));
}

void link_close(struct lodge *c)
{
    struct link *l = &c->link;

    event_drop(&l->read_ev);
    event_drop(&l->write_ev);
    event_del(l->timeout_ev);
    event_del(l->beat_ev);
    event_del(l->flush_ev);
    if (l->fd >= 0)
        (void)close(l->fd);
    l->fd = -1;
    if (l->address)
        freeaddrinfo(l->address);
    l->address = l->address_next = NULL;
    l->write_blocked = false;
    l->decoder = (struct stomp_decoder){ 0 };
    l->head.n = l->head_written = 0;
}

/* ---- writing ---------------------------------------------------------------- */

/* Up to which entry may be written now: see `careful` in client.h. */
static uint64_t write_limit(struct lodge *c)
{
    if (c->state != CLIENT_UP)
        return 0;
    if (!c->careful)
        return UINT64_MAX;
    if (c->asked_count > 0 || c->outbox.in_flight > 0)
        return c->outbox.next + (c->outbox.next_written > 0);
    if (c->outbox.head >= c->careful_until) {
        c->careful = false;
        return UINT64_MAX;
    }
    return c->outbox.next + 1;
}

/* True: all of it went, so there may be more to write. */
static bool write_some(struct lodge *c, bool *failed)
{
    struct link *l = &c->link;
    struct iovec iov[VIEWS_MAX];
    size_t count = 0, total = 0, head = 0;

    /* What goes first may not cut a frame in two. */
    if (l->head.n > 0 && c->outbox.next_written == 0) {
        head = l->head.n - l->head_written;
        iov[count++] = (struct iovec){ l->head.p + l->head_written, head };
    }
    count += outbox_gather(&c->outbox, write_limit(c), iov + count, VIEWS_MAX - count);
    for (size_t i = 0; i < count; i++)
        total += iov[i].iov_len;
    if (total == 0)
        return false;

    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = count };
    ssize_t sent = sendmsg(l->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent < 0) {
        *failed = errno != EAGAIN && errno != EINTR;
        l->write_blocked = !*failed;
        return false;
    }
    size_t n = (size_t)sent;
    size_t of_head = n < head ? n : head;

    l->head_written += of_head;
    if (l->head_written == l->head.n)
        l->head.n = l->head_written = 0;
    if (n > of_head)
        outbox_wrote(&c->outbox, n - of_head);
    l->write_blocked = n < total;
    return n == total;
}

static void flush(struct lodge *c)
{
    struct link *l = &c->link;
    bool failed = false, more = true;

    l->write_blocked = false;
    for (int i = 0; more && i < WRITES_PER_TURN; i++)
        more = write_some(c, &failed);
    l->sent_at_ms = client_now_ms();
    if (failed)
        client_down(c, describe_errno(c, "lost the connection to", errno));
    else if (l->write_blocked || more)
        (void)event_add(l->write_ev, NULL);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    struct lodge *c = arg;

    (void)fd;
    (void)what;
    client_enter(c);
    if (c->link.write_ev && !c->link.write_blocked)
        flush(c);
    client_leave(c);
}

void link_flush_soon(struct lodge *c)
{
    if (!c->link.write_blocked && c->link.write_ev && c->state != CLIENT_CONNECTING)
        event_active(c->link.flush_ev, EV_TIMEOUT, 0);
}

/* ---- reading ---------------------------------------------------------------- */

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct lodge *c = arg;
    struct buf *in = &c->link.in;
    size_t room = READ_BYTES;
    ssize_t n;

    (void)what;
    client_enter(c);
    if (c->link.decoder.need > in->n + room)
        room = c->link.decoder.need - in->n;
    n = recv(fd, buf_reserve(in, room), room, MSG_DONTWAIT);
    if (n > 0) {
        in->n += (size_t)n;
        c->link.received_at_ms = client_now_ms();
        if (frames_in(c)) {
            client_settle(c);
            if (in->n == 0 && in->cap > KEEP_BYTES)
                buf_fini(in);
        }
    } else if (n == 0) {
        client_down(c, describe(c, "connection closed by", "end of stream"));
    } else if (errno != EAGAIN && errno != EINTR) {
        client_down(c, describe_errno(c, "lost the connection to", errno));
    }
    client_leave(c);
}

/* ---- heart-beats ---------------------------------------------------------------- */

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
    struct lodge *c = arg;
    struct link *l = &c->link;
    uint64_t now = client_now_ms();

    (void)fd;
    (void)what;
    client_enter(c);
    /* We ourselves were stopped: what came meanwhile was not read yet. */
    if (now - l->ticked_at_ms > 2 * (uint64_t)l->beat_tick_ms)
        l->received_at_ms = now;
    l->ticked_at_ms = now;
    if (l->beat_want_ms && now - l->received_at_ms > 2 * (uint64_t)l->beat_want_ms) {
        client_down(c, describe(c, "no heart-beat from", "the connection is dead"));
    } else if (l->beat_send_ms && now - l->sent_at_ms >= l->beat_send_ms / 2 && !l->write_blocked) {
        buf_u8(&l->head, '\n');
        link_flush_soon(c);
    }
    client_leave(c);
}

void link_start_beats(struct lodge *c, uint32_t send_ms, uint32_t want_ms)
{
    struct link *l = &c->link;
    uint32_t least = send_ms && (!want_ms || send_ms < want_ms) ? send_ms : want_ms;

    l->beat_send_ms = send_ms;
    l->beat_want_ms = want_ms;
    l->beat_tick_ms = least / 2 > 0 ? least / 2 : 1;
    l->ticked_at_ms = l->received_at_ms = client_now_ms();
    if (least == 0)
        return;
    struct timeval tv = span(l->beat_tick_ms);

    (void)event_add(l->beat_ev, &tv);
}

/* ---- connecting ---------------------------------------------------------------- */

static void put_connect_header(struct buf *out, const char *name, const char *value)
{
    if (value)
        stomp_put_header(out, STOMP_V1_0, bytes_str(name), bytes_str(value));
}

static void log_in(struct lodge *c)
{
    struct buf *out = &c->link.head;

    c->state = CLIENT_LOGGING_IN;
    stomp_put_command(out, STOMP_CMD_CONNECT);
    put_connect_header(out, "accept-version", "1.2");
    put_connect_header(out, "host", c->options.vhost);
    put_connect_header(out, "login", c->options.login);
    put_connect_header(out, "passcode", c->options.passcode);
    buf_fmt(out, "heart-beat:%u,%u\n", (unsigned)c->options.heart_beat_send_ms,
            (unsigned)c->options.heart_beat_want_ms);
    stomp_put_head_end(out);
    stomp_put_end(out);
    (void)event_add(c->link.read_ev, NULL);
    flush(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct lodge *c = arg;
    int error = 0;
    socklen_t size = sizeof error;

    (void)what;
    client_enter(c);
    if (c->state != CLIENT_CONNECTING)
        flush(c);
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)
        try_next_address(c, error);
    else
        log_in(c);
    client_leave(c);
}

/* False: not even begun; errno says why. */
static bool begin_connect(struct lodge *c, const struct addrinfo *to)
{
    struct link *l = &c->link;
    int one = 1;

    l->fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return false;
    (void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(l->fd, to->ai_addr, to->ai_addrlen) != 0 && errno != EINPROGRESS)
        return false;
    l->read_ev = event_new(c->base, l->fd, EV_READ | EV_PERSIST, on_readable, c);
    l->write_ev = event_new(c->base, l->fd, EV_WRITE, on_writable, c);
    CHECK(l->read_ev && l->write_ev);
    return event_add(l->write_ev, NULL) == 0;
}

/* `error` is the trouble with the one before. */
static void try_next_address(struct lodge *c, int error)
{
    struct link *l = &c->link;

    while (l->address_next) {
        const struct addrinfo *to = l->address_next;

        l->address_next = to->ai_next;
        event_drop(&l->read_ev);
        event_drop(&l->write_ev);
        if (l->fd >= 0)
            (void)close(l->fd);
        l->fd = -1;
        if (begin_connect(c, to))
            return;
        error = errno;
    }
    client_down(c, describe_errno(c, "cannot connect to", error));
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct lodge *c = arg;

    (void)fd;
    (void)what;
    client_enter(c);
    if (c->state == CLIENT_CONNECTING || c->state == CLIENT_LOGGING_IN)
        client_down(c, describe(c, "cannot connect to", "no answer in time"));
    client_leave(c);
}

void link_attempt(struct lodge *c)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct timeval tv = span(c->options.connect_timeout_ms);
    char port[8];

    if (c->state != CLIENT_WAITING)
        return;
    c->state = CLIENT_CONNECTING;
    c->link.in.n = 0;
    (void)snprintf(port, sizeof port, "%u", (unsigned)c->options.port);
    int rc = getaddrinfo(c->options.host, port, &hints, &c->link.address);

    if (rc != 0) {
        c->link.address = NULL;
        client_down(c, describe(c, "cannot connect to", gai_strerror(rc)));
        return;
    }
    c->link.address_next = c->link.address;
    (void)event_add(c->link.timeout_ev, &tv);
    try_next_address(c, EADDRNOTAVAIL);
}

void link_init(struct lodge *c)
{
    struct link *l = &c->link;

    l->fd = -1;
    l->flush_ev = event_new(c->base, -1, 0, on_flush, c);
    l->timeout_ev = event_new(c->base, -1, 0, on_timeout, c);
    l->beat_ev = event_new(c->base, -1, EV_PERSIST, on_beat, c);
    CHECK(l->flush_ev && l->timeout_ev && l->beat_ev);
}

void link_fini(struct lodge *c)
{
    struct link *l = &c->link;

    link_close(c);
    event_drop(&l->flush_ev);
    event_drop(&l->timeout_ev);
    event_drop(&l->beat_ev);
    buf_fini(&l->in);
    buf_fini(&l->head);
}
