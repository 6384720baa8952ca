// SPDX-License-Identifier: MIT
#include <check.h>
#include <stdlib.h>

#include "base/mem.h"
#include "proto/table.h"

#define NESTED(type, lit) ((struct table_value){ type, BYTES(lit) })

static bool valid_exact(struct bytes in)
{
    uint8_t *exact = mem_alloc(in.n);

    if (in.n)
        memcpy(exact, in.p, in.n);
    bool ok = table_valid(bytes_of(exact, in.n));
    mem_free(exact);
    return ok;
}

/* The value of the only field, named "k". */
static struct table_value value_of(struct bytes table)
{
    struct table_value v = { 0 };

    ck_assert(table_valid(table));
    ck_assert(table_find(table, BYTES("k"), &v));
    return v;
}

/* One field of each type there is. */
static const char every_type[] = "\1at\1"
                                 "\1bb\xff"
                                 "\1cB\xff"
                                 "\1ds\xff\xfe"
                                 "\1eu\xff\xfe"
                                 "\1fI\xff\xff\xff\xfe"
                                 "\1gi\xff\xff\xff\xfe"
                                 "\1hL\xff\xff\xff\xff\xff\xff\xff\xfe"
                                 "\1il\x80\0\0\0\0\0\0\0"
                                 "\1jf\x3f\xc0\0\0"
                                 "\1kd\x3f\xf8\0\0\0\0\0\0"
                                 "\1lD\1\0\0\0\x0f"
                                 "\1mS\0\0\0\2hi"
                                 "\1nA\0\0\0\3t\1V"
                                 "\1oT\0\0\0\0\0\0\0\1"
                                 "\1pF\0\0\0\4\1at\0"
                                 "\1qV"
                                 "\1rx\0\0\0\1\0";

static const struct bytes every_type_table = { (const uint8_t *)every_type, sizeof every_type - 1 };

START_TEST(every_type_is_walked_in_order)
{
    static const char types[] = "tbBsuIiLlfdDSATFVx";
    struct table_iter it = table_iter(every_type_table);
    struct table_value v;
    struct bytes name;
    size_t i = 0;

    for (; table_next(&it, &name, &v); i++) {
        ck_assert_uint_eq(name.n, 1);
        ck_assert_int_eq(name.p[0], 'a' + (int)i);
        ck_assert_int_eq(v.type, types[i]);
    }
    ck_assert_uint_eq(i, sizeof types - 1);
    ck_assert(!it.r.failed);
    ck_assert(valid_exact(every_type_table));
}
END_TEST

START_TEST(only_a_cut_between_fields_leaves_a_table)
{
    for (size_t n = 0; n < every_type_table.n; n++) {
        struct bytes cut = bytes_head(every_type_table, n);
        struct table_iter it = table_iter(cut);
        struct table_value v;
        struct bytes name;
        size_t end = 0;

        while (table_next(&it, &name, &v))
            end = n - it.r.left;
        ck_assert_msg(valid_exact(cut) == (end == n), "cut at %zu", n);
        ck_assert(it.r.failed == (end < n));
    }
}
END_TEST

START_TEST(a_walk_does_not_go_on_behind_a_fault)
{
    struct table_iter it = table_iter(BYTES("\1a?\1bt\1"));
    struct table_value v;
    struct bytes name;

    ck_assert(!table_next(&it, &name, &v));
    ck_assert(it.r.failed);
    ck_assert(!table_next(&it, &name, &v));
}
END_TEST

START_TEST(an_empty_table_is_valid_and_an_unknown_type_is_not)
{
    static const char known[] = "tbBsuIiLlfdDSATFVx";

    ck_assert(table_valid((struct bytes){ NULL, 0 }));
    for (unsigned type = 0; type < 256; type++) {
        uint8_t field[2 + 1 + 8] = { 1, 'k', (uint8_t)type };
        bool some = false;

        for (size_t n = 3; n <= sizeof field; n++)
            some |= valid_exact(bytes_of(field, n));
        ck_assert_msg(some == (type > 0 && strchr(known, (int)type) != NULL), "type %u", type);
    }
}
END_TEST

START_TEST(faults_inside_are_found_by_the_check)
{
    ck_assert(!valid_exact(BYTES("\1kF\0\0\0\3\1at")));
    ck_assert(!valid_exact(BYTES("\1kA\0\0\0\1?")));
    ck_assert(!valid_exact(BYTES("\1kA\0\0\0\6F\0\0\0\1\1")));
    ck_assert(!valid_exact(BYTES("\1kS\xff\xff\xff\xffhi")));
    ck_assert(valid_exact(BYTES("\1kA\0\0\0\0\1lF\0\0\0\0")));
}
END_TEST

/* `depth` tables (or arrays) inside one another, the outermost included. */
static struct buf nested(size_t depth, char type)
{
    struct buf b = { 0 };
    size_t *mark = calloc(depth, sizeof *mark);

    ck_assert_ptr_nonnull(mark);
    for (size_t i = 1; i < depth; i++)
        mark[i] = i == 1 || type == 'F' ? table_begin(&b, BYTES("k"), type)
                                        : table_begin_element(&b, type);
    for (size_t i = depth; i-- > 1;)
        table_end(&b, mark[i]);
    free(mark);
    return b;
}

START_TEST(nesting_has_its_limit)
{
    for (const char *type = "AF"; *type; type++) {
        struct buf most = nested(TABLE_DEPTH_MAX, *type);
        struct buf more = nested(TABLE_DEPTH_MAX + 1, *type);
        struct buf many = nested(100000, *type);

        ck_assert(valid_exact(buf_view(&most)));
        ck_assert(!valid_exact(buf_view(&more)));
        ck_assert(!valid_exact(buf_view(&many)));
        buf_fini(&most);
        buf_fini(&more);
        buf_fini(&many);
    }
}
END_TEST

START_TEST(the_first_field_of_a_name_is_found)
{
    struct bytes table = BYTES("\1jt\0\1kt\1\1kt\0");
    struct table_value v;
    bool on;

    ck_assert(table_find(table, BYTES("k"), &v));
    ck_assert(table_bool(&v, &on));
    ck_assert(on);
    ck_assert(!table_find(table, BYTES("kk"), &v));
    ck_assert(!table_find(table, BYTES(""), &v));
}
END_TEST

START_TEST(integers_of_every_width_are_read)
{
    static const struct {
        char name[2];
        int64_t want;
    } cases[] = {
        { "b", -1 }, { "c", 255 },        { "d", -2 }, { "e", 65534 },
        { "f", -2 }, { "g", 4294967294 }, { "h", -2 }, { "i", INT64_MIN },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct table_value v;
        int64_t got = 0;

        ck_assert(table_find(every_type_table, bytes_str(cases[i].name), &v));
        ck_assert(table_int(&v, &got));
        ck_assert_int_eq(got, cases[i].want);
    }
}
END_TEST

START_TEST(what_is_no_integer_no_bool_no_text_is_refused)
{
    struct table_iter it = table_iter(every_type_table);
    struct table_value v;
    struct bytes name, text;
    int64_t number;
    bool on;

    while (table_next(&it, &name, &v)) {
        ck_assert(table_int(&v, &number) == (strchr("bBsuIiLl", v.type) != NULL));
        ck_assert(table_bool(&v, &on) == (v.type == 't'));
        ck_assert(table_str(&v, &text) == (v.type == 'S' || v.type == 'x'));
    }
}
END_TEST

START_TEST(text_is_what_texts_numbers_booleans_and_times_have)
{
    static const char *const wanted[] = {
        "true", "-1",  "255", "-2", "65534", "-2", "4294967294", "-2", "-9223372036854775808",
        "1.5",  "1.5", NULL,  "hi", NULL,    "1",  NULL,         NULL, ""
    };
    struct table_iter it = table_iter(every_type_table);
    struct table_value v;
    struct bytes name, text;
    struct buf room = { 0 };

    for (size_t i = 0; table_next(&it, &name, &v); i++) {
        ck_assert(table_text(&v, &room, &text) == (wanted[i] != NULL));
        if (wanted[i] && v.type != 'x')
            ck_assert(bytes_eq(text, bytes_str(wanted[i])));
    }
    buf_fini(&room);
}
END_TEST

START_TEST(elements_of_an_array_are_walked)
{
    struct table_value array = value_of(BYTES("\1kA\0\0\0\x0aS\0\0\0\1xt\1VV"));
    struct table_iter it = table_iter(array.raw);
    struct table_value v;
    struct bytes text;

    ck_assert(table_next_element(&it, &v));
    ck_assert(table_str(&v, &text));
    ck_assert(bytes_eq(text, BYTES("x")));
    ck_assert(table_next_element(&it, &v));
    ck_assert_int_eq(v.type, 't');
    ck_assert(table_next_element(&it, &v));
    ck_assert(table_next_element(&it, &v));
    ck_assert_int_eq(v.type, 'V');
    ck_assert(!table_next_element(&it, &v));
    ck_assert(!it.r.failed);
}
END_TEST

static const struct {
    const char *a;
    size_t a_n;
    const char *b;
    size_t b_n;
    bool equal;
} pairs[] = {
#define PAIR(a, b, equal)                         \
    {                                             \
        a, sizeof(a) - 1, b, sizeof(b) - 1, equal \
    }
    PAIR("\1kb\5", "\1kl\0\0\0\0\0\0\0\5", true),
    PAIR("\1kb\xfb", "\1ks\xff\xfb", true),
    PAIR("\1kb\xff", "\1kB\xff", false),
    PAIR("\1ki\xff\xff\xff\xff", "\1kI\xff\xff\xff\xff", false),
    PAIR("\1kL\0\0\0\0\0\0\0\1", "\1kl\0\0\0\0\0\0\0\1", true),
    PAIR("\1kb\1", "\1kt\1", false),
    PAIR("\1kT\0\0\0\0\0\0\0\1", "\1kl\0\0\0\0\0\0\0\1", false),
    PAIR("\1kb\1", "\1kS\0\0\0\0011", false),
    PAIR("\1kt\1", "\1kt\2", true),
    PAIR("\1kt\1", "\1kt\0", false),
    PAIR("\1kS\0\0\0\1x", "\1kx\0\0\0\1x", true),
    PAIR("\1kS\0\0\0\1x", "\1kS\0\0\0\1y", false),
    PAIR("\1kS\0\0\0\0", "\1kx\0\0\0\0", true),
    PAIR("\1kS\0\0\0\0", "\1kV", false),
    PAIR("\1kV", "\1kV", true),
    PAIR("\1kf\x3f\xc0\0\0", "\1kd\x3f\xf8\0\0\0\0\0\0", true),  /* 1.5 */
    PAIR("\1kd\x3f\xf8\0\0\0\0\0\0", "\1kD\1\0\0\0\x0f", true),  /* 1.5 */
    PAIR("\1kd\x3f\xf8\0\0\0\0\0\0", "\1kD\2\0\0\0\x0f", false), /* 0.15 */
    PAIR("\1kD\1\0\0\0\x0f", "\1kD\3\0\0\x05\xdc", true),        /* 1.500 */
    PAIR("\1kD\2\0\0\1\x2c", "\1kb\3", true),                    /* 3.00 */
    PAIR("\1kD\xff\0\0\0\0", "\1kb\0", true),
    PAIR("\1kd\x40\x08\0\0\0\0\0\0", "\1kB\3", true),                   /* 3.0 */
    PAIR("\1kd\x80\0\0\0\0\0\0\0", "\1kB\0", true),                     /* -0.0 */
    PAIR("\1kd\x7f\xf0\0\0\0\0\0\0", "\1kf\x7f\x80\0\0", true),         /* infinity */
    PAIR("\1kd\x7f\xf8\0\0\0\0\0\0", "\1kd\x7f\xf8\0\0\0\0\0\0", true), /* NaN */
    PAIR("\1kd\x7f\xf8\0\0\0\0\0\0", "\1kf\x7f\xc0\0\0", false),
    PAIR("\1kd\x43\xe0\0\0\0\0\0\0", "\1kl\x7f\xff\xff\xff\xff\xff\xff\xff", false), /* 2^63 */
    PAIR("\1kd\xc3\xe0\0\0\0\0\0\0", "\1kl\x80\0\0\0\0\0\0\0", true),
    PAIR("\1kA\0\0\0\4b\1b\2", "\1kA\0\0\0\6s\0\1s\0\2", true),
    PAIR("\1kA\0\0\0\4b\1b\2", "\1kA\0\0\0\4b\2b\1", false),
    PAIR("\1kA\0\0\0\4b\1b\2", "\1kA\0\0\0\2b\1", false),
    PAIR("\1kA\0\0\0\2b\1", "\1kA\0\0\0\4b\1b\2", false),
    PAIR("\1kA\0\0\0\0", "\1kF\0\0\0\0", false),
    PAIR("\1kF\0\0\0\4\1ab\1", "\1kF\0\0\0\5\1as\0\1", true),
    PAIR("\1kF\0\0\0\4\1ab\1", "\1kF\0\0\0\4\1bb\1", false),
    PAIR("\1kA\0\0\0\11A\0\0\0\2b\1b\2", "\1kA\0\0\0\12A\0\0\0\3s\0\1b\2", true),
    PAIR("\1kA\0\0\0\11A\0\0\0\2b\1b\2", "\1kA\0\0\0\12A\0\0\0\3s\0\1b\3", false),
#undef PAIR
};

START_TEST(values_are_compared_by_meaning)
{
    struct table_value a = value_of(bytes_of(pairs[_i].a, pairs[_i].a_n));
    struct table_value b = value_of(bytes_of(pairs[_i].b, pairs[_i].b_n));

    ck_assert_int_eq(table_value_eq(&a, &b), pairs[_i].equal);
    ck_assert_int_eq(table_value_eq(&b, &a), pairs[_i].equal);
    ck_assert(table_value_eq(&a, &a));
}
END_TEST

/* Not checked beforehand: such values equal none but their own bytes. */
START_TEST(broken_values_are_never_equal)
{
    struct table_value a = NESTED('A', "b"), b = NESTED('A', "s");
    struct table_value c = NESTED('A', "b\1?"), d = NESTED('A', "s\0\1?");

    ck_assert(!table_value_eq(&a, &b));
    ck_assert(!table_value_eq(&c, &d));
}
END_TEST

START_TEST(what_was_put_is_found)
{
    struct buf b = { 0 };
    struct table_value v, inner;
    struct bytes text;
    int64_t number;
    bool on;

    table_put_str(&b, BYTES("s"), BYTES("text"));
    table_put_int(&b, BYTES("i"), INT64_MIN);
    table_put_bool(&b, BYTES("t"), true);
    table_put_time(&b, BYTES("T"), UINT64_MAX);
    size_t array = table_begin(&b, BYTES("a"), 'A');
    size_t table = table_begin_element(&b, 'F');
    table_put_str(&b, BYTES("in"), BYTES(""));
    table_end(&b, table);
    table_put_element(&b, &NESTED('x', "\0"));
    table_end(&b, array);

    ck_assert(table_valid(buf_view(&b)));
    ck_assert(table_find(buf_view(&b), BYTES("s"), &v) && table_str(&v, &text));
    ck_assert(bytes_eq(text, BYTES("text")));
    ck_assert(table_find(buf_view(&b), BYTES("i"), &v) && table_int(&v, &number));
    ck_assert_int_eq(number, INT64_MIN);
    ck_assert(table_find(buf_view(&b), BYTES("t"), &v) && table_bool(&v, &on) && on);
    ck_assert(table_find(buf_view(&b), BYTES("T"), &v));
    ck_assert(bytes_eq(v.raw, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff")));
    ck_assert(table_find(buf_view(&b), BYTES("a"), &v));
    ck_assert(bytes_eq(v.raw, BYTES("F\0\0\0\x08\2inS\0\0\0\0x\0\0\0\1\0")));
    struct table_iter it = table_iter(v.raw);
    ck_assert(table_next_element(&it, &inner));
    ck_assert(table_find(inner.raw, BYTES("in"), &v));
    buf_fini(&b);
}
END_TEST

START_TEST(a_table_that_is_copied_field_by_field_is_the_same)
{
    struct table_iter it = table_iter(every_type_table);
    struct buf b = { 0 };
    struct table_value v;
    struct bytes name;

    while (table_next(&it, &name, &v))
        table_put_value(&b, name, &v);
    ck_assert(bytes_eq(buf_view(&b), every_type_table));
    buf_fini(&b);
}
END_TEST

Suite *table_suite(void);

Suite *table_suite(void)
{
    Suite *s = suite_create("table");
    TCase *t = tcase_create("table");

    tcase_add_test(t, every_type_is_walked_in_order);
    tcase_add_test(t, only_a_cut_between_fields_leaves_a_table);
    tcase_add_test(t, a_walk_does_not_go_on_behind_a_fault);
    tcase_add_test(t, an_empty_table_is_valid_and_an_unknown_type_is_not);
    tcase_add_test(t, faults_inside_are_found_by_the_check);
    tcase_add_test(t, nesting_has_its_limit);
    tcase_add_test(t, the_first_field_of_a_name_is_found);
    tcase_add_test(t, integers_of_every_width_are_read);
    tcase_add_test(t, what_is_no_integer_no_bool_no_text_is_refused);
    tcase_add_test(t, text_is_what_texts_numbers_booleans_and_times_have);
    tcase_add_test(t, elements_of_an_array_are_walked);
    tcase_add_loop_test(t, values_are_compared_by_meaning, 0, sizeof pairs / sizeof pairs[0]);
    tcase_add_test(t, broken_values_are_never_equal);
    tcase_add_test(t, what_was_put_is_found);
    tcase_add_test(t, a_table_that_is_copied_field_by_field_is_the_same);
    suite_add_tcase(s, t);
    return s;
}
