// SPDX-License-Identifier: MIT
/* amqp.h - AMQP 0-9-1 frames, methods and content headers, both directions.
 *
 * Views out, nothing allocated.  A frame is type u8, channel u16, size u32, payload,
 * 0xCE (section 2.3).  Content is a method, a header frame and body frames until
 * its size is reached (2.3.5.2); properties stay in their wire form (props.h). */
#ifndef PROTO_AMQP_H
#define PROTO_AMQP_H

#include "base/buf.h"
#include "base/bytes.h"
#include "proto/amqp_methods.h"
#include "proto/decode.h"

enum {
    AMQP_FRAME_METHOD = 1,
    AMQP_FRAME_HEADER = 2,
    AMQP_FRAME_BODY = 3,
    AMQP_FRAME_HEARTBEAT = 8
};
enum {
    AMQP_FRAME_END = 0xCE,
    AMQP_FRAME_HEAD_BYTES = 7,
    AMQP_FRAME_EXTRA_BYTES = 8,  /* head and end together */
    AMQP_FRAME_MIN_BYTES = 4096, /* frame_max may not be less (section 2.3.5) */
    AMQP_PROTOCOL_BYTES = 8      /* "AMQP" 0 0 9 1 */
};
extern const uint8_t amqp_protocol[AMQP_PROTOCOL_BYTES];

/* Reply codes (section 1.3 and RabbitMQ's). */
#define AMQP_REPLIES(X)         \
    X(CONTENT_TOO_LARGE, 311)   \
    X(NO_ROUTE, 312)            \
    X(NO_CONSUMERS, 313)        \
    X(CONNECTION_FORCED, 320)   \
    X(INVALID_PATH, 402)        \
    X(ACCESS_REFUSED, 403)      \
    X(NOT_FOUND, 404)           \
    X(RESOURCE_LOCKED, 405)     \
    X(PRECONDITION_FAILED, 406) \
    X(FRAME_ERROR, 501)         \
    X(SYNTAX_ERROR, 502)        \
    X(COMMAND_INVALID, 503)     \
    X(CHANNEL_ERROR, 504)       \
    X(UNEXPECTED_FRAME, 505)    \
    X(RESOURCE_ERROR, 506)      \
    X(NOT_ALLOWED, 530)         \
    X(NOT_IMPLEMENTED, 540)     \
    X(INTERNAL_ERROR, 541)

enum amqp_reply {
#define X(name, code) AMQP_##name = (code),
    AMQP_REPLIES(X)
#undef X
};
const char *amqp_reply_name(enum amqp_reply code); /* "PRECONDITION_FAILED" */
/* Does it close the connection (5xx, 320, 402) rather than the channel? */
bool amqp_reply_is_hard(enum amqp_reply code);

struct amqp_frame {
    uint8_t type; /* one of AMQP_FRAME_* */
    uint16_t channel;
    struct bytes payload;
};

/* One frame at the start of `in`; `*used` bytes belong to it.  DECODE_MORE: none is
 * whole yet.  DECODE_BAD: 501 FRAME_ERROR with `*why` (static): an unknown type, more
 * than frame_max bytes, another end than 0xCE.  Said as soon as it can be seen: a head
 * that announces too much is refused before its payload comes.  A heartbeat is valid
 * on channel 0 without payload only. */
enum decode amqp_frame_decode(struct bytes in, uint32_t frame_max, struct amqp_frame *out,
                              size_t *used, const char **why);

/* ---- methods ---- */

typedef uint8_t amqp_octet;
typedef uint16_t amqp_short;
typedef uint32_t amqp_long;
typedef uint64_t amqp_longlong;
typedef bool amqp_bit;
typedef struct bytes amqp_shortstr; /* <= 255 bytes */
typedef struct bytes amqp_longstr;
typedef struct bytes amqp_table; /* table.h, without the u32 length; decoded ones are valid */

#define F(type, field) amqp_##type field;
#define X(name, class_id, method_id, text)   \
    struct amqp_##name {                     \
        AMQP_ARGS_##name(F) uint8_t unused_; \
    };
AMQP_METHODS(X)
#undef X
#undef F

enum amqp_method {
#define X(name, class_id, method_id, text) AMQP_##name = (class_id) << 16 | (method_id),
    AMQP_METHODS(X)
#undef X
};

struct amqp_args {
    uint32_t id; /* enum amqp_method, or an unknown number after DECODE_BAD */
    union {
#define X(name, class_id, method_id, text) struct amqp_##name name;
        AMQP_METHODS(X)
#undef X
    };
};

/* The payload of a method frame.  DECODE_BAD sets `*code` (COMMAND_INVALID 503 of an
 * unknown method, SYNTAX_ERROR 502 of malformed arguments or bytes left over, FRAME_ERROR
 * 501 of a payload too short for its ids) and `*why`; out->id is set whenever it could
 * be read. */
enum decode amqp_method_decode(struct bytes payload, struct amqp_args *out, enum amqp_reply *code,
                               const char **why);

/* "queue.declare"; NULL: no such method. */
const char *amqp_method_name(uint32_t id);
/* Does content follow it (basic.publish, return, deliver, get-ok)? */
bool amqp_method_has_content(uint32_t id);

/* Appends a whole method frame.  Texts above 255 bytes are the caller's fault. */
void amqp_put_method(struct buf *out, uint16_t channel, const struct amqp_args *args);

/* ---- content ---- */

struct amqp_content {
    uint16_t class_id;
    uint64_t body_size;
    struct bytes props; /* props.h wire form: checked by amqp_content_decode, headers too */
};

/* The payload of a header frame.  DECODE_BAD: SYNTAX_ERROR 502 with `*why`. */
enum decode amqp_content_decode(struct bytes payload, struct amqp_content *out, const char **why);

/* Appends a header frame of class basic (60).  `props` is in wire form; empty: none. */
void amqp_put_content_header(struct buf *out, uint16_t channel, uint64_t body_size,
                             struct bytes props);
/* Appends the body frames of `body`, none for an empty one, each at most frame_max bytes
 * whole (0: no limit). */
void amqp_put_body(struct buf *out, uint16_t channel, uint32_t frame_max, struct bytes body);
void amqp_put_heartbeat(struct buf *out);

/* Frames written by hand: begin returns a mark for end, which fills in the size and
 * appends the end octet. */
size_t amqp_frame_begin(struct buf *out, uint8_t type, uint16_t channel);
void amqp_frame_end(struct buf *out, size_t mark);

#endif
