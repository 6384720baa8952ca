// SPDX-License-Identifier: MIT
/* batch.h - the content of a batch: what a commit writes as one row.
 *
 * A batch is the unit of memory, of a row, of paging and of recycling.  `bodies`
 * holds each message once as a record (record.h).  A *slot* is one (message,
 * queue) pair; slots are numbered in the order they were added, and that number
 * is the bit of the slot in the batch's settled bitmap for ever: in memory, on
 * disk and after a reload.  A *group* is a run of slots of one queue (and one
 * priority) in ascending seq; slots of a group are chained by `next`.
 *
 * On disk (batch_encode) slots take a byte or so each; their format is in
 * docs/storage.md.  Checksums (XXH3) cover slots and bodies separately: start-up
 * reads and verifies slots alone.
 *
 * Owner: the core's struct batch, or who was handed it.  While a commit is under
 * way the storage thread reads it and nobody writes. */
#ifndef STORAGE_BATCH_H
#define STORAGE_BATCH_H

#include "base/buf.h"
#include "base/err.h"

#define SLOT_NONE UINT32_MAX

/* A batch is closed and another begun beyond these. */
enum { BATCH_BODIES_MAX_BYTES = 256 * 1024, BATCH_SLOTS_MAX = 64 * 1024 };

struct slot {
    uint64_t seq;    /* of the queue, ascending within the group */
    uint64_t at_ms;  /* wall time: expires at, or due at in a delay queue; 0: never */
    uint32_t record; /* offset in bodies; SLOT_NONE: its record was left out (dead) */
    uint32_t next;   /* slot of the same group, or SLOT_NONE */
    uint32_t group;
    uint32_t bytes; /* of the message's body */
};

struct group {
    uint64_t queue_id;
    uint64_t first_seq, last_seq;
    uint64_t live_bytes; /* sum of `bytes` over live slots */
    uint64_t min_at_ms;  /* least at_ms above 0 over live slots; 0: none */
    uint32_t first_slot, last_slot;
    uint32_t count; /* slots, dead ones included */
    uint32_t live;  /* not settled when this was encoded or summarised */
    uint8_t priority;
};

/* A slot whose body is in parts of its own (op.h OP_PART_PUT). */
struct blob_ref {
    uint64_t blob_id;
    uint32_t slot;
};

struct batch_content {
    uint64_t created_ms; /* wall time of the first message */
    bool transient;      /* spilled only for room: dropped at start */
    struct slot *slot;
    size_t slot_count, slot_cap;
    struct group *group;
    size_t group_count, group_cap;
    struct blob_ref *blob;
    size_t blob_count, blob_cap;
    struct buf bodies;
};

struct batch_content *batch_content_new(uint64_t created_ms, bool transient);
void batch_content_free(struct batch_content **c);

/* Bytes of memory it holds, for the budget. */
size_t batch_content_memory(const struct batch_content *c);

/* Opens a group; returns its number. */
uint32_t batch_add_group(struct batch_content *c, uint64_t queue_id, uint8_t priority);

/* Appends a slot to the group; returns its number. */
uint32_t batch_add_slot(struct batch_content *c, uint32_t group, uint64_t seq, uint64_t at_ms,
                        uint32_t record, uint32_t bytes);
void batch_add_blob(struct batch_content *c, uint32_t slot, uint64_t blob_id);

/* Bitmaps: bit i of byte i/8, least significant first. */
static inline bool bit_get(const uint8_t *bits, size_t i)
{
    return bits && (bits[i / 8] >> (i % 8) & 1);
}

static inline void bit_set(uint8_t *bits, size_t i)
{
    bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << (i % 8));
}

static inline void bit_clear(uint8_t *bits, size_t i)
{
    bits[i / 8] = (uint8_t)(bits[i / 8] & ~(1u << (i % 8)));
}

static inline size_t bits_bytes(size_t count)
{
    return (count + 7) / 8;
}

/* Appends the `slots` column to `slots`.  `dead` (may be NULL) marks slots that
 * were settled before the batch is written: they cost a share of a run-length
 * byte.  When enough of the bodies is dead, the live records are packed into
 * `packed` and that is what must be written as `bodies`; otherwise `packed`
 * stays empty and c->bodies is written as it is. */
void batch_encode(const struct batch_content *c, const uint8_t *dead, struct buf *slots,
                  struct buf *packed);

/* Decodes and verifies both columns into a content that owns its memory.  Slots
 * that were dead keep their numbers, but are in no group and no chain (record,
 * group and next are SLOT_NONE).
 * `bodies` is taken over (freed on error too).  ERR_CORRUPT: checksum, or any
 * count, offset or order that does not hold. */
enum err batch_decode(struct bytes slots, struct buf *bodies, struct batch_content **out) MUST_USE;

/* What start-up needs: groups and blob references, with live counts after the
 * settled bits (NULL: none), without slots or bodies.  slot_count is set, slot
 * is NULL; blobs of settled slots are left out. */
enum err batch_summarise(struct bytes slots, struct bytes settled,
                         struct batch_content **out) MUST_USE;

#endif
