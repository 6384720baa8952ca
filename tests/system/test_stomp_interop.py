#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""STOMP clients that know nothing of us: Debian's python3-stomp, npm's @stomp/stompjs and stompit.

What they cannot do is skipped with a line that says so: without python3-stomp its cases, without
node or the npm registry those of the two JavaScript clients."""
import itertools
import os
import queue
import shutil
import subprocess
import threading
import time

from lib import PATIENCE, Lodged, Skip, case, equal, run, scratch, wait_for

try:
    import stomp
except ImportError:
    stomp = None

DAEMON = None
HERE = os.path.dirname(os.path.abspath(__file__))
names = itertools.count(1)


def fresh():
    return f"interop-{next(names)}"


class Peer:
    """A connection of python3-stomp; messages and receipts wait until they are asked for."""

    def __init__(self, version="1.2", heartbeats=(0, 0), auto_decode=True):
        if stomp is None:
            raise Skip("python3-stomp is not installed")
        kind = {"1.0": stomp.Connection10, "1.1": stomp.Connection11, "1.2": stomp.Connection12}
        more = {} if version == "1.0" else {"heartbeats": heartbeats}
        self.version = version
        self.c = kind[version]([("127.0.0.1", DAEMON.port)], auto_decode=auto_decode, **more)
        self.messages, self.errors = queue.Queue(), queue.Queue()
        self.receipts, self.gone = set(), threading.Event()
        self.c.set_listener("", self)
        self.c.connect("guest", "guest", wait=True)

    # python3-stomp calls these.
    def __getattr__(self, name):
        if name.startswith("on_"):
            return lambda *a: a[0] if name == "on_before_message" else None
        raise AttributeError(name)

    def on_message(self, frame):
        self.messages.put(frame)

    def on_error(self, frame):
        self.errors.put(frame)

    def on_receipt(self, frame):
        self.receipts.add(frame.headers["receipt-id"])

    def on_disconnected(self):
        self.gone.set()

    # The tests call these.
    def done(self, receipt):
        wait_for(f"receipt {receipt}", lambda: receipt in self.receipts)

    def send(self, destination, body, **headers):
        receipt = fresh()
        self.c.send(destination, body, headers=dict(
            {k.replace("_", "-"): v for k, v in headers.items()}, receipt=receipt))
        self.done(receipt)

    def subscribe(self, destination, sub="1", ack="auto", **headers):
        receipt = fresh()
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        self.c.subscribe(destination, id=sub, ack=ack, headers=dict(headers, receipt=receipt))
        self.done(receipt)

    def next(self):
        return self.messages.get(timeout=PATIENCE)

    def nothing(self, seconds=0.2):
        try:
            raise AssertionError(f"got {self.messages.get(timeout=seconds)}")
        except queue.Empty:
            pass

    def answer(self, verb, frame, **more):
        receipt = fresh()
        if self.version == "1.2":
            getattr(self.c, verb)(frame.headers["ack"], receipt=receipt, **more)
        elif self.version == "1.1":
            getattr(self.c, verb)(frame.headers["message-id"], frame.headers["subscription"],
                                  receipt=receipt, **more)
        else:
            getattr(self.c, verb)(frame.headers["message-id"], receipt=receipt, **more)
        self.done(receipt)

    def close(self):
        receipt = fresh()
        self.c.disconnect(receipt)
        assert self.gone.wait(PATIENCE), "DISCONNECT was not answered"


def each_version(f):
    """Registers the case for all three versions."""
    def once(version):
        f(version)
    for version in ("1.0", "1.1", "1.2"):
        case(f"python3-stomp {version}: {f.__doc__}")(lambda version=version: once(version))
    return f


@each_version
def _(version):
    """a message comes back"""
    p, q = Peer(version), "/queue/" + fresh()
    p.send(q, "hello", colour="red", content_type="text/plain")
    p.subscribe(q)
    m = p.next()
    equal((m.body, m.headers["colour"], m.headers["destination"]), ("hello", "red", q))
    equal(m.headers["content-type"], "text/plain")
    p.close()


@each_version
def _(version):
    """binary bodies of every byte come back"""
    p, q = Peer(version, auto_decode=False), "/queue/" + fresh()
    body = bytes(range(256)) * 1000
    p.send(q, body, content_length=len(body))
    p.subscribe(q)
    equal(p.next().body, body)
    p.close()


@each_version
def _(version):
    """client acks are cumulative"""
    p, q = Peer(version), "/queue/" + fresh()
    for i in range(4):
        p.send(q, str(i))
    p.subscribe(q, ack="client")
    got = [p.next() for _ in range(4)]
    p.answer("ack", got[2])
    p.close()
    p = Peer(version)
    p.subscribe(q)
    equal(p.next().body, "3")
    p.nothing()
    p.close()


@case("python3-stomp 1.2: client-individual acks and nacks answer one message")
def _():
    p, q = Peer(), "/queue/" + fresh()
    for i in range(3):
        p.send(q, str(i))
    p.subscribe(q, ack="client-individual")
    got = [p.next() for _ in range(3)]
    p.answer("nack", got[1])
    again = p.next()
    equal((again.body, again.headers.get("redelivered")), ("1", "true"))
    p.answer("ack", got[2])
    p.answer("ack", again)
    p.close()
    p = Peer()
    p.subscribe(q)
    equal(p.next().body, "0")
    p.nothing()
    p.close()


@each_version
def _(version):
    """transactions commit and abort"""
    p, q = Peer(version), "/queue/" + fresh()
    p.subscribe(q)
    t = p.c.begin()
    p.c.send(q, "never", transaction=t)
    p.c.abort(t)
    t = p.c.begin()
    p.c.send(q, "one", transaction=t)
    p.c.send(q, "two", transaction=t)
    p.nothing()
    p.c.commit(t)
    equal([p.next().body, p.next().body], ["one", "two"])
    p.close()


@case("python3-stomp 1.2: escapes in names and values")
def _():
    p, q = Peer(), "/queue/" + fresh()
    p.send(q, "x", key="colon : back \\ line \n return \r end")
    p.subscribe(q)
    equal(p.next().headers["key"], "colon : back \\ line \n return \r end")
    p.close()


@case("python3-stomp: heart-beats keep an idle connection, both ways")
def _():
    for version in ("1.1", "1.2"):
        p = Peer(version, heartbeats=(200, 200))
        time.sleep(1.5)
        assert not p.gone.is_set(), "disconnected while idle"
        p.close()


@case("python3-stomp: a durable topic keeps what came meanwhile")
def _():
    topic, sub = "/topic/" + fresh(), fresh()
    durable = {"durable": "true", "auto_delete": "false"}
    p = Peer()
    p.subscribe(topic, sub, **durable)
    p.close()
    p = Peer()
    p.send(topic, "missed")
    p.subscribe(topic, sub, **durable)
    equal(p.next().body, "missed")
    p.c.unsubscribe(sub, durable="true")
    p.send(topic, "unheard")
    p.nothing()
    p.close()


@case("python3-stomp: topics reach all, by pattern")
def _():
    a, b, key = Peer(), Peer(), fresh()
    a.subscribe(f"/topic/{key}.*")
    b.subscribe(f"/topic/{key}.#")
    b.send(f"/topic/{key}.x", "1")
    b.send(f"/topic/{key}.x.y", "2")
    equal(a.next().body, "1")
    a.nothing()
    equal([b.next().body, b.next().body], ["1", "2"])
    a.close()
    b.close()


@case("python3-stomp: a temporary queue carries the reply")
def _():
    asker, service, q = Peer(), Peer(), "/queue/" + fresh()
    service.subscribe(q)
    asker.send(q, "ask", reply_to="/temp-queue/mine", correlation_id="7")
    request = service.next()
    service.send(request.headers["reply-to"], "answer",
                 correlation_id=request.headers["correlation-id"])
    reply = asker.next()
    equal((reply.body, reply.headers["subscription"], reply.headers["correlation-id"]),
          ("answer", "/temp-queue/mine", "7"))
    asker.close()
    service.close()


@case("python3-stomp: a delayed message comes when due")
def _():
    p, q = Peer(), "/queue/" + fresh()
    p.subscribe(q)
    began = time.monotonic()
    p.send(q, "late", x_delay=500)
    equal(p.next().body, "late")
    took = time.monotonic() - began
    assert 0.45 < took < 3, f"came after {took} s"
    p.close()


@case("python3-stomp: what expires is dead-lettered")
def _():
    p, q = Peer(), fresh()
    p.subscribe(f"/queue/{q}-dead")
    p.send(f"/queue/{q}", "old", expiration=100, x_dead_letter_exchange="",
           x_dead_letter_routing_key=q + "-dead")
    m = p.next()
    equal((m.body, m.headers["x-first-death-reason"]), ("old", "expired"))
    p.close()


@case("python3-stomp: a queue's own time to live and priorities")
def _():
    p, q = Peer(), "/queue/" + fresh()
    p.send(q, "gone", x_message_ttl=100, x_max_priority=9)
    time.sleep(0.3)
    for priority in (1, 9, 5):
        p.send(q, str(priority), priority=priority)
    p.subscribe(q)
    equal([p.next().body for _ in range(3)], ["9", "5", "1"])
    p.close()


@case("python3-stomp: an ERROR is told, and the connection ends")
def _():
    p = Peer()
    p.c.send("/nowhere/at/all", "x", headers={"receipt": "bad"})
    frame = p.errors.get(timeout=PATIENCE)
    equal((frame.headers["receipt-id"], frame.headers["message"]), ("bad", "Invalid destination"))
    assert p.gone.wait(PATIENCE), "the connection stayed"


@case("python3-stomp: a wrong password is refused")
def _():
    if stomp is None:
        raise Skip("python3-stomp is not installed")
    c = stomp.Connection12([("127.0.0.1", DAEMON.port)], reconnect_attempts_max=1)
    try:
        c.connect("guest", "wrong", wait=True)
    except stomp.exception.ConnectFailedException:
        return
    raise AssertionError("it was let in")


# ---- JavaScript ----------------------------------------------------------------------------------

_modules = []


def modules():
    """A directory with the two clients in node_modules."""
    if _modules:
        return _modules[0]
    if not shutil.which("node") or not shutil.which("npm"):
        raise Skip("node and npm are not installed")
    where = scratch()
    try:
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts",
                        "@stomp/stompjs@7", "stompit@1"],
                       cwd=where, check=True, capture_output=True, timeout=120)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise Skip("the npm registry cannot be reached") from None
    _modules.append(where)
    return where


def script(name):
    where = modules()
    env = dict(os.environ, NODE_PATH=os.path.join(where, "node_modules"))
    got = subprocess.run(["node", os.path.join(HERE, name), str(DAEMON.port)], env=env,
                         capture_output=True, text=True, timeout=120, check=False)
    lines = got.stdout.splitlines()
    bad = [line for line in lines if not line.startswith("ok ")]
    assert lines and not bad and got.returncode == 0, "; ".join(bad) or got.stderr[-800:]


@case("@stomp/stompjs: all its checks")
def _():
    script("stomp_stompjs.js")


@case("stompit: all its checks")
def _():
    script("stomp_stompit.js")


if __name__ == "__main__":
    with Lodged(config={"heart_beat_min": "100ms"}) as DAEMON:
        run()
