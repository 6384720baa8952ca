// SPDX-License-Identifier: MIT
/* notify.h - tells the service manager how we are (sd_notify(3)).
 *
 * Written out here: the protocol is one datagram, and libsystemd would bring
 * several libraries into every process.  Without NOTIFY_SOCKET nothing is sent. */
#ifndef BROKER_NOTIFY_H
#define BROKER_NOTIFY_H

#include <stdint.h>

void notify_send(const char *state); /* "READY=1", "STOPPING=1", "WATCHDOG=1" */

/* How often it wants to hear WATCHDOG=1, in milliseconds; 0: never. */
uint64_t notify_watchdog_ms(void);

#endif
