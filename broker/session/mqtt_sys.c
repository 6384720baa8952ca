// SPDX-License-Identifier: MIT
/* What the broker says of itself under $SYS, in the words that mosquitto's users know. */
#include <inttypes.h>
#include <stdio.h>

#include "broker/session/mqtt_session.h"

#define SYS_TOPICS(X)                                                                    \
    X("$SYS/broker/uptime", "%" PRIu64 " seconds", (env->now_mono_ms - since_ms) / 1000) \
    X("$SYS/broker/clients/connected", "%" PRIu64, map_count(&sh->online))               \
    X("$SYS/broker/clients/active", "%" PRIu64, map_count(&sh->online))                  \
    X("$SYS/broker/messages/received", "%" PRIu64, env->count.frames_in)                 \
    X("$SYS/broker/messages/sent", "%" PRIu64, env->count.frames_out)                    \
    X("$SYS/broker/publish/messages/received", "%" PRIu64, st.published)                 \
    X("$SYS/broker/publish/messages/sent", "%" PRIu64, st.delivered)                     \
    X("$SYS/broker/publish/messages/dropped", "%" PRIu64, st.dropped + st.expired)       \
    X("$SYS/broker/store/messages/count", "%" PRIu64, st.ready + st.unacked)             \
    X("$SYS/broker/store/messages/bytes", "%" PRIu64, st.memory_bytes)                   \
    X("$SYS/broker/retained messages/count", "%" PRIu64, st.retained)                    \
    X("$SYS/broker/subscriptions/count", "%" PRIu64, (uint64_t)st.bindings)              \
    X("$SYS/broker/disk/bytes", "%" PRIu64, st.file_bytes + st.wal_bytes)

enum { VALUE_MAX = 64 };

struct line {
    const char *topic;
    char value[VALUE_MAX];
};

#define X(topic, format, value) +1
enum { LINES = 1 SYS_TOPICS(X) };
#undef X

static void read_lines(const struct session_env *env, struct line lines[LINES])
{
    const struct mqtt_shared *sh = env->mqtt_shared;
    uint64_t since_ms = mqtt_since_ms(sh);
    struct core_stats st;
    size_t n = 0;

    core_stats(env->core, &st);
    lines[n].topic = "$SYS/broker/version";
    (void)snprintf(lines[n++].value, VALUE_MAX, "lodge version %s", LODGE_VERSION);
#define X(name, format, number) \
    lines[n].topic = (name);    \
    (void)snprintf(lines[n++].value, VALUE_MAX, format, (uint64_t)(number));
    SYS_TOPICS(X)
#undef X
}

static void message_of(struct mqtt_shared *sh, const struct line *l, bool retained, uint32_t sub_id,
                       struct publish *p)
{
    mqtt_topic_to_key(&sh->key, bytes_str(l->topic));
    *p = (struct publish){ .m = { .exchange = MQTT_EXCHANGE,
                                  .routing_key = buf_view(&sh->key),
                                  .body = bytes_str(l->value) },
                           .headers_apart = true };
    p->m.body_size = p->m.body.n;
    if (retained)
        p->m.props = mqtt_props_retained(sh, (struct bytes){ 0 }, sub_id);
}

void mqtt_sys_subscribed(struct mqtt_session *s, struct bytes filter, uint32_t sub_id)
{
    struct session_env *env = s->s.env;
    struct line lines[LINES];
    const char *why;
    struct publish p;

    if (!bytes_starts(filter, BYTES("$SYS/")))
        return;
    read_lines(env, lines);
    for (size_t i = 0; i < LINES; i++) {
        if (!mqtt_filter_match(filter, bytes_str(lines[i].topic)))
            continue;
        message_of(s->shared, &lines[i], true, sub_id, &p);
        if (core_publish_queue(env->core, s->client, buf_view(&s->queue), &p, &why, env->now_ms) ==
            PUBLISH_REFUSED)
            mqtt_log_fault(s, why);
    }
    mqtt_sys_wanted(s->shared);
}

void mqtt_sys_publish(struct session_env *env, client_id client)
{
    struct line lines[LINES];
    struct publish p;

    read_lines(env, lines);
    for (size_t i = 0; i < LINES; i++) {
        message_of(env->mqtt_shared, &lines[i], false, 0, &p);
        (void)mqtt_publish_neutral(env->core, client, &p, false, env->now_ms);
    }
}
