// SPDX-License-Identifier: MIT
/* stomp_route.h - destinations that a session has sent to, understood once.
 *
 * Found by the text of the header.  Forgets all rather than grow past its
 * limits; nothing is allocated once the destinations in use are there.  Owner:
 * the session. */
#ifndef SESSION_STOMP_ROUTE_H
#define SESSION_STOMP_ROUTE_H

#include "base/map.h"
#include "broker/session/stomp_destination.h"

struct stomp_route {
    struct stomp_destination to; /* views into text[] */
    bool declared;               /* the queue was seen or made in this session */
    size_t text_n;
    uint8_t text[]; /* the header's value, then the names */
};

struct stomp_routes {
    struct map by_text;
    struct stomp_route *last;
    size_t bytes;
};

void stomp_routes_fini(struct stomp_routes *r);

/* NULL: not there. */
struct stomp_route *stomp_routes_find(struct stomp_routes *r, struct bytes text);

/* Adds one that is not there; valid until the next add. */
struct stomp_route *stomp_routes_add(struct stomp_routes *r, struct bytes text,
                                     const struct stomp_destination *to);

#endif
