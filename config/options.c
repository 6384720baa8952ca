// SPDX-License-Identifier: MIT
#include "config/options.h"

/* Settings with a flag of their own. */
static const struct flag {
    const char *flag, *setting, *value, *help;
} flags[] = {
    { "--data", "data", "DIR", "directory that holds everything on disk" },
    { "--definitions", "definitions", "FILE", "users and permissions, read at start and on HUP" },
    { "--stomp", "stomp.address", "ADDR:PORT|off", "where STOMP clients connect" },
    { "--amqp", "amqp.address", "ADDR:PORT|off", "where AMQP 0-9-1 clients connect" },
    { "--ws", "ws.address", "ADDR:PORT|off", "where WebSocket clients connect" },
    { "--mqtt", "mqtt.address", "ADDR:PORT|off", "where MQTT clients connect" },
    { "--any", "any.address", "ADDR:PORT|off", "where clients of any protocol connect" },
};

static const struct {
    const char *flag;
    enum option_action action;
} actions[] = {
    { "--help", OPTION_HELP },
    { "--help-settings", OPTION_HELP_SETTINGS },
    { "--version", OPTION_VERSION },
    { "--check-config", OPTION_CHECK_CONFIG },
};

struct walk {
    int argc;
    char **argv;
    int at;
    const char *value; /* of the option at hand; NULL: none */
};

static bool usage(struct settings_fault *why, const char *option, const char *what)
{
    (void)snprintf(why->text, sizeof why->text, "%.200s: %s", option, what);
    return false;
}

/* Is the option at hand `name`?  Then its value, from `--name=V` or `--name V`,
 * is in w->value. */
static bool option_is(struct walk *w, const char *name)
{
    const char *arg = w->argv[w->at];
    size_t n = strlen(name);

    if (strncmp(arg, name, n) != 0 || (arg[n] != 0 && arg[n] != '='))
        return false;
    if (arg[n] == '=')
        w->value = arg + n + 1;
    else
        w->value = w->at + 1 < w->argc ? w->argv[w->at + 1] : NULL;
    return true;
}

/* Steps over the option at hand, which takes a value. */
static void option_step(struct walk *w)
{
    w->at += strchr(w->argv[w->at], '=') ? 1 : 2;
}

static bool find_action(const char *arg, enum option_action *action)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(arg, actions[i].flag) == 0) {
            *action = actions[i].action;
            return true;
        }
    return false;
}

static const struct flag *find_flag(struct walk *w)
{
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (option_is(w, flags[i].flag))
            return &flags[i];
    return NULL;
}

static bool set_pair(struct settings *s, const char *pair, struct settings_fault *why)
{
    const char *eq = strchr(pair, '=');

    if (!eq)
        return usage(why, pair, "--set needs NAME=VALUE");
    return settings_set(s, bytes_of(pair, (size_t)(eq - pair)), bytes_str(eq + 1), why);
}

static bool apply(const struct walk *w, struct settings *s, const struct flag *flag,
                  const char **config, struct settings_fault *why)
{
    if (flag)
        return !s || settings_set(s, bytes_str(flag->setting), bytes_str(w->value), why);
    if (!config)
        return !s || set_pair(s, w->value, why);
    *config = w->value;
    return true;
}

/* One option; with `s` NULL only the action and the config file are looked for. */
static bool read_one(struct walk *w, struct settings *s, enum option_action *action,
                     const char **config, struct settings_fault *why)
{
    const char *arg = w->argv[w->at];

    if (find_action(arg, action)) {
        w->at++;
        return true;
    }

    const struct flag *flag = find_flag(w);
    bool is_config = !flag && option_is(w, "--config");

    if (!flag && !is_config && !option_is(w, "--set"))
        return usage(why, arg, "unknown option; see --help");
    if (!w->value)
        return usage(why, arg, "needs a value");
    if (!apply(w, s, flag, is_config ? config : NULL, why))
        return false;
    option_step(w);
    return true;
}

static bool read_all(int argc, char **argv, struct settings *s, enum option_action *action,
                     const char **config, struct settings_fault *why)
{
    struct walk w = { .argc = argc, .argv = argv, .at = 1 };

    while (w.at < argc)
        if (!read_one(&w, s, action, config, why))
            return false;
    return true;
}

enum option_result options_read(int argc, char **argv, struct settings *s,
                                enum option_action *action, struct settings_fault *why)
{
    const char *config = NULL;

    *action = OPTION_RUN;
    settings_defaults(s);
    if (!read_all(argc, argv, NULL, action, &config, why))
        return OPTIONS_USAGE;
    if (*action == OPTION_HELP || *action == OPTION_HELP_SETTINGS || *action == OPTION_VERSION)
        return OPTIONS_OK;
    if (config && !settings_load(s, config, why))
        return OPTIONS_CONFIG;
    return read_all(argc, argv, s, action, &config, why) ? OPTIONS_OK : OPTIONS_USAGE;
}

void options_print_help(FILE *to)
{
    (void)fprintf(to, "lodged - message broker\n\n"
                      "usage: lodged [option...]\n\n"
                      "  --config FILE       settings, as JSON with comments\n");
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        (void)fprintf(to, "  %s %-*s %s\n", flags[i].flag, 18 - (int)strlen(flags[i].flag),
                      flags[i].value, flags[i].help);
    (void)fprintf(to, "  --set NAME=VALUE    any setting below; wins over the file\n"
                      "  --check-config      read all settings, say what is wrong, do not start\n"
                      "  --help-settings     the settings as a Markdown table\n"
                      "  --version           \n"
                      "  --help              \n\n"
                      "settings (bytes take k, m, g; times take ms, s, m, h):\n");
    settings_print_help(to);
    (void)fprintf(to, "\nsignals: TERM and INT stop cleanly, HUP reads the settings again\n"
                      "exit:    0 stopped, 64 usage, 74 disk, 75 data in use, 78 settings\n");
}
