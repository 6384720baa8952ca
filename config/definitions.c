// SPDX-License-Identifier: MIT
#include "config/definitions.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { PASSED_OVER_MAX_BYTES = 400, PATH_MAX_BYTES = 192 };

struct reading {
    struct settings_fault *why;
    struct definitions *d;
};

/* One member of a row: a `char *` at `offset`. */
struct member {
    const char *name;
    size_t offset, least, most;
    bool required;
    bool is_list; /* a string, or strings of a list with commas between */
};

struct section {
    const char *name;
    size_t row_bytes, most;
    const struct member *member;
    size_t members;
};

#define TEXT(of, field, least, most, required)                           \
    {                                                                    \
#field, offsetof(struct of, field), least, most, required, false \
    }
#define NAME(of, field) TEXT(of, field, 1, DEFINED_NAME_MAX_BYTES, true)
#define PATTERN(of, field) TEXT(of, field, 0, DEFINED_PATTERN_MAX_BYTES, true)

static const struct member user_members[] = {
    NAME(defined_user, name),
    TEXT(defined_user, password, 1, DEFINED_PASSWORD_MAX_BYTES, false),
    TEXT(defined_user, password_hash, 0, DEFINED_HASH_MAX_BYTES, false),
    { "tags", offsetof(struct defined_user, tags), 0, DEFINED_NAME_MAX_BYTES, false, true },
};
static const struct member vhost_members[] = { NAME(defined_vhost, name) };
static const struct member permission_members[] = {
    NAME(defined_permission, user),         NAME(defined_permission, vhost),
    PATTERN(defined_permission, configure), PATTERN(defined_permission, write),
    PATTERN(defined_permission, read),
};
static const struct member topic_members[] = {
    NAME(defined_topic_permission, user),     NAME(defined_topic_permission, vhost),
    NAME(defined_topic_permission, exchange), PATTERN(defined_topic_permission, write),
    PATTERN(defined_topic_permission, read),
};

#define SECTION(name, of, most, members)                                         \
    {                                                                            \
        name, sizeof(struct of), most, members, sizeof members / sizeof *members \
    }

static const struct section sections[] = {
    SECTION("users", defined_user, DEFINED_USERS_MAX, user_members),
    SECTION("vhosts", defined_vhost, DEFINED_VHOSTS_MAX, vhost_members),
    SECTION("permissions", defined_permission, DEFINED_PERMISSIONS_MAX, permission_members),
    SECTION("topic_permissions", defined_topic_permission, DEFINED_PERMISSIONS_MAX, topic_members),
};
enum { USERS, VHOSTS, PERMISSIONS, TOPIC_PERMISSIONS, SECTIONS };

__attribute__((format(printf, 2, 3))) static bool fault(const struct reading *r, const char *fmt,
                                                        ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(r->why->text, sizeof r->why->text, fmt, ap);
    va_end(ap);
    return false;
}

/* Says each name once. */
static void pass_over(const struct reading *r, const char *name)
{
    struct buf *b = &r->d->passed_over;
    size_t n = strlen(name);

    if (b->n + n + 2 > PASSED_OVER_MAX_BYTES)
        return;
    for (size_t i = 0; i + n <= b->n; i++)
        if (memcmp(b->p + i, name, n) == 0 && (i + n == b->n || b->p[i + n] == ',') &&
            (i == 0 || b->p[i - 1] == ' '))
            return;
    if (b->n > 0)
        buf_str(b, ", ");
    buf_str(b, name);
}

/* ---- one member ---- */

static const struct member *member_find(const struct section *of, const char *name)
{
    for (size_t i = 0; i < of->members; i++)
        if (strcmp(of->member[i].name, name) == 0)
            return &of->member[i];
    return NULL;
}

static bool is_list_of_strings(const cJSON *v)
{
    if (!cJSON_IsArray(v))
        return false;
    for (const cJSON *e = v->child; e; e = e->next)
        if (!cJSON_IsString(e))
            return false;
    return true;
}

static void join(struct buf *out, const cJSON *list)
{
    for (const cJSON *e = list->child; e; e = e->next) {
        if (out->n > 0)
            buf_u8(out, ',');
        buf_str(out, e->valuestring);
    }
}

static bool read_text(const struct reading *r, const char *path, const struct member *m,
                      const cJSON *v, char **out)
{
    struct buf text = { 0 };
    bool ok = false;

    if (m->is_list && is_list_of_strings(v))
        join(&text, v);
    else if (cJSON_IsString(v))
        buf_str(&text, v->valuestring);
    else
        return fault(r, "%s: must be a string%s", path, m->is_list ? " or a list of strings" : "");
    if (text.n < m->least || text.n > m->most)
        (void)fault(r, "%s: %zu bytes is out of range (%zu to %zu)", path, text.n, m->least,
                    m->most);
    else if (!utf8_valid(buf_view(&text)))
        (void)fault(r, "%s: is not valid UTF-8", path);
    else
        ok = true;
    if (ok)
        *out = bytes_dup_str(buf_view(&text));
    if (text.n)
        explicit_bzero(text.p, text.n);
    buf_fini(&text);
    return ok;
}

/* ---- rows ---- */

static char **place(void *row, const struct member *m)
{
    return (char **)(void *)((char *)row + m->offset);
}

static bool read_member(const struct reading *r, const struct section *of, size_t i, const cJSON *v,
                        void *row)
{
    const struct member *m = member_find(of, v->string);
    char path[PATH_MAX_BYTES], name[PATH_MAX_BYTES];

    if (!m) {
        (void)snprintf(name, sizeof name, "%s[].%s", of->name, log_text(bytes_str(v->string)).s);
        pass_over(r, name);
        return true;
    }
    (void)snprintf(path, sizeof path, "%s[%zu].%s", of->name, i, m->name);
    if (*place(row, m))
        return fault(r, "%s: given twice", path);
    return read_text(r, path, m, v, place(row, m));
}

static bool read_row(const struct reading *r, const struct section *of, size_t i, const cJSON *v,
                     void *row)
{
    if (!cJSON_IsObject(v))
        return fault(r, "%s[%zu]: must be an object", of->name, i);
    for (const cJSON *m = v->child; m; m = m->next)
        if (!read_member(r, of, i, m, row))
            return false;
    for (size_t m = 0; m < of->members; m++)
        if (of->member[m].required && !*place(row, &of->member[m]))
            return fault(r, "%s[%zu].%s: is missing", of->name, i, of->member[m].name);
    return true;
}

static void rows_free(const struct section *of, void *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t m = 0; m < of->members; m++) {
            char *text = *place((char *)rows + i * of->row_bytes, &of->member[m]);

            if (text)
                explicit_bzero(text, strlen(text));
            mem_free(text);
        }
    mem_free(rows);
}

/* NULL: at fault, or there are none, and *count is 0. */
static void *read_rows(const struct reading *r, const struct section *of, const cJSON *list,
                       size_t *count, bool *ok)
{
    size_t n = 0;
    char *rows;

    *ok = cJSON_IsArray(list) || fault(r, "%s: must be a list", of->name);
    if (!*ok)
        return NULL;
    for (const cJSON *v = list->child; v; v = v->next)
        n++;
    *ok = n <= of->most || fault(r, "%s: more than %zu", of->name, of->most);
    if (!*ok || n == 0)
        return NULL;
    *count = n;
    rows = mem_array(n, of->row_bytes);
    n = 0;
    for (const cJSON *v = list->child; v && *ok; v = v->next, n++)
        *ok = read_row(r, of, n, v, rows + n * of->row_bytes);
    return rows; /* a part of it, at fault */
}

/* ---- the file ---- */

static bool read_section(const struct reading *r, const cJSON *v)
{
    struct definitions *d = r->d;
    unsigned at = 0;
    bool ok = true;

    while (at < SECTIONS && strcmp(v->string, sections[at].name) != 0)
        at++;
    if ((at == USERS && d->user) || (at == VHOSTS && d->vhost) ||
        (at == PERMISSIONS && d->permission) || (at == TOPIC_PERMISSIONS && d->topic_permission))
        return fault(r, "%s: given twice", v->string);
    if (at == USERS)
        d->user = read_rows(r, &sections[at], v, &d->user_count, &ok);
    else if (at == VHOSTS)
        d->vhost = read_rows(r, &sections[at], v, &d->vhost_count, &ok);
    else if (at == PERMISSIONS)
        d->permission = read_rows(r, &sections[at], v, &d->permission_count, &ok);
    else if (at == TOPIC_PERMISSIONS)
        d->topic_permission = read_rows(r, &sections[at], v, &d->topic_permission_count, &ok);
    else if (v->child) /* versions and such are no section */
        pass_over(r, log_text(bytes_str(v->string)).s);
    return ok;
}

static bool not_json(const struct reading *r, struct bytes text, size_t at)
{
    size_t line = 1, column = 1;

    for (size_t i = 0; i < at && i < text.n; i++) {
        column = text.p[i] == '\n' ? 1 : column + 1;
        line += text.p[i] == '\n';
    }
    return fault(r, "line %zu, column %zu: not valid JSON", line, column);
}

/* A NUL, escaped or not, would cut a text short. */
static bool has_nul(struct bytes text, size_t *at)
{
    for (size_t i = 0; i < text.n; i++) {
        *at = i;
        if (text.p[i] == 0 || bytes_starts(bytes_from(text, i), BYTES("\\u0000")))
            return true;
        i += text.p[i] == '\\';
    }
    return false;
}

static void wipe(const cJSON *first)
{
    for (const cJSON *v = first; v; v = v->next)
        if (cJSON_IsString(v))
            explicit_bzero(v->valuestring, strlen(v->valuestring));
}

/* The strings of rows, where passwords are. */
static void wipe_rows(const cJSON *root)
{
    for (const cJSON *section = root->child; section; section = section->next)
        for (const cJSON *row = section->child; row; row = row->next)
            wipe(row->child);
}

static bool read_tree(const struct reading *r, struct bytes text)
{
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts((const char *)text.p, text.n, &end, false);
    size_t at = end ? (size_t)((const uint8_t *)end - text.p) : text.n;
    bool ok = true;

    while (root && at < text.n && text.p[at] <= ' ')
        at++;
    if (!root || at < text.n)
        ok = not_json(r, text, at);
    else if (!cJSON_IsObject(root))
        ok = fault(r, "the file must hold one object { ... }");
    for (const cJSON *v = ok ? root->child : NULL; v && ok; v = v->next)
        ok = read_section(r, v);
    if (root)
        wipe_rows(root);
    cJSON_Delete(root);
    return ok;
}

struct definitions *definitions_read(struct bytes text, struct settings_fault *why)
{
    struct definitions *d = mem_new(struct definitions);
    struct reading r = { .why = why, .d = d };
    size_t at = 0;

    if (has_nul(text, &at)) {
        (void)not_json(&r, text, at);
        definitions_free(&d);
    } else if (!read_tree(&r, text)) {
        definitions_free(&d);
    }
    return d;
}

struct definitions *definitions_load(const char *path, struct settings_fault *why)
{
    struct buf text = { 0 };
    FILE *f = fopen(path, "re");
    struct definitions *d = NULL;

    if (f)
        text.n = fread(buf_reserve(&text, DEFINITIONS_FILE_MAX_BYTES + 1), 1,
                       DEFINITIONS_FILE_MAX_BYTES + 1, f);
    if (!f || ferror(f))
        (void)snprintf(why->text, sizeof why->text, "%s", strerrordesc_np(errno));
    else if (text.n > DEFINITIONS_FILE_MAX_BYTES)
        (void)snprintf(why->text, sizeof why->text, "larger than 16 MiB");
    else
        d = definitions_read(buf_view(&text), why);
    if (f)
        (void)fclose(f);
    if (text.n)
        explicit_bzero(text.p, text.n);
    buf_fini(&text);
    return d;
}

void definitions_free(struct definitions **d)
{
    if (!*d)
        return;
    rows_free(&sections[USERS], (*d)->user, (*d)->user_count);
    rows_free(&sections[VHOSTS], (*d)->vhost, (*d)->vhost_count);
    rows_free(&sections[PERMISSIONS], (*d)->permission, (*d)->permission_count);
    rows_free(&sections[TOPIC_PERMISSIONS], (*d)->topic_permission, (*d)->topic_permission_count);
    buf_fini(&(*d)->passed_over);
    mem_free(*d);
    *d = NULL;
}
