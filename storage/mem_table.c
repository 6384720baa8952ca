// SPDX-License-Identifier: MIT
#include "storage/mem_table.h"

#include "base/mem.h"

static void row_fini(struct mem_row *r)
{
    buf_fini(&r->x);
    buf_fini(&r->y);
}

void mem_table_fini(struct mem_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        row_fini(&t->row[i]);
    mem_free(t->row);
    *t = (struct mem_table){ 0 };
}

void mem_table_copy(struct mem_table *to, const struct mem_table *from)
{
    for (size_t i = 0; i < from->n; i++) {
        struct mem_row *r = mem_table_put(to, from->row[i].a, from->row[i].b);

        r->value = from->row[i].value;
        buf_bytes(&r->x, buf_view(&from->row[i].x));
        buf_bytes(&r->y, buf_view(&from->row[i].y));
    }
}

/* The first row whose key is not below (a, b). */
static size_t lower_bound(const struct mem_table *t, uint64_t a, uint64_t b)
{
    size_t low = 0, high = t->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct mem_row *r = &t->row[mid];

        if (r->a < a || (r->a == a && r->b < b))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool row_is(const struct mem_table *t, size_t i, uint64_t a, uint64_t b)
{
    return i < t->n && t->row[i].a == a && t->row[i].b == b;
}

struct mem_row *mem_table_find(const struct mem_table *t, uint64_t a, uint64_t b)
{
    size_t i = lower_bound(t, a, b);

    return row_is(t, i, a, b) ? &t->row[i] : NULL;
}

struct mem_row *mem_table_put(struct mem_table *t, uint64_t a, uint64_t b)
{
    size_t i = lower_bound(t, a, b);

    if (row_is(t, i, a, b)) {
        row_fini(&t->row[i]);
    } else {
        t->row = mem_grow(t->row, &t->cap, t->n + 1, sizeof *t->row);
        memmove(&t->row[i + 1], &t->row[i], (t->n - i) * sizeof *t->row);
        t->n++;
    }
    t->row[i] = (struct mem_row){ .a = a, .b = b };
    return &t->row[i];
}

static void delete_range(struct mem_table *t, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        row_fini(&t->row[i]);
    if (to > from)
        memmove(&t->row[from], &t->row[to], (t->n - to) * sizeof *t->row);
    t->n -= to - from;
}

void mem_table_delete(struct mem_table *t, uint64_t a, uint64_t b)
{
    size_t i = lower_bound(t, a, b);

    if (row_is(t, i, a, b))
        delete_range(t, i, i + 1);
}

void mem_table_delete_all(struct mem_table *t, uint64_t a)
{
    size_t from = lower_bound(t, a, 0), to = from;

    while (to < t->n && t->row[to].a == a)
        to++;
    delete_range(t, from, to);
}
