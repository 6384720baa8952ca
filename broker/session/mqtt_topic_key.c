// SPDX-License-Identifier: MIT
/* MQTT's topics as routing keys of the core, and back. */
#include "broker/session/mqtt_session.h"

static uint8_t swapped(uint8_t c)
{
    return c == '/' ? '.' : c == '.' ? '/' : c;
}

/* Its own inverse. */
void mqtt_topic_to_key(struct buf *out, struct bytes topic)
{
    uint8_t *to;

    out->n = 0;
    to = buf_reserve(out, topic.n + 1);
    for (size_t i = 0; i < topic.n; i++)
        to[i] = swapped(topic.p[i]);
    out->n = topic.n;
}

/* Is p[i] a level of its own? */
static bool alone(struct bytes b, size_t i, uint8_t separator)
{
    return (i == 0 || b.p[i - 1] == separator) && (i + 1 == b.n || b.p[i + 1] == separator);
}

/* A level that is literally `*` becomes the wildcard, too: it lets through more than it
 * should, and what is delivered is matched against the filter once more. */
void mqtt_filter_to_pattern(struct buf *out, struct bytes filter)
{
    mqtt_topic_to_key(out, filter);
    for (size_t i = 0; i < filter.n; i++)
        if (filter.p[i] == '+')
            out->p[i] = '*';
}

void mqtt_pattern_to_filter(struct buf *out, struct bytes pattern)
{
    mqtt_topic_to_key(out, pattern);
    for (size_t i = 0; i < pattern.n; i++)
        if (pattern.p[i] == '*' && alone(pattern, i, '.'))
            out->p[i] = '+';
}
