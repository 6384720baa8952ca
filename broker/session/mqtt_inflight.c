// SPDX-License-Identifier: MIT
#include "broker/session/mqtt_inflight.h"

#include "base/check.h"
#include "base/mem.h"

enum { FIRST_CAP = 16, IDS = 65535 };

/* Ids in flight are neighbours, so the id itself spreads well. */
static uint32_t home(const struct mqtt_inflight *f, uint16_t id)
{
    return id & (f->cap - 1);
}

static struct mqtt_flight *place_of(const struct mqtt_inflight *f, uint16_t id)
{
    uint32_t i = home(f, id);

    while (f->place[i].packet_id && f->place[i].packet_id != id)
        i = (i + 1) & (f->cap - 1);
    return &f->place[i];
}

struct mqtt_flight *mqtt_inflight_find(const struct mqtt_inflight *f, uint16_t packet_id)
{
    if (f->count == 0 || packet_id == 0)
        return NULL;
    struct mqtt_flight *at = place_of(f, packet_id);
    return at->packet_id ? at : NULL;
}

static void grow(struct mqtt_inflight *f)
{
    struct mqtt_inflight wide = { .cap = f->cap ? f->cap * 2 : FIRST_CAP, .count = f->count };

    wide.place = mem_array(wide.cap, sizeof *wide.place);
    for (uint32_t i = 0; i < f->cap; i++)
        if (f->place[i].packet_id)
            *place_of(&wide, f->place[i].packet_id) = f->place[i];
    mem_free(f->place);
    *f = wide;
}

struct mqtt_flight *mqtt_inflight_add(struct mqtt_inflight *f, uint16_t wanted)
{
    uint16_t id = wanted ? wanted : 1;

    CHECK(f->count < IDS);
    if (f->count * 2 >= f->cap)
        grow(f);
    while (mqtt_inflight_find(f, id))
        id = id == IDS ? 1 : id + 1;
    struct mqtt_flight *at = place_of(f, id);
    *at = (struct mqtt_flight){ .packet_id = id };
    f->count++;
    return at;
}

/* What stands behind the hole moves up, unless it is at home or before it. */
void mqtt_inflight_remove(struct mqtt_inflight *f, struct mqtt_flight *at)
{
    uint32_t hole = (uint32_t)(at - f->place), i = hole, mask = f->cap - 1;

    f->count--;
    for (;;) {
        i = (i + 1) & mask;
        if (f->place[i].packet_id == 0)
            break;
        if (((i - home(f, f->place[i].packet_id)) & mask) >= ((i - hole) & mask)) {
            f->place[hole] = f->place[i];
            hole = i;
        }
    }
    f->place[hole] = (struct mqtt_flight){ 0 };
}

struct mqtt_flight *mqtt_inflight_next(const struct mqtt_inflight *f, size_t *at)
{
    while (*at < f->cap) {
        struct mqtt_flight *flight = &f->place[(*at)++];

        if (flight->packet_id)
            return flight;
    }
    return NULL;
}

void mqtt_inflight_fini(struct mqtt_inflight *f)
{
    mem_free(f->place);
    *f = (struct mqtt_inflight){ 0 };
}
