# SPDX-License-Identifier: MIT
"""What a daemon that may be killed at any moment has promised, and whether it kept it.

Every message has a publisher, a number that rises per publisher, and a body that can be told
from its name.  A life is the time between a start of the daemon and its end.

    confirmed    its RECEIPT came (or that of its COMMIT), or it was seen in a later life than
                 the one in which it was sent, so that it must have been on disk
    ack_sent     its ACK was written to the socket; ack_kept: a RECEIPT covered it

Wrong is: a confirmed message that neither was acked nor comes in the end; one that comes again
after its ack was confirmed; one that comes twice and is not marked `redelivered`; in one life, to
one subscription, a first delivery out of the order of its publisher; part of a transaction; a body
that is not what was sent."""
import random

_filler = random.Random(1).randbytes(512 * 1024)


class Message:
    __slots__ = ("name", "queue", "number", "size", "life", "seen_life", "confirmed", "ack_sent",
                 "ack_kept", "returns_kept", "group", "aborted", "source")

    def __init__(self, name, queue, number, size, life):
        self.name, self.queue, self.number, self.size, self.life = name, queue, number, size, life
        self.seen_life = -1        # in which it came last
        self.confirmed = self.ack_sent = self.ack_kept = self.aborted = False
        self.returns_kept = 0      # NACKs that a RECEIPT covered
        self.group = None          # the messages of its transaction
        self.source = None         # of a forwarded one: what was acked in the same transaction


class Book:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.messages = {}
        self.life = 0
        self.wrong = []
        self.unacked = {}          # what may be in a queue now
        self.counts = dict.fromkeys(("sent", "confirmed", "delivered", "redelivered", "acked",
                                     "returned", "transactions", "forwarded"), 0)
        self.last = {}             # (life, subscription, publisher): its last first delivery
        self.attempts = {}         # source: the copies that were sent of it

    def blame(self, what):
        if len(self.wrong) < 20:
            self.wrong.append(f"life {self.life}: {what}")

    def next_life(self):
        self.life += 1
        self.unacked = {k: m for k, m in self.unacked.items() if m.confirmed}

    # ---- publishing

    def new(self, publisher, number, queue, size):
        m = Message(f"{publisher}:{number}:{queue}:{size}", queue, number, size, self.life)
        self.messages[m.name] = m
        self.counts["sent"] += 1
        self.unacked[m.name] = m
        return m

    @staticmethod
    def body(m):
        head = m.name.encode() + b"\n"
        at = m.number * 7919 % 65536
        return head + _filler[at:at + m.size]

    def confirm(self, m):
        if not m.confirmed:
            m.confirmed = True
            self.counts["confirmed"] += 1
            for other in m.group or ():
                self.confirm(other)

    def forward(self, source, copy):
        """`copy` is sent, and `source` acked, in one transaction."""
        copy.source = source
        self.attempts.setdefault(source.name, []).append(copy)
        self.counts["forwarded"] += 1

    # ---- consuming

    def came(self, frame, subscription):
        """A MESSAGE; returns what it is, or None when it should not be."""
        m = self.messages.get(frame.body[:64].split(b"\n", 1)[0].decode("latin1"))
        if m is None or self.body(m) != frame.body:
            self.blame(f"altered or unknown: {frame.headers} {frame.body[:80]!r}")
            return None
        again = frame.get("redelivered") == "true"
        self.counts["delivered"] += 1
        self.counts["redelivered"] += again
        self._check(m, frame, again)
        if m.seen_life < self.life:
            self._check_order(m, subscription)
        if m.life < self.life:
            self.confirm(m)
            self._check_copies(m)
        m.seen_life = self.life
        return m

    def _check(self, m, frame, again):
        if m.aborted:
            self.blame(f"{m.name} of an aborted transaction came")
        if m.ack_kept:
            self.blame(f"{m.name} came after its ack was confirmed")
        if m.seen_life >= 0 and not again:
            self.blame(f"{m.name} came again (last in life {m.seen_life}), not marked redelivered")
        if int(frame.get("x-delivery-count", 0)) < m.returns_kept:
            self.blame(f"{m.name} was returned {m.returns_kept} times, and says "
                       f"{frame.get('x-delivery-count')}")
        if not frame["destination"].endswith(m.queue):
            self.blame(f"{m.name} came from {frame['destination']}")

    def _check_order(self, m, subscription):
        key = (self.life, subscription, m.name.split(":", 1)[0])
        if m.number <= self.last.get(key, -1):
            self.blame(f"{m.name} came after number {self.last[key]} of its publisher")
        self.last[key] = m.number

    def _check_copies(self, m):
        """A copy that outlives its life proves the ack of its source; a source that comes in a
        later life proves that no earlier copy was kept."""
        if m.source:
            m.source.ack_kept = True
        for copy in self.attempts.get(m.name, ()):
            if copy.life < self.life and copy.confirmed:
                self.blame(f"{m.name} came, though its transaction with {copy.name} was kept")
            if copy.life < self.life:
                copy.aborted = True

    def ack(self, m):
        m.ack_sent = True
        self.unacked.pop(m.name, None)

    def kept(self, m):
        if not m.ack_kept:
            m.ack_kept = True
            self.counts["acked"] += 1
        for other in m.group or ():  # so its COMMIT was kept
            self.confirm(other)

    def returned(self, m):
        m.returns_kept += 1
        self.counts["returned"] += 1

    # ---- the end

    def lost(self):
        """To be called when everything that was there has been acked."""
        return [m.name for m in self.messages.values()
                if m.confirmed and not m.ack_sent and not m.aborted]
