# SPDX-License-Identifier: MIT
"""Cases of test_pika.py: what is there after a stop, and after SIGKILL (of lodged only)."""
import contextlib
import signal

from amqp_lib import Broker, case, equal, fresh, only_lodge
from pika_lib import (Inbox, bodies, connect, count, declare, exchange, get, pika, publish,
                      publish_all, refused, take)

PERSISTENT = {"delivery_mode": 2}


@contextlib.contextmanager
def broker():
    only_lodge("the broker is not ours to restart")
    with Broker() as b:
        yield b


@contextlib.contextmanager
def channel(b):
    c = connect(broker=b)
    ch = c.channel()
    ch.confirm_delivery()
    yield ch
    try:
        c.close()
    except pika.exceptions.AMQPError:
        pass


def durable(ch, **more):
    return declare(ch, exclusive=False, durable=True, **more)


def each_end(f):
    """Registers the case for a stop and for SIGKILL."""
    for name, sig in (("a stop", signal.SIGTERM), ("SIGKILL", signal.SIGKILL)):
        case(f"{f.__doc__}, after {name}")(lambda sig=sig: f(sig))
    return f


@each_end
def _(sig):
    """persistent messages that were confirmed are in their durable queue"""
    with broker() as b:
        with channel(b) as ch:
            q = durable(ch)
            for i in range(100):
                publish(ch, q, str(i), headers={"n": i}, priority=i % 3, **PERSISTENT)
            for _ in range(10):
                get(ch, q)
            get(ch, q, ack=False)
            publish(ch, fresh(), "x")  # its confirm comes behind the acks
            b.restart(sig)
        with channel(b) as ch:
            equal(count(ch, q), (90, 0))
            for i in range(10, 100):
                m = get(ch, q)
                equal((m.text, m.headers["n"], m.properties.priority, m.properties.delivery_mode),
                      (str(i), i, i % 3, 2))


@each_end
def _(sig):
    """durable exchanges, bindings and queue arguments are there"""
    with broker() as b:
        with channel(b) as ch:
            x, y = (exchange(ch, kind, durable=True, auto_delete=False,
                             arguments={"alternate-exchange": "amq.fanout"})
                    for kind in ("topic", "headers"))
            q, lost = durable(ch, message_ttl=60000, max_length=3), durable(ch)
            ch.exchange_bind(y, x, "a.#")
            ch.queue_bind(q, y, "", {"x-match": "any", "colour": "red"})
            ch.queue_bind(lost, "amq.fanout")
            b.restart(sig)
        with channel(b) as ch:
            exchange(ch, "topic", name=x, durable=True, auto_delete=False,
                     arguments={"alternate-exchange": "amq.fanout"})
            declare(ch, q, exclusive=False, durable=True, message_ttl=60000, max_length=3)
            for i in range(5):
                publish(ch, "a.b", str(i), to=x, headers={"colour": "red"})
            publish(ch, "b", "lost", to=x)
            equal((bodies(ch, q), bodies(ch, lost)), (["2", "3", "4"], ["lost"]))


@each_end
def _(sig):
    """queues that are not durable, and exclusive ones, are gone"""
    with broker() as b:
        with channel(b) as ch:
            gone = [declare(ch), declare(ch, durable=True), declare(ch, exclusive=False)]
            x = exchange(ch, auto_delete=False)
            b.restart(sig)
        with connect(broker=b) as c:
            for q in gone:
                with refused(404):
                    c.channel().queue_declare(q, passive=True)
            with refused(404):
                c.channel().exchange_declare(x, passive=True)


@each_end
def _(sig):
    """what was unacked is delivered again, redelivered and in order"""
    with broker() as b:
        with channel(b) as ch:
            q = durable(ch)
            publish_all(ch, q, "abcde", **PERSISTENT)
            box = Inbox(ch, q)
            got = [box.next() for _ in "abcde"]
            ch.basic_ack(got[1].tag)
            publish(ch, fresh(), "x")  # its confirm comes behind the ack
            b.restart(sig)
        with channel(b) as ch:
            box = Inbox(ch, q)
            got = [box.next() for _ in "acde"]
            equal([(m.text, m.redelivered) for m in got], [(text, True) for text in "acde"])


@each_end
def _(sig):
    """a committed transaction is whole, an open one never was"""
    with broker() as b:
        with channel(b) as ch:
            a, z = durable(ch), durable(ch)
            publish_all(ch, a, "12", **PERSISTENT)
            tx = ch.connection.channel()
            tx.tx_select()
            m = get(tx, a, ack=False)
            publish(tx, z, "moved", **PERSISTENT)
            tx.basic_ack(m.tag)
            tx.tx_commit()
            m = get(tx, a, ack=False)
            publish(tx, z, "not moved", **PERSISTENT)
            tx.basic_ack(m.tag)
            b.restart(sig)
        with channel(b) as ch:
            equal((bodies(ch, a), bodies(ch, z)), (["2"], ["moved"]))


@each_end
def _(sig):
    """a body of 5 MB and a table of every type are as they were"""
    body, headers = bytes(range(256)) * 20480, {"a": [1, None, {"b": b"\xff\0"}], "t": True}
    with broker() as b:
        with channel(b) as ch:
            q = durable(ch)
            publish(ch, q, body, headers=headers, content_type="a/b", **PERSISTENT)
            b.restart(sig)
        with channel(b) as ch:
            m = take(ch, q)
            equal((m.headers, m.properties.content_type), (headers, "a/b"))
            assert m.body == body, "the body came back otherwise"


@each_end
def _(sig):
    """a delayed message still comes when it is due"""
    with broker() as b:
        with channel(b) as ch:
            q = durable(ch)
            x = exchange(ch, "x-delayed-message", durable=True, auto_delete=False,
                         arguments={"x-delayed-type": "direct"})
            ch.queue_bind(q, x, "k")
            publish(ch, "k", "late", to=x, headers={"x-delay": 1500}, **PERSISTENT)
            b.restart(sig)
        with channel(b) as ch:
            equal(bodies(ch, q), [])
            equal(take(ch, q).text, "late")


@each_end
def _(sig):
    """a dead letter keeps its history, a message its time to live"""
    with broker() as b:
        with channel(b) as ch:
            dead = durable(ch)
            q = durable(ch, dead_letter_exchange="", dead_letter_routing_key=dead)
            publish(ch, q, "rejected", **PERSISTENT)
            publish(ch, q, "expires", expiration="1000", **PERSISTENT)
            ch.basic_reject(get(ch, q, ack=False).tag, requeue=False)
            publish(ch, fresh(), "x")  # its confirm comes behind the reject
            b.restart(sig)
        with channel(b) as ch:
            got = [take(ch, dead) for _ in range(2)]
            equal([(m.text, m.headers["x-death"][0]["reason"]) for m in got],
                  [("rejected", "rejected"), ("expires", "expired")])
