#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""More than the disk takes, consumers that do not read, clients that vanish: memory stays
bounded, nothing is lost, others go on."""
import os
import select
import time

from behaved import WellBehaved
from bulk import fill, frames, peak_rss, take
from faults import faulty
from lib import LODGED, Lodged, case, equal, run, wait_for
from wire import encode

MB = 1 << 20
LIMITS = ("--set", "memory=16m", "--set", "uncommitted=4m")
ROOM = 24 * MB


def within(d, most, what):
    peak = peak_rss(d)
    print(f"# {what}: {peak / MB:.1f} MB resident at most", flush=True)
    if "san/" in LODGED:
        return  # sanitizers keep what was freed
    assert peak <= most, f"{what}: {peak / MB:.1f} MB resident, {most / MB:.0f} MB is bearable"


def push(clients, out, seconds):
    """Writes as much as the sockets take; returns how long in a row all of them took nothing."""
    held = longest = 0
    end = last = time.monotonic()
    end += seconds
    while any(out) and (now := time.monotonic()) < end:
        writable = select.select([], [c.socket for c, o in zip(clients, out) if o], [], 0.01)[1]
        for i, c in enumerate(clients):
            if c.socket in writable:
                out[i] = out[i][c.socket.send(out[i][:65536]):]
        held = 0 if writable else held + now - last
        longest, last = max(longest, held), now
    return longest


@case("publishers faster than the disk are held, in bounded memory, and lose nothing")
def _():
    per_client, size = 40_000, 1000
    d, _ = faulty(*LIMITS, sync_ms=20)
    with d:
        clients = [d.client() for _ in range(4)]
        out = [memoryview(frames(f"q{i}", 0, per_client, size, b"end")) for i in range(4)]
        for c in clients:
            c.socket.setblocking(False)
        longest = push(clients, out, 60)
        assert not any(out), "not everything was taken within a minute"
        assert longest > 0.01, f"never held for more than {longest * 1000:.0f} ms"
        for i, c in enumerate(clients):
            equal(c.wait("RECEIPT", patience=30)["receipt-id"], "end")
            c.close()
        within(d, 16 * MB + 4 * MB + ROOM, "160 MB published at full speed")
        for i in range(4):
            with d.client() as c:
                c.put("SUBSCRIBE", {"destination": f"/queue/q{i}", "id": 0, "ack": "client",
                                    "prefetch-count": 2000})
                equal(take(c, per_client), list(range(per_client)), "order")
                c.disconnect()


@case("while publishers are held others still consume and ack")
def _():
    d, _ = faulty(*LIMITS, sync_ms=20)
    with d, d.client() as slow:
        with d.client() as c:
            fill(c, "old", 0, 10_000)
        slow.socket.setblocking(False)
        out = [memoryview(frames("q", 0, 60_000, 1000, b"end"))]
        push([slow], out, 0.3)
        assert out[0], "the publisher was not held"
        with d.client() as c:
            c.put("SUBSCRIBE", {"destination": "/queue/old", "id": 0, "ack": "client",
                                "prefetch-count": 2000})
            began = time.monotonic()
            numbers = take(c, 10_000, each=lambda: push([slow], out, 0.001))
            equal(numbers, list(range(10_000)))
            took = time.monotonic() - began
            assert took < 5, f"10,000 messages took {took:.1f} s beside a held publisher"


@case("consumers that do not read cost bounded memory and disturb nobody")
def _():
    with Lodged(*LIMITS) as d:
        with d.client() as c:
            fill(c, "q", 0, 50_000, size=2000)
        good = WellBehaved(d)
        deaf = [d.client() for _ in range(40)]
        for i, c in enumerate(deaf):
            mode = ("auto", "client", "client-individual")[i % 3]
            destination = "/queue/q" if mode != "auto" else "/topic/t"
            c.subscribe(destination, ack=mode)
        with d.client() as c:
            for n in range(3000):
                c.send("/topic/t", b"%d" % n + b"y" * 1000, receipt=n % 100 == 99)
        good.end(200)
        within(d, 16 * MB + 40 * MB // 4 * 2 + ROOM, "40 deaf consumers")
        for c in deaf:
            c.close()
        with d.client() as c:
            c.put("SUBSCRIBE", {"destination": "/queue/q", "id": 0, "ack": "client",
                                "prefetch-count": 1000})
            equal(take(c, 50_000), list(range(50_000)), "order after all")


def half_a_login(c, _):
    c.write(b"CONNECT\naccept-ver")


def half_a_head(c, _):
    c.connect()
    c.write(b"SEND\ndestination:/queue/q")


def half_a_body(c, n):
    c.connect()
    c.write(encode("SEND", {"destination": "/queue/q"}, b"z" * 5000)[:1000 + n])


def half_a_long_body(c, n):
    c.connect()
    c.write(encode("SEND", {"destination": "/queue/q"}, b"z" * 900_000)[:300_000 + n])


def open_transaction(c, _):
    c.connect()
    c.put("BEGIN", {"transaction": "t"})
    c.put("SEND", {"destination": "/queue/q", "transaction": "t"}, b"never")


def unacked(c, n):
    c.connect()
    c.subscribe("/queue/q", ack=("client", "client-individual")[n % 2], prefetch_count=5)
    c.message()


def unacked_in_transaction(c, n):
    unacked(c, n)
    c.put("BEGIN", {"transaction": "t"})
    c.put("NACK", {"id": "1-1", "transaction": "t"})
    c.put("ACK", {"id": "1-1", "transaction": "t"})


def reader_of_a_long_body(c, _):
    c.connect()
    c.subscribe("/queue/long", ack="client", prefetch_count=1)
    c.socket.recv(1000)


def unread_topic(c, n):
    c.connect()
    c.subscribe("/topic/#", reply_to="/temp-queue/x")
    c.put("SEND", {"destination": f"/topic/{n}", "reply-to": "/temp-queue/a"}, b"hello")


STATES = (half_a_login, half_a_head, half_a_body, half_a_long_body, open_transaction, unacked,
          unacked_in_transaction, reader_of_a_long_body, unread_topic)


def descriptors(d):
    return len(os.listdir(f"/proc/{d.process.pid}/fd"))


@case("270 clients that vanish in every state leave nothing behind, and take nothing away")
def _():
    long_body = os.urandom(700_000)
    with Lodged(*LIMITS) as d:
        with d.client() as c:
            fill(c, "q", 0, 1000)
            for _ in range(30):
                c.send("/queue/long", long_body)
        good = WellBehaved(d)
        before = descriptors(d)
        crowd = []
        for n in range(270):
            c = d.raw()
            STATES[n % len(STATES)](c, n)
            crowd.append(c)
            if n % 3 == 0:
                crowd.pop(n % len(crowd)).close()
        for c in crowd:
            c.close()
        wait_for("descriptors to come back", lambda: descriptors(d) <= before)
        good.end()
        with d.client() as c:
            c.subscribe("/queue/long", ack="client", prefetch_count=1)
            equal(c.message().body == long_body, True, "the long message")
        with d.client() as c:
            c.put("SUBSCRIBE", {"destination": "/queue/q", "id": 0, "ack": "client"})
            equal(take(c, 1000), list(range(1000)))
            c.no_message()
        within(d, 16 * MB + 4 * MB + ROOM, "270 clients that vanished")


@case("10,000 unacked messages of a consumer that dies come back in order, marked redelivered")
def _():
    with Lodged(*LIMITS) as d:
        with d.client() as c:
            fill(c, "q", 0, 12_000)
        c = d.client()
        c.put("SUBSCRIBE", {"destination": "/queue/q", "id": 0, "ack": "client",
                            "prefetch-count": 10_000})
        equal(take(c, 10_000, ack=False), list(range(10_000)))
        c.close()
        with d.client() as c:
            c.subscribe("/queue/q", ack="client", prefetch_count=1000)
            for n in range(12_000):
                frame = c.message()
                equal(int(frame.body[:8]), n)
                equal(frame.get("redelivered"), "true" if n < 10_000 else None, f"mark of {n}")
                if n < 10_000:
                    equal(frame["x-delivery-count"], "1")
                if n % 500 == 499:
                    c.ack(frame)


run()
