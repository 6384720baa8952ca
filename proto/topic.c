// SPDX-License-Identifier: MIT
#include "proto/topic.h"

bool topic_next(struct bytes key, size_t *at, struct bytes *word)
{
    if (key.n == 0 || *at > key.n)
        return false;

    const uint8_t *start = key.p + *at;
    const uint8_t *dot = *at < key.n ? memchr(start, '.', key.n - *at) : NULL;
    size_t n = dot ? (size_t)(dot - start) : key.n - *at;

    *word = (struct bytes){ start, n };
    *at += n + 1; /* behind the end: the last word was given, even an empty one */
    return true;
}

bool topic_next_pattern(struct bytes pattern, size_t *at, struct topic_word *word)
{
    if (!topic_next(pattern, at, &word->text))
        return false;
    word->kind = TOPIC_LITERAL;
    if (word->text.n == 1 && word->text.p[0] == '*')
        word->kind = TOPIC_ONE;
    else if (word->text.n == 1 && word->text.p[0] == '#')
        word->kind = TOPIC_MANY;
    return true;
}

/* Only the last `#` is ever tried again with one word more: what an earlier one
 * could take besides, the last can take as well.  So there is no recursion, and
 * at most (words of the pattern) x (words of the key) steps. */
bool topic_match(struct bytes pattern, struct bytes key)
{
    size_t p = 0, k = 0, many_p = 0, many_k = 0;
    bool many = false;

    for (;;) {
        size_t p_next = p, k_next = k;
        struct topic_word want = { .kind = TOPIC_LITERAL };
        struct bytes word;
        bool has_want = topic_next_pattern(pattern, &p_next, &want);
        bool has_word = topic_next(key, &k_next, &word);

        if (!has_want && !has_word)
            return true;
        if (has_want && want.kind == TOPIC_MANY) {
            many = true;
            p = many_p = p_next;
            many_k = k;
        } else if (has_want && has_word && (want.kind == TOPIC_ONE || bytes_eq(want.text, word))) {
            p = p_next;
            k = k_next;
        } else if (many && topic_next(key, &many_k, &word)) {
            p = many_p;
            k = many_k;
        } else {
            return false;
        }
    }
}
