// SPDX-License-Identifier: MIT
/* load_conn.c - the sockets of the load generator, and its one loop. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/bench/load.h"

enum {
    READ_BYTES = 256 * 1024,
    EVENTS = 256,
    OPENING_MAX = 64, /* connections on their way at a time */
    RETRY_NS = 2000000,
    LOOK_NS = 20000000
};

struct conn *conn_array(struct load *l, enum conn_role role, unsigned count)
{
    struct conn *c = mem_array(count, sizeof *c);
    size_t ring = 4;

    while (ring < 2 * (size_t)l->o.window)
        ring *= 2;
    for (unsigned i = 0; i < count; i++) {
        c[i].load = l;
        c[i].fd = -1;
        c[i].role = role;
        c[i].index = i;
        if (role == ROLE_PUB) {
            c[i].due = mem_array(ring, sizeof *c[i].due);
            c[i].due_mask = ring - 1;
        }
    }
    return c;
}

static bool try_connect(struct conn *c)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons(c->load->o.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        load_die("socket");
    if (connect(c->fd, (const struct sockaddr *)&a, sizeof a) == 0)
        return true;
    (void)close(c->fd);
    return false;
}

static void open_one(struct conn *c)
{
    struct load *l = c->load;
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
    int one = 1;

    while (!try_connect(c)) {
        if ((double)(clock_monotonic_ns() - l->started) > l->o.retry_s * 1e9)
            load_die("connect");
        (void)nanosleep(&(struct timespec){ .tv_nsec = RETRY_NS }, NULL);
    }
    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
        load_die("socket options");
    l->o.speaker->hello(c);
    conn_flush(c);
}

/* A server that is starting may accept and close: then this is tried again. */
static void reopen(struct conn *c)
{
    struct load *l = c->load;

    if ((double)(clock_monotonic_ns() - l->started) > l->o.retry_s * 1e9)
        load_fault(c, "connection lost", BYTES(""));
    (void)close(c->fd);
    c->in.n = c->out.n = c->out_at = 0;
    c->wants_out = false;
    c->step = 0;
    (void)nanosleep(&(struct timespec){ .tv_nsec = RETRY_NS }, NULL);
    open_one(c);
}

void conn_open_all(struct load *l, struct conn *c, unsigned count)
{
    unsigned opened = 0;

    l->logged_in = 0;
    while (l->logged_in < count) {
        while (opened < count && opened - l->logged_in < OPENING_MAX)
            open_one(&c[opened++]);
        conn_turn(l, clock_monotonic_ns() + LOOK_NS);
    }
}

void conn_begin_all(struct conn *c, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        c[i].load->o.speaker->begin(&c[i]);
        conn_flush(&c[i]);
    }
}

void conn_close_all(struct conn *c, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        (void)close(c[i].fd);
        buf_fini(&c[i].in);
        buf_fini(&c[i].out);
        buf_fini(&c[i].acks);
        buf_fini(&c[i].body);
        mem_free(c[i].due);
    }
    mem_free(c);
}

void conn_flush(struct conn *c)
{
    bool blocked = false;

    while (c->out_at < c->out.n && !blocked) {
        ssize_t n = send(c->fd, c->out.p + c->out_at, c->out.n - c->out_at, MSG_NOSIGNAL);

        if (n > 0)
            c->out_at += (size_t)n;
        else if (errno == EAGAIN)
            blocked = true;
        else if (errno != EINTR)
            return; /* the read that follows tells */
    }
    if (!blocked)
        c->out.n = c->out_at = 0;
    if (blocked == c->wants_out)
        return;
    struct epoll_event e = { .events = EPOLLIN | (blocked ? EPOLLOUT : 0U), .data.ptr = c };
    if (epoll_ctl(c->load->epoll, EPOLL_CTL_MOD, c->fd, &e) != 0)
        load_die("epoll_ctl");
    c->wants_out = blocked;
}

/* The rest of the last read, and behind it what there is now. */
static ssize_t fill_scratch(struct conn *c)
{
    struct load *l = c->load;

    if (c->in.n + READ_BYTES > l->scratch_size) {
        l->scratch_size = c->in.n + READ_BYTES;
        l->scratch = mem_realloc(l->scratch, l->scratch_size);
    }
    if (c->in.n > 0)
        memcpy(l->scratch, c->in.p, c->in.n);
    return recv(c->fd, l->scratch + c->in.n, READ_BYTES, 0);
}

static void keep_rest(struct conn *c, const uint8_t *p, size_t n)
{
    c->in.n = 0;
    if (n > 0)
        buf_put(&c->in, p, n);
    else
        buf_fini(&c->in); /* ten thousand idle ones hold nothing */
}

static void readable(struct conn *c)
{
    struct load *l = c->load;
    ssize_t got = fill_scratch(c);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0 && c->finished) {
        (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, c->fd, NULL);
        return;
    }
    if (got <= 0) {
        if (c->logged_in)
            load_fault(c, "connection closed by the server", BYTES(""));
        reopen(c);
        return;
    }
    size_t n = c->in.n + (size_t)got;
    l->now = clock_monotonic_ns();
    size_t used = l->o.speaker->input(c, l->scratch, n);
    keep_rest(c, l->scratch + used, n - used);
    if (c->role == ROLE_SUB)
        l->o.speaker->settle(c);
}

void conn_turn(struct load *l, uint64_t until_ns)
{
    struct epoll_event e[EVENTS];
    struct timespec wait = { 0 };
    uint64_t now = clock_monotonic_ns();

    if (until_ns > now) {
        wait.tv_sec = (time_t)((until_ns - now) / 1000000000);
        wait.tv_nsec = (long)((until_ns - now) % 1000000000);
    }
    int n = epoll_pwait2(l->epoll, e, EVENTS, &wait, NULL);
    if (n < 0 && errno != EINTR)
        load_die("epoll_wait");
    for (int i = 0; i < n; i++) {
        struct conn *c = e[i].data.ptr;

        if (e[i].events & ~(uint32_t)EPOLLOUT)
            readable(c);
        if (c->role == ROLE_PUB)
            load_publish_more(c);
        conn_flush(c);
    }
    l->now = clock_monotonic_ns();
}
