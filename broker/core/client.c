// SPDX-License-Identifier: MIT
#include "broker/core/client.h"

#include "base/check.h"
#include "base/mem.h"
#include "broker/core/state.h"
#include "broker/core/user.h"

struct client *client_get(const struct core *c, client_id id)
{
    struct client *cl = slots_get(&c->clients, id);

    CHECK(cl);
    return cl;
}

bool client_locked_out(const struct client *cl, const struct queue *q)
{
    return q->exclusive && q->owner != cl->connection;
}

static struct client *client_new(struct core *c, struct vhost *v, void *owner)
{
    struct client *cl = mem_new(struct client);

    CHECK(v && owner);
    cl->vhost = v;
    cl->owner = owner;
    cl->unacked_max = c->opt.unacked;
    list_init(&cl->consumers);
    list_init(&cl->gets);
    list_init(&cl->writing);
    list_init(&cl->reading);
    list_init(&cl->exclusive);
    list_init(&cl->in_holding);
    cl->id = cl->connection = slots_add(&c->clients, cl);
    return cl;
}

client_id core_client_open(struct core *c, uint64_t vhost_id, void *owner)
{
    struct vhost *v = map_get(&c->vhost_by_id, map_key_u64(&vhost_id));
    struct client *cl = client_new(c, v, owner);

    check_event("client.open", cl->id, vhost_id);
    return cl->id;
}

client_id core_client_join(struct core *c, client_id connection, void *owner)
{
    struct client *to = client_get(c, connection);
    struct client *cl = client_new(c, to->vhost, owner);

    CHECK(to->connection == connection);
    cl->connection = connection;
    cl->user = to->user;
    to->joined++;
    check_event("client.join", cl->id, connection);
    return cl->id;
}

void *core_client_owner(const struct core *c, client_id id)
{
    struct client *cl = slots_get(&c->clients, id);

    return cl ? cl->owner : NULL;
}

void core_client_close(struct core *c, client_id id, uint64_t now_ms)
{
    struct client *cl = client_get(c, id);
    struct list *node;

    c->now_ms = now_ms;
    check_event("client.close", id, cl->unacked);
    CHECK(cl->joined == 0);
    while ((node = list_first(&cl->consumers)))
        consumer_end(c, container_of(node, struct consumer, in_client), false);
    while ((node = list_first(&cl->gets)))
        get_end(container_of(node, struct get, in_client));
    ledger_return(c, cl, &cl->ledger);
    while ((node = list_first(&cl->exclusive)))
        queue_delete(c, container_of(node, struct queue, in_owner));
    blob_client_closed(c, cl);
    ledger_fini(&cl->ledger);
    list_remove(&cl->in_holding);
    if (cl->connection != id)
        client_get(c, cl->connection)->joined--;
    slots_remove(&c->clients, id);
    may_free(&cl->may);
    mem_free(cl->held);
    mem_free(cl);
}

void client_update_consumers(struct core *c, struct client *cl)
{
    LIST_EACH (&cl->consumers, node)
        consumer_update(c, container_of(node, struct consumer, in_client));
}

void core_client_room(struct core *c, client_id id, size_t bytes)
{
    struct client *cl = client_get(c, id);
    bool was_empty = cl->room == 0;

    cl->room = bytes;
    if (bytes > 0 && (was_empty || cl->starved)) {
        cl->starved = false;
        client_update_consumers(c, cl);
    }
}

void core_client_prefetch(struct core *c, client_id id, uint32_t limit)
{
    struct client *cl = client_get(c, id);

    cl->prefetch = limit;
    client_update_consumers(c, cl);
}
