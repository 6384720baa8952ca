// SPDX-License-Identifier: MIT
#include "tests/lib/stomp_wire.h"

#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "proto/amqp.h"
#include "proto/mqtt.h"
#include "storage/store.h"
#include "tests/lib/everybody.h"

struct core_options wire_options(void)
{
    return (struct core_options){
        .seed = 7,
        .memory_bytes = 1 << 30,
        .read_ahead_bytes = 1 << 20,
        .uncommitted_bytes = 1 << 30,
        .message_bytes = 4 << 20,
        .transaction_bytes = 64 * 1024,
        .queues = 1000,
        .exchanges = 100,
        .bindings = 1000,
        .consumers = 1000,
        .unacked = 1000,
        .retained = 100,
        .retained_bytes = 1 << 20,
    };
}

void wire_open(struct stomp_wire *r, const struct core_options *o)
{
    struct core_options options = o ? *o : wire_options();
    struct engine_options none = { 0 };

    log_configure(LOG_FATAL, false); /* faults are what these tests are about */
    *r = (struct stomp_wire){ .core = core_new(&options) };
    CHECK(engine_mem.open(&none, &r->engine) == OK);
    r->env = (struct session_env){
        .core = r->core,
        .now_ms = 1000000,
        .now_mono_ms = 5000,
        .output_bytes = 1 << 20,
        .login_ms = 10000,
        .heart_beat_ms = 100,
        .stomp = { .head_bytes = 64 * 1024,
                   .headers = STOMP_HEADERS_MAX,
                   .body_bytes = 4 << 20,
                   .inline_bytes = 4096 },
        .amqp = { .frame_bytes = 16 * 1024,
                  .channels = 8,
                  .heartbeat_s = 60,
                  .consumer_timeout_ms = 1800000 },
        .mqtt = { .receive_maximum = 20,
                  .inflight = 20,
                  .topic_aliases = 4,
                  .share_expiry_ms = 60000 },
        .message_bytes = options.message_bytes,
    };
    core_recovered(r->core, r->env.now_ms);
    everything_for(r->core, "guest", "/");
    mqtt_recovered(&r->env);
    wire_settle(r);
}

void wire_hang_up(struct stomp_wire *r, unsigned i)
{
    if (!r->peer[i])
        return;
    session_untouch(r->peer[i]);
    r->peer[i]->ops->close(&r->peer[i]);
    r->left[i].n = 0;
}

void wire_close(struct stomp_wire *r)
{
    for (unsigned i = 0; i < WIRE_PEERS; i++) {
        wire_hang_up(r, i);
        buf_fini(&r->left[i]);
    }
    mqtt_fini(&r->env);
    wire_settle(r);
    CHECK(core_check(r->core));
    core_free(&r->core);
    engine_mem.close(&r->engine);
    heap_fini(&r->env.wakes);
    mem_free(r->heard);
}

static void feed(struct stomp_wire *r, unsigned i)
{
    struct session *s = r->peer[i];
    struct buf *left = &r->left[i];

    if (!s || left->n == 0 || s->paused)
        return;
    buf_drop(left, s->ops->input(s, left->p, left->n));
    session_touch(s);
}

void wire_bytes(struct stomp_wire *r, unsigned i, struct bytes b)
{
    buf_bytes(&r->left[i], b);
    feed(r, i);
}

void wire_say(struct stomp_wire *r, unsigned i, const char *frame)
{
    wire_bytes(r, i, bytes_of(frame, strlen(frame) + 1));
}

static void untouch_all(struct stomp_wire *r)
{
    while (r->env.touched)
        session_untouch(r->env.touched);
}

void wire_turn(struct stomp_wire *r)
{
    (void)session_run_wakes(&r->env);
    for (unsigned i = 0; i < WIRE_PEERS; i++)
        feed(r, i);
    core_turn(r->core, r->env.now_ms);
    session_run_effects(&r->env);
    core_effects_done(r->core);
    untouch_all(r);
}

static bool commit(struct stomp_wire *r)
{
    struct commit *c = core_seal(r->core, r->env.now_ms);

    if (!c)
        return false;
    CHECK(engine_mem.commit(r->engine, c) == OK);
    c->disk_free_bytes = r->disk_full ? 0 : UINT64_MAX;
    core_committed(r->core, c);
    return true;
}

static bool load(struct stomp_wire *r)
{
    struct load *l = mem_new(struct load);

    if (!core_next_load(r->core, &l->batch_id, &l->blob_id, &l->part)) {
        mem_free(l);
        return false;
    }
    l->err = l->blob_id ? engine_mem.load_part(r->engine, l->blob_id, l->part, &l->data)
                        : engine_mem.load(r->engine, l->batch_id, &l->content);
    core_loaded(r->core, l);
    return true;
}

void wire_settle(struct stomp_wire *r)
{
    for (unsigned idle = 0; idle < 2; idle++) {
        wire_turn(r);
        bool committed = commit(r);

        if (load(r) || committed)
            idle = 0;
    }
}

void wire_wait(struct stomp_wire *r, uint64_t ms)
{
    r->env.now_ms += ms;
    r->env.now_mono_ms += ms;
    wire_settle(r);
}

void wire_peer(struct stomp_wire *r, unsigned i, const char *version)
{
    char connect[64];

    r->peer[i] = stomp_session_open(&r->env, true);
    if (!version)
        return;
    (void)snprintf(connect, sizeof connect, "CONNECT\naccept-version:%s\nhost:/\n\n", version);
    (void)wire_ask(r, i, connect);
}

void wire_amqp_peer(struct stomp_wire *r, unsigned i, uint16_t channels)
{
    struct buf hello = { 0 };

    r->peer[i] = amqp_session_open(&r->env, true);
    buf_put(&hello, amqp_protocol, AMQP_PROTOCOL_BYTES);
    amqp_put_method(
        &hello, 0,
        &(struct amqp_args){ .id = AMQP_connection_start_ok,
                             .connection_start_ok = { .mechanism = BYTES("PLAIN"),
                                                      .response = BYTES("\0guest\0guest"),
                                                      .locale = BYTES("en_US") } });
    amqp_put_method(
        &hello, 0,
        &(struct amqp_args){ .id = AMQP_connection_tune_ok,
                             .connection_tune_ok = { .frame_max = AMQP_FRAME_MIN_BYTES } });
    amqp_put_method(&hello, 0,
                    &(struct amqp_args){ .id = AMQP_connection_open,
                                         .connection_open = { .virtual_host = BYTES("/") } });
    for (uint16_t c = 1; c <= channels; c++)
        amqp_put_method(&hello, c, &(struct amqp_args){ .id = AMQP_channel_open });
    wire_bytes(r, i, buf_view(&hello));
    buf_fini(&hello);
    wire_settle(r);
    CHECK(!r->peer[i]->ending);
    (void)wire_hear(r, i);
}

void wire_mqtt_peer(struct stomp_wire *r, unsigned i, uint8_t level, const char *name,
                    bool clean_start)
{
    struct mqtt_connect c = { .level = level,
                              .clean_start = clean_start,
                              .client_id = bytes_str(name) };
    struct buf hello = { 0 };

    if (level >= MQTT_5 && !clean_start) {
        c.props.has = MQTT_HAS(session_expiry);
        c.props.session_expiry = UINT32_MAX;
    }
    r->peer[i] = mqtt_session_open(&r->env, true);
    mqtt_put_connect(&hello, &c);
    wire_bytes(r, i, buf_view(&hello));
    buf_fini(&hello);
    wire_settle(r);
}

const char *wire_hear(struct stomp_wire *r, unsigned i)
{
    struct buf *out = &r->peer[i]->out;

    mem_free(r->heard);
    r->heard = bytes_dup_str(buf_view(out));
    for (size_t at = 0; at < out->n; at++)
        if (r->heard[at] == '\0')
            r->heard[at] = '^';
    out->n = 0;
    r->peer[i]->ops->drained(r->peer[i]);
    return r->heard;
}

const char *wire_ask(struct stomp_wire *r, unsigned i, const char *frame)
{
    wire_say(r, i, frame);
    wire_settle(r);
    return wire_hear(r, i);
}
