// SPDX-License-Identifier: MIT
#include "storage/engine_error.h"

#include <stdarg.h>
#include <stdio.h>

#include "storage/engine.h"

static _Thread_local char last[240];

void engine_error_set(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(last, sizeof last, fmt, ap);
    va_end(ap);
}

const char *engine_error(const struct engine *e)
{
    (void)e;
    return last[0] ? last : "none";
}
