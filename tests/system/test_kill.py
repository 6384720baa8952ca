#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""kill -9 at random moments under load: what was confirmed is there, what was acked is gone.

    test_kill.py [--kills 200] [--seed N]"""
import argparse
import os
import sqlite3
import sys
import time

from book import Book
from lib import Lodged, case, equal, run
from load import Consumer, Load, Publisher

QUEUES = ["a", "b", "c", "d", "e"]   # e is forwarded to f
KILLS, SEED = 200, int.from_bytes(os.urandom(4), "big")


def agents(load):
    return [
        Publisher(load, "p1", QUEUES),
        Publisher(load, "p2", QUEUES),
        Publisher(load, "p3", ["a"]),
        Publisher(load, "p4", ["b", "c", "e"]),
        Consumer(load, "c1", [("a", "client", 50, None), ("f", "client", 0, None)]),
        Consumer(load, "c2", [("a", "client-individual", 10, None), ("b", "client", 200, None)]),
        Consumer(load, "c3", [("c", "client-individual", 100, None),
                              ("d", "client-individual", 1, None)]),
        Consumer(load, "c4", [("e", "client-individual", 20, "f"),
                              ("d", "client-individual", 30, None)]),
    ]


def drain(d, book):
    """Takes what is left, and acks it."""
    book.next_life()
    count = 0
    with d.client() as c:
        for queue in QUEUES + ["f"]:
            c.subscribe("/queue/" + queue, id=queue, ack="client")
        while True:
            try:
                frame = c.message(0.7)
            except TimeoutError:
                break
            m = book.came(frame, "drain " + frame["subscription"])
            count += 1
            c.ack(frame)
            if m:
                book.ack(m)
        c.disconnect()
    return count


def check_database(d):
    with sqlite3.connect(os.path.join(d.data, "lodge.db")) as db:
        equal(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        equal(db.execute("SELECT count(*) FROM batch").fetchone(), (0,), "batches left")


def one_life(d, load, random):
    load.run(random.uniform(0.005, 0.5), d.kill)
    if random.random() < 0.1:  # once more, while it recovers
        d.start(wait=False)
        time.sleep(random.uniform(0, 0.012))
        d.kill()
    return d.start()


@case("kill -9 under load loses nothing confirmed and brings nothing acked back")
def _():
    book = Book(SEED)
    d = Lodged("--set", "memory=4m")
    slowest = 0
    d.start()
    load = Load(d.port, book, agents)
    began = time.monotonic()
    for _ in range(KILLS):
        slowest = max(slowest, one_life(d, load, book.random))
        assert not book.wrong, f"seed {SEED}: {book.wrong}"
    left = drain(d, book)
    d.kill()
    d.start()
    book.next_life()
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
options.add_argument("--kills", type=int, default=KILLS)
options.add_argument("--seed", type=int, default=SEED)
KILLS, SEED = vars(options.parse_args()).values()
sys.argv[1:] = []
run()
