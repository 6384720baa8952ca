// SPDX-License-Identifier: MIT
/* mqtt_heard.h - one MQTT packet decoded from an allocation of its exact size, so that
 * reading on is seen. */
#ifndef TESTS_MQTT_HEARD_H
#define TESTS_MQTT_HEARD_H

#include <check.h>

#include "base/mem.h"
#include "proto/mqtt.h"

#define COUNT_OF(a) (sizeof(a) / sizeof(a)[0])

struct mqtt_heard {
    enum decode result;
    uint8_t reason;
    const char *why;
    struct mqtt_head head;
    struct mqtt_packet packet;
    uint8_t *exact; /* what the views are of */
};

static inline struct mqtt_heard mqtt_hear(uint8_t level, struct bytes in)
{
    struct mqtt_heard h = { .exact = mem_alloc(in.n) };

    if (in.n)
        memcpy(h.exact, in.p, in.n);
    in.p = h.exact;
    h.result = mqtt_head_decode(in, level, UINT32_MAX, &h.head, &h.reason, &h.why);
    if (h.result == DECODE_OK)
        h.result = mqtt_decode(level, &h.head, bytes_from(in, h.head.bytes), &h.packet, &h.reason,
                               &h.why);
    if (h.result == DECODE_BAD)
        ck_assert(h.reason >= 0x80 && h.why && *h.why);
    return h;
}

static inline void mqtt_heard_fini(struct mqtt_heard *h)
{
    mem_free(h->exact);
}

/* A packet that is whole and right. */
static inline struct mqtt_heard mqtt_hear_ok(uint8_t level, struct bytes in)
{
    struct mqtt_heard h = mqtt_hear(level, in);

    ck_assert_msg(h.result == DECODE_OK, "level %u type %u: %s", level, h.head.type,
                  h.why ? h.why : "needs more");
    ck_assert_uint_eq(h.head.bytes + h.head.remaining, in.n);
    return h;
}

/* First byte, length and body, which is shorter than 16384 bytes. */
static inline void mqtt_frame(struct buf *out, uint8_t first, struct bytes body)
{
    buf_u8(out, first);
    buf_varint(out, body.n);
    buf_bytes(out, body);
}

/* Why such a packet is refused; 0: it is not. */
static inline unsigned mqtt_refusal(uint8_t level, uint8_t first, struct bytes body)
{
    struct buf b = { 0 };

    mqtt_frame(&b, first, body);
    struct mqtt_heard h = mqtt_hear(level, buf_view(&b));
    unsigned reason = h.result == DECODE_OK ? 0 : h.reason;
    ck_assert(h.result != DECODE_MORE);
    mqtt_heard_fini(&h);
    buf_fini(&b);
    return reason;
}

static inline void assert_bytes(struct bytes got, struct bytes want)
{
    ck_assert_uint_eq(got.n, want.n);
    if (want.n)
        ck_assert_mem_eq(got.p, want.p, want.n);
}

#endif
