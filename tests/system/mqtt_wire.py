# SPDX-License-Identifier: MIT
"""MQTT 3.1.1 and 5.0 as bytes: packets out of a stream and into one.  level: 4 or 5.

    out += connect(5, "me")
    decoder = Decoder(5)
    decoder.feed(data)
    while packet := decoder.next():
        ..."""
import collections
import struct

KINDS = ["", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE",
         "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"]

# id: of the packet; reason: 0 where there is none, of SUBACK the first; present: of CONNACK
Packet = collections.namedtuple("Packet", "kind id reason present qos dup retain topic payload",
                                defaults=(0, 0, False, 0, False, False, "", b""))


# ---- out

def _varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def _text(s):
    s = s.encode()
    return struct.pack("!H", len(s)) + s


def _packet(kind, flags, body):
    return bytes([KINDS.index(kind) << 4 | flags]) + _varint(len(body)) + body


def connect(level, client_id, clean=False, user=None, password=None, will=None):
    """Without clean, of a session that stays.  will: its topic."""
    expiry = b"\x05\x11\xff\xff\xff\xff" if not clean else b"\0"
    flags = 2 * clean | 4 * (will is not None) | 0xc0 * (user is not None)
    out = _text("MQTT") + bytes([level, flags, 0, 0]) + (expiry if level == 5 else b"")
    out += _text(client_id)
    if will is not None:
        out += b"\0" * (level == 5) + _text(will) + _text("gone")
    if user is not None:
        out += _text(user) + _text(password)
    return _packet("CONNECT", 0, out)


def publish(level, topic, payload, qos, packet_id=0, dup=False, retain=False):
    """Of QoS 0 without a packet_id."""
    return _packet("PUBLISH", dup << 3 | qos << 1 | retain,
                   _text(topic) + (struct.pack("!H", packet_id) if qos else b"") +
                   b"\0" * (level == 5) + payload)


def ack(kind, packet_id):
    """PUBACK, PUBREC, PUBREL or PUBCOMP."""
    return _packet(kind, 2 * (kind == "PUBREL"), struct.pack("!H", packet_id))


def subscribe(level, packet_id, topic_filter, qos):
    return _packet("SUBSCRIBE", 2, struct.pack("!H", packet_id) + b"\0" * (level == 5) +
                   _text(topic_filter) + bytes([qos]))


# ---- in

def _read_varint(data, at):
    """The number and where it ends, or None when it is not all there."""
    n = shift = 0
    while at < len(data):
        n |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 128:
            return n, at
    return None


class Decoder:
    """Bytes in, packets out.  Properties are passed over."""

    def __init__(self, level):
        self.level = level
        self.buffer = bytearray()
        self.at = 0

    def feed(self, data):
        del self.buffer[:self.at]
        self.at = 0
        self.buffer += data

    def next(self):
        """A packet, or None when the next is not all there yet."""
        head = _read_varint(self.buffer, self.at + 1)
        if not head or len(self.buffer) < sum(head):
            return None
        first, start = self.buffer[self.at], head[1]
        self.at = sum(head)
        return self._packet(KINDS[first >> 4], first & 15, bytes(self.buffer[start:self.at]))

    def _after_properties(self, body, at):
        if self.level < 5:
            return at
        return sum(_read_varint(body, at))

    def _packet(self, kind, flags, body):
        if kind == "PUBLISH":
            return self._publish(flags, body)
        if kind == "CONNACK":
            return Packet(kind, reason=body[1], present=bool(body[0]))
        if kind in ("SUBACK", "UNSUBACK"):
            reasons = body[self._after_properties(body, 2):]
            return Packet(kind, struct.unpack_from("!H", body)[0], reasons[0])
        if kind in ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP"):
            return Packet(kind, struct.unpack_from("!H", body)[0], body[2] if len(body) > 2 else 0)
        return Packet(kind, reason=body[0] if body else 0)

    def _publish(self, flags, body):
        end = 2 + struct.unpack_from("!H", body)[0]
        qos, topic, packet_id = flags >> 1 & 3, body[2:end].decode(), 0
        if qos:
            packet_id = struct.unpack_from("!H", body, end)[0]
            end += 2
        return Packet("PUBLISH", packet_id, 0, False, qos, bool(flags & 8), bool(flags & 1), topic,
                      body[self._after_properties(body, end):])
