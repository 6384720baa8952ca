// SPDX-License-Identifier: MIT
/* clock.h - the only place that asks what time it is.
 *
 * The core takes time as an argument.  Wall time is what messages expire and
 * fall due by, for it must mean the same after a restart. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_wall_ms(void);      /* since 1970, may step */
uint64_t clock_monotonic_ns(void); /* for intervals */

#endif
