// SPDX-License-Identifier: MIT
/* world.h - the broker of a run: sessions, core, engine in memory, and a network
 * that cuts and delays.
 *
 * The turn is that of the daemon (broker_turn_end).  A process that ends leaves
 * nothing but the disk. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "broker/session/session.h"
#include "storage/engine_mem.h"
#include "tests/sim/oracle.h"
#include "tests/sim/rng.h"

struct world;
struct wire;

/* Told of each delivery before it is encoded. */
typedef void world_handed_fn(struct world *w, struct wire *to, struct session_port *port,
                             const struct effect *e, const struct message *m);

/* One connection.  Owner: the world; a client holds it until it is gone. */
struct wire {
    struct session *session; /* NULL: the broker has closed it */
    struct buf up;           /* written by the client, not yet read by the broker */
    struct buf left;         /* read by it and not used yet */
    struct buf down;         /* written by the broker, not yet read by the client */
    bool cut;                /* the client sees the end once `down` is read */
    bool died;               /* for the process ended */
    void *client;            /* struct client, amqp_client or mqtt_peer */
    world_handed_fn *handed;
};

enum { WIRES_MAX = 16 };

struct world {
    struct rng rng;
    struct oracle oracle;
    struct session_env env;
    struct core_options opt;
    struct mem_disk *disk;
    struct engine *engine;
    struct commit *under_way;
    uint64_t under_way_hash;
    struct load *load; /* asked for, oldest first */
    size_t load_count, load_cap;
    struct wire *wire[WIRES_MAX];
    uint32_t boot;
    uint64_t now_ms;
    uint64_t disk_ns; /* the clock of the commits */
    uint64_t connections;
    uint64_t turns, commits, loads, crashes;
    uint64_t peak_memory;
    bool disk_low;
    uint64_t queue_id[QUEUES]; /* the core's */
    int long_queue;            /* where the latest long message went */
};

void world_init(struct world *w, uint64_t seed);
void world_fini(struct world *w);

struct wire *world_connect(struct world *w, void *client, session_open_fn *open,
                           world_handed_fn *handed);
/* The client lets go of it; the broker notices. */
void world_hang_up(struct world *w, struct wire **wire);

/* Feeds at most `n` bytes of what the client wrote to the session. */
void world_feed(struct world *w, struct wire *wire, size_t n);
void world_turn(struct world *w);
void world_commit(struct world *w); /* the commit under way lands, and is told */
void world_load(struct world *w);   /* the oldest load is answered */
void world_pass(struct world *w, uint64_t ms);
void world_disk(struct world *w, bool low); /* fills, or empties */

/* The process dies.  Of what it wrote to the network, a random part arrives. */
void world_crash(struct world *w);
/* It ends as SIGTERM ends it, and starts again. */
void world_restart(struct world *w);

/* No more time, chance or faults: turns until all is said and written. */
void world_settle(struct world *w);
bool world_is_idle(const struct world *w);

/* Which of sim_queues that is; NOWHERE: none of them. */
int world_queue(const struct world *w, uint64_t queue_id);
struct core_stats world_stats(const struct world *w);
void world_check(const struct world *w);

#endif
