// SPDX-License-Identifier: MIT
/* log.h - one line an event: a name, then key=value pairs.
 *
 *     log_info("client.open", "id=%" PRIu64 " proto=%s", id, proto);
 *
 * prints `2026-11-23T12:00:00.000Z info client.open id=7 proto=stomp`, or one
 * JSON object a line.  Text that a peer chose goes through log_text() first.
 * Never bodies, passwords or tokens.  Any thread may log. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/bytes.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_FATAL };

#define log_debug(...) log_event(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_event(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_event(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_event(LOG_ERROR, __VA_ARGS__)
#define log_fatal(...) log_event(LOG_FATAL, __VA_ARGS__)

void log_event(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* What is printed from now on: the least level; JSON or key=value. */
void log_configure(enum log_level least, bool json);
bool log_enabled(enum log_level level);

/* Printable ASCII of `b`, quoted when it must be, cut to fit `out`; for "%s".
 * Everything else is written as \xHH, so a peer cannot forge a log line. */
struct log_str {
    char s[136];
};
struct log_str log_text(struct bytes b);

/* A bounded rate for events that a peer can cause at will: true for the first
 * `burst` a second, then false; `*dropped_out` says how many were held back
 * since the last true.  Zero-initialised is valid.  One thread. */
struct log_limit {
    uint64_t window_s;
    unsigned count, dropped;
};
bool log_allowed(struct log_limit *l, unsigned burst, unsigned *dropped_out);

#endif
