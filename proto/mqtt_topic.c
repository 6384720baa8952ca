// SPDX-License-Identifier: MIT
#include "proto/mqtt_topic.h"

#include "base/utf8.h"

enum { TEXT_MAX_BYTES = 65535 };

/* The highest bit of each byte that is 0. */
static uint64_t zero_bytes(uint64_t v)
{
    return (v - UINT64_C(0x0101010101010101)) & ~v & UINT64_C(0x8080808080808080);
}

static uint64_t bytes_equal_to(uint64_t v, uint8_t c)
{
    return zero_bytes(v ^ UINT64_C(0x0101010101010101) * c);
}

/* Nothing to look at more closely: ASCII without U+0000, + and #.  So are most topics. */
static bool is_plain(struct bytes b)
{
    uint64_t v, odd = 0;
    size_t i = 0;

    for (; i + sizeof v <= b.n; i += sizeof v) {
        memcpy(&v, b.p + i, sizeof v);
        odd |= (v & UINT64_C(0x8080808080808080)) | zero_bytes(v) | bytes_equal_to(v, '+') |
               bytes_equal_to(v, '#');
    }
    for (; i < b.n; i++)
        odd |= b.p[i] >= 0x80 || b.p[i] == 0 || b.p[i] == '+' || b.p[i] == '#';
    return odd == 0;
}

static bool has_byte(struct bytes b, uint8_t c)
{
    return b.n > 0 && memchr(b.p, c, b.n);
}

static bool is_text(struct bytes b)
{
    return !has_byte(b, 0) && utf8_valid(b);
}

bool mqtt_text_valid(struct bytes text)
{
    return text.n <= TEXT_MAX_BYTES && (is_plain(text) || is_text(text));
}

static bool has_wildcard(struct bytes b)
{
    return has_byte(b, '+') || has_byte(b, '#');
}

bool mqtt_topic_valid(struct bytes topic)
{
    if (topic.n == 0 || topic.n > TEXT_MAX_BYTES)
        return false;
    return is_plain(topic) || (!has_wildcard(topic) && is_text(topic));
}

/* Is the wildcard at `i` alone in its level, and # in the last? */
static bool is_in_place(struct bytes filter, size_t i)
{
    bool last = i + 1 == filter.n;

    if (i > 0 && filter.p[i - 1] != '/')
        return false;
    return last || (filter.p[i] == '+' && filter.p[i + 1] == '/');
}

bool mqtt_filter_valid(struct bytes filter)
{
    if (filter.n == 0 || filter.n > TEXT_MAX_BYTES)
        return false;
    if (is_plain(filter))
        return true;
    for (size_t i = 0; i < filter.n; i++)
        if ((filter.p[i] == '+' || filter.p[i] == '#') && !is_in_place(filter, i))
            return false;
    return is_text(filter);
}

enum mqtt_share mqtt_share_split(struct bytes filter, struct bytes *group, struct bytes *rest)
{
    const struct bytes prefix = BYTES("$share/");

    *group = (struct bytes){ NULL, 0 };
    *rest = filter;
    if (!bytes_starts(filter, prefix))
        return MQTT_SHARE_NONE;
    struct bytes behind = bytes_from(filter, prefix.n);
    const uint8_t *end = behind.n ? memchr(behind.p, '/', behind.n) : NULL;
    *group = end ? bytes_head(behind, (size_t)(end - behind.p)) : behind;
    *rest = bytes_from(behind, group->n + 1);
    return mqtt_topic_valid(*group) && mqtt_filter_valid(*rest) ? MQTT_SHARE_OK : MQTT_SHARE_BAD;
}

static size_t end_of_level(struct bytes b, size_t at)
{
    const uint8_t *end = at < b.n ? memchr(b.p + at, '/', b.n - at) : NULL;

    return end ? (size_t)(end - b.p) : b.n;
}

static struct bytes level_at(struct bytes b, size_t at, size_t end)
{
    return bytes_head(bytes_from(b, at), end - at);
}

bool mqtt_filter_match(struct bytes filter, struct bytes topic)
{
    bool wild = filter.n > 0 && (filter.p[0] == '+' || filter.p[0] == '#');

    if (wild && topic.n > 0 && topic.p[0] == '$')
        return false;
    for (size_t f = 0, t = 0;;) {
        size_t f_end = end_of_level(filter, f), t_end = end_of_level(topic, t);
        struct bytes want = level_at(filter, f, f_end);

        if (bytes_eq(want, BYTES("#")))
            return true;
        if (!bytes_eq(want, BYTES("+")) && !bytes_eq(want, level_at(topic, t, t_end)))
            return false;
        if (t_end == topic.n) /* "a/#" matches "a" too */
            return f_end == filter.n || bytes_eq(bytes_from(filter, f_end), BYTES("/#"));
        if (f_end == filter.n)
            return false;
        f = f_end + 1;
        t = t_end + 1;
    }
}
