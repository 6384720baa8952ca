// SPDX-License-Identifier: MIT
/* The small state that an adapter keeps beside a queue. */
#include <check.h>
#include <stdio.h>

#include "tests/lib/core_rig.h"

static struct rig r;
static struct buf text;

static void setup(void)
{
    rig_open(&r, NULL);
    rig_queue(&r, "q", NULL);
    rig_run(&r);
}

static void teardown(void)
{
    rig_close(&r);
    buf_fini(&text);
}

static void note(const char *queue, const char *bytes)
{
    core_queue_note(r.core, r.client, bytes_str(queue), bytes_str(bytes));
    ck_assert(core_check(r.core));
}

static const char *noted(const char *queue)
{
    text.n = 0;
    buf_bytes(&text, core_queue_note_get(r.core, r.client, bytes_str(queue)));
    buf_u8(&text, 0);
    return (const char *)text.p;
}

static uint64_t rows(void)
{
    return mem_disk_stats(r.disk).notes;
}

static void delete_queue(const char *name)
{
    uint64_t count;
    const char *why;

    ck_assert_int_eq(
        core_queue_delete(r.core, r.client, bytes_str(name), false, false, &count, &why), OK);
    ck_assert(core_check(r.core));
}

START_TEST(a_note_is_there_until_another_takes_its_place)
{
    char bytes[] = "one";

    ck_assert_str_eq(noted("q"), "");
    note("q", bytes);
    bytes[0] = 'x';
    ck_assert_str_eq(noted("q"), "one");
    note("q", "another");
    ck_assert_str_eq(noted("q"), "another");
    note("q", "");
    ck_assert_str_eq(noted("q"), "");
    rig_run(&r);
    ck_assert_uint_eq(rows(), 0);
}
END_TEST

START_TEST(a_note_survives_a_crash_and_its_end_does_too)
{
    note("q", "one");
    rig_run(&r);
    rig_crash(&r, false);
    ck_assert_str_eq(noted("q"), "one");
    note("q", "two");
    rig_run(&r);
    rig_restart(&r);
    ck_assert_str_eq(noted("q"), "two");
    note("q", "");
    rig_run(&r);
    ck_assert_uint_eq(rows(), 0);
    rig_crash(&r, false);
    ck_assert_str_eq(noted("q"), "");
}
END_TEST

START_TEST(what_was_not_committed_is_as_before)
{
    note("q", "one");
    rig_run(&r);
    r.hold_commits = true;
    note("q", "two");
    rig_turn(&r);
    rig_crash(&r, false);
    ck_assert_str_eq(noted("q"), "one");
    note("q", "three");
    rig_turn(&r);
    note("q", "four");
    rig_crash(&r, true);
    ck_assert_str_eq(noted("q"), "three");
}
END_TEST

START_TEST(a_confirm_after_it_waits_until_it_is_on_disk)
{
    r.hold_commits = true;
    note("q", "one");
    ck_assert_uint_eq(core_confirm(r.core, r.client, false), 1);
    rig_turn(&r);
    ck_assert_uint_eq(rig_confirmed(&r, r.client), 0);
    rig_commit(&r);
    rig_turn(&r);
    ck_assert_uint_eq(rig_confirmed(&r, r.client), 1);
}
END_TEST

START_TEST(several_changes_of_a_commit_are_written_once)
{
    r.hold_commits = true;
    note("q", "one");
    note("q", "two");
    note("q", "");
    note("q", "three");
    rig_turn(&r);
    ck_assert_uint_eq(r.under_way->op_count, 1);
    ck_assert_uint_eq(rig_ops(&r, OP_NOTE_PUT), 1);
    rig_commit(&r);
    note("q", "");
    note("q", "four");
    note("q", "");
    rig_turn(&r);
    ck_assert_uint_eq(r.under_way->op_count, 1);
    ck_assert_uint_eq(rig_ops(&r, OP_NOTE_DELETE), 1);
    rig_commit(&r);
    note("q", "five");
    note("q", "");
    rig_turn(&r);
    ck_assert_ptr_null(r.under_way);
}
END_TEST

START_TEST(the_same_again_is_not_written)
{
    note("q", "one");
    rig_run(&r);
    r.hold_commits = true;
    note("q", "one");
    rig_turn(&r);
    ck_assert_ptr_null(r.under_way);
}
END_TEST

START_TEST(a_note_goes_with_its_queue)
{
    note("q", "one");
    rig_run(&r);
    delete_queue("q");
    rig_queue(&r, "q", NULL);
    ck_assert_str_eq(noted("q"), "");
    rig_run(&r);
    ck_assert_uint_eq(rows(), 0);
    note("q", "two");
    delete_queue("q");
    rig_run(&r);
    ck_assert_uint_eq(rows(), 0);
}
END_TEST

START_TEST(it_goes_with_its_queue_while_it_is_being_written)
{
    r.hold_commits = true;
    note("q", "one");
    rig_turn(&r);
    note("q", "two");
    delete_queue("q");
    r.hold_commits = false;
    rig_commit(&r);
    rig_run(&r);
    ck_assert_uint_eq(rows(), 0);
    rig_crash(&r, false);
}
END_TEST

START_TEST(the_note_of_a_queue_that_is_not_stored_is_not_either)
{
    struct queue_spec own = { .name = BYTES("own"), .durable = true, .exclusive = true };
    struct queue_spec t = { .name = BYTES("t") };
    struct queue_info info;
    const char *why;

    ck_assert_int_eq(core_queue_declare(r.core, r.client, &own, &info, &why, r.now_ms), OK);
    ck_assert_int_eq(core_queue_declare(r.core, r.client, &t, &info, &why, r.now_ms), OK);
    note("own", "one");
    note("t", "two");
    ck_assert_str_eq(noted("own"), "one");
    ck_assert_str_eq(noted("t"), "two");
    rig_run(&r);
    ck_assert_uint_eq(rows(), 0);
    note("t", "");
    note("own", "");
    ck_assert_str_eq(noted("t"), "");
    rig_run(&r);
    ck_assert_uint_eq(rows(), 0);
}
END_TEST

START_TEST(who_may_not_use_the_queue_notes_nothing)
{
    struct queue_spec own = { .name = BYTES("own"), .exclusive = true };
    client_id other = rig_client(&r);
    struct queue_info info;
    const char *why;

    ck_assert_int_eq(core_queue_declare(r.core, other, &own, &info, &why, r.now_ms), OK);
    note("own", "one");
    note("none", "one");
    ck_assert_str_eq(noted("own"), "");
    ck_assert_str_eq(noted("none"), "");
}
END_TEST

START_TEST(notes_of_many_queues_share_a_commit)
{
    char name[16], bytes[16];

    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof name, "q%d", i);
        rig_queue(&r, name, NULL);
        note(name, name);
    }
    r.hold_commits = true;
    rig_turn(&r);
    ck_assert_uint_eq(rig_ops(&r, OP_NOTE_PUT), 100);
    rig_crash(&r, true);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(bytes, sizeof bytes, "q%d", i);
        ck_assert_str_eq(noted(bytes), bytes);
    }
}
END_TEST

START_TEST(a_note_without_its_queue_is_deleted_at_the_start)
{
    struct commit *c = commit_new(1000);
    struct op *o = commit_op(c, OP_NOTE_PUT);

    o->id = 4711;
    o->bits = BYTES("lost");
    ck_assert_int_eq(engine_mem.commit(r.engine, c), OK);
    commit_free(&c);
    ck_assert_uint_eq(rows(), 1);
    rig_crash(&r, false);
    ck_assert_uint_eq(rows(), 0);
}
END_TEST

Suite *note_suite(void);

Suite *note_suite(void)
{
    Suite *s = suite_create("note");
    TCase *t = tcase_create("note");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_note_is_there_until_another_takes_its_place);
    tcase_add_test(t, a_note_survives_a_crash_and_its_end_does_too);
    tcase_add_test(t, what_was_not_committed_is_as_before);
    tcase_add_test(t, a_confirm_after_it_waits_until_it_is_on_disk);
    tcase_add_test(t, several_changes_of_a_commit_are_written_once);
    tcase_add_test(t, the_same_again_is_not_written);
    tcase_add_test(t, a_note_goes_with_its_queue);
    tcase_add_test(t, it_goes_with_its_queue_while_it_is_being_written);
    tcase_add_test(t, the_note_of_a_queue_that_is_not_stored_is_not_either);
    tcase_add_test(t, who_may_not_use_the_queue_notes_nothing);
    tcase_add_test(t, notes_of_many_queues_share_a_commit);
    tcase_add_test(t, a_note_without_its_queue_is_deleted_at_the_start);
    suite_add_tcase(s, t);
    return s;
}
