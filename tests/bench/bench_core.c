// SPDX-License-Identifier: MIT
/* bench_core - what a message costs in the core alone: publish, deliver, ack,
 * commits that succeed at once.  No codec, no disk. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "broker/core/core.h"

enum { A_TURN = 1000, BODY_BYTES = 100 };

static const struct core_options options = {
    .seed = 1,
    .memory_bytes = 64u << 20,
    .read_ahead_bytes = 4u << 20,
    .uncommitted_bytes = 64u << 20,
    .message_bytes = 1u << 20,
    .transaction_bytes = 1u << 20,
    .queues = 100000,
    .exchanges = 100,
    .bindings = 100000,
    .consumers = 100000,
    .unacked = 1u << 20,
};

static uint64_t now_ms = 1000;

static void turn(struct core *c, client_id client, consumer_id *consumer, bool ack)
{
    const char *why;
    size_t n;

    core_client_room(c, client, 1u << 30);
    core_turn(c, ++now_ms);
    const struct effect *e = core_effects(c, &n);
    uint64_t last = 0;
    for (size_t i = 0; i < n; i++) {
        struct message m;

        if (e[i].kind != EFFECT_DELIVER)
            continue;
        core_effect_message(c, &e[i], &m);
        last = e[i].tag;
    }
    core_effects_done(c);
    if (ack && last && core_settle(c, client, *consumer, last, true, SETTLE_ACK, now_ms) != OK)
        abort();
    struct commit *commit = core_seal(c, now_ms);
    if (commit) {
        commit->disk_free_bytes = UINT64_MAX;
        core_committed(c, commit);
    }
    (void)why;
}

static void publish(struct core *c, client_id client, unsigned queue)
{
    static const uint8_t body[BODY_BYTES], props[] = { 0x10, 0, 2 };
    char key[32];
    struct publish p = { .persistent = true };
    const char *why;
    int n = snprintf(key, sizeof key, "q%u", queue);

    p.m.routing_key = bytes_of(key, (size_t)n);
    p.m.props = bytes_of(props, sizeof props);
    p.m.body = bytes_of(body, sizeof body);
    p.m.body_size = sizeof body;
    if (core_publish(c, client, &p, &why, now_ms) != PUBLISH_ROUTED)
        abort();
}

int main(int argc, char **argv)
{
    unsigned queues = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
    unsigned count = argc > 2 ? (unsigned)atoi(argv[2]) : 3000000;
    struct core *c = core_new(&options);
    int owner;
    consumer_id consumer = 0;
    const char *why = "";

    core_recovered(c, now_ms);
    client_id client = core_client_open(c, core_vhost_find(c, BYTES("/")), &owner);
    turn(c, client, &consumer, false);
    for (unsigned i = 0; i < queues; i++) {
        struct queue_info info;
        char name[32];
        int n = snprintf(name, sizeof name, "q%u", i);
        struct queue_spec q = { .name = bytes_of(name, (size_t)n), .durable = true };

        if (core_queue_declare(c, client, &q, &info, &why, now_ms) != OK)
            return 1;
    }
    uint64_t began = clock_monotonic_ns();
    for (unsigned i = 0; i < count; i++) {
        publish(c, client, i % queues);
        core_confirm(c, client, false);
        if (i % A_TURN == A_TURN - 1)
            turn(c, client, &consumer, false);
    }
    uint64_t ns = clock_monotonic_ns() - began;
    struct core_stats stats;
    core_stats(c, &stats);
    printf("publish      queues=%u ns_a_message=%.0f ready=%" PRIu64 " memory_mb=%.0f\n", queues,
           (double)ns / count, stats.ready, (double)stats.memory_bytes / 1e6);
    core_free(&c);

    c = core_new(&options);
    core_recovered(c, now_ms);
    client = core_client_open(c, core_vhost_find(c, BYTES("/")), &owner);
    struct queue_info info;
    struct queue_spec q = { .name = BYTES("q0"), .durable = true };
    struct consume k = { .queue = BYTES("q0"), .own_ledger = true };
    if (core_queue_declare(c, client, &q, &info, &why, now_ms) != OK ||
        core_consume(c, client, &k, &consumer, &why) != OK)
        return 1;
    began = clock_monotonic_ns();
    for (unsigned i = 0; i < count; i++) {
        publish(c, client, 0);
        if (i % A_TURN == A_TURN - 1)
            turn(c, client, &consumer, true);
    }
    ns = clock_monotonic_ns() - began;
    printf("pub+sub+ack  ns_a_message=%.0f check=%d\n", (double)ns / count, core_check(c));
    core_free(&c);
    return 0;
}
