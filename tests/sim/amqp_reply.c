// SPDX-License-Identifier: MIT
/* What the broker says on a channel: replies, confirms, and the end. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "tests/sim/amqp_client.h"
#include "tests/sim/trace.h"

static struct oracle *oracle_of(const struct amqp_chan *ch)
{
    return &ch->client->world->oracle;
}

/* ---- confirms ---- */

static bool is_unrouted(const struct amqp_chan *ch, const struct sent *m)
{
    for (size_t i = 0; i < ch->unrouted_count; i++)
        if (ch->unrouted[i] == m)
            return true;
    return false;
}

static void forget_unrouted(struct amqp_chan *ch, const struct sent *m)
{
    size_t kept = 0;

    for (size_t i = 0; i < ch->unrouted_count; i++)
        if (ch->unrouted[i] != m)
            ch->unrouted[kept++] = ch->unrouted[i];
    ch->unrouted_count = kept;
}

static void confirm_one(struct amqp_chan *ch, struct sent *m, bool refused)
{
    if (refused) {
        SIM_CHECK(!m->confirmed, "message %" PRIu64 " was confirmed, and is refused", m->id);
        m->refused = true;
        forget_unrouted(ch, m);
        return;
    }
    SIM_CHECK(!is_unrouted(ch, m), "message %" PRIu64 " is confirmed and was not returned before",
              m->id);
    oracle_confirmed(oracle_of(ch), m);
}

/* Every tag once and in order: one alone is the oldest, many are all up to it. */
static void on_confirm(struct amqp_chan *ch, uint64_t tag, bool multiple, bool refused)
{
    size_t n = 0;

    trace("amqp %u.%u reads %s %" PRIu64 "%s", ch->client->no, ch->number, refused ? "nack" : "ack",
          tag, multiple ? " and all before" : "");
    SIM_CHECK(ch->pub_count > 0 && tag >= ch->pub[0].tag && tag <= ch->pub[ch->pub_count - 1].tag,
              "amqp %u.%u: a confirm of %" PRIu64 ", of %" PRIu64 " published", ch->client->no,
              ch->number, tag, ch->published);
    SIM_CHECK(multiple || tag == ch->pub[0].tag,
              "amqp %u.%u: a confirm of %" PRIu64 ", and %" PRIu64 " was due", ch->client->no,
              ch->number, tag, ch->pub[0].tag);
    while (n < ch->pub_count && ch->pub[n].tag <= tag)
        confirm_one(ch, ch->pub[n++].sent, refused);
    ch->pub_count -= n;
    memmove(ch->pub, ch->pub + n, ch->pub_count * sizeof *ch->pub);
}

/* ---- the end of a channel ---- */

/* A long body whose first part is not there yet goes with its channel, and what waits
 * behind it. */
static void check_nothing_in_flight(const struct amqp_chan *ch)
{
    SIM_CHECK(ch->flight_count == 0 || ch->flight[0].sent->size > BLOB_MIN_BYTES,
              "amqp %u.%u: delivery %" PRIu64 " was handed out and never came", ch->client->no,
              ch->number, ch->flight[0].tag);
}

static void closed_as_asked(struct amqp_chan *ch)
{
    trace("amqp %u.%u is closed", ch->client->no, ch->number);
    amqp_arrived(ch, ch->settle_mark);
    check_nothing_in_flight(ch);
    amqp_chan_reset(ch);
}

/* The one that waits for longest: nothing is read while a commit is on its way. */
static struct sim_tx *oldest_commit(struct amqp_client *c)
{
    struct amqp_chan *oldest = NULL;

    for (int i = 0; i < AMQP_CHANNELS; i++) {
        struct amqp_chan *ch = &c->chan[i];

        if (ch->committing && (!oldest || ch->committing_asked < oldest->committing_asked))
            oldest = ch;
    }
    return oldest ? oldest->committing : NULL;
}

static bool is_closing(const struct amqp_client *c)
{
    for (int i = 0; i < AMQP_CHANNELS; i++)
        if (c->chan[i].state == CHAN_CLOSING)
            return true;
    return false;
}

bool amqp_consumer_timeout(const struct world *w)
{
    return w->env.amqp.consumer_timeout_ms > 0 && w->env.amqp.consumer_timeout_ms < 1000000;
}

void amqp_check_close(struct amqp_client *c, const struct amqp_chan *only,
                      const struct amqp_channel_close *a)
{
    uint32_t method = (uint32_t)a->class_id << 16 | a->method_id;
    struct sim_tx *t = only ? only->committing : oldest_commit(c);

    trace("amqp %u reads close %u %.*s", c->no, a->reply_code, BYTES_FMT(a->reply_text));
    if (a->reply_code == AMQP_PRECONDITION_FAILED && method == AMQP_tx_commit && t) {
        t->refused = true;
        return;
    }
    if (a->reply_code == AMQP_PRECONDITION_FAILED && method == 0 && amqp_consumer_timeout(c->world))
        return;
    SIM_CHECK(a->reply_code == AMQP_CHANNEL_ERROR && method == AMQP_channel_close && !only &&
                  is_closing(c),
              "amqp %u: close %u %.*s", c->no, a->reply_code, BYTES_FMT(a->reply_text));
}

/* One's own close may have crossed it: then the answer to that is still to come. */
static void on_close(struct amqp_chan *ch, const struct amqp_args *args)
{
    bool crossed = ch->state == CHAN_CLOSING;

    amqp_check_close(ch->client, ch, &args->channel_close);
    amqp_say(ch->client, ch->number, &(struct amqp_args){ .id = AMQP_channel_close_ok });
    amqp_chan_reset(ch);
    if (crossed) {
        ch->state = CHAN_CLOSING;
        ch->waiting = AMQP_channel_close_ok;
    }
}

/* ---- replies ---- */

static void committed(struct amqp_chan *ch)
{
    struct sim_tx *t = ch->committing;

    for (size_t i = 0; i < ch->unrouted_count; i++)
        SIM_CHECK(ch->unrouted[i]->tx != t, "message %" PRIu64 " was committed and not returned",
                  ch->unrouted[i]->id);
    oracle_tx_confirmed(oracle_of(ch), t);
    ch->committing = NULL;
}

static void consuming(struct amqp_chan *ch, struct bytes tag)
{
    struct amqp_sub *s = ch->asked_sub;

    SIM_CHECK(s->tag[0] == '\0' || bytes_eq(bytes_str(s->tag), tag), "consume-ok of %.*s",
              BYTES_FMT(tag));
    SIM_CHECK(tag.n > 0 && tag.n < sizeof s->tag, "a consumer tag of %zu bytes", tag.n);
    memcpy(s->tag, tag.p, tag.n);
    s->tag[tag.n] = '\0';
    s->started = true;
}

static void replied(struct amqp_chan *ch, const struct amqp_args *args)
{
    switch (args->id) {
    case AMQP_channel_open_ok:
        amqp_chan_select(ch);
        break;
    case AMQP_tx_commit_ok:
        committed(ch);
        break;
    case AMQP_basic_consume_ok:
        consuming(ch, args->basic_consume_ok.consumer_tag);
        break;
    case AMQP_basic_qos_ok:
        ch->prefetch_before = ch->prefetch;
        break;
    case AMQP_channel_flow_ok:
        SIM_CHECK(args->channel_flow_ok.active == (ch->asked_qos != 0), "flow-ok of the other way");
        ch->flow_off = !args->channel_flow_ok.active;
        break;
    case AMQP_basic_recover_ok:
        ch->recovering = false;
        break;
    default:
        break;
    }
}

static void on_reply(struct amqp_chan *ch, const struct amqp_args *args)
{
    uint32_t id = args->id == AMQP_basic_get_empty ? AMQP_basic_get_ok : args->id;

    trace("amqp %u.%u reads %s", ch->client->no, ch->number, amqp_method_name(args->id));
    SIM_CHECK(ch->waiting == id, "amqp %u.%u: %s came, and %s was due", ch->client->no, ch->number,
              amqp_method_name(args->id), ch->waiting ? amqp_method_name(ch->waiting) : "nothing");
    SIM_CHECK(!ch->ending, "amqp %u.%u: a delivery never came", ch->client->no, ch->number);
    ch->waiting = 0;
    amqp_arrived(ch, ch->settle_mark);
    if (ch->wild_ending)
        ch->wild = WILD_NONE;
    for (size_t i = 0; i < ch->sub_count; i++)
        ch->sub[i]->ended = ch->sub[i]->ended || ch->sub[i]->ending;
    replied(ch, args);
}

void amqp_chan_method(struct amqp_chan *ch, const struct amqp_args *args, struct bytes payload)
{
    SIM_CHECK(!ch->in.due, "amqp %u.%u: %s amid a message", ch->client->no, ch->number,
              amqp_method_name(args->id));
    SIM_CHECK(ch->state != CHAN_CLOSED, "amqp %u.%u: %s on a closed channel", ch->client->no,
              ch->number, amqp_method_name(args->id));
    if (args->id == AMQP_basic_ack)
        on_confirm(ch, args->basic_ack.delivery_tag, args->basic_ack.multiple, false);
    else if (args->id == AMQP_basic_nack)
        on_confirm(ch, args->basic_nack.delivery_tag, args->basic_nack.multiple, true);
    else if (args->id == AMQP_channel_close)
        on_close(ch, args);
    else if (args->id == AMQP_channel_close_ok && ch->waiting == AMQP_channel_close_ok)
        closed_as_asked(ch);
    else if (amqp_method_has_content(args->id))
        amqp_content_begin(ch, payload);
    else if (ch->state != CHAN_CLOSING)
        on_reply(ch, args);
    else if (args->id == ch->crossed)
        replied(ch, args);
}
