// SPDX-License-Identifier: MIT
/* SUBSCRIBE and UNSUBSCRIBE and their answers, in and out. */
#include "proto/mqtt_wire.h"

enum {
    OPTION_QOS = 0x03,
    OPTION_NO_LOCAL = 0x04,
    OPTION_RETAIN_AS_PUBLISHED = 0x08,
    OPTION_RETAIN_HANDLING = 0x30,
    OPTION_RESERVED = 0xc0,
    OPTION_RESERVED_BELOW_5 = 0xfc
};
enum { RETAIN_HANDLING_SHIFT = 4 };

/* ---- in ---- */

static void check_options(struct mqtt_wire *w, uint8_t options, bool shared)
{
    if (options & (w->level < MQTT_5 ? OPTION_RESERVED_BELOW_5 : OPTION_RESERVED))
        mqtt_fault(w, MQTT_MALFORMED_PACKET, "reserved option is set [MQTT-3.8.3-5]");
    if ((options & OPTION_QOS) == OPTION_QOS)
        mqtt_fault(w, MQTT_PROTOCOL_ERROR, "QoS is 3 [3.8.3.1]");
    if ((options & OPTION_RETAIN_HANDLING) == OPTION_RETAIN_HANDLING)
        mqtt_fault(w, MQTT_PROTOCOL_ERROR, "retain handling is 3 [3.8.3.1]");
    if (shared && options & OPTION_NO_LOCAL)
        mqtt_fault(w, MQTT_PROTOCOL_ERROR, "no local on a shared subscription [MQTT-3.8.3-4]");
}

/* Is it a shared one?  Below 5.0 $share is a level like any other. */
static bool read_filter(struct mqtt_wire *w)
{
    struct bytes filter = mqtt_read_text(w), group, rest;
    enum mqtt_share share = MQTT_SHARE_NONE;

    if (w->level >= MQTT_5)
        share = mqtt_share_split(filter, &group, &rest);
    if (share == MQTT_SHARE_BAD)
        mqtt_fault(w, MQTT_TOPIC_FILTER_INVALID,
                   "shared subscription without a group or a filter [MQTT-4.8.2-1, 4.8.2-2]");
    else if (share == MQTT_SHARE_NONE && !mqtt_filter_valid(filter))
        mqtt_fault(
            w, MQTT_TOPIC_FILTER_INVALID,
            "filter is empty or has a wildcard out of place [MQTT-4.7.1-1, 4.7.1-2, 4.7.3-1]");
    return share == MQTT_SHARE_OK;
}

void mqtt_read_filters(struct mqtt_wire *w, uint8_t type, struct mqtt_subscribe *out)
{
    *out = (struct mqtt_subscribe){ .packet_id = mqtt_read_packet_id(w) };
    mqtt_read_props(w, 1u << type, &out->props);
    out->filters = bytes_of(w->r.p, w->r.left);
    for (; w->r.left > 0 && mqtt_wire_ok(w); out->count++) {
        bool shared = read_filter(w);

        if (type == MQTT_SUBSCRIBE)
            check_options(w, reader_u8(&w->r), shared);
    }
    if (out->count == 0)
        mqtt_fault(w, MQTT_PROTOCOL_ERROR, "no filter [MQTT-3.8.3-2, 3.10.3-2]");
}

bool mqtt_subscription_next(struct bytes filters, size_t *at, struct mqtt_subscription *out)
{
    struct reader r = reader_over(bytes_from(filters, *at));
    struct bytes filter = reader_bytes16(&r);
    uint8_t options = reader_u8(&r);

    if (r.failed)
        return false;
    *at = filters.n - r.left;
    *out = (struct mqtt_subscription){
        .filter = filter,
        .qos = options & OPTION_QOS,
        .no_local = options & OPTION_NO_LOCAL,
        .retain_as_published = options & OPTION_RETAIN_AS_PUBLISHED,
        .retain_handling = (options & OPTION_RETAIN_HANDLING) >> RETAIN_HANDLING_SHIFT,
    };
    return true;
}

bool mqtt_filter_next(struct bytes filters, size_t *at, struct bytes *filter)
{
    struct reader r = reader_over(bytes_from(filters, *at));

    *filter = reader_bytes16(&r);
    if (r.failed)
        return false;
    *at = filters.n - r.left;
    return true;
}

/* A SUBACK of 3.1.1 has the three QoS and 0x80 [3.1.1: MQTT-3.9.3-2]. */
static bool is_answer(uint8_t reason, uint8_t type, uint8_t level)
{
    return level < MQTT_5 ? reason <= MQTT_GRANTED_QOS_2 || reason == MQTT_UNSPECIFIED_ERROR
                          : mqtt_reason_is_of(reason, 1u << type);
}

void mqtt_read_suback(struct mqtt_wire *w, uint8_t type, struct mqtt_suback *out)
{
    *out = (struct mqtt_suback){ .packet_id = mqtt_read_packet_id(w) };
    mqtt_read_props(w, 1u << type, &out->props);
    if (type == MQTT_UNSUBACK && w->level < MQTT_5)
        return;
    out->reasons = reader_rest(&w->r);
    if (out->reasons.n == 0)
        mqtt_fault(w, MQTT_PROTOCOL_ERROR, "no reason [MQTT-3.8.4-6]");
    for (size_t i = 0; i < out->reasons.n; i++)
        if (!is_answer(out->reasons.p[i], type, w->level))
            mqtt_fault(w, MQTT_PROTOCOL_ERROR,
                       "reason is none of such a packet [MQTT-3.9.3-2, 3.11.3-2]");
}

/* ---- out ---- */

static unsigned options_of(const struct mqtt_subscription *s, uint8_t level)
{
    unsigned options = s->qos;

    if (level < MQTT_5)
        return options;
    if (s->no_local)
        options |= OPTION_NO_LOCAL;
    if (s->retain_as_published)
        options |= OPTION_RETAIN_AS_PUBLISHED;
    return options | (unsigned)s->retain_handling << RETAIN_HANDLING_SHIFT;
}

void mqtt_put_subscribe(struct buf *out, uint8_t level, uint16_t packet_id,
                        const struct mqtt_subscription *subscriptions, size_t count,
                        const struct mqtt_props *props)
{
    struct mqtt_section section = mqtt_section_of(level, MQTT_IN(SUBSCRIBE), props);
    size_t n = 2 + section.whole_bytes;

    for (size_t i = 0; i < count; i++)
        n += 2 + subscriptions[i].filter.n + 1;
    mqtt_put_head(out, MQTT_SUBSCRIBE, 2, n);
    buf_u16(out, packet_id);
    mqtt_put_section(out, &section);
    for (size_t i = 0; i < count; i++) {
        mqtt_put_text(out, subscriptions[i].filter);
        buf_u8(out, (uint8_t)options_of(&subscriptions[i], level));
    }
}

void mqtt_put_unsubscribe(struct buf *out, uint8_t level, uint16_t packet_id,
                          const struct bytes *filters, size_t count, const struct mqtt_props *props)
{
    struct mqtt_section section = mqtt_section_of(level, MQTT_IN(UNSUBSCRIBE), props);
    size_t n = 2 + section.whole_bytes;

    for (size_t i = 0; i < count; i++)
        n += 2 + filters[i].n;
    mqtt_put_head(out, MQTT_UNSUBSCRIBE, 2, n);
    buf_u16(out, packet_id);
    mqtt_put_section(out, &section);
    for (size_t i = 0; i < count; i++)
        mqtt_put_text(out, filters[i]);
}

void mqtt_put_suback(struct buf *out, uint8_t level, uint16_t packet_id, struct bytes reasons,
                     const struct mqtt_props *props)
{
    struct mqtt_section section = mqtt_section_of(level, MQTT_IN(SUBACK), props);

    mqtt_put_head(out, MQTT_SUBACK, 0, 2 + section.whole_bytes + reasons.n);
    buf_u16(out, packet_id);
    mqtt_put_section(out, &section);
    for (size_t i = 0; i < reasons.n; i++) {
        uint8_t reason = reasons.p[i];

        buf_u8(out, level < MQTT_5 && reason >= MQTT_UNSPECIFIED_ERROR ? MQTT_UNSPECIFIED_ERROR
                                                                       : reason);
    }
}

void mqtt_put_unsuback(struct buf *out, uint8_t level, uint16_t packet_id, struct bytes reasons,
                       const struct mqtt_props *props)
{
    struct mqtt_section section = mqtt_section_of(level, MQTT_IN(UNSUBACK), props);

    if (level < MQTT_5)
        reasons.n = 0;
    mqtt_put_head(out, MQTT_UNSUBACK, 0, 2 + section.whole_bytes + reasons.n);
    buf_u16(out, packet_id);
    mqtt_put_section(out, &section);
    buf_bytes(out, reasons);
}
