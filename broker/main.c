// SPDX-License-Identifier: MIT
/* main.c - the daemon `lodged`: settings, then the broker, then its exit status. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "config/options.h"

static int complain(enum option_result r, const struct settings_fault *why)
{
    (void)fprintf(stderr, "lodged: %s\n", why->text);
    return r == OPTIONS_USAGE ? EX_USAGE : EX_CONFIG;
}

static int check_config(const struct settings *s)
{
    struct settings_fault why;

    if (definitions_check(s, &why)) {
        (void)puts("lodged: settings are good");
        return 0;
    }
    (void)fprintf(stderr, "lodged: %s: %s\n", s->definitions.s, why.text);
    return EX_CONFIG;
}

/* True: there is nothing more to do than that. */
static bool only_print(enum option_action action)
{
    switch (action) {
    case OPTION_HELP:
        options_print_help(stdout);
        return true;
    case OPTION_HELP_SETTINGS:
        settings_print_markdown(stdout);
        return true;
    case OPTION_VERSION:
        (void)puts("lodged " LODGE_VERSION);
        return true;
    case OPTION_CHECK_CONFIG:
    case OPTION_RUN:
        break;
    }
    return false;
}

int main(int argc, char **argv)
{
    uint64_t started_ns = clock_monotonic_ns();
    struct broker *b;
    enum option_action action;
    struct settings_fault why;
    int status = 0;

    mem_setup();
    b = mem_new(struct broker);
    b->argc = argc;
    b->argv = argv;
    b->lock.fd = b->signal_fd = -1;
    b->armed_at_ms = UINT64_MAX;
    enum option_result r = options_read(argc, argv, &b->settings, &action, &why);
    if (r != OPTIONS_OK) {
        status = complain(r, &why);
    } else if (action == OPTION_CHECK_CONFIG) {
        status = check_config(&b->settings);
    } else if (!only_print(action)) {
        status = broker_start(b, started_ns);
        if (status == 0)
            status = broker_run(b);
        broker_fini(b);
    }
    mem_free(b);
    return fflush(stdout) == 0 ? status : EX_IOERR;
}
