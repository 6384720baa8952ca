// SPDX-License-Identifier: MIT
/* PUBLISH from a client, at each QoS [3.3, 4.3], and PUBREL [3.6]. */
#include <inttypes.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "broker/session/mqtt_session.h"

/* ---- the neutral part, wills too ---- */

static uint8_t retain_reason(enum err e)
{
    return e == OK            ? MQTT_SUCCESS
           : e == ERR_INVALID ? MQTT_TOPIC_NAME_INVALID
                              : MQTT_QUOTA_EXCEEDED;
}

uint8_t mqtt_publish_neutral(struct core *c, client_id client, struct publish *p, bool retain,
                             uint64_t now_ms)
{
    const char *why = NULL;
    uint8_t kept = MQTT_SUCCESS;
    struct props props;

    if (p->m.props.n > 0 && props_decode(p->m.props, &props))
        p->headers = props.headers; /* amq.topic may lead to a headers exchange */
    if (retain && p->m.blob_id && p->m.body_size > 0)
        kept = MQTT_QUOTA_EXCEEDED; /* what is kept for everybody to come is in memory */
    else if (retain)
        kept = retain_reason(core_retain(c, client, p, &why, now_ms));
    if (kept != MQTT_SUCCESS) {
        if (p->m.blob_id)
            core_blob_abort(c, p->m.blob_id);
        return kept;
    }
    switch (core_publish(c, client, p, &why, now_ms)) {
    case PUBLISH_ROUTED:
        return MQTT_SUCCESS;
    case PUBLISH_UNROUTED:
        return retain ? MQTT_SUCCESS : MQTT_NO_MATCHING_SUBSCRIBERS;
    case PUBLISH_REFUSED:
        return MQTT_QUOTA_EXCEEDED;
    case PUBLISH_NO_EXCHANGE:
    case PUBLISH_FORBIDDEN:
        break;
    }
    return MQTT_IMPLEMENTATION_ERROR;
}

/* ---- topic and alias [3.3.2.3.4] ---- */

static struct buf *alias_at(struct mqtt_session *s, uint16_t alias)
{
    uint32_t most = s->s.env->mqtt.topic_aliases;

    if (alias == 0 || alias > most)
        return NULL;
    if (!s->alias_in)
        s->alias_in = mem_array(most, sizeof *s->alias_in);
    return &s->alias_in[alias - 1];
}

/* False: refused. */
static bool topic_of(struct mqtt_session *s, const struct mqtt_publish *p, struct bytes *topic)
{
    struct buf *alias = NULL;

    *topic = p->topic;
    if (p->props.has & MQTT_HAS(topic_alias)) {
        alias = alias_at(s, p->props.topic_alias);
        if (!alias) {
            mqtt_fail(s, MQTT_TOPIC_ALIAS_INVALID, "topic alias %u is above the maximum of %u",
                      p->props.topic_alias, s->s.env->mqtt.topic_aliases);
            return false;
        }
    }
    if (p->topic.n > 0 && alias) {
        alias->n = 0;
        buf_bytes(alias, bytes_head(p->topic, MQTT_KEY_MAX_BYTES + 1)); /* refused if longer */
    } else if (alias) {
        *topic = buf_view(alias);
    }
    if (topic->n > 0)
        return true;
    mqtt_fail(s, MQTT_PROTOCOL_ERROR, "a topic alias that was not set before");
    return false;
}

/* ---- may it, and where to ---- */

static bool payload_is_text(const struct mqtt_publish *p)
{
    return !(p->props.has & MQTT_HAS(payload_format)) || !p->props.payload_format ||
           p->payload.n != p->payload_bytes || utf8_valid(p->payload);
}

static bool may_publish(struct mqtt_session *s, struct bytes topic)
{
    mqtt_topic_to_key(&s->shared->key, topic);
    return mqtt_may_publish(s, buf_view(&s->shared->key));
}

static uint8_t publish(struct mqtt_session *s, const struct mqtt_publish *p, struct bytes topic,
                       uint64_t blob_id)
{
    struct mqtt_shared *sh = s->shared;
    struct bytes from = s->no_local_used ? mqtt_client_id(s) : (struct bytes){ 0 };

    s->s.publisher = true;
    if (topic.n > MQTT_KEY_MAX_BYTES)
        return MQTT_TOPIC_NAME_INVALID;
    if (bytes_starts(topic, BYTES("$SYS/"))) /* without a word for it, it goes unheard */
        return s->level < MQTT_5 ? MQTT_SUCCESS : MQTT_NOT_AUTHORIZED;
    if (!payload_is_text(p))
        return MQTT_PAYLOAD_FORMAT_INVALID;
    mqtt_props_in(sh, &p->props, p->qos, p->retain, from, &sh->props);
    mqtt_topic_to_key(&sh->key, topic);
    struct publish out = { .m = { .exchange = MQTT_EXCHANGE,
                                  .routing_key = buf_view(&sh->key),
                                  .props = buf_view(&sh->props),
                                  .body = blob_id ? (struct bytes){ 0 } : p->payload,
                                  .body_size = p->payload_bytes,
                                  .blob_id = blob_id },
                           .headers_apart = true,
                           .persistent = p->qos > 0,
                           .has_ttl = p->props.has & MQTT_HAS(message_expiry),
                           .ttl_ms = p->props.message_expiry * UINT64_C(1000),
                           .deliver_committed = p->qos == 2 };
    return mqtt_publish_neutral(mqtt_core(s), s->client, &out, p->retain, s->s.env->now_ms);
}

/* ---- by QoS ---- */

/* Who ignores the maximum that it was told is refused [MQTT-3.3.4-7].  The count begins anew
 * with the connection [4.9]: a client that lost its own state never releases what it had sent. */
static bool within_receive_maximum(struct mqtt_session *s, const struct mqtt_publish *p)
{
    size_t open = mqtt_due_publishes(s) + mqtt_received_of_connection(s);

    if (p->qos == 0 || s->level < MQTT_5 || open < s->s.env->mqtt.receive_maximum)
        return true;
    mqtt_fail(s, MQTT_RECEIVE_MAXIMUM_EXCEEDED, "more than %u messages of QoS 1 and 2 at a time",
              s->s.env->mqtt.receive_maximum);
    return false;
}

/* CONNACK has said that it is of no use [3.2.2.3.5]. */
static bool may_retain(struct mqtt_session *s, const struct mqtt_publish *p)
{
    if (!p->retain || s->level < MQTT_5 || !s->s.env->mqtt.no_retain)
        return true;
    mqtt_fail(s, MQTT_RETAIN_NOT_SUPPORTED, "RETAIN where no messages are retained");
    return false;
}

static void answer(struct mqtt_session *s, const struct mqtt_publish *p, uint8_t reason)
{
    bool refused = reason >= 0x80;

    if (p->qos == 0) {
        if (reason == MQTT_TOPIC_NAME_INVALID)
            mqtt_fail(s, reason, "a topic of more than %d bytes", MQTT_KEY_MAX_BYTES);
        else if (refused)
            mqtt_log_fault(s, mqtt_reason_name(reason));
        return;
    }
    if (p->qos == 2 && !refused) {
        mqtt_received_add(s, p->packet_id);
        mqtt_note_store(s);
    }
    mqtt_due_ack(s, p->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, p->packet_id, reason, refused);
}

/* One of QoS 0 has no answer, and nothing is dropped without a word. */
static void deny(struct mqtt_session *s, const struct mqtt_publish *p)
{
    if (p->qos == 0 || s->level < MQTT_5) {
        mqtt_fail(s, MQTT_NOT_AUTHORIZED, "%s", s->s.env->denied);
        return;
    }
    mqtt_log_fault(s, s->s.env->denied);
    answer(s, p, MQTT_NOT_AUTHORIZED);
}

/* One that is known already was stored before: only its PUBREC went astray [MQTT-4.3.3-10]. */
static bool is_known(struct mqtt_session *s, const struct mqtt_publish *p)
{
    if (p->qos != 2 || !mqtt_received_has(s, p->packet_id))
        return false;
    mqtt_due_ack(s, MQTT_PUBREC, p->packet_id, MQTT_SUCCESS, false);
    return true;
}

void mqtt_on_publish(struct mqtt_session *s, const struct mqtt_publish *p)
{
    struct bytes topic;

    if (p->props.has & MQTT_HAS(subscription_id)) {
        mqtt_fail(s, MQTT_PROTOCOL_ERROR, "a Subscription Identifier in a PUBLISH to the server");
        return;
    }
    if (!may_retain(s, p) || !topic_of(s, p, &topic) || is_known(s, p) ||
        !within_receive_maximum(s, p))
        return;
    if (may_publish(s, topic))
        answer(s, p, publish(s, p, topic, 0));
    else
        deny(s, p);
}

void mqtt_on_pubrel(struct mqtt_session *s, const struct mqtt_ack *a)
{
    bool known = mqtt_received_has(s, a->packet_id);

    if (known) {
        mqtt_received_remove(s, a->packet_id);
        mqtt_note_store(s);
    }
    mqtt_due_ack(s, MQTT_PUBCOMP, a->packet_id, known ? MQTT_SUCCESS : MQTT_PACKET_ID_NOT_FOUND,
                 false);
}

/* ---- long payloads, in parts to the disk ---- */

static bool is_size_allowed(struct mqtt_session *s, uint32_t size)
{
    if (size <= s->s.env->message_bytes)
        return true;
    mqtt_fail(s, MQTT_PACKET_TOO_LARGE, "message size %" PRIu32 " is larger than max_message",
              size);
    return false;
}

/* Before its payload comes.  False: the connection has ended. */
static bool begin_incoming(struct mqtt_session *s, const struct mqtt_publish *p)
{
    struct mqtt_incoming *m;
    struct bytes topic;
    const char *why = "";

    if (!is_size_allowed(s, p->payload_bytes) || !may_retain(s, p) || !topic_of(s, p, &topic))
        return false;
    bool may = may_publish(s, topic);
    if (!may && (p->qos == 0 || s->level < MQTT_5)) {
        deny(s, p);
        return false;
    }
    m = s->incoming = mem_new(struct mqtt_incoming);
    m->size = m->left = p->payload_bytes;
    if (may)
        m->blob_id = core_blob_begin(mqtt_core(s), s->client, m->size, &why);
    if (!m->blob_id)
        m->reason = may ? MQTT_QUOTA_EXCEEDED : MQTT_NOT_AUTHORIZED;
    return true;
}

size_t mqtt_publish_long(struct mqtt_session *s, const struct mqtt_head *head, struct bytes in)
{
    struct bytes rest = bytes_head(bytes_from(in, head->bytes), head->remaining);
    uint8_t reason = MQTT_MALFORMED_PACKET;
    struct mqtt_publish p = { 0 };
    const char *why = "";

    switch (mqtt_publish_head_decode(s->level, head, rest, &p, &reason, &why)) {
    case DECODE_OK:
        break;
    case DECODE_MORE:
        if (rest.n > MQTT_HEAD_MAX) {
            mqtt_fail(s, MQTT_PACKET_TOO_LARGE, "topic and properties of more than %d bytes",
                      MQTT_HEAD_MAX);
            return in.n;
        }
        return 0;
    case DECODE_BAD:
        mqtt_fail(s, reason, "%s", why);
        return in.n;
    }
    if (!begin_incoming(s, &p))
        return in.n;
    struct mqtt_incoming *m = s->incoming;
    m->head_bytes = head->bytes;
    buf_put(&m->head, in.p, head->bytes + p.payload_at);
    return m->head.n;
}

static void complete(struct mqtt_session *s)
{
    struct mqtt_incoming *m = s->incoming;
    struct mqtt_publish p = { 0 };
    struct mqtt_head head;
    uint8_t reason = 0;
    const char *why;
    struct bytes topic, all = buf_view(&m->head);

    /* It was decoded before, whole. */
    (void)mqtt_head_decode(all, s->level, MQTT_REMAINING_MAX, &head, &reason, &why);
    (void)mqtt_publish_head_decode(s->level, &head, bytes_from(all, m->head_bytes), &p, &reason,
                                   &why);
    if (topic_of(s, &p, &topic) && !is_known(s, &p) && within_receive_maximum(s, &p))
        answer(s, &p, m->reason ? m->reason : publish(s, &p, topic, m->blob_id));
    mqtt_incoming_free(s);
}

size_t mqtt_incoming_input(struct mqtt_session *s, struct bytes in)
{
    struct mqtt_incoming *m = s->incoming;
    struct bytes piece = bytes_head(in, m->left);

    if (m->blob_id)
        core_blob_append(mqtt_core(s), m->blob_id, piece);
    m->left -= (uint32_t)piece.n;
    if (m->left == 0)
        complete(s);
    return piece.n;
}

void mqtt_incoming_free(struct mqtt_session *s)
{
    struct mqtt_incoming *m = s->incoming;

    if (!m)
        return;
    if (m->blob_id)
        core_blob_abort(mqtt_core(s), m->blob_id); /* unless it was published */
    buf_fini(&m->head);
    mem_free(m);
    s->incoming = NULL;
}
