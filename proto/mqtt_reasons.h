// SPDX-License-Identifier: MIT
/* mqtt_reasons.h - the reason codes of MQTT 5.0 (section 2.4) and the packets they may be in.
 *
 * From 0x80 on they are failures. */
#ifndef PROTO_MQTT_REASONS_H
#define PROTO_MQTT_REASONS_H

#include <stdint.h>

#include "proto/mqtt_props.h"

/* Packets that share reasons. */
#define MQTT_IN_RECEIPT (MQTT_IN(PUBACK) | MQTT_IN(PUBREC))
#define MQTT_IN_SUBACKS (MQTT_IN(SUBACK) | MQTT_IN(UNSUBACK))
#define MQTT_IN_END (MQTT_IN(CONNACK) | MQTT_IN(DISCONNECT))

/* X(code, name, text, where) */
#define MQTT_REASONS(X)                                                                          \
    X(0x00, SUCCESS, "Success", MQTT_IN_ANSWER)                                                  \
    X(0x01, GRANTED_QOS_1, "Granted QoS 1", MQTT_IN(SUBACK))                                     \
    X(0x02, GRANTED_QOS_2, "Granted QoS 2", MQTT_IN(SUBACK))                                     \
    X(0x04, DISCONNECT_WITH_WILL, "Disconnect with Will Message", MQTT_IN(DISCONNECT))           \
    X(0x10, NO_MATCHING_SUBSCRIBERS, "No matching subscribers", MQTT_IN_RECEIPT)                 \
    X(0x11, NO_SUBSCRIPTION_EXISTED, "No subscription existed", MQTT_IN(UNSUBACK))               \
    X(0x18, CONTINUE_AUTHENTICATION, "Continue authentication", MQTT_IN(AUTH))                   \
    X(0x19, REAUTHENTICATE, "Re-authenticate", MQTT_IN(AUTH))                                    \
    X(0x80, UNSPECIFIED_ERROR, "Unspecified error",                                              \
      MQTT_IN_END | MQTT_IN_RECEIPT | MQTT_IN_SUBACKS)                                           \
    X(0x81, MALFORMED_PACKET, "Malformed Packet", MQTT_IN_END)                                   \
    X(0x82, PROTOCOL_ERROR, "Protocol Error", MQTT_IN_END)                                       \
    X(0x83, IMPLEMENTATION_ERROR, "Implementation specific error",                               \
      MQTT_IN_END | MQTT_IN_RECEIPT | MQTT_IN_SUBACKS)                                           \
    X(0x84, UNSUPPORTED_PROTOCOL_VERSION, "Unsupported Protocol Version", MQTT_IN(CONNACK))      \
    X(0x85, CLIENT_ID_NOT_VALID, "Client Identifier not valid", MQTT_IN(CONNACK))                \
    X(0x86, BAD_USER_NAME_OR_PASSWORD, "Bad User Name or Password", MQTT_IN(CONNACK))            \
    X(0x87, NOT_AUTHORIZED, "Not authorized", MQTT_IN_END | MQTT_IN_RECEIPT | MQTT_IN_SUBACKS)   \
    X(0x88, SERVER_UNAVAILABLE, "Server unavailable", MQTT_IN(CONNACK))                          \
    X(0x89, SERVER_BUSY, "Server busy", MQTT_IN_END)                                             \
    X(0x8a, BANNED, "Banned", MQTT_IN(CONNACK))                                                  \
    X(0x8b, SERVER_SHUTTING_DOWN, "Server shutting down", MQTT_IN(DISCONNECT))                   \
    X(0x8c, BAD_AUTHENTICATION_METHOD, "Bad authentication method", MQTT_IN_END)                 \
    X(0x8d, KEEP_ALIVE_TIMEOUT, "Keep Alive timeout", MQTT_IN(DISCONNECT))                       \
    X(0x8e, SESSION_TAKEN_OVER, "Session taken over", MQTT_IN(DISCONNECT))                       \
    X(0x8f, TOPIC_FILTER_INVALID, "Topic Filter invalid", MQTT_IN_SUBACKS | MQTT_IN(DISCONNECT)) \
    X(0x90, TOPIC_NAME_INVALID, "Topic Name invalid", MQTT_IN_END | MQTT_IN_RECEIPT)             \
    X(0x91, PACKET_ID_IN_USE, "Packet Identifier in use", MQTT_IN_RECEIPT | MQTT_IN_SUBACKS)     \
    X(0x92, PACKET_ID_NOT_FOUND, "Packet Identifier not found",                                  \
      MQTT_IN(PUBREL) | MQTT_IN(PUBCOMP))                                                        \
    X(0x93, RECEIVE_MAXIMUM_EXCEEDED, "Receive Maximum exceeded", MQTT_IN(DISCONNECT))           \
    X(0x94, TOPIC_ALIAS_INVALID, "Topic Alias invalid", MQTT_IN(DISCONNECT))                     \
    X(0x95, PACKET_TOO_LARGE, "Packet too large", MQTT_IN_END)                                   \
    X(0x96, MESSAGE_RATE_TOO_HIGH, "Message rate too high", MQTT_IN(DISCONNECT))                 \
    X(0x97, QUOTA_EXCEEDED, "Quota exceeded", MQTT_IN_END | MQTT_IN_RECEIPT | MQTT_IN(SUBACK))   \
    X(0x98, ADMINISTRATIVE_ACTION, "Administrative action", MQTT_IN(DISCONNECT))                 \
    X(0x99, PAYLOAD_FORMAT_INVALID, "Payload format invalid", MQTT_IN_END | MQTT_IN_RECEIPT)     \
    X(0x9a, RETAIN_NOT_SUPPORTED, "Retain not supported", MQTT_IN_END)                           \
    X(0x9b, QOS_NOT_SUPPORTED, "QoS not supported", MQTT_IN_END)                                 \
    X(0x9c, USE_ANOTHER_SERVER, "Use another server", MQTT_IN_END)                               \
    X(0x9d, SERVER_MOVED, "Server moved", MQTT_IN_END)                                           \
    X(0x9e, SHARED_NOT_SUPPORTED, "Shared Subscriptions not supported",                          \
      MQTT_IN(SUBACK) | MQTT_IN(DISCONNECT))                                                     \
    X(0x9f, CONNECTION_RATE_EXCEEDED, "Connection rate exceeded", MQTT_IN_END)                   \
    X(0xa0, MAXIMUM_CONNECT_TIME, "Maximum connect time", MQTT_IN(DISCONNECT))                   \
    X(0xa1, SUBSCRIPTION_IDS_NOT_SUPPORTED, "Subscription Identifiers not supported",            \
      MQTT_IN(SUBACK) | MQTT_IN(DISCONNECT))                                                     \
    X(0xa2, WILDCARDS_NOT_SUPPORTED, "Wildcard Subscriptions not supported",                     \
      MQTT_IN(SUBACK) | MQTT_IN(DISCONNECT))

enum mqtt_reason {
#define X(code, name, text, where) MQTT_##name = (code),
    MQTT_REASONS(X)
#undef X
};

const char *mqtt_reason_name(uint8_t reason); /* "Not authorized" */

#endif
