# SPDX-License-Identifier: MIT
"""Cases of test_pika.py: queues and what their arguments do."""
import time

from amqp_lib import BROKER, case, equal, fresh
from pika_lib import (Inbox, bodies, connect, count, declare, exchange, get, open_channel, pika,
                      publish, publish_all, refused, refused_each, sync, take)


def is_gone(ch, queue):
    """Is there no such queue?  Looks on a channel of its own."""
    probe = ch.connection.channel()
    try:
        probe.queue_declare(queue, passive=True)
        probe.close()
        return False
    except pika.exceptions.ChannelClosedByBroker as e:
        equal(e.reply_code, 404)
        return True


# ---- names ---------------------------------------------------------------------------------------


@case("a queue without a name gets one from the server, a new one each time")
def _():
    with open_channel() as ch:
        names = {ch.queue_declare("", exclusive=True).method.queue for _ in range(3)}
        equal(len(names), 3)
        assert all(name.startswith("amq.gen-") for name in names), names


@case("an empty name is the queue declared last on the channel")
def _():
    with open_channel() as ch:
        x = exchange(ch)
        declare(ch)
        q = ch.queue_declare("", exclusive=True).method.queue
        ch.queue_bind("", x, "k")
        publish(ch, "k", "one", to=x)
        equal(get(ch, "").text, "one")
        publish_all(ch, q, ["two", "three"])
        equal(ch.queue_purge("").method.message_count, 2)
        box = Inbox(ch, "")
        publish(ch, q, "four")
        equal(box.texts(1), ["four"])
        ch.queue_unbind("", x, "k")
        ch.queue_delete("")
        assert is_gone(ch, q)


@case("an empty name and an empty key bind the last queue by its own name")
def _():
    with open_channel() as ch:
        x, q = exchange(ch), declare(ch)
        ch.queue_bind("", x, "")
        publish(ch, q, "by name", to=x)
        equal(bodies(ch, q), ["by name"])


@case("an empty name on a channel that declared nothing is 404")
def _():
    refused_each(404, {
        "get": lambda ch: get(ch, ""),
        "consume": lambda ch: Inbox(ch, ""),
        "purge": lambda ch: ch.queue_purge(""),
        "bind": lambda ch: ch.queue_bind("", "amq.direct", "k"),
    })


@case("names of queues that begin with amq. are reserved: 403")
def _():
    with open_channel() as ch, refused(403, "reserved"):
        declare(ch, "amq." + fresh())


@case("names of queues may hold any text of up to 255 bytes")
def _():
    with open_channel() as ch:
        for name in ("grüße / %2F 日本 " + fresh(), fresh() + "n" * (255 - len(fresh()))):
            equal(declare(ch, name[:255]), name[:255])
            publish(ch, name[:255], "x")
            equal(bodies(ch, name[:255]), ["x"])


# ---- declare -------------------------------------------------------------------------------------


@case("looking a queue up tells its ready messages and its consumers")
def _():
    with open_channel() as ch:
        q = declare(ch)
        equal(count(ch, q), (0, 0))
        publish_all(ch, q, "abc")
        equal(count(ch, q), (3, 0))
        get(ch, q, ack=False)
        equal(count(ch, q), (2, 0))
        ch.basic_qos(prefetch_count=1)
        boxes = [Inbox(ch, q), Inbox(ch, q)]
        sync(ch)
        equal(count(ch, q), (0, 2))
        equal(len({box.next().tag for box in boxes}), 2)
        boxes[0].cancel()
        equal(count(ch, q), (0, 1))
        got = ch.queue_declare(q, exclusive=True).method
        equal((got.message_count, got.consumer_count), (0, 1))


@case("a queue that is not there is 404 when looked up, got from, consumed or purged")
def _():
    refused_each(404, {
        "declare": lambda ch: ch.queue_declare(fresh(), passive=True),
        "get": lambda ch: get(ch, fresh()),
        "consume": lambda ch: Inbox(ch, fresh()),
        "purge": lambda ch: ch.queue_purge(fresh()),
    })


@case("declaring a queue again alike keeps it and its messages")
def _():
    with open_channel() as ch:
        q = declare(ch, message_ttl=60000, dead_letter_exchange="x")
        publish(ch, q, "kept")
        declare(ch, q, message_ttl=pika.compat.long(60000), dead_letter_exchange="x")
        equal(bodies(ch, q), ["kept"])


SAME = {"message_ttl": 60000, "expires": 60000, "max_length": 10, "max_length_bytes": 10000,
        "dead_letter_exchange": "x", "dead_letter_routing_key": "k", "max_priority": 5,
        "overflow": "reject-publish", "single_active_consumer": True}
OTHER = {"message_ttl": 60001, "expires": 60001, "max_length": 11, "max_length_bytes": 10001,
         "dead_letter_exchange": "y", "dead_letter_routing_key": "l", "max_priority": 6,
         "overflow": "drop-head", "single_active_consumer": False}


@case("declaring a queue again otherwise is 406, whatever differs")
def _():
    q = fresh()
    with open_channel() as ch:
        ch.queue_declare(q, auto_delete=True)
        refused_each(406, {
            "durable": lambda ch: ch.queue_declare(q, auto_delete=True, durable=True),
            "auto-delete": lambda ch: ch.queue_declare(q),
            "more arguments": lambda ch: ch.queue_declare(q, auto_delete=True, arguments={
                "x-max-length": 1}),
        })
        ch.queue_delete(q)
        declare(ch, q, exclusive=False, auto_delete=True, **SAME)
        declare(ch, q, exclusive=False, auto_delete=True, **SAME)
        refused_each(406, {name: lambda ch, name=name: declare(
            ch, q, exclusive=False, auto_delete=True, **dict(SAME, **{name: OTHER[name]}))
            for name in SAME})
        refused_each(406, {"no " + name: lambda ch, name=name: declare(
            ch, q, exclusive=False, auto_delete=True,
            **{k: v for k, v in SAME.items() if k != name}) for name in SAME})
        ch.queue_delete(q)


@case("arguments with values that make no sense are 406")
def _():
    bad = [("message-ttl", -1), ("message-ttl", "100"), ("expires", 0), ("expires", -1),
           ("max-length", -1), ("max-length", "1"), ("max-length-bytes", -1),
           ("overflow", "drop-tail"), ("overflow", 1), ("max-priority", 256),
           ("max-priority", "5"), ("dead-letter-exchange", 1), ("single-active-consumer", "yes"),
           ("queue-type", "no-such-type")]
    refused_each(406, {f"{name}={value}": lambda ch, name=name, value=value: declare(
        ch, **{name: value}) for name, value in bad})


@case("a dead-letter-routing-key without an exchange is 406")
def _():
    with open_channel() as ch, refused(406):
        declare(ch, dead_letter_routing_key="k")


@case("an argument x- that nobody knows is accepted")
def _():
    with open_channel() as ch:
        q = declare(ch, no_such_thing="1", another={"nested": [1, None]})
        publish(ch, q, "x")
        equal(bodies(ch, q), ["x"])


# ---- exclusive, auto-delete ----------------------------------------------------------------------


@case("an exclusive queue is locked for every other connection: 405")
def _():
    with open_channel() as ch:
        q = declare(ch)
        refused_each(405, {
            "declare": lambda ch: declare(ch, q),
            "look up": lambda ch: ch.queue_declare(q, passive=True),
            "bind": lambda ch: ch.queue_bind(q, "amq.direct", "k"),
            "get": lambda ch: get(ch, q),
            "consume": lambda ch: Inbox(ch, q),
            "purge": lambda ch: ch.queue_purge(q),
            "delete": lambda ch: ch.queue_delete(q),
        })


@case("a queue that others may use cannot be declared exclusive afterwards: 405")
def _():
    with open_channel() as ch:
        q = declare(ch, exclusive=False, auto_delete=True)
        refused_each(405, {"declare": lambda ch: declare(ch, q, auto_delete=True)})
        ch.queue_delete(q)


@case("anybody may publish to an exclusive queue")
def _():
    with open_channel() as ch, open_channel() as other:
        q = declare(ch)
        publish(other, q, "hello", mandatory=True)
        equal(bodies(ch, q), ["hello"])


@case("an exclusive queue is used from every channel of its connection")
def _():
    with open_channel() as ch:
        q = declare(ch)
        ch.close()
        with connect() as c:
            assert c.channel().is_open
        other = ch.connection.channel()
        other.confirm_delivery()
        declare(other, q)
        publish(other, q, "x")
        equal(Inbox(other, q).texts(1), ["x"])
        other.queue_delete(q)


@case("an exclusive queue is gone once its connection has closed")
def _():
    with open_channel() as ch:
        for _ in range(20):
            with connect() as c:
                q = declare(c.channel(), durable=True)
            assert is_gone(ch, q)


@case("an auto-delete queue goes with its last consumer, and not before it had one")
def _():
    with open_channel() as ch:
        q = declare(ch, exclusive=False, auto_delete=True)
        publish(ch, q, "x")
        get(ch, q, ack=False)
        boxes = [Inbox(ch, q), Inbox(ch, q)]
        boxes[0].cancel()
        assert not is_gone(ch, q)
        boxes[1].cancel()
        assert is_gone(ch, q)


@case("an auto-delete queue goes when the channel of its last consumer closes")
def _():
    with open_channel() as ch:
        q = declare(ch, exclusive=False, auto_delete=True)
        other = ch.connection.channel()
        Inbox(other, q)
        other.close()
        assert is_gone(ch, q)


# ---- purge, delete -------------------------------------------------------------------------------


@case("purging tells how many were ready, and leaves what is unacked")
def _():
    with open_channel() as ch:
        q = declare(ch)
        publish_all(ch, q, "abcd")
        m = get(ch, q, ack=False)
        equal(ch.queue_purge(q).method.message_count, 3)
        equal(ch.queue_purge(q).method.message_count, 0)
        ch.basic_nack(m.tag)
        equal(take(ch, q).text, "a")


@case("deleting a queue tells how many were ready; deleting it again is no error")
def _():
    with open_channel() as ch:
        q = declare(ch)
        publish_all(ch, q, "abc")
        get(ch, q, ack=False)
        equal(ch.queue_delete(q).method.message_count, 2)
        equal(ch.queue_delete(q).method.message_count, 0)
        assert is_gone(ch, q)


@case("if-unused: a queue with a consumer is not deleted, 406")
def _():
    with open_channel() as ch:
        q = declare(ch, exclusive=False)
        box = Inbox(ch, q)
        refused_each(406, {"used": lambda ch: ch.queue_delete(q, if_unused=True)})
        box.cancel()
        ch.queue_delete(q, if_unused=True)
        assert is_gone(ch, q)


@case("if-empty: a queue with messages is not deleted, 406")
def _():
    with open_channel() as ch:
        q = declare(ch, exclusive=False, auto_delete=True)
        publish(ch, q, "x")
        refused_each(406, {"not empty": lambda ch: ch.queue_delete(q, if_empty=True)})
        equal(bodies(ch, q), ["x"])
        ch.queue_delete(q, if_empty=True)
        assert is_gone(ch, q)


@case("deleting a queue ends its bindings")
def _():
    with open_channel() as ch:
        x, q = exchange(ch, auto_delete=False), declare(ch)
        ch.queue_bind(q, x, "k")
        ch.queue_delete(q)
        declare(ch, q)
        publish(ch, "k", "x", to=x)
        equal(bodies(ch, q), [])
        ch.exchange_delete(x, if_unused=True)


# ---- length, priority, lifetime ------------------------------------------------------------------


@case("x-message-ttl: what is older than that is not delivered any more")
def _():
    with open_channel() as ch:
        q = declare(ch, message_ttl=200)
        publish(ch, q, "old")
        ch.connection.sleep(0.4)
        publish(ch, q, "new")
        equal(bodies(ch, q), ["new"])


@case("x-message-ttl of 0: who waits for a message gets it, each time; nobody else does")
def _():
    with open_channel() as ch:
        q, texts = declare(ch, message_ttl=0), [str(i) for i in range(300)]
        publish(ch, q, "missed")
        sync(ch)
        box = Inbox(ch, q, auto_ack=True)
        box.nothing()
        publish_all(ch, q, texts)
        equal(box.texts(300), texts)


@case("a message's expiration and its queue's ttl: the shorter counts")
def _():
    with open_channel() as ch:
        q = declare(ch, message_ttl=60000)
        publish(ch, q, "short", expiration="100")
        publish(ch, q, "long", expiration="100000")
        ch.connection.sleep(0.3)
        m = take(ch, q)
        equal((m.text, m.properties.expiration), ("long", "100000"))


@case("x-expires: a queue nobody uses goes; one with a consumer, or that is looked up, stays")
def _():
    with open_channel() as ch:
        idle, used, seen = (declare(ch, exclusive=False, expires=1000) for _ in range(3))
        box = Inbox(ch, used)
        for _ in range(3):
            ch.connection.sleep(0.5)
            declare(ch, seen, exclusive=False, expires=1000)
        ch.connection.sleep(0.2)
        equal([is_gone(ch, q) for q in (idle, used, seen)], [True, False, False])
        box.cancel()
        ch.connection.sleep(1.5)
        equal([is_gone(ch, q) for q in (used, seen)], [True, True])


@case("x-max-length: the oldest make room")
def _():
    with open_channel() as ch:
        q = declare(ch, max_length=3)
        publish_all(ch, q, "abcde")
        equal(bodies(ch, q), ["c", "d", "e"])


@case("x-max-length counts what is ready, not what is unacked")
def _():
    with open_channel() as ch:
        q = declare(ch, max_length=2)
        publish_all(ch, q, "ab")
        get(ch, q, ack=False)
        publish(ch, q, "c")
        equal(bodies(ch, q), ["b", "c"])


@case("x-max-length-bytes: the oldest make room")
def _():
    with open_channel() as ch:
        q = declare(ch, max_length_bytes=25)
        publish_all(ch, q, ["a" * 10, "b" * 10, "c" * 10])
        equal(bodies(ch, q), ["b" * 10, "c" * 10])


@case("reject-publish: what finds no room is answered by a nack")
def _():
    with open_channel() as ch:
        q = declare(ch, max_length=2, overflow="reject-publish")
        publish_all(ch, q, "ab")
        try:
            publish(ch, q, "c")
            raise AssertionError("it was confirmed")
        except pika.exceptions.NackError:
            pass
        equal(bodies(ch, q), ["a", "b"])
        publish(ch, q, "d")
        equal(bodies(ch, q), ["d"])


# RabbitMQ gives it to the other queue; here publishing it again makes no copies.
@case("reject-publish: one full queue of two makes a nack, and a nack is no message anywhere")
def _():
    with open_channel() as ch:
        x, full, free = exchange(ch, "fanout"), declare(ch, max_length=0,
                                                       overflow="reject-publish"), declare(ch)
        ch.queue_bind(full, x)
        ch.queue_bind(free, x)
        try:
            publish(ch, "k", "x", to=x)
            raise AssertionError("it was confirmed")
        except pika.exceptions.NackError:
            pass
        equal(bodies(ch, free), [] if BROKER.is_lodge else ["x"])


@case("x-max-priority: the highest come first, the oldest of them; none is 0, more is the most")
def _():
    with open_channel() as ch:
        q = declare(ch, max_priority=5)
        for priority, text in ((1, "a"), (5, "b"), (None, "c"), (3, "d"), (200, "e"), (5, "f"),
                               (0, "g"), (1, "h")):
            publish(ch, q, text, priority=priority)
        equal(bodies(ch, q), ["b", "e", "f", "d", "a", "h", "c", "g"])


@case("without x-max-priority the order is that of arrival, and the priority is carried")
def _():
    with open_channel() as ch:
        q = declare(ch)
        publish(ch, q, "low", priority=0)
        publish(ch, q, "high", priority=9)
        got = [get(ch, q), get(ch, q)]
        equal([(m.text, m.properties.priority) for m in got], [("low", 0), ("high", 9)])


@case("x-single-active-consumer: one gets all; when it leaves, the next")
def _():
    with open_channel() as ch:
        q = declare(ch, single_active_consumer=True)
        first, second = (Inbox(ch, q, auto_ack=True) for _ in range(2))
        publish_all(ch, q, "abc")
        equal((first.texts(3), second.texts(0)), (["a", "b", "c"], []))
        first.cancel()
        publish_all(ch, q, "de")
        equal(second.texts(2), ["d", "e"])


@case("x-single-active-consumer: what the active one leaves unacked goes to the next, in order")
def _():
    with open_channel() as ch:
        q = declare(ch, single_active_consumer=True)
        one = ch.connection.channel()
        first, second = Inbox(one, q), Inbox(ch, q)
        publish_all(ch, q, "abc")
        equal(first.texts(3), ["a", "b", "c"])
        one.close()
        got = [second.next() for _ in range(3)]
        equal([(m.text, m.redelivered) for m in got], [(t, True) for t in "abc"])


@case("queue types classic and quorum, modes and versions are accepted")
def _():
    with open_channel() as ch:
        declare(ch, queue_type="classic", queue_mode="lazy", queue_version=2)
        q = declare(ch, exclusive=False, durable=True, queue_type="quorum")
        publish(ch, q, "x")
        equal(take(ch, q).text, "x")
        ch.queue_delete(q)


@case("what was published in a second is still there in order")
def _():
    with open_channel(confirm=False) as ch:
        q, texts, end = declare(ch), [], time.monotonic() + 0.5
        while time.monotonic() < end:
            texts.append(str(len(texts)))
            publish(ch, q, texts[-1])
        sync(ch)
        equal(Inbox(ch, q, auto_ack=True).texts(len(texts)), texts)
