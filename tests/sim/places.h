// SPDX-License-Identifier: MIT
/* places.h - the queues of the simulated broker, and the destinations that lead to them. */
#ifndef SIM_PLACES_H
#define SIM_PLACES_H

#include <stdbool.h>

#include "base/bytes.h"

enum { NOWHERE = -1, PLACE_TARGETS = 4 };

struct sim_queue {
    const char *name;
    const char *args; /* as rig_args has them */
    int dead;         /* where its dead letters go */
    int root;         /* of a queue of dead letters: whose */
    bool lossy;       /* drops by its own rules */
    bool priorities;
    const char *exchange, *key; /* bound there; NULL: not */
};

enum sim_queue_name {
    Q_PLAIN,
    Q_SECOND,
    Q_TTL,
    Q_SHORT,
    Q_FULL,
    Q_FULL_DLX,
    Q_REJECT,
    Q_LIMIT,
    Q_PRIORITY,
    Q_SINGLE,
    Q_TOPIC_AB,
    Q_TOPIC_A,
    Q_TOPIC_ALL,
    Q_FANOUT_1,
    Q_FANOUT_2,
    Q_DEAD_TTL,
    Q_DEAD_FULL,
    Q_DEAD_REJECT,
    Q_DEAD_LIMIT,
    QUEUES
};

extern const struct sim_queue sim_queues[QUEUES];

struct sim_place {
    const char *destination;
    int target[PLACE_TARGETS]; /* queues, ended by NOWHERE */
};

/* Beyond PLACES: one that leads nowhere, for those who want to be told. */
enum { PLACES = 14, PLACE_NOBODY = PLACES, PLACES_ALL };
extern const struct sim_place sim_places[PLACES_ALL];

/* The place in AMQP's words. */
struct sim_address {
    struct bytes exchange, key;
};
struct sim_address place_address(int place);

/* What clients subscribe to besides, each by a queue that goes with it. */
enum { TOPICS = 4 };
extern const char *const sim_topics[TOPICS];
bool place_matches(int place, const char *topic);

#endif
