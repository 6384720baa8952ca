// SPDX-License-Identifier: MIT
/* queue.* : what is declared is on disk before its -ok leaves. */
#include "broker/session/amqp_session.h"
#include "proto/table.h"

#define SERVER_PREFIX BYTES("amq.gen-")

static struct core *core_of(const struct amqp_channel *ch)
{
    return ch->conn->s.env->core;
}

bool amqp_queue_name(struct amqp_channel *ch, uint32_t method, struct bytes name, struct bytes *out)
{
    *out = name.n ? name : buf_view(&ch->last_queue);
    if (out->n == 0)
        amqp_channel_fail(ch, AMQP_NOT_FOUND, method, "no previously declared queue");
    return out->n > 0;
}

static uint32_t capped(uint64_t n)
{
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static void declared(struct amqp_channel *ch, const struct amqp_queue_declare *a,
                     const struct queue_info *info)
{
    struct amqp_args reply = { .id = AMQP_queue_declare_ok,
                               .queue_declare_ok = { .queue = info->name,
                                                     .message_count = capped(info->ready),
                                                     .consumer_count = info->consumers } };

    amqp_name_set(&ch->last_queue, info->name);
    if (a->nowait)
        return;
    if (a->durable && !a->exclusive && !a->passive)
        amqp_put_durable(ch, &reply);
    else
        amqp_put(ch, &reply);
}

/* The reply address of somebody's request: is he still there? */
static bool look_at_reply_queue(struct amqp_channel *ch, const struct amqp_queue_declare *a,
                                struct queue_info *info)
{
    if (!a->passive || !(amqp_is_reply_to(a->queue) || amqp_is_reply_queue(a->queue)))
        return false;
    *info = (struct queue_info){ .name = a->queue, .consumers = 1 };
    return amqp_is_reply_to(a->queue) || core_queue_look(core_of(ch), ch->client, a->queue, info);
}

/* A new one that dead-letters needs to be allowed that. */
static bool may_declare(struct amqp_channel *ch, uint32_t method, const struct queue_spec *s)
{
    struct queue_info info;
    struct table_value v;
    struct bytes to;

    if (s->passive)
        return true;
    if (!amqp_may_queue(ch, method, PERMISSION_CONFIGURE, s->name))
        return false;
    if (!table_find(s->arguments, BYTES("x-dead-letter-exchange"), &v) || !table_str(&v, &to) ||
        core_queue_look(core_of(ch), ch->client, s->name, &info))
        return true;
    return amqp_may_queue(ch, method, PERMISSION_READ, s->name) &&
           amqp_may_exchange(ch, method, PERMISSION_WRITE, to);
}

void amqp_on_queue_declare(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_queue_declare *a = &args->queue_declare;
    struct queue_spec spec = { .name = a->queue,
                               .durable = a->durable,
                               .exclusive = a->exclusive,
                               .auto_delete = a->auto_delete,
                               .passive = a->passive,
                               .arguments = a->arguments };
    struct queue_info info;
    char made[CORE_MADE_NAME_BYTES];
    const char *why = NULL;

    if (look_at_reply_queue(ch, a, &info)) {
        declared(ch, a, &info);
        return;
    }
    if (a->passive && !amqp_queue_name(ch, args->id, a->queue, &spec.name))
        return;
    if (spec.name.n == 0) {
        spec.prefix = SERVER_PREFIX;
        spec.name = bytes_of(made, core_queue_name(core_of(ch), spec.prefix, made));
    }
    if (!may_declare(ch, args->id, &spec))
        return;
    enum err e = core_queue_declare(core_of(ch), ch->client, &spec, &info, &why,
                                    ch->conn->s.env->now_ms);
    if (e == OK)
        declared(ch, a, &info);
    else
        amqp_fail_err(ch, e, args->id, "queue", spec.name, why);
}

/* Names the end that is missing. */
static void bind_failed(struct amqp_channel *ch, enum err e, uint32_t method,
                        const struct binding_spec *spec, const char *why)
{
    struct queue_info info;

    bool has_queue = core_queue_look(core_of(ch), ch->client, spec->target, &info);

    if (e == ERR_REFUSED || (e == ERR_NOT_FOUND && has_queue))
        amqp_fail_err(ch, e, method, "exchange", spec->exchange, why);
    else
        amqp_fail_err(ch, e, method, "queue", spec->target, why);
}

static bool may_bind(struct amqp_channel *ch, uint32_t method, const struct binding_spec *s)
{
    return amqp_may_queue(ch, method, PERMISSION_WRITE, s->target) &&
           amqp_may_exchange(ch, method, PERMISSION_READ, s->exchange) &&
           amqp_may_topic(ch, method, PERMISSION_READ, s->exchange, s->routing_key);
}

/* Without a queue and a key the last queue's name serves as both. */
void amqp_on_queue_bind(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_queue_bind *a = &args->queue_bind;
    struct binding_spec spec = { .exchange = a->exchange,
                                 .routing_key = a->routing_key,
                                 .arguments = a->arguments };
    const char *why = NULL;

    if (!amqp_queue_name(ch, args->id, a->queue, &spec.target))
        return;
    if (a->queue.n == 0 && a->routing_key.n == 0)
        spec.routing_key = spec.target;
    if (!may_bind(ch, args->id, &spec))
        return;
    enum err e = core_bind(core_of(ch), ch->client, &spec, &why);
    if (e != OK)
        bind_failed(ch, e, args->id, &spec, why);
    else if (!a->nowait)
        amqp_put_durable(ch, &(struct amqp_args){ .id = AMQP_queue_bind_ok });
}

void amqp_on_queue_unbind(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_queue_unbind *a = &args->queue_unbind;
    struct binding_spec spec = { .exchange = a->exchange,
                                 .routing_key = a->routing_key,
                                 .arguments = a->arguments };
    const char *why = NULL;

    if (!amqp_queue_name(ch, args->id, a->queue, &spec.target))
        return;
    if (a->queue.n == 0 && a->routing_key.n == 0)
        spec.routing_key = spec.target;
    if (!may_bind(ch, args->id, &spec))
        return;
    enum err e = core_unbind(core_of(ch), ch->client, &spec, &why);
    if (e != OK && e != ERR_NOT_FOUND)
        bind_failed(ch, e, args->id, &spec, why);
    else
        amqp_put_durable(ch, &(struct amqp_args){ .id = AMQP_queue_unbind_ok });
}

void amqp_on_queue_purge(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_queue_purge *a = &args->queue_purge;
    struct bytes name;
    uint64_t count = 0;
    const char *why = NULL;

    if (!amqp_queue_name(ch, args->id, a->queue, &name) ||
        !amqp_may_queue(ch, args->id, PERMISSION_READ, name))
        return;
    enum err e = core_queue_purge(core_of(ch), ch->client, name, &count, &why);
    if (e != OK)
        amqp_fail_err(ch, e, args->id, "queue", name, why);
    else if (!a->nowait)
        amqp_put_durable(
            ch, &(struct amqp_args){ .id = AMQP_queue_purge_ok,
                                     .queue_purge_ok = { .message_count = capped(count) } });
}

/* One that is not there is deleted already. */
void amqp_on_queue_delete(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_queue_delete *a = &args->queue_delete;
    struct bytes name;
    uint64_t count = 0;
    const char *why = NULL;

    if (!amqp_queue_name(ch, args->id, a->queue, &name) ||
        !amqp_may_queue(ch, args->id, PERMISSION_CONFIGURE, name))
        return;
    enum err e = core_queue_delete(core_of(ch), ch->client, name, a->if_unused, a->if_empty, &count,
                                   &why);
    if (e != OK && e != ERR_NOT_FOUND)
        amqp_fail_err(ch, e, args->id, "queue", name, why);
    else if (!a->nowait)
        amqp_put_durable(
            ch, &(struct amqp_args){ .id = AMQP_queue_delete_ok,
                                     .queue_delete_ok = { .message_count = capped(count) } });
}
