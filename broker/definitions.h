// SPDX-License-Identifier: MIT
/* definitions.h - what the file of the setting `definitions` says becomes the core's.
 *
 * It adds and changes, and never removes.  All of it is one commit, or nothing is done
 * and `why` says what is wrong, by its place in the file. */
#ifndef BROKER_DEFINITIONS_H
#define BROKER_DEFINITIONS_H

#include "base/map.h"
#include "config/settings.h"

struct core;

/* Clear passwords that were found to match their hashes, so that a reload does not hash
 * all of them again; zero-initialised is empty and valid. */
struct definitions_seen {
    struct map users; /* by name */
    uint8_t key[16];
};

/* Looks at the file alone; true when none is set. */
bool definitions_check(const struct settings *s, struct settings_fault *why);

/* Slow where there are new clear passwords: each is hashed. */
bool definitions_import(struct core *c, const struct settings *s, struct definitions_seen *seen,
                        struct settings_fault *why);
void definitions_seen_fini(struct definitions_seen *seen);

#endif
