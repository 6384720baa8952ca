// SPDX-License-Identifier: MIT
/* Shared subscriptions at QoS 2 [4.8.2].
 *
 * A message that was begun to be sent to a member is that member's to the end: it waits for
 * it, over broken connections and restarts, and no other is sent it [MQTT-4.8.2-4,
 * MQTT-4.8.2-5].  So it moves, in one commit, from the queue of the group to that of the
 * session, and is sent from there once that is on disk.  A session that ends with its
 * connection has nothing to wait in: what it was sent ends with it. */
#include <inttypes.h>

#include "base/check.h"
#include "broker/session/mqtt_session.h"

/* Publishing may move the bytes that the message is a view of. */
static void copy(struct buf *b, const struct message *from, struct message *to)
{
    b->n = 0;
    buf_bytes(b, from->exchange);
    buf_bytes(b, from->routing_key);
    buf_bytes(b, from->body);
    *to = *from;
    to->exchange.p = b->p;
    to->routing_key.p = to->exchange.p + to->exchange.n;
    to->body.p = to->routing_key.p + to->routing_key.n;
}

static bool is_share(const struct mqtt_subscription_state *u)
{
    return u->source == MQTT_FROM_SHARE;
}

/* What is taken is not there for the other members: no more than can be sent. */
static void hold(struct mqtt_session *s)
{
    s->shares_held = true;
    for (size_t i = 0; i < s->sub_count; i++) {
        struct mqtt_subscription_state *u = s->sub[i];

        if (!is_share(u) || !u->consumer)
            continue;
        core_cancel(mqtt_core(s), s->client, u->consumer, s->s.env->now_ms);
        u->consumer = 0;
    }
}

static void go_on(struct mqtt_session *s)
{
    s->shares_held = false;
    for (size_t i = 0; i < s->sub_count; i++)
        if (is_share(s->sub[i]) && mqtt_subscription_consume(s, s->sub[i]) >= 0x80)
            mqtt_log_fault(s, "a shared subscription cannot go on");
}

bool mqtt_share_take(struct mqtt_session *s, const struct effect *e, const struct message *m,
                     const struct mqtt_subscription_state *u, bool retain)
{
    struct mqtt_shared *sh = s->shared;
    uint64_t now_ms = s->s.env->now_ms;
    struct publish p = { .persistent = true, .deliver_committed = true };
    const char *why;

    if (!is_share(u) || !s->persistent || !s->has_queue)
        return false;
    copy(&sh->note, m, &p.m);
    p.m.props = mqtt_props_shared(sh, m->props, u->id, retain);
    p.has_ttl = e->expires_ms > 0;
    p.ttl_ms = e->expires_ms > now_ms ? e->expires_ms - now_ms : 0;
    if (core_publish_queue(mqtt_core(s), s->client, buf_view(&s->queue), &p, &why, now_ms) !=
        PUBLISH_ROUTED)
        return false;
    CHECK(core_settle(mqtt_core(s), s->client, 0, e->tag, false, SETTLE_ACK, now_ms) == OK);
    if (++s->taken >= s->receive_max && !s->shares_held)
        hold(s);
    return true;
}

void mqtt_share_sent(struct mqtt_session *s)
{
    if (s->taken > 0) /* else it was taken before the session was resumed */
        s->taken--;
    if (s->shares_held && s->taken <= s->receive_max / 2u)
        go_on(s);
}

void mqtt_share_end(struct mqtt_session *s)
{
    uint64_t now_ms = s->s.env->now_ms;
    const struct mqtt_flight *f;
    uint32_t count = 0;

    for (size_t at = 0; (f = mqtt_inflight_next(&s->out, &at));) {
        if (!f->shared || f->sent == MQTT_SENT_QOS1)
            continue;
        CHECK(core_settle(mqtt_core(s), s->client, 0, f->tag, false, SETTLE_ACK, now_ms) == OK);
        count++;
    }
    if (count > 0)
        log_info("mqtt.ended_with_session", "id=%" PRIu64 " client=%s messages=%" PRIu32, s->s.id,
                 log_text(mqtt_client_id(s)).s, count);
}
