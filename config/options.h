// SPDX-License-Identifier: MIT
/* options.h - the command line of the daemon.
 *
 * Settings come from three places, the later winning: the table's defaults, the
 * file of --config, the command line.  Reading it again (SIGHUP) reads the file
 * again. */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include "config/settings.h"

enum option_action {
    OPTION_RUN,
    OPTION_CHECK_CONFIG,
    OPTION_HELP,
    OPTION_HELP_SETTINGS,
    OPTION_VERSION
};

enum option_result {
    OPTIONS_OK,
    OPTIONS_USAGE, /* the command line is at fault */
    OPTIONS_CONFIG /* the file is */
};

enum option_result options_read(int argc, char **argv, struct settings *s,
                                enum option_action *action, struct settings_fault *why);

void options_print_help(FILE *to);

#endif
