// SPDX-License-Identifier: MIT
/* opening.h - a session that only finds out who is to be in its place.
 *
 * It reads the first bytes, sets `become` or ends, and has the time to log in for that.
 * Private to broker/session. */
#ifndef SESSION_OPENING_H
#define SESSION_OPENING_H

#include "broker/session/session.h"

void opening_effect(struct session *s, struct session_port *to, const struct effect *e);
void opening_auth_done(struct session *s, bool accepted);
void opening_tick(struct session *s);
void opening_drained(struct session *s);
void opening_close(struct session **s);

#define OPENING_OPS(name_, input_)                                                                \
    {                                                                                             \
        .name = name_, .input = input_, .effect = opening_effect, .auth_done = opening_auth_done, \
        .tick = opening_tick, .drained = opening_drained, .close = opening_close,                 \
    }

struct session *opening_session(struct session_env *env, bool loopback,
                                const struct session_ops *ops);

#endif
