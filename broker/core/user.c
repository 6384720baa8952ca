// SPDX-License-Identifier: MIT
/* Users: names and password hashes.  The hash itself is the auth worker's. */
#include "base/mem.h"
#include "broker/core/names.h"
#include "broker/core/state.h"

struct user {
    char *name, *hash, *tags;
};

static void user_free(struct user *u)
{
    if (!u)
        return;
    mem_free(u->name);
    mem_free(u->hash);
    mem_free(u->tags);
    mem_free(u);
}

static void user_add(struct core *c, struct bytes name, struct bytes hash, struct bytes tags)
{
    struct user *u = mem_new(struct user);

    u->name = bytes_dup_str(name);
    u->hash = bytes_dup_str(hash);
    u->tags = bytes_dup_str(tags);
    user_free(map_put(&c->users, bytes_str(u->name), u));
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

    for (size_t at = 0; (u = map_next(&c->users, &at));)
        user_free(u);
    map_fini(&c->users);
}
