// SPDX-License-Identifier: MIT
/* topology_fixture.h - a core with one vhost and one client, for the suites of
 * exchanges, bindings and routing; and short words for what they ask of it. */
#ifndef TESTS_TOPOLOGY_FIXTURE_H
#define TESTS_TOPOLOGY_FIXTURE_H

#include "broker/core/state.h"

enum { TOPOLOGY_EXCHANGES = 20, TOPOLOGY_BINDINGS = 50 };

extern struct core *topology;
extern struct vhost *topology_vhost;
extern client_id topology_client;
extern const char *topology_why; /* of the last call that was refused */

void topology_open(void);
void topology_close(void);
struct core *topology_core_new(void);

/* `flags`: d durable, a auto-delete, i internal. */
enum err topology_declare(const char *name, const char *type, const char *flags);
enum err topology_delete(const char *name, bool if_unused);
struct queue *topology_queue(const char *name, bool durable);
struct exchange *topology_exchange(const char *name);

/* A target that begins with '>' is an exchange. */
enum err topology_bind(const char *from, const char *key, const char *target);
enum err topology_unbind(const char *from, const char *key, const char *target);
enum err topology_bind_args(const char *from, const char *key, const char *target,
                            const struct buf *arguments);
struct binding_spec topology_spec(const char *from, const char *key, const char *target);

/* Names of the queues it goes to, in the order found, with blanks between. */
const char *topology_routes(const char *from, const char *key);
const char *topology_routes_headers(const char *from, const char *key, const struct buf *headers);

/* Operations of that kind in the commit being gathered; the last of them, or NULL. */
size_t topology_ops(enum op_kind kind);
const struct op *topology_op(enum op_kind kind);
/* Forgets what gathered. */
void topology_forget_ops(void);

#endif
