// SPDX-License-Identifier: MIT
#include "broker/core/deadletter.h"

#include "base/check.h"
#include "proto/props.h"
#include "proto/table.h"

#define REJECTED "rejected"

const char *death_name(enum death why)
{
    switch (why) {
    case DEATH_REJECTED:
        return REJECTED;
    case DEATH_EXPIRED:
        return "expired";
    case DEATH_MAXLEN:
        return "maxlen";
    case DEATH_DELIVERY_LIMIT:
        return "delivery_limit";
    case DEATHS:
        break;
    }
    CHECK_UNREACHABLE();
}

/* What just happened, and the entry that already tells of it. */
struct event {
    const struct message *m;
    struct bytes reason, queue;
    struct bytes headers; /* of the message as it was */
    bool has_expiration;
    struct bytes expiration;
    uint64_t now_s;
    bool has_history;
    struct bytes history; /* elements of x-death */
    struct bytes same;    /* the entry of this reason and queue; p NULL: none */
};

static bool field_is(struct bytes entry, struct bytes name, struct bytes want)
{
    struct table_value v;
    struct bytes has;

    return table_find(entry, name, &v) && table_str(&v, &has) && bytes_eq(has, want);
}

static bool entry_is(const struct event *e, const struct table_value *entry)
{
    return entry->type == 'F' && field_is(entry->raw, BYTES("queue"), e->queue) &&
           field_is(entry->raw, BYTES("reason"), e->reason);
}

static void find_history(struct event *e)
{
    struct table_value v;
    struct table_iter it;

    e->has_history = table_find(e->headers, BYTES("x-death"), &v) && v.type == 'A';
    if (!e->has_history)
        return;
    e->history = v.raw;
    it = table_iter(v.raw);
    while (!e->same.p && table_next_element(&it, &v))
        if (entry_is(e, &v))
            e->same = v.raw;
}

/* The keys it was routed by: its own, then those of CC. */
static void put_routing_keys(struct buf *out, const struct event *e)
{
    size_t mark = table_begin(out, BYTES("routing-keys"), 'A');
    struct table_value v = { 'S', e->m->routing_key };
    struct table_iter it;

    table_put_element(out, &v);
    if (table_find(e->headers, BYTES("CC"), &v) && v.type == 'A') {
        it = table_iter(v.raw);
        while (table_next_element(&it, &v))
            if (v.type == 'S')
                table_put_element(out, &v);
    }
    table_end(out, mark);
}

static void put_first_entry(struct buf *out, const struct event *e)
{
    table_put_int(out, BYTES("count"), 1);
    table_put_str(out, BYTES("reason"), e->reason);
    table_put_str(out, BYTES("queue"), e->queue);
    table_put_time(out, BYTES("time"), e->now_s);
    table_put_str(out, BYTES("exchange"), e->m->exchange);
    put_routing_keys(out, e);
    if (e->has_expiration)
        table_put_str(out, BYTES("original-expiration"), e->expiration);
}

/* The entry as it was, with a count of one more. */
static void put_counted_entry(struct buf *out, struct bytes entry)
{
    struct table_iter it = table_iter(entry);
    struct table_value v;
    struct bytes name;
    int64_t count = 0;

    if (!table_find(entry, BYTES("count"), &v) || !table_int(&v, &count) || count < 0 ||
        count == INT64_MAX)
        count = 0;
    table_put_int(out, BYTES("count"), count + 1);
    while (table_next(&it, &name, &v))
        if (!bytes_eq(name, BYTES("count")))
            table_put_value(out, name, &v);
}

/* Latest first; a merged entry moves to the front. */
static void put_history(struct buf *out, const struct event *e)
{
    size_t array = table_begin(out, BYTES("x-death"), 'A');
    size_t entry = table_begin_element(out, 'F');
    struct table_iter it = table_iter(e->history);
    struct table_value v;

    if (e->same.p)
        put_counted_entry(out, e->same);
    else
        put_first_entry(out, e);
    table_end(out, entry);
    while (table_next_element(&it, &v))
        if (!entry_is(e, &v))
            table_put_element(out, &v);
    table_end(out, array);
}

static bool is_replaced(struct bytes name, bool first)
{
    return bytes_eq(name, BYTES("x-death")) || bytes_eq(name, BYTES("CC")) ||
           bytes_eq(name, BYTES("BCC")) || (first && bytes_starts(name, BYTES("x-first-death-")));
}

static void put_headers(struct buf *out, const struct event *e)
{
    struct table_iter it = table_iter(e->headers);
    struct table_value v;
    struct bytes name;

    put_history(out, e);
    if (!e->has_history) {
        table_put_str(out, BYTES("x-first-death-reason"), e->reason);
        table_put_str(out, BYTES("x-first-death-queue"), e->queue);
        table_put_str(out, BYTES("x-first-death-exchange"), e->m->exchange);
    }
    while (table_next(&it, &name, &v))
        if (!is_replaced(name, !e->has_history))
            table_put_value(out, name, &v);
}

void deadletter_props(struct buf *out, const struct message *m, enum death why,
                      struct bytes queue_name, uint64_t now_ms)
{
    struct props p = { 0 };
    struct buf headers = { 0 };
    struct event e = {
        .m = m, .reason = bytes_str(death_name(why)), .queue = queue_name, .now_s = now_ms / 1000
    };

    /* Properties are checked when they come in; without any, there are none. */
    if (!props_decode(m->props, &p))
        p = (struct props){ 0 };
    e.headers = p.headers;
    e.has_expiration = p.flags & PROPS_expiration;
    e.expiration = p.expiration;
    find_history(&e);
    put_headers(&headers, &e);

    p.flags = (uint16_t)((p.flags | PROPS_headers) & ~PROPS_expiration);
    p.headers = buf_view(&headers);
    props_encode(out, &p);
    buf_fini(&headers);
}

/* From the latest death back to the one in this queue: none of them a rejection,
 * and nothing there that the broker did not write itself. */
bool deadletter_cycles(const struct message *m, struct bytes queue_name)
{
    struct props p;
    struct table_value v;
    struct table_iter it;

    if (!props_decode(m->props, &p) || !table_find(p.headers, BYTES("x-death"), &v) ||
        v.type != 'A')
        return false;
    it = table_iter(v.raw);
    while (table_next_element(&it, &v)) {
        if (v.type != 'F' || field_is(v.raw, BYTES("reason"), BYTES(REJECTED)))
            return false;
        if (field_is(v.raw, BYTES("queue"), queue_name))
            return true;
    }
    return false;
}
