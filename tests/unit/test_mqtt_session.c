// SPDX-License-Identifier: MIT
/* What an MQTT connection answers, packet by packet, over a real core. */
#include <check.h>

#include "base/mem.h"
#include "proto/mqtt.h"
#include "tests/lib/stomp_wire.h"

Suite *mqtt_session_suite(void);

static struct stomp_wire r;
static struct buf said, heard[WIRE_PEERS];
static size_t heard_at[WIRE_PEERS];
static uint8_t level[WIRE_PEERS];

static void open_wire(void)
{
    struct core_options o = wire_options();

    o.disk_reserve_bytes = 1;
    wire_open(&r, &o);
}

static void close_wire(void)
{
    wire_close(&r);
    buf_fini(&said);
    for (unsigned i = 0; i < WIRE_PEERS; i++) {
        buf_fini(&heard[i]);
        heard_at[i] = 0;
    }
}

/* ---- hearing ---- */

static void listen(unsigned i)
{
    struct buf *out = &r.peer[i]->out;

    buf_bytes(&heard[i], buf_view(out));
    out->n = 0;
    r.peer[i]->ops->drained(r.peer[i]);
}

/* The next packet without the broker doing more; type 0: none came. */
static struct mqtt_packet heard_now(unsigned i)
{
    struct mqtt_packet p = { 0 };
    struct mqtt_head head;
    uint8_t reason;
    const char *why;

    listen(i);
    struct bytes rest = bytes_from(buf_view(&heard[i]), heard_at[i]);
    if (mqtt_head_decode(rest, level[i], MQTT_REMAINING_MAX, &head, &reason, &why) != DECODE_OK)
        return p;
    ck_assert_int_eq(mqtt_decode(level[i], &head,
                                 bytes_head(bytes_from(rest, head.bytes), head.remaining), &p,
                                 &reason, &why),
                     DECODE_OK);
    heard_at[i] += head.bytes + (size_t)head.remaining;
    return p;
}

static struct mqtt_packet hear(unsigned i, enum mqtt_type type)
{
    wire_settle(&r);
    struct mqtt_packet p = heard_now(i);

    ck_assert_msg(p.type == type, "heard %s, not %s", p.type ? mqtt_type_name(p.type) : "nothing",
                  mqtt_type_name((uint8_t)type));
    return p;
}

static void hears_nothing(unsigned i)
{
    wire_settle(&r);
    ck_assert_uint_eq(heard_now(i).type, 0);
}

/* ---- saying ---- */

static struct mqtt_packet log_in(unsigned i, uint8_t at, const char *name, bool clean)
{
    wire_hang_up(&r, i);
    heard[i].n = heard_at[i] = 0;
    level[i] = at;
    wire_mqtt_peer(&r, i, at, name, clean);
    return hear(i, MQTT_CONNACK);
}

static void tell(unsigned i)
{
    wire_bytes(&r, i, buf_view(&said));
    said.n = 0;
}

static void publish(unsigned i, const char *topic, const char *body, uint8_t qos, uint16_t id)
{
    mqtt_put_publish(
        &said, level[i],
        &(struct mqtt_publish){
            .qos = qos, .packet_id = id, .topic = bytes_str(topic), .payload = bytes_str(body) });
    tell(i);
}

static void ack(unsigned i, enum mqtt_type type, uint16_t id)
{
    mqtt_put_ack(&said, level[i], type, id, MQTT_SUCCESS, NULL);
    tell(i);
}

static void subscribe(unsigned i, const char *filter, uint8_t qos)
{
    mqtt_put_subscribe(&said, level[i], 1,
                       &(struct mqtt_subscription){ .filter = bytes_str(filter), .qos = qos }, 1,
                       NULL);
    tell(i);
    (void)hear(i, MQTT_SUBACK);
}

/* ---- answers wait for the disk ---- */

START_TEST(a_puback_means_on_disk)
{
    (void)log_in(0, MQTT_5, "keeper", false);
    subscribe(0, "a", 1);
    (void)log_in(1, MQTT_5, "p", true);
    publish(1, "a", "x", 1, 7);
    wire_turn(&r);
    ck_assert_uint_eq(heard_now(1).type, 0);
    ck_assert_uint_eq(hear(1, MQTT_PUBACK).ack.packet_id, 7);
}
END_TEST

START_TEST(a_qos_1_message_may_come_before_its_commit_and_a_qos_2_message_may_not)
{
    (void)log_in(0, MQTT_5, "keeper", false);
    subscribe(0, "#", 2);
    (void)log_in(1, MQTT_5, "p", true);
    publish(1, "a", "1", 1, 1);
    wire_turn(&r);
    ck_assert_uint_eq(heard_now(0).type, MQTT_PUBLISH);
    wire_settle(&r);
    publish(1, "a", "2", 2, 2);
    wire_turn(&r);
    ck_assert_uint_eq(heard_now(0).type, 0);
    ck_assert_uint_eq(hear(0, MQTT_PUBLISH).publish.qos, 2);
}
END_TEST

START_TEST(pubrel_waits_until_it_is_on_disk_that_the_message_was_received)
{
    (void)log_in(0, MQTT_5, "keeper", false);
    subscribe(0, "a", 2);
    (void)log_in(1, MQTT_5, "p", true);
    publish(1, "a", "x", 2, 1);
    uint16_t id = hear(0, MQTT_PUBLISH).publish.packet_id;
    ack(0, MQTT_PUBREC, id);
    wire_turn(&r);
    ck_assert_uint_eq(heard_now(0).type, 0);
    ck_assert_uint_eq(hear(0, MQTT_PUBREL).ack.packet_id, id);
}
END_TEST

START_TEST(answers_leave_in_the_order_of_what_they_answer)
{
    (void)log_in(0, MQTT_5, "keeper", false);
    subscribe(0, "#", 0);
    (void)log_in(1, MQTT_5, "p", true);
    publish(1, "a", "1", 1, 1);
    publish(1, "a", "2", 2, 2);
    publish(1, "nobody", "3", 1, 3);
    ck_assert_uint_eq(hear(1, MQTT_PUBACK).ack.packet_id, 1);
    ck_assert_uint_eq(hear(1, MQTT_PUBREC).ack.packet_id, 2);
    ck_assert_uint_eq(hear(1, MQTT_PUBACK).ack.packet_id, 3);
}
END_TEST

/* ---- sessions ---- */

START_TEST(nothing_comes_before_connack)
{
    (void)log_in(0, MQTT_3_1_1, "keeper", false);
    subscribe(0, "a", 1);
    wire_hang_up(&r, 0);
    (void)log_in(1, MQTT_3_1_1, "p", true);
    publish(1, "a", "x", 1, 1);
    ck_assert(log_in(0, MQTT_3_1_1, "keeper", false).connack.session_present);
    ck_assert_uint_eq(hear(0, MQTT_PUBLISH).publish.qos, 1);
}
END_TEST

START_TEST(what_is_sent_again_has_its_packet_id_and_dup)
{
    (void)log_in(0, MQTT_5, "keeper", false);
    subscribe(0, "a", 2);
    (void)log_in(1, MQTT_5, "p", true);
    publish(1, "a", "1", 1, 1);
    publish(1, "a", "2", 2, 2);
    uint16_t one = hear(0, MQTT_PUBLISH).publish.packet_id;
    uint16_t two = hear(0, MQTT_PUBLISH).publish.packet_id;
    (void)log_in(0, MQTT_5, "keeper", false);
    struct mqtt_packet p = hear(0, MQTT_PUBLISH);
    ck_assert(p.publish.dup && p.publish.packet_id == one);
    p = hear(0, MQTT_PUBLISH);
    ck_assert(p.publish.dup && p.publish.packet_id == two);
    ack(0, MQTT_PUBREC, two);
    (void)hear(0, MQTT_PUBREL);
    (void)log_in(0, MQTT_5, "keeper", false);
    ck_assert_uint_eq(hear(0, MQTT_PUBLISH).publish.packet_id, one);
    ck_assert_uint_eq(hear(0, MQTT_PUBREL).ack.packet_id, two);
    ack(0, MQTT_PUBCOMP, two);
    ack(0, MQTT_PUBACK, one);
    (void)log_in(0, MQTT_5, "keeper", false);
    hears_nothing(0);
}
END_TEST

START_TEST(who_comes_with_the_same_client_id_takes_over)
{
    (void)log_in(0, MQTT_5, "same", false);
    ck_assert(log_in(1, MQTT_3_1_1, "same", false).connack.session_present);
    ck_assert_uint_eq(hear(0, MQTT_DISCONNECT).disconnect.reason, MQTT_SESSION_TAKEN_OVER);
    ck_assert(r.peer[0]->ending);
}
END_TEST

START_TEST(a_duplicate_of_a_qos_2_message_is_answered_and_not_published)
{
    (void)log_in(0, MQTT_5, "keeper", false);
    subscribe(0, "a", 0);
    (void)log_in(1, MQTT_5, "p", false);
    publish(1, "a", "x", 2, 9);
    (void)hear(1, MQTT_PUBREC);
    (void)hear(0, MQTT_PUBLISH);
    (void)log_in(1, MQTT_5, "p", false);
    publish(1, "a", "x", 2, 9);
    (void)hear(1, MQTT_PUBREC);
    hears_nothing(0);
    ack(1, MQTT_PUBREL, 9);
    ck_assert_uint_eq(hear(1, MQTT_PUBCOMP).ack.reason, MQTT_SUCCESS);
    ack(1, MQTT_PUBREL, 9);
    ck_assert_uint_eq(hear(1, MQTT_PUBCOMP).ack.reason, MQTT_PACKET_ID_NOT_FOUND);
}
END_TEST

START_TEST(a_session_that_finds_no_room_is_refused_in_connack)
{
    struct core_options o = wire_options();

    close_wire();
    o.consumers = 1;
    wire_open(&r, &o);
    for (uint8_t at = MQTT_3_1_1; at <= MQTT_5; at++) {
        (void)log_in(0, at, "keeper", false);
        subscribe(0, "a", 1);
        wire_hang_up(&r, 0);
        (void)log_in(1, at, "other", true);
        subscribe(1, "a", 1);
        ck_assert_uint_ge(log_in(0, at, "keeper", false).connack.reason, at == MQTT_5 ? 0x97 : 3);
        ck_assert(r.peer[0]->ending);
        wire_hang_up(&r, 1);
        ck_assert(log_in(0, at, "keeper", false).connack.session_present);
    }
}
END_TEST

/* It is refused from its head, before a byte of the rest is kept. */
START_TEST(a_packet_that_is_no_publish_may_not_be_long)
{
    (void)log_in(0, MQTT_5, "a", true);
    wire_bytes(&r, 0, BYTES("\x82\xff\xff\x7f"));
    ck_assert_uint_eq(hear(0, MQTT_DISCONNECT).disconnect.reason, MQTT_PACKET_TOO_LARGE);
    ck_assert(r.peer[0]->ending);
}
END_TEST

START_TEST(a_long_publish_may_not_be_all_properties)
{
    static uint8_t rest[300 * 1024];

    (void)log_in(0, MQTT_5, "a", true);
    /* A topic, then properties of almost a megabyte. */
    wire_bytes(&r, 0, BYTES("\x30\xff\xff\x7f\0\1t\xf0\xff\x3f"));
    ck_assert_uint_eq(heard_now(0).type, 0);
    wire_bytes(&r, 0, bytes_of(rest, sizeof rest));
    ck_assert_uint_eq(hear(0, MQTT_DISCONNECT).disconnect.reason, MQTT_PACKET_TOO_LARGE);
}
END_TEST

/* ---- the disk is full ---- */

START_TEST(with_a_full_disk_a_publisher_of_5_is_told_0x97)
{
    (void)log_in(0, MQTT_5, "keeper", false);
    subscribe(0, "a", 1);
    (void)log_in(1, MQTT_5, "p", true);
    r.disk_full = true;
    core_disk_free(r.core, 0);
    publish(1, "a", "x", 1, 1);
    ck_assert_uint_eq(hear(1, MQTT_PUBACK).ack.reason, MQTT_QUOTA_EXCEEDED);
    publish(1, "a", "x", 2, 2);
    ck_assert_uint_eq(hear(1, MQTT_PUBREC).ack.reason, MQTT_QUOTA_EXCEEDED);
    ck_assert(!r.peer[1]->ending);
}
END_TEST

START_TEST(with_a_full_disk_a_publisher_of_3_1_1_gets_no_puback_and_is_closed)
{
    (void)log_in(0, MQTT_5, "keeper", false);
    subscribe(0, "a", 1);
    (void)log_in(1, MQTT_3_1_1, "p", true);
    r.disk_full = true;
    core_disk_free(r.core, 0);
    publish(1, "a", "x", 1, 1);
    hears_nothing(1);
    ck_assert(r.peer[1]->ending);
}
END_TEST

/* ---- other protocols ---- */

START_TEST(stomp_and_mqtt_exchange_messages_and_dots_stay_dots)
{
    (void)log_in(0, MQTT_3_1_1, "m", true);
    subscribe(0, "home/+/door", 1);
    wire_peer(&r, 1, "1.2");
    wire_say(&r, 1, "SUBSCRIBE\nid:1\ndestination:/topic/lab.#\n\n");
    wire_say(&r, 1, "SEND\ndestination:/topic/home.v1%2F2.door\n\nopen");
    struct mqtt_packet p = hear(0, MQTT_PUBLISH);
    ck_assert(bytes_eq(p.publish.topic, BYTES("home/v1.2/door")));
    ck_assert(bytes_eq(p.publish.payload, BYTES("open")));
    publish(0, "lab/a", "hello", 1, 1);
    wire_settle(&r);
    ck_assert_ptr_nonnull(strstr(wire_hear(&r, 1), "hello"));
}
END_TEST

Suite *mqtt_session_suite(void)
{
    Suite *s = suite_create("mqtt_session");
    TCase *t = tcase_create("session");

    tcase_add_checked_fixture(t, open_wire, close_wire);
    tcase_add_test(t, a_puback_means_on_disk);
    tcase_add_test(t, a_qos_1_message_may_come_before_its_commit_and_a_qos_2_message_may_not);
    tcase_add_test(t, pubrel_waits_until_it_is_on_disk_that_the_message_was_received);
    tcase_add_test(t, answers_leave_in_the_order_of_what_they_answer);
    tcase_add_test(t, nothing_comes_before_connack);
    tcase_add_test(t, what_is_sent_again_has_its_packet_id_and_dup);
    tcase_add_test(t, who_comes_with_the_same_client_id_takes_over);
    tcase_add_test(t, a_duplicate_of_a_qos_2_message_is_answered_and_not_published);
    tcase_add_test(t, a_session_that_finds_no_room_is_refused_in_connack);
    tcase_add_test(t, a_packet_that_is_no_publish_may_not_be_long);
    tcase_add_test(t, a_long_publish_may_not_be_all_properties);
    tcase_add_test(t, with_a_full_disk_a_publisher_of_5_is_told_0x97);
    tcase_add_test(t, with_a_full_disk_a_publisher_of_3_1_1_gets_no_puback_and_is_closed);
    tcase_add_test(t, stomp_and_mqtt_exchange_messages_and_dots_stay_dots);
    suite_add_tcase(s, t);
    return s;
}
