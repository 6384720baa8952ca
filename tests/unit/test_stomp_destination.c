// SPDX-License-Identifier: MIT
#include <check.h>

#include "base/mem.h"
#include "broker/session/stomp_destination.h"

Suite *stomp_destination_suite(void);

static struct buf room;
static struct stomp_destination to;

static void close_room(void)
{
    buf_fini(&room);
}

static const char *parse(const char *text)
{
    return stomp_destination_parse(bytes_str(text), &room, &to);
}

static void is(const char *text, enum stomp_kind kind, const char *exchange, const char *key)
{
    ck_assert_msg(!parse(text), "%s: refused", text);
    ck_assert_int_eq((int)to.kind, (int)kind);
    ck_assert_msg(bytes_eq(to.exchange, bytes_str(exchange)), "%s: exchange", text);
    ck_assert_msg(bytes_eq(to.key, bytes_str(key)), "%s: key", text);
}

START_TEST(each_kind_is_understood)
{
    is("/queue/a", STOMP_TO_QUEUE, "", "a");
    is("a", STOMP_TO_QUEUE, "", "a");
    is("/amq/queue/a.b", STOMP_TO_AMQ_QUEUE, "", "a.b");
    is("/topic/a.*.#", STOMP_TO_TOPIC, "amq.topic", "a.*.#");
    is("/exchange/x", STOMP_TO_EXCHANGE, "x", "");
    is("/exchange/x/", STOMP_TO_EXCHANGE, "x", "");
    is("/exchange/x/k", STOMP_TO_EXCHANGE, "x", "k");
    is("/temp-queue/t", STOMP_TO_TEMP_QUEUE, "", "t");
    is("/reply-queue/q", STOMP_TO_REPLY_QUEUE, "", "q");
}
END_TEST

/* Names of reply queues are the broker's, and a foreign one may have slashes. */
START_TEST(a_reply_queue_may_hold_slashes)
{
    is("/reply-queue/a/b//c", STOMP_TO_REPLY_QUEUE, "", "a/b//c");
}
END_TEST

START_TEST(percent_pairs_stand_for_bytes)
{
    is("/queue/a%2Fb%2fc%25", STOMP_TO_QUEUE, "", "a/b/c%");
    is("/exchange/x%2Fy/k%2F", STOMP_TO_EXCHANGE, "x/y", "k/");
    is("/queue/%C3%A9", STOMP_TO_QUEUE, "", "\xc3\xa9");
    is("/queue/%252F", STOMP_TO_QUEUE, "", "%2F");
}
END_TEST

START_TEST(a_percent_without_two_digits_is_itself)
{
    is("/queue/100%", STOMP_TO_QUEUE, "", "100%");
    is("/queue/%2", STOMP_TO_QUEUE, "", "%2");
    is("/queue/%g0%0g", STOMP_TO_QUEUE, "", "%g0%0g");
}
END_TEST

START_TEST(malformed_ones_are_refused)
{
    static const char *const bad[] = {
        "",
        "/",
        "/queue",
        "/queue/",
        "/queue/a/b",
        "/topic/",
        "/topic/a/b",
        "/exchange/",
        "/exchange//k",
        "/exchange/x/k/l",
        "/exchange",
        "/amq/queue",
        "/amq/queue/",
        "/amq/queue/a/b",
        "/temp-queue/",
        "/reply-queue/",
        "/elsewhere/a",
        "a/b",
        "//queue/a",
        "/Queue/a",
        " /queue/a",
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(parse(bad[i]) != NULL, "'%s' was accepted", bad[i]);
}
END_TEST

START_TEST(names_have_at_most_255_bytes)
{
    char text[600] = "/queue/";

    memset(text + 7, 'q', 255);
    ck_assert(!parse(text));
    text[7 + 255] = 'q';
    ck_assert(parse(text));
    memcpy(text, "/exchange/", 10);
    memset(text + 10, 'x', 256);
    text[266] = '\0';
    ck_assert(parse(text));
    memset(text, 0, sizeof text);
    memcpy(text, "/queue/", 7);
    for (size_t i = 0; i < 255; i++)
        memcpy(text + 7 + i % 197 * 3, "%41", 3);
    ck_assert_msg(!parse(text), "escapes count as what they stand for");
}
END_TEST

static void put_is(const char *exchange, const char *key, const char *want)
{
    struct buf out = { 0 };

    stomp_destination_put(&out, bytes_str(exchange), bytes_str(key));
    ck_assert_msg(bytes_eq(buf_view(&out), bytes_str(want)), "want %s, got %.*s", want,
                  BYTES_FMT(out));
    buf_fini(&out);
}

START_TEST(a_destination_is_rebuilt_as_it_was_sent)
{
    put_is("", "a", "/queue/a");
    put_is("amq.topic", "a.b", "/topic/a.b");
    put_is("x", "", "/exchange/x");
    put_is("x", "k", "/exchange/x/k");
    put_is("x/y", "k%", "/exchange/x%2Fy/k%25");
    put_is("", "\xc3\xa9\n", "/queue/%C3%A9%0A");
}
END_TEST

START_TEST(what_is_put_is_understood_again)
{
    struct buf out = { 0 };
    uint8_t name[3] = { 'n', 0, 'n' };

    for (unsigned c = 0; c < 256; c++) {
        name[1] = (uint8_t)c;
        out.n = 0;
        stomp_destination_put(&out, BYTES("e/x"), bytes_of(name, 3));
        ck_assert(!stomp_destination_parse(buf_view(&out), &room, &to));
        ck_assert(bytes_eq(to.key, bytes_of(name, 3)));
        ck_assert(bytes_eq(to.exchange, BYTES("e/x")));
    }
    buf_fini(&out);
}
END_TEST

START_TEST(a_bare_name_is_told_from_a_destination)
{
    ck_assert(stomp_destination_is_full(BYTES("/queue/a")));
    ck_assert(stomp_destination_is_full(BYTES("/reply-queue/a")));
    ck_assert(!stomp_destination_is_full(BYTES("amq.gen-1")));
    ck_assert(!stomp_destination_is_full(BYTES("")));
}
END_TEST

Suite *stomp_destination_suite(void)
{
    Suite *s = suite_create("stomp_destination");
    TCase *t = tcase_create("core");

    tcase_add_checked_fixture(t, NULL, close_room);
    tcase_add_test(t, each_kind_is_understood);
    tcase_add_test(t, a_reply_queue_may_hold_slashes);
    tcase_add_test(t, percent_pairs_stand_for_bytes);
    tcase_add_test(t, a_percent_without_two_digits_is_itself);
    tcase_add_test(t, malformed_ones_are_refused);
    tcase_add_test(t, names_have_at_most_255_bytes);
    tcase_add_test(t, a_destination_is_rebuilt_as_it_was_sent);
    tcase_add_test(t, what_is_put_is_understood_again);
    tcase_add_test(t, a_bare_name_is_told_from_a_destination);
    suite_add_tcase(s, t);
    return s;
}
