// SPDX-License-Identifier: MIT
/* A batch spelled as columns and read back: the same slots under the same
 * numbers, and nothing believed that was damaged. */
#include <check.h>
#include <stdio.h>

#include "base/mem.h"
#include "storage/batch_format.h"
#include "storage/record.h"

static struct batch_content *made, *got;
static struct buf slots, packed;
static struct record_routes routes;

static void start(void)
{
    made = batch_content_new(1700000000000, false);
    got = NULL;
    memset(&routes, 0, sizeof routes);
}

static void stop(void)
{
    batch_content_free(&made);
    batch_content_free(&got);
    buf_fini(&slots);
    buf_fini(&packed);
}

static uint32_t put_record(const char *key, const char *body)
{
    struct message m = { .routing_key = bytes_str(key),
                         .body = bytes_str(body),
                         .body_size = strlen(body),
                         .props = BYTES("\x10\x00\x02") };

    return record_put(&made->bodies, &routes, &m);
}

/* `n` messages of one queue. */
static void fill(unsigned n)
{
    uint32_t g = batch_add_group(made, 7, 0);

    for (unsigned i = 0; i < n; i++)
        batch_add_slot(made, g, 100 + i, 0, put_record("queue", "0123456789"), 10);
}

static enum err decode(void)
{
    struct buf bodies = { 0 };

    buf_bytes(&bodies, buf_view(packed.n ? &packed : &made->bodies));
    batch_content_free(&got);
    return batch_decode(buf_view(&slots), &bodies, &got);
}

static void encode(const uint8_t *dead)
{
    slots.n = packed.n = 0;
    batch_encode(made, dead, &slots, &packed);
}

static void assert_same_message(uint32_t i)
{
    struct message a, b;

    ck_assert(record_get(buf_view(&made->bodies), made->slot[i].record, &a, NULL));
    ck_assert(record_get(buf_view(&got->bodies), got->slot[i].record, &b, NULL));
    ck_assert(bytes_eq(a.exchange, b.exchange) && bytes_eq(a.routing_key, b.routing_key));
    ck_assert(bytes_eq(a.props, b.props) && bytes_eq(a.body, b.body));
    ck_assert_uint_eq(a.blob_id, b.blob_id);
    ck_assert_uint_eq(a.body_size, b.body_size);
}

static void assert_same_slot(uint32_t i)
{
    ck_assert_uint_eq(made->slot[i].seq, got->slot[i].seq);
    ck_assert_uint_eq(made->slot[i].at_ms, got->slot[i].at_ms);
    ck_assert_uint_eq(made->slot[i].group, got->slot[i].group);
    ck_assert_uint_eq(made->slot[i].bytes, got->slot[i].bytes);
    assert_same_message(i);
}

static void assert_group(uint32_t i, const uint8_t *dead)
{
    const struct group *a = &made->group[i], *b = &got->group[i];
    uint32_t live = 0, last = SLOT_NONE;
    uint64_t bytes = 0;

    ck_assert_uint_eq(a->queue_id, b->queue_id);
    ck_assert_uint_eq(a->priority, b->priority);
    ck_assert_uint_eq(a->first_seq, b->first_seq);
    ck_assert_uint_eq(a->last_seq, b->last_seq);
    ck_assert_uint_eq(a->count, b->count);
    for (uint32_t s = a->first_slot, t = b->first_slot; s != SLOT_NONE; s = made->slot[s].next) {
        if (bit_get(dead, s))
            continue;
        ck_assert_uint_eq(s, t);
        t = got->slot[t].next;
        last = s;
        live++;
        bytes += made->slot[s].bytes;
    }
    ck_assert_uint_eq(b->last_slot, last);
    ck_assert_uint_eq(b->live, live);
    ck_assert_uint_eq(b->live_bytes, bytes);
}

/* Encodes, decodes, compares. */
static void round_trip(const uint8_t *dead)
{
    encode(dead);
    ck_assert_int_eq(decode(), OK);
    ck_assert_uint_eq(got->created_ms, made->created_ms);
    ck_assert_uint_eq(got->transient, made->transient);
    ck_assert_uint_eq(got->slot_count, made->slot_count);
    ck_assert_uint_eq(got->group_count, made->group_count);
    for (uint32_t i = 0; i < made->slot_count; i++)
        if (bit_get(dead, i))
            ck_assert_uint_eq(got->slot[i].record, SLOT_NONE);
        else
            assert_same_slot(i);
    for (uint32_t i = 0; i < made->group_count; i++)
        assert_group(i, dead);
}

START_TEST(slots_of_one_queue_come_back)
{
    fill(1000);
    round_trip(NULL);
}
END_TEST

START_TEST(an_empty_batch_comes_back_empty)
{
    round_trip(NULL);
    ck_assert_uint_eq(got->slot_count, 0);
}
END_TEST

START_TEST(slots_alike_take_next_to_nothing)
{
    fill(1000);
    encode(NULL);
    ck_assert_uint_lt(slots.n, 70);
}
END_TEST

/* Bodies of different sizes: the tag, the distance, the size. */
START_TEST(slots_unlike_take_a_few_bytes)
{
    char body[32];
    uint32_t g = batch_add_group(made, 7, 0);

    for (uint32_t i = 0; i < 1000; i++) {
        (void)snprintf(body, sizeof body, "%0*u", (int)(1 + i * 7 % 30), i);
        batch_add_slot(made, g, i, 0, put_record("q", body), (uint32_t)strlen(body));
    }
    round_trip(NULL);
    ck_assert_uint_lt(slots.n, 3100);
}
END_TEST

START_TEST(queues_in_turn_take_little_more)
{
    for (uint64_t q = 0; q < 10; q++)
        batch_add_group(made, 50 + q, 0);
    for (uint32_t i = 0; i < 1000; i++)
        batch_add_slot(made, i % 10, i / 10, 0, put_record("q", "0123456789"), 10);
    round_trip(NULL);
    ck_assert_uint_lt(slots.n, 200);
}
END_TEST

START_TEST(fan_out_stores_the_body_once)
{
    uint32_t record = put_record("x", "body");

    for (uint64_t q = 0; q < 1000; q++)
        batch_add_slot(made, batch_add_group(made, 1 + q, 0), 1, 0, record, 4);
    round_trip(NULL);
    ck_assert_uint_lt(slots.n, 7 * 1000);
    ck_assert_uint_lt(made->bodies.n, 20);
}
END_TEST

START_TEST(priorities_times_and_sizes_come_back)
{
    char body[64];

    memset(body, 'b', sizeof body);
    for (uint8_t p = 0; p < 10; p++)
        batch_add_group(made, 7, p);
    for (uint32_t i = 0; i < 500; i++) {
        body[i % 60] = 0;
        batch_add_slot(made, i * 7 % 10, 1000 + i * 3, i % 3 ? made->created_ms + i * 997 : 0,
                       put_record(i % 5 ? "k" : "key", body), (uint32_t)strlen(body));
        body[i % 60] = 'b';
    }
    round_trip(NULL);
    ck_assert_uint_eq(got->group[1].min_at_ms, made->group[1].min_at_ms);
}
END_TEST

START_TEST(times_before_the_batch_and_the_greatest_numbers_come_back)
{
    uint32_t g = batch_add_group(made, UINT64_MAX, 255), h = batch_add_group(made, 0, 0);

    batch_add_slot(made, g, 0, 1, put_record("a", "b"), UINT32_MAX);
    batch_add_slot(made, g, UINT64_MAX - 1, UINT64_MAX, put_record("a", "bb"), 0);
    batch_add_slot(made, h, UINT64_MAX - 1, 0, put_record("a", ""), 1);
    round_trip(NULL);
}
END_TEST

/* Compaction by queue may bring records in any order, and share them. */
START_TEST(records_out_of_order_come_back)
{
    uint32_t a = put_record("k", "first"), b = put_record("k", "second!"), c = put_record("k", "3");
    uint32_t g = batch_add_group(made, 1, 0), h = batch_add_group(made, 2, 0);
    const uint32_t order[] = { c, a, b, b, a, c };

    for (uint32_t i = 0; i < 6; i++)
        batch_add_slot(made, i < 3 ? g : h, i, 0, order[i], 5);
    round_trip(NULL);

    uint8_t dead[1] = { 1 | 1 << 5 }; /* both of the third record */
    round_trip(dead);
}
END_TEST

START_TEST(blobs_are_listed_but_for_dead_slots)
{
    uint32_t g = batch_add_group(made, 1, 0);

    for (uint32_t i = 0; i < 4; i++) {
        struct message m = { .blob_id = 1000 - i, .body_size = 1 << 20 };
        batch_add_slot(made, g, i, 0, record_put(&made->bodies, &routes, &m), 1 << 20);
        batch_add_blob(made, i, 1000 - i);
    }
    uint8_t dead[1] = { 2 };
    round_trip(dead);
    ck_assert_uint_eq(got->blob_count, 3);
    ck_assert_uint_eq(got->blob[1].slot, 2);
    ck_assert_uint_eq(got->blob[1].blob_id, 998);
}
END_TEST

START_TEST(runs_of_dead_slots_cost_a_few_bytes)
{
    uint8_t dead[1250] = { 0 };

    fill(10000);
    for (unsigned i = 100; i < 9990; i++)
        bit_set(dead, i);
    round_trip(dead);
    ck_assert_uint_lt(slots.n, 180);
}
END_TEST

/* Deterministic noise. */
static uint32_t rnd(void)
{
    static uint32_t x = 1;

    x = x * 1664525 + 1013904223;
    return x >> 8;
}

START_TEST(any_pattern_of_dead_slots_comes_back)
{
    uint8_t dead[38];
    char body[32], key[16];

    memset(dead, 0, sizeof dead);
    for (unsigned g = 0; g < 5; g++)
        batch_add_group(made, rnd(), (uint8_t)(g % 2));
    for (unsigned i = 0; i < 300; i++) {
        (void)snprintf(key, sizeof key, "key%u", rnd() % 9);
        (void)snprintf(body, sizeof body, "%0*u", (int)(rnd() % 20 + 1), i);
        batch_add_slot(made, rnd() % 5, i * 2, rnd() % 2 ? 1 + rnd() : 0, put_record(key, body),
                       (uint32_t)strlen(body));
        if ((int)(rnd() % 20) < _i)
            bit_set(dead, i);
    }
    round_trip(dead);
}
END_TEST

START_TEST(bodies_are_packed_once_a_quarter_is_dead)
{
    uint8_t dead[13] = { 0 };

    fill(100);
    for (unsigned i = 0; i < 20; i++)
        bit_set(dead, i * 5);
    round_trip(dead);
    ck_assert_uint_eq(packed.n, 0);
    for (unsigned i = 0; i < 10; i++)
        bit_set(dead, i * 5 + 1);
    round_trip(dead);
    ck_assert_uint_gt(packed.n, 0);
    ck_assert_uint_lt(packed.n, made->bodies.n * 3 / 4);
}
END_TEST

/* The first record spells the route out; the others point back to it. */
START_TEST(a_route_outlives_the_record_that_spelled_it)
{
    uint8_t dead[2] = { 0x1f };

    fill(10);
    round_trip(dead);
    ck_assert_uint_gt(packed.n, 0);
}
END_TEST

START_TEST(a_batch_read_back_can_be_written_again)
{
    uint8_t dead[5] = { 0xff, 0, 0xff };
    struct buf again = { 0 }, none = { 0 };

    fill(40);
    round_trip(dead);
    batch_encode(got, NULL, &again, &none);
    ck_assert_uint_eq(none.n, 0);
    ck_assert_uint_eq(again.n, slots.n);
    ck_assert_mem_eq(again.p, slots.p, slots.n);
    buf_fini(&again);
}
END_TEST

static void summarise(struct bytes settled)
{
    batch_content_free(&got);
    ck_assert_int_eq(batch_summarise(buf_view(&slots), settled, &got), OK);
}

START_TEST(a_transient_batch_says_so)
{
    made->transient = true;
    fill(3);
    round_trip(NULL);
    ck_assert(got->transient);
    summarise((struct bytes){ NULL, 0 });
    ck_assert(got->transient);
}
END_TEST

START_TEST(a_summary_has_groups_without_slots)
{
    fill(30);
    batch_add_blob(made, 3, 99);
    encode(NULL);
    summarise((struct bytes){ NULL, 0 });
    ck_assert_ptr_null(got->slot);
    ck_assert_uint_eq(got->slot_count, 30);
    ck_assert_uint_eq(got->bodies.n, 0);
    ck_assert_uint_eq(got->group_count, 1);
    ck_assert_uint_eq(got->group[0].live, 30);
    ck_assert_uint_eq(got->group[0].live_bytes, 300);
    ck_assert_uint_eq(got->group[0].first_seq, 100);
    ck_assert_uint_eq(got->group[0].last_seq, 129);
    ck_assert_uint_eq(got->blob_count, 1);
}
END_TEST

START_TEST(a_summary_counts_what_is_neither_dead_nor_settled)
{
    uint8_t dead[2] = { 0x03 }, settled[1] = { 0x0f }; /* shorter than the batch */
    uint32_t g = batch_add_group(made, 1, 0);

    for (uint32_t i = 0; i < 12; i++)
        batch_add_slot(made, g, i, 1000 + i, put_record("q", "abc"), 3);
    batch_add_blob(made, 3, 5);
    batch_add_blob(made, 4, 6);
    encode(dead);
    summarise(bytes_of(settled, 1));
    ck_assert_uint_eq(got->group[0].count, 12);
    ck_assert_uint_eq(got->group[0].live, 8);
    ck_assert_uint_eq(got->group[0].live_bytes, 24);
    ck_assert_uint_eq(got->group[0].min_at_ms, 1004);
    ck_assert_uint_eq(got->blob_count, 1);
    ck_assert_uint_eq(got->blob[0].blob_id, 6);
}
END_TEST

START_TEST(every_flipped_bit_of_slots_is_seen)
{
    fill(20);
    encode(NULL);
    for (size_t bit = 0; bit < slots.n * 8; bit++) {
        slots.p[bit / 8] = (uint8_t)(slots.p[bit / 8] ^ 1u << bit % 8);
        ck_assert_int_eq(decode(), ERR_CORRUPT);
        ck_assert_ptr_null(got);
        ck_assert_int_eq(batch_summarise(buf_view(&slots), (struct bytes){ NULL, 0 }, &got),
                         ERR_CORRUPT);
        slots.p[bit / 8] = (uint8_t)(slots.p[bit / 8] ^ 1u << bit % 8);
    }
    ck_assert_int_eq(decode(), OK);
}
END_TEST

START_TEST(every_flipped_bit_of_bodies_is_seen)
{
    fill(5);
    encode(NULL);
    for (size_t bit = 0; bit < made->bodies.n * 8; bit++) {
        made->bodies.p[bit / 8] = (uint8_t)(made->bodies.p[bit / 8] ^ 1u << bit % 8);
        ck_assert_int_eq(decode(), ERR_CORRUPT);
        made->bodies.p[bit / 8] = (uint8_t)(made->bodies.p[bit / 8] ^ 1u << bit % 8);
    }
}
END_TEST

START_TEST(columns_cut_short_are_refused)
{
    fill(5);
    encode(NULL);
    for (size_t n = 0; n < slots.n; n++) {
        uint8_t *copy = mem_alloc(n);
        struct buf bodies = { 0 };

        memcpy(copy, slots.p, n);
        ck_assert_int_eq(batch_decode(bytes_of(copy, n), &bodies, &got), ERR_CORRUPT);
        mem_free(copy);
    }
}
END_TEST

/* With the checksum mended, what is inconsistent must still be found. */
START_TEST(damage_under_a_right_checksum_never_reads_outside)
{
    fill(12);
    batch_add_blob(made, 3, 99);
    encode(NULL);
    for (size_t at = BATCH_BODIES_CHECKSUM_AT + 8; at < slots.n; at++) {
        for (unsigned v = 0; v < 256; v++) {
            uint8_t was = slots.p[at];
            slots.p[at] = (uint8_t)v;
            uint64_t sum = batch_checksum(buf_view(&slots));
            for (unsigned i = 0; i < 8; i++)
                slots.p[BATCH_CHECKSUM_AT + i] = (uint8_t)(sum >> (56 - 8 * i));
            enum err err = decode();
            ck_assert(err == OK || err == ERR_CORRUPT);
            slots.p[at] = was;
        }
    }
}
END_TEST

START_TEST(memory_is_counted)
{
    size_t empty = batch_content_memory(made);

    fill(100);
    ck_assert_uint_ge(batch_content_memory(made),
                      empty + 100 * sizeof(struct slot) + made->bodies.n);
}
END_TEST

Suite *batch_suite(void);
Suite *batch_suite(void)
{
    Suite *s = suite_create("batch");
    TCase *t = tcase_create("batch");

    tcase_add_checked_fixture(t, start, stop);
    tcase_add_test(t, slots_of_one_queue_come_back);
    tcase_add_test(t, an_empty_batch_comes_back_empty);
    tcase_add_test(t, slots_alike_take_next_to_nothing);
    tcase_add_test(t, slots_unlike_take_a_few_bytes);
    tcase_add_test(t, queues_in_turn_take_little_more);
    tcase_add_test(t, fan_out_stores_the_body_once);
    tcase_add_test(t, priorities_times_and_sizes_come_back);
    tcase_add_test(t, times_before_the_batch_and_the_greatest_numbers_come_back);
    tcase_add_test(t, records_out_of_order_come_back);
    tcase_add_test(t, blobs_are_listed_but_for_dead_slots);
    tcase_add_test(t, runs_of_dead_slots_cost_a_few_bytes);
    tcase_add_loop_test(t, any_pattern_of_dead_slots_comes_back, 0, 20);
    tcase_add_test(t, bodies_are_packed_once_a_quarter_is_dead);
    tcase_add_test(t, a_route_outlives_the_record_that_spelled_it);
    tcase_add_test(t, a_batch_read_back_can_be_written_again);
    tcase_add_test(t, a_transient_batch_says_so);
    tcase_add_test(t, a_summary_has_groups_without_slots);
    tcase_add_test(t, a_summary_counts_what_is_neither_dead_nor_settled);
    tcase_add_test(t, every_flipped_bit_of_slots_is_seen);
    tcase_add_test(t, every_flipped_bit_of_bodies_is_seen);
    tcase_add_test(t, columns_cut_short_are_refused);
    tcase_add_test(t, damage_under_a_right_checksum_never_reads_outside);
    tcase_add_test(t, memory_is_counted);
    suite_add_tcase(s, t);
    return s;
}
