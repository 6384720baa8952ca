// SPDX-License-Identifier: MIT
/* fuzz_stomp_decode.c - the input is a stream of frames.
 *
 * In each version: decoded whole and in pieces it gives the same; no limit is
 * passed; a frame that came out is encoded and decoded to itself; and so is a
 * frame made of arbitrary names and values.  The cuts follow from the input. */
#include "base/check.h"
#include "base/mem.h"
#include "proto/stomp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Small, so that inputs of the usual size reach them. */
static const struct stomp_limits limits = { 256, 12, 200, 40 };
static const struct stomp_limits roomy = { 1 << 20, STOMP_HEADERS_MAX, 1 << 20, 1 << 20 };

static struct stomp_scratch scratch, again_scratch;

struct run {
    struct stomp_decoder d;
    struct buf pending, log;
    uint64_t random;
    bool broken;
};

static size_t next_random(uint64_t *state, size_t below)
{
    *state = *state * 6364136223846793005 + 1442695040888963407;
    return (size_t)(*state >> 33) % below;
}

/* CONNECT, STOMP and CONNECTED are never escaped. */
static enum stomp_version version_for(enum stomp_command c, enum stomp_version v)
{
    bool connecting = c == STOMP_CMD_CONNECT || c == STOMP_CMD_STOMP || c == STOMP_CMD_CONNECTED;

    return connecting ? STOMP_V1_0 : v;
}

/* A CR at the end of a line is part of the end where it has no escape. */
static struct bytes without_last_cr(struct bytes value, enum stomp_version v)
{
    if (v != STOMP_V1_2 && value.n > 0 && value.p[value.n - 1] == '\r')
        value.n--;
    return value;
}

static void check_same_again(const struct stomp_frame *f, enum stomp_version v)
{
    enum stomp_version escaping = version_for(f->command, v);
    struct stomp_decoder d = { .version = v };
    struct stomp_frame again;
    struct buf b = { 0 };
    size_t used;

    stomp_put_command(&b, f->command);
    for (unsigned i = 0; i < f->header_count; i++)
        stomp_put_header(&b, escaping, f->header[i].name, f->header[i].value);
    stomp_put_head_end(&b);
    buf_bytes(&b, f->body);
    stomp_put_end(&b);
    CHECK(stomp_decode(&d, &roomy, &again_scratch, b.p, b.n, &again, &used) == DECODE_OK);
    CHECK(used == b.n && again.part == STOMP_WHOLE && again.command == f->command);
    CHECK(again.has_length == f->has_length && again.content_length == f->content_length);
    CHECK(again.header_count == f->header_count && bytes_eq(again.body, f->body));
    for (unsigned i = 0; i < f->header_count; i++) {
        struct bytes value = without_last_cr(f->header[i].value, escaping);

        CHECK(bytes_eq(again.header[i].name, f->header[i].name));
        CHECK(bytes_eq(again.header[i].value, value));
    }
    buf_fini(&b);
}

static void check_limits(const struct stomp_frame *f, size_t n, size_t used)
{
    CHECK(used > 0 && used <= n);
    CHECK(f->header_count <= limits.headers);
    CHECK(f->body.n <= limits.body_bytes);
    CHECK(f->part == STOMP_BODY ? f->body.n > 0 : f->part == STOMP_WHOLE || f->body.n == 0);
    if (f->part == STOMP_WHOLE && f->has_length)
        CHECK(f->content_length == f->body.n && f->body.n <= limits.inline_bytes);
    if (f->part == STOMP_HEAD)
        CHECK(f->content_length > limits.inline_bytes && f->content_length <= limits.body_bytes);
}

static void log_bytes(struct buf *log, struct bytes b)
{
    buf_decimal(log, b.n);
    buf_u8(log, ' ');
    buf_bytes(log, b);
}

static void log_frame(struct buf *log, const struct stomp_frame *f)
{
    if (f->part == STOMP_WHOLE || f->part == STOMP_HEAD) {
        buf_fmt(log, "%s %d %d ", stomp_command_name(f->command), (int)f->part, f->has_length);
        for (unsigned i = 0; i < f->header_count; i++) {
            log_bytes(log, f->header[i].name);
            log_bytes(log, f->header[i].value);
        }
    }
    buf_bytes(log, f->body); /* pieces of a body join */
    if (f->part == STOMP_WHOLE || f->part == STOMP_END)
        buf_str(log, " end\n");
}

/* One call on a copy of its exact size, so that reading on is seen. */
static enum decode run_once(struct run *r)
{
    struct stomp_frame f;
    size_t n = r->pending.n, used = 0;
    uint8_t *exact = mem_alloc(n);

    if (n > 0)
        memcpy(exact, r->pending.p, n);
    enum decode result = stomp_decode(&r->d, &limits, &scratch, exact, n, &f, &used);
    CHECK(used <= n);
    if (result == DECODE_OK) {
        check_limits(&f, n, used);
        log_frame(&r->log, &f);
        if (f.part == STOMP_WHOLE)
            check_same_again(&f, r->d.version);
    } else if (result == DECODE_BAD) {
        CHECK(r->d.error);
        buf_str(&r->log, r->d.error);
        r->broken = true;
    }
    mem_free(exact);
    buf_drop(&r->pending, used);
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
        CHECK(r->broken || r->d.in_body || r->pending.n <= limits.head_bytes + limits.body_bytes);
    }
}

static void run_fini(struct run *r)
{
    buf_fini(&r->pending);
    buf_fini(&r->log);
}

static void check_cuts(struct bytes in, enum stomp_version v)
{
    static const size_t most[] = { 1, 7, 50 };
    struct run whole = { .d.version = v };

    run_stream(&whole, in, 0);
    for (size_t i = 0; i < sizeof most / sizeof most[0]; i++) {
        struct run cut = { .d.version = v, .random = bytes_hash(in, i) };

        run_stream(&cut, in, most[i]);
        CHECK(bytes_eq(buf_view(&whole.log), buf_view(&cut.log)));
        CHECK(whole.broken == cut.broken);
        CHECK(whole.broken || bytes_eq(buf_view(&whole.pending), buf_view(&cut.pending)));
        run_fini(&cut);
    }
    run_fini(&whole);
}

/* What of `text` arrives: the octets that the version cannot carry are masked. */
static void mask(uint8_t *text, size_t n, enum stomp_version v, bool name)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] == 0 || (v == STOMP_V1_0 && (text[i] == '\n' || (name && text[i] == ':'))))
            text[i] = '?';
}

/* The input as names and values, cut anywhere. */
static void check_encoder(struct bytes in, enum stomp_version v)
{
    struct stomp_header sent[STOMP_HEADERS_MAX];
    uint64_t random = bytes_hash(in, 99);
    uint8_t *text = mem_alloc(in.n);
    struct stomp_decoder d = { .version = v };
    struct stomp_frame f;
    struct buf b = { 0 };
    unsigned count = 0;
    size_t used;

    stomp_put_command(&b, STOMP_CMD_MESSAGE);
    for (size_t at = 0; at < in.n && count < STOMP_HEADERS_MAX;) {
        struct bytes name = bytes_head(bytes_from(in, at), 1 + next_random(&random, 20));
        struct bytes value = bytes_head(bytes_from(in, at + name.n), next_random(&random, 40));
        struct stomp_header *h = &sent[count];

        stomp_put_header(&b, v, name, value);
        memcpy(text + at, name.p, name.n);
        mask(text + at, name.n, v, true);
        h->name = bytes_of(text + at, name.n);
        at += name.n;
        if (value.n > 0)
            memcpy(text + at, value.p, value.n);
        mask(text + at, value.n, v, false);
        h->value = without_last_cr(bytes_of(text + at, value.n), v);
        at += value.n;
        count++;
        if (bytes_eq(h->name, BYTES("content-length")))
            goto done; /* then the rest is not ours to foresee */
    }
    stomp_put_head_end(&b);
    stomp_put_end(&b);
    CHECK(stomp_decode(&d, &roomy, &again_scratch, b.p, b.n, &f, &used) == DECODE_OK);
    CHECK(used == b.n && f.command == STOMP_CMD_MESSAGE && f.header_count == count);
    for (unsigned i = 0; i < count; i++)
        CHECK(bytes_eq(f.header[i].name, sent[i].name) &&
              bytes_eq(f.header[i].value, sent[i].value));
done:
    buf_fini(&b);
    mem_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    for (enum stomp_version v = STOMP_V1_0; v <= STOMP_V1_2; v++) {
        check_cuts(bytes_of(data, n), v);
        check_encoder(bytes_of(data, n), v);
    }
    return 0;
}
