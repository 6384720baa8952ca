// SPDX-License-Identifier: MIT
/* headers_match.h - does a message's table of headers fit a binding's?
 *
 * Private to the core.  Source: RabbitMQ's headers exchange.  `x-match` in the
 * binding says all or any of its fields; fields that begin with x- count only
 * with all-with-x and any-with-x, x-match itself never.  A field without a value
 * (type V) asks for presence only; others compare by meaning (table_value_eq). */
#ifndef CORE_HEADERS_MATCH_H
#define CORE_HEADERS_MATCH_H

#include "base/bytes.h"
#include "proto/table.h"

enum headers_match { MATCH_ALL, MATCH_ANY, MATCH_ALL_WITH_X, MATCH_ANY_WITH_X };

/* What the binding's arguments ask for; false: an x-match that is none of them. */
bool headers_match_kind(struct bytes arguments, enum headers_match *out);

/* The fields of a table in order of name, for look-ups; views into the table.
 * Zero-initialised is empty and valid; filling it again reuses its memory. */
struct header_field {
    struct bytes name;
    struct table_value value;
};
struct header_index {
    struct header_field *field;
    size_t count, cap;
};
void header_index_fill(struct header_index *h, struct bytes table);
void header_index_fini(struct header_index *h);

bool headers_match(struct bytes arguments, enum headers_match kind, const struct header_index *h);

#endif
