// SPDX-License-Identifier: MIT
#include <check.h>

#include "base/mem.h"
#include "proto/amqp.h"
#include "proto/props.h"
#include "proto/table.h"

#define COUNT_OF(a) (sizeof(a) / sizeof(a)[0])

enum { FRAME_MAX = 4096 };

/* From an allocation of its exact size, so that reading on is seen.  The payload
 * of `out` is not to be looked at afterwards. */
static enum decode decode_exact(struct bytes in, struct amqp_frame *out, size_t *used)
{
    uint8_t *exact = mem_alloc(in.n);
    const char *why = NULL;

    if (in.n)
        memcpy(exact, in.p, in.n);
    enum decode r = amqp_frame_decode(bytes_of(exact, in.n), FRAME_MAX, out, used, &why);
    if (r == DECODE_OK)
        ck_assert(out->payload.p >= exact && out->payload.p + out->payload.n < exact + in.n);
    if (r == DECODE_BAD)
        ck_assert(why && *why);
    mem_free(exact);
    return r;
}

static enum decode result_of(struct bytes in)
{
    struct amqp_frame f;
    size_t used;

    return decode_exact(in, &f, &used);
}

static enum decode result_of_content(struct bytes payload)
{
    uint8_t *exact = mem_alloc(payload.n);
    struct amqp_content c;
    const char *why = NULL;

    if (payload.n)
        memcpy(exact, payload.p, payload.n);
    enum decode r = amqp_content_decode(bytes_of(exact, payload.n), &c, &why);
    ck_assert(r == DECODE_OK || (r == DECODE_BAD && why && *why));
    mem_free(exact);
    return r;
}

static void assert_bytes(struct bytes got, struct bytes want)
{
    ck_assert_uint_eq(got.n, want.n);
    if (want.n)
        ck_assert_mem_eq(got.p, want.p, want.n);
}

/* ---- frames ---- */

START_TEST(the_protocol_header_is_amqp_0_0_9_1)
{
    ck_assert_mem_eq(amqp_protocol, "AMQP\0\0\x09\x01", AMQP_PROTOCOL_BYTES);
}
END_TEST

START_TEST(a_frame_is_type_channel_size_payload_and_end)
{
    struct buf b = { 0 };

    buf_str(&b, "before"); /* which stays as it is */
    size_t mark = amqp_frame_begin(&b, AMQP_FRAME_METHOD, 0x1234);
    for (unsigned i = 0; i < 0x0203; i++)
        buf_u8(&b, (uint8_t)i);
    amqp_frame_end(&b, mark);
    ck_assert_uint_eq(b.n, 6 + 7 + 0x0203 + 1);
    ck_assert_mem_eq(b.p, "before\x01\x12\x34\0\0\x02\x03\0\1\2\3", 17);
    ck_assert_uint_eq(b.p[b.n - 2], 0x02);
    ck_assert_uint_eq(b.p[b.n - 1], 0xce);
    buf_fini(&b);
}
END_TEST

/* One frame of each type. */
static struct buf frame_of(int i)
{
    static const uint8_t types[] = { AMQP_FRAME_METHOD, AMQP_FRAME_HEADER, AMQP_FRAME_BODY };
    struct buf b = { 0 };

    if (i == (int)COUNT_OF(types)) {
        amqp_put_heartbeat(&b);
        return b;
    }
    size_t mark = amqp_frame_begin(&b, types[i], 0xfedc);
    for (unsigned n = 0; n < 300; n++)
        buf_u8(&b, AMQP_FRAME_END); /* the end is where the size says */
    amqp_frame_end(&b, mark);
    return b;
}

START_TEST(every_prefix_of_a_frame_needs_more_and_the_whole_is_a_frame)
{
    struct buf b = frame_of(_i);
    struct amqp_frame f;
    size_t used;

    for (size_t n = 0; n < b.n; n++)
        ck_assert_msg(result_of(bytes_head(buf_view(&b), n)) == DECODE_MORE, "cut at %zu", n);
    ck_assert(decode_exact(buf_view(&b), &f, &used) == DECODE_OK);
    ck_assert_uint_eq(used, b.n);
    ck_assert_uint_eq(f.type, b.p[0]);
    ck_assert_uint_eq(f.channel, _i == 3 ? 0 : 0xfedc);
    ck_assert_uint_eq(f.payload.n, _i == 3 ? 0 : 300);
    buf_fini(&b);
}
END_TEST

START_TEST(one_frame_is_taken_of_many)
{
    struct bytes in = BYTES("\x03\0\1\0\0\0\2hi\xce\x03\0\2\0\0\0\0\xce\x03");
    struct amqp_frame f;
    const char *why;
    size_t used;

    ck_assert(amqp_frame_decode(in, FRAME_MAX, &f, &used, &why) == DECODE_OK);
    ck_assert_uint_eq(used, 10);
    ck_assert_uint_eq(f.channel, 1);
    assert_bytes(f.payload, BYTES("hi"));
    ck_assert(amqp_frame_decode(bytes_from(in, 10), FRAME_MAX, &f, &used, &why) == DECODE_OK);
    ck_assert_uint_eq(used, 8);
    ck_assert_uint_eq(f.channel, 2);
    ck_assert_uint_eq(f.payload.n, 0);
    ck_assert(amqp_frame_decode(bytes_from(in, 18), FRAME_MAX, &f, &used, &why) == DECODE_MORE);
}
END_TEST

/* frame_max counts the head and the end too [2.3.5]. */
START_TEST(a_size_above_frame_max_is_refused_from_the_head_alone)
{
    ck_assert(result_of(BYTES("\x03\0\1\0\0\x0f\xf8")) == DECODE_MORE);
    ck_assert(result_of(BYTES("\x03\0\1\0\0\x0f\xf9")) == DECODE_BAD);
    ck_assert(result_of(BYTES("\x03\0\1\x80\0\0\0")) == DECODE_BAD);
    ck_assert(result_of(BYTES("\x03\0\1\xff\xff\xff\xff")) == DECODE_BAD);
}
END_TEST

START_TEST(a_frame_ends_with_0xce_only)
{
    for (unsigned end = 0; end < 256; end++) {
        uint8_t frame[] = { AMQP_FRAME_BODY, 0, 1, 0, 0, 0, 1, 'x', (uint8_t)end };

        ck_assert(result_of(bytes_of(frame, sizeof frame)) ==
                  (end == 0xce ? DECODE_OK : DECODE_BAD));
    }
}
END_TEST

START_TEST(an_unknown_type_is_refused_from_the_head_alone)
{
    for (unsigned type = 0; type < 256; type++) {
        uint8_t head[] = { (uint8_t)type, 0, 0, 0, 0, 0, 0 };
        bool known = type == 1 || type == 2 || type == 3 || type == 8;

        ck_assert(result_of(bytes_of(head, sizeof head)) == (known ? DECODE_MORE : DECODE_BAD));
    }
}
END_TEST

START_TEST(a_heartbeat_is_eight_bytes_on_channel_0)
{
    struct buf b = { 0 };

    amqp_put_heartbeat(&b);
    assert_bytes(buf_view(&b), BYTES("\x08\0\0\0\0\0\0\xce"));
    ck_assert(result_of(buf_view(&b)) == DECODE_OK);
    ck_assert(result_of(BYTES("\x08\0\1\0\0\0\0\xce")) == DECODE_BAD);
    ck_assert(result_of(BYTES("\x08\1\0\0\0\0\0\xce")) == DECODE_BAD);
    ck_assert(result_of(BYTES("\x08\0\0\0\0\0\1x\xce")) == DECODE_BAD);
    buf_fini(&b);
}
END_TEST

/* ---- bodies ---- */

/* Appended to `joined`; the count of its frames. */
static size_t join_bodies(struct bytes in, uint32_t frame_max, struct buf *joined)
{
    struct amqp_frame f;
    const char *why;
    size_t used, count = 0;

    for (; in.n > 0; count++) {
        ck_assert(amqp_frame_decode(in, frame_max, &f, &used, &why) == DECODE_OK);
        ck_assert_uint_eq(f.type, AMQP_FRAME_BODY);
        ck_assert_uint_eq(f.channel, 9);
        ck_assert_uint_gt(f.payload.n, 0);
        buf_bytes(joined, f.payload);
        in = bytes_from(in, used);
    }
    return count;
}

START_TEST(a_body_is_split_at_frame_max)
{
    static const struct {
        size_t n;
        uint32_t frame_max;
        size_t frames;
    } cases[] = {
        { 0, 4096, 0 },    { 1, 4096, 1 },     { 4088, 4096, 1 },     { 4089, 4096, 2 },
        { 8176, 4096, 2 }, { 8177, 4096, 3 },  { 100000, 4096, 25 },  { 0, 0, 0 },
        { 100000, 0, 1 },  { 5000, 10, 2500 }, { 100000, 131072, 1 },
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf body = { 0 }, out = { 0 }, joined = { 0 };
        uint32_t limit = cases[i].frame_max ? cases[i].frame_max : UINT32_MAX;

        for (size_t n = 0; n < cases[i].n; n++)
            buf_u8(&body, (uint8_t)(n % 251));
        amqp_put_body(&out, 9, cases[i].frame_max, buf_view(&body));
        ck_assert_uint_eq(join_bodies(buf_view(&out), limit, &joined), cases[i].frames);
        assert_bytes(buf_view(&joined), buf_view(&body));
        buf_fini(&body);
        buf_fini(&out);
        buf_fini(&joined);
    }
}
END_TEST

/* ---- content headers ---- */

/* One field of each type there is: t b B s u I i L l f d D S A T F V x. */
static const char every_type[] = "\1at\1\1bb\xff\1cB\xff\1ds\xff\xfe\1eu\xff\xfe"
                                 "\1fI\xff\xff\xff\xfe\1gi\xff\xff\xff\xfe"
                                 "\1hL\xff\xff\xff\xff\xff\xff\xff\xfe\1il\x80\0\0\0\0\0\0\0"
                                 "\1jf\x3f\xc0\0\0\1kd\x3f\xf8\0\0\0\0\0\0\1lD\1\0\0\0\x0f"
                                 "\1mS\0\0\0\2hi\1nA\0\0\0\3t\1V\1oT\0\0\0\0\0\0\0\1"
                                 "\1pF\0\0\0\4\1at\0\1qV\1rx\0\0\0\1\0";

static struct buf header_with(unsigned flags, struct bytes headers)
{
    struct props p = {
        .flags = (uint16_t)flags,
        .content_type = BYTES("text/plain"),
        .content_encoding = BYTES("gzip"),
        .headers = headers,
        .delivery_mode = 2,
        .priority = 9,
        .correlation_id = BYTES("c"),
        .reply_to = BYTES("r"),
        .expiration = BYTES("60000"),
        .message_id = BYTES("m"),
        .timestamp = UINT64_MAX,
        .type = BYTES("t"),
        .user_id = BYTES("u"),
        .app_id = BYTES("a"),
        .cluster_id = BYTES("cl"),
    };
    struct buf props = { 0 }, out = { 0 };

    props_encode(&props, &p);
    amqp_put_content_header(&out, 5, 0x0102030405060708, buf_view(&props));
    buf_fini(&props);
    return out;
}

static struct bytes payload_of(const struct buf *frame)
{
    return bytes_of(frame->p + AMQP_FRAME_HEAD_BYTES, frame->n - AMQP_FRAME_EXTRA_BYTES);
}

START_TEST(a_content_header_is_class_weight_size_and_properties)
{
    struct buf b = { 0 };

    amqp_put_content_header(&b, 5, 0x0102030405060708, BYTES("\x08\0\x04"));
    assert_bytes(buf_view(&b),
                 BYTES("\x02\0\x05\0\0\0\x0f\0\x3c\0\0\1\2\3\4\5\6\7\x08\x08\0\x04\xce"));
    b.n = 0;
    amqp_put_content_header(&b, 5, 0, BYTES(""));
    assert_bytes(buf_view(&b), BYTES("\x02\0\x05\0\0\0\x0e\0\x3c\0\0\0\0\0\0\0\0\0\0\0\0\xce"));
    buf_fini(&b);
}
END_TEST

/* Flags: none, each alone (bits 2 to 15), all. */
START_TEST(properties_and_headers_of_every_type_come_back)
{
    struct bytes headers = bytes_of(every_type, sizeof every_type - 1);
    unsigned flags = _i == 16 ? 0xfffc : _i > 1 ? 1u << _i : 0;
    struct buf b = header_with(flags, headers), again = { 0 };
    struct amqp_content c;
    const char *why;
    struct props p;

    ck_assert(amqp_content_decode(payload_of(&b), &c, &why) == DECODE_OK);
    ck_assert_uint_eq(c.class_id, 60);
    ck_assert_uint_eq(c.body_size, 0x0102030405060708);
    ck_assert(props_decode(c.props, &p));
    ck_assert_uint_eq(p.flags, flags);
    assert_bytes(p.headers, flags & PROPS_headers ? headers : BYTES(""));
    ck_assert_uint_eq(p.timestamp, flags & PROPS_timestamp ? UINT64_MAX : 0);
    amqp_put_content_header(&again, 5, c.body_size, c.props);
    assert_bytes(buf_view(&again), buf_view(&b));
    buf_fini(&b);
    buf_fini(&again);
}
END_TEST

START_TEST(every_cut_of_a_content_header_and_every_byte_behind_it_are_refused)
{
    struct buf b = header_with(0xfffc, bytes_of(every_type, sizeof every_type - 1));
    struct bytes payload = payload_of(&b);

    for (size_t n = 0; n < payload.n; n++)
        ck_assert_msg(result_of_content(bytes_head(payload, n)) == DECODE_BAD, "cut at %zu", n);
    ck_assert(result_of_content(payload) == DECODE_OK);
    payload.n++; /* the end octet of the frame */
    ck_assert(result_of_content(payload) == DECODE_BAD);
    buf_fini(&b);
}
END_TEST

#define SIZE "\0\0\0\0\0\0\0\1"

START_TEST(another_class_than_basic_and_a_weight_are_refused)
{
    ck_assert(result_of_content(BYTES("\0\x3c\0\0" SIZE "\0\0")) == DECODE_OK);
    ck_assert(result_of_content(BYTES("\0\x32\0\0" SIZE "\0\0")) == DECODE_BAD);
    ck_assert(result_of_content(BYTES("\1\x3c\0\0" SIZE "\0\0")) == DECODE_BAD);
    ck_assert(result_of_content(BYTES("\0\x3c\0\1" SIZE "\0\0")) == DECODE_BAD);
    ck_assert(result_of_content(BYTES("\0\x3c\1\0" SIZE "\0\0")) == DECODE_BAD);
}
END_TEST

START_TEST(malformed_properties_and_headers_are_refused)
{
    ck_assert(result_of_content(BYTES("\0\x3c\0\0" SIZE "\x20\0\0\0\0\4\1kt\1")) == DECODE_OK);
    ck_assert(result_of_content(BYTES("\0\x3c\0\0" SIZE "\x20\0\0\0\0\4\1k?\1")) == DECODE_BAD);
    ck_assert(result_of_content(BYTES("\0\x3c\0\0" SIZE "\x20\0\0\0\0\4\2kt\1")) == DECODE_BAD);
    ck_assert(result_of_content(BYTES("\0\x3c\0\0" SIZE "\0\1\0\0")) == DECODE_BAD);
    ck_assert(result_of_content(BYTES("\0\x3c\0\0" SIZE "\0\2")) == DECODE_BAD);
    ck_assert(result_of_content(BYTES("\0\x3c\0\0" SIZE "\x80\0\5text")) == DECODE_BAD);
}
END_TEST

/* ---- replies ---- */

START_TEST(replies_have_the_names_and_the_hardness_of_the_specification)
{
    static const struct {
        unsigned code;
        bool hard;
        const char *name;
    } want[] = {
        { 311, 0, "CONTENT_TOO_LARGE" },   { 312, 0, "NO_ROUTE" },
        { 313, 0, "NO_CONSUMERS" },        { 320, 1, "CONNECTION_FORCED" },
        { 402, 1, "INVALID_PATH" },        { 403, 0, "ACCESS_REFUSED" },
        { 404, 0, "NOT_FOUND" },           { 405, 0, "RESOURCE_LOCKED" },
        { 406, 0, "PRECONDITION_FAILED" }, { 501, 1, "FRAME_ERROR" },
        { 502, 1, "SYNTAX_ERROR" },        { 503, 1, "COMMAND_INVALID" },
        { 504, 1, "CHANNEL_ERROR" },       { 505, 1, "UNEXPECTED_FRAME" },
        { 506, 1, "RESOURCE_ERROR" },      { 530, 1, "NOT_ALLOWED" },
        { 540, 1, "NOT_IMPLEMENTED" },     { 541, 1, "INTERNAL_ERROR" },
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        ck_assert_pstr_eq(amqp_reply_name((enum amqp_reply)want[i].code), want[i].name);
        ck_assert(amqp_reply_is_hard((enum amqp_reply)want[i].code) == want[i].hard);
    }
}
END_TEST

Suite *amqp_frame_suite(void);

Suite *amqp_frame_suite(void)
{
    Suite *s = suite_create("amqp_frame");
    TCase *t = tcase_create("amqp_frame");

    tcase_add_test(t, the_protocol_header_is_amqp_0_0_9_1);
    tcase_add_test(t, a_frame_is_type_channel_size_payload_and_end);
    tcase_add_loop_test(t, every_prefix_of_a_frame_needs_more_and_the_whole_is_a_frame, 0, 4);
    tcase_add_test(t, one_frame_is_taken_of_many);
    tcase_add_test(t, a_size_above_frame_max_is_refused_from_the_head_alone);
    tcase_add_test(t, a_frame_ends_with_0xce_only);
    tcase_add_test(t, an_unknown_type_is_refused_from_the_head_alone);
    tcase_add_test(t, a_heartbeat_is_eight_bytes_on_channel_0);
    tcase_add_test(t, a_body_is_split_at_frame_max);
    tcase_add_test(t, a_content_header_is_class_weight_size_and_properties);
    tcase_add_loop_test(t, properties_and_headers_of_every_type_come_back, 1, 17);
    tcase_add_test(t, every_cut_of_a_content_header_and_every_byte_behind_it_are_refused);
    tcase_add_test(t, another_class_than_basic_and_a_weight_are_refused);
    tcase_add_test(t, malformed_properties_and_headers_are_refused);
    tcase_add_test(t, replies_have_the_names_and_the_hardness_of_the_specification);
    suite_add_tcase(s, t);
    return s;
}
