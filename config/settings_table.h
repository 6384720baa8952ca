// SPDX-License-Identifier: MIT
/* settings_table.h - the rows of the table, for the files of config/ alone. */
#ifndef CONFIG_SETTINGS_TABLE_H
#define CONFIG_SETTINGS_TABLE_H

#include "config/settings.h"

enum setting_type {
    SETTING_TEXT,
    SETTING_ADDRESS,
    SETTING_ENUM,
    SETTING_BOOL,
    SETTING_BYTES,
    SETTING_COUNT,
    SETTING_MS
};
enum setting_when { AT_START, ON_RELOAD };

struct setting {
    enum setting_type type;
    const char *name, *def;
    uint64_t least, most; /* of TEXT: its length */
    enum setting_when when;
    const char *choices; /* of ENUM: a|b|c */
    const char *help;
    size_t offset, size; /* in struct settings */
};

extern const struct setting settings_table[];
extern const size_t settings_count;

const struct setting *setting_find(struct bytes name); /* NULL: no such setting */
bool setting_put(const struct setting *d, struct settings *s, struct bytes value,
                 struct settings_fault *why); /* `why` without the name */

#endif
