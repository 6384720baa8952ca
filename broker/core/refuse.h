// SPDX-License-Identifier: MIT
/* refuse.h - a result and the static text that says why, in one return.
 *
 * Private to the core.  `why` may be NULL. */
#ifndef CORE_REFUSE_H
#define CORE_REFUSE_H

#include <stddef.h>

#include "base/err.h"

static inline enum err refuse(const char **why, enum err e, const char *text)
{
    if (why)
        *why = text;
    return e;
}

#endif
