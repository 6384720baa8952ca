# SPDX-License-Identifier: MIT
"""Cases of test_mqtt.py: PUBLISH and its acknowledgements, in both directions."""
from mqtt_lib import (BROKER, both, equal, frame, fresh, persistent, publish, u16, v5,
                      wait_for)

# ---- basic ---------------------------------------------------------------------------------------


@both("a message comes with the lower of the two QoS [3.8.4-6 | 3.8.4-8]")
def _(level):
    for granted in (0, 1, 2):
        with BROKER.client(level) as c, BROKER.client(level) as d:
            topic = fresh()
            equal(c.subscribe(topic, qos=granted), [granted])
            for qos in (0, 1, 2):
                d.publish(topic, b"%d" % qos, qos)
                p = c.message()
                equal((p.topic, p.payload, p.qos, p.dup, p.retain),
                      (topic, b"%d" % qos, min(qos, granted), False, False))
            c.nothing()


@both("who publishes gets its own messages where it subscribes [3.3.5-1 | 3.3.4-2]")
def _(level):
    with BROKER.client(level) as c:
        topic = fresh()
        c.subscribe(topic, qos=2)
        for qos in (0, 1, 2):
            c.publish(topic, b"%d" % qos, qos)
        equal(sorted(c.payloads(3)), [b"0", b"1", b"2"])


@both("payloads are bytes of any kind and number [3.3.1-10 | 3.3.1-6]")
def _(level):
    with BROKER.client(level) as c:
        topic = fresh()
        c.subscribe(topic, qos=2)
        for payload in (b"", b"\0", bytes(range(256)), b"\xff" * 5000):
            for qos in (0, 1, 2):
                c.publish(topic, payload, qos)
                equal(c.message().payload, payload)


@both("acknowledgements bear the packet id of what they answer [2.3.1-6, 2.3.1-7 | 2.2.1-5, "
      "2.2.1-6]")
def _(level):
    with BROKER.client(level) as c:
        for packet_id in (1, 255, 256, 65535):
            topic = fresh()
            c.put(topic, b"x", 1, packet_id)
            c.wait("PUBACK", packet_id)
            c.put(topic, b"x", 2, packet_id)
            c.wait("PUBREC", packet_id)
            c.release(packet_id)
            c.last_id = packet_id - 1
            c.subscribe(topic)
            c.last_id = packet_id - 1
            c.unsubscribe(topic)


@both("packet ids of the two directions are apart [2.3.1-4 | 2.2.1-4]")
def _(level):
    with BROKER.client(level) as c, BROKER.client(level) as d:
        topic, other = fresh(), fresh()
        c.subscribe(topic, qos=2)
        d.subscribe(other, qos=2)
        d.publish(topic, b"in", 2)
        p = c.message(ack=False)
        c.put(other, b"out", 2, p.id)
        c.wait("PUBREC", p.id)
        c.ack("PUBREC", p.id)
        c.wait("PUBREL", p.id)
        c.ack("PUBREL", p.id)
        c.wait("PUBCOMP", p.id)
        c.ack("PUBCOMP", p.id)
        equal(d.payloads(1), [b"out"])
        c.nothing()


@both("the server gives each message a packet id that is free [2.3.1-4 | 2.2.1-4]")
def _(level):
    with BROKER.client(level) as c, BROKER.client(level) as d:
        topic = fresh()
        c.subscribe(topic, qos=2)
        for i in range(9):
            d.publish(topic, b"%d" % i, 1 + i % 2)
        held = {p.id: p.qos for p in c.messages(9, ack=False)}
        equal(len(held), 9, "packet ids")
        for packet_id in [each for each, qos in held.items() if qos == 1][:3]:
            c.ack("PUBACK", packet_id)
            del held[packet_id]
        for i in range(3):
            d.publish(topic, b"more", 1)
        again = [p.id for p in c.messages(3, ack=False)]
        assert not set(again) & set(held) and len(set(again)) == 3, f"{again} beside {held}"


@both("DUP is not passed on [3.3.1-3]")
def _(level):
    with BROKER.client(level) as c, BROKER.client(level) as d:
        topic = fresh()
        c.subscribe(topic, qos=2)
        for qos in (1, 2):
            d.publish(topic, b"x", qos, dup=True)
            p = c.message()
            equal((p.qos, p.dup), (qos, False))


# ---- QoS 1 ---------------------------------------------------------------------------------------


@both("a packet id after its PUBACK is a new message, DUP or not [4.3.2-2 | 4.3.2-5]")
def _(level):
    with BROKER.client(level) as c, BROKER.client(level) as d:
        topic = fresh()
        c.subscribe(topic, qos=1)
        for dup in (False, True, False):
            d.put(topic, b"x", 1, 7, dup=dup)
            d.wait("PUBACK", 7)
        equal(c.payloads(3), [b"x"] * 3)


@both("acknowledgements that nobody waits for do no harm [4.3.2-1 | 4.3.2-3]")
def _(level):
    with BROKER.client(level) as c:
        for kind in ("PUBACK", "PUBCOMP"):
            c.ack(kind, 77)
        topic = fresh()
        c.subscribe(topic, qos=2)
        c.publish(topic, b"x", 2)
        equal(c.payloads(1), [b"x"])


# ---- QoS 2 ---------------------------------------------------------------------------------------


@both("QoS 2: the same packet id before PUBREL is the same message [4.3.3-2 | 4.3.3-10]")
def _(level):
    with BROKER.client(level) as c, BROKER.client(level) as d:
        topic = fresh()
        c.subscribe(topic, qos=2)
        for dup in (False, True, True):
            d.put(topic, b"x", 2, 7, dup=dup)
            d.wait("PUBREC", 7)
        d.release(7)
        equal(c.payloads(1), [b"x"])


@both("QoS 2: the same packet id after PUBCOMP is another message [4.3.3-2 | 4.3.3-12]")
def _(level):
    with BROKER.client(level) as c, BROKER.client(level) as d:
        topic = fresh()
        c.subscribe(topic, qos=2)
        for payload in (b"1", b"2", b"3"):
            d.publish(topic, payload, 2, packet_id=7)
        equal(c.payloads(3), [b"1", b"2", b"3"])


@both("QoS 2: PUBREL is answered with PUBCOMP each time [4.3.3-2 | 4.3.3-11]")
def _(level):
    with BROKER.client(level) as c:
        topic = fresh()
        c.subscribe(topic, qos=2)
        c.put(topic, b"x", 2, 7)
        c.wait("PUBREC", 7)
        equal(c.release(7).reason, 0)
        for packet_id in (7, 99):
            equal(c.release(packet_id).reason, 0x92 if level == 5 else 0, f"id {packet_id}")
        equal(c.payloads(1), [b"x"])


@both("QoS 2: the dialogue goes on after the network failed [4.3.3-2 | 4.3.3-10]")
def _(level):
    name, topic = fresh("c"), fresh()
    with BROKER.client(level) as c:
        c.subscribe(topic, qos=2)
        with BROKER.resume(level, name) as d:
            for packet_id in (7, 8):
                d.put(topic, b"%d" % packet_id, 2, packet_id)
                d.wait("PUBREC", packet_id)
        with BROKER.resume(level, name) as d:
            equal(d.connack.present, 1)
            for packet_id in (7, 8):
                d.put(topic, b"%d" % packet_id, 2, packet_id, dup=True)
                d.wait("PUBREC", packet_id)
        with BROKER.resume(level, name) as d:
            for packet_id in (7, 8):
                d.release(packet_id)
        equal(c.payloads(2), [b"7", b"8"])


@both("QoS 2: a clean start forgets the packet ids [3.1.2-6 | 3.1.2-4]")
def _(level):
    name, topic = fresh("c"), fresh()
    with BROKER.client(level) as c:
        c.subscribe(topic, qos=2)
        with BROKER.resume(level, name) as d:
            d.publish(topic, b"before", 1)
            d.put(topic, b"old", 2, 7)
            d.wait("PUBREC", 7)
        with BROKER.client(level, name, **persistent(level)) as d:
            equal(d.release(7).reason, 0x92 if level == 5 else 0)
            d.publish(topic, b"new", 2, packet_id=7)
        got = [p.payload for p in c.messages(2)]
        got += [c.message().payload] if got[-1] != b"new" else []
        # what was handed over with PUBREC may be passed on at once or at PUBREL
        assert got in ([b"before", b"new"], [b"before", b"old", b"new"]), got
        c.nothing()


@v5("QoS 2: PUBREC for what was not sent is answered with PUBREL 0x92 [4.3.3-4]")
def _():
    with BROKER.client(5) as c:
        c.ack("PUBREC", 77)
        equal(c.wait("PUBREL", 77).reason, 0x92)
        c.ping()


@v5("QoS 2: PUBREC with an error ends the dialogue [4.4.0-2]")
def _():
    name, topic = fresh("c"), fresh()
    with BROKER.client(5) as d:
        with BROKER.resume(5, name) as c:
            c.subscribe(topic, qos=2)
            for payload, qos in ((b"1", 1), (b"2", 2), (b"3", 2)):
                d.publish(topic, payload, qos)
            held = c.messages(3, ack=False)
            c.ack("PUBACK", held[0].id, 0x83)
            c.ack("PUBREC", held[1].id, 0x97)
            c.ping()
            c.nothing()
        with BROKER.resume(5, name) as c:
            equal(c.payloads(1), [b"3"])


# ---- reason codes --------------------------------------------------------------------------------


@v5("who publishes is told that nobody subscribes: 0x10 [3.4.2-1, 3.5.2-1]")
def _():
    with BROKER.client(5) as c:
        topic = fresh()
        for qos in (1, 2):  # a case beside this one may have subscribed to all topics
            wait_for("0x10", lambda qos=qos: c.publish(topic, b"x", qos).reason == 0x10)
        c.subscribe(topic + "/#", qos=2)
        for qos in (1, 2):
            equal(c.publish(topic, b"x", qos).reason, 0, f"QoS {qos}")
            c.message()


@v5("no reason strings or user properties are sent to who does not want them [3.1.2-29]")
def _():
    with BROKER.client(5, request_problem=0) as c:
        topic = fresh()
        c.subscribe(topic)
        equal(c.unsubscribe(topic, topic), [0, 0x11])
        for answer in (c.publish(topic, b"x", 1), c.publish(topic, b"x", 2), c.release(99)):
            equal(answer.props, {})
        c.subscribe(topic)
        c.publish(topic, b"x", user_property=("a", "b"))  # those of messages are not meant
        equal(c.message().props, {"user_property": [("a", "b")]})


# ---- order ---------------------------------------------------------------------------------------


@both("messages of a topic and QoS come in their order [4.6.0-6 | 4.6.0-5, 4.6.0-6]")
def _(level):
    n = 300
    with BROKER.client(level) as c, BROKER.client(level) as d:
        topic = fresh()
        c.subscribe(topic, qos=2)
        for qos in (0, 1):
            d.send(*[publish(level, topic, b"%d" % i, qos, packet_id=i + 1) for i in range(n)])
            equal([c.message().payload for _ in range(n)], [b"%d" % i for i in range(n)])
            for i in range(n * qos):
                d.wait("PUBACK", i + 1)
        for i in range(50):
            d.publish(topic, b"%d" % i, 2)
        equal(c.payloads(50), [b"%d" % i for i in range(50)])


@both("QoS 2 in a row: PUBRECs and PUBCOMPs come in order [4.6.0-3, 4.6.0-4 | 4.6.0-3, 4.6.0-4]")
def _(level):
    with BROKER.client(level) as c, BROKER.client(level) as d:
        n = min(100, d.connack.props.get("receive_maximum", 100), 20)
        topic = fresh()
        c.subscribe(topic, qos=2)
        d.send(*[publish(level, topic, b"%d" % i, 2, packet_id=i) for i in range(1, n + 1)])
        for i in range(1, n + 1):
            d.wait("PUBREC", i)
        d.send(*[frame("PUBREL", u16(i)) for i in range(1, n + 1)])
        for i in range(1, n + 1):
            d.wait("PUBCOMP", i)
        equal(c.payloads(n), [b"%d" % i for i in range(1, n + 1)])


# ---- flow control --------------------------------------------------------------------------------


@v5("no more is in flight to a client than its receive maximum [3.3.4-9, 4.9.0-2]")
def _():
    with BROKER.client(5, receive_maximum=2) as c, BROKER.client(5) as d:
        topic = fresh()
        c.subscribe(topic, qos=2)
        for i in range(5):
            d.publish(topic, b"%d" % i, 1 + i % 2)
        held = c.messages(2, ack=False)  # the first of QoS 1, the second of QoS 2
        c.nothing()
        c.ack("PUBACK", held[0].id)
        held.append(c.message(ack=False))
        c.nothing()
        c.ack("PUBREC", held[1].id)
        c.wait("PUBREL", held[1].id)
        c.nothing()  # the place is taken until PUBCOMP
        c.ack("PUBCOMP", held[1].id)
        held.append(c.message(ack=False))
        c.nothing()
        c.ack("PUBREC", held[3].id, 0x83)  # an error frees it at once
        held.append(c.message(ack=False))
        equal([p.payload for p in held], [b"0", b"1", b"2", b"3", b"4"])


@v5("with nothing more to send in flight, all else is answered [3.3.4-10, 4.9.0-3]")
def _():
    with BROKER.client(5, receive_maximum=1) as c, BROKER.client(5) as d:
        topic, other = fresh(), fresh()
        c.subscribe(topic, qos=1)
        for _ in range(3):
            d.publish(topic, b"x", 1)
        p = c.message(ack=False)
        c.ping()
        equal(c.subscribe(other, qos=1), [1])
        equal(c.publish(fresh(), b"x", 2).kind, "PUBREC")
        equal(c.unsubscribe(other), [0])
        c.nothing()
        c.ack("PUBACK", p.id)
        equal(c.payloads(2), [b"x"] * 2)


@v5("the receive maximum holds for what is sent again [3.3.4-9]")
def _():
    name, topic = fresh("c"), fresh()
    with BROKER.client(5) as d:
        with BROKER.resume(5, name) as c:
            c.subscribe(topic, qos=2)
            for i in range(4):
                d.publish(topic, b"%d" % i, 1 + i % 2)
            c.messages(4, ack=False)
        with BROKER.resume(5, name, receive_maximum=1) as c:
            for i in range(4):
                p = c.message(ack=False)
                equal(p.payload, b"%d" % i)
                c.nothing()
                c.inbox.append(p)
                c.message()
            c.nothing()


@v5("who has more in flight than the server's receive maximum is told 0x93 [3.3.4-7, 3.3.4-8]")
def _():
    c = BROKER.client(5)
    n, topic, step = c.connack.props.get("receive_maximum", 65535), fresh(), 500
    if n == 65535:
        n -= 1  # there are no more packet ids; the last one has no reason to fail
    for at in range(1, n + 1, step):
        ids = range(at, min(at + step, n + 1))
        c.send(*[publish(5, topic, b"x", 2, packet_id=i) for i in ids])
        for i in ids:
            c.wait("PUBREC", i)
    if n < 65534:
        c.send(publish(5, topic, b"x", 2, packet_id=n + 1))
        c.closed(0x93)
    else:
        c.ping()


@v5("what a lost client never released does not count against its next connection [3.3.4-7]")
def _():
    name, topic, step = fresh("c"), fresh(), 500
    with BROKER.resume(5, name) as c:
        n = min(c.connack.props.get("receive_maximum", 65535), 1000)
        for at in range(1, n + 1, step):
            ids = range(at, min(at + step, n + 1))
            c.send(*[publish(5, topic, b"x", 2, packet_id=i) for i in ids])
            for i in ids:
                c.wait("PUBREC", i)
    with BROKER.resume(5, name) as c:
        for i in range(n + 1, n + 11):
            c.put(topic, b"x", 2, i)
            equal(c.wait("PUBREC", i).reason & 0x80, 0)
        c.release(1)  # of the old ones and of the new
        c.release(n + 1)


@v5("a QoS 2 message sent again is not counted twice [3.3.4-7]")
def _():
    with BROKER.client(5) as c:
        n, topic = c.connack.props.get("receive_maximum", 65535), fresh()
        for i in range(1, min(n, 50) + 1):
            c.put(topic, b"x", 2, i)
            c.wait("PUBREC", i)
        for i in range(1, min(n, 50) + 1):
            c.put(topic, b"x", 2, i, dup=True)
            c.wait("PUBREC", i)
            c.release(i)
