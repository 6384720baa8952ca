// SPDX-License-Identifier: MIT
/* mqtt_session.h - what the files of the MQTT adapter share.
 *
 * A session is a queue bound to amq.topic by its subscriptions (docs/decisions/0010):
 * durable when it outlives its connection, exclusive when it does not.  The options of a
 * subscription are arguments of its binding; received QoS 2 packet ids and the will are
 * the queue's note.  So a session that is offline is rows and nothing in memory here.
 *
 * Every answer that promises something durable (CONNACK, SUBACK, PUBACK, PUBREC, PUBREL,
 * PUBCOMP) leaves through core_confirm, in the order asked [MQTT-4.6.0-2].
 *
 * A packet identifier sent out is the message's number in its queue, modulo 65535: it is the
 * same when the message is sent again, be it after a restart [MQTT-4.4.0-1].
 * Nothing here is seen outside broker/session/mqtt_*.c.  Thread: the loop's.
 * Clauses are those of MQTT 5.0 unless said otherwise. */
#ifndef SESSION_MQTT_SESSION_H
#define SESSION_MQTT_SESSION_H

#include "base/log.h"
#include "base/map.h"
#include "broker/session/mqtt_inflight.h"
#include "broker/session/session.h"
#include "proto/mqtt.h"
#include "proto/props.h"

#define MQTT_EXCHANGE BYTES("amq.topic")
#define MQTT_QUEUE_PREFIX "mqtt-subscription-"
#define MQTT_QUEUE_FILTER BYTES("$queue/")
#define MQTT_EXPIRY_NEVER UINT32_MAX

enum mqtt_state {
    MQTT_STATE_CONNECT, /* CONNECT is due */
    MQTT_STATE_LOGIN,   /* the password is being checked */
    MQTT_STATE_RUNNING,
    MQTT_STATE_ENDED /* all is said: the connection is to be closed */
};

enum {
    MQTT_LOGIN_PACKET_BYTES = 256 * 1024, /* a CONNECT, its will included */
    MQTT_HEAD_MAX = 256 * 1024,           /* all of a packet but the payload of a PUBLISH */
    MQTT_KEY_MAX_BYTES = 255,             /* topics and filters: a routing key of the core */
    MQTT_CLIENT_ID_MAX_BYTES = 237,       /* it is part of a queue's name */
};

/* A will as it waits: message in neutral form. */
struct mqtt_will_message {
    struct buf key, props, body;
    uint8_t qos;
    bool retain, has_ttl;
    uint32_t delay_s, ttl_s;
};

enum mqtt_source {
    MQTT_FROM_SESSION, /* bound to the session's own queue */
    MQTT_FROM_SHARE,   /* a queue of the group */
    MQTT_FROM_QUEUE    /* $queue/NAME: a queue that was there before */
};

struct mqtt_subscription_state {
    enum mqtt_source source;
    uint8_t qos;
    bool no_local, retain_as_published;
    uint32_t id; /* Subscription Identifier; 0: none */
    uint32_t at; /* in sub[] */
    consumer_id consumer;
    uint64_t handle; /* of the consumer, not 0; own queue: 0 */
    uint16_t filter_n;
    uint8_t filter[];
};

/* An answer that waits for the disk; `bytes` of it are in `packets`, else it is an ack. */
struct mqtt_due {
    uint8_t type, reason;
    uint16_t packet_id;
    uint32_t bytes;
};

/* All that wait, in order.  A session has one while some do: mqtt_due.c keeps a few spare. */
struct mqtt_dues {
    struct mqtt_due *ring;
    uint32_t cap, head, count, publishes;
    struct buf packets;
    size_t packets_at;
    struct mqtt_dues *next_spare;
};

/* QoS 2 packet ids that came and were not released; a session has it from the first on. */
struct mqtt_received {
    size_t count, cap;
    size_t before; /* the first of them, which came by connections that ended */
    uint16_t *id;  /* oldest first */
    uint8_t bits[65536 / 8];
};

/* A PUBLISH whose payload is long: it goes to disk as it comes. */
struct mqtt_incoming {
    uint64_t blob_id;
    uint32_t left;
    uint32_t size;
    uint8_t reason;     /* why it is refused; 0: it is not */
    struct buf head;    /* fixed and variable header, to be decoded again */
    uint8_t head_bytes; /* of the fixed one */
};

/* A delivery whose payload leaves in parts; all that follows waits in `later`. */
struct mqtt_sending {
    struct mqtt_sending *after;
    uint64_t blob_id, left;
    uint32_t next;
    bool stalled;
    struct buf head, later;
};

/* Owner: session_env, while there are sessions or wills that wait. */
struct mqtt_shared {
    size_t users;
    struct map online; /* struct mqtt_session by vhost and client id */
    struct mqtt_wills *wills;
    struct buf key, props, table, text, note;
    struct mqtt_dues *spare_dues;
    unsigned spare_due_count;
    uint32_t *ids;
    size_t ids_cap;
    struct log_limit faults;
};

struct mqtt_session {
    struct session s; /* first: the two are one address */
    struct mqtt_shared *shared;
    enum mqtt_state state;
    uint8_t level;   /* enum mqtt_level */
    bool persistent; /* its queue is durable */
    bool has_queue, no_local_used;
    bool no_problem_info; /* Request Problem Information is 0 */
    uint16_t alias_out_max, alias_out_used;
    uint16_t receive_max; /* QoS 1 and 2 that the client takes at a time */
    uint32_t packet_max;  /* bytes that the client takes; 0: any */
    uint32_t keep_alive_ms;
    uint32_t session_expiry_s;
    uint64_t last_in_ms;
    uint64_t left_ms; /* wall: when the connection ended, of a session that expires */
    uint64_t vhost_id;
    client_id client;
    consumer_id consumer; /* of its own queue */
    struct buf key;       /* in shared->online */
    struct buf *connect;  /* the CONNECT, while the password is checked */
    char *user;
    struct buf queue; /* name */

    struct mqtt_subscription_state **sub;
    uint32_t sub_count, sub_cap;
    struct map *sub_by_filter; /* while there are many */
    uint64_t next_handle;
    uint32_t taken;                      /* from shares, in its own queue and not sent yet */
    bool shares_held;                    /* it takes no more until those are sent */
    uint16_t last_own_id, last_other_id; /* packet ids given */

    struct mqtt_inflight out; /* sent, QoS 1 and 2 */
    struct mqtt_dues *dues;   /* NULL: none */
    struct mqtt_received *received;
    struct buf *alias_in; /* by alias - 1 */
    struct buf *alias_out;
    struct mqtt_will_message *will;
    struct mqtt_incoming *incoming;
    struct mqtt_sending *sending;
};

static inline struct mqtt_session *mqtt_of(struct session *s)
{
    return (struct mqtt_session *)(void *)s;
}

static inline struct core *mqtt_core(const struct mqtt_session *s)
{
    return s->s.env->core;
}

static inline struct bytes mqtt_client_id(const struct mqtt_session *s)
{
    return bytes_from(buf_view(&s->key), sizeof s->vhost_id);
}

/* Where packets go: behind a delivery that is on its way. */
static inline struct buf *mqtt_out(struct mqtt_session *s)
{
    struct mqtt_sending *o = s->sending;

    while (o && o->after)
        o = o->after;
    return o ? &o->later : &s->s.out;
}

/* ---- mqtt_session.c ---- */

/* Refuses what came, in the words of the level, and ends the connection [MQTT-4.13.1-1]. */
void mqtt_fail(struct mqtt_session *s, uint8_t reason, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Closes the client of the core; what is in `out` is still written. */
void mqtt_end(struct mqtt_session *s, bool publish_will);
void mqtt_log_fault(struct mqtt_session *s, const char *text);
/* False: the client takes no packet of that size, and what is in `out` from `from` on was taken
 * back [MQTT-3.1.2-24]. */
bool mqtt_packet_fits(const struct mqtt_session *s, struct buf *out, size_t from);
struct mqtt_shared *mqtt_shared_ref(struct session_env *env);
void mqtt_shared_unref(struct session_env *env);
/* Tells the core how much may be delivered now. */
void mqtt_room(struct mqtt_session *s);

/* ---- mqtt_permit.c: false: env->denied says why ---- */

bool mqtt_may_publish(struct mqtt_session *s, struct bytes key);
bool mqtt_may_subscribe(struct mqtt_session *s, struct bytes filter);
bool mqtt_may_use_session(struct mqtt_session *s);

/* ---- mqtt_due.c ---- */

/* An ack of that type once all that the session did so far is on disk. */
void mqtt_due_ack(struct mqtt_session *s, enum mqtt_type type, uint16_t packet_id, uint8_t reason,
                  bool refused);
/* The same with the packet that is appended to what mqtt_due_begin gives. */
struct buf *mqtt_due_begin(struct mqtt_session *s, size_t *from);
void mqtt_due_packet(struct mqtt_session *s, enum mqtt_type type, size_t from);
void mqtt_on_confirm(struct mqtt_session *s, const struct effect *e);
void mqtt_due_free(struct mqtt_session *s);
void mqtt_due_free_spare(struct mqtt_shared *sh);
/* QoS 1 and 2 messages of the client that were not answered yet. */
size_t mqtt_due_publishes(const struct mqtt_session *s);

/* ---- mqtt_connect.c ---- */

/* A whole CONNECT, head included. */
void mqtt_on_connect(struct mqtt_session *s, struct bytes packet);
void mqtt_auth_finished(struct mqtt_session *s, bool accepted);
void mqtt_connect_free(struct mqtt_session *s);
void mqtt_on_disconnect(struct mqtt_session *s, const struct mqtt_disconnect *d);
void mqtt_key_set(struct buf *key, uint64_t vhost_id, struct bytes id);
void mqtt_queue_name(struct buf *out, struct bytes id);

/* ---- mqtt_publish.c ---- */

void mqtt_on_publish(struct mqtt_session *s, const struct mqtt_publish *p);
void mqtt_on_pubrel(struct mqtt_session *s, const struct mqtt_ack *a);
/* The head of a PUBLISH whose payload is longer than what is kept in memory; the bytes
 * used, 0: its head is not whole. */
size_t mqtt_publish_long(struct mqtt_session *s, const struct mqtt_head *head, struct bytes in);
size_t mqtt_incoming_input(struct mqtt_session *s, struct bytes in);
void mqtt_incoming_free(struct mqtt_session *s);
/* A message in neutral form onto amq.topic; kept as the topic's last with `retain`.
 * A reason code. */
uint8_t mqtt_publish_neutral(struct core *c, client_id client, struct publish *p, bool retain,
                             uint64_t now_ms);

/* ---- mqtt_props.c ---- */

/* What a message says of its MQTT side. */
struct mqtt_meta {
    uint8_t qos;        /* it was published with */
    bool retain;        /* it was published with RETAIN */
    bool retained;      /* sent because of a new subscription */
    bool shared;        /* taken from a share */
    bool shared_retain; /* and sent with RETAIN */
    uint32_t sub_id;    /* of that subscription, or share */
    struct bytes from;  /* client id of the publisher; empty: not noted */
};

/* Properties of a PUBLISH or will in neutral form, in *out. */
void mqtt_props_in(struct mqtt_shared *sh, const struct mqtt_props *in, uint8_t qos, bool retain,
                   struct bytes from, struct buf *out);
/* `props` with the marks of a retained message that is sent for a new subscription; of one
 * that was taken from a share. */
struct bytes mqtt_props_retained(struct mqtt_shared *sh, struct bytes props, uint32_t sub_id);
struct bytes mqtt_props_shared(struct mqtt_shared *sh, struct bytes props, uint32_t sub_id,
                               bool retain);
void mqtt_meta_of(struct bytes props, struct mqtt_meta *out);
/* Fills what MQTT 5 knows; views of props, of shared->text and shared->table. */
void mqtt_props_out(struct mqtt_shared *sh, struct bytes props, struct mqtt_props *out);

/* ---- mqtt_topic_key.c: '/' and '.' are swapped, see docs/decisions/0012 ---- */

void mqtt_topic_to_key(struct buf *out, struct bytes topic);
void mqtt_filter_to_pattern(struct buf *out, struct bytes filter);
void mqtt_pattern_to_filter(struct buf *out, struct bytes pattern);

/* ---- mqtt_subscribe.c ---- */

void mqtt_on_subscribe(struct mqtt_session *s, const struct mqtt_subscribe *p);
void mqtt_on_unsubscribe(struct mqtt_session *s, const struct mqtt_subscribe *p);
/* The queue of the session, made if it is not there. */
bool mqtt_queue_make(struct mqtt_session *s);
void mqtt_queue_drop(struct mqtt_session *s);
/* After a CONNECT that found its session: subscriptions are read back. */
void mqtt_subscriptions_resume(struct mqtt_session *s);
void mqtt_subscriptions_free(struct mqtt_session *s);
/* The queue of a shared subscription. */
void mqtt_share_name(struct buf *out, struct bytes group, struct bytes filter);
/* One to another queue, as a note has it. */
void mqtt_subscription_resume(struct mqtt_session *s, struct bytes filter, uint8_t options,
                              uint32_t id);
uint8_t mqtt_options_of(const struct mqtt_subscription_state *u);

/* Consumes the queue of a subscription that has one beside the session's; a reason code. */
uint8_t mqtt_subscription_consume(struct mqtt_session *s, struct mqtt_subscription_state *u);

/* ---- mqtt_share.c ---- */

/* A QoS 2 message of a share becomes the session's own.  False: it cannot, send it as it is. */
bool mqtt_share_take(struct mqtt_session *s, const struct effect *e, const struct message *m,
                     const struct mqtt_subscription_state *u, bool retain);
/* One of those is being sent. */
void mqtt_share_sent(struct mqtt_session *s);
/* The session ends: what it was sent at QoS 2 out of a share ends with it. */
void mqtt_share_end(struct mqtt_session *s);

/* ---- mqtt_deliver.c ---- */

void mqtt_deliver(struct mqtt_session *s, const struct effect *e);
void mqtt_part(struct mqtt_session *s, const struct effect *e);
void mqtt_sending_drained(struct mqtt_session *s);
void mqtt_sending_free(struct mqtt_session *s);
void mqtt_on_puback(struct mqtt_session *s, const struct mqtt_ack *a);
void mqtt_on_pubrec(struct mqtt_session *s, const struct mqtt_ack *a);
void mqtt_on_pubcomp(struct mqtt_session *s, const struct mqtt_ack *a);

/* ---- mqtt_note.c: the queue's note ---- */

/* Writes what must survive; only of a persistent session. */
void mqtt_note_store(struct mqtt_session *s);
/* Takes over the received packet ids; the subscriptions to other queues. */
void mqtt_note_resume(struct mqtt_session *s);
void mqtt_note_resume_subscriptions(struct mqtt_session *s);
/* Of a session that is offline: its will, or NULL; the note without it; how long it still
 * lives, false: it has no end of its own. */
struct mqtt_will_message *mqtt_note_will(struct bytes note);
void mqtt_note_without_will(struct buf *out, struct bytes note);
bool mqtt_note_expiry(struct bytes note, uint64_t now_ms, uint64_t *left_ms);
bool mqtt_received_has(const struct mqtt_session *s, uint16_t id);
size_t mqtt_received_count(const struct mqtt_session *s);
/* Those that came by this connection: of them the client has its Receive Maximum. */
size_t mqtt_received_of_connection(const struct mqtt_session *s);
void mqtt_received_free(struct mqtt_session *s);
void mqtt_received_add(struct mqtt_session *s, uint16_t id);
void mqtt_received_remove(struct mqtt_session *s, uint16_t id);

/* ---- mqtt_sys.c ---- */

/* Tells the new subscription how things are, if it asks for $SYS, and again from time to time. */
void mqtt_sys_subscribed(struct mqtt_session *s, struct bytes filter, uint32_t sub_id);
void mqtt_sys_publish(struct session_env *env, client_id client);

/* ---- mqtt_will.c, which has the clock of what no connection waits for ---- */

void mqtt_sys_wanted(struct mqtt_shared *sh);
uint64_t mqtt_since_ms(const struct mqtt_shared *sh); /* monotonic: the start */

struct mqtt_will_message *mqtt_will_new(struct mqtt_session *s, const struct mqtt_will *w);
void mqtt_will_free(struct mqtt_will_message **w);
void mqtt_will_publish(struct core *c, client_id client, const struct mqtt_will_message *w,
                       uint64_t now_ms);
/* Publishes it once its delay is over, unless mqtt_will_cancel comes before; takes it over. */
void mqtt_will_later(struct session_env *env, struct bytes key, struct mqtt_will_message *w,
                     uint64_t at_mono_ms);
/* What waits for that session; NULL: nothing.  The caller's from then on. */
struct mqtt_will_message *mqtt_will_cancel(struct mqtt_shared *sh, struct bytes key);

#endif
