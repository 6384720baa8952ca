// SPDX-License-Identifier: MIT
#include "proto/stomp.h"

/* What an octet needs, a bit per version: it is escaped, or (1.0) cannot be
 * carried; and whether that holds in names only. */
enum {
    PLAIN = 0,
    IN_V1_0 = 1 << STOMP_V1_0,
    IN_V1_1 = 1 << STOMP_V1_1,
    IN_V1_2 = 1 << STOMP_V1_2,
};

static const uint8_t special[256] = {
    [0] = IN_V1_0 | IN_V1_1 | IN_V1_2,
    ['\n'] = IN_V1_0 | IN_V1_1 | IN_V1_2,
    ['\r'] = IN_V1_2,
    ['\\'] = IN_V1_1 | IN_V1_2,
    [':'] = IN_V1_1 | IN_V1_2,
};

void stomp_put_command(struct buf *out, enum stomp_command c)
{
    buf_str(out, stomp_command_name(c));
    buf_u8(out, '\n');
}

/* The second octet of an escape; 0 for what has none. */
static uint8_t escape_letter(uint8_t c)
{
    switch (c) {
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case ':':
        return 'c';
    case '\\':
        return '\\';
    default:
        return 0;
    }
}

/* Writes `text` at `to`, where twice its length is free; returns the end. */
static uint8_t *put_escaped(uint8_t *to, enum stomp_version v, struct bytes text)
{
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        uint8_t letter = v == STOMP_V1_0 ? 0 : escape_letter(c);

        if (!(special[c] & 1 << v)) {
            *to++ = c;
        } else if (letter) {
            *to++ = '\\';
            *to++ = letter;
        } else {
            *to++ = '?';
        }
    }
    return to;
}

/* Copies and looks in one go, for most texts need no escape; else once more. */
static uint8_t *put_text(uint8_t *to, enum stomp_version v, struct bytes text)
{
    unsigned seen = 0;

    for (size_t i = 0; i < text.n; i++) {
        to[i] = text.p[i];
        seen |= special[text.p[i]];
    }
    return seen & 1U << v ? put_escaped(to, v, text) : to + text.n;
}

/* In 1.0 nothing can stand for a colon, which would end the name early. */
static void mask_colons(uint8_t *from, const uint8_t *end)
{
    for (; from < end; from++)
        if (*from == ':')
            *from = '?';
}

void stomp_put_header(struct buf *out, enum stomp_version v, struct bytes name, struct bytes value)
{
    uint8_t *start = buf_reserve(out, 2 * (name.n + value.n) + 2);
    uint8_t *to = put_text(start, v, name);

    if (v == STOMP_V1_0)
        mask_colons(start, to);
    *to++ = ':';
    to = put_text(to, v, value);
    *to++ = '\n';
    out->n += (size_t)(to - start);
}

void stomp_put_header_u64(struct buf *out, struct bytes name, uint64_t value)
{
    buf_bytes(out, name);
    buf_u8(out, ':');
    buf_decimal(out, value);
    buf_u8(out, '\n');
}

void stomp_put_head_end(struct buf *out)
{
    buf_u8(out, '\n');
}

void stomp_put_end(struct buf *out)
{
    buf_u8(out, 0);
}
