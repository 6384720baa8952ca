// SPDX-License-Identifier: MIT
#include "config/settings.h"

#include <stddef.h>

#include "base/check.h"
#include "base/log.h"
#include "config/settings_table.h"

const struct setting settings_table[] = {
#define X(type, field, name, def, least, most, when, choices, help) \
    { SETTING_##type,                                               \
      name,                                                         \
      def,                                                          \
      least,                                                        \
      most,                                                         \
      when,                                                         \
      choices,                                                      \
      help,                                                         \
      offsetof(struct settings, field),                             \
      sizeof((struct settings *)NULL)->field },
    SETTINGS(X)
#undef X
};
const size_t settings_count = sizeof settings_table / sizeof *settings_table;

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit byte_units[] = {
    { "", 1 },           { "k", 1ULL << 10 }, { "m", 1ULL << 20 },
    { "g", 1ULL << 30 }, { "t", 1ULL << 40 }, { NULL, 0 },
};
static const struct unit time_units[] = {
    { "", 1 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { NULL, 0 },
};
static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };

static const struct unit *units_of(enum setting_type type)
{
    if (type == SETTING_BYTES)
        return byte_units;
    return type == SETTING_MS ? time_units : no_units;
}

const struct setting *setting_find(struct bytes name)
{
    for (size_t i = 0; i < settings_count; i++)
        if (bytes_eq(bytes_str(settings_table[i].name), name))
            return &settings_table[i];
    return NULL;
}

static void *value_of(const struct setting *d, struct settings *s)
{
    return (char *)s + d->offset;
}

static const void *const_value_of(const struct setting *d, const struct settings *s)
{
    return (const char *)s + d->offset;
}

static bool fault(struct settings_fault *why, struct bytes value, const char *what)
{
    (void)snprintf(why->text, sizeof why->text, "%s is not %s", log_text(value).s, what);
    return false;
}

/* ---- numbers ---- */

static bool number_with_unit(struct bytes text, const struct unit *units, uint64_t *out)
{
    size_t digits = 0;
    uint64_t n;

    while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
        digits++;
    if (!bytes_to_u64(bytes_head(text, digits), UINT64_MAX, &n))
        return false;
    for (const struct unit *u = units; u->name; u++)
        if (bytes_eq(bytes_from(text, digits), bytes_str(u->name))) {
            *out = n * u->factor;
            return n <= UINT64_MAX / u->factor;
        }
    return false;
}

/* The shortest text that means the same. */
static void format_number(const struct setting *d, uint64_t v, char *out, size_t size)
{
    const struct unit *best = units_of(d->type);

    for (const struct unit *u = best; u->name; u++)
        if (v > 0 && v % u->factor == 0 && u->factor >= best->factor)
            best = u;
    (void)snprintf(out, size, "%llu%s", (unsigned long long)(v / best->factor), best->name);
}

static const char *kind_of(enum setting_type type)
{
    switch (type) {
    case SETTING_BYTES:
        return "a number of bytes, like 4096, 64k, 128m or 1g";
    case SETTING_MS:
        return "a time, like 500ms, 10s, 5m or 1h";
    case SETTING_COUNT:
        return "a whole number";
    case SETTING_BOOL:
        return "true or false";
    case SETTING_ADDRESS:
        return "an address: ADDR:PORT, [IPV6]:PORT, localhost:PORT, unix:PATH or off";
    case SETTING_TEXT:
        return "a text";
    case SETTING_ENUM:
        return "one of the choices";
    }
    CHECK_UNREACHABLE();
}

static bool put_number(const struct setting *d, uint64_t *to, struct bytes value,
                       struct settings_fault *why)
{
    char least[32], most[32];
    uint64_t n;

    if (!number_with_unit(value, units_of(d->type), &n))
        return fault(why, value, kind_of(d->type));
    if (n >= d->least && n <= d->most) {
        *to = n;
        return true;
    }
    format_number(d, d->least, least, sizeof least);
    format_number(d, d->most, most, sizeof most);
    (void)snprintf(why->text, sizeof why->text, "%s is out of range (%s to %s)", log_text(value).s,
                   least, most);
    return false;
}

/* ---- the other types ---- */

static bool put_choice(const struct setting *d, uint64_t *to, struct bytes value,
                       struct settings_fault *why)
{
    const char *at = d->choices;

    for (uint64_t i = 0;; i++) {
        size_t n = strcspn(at, "|");

        if (bytes_eq(bytes_of(at, n), value)) {
            *to = i;
            return true;
        }
        if (at[n] == 0)
            return fault(why, value, d->choices);
        at += n + 1;
    }
}

static bool put_bool(bool *to, struct bytes value, struct settings_fault *why)
{
    bool on = bytes_eq(value, BYTES("true"));

    if (!on && !bytes_eq(value, BYTES("false")))
        return fault(why, value, kind_of(SETTING_BOOL));
    *to = on;
    return true;
}

static bool put_text(const struct setting *d, struct setting_text *to, struct bytes value,
                     struct settings_fault *why)
{
    if (value.n < d->least || value.n > d->most) {
        (void)snprintf(why->text, sizeof why->text, "%zu bytes is out of range (%llu to %llu)",
                       value.n, (unsigned long long)d->least, (unsigned long long)d->most);
        return false;
    }
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < ' ' || value.p[i] == 0x7f)
            return fault(why, value, kind_of(SETTING_TEXT));
    memset(to, 0, sizeof *to);
    if (value.n)
        memcpy(to->s, value.p, value.n);
    return true;
}

bool setting_put(const struct setting *d, struct settings *s, struct bytes value,
                 struct settings_fault *why)
{
    void *to = value_of(d, s);

    switch (d->type) {
    case SETTING_BYTES:
    case SETTING_MS:
    case SETTING_COUNT:
        return put_number(d, to, value, why);
    case SETTING_BOOL:
        return put_bool(to, value, why);
    case SETTING_ENUM:
        return put_choice(d, to, value, why);
    case SETTING_TEXT:
        return put_text(d, to, value, why);
    case SETTING_ADDRESS:
        return address_parse(value, to) || fault(why, value, kind_of(d->type));
    }
    CHECK_UNREACHABLE();
}

void settings_defaults(struct settings *s)
{
    struct settings_fault why;

    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < settings_count; i++)
        CHECK(setting_put(&settings_table[i], s, bytes_str(settings_table[i].def), &why));
}

bool settings_set(struct settings *s, struct bytes name, struct bytes value,
                  struct settings_fault *why)
{
    const struct setting *d = setting_find(name);
    struct settings_fault reason;

    if (!d) {
        (void)snprintf(why->text, sizeof why->text, "%s: no such setting", log_text(name).s);
        return false;
    }
    if (setting_put(d, s, value, &reason))
        return true;
    (void)snprintf(why->text, sizeof why->text, "%s: %.400s", d->name, reason.text);
    return false;
}

void settings_apply(struct settings *running, const struct settings *fresh)
{
    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *d = &settings_table[i];

        if (memcmp(value_of(d, running), const_value_of(d, fresh), d->size) == 0)
            continue;
        if (d->when == AT_START) {
            log_warn("config.needs_restart", "setting=%s", d->name);
            continue;
        }
        memcpy(value_of(d, running), const_value_of(d, fresh), d->size);
        log_info("config.changed", "setting=%s", d->name);
    }
}

/* ---- printing ---- */

static void range_text(const struct setting *d, char *out, size_t size)
{
    char least[32], most[32];

    out[0] = 0;
    if (d->type == SETTING_ENUM) {
        (void)snprintf(out, size, "%s", d->choices);
    } else if (d->type == SETTING_BYTES || d->type == SETTING_MS || d->type == SETTING_COUNT) {
        format_number(d, d->least, least, sizeof least);
        format_number(d, d->most, most, sizeof most);
        (void)snprintf(out, size, "%s to %s", least, most);
    } else if (d->type == SETTING_BOOL) {
        (void)snprintf(out, size, "true|false");
    }
}

void settings_print_help(FILE *to)
{
    char range[80];

    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *d = &settings_table[i];

        range_text(d, range, sizeof range);
        (void)fprintf(to, "  %-19s %s\n%22sdefault %s%s%s%s\n", d->name, d->help, "", d->def,
                      *range ? "; " : "", range, d->when == ON_RELOAD ? "; reloadable" : "");
    }
}

static void print_cell(FILE *to, const char *text)
{
    for (; *text; text++)
        (void)fprintf(to, *text == '|' ? ", " : "%c", *text);
}

void settings_print_markdown(FILE *to)
{
    char range[80];

    (void)fprintf(to, "| setting | default | range | reload | meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *d = &settings_table[i];

        range_text(d, range, sizeof range);
        (void)fprintf(to, "| `%s` | `%s` | ", d->name, d->def);
        print_cell(to, range);
        (void)fprintf(to, " | %s | ", d->when == ON_RELOAD ? "yes" : "no");
        print_cell(to, d->help);
        (void)fprintf(to, " |\n");
    }
}
