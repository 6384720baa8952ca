// SPDX-License-Identifier: MIT
/* stomp_receipts.h - the receipts that wait for the disk, oldest first.
 *
 * Kept as one run of bytes (two of length, then the id), so a receipt costs no
 * allocation.  Their order is that of the core's confirms.  Owner: the session. */
#ifndef SESSION_STOMP_RECEIPTS_H
#define SESSION_STOMP_RECEIPTS_H

#include "base/buf.h"
#include "base/check.h"

enum { STOMP_RECEIPT_ID_MAX_BYTES = 1024 };

struct stomp_receipts {
    struct buf ids;
    size_t head; /* ids.p[0..head) has left */
};

void stomp_receipts_fini(struct stomp_receipts *r);

/* `id` is at most STOMP_RECEIPT_ID_MAX_BYTES long. */
void stomp_receipts_push(struct stomp_receipts *r, struct bytes id);

static inline size_t stomp_receipts_bytes(const struct stomp_receipts *r)
{
    return r->ids.n - r->head;
}

/* The oldest: a view until the next push.  There must be one. */
static inline struct bytes stomp_receipts_pop(struct stomp_receipts *r)
{
    const uint8_t *p = r->ids.p + r->head;

    CHECK(stomp_receipts_bytes(r) >= 2);
    struct bytes id = { p + 2, (size_t)(p[0] << 8 | p[1]) };

    r->head += 2 + id.n;
    CHECK(r->head <= r->ids.n);
    return id;
}

#endif
