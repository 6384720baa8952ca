#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kill -9 at random moments under load over AMQP: publisher confirms, and transactions that
publish, settle, or do both.

    test_kill_amqp.py [--kills 200] [--seed N]      (or KILLS=, SEED= in the environment)"""
import argparse
import os
import sqlite3
import sys
import time

from amqp_wire import Amqp, Decoder, encode, hello
from book import Book
from lib import Lodged, case, equal, run
from load import Agent, Load, Publisher
from wire import Frame

QUEUES = ["a", "b", "c", "d", "e"]   # e is forwarded to f
PASSED_OVER = {"connection.start", "connection.tune", "connection.open-ok", "channel.open-ok",
               "confirm.select-ok", "tx.select-ok", "basic.qos-ok", "tx.rollback-ok"}


class Settlement:
    """What one tx.commit settles and publishes."""

    def __init__(self, life):
        self.life, self.open, self.done = life, True, False
        self.acked, self.returned, self.copies = [], [], []  # copies: one of each acked, or none


class TxBook(Book):
    """A Book that knows which acks stand or fall together.

    An ack_sent is one whose tx.commit was written to the socket: a message that was acked and
    not committed must come again.  A message that comes in a later life than the one in which it
    was committed proves that the commit was lost, so all that it acked must come, and none of what
    it published; a copy that comes proves the opposite."""

    def __init__(self, seed):
        super().__init__(seed)
        self.acks, self.publishes = {}, {}   # message: the last Settlement it was in
        self.counts.update(commits=0, undone=0, rollbacks=0)

    def committing(self, s):
        s.open = False
        for m in s.acked:
            self.ack(m)
            self.acks[m.name] = s
        for copy in s.copies:
            copy.aborted = False
            copy.group = s.copies
            self.publishes[copy.name] = s

    def committed(self, s):
        s.done = True
        self.counts["commits"] += 1
        for m in s.acked:
            self.kept(m)
        for m in s.returned:
            self.returned(m)
        for copy in s.copies:
            self.confirm(copy)

    def _undo(self, s):
        self.counts["undone"] += 1
        for m in s.acked:
            if self.acks.get(m.name) is s:
                del self.acks[m.name]
                m.ack_sent = False
                self.unacked[m.name] = m
        for copy in s.copies:
            if copy.confirmed:
                self.blame(f"{copy.name} was kept, and not the acks of its transaction")
            copy.aborted = True

    def came(self, frame, subscription):
        m = super().came(frame, subscription)
        if m is None:
            return None
        s = self.acks.get(m.name)
        if s and s.life < self.life:
            self._undo(s)
        s = self.publishes.get(m.name)
        if s and s.life < self.life and not s.done:
            s.done = True
            for other in s.acked:
                self.kept(other)
        return m


class Speaker(Agent):
    """An Agent over AMQP, on channel 1.  waiting: what to do when it is confirmed."""

    def __init__(self, load, name):
        super().__init__(load, name)
        self.decoder = Decoder()
        self.out = bytearray(hello(1))

    def tell(self, name, body=None, **args):
        self.out += encode(1, name, body, **args)

    def publish(self, m, **args):
        self.tell("basic.publish", self.book.body(m), routing_key=m.queue, **args)

    def read(self):
        try:
            data = self.socket.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.closed = not data
        self.decoder.feed(data)
        while method := self.decoder.next():
            if method.name == "basic.deliver":
                self.on_message(method)
            elif method.name in ("basic.ack", "tx.commit-ok"):
                self.on_confirm(**method.args)
            elif method.name not in PASSED_OVER:
                self.book.blame(f"{self.name}: {method}")

    def on_confirm(self):
        """tx.commit-ok: of the first that was not answered."""
        if self.waiting:
            self.waiting.popleft()()
        else:
            self.book.blame(f"{self.name}: tx.commit-ok without tx.commit")


class Confirmed(Publisher, Speaker):
    """Publishes with confirms.  waiting: the messages."""

    def __init__(self, load, name, queues):
        super().__init__(load, name, queues)
        self.first = 1    # the number of waiting[0]
        self.tell("confirm.select", nowait=True)

    def _single(self):
        m = self._message()
        self.publish(m, mandatory=self.random.random() < 0.3)
        self.waiting.append(m)

    _transaction = _single

    def on_confirm(self, tag, multiple):  # pylint: disable=arguments-differ
        if not self.first <= tag < self.first + len(self.waiting):
            self.book.blame(f"{self.name}: {tag} is confirmed, {self.first} is the first "
                            f"of {len(self.waiting)} that wait")
        elif tag != self.first and not multiple:
            self.book.blame(f"{self.name}: {tag} is confirmed before {self.first}")
        else:
            for _ in range(self.first, tag + 1):
                self.book.confirm(self.waiting.popleft())
            self.first = tag + 1


class Transactor(Publisher, Speaker):
    """Publishes in transactions over its queues, one after the other without waiting."""

    def __init__(self, load, name, queues):
        super().__init__(load, name, queues)
        self.group = []   # of the open transaction; not to come until tx.commit is written
        self.tell("tx.select")

    def _single(self):
        if len(self.group) > 1 and self.random.random() < 0.2:
            self._end()
            return
        m = self._message()
        m.group, m.aborted = self.group, True
        self.publish(m)
        self.group.append(m)

    _transaction = _single

    def _end(self):
        group, self.group = self.group, []
        if self.random.random() < 0.15:
            for m in group:
                self.book.unacked.pop(m.name, None)
            self.tell("tx.rollback")
            return
        for m in group:
            m.aborted = False
        self.book.counts["transactions"] += 1
        self.waiting.append(lambda: self.book.confirm(group[0]))
        self.tell("tx.commit")


class Settler(Speaker):
    """Settles in transactions.  subscriptions: (queue, prefetch, queue to forward to or None)"""

    def __init__(self, load, name, subscriptions):
        super().__init__(load, name)
        self.subscriptions = subscriptions
        self.target = {queue: target for queue, _, target in subscriptions}
        self.held = []          # (delivery tag, message) that no transaction settles yet
        self.settling = []      # the same, that the open one settles
        self.current = Settlement(self.book.life)
        self.tell("tx.select")
        for i, (queue, prefetch, _) in enumerate(subscriptions):
            self.tell("basic.qos", count=prefetch)
            self.tell("basic.consume", queue=queue, tag=str(i), nowait=True)

    def on_message(self, frame):
        at = frame.args["consumer"]
        m = self.book.came(as_frame(frame, self.subscriptions[int(at)][0]), f"{self.name}.{at}")
        if m:
            self.held.append((frame.args["tag"], m))

    def work(self):
        for _ in range(8):
            self._settle()
            dice = self.random.random()
            if self.settling and dice < 0.75:
                if dice < 0.7:
                    self._commit()
                else:
                    self._roll_back()

    def _settle(self):
        if not self.held or (len(self.held) < 20 and self.random.random() < 0.3):
            return
        n = self.random.randrange(min(len(self.held), 100)) + 1
        some, self.held = self.held[:n], self.held[n:]
        self.settling += some
        if any(self.target[m.queue] for _, m in some) or self.random.random() < 0.5:
            self._settle_each(some)
        else:
            self.current.acked += [m for _, m in some]
            self.tell("basic.ack", tag=some[-1][0], multiple=True)

    def _settle_each(self, some):
        if self.random.random() < 0.5:
            self.random.shuffle(some)
        for tag, m in some:
            if self.random.random() < 0.03:
                self.current.returned.append(m)
                self.tell("basic.nack", tag=tag, requeue=True)
                continue
            self.current.acked.append(m)
            self.tell("basic.ack", tag=tag)
            if target := self.target[m.queue]:
                self._forward(m, target)

    def _forward(self, m, target):
        number = self.load.numbers[self.name] = self.load.numbers[self.name] + 1
        copy = self.book.new(self.name, number, target, 50)
        copy.aborted = True     # until tx.commit is written
        self.book.forward(m, copy)
        self.current.copies.append(copy)
        self.publish(copy)

    def _commit(self):
        s, self.current = self.current, Settlement(self.book.life)
        self.settling.clear()
        self.book.committing(s)
        self.waiting.append(lambda: self.book.committed(s))
        self.tell("tx.commit")

    def _roll_back(self):
        """What it would have settled is unacked again under its tag."""
        for copy in self.current.copies:
            self.book.unacked.pop(copy.name, None)
        self.current = Settlement(self.book.life)
        self.held = sorted(self.settling + self.held, key=lambda tag_message: tag_message[0])
        self.settling.clear()
        self.book.counts["rollbacks"] += 1
        self.tell("tx.rollback")


def as_frame(method, queue):
    """A delivery, as the Book knows it from STOMP."""
    return Frame("MESSAGE", {"destination": queue,
                             "redelivered": str(method.args["redelivered"]).lower(),
                             "x-delivery-count": method.headers.get("x-delivery-count", 0)},
                 method.body)


def agents(load):
    return [
        Confirmed(load, "p1", QUEUES),
        Confirmed(load, "p2", QUEUES),
        Confirmed(load, "p3", ["a"]),
        Confirmed(load, "p4", ["b", "c", "e"]),
        Transactor(load, "t1", ["a", "c"]),
        Transactor(load, "t2", ["b", "e"]),
        Settler(load, "c1", [("a", 400, None), ("f", 0, None)]),
        Settler(load, "c2", [("a", 10, None), ("b", 300, None)]),
        Settler(load, "c3", [("c", 200, None), ("d", 1, None)]),
        Settler(load, "c4", [("e", 200, "f"), ("d", 300, None)]),
    ]


def drain(d, book):
    """Takes what is left, and acks it."""
    book.next_life()
    count = 0
    with Amqp(("127.0.0.1", d.port)) as c:
        c.call("tx.select")
        for queue in QUEUES + ["f"]:
            s = Settlement(book.life)
            while True:
                c.put("basic.get", queue=queue)
                method = c.wait("basic.get-ok", "basic.get-empty")
                if method.name == "basic.get-empty":
                    break
                m = book.came(as_frame(method, queue), "drain " + queue)
                c.put("basic.ack", tag=method.args["tag"])
                count += 1
                if m:
                    s.acked.append(m)
            book.committing(s)
            c.call("tx.commit")
            book.committed(s)
    return count


def check_database(d):
    with sqlite3.connect(os.path.join(d.data, "lodge.db")) as db:
        equal(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        equal(db.execute("SELECT count(*) FROM batch").fetchone(), (0,), "batches left")


def one_life(d, load, random):
    load.run(random.uniform(0.005, 0.4), d.kill)
    if random.random() < 0.1:  # once more, while it recovers
        d.start(wait=False)
        time.sleep(random.uniform(0, 0.012))
        d.kill()
    return d.start()


@case("kill -9 over AMQP: what was confirmed is there, what was acked and committed does not come "
      "again, a transaction is there whole or not at all, queues keep their order")
def _():
    book = TxBook(SEED)
    d = Lodged("--set", "memory=4m")
    d.command += ["--stomp", "off", "--amqp", f"127.0.0.1:{d.port}"]
    slowest = 0
    d.start()
    with Amqp(("127.0.0.1", d.port)) as c:
        for queue in QUEUES + ["f"]:  # quorum: to be told how often a message was returned
            c.call("queue.declare", queue=queue, durable=True,
                   arguments={"x-queue-type": "quorum"})
    load = Load(d.port, book, agents)
    began = time.monotonic()
    for _ in range(KILLS):
        slowest = max(slowest, one_life(d, load, book.random))
        assert not book.wrong, f"seed {SEED}: {book.wrong}"
    left = drain(d, book)
    d.kill()
    d.start()
    again = drain(d, book)
    d.stop()
    print(f"# seed {SEED}: {KILLS} kills in {time.monotonic() - began:.0f} s, slowest start "
          f"{slowest * 1000:.0f} ms, {left} left in the end, {book.counts}", flush=True)
    lost = book.lost()
    assert not book.wrong, f"seed {SEED}: {book.wrong}"
    assert not lost, f"seed {SEED}: {len(lost)} lost: {lost[:10]}"
    equal(again, 0, "messages after all were acked")
    bad = [line for line in d.log().split("\n") if " error " in line or " fatal " in line]
    equal(bad, [], "errors in the log")
    check_database(d)


options = argparse.ArgumentParser()
options.add_argument("--kills", type=int, default=int(os.environ.get("KILLS", "200")))
options.add_argument("--seed", type=int,
                     default=int(os.environ.get("SEED", int.from_bytes(os.urandom(4), "big"))))
KILLS, SEED = vars(options.parse_args()).values()
sys.argv[1:] = []
run()
