// SPDX-License-Identifier: MIT
/* fuzz_amqp_frame.c - the input is a stream of frames.
 *
 * Decoded whole and in pieces it gives the same frames and the same fault; no frame
 * is above frame_max; each that came out is encoded to its own bytes, and so is a
 * content header; a body comes back from however many frames it was split into.
 * The cuts follow from the input. */
#include "base/check.h"
#include "base/mem.h"
#include "proto/amqp.h"
#include "proto/props.h"
#include "proto/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct run {
    uint32_t frame_max;
    struct buf pending, log;
    uint64_t random;
    bool broken;
};

static size_t next_random(uint64_t *state, size_t below)
{
    *state = *state * 6364136223846793005 + 1442695040888963407;
    return (size_t)(*state >> 33) % below;
}

static void check_content(struct bytes payload, uint16_t channel)
{
    struct amqp_content c;
    const char *why = NULL;
    struct buf b = { 0 };
    struct props p;

    if (amqp_content_decode(payload, &c, &why) != DECODE_OK) {
        CHECK(why);
        return;
    }
    CHECK(c.class_id == 60 && props_decode(c.props, &p) && table_valid(p.headers));
    amqp_put_content_header(&b, channel, c.body_size, c.props);
    CHECK(b.n == payload.n + AMQP_FRAME_EXTRA_BYTES);
    CHECK(memcmp(b.p + AMQP_FRAME_HEAD_BYTES, payload.p, payload.n) == 0);
    buf_fini(&b);
}

static void check_body(struct bytes body, uint16_t channel, uint32_t frame_max)
{
    struct buf b = { 0 }, joined = { 0 };

    amqp_put_body(&b, channel, frame_max, body);
    for (size_t at = 0, used; at < b.n; at += used) {
        struct amqp_frame f;
        const char *why;

        CHECK(amqp_frame_decode(bytes_from(buf_view(&b), at), frame_max, &f, &used, &why) ==
              DECODE_OK);
        CHECK(f.type == AMQP_FRAME_BODY && f.channel == channel);
        CHECK(f.payload.n > 0 && used <= frame_max);
        buf_bytes(&joined, f.payload);
    }
    CHECK(bytes_eq(buf_view(&joined), body));
    buf_fini(&b);
    buf_fini(&joined);
}

static void check_same_again(const struct amqp_frame *f, struct bytes whole)
{
    struct buf b = { 0 };

    if (f->type == AMQP_FRAME_HEARTBEAT) {
        amqp_put_heartbeat(&b);
    } else {
        size_t mark = amqp_frame_begin(&b, f->type, f->channel);

        buf_bytes(&b, f->payload);
        amqp_frame_end(&b, mark);
    }
    CHECK(bytes_eq(buf_view(&b), whole));
    buf_fini(&b);
}

static void take_frame(struct run *r, const struct amqp_frame *f, struct bytes whole)
{
    CHECK(whole.n == f->payload.n + AMQP_FRAME_EXTRA_BYTES && whole.n <= r->frame_max);
    check_same_again(f, whole);
    if (f->type == AMQP_FRAME_HEADER)
        check_content(f->payload, f->channel);
    if (f->type == AMQP_FRAME_BODY)
        check_body(f->payload, f->channel, AMQP_FRAME_EXTRA_BYTES + 1 + f->channel % 64);
    buf_fmt(&r->log, "%u %u %zu ", f->type, f->channel, f->payload.n);
    buf_bytes(&r->log, f->payload);
}

/* One call on a copy of its exact size, so that reading on is seen. */
static enum decode run_once(struct run *r)
{
    struct amqp_frame f;
    size_t n = r->pending.n, used = 0;
    uint8_t *exact = mem_alloc(n);
    const char *why = NULL;

    if (n > 0)
        memcpy(exact, r->pending.p, n);
    enum decode result = amqp_frame_decode(bytes_of(exact, n), r->frame_max, &f, &used, &why);
    if (result == DECODE_OK) {
        CHECK(used <= n);
        take_frame(r, &f, bytes_of(exact, used));
        buf_drop(&r->pending, used);
    } else if (result == DECODE_BAD) {
        CHECK(why);
        buf_str(&r->log, why);
        r->broken = true;
    }
    mem_free(exact);
    return result;
}

static void run_stream(struct run *r, struct bytes in, size_t most)
{
    while (in.n > 0 && !r->broken) {
        struct bytes piece = bytes_head(in, most ? 1 + next_random(&r->random, most) : in.n);

        buf_bytes(&r->pending, piece);
        in = bytes_from(in, piece.n);
        while (run_once(r) == DECODE_OK)
            ;
        CHECK(r->broken || r->pending.n < r->frame_max);
    }
}

static void run_fini(struct run *r)
{
    buf_fini(&r->pending);
    buf_fini(&r->log);
}

static void check_cuts(struct bytes in, uint32_t frame_max)
{
    static const size_t most[] = { 1, 7, 50 };
    struct run whole = { .frame_max = frame_max };

    run_stream(&whole, in, 0);
    for (size_t i = 0; i < sizeof most / sizeof most[0]; i++) {
        struct run cut = { .frame_max = frame_max, .random = bytes_hash(in, i) };

        run_stream(&cut, in, most[i]);
        CHECK(bytes_eq(buf_view(&whole.log), buf_view(&cut.log)));
        CHECK(whole.broken == cut.broken);
        CHECK(whole.broken || bytes_eq(buf_view(&whole.pending), buf_view(&cut.pending)));
        run_fini(&cut);
    }
    run_fini(&whole);
}

/* The input as the payload of a header frame, without a frame to be found first. */
static void check_as_content(struct bytes in)
{
    uint8_t *exact = mem_alloc(in.n);

    if (in.n > 0)
        memcpy(exact, in.p, in.n);
    check_content(bytes_of(exact, in.n), 1);
    mem_free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct bytes in = bytes_of(data, n);

    check_cuts(in, 64); /* small, so that inputs of the usual size reach it */
    check_cuts(in, 600);
    check_as_content(in);
    return 0;
}
