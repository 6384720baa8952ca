// SPDX-License-Identifier: MIT
/* engine_error.h - how an engine leaves its text for engine_error().
 *
 * Kept per thread, since commits, loads and maintenance fail at the same time
 * and each caller logs its own failure. */
#ifndef STORAGE_ENGINE_ERROR_H
#define STORAGE_ENGINE_ERROR_H

void engine_error_set(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
