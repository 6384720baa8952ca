// SPDX-License-Identifier: MIT
#include "base/bytes.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/mem.h"

int bytes_cmp(struct bytes a, struct bytes b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;

    if (c != 0)
        return c;
    return (a.n > b.n) - (a.n < b.n);
}

bool bytes_to_u64(struct bytes b, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (b.n == 0)
        return false;
    for (size_t i = 0; i < b.n; i++) {
        unsigned digit = (unsigned)b.p[i] - '0';

        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    if (v > max)
        return false;
    *out = v;
    return true;
}

size_t bytes_put_u64(uint8_t out[20], uint64_t v)
{
    uint8_t digits[20];
    size_t n = 0;

    do {
        digits[n++] = (uint8_t)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return n;
}

uint64_t bytes_hash(struct bytes b, uint64_t seed)
{
    return XXH3_64bits_withSeed(b.p, b.n, seed);
}

char *bytes_dup_str(struct bytes b)
{
    char *s = mem_alloc(b.n + 1);

    if (b.n)
        memcpy(s, b.p, b.n);
    s[b.n] = 0;
    return s;
}
