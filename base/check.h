// SPDX-License-Identifier: MIT
/* check.h - what must be true, in release builds too.
 *
 * A CHECK that fails is our own fault: it prints the last events (see
 * check_event) and aborts, and recovery from disk is the repair.  Never CHECK
 * what a peer or the disk decides. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stdint.h>

#define CHECK(cond)                                  \
    do {                                             \
        if (__builtin_expect(!(cond), 0))            \
            check_failed(#cond, __FILE__, __LINE__); \
    } while (0)

#define CHECK_UNREACHABLE() check_failed("unreachable", __FILE__, __LINE__)

_Noreturn void check_failed(const char *what, const char *file, int line);

/* Remembers one of the last 64 things that happened, printed before an abort.
 * `what` must be a literal.  Loop thread only. */
void check_event(const char *what, uint64_t a, uint64_t b);

#endif
