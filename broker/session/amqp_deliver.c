// SPDX-License-Identifier: MIT
/* From a delivery of the core to basic.deliver or get-ok and its content. */
#include "broker/session/amqp_session.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"

static struct core *core_of(const struct amqp_channel *ch)
{
    return ch->conn->s.env->core;
}

/* Written by hand: it is the method that leaves most often. */
static void put_deliver(struct amqp_channel *ch, struct buf *out, const struct amqp_consumer *k,
                        const struct effect *e, const struct message *m)
{
    size_t mark = amqp_frame_begin(out, AMQP_FRAME_METHOD, ch->number);

    buf_u32(out, AMQP_basic_deliver);
    buf_u8(out, k->tag_n);
    buf_put(out, k->tag, k->tag_n);
    buf_u64(out, e->tag);
    buf_u8(out, e->redelivered);
    buf_u8(out, (uint8_t)m->exchange.n);
    buf_bytes(out, m->exchange);
    buf_u8(out, (uint8_t)m->routing_key.n);
    buf_bytes(out, m->routing_key);
    amqp_frame_end(out, mark);
}

static void put_get_ok(struct amqp_channel *ch, const struct effect *e, const struct message *m)
{
    struct queue_info info = { 0 };

    (void)core_queue_look(core_of(ch), ch->client, buf_view(&ch->get_queue), &info);
    amqp_put(ch, &(struct amqp_args){ .id = AMQP_basic_get_ok,
                                      .basic_get_ok = { .delivery_tag = e->tag,
                                                        .redelivered = e->redelivered,
                                                        .exchange = m->exchange,
                                                        .routing_key = m->routing_key,
                                                        .message_count = (uint32_t)info.ready } });
}

void amqp_get_empty(struct amqp_channel *ch)
{
    amqp_put_id(ch, AMQP_basic_get_empty);
}

static void want_next(struct amqp_channel *ch)
{
    struct amqp_sending *o = ch->sending;

    o->stalled = session_room(&ch->conn->s) == 0;
    if (!o->stalled)
        core_blob_want(core_of(ch), ch->client, o->blob_id, o->next);
}

/* The head, at out.p[from..), is taken back until the first part is there. */
static void sending_begin(struct amqp_channel *ch, const struct message *m, struct buf *out,
                          size_t from)
{
    struct amqp_sending *o = mem_new(struct amqp_sending), **at = &ch->sending;

    buf_bytes(&o->head, bytes_from(buf_view(out), from));
    out->n = from;
    o->blob_id = m->blob_id;
    o->left = m->body_size;
    while (*at)
        at = &(*at)->after;
    *at = o;
    core_client_room(core_of(ch), ch->client, 0); /* messages before it had set it again */
    if (o != ch->sending)
        return;
    ch->conn->channels_sending++;
    want_next(ch);
}

void amqp_deliver(struct amqp_channel *ch, const struct effect *e)
{
    struct amqp_session *s = ch->conn;
    struct amqp_consumer *k = e->handle ? slots_get(&ch->consumers, e->handle) : NULL;
    struct buf *out = amqp_out(ch);
    size_t from = out->n;
    struct message m;

    if (e->handle && !k)
        return; /* cancelled in this turn: it goes back with the channel's end, or by recover */
    core_effect_message(core_of(ch), e, &m);
    if (e->deliveries > 0 && e->counted)
        m.props = amqp_props_counted(s, m.props, e->deliveries);
    if (k)
        put_deliver(ch, out, k, e, &m);
    else
        put_get_ok(ch, e, &m);
    amqp_put_content_header(out, ch->number, m.body_size, m.props);
    s->s.env->count.frames_out++;
    s->last_out_ms = s->s.env->now_mono_ms;
    if (m.blob_id) {
        sending_begin(ch, &m, out, from);
        return;
    }
    amqp_put_body(out, ch->number, s->frame_max, m.body);
    amqp_room(ch);
}

/* The queue went.  Who does not know the word finds out by silence, as with RabbitMQ. */
void amqp_cancelled(struct amqp_channel *ch, const struct effect *e)
{
    struct amqp_consumer *k = slots_get(&ch->consumers, e->handle);

    if (!k)
        return;
    if (ch->conn->can_cancel)
        amqp_put(ch,
                 &(struct amqp_args){ .id = AMQP_basic_cancel,
                                      .basic_cancel = { .consumer_tag = bytes_of(k->tag, k->tag_n),
                                                        .nowait = true } });
    amqp_consumer_remove(ch, k);
}

/* ---- bodies in parts ---- */

/* The first; those behind it move up. */
static void sending_drop(struct amqp_channel *ch)
{
    struct amqp_sending *o = ch->sending;

    ch->sending = o->after;
    buf_fini(&o->head);
    buf_fini(&o->later);
    mem_free(o);
    if (!ch->sending)
        ch->conn->channels_sending--;
}

void amqp_sending_free(struct amqp_channel *ch)
{
    while (ch->sending)
        sending_drop(ch);
}

void amqp_sending_skip(struct amqp_channel *ch)
{
    while (ch->sending) {
        buf_bytes(&ch->conn->s.out, buf_view(&ch->sending->later));
        sending_drop(ch);
    }
}

static void sending_end(struct amqp_channel *ch)
{
    buf_bytes(&ch->conn->s.out, buf_view(&ch->sending->later));
    core_blob_done(core_of(ch), ch->client, ch->sending->blob_id);
    sending_drop(ch);
    if (ch->sending)
        want_next(ch);
    else
        amqp_room(ch);
}

void amqp_part(struct amqp_channel *ch, const struct effect *e)
{
    struct amqp_sending *o = ch->sending;
    struct amqp_session *s = ch->conn;

    if (!o || e->blob_id != o->blob_id || e->part != o->next)
        return;
    if (e->refused || e->data.n == 0 || e->data.n > o->left) {
        log_error("amqp.body", "id=%" PRIu64 " why=\"a part of a message cannot be read\"",
                  s->s.id);
        amqp_fail(s, AMQP_INTERNAL_ERROR, AMQP_basic_deliver, "a part of a message cannot be read");
        return;
    }
    if (o->next == 0)
        buf_bytes(&s->s.out, buf_view(&o->head));
    amqp_put_body(&s->s.out, ch->number, s->frame_max, e->data);
    s->last_out_ms = s->s.env->now_mono_ms;
    o->left -= e->data.n;
    o->next++;
    if (o->left > 0)
        want_next(ch);
    else
        sending_end(ch);
}

void amqp_sending_drained(struct amqp_channel *ch)
{
    if (ch->sending->stalled)
        want_next(ch);
}
