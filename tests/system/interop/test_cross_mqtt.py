#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""STOMP, AMQP and MQTT on one broker: what the one sends the others receive, as it was sent.

Queues, sessions and restarts are in test_cross_work.py; what only STOMP and AMQP have to do with
each other in test_cross.py."""
import datetime
import decimal
import functools
import struct
import time

from cross_lib import (SERVER, Paho, Pika, RawAmqp, RawMqtt, RawStomp, StompPy, destination_of,
                       key_of, pairs)
from amqp_lib import case, equal, fresh
from amqp_wire import PERSISTENT, _Reader
import lib
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

EVERY_BYTE = bytes(range(256))
HARD = "a:b \\ c \n d é 日本"

# ---- every way -----------------------------------------------------------------------------------


def every_way(sentence):
    """Registers f(sender, receiver) for all senders and receivers of different protocols."""
    def register(f):
        def run(send, receive):
            with send() as sends, receive() as hears:
                f(sends, hears)
        for sender, send, receiver, receive in pairs():
            case(f"{sender} to {receiver}: {sentence}")(functools.partial(run, send, receive))
        return f
    return register


@every_way("bodies of every byte, empty ones and 1 MB come as they were")
def _(sends, hears):
    topic = fresh() + "/b"
    hears.listen(topic)
    for body in (b"", b"\0", b"\n", EVERY_BYTE, EVERY_BYTE * 4096):
        sends.send(topic, body)
        got_topic, got = hears.next()
        equal(got_topic, topic)
        assert got == body, f"{len(body)} bytes came otherwise"


@every_way("topics come as they were: levels are words, and a dot in a level stays one")
def _(sends, hears):
    root = fresh()
    hears.listen(root + "/#")
    for topic in (root, root + "/b", root + "/v1.2/door", root + "/a.b.c", root + "//", root + "/.",
                  root + "/é 日本/%2F", root + "/$b/!\\:"):
        sends.send(topic, topic.encode())
        equal(hears.next(), (topic, topic.encode()))


@every_way("wildcards match by the words of both")
def _(sends, hears):
    root = fresh()
    for topic_filter in ("/+/c", "/x/#"):
        hears.listen(root + topic_filter)
    for topic in ("b/c", "no", "b/d", "//c", "a/b/c", "v1.2/c", "x/1", "x/1/2.3/4", "y/1/2"):
        sends.send(f"{root}/{topic}", topic.encode())
    sends.send(root + "/x/end", b"end")
    got = []
    while not got or got[-1][1] != b"end":
        got.append(hears.next())
    wanted = ["b/c", "v1.2/c", "x/1", "x/1/2.3/4"]
    equal(got[:-1], [(f"{root}/{topic}", topic.encode()) for topic in wanted])


# ---- properties ----------------------------------------------------------------------------------


def mqtt_properties(**values):
    out = Properties(PacketTypes.PUBLISH)
    for name, value in values.items():
        setattr(out, name, value)
    return out


ASKS = {"payload_format": 1, "content_type": "text/plain; é", "response_topic": "re.ply/to",
        "correlation_data": b"id 7", "message_expiry": 60,
        "user_property": [("b", "1"), ("key", HARD), ("a", "2")]}


@case("MQTT 5.0 to AMQP: properties are properties, User Properties are headers")
def _():
    topic = fresh()
    with RawMqtt(5) as sends, Pika() as hears:
        hears.listen(topic)
        sends.send(topic, b"x", **ASKS)
        p = hears.box.next().properties
        equal((p.content_type, p.correlation_id, p.expiration, p.delivery_mode, p.reply_to),
              ("text/plain; é", "id 7", "60000", 2, None))
        equal(p.headers, {"b": "1", "key": HARD, "a": "2", "x-mqtt-payload-format": True,
                          "x-opt-reply-to-topic": "re/ply.to"})


@case("paho to pika: the same with what users have")
def _():
    topic = fresh()
    with Paho(5) as sends, Pika() as hears:
        hears.listen(topic)
        sends.send(topic, b"x", properties=mqtt_properties(
            ContentType="a/b", ResponseTopic="c/d", CorrelationData=b"7", MessageExpiryInterval=9,
            UserProperty=[("k", "v")]))
        p = hears.box.next().properties
        equal((p.content_type, p.correlation_id, p.expiration, p.delivery_mode, p.headers),
              ("a/b", "7", "9000", 2, {"k": "v", "x-opt-reply-to-topic": "c.d"}))


@case("AMQP to MQTT 5.0: what MQTT has comes, headers are User Properties, the rest is left out")
def _():
    topic = fresh()
    with Pika() as sends, RawMqtt(5) as hears:
        hears.listen(topic)
        sends.send(topic, b"x", content_type="text/plain", correlation_id="7", expiration="60000",
                   headers={"key": HARD, "x-opt-reply-to-topic": "re/ply.to"}, priority=4,
                   message_id="mid", timestamp=1700000000, type="t", app_id="a", user_id="guest",
                   content_encoding="gzip", reply_to="a-queue")
        p = hears.c.message()
        assert 55 <= p.props.pop("message_expiry") <= 60, p
        equal(p.props, {"content_type": "text/plain", "correlation_data": b"7",
                        "response_topic": "re.ply/to", "user_property": [("key", HARD)]})


@case("pika to paho: the same with what users have")
def _():
    topic = fresh()
    with Pika() as sends, Paho(5) as hears:
        hears.listen(topic)
        sends.send(topic, b"x", content_type="a/b", correlation_id="7", expiration="9000",
                   headers={"k": "v", "x-opt-reply-to-topic": "c.d"})
        m = hears.message()
        p = m.properties
        equal((p.ContentType, p.CorrelationData, p.ResponseTopic, p.UserProperty, m.qos),
              ("a/b", b"7", "c/d", [("k", "v")], 1))


@case("MQTT 5.0 to STOMP: properties are its headers, User Properties are headers with escapes")
def _():
    topic = fresh()
    with RawMqtt(5) as sends, RawStomp() as hears:
        hears.listen(topic)
        sends.send(topic, b"x", **ASKS)
        m = hears.c.message()
        wanted = {"content-type": "text/plain; é", "correlation-id": "id 7", "expiration": "60000",
                  "persistent": "true", "reply-to": "/topic/re%2Fply.to", "b": "1", "key": HARD,
                  "a": "2", "x-opt-reply-to-topic": "re/ply.to", "x-mqtt-payload-format": "true"}
        equal({name: m.get(name) for name in wanted}, wanted)
        equal([name for name in m.headers if name in ("a", "b", "key")], ["b", "key", "a"])


@case("STOMP to MQTT 5.0: headers of its own are User Properties, in order, with escapes")
def _():
    topic = fresh()
    with RawStomp() as sends, RawMqtt(5) as hears:
        hears.listen(topic)
        sends.c.ask("SEND", {
            "destination": destination_of(key_of(topic)), "b": "1", "content-type": "text/plain",
            "k:e\\y\n": HARD, "correlation-id": "7", "reply-to": "/topic/re%2Fply.to",
            "expiration": "60000", "priority": "4", "persistent": "true", "a": "2", "empty": ""},
            b"x")
        p = hears.c.message()
        assert 55 <= p.props.pop("message_expiry") <= 60, p
        equal(p.props, {"content_type": "text/plain", "correlation_data": b"7",
                        "response_topic": "re.ply/to",
                        "user_property": [("b", "1"), ("k:e\\y\n", HARD), ("a", "2"),
                                          ("empty", "")]})


@case("python3-stomp to paho and back: the same with what users have")
def _():
    topic = fresh()
    with StompPy() as s, Paho(5) as m:
        m.listen(topic + "/m")
        s.listen(topic + "/s")
        s.send(topic + "/m", b"x", **{"reply-to": "/topic/c.d", "correlation-id": "7", "k": HARD})
        p = m.message().properties
        equal((p.ResponseTopic, p.CorrelationData, p.UserProperty), ("c/d", b"7", [("k", HARD)]))
        m.send(topic + "/s", b"x", properties=p)
        h = s.came.get(timeout=lib.PATIENCE).headers
        equal((h["reply-to"], h["correlation-id"], h["k"]), ("/topic/c.d", "7", HARD))


DOUBLES = [("b", "1"), ("a", "2"), ("b", "1"), ("b", "3")]


def header_lines(c):
    """Of the next frame, all of them."""
    got = b""
    while b"\n\n" not in got:
        got += c.socket.recv(65536)
    return got.split(b"\n\n")[0].decode().split("\n")[1:]


@case("User Properties that repeat keep their order and number on their way to AMQP and STOMP")
def _():
    topic = fresh()
    with RawMqtt(5) as sends, RawAmqp() as a, RawStomp() as s:
        for hears in (a, s):
            hears.listen(topic)
        sends.send(topic, b"x", user_property=DOUBLES)
        # delivery-mode 2 behind a table: flags, the table, the mode
        equal(_Reader(a.deliver().properties[2:]).pairs(), [(k, v.encode()) for k, v in DOUBLES])
        equal([line for line in header_lines(s.c) if line[0] in "ab" and line[1] == ":"],
              [f"{k}:{v}" for k, v in DOUBLES])


@case("headers that repeat keep their order and number from AMQP to MQTT 5.0; of STOMP the first counts")
def _():
    topic = fresh()
    fields = b"".join(struct.pack("!B1scI1s", 1, k.encode(), b"S", 1, v.encode())
                      for k, v in DOUBLES)
    with RawMqtt(5) as hears, RawAmqp() as a, RawStomp() as s:
        hears.listen(topic)
        a.send(topic, b"x", properties=b"\x30\0" + struct.pack("!I", len(fields)) + fields + b"\2")
        equal(hears.c.message().props["user_property"], DOUBLES)
        s.c.write(f"SEND\ndestination:{destination_of(topic)}\nb:1\na:2\nb:3\n\n\0".encode())
        equal(hears.c.message().props["user_property"], [("b", "1"), ("a", "2")])


@case("AMQP to MQTT 5.0: numbers, booleans and times become text; what has none is left out")
def _():
    topic = fresh()
    with Pika() as sends, RawMqtt(5) as hears:
        hears.listen(topic)
        sends.send(topic, b"x", headers={
            "int": 5, "negative": -7, "yes": True, "no": False, "list": [1, 2], "table": {"a": 1},
            "none": None, "bytes": b"\xff\xfe", "decimal": decimal.Decimal("1.5"),
            "time": datetime.datetime(2023, 11, 14, 22, 13, 20)})
        equal(dict(hears.c.message().props["user_property"]),
              {"int": "5", "negative": "-7", "yes": "true", "no": "false", "time": "1700000000"})


@case("Correlation Data that is no text, or longer than a property, is a header of AMQP; and back")
def _():
    topic = fresh()
    with RawMqtt(5) as m, Pika() as a, RawStomp() as s:
        a.listen(topic + "/a")
        s.listen(topic + "/a")
        m.listen(topic + "/m")
        for said in (b"\0\xff" * 8, b"x" * 256, b"y" * 65535):
            m.send(topic + "/a", b"x", correlation_data=said)
            p = a.box.next().properties
            equal((p.correlation_id, p.headers), (None, {"x-correlation-id": said}))
            m_s = s.c.message()
            assert "correlation-id" not in m_s.headers, m_s
            a.send(topic + "/m", b"x", headers=p.headers)
            equal(m.c.message().props, {"correlation_data": said})


@case("QoS is persistence: delivery_mode 2 and persistent:true are QoS 1, the rest is QoS 0")
def _():
    topic = fresh()
    for level in (4, 5):
        with Pika() as a, RawStomp() as s, RawMqtt(level) as m:
            for hears, name in ((m, "m"), (a, "a"), (s, "s")):
                hears.listen(topic + "/" + name)
            for mode, qos in ((2, 1), (1, 0), (None, 0)):
                a.send(topic + "/m", b"x", delivery_mode=mode)
                equal(m.c.message().qos, qos, f"delivery_mode {mode}")
            for said, qos in (("true", 1), ("false", 0)):
                s.c.send(destination_of(topic + ".m"), b"x", persistent=said)
                equal(m.c.message().qos, qos, f"persistent {said}")
            for qos, mode in ((0, None), (1, 2), (2, 2)):
                m.send(topic + "/a", b"x", qos)
                equal(a.box.next().properties.delivery_mode, mode, f"QoS {qos}")
                m.send(topic + "/s", b"x", qos)
                equal(s.c.message().get("persistent") == "true", qos > 0, f"QoS {qos}")


@case("3.1.1 hears the same bodies without the properties, and sends none")
def _():
    topic = fresh()
    with Pika() as a, RawMqtt(4) as m:
        m.listen(topic + "/m")
        a.listen(topic + "/a")
        a.send(topic + "/m", b"x", content_type="a/b", correlation_id="7", headers={"k": "v"})
        equal(m.next(), (topic + "/m", b"x"))
        m.send(topic + "/a", b"y")
        p = a.box.next().properties
        equal((p.content_type, p.correlation_id, p.headers, p.delivery_mode), (None, None, None, 2))


@case("what expires for one expires for the others")
def _():
    topic = fresh()
    name = fresh("c")
    with SERVER.resume(5, name) as c:
        c.subscribe(topic, qos=1)
        c.disconnect()
    with Pika() as a, RawStomp() as s, RawMqtt(5) as m:
        a.ch.queue_declare(topic, durable=True)
        a.ch.queue_bind(topic, "amq.topic", topic)
        a.send(topic, b"amqp", expiration="1")
        s.c.send(destination_of(topic), b"stomp", expiration=1)
        m.send(topic, b"mqtt", message_expiry=1)
        a.send(topic, b"stays")
        time.sleep(1.2)
        equal(a.ch.basic_get(topic, auto_ack=True)[2], b"stays")
        a.ch.queue_delete(topic)
    with SERVER.resume(5, name) as c:
        equal(c.payloads(1), [b"stays"])


@case("a retained message and a will reach AMQP and STOMP as any other")
def _():
    topic = fresh()
    with Pika() as a, RawStomp() as s, RawMqtt(5) as m:
        for hears in (a, s):
            hears.listen(topic + "/#")
        m.send(topic + "/kept", b"kept", retain=True)
        c = SERVER.client(5, the_will=(topic + "/will", b"gone", 1, False, {"content_type": "w"}))
        c.drop()
        for hears in (a, s):
            equal([hears.next() for _ in range(2)],
                  [(topic + "/kept", b"kept"), (topic + "/will", b"gone")])
        m.send(topic + "/kept", b"", retain=True)


# ---- requests ------------------------------------------------------------------------------------


@case("MQTT asks with a Response Topic; AMQP answers to x-opt-reply-to-topic, STOMP to reply-to")
def _():
    topic, back = fresh(), fresh() + "/re.ply"
    with Pika() as a, RawStomp() as s, RawMqtt(5) as m:
        a.listen(topic + "/a")
        s.listen(topic + "/s")
        m.listen(back)
        for correlation in (b"1", b"\xff\0"):
            m.send(topic + "/a", b"?", response_topic=back, correlation_data=correlation)
            p = a.box.next().properties
            headers = {k: v for k, v in p.headers.items() if k == "x-correlation-id"}
            a.ch.basic_publish("amq.topic", p.headers["x-opt-reply-to-topic"], b"amqp",
                               type(p)(correlation_id=p.correlation_id, headers=headers))
            got = m.c.message()
            equal((got.topic, got.payload, got.props),
                  (back, b"amqp", {"correlation_data": correlation}))
        m.send(topic + "/s", b"?", response_topic=back, correlation_data=b"2")
        asked = s.c.message()
        s.c.send(asked["reply-to"], b"stomp", correlation_id=asked["correlation-id"])
        got = m.c.message()
        equal((got.topic, got.payload, got.props), (back, b"stomp", {"correlation_data": b"2"}))


@case("AMQP and STOMP ask, MQTT answers to the Response Topic")
def _():
    topic, back = fresh(), fresh() + "/re.ply"
    with Pika() as a, RawStomp() as s, RawMqtt(5) as m:
        m.listen(topic)
        for asks in (a, s):
            asks.listen(back)
        ways = [lambda: a.send(topic, b"?", headers={"x-opt-reply-to-topic": key_of(back)}),
                lambda: a.send(topic, b"?", reply_to=destination_of(key_of(back))),
                lambda: s.c.send(destination_of(topic), b"?",
                                 reply_to=destination_of(key_of(back))),
                lambda: s.c.send(destination_of(topic), b"?", reply_to="/exchange/amq.topic/" +
                                 destination_of(key_of(back))[7:])]
        for i, way in enumerate(ways):
            way()
            m.send(m.c.message().props["response_topic"], b"%d" % i)
            for asks in (a, s):
                equal(asks.next(), (back, b"%d" % i))


@case("a reply-to that no client of MQTT could publish to is left out")
def _():
    topic = fresh()
    with Pika() as a, RawMqtt(5) as m:
        m.listen(topic)
        for reply_to in ("a-queue", "/queue/a", "/exchange/amq.direct/a", "/topic/", "/topic/a.#",
                         "/topic/a+", "/exchange/amq.topic", "/", ""):
            a.send(topic, b"x", reply_to=reply_to)
            equal(m.c.message().props, {}, reply_to)
        for key in ("", "a.#", "a+b", "a\0b"):
            a.send(topic, b"x", headers={"x-opt-reply-to-topic": key})
            equal(m.c.message().props, {}, repr(key))


# ---- what is not meant well ----------------------------------------------------------------------

LIES = {
    "x-correlation-id": "z" * 70000, "x-mqtt-content-type": "z" * 70000,
    "x-opt-reply-to-topic": "z" * 70000, "x-mqtt-user-properties": b"\x26\0\1a\xff\xff",
    "x-mqtt-payload-format": "7", "x-mqtt-publish-qos": 7, "x-mqtt-retain": "yes",
    "x-mqtt-retained": 1 << 40, "x-mqtt-client": 5, "x-mqtt-unknown": "x"}


@case("headers of AMQP that pretend to be the broker's own break nothing")
def _():
    topic = fresh()
    with Pika() as a, RawMqtt(5) as m:
        m.listen(topic)
        for name, value in LIES.items():
            for each in (value, [1], None, "a\0b", b"\xff", {"a": 1}, -1):
                a.send(topic, b"x", headers={name: each, "k": "v"})
                p = m.c.message()
                equal((p.payload, p.props["user_property"]), (b"x", [("k", "v")]), name)
                for other in ("content_type", "response_topic", "subscription_id"):
                    assert other not in p.props, (name, p.props)
        a.send(topic, b"x", headers={"x-mqtt-user-properties": b"\x26\0\1a\0\1\xff\x26\0\1b\0\1c"})
        equal(m.c.message().props, {"user_property": [("b", "c")]})


@case("User Properties named as the broker's own headers pass among clients of MQTT, and deceive none")
def _():
    topic = fresh()
    mine = [(name, "1") for name in LIES] + [("x-mqtt-retain", "true"), ("k", "v")]
    with RawMqtt(5) as sends, RawMqtt(5) as m, Pika() as a:
        for hears in (a, m):
            hears.listen(topic)
        sends.send(topic, b"x", user_property=mine)
        p = m.c.message()
        equal((p.props, p.retain), ({"user_property": mine}, False))
        equal(list(a.box.next().properties.headers), ["x-mqtt-user-properties"])


@case("a User Property cannot forge a header of STOMP's")
def _():
    topic = fresh()
    with RawMqtt(5) as sends, RawStomp() as hears:
        hears.listen(topic)
        sends.send(topic, b"body", user_property=[
            ("destination", "/queue/other"), ("content-length", "1"), ("subscription", "9"),
            ("persistent", "false"), ("x", "a\nb:c\r\\"), ("ack", "1")])
        m = hears.c.message()
        equal((m.body, m["destination"], m["persistent"], m["x"]),
              (b"body", destination_of(topic), "true", "a\nb:c\r\\"))


@case("a routing key that is no topic is passed over, and what follows comes")
def _():
    root = fresh()
    with RawAmqp() as a, RawMqtt(5) as m:
        m.listen(root + "/#")
        for key in (".a+b", ".#", ".a#", ".\0", ".+"):
            a.c.put("basic.publish", b"no", exchange="amq.topic", routing_key=root + key,
                    properties=PERSISTENT)
            a.c.wait("basic.ack")
        a.send(root + "/*", b"a star is no wildcard of MQTT")
        equal(m.next(), (root + "/*", b"a star is no wildcard of MQTT"))


if __name__ == "__main__":
    SERVER.run()
