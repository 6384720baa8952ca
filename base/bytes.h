// SPDX-License-Identifier: MIT
/* bytes.h - a view of bytes that somebody else owns.
 *
 * Not NUL-terminated.  A view lives as long as the buffer it points into; who
 * keeps one longer copies it.  {NULL, 0} is the empty view. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *p;
    size_t n;
};

/* A string literal as bytes, without its NUL. */
#define BYTES(lit) ((struct bytes){ (const uint8_t *)("" lit), sizeof(lit) - 1 })

/* For printf("%.*s"): only for text that was checked to be printable. */
#define BYTES_FMT(b) (int)(b).n, (const char *)(b).p

static inline struct bytes bytes_of(const void *p, size_t n)
{
    return (struct bytes){ p, n };
}

static inline struct bytes bytes_str(const char *s)
{
    return (struct bytes){ (const uint8_t *)s, s ? strlen(s) : 0 };
}

static inline bool bytes_eq(struct bytes a, struct bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool bytes_starts(struct bytes b, struct bytes prefix)
{
    return b.n >= prefix.n && (prefix.n == 0 || memcmp(b.p, prefix.p, prefix.n) == 0);
}

/* The part from `from` on; empty when `from` is past the end. */
static inline struct bytes bytes_from(struct bytes b, size_t from)
{
    return from < b.n ? (struct bytes){ b.p + from, b.n - from } : (struct bytes){ NULL, 0 };
}

static inline struct bytes bytes_head(struct bytes b, size_t n)
{
    return (struct bytes){ b.p, n < b.n ? n : b.n };
}

/* Orders as memcmp does, the shorter first when one begins the other. */
int bytes_cmp(struct bytes a, struct bytes b);

/* Decimal, no sign, no blanks; false when empty, not a number or above `max`. */
bool bytes_to_u64(struct bytes b, uint64_t max, uint64_t *out);

/* Writes the decimal digits of `v`; returns their count (at most 20). */
size_t bytes_put_u64(uint8_t out[20], uint64_t v);

/* Keyed 64-bit hash (XXH3): `seed` is secret to the process, so that a peer
 * cannot choose colliding names. */
uint64_t bytes_hash(struct bytes b, uint64_t seed);

/* A heap copy with a NUL behind it; free with mem_free. */
char *bytes_dup_str(struct bytes b);

#endif
