// SPDX-License-Identifier: MIT
/* stomp_wire.h - STOMP, AMQP and MQTT sessions over a real core and an engine in memory, without
 * sockets and threads.
 *
 * Commits land when the test says so.  Frames are written as text; the NUL at
 * their end is added, and shown as '^' in what comes back. */
#ifndef TESTS_STOMP_WIRE_H
#define TESTS_STOMP_WIRE_H

#include "broker/session/session.h"
#include "storage/engine_mem.h"

enum { WIRE_PEERS = 4 };

struct stomp_wire {
    struct core *core;
    struct engine *engine;
    struct session_env env;
    struct session *peer[WIRE_PEERS]; /* NULL: closed */
    struct buf left[WIRE_PEERS];      /* input that its session did not use yet */
    char *heard;                      /* of the last wire_hear */
    bool disk_full;                   /* told with each commit */
};

/* NULL: with limits that tests do not meet by chance. */
void wire_open(struct stomp_wire *r, const struct core_options *o);
struct core_options wire_options(void);
void wire_close(struct stomp_wire *r);

/* Opens connection `i` and, with a version, logs it in; what CONNECTED said is dropped. */
void wire_peer(struct stomp_wire *r, unsigned i, const char *version);
/* The same in AMQP: logged in, with channels 1 to `channels` open. */
void wire_amqp_peer(struct stomp_wire *r, unsigned i, uint16_t channels);
/* The same in MQTT; what CONNACK said is still to be heard. */
void wire_mqtt_peer(struct stomp_wire *r, unsigned i, uint8_t level, const char *name,
                    bool clean_start);
void wire_hang_up(struct stomp_wire *r, unsigned i);

/* Hands bytes to a session, as the net layer would. */
void wire_bytes(struct stomp_wire *r, unsigned i, struct bytes b);
void wire_say(struct stomp_wire *r, unsigned i, const char *frame);

/* A turn of the loop; nothing reaches the disk in it. */
void wire_turn(struct stomp_wire *r);
/* Turns and commits until nothing is left to do. */
void wire_settle(struct stomp_wire *r);
/* Moves both clocks, runs what is due, settles. */
void wire_wait(struct stomp_wire *r, uint64_t ms);

/* What came out since the last time; valid until the next call. */
const char *wire_hear(struct stomp_wire *r, unsigned i);
/* wire_say, wire_settle, wire_hear. */
const char *wire_ask(struct stomp_wire *r, unsigned i, const char *frame);

#endif
