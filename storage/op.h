// SPDX-License-Identifier: MIT
/* op.h - what the core asks of the disk: a commit is a list of operations.
 *
 * Plain data.  The core fills a commit and hands it over; until it comes back
 * from store_take_done() the storage thread owns it and everything it points
 * to.  All operations of a commit reach the disk together or not at all. */
#ifndef STORAGE_OP_H
#define STORAGE_OP_H

#include "base/bytes.h"
#include "storage/batch.h"

struct def_vhost {
    uint64_t id;
    struct bytes name;
};

struct def_exchange {
    uint64_t id, vhost_id;
    struct bytes name, type;
    bool auto_delete, internal;
    struct bytes arguments; /* field table, proto/table.h */
};

struct def_queue {
    uint64_t id, vhost_id;
    struct bytes name;
    bool auto_delete;
    bool consumed; /* a consumer was attached since the last clean stop */
    struct bytes arguments;
};

struct def_binding {
    uint64_t id, vhost_id;
    uint64_t exchange_id; /* source */
    bool to_exchange;
    uint64_t target_id; /* queue or exchange */
    struct bytes routing_key, arguments;
};

struct def_user {
    struct bytes name, password_hash, tags;
};

/* What a user may do in a vhost: regular expressions over names. */
struct def_permission {
    uint64_t vhost_id;
    struct bytes user, configure, write, read;
};

/* The same over the routing keys of one exchange. */
struct def_topic_permission {
    uint64_t vhost_id;
    struct bytes user, exchange, write, read;
};

/* The last message of a routing key. */
struct def_retained {
    uint64_t vhost_id;
    struct bytes routing_key, props, body;
    uint64_t stored_ms, expires_ms; /* expires_ms 0: never */
};

enum op_kind {
    OP_BATCH_PUT,      /* batch_id, content, bits = dead slots or empty */
    OP_BATCH_DELETE,   /* batch_id: the row, its settled row, its deliveries rows */
    OP_SETTLED_PUT,    /* batch_id, bits: all settled slots of the batch */
    OP_DELIVERIES_PUT, /* batch_id, slot, count: of a returned message */
    OP_PART_PUT,       /* blob_id, index, bits = data */
    OP_BLOB_PUT,       /* blob_id, size: the parts are whole now */
    OP_BLOB_DELETE,    /* blob_id: with its parts */
    OP_VHOST_PUT,
    OP_VHOST_DELETE, /* id */
    OP_EXCHANGE_PUT,
    OP_EXCHANGE_DELETE, /* id */
    OP_QUEUE_PUT,
    OP_QUEUE_DELETE, /* id */
    OP_BINDING_PUT,
    OP_BINDING_DELETE, /* id */
    OP_USER_PUT,
    OP_USER_DELETE, /* user.name */
    OP_PERMISSION_PUT,
    OP_TOPIC_PERMISSION_PUT,
    OP_NOTE_PUT,    /* id = queue, bits */
    OP_NOTE_DELETE, /* id */
    OP_RETAINED_PUT,
    OP_RETAINED_DELETE, /* retained.vhost_id, retained.routing_key */
    OP_BOOT             /* id = boot number, flag = a clean stop */
};

struct op {
    enum op_kind kind;
    bool flag;
    uint32_t slot, count, index;
    uint64_t batch_id, blob_id, id, size;
    struct bytes bits; /* in the commit's arena, or owned as the kind says */
    union {
        struct batch_content *content;
        struct def_vhost vhost;
        struct def_exchange exchange;
        struct def_queue queue;
        struct def_binding binding;
        struct def_user user;
        struct def_permission permission;
        struct def_topic_permission topic_permission;
        struct def_retained retained;
    };
};

struct commit_chunk;

struct commit {
    uint64_t number; /* rises by one; 0 is never used */
    struct op *op;
    size_t op_count, op_cap;
    struct commit_chunk *arena; /* bytes that ops point to */
    size_t bytes;               /* of bodies and arena, for budgets */

    /* Filled in by the storage thread. */
    uint64_t began_ns, ended_ns; /* monotonic */
    uint64_t disk_free_bytes;    /* of the file system, after it */
    uint64_t file_bytes, wal_bytes;
};

struct commit *commit_new(uint64_t number);
void commit_free(struct commit **c); /* not the contents its ops point to */

/* Appends a zeroed op of that kind; valid until the next call. */
struct op *commit_op(struct commit *c, enum op_kind kind);

/* Memory that lives as long as the commit. */
uint8_t *commit_alloc(struct commit *c, size_t n);
struct bytes commit_copy(struct commit *c, struct bytes b);

#endif
