// SPDX-License-Identifier: MIT
/* fuzz_mqtt_session.c - the input is what three MQTT peers and a STOMP one say to one broker.
 *
 * It is a run of records, so that the fuzzer need not count lengths itself: an octet says
 * what comes, and most say how many bytes follow.  What must hold: tests/lib/wire_run.h. */
#include "base/reader.h"
#include "proto/mqtt.h"
#include "tests/lib/wire_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum {
    RECORD_PACKET, /* type and flags u8, length u8, the rest: as a whole packet */
    RECORD_RAW,    /* length u8, bytes as they are */
    RECORD_PEER,   /* which one is the current */
    RECORD_WAIT,   /* u8, in tens of milliseconds */
    RECORD_LEAVE,  /* the current peer hangs up and comes back; u8: clean or not */
    RECORD_SETTLE, /* turns and commits until nothing is left to do */
    RECORDS
};

enum { MQTT_PEERS = 3, LONGEST_INPUT = 16 * 1024 };

static void log_in(struct wire_run *r, unsigned i, bool clean)
{
    static const char *const names[MQTT_PEERS] = { "a", "b", "c" };

    if (i < MQTT_PEERS)
        wire_mqtt_peer(&r->w, i, i == 0 ? MQTT_3_1_1 : MQTT_5, names[i], clean);
    else
        wire_peer(&r->w, i, "1.2");
}

static void say_packet(struct wire_run *r, struct reader *in)
{
    struct buf packet = { 0 };

    buf_u8(&packet, reader_u8(in));
    struct bytes rest = reader_bytes8(in);
    buf_varint(&packet, rest.n);
    buf_bytes(&packet, rest);
    if (!in->failed)
        wire_run_say(r, buf_view(&packet));
    buf_fini(&packet);
}

static void play_record(struct wire_run *r, struct reader *in)
{
    switch (reader_u8(in) % RECORDS) {
    case RECORD_PACKET:
        say_packet(r, in);
        break;
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
        wire_run_settle(r);
        wire_hang_up(&r->w, r->peer);
        log_in(r, r->peer, reader_u8(in) % 2);
        break;
    default:
        wire_run_settle(r);
        break;
    }
}

static void play(struct wire_run *r, struct bytes input)
{
    struct reader in = reader_over(input);

    /* A turn gives out what there is room for, an answer for each packet, retained ones. */
    wire_run_open(r, 4 * WIRE_RUN_OUTPUT_BYTES + 64 * input.n + 600 * 1024);
    for (unsigned i = 0; i < WIRE_PEERS; i++)
        log_in(r, i, i == 2);
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
