// SPDX-License-Identifier: MIT
#include "broker/session/stomp_receipts.h"

void stomp_receipts_fini(struct stomp_receipts *r)
{
    buf_fini(&r->ids);
    r->head = 0;
}

/* Room is made by moving the rest to the front when at least half has left, so
 * each byte moves about once. */
static void make_room(struct stomp_receipts *r, size_t n)
{
    if (r->head == r->ids.n) {
        r->head = r->ids.n = 0;
    } else if (r->ids.cap - r->ids.n < n && r->head >= r->ids.n / 2) {
        buf_drop(&r->ids, r->head);
        r->head = 0;
    }
    (void)buf_reserve(&r->ids, n);
}

void stomp_receipts_push(struct stomp_receipts *r, struct bytes id)
{
    CHECK(id.n <= STOMP_RECEIPT_ID_MAX_BYTES);
    if (r->ids.cap - r->ids.n < id.n + 2 || r->head == r->ids.n)
        make_room(r, id.n + 2);
    buf_u16(&r->ids, (uint16_t)id.n);
    buf_bytes(&r->ids, id);
}
