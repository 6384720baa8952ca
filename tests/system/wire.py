# SPDX-License-Identifier: MIT
"""A STOMP 1.2 client that hides nothing: frames as bytes, on a blocking socket."""
import collections
import os
import re
import socket
import time

PATIENCE = float(os.environ.get("PATIENCE", "10"))  # seconds; sanitizers want more


class Closed(Exception):
    """The peer closed the connection."""


class Frame(collections.namedtuple("Frame", "command headers body")):
    """headers: dict of str, the first of repeated ones; body: bytes."""

    def __getitem__(self, key):
        return self.headers[key] if isinstance(key, str) else tuple.__getitem__(self, key)

    def get(self, key, default=None):
        return self.headers.get(key, default)


_ESCAPE = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", ":": "\\c"}
_UNESCAPE = {v: k for k, v in _ESCAPE.items()}


def escape(s):
    return re.sub(r"[\\\n\r:]", lambda m: _ESCAPE[m[0]], s)


def unescape(s):
    return re.sub(r"\\.", lambda m: _UNESCAPE[m[0]], s) if "\\" in s else s


def encode(command, headers=None, body=b"", length=True):
    """Bytes of a frame.  A body gets its content-length unless told not to."""
    lines = [command]
    for name, value in (headers or {}).items():
        lines.append(f"{escape(name)}:{escape(str(value))}")
    if body and length and "content-length" not in (headers or {}):
        lines.append(f"content-length:{len(body)}")
    return "\n".join(lines).encode() + b"\n\n" + body + b"\0"


class Decoder:
    """Bytes in, frames out.  Heart-beats between frames are counted in .beats."""

    def __init__(self):
        self.buffer = bytearray()
        self.at = 0
        self.beats = 0

    def feed(self, data):
        del self.buffer[:self.at]
        self.at = 0
        self.buffer += data

    def next(self):
        """A frame, or None when it is not all there yet."""
        b = self.buffer
        while self.at < len(b) and b[self.at] in b"\r\n":
            self.beats += b[self.at] == 10
            self.at += 1
        head = b.find(b"\n\n", self.at)
        if head < 0:
            return None
        command, *lines = b[self.at:head].decode().split("\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers.setdefault(unescape(name), unescape(value))
        start = head + 2
        if "content-length" in headers:
            end = start + int(headers["content-length"])
            if end >= len(b):
                return None
            assert b[end] == 0, "no NUL after the body"
        else:
            end = b.find(b"\0", start)
            if end < 0:
                return None
        body = bytes(b[start:end])
        self.at = end + 1
        return Frame(command, headers, body)


class Stomp:
    """A STOMP 1.2 client on a blocking socket.  Frames that a wait passes over are kept."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.decoder = Decoder()
        self.kept = collections.defaultdict(collections.deque)  # by command: (number, frame)
        self.kept_count = 0
        self.receipts = 0

    def connect(self, **headers):
        all_headers = {"accept-version": "1.2", "host": "/", "login": "guest", "passcode": "guest"}
        all_headers.update((k.replace("_", "-"), v) for k, v in headers.items())
        self.put("CONNECT", all_headers)
        frame = self.read()
        assert frame.command == "CONNECTED", frame
        return frame

    def write(self, data):
        self.socket.sendall(data)

    def put(self, command, headers=None, body=b"", **more):
        self.write(encode(command, headers, body, **more))

    def _receive(self, patience=None):
        """The next frame from the socket.  Closed at its end, TimeoutError when none comes."""
        end = time.monotonic() + (PATIENCE if patience is None else patience)
        while True:
            frame = self.decoder.next()
            if frame:
                return frame
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("no frame came")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(262144)
            except ConnectionResetError:
                data = b""
            finally:
                self.socket.settimeout(PATIENCE)
            if not data:
                raise Closed("connection closed")
            self.decoder.feed(data)

    def read(self, patience=None):
        """The next frame, whatever it is."""
        kept = [q for q in self.kept.values() if q]
        return min(kept, key=lambda q: q[0][0]).popleft()[1] if kept else self._receive(patience)

    def wait(self, command, match=None, patience=None):
        """The first frame of that command (for which match(frame)); others are kept for later
        waits.  An ERROR nobody waited for raises."""
        kept = self.kept[command]
        for i, (_, frame) in enumerate(kept):
            if match is None or match(frame):
                del kept[i]
                return frame
        while True:
            frame = self._receive(patience)
            if frame.command == command and (match is None or match(frame)):
                return frame
            if frame.command == "ERROR":
                raise AssertionError(f"ERROR {frame.headers} {frame.body!r}")
            self.kept_count += 1
            self.kept[frame.command].append((self.kept_count, frame))

    def ask(self, command, headers=None, body=b"", patience=None):
        """Sends a frame with a receipt and waits for it."""
        self.receipts += 1
        tag = f"r{self.receipts}"
        self.put(command, dict(headers or {}, receipt=tag), body)
        return self.wait("RECEIPT", lambda f: f["receipt-id"] == tag, patience)

    def send(self, destination, body=b"", receipt=True, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        headers["destination"] = destination
        (self.ask if receipt else self.put)("SEND", headers, body)

    def send_all(self, destination, bodies, window=1000, **headers):
        """Every body with its own receipt, at most `window` unanswered.  For loads."""
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        headers["destination"] = destination
        out, open_receipts = [], 0
        for n, body in enumerate(bodies):
            headers["receipt"] = f"a{n}"
            out.append(encode("SEND", headers, body))
            if len(out) >= window // 2 or len(out) >= 500:
                self.write(b"".join(out))
                open_receipts += len(out)
                out.clear()
                while open_receipts > window // 2:
                    self.wait("RECEIPT")
                    open_receipts -= 1
        self.write(b"".join(out))
        for _ in range(open_receipts + len(out)):
            self.wait("RECEIPT")

    def subscribe(self, destination, id="0", ack="auto", **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        self.ask("SUBSCRIBE", dict(headers, destination=destination, id=id, ack=ack))

    def message(self, patience=None):
        return self.wait("MESSAGE", patience=patience)

    def no_message(self, patience=0.2):
        try:
            raise AssertionError(f"a message came: {self.message(patience)}")
        except TimeoutError:
            pass

    def error(self, patience=None):
        """The ERROR frame and then the end of the connection."""
        frame = self.wait("ERROR", patience=patience)
        self.closed(patience)
        return frame

    def closed(self, patience=None):
        try:
            while True:
                self._receive(patience)
        except Closed:
            pass

    def ack(self, frame, **headers):
        self.put("ACK", dict(headers, id=frame["ack"]))

    def nack(self, frame, **headers):
        self.put("NACK", dict(headers, id=frame["ack"]))

    def disconnect(self):
        self.ask("DISCONNECT")
        self.close()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
