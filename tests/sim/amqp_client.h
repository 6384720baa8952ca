// SPDX-License-Identifier: MIT
/* amqp_client.h - an AMQP 0-9-1 client that knows what it was promised.
 *
 * One connection with up to three channels, over real frames.  As the clients of
 * the world do, a channel has one synchronous request under way at most; what
 * needs no reply goes on meanwhile.  What it promises: an ack to a publisher and
 * tx.commit-ok.  Any reply besides tells that what the channel sent before has
 * arrived, which holds until the next crash. */
#ifndef SIM_AMQP_CLIENT_H
#define SIM_AMQP_CLIENT_H

#include "proto/amqp.h"
#include "tests/sim/world.h"

enum { AMQP_CHANNELS = 3, AMQP_TAG_BYTES = 64 };

struct amqp_sub {
    char tag[AMQP_TAG_BYTES]; /* "": the broker is to choose it */
    int queue;
    bool no_ack, started, cancelled, ended, ending; /* ending: with the reply that is due */
    uint32_t prefetch;                              /* 0: none */
};

/* A delivery that it has not answered. */
struct amqp_held {
    uint64_t tag;
    struct sent *sent;
    struct copy *copy;
    int queue;
    struct amqp_sub *sub; /* NULL: of a get */
    bool staged;          /* its answer is in the transaction */
    bool doubtful;        /* an answer to all may have met it, or not */
};

/* Handed out by the broker and not read yet. */
struct amqp_flight {
    uint64_t tag;
    struct sent *sent;
    struct copy *copy;
    int queue;
    char consumer[AMQP_TAG_BYTES]; /* "": of a get */
    bool redelivered, no_ack;
    bool answered; /* by an answer to all */
    bool doubtful;
};

/* Published, and not confirmed. */
struct amqp_pub {
    uint64_t tag;
    struct sent *sent;
};

enum amqp_answer { AMQP_ACK, AMQP_REJECT, AMQP_RETURN };

struct amqp_staged {
    uint64_t tag;
    bool multiple;
    enum amqp_answer how;
};

struct amqp_content_in {
    struct buf method, props, body; /* method: the payload of its frame */
    uint64_t size;
    bool due, has_header;
};

enum amqp_chan_state { CHAN_CLOSED, CHAN_OPENING, CHAN_OPEN, CHAN_CLOSING };
enum amqp_chan_mode { MODE_PLAIN, MODE_CONFIRM, MODE_TX };
enum amqp_wild { WILD_NONE, WILD_KEEP, WILD_TAKE }; /* an answer to all may not have arrived */

struct amqp_chan {
    struct amqp_client *client;
    uint16_t number;
    enum amqp_chan_state state;
    enum amqp_chan_mode mode;
    uint64_t sender;    /* as which the oracle knows it */
    client_id inside;   /* as which the core does; 0: not known */
    uint32_t waiting;   /* the reply that is due (enum amqp_method); 0: none */
    uint32_t crossed;   /* the same when it was closed */
    uint64_t asked;     /* rises over all requests of the connection */
    uint32_t asked_qos; /* the prefetch or, of flow, whether it is on */
    bool asked_no_ack;
    int asked_queue;
    struct amqp_sub *asked_sub;
    bool flow_off, recovering;
    bool skipped, ending;               /* a delivery did not come; then something was asked for */
    uint32_t next_prefetch;             /* of consumers to come */
    uint32_t prefetch, prefetch_before; /* of the channel */
    enum amqp_wild wild;
    bool wild_ending; /* with the reply that is due */
    struct amqp_sub **sub;
    size_t sub_count, sub_cap;
    struct amqp_held *held;
    size_t held_count, held_cap;
    struct amqp_flight *flight;
    size_t flight_count, flight_cap;
    struct amqp_pub *pub;
    size_t pub_count, pub_cap;
    uint64_t published;     /* in confirm mode: the last tag */
    struct sent **unrouted; /* mandatory, to nobody, and not returned yet */
    size_t unrouted_count, unrouted_cap;
    struct sim_settle *settle; /* answers that may not have arrived */
    size_t settle_count, settle_cap, settle_mark;
    struct sim_tx *tx, *committing;
    uint64_t committing_asked;
    struct amqp_staged *staged;
    size_t staged_count, staged_cap;
    struct buf body; /* of a message that is being written; from body_at on */
    size_t body_at;
    struct sent *writing;
    struct amqp_content_in in;
};

struct amqp_client {
    struct world *world;
    unsigned no;
    struct wire *wire; /* NULL: not connected */
    bool up, blocked;
    bool leaving, failed, ended;       /* it has closed; the broker has; close-ok came */
    bool beats, pipelines, of_channel; /* pipelines: its log-in; of_channel: basic.qos */
    unsigned slow;
    uint64_t connected_ms, heard_ms, requests, next_sub;
    uint64_t frames;            /* read, without heartbeats */
    uint32_t frame_bytes, boot; /* boot: of the broker, when it connected */
    struct buf in;
    struct amqp_chan chan[AMQP_CHANNELS];
};

void amqp_client_init(struct amqp_client *c, struct world *w, unsigned no);
void amqp_client_fini(struct amqp_client *c);
void amqp_client_hang_up(struct amqp_client *c);

/* One thing that a client may do, by chance. */
void amqp_client_act(struct amqp_client *c);
/* Reads at most `n` bytes; sees the end of the connection. */
void amqp_client_read(struct amqp_client *c, size_t n);
void amqp_client_beat(struct amqp_client *c);
/* All was written, answered and read: nothing may be due. */
void amqp_client_check_quiet(const struct amqp_client *c);
/* Writes what is left of bodies. */
void amqp_client_flush(struct amqp_client *c);

/* ---- shared by the files of the client ---- */

void amqp_say(struct amqp_client *c, uint16_t channel, const struct amqp_args *args);
/* A request: until `reply` comes the channel asks for nothing else. */
void amqp_ask(struct amqp_chan *ch, const struct amqp_args *args, uint32_t reply);
void amqp_login_step(struct amqp_client *c, const struct amqp_args *came);
void amqp_client_dropped(struct amqp_client *c); /* the connection is gone */
void amqp_chan_reset(struct amqp_chan *ch);
void amqp_chan_select(struct amqp_chan *ch); /* has just been opened */
/* What it sent before the request that was answered has arrived. */
void amqp_arrived(struct amqp_chan *ch, size_t answers);

/* amqp_publish.c */
void amqp_publish_some(struct amqp_chan *ch);
void amqp_write_body(struct amqp_chan *ch, unsigned frames);
void amqp_tx_some(struct amqp_chan *ch);
void amqp_tx_open(struct amqp_chan *ch);

/* amqp_consume.c */
void amqp_consume_some(struct amqp_chan *ch);
void amqp_cancel_some(struct amqp_chan *ch);
void amqp_get_some(struct amqp_chan *ch);
void amqp_answer_some(struct amqp_chan *ch);
void amqp_answer_all(struct amqp_chan *ch);
void amqp_qos_some(struct amqp_chan *ch);
void amqp_recover(struct amqp_chan *ch);
/* What the answer to `tag` (and all before it) means: the copies go to `list`. */
void amqp_take_held(struct amqp_chan *ch, const struct amqp_staged *a, struct sim_settle **list,
                    size_t *count, size_t *cap);

/* amqp_reply.c: methods of a channel */
void amqp_chan_method(struct amqp_chan *ch, const struct amqp_args *args, struct bytes payload);
/* Are there channels closed for what was not acked in time?  Not with the usual time-out. */
bool amqp_consumer_timeout(const struct world *w);
/* The broker closes channel or connection, for `a`: was it right? */
void amqp_check_close(struct amqp_client *c, const struct amqp_chan *only,
                      const struct amqp_channel_close *a);

/* amqp_content.c: what comes with content; the payloads of its frames */
void amqp_content_begin(struct amqp_chan *ch, struct bytes method);
void amqp_content_frame(struct amqp_chan *ch, const struct amqp_frame *f);
world_handed_fn amqp_client_handed;

#endif
