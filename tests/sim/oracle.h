// SPDX-License-Identifier: MIT
/* oracle.h - what was sent, what was promised, and what may therefore be seen.
 *
 * A *copy* is one message in one queue; its dead letter counts as the same copy.
 * Every copy that a receipt promised, and that nobody settled and no rule took
 * away, must be found once when everything is drained at the end. */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include "base/buf.h"
#include "base/map.h"
#include "storage/record.h"
#include "tests/sim/places.h"

struct sim_tx;

struct copy {
    struct sent *of;
    int queue;
    bool gone_ok;           /* may be missing: settled, expired, dropped, given without acks */
    bool settled;           /* promised: never to be seen again */
    bool rejected;          /* promised: not to be seen in `queue` again, but dead */
    bool done, done_dead;   /* the same two, known but not promised: until a crash */
    uint32_t reads;         /* by clients, from `queue` */
    uint32_t boot;          /* of the latest time it was handed out */
    uint64_t seq, dead_seq; /* its place; 0: not known yet */
    uint32_t found;         /* in the last draining */
};

struct sent {
    uint64_t id;
    uint64_t sender; /* number of the connection */
    uint32_t boot;   /* in which it was sent */
    uint32_t size;   /* of the body */
    int place;
    uint8_t priority;
    bool persistent, has_ttl, delayed;
    bool confirmed, refused;
    bool fancy; /* has a header that needs escapes */
    bool amqp;  /* sent by AMQP */
    struct sim_tx *tx;
    struct sent *before, *after; /* of the same sender, to the same place, at the same priority */
    unsigned copies;
    struct copy copy[PLACE_TARGETS];
};

struct sim_settle {
    struct copy *copy;
    bool reject, dead; /* dead: it had come from the queue of dead letters */
};

struct sim_tx {
    struct sim_tx *next;
    uint32_t boot;
    bool committed, confirmed, refused; /* committed: COMMIT was sent */
    struct sent **sent;
    size_t sent_count, sent_cap;
    struct sim_settle *settle;
    size_t settle_count, settle_cap;
};

struct seen_id {
    uint64_t seq;
    const struct sent *of;
};

struct oracle {
    struct sent **sent; /* by id - 1 */
    size_t count, cap;
    struct sim_tx *txs;
    struct sent *last[64][PLACES_ALL][8]; /* [sender % 64] */
    uint64_t last_sender[64];
    uint64_t highest[QUEUES][8]; /* seq handed out in this boot */
    struct map ids[QUEUES];      /* seq -> struct seen_id: never given to another message */
    uint64_t confirmed, delivered, redelivered, settled;
};

void oracle_init(struct oracle *o);
void oracle_fini(struct oracle *o);

struct sent *oracle_send(struct oracle *o, int place);
void oracle_body(const struct sent *m, struct buf *out);
/* The frame that publishes it has left: from now on it has its place in order. */
void oracle_published(struct oracle *o, struct sent *m);
void oracle_confirmed(struct oracle *o, struct sent *m);

struct sim_tx *oracle_tx(struct oracle *o, uint32_t boot);
void oracle_tx_confirmed(struct oracle *o, struct sim_tx *t);

/* The message with that body; fails when there never was one. */
struct sent *oracle_find(const struct oracle *o, struct bytes body);
/* The same by what the broker has at hand: of a long body a header tells. */
struct sent *oracle_find_message(const struct oracle *o, const struct message *m);
/* By the header `m`; `props` in wire form. */
struct sent *oracle_find_props(const struct oracle *o, struct bytes props);
/* Its copy in the queue or in that of its dead letters; fails when it has none. */
struct copy *oracle_copy(struct sent *m, int queue);

/* The broker hands a copy out (seen inside).  `for_good`: without acks. */
void oracle_handed(struct oracle *o, struct copy *c, int queue, uint64_t seq, bool redelivered,
                   bool for_good, uint32_t boot);
/* A client has read it. */
void oracle_read(struct copy *c, int queue);

/* An answer was sent; and later, a receipt promised it. */
void oracle_answered(const struct sim_settle *s);
void oracle_settled(struct oracle *o, const struct sim_settle *s);

/* An answer has arrived, without a promise: what it settled stays so until a crash. */
void oracle_done(struct oracle *o, const struct sim_settle *s);

void oracle_crashed(struct oracle *o);   /* transient messages may be gone */
void oracle_restarted(struct oracle *o); /* the same, after a clean stop */

/* Everything was drained: what was found is all there was. */
void oracle_final(const struct oracle *o);

#endif
