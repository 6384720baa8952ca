// SPDX-License-Identifier: MIT
/* However the input is cut, the frames are the same; and what was encoded is
 * decoded as it was.  Every piece of input stands in an allocation of its exact
 * size, so that the address sanitizer sees one byte too many. */
#include <check.h>

#include "base/mem.h"
#include "proto/stomp.h"

/* Small, so that the limits too meet the cuts. */
static const struct stomp_limits limits = { 80, 4, 40, 8 };

static struct stomp_scratch scratch;

/* All that came out, as text: one line a frame, then the fault if there is one. */
struct run {
    struct stomp_decoder d;
    struct buf pending; /* what was given and not yet used */
    struct buf log;
    bool broken;
};

static void log_frame(struct buf *log, const struct stomp_frame *f)
{
    if (f->part == STOMP_WHOLE || f->part == STOMP_HEAD) {
        buf_fmt(log, "%s part=%d length=%d/%d ", stomp_command_name(f->command), (int)f->part,
                f->has_length, (int)f->content_length);
        for (unsigned i = 0; i < f->header_count; i++) {
            buf_str(log, "[");
            buf_bytes(log, f->header[i].name);
            buf_str(log, "][");
            buf_bytes(log, f->header[i].value);
            buf_str(log, "]");
        }
        buf_str(log, " body ");
    }
    buf_bytes(log, f->body); /* pieces of a body join */
    if (f->part == STOMP_WHOLE || f->part == STOMP_END)
        buf_str(log, " end\n");
}

/* Gives what is pending to the decoder until it wants more. */
static void run_pending(struct run *r)
{
    enum decode result;

    do {
        struct stomp_frame f;
        size_t n = r->pending.n, used = 0;
        uint8_t *exact = mem_alloc(n);

        if (n)
            memcpy(exact, r->pending.p, n);
        result = stomp_decode(&r->d, &limits, &scratch, exact, n, &f, &used);
        ck_assert_uint_le(used, n);
        if (result == DECODE_OK) {
            ck_assert_uint_gt(used, 0);
            ck_assert(f.part != STOMP_BODY || f.body.n > 0);
            log_frame(&r->log, &f);
        }
        mem_free(exact);
        buf_drop(&r->pending, used);
    } while (result == DECODE_OK);
    if (result == DECODE_BAD) {
        buf_fmt(&r->log, "error %s\n", r->d.error);
        r->broken = true;
    }
}

static void run_give(struct run *r, struct bytes piece)
{
    buf_bytes(&r->pending, piece);
    if (!r->broken)
        run_pending(r);
}

static void run_fini(struct run *r)
{
    buf_fini(&r->pending);
    buf_fini(&r->log);
}

#define STREAM(lit)                             \
    {                                           \
        (const uint8_t *)(lit), sizeof(lit) - 1 \
    }

static const struct bytes streams[] = {
    STREAM("CONNECT\naccept-version:1.2\nhost:/\n\n\0\n"),
    STREAM("\n\r\n\nSEND\r\na:b\r\n\r\nbody\0\r\n\n\nACK\nid:1\n\n\0\n"),
    STREAM("SEND\ncontent-length:4\n\na\0b\n\0SEND\ncontent-length:0\n\n\0BEGIN\n\n\0"),
    STREAM("SEND\ncontent-length:9\n\n123456\0\n9\0\nSEND\n\n\n\n\n\n\n\0"),
    STREAM("SEND\ncontent-length:20\na:\\c\n\n01234567890123456789\0\nACK\n\n\0"),
    STREAM("SEND\na\\cb:\\n\\\\n\\r\nc:d\\\\\n\n\\n\0MESSAGE\n:"),
    STREAM("SEND\na:b\n\n\r\n\n\0\r\nBEGIN\r\n\r\n\0\r"),
    STREAM("\rSEND\n\n\0"),
    STREAM("\n\n\r\r\n"),
    STREAM("SEND\nabc\nd:e\n\nbody\0"),
    STREAM("SEND\nabc"),
    STREAM("HELLO\na:b\0"),
    STREAM("HELLO\na:b\n\n"),
    STREAM("HELLO\n:b\0c\n\n"),
    STREAM("SEND\na:b\0\n\n"),
    STREAM("SEND\na:\\t\n\nbody\0"),
    STREAM("SEND\n1:\n2:\n3:\n4:\n\n\0SEND\n1:\n2:\n3:\n4:\n5:\n\n\0"),
    STREAM(
        "SEND\na:0123456789012345678901234567890123456789012345678901234567890123456789ab\n\n\0"),
    STREAM("SEND\na:012345678901234567890123456789012345678901234567890123456789012345\n\r\n\0"),
    STREAM("SEND\n\n0123456789012345678901234567890123456789\0SEND\n\n"
           "01234567890123456789012345678901234567890\0"),
    STREAM("SEND\ncontent-length:41\n\n"),
    STREAM("SEND\ncontent-length:3\n\nabcd\0"),
    STREAM("SEND\ncontent-length:12\n\n0123456789abX"),
    STREAM("SEND\ncontent-length:18446744073709551616\n\n"),
    STREAM("ACK\nid:1\n\nx"),
    STREAM("ACK\ncontent-length:3\n\nabc\0"),
    STREAM("SEND\n\n01234567890123456789012345678901234567890"),
    STREAM("\r\n\0\n\n"),
    STREAM("\0"),
    STREAM("\n\n\0\n"),
};

enum { STREAM_COUNT = sizeof streams / sizeof streams[0] };

static void assert_same_run(struct run *whole, struct run *cut)
{
    ck_assert_uint_eq(whole->log.n, cut->log.n);
    if (whole->log.n)
        ck_assert_mem_eq(whole->log.p, cut->log.p, whole->log.n);
    ck_assert_int_eq(whole->broken, cut->broken);
    if (!whole->broken)
        ck_assert_uint_eq(whole->pending.n, cut->pending.n);
}

static struct run run_whole(struct bytes stream, enum stomp_version v)
{
    struct run r = { .d.version = v };

    run_give(&r, stream);
    return r;
}

START_TEST(every_two_pieces_give_what_the_whole_gives)
{
    struct bytes stream = streams[_i];

    for (enum stomp_version v = STOMP_V1_0; v <= STOMP_V1_2; v++) {
        struct run whole = run_whole(stream, v);

        for (size_t at = 0; at <= stream.n; at++) {
            struct run cut = { .d.version = v };

            run_give(&cut, bytes_head(stream, at));
            run_give(&cut, bytes_from(stream, at));
            assert_same_run(&whole, &cut);
            run_fini(&cut);
        }
        run_fini(&whole);
    }
}
END_TEST

START_TEST(every_three_pieces_give_what_the_whole_gives)
{
    struct bytes stream = streams[_i];
    struct run whole = run_whole(stream, STOMP_V1_2);

    for (size_t a = 1; a < stream.n; a++) {
        for (size_t b = a + 1; b < stream.n; b++) {
            struct run cut = { .d.version = STOMP_V1_2 };

            run_give(&cut, bytes_head(stream, a));
            run_give(&cut, bytes_from(bytes_head(stream, b), a));
            run_give(&cut, bytes_from(stream, b));
            assert_same_run(&whole, &cut);
            run_fini(&cut);
        }
    }
    run_fini(&whole);
}
END_TEST

START_TEST(pieces_of_any_size_give_what_the_whole_gives)
{
    struct bytes stream = streams[_i];
    struct run whole = run_whole(stream, STOMP_V1_2);

    for (size_t size = 1; size < 20; size++) {
        struct run cut = { .d.version = STOMP_V1_2 };

        for (size_t at = 0; at < stream.n; at += size)
            run_give(&cut, bytes_head(bytes_from(stream, at), size));
        assert_same_run(&whole, &cut);
        run_fini(&cut);
    }
    run_fini(&whole);
}
END_TEST

/* Otherwise the tests above could agree on nothing at all. */
START_TEST(the_whole_gives_every_frame)
{
    static const char want[] =
        "SEND part=1 length=1/20 [content-length][20][a][:] body 01234567890123456789 end\n"
        "ACK part=0 length=0/0  body  end\n";
    struct run r = run_whole(streams[4], STOMP_V1_2);

    ck_assert_uint_eq(r.log.n, sizeof want - 1);
    ck_assert_mem_eq(r.log.p, want, sizeof want - 1);
    ck_assert(!r.broken);
    ck_assert_uint_eq(r.pending.n, 0);
    run_fini(&r);
}
END_TEST

/* A longer body comes as it arrives, and its NUL is looked for only then. */
START_TEST(a_long_body_comes_in_pieces)
{
    static uint8_t text[] = "SEND\ncontent-length:9\n\nabc\0efghi\0";
    struct stomp_decoder d = { .version = STOMP_V1_2 };
    struct stomp_frame f;
    size_t used;

    ck_assert_int_eq(stomp_decode(&d, &limits, &scratch, text, 23, &f, &used), DECODE_OK);
    ck_assert_int_eq(f.part, STOMP_HEAD);
    ck_assert_int_eq(f.command, STOMP_CMD_SEND);
    ck_assert_uint_eq(f.content_length, 9);
    ck_assert_uint_eq(f.body.n, 0);
    ck_assert_uint_eq(used, 23);
    ck_assert_int_eq(stomp_decode(&d, &limits, &scratch, text + 23, 0, &f, &used), DECODE_MORE);
    ck_assert_int_eq(stomp_decode(&d, &limits, &scratch, text + 23, 4, &f, &used), DECODE_OK);
    ck_assert_int_eq(f.part, STOMP_BODY);
    ck_assert(bytes_eq(f.body, BYTES("abc\0")));
    ck_assert_uint_eq(used, 4);
    ck_assert_int_eq(stomp_decode(&d, &limits, &scratch, text + 27, 6, &f, &used), DECODE_OK);
    ck_assert_int_eq(f.part, STOMP_BODY);
    ck_assert(bytes_eq(f.body, BYTES("efghi")));
    ck_assert_uint_eq(used, 5);
    ck_assert_int_eq(stomp_decode(&d, &limits, &scratch, text + 32, 1, &f, &used), DECODE_OK);
    ck_assert_int_eq(f.part, STOMP_END);
    ck_assert_uint_eq(used, 1);
}
END_TEST

START_TEST(a_long_body_without_its_nul_is_refused)
{
    struct run r = run_whole(BYTES("SEND\ncontent-length:9\n\nabcdefghiX"), STOMP_V1_2);

    ck_assert(r.broken);
    ck_assert_str_eq(r.d.error, "no NUL after the body of content-length octets");
    run_fini(&r);
}
END_TEST

/* A peer that sends one byte at a time must not cost its square: that would be
 * 10^12 bytes looked at here, and the test would not end. */
START_TEST(a_frame_that_trickles_in_costs_linear_time)
{
    static const struct stomp_limits wide = { 1 << 20, STOMP_HEADERS_MAX, 1 << 20, 1 << 20 };
    static const char *const body_head[] = { "\n", "content-length:500000\n\n" };
    struct stomp_decoder d = { .version = STOMP_V1_2 };
    struct stomp_frame f = { .body.n = 0 };
    struct buf b = { 0 };
    size_t used = 0, n = 0;

    buf_str(&b, "SEND\n");
    for (unsigned i = 0; i < 200; i++)
        buf_fmt(&b, "name:%02500u\n", i);
    buf_str(&b, body_head[_i]);
    buf_fmt(&b, "%0500000u", 1U);
    buf_u8(&b, 0);
    while (n < b.n && used == 0)
        if (stomp_decode(&d, &wide, &scratch, b.p, ++n, &f, &used) != DECODE_OK)
            ck_assert_uint_eq(used, 0);
    ck_assert_uint_eq(n, b.n);
    ck_assert_uint_eq(used, b.n);
    ck_assert_uint_eq(f.body.n, 500000);
    buf_fini(&b);
}
END_TEST

/* After a frame nothing of it may be left in the decoder. */
START_TEST(the_decoder_is_as_new_after_each_frame)
{
    static const struct bytes frames[] = {
        STREAM("SEND\na:b\n\nbody\0"),
        STREAM("SEND\ncontent-length:4\n\nbody\0"),
        STREAM("SEND\ncontent-length:12\n\nbodybodybody\0"),
        STREAM("ACK\n\n\0"),
    };
    const struct stomp_decoder fresh = { .version = STOMP_V1_1 };

    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        struct run r = { .d = fresh };

        for (size_t at = 0; at < frames[i].n; at++)
            run_give(&r, bytes_head(bytes_from(frames[i], at), 1));
        ck_assert_int_eq(r.d.version, fresh.version);
        ck_assert_uint_eq(r.d.head, 0);
        ck_assert_uint_eq(r.d.scanned, 0);
        ck_assert_uint_eq(r.d.need, 0);
        ck_assert_uint_eq(r.d.body_left, 0);
        ck_assert(!r.d.in_body);
        ck_assert_uint_eq(r.pending.n, 0);
        run_fini(&r);
    }
}
END_TEST

/* Nobody should look again before these have come. */
START_TEST(the_decoder_says_how_much_it_needs)
{
    static uint8_t text[] = "SEND\ncontent-length:8\n\n1234567";
    struct stomp_decoder d = { .version = STOMP_V1_2 };
    struct stomp_frame f;
    size_t used;

    ck_assert_int_eq(stomp_decode(&d, &limits, &scratch, text, 25, &f, &used), DECODE_MORE);
    ck_assert_uint_eq(d.need, 23 + 8 + 1);
}
END_TEST

static void put_frame(struct buf *out, enum stomp_version v, struct bytes name, struct bytes value)
{
    stomp_put_command(out, STOMP_CMD_SEND);
    stomp_put_header(out, v, name, value);
    stomp_put_head_end(out);
    stomp_put_end(out);
}

static void assert_encoded(enum stomp_version v, struct bytes name, struct bytes value,
                           const char *want)
{
    struct buf b = { 0 };

    put_frame(&b, v, name, value);
    ck_assert_uint_eq(b.n, strlen(want) + 1);
    ck_assert_mem_eq(b.p, want, b.n);
    buf_fini(&b);
}

START_TEST(encoder_escapes_what_the_version_has_an_escape_for)
{
    struct bytes name = BYTES("a:\\\n\r"), value = BYTES(":\\\n\rz");

    assert_encoded(STOMP_V1_2, name, value, "SEND\na\\c\\\\\\n\\r:\\c\\\\\\n\\rz\n\n");
    assert_encoded(STOMP_V1_1, name, value, "SEND\na\\c\\\\\\n\r:\\c\\\\\\n\rz\n\n");
    assert_encoded(STOMP_V1_0, name, value, "SEND\na?\\?\r::\\?\rz\n\n");
}
END_TEST

/* Otherwise the value of one publisher forges a frame for another's subscriber. */
START_TEST(encoder_never_lets_a_value_end_its_line_or_frame)
{
    struct bytes value = BYTES("x\n\n\0MESSAGE\n");

    assert_encoded(STOMP_V1_0, BYTES("a"), value, "SEND\na:x???MESSAGE?\n\n");
    assert_encoded(STOMP_V1_1, BYTES("a"), value, "SEND\na:x\\n\\n?MESSAGE\\n\n\n");
    assert_encoded(STOMP_V1_2, BYTES("a\0"), value, "SEND\na?:x\\n\\n?MESSAGE\\n\n\n");
}
END_TEST

START_TEST(encoder_leaves_other_octets_as_they_are)
{
    struct bytes value = BYTES("\x01\x1f \x7f\x80\xc3\xa4\xff/*#");

    for (enum stomp_version v = STOMP_V1_0; v <= STOMP_V1_2; v++)
        assert_encoded(v, BYTES("a"), value, "SEND\na:\x01\x1f \x7f\x80\xc3\xa4\xff/*#\n\n");
    assert_encoded(STOMP_V1_2, BYTES("a"), (struct bytes){ NULL, 0 }, "SEND\na:\n\n");
}
END_TEST

START_TEST(encoder_writes_numbers_in_decimal)
{
    struct buf b = { 0 };

    stomp_put_header_u64(&b, BYTES("n"), 0);
    stomp_put_header_u64(&b, BYTES("n"), UINT64_MAX);
    ck_assert_uint_eq(b.n, 27);
    ck_assert_mem_eq(b.p, "n:0\nn:18446744073709551615\n", 27);
    buf_fini(&b);
}
END_TEST

/* Every octet but NUL, at every place of a value that a CR cannot be lost from. */
START_TEST(what_was_encoded_is_decoded_as_it_was)
{
    uint8_t text[3] = { 'x', (uint8_t)_i, 'y' };
    struct bytes name = { text, 3 };

    for (enum stomp_version v = STOMP_V1_1; v <= STOMP_V1_2; v++) {
        struct stomp_decoder d = { .version = v };
        struct stomp_frame f;
        struct buf b = { 0 };
        size_t used;

        put_frame(&b, v, name, name);
        ck_assert_int_eq(stomp_decode(&d, &limits, &scratch, b.p, b.n, &f, &used), DECODE_OK);
        ck_assert_uint_eq(used, b.n);
        ck_assert_uint_eq(f.header_count, 1);
        ck_assert(bytes_eq(f.header[0].name, name));
        ck_assert(bytes_eq(f.header[0].value, name));
        buf_fini(&b);
    }
}
END_TEST

Suite *stomp_cuts_suite(void);

Suite *stomp_cuts_suite(void)
{
    Suite *s = suite_create("stomp_cuts");
    TCase *t = tcase_create("cuts");

    tcase_add_loop_test(t, every_two_pieces_give_what_the_whole_gives, 0, STREAM_COUNT);
    tcase_add_loop_test(t, every_three_pieces_give_what_the_whole_gives, 0, STREAM_COUNT);
    tcase_add_loop_test(t, pieces_of_any_size_give_what_the_whole_gives, 0, STREAM_COUNT);
    tcase_add_test(t, the_whole_gives_every_frame);
    tcase_add_test(t, a_long_body_comes_in_pieces);
    tcase_add_test(t, a_long_body_without_its_nul_is_refused);
    tcase_add_loop_test(t, a_frame_that_trickles_in_costs_linear_time, 0, 2);
    tcase_add_test(t, the_decoder_is_as_new_after_each_frame);
    tcase_add_test(t, the_decoder_says_how_much_it_needs);
    tcase_add_test(t, encoder_escapes_what_the_version_has_an_escape_for);
    tcase_add_test(t, encoder_never_lets_a_value_end_its_line_or_frame);
    tcase_add_test(t, encoder_leaves_other_octets_as_they_are);
    tcase_add_test(t, encoder_writes_numbers_in_decimal);
    tcase_add_loop_test(t, what_was_encoded_is_decoded_as_it_was, 1, 256);
    suite_add_tcase(s, t);
    return s;
}
