// SPDX-License-Identifier: MIT
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "client/cmd/commands.h"

static const struct command *command_of(const char *word)
{
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return &command_help;
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        return &command_version;
    return command_find(word);
}

int main(int argc, char **argv)
{
    struct settings *settings = mem_new(struct settings);
    const struct command *c;
    char error[200];
    bool help;
    int code = EXIT_USAGE;

    if (argc < 2) {
        help_all(stderr);
    } else if (!(c = command_of(argv[1]))) {
        (void)fprintf(stderr, "lodge: there is no command %.80s; see lodge help\n", argv[1]);
    } else if (!options_parse(c, argc - 2, argv + 2, settings, &help, error)) {
        (void)fprintf(stderr, "lodge %s: %s; see lodge help %s\n", c->name, error, c->name);
    } else if (help) {
        help_command(stdout, c);
        code = EXIT_DONE;
    } else {
        (void)signal(SIGPIPE, SIG_IGN);
        code = c->run(settings);
    }
    mem_free(settings);
    return code;
}
