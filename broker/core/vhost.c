// SPDX-License-Identifier: MIT
#include "broker/core/vhost.h"

#include "base/check.h"
#include "base/mem.h"
#include "broker/core/names.h"
#include "broker/core/state.h"

static struct vhost *vhost_new(struct core *c, uint64_t id, struct bytes name)
{
    struct vhost *v = mem_new(struct vhost);

    v->id = id;
    v->name = bytes_dup_str(name);
    v->exchanges.seed = v->queues.seed = c->opt.seed;
    map_put(&c->vhosts, bytes_str(v->name), v);
    map_put(&c->vhost_by_id, map_key_u64(&v->id), v);
    exchange_predeclare(c, v);
    return v;
}

void vhost_recover(struct core *c, const struct def_vhost *d)
{
    if (d->id >= c->next_def_id)
        c->next_def_id = d->id + 1;
    if (!map_get(&c->vhosts, d->name))
        vhost_new(c, d->id, d->name);
}

uint64_t core_vhost_find(const struct core *c, struct bytes name)
{
    const struct vhost *v = map_get(&c->vhosts, name);

    return v ? v->id : 0;
}

struct bytes core_vhost_name(const struct core *c, uint64_t id)
{
    const struct vhost *v = map_get(&c->vhost_by_id, map_key_u64(&id));

    CHECK(v);
    return bytes_str(v->name);
}

bool core_vhost_each(const struct core *c, size_t *at, uint64_t *id)
{
    const struct vhost *v = map_next(&c->vhosts, at);

    if (v)
        *id = v->id;
    return v != NULL;
}

enum err core_vhost_add(struct core *c, struct bytes name)
{
    if (name.n == 0 || name.n > 255)
        return ERR_INVALID;
    if (map_get(&c->vhosts, name))
        return ERR_EXISTS;
    struct vhost *v = vhost_new(c, c->next_def_id++, name);
    struct op *op = core_op(c, OP_VHOST_PUT);

    op->vhost = (struct def_vhost){ v->id, commit_copy(c->open, name) };
    return OK;
}

void vhost_free(struct core *c, struct vhost *v)
{
    struct exchange *x;
    struct queue *q;

    for (size_t at = 0; (x = map_next(&v->exchanges, &at));)
        exchange_free(c, &x);
    for (size_t at = 0; (q = map_next(&v->queues, &at));)
        queue_free(c, &q);
    retained_tree_free(&v->retained);
    map_fini(&v->exchanges);
    map_fini(&v->queues);
    mem_free(v->name);
    mem_free(v);
}
