// SPDX-License-Identifier: MIT
/* lock.h - the data directory belongs to one daemon at a time.
 *
 * The lock is on the file lodged.pid inside it, and goes with the process however
 * that ends.  The file stays; a pid in it means something only while it is locked. */
#ifndef BROKER_LOCK_H
#define BROKER_LOCK_H

#include "base/err.h"

struct lock {
    int fd;
};

/* Makes the directory if it is not there.  ERR_LOCKED: another daemon has it;
 * ERR_IO.  Both are logged. */
enum err lock_take(const char *dir, struct lock *out) MUST_USE;
void lock_drop(struct lock *l);

#endif
