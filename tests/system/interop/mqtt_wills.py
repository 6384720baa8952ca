# SPDX-License-Identifier: MIT
"""Cases of test_mqtt.py: will messages."""
import time

from mqtt_lib import BROKER, both, connect, equal, frame, fresh, persistent, publish, v5, will


def watcher(level, topic):
    c = BROKER.client(level)
    c.subscribe(topic, qos=2)
    return c


@both("a will is published when the network fails, with its QoS [3.1.2-8, 3.1.2-9 | 3.1.2-8, "
      "3.1.2-9]")
def _(level):
    for qos in (0, 1, 2):
        topic = fresh()
        with watcher(level, topic) as w:
            BROKER.client(level, the_will=will(topic, b"gone", qos)).drop()
            p = w.message()
            equal((p.topic, p.payload, p.qos, p.retain), (topic, b"gone", qos, False))
            w.nothing()


@both("a will that is not retained is not kept, one that is is "
      "[3.1.2-16, 3.1.2-17 | 3.1.2-14, 3.1.2-15]")
def _(level):
    for retain in (False, True):
        topic = fresh()
        with watcher(level, topic) as w:
            BROKER.client(level, the_will=will(topic, b"gone", 1, retain)).drop()
            equal(w.message().retain, False)
        with watcher(level, topic) as w:
            if retain:
                p = w.message()
                equal((p.payload, p.retain), (b"gone", True))
            w.nothing()


@both("an empty will is published, too, and removes what was retained [3.1.2-17 | 3.1.2-15]")
def _(level):
    topic = fresh()
    with watcher(level, topic) as w:
        w.publish(topic, b"kept", 1, retain=True)
        w.message()
        BROKER.client(level, the_will=will(topic, b"", 1, True)).drop()
        equal(w.message().payload, b"")
    with watcher(level, topic) as w:
        w.nothing()


@both("DISCONNECT removes the will [3.1.2-10, 3.14.4-3]")
def _(level):
    topic = fresh()
    with watcher(level, topic) as w:
        with BROKER.client(level, the_will=will(topic, b"gone", 1)) as c:
            c.disconnect()
        w.nothing()


@both("without a will nothing is published [3.1.2-12 | 3.1.2-8]")
def _(level):
    topic, name = fresh(), fresh("c")
    with watcher(level, topic) as w:
        BROKER.client(level, name, the_will=will(topic, b"gone", 1)).drop()
        equal(w.message().payload, b"gone")
        BROKER.client(level, name).drop()
        w.nothing()


@both("a will is published when the client is put out for an error [3.1.2-8]")
def _(level):
    topic = fresh()
    with watcher(level, topic) as w:
        c = BROKER.client(level, the_will=will(topic, b"gone", 1))
        c.send(publish(level, "a", b"x", qos=3, packet_id=1))
        c.closed(0x81)
        equal(w.message().payload, b"gone")


def taken_over(level, **more):
    topic, name = fresh(), fresh("c")
    with watcher(level, topic) as w:
        old = BROKER.client(level, name, the_will=will(topic, b"gone", 1), **more)
        with BROKER.client(level, name, **more):
            old.closed(0x8E)
            equal(w.message().payload, b"gone")
        w.nothing()


@both("a will is published when another connection takes over and starts clean [3.1.2-8]")
def _(level):
    taken_over(level)


@both("a will is published when another connection takes over the session [3.1.2-8]")
def _(level):
    taken_over(level, clean=False, **persistent(level))


@both("a will reaches sessions that are offline [3.1.2-8]")
def _(level):
    topic, name = fresh(), fresh("c")
    with BROKER.resume(level, name) as c, watcher(level, topic) as w:
        c.subscribe(topic, qos=1)
        c.disconnect()
        BROKER.client(level, the_will=will(topic, b"gone", 2)).drop()
        w.message()
    with BROKER.resume(level, name) as c:
        p = c.message()
        equal((p.payload, p.qos), (b"gone", 1))


@both("the will of a connection that was refused is not published [3.1.2-8]")
def _(level):
    topic = fresh()
    with watcher(level, topic) as w:
        c = BROKER.raw(level)
        more = {"auth_method": "?"} if level == 5 else {"clean": False}
        c.send(connect(level, "", the_will=will(topic, b"gone", 1), **more))
        assert c.closed().reason
        w.nothing()


# ---- 5.0 -----------------------------------------------------------------------------------------


@v5("DISCONNECT with another reason than 0 leaves the will [3.1.2-8]")
def _():
    topic = fresh()
    with watcher(5, topic) as w:
        for reason in (0x04, 0x80, 0x98):
            with BROKER.client(5, the_will=will(topic, b"gone", 1)) as c:
                c.disconnect(reason)
            equal(w.message().payload, b"gone", f"reason {reason:#x}")
        w.nothing()


@v5("a will is published with its properties [3.1.2-9]")
def _():
    topic = fresh()
    props = {"content_type": "a/b", "payload_format": 1, "response_topic": "r",
             "correlation_data": b"\0\xff", "user_property": [("b", "1"), ("a", "2"), ("b", "1")]}
    with watcher(5, topic) as w:
        BROKER.client(5, the_will=will(topic, b"gone", 1, message_expiry=60, **props)).drop()
        got = w.message().props
        assert 0 < got.pop("message_expiry") <= 60
        equal(got, props)


@v5("a will waits for its delay [3.1.3-9]")
def _():
    topic = fresh()
    with watcher(5, topic) as w:
        began = time.monotonic()
        BROKER.client(5, session_expiry=60,
                      the_will=will(topic, b"gone", 1, will_delay=2)).drop()
        w.ping()
        p = w.message()
        assert time.monotonic() - began > 1, "it came too early"
        equal((p.payload, p.props), (b"gone", {}))
        w.nothing()


@v5("who comes back in time takes the delayed will back [3.1.3-9]")
def _():
    topic, name = fresh(), fresh("c")
    delayed = will(topic, b"gone", 1, will_delay=2)
    with watcher(5, topic) as w:
        BROKER.resume(5, name, the_will=delayed).drop()
        with BROKER.resume(5, name) as c:
            w.nothing(4)
            c.ping()


@v5("a will is published at the end of the session if that comes first [3.1.2-8]")
def _():
    topic = fresh()
    with watcher(5, topic) as w:
        BROKER.client(5, session_expiry=1,
                      the_will=will(topic, b"one", 1, will_delay=3600)).drop()
        equal(w.message().payload, b"one")
        w.nothing()


@v5("a session that ends with its connection does not delay its will [3.1.2-8]")
def _():
    topic = fresh()
    with watcher(5, topic) as w:
        BROKER.client(5, the_will=will(topic, b"none", 1, will_delay=3600)).drop()
        equal(w.message().payload, b"none")
        w.nothing()


@v5("a clean start ends the session, and the delayed will is published [3.1.2-8]")
def _():
    topic, name = fresh(), fresh("c")
    with watcher(5, topic) as w:
        with BROKER.resume(5, name, the_will=will(topic, b"gone", 1, will_delay=3600)) as c:
            c.disconnect(4)
        w.nothing()
        with BROKER.client(5, name):
            equal(w.message().payload, b"gone")
        w.nothing()


@v5("a take-over without a clean start takes the delayed will back [3.1.3-9]")
def _():
    topic, name = fresh(), fresh("c")
    with watcher(5, topic) as w:
        old = BROKER.resume(5, name, the_will=will(topic, b"gone", 1, will_delay=2))
        with BROKER.resume(5, name) as c:
            old.closed(0x8E)
            w.nothing(4)
            c.ping()


@v5("a delayed will is forgotten at DISCONNECT [3.14.4-3]")
def _():
    topic = fresh()
    with watcher(5, topic) as w:
        with BROKER.resume(5, fresh("c"), the_will=will(topic, b"gone", 1, will_delay=1)) as c:
            c.send(frame("DISCONNECT"))
            c.closed()
        w.nothing(3)
