// SPDX-License-Identifier: MIT
#include "broker/core/queue_args.h"

#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/core/refuse.h"
#include "proto/table.h"

enum { ARG_NAME_MAX_BYTES = 255, ARGS_MAX_BYTES = 64 * 1024 };

/* How a value is checked and where it goes. */
enum arg_kind {
    ARG_INT,  /* to uint64_t *, within min..max */
    ARG_NAME, /* to struct bytes * */
    ARG_BOOL, /* to bool * */
    ARG_OVERFLOW,
    ARG_PRIORITY,
    ARG_DELIVERY_LIMIT, /* -1: none */
    ARG_CHOICE,         /* one of the words; acts on nothing */
    ARG_TYPE,           /* the same: quorum queues tell how often a message came back */
    ARG_INERT           /* anything; acts on nothing */
};

#define NOWHERE SIZE_MAX
#define X_EXPIRES BYTES("x-expires")

struct arg {
    const char *name;
    enum arg_kind kind;
    size_t value, has; /* offsets in struct queue_args */
    int64_t min, max;
    const char *words; /* ARG_CHOICE: between blanks */
    const char *why;
};

#define AT(field) offsetof(struct queue_args, field)

static const struct arg known[] = {
    { "x-message-ttl", ARG_INT, AT(ttl_ms), AT(has_ttl), 0, QUEUE_ARG_MS_MAX, NULL,
      "x-message-ttl must be milliseconds, 0 or more" },
    { "x-expires", ARG_INT, AT(expires_ms), AT(has_expires), 1, QUEUE_ARG_MS_MAX, NULL,
      "x-expires must be milliseconds, 1 or more" },
    { "x-max-length", ARG_INT, AT(max_length), AT(has_max_length), 0, INT64_MAX, NULL,
      "x-max-length must be a number of messages, 0 or more" },
    { "x-max-length-bytes", ARG_INT, AT(max_bytes), AT(has_max_bytes), 0, INT64_MAX, NULL,
      "x-max-length-bytes must be a number of bytes, 0 or more" },
    { "x-overflow", ARG_OVERFLOW, NOWHERE, NOWHERE, 0, 0, NULL,
      "x-overflow must be drop-head, reject-publish or reject-publish-dlx" },
    { "x-dead-letter-exchange", ARG_NAME, AT(dlx), AT(has_dlx), 0, 0, NULL,
      "x-dead-letter-exchange must be the name of an exchange" },
    { "x-dead-letter-routing-key", ARG_NAME, AT(dlx_key), AT(has_dlx_key), 0, 0, NULL,
      "x-dead-letter-routing-key must be a routing key" },
    { "x-max-priority", ARG_PRIORITY, NOWHERE, NOWHERE, 1, QUEUE_PRIORITY_MAX, NULL,
      "x-max-priority must be from 1 to 255" },
    { "x-single-active-consumer", ARG_BOOL, AT(single_active), NOWHERE, 0, 0, NULL,
      "x-single-active-consumer must be true or false" },
    { "x-delivery-limit", ARG_DELIVERY_LIMIT, NOWHERE, NOWHERE, -1, UINT32_MAX, NULL,
      "x-delivery-limit must be a number, 0 or more, or -1 for none" },

    { "x-queue-type", ARG_TYPE, NOWHERE, NOWHERE, 0, 0, " classic quorum ",
      "x-queue-type must be classic or quorum" },
    { "x-queue-mode", ARG_CHOICE, NOWHERE, NOWHERE, 0, 0, " default lazy ",
      "x-queue-mode must be default or lazy" },
    { "x-queue-version", ARG_INT, NOWHERE, NOWHERE, 1, 2, NULL, "x-queue-version must be 1 or 2" },
    { "x-dead-letter-strategy", ARG_CHOICE, NOWHERE, NOWHERE, 0, 0, " at-most-once at-least-once ",
      "x-dead-letter-strategy must be at-most-once or at-least-once" },
    { "x-consumer-timeout", ARG_INT, NOWHERE, NOWHERE, 0, QUEUE_ARG_MS_MAX, NULL,
      "x-consumer-timeout must be milliseconds, 0 or more" },
    { "x-max-age", ARG_NAME, NOWHERE, NOWHERE, 0, 0, NULL, "x-max-age must be a string" },
    { "x-stream-max-segment-size-bytes", ARG_INT, NOWHERE, NOWHERE, 0, INT64_MAX, NULL,
      "x-stream-max-segment-size-bytes must be a number of bytes, 0 or more" },
    { "x-stream-filter-size-bytes", ARG_INT, NOWHERE, NOWHERE, 0, INT64_MAX, NULL,
      "x-stream-filter-size-bytes must be a number of bytes, 0 or more" },
    { "x-queue-leader-locator", ARG_NAME, NOWHERE, NOWHERE, 0, 0, NULL,
      "x-queue-leader-locator must be a string" },
    { "x-queue-master-locator", ARG_NAME, NOWHERE, NOWHERE, 0, 0, NULL,
      "x-queue-master-locator must be a string" },
    { "x-initial-cluster-size", ARG_INT, NOWHERE, NOWHERE, 1, INT64_MAX, NULL,
      "x-initial-cluster-size must be a number, 1 or more" },
    { "x-quorum-initial-group-size", ARG_INT, NOWHERE, NOWHERE, 1, INT64_MAX, NULL,
      "x-quorum-initial-group-size must be a number, 1 or more" },
    { "x-delayed-retry-type", ARG_NAME, NOWHERE, NOWHERE, 0, 0, NULL,
      "x-delayed-retry-type must be a string" },
    { "x-delayed-retry-min", ARG_INT, NOWHERE, NOWHERE, 0, QUEUE_ARG_MS_MAX, NULL,
      "x-delayed-retry-min must be milliseconds, 0 or more" },
    { "x-delayed-retry-max", ARG_INT, NOWHERE, NOWHERE, 0, QUEUE_ARG_MS_MAX, NULL,
      "x-delayed-retry-max must be milliseconds, 0 or more" },
    { "x-message-deduplication", ARG_BOOL, NOWHERE, NOWHERE, 0, 0, NULL,
      "x-message-deduplication must be true or false" },
    { "x-ha-policy", ARG_INERT, NOWHERE, NOWHERE, 0, 0, NULL, NULL },
};

static const struct arg *arg_find(struct bytes name)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (bytes_eq(name, bytes_str(known[i].name)))
            return &known[i];
    return NULL;
}

static void put_bool(struct queue_args *out, size_t at, bool v)
{
    if (at != NOWHERE)
        memcpy((uint8_t *)out + at, &v, sizeof v);
}

static bool take_int(const struct arg *a, const struct table_value *v, struct queue_args *out)
{
    int64_t i;
    uint64_t u;

    if (!table_int(v, &i) || i < a->min || i > a->max)
        return false;
    u = (uint64_t)i;
    if (a->value != NOWHERE)
        memcpy((uint8_t *)out + a->value, &u, sizeof u);
    put_bool(out, a->has, true);
    return true;
}

static bool take_name(const struct arg *a, const struct table_value *v, struct queue_args *out)
{
    struct bytes name;

    if (!table_str(v, &name) || name.n > ARG_NAME_MAX_BYTES)
        return false;
    if (a->value != NOWHERE)
        memcpy((uint8_t *)out + a->value, &name, sizeof name);
    put_bool(out, a->has, true);
    return true;
}

static bool take_bool(const struct arg *a, const struct table_value *v, struct queue_args *out)
{
    bool b;

    if (!table_bool(v, &b))
        return false;
    put_bool(out, a->value, b);
    return true;
}

static bool take_overflow(const struct table_value *v, struct queue_args *out)
{
    static const char *const names[] = {
        [OVERFLOW_DROP_HEAD] = "drop-head",
        [OVERFLOW_REJECT_PUBLISH] = "reject-publish",
        [OVERFLOW_REJECT_PUBLISH_DLX] = "reject-publish-dlx",
    };
    struct bytes name;

    if (!table_str(v, &name))
        return false;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (bytes_eq(name, bytes_str(names[i]))) {
            out->overflow = (enum overflow)i;
            return true;
        }
    }
    return false;
}

static bool take_priority(const struct arg *a, const struct table_value *v, struct queue_args *out)
{
    int64_t i;

    if (!table_int(v, &i) || i < a->min || i > a->max)
        return false;
    out->max_priority = (uint8_t)i;
    return true;
}

static bool take_delivery_limit(const struct arg *a, const struct table_value *v,
                                struct queue_args *out)
{
    int64_t i;

    if (!table_int(v, &i) || i < a->min || i > a->max)
        return false;
    out->has_delivery_limit = i >= 0;
    out->delivery_limit = i >= 0 ? (uint64_t)i : 0;
    return true;
}

static bool is_choice(const struct arg *a, const struct table_value *v)
{
    struct bytes word;
    const char *at;

    if (!table_str(v, &word) || word.n == 0 || memchr(word.p, ' ', word.n))
        return false;
    at = memmem(a->words, strlen(a->words), word.p, word.n);
    return at && at[-1] == ' ' && at[word.n] == ' ';
}

static bool take_type(const struct arg *a, const struct table_value *v, struct queue_args *out)
{
    struct bytes word;

    if (!is_choice(a, v) || !table_str(v, &word))
        return false;
    out->quorum = bytes_eq(word, BYTES("quorum"));
    return true;
}

static bool take(const struct arg *a, const struct table_value *v, struct queue_args *out)
{
    switch (a->kind) {
    case ARG_INT:
        return take_int(a, v, out);
    case ARG_NAME:
        return take_name(a, v, out);
    case ARG_BOOL:
        return take_bool(a, v, out);
    case ARG_OVERFLOW:
        return take_overflow(v, out);
    case ARG_PRIORITY:
        return take_priority(a, v, out);
    case ARG_DELIVERY_LIMIT:
        return take_delivery_limit(a, v, out);
    case ARG_CHOICE:
        return is_choice(a, v);
    case ARG_TYPE:
        return take_type(a, v, out);
    case ARG_INERT:
        return true;
    }
    return false;
}

/* A stream is no slip of the pen: its reason says that there are none. */
static const char *refusal(const struct arg *a, const struct table_value *v)
{
    struct bytes word;

    if (strcmp(a->name, "x-queue-type") == 0 && table_str(v, &word) &&
        bytes_eq(word, BYTES("stream")))
        return "x-queue-type stream is not offered: queues here are not streams";
    return a->why;
}

/* 0 for x-expires is the broker's own word, never a client's. */
static bool own_expires(const struct arg *a, const struct table_value *v, struct queue_args *out)
{
    int64_t i;

    if (a->value != AT(expires_ms) || !table_int(v, &i) || i != 0)
        return false;
    out->has_expires = true;
    out->expires_ms = 0;
    return true;
}

static enum err parse(struct bytes table, bool stored, struct queue_args *out, const char **why)
{
    struct table_iter it = table_iter(table);
    struct queue_args args = { 0 };
    struct table_value v;
    struct bytes name;

    if (table.n > ARGS_MAX_BYTES || !table_valid(table))
        return refuse(why, ERR_INVALID, "queue arguments are too long or malformed");
    while (table_next(&it, &name, &v)) {
        const struct arg *a = arg_find(name);

        if (a && !(stored && own_expires(a, &v, &args)) && !take(a, &v, &args))
            return refuse(why, ERR_INVALID, refusal(a, &v));
    }
    if (args.has_dlx_key && !args.has_dlx)
        return refuse(why, ERR_INVALID, "x-dead-letter-routing-key needs x-dead-letter-exchange");
    args.table = table;
    *out = args;
    return OK;
}

enum err queue_args_parse(struct bytes table, struct queue_args *out, const char **why)
{
    return parse(table, false, out, why);
}

enum err queue_args_parse_stored(struct bytes table, struct queue_args *out, const char **why)
{
    return parse(table, true, out, why);
}

struct shared_args {
    struct queue_args args;
    const char *fault; /* NULL: none */
    uint32_t users;
    uint8_t table[];
};

/* The broker's own, so that it acts whatever stands beside it. */
static void take_expires_alone(struct queue_args *out)
{
    struct table_iter it = table_iter(out->table);
    struct table_value v;
    struct bytes name;
    int64_t ms;

    while (table_valid(out->table) && table_next(&it, &name, &v))
        if (bytes_eq(name, X_EXPIRES) && table_int(&v, &ms) && ms >= 0) {
            out->has_expires = true;
            out->expires_ms = (uint64_t)ms;
        }
}

const struct queue_args *queue_args_share(struct map *shared, struct bytes table, const char **why)
{
    struct shared_args *s = map_get(shared, table);

    if (!s) {
        s = mem_zalloc(sizeof *s + table.n);
        if (table.n)
            memcpy(s->table, table.p, table.n);
        s->args.table = bytes_of(s->table, table.n);
        map_put(shared, s->args.table, s);
        if (queue_args_parse_stored(s->args.table, &s->args, &s->fault) != OK)
            take_expires_alone(&s->args);
    }
    s->users++;
    *why = s->fault;
    return &s->args;
}

void queue_args_unshare(struct map *shared, const struct queue_args *args)
{
    struct shared_args *s = map_get(shared, args->table);

    CHECK(s && &s->args == args);
    if (--s->users > 0)
        return;
    map_remove(shared, args->table);
    mem_free(s);
}

void queue_args_put_expires(struct buf *out, struct bytes table, bool has_expires,
                            uint64_t expires_ms)
{
    struct table_iter it = table_iter(table);
    struct table_value v;
    struct bytes name;
    bool put = !has_expires;

    while (table_next(&it, &name, &v)) {
        if (!bytes_eq(name, X_EXPIRES)) {
            table_put_value(out, name, &v);
        } else if (!put) {
            table_put_int(out, X_EXPIRES, (int64_t)expires_ms);
            put = true;
        }
    }
    if (!put)
        table_put_int(out, X_EXPIRES, (int64_t)expires_ms);
}

static bool number_eq(bool has_a, uint64_t a, bool has_b, uint64_t b)
{
    return has_a == has_b && (!has_a || a == b);
}

static bool name_eq(bool has_a, struct bytes a, bool has_b, struct bytes b)
{
    return has_a == has_b && (!has_a || bytes_eq(a, b));
}

bool queue_args_eq(const struct queue_args *a, const struct queue_args *b)
{
    return number_eq(a->has_ttl, a->ttl_ms, b->has_ttl, b->ttl_ms) &&
           number_eq(a->has_expires, a->expires_ms, b->has_expires, b->expires_ms) &&
           number_eq(a->has_max_length, a->max_length, b->has_max_length, b->max_length) &&
           number_eq(a->has_max_bytes, a->max_bytes, b->has_max_bytes, b->max_bytes) &&
           number_eq(a->has_delivery_limit, a->delivery_limit, b->has_delivery_limit,
                     b->delivery_limit) &&
           name_eq(a->has_dlx, a->dlx, b->has_dlx, b->dlx) &&
           name_eq(a->has_dlx_key, a->dlx_key, b->has_dlx_key, b->dlx_key) &&
           a->overflow == b->overflow && a->max_priority == b->max_priority &&
           a->single_active == b->single_active;
}

bool queue_args_unknown(struct bytes table, struct bytes *name)
{
    struct table_iter it = table_iter(table);
    struct table_value v;

    while (table_next(&it, name, &v))
        if (bytes_starts(*name, BYTES("x-")) && !arg_find(*name))
            return true;
    return false;
}
