// SPDX-License-Identifier: MIT
#include "broker/session/session.h"

#include "base/check.h"
#include "base/list.h"

/* Deliveries are a few hundred bytes at least: one allocation, not six. */
enum { OUT_FIRST_BYTES = 1024 };

void session_wake_at(struct session *s, uint64_t at_ms)
{
    if (at_ms == UINT64_MAX)
        heap_remove(&s->env->wakes, &s->wake);
    else
        heap_set(&s->env->wakes, &s->wake, at_ms);
}

void session_touch(struct session *s)
{
    if (s->touched)
        return;
    s->touched = true;
    s->next_touched = s->env->touched;
    s->env->touched = s;
}

void session_untouch(struct session *s)
{
    struct session **at = &s->env->touched;

    if (!s->touched)
        return;
    while (*at != s) {
        CHECK(*at);
        at = &(*at)->next_touched;
    }
    *at = s->next_touched;
    s->touched = false;
}

uint64_t session_run_wakes(struct session_env *env)
{
    struct heap_node *node;

    while ((node = heap_min(&env->wakes)) && node->key <= env->now_mono_ms) {
        struct session *s = container_of(node, struct session, wake);

        heap_remove(&env->wakes, node);
        s->ops->tick(s);
        session_touch(s);
    }
    return node ? node->key : UINT64_MAX;
}

/* Copied, and asked for anew each time: an adapter may call the core and so add effects. */
static bool effect_at(const struct session_env *env, size_t i, struct effect *out)
{
    size_t count = 0;
    const struct effect *all = core_effects(env->core, &count);

    if (i >= count)
        return false;
    *out = all[i];
    return true;
}

void session_run_effects(struct session_env *env)
{
    struct effect e;

    for (size_t i = 0; effect_at(env, i, &e); i++) {
        struct session_port *port = core_client_owner(env->core, e.client);

        if (!port)
            continue;
        struct session *s = port->session;
        if (s->out.cap == 0)
            (void)buf_reserve(&s->out, OUT_FIRST_BYTES);
        s->ops->effect(s, port, &e);
        session_touch(s);
    }
}
