// SPDX-License-Identifier: MIT
/* From a delivery of the core to PUBLISH, and the acks that come back [4.3]. */
#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/session/mqtt_session.h"

enum { IDS = 65535 };

/* What the subscriptions that match make of a message. */
struct chosen {
    uint8_t qos;
    bool retain;
    size_t ids;                                  /* in shared->ids */
    const struct mqtt_subscription_state *queue; /* $queue/NAME; NULL: not from there */
};

static void settle_so(struct mqtt_session *s, uint64_t tag, enum settle how)
{
    CHECK(core_settle(mqtt_core(s), s->client, 0, tag, false, how, s->s.env->now_ms) == OK);
}

static void settle(struct mqtt_session *s, uint64_t tag)
{
    settle_so(s, tag, SETTLE_ACK);
}

/* ---- which subscriptions ---- */

static void add_id(struct mqtt_session *s, struct chosen *c, uint32_t id)
{
    struct mqtt_shared *sh = s->shared;

    if (id == 0)
        return;
    sh->ids = mem_grow(sh->ids, &sh->ids_cap, c->ids + 1, sizeof *sh->ids);
    sh->ids[c->ids++] = id;
}

static const struct mqtt_subscription_state *sub_by_handle(const struct mqtt_session *s,
                                                           uint64_t handle)
{
    for (size_t i = 0; i < s->sub_count; i++)
        if (s->sub[i]->handle == handle)
            return s->sub[i];
    return NULL;
}

/* One copy at the highest QoS of all that match, with the ids of all [MQTT-3.3.4-2, -3]. */
static bool choose_own(struct mqtt_session *s, struct bytes topic, const struct mqtt_meta *meta,
                       struct chosen *c)
{
    bool any = false;

    for (size_t i = 0; i < s->sub_count; i++) {
        const struct mqtt_subscription_state *u = s->sub[i];

        if (u->source != MQTT_FROM_SESSION ||
            !mqtt_filter_match(bytes_of(u->filter, u->filter_n), topic) ||
            (u->no_local && meta->from.n > 0 && bytes_eq(meta->from, mqtt_client_id(s))))
            continue;
        any = true;
        if (u->qos > c->qos)
            c->qos = u->qos;
        c->retain |= u->retain_as_published && meta->retain;
        if (!meta->retained)
            add_id(s, c, u->id);
    }
    if (meta->retained) {
        c->retain = true;
        add_id(s, c, meta->sub_id);
    }
    return any;
}

/* False: it is not for this client (any more). */
static bool choose(struct mqtt_session *s, const struct effect *e, const struct message *m,
                   struct bytes topic, const struct mqtt_meta *meta, struct chosen *c)
{
    const struct mqtt_subscription_state *u;

    *c = (struct chosen){ 0 };
    if (e->handle) {
        u = sub_by_handle(s, e->handle);
        if (!u)
            return false;
        c->qos = u->qos;
        c->retain = u->retain_as_published && meta->retain;
        c->queue = u->source == MQTT_FROM_QUEUE ? u : NULL;
        add_id(s, c, u->id);
        return true;
    }
    if (meta->shared) { /* its own by mqtt_share_take, whatever it subscribes to by now */
        c->qos = 2;
        c->retain = meta->shared_retain;
        add_id(s, c, meta->sub_id);
        mqtt_share_sent(s);
        return true;
    }
    if (choose_own(s, topic, meta, c))
        return true;
    /* Somebody put it into the queue by another way; or it was on its way when its
     * subscription ended, and is brought to its end [MQTT-3.10.4-3]. */
    c->qos = 2;
    return e->redelivered || !bytes_eq(m->exchange, MQTT_EXCHANGE);
}

/* ---- PUBLISH ---- */

static bool fits(const struct mqtt_session *s, const struct mqtt_publish *p, uint64_t body_size)
{
    if (body_size > MQTT_REMAINING_MAX - MQTT_LOGIN_PACKET_BYTES)
        return false;
    return s->packet_max == 0 ||
           mqtt_publish_bytes(s->level, p, (uint32_t)body_size) <= s->packet_max;
}

/* Topics that come often are said by a number, as many as the client takes [3.3.2.3.4].
 * At QoS 2 the topic is there beside it: npm's mqtt up to 5 keeps such a message by its
 * topic until PUBREL. */
static void use_alias(struct mqtt_session *s, struct mqtt_publish *p, uint64_t body_size)
{
    struct mqtt_publish with = *p;
    uint16_t i = 0;

    if (s->alias_out_max == 0)
        return;
    if (!s->alias_out)
        s->alias_out = mem_array(s->alias_out_max, sizeof *s->alias_out);
    while (i < s->alias_out_used && !bytes_eq(buf_view(&s->alias_out[i]), p->topic))
        i++;
    if (i == s->alias_out_max)
        return;
    with.props.has |= MQTT_HAS(topic_alias);
    with.props.topic_alias = i + 1;
    if (i < s->alias_out_used && p->qos < 2)
        with.topic.n = 0;
    if (!fits(s, &with, body_size)) /* longer than without */
        return;
    if (i == s->alias_out_used) {
        buf_bytes(&s->alias_out[i], p->topic);
        s->alias_out_used++;
    }
    *p = with;
}

static void fill_5(struct mqtt_session *s, const struct effect *e, const struct message *m,
                   const struct chosen *c, struct mqtt_publish *p)
{
    uint64_t now = s->s.env->now_ms;

    mqtt_props_out(s->shared, m->props, &p->props);
    p->props.subscription_ids = s->shared->ids;
    p->props.subscription_id_count = c->ids;
    if (e->expires_ms) {
        p->props.has |= MQTT_HAS(message_expiry);
        p->props.message_expiry = e->expires_ms > now
                                      ? (uint32_t)((e->expires_ms - now + 999) / 1000)
                                      : 0;
    }
}

static void sending_begin(struct mqtt_session *s, const struct message *m, struct buf *out,
                          size_t from);

/* Of its own queue the number there, the same whenever it is sent; what comes from other
 * queues keeps out of the way of those. */
static uint16_t wanted_id(struct mqtt_session *s, const struct effect *e)
{
    if (e->handle) {
        uint16_t ahead = (uint16_t)(s->last_other_id - s->last_own_id);

        s->last_other_id = ahead < IDS / 4 || ahead > IDS / 4 * 3
                               ? (uint16_t)(s->last_own_id + IDS / 2)
                               : (uint16_t)(s->last_other_id + 1);
        return s->last_other_id; /* 0 becomes the next free one */
    }
    s->last_own_id = (uint16_t)(e->seq % IDS + 1);
    return s->last_own_id;
}

static void put_publish(struct mqtt_session *s, const struct effect *e, const struct message *m,
                        struct mqtt_publish *p)
{
    struct buf *out = mqtt_out(s);
    size_t from = out->n;

    if (p->qos > 0) {
        struct mqtt_flight *f = mqtt_inflight_add(&s->out, wanted_id(s, e));

        f->tag = e->tag;
        f->sent = p->qos == 2 ? MQTT_SENT_QOS2 : MQTT_SENT_QOS1;
        f->shared = e->handle != 0;
        p->packet_id = f->packet_id;
        p->dup = e->redelivered;
    }
    mqtt_put_publish_head(out, s->level, p, (uint32_t)m->body_size);
    if (m->blob_id)
        sending_begin(s, m, out, from);
    else
        buf_bytes(out, m->body);
    s->s.env->count.frames_out++;
    if (p->qos == 0)
        settle(s, e->tag);
}

/* Its exchange is over for the receiver: PUBREL again, not the message [MQTT-4.4.0-1]. */
static void release_again(struct mqtt_session *s, const struct effect *e)
{
    if (e->handle) { /* of a shared queue: it was another's */
        settle(s, e->tag);
        return;
    }
    struct mqtt_flight *f = mqtt_inflight_add(&s->out, (uint16_t)(e->seq % IDS + 1));

    f->tag = e->tag;
    f->sent = MQTT_SENT_RECEIVED;
    mqtt_due_ack(s, MQTT_PUBREL, f->packet_id, MQTT_SUCCESS, false);
}

/* A large PUBLISH that the client would not take counts as done [MQTT-3.1.2-25]; in a queue of
 * somebody else's it may have a dead letter exchange to go to. */
static void pass_over(struct mqtt_session *s, const struct effect *e, const struct chosen *c,
                      struct bytes topic, const char *why)
{
    unsigned dropped;

    if (why && log_allowed(&s->shared->faults, 20, &dropped))
        log_warn("mqtt.passed_over", "id=%" PRIu64 " client=%s topic=%s why=\"%s\" unlogged=%u",
                 s->s.id, log_text(mqtt_client_id(s)).s, log_text(topic).s, why, dropped);
    settle_so(s, e->tag, c->queue ? SETTLE_REJECT : SETTLE_ACK);
}

/* Work that was queued without a word about its persistence is acknowledged all the same, if
 * the subscription asks for that. */
static uint8_t qos_of(const struct mqtt_meta *meta, const struct chosen *c)
{
    uint8_t qos = c->queue && meta->qos == 0 ? 1 : meta->qos;

    return qos < c->qos ? qos : c->qos;
}

void mqtt_deliver(struct mqtt_session *s, const struct effect *e)
{
    struct mqtt_shared *sh = s->shared;
    struct mqtt_publish p = { 0 };
    struct mqtt_meta meta;
    struct chosen c;
    struct message m;

    if (e->received) {
        release_again(s, e);
        mqtt_room(s);
        return;
    }
    core_effect_message(mqtt_core(s), e, &m);
    mqtt_topic_to_key(&sh->key, m.routing_key);
    p.topic = buf_view(&sh->key);
    mqtt_meta_of(m.props, &meta);
    if (!choose(s, e, &m, p.topic, &meta, &c)) {
        pass_over(s, e, &c, p.topic, NULL);
        mqtt_room(s);
        return;
    }
    if (e->handle && meta.qos == 2 && c.qos == 2 &&
        mqtt_share_take(s, e, &m, sub_by_handle(s, e->handle), c.retain)) {
        mqtt_room(s);
        return;
    }
    if (c.queue && !mqtt_topic_valid(p.topic)) /* as of a fanout exchange: no key at all */
        p.topic = bytes_of(c.queue->filter, c.queue->filter_n);
    if (!mqtt_topic_valid(p.topic)) {
        pass_over(s, e, &c, p.topic, "the routing key is no topic name");
    } else {
        p.qos = qos_of(&meta, &c);
        p.retain = c.retain;
        if (s->level >= MQTT_5)
            fill_5(s, e, &m, &c, &p);
        if (fits(s, &p, m.body_size)) {
            use_alias(s, &p, m.body_size);
            put_publish(s, e, &m, &p);
        } else {
            pass_over(s, e, &c, p.topic, "larger than the client's maximum packet size");
        }
    }
    mqtt_room(s);
}

/* ---- acks ---- */

void mqtt_on_puback(struct mqtt_session *s, const struct mqtt_ack *a)
{
    struct mqtt_flight *f = mqtt_inflight_find(&s->out, a->packet_id);

    if (!f || f->sent != MQTT_SENT_QOS1)
        return;
    settle(s, f->tag);
    mqtt_inflight_remove(&s->out, f);
}

/* That the client has it must be on disk before PUBREL: else a restart would send the
 * message once more to a client that has let go of its identifier. */
void mqtt_on_pubrec(struct mqtt_session *s, const struct mqtt_ack *a)
{
    struct mqtt_flight *f = mqtt_inflight_find(&s->out, a->packet_id);

    if (!f || f->sent == MQTT_SENT_QOS1) {
        mqtt_due_ack(s, MQTT_PUBREL, a->packet_id, MQTT_PACKET_ID_NOT_FOUND, false);
        return;
    }
    if (a->reason >= 0x80) {
        settle(s, f->tag);
        mqtt_inflight_remove(&s->out, f);
        return;
    }
    if (f->sent == MQTT_SENT_QOS2) {
        f->sent = MQTT_SENT_RECEIVED;
        CHECK(core_received(mqtt_core(s), s->client, 0, f->tag) == OK);
    }
    mqtt_due_ack(s, MQTT_PUBREL, a->packet_id, MQTT_SUCCESS, false);
}

void mqtt_on_pubcomp(struct mqtt_session *s, const struct mqtt_ack *a)
{
    struct mqtt_flight *f = mqtt_inflight_find(&s->out, a->packet_id);

    if (!f || f->sent != MQTT_SENT_RELEASED)
        return;
    settle(s, f->tag);
    mqtt_inflight_remove(&s->out, f);
}

/* ---- payloads in parts ---- */

static void want_next(struct mqtt_session *s)
{
    struct mqtt_sending *o = s->sending;

    o->stalled = session_room(&s->s) == 0;
    if (!o->stalled)
        core_blob_want(mqtt_core(s), s->client, o->blob_id, o->next);
}

/* The head, at out->p[from..), is taken back until the first part is there. */
static void sending_begin(struct mqtt_session *s, const struct message *m, struct buf *out,
                          size_t from)
{
    struct mqtt_sending *o = mem_new(struct mqtt_sending), **at = &s->sending;

    buf_bytes(&o->head, bytes_from(buf_view(out), from));
    out->n = from;
    o->blob_id = m->blob_id;
    o->left = m->body_size;
    while (*at)
        at = &(*at)->after;
    *at = o;
    core_client_room(mqtt_core(s), s->client, 0);
    if (o == s->sending)
        want_next(s);
}

static void sending_drop(struct mqtt_session *s)
{
    struct mqtt_sending *o = s->sending;

    s->sending = o->after;
    buf_fini(&o->head);
    buf_fini(&o->later);
    mem_free(o);
}

void mqtt_sending_free(struct mqtt_session *s)
{
    while (s->sending)
        sending_drop(s);
}

static void sending_end(struct mqtt_session *s)
{
    buf_bytes(&s->s.out, buf_view(&s->sending->later));
    core_blob_done(mqtt_core(s), s->client, s->sending->blob_id);
    sending_drop(s);
    if (s->sending)
        want_next(s);
    else
        mqtt_room(s);
}

void mqtt_part(struct mqtt_session *s, const struct effect *e)
{
    struct mqtt_sending *o = s->sending;

    if (!o || e->blob_id != o->blob_id || e->part != o->next)
        return;
    if (e->refused || e->data.n == 0 || e->data.n > o->left) {
        log_error("mqtt.body", "id=%" PRIu64 " why=\"a part of a message cannot be read\"",
                  s->s.id);
        mqtt_end(s, true);
        return;
    }
    if (o->next == 0)
        buf_bytes(&s->s.out, buf_view(&o->head));
    buf_bytes(&s->s.out, e->data);
    o->left -= e->data.n;
    o->next++;
    if (o->left > 0)
        want_next(s);
    else
        sending_end(s);
}

void mqtt_sending_drained(struct mqtt_session *s)
{
    if (s->sending->stalled)
        want_next(s);
}
