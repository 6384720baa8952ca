# SPDX-License-Identifier: MIT
"""Cases of test_mqtt.py: retained messages."""
import time

from mqtt_lib import BROKER, both, equal, fresh, v5


def keep(level, *messages):
    """Publishes retained messages: (topic, payload, qos)."""
    with BROKER.client(level) as c:
        for topic, payload, qos in messages:
            c.publish(topic, payload, qos, retain=True)
        c.ping()
        c.disconnect()


def found(level, wanted, n, qos=2, **more):
    """What a new subscriber finds: {topic: payload}, n of them."""
    with BROKER.client(level) as c:
        c.subscribe(wanted, qos=qos, **more)
        got = c.messages(n)
        c.nothing()
        assert all(p.retain for p in got), got
        return {p.topic: p.payload for p in got}


@both("a retained message is there for who subscribes later [3.3.1-5, 3.3.1-6 | 3.3.1-5, 3.3.1-9]")
def _(level):
    topic = fresh()
    keep(level, *[(f"{topic}/{qos}", b"%d" % qos, qos) for qos in (0, 1, 2)])
    for granted in (0, 1, 2):
        with BROKER.client(level) as c:
            c.subscribe(topic + "/+", qos=granted)
            got = sorted(c.messages(3), key=lambda p: p.topic)
            equal([(p.topic, p.payload, p.qos, p.retain, p.dup) for p in got],
                  [(f"{topic}/{qos}", b"%d" % qos, min(qos, granted), True, False)
                   for qos in (0, 1, 2)])
            c.nothing()


@both("only the last retained message of a topic is kept [3.3.1-5, 3.3.1-7 | 3.3.1-5]")
def _(level):
    topic = fresh()
    for first in (0, 1, 2):
        for second in (0, 1, 2):
            keep(level, (topic, b"first", first), (topic, b"second", second))
            equal(found(level, topic, 1), {topic: b"second"})


@both("a subscriber who was there gets it as any other message [3.3.1-9 | 3.3.1-12]")
def _(level):
    topic = fresh()
    with BROKER.client(level) as c:
        c.subscribe(topic, qos=2)
        keep(level, *[(topic, b"%d" % qos, qos) for qos in (0, 1, 2)])
        equal([(p.payload, p.retain) for p in c.messages(3)],
              [(b"%d" % qos, False) for qos in (0, 1, 2)])


@both("an empty retained message removes what was kept [3.3.1-10, 3.3.1-11 | 3.3.1-6, 3.3.1-7]")
def _(level):
    topic = fresh()
    for kept in (0, 1, 2):
        for empty in (0, 1, 2):
            keep(level, (topic, b"x", kept))
            equal(found(level, topic, 1), {topic: b"x"})
            with BROKER.client(level) as c:
                c.subscribe(topic + "/#", qos=2)
                c.message()
                keep(level, (topic, b"", empty))
                p = c.message()
                equal((p.payload, p.retain), (b"", False))
            equal(found(level, topic, 0), {})
    keep(level, (topic, b"", 1))  # where there was none
    equal(found(level, topic, 0), {})


@both("a message that is not retained leaves alone what is kept [3.3.1-12 | 3.3.1-8]")
def _(level):
    topic = fresh()
    keep(level, (topic, b"kept", 1))
    with BROKER.client(level) as c:
        for payload in (b"x", b""):
            c.publish(topic, payload, 1)
            c.publish(topic, payload, 2)
    equal(found(level, topic, 1), {topic: b"kept"})


@both("who subscribes again finds it again [3.8.4-3 | 3.8.4-4]")
def _(level):
    topic = fresh()
    keep(level, (topic, b"x", 1))
    with BROKER.client(level) as c:
        for qos in (1, 1, 0, 2):
            c.subscribe(topic, qos=qos)
            p = c.message()
            equal((p.payload, p.retain, p.qos), (b"x", True, min(qos, 1)))
        c.nothing()


@both("wildcards find all that match [3.3.1-6 | 3.3.1-9]")
def _(level):
    top = fresh()
    topics = [top, top + "/a", top + "/a/b", top + "/b", top + "//b", top + "/a/b/c", top + "x"]
    keep(level, *[(topic, topic.encode(), 1) for topic in topics])
    for wanted, those in ((top + "/#", topics[:6]), (top + "/+", topics[1:2] + topics[3:4]),
                          (top + "/+/b", [topics[2], topics[4]]), (top + "/a/#", topics[1:3] +
                                                                   topics[5:6]),
                          (top + "/+/b/#", [topics[2], topics[4], topics[5]]), (top, topics[:1]),
                          (top + "/none/#", [])):
        equal(sorted(found(level, wanted, len(those))), sorted(those), wanted)


@both("many are found at once [3.3.1-6 | 3.3.1-9]")
def _(level):
    top, n = fresh(), 500
    with BROKER.client(level) as c:
        for i in range(n):
            c.put(f"{top}/{i}", b"%d" % i, retain=True)
        c.ping()
    equal(found(level, top + "/#", n), {f"{top}/{i}": b"%d" % i for i in range(n)})


@both("a resumed session gets no retained messages a second time [3.3.1-6 | 3.3.1-9]")
def _(level):
    name, topic = fresh("c"), fresh()
    keep(level, (topic, b"x", 1))
    with BROKER.resume(level, name) as c:
        c.subscribe(topic, qos=1)
        equal(c.message().payload, b"x")
        c.disconnect()
    with BROKER.resume(level, name) as c:
        c.nothing()


@both("retained messages stay when the session of their sender ends [3.1.2-7 | 3.3.1-5]")
def _(level):
    name, topic = fresh("c"), fresh()
    with BROKER.resume(level, name) as c:
        c.publish(topic, b"x", 1, retain=True)
    with BROKER.client(level, name) as c:
        c.disconnect()
    equal(found(level, topic, 1), {topic: b"x"})


@both("each filter of a SUBSCRIBE finds its own [3.8.4-4 | 3.8.4-5]")
def _(level):
    top = fresh()
    keep(level, (top + "/a", b"a", 1), (top + "/b", b"b", 1))
    with BROKER.client(level) as c:
        equal(c.subscribe(top + "/a", top + "/b", top + "/none", qos=1), [1, 1, 1])
        equal(sorted(c.payloads(2)), [b"a", b"b"])


@both("a retained message that waits for an offline session is sent as any other "
      "[3.3.1-9 | 3.3.1-12]")
def _(level):
    name, topic = fresh("c"), fresh()
    with BROKER.resume(level, name) as c:
        c.subscribe(topic, qos=1)
        c.disconnect()
    keep(level, (topic, b"x", 1))
    with BROKER.resume(level, name) as c:
        p = c.message()
        equal((p.payload, p.retain), (b"x", False))
        c.nothing()


# ---- 5.0 -----------------------------------------------------------------------------------------


@v5("retain handling 0 sends them at each SUBSCRIBE [3.3.1-9]")
def _():
    topic = fresh()
    keep(5, (topic, b"x", 1))
    with BROKER.client(5) as c:
        for _ in range(2):
            c.subscribe(topic, handling=0)
            equal(c.payloads(1), [b"x"])


@v5("retain handling 1 sends them if the subscription is new [3.3.1-10]")
def _():
    topic, name = fresh(), fresh("c")
    keep(5, (topic, b"x", 1))
    with BROKER.resume(5, name) as c:
        c.subscribe(topic, handling=1)
        equal(c.payloads(1), [b"x"])
        c.subscribe(topic, handling=1, qos=1)
        c.nothing()
        c.disconnect()
    with BROKER.resume(5, name) as c:
        c.subscribe(topic, handling=1)  # it was there before this connection
        c.nothing()
        c.unsubscribe(topic)
        c.subscribe(topic, handling=1)
        equal(c.payloads(1), [b"x"])


@v5("retain handling 2 does not send them [3.3.1-11]")
def _():
    topic = fresh()
    keep(5, (topic, b"x", 1))
    with BROKER.client(5) as c:
        for _ in range(2):
            c.subscribe(topic, handling=2)
            c.nothing()
        c.publish(topic, b"y", 1)
        equal(c.payloads(1), [b"y"])


@v5("retain as published passes the flag on, and else it is 0 [3.3.1-12, 3.3.1-13]")
def _():
    topic = fresh()
    with BROKER.client(5) as c, BROKER.client(5) as other, BROKER.client(5) as d:
        c.subscribe(topic, qos=1, as_published=True)
        other.subscribe(topic, qos=1)
        for retain in (False, True, False):
            d.publish(topic, b"x", 1, retain=retain)
            equal((c.message().retain, other.message().retain), (retain, False))
        d.publish(topic, b"", 1, retain=True)
        equal((c.message().retain, other.message().retain), (True, False))


@v5("retained messages keep their properties [3.3.2-17, 3.3.2-20]")
def _():
    topic = fresh()
    props = {"content_type": "a/b", "payload_format": 1, "response_topic": "r",
             "correlation_data": b"\0\xff", "user_property": [("b", "1"), ("a", "2"), ("b", "1")]}
    with BROKER.client(5) as c:
        c.publish(topic, "é".encode(), 1, retain=True, **props)
        c.subscribe(topic, subscription_id=9)
        equal(c.message().props, dict(props, subscription_id=[9]))


@v5("a retained message goes when its time is over, and counts it down [3.3.2-5, 3.3.2-6]")
def _():
    topic = fresh()
    with BROKER.client(5) as c:
        c.publish(topic + "/short", b"x", 1, retain=True, message_expiry=2)
        c.publish(topic + "/long", b"x", 1, retain=True, message_expiry=100)
        c.publish(topic + "/none", b"x", 1, retain=True)
        time.sleep(3.2)
        c.subscribe(topic + "/#")
        left = {p.topic[len(topic) + 1:]: p.props.get("message_expiry") for p in c.messages(2)}
        c.nothing()
        assert set(left) == {"long", "none"} and left["none"] is None, left
        assert 50 < left["long"] < 99, left
