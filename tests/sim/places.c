// SPDX-License-Identifier: MIT
#include "tests/sim/places.h"

#include <stddef.h>
#include <string.h>

#define PLAIN(n)                                    \
    {                                               \
        .name = n, .dead = NOWHERE, .root = NOWHERE \
    }
#define BOUND(n, x, k)                                                       \
    {                                                                        \
        .name = n, .dead = NOWHERE, .root = NOWHERE, .exchange = x, .key = k \
    }
#define DEAD(n, r)                                                                \
    {                                                                             \
        .name = n, .dead = NOWHERE, .root = r, .exchange = "amq.direct", .key = n \
    }
#define DLX(n) " x-dead-letter-exchange=amq.direct x-dead-letter-routing-key=" n

const struct sim_queue sim_queues[QUEUES] = {
    [Q_PLAIN] = PLAIN("plain"),
    [Q_SECOND] = PLAIN("second"),
    [Q_TTL] = { .name = "ttl",
                .args = "x-message-ttl=4000" DLX("dead.ttl"),
                .dead = Q_DEAD_TTL,
                .root = NOWHERE },
    [Q_SHORT] = { .name = "short",
                  .args = "x-max-length=10",
                  .dead = NOWHERE,
                  .root = NOWHERE,
                  .lossy = true },
    [Q_FULL] = { .name = "full",
                 .args = "x-max-length=40 x-overflow=reject-publish",
                 .dead = NOWHERE,
                 .root = NOWHERE },
    [Q_FULL_DLX] = { .name = "full-dlx",
                     .args = "x-max-length=20 x-overflow=reject-publish-dlx" DLX("dead.full"),
                     .dead = Q_DEAD_FULL,
                     .root = NOWHERE },
    [Q_REJECT] = { .name = "reject",
                   .args = "x-expires=100000000" DLX("dead.reject"),
                   .dead = Q_DEAD_REJECT,
                   .root = NOWHERE },
    [Q_LIMIT] = { .name = "limit",
                  .args = "x-delivery-limit=2" DLX("dead.limit"),
                  .dead = Q_DEAD_LIMIT,
                  .root = NOWHERE },
    [Q_PRIORITY] = { .name = "priority",
                     .args = "x-max-priority=4",
                     .dead = NOWHERE,
                     .root = NOWHERE,
                     .priorities = true },
    [Q_SINGLE] = { .name = "single",
                   .args = "x-single-active-consumer=true",
                   .dead = NOWHERE,
                   .root = NOWHERE },
    [Q_TOPIC_AB] = BOUND("topic.ab", "amq.topic", "a.b"),
    [Q_TOPIC_A] = BOUND("topic.a", "amq.topic", "a.*"),
    [Q_TOPIC_ALL] = BOUND("topic.all", "amq.topic", "#"),
    [Q_FANOUT_1] = BOUND("fan.1", "amq.fanout", ""),
    [Q_FANOUT_2] = BOUND("fan.2", "amq.fanout", ""),
    [Q_DEAD_TTL] = DEAD("dead.ttl", Q_TTL),
    [Q_DEAD_FULL] = DEAD("dead.full", Q_FULL_DLX),
    [Q_DEAD_REJECT] = DEAD("dead.reject", Q_REJECT),
    [Q_DEAD_LIMIT] = DEAD("dead.limit", Q_LIMIT),
};

#define TO(d, ...)      \
    {                   \
        d,              \
        {               \
            __VA_ARGS__ \
        }               \
    }

const struct sim_place sim_places[PLACES_ALL] = {
    TO("/queue/plain", Q_PLAIN, NOWHERE),
    TO("/queue/second", Q_SECOND, NOWHERE),
    TO("/queue/ttl", Q_TTL, NOWHERE),
    TO("/queue/short", Q_SHORT, NOWHERE),
    TO("/queue/full", Q_FULL, NOWHERE),
    TO("/queue/full-dlx", Q_FULL_DLX, NOWHERE),
    TO("/queue/reject", Q_REJECT, NOWHERE),
    TO("/amq/queue/limit", Q_LIMIT, NOWHERE),
    TO("/queue/priority", Q_PRIORITY, NOWHERE),
    TO("/queue/single", Q_SINGLE, NOWHERE),
    TO("/topic/a.b", Q_TOPIC_AB, Q_TOPIC_A, Q_TOPIC_ALL, NOWHERE),
    TO("/topic/a.c", Q_TOPIC_A, Q_TOPIC_ALL, NOWHERE),
    TO("/exchange/amq.topic/z", Q_TOPIC_ALL, NOWHERE),
    TO("/exchange/amq.fanout", Q_FANOUT_1, Q_FANOUT_2, NOWHERE),
    TO("/exchange/amq.direct/nobody", NOWHERE),
};

static struct bytes behind(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(text, prefix, n) == 0 ? bytes_str(text + n) : (struct bytes){ NULL, 0 };
}

struct sim_address place_address(int place)
{
    const char *to = sim_places[place].destination;
    struct bytes rest;

    if ((rest = behind(to, "/queue/")).n || (rest = behind(to, "/amq/queue/")).n)
        return (struct sim_address){ .key = rest };
    if ((rest = behind(to, "/topic/")).n)
        return (struct sim_address){ BYTES("amq.topic"), rest };
    rest = behind(to, "/exchange/");
    const uint8_t *slash = memchr(rest.p, '/', rest.n);
    if (!slash)
        return (struct sim_address){ .exchange = rest };
    size_t n = (size_t)(slash - rest.p);
    return (struct sim_address){ bytes_head(rest, n), bytes_from(rest, n + 1) };
}

const char *const sim_topics[TOPICS] = { "/topic/a.*", "/topic/#", "/topic/a.b",
                                         "/exchange/amq.fanout" };

bool place_matches(int place, const char *topic)
{
    const char *to = sim_places[place].destination;

    if (strcmp(topic, to) == 0)
        return true;
    if (strcmp(topic, "/topic/#") == 0)
        return strstr(to, "topic") != NULL;
    return strcmp(topic, "/topic/a.*") == 0 && strncmp(to, "/topic/a.", 9) == 0;
}
