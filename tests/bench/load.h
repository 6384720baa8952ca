// SPDX-License-Identifier: MIT
/* load.h - a load generator for message brokers that promise something.
 *
 * One process, one thread, epoll; a `speaker` for each protocol.  A publish
 * counts when the server has confirmed it, a delivery is compared with what was
 * published.  Everything hangs on one `struct load`, which main owns; times are
 * CLOCK_MONOTONIC in nanoseconds.  Any fault ends the program: exit status 1 for
 * the server's, 2 for the caller's. */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <stdio.h>

#include "base/buf.h"
#include "tests/bench/load_tally.h"

enum load_mode { MODE_PUB, MODE_SUB, MODE_PUBSUB, MODE_LATENCY, MODE_IDLE, MODE_SYNC };
enum conn_role { ROLE_SETUP, ROLE_PUB, ROLE_SUB };
enum { QUEUE_ARGS_MAX = 8 };

/* What the body begins with; the rest is filling. */
struct stamp {
    uint32_t tag;              /* of the queue name: tells our messages from others */
    uint32_t publisher, queue; /* indexes */
    uint32_t unused;
    uint64_t seq;    /* of that publisher, from 0 */
    uint64_t due_ns; /* when it was to be sent */
};

struct load_options {
    const struct speaker *speaker;
    enum load_mode mode;
    uint16_t port;
    const char *queue; /* name, and beginning of the names when there are several */
    const char *dir;   /* whose file system and disk are looked at */
    unsigned pubs, subs, queues;
    unsigned window;   /* unconfirmed messages of a publisher */
    unsigned prefetch; /* unacknowledged messages of a consumer; a batch's size for Redis */
    size_t size;
    uint64_t count; /* messages in all; 0: no end */
    double seconds, rate, warm_s, quiet_s, retry_s;
    int server_pid;
    const char *queue_arg[QUEUE_ARGS_MAX]; /* "key=value" */
    unsigned queue_args;
    bool fanout; /* each consumer gets every message */
    bool ack_each, json;
};

struct load;

struct conn {
    struct load *load;
    int fd;
    enum conn_role role;
    unsigned index;
    bool logged_in, begun, finished, wants_out;
    struct buf in; /* the beginning of something whose end has not come */
    struct buf out;
    size_t out_at; /* of `out` is sent */

    /* publisher: when each unconfirmed message was due, by sequence; 0: free */
    uint64_t next_seq, low_seq;
    uint64_t *due;
    size_t due_mask;
    unsigned unconfirmed;

    /* the speaker's own */
    unsigned step, queue, asked;     /* asked: of the server, not answered */
    uint64_t left, tag, unacked_tag; /* unacked_tag: 0: none */
    uint32_t frame_max;
    bool finishing, cancelled;
    struct buf acks;
    struct buf body; /* what has come of one in several pieces */
};

/* A protocol.  They write to c->out; the loop sends it after the call. */
struct speaker {
    const char *name;
    uint16_t port;
    void (*prefix)(const struct load *l, unsigned queue, struct buf *out); /* of a publish */
    void (*hello)(struct conn *c);                                         /* then load_logged_in */
    void (*begin)(struct conn *c); /* declare or subscribe, then load_begun; not for publishers */
    size_t (*input)(struct conn *c, const uint8_t *p,
                    size_t n); /* the bytes that it is done with */
    void (*publish)(struct conn *c, unsigned queue, uint64_t seq, struct bytes body);
    void (*settle)(struct conn *c); /* consumers: all that has come is read */
    void (*finish)(struct conn *c); /* consumers: load_finished once every ack is answered */
};

extern const struct speaker speaker_stomp, speaker_amqp, speaker_redis, speaker_beanstalk,
    speaker_mqtt;

struct load {
    struct load_options o;
    int epoll;
    uint8_t *scratch; /* one for reading, all connections use it */
    size_t scratch_size;
    uint8_t *body;
    struct buf *prefix; /* by queue */
    uint32_t tag;
    struct conn *pub, *sub, *setup;

    unsigned logged_in, begun, finished; /* of the connections being opened */
    bool publishing, paced, blocked;
    uint64_t now, started, run_from, publish_until, next_due, interval, warm_until;
    uint64_t issued, confirmed, received, strange;
    uint64_t first_message, last_message, last_confirm, last_settled;
    struct histogram confirm, end_to_end;
    struct seen seen;
};

/* load_run.c: what a speaker reports. */
void load_logged_in(struct conn *c);
void load_begun(struct conn *c);
void load_confirmed(struct conn *c, uint64_t seq);
void load_message(struct conn *c, struct bytes body);
void load_finished(struct conn *c);
bool load_has_all(const struct load *l); /* all that is to be received */
_Noreturn void load_fault(const struct conn *c, const char *what, struct bytes detail);

/* load_run.c: the whole of it.  Prints the report. */
void load_run(struct load *l);
void load_publish_more(struct conn *c);

/* load_conn.c */
struct conn *conn_array(struct load *l, enum conn_role role, unsigned count);
void conn_open_all(struct load *l, struct conn *c, unsigned count);
void conn_begin_all(struct conn *c, unsigned count);
void conn_close_all(struct conn *c, unsigned count);
void conn_flush(struct conn *c);
void conn_turn(struct load *l, uint64_t until_ns);

/* load_sync.c: how long the disk takes, with no broker in between. */
void load_sync(const struct load_options *o);

/* load_report.c: one line each, or one JSON object. */
void report_begin(bool json);
void report_number(const char *name, double v, int digits);
void report_text(const char *name, const char *v);
void report_latency(const char *name, const struct histogram *h);
void report_end(void);

_Noreturn void load_die(const char *what);
const char *load_queue_name(const struct load *l, unsigned queue, char out[128]);

/* The queues of a connection: for (q = load_queue_first(c); q < queues; q += load_queue_step(c)) */
unsigned load_queue_first(const struct conn *c);
unsigned load_queue_step(const struct conn *c);

#endif
