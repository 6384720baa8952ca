// SPDX-License-Identifier: MIT
/* model_client.h - a STOMP client that knows what it was promised.
 *
 * It writes real frames and reads real frames.  What it sent without an answer
 * waits as a *promise*; a receipt fulfils its own and all before it. */
#ifndef SIM_MODEL_CLIENT_H
#define SIM_MODEL_CLIENT_H

#include "proto/stomp.h"
#include "tests/sim/world.h"

/* A MESSAGE that it has not answered. */
struct held {
    uint64_t n; /* rises within the subscription */
    struct sent *sent;
    struct copy *copy; /* NULL: of a topic, which promises nothing */
    bool staged;       /* its answer is in a transaction */
    char id[48];       /* `ack` of 1.2, `message-id` before */
};

enum ack_mode { ACK_AUTO, ACK_CLIENT, ACK_INDIVIDUAL };

struct subscription {
    uint64_t number;
    int queue; /* NOWHERE: a topic, by a queue of its own */
    const char *topic;
    uint64_t seq; /* the highest read of a topic */
    enum ack_mode mode;
    uint32_t prefetch;  /* 0: none */
    bool active, ended; /* ended: the receipt of UNSUBSCRIBE came */
    struct held *held;
    size_t held_count, held_cap;
    uint64_t next_n;
};

struct promise {
    uint64_t receipt; /* 0: none was asked for */
    struct sent *sent;
    struct sim_tx *tx;
    struct subscription *ended; /* of UNSUBSCRIBE: its number */
    struct sim_settle *settle;
    size_t settle_count, settle_cap;
};

struct staged {
    uint64_t subscription, n;
    bool upto, reject, requeue;
};

enum { TRANSACTIONS = 2 };

struct transaction {
    struct sim_tx *record; /* NULL: not begun */
    uint64_t number;
    struct staged *staged;
    size_t staged_count, staged_cap;
};

struct client {
    struct world *world;
    unsigned no;
    struct wire *wire;               /* NULL: not connected */
    bool up, leaving, beats, failed; /* failed: an ERROR came */
    unsigned slow;                   /* reads once in so many chances */
    enum stomp_version version;
    uint64_t connection;
    uint64_t connected_ms;
    struct stomp_decoder decoder;
    struct buf in;
    struct subscription **sub; /* by number - 1 */
    size_t sub_count, sub_cap;
    struct promise *promise;
    size_t promise_head, promise_count, promise_cap;
    struct transaction tx[TRANSACTIONS];
    uint64_t next_receipt, next_tx;
    bool draining; /* answers everything, marks what it finds */
};

void client_init(struct client *c, struct world *w, unsigned no);
void client_fini(struct client *c);

void client_connect(struct client *c, enum stomp_version version, bool beats);
void client_hang_up(struct client *c);

/* One thing that a client may do, by chance. */
void client_act(struct client *c);
/* Reads at most `n` bytes; sees the end of the connection. */
void client_read(struct client *c, size_t n);
/* Keeps its side of the heart-beats. */
void client_beat(struct client *c);

struct subscription *client_subscribe(struct client *c, int queue, enum ack_mode mode,
                                      uint32_t prefetch);
/* Answers held message `i` of `s` (with ACK_CLIENT all before it too). */
void client_answer(struct client *c, struct subscription *s, size_t i, bool nack, bool requeue,
                   struct transaction *t);

/* The broker hands something to this client. */
world_handed_fn client_handed;

/* ---- shared by the files of the client ---- */

void client_frame(struct client *c, enum stomp_command command);
void client_header(struct client *c, const char *name, struct bytes value);
void client_header_u64(struct client *c, const char *name, uint64_t value);
void client_header_fmt(struct client *c, const char *name, const char *fmt, uint64_t a);
/* Asks for a receipt, mostly; returns its number or 0. */
uint64_t client_ask_receipt(struct client *c);
void client_end_frame(struct client *c, struct bytes body);

void client_subscribe_some(struct client *c);
void client_unsubscribe_some(struct client *c);
void client_answer_some(struct client *c, struct transaction *t);

/* After the frame that asked for it: the promise is one of the newest. */
struct promise *client_promise(struct client *c, uint64_t receipt);
void client_dropped(struct client *c); /* the connection is gone */
/* What an answer to held `i` means: the copies go to `list`. */
void client_take_held(struct subscription *s, uint64_t n, bool upto, bool reject, bool requeue,
                      struct sim_settle **list, size_t *count, size_t *cap);

#endif
