// SPDX-License-Identifier: MIT
/* blob.h - bodies too long to be held in one piece.
 *
 * A body above BLOB_MIN_BYTES comes in pieces, goes to disk in parts of
 * BLOB_PART_BYTES as it comes, and is read part by part as it is delivered, so
 * neither publishing nor delivering needs room for it.  Its message has a batch
 * to itself; a blob goes when no batch names it and nobody is being sent it.
 * Parts whose message never came are deleted at the next start.
 *
 * Private to the core but for what core.h declares.  Owner: core->blobs. */
#ifndef CORE_BLOB_H
#define CORE_BLOB_H

#include "base/buf.h"
#include "base/list.h"
#include "broker/core/core.h"

struct client;

struct blob {
    uint64_t id, size, received;
    uint64_t commit;  /* that holds its latest part: readable once done */
    uint32_t batches; /* that name it */
    uint32_t readers; /* clients being sent it */
    bool published, written;
    client_id writer;
    struct list in_writer; /* client.writing, until published */
    struct buf part;       /* being filled */
};

/* One client that is being sent a blob. */
struct reading {
    struct list in_client;
    struct blob *blob;
};

/* A part that a client waits for. */
struct part_want {
    client_id client;
    uint64_t blob_id;
    uint32_t part;
};

struct blob *blob_find(const struct core *c, uint64_t id);

/* The message that names it is being stored; in the batch `b`. */
void blob_publish(struct core *c, struct blob *blob, struct batch *b);
void blob_release(struct core *c, struct blob *blob); /* a batch went */

void blob_open_for(struct core *c, struct client *cl, struct blob *blob);
void blob_client_closed(struct core *c, struct client *cl);

void blob_recover(struct core *c, uint64_t id, uint64_t size);
void blob_recovered(struct core *c); /* deletes those that no batch names */
bool blob_next_load(struct core *c, uint64_t *blob_id, uint32_t *part);
void blob_loaded(struct core *c, struct load *l);
void blob_sweep(struct core *c); /* end of turn: parts that effects showed */
void blob_fini(struct core *c);

#endif
