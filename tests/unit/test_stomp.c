// SPDX-License-Identifier: MIT
/* What one frame may look like, and what it may not.  How it arrives is the
 * matter of test_stomp_cuts.c. */
#include <check.h>
#include <stdio.h>

#include "base/mem.h"
#include "proto/stomp.h"

static const struct stomp_limits roomy = { 4096, 64, 1 << 20, 1 << 16 };

static struct stomp_scratch scratch;
static struct stomp_decoder decoder;
static struct stomp_frame frame;
static uint8_t *input;
static size_t used;

static void start(void)
{
    decoder = (struct stomp_decoder){ .version = STOMP_V1_2 };
}

static void stop(void)
{
    mem_free(input);
    input = NULL;
}

static enum decode decode_limited(const struct stomp_limits *limits, const char *text, size_t n)
{
    mem_free(input);
    input = mem_alloc(n);
    memcpy(input, text, n);
    return stomp_decode(&decoder, limits, &scratch, input, n, &frame, &used);
}

/* Of a literal without its own closing NUL: write \0 where the frame has one. */
#define DECODE(lit) decode_limited(&roomy, lit, sizeof(lit) - 1)

#define ASSERT_BYTES(b, lit)                            \
    do {                                                \
        struct bytes got_ = (b);                        \
        ck_assert_ptr_nonnull(got_.p);                  \
        ck_assert_mem_eq(got_.p, lit, sizeof(lit) - 1); \
        ck_assert_uint_eq(got_.n, sizeof(lit) - 1);     \
    } while (0)

#define ASSERT_HEADER(name, lit) ASSERT_BYTES(stomp_header_find(&frame, BYTES(name)), lit)

START_TEST(every_command_is_known_by_its_name)
{
    char text[64];
    int printed = snprintf(text, sizeof text, "%s\n\n", stomp_command_name((enum stomp_command)_i));
    size_t n = (size_t)printed + 1;

    ck_assert_int_eq(decode_limited(&roomy, text, n), DECODE_OK);
    ck_assert_int_eq(frame.part, STOMP_WHOLE);
    ck_assert_int_eq((int)frame.command, _i);
    ck_assert_uint_eq(frame.header_count, 0);
    ck_assert_uint_eq(frame.body.n, 0);
    ck_assert_uint_eq(used, n);
}
END_TEST

START_TEST(a_frame_gives_its_headers_and_its_body)
{
    ck_assert_int_eq(DECODE("SEND\ndestination:/queue/a\nreceipt:1\n\nhello\0"), DECODE_OK);
    ck_assert_int_eq(frame.command, STOMP_CMD_SEND);
    ck_assert_uint_eq(frame.header_count, 2);
    ASSERT_BYTES(frame.header[0].name, "destination");
    ASSERT_BYTES(frame.header[0].value, "/queue/a");
    ASSERT_HEADER("receipt", "1");
    ASSERT_BYTES(frame.body, "hello");
    ck_assert(!frame.has_length);
    ck_assert_uint_eq(used, 43);
}
END_TEST

START_TEST(only_the_first_frame_is_taken)
{
    ck_assert_int_eq(DECODE("BEGIN\ntransaction:1\n\n\0COMMIT\n"), DECODE_OK);
    ck_assert_int_eq(frame.command, STOMP_CMD_BEGIN);
    ck_assert_uint_eq(used, 22);
}
END_TEST

/* A body with a length takes exactly that many octets, NULs included. */
START_TEST(content_length_reaches_over_a_nul)
{
    ck_assert_int_eq(DECODE("SEND\ncontent-length:5\n\na\0b\0c\0"), DECODE_OK);
    ck_assert(frame.has_length);
    ck_assert_uint_eq(frame.content_length, 5);
    ASSERT_BYTES(frame.body, "a\0b\0c");
}
END_TEST

START_TEST(without_content_length_the_first_nul_ends_the_body)
{
    ck_assert_int_eq(DECODE("SEND\n\na\0b\0"), DECODE_OK);
    ASSERT_BYTES(frame.body, "a");
    ck_assert_uint_eq(used, 8);
}
END_TEST

START_TEST(content_length_of_nothing_is_an_empty_body)
{
    ck_assert_int_eq(DECODE("SUBSCRIBE\ncontent-length:0\n\n\0"), DECODE_OK);
    ck_assert(frame.has_length);
    ck_assert_uint_eq(frame.body.n, 0);
}
END_TEST

START_TEST(first_of_repeated_headers_wins)
{
    ck_assert_int_eq(DECODE("SEND\nfoo:1\nfoo:2\n\n\0"), DECODE_OK);
    ck_assert_uint_eq(frame.header_count, 2);
    ASSERT_HEADER("foo", "1");
}
END_TEST

START_TEST(first_of_repeated_content_lengths_wins)
{
    ck_assert_int_eq(DECODE("SEND\ncontent-length:2\ncontent-length:x\n\nab\0"), DECODE_OK);
    ASSERT_BYTES(frame.body, "ab");
}
END_TEST

START_TEST(lines_may_end_in_cr_lf_in_every_version)
{
    decoder.version = (enum stomp_version)_i;
    ck_assert_int_eq(DECODE("\r\nSEND\r\nfoo:1\r\nbar:2\n\r\nx\r\n\0"), DECODE_OK);
    ASSERT_HEADER("foo", "1");
    ASSERT_HEADER("bar", "2");
    ASSERT_BYTES(frame.body, "x\r\n");
}
END_TEST

START_TEST(values_are_never_trimmed)
{
    ck_assert_int_eq(DECODE("SEND\n foo : bar \nb:\t\r\r\n\n\0"), DECODE_OK);
    ASSERT_HEADER(" foo ", " bar ");
    ASSERT_HEADER("b", "\t\r");
}
END_TEST

START_TEST(a_value_may_hold_colons_and_be_empty)
{
    ck_assert_int_eq(DECODE("SEND\na:b:c:\nempty:\n\n\0"), DECODE_OK);
    ASSERT_HEADER("a", "b:c:");
    ASSERT_HEADER("empty", "");
    ck_assert_ptr_null(stomp_header_find(&frame, BYTES("absent")).p);
    ck_assert_ptr_null(stomp_header_find(&frame, BYTES("empt")).p);
}
END_TEST

START_TEST(escapes_are_undone_in_names_and_values)
{
    ck_assert_int_eq(DECODE("SEND\na\\cb:x\\ny\\\\z\\c\\r\nc:d\n\n\\n\0"), DECODE_OK);
    ASSERT_HEADER("a:b", "x\ny\\z:\r");
    ASSERT_HEADER("c", "d");
    ASSERT_BYTES(frame.body, "\\n");
}
END_TEST

START_TEST(escaped_backslash_does_not_escape_what_follows)
{
    ck_assert_int_eq(DECODE("SEND\na:\\\\n\\\\\\n\n\n\0"), DECODE_OK);
    ASSERT_HEADER("a", "\\n\\\n");
}
END_TEST

START_TEST(one_zero_has_no_escapes)
{
    decoder.version = STOMP_V1_0;
    ck_assert_int_eq(DECODE("SEND\na:x\\ny\\t\\\n\n\0"), DECODE_OK);
    ASSERT_HEADER("a", "x\\ny\\t\\");
}
END_TEST

START_TEST(carriage_return_has_an_escape_in_one_two_only)
{
    ck_assert_int_eq(DECODE("SEND\na:x\\ry\n\n\0"), DECODE_OK);
    ASSERT_HEADER("a", "x\ry");
    decoder.version = STOMP_V1_1;
    ck_assert_int_eq(DECODE("SEND\na:x\\ny\n\n\0"), DECODE_OK);
    ASSERT_HEADER("a", "x\ny");
    ck_assert_int_eq(DECODE("SEND\na:x\\ry\n\n\0"), DECODE_BAD);
    ck_assert_str_eq(decoder.error, "undefined escape in a header");
}
END_TEST

START_TEST(connecting_frames_are_never_unescaped)
{
    static const char *const frames[] = {
        "CONNECT\npasscode:a\\nb\\x\n\n",
        "STOMP\npasscode:a\\nb\\x\n\n",
        "CONNECTED\npasscode:a\\nb\\x\n\n",
    };

    ck_assert_int_eq(decode_limited(&roomy, frames[_i], strlen(frames[_i]) + 1), DECODE_OK);
    ASSERT_HEADER("passcode", "a\\nb\\x");
}
END_TEST

START_TEST(end_of_lines_between_frames_are_used_up)
{
    ck_assert_int_eq(DECODE("\n\n\r\n\n"), DECODE_MORE);
    ck_assert_uint_eq(used, 5);
    ck_assert_int_eq(DECODE("\n\r\n\nACK\nid:1\n\n\0\n"), DECODE_OK);
    ck_assert_uint_eq(used, 15);
    ck_assert_int_eq(DECODE("\n\nACK\nid"), DECODE_MORE);
    ck_assert_uint_eq(used, 2);
}
END_TEST

START_TEST(no_input_is_no_fault)
{
    ck_assert_int_eq(stomp_decode(&decoder, &roomy, &scratch, NULL, 0, &frame, &used), DECODE_MORE);
    ck_assert_uint_eq(used, 0);
}
END_TEST

#define FAULT(lit, error)           \
    {                               \
        lit, sizeof(lit) - 1, error \
    }

static const struct {
    const char *text;
    size_t n;
    const char *error;
} faults[] = {
    FAULT("HELLO\n\n\0", "unknown command"),
    FAULT("send\n\n\0", "unknown command"),
    FAULT("SEND \n\n\0", "unknown command"),
    FAULT("SENDS\n\n\0", "unknown command"),
    FAULT("SEN\n\n\0", "unknown command"),
    FAULT("\rSEND\n\n\0", "unknown command"),
    FAULT("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "unknown command"),
    FAULT("SEND\nfoo\n\n\0", "header without a colon"),
    FAULT("SEND\n\r\r\n\n\0", "header without a colon"),
    FAULT("SEND\n:bar\n\n\0", "header without a name"),
    FAULT("SEND\na:b\0\n\n\0", "NUL inside the head of a frame"),
    FAULT("SEND\na:b\0", "NUL inside the head of a frame"),
    FAULT("NOPE\n:b\n\0", "NUL inside the head of a frame"),
    FAULT("\0", "NUL inside the head of a frame"),
    FAULT("SEND\n\0\n", "NUL inside the head of a frame"),
    FAULT("SEND\na:\\t\n\n\0", "undefined escape in a header"),
    FAULT("SEND\na:\\\n\n\0", "undefined escape in a header"),
    FAULT("SEND\na\\N:b\n\n\0", "undefined escape in a header"),
    FAULT("MESSAGE\na:b\\:\n\n\0", "undefined escape in a header"),
    FAULT("ACK\nid:1\n\nbody\0", "this command may not have a body"),
    FAULT("CONNECT\n\n\n\0", "this command may not have a body"),
    FAULT("ACK\ncontent-length:1\n\n", "this command may not have a body"),
    FAULT("SEND\ncontent-length:2\n\nabc\0", "no NUL after the body of content-length octets"),
    FAULT("SEND\ncontent-length:0\n\na\0", "no NUL after the body of content-length octets"),
    FAULT("SEND\ncontent-length:\n\n\0", "content-length is not a number"),
    FAULT("SEND\ncontent-length:-1\n\n\0", "content-length is not a number"),
    FAULT("SEND\ncontent-length: 1\n\na\0", "content-length is not a number"),
    FAULT("SEND\ncontent-length:0x1\n\na\0", "content-length is not a number"),
    FAULT("SEND\ncontent-length:18446744073709551616\n\n\0", "content-length is not a number"),
    FAULT("SEND\ncontent-length:18446744073709551615\n\n\0", "body is too long"),
    FAULT("SEND\ncontent-length:1048577\n\n", "body is too long"),
};

START_TEST(a_broken_frame_is_refused_with_its_reason)
{
    ck_assert_int_eq(decode_limited(&roomy, faults[_i].text, faults[_i].n), DECODE_BAD);
    ck_assert_str_eq(decoder.error, faults[_i].error);
}
END_TEST

/* SEND\n (5), a:b\n (4), \n (1): a head of ten bytes. */
START_TEST(a_head_may_be_as_long_as_its_limit_and_no_longer)
{
    struct stomp_limits limits = roomy;

    limits.head_bytes = 10;
    ck_assert_int_eq(decode_limited(&limits, "SEND\na:b\n\nlong enough", 22), DECODE_OK);
    limits.head_bytes = 9;
    ck_assert_int_eq(decode_limited(&limits, "SEND\na:b\n\nlong enough", 22), DECODE_BAD);
    ck_assert_str_eq(decoder.error, "head of the frame is too long");
    start();
    ck_assert_int_eq(decode_limited(&limits, "SEND\na:b\n", 9), DECODE_BAD);
    start();
    ck_assert_int_eq(decode_limited(&limits, "SEND\na:b", 8), DECODE_MORE);
}
END_TEST

START_TEST(headers_are_counted_before_they_are_kept)
{
    struct stomp_limits limits = roomy;

    limits.headers = 2;
    ck_assert_int_eq(decode_limited(&limits, "SEND\na:1\nb:2\n\n", 15), DECODE_OK);
    ck_assert_int_eq(decode_limited(&limits, "SEND\na:1\nb:2\nc:3\n\n", 19), DECODE_BAD);
    ck_assert_str_eq(decoder.error, "too many headers");
}
END_TEST

START_TEST(the_hard_limit_of_headers_fits_the_scratch)
{
    struct stomp_limits limits = { 1 << 20, STOMP_HEADERS_MAX, 0, 0 };
    struct buf b = { 0 };

    buf_str(&b, "SEND\n");
    for (unsigned i = 0; i < STOMP_HEADERS_MAX; i++)
        buf_str(&b, "a:b\n");
    size_t full = b.n;
    buf_put(&b, "\n", 2);
    ck_assert_int_eq(decode_limited(&limits, (const char *)b.p, b.n), DECODE_OK);
    ck_assert_uint_eq(frame.header_count, STOMP_HEADERS_MAX);
    b.n = full;
    buf_put(&b, "a:b\n\n", 6);
    ck_assert_int_eq(decode_limited(&limits, (const char *)b.p, b.n), DECODE_BAD);
    buf_fini(&b);
}
END_TEST

START_TEST(a_body_may_be_as_long_as_its_limit_and_no_longer)
{
    struct stomp_limits limits = roomy;

    limits.body_bytes = 3;
    ck_assert_int_eq(decode_limited(&limits, "SEND\n\nabc", 10), DECODE_OK);
    ck_assert_int_eq(decode_limited(&limits, "SEND\n\nabcd", 11), DECODE_BAD);
    ck_assert_str_eq(decoder.error, "body is too long");
    start();
    ck_assert_int_eq(decode_limited(&limits, "SEND\n\nabcd", 10), DECODE_BAD);
    start();
    ck_assert_int_eq(decode_limited(&limits, "SEND\ncontent-length:3\n\nabc", 27), DECODE_OK);
    ck_assert_int_eq(decode_limited(&limits, "SEND\ncontent-length:4\n\n", 23), DECODE_BAD);
    ck_assert_str_eq(decoder.error, "body is too long");
}
END_TEST

START_TEST(a_number_is_taken_for_a_version_list_only_if_it_is_known)
{
    static const struct {
        const char *list;
        int best; /* -1: none */
    } cases[] = {
        { "1.2", STOMP_V1_2 },
        { "1.0,1.1,1.2", STOMP_V1_2 },
        { "1.2,1.1", STOMP_V1_2 },
        { "1.1,1.0", STOMP_V1_1 },
        { "1.0", STOMP_V1_0 },
        { "2.0,1.1,9", STOMP_V1_1 },
        { "", -1 },
        { "2.0", -1 },
        { "1.20", -1 },
        { ",,1.0,", STOMP_V1_0 },
        { "1", -1 },
        { "1.2x", -1 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum stomp_version v = STOMP_V1_0;
        bool found = stomp_negotiate(bytes_str(cases[i].list), &v);

        ck_assert_msg((found ? (int)v : -1) == cases[i].best, "list \"%s\"", cases[i].list);
    }
}
END_TEST

START_TEST(no_version_list_means_one_zero)
{
    enum stomp_version v = STOMP_V1_2;

    ck_assert(stomp_negotiate((struct bytes){ NULL, 0 }, &v));
    ck_assert_int_eq(v, STOMP_V1_0);
    ck_assert_str_eq(stomp_version_name(STOMP_V1_0), "1.0");
    ck_assert_str_eq(stomp_version_name(STOMP_V1_2), "1.2");
}
END_TEST

START_TEST(heart_beats_are_two_numbers)
{
    uint32_t send = 7, want = 7;

    ck_assert(stomp_heart_beat(BYTES("10000,0"), &send, &want));
    ck_assert_uint_eq(send, 10000);
    ck_assert_uint_eq(want, 0);
    ck_assert(stomp_heart_beat(BYTES("0,4294967295"), &send, &want));
    ck_assert_uint_eq(want, UINT32_MAX);
    ck_assert(stomp_heart_beat((struct bytes){ NULL, 0 }, &send, &want));
    ck_assert_uint_eq(send, 0);
    ck_assert_uint_eq(want, 0);
}
END_TEST

START_TEST(other_heart_beats_are_refused_and_change_nothing)
{
    static const char *const wrong[] = { "",     ",",    "1",    "1,",           ",1",
                                         "1,2,", "1, 2", "-1,2", "4294967296,0", "a,b",
                                         "1,2,3" };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint32_t send = 7, want = 8;

        ck_assert_msg(!stomp_heart_beat(bytes_str(wrong[i]), &send, &want), "\"%s\"", wrong[i]);
        ck_assert(send == 7 && want == 8);
    }
}
END_TEST

Suite *stomp_suite(void);

Suite *stomp_suite(void)
{
    Suite *s = suite_create("stomp");
    TCase *t = tcase_create("frame");

    tcase_add_checked_fixture(t, start, stop);
    tcase_add_loop_test(t, every_command_is_known_by_its_name, 0, STOMP_CMD_COUNT);
    tcase_add_test(t, a_frame_gives_its_headers_and_its_body);
    tcase_add_test(t, only_the_first_frame_is_taken);
    tcase_add_test(t, content_length_reaches_over_a_nul);
    tcase_add_test(t, without_content_length_the_first_nul_ends_the_body);
    tcase_add_test(t, content_length_of_nothing_is_an_empty_body);
    tcase_add_test(t, first_of_repeated_headers_wins);
    tcase_add_test(t, first_of_repeated_content_lengths_wins);
    tcase_add_loop_test(t, lines_may_end_in_cr_lf_in_every_version, STOMP_V1_0, STOMP_V1_2 + 1);
    tcase_add_test(t, values_are_never_trimmed);
    tcase_add_test(t, a_value_may_hold_colons_and_be_empty);
    tcase_add_test(t, escapes_are_undone_in_names_and_values);
    tcase_add_test(t, escaped_backslash_does_not_escape_what_follows);
    tcase_add_test(t, one_zero_has_no_escapes);
    tcase_add_test(t, carriage_return_has_an_escape_in_one_two_only);
    tcase_add_loop_test(t, connecting_frames_are_never_unescaped, 0, 3);
    tcase_add_test(t, end_of_lines_between_frames_are_used_up);
    tcase_add_test(t, no_input_is_no_fault);
    tcase_add_loop_test(t, a_broken_frame_is_refused_with_its_reason, 0,
                        sizeof faults / sizeof faults[0]);
    tcase_add_test(t, a_head_may_be_as_long_as_its_limit_and_no_longer);
    tcase_add_test(t, headers_are_counted_before_they_are_kept);
    tcase_add_test(t, the_hard_limit_of_headers_fits_the_scratch);
    tcase_add_test(t, a_body_may_be_as_long_as_its_limit_and_no_longer);
    tcase_add_test(t, a_number_is_taken_for_a_version_list_only_if_it_is_known);
    tcase_add_test(t, no_version_list_means_one_zero);
    tcase_add_test(t, heart_beats_are_two_numbers);
    tcase_add_test(t, other_heart_beats_are_refused_and_change_nothing);
    suite_add_tcase(s, t);
    return s;
}
