// SPDX-License-Identifier: MIT
/* SEND: where to, with what properties, and off into the core. */
#include "broker/session/stomp_session.h"

static struct stomp_route *route_of(struct stomp_session *s, const struct stomp_frame *f)
{
    struct bytes text = stomp_known_get(&s->shared->known, STOMP_NAME_destination);
    struct stomp_route *route = stomp_routes_find(&s->routes, text);
    struct stomp_destination to;
    const char *wrong;

    if (route)
        return route;
    if (!text.p) {
        stomp_fail(s, f, "Missing destination", "SEND must include a 'destination' header");
        return NULL;
    }
    wrong = stomp_destination_parse(text, &s->shared->room, &to);
    if (!wrong && to.kind == STOMP_TO_TEMP_QUEUE)
        wrong =
            "A /temp-queue/ may only be named by a 'reply-to'; send to the 'reply-to' of a MESSAGE";
    if (wrong) {
        stomp_fail(s, f, "Invalid destination", "'%s': %s", log_text(text).s, wrong);
        return NULL;
    }
    return stomp_routes_add(&s->routes, text, &to);
}

bool stomp_may_send(struct stomp_session *s, const struct stomp_frame *f)
{
    (void)stomp_known_collect(f, STOMP_USERS_ON_SEND, &s->shared->known, s->shared->user);
    const struct stomp_route *route = route_of(s, f);

    return route && stomp_may_exchange(s, f, PERMISSION_WRITE, route->to.exchange, route->to.key);
}

/* The first SEND of the session to /queue/NAME makes the queue. */
static bool queue_ready(struct stomp_session *s, const struct stomp_frame *f,
                        struct stomp_route *route, unsigned user_count)
{
    struct queue_spec spec = { .name = route->to.key, .durable = true };
    struct queue_info info;

    if (route->declared || route->to.kind != STOMP_TO_QUEUE)
        return true;
    if (!stomp_queue_spec(s, f, user_count, &spec) || !stomp_queue_declare(s, f, &spec, &info))
        return false;
    route->declared = true;
    return true;
}

static void publish_failed(struct stomp_session *s, const struct stomp_frame *f,
                           enum publish_result r, struct bytes where, const char *why)
{
    if (r == PUBLISH_NO_EXCHANGE)
        stomp_fail(s, f, "Not found", "%s '%s': there is no such exchange; nothing was stored",
                   stomp_command_name(f->command), log_text(where).s);
    else if (r == PUBLISH_UNROUTED)
        stomp_fail(s, f, "Not found", "%s '%s': there is no such queue; nothing was stored",
                   stomp_command_name(f->command), log_text(where).s);
    else
        stomp_fail(s, f, "Message refused", "%s '%s': %s; nothing was stored",
                   stomp_command_name(f->command), log_text(where).s, why ? why : "refused");
}

/* A queue may go while this session still thinks it is there: then it is made
 * once more.  (Not so a long body, which the core takes but once: see
 * stomp_on_send.)  An unheard topic and a requester that left are no faults. */
static void publish(struct stomp_session *s, const struct stomp_frame *f, struct stomp_route *route,
                    const struct publish *p, unsigned user_count)
{
    struct session_env *env = s->s.env;
    const char *why = NULL;
    enum publish_result r = core_publish(env->core, s->client, p, &why, env->now_ms);

    if (r == PUBLISH_UNROUTED && route->to.kind == STOMP_TO_QUEUE && !p->m.blob_id) {
        route->declared = false;
        if (!queue_ready(s, f, route, user_count))
            return;
        r = core_publish(env->core, s->client, p, &why, env->now_ms);
    }
    bool unheard = r == PUBLISH_UNROUTED && route->to.kind != STOMP_TO_QUEUE &&
                   route->to.kind != STOMP_TO_AMQ_QUEUE;

    if (r != PUBLISH_ROUTED && !unheard)
        publish_failed(s, f, r, stomp_known_get(&s->shared->known, STOMP_NAME_destination), why);
}

/* False: the frame names no transaction. */
static bool stage(struct stomp_session *s, const struct stomp_frame *f, const struct publish *p)
{
    struct bytes name = stomp_known_get(&s->shared->known, STOMP_NAME_transaction);
    struct stomp_transaction *t;

    if (!name.p)
        return false;
    t = stomp_transaction_of(s, f, name);
    if (t && !core_tx_publish(t->tx, p))
        stomp_fail(s, f, "Limit reached", "The transaction is too large; nothing of it was stored");
    return true;
}

void stomp_on_send(struct stomp_session *s, const struct stomp_frame *f)
{
    struct stomp_known *k = &s->shared->known;
    unsigned user_count = stomp_known_collect(f, STOMP_USERS_ON_SEND, k, s->shared->user);
    struct stomp_route *route = route_of(s, f);
    struct publish p = { 0 };

    s->s.publisher = true;
    if (route && (s->gathering || f->body.n > BLOB_MIN_BYTES))
        route->declared = false; /* look again whether it is there */
    if (!route || !stomp_may_exchange(s, f, PERMISSION_WRITE, route->to.exchange, route->to.key) ||
        !queue_ready(s, f, route, user_count) || !stomp_properties(s, f, user_count, &p))
        return;
    p.m.exchange = route->to.exchange;
    p.m.routing_key = route->to.key;
    if (!stomp_body(s, f, &p.m))
        return;
    if (!stage(s, f, &p))
        publish(s, f, route, &p, user_count);
    stomp_receipt(s, f, stomp_known_get(k, STOMP_NAME_receipt));
}
