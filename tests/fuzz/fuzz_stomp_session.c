// SPDX-License-Identifier: MIT
/* fuzz_stomp_session.c - the input is what four peers say to one broker.
 *
 * Peers 0 to 2 are logged in with 1.2, 1.1 and 1.0; peer 3 is not.  Bytes go to
 * the current peer, but for the marks below.  What must hold: tests/lib/wire_run.h. */
#include "tests/lib/wire_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum {
    MARK_SETTLE = 0xff, /* turns and commits until nothing is left to do */
    MARK_PEER = 0xfe,   /* the next byte says which one is the current */
    MARK_WAIT = 0xfd,   /* the next byte, in tens of milliseconds */
    MARK_LEAVE = 0xfc,  /* the current peer hangs up and comes back */
    LEAST_MARK = 0xfc,
    LONGEST_INPUT = 64 * 1024
};

static const char *const versions[WIRE_PEERS] = { "1.2", "1.1", "1.0", NULL };

static void leave(struct wire_run *r)
{
    wire_run_settle(r);
    wire_hang_up(&r->w, r->peer);
    wire_peer(&r->w, r->peer, "1.2");
}

/* Returns how many bytes the mark took. */
static size_t on_mark(struct wire_run *r, struct bytes in)
{
    uint8_t next = in.n > 1 ? in.p[1] : 0;

    switch (in.p[0]) {
    case MARK_PEER:
        r->peer = next % WIRE_PEERS;
        return in.n > 1 ? 2 : 1;
    case MARK_WAIT:
        wire_run_settle(r);
        wire_wait(&r->w, next * 10U);
        wire_run_settle(r);
        return in.n > 1 ? 2 : 1;
    case MARK_LEAVE:
        leave(r);
        return 1;
    default:
        wire_run_settle(r);
        return 1;
    }
}

static void play(struct wire_run *r, struct bytes in)
{
    /* A turn gives out what there is room for and a receipt for each frame. */
    wire_run_open(r, WIRE_RUN_OUTPUT_BYTES + 4 * in.n + 600 * 1024);
    for (unsigned i = 0; i < WIRE_PEERS; i++)
        wire_peer(&r->w, i, versions[i]);
    while (in.n > 0) {
        size_t n = 0;

        while (n < in.n && in.p[n] < LEAST_MARK)
            n++;
        wire_run_say(r, bytes_head(in, n));
        in = bytes_from(in, n);
        if (in.n > 0)
            in = bytes_from(in, on_mark(r, in));
    }
    wire_run_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n <= LONGEST_INPUT)
        wire_run_compare(bytes_of(data, n), play);
    return 0;
}
