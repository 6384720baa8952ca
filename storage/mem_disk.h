// SPDX-License-Identifier: MIT
/* mem_disk.h - the tables of the engine in memory.  Private to its files. */
#ifndef STORAGE_MEM_DISK_H
#define STORAGE_MEM_DISK_H

#include <stdatomic.h>

#include "storage/engine_mem.h"
#include "storage/mem_table.h"

enum mem_tables {
    TABLE_BATCH,
    TABLE_SETTLED,
    TABLE_DELIVERIES,
    TABLE_BLOB,
    TABLE_PART,
    TABLE_VHOST,
    TABLE_EXCHANGE,
    TABLE_QUEUE,
    TABLE_BINDING,
    TABLE_NOTE,
    TABLE_COUNT
};

struct mem_disk {
    atomic_flag lock; /* over the tables: loads run beside commits */
    struct mem_table table[TABLE_COUNT];
    /* Keyed by the hash of what names a row, then by a number. */
    struct mem_table user, permission, topic_permission, retained;
    uint64_t boot, commits;
    bool clean_stop;

    atomic_uint fate; /* 0: none, else 1 + enum mem_fate */
    atomic_uint skip;
    atomic_bool fail_loads;
    void (*gate)(void *arg, const struct commit *c);
    void *gate_arg;
};

/* False: not an operation on definitions, notes or retained messages. */
bool mem_apply_definition(struct mem_disk *d, const struct op *o);
void mem_recover_definitions(struct mem_disk *d, const struct recover_sink *sink, void *arg);

#endif
