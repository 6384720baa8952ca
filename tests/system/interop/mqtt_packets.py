# SPDX-License-Identifier: MIT
"""Cases of test_mqtt.py: what a packet may look like, and how the server ends what may not."""
import time

from mqtt_lib import (BROKER, PATIENCE, both, connect, equal, frame, fresh, only_lodge,
                      properties, publish,
                      subscribe, text, u16, v5, varint, will)

MALFORMED, PROTOCOL_ERROR = BAD = 0x81, 0x82  # the standard calls some errors by both names
NOT_0010 = (0, 1, 3, 6, 10)

NO_UTF8 = {
    "a surrogate": b"\xed\xa0\x80", "a pair of surrogates": b"\xed\xa0\x81\xed\xb0\x80",
    "an overlong slash": b"\xc0\xaf", "an overlong NUL": b"\xc0\x80", "a lone tail": b"a\x80",
    "a lone head": b"a\xe2\x82", "beyond U+10FFFF": b"\xf4\x90\x80\x80", "0xFF": b"\xff",
    "five bytes": b"\xf8\x88\x80\x80\x80"}


def ended_each(level, packets, reasons=(MALFORMED,), begin=True):
    """Clients that send these are disconnected.  begin: they were connected before."""
    clients, wrong = {}, []
    for what, packet in packets.items():
        clients[what] = BROKER.client(level) if begin else BROKER.raw(level)
        clients[what].send(packet)
    end = time.monotonic() + PATIENCE
    for what, c in clients.items():
        try:
            if begin:
                c.closed(*reasons, patience=max(0.2, end - time.monotonic()))
            else:
                c.refused(*reasons, patience=max(0.2, end - time.monotonic()))
        except AssertionError as e:
            wrong.append(f"{what}: {e}")
    assert not wrong, "; ".join(wrong)


# ---- strings and numbers -------------------------------------------------------------------------


@both("text that is not UTF-8 closes the connection [1.5.3-1 | 1.5.4-1]")
def _(level):
    ended_each(level, {f"{what} in a topic": publish(level, bad, b"x")
                       for what, bad in NO_UTF8.items()})
    bad = b"\xed\xa0\x80"
    ended_each(level, {
        "a filter": subscribe(level, 1, [(bad, 0)]),
        "one to unsubscribe": frame("UNSUBSCRIBE", u16(1), b"\0" * (level == 5), text(bad))})
    ended_each(level, {
        "client id": connect(level, bad), "user name": connect(level, fresh("c"), login=bad),
        "will topic": connect(level, fresh("c"), the_will=will(bad))}, BAD, begin=False)


@both("U+0000 in a text closes the connection [1.5.3-2 | 1.5.4-2]")
def _(level):
    ended_each(level, {
        "a topic": publish(level, "a\0b", b"x"), "a filter": subscribe(level, 1, [("a\0", 0)])})
    c = BROKER.raw(level)
    c.send(connect(level, "a\0b"))
    c.refused(*BAD)


@both("U+FEFF is a character like others [1.5.3-3 | 1.5.4-3]")
def _(level):
    topic = fresh()
    with BROKER.client(level) as c:
        c.subscribe("\ufeff" + topic, topic + "\ufeff/x")
        for each in (topic, "\ufeff" + topic, topic + "/x", topic + "\ufeff/x"):
            c.publish(each, each.encode())
        equal([(p.topic, p.payload.decode()) for p in c.messages(2)],
              [(each, each) for each in ("\ufeff" + topic, topic + "\ufeff/x")])
        c.nothing()


@v5("text that is not UTF-8 in a property closes the connection [1.5.4-1, 1.5.7-1]")
def _():
    bad = b"\xed\xa0\x80"
    ended_each(5, {
        str(props): publish(5, fresh(), b"x", **props)
        for props in ({"content_type": bad}, {"response_topic": bad},
                      {"user_property": (bad, "x")}, {"user_property": ("x", bad)})})


@both("a remaining length of five bytes closes the connection [4.8.0-1 | 4.13.1-1]")
def _(level):
    ended_each(level, {"PUBLISH": b"\x30\xff\xff\xff\xff\x7f",
                       "PINGREQ": b"\xc0\x80\x80\x80\x80\0"})


@v5("a number of more bytes than it needs is a malformed packet [1.5.5-1]")
def _():
    ended_each(5, {
        "properties' length": publish(5, "a", b"x", raw=b"\x80\0"),
        "subscription id": frame("SUBSCRIBE", u16(1), b"\x03\x0b\x81\0", text("a"), b"\0"),
        "five bytes": publish(5, "a", b"x", raw=b"\x80\x80\x80\x80\1")})


# ---- the fixed header ----------------------------------------------------------------------------


@both("reserved flags of the fixed header close the connection [2.2.2-1, 2.2.2-2 | 2.1.3-1]")
def _(level):
    ended_each(level, {f"{kind} {flags}": frame(kind, body, flags=flags)
                       for kind, body in (("PINGREQ", b""), ("PUBACK", u16(1)),
                                          ("PUBREC", u16(1)), ("PUBCOMP", u16(1)))
                       for flags in (1, 2, 4, 8)})


@both("PUBREL has the flags 0010 [3.6.1-1]")
def _(level):
    ended_each(level, {f"flags {flags}": frame("PUBREL", u16(1), flags=flags)
                       for flags in NOT_0010})


@both("SUBSCRIBE has the flags 0010 [3.8.1-1]")
def _(level):
    ended_each(level, {
        f"flags {flags}": frame("SUBSCRIBE", u16(1), b"\0" * (level == 5), text("a"), b"\0",
                                flags=flags) for flags in NOT_0010})


@both("UNSUBSCRIBE has the flags 0010 [3.10.1-1]")
def _(level):
    ended_each(level, {
        f"flags {flags}": frame("UNSUBSCRIBE", u16(1), b"\0" * (level == 5), text("a"),
                                flags=flags) for flags in NOT_0010})


@both("DISCONNECT with flags is not one: the will is published [3.14.1-1]")
def _(level):
    gone = fresh()
    with BROKER.client(level) as watch:
        watch.subscribe(gone)
        c = BROKER.client(level, the_will=will(gone, b"will"))
        c.send(frame("DISCONNECT", flags=1))
        c.closed(MALFORMED)
        equal(watch.message().payload, b"will")


@v5("AUTH with flags is a malformed packet [3.15.1-1]")
def _():
    ended_each(5, {"AUTH": frame("AUTH", b"\x18\0", flags=1)}, BAD)


@both("packets that there are not, or that only servers send, close the connection "
      "[4.8.0-1 | 4.13.1-1]")
def _(level):
    empty = b"\0" * (level == 5)
    ended_each(level, {
        "kind 0": frame(0), "CONNACK": frame("CONNACK", b"\0\0", empty),
        "SUBACK": frame("SUBACK", u16(1), empty, b"\0"), "PINGRESP": frame("PINGRESP"),
        "UNSUBACK": frame("UNSUBACK", u16(1), empty, empty)}, BAD)
    if level == 4:
        ended_each(level, {"kind 15": frame(15)})


# ---- the body ------------------------------------------------------------------------------------


@both("a packet that ends too early closes the connection [4.8.0-1 | 4.13.1-1]")
def _(level):
    ended_each(level, {
        "PUBLISH without a topic": frame("PUBLISH"), "half a length": frame("PUBLISH", b"\0"),
        "half a topic": frame("PUBLISH", b"\0\5abcd"),
        "no packet id": frame("PUBLISH", text("a"), flags=2),
        "PUBACK without an id": frame("PUBACK"), "half an id": frame("PUBREL", b"\0"),
        "SUBSCRIBE without an id": frame("SUBSCRIBE"),
        "no options": frame("SUBSCRIBE", u16(1), b"\0" * (level == 5), text("a")),
        "half a filter": frame("UNSUBSCRIBE", u16(1), b"\0" * (level == 5), b"\0\5ab")},
               BAD)


@both("a packet that goes on behind its end closes the connection [4.8.0-1 | 4.13.1-1]")
def _(level):
    ended_each(level, {
        "PINGREQ": frame("PINGREQ", b"x"), "PUBACK": frame("PUBACK", u16(1), b"\0\0xx"),
        "DISCONNECT": frame("DISCONNECT", b"\0\0xx")}, BAD)


@both("packet id 0 closes the connection [2.3.1-1 | 2.2.1-3]")
def _(level):
    ended_each(level, {
        "QoS 1": publish(level, "a", b"x", qos=1), "QoS 2": publish(level, "a", b"x", qos=2),
        "SUBSCRIBE": subscribe(level, 0, [("a", 0)]),
        "UNSUBSCRIBE": frame("UNSUBSCRIBE", u16(0), b"\0" * (level == 5), text("a"))},
               BAD)


@both("QoS 3 closes the connection [3.3.1-4]")
def _(level):
    ended_each(level, {"QoS 3": publish(level, "a", b"x", qos=3, packet_id=1),
                       "with DUP": publish(level, "a", b"x", qos=3, dup=True, packet_id=1)})


@both("a wildcard in a topic to publish to closes the connection [3.3.2-2]")
def _(level):
    ended_each(level, {topic: publish(level, topic, b"x")
                       for topic in ("#", "+", "a/#", "a/+/b", "a#", "a+b")}, (*BAD, 0x90))


@both("an empty topic to publish to closes the connection [4.7.3-1]")
def _(level):
    ended_each(level, {f"QoS {qos}": publish(level, "", b"x", qos, packet_id=qos)
                       for qos in (0, 1, 2)}, (*BAD, 0x90))


@both("SUBSCRIBE and UNSUBSCRIBE need a filter "
      "[3.8.3-3, 3.10.3-2 | 3.8.3-2, 3.10.3-2]")
def _(level):
    ended_each(level, {kind: frame(kind, u16(1), b"\0" * (level == 5))
                       for kind in ("SUBSCRIBE", "UNSUBSCRIBE")}, BAD)


@both("reserved bits and QoS 3 in the options of a subscription close the connection "
      "[3.8.3-4 | 3.8.3-5]")
def _(level):
    wrong = (3, 0x40, 0x80, 0xC1) + ((0x30,) if level == 5 else (4, 8, 0x10, 0x20))
    ended_each(level, {f"options {bits:#x}": subscribe(level, 1, [("a", bits)])
                       for bits in wrong}, BAD)


# ---- properties ----------------------------------------------------------------------------------


@v5("a property that the packet has not is a malformed packet [4.13.1-1]")
def _():
    ended_each(5, {
        "will_delay in PUBLISH": publish(5, "a", b"x", will_delay=1),
        "maximum_qos in PUBLISH": publish(5, "a", b"x", maximum_qos=1),
        "topic_alias in SUBSCRIBE": subscribe(5, 1, [("a", 0)], topic_alias=1),
        "subscription_id in UNSUBSCRIBE": frame("UNSUBSCRIBE", u16(1), b"\x02\x0b\x01", text("a")),
        "receive_maximum in DISCONNECT": frame("DISCONNECT", b"\0", b"\x03\x21\0\1"),
        "content_type in PUBACK": frame("PUBACK", u16(1), b"\0", b"\x04\x03\0\1a"),
        "a property that there is not": publish(5, "a", b"x", raw=b"\x02\x7f\0"),
        "property 0": publish(5, "a", b"x", raw=b"\x02\0\0")}, BAD)


@v5("a property that may be there once is a protocol error twice [4.13.1-1]")
def _():
    twice = {"payload_format": [0, 0], "message_expiry": [1, 1], "content_type": ["a", "a"],
             "response_topic": ["a", "a"], "correlation_data": [b"a", b"a"], "topic_alias": [1, 1]}
    ended_each(5, {name: publish(5, "a", b"x", **{name: value}) for name, value in twice.items()},
               (PROTOCOL_ERROR,))
    ended_each(5, {
        "subscription_id": subscribe(5, 1, [("a", 0)], subscription_id=[1, 2]),
        "reason_string": frame("DISCONNECT", b"\0", properties({"reason_string": ["a", "b"]}))},
               (PROTOCOL_ERROR,))


@v5("a property of CONNECT that is there twice is refused [3.1.4-1]")
def _():
    ended_each(5, {name: connect(5, fresh("c"), **{name: [value, value]}) for name, value in (
        ("session_expiry", 60), ("receive_maximum", 9), ("maximum_packet_size", 500),
        ("topic_alias_maximum", 9), ("request_response", 1), ("request_problem", 1))},
               (PROTOCOL_ERROR,), begin=False)


@v5("values that a property cannot have are refused [4.13.1-1]")
def _():
    ended_each(5, {
        "payload_format 2": publish(5, "a", b"x", payload_format=2),
        "subscription_id 0": subscribe(5, 1, [("a", 0)], subscription_id=0)},
               BAD)
    ended_each(5, {name: connect(5, fresh("c"), **{name: value}) for name, value in (
        ("receive_maximum", 0), ("maximum_packet_size", 0), ("request_response", 2),
        ("request_problem", 2))}, BAD, begin=False)


@v5("properties that end too early or too late are malformed packets [2.2.2-1]")
def _():
    ended_each(5, {
        "longer than the packet": publish(5, "a", b"", raw=b"\x09\x01\0"),
        "half a value": publish(5, "a", b"x", raw=b"\x03\x02\0\0"),
        "half a text": publish(5, "a", b"x", raw=b"\x04\x03\0\5a"),
        "half a pair": publish(5, "a", b"x", raw=b"\x04\x26\0\1a"),
        "no length": frame("PUBLISH", text("a")),
        "no length in SUBSCRIBE": frame("SUBSCRIBE", u16(1))}, BAD)


@v5("a subscription id in a PUBLISH of a client is a protocol error [3.3.4-6]")
def _():
    ended_each(5, {"it": publish(5, "a", b"x", subscription_id=1)}, BAD)


@v5("wildcards in a response topic are a protocol error [3.3.2-14]")
def _():
    ended_each(5, {topic: publish(5, "a", b"x", response_topic=topic) for topic in ("a/+", "#")},
               (*BAD, 0x90))


@v5("acknowledgements with a reason and properties are taken [2.2.2-1]")
def _():
    topic = fresh()
    with BROKER.client(5) as c:
        c.subscribe(topic, qos=2)
        said = properties({"reason_string": "fine", "user_property": [("a", "1"), ("a", "2")]})
        c.publish(topic, b"one", 1)
        c.send(frame("PUBACK", u16(c.message(ack=False).id), b"\x10", said))
        c.publish(topic, b"two", 2)
        packet_id = c.message(ack=False).id
        c.send(frame("PUBREC", u16(packet_id), b"\0", said))
        c.wait("PUBREL", packet_id)
        c.send(frame("PUBCOMP", u16(packet_id), b"\0", said))
        packet_id = c.put(topic, b"three", 2)
        c.wait("PUBREC", packet_id)
        c.send(frame("PUBREL", u16(packet_id), b"\0", said))
        c.wait("PUBCOMP", packet_id)
        equal(c.message().payload, b"three")
        c.nothing()


# ---- sizes ---------------------------------------------------------------------------------------


@both("every length of the remaining length works [2.3.1-6 | 2.2.1-5]")
def _(level):
    topic = fresh()
    head = len(publish(level, topic, b"", 1, packet_id=1)) - 2
    with BROKER.client(level) as c:
        c.subscribe(topic, qos=1)
        for size in (127, 128, 16383, 16384, 2097151, 2097152):
            payload = bytes(range(256)) * (size // 256 + 1)
            payload = payload[:size - head]
            equal(len(publish(level, topic, payload, 1, packet_id=1)) - 1 - len(varint(size)), size)
            c.publish(topic, payload, 1)
            assert c.message().payload == payload, f"{size} bytes came otherwise"
        c.nothing()


@both("topics of 255 bytes and of many levels work, and longer ones are refused [4.7.3-3]")
def _(level):
    with BROKER.client(level) as c:
        for topic in (fresh().ljust(255, "x"), fresh() + "/x" * 100):
            c.subscribe(topic)
            c.publish(topic, b"x")
            equal(c.message().topic, topic)
    only_lodge("others take longer ones")
    long = "x" * 256
    with BROKER.client(level) as c:
        equal(c.subscribe(long), [0x8F if level == 5 else 0x80])
    if level == 5:
        with BROKER.client(level) as c:
            equal(c.publish(long, b"x", 1).reason, 0x90)
    c = BROKER.client(level)
    c.put(long, b"x")
    c.closed(0x90)
