// SPDX-License-Identifier: MIT
/* listener.h - one address where connections of one protocol come in.
 *
 * Out of descriptors it pauses and looks again a little later, while those who
 * are connected are served.  Owner: the broker.  Thread: the loop's. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <sys/socket.h>

#include "broker/net/conn.h"

struct listener;

struct listener_options {
    struct net *net;
    const char *protocol; /* for the log */
    const struct sockaddr *address;
    socklen_t address_len;
    session_open_fn *open;
    struct bytes refusal; /* what one too many is told */
};

/* ERR_IO: logged with its reason. */
enum err listener_open(const struct listener_options *o, struct listener **out) MUST_USE;
void listener_close(struct listener **l);

#endif
