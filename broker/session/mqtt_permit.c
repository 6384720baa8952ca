// SPDX-License-Identifier: MIT
/* What an MQTT client may do: permissions on amq.topic, on its routing keys, on the queues
 * that stand for sessions and shares.  False: env->denied says why. */
#include "broker/session/mqtt_session.h"
#include "broker/session/permit.h"

static bool may_topic(struct mqtt_session *s, enum permission what, struct bytes key)
{
    const struct core_topic t = { MQTT_EXCHANGE, key, mqtt_client_id(s), .swapped = true };

    return permit_exchange(s->s.env, s->client, what, MQTT_EXCHANGE) &&
           permit_topic(s->s.env, s->client, what, &t);
}

bool mqtt_may_publish(struct mqtt_session *s, struct bytes key)
{
    return may_topic(s, PERMISSION_WRITE, key);
}

/* Makes it, binds it, consumes from it. */
static bool may_use_queue(struct mqtt_session *s, struct bytes name)
{
    struct session_env *env = s->s.env;

    return permit_queue(env, s->client, PERMISSION_CONFIGURE, name) &&
           permit_queue(env, s->client, PERMISSION_WRITE, name) &&
           permit_queue(env, s->client, PERMISSION_READ, name);
}

bool mqtt_may_use_session(struct mqtt_session *s)
{
    return may_use_queue(s, buf_view(&s->queue));
}

static bool may_filter(struct mqtt_session *s, struct bytes filter)
{
    mqtt_filter_to_pattern(&s->shared->key, filter);
    return may_topic(s, PERMISSION_READ, buf_view(&s->shared->key));
}

static bool may_share(struct mqtt_session *s, struct bytes group, struct bytes rest)
{
    struct buf name = { 0 };

    mqtt_share_name(&name, group, rest);
    bool may = may_use_queue(s, buf_view(&name)) && may_filter(s, rest);
    buf_fini(&name);
    return may;
}

bool mqtt_may_subscribe(struct mqtt_session *s, struct bytes filter)
{
    struct bytes group, rest;

    if (mqtt_share_split(filter, &group, &rest) == MQTT_SHARE_OK)
        return may_share(s, group, rest);
    if (bytes_starts(filter, MQTT_QUEUE_FILTER))
        return permit_queue(s->s.env, s->client, PERMISSION_READ,
                            bytes_from(filter, MQTT_QUEUE_FILTER.n));
    return mqtt_may_use_session(s) && may_filter(s, filter);
}
