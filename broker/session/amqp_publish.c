// SPDX-License-Identifier: MIT
/* basic.publish, its content, its confirm and its return. */
#include "broker/session/amqp_session.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"

#define FULL_DISK "disk is full: free space is below disk_reserve"

static struct core *core_of(const struct amqp_channel *ch)
{
    return ch->conn->s.env->core;
}

/* ---- back-pressure ---- */

void amqp_block(struct amqp_session *s)
{
    if (s->blocked)
        return;
    s->blocked = true;
    log_warn("amqp.blocked", "id=%" PRIu64 " why=\"" FULL_DISK "\"", s->s.id);
    if (s->can_blocked)
        amqp_put_method(&s->s.out, 0,
                        &(struct amqp_args){ .id = AMQP_connection_blocked,
                                             .connection_blocked = { BYTES(FULL_DISK), 0 } });
    amqp_wake(s);
}

void amqp_unblock(struct amqp_session *s)
{
    if (core_pressure(s->s.env->core) == CORE_PRESSURE_DISK)
        return;
    s->blocked = s->held = false;
    s->s.paused = s->due != NULL;
    if (s->can_blocked)
        amqp_put_method(&s->s.out, 0, &(struct amqp_args){ .id = AMQP_connection_unblocked });
}

/* ---- answers ---- */

void amqp_on_confirmed(struct amqp_channel *ch, const struct effect *e)
{
    uint64_t tag = e->last - ch->replies_confirmed;
    bool multiple = e->last > e->first;

    if (!ch->confirming)
        return;
    if (e->refused)
        amqp_put(
            ch, &(struct amqp_args){ .id = AMQP_basic_nack,
                                     .basic_nack = { .delivery_tag = tag, .multiple = multiple } });
    else
        amqp_put(ch,
                 &(struct amqp_args){ .id = AMQP_basic_ack,
                                      .basic_ack = { .delivery_tag = tag, .multiple = multiple } });
}

void amqp_on_confirm_select(struct amqp_channel *ch, const struct amqp_args *args)
{
    if (ch->transactional) {
        amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, args->id,
                          "cannot switch from tx to confirm mode");
        return;
    }
    ch->confirming = true;
    if (!args->confirm_select.nowait)
        amqp_put_id(ch, AMQP_confirm_select_ok);
}

/* Of a body that went to disk in parts and was not kept, only the head is returned. */
void amqp_put_return(struct amqp_channel *ch, const struct message *m)
{
    struct buf *out = amqp_out(ch);

    amqp_put(ch, &(struct amqp_args){ .id = AMQP_basic_return,
                                      .basic_return = { .reply_code = AMQP_NO_ROUTE,
                                                        .reply_text = BYTES("NO_ROUTE"),
                                                        .exchange = m->exchange,
                                                        .routing_key = m->routing_key } });
    amqp_put_content_header(out, ch->number, m->body.n, m->props);
    amqp_put_body(out, ch->number, ch->conn->frame_max, m->body);
}

static void confirm(struct amqp_channel *ch, bool refused)
{
    if (ch->confirming)
        (void)core_confirm(core_of(ch), ch->client, refused);
}

static void refused(struct amqp_channel *ch, const struct publish *p, const char *why)
{
    if (!ch->confirming)
        amqp_log_fault(ch->conn, "amqp.publish_refused", why ? why : "refused");
    if (p->m.body_size > ch->conn->s.env->message_bytes)
        return;
    confirm(ch, true);
    ch->tx_refused = ch->transactional;
    if (core_pressure(core_of(ch)) == CORE_PRESSURE_DISK)
        amqp_block(ch->conn);
}

static void stage(struct amqp_channel *ch, const struct publish *p)
{
    if (!core_tx_publish(ch->tx, p))
        amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, AMQP_basic_publish,
                          "transaction is larger than max_transaction");
}

/* `whole`: the message with its body at hand, to be returned if nobody takes it. */
static void publish(struct amqp_channel *ch, struct publish *p, const struct message *whole)
{
    const char *why = NULL;

    ch->conn->s.publisher = true;
    if (ch->transactional) {
        stage(ch, p);
        return;
    }
    switch (core_publish(core_of(ch), ch->client, p, &why, ch->conn->s.env->now_ms)) {
    case PUBLISH_UNROUTED:
        if (p->mandatory)
            amqp_put_return(ch, whole);
        confirm(ch, false);
        break;
    case PUBLISH_ROUTED:
        confirm(ch, false);
        break;
    case PUBLISH_REFUSED:
        refused(ch, p, why);
        break;
    case PUBLISH_NO_EXCHANGE:
        amqp_fail_err(ch, ERR_NOT_FOUND, AMQP_basic_publish, "exchange", p->m.exchange, why);
        break;
    case PUBLISH_FORBIDDEN:
        amqp_fail_err(ch, ERR_REFUSED, AMQP_basic_publish, "exchange", p->m.exchange, why);
        break;
    }
}

/* ---- content that is all there ---- */

static bool is_size_allowed(struct amqp_channel *ch, uint64_t size)
{
    uint64_t most = ch->conn->s.env->message_bytes;

    if (size <= most)
        return true;
    amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, AMQP_basic_publish,
                      "message size %" PRIu64 " is larger than configured max size %" PRIu64, size,
                      most);
    return false;
}

/* The next frame of the channel, when it is whole and of that type. */
static bool peek(const struct amqp_channel *ch, struct bytes in, uint8_t type,
                 struct amqp_frame *out, size_t *used)
{
    const char *why;

    return amqp_frame_decode(in, ch->conn->frame_max, out, used, &why) == DECODE_OK &&
           out->type == type && out->channel == ch->number;
}

static bool may_publish(struct amqp_channel *ch, const struct amqp_basic_publish *a)
{
    return amqp_may_exchange(ch, AMQP_basic_publish, PERMISSION_WRITE, a->exchange) &&
           amqp_may_topic(ch, AMQP_basic_publish, PERMISSION_WRITE, a->exchange, a->routing_key);
}

size_t amqp_publish_whole(struct amqp_channel *ch, const struct amqp_args *args, struct bytes in)
{
    const struct amqp_basic_publish *a = &args->basic_publish;
    struct amqp_frame head, body = { 0 };
    struct amqp_content c;
    size_t used, more = 0;
    const char *why;

    if (a->immediate || !peek(ch, in, AMQP_FRAME_HEADER, &head, &used) ||
        amqp_content_decode(head.payload, &c, &why) != DECODE_OK || c.body_size > BLOB_MIN_BYTES)
        return 0;
    if (c.body_size > 0 && (!peek(ch, bytes_from(in, used), AMQP_FRAME_BODY, &body, &more) ||
                            body.payload.n != c.body_size))
        return 0;
    ch->conn->s.env->count.frames_in += more ? 2 : 1;
    if (!is_size_allowed(ch, c.body_size) || !may_publish(ch, a))
        return used + more;
    struct publish p = { .m = { .exchange = a->exchange,
                                .routing_key = a->routing_key,
                                .body = body.payload,
                                .body_size = body.payload.n },
                         .mandatory = a->mandatory };
    if (amqp_properties(ch, c.props, &p))
        publish(ch, &p, &p.m);
    return used + more;
}

/* ---- content that comes in pieces ---- */

void amqp_incoming_free(struct amqp_channel *ch)
{
    struct amqp_incoming *in = ch->incoming;

    if (!in)
        return;
    if (in->blob_id)
        core_blob_abort(core_of(ch), in->blob_id); /* unless it was published */
    ch->conn->gathered_bytes -= in->gathered;
    buf_fini(&in->names);
    buf_fini(&in->body);
    mem_free(in);
    ch->incoming = NULL;
}

void amqp_on_publish(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_basic_publish *a = &args->basic_publish;
    struct amqp_incoming *in;

    if (a->immediate) {
        amqp_channel_fail(ch, AMQP_NOT_IMPLEMENTED, args->id, "immediate=true");
        return;
    }
    if (!may_publish(ch, a))
        return;
    in = ch->incoming = mem_new(struct amqp_incoming);
    in->mandatory = a->mandatory;
    in->exchange_n = a->exchange.n;
    in->key_n = a->routing_key.n;
    buf_bytes(&in->names, a->exchange);
    buf_bytes(&in->names, a->routing_key);
}

/* One without room on the disk is refused once its body has gone by. */
static uint64_t blob_of(struct amqp_channel *ch, uint64_t size)
{
    const char *why = NULL;
    uint64_t id = core_blob_begin(core_of(ch), ch->client, size, &why);

    ch->incoming->refused = id == 0;
    return id;
}

static void message_of(const struct amqp_incoming *in, struct message *m, struct bytes *props)
{
    struct bytes names = buf_view(&in->names);

    m->exchange = bytes_head(names, in->exchange_n);
    m->routing_key = bytes_head(bytes_from(names, in->exchange_n), in->key_n);
    m->body = buf_view(&in->body);
    m->body_size = in->size;
    *props = bytes_from(names, in->exchange_n + in->key_n);
}

static void complete(struct amqp_channel *ch)
{
    struct amqp_incoming *in = ch->incoming;
    struct publish p = { .mandatory = in->mandatory };
    struct message whole;
    struct bytes props;

    message_of(in, &p.m, &props);
    if (!in->refused && !in->blob_id && in->size > BLOB_MIN_BYTES) {
        in->blob_id = blob_of(ch, in->size);
        if (in->blob_id)
            core_blob_append(core_of(ch), in->blob_id, p.m.body);
    }
    if (in->refused) {
        refused(ch, &p, FULL_DISK);
    } else if (amqp_properties(ch, props, &p)) {
        whole = p.m;
        if (in->blob_id)
            p.m.body = (struct bytes){ 0 };
        p.m.blob_id = in->blob_id;
        publish(ch, &p, &whole);
    }
    /* A transaction has taken the blob; a refused publish has dropped it. */
    if (ch->incoming)
        ch->incoming->blob_id = 0;
    amqp_incoming_free(ch);
}

/* What is short, or may have to be returned, is kept whole; the rest, and what would be too
 * much for one connection, goes to the disk as it comes. */
static void choose_place(struct amqp_channel *ch, struct amqp_incoming *in)
{
    bool keep = in->size <= BLOB_MIN_BYTES || in->mandatory;

    if (!keep || in->size > AMQP_GATHERED_MAX_BYTES - ch->conn->gathered_bytes) {
        in->blob_id = blob_of(ch, in->size);
        return;
    }
    in->gathered = in->size;
    ch->conn->gathered_bytes += in->size;
}

void amqp_on_content_header(struct amqp_channel *ch, struct bytes payload)
{
    struct amqp_incoming *in = ch->incoming;
    struct amqp_content c;
    const char *why;

    if (amqp_content_decode(payload, &c, &why) != DECODE_OK) {
        amqp_fail(ch->conn, AMQP_SYNTAX_ERROR, AMQP_basic_publish, "%s", why);
        return;
    }
    if (!is_size_allowed(ch, c.body_size))
        return;
    in->has_header = true;
    in->size = c.body_size;
    buf_bytes(&in->names, c.props);
    if (in->size == 0)
        complete(ch);
    else
        choose_place(ch, in);
}

void amqp_on_content_body(struct amqp_channel *ch, struct bytes payload)
{
    struct amqp_incoming *in = ch->incoming;

    if (payload.n > in->size - in->got) {
        amqp_fail(ch->conn, AMQP_FRAME_ERROR, AMQP_basic_publish,
                  "more content than its header announced");
        return;
    }
    in->got += payload.n;
    if (in->blob_id)
        core_blob_append(core_of(ch), in->blob_id, payload);
    else if (!in->refused)
        buf_bytes(&in->body, payload);
    if (in->got == in->size)
        complete(ch);
}
