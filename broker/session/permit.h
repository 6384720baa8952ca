// SPDX-License-Identifier: MIT
/* permit.h - may the user of this client, and if not, why not, in RabbitMQ's words.
 *
 * False: env->denied has the text, until the next that is denied. */
#ifndef SESSION_PERMIT_H
#define SESSION_PERMIT_H

#include "broker/session/session.h"

/* Before there is a client: may the user open the vhost? */
bool permit_vhost(struct session_env *env, struct bytes user, uint64_t vhost_id);

/* The default exchange, which has no name, goes by that of RabbitMQ: amq.default. */
bool permit_exchange(struct session_env *env, client_id id, enum permission what,
                     struct bytes name);
bool permit_queue(struct session_env *env, client_id id, enum permission what, struct bytes name);
bool permit_topic(struct session_env *env, client_id id, enum permission what,
                  const struct core_topic *t);

#endif
