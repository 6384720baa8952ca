// SPDX-License-Identifier: MIT
/* Queues that frames ask for: their arguments and their declaration. */
#include "broker/session/stomp_session.h"

#include "proto/table.h"

static bool put_argument(struct buf *out, struct bytes name, enum stomp_name known,
                         struct bytes value)
{
    const uint64_t numbers = STOMP_BIT(x_expires) | STOMP_BIT(x_max_length) |
                             STOMP_BIT(x_message_ttl) | STOMP_BIT(x_max_priority) |
                             STOMP_BIT(x_delivery_limit) | STOMP_BIT(x_max_length_bytes);
    uint64_t number;

    if (known == STOMP_NAME_x_single_active_consumer) {
        if (!bytes_eq(value, BYTES("true")) && !bytes_eq(value, BYTES("false")))
            return false;
        table_put_bool(out, name, value.n == 4);
    } else if (known != STOMP_NAME_USER && numbers >> known & 1) {
        if (!bytes_to_u64(value, INT64_MAX, &number))
            return false;
        table_put_int(out, name, (int64_t)number);
    } else {
        table_put_str(out, name, value);
    }
    return true;
}

/* Of the unknown ones those that look like arguments, as they were given. */
static void put_unknown(struct stomp_session *s, const struct stomp_frame *f, unsigned user_count)
{
    for (unsigned i = 0; i < user_count; i++) {
        const struct stomp_header *h = &f->header[s->shared->user[i]];

        if (bytes_starts(h->name, BYTES("x-")) && h->name.n <= 255)
            table_put_str(&s->shared->arguments, h->name, h->value);
    }
}

/* NULL, or the name of the header that cannot be an argument. */
static const char *put_arguments(struct stomp_session *s, const struct stomp_known *k)
{
    for (unsigned i = 0; i < STOMP_NAME_COUNT; i++) {
        enum stomp_name name = (enum stomp_name)i;
        struct bytes text = stomp_name_text(name);

        if (!(k->seen & STOMP_QUEUE_ARGUMENTS & UINT64_C(1) << i))
            continue;
        if (!put_argument(&s->shared->arguments, text, name, k->value[i]))
            return (const char *)text.p;
    }
    return NULL;
}

bool stomp_queue_spec(struct stomp_session *s, const struct stomp_frame *f, unsigned user_count,
                      struct queue_spec *spec)
{
    const struct stomp_known *k = &s->shared->known;
    const char *wrong;

    s->shared->arguments.n = 0;
    wrong = put_arguments(s, k);
    if (wrong) {
        stomp_fail(s, f, "Invalid argument", "The value of '%s' is not of its type", wrong);
        return false;
    }
    if (f->command == STOMP_CMD_SUBSCRIBE)
        put_unknown(s, f, user_count);
    spec->arguments = buf_view(&s->shared->arguments);
    spec->durable = stomp_known_bool(k, STOMP_NAME_durable, spec->durable);
    spec->auto_delete = stomp_known_bool(k, STOMP_NAME_auto_delete, spec->auto_delete);
    spec->exclusive = stomp_known_bool(k, STOMP_NAME_exclusive, spec->exclusive);
    return true;
}

void stomp_fail_err(struct stomp_session *s, const struct stomp_frame *f, struct bytes name,
                    enum err e, const char *why)
{
    const char *message = e == ERR_NOT_FOUND ? "Not found"
                          : e == ERR_LOCKED  ? "Resource locked"
                          : e == ERR_EXISTS  ? "Precondition failed"
                          : e == ERR_LIMIT   ? "Limit reached"
                                             : "Refused";

    stomp_fail(s, f, message, "%s '%s': %s", stomp_command_name(f->command), log_text(name).s,
               why ? why : err_text(e));
}

bool stomp_queue_declare(struct stomp_session *s, const struct stomp_frame *f,
                         struct queue_spec *spec, struct queue_info *info)
{
    struct session_env *env = s->s.env;
    const char *why = NULL;
    enum err e = ERR_NOT_FOUND;

    if (spec->name.n && !(s->shared->known.seen & STOMP_QUEUE_WISHES) && !spec->arguments.n) {
        spec->passive = true;
        e = core_queue_declare(env->core, s->client, spec, info, &why, env->now_ms);
        spec->passive = false;
    }
    if (e == ERR_NOT_FOUND && !stomp_may_queue(s, f, PERMISSION_CONFIGURE, spec->name))
        return false;
    if (e == ERR_NOT_FOUND)
        e = core_queue_declare(env->core, s->client, spec, info, &why, env->now_ms);
    if (e == OK || (e == ERR_LOCKED && f->command == STOMP_CMD_SEND))
        return true;
    stomp_fail_err(s, f, spec->name, e, why);
    return false;
}
