// SPDX-License-Identifier: MIT
#include "base/check.h"
#include "client/client.h"

enum { HEAD_HINT_BYTES = 256, HEADERS_GIVEN_MAX = 200 };

struct bytes client_destination(struct lodge *c, const char *destination)
{
    if (destination[0] == '/')
        return bytes_str(destination);
    c->name.n = 0;
    buf_str(&c->name, "/queue/");
    buf_str(&c->name, destination);
    return buf_view(&c->name);
}

static bool is_reserved(const char *name)
{
    switch (name[0]) {
    case 'd':
        return strcmp(name, "destination") == 0;
    case 'r':
        return strcmp(name, "receipt") == 0;
    case 'c':
        return strcmp(name, "content-length") == 0;
    case 't':
        return strcmp(name, "transaction") == 0;
    default:
        return name[0] == '\0';
    }
}

bool send_valid(const struct lodge_outgoing *m)
{
    if (!m->destination || !m->destination[0] || (m->body_size > 0 && !m->body) ||
        m->header_count > HEADERS_GIVEN_MAX)
        return false;
    for (size_t i = 0; i < m->header_count; i++)
        if (!m->headers[i].name || !m->headers[i].value || is_reserved(m->headers[i].name))
            return false;
    return true;
}

void send_encode(struct lodge *c, struct buf *out, const struct lodge_outgoing *m,
                 struct bytes extra)
{
    bool persistent = false;

    stomp_put_command(out, STOMP_CMD_SEND);
    stomp_put_header(out, STOMP_V1_2, BYTES("destination"), client_destination(c, m->destination));
    for (size_t i = 0; i < m->header_count; i++) {
        const struct lodge_header *h = &m->headers[i];

        stomp_put_header(out, STOMP_V1_2, bytes_str(h->name), bytes_str(h->value));
        persistent = persistent || strcmp(h->name, "persistent") == 0;
    }
    if (!persistent)
        buf_bytes(out, BYTES("persistent:true\n"));
    stomp_put_header_u64(out, BYTES("content-length"), m->body_size);
    buf_bytes(out, extra);
    stomp_put_head_end(out);
    buf_put(out, m->body, m->body_size);
    stomp_put_end(out);
}

enum lodge_status send_room(struct lodge *c, size_t size)
{
    size_t max_bytes = c->options.unconfirmed_max_bytes;

    if (c->closing || c->state == CLIENT_OVER)
        return LODGE_CLOSED;
    if (c->outbox.unconfirmed < c->options.unconfirmed_max &&
        (c->outbox.unconfirmed == 0 ||
         (size <= max_bytes && c->outbox.unconfirmed_bytes <= max_bytes - size)))
        return LODGE_OK;
    c->was_full = true;
    return LODGE_FULL;
}

enum lodge_status lodge_send(struct lodge *c, const struct lodge_outgoing *m,
                             lodge_confirm_fn *confirm, void *arg)
{
    uint8_t receipt[40] = "receipt:";
    size_t n = sizeof "receipt:" - 1;
    struct buf *out;

    if (!send_valid(m))
        return LODGE_INVALID;
    enum lodge_status room = send_room(c, m->body_size + HEAD_HINT_BYTES);

    if (room != LODGE_OK)
        return room;
    n += bytes_put_u64(receipt + n, c->outbox.tail);
    receipt[n++] = '\n';
    out = outbox_begin(&c->outbox, m->body_size + HEAD_HINT_BYTES);
    send_encode(c, out, m, bytes_of(receipt, n));
    outbox_end(&c->outbox, OUTBOX_KEEP, (struct outbox_owner){ confirm, arg });
    link_flush_soon(c);
    return LODGE_OK;
}

struct buf *send_loose_begin(struct lodge *c)
{
    CHECK(c->state == CLIENT_UP);
    return outbox_begin(&c->outbox, HEAD_HINT_BYTES);
}

void send_loose_end(struct lodge *c)
{
    outbox_end(&c->outbox, OUTBOX_LOOSE, (struct outbox_owner){ NULL, NULL });
    link_flush_soon(c);
}

void ack_encode(struct buf *out, const struct lodge_message *m, enum stomp_command command,
                bool requeue, uint64_t tx)
{
    stomp_put_command(out, command);
    stomp_put_header(out, STOMP_V1_2, BYTES("id"), bytes_str(m->ack));
    if (command == STOMP_CMD_NACK && !requeue)
        buf_bytes(out, BYTES("requeue:false\n"));
    if (tx)
        stomp_put_header_u64(out, BYTES("transaction"), tx);
    stomp_put_head_end(out);
    stomp_put_end(out);
}

static void settle(struct lodge *c, const struct lodge_message *m, enum stomp_command command,
                   bool requeue)
{
    if (c->state != CLIENT_UP || m->connection != c->connection || !m->ack[0] || c->disconnect_sent)
        return;
    ack_encode(send_loose_begin(c), m, command, requeue, 0);
    send_loose_end(c);
}

void lodge_ack(struct lodge *c, const struct lodge_message *m)
{
    settle(c, m, STOMP_CMD_ACK, false);
}

void lodge_nack(struct lodge *c, const struct lodge_message *m, bool requeue)
{
    settle(c, m, STOMP_CMD_NACK, requeue);
}
