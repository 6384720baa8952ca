// SPDX-License-Identifier: MIT
#include "config/settings.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdarg.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/settings_table.h"

enum { FILE_MAX_BYTES = 1 << 20, PATH_MAX_BYTES = 128, SETTINGS_MAX = 256 };

/* cJSON keeps no positions, but it keeps the order: the n-th key of the tree is
 * the n-th key of the text. */
struct reading {
    struct settings *s;
    const char *file;
    struct settings_fault *why;
    unsigned *key_line;
    size_t key_count, key_cap, next_key;
    bool seen[SETTINGS_MAX]; /* "a.b" and "a": {"b"} are one */
};

__attribute__((format(printf, 3, 4))) static bool fault_at(const struct reading *r, unsigned line,
                                                           const char *fmt, ...)
{
    char what[400];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    (void)snprintf(r->why->text, sizeof r->why->text, "%.100s:%u: %s", r->file, line, what);
    return false;
}

static unsigned line_at(struct bytes text, size_t at)
{
    unsigned line = 1;

    for (size_t i = 0; i < at && i < text.n; i++)
        line += text.p[i] == '\n';
    return line;
}

/* ---- comments and positions ---- */

/* The offset after the string that begins at `at`. */
static size_t skip_string(const uint8_t *p, size_t n, size_t at)
{
    for (at++; at < n && p[at] != '"'; at++)
        if (p[at] == '\\')
            at++;
    return at < n ? at + 1 : n;
}

/* The offset after the comment that begins at `at`; 0: it has no end. */
static size_t skip_comment(const uint8_t *p, size_t n, size_t at)
{
    bool block = p[at + 1] == '*';

    for (at += 2; at < n; at++) {
        if (!block && p[at] == '\n')
            return at;
        if (block && p[at] == '*' && at + 1 < n && p[at + 1] == '/')
            return at + 2;
    }
    return block ? 0 : n;
}

static bool blank_comments(const struct reading *r, uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        if (p[i] == '"') {
            i = skip_string(p, n, i);
            continue;
        }
        if (p[i] != '/' || i + 1 == n || (p[i + 1] != '/' && p[i + 1] != '*')) {
            i++;
            continue;
        }
        size_t end = skip_comment(p, n, i);
        if (end == 0)
            return fault_at(r, line_at(bytes_of(p, n), i), "a comment without an end");
        for (; i < end; i++)
            if (p[i] != '\n')
                p[i] = ' ';
    }
    return true;
}

/* A comma after the last member is taken as JSON with comments usually has it, so
 * that any line may be commented in or out. */
static void blank_last_commas(uint8_t *p, size_t n)
{
    size_t comma = n;         /* where one is that may be the last */
    bool after_value = false; /* not directly behind '{' or another comma */

    for (size_t i = 0; i < n;) {
        uint8_t c = p[i];

        if (c == '}' && comma < n)
            p[comma] = ' ';
        if (c > ' ') {
            comma = c == ',' && after_value ? i : n;
            after_value = c != '{' && c != ',';
        }
        i = c == '"' ? skip_string(p, n, i) : i + 1;
    }
}

static void find_keys(struct reading *r, const uint8_t *p, size_t n)
{
    unsigned line = 1;

    for (size_t i = 0; i < n;) {
        if (p[i] != '"') {
            line += p[i++] == '\n';
            continue;
        }
        unsigned key_line = line;
        size_t end = skip_string(p, n, i);
        for (; i < end; i++)
            line += p[i] == '\n';
        for (; i < n && p[i] <= ' '; i++)
            line += p[i] == '\n';
        if (i == n || p[i] != ':')
            continue;
        r->key_line = mem_grow(r->key_line, &r->key_cap, r->key_count + 1, sizeof *r->key_line);
        r->key_line[r->key_count++] = key_line;
    }
}

/* ---- the tree ---- */

static bool type_fits(enum setting_type type, const cJSON *v)
{
    switch (type) {
    case SETTING_BOOL:
        return cJSON_IsBool(v);
    case SETTING_COUNT:
        return cJSON_IsNumber(v);
    case SETTING_BYTES:
    case SETTING_MS:
        return cJSON_IsNumber(v) || cJSON_IsString(v);
    case SETTING_TEXT:
    case SETTING_ADDRESS:
    case SETTING_ENUM:
        return cJSON_IsString(v);
    }
    return false;
}

static const char *expected(enum setting_type type)
{
    switch (type) {
    case SETTING_BOOL:
        return "true or false";
    case SETTING_COUNT:
        return "a number";
    case SETTING_BYTES:
    case SETTING_MS:
        return "a number, or a string with a unit";
    case SETTING_TEXT:
    case SETTING_ADDRESS:
    case SETTING_ENUM:
        return "a string";
    }
    return "";
}

static bool read_value(const struct reading *r, unsigned line, const struct setting *d,
                       const cJSON *v)
{
    struct settings_fault reason;
    char number[32];
    const char *text = cJSON_IsTrue(v) ? "true" : "false";

    if (!type_fits(d->type, v))
        return fault_at(r, line, "%s: must be %s", d->name, expected(d->type));
    if (cJSON_IsString(v))
        text = v->valuestring;
    if (cJSON_IsNumber(v)) {
        /* Up to 2^53 every whole number is exact. */
        if (!(v->valuedouble >= 0 && v->valuedouble <= 9007199254740992.0) ||
            (double)(uint64_t)v->valuedouble < v->valuedouble)
            return fault_at(r, line, "%s: must be a whole number, not negative", d->name);
        (void)snprintf(number, sizeof number, "%.0f", v->valuedouble);
        text = number;
    }
    if (setting_put(d, r->s, bytes_str(text), &reason))
        return true;
    return fault_at(r, line, "%s: %.300s", d->name, reason.text);
}

/* Is there a setting below `path`? */
static bool is_section(const char *path)
{
    size_t n = strlen(path);

    for (size_t i = 0; i < settings_count; i++)
        if (strncmp(settings_table[i].name, path, n) == 0 && settings_table[i].name[n] == '.')
            return true;
    return false;
}

static bool repeated(struct reading *r, const struct setting *d, const cJSON *object,
                     const cJSON *key)
{
    if (d) {
        size_t at = (size_t)(d - settings_table);
        bool again = r->seen[at];

        r->seen[at] = true;
        return again;
    }
    for (const cJSON *k = object->child; k != key; k = k->next)
        if (strcmp(k->string, key->string) == 0)
            return true;
    return false;
}

static bool read_object(struct reading *r, const cJSON *object, const char *prefix);

/* The depth is that of the names: two levels, for others are unknown. */
static bool read_member(struct reading *r, const cJSON *object, const cJSON *v, const char *prefix)
{
    char path[PATH_MAX_BYTES];
    unsigned line = r->next_key < r->key_count ? r->key_line[r->next_key] : 0;
    int n = snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", v->string);
    const struct setting *d = setting_find(bytes_str(path));

    r->next_key++;
    if (n < 0 || (size_t)n >= sizeof path || (!d && !is_section(path)))
        return fault_at(r, line, "%s: no such setting", log_text(bytes_str(path)).s);
    if (repeated(r, d, object, v))
        return fault_at(r, line, "%s: given twice", path);
    if (!d && !cJSON_IsObject(v))
        return fault_at(r, line, "%s: must be an object", path);
    return d ? read_value(r, line, d, v) : read_object(r, v, path);
}

static bool read_object(struct reading *r, const cJSON *object, const char *prefix)
{
    for (const cJSON *v = object->child; v; v = v->next)
        if (!read_member(r, object, v, prefix))
            return false;
    return true;
}

static bool read_json(struct reading *r, struct bytes text)
{
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts((const char *)text.p, text.n, &end, false);
    size_t at = end ? (size_t)((const uint8_t *)end - text.p) : text.n;
    bool ok = false;

    while (root && at < text.n && text.p[at] <= ' ')
        at++;
    if (!root || at < text.n)
        (void)fault_at(r, line_at(text, at), "not valid JSON");
    else if (!cJSON_IsObject(root))
        (void)fault_at(r, 1, "the file must hold one object { ... }");
    else
        ok = read_object(r, root, "");
    cJSON_Delete(root);
    return ok;
}

bool settings_read(struct settings *s, const char *file, struct bytes text,
                   struct settings_fault *why)
{
    struct reading r = { .s = s, .file = file, .why = why };
    struct buf copy = { 0 };
    bool ok = false;

    CHECK(settings_count <= SETTINGS_MAX);
    buf_bytes(&copy, text);
    buf_u8(&copy, 0);
    copy.n--;
    if (text.n > 0 && memchr(text.p, 0, text.n)) {
        (void)fault_at(&r, 1, "holds a zero byte");
    } else if (blank_comments(&r, copy.p, copy.n)) {
        blank_last_commas(copy.p, copy.n);
        find_keys(&r, copy.p, copy.n);
        ok = read_json(&r, buf_view(&copy));
    }
    mem_free(r.key_line);
    buf_fini(&copy);
    return ok;
}

bool settings_load(struct settings *s, const char *path, struct settings_fault *why)
{
    struct buf text = { 0 };
    FILE *f = fopen(path, "re");
    bool ok = false;

    if (f) {
        size_t got = fread(buf_reserve(&text, FILE_MAX_BYTES + 1), 1, FILE_MAX_BYTES + 1, f);

        text.n = got;
    }
    if (!f || ferror(f))
        (void)snprintf(why->text, sizeof why->text, "%.300s: %s", path, strerrordesc_np(errno));
    else if (text.n > FILE_MAX_BYTES)
        (void)snprintf(why->text, sizeof why->text, "%.300s: larger than 1 MiB", path);
    else
        ok = settings_read(s, path, buf_view(&text), why);
    if (f)
        (void)fclose(f);
    buf_fini(&text);
    return ok;
}
