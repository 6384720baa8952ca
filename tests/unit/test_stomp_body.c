// SPDX-License-Identifier: MIT
/* Bodies of any length, in and out. */
#include "tests/lib/stomp_wire.h"
#include "tests/unit/stomp_heard.h"

Suite *stomp_body_suite(void);

static struct stomp_wire w;

static void open_wire(void)
{
    wire_open(&w, NULL);
    wire_peer(&w, 0, "1.2");
}

static void close_wire(void)
{
    wire_close(&w);
}

/* Says a SEND with a body of `n` bytes in pieces; its bytes are i % 251. */
static struct buf long_send(const char *headers, size_t n)
{
    struct buf frame = { 0 };

    buf_str(&frame, "SEND\ndestination:/queue/q\n");
    buf_str(&frame, headers);
    buf_fmt(&frame, "content-length:%zu\n\n", n);
    for (size_t i = 0; i < n; i++)
        buf_u8(&frame, (uint8_t)(i % 251));
    buf_u8(&frame, 0);
    for (size_t at = 0; at < frame.n; at += 9999)
        wire_bytes(&w, 0, bytes_head(bytes_from(buf_view(&frame), at), 9999));
    return frame;
}

/* Empty; within the frame; gathered; as a blob of one, two and several parts. */
START_TEST(bodies_may_be_binary_and_of_any_length)
{
    static const size_t sizes[] = { 0, 1000, 70000, 256 * 1024, 256 * 1024 + 1, 1000000, 3 << 20 };
    size_t n = sizes[_i];

    w.env.output_bytes = 8 << 20;
    wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n");
    struct buf frame = long_send("", n);

    wire_settle(&w);
    struct bytes out = buf_view(&w.peer[0]->out);

    ck_assert_uint_gt(out.n, n);
    ck_assert(memcmp(out.p + out.n - n - 1, frame.p + frame.n - n - 1, n + 1) == 0);
    (void)wire_hear(&w, 0);
    has(wire_ask(&w, 0, "SEND\ndestination:/queue/q\n\nnext"), "\ncontent-length:4\n\nnext^");
    buf_fini(&frame);
}
END_TEST

/* A long one without a content-length comes whole and is parted by us. */
START_TEST(a_long_body_may_end_at_its_nul)
{
    struct buf frame = { 0 };

    buf_str(&frame, "SEND\ndestination:/queue/q\n\n");
    for (size_t i = 0; i < 300000; i++)
        buf_u8(&frame, 'x');
    buf_u8(&frame, 0);
    wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n");
    wire_bytes(&w, 0, buf_view(&frame));
    wire_settle(&w);
    has(wire_hear(&w, 0), "\ncontent-length:300000\n\nxxx");
    buf_fini(&frame);
}
END_TEST

/* Nothing may come between the head of a MESSAGE and its end. */
START_TEST(other_frames_wait_behind_a_long_body)
{
    w.env.output_bytes = 100000;
    struct buf frame = long_send("", 1000000);
    struct buf all = { 0 };

    wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n");
    wire_settle(&w);
    ck_assert_uint_gt(w.peer[0]->out.n, 200000);
    wire_say(&w, 0, "SEND\ndestination:/queue/q\nreceipt:r\n\nsecond");
    for (unsigned i = 0; i < 20; i++) {
        wire_settle(&w);
        ck_assert_uint_le(w.peer[0]->out.n, 100000 + 2 * 256 * 1024);
        buf_bytes(&all, buf_view(&w.peer[0]->out));
        (void)wire_hear(&w, 0);
    }
    const uint8_t *body = memmem(all.p, all.n, "\n\n", 2);

    ck_assert_ptr_nonnull(body);
    ck_assert(memcmp(body + 2, frame.p + frame.n - 1000001, 1000001) == 0);
    ck_assert(memcmp(body + 2 + 1000001, "RECEIPT\n", 8) == 0);
    ck_assert(memmem(all.p, all.n, "second", 6) != NULL);
    buf_fini(&frame);
    buf_fini(&all);
}
END_TEST

START_TEST(an_error_waits_behind_a_long_body)
{
    w.env.output_bytes = 1000;
    struct buf frame = long_send("", 600000);

    wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n");
    wire_settle(&w);
    ck_assert_uint_gt(w.peer[0]->out.n, 1000);
    wire_say(&w, 0, "NONSENSE\n\n");
    ck_assert(!w.peer[0]->ending);
    size_t heard = 0;

    for (unsigned i = 0; i < 10 && !w.peer[0]->ending; i++) {
        heard += w.peer[0]->out.n;
        (void)wire_hear(&w, 0);
        wire_settle(&w);
    }
    ck_assert(w.peer[0]->ending);
    ck_assert_uint_gt(heard + w.peer[0]->out.n, 600000);
    struct bytes out = buf_view(&w.peer[0]->out);

    ck_assert(memmem(out.p, out.n, "\0ERROR\n", 7) != NULL);
    buf_fini(&frame);
}
END_TEST

/* Who does not take it is not waited for for ever. */
START_TEST(a_peer_that_does_not_read_its_last_words_is_left)
{
    w.env.output_bytes = 1000;
    struct buf frame = long_send("", 600000);

    wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n");
    wire_say(&w, 0, "DISCONNECT\nreceipt:d\n\n");
    wire_settle(&w);
    wire_say(&w, 0, "NONSENSE\n\n");
    wire_wait(&w, 29999);
    buf_fini(&frame);
    wire_wait(&w, 1);
    ck_assert(w.peer[0]->ending);
}
END_TEST

START_TEST(a_long_body_that_is_refused_leaves_nothing)
{
    static const char *const headers[] = { "priority:x\n", "transaction:none\n",
                                           "x-max-length:1\nx-overflow:reject-publish\n" };

    for (unsigned i = 0; i < 3; i++) {
        for (unsigned k = 0; k < 2 && !w.peer[0]->ending; k++) {
            struct buf frame = long_send(headers[i], 400000);

            buf_fini(&frame);
        }
        wire_settle(&w);
        ck_assert(w.peer[0]->ending);
        wire_hang_up(&w, 0);
        wire_peer(&w, 0, "1.2");
    }
    wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n");
    wire_settle(&w);
    (void)wire_hear(&w, 0);
    wire_settle(&w);
    ck_assert_uint_eq(mem_disk_stats(engine_mem_disk(w.engine)).parts, 0);
}
END_TEST

START_TEST(a_long_body_may_be_in_a_transaction)
{
    wire_say(&w, 0, "SUBSCRIBE\nid:0\ndestination:/queue/q\n\n");
    wire_say(&w, 0, "BEGIN\ntransaction:t\n\n");
    struct buf frame = long_send("transaction:t\n", 300000);

    buf_fini(&frame);
    wire_settle(&w);
    ck_assert_str_eq(wire_hear(&w, 0), "");
    has(wire_ask(&w, 0, "COMMIT\ntransaction:t\n\n"), "content-length:300000\n");
}
END_TEST

START_TEST(a_body_over_the_limit_is_an_error_before_it_came)
{
    has(wire_ask(&w, 0, "SEND\ndestination:/queue/q\ncontent-length:4194305\n\n"),
        "message:Malformed frame\n");
    ck_assert(w.peer[0]->ending);
}
END_TEST

Suite *stomp_body_suite(void)
{
    Suite *s = suite_create("stomp_body");
    TCase *t = tcase_create("core");

    tcase_add_checked_fixture(t, open_wire, close_wire);
    tcase_add_loop_test(t, bodies_may_be_binary_and_of_any_length, 0, 7);
    tcase_add_test(t, a_long_body_may_end_at_its_nul);
    tcase_add_test(t, other_frames_wait_behind_a_long_body);
    tcase_add_test(t, an_error_waits_behind_a_long_body);
    tcase_add_test(t, a_peer_that_does_not_read_its_last_words_is_left);
    tcase_add_test(t, a_long_body_that_is_refused_leaves_nothing);
    tcase_add_test(t, a_long_body_may_be_in_a_transaction);
    tcase_add_test(t, a_body_over_the_limit_is_an_error_before_it_came);
    suite_add_tcase(s, t);
    return s;
}
