// SPDX-License-Identifier: MIT
#include "proto/websocket.h"

enum { FIN = 0x80, RESERVED = 0x70, OPCODE = 0x0f, MASKED = 0x80, LENGTH = 0x7f };

static bool is_control(uint8_t opcode)
{
    return opcode >= WS_CLOSE;
}

static enum decode bad(const char **why, const char *text)
{
    *why = text;
    return DECODE_BAD;
}

static size_t head_size(const struct ws_decoder *d)
{
    uint8_t length = d->head[1] & LENGTH;

    if (d->head_n < 2)
        return 2;
    return 2u + (length == 126 ? 2 : length == 127 ? 8 : 0) + 4;
}

static const char *first_fault(const struct ws_decoder *d)
{
    uint8_t opcode = d->head[0] & OPCODE;

    if (d->head[0] & RESERVED)
        return "a reserved bit is set";
    if (!(d->head[1] & MASKED))
        return "a frame is not masked";
    if (is_control(opcode)) {
        if (opcode > WS_PONG)
            return "an opcode is unknown";
        if (!(d->head[0] & FIN) || (d->head[1] & LENGTH) > WS_CONTROL_MAX)
            return "a control frame is fragmented, or longer than 125 bytes";
        return NULL;
    }
    if (opcode > WS_BINARY)
        return "an opcode is unknown";
    if ((opcode == WS_CONTINUATION) != (d->message != 0))
        return "a fragment stands where none may, or is missing";
    return NULL;
}

static const char *take_head(struct ws_decoder *d)
{
    uint8_t length = d->head[1] & LENGTH;
    size_t more = length == 126 ? 2 : length == 127 ? 8 : 0;

    d->left = more ? 0 : length;
    for (size_t i = 0; i < more; i++)
        d->left = d->left << 8 | d->head[2 + i];
    if (d->left >> 63 || (more == 2 && d->left < 126) || (more == 8 && d->left <= 0xffff))
        return "a length is not said in the shortest way";
    memcpy(d->mask, d->head + 2 + more, sizeof d->mask);
    d->mask_at = 0;
    d->opcode = d->head[0] & OPCODE;
    d->final = d->head[0] & FIN;
    if (!is_control(d->opcode) && d->opcode != WS_CONTINUATION)
        d->message = d->opcode;
    d->head_n = d->control_n = 0;
    d->in_payload = true;
    return NULL;
}

/* Bytes used; the head is whole once in_payload is set. */
static size_t read_head(struct ws_decoder *d, const uint8_t *in, size_t n, const char **fault)
{
    size_t at = 0;

    *fault = NULL;
    while (at < n && !d->in_payload && !*fault) {
        d->head[d->head_n++] = in[at++];
        if (d->head_n == 2)
            *fault = first_fault(d);
        if (!*fault && d->head_n >= 2 && d->head_n == head_size(d))
            *fault = take_head(d);
    }
    return at;
}

static void unmask(struct ws_decoder *d, uint8_t *p, size_t n)
{
    uint8_t mask[4];

    for (size_t i = 0; i < sizeof mask; i++)
        mask[i] = d->mask[(d->mask_at + i) & 3];
    for (size_t i = 0; i < n; i++)
        p[i] ^= mask[i & 3];
    d->mask_at = (uint8_t)((d->mask_at + n) & 3);
}

static void frame_done(struct ws_decoder *d)
{
    d->in_payload = false;
    if (!is_control(d->opcode) && d->final)
        d->message = 0;
}

enum decode ws_decode(struct ws_decoder *d, uint8_t *in, size_t n, size_t *used,
                      struct ws_piece *out, const char **why)
{
    const char *fault = NULL;
    size_t at = 0;

    for (;;) {
        if (!d->in_payload)
            at += read_head(d, in + at, n - at, &fault);
        *used = at;
        if (fault)
            return bad(why, fault);
        if (!d->in_payload)
            return DECODE_MORE;

        size_t take = n - at < d->left ? n - at : (size_t)d->left;
        uint8_t *p = in + at;

        unmask(d, p, take);
        at += take;
        d->left -= take;
        *used = at;
        if (is_control(d->opcode)) {
            if (take)
                memcpy(d->control + d->control_n, p, take);
            d->control_n = (uint8_t)(d->control_n + take);
            if (d->left > 0)
                return DECODE_MORE;
            frame_done(d);
            *out = (struct ws_piece){ (enum ws_opcode)d->opcode,
                                      bytes_of(d->control, d->control_n) };
            return DECODE_OK;
        }
        *out = (struct ws_piece){ (enum ws_opcode)d->message, bytes_of(p, take) };
        if (d->left == 0)
            frame_done(d);
        if (take > 0)
            return DECODE_OK;
        if (at == n)
            return DECODE_MORE;
    }
}

size_t ws_put_head(uint8_t out[WS_HEAD_MAX], enum ws_opcode opcode, uint64_t n)
{
    size_t more = n <= 125 ? 0 : n <= 0xffff ? 2 : 8;

    out[0] = (uint8_t)(FIN | opcode);
    out[1] = more == 0 ? (uint8_t)n : more == 2 ? 126 : 127;
    for (size_t i = 0; i < more; i++)
        out[2 + i] = (uint8_t)(n >> 8 * (more - 1 - i));
    return 2 + more;
}
