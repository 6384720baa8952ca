// SPDX-License-Identifier: MIT
#include "broker/core/headers_match.h"

#include <stdlib.h>

#include "base/mem.h"

static const struct {
    const char *name;
    enum headers_match kind;
} kinds[] = {
    { "all", MATCH_ALL },
    { "any", MATCH_ANY },
    { "all-with-x", MATCH_ALL_WITH_X },
    { "any-with-x", MATCH_ANY_WITH_X },
};

bool headers_match_kind(struct bytes arguments, enum headers_match *out)
{
    struct table_value v;
    struct bytes name;

    *out = MATCH_ALL;
    if (!table_find(arguments, BYTES("x-match"), &v))
        return true;
    if (!table_str(&v, &name))
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (bytes_eq(name, bytes_str(kinds[i].name))) {
            *out = kinds[i].kind;
            return true;
        }
    }
    return false;
}

/* Equal names keep their order, so that the first of them is found. */
static int field_cmp(const void *a, const void *b)
{
    const struct header_field *x = a, *y = b;
    int order = bytes_cmp(x->name, y->name);

    if (order != 0)
        return order;
    return (x->name.p > y->name.p) - (x->name.p < y->name.p);
}

void header_index_fill(struct header_index *h, struct bytes table)
{
    struct table_iter it = table_iter(table);
    struct header_field f;

    h->count = 0;
    while (table_next(&it, &f.name, &f.value)) {
        h->field = mem_grow(h->field, &h->cap, h->count + 1, sizeof *h->field);
        h->field[h->count++] = f;
    }
    if (h->count > 1)
        qsort(h->field, h->count, sizeof *h->field, field_cmp);
}

void header_index_fini(struct header_index *h)
{
    mem_free(h->field);
    *h = (struct header_index){ 0 };
}

/* NULL: no such header. */
static const struct table_value *index_find(const struct header_index *h, struct bytes name)
{
    size_t low = 0, high = h->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (bytes_cmp(h->field[mid].name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == h->count || !bytes_eq(h->field[low].name, name))
        return NULL;
    return &h->field[low].value;
}

static bool field_counts(struct bytes name, bool with_x)
{
    return with_x ? !bytes_eq(name, BYTES("x-match")) : !bytes_starts(name, BYTES("x-"));
}

bool headers_match(struct bytes arguments, enum headers_match kind, const struct header_index *h)
{
    bool any = kind == MATCH_ANY || kind == MATCH_ANY_WITH_X;
    bool with_x = kind == MATCH_ALL_WITH_X || kind == MATCH_ANY_WITH_X;
    struct table_iter it = table_iter(arguments);
    struct bytes name;
    struct table_value want;

    while (table_next(&it, &name, &want)) {
        if (!field_counts(name, with_x))
            continue;

        const struct table_value *has = index_find(h, name);
        bool fits = has && (want.type == 'V' || table_value_eq(&want, has));

        if (fits == any)
            return any;
    }
    return !any;
}
