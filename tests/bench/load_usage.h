// SPDX-License-Identifier: MIT
/* load_usage.h - what a run cost: CPU of both sides, memory, disk.
 *
 * Taken from /proc and /sys before and after.  CPU of the machine and what the disk
 * did are everybody's: other programs are in it.  (/proc/PID/io would be the server's
 * alone, but counts the whole of a large folio for each byte that dirties it.) */
#ifndef TESTS_BENCH_LOAD_USAGE_H
#define TESTS_BENCH_LOAD_USAGE_H

#include <stddef.h>
#include <stdint.h>

enum { USAGE_THREADS = 256 };

struct usage_thread {
    int id;
    char name[16];
    uint64_t run_ns, wait_ns; /* on a CPU; ready, but another had it */
};

struct usage {
    uint64_t at_ns, own_ns, own_wait_ns, server_ns;
    double machine_s;                             /* all CPUs, not idle */
    uint64_t flushes, flush_ms, busy_ms, written; /* of the disk under `dir`; written in bytes */
    size_t threads;
    struct usage_thread thread[USAGE_THREADS]; /* the server's */
};

/* pid 0: no server to look at.  `dir` may be NULL. */
void usage_take(struct usage *u, int pid, const char *dir);

/* Into the report. */
void usage_report(const struct usage *from, const struct usage *to, int pid);

uint64_t usage_rss_kb(int pid);

#endif
