// SPDX-License-Identifier: MIT
/* session.h - what the commands that connect have in common: the loop, the clients,
 * signals, time-outs, and one way to end with an exit code.
 *
 * Owner: the command's run function.  The first failed attempt to connect ends the
 * command with EXIT_NO_SERVER; a connection lost later is a line on stderr, and the
 * library goes on. */
#ifndef CLIENT_CMD_SESSION_H
#define CLIENT_CMD_SESSION_H

#include "client/cmd/commands.h"

struct event;
struct event_base;

/* Both may be NULL. */
typedef void session_fn(void *arg);

struct session {
    struct event_base *base;
    struct session_client *clients; /* newest first */
    struct event *interrupt_ev, *terminate_ev, *timeout_ev;
    session_fn *on_signal; /* NULL: a signal ends with EXIT_DONE */
    session_fn *on_idle;   /* session_timeout went by; NULL: EXIT_TIMED_OUT */
    void *arg;
    bool ending, signalled;
    int code;
};

struct session_hooks {
    session_fn *on_connected; /* each time */
    session_fn *on_drained;
    void *arg;
};

void session_init(struct session *s, void *arg);

/* The library's options as the command line has them; the caller may tune them. */
void session_options(const struct settings *settings, struct lodge_options *out);

/* A client on the loop.  NULL: the server's address is wrong, and it was said. */
struct lodge *session_connect(struct session *s, const struct lodge_options *options,
                              struct session_hooks hooks);

/* (Re)starts the time-out; NOT_GIVEN: none. */
void session_timeout(struct session *s, uint64_t ms);

/* Closes the clients gracefully; the loop ends then. */
void session_finish(struct session *s, int code);

/* Says why on stderr, as `lodge: ...`, and finishes.  Only the first one speaks. */
void session_fail(struct session *s, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Turns the loop to the end, frees the clients, returns the exit code. */
int session_run(struct session *s);

/* Frees the loop, after all events on it. */
void session_fini(struct session *s);

/* Text of a line on stderr. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* "NAME" -> "/queue/NAME", on the heap. */
char *destination_of(const char *name);

/* Adds what options say (priority, ttl, ...) to settings->headers. */
void message_headers(struct settings *settings, char numbers[3][24]);

#endif
