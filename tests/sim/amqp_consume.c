// SPDX-License-Identifier: MIT
/* Consumers of an AMQP client, its gets, and its answers. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "tests/sim/amqp_client.h"
#include "tests/sim/trace.h"

enum { CONSUMERS_MAX = 3 };

static struct rng *rng_of(const struct amqp_chan *ch)
{
    return &ch->client->world->rng;
}

/* Long messages are few, and much happens while one is on its way: they are looked for. */
static int some_queue(const struct amqp_chan *ch)
{
    struct rng *r = rng_of(ch);

    return rng_one_in(r, 3) ? ch->client->world->long_queue : (int)rng_below(r, QUEUES);
}

/* ---- consumers ---- */

static size_t active_count(const struct amqp_chan *ch)
{
    size_t n = 0;

    for (size_t i = 0; i < ch->sub_count; i++)
        n += !ch->sub[i]->cancelled;
    return n;
}

static struct amqp_sub *add_sub(struct amqp_chan *ch)
{
    struct rng *r = rng_of(ch);
    struct amqp_sub *s = mem_new(struct amqp_sub);

    ch->sub = mem_grow(ch->sub, &ch->sub_cap, ch->sub_count + 1, sizeof *ch->sub);
    ch->sub[ch->sub_count++] = s;
    s->queue = some_queue(ch);
    s->no_ack = rng_one_in(r, 6);
    s->prefetch = ch->next_prefetch;
    if (!rng_one_in(r, 5))
        (void)snprintf(s->tag, sizeof s->tag, "k%" PRIu64, ++ch->client->next_sub);
    return s;
}

void amqp_consume_some(struct amqp_chan *ch)
{
    if (active_count(ch) == CONSUMERS_MAX)
        return;
    struct amqp_sub *s = add_sub(ch);
    bool nowait = s->tag[0] && rng_one_in(rng_of(ch), 4);
    struct amqp_args a = { .id = AMQP_basic_consume,
                           .basic_consume = { .queue = bytes_str(sim_queues[s->queue].name),
                                              .consumer_tag = bytes_str(s->tag),
                                              .no_ack = s->no_ack,
                                              .nowait = nowait } };

    trace("amqp %u.%u consumes %s as '%s', prefetch %u%s", ch->client->no, ch->number,
          sim_queues[s->queue].name, s->tag, s->prefetch, s->no_ack ? ", without acks" : "");
    if (nowait) {
        s->started = true;
        amqp_say(ch->client, ch->number, &a);
        return;
    }
    amqp_ask(ch, &a, AMQP_basic_consume_ok);
    ch->asked_sub = s;
}

void amqp_cancel_some(struct amqp_chan *ch)
{
    struct rng *r = rng_of(ch);
    struct amqp_sub *s = ch->sub_count ? ch->sub[rng_below(r, (uint32_t)ch->sub_count)] : NULL;

    if (!s || !s->started || s->cancelled)
        return;
    bool nowait = ch->waiting || rng_one_in(r, 4);
    struct amqp_args a = { .id = AMQP_basic_cancel,
                           .basic_cancel = { .consumer_tag = bytes_str(s->tag),
                                             .nowait = nowait } };

    trace("amqp %u.%u cancels %s", ch->client->no, ch->number, s->tag);
    s->cancelled = true;
    if (nowait)
        amqp_say(ch->client, ch->number, &a);
    else
        amqp_ask(ch, &a, AMQP_basic_cancel_ok);
}

void amqp_get_some(struct amqp_chan *ch)
{
    bool no_ack = rng_one_in(rng_of(ch), 6);
    int queue = some_queue(ch);
    struct bytes name = bytes_str(sim_queues[queue].name);

    amqp_ask(ch,
             &(struct amqp_args){ .id = AMQP_basic_get,
                                  .basic_get = { .queue = name, .no_ack = no_ack } },
             AMQP_basic_get_ok);
    ch->asked_queue = queue;
    ch->asked_no_ack = no_ack;
}

/* Two meanings: of the consumers to come, or of the channel from now on. */
void amqp_qos_some(struct amqp_chan *ch)
{
    struct rng *r = rng_of(ch);
    bool global = rng_one_in(r, 2);
    uint16_t limit = rng_one_in(r, 3) ? 0 : (uint16_t)(1 + rng_below(r, 20));

    amqp_ask(ch,
             &(struct amqp_args){ .id = AMQP_basic_qos,
                                  .basic_qos = { .prefetch_count = limit, .global = global } },
             AMQP_basic_qos_ok);
    if (!global && !ch->client->of_channel) {
        ch->next_prefetch = limit;
        return;
    }
    ch->prefetch_before = ch->prefetch;
    ch->prefetch = limit;
}

/* ---- answers ---- */

static void add_settle(struct sim_settle **list, size_t *count, size_t *cap,
                       const struct sim_settle *one)
{
    *list = mem_grow(*list, cap, *count + 1, sizeof **list);
    (*list)[(*count)++] = *one;
}

void amqp_take_held(struct amqp_chan *ch, const struct amqp_staged *a, struct sim_settle **list,
                    size_t *count, size_t *cap)
{
    size_t kept = 0;

    for (size_t i = 0; i < ch->held_count; i++) {
        struct amqp_held *h = &ch->held[i];
        struct sim_settle one = { h->copy, a->how == AMQP_REJECT, h->queue != h->copy->queue };

        if (a->multiple ? h->tag > a->tag : h->tag != a->tag) {
            ch->held[kept++] = *h;
            continue;
        }
        if (a->how == AMQP_RETURN)
            continue;
        oracle_answered(&one);
        if (!h->doubtful)
            add_settle(list, count, cap, &one);
    }
    ch->held_count = kept;
}

/* Marks those that it means, so that none is answered twice. */
static void stage(struct amqp_chan *ch, const struct amqp_staged *a)
{
    for (size_t i = 0; i < ch->held_count; i++)
        if (a->multiple ? ch->held[i].tag <= a->tag : ch->held[i].tag == a->tag)
            ch->held[i].staged = true;
    ch->staged = mem_grow(ch->staged, &ch->staged_cap, ch->staged_count + 1, sizeof *ch->staged);
    ch->staged[ch->staged_count++] = *a;
}

/* basic.reject is an older basic.nack of one. */
static void say_answer(struct amqp_chan *ch, const struct amqp_staged *a)
{
    bool requeue = a->how == AMQP_RETURN;
    struct amqp_args args;

    if (a->how == AMQP_ACK)
        args = (struct amqp_args){ .id = AMQP_basic_ack, .basic_ack = { a->tag, a->multiple, 0 } };
    else if (a->multiple || rng_one_in(rng_of(ch), 2))
        args = (struct amqp_args){ .id = AMQP_basic_nack,
                                   .basic_nack = { a->tag, a->multiple, requeue, 0 } };
    else
        args = (struct amqp_args){ .id = AMQP_basic_reject,
                                   .basic_reject = { a->tag, requeue, 0 } };
    amqp_say(ch->client, ch->number, &args);
    trace("amqp %u.%u %s %" PRIu64 "%s%s", ch->client->no, ch->number,
          a->how == AMQP_ACK      ? "acks"
          : a->how == AMQP_REJECT ? "rejects"
                                  : "returns",
          a->tag, a->multiple ? " and all before" : "",
          ch->mode == MODE_TX ? " in a transaction" : "");
}

void amqp_answer_some(struct amqp_chan *ch)
{
    struct rng *r = rng_of(ch);

    if (ch->held_count == 0)
        return;
    const struct amqp_held
        *h = &ch->held[rng_one_in(r, 2) ? 0 : rng_below(r, (uint32_t)ch->held_count)];
    if (h->staged || h->doubtful)
        return;
    struct amqp_staged a = { .tag = h->tag, .multiple = rng_one_in(r, 4) };
    if (rng_one_in(r, 5))
        a.how = rng_one_in(r, 2) ? AMQP_REJECT : AMQP_RETURN;
    say_answer(ch, &a);
    if (ch->mode == MODE_TX)
        stage(ch, &a);
    else
        amqp_take_held(ch, &a, &ch->settle, &ch->settle_count, &ch->settle_cap);
}

/* Tag 0 means all there is when it arrives: what was handed out by now is met for
 * sure, what will be until then perhaps. */
void amqp_answer_all(struct amqp_chan *ch)
{
    bool ack = rng_one_in(rng_of(ch), 2);
    struct amqp_staged a = { .multiple = true, .how = ack ? AMQP_ACK : AMQP_RETURN };

    if (ch->mode == MODE_TX || ch->recovering)
        return;
    say_answer(ch, &a);
    a.tag = UINT64_MAX;
    amqp_take_held(ch, &a, &ch->settle, &ch->settle_count, &ch->settle_cap);
    for (size_t i = 0; i < ch->flight_count; i++) {
        struct amqp_flight *f = &ch->flight[i];
        struct sim_settle one = { .copy = f->copy, .dead = f->queue != f->copy->queue };

        if (f->no_ack || f->answered)
            continue;
        if (ack)
            oracle_answered(&one);
        if (ack && !f->doubtful)
            add_settle(&ch->settle, &ch->settle_count, &ch->settle_cap, &one);
        f->answered = true;
    }
    ch->wild = ack || ch->wild == WILD_TAKE ? WILD_TAKE : WILD_KEEP;
    ch->wild_ending = false;
}

/* All that comes before recover-ok goes back; what comes after it is new. */
void amqp_recover(struct amqp_chan *ch)
{
    amqp_ask(ch,
             &(struct amqp_args){ .id = AMQP_basic_recover, .basic_recover = { .requeue = true } },
             AMQP_basic_recover_ok);
    ch->recovering = true;
    ch->held_count = 0;
}
