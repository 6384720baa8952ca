// SPDX-License-Identifier: MIT
/* session.h - one protocol speaker on one connection.
 *
 * The other of the program's two vtables.  A session turns bytes into calls of
 * the core and effects of the core into bytes.  It sees no socket: the net layer
 * feeds it input and writes its output.  One adapter a protocol; none includes
 * another.  Thread: the loop's. */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "base/buf.h"
#include "base/heap.h"
#include "base/log.h"
#include "broker/core/core.h"
#include "proto/stomp.h"

struct auth;
struct session;

/* What an adapter gives to core_client_open as owner: it may have several clients on
 * one connection (AMQP channels), each with a port of its own. */
struct session_port {
    struct session *session;
};

struct amqp_limits {
    uint32_t frame_bytes; /* frame_max offered in connection.tune */
    uint16_t channels;    /* channel_max */
    uint16_t heartbeat_s;
    uint64_t consumer_timeout_ms; /* a delivery unacked for longer closes its channel; 0: never */
};

struct mqtt_limits {
    uint16_t receive_maximum;  /* QoS 1 and 2 that a client may send at a time (5.0) */
    uint16_t inflight;         /* that are sent to a client at a time */
    uint16_t topic_aliases;    /* each way (5.0) */
    uint16_t keep_alive_max_s; /* (5.0); 0: any, and none */
    bool no_retain;            /* nothing can be retained, and clients of 5.0 are told so */
    uint64_t share_expiry_ms;  /* how long a shared queue outlives its last member */
};

/* What every session of the process shares.  Owner: the broker. */
struct session_env {
    struct core *core;
    struct auth *auth;       /* password checks beside the loop; NULL: none needed */
    uint64_t now_ms;         /* wall; set once a turn */
    uint64_t now_mono_ms;    /* monotonic, for heart-beats and time-outs */
    struct heap wakes;       /* sessions by wake_at_ms (monotonic) */
    size_t output_bytes;     /* budget of unsent output per connection */
    uint32_t login_ms;       /* a connection must be logged in by then */
    uint32_t heart_beat_ms;  /* least interval that the server agrees to */
    uint32_t stomp_prefetch; /* default prefetch-count of a SUBSCRIBE with acks; 0: none */
    struct stomp_limits stomp;
    struct amqp_limits amqp;
    struct mqtt_limits mqtt;
    const char *ws_origins; /* pages that may open a WebSocket: a list; "*": any */
    struct log_limit ws_faults;
    uint64_t message_bytes;            /* largest body */
    char denied[640];                  /* the last refusal of permit.h */
    uint64_t next_session;             /* ids for logs and CONNECTED */
    struct session *touched;           /* sessions called this turn, by next_touched */
    struct stomp_shared *stomp_shared; /* the STOMP adapter's buffers while it has sessions */
    struct amqp_shared *amqp_shared;   /* the same of the AMQP adapter */
    struct mqtt_shared *mqtt_shared;   /* of the MQTT adapter: who is online, wills that wait */
    struct {
        uint64_t frames_in, frames_out, refused; /* refused: sessions closed for their faults */
    } count;
};

struct session_ops {
    const char *name; /* "stomp" */
    /* Decodes what it can; returns how many bytes it used.  in[] may be written to. */
    size_t (*input)(struct session *s, uint8_t *in, size_t n);
    void (*effect)(struct session *s, struct session_port *to, const struct effect *e);
    /* The password check that this session asked for has ended. */
    void (*auth_done)(struct session *s, bool accepted);
    /* wake_at_ms has come: heart-beats, time-outs. */
    void (*tick)(struct session *s);
    /* The output buffer has drained below its budget, or pressure ended. */
    void (*drained)(struct session *s);
    /* The connection is gone, or is to go: closes its clients, frees the session. */
    void (*close)(struct session **s);
};

/* How the net layer carries what the session that comes next says and hears. */
enum session_framing { SESSION_PLAIN, SESSION_FRAMED /* WebSocket */, SESSION_FRAMED_BINARY };

struct session {
    const struct session_ops *ops;
    struct session_env *env;
    uint64_t id;
    struct session_port port; /* its own, for an adapter with one client a connection */
    struct buf out;           /* to be written; the net layer drops what was sent */
    struct heap_node wake;    /* in env->wakes */
    bool loopback;            /* the peer's address */
    bool paused;              /* waits for a password check: do not feed input */
    bool publisher;           /* has published: not read from under memory pressure */
    bool ending;              /* write what is in `out`, then close (shutdown, linger) */
    bool unread;              /* net: not read from just now; the peer's silence means nothing */
    bool touched;             /* in env->touched: net writes its output at the turn's end */
    uint8_t framing;          /* enum session_framing, with `become` */
    struct session *next_touched;
    /* Set by input: this session is to be replaced by one that `become` opens, which is
     * fed the same bytes; with `framing` only what comes after them. */
    struct session *(*become)(struct session_env *env, bool loopback);
    void *conn; /* the net layer's */
};

/* Bytes still free in the output budget. */
static inline size_t session_room(const struct session *s)
{
    return s->out.n < s->env->output_bytes ? s->env->output_bytes - s->out.n : 0;
}

/* Sets or moves the session's wake-up (monotonic ms; UINT64_MAX: none). */
void session_wake_at(struct session *s, uint64_t at_ms);

/* Puts the session on the list of those whose output is written this turn.  Who
 * calls one of its ops does this; the adapters need not. */
void session_touch(struct session *s);
void session_untouch(struct session *s);

/* Runs the tick of every session whose time has come; returns the next wake-up. */
uint64_t session_run_wakes(struct session_env *env);

/* Hands every effect of the core to its session. */
void session_run_effects(struct session_env *env);

typedef struct session *session_open_fn(struct session_env *env, bool loopback);

struct session *stomp_session_open(struct session_env *env, bool loopback);
struct session *amqp_session_open(struct session_env *env, bool loopback);
struct session *mqtt_session_open(struct session_env *env, bool loopback);
/* At a start, after recovery: wills of those who were connected begin to wait. */
void mqtt_recovered(struct session_env *env);
/* At the end, when no session is left. */
void mqtt_fini(struct session_env *env);
/* Becomes one of the others after the opening handshake of WebSocket. */
struct session *ws_session_open(struct session_env *env, bool loopback);
/* Becomes one of the others once the first bytes have told which. */
struct session *detect_session_open(struct session_env *env, bool loopback);

#endif
