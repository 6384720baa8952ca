// SPDX-License-Identifier: MIT
#include "broker/broker.h"

#include "base/log.h"
#include "broker/notify.h"

/* After our last word a client has this long to take it. */
enum { FAREWELL_MS = 500 };

/* No input is read from now on, so what is in flight can only get less. */
void broker_stop(struct broker *b)
{
    log_info("broker.stopping", "connections=%u", net_open(b->net));
    notify_send("STOPPING=1");
    broker_close_listeners(b);
    net_stop_reading(b->net);
    b->state = BROKER_DRAINING;
    b->stop_at_ms = b->env.now_mono_ms + b->settings.shutdown_timeout;
}

static bool in_flight(const struct broker *b)
{
    return !store_idle(b->store) || net_has_work(b->net) || !net_written(b->net);
}

static bool patience_ends(const struct broker *b)
{
    return b->env.now_mono_ms >= b->stop_at_ms;
}

static void say_farewell(struct broker *b)
{
    if (in_flight(b))
        log_warn("broker.stop_timeout", "hint=\"some clients did not read their confirms\"");
    net_end_all(b->net, FAREWELL_MS);
    b->state = BROKER_ENDING;
    b->stop_at_ms = b->env.now_mono_ms + FAREWELL_MS;
}

void broker_stop_step(struct broker *b)
{
    if (b->state == BROKER_DRAINING && (patience_ends(b) || !in_flight(b)))
        say_farewell(b);
    if (b->state != BROKER_ENDING || (net_open(b->net) > 0 && !patience_ends(b)))
        return;
    core_stopping(b->core);
    broker_flush(b);
    b->state = BROKER_ENDED;
    log_info("broker.stopped", "clean=true");
}
