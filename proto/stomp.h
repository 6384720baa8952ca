// SPDX-License-Identifier: MIT
/* stomp.h - STOMP 1.0, 1.1 and 1.2 frames, both directions.
 *
 * Used by the broker and by the client library.  Source: STOMP 1.2 "STOMP
 * Frames", "Value Encoding", "Repeated Header Entries", "Size Limits"; 1.1 and
 * 1.0 where they differ.  The decoder unescapes header values in place, once,
 * when the whole head is there: hence the mutable input.  Nothing is trimmed.
 * An end of line is LF or CR LF in every version. */
#ifndef PROTO_STOMP_H
#define PROTO_STOMP_H

#include "base/buf.h"
#include "base/bytes.h"
#include "proto/decode.h"

enum stomp_version { STOMP_V1_0, STOMP_V1_1, STOMP_V1_2 };

/* name, who may send it, may it have a body */
#define STOMP_COMMANDS(X)     \
    X(CONNECT, CLIENT, 0)     \
    X(STOMP, CLIENT, 0)       \
    X(SEND, CLIENT, 1)        \
    X(SUBSCRIBE, CLIENT, 0)   \
    X(UNSUBSCRIBE, CLIENT, 0) \
    X(ACK, CLIENT, 0)         \
    X(NACK, CLIENT, 0)        \
    X(BEGIN, CLIENT, 0)       \
    X(COMMIT, CLIENT, 0)      \
    X(ABORT, CLIENT, 0)       \
    X(DISCONNECT, CLIENT, 0)  \
    X(CONNECTED, SERVER, 0)   \
    X(MESSAGE, SERVER, 1)     \
    X(RECEIPT, SERVER, 0)     \
    X(ERROR, SERVER, 1)

enum stomp_command {
#define X(name, from, body) STOMP_CMD_##name,
    STOMP_COMMANDS(X)
#undef X
        STOMP_CMD_COUNT
};

struct stomp_header {
    struct bytes name, value; /* unescaped */
};

/* Hard limit of one frame's headers; a configured limit is at most this. */
enum { STOMP_HEADERS_MAX = 256 };

struct stomp_limits {
    size_t head_bytes;   /* command and headers together */
    unsigned headers;    /* entries, <= STOMP_HEADERS_MAX */
    uint64_t body_bytes; /* of one frame */
    size_t inline_bytes; /* a longer body with a content-length comes in pieces */
};

/* A frame comes WHOLE; or, when its body is longer than limits.inline_bytes and
 * has a content-length, as HEAD, BODY (any number, never empty) and END. */
enum stomp_part { STOMP_WHOLE, STOMP_HEAD, STOMP_BODY, STOMP_END };

struct stomp_frame {
    enum stomp_part part;
    enum stomp_command command;        /* this and the headers: of WHOLE and HEAD */
    const struct stomp_header *header; /* the decoder's scratch: until the next call */
    unsigned header_count;
    bool has_length;
    uint64_t content_length;
    struct bytes body; /* of WHOLE and BODY */
};

/* Kept per connection between calls; zero-initialised is the start.  Small: an
 * idle connection costs no buffer. */
struct stomp_decoder {
    enum stomp_version version; /* set by the owner after CONNECTED; 1.0 before */
    size_t head;                /* bytes of the head once its end was seen, else 0 */
    size_t scanned;             /* bytes of the input already searched for an end */
    size_t need;                /* bytes needed before it is worth looking again */
    uint64_t body_left;         /* of a body in pieces */
    bool in_body;
    const char *error; /* after DECODE_BAD: static text for the ERROR frame */
};

/* Where the headers of the frame at hand are put; one serves any number of
 * connections of one thread. */
struct stomp_scratch {
    struct stomp_header header[STOMP_HEADERS_MAX];
};

/* Looks for one frame at the start of in[0..n).  DECODE_OK: `*used` bytes
 * belong to it and are given back, `*out` views into them.  DECODE_MORE: `*used`
 * may be above 0 too (end-of-lines between frames, i.e. heart-beats). */
enum decode stomp_decode(struct stomp_decoder *d, const struct stomp_limits *limits,
                         struct stomp_scratch *scratch, uint8_t *in, size_t n,
                         struct stomp_frame *out, size_t *used);

/* The first header of that name ("the first wins"), or {NULL, 0}; a header with
 * an empty value has a non-NULL p. */
struct bytes stomp_header_find(const struct stomp_frame *f, struct bytes name);

/* Encoding: begin, headers, end.  The body may be appended in pieces between
 * stomp_put_head_end and stomp_put_end.  Names and values are escaped as the
 * version has it; for CONNECT, STOMP and CONNECTED pass STOMP_V1_0, they never
 * are.  An octet that the version cannot carry becomes '?' (a NUL; in 1.0 a line
 * feed, and ':' in a name), so that no value can forge a header or a frame. */
void stomp_put_command(struct buf *out, enum stomp_command c);
void stomp_put_header(struct buf *out, enum stomp_version v, struct bytes name, struct bytes value);
void stomp_put_header_u64(struct buf *out, struct bytes name, uint64_t value);
void stomp_put_head_end(struct buf *out);
void stomp_put_end(struct buf *out); /* the NUL */

const char *stomp_command_name(enum stomp_command c);
const char *stomp_version_name(enum stomp_version v); /* "1.2" */

/* accept-version: the highest that both know.  A missing header is 1.0. */
bool stomp_negotiate(struct bytes accept_version, enum stomp_version *out);

/* heart-beat: "cx,cy" in milliseconds; a missing header is 0,0. */
bool stomp_heart_beat(struct bytes value, uint32_t *send_ms, uint32_t *want_ms);

#endif
