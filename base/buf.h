// SPDX-License-Identifier: MIT
/* buf.h - a growable run of bytes: the writer of every encoder.
 *
 * Zero-initialised is empty and valid.  Owner frees with buf_fini.  Growing
 * moves the bytes, so keep offsets, not pointers.  Numbers are written in
 * network byte order unless the name says otherwise. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/bytes.h"

struct buf {
    uint8_t *p;
    size_t n, cap;
};

void buf_fini(struct buf *b);

/* Room for `extra` more bytes; returns where they begin.  Add to b->n what was
 * used of it. */
uint8_t *buf_reserve(struct buf *b, size_t extra);

/* Gives back what is not used: for what lives long. */
void buf_fit(struct buf *b);

/* Forgets the first `n` bytes and moves the rest to the front. */
void buf_drop(struct buf *b, size_t n);

void buf_fmt(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Takes the bytes and leaves the buffer empty; free with mem_free. */
uint8_t *buf_take(struct buf *b, size_t *n_out);

static inline struct bytes buf_view(const struct buf *b)
{
    return (struct bytes){ b->p, b->n };
}

static inline void buf_put(struct buf *b, const void *p, size_t n)
{
    if (n > b->cap - b->n)
        buf_reserve(b, n);
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

static inline void buf_bytes(struct buf *b, struct bytes v)
{
    buf_put(b, v.p, v.n);
}

static inline void buf_str(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

static inline void buf_u8(struct buf *b, uint8_t v)
{
    buf_put(b, &v, 1);
}

void buf_u16(struct buf *b, uint16_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
void buf_decimal(struct buf *b, uint64_t v);

/* LEB128: seven bits a byte, least significant first, at most ten bytes. */
void buf_varint(struct buf *b, uint64_t v);

#endif
