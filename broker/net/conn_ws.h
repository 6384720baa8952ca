// SPDX-License-Identifier: MIT
/* conn_ws.h - the framing of WebSocket on a connection, beneath its session.
 *
 * What comes is unmasked where it was read; what goes is sent from the session's own buffer,
 * a frame for all that is there, its head from here.  Owner: struct conn. */
#ifndef NET_CONN_WS_H
#define NET_CONN_WS_H

#include "broker/net/conn.h"
#include "proto/websocket.h"

struct conn_ws {
    struct ws_decoder in;
    bool binary;                       /* text is refused */
    bool closing;                      /* our Close is said, or about to be: nothing comes after */
    uint8_t head[WS_HEAD_MAX], head_n; /* of the frame under way, what is left of it at the end */
    uint64_t left;                     /* of its payload */
    struct buf first;                  /* goes before the next frame: whole control frames */
    uint16_t end_code;                 /* enum ws_code: it ends once what came before is taken */
    const char *end_why;               /* NULL: the peer wants it so */
};

/* The handshake is done: its answer goes unframed. */
void conn_ws_begin(struct conn *c, struct bytes answer, enum session_framing framing);
void conn_ws_free(struct conn *c);

/* Takes the frames off in place; returns how many bytes of content are at p.  Once they are
 * dealt with: conn_ws_taken. */
size_t conn_ws_take(struct conn *c, uint8_t *p, size_t n);
/* Ends the connection if the peer has said Close, or something that is no frame. */
void conn_ws_taken(struct conn *c);

/* One write; bytes of the session's output that were sent. */
size_t conn_ws_send(struct conn *c);
/* All that is to be said is sent, the session's output too. */
bool conn_ws_written(const struct conn *c);
/* Close, behind the frame that is under way. */
void conn_ws_close(struct conn *c, enum ws_code code);
/* The same at once, if none is: else the peer would take it for content. */
void conn_ws_close_now(struct conn *c, enum ws_code code);

#endif
