// SPDX-License-Identifier: MIT
/* lodge.h - liblodge: send and receive messages through lodged, or any other
 * broker that speaks STOMP 1.2.  This header is the manual.
 *
 * THE PROMISE.  A message that lodge_send took is kept until the broker confirmed
 * it with a receipt.  When the connection breaks, the client connects again (with
 * back-off), subscribes again, and sends again, in order, what was not confirmed.
 * So a message arrives at least once: after a break it may arrive twice.  From
 * lodged a confirm means that the message is on disk.  A delivery that is not
 * acknowledged when the connection breaks will come again; acknowledging it by
 * then has no effect.
 *
 * TWO INTERFACES.  The first one (lodge_...) is asynchronous: it runs on a libevent
 * loop that the caller owns, and answers by callbacks.  The second one
 * (lodge_sync_...) blocks, and needs no loop.
 *
 * THREADS.  A client is used by one thread at a time: the one that runs its loop.
 * Different clients may live in different threads.  Nothing is called from inside
 * the function that was called, but where it says so; callbacks may call every
 * function, lodge_free included.
 *
 * OWNERSHIP.  What is passed in is copied before the function returns.  What a
 * callback is given lives until the callback returns; lodge_message_copy keeps a
 * message longer.  Times are in milliseconds, sizes in bytes.  Out of memory ends
 * the process. */
#ifndef LODGE_H
#define LODGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LODGE_API __attribute__((visibility("default")))

struct event_base; /* <event2/event.h> */
struct lodge;      /* a client */

/* ---- results ---------------------------------------------------------------- */

enum lodge_status {
    LODGE_OK,      /* done: taken, confirmed, replied */
    LODGE_FULL,    /* not taken: as much as allowed is unconfirmed; wait for on_drained */
    LODGE_INVALID, /* not taken: an argument cannot be sent */
    LODGE_CLOSED,  /* not taken: the client is closing, or gave up */
    LODGE_REFUSED, /* the broker refused it; the reason is its own text */
    LODGE_LOST,    /* given up before it was confirmed: it may have arrived or not */
    LODGE_TIMEOUT  /* no answer in time */
};

/* Static text, never NULL. */
LODGE_API const char *lodge_status_text(enum lodge_status status);

/* The version of the library, "0.1.0". */
LODGE_API const char *lodge_version(void);

/* ---- messages --------------------------------------------------------------- */

struct lodge_header {
    const char *name, *value; /* any text without NUL; escaped on the way */
};

/* To be sent.  A bare destination NAME means /queue/NAME.  Headers that the
 * client writes itself may not be given: destination, receipt, content-length,
 * transaction.  `persistent:true` is added unless there is a header of that name.
 * What brokers understand: content-type, priority (0-9), expiration (ms), x-delay
 * (ms, lodged), reply-to, correlation-id; others travel with the message. */
struct lodge_outgoing {
    const char *destination;
    const struct lodge_header *headers;
    size_t header_count;
    const void *body; /* any bytes; NULL when body_size is 0 */
    size_t body_size;
};

/* Received.  Strings are never NULL; `ack` is "" where nothing is to be
 * acknowledged.  Behind the body stands a NUL that is not counted. */
struct lodge_message {
    const char *destination;
    const char *id;
    const char *ack;                    /* the broker's name for this delivery */
    uint64_t connection;                /* the number of the connection that it came by */
    uint64_t subscription;              /* as lodge_subscribe gave it; 0: a reply */
    bool redelivered;                   /* may have been delivered before */
    const struct lodge_header *headers; /* all of them, as they came */
    size_t header_count;
    const void *body;
    size_t body_size;
};

/* The first header of that name, or NULL. */
LODGE_API const char *lodge_message_header(const struct lodge_message *m, const char *name);

/* A copy in one block of memory, of the body too; free with lodge_message_free,
 * which accepts NULL. */
LODGE_API struct lodge_message *lodge_message_copy(const struct lodge_message *m);
LODGE_API void lodge_message_free(struct lodge_message *m);

/* ---- connecting --------------------------------------------------------------- */

enum lodge_event {
    LODGE_CONNECTED, /* subscriptions and unconfirmed messages are on their way */
    LODGE_RETRYING,  /* could not connect, or lost the connection; it goes on by itself */
    LODGE_GAVE_UP    /* attempts_max reached: everything unconfirmed was LOST */
};

/* `text` says what happened in one line: the server, or the reason.  `wait_ms` is
 * the time until the next attempt (RETRYING). */
typedef void lodge_event_fn(void *arg, enum lodge_event event, const char *text, uint32_t wait_ms);
typedef void lodge_drained_fn(void *arg);

struct lodge_options {
    const char *server;           /* "[stomp://][user[:password]@]host[:port]", %XX decoded; what it
                           names goes before the fields below; may be NULL */
    const char *host;             /* name or address; default "127.0.0.1" */
    uint16_t port;                /* default 61613 */
    const char *login, *passcode; /* default "guest", "guest" */
    const char *vhost;            /* default "/" */
    uint32_t heart_beat_send_ms;  /* we send one so often; 0: none; default 10000 */
    uint32_t heart_beat_want_ms;  /* twice this without a byte is a break; 0: none */
    uint32_t connect_timeout_ms;  /* for one attempt, login included; default 10000 */
    uint32_t backoff_min_ms;      /* before the first retry; default 100 */
    uint32_t backoff_max_ms;      /* it doubles up to here, less a random part; 30000 */
    uint32_t attempts_max;        /* in a row without success, then GAVE_UP; 0: no end */
    uint32_t unconfirmed_max;     /* messages; default 10000 */
    size_t unconfirmed_max_bytes; /* of frames; default 64 MiB; one message may exceed it */
    size_t body_max_bytes;        /* of a message received; default 256 MiB */
    lodge_event_fn *on_event;     /* may be NULL */
    lodge_drained_fn *on_drained; /* after LODGE_FULL, half of the room is free again */
    void *arg;                    /* for these two callbacks */
};

/* Fills in the defaults: call it first, then set what differs. */
LODGE_API void lodge_options_init(struct lodge_options *options);

/* A client on `base`, which must outlive it.  It begins to connect when the loop
 * runs; sending and subscribing may begin at once.  Looking up a host name blocks.
 * NULL: `server` cannot be understood, or a field is out of range. */
LODGE_API struct lodge *lodge_new(struct event_base *base, const struct lodge_options *options);

LODGE_API bool lodge_is_connected(const struct lodge *c);

/* How many messages (a transaction counts as one) wait for their confirm. */
LODGE_API size_t lodge_unconfirmed(const struct lodge *c);

/* The graceful end: nothing more is taken and no message is delivered any more; what
 * is unconfirmed is confirmed; then DISCONNECT and its receipt.  Then, or after
 * `timeout_ms`, everything still open is LOST and on_closed is called once: with OK,
 * TIMEOUT, or LOST when the connection broke while taking leave.  There the client may
 * be freed.  Deliveries not acknowledged go back to their queues. */
typedef void lodge_closed_fn(void *arg, enum lodge_status status);
LODGE_API void lodge_close(struct lodge *c, uint32_t timeout_ms, lodge_closed_fn *on_closed,
                           void *arg);

/* The end at once.  Confirm and reply callbacks still open are called with LOST
 * before it returns (from inside this call).  Accepts NULL. */
LODGE_API void lodge_free(struct lodge *c);

/* ---- sending -------------------------------------------------------------------- */

/* Called exactly once for each message taken: OK (confirmed), REFUSED, or LOST.
 * `reason` is "" when there is none.  Confirms may come out of order. */
typedef void lodge_confirm_fn(void *arg, enum lodge_status status, const char *reason);

/* Takes the message: OK, or FULL, INVALID, CLOSED.  `confirm` may be NULL.  Frames
 * of one turn of the loop leave together. */
LODGE_API enum lodge_status lodge_send(struct lodge *c, const struct lodge_outgoing *m,
                                       lodge_confirm_fn *confirm, void *arg);

/* ---- receiving ------------------------------------------------------------------ */

enum lodge_ack_mode {
    LODGE_ACK_AUTO,      /* the broker forgets a message once it is sent */
    LODGE_ACK_CLIENT,    /* an ack is for this message and all before it */
    LODGE_ACK_INDIVIDUAL /* an ack is for this message alone */
};

typedef void lodge_message_fn(void *arg, const struct lodge_message *m);

/* OK: the broker has the subscription (each time it was made again, too).
 * REFUSED: it has not, and the subscription is over.  `reason` as above. */
typedef void lodge_subscribed_fn(void *arg, enum lodge_status status, const char *reason);

struct lodge_subscribe_options {
    const char *destination;
    const struct lodge_header *headers; /* durable, auto-delete, selector, x-... */
    size_t header_count;
    enum lodge_ack_mode ack;
    uint32_t prefetch; /* at most so many unacknowledged; 0: as the broker has it */
    const char *id;    /* for durable subscriptions; NULL: the client chooses */
    lodge_message_fn *on_message;
    lodge_subscribed_fn *on_subscribed; /* may be NULL */
    void *arg;
};

/* Its number, or 0: an argument cannot be sent, the id is in use, or the client is
 * closing. */
LODGE_API uint64_t lodge_subscribe(struct lodge *c, const struct lodge_subscribe_options *options);

/* No message of it comes any more.  `headers` go with the UNSUBSCRIBE frame, e.g.
 * durable:true to remove a durable subscription. */
LODGE_API void lodge_unsubscribe(struct lodge *c, uint64_t subscription,
                                 const struct lodge_header *headers, size_t header_count);

/* Looks at `ack` and `connection` only: keeping these two is enough.  Done at once
 * and not confirmed; what follows later on the same connection is processed later.
 * For a delivery of an earlier connection it does nothing. */
LODGE_API void lodge_ack(struct lodge *c, const struct lodge_message *m);
/* `requeue` false: dead-lettered or dropped, as the queue has it. */
LODGE_API void lodge_nack(struct lodge *c, const struct lodge_message *m, bool requeue);

/* ---- transactions ------------------------------------------------------------------ */

/* A transaction is gathered here and sent by lodge_commit; the broker does all of it
 * or nothing.  When the connection breaks before its confirm, one that only sends is
 * sent again; one that acknowledges is LOST, for its deliveries come again. */
struct lodge_tx;

LODGE_API struct lodge_tx *lodge_begin(struct lodge *c); /* before c is freed: commit or abort */
LODGE_API enum lodge_status lodge_tx_send(struct lodge_tx *tx, const struct lodge_outgoing *m);
LODGE_API void lodge_tx_ack(struct lodge_tx *tx, const struct lodge_message *m);
LODGE_API void lodge_tx_nack(struct lodge_tx *tx, const struct lodge_message *m, bool requeue);

/* As lodge_send.  OK: `tx` is gone.  FULL or CLOSED: it is still there, to be tried
 * again or aborted. */
LODGE_API enum lodge_status lodge_commit(struct lodge_tx *tx, lodge_confirm_fn *confirm, void *arg);
LODGE_API void lodge_abort(struct lodge_tx *tx);

/* ---- request and reply ---------------------------------------------------------------- */

/* Called exactly once: OK with the reply; REFUSED; TIMEOUT; LOST when the connection
 * broke after the request was confirmed (its reply cannot find the way), or at the
 * end.  `reply` is NULL but with OK. */
typedef void lodge_reply_fn(void *arg, enum lodge_status status, const struct lodge_message *reply,
                            const char *reason);

/* Sends `m` with reply-to and correlation-id, which it may not have.  Who replies
 * sends to the request's reply-to, with its correlation-id. */
LODGE_API enum lodge_status lodge_request(struct lodge *c, const struct lodge_outgoing *m,
                                          uint32_t timeout_ms, lodge_reply_fn *reply, void *arg);

/* Sends `body` to where `request` wants its reply.  INVALID: it wants none. */
LODGE_API enum lodge_status lodge_reply(struct lodge *c, const struct lodge_message *request,
                                        const void *body, size_t body_size,
                                        lodge_confirm_fn *confirm, void *arg);

/* ---- blocking --------------------------------------------------------------------------- */

/* One connection, one caller, no loop.  Nothing happens between two calls: a caller
 * that is away for long should set both heart_beat fields to 0.  The callbacks of
 * `options` are not used. */
struct lodge_sync;

/* Connects; NULL when that failed within `timeout_ms`, or was refused, and then `error`
 * (of error_size bytes; may be NULL) says why. */
LODGE_API struct lodge_sync *lodge_sync_open(const struct lodge_options *options,
                                             uint32_t timeout_ms, char *error, size_t error_size);

/* Why the last call did not give OK; "" otherwise. */
LODGE_API const char *lodge_sync_error(const struct lodge_sync *s);

/* Sends and waits for the confirm: OK, REFUSED, INVALID, CLOSED, LOST or TIMEOUT.
 * After TIMEOUT the message is still on its way. */
LODGE_API enum lodge_status lodge_sync_send(struct lodge_sync *s, const struct lodge_outgoing *m,
                                            uint32_t timeout_ms);

/* on_message and on_subscribed are not used. */
LODGE_API enum lodge_status lodge_sync_subscribe(struct lodge_sync *s,
                                                 const struct lodge_subscribe_options *options,
                                                 uint32_t timeout_ms);

/* The next message, to be freed by the caller; NULL when none came in time, or the
 * client gave up (lodge_sync_error says it). */
LODGE_API struct lodge_message *lodge_sync_receive(struct lodge_sync *s, uint32_t timeout_ms);
LODGE_API void lodge_sync_ack(struct lodge_sync *s, const struct lodge_message *m);
LODGE_API void lodge_sync_nack(struct lodge_sync *s, const struct lodge_message *m, bool requeue);

/* Sends a request and waits for its reply, which the caller frees: OK, or as above. */
LODGE_API enum lodge_status lodge_sync_request(struct lodge_sync *s, const struct lodge_outgoing *m,
                                               uint32_t timeout_ms,
                                               struct lodge_message **reply_out);

/* Closes as lodge_close does, and frees.  Accepts NULL. */
LODGE_API enum lodge_status lodge_sync_close(struct lodge_sync *s, uint32_t timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
