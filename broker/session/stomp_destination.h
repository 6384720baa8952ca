// SPDX-License-Identifier: MIT
/* stomp_destination.h - what a `destination` means, as RabbitMQ's STOMP plugin has it.
 *
 *     NAME, /queue/NAME      a queue of ours: default exchange, key NAME
 *     /amq/queue/NAME        a queue made elsewhere
 *     /reply-queue/NAME      somebody's temporary queue; NAME may hold slashes
 *     /topic/KEY             exchange amq.topic
 *     /exchange/X[/KEY]      any exchange but the default one
 *     /temp-queue/NAME       only in a `reply-to`
 *
 * `%2F` and its like stand for any byte; a `%` that begins no such pair is
 * itself.  Names are at most 255 bytes, as the core has them.  No state. */
#ifndef SESSION_STOMP_DESTINATION_H
#define SESSION_STOMP_DESTINATION_H

#include "base/buf.h"

enum stomp_kind {
    STOMP_TO_QUEUE,
    STOMP_TO_AMQ_QUEUE,
    STOMP_TO_REPLY_QUEUE,
    STOMP_TO_TOPIC,
    STOMP_TO_EXCHANGE,
    STOMP_TO_TEMP_QUEUE
};

#define STOMP_TEMP_QUEUE_PREFIX "/temp-queue/"
#define STOMP_REPLY_QUEUE_PREFIX "/reply-queue/"

struct stomp_destination {
    enum stomp_kind kind;
    struct bytes exchange, key; /* key: of a queue its name, of SUBSCRIBE a pattern */
};

/* Returns NULL, or what is wrong with it (static).  The views of `out` are into
 * `room`, which is overwritten, or into constants. */
const char *stomp_destination_parse(struct bytes text, struct buf *room,
                                    struct stomp_destination *out);

/* Appends the destination of what was published to (exchange, key). */
void stomp_destination_put(struct buf *out, struct bytes exchange, struct bytes key);

/* Does a `reply-to` already say where to send, or is it the bare name of a queue? */
bool stomp_destination_is_full(struct bytes text);

#endif
