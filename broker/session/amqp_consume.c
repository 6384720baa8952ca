// SPDX-License-Identifier: MIT
/* basic.qos, consume, cancel and get, and RabbitMQ's direct reply-to. */
#include "broker/session/amqp_session.h"

#include <stdio.h>

#include "base/mem.h"
#include "proto/table.h"

#define REPLY_TO BYTES("amq.rabbitmq.reply-to")
#define REPLY_PREFIX BYTES("amq.rabbitmq.reply-to.")

static struct core *core_of(const struct amqp_channel *ch)
{
    return ch->conn->s.env->core;
}

/* RabbitMQ's meaning: global counts the whole channel, else each consumer to come.  py-amqp
 * and kombu take every product but RabbitMQ to mean it as the specification does, where
 * without global it is the channel's, at once: Celery counts on that for tasks with an eta. */
void amqp_on_qos(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_basic_qos *a = &args->basic_qos;

    if (a->prefetch_size != 0) {
        amqp_channel_fail(ch, AMQP_NOT_IMPLEMENTED, args->id, "prefetch_size!=0 (%u)",
                          a->prefetch_size);
        return;
    }
    if (a->global || ch->conn->qos_of_channel)
        core_client_prefetch(core_of(ch), ch->client, a->prefetch_count);
    else
        ch->prefetch = a->prefetch_count;
    amqp_put_id(ch, AMQP_basic_qos_ok);
}

/* ---- consumers of the channel ---- */

static struct amqp_consumer *find_by_tag(const struct amqp_channel *ch, struct bytes tag)
{
    struct amqp_consumer *k;

    for (size_t at = 0; (k = slots_next(&ch->consumers, &at));)
        if (bytes_eq(bytes_of(k->tag, k->tag_n), tag))
            return k;
    return NULL;
}

static struct amqp_consumer *consumer_add(struct amqp_channel *ch, struct bytes tag)
{
    struct amqp_consumer *k = mem_zalloc(sizeof *k + (tag.n ? tag.n : 48));

    if (ch->consumers.count == 0)
        ch->conn->channels_consuming++;
    k->handle = slots_add(&ch->consumers, k);
    if (tag.n)
        memcpy(k->tag, tag.p, tag.n);
    k->tag_n = (uint8_t)(tag.n ? tag.n
                               : (size_t)snprintf((char *)k->tag, 48, "amq.ctag-%llx.%x.%llx",
                                                  (unsigned long long)ch->conn->s.id, ch->number,
                                                  (unsigned long long)k->handle));
    return k;
}

void amqp_consumer_remove(struct amqp_channel *ch, struct amqp_consumer *k)
{
    if (k == ch->reply_consumer)
        ch->reply_consumer = NULL;
    slots_remove(&ch->consumers, k->handle);
    mem_free(k);
    if (ch->consumers.count == 0)
        ch->conn->channels_consuming--;
}

void amqp_consumers_free(struct amqp_channel *ch)
{
    struct amqp_consumer *k;

    for (size_t at = 0; (k = slots_next(&ch->consumers, &at));)
        mem_free(k);
    slots_fini(&ch->consumers);
    ch->consumers = (struct slots){ 0 };
    ch->reply_consumer = NULL;
}

/* ---- direct reply-to: a queue of the connection's own behind a name that all share ---- */

bool amqp_is_reply_to(struct bytes name)
{
    return bytes_eq(name, REPLY_TO);
}

bool amqp_is_reply_queue(struct bytes name)
{
    return bytes_starts(name, REPLY_PREFIX);
}

static bool reply_queue_make(struct amqp_channel *ch, bool no_ack)
{
    struct queue_spec spec = { .prefix = REPLY_PREFIX, .exclusive = true, .auto_delete = true };
    struct queue_info info;
    const char *why = NULL;

    if (!no_ack || ch->reply_consumer) {
        amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, AMQP_basic_consume, "%s",
                          no_ack ? "reply consumer already set"
                                 : "reply consumer cannot acknowledge");
        return false;
    }
    enum err e = core_queue_declare(core_of(ch), ch->client, &spec, &info, &why,
                                    ch->conn->s.env->now_ms);
    if (e != OK) {
        amqp_fail_err(ch, e, AMQP_basic_consume, "queue", REPLY_TO, why);
        return false;
    }
    amqp_name_set(&ch->reply_queue, info.name);
    return true;
}

/* ---- consume ---- */

static bool take_priority(struct amqp_channel *ch, struct bytes arguments, int32_t *out)
{
    struct table_value v;
    int64_t n = 0;

    if (!table_find(arguments, BYTES("x-priority"), &v))
        return true;
    if (!table_int(&v, &n) || n < INT32_MIN || n > INT32_MAX) {
        amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, AMQP_basic_consume,
                          "x-priority must be an integer");
        return false;
    }
    *out = (int32_t)n;
    return true;
}

static bool where_to_consume(struct amqp_channel *ch, const struct amqp_args *args,
                             struct consume *c)
{
    const struct amqp_basic_consume *a = &args->basic_consume;

    if (!take_priority(ch, a->arguments, &c->priority) ||
        !amqp_queue_name(ch, args->id, a->queue, &c->queue))
        return false;
    if (!amqp_is_reply_to(c->queue))
        return amqp_may_queue(ch, args->id, PERMISSION_READ, c->queue);
    if (!reply_queue_make(ch, a->no_ack))
        return false;
    c->queue = buf_view(&ch->reply_queue);
    return true;
}

void amqp_on_consume(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_basic_consume *a = &args->basic_consume;
    struct consume c = { .no_ack = a->no_ack, .exclusive = a->exclusive, .prefetch = ch->prefetch };
    const char *why = NULL;

    if (a->consumer_tag.n && find_by_tag(ch, a->consumer_tag)) {
        amqp_channel_fail(ch, AMQP_NOT_ALLOWED, args->id, "attempt to reuse consumer tag '%s'",
                          log_text(a->consumer_tag).s);
        return;
    }
    if (!where_to_consume(ch, args, &c))
        return;
    struct amqp_consumer *k = consumer_add(ch, a->consumer_tag);
    c.handle = k->handle;
    enum err e = core_consume(core_of(ch), ch->client, &c, &k->id, &why);
    if (e != OK) {
        amqp_consumer_remove(ch, k);
        amqp_fail_err(ch, e, args->id, "queue", c.queue, why);
        return;
    }
    if (amqp_is_reply_queue(c.queue))
        ch->reply_consumer = k;
    if (!a->nowait)
        amqp_put(ch, &(struct amqp_args){
                         .id = AMQP_basic_consume_ok,
                         .basic_consume_ok = { .consumer_tag = bytes_of(k->tag, k->tag_n) } });
    amqp_room(ch);
    amqp_wake(ch->conn);
}

/* A tag that nobody has is cancelled already. */
void amqp_on_cancel(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_basic_cancel *a = &args->basic_cancel;
    struct amqp_consumer *k = find_by_tag(ch, a->consumer_tag);

    if (k) {
        core_cancel(core_of(ch), ch->client, k->id, ch->conn->s.env->now_ms);
        amqp_consumer_remove(ch, k);
    }
    if (!a->nowait)
        amqp_put(ch, &(struct amqp_args){ .id = AMQP_basic_cancel_ok,
                                          .basic_cancel_ok = { .consumer_tag = a->consumer_tag } });
}

void amqp_on_get(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_basic_get *a = &args->basic_get;
    struct bytes name;
    const char *why = NULL;

    if (!amqp_queue_name(ch, args->id, a->queue, &name) ||
        !amqp_may_queue(ch, args->id, PERMISSION_READ, name))
        return;
    enum err e = core_get(core_of(ch), ch->client, name, a->no_ack, 0, &why);
    if (e != OK)
        amqp_fail_err(ch, e, args->id, "queue", name, why);
    else if (!bytes_eq(name, buf_view(&ch->get_queue)))
        amqp_name_set(&ch->get_queue, name);
}
