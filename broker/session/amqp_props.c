// SPDX-License-Identifier: MIT
/* What a publish carries in its properties, and what of it acts. */
#include "broker/session/amqp_session.h"

#include <inttypes.h>

#include "proto/table.h"

/* A longer delay than any use of it, and far from where sums of time would wrap. */
#define DELAY_MAX_MS UINT64_C(3155760000000) /* a hundred years */

static bool refuse(struct amqp_channel *ch, const char *what, struct bytes value)
{
    amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, AMQP_basic_publish, "%s '%s'", what,
                      log_text(value).s);
    return false;
}

static bool take_expiration(struct amqp_channel *ch, const struct props *v, struct publish *p)
{
    if (!(v->flags & PROPS_expiration))
        return true;
    p->has_ttl = true;
    return bytes_to_u64(v->expiration, DELAY_MAX_MS, &p->ttl_ms) ||
           refuse(ch, "invalid expiration", v->expiration);
}

static bool check_user(struct amqp_channel *ch, const struct props *v)
{
    struct bytes user = bytes_str(ch->conn->user);

    if (!(v->flags & PROPS_user_id) || bytes_eq(v->user_id, user))
        return true;
    amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, AMQP_basic_publish,
                      "user_id property set to '%s' but authenticated user was '%s'",
                      log_text(v->user_id).s, log_text(user).s);
    return false;
}

/* ---- headers that act ---- */

static bool is_key_list(const struct table_value *v)
{
    struct table_iter it = table_iter(v->raw);
    struct table_value key;

    if (v->type != 'A')
        return false;
    while (table_next_element(&it, &key))
        if (key.type != 'S')
            return false;
    return true;
}

/* CC and BCC: more routing keys, as an array of strings. */
static bool check_keys(struct amqp_channel *ch, struct bytes headers, struct bytes name, bool *has)
{
    struct table_value v;

    *has = table_find(headers, name, &v);
    return !*has || is_key_list(&v) || refuse(ch, "not an array of strings: the header", name);
}

/* Those keys are written to as well. */
static bool may_keys(struct amqp_channel *ch, struct bytes headers, struct bytes name,
                     struct bytes exchange)
{
    struct table_value list, v;
    struct bytes key;

    if (!table_find(headers, name, &list))
        return true;
    for (struct table_iter it = table_iter(list.raw); table_next_element(&it, &v);)
        if (table_str(&v, &key) &&
            !amqp_may_topic(ch, AMQP_basic_publish, PERMISSION_WRITE, exchange, key))
            return false;
    return true;
}

static bool take_delay(struct amqp_channel *ch, struct bytes headers, struct publish *p)
{
    struct table_value v;
    struct bytes text;
    int64_t ms;

    if (!table_find(headers, BYTES("x-delay"), &v))
        return true;
    p->delay_by_exchange = true;
    if (table_int(&v, &ms) && ms <= (int64_t)DELAY_MAX_MS) {
        p->delay_ms = ms > 0 ? (uint64_t)ms : 0;
        return true;
    }
    if (table_str(&v, &text) && bytes_to_u64(text, DELAY_MAX_MS, &p->delay_ms))
        return true;
    return refuse(ch, "not a number of milliseconds: the header", BYTES("x-delay"));
}

/* ---- what is rewritten ---- */

static struct bytes without_bcc(struct amqp_session *s, struct bytes headers)
{
    struct table_iter it = table_iter(headers);
    struct buf *out = &s->shared->table;
    struct table_value v;
    struct bytes name;

    out->n = 0;
    while (table_next(&it, &name, &v))
        if (!bytes_eq(name, BYTES("BCC")))
            table_put_value(out, name, &v);
    return buf_view(out);
}

static void rewrite(struct amqp_session *s, const struct props *v, struct publish *p)
{
    struct buf *out = &s->shared->props;

    out->n = 0;
    props_encode(out, v);
    p->m.props = buf_view(out);
    p->headers_apart = true;
}

bool amqp_properties(struct amqp_channel *ch, struct bytes props, struct publish *p)
{
    struct props v;
    bool has_cc = false, has_bcc = false, fast_reply;

    if (!props_decode(props, &v))
        v = (struct props){ 0 };
    p->m.props = v.flags ? props : (struct bytes){ 0 };
    p->headers = v.headers;
    p->persistent = v.delivery_mode == 2;
    p->priority = v.priority;
    if (!take_expiration(ch, &v, p) || !check_user(ch, &v))
        return false;
    if (v.headers.n > 0 &&
        (!check_keys(ch, v.headers, BYTES("CC"), &has_cc) ||
         !check_keys(ch, v.headers, BYTES("BCC"), &has_bcc) ||
         !may_keys(ch, v.headers, BYTES("CC"), p->m.exchange) ||
         !may_keys(ch, v.headers, BYTES("BCC"), p->m.exchange) || !take_delay(ch, v.headers, p)))
        return false;
    fast_reply = v.flags & PROPS_reply_to && amqp_is_reply_to(v.reply_to);
    if (fast_reply && !ch->reply_consumer) {
        amqp_channel_fail(ch, AMQP_PRECONDITION_FAILED, AMQP_basic_publish,
                          "fast reply consumer does not exist");
        return false;
    }
    if (fast_reply)
        v.reply_to = buf_view(&ch->reply_queue);
    has_bcc = has_bcc && p->delay_ms == 0; /* it is still to be routed by, when it is due */
    if (has_bcc)
        v.headers = without_bcc(ch->conn, v.headers);
    if (fast_reply || has_bcc)
        rewrite(ch->conn, &v, p);
    return true;
}

struct bytes amqp_props_counted(struct amqp_session *s, struct bytes props, uint32_t deliveries)
{
    static const struct bytes name = { (const uint8_t *)"x-delivery-count", 16 };
    struct buf *table = &s->shared->table, *out = &s->shared->props;
    struct table_iter it;
    struct table_value v;
    struct bytes key;
    struct props p;

    if (!props_decode(props, &p))
        p = (struct props){ 0 };
    it = table_iter(p.headers);
    table->n = 0;
    table_put_int(table, name, (int64_t)deliveries);
    while (table_next(&it, &key, &v))
        if (!bytes_eq(key, name))
            table_put_value(table, key, &v);
    p.flags |= PROPS_headers;
    p.headers = buf_view(table);
    out->n = 0;
    props_encode(out, &p);
    return buf_view(out);
}
