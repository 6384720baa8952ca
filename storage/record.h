// SPDX-License-Identifier: MIT
/* record.h - one message inside a batch's `bodies`.
 *
 *     flags u8 | route | properties | body
 *     route:      exchange (u8 length), routing key (u8 length), or with ROUTE_BACK
 *                 a varint: how far back the record begins that spells it out
 *     properties: varint length, bytes of proto/props.h; nothing with PERSISTENT_ONLY
 *     body:       varint length, bytes; with BLOB a varint blob id and a varint size
 *
 * Offsets, not pointers: `bodies` moves while it grows. */
#ifndef STORAGE_RECORD_H
#define STORAGE_RECORD_H

#include "base/buf.h"

enum record_flag { RECORD_ROUTE_BACK = 1, RECORD_PERSISTENT_ONLY = 2, RECORD_BLOB = 4 };

/* A message in its neutral form: views of whoever holds it. */
struct message {
    struct bytes exchange, routing_key; /* each <= 255 bytes */
    struct bytes props;                 /* wire form, see proto/props.h; empty: none */
    struct bytes body;                  /* inline; empty when blob_id is set */
    uint64_t blob_id;                   /* 0: inline */
    uint64_t body_size;                 /* body.n, or the size of the blob */
};

/* Recent routes of the batch being filled, so that a route is spelled out once.
 * Zeroed when a batch begins. */
enum { RECORD_ROUTES = 64 };
struct record_routes {
    uint64_t hash[RECORD_ROUTES];
    uint32_t offset_plus_1[RECORD_ROUTES];
};

/* Appends; returns the offset of the record. */
uint32_t record_put(struct buf *bodies, struct record_routes *routes, const struct message *m);

/* False when damaged; never reads outside `bodies`. `*end_out` (may be NULL) is
 * the offset after the record. */
bool record_get(struct bytes bodies, uint32_t offset, struct message *out, size_t *end_out);

#endif
