// SPDX-License-Identifier: MIT
/* reader.h - a bounds-checked cursor over bytes from outside.
 *
 * Sticky: once a read would pass the end, `failed` is set and every further
 * read gives zero or an empty view, so a decoder is straight-line code with one
 * test at its end.  Never loop on, or index by, a value before that test.
 * Numbers are in network byte order. */
#ifndef BASE_READER_H
#define BASE_READER_H

#include "base/bytes.h"

struct reader {
    const uint8_t *p;
    size_t left;
    bool failed;
};

static inline struct reader reader_over(struct bytes b)
{
    return (struct reader){ b.p, b.n, false };
}

static inline struct bytes reader_take(struct reader *r, size_t n)
{
    if (r->failed || n > r->left) { /* no sum that could wrap */
        r->failed = true;
        return (struct bytes){ NULL, 0 };
    }
    struct bytes b = { r->p, n };
    if (n > 0) /* of the empty view p is NULL */
        r->p += n;
    r->left -= n;
    return b;
}

static inline struct bytes reader_rest(struct reader *r)
{
    return reader_take(r, r->left);
}

static inline uint8_t reader_u8(struct reader *r)
{
    struct bytes b = reader_take(r, 1);

    return b.n ? b.p[0] : 0;
}

static inline uint16_t reader_u16(struct reader *r)
{
    struct bytes b = reader_take(r, 2);

    return b.n ? (uint16_t)(b.p[0] << 8 | b.p[1]) : 0;
}

static inline uint32_t reader_u32(struct reader *r)
{
    struct bytes b = reader_take(r, 4);

    return b.n ? (uint32_t)b.p[0] << 24 | (uint32_t)b.p[1] << 16 | (uint32_t)b.p[2] << 8 | b.p[3]
               : 0;
}

static inline uint64_t reader_u64(struct reader *r)
{
    struct bytes b = reader_take(r, 8);
    struct reader whole = { b.p, b.n, r->failed };
    uint64_t hi = reader_u32(&whole);

    return hi << 32 | reader_u32(&whole);
}

/* LEB128 as buf_varint writes it; longer than ten bytes, or above 64 bits, fails. */
static inline uint64_t reader_varint(struct reader *r)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte = reader_u8(r);

        if (r->failed || (shift == 63 && byte > 1))
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
    r->failed = true;
    return 0;
}

/* A length of one, two or four octets, then so many bytes. */
static inline struct bytes reader_bytes8(struct reader *r)
{
    return reader_take(r, reader_u8(r));
}

static inline struct bytes reader_bytes16(struct reader *r)
{
    return reader_take(r, reader_u16(r));
}

static inline struct bytes reader_bytes32(struct reader *r)
{
    return reader_take(r, reader_u32(r));
}

static inline struct bytes reader_bytes_varint(struct reader *r)
{
    uint64_t n = reader_varint(r);

    if (n > r->left) {
        r->failed = true;
        return (struct bytes){ NULL, 0 };
    }
    return reader_take(r, (size_t)n);
}

#endif
