// SPDX-License-Identifier: MIT
/* fuzz_definitions.c - the input is a file of definitions, and then a pattern and a name.
 *
 * What is refused says why, on one line; what is accepted is whole and within its limits.
 * A pattern that compiles ends its match within its budget. */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "broker/core/core.h"
#include "config/definitions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_text(const char *text, size_t least, size_t most)
{
    CHECK(text && strlen(text) >= least && strlen(text) <= most && utf8_valid(bytes_str(text)));
}

static void check_all(const struct definitions *d)
{
    CHECK(d->user_count <= DEFINED_USERS_MAX && d->vhost_count <= DEFINED_VHOSTS_MAX);
    for (size_t i = 0; i < d->user_count; i++)
        check_text(d->user[i].name, 1, DEFINED_NAME_MAX_BYTES);
    for (size_t i = 0; i < d->vhost_count; i++)
        check_text(d->vhost[i].name, 1, DEFINED_NAME_MAX_BYTES);
    for (size_t i = 0; i < d->permission_count; i++) {
        check_text(d->permission[i].user, 1, DEFINED_NAME_MAX_BYTES);
        check_text(d->permission[i].configure, 0, DEFINED_PATTERN_MAX_BYTES);
        check_text(d->permission[i].read, 0, DEFINED_PATTERN_MAX_BYTES);
    }
    for (size_t i = 0; i < d->topic_permission_count; i++) {
        check_text(d->topic_permission[i].exchange, 1, DEFINED_NAME_MAX_BYTES);
        check_text(d->topic_permission[i].write, 0, DEFINED_PATTERN_MAX_BYTES);
    }
}

static void check_file(struct bytes in)
{
    struct settings_fault why = { "" };
    struct definitions *d = definitions_read(in, &why);

    if (d)
        check_all(d);
    else
        CHECK(why.text[0] && memchr(why.text, 0, sizeof why.text) && !strchr(why.text, '\n'));
    definitions_free(&d);
}

/* The first byte says how long the pattern is, in fours. */
static void check_pattern(struct bytes in)
{
    char why[PATTERN_WHY_BYTES] = "";
    size_t n = in.n > 0 ? in.p[0] * (size_t)4 : 0;
    struct bytes text = bytes_head(bytes_from(in, 1), n), name = bytes_from(in, 1 + text.n);
    struct pattern *p = pattern_new(text, why);

    CHECK(p || *why);
    if (p)
        (void)pattern_matches(p, bytes_head(name, 255));
    pattern_free(&p);
    (void)core_topic_pattern_ok(text, why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *exact = mem_alloc(n); /* so that reading on is seen */
    struct bytes in = { exact, n };

    log_configure(LOG_FATAL, false);
    if (n > 0)
        memcpy(exact, data, n);
    check_file(in);
    check_pattern(in);
    mem_free(exact);
    return 0;
}
