// SPDX-License-Identifier: MIT
/* mqtt_again.h - what was decoded of MQTT, as a text to compare and encoded anew. */
#ifndef TESTS_MQTT_AGAIN_H
#define TESTS_MQTT_AGAIN_H

#include "proto/mqtt.h"

/* Appends every field of the packet, so that equal packets are equal texts. */
void mqtt_describe(struct buf *out, const struct mqtt_packet *p);

/* Appends the packet as the encoders write it. */
void mqtt_put_again(struct buf *out, uint8_t level, const struct mqtt_packet *p);

#endif
