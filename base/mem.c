// SPDX-License-Identifier: MIT
#include "base/mem.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No logger here: it may itself want memory. */
static _Noreturn void out_of_memory(size_t n)
{
    (void)fprintf(stderr, "mem.exhausted bytes=%zu\n", n);
    abort();
}

void *mem_alloc(size_t n)
{
    void *p = malloc(n ? n : 1);

    if (!p)
        out_of_memory(n);
    return p;
}

void *mem_zalloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);

    if (!p)
        out_of_memory(n);
    return p;
}

void *mem_array(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);

    if (!p)
        out_of_memory(count);
    return p;
}

void *mem_realloc(void *p, size_t n)
{
    void *q = realloc(p, n ? n : 1);

    if (!q)
        out_of_memory(n);
    return q;
}

void *mem_grow(void *p, size_t *cap, size_t count, size_t size)
{
    size_t want = *cap ? *cap : 8;

    if (count <= *cap)
        return p;
    while (want < count) {
        if (want > SIZE_MAX / 2 / size)
            out_of_memory(SIZE_MAX);
        want *= 2;
    }
    *cap = want;
    return mem_realloc(p, want * size);
}

char *mem_strdup(const char *s)
{
    size_t n = strlen(s) + 1;

    return memcpy(mem_alloc(n), s, n);
}

void mem_free(void *p)
{
    free(p);
}

/* The library would raise its own threshold to 32 MB with the first large block, and such blocks,
 * among small ones that live on, leave holes for good. */
enum { MAPPED_FROM_BYTES = 512 * 1024, KEPT_AT_END_BYTES = 32 * 1024 * 1024 };

void mem_setup(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_AT_END_BYTES);
}

void mem_give_back(void)
{
    (void)malloc_trim(0);
}
