// SPDX-License-Identifier: MIT
/* options.h - a command's options as a table, which drives parsing, help and completion.
 *
 * Long options take "--name value" or "--name=value", short ones "-x value" or
 * "-xvalue"; "--" ends them; they may stand behind arguments.  Pure, but for memory:
 * texts in struct settings point into argv. */
#ifndef CLIENT_CMD_OPTIONS_H
#define CLIENT_CMD_OPTIONS_H

#include "client/lodge.h"

enum option_kind {
    OPTION_FLAG,   /* bool */
    OPTION_TEXT,   /* const char * */
    OPTION_NUMBER, /* uint64_t */
    OPTION_SIZE,   /* uint64_t, bytes: 100, 4k, 1m */
    OPTION_SPAN,   /* uint64_t, milliseconds: 250ms, 3s, 5m, 2h, 1d */
    OPTION_CHOICE, /* unsigned: which word of `value` */
    OPTION_HEADER  /* struct header_list, may be repeated */
};

/* Numbers that were not given. */
#define NOT_GIVEN UINT64_MAX

enum { HEADERS_MAX = 100, ARGUMENTS_MAX = 2 };

struct header_list {
    struct lodge_header at[HEADERS_MAX + 8]; /* room for those that commands add */
    size_t count;
};

/* Everything that can be set, by any command. */
struct settings {
    const char *argument[ARGUMENTS_MAX];
    unsigned argument_count;
    const char *server, *user, *password, *vhost;
    struct header_list headers;
    const char *file, *content_type, *exec;
    bool lines, transient, no_newline, words;
    uint64_t count, priority, delay_ms, ttl_ms, timeout_ms, prefetch, jobs;
    uint64_t size, connections, window, seconds;
    unsigned format;
};

enum format { FORMAT_RAW, FORMAT_JSON, FORMAT_HEADERS };

struct option_row {
    const char *name;
    char letter; /* 0: none */
    enum option_kind kind;
    size_t offset;        /* in struct settings */
    uint64_t min, max;    /* of NUMBER, SIZE and SPAN */
    const char *value;    /* its word in the help; of CHOICE the words: "raw|json" */
    const char *fallback; /* the default, as one would write it; NULL: none */
    const char *help;
};

struct command {
    const char *name, *arguments, *summary, *detail;
    unsigned arguments_min, arguments_max;
    const struct option_row *options; /* its own; the common ones come on top */
    size_t option_count;
    bool offline; /* does not connect: has no common options */
    int (*run)(struct settings *settings);
};

extern const struct option_row common_options[];
extern const size_t common_option_count;

/* The n-th option of a command, its own first; NULL behind the last. */
const struct option_row *options_nth(const struct command *c, size_t n);

/* Reads argv[0..argc), what follows the command's name, over the defaults.  False:
 * `error` says what is wrong.  --help sets `*help`. */
bool options_parse(const struct command *c, int argc, char **argv, struct settings *out, bool *help,
                   char error[200]);

/* The pieces, for tests. */
bool options_size(const char *text, uint64_t *bytes);
bool options_span(const char *text, uint64_t *ms);

/* Tables are written with these. */
#define OPTION(field) offsetof(struct settings, field)
#define COUNT_OF(table) (sizeof(table) / sizeof(table)[0])

#endif
