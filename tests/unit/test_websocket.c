// SPDX-License-Identifier: MIT
/* Frames of WebSocket and the request that opens it (RFC 6455). */
#include <check.h>

#include "base/buf.h"
#include "base/mem.h"
#include "proto/websocket.h"

static struct buf wire, seen;
static const char *why;

static void open_wire(void)
{
    why = "";
    wire = seen = (struct buf){ 0 };
}

static void close_wire(void)
{
    buf_fini(&wire);
    buf_fini(&seen);
}

/* A masked frame, as clients send it. */
static void frame(unsigned first, struct bytes payload)
{
    static const uint8_t mask[4] = { 0x12, 0, 0xff, 0x80 };
    uint8_t head[WS_HEAD_MAX];
    size_t n = ws_put_head(head, WS_BINARY, payload.n);

    head[0] = (uint8_t)first;
    head[1] |= 0x80;
    buf_put(&wire, head, n);
    buf_put(&wire, mask, 4);
    for (size_t i = 0; i < payload.n; i++)
        buf_u8(&wire, payload.p[i] ^ mask[i & 3]);
}

/* What comes of the wire, cut every `cut` bytes: content as it is, control frames in [ ]. */
static enum decode run(size_t cut)
{
    struct ws_decoder d = { 0 };
    struct ws_piece piece;
    enum decode got = DECODE_MORE;
    uint8_t *copy = mem_alloc(wire.n);
    size_t used;

    memcpy(copy, wire.p, wire.n);
    seen.n = 0;
    for (size_t from = 0; from < wire.n && got != DECODE_BAD; from += cut) {
        size_t n = wire.n - from < cut ? wire.n - from : cut;

        for (size_t at = 0; at < n && got != DECODE_BAD; at += used) {
            got = ws_decode(&d, copy + from + at, n - at, &used, &piece, &why);
            ck_assert(used > 0 || got == DECODE_BAD);
            if (got != DECODE_OK)
                continue;
            if (piece.opcode >= WS_CLOSE)
                buf_fmt(&seen, "[%d ", (int)piece.opcode);
            buf_bytes(&seen, piece.bytes);
            if (piece.opcode >= WS_CLOSE)
                buf_str(&seen, "]");
        }
    }
    mem_free(copy);
    return got;
}

static void assert_seen(const char *want)
{
    ck_assert_int_eq(run(SIZE_MAX / 2), DECODE_OK);
    ck_assert_msg(bytes_eq(buf_view(&seen), bytes_str(want)), "%.*s", BYTES_FMT(buf_view(&seen)));
    for (size_t cut = 1; cut < 20; cut++) {
        (void)run(cut);
        ck_assert(bytes_eq(buf_view(&seen), bytes_str(want)));
    }
}

START_TEST(content_is_unmasked_wherever_the_stream_is_cut)
{
    frame(0x82, BYTES("hello"));
    frame(0x81, BYTES(""));
    frame(0x82, BYTES(", world"));
    assert_seen("hello, world");
}
END_TEST

START_TEST(fragments_join_and_control_frames_stand_between_them)
{
    frame(0x02, BYTES("one "));
    frame(0x89, BYTES("ping"));
    frame(0x00, BYTES("two "));
    frame(0x8a, BYTES(""));
    frame(0x80, BYTES("three"));
    frame(0x82, BYTES("!"));
    frame(0x88, BYTES("\x03\xe8"));
    assert_seen("one [9 ping]two [10 ]three![8 \x03\xe8]");
}
END_TEST

START_TEST(lengths_of_all_three_kinds_are_read)
{
    static const size_t sizes[] = { 125, 126, 65535, 65536 };
    size_t all = 0;

    for (int i = 0; i < 4; i++) {
        uint8_t *payload = mem_zalloc(sizes[i]);

        frame(0x82, bytes_of(payload, sizes[i]));
        mem_free(payload);
        all += sizes[i];
    }
    ck_assert_int_eq(run(1000), DECODE_OK);
    ck_assert_uint_eq(seen.n, all);
    for (size_t i = 0; i < seen.n; i++)
        ck_assert_uint_eq(seen.p[i], 0);
}
END_TEST

static const struct {
    const char *what;
    uint8_t bytes[16];
    size_t n;
} broken[] = {
    { "reserved bit", { 0xc2, 0x80, 0, 0, 0, 0 }, 6 },
    { "not masked", { 0x82, 0x01, 'x' }, 3 },
    { "unknown opcode", { 0x83, 0x80, 0, 0, 0, 0 }, 6 },
    { "unknown control", { 0x8b, 0x80, 0, 0, 0, 0 }, 6 },
    { "fragmented control", { 0x09, 0x80, 0, 0, 0, 0 }, 6 },
    { "long control", { 0x89, 0xfe, 0, 126 }, 4 },
    { "continuation of nothing", { 0x80, 0x80, 0, 0, 0, 0 }, 6 },
    { "a message within a message", { 0x02, 0x80, 0, 0, 0, 0, 0x82, 0x80, 0, 0, 0, 0 }, 12 },
    { "length 125 in two bytes", { 0x82, 0xfe, 0, 125, 0, 0, 0, 0 }, 8 },
    { "length 65535 in eight", { 0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0 }, 14 },
    { "length of 64 bits", { 0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, 14 },
};

START_TEST(what_is_no_frame_of_a_client_is_refused)
{
    buf_put(&wire, broken[_i].bytes, broken[_i].n);
    ck_assert_msg(run(SIZE_MAX / 2) == DECODE_BAD, "%s", broken[_i].what);
    ck_assert(*why);
    ck_assert_int_eq(run(1), DECODE_BAD);
}
END_TEST

/* ---- the request ---- */

#define START "GET /mqtt HTTP/1.1\r\n"
#define HOST "Host: example:15675\r\n"
#define ASK "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"

static int status_of(const char *text)
{
    struct ws_request r;
    int status = 0;
    size_t used = 0;

    switch (ws_request_decode(bytes_str(text), &r, &used, &status, &why)) {
    case DECODE_OK:
        return 101;
    case DECODE_MORE:
        return 100;
    case DECODE_BAD:
        ck_assert(*why);
        return status;
    }
    return 0;
}

START_TEST(a_request_is_read_whole_and_not_before)
{
    static const char text[] = START HOST ASK KEY VERSION
        "Origin: https://a.example\r\nsec-websocket-protocol:  mqtt ,v12.stomp\r\n\r\n";
    struct ws_request r;
    size_t used = 0, at = 0;
    struct bytes name;
    int status;

    for (size_t n = 0; n + 1 < sizeof text - 1; n++)
        ck_assert_int_eq(
            ws_request_decode(bytes_of((const uint8_t *)text, n), &r, &used, &status, &why),
            DECODE_MORE);
    ck_assert_int_eq(ws_request_decode(bytes_str(text), &r, &used, &status, &why), DECODE_OK);
    ck_assert_uint_eq(used, sizeof text - 1);
    ck_assert(bytes_eq(r.path, BYTES("/mqtt")));
    ck_assert(bytes_eq(r.host, BYTES("example:15675")));
    ck_assert(bytes_eq(r.origin, BYTES("https://a.example")));
    ck_assert(bytes_eq(r.key, BYTES("dGhlIHNhbXBsZSBub25jZQ==")));
    ck_assert(ws_list_next(r.protocols, &at, &name) && bytes_eq(name, BYTES("mqtt")));
    ck_assert(ws_list_next(r.protocols, &at, &name) && bytes_eq(name, BYTES("v12.stomp")));
    ck_assert(!ws_list_next(r.protocols, &at, &name));
}
END_TEST

static const struct {
    const char *text;
    int status;
} requests[] = {
    { START HOST ASK KEY VERSION "\r\n", 101 },
    { "POST / HTTP/1.1\r\n" HOST ASK KEY VERSION "\r\n", 405 },
    { "GET / HTTP/1.0\r\n" HOST ASK KEY VERSION "\r\n", 505 },
    { "GET  HTTP/1.1\r\n" HOST ASK KEY VERSION "\r\n", 400 },
    { "GET\r\n\r\n", 400 },
    { START ASK KEY VERSION "\r\n", 400 },
    { START "Host:\r\n" ASK KEY VERSION "\r\n", 400 },
    { START HOST HOST ASK KEY VERSION "\r\n", 400 },
    { START HOST KEY VERSION "\r\n", 426 },
    { START HOST "Upgrade: websocket\r\n" KEY VERSION "\r\n", 426 },
    { START HOST ASK KEY "\r\n", 426 },
    { START HOST ASK KEY "Sec-WebSocket-Version: 8\r\n\r\n", 426 },
    { START HOST ASK VERSION "\r\n", 400 },
    { START HOST ASK VERSION "Sec-WebSocket-Key: short==\r\n\r\n", 400 },
    { START HOST ASK KEY KEY VERSION "\r\n", 400 },
    { START HOST ASK KEY VERSION "no colon\r\n\r\n", 400 },
    { START HOST ASK KEY VERSION " folded: x\r\n\r\n", 400 },
    { START HOST ASK KEY VERSION "A: \x01\r\n\r\n", 400 },
};

START_TEST(a_request_that_is_not_one_gets_its_status)
{
    ck_assert_int_eq(status_of(requests[_i].text), requests[_i].status);
}
END_TEST

START_TEST(a_request_has_bounds)
{
    buf_str(&wire, START HOST ASK KEY VERSION);
    for (int i = 0; i < 60; i++)
        buf_str(&wire, "A: b\r\n");
    buf_str(&wire, "\r\n");
    buf_u8(&wire, 0);
    ck_assert_int_eq(status_of((const char *)wire.p), 431);
    wire.n = 0;
    buf_str(&wire, START);
    while (wire.n < WS_REQUEST_MAX)
        buf_u8(&wire, 'a');
    buf_u8(&wire, 0);
    ck_assert_int_eq(status_of((const char *)wire.p), 431);
}
END_TEST

Suite *websocket_suite(void);

Suite *websocket_suite(void)
{
    Suite *s = suite_create("websocket");
    TCase *t = tcase_create("websocket");

    tcase_add_checked_fixture(t, open_wire, close_wire);
    tcase_add_test(t, content_is_unmasked_wherever_the_stream_is_cut);
    tcase_add_test(t, fragments_join_and_control_frames_stand_between_them);
    tcase_add_test(t, lengths_of_all_three_kinds_are_read);
    tcase_add_loop_test(t, what_is_no_frame_of_a_client_is_refused, 0,
                        sizeof broken / sizeof *broken);
    tcase_add_test(t, a_request_is_read_whole_and_not_before);
    tcase_add_loop_test(t, a_request_that_is_not_one_gets_its_status, 0,
                        sizeof requests / sizeof *requests);
    tcase_add_test(t, a_request_has_bounds);
    suite_add_tcase(s, t);
    return s;
}
