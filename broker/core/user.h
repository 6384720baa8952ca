// SPDX-License-Identifier: MIT
/* user.h - a user, and what it may do where.  Private to the core.
 *
 * A user that is put again changes in place, so clients may point to it.
 * Owner: core->users. */
#ifndef CORE_USER_H
#define CORE_USER_H

#include "base/buf.h"
#include "base/map.h"
#include "broker/core/core.h"
#include "broker/core/pattern.h"

enum { PERMISSION_COUNT = PERMISSION_READ + 1 };

/* In one vhost, over names of exchanges and queues. */
struct vhost_permission {
    uint64_t vhost_id;
    struct pattern *pattern[PERMISSION_COUNT];
};

/* In one vhost and exchange, over routing keys; of PERMISSION_CONFIGURE there is none.
 * NULL: the pattern has names in it that differ from client to client. */
struct topic_permission {
    struct buf key; /* vhost id and name of the exchange */
    char *text[PERMISSION_COUNT];
    struct pattern *pattern[PERMISSION_COUNT];
};

struct user {
    char *name, *hash, *tags;
    struct map permissions; /* struct vhost_permission by vhost id */
    struct map topics;      /* struct topic_permission by its key */
};

/* What a client was allowed last by a pattern, and topic patterns with its names in them. */
struct may {
    struct buf name, topic;
    const struct topic_permission *row; /* that `own` was made of */
    struct pattern *own[PERMISSION_COUNT];
};

void user_recover(struct core *c, const struct def_user *d);
void users_free(struct core *c);

void permission_recover(struct core *c, const struct def_permission *d);
void topic_permission_recover(struct core *c, const struct def_topic_permission *d);
void permissions_free(struct user *u);
void may_free(struct may **m);

#endif
