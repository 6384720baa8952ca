// SPDX-License-Identifier: MIT
#include "base/mem.h"
#include "client/client.h"

struct lodge_tx {
    struct lodge *c;
    uint64_t number;
    struct buf frames; /* the whole transaction but its COMMIT */
    bool acks;
    uint64_t connection; /* of the deliveries that it acknowledges */
    bool stale;          /* of several: it cannot be done as a whole */
};

static struct bytes tx_header(const struct lodge_tx *tx, uint8_t out[40])
{
    size_t n = sizeof "transaction:" - 1;

    memcpy(out, "transaction:", n);
    n += bytes_put_u64(out + n, tx->number);
    out[n++] = '\n';
    return bytes_of(out, n);
}

static void put_bound(struct buf *out, const struct lodge_tx *tx, enum stomp_command command,
                      uint64_t receipt)
{
    stomp_put_command(out, command);
    stomp_put_header_u64(out, BYTES("transaction"), tx->number);
    if (receipt)
        stomp_put_header_u64(out, BYTES("receipt"), receipt);
    stomp_put_head_end(out);
    stomp_put_end(out);
}

struct lodge_tx *lodge_begin(struct lodge *c)
{
    struct lodge_tx *tx = mem_new(struct lodge_tx);

    tx->c = c;
    tx->number = ++c->tx_next;
    put_bound(&tx->frames, tx, STOMP_CMD_BEGIN, 0);
    return tx;
}

enum lodge_status lodge_tx_send(struct lodge_tx *tx, const struct lodge_outgoing *m)
{
    uint8_t header[40];

    if (!send_valid(m))
        return LODGE_INVALID;
    send_encode(tx->c, &tx->frames, m, tx_header(tx, header));
    return LODGE_OK;
}

static void tx_settle(struct lodge_tx *tx, const struct lodge_message *m,
                      enum stomp_command command, bool requeue)
{
    if (!m->ack[0])
        return;
    if (tx->acks && tx->connection != m->connection)
        tx->stale = true;
    tx->acks = true;
    tx->connection = m->connection;
    ack_encode(&tx->frames, m, command, requeue, tx->number);
}

void lodge_tx_ack(struct lodge_tx *tx, const struct lodge_message *m)
{
    tx_settle(tx, m, STOMP_CMD_ACK, false);
}

void lodge_tx_nack(struct lodge_tx *tx, const struct lodge_message *m, bool requeue)
{
    tx_settle(tx, m, STOMP_CMD_NACK, requeue);
}

enum lodge_status lodge_commit(struct lodge_tx *tx, lodge_confirm_fn *confirm, void *arg)
{
    struct lodge *c = tx->c;
    enum lodge_status room = send_room(c, tx->frames.n);
    struct buf *out;

    if (room != LODGE_OK)
        return room;
    if (tx->acks && (tx->stale || c->state != CLIENT_UP || tx->connection != c->connection)) {
        lodge_abort(tx);
        return LODGE_LOST;
    }
    out = outbox_begin(&c->outbox, tx->frames.n + 128);
    buf_bytes(out, buf_view(&tx->frames));
    put_bound(out, tx, STOMP_CMD_COMMIT, c->outbox.tail);
    outbox_end(&c->outbox, tx->acks ? OUTBOX_ONCE : OUTBOX_KEEP,
               (struct outbox_owner){ confirm, arg });
    link_flush_soon(c);
    lodge_abort(tx);
    return LODGE_OK;
}

void lodge_abort(struct lodge_tx *tx)
{
    if (!tx)
        return;
    buf_fini(&tx->frames);
    mem_free(tx);
}
