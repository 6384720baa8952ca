// SPDX-License-Identifier: MIT
/* commands.h - the commands of `lodge`, and how it ends. */
#ifndef CLIENT_CMD_COMMANDS_H
#define CLIENT_CMD_COMMANDS_H

#include <stdio.h>

#include "client/cmd/options.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_TIMED_OUT = 3,
    EXIT_NO_SERVER = 4
};

extern const struct command command_pub, command_sub, command_request, command_reply, command_bench,
    command_help, command_version;

/* NULL behind the last. */
const struct command *command_nth(size_t n);
const struct command *command_find(const char *name);

void help_all(FILE *out);
void help_command(FILE *out, const struct command *c);

#endif
