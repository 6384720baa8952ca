# SPDX-License-Identifier: MIT
"""The broker of the AMQP tests: a lodged of their own, or whatever listens at $AMQP_URL.

    AMQP_URL=amqp://guest:guest@127.0.0.1:5672/ STOMP_ADDRESS=127.0.0.1:61613 ./test_pika.py

runs the same cases against another broker (RabbitMQ, by which they were written); what only
Lodge does is skipped then.  Names are new at each run, so nothing has to be cleaned up."""
import importlib
import itertools
import os
import signal
import socket
import sys
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import lib  # noqa: E402  pylint: disable=wrong-import-position
from lib import (  # noqa: E402  pylint: disable=wrong-import-position
    LODGED, PATIENCE, Lodged, Skip, Stomp, equal, free_port, scratch, wait_for)

__all__ = ["BROKER", "HERE", "LODGED", "PATIENCE", "Broker", "Skip", "case", "equal", "free_port",
           "fresh", "need", "only_lodge", "scratch", "wait_for"]

CASE_SECONDS = 3 * PATIENCE  # no case takes longer: a client may wait for an answer for ever
DEBIAN_PYTHON = "/usr/bin/python3"

_run = f"interop-{os.urandom(3).hex()}"
_names = itertools.count(1)


def fresh(kind="q"):
    """A name that nobody used before."""
    return f"{_run}-{kind}{next(_names)}"


def need(module, package):
    """Imports it, or ends the test as skipped.  Debian's modules are of Debian's python3."""
    try:
        importlib.import_module(module)
    except ImportError:
        if os.path.realpath(sys.executable) != os.path.realpath(DEBIAN_PYTHON) and \
                os.access(DEBIAN_PYTHON, os.X_OK):
            os.execv(DEBIAN_PYTHON, [DEBIAN_PYTHON, *sys.argv])
        print(f"skip {os.path.basename(sys.argv[0])}: {package} is not installed")
        sys.exit(77)


class Broker:
    """Where the tests connect.  The context manager starts lodged, unless another is named."""

    def __init__(self, **more):
        url = urllib.parse.urlsplit(os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1/"))
        self.host, self.user, self.password = url.hostname, url.username, url.password
        self.vhost = urllib.parse.unquote(url.path[1:]) or "/"
        self.is_lodge = "AMQP_URL" not in os.environ
        self.lodged = None
        if self.is_lodge:
            self.port = free_port()
            self.lodged = Lodged("--amqp", f"{self.host}:{self.port}", **more)
        else:
            self.port = url.port or 5672

    @property
    def url(self):
        vhost = urllib.parse.quote(self.vhost, safe="")
        return f"amqp://{self.user}:{self.password}@{self.host}:{self.port}/{vhost}"

    def stomp(self, **headers):
        """A connected STOMP client of the same broker."""
        if self.is_lodge:
            return self.lodged.client(**headers)
        if "STOMP_ADDRESS" not in os.environ:
            raise Skip("STOMP_ADDRESS is not set")
        host, _, port = os.environ["STOMP_ADDRESS"].rpartition(":")
        c = Stomp((host, int(port)))
        c.connect(**headers)
        return c

    def start(self):
        if self.lodged:
            self.lodged.start()
            wait_for("the AMQP port", self._listening)

    def _listening(self):
        try:
            socket.create_connection((self.host, self.port), 1).close()
            return True
        except OSError:
            return False

    def restart(self, sig=signal.SIGTERM):
        """Stops it by that signal and starts it again with the same data."""
        self.lodged.stop(sig)
        self.start()

    def run(self):
        """Runs the cases of the file while the broker is up."""
        with self:
            lib.run()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *why):
        if self.lodged:
            self.lodged.__exit__(*why)


BROKER = Broker()


def only_lodge(why="another broker is tested"):
    if not BROKER.is_lodge:
        raise Skip(why)


def _too_long(*_):
    raise AssertionError(f"took more than {CASE_SECONDS:g} s")


def case(name):
    """As lib.case, but a case that hangs fails."""
    def register(f):
        def limited():
            signal.signal(signal.SIGALRM, _too_long)
            signal.setitimer(signal.ITIMER_REAL, CASE_SECONDS)
            try:
                f()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        lib.case(name)(limited)
        return f
    return register
