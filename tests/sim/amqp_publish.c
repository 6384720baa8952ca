// SPDX-License-Identifier: MIT
/* What an AMQP client publishes, and its transactions. */
#include <inttypes.h>

#include "base/mem.h"
#include "proto/props.h"
#include "proto/table.h"
#include "tests/sim/amqp_client.h"
#include "tests/sim/trace.h"

static struct world *world_of(const struct amqp_chan *ch)
{
    return ch->client->world;
}

/* ---- a message ---- */

static uint32_t some_size(struct rng *r)
{
    if (rng_one_in(r, 250)) /* in parts of its own */
        return BLOB_MIN_BYTES + rng_below(r, 2 * BLOB_PART_BYTES);
    switch (rng_below(r, 20)) {
    case 0: /* several frames */
        return rng_below(r, 20000);
    case 1:
    case 2:
        return rng_below(r, 3000);
    case 3:
        return 0;
    default:
        return rng_below(r, 200);
    }
}

static struct sent *describe(struct amqp_chan *ch)
{
    struct rng *r = &world_of(ch)->rng;
    int place = (int)rng_below(r, rng_one_in(r, 4) ? PLACES_ALL : PLACES);
    struct sent *m = oracle_send(&world_of(ch)->oracle, rng_one_in(r, 20) ? PLACE_NOBODY : place);

    m->amqp = true;
    m->sender = ch->sender;
    m->boot = world_of(ch)->boot;
    m->size = some_size(r);
    if (m->size > BLOB_MIN_BYTES && m->copies)
        world_of(ch)->long_queue = m->copy[0].queue;
    m->persistent = !rng_one_in(r, 8);
    m->fancy = rng_one_in(r, 2);
    m->has_ttl = rng_one_in(r, 12);
    if (m->copies && sim_queues[m->copy[0].queue].priorities)
        m->priority = (uint8_t)rng_below(r, 5);
    return m;
}

static void put_headers(const struct sent *m, struct buf *out)
{
    struct buf text = { 0 };

    buf_decimal(&text, m->id);
    table_put_str(out, BYTES("m"), buf_view(&text));
    text.n = 0;
    buf_fmt(&text, "a:b\\c\n=%" PRIu64, m->id);
    if (m->fancy)
        table_put_str(out, BYTES("n\n:ame"), buf_view(&text));
    buf_fini(&text);
}

static void put_props(struct rng *r, const struct sent *m, struct buf *out)
{
    struct buf headers = { 0 }, life = { 0 }, id = { 0 };
    struct props p = { .flags = PROPS_headers | PROPS_correlation_id };

    put_headers(m, &headers);
    buf_fmt(&id, "c%" PRIu64, m->id);
    p.headers = buf_view(&headers);
    p.correlation_id = buf_view(&id);
    p.delivery_mode = m->persistent ? 2 : 1;
    if (m->persistent || rng_one_in(r, 2))
        p.flags |= PROPS_delivery_mode;
    p.priority = m->priority;
    if (m->priority || rng_one_in(r, 2))
        p.flags |= PROPS_priority;
    if (m->has_ttl) {
        buf_decimal(&life, rng_below(r, 5000));
        p.expiration = buf_view(&life);
        p.flags |= PROPS_expiration;
    }
    props_encode(out, &p);
    buf_fini(&headers);
    buf_fini(&life);
    buf_fini(&id);
}

/* ---- its frames ---- */

/* The whole message is with the broker, as far as this client can do that. */
static void written(struct amqp_chan *ch)
{
    struct sent *m = ch->writing;

    ch->writing = NULL;
    if (ch->mode == MODE_TX) {
        m->tx = ch->tx;
        ch->tx->sent = mem_grow(ch->tx->sent, &ch->tx->sent_cap, ch->tx->sent_count + 1,
                                sizeof *ch->tx->sent);
        ch->tx->sent[ch->tx->sent_count++] = m;
        return;
    }
    oracle_published(&world_of(ch)->oracle, m);
    if (ch->mode == MODE_CONFIRM) {
        ch->pub = mem_grow(ch->pub, &ch->pub_cap, ch->pub_count + 1, sizeof *ch->pub);
        ch->pub[ch->pub_count++] = (struct amqp_pub){ ++ch->published, m };
    }
}

static size_t frame_room(const struct amqp_chan *ch)
{
    struct rng *r = &world_of(ch)->rng;
    size_t room = ch->client->frame_bytes - AMQP_FRAME_EXTRA_BYTES;

    return rng_one_in(r, 20) ? 1 + rng_below(r, (uint32_t)room) : room;
}

void amqp_write_body(struct amqp_chan *ch, unsigned frames)
{
    if (!ch->writing)
        return;
    while (frames-- > 0 && ch->body_at < ch->body.n) {
        struct bytes rest = bytes_from(buf_view(&ch->body), ch->body_at);
        struct bytes piece = bytes_head(rest, frame_room(ch));

        amqp_put_body(&ch->client->wire->up, ch->number, 0, piece);
        ch->body_at += piece.n;
    }
    if (ch->body_at == ch->body.n)
        written(ch);
}

static void expect_return(struct amqp_chan *ch, struct sent *m)
{
    ch->unrouted = mem_grow(ch->unrouted, &ch->unrouted_cap, ch->unrouted_count + 1,
                            sizeof *ch->unrouted);
    ch->unrouted[ch->unrouted_count++] = m;
}

static void put_publish(struct amqp_chan *ch, const struct sent *m, bool mandatory)
{
    struct sim_address to = place_address(m->place);
    struct buf props = { 0 };

    put_props(&world_of(ch)->rng, m, &props);
    amqp_say(ch->client, ch->number,
             &(struct amqp_args){ .id = AMQP_basic_publish,
                                  .basic_publish = { .exchange = to.exchange,
                                                     .routing_key = to.key,
                                                     .mandatory = mandatory } });
    amqp_put_content_header(&ch->client->wire->up, ch->number, ch->body.n, buf_view(&props));
    buf_fini(&props);
}

void amqp_publish_some(struct amqp_chan *ch)
{
    struct rng *r = &world_of(ch)->rng;
    struct sent *m = describe(ch);
    bool mandatory = rng_one_in(r, m->place == PLACE_NOBODY ? 2 : 10);

    trace("amqp %u.%u publishes m%" PRIu64 " of %u to %s%s%s", ch->client->no, ch->number, m->id,
          m->size, sim_places[m->place].destination, mandatory ? ", mandatory" : "",
          ch->mode == MODE_TX ? " in a transaction" : "");
    ch->body.n = ch->body_at = 0;
    oracle_body(m, &ch->body);
    put_publish(ch, m, mandatory);
    ch->writing = m;
    if (mandatory && m->place == PLACE_NOBODY)
        expect_return(ch, m);
    amqp_write_body(ch, rng_one_in(r, 3) ? 1 : UINT32_MAX);
}

/* ---- transactions ---- */

void amqp_tx_open(struct amqp_chan *ch)
{
    ch->tx = oracle_tx(&world_of(ch)->oracle, world_of(ch)->boot);
    ch->staged_count = 0;
}

static void commit(struct amqp_chan *ch)
{
    struct sim_tx *t = ch->tx;

    amqp_ask(ch, &(struct amqp_args){ .id = AMQP_tx_commit }, AMQP_tx_commit_ok);
    trace("amqp %u.%u commits %zu messages and %zu answers", ch->client->no, ch->number,
          t->sent_count, ch->staged_count);
    t->committed = true;
    for (size_t i = 0; i < ch->staged_count; i++)
        amqp_take_held(ch, &ch->staged[i], &t->settle, &t->settle_count, &t->settle_cap);
    for (size_t i = 0; i < t->sent_count; i++)
        oracle_published(&world_of(ch)->oracle, t->sent[i]);
    ch->committing = t;
    ch->committing_asked = ch->asked;
    amqp_tx_open(ch);
}

static void roll_back(struct amqp_chan *ch)
{
    amqp_ask(ch, &(struct amqp_args){ .id = AMQP_tx_rollback }, AMQP_tx_rollback_ok);
    for (size_t i = 0; i < ch->held_count; i++)
        ch->held[i].staged = false;
    ch->unrouted_count = 0;
    amqp_tx_open(ch);
}

void amqp_tx_some(struct amqp_chan *ch)
{
    if (ch->mode != MODE_TX)
        return;
    if (rng_one_in(&world_of(ch)->rng, 4))
        roll_back(ch);
    else
        commit(ch);
}
