// SPDX-License-Identifier: MIT
/* basic.ack, nack, reject and recover. */
#include "broker/session/amqp_session.h"

#include <inttypes.h>

static struct core *core_of(const struct amqp_channel *ch)
{
    return ch->conn->s.env->core;
}

/* In a transaction it is done at its commit. */
static enum err settle_now(struct amqp_channel *ch, uint64_t tag, bool multiple, enum settle how)
{
    struct core *c = core_of(ch);

    if (tag == 0 && !multiple)
        return ERR_NOT_FOUND;
    if (!ch->transactional)
        return core_settle(c, ch->client, 0, tag, multiple, how, ch->conn->s.env->now_ms);
    if (!core_unacked_has(c, ch->client, tag))
        return ERR_NOT_FOUND;
    if (ch->tx_settles++ >= AMQP_TX_SETTLES_MAX)
        return ERR_LIMIT;
    core_tx_settle(ch->tx, 0, tag, multiple, how);
    return OK;
}

static void settle(struct amqp_channel *ch, uint32_t method, uint64_t tag, bool multiple,
                   enum settle how)
{
    enum err e = settle_now(ch, tag, multiple, how);

    if (e == OK || (tag == 0 && multiple)) /* all of nothing is nothing */
        return;
    if (e == ERR_LIMIT)
        amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, method,
                          "more than %d acknowledgements in a transaction", AMQP_TX_SETTLES_MAX);
    else
        amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, method, "unknown delivery tag %" PRIu64,
                          tag);
}

void amqp_on_ack(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_basic_ack *a = &args->basic_ack;

    settle(ch, args->id, a->delivery_tag, a->multiple, SETTLE_ACK);
}

void amqp_on_nack(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_basic_nack *a = &args->basic_nack;

    settle(ch, args->id, a->delivery_tag, a->multiple, a->requeue ? SETTLE_RETURN : SETTLE_REJECT);
}

void amqp_on_reject(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_basic_reject *a = &args->basic_reject;

    settle(ch, args->id, a->delivery_tag, false, a->requeue ? SETTLE_RETURN : SETTLE_REJECT);
}

/* To the same consumer again (requeue=false) is what nobody implements. */
void amqp_on_recover(struct amqp_channel *ch, const struct amqp_args *args)
{
    if (!args->basic_recover.requeue) {
        amqp_channel_fail(ch, AMQP_NOT_IMPLEMENTED, args->id, "requeue=false");
        return;
    }
    enum err e = core_settle(core_of(ch), ch->client, 0, 0, true, SETTLE_RETURN,
                             ch->conn->s.env->now_ms);
    (void)e; /* nothing was unacked */
    if (args->id == AMQP_basic_recover)
        amqp_put_id(ch, AMQP_basic_recover_ok);
}
