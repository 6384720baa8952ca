// SPDX-License-Identifier: MIT
/* printer.h - stdout that never makes the loop wait.
 *
 * A reader may stop reading for as long as it likes; heart-beats and signals go on.
 * stdout keeps its mode, for others may share it: what is not a plain file is written
 * in pieces that a pipe takes whole when it is writable at all.  Owner: the command. */
#ifndef CLIENT_CMD_PRINTER_H
#define CLIENT_CMD_PRINTER_H

#include "base/buf.h"

struct event;
struct event_base;

struct printer {
    struct buf text; /* append here, then printer_write */
    size_t at;       /* of it: written */
    bool plain;      /* a file, or what else is always ready */
    struct event *ready_ev;
    void (*on_written)(void *arg); /* everything is; not from inside printer_write */
    void (*on_failed)(void *arg, int error);
    void *arg;
};

/* The callbacks are set before. */
void printer_init(struct printer *p, struct event_base *base);
void printer_fini(struct printer *p);

/* Writes what can be written now.  True: that was everything. */
bool printer_write(struct printer *p);

static inline bool printer_has_more(const struct printer *p)
{
    return p->at < p->text.n;
}

#endif
