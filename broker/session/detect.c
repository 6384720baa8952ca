// SPDX-License-Identifier: MIT
/* One address for all protocols: the first bytes tell which it is. */
#include <inttypes.h>

#include "base/log.h"
#include "broker/session/opening.h"
#include "proto/detect.h"

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
    case PROTOCOL_HTTP:
        s->become = ws_session_open;
        return 0;
    case PROTOCOL_NONE:
        break;
    }
    s->env->count.refused++;
    log_warn("detect.refused", "id=%" PRIu64 " why=\"no protocol begins like this\"", s->id);
    s->ending = true;
    return n;
}

static const struct session_ops detect_ops = OPENING_OPS("any", detect_input);

struct session *detect_session_open(struct session_env *env, bool loopback)
{
    return opening_session(env, loopback, &detect_ops);
}
