# SPDX-License-Identifier: MIT
"""Cases of test_mqtt.py: SUBSCRIBE, UNSUBSCRIBE, topic filters."""
from mqtt_lib import (BROKER, QUIET, Closed, Skip, both, equal, frame, fresh, options, publish,
                      subscribe, text, u16, v5, will)

NO_FILTERS = ("", "a#", "#a", "a/#/b", "a+", "+a", "a/+b/c", "#/", "##", "++", "a/b#")


def refused(level, wanted, reasons=(0x8F,)):
    """The server does not subscribe to that: by its SUBACK, or it closes."""
    c = BROKER.client(level)
    c.send(subscribe(level, 1, [(wanted, 0)]))
    try:
        p = c.packet()
    except Closed:
        return
    assert p, f"{wanted}: no answer"
    if p.kind == "SUBACK":
        assert p.codes[0] in (reasons if level == 5 else (0x80,)), f"{wanted}: {p}"
    else:
        assert p.kind == "DISCONNECT" and p.reason in (0x81, 0x82, *reasons), f"{wanted}: {p}"
        c.closed()


def until(c, last):
    """The topics of what comes before a message of that topic."""
    got = []
    while True:
        topic = c.message().topic
        if topic == last:
            return got
        got.append(topic)


# ---- SUBACK --------------------------------------------------------------------------------------


@both("SUBACK has the packet id and a code for each filter, in order "
      "[3.8.4-1, 3.8.4-2, 3.8.4-5, 3.9.3-1 | 3.8.4-1, 3.8.4-2, 3.8.4-6, 3.9.3-1]")
def _(level):
    with BROKER.client(level) as c:
        topic = fresh()
        wanted = [2, 0, 1, 1, 0, 2, 2, 1, 0]
        equal(c.subscribe(*[(f"{topic}/{i}", qos) for i, qos in enumerate(wanted)]), wanted)
        equal(c.subscribe(topic, (topic, 1), topic, qos=2), [2, 1, 2])


@both("the filters of one SUBSCRIBE are as those of several [3.8.4-4 | 3.8.4-5]")
def _(level):
    with BROKER.client(level) as c:
        topics = [fresh() for _ in range(5)]
        c.subscribe(*[(topic, i % 3) for i, topic in enumerate(topics)])
        for i, topic in enumerate(topics):
            c.publish(topic, b"x", 2)
            equal(c.message().qos, i % 3)
        c.nothing()


@both("a hundred filters in one SUBSCRIBE [3.8.4-4 | 3.8.4-5]")
def _(level):
    with BROKER.client(level) as c:
        top = fresh()
        equal(c.subscribe(*[f"{top}/{i}/+" for i in range(100)], qos=1), [1] * 100)
        for i in (0, 50, 99):
            c.publish(f"{top}/{i}/x", b"%d" % i, 1)
        equal(c.payloads(3), [b"0", b"50", b"99"])


@both("of a thousand subscriptions each is replaced and ended by itself "
      "[3.8.4-3, 3.10.4-1 | 3.8.4-3, 3.10.4-4]")
def _(level):
    with BROKER.client(level) as c:
        top, n = fresh(), 1000
        topics = [f"{top}/{i}" for i in range(n)]
        equal(c.subscribe(*topics, qos=1), [1] * n)
        equal(c.subscribe(*topics[::2]), [0] * (n // 2))
        c.unsubscribe(*topics[::3])
        for i in (0, 1, 2, 3, 4, n - 4, n - 3, n - 2, n - 1):
            c.publish(topics[i], b"%d" % i, 2)
            if i % 3:
                p = c.message()
                equal((p.payload, p.qos), (b"%d" % i, i % 2))
        c.nothing()


@both("a subscription that may not be is refused alone [3.8.4-5, 3.9.3-2 | 3.8.4-7, 3.9.3-2]")
def _(level):
    if not BROKER.refused:
        raise Skip("the server has no topics that may not be subscribed to")
    with BROKER.client(level) as c:
        topic = fresh()
        equal(c.subscribe(topic, BROKER.refused, topic + "/#", qos=1),
              [1, 0x87 if level == 5 else 0x80, 1])
        c.publish(topic, b"x", 1)
        equal(c.message().payload, b"x")


@both("the same filter again replaces the subscription [3.8.4-3]")
def _(level):
    with BROKER.client(level) as c:
        topic = fresh()
        for qos in (2, 0, 1):
            equal(c.subscribe(topic, qos=qos), [qos])
            c.publish(topic, b"x", 2)
            equal(c.message().qos, qos)
            c.nothing()


@both("no message is lost while a subscription is replaced [3.8.4-3 | 3.8.4-4]")
def _(level):
    with BROKER.client(level) as c, BROKER.client(level) as d:
        topic, n = fresh(), 50
        c.subscribe(topic, qos=1)
        for i in range(n):
            d.put(topic, b"%d" % i, 1)
            c.subscribe(topic, qos=1)
        equal([c.message().payload for _ in range(n)], [b"%d" % i for i in range(n)])
        c.nothing()


# ---- filters -------------------------------------------------------------------------------------


@both("filters with misplaced wildcards, or empty, are refused "
      "[4.7.1-2, 4.7.1-3, 4.7.3-1 | 4.7.1-1, 4.7.1-2, 4.7.3-1]")
def _(level):
    for wanted in NO_FILTERS:
        refused(level, wanted)


def matches(levels, topic):
    """Whether a filter matches a topic; both are lists of levels."""
    if levels[:1] == ["#"]:
        return True
    if not levels or not topic:
        return levels == topic
    return levels[0] in ("+", topic[0]) and matches(levels[1:], topic[1:])


@both("filters match as they should, level by level [4.7.1-2, 4.7.1-3, 4.7.3-4 | 4.7.1-1, 4.7.1-2, "
      "4.7.3-4]")
def _(level):
    top = fresh()
    ends = ["", "/", "/a", "/A", "/a/", "//", "//a", "/a/b", "/a//b", "/a/b/c", "/a/b/c/d", "/ a",
            "/a.b", "/a*b", "/*", "/.", "/é", "/e\u0301", "/$", "/$a/b", "/a/$b"]
    wanted = ["", "/#", "/+", "/", "//", "/+/", "//+", "/+/+", "/+/#", "/a", "/a/#", "/a/+",
              "/a/+/+", "/+/b", "/+/b/#", "/+/+/b", "/a/b/c/d/#", "/+/+/+/+", "/*", "/.", "/é",
              "/ a", "/$", "/$a/#", "/a.b", "/#"]
    end = fresh("end")
    with BROKER.client(level) as d:
        for each in dict.fromkeys(wanted):
            with BROKER.client(level) as c:
                c.subscribe(top + each, end)
                for topic in ends + ["x" + topic for topic in ends]:
                    d.put(top + topic, b"x")
                d.put(end, b"x")
                equal(sorted(until(c, end)),
                      sorted(top + topic for topic in ends
                             if matches((top + each).split("/"), (top + topic).split("/"))),
                      f"filter {each}")


@both("filters that begin with a wildcard match from the first level on [4.7.1-2, 4.7.1-3 | "
      "4.7.1-1, 4.7.1-2]")
def _(level):
    u, end = fresh(), fresh("end")
    topics = [u, "/" + u, u + "/", u + "/a", "a/" + u, "/" + u + "/a", "//" + u, "a/b/" + u]
    with BROKER.client(level) as d:
        for each in ("#", "+", "/#", "/+", "+/+", "+/#", "+/" + u, "+/+/" + u, "+/" + u + "/#",
                     "//#"):
            with BROKER.client(level) as c:
                c.subscribe(each, end)
                for topic in topics:
                    d.put(topic, b"x")
                d.put(end, b"x")
                got = [topic for topic in until(c, end) if u in topic]
                equal(sorted(got), sorted(topic for topic in topics
                                          if matches(each.split("/"), topic.split("/"))), each)


@both("wildcards at the front match no topic that begins with $ [4.7.2-1]")
def _(level):
    u, end = fresh(), fresh("end")
    with BROKER.client(level) as d:
        for topic in (f"${u}", f"${u}/x"):  # whether a client may do so is another question
            d.publish(topic, b"x", 1, retain=True)
        for each in ("#", "+/#", "+", "+/x", "+/+", "+/broker/version"):
            with BROKER.client(level) as c:
                c.subscribe(each, end)
                for topic in (f"${u}", f"${u}/x"):
                    d.publish(topic, b"x", 1)
                d.put(end, b"x")
                equal([topic for topic in until(c, end) if topic[0] == "$"], [], each)


@both("a filter that begins with $ itself matches [4.7.2-1]")
def _(level):
    u = fresh()
    with BROKER.client(level) as c:
        for wanted, topic in ((f"${u}/#", f"${u}/x"), (f"${u}/+", f"${u}/y"), (f"${u}", f"${u}")):
            c.subscribe(wanted)
            c.publish(topic, b"x", 1)
            equal(c.message().topic, topic)
            c.unsubscribe(wanted)


@both("the server tells of itself under $SYS [4.7.2-1]")
def _(level):
    with BROKER.client(level) as c:
        c.subscribe("$SYS/broker/version")
        p = c.message()
        equal((p.topic, p.retain), ("$SYS/broker/version", True))
        assert p.payload


@both("clients cannot speak for the server under $SYS [4.7.2-1]")
def _(level):
    with BROKER.client(level) as c, BROKER.client(level) as d:
        topic = "$SYS/" + fresh()
        c.subscribe(topic)
        d.put(topic, b"x", 1, retain=True)
        try:
            d.packet()
        except Closed:
            pass
        c.nothing()


@both("a will cannot speak for the server under $SYS [4.7.2-1]")
def _(level):
    topic, name = "$SYS/" + fresh(), fresh("c")
    with BROKER.client(level) as c:
        c.subscribe(topic, qos=1)
        d = BROKER.raw(level)
        ack = d.connect(name, the_will=will(topic, b"x", 1))
        assert ack.reason in (0, 5 if level == 4 else 0x87), ack
        d.drop()
        c.nothing()


# ---- overlapping ---------------------------------------------------------------------------------


def copies(c, n):
    """One message for all of n subscriptions that match, or one for each."""
    got = [c.message()]
    while len(got) < n and (p := c.packet(QUIET)):
        c.inbox.append(p)
        got.append(c.message())
    c.nothing()
    return got


@both("of overlapping subscriptions the highest QoS counts [3.3.5-1 | 3.3.4-2]")
def _(level):
    with BROKER.client(level) as c, BROKER.client(level) as d:
        top = fresh()
        filters = [(top + "/#", 2), (top + "/+", 1), (top + "/a", 0)]
        c.subscribe(*filters)
        for qos in (2, 1):
            d.publish(top + "/a", b"x", qos)
            got = copies(c, 3)
            # one for all, or one for each
            assert [p.qos for p in got] == [qos] or sorted(p.qos for p in got) == [
                min(granted, qos) for granted in (0, 1, 2)], got
        c.unsubscribe(top + "/#")
        d.publish(top + "/a", b"x", 2)
        equal(max(p.qos for p in copies(c, 2)), 1)


# ---- UNSUBSCRIBE ---------------------------------------------------------------------------------


@both("UNSUBSCRIBE ends a subscription, and is answered [3.10.4-1, 3.10.4-2, 3.10.4-4 | 3.10.4-1, "
      "3.10.4-2, 3.10.4-4, 3.10.4-5]")
def _(level):
    with BROKER.client(level) as c, BROKER.client(level) as d:
        gone, stays = fresh(), fresh()
        c.subscribe(gone, gone + "/#", stays, qos=1)
        c.unsubscribe(gone, gone + "/#")
        for topic in (gone, gone + "/a", stays):
            d.publish(topic, topic.encode(), 1)
        equal(c.payloads(1), [stays.encode()])


@both("UNSUBSCRIBE of what was not subscribed is answered, too [3.10.4-5]")
def _(level):
    with BROKER.client(level) as c:
        for _ in range(2):
            codes = c.unsubscribe(fresh(), fresh() + "/+")
            equal(codes, [0x11, 0x11] if level == 5 else None)


@both("UNSUBSCRIBE compares filters byte by byte [3.10.4-1]")
def _(level):
    with BROKER.client(level) as c:
        top = fresh()
        c.subscribe(top + "/a", top + "/+/b", qos=1)
        for other in (top + "/+", top + "/#", top + "/A", top + "/a/", "+/a", top + "/a/b"):
            codes = c.unsubscribe(other)
            equal(codes, [0x11] if level == 5 else None, other)
        for end in ("/a", "/x/b"):
            c.publish(top + end, b"x", 1)
            equal(c.message().topic, top + end)


@both("UNSUBSCRIBE of several is answered once, in order "
      "[3.10.4-6 | 3.10.4-6, 3.11.3-1]")
def _(level):
    with BROKER.client(level) as c:
        top = fresh()
        c.subscribe(*[f"{top}/{i}" for i in range(4)])
        codes = c.unsubscribe(*[f"{top}/{i}" for i in (9, 0, 8, 3, 0)])
        equal(codes, [0x11, 0, 0x11, 0, 0x11] if level == 5 else None)
        for i in range(4):
            c.publish(f"{top}/{i}", b"%d" % i, 1)
        equal(c.payloads(2), [b"1", b"2"])


@both("what was on its way when UNSUBSCRIBE came is brought to its end [3.10.4-3]")
def _(level):
    name, topic = fresh("c"), fresh()
    with BROKER.client(level) as d:
        with BROKER.resume(level, name) as c:
            c.subscribe(topic, qos=2)
            d.publish(topic, b"one", 1)
            d.publish(topic, b"two", 2)
            one, two = c.messages(2, ack=False)
            c.unsubscribe(topic)
            d.publish(topic, b"three", 2)
            c.ack("PUBREC", two.id)
            c.wait("PUBREL", two.id)
            c.nothing()
        with BROKER.resume(level, name) as c:
            got = [c.packet(), c.packet()]
            assert {(p.kind, p.id) for p in got} == {("PUBLISH", one.id), ("PUBREL", two.id)}, got
            c.ack("PUBACK", one.id)
            c.ack("PUBCOMP", two.id)
            c.nothing()


@v5("filters to unsubscribe are checked as others [3.10.3-1]")
def _():
    for wanted in ("", "a/#/b", b"\xff"):
        c = BROKER.client(5)
        c.send(frame("UNSUBSCRIBE", u16(1), b"\0", text(wanted)))
        try:
            p = c.packet()
        except Closed:
            continue
        assert p and (p.kind == "DISCONNECT" or p.codes[0] in (0x11, 0x8F)), f"{wanted}: {p}"


# ---- options of 5.0 ------------------------------------------------------------------------------


@v5("no local: what a client itself published does not come back [3.8.3-3]")
def _():
    with BROKER.client(5) as c, BROKER.client(5) as d:
        topic = fresh()
        for each in (c, d):
            each.subscribe(topic, qos=2, no_local=True)
        for qos in (0, 1, 2):
            c.publish(topic, b"of c %d" % qos, qos)
            d.publish(topic, b"of d %d" % qos, qos)
        equal(c.payloads(3), [b"of d %d" % qos for qos in (0, 1, 2)])
        equal(d.payloads(3), [b"of c %d" % qos for qos in (0, 1, 2)])


@v5("no local goes by client id, over connections [3.8.3-3]")
def _():
    name, topic = fresh("c"), fresh()
    with BROKER.resume(5, name) as c:
        c.subscribe(topic, qos=1, no_local=True)
        c.disconnect()
    with BROKER.client(5) as d:
        d.publish(topic, b"other", 1)
    with BROKER.resume(5, name) as c:
        c.publish(topic, b"mine", 1)
        equal(c.payloads(1), [b"other"])


@v5("the options are those of the last SUBSCRIBE [3.8.4-3]")
def _():
    with BROKER.client(5) as c:
        topic = fresh()
        c.subscribe((topic, options(2, no_local=True, as_published=True)), subscription_id=1)
        c.subscribe((topic, options(1)))
        c.publish(topic, b"x", 2, retain=True)
        p = c.message()
        equal((p.qos, p.retain, p.props), (1, False, {}))


@v5("a message bears the identifier of its subscription [3.3.4-3]")
def _():
    with BROKER.client(5) as c, BROKER.client(5) as d:
        topic, plain = fresh(), fresh()
        for number in (1, 127, 128, 16384, 268435455):
            c.subscribe(topic, qos=1, subscription_id=number)
            c.subscribe(plain, qos=1)
            d.publish(topic, b"x", 1)
            equal(c.message().props, {"subscription_id": [number]})
            d.publish(plain, b"x", 1)
            equal(c.message().props, {})


@v5("a message bears the identifiers of all subscriptions that match [3.3.4-3, 3.3.4-4]")
def _():
    with BROKER.client(5) as c, BROKER.client(5) as d:
        top = fresh()
        c.subscribe(top + "/#", qos=2, subscription_id=1)
        c.subscribe(top + "/+", top + "/b", qos=1, subscription_id=2)
        c.subscribe(top + "/a", qos=0)
        c.subscribe(top, qos=1, subscription_id=3)
        d.publish(top + "/a", b"x", 2)
        got = copies(c, 3)
        numbers = sorted(n for p in got for n in p.props.get("subscription_id", []))
        equal(numbers, [1, 2])
        equal(max(p.qos for p in got), 2)
        assert len(got) in (1, 3), got


@v5("subscription identifiers stay with the session [3.3.4-3]")
def _():
    name, topic = fresh("c"), fresh()
    with BROKER.client(5) as d:
        with BROKER.resume(5, name) as c:
            c.subscribe(topic, qos=1, subscription_id=77)
            c.disconnect()
        d.publish(topic, b"offline", 1)
        with BROKER.resume(5, name) as c:
            equal(c.message().props, {"subscription_id": [77]})
            d.publish(topic, b"online", 1)
            equal(c.message().props, {"subscription_id": [77]})


@v5("the properties of SUBSCRIBE and UNSUBSCRIBE are taken [3.8.4-1, 3.10.4-4]")
def _():
    with BROKER.client(5) as c:
        topic = fresh()
        equal(c.subscribe(topic, user_property=[("a", "1"), ("a", "2")], subscription_id=5), [0])
        c.send(frame("UNSUBSCRIBE", u16(9), b"\x07\x26\0\1a\0\1b", text(topic)))
        equal(c.wait("UNSUBACK", 9).codes, [0])


@both("what is published before SUBACK may come before it [3.8.4-1]")
def _(level):
    with BROKER.client(level) as c:
        topic = fresh()
        c.send(subscribe(level, 1, [(topic, 1)]), publish(level, topic, b"x", 1, packet_id=2))
        equal(sorted(c.wait(kind).kind for kind in ("SUBACK", "PUBACK")), ["PUBACK", "SUBACK"])
        equal(c.message().payload, b"x")
