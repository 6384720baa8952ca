# SPDX-License-Identifier: MIT
"""Cases of test_pika.py: basic.publish, confirms, returns and what a message carries."""
import datetime
import decimal
import os
import time

from amqp_lib import BROKER, PATIENCE, case, equal, fresh, only_lodge
from pika_lib import (Inbox, answered, await_end, bodies, connect, declare, exchange, get,
                      open_channel, pika, publish, publish_all, raw, refused, refused_each, spec,
                      sync, take)


def returned(f):
    """The message that comes back from a publish with confirms."""
    try:
        f()
    except pika.exceptions.UnroutableError as e:
        (m,) = e.messages
        return m
    raise AssertionError("it did not come back")


# ---- confirms and returns ------------------------------------------------------------------------


@case("mandatory: what no queue takes comes back whole with 312, before its confirm")
def _():
    with open_channel() as ch:  # pika takes a return for one only if the confirm follows it
        key = fresh("nowhere")
        for size in (0, 5, 300000):
            body = os.urandom(size)
            m = returned(lambda body=body: publish(
                ch, key, body, to="amq.direct", mandatory=True, headers={"a": 1}, app_id="me"))
            equal((m.method.reply_code, m.method.reply_text), (312, "NO_ROUTE"))
            equal((m.method.exchange, m.method.routing_key), ("amq.direct", key))
            equal((m.properties.headers, m.properties.app_id), ({"a": 1}, "me"))
            assert m.body == body, f"{size} bytes came back otherwise"


@case("mandatory: what is routed does not come back")
def _():
    with open_channel() as ch:
        q = declare(ch)
        publish(ch, q, "x", mandatory=True)
        equal(bodies(ch, q), ["x"])


@case("mandatory without confirms: what no queue takes comes back")
def _():
    with open_channel(confirm=False) as ch:
        got = []
        ch.add_on_return_callback(lambda *a: got.append(a[3]))
        publish(ch, fresh(), "1", mandatory=True)
        publish(ch, fresh(), "2", mandatory=False)
        publish(ch, fresh(), "3", mandatory=True)
        sync(ch)
        ch.connection.process_data_events(0)
        equal(got, [b"1", b"3"])


@case("what no queue takes is confirmed all the same")
def _():
    with open_channel() as ch:
        publish(ch, fresh(), "x")
        publish(ch, fresh(), "x", to="amq.topic")


def confirms(ch, publish_one, n):
    """Publishes n without waiting between them; the numbers of the answers, in their order."""
    # pylint: disable=protected-access
    got, tags, open_, end = [], [], set(range(1, n + 1)), time.monotonic() + 2 * PATIENCE
    ch._impl.confirm_delivery(got.append, callback=lambda _: None)
    for i in range(n):
        publish_one(i)
    while open_ and time.monotonic() < end:
        ch.connection.process_data_events(0.1)
        while got:
            m = got.pop(0).method
            assert isinstance(m, spec.Basic.Ack), m
            of = [t for t in open_ if t <= m.delivery_tag] if m.multiple else [m.delivery_tag]
            assert open_.issuperset(of) and m.delivery_tag in of, f"{m} came twice"
            open_.difference_update(of)
            tags += sorted(of)
    return tags


@case("a thousand publishes are confirmed, each once, wherever they go")
def _():
    with open_channel(confirm=False) as ch:
        q = declare(ch, durable=True)
        tags = confirms(ch, lambda i: publish(ch, q if i % 3 else fresh(), "x",
                                              delivery_mode=1 + i % 2), 1000)
        equal(sorted(tags), list(range(1, 1001)))


@case("confirms come in the order of the publishes, wherever they go")
def _():
    only_lodge("the specification does not ask for it")
    with open_channel(confirm=False) as ch:
        q = declare(ch, durable=True)
        equal(confirms(ch, lambda i: publish(ch, q if i % 3 else fresh(), "x",
                                             delivery_mode=1 + i % 2), 1000),
              list(range(1, 1001)))


@case("confirm.select twice changes nothing: numbers go on")
def _():
    with open_channel() as ch:
        publish(ch, fresh(), "1")
        answered(ch, spec.Confirm.Select(), spec.Confirm.SelectOk)
        got = []
        # pylint: disable=protected-access
        ch._impl.callbacks.add(ch.channel_number, spec.Basic.Ack,
                               lambda frame: got.append(frame.method.delivery_tag), False)
        publish(ch, fresh(), "2")
        equal(got, [2])


@case("publishing to an exchange that is not there closes the channel with 404")
def _():
    with open_channel() as ch, refused(404, "no exchange"):
        publish(ch, "k", "x", to=fresh("x"))


@case("what was published before a 404 is kept")
def _():
    with open_channel() as ch:
        q, other = declare(ch), ch.connection.channel()
        with refused(404):
            publish(other, q, "before")
            publish(other, "k", "x", to=fresh("x"))
            publish(other, q, "after, perhaps")
            sync(other)
        equal(take(ch, q).text, "before")


@case("immediate is not implemented: 540 closes the connection")
def _():
    c = connect()
    ch = c.channel()
    with refused(540, "immediate"):
        raw(ch, spec.Basic.Publish(routing_key=declare(ch), immediate=True),
            (pika.BasicProperties(), b"x"))
        await_end(ch)
    assert c.is_closed


@case("user-id must be the user's own: 406 otherwise")
def _():
    with open_channel() as ch:
        q = declare(ch)
        publish(ch, q, "x", user_id=BROKER.user)
        equal(get(ch, q).properties.user_id, BROKER.user)
        with refused(406, "user_id"):
            publish(ch, q, "x", user_id="somebody else")


@case("an expiration that is no number of milliseconds is 406")
def _():
    refused_each(406, {repr(value): lambda ch, value=value: (
        publish(ch, declare(ch), "x", expiration=value), await_end(ch))
        for value in ("soon", "-1", "1.5", "")})


@case("an expiration of 0: who waits for a message gets it, each time; nobody else does")
def _():
    with open_channel() as ch:
        q, texts = declare(ch), [str(i) for i in range(300)]
        publish(ch, q, "missed", expiration="0")
        equal(bodies(ch, q), [])
        box = Inbox(ch, q, auto_ack=True)
        publish_all(ch, q, texts, expiration="0")
        equal(box.texts(300), texts)


# ---- content -------------------------------------------------------------------------------------


@case("an empty body comes back empty")
def _():
    with open_channel() as ch:
        q = declare(ch)
        publish(ch, q, b"")
        m = get(ch, q)
        equal((m.body, m.properties.headers), (b"", None))


@case("bodies around the size of a frame come back whole")
def _():
    with open_channel(frame_max=8192) as ch:
        q, sizes = declare(ch), [1, 8183, 8184, 8185, 16368, 16369, 100000]
        sent = [os.urandom(size) for size in sizes]
        for body in sent:
            publish(ch, q, body)
        for body in sent:
            assert get(ch, q).body == body, f"{len(body)} bytes came back otherwise"


@case("a body of 5 MB comes back whole, to get and to a consumer")
def _():
    with open_channel() as ch:
        q, body = declare(ch), os.urandom(5 * 1024 * 1024)
        publish(ch, q, body, delivery_mode=2)
        m = get(ch, q, ack=False)
        assert m.body == body, "it came back otherwise"
        ch.basic_nack(m.tag)
        m = Inbox(ch, q).next()
        assert m.body == body, "it came back otherwise, the second time"
        ch.basic_ack(m.tag)


@case("a body of 5 MB reaches several queues")
def _():
    with open_channel() as ch:
        x, queues, body = exchange(ch, "fanout"), [declare(ch), declare(ch)], os.urandom(5 << 20)
        for q in queues:
            ch.queue_bind(q, x)
        publish(ch, "", body, to=x)
        for q in queues:
            assert get(ch, q).body == body, "it came otherwise"


@case("every property comes back as it was")
def _():
    sent = {"content_type": "text/plain; charset=utf-8", "content_encoding": "gzip",
            "headers": {"k": "v"}, "delivery_mode": 1, "priority": 255, "correlation_id": "c" * 255,
            "reply_to": "a queue", "expiration": "60000", "message_id": "日本",
            "timestamp": 2 ** 40, "type": "kind", "user_id": BROKER.user, "app_id": "app",
            "cluster_id": "cluster"}
    with open_channel() as ch:
        q = declare(ch)
        publish(ch, q, "x", **sent)
        got = get(ch, q).properties
        equal({name: getattr(got, name) for name in sent}, sent)


@case("a property that is not set is not set when it comes back; an empty one is empty")
def _():
    with open_channel() as ch:
        q = declare(ch)
        for name in ("content_type", "correlation_id", "reply_to", "message_id", "type", "app_id"):
            publish(ch, q, "x", **{name: ""})
            got = {k: v for k, v in vars(get(ch, q).properties).items() if v is not None}
            equal(got, {name: ""})
        for name, value in (("priority", 0), ("timestamp", 0), ("delivery_mode", 2),
                            ("headers", {})):
            publish(ch, q, "x", **{name: value})
            got = {k: v for k, v in vars(get(ch, q).properties).items() if v is not None}
            equal(got, {name: value})


@case("headers of every type come back as they were, nested ones too")
def _():
    headers = {
        "text": "grüße 日本 \0 \n", "empty": "", "bytes": bytes(range(256)), "true": True,
        "false": False, "none": None, "int": -5, "max": 2 ** 31 - 1, "min": -2 ** 31,
        "big": pika.compat.long(2 ** 63 - 1), "small": pika.compat.long(7),
        "decimal": decimal.Decimal("-123.45"), "when": datetime.datetime(2038, 1, 19, 3, 14, 8),
        "list": [1, "two", None, [3.5 > 3, [b"\xff", {"four": []}]]], "empty list": [],
        "table": {"a": {"b": {"c": [{"d": 1}]}}}, "empty table": {}, "": "no name",
        "n" * 255: "long name", "long": "x" * 100000}
    with open_channel() as ch:
        q = declare(ch)
        publish(ch, q, "x", headers=headers)
        got = get(ch, q).properties.headers
        equal(list(got), list(headers), "the order of names")
        equal(got, headers)
        equal({k: type(v) for k, v in got.items() if type(v) is not type(headers[k])}, {}, "types")


@case("headers and properties are the same after a delivery that came back")
def _():
    headers = {"a": [1, {"b": None}], "c": b"\0\xff", "d": decimal.Decimal("0.5")}
    with open_channel() as ch:
        q = declare(ch)
        publish(ch, q, "x", headers=headers, priority=3, timestamp=1)
        for _ in range(3):
            m = take(ch, q, ack=False)
            mine = {k: v for k, v in m.headers.items() if k in headers}
            equal((mine, m.properties.priority, m.properties.timestamp), (headers, 3, 1))
            ch.basic_nack(m.tag)


@case("a classic queue adds no header to what came back")
def _():
    with open_channel() as ch:
        q = declare(ch)
        publish(ch, q, "x", headers={"a": 1})
        ch.basic_nack(take(ch, q, ack=False).tag)
        equal(take(ch, q).headers, {"a": 1})


# ---- CC and BCC ----------------------------------------------------------------------------------


@case("CC and BCC are more routing keys; BCC is not shown to anybody")
def _():
    with open_channel() as ch:
        to, cc, bcc = (declare(ch) for _ in range(3))
        publish(ch, to, "x", headers={"CC": [cc], "BCC": [bcc], "mine": 1})
        for q in (to, cc, bcc):
            m = get(ch, q)
            equal((m.text, m.headers, m.method.routing_key), ("x", {"CC": [cc], "mine": 1}, to))


@case("CC to the same queue delivers once, and counts as a route")
def _():
    with open_channel() as ch:
        a, b = declare(ch), declare(ch)
        publish(ch, fresh("nowhere"), "x", mandatory=True, headers={"CC": [a, b, a], "BCC": [b]})
        equal((bodies(ch, a), bodies(ch, b)), (["x"], ["x"]))


@case("a CC that is no list is 406")
def _():
    refused_each(406, {name: lambda ch, name=name: (
        publish(ch, "k", "x", headers={name: "text"}), await_end(ch)) for name in ("CC", "BCC")})
