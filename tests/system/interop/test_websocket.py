#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""MQTT and STOMP over WebSocket: a raw client, paho, npm's mqtt and @stomp/stompjs, a browser.

Without node, the npm registry or Chromium those of them are skipped with a line that says so."""
import base64
import contextlib
import functools
import hashlib
import http.server
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
# pylint: disable=wrong-import-position
from lib import PATIENCE, Lodged, Skip, case, equal, free_port, run, scratch, wait_for  # noqa: E402

import mqtt_wire as mqtt  # noqa: E402

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
PORT, ANY = free_port(), free_port()
DAEMON = Lodged("--ws", f"127.0.0.1:{PORT}", "--any", f"127.0.0.1:{ANY}", "--set", "ws.origins=https://a.example")


def connected(port):
    """It opens after STOMP's, which the start of a daemon waits for."""
    with contextlib.suppress(ConnectionRefusedError):
        return socket.create_connection(("127.0.0.1", port), PATIENCE)


class Raw:
    """A WebSocket whose every byte is ours."""

    def __init__(self, port=None):
        self.s = wait_for("the port", lambda: connected(port or PORT))
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def ask(self, protocols="mqtt", path="/mqtt", first="GET", more="", upgrade="websocket",
            host="localhost"):
        """Sends the request; returns the status and the head of the answer."""
        lines = [f"{first} {path} HTTP/1.1", f"Host: {host}", f"Upgrade: {upgrade}",
                 "Connection: Upgrade", f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13"]
        if protocols:
            lines.append(f"Sec-WebSocket-Protocol: {protocols}")
        self.s.sendall(("\r\n".join(lines) + "\r\n" + more + "\r\n").encode())
        while b"\r\n\r\n" not in self.data:
            self._more()
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        return int(head.split()[1]), head.decode()

    def _more(self):
        got = self.s.recv(65536)
        if not got:
            raise EOFError
        self.data += got

    def frame(self, payload, opcode=2, fin=True, mask=True):
        n, head = len(payload), bytes([fin << 7 | opcode])
        head += bytes([mask << 7 | (n if n < 126 else 126 if n < 65536 else 127)])
        head += b"" if n < 126 else struct.pack("!H" if n < 65536 else "!Q", n)
        key = b"\x01\x02\x03\xfe" if mask else b""
        if mask:
            payload = bytes(b ^ key[i & 3] for i, b in enumerate(payload))
        return head + key + payload

    def send(self, payload, **more):
        self.s.sendall(self.frame(payload, **more))

    def receive(self):
        """One frame: opcode and payload."""
        while True:
            if len(self.data) >= 2:
                n, at = self.data[1] & 127, 2
                if n > 125:
                    size = 2 if n == 126 else 8
                    at += size
                    n = int.from_bytes(self.data[2:at], "big") if len(self.data) >= at else 1 << 62
                if len(self.data) >= at + n:
                    got = self.data[0], self.data[at:at + n]
                    assert self.data[0] & 0x80 and not self.data[1] & 0x80, "whole and unmasked"
                    self.data = self.data[at + n:]
                    return got[0] & 15, got[1]
            self._more()

    def closed(self, code=None):
        """The server says Close, if there is a code, and closes."""
        try:
            while True:
                opcode, payload = self.receive()
                if opcode == 8:
                    equal(int.from_bytes(payload[:2], "big"), code)
                    code = None
        except (EOFError, ConnectionResetError):
            equal(code, None, "Close was not said")

    def ended(self):
        """The server has no more to say than some text."""
        try:
            while True:
                self._more()
        except (EOFError, ConnectionResetError):
            pass

    def mqtt(self, client_id="", level=4, clean=True):
        equal(self.ask()[0], 101)
        self.send(mqtt.connect(level, client_id, clean))
        equal(self.receive()[1][:1], b"\x20")
        return self


def ack(packet):
    opcode, payload = packet
    equal(opcode, 2)
    return payload


# ---- the handshake -------------------------------------------------------------------------------


@case("the answer to the request proves that it was read, and names the subprotocol [6.0.0-4]")
def _():
    accept = base64.b64encode(hashlib.sha1(
        (KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    for asked, given in (("mqtt", "mqtt"), ("mqttv3.1", "mqttv3.1"), ("soap, mqtt", "mqtt"),
                         ("v10.stomp, v12.stomp", "v10.stomp"), ("v12.stomp,mqtt", "v12.stomp")):
        for port in (PORT, ANY):
            with Raw(port) as w:
                status, head = w.ask(asked)
                equal(status, 101)
                assert f"Sec-WebSocket-Accept: {accept}" in head, head
                assert f"Sec-WebSocket-Protocol: {given}" in head, head


@case("a request that is not one is told why, in HTTP [6.0.0-3]")
def _():
    for wanted, ask in ((400, {"protocols": ""}), (400, {"protocols": "soap"}),
                        (405, {"first": "POST"}), (426, {"upgrade": "h2c"}),
                        (400, {"path": "mqtt"}), (400, {"more": "x\r\n"}),
                        (431, {"more": "X: y\r\n" * 70}), (431, {"more": "X: " + "y" * 9000 + "\r\n"})):
        with Raw() as w:
            status, head = w.ask(**ask)
            equal(status, wanted, str(ask)[:40])
            assert "Connection: close" in head, head
            w.ended()
    with Raw() as w:
        equal(w.ask(protocols="", path="/stomp")[0], 101)


@case("a page of another host is refused unless it is listed")
def _():
    for origin, wanted in (("http://localhost:8000", 101), ("http://127.0.0.1", 101),
                           ("https://a.example", 101), ("https://b.example", 403),
                           ("http://localhost.b.example", 403), ("null", 403)):
        with Raw() as w:
            equal(w.ask(more=f"Origin: {origin}\r\n")[0], wanted, origin)
    with Raw() as w:  # a name that was pointed here
        equal(w.ask(host="b.example:15675", more="Origin: http://b.example:15675\r\n")[0], 403)


@case("who does not finish the request has the time to log in, no more")
def _():
    with Lodged("--ws", f"127.0.0.1:{free_port()}", "--set", "login_timeout=300ms") as d:
        port = int(re.search(r"protocol=ws address=127.0.0.1:(\d+)", d.log())[1])
        for text in (b"", b"GET / HTTP/1.1\r\n"):
            with Raw(port) as w:
                w.s.sendall(text)
                w.closed()
        with Raw(port) as w:
            equal(w.ask()[0], 101)
            w.closed(1000)


# ---- frames --------------------------------------------------------------------------------------


@case("packets may share frames, span them, and stand in fragments [6.0.0-2]")
def _():
    publish = mqtt.publish(4, "ws/cut", b"x" * 300, 1, 7)
    with Raw() as w:
        w.mqtt()
        w.send(mqtt.subscribe(4, 1, "ws/cut", 1)[:3])
        w.send(mqtt.subscribe(4, 1, "ws/cut", 1)[3:] + publish[:100], fin=False)
        w.send(b"", opcode=9)
        w.send(publish[100:], opcode=0)
        got, pongs = b"", 0
        while got.count(b"x" * 300) < 1 or b"\x40\x02\0\x07" not in got:
            opcode, payload = w.receive()
            got += payload if opcode == 2 else b""
            pongs += opcode == 10
        equal(pongs, 1)
        for byte in mqtt.publish(4, "ws/else", b"", 1, 9):
            w.send(bytes([byte]))
        equal(ack(w.receive()), b"\x40\x02\0\x09")
        data = w.frame(mqtt.publish(4, "ws/else", b"", 1, 10))
        for byte in data:
            w.s.sendall(bytes([byte]))
        equal(ack(w.receive()), b"\x40\x02\0\x0a")


@case("MQTT in text frames ends the connection [6.0.0-1]")
def _():
    with Raw() as w:
        equal(w.ask()[0], 101)
        w.send(mqtt.connect(4, "", True), opcode=1)
        w.closed(1003)


@case("what is no frame ends the connection")
def _():
    for bad in (b"\x82\x01x", b"\xc2\x80\0\0\0\0", b"\x83\x80\0\0\0\0", b"\x80\x80\0\0\0\0",
                b"\x89\xfe\0\x7e\0\0\0\0" + b"x" * 126):
        with Raw() as w:
            w.mqtt()
            w.s.sendall(bad)
            w.closed(1002)


@case("Ping is answered with what it says, between messages")
def _():
    with Raw() as w:
        w.mqtt()
        for text in (b"", b"hello", b"x" * 125):
            w.send(text, opcode=9)
            equal(w.receive(), (10, text))


@case("DISCONNECT and Close in one segment: the will is not published; Close alone: it is")
def _():
    def connect_with_will(w, name):
        body = (b"\0\4MQTT\4\x06\0\0" + mqtt._text(name) + mqtt._text("ws/will") +  # pylint: disable=protected-access
                b"\0\4gone")
        equal(w.ask()[0], 101)
        w.send(b"\x10" + bytes([len(body)]) + body)
        equal(w.receive()[1][:1], b"\x20")

    with Raw() as watcher:
        watcher.mqtt()
        watcher.send(mqtt.subscribe(4, 1, "ws/will", 1))
        equal(ack(watcher.receive())[:1], b"\x90")
        with Raw() as w:
            connect_with_will(w, "one")
            w.s.sendall(w.frame(b"\xe0\0") + w.frame(b"\x03\xe8", opcode=8))
            w.closed(1000)
        with Raw() as w:
            connect_with_will(w, "two")
            w.send(b"\x03\xe8", opcode=8)
            w.closed(1000)
        assert b"gone" in ack(watcher.receive())
        watcher.send(b"\xc0\0")
        equal(ack(watcher.receive()), b"\xd0\0")


@case("a slow reader of large messages gets them whole, and others are served meanwhile")
def _():
    body = bytes(range(256)) * 8192  # 2 MiB
    with Raw() as w, Raw() as other:
        w.mqtt()
        w.send(mqtt.subscribe(4, 1, "ws/large", 1))
        w.receive()
        other.mqtt()
        for i in range(1, 4):
            other.send(mqtt.publish(4, "ws/large", body, 1, i))
            equal(ack(other.receive()), b"\x40\x02\0" + bytes([i]))
        time.sleep(0.3)
        other.send(b"\xc0\0")
        equal(ack(other.receive()), b"\xd0\0")
        got = b""
        while len(got) < 3 * len(body):
            got += ack(w.receive())
        equal(got.count(body), 3)


@case("a server that stops says Close, and keeps the session; so does one that is killed")
def _():
    for sig in (signal.SIGTERM, signal.SIGKILL):
        port = free_port()
        with Lodged("--ws", f"127.0.0.1:{port}") as d:
            with Raw(port) as w:
                w.mqtt("stays", clean=False)
                w.send(mqtt.subscribe(4, 1, "ws/stays", 1))
                w.receive()
                w.send(mqtt.publish(4, "ws/stays", b"kept", 1, 7))
                while b"\x40\x02\0\x07" not in w.receive()[1]:
                    pass
                d.stop(sig)
                w.closed(1001 if sig == signal.SIGTERM else None)
            d.start()
            with Raw(port) as w:
                equal(w.ask()[0], 101)
                w.send(mqtt.connect(4, "stays"))
                got = b""
                while b"kept" not in got:
                    got += ack(w.receive())
                equal(got[:4], b"\x20\x02\x01\0")


# ---- clients -------------------------------------------------------------------------------------


@case("paho over WebSocket, MQTT 3.1.1 and 5.0: messages of each QoS come through")
def _():
    import paho.mqtt.client as paho  # pylint: disable=import-outside-toplevel
    for version in (paho.MQTTv311, paho.MQTTv5):
        got, ready = [], threading.Event()
        c = paho.Client(f"paho-ws-{version}", transport="websockets", protocol=version)
        c.ws_set_options(path="/mqtt")
        c.on_message = lambda _c, _u, m, got=got: got.append((m.payload, m.qos))
        c.on_subscribe = lambda *_, ready=ready: ready.set()
        c.connect("127.0.0.1", PORT)
        c.loop_start()
        wait_for("CONNACK", c.is_connected)
        c.subscribe(f"paho/{version}", 2)
        assert ready.wait(PATIENCE)
        for qos in (0, 1, 2):
            c.publish(f"paho/{version}", b"%d" % qos, qos).wait_for_publish(PATIENCE)
        wait_for("three messages", lambda got=got: len(got) == 3)
        equal(sorted(got), [(b"%d" % qos, qos) for qos in (0, 1, 2)])
        c.disconnect()
        c.loop_stop()


@functools.cache
def modules():
    """A directory with the packages in node_modules."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise Skip("node and npm are not installed")
    where = scratch()
    try:
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "mqtt@5",
                        "@stomp/stompjs@7", "ws@8", "playwright-core@1"],
                       cwd=where, check=True, capture_output=True, timeout=180)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise Skip("the npm registry cannot be reached") from None
    return os.path.join(where, "node_modules")


def script(path, *args, timeout=200):
    got = subprocess.run(["node", path, *args], env=dict(os.environ, NODE_PATH=modules()),
                         capture_output=True, text=True, timeout=timeout, check=False)
    lines = [line for line in got.stdout.splitlines() if not line.startswith("#")]
    bad = [line for line in lines if not line.startswith("ok ")]
    assert lines and not bad and got.returncode == 0, "; ".join(bad) or got.stderr[-800:]
    return lines


@case("npm's mqtt over WebSocket: all its checks")
def _():
    script(os.path.join(HERE, "mqttjs_client.js"), f"ws://127.0.0.1:{PORT}/mqtt")


@case("@stomp/stompjs over WebSocket: all its checks")
def _():
    script(os.path.join(os.path.dirname(HERE), "stomp_stompjs.js"), f"ws://127.0.0.1:{PORT}/stomp")


@contextlib.contextmanager
def site():
    """The page and its libraries, on a port."""
    root, from_npm = scratch(), modules()
    shutil.copy(os.path.join(HERE, "websocket_page.html"), os.path.join(root, "index.html"))
    shutil.copy(os.path.join(from_npm, "mqtt/dist/mqtt.min.js"), os.path.join(root, "mqtt.js"))
    shutil.copy(os.path.join(from_npm, "@stomp/stompjs/bundles/stomp.umd.min.js"),
                os.path.join(root, "stomp.js"))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **more):
            super().__init__(*args, directory=root, **more)

        def log_message(self, *_):  # pylint: disable=arguments-differ
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/?{PORT}"
    server.shutdown()


@case("a page in Chromium: npm's mqtt 3.1.1 and 5.0, and @stomp/stompjs")
def _():
    chromium = shutil.which("chromium")
    if not chromium:
        raise Skip("Chromium is not installed")
    with site() as address:
        lines = script(os.path.join(HERE, "websocket_page.js"), chromium, address)
        equal(len(lines), 9)


if __name__ == "__main__":
    with DAEMON:
        run()
