// SPDX-License-Identifier: MIT
/* What a STOMP client may do; what it may not ends the session, as STOMP has it. */
#include "broker/session/permit.h"
#include "broker/session/stomp_session.h"

static bool told(struct stomp_session *s, const struct stomp_frame *f, bool may)
{
    if (!may)
        stomp_fail(s, f, "Access refused", "%s: %s", stomp_command_name(f->command),
                   s->s.env->denied);
    return may;
}

bool stomp_may_exchange(struct stomp_session *s, const struct stomp_frame *f, enum permission what,
                        struct bytes exchange, struct bytes routing_key)
{
    const struct core_topic t = { .exchange = exchange, .routing_key = routing_key };
    struct session_env *env = s->s.env;

    return told(s, f,
                permit_exchange(env, s->client, what, exchange) &&
                    permit_topic(env, s->client, what, &t));
}

bool stomp_may_queue(struct stomp_session *s, const struct stomp_frame *f, enum permission what,
                     struct bytes name)
{
    return told(s, f, permit_queue(s->s.env, s->client, what, name));
}
