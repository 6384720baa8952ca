// SPDX-License-Identifier: MIT
#include "broker/net/net.h"

#include "base/clock.h"
#include "base/mem.h"
#include "broker/net/conn.h"

struct net *net_new(const struct net_options *o)
{
    struct net *n = mem_new(struct net);

    n->o = *o;
    list_init(&n->all);
    list_init(&n->stalled);
    list_init(&n->doomed);
    return n;
}

void net_free(struct net **out)
{
    struct net *n = *out;

    if (!n)
        return;
    LIST_EACH (&n->all, node)
        conn_free(container_of(node, struct conn, in_all));
    while (n->spare_count > 0)
        buf_fini(&n->spare[--n->spare_count]);
    heap_fini(&n->deadlines);
    mem_free(n);
    *out = NULL;
}

void net_set_connections(struct net *n, uint32_t most)
{
    n->o.connections = most;
}

void net_clock(struct net *n)
{
    n->o.env->now_ms = clock_wall_ms();
    n->o.env->now_mono_ms = clock_monotonic_ns() / 1000000;
}

uint32_t net_open(const struct net *n)
{
    return n->stats.open;
}

bool net_took_input(const struct net *n)
{
    return n->turn_bytes > 0;
}

void net_feed(struct net *n)
{
    for (struct session *s = n->o.env->touched; s; s = s->next_touched) {
        if (!s->conn) /* an adapter may have one for its wake-ups alone */
            continue;
        conn_feed(s->conn);
        conn_settle(s->conn);
    }
}

void net_write(struct net *n)
{
    struct session *next = n->o.env->touched;

    n->o.env->touched = NULL;
    while (next) {
        struct session *s = next;

        next = s->next_touched;
        s->touched = false;
        if (s->conn)
            conn_write(s->conn);
    }
    n->turn_bytes = 0;
}

void net_reap(struct net *n)
{
    struct heap_node *due;
    struct list *node;

    while ((due = heap_min(&n->deadlines)) && due->key <= n->o.env->now_mono_ms) {
        heap_remove(&n->deadlines, due);
        conn_doom(container_of(due, struct conn, deadline));
    }
    while ((node = list_first(&n->doomed)))
        conn_free(container_of(node, struct conn, link));
}

bool net_has_work(const struct net *n)
{
    return n->o.env->touched != NULL;
}

uint64_t net_next_at_ms(const struct net *n)
{
    const struct heap_node *due = heap_min(&n->deadlines);

    return due ? due->key : UINT64_MAX;
}

void net_pressure(struct net *n, bool on)
{
    struct list *node;

    if (on == n->pressure)
        return;
    n->pressure = on;
    while (!on && (node = list_pop(&n->stalled))) {
        struct conn *c = container_of(node, struct conn, link);

        c->session->ops->drained(c->session);
        session_touch(c->session);
        conn_settle(c);
    }
}

void net_stop_reading(struct net *n)
{
    n->stopping = true;
    LIST_EACH (&n->all, node)
        conn_settle(container_of(node, struct conn, in_all));
}

bool net_written(const struct net *n)
{
    LIST_EACH (&n->all, node) {
        const struct conn *c = container_of(node, struct conn, in_all);

        if (c->session && !c->doomed && c->session->out.n > c->sent)
            return false;
    }
    return true;
}

void net_end_all(struct net *n, uint64_t linger_ms)
{
    LIST_EACH (&n->all, node)
        conn_end(container_of(node, struct conn, in_all), linger_ms);
}

void net_stats(const struct net *n, struct net_stats *out)
{
    *out = n->stats;
}
