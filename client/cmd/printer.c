// SPDX-License-Identifier: MIT
#include "client/cmd/printer.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

/* POLLOUT promises that so much goes into a pipe without waiting. */
enum { PIECE_BYTES = PIPE_BUF };

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct printer *p = arg;

    (void)fd;
    (void)what;
    if (printer_write(p))
        p->on_written(p->arg);
}

void printer_init(struct printer *p, struct event_base *base)
{
    struct stat st;

    p->ready_ev = event_new(base, STDOUT_FILENO, EV_WRITE, on_ready, p);
    CHECK(p->ready_ev);
    p->plain = fstat(STDOUT_FILENO, &st) != 0 || S_ISREG(st.st_mode);
}

void printer_fini(struct printer *p)
{
    event_free(p->ready_ev);
    buf_fini(&p->text);
}

static bool is_ready(const struct printer *p)
{
    struct pollfd fd = { .fd = STDOUT_FILENO, .events = POLLOUT };

    return p->plain || poll(&fd, 1, 0) != 0;
}

static void failed(struct printer *p, int error)
{
    p->text.n = p->at = 0;
    p->on_failed(p->arg, error);
}

bool printer_write(struct printer *p)
{
    while (printer_has_more(p)) {
        size_t left = p->text.n - p->at;

        if (!is_ready(p)) {
            if (event_add(p->ready_ev, NULL) != 0)
                failed(p, errno);
            return false;
        }
        ssize_t n = write(STDOUT_FILENO, p->text.p + p->at,
                          !p->plain && left > PIECE_BYTES ? PIECE_BYTES : left);

        if (n >= 0) {
            p->at += (size_t)n;
        } else if (errno != EAGAIN && errno != EINTR) {
            failed(p, errno);
            return false;
        }
    }
    p->text.n = p->at = 0;
    return true;
}
