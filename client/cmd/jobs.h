// SPDX-License-Identifier: MIT
/* jobs.h - runs a shell command for each message, some of them at a time.
 *
 * The body is the command's stdin; each header is in its environment as LODGE_NAME, in
 * capitals, with _ for what is not a letter or digit.  Headers never set what lodge
 * itself reads (LODGE_SERVER, LODGE_USER, LODGE_PASSWORD, LODGE_VHOST).  A command that
 * exits 0 has done its message.  Otherwise the message is handed back after a while:
 * a second, doubled with each failure of it or, where the broker does not count, with
 * each failure in a row; at most a minute.
 *
 * A command runs in a process group of its own: a Ctrl-C does not reach it, so that it
 * can finish.  Owner: the command that embeds it. */
#ifndef CLIENT_CMD_JOBS_H
#define CLIENT_CMD_JOBS_H

#include "base/buf.h"
#include "base/list.h"
#include "client/lodge.h"

struct event;
struct event_base;

/* `output` is what it wrote to stdout, where that is captured. */
typedef void jobs_done_fn(void *arg, const struct lodge_message *m, struct bytes output);
typedef void jobs_failed_fn(void *arg, const struct lodge_message *m);

struct jobs {
    struct event_base *base;
    const char *command;
    size_t max;     /* at a time */
    uint64_t limit; /* so many shall succeed, no more are begun */
    bool capture;
    jobs_done_fn *on_done;
    jobs_failed_fn *on_failed;  /* after the wait: hand it back */
    void (*on_idle)(void *arg); /* after jobs_stop, nothing runs any more; may be NULL */
    void *arg;

    struct list waiting, running, held; /* struct job */
    size_t running_count;
    uint64_t done;
    struct event *child_ev;
    unsigned failures; /* in a row */
    bool stopping;
};

/* What is above the empty line is set by the caller before. */
void jobs_init(struct jobs *j);
void jobs_fini(struct jobs *j);

/* Copies the message and runs the command when it is its turn. */
void jobs_add(struct jobs *j, const struct lodge_message *m);

/* The connection is a new one: what does not run yet will come again. */
void jobs_forget(struct jobs *j);

/* Starts nothing more.  on_idle is called when all has ended, perhaps at once. */
void jobs_stop(struct jobs *j);

/* How long a message is held that failed `failures` times, 1 and more. */
uint64_t jobs_hold_ms(unsigned failures);

/* The name of a header in the environment, or an empty string: it is reserved or too
 * long. */
void jobs_variable(const char *header, char out[128]);

#endif
