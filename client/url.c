// SPDX-License-Identifier: MIT
#include "client/url.h"

#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL: a % that is not followed by two hex digits, or %00. */
static char *percent_decode(struct bytes in)
{
    char *out = mem_alloc(in.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < in.n; i++) {
        int c = in.p[i];

        if (c == '%') {
            int hi = i + 2 < in.n ? hex_digit(in.p[i + 1]) : -1;
            int lo = i + 2 < in.n ? hex_digit(in.p[i + 2]) : -1;

            c = hi < 0 || lo < 0 ? 0 : hi << 4 | lo;
            i += 2;
        }
        if (c == 0) {
            mem_free(out);
            return NULL;
        }
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return out;
}

static bool parse_user(struct bytes user, struct url *a)
{
    const uint8_t *colon = user.n ? memchr(user.p, ':', user.n) : NULL;

    a->login = percent_decode(bytes_head(user, colon ? (size_t)(colon - user.p) : user.n));
    if (!a->login || !*a->login)
        return false;
    if (!colon)
        return true;
    a->passcode = percent_decode(bytes_from(user, (size_t)(colon - user.p) + 1));
    return a->passcode != NULL;
}

static bool parse_port(struct bytes text, struct url *a)
{
    uint64_t port;

    if (text.n == 0)
        return true;
    if (text.p[0] != ':' || !bytes_to_u64(bytes_from(text, 1), UINT16_MAX, &port) || port == 0)
        return false;
    a->port = (uint16_t)port;
    return true;
}

static bool parse_host(struct bytes text, struct url *a)
{
    bool bracket = text.n > 0 && text.p[0] == '[';
    const uint8_t *end = text.n ? memchr(text.p, bracket ? ']' : ':', text.n) : NULL;
    struct bytes host = bytes_head(text, end ? (size_t)(end - text.p) : text.n);
    struct bytes rest = bytes_from(text, host.n);

    if (bracket) {
        if (!end)
            return false;
        host = bytes_from(host, 1);
        rest = bytes_from(rest, 1);
    }
    if (host.n == 0 || memchr(host.p, '/', host.n))
        return false;
    a->host = bytes_dup_str(host);
    return parse_port(rest, a);
}

bool url_parse(const char *text, struct url *out)
{
    struct bytes rest = bytes_str(text);
    const struct bytes scheme = BYTES("stomp://");
    const uint8_t *at;

    *out = (struct url){ 0 };
    if (bytes_starts(rest, scheme))
        rest = bytes_from(rest, scheme.n);
    if (rest.n > 1 && rest.p[rest.n - 1] == '/')
        rest.n--;
    at = rest.n ? memrchr(rest.p, '@', rest.n) : NULL;
    if (at) {
        if (!parse_user(bytes_head(rest, (size_t)(at - rest.p)), out))
            goto fail;
        rest = bytes_from(rest, (size_t)(at - rest.p) + 1);
    }
    if (parse_host(rest, out))
        return true;
fail:
    url_fini(out);
    return false;
}

void url_fini(struct url *a)
{
    mem_free(a->host);
    mem_free(a->login);
    mem_free(a->passcode);
    *a = (struct url){ 0 };
}
