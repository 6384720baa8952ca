// SPDX-License-Identifier: MIT
/* reference.h - what the core should hold, in the plainest form: arrays.
 *
 * It does not decide who gets a message; it is told, and says whether that was
 * right.  All of it that is to outlive a crash is copied when a commit is sealed. */
#ifndef SIM_REFERENCE_H
#define SIM_REFERENCE_H

#include "broker/core/core.h"

enum { REF_CLIENTS = 6, REF_NAMES = 8 };

/* One message in one queue. */
struct ref_entry {
    uint64_t id, order, expires_ms; /* 0: never */
    uint32_t returns, size;
    uint8_t lane;
    bool persistent, unacked;
};

struct ref_queue {
    unsigned name; /* "q0" .. */
    uint64_t id;   /* the core's; 0: there is none of that name */
    bool durable, exclusive, auto_delete, single, drop_head, has_max;
    unsigned owner;
    uint64_t max, ttl_ms; /* ttl_ms 0: none */
    uint8_t priorities;
    bool fanout;             /* bound to amq.fanout */
    struct ref_entry *entry; /* by lane from the highest, then by order */
    size_t count, cap;
};

struct ref_consumer {
    consumer_id id; /* 0: gone */
    uint64_t handle;
    unsigned client, queue; /* the queue's name */
    uint64_t queue_id;
    bool no_ack, own, exclusive;
    uint32_t prefetch, unacked;
    int32_t priority;
};

/* An unacked delivery. */
struct ref_delivery {
    unsigned client;
    uint64_t consumer;  /* handle; 0: by a get, or it went */
    consumer_id ledger; /* 0: the client's */
    uint64_t tag, queue_id, id;
};

struct ref_client {
    client_id id;
    uint32_t prefetch, unacked;
    size_t room;
    uint64_t asked, told; /* confirms */
    bool *refused;        /* [asked] */
    size_t refused_cap;
};

struct reference {
    struct ref_queue queue[REF_NAMES];
    struct ref_queue sealed[REF_NAMES], stored[REF_NAMES]; /* as on disk */
    bool has_sealed;
    struct ref_client client[REF_CLIENTS];
    struct ref_consumer *consumer; /* in order of arrival */
    size_t consumers, consumer_cap;
    struct ref_delivery *delivery;
    size_t deliveries, delivery_cap;
    uint64_t next_order, next_handle;
    uint64_t now_ms;
    uint32_t unacked_max;
};

void ref_init(struct reference *ref);
void ref_fini(struct reference *ref);

struct ref_queue *ref_queue_by_id(struct reference *ref, uint64_t id); /* NULL: gone */
struct ref_consumer *ref_consumer_by(struct reference *ref, uint64_t handle);
void ref_queue_gone(struct reference *ref, struct ref_queue *q);
void ref_push(struct reference *ref, struct ref_queue *q, const struct ref_entry *e);
size_t ref_ready(const struct ref_queue *q);
/* Is it full?  With what has expired the core may not have come round to it yet. */
bool ref_refuses(const struct reference *ref, const struct ref_queue *q, bool with_expired);
void ref_purge(struct ref_queue *q);

/* The core gave it: fails unless it was the head of the queue. */
void ref_deliver(struct reference *ref, unsigned client, struct ref_consumer *k,
                 const struct effect *e, uint64_t id, bool no_ack);
/* Delivery `i` is settled. */
void ref_settle(struct reference *ref, size_t i, enum settle how);
void ref_cancel(struct reference *ref, struct ref_consumer *k);
void ref_close(struct reference *ref, unsigned client);

/* What expires or is over a limit goes. */
void ref_tidy(struct reference *ref);
/* Nothing is under way: each queue that has something ready has nobody to give it to. */
void ref_check_idle(const struct reference *ref);

void ref_seal(struct reference *ref);
void ref_commit(struct reference *ref);
void ref_crash(struct reference *ref, bool landed, bool clean);

#endif
