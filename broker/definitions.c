// SPDX-License-Identifier: MIT
#include "broker/definitions.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/core/core.h"
#include "broker/session/auth.h"
#include "broker/session/siphash.h"
#include "config/definitions.h"

struct import {
    const char *file;
    struct settings_fault *why;
    struct definitions *d;
    struct core *core; /* NULL: the file is only looked at */
    struct definitions_seen *seen;
    struct map users, vhosts; /* names of the file */
    char **hash;              /* for each user of the file */
    size_t hashed;
};

struct seen_user {
    char *name;
    uint8_t mac[16]; /* of the password and its hash */
};

__attribute__((format(printf, 2, 3))) static bool fault(const struct import *im, const char *fmt,
                                                        ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(im->why->text, sizeof im->why->text, fmt, ap);
    va_end(ap);
    return false;
}

/* ---- does it make sense? ---- */

static void note_names(struct import *im)
{
    const struct definitions *d = im->d;

    for (size_t i = 0; i < d->user_count; i++)
        (void)map_put(&im->users, bytes_str(d->user[i].name), d->user[i].name);
    for (size_t i = 0; i < d->vhost_count; i++)
        (void)map_put(&im->vhosts, bytes_str(d->vhost[i].name), d->vhost[i].name);
}

static bool has_user(const struct import *im, struct bytes name)
{
    struct core_user u;

    return !im->core || map_get(&im->users, name) || core_user_find(im->core, name, &u);
}

static bool has_vhost(const struct import *im, struct bytes name)
{
    return !im->core || map_get(&im->vhosts, name) || core_vhost_find(im->core, name);
}

static bool check_users(const struct import *im)
{
    for (size_t i = 0; i < im->d->user_count; i++) {
        const struct defined_user *u = &im->d->user[i];

        if (u->password && u->password_hash)
            return fault(im, "users[%zu]: has a password and a password_hash", i);
        if (u->password_hash && *u->password_hash && !auth_hash_known(bytes_str(u->password_hash)))
            return fault(im,
                         "users[%zu].password_hash: is not in the form of crypt(3), like $y$...;"
                         " RabbitMQ's own hashes cannot be taken over",
                         i);
    }
    return true;
}

static bool check_names(const struct import *im, const char *section, size_t i, const char *user,
                        const char *vhost)
{
    if (!has_user(im, bytes_str(user)))
        return fault(im, "%s[%zu].user: there is no user %s", section, i,
                     log_text(bytes_str(user)).s);
    if (!has_vhost(im, bytes_str(vhost)))
        return fault(im, "%s[%zu].vhost: there is no vhost %s", section, i,
                     log_text(bytes_str(vhost)).s);
    return true;
}

static bool check_pattern(const struct import *im, const char *section, size_t i,
                          const char *member, const char *text)
{
    char why[PATTERN_WHY_BYTES];
    struct pattern *p = pattern_new(bytes_str(text), why);

    if (!p)
        return fault(im, "%s[%zu].%s: %s", section, i, member, why);
    pattern_free(&p);
    return true;
}

static bool check_permissions(const struct import *im)
{
    static const char section[] = "permissions";

    for (size_t i = 0; i < im->d->permission_count; i++) {
        const struct defined_permission *p = &im->d->permission[i];

        if (!check_names(im, section, i, p->user, p->vhost) ||
            !check_pattern(im, section, i, "configure", p->configure) ||
            !check_pattern(im, section, i, "write", p->write) ||
            !check_pattern(im, section, i, "read", p->read))
            return false;
    }
    return true;
}

static bool check_topic_pattern(const struct import *im, size_t i, const char *member,
                                const char *text)
{
    char why[PATTERN_WHY_BYTES];

    return core_topic_pattern_ok(bytes_str(text), why) ||
           fault(im, "topic_permissions[%zu].%s: %s", i, member, why);
}

static bool check_topics(const struct import *im)
{
    for (size_t i = 0; i < im->d->topic_permission_count; i++) {
        const struct defined_topic_permission *p = &im->d->topic_permission[i];

        if (!check_names(im, "topic_permissions", i, p->user, p->vhost) ||
            !check_topic_pattern(im, i, "write", p->write) ||
            !check_topic_pattern(im, i, "read", p->read))
            return false;
    }
    return true;
}

static bool check(struct import *im)
{
    note_names(im);
    return check_users(im) && check_permissions(im) && check_topics(im);
}

/* ---- passwords ---- */

static void mac_of(const struct definitions_seen *seen, struct bytes password, struct bytes hash,
                   uint8_t mac[16])
{
    struct buf b = { 0 };

    (void)buf_reserve(&b, password.n + hash.n + 4);
    buf_u32(&b, (uint32_t)password.n);
    buf_bytes(&b, password);
    buf_bytes(&b, hash);
    siphash(seen->key, buf_view(&b), mac);
    explicit_bzero(b.p, b.n);
    buf_fini(&b);
}

static bool was_seen(const struct definitions_seen *seen, struct bytes name, struct bytes password,
                     struct bytes hash)
{
    const struct seen_user *u = map_get(&seen->users, name);
    uint8_t mac[16];

    if (!u)
        return false;
    mac_of(seen, password, hash, mac);
    return memcmp(mac, u->mac, sizeof mac) == 0;
}

static void remember(struct definitions_seen *seen, struct bytes name, struct bytes password,
                     struct bytes hash)
{
    struct seen_user *u = map_get(&seen->users, name);

    if (!u) {
        u = mem_new(struct seen_user);
        u->name = bytes_dup_str(name);
        (void)map_put(&seen->users, bytes_str(u->name), u);
    }
    mac_of(seen, password, hash, u->mac);
}

static char *hash_of(struct import *im, const struct defined_user *u)
{
    struct bytes name = bytes_str(u->name), password = bytes_str(u->password);
    struct core_user old = { 0 };
    char *hash;

    (void)core_user_find(im->core, name, &old);
    if (u->password_hash)
        return mem_strdup(u->password_hash);
    if (!u->password || was_seen(im->seen, name, password, old.password_hash))
        return bytes_dup_str(old.password_hash);
    im->hashed++;
    if (old.password_hash.n && auth_matches(password, old.password_hash))
        hash = bytes_dup_str(old.password_hash);
    else
        hash = auth_hash(password, false);
    remember(im->seen, name, password, bytes_str(hash));
    return hash;
}

static void hash_all(struct import *im)
{
    size_t clear = 0, n = im->d->user_count;

    for (size_t i = 0; i < n; i++)
        clear += im->d->user[i].password != NULL;
    if (clear > 0)
        log_info("definitions.passwords",
                 "clear=%zu hint=\"each takes time to hash at a start; "
                 "password_hash takes none\"",
                 clear);
    im->hash = mem_array(n + 1, sizeof *im->hash);
    for (size_t i = 0; i < n; i++)
        im->hash[i] = hash_of(im, &im->d->user[i]);
}

/* ---- into the core; what is the same there already is not written again ---- */

static void put_users(struct import *im)
{
    for (size_t i = 0; i < im->d->user_count; i++) {
        const struct defined_user *u = &im->d->user[i];
        struct core_user old = { 0 };
        struct buf tags = { 0 };

        (void)core_user_find(im->core, bytes_str(u->name), &old);
        buf_bytes(&tags, u->tags ? bytes_str(u->tags) : old.tags);
        core_user_put(im->core, &(struct core_user){ bytes_str(u->name), bytes_str(im->hash[i]),
                                                     buf_view(&tags) });
        buf_fini(&tags);
    }
}

static void put_vhosts(struct import *im)
{
    for (size_t i = 0; i < im->d->vhost_count; i++) {
        struct bytes name = bytes_str(im->d->vhost[i].name);

        if (!core_vhost_find(im->core, name))
            CHECK(core_vhost_add(im->core, name) == OK);
    }
}

static void put_permissions(struct import *im)
{
    for (size_t i = 0; i < im->d->permission_count; i++) {
        const struct defined_permission *p = &im->d->permission[i];
        struct def_permission d = { core_vhost_find(im->core, bytes_str(p->vhost)),
                                    bytes_str(p->user), bytes_str(p->configure),
                                    bytes_str(p->write), bytes_str(p->read) };

        CHECK(core_permission_put(im->core, &d) == OK);
    }
    for (size_t i = 0; i < im->d->topic_permission_count; i++) {
        const struct defined_topic_permission *p = &im->d->topic_permission[i];
        struct def_topic_permission d = { core_vhost_find(im->core, bytes_str(p->vhost)),
                                          bytes_str(p->user), bytes_str(p->exchange),
                                          bytes_str(p->write), bytes_str(p->read) };

        CHECK(core_topic_permission_put(im->core, &d) == OK);
    }
}

static void put_all(struct import *im)
{
    uint64_t began_ns = clock_monotonic_ns();
    const struct definitions *d = im->d;

    hash_all(im);
    put_users(im);
    put_vhosts(im);
    put_permissions(im);
    if (d->passed_over.n)
        log_warn("definitions.not_imported", "file=%s names=\"%.*s\"",
                 log_text(bytes_str(im->file)).s, BYTES_FMT(d->passed_over));
    log_info("definitions.imported",
             "file=%s users=%zu vhosts=%zu permissions=%zu topic_permissions=%zu hashed=%zu"
             " us=%llu",
             log_text(bytes_str(im->file)).s, d->user_count, d->vhost_count, d->permission_count,
             d->topic_permission_count, im->hashed,
             (unsigned long long)(clock_monotonic_ns() - began_ns) / 1000);
}

static void import_fini(struct import *im)
{
    for (size_t i = 0; im->hash && i < im->d->user_count; i++)
        mem_free(im->hash[i]);
    mem_free(im->hash);
    map_fini(&im->users);
    map_fini(&im->vhosts);
    definitions_free(&im->d);
}

bool definitions_check(const struct settings *s, struct settings_fault *why)
{
    struct import im = { .file = s->definitions.s, .why = why };
    bool ok = true;

    if (!*im.file)
        return true;
    im.d = definitions_load(im.file, why);
    ok = im.d && check(&im);
    import_fini(&im);
    return ok;
}

bool definitions_import(struct core *c, const struct settings *s, struct definitions_seen *seen,
                        struct settings_fault *why)
{
    struct import im = { .file = s->definitions.s, .why = why, .core = c, .seen = seen };
    bool ok = true;

    if (!*im.file)
        return true;
    if (map_count(&seen->users) == 0)
        CHECK(getrandom(seen->key, sizeof seen->key, 0) == sizeof seen->key);
    im.d = definitions_load(im.file, why);
    ok = im.d && check(&im);
    if (ok)
        put_all(&im);
    import_fini(&im);
    return ok;
}

void definitions_seen_fini(struct definitions_seen *seen)
{
    struct seen_user *u;

    for (size_t at = 0; (u = map_next(&seen->users, &at));) {
        mem_free(u->name);
        mem_free(u);
    }
    map_fini(&seen->users);
}
