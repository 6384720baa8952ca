#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A write or a sync that fails ends the daemon at once, and nothing confirmed is lost."""
import errno
import os
import signal
import sqlite3
import time

from book import Book
from faults import faulty
from lib import case, equal, run
from load import Consumer, Load, Publisher

EX_IOERR = 74


def agents(load):
    return [
        Publisher(load, "p1", ["a", "b"]),
        Publisher(load, "p2", ["b", "c"]),
        Consumer(load, "c1", [("a", "client", 50, None), ("d", "client", 0, None)]),
        Consumer(load, "c2", [("b", "client-individual", 100, None),
                              ("c", "client-individual", 100, "d")]),
    ]


def drain(d, book):
    book.next_life()
    with d.client() as c:
        for queue in "abcd":
            c.subscribe("/queue/" + queue, id=queue, ack="client")
        try:
            while True:
                frame = c.message(0.5)
                m = book.came(frame, "drain " + frame["subscription"])
                c.ack(frame)
                if m:
                    book.ack(m)
        except TimeoutError:
            pass
        c.disconnect()


def judge(d, book):
    """Everything that is left is taken; nothing confirmed may be missing."""
    drain(d, book)
    d.stop()
    assert not book.wrong, book.wrong
    lost = book.lost()
    assert not lost, f"{len(lost)} lost: {lost[:10]}"
    with sqlite3.connect(os.path.join(d.data, "lodge.db")) as db:
        equal(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])


def fail_each(what, numbers, error):
    """Under load writes fail from the n-th on, or the n-th sync fails, for every n; the daemon
    starts again after each."""
    d, disk = faulty("--set", "storage.checkpoint=1g")
    book = Book(1)
    d.start()
    load = Load(d.port, book, agents)
    for n in numbers:
        seen = len(d.log())
        load.run(5, lambda: equal(d.wait(), EX_IOERR, f"{what} {n}: exit status"),
                 dies=lambda: disk.fail(what, n, error))
        disk.heal()
        said = [line for line in d.log()[seen:].split("\n") if " fatal " in line]
        equal(len(said), 1, f"{what} {n}: fatal lines in {d.log()[seen:]!r}")
        assert " store.commit " in said[0] and "err=" in said[0], said[0]
        d.start()
    judge(d, book)


@case("a sync that fails ends the daemon with 74 and says so, nothing confirmed is lost")
def _():
    fail_each("sync", range(1, 25), errno.EIO)


@case("writes that fail in the middle end the daemon with 74, nothing confirmed is lost")
def _():
    fail_each("write", range(1, 40), errno.EIO)


@case("a disk that is full without warning ends the daemon with 74, nothing confirmed is lost")
def _():
    fail_each("write", range(3, 60, 7), errno.ENOSPC)


@case("a publisher gets no receipt for what was in the commit that failed")
def _():
    d, disk = faulty()
    d.start()
    with d.client() as c:
        c.send("/queue/a", b"kept")
        disk.fail("sync", 1)
        c.put("SEND", {"destination": "/queue/a", "receipt": "r"}, b"unsure")
        equal(d.wait(), EX_IOERR)
        c.closed()
        assert not c.kept["RECEIPT"], "it was confirmed"
    disk.heal()
    d.start()
    with d.client() as c:
        c.subscribe("/queue/a")
        equal(c.message().body, b"kept")
    d.stop()


@case("a checkpoint that fails costs nothing: commits go on, and nothing is lost")
def _():
    d, disk = faulty("--set", "storage.checkpoint=1m")
    book = Book(2)
    d.start()
    load = Load(d.port, book, agents)
    statuses = []
    for n in range(1, 30, 3):
        for what in ("write", "sync"):
            load.run(0.4, lambda: statuses.append(d.stop(signal.SIGKILL)),
                     dies=lambda: disk.fail(what, 40 + n))
            disk.heal()
            d.start()
    equal(set(statuses) - {EX_IOERR, -signal.SIGKILL}, set(), "exit statuses")
    judge(d, book)


@case("a start during which a write or a sync fails ends with 74, and the next one is whole")
def _():
    d, disk = faulty()
    d.start()
    with d.client() as c:
        c.send_all("/queue/a", [b"%d" % i for i in range(100)])
    for what in ("write", "sync"):
        for n in range(1, 8):
            d.kill()
            disk.fail(what, n)
            try:
                d.start()
                disk.heal()
                break  # there were not so many
            except AssertionError as e:
                assert f"ended with {EX_IOERR}" in str(e) and "error" in str(e), e
                disk.heal()
            d.start()
    with d.client() as c:
        c.subscribe("/queue/a")
        equal([c.message().body for _ in range(100)], [b"%d" % i for i in range(100)])
    d.stop()


@case("a daemon that is stopped and continued goes on as if nothing had been")
def _():
    d, _ = faulty()
    with d, d.client(heart_beat="0,0") as c:
        c.subscribe("/queue/a", ack="client")
        for i in range(3):
            d.process.send_signal(signal.SIGSTOP)
            c.put("SEND", {"destination": "/queue/a", "receipt": f"s{i}"}, b"%d" % i)
            time.sleep(0.3)
            c.no_message(0.1)
            d.process.send_signal(signal.SIGCONT)
            equal(c.wait("RECEIPT")["receipt-id"], f"s{i}")
            frame = c.message()
            equal(frame.body, b"%d" % i)
            c.ack(frame)


run()
