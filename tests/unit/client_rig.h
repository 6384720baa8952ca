// SPDX-License-Identifier: MIT
/* client_rig.h - a client of the library and the broker it talks to, in one loop.
 *
 * The broker is played by the test, which says and hears frames; ^ stands for the NUL
 * that ends one.  Callbacks leave short notes in rig.log.  One at a time. */
#ifndef TESTS_UNIT_CLIENT_RIG_H
#define TESTS_UNIT_CLIENT_RIG_H

#include <check.h>
#include <event2/event.h>

#include "base/buf.h"
#include "base/clock.h"
#include "client/lodge.h"

enum { PATIENCE_MS = 5000 };

struct client_rig {
    struct event_base *base;
    int peer;             /* the connection, or -1 */
    unsigned connections; /* there were, with this one */
    struct buf heard;     /* of this connection, since it logged in */
    struct lodge *client;
    struct lodge_options options; /* to be changed before rig_start */
    struct lodge_message *kept;   /* a copy of the last message */
    char log[1000];
};
extern struct client_rig rig;

/* Turns the loop until the condition holds. */
#define UNTIL(cond)                                                                         \
    do {                                                                                    \
        uint64_t end_ns = clock_monotonic_ns() + PATIENCE_MS * 1000000ULL;                  \
        while (!(cond)) {                                                                   \
            ck_assert_msg(clock_monotonic_ns() < end_ns, "%s\nheard: %.*s\nlog: %s", #cond, \
                          BYTES_FMT(rig.heard), rig.log);                                   \
            (void)event_base_loop(rig.base, EVLOOP_ONCE);                                   \
        }                                                                                   \
    } while (0)

void rig_setup(void);
void rig_teardown(void);
void rig_start(void);
void rig_start_and_login(void);

void rig_say(const char *text);
bool rig_has_heard(const char *text);
void rig_hang_up(void);
void rig_accept_login(void);
void rig_break_and_login(void);
void rig_turn_ms(uint64_t ms);

void rig_note(const char *what, const char *text);
bool rig_noted(const char *text);

/* `arg` is the name to be noted. */
void rig_on_confirm(void *arg, enum lodge_status status, const char *reason);
void rig_on_message(void *arg, const struct lodge_message *m);
void rig_on_closed(void *arg, enum lodge_status status);

void rig_send_text(const char *text);
uint64_t rig_subscribe(enum lodge_ack_mode ack);
void rig_request(const char *name, uint32_t timeout_ms);

#endif
