// SPDX-License-Identifier: MIT
/* exchange.* and what the core's errors are called in AMQP. */
#include "broker/session/amqp_session.h"
#include "proto/table.h"

static const char *text_or(const char *why, const char *otherwise)
{
    return why ? why : otherwise;
}

void amqp_fail_err(struct amqp_channel *ch, enum err e, uint32_t method, const char *kind,
                   struct bytes name, const char *why)
{
    struct log_str shown = log_text(name);
    const char *vhost = ch->conn->vhost, *n = shown.s;

    switch (e) {
    case ERR_NOT_FOUND:
        amqp_channel_fail(ch, AMQP_NOT_FOUND, method, "no %s '%s' in vhost '%s'", kind, n, vhost);
        return;
    case ERR_EXISTS:
        amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, method,
                          "inequivalent arg for %s '%s' in vhost '%s': %s", kind, n, vhost,
                          text_or(why, "declared otherwise"));
        return;
    case ERR_LOCKED:
        amqp_channel_fail(ch, AMQP_RESOURCE_LOCKED, method,
                          "cannot obtain exclusive access to locked %s '%s' in vhost '%s'", kind, n,
                          vhost);
        return;
    case ERR_REFUSED:
        amqp_channel_fail(ch, AMQP_ACCESS_REFUSED, method,
                          "access to %s '%s' in vhost '%s' refused: %s", kind, n, vhost,
                          text_or(why, "not permitted"));
        return;
    case ERR_IN_USE:
        amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, method, "%s '%s' in vhost '%s' in use",
                          kind, n, vhost);
        return;
    case ERR_NOT_EMPTY:
        amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, method, "%s '%s' in vhost '%s' not empty",
                          kind, n, vhost);
        return;
    case ERR_INVALID:
    case ERR_LIMIT:
        amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, method, "%s '%s' in vhost '%s': %s", kind,
                          n, vhost, text_or(why, err_text(e)));
        return;
    case OK:
    case ERR_IO:
    case ERR_CORRUPT:
    case ERR_VERSION:
        break;
    }
    amqp_channel_fail(ch, AMQP_INTERNAL_ERROR, method, "%s", err_text(e));
}

static bool knows_type(struct bytes type)
{
    static const char *const types[] = { "direct", "fanout", "topic", "headers",
                                         "x-delayed-message" };

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (bytes_eq(type, bytes_str(types[i])))
            return true;
    return false;
}

static bool is_there(struct amqp_channel *ch, struct bytes exchange)
{
    struct exchange_spec probe = { .name = exchange, .passive = true };

    return core_exchange_declare(ch->conn->s.env->core, ch->client, &probe, NULL) == OK;
}

/* A new one that hands on what it cannot route needs to be allowed that. */
static bool may_declare(struct amqp_channel *ch, uint32_t method,
                        const struct amqp_exchange_declare *a)
{
    struct table_value v;
    struct bytes alternate;

    if (a->passive)
        return true;
    if (!amqp_may_exchange(ch, method, PERMISSION_CONFIGURE, a->exchange))
        return false;
    if (!table_find(a->arguments, BYTES("alternate-exchange"), &v) || !table_str(&v, &alternate) ||
        is_there(ch, a->exchange))
        return true;
    return amqp_may_exchange(ch, method, PERMISSION_READ, a->exchange) &&
           amqp_may_exchange(ch, method, PERMISSION_WRITE, alternate);
}

void amqp_on_exchange_declare(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_exchange_declare *a = &args->exchange_declare;
    struct exchange_spec spec = { .name = a->exchange,
                                  .type = a->type,
                                  .durable = a->durable,
                                  .auto_delete = a->auto_delete,
                                  .internal = a->internal,
                                  .passive = a->passive,
                                  .arguments = a->arguments };
    const char *why = NULL;

    if (!a->passive && !knows_type(a->type)) {
        amqp_channel_fail(ch, AMQP_COMMAND_INVALID, args->id, "unknown exchange type '%s'",
                          log_text(a->type).s);
        return;
    }
    if (!may_declare(ch, args->id, a))
        return;
    enum err e = core_exchange_declare(ch->conn->s.env->core, ch->client, &spec, &why);
    if (e != OK)
        amqp_fail_err(ch, e, args->id, "exchange", a->exchange, why);
    else if (!a->nowait && a->durable && !a->passive)
        amqp_put_durable(ch, &(struct amqp_args){ .id = AMQP_exchange_declare_ok });
    else if (!a->nowait)
        amqp_put_id(ch, AMQP_exchange_declare_ok);
}

/* One that is not there is deleted already. */
void amqp_on_exchange_delete(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_exchange_delete *a = &args->exchange_delete;
    const char *why = NULL;

    if (!amqp_may_exchange(ch, args->id, PERMISSION_CONFIGURE, a->exchange))
        return;
    enum err e = core_exchange_delete(ch->conn->s.env->core, ch->client, a->exchange, a->if_unused,
                                      &why);
    if (e != OK && e != ERR_NOT_FOUND)
        amqp_fail_err(ch, e, args->id, "exchange", a->exchange, why);
    else if (!a->nowait)
        amqp_put_durable(ch, &(struct amqp_args){ .id = AMQP_exchange_delete_ok });
}

/* Names the end that is missing. */
static void bind_failed(struct amqp_channel *ch, enum err e, uint32_t method,
                        const struct amqp_exchange_bind *a, const char *why)
{
    bool has_source = a->source.n == 0 || is_there(ch, a->source);

    amqp_fail_err(ch, e, method, "exchange", has_source ? a->destination : a->source, why);
}

static bool may_bind(struct amqp_channel *ch, uint32_t method, const struct amqp_exchange_bind *a)
{
    return amqp_may_exchange(ch, method, PERMISSION_WRITE, a->destination) &&
           amqp_may_exchange(ch, method, PERMISSION_READ, a->source) &&
           amqp_may_topic(ch, method, PERMISSION_READ, a->source, a->routing_key);
}

void amqp_on_exchange_bind(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_exchange_bind *a = &args->exchange_bind;
    struct binding_spec spec = { .exchange = a->source,
                                 .target = a->destination,
                                 .routing_key = a->routing_key,
                                 .to_exchange = true,
                                 .arguments = a->arguments };
    const char *why = NULL;

    if (!may_bind(ch, args->id, a))
        return;
    enum err e = core_bind(ch->conn->s.env->core, ch->client, &spec, &why);
    if (e != OK)
        bind_failed(ch, e, args->id, a, why);
    else if (!a->nowait)
        amqp_put_durable(ch, &(struct amqp_args){ .id = AMQP_exchange_bind_ok });
}

void amqp_on_exchange_unbind(struct amqp_channel *ch, const struct amqp_args *args)
{
    const struct amqp_exchange_unbind *a = &args->exchange_unbind;
    struct binding_spec spec = { .exchange = a->source,
                                 .target = a->destination,
                                 .routing_key = a->routing_key,
                                 .to_exchange = true,
                                 .arguments = a->arguments };
    const char *why = NULL;

    if (!may_bind(ch, args->id,
                  &(struct amqp_exchange_bind){ .destination = a->destination,
                                                .source = a->source,
                                                .routing_key = a->routing_key }))
        return;
    enum err e = core_unbind(ch->conn->s.env->core, ch->client, &spec, &why);
    if (e != OK && e != ERR_NOT_FOUND)
        amqp_fail_err(ch, e, args->id, "exchange", a->destination, why);
    else if (!a->nowait)
        amqp_put_durable(ch, &(struct amqp_args){ .id = AMQP_exchange_unbind_ok });
}
