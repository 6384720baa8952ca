# SPDX-License-Identifier: MIT
"""Cases of test_mqtt.py: properties of messages in MQTT 5.0, topic aliases, packet sizes."""
import time

from mqtt_lib import (BROKER, Skip, connect, equal, fresh, only_lodge, publish, subscribe, text, u16,
                      v5, varint)

# ---- passed on -----------------------------------------------------------------------------------


@v5("the properties of a message are passed on as they are "
    "[3.3.2-4, 3.3.2-15, 3.3.2-16, 3.3.2-17, 3.3.2-20]")
def _():
    with BROKER.client(5) as c, BROKER.client(5) as d:
        topic = fresh()
        c.subscribe(topic, qos=2)
        each = {"payload_format": 1, "content_type": "a/b; é", "response_topic": "re/sponse",
                "correlation_data": bytes(range(256)), "user_property": [("key", "value")]}
        for props in [{}, {"payload_format": 0}, {"content_type": ""}, {"correlation_data": b""},
                      each] + [{name: value} for name, value in each.items()]:
            for qos in (0, 1, 2):
                d.publish(topic, b"text", qos, **props)
                equal(c.message().props, props)


@v5("user properties keep their order, and repeat [3.3.2-17, 3.3.2-18]")
def _():
    with BROKER.client(5) as c:
        topic = fresh()
        c.subscribe(topic, qos=1)
        pairs = [("b", "1"), ("a", "2"), ("b", "1"), ("", ""), ("a", "1"), ("é", "日本"),
                 ("x" * 300, "y" * 5000), ("b", "0"), ("content_type", "x"), ("a:b", "c\\d")]
        for qos in (0, 1, 2):
            c.publish(topic, b"x", qos, user_property=pairs)
            equal(c.message().props, {"user_property": pairs})
        many = [(f"key {i % 7}", str(i)) for i in range(100)]
        c.publish(topic, b"x", 1, user_property=many)
        equal(c.message().props, {"user_property": many})


@v5("properties wait with their message for a session that is offline [3.3.2-17, 3.3.2-18]")
def _():
    name, topic = fresh("c"), fresh()
    props = {"payload_format": 1, "content_type": "a/b", "response_topic": "r",
             "correlation_data": b"\0\xff", "user_property": [("b", "1"), ("a", "2"), ("b", "1")]}
    with BROKER.resume(5, name) as c:
        c.subscribe(topic, qos=2)
        c.disconnect()
    with BROKER.client(5) as d:
        for qos in (1, 2):
            d.publish(topic, b"text", qos, **props)
    with BROKER.resume(5, name) as c:
        for qos in (1, 2):
            p = c.message()
            equal((p.qos, p.props), (qos, props))


@v5("a client of 3.1.1 gets the message without its properties [3.3.2-17]")
def _():
    with BROKER.client(4) as c, BROKER.client(5) as d:
        topic = fresh()
        c.subscribe(topic, qos=1)
        d.subscribe(topic, qos=1)
        d.publish(topic, b"x", 1, content_type="a", user_property=("a", "b"))
        c.publish(topic, b"y", 1)
        equal(c.payloads(2), [b"x", b"y"])
        equal([p.props for p in d.messages(2)],
              [{"content_type": "a", "user_property": [("a", "b")]}, {}])


@v5("a request leads to its response [3.3.2-15, 3.3.2-16]")
def _():
    with BROKER.client(5) as asks, BROKER.client(5) as answers:
        topic, back = fresh(), fresh()
        answers.subscribe(topic, qos=1)
        asks.subscribe(back + "/+", qos=1)
        for i in range(3):
            asks.publish(topic, b"question", 1, response_topic=f"{back}/{i}",
                         correlation_data=b"%d" % i)
            p = answers.message()
            answers.publish(p.props["response_topic"], b"answer", 1,
                            correlation_data=p.props["correlation_data"])
            p = asks.message()
            equal((p.topic, p.payload, p.props),
                  (f"{back}/{i}", b"answer", {"correlation_data": b"%d" % i}))


@v5("a payload that is said to be text and is not is refused with 0x99 [3.3.2-4]")
def _():
    only_lodge("checking it is allowed, not required")
    with BROKER.client(5) as c:
        topic = fresh()
        c.subscribe(topic, qos=2)
        for qos in (1, 2):
            equal(c.publish(topic, b"a\xff", qos, payload_format=1).reason, 0x99)
            equal(c.publish(topic, b"a\xff", qos, payload_format=0).reason, 0)
            equal(c.message().payload, b"a\xff")
        c.nothing()


# ---- expiry --------------------------------------------------------------------------------------


@v5("a message whose time is over is not delivered, and the others count down "
    "[3.3.2-5, 3.3.2-6]")
def _():
    name, topic = fresh("c"), fresh()
    with BROKER.resume(5, name) as c:
        c.subscribe(topic, qos=2)
        c.disconnect()
    with BROKER.client(5) as d:
        for qos in (1, 2):
            for left in (1, 100, None):
                props = {} if left is None else {"message_expiry": left}
                d.publish(topic, b"%d %d" % (qos, left or 0), qos, **props)
    time.sleep(3.2)
    with BROKER.resume(5, name) as c:
        got = {p.payload: p.props.get("message_expiry") for p in c.messages(4)}
        c.nothing()
        equal(sorted(got), [b"1 0", b"1 100", b"2 0", b"2 100"])
        equal((got[b"1 0"], got[b"2 0"]), (None, None))
        assert all(50 < got[each] < 99 for each in (b"1 100", b"2 100")), got


@v5("a message that is passed on at once has all its time [3.3.2-6]")
def _():
    with BROKER.client(5) as c:
        topic = fresh()
        c.subscribe(topic, qos=1)
        for left in (1000, 0xFFFFFFFF):
            c.publish(topic, b"x", 1, message_expiry=left)
            got = c.message().props["message_expiry"]
            assert left - 100 < got <= left, got


@v5("a message waiting for its turn expires, too [3.3.2-5]")
def _():
    with BROKER.client(5, receive_maximum=1) as c, BROKER.client(5) as d:
        topic = fresh()
        c.subscribe(topic, qos=1)
        d.publish(topic, b"first", 1)
        held = c.message(ack=False)
        d.publish(topic, b"short", 1, message_expiry=1)
        d.publish(topic, b"long", 1, message_expiry=100)
        time.sleep(3)
        c.ack("PUBACK", held.id)
        equal(c.payloads(1), [b"long"])


# ---- topic aliases -------------------------------------------------------------------------------


@v5("a topic alias stands for the topic that it was given [3.3.2-12]")
def _():
    with BROKER.client(5) as c, BROKER.client(5) as d:
        most = d.connack.props.get("topic_alias_maximum", 0)
        assert most, "the server takes no topic aliases"
        top = fresh()
        c.subscribe(top + "/#", qos=2)
        aliases = sorted({1, 2, most // 2 or 1, most})
        for alias in aliases:
            d.publish(f"{top}/{alias}", b"set", 1, topic_alias=alias)
            equal(c.message().topic, f"{top}/{alias}")
        for qos in (0, 1, 2):
            for alias in aliases:
                d.publish("", b"used", qos, topic_alias=alias)
                p = c.message()
                equal((p.topic, p.props), (f"{top}/{alias}", {}))
        d.publish(top + "/other", b"x", 1, topic_alias=1)
        d.publish("", b"x", 1, topic_alias=1)
        equal([p.topic for p in c.messages(2)], [top + "/other"] * 2)


@v5("a retained message and one for an offline session have the topic, not the alias [3.3.2-12]")
def _():
    name, top = fresh("c"), fresh()
    with BROKER.resume(5, name) as c:
        c.subscribe(top + "/+", qos=1)
        c.disconnect()
    with BROKER.client(5) as d:
        d.publish(top + "/a", b"1", 1, topic_alias=1)
        d.publish("", b"2", 1, topic_alias=1, retain=True)
    with BROKER.resume(5, name) as c:
        equal([(p.topic, p.payload) for p in c.messages(2)],
              [(top + "/a", b"1"), (top + "/a", b"2")])
        c.subscribe(top + "/a", qos=1)
        p = c.message()
        equal((p.topic, p.payload, p.retain), (top + "/a", b"2", True))


@v5("aliases end with the connection [3.3.2-7]")
def _():
    name = fresh("c")
    with BROKER.resume(5, name) as c:
        c.publish(fresh(), b"x", 1, topic_alias=1)
        c.disconnect()
    c = BROKER.resume(5, name)
    c.put("", b"x", 1, topic_alias=1)
    c.closed(0x82, 0x94)


@v5("the aliases of two clients are apart [3.3.2-7]")
def _():
    with BROKER.client(5) as c, BROKER.client(5) as d, BROKER.client(5) as w:
        one, two = fresh(), fresh()
        w.subscribe(one, two)
        c.publish(one, b"1", topic_alias=1)
        equal(w.message().topic, one)
        d.publish(two, b"2", topic_alias=1)
        equal(w.message().topic, two)
        c.publish("", b"3", topic_alias=1)
        equal(w.message().topic, one)


@v5("alias 0, and one above what the server allows, end the connection with 0x94 "
    "[3.3.2-8, 3.3.2-9]")
def _():
    for above in (False, True):
        c = BROKER.client(5)
        most = c.connack.props.get("topic_alias_maximum", 0)
        if most == 0xFFFF and above:
            raise Skip("every alias is allowed")
        c.put(fresh(), b"x", 1, topic_alias=most + 1 if above else 0)
        c.closed(0x94)


@v5("an alias that was not set ends the connection [3.3.2-12]")
def _():
    c = BROKER.client(5)
    c.put("", b"x", 1, topic_alias=1)
    c.closed(0x82, 0x94)


@v5("the server sets aliases up to the client's maximum, and uses them [3.1.2-26, 3.3.2-11]")
def _():
    with BROKER.client(5, topic_alias_maximum=1) as c, BROKER.client(5) as d:
        topic, other = fresh(), fresh()
        c.subscribe(topic, other, qos=2)
        seen = []
        for qos in (0, 1, 2):
            d.publish(topic, b"x", qos)
            p = c.packet()
            seen.append((p.topic, p.props.get("topic_alias")))
            c.inbox.append(p)
            equal(c.message().topic, topic)
        equal(seen, [(topic, 1), ("", 1), (topic, 1)])  # npm's mqtt needs it at QoS 2
        for each in (other, topic, other):
            d.publish(each, each.encode(), 1)
            p = c.message()
            equal((p.topic, p.payload), (each, each.encode()))
            assert p.props.get("topic_alias") in (None, 1), p


@v5("many topics share few aliases and none is mistaken [3.1.2-26, 3.3.2-11]")
def _():
    with BROKER.client(5, topic_alias_maximum=5) as c, BROKER.client(5) as d:
        top = fresh()
        c.subscribe(top + "/#", qos=1)
        for i in range(60):
            topic = f"{top}/{i * i % 11}"
            d.publish(topic, topic.encode(), i % 2)
            p = c.message()
            equal(p.topic, p.payload.decode())
            assert 1 <= p.props.get("topic_alias", 1) <= 5, p


@v5("the server sends no aliases to who allows none [3.1.2-27]")
def _():
    for more in ({}, {"topic_alias_maximum": 0}):
        with BROKER.client(5, **more) as c:
            topic = fresh()
            c.subscribe(topic, qos=2)
            for qos in (0, 1, 2):
                c.publish(topic, b"x", qos)
                p = c.message()
                equal((p.topic, p.props), (topic, {}))


@v5("what is sent again to a new connection has its whole topic [3.3.2-7, 4.4.0-1]")
def _():
    name, topic = fresh("c"), fresh()
    with BROKER.client(5) as d:
        with BROKER.resume(5, name, topic_alias_maximum=10) as c:
            c.subscribe(topic, qos=1)
            for payload in (b"1", b"2"):
                d.publish(topic, payload, 1)
            c.messages(2, ack=False)
        with BROKER.resume(5, name) as c:
            equal([(p.topic, p.payload, p.props) for p in c.messages(2)],
                  [(topic, b"1", {}), (topic, b"2", {})])


# ---- packet sizes --------------------------------------------------------------------------------


@v5("a packet larger than the client takes is left out, and counts as sent [3.1.2-24, 3.1.2-25]")
def _():
    name, topic, most = fresh("c"), fresh(), 100
    with BROKER.client(5) as d:
        with BROKER.resume(5, name, maximum_packet_size=most, receive_maximum=1) as c:
            c.subscribe(topic, qos=2)
            fits = most - len(publish(5, topic, b"", 1, packet_id=1))
            for qos in (0, 1, 2):
                d.publish(topic, b"a" * (most + 1), qos)
                d.publish(topic, b"b" * (fits + 1 + (qos == 0) * 2), qos)
                d.publish(topic, b"c" * (fits + (qos == 0) * 2), qos)
                p = c.message()
                equal((p.payload[:1], p.size), (b"c", most))
            d.publish(topic, b"x", 2, content_type="a" * most)
            d.publish(topic, b"y", 2)
            equal(c.payloads(1), [b"y"])
            c.disconnect()
        with BROKER.resume(5, name) as c:  # they are gone, not waiting
            c.nothing()


@v5("no alias makes a packet larger than the client takes [3.1.2-24]")
def _():
    topic = fresh()
    bare = len(publish(5, topic, b"x", 1, packet_id=1))
    for most in range(bare, bare + 4):
        with BROKER.client(5, maximum_packet_size=most, topic_alias_maximum=1) as c:
            c.subscribe(topic, qos=2)
            for qos in (1, 2, 1):
                c.publish(topic, b"x", qos)
                p = c.message()
                assert p.size <= most, f"{p.size} bytes came, not {most}"


@v5("who sends more than the server's maximum packet size is told 0x95 [3.2.2-15]")
def _():
    c = BROKER.client(5)
    most, topic = c.connack.props.get("maximum_packet_size"), fresh()
    if most is None or most > 0xFFFFFFF:
        raise Skip("the server has no maximum packet size")
    c.send(b"\x32" + varint(min(most, 0xFFFFFFF)) + text(topic) + u16(1) + b"\0" + b"x" * 100)
    c.closed(0x95)


def sizes_of_connack(**more):
    """Of one with a name for the client: what the server says of it, and the packet's bytes."""
    with BROKER.raw(5) as c:
        ack = c.connect("", **more)
        return ack.size


@v5("CONNACK is no larger than the client takes: a refusal leaves out its text, or is left out "
    "[3.1.2-24, 3.2.2-19]")
def _():
    only_lodge("mosquitto gives no reason")
    refused = {"auth_method": "none", "clean": True}
    with BROKER.raw(5) as c:
        whole = c.connect(fresh("c"), **refused)
    assert whole.props["reason_string"], whole
    for most, wanted in ((whole.size, whole.props), (whole.size - 1, {}), (5, {})):
        with BROKER.raw(5) as c:
            ack = c.connect(fresh("c"), maximum_packet_size=most, **refused)
            equal((ack.reason, ack.props), (0x8C, wanted), f"of {most} bytes")
    c = BROKER.raw(5)
    c.send(connect(5, fresh("c"), maximum_packet_size=4, **refused))
    equal(c.everything(), b"")


@v5("who takes no CONNACK of its size is refused with 0x95, and nothing was changed for it [3.1.2-24]")
def _():
    only_lodge("mosquitto has a smaller one")
    most, name, topic = sizes_of_connack(), fresh("c"), fresh()
    equal(sizes_of_connack(maximum_packet_size=most), most)
    c = BROKER.raw(5)
    equal(c.connect("", maximum_packet_size=most - 1).reason, 0x95)
    c.closed()
    with BROKER.resume(5, name) as old:
        old.subscribe(topic, qos=1)
        c = BROKER.raw(5)
        equal(c.connect(name, maximum_packet_size=10).reason, 0x95)
        c.closed()
        old.publish(topic, b"x", 1)
        equal(old.payloads(1), [b"x"])


@v5("DISCONNECT leaves out its text where the client has no room for it [3.1.2-24, 3.14.2-3]")
def _():
    only_lodge("mosquitto gives no text")

    def ended(**more):
        c = BROKER.client(5, **more)
        c.put("a", b"x", topic_alias=0)
        return c.closed(0x94)

    whole = ended()
    assert whole.props["reason_string"], whole
    equal(ended(maximum_packet_size=whole.size).props, whole.props)
    equal(ended(maximum_packet_size=whole.size - 1).props, {})


@v5("a SUBACK larger than the client takes ends the connection with 0x95 [3.1.2-24]")
def _():
    only_lodge("mosquitto sends it")
    c = BROKER.client(5, maximum_packet_size=60)
    equal(c.subscribe(*[fresh() for _ in range(55)]), [0] * 55)
    c.send(subscribe(5, 9, [(fresh(), 0) for _ in range(56)]))
    c.closed(0x95)
