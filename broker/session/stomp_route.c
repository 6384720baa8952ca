// SPDX-License-Identifier: MIT
#include "broker/session/stomp_route.h"

#include "base/mem.h"

enum { MOST_ROUTES = 4096, MOST_BYTES = 512 * 1024 };

void stomp_routes_fini(struct stomp_routes *r)
{
    struct stomp_route *route;

    for (size_t at = 0; (route = map_next(&r->by_text, &at));)
        mem_free(route);
    map_fini(&r->by_text);
    *r = (struct stomp_routes){ 0 };
}

static struct bytes text_of(const struct stomp_route *route)
{
    return bytes_of(route->text, route->text_n);
}

struct stomp_route *stomp_routes_find(struct stomp_routes *r, struct bytes text)
{
    struct stomp_route *route = r->last;

    if (route && bytes_eq(text_of(route), text))
        return route;
    route = map_get(&r->by_text, text);
    if (route)
        r->last = route;
    return route;
}

static struct bytes keep(uint8_t **at, struct bytes b)
{
    struct bytes kept = { *at, b.n };

    if (b.n)
        memcpy(*at, b.p, b.n);
    *at += b.n;
    return kept;
}

struct stomp_route *stomp_routes_add(struct stomp_routes *r, struct bytes text,
                                     const struct stomp_destination *to)
{
    size_t size = sizeof(struct stomp_route) + text.n + to->exchange.n + to->key.n;
    struct stomp_route *route = mem_zalloc(size);
    uint8_t *at = route->text;

    if (map_count(&r->by_text) == MOST_ROUTES || r->bytes + size > MOST_BYTES)
        stomp_routes_fini(r);
    route->text_n = keep(&at, text).n;
    route->to = *to;
    route->to.exchange = keep(&at, to->exchange);
    route->to.key = keep(&at, to->key);
    (void)map_put(&r->by_text, text_of(route), route);
    r->bytes += size;
    r->last = route;
    return route;
}
