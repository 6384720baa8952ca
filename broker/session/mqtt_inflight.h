// SPDX-License-Identifier: MIT
/* mqtt_inflight.h - packet identifiers of what was sent and is not settled. */
#ifndef SESSION_MQTT_INFLIGHT_H
#define SESSION_MQTT_INFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mqtt_sent {
    MQTT_SENT_QOS1,     /* PUBACK is due */
    MQTT_SENT_QOS2,     /* PUBREC is due */
    MQTT_SENT_RECEIVED, /* it came; PUBREL leaves when that is on disk */
    MQTT_SENT_RELEASED  /* PUBCOMP is due */
};

struct mqtt_flight {
    uint64_t tag;       /* of the delivery */
    uint16_t packet_id; /* 0: a free place */
    uint8_t sent;       /* enum mqtt_sent */
    bool shared;        /* of a queue that others take from, too */
};

/* Open addressing by packet id; zero-initialised is empty. */
struct mqtt_inflight {
    struct mqtt_flight *place;
    uint32_t cap, count;
};

/* NULL: no such id. */
struct mqtt_flight *mqtt_inflight_find(const struct mqtt_inflight *f, uint16_t packet_id);
/* Adds under the first free id from `wanted` on; at most 65535 are in flight.  The
 * pointer lives until the next call. */
struct mqtt_flight *mqtt_inflight_add(struct mqtt_inflight *f, uint16_t wanted);
void mqtt_inflight_remove(struct mqtt_inflight *f, struct mqtt_flight *at);
/* Walks: start with *at = 0; NULL ends. */
struct mqtt_flight *mqtt_inflight_next(const struct mqtt_inflight *f, size_t *at);
void mqtt_inflight_fini(struct mqtt_inflight *f);

#endif
