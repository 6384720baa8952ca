# SPDX-License-Identifier: MIT
"""AMQP 0-9-1 as bytes: methods and contents out of a stream and into one, and a blocking client.

    with Amqp(("127.0.0.1", port)) as c:
        c.call("queue.declare", queue="a", durable=True)
        c.put("basic.publish", b"hello", routing_key="a")
        c.wait("basic.ack")"""
import collections
import socket
import struct

from wire import PATIENCE, Closed

FRAME_MAX = 131072
PERSISTENT = b"\x10\0\x02"    # the properties of a content: delivery-mode 2 and nothing else

# What the tests speak: class, method, arguments in wire order with their types.
_METHODS = {name: (struct.pack("!HH", *ids), [tuple(a.split(":")) for a in arguments.split()])
            for name, ids, arguments in (
    ("connection.start", (10, 10), "major:B minor:B properties:table mechanisms:long locales:long"),
    ("connection.start-ok", (10, 11), "properties:table mechanism:short response:long "
                                      "locale:short"),
    ("connection.tune", (10, 30), "channel_max:H frame_max:I heartbeat:H"),
    ("connection.tune-ok", (10, 31), "channel_max:H frame_max:I heartbeat:H"),
    ("connection.open", (10, 40), "vhost:short _1:short _2:bit"),
    ("connection.open-ok", (10, 41), "_1:short"),
    ("connection.close", (10, 50), "code:H text:short class_id:H method_id:H"),
    ("connection.close-ok", (10, 51), ""),
    ("channel.open", (20, 10), "_1:short"),
    ("channel.open-ok", (20, 11), "_1:long"),
    ("channel.close", (20, 40), "code:H text:short class_id:H method_id:H"),
    ("queue.declare", (50, 10), "_1:H queue:short passive:bit durable:bit exclusive:bit "
                                "auto_delete:bit nowait:bit arguments:table"),
    ("queue.declare-ok", (50, 11), "queue:short messages:I consumers:I"),
    ("queue.bind", (50, 20), "_1:H queue:short exchange:short routing_key:short nowait:bit "
                             "arguments:table"),
    ("queue.bind-ok", (50, 21), ""),
    ("basic.qos", (60, 10), "size:I count:H global:bit"),
    ("basic.qos-ok", (60, 11), ""),
    ("basic.consume", (60, 20), "_1:H queue:short tag:short no_local:bit no_ack:bit exclusive:bit "
                                "nowait:bit arguments:table"),
    ("basic.consume-ok", (60, 21), "tag:short"),
    ("basic.publish", (60, 40), "_1:H exchange:short routing_key:short mandatory:bit "
                                "immediate:bit"),
    ("basic.return", (60, 50), "code:H text:short exchange:short routing_key:short"),
    ("basic.deliver", (60, 60), "consumer:short tag:Q redelivered:bit exchange:short "
                                "routing_key:short"),
    ("basic.get", (60, 70), "_1:H queue:short no_ack:bit"),
    ("basic.get-ok", (60, 71), "tag:Q redelivered:bit exchange:short routing_key:short messages:I"),
    ("basic.get-empty", (60, 72), "_1:short"),
    ("basic.ack", (60, 80), "tag:Q multiple:bit"),
    ("basic.nack", (60, 120), "tag:Q multiple:bit requeue:bit"),
    ("confirm.select", (85, 10), "nowait:bit"),
    ("confirm.select-ok", (85, 11), ""),
    ("tx.select", (90, 10), ""),
    ("tx.select-ok", (90, 11), ""),
    ("tx.commit", (90, 20), ""),
    ("tx.commit-ok", (90, 21), ""),
    ("tx.rollback", (90, 30), ""),
    ("tx.rollback-ok", (90, 31), ""),
)}
_NAMES = {ids: name for name, (ids, _) in _METHODS.items()}
_WITH_CONTENT = {"basic.publish", "basic.deliver", "basic.return", "basic.get-ok"}
_FIXED = {"b": "b", "B": "B", "s": "h", "u": "H", "I": "i", "i": "I", "l": "q", "f": "f", "d": "d",
          "t": "?", "T": "Q"}    # field values that struct can read

# properties: of the content, as they came
Method = collections.namedtuple("Method", "channel name args headers body properties",
                                defaults=(b"",))


# ---- out

def _short(s):
    s = s.encode()
    return bytes([len(s)]) + s


def _long(b):
    return struct.pack("!I", len(b)) + b


def _table(values):
    """Values are strings, numbers and bools."""
    out = b""
    for key, v in values.items():
        out += _short(key) + (b"S" + _long(v.encode()) if isinstance(v, str) else
                              b"t" + bytes([v]) if isinstance(v, bool) else
                              struct.pack("!cq", b"l", v))
    return _long(out)


def _frame(kind, channel, payload):
    return struct.pack("!BHI", kind, channel, len(payload)) + payload + b"\xce"


def encode(channel, name, body=None, properties=PERSISTENT, **args):
    """Bytes of a method, and of its content when there is a body.  What is not named is 0."""
    ids, arguments = _METHODS[name]
    out = bytearray(ids)
    bits = 0    # in the last octet of out
    for arg, kind in arguments:
        if kind == "bit":
            if bits == 0:
                out.append(0)
            out[-1] |= bool(args.pop(arg, False)) << bits
            bits += 1
            continue
        bits = 0
        out += (_short(args.pop(arg, "")) if kind == "short" else
                _long(args.pop(arg, b"")) if kind == "long" else
                _table(args.pop(arg, {})) if kind == "table" else
                struct.pack("!" + kind, args.pop(arg, 0)))
    assert not args, f"{name} has no {args}"
    out = _frame(1, channel, out)
    if body is not None:
        out += _frame(2, channel, struct.pack("!HHQ", 60, 0, len(body)) + properties)
        for at in range(0, len(body), FRAME_MAX - 8):
            out += _frame(3, channel, body[at:at + FRAME_MAX - 8])
    return out


def hello(*channels):
    """All that a client says until those channels are open; no answer has to be awaited."""
    return (b"AMQP\0\0\x09\x01" +
            encode(0, "connection.start-ok", mechanism="PLAIN", response=b"\0guest\0guest",
                   locale="en_US") +
            encode(0, "connection.tune-ok", channel_max=100, frame_max=FRAME_MAX) +
            encode(0, "connection.open", vhost="/") +
            b"".join(encode(channel, "channel.open") for channel in channels))


# ---- in

class _Reader:
    def __init__(self, data):
        self.data, self.at = data, 0
        self.octet, self.bits = 0, 8  # bits: how many of the octet were read

    def take(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def fixed(self, kind):
        at = self.at
        self.at += struct.calcsize("!" + kind)
        return struct.unpack_from("!" + kind, self.data, at)[0]

    def long(self):
        return self.take(self.fixed("I"))

    def pairs(self):
        """Of a table, in their order."""
        fields, values = _Reader(self.long()), []
        while fields.at < len(fields.data):
            values.append((fields.argument("short"), fields.field()))
        return values

    def table(self):
        return dict(self.pairs())

    def field(self):
        kind = chr(self.fixed("B"))
        if kind in "Sx":
            return self.long()
        if kind == "F":
            return self.table()
        assert kind in _FIXED, f"a field of type {kind}"
        return self.fixed(_FIXED[kind])

    def argument(self, kind):
        if kind == "bit":
            if self.bits == 8:
                self.octet, self.bits = self.fixed("B"), 0
            self.bits += 1
            return bool(self.octet >> (self.bits - 1) & 1)
        self.bits = 8
        if kind == "short":
            return self.take(self.fixed("B")).decode()
        return (self.long() if kind == "long" else self.table() if kind == "table" else
                self.fixed(kind))

    def headers(self):
        """Of a content's properties, the only one that is looked at."""
        flags = self.fixed("H")
        for flag in (0x8000, 0x4000):  # content-type, content-encoding
            if flags & flag:
                self.argument("short")
        return self.table() if flags & 0x2000 else {}


class Decoder:
    """Bytes in, methods out, each with its content."""

    def __init__(self):
        self.buffer = bytearray()
        self.at = 0
        self.contents = {}    # channel: [method, bytes of the body that are to come, parts]

    def feed(self, data):
        del self.buffer[:self.at]
        self.at = 0
        self.buffer += data

    def next(self):
        """A method, or None when the next is not all there yet."""
        while len(self.buffer) - self.at >= 7:
            kind, channel, size = struct.unpack_from("!BHI", self.buffer, self.at)
            start = self.at + 7
            end = start + size
            if len(self.buffer) <= end:
                break
            assert self.buffer[end] == 0xCE, "no frame end"
            self.at = end + 1
            method = self._frame(kind, channel, bytes(self.buffer[start:end]))
            if method:
                return method
        return None

    def _frame(self, kind, channel, payload):
        if kind == 8:
            return None
        if kind == 1:
            assert channel not in self.contents, "a method before the end of a content"
            name = _NAMES[payload[:4]]
            reader = _Reader(payload[4:])
            args = {arg: reader.argument(of) for arg, of in _METHODS[name][1]}
            if name not in _WITH_CONTENT:
                return Method(channel, name, args, None, None)
            self.contents[channel] = [Method(channel, name, args, None, None), None, []]
            return None
        content = self.contents[channel]
        if kind == 2:
            assert content[1] is None, "two heads of a content"
            content[1] = struct.unpack_from("!Q", payload, 4)[0]
            content[0] = content[0]._replace(headers=_Reader(payload[12:]).headers(),
                                             properties=payload[12:])
        else:
            assert content[1] is not None and len(payload) <= content[1], "a body without a head"
            content[1] -= len(payload)
            content[2].append(payload)
        if content[1] > 0:
            return None
        del self.contents[channel]
        return content[0]._replace(body=b"".join(content[2]))


class Amqp:
    """A client with channel 1 open, on a blocking socket."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.decoder = Decoder()
        self.socket.sendall(hello(1))
        self.wait("channel.open-ok", passing=("connection.start", "connection.tune",
                                              "connection.open-ok"))

    def put(self, name, body=None, channel=1, **args):
        self.socket.sendall(encode(channel, name, body, **args))

    def wait(self, *names, passing=()):
        """The next method, which is one of these; TimeoutError when none comes."""
        while True:
            while (method := self.decoder.next()) is None:
                data = self.socket.recv(262144)
                if not data:
                    raise Closed("connection closed")
                self.decoder.feed(data)
            if method.name in names:
                return method
            assert method.name in passing, f"{names} was to come, but: {method}"

    def call(self, name, **args):
        """Puts it and waits for its -ok."""
        self.put(name, **args)
        return self.wait(name + "-ok")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.put("connection.close", channel=0, code=200)
            self.wait("connection.close-ok")
        self.socket.close()
