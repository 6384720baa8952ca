// SPDX-License-Identifier: MIT
#include <string.h>

#include "base/mem.h"
#include "client/lodge.h"

const char *lodge_message_header(const struct lodge_message *m, const char *name)
{
    for (size_t i = 0; i < m->header_count; i++)
        if (strcmp(m->headers[i].name, name) == 0)
            return m->headers[i].value;
    return NULL;
}

/* The copy is one block: the message, its headers, their texts, the body. */
struct block {
    struct lodge_message m;
    struct lodge_header header[];
};

static size_t text_size(const struct lodge_message *m)
{
    size_t n = strlen(m->destination) + strlen(m->id) + strlen(m->ack) + 3;

    for (size_t i = 0; i < m->header_count; i++)
        n += strlen(m->headers[i].name) + strlen(m->headers[i].value) + 2;
    return n;
}

static const char *put_text(char **at, const char *text)
{
    char *start = *at;
    size_t n = strlen(text) + 1;

    *at += n;
    return memcpy(start, text, n);
}

struct lodge_message *lodge_message_copy(const struct lodge_message *m)
{
    size_t head = sizeof(struct block) + m->header_count * sizeof m->headers[0];
    struct block *b = mem_alloc(head + text_size(m) + m->body_size + 1);
    char *at = (char *)b + head;

    b->m = *m;
    b->m.headers = b->header;
    b->m.destination = put_text(&at, m->destination);
    b->m.id = put_text(&at, m->id);
    b->m.ack = put_text(&at, m->ack);
    for (size_t i = 0; i < m->header_count; i++) {
        b->header[i].name = put_text(&at, m->headers[i].name);
        b->header[i].value = put_text(&at, m->headers[i].value);
    }
    b->m.body = at;
    if (m->body_size)
        memcpy(at, m->body, m->body_size);
    at[m->body_size] = '\0';
    return &b->m;
}

void lodge_message_free(struct lodge_message *m)
{
    mem_free(m);
}
