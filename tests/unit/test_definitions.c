// SPDX-License-Identifier: MIT
/* A file of users, vhosts and permissions: what is read, and what is said of the rest. */
#include <check.h>

#include "base/mem.h"
#include "config/definitions.h"

static struct settings_fault why;

static struct definitions *read_text(const char *text)
{
    why.text[0] = 0;
    return definitions_read(bytes_str(text), &why);
}

static void assert_fault(const char *text, const char *says)
{
    struct definitions *d = read_text(text);

    ck_assert_msg(!d, "taken: %s", text);
    ck_assert_msg(strstr(why.text, says), "%s: said '%s', not '%s'", text, why.text, says);
}

START_TEST(what_the_file_says_is_there_in_its_order)
{
    struct definitions *d = read_text(
        "{\"users\": [{\"name\": \"a\", \"password\": \"p\\u00e4\", \"tags\": [\"x\", \"y\"]},"
        " {\"password_hash\": \"$y$\", \"name\": \"b\", \"tags\": \"z\"}, {\"name\": \"c\"}],"
        " \"vhosts\": [{\"name\": \"/\"}],"
        " \"permissions\": [{\"user\": \"a\", \"vhost\": \"/\", \"configure\": \"\","
        " \"write\": \".*\", \"read\": \"^a\\\\.b$\"}],"
        " \"topic_permissions\": [{\"user\": \"a\", \"vhost\": \"/\", \"exchange\": \"amq.topic\","
        " \"write\": \"{username}\", \"read\": \"\"}]}\n");

    ck_assert_msg(d, "%s", why.text);
    ck_assert_uint_eq(d->user_count, 3);
    ck_assert_str_eq(d->user[0].password, "p\xc3\xa4");
    ck_assert_str_eq(d->user[0].tags, "x,y");
    ck_assert_ptr_null(d->user[0].password_hash);
    ck_assert_str_eq(d->user[1].name, "b");
    ck_assert_str_eq(d->user[1].password_hash, "$y$");
    ck_assert_str_eq(d->user[1].tags, "z");
    ck_assert_ptr_null(d->user[2].tags);
    ck_assert_uint_eq(d->vhost_count, 1);
    ck_assert_uint_eq(d->permission_count, 1);
    ck_assert_str_eq(d->permission[0].configure, "");
    ck_assert_str_eq(d->permission[0].read, "^a\\.b$");
    ck_assert_uint_eq(d->topic_permission_count, 1);
    ck_assert_str_eq(d->topic_permission[0].exchange, "amq.topic");
    ck_assert_uint_eq(d->passed_over.n, 0);
    definitions_free(&d);
    ck_assert_ptr_null(d);
}
END_TEST

START_TEST(what_is_wrong_is_named_by_its_place)
{
    assert_fault("", "line 1, column 1: not valid JSON");
    assert_fault("{\"users\": [\n  {\"name\": x}]}", "line 2, column 12: not valid JSON");
    assert_fault("{} {}", "line 1, column 4: not valid JSON");
    assert_fault("[]", "the file must hold one object");
    assert_fault("{\"users\": {}}", "users: must be a list");
    assert_fault("{\"users\": [7]}", "users[0]: must be an object");
    assert_fault("{\"users\": [{\"name\": \"a\"}, {\"name\": 7}]}",
                 "users[1].name: must be a string");
    assert_fault("{\"users\": [{}]}", "users[0].name: is missing");
    assert_fault("{\"users\": [{\"name\": \"\"}]}", "users[0].name: 0 bytes is out of range");
    assert_fault("{\"users\": [{\"name\": \"a\", \"name\": \"b\"}]}", "users[0].name: given twice");
    assert_fault("{\"users\": [{\"name\": \"a\", \"tags\": [1]}]}",
                 "users[0].tags: must be a string or a list of strings");
    assert_fault("{\"users\": [{\"name\": \"\xff\"}]}", "users[0].name: is not valid UTF-8");
    assert_fault("{\"users\": [{\"name\": \"a\\u0000b\"}]}", "column 23: not valid JSON");
    assert_fault("{\"users\": [{\"name\": \"a\"}], \"users\": [{\"name\": \"b\"}]}",
                 "users: given twice");
    assert_fault("{\"vhosts\": [{\"name\": null}]}", "vhosts[0].name: must be a string");
    assert_fault("{\"permissions\": [{\"user\": \"a\", \"vhost\": \"/\", \"configure\": \"\","
                 " \"write\": \"\"}]}",
                 "permissions[0].read: is missing");
    assert_fault("{\"topic_permissions\": [{\"user\": \"a\", \"vhost\": \"/\", \"write\": \"\","
                 " \"read\": \"\"}]}",
                 "topic_permissions[0].exchange: is missing");
}
END_TEST

static void put_user(struct buf *b, const char *member, size_t bytes)
{
    b->n = 0;
    buf_fmt(b, "{\"users\": [{\"name\": \"a\", \"%s\": \"", member);
    for (size_t i = 0; i < bytes; i++)
        buf_u8(b, 'x');
    buf_str(b, "\"}]}");
}

START_TEST(texts_have_a_length)
{
    static const struct {
        const char *member;
        size_t most;
    } all[] = { { "password", DEFINED_PASSWORD_MAX_BYTES },
                { "password_hash", DEFINED_HASH_MAX_BYTES },
                { "tags", DEFINED_NAME_MAX_BYTES } };
    struct buf b = { 0 };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        put_user(&b, all[i].member, all[i].most);
        struct definitions *d = definitions_read(buf_view(&b), &why);
        ck_assert_msg(d, "%s", why.text);
        definitions_free(&d);
        put_user(&b, all[i].member, all[i].most + 1);
        ck_assert_ptr_null(definitions_read(buf_view(&b), &why));
        ck_assert_ptr_nonnull(strstr(why.text, "out of range"));
    }
    buf_fini(&b);
}
END_TEST

START_TEST(more_users_than_allowed_are_refused)
{
    struct buf b = { 0 };

    buf_str(&b, "{\"users\": [");
    for (int i = 0; i <= DEFINED_USERS_MAX; i++)
        buf_fmt(&b, "%s{\"name\": \"u%d\"}", i ? ", " : "", i);
    buf_str(&b, "]}");
    ck_assert_ptr_null(definitions_read(buf_view(&b), &why));
    ck_assert_str_eq(why.text, "users: more than 100000");
    buf_fini(&b);
}
END_TEST

START_TEST(what_is_not_imported_is_named_once)
{
    struct definitions *d = read_text(
        "{\"rabbit_version\": \"3\", \"queues\": [{}], \"policies\": [], \"parameters\": [{}],"
        " \"users\": [{\"name\": \"a\", \"limits\": {}}, {\"name\": \"b\", \"limits\": {}}],"
        " \"global\": {\"a\": 1}}");

    ck_assert_msg(d, "%s", why.text);
    buf_u8(&d->passed_over, 0);
    ck_assert_str_eq((const char *)d->passed_over.p, "queues, parameters, users[].limits, global");
    definitions_free(&d);
}
END_TEST

START_TEST(a_file_that_is_not_there_is_said_so)
{
    ck_assert_ptr_null(definitions_load("/no/such/file", &why));
    ck_assert_str_eq(why.text, "No such file or directory");
    ck_assert_ptr_null(definitions_load("/", &why));
    ck_assert_str_eq(why.text, "Is a directory");
}
END_TEST

Suite *definitions_suite(void);

Suite *definitions_suite(void)
{
    Suite *s = suite_create("definitions");
    TCase *t = tcase_create("definitions");

    tcase_add_test(t, what_the_file_says_is_there_in_its_order);
    tcase_add_test(t, what_is_wrong_is_named_by_its_place);
    tcase_add_test(t, texts_have_a_length);
    tcase_add_test(t, more_users_than_allowed_are_refused);
    tcase_add_test(t, what_is_not_imported_is_named_once);
    tcase_add_test(t, a_file_that_is_not_there_is_said_so);
    suite_add_tcase(s, t);
    return s;
}
