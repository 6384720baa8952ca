// SPDX-License-Identifier: MIT
/* amqp_session.h - what the files of the AMQP adapter share.
 *
 * A connection is one client of the core, which owns its exclusive queues; each
 * channel is another, joined to it.  Replies that promise something durable go
 * through core_confirm() as publisher confirms do, and while one is due the
 * connection is not read on, so replies keep their order by themselves.
 * Nothing here is seen outside broker/session/amqp_*.c.  Thread: the loop's.
 * Source: AMQP 0-9-1, section numbers in brackets; RabbitMQ where it extends it. */
#ifndef SESSION_AMQP_SESSION_H
#define SESSION_AMQP_SESSION_H

#include "base/log.h"
#include "base/slots.h"
#include "broker/session/session.h"
#include "proto/amqp.h"
#include "proto/props.h"

/* The dialogue of a connection [2.2.4]. */
#define AMQP_STATES(X)                                               \
    X(HEADER) /* the protocol header is due */                       \
    X(START)  /* connection.start-ok is due */                       \
    X(LOGIN)  /* the password is being checked */                    \
    X(TUNE)   /* connection.tune-ok is due */                        \
    X(OPEN)   /* connection.open is due */                           \
    X(RUNNING)                                                       \
    X(CLOSING) /* connection.close was sent: only close-ok counts */ \
    X(ENDED)   /* all is said: the connection is to be closed */

enum amqp_state {
#define X(name) AMQP_STATE_##name,
    AMQP_STATES(X)
#undef X
        AMQP_STATE_COUNT
};
const char *amqp_state_name(enum amqp_state s);

enum {
    AMQP_LOGIN_FRAME_BYTES = 32 * 1024, /* of a frame before the log-in */
    AMQP_CLOSE_OK_MS = 10000,           /* the peer may take to answer connection.close */
    AMQP_TEXT_MAX_BYTES = 255,
    AMQP_TX_SETTLES_MAX = 262144,              /* acks and rejects of a transaction */
    AMQP_GATHERED_MAX_BYTES = 32 * 1024 * 1024 /* of bodies that come in, of a connection */
};

struct amqp_session;

struct amqp_consumer {
    uint64_t handle; /* in channel->consumers; the core's handle too */
    consumer_id id;
    uint8_t tag_n;
    uint8_t tag[];
};

/* A message that comes in: its method has come, of its content something is due. */
struct amqp_incoming {
    bool has_header, mandatory, refused;
    uint64_t size, got;
    uint64_t blob_id;  /* 0: gathered in `body` */
    uint64_t gathered; /* counted in the connection's */
    struct buf names;  /* exchange, then routing key, then properties */
    size_t exchange_n, key_n;
    struct buf body;
};

/* A delivery whose body leaves in parts; what follows it on the channel waits in `later`, and
 * one more of its kind (a basic.get needs no room) in `after`. */
struct amqp_sending {
    struct amqp_sending *after;
    uint64_t blob_id, left;
    uint32_t next; /* part */
    bool stalled;  /* for room in the output */
    struct buf head, later;
};

enum amqp_channel_state { AMQP_CHANNEL_OPEN, AMQP_CHANNEL_CLOSING };

struct amqp_channel {
    struct session_port port; /* first */
    struct amqp_session *conn;
    uint16_t number;
    enum amqp_channel_state state;
    bool confirming, transactional, flow_off;
    bool tx_refused;   /* a message of the transaction found the disk full: it cannot commit */
    client_id client;  /* 0: closing */
    uint32_t prefetch; /* of consumers to come */
    struct tx *tx;
    uint32_t tx_settles;    /* staged in it */
    struct buf last_queue;  /* what an empty name means; or none */
    struct slots consumers; /* struct amqp_consumer by handle */
    struct amqp_incoming *incoming;
    struct amqp_sending *sending;
    uint64_t replies_confirmed; /* of the numbers of core_confirm, those that were replies */
    struct amqp_consumer *reply_consumer;
    struct buf reply_queue;              /* behind amq.rabbitmq.reply-to */
    uint64_t oldest_tag, oldest_seen_ms; /* consumer time-out */
    struct buf get_queue;                /* of the basic.get under way */
};

/* A reply that waits for the disk; the connection is paused meanwhile. */
struct amqp_due {
    struct amqp_channel *channel;
    uint64_t number; /* of core_confirm */
    struct buf frame;
};

/* Buffers that no session needs between two calls; the last session frees them. */
struct amqp_shared {
    size_t sessions;
    struct buf props, table, text;
    struct log_limit faults;
};

struct amqp_session {
    struct session s; /* first: the two are one address */
    struct amqp_shared *shared;
    enum amqp_state state;
    bool can_cancel, can_blocked, can_close_login; /* capabilities of the client */
    bool qos_of_channel;                           /* see amqp_on_qos */
    bool blocked;                                  /* connection.blocked was said */
    bool held; /* not read on: the disk is full and a publish could not be refused */
    char *user;
    char *vhost;
    uint64_t vhost_id;
    client_id client; /* the connection's own */
    uint16_t channel_max;
    uint32_t frame_max;
    uint32_t heartbeat_ms; /* 0: none */
    uint64_t last_in_ms, last_out_ms;
    struct amqp_channel **channel; /* by number; amqp_gone: was open once */
    uint32_t channel_cap, channels_open, channels_consuming, channels_sending;
    struct amqp_due *due;
    uint64_t gathered_bytes; /* announced by the messages that are coming in */
};

/* Stands in conn->channel[] for one that was open and is not any more. */
extern struct amqp_channel amqp_gone;

static inline struct amqp_session *amqp_of(struct session *s)
{
    return (struct amqp_session *)(void *)s;
}

/* Where frames of the channel go: behind a delivery that is on its way, even before its first
 * part is there.  A recover-ok, say, must not overtake a delivery that it has made void. */
static inline struct buf *amqp_out(struct amqp_channel *ch)
{
    struct amqp_sending *o = ch->sending;

    while (o && o->after)
        o = o->after;
    return o ? &o->later : &ch->conn->s.out;
}

/* ---- amqp_conn.c ---- */

/* Refuses what came: connection.close, then only close-ok counts [1.3, hard errors].
 * `method`: whose fault it is, 0: none. */
void amqp_fail(struct amqp_session *s, enum amqp_reply code, uint32_t method, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Closes the clients of the core; what is in `out` is still written. */
void amqp_end(struct amqp_session *s);
void amqp_wake(struct amqp_session *s); /* sets the next wake-up */

/* A method frame of the channel. */
void amqp_put(struct amqp_channel *ch, const struct amqp_args *args);
/* The same for a reply without arguments. */
void amqp_put_id(struct amqp_channel *ch, enum amqp_method id);
/* A reply that leaves once all that the channel did so far is on disk. */
void amqp_put_durable(struct amqp_channel *ch, const struct amqp_args *args);

void amqp_log_fault(struct amqp_session *s, const char *event, const char *text);
/* "NOT_FOUND - text", cut to what a shortstr holds. */
struct bytes amqp_reply_text(struct amqp_session *s, enum amqp_reply code, const char *text);

/* ---- amqp_login.c ---- */

/* The protocol header; returns the bytes used. */
size_t amqp_on_header(struct amqp_session *s, struct bytes in);
void amqp_on_connection(struct amqp_session *s, const struct amqp_args *args);
void amqp_auth_done(struct amqp_session *s, bool accepted);

/* ---- amqp_channel.c ---- */

/* Refuses what the channel asked: channel.close, or amqp_fail when the code is hard. */
void amqp_channel_fail(struct amqp_channel *ch, enum amqp_reply code, uint32_t method,
                       const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* A method of a channel; `rest` follows it.  The bytes of `rest` that were used too, or
 * SIZE_MAX: nothing was, not even the method, for the connection is to wait. */
size_t amqp_on_channel_method(struct amqp_session *s, const struct amqp_frame *f,
                              struct bytes rest);
void amqp_on_channel_content(struct amqp_session *s, const struct amqp_frame *f);
struct amqp_channel *amqp_channel_find(struct amqp_session *s, uint16_t number); /* open, or NULL */
void amqp_channels_free(struct amqp_session *s);
/* Tells the core how much may be delivered now. */
void amqp_room(struct amqp_channel *ch);
void amqp_room_all(struct amqp_session *s);
void amqp_channel_tick(struct amqp_channel *ch);

/* ---- handlers of methods, by file ---- */

typedef void amqp_method_fn(struct amqp_channel *ch, const struct amqp_args *args);

/* amqp_exchange.c, amqp_queue.c */
amqp_method_fn amqp_on_exchange_declare, amqp_on_exchange_delete, amqp_on_exchange_bind,
    amqp_on_exchange_unbind, amqp_on_queue_declare, amqp_on_queue_bind, amqp_on_queue_unbind,
    amqp_on_queue_purge, amqp_on_queue_delete;
/* amqp_publish.c */
amqp_method_fn amqp_on_publish, amqp_on_confirm_select;
/* amqp_tx.c */
amqp_method_fn amqp_on_tx_select, amqp_on_tx_commit, amqp_on_tx_rollback;
/* amqp_consume.c */
amqp_method_fn amqp_on_qos, amqp_on_consume, amqp_on_cancel, amqp_on_get;
/* amqp_settle.c */
amqp_method_fn amqp_on_ack, amqp_on_nack, amqp_on_reject, amqp_on_recover;

/* What the core's error is in AMQP: closes the channel. */
void amqp_fail_err(struct amqp_channel *ch, enum err e, uint32_t method, const char *kind,
                   struct bytes name, const char *why);
/* The queue that `name` means: an empty one is the last declared.  False: failed. */
bool amqp_queue_name(struct amqp_channel *ch, uint32_t method, struct bytes name,
                     struct bytes *out);

/* ---- amqp_permit.c: false: failed with 403 ---- */

bool amqp_may_exchange(struct amqp_channel *ch, uint32_t method, enum permission what,
                       struct bytes name);
bool amqp_may_queue(struct amqp_channel *ch, uint32_t method, enum permission what,
                    struct bytes name);
bool amqp_may_topic(struct amqp_channel *ch, uint32_t method, enum permission what,
                    struct bytes exchange, struct bytes routing_key);

/* ---- amqp_publish.c ---- */

void amqp_on_content_header(struct amqp_channel *ch, struct bytes payload);
void amqp_on_content_body(struct amqp_channel *ch, struct bytes payload);
/* Tries to publish a message whose frames are all in `in`, behind its method; returns
 * the bytes used, 0: they are not. */
size_t amqp_publish_whole(struct amqp_channel *ch, const struct amqp_args *args, struct bytes in);
void amqp_incoming_free(struct amqp_channel *ch);
void amqp_on_confirmed(struct amqp_channel *ch, const struct effect *e);
void amqp_put_return(struct amqp_channel *ch, const struct message *m);
/* connection.blocked, once; unblocked and read on when the disk has room again. */
void amqp_block(struct amqp_session *s);
void amqp_unblock(struct amqp_session *s);

/* ---- amqp_props.c: what a publish carries in its properties ---- */

/* Fills props and headers of `p` and what follows from them; rewrites reply-to and takes
 * BCC out (shared->props).  False: failed. */
bool amqp_properties(struct amqp_channel *ch, struct bytes props, struct publish *p);
/* Properties with x-delivery-count in their headers (shared->props). */
struct bytes amqp_props_counted(struct amqp_session *s, struct bytes props, uint32_t deliveries);

/* ---- amqp_deliver.c ---- */

void amqp_deliver(struct amqp_channel *ch, const struct effect *e);
void amqp_get_empty(struct amqp_channel *ch);
void amqp_cancelled(struct amqp_channel *ch, const struct effect *e);
void amqp_part(struct amqp_channel *ch, const struct effect *e);
void amqp_sending_drained(struct amqp_channel *ch);
/* The channel ends before a body on its way has begun: the replies behind it leave, it does not. */
void amqp_sending_skip(struct amqp_channel *ch);
void amqp_sending_free(struct amqp_channel *ch);

/* ---- amqp_consume.c, RabbitMQ's direct reply-to among it ---- */

bool amqp_is_reply_to(struct bytes name); /* amq.rabbitmq.reply-to */
/* The queue of a reply address (amq.rabbitmq.reply-to.TOKEN). */
bool amqp_is_reply_queue(struct bytes name);

void amqp_consumer_remove(struct amqp_channel *ch, struct amqp_consumer *k);
void amqp_consumers_free(struct amqp_channel *ch);

static inline void amqp_name_set(struct buf *at, struct bytes name)
{
    at->n = 0;
    buf_bytes(at, name);
}

#endif
