// SPDX-License-Identifier: MIT
/* vhost.h - a name space of exchanges and queues.
 *
 * Private to the core.  Owner: core->vhosts. */
#ifndef CORE_VHOST_H
#define CORE_VHOST_H

#include "base/map.h"

struct vhost {
    uint64_t id;
    char *name;
    struct map exchanges;           /* by name -> struct exchange */
    struct map queues;              /* by name -> struct queue */
    struct queue *delay;            /* where delayed messages wait; made at first use */
    struct retained_tree *retained; /* NULL: none yet */
};

#endif
