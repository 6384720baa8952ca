// SPDX-License-Identifier: MIT
#include "client/cmd/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"

const struct option_row common_options[] = {
    { "server", 's', OPTION_TEXT, OPTION(server), 0, 0, "ADDRESS", "127.0.0.1:61613",
      "[stomp://][user[:password]@]host[:port]; also $LODGE_SERVER" },
    { "user", 'u', OPTION_TEXT, OPTION(user), 0, 0, "NAME", "guest", "who logs in" },
    { "password", 0, OPTION_TEXT, OPTION(password), 0, 0, "TEXT", "guest",
      "better put into $LODGE_PASSWORD: others can see arguments" },
    { "vhost", 0, OPTION_TEXT, OPTION(vhost), 0, 0, "NAME", "/", "virtual host" },
};
const size_t common_option_count = COUNT_OF(common_options);

static const struct option_row help_option = { "help", 'h',  OPTION_FLAG, 0,          0,
                                               0,      NULL, NULL,        "this text" };

const struct option_row *options_nth(const struct command *c, size_t n)
{
    size_t common = c->offline ? 0 : common_option_count;

    if (n < c->option_count)
        return &c->options[n];
    n -= c->option_count;
    if (n < common)
        return &common_options[n];
    return n == common ? &help_option : NULL;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* Decimal digits, then one of the units. */
static bool parse_unit(const char *text, const struct unit *units, uint64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t number;

    if (!bytes_to_u64(bytes_of(text, digits), UINT64_MAX - 1, &number))
        return false;
    for (; units->name; units++) {
        if (strcmp(units->name, text + digits) == 0) {
            *out = number * units->factor;
            return number <= (UINT64_MAX - 1) / units->factor;
        }
    }
    return false;
}

bool options_size(const char *text, uint64_t *bytes)
{
    static const struct unit units[] = {
        { "", 1 },        { "k", 1 << 10 }, { "K", 1 << 10 }, { "m", 1 << 20 },
        { "M", 1 << 20 }, { "g", 1 << 30 }, { "G", 1 << 30 }, { NULL, 0 },
    };

    return parse_unit(text, units, bytes);
}

bool options_span(const char *text, uint64_t *ms)
{
    static const struct unit units[] = {
        { "ms", 1 },      { "s", 1000 },     { "m", 60000 },
        { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 },
    };

    if (strcmp(text, "0") == 0) {
        *ms = 0;
        return true;
    }
    return parse_unit(text, units, ms);
}

static bool parse_choice(const char *words, const char *text, unsigned *out)
{
    size_t n = strlen(text);

    for (unsigned i = 0;; i++) {
        size_t word = strcspn(words, "|");

        if (word == n && strncmp(words, text, n) == 0) {
            *out = i;
            return true;
        }
        if (!words[word])
            return false;
        words += word + 1;
    }
}

static const char *parse_header(struct header_list *list, char *text)
{
    char *colon = strchr(text, ':');

    if (!colon || colon == text)
        return "must be NAME:VALUE";
    if (list->count == HEADERS_MAX)
        return "comes too often";
    *colon = '\0';
    list->at[list->count++] = (struct lodge_header){ text, colon + 1 };
    return NULL;
}

static const char *parse_number(const struct option_row *o, const char *text, uint64_t *out)
{
    uint64_t v;
    bool ok;

    if (o->kind == OPTION_SIZE)
        ok = options_size(text, &v);
    else if (o->kind == OPTION_SPAN)
        ok = options_span(text, &v);
    else
        ok = bytes_to_u64(bytes_str(text), UINT64_MAX - 1, &v);
    if (!ok)
        return o->kind == OPTION_SPAN ? "must be a time with its unit, like 250ms, 3s, 5m, 2h or 1d"
               : o->kind == OPTION_SIZE ? "must be a size, like 100, 4k or 1m"
                                        : "must be a number";
    if (v < o->min)
        return "is too small";
    if (v > o->max)
        return "is too large";
    *out = v;
    return NULL;
}

/* NULL, or what is wrong with `text`. */
static const char *set(const struct option_row *o, struct settings *s, char *text)
{
    void *field = (char *)s + o->offset;

    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return NULL;
    case OPTION_TEXT:
        *(const char **)field = text;
        return NULL;
    case OPTION_NUMBER:
    case OPTION_SIZE:
    case OPTION_SPAN:
        return parse_number(o, text, field);
    case OPTION_CHOICE:
        return parse_choice(o->value, text, field) ? NULL : "is not one of the choices";
    case OPTION_HEADER:
        return parse_header(field, text);
    }
    return "cannot be set";
}

/* Numbers and choices get their fallback here; texts when they are used, so that it is
 * known whether they were given. */
static void set_fallbacks(const struct command *c, struct settings *s)
{
    const struct option_row *o;

    for (size_t i = 0; (o = options_nth(c, i)); i++) {
        bool number = o->kind == OPTION_NUMBER || o->kind == OPTION_SIZE || o->kind == OPTION_SPAN;

        if (number)
            *(uint64_t *)(void *)((char *)s + o->offset) = NOT_GIVEN;
        if (o->fallback && number)
            (void)parse_number(o, o->fallback, (uint64_t *)(void *)((char *)s + o->offset));
    }
}

static const struct option_row *find(const struct command *c, const char *name, size_t n,
                                     char letter)
{
    const struct option_row *o;

    for (size_t i = 0; (o = options_nth(c, i)); i++)
        if (letter ? o->letter == letter : strlen(o->name) == n && memcmp(o->name, name, n) == 0)
            return o;
    return NULL;
}

struct parse {
    const struct command *c;
    int argc, at;
    char **argv;
    struct settings *out;
    bool *help;
    char *error;
};

static bool fail(struct parse *p, const char *option, const char *what)
{
    (void)snprintf(p->error, 200, "%.80s %s", option, what);
    return false;
}

/* The value that is part of the word, or NULL. */
static char *value_in(char *word)
{
    char *equals;

    if (word[1] != '-')
        return word[2] ? word + 2 : NULL;
    equals = strchr(word, '=');
    return equals ? equals + 1 : NULL;
}

static bool set_value(struct parse *p, const struct option_row *o, const char *word, char *value)
{
    const char *wrong;

    if (o->kind == OPTION_FLAG && value)
        return fail(p, word, "takes no value");
    if (o->kind != OPTION_FLAG && !value) {
        if (p->at == p->argc)
            return fail(p, word, "needs a value");
        value = p->argv[p->at++];
    }
    wrong = set(o, p->out, value);
    return wrong ? fail(p, word, wrong) : true;
}

static bool parse_option(struct parse *p, char *word)
{
    bool is_long = word[1] == '-';
    const struct option_row *o = find(p->c, word + 2, is_long ? strcspn(word + 2, "=") : 0,
                                      is_long ? '\0' : word[1]);

    if (!o)
        return fail(p, word, "is not an option of this command");
    if (o == &help_option) {
        *p->help = true;
        return true;
    }
    return set_value(p, o, word, value_in(word));
}

static bool parse_argument(struct parse *p, const char *word)
{
    if (p->out->argument_count == p->c->arguments_max)
        return fail(p, word, "is one argument too many");
    p->out->argument[p->out->argument_count++] = word;
    return true;
}

bool options_parse(const struct command *c, int argc, char **argv, struct settings *out, bool *help,
                   char error[200])
{
    struct parse p = { c, argc, 0, argv, out, help, error };
    bool only_arguments = false;

    *out = (struct settings){
        .priority = NOT_GIVEN,
        .delay_ms = NOT_GIVEN,
        .ttl_ms = NOT_GIVEN,
    };
    *help = false;
    set_fallbacks(c, out);
    while (p.at < argc) {
        char *word = argv[p.at++];
        bool option = !only_arguments && word[0] == '-' && word[1] != '\0';

        if (option && strcmp(word, "--") == 0)
            only_arguments = true;
        else if (!(option ? parse_option(&p, word) : parse_argument(&p, word)))
            return false;
        if (*help)
            return true;
    }
    if (out->argument_count < c->arguments_min)
        return fail(&p, c->arguments, "is missing");
    return true;
}
