// SPDX-License-Identifier: MIT
/* One address for all protocols: the first bytes tell which it is. */
#include "base/log.h"
#include "base/mem.h"
#include "broker/session/session.h"
#include "proto/detect.h"

#include <inttypes.h>

static size_t detect_input(struct session *s, uint8_t *in, size_t n)
{
    switch (protocol_detect(bytes_of(in, n))) {
    case PROTOCOL_UNKNOWN:
        return 0;
    case PROTOCOL_AMQP:
        s->become = amqp_session_open;
        return 0;
    case PROTOCOL_MQTT:
        s->become = mqtt_session_open;
        return 0;
    case PROTOCOL_STOMP:
        s->become = stomp_session_open;
        return 0;
    case PROTOCOL_NONE:
        break;
    }
    s->env->count.refused++;
    log_warn("detect.refused", "id=%" PRIu64 " why=\"no protocol begins like this\"", s->id);
    s->ending = true;
    return n;
}

static void detect_effect(struct session *s, struct session_port *to, const struct effect *e)
{
    (void)s;
    (void)to;
    (void)e;
}

static void detect_auth_done(struct session *s, bool accepted)
{
    (void)s;
    (void)accepted;
}

/* The time to log in is up. */
static void detect_tick(struct session *s)
{
    s->ending = true;
}

static void detect_drained(struct session *s)
{
    (void)s;
}

static void detect_close(struct session **s)
{
    if (!*s)
        return;
    session_wake_at(*s, UINT64_MAX);
    buf_fini(&(*s)->out);
    mem_free(*s);
    *s = NULL;
}

static const struct session_ops detect_ops = {
    .name = "any",
    .input = detect_input,
    .effect = detect_effect,
    .auth_done = detect_auth_done,
    .tick = detect_tick,
    .drained = detect_drained,
    .close = detect_close,
};

struct session *detect_session_open(struct session_env *env, bool loopback)
{
    struct session *s = mem_new(struct session);

    s->ops = &detect_ops;
    s->env = env;
    s->id = ++env->next_session;
    s->port.session = s;
    s->loopback = loopback;
    if (env->login_ms)
        session_wake_at(s, env->now_mono_ms + env->login_ms);
    return s;
}
