// SPDX-License-Identifier: MIT
/* sqlite_vfs.h - gathers the small writes of a commit into few large ones.
 *
 * SQLite appends a WAL frame as two writes, 24 bytes and a page; a commit of a
 * hundred pages is two hundred system calls.  This VFS keeps consecutive writes
 * to a WAL file in memory and passes them on before anything could notice: a
 * sync, a read, a truncation, a question for the size, the close.
 *
 * It also writes the WAL ahead with zeros while it grows, so that most commits
 * sync inside the file.
 *
 * Other connections read the WAL through handles of their own, past this
 * memory.  That is sound with synchronous=FULL alone: the frames of a commit
 * are synced, so written, before the shared index tells anyone of them. */
#ifndef STORAGE_SQLITE_VFS_H
#define STORAGE_SQLITE_VFS_H

/* Registers it over the VFS of that name (NULL: SQLite's default) unless it is
 * there; returns its own name, or NULL if `base` is unknown.  Process-wide;
 * call it from one thread at a time. */
const char *sqlite_vfs_over(const char *base);

#endif
