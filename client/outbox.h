// SPDX-License-Identifier: MIT
/* outbox.h - frames on their way to the broker, in order, kept until done.
 *
 * A frame is encoded once, into a chunk of memory shared with its neighbours, and
 * written from there as often as needed.  Entries have consecutive numbers, which
 * are also their receipts: finding the entry of a receipt is an index.
 *
 *     head            next                 tail
 *      | written, open | not (all) written |
 *
 * Pure: knows neither sockets nor time.  Owner: the client that embeds it. */
#ifndef CLIENT_OUTBOX_H
#define CLIENT_OUTBOX_H

#include <sys/uio.h>

#include "base/buf.h"
#include "client/lodge.h"

enum outbox_kind {
    OUTBOX_KEEP,  /* until its receipt; written again after a break */
    OUTBOX_ONCE,  /* until its receipt; a break is the end of it */
    OUTBOX_LOOSE, /* has no receipt: gone once written, or with the connection */
    OUTBOX_DONE
};

struct outbox_entry {
    lodge_confirm_fn *confirm;
    void *arg;
    struct outbox_chunk *chunk;
    size_t offset, size;
    enum outbox_kind kind;
};

/* Whom to tell. */
struct outbox_owner {
    lodge_confirm_fn *confirm;
    void *arg;
};

struct outbox {
    struct outbox_entry *ring; /* of a power of two */
    size_t ring_size;
    uint64_t head, next, tail;
    size_t next_written; /* bytes of entry `next` already on the wire */
    size_t unconfirmed, unconfirmed_bytes;
    size_t in_flight;     /* with a receipt, wholly written, open */
    size_t loose_written; /* without one, since the last receipt */
    struct outbox_chunk *open, *spare;
};

void outbox_init(struct outbox *o);
void outbox_fini(struct outbox *o); /* whoever is still open is told nothing */

/* Where to encode the next frame, with room for `hint` bytes; outbox_end makes an
 * entry of what was appended, numbered as o->tail was. */
struct buf *outbox_begin(struct outbox *o, size_t hint);
void outbox_end(struct outbox *o, enum outbox_kind kind, struct outbox_owner owner);

/* Views of what is to be written next, of entries below `limit`; how many. */
size_t outbox_gather(const struct outbox *o, uint64_t limit, struct iovec *iov, size_t max);

/* So many bytes of that are on the wire. */
void outbox_wrote(struct outbox *o, size_t n);

/* A receipt, or a refusal: true once for an open entry that was written. */
bool outbox_take(struct outbox *o, uint64_t number, struct outbox_owner *owner);

/* The connection is gone: LOOSE entries too, others are to be written again. */
void outbox_rewind(struct outbox *o);

/* After outbox_rewind: the ONCE entries, oldest first; false when there is none. */
bool outbox_take_once(struct outbox *o, struct outbox_owner *owner);

/* Whatever is open, oldest first; false when all is done. */
bool outbox_take_any(struct outbox *o, struct outbox_owner *owner);

#endif
