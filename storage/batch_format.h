// SPDX-License-Identifier: MIT
/* batch_format.h - how the `slots` column is spelled: shared by batch_encode.c
 * and batch_decode.c, and by nobody else (docs/storage.md has it in prose).
 *
 *     version u8 | flags u8 | checksum u64 | bodies checksum u64 | created_ms u64
 *     varints: bytes of bodies, slots, groups, blobs
 *     groups, blobs, slots
 *
 * `checksum` is the XXH3-64 of all that follows it, seeded with version and flags. */
#ifndef STORAGE_BATCH_FORMAT_H
#define STORAGE_BATCH_FORMAT_H

#include "storage/batch.h"

enum { BATCH_VERSION = 1, BATCH_FLAG_TRANSIENT = 1 };
enum { BATCH_CHECKSUM_AT = 2, BATCH_BODIES_CHECKSUM_AT = 10, BATCH_CREATED_AT = 18 };
enum { BATCH_COUNTS_AT = 26 };

/* No batch has more slots; a bound on what a damaged count can allocate. */
enum { BATCH_SLOTS_LIMIT = 4 * 1024 * 1024 };

/* A group: tag u8, then varints: queue id as a difference to the group before,
 * first seq, last seq - first seq, count, live bytes; what the tag announces. */
enum group_tag {
    GROUP_HAS_PRIORITY = 1, /* u8 */
    GROUP_HAS_AT = 2,       /* least at_ms as a difference to created_ms */
    GROUP_HAS_DEAD = 4,     /* live, when it is less than count */
    GROUP_TAGS = 7
};

/* A live slot: tag u8, then what the tag announces, in this order.  0 is the
 * commonest: same queue, next seq, next record of the same size.  A tag that
 * announces nothing may be followed by how often it comes again. */
enum slot_tag {
    SLOT_GROUP_MASK = 3,
    SLOT_GROUP_SAME = 0,
    SLOT_GROUP_NEXT = 1,  /* the group after, or the first after the last */
    SLOT_GROUP_GIVEN = 2, /* varint */
    SLOT_AGAIN = 3,       /* the tag before, again: five bits, or 0 and a varint */
    SLOT_SEQ_GIVEN = 4,   /* varint: how many seqs of the queue are skipped */
    SLOT_RECORD_MASK = 3 << 3,
    SLOT_RECORD_STEP = 0,              /* as far from the record before as that one was */
    SLOT_RECORD_SAME = 1 << 3,         /* fan-out */
    SLOT_RECORD_STEP_GIVEN = 2 << 3,   /* varint: bytes from the record before */
    SLOT_RECORD_OFFSET_GIVEN = 3 << 3, /* varint */
    SLOT_BYTES_GIVEN = 1 << 5,         /* varint; otherwise as the slot before */
    SLOT_AT_GIVEN = 1 << 6,            /* difference to the last at_ms, first to created_ms */
    SLOT_DEAD = 1 << 7                 /* a run of dead slots: low bits, or 0 and a varint */
};
enum { SLOT_DEAD_RUN_MAX = 0x7f, SLOT_AGAIN_MAX = 0x1f, SLOT_AGAIN_SHIFT = 2 };

/* Whether a live slot's tag announces nothing, and so can come again. */
static inline bool slot_tag_is_bare(uint8_t tag)
{
    unsigned group = tag & SLOT_GROUP_MASK, record = tag & SLOT_RECORD_MASK;

    return !(tag & (SLOT_SEQ_GIVEN | SLOT_BYTES_GIVEN | SLOT_AT_GIVEN | SLOT_DEAD)) &&
           (group == SLOT_GROUP_SAME || group == SLOT_GROUP_NEXT) &&
           (record == SLOT_RECORD_STEP || record == SLOT_RECORD_SAME);
}

/* What is summed up over the live slots of a group. */
struct group_sum {
    uint64_t next_seq; /* the least a further slot may have */
    uint64_t live_bytes, min_at_ms;
    uint32_t live;
};

/* What a slot is told relative to. */
struct slot_context {
    uint32_t group, record, step, bytes;
    uint64_t at_ms;
};

static inline void group_sum_add(struct group_sum *g, uint64_t seq, uint32_t bytes, uint64_t at_ms)
{
    g->next_seq = seq + 1;
    g->live_bytes += bytes;
    g->live++;
    if (at_ms && (!g->min_at_ms || at_ms < g->min_at_ms))
        g->min_at_ms = at_ms;
}

/* Differences of either sign as small numbers: 0, -1, 1, -2 ... */
static inline uint64_t zigzag(uint64_t from, uint64_t to)
{
    uint64_t d = to - from;

    return d << 1 ^ (0 - (d >> 63));
}

static inline uint64_t unzigzag(uint64_t from, uint64_t z)
{
    return from + (z >> 1 ^ (0 - (z & 1)));
}

static inline uint64_t batch_checksum(struct bytes slots)
{
    return bytes_hash(bytes_from(slots, BATCH_BODIES_CHECKSUM_AT),
                      (uint64_t)slots.p[0] << 8 | slots.p[1]);
}

static inline uint64_t bodies_checksum(struct bytes bodies)
{
    return bytes_hash(bodies, BATCH_VERSION);
}

#endif
