// SPDX-License-Identifier: MIT
#include "broker/core/blob.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/core/state.h"

struct blob *blob_find(const struct core *c, uint64_t id)
{
    return map_get(&c->blobs, map_key_u64(&id));
}

static struct blob *blob_new(struct core *c, uint64_t id, uint64_t size)
{
    struct blob *blob = mem_new(struct blob);

    blob->id = id;
    blob->size = size;
    list_init(&blob->in_writer);
    map_put(&c->blobs, map_key_u64(&blob->id), blob);
    if (id >= c->next_blob_id)
        c->next_blob_id = id + 1;
    return blob;
}

static void blob_free(struct core *c, struct blob *blob)
{
    map_remove(&c->blobs, map_key_u64(&blob->id));
    list_remove(&blob->in_writer);
    buf_fini(&blob->part);
    mem_free(blob);
}

/* Nobody names it, nobody reads it. */
static void blob_look(struct core *c, struct blob *blob)
{
    if (blob->batches > 0 || blob->readers > 0 || !list_empty(&blob->in_writer))
        return;
    if (blob->written)
        core_op(c, OP_BLOB_DELETE)->blob_id = blob->id;
    blob_free(c, blob);
}

uint64_t core_blob_begin(struct core *c, client_id id, uint64_t size, const char **why)
{
    struct client *cl = client_get(c, id);

    if (size > c->opt.message_bytes)
        *why = "message is larger than max_message";
    else if (c->disk_low)
        *why = "disk is full: free space is below disk_reserve";
    else {
        struct blob *blob = blob_new(c, c->next_blob_id, size);

        blob->writer = id;
        list_push_back(&cl->writing, &blob->in_writer);
        return blob->id;
    }
    c->stats.refused++;
    return 0;
}

static void put_part(struct core *c, struct blob *blob)
{
    struct op *op = core_op(c, OP_PART_PUT);

    op->blob_id = blob->id;
    op->index = (uint32_t)((blob->received - 1) / BLOB_PART_BYTES);
    op->bits = commit_copy(c->open, buf_view(&blob->part));
    c->retain.unsealed_bytes += blob->part.n;
    blob->part.n = 0;
    blob->written = true;
    blob->commit = c->open_number;
}

void core_blob_append(struct core *c, uint64_t blob_id, struct bytes piece)
{
    struct blob *blob = blob_find(c, blob_id);

    CHECK(blob && !list_empty(&blob->in_writer) && piece.n <= blob->size - blob->received);
    while (piece.n > 0) {
        struct bytes now = bytes_head(piece, BLOB_PART_BYTES - blob->part.n);

        buf_bytes(&blob->part, now);
        blob->received += now.n;
        piece = bytes_from(piece, now.n);
        if (blob->part.n == BLOB_PART_BYTES || blob->received == blob->size)
            put_part(c, blob);
    }
}

void core_blob_abort(struct core *c, uint64_t blob_id)
{
    struct blob *blob = blob_find(c, blob_id);

    if (!blob || list_empty(&blob->in_writer))
        return;
    list_remove(&blob->in_writer);
    blob_look(c, blob);
}

void blob_publish(struct core *c, struct blob *blob, struct batch *b)
{
    CHECK(blob->received == blob->size);
    b->blob = blob;
    for (uint32_t i = 0; i < b->slot_count; i++)
        batch_add_blob(b->content, i, blob->id);
    list_remove(&blob->in_writer);
    blob->batches++;
    if (blob->published || b->transient)
        return;
    blob->published = true;
    struct op *op = core_op(c, OP_BLOB_PUT);
    op->blob_id = blob->id;
    op->size = blob->size;
    blob->commit = c->open_number;
}

void blob_release(struct core *c, struct blob *blob)
{
    CHECK(blob->batches > 0);
    blob->batches--;
    blob_look(c, blob);
}

/* ---- reading ---- */

void blob_open_for(struct core *c, struct client *cl, struct blob *blob)
{
    struct reading *r = mem_new(struct reading);

    (void)c;
    r->blob = blob;
    blob->readers++;
    list_push_back(&cl->reading, &r->in_client);
}

static void reading_end(struct core *c, struct reading *r)
{
    struct blob *blob = r->blob;

    list_remove(&r->in_client);
    mem_free(r);
    blob->readers--;
    blob_look(c, blob);
}

void core_blob_done(struct core *c, client_id id, uint64_t blob_id)
{
    LIST_EACH (&client_get(c, id)->reading, node) {
        struct reading *r = container_of(node, struct reading, in_client);

        if (r->blob->id == blob_id) {
            reading_end(c, r);
            return;
        }
    }
}

void core_blob_want(struct core *c, client_id id, uint64_t blob_id, uint32_t part)
{
    CHECK(blob_find(c, blob_id));
    c->part_want = mem_grow(c->part_want, &c->part_want_cap, c->part_want_count + 1,
                            sizeof *c->part_want);
    c->part_want[c->part_want_count++] = (struct part_want){ id, blob_id, part };
}

bool blob_next_load(struct core *c, uint64_t *blob_id, uint32_t *part)
{
    for (size_t i = c->part_asked; i < c->part_want_count; i++) {
        const struct part_want *w = &c->part_want[i];
        const struct blob *blob = blob_find(c, w->blob_id);

        if (blob && blob->commit > c->committed_number)
            return false; /* in order: those behind it are no older */
        c->part_asked++;
        if (!blob)
            continue;
        *blob_id = w->blob_id;
        *part = w->part;
        return true;
    }
    return false;
}

static void forget_want(struct core *c, size_t i)
{
    memmove(c->part_want + i, c->part_want + i + 1,
            (c->part_want_count - i - 1) * sizeof *c->part_want);
    c->part_want_count--;
    c->part_asked--;
}

/* Its message would be delivered and fail for ever. */
static void set_aside(struct core *c, const struct load *l)
{
    const struct blob *blob = blob_find(c, l->blob_id);
    struct batch *b;

    log_error("store.part", "blob=%" PRIu64 " part=%u why=\"%s\"", l->blob_id, l->part,
              err_text(l->err));
    for (size_t at = 0; blob && (b = map_next(&c->retain.by_id, &at));)
        if (b->blob == blob && !b->damaged)
            retain_set_aside(c, b, l->err);
}

/* Loads are answered in the order asked, so the first that fits is the one. */
void blob_loaded(struct core *c, struct load *l)
{
    for (size_t i = 0; i < c->part_asked; i++) {
        const struct part_want *w = &c->part_want[i];

        if (w->blob_id != l->blob_id || w->part != l->part)
            continue;
        struct effect *e = core_effect(c, EFFECT_PART, w->client);
        e->blob_id = l->blob_id;
        e->part = l->part;
        e->refused = l->err != OK;
        e->data = buf_view(&l->data);
        if (l->err != OK)
            set_aside(c, l);
        forget_want(c, i);
        break;
    }
    l->next = c->shown_parts;
    c->shown_parts = l;
}

void blob_sweep(struct core *c)
{
    struct load *l;

    while ((l = c->shown_parts)) {
        c->shown_parts = l->next;
        load_free(&l);
    }
}

void blob_client_closed(struct core *c, struct client *cl)
{
    struct list *node;

    while ((node = list_first(&cl->reading)))
        reading_end(c, container_of(node, struct reading, in_client));
    while ((node = list_first(&cl->writing)))
        core_blob_abort(c, container_of(node, struct blob, in_writer)->id);
}

/* ---- start and end ---- */

void blob_recover(struct core *c, uint64_t id, uint64_t size)
{
    struct blob *blob = blob_new(c, id, size);

    blob->received = size;
    blob->published = blob->written = true;
}

void blob_recovered(struct core *c)
{
    struct blob *blob;

    for (size_t at = 0; (blob = map_next(&c->blobs, &at));)
        blob_look(c, blob);
}

void blob_fini(struct core *c)
{
    struct blob *blob;

    blob_sweep(c);
    for (size_t at = 0; (blob = map_next(&c->blobs, &at));)
        blob_free(c, blob);
    map_fini(&c->blobs);
    mem_free(c->part_want);
}
