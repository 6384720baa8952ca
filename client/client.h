// SPDX-License-Identifier: MIT
/* client.h - the inside of liblodge: one client and what its files share.
 *
 *     client.c        options, the life of a client: connect, retry, close, free
 *     link.c          the socket: connects, reads, writes, heart-beats
 *     frames.c        what the broker says
 *     send.c tx.c     what we say; outbox.h keeps it until it is done
 *     subscription.c request.c message.c
 *     sync.c          the blocking interface, over lodge.h alone
 *
 * Owner: the caller of lodge_new.  Thread: the one that runs the loop. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <netdb.h>

#include "base/heap.h"
#include "base/map.h"
#include "client/backoff.h"
#include "client/lodge.h"
#include "client/outbox.h"
#include "proto/stomp.h"

struct event;

#define REPLY_DESTINATION "/temp-queue/lodge"

enum client_state {
    CLIENT_WAITING,    /* for the next attempt */
    CLIENT_CONNECTING, /* TCP */
    CLIENT_LOGGING_IN, /* CONNECT is on its way */
    CLIENT_UP,
    CLIENT_OVER /* closed, or gave up */
};

/* The socket and what is tied to one connection. */
struct link {
    int fd;
    struct addrinfo *address, *address_next; /* all of the host's; to be tried next */
    struct event *read_ev, *write_ev;        /* of fd */
    struct event *flush_ev;                  /* at the end of the turn */
    struct event *timeout_ev;                /* of the attempt */
    struct event *beat_ev;
    bool write_blocked; /* write_ev is waiting for room */
    uint32_t beat_send_ms, beat_want_ms, beat_tick_ms;
    uint64_t sent_at_ms, received_at_ms, ticked_at_ms;
    struct buf in, head; /* received; to be written before the outbox */
    size_t head_written;
    struct stomp_decoder decoder;
};

struct owned_texts {
    char *host, *login, *passcode, *vhost;
};

struct subscription {
    uint64_t number;
    char *id;
    struct buf frame; /* SUBSCRIBE, as it is sent each time */
    bool asked, on;   /* on this connection: written; confirmed */
    bool manual;      /* its messages are acknowledged */
    lodge_message_fn *on_message;
    lodge_subscribed_fn *on_subscribed;
    void *arg;
};

struct lodge {
    struct event_base *base;
    struct lodge_options options; /* its texts are those of `owned` */
    struct owned_texts owned;
    enum client_state state;
    uint64_t connection; /* number of the current one, or the last */
    struct link link;
    struct stomp_limits limits;
    struct backoff backoff;
    uint32_t random;
    uint64_t up_since_ms;
    struct event *retry_ev;
    struct outbox outbox;
    bool was_full;

    /* After an ERROR that names no receipt nobody knows which frame it was for:
     * frames below `careful_until` are sent one at a time, and who is alone in
     * flight when that happens again and again is refused. */
    bool careful;
    uint64_t careful_until;
    uint64_t suspect;
    unsigned suspect_count;
    bool suspect_is_subscription;

    struct map subscriptions; /* by id */
    uint64_t subscription_next;
    size_t asked_count;    /* subscriptions asked for and not confirmed */
    struct map requests;   /* by number */
    struct heap deadlines; /* of requests */
    uint64_t request_next;
    struct event *deadline_ev;
    uint64_t tx_next;

    bool closing, disconnect_sent;
    lodge_closed_fn *on_closed;
    void *closed_arg;
    struct event *close_ev;

    unsigned depth; /* of event handlers: while in one, memory stays */
    bool doomed;
    struct stomp_scratch scratch;
    struct lodge_header header[STOMP_HEADERS_MAX]; /* of the message at hand */
    struct buf name;                               /* a destination being completed */
    char reason[512];
};

uint64_t client_now_ms(void);

/* Around everything that may call the user. */
void client_enter(struct lodge *c);
void client_leave(struct lodge *c);

/* The connection, or the attempt at one, has failed: back off and try again. */
void client_down(struct lodge *c, const char *why);
void client_up(struct lodge *c);

/* After anything that may have ended the wait of lodge_close or on_drained. */
void client_settle(struct lodge *c);
void client_disconnected(struct lodge *c, enum lodge_status status);

/* "NAME" -> "/queue/NAME"; valid until the next call. */
struct bytes client_destination(struct lodge *c, const char *destination);

void link_init(struct lodge *c);
void link_fini(struct lodge *c);
void link_attempt(struct lodge *c);
void link_close(struct lodge *c);      /* frees what belongs to this connection */
void link_flush_soon(struct lodge *c); /* writes at the end of the turn */
void link_start_beats(struct lodge *c, uint32_t send_ms, uint32_t want_ms);

/* Decodes what is in link.in.  False: the connection is gone. */
bool frames_in(struct lodge *c);

/* Appends a SEND frame; `extra` are headers of the client itself, as encoded. */
void send_encode(struct lodge *c, struct buf *out, const struct lodge_outgoing *m,
                 struct bytes extra);
bool send_valid(const struct lodge_outgoing *m);
/* OK when `size` more bytes may be taken. */
enum lodge_status send_room(struct lodge *c, size_t size);

/* A frame without receipt, only while connected. */
struct buf *send_loose_begin(struct lodge *c);
void send_loose_end(struct lodge *c);

/* ACK or NACK; `tx` 0: outside of a transaction. */
void ack_encode(struct buf *out, const struct lodge_message *m, enum stomp_command command,
                bool requeue, uint64_t tx);

void subscription_resubscribe(struct lodge *c); /* as many as may be asked now */
void subscription_reset(struct lodge *c);       /* the connection is gone */
void subscription_confirmed(struct lodge *c, uint64_t number);
void subscription_refused(struct lodge *c, uint64_t number, const char *reason);
uint64_t subscription_asked(const struct lodge *c); /* the first asked, not confirmed; 0 */
void subscription_free_all(struct lodge *c);

void request_replied(struct lodge *c, const struct lodge_message *m);
void request_connection_lost(struct lodge *c);
void request_on_deadline(struct lodge *c);
void request_free_all(struct lodge *c); /* tells them LOST */

#endif
