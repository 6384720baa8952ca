// SPDX-License-Identifier: MIT
#include <check.h>

#include "base/mem.h"
#include "proto/amqp.h"

#define COUNT_OF(a) (sizeof(a) / sizeof(a)[0])

/* ---- values for every field of every method ---- */

enum { VARIANTS = 24 }; /* 0: nothing is set, 1: all as large as can be, others mixed */

static uint8_t text[1024];

static void set_up(void)
{
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 7 + i / 256);
}

/* Each field has a value of its own, so that two that changed places are seen. */
static uint64_t some_number(unsigned variant, unsigned field)
{
    if (variant < 2)
        return variant ? UINT64_MAX : 0;
    return (variant * 131 + field + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct bytes some_text(unsigned variant, unsigned field, size_t most)
{
    size_t n = variant < 2 ? variant * most : some_number(variant, field) % (most + 1);

    return bytes_of(text + field, n);
}

static struct bytes some_table(unsigned variant, unsigned field)
{
    if (variant == 0)
        return (struct bytes){ NULL, 0 };
    return (variant + field) % 2 ? BYTES("\1kS\0\0\0\2hi") : BYTES("\1aF\0\0\0\4\1bt\1\1cV");
}

#define SOME_octet(v, f) ((uint8_t)(some_number(v, f) >> 56))
#define SOME_short(v, f) ((uint16_t)(some_number(v, f) >> 48))
#define SOME_long(v, f) ((uint32_t)(some_number(v, f) >> 32))
#define SOME_longlong some_number
#define SOME_bit(v, f) (some_number(v, f) >> 63 != 0)
#define SOME_shortstr(v, f) some_text(v, f, 255)
#define SOME_longstr(v, f) some_text(v, f, 700)
#define SOME_table some_table

#define SAME_octet(a, b) ((a) == (b))
#define SAME_short SAME_octet
#define SAME_long SAME_octet
#define SAME_longlong SAME_octet
#define SAME_bit SAME_octet
#define SAME_shortstr(a, b) bytes_eq(a, b)
#define SAME_longstr SAME_shortstr
#define SAME_table SAME_shortstr

#define LETTER_octet "o"
#define LETTER_short "w"
#define LETTER_long "l"
#define LETTER_longlong "q"
#define LETTER_bit "b"
#define LETTER_shortstr "s"
#define LETTER_longstr "S"
#define LETTER_table "t"

#define LETTER(type, field) LETTER_##type
#define FILL(type, field) m->field = SOME_##type(variant, at++);
#define SAME(type, field) &&SAME_##type(a->field, b->field)
#define X(name, class_id, method_id, text)                                           \
    static void fill_##name(struct amqp_args *args, unsigned variant)                \
    {                                                                                \
        struct amqp_##name *m = &args->name;                                         \
        unsigned at = 0;                                                             \
                                                                                     \
        AMQP_ARGS_##name(FILL)(void) m;                                              \
        (void)variant;                                                               \
        (void)at;                                                                    \
    }                                                                                \
    static bool same_##name(const struct amqp_args *left, const struct amqp_args *r) \
    {                                                                                \
        const struct amqp_##name *a = &left->name, *b = &r->name;                    \
                                                                                     \
        return a && b AMQP_ARGS_##name(SAME);                                        \
    }
AMQP_METHODS(X)
#undef X

static const struct kind {
    uint32_t id;
    const char *args; /* a letter for each */
    void (*fill)(struct amqp_args *args, unsigned variant);
    bool (*same)(const struct amqp_args *a, const struct amqp_args *b);
} kinds[] = {
#define X(name, class_id, method_id, text) \
    { AMQP_##name, "" AMQP_ARGS_##name(LETTER), fill_##name, same_##name },
    AMQP_METHODS(X)
#undef X
};

static bool same(const struct amqp_args *a, const struct amqp_args *b)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (kinds[i].id == a->id)
            return a->id == b->id && kinds[i].same(a, b);
    return false;
}

/* The frame of method number `i`. */
static struct buf encoded(size_t i, unsigned variant)
{
    struct amqp_args args = { .id = kinds[i].id };
    struct buf b = { 0 };

    kinds[i].fill(&args, variant);
    amqp_put_method(&b, 7, &args);
    return b;
}

static struct bytes payload_of(const struct buf *frame)
{
    ck_assert_uint_ge(frame->n, AMQP_FRAME_EXTRA_BYTES);
    return bytes_of(frame->p + AMQP_FRAME_HEAD_BYTES, frame->n - AMQP_FRAME_EXTRA_BYTES);
}

/* From an allocation of its exact size, so that reading on is seen.  0: decoded. */
static unsigned fault_of(struct bytes payload, uint32_t *id)
{
    uint8_t *exact = mem_alloc(payload.n);
    enum amqp_reply code = AMQP_INTERNAL_ERROR;
    const char *why = NULL;
    struct amqp_args args = { 0 };

    if (payload.n)
        memcpy(exact, payload.p, payload.n);
    enum decode r = amqp_method_decode(bytes_of(exact, payload.n), &args, &code, &why);
    ck_assert(r == DECODE_OK || (r == DECODE_BAD && why && *why));
    *id = args.id;
    mem_free(exact);
    return r == DECODE_OK ? 0 : code;
}

static void assert_bytes(struct bytes got, struct bytes want)
{
    ck_assert_uint_eq(got.n, want.n);
    if (want.n)
        ck_assert_mem_eq(got.p, want.p, want.n);
}

/* ---- round trips ---- */

START_TEST(every_method_comes_back_as_it_was_sent)
{
    for (unsigned v = 0; v < VARIANTS; v++) {
        struct amqp_args sent = { .id = kinds[_i].id }, got;
        struct buf first = { 0 }, second = { 0 };
        struct amqp_frame f;
        enum amqp_reply code;
        const char *why;
        size_t used;

        kinds[_i].fill(&sent, v);
        amqp_put_method(&first, 300, &sent);
        ck_assert(amqp_frame_decode(buf_view(&first), 1 << 20, &f, &used, &why) == DECODE_OK);
        ck_assert_uint_eq(used, first.n);
        ck_assert_uint_eq(f.type, AMQP_FRAME_METHOD);
        ck_assert_uint_eq(f.channel, 300);
        memset(&got, 0xaa, sizeof got);
        ck_assert(amqp_method_decode(f.payload, &got, &code, &why) == DECODE_OK);
        ck_assert(same(&sent, &got));
        amqp_put_method(&second, 300, &got);
        assert_bytes(buf_view(&second), buf_view(&first));
        buf_fini(&first);
        buf_fini(&second);
    }
}
END_TEST

START_TEST(every_cut_of_a_method_is_refused)
{
    for (unsigned v = 0; v < VARIANTS; v++) {
        struct buf b = encoded((size_t)_i, v);
        struct bytes payload = payload_of(&b);
        uint32_t id;

        for (size_t n = 0; n < payload.n; n++) {
            unsigned code = fault_of(bytes_head(payload, n), &id);

            ck_assert_msg(code == (n < 4 ? AMQP_FRAME_ERROR : AMQP_SYNTAX_ERROR),
                          "cut at %zu of %zu: %u", n, payload.n, code);
            if (n >= 4)
                ck_assert_uint_eq(id, kinds[_i].id);
        }
        ck_assert_uint_eq(fault_of(payload, &id), 0);
        buf_fini(&b);
    }
}
END_TEST

START_TEST(bytes_behind_the_last_argument_are_502)
{
    struct buf b = encoded((size_t)_i, 2);
    struct bytes payload = payload_of(&b);
    uint32_t id;

    payload.n++; /* the end octet of the frame */
    ck_assert_uint_eq(fault_of(payload, &id), AMQP_SYNTAX_ERROR);
    ck_assert_uint_eq(id, kinds[_i].id);
    buf_fini(&b);
}
END_TEST

/* ---- the wire form, beside the specification ---- */

/* Class, method, name, and a letter for each argument. */
static const char forms[] =
    "10 10 connection.start ootSS; 10 11 connection.start-ok tsSs; "
    "10 20 connection.secure S; 10 21 connection.secure-ok S; 10 30 connection.tune wlw; "
    "10 31 connection.tune-ok wlw; 10 40 connection.open ssb; 10 41 connection.open-ok s; "
    "10 50 connection.close wsww; 10 51 connection.close-ok; 10 60 connection.blocked s; "
    "10 61 connection.unblocked; 10 70 connection.update-secret Ss; "
    "10 71 connection.update-secret-ok; 20 10 channel.open s; 20 11 channel.open-ok S; "
    "20 20 channel.flow b; 20 21 channel.flow-ok b; 20 40 channel.close wsww; "
    "20 41 channel.close-ok; 30 10 access.request sbbbbb; 30 11 access.request-ok w; "
    "40 10 exchange.declare wssbbbbbt; 40 11 exchange.declare-ok; "
    "40 20 exchange.delete wsbb; 40 21 exchange.delete-ok; 40 30 exchange.bind wsssbt; "
    "40 31 exchange.bind-ok; 40 40 exchange.unbind wsssbt; 40 51 exchange.unbind-ok; "
    "50 10 queue.declare wsbbbbbt; 50 11 queue.declare-ok sll; 50 20 queue.bind wsssbt; "
    "50 21 queue.bind-ok; 50 30 queue.purge wsb; 50 31 queue.purge-ok l; "
    "50 40 queue.delete wsbbb; 50 41 queue.delete-ok l; 50 50 queue.unbind wssst; "
    "50 51 queue.unbind-ok; 60 10 basic.qos lwb; 60 11 basic.qos-ok; "
    "60 20 basic.consume wssbbbbt; 60 21 basic.consume-ok s; 60 30 basic.cancel sb; "
    "60 31 basic.cancel-ok s; 60 40 basic.publish wssbb; 60 50 basic.return wsss; "
    "60 60 basic.deliver sqbss; 60 70 basic.get wsb; 60 71 basic.get-ok qbssl; "
    "60 72 basic.get-empty s; 60 80 basic.ack qb; 60 90 basic.reject qb; "
    "60 100 basic.recover-async b; 60 110 basic.recover b; 60 111 basic.recover-ok; "
    "60 120 basic.nack qbb; 85 10 confirm.select b; 85 11 confirm.select-ok; "
    "90 10 tx.select; 90 11 tx.select-ok; 90 20 tx.commit; 90 21 tx.commit-ok; "
    "90 30 tx.rollback; 90 31 tx.rollback-ok; ";

START_TEST(every_method_has_the_number_the_name_and_the_arguments_of_the_specification)
{
    struct buf all = { 0 };

    for (const struct kind *k = kinds; k < kinds + COUNT_OF(kinds); k++)
        buf_fmt(&all, "%u %u %s%s%s; ", k->id >> 16, k->id & 0xffff, amqp_method_name(k->id),
                *k->args ? " " : "", k->args);
    buf_u8(&all, 0);
    ck_assert_str_eq((const char *)all.p, forms);
    buf_fini(&all);
}
END_TEST

START_TEST(a_method_that_is_not_there_is_503)
{
    size_t known = 0;

    for (uint32_t class_id = 0; class_id < 300; class_id++) {
        for (uint32_t method_id = 0; method_id < 300; method_id++) {
            uint32_t id = class_id << 16 | method_id, seen;
            uint8_t payload[4] = { (uint8_t)(class_id >> 8), (uint8_t)class_id,
                                   (uint8_t)(method_id >> 8), (uint8_t)method_id };
            bool named = amqp_method_name(id) != NULL;
            unsigned code = fault_of(bytes_of(payload, 4), &seen);

            known += named;
            ck_assert((code == AMQP_COMMAND_INVALID) == !named);
            ck_assert_uint_eq(seen, id);
        }
    }
    ck_assert_uint_eq(known, COUNT_OF(kinds));
    ck_assert_uint_eq(fault_of(BYTES("\xff\xff\xff\xff"), &(uint32_t){ 0 }), AMQP_COMMAND_INVALID);
}
END_TEST

START_TEST(content_follows_four_methods)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        uint32_t id = kinds[i].id;

        ck_assert(amqp_method_has_content(id) ==
                  (id == AMQP_basic_publish || id == AMQP_basic_return ||
                   id == AMQP_basic_deliver || id == AMQP_basic_get_ok));
    }
}
END_TEST

/* ---- byte for byte ---- */

static void assert_wire(struct amqp_args args, struct bytes want)
{
    struct amqp_args got;
    struct buf b = { 0 };
    enum amqp_reply code;
    const char *why;

    amqp_put_method(&b, 1, &args);
    assert_bytes(payload_of(&b), want);
    ck_assert(amqp_method_decode(want, &got, &code, &why) == DECODE_OK);
    ck_assert(same(&args, &got));
    buf_fini(&b);
}

#define WIRE(method, bytes, ...) \
    assert_wire((struct amqp_args){ AMQP_##method, .method = { __VA_ARGS__ } }, BYTES(bytes))

START_TEST(bits_share_an_octet_from_the_lowest_up)
{
    WIRE(queue_declare, "\0\x32\0\x0a\0\0\1q\x02\0\0\0\0", .queue = BYTES("q"), .durable = true);
    WIRE(queue_declare, "\0\x32\0\x0a\0\0\0\x15\0\0\0\4\1kt\1", .passive = true, .exclusive = true,
         .nowait = true, .arguments = BYTES("\1kt\1"));
    WIRE(basic_consume, "\0\x3c\0\x14\0\0\2qu\3tag\x02\0\0\0\0", .queue = BYTES("qu"),
         .consumer_tag = BYTES("tag"), .no_ack = true);
    WIRE(basic_consume, "\0\x3c\0\x14\0\0\0\0\x0d\0\0\0\0", .no_local = true, .exclusive = true,
         .nowait = true);
    WIRE(basic_publish, "\0\x3c\0\x28\0\0\2ex\2rk\x01", .exchange = BYTES("ex"),
         .routing_key = BYTES("rk"), .mandatory = true);
    WIRE(basic_publish, "\0\x3c\0\x28\0\0\0\2rk\x02", .routing_key = BYTES("rk"),
         .immediate = true);
    WIRE(basic_deliver, "\0\x3c\0\x3c\1t\1\2\3\4\5\6\7\x08\x01\2ex\2rk", .consumer_tag = BYTES("t"),
         .delivery_tag = 0x0102030405060708, .redelivered = true, .exchange = BYTES("ex"),
         .routing_key = BYTES("rk"));
    WIRE(basic_nack, "\0\x3c\0\x78\0\0\0\0\0\0\0\7\x02", .delivery_tag = 7, .requeue = true);
}
END_TEST

START_TEST(arguments_are_in_the_order_of_the_specification)
{
    WIRE(connection_start,
         "\0\x0a\0\x0a\0\x09\0\0\0\3\1kV"
         "\0\0\0\5PLAIN\0\0\0\5en_US",
         .version_minor = 9, .server_properties = BYTES("\1kV"), .mechanisms = BYTES("PLAIN"),
         .locales = BYTES("en_US"));
    WIRE(connection_tune, "\0\x0a\0\x1e\7\xff\0\2\0\0\0\x3c", .channel_max = 2047,
         .frame_max = 131072, .heartbeat = 60);
    WIRE(channel_close, "\0\x14\0\x28\1\x94\2no\0\x32\0\x0a", .reply_code = 404,
         .reply_text = BYTES("no"), .class_id = 50, .method_id = 10);
    WIRE(queue_bind, "\0\x32\0\x14\0\0\1q\1e\1k\1\0\0\0\0", .queue = BYTES("q"),
         .exchange = BYTES("e"), .routing_key = BYTES("k"), .nowait = true);
    WIRE(queue_declare_ok, "\0\x32\0\x0b\1q\0\0\0\3\0\0\0\4", .queue = BYTES("q"),
         .message_count = 3, .consumer_count = 4);
    WIRE(basic_get_ok, "\0\x3c\0\x47\0\0\0\0\0\0\0\1\0\1e\1k\0\0\0\x09", .delivery_tag = 1,
         .exchange = BYTES("e"), .routing_key = BYTES("k"), .message_count = 9);
    WIRE(basic_qos, "\0\x3c\0\x0a\0\0\0\0\0\x64\1", .prefetch_count = 100, .global = true);
}
END_TEST

START_TEST(bits_without_a_meaning_are_not_looked_at)
{
    struct amqp_args args;
    enum amqp_reply code;
    const char *why;

    ck_assert(amqp_method_decode(BYTES("\0\x3c\0\x28\0\0\0\0\xfe"), &args, &code, &why) ==
              DECODE_OK);
    ck_assert(!args.basic_publish.mandatory && args.basic_publish.immediate);
}
END_TEST

START_TEST(a_malformed_table_is_502)
{
    uint32_t id;

    ck_assert_uint_eq(fault_of(BYTES("\0\x32\0\x0a\0\0\0\0\0\0\0\4\1kt\1"), &id), 0);
    ck_assert_uint_eq(fault_of(BYTES("\0\x32\0\x0a\0\0\0\0\0\0\0\4\1k?\1"), &id),
                      AMQP_SYNTAX_ERROR);
    ck_assert_uint_eq(fault_of(BYTES("\0\x32\0\x0a\0\0\0\0\0\0\0\4\2kt\1"), &id),
                      AMQP_SYNTAX_ERROR);
    ck_assert_uint_eq(fault_of(BYTES("\0\x32\0\x0a\0\0\0\0\0\0\0\5\1kt\1"), &id),
                      AMQP_SYNTAX_ERROR);
}
END_TEST

Suite *amqp_method_suite(void);

Suite *amqp_method_suite(void)
{
    Suite *s = suite_create("amqp_method");
    TCase *t = tcase_create("amqp_method");
    int all = (int)COUNT_OF(kinds);

    tcase_add_checked_fixture(t, set_up, NULL);
    tcase_add_loop_test(t, every_method_comes_back_as_it_was_sent, 0, all);
    tcase_add_loop_test(t, every_cut_of_a_method_is_refused, 0, all);
    tcase_add_loop_test(t, bytes_behind_the_last_argument_are_502, 0, all);
    tcase_add_test(t, every_method_has_the_number_the_name_and_the_arguments_of_the_specification);
    tcase_add_test(t, a_method_that_is_not_there_is_503);
    tcase_add_test(t, content_follows_four_methods);
    tcase_add_test(t, bits_share_an_octet_from_the_lowest_up);
    tcase_add_test(t, arguments_are_in_the_order_of_the_specification);
    tcase_add_test(t, bits_without_a_meaning_are_not_looked_at);
    tcase_add_test(t, a_malformed_table_is_502);
    suite_add_tcase(s, t);
    return s;
}
