// SPDX-License-Identifier: MIT
/* net.h - all connections of the process, and what is done to them in a turn.
 *
 * Plain libevent events, one thread, nothing is freed inside a callback.  An idle
 * connection holds no buffer: input is read into one block that all share, and
 * what is written goes from the session's own buffer, taken from a small pool.
 *
 * Owner: the broker.  Thread: the loop's.  Times are monotonic milliseconds, from
 * session_env.now_mono_ms. */
#ifndef NET_NET_H
#define NET_NET_H

#include "broker/session/session.h"

struct event_base;
struct net;

struct net_options {
    struct event_base *base;
    struct session_env *env;
    uint32_t connections; /* most at a time; one more is refused */
    uint32_t descriptors; /* most connections that descriptors last for; then accepting waits */
    size_t input_bytes;   /* most of one frame that is not whole yet */
};

struct net *net_new(const struct net_options *o);
void net_free(struct net **n); /* closes what is open */
void net_set_connections(struct net *n, uint32_t most);

/* Sets the times of session_env; called when events begin to run and again at the
 * turn's end, never in between steps. */
void net_clock(struct net *n);

/* The steps of a turn, in this order. */
void net_feed(struct net *n);  /* input held back until now, to sessions that may go on */
void net_write(struct net *n); /* the output of every touched session */
void net_reap(struct net *n);  /* closes and frees what has ended */

/* True: something is left to do that no socket will announce. */
bool net_took_input(const struct net *n); /* since the last net_write */
bool net_has_work(const struct net *n);
uint64_t net_next_at_ms(const struct net *n); /* the next deadline, UINT64_MAX: none */

/* Under memory pressure sessions that publish are not read from. */
void net_pressure(struct net *n, bool on);

/* No more input is read from now on. */
void net_stop_reading(struct net *n);
bool net_written(const struct net *n); /* nothing waits for a peer to read it */
/* Every connection ends: its session closes, then it lingers for `linger_ms`. */
void net_end_all(struct net *n, uint64_t linger_ms);

uint32_t net_open(const struct net *n); /* connections, lingering ones too */

struct net_stats {
    uint64_t accepted, refused;
    uint64_t bytes_in, bytes_out;
    uint32_t open;
};
void net_stats(const struct net *n, struct net_stats *out);

#endif
