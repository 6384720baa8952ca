#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kill -9 at random moments under load over MQTT: sessions that stay on both sides, QoS 1 and 2,
retained messages.

    test_kill_mqtt.py [--kills 100] [--seed N]      (or KILLS=, SEED= in the environment)"""
import argparse
import collections
import os
import socket
import sqlite3
import sys
import time

from book import Book, Message
from lib import Lodged, case, equal, run
from load import Agent, Load
from mqtt_wire import Decoder, ack, connect, publish, subscribe
from wire import PATIENCE

WINDOW = 150      # packets of a publisher that are under way
OPEN = 12000      # publishers wait while more than these have not come
IDS = 65535


class Writer:
    """What a publisher keeps over its connections.  qos: one of them for each message."""

    def __init__(self, name, level, qos):
        self.name, self.level, self.qos = name, level, qos
        self.known = False        # a CONNACK came, so the session has to be there from now on
        self.last_id = 0
        self.open = {}            # packet id: the message, in the order of sending

    def new_id(self):
        self.last_id = self.last_id % IDS + 1
        while self.last_id in self.open:
            self.last_id = self.last_id % IDS + 1
        return self.last_id


class Reader:
    """What a subscriber keeps over its connections.  writers, leaf: what its filter lets through;
    holds: how often it keeps an ack back until the connection ends."""

    def __init__(self, name, level, topic_filter, qos, holds):
        self.name, self.level, self.filter, self.qos = name, level, topic_filter, qos
        self.holds = holds
        _, self.writer, *leaf = topic_filter.split("/")
        self.leaf = leaf[0] if leaf else "#"
        self.known = False
        self.received = {}        # packet id: the QoS 2 message that came and is not released
        self.released = {}        # message: the packet id and the life in which it was
        self.came = collections.Counter()    # message: how often, without DUP where it is QoS 1
        self.last = {}            # publisher: the number of its last QoS 2 message

    def wants(self, topic):
        root, writer, leaf = topic.split("/")
        return (root == "load" and self.writer in (writer, "+", "#") and
                self.leaf in (leaf, "+", "#"))


class Sessions(Book):
    """A Book of who should have got what.  A message's queue is its topic."""

    def __init__(self, seed, writers, readers):
        super().__init__(seed)
        self.writers, self.readers = writers, readers
        self.counts = dict.fromkeys(("qos 1", "qos 2", "resent", "released again", "came",
                                     "duplicates", "held back"), 0)
        self.qos, self.attempts = {}, {}     # by message
        self.due = 0                         # first deliveries that have not come
        self.retained = collections.defaultdict(list)   # topic: its messages

    def new_message(self, writer, number, topic, size, qos):
        m = Message(f"{writer.name}:{number}:{topic}:{size}", topic, number, size, self.life)
        self.messages[m.name] = m
        self.qos[m.name], self.attempts[m.name] = qos, 1
        self.counts[f"qos {qos}"] += 1
        self.due += sum(r.wants(topic) for r in self.readers)
        if topic.startswith("keep/"):
            self.retained[topic].append(m)
        return m

    def confirm(self, m):
        m.confirmed = True

    def find(self, p):
        m = self.messages.get(p.payload[:64].split(b"\n", 1)[0].decode("latin1"))
        if m is None or self.body(m) != p.payload or m.queue != p.topic:
            self.blame(f"altered or unknown: {p.topic} {p.payload[:80]!r}")
            return None
        return m

    def arrived(self, reader, m, p):
        """A PUBLISH, not one whose packet id is known to the reader."""
        qos = min(reader.qos, self.qos[m.name])
        before = reader.came[m.name]
        self.counts["came"] += 1
        if p.qos != qos or not reader.wants(m.queue):
            self.blame(f"{reader.name}: {m.name} came at QoS {p.qos}, wanted {qos}")
        self.due -= before == 0
        copies = self.attempts[m.name] if self.qos[m.name] == 1 else 1
        if before and qos == 2:
            self.blame(f"{reader.name}: {m.name} of QoS 2 came again as {p.id}, DUP "
                       f"{p.dup}, released as (packet id, life) {reader.released.get(m.name)}")
        elif before >= copies and not p.dup:
            self.blame(f"{reader.name}: {m.name} came again without DUP, published {copies} times")
        reader.came[m.name] += not (p.dup and before)
        if qos == 2:
            writer = m.name.split(":", 1)[0]
            if m.number <= reader.last.get(writer, 0):
                self.blame(f"{reader.name}: {m.name} came after number {reader.last[writer]}")
            reader.last[writer] = m.number

    def lost(self):
        return [f"{m.name} of QoS {self.qos[m.name]} for {r.name}" for m in self.messages.values()
                for r in self.readers
                if m.confirmed and r.wants(m.queue) and not r.came[m.name]]

    def is_done(self):
        return not self.due and not any(w.open for w in self.writers)

    def check_retained(self, port):
        """A new subscriber gets the last one confirmed of each topic, or a later one."""
        wanted = {topic: max((m.number for m in messages if m.confirmed), default=0)
                  for topic, messages in self.retained.items()}
        wanted = {topic: last for topic, last in wanted.items() if last}
        kept = {p.topic: self.find(p) for p in retained(port, wanted)}
        for topic, last in wanted.items():
            m = kept.get(topic)
            if m is None or m.number < last:
                self.blame(f"{topic} keeps {m and m.name}, {last} was confirmed")


class Speaker(Agent):
    """An Agent over MQTT.  state: its Writer or Reader."""

    def __init__(self, load, state):
        super().__init__(load, state.name)
        self.state, self.running = state, False
        self.decoder = Decoder(state.level)
        self.out = bytearray(connect(state.level, state.name))

    def read(self):
        try:
            data = self.socket.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.closed = not data
        self.decoder.feed(data)
        while p := self.decoder.next():
            if p.kind == "CONNACK":
                if p.reason or self.state.known and not p.present:
                    self.book.blame(f"{self.name}: {p}, the session is known: {self.state.known}")
                self.state.known = self.running = True
                self.on_connected()
            elif p.reason >= 0x80 and p.kind != "PUBCOMP" or not self.on_packet(p):
                self.book.blame(f"{self.name}: {p} came unasked")

    def on_connected(self):
        """Its session is open."""

    def on_packet(self, p):
        """False: it should not have come."""
        raise NotImplementedError


class Publisher(Speaker):
    """Sends again what the session did not finish, in its order, and then what is new."""

    def on_connected(self):
        for packet_id, m in self.state.open.items():
            qos = self.book.qos[m.name]
            if qos == 2 and m.confirmed:
                self.book.counts["released again"] += 1
                self.out += ack("PUBREL", packet_id)
            else:
                self.book.attempts[m.name] += 1
                self.book.counts["resent"] += 1
                self._publish(m, packet_id, dup=True)

    def _publish(self, m, packet_id, dup=False):
        self.out += publish(self.state.level, m.queue, self.book.body(m), self.book.qos[m.name],
                            packet_id, dup, m.queue.startswith("keep/"))

    def on_packet(self, p):
        m = self.state.open.get(p.id)
        qos = m and self.book.qos[m.name]
        if p.kind == ("PUBREC" if qos == 2 else "PUBACK") and m:
            self.book.confirm(m)
            if qos == 2:
                self.out += ack("PUBREL", p.id)
        elif p.kind != "PUBCOMP" or qos != 2 or not m.confirmed:
            return False
        if p.kind != "PUBREC":
            del self.state.open[p.id]
        return True

    def work(self):
        if not self.running or self.load.is_ending:
            return
        for _ in range(20):
            if len(self.state.open) >= WINDOW or self.book.due > OPEN or len(self.out) > 1 << 20:
                return
            number = self.load.numbers[self.name] = self.load.numbers[self.name] + 1
            dice = self.random.random()
            size = (self.random.randrange(250_000, 400_000) if dice < 0.001 else
                    self.random.randrange(1, 20_000) if dice < 0.02 else
                    self.random.randrange(20, 300))
            root = "keep" if self.random.random() < 0.05 else "load"
            if root == "keep":
                size = min(size, 1000)
            topic = f"{root}/{self.name}/{self.random.choice('abc')}"
            m = self.book.new_message(self.state, number, topic, size,
                                      self.random.choice(self.state.qos))
            packet_id = self.state.new_id()
            self.state.open[packet_id] = m
            self._publish(m, packet_id)


class Subscriber(Speaker):
    """Acks after a while, or not before the daemon ends."""

    def __init__(self, load, state):
        super().__init__(load, state)
        self.later = collections.deque()    # (when, ack)

    def _ack(self, kind, packet_id):
        if not self.load.is_ending and self.random.random() < self.state.holds:
            self.book.counts["held back"] += 1
            return
        wait = self.random.choice((0, 0, 0.001, 0.01, 0.05))
        self.later.append((time.monotonic() + wait, ack(kind, packet_id)))

    def on_packet(self, p):
        if p.kind == "PUBREL":
            if m := self.state.received.pop(p.id, None):
                self.state.released[m.name] = (p.id, self.book.life)
            self._ack("PUBCOMP", p.id)
            return True
        if p.kind != "PUBLISH" or p.qos == 0:
            return False
        m = self.book.find(p)
        if m is None:
            return True
        if p.qos == 1:
            self.book.arrived(self.state, m, p)
            self._ack("PUBACK", p.id)
            return True
        before = self.state.received.get(p.id)
        if before is None:
            self.book.arrived(self.state, m, p)
            self.state.received[p.id] = m
        else:
            self.book.counts["duplicates"] += 1
            if before is not m or not p.dup:
                self.book.blame(f"{self.name}: {m.name} came as {p.id} of {before.name}, "
                                f"which is not released, DUP {p.dup}")
        self._ack("PUBREC", p.id)
        return True

    def work(self):
        now = time.monotonic()
        while self.later and self.later[0][0] <= now:
            self.out += self.later.popleft()[1]


class Blocking:
    """A client that says one thing after the other."""

    def __init__(self, port, level, client_id, clean):
        self.decoder = Decoder(level)
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.sendall(connect(level, client_id, clean))
        equal(self.next().reason, 0, "CONNACK")

    def next(self):
        while (p := self.decoder.next()) is None:
            data = self.socket.recv(262144)
            assert data, "connection closed"
            self.decoder.feed(data)
        return p

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def retained(port, wanted):
    """What a new subscriber gets of keep/#, at least these topics if they come."""
    packets, missing = [], set(wanted)
    with Blocking(port, 4, "new", True) as c:
        c.socket.sendall(subscribe(4, 1, "keep/#", 0))
        try:
            while missing:
                p = c.next()
                if p.kind == "PUBLISH":    # it may come before the SUBACK
                    packets.append(p)
                    missing.discard(p.topic)
        except TimeoutError:
            pass
    return packets


def agents(load):
    everyone = ([Publisher(load, w) for w in load.book.writers] +
                [Subscriber(load, r) for r in load.book.readers])
    load.book.random.shuffle(everyone)
    return everyone


def check_database(d):
    with sqlite3.connect(os.path.join(d.data, "lodge.db")) as db:
        equal(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        equal(db.execute("SELECT count(*) FROM batch").fetchone(), (0,), "batches left")


def one_life(d, load, seconds):
    load.run(seconds, d.kill)
    if load.book.random.random() < 0.1:  # once more, while it recovers
        d.start(wait=False)
        time.sleep(load.book.random.uniform(0, 0.012))
        d.kill()
    taken = d.start()
    load.book.check_retained(d.port)
    assert not load.book.wrong, f"seed {SEED}: {load.book.wrong}"
    return taken


@case("kill -9 over MQTT: QoS 1 comes at least once, QoS 2 exactly once and in order, sessions and "
      "retained messages stay")
def _():
    book = Sessions(SEED,
                    [Writer("p1", 4, (1,)), Writer("p2", 5, (1,)), Writer("p3", 4, (2,)),
                     Writer("p4", 5, (2,)), Writer("p5", 5, (1, 2))],
                    [Reader("c1", 4, "load/#", 2, 0.001), Reader("c2", 5, "load/+/a", 2, 0.02),
                     Reader("c3", 4, "load/+/b", 1, 0.02), Reader("c4", 5, "load/#", 1, 0.001),
                     Reader("c5", 5, "load/p3/+", 2, 0), Reader("c6", 4, "load/p5/#", 2, 0.01)])
    d = Lodged("--set", "memory=4m")
    d.command += ["--stomp", "off", "--mqtt", f"127.0.0.1:{d.port}"]
    slowest = 0
    d.start()
    for r in book.readers:
        with Blocking(d.port, r.level, r.name, False) as c:
            c.socket.sendall(subscribe(r.level, 1, r.filter, r.qos))
            equal(c.next().reason, r.qos, "SUBACK")
        r.known = True
    load = Load(d.port, book, agents)
    load.is_ending = False
    began = time.monotonic()
    for _ in range(KILLS):
        slowest = max(slowest, one_life(d, load, book.random.uniform(0.005, 0.6)))
    load.is_ending = True
    left = book.due
    for _ in range(20):
        if book.is_done():
            break
        one_life(d, load, 2)
    one_life(d, load, 1)     # nothing comes any more
    d.stop()
    print(f"# seed {SEED}: {KILLS} kills in {time.monotonic() - began:.0f} s, slowest start "
          f"{slowest * 1000:.0f} ms, {left} left in the end, {book.counts}", flush=True)
    lost = book.lost()
    assert not lost, f"seed {SEED}: {len(lost)} lost: {lost[:10]}"
    assert book.is_done(), f"seed {SEED}: not finished: {[w.open for w in book.writers]}"
    bad = [line for line in d.log().split("\n") if " error " in line or " fatal " in line]
    equal(bad, [], "errors in the log")
    check_database(d)


options = argparse.ArgumentParser()
options.add_argument("--kills", type=int, default=int(os.environ.get("KILLS", "100")))
options.add_argument("--seed", type=int,
                     default=int(os.environ.get("SEED", int.from_bytes(os.urandom(4), "big"))))
KILLS, SEED = vars(options.parse_args()).values()
sys.argv[1:] = []
run()
