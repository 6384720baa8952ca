// SPDX-License-Identifier: MIT
/* fuzz_stomp_session.c - the input is what four peers say to one broker.
 *
 * Peers 0 to 2 are logged in with 1.2, 1.1 and 1.0; peer 3 is not.  Bytes go to
 * the current peer, but for the marks below.  Whatever is said: every invariant of
 * the core holds, what comes out is in bounds, all memory comes back, and cut
 * into pieces the same input gives the same output. */
#include "base/check.h"
#include "base/mem.h"
#include "tests/lib/stomp_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum {
    MARK_SETTLE = 0xff, /* turns and commits until nothing is left to do */
    MARK_PEER = 0xfe,   /* the next byte says which one is the current */
    MARK_WAIT = 0xfd,   /* the next byte, in tens of milliseconds */
    MARK_LEAVE = 0xfc,  /* the current peer hangs up and comes back */
    LEAST_MARK = 0xfc,
    OUTPUT_BYTES = 8 * 1024,
    LONGEST_INPUT = 64 * 1024
};

struct run {
    struct stomp_wire w;
    unsigned peer;
    size_t most; /* of a piece; 0: not cut */
    uint64_t random;
    size_t bound;
    struct buf heard[WIRE_PEERS];
};

static const char *const versions[WIRE_PEERS] = { "1.2", "1.1", "1.0", NULL };

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

static void leave(struct run *r)
{
    settle(r);
    wire_hang_up(&r->w, r->peer);
    wire_peer(&r->w, r->peer, "1.2");
}

/* Returns how many bytes the mark took. */
static size_t on_mark(struct run *r, struct bytes in)
{
    uint8_t next = in.n > 1 ? in.p[1] : 0;

    switch (in.p[0]) {
    case MARK_PEER:
        r->peer = next % WIRE_PEERS;
        return in.n > 1 ? 2 : 1;
    case MARK_WAIT:
        settle(r);
        wire_wait(&r->w, next * 10U);
        settle(r);
        return in.n > 1 ? 2 : 1;
    case MARK_LEAVE:
        leave(r);
        return 1;
    default:
        settle(r);
        return 1;
    }
}

static void play(struct run *r, struct bytes in)
{
    struct core_options o = small_options();

    wire_open(&r->w, &o);
    r->w.env.output_bytes = OUTPUT_BYTES;
    r->w.env.stomp = (struct stomp_limits){ 2048, 24, 600 * 1024, 512 };
    /* A turn gives out what there is room for and a receipt for each frame. */
    r->bound = OUTPUT_BYTES + 4 * in.n + 600 * 1024;
    for (unsigned i = 0; i < WIRE_PEERS; i++)
        wire_peer(&r->w, i, versions[i]);
    while (in.n > 0) {
        size_t n = 0;

        while (n < in.n && in.p[n] < LEAST_MARK)
            n++;
        say(r, bytes_head(in, n));
        in = bytes_from(in, n);
        if (in.n > 0)
            in = bytes_from(in, on_mark(r, in));
    }
    settle(r);
    wire_close(&r->w);
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
