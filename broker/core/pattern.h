// SPDX-License-Identifier: MIT
/* pattern.h - a regular expression over a name, as permissions have them.
 *
 * Perl's syntax over bytes, matched anywhere in the name unless it is anchored;
 * the empty pattern matches the empty name alone, and so nothing.  A match has a
 * budget: what exceeds it does not match, and the log says so.
 *
 * Owner: who made it.  Private to the core, but that definitions are checked
 * with it before they are used. */
#ifndef CORE_PATTERN_H
#define CORE_PATTERN_H

#include "base/bytes.h"

struct pattern;

enum { PATTERN_MAX_BYTES = 4096, PATTERN_WHY_BYTES = 160 };

/* NULL: it is none; `why` (may be NULL) has the reason and the place. */
struct pattern *pattern_new(struct bytes text, char why[PATTERN_WHY_BYTES]);
void pattern_free(struct pattern **p);

/* A view until it is freed. */
struct bytes pattern_text(const struct pattern *p);

/* Matches every name? */
bool pattern_is_all(const struct pattern *p);
bool pattern_matches(struct pattern *p, struct bytes name);

#endif
