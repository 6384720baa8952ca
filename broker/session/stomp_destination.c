// SPDX-License-Identifier: MIT
#include "broker/session/stomp_destination.h"

enum { NAME_MAX_BYTES = 255 };

static const char too_long[] = "A name in a destination has at most 255 bytes";

static const struct prefix {
    struct bytes text;
    enum stomp_kind kind;
    const char *wrong;
} prefixes[] = {
    { { (const uint8_t *)"/queue/", 7 },
      STOMP_TO_QUEUE,
      "A queue destination is /queue/NAME, with slashes in NAME as %2F" },
    { { (const uint8_t *)"/topic/", 7 },
      STOMP_TO_TOPIC,
      "A topic destination is /topic/KEY, with slashes in KEY as %2F" },
    { { (const uint8_t *)"/exchange/", 10 },
      STOMP_TO_EXCHANGE,
      "An exchange destination is /exchange/NAME or /exchange/NAME/KEY, "
      "with slashes in NAME and KEY as %2F" },
    { { (const uint8_t *)"/amq/queue/", 11 },
      STOMP_TO_AMQ_QUEUE,
      "A queue destination is /amq/queue/NAME, with slashes in NAME as %2F" },
    { { (const uint8_t *)STOMP_REPLY_QUEUE_PREFIX, 13 },
      STOMP_TO_REPLY_QUEUE,
      "A reply destination is /reply-queue/NAME" },
    { { (const uint8_t *)STOMP_TEMP_QUEUE_PREFIX, 12 },
      STOMP_TO_TEMP_QUEUE,
      "A temporary queue is /temp-queue/NAME, with slashes in NAME as %2F" },
};

enum { PREFIXES = sizeof prefixes / sizeof *prefixes };

static const struct prefix *prefix_find(struct bytes text)
{
    for (size_t i = 0; i < PREFIXES; i++)
        if (bytes_starts(text, prefixes[i].text))
            return &prefixes[i];
    return NULL;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* -1: no escape begins at text.p[at]. */
static int escaped_byte(struct bytes text, size_t at)
{
    if (text.p[at] != '%' || text.n - at < 3)
        return -1;
    int high = hex_digit(text.p[at + 1]);
    int low = hex_digit(text.p[at + 2]);

    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Appends to `room`, where text.n bytes are free, so that nothing moves. */
static struct bytes unescape(struct bytes text, struct buf *room)
{
    uint8_t *start = room->p + room->n;
    uint8_t *to = start;

    for (size_t i = 0; i < text.n; i++) {
        int byte = escaped_byte(text, i);

        if (byte >= 0)
            i += 2;
        *to++ = byte >= 0 ? (uint8_t)byte : text.p[i];
    }
    room->n += (size_t)(to - start);
    return bytes_of(start, (size_t)(to - start));
}

static bool has_slash(struct bytes text)
{
    return text.n && memchr(text.p, '/', text.n);
}

static const char *parse_exchange(struct bytes rest, const char *wrong, struct buf *room,
                                  struct stomp_destination *out)
{
    const uint8_t *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
    struct bytes name = slash ? bytes_head(rest, (size_t)(slash - rest.p)) : rest;
    struct bytes key = slash ? bytes_from(rest, name.n + 1) : (struct bytes){ NULL, 0 };

    if (name.n == 0 || has_slash(key))
        return wrong;
    out->exchange = unescape(name, room);
    out->key = unescape(key, room);
    return NULL;
}

const char *stomp_destination_parse(struct bytes text, struct buf *room,
                                    struct stomp_destination *out)
{
    const struct prefix *prefix = prefix_find(text);
    const char *wrong;

    *out = (struct stomp_destination){ 0 };
    room->n = 0;
    (void)buf_reserve(room, text.n + 1);
    if (text.n == 0)
        return "A destination cannot be blank";
    if (!prefix && has_slash(text))
        return "Valid destinations begin with /queue/, /topic/, /exchange/, /amq/queue/, "
               "/reply-queue/ or, in reply-to, /temp-queue/";
    out->kind = prefix ? prefix->kind : STOMP_TO_QUEUE;
    struct bytes rest = prefix ? bytes_from(text, prefix->text.n) : text;

    if (out->kind == STOMP_TO_EXCHANGE) {
        wrong = parse_exchange(rest, prefix->wrong, room, out);
    } else {
        bool bad = rest.n == 0 || (has_slash(rest) && out->kind != STOMP_TO_REPLY_QUEUE);

        wrong = bad && prefix ? prefix->wrong : NULL;
        out->exchange = out->kind == STOMP_TO_TOPIC ? BYTES("amq.topic") : BYTES("");
        out->key = unescape(rest, room);
    }
    if (!wrong && (out->exchange.n > NAME_MAX_BYTES || out->key.n > NAME_MAX_BYTES))
        wrong = too_long;
    return wrong;
}

static bool plain(uint8_t c)
{
    return c >= ' ' && c < 127 && c != '/' && c != '%';
}

static void put_escaped(struct buf *out, struct bytes name)
{
    static const char digits[] = "0123456789ABCDEF";
    uint8_t *start = buf_reserve(out, 3 * name.n + 1);
    uint8_t *to = start;

    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];

        if (plain(c)) {
            *to++ = c;
            continue;
        }
        *to++ = '%';
        *to++ = (uint8_t)digits[c >> 4];
        *to++ = (uint8_t)digits[c & 15];
    }
    out->n += (size_t)(to - start);
}

void stomp_destination_put(struct buf *out, struct bytes exchange, struct bytes key)
{
    if (exchange.n == 0) {
        buf_bytes(out, BYTES("/queue/"));
    } else if (bytes_eq(exchange, BYTES("amq.topic"))) {
        buf_bytes(out, BYTES("/topic/"));
    } else {
        buf_bytes(out, BYTES("/exchange/"));
        put_escaped(out, exchange);
        if (key.n)
            buf_u8(out, '/');
    }
    put_escaped(out, key);
}

bool stomp_destination_is_full(struct bytes text)
{
    return prefix_find(text);
}
