// SPDX-License-Identifier: MIT
/* bench_storage.c - what the storage layer alone can do on this machine.
 *
 *     bench_storage [DIR] [SECONDS] [MESSAGES BYTES]
 *
 * Steady state through store.h and SQLite: each commit publishes N messages,
 * marks half a batch of earlier ones settled and deletes a batch that is done
 * with.  Beside it the bare disk: one write and fdatasync at a time. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "storage/store.h"
#include "tests/lib/store_script.h"

enum { SAMPLES_MAX = 1 << 20, CONTENTS = 4, SETTLE_LAG = 8, DELETE_LAG = 16 };

static const char *vfs;
static uint64_t checkpoint_bytes = 64 << 20;
static double seconds = 2;
static uint64_t sample[SAMPLES_MAX];
static size_t samples;

static void sample_add(uint64_t ns)
{
    if (samples < SAMPLES_MAX)
        sample[samples++] = ns;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Microseconds; sorts the samples. */
static double percentile(double p)
{
    if (samples == 0)
        return 0;
    qsort(sample, samples, sizeof *sample, by_size);
    return (double)sample[(size_t)((double)(samples - 1) * p / 100)] / 1000;
}

static double cpu_seconds(void)
{
    struct rusage u;

    CHECK(getrusage(RUSAGE_SELF, &u) == 0);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static uint64_t bytes_written(void)
{
    char line[128];
    unsigned long long n = 0;
    FILE *f = fopen("/proc/self/io", "r");

    while (f && fgets(line, sizeof line, f))
        (void)sscanf(line, "write_bytes: %llu", &n);
    if (f)
        (void)fclose(f);
    return n;
}

/* A write of 4 KiB and fdatasync: over a file that is there, or at its end. */
static void bare(const char *dir, bool append)
{
    char path[512];
    static uint8_t page[4096];
    uint64_t end = clock_monotonic_ns() + (uint64_t)(seconds * 5e8);
    off_t at = 0;

    (void)snprintf(path, sizeof path, "%s/bare", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0);
    for (unsigned i = 0; !append && i < 4096; i++)
        CHECK(pwrite(fd, page, sizeof page, (off_t)i * 4096) == 4096);
    CHECK(fsync(fd) == 0);
    for (samples = 0; clock_monotonic_ns() < end; at += 4096) {
        uint64_t began = clock_monotonic_ns();
        page[0]++;
        CHECK(pwrite(fd, page, sizeof page, append ? at : at % (4096 * 4096)) == 4096);
        CHECK(fdatasync(fd) == 0);
        sample_add(clock_monotonic_ns() - began);
    }
    close(fd);
    (void)unlink(path);
    double p50 = percentile(50);
    printf("bare write + fdatasync, %-12s            p50 %6.0f us  p99 %6.0f us\n",
           append ? "appended" : "preallocated", p50, percentile(99));
}

struct load_shape {
    uint32_t messages, bytes;
};

struct bench {
    struct store *store;
    struct batch_content *content[CONTENTS];
    struct load_shape shape;
    uint8_t *half;
    uint64_t number;
    uint64_t *engine_ns;
    size_t commits;
};

static struct commit *next_commit(struct bench *b)
{
    struct commit *c = commit_new(++b->number);
    struct op *o = commit_op(c, OP_BATCH_PUT);

    o->batch_id = b->number;
    o->content = b->content[b->number % CONTENTS];
    if (b->number > SETTLE_LAG && b->shape.messages > 1) {
        o = commit_op(c, OP_SETTLED_PUT);
        o->batch_id = b->number - SETTLE_LAG;
        o->bits = bytes_of(b->half, bits_bytes(b->shape.messages));
    }
    if (b->number > DELETE_LAG)
        commit_op(c, OP_BATCH_DELETE)->batch_id = b->number - DELETE_LAG;
    return c;
}

/* Hands it over and waits as the loop does. */
static void run_one(struct bench *b)
{
    struct commit *c = next_commit(b), *back = NULL;
    struct load *l = NULL;
    struct pollfd p = { .fd = store_fd(b->store), .events = POLLIN };
    uint64_t began = clock_monotonic_ns();

    store_submit(b->store, c);
    while (!store_take_done(b->store, &back, &l))
        (void)poll(&p, 1, -1);
    sample_add(clock_monotonic_ns() - began);
    if (b->commits < SAMPLES_MAX)
        b->engine_ns[b->commits++] = back->ended_ns - back->began_ns;
    commit_free(&back);
}

static void begin(struct bench *b, const char *dir)
{
    struct store_options o = { &engine_sqlite,
                               { .path = dir, .vfs = vfs, .checkpoint_bytes = checkpoint_bytes } };

    CHECK(store_open(&o, &b->store) == OK && store_start(b->store) == OK);
    for (unsigned i = 0; i < CONTENTS; i++)
        b->content[i] = script_batch(1 + i, 1, b->shape.messages, b->shape.bytes);
    b->half = mem_zalloc(bits_bytes(b->shape.messages));
    b->engine_ns = mem_array(SAMPLES_MAX, sizeof *b->engine_ns);
    memset(b->half, 0x55, bits_bytes(b->shape.messages));
}

static void end(struct bench *b)
{
    store_close(&b->store);
    for (unsigned i = 0; i < CONTENTS; i++)
        batch_content_free(&b->content[i]);
    mem_free(b->half);
    mem_free(b->engine_ns);
}

static void steady(const char *under, struct load_shape shape)
{
    struct bench b = { .shape = shape };
    char dir[512], remove[600];

    (void)snprintf(dir, sizeof dir, "%s/bench-XXXXXX", under);
    CHECK(mkdtemp(dir));
    begin(&b, dir);
    for (unsigned i = 0; i < 200; i++)
        run_one(&b);
    samples = 0;
    b.commits = 0;

    double cpu = cpu_seconds();
    uint64_t written = bytes_written(), began = clock_monotonic_ns(), first = b.number;
    while (clock_monotonic_ns() - began < (uint64_t)(seconds * 1e9))
        run_one(&b);
    double spent = (double)(clock_monotonic_ns() - began) / 1e9;
    double n = (double)(b.number - first) * shape.messages;
    cpu = cpu_seconds() - cpu;
    written = bytes_written() - written;
    double p50 = percentile(50), p99 = percentile(99);
    memcpy(sample, b.engine_ns, b.commits * sizeof *sample);
    samples = b.commits;
    printf("%5u x %5u B a commit  %9.0f msg/s  %5.2f us CPU/msg  %5.2f B/body B"
           "  p50 %6.0f us  p99 %6.0f us  engine p50 %6.0f us\n",
           shape.messages, shape.bytes, n / spent, cpu / n * 1e6,
           (double)written / (n * shape.bytes), p50, p99, percentile(50));
    (void)fflush(stdout);
    end(&b);
    (void)snprintf(remove, sizeof remove, "rm -rf '%s'", dir);
    CHECK(system(remove) == 0);
}

int main(int argc, char **argv)
{
    static const struct load_shape shapes[] = { { 1, 100 },     { 100, 100 },  { 1000, 100 },
                                                { 10000, 100 }, { 100, 1024 }, { 1000, 1024 } };
    const char *dir = argc > 1 ? argv[1] : "/tmp";

    if (argc > 2)
        seconds = atof(argv[2]);
    vfs = getenv("BENCH_VFS");
    if (getenv("BENCH_CHECKPOINT_MB"))
        checkpoint_bytes = strtoull(getenv("BENCH_CHECKPOINT_MB"), NULL, 10) << 20;
    log_configure(LOG_WARN, false);
    if (argc > 4) {
        steady(dir, (struct load_shape){ (uint32_t)atoi(argv[3]), (uint32_t)atoi(argv[4]) });
        return 0;
    }
    bare(dir, false);
    bare(dir, true);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        steady(dir, shapes[i]);
    return 0;
}
