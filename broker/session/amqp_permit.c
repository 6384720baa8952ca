// SPDX-License-Identifier: MIT
/* What an AMQP channel may do; what it may not closes it with 403 access-refused. */
#include "broker/session/amqp_session.h"
#include "broker/session/permit.h"

static bool told(struct amqp_channel *ch, uint32_t method, bool may)
{
    if (!may)
        amqp_channel_fail(ch, AMQP_ACCESS_REFUSED, method, "%s", ch->conn->s.env->denied);
    return may;
}

bool amqp_may_exchange(struct amqp_channel *ch, uint32_t method, enum permission what,
                       struct bytes name)
{
    return told(ch, method, permit_exchange(ch->conn->s.env, ch->client, what, name));
}

bool amqp_may_queue(struct amqp_channel *ch, uint32_t method, enum permission what,
                    struct bytes name)
{
    return told(ch, method, permit_queue(ch->conn->s.env, ch->client, what, name));
}

bool amqp_may_topic(struct amqp_channel *ch, uint32_t method, enum permission what,
                    struct bytes exchange, struct bytes routing_key)
{
    const struct core_topic t = { .exchange = exchange, .routing_key = routing_key };

    return told(ch, method, permit_topic(ch->conn->s.env, ch->client, what, &t));
}
