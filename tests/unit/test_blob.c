// SPDX-License-Identifier: MIT
#include <check.h>
#include <stdlib.h>

#include "base/buf.h"
#include "tests/lib/core_rig.h"

enum { SIZE = 2 * BLOB_PART_BYTES + 1000, PARTS = 3 };

static struct rig r;

static void setup(void)
{
    rig_open(&r, NULL);
    rig_queue(&r, "q", NULL);
}

static void teardown(void)
{
    rig_close(&r);
}

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 7 + i / 251);
}

/* Begins a body of SIZE bytes and hands over the first `n`, in uneven pieces. */
static uint64_t begin(size_t n)
{
    const char *why;
    uint64_t id = core_blob_begin(r.core, r.client, SIZE, &why);
    uint8_t piece[1009];

    ck_assert_uint_ne(id, 0);
    for (size_t done = 0, now; done < n; done += now) {
        now = n - done < sizeof piece ? n - done : sizeof piece;
        for (size_t i = 0; i < now; i++)
            piece[i] = byte_at(done + i);
        core_blob_append(r.core, id, bytes_of(piece, now));
    }
    return id;
}

static void publish(uint64_t id)
{
    struct publish p = { .persistent = true };
    const char *why;

    p.m.routing_key = BYTES("q");
    p.m.blob_id = id;
    p.m.body_size = SIZE;
    ck_assert_int_eq(core_publish(r.core, r.client, &p, &why, r.now_ms), PUBLISH_ROUTED);
}

static struct mem_disk_stats disk(void)
{
    return mem_disk_stats(r.disk);
}

static const struct rig_effect *deliver(consumer_id *k)
{
    *k = rig_consume(&r, r.client, &(struct rig_consume){ .queue = "q", .prefetch = 1 });
    rig_run(&r);
    return rig_next(&r, EFFECT_DELIVER);
}

START_TEST(a_long_body_comes_back_part_by_part)
{
    consumer_id k;

    publish(begin(SIZE));
    rig_run(&r);
    const struct rig_effect *d = deliver(&k);
    ck_assert_ptr_nonnull(d);
    ck_assert_uint_eq(d->m.body_size, SIZE);
    uint64_t blob = d->m.blob_id, tag = d->e.tag;
    size_t got = 0;

    for (uint32_t part = 0; part < PARTS; part++) {
        core_blob_want(r.core, r.client, blob, part);
        rig_run(&r);
        const struct rig_effect *e = rig_next(&r, EFFECT_PART);
        ck_assert_ptr_nonnull(e);
        ck_assert(!e->e.refused);
        ck_assert_uint_eq(e->e.part, part);
        got += e->e.data.n;
    }
    ck_assert_uint_eq(got, SIZE);
    core_blob_done(r.core, r.client, blob);
    ck_assert_int_eq(rig_settle(&r, r.client, k, tag, SETTLE_ACK), OK);
    rig_run(&r);
    rig_run(&r);
    ck_assert_uint_eq(disk().blobs + disk().parts + disk().batches, 0);
}
END_TEST

START_TEST(parts_go_to_disk_before_the_message_is_whole)
{
    begin(BLOB_PART_BYTES + 1);
    rig_run(&r);
    ck_assert_uint_eq(disk().parts, 1);
    ck_assert_uint_eq(disk().blobs, 0);
}
END_TEST

START_TEST(parts_of_a_publisher_that_left_are_deleted)
{
    client_id other = r.client;

    begin(2 * BLOB_PART_BYTES);
    rig_run(&r);
    ck_assert_uint_eq(disk().parts, 2);
    r.client = rig_client(&r);
    core_client_close(r.core, other, r.now_ms);
    rig_run(&r);
    ck_assert_uint_eq(disk().parts, 0);
}
END_TEST

START_TEST(a_blob_read_by_somebody_outlives_its_message)
{
    consumer_id k;

    publish(begin(SIZE));
    rig_run(&r);
    const struct rig_effect *d = deliver(&k);
    ck_assert_ptr_nonnull(d);
    uint64_t blob = d->m.blob_id;
    ck_assert_int_eq(rig_settle(&r, r.client, k, d->e.tag, SETTLE_ACK), OK);
    rig_run(&r);
    ck_assert_uint_eq(disk().parts, PARTS);
    core_blob_done(r.core, r.client, blob);
    rig_run(&r);
    ck_assert_uint_eq(disk().parts, 0);
}
END_TEST

START_TEST(a_long_body_survives_a_crash)
{
    consumer_id k;

    publish(begin(SIZE));
    rig_run(&r);
    rig_crash(&r, false);
    rig_restart(&r);
    const struct rig_effect *d = deliver(&k);
    ck_assert_ptr_nonnull(d);
    ck_assert_uint_eq(d->m.body_size, SIZE);
}
END_TEST

/* It would be delivered, fail, come back and be delivered again for ever. */
START_TEST(a_message_whose_part_cannot_be_read_is_set_aside)
{
    consumer_id k;

    publish(begin(SIZE));
    rig_put(&r, "q", "behind it");
    rig_run(&r);
    const struct rig_effect *d = deliver(&k);
    ck_assert_ptr_nonnull(d);
    mem_disk_fail_loads(r.disk, true);
    core_blob_want(r.core, r.client, d->m.blob_id, 0);
    rig_run(&r);
    mem_disk_fail_loads(r.disk, false);
    ck_assert(rig_next(&r, EFFECT_PART)->e.refused);
    ck_assert_uint_eq(rig_stats(&r).set_aside, 1);
    core_cancel(r.core, r.client, k, r.now_ms);
    core_client_room(r.core, r.client, 1000000);
    d = deliver(&k);
    ck_assert_ptr_nonnull(d);
    ck_assert_str_eq(d->text, "behind it");
    ck_assert_uint_eq(disk().parts, PARTS);
}
END_TEST

Suite *blob_suite(void);

Suite *blob_suite(void)
{
    Suite *s = suite_create("blob");
    TCase *t = tcase_create("blob");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_long_body_comes_back_part_by_part);
    tcase_add_test(t, parts_go_to_disk_before_the_message_is_whole);
    tcase_add_test(t, parts_of_a_publisher_that_left_are_deleted);
    tcase_add_test(t, a_blob_read_by_somebody_outlives_its_message);
    tcase_add_test(t, a_long_body_survives_a_crash);
    tcase_add_test(t, a_message_whose_part_cannot_be_read_is_set_aside);
    suite_add_tcase(s, t);
    return s;
}
