// SPDX-License-Identifier: MIT
/* stomp_session.h - what the files of the STOMP adapter share.
 *
 * One connection is one client of the core.  Every RECEIPT goes through
 * core_confirm(), so receipts leave in the order of their frames and only when
 * what they stand for is on disk; an ERROR waits behind them.  Nothing here is
 * seen outside broker/session/stomp_*.c.  Thread: the loop's. */
#ifndef SESSION_STOMP_SESSION_H
#define SESSION_STOMP_SESSION_H

#include "base/log.h"
#include "broker/session/session.h"
#include "broker/session/stomp_names.h"
#include "broker/session/stomp_receipts.h"
#include "broker/session/stomp_route.h"

#define STOMP_STATES(X)                                      \
    X(NEW)   /* nothing but CONNECT or STOMP */              \
    X(LOGIN) /* the password is being checked */             \
    X(READY)                                                 \
    X(LEAVING) /* DISCONNECT came; receipts are still due */ \
    X(FAILED)  /* an ERROR waits behind what is due */       \
    X(ENDED)   /* all is said: the connection is to be closed */

enum stomp_state {
#define X(name) STOMP_##name,
    STOMP_STATES(X)
#undef X
        STOMP_STATE_COUNT
};
const char *stomp_state_name(enum stomp_state s);

enum {
    STOMP_TRANSACTIONS_MAX = 16, /* of a connection */
    STOMP_SETTLES_MAX = 100000,  /* ACKs and NACKs of a transaction */
    STOMP_RECEIPTS_MAX_BYTES = 1024 * 1024
};
#define STOMP_SPAN_MAX_MS UINT64_C(3155760000000) /* a hundred years */

enum stomp_ack { STOMP_ACK_AUTO, STOMP_ACK_CLIENT, STOMP_ACK_INDIVIDUAL };

struct stomp_subscription {
    uint64_t number; /* of the session, from 1; the core's handle, the first half of `ack` */
    consumer_id consumer;
    uint64_t last_tag; /* the newest delivery */
    enum stomp_ack ack;
    bool named;      /* has an id; without one (1.0) the destination serves as such */
    bool deletable;  /* UNSUBSCRIBE with durable:true deletes its queue */
    struct bytes id; /* these two in text[] */
    struct bytes queue;
    struct bytes prefix; /* "MESSAGE\nsubscription:ID\n", escaped */
    uint8_t text[];
};

struct stomp_transaction {
    struct stomp_transaction *next;
    struct tx *tx;
    size_t settles;
    size_t name_n;
    uint8_t name[];
};

/* A SEND whose body comes in pieces. */
struct stomp_gathering {
    struct stomp_frame frame;
    uint64_t blob_id; /* 0: gathered in `body` */
    struct buf head, body;
    struct stomp_header header[];
};

/* A MESSAGE whose body leaves in parts.  It begins when the first part is there;
 * from then on other frames wait behind it. */
struct stomp_sending {
    uint64_t subscription; /* its number */
    uint64_t blob_id, left;
    uint32_t next; /* part */
    bool stalled;  /* for room in the output */
    struct buf head, later;
};

/* Buffers that no session needs between two calls; the last session frees them. */
struct stomp_shared {
    size_t sessions;
    struct stomp_scratch scratch;
    struct stomp_known known;
    uint8_t user[STOMP_HEADERS_MAX]; /* positions of the user's headers */
    struct buf headers, props, arguments, prefix, room;
    struct log_limit faults;
};

struct stomp_session {
    struct session s; /* first: the two are one address */
    struct stomp_shared *shared;
    struct stomp_decoder decoder;
    enum stomp_state state;
    client_id client;
    uint64_t vhost_id;
    char *user;
    uint32_t send_ms, want_ms; /* heart-beats agreed on; 0: none */
    uint64_t last_in_ms, last_out_ms;
    struct stomp_receipts receipts;
    uint64_t confirmed;              /* number of the last confirm that came back */
    struct stomp_subscription **sub; /* by number */
    size_t sub_count, sub_cap;
    uint64_t sub_last;
    struct stomp_transaction *transactions;
    struct stomp_routes routes;
    struct stomp_gathering *gathering;
    struct stomp_sending *sending;
    struct buf error; /* of FAILED: the frame */
};

static inline enum stomp_version stomp_version(const struct stomp_session *s)
{
    return s->decoder.version;
}

/* Where frames go; heart-beats go nowhere while a body is on its way. */
static inline bool stomp_within_body(const struct stomp_session *s)
{
    return s->sending && s->sending->next > 0;
}

static inline struct buf *stomp_out(struct stomp_session *s)
{
    return stomp_within_body(s) ? &s->sending->later : &s->s.out;
}

/* ---- stomp_session.c ---- */

/* Refuses `f` (NULL: no frame in particular): an ERROR after all receipts that
 * are due and the body on its way, then the end.  `message` is short. */
void stomp_fail(struct stomp_session *s, const struct stomp_frame *f, const char *message,
                const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same with one more header. */
void stomp_fail_with(struct stomp_session *s, const struct stomp_frame *f, struct bytes name,
                     struct bytes value, const char *message, const char *detail);

/* Closes the core's client; what is in `out` is still written. */
void stomp_end(struct stomp_session *s);

/* Ends a session that LEAVING or FAILED holds, once nothing is due any more. */
void stomp_end_if_done(struct stomp_session *s);

/* Tells the core how much may be delivered now. */
void stomp_room(struct stomp_session *s);

/* Asks for the receipt that a frame wants, if any. */
void stomp_receipt(struct stomp_session *s, const struct stomp_frame *f, struct bytes id);

/* ---- stomp_permit.c: false: failed ---- */

bool stomp_may_exchange(struct stomp_session *s, const struct stomp_frame *f, enum permission what,
                        struct bytes exchange, struct bytes routing_key);
bool stomp_may_queue(struct stomp_session *s, const struct stomp_frame *f, enum permission what,
                     struct bytes name);
/* A SEND whose head is here; its body need not be. */
bool stomp_may_send(struct stomp_session *s, const struct stomp_frame *f);

/* ---- handlers: each fails the session, or has done all but the receipt ---- */

void stomp_on_connect(struct stomp_session *s, const struct stomp_frame *f);
void stomp_on_send(struct stomp_session *s, const struct stomp_frame *f);
void stomp_on_subscribe(struct stomp_session *s, const struct stomp_frame *f);
void stomp_on_unsubscribe(struct stomp_session *s, const struct stomp_frame *f);
void stomp_on_ack(struct stomp_session *s, const struct stomp_frame *f);
void stomp_on_begin(struct stomp_session *s, const struct stomp_frame *f);
void stomp_on_commit(struct stomp_session *s, const struct stomp_frame *f);
void stomp_on_abort(struct stomp_session *s, const struct stomp_frame *f);

/* ---- stomp_body.c ---- */

void stomp_gathering_begin(struct stomp_session *s, const struct stomp_frame *head);
void stomp_gathering_add(struct stomp_session *s, struct bytes piece);
void stomp_gathering_free(struct stomp_session *s);
/* Sets the body of `m` to that of the SEND at hand.  False: failed. */
bool stomp_body(struct stomp_session *s, const struct stomp_frame *f, struct message *m);

/* The head of its MESSAGE is out.p[from..out.n), and is taken back. */
void stomp_sending_begin(struct stomp_session *s, const struct message *m, struct buf *out,
                         size_t from);
void stomp_sending_drained(struct stomp_session *s);
/* The subscription ends: a MESSAGE of it that has not begun to leave stays. */
void stomp_sending_cancel(struct stomp_session *s, uint64_t subscription);
void stomp_sending_free(struct stomp_session *s);
void stomp_part(struct stomp_session *s, const struct effect *e);

/* ---- the rest ---- */

void stomp_auth_done(struct stomp_session *s, bool accepted);
void stomp_heart_beat_tick(struct stomp_session *s);
void stomp_wake(struct stomp_session *s); /* sets the next wake-up */

struct stomp_subscription *stomp_subscription_find(const struct stomp_session *s, uint64_t number);
struct stomp_subscription *stomp_subscription_by_id(const struct stomp_session *s, struct bytes id);
/* The queue behind a /temp-queue/NAME of this session, made at first use.  False: failed. */
bool stomp_temp_queue(struct stomp_session *s, const struct stomp_frame *f, struct bytes name,
                      struct bytes *queue);
void stomp_subscriptions_free(struct stomp_session *s);

/* ---- stomp_queue.c: of the frame whose headers are in shared->known ---- */

/* Overrides durable, auto_delete and exclusive of `spec` by what the frame says and
 * sets its arguments; a SUBSCRIBE's unknown x- headers are arguments too.  False: failed. */
bool stomp_queue_spec(struct stomp_session *s, const struct stomp_frame *f, unsigned user_count,
                      struct queue_spec *spec);
/* A queue that is there serves as it is, unless the frame says how it must be.
 * For SEND one that is exclusive to another connection is as good.  False: failed. */
bool stomp_queue_declare(struct stomp_session *s, const struct stomp_frame *f,
                         struct queue_spec *spec, struct queue_info *info);
void stomp_fail_err(struct stomp_session *s, const struct stomp_frame *f, struct bytes name,
                    enum err e, const char *why);

/* The transaction that the frame names; NULL: it names none, or failed. */
struct stomp_transaction *stomp_transaction_of(struct stomp_session *s, const struct stomp_frame *f,
                                               struct bytes name);
void stomp_transactions_free(struct stomp_session *s);

/* Fills props (shared->props) and headers of `p` from shared->known.  False: failed. */
bool stomp_properties(struct stomp_session *s, const struct stomp_frame *f, unsigned user_count,
                      struct publish *p);
void stomp_message(struct stomp_session *s, const struct effect *e);

#endif
