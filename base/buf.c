// SPDX-License-Identifier: MIT
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"

void buf_fini(struct buf *b)
{
    mem_free(b->p);
    *b = (struct buf){ 0 };
}

uint8_t *buf_reserve(struct buf *b, size_t extra)
{
    CHECK(extra <= SIZE_MAX / 4 && b->n <= SIZE_MAX / 4);
    if (extra > b->cap - b->n || !b->p) {
        size_t want = b->cap ? b->cap * 2 : 64;

        while (want < b->n + extra)
            want *= 2;
        b->p = mem_realloc(b->p, want);
        b->cap = want;
    }
    return b->p + b->n;
}

void buf_fit(struct buf *b)
{
    if (b->n == b->cap)
        return;
    b->p = mem_realloc(b->p, b->n);
    b->cap = b->n;
}

void buf_drop(struct buf *b, size_t n)
{
    CHECK(n <= b->n);
    if (n > 0 && n < b->n)
        memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    (void)vsnprintf((char *)buf_reserve(b, (size_t)n + 1), (size_t)n + 1, fmt, again);
    va_end(again);
    b->n += (size_t)n;
}

uint8_t *buf_take(struct buf *b, size_t *n_out)
{
    uint8_t *p = b->p;

    *n_out = b->n;
    *b = (struct buf){ 0 };
    return p;
}

void buf_u16(struct buf *b, uint16_t v)
{
    uint8_t w[2] = { (uint8_t)(v >> 8), (uint8_t)v };

    buf_put(b, w, sizeof w);
}

void buf_u32(struct buf *b, uint32_t v)
{
    uint8_t w[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

    buf_put(b, w, sizeof w);
}

void buf_u64(struct buf *b, uint64_t v)
{
    buf_u32(b, (uint32_t)(v >> 32));
    buf_u32(b, (uint32_t)v);
}

void buf_decimal(struct buf *b, uint64_t v)
{
    uint8_t digits[20];

    buf_put(b, digits, bytes_put_u64(digits, v));
}

void buf_varint(struct buf *b, uint64_t v)
{
    uint8_t w[10];
    size_t n = 0;

    while (v >= 0x80) {
        w[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    w[n++] = (uint8_t)v;
    buf_put(b, w, n);
}
