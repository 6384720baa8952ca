// SPDX-License-Identifier: MIT
/* mqtt_paho_c.h - checks of the Paho C client, one line `ok SENTENCE` or `not ok SENTENCE: WHY` each.
 *
 * Its two libraries cannot be linked together, so there are two programs: mqtt_paho_c of the
 * blocking API, mqtt_paho_c_async of the other.  Each runs its checks at 3.1.1 and at 5.0 against
 * the server whose port is the argument; test_mqtt_clients.py starts both. */
#ifndef INTEROP_MQTT_PAHO_C_H
#define INTEROP_MQTT_PAHO_C_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000, QUIET_MS = 200, BURST = 10000, EVERY_BYTE = 256 };

struct check {
    const char *sentence;
    bool (*run)(int version);
    bool only_5;
};

static char why[256], uri[64];

/* In a check: false at the first condition that does not hold. */
#define NEED(cond)                                                           \
    do {                                                                     \
        if (!(cond)) {                                                       \
            (void)snprintf(why, sizeof why, "line %d: %s", __LINE__, #cond); \
            return false;                                                    \
        }                                                                    \
    } while (0)

/* A name that nobody used before: the last sixteen stay. */
static const char *fresh(const char *kind)
{
    static char names[16][64];
    static unsigned n;
    char *name = names[n % 16];

    (void)snprintf(name, sizeof names[0], "paho-c-%d-%s%u", (int)getpid(), kind, n);
    n++;
    return name;
}

static const char *join(const char *a, const char *b)
{
    static char joined[4][160];
    static unsigned n;
    char *to = joined[n++ % 4];

    (void)snprintf(to, sizeof joined[0], "%s%s", a, b);
    return to;
}

static int run_checks(int argc, char **argv, const char *api, const struct check *checks,
                      size_t count)
{
    static const struct {
        int number;
        const char *name;
    } versions[] = { { 4, "3.1.1" }, { 5, "5.0" } };
    bool all = true;

    if (argc != 2)
        return 2;
    (void)snprintf(uri, sizeof uri, "tcp://127.0.0.1:%s", argv[1]);
    for (size_t v = 0; v < 2; v++)
        for (size_t i = 0; i < count; i++) {
            if (checks[i].only_5 && versions[v].number < 5)
                continue;
            bool ok = checks[i].run(versions[v].number);
            all &= ok;
            printf("%sok paho C, %s, MQTT %s: %s%s%s\n", ok ? "" : "not ", api, versions[v].name,
                   checks[i].sentence, ok ? "" : ": ", ok ? "" : why);
            (void)fflush(stdout);
        }
    return all ? 0 : 1;
}

#endif
