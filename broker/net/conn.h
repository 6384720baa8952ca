// SPDX-License-Identifier: MIT
/* conn.h - one socket and the session that speaks on it.
 *
 *     OPEN  --session.ending, all written-->  LINGER  --EOF or time-out--> (freed)
 *       \-------- EOF, error, our fault -------------------------------->  (freed)
 *
 * To linger is to have said that we are done (shutdown) and to read on until the
 * peer has, so that a reset does not destroy what it has not read yet.
 *
 * Owner: struct net.  Thread: the loop's. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <event2/event_struct.h>

#include "base/list.h"
#include "broker/net/net.h"

enum {
    NET_READ_BYTES = 256 * 1024,  /* the block that all connections share */
    NET_READS_MAX = 4,            /* of one connection in one turn */
    NET_TURN_BYTES = 1024 * 1024, /* read in one turn before the turn is ended */
    NET_LEFT_SMALL = 4096,        /* leftovers up to this are copied before the next read */
    NET_LONG_ROOM = 64 * 1024,    /* room to read into behind a longer one */
    NET_LINGER_MS = 2000,
    NET_FLUSH_MS = 10000, /* for the peer of an ending session to take the output */
    NET_SPARE_MAX = 64,
    NET_SPARE_BYTES = 64 * 1024 /* larger buffers are not kept */
};

struct conn_ws;

struct conn {
    struct event read;
    struct event *write; /* only while the socket is full */
    struct net *net;
    struct session *session; /* NULL: lingering */
    struct conn_ws *ws;      /* frames as WebSocket; NULL: it does not */
    struct buf left;         /* input that is not a whole frame, or was held back */
    size_t sent;             /* bytes of session->out that are written, not yet dropped */
    struct list in_all;      /* net.all */
    struct list link;        /* net.stalled or net.doomed */
    struct heap_node deadline;
    bool reading; /* `read` is armed */
    bool held;    /* `left` may contain whole frames */
    bool doomed;
};

struct net {
    struct net_options o;
    struct list all, stalled, doomed;
    struct heap deadlines;
    struct net_stats stats;
    size_t turn_bytes;
    uint32_t lingering;
    bool pressure, stopping;
    unsigned spare_count;
    struct buf spare[NET_SPARE_MAX];
    uint8_t block[NET_READ_BYTES];
};

/* Takes the socket, which is non-blocking. */
void conn_open(struct net *n, int fd, bool loopback, session_open_fn *open);

/* No room: says why in the protocol's words and lingers briefly. */
void conn_refuse(struct net *n, int fd, struct bytes words);

void conn_feed(struct conn *c);
void conn_write(struct conn *c);
void conn_settle(struct conn *c); /* arms or disarms reading, as the session now wants it */
void conn_doom(struct conn *c);   /* to be freed at the end of the turn */
void conn_end(struct conn *c, uint64_t linger_ms);
void conn_free(struct conn *c);

#endif
