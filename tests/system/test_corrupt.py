#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Bits that flip on disk: whole messages are served, the rest is set aside aloud; no altered body
is ever delivered, and no damage passes for an empty queue.

    test_corrupt.py [--seed N]"""
import argparse
import os
import random
import shutil
import sys

from lib import Closed, Lodged, case, equal, run, scratch

SEED = 20240607
PAGE = 8192
SMALL, LONG = 300, 3


def body(n):
    return b"%06d" % n + random.Random(n).randbytes(400 if n < SMALL else 600_000)


BODIES = {n: body(n) for n in range(SMALL + LONG)}


def make_database(path, end, long=0):
    """A queue of small messages in several batches, some of them settled; with `long` a queue of
    long ones, which are stored in parts.  Returns the numbers of what is there."""
    d = Lodged(data=path)
    d.start()
    with d.client() as c:
        for at in range(0, SMALL, 20):
            c.send_all("/queue/q", [BODIES[n] for n in range(at, at + 20)])
        for n in range(SMALL, SMALL + long):
            c.send("/queue/long", BODIES[n])
        c.subscribe("/queue/q", ack="client-individual")
        for n in range(30):
            frame = c.message()
            if n % 2:
                c.ack(frame)
        c.disconnect()
    end(d)
    return set(range(SMALL + long)) - {n for n in range(30) if n % 2}


def serve(d):
    """The numbers of all messages that the daemon gives out; None when it lets nobody in."""
    got = set()
    with d.raw() as c:
        try:
            c.connect()
        except AssertionError:
            return None
        except Closed:
            return got
    for queue in ("q", "long"):
        try:
            with d.client() as c:
                c.subscribe("/queue/" + queue, ack="client")
                while True:
                    body = c.message(0.15).body
                    n = int(body[:6]) if body[:6].isdigit() else -1
                    assert BODIES.get(n) == body, f"an altered body was delivered: {body[:40]!r}"
                    assert n not in got, f"{n} came twice"
                    got.add(n)
        except (OSError, Closed):  # silence; or the daemon ended it, or itself
            pass
    return got


def judge(files, damage, wanted):
    """Damages a copy, starts it, and looks what it serves; returns how that went."""
    home = scratch()
    data = os.path.join(home, "data")
    shutil.copytree(files, data)
    damage(data)
    d = Lodged(data=data)
    try:
        d.start()
    except AssertionError as e:
        d.process = None
        log = d.log()
        assert data in log.strip().split("\n")[-1] and "ended with 7" in str(e), \
            f"refused without a clear message: {e}"
        return "refused"
    got = serve(d)
    status = d.process.poll()
    if status is not None:
        d.process = None
        assert status == 74 and " fatal " in d.log(), f"ended with {status}: {d.log()[-500:]}"
    d.stop()
    log = d.log()
    shutil.rmtree(home)
    if got is None:
        return "refused"
    extra = got - wanted
    if extra and "store.settled" in log:  # aloud: better twice than not at all
        return "whole" if wanted <= got else "set aside"
    assert not extra, f"{sorted(extra)[:5]} were acked, and came again"
    if got == wanted:
        return "whole"
    said = "damage" in log or "set_aside" in log or "cannot be read" in log
    assert said, f"{len(wanted - got)} of {len(wanted)} missing without a word: {log[-300:]}"
    return "set aside"


def flip(name, at, bit):
    def damage(data):
        with open(os.path.join(data, name), "r+b") as f:
            f.seek(at)
            byte = f.read(1)[0]
            f.seek(at)
            f.write(bytes([byte ^ 1 << bit]))
    return damage


def cut(name, size):
    return lambda data: os.truncate(os.path.join(data, name), size)


def try_all(files, wanted, damages):
    results = {"whole": 0, "refused": 0, "set aside": 0}
    wrong = []
    for what, damage in damages:
        try:
            results[judge(files, damage, wanted)] += 1
        except AssertionError as e:
            wrong.append(f"{what}: {e}")
    print(f"# seed {SEED}: {results}, {len(wrong)} wrong", flush=True)
    for line in wrong[:8]:
        print("#", line.replace("\n", "\\n")[:300], flush=True)
    assert not wrong, f"seed {SEED}: {len(wrong)} of {len(damages)}: {wrong[0]}"


def places(size, pick, count):
    """The start, the end and the middle of pages: headers, cell pointers, overflow, content."""
    pages = sorted(pick.sample(range(size // PAGE), min(count, size // PAGE)))
    for page in pages:
        for at in (pick.randrange(12), pick.randrange(8, 64), PAGE - 1 - pick.randrange(200),
                   pick.randrange(PAGE)):
            yield page * PAGE + at


def flips(files, pick, pages):
    size = os.path.getsize(os.path.join(files, "lodge.db"))
    return [(f"bit at {at} (page {at // PAGE + 1}, {at % PAGE})",
             flip("lodge.db", at, pick.randrange(8))) for at in places(size, pick, pages)]


@case("a database without damage is served whole")
def _():
    files = os.path.join(scratch(), "data")
    wanted = make_database(files, Lodged.stop, LONG)
    equal(judge(files, lambda data: None, wanted), "whole")


@case("flipped bits in the database: whole messages are served, others set aside aloud")
def _():
    pick = random.Random(SEED)
    files = os.path.join(scratch(), "data")
    wanted = make_database(files, Lodged.stop)
    try_all(files, wanted, flips(files, pick, 20))


@case("flipped bits in the parts of long messages: no altered body is delivered")
def _():
    pick = random.Random(SEED)
    files = os.path.join(scratch(), "data")
    wanted = make_database(files, Lodged.stop, LONG)
    try_all(files, wanted, flips(files, pick, 10))


@case("a database that was cut short: whole messages are served, or the start is refused")
def _():
    pick = random.Random(SEED)
    files = os.path.join(scratch(), "data")
    wanted = make_database(files, Lodged.stop)
    size = os.path.getsize(os.path.join(files, "lodge.db"))
    sizes = {1, 100, PAGE - 1, size - 1, size - PAGE, size // 2} | {
        page * PAGE for page in range(1, size // PAGE)}
    try_all(files, wanted, [(f"cut to {n} bytes", cut("lodge.db", n)) for n in sorted(sizes)])


@case("a write-ahead log with flipped bits never makes an altered body or brings an acked one back")
def _():
    pick = random.Random(SEED)
    files = os.path.join(scratch(), "data")
    make_database(files, Lodged.kill, LONG)
    size = os.path.getsize(os.path.join(files, "lodge.db-wal"))
    for _ in range(25):
        at = pick.randrange(size)
        home = scratch()
        data = os.path.join(home, "data")
        shutil.copytree(files, data)
        flip("lodge.db-wal", at, pick.randrange(8))(data)
        d = Lodged(data=data)
        try:
            d.start()
        except AssertionError as e:
            assert "lodge.db" in d.log(), e
            continue
        serve(d)  # what a lost tail of the log held cannot be missed by anybody but its sender
        d.stop()
        shutil.rmtree(home)


options = argparse.ArgumentParser()
options.add_argument("--seed", type=int, default=SEED)
options.add_argument("cases", nargs="*")
SEED, sys.argv[1:] = vars(options.parse_args()).values()
run()
