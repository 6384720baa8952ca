#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A million messages in a queue, in little memory; a start with them; a file that is reused."""
import os
import time

from bulk import bytes_on_disk, fill, frames, peak_rss, take
from lib import Lodged, case, equal, run

COUNT = int(os.environ.get("BACKLOG", "1000000"))
MB = 1 << 20
MEMORY = 16 * MB
ROOM = 24 * MB    # what the program needs beside the budget for messages


def small_daemon():
    return Lodged("--set", "memory=16m", "--set", "uncommitted=4m", "--set",
                  "storage.checkpoint=8m")


def within_budget(d, what):
    peak = peak_rss(d)
    assert peak <= MEMORY + ROOM, f"{what}: {peak / MB:.1f} MB resident"
    return f"{what} {peak / MB:.1f} MB"


def bounded(sizes):
    """In the second half next to nothing may be added to what the first half took."""
    print("# MB on disk after each:", " ".join(f"{s / MB:.0f}" for s in sizes), flush=True)
    half = len(sizes) // 2
    assert max(sizes[half:]) <= max(sizes[:half]) + 4 * MB, f"the file grows: {sizes}"


@case(f"{COUNT} messages fit in a budget of 16 MB, and are there, in order, after kill -9")
def _():
    with small_daemon() as d:
        began = time.monotonic()
        with d.client() as c:
            fill(c, "q", 0, COUNT)
        said = [f"filled in {time.monotonic() - began:.1f} s", within_budget(d, "filled with")]
        d.kill()
        began = time.monotonic()
        d.start()
        with d.client() as c:
            c.subscribe("/queue/q", ack="client", prefetch_count=5000)
            equal(int(c.message().body[:8]), 0)
            first = time.monotonic() - began
            assert first < 0.5, f"first message {first:.2f} s after the start"
        said.append(f"first message after {first * 1000:.0f} ms")
        began = time.monotonic()
        with d.client() as c:
            c.put("SUBSCRIBE", {"destination": "/queue/q", "id": 0, "ack": "client",
                                "prefetch-count": 5000})
            equal(take(c, COUNT), list(range(COUNT)), "order")
            c.disconnect()
        said += [f"drained in {time.monotonic() - began:.1f} s", within_budget(d, "drained with")]
        print("#", ", ".join(said), flush=True)


@case("a queue that is filled and drained again and again stays within its file")
def _():
    with small_daemon() as d:
        sizes = []
        for _ in range(10):
            with d.client() as c:
                fill(c, "q", 0, 100_000)
                c.put("SUBSCRIBE", {"destination": "/queue/q", "id": 0, "ack": "client",
                                    "prefetch-count": 2000})
                equal(take(c, 100_000), list(range(100_000)), "order")
                c.disconnect()
            sizes.append(bytes_on_disk(d))
        bounded(sizes)


@case("a backlog that stays does not keep the file growing while others pass through")
def _():
    with small_daemon() as d:
        with d.client() as c:
            fill(c, "old", 0, 20_000)
        sizes = []
        for _ in range(10):
            with d.client() as c:
                c.put("SUBSCRIBE", {"destination": "/queue/new", "id": 0, "ack": "client",
                                    "prefetch-count": 1000})
                for at in range(0, 100_000, 2000):
                    c.write(frames("new", at, 2000, 100))
                    equal(take(c, 2000), list(range(at, at + 2000)), "order")
            sizes.append(bytes_on_disk(d))
        bounded(sizes)


run()
