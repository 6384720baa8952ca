// SPDX-License-Identifier: MIT
/* fuzz_table.c - the input is a field table, and message properties.
 *
 * A valid table is walked to its end at every level, copied to the same bytes,
 * and each of its values equals itself; properties come back byte for byte.
 * What is not valid is walked without harm. */
#include "base/check.h"
#include "base/mem.h"
#include "proto/props.h"
#include "proto/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_value(const struct table_value *v, bool valid)
{
    struct bytes text;
    int64_t number;
    bool on;

    CHECK(table_value_eq(v, v));
    int kinds = table_int(v, &number) + table_bool(v, &on) + table_str(v, &text);
    CHECK(kinds <= 1);
    if (v->type == 'F' && valid)
        CHECK(table_valid(v->raw));
}

/* Its end is reached exactly if nothing failed. */
static struct buf copy_table(struct bytes table, bool valid)
{
    struct table_iter it = table_iter(table);
    struct table_value v, found, last = { 0 };
    struct buf copy = { 0 };
    struct bytes name;

    while (table_next(&it, &name, &v)) {
        check_value(&v, valid);
        CHECK(table_find(table, name, &found));
        CHECK(table_value_eq(&v, &last) == table_value_eq(&last, &v));
        table_put_value(&copy, name, &v);
        last = v;
    }
    CHECK(it.r.failed || it.r.left == 0);
    CHECK(!valid || !it.r.failed);
    return copy;
}

static void check_array(struct bytes array, bool valid)
{
    struct table_iter it = table_iter(array);
    struct buf copy = { 0 };
    struct table_value v;

    while (table_next_element(&it, &v)) {
        check_value(&v, valid);
        table_put_element(&copy, &v);
    }
    CHECK(!valid || bytes_eq(buf_view(&copy), array));
    buf_fini(&copy);
}

/* As the one field "k" of a table: what is valid inside is valid as a whole. */
static void check_as_array(struct bytes in)
{
    struct buf b = { 0 };
    size_t mark = table_begin(&b, BYTES("k"), 'A');

    buf_bytes(&b, in);
    table_end(&b, mark);
    check_array(in, table_valid(buf_view(&b)));
    buf_fini(&b);
}

static void check_table(struct bytes in)
{
    bool valid = table_valid(in);
    struct buf copy = copy_table(in, valid);

    CHECK(!valid || bytes_eq(buf_view(&copy), in));
    CHECK(copy.n <= in.n && (copy.n == 0 || memcmp(copy.p, in.p, copy.n) == 0));
    buf_fini(&copy);
}

static void check_props(struct bytes in)
{
    struct props p;
    struct buf b = { 0 };

    if (!props_decode(in, &p))
        return;
    props_encode(&b, &p);
    CHECK(bytes_eq(buf_view(&b), in));
    check_table(p.headers);
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *exact = mem_alloc(n); /* so that reading on is seen */
    struct bytes in = { exact, n };

    if (n > 0)
        memcpy(exact, data, n);
    check_table(in);
    check_as_array(in);
    check_props(in);
    mem_free(exact);
    return 0;
}
