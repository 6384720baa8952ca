#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What MQTT promises, over SIGKILL: a daemon of its own for each case."""
import collections
import contextlib
import random
import signal
import time

from mqtt_lib import (PATIENCE, Closed, Mqtt, Skip, both, equal, fresh, options, persistent, run,
                      v5, will)

PROPS = {"payload_format": 1, "content_type": "a/b", "response_topic": "r",
         "correlation_data": b"\0\xff", "user_property": [("b", "1"), ("a", "2"), ("b", "1")]}


@contextlib.contextmanager
def server():
    b = Mqtt()
    if not b.is_lodge:
        raise Skip("the server is not ours to restart")
    with b:
        yield b


def leave(b, level, name, topic, qos=2, **more):
    """A session that subscribes and goes."""
    with b.resume(level, name) as c:
        c.subscribe(topic, qos=qos, **more)
        c.disconnect()


# ---- sessions ------------------------------------------------------------------------------------


def offline(level, sig):
    name, topic, n = fresh("c"), fresh(), 20
    with server() as b:
        leave(b, level, name, topic)
        with b.client(level) as d:
            for i in range(n):
                d.publish(topic, b"%d" % i, 1 + i % 2)
        b.restart(sig)
        with b.client(level) as d:
            d.publish(topic, b"%d" % n, 1)
        with b.resume(level, name) as c:
            equal(c.connack.present, 1)
            got = c.messages(n + 1)
            c.nothing()
            for qos in (1, 2):
                equal([p.payload for p in got if p.qos == qos],
                      [b"%d" % i for i in range(n + 1) if 1 + i % 2 == qos])
            c.disconnect()
        b.restart(sig)
        with b.resume(level, name) as c:
            equal(c.connack.present, 1)
            c.nothing()


@both("QoS 1 and 2 that wait for a session are there after SIGKILL [3.1.2-5 | 4.5.0-1]")
def _(level):
    offline(level, signal.SIGKILL)


@both("QoS 1 and 2 that wait for a session are there after a stop [3.1.2-5 | 4.5.0-1]")
def _(level):
    offline(level, signal.SIGTERM)


@both("subscriptions are there, and what was unsubscribed is not [3.1.2-4 | 3.1.2-5]")
def _(level):
    name, topic = fresh("c"), fresh()
    with server() as b:
        with b.resume(level, name) as c:
            c.subscribe((topic + "/a", 0), (topic + "/+/b", 2), (topic + "/gone", 1))
            c.subscribe((topic + "/a", 1))
            c.unsubscribe(topic + "/gone")
        b.restart()
        with b.resume(level, name) as c, b.client(level) as d:
            equal(c.connack.present, 1)
            for end in ("/gone", "/a", "/x/b", "/x"):
                d.publish(topic + end, b"x", 2)
            equal([(p.topic, p.qos) for p in c.messages(2)], [(topic + "/a", 1),
                                                              (topic + "/x/b", 2)])
            c.nothing()


@v5("the options and the identifier of a subscription are there [3.8.3-3, 3.3.4-3, 3.3.1-13]")
def _():
    name, topic = fresh("c"), fresh()
    with server() as b:
        with b.resume(5, name) as c:
            c.subscribe((topic, options(2, no_local=True, as_published=True)), subscription_id=77)
        b.restart()
        with b.resume(5, name) as c, b.client(5) as d:
            c.publish(topic, b"mine", 1)
            d.publish(topic, b"other", 2, retain=True)
            p = c.message()
            equal((p.payload, p.qos, p.retain, p.props),
                  (b"other", 2, True, {"subscription_id": [77]}))
            c.subscribe(topic, handling=1)
            c.nothing()


@v5("the properties of what waits are there [3.3.2-17, 3.3.2-18]")
def _():
    name, topic = fresh("c"), fresh()
    with server() as b:
        leave(b, 5, name, topic)
        with b.client(5) as d:
            for qos in (1, 2):
                d.publish(topic, b"text", qos, **PROPS)
        b.restart()
        with b.resume(5, name) as c:
            for qos in (1, 2):
                p = c.message()
                equal((p.qos, p.props), (qos, PROPS))


@both("a session that ends with its connection is gone [3.1.2-6 | 4.1.0-2]")
def _(level):
    name, topic = fresh("c"), fresh()
    with server() as b:
        c = b.client(level, name)
        c.subscribe(topic, qos=1)
        with b.client(level) as d:
            d.publish(topic, b"x", 1)
        b.restart()
        with b.resume(level, name) as c:
            equal(c.connack.present, 0)
            c.nothing()


@v5("sessions go on expiring, and those that were connected have all their time "
    "[3.1.2-23, 4.1.0-2]")
def _():
    names = {expiry: fresh("c") for expiry in (0, 2, 300)}
    online, topic = fresh("c"), fresh()
    with server() as b:
        for expiry, name in names.items():
            with b.client(5, name, session_expiry=expiry) as c:
                c.subscribe(topic, qos=1)
                c.disconnect()
        b.client(5, online, session_expiry=300).subscribe(topic, qos=1)
        b.stop()
        time.sleep(3.5)
        b.start()
        for name, present in ((names[0], 0), (names[2], 0), (names[300], 1), (online, 1)):
            with b.client(5, name, clean=False) as c:
                equal(c.connack.present, present, name)


@v5("a group keeps what waits for its members [4.5.0-1]")
def _():
    name, topic = fresh("c"), fresh()
    shared = f"$share/{fresh('g')}/{topic}"
    with server() as b:
        leave(b, 5, name, shared, qos=1)
        with b.client(5) as d:
            for i in range(5):
                d.publish(topic, b"%d" % i, 1)
        b.restart()
        with b.resume(5, name) as c:
            equal(sorted(c.payloads(5)), [b"%d" % i for i in range(5)])
            c.publish(topic, b"more", 1)
            equal(c.payloads(1), [b"more"])


@v5("a QoS 2 message of a group that a member began to get waits for that member [4.8.2-4]")
def _():
    name, topic = fresh("c"), fresh()
    shared = f"$share/{fresh('g')}/{topic}"
    with server() as b:
        with b.resume(5, name) as one, b.client(5) as d:
            one.subscribe(shared, qos=2)
            for i in range(3):
                d.publish(topic, b"%d" % i, 2)
            begun = one.messages(3, ack=False)
            one.ack("PUBREC", begun[0].id)
            equal(one.wait("PUBREL").id, begun[0].id)
        b.restart()
        with b.client(5) as two:
            two.subscribe(shared, qos=2)
            two.nothing()
            with b.resume(5, name) as one:
                equal(one.wait("PUBREL").id, begun[0].id)
                equal([(p.payload, p.id, p.dup) for p in one.messages(2)],
                      [(p.payload, p.id, 1) for p in begun[1:]])
            two.nothing()


@v5("the message expiry goes on counting [3.3.2-5, 3.3.2-6]")
def _():
    name, topic = fresh("c"), fresh()
    with server() as b:
        leave(b, 5, name, topic)
        with b.client(5) as d:
            for retain in (False, True):
                for left in (1, 100):
                    d.publish(f"{topic}" if not retain else f"{topic}/kept/{left}", b"%d" % left,
                              1 + retain, retain=retain, message_expiry=left)
        b.stop()
        time.sleep(3)
        b.start()
        with b.resume(5, name) as c:
            c.subscribe(topic + "/kept/+", qos=2)
            got = c.messages(2)
            c.nothing()
            equal([(p.payload, p.retain) for p in got], [(b"100", False), (b"100", True)])
            assert all(50 < p.props["message_expiry"] < 99 for p in got), got


# ---- retained messages ---------------------------------------------------------------------------


@both("retained messages are there, those that were removed or replaced are not "
      "[3.3.1-5, 3.3.1-10 | 3.3.1-5, 3.3.1-6]")
def _(level):
    topic = fresh()
    more = PROPS if level == 5 else {}
    with server() as b:
        with b.client(level) as c:
            for qos in (1, 2):
                c.publish(f"{topic}/kept/{qos}", b"kept", qos, retain=True, **more)
                c.publish(f"{topic}/gone/{qos}", b"gone", 1, retain=True)
                c.publish(f"{topic}/gone/{qos}", b"", qos, retain=True)
                c.publish(f"{topic}/new/{qos}", b"old", 1, retain=True)
                c.publish(f"{topic}/new/{qos}", b"new", qos, retain=True)
        for _ in range(2):
            b.restart()
            with b.client(level) as c:
                c.subscribe(topic + "/#", qos=2)
                got = c.messages(4)
                c.nothing()
                equal(sorted((p.topic[len(topic):], p.payload, p.qos, p.retain) for p in got),
                      [(f"/{what}/{qos}", what.encode(), qos, True)
                       for what in ("kept", "new") for qos in (1, 2)])
                assert all(p.props == more for p in got if "/kept/" in p.topic), got


# ---- wills ---------------------------------------------------------------------------------------


@v5("a delayed will of a session that stays is published when its time has come [3.1.2-8]")
def _():
    name, watch, topic = fresh("c"), fresh("c"), fresh()
    with server() as b:
        leave(b, 5, watch, topic)
        b.resume(5, name, the_will=will(topic, b"gone", 1, will_delay=2, content_type="a")).drop()
        b.restart()
        with b.resume(5, watch) as c:
            p = c.message()
            equal((p.payload, p.qos, p.props), (b"gone", 1, {"content_type": "a"}))
            c.nothing()


@v5("who comes back in time takes the delayed will back [3.1.3-9]")
def _():
    name, watch, topic = fresh("c"), fresh("c"), fresh()
    with server() as b:
        leave(b, 5, watch, topic)
        b.resume(5, name, the_will=will(topic, b"gone", 1, will_delay=4)).drop()
        b.restart()
        with b.resume(5, name) as back, b.resume(5, watch) as c:
            equal(back.connack.present, 1)
            c.nothing(6)


@both("the will of a session whose connection SIGKILL ended is published [3.1.2-8]")
def _(level):
    name, watch, topic = fresh("c"), fresh("c"), fresh()
    with server() as b:
        leave(b, level, watch, topic)
        more = {"will_delay": 1} if level == 5 else {}
        c = b.resume(level, name, the_will=will(topic, b"gone", 1, **more))
        c.publish(fresh(), b"x", 1)
        b.restart()
        with b.resume(level, watch) as c:
            equal(c.payloads(1), [b"gone"])


# ---- QoS 2 of publishers -------------------------------------------------------------------------


@both("QoS 2 that was answered with PUBREC is the same message when it comes again "
      "[4.3.3-2 | 4.3.3-10]")
def _(level):
    name, to, topic = fresh("c"), fresh("c"), fresh()
    with server() as b:
        leave(b, level, to, topic)
        d = b.resume(level, name)
        for packet_id in (7, 8):
            d.put(topic, b"%d" % packet_id, 2, packet_id)
            d.wait("PUBREC", packet_id)
        b.restart()
        with b.resume(level, name) as d:
            equal(d.connack.present, 1)
            for packet_id in (7, 8):
                d.put(topic, b"%d" % packet_id, 2, packet_id, dup=True)
                d.wait("PUBREC", packet_id)
                equal(d.release(packet_id).reason, 0)
            d.publish(topic, b"another", 2, packet_id=7)
        with b.resume(level, to) as c:
            equal(c.payloads(3), [b"7", b"8", b"another"])


@both("PUBREL after SIGKILL is answered, and the message is there [4.3.3-2 | 4.3.3-11]")
def _(level):
    name, to, topic = fresh("c"), fresh("c"), fresh()
    with server() as b:
        leave(b, level, to, topic)
        d = b.resume(level, name)
        d.put(topic, b"x", 2, 7)
        d.wait("PUBREC", 7)
        b.restart()
        with b.resume(level, name) as d:
            equal(d.release(7).reason, 0)
        b.restart()
        with b.resume(level, name) as d:
            assert d.release(7).reason in (0, 0x92)  # its PUBCOMP may have been lost
            d.publish(topic, b"y", 2, packet_id=7)
        with b.resume(level, to) as c:
            equal(c.payloads(2), [b"x", b"y"])


# ---- in flight to subscribers --------------------------------------------------------------------


@both("after PUBREC it is PUBREL that comes again, with its packet id [4.3.3-1, 4.4.0-1 | 4.3.3-6, "
      "4.4.0-1]")
def _(level):
    name, topic = fresh("c"), fresh()
    with server() as b:
        leave(b, level, name, topic)
        with b.client(level) as d:
            d.publish(topic, b"1", 2)
            d.publish(topic, b"2", 2)
        c = b.resume(level, name)
        one, two = c.messages(2, ack=False)
        c.ack("PUBREC", one.id)
        c.wait("PUBREL", one.id)
        b.restart()
        with b.resume(level, name) as c:
            equal(c.connack.present, 1)
            c.wait("PUBREL", one.id)
            p = c.message(ack=False)
            equal((p.id, p.payload, p.dup), (two.id, b"2", True))
            c.ack("PUBCOMP", one.id)
            c.inbox.append(p)
            equal(c.payloads(1), [b"2"])
            c.disconnect()
        b.restart()
        with b.resume(level, name) as c:
            c.nothing()


@both("QoS 2 without PUBREC comes again with DUP and its packet id [3.3.1-1, 4.4.0-1]")
def _(level):
    name, topic = fresh("c"), fresh()
    with server() as b:
        leave(b, level, name, topic)
        with b.client(level) as d:
            for i in range(3):
                d.publish(topic, b"%d" % i, 2)
        c = b.resume(level, name)
        first = c.messages(3, ack=False)
        b.restart()
        with b.client(level) as d:
            d.publish(topic, b"3", 2)
        with b.resume(level, name) as c:
            got = c.messages(4)
            equal([(p.id, p.payload, p.dup) for p in got[:3]],
                  [(p.id, p.payload, True) for p in first])
            equal((got[3].payload, got[3].dup), (b"3", False))
            c.nothing()


@both("QoS 1 without PUBACK comes again, what was acknowledged does not [4.4.0-1]")
def _(level):
    name, topic, n = fresh("c"), fresh(), 6
    with server() as b:
        leave(b, level, name, topic, qos=1)
        with b.client(level) as d:
            for i in range(n):
                d.publish(topic, b"%d" % i, 1)
        with b.resume(level, name) as c:
            first = c.messages(n, ack=False)
            for p in first[:2]:
                c.ack("PUBACK", p.id)
            c.publish(fresh(), b"", 1)  # its PUBACK says that what came before is on disk
            c.disconnect()
        b.restart()
        with b.resume(level, name) as c:
            equal(c.payloads(n - 2), [b"%d" % i for i in range(2, n)])


# ---- end to end ----------------------------------------------------------------------------------


class Sender:
    """A publisher of QoS 2 that keeps its state and goes on after every crash, as it should."""

    def __init__(self, topic, payloads, window=15):
        self.topic, self.left = topic, collections.deque(payloads)
        self.sent, self.released, self.window = {}, {}, window

    def resume(self, c):
        for packet_id, payload in self.sent.items():
            c.put(self.topic, payload, 2, packet_id, dup=True)
        for packet_id in self.released:
            c.ack("PUBREL", packet_id)

    def fill(self, c):
        while self.left and len(self.sent) + len(self.released) < self.window:
            packet_id = next(i for i in range(1, 2 * self.window)
                             if i not in self.sent and i not in self.released)
            self.sent[packet_id] = self.left.popleft()
            c.put(self.topic, self.sent[packet_id], 2, packet_id)

    def take(self, c, p):
        if p.kind == "PUBREC":
            self.released.setdefault(p.id, self.sent.pop(p.id, None))
            c.ack("PUBREL", p.id)
        else:
            equal(p.kind, "PUBCOMP")
            self.released.pop(p.id, None)

    def done(self):
        return not (self.left or self.sent or self.released)


class Receiver:
    """A subscriber of QoS 2 that keeps the packet ids that it answered with PUBREC."""

    def __init__(self):
        self.ids, self.got = set(), []

    def take(self, c, p):
        if p.kind == "PUBLISH":
            if p.id not in self.ids:
                self.ids.add(p.id)
                self.got.append(p.payload)
            c.ack("PUBREC", p.id)
        else:
            equal(p.kind, "PUBREL")
            self.ids.discard(p.id)
            c.ack("PUBCOMP", p.id)


@both("QoS 2 from end to end, with SIGKILL in between: each message once, in order "
      "[4.3.3-1, 4.3.3-2 | 4.3.3-10, 4.4.0-1]")
def _(level):
    names, topic, kills = (fresh("c"), fresh("c")), fresh(), 5
    wanted = [b"%d" % i for i in range(600)]
    sender, receiver, chance = Sender(topic, wanted), Receiver(), random.Random(level)
    with server() as b:
        leave(b, level, names[1], topic)
        end = time.monotonic() + 3 * PATIENCE
        while not (sender.done() and len(receiver.got) == len(wanted)):
            out, into = (b.resume(level, name) for name in names)
            equal(into.connack.present, 1)
            sender.resume(out)
            until = len(receiver.got) + chance.randrange(40, 140) if kills else len(wanted)
            try:
                while not sender.done() or len(receiver.got) < len(wanted):
                    assert time.monotonic() < end, f"{len(receiver.got)} came in time"
                    sender.fill(out)
                    for c, role in ((out, sender), (into, receiver)):
                        while p := c.packet(0.001):
                            role.take(c, p)
                    if kills and len(receiver.got) >= until:
                        kills -= 1
                        b.restart()
            except Closed:
                pass
        with b.resume(level, names[1]) as c:
            while p := c.packet(1):
                receiver.take(c, p)
        equal(receiver.got, wanted)


if __name__ == "__main__":
    run(at_once=4)
