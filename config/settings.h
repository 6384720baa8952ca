// SPDX-License-Identifier: MIT
/* settings.h - the one table of what can be set, and its values.
 *
 * The table feeds the config file, the command line, --help and docs/limits.md:
 * a setting added here is everywhere.  Values are plain data, owned by whoever
 * holds the struct.  Faults are texts for a person: "file:line: name: reason". */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include <stdio.h>

#include "config/address.h"

/* type, field, name, default, least, most, when it takes effect, choices, help */
#define SETTINGS(X)                                                                                \
    X(TEXT, data, "data", "lodge-data", 1, 255, AT_START, NULL,                                    \
      "directory that holds everything on disk")                                                   \
    X(TEXT, definitions, "definitions", "", 0, 255, ON_RELOAD, NULL,                               \
      "file of users, vhosts and permissions, like RabbitMQ's definitions.json; empty: none")      \
    X(ADDRESS, stomp_address, "stomp.address", "127.0.0.1:61613", 0, 0, AT_START, NULL,            \
      "where STOMP clients connect: ADDR:PORT, [IPV6]:PORT, unix:PATH or off")                     \
    X(ADDRESS, amqp_address, "amqp.address", "127.0.0.1:5672", 0, 0, AT_START, NULL,               \
      "where AMQP 0-9-1 clients connect")                                                          \
    X(ADDRESS, mqtt_address, "mqtt.address", "127.0.0.1:1883", 0, 0, AT_START, NULL,               \
      "where MQTT clients connect")                                                                \
    X(ADDRESS, ws_address, "ws.address", "127.0.0.1:15675", 0, 0, AT_START, NULL,                  \
      "where WebSocket clients connect, to speak MQTT or STOMP")                                   \
    X(TEXT, ws_origins, "ws.origins", "", 0, 255, ON_RELOAD, NULL,                                 \
      "pages that may connect besides those of this host: https://a.example, ...; * for any")      \
    X(ADDRESS, any_address, "any.address", "off", 0, 0, AT_START, NULL,                            \
      "one address for all protocols, told apart by their first bytes")                            \
    X(ENUM, log_level, "log.level", "info", 0, 3, ON_RELOAD, "debug|info|warn|error",              \
      "least level that is logged")                                                                \
    X(BOOL, log_json, "log.json", "false", 0, 1, ON_RELOAD, NULL,                                  \
      "log one JSON object a line instead of key=value")                                           \
    X(BYTES, memory, "memory", "64m", 1 << 20, 1ULL << 40, AT_START, NULL,                         \
      "message content held in memory; the rest is on disk alone")                                 \
    X(BYTES, read_ahead, "read_ahead", "1m", 64 << 10, 1ULL << 30, AT_START, NULL,                 \
      "read from disk ahead of each queue that is being drained")                                  \
    X(BYTES, uncommitted, "uncommitted", "32m", 1 << 20, 1ULL << 40, AT_START, NULL,               \
      "waiting for the disk; beyond it publishers are not read from")                              \
    X(BYTES, disk_reserve, "disk_reserve", "64m", 1 << 20, 1ULL << 40, AT_START, NULL,             \
      "free disk space below which publishes are refused")                                         \
    X(BYTES, max_message, "max_message", "128m", 1 << 10, 1 << 30, AT_START, NULL,                 \
      "largest message body")                                                                      \
    X(BYTES, max_transaction, "max_transaction", "256m", 1 << 10, 16ULL << 30, AT_START, NULL,     \
      "largest open transaction")                                                                  \
    X(COUNT, max_queues, "max_queues", "100000", 1, 1 << 24, AT_START, NULL, "queues")             \
    X(COUNT, max_exchanges, "max_exchanges", "10000", 16, 1 << 24, AT_START, NULL, "exchanges")    \
    X(COUNT, max_bindings, "max_bindings", "500000", 1, 1 << 24, AT_START, NULL, "bindings")       \
    X(COUNT, max_consumers, "max_consumers", "200000", 1, 1 << 24, AT_START, NULL,                 \
      "consumers (subscriptions)")                                                                 \
    X(COUNT, max_unacked, "max_unacked", "262144", 1, 1 << 24, AT_START, NULL,                     \
      "unacknowledged messages of a consumer that asked for no prefetch")                          \
    X(COUNT, max_retained, "max_retained", "100000", 0, 1 << 24, AT_START, NULL,                   \
      "retained messages; 0: none are kept")                                                       \
    X(BYTES, max_retained_bytes, "max_retained_bytes", "64m", 0, 1ULL << 34, AT_START, NULL,       \
      "retained messages, which are held in memory")                                               \
    X(COUNT, max_connections, "max_connections", "65536", 1, 1 << 24, ON_RELOAD, NULL,             \
      "connections at a time; descriptors may allow fewer")                                        \
    X(BYTES, output_budget, "output_budget", "256k", 4 << 10, 1 << 30, ON_RELOAD, NULL,            \
      "unsent output of one connection; beyond it deliveries to it wait")                          \
    X(MS, login_timeout, "login_timeout", "10s", 100, 600000, ON_RELOAD, NULL,                     \
      "a connection must have logged in by then")                                                  \
    X(MS, heart_beat_min, "heart_beat_min", "1s", 10, 3600000, ON_RELOAD, NULL,                    \
      "least heart-beat interval that the server agrees to")                                       \
    X(MS, shutdown_timeout, "shutdown_timeout", "5s", 0, 600000, ON_RELOAD, NULL,                  \
      "a stop waits this long for what is in flight")                                              \
    X(COUNT, stomp_prefetch, "stomp.prefetch", "0", 0, 1 << 20, ON_RELOAD, NULL,                   \
      "prefetch-count of a subscription with acks that names none; 0: no limit")                   \
    X(BYTES, stomp_max_head, "stomp.max_head", "64k", 256, 1 << 20, ON_RELOAD, NULL,               \
      "command and headers of one frame")                                                          \
    X(COUNT, stomp_max_headers, "stomp.max_headers", "128", 8, 256, ON_RELOAD, NULL,               \
      "headers of one frame")                                                                      \
    X(COUNT, amqp_channels, "amqp.channel_max", "2047", 1, 65535, ON_RELOAD, NULL,                 \
      "channels of one connection")                                                                \
    X(BYTES, amqp_frame, "amqp.frame_max", "128k", 8 << 10, 1 << 20, ON_RELOAD, NULL,              \
      "largest frame")                                                                             \
    X(MS, amqp_heartbeat, "amqp.heartbeat", "60s", 0, 3600000, ON_RELOAD, NULL,                    \
      "heartbeat interval that is proposed to clients; 0: none")                                   \
    X(MS, amqp_consumer_timeout, "amqp.consumer_timeout", "30m", 0, 2592000000, ON_RELOAD, NULL,   \
      "a delivery unacknowledged for longer closes its channel; 0: never")                         \
    X(COUNT, mqtt_receive_maximum, "mqtt.receive_maximum", "1000", 1, 65535, ON_RELOAD, NULL,      \
      "messages of QoS 1 and 2 that a client may send before they are answered")                   \
    X(COUNT, mqtt_inflight, "mqtt.inflight", "1000", 1, 65535, ON_RELOAD, NULL,                    \
      "messages of QoS 1 and 2 that are sent to a client before it answers")                       \
    X(COUNT, mqtt_topic_aliases, "mqtt.topic_aliases", "16", 0, 65535, AT_START, NULL,             \
      "topic aliases each way")                                                                    \
    X(MS, mqtt_share_expiry, "mqtt.share_expiry", "24h", 1000, 2592000000, ON_RELOAD, NULL,        \
      "a shared subscription outlives its last connected member by so long")                       \
    X(MS, mqtt_keep_alive_max, "mqtt.keep_alive_max", "0", 0, 65535000, ON_RELOAD, NULL,           \
      "longest keep alive of a client of 5.0, in whole seconds, which none may turn off; 0: any")  \
    X(MS, storage_commit_spacing, "storage.commit_spacing", "1ms", 0, 1000, ON_RELOAD, NULL,       \
      "least time between commits while more messages keep coming in; 0: none")                    \
    X(BYTES, storage_checkpoint, "storage.checkpoint", "32m", 1 << 20, 1ULL << 30, AT_START, NULL, \
      "size of the write-ahead log that wakes the checkpoint")                                     \
    X(BYTES, storage_cache, "storage.cache", "2m", 1 << 20, 1ULL << 34, AT_START, NULL,            \
      "page cache of the database")

enum { SETTING_TEXT_MAX = 255 };

#define SETTING_C_TEXT struct setting_text
#define SETTING_C_ADDRESS struct address
#define SETTING_C_ENUM uint64_t
#define SETTING_C_BOOL bool
#define SETTING_C_BYTES uint64_t
#define SETTING_C_COUNT uint64_t
#define SETTING_C_MS uint64_t

struct setting_text {
    char s[SETTING_TEXT_MAX + 1];
};

struct settings {
#define X(type, field, name, def, least, most, when, choices, help) SETTING_C_##type field;
    SETTINGS(X)
#undef X
};

struct settings_fault {
    char text[512];
};

void settings_defaults(struct settings *s);

/* A value as it is written on the command line or in a JSON string. */
bool settings_set(struct settings *s, struct bytes name, struct bytes value,
                  struct settings_fault *why);

/* JSON with comments; `file` is for messages.  On a fault `s` is half set. */
bool settings_read(struct settings *s, const char *file, struct bytes text,
                   struct settings_fault *why);
bool settings_load(struct settings *s, const char *path, struct settings_fault *why);

/* Takes over what may change while running; logs by name what differs but
 * cannot, and what was changed. */
void settings_apply(struct settings *running, const struct settings *fresh);

/* The table, for --help and as Markdown for docs/limits.md. */
void settings_print_help(FILE *to);
void settings_print_markdown(FILE *to);

#endif
