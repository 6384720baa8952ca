# SPDX-License-Identifier: MIT
"""What the system tests share: a daemon of their own, a raw STOMP client, results.

    from lib import Lodged, case, equal, run

    @case("a message survives a restart")
    def _():
        with Lodged() as d:
            with d.client() as c:
                c.send("/queue/a", b"hello")          # waits for the receipt
            d.kill()
            d.start()
            with d.client() as c:
                c.subscribe("/queue/a")
                equal(c.message().body, b"hello")

    run()

The daemon is $LODGED (default build/lodged); the command is beside it.  Standard library only.
"""
import atexit
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

from wire import PATIENCE, Closed, Decoder, Frame, Stomp, encode

__all__ = ["LODGE", "LODGED", "PATIENCE", "ROOT", "Closed", "Decoder", "Frame", "Lodged", "Skip",
           "Stomp", "case", "encode", "equal", "free_port", "run", "scratch", "wait_for"]

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LODGED = os.path.abspath(os.environ.get("LODGED", os.path.join(ROOT, "build", "lodged")))
LODGE = os.path.join(os.path.dirname(LODGED), "lodge")

_libc = ctypes.CDLL(None)
_scratch = []


@atexit.register
def _remove_scratch():
    for path in _scratch:
        shutil.rmtree(path, ignore_errors=True)


def scratch():
    """A directory that goes away when the test ends."""
    path = tempfile.mkdtemp(prefix="lodge-test-")
    _scratch.append(path)
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, probe, patience=None):
    """Calls probe() until it is true; returns what it gave."""
    end = time.monotonic() + (patience or PATIENCE)
    while True:
        got = probe()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError("waited in vain for " + what)
        time.sleep(0.002)


class Lodged:
    """A daemon on its own port and data directory; the context manager starts and stops it.

    flags: more command line; config: a dict, written as --config; env: more environment;
    prefix: a command to run it under, as ["prlimit", "--nofile=64"]."""

    def __init__(self, *flags, config=None, data=None, env=None, prefix=()):
        home = scratch()
        self.data = data or os.path.join(home, "data")
        self.port = free_port()
        self.log_path = os.path.join(home, "log")
        self.env = dict(os.environ, **(env or {}))
        self.process = None
        self.command = [*prefix, LODGED]
        if config is not None:
            path = os.path.join(home, "lodge.conf")
            with open(path, "w", encoding="utf-8") as f:
                json.dump(config, f)
            self.command += ["--config", path]
        self.command += ["--data", self.data, "--stomp", f"127.0.0.1:{self.port}",
                         "--amqp", "off", "--mqtt", "off", "--ws", "off", *flags]

    def start(self, wait=True):
        """Starts it, and waits until it listens.  Returns the seconds that took."""
        began = time.monotonic()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env,
                preexec_fn=lambda: _libc.prctl(1, signal.SIGKILL))  # dies with the test
        if wait:
            wait_for("the daemon to listen", self._listening)
        return time.monotonic() - began

    def _listening(self):
        if self.process.poll() is not None:
            status = self.process.returncode
            raise AssertionError(f"lodged ended with {status}: {self.log()[-800:]}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def stop(self, sig=signal.SIGTERM):
        """Ends it by a signal and returns its exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(sig)
        status = self.wait()
        self.process = None
        return status

    def wait(self, patience=None):
        try:
            return self.process.wait(patience or PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("lodged did not end") from None

    def kill(self):
        self.stop(signal.SIGKILL)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_log(self, pattern, patience=None):
        return wait_for(f"log line {pattern}", lambda: re.search(pattern, self.log()), patience)

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) * 1024

    def client(self, **headers):
        """A connected client; headers go to CONNECT, _ standing for -."""
        c = Stomp(("127.0.0.1", self.port))
        c.connect(**headers)
        return c

    def raw(self):
        return Stomp(("127.0.0.1", self.port))

    def client_env(self):
        """The environment in which clients find this daemon."""
        return dict(self.env, LODGE_SERVER=f"127.0.0.1:{self.port}")

    def lodge(self, *args, **more):
        """Runs the command against this daemon, as subprocess.run does."""
        more.setdefault("env", self.client_env())
        more.setdefault("timeout", PATIENCE)
        return subprocess.run([LODGE, *args], capture_output=True, check=False, **more)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        early = self.process is not None and self.process.poll() is not None
        status = self.stop()
        if kind is None and early:
            raise AssertionError(f"lodged ended by itself with {status}: {self.log()[-800:]}")


class Skip(Exception):
    """Raised by a case that cannot run here; the text says why."""


_cases = []


def case(name):
    """Registers a test; the name is a sentence."""
    def register(f):
        _cases.append((name, f))
        return f
    return register


def equal(got, wanted, what=""):
    assert got == wanted, f"{what + ': ' if what else ''}got {got!r}, wanted {wanted!r}"


def run():
    """Runs the cases (arguments: those whose name holds one of them), prints, exits 0/1/77."""
    failed = ran = 0
    for name, f in _cases:
        if sys.argv[1:] and not any(a in name for a in sys.argv[1:]):
            continue
        try:
            f()
            print("ok", name, flush=True)
            ran += 1
        except Skip as why:
            print(f"skip {name}: {why}", flush=True)
        except Exception as e:  # pylint: disable=broad-except
            if not isinstance(e, AssertionError) or os.environ.get("VERBOSE"):
                traceback.print_exc()
            why = f"{type(e).__name__}: {e}".replace("\n", "\\n")[:1500]
            print(f"not ok {name}: {why}", flush=True)
            failed += 1
    sys.exit(1 if failed else 0 if ran else 77)
