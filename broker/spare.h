// SPDX-License-Identifier: MIT
/* spare.h - room on disk for the next start.
 *
 * A start writes a little (the write-ahead log and its index, the boot number),
 * and a disk that is full would forbid it to serve what is there.  So a clean
 * stop leaves a file behind, in place of the log that it removed; the start
 * removes it.  After a crash the log itself is still there. */
#ifndef BROKER_SPARE_H
#define BROKER_SPARE_H

/* Best effort both: without it a start on a full disk fails, and says so. */
void spare_leave(const char *dir);
void spare_take(const char *dir);

#endif
