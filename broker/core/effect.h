// SPDX-License-Identifier: MIT
/* effect.h - what the core has to say to clients, as plain data.
 *
 * Effects carry ids.  The reader looks the client up and skips the effect when
 * it is gone. */
#ifndef CORE_EFFECT_H
#define CORE_EFFECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

typedef uint64_t client_id;   /* slot and generation; 0 is none */
typedef uint64_t consumer_id; /* 0 is none */

enum settle {
    SETTLE_ACK,
    SETTLE_RETURN, /* back to its place in the queue */
    SETTLE_REJECT  /* away: dead-lettered if the queue says so */
};

enum effect_kind {
    EFFECT_DELIVER,
    EFFECT_GET_EMPTY, /* handle */
    EFFECT_CONFIRM,   /* first..last, refused */
    EFFECT_CANCELLED, /* handle: the queue went, or the node ends it */
    EFFECT_PART,      /* one part of a blob that core_blob_want asked for; refused: unreadable */
    EFFECT_RETURN     /* a message of a transaction that no queue took */
};

struct batch;
struct tx;

struct effect {
    enum effect_kind kind;
    bool redelivered, refused;
    bool received; /* EFFECT_DELIVER: whoever had it before has said core_received */
    bool counted; /* of a queue that counts how often its messages came back, as quorum queues do */
    uint32_t slot;       /* core's */
    struct batch *batch; /* core's */
    client_id client;
    uint64_t handle; /* consume.handle */
    union {
        struct {
            uint64_t tag; /* rises by one per ledger */
            uint64_t queue_id, seq;
            uint64_t expires_ms; /* 0: never */
            uint32_t deliveries; /* times returned before; 0: the first */
        };
        struct {
            uint64_t first, last; /* confirms */
        };
        const struct tx *tx; /* core's, of EFFECT_RETURN */
        struct {
            uint64_t blob_id;
            struct bytes data; /* until core_effects_done */
            uint32_t part;
        };
    };
};

#endif
