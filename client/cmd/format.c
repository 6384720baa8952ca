// SPDX-License-Identifier: MIT
#include "client/cmd/format.h"

#include <cjson/cJSON.h>

#include "base/check.h"
#include "base/utf8.h"

void format_base64(struct buf *out, struct bytes in)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *to = buf_reserve(out, in.n / 3 * 4 + 4);

    for (size_t i = 0; i < in.n; i += 3) {
        size_t n = in.n - i;
        uint32_t v = (uint32_t)in.p[i] << 16 | (n > 1 ? (uint32_t)in.p[i + 1] << 8 : 0) |
                     (n > 2 ? (uint32_t)in.p[i + 2] : 0);

        *to++ = (uint8_t)digits[v >> 18];
        *to++ = (uint8_t)digits[v >> 12 & 63];
        *to++ = n > 1 ? (uint8_t)digits[v >> 6 & 63] : '=';
        *to++ = n > 2 ? (uint8_t)digits[v & 63] : '=';
    }
    out->n = (size_t)(to - out->p);
}

/* cJSON writes strings byte by byte: what is not UTF-8 would make the line invalid. */
static cJSON *json_text(const char *text)
{
    struct buf b = { 0 };
    cJSON *json;

    if (utf8_valid(bytes_str(text)))
        return cJSON_CreateString(text);
    format_base64(&b, bytes_str(text));
    buf_u8(&b, 0);
    json = cJSON_CreateString((const char *)b.p);
    buf_fini(&b);
    return json;
}

static void add_body(cJSON *o, struct bytes body)
{
    struct buf b = { 0 };

    /* A NUL stands behind the body (lodge.h), so as text it ends there. */
    if (utf8_valid(body) && (body.n == 0 || !memchr(body.p, 0, body.n))) {
        (void)cJSON_AddStringToObject(o, "body", body.n ? (const char *)body.p : "");
        return;
    }
    format_base64(&b, body);
    buf_u8(&b, 0);
    (void)cJSON_AddStringToObject(o, "body_base64", (const char *)b.p);
    buf_fini(&b);
}

static void format_json(struct buf *out, const struct lodge_message *m)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *headers;
    char *text;

    cJSON_AddItemToObject(o, "destination", json_text(m->destination));
    cJSON_AddItemToObject(o, "id", json_text(m->id));
    (void)cJSON_AddBoolToObject(o, "redelivered", m->redelivered);
    headers = cJSON_AddObjectToObject(o, "headers");
    for (size_t i = 0; i < m->header_count; i++) /* the first of a name wins */
        if (!cJSON_GetObjectItemCaseSensitive(headers, m->headers[i].name))
            cJSON_AddItemToObject(headers, m->headers[i].name, json_text(m->headers[i].value));
    add_body(o, bytes_of(m->body, m->body_size));
    text = cJSON_PrintUnformatted(o);
    CHECK(text);
    buf_str(out, text);
    buf_u8(out, '\n');
    cJSON_free(text);
    cJSON_Delete(o);
}

void format_message(struct buf *out, const struct lodge_message *m, enum format format,
                    bool newline)
{
    if (format == FORMAT_JSON) {
        format_json(out, m);
        return;
    }
    for (size_t i = 0; format == FORMAT_HEADERS && i < m->header_count; i++) {
        buf_str(out, m->headers[i].name);
        buf_u8(out, ':');
        buf_str(out, m->headers[i].value);
        buf_u8(out, '\n');
    }
    if (format == FORMAT_HEADERS)
        buf_u8(out, '\n');
    buf_put(out, m->body, m->body_size);
    if (newline)
        buf_u8(out, '\n');
}
