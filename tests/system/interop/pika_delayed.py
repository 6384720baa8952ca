# SPDX-License-Identifier: MIT
"""Cases of test_pika.py: exchanges of the type x-delayed-message."""
from amqp_lib import case, equal, fresh, only_lodge
from pika_lib import (bodies, declare, exchange, open_channel, publish, refused_each, sync, take)

PLUGIN = "it is a plugin elsewhere"


@case("x-delayed-message: a message is routed when its x-delay is over")
def _():
    only_lodge(PLUGIN)
    with open_channel() as ch:
        q = declare(ch)
        x = exchange(ch, "x-delayed-message", arguments={"x-delayed-type": "topic"})
        ch.queue_bind(q, x, "a.#")
        publish(ch, "a.late", "late", to=x, headers={"x-delay": 500})
        publish(ch, "a.soon", "soon", to=x, headers={"x-delay": 250})
        publish(ch, "a.now", "now", to=x)
        publish(ch, "b", "nowhere", to=x, headers={"x-delay": 1})
        sync(ch)
        equal(bodies(ch, q), ["now"])
        m = take(ch, q)
        equal((m.text, m.method.exchange, m.method.routing_key), ("soon", x, "a.soon"))
        equal(take(ch, q).text, "late")


@case("x-delayed-message: what is no number of milliseconds is 406")
def _():
    only_lodge(PLUGIN)
    with open_channel() as ch:
        x = exchange(ch, "x-delayed-message", arguments={"x-delayed-type": "direct"})
        refused_each(406, {str(delay): lambda ch, delay=delay: (
            publish(ch, "k", "x", to=x, headers={"x-delay": delay}), sync(ch))
            for delay in ("soon", None, True, [1], {"ms": 1})})
        ch.exchange_delete(x)


@case("x-delayed-message: the type behind it must be one that routes")
def _():
    only_lodge(PLUGIN)
    refused_each(406, {str(arguments): lambda ch, arguments=arguments: ch.exchange_declare(
        fresh("x"), "x-delayed-message", arguments=arguments)
        for arguments in (None, {"x-delayed-type": "none"}, {"x-delayed-type": 1},
                          {"x-delayed-type": "x-delayed-message"})})
