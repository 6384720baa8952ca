// SPDX-License-Identifier: MIT
/* fuzz_mqtt_packet.c - the input is a level and a stream of packets.
 *
 * Decoded whole and in pieces it gives the same packets and the same fault; none is above
 * the maximum.  A PUBLISH of which a part is there is what it is when it is whole.  What
 * was decoded is encoded to a packet that is decoded to the same, and encoded to itself.
 * A fault has a reason that a server can answer with.  The cuts follow from the input. */
#include "base/check.h"
#include "base/mem.h"
#include "tests/lib/mqtt_again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MAX_BYTES = 4096 };

struct run {
    uint8_t level; /* 0: the first CONNECT says it */
    struct buf pending, log;
    uint64_t random;
    bool broken;
};

static size_t next_random(uint64_t *state, size_t below)
{
    *state = *state * 6364136223846793005 + 1442695040888963407;
    return (size_t)(*state >> 33) % below;
}

/* A copy of the exact size, so that reading on is seen. */
static uint8_t *exact_copy(struct bytes in)
{
    uint8_t *exact = mem_alloc(in.n);

    if (in.n > 0)
        memcpy(exact, in.p, in.n);
    return exact;
}

static void check_fault(uint8_t reason, const char *why)
{
    CHECK(why && *why);
    CHECK(reason == MQTT_MALFORMED_PACKET || reason == MQTT_PROTOCOL_ERROR ||
          reason == MQTT_UNSUPPORTED_PROTOCOL_VERSION || reason == MQTT_CLIENT_ID_NOT_VALID ||
          reason == MQTT_TOPIC_FILTER_INVALID || reason == MQTT_TOPIC_NAME_INVALID ||
          reason == MQTT_TOPIC_ALIAS_INVALID || reason == MQTT_PACKET_TOO_LARGE);
}

static void decode_whole(uint8_t level, struct bytes whole, struct mqtt_packet *out)
{
    struct mqtt_head head;
    const char *why = NULL;
    uint8_t reason = 0;

    CHECK(mqtt_head_decode(whole, level, UINT32_MAX, &head, &reason, &why) == DECODE_OK);
    CHECK(head.bytes + head.remaining == whole.n);
    CHECK(mqtt_decode(level, &head, bytes_from(whole, head.bytes), out, &reason, &why) ==
          DECODE_OK);
}

static void check_same_again(uint8_t level, const struct mqtt_packet *p)
{
    struct buf first = { 0 }, second = { 0 }, text = { 0 }, text_again = { 0 };
    struct mqtt_packet again;

    mqtt_put_again(&first, level, p);
    decode_whole(level, buf_view(&first), &again);
    mqtt_describe(&text, p);
    mqtt_describe(&text_again, &again);
    CHECK(bytes_eq(buf_view(&text), buf_view(&text_again)));
    mqtt_put_again(&second, level, &again);
    CHECK(bytes_eq(buf_view(&first), buf_view(&second)));
    buf_fini(&first);
    buf_fini(&second);
    buf_fini(&text);
    buf_fini(&text_again);
}

/* `body` cut at `n`: what can be said of it is what is said of the whole. */
static void check_part(uint8_t level, const struct mqtt_head *head, struct bytes body, size_t n,
                       enum decode whole, const struct mqtt_publish *p)
{
    uint8_t *exact = exact_copy(bytes_head(body, n));
    struct mqtt_publish part;
    const char *why = NULL;
    uint8_t reason = 0;

    enum decode r = mqtt_publish_head_decode(level, head, bytes_of(exact, n), &part, &reason, &why);
    if (r == DECODE_OK)
        CHECK(whole == DECODE_OK && n >= p->payload_at && part.payload.n == n - p->payload_at &&
              part.payload_at == p->payload_at && part.payload_bytes == p->payload_bytes &&
              part.packet_id == p->packet_id && part.props.has == p->props.has);
    else if (r == DECODE_BAD)
        CHECK(whole == DECODE_BAD);
    else
        CHECK(n < head->remaining && (whole == DECODE_BAD || n < p->payload_at));
    mem_free(exact);
}

static void check_parts(struct run *r, const struct mqtt_head *head, struct bytes body,
                        enum decode whole, const struct mqtt_publish *p)
{
    if (head->type != MQTT_PUBLISH)
        return;
    for (unsigned i = 0; i < 3; i++)
        check_part(r->level, head, body, next_random(&r->random, body.n + 1), whole, p);
}

static void take_packet(struct run *r, const struct mqtt_packet *p)
{
    mqtt_describe(&r->log, p);
    if (p->type == MQTT_CONNECT)
        r->level = p->connect.level;
    check_same_again(r->level, p);
}

static void take_fault(struct run *r, uint8_t reason, const char *why)
{
    check_fault(reason, why);
    buf_fmt(&r->log, "%02x %s", reason, why);
    r->broken = true;
}

static enum decode run_once(struct run *r)
{
    struct bytes in = buf_view(&r->pending);
    uint8_t *exact = exact_copy(in), reason = 0;
    struct mqtt_head head = { 0 };
    struct mqtt_packet p;
    const char *why = NULL;

    in.p = exact;
    enum decode result = mqtt_head_decode(in, r->level, MAX_BYTES, &head, &reason, &why);
    if (result == DECODE_OK) {
        struct bytes body = bytes_head(bytes_from(in, head.bytes), head.remaining);

        CHECK(head.bytes + head.remaining <= MAX_BYTES);
        result = mqtt_decode(r->level, &head, body, &p, &reason, &why);
        if (result != DECODE_MORE)
            check_parts(r, &head, body, result, &p.publish);
    }
    if (result == DECODE_OK) {
        take_packet(r, &p);
        buf_drop(&r->pending, head.bytes + head.remaining);
    } else if (result == DECODE_BAD) {
        take_fault(r, reason, why);
    }
    mem_free(exact);
    return result;
}

static void run_stream(struct run *r, struct bytes in, size_t most)
{
    while (in.n > 0 && !r->broken) {
        struct bytes piece = bytes_head(in, most ? 1 + next_random(&r->random, most) : in.n);

        buf_bytes(&r->pending, piece);
        in = bytes_from(in, piece.n);
        while (run_once(r) == DECODE_OK)
            ;
        CHECK(r->broken || r->pending.n < MAX_BYTES);
    }
}

static void run_fini(struct run *r)
{
    buf_fini(&r->pending);
    buf_fini(&r->log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t levels[] = { 0, MQTT_3_1, MQTT_3_1_1, MQTT_5 };
    static const size_t most[] = { 1, 7, 50 };

    if (n == 0)
        return 0;
    uint8_t level = levels[data[0] % sizeof levels];
    struct bytes in = bytes_of(data + 1, n - 1);
    struct run whole = { .level = level };
    run_stream(&whole, in, 0);
    for (size_t i = 0; i < sizeof most / sizeof most[0]; i++) {
        struct run cut = { .level = level, .random = bytes_hash(in, i) };

        run_stream(&cut, in, most[i]);
        CHECK(bytes_eq(buf_view(&whole.log), buf_view(&cut.log)));
        CHECK(whole.broken == cut.broken && whole.level == cut.level);
        CHECK(whole.broken || bytes_eq(buf_view(&whole.pending), buf_view(&cut.pending)));
        run_fini(&cut);
    }
    run_fini(&whole);
    return 0;
}
