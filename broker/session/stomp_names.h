// SPDX-License-Identifier: MIT
/* stomp_names.h - the headers that the STOMP adapter knows, as small numbers.
 *
 * A frame's headers are looked at once: known ones land in a table by number
 * ("the first wins"), the others are the user's.  Sorted by length, because
 * that is how they are found. */
#ifndef SESSION_STOMP_NAMES_H
#define SESSION_STOMP_NAMES_H

#include "proto/stomp.h"

#define STOMP_NAMES(X)                                      \
    X(id, "id")                                             \
    X(ack, "ack")                                           \
    X(type, "type")                                         \
    X(app_id, "app-id")                                     \
    X(receipt, "receipt")                                   \
    X(user_id, "user-id")                                   \
    X(durable, "durable")                                   \
    X(x_delay, "x-delay")                                   \
    X(requeue, "requeue")                                   \
    X(priority, "priority")                                 \
    X(reply_to, "reply-to")                                 \
    X(timestamp, "timestamp")                               \
    X(exclusive, "exclusive")                               \
    X(x_expires, "x-expires")                               \
    X(persistent, "persistent")                             \
    X(expiration, "expiration")                             \
    X(message_id, "message-id")                             \
    X(x_priority, "x-priority")                             \
    X(x_overflow, "x-overflow")                             \
    X(destination, "destination")                           \
    X(transaction, "transaction")                           \
    X(auto_delete, "auto-delete")                           \
    X(redelivered, "redelivered")                           \
    X(content_type, "content-type")                         \
    X(subscription, "subscription")                         \
    X(x_queue_name, "x-queue-name")                         \
    X(x_queue_type, "x-queue-type")                         \
    X(x_max_length, "x-max-length")                         \
    X(x_message_ttl, "x-message-ttl")                       \
    X(content_length, "content-length")                     \
    X(correlation_id, "correlation-id")                     \
    X(prefetch_count, "prefetch-count")                     \
    X(x_max_priority, "x-max-priority")                     \
    X(amqp_message_id, "amqp-message-id")                   \
    X(content_encoding, "content-encoding")                 \
    X(x_delivery_count, "x-delivery-count")                 \
    X(x_delivery_limit, "x-delivery-limit")                 \
    X(x_max_length_bytes, "x-max-length-bytes")             \
    X(x_dead_letter_exchange, "x-dead-letter-exchange")     \
    X(x_dead_letter_strategy, "x-dead-letter-strategy")     \
    X(x_single_active_consumer, "x-single-active-consumer") \
    X(x_dead_letter_routing_key, "x-dead-letter-routing-key")

enum stomp_name {
#define X(name, text) STOMP_NAME_##name,
    STOMP_NAMES(X)
#undef X
        STOMP_NAME_COUNT,
    STOMP_NAME_USER = STOMP_NAME_COUNT
};

#define STOMP_BIT(name) (UINT64_C(1) << STOMP_NAME_##name)

/* Arguments of a queue to be declared; SEND takes them, and never stores them. */
#define STOMP_QUEUE_ARGUMENTS                                                         \
    (STOMP_BIT(x_expires) | STOMP_BIT(x_overflow) | STOMP_BIT(x_queue_type) |         \
     STOMP_BIT(x_max_length) | STOMP_BIT(x_message_ttl) | STOMP_BIT(x_max_priority) | \
     STOMP_BIT(x_delivery_limit) | STOMP_BIT(x_max_length_bytes) |                    \
     STOMP_BIT(x_dead_letter_exchange) | STOMP_BIT(x_dead_letter_strategy) |          \
     STOMP_BIT(x_single_active_consumer) | STOMP_BIT(x_dead_letter_routing_key))

/* What says how a queue is declared, its arguments included. */
#define STOMP_QUEUE_WISHES \
    (STOMP_QUEUE_ARGUMENTS | STOMP_BIT(durable) | STOMP_BIT(auto_delete) | STOMP_BIT(exclusive))

/* A MESSAGE has its own of these, whatever the sender or a foreign protocol put
 * among the user headers. */
#define STOMP_RESERVED                                                                          \
    (STOMP_BIT(ack) | STOMP_BIT(message_id) | STOMP_BIT(destination) | STOMP_BIT(redelivered) | \
     STOMP_BIT(subscription) | STOMP_BIT(content_length) | STOMP_BIT(x_delivery_count))

/* Known names that are the user's own on a SEND. */
#define STOMP_USERS_ON_SEND \
    (STOMP_BIT(id) | STOMP_BIT(requeue) | STOMP_BIT(prefetch_count) | STOMP_BIT(x_priority))

enum stomp_name stomp_name_of(struct bytes name);
struct bytes stomp_name_text(enum stomp_name name);

struct stomp_known {
    uint64_t seen;                        /* bit per stomp_name */
    struct bytes value[STOMP_NAME_COUNT]; /* valid where seen */
};

/* Fills `k`; writes the positions of the headers that are not known (or are in
 * `users`) to `user`, which has room for STOMP_HEADERS_MAX, and returns their count. */
unsigned stomp_known_collect(const struct stomp_frame *f, uint64_t users, struct stomp_known *k,
                             uint8_t *user);

static inline bool stomp_known_has(const struct stomp_known *k, enum stomp_name name)
{
    return k->seen >> name & 1;
}

/* The value, or {NULL, 0}. */
static inline struct bytes stomp_known_get(const struct stomp_known *k, enum stomp_name name)
{
    return stomp_known_has(k, name) ? k->value[name] : (struct bytes){ NULL, 0 };
}

/* "true" and "false", also with a capital; anything else is `otherwise`. */
bool stomp_known_bool(const struct stomp_known *k, enum stomp_name name, bool otherwise);

#endif
