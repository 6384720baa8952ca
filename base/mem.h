// SPDX-License-Identifier: MIT
/* mem.h - allocation that does not fail.
 *
 * Out of memory ends the process (docs/decisions/0005): every size that a peer
 * decides is compared with a limit before it comes here. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#define mem_new(type) ((type *)mem_zalloc(sizeof(type)))

void *mem_alloc(size_t n) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *mem_zalloc(size_t n) __attribute__((malloc, returns_nonnull, alloc_size(1)));

/* An array of `count` elements, zeroed; the product is checked. */
void *mem_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));

/* `count` elements at least; grows `*cap` by doubling.  New room is not zeroed. */
void *mem_grow(void *p, size_t *cap, size_t count, size_t size);

void *mem_realloc(void *p, size_t n) __attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((returns_nonnull));
void mem_free(void *p);

/* Once at the start of a daemon: what is large goes back to the system when it is freed,
 * however often it comes and goes. */
void mem_setup(void);

/* What is free goes back to the system; takes milliseconds. */
void mem_give_back(void);

#endif
