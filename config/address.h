// SPDX-License-Identifier: MIT
/* address.h - where to listen, as a person writes it.
 *
 *     127.0.0.1:61613   [::1]:61613   localhost:61613   unix:/run/lodge.sock   off
 *
 * Numbers only, no look-up of names: a start must not wait for DNS. */
#ifndef CONFIG_ADDRESS_H
#define CONFIG_ADDRESS_H

#include <sys/socket.h>

#include "base/bytes.h"

struct address {
    bool off;
    socklen_t len;
    struct sockaddr_storage sa;
    char text[128]; /* as it was written */
};

bool address_parse(struct bytes text, struct address *out);

/* Only this machine can reach it. */
bool address_is_local(const struct address *a);

#endif
