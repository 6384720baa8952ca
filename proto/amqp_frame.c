// SPDX-License-Identifier: MIT
#include "proto/amqp.h"

#include "base/check.h"
#include "base/reader.h"
#include "proto/props.h"
#include "proto/table.h"

enum { CLASS_BASIC = 60 };

const uint8_t amqp_protocol[AMQP_PROTOCOL_BYTES] = { 'A', 'M', 'Q', 'P', 0, 0, 9, 1 };

static bool is_type(uint8_t type)
{
    return (type >= AMQP_FRAME_METHOD && type <= AMQP_FRAME_BODY) || type == AMQP_FRAME_HEARTBEAT;
}

/* What is wrong with a head; NULL: nothing. */
static const char *head_fault(const struct amqp_frame *f, uint32_t size, uint32_t frame_max)
{
    if (!is_type(f->type))
        return "unknown frame type";
    if (frame_max < AMQP_FRAME_EXTRA_BYTES || size > frame_max - AMQP_FRAME_EXTRA_BYTES)
        return "frame is larger than frame_max";
    if (f->type == AMQP_FRAME_HEARTBEAT && (f->channel != 0 || size != 0))
        return "a heartbeat has channel 0 and no payload";
    return NULL;
}

enum decode amqp_frame_decode(struct bytes in, uint32_t frame_max, struct amqp_frame *out,
                              size_t *used, const char **why)
{
    struct reader r = reader_over(in);
    struct amqp_frame f = { .type = reader_u8(&r), .channel = reader_u16(&r) };
    uint32_t size = reader_u32(&r);

    if (r.failed)
        return DECODE_MORE;
    *why = head_fault(&f, size, frame_max);
    if (*why)
        return DECODE_BAD;
    f.payload = reader_take(&r, size);
    uint8_t end = reader_u8(&r);
    if (r.failed)
        return DECODE_MORE;
    if (end != AMQP_FRAME_END) {
        *why = "frame does not end with 0xCE";
        return DECODE_BAD;
    }
    *out = f;
    *used = (size_t)size + AMQP_FRAME_EXTRA_BYTES;
    return DECODE_OK;
}

size_t amqp_frame_begin(struct buf *out, uint8_t type, uint16_t channel)
{
    uint8_t *p = buf_reserve(out, AMQP_FRAME_HEAD_BYTES);

    p[0] = type;
    p[1] = (uint8_t)(channel >> 8);
    p[2] = (uint8_t)channel;
    out->n += AMQP_FRAME_HEAD_BYTES;
    return out->n;
}

void amqp_frame_end(struct buf *out, size_t mark)
{
    size_t n = out->n - mark;

    CHECK(n <= UINT32_MAX);
    for (unsigned i = 0; i < 4; i++)
        out->p[mark - 1 - i] = (uint8_t)(n >> 8 * i);
    buf_u8(out, AMQP_FRAME_END);
}

void amqp_put_heartbeat(struct buf *out)
{
    amqp_frame_end(out, amqp_frame_begin(out, AMQP_FRAME_HEARTBEAT, 0));
}

/* ---- content ---- */

enum decode amqp_content_decode(struct bytes payload, struct amqp_content *out, const char **why)
{
    struct reader r = reader_over(payload);
    struct amqp_content c = { .class_id = reader_u16(&r) };
    uint16_t weight = reader_u16(&r);
    struct props p;

    c.body_size = reader_u64(&r);
    c.props = reader_rest(&r);
    *why = "malformed content header";
    if (r.failed || c.class_id != CLASS_BASIC || weight != 0 || !props_decode(c.props, &p) ||
        !table_valid(p.headers))
        return DECODE_BAD;
    *out = c;
    return DECODE_OK;
}

void amqp_put_content_header(struct buf *out, uint16_t channel, uint64_t body_size,
                             struct bytes props)
{
    size_t mark = amqp_frame_begin(out, AMQP_FRAME_HEADER, channel);

    buf_u16(out, CLASS_BASIC);
    buf_u16(out, 0);
    buf_u64(out, body_size);
    if (props.n)
        buf_bytes(out, props);
    else
        buf_u16(out, 0); /* no flag is set */
    amqp_frame_end(out, mark);
}

void amqp_put_body(struct buf *out, uint16_t channel, uint32_t frame_max, struct bytes body)
{
    size_t most = frame_max > AMQP_FRAME_EXTRA_BYTES ? frame_max - AMQP_FRAME_EXTRA_BYTES
                                                     : UINT32_MAX;

    while (body.n > 0) {
        struct bytes piece = bytes_head(body, most);
        size_t mark = amqp_frame_begin(out, AMQP_FRAME_BODY, channel);

        buf_bytes(out, piece);
        amqp_frame_end(out, mark);
        body = bytes_from(body, piece.n);
    }
}
