// SPDX-License-Identifier: MIT
/* core_rig.h - a core over an engine in memory, driven by hand: no thread, no
 * clock, no socket.
 *
 * Every step ends with core_check().  What the core says is copied, so a test may
 * look at it after the turn.  A rig that cannot go on aborts (CHECK): what may
 * go either way is returned.  Time is what the test says: rig.now_ms. */
#ifndef TESTS_LIB_CORE_RIG_H
#define TESTS_LIB_CORE_RIG_H

#include "broker/core/core.h"
#include "storage/engine_mem.h"

/* One effect and the bytes of its message. */
struct rig_effect {
    struct effect e;
    struct message m; /* views into bytes */
    struct buf bytes;
    char *text; /* the body, with a NUL behind it */
};

struct rig {
    struct core_options opt;
    struct core *core;
    struct mem_disk *disk;
    struct engine *engine;
    uint64_t now_ms;
    client_id client;             /* one that is there from the start */
    bool hold_commits;            /* a sealed commit stays under way until rig_commit */
    uint64_t commit_ns, pause_ns; /* how long a commit takes; from its end to the next */
    uint64_t commit_ended_ns;
    bool hold_loads;    /* loads wait until rig_load */
    uint64_t disk_free; /* told with each commit */
    struct commit *under_way;
    struct rig_effect *effect;
    size_t count, cap, seen; /* seen: rig_next has given these */
    uint64_t peak_memory;    /* of the core's budget, at the end of a turn */
    uint64_t batches_put;    /* rows of messages written so far */
    uint64_t commits;
};

struct core_options rig_options(void);

/* NULL: rig_options(). */
void rig_open(struct rig *r, const struct core_options *opt);
void rig_close(struct rig *r);

/* One turn: core_turn, effects, core_effects_done, core_seal; then the commit
 * and the loads, unless they are held.  True: something happened. */
bool rig_turn(struct rig *r);
/* Turns until nothing happens any more. */
void rig_run(struct rig *r);
/* The same, `ms` later. */
void rig_later(struct rig *r, uint64_t ms);

/* Held things: */
void rig_commit(struct rig *r); /* the commit under way lands and is told */
bool rig_load(struct rig *r);   /* one load is answered; false: none was wanted */

/* The process dies and another starts on the same disk.  `landed`: the commit
 * under way reached the disk, though nobody was told.  rig.client is a new one. */
void rig_crash(struct rig *r, bool landed);
/* A clean stop and a start. */
void rig_restart(struct rig *r);

/* ---- what the core said ---- */

void rig_forget(struct rig *r);
/* The next effect of that kind that was not given yet; NULL: there is none.
 * Those of other kinds are passed over, and stay for rig_count. */
const struct rig_effect *rig_next(struct rig *r, enum effect_kind kind);
/* The body of the next delivery, or "(none)". */
const char *rig_next_text(struct rig *r);
size_t rig_count(const struct rig *r, enum effect_kind kind);
/* The bodies of all deliveries not given yet, with blanks between: "a b c". */
const char *rig_texts(struct rig *r, struct buf *out);
/* Last number that the client was told as confirmed. */
uint64_t rig_confirmed(const struct rig *r, client_id client);

/* ---- calls in short ---- */

client_id rig_client(struct rig *r); /* with endless room */
client_id rig_join(struct rig *r, client_id connection);

/* A table of arguments: "x-max-length=2 x-overflow=reject-publish": numbers are
 * integers, true and false booleans, the rest strings. */
struct bytes rig_args(struct buf *out, const char *text);

/* A durable exchange; `args` as above, or NULL. */
enum err rig_exchange(struct rig *r, const char *name, const char *type, const char *args);
void rig_bind(struct rig *r, const char *exchange, const char *key, const char *queue);

/* A durable queue of rig.client; `args` as above, or NULL. */
uint64_t rig_queue(struct rig *r, const char *name, const char *args);

struct rig_message {
    const char *exchange, *key, *body;
    bool transient;
    uint8_t priority;
    bool has_ttl;
    uint64_t ttl_ms, delay_ms;
    bool delay_by_exchange, mandatory, deliver_committed;
    size_t padding;      /* bytes to follow the body */
    const char *headers; /* as for rig_args */
};
/* Properties say the same as the publish: delivery mode, priority, expiration. */
enum publish_result rig_send(struct rig *r, client_id id, const struct rig_message *m);
/* The same into a transaction. */
bool rig_stage(struct rig *r, struct tx *t, const struct rig_message *m);
/* A persistent message to a queue from rig.client. */
enum publish_result rig_put(struct rig *r, const char *queue, const char *body);
/* One for each letter of `bodies`; all must be taken. */
void rig_put_each(struct rig *r, const char *queue, const char *bodies);
/* Consumes the queue without end and returns what comes at once, as rig_texts does. */
const char *rig_drain(struct rig *r, const char *queue, struct buf *out);

struct rig_consume {
    const char *queue;
    bool no_ack, exclusive, shared;
    uint32_t prefetch;
    int32_t priority;
    uint64_t handle;
};
consumer_id rig_consume(struct rig *r, client_id id, const struct rig_consume *how);
/* By what was delivered: rig_effect->e.tag with the consumer's own ledger. */
enum err rig_settle(struct rig *r, client_id id, consumer_id k, uint64_t tag, enum settle how);

struct queue_info rig_info(struct rig *r, const char *queue);
struct core_stats rig_stats(const struct rig *r);
uint64_t rig_rows(const struct rig *r); /* batches on disk */
/* Operations of that kind in the commit under way. */
size_t rig_ops(const struct rig *r, enum op_kind kind);

#endif
