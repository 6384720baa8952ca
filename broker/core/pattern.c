// SPDX-License-Identifier: MIT
#include "broker/core/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

/* About a millisecond of backtracking, and no more memory than that. */
enum { STEPS_MAX = 100000, DEPTH_MAX = 10000, HEAP_MAX_KIB = 1024, NESTING_MAX = 100 };

enum pattern_kind { PATTERN_ALL, PATTERN_EMPTY, PATTERN_REGEX };

struct pattern {
    enum pattern_kind kind;
    char *text;
    pcre2_code *code; /* PATTERN_REGEX */
    pcre2_match_context *budget;
    struct log_limit faults;
};

static void say_why(char why[PATTERN_WHY_BYTES], int code, size_t at)
{
    PCRE2_UCHAR text[128];

    if (!why)
        return;
    (void)pcre2_get_error_message(code, text, sizeof text);
    (void)snprintf(why, PATTERN_WHY_BYTES, "%s at offset %zu", (const char *)text, at);
}

static bool compile(struct pattern *p, struct bytes text, char why[PATTERN_WHY_BYTES])
{
    pcre2_compile_context *how = pcre2_compile_context_create(NULL);
    PCRE2_SIZE at = 0;
    int code = 0;

    CHECK(how);
    (void)pcre2_set_parens_nest_limit(how, NESTING_MAX);
    p->code = pcre2_compile(text.p, text.n, 0, &code, &at, how);
    pcre2_compile_context_free(how);
    if (!p->code) {
        say_why(why, code, at);
        return false;
    }
    p->budget = pcre2_match_context_create(NULL);
    CHECK(p->budget);
    (void)pcre2_set_match_limit(p->budget, STEPS_MAX);
    (void)pcre2_set_depth_limit(p->budget, DEPTH_MAX);
    (void)pcre2_set_heap_limit(p->budget, HEAP_MAX_KIB);
    return true;
}

struct pattern *pattern_new(struct bytes text, char why[PATTERN_WHY_BYTES])
{
    struct pattern *p;

    if (text.n > PATTERN_MAX_BYTES) {
        if (why)
            (void)snprintf(why, PATTERN_WHY_BYTES, "longer than %d bytes", PATTERN_MAX_BYTES);
        return NULL;
    }
    p = mem_new(struct pattern);
    p->text = bytes_dup_str(text);
    p->kind = PATTERN_REGEX;
    if (bytes_eq(text, BYTES(".*")))
        p->kind = PATTERN_ALL;
    else if (text.n == 0 || bytes_eq(text, BYTES("^$")))
        p->kind = PATTERN_EMPTY;
    else if (!compile(p, text, why))
        pattern_free(&p);
    return p;
}

void pattern_free(struct pattern **p)
{
    if (!*p)
        return;
    pcre2_code_free((*p)->code);
    pcre2_match_context_free((*p)->budget);
    mem_free((*p)->text);
    mem_free(*p);
    *p = NULL;
}

struct bytes pattern_text(const struct pattern *p)
{
    return bytes_str(p->text);
}

bool pattern_is_all(const struct pattern *p)
{
    return p->kind == PATTERN_ALL;
}

static bool run(struct pattern *p, struct bytes name)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    const uint8_t *at = name.n ? name.p : (const uint8_t *)"";
    unsigned dropped;

    CHECK(data);
    int rc = pcre2_match(p->code, at, name.n, 0, 0, data, p->budget);
    pcre2_match_data_free(data);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH && log_allowed(&p->faults, 1, &dropped))
        log_warn("permission.pattern",
                 "pattern=%s name=%s error=%d effect=\"no match\" unlogged=%u",
                 log_text(pattern_text(p)).s, log_text(name).s, rc, dropped);
    return rc >= 0;
}

bool pattern_matches(struct pattern *p, struct bytes name)
{
    switch (p->kind) {
    case PATTERN_ALL:
        return true;
    case PATTERN_EMPTY:
        return name.n == 0;
    case PATTERN_REGEX:
        return run(p, name);
    }
    CHECK_UNREACHABLE();
}
