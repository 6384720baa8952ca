#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Bytes that are no STOMP: an ERROR and the end of that connection, and nobody else notices."""
import glob
import os
import re
import time

from behaved import WellBehaved
from lib import ROOT, Closed, Lodged, case, run

CORPUS = os.path.join(ROOT, "tests", "fuzz", "corpus")
CONNECT = b"CONNECT\naccept-version:1.2\nhost:/\n\n\0"


def corpus(pattern):
    files = sorted(glob.glob(os.path.join(CORPUS, pattern)))
    assert files, f"no files {pattern}"
    for path in files:
        with open(path, "rb") as f:
            yield os.path.relpath(path, CORPUS), f.read()


def end_of(c, patience):
    """Commands of the frames that come, until the connection is closed or nothing comes."""
    frames = []
    try:
        while True:
            frames.append(c.read(patience).command)
    except Closed:
        return frames, "closed"
    except TimeoutError:
        return frames, "open"


def refused(d, name, data, greeting):
    """Sends it; the daemon must answer by ERROR and close."""
    with d.raw() as c:
        c.write(greeting + data)
        frames, state = end_of(c, 5)
        wanted = (["CONNECTED"] if greeting else []) + ["ERROR"]
        assert frames == wanted and state == "closed", f"{name}: {frames}, {state}"


class Replay:
    """Plays a file of the session corpus: peers 0 to 2 have logged in, 3 has not; marks switch
    peers (fe N), wait (ff; fd N), and let a peer hang up and come back (fc)."""

    VERSIONS = ("1.2", "1.1", "1.0", None)

    def __init__(self, d):
        self.d, self.peers, self.at = d, {}, 0

    def peer(self):
        if self.at not in self.peers:
            self.peers[self.at] = self.d.raw()
            if self.VERSIONS[self.at]:
                self.peers[self.at].connect(accept_version=self.VERSIONS[self.at])
        return self.peers[self.at]

    def hang_up(self):
        self.peer().close()
        del self.peers[self.at]

    def say(self, data):
        try:
            self.peer().write(data)
        except OSError:
            pass  # the daemon has closed it

    def play(self, data):
        marks = re.compile(rb"([\xfd\xfe].|[\xfc\xff])", re.S)
        for i, piece in enumerate(marks.split(data)):
            if i % 2 == 0:
                self.say(piece)
            elif piece[0] == 0xFE:
                self.at = piece[1] % len(self.VERSIONS)
            elif piece[0] == 0xFC:
                self.hang_up()
            else:
                time.sleep(0.002)
        for peer in self.peers.values():
            end_of(peer, 0.01)
            peer.close()


def over_all(greeting):
    with Lodged("--set", "login_timeout=500ms") as d:
        good = WellBehaved(d)
        for name, data in corpus("stomp_decode/bad_*"):
            refused(d, name, data, greeting)
            assert not good.fault, f"{name}: {good.fault}"
        good.end()


@case("a malformed first frame is answered by ERROR and the end, others are undisturbed")
def _():
    over_all(b"")


@case("a malformed later frame is answered by ERROR and the end, others are undisturbed")
def _():
    over_all(CONNECT)


@case("a malformed frame that comes byte by byte is refused as well")
def _():
    with Lodged("--set", "login_timeout=5s") as d:
        good = WellBehaved(d)
        for name, data in corpus("stomp_decode/bad_*"):
            with d.raw() as c:
                try:
                    for byte in (CONNECT + data)[:300]:
                        c.write(bytes([byte]))
                except OSError:
                    pass  # it has closed meanwhile
                frames, _ = end_of(c, 0.1)
                assert frames[:1] in (["CONNECTED"], ["ERROR"], []), f"{name}: {frames}"
        good.end()


@case("every session of the fuzz corpus leaves others undisturbed")
def _():
    with Lodged("--set", "login_timeout=500ms") as d:
        good = WellBehaved(d)
        for name, data in corpus("stomp_session/*"):
            Replay(d).play(data)
            assert not good.fault, f"{name}: {good.fault}"
        good.end()


@case("a client that only opens connections and goes leaves others undisturbed")
def _():
    with Lodged() as d:
        good = WellBehaved(d)
        for n in range(500):
            with d.raw() as c:
                c.write(CONNECT[:n % len(CONNECT)])
        good.end()


run()
