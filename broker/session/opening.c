// SPDX-License-Identifier: MIT
#include "broker/session/opening.h"

#include "base/mem.h"

void opening_effect(struct session *s, struct session_port *to, const struct effect *e)
{
    (void)s;
    (void)to;
    (void)e;
}

void opening_auth_done(struct session *s, bool accepted)
{
    (void)s;
    (void)accepted;
}

/* The time to log in is up. */
void opening_tick(struct session *s)
{
    s->ending = true;
}

void opening_drained(struct session *s)
{
    (void)s;
}

void opening_close(struct session **s)
{
    if (!*s)
        return;
    session_wake_at(*s, UINT64_MAX);
    buf_fini(&(*s)->out);
    mem_free(*s);
    *s = NULL;
}

struct session *opening_session(struct session_env *env, bool loopback,
                                const struct session_ops *ops)
{
    struct session *s = mem_new(struct session);

    s->ops = ops;
    s->env = env;
    s->id = ++env->next_session;
    s->port.session = s;
    s->loopback = loopback;
    if (env->login_ms)
        session_wake_at(s, env->now_mono_ms + env->login_ms);
    return s;
}
