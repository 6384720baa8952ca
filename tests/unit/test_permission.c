// SPDX-License-Identifier: MIT
/* Who may do what where, over the core and an engine in memory. */
#include <check.h>

#include "tests/lib/core_rig.h"

static struct rig r;
static uint64_t vhost;
static client_id client;

static void setup(void)
{
    rig_open(&r, NULL);
    vhost = core_vhost_find(r.core, BYTES("/"));
    core_user_put(r.core, &(struct core_user){ .name = BYTES("u") });
    client = rig_client(&r);
    core_client_user(r.core, client, BYTES("u"));
}

static void teardown(void)
{
    core_client_close(r.core, client, r.now_ms);
    rig_close(&r);
}

static enum err permit(const char *configure, const char *write, const char *read)
{
    return core_permission_put(r.core,
                               &(struct def_permission){ vhost, BYTES("u"), bytes_str(configure),
                                                         bytes_str(write), bytes_str(read) });
}

static enum err permit_topic(const char *exchange, const char *write, const char *read)
{
    return core_topic_permission_put(
        r.core, &(struct def_topic_permission){ vhost, BYTES("u"), bytes_str(exchange),
                                                bytes_str(write), bytes_str(read) });
}

static bool may(enum permission what, const char *name)
{
    return core_may(r.core, client, what, bytes_str(name));
}

static bool may_as(enum permission what, const char *exchange, const char *key, const char *who,
                   bool swapped)
{
    const struct core_topic t = { bytes_str(exchange), bytes_str(key), bytes_str(who), swapped };

    return core_may_topic(r.core, client, what, &t);
}

static bool may_topic(enum permission what, const char *key)
{
    return may_as(what, "amq.topic", key, "me", false);
}

START_TEST(without_a_row_nothing_is_allowed_not_even_to_enter)
{
    ck_assert(!core_user_may_enter(r.core, BYTES("u"), vhost));
    ck_assert(!core_user_may_enter(r.core, BYTES("nobody"), vhost));
    for (unsigned what = PERMISSION_CONFIGURE; what <= PERMISSION_READ; what++)
        ck_assert(!may((enum permission)what, "a"));
    ck_assert_int_eq(permit("", "", ""), OK);
    ck_assert(core_user_may_enter(r.core, BYTES("u"), vhost));
    ck_assert(!core_user_may_enter(r.core, BYTES("u"), vhost + 1000));
    for (unsigned what = PERMISSION_CONFIGURE; what <= PERMISSION_READ; what++)
        ck_assert(!may((enum permission)what, "a"));
}
END_TEST

START_TEST(each_of_the_three_has_its_own_pattern)
{
    ck_assert_int_eq(permit("^c", "^w", "^r"), OK);
    for (int again = 0; again < 3; again++) {
        ck_assert(may(PERMISSION_CONFIGURE, "c") && !may(PERMISSION_CONFIGURE, "w"));
        ck_assert(may(PERMISSION_WRITE, "w") && !may(PERMISSION_WRITE, "r"));
        ck_assert(may(PERMISSION_READ, "r") && !may(PERMISSION_READ, "c"));
        ck_assert(!may(PERMISSION_READ, "w"));
    }
}
END_TEST

/* What was allowed last is not allowed for that when the rows have changed. */
START_TEST(a_change_counts_from_the_next_question_on)
{
    ck_assert_int_eq(permit("", "^a$", ""), OK);
    ck_assert(may(PERMISSION_WRITE, "a") && may(PERMISSION_WRITE, "a"));
    ck_assert_int_eq(permit("", "^b$", ""), OK);
    ck_assert(!may(PERMISSION_WRITE, "a") && may(PERMISSION_WRITE, "b"));
    ck_assert_int_eq(permit("", ".*", ""), OK);
    ck_assert(may(PERMISSION_WRITE, "a"));
    ck_assert_int_eq(permit_topic("amq.topic", "^{client_id}$", ""), OK);
    ck_assert(may_topic(PERMISSION_WRITE, "me") && may_topic(PERMISSION_WRITE, "me"));
    ck_assert_int_eq(permit_topic("amq.topic", "^not {client_id}$", ""), OK);
    ck_assert(!may_topic(PERMISSION_WRITE, "me") && may_topic(PERMISSION_WRITE, "not me"));
    core_user_put(r.core, &(struct core_user){ .name = BYTES("u"), .tags = BYTES("t") });
    ck_assert(!may_topic(PERMISSION_WRITE, "me") && may(PERMISSION_WRITE, "a"));
}
END_TEST

/* The name and the key must not be told apart by where they are cut. */
START_TEST(what_was_allowed_last_stands_for_itself_alone)
{
    ck_assert_int_eq(permit("^a$", "^a$", ""), OK);
    ck_assert(may(PERMISSION_WRITE, "a") && !may(PERMISSION_READ, "a"));
    ck_assert(!may(PERMISSION_WRITE, "") && !may(PERMISSION_WRITE, "aa"));
    rig_exchange(&r, "t", "topic", NULL);
    rig_exchange(&r, "tt", "topic", NULL);
    ck_assert_int_eq(permit_topic("t", "^ta$", ""), OK);
    ck_assert_int_eq(permit_topic("tt", "^never$", ""), OK);
    ck_assert(may_as(PERMISSION_WRITE, "t", "ta", "", false));
    ck_assert(!may_as(PERMISSION_WRITE, "tt", "a", "", false));
    ck_assert(!may_as(PERMISSION_READ, "t", "ta", "", false));
}
END_TEST

START_TEST(without_a_row_of_the_exchange_every_key_is_allowed)
{
    ck_assert_int_eq(permit(".*", ".*", ".*"), OK);
    ck_assert(may_topic(PERMISSION_WRITE, "a"));
    ck_assert_int_eq(permit_topic("amq.topic", "^a", ""), OK);
    ck_assert_int_eq(permit_topic("amq.direct", "", ""), OK);
    ck_assert(may_topic(PERMISSION_WRITE, "a.b") && !may_topic(PERMISSION_WRITE, "b"));
    ck_assert(!may_topic(PERMISSION_READ, "a"));
    ck_assert(may_as(PERMISSION_WRITE, "amq.direct", "a", "", false)); /* its keys are no topics */
    ck_assert(may_as(PERMISSION_WRITE, "not there", "a", "", false));
    rig_exchange(&r, "t", "topic", NULL);
    ck_assert(may_as(PERMISSION_WRITE, "t", "b", "", false));
}
END_TEST

START_TEST(names_in_a_pattern_are_the_clients_and_stand_for_themselves)
{
    ck_assert_int_eq(permit_topic("amq.topic", "^{username}\\.{vhost}\\.{client_id}$", "{client}"),
                     OK);
    ck_assert(may_as(PERMISSION_WRITE, "amq.topic", "u./.a.b", "a.b", false));
    client_id other = client;

    client = rig_join(&r, other); /* each client has one name */
    ck_assert(!may_as(PERMISSION_WRITE, "amq.topic", "u./.anything", ".*", false));
    ck_assert(may_as(PERMISSION_WRITE, "amq.topic", "u./..*", ".*", false));
    core_client_close(r.core, client, r.now_ms);
    client = rig_join(&r, other);
    ck_assert(may_as(PERMISSION_WRITE, "amq.topic", "u...a/b", "a.b", true));
    ck_assert(!may_as(PERMISSION_WRITE, "amq.topic", "u...a.b", "a.b", true));
    core_client_close(r.core, client, r.now_ms);
    client = rig_join(&r, other);
    ck_assert(!may_as(PERMISSION_WRITE, "amq.topic", "u./.", "", false));       /* it has no name */
    ck_assert(may_as(PERMISSION_READ, "amq.topic", "a {client} b", "", false)); /* no variable */
    core_client_close(r.core, client, r.now_ms);
    client = other;
}
END_TEST

START_TEST(a_channel_acts_for_the_user_of_its_connection_and_the_broker_for_nobody)
{
    client_id channel = rig_join(&r, client);

    ck_assert_int_eq(permit("", "^a$", ""), OK);
    ck_assert(core_may(r.core, channel, PERMISSION_WRITE, BYTES("a")));
    ck_assert(!core_may(r.core, channel, PERMISSION_WRITE, BYTES("b")));
    ck_assert(core_may(r.core, r.client, PERMISSION_WRITE, BYTES("b")));
    core_client_close(r.core, channel, r.now_ms);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused_and_nothing_changes)
{
    char why[PATTERN_WHY_BYTES];

    ck_assert_int_eq(permit("a", "b", "c"), OK);
    ck_assert_int_eq(permit("a", "(", "c"), ERR_INVALID);
    ck_assert(may(PERMISSION_WRITE, "b"));
    ck_assert_int_eq(permit_topic("amq.topic", "a", "({username}"), ERR_INVALID);
    ck_assert_int_eq(permit_topic("amq.topic", "[", "a"), ERR_INVALID);
    ck_assert(may_topic(PERMISSION_READ, "b"));
    ck_assert_int_eq(core_permission_put(
                         r.core, &(struct def_permission){ .vhost_id = vhost, .user = BYTES("v") }),
                     ERR_NOT_FOUND);
    ck_assert_int_eq(
        core_topic_permission_put(
            r.core, &(struct def_topic_permission){ .vhost_id = vhost + 1000, .user = BYTES("u") }),
        ERR_NOT_FOUND);
    ck_assert(core_topic_pattern_ok(BYTES("^{client_id}$"), why));
    ck_assert(!core_topic_pattern_ok(BYTES("^{client_id}($"), why));
    ck_assert_ptr_nonnull(strstr(why, "offset"));
}
END_TEST

START_TEST(rows_survive_and_what_is_the_same_is_not_written_again)
{
    uint64_t commits;

    ck_assert_int_eq(permit("c", "w", ""), OK);
    ck_assert_int_eq(permit_topic("amq.topic", "{username}", ""), OK);
    rig_run(&r);
    commits = r.commits;
    ck_assert_int_eq(permit("c", "w", ""), OK);
    ck_assert_int_eq(permit_topic("amq.topic", "{username}", ""), OK);
    rig_run(&r);
    ck_assert_uint_eq(r.commits, commits);
    rig_crash(&r, false);
    client = rig_client(&r);
    core_client_user(r.core, client, BYTES("u"));
    ck_assert(may(PERMISSION_WRITE, "w") && !may(PERMISSION_READ, "w"));
    ck_assert(may_topic(PERMISSION_WRITE, "u") && !may_topic(PERMISSION_WRITE, "v"));
}
END_TEST

Suite *permission_suite(void);

Suite *permission_suite(void)
{
    Suite *s = suite_create("permission");
    TCase *t = tcase_create("permission");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, without_a_row_nothing_is_allowed_not_even_to_enter);
    tcase_add_test(t, each_of_the_three_has_its_own_pattern);
    tcase_add_test(t, a_change_counts_from_the_next_question_on);
    tcase_add_test(t, what_was_allowed_last_stands_for_itself_alone);
    tcase_add_test(t, without_a_row_of_the_exchange_every_key_is_allowed);
    tcase_add_test(t, names_in_a_pattern_are_the_clients_and_stand_for_themselves);
    tcase_add_test(t, a_channel_acts_for_the_user_of_its_connection_and_the_broker_for_nobody);
    tcase_add_test(t, what_makes_no_sense_is_refused_and_nothing_changes);
    tcase_add_test(t, rows_survive_and_what_is_the_same_is_not_written_again);
    suite_add_tcase(s, t);
    return s;
}
