// SPDX-License-Identifier: MIT
/* fuzz_amqp_session.c - the input is what three AMQP peers and a STOMP one say to one broker.
 *
 * The input is a run of records, so that the fuzzer need not count lengths itself:
 * an octet says what comes, and most say how many bytes follow.  Whatever is said:
 * every invariant of the core holds, what comes out is in bounds, all memory comes back,
 * and cut into pieces the same input gives the same output. */
#include "base/check.h"
#include "base/mem.h"
#include "base/reader.h"
#include "proto/amqp.h"
#include "tests/lib/stomp_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum {
    RECORD_METHOD, /* channel u8, length u8, payload: as a whole frame */
    RECORD_HEADER,
    RECORD_BODY,
    RECORD_RAW,    /* length u8, bytes as they are */
    RECORD_PEER,   /* which one is the current */
    RECORD_WAIT,   /* u8, in tens of milliseconds */
    RECORD_LEAVE,  /* the current peer hangs up and comes back */
    RECORD_SETTLE, /* turns and commits until nothing is left to do */
    RECORDS
};

enum { AMQP_PEERS = 3, OUTPUT_BYTES = 8 * 1024, LONGEST_INPUT = 16 * 1024 };

struct run {
    struct stomp_wire w;
    unsigned peer;
    size_t most; /* of a piece; 0: not cut */
    uint64_t random;
    size_t bound;
    struct buf heard[WIRE_PEERS];
    struct buf frame;
};

/* Small, so that limits and paging are reached. */
static struct core_options small_options(void)
{
    struct core_options o = wire_options();

    o.memory_bytes = 16 * 1024;
    o.read_ahead_bytes = 4 * 1024;
    o.message_bytes = 600 * 1024;
    o.transaction_bytes = 4 * 1024;
    o.queues = o.consumers = o.bindings = 12;
    o.unacked = 8;
    return o;
}

static size_t piece_size(struct run *r)
{
    r->random = r->random * 6364136223846793005 + 1442695040888963407;
    return 1 + (size_t)(r->random >> 33) % r->most;
}

static void say(struct run *r, struct bytes b)
{
    while (b.n > 0) {
        struct bytes piece = r->most ? bytes_head(b, piece_size(r)) : b;

        wire_bytes(&r->w, r->peer, piece);
        b = bytes_from(b, piece.n);
    }
}

static void hear(struct run *r, unsigned i)
{
    struct session *s = r->w.peer[i];

    CHECK(s->out.n <= r->bound);
    buf_bytes(&r->heard[i], buf_view(&s->out));
    (void)wire_hear(&r->w, i);
}

static void settle(struct run *r)
{
    for (unsigned round = 0; round < 4; round++) {
        wire_settle(&r->w);
        for (unsigned i = 0; i < WIRE_PEERS; i++)
            hear(r, i);
    }
    CHECK(core_check(r->w.core));
}

static void log_in(struct run *r, unsigned i)
{
    if (i < AMQP_PEERS)
        wire_amqp_peer(&r->w, i, 2);
    else
        wire_peer(&r->w, i, "1.2");
}

static void leave(struct run *r)
{
    settle(r);
    wire_hang_up(&r->w, r->peer);
    log_in(r, r->peer);
}

static void say_frame(struct run *r, struct reader *in, uint8_t type)
{
    uint16_t channel = reader_u8(in) % 4;
    struct bytes payload = reader_bytes8(in);
    size_t mark;

    if (in->failed)
        return;
    r->frame.n = 0;
    mark = amqp_frame_begin(&r->frame, type, channel);
    buf_bytes(&r->frame, payload);
    amqp_frame_end(&r->frame, mark);
    say(r, buf_view(&r->frame));
}

static void play_record(struct run *r, struct reader *in)
{
    uint8_t kind = reader_u8(in) % RECORDS;

    switch (kind) {
    case RECORD_RAW:
        say(r, reader_bytes8(in));
        break;
    case RECORD_PEER:
        r->peer = reader_u8(in) % WIRE_PEERS;
        break;
    case RECORD_WAIT:
        settle(r);
        wire_wait(&r->w, reader_u8(in) * 10U);
        settle(r);
        break;
    case RECORD_LEAVE:
        leave(r);
        break;
    case RECORD_SETTLE:
        settle(r);
        break;
    default:
        say_frame(r, in, (uint8_t)(kind + 1));
        break;
    }
}

static void play(struct run *r, struct bytes input)
{
    struct core_options o = small_options();
    struct reader in = reader_over(input);

    wire_open(&r->w, &o);
    r->w.env.output_bytes = OUTPUT_BYTES;
    r->w.env.stomp = (struct stomp_limits){ 2048, 24, 600 * 1024, 512 };
    /* A turn gives out what there is room for and an answer for each frame. */
    r->bound = 4 * OUTPUT_BYTES + 64 * input.n + 600 * 1024;
    for (unsigned i = 0; i < WIRE_PEERS; i++)
        log_in(r, i);
    while (in.left > 0 && !in.failed)
        play_record(r, &in);
    settle(r);
    wire_close(&r->w);
    buf_fini(&r->frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const size_t most[] = { 0, 1, 40 };
    struct bytes in = { data, n };
    struct run run[3] = { 0 };

    if (n > LONGEST_INPUT)
        return 0;
    for (unsigned i = 0; i < 3; i++) {
        run[i].most = most[i];
        run[i].random = bytes_hash(in, i);
        play(&run[i], in);
        for (unsigned k = 0; k < WIRE_PEERS; k++)
            CHECK(bytes_eq(buf_view(&run[i].heard[k]), buf_view(&run[0].heard[k])));
    }
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < WIRE_PEERS; k++)
            buf_fini(&run[i].heard[k]);
    return 0;
}
