// SPDX-License-Identifier: MIT
#include "broker/broker.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/notify.h"
#include "broker/spare.h"
#include "config/options.h"

enum {
    DESCRIPTORS_KEPT = 64,     /* for the database and the rest of the process */
    STOMP_INLINE = 256 * 1024, /* longer bodies are taken in pieces, as they are stored */
    FRAME_SLACK_BYTES = 1024 * 1024
};

/* ---- events that are no connections ---- */

static void on_store(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    broker_take_done(arg);
}

static void on_auth(evutil_socket_t fd, short what, void *arg)
{
    struct broker *b = arg;

    (void)fd;
    (void)what;
    net_clock(b->net);
    auth_run(b->auth);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct broker *b = arg;

    (void)fd;
    (void)what;
    b->armed_at_ms = UINT64_MAX; /* the turn that follows does what is due */
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    notify_send("WATCHDOG=1");
}

static bool import_definitions(struct broker *b)
{
    struct settings_fault why;

    if (definitions_import(b->core, &b->settings, &b->seen, &why))
        return true;
    log_error("definitions.refused", "file=%s effect=none error=%s",
              log_text(bytes_str(b->settings.definitions.s)).s, log_text(bytes_str(why.text)).s);
    return false;
}

static void reload(struct broker *b)
{
    struct settings fresh;
    struct settings_fault why;
    enum option_action action;

    notify_send("RELOADING=1");
    if (options_read(b->argc, b->argv, &fresh, &action, &why) == OPTIONS_OK) {
        settings_apply(&b->settings, &fresh);
        broker_use_settings(b);
        log_info("config.reloaded", "ok=true");
        (void)import_definitions(b);
    } else {
        log_error("config.reloaded", "ok=false error=%s", log_text(bytes_str(why.text)).s);
    }
    notify_send("READY=1");
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    struct broker *b = arg;
    struct signalfd_siginfo info;

    (void)what;
    if (read(fd, &info, sizeof info) != sizeof info)
        return;
    net_clock(b->net);
    if (info.ssi_signo == SIGHUP) {
        reload(b);
    } else if (b->state == BROKER_RUNNING) {
        broker_stop(b);
    } else {
        log_warn("broker.stopped", "clean=false");
        _exit(EXIT_FAILURE);
    }
}

/* Signals are read like sockets; every thread made later has them blocked. */
static bool open_signals(struct broker *b)
{
    const struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigset_t set;

    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return false;
    b->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return b->signal_fd >= 0;
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    CHECK(config);
    if (event_config_set_flag(config,
                              EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST) == 0)
        base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static void watch(struct broker *b, struct event *e, int fd, event_callback_fn fn)
{
    CHECK(event_assign(e, b->base, fd, EV_READ | EV_PERSIST, fn, b) == 0);
    CHECK(event_add(e, NULL) == 0);
}

static void watch_all(struct broker *b)
{
    uint64_t ms = notify_watchdog_ms();
    struct timeval every = { .tv_sec = (time_t)(ms / 1000),
                             .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

    watch(b, &b->on_store, store_fd(b->store), on_store);
    watch(b, &b->on_auth, auth_fd(b->auth), on_auth);
    watch(b, &b->on_signal, b->signal_fd, on_signal);
    CHECK(event_assign(&b->timer, b->base, -1, 0, on_timer, b) == 0);
    CHECK(event_assign(&b->watchdog, b->base, -1, EV_PERSIST, on_watchdog, b) == 0);
    if (ms > 0)
        CHECK(event_add(&b->watchdog, &every) == 0);
    b->has_events = true;
}

/* ---- settings ---- */

void broker_use_settings(struct broker *b)
{
    const struct settings *s = &b->settings;

    log_configure((enum log_level)s->log_level, s->log_json);
    b->env.output_bytes = s->output_budget;
    b->env.login_ms = (uint32_t)s->login_timeout;
    b->env.heart_beat_ms = (uint32_t)s->heart_beat_min;
    b->env.stomp_prefetch = (uint32_t)s->stomp_prefetch;
    b->env.stomp = (struct stomp_limits){ .head_bytes = s->stomp_max_head,
                                          .headers = (unsigned)s->stomp_max_headers,
                                          .body_bytes = s->max_message,
                                          .inline_bytes = STOMP_INLINE };
    b->env.amqp = (struct amqp_limits){ .frame_bytes = (uint32_t)s->amqp_frame,
                                        .channels = (uint16_t)s->amqp_channels,
                                        .heartbeat_s = (uint16_t)(s->amqp_heartbeat / 1000),
                                        .consumer_timeout_ms = s->amqp_consumer_timeout };
    b->env.mqtt = (struct mqtt_limits){
        .receive_maximum = (uint16_t)s->mqtt_receive_maximum,
        .inflight = (uint16_t)s->mqtt_inflight,
        .topic_aliases = (uint16_t)s->mqtt_topic_aliases,
        .keep_alive_max_s = (uint16_t)((s->mqtt_keep_alive_max + 999) / 1000),
        .no_retain = s->max_retained == 0,
        .share_expiry_ms = s->mqtt_share_expiry
    };
    b->env.ws_origins = s->ws_origins.s;
    b->env.message_bytes = s->max_message;
    b->pace.spacing_ns = s->storage_commit_spacing * 1000000;
    if (b->net)
        net_set_connections(b->net, (uint32_t)s->max_connections);
}

static struct core_options core_options_of(const struct settings *s)
{
    struct core_options o = { .memory_bytes = s->memory,
                              .read_ahead_bytes = s->read_ahead,
                              .uncommitted_bytes = s->uncommitted,
                              .disk_reserve_bytes = s->disk_reserve,
                              .message_bytes = s->max_message,
                              .transaction_bytes = s->max_transaction,
                              .queues = (uint32_t)s->max_queues,
                              .exchanges = (uint32_t)s->max_exchanges,
                              .bindings = (uint32_t)s->max_bindings,
                              .consumers = (uint32_t)s->max_consumers,
                              .unacked = (uint32_t)s->max_unacked,
                              .retained = (uint32_t)s->max_retained,
                              .retained_bytes = s->max_retained_bytes };

    CHECK(getrandom(&o.seed, sizeof o.seed, 0) == sizeof o.seed);
    return o;
}

static uint32_t raise_descriptors(void)
{
    struct rlimit l = { 0 };

    if (getrlimit(RLIMIT_NOFILE, &l) != 0)
        return 1024 - DESCRIPTORS_KEPT;
    l.rlim_cur = l.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &l) != 0 && getrlimit(RLIMIT_NOFILE, &l) != 0)
        return 1024 - DESCRIPTORS_KEPT;
    if (l.rlim_cur > UINT32_MAX)
        return UINT32_MAX;
    return l.rlim_cur / 2 > DESCRIPTORS_KEPT ? (uint32_t)l.rlim_cur - DESCRIPTORS_KEPT
                                             : (uint32_t)l.rlim_cur / 2;
}

/* ---- the steps of a start ---- */

static enum err open_store(struct broker *b)
{
    const struct settings *s = &b->settings;
    struct store_options o = { .ops = &engine_sqlite,
                               .engine = { .path = s->data.s,
                                           .checkpoint_bytes = s->storage_checkpoint,
                                           .cache_bytes = s->storage_cache } };

    return store_open(&o, &b->store);
}

static enum err recover(struct broker *b)
{
    struct core_options o = core_options_of(&b->settings);
    struct engine *engine = store_engine(b->store);

    b->core = core_new(&o);
    b->env.core = b->core;
    enum err e = store_engine_ops(b->store)->recover(engine, &core_recover_sink, b->core);
    const char *detail = engine_error(engine);
    if (e == OK && !core_recover_ok(b->core)) {
        e = ERR_CORRUPT;
        detail = "definitions make no sense, see above; nothing was changed";
    }
    if (e == OK)
        core_recovered(b->core, clock_wall_ms());
    else
        log_error("store.recover", "data=%s error=\"%s\" detail=\"%s\"",
                  log_text(bytes_str(b->settings.data.s)).s, err_text(e), detail);
    return e;
}

/* Somebody must be able to log in; over loopback only, which the sessions see to. */
static void make_first_user(struct broker *b)
{
    char *hash;

    if (core_user_count(b->core) > 0)
        return;
    hash = auth_hash(BYTES("guest"), true);
    core_user_put(b->core, &(struct core_user){ .name = BYTES("guest"),
                                                .password_hash = bytes_str(hash),
                                                .tags = BYTES("administrator") });
    mem_free(hash);
    CHECK(core_permission_put(b->core, &(struct def_permission){
                                           core_vhost_find(b->core, BYTES("/")), BYTES("guest"),
                                           BYTES(".*"), BYTES(".*"), BYTES(".*") }) == OK);
    log_info("user.first", "name=guest hint=\"password guest; may log in over loopback only\"");
}

static void warn_of_guest(const struct broker *b, const struct address *a)
{
    struct core_user guest;

    if (address_is_local(a) || !core_user_find(b->core, BYTES("guest"), &guest))
        return;
    if (auth_matches(BYTES("guest"), guest.password_hash))
        log_warn("user.default_password",
                 "name=guest address=%s hint=\"this address is open to "
                 "other machines; guest may log in over loopback only\"",
                 a->text);
}

static enum err open_listeners(struct broker *b)
{
    const struct {
        const char *protocol;
        const struct address *address;
        session_open_fn *open;
        struct bytes refusal; /* what one too many is told */
    } all[BROKER_LISTENERS] = {
        { "stomp", &b->settings.stomp_address, stomp_session_open,
          BYTES("ERROR\nmessage:too many connections\ncontent-length:0\n\n\0") },
        { "amqp", &b->settings.amqp_address, amqp_session_open, { NULL, 0 } },
        { "mqtt", &b->settings.mqtt_address, mqtt_session_open, { NULL, 0 } },
        { "ws", &b->settings.ws_address, ws_session_open,
          BYTES("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n") },
        { "any", &b->settings.any_address, detect_session_open, { NULL, 0 } },
    };
    enum err e = OK;

    for (size_t i = 0; e == OK && i < BROKER_LISTENERS; i++) {
        const struct address *a = all[i].address;
        struct listener_options o = { .net = b->net,
                                      .protocol = all[i].protocol,
                                      .address = (const struct sockaddr *)&a->sa,
                                      .address_len = a->len,
                                      .open = all[i].open,
                                      .refusal = all[i].refusal };

        if (a->off)
            continue;
        warn_of_guest(b, a);
        e = listener_open(&o, &b->listener[i]);
    }
    return e;
}

void broker_close_listeners(struct broker *b)
{
    for (size_t i = 0; i < BROKER_LISTENERS; i++)
        listener_close(&b->listener[i]);
}

static enum err make_net(struct broker *b)
{
    struct net_options o = { .base = b->base,
                             .env = &b->env,
                             .connections = (uint32_t)b->settings.max_connections,
                             .descriptors = raise_descriptors(),
                             .input_bytes = b->settings.max_message + FRAME_SLACK_BYTES };

    b->net = net_new(&o);
    net_clock(b->net);
    return OK;
}

static enum err open_loop(struct broker *b)
{
    if (!open_signals(b) || !(b->base = new_base())) {
        log_error("broker.start", "error=\"%s\"", strerrordesc_np(errno));
        return ERR_IO;
    }
    return make_net(b);
}

static enum err open_data(struct broker *b)
{
    enum err e = open_store(b);

    if (e == OK)
        e = recover(b);
    if (e == OK)
        e = store_start(b->store);
    if (e == OK)
        e = auth_new(&b->auth);
    if (e != OK)
        return e;
    b->env.auth = b->auth;
    return OK;
}

/* The boot number must be on disk before any message id is made of it; who may do what,
 * before anybody connects. */
static bool define(struct broker *b)
{
    if (!import_definitions(b))
        return false;
    make_first_user(b);
    broker_flush(b);
    mqtt_recovered(&b->env);
    return true;
}

int broker_start(struct broker *b, uint64_t started_ns)
{
    enum err e = lock_take(b->settings.data.s, &b->lock);

    if (e == ERR_LOCKED)
        return EX_TEMPFAIL;
    broker_use_settings(b);
    if (e == OK)
        spare_take(b->settings.data.s);
    if (e != OK || open_loop(b) != OK || open_data(b) != OK)
        return EX_IOERR;
    if (!define(b))
        return EX_CONFIG;
    watch_all(b);
    if (open_listeners(b) != OK)
        return EX_OSERR;
    notify_send("READY=1");
    log_info("broker.ready", "version=%s pid=%d boot=%" PRIu64 " start_us=%" PRIu64, LODGE_VERSION,
             (int)getpid(), core_boot(b->core), (clock_monotonic_ns() - started_ns) / 1000);
    return 0;
}

void broker_fini(struct broker *b)
{
    broker_close_listeners(b);
    net_free(&b->net); /* its sessions still call the core */
    mqtt_fini(&b->env);
    auth_free(&b->auth);
    if (b->store)
        store_close(&b->store);
    if (b->state == BROKER_ENDED)
        spare_leave(b->settings.data.s);
    core_free(&b->core);
    heap_fini(&b->env.wakes);
    definitions_seen_fini(&b->seen);
    if (b->has_events) {
        (void)event_del(&b->on_store);
        (void)event_del(&b->on_auth);
        (void)event_del(&b->on_signal);
        (void)event_del(&b->timer);
        (void)event_del(&b->watchdog);
    }
    if (b->base)
        event_base_free(b->base);
    if (b->signal_fd >= 0)
        (void)close(b->signal_fd);
    lock_drop(&b->lock);
}
