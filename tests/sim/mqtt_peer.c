// SPDX-License-Identifier: MIT
/* The life of an MQTT client: connections, publishes, subscriptions, and answers held back. */
#include "tests/sim/mqtt_peer.h"

#include <stdio.h>

#include "base/mem.h"
#include "tests/sim/trace.h"

enum { BACKLOG_MAX = 600, UP_MAX_BYTES = 30000, IDS = 60 };

const char *const mqtt_topics[MQTT_TOPICS] = { "a/b", "a/c", "a/b/c", "d", "e/f", "a" };
const char *const mqtt_filters[MQTT_FILTERS] = { "a/+", "#", "a/#", "d", "+/f", "a/b", "a/b/#" };

/* ---- lists ---- */

struct peer_item *peer_find(struct peer_list *l, uint16_t id)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->at[i].id == id)
            return &l->at[i];
    return NULL;
}

void peer_add(struct peer_list *l, uint8_t type, uint16_t id, uint32_t what)
{
    SIM_CHECK(l->n < PEER_LIST_MAX, "more than %d of one kind are open", PEER_LIST_MAX);
    l->at[l->n++] = (struct peer_item){ .type = type, .id = id, .what = what };
}

void peer_take(struct peer_list *l, struct peer_item *i)
{
    memmove(i, i + 1, (size_t)(&l->at[l->n] - (i + 1)) * sizeof *i);
    l->n--;
}

/* ---- connections ---- */

static void nothing_handed(struct world *w, struct wire *to, struct session_port *port,
                           const struct effect *e, const struct message *m)
{
    (void)w, (void)to, (void)port, (void)e, (void)m;
}

void mqtt_peer_init(struct mqtt_peer *p, struct mqtt_model *m, unsigned no)
{
    memset(p, 0, sizeof *p);
    p->model = m;
    p->no = no;
    p->slow = 1;
    mqtt_peer_new_session(p);
}

void mqtt_peer_new_session(struct mqtt_peer *p)
{
    struct rng *r = &p->model->world.rng;

    p->session++;
    p->asks_qos = rng_one_in(r, 5) ? 0 : (uint8_t)(1 + rng_below(r, 2));
    p->out.n = p->got.n = 0;
    memset(p->sub, 0, sizeof p->sub);
}

void mqtt_peer_dropped(struct mqtt_peer *p)
{
    p->up = p->greeted = false;
    p->in.n = 0;
    p->held.n = p->due.n = p->recs.n = p->open.n = 0;
    memset(p->alias, 0, sizeof p->alias);
    if (!p->persistent)
        mqtt_peer_new_session(p);
}

void mqtt_peer_forget_old(struct mqtt_peer *p)
{
    if (p->old)
        world_hang_up(&p->model->world, &p->old);
}

void mqtt_peer_hang_up(struct mqtt_peer *p)
{
    if (!p->wire)
        return;
    trace("mqtt %u hangs up", p->no);
    world_hang_up(&p->model->world, &p->wire);
    mqtt_peer_dropped(p);
}

void mqtt_peer_fini(struct mqtt_peer *p)
{
    mqtt_peer_forget_old(p);
    mqtt_peer_hang_up(p);
    buf_fini(&p->in);
}

static void say_connect(struct mqtt_peer *p, const char *name)
{
    struct rng *r = &p->model->world.rng;
    struct mqtt_connect c = { .level = p->level,
                              .clean_start = p->clean,
                              .client_id = bytes_str(name) };

    p->receive_max = 0;
    if (p->level >= MQTT_5) {
        c.props.has = MQTT_HAS(session_expiry) | MQTT_HAS(topic_alias_maximum);
        c.props.session_expiry = p->persistent ? UINT32_MAX : 0;
        c.props.topic_alias_maximum = (uint16_t)rng_below(r, PEER_ALIASES + 1);
        if (rng_one_in(r, 2)) {
            c.props.has |= MQTT_HAS(receive_maximum);
            c.props.receive_maximum = p->receive_max = (uint16_t)(1 + rng_below(r, 8));
        }
    }
    mqtt_put_connect(&p->wire->up, &c);
}

void mqtt_peer_connect(struct mqtt_peer *p, bool clean)
{
    struct rng *r = &p->model->world.rng;
    char name[16];

    (void)snprintf(name, sizeof name, "peer%u", p->no);
    p->level = rng_one_in(r, 2) ? MQTT_3_1_1 : MQTT_5;
    p->clean = clean || p->stays_clean;
    p->persistent = !p->clean || (p->level >= MQTT_5 && rng_one_in(r, 2));
    trace("mqtt %u connects: level %u%s%s", p->no, p->level, p->clean ? " clean" : "",
          p->persistent ? " persistent" : "");
    if (p->clean) {
        p->stays_clean = true;
        mqtt_peer_new_session(p);
    } else if (p->exists == KNOWN_NO) {
        p->exists = KNOWN_MAYBE;
    }
    p->wire = world_connect(&p->model->world, p,
                            rng_one_in(r, 2) ? mqtt_session_open : detect_session_open,
                            nothing_handed);
    say_connect(p, name);
}

/* The same client id from another connection: the old one is still open. */
static void take_over(struct mqtt_peer *p)
{
    if (p->old || !p->greeted) /* else the CONNECT of the old one might be read last */
        return;
    trace("mqtt %u leaves its connection open", p->no);
    p->old = p->wire;
    p->wire = NULL;
    mqtt_peer_dropped(p);
    mqtt_peer_connect(p, rng_one_in(&p->model->world.rng, 6));
}

/* ---- publishes ---- */

static uint16_t free_id(struct mqtt_peer *p)
{
    do {
        p->last_id = p->last_id % IDS + 1;
    } while (peer_find(&p->out, p->last_id) || peer_find(&p->due, p->last_id));
    return p->last_id;
}

static void put_publish(struct mqtt_peer *p, uint32_t number, uint16_t id, bool dup)
{
    const struct peer_message *m = &p->model->message[number];
    struct buf body = { 0 };

    buf_u32(&body, number);
    memset(buf_reserve(&body, m->bytes), (int)(number & 0xff), m->bytes);
    body.n += m->bytes;
    mqtt_put_publish(&p->wire->up, p->level,
                     &(struct mqtt_publish){ .dup = dup,
                                             .retain = m->retain,
                                             .qos = m->qos,
                                             .packet_id = id,
                                             .topic = bytes_str(mqtt_topics[m->topic]),
                                             .payload = buf_view(&body),
                                             .payload_bytes = (uint32_t)body.n });
    buf_fini(&body);
    if (m->qos > 0)
        peer_add(&p->due, m->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, id, number);
}

/* Who must have it, as far as is known before it leaves. */
static void owe(struct mqtt_peer *to, struct peer_message *m)
{
    for (int i = 0; i < MQTT_FILTERS; i++)
        if (to->persistent && to->sub[i] == KNOWN_YES && to->sub_qos[i] > 0 && m->qos > 0 &&
            mqtt_filter_match(bytes_str(mqtt_filters[i]), bytes_str(mqtt_topics[m->topic])))
            m->owed[to->no] = to->session;
}

static void publish(struct mqtt_peer *p)
{
    struct mqtt_model *model = p->model;
    struct rng *r = &model->world.rng;
    uint8_t qos = (uint8_t)rng_below(r, 3);

    if (qos > 0 && p->out.n >= p->window)
        return;
    model->message = mem_grow(model->message, &model->cap, model->count + 1,
                              sizeof *model->message);
    uint32_t number = (uint32_t)model->count++;
    struct peer_message *m = &model->message[number];
    *m = (struct peer_message){ .from = (uint8_t)p->no,
                                .topic = (uint8_t)rng_below(r, MQTT_TOPICS),
                                .qos = qos,
                                .retain = rng_one_in(r, 12),
                                .bytes = rng_below(r, rng_one_in(r, 50) ? 20000 : 200) };
    if (!m->retain && rng_one_in(r, 4000))
        m->bytes = 256 * 1024 + rng_below(r, 300000); /* it comes in pieces */
    for (int i = 0; i < MQTT_PEERS; i++)
        owe(&model->peer[i], m);
    model->sent++;
    uint16_t id = qos > 0 ? free_id(p) : 0;
    trace("mqtt %u publishes %u as %u: QoS %u to %s", p->no, number, id, qos,
          mqtt_topics[m->topic]);
    put_publish(p, number, id, false);
    if (qos > 0)
        peer_add(&p->out, MQTT_PUBLISH, id, number);
}

void mqtt_peer_resend(struct mqtt_peer *p)
{
    for (size_t i = 0; i < p->out.n; i++) {
        const struct peer_item *o = &p->out.at[i];

        if (o->type == MQTT_PUBLISH) {
            p->model->message[o->what].resent = true;
            trace("mqtt %u publishes %u as %u again", p->no, o->what, o->id);
            put_publish(p, o->what, o->id, true);
            continue;
        }
        trace("mqtt %u releases %u again", p->no, o->id);
        mqtt_put_ack(&p->wire->up, p->level, MQTT_PUBREL, o->id, MQTT_SUCCESS, NULL);
        peer_add(&p->due, MQTT_PUBCOMP, o->id, 0);
    }
}

/* ---- subscriptions ---- */

/* A change of the filter leaves open what becomes of the messages that it matches. */
static void forgive(struct mqtt_peer *p, int filter)
{
    for (size_t i = 1; i < p->model->count; i++) {
        struct peer_message *m = &p->model->message[i];

        if (m->owed[p->no] == p->session && !m->seen[p->no] &&
            mqtt_filter_match(bytes_str(mqtt_filters[filter]), bytes_str(mqtt_topics[m->topic])))
            m->owed[p->no] = 0;
    }
}

static void subscribe(struct mqtt_peer *p)
{
    struct rng *r = &p->model->world.rng;
    int filter = (int)rng_below(r, MQTT_FILTERS);
    uint8_t qos = p->asks_qos;
    uint16_t id = free_id(p);
    struct mqtt_subscription s = { .filter = bytes_str(mqtt_filters[filter]),
                                   .qos = qos,
                                   .retain_handling = p->level >= MQTT_5 ? (uint8_t)rng_below(r, 3)
                                                                         : 0 };

    if (p->sub[filter] != KNOWN_YES || p->sub_qos[filter] != qos) {
        forgive(p, filter);
        p->sub[filter] = KNOWN_MAYBE;
    }
    trace("mqtt %u subscribes to %s at QoS %u as %u", p->no, mqtt_filters[filter], qos, id);
    mqtt_put_subscribe(&p->wire->up, p->level, id, &s, 1, NULL);
    peer_add(&p->due, MQTT_SUBACK, id, (uint32_t)filter << 8 | qos);
}

static void unsubscribe(struct mqtt_peer *p)
{
    int filter = (int)rng_below(&p->model->world.rng, MQTT_FILTERS);
    struct bytes f = bytes_str(mqtt_filters[filter]);
    uint16_t id = free_id(p);

    /* What was sent at QoS 1 would come at QoS 2 when no filter matches any more. */
    if (p->sub[filter] == KNOWN_NO || p->asks_qos < 2)
        return;
    trace("mqtt %u unsubscribes from %s as %u", p->no, mqtt_filters[filter], id);
    forgive(p, filter);
    p->sub[filter] = KNOWN_MAYBE;
    mqtt_put_unsubscribe(&p->wire->up, p->level, id, &f, 1, NULL);
    peer_add(&p->due, MQTT_UNSUBACK, id, (uint32_t)filter << 8);
}

/* ---- answers ---- */

void mqtt_peer_answer(struct mqtt_peer *p, size_t i)
{
    struct peer_item h = p->held.at[i];
    struct peer_item *open = peer_find(&p->open, h.id);

    peer_take(&p->held, &p->held.at[i]);
    if (h.type == MQTT_PUBREC)
        peer_add(&p->recs, MQTT_PUBREL, h.id, 0);
    else if (open)
        peer_take(&p->open, open);
    mqtt_put_ack(&p->wire->up, p->level, (enum mqtt_type)h.type, h.id, MQTT_SUCCESS, NULL);
    trace("mqtt %u answers %s %u", p->no, mqtt_type_name(h.type), h.id);
}

/* ---- by chance ---- */

static void disconnect(struct mqtt_peer *p)
{
    trace("mqtt %u disconnects", p->no);
    mqtt_put_disconnect(&p->wire->up, p->level, MQTT_SUCCESS, NULL);
    p->up = false; /* says no more */
}

static void act_when_up(struct mqtt_peer *p)
{
    struct rng *r = &p->model->world.rng;
    uint32_t what = rng_below(r, 400);

    if (what < 160) {
        if (world_stats(&p->model->world).ready <= BACKLOG_MAX)
            publish(p);
    } else if (what < 375) {
        if (p->held.n > 0)
            mqtt_peer_answer(p, rng_one_in(r, 2) ? 0 : rng_below(r, (uint32_t)p->held.n));
    } else if (what < 388) {
        subscribe(p);
    } else if (what < 393) {
        unsubscribe(p);
    } else if (what < 395) {
        mqtt_put_pingreq(&p->wire->up);
    } else if (what == 395) {
        disconnect(p);
    }
}

void mqtt_peer_act(struct mqtt_peer *p)
{
    struct rng *r = &p->model->world.rng;

    if (p->old && rng_one_in(r, 20))
        mqtt_peer_forget_old(p);
    if (!p->wire)
        mqtt_peer_connect(p, rng_one_in(r, 6));
    else if (rng_one_in(r, 400))
        mqtt_peer_hang_up(p);
    else if (rng_one_in(r, 400))
        take_over(p);
    else if (p->up && !p->wire->cut && p->wire->up.n < UP_MAX_BYTES && p->due.n < IDS / 2)
        act_when_up(p);
}
