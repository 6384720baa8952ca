# SPDX-License-Identifier: MIT
"""An MQTT client that hides nothing, and the server that it talks to.

    with BROKER.client(5, session_expiry=60) as c:     # connected; level 4 is 3.1.1
        c.subscribe("a/#", qos=2)
        c.publish("a/b", b"x", qos=1)                  # waits for the PUBACK
        equal(c.message().payload, b"x")               # acknowledges it
        c.put("a/b", b"y", qos=2)                      # only sends
        equal(c.wait("PUBREC").reason, 0)

    @both("a second CONNECT closes the connection [3.1.0-2]")       # f(level), twice
    @v5("packets over the client's maximum are left out [3.1.2-24]")
    @v3("MQIsdp is served [3.1.2-1]")

Clauses are written [of both], or [of 3.1.1 | of 5.0].  What comes from the server is decoded
strictly: each packet has to be well-formed, its properties and reason codes of its kind.

The server is a lodged of the tests' own, or what listens at $MQTT_PORT (mosquitto, by which they
were written); MQTT_REFUSED names a topic filter that may not be subscribed to there."""
import collections
import concurrent.futures
import os
import re
import signal
import socket
import struct
import sys
import time
import types

from amqp_lib import (HERE, PATIENCE, Lodged, Skip, equal, free_port, fresh, need, scratch,
                      wait_for)
import lib
from lib import Closed

__all__ = ["BROKER", "HERE", "NEVER", "PATIENCE", "QUIET", "Client", "Closed", "Mqtt", "Skip",
           "both", "connect", "equal", "frame", "fresh", "need", "only_lodge", "options",
           "persistent", "properties", "publish", "run", "scratch", "subscribe", "text", "together",
           "u16", "u32", "v3", "v5", "varint", "wait_for", "will"]

QUIET = 0.15  # seconds in which what must not come would have come
NEVER = 0xFFFFFFFF  # a session expiry interval

KINDS = ["", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE",
         "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"]
FLAGS = {"PUBREL": 2, "SUBSCRIBE": 2, "UNSUBSCRIBE": 2}  # of the fixed header; of others 0

PROPERTIES = {
    "payload_format": (0x01, "byte"), "message_expiry": (0x02, "u32"),
    "content_type": (0x03, "text"), "response_topic": (0x08, "text"),
    "correlation_data": (0x09, "data"), "subscription_id": (0x0B, "varint"),
    "session_expiry": (0x11, "u32"), "assigned_client_id": (0x12, "text"),
    "server_keep_alive": (0x13, "u16"), "auth_method": (0x15, "text"),
    "auth_data": (0x16, "data"), "request_problem": (0x17, "byte"),
    "will_delay": (0x18, "u32"), "request_response": (0x19, "byte"),
    "response_information": (0x1A, "text"), "server_reference": (0x1C, "text"),
    "reason_string": (0x1F, "text"), "receive_maximum": (0x21, "u16"),
    "topic_alias_maximum": (0x22, "u16"), "topic_alias": (0x23, "u16"),
    "maximum_qos": (0x24, "byte"), "retain_available": (0x25, "byte"),
    "user_property": (0x26, "pair"), "maximum_packet_size": (0x27, "u32"),
    "wildcard_available": (0x28, "byte"), "subscription_ids_available": (0x29, "byte"),
    "shared_available": (0x2A, "byte")}
NAMES = {code: name for name, (code, _) in PROPERTIES.items()}
MANY = {"user_property", "subscription_id"}  # may be there more than once; lists here

ACK_PROPERTIES = {"reason_string", "user_property"}
MAY_HOLD = {  # what a server may send
    "CONNACK": ACK_PROPERTIES | {
        "session_expiry", "assigned_client_id", "server_keep_alive", "auth_method", "auth_data",
        "response_information", "server_reference", "receive_maximum", "topic_alias_maximum",
        "maximum_qos", "retain_available", "maximum_packet_size", "wildcard_available",
        "subscription_ids_available", "shared_available"},
    "PUBLISH": {"payload_format", "message_expiry", "content_type", "response_topic",
                "correlation_data", "subscription_id", "topic_alias", "user_property"},
    "DISCONNECT": ACK_PROPERTIES | {"server_reference"},
    "AUTH": ACK_PROPERTIES | {"auth_method", "auth_data"}}

PUBLISHED = {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}
RELEASED = {0x00, 0x92}
REASONS = {  # of MQTT 5.0, those that a server may send
    "CONNACK": {0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90,
                0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F},
    "PUBACK": PUBLISHED, "PUBREC": PUBLISHED, "PUBREL": RELEASED, "PUBCOMP": RELEASED,
    "SUBACK": {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2},
    "UNSUBACK": {0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91},
    "DISCONNECT": {0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93,
                   0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0,
                   0xA1, 0xA2},
    "AUTH": {0x00, 0x18}}
REASONS_3 = {"CONNACK": {0, 1, 2, 3, 4, 5}, "SUBACK": {0, 1, 2, 0x80}}


# ---- encoding ------------------------------------------------------------------------------------


def u16(n):
    return struct.pack(">H", n)


def u32(n):
    return struct.pack(">I", n)


def varint(n):
    out = bytearray()
    while True:
        n, low = divmod(n, 128)
        out.append(low | (0x80 if n else 0))
        if not n:
            return bytes(out)


def data(b):
    return u16(len(b)) + b


def text(s):
    """A string; bytes are taken as they are, to send what is not UTF-8."""
    return data(s.encode() if isinstance(s, str) else s)


ENCODE = {"byte": lambda n: bytes([n]), "u16": u16, "u32": u32, "varint": varint, "text": text,
          "data": data, "pair": lambda pair: text(pair[0]) + text(pair[1])}


def properties(props):
    """Their encoding with its length.  Bytes are taken as they are; a list repeats a property."""
    if isinstance(props, bytes):
        return props
    out = b""
    for name, value in props.items():
        code, kind = PROPERTIES[name]
        for each in value if isinstance(value, list) else [value]:
            out += bytes([code]) + ENCODE[kind](each)
    return varint(len(out)) + out


def frame(kind, *parts, flags=None):
    """A packet: kind is a name or a number."""
    body = b"".join(parts)
    if isinstance(kind, str):
        flags = FLAGS.get(kind, 0) if flags is None else flags
        kind = KINDS.index(kind)
    return bytes([kind << 4 | (flags or 0)]) + varint(len(body)) + body


def will(topic, payload=b"", qos=0, retain=False, **props):
    return topic, payload, qos, retain, props


def connect(level, client_id="", clean=True, keep_alive=0, the_will=None, login=None,
            password=None, flags=0, protocol="MQTT", **props):
    """flags: bits beside those that the arguments set."""
    flags |= 2 * clean
    payload = [text(client_id)]
    if the_will:
        topic, body, qos, retain, will_props = the_will
        flags |= 4 | qos << 3 | retain << 5
        payload += [properties(will_props)] * (level == 5) + [text(topic), data(body)]
    if login is not None:
        flags |= 0x80
        payload.append(text(login))
    if password is not None:
        flags |= 0x40
        payload.append(text(password))
    return frame("CONNECT", text(protocol), bytes([level, flags]), u16(keep_alive),
                 *[properties(props)] * (level == 5), *payload)


def publish(level, topic, payload=b"", qos=0, retain=False, dup=False, packet_id=0, raw=None,
            **props):
    """raw: bytes in the place of the properties."""
    return frame("PUBLISH", text(topic), u16(packet_id) if qos else b"",
                 *[properties(props if raw is None else raw)] * (level == 5), payload,
                 flags=dup << 3 | qos << 1 | retain)


def options(qos=0, no_local=False, as_published=False, handling=0):
    """Of a subscription."""
    return qos | no_local << 2 | as_published << 3 | handling << 4


def subscribe(level, packet_id, filters, **props):
    """filters: pairs of a filter and its options."""
    return frame("SUBSCRIBE", u16(packet_id), *[properties(props)] * (level == 5),
                 *[text(f) + bytes([o]) for f, o in filters])


# ---- decoding ------------------------------------------------------------------------------------


class Packet(types.SimpleNamespace):
    """kind, and by kind: topic, payload, qos, retain, dup; id; reason; codes; present; props."""


class Reader:
    """Takes values off the front of a packet's body."""

    def __init__(self, body):
        self.body = body

    def take(self, n):
        assert n <= len(self.body), f"the packet ends early: {n} bytes more were announced"
        got, self.body = self.body[:n], self.body[n:]
        return got

    def byte(self):
        return self.take(1)[0]

    def u16(self):
        return struct.unpack(">H", self.take(2))[0]

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def varint(self):
        n = shift = 0
        while True:
            b = self.byte()
            n |= (b & 127) << shift
            if not b & 128:
                assert b or not shift, "a number of more bytes than it needs"
                return n
            shift += 7
            assert shift < 28, "a number of more than four bytes"

    def data(self):
        return self.take(self.u16())

    def text(self):
        s = self.data().decode()
        assert "\0" not in s, "a string that holds U+0000"
        return s

    def pair(self):
        return self.text(), self.text()

    def properties(self, kind):
        inner, out = Reader(self.take(self.varint())), {}
        while inner.body:
            name = NAMES[inner.varint()]
            assert name in MAY_HOLD.get(kind, ACK_PROPERTIES), f"{name} in {kind}"
            value = getattr(inner, PROPERTIES[name][1])()
            if name in MANY:
                out.setdefault(name, []).append(value)
            else:
                assert name not in out, f"{name} twice in {kind}"
                out[name] = value
        return out


def reason_of(level, kind, code):
    allowed = (REASONS if level == 5 else REASONS_3)[kind]
    assert code in allowed, f"reason {code:#x} in {kind}"
    return code


def decode(level, first, body):
    """A packet from a server."""
    kind, flags, r = KINDS[first >> 4], first & 15, Reader(body)
    assert kind == "PUBLISH" or flags == FLAGS.get(kind, 0), f"flags {flags} in {kind}"
    p = Packet(kind=kind, props={}, size=1 + len(varint(len(body))) + len(body))
    if kind == "CONNACK":
        p.present = r.byte()
        assert p.present in (0, 1), f"CONNACK flags {p.present:#x}"
        p.reason = reason_of(level, kind, r.byte())
        if level == 5:
            p.props = r.properties(kind)
    elif kind == "PUBLISH":
        p.dup, p.qos, p.retain = bool(flags & 8), flags >> 1 & 3, bool(flags & 1)
        assert p.qos < 3 and not (p.dup and not p.qos), f"PUBLISH flags {flags:#x}"
        p.topic, p.id = r.text(), r.u16() if p.qos else 0
        assert p.id or not p.qos, "a PUBLISH of packet id 0"
        if level == 5:
            p.props = r.properties(kind)
        p.payload = r.take(len(r.body))
    elif kind in ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP"):
        p.id, p.reason = r.u16(), 0
        if level == 5 and r.body:
            p.reason = reason_of(level, kind, r.byte())
            p.props = r.properties(kind) if r.body else {}
    elif kind in ("SUBACK", "UNSUBACK"):
        p.id = r.u16()
        if level == 5:
            p.props = r.properties(kind)
        if level == 5 or kind == "SUBACK":
            p.codes = [reason_of(level, kind, code) for code in r.take(len(r.body))]
    elif kind in ("DISCONNECT", "AUTH") and level == 5:
        p.reason = reason_of(level, kind, r.byte()) if r.body else 0
        p.props = r.properties(kind) if r.body else {}
    else:
        assert kind == "PINGRESP", f"the server sent {kind}"
    assert not r.body, f"{kind} goes on for {len(r.body)} bytes"
    return p


# ---- the client ----------------------------------------------------------------------------------


class Client:
    """A connection.  PUBLISH packets that come while another is awaited wait in the inbox."""

    def __init__(self, port, level=4):
        self.level, self.client_id, self.connack = level, None, None
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.inbox = bytearray(), collections.deque()
        self.aliases, self.last_id = {}, 0

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.socket.close()
        else:
            self.drop()

    def drop(self):
        """The network fails, and the server has noticed."""
        try:
            self.socket.settimeout(PATIENCE)
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(65536):
                pass
        except OSError:
            pass
        self.socket.close()

    def send(self, *packets):
        try:
            self.socket.sendall(b"".join(packets))
        except ConnectionError:
            pass  # what was sent before that is still to be read

    def _whole(self):
        """The first packet of the buffer, or None."""
        b, at, n = self.buffer, 1, 0
        while True:
            if at >= len(b):
                return None
            n |= (b[at] & 127) << 7 * (at - 1)
            at += 1
            if not b[at - 1] & 128:
                break
            assert at < 5, "a remaining length of more than four bytes"
        if len(b) < at + n:
            return None
        first, body = b[0], bytes(b[at:at + n])
        del b[:at + n]
        return decode(self.level, first, body)

    def packet(self, patience=PATIENCE):
        """The next packet, or None if none comes.  Raises Closed."""
        end = time.monotonic() + patience
        while True:
            p = self._whole()
            if p:
                return p
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                got = self.socket.recv(65536)
            except TimeoutError:
                return None
            except ConnectionError:
                got = b""
            if not got:
                raise Closed("by the server")
            self.buffer += got

    def wait(self, kind, packet_id=None):
        """The next packet that is no PUBLISH, which has to be of that kind."""
        while True:
            p = self.packet()
            assert p, f"no {kind} came"
            if p.kind == "PUBLISH" and kind != "PUBLISH":
                self.inbox.append(p)
                continue
            assert p.kind == kind, f"{p} came, not {kind}"
            assert packet_id is None or p.id == packet_id, f"{p} came, not that of {packet_id}"
            return p

    def closed(self, *reasons, patience=PATIENCE):
        """The server closes; in 5.0 after a DISCONNECT or CONNACK of one of the reasons.

        That it tells the reason is a SHOULD; lodged has to."""
        last, end = None, time.monotonic() + patience
        try:
            while time.monotonic() < end:
                p = self.packet(end - time.monotonic())
                assert not (last and last.kind == "DISCONNECT"), f"{p} came after {last}"
                last = p if p and p.kind in ("CONNACK", "DISCONNECT") else last
        except Closed:
            if self.level == 5 and reasons and (last or BROKER.is_lodge):
                assert last, "closed without a reason"
                shown = ", ".join(f"{r:#x}" for r in reasons)
                assert last.reason in reasons, f"closed by {last}, wanted {shown}"
            return last
        raise AssertionError("the connection stayed open")

    def refused(self, *reasons, patience=PATIENCE):
        """... in 5.0 after one of the reasons or none: a server may say why, but need not."""
        last = self.closed(patience=patience)
        assert not last or last.reason in reasons, f"closed by {last}"

    def everything(self):
        """The bytes that come until the server closes."""
        out = bytes(self.buffer)
        self.socket.settimeout(PATIENCE)
        try:
            while got := self.socket.recv(65536):
                out += got
        except ConnectionError:
            pass
        return out

    def connect(self, client_id="", **more):
        """Sends CONNECT and returns the CONNACK."""
        self.client_id = client_id
        self.send(connect(self.level, client_id, **more))
        self.connack = self.packet()
        assert self.connack and self.connack.kind == "CONNACK", f"first came {self.connack}"
        return self.connack

    def new_id(self):
        self.last_id += 1
        return self.last_id

    def put(self, topic, payload=b"", qos=0, packet_id=None, **more):
        """Sends a PUBLISH and returns its packet id."""
        if qos and packet_id is None:
            packet_id = self.new_id()
        self.send(publish(self.level, topic, payload, qos, packet_id=packet_id, **more))
        return packet_id

    def publish(self, topic, payload=b"", qos=0, **more):
        """... and waits until the server has it; returns the PUBACK or PUBREC."""
        packet_id = self.put(topic, payload, qos, **more)
        if not qos:
            return None
        answer = self.wait("PUBREC" if qos == 2 else "PUBACK", packet_id)
        if qos == 2 and answer.reason < 0x80:
            self.release(packet_id)
        return answer

    def release(self, packet_id):
        """The second half of QoS 2."""
        self.ack("PUBREL", packet_id)
        return self.wait("PUBCOMP", packet_id)

    def ack(self, kind, packet_id, reason=None):
        self.send(frame(kind, u16(packet_id), b"" if reason is None else bytes([reason])))

    def subscribe(self, *filters, qos=0, no_local=False, as_published=False, handling=0, **props):
        """filters: or pairs with options().  Returns the reason codes."""
        each = options(qos, no_local, as_published, handling)
        pairs = [f if isinstance(f, tuple) else (f, each) for f in filters]
        packet_id = self.new_id()
        self.send(subscribe(self.level, packet_id, pairs, **props))
        codes = self.wait("SUBACK", packet_id).codes
        equal(len(codes), len(pairs), "reason codes")
        return codes

    def unsubscribe(self, *filters):
        """Returns the reason codes, in 5.0."""
        packet_id = self.new_id()
        self.send(frame("UNSUBSCRIBE", u16(packet_id), b"\0" * (self.level == 5),
                        *[text(f) for f in filters]))
        ack = self.wait("UNSUBACK", packet_id)
        return ack.codes if self.level == 5 else None

    def message(self, ack=True, patience=PATIENCE):
        """The next PUBLISH; its topic is filled in if it is an alias.  ack: all of its QoS."""
        p = self.inbox.popleft() if self.inbox else self.packet(patience)
        assert p, "no message came"
        assert p.kind == "PUBLISH", f"{p} came, not a message"
        alias = p.props.get("topic_alias")
        if alias is not None and p.topic:
            self.aliases[alias] = p.topic
        elif alias is not None:
            p.topic = self.aliases[alias]
        if ack and p.qos == 1:
            self.ack("PUBACK", p.id)
        elif ack and p.qos == 2:
            self.ack("PUBREC", p.id)
            self.wait("PUBREL", p.id)
            self.ack("PUBCOMP", p.id)
        return p

    def messages(self, n, **more):
        return [self.message(**more) for _ in range(n)]

    def payloads(self, n, **more):
        """Of the next n messages; no more come."""
        got = [p.payload for p in self.messages(n, **more)]
        self.nothing()
        return got

    def nothing(self, quiet=QUIET):
        """No message has come, nor comes."""
        self.ping()
        p = self.inbox[0] if self.inbox else self.packet(quiet)
        assert p is None, f"{p} came"

    def ping(self):
        self.send(frame("PINGREQ"))
        self.wait("PINGRESP")

    def disconnect(self, reason=None, **props):
        """Waits until the server has closed."""
        self.send(frame("DISCONNECT", b"" if reason is None else bytes([reason]),
                        properties(props) if props else b""))
        self.closed()


# ---- the server ----------------------------------------------------------------------------------


class Mqtt:
    """Where the tests connect.  The context manager starts lodged, unless another is named."""

    def __init__(self, *flags, **more):
        self.is_lodge, self.lodged = "MQTT_PORT" not in os.environ, None
        self.refused = os.environ.get("MQTT_REFUSED")
        if self.is_lodge:
            self.mqtt_port = free_port()
            self.lodged = Lodged("--mqtt", f"127.0.0.1:{self.mqtt_port}", *flags, **more)
        else:
            self.mqtt_port = int(os.environ["MQTT_PORT"])

    def start(self):
        if self.lodged:
            self.lodged.start()
            wait_for("the MQTT port", self._listening)

    def _listening(self):
        try:
            socket.create_connection(("127.0.0.1", self.mqtt_port), 1).close()
            return True
        except OSError:
            return False

    def stop(self, sig=signal.SIGKILL):
        """Ends it by that signal; start() starts it again with the same data."""
        if not self.lodged:
            raise Skip("the server is not ours to restart")
        self.lodged.stop(sig)

    def restart(self, sig=signal.SIGKILL):
        self.stop(sig)
        self.start()

    def raw(self, level=4):
        """A client that has not sent its CONNECT."""
        return Client(self.mqtt_port, level)

    def client(self, level=4, client_id=None, **more):
        """One that is connected; more: as of connect()."""
        c = self.raw(level)
        ack = c.connect(fresh("c") if client_id is None else client_id, **more)
        equal(ack.reason, 0, "CONNACK")
        return c

    def resume(self, level, client_id, **more):
        """A client of a session that stays; it is there already or is made."""
        return self.client(level, client_id, clean=False, **persistent(level), **more)

    def run(self):
        """Runs the cases of the file while the server is up."""
        with self:
            run()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *why):
        if self.lodged:
            self.lodged.__exit__(*why)


def persistent(level):
    """What 5.0 wants said so that a session outlives its connection."""
    return {"session_expiry": 600} if level == 5 else {}


BROKER = Mqtt()


def only_lodge(why="another server is tested"):
    if not BROKER.is_lodge:
        raise Skip(why)


# ---- cases ---------------------------------------------------------------------------------------

VERSIONS = {4: "3.1.1", 5: "5.0"}
_cases = []


def together(name):
    """As lib.case, but it may run while others do."""
    def register(f):
        _cases.append((name, f))
        return f
    return register


def _register(level, name, f):
    sentence, three, five = re.fullmatch(r"(.*) \[([^]|]+?)(?: \| ([^]]+))?\]", name).groups()
    clause = five if level == 5 and five else three
    together(f"MQTT {VERSIONS[level]}: {sentence} [{clause}]")(f)


def both(name):
    """Registers f(level) for 3.1.1 and for 5.0."""
    def register(f):
        for level in VERSIONS:
            _register(level, name, lambda level=level: f(level))
        return f
    return register


def v3(name):
    def register(f):
        _register(4, name, f)
        return f
    return register


def v5(name):
    def register(f):
        _register(5, name, f)
        return f
    return register


def run(at_once=16):
    """As lib.run, but several cases at a time: most of their time they wait.

    They have topics and client ids of their own, so that none is in another's way."""
    wanted = [(name, f) for name, f in _cases
              if not sys.argv[1:] or any(a in name for a in sys.argv[1:])]
    pool = concurrent.futures.ThreadPoolExecutor(at_once)
    for name, f in wanted:
        lib.case(name)(pool.submit(f).result)
    lib.run()
