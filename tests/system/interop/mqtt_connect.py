# SPDX-License-Identifier: MIT
"""Cases of test_mqtt.py: CONNECT, CONNACK, keep alive, DISCONNECT."""
import os
import time

from mqtt_lib import (BROKER, NEVER, PATIENCE, Closed, both, connect, equal, frame, fresh,
                      only_lodge, persistent, properties, publish, subscribe, text, u16, v3, v5,
                      will)

# ---- the first packet ----------------------------------------------------------------------------


@both("a packet before CONNECT closes the connection, and nothing is said [3.1.0-1]")
def _(level):
    for first in (frame("PINGREQ"), publish(level, "a", b"x"), subscribe(level, 1, [("a", 0)]),
                  frame("DISCONNECT"), frame("CONNACK", b"\0\0", b"\0" * (level == 5))):
        c = BROKER.raw(level)
        c.send(first)
        equal(c.everything(), b"", f"after {first!r}")


@both("a second CONNECT closes the connection [3.1.0-2]")
def _(level):
    c = BROKER.client(level)
    c.send(connect(level, c.client_id))
    c.closed(0x82)


@both("a protocol name that is not MQTT closes the connection [3.1.2-1]")
def _(level):
    for name in ("hj", "", "mqtt", "MQTT ", "MQT"):
        c = BROKER.raw(level)
        c.send(connect(level, fresh("c"), protocol=name))
        got = c.everything()
        assert got in (b"", b"\x20\x02\0\x01", b"\x20\x03\0\x84\0"), f"{name}: {got!r} came"


@both("a protocol level that there is not is answered so, and closes [3.1.2-2]")
def _(level):
    for wrong in (0, 2, 3, 6, 127):
        c = BROKER.raw(level)
        c.send(frame("CONNECT", text("MQTT"), bytes([wrong, 2]), u16(0), b"\0" * (level == 5),
                     text(fresh("c"))))
        got = c.everything()
        assert got in (b"\x20\x02\0\x01", b"\x20\x03\0\x84\0"), f"level {wrong}: {got!r} came"


@v3("MQIsdp of level 3 is served, with QoS 2 [3.1.2-1]")
def _():
    with BROKER.client(3, protocol="MQIsdp") as c:
        topic = fresh()
        equal(c.subscribe(topic, qos=2), [2])
        c.publish(topic, b"x", qos=2)
        equal(c.message().payload, b"x")


@both("the reserved connect flag closes the connection [3.1.2-3]")
def _(level):
    c = BROKER.raw(level)
    c.send(connect(level, fresh("c"), flags=1))
    c.refused(0x81)


@both("flags of a will that is not there close the connection "
      "[3.1.2-11, 3.1.2-13, 3.1.2-15 | 3.1.2-11, 3.1.2-13]")
def _(level):
    for flags in (0x08, 0x10, 0x20):
        c = BROKER.raw(level)
        c.send(connect(level, fresh("c"), flags=flags))
        c.refused(0x81, 0x82)


@both("a will of QoS 3 closes the connection [3.1.2-14 | 3.1.2-12]")
def _(level):
    c = BROKER.raw(level)
    c.send(connect(level, fresh("c"), the_will=will("t", b"", 3)))
    c.refused(0x81, 0x82)


@v3("a password without a user name closes the connection [3.1.2-22]")
def _():
    c = BROKER.raw(4)
    c.send(connect(4, fresh("c"), password=b"x"))
    c.closed()


@both("fields that are missing, cut short or left over close the connection [3.1.4-1]")
def _(level):
    whole = connect(level, fresh("c"), the_will=will("t", b"x"), login="guest", password=b"guest")
    bodies = [whole[2:2 + n] for n in (0, 1, 5, 6, 7, 8, 9, 11, 14, len(whole) - 3)]
    bodies += [connect(level, fresh("c"), flags=f)[2:] for f in (0x80, 0x04, 0xC0)]
    bodies.append(connect(level, fresh("c"))[2:] + b"x")
    for body in bodies:
        c = BROKER.raw(level)
        c.send(frame("CONNECT", body))
        last = c.closed()
        assert not last or last.reason in (0x81, 0x82), f"{last} after {body!r}"
        assert level == 5 or not last, f"{last} after {body!r}"


@both("nothing sent behind a CONNECT that is refused is done [3.1.4-5 | 3.1.4-6]")
def _(level):
    topic = fresh()
    c = BROKER.raw(level)
    bad = connect(5, fresh("c"), auth_method="?") if level == 5 else connect(4, "", clean=False)
    c.send(bad + publish(level, topic, b"x", retain=True))
    assert c.closed().reason
    with BROKER.client(level) as d:
        d.subscribe(topic)
        d.nothing()


@both("what is sent behind CONNECT without waiting is done [3.1.4-4 | 3.1.4-5]")
def _(level):
    topic = fresh()
    with BROKER.raw(level) as c:
        c.send(connect(level, fresh("c")), subscribe(level, 7, [(topic, 2)]),
               publish(level, topic, b"x", qos=1, packet_id=8))
        equal([c.packet().kind, c.wait("SUBACK").id, c.wait("PUBACK").id], ["CONNACK", 7, 8])
        equal(c.message().payload, b"x")


@both("packets may come a byte at a time [3.1.4-4 | 3.1.4-5]")
def _(level):
    topic = fresh()
    with BROKER.raw(level) as c:
        for b in (connect(level, fresh("c")) + subscribe(level, 7, [(topic, 2)]) +
                  publish(level, topic, b"x" * 150, qos=1, packet_id=8) + frame("PINGREQ")):
            c.send(bytes([b]))
        equal(c.packet().kind, "CONNACK")
        got = [c.packet() for _ in range(4)]  # what waits for the disk may come after what does not
        equal(sorted(p.kind for p in got), ["PINGRESP", "PUBACK", "PUBLISH", "SUBACK"])
        equal([p.id for p in got if p.kind in ("SUBACK", "PUBACK")], [7, 8])


# ---- client identifiers --------------------------------------------------------------------------


@both("client ids of 1 to 23 letters and digits are taken, and others [3.1.3-5]")
def _(level):
    for name in (os.urandom(11).hex() + "Z", f"{level}", fresh("long") * 10,
                 fresh() + " é/#+$日本"):
        with BROKER.client(level, name) as c:
            c.ping()


@both("client ids are told apart by their bytes [3.1.3-2]")
def _(level):
    name, topic = fresh("c") + "-abc", fresh()
    with BROKER.resume(level, name) as c:
        c.subscribe(topic)
        for other in (name.upper(), name + " ", name[:-1]):
            with BROKER.client(level, other, clean=False) as d:
                equal(d.connack.present, 0)
        c.ping()


@both("a session belongs to its client id, at whichever level [3.1.3-2]")
def _(level):
    name, topic = fresh("c"), fresh()
    with BROKER.resume(level, name) as c:
        c.subscribe(topic, qos=1)
        c.disconnect()
    with BROKER.client(level) as d:
        d.publish(topic, b"x", qos=1)
    with BROKER.resume(9 - level, name) as c:
        equal(c.connack.present, 1)
        equal(c.message().payload, b"x")


@both("without a client id, one is made up that nobody else has [3.1.3-6 | 3.1.3-6, 3.2.2-16]")
def _(level):
    with BROKER.client(level, "") as c, BROKER.client(level, "") as d:
        c.ping()
        d.ping()
        if level == 5:
            names = [each.connack.props["assigned_client_id"] for each in (c, d)]
            assert names[0] != names[1] and all(names), names


@v3("without a client id and with a session to keep, it is refused [3.1.3-8]")
def _():
    c = BROKER.raw(4)
    equal((c.connect("", clean=False).reason, c.connack.present), (2, 0))
    c.closed()


@v5("an assigned client id leads back to its session [3.1.3-7]")
def _():
    with BROKER.client(5, "", session_expiry=60) as c:
        name = c.connack.props["assigned_client_id"]
        c.disconnect()
    with BROKER.client(5, name, clean=False) as c:
        equal(c.connack.present, 1)
        assert "assigned_client_id" not in c.connack.props


@v5("without a client id and with a session to resume, a new one starts or it is refused "
    "[3.1.3-6, 3.1.3-8]")
def _():
    c = BROKER.raw(5)
    ack = c.connect("", clean=False)
    if ack.reason:
        equal((ack.reason, ack.present), (0x85, 0))
        c.closed()
    else:
        assert not ack.present and ack.props["assigned_client_id"], ack


# ---- take-over -----------------------------------------------------------------------------------


@both("a second connection of a client id takes over from the first [3.1.4-2 | 3.1.4-3]")
def _(level):
    name, topic = fresh("c"), fresh()
    with BROKER.client(level) as d, BROKER.resume(level, name) as old:
        old.subscribe(topic, qos=1)
        with BROKER.resume(level, name) as new:
            equal(new.connack.present, 1)
            old.closed(0x8E)
            d.publish(topic, b"x", qos=1)
            equal(new.message().payload, b"x")
            new.nothing()


@both("who takes over starts clean if it says so [3.1.2-6 | 3.1.2-4]")
def _(level):
    name, topic = fresh("c"), fresh()
    with BROKER.resume(level, name) as old, BROKER.client(level) as d:
        old.subscribe(topic, qos=1)
        with BROKER.client(level, name) as new:
            equal(new.connack.present, 0)
            old.closed(0x8E)
            d.publish(topic, b"x", qos=1)
            new.nothing()


# ---- session present -----------------------------------------------------------------------------


@both("session present says what there is [3.2.2-1, 3.2.2-2, 3.2.2-3 | 3.2.2-2, 3.2.2-3]")
def _(level):
    name, seen = fresh("c"), []
    for clean in (False, False, True, False, False, True, True):
        with BROKER.client(level, name, clean=clean, **persistent(level)) as c:
            seen.append(c.connack.present)
            c.disconnect()
    # after a clean session of 3.1.1 nothing is left; one of 5.0 lasts as long as was asked for
    equal(seen, [0, 1, 0, 0, 1, 0, 0] if level == 4 else [0, 1, 0, 1, 1, 0, 0])


@both("a refusal says that there is no session, and closes "
      "[3.2.2-4, 3.2.2-5 | 3.2.2-6, 3.2.2-7]")
def _(level):
    name = fresh("c")
    with BROKER.resume(level, name) as c:
        c.disconnect()
    c = BROKER.raw(level)
    if level == 5:
        equal(c.connect(name, clean=False, auth_method="?").reason, 0x8C)
    else:
        equal(c.connect("", clean=False).reason, 2)
    equal(c.connack.present, 0)
    c.closed()


# ---- CONNACK of 5.0 ------------------------------------------------------------------------------


@v5("all that a server may leave out is there [3.2.2-9]")
def _():
    with BROKER.client(5) as c:
        for name in ("retain_available", "wildcard_available", "subscription_ids_available",
                     "shared_available"):
            equal(c.connack.props.get(name, 1), 1, name)
        assert "maximum_qos" not in c.connack.props
        assert c.connack.props.get("receive_maximum", 65535) > 0


@v5("no response information is given to who did not ask [3.1.2-28]")
def _():
    for asked in ({}, {"request_response": 0}):
        with BROKER.client(5, **asked) as c:
            assert "response_information" not in c.connack.props


@v5("a session expiry that the server does not grant is said [3.1.2-23]")
def _():
    for asked in (1, 60, NEVER):
        name = fresh("c")
        with BROKER.client(5, name, session_expiry=asked) as c:
            assert 0 < c.connack.props.get("session_expiry", asked) <= asked, c.connack
        with BROKER.client(5, name, clean=False) as c:  # it is 0 where not given
            equal(c.connack.props.get("session_expiry", 0), 0)


# ---- who is it -----------------------------------------------------------------------------------


@v5("an authentication method that there is not is refused [4.12.0-1]")
def _():
    for more in ({}, {"auth_data": b"x"}):
        c = BROKER.raw(5)
        assert c.connect(fresh("c"), auth_method="SCRAM-SHA-1", **more).reason in (0x8C, 0x87)
        c.closed()


@v5("authentication data without a method is a protocol error [3.1.4-1]")
def _():
    c = BROKER.raw(5)
    c.send(connect(5, fresh("c"), auth_data=b"x"))
    c.refused(0x82)


@v5("AUTH where no method was agreed on is a protocol error [4.12.0-7]")
def _():
    for body in (b"", b"\x18\0", b"\x19" + properties({"auth_method": "x"})):
        c = BROKER.client(5)
        c.send(frame("AUTH", body))
        c.closed(0x82)


@both("a wrong password is refused, and the right one is not [3.2.2-5 | 3.1.4-2]")
def _(level):
    only_lodge()
    for login, password in (("guest", b"wrong"), ("nobody", b"guest"), ("guest", b"")):
        c = BROKER.raw(level)
        ack = c.connect(fresh("c"), login=login, password=password)
        assert ack.reason in ((0x86, 0x87) if level == 5 else (4, 5)), ack
        equal(ack.present, 0)
        c.closed()
    with BROKER.client(level, login="guest", password=b"guest") as c:
        c.ping()


# ---- keep alive ----------------------------------------------------------------------------------


@both("silence of one and a half times the keep alive is the end [3.1.2-24 | 3.1.2-22]")
def _(level):
    gone = fresh()
    with BROKER.client(level) as watch:
        watch.subscribe(gone)
        began = time.monotonic()
        c = BROKER.client(level, keep_alive=1, the_will=will(gone, b"will"))
        last = c.closed()
        allowed = c.connack.props.get("server_keep_alive", 1)
        assert time.monotonic() - began > allowed, "closed too early"
        assert not last or last.reason == 0x8D, last
        equal(watch.message().payload, b"will")


@both("what the server sends is no sign of life of the client [3.1.2-24 | 3.1.2-22]")
def _(level):
    topic = fresh()
    with BROKER.client(level) as d, BROKER.client(level, keep_alive=1) as c:
        c.subscribe(topic)
        end = time.monotonic() + PATIENCE
        try:
            while time.monotonic() < end:
                d.publish(topic, b"x")
                c.packet(0.3)
        except Closed:
            return
        raise AssertionError("the connection stayed open")


@both("every packet of the client is a sign of life, not PINGREQ alone [3.1.2-24 | 3.1.2-22]")
def _(level):
    topic = fresh()
    with BROKER.client(level, keep_alive=2) as c:
        for _ in range(8):
            c.publish(topic, b"x")
            time.sleep(0.6)
        c.ping()


@both("a keep alive of 0 is none [3.1.2-24 | 3.2.2-22]")
def _(level):
    with BROKER.client(level, keep_alive=0) as c:
        assert c.packet(4) is None
        c.ping()


@both("PINGREQ is answered with PINGRESP [3.12.4-1]")
def _(level):
    with BROKER.client(level) as c:
        for _ in range(3):
            c.ping()
        c.send(frame("PINGREQ") * 50)
        for _ in range(50):
            c.wait("PINGRESP")


# ---- DISCONNECT ----------------------------------------------------------------------------------


@both("the server closes after DISCONNECT and says no more [3.14.4-1 | 3.14.4-2]")
def _(level):
    c = BROKER.client(level)
    c.send(frame("DISCONNECT"))
    equal(c.everything(), b"")


@v5("DISCONNECT with a reason and properties is one [3.14.4-3]")
def _():
    gone = fresh()
    with BROKER.client(5) as watch, BROKER.client(5, the_will=will(gone)) as c:
        watch.subscribe(gone)
        c.disconnect(0, reason_string="enough", user_property=[("a", "1"), ("a", "2")],
                     session_expiry=0)
        watch.nothing()


@v5("a session expiry of 0 cannot be raised at DISCONNECT [3.14.2-2]")
def _():
    gone = fresh()
    with BROKER.client(5) as watch, BROKER.client(5, the_will=will(gone, b"will")) as c:
        watch.subscribe(gone)
        c.send(frame("DISCONNECT", b"\0", properties({"session_expiry": 60})))
        c.closed(0x82)
        equal(watch.message().payload, b"will")  # that was no normal DISCONNECT


@v5("a reason code that DISCONNECT has not is a malformed packet [3.14.2-1]")
def _():
    c = BROKER.client(5)
    c.send(frame("DISCONNECT", b"\x03\0"))
    c.closed(0x81, 0x82)
