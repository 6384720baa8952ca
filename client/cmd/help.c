// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <string.h>

#include "client/cmd/commands.h"

enum { HELP_COLUMN = 26 };

static const struct command *const commands[] = {
    &command_pub,   &command_sub,  &command_request, &command_reply,
    &command_bench, &command_help, &command_version,
};

const struct command *command_nth(size_t n)
{
    return n < COUNT_OF(commands) ? commands[n] : NULL;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

void help_all(FILE *out)
{
    (void)fputs("usage: lodge COMMAND [OPTION...] [ARGUMENT...]\n\n", out);
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        (void)fprintf(out, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    (void)fputs("\n"
                "A destination NAME means /queue/NAME; others: /topic/KEY, /exchange/NAME/KEY.\n"
                "`lodge help COMMAND` lists its options.\n\n"
                "exit: 0 done, 1 failed or refused, 2 wrong usage, 3 timed out, 4 cannot connect\n",
                out);
}

static void help_option(FILE *out, const struct option_row *o)
{
    char left[64];
    int n = snprintf(left, sizeof left, "  %c%c%s --%s%s%s", o->letter ? '-' : ' ',
                     o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name,
                     o->value ? " " : "", o->value ? o->value : "");

    if (n > HELP_COLUMN)
        (void)fprintf(out, "%s\n%*s", left, HELP_COLUMN + 2, "");
    else
        (void)fprintf(out, "%-*s  ", HELP_COLUMN, left);
    (void)fputs(o->help, out);
    if (o->fallback)
        (void)fprintf(out, " [%s]", o->fallback);
    (void)fputc('\n', out);
}

void help_command(FILE *out, const struct command *c)
{
    const struct option_row *o;

    (void)fprintf(out, "usage: lodge %s%s%s%s\n%s\n", c->name,
                  options_nth(c, 0) ? " [OPTION...]" : "", c->arguments[0] ? " " : "", c->arguments,
                  c->summary);
    if (c->detail)
        (void)fprintf(out, "\n%s\n", c->detail);
    (void)fputc('\n', out);
    for (size_t i = 0; (o = options_nth(c, i)); i++)
        help_option(out, o);
}

/* One word a line, for the shell's completion. */
static void print_words(const struct command *c)
{
    const struct option_row *o;

    for (size_t i = 0; !c && i < COUNT_OF(commands); i++)
        (void)puts(commands[i]->name);
    for (size_t i = 0; c && (o = options_nth(c, i)); i++) {
        (void)printf("--%s\n", o->name);
        if (o->letter)
            (void)printf("-%c\n", o->letter);
    }
}

static int run_help(struct settings *s)
{
    const struct command *c = s->argument_count ? command_find(s->argument[0]) : NULL;

    if (s->argument_count && !c) {
        (void)fprintf(stderr, "lodge: there is no command %.80s\n", s->argument[0]);
        return EXIT_USAGE;
    }
    if (s->words)
        print_words(c);
    else if (c)
        help_command(stdout, c);
    else
        help_all(stdout);
    return EXIT_DONE;
}

static int run_version(struct settings *s)
{
    (void)s;
    (void)printf("lodge %s\n", lodge_version());
    return EXIT_DONE;
}

static const struct option_row help_options[] = {
    { "words", 0, OPTION_FLAG, OPTION(words), 0, 0, NULL, NULL,
      "only the words, one a line, for completion" },
};

const struct command command_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "say what there is, or what a command takes",
    .arguments_max = 1,
    .options = help_options,
    .option_count = COUNT_OF(help_options),
    .offline = true,
    .run = run_help,
};

const struct command command_version = {
    .name = "version",
    .arguments = "",
    .summary = "print the version",
    .offline = true,
    .run = run_version,
};
