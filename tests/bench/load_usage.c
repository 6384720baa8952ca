// SPDX-License-Identifier: MIT
#include "tests/bench/load_usage.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/bench/load.h"

enum { NAMED_THREADS = 4 };

/* The whole of a small file; false: not there. */
static bool slurp(const char *path, char *out, size_t room)
{
    FILE *f = fopen(path, "r");

    if (!f)
        return false;
    size_t n = fread(out, 1, room - 1, f);
    out[n] = '\0';
    (void)fclose(f);
    return n > 0;
}

static uint64_t field_of(int pid, const char *file, const char *key)
{
    char path[64], text[4096];

    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    if (pid == 0 || !slurp(path, text, sizeof text))
        return 0;
    const char *at = strstr(text, key);
    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

uint64_t usage_rss_kb(int pid)
{
    return field_of(pid, "status", "VmRSS:");
}

static uint64_t process_ns(clockid_t clock)
{
    struct timespec t;

    if (clock_gettime(clock, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void schedstat(const char *path, uint64_t *run_ns, uint64_t *wait_ns)
{
    char text[128], *end;

    if (!slurp(path, text, sizeof text))
        return;
    *run_ns = strtoull(text, &end, 10);
    *wait_ns = strtoull(end, NULL, 10);
}

static void take_threads(struct usage *u, int pid)
{
    char path[320];
    const struct dirent *e;

    (void)snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *d = opendir(path);
    while (d && u->threads < USAGE_THREADS && (e = readdir(d))) {
        struct usage_thread *t = &u->thread[u->threads];

        if (e->d_name[0] == '.')
            continue;
        t->id = atoi(e->d_name);
        (void)snprintf(path, sizeof path, "/proc/%d/task/%s/comm", pid, e->d_name);
        if (!slurp(path, t->name, sizeof t->name))
            continue;
        t->name[strcspn(t->name, "\n")] = '\0';
        (void)snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, e->d_name);
        schedstat(path, &t->run_ns, &t->wait_ns);
        u->threads++;
    }
    if (d)
        (void)closedir(d);
}

static double machine_seconds(void)
{
    char text[4096];
    unsigned long long v[8] = { 0 };

    if (!slurp("/proc/stat", text, sizeof text) ||
        sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3],
               &v[4], &v[5], &v[6], &v[7]) != 8)
        return 0;
    /* user, nice, system, irq, softirq, steal: what nobody else can have */
    return (double)(v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) / (double)sysconf(_SC_CLK_TCK);
}

/* Documentation/block/stat.rst: field 7 is in sectors of 512 bytes, 10 is io_ticks, 16 and 17 are
 * the flushes. */
static void take_disk(struct usage *u, const char *dir)
{
    char path[96], text[512], *at = text;
    struct stat s;
    uint64_t v[17] = { 0 };

    if (!dir || stat(dir, &s) != 0)
        return;
    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/stat", major(s.st_dev),
                   minor(s.st_dev));
    if (!slurp(path, text, sizeof text))
        return;
    for (size_t i = 0; i < 17; i++)
        v[i] = strtoull(at, &at, 10);
    u->written = v[6] * 512;
    u->busy_ms = v[9];
    u->flushes = v[15];
    u->flush_ms = v[16];
}

void usage_take(struct usage *u, int pid, const char *dir)
{
    clockid_t clock;
    uint64_t ignored;

    memset(u, 0, sizeof *u);
    if (pid > 0) {
        if (clock_getcpuclockid(pid, &clock) == 0)
            u->server_ns = process_ns(clock);
        take_threads(u, pid);
    }
    take_disk(u, dir);
    u->machine_s = machine_seconds();
    schedstat("/proc/self/schedstat", &ignored, &u->own_wait_ns);
    u->own_ns = process_ns(CLOCK_PROCESS_CPUTIME_ID);
    u->at_ns = clock_monotonic_ns();
}

static int busier(const void *a, const void *b)
{
    const struct usage_thread *x = a, *y = b;

    return (x->run_ns < y->run_ns) - (x->run_ns > y->run_ns);
}

static void since(struct usage_thread *t, const struct usage *from)
{
    for (size_t i = 0; i < from->threads; i++) {
        if (from->thread[i].id != t->id)
            continue;
        t->run_ns -= from->thread[i].run_ns;
        t->wait_ns -= from->thread[i].wait_ns;
    }
}

/* "NAME RUN/WAIT, ...": shares of the time, the busiest first. */
static void report_threads(const struct usage *from, const struct usage *to)
{
    static struct usage u;
    char text[NAMED_THREADS * 40] = "";
    double ns = (double)(to->at_ns - from->at_ns);
    size_t n = 0;

    u = *to;
    for (size_t i = 0; i < u.threads; i++)
        since(&u.thread[i], from);
    qsort(u.thread, u.threads, sizeof u.thread[0], busier);
    for (size_t i = 0; i < u.threads && i < NAMED_THREADS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %.2f/%.2f", i ? ", " : "",
                              u.thread[i].name, (double)u.thread[i].run_ns / ns,
                              (double)u.thread[i].wait_ns / ns);
    report_text("server_threads", text);
    if (u.threads > 0) {
        report_text("server_busiest", u.thread[0].name);
        report_number("server_busiest_share", (double)u.thread[0].run_ns / ns, 3);
        report_number("server_busiest_wait_share", (double)u.thread[0].wait_ns / ns, 3);
    }
}

void usage_report(const struct usage *from, const struct usage *to, int pid)
{
    double s = (double)(to->at_ns - from->at_ns) / 1e9;
    double own = (double)(to->own_ns - from->own_ns) / 1e9;
    double server = (double)(to->server_ns - from->server_ns) / 1e9;

    report_number("measured_s", s, 3);
    report_number("own_cpu_s", own, 3);
    report_number("own_wait_s", (double)(to->own_wait_ns - from->own_wait_ns) / 1e9, 3);
    report_number("machine_cpu_s", to->machine_s - from->machine_s, 2);
    report_number("cpus", (double)sysconf(_SC_NPROCESSORS_ONLN), 0);
    report_number("disk_flushes", (double)(to->flushes - from->flushes), 0);
    report_number("disk_flush_s", (double)(to->flush_ms - from->flush_ms) / 1e3, 3);
    report_number("disk_busy_s", (double)(to->busy_ms - from->busy_ms) / 1e3, 3);
    report_number("disk_written", (double)(to->written - from->written), 0);
    if (pid == 0)
        return;
    report_number("server_cpu_s", server, 3);
    report_number("server_rss_kb", (double)usage_rss_kb(pid), 0);
    report_threads(from, to);
}
