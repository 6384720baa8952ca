// SPDX-License-Identifier: MIT
/* A frame that is there whole is parsed in one pass.  Of one that is not, the
 * decoder remembers how far it looked for the end of the head, then of the body,
 * and parses the head again when that end has come: a few passes at most, however
 * the input is cut.  Faults of a head are told when its end was seen, never
 * earlier, so that they too do not depend on the cuts. */
#include "proto/stomp.h"

#include "base/check.h"

static const struct {
    const char *name;
    uint8_t length;
    bool body;
} commands[STOMP_CMD_COUNT] = {
#define X(name, from, body) { #name, sizeof #name - 1, body },
    STOMP_COMMANDS(X)
#undef X
};

/* One call's arguments and what it found. */
struct look {
    struct stomp_decoder *d;
    const struct stomp_limits *limits;
    struct stomp_header *header;
    uint8_t *in;
    size_t n;
    struct stomp_frame *out;
    size_t head; /* bytes of the head with its blank line */
};

static enum decode bad(struct stomp_decoder *d, const char *error)
{
    d->error = error;
    return DECODE_BAD;
}

/* Before a frame: any number of LF or CR LF.  A CR at the very end may yet
 * become one, so it stays. */
static size_t count_eols(const uint8_t *in, size_t n)
{
    size_t at = 0;

    while (at < n) {
        if (in[at] == '\n')
            at++;
        else if (in[at] == '\r' && at + 1 < n && in[at + 1] == '\n')
            at += 2;
        else
            break;
    }
    return at;
}

/* The first blank line that ends in in[from..end): the offset behind it, or 0. */
static size_t blank_line(const uint8_t *in, size_t from, size_t end)
{
    while (from < end) {
        const uint8_t *lf = memchr(in + from, '\n', end - from);

        if (!lf)
            return 0;
        from = (size_t)(lf - in) + 1;
        if (from < end && in[from] == '\n')
            return from + 1;
        if (end - from >= 2 && in[from] == '\r' && in[from + 1] == '\n')
            return from + 2;
    }
    return 0;
}

static size_t head_window(const struct look *k)
{
    return k->n < k->limits->head_bytes ? k->n : k->limits->head_bytes;
}

/* Looks for the end of the head in what is new since the last time; the last
 * two bytes seen may be the start of it. */
static enum decode find_head(struct look *k)
{
    struct stomp_decoder *d = k->d;
    size_t window = head_window(k);
    size_t scanned = d->scanned < window ? d->scanned : window;
    const uint8_t *nul = memchr(k->in + scanned, 0, window - scanned);

    k->head = blank_line(k->in, scanned < 2 ? 0 : scanned - 2,
                         nul ? (size_t)(nul - k->in) : window);
    if (k->head)
        return DECODE_OK;
    if (nul)
        return bad(d, "NUL inside the head of a frame");
    if (window == k->limits->head_bytes)
        return bad(d, "head of the frame is too long");
    d->scanned = window;
    return DECODE_MORE;
}

static const char *parse_command(struct bytes line, enum stomp_command *out)
{
    for (unsigned i = 0; i < STOMP_CMD_COUNT; i++) {
        if (line.n == commands[i].length && memcmp(line.p, commands[i].name, line.n) == 0) {
            *out = (enum stomp_command)i;
            return NULL;
        }
    }
    return "unknown command";
}

static const char *parse_length(struct stomp_frame *out, struct bytes value)
{
    if (out->has_length) /* repeated: the first wins */
        return NULL;
    out->has_length = true;
    if (!bytes_to_u64(value, UINT64_MAX, &out->content_length))
        return "content-length is not a number";
    return NULL;
}

static const char *parse_header(struct look *k, struct bytes line)
{
    struct stomp_frame *out = k->out;
    const uint8_t *colon = memchr(line.p, ':', line.n);

    if (!colon)
        return "header without a colon";
    if (colon == line.p)
        return "header without a name";
    if (out->header_count == k->limits->headers)
        return "too many headers";

    struct stomp_header *h = &k->header[out->header_count++];
    size_t name_n = (size_t)(colon - line.p);

    h->name = (struct bytes){ line.p, name_n };
    h->value = (struct bytes){ colon + 1, line.n - name_n - 1 };
    if (bytes_eq(h->name, BYTES("content-length")))
        return parse_length(out, h->value);
    return NULL;
}

/* Lines up to the blank one within in[0..end); k->head stays 0 when there is none. */
static const char *parse_lines(struct look *k, size_t end)
{
    const char *error = NULL;
    size_t at = 0;

    *k->out = (struct stomp_frame){ .header = k->header };
    k->head = 0;
    for (bool first = true; !error; first = false) {
        const uint8_t *lf = at < end ? memchr(k->in + at, '\n', end - at) : NULL;

        if (!lf)
            return NULL;
        struct bytes line = { k->in + at, (size_t)(lf - k->in) - at };
        at += line.n + 1;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n == 0) {
            k->head = at;
            return NULL;
        }
        error = first ? parse_command(line, &k->out->command) : parse_header(k, line);
    }
    return error;
}

static enum decode parse_head(struct look *k)
{
    struct stomp_decoder *d = k->d;
    const char *error = NULL;

    if (d->head == 0 && d->scanned == 0) {
        error = parse_lines(k, head_window(k));
        if (k->head && !memchr(k->in, 0, k->head)) {
            d->head = k->head;
            return DECODE_OK;
        }
    }
    if (d->head == 0) {
        enum decode r = find_head(k);

        if (r != DECODE_OK)
            return r;
        d->head = k->head;
    }
    if (!error)
        error = parse_lines(k, d->head);
    return error ? bad(d, error) : DECODE_OK;
}

static int unescaped(uint8_t letter, enum stomp_version v)
{
    switch (letter) {
    case 'n':
        return '\n';
    case 'c':
        return ':';
    case '\\':
        return '\\';
    case 'r':
        return v == STOMP_V1_2 ? '\r' : -1;
    default:
        return -1;
    }
}

/* In place: what comes out is never longer. */
static bool unescape(uint8_t *p, size_t *n, enum stomp_version v)
{
    const uint8_t *escape = *n ? memchr(p, '\\', *n) : NULL;

    if (!escape)
        return true;
    size_t to = (size_t)(escape - p);
    for (size_t from = to; from < *n; from++) {
        int c = p[from];

        if (c == '\\') {
            from++;
            c = from < *n ? unescaped(p[from], v) : -1;
        }
        if (c < 0)
            return false;
        p[to++] = (uint8_t)c;
    }
    *n = to;
    return true;
}

/* Only for a frame that is now given out, for a second time would be wrong. */
static enum decode unescape_headers(struct look *k)
{
    enum stomp_version v = k->d->version;
    enum stomp_command c = k->out->command;

    if (v == STOMP_V1_0 || c == STOMP_CMD_CONNECT || c == STOMP_CMD_STOMP ||
        c == STOMP_CMD_CONNECTED || !memchr(k->in, '\\', k->head))
        return DECODE_OK;
    for (unsigned i = 0; i < k->out->header_count; i++) {
        struct stomp_header *h = &k->header[i];

        if (!unescape(k->in + (h->name.p - k->in), &h->name.n, v) ||
            !unescape(k->in + (h->value.p - k->in), &h->value.n, v))
            return bad(k->d, "undefined escape in a header");
    }
    return DECODE_OK;
}

static enum decode finish(struct look *k, enum stomp_part part, size_t body, size_t *used)
{
    struct stomp_decoder *d = k->d;

    if (unescape_headers(k) != DECODE_OK)
        return DECODE_BAD;
    k->out->part = part;
    k->out->body = (struct bytes){ k->in + k->head, body };
    *used += part == STOMP_HEAD ? k->head : k->head + body + 1;
    d->in_body = part == STOMP_HEAD;
    d->body_left = d->in_body ? k->out->content_length : 0;
    d->head = d->scanned = d->need = 0;
    return DECODE_OK;
}

/* The body has a content-length. */
static enum decode measured_body(struct look *k, size_t *used)
{
    uint64_t length = k->out->content_length;
    size_t have = k->n - k->head;

    if (length > 0 && !commands[k->out->command].body)
        return bad(k->d, "this command may not have a body");
    if (length > k->limits->body_bytes)
        return bad(k->d, "body is too long");
    if (length > k->limits->inline_bytes)
        return finish(k, STOMP_HEAD, 0, used);
    if (have <= length) {
        k->d->need = length < SIZE_MAX - k->head ? k->head + (size_t)length + 1 : SIZE_MAX;
        return DECODE_MORE;
    }
    if (k->in[k->head + (size_t)length] != 0)
        return bad(k->d, "no NUL after the body of content-length octets");
    return finish(k, STOMP_WHOLE, (size_t)length, used);
}

/* The body ends at the first NUL. */
static enum decode terminated_body(struct look *k, size_t *used)
{
    struct stomp_decoder *d = k->d;
    size_t from = d->scanned > k->head ? d->scanned : k->head;
    const uint8_t *nul = from < k->n ? memchr(k->in + from, 0, k->n - from) : NULL;
    size_t body = (nul ? (size_t)(nul - k->in) : k->n) - k->head;

    if (body > 0 && !commands[k->out->command].body)
        return bad(d, "this command may not have a body");
    if (body > k->limits->body_bytes)
        return bad(d, "body is too long");
    if (nul)
        return finish(k, STOMP_WHOLE, body, used);
    d->need = k->n + 1;
    if (commands[k->out->command].body)
        d->scanned = k->n;
    return DECODE_MORE;
}

static enum decode decode_piece(struct stomp_decoder *d, const uint8_t *in, size_t n,
                                struct stomp_frame *out, size_t *used)
{
    if (n == 0)
        return DECODE_MORE;
    *out = (struct stomp_frame){ .part = STOMP_END };
    if (d->body_left == 0) {
        if (in[0] != 0)
            return bad(d, "no NUL after the body of content-length octets");
        d->in_body = false;
        *used = 1;
        return DECODE_OK;
    }
    *used = d->body_left < n ? (size_t)d->body_left : n;
    d->body_left -= *used;
    out->part = STOMP_BODY;
    out->body = (struct bytes){ in, *used };
    return DECODE_OK;
}

/* The head was parsed before.  Has its body now come, so that doing it again is
 * of use?  A body without a length was scanned beyond the head, others were not. */
static bool still_waiting(struct look *k)
{
    struct stomp_decoder *d = k->d;

    if (k->n < d->need)
        return true;
    if (d->head == 0 || d->scanned < d->head || k->n - d->head > k->limits->body_bytes ||
        memchr(k->in + d->scanned, 0, k->n - d->scanned))
        return false;
    d->scanned = k->n;
    d->need = k->n + 1;
    return true;
}

enum decode stomp_decode(struct stomp_decoder *d, const struct stomp_limits *limits,
                         struct stomp_scratch *scratch, uint8_t *in, size_t n,
                         struct stomp_frame *out, size_t *used)
{
    CHECK(limits->headers <= STOMP_HEADERS_MAX);
    *used = 0;
    if (d->in_body)
        return decode_piece(d, in, n, out, used);

    size_t eols = count_eols(in, n);

    *used = eols;
    n -= eols;
    if (n == 0 || (n == 1 && in[eols] == '\r'))
        return DECODE_MORE;
    struct look k = { d, limits, scratch->header, in + eols, n, out, 0 };

    if (still_waiting(&k))
        return DECODE_MORE;
    enum decode r = parse_head(&k);

    if (r != DECODE_OK)
        return r;
    return k.out->has_length ? measured_body(&k, used) : terminated_body(&k, used);
}
