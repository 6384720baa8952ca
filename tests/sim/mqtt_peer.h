// SPDX-License-Identifier: MIT
/* mqtt_peer.h - an MQTT client, 3.1.1 or 5.0, that keeps its half of the session as the
 * standard says, and what it knows of every message.
 *
 * What a message owes to a session is known from its first PUBLISH: it matched a
 * subscription that a SUBACK had confirmed, of a session that outlives its connection.
 * The debt is due once the publisher has its PUBACK or PUBREC. */
#ifndef SIM_MQTT_PEER_H
#define SIM_MQTT_PEER_H

#include "proto/mqtt.h"
#include "tests/sim/world.h"

enum { MQTT_PEERS = 6, MQTT_TOPICS = 6, MQTT_FILTERS = 7, PEER_LIST_MAX = 512, PEER_ALIASES = 4 };

extern const char *const mqtt_topics[MQTT_TOPICS];
extern const char *const mqtt_filters[MQTT_FILTERS];

struct peer_message {
    uint8_t from, topic, qos;
    bool retain, confirmed, resent;
    uint32_t bytes;
    uint32_t owed[MQTT_PEERS]; /* to the session of that number; 0: nothing */
    bool seen[MQTT_PEERS];
    bool exact[MQTT_PEERS]; /* came at QoS 2 */
};

struct peer_item {
    uint8_t type; /* enum mqtt_type */
    uint16_t id;
    uint32_t what;
};

struct peer_list {
    struct peer_item at[PEER_LIST_MAX];
    size_t n;
};

enum known { KNOWN_NO, KNOWN_MAYBE, KNOWN_YES };

struct mqtt_model;

struct mqtt_peer {
    struct mqtt_model *model;
    unsigned no;
    struct wire *wire; /* NULL: not connected */
    struct wire *old;  /* left without a word, for another one */
    bool greeted;      /* CONNACK came */
    bool up;           /* and it has not said DISCONNECT */
    uint8_t level;
    bool clean, persistent; /* what its CONNECT asks for */
    bool stays_clean;       /* a clean start was not answered: nothing else until it is */
    enum known exists;      /* a session for a CONNECT that does not start clean */
    uint32_t session;       /* number of its session, from 1 on */
    uint16_t receive_max;   /* deliveries at a time; 0: it named none */
    uint16_t window;        /* publishes at a time */
    uint16_t last_id;
    unsigned slow;
    uint64_t packets; /* read */
    struct buf in;
    uint8_t alias[PEER_ALIASES]; /* topic + 1 */
    struct peer_list out;        /* publishes: PUBLISH or PUBREL is under way */
    struct peer_list got;        /* QoS 2, not released */
    struct peer_list held;       /* answers that it owes */
    struct peer_list due;        /* answers that the broker owes, in their order */
    struct peer_list recs;       /* PUBRECs of this connection whose PUBREL is due */
    struct peer_list open;       /* deliveries of this connection that are not answered */
    enum known sub[MQTT_FILTERS];
    uint8_t asks_qos; /* of all subscriptions of a session */
    uint8_t sub_qos[MQTT_FILTERS];
    uint32_t last[MQTT_PEERS][MQTT_TOPICS][3][3]; /* by publisher, topic, and QoS of both */
};

struct mqtt_model {
    struct world world;
    struct mqtt_peer peer[MQTT_PEERS];
    struct peer_message *message; /* [0] is none */
    size_t count, cap;
    uint32_t inflight; /* that the broker sends at a time */
    uint64_t sent, confirmed, delivered, redelivered;
};

/* ---- mqtt_peer.c ---- */

void mqtt_peer_init(struct mqtt_peer *p, struct mqtt_model *m, unsigned no);
void mqtt_peer_fini(struct mqtt_peer *p);
void mqtt_peer_connect(struct mqtt_peer *p, bool clean);
void mqtt_peer_hang_up(struct mqtt_peer *p);
/* The connection that it left is gone at last. */
void mqtt_peer_forget_old(struct mqtt_peer *p);
/* One thing that a client may do, by chance. */
void mqtt_peer_act(struct mqtt_peer *p);
/* The answer held at `i` is given. */
void mqtt_peer_answer(struct mqtt_peer *p, size_t i);
/* Its session is over, or turns out to be: nothing is known and nothing is owed. */
void mqtt_peer_new_session(struct mqtt_peer *p);
/* Unfinished publishes again, in their order. */
void mqtt_peer_resend(struct mqtt_peer *p);
void mqtt_peer_dropped(struct mqtt_peer *p);

struct peer_item *peer_find(struct peer_list *l, uint16_t id);
void peer_add(struct peer_list *l, uint8_t type, uint16_t id, uint32_t what);
void peer_take(struct peer_list *l, struct peer_item *i);

/* ---- mqtt_peer_input.c ---- */

/* Reads at most `n` bytes; sees the end of the connection. */
void mqtt_peer_read(struct mqtt_peer *p, size_t n);

/* ---- mqtt_run.c ---- */

struct mqtt_totals {
    uint64_t sent, confirmed, delivered, redelivered, crashes, turns, commits;
};

void mqtt_run(uint64_t seed, uint64_t steps, bool verbose, struct mqtt_totals *t);

#endif
