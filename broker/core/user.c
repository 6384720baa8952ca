// SPDX-License-Identifier: MIT
/* Users: names and password hashes.  The hash itself is the auth worker's. */
#include "broker/core/user.h"

#include "base/mem.h"
#include "broker/core/state.h"

static void user_set(struct user *u, struct bytes hash, struct bytes tags)
{
    char *old_hash = u->hash, *old_tags = u->tags;

    u->hash = bytes_dup_str(hash);
    u->tags = bytes_dup_str(tags);
    mem_free(old_hash);
    mem_free(old_tags);
}

static void user_add(struct core *c, struct bytes name, struct bytes hash, struct bytes tags)
{
    struct user *u = map_get(&c->users, name);

    if (!u) {
        u = mem_new(struct user);
        u->name = bytes_dup_str(name);
        u->permissions.seed = u->topics.seed = c->opt.seed;
        (void)map_put(&c->users, bytes_str(u->name), u);
    }
    user_set(u, hash, tags);
}

bool core_user_find(const struct core *c, struct bytes name, struct core_user *out)
{
    const struct user *u = map_get(&c->users, name);

    if (!u)
        return false;
    *out = (struct core_user){ bytes_str(u->name), bytes_str(u->hash), bytes_str(u->tags) };
    return true;
}

void core_user_put(struct core *c, const struct core_user *u)
{
    const struct user *old = map_get(&c->users, u->name);

    if (old && bytes_eq(bytes_str(old->hash), u->password_hash) &&
        bytes_eq(bytes_str(old->tags), u->tags))
        return;
    struct op *op = core_op(c, OP_USER_PUT);

    op->user = (struct def_user){ commit_copy(c->open, u->name),
                                  commit_copy(c->open, u->password_hash),
                                  commit_copy(c->open, u->tags) };
    user_add(c, u->name, u->password_hash, u->tags);
}

void user_recover(struct core *c, const struct def_user *d)
{
    user_add(c, d->name, d->password_hash, d->tags);
}

size_t core_user_count(const struct core *c)
{
    return map_count(&c->users);
}

void users_free(struct core *c)
{
    struct user *u;

    for (size_t at = 0; (u = map_next(&c->users, &at));) {
        permissions_free(u);
        mem_free(u->name);
        mem_free(u->hash);
        mem_free(u->tags);
        mem_free(u);
    }
    map_fini(&c->users);
}
