# SPDX-License-Identifier: MIT
"""Cases of test_mqtt.py: sessions that outlive their connection."""
import time

from mqtt_lib import BROKER, NEVER, both, equal, frame, fresh, persistent, v5


def leave(level, name, topic, qos=2, **more):
    """A session that subscribes and goes."""
    with BROKER.resume(level, name, **more) as c:
        c.subscribe(topic, qos=qos)
        c.disconnect()


# ---- offline -------------------------------------------------------------------------------------


@both("QoS 1 and 2 wait for a session that is offline [3.1.2-5 | 3.1.2-5, 4.5.0-1]")
def _(level):
    name, topic = fresh("c"), fresh()
    leave(level, name, topic)
    with BROKER.client(level) as d:
        for i in range(20):
            d.publish(topic, b"%d" % i, 1 + i % 2)
    with BROKER.resume(level, name) as c:
        equal(c.connack.present, 1)
        got = c.messages(20)
        c.nothing()
        for qos in (1, 2):
            equal([p.payload for p in got if p.qos == qos],
                  [b"%d" % i for i in range(20) if 1 + i % 2 == qos])
        assert not any(p.dup or p.retain for p in got), got
        c.disconnect()
    with BROKER.resume(level, name) as c:
        c.nothing()


@both("QoS 0 may wait for a session that is offline, or not [3.1.2-5 | 4.5.0-1]")
def _(level):
    name, topic = fresh("c"), fresh()
    leave(level, name, topic)
    with BROKER.client(level) as d:
        d.publish(topic, b"0", 0)
        d.publish(topic, b"1", 1)
    with BROKER.resume(level, name) as c:
        got = c.message()
        if got.qos == 0:
            got = c.message()
        equal((got.payload, got.qos), (b"1", 1))


@both("many messages wait [3.1.2-5 | 4.5.0-1]")
def _(level):
    name, topic, n = fresh("c"), fresh(), 2000
    leave(level, name, topic, qos=1)
    with BROKER.client(level) as d:
        for at in range(0, n, 20):
            for i in range(at, at + 20):
                d.put(topic, b"%d" % i, 1)
            for i in range(20):
                d.wait("PUBACK")
    with BROKER.resume(level, name) as c:
        equal([c.message().payload for _ in range(n)], [b"%d" % i for i in range(n)])
        c.nothing()


@both("a session keeps its subscriptions, and loses what it unsubscribed [3.1.2-4 | 3.1.2-5]")
def _(level):
    name, topic, gone = fresh("c"), fresh(), fresh()
    with BROKER.resume(level, name) as c:
        c.subscribe(topic + "/+", gone, qos=1)
        c.unsubscribe(gone)
        c.disconnect()
    with BROKER.client(level) as d, BROKER.resume(level, name) as c:
        for each in (gone, topic + "/a", topic + "/a/b"):
            d.publish(each, each.encode(), 2)
        p = c.message()
        equal((p.topic, p.qos), (topic + "/a", 1))
        c.nothing()


@both("nothing is kept of a clean session [3.1.2-6 | 3.1.2-23, 4.1.0-2]")
def _(level):
    name, topic = fresh("c"), fresh()
    with BROKER.client(level, name) as c:
        c.subscribe(topic, qos=2)
        c.disconnect()
    with BROKER.client(level) as d:
        d.publish(topic, b"x", 2)
        with BROKER.resume(level, name) as c:
            equal(c.connack.present, 0)
            d.publish(topic, b"y", 2)
            c.nothing()


@both("a clean start discards what waited [3.1.2-6 | 3.1.2-4]")
def _(level):
    name, topic = fresh("c"), fresh()
    leave(level, name, topic)
    with BROKER.client(level) as d:
        d.publish(topic, b"x", 1)
    with BROKER.client(level, name, **persistent(level)) as c:
        equal(c.connack.present, 0)
        c.nothing()
        c.disconnect()
    with BROKER.resume(level, name) as c:
        c.nothing()


@both("a message goes to every session that subscribed [4.5.0-1]")
def _(level):
    names, topic = [fresh("c") for _ in range(10)], fresh()
    for i, name in enumerate(names):
        leave(level, name, topic if i % 2 else topic + "/#", qos=1 + i % 2)
    with BROKER.client(level) as d:
        d.publish(topic, b"x", 2)
    for i, name in enumerate(names):
        with BROKER.resume(level, name) as c:
            p = c.message()
            equal((p.payload, p.qos), (b"x", 1 + i % 2))
            c.nothing()


# ---- sent again ----------------------------------------------------------------------------------


@both("what was not acknowledged is sent again, in order, with DUP and its packet id "
      "[3.3.1-1, 4.4.0-1, 4.6.0-1]")
def _(level):
    name, topic = fresh("c"), fresh()
    leave(level, name, topic)
    with BROKER.client(level) as d:
        for i in range(6):
            d.publish(topic, b"%d" % i, 1 + i % 2)
    with BROKER.resume(level, name) as c:
        first = c.messages(6, ack=False)
        c.nothing()
    for _ in range(2):
        with BROKER.resume(level, name) as c:
            equal([(p.id, p.qos, p.payload, p.dup) for p in c.messages(6, ack=False)],
                  [(p.id, p.qos, p.payload, True) for p in first])
            c.nothing()
    with BROKER.resume(level, name) as c:
        equal(c.payloads(6), [b"%d" % i for i in range(6)])
        c.disconnect()
    with BROKER.resume(level, name) as c:
        c.nothing()


@both("after PUBREC it is PUBREL that is sent again, not PUBLISH [4.3.3-1, 4.4.0-1 | 4.3.3-6, "
      "4.4.0-1]")
def _(level):
    name, topic = fresh("c"), fresh()
    leave(level, name, topic)
    with BROKER.client(level) as d:
        d.publish(topic, b"x", 2)
    with BROKER.resume(level, name) as c:
        p = c.message(ack=False)
        c.ack("PUBREC", p.id)
        c.wait("PUBREL", p.id)
    for _ in range(2):
        with BROKER.resume(level, name) as c:
            c.wait("PUBREL", p.id)
            c.nothing()
    with BROKER.resume(level, name) as c:
        c.wait("PUBREL", p.id)
        c.ack("PUBCOMP", p.id)
        c.nothing()
        c.disconnect()
    with BROKER.resume(level, name) as c:
        c.nothing()


@both("a PUBREC that comes again is answered with PUBREL again [4.3.3-1 | 4.3.3-4]")
def _(level):
    with BROKER.client(level) as c:
        topic = fresh()
        c.subscribe(topic, qos=2)
        c.publish(topic, b"x", 2)
        p = c.message(ack=False)
        for _ in range(2):
            c.ack("PUBREC", p.id)
            c.wait("PUBREL", p.id)
        c.ack("PUBCOMP", p.id)
        c.nothing()


@both("new messages come behind those that are sent again [4.6.0-1, 4.6.0-6]")
def _(level):
    name, topic = fresh("c"), fresh()
    with BROKER.client(level) as d:
        with BROKER.resume(level, name) as c:
            c.subscribe(topic, qos=1)
            for i in range(3):
                d.publish(topic, b"%d" % i, 1)
            c.messages(3, ack=False)
        for i in range(3, 6):
            d.publish(topic, b"%d" % i, 1)
        with BROKER.resume(level, name) as c:
            got = c.messages(6)
            equal([(p.payload, p.dup) for p in got], [(b"%d" % i, i < 3) for i in range(6)])
            c.nothing()


@v5("nothing is sent again while the connection lasts [4.4.0-1]")
def _():
    with BROKER.client(5) as c:
        topic = fresh()
        c.subscribe(topic, qos=2)
        c.publish(topic, b"1", 1)
        c.publish(topic, b"2", 2)
        held = c.messages(2, ack=False)
        c.ack("PUBREC", held[1].id)
        c.wait("PUBREL", held[1].id)
        c.nothing(5)


# ---- session expiry ------------------------------------------------------------------------------


@v5("a session of expiry 0 ends with its connection, as one without [3.1.2-23, 4.1.0-2]")
def _():
    for more in ({}, {"session_expiry": 0}):
        name = fresh("c")
        for drop in (False, True):
            c = BROKER.client(5, name, clean=False, **more)
            equal(c.connack.present, 0)
            c.subscribe(fresh())
            if drop:
                c.drop()
            else:
                c.disconnect()
        with BROKER.client(5, name, clean=False) as c:
            equal(c.connack.present, 0)


@v5("a session expires when its time is over, and not before [3.1.2-23, 4.1.0-2]")
def _():
    name, long, topic = fresh("c"), fresh("c"), fresh()
    for each, expiry in ((name, 2), (long, 300)):
        with BROKER.client(5, each, session_expiry=expiry) as c:
            c.subscribe(topic, qos=1)
            c.disconnect()
        with BROKER.client(5, each, clean=False, session_expiry=expiry) as c:
            equal(c.connack.present, 1)
            c.drop()
    with BROKER.client(5) as d:
        d.publish(topic, b"x", 1)
        time.sleep(4)
        d.publish(topic, b"y", 1)
    with BROKER.client(5, name, clean=False) as c:
        equal(c.connack.present, 0)
        c.nothing()
    with BROKER.client(5, long, clean=False) as c:
        equal(c.connack.present, 1)
        equal(c.payloads(2), [b"x", b"y"])


@v5("a session does not expire while it is connected [4.1.0-1]")
def _():
    name, topic = fresh("c"), fresh()
    with BROKER.client(5, name, session_expiry=1) as c:
        c.subscribe(topic, qos=1)
        time.sleep(3)
        c.publish(topic, b"x", 1)
        equal(c.message().payload, b"x")


@v5("each CONNECT says anew how long the session stays [3.1.2-23]")
def _():
    name = fresh("c")
    for before, now, present in ((300, 300, 0), (300, 0, 1), (0, NEVER, 0), (NEVER, 0, 1),
                                 (0, 0, 0)):
        with BROKER.client(5, name, clean=False, session_expiry=now) as c:
            equal(c.connack.present, present, f"{before} before")
            c.disconnect()


@v5("DISCONNECT changes how long the session stays [3.14.2-2]")
def _():
    name, topic = fresh("c"), fresh()
    with BROKER.client(5, name, session_expiry=1) as c:
        c.subscribe(topic)
        c.disconnect(0, session_expiry=300)
    time.sleep(3)
    with BROKER.client(5, name, clean=False, session_expiry=300) as c:
        equal(c.connack.present, 1)
        c.disconnect(0, session_expiry=0)
    with BROKER.client(5, name, clean=False, session_expiry=300) as c:
        equal(c.connack.present, 0)
        c.disconnect(0, session_expiry=1)
    time.sleep(3)
    with BROKER.client(5, name, clean=False, session_expiry=NEVER) as c:
        equal(c.connack.present, 0)
        c.disconnect(0, session_expiry=NEVER)
    with BROKER.client(5, name, clean=False) as c:
        equal(c.connack.present, 1)


@both("a session stays when the network fails as when the client goes [3.1.2-4 | 3.1.2-23]")
def _(level):
    name, topic = fresh("c"), fresh()
    with BROKER.resume(level, name) as c:
        c.subscribe(topic, qos=1)
    with BROKER.client(level) as d:
        d.publish(topic, b"x", 1)
    c = BROKER.resume(level, name)
    equal((c.connack.present, c.message().payload), (1, b"x"))
    c.send(frame("PUBLISH", flags=6))
    c.closed(0x81, 0x82)
    with BROKER.resume(level, name) as c:
        equal(c.connack.present, 1)
        c.nothing()
