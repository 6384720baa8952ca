// SPDX-License-Identifier: MIT
/* The opening request: as strict as RFC 6455 4.2.1 and RFC 9112 want it. */
#include "proto/websocket.h"

enum { KEY_BYTES = 24 /* base64 of sixteen */ };

/* Fields of the head, seen so far. */
struct seen {
    bool upgrade, connection, version;
    unsigned hosts, keys;
};

static enum decode refuse(int *status, int code, const char **why, const char *text)
{
    *status = code;
    *why = text;
    return DECODE_BAD;
}

static struct bytes trim(struct bytes b)
{
    while (b.n > 0 && (b.p[0] == ' ' || b.p[0] == '\t'))
        b = bytes_from(b, 1);
    while (b.n > 0 && (b.p[b.n - 1] == ' ' || b.p[b.n - 1] == '\t'))
        b.n--;
    return b;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static bool same(struct bytes a, const char *b)
{
    size_t n = strlen(b);

    if (a.n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (lower(a.p[i]) != (uint8_t)b[i])
            return false;
    return true;
}

bool ws_list_next(struct bytes list, size_t *at, struct bytes *name)
{
    while (*at < list.n) {
        struct bytes rest = bytes_from(list, *at);
        const uint8_t *comma = memchr(rest.p, ',', rest.n);
        size_t n = comma ? (size_t)(comma - rest.p) : rest.n;

        *at += n + (comma != NULL);
        *name = trim(bytes_head(rest, n));
        if (name->n > 0)
            return true;
    }
    return false;
}

static bool list_has(struct bytes list, const char *word)
{
    struct bytes name;

    for (size_t at = 0; ws_list_next(list, &at, &name);)
        if (same(name, word))
            return true;
    return false;
}

static bool next_line(struct bytes in, size_t *at, struct bytes *line)
{
    struct bytes rest = bytes_from(in, *at);
    const uint8_t *end = rest.n ? memmem(rest.p, rest.n, "\r\n", 2) : NULL;

    if (!end)
        return false;
    *line = bytes_head(rest, (size_t)(end - rest.p));
    *at += line->n + 2;
    return true;
}

static bool is_text(struct bytes b)
{
    for (size_t i = 0; i < b.n; i++)
        if ((b.p[i] < ' ' && b.p[i] != '\t') || b.p[i] == 0x7f)
            return false;
    return true;
}

static bool take_field(struct bytes line, struct seen *seen, struct ws_request *out)
{
    const uint8_t *colon = line.n ? memchr(line.p, ':', line.n) : NULL;
    struct bytes name, value;

    if (!colon || colon == line.p || !is_text(line))
        return false;
    name = bytes_head(line, (size_t)(colon - line.p));
    value = trim(bytes_from(line, name.n + 1));
    if (memchr(name.p, ' ', name.n) || memchr(name.p, '\t', name.n))
        return false;
    if (same(name, "host")) {
        out->host = value;
        seen->hosts++;
    } else if (same(name, "upgrade")) {
        seen->upgrade |= list_has(value, "websocket");
    } else if (same(name, "connection")) {
        seen->connection |= list_has(value, "upgrade");
    } else if (same(name, "origin")) {
        out->origin = value;
    } else if (same(name, "sec-websocket-key")) {
        out->key = value;
        seen->keys++;
    } else if (same(name, "sec-websocket-version")) {
        seen->version |= same(value, "13");
    } else if (same(name, "sec-websocket-protocol")) {
        if (out->protocols.n > 0)
            return false; /* may be several lists; nobody sends them so */
        out->protocols = value;
    }
    return true;
}

static enum decode take_first_line(struct bytes line, struct ws_request *out, int *status,
                                   const char **why)
{
    const uint8_t *space = line.n ? memchr(line.p, ' ', line.n) : NULL;
    struct bytes rest, version;

    if (!space || !is_text(line))
        return refuse(status, 400, why, "the request line is malformed");
    if (!bytes_eq(bytes_head(line, (size_t)(space - line.p)), BYTES("GET")))
        return refuse(status, 405, why, "only GET opens a WebSocket");
    rest = bytes_from(line, (size_t)(space - line.p) + 1);
    space = rest.n ? memchr(rest.p, ' ', rest.n) : NULL;
    if (!space || space == rest.p || rest.p[0] != '/')
        return refuse(status, 400, why, "the request line is malformed");
    out->path = bytes_head(rest, (size_t)(space - rest.p));
    version = bytes_from(rest, out->path.n + 1);
    if (!bytes_eq(version, BYTES("HTTP/1.1")))
        return refuse(status, 505, why, "only HTTP/1.1 is spoken here");
    return DECODE_OK;
}

static enum decode check(const struct seen *seen, const struct ws_request *r, int *status,
                         const char **why)
{
    if (seen->hosts != 1 || r->host.n == 0)
        return refuse(status, 400, why, "Host is missing, or there are several");
    if (!seen->upgrade || !seen->connection)
        return refuse(status, 426, why, "this address is for WebSocket alone");
    if (!seen->version)
        return refuse(status, 426, why, "only version 13 of WebSocket is spoken here");
    if (seen->keys != 1 || r->key.n != KEY_BYTES || r->key.p[KEY_BYTES - 1] != '=' ||
        r->key.p[KEY_BYTES - 2] != '=')
        return refuse(status, 400, why, "Sec-WebSocket-Key is missing or malformed");
    return DECODE_OK;
}

enum decode ws_request_decode(struct bytes in, struct ws_request *out, size_t *used, int *status,
                              const char **why)
{
    const uint8_t *end = in.n ? memmem(in.p, in.n, "\r\n\r\n", 4) : NULL;
    struct seen seen = { 0 };
    unsigned fields = 0;
    struct bytes line;
    size_t at = 0;

    *out = (struct ws_request){ 0 };
    if (!end) {
        if (in.n >= WS_REQUEST_MAX)
            return refuse(status, 431, why, "the request is longer than 8 KiB");
        return DECODE_MORE;
    }
    in.n = (size_t)(end - in.p) + 2;
    *used = in.n + 2;
    if (*used > WS_REQUEST_MAX)
        return refuse(status, 431, why, "the request is longer than 8 KiB");
    if (!next_line(in, &at, &line))
        return refuse(status, 400, why, "the request line is malformed");
    enum decode d = take_first_line(line, out, status, why);
    while (d == DECODE_OK && next_line(in, &at, &line)) {
        if (++fields > WS_FIELDS_MAX)
            return refuse(status, 431, why, "the request has more than 64 fields");
        if (!take_field(line, &seen, out))
            return refuse(status, 400, why, "a field of the request is malformed");
    }
    return d == DECODE_OK ? check(&seen, out, status, why) : d;
}
