// SPDX-License-Identifier: MIT
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    LINE_MAX_BYTES = 2048,
    JSON_TAIL_BYTES = 16, /* kept free, so that a line cut short still closes its object */
    JSON_CHAR_BYTES = 6,  /* the longest form of one octet */
};

/* SIGHUP may change them while the storage threads log. */
static _Atomic(enum log_level) least_level = LOG_INFO;
static _Atomic(bool) as_json;

static const char *const level_names[] = { "debug", "info", "warn", "error", "fatal" };

void log_configure(enum log_level least, bool json)
{
    least_level = least;
    as_json = json;
}

bool log_enabled(enum log_level level)
{
    return level >= least_level;
}

struct line {
    char s[LINE_MAX_BYTES];
    size_t n;
};

__attribute__((format(printf, 2, 0))) static void line_vfmt(struct line *l, const char *fmt,
                                                            va_list ap)
{
    int n = vsnprintf(l->s + l->n, sizeof l->s - l->n, fmt, ap);

    if (n > 0)
        l->n += (size_t)n < sizeof l->s - l->n ? (size_t)n : sizeof l->s - l->n - 1;
}

__attribute__((format(printf, 2, 3))) static void line_fmt(struct line *l, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    line_vfmt(l, fmt, ap);
    va_end(ap);
}

static bool json_has_room(const struct line *l)
{
    return l->n + JSON_CHAR_BYTES + JSON_TAIL_BYTES <= sizeof l->s;
}

static void json_string(struct line *l, const char *s, size_t n)
{
    line_fmt(l, "\"");
    for (size_t i = 0; i < n && json_has_room(l); i++) {
        unsigned char c = (unsigned char)s[i];

        if (c == '"' || c == '\\')
            line_fmt(l, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            line_fmt(l, "\\u%04x", c);
        else
            line_fmt(l, "%c", c);
    }
    line_fmt(l, "\"");
}

/* Splits `k=v k="v w"` into members of the object. */
static void json_pairs(struct line *l, const char *s)
{
    while (*s && json_has_room(l)) {
        const char *eq = strchr(s, '=');

        if (!eq)
            return;
        line_fmt(l, ",");
        json_string(l, s, (size_t)(eq - s));
        line_fmt(l, ":");
        const char *value = eq + 1;
        bool quoted = *value == '"';
        if (quoted)
            value++;
        const char *end = value;
        while (*end && *end != (quoted ? '"' : ' '))
            end += *end == '\\' && end[1] ? 2 : 1;
        json_string(l, value, (size_t)(end - value));
        s = end;
        while (*s == '"' || *s == ' ')
            s++;
    }
}

static void stamp(struct line *l)
{
    uint64_t ms = clock_wall_ms();
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    char day[32];

    (void)gmtime_r(&t, &tm);
    (void)strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    line_fmt(l, "%s.%03uZ", day, (unsigned)(ms % 1000));
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    struct line pairs = { .n = 0 }, l = { .n = 0 };
    va_list ap;

    if (level < least_level)
        return;
    va_start(ap, fmt);
    line_vfmt(&pairs, fmt, ap);
    va_end(ap);
    if (as_json) {
        line_fmt(&l, "{\"time\":\"");
        stamp(&l);
        line_fmt(&l, "\",\"level\":\"%s\",\"event\":\"%s\"", level_names[level], event);
        json_pairs(&l, pairs.s);
        line_fmt(&l, "}");
    } else {
        stamp(&l);
        line_fmt(&l, " %s %s%s%s", level_names[level], event, pairs.n ? " " : "", pairs.s);
    }
    l.s[l.n++] = '\n';
    /* One write a line: lines of several threads do not mix. */
    ssize_t written = write(STDERR_FILENO, l.s, l.n);
    (void)written;
}

struct log_str log_text(struct bytes b)
{
    static const char hex[] = "0123456789abcdef";
    struct log_str out;
    size_t n = 0, i = 0;
    bool quote = b.n == 0;

    for (size_t k = 0; k < b.n && !quote; k++)
        quote = b.p[k] <= ' ' || b.p[k] >= 0x7f || b.p[k] == '"' || b.p[k] == '=' || b.p[k] == '\\';
    if (quote)
        out.s[n++] = '"';
    for (; i < b.n && n + 9 < sizeof out.s; i++) {
        uint8_t c = b.p[i];

        if (c == '"' || c == '\\') {
            out.s[n++] = '\\';
            out.s[n++] = (char)c;
        } else if (c < ' ' || c >= 0x7f) {
            out.s[n++] = '\\';
            out.s[n++] = 'x';
            out.s[n++] = hex[c >> 4];
            out.s[n++] = hex[c & 15];
        } else {
            out.s[n++] = (char)c;
        }
    }
    if (i < b.n) {
        memcpy(out.s + n, "...", 3);
        n += 3;
    }
    if (quote)
        out.s[n++] = '"';
    out.s[n] = 0;
    return out;
}

bool log_allowed(struct log_limit *l, unsigned burst, unsigned *dropped_out)
{
    uint64_t now_s = clock_monotonic_ns() / 1000000000;

    if (now_s != l->window_s) {
        l->window_s = now_s;
        l->count = 0;
    }
    if (l->count >= burst) {
        l->dropped++;
        return false;
    }
    l->count++;
    *dropped_out = l->dropped;
    l->dropped = 0;
    return true;
}
