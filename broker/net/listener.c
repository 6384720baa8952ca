// SPDX-License-Identifier: MIT
#include "broker/net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

enum { BACKLOG = 4096, ACCEPTS_MAX = 256, PAUSE_US = 100 * 1000 };

struct listener {
    struct listener_options o;
    struct event ready, pause;
    struct log_limit log;
    char path[sizeof((struct sockaddr_un *)NULL)->sun_path]; /* to unlink; empty: none */
    bool assigned;
    int fd;
};

struct address_text {
    char s[128];
};

static struct address_text text_of(const struct sockaddr *a)
{
    struct address_text t = { "?" };
    char ip[INET6_ADDRSTRLEN] = "?";

    if (a->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, a, sizeof in);
        (void)inet_ntop(AF_INET, &in.sin_addr, ip, sizeof ip);
        (void)snprintf(t.s, sizeof t.s, "%s:%u", ip, ntohs(in.sin_port));
    } else if (a->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, a, sizeof in6);
        (void)inet_ntop(AF_INET6, &in6.sin6_addr, ip, sizeof ip);
        (void)snprintf(t.s, sizeof t.s, "[%s]:%u", ip, ntohs(in6.sin6_port));
    } else if (a->sa_family == AF_UNIX) {
        (void)snprintf(t.s, sizeof t.s, "unix:%s",
                       (const char *)a + offsetof(struct sockaddr_un, sun_path));
    }
    return t;
}

static bool is_loopback(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, a, sizeof in);
        return ntohl(in.sin_addr.s_addr) >> 24 == 127;
    }
    if (a->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, a, sizeof in6);
        return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) ||
               (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) && in6.sin6_addr.s6_addr[12] == 127);
    }
    return a->ss_family == AF_UNIX;
}

static void pause_accepting(struct listener *l, const char *why)
{
    static const struct timeval after = { .tv_usec = PAUSE_US };
    unsigned dropped = 0;

    if (log_allowed(&l->log, 1, &dropped))
        log_warn("listener.paused", "protocol=%s why=\"%s\" more=%u", l->o.protocol, why, dropped);
    (void)event_del(&l->ready);
    CHECK(event_add(&l->pause, &after) == 0);
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;

    (void)fd;
    (void)what;
    CHECK(event_add(&l->ready, NULL) == 0);
}

/* A connection that died in the backlog is no reason to stop. */
static bool passing(int error)
{
    return error == ECONNABORTED || error == EINTR || error == EPROTO || error == EPERM;
}

/* False: no more for now. */
static bool accept_one(struct listener *l)
{
    struct net *n = l->o.net;
    struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof peer;

    if (n->stats.open >= n->o.descriptors) {
        pause_accepting(l, "out of descriptors");
        return false;
    }
    int fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno != EAGAIN && !passing(errno))
            pause_accepting(l, strerrordesc_np(errno));
        return passing(errno);
    }
    if (n->stats.open - n->lingering >= n->o.connections) {
        unsigned dropped = 0;

        if (log_allowed(&l->log, 1, &dropped))
            log_warn("listener.refused", "protocol=%s connections=%u more=%u", l->o.protocol,
                     n->o.connections, dropped);
        conn_refuse(n, fd, l->o.refusal);
        return true;
    }
    conn_open(n, fd, is_loopback(&peer), l->o.open);
    if (log_enabled(LOG_DEBUG))
        log_debug("conn.open", "protocol=%s peer=%s", l->o.protocol,
                  text_of((const struct sockaddr *)&peer).s);
    return true;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;

    (void)fd;
    (void)what;
    net_clock(l->o.net);
    for (unsigned i = 0; i < ACCEPTS_MAX; i++)
        if (!accept_one(l))
            return;
}

/* Linux hands these down to the sockets that are accepted. */
static bool set_options(int fd, int family)
{
    static const int on = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        return false;
    if (family == AF_UNIX)
        return true;
    return setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
}

/* The file of a Unix socket outlives its process; it is in the way if nobody
 * answers there. */
static void unlink_stale(struct listener *l)
{
    struct sockaddr_un un;

    if (l->o.address->sa_family != AF_UNIX)
        return;
    memcpy(&un, l->o.address, sizeof un);
    memcpy(l->path, un.sun_path, sizeof l->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, l->o.address, l->o.address_len) != 0 && errno == ECONNREFUSED)
        (void)unlink(l->path);
    (void)close(fd);
}

static bool listen_there(struct listener *l)
{
    int family = l->o.address->sa_family;

    l->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0 || !set_options(l->fd, family))
        return false;
    unlink_stale(l);
    if (bind(l->fd, l->o.address, l->o.address_len) != 0) {
        l->path[0] = 0; /* not ours */
        return false;
    }
    return listen(l->fd, BACKLOG) == 0;
}

enum err listener_open(const struct listener_options *o, struct listener **out)
{
    struct listener *l = mem_new(struct listener);
    struct sockaddr_storage bound = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof bound;

    l->o = *o;
    if (!listen_there(l)) {
        log_error("listener.open", "protocol=%s address=%s error=\"%s\"", o->protocol,
                  text_of(o->address).s, strerrordesc_np(errno));
        listener_close(&l);
        return ERR_IO;
    }
    CHECK(event_assign(&l->ready, o->net->o.base, l->fd, EV_READ | EV_PERSIST, on_ready, l) == 0);
    CHECK(event_assign(&l->pause, o->net->o.base, -1, 0, on_pause_over, l) == 0);
    CHECK(event_add(&l->ready, NULL) == 0);
    l->assigned = true;
    CHECK(getsockname(l->fd, (struct sockaddr *)&bound, &len) == 0);
    log_info("listener.open", "protocol=%s address=%s", o->protocol,
             text_of((const struct sockaddr *)&bound).s);
    *out = l;
    return OK;
}

void listener_close(struct listener **out)
{
    struct listener *l = *out;

    if (!l)
        return;
    if (l->assigned) {
        (void)event_del(&l->ready);
        (void)event_del(&l->pause);
    }
    if (l->fd >= 0)
        (void)close(l->fd);
    if (l->path[0])
        (void)unlink(l->path);
    mem_free(l);
    *out = NULL;
}
