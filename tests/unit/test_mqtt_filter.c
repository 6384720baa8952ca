// SPDX-License-Identifier: MIT
#include <check.h>

#include "base/mem.h"
#include "proto/mqtt_topic.h"

#define COUNT_OF(a) (sizeof(a) / sizeof(a)[0])

/* Each on a copy of its exact size, so that reading on is seen. */
static uint8_t *copy_of(struct bytes *b)
{
    uint8_t *exact = mem_alloc(b->n);

    if (b->n)
        memcpy(exact, b->p, b->n);
    b->p = exact;
    return exact;
}

static bool text(struct bytes b)
{
    uint8_t *exact = copy_of(&b);
    bool ok = mqtt_text_valid(b);

    mem_free(exact);
    return ok;
}

static bool topic(struct bytes b)
{
    uint8_t *exact = copy_of(&b);
    bool ok = mqtt_topic_valid(b);

    mem_free(exact);
    return ok;
}

static bool filter(struct bytes b)
{
    uint8_t *exact = copy_of(&b);
    bool ok = mqtt_filter_valid(b);

    mem_free(exact);
    return ok;
}

static bool match(const char *f, const char *t)
{
    struct bytes a = bytes_str(f), b = bytes_str(t);
    uint8_t *a_exact = copy_of(&a), *b_exact = copy_of(&b);

    ck_assert(mqtt_filter_valid(a) && mqtt_topic_valid(b));
    bool ok = mqtt_filter_match(a, b);
    mem_free(a_exact);
    mem_free(b_exact);
    return ok;
}

/* ---- texts ---- */

/* [MQTT-1.5.4-1], 3.1.1: [MQTT-1.5.3-1] */
START_TEST(a_text_is_well_formed_utf_8)
{
    ck_assert(text(BYTES("")));
    ck_assert(text(BYTES("plain")));
    ck_assert(text(BYTES("A\xf0\xaa\x9b\x94"))); /* the example of 1.5.4.1 */
    ck_assert(text(BYTES("gr\xc3\xbc\xc3\x9f")));
    ck_assert(!text(BYTES("\xed\xa0\x80"))); /* U+D800 */
    ck_assert(!text(BYTES("\xed\xbf\xbf"))); /* U+DFFF */
    ck_assert(!text(BYTES("\xc0\x80")));
    ck_assert(!text(BYTES("eight by\xff")));
    ck_assert(!text(BYTES("cut \xe2\x82")));
    ck_assert(!text(BYTES("\xf4\x90\x80\x80")));
}
END_TEST

/* [MQTT-1.5.4-2], 3.1.1: [MQTT-1.5.3-2], wherever it is in a word of eight. */
START_TEST(a_text_has_no_u_0000)
{
    for (size_t n = 1; n <= 20; n++) {
        for (size_t at = 0; at < n; at++) {
            uint8_t b[20];

            memset(b, 'a', sizeof b);
            ck_assert(text(bytes_of(b, n)));
            ck_assert(topic(bytes_of(b, n)));
            b[at] = 0;
            ck_assert(!text(bytes_of(b, n)));
            ck_assert(!topic(bytes_of(b, n)));
            ck_assert(!filter(bytes_of(b, n)));
            b[at] = 0x80;
            ck_assert(!text(bytes_of(b, n)));
            ck_assert(!topic(bytes_of(b, n)));
            ck_assert(!filter(bytes_of(b, n)));
        }
    }
}
END_TEST

/* [MQTT-1.5.4-3], 3.1.1: [MQTT-1.5.3-3] */
START_TEST(a_byte_order_mark_and_control_characters_are_text)
{
    ck_assert(text(BYTES("\xef\xbb\xbf")));
    ck_assert(topic(BYTES("\xef\xbb\xbf/a")));
    ck_assert(!mqtt_filter_match(BYTES("a"), BYTES("\xef\xbb\xbf"
                                                   "a")));
    ck_assert(text(BYTES("\x01\x1f\x7f\xc2\x80\xef\xbf\xbf")));
}
END_TEST

/* [MQTT-4.7.3-3] */
START_TEST(a_text_has_at_most_65535_bytes)
{
    uint8_t *long_one = mem_alloc(65536);

    memset(long_one, 'x', 65536);
    ck_assert(mqtt_text_valid(bytes_of(long_one, 65535)));
    ck_assert(mqtt_topic_valid(bytes_of(long_one, 65535)));
    ck_assert(mqtt_filter_valid(bytes_of(long_one, 65535)));
    ck_assert(!mqtt_text_valid(bytes_of(long_one, 65536)));
    ck_assert(!mqtt_topic_valid(bytes_of(long_one, 65536)));
    ck_assert(!mqtt_filter_valid(bytes_of(long_one, 65536)));
    mem_free(long_one);
}
END_TEST

/* ---- topic names ---- */

/* [MQTT-4.7.3-1, 4.7.0-1, 3.3.2-2], 3.1.1: [MQTT-4.7.1-1] */
START_TEST(a_topic_is_not_empty_and_has_no_wildcard)
{
    ck_assert(!topic(BYTES("")));
    ck_assert(topic(BYTES("/")));
    ck_assert(topic(BYTES(" ")));
    ck_assert(topic(BYTES("//")));
    ck_assert(topic(BYTES("$SYS/x")));
    ck_assert(topic(BYTES("Accounts payable/\xe2\x82\xac")));
    for (size_t at = 0; at < 12; at++) {
        uint8_t b[12] = { 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a' };

        b[at] = '+';
        ck_assert(!topic(bytes_of(b, sizeof b)));
        b[at] = '#';
        ck_assert(!topic(bytes_of(b, sizeof b)));
        b[at] = '*';
        ck_assert(topic(bytes_of(b, sizeof b)));
    }
    ck_assert(!topic(BYTES("\xe2\x82\xac/+")));
}
END_TEST

/* ---- filters ---- */

/* [MQTT-4.7.1-1, 4.7.1-2], 3.1.1: [MQTT-4.7.1-2, 4.7.1-3]; the examples are the standard's. */
START_TEST(wildcards_of_a_filter_have_a_level_of_their_own_and_number_sign_is_last)
{
    struct bytes good[] = { BYTES("a"),          BYTES("/"),
                            BYTES("+"),          BYTES("#"),
                            BYTES("sport/#"),    BYTES("sport/tennis/#"),
                            BYTES("+/tennis/#"), BYTES("sport/+/player1"),
                            BYTES("/+"),         BYTES("+/+"),
                            BYTES("//#"),        BYTES("/+/"),
                            BYTES("$SYS/#"),     BYTES("\xe2\x82\xac/+/\xe2\x82\xac") };
    struct bytes bad[] = { BYTES(""),
                           BYTES("sport/tennis#"),
                           BYTES("sport/tennis/#/ranking"),
                           BYTES("sport+"),
                           BYTES("#/"),
                           BYTES("##"),
                           BYTES("++"),
                           BYTES("+a"),
                           BYTES("a/+b/c"),
                           BYTES("#a"),
                           BYTES("a/#/"),
                           BYTES("+#"),
                           BYTES("#+"),
                           BYTES("\xe2\x82\xac+/a"),
                           BYTES("+/\xff") };

    for (size_t i = 0; i < COUNT_OF(good); i++)
        ck_assert_msg(filter(good[i]), "good %zu", i);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        ck_assert_msg(!filter(bad[i]), "bad %zu", i);
}
END_TEST

/* ---- shared subscriptions ---- */

/* [MQTT-4.8.2-1, 4.8.2-2] */
START_TEST(a_shared_subscription_is_a_group_and_a_filter)
{
    static const struct {
        const char *filter;
        enum mqtt_share share;
        const char *group, *rest;
    } cases[] = {
        { "$share/consumer1/sport/tennis/+", MQTT_SHARE_OK, "consumer1", "sport/tennis/+" },
        { "$share/g//finance", MQTT_SHARE_OK, "g", "/finance" },
        { "$share/g/#", MQTT_SHARE_OK, "g", "#" },
        { "$share/g//", MQTT_SHARE_OK, "g", "/" },
        { "$share/g/$SYS/x", MQTT_SHARE_OK, "g", "$SYS/x" },
        { "$share/\xe2\x82\xac/a", MQTT_SHARE_OK, "\xe2\x82\xac", "a" },
        { "a/b", MQTT_SHARE_NONE, "", "a/b" },
        { "$share", MQTT_SHARE_NONE, "", "$share" },
        { "$shared/g/a", MQTT_SHARE_NONE, "", "$shared/g/a" },
        { "$SHARE/g/a", MQTT_SHARE_NONE, "", "$SHARE/g/a" },
        { "/$share/g/a", MQTT_SHARE_NONE, "", "/$share/g/a" },
        { "", MQTT_SHARE_NONE, "", "" },
        { "$share/", MQTT_SHARE_BAD, NULL, NULL },
        { "$share//", MQTT_SHARE_BAD, NULL, NULL },
        { "$share//a", MQTT_SHARE_BAD, NULL, NULL },
        { "$share/g", MQTT_SHARE_BAD, NULL, NULL },
        { "$share/g/", MQTT_SHARE_BAD, NULL, NULL },
        { "$share/+/a", MQTT_SHARE_BAD, NULL, NULL },
        { "$share/g#/a", MQTT_SHARE_BAD, NULL, NULL },
        { "$share/#", MQTT_SHARE_BAD, NULL, NULL },
        { "$share/g/a+", MQTT_SHARE_BAD, NULL, NULL },
        { "$share/g/#/a", MQTT_SHARE_BAD, NULL, NULL },
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes in = bytes_str(cases[i].filter), group, rest;
        uint8_t *exact = copy_of(&in);

        ck_assert_msg(mqtt_share_split(in, &group, &rest) == cases[i].share, "%s", cases[i].filter);
        if (cases[i].group) {
            ck_assert(bytes_eq(group, bytes_str(cases[i].group)));
            ck_assert(bytes_eq(rest, bytes_str(cases[i].rest)));
        }
        mem_free(exact);
    }
}
END_TEST

/* ---- matching ---- */

START_TEST(a_filter_without_wildcards_matches_itself_alone)
{
    ck_assert(match("sport/tennis", "sport/tennis"));
    ck_assert(!match("sport/tennis", "sport"));
    ck_assert(!match("sport", "sport/tennis"));
    ck_assert(!match("sport/tennis", "sport/tenni"));
    ck_assert(!match("sport/tenni", "sport/tennis"));
    ck_assert(match("ACCOUNTS", "ACCOUNTS"));
    ck_assert(!match("ACCOUNTS", "Accounts")); /* 4.7.3: case matters */
    ck_assert(match("a.b/c", "a.b/c"));
    ck_assert(!match("a.b", "a/b"));
    ck_assert(match("$SYS/x", "$SYS/x"));
}
END_TEST

START_TEST(a_plus_matches_one_level_and_an_empty_one_too)
{
    ck_assert(match("sport/tennis/+", "sport/tennis/player1"));
    ck_assert(!match("sport/tennis/+", "sport/tennis/player1/ranking"));
    ck_assert(!match("sport/+", "sport"));
    ck_assert(match("sport/+", "sport/"));
    ck_assert(match("+", "finance"));
    ck_assert(!match("+", "/finance"));
    ck_assert(match("+/+", "/finance"));
    ck_assert(match("/+", "/finance"));
    ck_assert(match("+/+", "/"));
    ck_assert(match("a/+/c", "a//c"));
    ck_assert(!match("a/+/c", "a/c"));
    ck_assert(match("+/b", "a/b"));
    ck_assert(!match("+/b", "a/c"));
}
END_TEST

/* The parent is matched as well [4.7.1.2]. */
START_TEST(a_number_sign_matches_all_levels_below_and_the_parent)
{
    ck_assert(match("sport/tennis/player1/#", "sport/tennis/player1"));
    ck_assert(match("sport/tennis/player1/#", "sport/tennis/player1/ranking"));
    ck_assert(match("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"));
    ck_assert(match("sport/#", "sport"));
    ck_assert(!match("sport/#", "sports"));
    ck_assert(!match("sport/#", "spor"));
    ck_assert(match("#", "a"));
    ck_assert(match("#", "/"));
    ck_assert(match("#", "a/b/c"));
    ck_assert(match("+/#", "a"));
    ck_assert(match("+/tennis/#", "sport/tennis"));
    ck_assert(match("/#", "/"));
    ck_assert(!match("a/b/#", "a"));
}
END_TEST

START_TEST(empty_levels_count)
{
    ck_assert(match("/finance", "/finance"));
    ck_assert(!match("/finance", "finance"));
    ck_assert(!match("finance", "/finance"));
    ck_assert(!match("a/", "a"));
    ck_assert(!match("a", "a/"));
    ck_assert(!match("a/b", "a//b"));
    ck_assert(match("//", "//"));
    ck_assert(!match("//", "/"));
}
END_TEST

/* [MQTT-4.7.2-1] */
START_TEST(a_wildcard_in_the_first_level_matches_no_dollar_topic)
{
    ck_assert(!match("#", "$SYS/monitor/Clients"));
    ck_assert(!match("+/monitor/Clients", "$SYS/monitor/Clients"));
    ck_assert(!match("+", "$SYS"));
    ck_assert(match("$SYS/#", "$SYS/monitor/Clients"));
    ck_assert(match("$SYS/#", "$SYS"));
    ck_assert(match("$SYS/monitor/+", "$SYS/monitor/Clients"));
    ck_assert(match("+/#", "a/$b"));
    ck_assert(match("#", "a$"));
    ck_assert(match("#", "/$SYS"));
}
END_TEST

Suite *mqtt_filter_suite(void);

Suite *mqtt_filter_suite(void)
{
    Suite *s = suite_create("mqtt_filter");
    TCase *t = tcase_create("mqtt_filter");

    tcase_add_test(t, a_text_is_well_formed_utf_8);
    tcase_add_test(t, a_text_has_no_u_0000);
    tcase_add_test(t, a_byte_order_mark_and_control_characters_are_text);
    tcase_add_test(t, a_text_has_at_most_65535_bytes);
    tcase_add_test(t, a_topic_is_not_empty_and_has_no_wildcard);
    tcase_add_test(t, wildcards_of_a_filter_have_a_level_of_their_own_and_number_sign_is_last);
    tcase_add_test(t, a_shared_subscription_is_a_group_and_a_filter);
    tcase_add_test(t, a_filter_without_wildcards_matches_itself_alone);
    tcase_add_test(t, a_plus_matches_one_level_and_an_empty_one_too);
    tcase_add_test(t, a_number_sign_matches_all_levels_below_and_the_parent);
    tcase_add_test(t, empty_levels_count);
    tcase_add_test(t, a_wildcard_in_the_first_level_matches_no_dollar_topic);
    suite_add_tcase(s, t);
    return s;
}
