// SPDX-License-Identifier: MIT
/* ACK and NACK.  In 1.2 they name the `ack` header of a MESSAGE, which is
 * SUBSCRIPTION-TAG; in 1.0 and 1.1 its `message-id`, which is QUEUE-SEQ. */
#include "broker/session/stomp_session.h"

static bool two_numbers(struct bytes text, uint64_t *a, uint64_t *b)
{
    const uint8_t *dash = text.n ? memchr(text.p, '-', text.n) : NULL;
    size_t first = dash ? (size_t)(dash - text.p) : 0;

    return dash && bytes_to_u64(bytes_head(text, first), UINT64_MAX, a) &&
           bytes_to_u64(bytes_from(text, first + 1), UINT64_MAX, b);
}

/* NULL: failed. */
static struct stomp_subscription *by_ack(struct stomp_session *s, const struct stomp_frame *f,
                                         uint64_t *tag)
{
    struct bytes id = stomp_known_get(&s->shared->known, STOMP_NAME_id);
    struct stomp_subscription *sub;
    uint64_t number;

    if (!id.p) {
        stomp_fail(s, f, "Missing header", "%s must include an 'id' header: the 'ack' of a MESSAGE",
                   stomp_command_name(f->command));
        return NULL;
    }
    if (!two_numbers(id, &number, tag) || *tag == 0) {
        stomp_fail(s, f, "Invalid header", "%s: '%s' is no 'ack' of a MESSAGE of this connection",
                   stomp_command_name(f->command), log_text(id).s);
        return NULL;
    }
    sub = stomp_subscription_find(s, number);
    if (!sub)
        stomp_fail(s, f, "Message not found",
                   "%s '%s': its subscription has ended, and the message went back to its queue",
                   stomp_command_name(f->command), log_text(id).s);
    return sub;
}

/* Without a `subscription` (1.0) any of them may have it. */
static struct stomp_subscription *holder(struct stomp_session *s, uint64_t queue_id, uint64_t seq,
                                         uint64_t *tag)
{
    struct bytes id = stomp_known_get(&s->shared->known, STOMP_NAME_subscription);

    for (size_t i = 0; i < s->sub_count; i++) {
        struct stomp_subscription *sub = s->sub[i];

        if (id.p && !bytes_eq(sub->id, id))
            continue;
        *tag = core_tag_find(s->s.env->core, s->client, sub->consumer, queue_id, seq);
        if (*tag)
            return sub;
    }
    return NULL;
}

/* NULL: failed, or there is nothing to do. */
static struct stomp_subscription *by_message_id(struct stomp_session *s,
                                                const struct stomp_frame *f, uint64_t *tag)
{
    struct bytes id = stomp_known_get(&s->shared->known, STOMP_NAME_message_id);
    struct stomp_subscription *sub = NULL;
    uint64_t queue_id, seq;

    if (!id.p) {
        stomp_fail(s, f, "Missing header", "%s must include a 'message-id' header",
                   stomp_command_name(f->command));
        return NULL;
    }
    if (two_numbers(id, &queue_id, &seq))
        sub = holder(s, queue_id, seq, tag);
    if (!sub)
        stomp_fail(s, f, "Message not found",
                   "%s: no message '%s' waits for an answer of this connection",
                   stomp_command_name(f->command), log_text(id).s);
    return sub;
}

/* False: failed. */
static bool settle(struct stomp_session *s, const struct stomp_frame *f,
                   const struct stomp_subscription *sub, uint64_t tag, enum settle how)
{
    bool upto = sub->ack == STOMP_ACK_CLIENT;
    enum err e = core_settle(s->s.env->core, s->client, sub->consumer, tag, upto, how,
                             s->s.env->now_ms);

    /* With ack:client an earlier frame about a later message answered this one too. */
    if (e == OK || (upto && tag <= sub->last_tag))
        return true;
    stomp_fail(s, f, "Message not found", "%s: that message is not waiting for an answer",
               stomp_command_name(f->command));
    return false;
}

static bool stage(struct stomp_session *s, const struct stomp_frame *f, struct bytes name,
                  const struct stomp_subscription *sub, uint64_t tag, enum settle how)
{
    struct stomp_transaction *t = stomp_transaction_of(s, f, name);

    if (!t)
        return false;
    if (t->settles == STOMP_SETTLES_MAX) {
        stomp_fail(s, f, "Limit reached", "A transaction holds at most %d ACKs and NACKs",
                   STOMP_SETTLES_MAX);
        return false;
    }
    t->settles++;
    core_tx_settle(t->tx, sub->consumer, tag, sub->ack == STOMP_ACK_CLIENT, how);
    return true;
}

static enum settle manner(const struct stomp_session *s, const struct stomp_frame *f)
{
    if (f->command == STOMP_CMD_ACK)
        return SETTLE_ACK;
    return stomp_known_bool(&s->shared->known, STOMP_NAME_requeue, true) ? SETTLE_RETURN
                                                                         : SETTLE_REJECT;
}

void stomp_on_ack(struct stomp_session *s, const struct stomp_frame *f)
{
    struct stomp_known *k = &s->shared->known;
    struct stomp_subscription *sub;
    struct bytes transaction;
    uint64_t tag;

    (void)stomp_known_collect(f, 0, k, s->shared->user);
    sub = stomp_version(s) == STOMP_V1_2 ? by_ack(s, f, &tag) : by_message_id(s, f, &tag);
    if (!sub)
        return;
    transaction = stomp_known_get(k, STOMP_NAME_transaction);
    if (transaction.p ? stage(s, f, transaction, sub, tag, manner(s, f))
                      : settle(s, f, sub, tag, manner(s, f)))
        stomp_receipt(s, f, stomp_known_get(k, STOMP_NAME_receipt));
}
