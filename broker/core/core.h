// SPDX-License-Identifier: MIT
/* core.h - the broker without sockets, clocks and disks.
 *
 * Calls in, effects out.  Protocol adapters call the functions below; what the
 * core has to say to clients it appends as effects, what it has to say to the
 * disk it gathers in a commit.  It never calls back.  Time is an argument
 * (wall milliseconds), so a run can be replayed from its seed.
 *
 * One turn: calls of the adapters -> core_turn() -> effects are encoded ->
 * core_seal() hands a commit to the store if that is idle.  When the commit is
 * on disk core_committed() releases the confirms that waited for it.
 *
 * Clients, consumers and queues are named by ids, never by pointers, across
 * this boundary.  Thread: the loop's. */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include "base/bytes.h"
#include "base/err.h"
#include "broker/core/effect.h"
#include "broker/core/pattern.h"
#include "storage/op.h"
#include "storage/engine.h"
#include "storage/record.h"
#include "storage/store.h"

struct core;

struct core_options {
    uint64_t seed;                                   /* of hashes and generated names */
    uint64_t memory_bytes;                           /* budget for message content held in memory */
    uint64_t read_ahead_bytes;                       /* loaded ahead of each queue being drained */
    uint64_t uncommitted_bytes;                      /* beyond: pressure CORE_PRESSURE_MEMORY */
    uint64_t disk_reserve_bytes;                     /* less free than this: CORE_PRESSURE_DISK */
    uint64_t message_bytes;                          /* largest body */
    uint64_t transaction_bytes;                      /* largest open transaction */
    uint32_t queues, exchanges, bindings, consumers; /* most of each, whole node */
    uint32_t unacked;         /* most unacked of one consumer without a prefetch */
    uint32_t retained;        /* most retained messages, whole node; 0: none at all */
    uint64_t retained_bytes;  /* most memory that they take */
    uint32_t compact_batches; /* so many small batches are rewritten together; 0: 4096 */
};

struct core *core_new(const struct core_options *o);
void core_free(struct core **c);

/* Recovery: the engine plays what is on disk into the sink with the core as
 * argument; core_recovered() then raises the boot number, makes what a first
 * start needs (vhost "/", its predeclared exchanges) and puts both into the
 * next commit, which must be on disk before listeners open. */
extern const struct recover_sink core_recover_sink;
void core_recovered(struct core *c, uint64_t now_ms);
/* False: definitions on disk make no sense (the log has them).  Then the caller
 * stops before core_recovered: messages of queues that seem not to be there
 * would be deleted. */
bool core_recover_ok(const struct core *c);
uint64_t core_boot(const struct core *c);
/* The last commit of a clean stop. */
void core_stopping(struct core *c);

/* ---- vhosts and users ---- */

/* 0: no such vhost. */
uint64_t core_vhost_find(const struct core *c, struct bytes name);
/* Of one that is there. */
struct bytes core_vhost_name(const struct core *c, uint64_t id);
/* Walks them: start with *at = 0, false ends. */
bool core_vhost_each(const struct core *c, size_t *at, uint64_t *id);
enum err core_vhost_add(struct core *c, struct bytes name) MUST_USE;

struct core_user {
    struct bytes name, password_hash, tags; /* views until the next change of users */
};
bool core_user_find(const struct core *c, struct bytes name, struct core_user *out);
void core_user_put(struct core *c, const struct core_user *u);
size_t core_user_count(const struct core *c);

/* ---- permissions, as RabbitMQ has them: patterns over names (pattern.h) ---- */

enum permission { PERMISSION_CONFIGURE, PERMISSION_WRITE, PERMISSION_READ };

/* Adds or replaces.  ERR_NOT_FOUND (user, vhost), ERR_INVALID (a pattern). */
enum err core_permission_put(struct core *c, const struct def_permission *d) MUST_USE;
/* The same for the routing keys of one exchange.  In its patterns {username}, {vhost} and
 * {client_id} stand for the client's own. */
enum err core_topic_permission_put(struct core *c, const struct def_topic_permission *d) MUST_USE;
/* Is it a pattern of that kind?  `why` (may be NULL) as pattern_new has it. */
bool core_topic_pattern_ok(struct bytes text, char why[PATTERN_WHY_BYTES]);

/* Who has no permission in a vhost may not open it. */
bool core_user_may_enter(const struct core *c, struct bytes user, uint64_t vhost_id);

/* The client, and those joined to it from now on, acts for that user, which is there.
 * One that acts for nobody is the broker's own and may do everything. */
void core_client_user(struct core *c, client_id id, struct bytes user);
/* Views; `user` is empty for the broker's own. */
void core_client_names(const struct core *c, client_id id, struct bytes *user, struct bytes *vhost);

/* May it do that to the exchange or queue? */
bool core_may(struct core *c, client_id id, enum permission what, struct bytes name);

struct core_topic {
    struct bytes exchange, routing_key;
    struct bytes client_id; /* in its protocol, always the same for a client; may be empty */
    /* Names are written into patterns as MQTT's topics are into keys: with '/' and '.'
     * swapped (docs/decisions/0012). */
    bool swapped;
};
/* May it, as for the routing key?  True where the exchange is not of type topic. */
bool core_may_topic(struct core *c, client_id id, enum permission what, const struct core_topic *t);

/* ---- clients: a STOMP or MQTT connection, an AMQP channel ---- */

/* `owner` is the adapter's; the core only gives it back. */
client_id core_client_open(struct core *c, uint64_t vhost_id, void *owner);

/* One that belongs to `connection`, a client that core_client_open gave: the
 * exclusive queues that it declares are the connection's, and it may use all of
 * those (an AMQP channel).  It must be closed before its connection is. */
client_id core_client_join(struct core *c, client_id connection, void *owner);

/* Returns what was unacked to its place, ends its consumers, deletes the
 * exclusive queues of the connection when that is what is closed.  Effects still
 * queued for it are skipped by their reader (core_client_owner gives NULL). */
void core_client_close(struct core *c, client_id id, uint64_t now_ms);
void *core_client_owner(const struct core *c, client_id id);

/* How many bytes may be delivered to it from now on (each delivery takes its
 * body and a constant); the adapter sets it again as its output drains. */
void core_client_room(struct core *c, client_id id, size_t bytes);

/* Prefetch over all consumers of the client (AMQP basic.qos global); 0: none. */
void core_client_prefetch(struct core *c, client_id id, uint32_t limit);

/* ---- topology.  `why` may be NULL; else it gets a static text on failure ---- */

struct exchange_spec {
    struct bytes name, type; /* direct fanout topic headers x-delayed-message */
    bool durable, auto_delete, internal, passive;
    struct bytes arguments; /* field table: alternate-exchange, x-delayed-type */
};
/* ERR_NOT_FOUND (passive), ERR_EXISTS (other properties), ERR_REFUSED (reserved
 * name), ERR_INVALID (type, argument), ERR_LIMIT. */
enum err core_exchange_declare(struct core *c, client_id id, const struct exchange_spec *s,
                               const char **why) MUST_USE;
enum err core_exchange_delete(struct core *c, client_id id, struct bytes name, bool if_unused,
                              const char **why) MUST_USE;

enum { CORE_MADE_NAME_BYTES = 96 }; /* with a NUL; prefixes are constants */

struct queue_spec {
    struct bytes name;   /* empty: the core makes one, beginning with `prefix` */
    struct bytes prefix; /* a name with it may be one that is reserved */
    bool durable, exclusive, auto_delete, passive;
    struct bytes arguments; /* field table: x-message-ttl x-expires x-max-length ... */
};
struct queue_info {
    struct bytes name; /* view until the queue goes */
    uint64_t queue_id;
    uint64_t ready, unacked;
    uint32_t consumers;
    bool durable, exclusive;
};
/* ERR_NOT_FOUND (passive), ERR_EXISTS (other properties), ERR_LOCKED (exclusive
 * to another connection), ERR_REFUSED (reserved name), ERR_INVALID (argument),
 * ERR_LIMIT. */
enum err core_queue_declare(struct core *c, client_id id, const struct queue_spec *s,
                            struct queue_info *out, const char **why, uint64_t now_ms) MUST_USE;
/* Writes the name that the core would make, for who must know it before; its length. */
size_t core_queue_name(struct core *c, struct bytes prefix, char out[CORE_MADE_NAME_BYTES]);
/* ERR_NOT_FOUND, ERR_LOCKED, ERR_IN_USE, ERR_NOT_EMPTY; *count: messages that went. */
enum err core_queue_delete(struct core *c, client_id id, struct bytes name, bool if_unused,
                           bool if_empty, uint64_t *count, const char **why) MUST_USE;
enum err core_queue_purge(struct core *c, client_id id, struct bytes name, uint64_t *count,
                          const char **why) MUST_USE;
/* A queue of the client's vhost, whoever owns it; false: there is none. */
bool core_queue_look(const struct core *c, client_id id, struct bytes name, struct queue_info *out);
/* Walks the queues of a vhost: start with *at = 0, false ends.  No queue may come or
 * go during the walk. */
bool core_queue_each(const struct core *c, uint64_t vhost_id, size_t *at, struct queue_info *out);

/* From now on the queue goes when it was without a consumer for so long (0: in the
 * next turn that finds it so; UINT64_MAX: never): in place of x-expires among its
 * arguments.  No-op when there is no such queue or it is another connection's. */
void core_queue_expires(struct core *c, client_id id, struct bytes queue, uint64_t expires_ms);

/* A small state that an adapter keeps beside a queue: it goes with the queue, and is
 * as durable as that.  Empty: none.  The queue must be there. */
void core_queue_note(struct core *c, client_id id, struct bytes queue, struct bytes note);
/* A view until the next core_queue_note for this queue, or until the queue goes. */
struct bytes core_queue_note_get(const struct core *c, client_id id, struct bytes queue);

struct binding_spec {
    struct bytes exchange, target, routing_key;
    bool to_exchange;       /* target is an exchange */
    struct bytes arguments; /* field table; for headers exchanges x-match and values */
};
enum err core_bind(struct core *c, client_id id, const struct binding_spec *s,
                   const char **why) MUST_USE;
enum err core_unbind(struct core *c, client_id id, const struct binding_spec *s,
                     const char **why) MUST_USE;

struct binding_view {
    struct bytes exchange, routing_key, arguments; /* until the binding goes */
};
/* Walks the bindings that lead to a queue, in the order they were made: start with
 * *at = 0, false ends.  None of the queue may come or go during the walk. */
bool core_queue_binding_next(const struct core *c, client_id id, struct bytes queue, size_t *at,
                             struct binding_view *out);

/* ---- publishing ---- */

struct publish {
    struct message m;     /* copied before the call returns */
    struct bytes headers; /* the table inside m.props, for headers exchanges, CC, BCC */
    bool headers_apart;   /* they are not inside m.props: routed by, not kept */
    bool persistent;
    uint8_t priority;
    bool has_ttl;
    uint64_t ttl_ms;
    uint64_t delay_ms;      /* routed when due; 0: now */
    bool delay_by_exchange; /* delay_ms counts on an x-delayed-message exchange only */
    bool mandatory;         /* in a transaction: EFFECT_RETURN when no queue took it */
    bool deliver_committed; /* no consumer gets it before its commit is on disk */
};

enum publish_result {
    PUBLISH_ROUTED,
    PUBLISH_UNROUTED, /* no queue took it: confirm it all the same, tell who asked */
    PUBLISH_NO_EXCHANGE,
    PUBLISH_FORBIDDEN, /* the exchange is internal: nothing was stored */
    PUBLISH_REFUSED    /* a limit, an overflow policy, a full disk: nothing was stored */
};
enum publish_result core_publish(struct core *c, client_id id, const struct publish *p,
                                 const char **why, uint64_t now_ms) MUST_USE;

/* The same into one queue of the vhost, whatever exchange and key the message names.
 * PUBLISH_UNROUTED: there is no such queue. */
enum publish_result core_publish_queue(struct core *c, client_id id, struct bytes queue,
                                       const struct publish *p, const char **why,
                                       uint64_t now_ms) MUST_USE;

/* Asks to be told when everything that this client did so far is on disk.
 * Returns the number of the confirm, from 1, rising by one per client; the
 * effects come in that order, several at once as first..last.  `refused` ones
 * keep their place in the order and come back marked so. */
uint64_t core_confirm(struct core *c, client_id id, bool refused);

/* A body of more than BLOB_MIN_BYTES comes in pieces: begin, append until `size`
 * is reached, then core_publish (or core_tx_publish) with m.blob_id, m.body_size
 * and an empty m.body, which takes the blob over whatever it answers.  The parts
 * go to disk as they come.  begin gives 0 when it is refused. */
enum { BLOB_MIN_BYTES = 256 * 1024, BLOB_PART_BYTES = 256 * 1024 };
uint64_t core_blob_begin(struct core *c, client_id id, uint64_t size, const char **why) MUST_USE;
void core_blob_append(struct core *c, uint64_t blob_id, struct bytes piece);
void core_blob_abort(struct core *c, uint64_t blob_id); /* no-op when it was published */

/* ---- the last message of each routing key, kept for who asks later ---- */

enum { RETAINED_BODY_MAX_BYTES = 1024 * 1024 };

/* Keeps properties, body, time and expiry of the message in place of what the vhost
 * has for its routing key; an empty body removes that.  Durable whatever
 * p->persistent says.  The body is in one piece, of RETAINED_BODY_MAX_BYTES at most;
 * the routing key is words as in proto/topic.h, without a NUL.  ERR_INVALID (routing
 * key), ERR_LIMIT (how many, their memory, the body, a full disk); removing is never
 * refused. */
enum err core_retain(struct core *c, client_id id, const struct publish *p, const char **why,
                     uint64_t now_ms) MUST_USE;

struct retained_view {
    struct bytes routing_key, props, body;
    uint64_t stored_ms, expires_ms; /* expires_ms 0: never */
};
/* Those that the pattern matches (`*` one word, `#` any number), by rising routing
 * key; returns how many.  skip_dollar: a wildcard in the first place does not match
 * a word that begins with '$'.  Views until the next call into the core. */
size_t core_retained_find(struct core *c, uint64_t vhost_id, struct bytes pattern, bool skip_dollar,
                          const struct retained_view **out, uint64_t now_ms);

/* ---- transactions: staged calls, then all in one commit ---- */

struct tx;
struct tx *core_tx_begin(struct core *c, client_id id);
/* False: the transaction has reached its limit in bytes. */
bool core_tx_publish(struct tx *t, const struct publish *p) MUST_USE;
/* Is there such a delivery in the client's shared ledger (tag 0: any)? */
bool core_unacked_has(const struct core *c, client_id id, uint64_t tag);
/* Checked when committed; an ack of a tag that is gone by then is passed over. */
void core_tx_settle(struct tx *t, consumer_id consumer, uint64_t tag, bool upto, enum settle how);
/* All or nothing: if any message is refused nothing is done and that is the
 * result.  PUBLISH_UNROUTED: it is done, and some of it no queue took;
 * EFFECT_RETURN tells of those that were mandatory.  Frees `*t`. */
enum publish_result core_tx_commit(struct core *c, struct tx **t, const char **why,
                                   uint64_t now_ms) MUST_USE;
void core_tx_abort(struct tx **t);

/* ---- consuming ---- */

struct consume {
    struct bytes queue;
    bool no_ack, exclusive;
    bool own_ledger;   /* tags of its own (STOMP subscription), not the client's (AMQP) */
    uint32_t prefetch; /* 0: no limit but core_options.unacked */
    int32_t priority;
    uint64_t handle; /* the adapter's, given back in effects */
};
/* ERR_NOT_FOUND, ERR_LOCKED (exclusive), ERR_REFUSED, ERR_LIMIT. */
enum err core_consume(struct core *c, client_id id, const struct consume *s, consumer_id *out,
                      const char **why) MUST_USE;

/* With a ledger of its own, what is unacked goes back to the queue. */
void core_cancel(struct core *c, client_id id, consumer_id consumer, uint64_t now_ms);

/* One message on demand: EFFECT_DELIVER with `handle`, or EFFECT_GET_EMPTY. */
enum err core_get(struct core *c, client_id id, struct bytes queue, bool no_ack, uint64_t handle,
                  const char **why) MUST_USE;

/* `consumer` 0: the client's shared ledger.  ERR_NOT_FOUND: no such tag.
 * `upto`: this tag and all before it (tag 0: all). */
enum err core_settle(struct core *c, client_id id, consumer_id consumer, uint64_t tag, bool upto,
                     enum settle how, uint64_t now_ms) MUST_USE;

/* The consumer has the message for good, though the exchange about it goes on: it
 * stays unacked until SETTLE_ACK.  Should it come back instead, who gets it next is
 * told so (effect.received), also after a restart; until then it does not expire, and
 * no delivery limit counts it.  ERR_NOT_FOUND: no such tag. */
enum err core_received(struct core *c, client_id id, consumer_id consumer, uint64_t tag) MUST_USE;

/* Oldest unacked delivery of (queue, seq), for STOMP 1.0 and 1.1; 0: none. */
uint64_t core_tag_find(const struct core *c, client_id id, consumer_id consumer, uint64_t queue_id,
                       uint64_t seq);

/* Tag of the oldest unacked delivery of the client's shared ledger; 0: none. */
uint64_t core_unacked_oldest(const struct core *c, client_id id);

/* ---- the turn ---- */

void core_turn(struct core *c, uint64_t now_ms);
/* Valid until core_effects_done. */
const struct effect *core_effects(const struct core *c, size_t *count);
/* The message of an EFFECT_DELIVER or EFFECT_RETURN: views until core_effects_done. */
void core_effect_message(const struct core *c, const struct effect *e, struct message *out);
void core_effects_done(struct core *c);

/* A delivered message with a blob_id: its parts 0.. of BLOB_PART_BYTES (the last
 * one shorter) are asked for one by one and come as EFFECT_PART.  The reader says
 * when it is done with it; closing the client does so too.  Nothing is delivered
 * to a client beyond a blob until its room is set again. */
void core_blob_want(struct core *c, client_id id, uint64_t blob_id, uint32_t part);
void core_blob_done(struct core *c, client_id id, uint64_t blob_id);

/* When the core wants its next turn though nothing happens; UINT64_MAX: never. */
uint64_t core_next_at_ms(const struct core *c);

/* ---- disk ---- */

/* Is there something that somebody did, for the next commit?  (Compaction is not.) */
bool core_gathered(const struct core *c);
/* What gathered, for the store; NULL: nothing.  Only when the store is idle. */
struct commit *core_seal(struct core *c, uint64_t now_ms);
void core_committed(struct core *c, struct commit *done); /* frees it */

/* The next batch or part to load; false: none wanted. */
bool core_next_load(struct core *c, uint64_t *batch_id, uint64_t *blob_id, uint32_t *part);
void core_loaded(struct core *c, struct load *l); /* frees it */

enum core_pressure {
    CORE_PRESSURE_NONE,
    CORE_PRESSURE_MEMORY, /* stop reading from publishers until the disk caught up */
    CORE_PRESSURE_DISK    /* publishes are refused; consuming and acking go on */
};
enum core_pressure core_pressure(const struct core *c);

/* What the file system has free; told at start and every second while pressure
 * is CORE_PRESSURE_DISK (commits tell it by themselves). */
void core_disk_free(struct core *c, uint64_t free_bytes);

/* ---- looking in ---- */

struct core_stats {
    uint64_t published, delivered, acked, returned, expired, dropped, dead_lettered, unrouted,
        refused, set_aside, damaged_batches, compacted;
    uint64_t commits, batches, batches_in_memory, memory_bytes, file_bytes, wal_bytes,
        disk_free_bytes;
    uint64_t ready, unacked;
    uint32_t clients, consumers, queues, exchanges, bindings;
    uint64_t retained, retained_bytes;
};
void core_stats(const struct core *c, struct core_stats *out);

/* True when every invariant holds; prints the first that does not. */
bool core_check(const struct core *c);

#endif
