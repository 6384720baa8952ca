// SPDX-License-Identifier: MIT
/* fuzz_amqp_session.c - the input is what three AMQP peers and a STOMP one say to one broker.
 *
 * It is a run of records, so that the fuzzer need not count lengths itself: an octet says
 * what comes, and most say how many bytes follow.  What must hold: tests/lib/wire_run.h. */
#include "base/reader.h"
#include "proto/amqp.h"
#include "tests/lib/wire_run.h"

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

enum { AMQP_PEERS = 3, CHANNELS = 2, LONGEST_INPUT = 16 * 1024 };

static void log_in(struct wire_run *r, unsigned i)
{
    if (i < AMQP_PEERS)
        wire_amqp_peer(&r->w, i, CHANNELS);
    else
        wire_peer(&r->w, i, "1.2");
}

static void leave(struct wire_run *r)
{
    wire_run_settle(r);
    wire_hang_up(&r->w, r->peer);
    log_in(r, r->peer);
}

static void say_frame(struct wire_run *r, struct reader *in, uint8_t type)
{
    uint16_t channel = reader_u8(in) % (CHANNELS + 2);
    struct bytes payload = reader_bytes8(in);
    struct buf frame = { 0 };

    if (in->failed)
        return;
    size_t mark = amqp_frame_begin(&frame, type, channel);
    buf_bytes(&frame, payload);
    amqp_frame_end(&frame, mark);
    wire_run_say(r, buf_view(&frame));
    buf_fini(&frame);
}

static void play_record(struct wire_run *r, struct reader *in)
{
    uint8_t kind = reader_u8(in) % RECORDS;

    switch (kind) {
    case RECORD_RAW:
        wire_run_say(r, reader_bytes8(in));
        break;
    case RECORD_PEER:
        r->peer = reader_u8(in) % WIRE_PEERS;
        break;
    case RECORD_WAIT:
        wire_run_settle(r);
        wire_wait(&r->w, reader_u8(in) * 10U);
        wire_run_settle(r);
        break;
    case RECORD_LEAVE:
        leave(r);
        break;
    case RECORD_SETTLE:
        wire_run_settle(r);
        break;
    default:
        say_frame(r, in, (uint8_t)(kind + AMQP_FRAME_METHOD));
        break;
    }
}

static void play(struct wire_run *r, struct bytes input)
{
    struct reader in = reader_over(input);

    /* A turn gives out what there is room for and an answer for each frame. */
    wire_run_open(r, 4 * WIRE_RUN_OUTPUT_BYTES + 64 * input.n + 600 * 1024);
    for (unsigned i = 0; i < WIRE_PEERS; i++)
        log_in(r, i);
    while (in.left > 0 && !in.failed)
        play_record(r, &in);
    wire_run_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n <= LONGEST_INPUT)
        wire_run_compare(bytes_of(data, n), play);
    return 0;
}
