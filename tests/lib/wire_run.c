// SPDX-License-Identifier: MIT
#include "tests/lib/wire_run.h"

#include "base/check.h"

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

void wire_run_open(struct wire_run *r, size_t bound)
{
    struct core_options o = small_options();

    wire_open(&r->w, &o);
    r->w.env.output_bytes = WIRE_RUN_OUTPUT_BYTES;
    r->w.env.stomp = (struct stomp_limits){ 2048, 24, 600 * 1024, 512 };
    r->bound = bound;
}

static size_t piece_size(struct wire_run *r)
{
    r->random = r->random * 6364136223846793005 + 1442695040888963407;
    return 1 + (size_t)(r->random >> 33) % r->most;
}

void wire_run_say(struct wire_run *r, struct bytes b)
{
    while (b.n > 0) {
        struct bytes piece = r->most ? bytes_head(b, piece_size(r)) : b;

        wire_bytes(&r->w, r->peer, piece);
        b = bytes_from(b, piece.n);
    }
}

static void hear(struct wire_run *r, unsigned i)
{
    struct session *s = r->w.peer[i];

    CHECK(s->out.n <= r->bound);
    buf_bytes(&r->heard[i], buf_view(&s->out));
    (void)wire_hear(&r->w, i);
}

void wire_run_settle(struct wire_run *r)
{
    for (unsigned round = 0; round < 4; round++) {
        wire_settle(&r->w);
        for (unsigned i = 0; i < WIRE_PEERS; i++)
            hear(r, i);
    }
    CHECK(core_check(r->w.core));
}

void wire_run_close(struct wire_run *r)
{
    wire_run_settle(r);
    wire_close(&r->w);
}

void wire_run_compare(struct bytes in, void (*play)(struct wire_run *r, struct bytes in))
{
    static const size_t most[] = { 0, 1, 40 };
    struct wire_run run[3] = { 0 };

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
}
