// SPDX-License-Identifier: MIT
/* fuzz_websocket.c - the input is a stream of frames, and a request.
 *
 * Decoded whole and a byte at a time frames give the same; a request is not read before it is
 * whole, and its views lie within it. */
#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "proto/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static enum decode run(struct bytes in, size_t cut, struct buf *out)
{
    struct ws_decoder d = { 0 };
    struct ws_piece piece;
    enum decode got = DECODE_MORE;
    const char *why = NULL;

    for (size_t from = 0; from < in.n && got != DECODE_BAD; from += cut) {
        size_t n = in.n - from < cut ? in.n - from : cut, used = 0;
        uint8_t *exact = mem_alloc(n);

        memcpy(exact, in.p + from, n);
        for (size_t at = 0; at < n && got != DECODE_BAD; at += used) {
            got = ws_decode(&d, exact + at, n - at, &used, &piece, &why);
            CHECK(used <= n - at && (used > 0 || got == DECODE_BAD));
            if (got == DECODE_BAD)
                CHECK(why);
            if (got != DECODE_OK)
                continue;
            if (piece.opcode >= WS_CLOSE)
                buf_fmt(out, "[%d %zu ", (int)piece.opcode, piece.bytes.n);
            CHECK(piece.opcode < WS_CLOSE || piece.bytes.n <= WS_CONTROL_MAX);
            buf_bytes(out, piece.bytes);
        }
        mem_free(exact);
    }
    return got;
}

static void check_frames(struct bytes in)
{
    struct buf whole = { 0 }, cut = { 0 };
    enum decode a = run(in, SIZE_MAX / 2, &whole), b = run(in, 1, &cut);

    CHECK((a == DECODE_BAD) == (b == DECODE_BAD) && bytes_eq(buf_view(&whole), buf_view(&cut)));
    buf_fini(&whole);
    buf_fini(&cut);
}

static void check_within(struct bytes all, struct bytes view)
{
    CHECK(view.n == 0 || (view.p >= all.p && view.p + view.n <= all.p + all.n));
}

static void check_request(struct bytes in)
{
    struct ws_request r;
    size_t used = 0, before = 0;
    const char *why = NULL;
    struct bytes name;
    int status = 0;
    enum decode d = ws_request_decode(in, &r, &used, &status, &why);

    if (d == DECODE_BAD)
        CHECK(why && status >= 400 && status < 600);
    if (d != DECODE_OK)
        return;
    CHECK(used <= in.n && used <= WS_REQUEST_MAX && r.key.n == 24 && r.host.p);
    check_within(in, r.path);
    check_within(in, r.host);
    check_within(in, r.origin);
    for (size_t at = 0; ws_list_next(r.protocols, &at, &name);) {
        CHECK(at > before && name.n > 0);
        check_within(r.protocols, name);
        before = at;
    }
    CHECK(ws_request_decode(bytes_head(in, used - 1), &r, &used, &status, &why) == DECODE_MORE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    check_frames(bytes_of(data, n));
    check_request(bytes_of(data, n));
    return 0;
}
