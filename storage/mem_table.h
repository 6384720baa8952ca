// SPDX-License-Identifier: MIT
/* mem_table.h - rows in memory, sorted by two numbers: a table of engine_mem.
 *
 * Zero-initialised is empty and valid.  Rows own their bytes. */
#ifndef STORAGE_MEM_TABLE_H
#define STORAGE_MEM_TABLE_H

#include "base/buf.h"

struct mem_row {
    uint64_t a, b; /* the key */
    uint64_t value;
    struct buf x, y;
};

struct mem_table {
    struct mem_row *row;
    size_t n, cap;
};

void mem_table_fini(struct mem_table *t);
void mem_table_copy(struct mem_table *to, const struct mem_table *from);

/* NULL: not there.  Valid until the table changes. */
struct mem_row *mem_table_find(const struct mem_table *t, uint64_t a, uint64_t b);

/* The row with that key, emptied or new. */
struct mem_row *mem_table_put(struct mem_table *t, uint64_t a, uint64_t b);

void mem_table_delete(struct mem_table *t, uint64_t a, uint64_t b);
void mem_table_delete_all(struct mem_table *t, uint64_t a); /* every row of `a` */

#endif
