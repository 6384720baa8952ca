// SPDX-License-Identifier: MIT
/* tx.*: what is published and settled until commit is one commit of the store, over any
 * number of queues. */
#include "broker/session/amqp_session.h"

static struct core *core_of(const struct amqp_channel *ch)
{
    return ch->conn->s.env->core;
}

static void begin(struct amqp_channel *ch)
{
    ch->tx = core_tx_begin(core_of(ch), ch->client);
    ch->tx_settles = 0;
    ch->tx_refused = false;
}

void amqp_on_tx_select(struct amqp_channel *ch, const struct amqp_args *args)
{
    if (ch->confirming) {
        amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, args->id,
                          "cannot switch from confirm to tx mode");
        return;
    }
    if (!ch->transactional)
        begin(ch);
    ch->transactional = true;
    amqp_put_id(ch, AMQP_tx_select_ok);
}

static bool is_transactional(struct amqp_channel *ch, uint32_t method)
{
    if (!ch->transactional)
        amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, method, "channel is not transactional");
    return ch->transactional;
}

static void commit_failed(struct amqp_channel *ch, uint32_t method, enum publish_result r,
                          const char *why)
{
    enum amqp_reply code = r == PUBLISH_NO_EXCHANGE ? AMQP_NOT_FOUND
                           : r == PUBLISH_FORBIDDEN ? AMQP_ACCESS_REFUSED
                                                    : AMQP_PRECONDITION_FAILED;

    amqp_channel_fail(ch, code, method, "nothing of the transaction was done: %s",
                      why ? why : "refused");
}

void amqp_on_tx_commit(struct amqp_channel *ch, const struct amqp_args *args)
{
    const char *why = NULL;

    if (!is_transactional(ch, args->id))
        return;
    if (ch->tx_refused) {
        commit_failed(ch, args->id, PUBLISH_REFUSED, "the disk was full");
        return;
    }
    enum publish_result r = core_tx_commit(core_of(ch), &ch->tx, &why, ch->conn->s.env->now_ms);
    if (r != PUBLISH_ROUTED && r != PUBLISH_UNROUTED) {
        commit_failed(ch, args->id, r, why);
        return;
    }
    begin(ch);
    amqp_put_durable(ch, &(struct amqp_args){ .id = AMQP_tx_commit_ok });
}

void amqp_on_tx_rollback(struct amqp_channel *ch, const struct amqp_args *args)
{
    if (!is_transactional(ch, args->id))
        return;
    core_tx_abort(&ch->tx);
    begin(ch);
    amqp_put_id(ch, AMQP_tx_rollback_ok);
}
