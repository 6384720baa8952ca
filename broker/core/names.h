// SPDX-License-Identifier: MIT
/* names.h - vhosts: recovery and end.  Private to the core. */
#ifndef CORE_NAMES_H
#define CORE_NAMES_H

#include "broker/core/core.h"

struct vhost;

void vhost_recover(struct core *c, const struct def_vhost *d);
void vhost_free(struct core *c, struct vhost *v); /* with its exchanges and queues */

#endif
