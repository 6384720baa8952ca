// SPDX-License-Identifier: MIT
#include "config/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

static bool put_ipv4(struct address *a, const char *host, uint16_t port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &in.sin_addr) != 1)
        return false;
    memcpy(&a->sa, &in, sizeof in);
    a->len = sizeof in;
    return true;
}

static bool put_ipv6(struct address *a, const char *host, uint16_t port)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

    if (inet_pton(AF_INET6, host, &in6.sin6_addr) != 1)
        return false;
    memcpy(&a->sa, &in6, sizeof in6);
    a->len = sizeof in6;
    return true;
}

static bool put_unix(struct address *a, struct bytes path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    if (path.n == 0 || path.n >= sizeof un.sun_path)
        return false;
    memcpy(un.sun_path, path.p, path.n);
    memcpy(&a->sa, &un, sizeof un);
    a->len = sizeof un;
    return true;
}

static bool put_tcp(struct address *a, struct bytes text)
{
    char host[64];
    uint64_t port;
    size_t colon = text.n;

    while (colon > 0 && text.p[colon - 1] != ':')
        colon--;
    if (colon == 0 || !bytes_to_u64(bytes_from(text, colon), UINT16_MAX, &port))
        return false;

    struct bytes name = bytes_head(text, colon - 1);
    bool brackets = name.n > 2 && name.p[0] == '[' && name.p[name.n - 1] == ']';
    if (brackets)
        name = bytes_of(name.p + 1, name.n - 2);
    if (name.n >= sizeof host)
        return false;
    memcpy(host, name.p, name.n);
    host[name.n] = 0;
    return brackets ? put_ipv6(a, host, (uint16_t)port) : put_ipv4(a, host, (uint16_t)port);
}

bool address_parse(struct bytes text, struct address *out)
{
    struct address a = { .off = bytes_eq(text, BYTES("off")) };
    bool ok = a.off;

    if (text.n >= sizeof a.text || (text.n > 0 && memchr(text.p, 0, text.n)))
        return false;
    if (text.n > 0)
        memcpy(a.text, text.p, text.n);
    if (!ok && bytes_starts(text, BYTES("unix:")))
        ok = put_unix(&a, bytes_from(text, 5));
    else if (!ok)
        ok = put_tcp(&a, text);
    if (ok)
        *out = a;
    return ok;
}

bool address_is_local(const struct address *a)
{
    if (a->off || a->sa.ss_family == AF_UNIX)
        return true;
    if (a->sa.ss_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, &a->sa, sizeof in6);
        return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
    }
    struct sockaddr_in in;

    memcpy(&in, &a->sa, sizeof in);
    return ntohl(in.sin_addr.s_addr) >> 24 == 127;
}
