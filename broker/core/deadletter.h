// SPDX-License-Identifier: MIT
/* deadletter.h - messages that leave a queue otherwise than by an ack.
 *
 * Private to the core.  Source: RabbitMQ "Dead Letter Exchanges": the x-death
 * header is an array of tables (count, reason, queue, time, exchange,
 * routing-keys), the latest first, merged by (queue, reason). */
#ifndef CORE_DEADLETTER_H
#define CORE_DEADLETTER_H

#include "broker/core/core.h"

struct queue;

enum death { DEATH_REJECTED, DEATH_EXPIRED, DEATH_MAXLEN, DEATH_DELIVERY_LIMIT, DEATHS };

const char *death_name(enum death why); /* "rejected", "expired", "maxlen", "delivery_limit" */

/* Writes to `out` the properties (proto/props.h wire form) of the dead-lettered
 * message: x-death brought up to date, x-first-death-* set once, expiration
 * taken out (kept as original-expiration in the entry), CC and BCC taken out. */
void deadletter_props(struct buf *out, const struct message *m, enum death why,
                      struct bytes queue_name, uint64_t now_ms);

/* Has the message already died in this queue without a rejection on the way
 * round (an automatic cycle, which RabbitMQ drops)? */
bool deadletter_cycles(const struct message *m, struct bytes queue_name);

#endif
