// SPDX-License-Identifier: MIT
#include "tests/unit/topology_fixture.h"

#include <check.h>
#include <stdio.h>

struct core *topology;
struct vhost *topology_vhost;
client_id topology_client;
const char *topology_why;

struct core *topology_core_new(void)
{
    const struct core_options options = { .seed = 7,
                                          .memory_bytes = 1 << 20,
                                          .message_bytes = 1 << 20,
                                          .uncommitted_bytes = 1 << 20,
                                          .queues = 1000,
                                          .exchanges = TOPOLOGY_EXCHANGES,
                                          .bindings = TOPOLOGY_BINDINGS,
                                          .consumers = 10,
                                          .unacked = 10 };

    return core_new(&options);
}

void topology_open(void)
{
    topology = topology_core_new();
    core_recovered(topology, 1000);
    topology_vhost = map_get(&topology->vhosts, BYTES("/"));
    topology_client = core_client_open(topology, topology_vhost->id, &topology);
    topology_why = NULL;
}

void topology_close(void)
{
    ck_assert(core_check(topology));
    core_free(&topology);
}

enum err topology_declare(const char *name, const char *type, const char *flags)
{
    struct exchange_spec s = { .name = bytes_str(name),
                               .type = bytes_str(type),
                               .durable = strchr(flags, 'd'),
                               .auto_delete = strchr(flags, 'a'),
                               .internal = strchr(flags, 'i') };

    return core_exchange_declare(topology, topology_client, &s, &topology_why);
}

enum err topology_delete(const char *name, bool if_unused)
{
    return core_exchange_delete(topology, topology_client, bytes_str(name), if_unused,
                                &topology_why);
}

struct queue *topology_queue(const char *name, bool durable)
{
    struct queue_spec s = { .name = bytes_str(name), .durable = durable };
    struct queue_info info;

    ck_assert_int_eq(OK,
                     core_queue_declare(topology, topology_client, &s, &info, &topology_why, 1000));
    return queue_find(topology_vhost, s.name);
}

struct exchange *topology_exchange(const char *name)
{
    return exchange_find(topology_vhost, bytes_str(name));
}

struct binding_spec topology_spec(const char *from, const char *key, const char *target)
{
    bool to_exchange = target[0] == '>';

    return (struct binding_spec){ .exchange = bytes_str(from),
                                  .target = bytes_str(target + to_exchange),
                                  .routing_key = bytes_str(key),
                                  .to_exchange = to_exchange };
}

enum err topology_bind_args(const char *from, const char *key, const char *target,
                            const struct buf *arguments)
{
    struct binding_spec s = topology_spec(from, key, target);

    s.arguments = buf_view(arguments);
    return core_bind(topology, topology_client, &s, &topology_why);
}

enum err topology_bind(const char *from, const char *key, const char *target)
{
    struct buf none = { 0 };

    return topology_bind_args(from, key, target, &none);
}

enum err topology_unbind(const char *from, const char *key, const char *target)
{
    struct binding_spec s = topology_spec(from, key, target);

    return core_unbind(topology, topology_client, &s, &topology_why);
}

const char *topology_routes_headers(const char *from, const char *key, const struct buf *headers)
{
    static char names[1024];
    const struct routed *r = &topology->routed;
    size_t n = 0;

    if (from[0])
        exchange_route(topology, topology_exchange(from), bytes_str(key), buf_view(headers));
    else
        exchange_route_default(topology, topology_vhost, bytes_str(key), buf_view(headers));
    names[0] = '\0';
    for (size_t i = 0; i < r->count; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? " " : "", r->queue[i]->name);
    return names;
}

const char *topology_routes(const char *from, const char *key)
{
    struct buf none = { 0 };

    return topology_routes_headers(from, key, &none);
}

size_t topology_ops(enum op_kind kind)
{
    size_t count = 0;

    for (size_t i = 0; topology->open && i < topology->open->op_count; i++)
        count += topology->open->op[i].kind == kind;
    return count;
}

const struct op *topology_op(enum op_kind kind)
{
    for (size_t i = topology->open ? topology->open->op_count : 0; i-- > 0;)
        if (topology->open->op[i].kind == kind)
            return &topology->open->op[i];
    return NULL;
}

void topology_forget_ops(void)
{
    commit_free(&topology->open);
}
