// SPDX-License-Identifier: MIT
/* What an AMQP connection answers, frame by frame, over a real core. */
#include <check.h>

#include "base/mem.h"
#include "proto/amqp.h"
#include "tests/lib/stomp_wire.h"

Suite *amqp_session_suite(void);

static struct stomp_wire r;
static struct buf heard, frame;
static size_t heard_at;

static void open_wire(void)
{
    struct core_options o = wire_options();

    o.disk_reserve_bytes = 1;
    wire_open(&r, &o);
    heard_at = 0;
}

static void close_wire(void)
{
    wire_close(&r);
    buf_fini(&heard);
    buf_fini(&frame);
}

/* ---- saying ---- */

#define SAY(channel, method, ...) \
    say(channel, &(struct amqp_args){ .id = AMQP_##method, .method = { __VA_ARGS__ } })

static void say(uint16_t channel, const struct amqp_args *args)
{
    frame.n = 0;
    amqp_put_method(&frame, channel, args);
    wire_bytes(&r, 0, buf_view(&frame));
}

static void say_frame(uint8_t type, uint16_t channel, struct bytes payload)
{
    frame.n = 0;
    size_t mark = amqp_frame_begin(&frame, type, channel);
    buf_bytes(&frame, payload);
    amqp_frame_end(&frame, mark);
    wire_bytes(&r, 0, buf_view(&frame));
}

static void say_content(uint16_t channel, struct bytes body)
{
    frame.n = 0;
    amqp_put_content_header(&frame, channel, body.n, (struct bytes){ NULL, 0 });
    amqp_put_body(&frame, channel, AMQP_FRAME_MIN_BYTES, body);
    wire_bytes(&r, 0, buf_view(&frame));
}

/* Persistent: flags with delivery_mode, and 2. */
static void say_persistent(uint16_t channel, struct bytes body)
{
    frame.n = 0;
    amqp_put_content_header(&frame, channel, body.n, BYTES("\x10\0\2"));
    amqp_put_body(&frame, channel, AMQP_FRAME_MIN_BYTES, body);
    wire_bytes(&r, 0, buf_view(&frame));
}

static void publish(const char *queue, const char *body)
{
    SAY(1, basic_publish, .routing_key = bytes_str(queue));
    say_persistent(1, bytes_str(body));
}

/* ---- hearing ---- */

/* What came out since the last time, behind what was not looked at yet. */
static void listen(void)
{
    struct buf *out = &r.peer[0]->out;

    buf_bytes(&heard, buf_view(out));
    out->n = 0;
    r.peer[0]->ops->drained(r.peer[0]);
}

static bool next_frame(struct amqp_frame *f)
{
    size_t used;
    const char *why;

    listen();
    if (amqp_frame_decode(bytes_from(buf_view(&heard), heard_at), 1 << 20, f, &used, &why) !=
        DECODE_OK)
        return false;
    heard_at += used;
    return true;
}

/* The next method; id 0: nothing more was said.  Content is passed over. */
static struct amqp_args hear(void)
{
    struct amqp_args args = { 0 };
    struct amqp_frame f;
    enum amqp_reply code;
    const char *why;

    while (next_frame(&f)) {
        if (f.type != AMQP_FRAME_METHOD)
            continue;
        ck_assert_int_eq(amqp_method_decode(f.payload, &args, &code, &why), DECODE_OK);
        return args;
    }
    return args;
}

static struct amqp_args hear_settled(void)
{
    wire_settle(&r);
    return hear();
}

#define HEARS(method)                                                     \
    do {                                                                  \
        struct amqp_args got_ = hear_settled();                           \
        const char *name_ = got_.id ? amqp_method_name(got_.id) : "none"; \
        ck_assert_str_eq(name_, amqp_method_name(AMQP_##method));         \
    } while (0)

static void hears_nothing(void)
{
    struct amqp_args args = hear();

    ck_assert_msg(args.id == 0, "heard %s", amqp_method_name(args.id));
}

/* A connection.close or channel.close with that code. */
static void hears_close(uint32_t method, uint16_t code)
{
    struct amqp_args args = hear_settled();

    ck_assert_uint_eq(args.id, method);
    /* Both methods have the same fields. */
    ck_assert_msg(args.channel_close.reply_code == code, "%u %.*s", args.channel_close.reply_code,
                  BYTES_FMT(args.channel_close.reply_text));
}

static void log_in(void)
{
    wire_amqp_peer(&r, 0, 2);
    SAY(1, queue_declare, .queue = BYTES("q"), .durable = true);
    HEARS(queue_declare_ok);
}

/* ---- the connection ---- */

START_TEST(another_protocol_header_is_answered_with_ours)
{
    r.peer[0] = amqp_session_open(&r.env, true);
    wire_bytes(&r, 0, BYTES("AMQP\1\1\0\x9"));
    ck_assert(r.peer[0]->ending);
    ck_assert(bytes_eq(buf_view(&r.peer[0]->out), BYTES("AMQP\0\0\x9\1")));
}
END_TEST

START_TEST(who_does_not_log_in_is_hung_up_on)
{
    r.peer[0] = amqp_session_open(&r.env, true);
    wire_bytes(&r, 0, BYTES("AMQP\0\0\x9\1"));
    HEARS(connection_start);
    wire_wait(&r, 9999);
    ck_assert(!r.peer[0]->ending);
    wire_wait(&r, 1);
    ck_assert(r.peer[0]->ending);
}
END_TEST

START_TEST(a_frame_with_another_end_is_501)
{
    log_in();
    wire_bytes(&r, 0,
               BYTES("\1\0\1\0\0\0\4\0\x14\0\xa"
                     "x"));
    hears_close(AMQP_connection_close, 501);
}
END_TEST

/* The payload of what is refused must not have to be waited for. */
START_TEST(a_frame_above_frame_max_is_501_from_its_head)
{
    log_in();
    wire_bytes(&r, 0, BYTES("\3\0\1\0\1\0\0"));
    hears_close(AMQP_connection_close, 501);
}
END_TEST

START_TEST(an_unknown_method_is_503)
{
    log_in();
    say_frame(AMQP_FRAME_METHOD, 1, BYTES("\0\x3c\3\xe7"));
    hears_close(AMQP_connection_close, 503);
}
END_TEST

START_TEST(arguments_that_end_early_are_502)
{
    log_in();
    say_frame(AMQP_FRAME_METHOD, 1, BYTES("\0\x32\0\xa\0\0\5q"));
    hears_close(AMQP_connection_close, 502);
}
END_TEST

START_TEST(after_connection_close_only_its_answer_counts)
{
    log_in();
    say_frame(AMQP_FRAME_METHOD, 1, BYTES("\0\x3c\3\xe7"));
    hears_close(AMQP_connection_close, 503);
    SAY(1, queue_declare, .queue = BYTES("late"));
    wire_settle(&r);
    hears_nothing();
    ck_assert(!r.peer[0]->ending);
    SAY(0, connection_close_ok, .unused_ = 0);
    ck_assert(r.peer[0]->ending);
}
END_TEST

START_TEST(heartbeats_leave_at_half_the_interval_and_two_of_silence_are_the_end)
{
    struct amqp_frame f;

    r.peer[0] = amqp_session_open(&r.env, true);
    wire_bytes(&r, 0, BYTES("AMQP\0\0\x9\1"));
    SAY(0, connection_start_ok, .mechanism = BYTES("PLAIN"), .response = BYTES("\0guest\0guest"));
    SAY(0, connection_tune_ok, .heartbeat = 4);
    SAY(0, connection_open, .virtual_host = BYTES("/"));
    HEARS(connection_start);
    HEARS(connection_tune);
    HEARS(connection_open_ok);
    wire_wait(&r, 2000);
    ck_assert(next_frame(&f));
    ck_assert_uint_eq(f.type, AMQP_FRAME_HEARTBEAT);
    wire_wait(&r, 5999);
    ck_assert(!r.peer[0]->ending);
    wire_wait(&r, 1);
    ck_assert(r.peer[0]->ending);
}
END_TEST

/* ---- channels ---- */

START_TEST(a_method_on_a_channel_that_was_never_open_is_504)
{
    log_in();
    SAY(7, basic_ack, .delivery_tag = 1);
    hears_close(AMQP_connection_close, 504);
}
END_TEST

START_TEST(acks_that_cross_the_end_of_their_channel_are_passed_over)
{
    log_in();
    SAY(1, queue_declare, .queue = BYTES("none"), .passive = true);
    hears_close(AMQP_channel_close, 404);
    SAY(1, basic_ack, .delivery_tag = 1);
    SAY(1, channel_close_ok, .unused_ = 0);
    SAY(1, basic_ack, .delivery_tag = 2);
    wire_settle(&r);
    hears_nothing();
    SAY(1, channel_open, .unused_ = 0);
    HEARS(channel_open_ok);
}
END_TEST

START_TEST(an_error_of_one_channel_leaves_the_others_alone)
{
    log_in();
    SAY(1, queue_declare, .queue = BYTES("none"), .passive = true);
    SAY(2, queue_declare, .queue = BYTES("q"), .passive = true);
    hears_close(AMQP_channel_close, 404);
    HEARS(queue_declare_ok);
}
END_TEST

START_TEST(a_channel_above_channel_max_is_530)
{
    log_in();
    SAY(9, channel_open, .unused_ = 0);
    hears_close(AMQP_connection_close, 530);
}
END_TEST

START_TEST(an_exclusive_queue_serves_all_channels_and_goes_with_the_connection)
{
    log_in();
    SAY(1, queue_declare, .queue = BYTES("mine"), .exclusive = true);
    HEARS(queue_declare_ok);
    SAY(1, channel_close, .unused_ = 0);
    HEARS(channel_close_ok);
    SAY(2, queue_purge, .queue = BYTES("mine"));
    HEARS(queue_purge_ok);
    wire_hang_up(&r, 0);
    wire_amqp_peer(&r, 0, 1);
    SAY(1, queue_declare, .queue = BYTES("mine"), .passive = true);
    hears_close(AMQP_channel_close, 404);
}
END_TEST

/* ---- content ---- */

START_TEST(a_method_where_content_was_due_is_505)
{
    log_in();
    SAY(1, basic_publish, .routing_key = BYTES("q"));
    SAY(1, queue_declare, .queue = BYTES("q"), .passive = true);
    hears_close(AMQP_connection_close, 505);
}
END_TEST

START_TEST(a_body_before_its_header_is_505)
{
    log_in();
    SAY(1, basic_publish, .routing_key = BYTES("q"));
    say_frame(AMQP_FRAME_BODY, 1, BYTES("x"));
    hears_close(AMQP_connection_close, 505);
}
END_TEST

START_TEST(more_content_than_was_announced_is_501)
{
    log_in();
    SAY(1, basic_publish, .routing_key = BYTES("q"));
    say_frame(AMQP_FRAME_HEADER, 1, BYTES("\0\x3c\0\0\0\0\0\0\0\0\0\2\0\0"));
    say_frame(AMQP_FRAME_BODY, 1, BYTES("xyz"));
    hears_close(AMQP_connection_close, 501);
}
END_TEST

START_TEST(content_of_two_channels_may_interleave)
{
    struct amqp_args args;

    log_in();
    SAY(1, basic_publish, .routing_key = BYTES("q"));
    SAY(2, basic_publish, .routing_key = BYTES("q"));
    say_content(2, BYTES("second"));
    say_content(1, BYTES("first"));
    SAY(1, queue_declare, .queue = BYTES("q"), .passive = true);
    wire_settle(&r);
    args = hear();
    ck_assert_uint_eq(args.queue_declare_ok.message_count, 2);
}
END_TEST

START_TEST(a_message_above_max_message_is_406_and_its_body_is_passed_over)
{
    log_in();
    SAY(1, basic_publish, .routing_key = BYTES("q"));
    say_frame(AMQP_FRAME_HEADER, 1, BYTES("\0\x3c\0\0\0\0\0\0\x7f\0\0\0\0\0"));
    hears_close(AMQP_channel_close, 406);
    say_frame(AMQP_FRAME_BODY, 1, BYTES("passed over"));
    SAY(1, channel_close_ok, .unused_ = 0);
    SAY(2, queue_declare, .queue = BYTES("q"), .passive = true);
    HEARS(queue_declare_ok);
}
END_TEST

/* ---- what waits for the disk ---- */

START_TEST(confirms_wait_for_the_disk_and_are_cumulative)
{
    struct amqp_args args;

    log_in();
    SAY(1, confirm_select, .unused_ = 0);
    HEARS(confirm_select_ok);
    for (int i = 0; i < 5; i++)
        publish("q", "x");
    wire_turn(&r);
    hears_nothing();
    args = hear_settled();
    ck_assert_uint_eq(args.id, AMQP_basic_ack);
    ck_assert_uint_eq(args.basic_ack.delivery_tag, 5);
    ck_assert(args.basic_ack.multiple);
}
END_TEST

/* Delivery tags count publishes alone, though the replies take the same path. */
START_TEST(replies_that_wait_do_not_count_as_publishes)
{
    struct amqp_args args;

    log_in();
    SAY(1, confirm_select, .unused_ = 0);
    HEARS(confirm_select_ok);
    publish("q", "x");
    SAY(1, queue_declare, .queue = BYTES("w"), .durable = true);
    publish("w", "y");
    args = hear_settled();
    ck_assert_uint_eq(args.id, AMQP_basic_ack);
    ck_assert_uint_eq(args.basic_ack.delivery_tag, 1);
    HEARS(queue_declare_ok);
    args = hear_settled();
    ck_assert_uint_eq(args.id, AMQP_basic_ack);
    ck_assert_uint_eq(args.basic_ack.delivery_tag, 2);
}
END_TEST

START_TEST(a_declare_ok_waits_for_the_disk_and_what_follows_waits_for_it)
{
    log_in();
    SAY(1, queue_declare, .queue = BYTES("w"), .durable = true);
    SAY(1, basic_consume, .queue = BYTES("w"));
    wire_turn(&r);
    hears_nothing();
    HEARS(queue_declare_ok);
    HEARS(basic_consume_ok);
}
END_TEST

START_TEST(a_commit_ok_means_on_disk)
{
    log_in();
    SAY(1, tx_select, .unused_ = 0);
    HEARS(tx_select_ok);
    publish("q", "x");
    SAY(1, tx_commit, .unused_ = 0);
    wire_turn(&r);
    hears_nothing();
    HEARS(tx_commit_ok);
}
END_TEST

/* ---- back-pressure ---- */

START_TEST(with_a_full_disk_a_confirming_publisher_gets_a_nack)
{
    struct amqp_args args;

    log_in();
    SAY(1, confirm_select, .unused_ = 0);
    HEARS(confirm_select_ok);
    r.disk_full = true;
    core_disk_free(r.core, 0);
    publish("q", "x");
    args = hear_settled();
    ck_assert_uint_eq(args.id, AMQP_basic_nack);
    ck_assert_uint_eq(args.basic_nack.delivery_tag, 1);
}
END_TEST

START_TEST(with_a_full_disk_a_publisher_without_confirms_waits_and_loses_nothing)
{
    struct amqp_args args;

    log_in();
    r.disk_full = true;
    core_disk_free(r.core, 0);
    publish("q", "x");
    SAY(2, queue_declare, .queue = BYTES("q"), .passive = true);
    wire_settle(&r);
    hears_nothing();
    r.disk_full = false;
    core_disk_free(r.core, UINT64_MAX);
    wire_wait(&r, 500);
    args = hear_settled();
    ck_assert_uint_eq(args.id, AMQP_queue_declare_ok);
    ck_assert_uint_eq(args.queue_declare_ok.message_count, 1);
}
END_TEST

/* Its body cannot be kept, so the transaction must not be told as done, later or ever. */
START_TEST(a_long_message_that_met_a_full_disk_fails_its_transaction)
{
    static uint8_t body[BLOB_MIN_BYTES + 1];

    log_in();
    SAY(1, tx_select, .unused_ = 0);
    HEARS(tx_select_ok);
    r.disk_full = true;
    core_disk_free(r.core, 0);
    SAY(1, basic_publish, .routing_key = BYTES("q"));
    say_persistent(1, bytes_of(body, sizeof body));
    r.disk_full = false;
    core_disk_free(r.core, UINT64_MAX);
    SAY(1, tx_commit, .unused_ = 0);
    do
        wire_wait(&r, 500);
    while (r.peer[0]->paused);
    struct amqp_args args;
    while ((args = hear_settled()).id == AMQP_connection_blocked)
        ;
    ck_assert_uint_eq(args.id, AMQP_channel_close);
    ck_assert_uint_eq(args.channel_close.reply_code, 406);
}
END_TEST

/* The output is full of deliveries, so a long message that was got cannot begin. */
START_TEST(a_close_before_a_long_message_has_begun_keeps_the_replies_behind_it)
{
    static uint8_t body[BLOB_MIN_BYTES + 1];
    struct amqp_args args;
    bool confirmed = false;

    log_in();
    SAY(2, queue_declare, .queue = BYTES("long"), .durable = true);
    HEARS(queue_declare_ok);
    SAY(2, basic_publish, .routing_key = BYTES("long"));
    say_persistent(2, bytes_of(body, sizeof body));
    wire_settle(&r);
    for (int i = 0; i < 20; i++) {
        SAY(1, basic_publish, .routing_key = BYTES("q"));
        say_persistent(1, bytes_of(body, sizeof body / 2));
    }
    SAY(1, confirm_select, .unused_ = 0);
    SAY(1, basic_consume, .queue = BYTES("q"), .no_ack = true);
    wire_settle(&r);
    SAY(1, basic_get, .queue = BYTES("long"));
    wire_settle(&r);
    publish("q", "x");
    wire_settle(&r);
    SAY(1, channel_close, .reply_code = 200);
    while ((args = hear()).id != AMQP_channel_close_ok) {
        ck_assert_uint_ne(args.id, 0);
        ck_assert_uint_ne(args.id, AMQP_basic_get_ok);
        confirmed |= args.id == AMQP_basic_ack;
    }
    ck_assert(confirmed);
}
END_TEST

START_TEST(a_delivery_unacked_for_too_long_closes_its_channel_and_goes_back)
{
    struct amqp_args args;

    r.env.amqp.consumer_timeout_ms = 10000;
    log_in();
    publish("q", "x");
    SAY(1, basic_consume, .queue = BYTES("q"));
    HEARS(basic_consume_ok);
    HEARS(basic_deliver);
    for (int i = 0; i < 9; i++)
        wire_wait(&r, 1000);
    hears_nothing();
    for (int i = 0; i < 3; i++)
        wire_wait(&r, 1000);
    hears_close(AMQP_channel_close, 406);
    SAY(2, queue_declare, .queue = BYTES("q"), .passive = true);
    args = hear_settled();
    ck_assert_uint_eq(args.queue_declare_ok.message_count, 1);
}
END_TEST

Suite *amqp_session_suite(void)
{
    Suite *s = suite_create("amqp_session");
    TCase *t = tcase_create("session");

    tcase_add_checked_fixture(t, open_wire, close_wire);
    tcase_add_test(t, another_protocol_header_is_answered_with_ours);
    tcase_add_test(t, who_does_not_log_in_is_hung_up_on);
    tcase_add_test(t, a_frame_with_another_end_is_501);
    tcase_add_test(t, a_frame_above_frame_max_is_501_from_its_head);
    tcase_add_test(t, an_unknown_method_is_503);
    tcase_add_test(t, arguments_that_end_early_are_502);
    tcase_add_test(t, after_connection_close_only_its_answer_counts);
    tcase_add_test(t, heartbeats_leave_at_half_the_interval_and_two_of_silence_are_the_end);
    tcase_add_test(t, a_method_on_a_channel_that_was_never_open_is_504);
    tcase_add_test(t, acks_that_cross_the_end_of_their_channel_are_passed_over);
    tcase_add_test(t, an_error_of_one_channel_leaves_the_others_alone);
    tcase_add_test(t, a_channel_above_channel_max_is_530);
    tcase_add_test(t, an_exclusive_queue_serves_all_channels_and_goes_with_the_connection);
    tcase_add_test(t, a_method_where_content_was_due_is_505);
    tcase_add_test(t, a_body_before_its_header_is_505);
    tcase_add_test(t, more_content_than_was_announced_is_501);
    tcase_add_test(t, content_of_two_channels_may_interleave);
    tcase_add_test(t, a_message_above_max_message_is_406_and_its_body_is_passed_over);
    tcase_add_test(t, confirms_wait_for_the_disk_and_are_cumulative);
    tcase_add_test(t, replies_that_wait_do_not_count_as_publishes);
    tcase_add_test(t, a_declare_ok_waits_for_the_disk_and_what_follows_waits_for_it);
    tcase_add_test(t, a_commit_ok_means_on_disk);
    tcase_add_test(t, with_a_full_disk_a_confirming_publisher_gets_a_nack);
    tcase_add_test(t, with_a_full_disk_a_publisher_without_confirms_waits_and_loses_nothing);
    tcase_add_test(t, a_long_message_that_met_a_full_disk_fails_its_transaction);
    tcase_add_test(t, a_close_before_a_long_message_has_begun_keeps_the_replies_behind_it);
    tcase_add_test(t, a_delivery_unacked_for_too_long_closes_its_channel_and_goes_back);
    suite_add_tcase(s, t);
    return s;
}
