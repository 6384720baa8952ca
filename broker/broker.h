// SPDX-License-Identifier: MIT
/* broker.h - everything that runs in the daemon, and the loop that runs it.
 *
 * One thread owns it all but the database handles.  broker.c is the loop: read
 * broker_turn_end() first.  start.c is how it comes up, stop.c how it goes down. */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <event2/event_struct.h>

#include "broker/definitions.h"
#include "broker/lock.h"
#include "broker/net/listener.h"
#include "broker/pace.h"
#include "broker/session/auth.h"
#include "config/settings.h"

enum broker_state { BROKER_RUNNING, BROKER_DRAINING, BROKER_ENDING, BROKER_ENDED };

enum { BROKER_LISTENERS = 5 };

struct broker {
    int argc; /* read again on SIGHUP */
    char **argv;
    struct settings settings;
    struct definitions_seen seen;
    struct lock lock;
    struct event_base *base;
    struct store *store;
    struct core *core;
    struct auth *auth;
    struct session_env env;
    struct net *net;
    struct listener *listener[BROKER_LISTENERS];
    struct event on_store, on_auth, on_signal, timer, watchdog;
    bool has_events;
    int signal_fd;
    uint64_t armed_at_ms;     /* monotonic; UINT64_MAX: the timer is off */
    bool again;               /* the next turn comes at once */
    struct commit *committed; /* by the loop itself, in the last turn */
    unsigned quiet_commits;   /* in a row */
    struct pace pace;
    uint64_t inputs, inputs_before; /* turns with input; when the last commit was sealed */
    enum broker_state state;
    uint64_t stop_at_ms;   /* monotonic: patience ends */
    uint64_t disk_look_ms; /* monotonic: while it is full, look again by then */
};

/* Comes up; 0, or the exit status after a log line said why not.  `started_ns`
 * is when the process began. */
int broker_start(struct broker *b, uint64_t started_ns);

/* Runs until a signal has ended it; the exit status. */
int broker_run(struct broker *b);

/* Copes with what never came up. */
void broker_fini(struct broker *b);

void broker_turn_end(struct broker *b);
void broker_take_done(struct broker *b); /* what the storage threads have finished */
void broker_flush(struct broker *b);     /* waits until everything so far is on disk */

void broker_close_listeners(struct broker *b);

/* Hands settings that may change while running to those who use them. */
void broker_use_settings(struct broker *b);

void broker_stop(struct broker *b);      /* a signal asks for it */
void broker_stop_step(struct broker *b); /* once a turn from then on */

#endif
