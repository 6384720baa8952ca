// SPDX-License-Identifier: MIT
/* load_sync.c - what the disk takes for a commit, with no broker in between:
 * one block and fdatasync, over blocks that are there and at a growing end. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/bench/load.h"

enum { BLOCK = 4096, BLOCKS = 1024 };

static void write_block(int fd, uint64_t at)
{
    static uint8_t block[BLOCK];

    memset(block, (int)(at % 251), sizeof block); /* never what was there */
    if (pwrite(fd, block, sizeof block, (off_t)(at * BLOCK)) != BLOCK || fdatasync(fd) != 0)
        load_die("write");
}

static void measure(int fd, double seconds, bool append, struct histogram *h)
{
    static uint64_t at;
    uint64_t began = clock_monotonic_ns(), end = began + (uint64_t)(seconds * 1e9);

    for (uint64_t t = began; t < end; at++) {
        uint64_t before = t;

        write_block(fd, append ? at + BLOCKS : at % BLOCKS);
        t = clock_monotonic_ns();
        histogram_add(h, t - before);
    }
}

void load_sync(const struct load_options *o)
{
    static struct histogram overwrite, append;
    char path[512];
    double seconds = o->seconds > 0 ? o->seconds / 2 : 0.5;

    (void)snprintf(path, sizeof path, "%s/sync-XXXXXX", o->dir);
    int fd = mkstemp(path);
    if (fd < 0 || unlink(path) != 0)
        load_die(o->dir);
    static uint8_t zero[BLOCK];
    for (off_t i = 0; i < BLOCKS; i++)
        if (pwrite(fd, zero, sizeof zero, i * BLOCK) != BLOCK)
            load_die(o->dir);
    if (fsync(fd) != 0)
        load_die(o->dir);
    measure(fd, seconds, false, &overwrite);
    measure(fd, seconds, true, &append);
    (void)close(fd);
    report_begin(o->json);
    report_latency("overwrite", &overwrite);
    report_latency("append", &append);
    report_end();
}
