// SPDX-License-Identifier: MIT
/* The one ordered path of every positive answer (docs/decisions/0006). */
#include "base/mem.h"
#include "broker/core/state.h"

/* No commit has this number: the one it waits for is not known yet. */
#define NOT_YET UINT64_MAX

void client_did(struct core *c, struct client *cl)
{
    cl->last_commit = c->open_number;
}

static struct held *held_at(struct client *cl, uint32_t i)
{
    return &cl->held[(cl->held_head + i) & (cl->held_cap - 1)];
}

static void held_grow(struct client *cl)
{
    uint32_t cap = cl->held_cap ? cl->held_cap * 2 : 4;
    struct held *held = mem_alloc(cap * sizeof *held);

    for (uint32_t i = 0; i < cl->held_count; i++)
        held[i] = *held_at(cl, i);
    mem_free(cl->held);
    cl->held = held;
    cl->held_head = 0;
    cl->held_cap = cap;
}

static void tell(struct core *c, struct client *cl, uint64_t last, bool refused)
{
    struct effect *e = core_effect(c, EFFECT_CONFIRM, cl->id);

    e->first = cl->confirm_done + 1;
    e->last = last;
    e->refused = refused;
    cl->confirm_done = last;
}

/* Confirms in a row that wait for one commit are one entry. */
uint64_t core_confirm(struct core *c, client_id id, bool refused)
{
    struct client *cl = client_get(c, id);
    uint64_t number = ++cl->confirm_next;
    uint64_t commit = cl->deferred ? NOT_YET : cl->last_commit;

    if (cl->held_count > 0) {
        struct held *newest = held_at(cl, cl->held_count - 1);

        if (newest->commit == commit && newest->refused == refused) {
            newest->last = number;
            return number;
        }
    } else if (commit <= c->committed_number) {
        tell(c, cl, number, refused);
        return number;
    }
    if (cl->held_count == cl->held_cap)
        held_grow(cl);
    *held_at(cl, cl->held_count++) = (struct held){ commit, number, refused };
    if (list_empty(&cl->in_holding))
        list_push_back(&c->holding, &cl->in_holding);
    return number;
}

void client_defer(struct client *cl, struct batch *b)
{
    b->deferred[b->deferred_count - 1].client = cl->id;
    cl->deferred++;
}

void client_deferred_done(struct core *c, client_id id)
{
    struct client *cl = slots_get(&c->clients, id);

    if (!cl)
        return;
    client_did(c, cl);
    if (--cl->deferred > 0)
        return;
    for (uint32_t i = 0; i < cl->held_count; i++)
        if (held_at(cl, i)->commit == NOT_YET)
            held_at(cl, i)->commit = cl->last_commit;
}

void client_release_confirms(struct core *c, struct client *cl)
{
    while (cl->held_count > 0 && held_at(cl, 0)->commit <= c->committed_number) {
        uint64_t last = held_at(cl, 0)->last;
        bool refused = held_at(cl, 0)->refused;

        cl->held_head = (cl->held_head + 1) & (cl->held_cap - 1);
        cl->held_count--;
        tell(c, cl, last, refused);
    }
    if (cl->held_count > 0)
        return;
    list_remove(&cl->in_holding);
    mem_free(cl->held);
    cl->held = NULL;
    cl->held_cap = cl->held_head = 0;
}
