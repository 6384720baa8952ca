// SPDX-License-Identifier: MIT
/* publish.h - the parts of publishing that transactions, dead letters and
 * delayed messages share.  Private to the core. */
#ifndef CORE_PUBLISH_H
#define CORE_PUBLISH_H

#include "broker/core/core.h"

struct client;
struct queue;
struct vhost;

/* Would it be accepted?  Leaves the queues that it is for in c->routed. */
enum publish_result publish_check(struct core *c, struct client *cl, const struct publish *p,
                                  const char **why);

/* Routes and stores what publish_check has passed.  Limits are not looked at
 * again: a transaction may overfill a queue that refuses, never lose a part. */
enum publish_result publish_now(struct core *c, struct client *cl, const struct publish *p);

/* Fills c->routed; false: no such exchange, and c->routed is as it was. */
bool publish_route(struct core *c, const struct vhost *v, const struct publish *p);

/* Stores the message for every queue in c->routed. */
void publish_to(struct core *c, const struct publish *p);

/* x-overflow reject-publish-dlx: the refused message dies at once. */
void publish_refused_dead(struct core *c, struct queue *q, const struct publish *p);

/* Message `i` of a transaction that is done: views until tx_sweep. */
void tx_message(const struct tx *t, uint32_t i, struct message *out);
void tx_sweep(struct core *c);

#endif
