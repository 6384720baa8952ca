#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A disk that fills up: publishers are told, consumers drain on, service resumes by itself."""
import ctypes
import os
import subprocess
import sys
import time

from lib import Lodged, Skip, case, equal, run, scratch, wait_for

MB = 1 << 20
BODY = bytes(range(256)) * 40
_libc = ctypes.CDLL(None, use_errno=True)
_IN_NAMESPACE = "LODGE_TEST_NAMESPACE"


class SmallDisk:
    """A tmpfs of so many bytes; the daemon's data is in .data."""

    def __init__(self, size):
        self.path = scratch()
        if _libc.mount(b"lodge-test", self.path.encode(), b"tmpfs", 0, b"size=%d" % size) != 0:
            raise Skip(f"cannot mount a tmpfs: {os.strerror(ctypes.get_errno())}")
        self.data = os.path.join(self.path, "data")
        self.ballast = os.path.join(self.path, "ballast")

    def free(self):
        s = os.statvfs(self.path)
        return s.f_bavail * s.f_frsize

    def fill(self, leave):
        """Something else takes the space."""
        with open(self.ballast, "ab") as f:
            size = f.tell() + self.free() - leave
            if size > f.tell():
                os.posix_fallocate(f.fileno(), 0, size)

    def unfill(self):
        os.unlink(self.ballast)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _libc.umount2(self.path.encode(), 2)  # MNT_DETACH


def small_daemon(disk, reserve):
    return Lodged("--set", f"disk_reserve={reserve}", "--set", "storage.checkpoint=1m", "--set",
                  "memory=4m", data=disk.data)


def publish(d, queue, first, most=1 << 30):
    """Publishes numbered bodies until the daemon refuses; returns (number of the next one, what
    the ERROR said, or None)."""
    with d.client() as c:
        for n in range(first, most):
            c.put("SEND", {"destination": "/queue/" + queue, "receipt": n}, b"%d " % n + BODY)
            frame = c.read()
            if frame.command == "ERROR":
                c.closed()
                return n, frame["message"] + " " + frame.body.decode()
            equal(frame["receipt-id"], str(n))
    return most, None


def consume(d, queue, numbers):
    """Takes and acks exactly these, the acks on disk."""
    with d.client() as c:
        c.subscribe("/queue/" + queue, ack="client", prefetch_count=100)
        for n in numbers:
            frame = c.message()
            equal(frame.body, b"%d " % n + BODY, "body")
            c.ack(frame)
        c.disconnect()


def resumes(d):
    wait_for("publishing to resume", lambda: publish(d, "other", 0, 1)[1] is None, 5)


def refused(why):
    assert why and "disk" in why, f"the ERROR does not name the disk: {why}"


@case("publishers are told that the disk is full, and what was confirmed is there")
def _():
    with SmallDisk(32 * MB) as disk, small_daemon(disk, "8m") as d:
        count, why = publish(d, "q", 0)
        refused(why)
        assert count > 100, f"full after {count} messages"
        d.wait_log("disk.low")
        d.kill()
        d.start()
        consume(d, "q", range(count))


@case("while the disk is full consumers drain on and their acks are kept")
def _():
    with SmallDisk(32 * MB) as disk, small_daemon(disk, "8m") as d:
        count, why = publish(d, "q", 0)
        refused(why)
        disk.fill(4 * MB)
        consume(d, "q", range(count // 2))
        d.kill()
        d.start()
        consume(d, "q", range(count // 2, count))


@case("publishing resumes by itself when somebody else makes room")
def _():
    with SmallDisk(64 * MB) as disk, small_daemon(disk, "8m") as d:
        equal(publish(d, "q", 0, 100)[1], None)
        disk.fill(6 * MB)
        count, why = publish(d, "q", 100)
        refused(why)
        time.sleep(1.5)
        refused(publish(d, "q", count)[1])
        disk.unfill()
        resumes(d)
        equal(publish(d, "q", count, count + 100), (count + 100, None))
        consume(d, "q", range(count + 100))


@case("publishing resumes by itself when consumers have made room")
def _():
    with SmallDisk(48 * MB) as disk, small_daemon(disk, "8m") as d:
        for _ in range(3):
            count, why = publish(d, "q", 0)
            refused(why)
            consume(d, "q", range(count))
            resumes(d)


@case("a daemon that finds 0 bytes free starts, serves what is there, and resumes")
def _():
    with SmallDisk(32 * MB) as disk:
        d = small_daemon(disk, "8m")
        for end in (d.kill, d.stop):
            d.start()
            equal(publish(d, "q", 0, 200)[1], None)
            end()
            disk.fill(0)
            equal(disk.free(), 0)
            d.start()
            equal(publish(d, "q", 200)[0], 200)
            with d.client() as c:
                c.subscribe("/queue/q", ack="client")
                for n in range(200):
                    equal(c.message().body, b"%d " % n + BODY, "body")
            disk.unfill()
            resumes(d)
            equal(publish(d, "q", 200, 300)[1], None)
            consume(d, "q", range(300))
            d.stop()


def may_mount():
    if os.geteuid() == 0:
        return True
    try:
        return subprocess.run(["unshare", "-Urm", "true"], capture_output=True,
                              check=False).returncode == 0
    except OSError:
        return False


if os.geteuid() != 0 and _IN_NAMESPACE not in os.environ and may_mount():
    os.environ[_IN_NAMESPACE] = "1"
    os.execvp("unshare", ["unshare", "-Urm", sys.executable, *sys.argv])
run()
