// SPDX-License-Identifier: MIT
#include "storage/batch.h"

#include "base/check.h"
#include "base/mem.h"

struct batch_content *batch_content_new(uint64_t created_ms, bool transient)
{
    struct batch_content *c = mem_new(struct batch_content);

    c->created_ms = created_ms;
    c->transient = transient;
    return c;
}

void batch_content_free(struct batch_content **c)
{
    if (!*c)
        return;
    mem_free((*c)->slot);
    mem_free((*c)->group);
    mem_free((*c)->blob);
    buf_fini(&(*c)->bodies);
    mem_free(*c);
    *c = NULL;
}

size_t batch_content_memory(const struct batch_content *c)
{
    return sizeof *c + c->slot_cap * sizeof *c->slot + c->group_cap * sizeof *c->group +
           c->blob_cap * sizeof *c->blob + c->bodies.cap;
}

uint32_t batch_add_group(struct batch_content *c, uint64_t queue_id, uint8_t priority)
{
    CHECK(c->group_count < SLOT_NONE);
    c->group = mem_grow(c->group, &c->group_cap, c->group_count + 1, sizeof *c->group);
    c->group[c->group_count] = (struct group){
        .queue_id = queue_id,
        .priority = priority,
        .first_slot = SLOT_NONE,
        .last_slot = SLOT_NONE,
    };
    return (uint32_t)c->group_count++;
}

uint32_t batch_add_slot(struct batch_content *c, uint32_t group, uint64_t seq, uint64_t at_ms,
                        uint32_t record, uint32_t bytes)
{
    CHECK(group < c->group_count && c->slot_count < SLOT_NONE);
    c->slot = mem_grow(c->slot, &c->slot_cap, c->slot_count + 1, sizeof *c->slot);

    struct group *g = &c->group[group];
    uint32_t at = (uint32_t)c->slot_count++;

    c->slot[at] = (struct slot){ seq, at_ms, record, SLOT_NONE, group, bytes };
    if (g->count++ == 0) {
        g->first_slot = at;
        g->first_seq = seq;
    } else {
        CHECK(seq > g->last_seq);
        c->slot[g->last_slot].next = at;
    }
    g->last_slot = at;
    g->last_seq = seq;
    g->live++;
    g->live_bytes += bytes;
    if (at_ms && (!g->min_at_ms || at_ms < g->min_at_ms))
        g->min_at_ms = at_ms;
    return at;
}

void batch_add_blob(struct batch_content *c, uint32_t slot, uint64_t blob_id)
{
    CHECK(slot < c->slot_count && blob_id != 0);
    c->blob = mem_grow(c->blob, &c->blob_cap, c->blob_count + 1, sizeof *c->blob);
    c->blob[c->blob_count++] = (struct blob_ref){ blob_id, slot };
}
