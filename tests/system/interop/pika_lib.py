# SPDX-License-Identifier: MIT
"""What the cases of test_pika.py share.

    with open_channel() as ch:                     # confirms are on
        q = declare(ch)                            # an exclusive queue
        publish(ch, q, "hello", priority=3)        # default exchange; waits for the confirm
        equal(bodies(ch, q), ["hello"])
        with refused(404):                         # and then ch.is_closed
            ch.queue_declare("nowhere", passive=True)
"""
import collections
import contextlib
import logging
import time

from amqp_lib import BROKER, PATIENCE, equal, fresh, need

need("pika", "python3-pika")

import pika  # noqa: E402  pylint: disable=wrong-import-position
from pika import spec  # noqa: E402  pylint: disable=wrong-import-position
from pika.exceptions import (  # noqa: E402  pylint: disable=wrong-import-position
    ChannelClosedByBroker, ConnectionClosedByBroker)

logging.getLogger("pika").setLevel(logging.CRITICAL)

HARD = {320, 402, 501, 502, 503, 504, 505, 506, 530, 540, 541}  # close the connection
QUIET = 0.15  # seconds in which what must not come would have come


def connect(user=None, password=None, vhost=None, broker=BROKER, **more):
    more.setdefault("heartbeat", 0)
    login = pika.PlainCredentials(user or broker.user, password or broker.password)
    return pika.BlockingConnection(pika.ConnectionParameters(
        broker.host, broker.port, vhost or broker.vhost, login, **more))


@contextlib.contextmanager
def open_channel(confirm=True, **more):
    """A channel on a connection of its own.  After a failure nothing is closed, only dropped."""
    c = connect(**more)
    ch = c.channel()
    if confirm:
        ch.confirm_delivery()
    yield ch
    if c.is_open:
        c.close()


@contextlib.contextmanager
def refused(code, text=""):
    """What is done inside makes the broker close the channel, or the connection, with that."""
    kind = ConnectionClosedByBroker if code in HARD else ChannelClosedByBroker
    try:
        yield
    except (ChannelClosedByBroker, ConnectionClosedByBroker) as e:
        equal((type(e).__name__, e.reply_code), (kind.__name__, code), e.reply_text)
        assert text in e.reply_text, f"{text!r} is not in {e.reply_text!r}"
        return
    raise AssertionError(f"was not refused with {code}")


def refused_each(code, calls):
    """Each of the calls, on a channel of its own, closes that channel."""
    with connect() as c:
        for name, call in calls.items():
            ch = c.channel()
            try:
                with refused(code):
                    call(ch)
            except AssertionError as e:
                raise AssertionError(f"{name}: {e}") from None


def declare(ch, name=None, exclusive=True, **more):
    """Declares a queue and returns its name."""
    ends = {k: more.pop(k) for k in ("durable", "auto_delete") if k in more}
    arguments = {"x-" + k.replace("_", "-"): v for k, v in more.items()}
    return ch.queue_declare(name or fresh(), exclusive=exclusive, arguments=arguments or None,
                            **ends).method.queue


def exchange(ch, kind="direct", name=None, **more):
    """Declares an exchange that goes with its last binding, and returns its name."""
    name = name or fresh("x")
    more.setdefault("auto_delete", True)
    ch.exchange_declare(name, kind, **more)
    return name


def publish(ch, key, body="", to="", mandatory=False, **properties):
    body = body.encode() if isinstance(body, str) else body
    ch.basic_publish(to, key, body, pika.BasicProperties(**properties), mandatory)


def publish_all(ch, key, texts, **more):
    for text in texts:
        publish(ch, key, text, **more)


def sync(ch):
    """Everything sent on the channel before was seen by the broker."""
    ch.exchange_declare("amq.direct", passive=True)


def await_end(ch):
    """Waits until the broker closes the channel, or the connection, and raises why."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        ch._process_data_events(0.1)  # pylint: disable=protected-access


def count(ch, queue):
    """(messages ready, consumers)"""
    got = ch.queue_declare(queue, passive=True).method
    return got.message_count, got.consumer_count


class Message(collections.namedtuple("Message", "method properties body")):
    @property
    def text(self):
        return self.body.decode()

    @property
    def tag(self):
        return self.method.delivery_tag

    @property
    def redelivered(self):
        return self.method.redelivered

    @property
    def headers(self):
        return self.properties.headers or {}


def get(ch, queue, ack=True):
    """basic.get: a message, or None."""
    method, properties, body = ch.basic_get(queue, auto_ack=ack)
    return method and Message(method, properties, body)


def take(ch, queue, ack=True, patience=PATIENCE):
    """The next message, which may be on its way."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        m = get(ch, queue, ack)
        if m:
            return m
        ch.connection.sleep(0.01)
    raise AssertionError(f"no message came to {queue}")


def bodies(ch, queue, ack=True):
    """The texts of all that is ready."""
    return [m.text for m in iter(lambda: get(ch, queue, ack), None)]


class Inbox:
    """A consumer; what comes waits until it is asked for."""

    def __init__(self, ch, queue, **more):
        self.ch, self.messages = ch, collections.deque()
        self.tag = ch.basic_consume(queue, self._came, **more)

    def _came(self, _, method, properties, body):
        self.messages.append(Message(method, properties, body))

    def _wait(self, patience, count=1):
        end = time.monotonic() + patience
        while len(self.messages) < count and time.monotonic() < end:
            self.ch.connection.process_data_events(max(0, end - time.monotonic()))

    def next(self):
        self._wait(PATIENCE)
        assert self.messages, "no message came"
        return self.messages.popleft()

    def texts(self, n):
        """The next n messages, and that no more come."""
        self._wait(PATIENCE, n)
        self._wait(QUIET, n + 1)
        got = [m.text for m in self.messages]
        self.messages.clear()
        equal(len(got), n, f"messages {got[:9]}, how many")
        return got

    def nothing(self):
        self.texts(0)

    def cancel(self):
        self.ch.basic_cancel(self.tag)


def raw(ch, method, content=None):
    """Sends a method that pika would not."""
    # pylint: disable=protected-access
    ch._impl._send_method(method, content)


def answered(ch, method, reply):
    """Sends a method and waits for its reply."""
    # pylint: disable=protected-access
    got = []
    ch._impl._rpc(method, got.append, [reply])
    ch._flush_output(lambda: got)
    return got[0].method


__all__ = ["BROKER", "HARD", "QUIET", "Inbox", "Message", "answered", "await_end", "bodies",
           "connect", "count", "declare", "exchange", "get", "open_channel", "pika", "publish",
           "publish_all", "raw", "refused", "refused_each", "spec", "sync", "take"]
