// SPDX-License-Identifier: MIT
/* definitions.h - users, vhosts and permissions from a file shaped like RabbitMQ's
 * definitions.json.
 *
 * Read as it stands: whether a pattern is one, or a user is there, is for the broker to
 * say.  Texts are valid UTF-8 without NUL.  Faults are for a person, who knows the file:
 * "line 7, column 3: not valid JSON", "permissions[3].write: must be a string".  It holds
 * passwords: definitions_free wipes them. */
#ifndef CONFIG_DEFINITIONS_H
#define CONFIG_DEFINITIONS_H

#include "base/buf.h"
#include "config/settings.h"

enum {
    DEFINITIONS_FILE_MAX_BYTES = 16 * 1024 * 1024,
    DEFINED_USERS_MAX = 100000,
    DEFINED_VHOSTS_MAX = 10000,
    DEFINED_PERMISSIONS_MAX = 200000,
    DEFINED_NAME_MAX_BYTES = 255,
    DEFINED_PASSWORD_MAX_BYTES = 511, /* crypt(3) takes no longer one */
    DEFINED_HASH_MAX_BYTES = 383,
    DEFINED_PATTERN_MAX_BYTES = 4096
};

/* NULL: the file does not say. */
struct defined_user {
    char *name, *password, *password_hash;
    char *tags; /* with commas between */
};

struct defined_vhost {
    char *name;
};

struct defined_permission {
    char *vhost, *user, *configure, *write, *read;
};

struct defined_topic_permission {
    char *vhost, *user, *exchange, *write, *read;
};

struct definitions {
    struct defined_user *user;
    struct defined_vhost *vhost;
    struct defined_permission *permission;
    struct defined_topic_permission *topic_permission;
    size_t user_count, vhost_count, permission_count, topic_permission_count;
    struct buf passed_over; /* sections and members that mean nothing here, by name, cut */
};

/* NULL: at fault, or it cannot be read. */
struct definitions *definitions_read(struct bytes text, struct settings_fault *why);
struct definitions *definitions_load(const char *path, struct settings_fault *why);
void definitions_free(struct definitions **d);

#endif
