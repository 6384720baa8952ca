// SPDX-License-Identifier: MIT
/* load_report.c - the figures of one run, for people or as one JSON object. */
#include "tests/bench/load.h"

static bool as_json, first;

void report_begin(bool json)
{
    as_json = json;
    first = true;
    if (json)
        (void)putchar('{');
}

static void name_of(const char *name)
{
    if (as_json)
        (void)printf("%s\"%s\":", first ? "" : ",", name);
    else
        (void)printf("%-26s ", name);
    first = false;
}

void report_number(const char *name, double v, int digits)
{
    name_of(name);
    (void)printf("%.*f%s", digits, v, as_json ? "" : "\n");
}

void report_text(const char *name, const char *v)
{
    name_of(name);
    (void)printf(as_json ? "\"" : "");
    for (; *v; v++)
        (void)putchar(*v == '"' || *v == '\\' || (unsigned char)*v < ' ' ? '?' : *v);
    (void)puts(as_json ? "\"" : "");
}

void report_latency(const char *name, const struct histogram *h)
{
    static const struct {
        const char *name;
        double at;
    } part[] = { { "p50", 0.5 }, { "p99", 0.99 }, { "p999", 0.999 }, { "max", 1 } };
    char full[64];

    if (h->count == 0)
        return;
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        (void)snprintf(full, sizeof full, "%s_%s_us", name, part[i].name);
        report_number(full, histogram_us(h, part[i].at), 1);
    }
}

void report_end(void)
{
    if (as_json)
        (void)puts("}");
}
