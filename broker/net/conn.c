// SPDX-License-Identifier: MIT
#include "broker/net/conn.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/net/conn_ws.h"

enum { LINGERERS_MAX = 64, SPARE_LEAST_BYTES = 1024 };

static evutil_socket_t conn_fd(const struct conn *c)
{
    return event_get_fd(&c->read);
}

static bool may_read(const struct conn *c)
{
    const struct session *s = c->session;

    if (!s)
        return true; /* lingering: for the end of the peer's stream */
    if (s->paused || s->ending || c->net->stopping || (s->publisher && c->net->pressure))
        return false;
    return s->out.n - c->sent < s->env->output_bytes;
}

void conn_settle(struct conn *c)
{
    bool want = may_read(c);

    if (c->doomed)
        return;
    if (want != c->reading) {
        CHECK((want ? event_add(&c->read, NULL) : event_del(&c->read)) == 0);
        c->reading = want;
    }
    if (!c->session)
        return;
    c->session->unread = !want;
    if (c->session->publisher && c->net->pressure && list_empty(&c->link))
        list_push_back(&c->net->stalled, &c->link);
}

void conn_doom(struct conn *c)
{
    if (c->doomed)
        return;
    c->doomed = true;
    c->reading = false;
    (void)event_del(&c->read);
    if (c->write)
        (void)event_del(c->write);
    list_remove(&c->link);
    list_push_back(&c->net->doomed, &c->link);
}

/* ---- reading ---- */

static void take_spare(struct net *n, struct buf *out)
{
    if (out->cap == 0 && n->spare_count > 0)
        *out = n->spare[--n->spare_count];
}

/* The session has found out who should be in its place. */
static void replace_session(struct conn *c)
{
    struct session *old = c->session, *s = old->become(old->env, old->loopback);

    s->conn = c;
    if (old->framing != SESSION_PLAIN)
        conn_ws_begin(c, buf_view(&old->out), (enum session_framing)old->framing);
    session_untouch(old);
    old->ops->close(&old);
    c->session = s;
}

/* Hands bytes to the session; returns how many it used up. */
static size_t input(struct conn *c, uint8_t *p, size_t n)
{
    take_spare(c->net, &c->session->out);
    size_t used = c->session->ops->input(c->session, p, n);

    while (c->session->become) {
        bool all = c->session->framing != SESSION_PLAIN;

        replace_session(c);
        used = all ? n : c->session->ops->input(c->session, p, n);
    }
    CHECK(used <= n);
    session_touch(c->session);
    return c->session->ending ? n : used;
}

static void after_input(struct conn *c)
{
    c->held = c->left.n > 0 && !may_read(c);
    conn_settle(c);
    conn_ws_taken(c);
    if (c->left.n <= c->net->o.input_bytes)
        return;
    log_warn("conn.overlong", "id=%" PRIu64 " bytes=%zu", c->session->id, c->left.n);
    conn_doom(c);
}

/* Keeps what the session left of a run of bytes outside `left`. */
static void keep_left(struct conn *c, const uint8_t *p, size_t n)
{
    c->left.n = 0;
    if (n == 0)
        buf_fini(&c->left);
    else
        buf_put(&c->left, p, n);
}

/* Drops what was used of `left`, and a large block with it when little remains. */
static void trim_left(struct conn *c, size_t used)
{
    if (c->left.n - used <= NET_LEFT_SMALL && c->left.cap > NET_LEFT_SMALL) {
        struct buf old = c->left;

        c->left = (struct buf){ 0 };
        keep_left(c, old.p + used, old.n - used);
        buf_fini(&old);
        return;
    }
    buf_drop(&c->left, used);
    if (c->left.n == 0)
        buf_fini(&c->left);
}

void conn_feed(struct conn *c)
{
    if (!c->held || c->doomed || !may_read(c))
        return;
    trim_left(c, input(c, c->left.p, c->left.n));
    after_input(c);
}

/* Reads; 0: nothing more now, and the connection is doomed if it has ended. */
static size_t receive(struct conn *c, uint8_t *p, size_t room)
{
    ssize_t got = recv(conn_fd(c), p, room, 0);

    if (got > 0) {
        c->net->turn_bytes += (size_t)got;
        c->net->stats.bytes_in += (size_t)got;
        return (size_t)got;
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR))
        conn_doom(c);
    return 0;
}

/* A long frame grows its own buffer, by doubling; nothing is copied twice. */
static bool read_long(struct conn *c)
{
    size_t room;

    if (c->left.cap - c->left.n < NET_LEFT_SMALL)
        (void)buf_reserve(&c->left, NET_LONG_ROOM);
    room = c->left.cap - c->left.n;
    if (room > NET_TURN_BYTES)
        room = NET_TURN_BYTES;
    size_t got = receive(c, c->left.p + c->left.n, room);
    if (got == 0)
        return false;
    c->left.n += c->ws ? conn_ws_take(c, c->left.p + c->left.n, got) : got;
    trim_left(c, input(c, c->left.p, c->left.n));
    after_input(c);
    return got == room;
}

static bool read_short(struct conn *c)
{
    uint8_t *block = c->net->block;
    size_t before = c->left.n, room = NET_READ_BYTES - before;

    if (before)
        memcpy(block, c->left.p, before);
    size_t got = receive(c, block + before, room);
    if (got == 0)
        return false;
    size_t n = before + (c->ws ? conn_ws_take(c, block + before, got) : got);
    size_t used = input(c, block, n);
    keep_left(c, block + used, n - used);
    after_input(c);
    return got == room;
}

/* False: the socket has no more, or we want no more, in this turn. */
static bool read_once(struct conn *c)
{
    if (!c->session)
        return receive(c, c->net->block, NET_READ_BYTES) == NET_READ_BYTES;
    return c->left.n > NET_LEFT_SMALL ? read_long(c) : read_short(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;

    (void)fd;
    (void)what;
    net_clock(c->net);
    conn_settle(c); /* pressure may have come since */
    for (unsigned i = 0; i < NET_READS_MAX && c->reading; i++)
        if (!read_once(c))
            break;
    /* Those that are ready and were not read keep their place in the queue. */
    if (c->net->turn_bytes >= NET_TURN_BYTES)
        (void)event_base_loopbreak(c->net->o.base);
}

/* ---- writing ---- */

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;

    (void)fd;
    (void)what;
    session_touch(c->session);
}

static void await_writable(struct conn *c, bool wait)
{
    if (wait == (c->write != NULL))
        return;
    if (wait) {
        c->write = mem_new(struct event);
        CHECK(event_assign(c->write, c->net->o.base, conn_fd(c), EV_WRITE | EV_PERSIST, on_writable,
                           c) == 0);
        CHECK(event_add(c->write, NULL) == 0);
        return;
    }
    (void)event_del(c->write);
    mem_free(c->write);
    c->write = NULL;
}

static void release_out(struct net *n, struct buf *out)
{
    if (out->n > 0 || out->cap == 0)
        return;
    if (out->cap >= SPARE_LEAST_BYTES && out->cap <= NET_SPARE_BYTES &&
        n->spare_count < NET_SPARE_MAX)
        n->spare[n->spare_count++] = *out;
    else
        mem_free(out->p);
    *out = (struct buf){ 0 };
}

static size_t send_plain(struct conn *c, const uint8_t *p, size_t n)
{
    ssize_t put = n ? send(conn_fd(c), p, n, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

    if (put < 0) {
        if (errno != EAGAIN && errno != EINTR)
            conn_doom(c);
        return 0;
    }
    c->net->stats.bytes_out += (size_t)put;
    return (size_t)put;
}

/* One send.  Returns the bytes written. */
static size_t send_out(struct conn *c)
{
    struct buf *out = &c->session->out;
    size_t put = c->ws ? conn_ws_send(c) : send_plain(c, out->p + c->sent, out->n - c->sent);

    c->sent += put;
    /* Moving the rest only once half is gone keeps the copying linear. */
    if (c->sent >= out->n - c->sent) {
        buf_drop(out, c->sent);
        c->sent = 0;
    }
    return put;
}

static bool is_written(const struct conn *c)
{
    return c->ws ? conn_ws_written(c) : c->session->out.n == c->sent;
}

/* What is framed may take more than one: the answers to control frames go apart. */
static size_t send_all(struct conn *c)
{
    size_t put = send_out(c);

    for (size_t more = c->ws != NULL; more > 0 && !c->doomed && !is_written(c); put += more)
        more = send_out(c);
    return put;
}

static void tell_drained(struct conn *c)
{
    struct session *s = c->session;

    if (s->out.n - c->sent > s->env->output_bytes / 2)
        return;
    s->ops->drained(s);
    if (s->out.n > c->sent || c->held)
        session_touch(s);
}

void conn_write(struct conn *c)
{
    struct session *s = c->session;
    size_t put = send_all(c);
    bool all = is_written(c);

    if (s->ending && all && c->ws && !c->doomed) {
        conn_ws_close(c, c->net->stopping ? WS_GOING_AWAY : WS_NORMAL);
        (void)send_all(c);
        all = is_written(c);
    }
    if (c->doomed)
        return;
    release_out(c->net, &s->out);
    await_writable(c, !all);
    if (s->ending && all) {
        conn_end(c, NET_LINGER_MS);
        return;
    }
    if (s->ending && !heap_has(&c->deadline))
        heap_set(&c->net->deadlines, &c->deadline, s->env->now_mono_ms + NET_FLUSH_MS);
    if (put > 0 && !s->ending)
        tell_drained(c);
    conn_settle(c);
}

/* ---- life ---- */

static struct conn *conn_new(struct net *n, int fd)
{
    struct conn *c = mem_new(struct conn);

    c->net = n;
    list_init(&c->link);
    list_init(&c->in_all);
    list_push_back(&n->all, &c->in_all);
    n->stats.open++;
    CHECK(event_assign(&c->read, n->o.base, fd, EV_READ | EV_PERSIST, on_readable, c) == 0);
    return c;
}

void conn_open(struct net *n, int fd, bool loopback, session_open_fn *open)
{
    struct conn *c = conn_new(n, fd);

    c->session = open(n->o.env, loopback);
    c->session->conn = c;
    n->stats.accepted++;
    conn_settle(c);
    session_touch(c->session);
}

static void close_session(struct conn *c)
{
    if (!c->session)
        return;
    session_untouch(c->session);
    c->session->out.n = 0;
    c->sent = 0;
    release_out(c->net, &c->session->out);
    c->session->ops->close(&c->session);
    c->session = NULL;
}

void conn_end(struct conn *c, uint64_t linger_ms)
{
    if (c->doomed || !c->session)
        return;
    if (c->ws)
        conn_ws_close_now(c, WS_GOING_AWAY);
    close_session(c);
    await_writable(c, false);
    buf_fini(&c->left);
    list_remove(&c->link);
    c->net->lingering++;
    heap_set(&c->net->deadlines, &c->deadline, c->net->o.env->now_mono_ms + linger_ms);
    if (shutdown(conn_fd(c), SHUT_WR) != 0) /* reset by the peer already */
        conn_doom(c);
    conn_settle(c);
}

void conn_refuse(struct net *n, int fd, struct bytes words)
{
    ssize_t put = send(fd, words.p, words.n, MSG_NOSIGNAL | MSG_DONTWAIT);

    n->stats.refused++;
    if (put < 0 || n->lingering >= LINGERERS_MAX || shutdown(fd, SHUT_WR) != 0) {
        (void)close(fd);
        return;
    }
    struct conn *c = conn_new(n, fd);
    n->lingering++;
    heap_set(&n->deadlines, &c->deadline, n->o.env->now_mono_ms + NET_LINGER_MS);
    conn_settle(c);
}

void conn_free(struct conn *c)
{
    struct net *n = c->net;

    if (!c->session)
        n->lingering--;
    close_session(c);
    (void)event_del(&c->read);
    await_writable(c, false);
    (void)close(conn_fd(c));
    buf_fini(&c->left);
    conn_ws_free(c);
    heap_remove(&n->deadlines, &c->deadline);
    list_remove(&c->link);
    list_remove(&c->in_all);
    n->stats.open--;
    mem_free(c);
}
