// SPDX-License-Identifier: MIT
/* trace.h - what happened last, and the end of a run that went wrong. */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include <stdbool.h>
#include <stdint.h>

/* A new run; `verbose` prints every line as it comes. */
void trace_begin(uint64_t seed, bool verbose);
void trace_step(uint64_t step);

/* Remembers a line. */
void trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Prints seed, step, the last lines and why; ends the process with status 1. */
_Noreturn void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define SIM_CHECK(cond, ...)       \
    do {                           \
        if (!(cond))               \
            sim_fail(__VA_ARGS__); \
    } while (0)

#endif
