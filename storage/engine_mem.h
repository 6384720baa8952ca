// SPDX-License-Identifier: MIT
/* engine_mem.h - what the driver of an engine in memory may do to its disk.
 *
 * A mem_disk is what would survive a crash; it outlives the engines opened on
 * it.  A commit is held back by calling engine_mem.commit later (it reaches the
 * disk during that call and no sooner), lost by never calling it, and made to
 * land untold by calling it and throwing the result away; for drivers behind
 * store threads, mem_disk_fate and mem_disk_gate do the same from afar.
 * Deterministic: nothing here asks for time or chance.
 *
 * Owner: who called mem_disk_new or mem_disk_fork.  Thread: engine calls as
 * engine.h says; the functions here only while no engine call is under way,
 * except where they say otherwise. */
#ifndef STORAGE_ENGINE_MEM_H
#define STORAGE_ENGINE_MEM_H

#include "storage/engine.h"

struct mem_disk;

struct mem_disk *mem_disk_new(void);
struct mem_disk *mem_disk_fork(const struct mem_disk *d); /* a snapshot of its own */
void mem_disk_free(struct mem_disk **d);

/* An engine over `d`, which stays the caller's.  engine_mem.open makes an engine
 * with a disk of its own instead, gone when it closes. */
struct engine *engine_mem_on(struct mem_disk *d);
struct mem_disk *engine_mem_disk(struct engine *e);

/* What becomes of a commit. */
enum mem_fate {
    MEM_FATE_LAND,   /* on disk, OK */
    MEM_FATE_LOSE,   /* not on disk, ERR_IO */
    MEM_FATE_UNTOLD, /* on disk, and yet ERR_IO: what a failed fsync may leave */
    MEM_FATE_COUNT
};

/* The fate of the commit after `skip` more; once.  Any thread. */
void mem_disk_fate(struct mem_disk *d, unsigned skip, enum mem_fate fate);

/* Called at the start of every commit on its thread, before anything lands; it
 * may block to hold the commit back.  NULL: none. */
void mem_disk_gate(struct mem_disk *d, void (*gate)(void *arg, const struct commit *c), void *arg);

/* Turns bit `bit` (modulo their length) of the stored slots, or bodies, of the
 * batch.  False: no such batch. */
bool mem_disk_flip(struct mem_disk *d, uint64_t batch_id, bool bodies, uint64_t bit);

/* Loads of parts and batches fail with ERR_IO from now on, or work again.  Any thread. */
void mem_disk_fail_loads(struct mem_disk *d, bool fail);

struct mem_disk_stats {
    uint64_t commits, batches, batch_bytes, settled, deliveries, blobs, parts, notes, retained;
};
struct mem_disk_stats mem_disk_stats(const struct mem_disk *d);

/* Row `i` of the batches by rising id; false: there are not so many. */
bool mem_disk_batch_id(const struct mem_disk *d, size_t i, uint64_t *id_out);

#endif
