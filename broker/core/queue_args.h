// SPDX-License-Identifier: MIT
/* queue_args.h - what x-arguments of a queue mean.
 *
 * Private to the core.  Source: RabbitMQ's documentation of queue arguments.
 * Unknown x-... are kept with the queue and logged once, when it is made. */
#ifndef CORE_QUEUE_ARGS_H
#define CORE_QUEUE_ARGS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"

enum overflow { OVERFLOW_DROP_HEAD, OVERFLOW_REJECT_PUBLISH, OVERFLOW_REJECT_PUBLISH_DLX };

enum { QUEUE_PRIORITY_MAX = 255 };

/* A span of time that is longer than any use of it, and far from where sums with
 * the time of day would wrap: a hundred years. */
#define QUEUE_ARG_MS_MAX (INT64_C(100) * 365 * 24 * 3600 * 1000)

struct queue_args {
    bool has_ttl, has_expires, has_max_length, has_max_bytes, has_dlx, has_dlx_key,
        has_delivery_limit, single_active, quorum;
    uint64_t ttl_ms, expires_ms, max_length, max_bytes, delivery_limit;
    enum overflow overflow;
    uint8_t max_priority;      /* 0: no priorities */
    struct bytes table;        /* as given to queue_args_parse */
    struct bytes dlx, dlx_key; /* views into it */
};

/* ERR_INVALID with *why (may be NULL) naming the argument for a value of the wrong
 * type or range; then *out stays as it was. */
enum err queue_args_parse(struct bytes table, struct queue_args *out, const char **why) MUST_USE;

/* The same of arguments that were stored: core_queue_expires may have made x-expires 0. */
enum err queue_args_parse_stored(struct bytes table, struct queue_args *out,
                                 const char **why) MUST_USE;

/* What the stored table means, in memory that all who ask for the same table share; each
 * gives it back once.  Arguments that cannot be read have no effect but for x-expires;
 * *why says so, else it is NULL. */
const struct queue_args *queue_args_share(struct map *shared, struct bytes table, const char **why);
void queue_args_unshare(struct map *shared, const struct queue_args *args);

/* Appends the arguments with another x-expires, which keeps its place among them. */
void queue_args_put_expires(struct buf *out, struct bytes table, bool has_expires,
                            uint64_t expires_ms);

/* Same meaning for all arguments that act (numbers by value)? */
bool queue_args_eq(const struct queue_args *a, const struct queue_args *b);

/* The first x-... that nobody here knows, for the log; false: none. */
bool queue_args_unknown(struct bytes table, struct bytes *name);

#endif
