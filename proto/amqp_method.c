// SPDX-License-Identifier: MIT
/* Methods, all from one table: what their arguments are and where they go. */
#include <stddef.h>

#include "base/check.h"
#include "base/reader.h"
#include "proto/amqp.h"
#include "proto/table.h"

#define ARG_TYPES(X) X(octet) X(short) X(long) X(longlong) X(bit) X(shortstr) X(longstr) X(table)

enum arg_type {
    ARG_END,
#define X(type) ARG_##type,
    ARG_TYPES(X)
#undef X
};

struct arg {
    uint16_t type; /* enum arg_type */
    uint16_t at;   /* offset in the method's structure */
};

#define F(arg_type, field) { ARG_##arg_type, offsetof(self, field) },
#define X(name, class_id, method_id, text)                                                 \
    static const struct arg *args_of_##name(void)                                          \
    {                                                                                      \
        typedef struct amqp_##name self;                                                   \
        static const struct arg args[] = { AMQP_ARGS_##name(F){ ARG_END, sizeof(self) } }; \
                                                                                           \
        return args;                                                                       \
    }
AMQP_METHODS(X)
#undef X
#undef F

/* NULL: no such method. */
static const struct arg *args_of(uint32_t id)
{
    switch (id) {
#define X(name, class_id, method_id, text) \
    case AMQP_##name:                      \
        return args_of_##name();
        AMQP_METHODS(X)
#undef X
    default:
        return NULL;
    }
}

const char *amqp_method_name(uint32_t id)
{
    switch (id) {
#define X(name, class_id, method_id, text) \
    case AMQP_##name:                      \
        return text;
        AMQP_METHODS(X)
#undef X
    default:
        return NULL;
    }
}

bool amqp_method_has_content(uint32_t id)
{
    return id == AMQP_basic_publish || id == AMQP_basic_return || id == AMQP_basic_deliver ||
           id == AMQP_basic_get_ok;
}

/* All structures of the union begin where it begins. */
static uint8_t *structure_of(struct amqp_args *args)
{
    return (uint8_t *)args + offsetof(struct amqp_args, connection_start);
}

static const uint8_t *const_structure_of(const struct amqp_args *args)
{
    return (const uint8_t *)args + offsetof(struct amqp_args, connection_start);
}

/* ---- bits: consecutive ones share octets, the first is the lowest [4.2.5.2] ---- */

struct bits {
    uint8_t octet;
    unsigned used; /* 0: the next bit begins an octet */
};

static bool next_bit(struct bits *b, struct reader *r)
{
    if (b->used == 0)
        b->octet = reader_u8(r);
    bool bit = b->octet >> b->used & 1;
    b->used = (b->used + 1) % 8;
    return bit;
}

static void put_bit(struct bits *b, struct buf *out, bool bit)
{
    if (b->used == 0)
        buf_u8(out, 0);
    out->p[out->n - 1] |= (uint8_t)(bit << b->used);
    b->used = (b->used + 1) % 8;
}

/* ---- decoding ---- */

static struct bytes read_table(struct reader *r)
{
    struct bytes t = reader_bytes32(r);

    if (!r->failed && !table_valid(t))
        r->failed = true;
    return t;
}

#define READ(type, from)            \
    do {                            \
        amqp_##type v_ = (from);    \
        memcpy(to, &v_, sizeof v_); \
    } while (0)

static void read_arg(struct reader *r, struct bits *bits, enum arg_type type, uint8_t *to)
{
    if (type != ARG_bit)
        bits->used = 0;
    switch (type) {
    case ARG_octet:
        READ(octet, reader_u8(r));
        break;
    case ARG_short:
        READ(short, reader_u16(r));
        break;
    case ARG_long:
        READ(long, reader_u32(r));
        break;
    case ARG_longlong:
        READ(longlong, reader_u64(r));
        break;
    case ARG_bit:
        READ(bit, next_bit(bits, r));
        break;
    case ARG_shortstr:
        READ(shortstr, reader_bytes8(r));
        break;
    case ARG_longstr:
        READ(longstr, reader_bytes32(r));
        break;
    case ARG_table:
        READ(table, read_table(r));
        break;
    case ARG_END:
        break;
    }
}

enum decode amqp_method_decode(struct bytes payload, struct amqp_args *out, enum amqp_reply *code,
                               const char **why)
{
    struct reader r = reader_over(payload);
    struct bits bits = { 0 };
    const struct arg *arg;

    out->id = reader_u32(&r);
    *code = AMQP_FRAME_ERROR;
    *why = "method frame without a method";
    if (r.failed)
        return DECODE_BAD;
    arg = args_of(out->id);
    *code = AMQP_COMMAND_INVALID;
    *why = "unknown method";
    if (!arg)
        return DECODE_BAD;
    for (; arg->type != ARG_END; arg++)
        read_arg(&r, &bits, (enum arg_type)arg->type, structure_of(out) + arg->at);
    *code = AMQP_SYNTAX_ERROR;
    *why = "malformed arguments";
    return r.failed || r.left > 0 ? DECODE_BAD : DECODE_OK;
}

/* ---- encoding ---- */

#define WRITTEN(type, name) \
    amqp_##type name;       \
    memcpy(&name, from, sizeof name)

static void put_shortstr(struct buf *out, const uint8_t *from)
{
    WRITTEN(shortstr, v);
    CHECK(v.n <= UINT8_MAX);
    buf_u8(out, (uint8_t)v.n);
    buf_bytes(out, v);
}

static void put_longstr(struct buf *out, const uint8_t *from)
{
    WRITTEN(longstr, v);
    CHECK(v.n <= UINT32_MAX);
    buf_u32(out, (uint32_t)v.n);
    buf_bytes(out, v);
}

static void put_number(struct buf *out, enum arg_type type, const uint8_t *from)
{
    if (type == ARG_octet) {
        buf_u8(out, *from);
    } else if (type == ARG_short) {
        WRITTEN(short, v);
        buf_u16(out, v);
    } else if (type == ARG_long) {
        WRITTEN(long, v);
        buf_u32(out, v);
    } else {
        WRITTEN(longlong, v);
        buf_u64(out, v);
    }
}

static void put_arg(struct buf *out, struct bits *bits, enum arg_type type, const uint8_t *from)
{
    if (type != ARG_bit)
        bits->used = 0;
    switch (type) {
    case ARG_octet:
    case ARG_short:
    case ARG_long:
    case ARG_longlong:
        put_number(out, type, from);
        break;
    case ARG_bit: {
        WRITTEN(bit, v);
        put_bit(bits, out, v);
        break;
    }
    case ARG_shortstr:
        put_shortstr(out, from);
        break;
    case ARG_longstr:
    case ARG_table:
        put_longstr(out, from);
        break;
    case ARG_END:
        break;
    }
}

void amqp_put_method(struct buf *out, uint16_t channel, const struct amqp_args *args)
{
    const struct arg *arg = args_of(args->id);
    size_t mark = amqp_frame_begin(out, AMQP_FRAME_METHOD, channel);
    struct bits bits = { 0 };

    CHECK(arg);
    buf_u32(out, args->id);
    for (; arg->type != ARG_END; arg++)
        put_arg(out, &bits, (enum arg_type)arg->type, const_structure_of(args) + arg->at);
    amqp_frame_end(out, mark);
}

/* ---- replies ---- */

const char *amqp_reply_name(enum amqp_reply code)
{
    switch (code) {
#define X(name, number) \
    case AMQP_##name:   \
        return #name;
        AMQP_REPLIES(X)
#undef X
    }
    return "ERROR";
}

/* Section 1.3: soft errors end a channel, hard ones the connection. */
bool amqp_reply_is_hard(enum amqp_reply code)
{
    return code >= AMQP_FRAME_ERROR || code == AMQP_CONNECTION_FORCED || code == AMQP_INVALID_PATH;
}
