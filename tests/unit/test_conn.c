// SPDX-License-Identifier: MIT
/* Connections over socket pairs, with a session whose frames are lines. */
#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "broker/net/conn.h"

struct line_session {
    struct session base;
    struct buf lines; /* every whole line that came, with its LF */
    unsigned inputs, drained;
    size_t largest_input;
};

static struct event_base *base;
static struct session_env env;
static struct net *net;
static struct line_session *last;
static int peer;
static unsigned closed;
static bool pause_after_input, end_after_input, echo;

static size_t line_input(struct session *s, uint8_t *in, size_t n)
{
    struct line_session *l = (struct line_session *)s;
    size_t used = n;

    l->inputs++;
    if (n > l->largest_input)
        l->largest_input = n;
    while (used > 0 && in[used - 1] != '\n')
        used--;
    buf_put(&l->lines, in, used);
    if (echo)
        buf_put(&s->out, in, used);
    s->paused = pause_after_input;
    s->ending = end_after_input;
    return used;
}

static void line_effect(struct session *s, struct session_port *to, const struct effect *e)
{
    (void)s;
    (void)to;
    (void)e;
}

static void line_auth_done(struct session *s, bool accepted)
{
    (void)accepted;
    s->paused = false;
}

static void line_tick(struct session *s)
{
    buf_str(&s->out, "tick\n");
}

static void line_drained(struct session *s)
{
    ((struct line_session *)s)->drained++;
}

static void line_close(struct session **s)
{
    struct line_session *l = (struct line_session *)*s;

    session_wake_at(*s, UINT64_MAX);
    buf_fini(&l->lines);
    buf_fini(&l->base.out);
    mem_free(l);
    *s = NULL;
    last = NULL;
    closed++;
}

static const struct session_ops line_ops = {
    .name = "line",
    .input = line_input,
    .effect = line_effect,
    .auth_done = line_auth_done,
    .tick = line_tick,
    .drained = line_drained,
    .close = line_close,
};

static struct session *line_open(struct session_env *e, bool loopback)
{
    last = mem_new(struct line_session);
    last->base.ops = &line_ops;
    last->base.env = e;
    last->base.id = ++e->next_session;
    last->base.loopback = loopback;
    return &last->base;
}

static void turn(void)
{
    ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
    net_clock(net);
    (void)session_run_wakes(&env);
    net_feed(net);
    net_write(net);
    net_reap(net);
}

static int open_pair(void)
{
    int fd[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    conn_open(net, fd[0], true, line_open);
    return fd[1];
}

static void setup(void)
{
    struct net_options o = {
        .env = &env, .connections = 10, .descriptors = 100, .input_bytes = 4 << 20
    };

    env = (struct session_env){ .output_bytes = 64 << 10 };
    closed = 0;
    pause_after_input = end_after_input = echo = false;
    base = event_base_new();
    o.base = base;
    net = net_new(&o);
    net_clock(net);
    peer = open_pair();
}

static void teardown(void)
{
    net_free(&net);
    event_base_free(base);
    heap_fini(&env.wakes);
    (void)close(peer);
}

static void say(const char *text)
{
    ck_assert_int_eq(write(peer, text, strlen(text)), (ssize_t)strlen(text));
    turn();
}

static void ck_lines(const char *want)
{
    ck_assert_ptr_nonnull(last);
    ck_assert_uint_eq(last->lines.n, strlen(want));
    ck_assert_mem_eq(last->lines.p ? (const char *)last->lines.p : "", want, strlen(want));
}

static struct conn *the_conn(void)
{
    return last->base.conn;
}

START_TEST(half_a_frame_waits_for_its_other_half)
{
    say("one\ntw");
    ck_lines("one\n");
    ck_assert_uint_eq(the_conn()->left.n, 2);
    say("o\n");
    ck_lines("one\ntwo\n");
}
END_TEST

/* 10,000 idle connections must not hold 10,000 buffers. */
START_TEST(idle_connection_holds_no_buffer)
{
    echo = true;
    say("one\ntw");
    say("o\n");
    ck_assert_ptr_null(the_conn()->left.p);
    ck_assert_ptr_null(last->base.out.p);
    ck_assert_uint_le(sizeof(struct conn), 400);
}
END_TEST

START_TEST(frame_longer_than_the_shared_block_is_whole_when_it_arrives)
{
    size_t n = 3 * NET_READ_BYTES + 17, at = 0;
    uint8_t *text = mem_alloc(n);

    memset(text, 'x', n);
    text[n - 1] = '\n';
    for (unsigned i = 0; at < n && i < 10000; i++) {
        ssize_t put = write(peer, text + at, n - at);

        at += put > 0 ? (size_t)put : 0;
        turn();
    }
    turn();
    ck_assert_uint_eq(last->lines.n, n);
    ck_assert_mem_eq(last->lines.p, text, n);
    ck_assert_ptr_null(the_conn()->left.p);
    mem_free(text);
}
END_TEST

/* Bytes of a long frame must not be copied again for each read. */
START_TEST(large_buffer_is_dropped_when_little_is_left)
{
    size_t n = 100000;
    char *text = mem_alloc(n + 1);

    memset(text, 'x', n);
    text[n] = 0;
    say(text);
    ck_assert_uint_eq(the_conn()->left.n, n);
    say("\nab");
    ck_assert_uint_eq(the_conn()->left.n, 2);
    ck_assert_uint_le(the_conn()->left.cap, 64);
    ck_assert_uint_eq(last->lines.n, n + 1);
    mem_free(text);
}
END_TEST

START_TEST(frame_beyond_the_limit_ends_the_connection)
{
    static char block[32768];

    memset(block, 'x', sizeof block);
    for (unsigned i = 0; i < 5 << 5 && !closed; i++) {
        (void)!write(peer, block, sizeof block);
        turn();
    }
    ck_assert_uint_eq(closed, 1);
}
END_TEST

START_TEST(paused_session_is_fed_the_rest_when_it_may_go_on)
{
    pause_after_input = true;
    say("a\n");
    say("b\n");
    ck_lines("a\n");
    ck_assert(last->base.unread);
    pause_after_input = false;
    last->base.paused = false;
    session_touch(&last->base);
    turn();
    turn();
    ck_lines("a\nb\n");
    ck_assert(!last->base.unread);
}
END_TEST

static size_t stingy_input(struct session *s, uint8_t *in, size_t n)
{
    size_t used = 0;

    if (n == 0)
        return 0;
    while (used < n && in[used] != '\n')
        used++;
    s->paused = true;
    return used < n ? line_input(s, in, used + 1) : 0;
}

/* A session that pauses for a password check leaves whole frames behind. */
START_TEST(whole_frames_held_back_are_fed_without_new_bytes)
{
    static struct session_ops ops;

    ops = line_ops;
    ops.input = stingy_input;
    pause_after_input = true;
    last->base.ops = &ops;
    say("a\nb\nc\n");
    ck_lines("a\n");
    last->base.paused = false;
    session_touch(&last->base);
    turn();
    ck_lines("a\nb\n");
    last->base.paused = false;
    session_touch(&last->base);
    turn();
    ck_lines("a\nb\nc\n");
    last->base.ops = &line_ops;
}
END_TEST

START_TEST(ending_session_is_written_out_then_lingers_then_goes)
{
    char got[16];

    echo = end_after_input = true;
    say("bye\nnot read\n");
    ck_assert_uint_eq(closed, 1);
    ck_assert_uint_eq(net_open(net), 1); /* lingering */
    ck_assert_int_eq(read(peer, got, sizeof got), 13);
    ck_assert_int_eq(read(peer, got, sizeof got), 0); /* our end of stream */
    ck_assert_int_eq(write(peer, "x", 1), 1);         /* taken and thrown away, no reset */
    turn();
    ck_assert_uint_eq(net_open(net), 1);
    ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
    turn();
    ck_assert_uint_eq(net_open(net), 0);
}
END_TEST

START_TEST(lingering_has_an_end_of_its_own)
{
    end_after_input = true;
    say("bye\n");
    ck_assert_uint_eq(net_open(net), 1);
    ck_assert_uint_eq(net_next_at_ms(net), env.now_mono_ms + NET_LINGER_MS);
    env.now_mono_ms += NET_LINGER_MS;
    net_reap(net);
    ck_assert_uint_eq(net_open(net), 0);
}
END_TEST

static size_t fill_output(size_t n)
{
    (void)buf_reserve(&last->base.out, n);
    memset(last->base.out.p + last->base.out.n, 'y', n);
    last->base.out.n += n;
    session_touch(&last->base);
    turn();
    return n;
}

static size_t drain_peer(void)
{
    static char block[1 << 20];
    size_t all = 0;
    ssize_t got;

    while ((got = read(peer, block, sizeof block)) > 0) {
        ck_assert(block[0] == 'y' && memcmp(block, block + 1, (size_t)got - 1) == 0);
        all += (size_t)got;
        turn();
    }
    return all;
}

START_TEST(peer_that_does_not_read_is_not_read_from_and_told_when_drained)
{
    size_t want = fill_output(1 << 20);

    ck_assert_ptr_nonnull(the_conn()->write);
    ck_assert(last->base.unread);
    say("kept by the kernel\n");
    ck_assert_uint_eq(last->inputs, 0);
    ck_assert_uint_eq(drain_peer(), want);
    ck_assert_ptr_null(the_conn()->write);
    ck_assert_uint_ge(last->drained, 1);
    turn();
    ck_lines("kept by the kernel\n");
}
END_TEST

START_TEST(output_added_while_the_socket_is_full_keeps_its_order)
{
    size_t want = fill_output(1 << 20);

    want += fill_output(300000);
    ck_assert_uint_eq(drain_peer(), want);
    ck_assert_uint_eq(last->base.out.n, 0);
    ck_assert_ptr_null(last->base.out.p);
}
END_TEST

START_TEST(ending_session_whose_peer_does_not_read_goes_after_a_while)
{
    last->base.ending = true;
    (void)fill_output(1 << 20);
    ck_assert_uint_eq(closed, 0);
    env.now_mono_ms += NET_FLUSH_MS;
    net_reap(net);
    ck_assert_uint_eq(closed, 1);
    ck_assert_uint_eq(net_open(net), 0);
}
END_TEST

START_TEST(publishers_wait_under_pressure_and_others_do_not)
{
    last->base.publisher = true;
    net_pressure(net, true);
    say("a\n");
    ck_lines("");
    ck_assert(last->base.unread);
    last->base.publisher = false;
    session_touch(&last->base);
    turn();
    turn();
    ck_lines("a\n");
}
END_TEST

START_TEST(publishers_go_on_when_pressure_ends)
{
    last->base.publisher = true;
    net_pressure(net, true);
    say("a\n");
    net_pressure(net, false);
    ck_assert_uint_eq(last->drained, 1);
    turn();
    ck_lines("a\n");
}
END_TEST

START_TEST(peer_that_hangs_up_closes_its_session)
{
    (void)shutdown(peer, SHUT_RDWR);
    turn();
    ck_assert_uint_eq(closed, 1);
    ck_assert_uint_eq(net_open(net), 0);
}
END_TEST

/* printf ... | nc: the last replies must still reach one who only sends. */
START_TEST(replies_reach_a_peer_that_has_stopped_sending)
{
    char got[8];

    echo = true;
    ck_assert_int_eq(write(peer, "hi\n", 3), 3);
    (void)shutdown(peer, SHUT_WR);
    turn();
    turn();
    ck_assert_int_eq(read(peer, got, sizeof got), 3);
    ck_assert_int_eq(read(peer, got, sizeof got), 0);
    ck_assert_uint_eq(closed, 1);
}
END_TEST

START_TEST(refused_connection_hears_why)
{
    int fd[2];
    char got[8];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    conn_refuse(net, fd[0], BYTES("no room"));
    ck_assert_int_eq(read(fd[1], got, sizeof got), 7);
    ck_assert_int_eq(read(fd[1], got, sizeof got), 0);
    (void)close(fd[1]);
    turn();
    ck_assert_uint_eq(net_open(net), 1); /* only the one of the set-up */
}
END_TEST

START_TEST(stop_reads_no_more_and_ends_all)
{
    struct net_stats stats;
    char got[8];

    net_stop_reading(net);
    say("late\n");
    ck_lines("");
    ck_assert(net_written(net));
    net_end_all(net, 100);
    ck_assert_uint_eq(closed, 1);
    ck_assert_int_eq(read(peer, got, sizeof got), 0);
    env.now_mono_ms += 100;
    net_reap(net);
    net_stats(net, &stats);
    ck_assert_uint_eq(stats.open, 0);
    ck_assert_uint_eq(stats.accepted, 1);
}
END_TEST

START_TEST(wakes_run_in_order_of_time_and_are_written)
{
    char got[8];

    session_wake_at(&last->base, env.now_mono_ms + 1000000);
    ck_assert_uint_gt(session_run_wakes(&env), env.now_mono_ms);
    session_wake_at(&last->base, env.now_mono_ms);
    turn();
    ck_assert_int_eq(read(peer, got, sizeof got), 5);
    ck_assert_uint_eq(session_run_wakes(&env), UINT64_MAX);
}
END_TEST

Suite *conn_suite(void);

Suite *conn_suite(void)
{
    Suite *s = suite_create("conn");
    TCase *t = tcase_create("pairs");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 20);
    tcase_add_test(t, half_a_frame_waits_for_its_other_half);
    tcase_add_test(t, idle_connection_holds_no_buffer);
    tcase_add_test(t, frame_longer_than_the_shared_block_is_whole_when_it_arrives);
    tcase_add_test(t, large_buffer_is_dropped_when_little_is_left);
    tcase_add_test(t, frame_beyond_the_limit_ends_the_connection);
    tcase_add_test(t, paused_session_is_fed_the_rest_when_it_may_go_on);
    tcase_add_test(t, whole_frames_held_back_are_fed_without_new_bytes);
    tcase_add_test(t, ending_session_is_written_out_then_lingers_then_goes);
    tcase_add_test(t, lingering_has_an_end_of_its_own);
    tcase_add_test(t, peer_that_does_not_read_is_not_read_from_and_told_when_drained);
    tcase_add_test(t, output_added_while_the_socket_is_full_keeps_its_order);
    tcase_add_test(t, ending_session_whose_peer_does_not_read_goes_after_a_while);
    tcase_add_test(t, publishers_wait_under_pressure_and_others_do_not);
    tcase_add_test(t, publishers_go_on_when_pressure_ends);
    tcase_add_test(t, peer_that_hangs_up_closes_its_session);
    tcase_add_test(t, replies_reach_a_peer_that_has_stopped_sending);
    tcase_add_test(t, refused_connection_hears_why);
    tcase_add_test(t, stop_reads_no_more_and_ends_all);
    tcase_add_test(t, wakes_run_in_order_of_time_and_are_written);
    suite_add_tcase(s, t);
    return s;
}
