// SPDX-License-Identifier: MIT
#include <check.h>

#include "proto/detect.h"

Suite *detect_suite(void);

static const struct {
    const char *text;
    size_t n;
    enum protocol wanted;
} rows[] = {
    { "", sizeof("") - 1, PROTOCOL_UNKNOWN },
    { "A", sizeof("A") - 1, PROTOCOL_UNKNOWN },
    { "AMQP", sizeof("AMQP") - 1, PROTOCOL_AMQP },
    { "AMQP\0\0\x9\1", sizeof("AMQP\0\0\x9\1") - 1, PROTOCOL_AMQP },
    { "AMQ ", sizeof("AMQ ") - 1, PROTOCOL_NONE },
    { "CONNECT", sizeof("CONNECT") - 1, PROTOCOL_UNKNOWN },
    { "CONNECT\n", sizeof("CONNECT\n") - 1, PROTOCOL_STOMP },
    { "CONNECT\r", sizeof("CONNECT\r") - 1, PROTOCOL_UNKNOWN },
    { "CONNECT\r\nhost:/\r\n", sizeof("CONNECT\r\nhost:/\r\n") - 1, PROTOCOL_STOMP },
    { "\r\n\nSTOMP\n", sizeof("\r\n\nSTOMP\n") - 1, PROTOCOL_STOMP },
    { "\n\n", sizeof("\n\n") - 1, PROTOCOL_UNKNOWN },
    { "\nAMQP", sizeof("\nAMQP") - 1, PROTOCOL_NONE },
    { "CONNECT example.org:80 HTTP/1.1\r\n", sizeof("CONNECT example.org:80 HTTP/1.1\r\n") - 1,
      PROTOCOL_NONE },
    { "GET / HTTP/1.1\r\n", sizeof("GET / HTTP/1.1\r\n") - 1, PROTOCOL_HTTP },
    { "PUT / HTTP/1.1\r\n", sizeof("PUT / HTTP/1.1\r\n") - 1, PROTOCOL_NONE },
    { "\x16\3\1", sizeof("\x16\3\1") - 1, PROTOCOL_NONE },
};

static struct bytes in(int i)
{
    return bytes_of(rows[i].text, rows[i].n);
}

START_TEST(the_first_bytes_tell_the_protocol)
{
    ck_assert_int_eq(protocol_detect(in(_i)), rows[_i].wanted);
}
END_TEST

/* Whatever arrives first: no beginning of a known protocol is taken for another. */
START_TEST(no_cut_changes_the_answer)
{
    for (size_t n = 0; n < rows[_i].n; n++) {
        enum protocol early = protocol_detect(bytes_head(in(_i), n));

        ck_assert(early == PROTOCOL_UNKNOWN || early == rows[_i].wanted);
    }
}
END_TEST

Suite *detect_suite(void)
{
    Suite *s = suite_create("detect");
    TCase *t = tcase_create("detect");

    tcase_add_loop_test(t, the_first_bytes_tell_the_protocol, 0, sizeof rows / sizeof *rows);
    tcase_add_loop_test(t, no_cut_changes_the_answer, 0, sizeof rows / sizeof *rows);
    suite_add_tcase(s, t);
    return s;
}
