// SPDX-License-Identifier: MIT
/* detect.h - which protocol speaks, by its first bytes.
 *
 * AMQP begins with its protocol header, MQTT with the type of CONNECT, STOMP with a
 * command (or the ends of line that may stand before one), the request for a WebSocket
 * with its method.  Pure. */
#ifndef PROTO_DETECT_H
#define PROTO_DETECT_H

#include "base/bytes.h"

enum protocol {
    PROTOCOL_UNKNOWN, /* more bytes are needed */
    PROTOCOL_NONE,    /* none of ours begins like this */
    PROTOCOL_AMQP,
    PROTOCOL_MQTT,
    PROTOCOL_STOMP,
    PROTOCOL_HTTP
};

enum protocol protocol_detect(struct bytes in);

#endif
