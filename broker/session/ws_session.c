// SPDX-License-Identifier: MIT
/* The opening handshake of WebSocket (RFC 6455 4.2); the net layer frames what follows, so
 * the protocol inside is spoken by the session that it always is. */
#include <inttypes.h>
#include <sha1.h>
#include <stdio.h>

#include "base/log.h"
#include "broker/session/opening.h"
#include "proto/websocket.h"

enum { FAULTS_LOGGED_A_SECOND = 20 };

/* RFC 6455 1.3 */
#define WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static const struct subprotocol {
    const char *name, *path; /* path: NULL, or taken for it without a name */
    session_open_fn *open;
    enum session_framing framing;
} subprotocols[] = {
    { "mqtt", NULL, mqtt_session_open, SESSION_FRAMED_BINARY },
    { "mqttv3.1", NULL, mqtt_session_open, SESSION_FRAMED_BINARY },
    { "v12.stomp", "/stomp", stomp_session_open, SESSION_FRAMED },
    { "v11.stomp", NULL, stomp_session_open, SESSION_FRAMED },
    { "v10.stomp", NULL, stomp_session_open, SESSION_FRAMED },
};

enum { SUBPROTOCOLS = sizeof subprotocols / sizeof *subprotocols };

static const char *status_name(int status)
{
    switch (status) {
    case 403:
        return "Forbidden";
    case 405:
        return "Method Not Allowed";
    case 426:
        return "Upgrade Required";
    case 431:
        return "Request Header Fields Too Large";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Bad Request";
    }
}

static void refuse(struct session *s, int status, const char *why)
{
    unsigned dropped;

    s->env->count.refused++;
    if (log_allowed(&s->env->ws_faults, FAULTS_LOGGED_A_SECOND, &dropped))
        log_warn("ws.refused", "id=%" PRIu64 " status=%d why=\"%s\" unlogged=%u", s->id, status,
                 why, dropped);
    buf_fmt(&s->out,
            "HTTP/1.1 %d %s\r\n%s%sConnection: close\r\nContent-Type: text/plain\r\n"
            "Content-Length: %zu\r\n\r\n%s\n",
            status, status_name(status), status == 405 ? "Allow: GET\r\n" : "",
            status == 426 ? "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" : "",
            strlen(why) + 1, why);
    s->ending = true;
}

/* ---- from which page? ---- */

/* Without the port. */
static struct bytes host_name(struct bytes authority)
{
    size_t n = authority.n;

    while (n > 0 && authority.p[n - 1] >= '0' && authority.p[n - 1] <= '9')
        n--;
    return n > 0 && authority.p[n - 1] == ':' ? bytes_head(authority, n - 1) : authority;
}

static bool is_loopback_name(struct bytes name)
{
    return bytes_eq(name, BYTES("localhost")) || bytes_eq(name, BYTES("127.0.0.1")) ||
           bytes_eq(name, BYTES("[::1]"));
}

/* Any page that a browser shows could speak to a broker on this machine, or in this network,
 * in the name of whoever looks at it: a page must come from this machine, from the host that it
 * speaks to, or from an origin that is named in the settings.  Over loopback the host is no
 * proof: its name may be one of the page's that was pointed here (DNS rebinding).  What is no
 * browser says no Origin. */
static bool origin_allowed(const struct session *s, const struct ws_request *r)
{
    struct bytes listed = bytes_str(s->env->ws_origins), name;

    if (r->origin.n == 0)
        return true;
    for (size_t at = 0; ws_list_next(listed, &at, &name);)
        if (bytes_eq(name, BYTES("*")) || bytes_eq(name, r->origin))
            return true;
    const uint8_t *host = memmem(r->origin.p, r->origin.n, "://", 3);
    if (!host)
        return false;
    name = host_name(bytes_from(r->origin, (size_t)(host - r->origin.p) + 3));
    return is_loopback_name(name) || (!s->loopback && bytes_eq(name, host_name(r->host)));
}

/* ---- which protocol? ---- */

/* The client names them in the order it likes them. */
static const struct subprotocol *choose(const struct ws_request *r)
{
    struct bytes name;

    for (size_t at = 0; ws_list_next(r->protocols, &at, &name);)
        for (size_t i = 0; i < SUBPROTOCOLS; i++)
            if (bytes_eq(name, bytes_str(subprotocols[i].name)))
                return &subprotocols[i];
    for (size_t i = 0; i < SUBPROTOCOLS && r->protocols.n == 0; i++)
        if (subprotocols[i].path && bytes_eq(r->path, bytes_str(subprotocols[i].path)))
            return &subprotocols[i];
    return NULL;
}

static void put_base64(struct buf *out, const uint8_t *p, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) |
                     (i + 2 < n ? p[i + 2] : 0);

        buf_u8(out, (uint8_t)digit[v >> 18]);
        buf_u8(out, (uint8_t)digit[v >> 12 & 63]);
        buf_u8(out, i + 1 < n ? (uint8_t)digit[v >> 6 & 63] : '=');
        buf_u8(out, i + 2 < n ? (uint8_t)digit[v & 63] : '=');
    }
}

static void put_accept(struct buf *out, struct bytes key)
{
    uint8_t digest[SHA1_DIGEST_LENGTH];
    SHA1_CTX sha;

    SHA1Init(&sha);
    SHA1Update(&sha, key.p, key.n);
    SHA1Update(&sha, (const uint8_t *)WS_GUID, sizeof WS_GUID - 1);
    SHA1Final(digest, &sha);
    put_base64(out, digest, sizeof digest);
}

static void accept_request(struct session *s, const struct ws_request *r)
{
    const struct subprotocol *p = choose(r);

    if (!origin_allowed(s, r)) {
        refuse(s, 403, "this page may not connect here, see the setting ws.origins");
        return;
    }
    if (!p) {
        refuse(s, 400, "the subprotocol must be mqtt, v12.stomp, v11.stomp or v10.stomp");
        return;
    }
    buf_str(&s->out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
    put_accept(&s->out, r->key);
    if (r->protocols.n > 0) {
        buf_str(&s->out, "\r\nSec-WebSocket-Protocol: ");
        buf_str(&s->out, p->name);
    }
    buf_str(&s->out, "\r\n\r\n");
    s->become = p->open;
    s->framing = (uint8_t)p->framing;
}

static size_t ws_input(struct session *s, uint8_t *in, size_t n)
{
    struct ws_request r;
    size_t used = 0;
    int status = 400;
    const char *why = "";

    switch (ws_request_decode(bytes_of(in, n), &r, &used, &status, &why)) {
    case DECODE_MORE:
        return 0;
    case DECODE_BAD:
        refuse(s, status, why);
        return n;
    case DECODE_OK:
        break;
    }
    if (used < n) /* nothing may come before the answer [4.1] */
        refuse(s, 400, "something follows the request");
    else
        accept_request(s, &r);
    return n;
}

static const struct session_ops ws_ops = OPENING_OPS("ws", ws_input);

struct session *ws_session_open(struct session_env *env, bool loopback)
{
    return opening_session(env, loopback, &ws_ops);
}
