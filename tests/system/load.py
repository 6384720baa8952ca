# SPDX-License-Identifier: MIT
"""Publishers and consumers at full speed in one thread, keeping a Book of what they saw.

Each agent is a connection that answers what it reads and writes as much as its window allows, so
the daemon always has commits under way.  All of them end with the daemon."""
import collections
import selectors
import socket
import time

from wire import Decoder, encode

WINDOW = 300            # unconfirmed SENDs of a publisher
OPEN_MESSAGES = 4000    # publishers wait while more than these are not acked


class Agent:
    def __init__(self, load, name):
        self.load, self.book, self.name = load, load.book, name
        self.random = load.book.random
        self.socket = socket.create_connection(("127.0.0.1", load.port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.decoder = Decoder()
        self.out = bytearray()
        self.receipts = 0
        self.waiting = collections.deque()  # (receipt or None, what to do when it is covered)
        self.closed = False
        self.put("CONNECT", {"accept-version": "1.2", "host": "/"})

    def put(self, command, headers, body=b""):
        self.out += encode(command, headers, body)

    def receipt(self, *deeds):
        """The name of a receipt that, when it comes, does this and all that waits before it."""
        self.receipts += 1
        for deed in deeds:
            self.waiting.append((None, deed))
        self.waiting.append((self.receipts, None))
        return self.receipts

    def _covered(self, number):
        while self.waiting:
            tag, deed = self.waiting.popleft()
            if deed:
                deed()
            if tag is not None:
                if tag != number:
                    self.book.blame(f"{self.name}: receipt {number} came, {tag} was next")
                return
        self.book.blame(f"{self.name}: receipt {number} was never asked for")

    def flush(self):
        if self.out and not self.closed:
            try:
                del self.out[:self.socket.send(self.out)]
            except BlockingIOError:
                pass
            except OSError:
                self.out.clear()

    def read(self):
        try:
            data = self.socket.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return
        self.decoder.feed(data)
        while frame := self.decoder.next():
            if frame.command == "RECEIPT":
                self._covered(int(frame["receipt-id"]))
            elif frame.command == "MESSAGE":
                self.on_message(frame)
            elif frame.command != "CONNECTED":
                self.book.blame(f"{self.name}: {frame.command} {frame.headers} {frame.body!r}")

    def on_message(self, frame):
        self.book.blame(f"{self.name}: unasked {frame}")

    def work(self):
        """Called after every round of reading."""


class Publisher(Agent):
    def __init__(self, load, name, queues):
        super().__init__(load, name)
        self.queues = queues

    def _size(self):
        dice = self.random.random()
        if dice < 0.003:
            return self.random.randrange(250_000, 400_000)  # stored in parts
        return self.random.randrange(20, 300) if dice < 0.97 else self.random.randrange(1, 40_000)

    def _message(self):
        number = self.load.numbers[self.name] = self.load.numbers[self.name] + 1
        return self.book.new(self.name, number, self.random.choice(self.queues), self._size())

    def _send(self, m, **headers):
        self.put("SEND", {"destination": "/queue/" + m.queue, **headers}, self.book.body(m))

    def _single(self):
        m = self._message()
        self._send(m, receipt=self.receipt(lambda: self.book.confirm(m)))

    def _transaction(self):
        group = [self._message() for _ in range(self.random.randrange(2, 12))]
        name = f"t{group[0].number}"
        self.put("BEGIN", {"transaction": name})
        for m in group:
            m.group = group
            self._send(m, transaction=name)
        if self.random.random() < 0.2:
            for m in group:
                m.aborted = True
                self.book.ack(m)
            self.put("ABORT", {"transaction": name})
        else:
            self.book.counts["transactions"] += 1
            tag = self.receipt(lambda: self.book.confirm(group[0]))
            self.put("COMMIT", {"transaction": name, "receipt": tag})

    def work(self):
        for _ in range(50):
            if (len(self.waiting) > WINDOW or len(self.book.unacked) > OPEN_MESSAGES
                    or len(self.out) > 1 << 20):
                return
            if self.random.random() < 0.04:
                self._transaction()
            else:
                self._single()


class Consumer(Agent):
    """subscriptions: (queue, ack mode, prefetch, queue to forward to or None)"""

    def __init__(self, load, name, subscriptions):
        super().__init__(load, name)
        self.subscriptions = subscriptions
        self.held = [[] for _ in subscriptions]  # (message, ack header)
        for i, (queue, mode, prefetch, _) in enumerate(subscriptions):
            self.put("SUBSCRIBE", {"destination": "/queue/" + queue, "id": i, "ack": mode,
                                   "prefetch-count": prefetch})

    def on_message(self, frame):
        at = int(frame["subscription"])
        m = self.book.came(frame, f"{self.name}.{at}")
        if m:
            self.held[at].append((m, frame["ack"]))

    def work(self):
        for held, (_, mode, _, target) in zip(self.held, self.subscriptions):
            if not held or (len(held) < 20 and self.random.random() < 0.3):
                continue
            if target:
                self._forward(held, target)
            elif mode == "client":
                self._ack_upto(held)
            else:
                self._ack_each(held)

    def _ack_upto(self, held):
        n = self.random.randrange(len(held)) + 1
        done = [m for m, _ in held[:n]]
        for m in done:
            self.book.ack(m)
        tag = self.receipt(lambda: [self.book.kept(m) for m in done])
        self.put("ACK", {"id": held[n - 1][1], "receipt": tag})
        del held[:n]

    def _ack_each(self, held):
        self.random.shuffle(held)
        for m, ack in held:
            headers = {"id": ack}
            if self.random.random() < 0.03:
                command, deed = "NACK", lambda m=m: self.book.returned(m)
            else:
                command, deed = "ACK", lambda m=m: self.book.kept(m)
                self.book.ack(m)
            if self.random.random() < 0.5:
                headers["receipt"] = self.receipt(deed)
            else:
                self.waiting.append((None, deed))
            self.put(command, headers)
        held.clear()

    def _forward(self, held, target):
        for m, ack in held:
            number = self.load.numbers[self.name] = self.load.numbers[self.name] + 1
            copy = self.book.new(self.name, number, target, 50)
            self.book.forward(m, copy)
            self.book.ack(m)
            name = f"f{number}"
            self.put("BEGIN", {"transaction": name})
            self.put("ACK", {"id": ack, "transaction": name})
            self.put("SEND", {"destination": "/queue/" + target, "transaction": name},
                     self.book.body(copy))
            tag = self.receipt(lambda m=m: self.book.kept(m), lambda c=copy: self.book.confirm(c))
            self.put("COMMIT", {"transaction": name, "receipt": tag})
        held.clear()


class Load:
    """Agents of one life of the daemon after the other."""

    def __init__(self, port, book, make):
        self.port, self.book, self.make = port, book, make
        self.numbers = collections.Counter()  # the last one of each publisher

    def run(self, seconds, end, dies=None):
        """Lets new agents work so long, calls end(), and reads what is still under way.
        dies: called once all are connected; the daemon is expected to end by itself of it."""
        self.book.next_life()
        agents = self.make(self)
        if dies:
            dies()
        with selectors.DefaultSelector() as selector:
            for agent in agents:
                selector.register(agent.socket, selectors.EVENT_READ, agent)
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                for agent in agents:
                    agent.work()
                    agent.flush()
                for key, _ in selector.select(min(left, 0.002)):
                    key.data.read()
                if any(agent.closed for agent in agents):
                    if not dies:
                        self.book.blame("a connection was closed while the daemon lived")
                    break
            end()
        for agent in agents:
            agent.socket.settimeout(10)
            while not agent.closed:
                agent.read()
            agent.socket.close()
