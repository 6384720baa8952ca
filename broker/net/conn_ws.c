// SPDX-License-Identifier: MIT
#include "broker/net/conn_ws.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/log.h"
#include "base/mem.h"

enum {
    FIRST_MAX_BYTES = 4096, /* Pongs that the peer does not read */
    FAULTS_LOGGED_A_SECOND = 20
};

void conn_ws_begin(struct conn *c, struct bytes answer, enum session_framing framing)
{
    c->ws = mem_new(struct conn_ws);
    c->ws->binary = framing == SESSION_FRAMED_BINARY;
    buf_bytes(&c->ws->first, answer);
}

void conn_ws_free(struct conn *c)
{
    if (!c->ws)
        return;
    buf_fini(&c->ws->first);
    mem_free(c->ws);
    c->ws = NULL;
}

/* ---- out ---- */

static void put_control(struct conn_ws *w, enum ws_opcode opcode, struct bytes payload)
{
    uint8_t head[WS_HEAD_MAX];

    buf_put(&w->first, head, ws_put_head(head, opcode, payload.n));
    buf_bytes(&w->first, payload);
}

void conn_ws_close(struct conn *c, enum ws_code code)
{
    uint8_t payload[2] = { (uint8_t)(code >> 8), (uint8_t)code };

    if (c->ws->closing)
        return;
    c->ws->closing = true;
    put_control(c->ws, WS_CLOSE, bytes_of(payload, sizeof payload));
}

static size_t waiting(const struct conn *c)
{
    return c->session ? c->session->out.n - c->sent : 0;
}

bool conn_ws_written(const struct conn *c)
{
    return c->ws->first.n == 0 && c->ws->head_n == 0 && c->ws->left == 0 && waiting(c) == 0;
}

/* Between frames: what goes first, then a frame for all that is there. */
static void begin_frame(struct conn *c)
{
    struct conn_ws *w = c->ws;
    uint8_t head[WS_HEAD_MAX];

    if (w->first.n > 0 || w->left > 0 || w->head_n > 0 || w->closing || waiting(c) == 0)
        return;
    w->left = waiting(c);
    w->head_n = (uint8_t)ws_put_head(head, WS_BINARY, w->left);
    memcpy(w->head + WS_HEAD_MAX - w->head_n, head, w->head_n);
}

/* The bytes of `put` in the order they were sent; returns those of the payload. */
static size_t sent(struct conn_ws *w, size_t put, bool first)
{
    size_t head;

    if (first) {
        buf_drop(&w->first, put);
        if (w->first.n == 0)
            buf_fini(&w->first);
        return 0;
    }
    head = put < w->head_n ? put : w->head_n;
    w->head_n = (uint8_t)(w->head_n - head);
    w->left -= put - head;
    return put - head;
}

size_t conn_ws_send(struct conn *c)
{
    struct conn_ws *w = c->ws;
    struct iovec part[2];
    struct msghdr m = { .msg_iov = part, .msg_iovlen = 1 };

    begin_frame(c);
    bool first = w->first.n > 0 && w->left == 0 && w->head_n == 0;

    if (first) {
        part[0] = (struct iovec){ w->first.p, w->first.n };
    } else {
        part[0] = (struct iovec){ w->head + WS_HEAD_MAX - w->head_n, w->head_n };
        if (w->left > 0) {
            part[1] = (struct iovec){ c->session->out.p + c->sent, (size_t)w->left };
            m.msg_iovlen = 2;
        } else if (w->head_n == 0) {
            return 0;
        }
    }
    ssize_t put = sendmsg(event_get_fd(&c->read), &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put < 0) {
        if (errno != EAGAIN && errno != EINTR)
            conn_doom(c);
        return 0;
    }
    c->net->stats.bytes_out += (size_t)put;
    return sent(w, (size_t)put, first);
}

void conn_ws_close_now(struct conn *c, enum ws_code code)
{
    struct conn_ws *w = c->ws;

    if (w->closing || w->left > 0 || w->head_n > 0)
        return;
    conn_ws_close(c, code);
    (void)conn_ws_send(c);
}

/* ---- in ---- */

static void on_control(struct conn *c, const struct ws_piece *piece)
{
    struct conn_ws *w = c->ws;

    if (piece->opcode == WS_CLOSE) {
        w->end_code = WS_NORMAL;
    } else if (piece->opcode == WS_PING && w->first.n > FIRST_MAX_BYTES) {
        w->end_code = WS_PROTOCOL_ERROR;
        w->end_why = "Pings are sent, and their Pongs not read";
    } else if (piece->opcode == WS_PING) {
        put_control(w, WS_PONG, piece->bytes);
        session_touch(c->session);
    }
}

size_t conn_ws_take(struct conn *c, uint8_t *p, size_t n)
{
    struct conn_ws *w = c->ws;
    struct ws_piece piece;
    size_t at = 0, taken = 0, used = 0;
    const char *why = "";

    while (at < n && !w->end_code) {
        enum decode d = ws_decode(&w->in, p + at, n - at, &used, &piece, &why);

        at += used;
        if (d == DECODE_MORE)
            break;
        if (d == DECODE_BAD) {
            w->end_code = WS_PROTOCOL_ERROR;
            w->end_why = why;
        } else if (piece.opcode >= WS_CLOSE) {
            on_control(c, &piece);
        } else if (piece.opcode == WS_TEXT && w->binary) { /* [MQTT-6.0.0-1] */
            w->end_code = WS_UNSUPPORTED_DATA;
            w->end_why = "MQTT wants binary frames";
        } else {
            memmove(p + taken, piece.bytes.p, piece.bytes.n);
            taken += piece.bytes.n;
        }
    }
    return taken;
}

void conn_ws_taken(struct conn *c)
{
    struct conn_ws *w = c->ws;
    unsigned dropped;

    if (!w || !w->end_code || !c->session || c->doomed)
        return;
    if (w->end_why) {
        struct session_env *env = c->session->env;

        env->count.refused++;
        if (log_allowed(&env->ws_faults, FAULTS_LOGGED_A_SECOND, &dropped))
            log_warn("ws.failed", "id=%" PRIu64 " code=%d why=\"%s\" unlogged=%u", c->session->id,
                     w->end_code, w->end_why, dropped);
    }
    conn_ws_close_now(c, (enum ws_code)w->end_code);
    conn_end(c, NET_LINGER_MS);
}
