// SPDX-License-Identifier: MIT
/* Who may do what where, as RabbitMQ has it: a row for a user and a vhost, and one for an
 * exchange of it where routing keys matter.
 *
 * Most clients may do everything, or do the same thing over and over: both are decided
 * without a regular expression. */
#include <inttypes.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/core/state.h"
#include "broker/core/user.h"

enum { TOPIC_KEY_MAX = sizeof(uint64_t) + TOPOLOGY_NAME_MAX_BYTES };

/* ---- rows ---- */

static void patterns_free(struct pattern *pattern[PERMISSION_COUNT])
{
    for (unsigned i = 0; i < PERMISSION_COUNT; i++)
        pattern_free(&pattern[i]);
}

static void permission_free(struct vhost_permission *p)
{
    if (!p)
        return;
    patterns_free(p->pattern);
    mem_free(p);
}

static void topic_free(struct topic_permission *t)
{
    if (!t)
        return;
    patterns_free(t->pattern);
    for (unsigned i = 0; i < PERMISSION_COUNT; i++)
        mem_free(t->text[i]);
    buf_fini(&t->key);
    mem_free(t);
}

void permissions_free(struct user *u)
{
    struct vhost_permission *p;
    struct topic_permission *t;

    for (size_t at = 0; (p = map_next(&u->permissions, &at));)
        permission_free(p);
    for (size_t at = 0; (t = map_next(&u->topics, &at));)
        topic_free(t);
    map_fini(&u->permissions);
    map_fini(&u->topics);
}

/* NULL: one of the patterns is none. */
static struct vhost_permission *permission_new(const struct def_permission *d)
{
    struct vhost_permission *p = mem_new(struct vhost_permission);

    p->vhost_id = d->vhost_id;
    p->pattern[PERMISSION_CONFIGURE] = pattern_new(d->configure, NULL);
    p->pattern[PERMISSION_WRITE] = pattern_new(d->write, NULL);
    p->pattern[PERMISSION_READ] = pattern_new(d->read, NULL);
    for (unsigned i = 0; i < PERMISSION_COUNT; i++)
        if (!p->pattern[i]) {
            permission_free(p);
            return NULL;
        }
    return p;
}

static void permission_set(struct core *c, struct user *u, struct vhost_permission *p)
{
    c->permission_changes++;
    permission_free(map_remove(&u->permissions, map_key_u64(&p->vhost_id)));
    (void)map_put(&u->permissions, map_key_u64(&p->vhost_id), p);
}

static bool says_the_same(const struct vhost_permission *p, const struct def_permission *d)
{
    return p && bytes_eq(pattern_text(p->pattern[PERMISSION_CONFIGURE]), d->configure) &&
           bytes_eq(pattern_text(p->pattern[PERMISSION_WRITE]), d->write) &&
           bytes_eq(pattern_text(p->pattern[PERMISSION_READ]), d->read);
}

enum err core_permission_put(struct core *c, const struct def_permission *d)
{
    struct user *u = map_get(&c->users, d->user);
    struct vhost_permission *p;

    if (!u || !map_get(&c->vhost_by_id, map_key_u64(&d->vhost_id)))
        return ERR_NOT_FOUND;
    if (says_the_same(map_get(&u->permissions, map_key_u64(&d->vhost_id)), d))
        return OK;
    p = permission_new(d);
    if (!p)
        return ERR_INVALID;
    struct op *op = core_op(c, OP_PERMISSION_PUT);
    op->permission = (struct def_permission){ d->vhost_id, commit_copy(c->open, d->user),
                                              commit_copy(c->open, d->configure),
                                              commit_copy(c->open, d->write),
                                              commit_copy(c->open, d->read) };
    permission_set(c, u, p);
    return OK;
}

/* ---- rows of topics ---- */

static struct bytes topic_key(uint8_t key[TOPIC_KEY_MAX], uint64_t vhost_id, struct bytes exchange)
{
    struct bytes name = bytes_head(exchange, TOPOLOGY_NAME_MAX_BYTES);

    memcpy(key, &vhost_id, sizeof vhost_id);
    if (name.n)
        memcpy(key + sizeof vhost_id, name.p, name.n);
    return bytes_of(key, sizeof vhost_id + name.n);
}

static const struct bytes variables[] = {
    { (const uint8_t *)"{username}", 10 },
    { (const uint8_t *)"{vhost}", 7 },
    { (const uint8_t *)"{client_id}", 11 },
};
enum { VARIABLES = sizeof variables / sizeof *variables };

/* The variable that `text` begins with; VARIABLES: none. */
static unsigned variable_at(struct bytes text)
{
    unsigned i = 0;

    while (i < VARIABLES && !bytes_starts(text, variables[i]))
        i++;
    return i;
}

static bool has_variable(struct bytes text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == '{' && variable_at(bytes_from(text, i)) < VARIABLES)
            return true;
    return false;
}

struct values {
    struct bytes value[VARIABLES];
    bool swapped;
};

static uint8_t swap(uint8_t b)
{
    return b == '/' ? '.' : b == '.' ? '/' : b;
}

/* So that it stands for itself, whatever a client calls itself. */
static void put_quoted(struct buf *out, struct bytes text, bool swapped)
{
    for (size_t i = 0; i < text.n; i++) {
        uint8_t b = swapped ? swap(text.p[i]) : text.p[i], letter = b | 0x20;

        if (b < 0x80 && !(letter >= 'a' && letter <= 'z') && !(b >= '0' && b <= '9'))
            buf_u8(out, '\\');
        buf_u8(out, b);
    }
}

/* False: it has a variable of no value. */
static bool expand(struct buf *out, struct bytes text, const struct values *of)
{
    for (size_t i = 0; i < text.n;) {
        unsigned v = variable_at(bytes_from(text, i));

        if (v == VARIABLES) {
            buf_u8(out, text.p[i++]);
            continue;
        }
        if (of->value[v].n == 0)
            return false;
        put_quoted(out, of->value[v], of->swapped);
        i += variables[v].n;
    }
    return true;
}

bool core_topic_pattern_ok(struct bytes text, char why[PATTERN_WHY_BYTES])
{
    static const struct values sample = { .value = { { (const uint8_t *)"x", 1 },
                                                     { (const uint8_t *)"x", 1 },
                                                     { (const uint8_t *)"x", 1 } } };
    struct buf b = { 0 };

    (void)expand(&b, text, &sample);
    struct pattern *p = pattern_new(text.n > PATTERN_MAX_BYTES ? text : buf_view(&b), why);
    bool ok = p != NULL;

    pattern_free(&p);
    buf_fini(&b);
    return ok;
}

static struct topic_permission *topic_new(const struct def_topic_permission *d)
{
    uint8_t key[TOPIC_KEY_MAX];
    struct topic_permission *t = mem_new(struct topic_permission);
    const struct bytes text[] = { [PERMISSION_WRITE] = d->write, [PERMISSION_READ] = d->read };

    buf_bytes(&t->key, topic_key(key, d->vhost_id, d->exchange));
    for (unsigned i = PERMISSION_WRITE; i <= PERMISSION_READ; i++) {
        t->text[i] = bytes_dup_str(text[i]);
        if (!has_variable(text[i]))
            t->pattern[i] = pattern_new(text[i], NULL);
        if (!t->pattern[i] && !core_topic_pattern_ok(text[i], NULL)) {
            topic_free(t);
            return NULL;
        }
    }
    return t;
}

static void topic_set(struct core *c, struct user *u, struct topic_permission *t)
{
    c->permission_changes++;
    topic_free(map_remove(&u->topics, buf_view(&t->key)));
    (void)map_put(&u->topics, buf_view(&t->key), t);
}

static bool topic_says_the_same(const struct topic_permission *t,
                                const struct def_topic_permission *d)
{
    return t && bytes_eq(bytes_str(t->text[PERMISSION_WRITE]), d->write) &&
           bytes_eq(bytes_str(t->text[PERMISSION_READ]), d->read);
}

enum err core_topic_permission_put(struct core *c, const struct def_topic_permission *d)
{
    uint8_t key[TOPIC_KEY_MAX];
    struct user *u = map_get(&c->users, d->user);
    struct topic_permission *t;

    if (!u || !map_get(&c->vhost_by_id, map_key_u64(&d->vhost_id)))
        return ERR_NOT_FOUND;
    if (topic_says_the_same(map_get(&u->topics, topic_key(key, d->vhost_id, d->exchange)), d))
        return OK;
    t = d->exchange.n <= TOPOLOGY_NAME_MAX_BYTES ? topic_new(d) : NULL;
    if (!t)
        return ERR_INVALID;
    struct op *op = core_op(c, OP_TOPIC_PERMISSION_PUT);
    op->topic_permission = (struct def_topic_permission){
        d->vhost_id, commit_copy(c->open, d->user), commit_copy(c->open, d->exchange),
        commit_copy(c->open, d->write), commit_copy(c->open, d->read)
    };
    topic_set(c, u, t);
    return OK;
}

/* ---- recovery ---- */

/* Without its row a user may do nothing in the vhost; without one of a topic it may do
 * everything there, so that is replaced by one that allows nothing. */
static void complain(const char *what, struct bytes user, uint64_t vhost_id)
{
    log_error("recover.permission", "user=%s vhost=%" PRIu64 " why=\"%s\" effect=\"it is denied\"",
              log_text(user).s, vhost_id, what);
}

void permission_recover(struct core *c, const struct def_permission *d)
{
    struct user *u = map_get(&c->users, d->user);
    struct vhost_permission *p = u ? permission_new(d) : NULL;

    if (p)
        permission_set(c, u, p);
    else
        complain(u ? "not a regular expression" : "no such user", d->user, d->vhost_id);
}

void topic_permission_recover(struct core *c, const struct def_topic_permission *d)
{
    struct user *u = map_get(&c->users, d->user);
    struct def_topic_permission none = { d->vhost_id, d->user, d->exchange, { 0 }, { 0 } };
    struct topic_permission *t = u ? topic_new(d) : NULL;

    if (!t)
        complain(u ? "not a regular expression" : "no such user", d->user, d->vhost_id);
    if (u)
        topic_set(c, u, t ? t : topic_new(&none));
}

/* ---- may it? ---- */

bool core_user_may_enter(const struct core *c, struct bytes user, uint64_t vhost_id)
{
    const struct user *u = map_get(&c->users, user);

    return u && map_get(&u->permissions, map_key_u64(&vhost_id));
}

void core_client_user(struct core *c, client_id id, struct bytes user)
{
    struct client *cl = client_get(c, id);

    cl->user = map_get(&c->users, user);
    CHECK(cl->user);
}

void core_client_names(const struct core *c, client_id id, struct bytes *user, struct bytes *vhost)
{
    const struct client *cl = client_get(c, id);

    *user = cl->user ? bytes_str(cl->user->name) : (struct bytes){ NULL, 0 };
    *vhost = bytes_str(cl->vhost->name);
}

void may_free(struct may **m)
{
    if (!*m)
        return;
    buf_fini(&(*m)->name);
    buf_fini(&(*m)->topic);
    patterns_free((*m)->own);
    mem_free(*m);
    *m = NULL;
}

/* Looks its row up again after any change. */
static void look_up(const struct core *c, struct client *cl)
{
    if (cl->permissions_seen == c->permission_changes && cl->permission)
        return;
    cl->permissions_seen = c->permission_changes;
    cl->permission = map_get(&cl->user->permissions, map_key_u64(&cl->vhost->id));
    may_free(&cl->may);
}

static struct may *may_of(struct client *cl)
{
    if (!cl->may)
        cl->may = mem_new(struct may);
    return cl->may;
}

/* The same as last time: what, and two names. */
static bool is_again(const struct buf *last, enum permission what, struct bytes a, struct bytes b)
{
    return last->n == 2 + a.n + b.n && last->p[0] == what && last->p[1] == (uint8_t)a.n &&
           bytes_eq(bytes_of(last->p + 2, a.n), a) && bytes_eq(bytes_of(last->p + 2 + a.n, b.n), b);
}

static void keep(struct buf *last, enum permission what, struct bytes a, struct bytes b)
{
    last->n = 0;
    buf_u8(last, (uint8_t)what);
    buf_u8(last, (uint8_t)a.n);
    buf_bytes(last, a);
    buf_bytes(last, b);
}

bool core_may(struct core *c, client_id id, enum permission what, struct bytes name)
{
    struct client *cl = client_get(c, id);
    const struct bytes none = { NULL, 0 };

    if (!cl->user)
        return true;
    look_up(c, cl);
    if (!cl->permission)
        return false;
    struct pattern *p = cl->permission->pattern[what];
    if (pattern_is_all(p))
        return true;
    struct may *m = may_of(cl);
    if (is_again(&m->name, what, none, name))
        return true;
    if (!pattern_matches(p, name))
        return false;
    keep(&m->name, what, none, name);
    return true;
}

/* The row's pattern, with the client's own names in it. */
static struct pattern *pattern_for(struct client *cl, const struct topic_permission *row,
                                   enum permission what, const struct core_topic *t)
{
    const struct values names = {
        { bytes_str(cl->user->name), bytes_str(cl->vhost->name), t->client_id }, t->swapped
    };
    struct may *m = may_of(cl);
    struct buf text = { 0 };

    if (row->pattern[what])
        return row->pattern[what];
    if (m->row != row)
        patterns_free(m->own);
    m->row = row;
    if (!m->own[what] && expand(&text, bytes_str(row->text[what]), &names))
        m->own[what] = pattern_new(buf_view(&text), NULL);
    buf_fini(&text);
    return m->own[what];
}

static bool has_topics(const struct client *cl, struct bytes exchange)
{
    const struct exchange *x = exchange_find(cl->vhost, exchange);

    return x && x->type == EXCHANGE_TOPIC;
}

static bool row_allows(struct client *cl, enum permission what, const struct core_topic *t)
{
    uint8_t key[TOPIC_KEY_MAX];
    const struct topic_permission *row = map_get(&cl->user->topics,
                                                 topic_key(key, cl->vhost->id, t->exchange));
    struct pattern *p = row ? pattern_for(cl, row, what, t) : NULL;

    return !row || (p && pattern_matches(p, t->routing_key));
}

bool core_may_topic(struct core *c, client_id id, enum permission what, const struct core_topic *t)
{
    struct client *cl = client_get(c, id);

    if (!cl->user || map_count(&cl->user->topics) == 0 || t->exchange.n > TOPOLOGY_NAME_MAX_BYTES)
        return true;
    look_up(c, cl);
    if (is_again(&may_of(cl)->topic, what, t->exchange, t->routing_key) ||
        !has_topics(cl, t->exchange))
        return true;
    if (!row_allows(cl, what, t))
        return false;
    keep(&cl->may->topic, what, t->exchange, t->routing_key);
    return true;
}
