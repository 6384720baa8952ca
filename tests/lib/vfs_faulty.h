// SPDX-License-Identifier: MIT
/* vfs_faulty.h - a SQLite VFS whose power can be cut, and whose calls can fail.
 *
 * Named "faulty", over SQLite's own.  It remembers what was written to each file
 * since that file's last sync.  When the power is cut, every later call fails,
 * and vfs_faulty_reboot() leaves in the real files only what a disk may then
 * hold: what was synced, and of the rest any sectors of 512 bytes at random,
 * files of any length in between.  Nothing is really synced, so it is fast.
 *
 * Operations are numbered from 1 since vfs_faulty_start: writes, syncs,
 * truncations, deletions, in the order in which SQLite asks.  One thread. */
#ifndef TESTS_LIB_VFS_FAULTY_H
#define TESTS_LIB_VFS_FAULTY_H

#include <stdbool.h>
#include <stdint.h>

/* Registers it; forgets every file and every plan. */
void vfs_faulty_start(uint64_t seed);

/* The power goes during operation `op`: a write is torn, a sync does nothing. */
void vfs_faulty_cut_at(uint64_t op);
void vfs_faulty_cut_now(void);
bool vfs_faulty_is_off(void);

/* Operation `op` and the `more` after it fail with this result of SQLite. */
void vfs_faulty_fail_at(uint64_t op, uint64_t more, int rc);
bool vfs_faulty_failed(void);

uint64_t vfs_faulty_ops(void);

/* Bytes that were written, all in all. */
uint64_t vfs_faulty_bytes(void);

/* After the engine was closed.  `power`: the power was cut; false: only the
 * process died, and the system still has everything that was written. */
void vfs_faulty_reboot(bool power);

#endif
