// SPDX-License-Identifier: MIT
/* load_run.c - what is published when, what came of it, and when it is over. */
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/bench/load.h"
#include "tests/bench/load_usage.h"

#define SECOND 1000000000ULL

enum {
    OUT_MAX = 1 << 20, /* unsent bytes of a connection */
    LOOK_NS = 50000000,
    FINISH_S = 20,
    STALLED_S = 60
};

_Noreturn void load_fault(const struct conn *c, const char *what, struct bytes detail)
{
    static const char *const role[] = { "setup", "publisher", "consumer" };

    (void)fprintf(stderr, "load: %s, %s %u: %s %.*s\n", c->load->o.speaker->name, role[c->role],
                  c->index, what, BYTES_FMT(bytes_head(detail, 300)));
    exit(1);
}

/* ---- what a speaker reports ---- */

void load_logged_in(struct conn *c)
{
    c->logged_in = true;
    c->load->logged_in++;
}

void load_begun(struct conn *c)
{
    c->begun = true;
    c->load->begun++;
}

void load_finished(struct conn *c)
{
    c->finished = true;
    c->load->finished++;
    c->load->last_settled = c->load->now;
}

void load_confirmed(struct conn *c, uint64_t seq)
{
    struct load *l = c->load;
    uint64_t *due = &c->due[seq & c->due_mask];

    if (seq < c->low_seq || seq >= c->next_seq || *due == 0)
        load_fault(c, "confirmed what was not waiting", BYTES(""));
    if (*due >= l->warm_until)
        histogram_add(&l->confirm, l->now - *due);
    *due = 0;
    c->unconfirmed--;
    l->confirmed++;
    l->last_confirm = l->now;
    while (c->low_seq < c->next_seq && c->due[c->low_seq & c->due_mask] == 0)
        c->low_seq++;
}

/* Of each message, that consumers get. */
static unsigned copies(const struct load *l)
{
    return l->o.fanout ? l->o.subs : 1;
}

void load_message(struct conn *c, struct bytes body)
{
    struct load *l = c->load;
    struct stamp s = { 0 };

    if (l->received++ == 0)
        l->first_message = l->now;
    l->last_message = l->now;
    if (body.n == l->o.size)
        memcpy(&s, body.p, sizeof s);
    if (l->o.fanout && s.publisher < l->o.pubs)
        s.publisher += c->index * l->o.pubs; /* each consumer's copies are counted apart */
    if (s.tag != l->tag || !seen_add(&l->seen, c->index, s.publisher, s.queue, s.seq))
        l->strange++;
    else if (l->o.pubs > 0 && s.due_ns >= l->warm_until)
        histogram_add(&l->end_to_end, l->now - s.due_ns);
}

bool load_has_all(const struct load *l)
{
    return l->o.pubs == 0 && l->o.count > 0 && l->seen.distinct >= l->o.count;
}

/* ---- which queues ---- */

unsigned load_queue_first(const struct conn *c)
{
    return c->index % c->load->o.queues;
}

/* Consumers share the queues; who sets up sees them all. */
unsigned load_queue_step(const struct conn *c)
{
    return c->role == ROLE_SUB ? c->load->o.subs : 1;
}

/* ---- publishing ---- */

static bool has_room(const struct conn *c)
{
    return c->unconfirmed < c->load->o.window && c->due[c->next_seq & c->due_mask] == 0 &&
           c->out.n - c->out_at < OUT_MAX;
}

static bool more_to_publish(const struct load *l)
{
    return l->publishing && (l->o.count == 0 || l->issued < l->o.count) &&
           (l->publish_until == 0 || l->now < l->publish_until);
}

/* Every publisher goes round all queues, each from a place of its own. */
static void publish(struct conn *c, uint64_t due_ns)
{
    struct load *l = c->load;
    uint64_t first = (uint64_t)c->index * l->o.queues / l->o.pubs;
    struct stamp s = { .tag = l->tag,
                       .publisher = c->index,
                       .queue = (uint32_t)((first + c->next_seq) % l->o.queues),
                       .seq = c->next_seq,
                       .due_ns = due_ns };

    memcpy(l->body, &s, sizeof s);
    c->due[s.seq & c->due_mask] = due_ns;
    c->next_seq++;
    c->unconfirmed++;
    l->issued++;
    l->o.speaker->publish(c, s.queue, s.seq, bytes_of(l->body, l->o.size));
}

void load_publish_more(struct conn *c)
{
    struct load *l = c->load;

    if (l->paced || !l->publishing || !has_room(c))
        return;
    l->now = clock_monotonic_ns();
    while (has_room(c) && more_to_publish(l))
        publish(c, l->now);
}

static struct conn *publisher_with_room(struct load *l)
{
    static unsigned turn;

    for (unsigned i = 0; i < l->o.pubs; i++) {
        struct conn *c = &l->pub[turn++ % l->o.pubs];

        if (has_room(c))
            return c;
    }
    return NULL;
}

static void publish_due(struct load *l)
{
    l->blocked = false;
    while (more_to_publish(l) && l->next_due <= l->now) {
        struct conn *c = publisher_with_room(l);

        l->blocked = !c; /* a confirm will wake us; the clock runs on */
        if (!c)
            return;
        publish(c, l->next_due);
        l->next_due += l->interval;
        conn_flush(c);
    }
}

/* ---- the run ---- */

static bool published_all(const struct load *l)
{
    return l->o.pubs == 0 || (!more_to_publish(l) && l->confirmed == l->issued);
}

static bool received_all(const struct load *l)
{
    uint64_t want = l->o.pubs > 0 ? l->confirmed * copies(l) : l->o.count;
    uint64_t since = l->last_message > l->run_from ? l->last_message : l->run_from;

    if (l->last_confirm > since)
        since = l->last_confirm;
    return l->o.subs == 0 || (want > 0 && l->seen.distinct >= want) ||
           (double)(l->now - since) > l->o.quiet_s * 1e9;
}

static void go_on(struct load *l)
{
    uint64_t seen = UINT64_MAX, moved = l->now;

    while (!published_all(l) || !received_all(l)) {
        uint64_t until = clock_monotonic_ns() + LOOK_NS;

        if (l->paced && !l->blocked && more_to_publish(l) && l->next_due < until)
            until = l->next_due;
        conn_turn(l, until);
        if (l->paced)
            publish_due(l);
        if (l->confirmed + l->received != seen) {
            seen = l->confirmed + l->received;
            moved = l->now;
        } else if (l->now - moved > STALLED_S * SECOND) {
            (void)fprintf(stderr, "load: nothing moved for %d s\n", STALLED_S);
            return;
        }
    }
}

/* Acks count when the server has answered for them. */
static void settle_all(struct load *l)
{
    uint64_t end = clock_monotonic_ns() + FINISH_S * SECOND;

    l->finished = 0;
    for (unsigned i = 0; i < l->o.subs; i++) {
        l->o.speaker->finish(&l->sub[i]);
        conn_flush(&l->sub[i]);
    }
    while (l->finished < l->o.subs && l->now < end)
        conn_turn(l, clock_monotonic_ns() + LOOK_NS);
    if (l->finished < l->o.subs)
        (void)fprintf(stderr, "load: the acks were not answered within %d s\n", FINISH_S);
}

static void wait_begun(struct load *l, unsigned count)
{
    while (l->begun < count)
        conn_turn(l, clock_monotonic_ns() + LOOK_NS);
}

static void prepare(struct load *l)
{
    if (l->o.mode == MODE_SUB)
        return;
    l->setup = conn_array(l, ROLE_SETUP, 1);
    conn_open_all(l, l->setup, 1);
    conn_begin_all(l->setup, 1);
    wait_begun(l, 1);
    conn_close_all(l->setup, 1);
    l->begun = 0;
}

static void start_publishing(struct load *l)
{
    l->publishing = l->o.pubs > 0;
    if (l->o.seconds > 0)
        l->publish_until = l->run_from + (uint64_t)(l->o.seconds * 1e9);
    if (l->o.mode == MODE_LATENCY) {
        l->paced = true;
        l->interval = (uint64_t)(1e9 / l->o.rate);
        l->next_due = l->run_from;
        l->warm_until = l->run_from + (uint64_t)(l->o.warm_s * 1e9);
    }
    for (unsigned i = 0; i < l->o.pubs; i++) {
        load_publish_more(&l->pub[i]);
        conn_flush(&l->pub[i]);
    }
}

/* ---- report ---- */

static double seconds_between(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) / 1e9 : 0;
}

static void report_published(const struct load *l)
{
    double s = seconds_between(l->run_from, l->last_confirm);

    if (l->o.pubs == 0)
        return;
    report_number("confirmed", (double)l->confirmed, 0);
    report_number("unconfirmed", (double)(l->issued - l->confirmed), 0);
    report_number("publish_s", s, 3);
    report_number("publish_rate", s > 0 ? (double)l->confirmed / s : 0, 1);
    report_latency("confirm", &l->confirm);
}

static void report_received(const struct load *l)
{
    double s = seconds_between(l->run_from, l->last_settled);
    uint64_t lost = 0;

    if (l->o.subs == 0)
        return;
    for (unsigned i = 0; i < l->o.pubs * copies(l); i++)
        lost += seen_missing(&l->seen, i, l->pub[i % l->o.pubs].next_seq);
    if (l->o.pubs == 0 && l->o.count > l->seen.distinct)
        lost = l->o.count - l->seen.distinct;
    report_number("received", (double)l->received, 0);
    report_number("receive_s", s, 3);
    report_number("receive_rate", s > 0 ? (double)l->seen.distinct / s : 0, 1);
    report_number("first_message_at_s", (double)l->first_message / 1e9, 6);
    report_number("first_message_s", seconds_between(l->started, l->first_message), 6);
    report_number("lost", (double)lost, 0);
    report_number("duplicated", (double)l->seen.duplicated, 0);
    report_number("out_of_order", (double)l->seen.out_of_order, 0);
    report_number("strange", (double)l->strange, 0);
    report_latency("end_to_end", &l->end_to_end);
}

static void report(const struct load *l, const struct usage *from, const struct usage *to,
                   uint64_t rss_before)
{
    report_begin(l->o.json);
    report_text("speaker", l->o.speaker->name);
    report_number("size", (double)l->o.size, 0);
    report_published(l);
    report_received(l);
    if (l->o.server_pid)
        report_number("server_rss_before_kb", (double)rss_before, 0);
    usage_report(from, to, l->o.server_pid);
    report_end();
}

static void hold(struct load *l)
{
    uint64_t end = clock_monotonic_ns() + (uint64_t)(l->o.seconds * 1e9);

    wait_begun(l, l->o.subs);
    for (l->now = 0; l->now < end;)
        conn_turn(l, end);
}

static void measured_part(struct load *l)
{
    l->run_from = l->now = clock_monotonic_ns();
    if (l->o.mode == MODE_SUB || l->o.mode == MODE_IDLE)
        conn_begin_all(l->sub, l->o.subs);
    if (l->o.mode == MODE_IDLE) {
        hold(l);
        return;
    }
    start_publishing(l);
    go_on(l);
    l->publishing = false;
    if (l->o.subs > 0)
        settle_all(l);
}

void load_run(struct load *l)
{
    static struct usage from, to;
    uint64_t rss = usage_rss_kb(l->o.server_pid);

    l->started = clock_monotonic_ns();
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0)
        load_die("epoll_create1");
    prepare(l);
    l->sub = conn_array(l, ROLE_SUB, l->o.subs);
    conn_open_all(l, l->sub, l->o.subs);
    if (l->o.pubs > 0) {
        conn_begin_all(l->sub, l->o.subs);
        wait_begun(l, l->o.subs);
    }
    l->pub = conn_array(l, ROLE_PUB, l->o.pubs);
    conn_open_all(l, l->pub, l->o.pubs);
    usage_take(&from, l->o.server_pid, l->o.dir);
    measured_part(l);
    usage_take(&to, l->o.server_pid, l->o.dir);
    report(l, &from, &to, rss);
    conn_close_all(l->pub, l->o.pubs);
    conn_close_all(l->sub, l->o.subs);
}
