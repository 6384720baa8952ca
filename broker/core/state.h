// SPDX-License-Identifier: MIT
/* state.h - struct core, whole.  Private to broker/core. */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include "base/heap.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/slots.h"
#include "broker/core/blob.h"
#include "broker/core/client.h"
#include "broker/core/compact.h"
#include "broker/core/core.h"
#include "broker/core/exchange.h"
#include "broker/core/queue.h"
#include "broker/core/note.h"
#include "broker/core/retain.h"
#include "broker/core/retained.h"
#include "broker/core/vhost.h"

struct core {
    struct core_options opt;
    uint64_t now_ms; /* of the call at hand */
    /* When the first message with a time was pushed in this turn; 0: none.  A turn may take
     * milliseconds, and a ttl of 0 means: to whoever waits. */
    uint64_t timed_push_ms;
    uint64_t boot;
    uint64_t random; /* state of the generator for names */

    struct map vhosts; /* by name */
    struct map vhost_by_id, exchange_by_id, queue_by_id;
    struct map users; /* by name */
    uint64_t permission_changes;
    struct map queue_args; /* those in use, see queue_args_share */
    uint64_t next_def_id;  /* of vhosts, exchanges, queues, bindings */
    uint32_t exchange_count, binding_count, queue_count;

    struct slots clients, consumers;
    struct routed routed;

    struct list dirty;   /* struct queue.dirty */
    struct list marking; /* struct queue.dirty: what they have to give waits for a commit */
    struct heap timers;  /* struct queue.timer, by ms */
    struct heap due;     /* struct due.node, by ms */

    struct effect *effect;
    size_t effect_count, effect_cap;

    struct retain retain;
    struct compact compact;
    struct retained retained;
    uint64_t *noted; /* queues whose note changed since the last commit was sealed */
    size_t noted_count, noted_cap;
    struct commit *open;  /* ops gathered for the next commit; NULL: none yet */
    bool commit_wanted;   /* somebody waits for open_number though it has no op */
    uint64_t open_number; /* number of the commit being gathered */
    uint64_t sealed_number, committed_number;
    struct list holding; /* struct client.in_holding: confirms that wait */

    struct map blobs; /* struct blob, by id */
    uint64_t next_blob_id;
    struct part_want *part_want; /* in the order asked; the first part_asked are being loaded */
    size_t part_want_count, part_want_cap, part_asked;
    struct load *shown_parts;   /* loaded, named by effects of this turn */
    uint64_t sealed_part_bytes; /* of blobs, in the commit under way */

    uint64_t disk_free_bytes;
    bool disk_low;
    bool unusable_defs;        /* recovery met definitions that make no sense */
    struct list done_txs;      /* their returned messages live to the end of the turn */
    struct log_limit dead_log; /* faults that every message of a queue may repeat */
    struct buf scratch, scratch2;
    struct core_stats stats;
};

/* The commit being gathered. */
static inline struct commit *core_open_commit(struct core *c)
{
    if (!c->open)
        c->open = commit_new(c->open_number);
    return c->open;
}

/* Appends an operation to it. */
static inline struct op *core_op(struct core *c, enum op_kind kind)
{
    return commit_op(core_open_commit(c), kind);
}

struct effect *core_effect(struct core *c, enum effect_kind kind, client_id id);

/* For generated names and jitter; the same seed gives the same run. */
uint64_t core_random(struct core *c);

#endif
