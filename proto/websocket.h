// SPDX-License-Identifier: MIT
/* websocket.h - frames of WebSocket, and the request that opens it (RFC 6455).
 *
 * As a server has it: frames that come are masked, frames that go are not.  Data is given
 * as it comes, unmasked in place, whatever frames it was cut into: for the protocols here
 * it is a stream.  Pure. */
#ifndef PROTO_WEBSOCKET_H
#define PROTO_WEBSOCKET_H

#include "base/bytes.h"
#include "proto/decode.h"

enum { WS_CONTROL_MAX = 125, WS_HEAD_MAX = 10, WS_REQUEST_MAX = 8 * 1024, WS_FIELDS_MAX = 64 };

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10
};

/* Codes of a Close frame [7.4.1]. */
enum ws_code {
    WS_NORMAL = 1000,
    WS_GOING_AWAY = 1001,
    WS_PROTOCOL_ERROR = 1002,
    WS_UNSUPPORTED_DATA = 1003
};

/* Zero-initialised is the state before the first frame. */
struct ws_decoder {
    uint8_t head[14], head_n; /* what has come of a frame's head */
    uint8_t control[WS_CONTROL_MAX], control_n;
    uint8_t opcode;  /* of the frame */
    uint8_t message; /* WS_TEXT or WS_BINARY while a message is not whole; 0 */
    bool in_payload, final;
    uint8_t mask[4];
    uint8_t mask_at;
    uint64_t left; /* of the payload */
};

struct ws_piece {
    enum ws_opcode opcode; /* WS_TEXT, WS_BINARY: some of a message; else a control frame */
    struct bytes bytes;    /* in `in`; of a control frame: in the decoder */
};

/* The next piece; *used bytes of `in` are done with in any case.  DECODE_MORE: all of them,
 * and nothing came of it.  DECODE_BAD: *why, and the connection is to be failed [7.1.7]. */
enum decode ws_decode(struct ws_decoder *d, uint8_t *in, size_t n, size_t *used,
                      struct ws_piece *out, const char **why);

/* The head of an unmasked frame that is a message of its own; its size. */
size_t ws_put_head(uint8_t out[WS_HEAD_MAX], enum ws_opcode opcode, uint64_t n);

/* What the opening handshake asks for [4.2.1]; views of the input. */
struct ws_request {
    struct bytes path, host, origin, key, protocols;
};

/* The whole head of the request; *used is its length.  DECODE_BAD: *status, of HTTP. */
enum decode ws_request_decode(struct bytes in, struct ws_request *out, size_t *used, int *status,
                              const char **why);

/* The next name of a list as Sec-WebSocket-Protocol has it; *at begins at 0. */
bool ws_list_next(struct bytes list, size_t *at, struct bytes *name);

#endif
