// SPDX-License-Identifier: MIT
/* mqtt_topic.h - MQTT's texts, topic names and topic filters (sections 1.5.4, 4.7, 4.8.2).
 *
 * Levels are divided by '/' and may be empty; letters differ by case. */
#ifndef PROTO_MQTT_TOPIC_H
#define PROTO_MQTT_TOPIC_H

#include "base/bytes.h"

/* UTF-8 of at most 65535 bytes without U+0000 [MQTT-1.5.4-1, 1.5.4-2]. */
bool mqtt_text_valid(struct bytes text);

/* Such a text, not empty and without + and # [MQTT-3.3.2-2, 4.7.3-1]. */
bool mqtt_topic_valid(struct bytes topic);

/* Such a text, not empty, + alone in its level, # alone and last [MQTT-4.7.1-1, 4.7.1-2].
 * What looks like a shared subscription is judged by mqtt_share_split. */
bool mqtt_filter_valid(struct bytes filter);

enum mqtt_share {
    MQTT_SHARE_NONE, /* an ordinary filter, valid or not: `rest` is all of it */
    MQTT_SHARE_OK,
    MQTT_SHARE_BAD /* no group, + or # in it, or no valid filter behind it [MQTT-4.8.2-1, -2] */
};

/* $share/GROUP/REST */
enum mqtt_share mqtt_share_split(struct bytes filter, struct bytes *group, struct bytes *rest);

/* Does the valid filter match the valid topic?  For few look-ups; the trie serves many.
 * A wildcard in the first level matches no topic that begins with $ [MQTT-4.7.2-1]. */
bool mqtt_filter_match(struct bytes filter, struct bytes topic);

#endif
