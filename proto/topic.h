// SPDX-License-Identifier: MIT
/* topic.h - routing keys as words, and patterns over words.
 *
 * A key is stored with '.' between its words.  MQTT's separator is '/': the two
 * characters are swapped on the way in and out (`a/b.c` is stored as `a.b/c`),
 * so a dot inside an MQTT level survives and words never collide.  Words may be
 * empty; "" is no words at all in AMQP. */
#ifndef PROTO_TOPIC_H
#define PROTO_TOPIC_H

#include "base/bytes.h"

enum topic_word_kind { TOPIC_LITERAL, TOPIC_ONE /* exactly one */, TOPIC_MANY /* none or more */ };

struct topic_word {
    enum topic_word_kind kind;
    struct bytes text;
};

/* Words of a key: start with *at = 0; false at the end. */
bool topic_next(struct bytes key, size_t *at, struct bytes *word);

/* The same for an AMQP binding pattern, where `*` is ONE and `#` is MANY. */
bool topic_next_pattern(struct bytes pattern, size_t *at, struct topic_word *word);

/* Does the pattern match the key?  For few look-ups; the trie serves many. */
bool topic_match(struct bytes pattern, struct bytes key);

#endif
