// SPDX-License-Identifier: MIT
#include <event2/event.h>
#include <stdio.h>

#include "base/list.h"
#include "base/mem.h"
#include "client/client.h"

/* Lives until it was answered and its SEND was confirmed, in whichever order. */
struct request {
    uint64_t number;
    struct lodge *c;
    struct heap_node deadline;
    bool answered, confirmed;
    lodge_reply_fn *reply;
    void *arg;
};

static void arm_deadline(struct lodge *c)
{
    const struct heap_node *first = heap_min(&c->deadlines);
    uint64_t now = client_now_ms(), wait;
    struct timeval tv;

    event_del(c->deadline_ev);
    if (!first)
        return;
    wait = first->key > now ? first->key - now : 0;
    tv = (struct timeval){ (time_t)(wait / 1000), (suseconds_t)(wait % 1000 * 1000) };
    (void)event_add(c->deadline_ev, &tv);
}

/* Tells the outcome, once. */
static void answer(struct request *r, enum lodge_status status, const struct lodge_message *m,
                   const char *reason)
{
    lodge_reply_fn *reply = r->reply;
    void *arg = r->arg;

    if (r->answered)
        return;
    r->answered = true;
    heap_remove(&r->c->deadlines, &r->deadline);
    map_remove(&r->c->requests, map_key_u64(&r->number));
    if (r->confirmed)
        mem_free(r);
    reply(arg, status, m, reason);
}

static void on_confirm(void *arg, enum lodge_status status, const char *reason)
{
    struct request *r = arg;

    if (r->answered) {
        mem_free(r);
        return;
    }
    r->confirmed = true;
    if (status != LODGE_OK)
        answer(r, status, NULL, reason);
}

enum lodge_status lodge_request(struct lodge *c, const struct lodge_outgoing *m,
                                uint32_t timeout_ms, lodge_reply_fn *reply, void *arg)
{
    struct lodge_header headers[202];
    struct lodge_outgoing with = *m;
    struct request *r;
    char number[24];
    enum lodge_status status;

    if (!send_valid(m))
        return LODGE_INVALID;
    for (size_t i = 0; i < m->header_count; i++) {
        if (strcmp(m->headers[i].name, "reply-to") == 0 ||
            strcmp(m->headers[i].name, "correlation-id") == 0)
            return LODGE_INVALID;
        headers[i] = m->headers[i];
    }
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)c->request_next + 1);
    headers[with.header_count++] = (struct lodge_header){ "reply-to", REPLY_DESTINATION };
    headers[with.header_count++] = (struct lodge_header){ "correlation-id", number };
    with.headers = headers;
    r = mem_new(struct request);
    status = lodge_send(c, &with, on_confirm, r);
    if (status != LODGE_OK) {
        mem_free(r);
        return status;
    }
    r->number = ++c->request_next;
    r->c = c;
    r->reply = reply;
    r->arg = arg;
    map_put(&c->requests, map_key_u64(&r->number), r);
    heap_push(&c->deadlines, &r->deadline, client_now_ms() + timeout_ms);
    arm_deadline(c);
    return LODGE_OK;
}

void request_replied(struct lodge *c, const struct lodge_message *m)
{
    const char *correlation = lodge_message_header(m, "correlation-id");
    struct request *r;
    uint64_t number;

    if (!correlation || !bytes_to_u64(bytes_str(correlation), UINT64_MAX, &number))
        return;
    r = map_get(&c->requests, map_key_u64(&number));
    if (r)
        answer(r, LODGE_OK, m, "");
}

/* Looked for anew each time: telling the user may add requests. */
static struct request *first_confirmed(const struct lodge *c)
{
    size_t at = 0;
    struct request *r;

    while ((r = map_next(&c->requests, &at)))
        if (r->confirmed)
            return r;
    return NULL;
}

/* The reply queue went with the connection.  Requests that are not confirmed are
 * sent again and get a new one. */
void request_connection_lost(struct lodge *c)
{
    struct request *r;

    while ((r = first_confirmed(c)))
        answer(r, LODGE_LOST, NULL, "the connection was lost before the reply");
}

void request_on_deadline(struct lodge *c)
{
    uint64_t now = client_now_ms();
    struct heap_node *first;

    while ((first = heap_min(&c->deadlines)) && first->key <= now)
        answer(container_of(first, struct request, deadline), LODGE_TIMEOUT, NULL,
               "no reply in time");
    if (!c->doomed)
        arm_deadline(c);
}

void request_free_all(struct lodge *c)
{
    size_t at = 0;
    struct request *r;

    while ((r = map_next(&c->requests, &at)))
        answer(r, LODGE_LOST, NULL, "");
}

enum lodge_status lodge_reply(struct lodge *c, const struct lodge_message *request,
                              const void *body, size_t body_size, lodge_confirm_fn *confirm,
                              void *arg)
{
    const char *to = lodge_message_header(request, "reply-to");
    const char *correlation = lodge_message_header(request, "correlation-id");
    struct lodge_header header = { "correlation-id", correlation };
    struct lodge_outgoing m = {
        .destination = to,
        .headers = &header,
        .header_count = correlation ? 1 : 0,
        .body = body,
        .body_size = body_size,
    };

    return lodge_send(c, &m, confirm, arg);
}
