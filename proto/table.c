// SPDX-License-Identifier: MIT
#include "proto/table.h"

#include <inttypes.h>

#include "base/check.h"

/* Types whose value has a u32 length before it. */
static bool has_length(char type)
{
    return type == 'S' || type == 'x' || type == 'A' || type == 'F';
}

/* Bytes of a value of this type, without a length; -1: no such type. */
static int fixed_size(char type)
{
    switch (type) {
    case 'V':
        return 0;
    case 't':
    case 'b':
    case 'B':
        return 1;
    case 's':
    case 'u':
        return 2;
    case 'I':
    case 'i':
    case 'f':
        return 4;
    case 'D':
        return 5;
    case 'L':
    case 'l':
    case 'd':
    case 'T':
        return 8;
    default:
        return -1;
    }
}

static bool next_value(struct reader *r, struct table_value *value)
{
    struct table_value v = { .type = (char)reader_u8(r) };

    if (has_length(v.type)) {
        v.raw = reader_bytes32(r);
    } else {
        int size = fixed_size(v.type);

        if (size < 0)
            r->failed = true;
        else
            v.raw = reader_take(r, (size_t)size);
    }
    if (r->failed)
        return false;
    *value = v;
    return true;
}

struct table_iter table_iter(struct bytes table)
{
    return (struct table_iter){ reader_over(table) };
}

bool table_next(struct table_iter *it, struct bytes *name, struct table_value *value)
{
    if (it->r.failed || it->r.left == 0)
        return false;
    *name = reader_bytes8(&it->r);
    return next_value(&it->r, value);
}

bool table_next_element(struct table_iter *it, struct table_value *value)
{
    return !it->r.failed && it->r.left > 0 && next_value(&it->r, value);
}

/* Where a walk is inside one table or array. */
struct level {
    struct table_iter it;
    char type; /* 'A' or 'F' */
};

static bool level_next(struct level *l, struct bytes *name, struct table_value *value)
{
    *name = (struct bytes){ NULL, 0 };
    return l->type == 'A' ? table_next_element(&l->it, value) : table_next(&l->it, name, value);
}

bool table_valid(struct bytes table)
{
    struct level stack[TABLE_DEPTH_MAX] = { { table_iter(table), 'F' } };
    size_t depth = 1;

    while (depth > 0) {
        struct level *top = &stack[depth - 1];
        struct bytes name;
        struct table_value v;

        if (level_next(top, &name, &v)) {
            if (v.type != 'A' && v.type != 'F')
                continue;
            if (depth == TABLE_DEPTH_MAX)
                return false;
            stack[depth++] = (struct level){ table_iter(v.raw), v.type };
        } else if (top->it.r.failed) {
            return false;
        } else {
            depth--;
        }
    }
    return true;
}

bool table_find(struct bytes table, struct bytes name, struct table_value *out)
{
    struct table_iter it = table_iter(table);
    struct bytes at;
    struct table_value v;

    while (table_next(&it, &at, &v)) {
        if (bytes_eq(at, name)) {
            *out = v;
            return true;
        }
    }
    return false;
}

static uint64_t big_endian(struct bytes raw)
{
    uint64_t v = 0;

    for (size_t i = 0; i < raw.n; i++)
        v = v << 8 | raw.p[i];
    return v;
}

bool table_int(const struct table_value *v, int64_t *out)
{
    uint64_t u = v->raw.n <= 8 ? big_endian(v->raw) : 0;

    switch (v->type) {
    case 'B':
    case 'u':
    case 'i':
        *out = (int64_t)u;
        return true;
    case 'b':
        *out = (int8_t)u;
        return true;
    case 's':
        *out = (int16_t)u;
        return true;
    case 'I':
        *out = (int32_t)u;
        return true;
    case 'L':
    case 'l':
        *out = (int64_t)u;
        return true;
    default:
        return false;
    }
}

bool table_bool(const struct table_value *v, bool *out)
{
    if (v->type != 't')
        return false;
    *out = v->raw.p[0] != 0;
    return true;
}

bool table_str(const struct table_value *v, struct bytes *out)
{
    if (v->type != 'S' && v->type != 'x')
        return false;
    *out = v->raw;
    return true;
}

/* A number as an integer when it is one, else as a floating one. */
struct number {
    bool is_int;
    int64_t i;
    double d;
};

static struct number number_of_double(double d)
{
    /* -2^63 and 2^63 are exact, and so is every integer between that is a double. */
    if (d >= -0x1p63 && d < 0x1p63 && (double)(int64_t)d == d)
        return (struct number){ .is_int = true, .i = (int64_t)d };
    return (struct number){ .d = d };
}

/* Digits without trailing zeros, so that 1.0 is 1. */
static struct number number_of_decimal(struct bytes raw)
{
    unsigned scale = raw.p[0];
    uint64_t digits = big_endian(bytes_from(raw, 1));
    double divisor = 1;

    for (; scale > 0 && digits % 10 == 0 && digits > 0; scale--)
        digits /= 10;
    if (scale == 0 || digits == 0)
        return (struct number){ .is_int = true, .i = (int64_t)digits };
    for (; scale > 0; scale--)
        divisor *= 10;
    return (struct number){ .d = (double)digits / divisor };
}

static bool number_of(const struct table_value *v, struct number *out)
{
    uint64_t bits = v->raw.n <= 8 ? big_endian(v->raw) : 0;
    uint32_t bits32 = (uint32_t)bits;
    double d;
    float f;

    switch (v->type) {
    case 'd':
        memcpy(&d, &bits, sizeof d);
        *out = number_of_double(d);
        return true;
    case 'f':
        memcpy(&f, &bits32, sizeof f);
        *out = number_of_double((double)f);
        return true;
    case 'D':
        *out = number_of_decimal(v->raw);
        return true;
    default:
        *out = (struct number){ .is_int = true };
        return table_int(v, &out->i);
    }
}

bool table_text(const struct table_value *v, struct buf *room, struct bytes *out)
{
    struct number number;
    bool flag;

    if (table_str(v, out))
        return true;
    room->n = 0;
    if (table_bool(v, &flag))
        buf_str(room, flag ? "true" : "false");
    else if (v->type == 'T')
        buf_decimal(room, big_endian(v->raw));
    else if (v->type == 'D' || !number_of(v, &number))
        return false;
    else if (number.is_int)
        buf_fmt(room, "%" PRId64, number.i);
    else
        buf_fmt(room, "%.17g", number.d);
    *out = buf_view(room);
    return true;
}

/* Of two values that hold no others. */
static bool scalar_eq(const struct table_value *a, const struct table_value *b)
{
    struct number x, y;
    struct bytes s, t;
    bool p, q;

    if (a->type == b->type && bytes_eq(a->raw, b->raw))
        return true; /* a NaN too equals itself here */
    if (number_of(a, &x) && number_of(b, &y))
        return x.is_int == y.is_int && (x.is_int ? x.i == y.i : x.d >= y.d && x.d <= y.d);
    if (table_str(a, &s) && table_str(b, &t))
        return bytes_eq(s, t);
    return table_bool(a, &p) && table_bool(b, &q) && p == q;
}

struct pair {
    struct level a, b;
};

/* The next of both; false when either ended, and then `*same` if both did. */
static bool pair_next(struct pair *p, struct table_value *x, struct table_value *y, bool *same)
{
    struct bytes x_name, y_name;
    bool x_more = level_next(&p->a, &x_name, x), y_more = level_next(&p->b, &y_name, y);

    *same = x_more == y_more && !p->a.it.r.failed && !p->b.it.r.failed;
    if (!x_more || !y_more)
        return false;
    *same = bytes_eq(x_name, y_name);
    return *same;
}

bool table_value_eq(const struct table_value *a, const struct table_value *b)
{
    struct pair stack[TABLE_DEPTH_MAX];
    size_t depth = 0;
    struct table_value x = *a, y = *b;

    do {
        bool same = true;

        if (!scalar_eq(&x, &y)) {
            if ((x.type != 'A' && x.type != 'F') || x.type != y.type || depth == TABLE_DEPTH_MAX)
                return false;
            stack[depth++] = (struct pair){ { table_iter(x.raw), x.type },
                                            { table_iter(y.raw), y.type } };
        }
        while (depth > 0 && !pair_next(&stack[depth - 1], &x, &y, &same)) {
            if (!same)
                return false;
            depth--;
        }
    } while (depth > 0);
    return true;
}

static void put_name(struct buf *out, struct bytes name, char type)
{
    CHECK(name.n <= UINT8_MAX);
    buf_u8(out, (uint8_t)name.n);
    buf_bytes(out, name);
    buf_u8(out, (uint8_t)type);
}

static void put_raw(struct buf *out, const struct table_value *v)
{
    CHECK(v->raw.n <= UINT32_MAX);
    if (has_length(v->type))
        buf_u32(out, (uint32_t)v->raw.n);
    else
        CHECK(fixed_size(v->type) == (int)v->raw.n);
    buf_bytes(out, v->raw);
}

void table_put_str(struct buf *out, struct bytes name, struct bytes value)
{
    table_put_value(out, name, &(struct table_value){ 'S', value });
}

void table_put_int(struct buf *out, struct bytes name, int64_t value)
{
    put_name(out, name, 'l');
    buf_u64(out, (uint64_t)value);
}

void table_put_bool(struct buf *out, struct bytes name, bool value)
{
    put_name(out, name, 't');
    buf_u8(out, value);
}

void table_put_time(struct buf *out, struct bytes name, uint64_t seconds)
{
    put_name(out, name, 'T');
    buf_u64(out, seconds);
}

void table_put_value(struct buf *out, struct bytes name, const struct table_value *v)
{
    put_name(out, name, v->type);
    put_raw(out, v);
}

size_t table_begin(struct buf *out, struct bytes name, char type_A_or_F)
{
    CHECK(type_A_or_F == 'A' || type_A_or_F == 'F');
    put_name(out, name, type_A_or_F);
    buf_u32(out, 0);
    return out->n;
}

void table_end(struct buf *out, size_t mark)
{
    size_t n = out->n - mark;

    CHECK(mark >= 4 && mark <= out->n && n <= UINT32_MAX);
    for (size_t i = 0; i < 4; i++)
        out->p[mark - 1 - i] = (uint8_t)(n >> 8 * i);
}

void table_put_element(struct buf *out, const struct table_value *v)
{
    buf_u8(out, (uint8_t)v->type);
    put_raw(out, v);
}

size_t table_begin_element(struct buf *out, char type_A_or_F)
{
    CHECK(type_A_or_F == 'A' || type_A_or_F == 'F');
    buf_u8(out, (uint8_t)type_A_or_F);
    buf_u32(out, 0);
    return out->n;
}
