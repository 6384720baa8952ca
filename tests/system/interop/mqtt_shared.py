# SPDX-License-Identifier: MIT
"""Cases of test_mqtt.py: shared subscriptions of MQTT 5.0."""
import time

from mqtt_lib import (BROKER, PATIENCE, equal, fresh, only_lodge, options, subscribe,
                      v5)
from mqtt_subscribe import refused


def gather(members, n):
    """The messages that each of them gets, n together, and no more."""
    got, end = [[] for _ in members], time.monotonic() + PATIENCE
    while sum(map(len, got)) < n:
        assert time.monotonic() < end, f"{got} came, {n} wanted"
        for mine, c in zip(got, members):
            p = c.packet(0.01)
            if p:
                c.inbox.append(p)
            while c.inbox:
                mine.append(c.message())
    for c in members:
        c.nothing()
    return got


def payloads(got):
    return sorted(p.payload for mine in got for p in mine)


def numbers(n):
    return [b"%d" % i for i in range(n)]


@v5("of a group one member gets each message, and all get some [4.8.2-3]")
def _():
    topic, n = fresh(), 60
    shared = f"$share/{fresh('g')}/{topic}/#"
    with BROKER.client(5) as d, BROKER.client(5) as one, BROKER.client(5) as two, \
            BROKER.client(5) as three:
        members = [one, two, three]
        for c in members:
            equal(c.subscribe(shared, qos=2), [2])
        for i in range(n):
            d.publish(f"{topic}/a", b"%d" % i, i % 3)
        got = gather(members, n)
        equal(payloads(got), sorted(numbers(n)))
        assert all(len(mine) >= n // 10 for mine in got), [len(mine) for mine in got]


@v5("groups, and who is in none, each get every message [4.8.2-3]")
def _():
    topic, n = fresh(), 10
    with BROKER.client(5) as d, BROKER.client(5) as one, BROKER.client(5) as two, \
            BROKER.client(5) as alone:
        one.subscribe(f"$share/{fresh('g')}/{topic}", qos=1)
        two.subscribe(f"$share/{fresh('g')}/{topic}", qos=1)
        alone.subscribe(topic, qos=1)
        for i in range(n):
            d.publish(topic, b"%d" % i, 1)
        for c in (one, two, alone):
            equal(c.payloads(n), numbers(n))


@v5("a client that subscribes to a topic and shares it gets both [4.8.2-3]")
def _():
    topic = fresh()
    with BROKER.client(5) as c:
        c.subscribe(topic, qos=1, subscription_id=1)
        c.subscribe(f"$share/{fresh('g')}/{topic}", qos=1, subscription_id=2)
        c.publish(topic, b"x", 1)
        got = c.messages(2)
        c.nothing()
        equal(sorted(p.props["subscription_id"] for p in got), [[1], [2]])


@v5("the QoS of a member is what it was granted [4.8.2-3]")
def _():
    topic = fresh()
    shared = f"$share/{fresh('g')}/{topic}"
    with BROKER.client(5) as d, BROKER.client(5) as one, BROKER.client(5) as two:
        one.subscribe(shared, qos=0)
        two.subscribe(shared, qos=2)
        for _ in range(8):
            d.publish(topic, b"x", 1)
        got = gather([one, two], 8)
        equal([{p.qos for p in mine} for mine in got], [{0}, {1}])


@v5("a group needs a name without / + # and a filter behind it [4.8.2-1, 4.8.2-2]")
def _():
    for wanted in ("$share/", "$share/g", "$share/g/", "$share//a", "$share/a+b/c", "$share/a#b/c",
                   "$share/+/a", "$share/#/a", "$share/#", "$share/g/a#", "$share/g/#/a"):
        refused(5, wanted)


@v5("wildcards may stand behind the name of a group [4.8.2-2]")
def _():
    topic = fresh()
    with BROKER.client(5) as c:
        for wanted in ("+/" + topic, topic + "/+/c", topic + "/#", topic + "//"):
            equal(c.subscribe(f"$share/{fresh('g')}/{wanted}"), [0])
        c.publish(topic + "/b/c", b"x", 1)
        equal(c.payloads(2), [b"x", b"x"])


@v5("no local for a group is a protocol error [3.8.3-4]")
def _():
    c = BROKER.client(5)
    c.send(subscribe(5, 1, [(f"$share/{fresh('g')}/a", options(1, no_local=True))]))
    c.closed(0x82, 0x81)


@v5("groups get no retained messages [3.3.1-9]")
def _():
    topic = fresh()
    with BROKER.client(5) as c:
        c.publish(topic, b"kept", 1, retain=True)
        c.subscribe(f"$share/{fresh('g')}/{topic}", qos=1, handling=0)
        c.nothing()
        c.publish(topic, b"new", 1)
        equal(c.payloads(1), [b"new"])


@v5("who unsubscribes from a group gets no more of it [3.10.4-1, 3.10.4-2]")
def _():
    topic, n = fresh(), 10
    shared = f"$share/{fresh('g')}/{topic}"
    with BROKER.client(5) as d, BROKER.client(5) as one, BROKER.client(5) as two:
        for c in (one, two):
            c.subscribe(shared, qos=1)
        equal(one.unsubscribe(topic), [0x11])
        equal(one.unsubscribe(shared), [0])
        for i in range(n):
            d.publish(topic, b"%d" % i, 1)
        equal(two.payloads(n), numbers(n))
        one.nothing()


@v5("a member that leaves hands over what it did not acknowledge [4.8.2-4]")
def _():
    topic, n = fresh(), 10
    shared = f"$share/{fresh('g')}/{topic}"
    with BROKER.client(5) as d, BROKER.client(5) as one, BROKER.client(5) as two:
        one.subscribe(shared, qos=1)
        for i in range(n):
            d.publish(topic, b"%d" % i, 1)
        one.messages(n, ack=False)
        two.subscribe(shared, qos=1)
        one.disconnect()  # and its session ends
        equal(sorted(two.payloads(n)), sorted(numbers(n)))


@v5("a QoS 2 message that a member began to get waits for that member [4.8.2-4]")
def _():
    only_lodge("mosquitto loses it")
    topic, name = fresh(), fresh("c")
    shared = f"$share/{fresh('g')}/{topic}"
    with BROKER.client(5) as d, BROKER.client(5) as two:
        with BROKER.resume(5, name, receive_maximum=2) as one:
            one.subscribe(shared, qos=2, subscription_id=7)
            for i in range(2):
                d.publish(topic, b"%d" % i, 2)
            first = one.messages(2, ack=False)
            one.ack("PUBREC", first[1].id)
            equal(one.wait("PUBREL").id, first[1].id)
            two.subscribe(shared, qos=2)
            one.drop()
        d.publish(topic, b"more", 2)
        equal(two.payloads(1), [b"more"])
        two.nothing()
        with BROKER.resume(5, name) as one:
            again = one.message(ack=False)
            equal((again.payload, again.id, again.dup, again.qos), (b"0", first[0].id, 1, 2))
            equal(again.props["subscription_id"], first[0].props["subscription_id"])
            equal(one.wait("PUBREL").id, first[1].id)
            one.nothing()


@v5("a QoS 2 message that a member began to get ends with the session of that member [4.8.2-5]")
def _():
    topic = fresh()
    shared = f"$share/{fresh('g')}/{topic}"
    with BROKER.client(5) as d, BROKER.client(5) as two:
        with BROKER.client(5, receive_maximum=1) as one:
            one.subscribe(shared, qos=2)
            d.publish(topic, b"begun", 2)
            equal(one.message(ack=False).payload, b"begun")
            two.subscribe(shared, qos=2)
        d.publish(topic, b"more", 2)
        equal(two.payloads(1), [b"more"])
        two.nothing()


@v5("of a QoS 2 burst a member takes what it may be sent, the others the rest [4.8.2-4]")
def _():
    only_lodge("mosquitto deals them out as they come")
    topic, name, n = fresh(), fresh("c"), 40
    shared = f"$share/{fresh('g')}/{topic}"
    with BROKER.client(5) as d, BROKER.client(5) as two:
        with BROKER.resume(5, name, receive_maximum=4) as one:
            one.subscribe(shared, qos=2)
            for i in range(n):
                d.publish(topic, b"%d" % i, 2)
            one.messages(4, ack=False)
            one.nothing()
            two.subscribe(shared, qos=2)
            one.drop()
        with BROKER.resume(5, name) as one:
            got = gather([one, two], n)
            equal(payloads(got), sorted(numbers(n)))
            assert 4 <= len(got[0]) <= 12, len(got[0])  # begun: 4; taken: as many again, or twice


@v5("a member that refuses a message refuses it for the group [4.8.2-6]")
def _():
    topic = fresh()
    shared = f"$share/{fresh('g')}/{topic}"
    with BROKER.client(5) as d, BROKER.client(5) as one, BROKER.client(5) as two:
        one.subscribe(shared, qos=2)
        d.publish(topic, b"1", 1)
        d.publish(topic, b"2", 2)
        got = one.messages(2, ack=False)
        two.subscribe(shared, qos=2)
        one.ack("PUBACK", got[0].id, 0x80)
        one.ack("PUBREC", got[1].id, 0x80)
        one.ping()
        one.disconnect()
        two.nothing()


@v5("a group whose members are offline keeps its messages [4.5.0-1]")
def _():
    topic, name, n = fresh(), fresh("c"), 10
    shared = f"$share/{fresh('g')}/{topic}"
    with BROKER.client(5) as d:
        with BROKER.resume(5, name) as c:
            c.subscribe(shared, qos=1)
            c.disconnect()
        for i in range(n):
            d.publish(topic, b"%d" % i, 1)
        with BROKER.resume(5, name) as c:
            equal(c.payloads(n), numbers(n))


@v5("a member that is offline leaves the work to those who are there [4.8.2-3]")
def _():
    topic, name, n = fresh(), fresh("c"), 10
    shared = f"$share/{fresh('g')}/{topic}"
    with BROKER.client(5) as d, BROKER.client(5) as two:
        with BROKER.resume(5, name) as one:
            one.subscribe(shared, qos=1)
            one.disconnect()
        two.subscribe(shared, qos=1)
        for i in range(n):
            d.publish(topic, b"%d" % i, 1)
        with BROKER.resume(5, name) as one:
            equal(payloads(gather([one, two], n)), sorted(numbers(n)))
