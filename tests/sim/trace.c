// SPDX-License-Identifier: MIT
#include "tests/sim/trace.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINES = 60, LINE_BYTES = 160 };

static struct {
    uint64_t seed, step;
    bool verbose;
    uint64_t count;
    char line[LINES][LINE_BYTES];
} state;

static void print_lines(void)
{
    uint64_t first = state.count > LINES ? state.count - LINES : 0;

    for (uint64_t i = first; i < state.count && !state.verbose; i++)
        (void)fprintf(stderr, "  %s\n", state.line[i % LINES]);
    (void)fprintf(stderr, "not ok sim seed %" PRIu64 " step %" PRIu64 "\n", state.seed, state.step);
}

/* A CHECK that fails aborts: the seed must be told all the same. */
static void on_abort(int signal_number)
{
    (void)signal_number;
    print_lines();
    (void)signal(SIGABRT, SIG_DFL);
}

void trace_begin(uint64_t seed, bool verbose)
{
    state.seed = seed;
    state.step = 0;
    state.verbose = verbose;
    state.count = 0;
    (void)signal(SIGABRT, on_abort);
}

void trace_step(uint64_t step)
{
    state.step = step;
}

void trace(const char *fmt, ...)
{
    char *line = state.line[state.count++ % LINES];
    int n = snprintf(line, LINE_BYTES, "%" PRIu64 ": ", state.step);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line + n, LINE_BYTES - (size_t)n, fmt, ap);
    va_end(ap);
    if (state.verbose)
        (void)fprintf(stderr, "  %s\n", line);
}

void sim_fail(const char *fmt, ...)
{
    va_list ap;

    print_lines();
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
    exit(EXIT_FAILURE);
}
