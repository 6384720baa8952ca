// SPDX-License-Identifier: MIT
#include "broker/core/note.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/core/state.h"

static struct bytes note_bytes(const struct queue *q)
{
    return q && q->note ? bytes_of(q->note->bytes, q->note->n) : (struct bytes){ NULL, 0 };
}

static void note_set(struct queue *q, struct bytes bytes)
{
    struct note *old = q->note;

    CHECK(bytes.n <= UINT32_MAX);
    q->note = mem_alloc(sizeof *q->note + bytes.n);
    *q->note = (struct note){ .n = (uint32_t)bytes.n };
    if (bytes.n)
        memcpy(q->note->bytes, bytes.p, bytes.n);
    if (old) {
        q->note->stored = old->stored;
        q->note->changed = old->changed;
    }
    mem_free(old);
}

static void note_changed(struct core *c, struct queue *q)
{
    if (q->note->changed)
        return;
    q->note->changed = true;
    c->noted = mem_grow(c->noted, &c->noted_cap, c->noted_count + 1, sizeof *c->noted);
    c->noted[c->noted_count++] = q->id;
}

void core_queue_note(struct core *c, client_id id, struct bytes queue, struct bytes note)
{
    struct client *cl = client_get(c, id);
    struct queue *q = queue_find(cl->vhost, queue);

    if (!q || q->delay || client_locked_out(cl, q))
        return;
    client_did(c, cl);
    if (bytes_eq(note, note_bytes(q)))
        return;
    note_set(q, note);
    if (queue_stored(q)) {
        note_changed(c, q);
    } else if (note.n == 0) {
        mem_free(q->note);
        q->note = NULL;
    }
}

struct bytes core_queue_note_get(const struct core *c, client_id id, struct bytes queue)
{
    return note_bytes(queue_find(client_get(c, id)->vhost, queue));
}

static void put_note(struct commit *commit, struct queue *q)
{
    struct note *note = q->note;
    bool was_stored = note->stored;

    note->changed = false;
    note->stored = note->n > 0;
    if (!note->stored && !was_stored)
        return;
    struct op *op = commit_op(commit, note->stored ? OP_NOTE_PUT : OP_NOTE_DELETE);
    op->id = q->id;
    op->bits = commit_copy(commit, note_bytes(q));
}

void note_seal(struct core *c, struct commit *commit)
{
    for (size_t i = 0; i < c->noted_count; i++) {
        struct queue *q = map_get(&c->queue_by_id, map_key_u64(&c->noted[i]));

        if (!q)
            continue;
        put_note(commit, q);
        if (q->note->n > 0)
            continue;
        mem_free(q->note);
        q->note = NULL;
    }
    c->noted_count = 0;
}

void note_forget(struct core *c, struct queue *q)
{
    if (q->note && q->note->stored)
        core_op(c, OP_NOTE_DELETE)->id = q->id;
}

void note_recover(struct core *c, uint64_t queue_id, struct bytes bytes)
{
    struct queue *q = map_get(&c->queue_by_id, map_key_u64(&queue_id));

    if (!q) {
        log_warn("recover.note", "queue=%" PRIu64 " why=\"no such queue\"", queue_id);
        core_op(c, OP_NOTE_DELETE)->id = queue_id;
        return;
    }
    note_set(q, bytes);
    q->note->stored = true;
}
