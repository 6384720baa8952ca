// SPDX-License-Identifier: MIT
#include "broker/session/permit.h"

#include <stdio.h>

#include "base/log.h"

static const char *const permission_names[] = {
    [PERMISSION_CONFIGURE] = "configure",
    [PERMISSION_WRITE] = "write",
    [PERMISSION_READ] = "read",
};

static bool deny(struct session_env *env, client_id id, enum permission what, const char *kind,
                 struct bytes name)
{
    struct bytes user, vhost;

    core_client_names(env->core, id, &user, &vhost);
    (void)snprintf(
        env->denied, sizeof env->denied, "%s access to %s '%s' in vhost '%s' refused for user '%s'",
        permission_names[what], kind, log_text(name).s, log_text(vhost).s, log_text(user).s);
    return false;
}

bool permit_vhost(struct session_env *env, struct bytes user, uint64_t vhost_id)
{
    if (core_user_may_enter(env->core, user, vhost_id))
        return true;
    (void)snprintf(env->denied, sizeof env->denied, "access to vhost '%s' refused for user '%s'",
                   log_text(core_vhost_name(env->core, vhost_id)).s, log_text(user).s);
    return false;
}

bool permit_exchange(struct session_env *env, client_id id, enum permission what, struct bytes name)
{
    struct bytes called = name.n ? name : BYTES("amq.default");

    return core_may(env->core, id, what, called) || deny(env, id, what, "exchange", called);
}

bool permit_queue(struct session_env *env, client_id id, enum permission what, struct bytes name)
{
    return core_may(env->core, id, what, name) || deny(env, id, what, "queue", name);
}

bool permit_topic(struct session_env *env, client_id id, enum permission what,
                  const struct core_topic *t)
{
    struct bytes user, vhost;

    if (core_may_topic(env->core, id, what, t))
        return true;
    core_client_names(env->core, id, &user, &vhost);
    (void)snprintf(env->denied, sizeof env->denied,
                   "%s access to topic '%s' in exchange '%s' in vhost '%s' refused for user '%s'",
                   permission_names[what], log_text(t->routing_key).s, log_text(t->exchange).s,
                   log_text(vhost).s, log_text(user).s);
    return false;
}
