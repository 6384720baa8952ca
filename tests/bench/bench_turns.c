// SPDX-License-Identifier: MIT
/* bench_turns.c - a confirm beside the bare disk, in turns.
 *
 *     bench_turns PORT DIR
 *
 * Sixty times: sixty blocks of 4 KiB written over old ones and synced in DIR, then
 * sixty messages of 100 bytes to the STOMP server on PORT, each sent when the
 * receipt of the one before has come.  A disk changes its speed within seconds, so
 * only figures taken in turns can be compared. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { ROUNDS = 60, A_ROUND = 60, SAMPLES = ROUNDS * A_ROUND, BLOCK = 4096, BLOCKS = 4096 };

static uint64_t bare[SAMPLES], confirm[SAMPLES];
static size_t samples;

static _Noreturn void die(const char *doing)
{
    perror(doing);
    exit(1);
}

static void write_block(int fd, uint64_t at)
{
    static uint8_t block[BLOCK];

    memset(block, (int)(1 + at % 251), sizeof block);
    if (pwrite(fd, block, BLOCK, (off_t)(at % BLOCKS * BLOCK)) != BLOCK || fdatasync(fd) != 0)
        die("write");
}

static int open_blocks(const char *dir)
{
    char path[512];

    (void)snprintf(path, sizeof path, "%s/turns-XXXXXX", dir);
    int fd = mkstemp(path);
    if (fd < 0 || unlink(path) != 0)
        die(dir);
    static uint8_t zeros[BLOCK];
    for (off_t i = 0; i < BLOCKS; i++)
        if (pwrite(fd, zeros, BLOCK, i * BLOCK) != BLOCK)
            die(dir);
    if (fsync(fd) != 0)
        die(dir);
    return fd;
}

/* Sends a frame and waits for the one that must come back. */
static void ask(int fd, const char *frame, size_t n, const char *answer)
{
    char in[4096];
    ssize_t got;

    if (send(fd, frame, n, MSG_NOSIGNAL) != (ssize_t)n)
        die("send");
    got = recv(fd, in, sizeof in, 0);
    if (got <= 0 || strncmp(in, answer, strlen(answer)) != 0)
        die("answer");
}

static int open_server(uint16_t port)
{
    static const char hello[] =
        "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n";
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ask(fd, hello, sizeof hello, "CONNECTED\n");
    return fd;
}

static void publish(int fd, unsigned number)
{
    char frame[512];
    int n = snprintf(frame, sizeof frame,
                     "SEND\ndestination:/queue/turns\npersistent:true\nreceipt:%u\n\n%0100u",
                     number, number);

    ask(fd, frame, (size_t)n + 1, "RECEIPT\n");
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double percentile_us(uint64_t *sample, unsigned p)
{
    qsort(sample, SAMPLES, sizeof *sample, by_size);
    return (double)sample[(SAMPLES - 1) * p / 100] / 1000;
}

static void one_round(int blocks, int server, unsigned round)
{
    for (unsigned i = 0; i < A_ROUND; i++) {
        uint64_t began = clock_monotonic_ns();

        write_block(blocks, round * A_ROUND + i);
        bare[samples + i] = clock_monotonic_ns() - began;
    }
    for (unsigned i = 0; i < A_ROUND; i++) {
        uint64_t began = clock_monotonic_ns();

        publish(server, i);
        confirm[samples + i] = clock_monotonic_ns() - began;
    }
    samples += A_ROUND;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)fprintf(stderr, "usage: bench_turns PORT DIR\n");
        return 2;
    }
    int blocks = open_blocks(argv[2]), server = open_server((uint16_t)atoi(argv[1]));

    for (unsigned i = 0; i < ROUNDS; i++)
        one_round(blocks, server, i);
    (void)printf(
        "bare p50 %.1f us  p99 %.1f us   confirm p50 %.1f us  p99 %.1f us   ratio of p50 %.2f\n",
        percentile_us(bare, 50), percentile_us(bare, 99), percentile_us(confirm, 50),
        percentile_us(confirm, 99), percentile_us(confirm, 50) / percentile_us(bare, 50));
    return 0;
}
