// SPDX-License-Identifier: MIT
/* url.h - reads "[stomp://][user[:password]@]host[:port]".
 *
 * A host may be an IPv6 address in brackets.  %XX is decoded in user and password.
 * Owner frees with url_fini.  Pure. */
#ifndef CLIENT_URL_H
#define CLIENT_URL_H

#include <stdbool.h>
#include <stdint.h>

struct url {
    char *host;             /* NULL: not given */
    char *login, *passcode; /* NULL: not given */
    uint16_t port;          /* 0: not given */
};

/* False: cannot be understood; *out is empty then. */
bool url_parse(const char *text, struct url *out);
void url_fini(struct url *a);

#endif
