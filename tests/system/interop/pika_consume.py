# SPDX-License-Identifier: MIT
"""Cases of test_pika.py: basic.get, consumers, acks and their order."""
from amqp_lib import case, equal, fresh
from pika_lib import (Inbox, answered, await_end, bodies, connect, count, declare, get,
                      open_channel, publish, publish_all, raw, refused, refused_each, spec,
                      sync, take)


def texts(messages):
    return [m.text for m in messages]


# ---- get -----------------------------------------------------------------------------------------


@case("get takes one, and tells how many are left")
def _():
    with open_channel() as ch:
        q = declare(ch)
        publish_all(ch, q, "abc")
        got = [get(ch, q, ack=False) for _ in "abc"]
        equal([(m.text, m.method.message_count) for m in got], [("a", 2), ("b", 1), ("c", 0)])
        equal([m.tag for m in got], [1, 2, 3])
        equal(got[0].method.routing_key, q)
        assert get(ch, q) is None, "there was a fourth"


@case("get from an empty queue says so, and takes no delivery tag")
def _():
    with open_channel() as ch:
        q = declare(ch)
        assert get(ch, q) is None
        publish(ch, q, "x")
        equal(get(ch, q, ack=False).tag, 1)


# ---- prefetch ------------------------------------------------------------------------------------


@case("qos: no more than the prefetch count is unacked, and acks bring more")
def _():
    with open_channel() as ch:
        q = declare(ch)
        publish_all(ch, q, "abcdef")
        ch.basic_qos(prefetch_count=3)
        box = Inbox(ch, q)
        got = [box.next() for _ in range(3)]
        box.nothing()
        equal(count(ch, q), (3, 1))
        ch.basic_ack(got[0].tag)
        equal(box.texts(1), ["d"])
        ch.basic_ack(got[2].tag, multiple=True)
        equal(box.texts(2), ["e", "f"])


@case("qos: without global it is for each consumer that comes after it")
def _():
    with open_channel() as ch:
        queues = [declare(ch) for _ in range(3)]
        for q in queues:
            publish_all(ch, q, "abcdef")
        boxes = []
        for q, n in zip(queues, (1, 4, 2)):
            ch.basic_qos(prefetch_count=n)
            boxes.append(Inbox(ch, q))
        equal([box.texts(n) for box, n in zip(boxes, (1, 4, 2))], [["a"], list("abcd"), ["a", "b"]])


@case("qos: with global all consumers of the channel share it, those that are there too")
def _():
    with open_channel() as ch:
        one, two = declare(ch), declare(ch)
        publish_all(ch, one, "abc")
        first = Inbox(ch, one)
        equal(first.texts(3), ["a", "b", "c"])
        ch.basic_ack(3, multiple=True)
        ch.basic_qos(prefetch_count=2, global_qos=True)
        publish_all(ch, one, "de")
        equal(first.texts(2), ["d", "e"])
        publish(ch, two, "f")
        second = Inbox(ch, two)
        second.nothing()
        ch.basic_ack(4)
        equal(second.texts(1), ["f"])


@case("qos: both limits count, that of the consumer and that of the channel")
def _():
    with open_channel() as ch:
        one, two = declare(ch), declare(ch)
        publish_all(ch, one, "abcdef")
        publish_all(ch, two, "abcdef")
        ch.basic_qos(prefetch_count=2)
        ch.basic_qos(prefetch_count=3, global_qos=True)
        first = Inbox(ch, one)
        equal(first.texts(2), ["a", "b"])
        equal(Inbox(ch, two).texts(1), ["a"])


@case("qos: a larger global count lets more through at once, and 0 all")
def _():
    with open_channel() as ch:
        q = declare(ch)
        publish_all(ch, q, "abcdef")
        ch.basic_qos(prefetch_count=1, global_qos=True)
        box = Inbox(ch, q)
        equal(box.texts(1), ["a"])
        ch.basic_qos(prefetch_count=3, global_qos=True)
        equal(box.texts(2), ["b", "c"])
        ch.basic_qos(prefetch_count=0, global_qos=True)
        equal(box.texts(3), ["d", "e", "f"])


@case("qos: who does not ack has no limit; get has none either")
def _():
    with open_channel() as ch:
        q = declare(ch)
        publish_all(ch, q, "abcdef")
        ch.basic_qos(prefetch_count=1)
        equal(texts([get(ch, q, ack=False) for _ in "ab"]), ["a", "b"])
        equal(Inbox(ch, q, auto_ack=True).texts(4), ["c", "d", "e", "f"])


@case("qos: a prefetch size is not implemented: 540 closes the connection")
def _():
    c = connect()
    with refused(540, "prefetch_size"):
        c.channel().basic_qos(prefetch_size=1000)
    assert c.is_closed


# ---- consumers -----------------------------------------------------------------------------------


@case("consumers take turns")
def _():
    with open_channel() as ch:
        q = declare(ch)
        boxes = [Inbox(ch, q) for _ in range(3)]
        publish_all(ch, q, "abcdef")
        equal([box.texts(2) for box in boxes], [["a", "d"], ["b", "e"], ["c", "f"]])


@case("a consumer that may take no more is passed over")
def _():
    with open_channel() as ch, open_channel() as slow:
        q = declare(ch, exclusive=False, auto_delete=True)
        slow.basic_qos(prefetch_count=1)
        held, free = Inbox(slow, q), Inbox(ch, q, auto_ack=True)
        publish_all(ch, q, "abcdef")
        equal((len(held.texts(1)), len(free.texts(5))), (1, 5))


@case("deliveries name their consumer, exchange and key; tags count from 1 on each channel")
def _():
    with open_channel() as ch:
        q = declare(ch)
        ch.queue_bind(q, "amq.topic", q + ".#")
        boxes = [Inbox(c, q, consumer_tag=tag) for c, tag in
                 ((ch, "one"), (ch.connection.channel(), "two"))]
        publish_all(ch, q + ".key", "abcd", to="amq.topic")
        for box, tag in zip(boxes, ("one", "two")):
            got = [box.next(), box.next()]
            equal([(m.tag, m.method.consumer_tag, m.method.exchange, m.method.routing_key,
                    m.redelivered) for m in got],
                  [(n, tag, "amq.topic", q + ".key", False) for n in (1, 2)])


@case("a consumer tag that is in use on the channel closes the connection with 530")
def _():
    c = connect()
    ch = c.channel()
    q = declare(ch)
    Inbox(c.channel(), q, consumer_tag="tag")
    Inbox(ch, q, consumer_tag="tag")
    with refused(530):
        raw(ch, spec.Basic.Consume(queue=q, consumer_tag="tag"))
        await_end(ch)
    assert c.is_closed


@case("an exclusive consumer stays alone: 403")
def _():
    with open_channel() as ch:
        q = declare(ch, exclusive=False, auto_delete=True)
        box = Inbox(ch, q, exclusive=True)
        refused_each(403, {"shared": lambda ch: Inbox(ch, q),
                           "exclusive": lambda ch: Inbox(ch, q, exclusive=True)})
        publish(ch, q, "x")
        equal(box.texts(1), ["x"])


@case("a consumer cannot be exclusive where there is another: 403; when that left it can")
def _():
    with open_channel() as ch:
        q = declare(ch)
        box, other = Inbox(ch, q), ch.connection.channel()
        with refused(403, "exclusive"):
            Inbox(other, q, exclusive=True)
        box.cancel()
        Inbox(ch, q, exclusive=True)


@case("a cancelled consumer gets nothing more; what it has can still be acked")
def _():
    with open_channel() as ch:
        q = declare(ch)
        box = Inbox(ch, q)
        publish_all(ch, q, "ab")
        got = [box.next(), box.next()]
        box.cancel()
        publish(ch, q, "c")
        box.nothing()
        ch.basic_ack(got[0].tag)
        ch.basic_nack(got[1].tag)
        equal(bodies(ch, q), ["b", "c"])


@case("cancelling a consumer that is not there is no error")
def _():
    with open_channel() as ch:
        reply = answered(ch, spec.Basic.Cancel(consumer_tag="nobody"), spec.Basic.CancelOk)
        equal(reply.consumer_tag, "nobody")


@case("a consumer is told when its queue is deleted")
def _():
    with open_channel() as ch:
        q, told = declare(ch), []
        ch.add_on_cancel_callback(lambda frame: told.append(frame.method.consumer_tag))
        box = Inbox(ch, q)
        other = ch.connection.channel()
        other.queue_delete(q)
        box.nothing()
        equal(told, [box.tag])
        sync(ch)
        declare(ch, q)
        Inbox(ch, q, consumer_tag=box.tag)  # the tag is free


@case("a client that does not know consumer_cancel_notify is not told, and goes on")
def _():
    with open_channel(client_properties={
            "capabilities": {"consumer_cancel_notify": False}}) as ch:
        q, told = declare(ch), []
        ch.add_on_cancel_callback(told.append)
        box = Inbox(ch, q)
        ch.queue_delete(q)
        box.nothing()
        equal(told, [])
        box.cancel()


@case("x-priority: the highest consumer that may take more gets the message")
def _():
    with open_channel() as ch:
        q = declare(ch)
        low = Inbox(ch, q, arguments={"x-priority": -1})
        plain = Inbox(ch, q)
        ch.basic_qos(prefetch_count=2)
        high = Inbox(ch, q, arguments={"x-priority": 10})
        publish_all(ch, q, "abcd")
        equal((high.texts(2), plain.texts(2), low.texts(0)), (["a", "b"], ["c", "d"], []))
        ch.basic_ack(1)
        publish_all(ch, q, "ef")
        equal((high.texts(1), plain.texts(1)), (["e"], ["f"]))


@case("x-priority that is no number is 406")
def _():
    with open_channel() as ch, refused(406):
        Inbox(ch, declare(ch), arguments={"x-priority": "high"})


# ---- acks ----------------------------------------------------------------------------------------


def four_of_five(ch):
    """A queue of five, and the first four of them unacked."""
    q = declare(ch)
    publish_all(ch, q, "abcde")
    return q, [get(ch, q, ack=False) for _ in "abcd"]


@case("ack: one, or with multiple all up to it")
def _():
    with open_channel() as ch:
        q, got = four_of_five(ch)
        ch.basic_ack(got[1].tag)
        ch.basic_ack(got[2].tag, multiple=True)
        ch.basic_recover(requeue=True)
        equal(bodies(ch, q), ["d", "e"])


@case("ack: tag 0 with multiple acks all, and nothing is no error")
def _():
    with open_channel() as ch:
        q, _ = four_of_five(ch)
        ch.basic_ack(0, multiple=True)
        ch.basic_ack(0, multiple=True)
        ch.basic_recover(requeue=True)
        equal(bodies(ch, q), ["e"])


@case("nack: one, or with multiple all up to it, goes back to its place, redelivered")
def _():
    with open_channel() as ch:
        q, got = four_of_five(ch)
        ch.basic_nack(got[3].tag)
        ch.basic_nack(got[1].tag, multiple=True)
        back = [get(ch, q) for _ in "abde"]
        equal([(m.text, m.redelivered) for m in back],
              [("a", True), ("b", True), ("d", True), ("e", False)])
        ch.basic_ack(got[2].tag)


@case("nack: tag 0 with multiple returns all")
def _():
    with open_channel() as ch:
        q, _ = four_of_five(ch)
        ch.basic_nack(0, multiple=True)
        equal(bodies(ch, q), ["a", "b", "c", "d", "e"])


@case("nack without requeue drops, one or all up to it")
def _():
    with open_channel() as ch:
        q, got = four_of_five(ch)
        ch.basic_nack(got[3].tag, requeue=False)
        ch.basic_nack(got[1].tag, multiple=True, requeue=False)
        ch.basic_nack(got[2].tag)
        equal(bodies(ch, q), ["c", "e"])


@case("reject: with requeue it goes back, without it is dropped")
def _():
    with open_channel() as ch:
        q, got = four_of_five(ch)
        ch.basic_reject(got[0].tag, requeue=False)
        ch.basic_reject(got[1].tag)
        equal(bodies(ch, q), ["b", "e"])


@case("what goes back comes before what was behind it, also to a consumer")
def _():
    with open_channel() as ch:
        q = declare(ch)
        publish_all(ch, q, [str(i) for i in range(20)])
        ch.basic_qos(prefetch_count=10)
        box = Inbox(ch, q)
        got = [box.next() for _ in range(10)]
        for m in (got[7], got[2], got[5]):
            ch.basic_nack(m.tag)
        again = [box.next() for _ in range(3)]
        equal(sorted(texts(again)), ["2", "5", "7"])
        for m in got[:2] + got[3:5] + got[8:] + [got[6]] + again:
            ch.basic_ack(m.tag)
        equal(box.texts(10), [str(i) for i in range(10, 20)])


@case("recover returns all that is unacked, redelivered, in order")
def _():
    with open_channel() as ch:
        q = declare(ch)
        publish_all(ch, q, "abc")
        box = Inbox(ch, q)
        first = [box.next() for _ in "abc"]
        ch.basic_ack(first[1].tag)
        ch.basic_recover(requeue=True)
        again = [box.next() for _ in "ac"]
        equal([(m.text, m.redelivered, m.tag) for m in again], [("a", True, 4), ("c", True, 5)])


@case("recover without requeue is not implemented: 540 closes the connection")
def _():
    c = connect()
    with refused(540):
        c.channel().basic_recover(requeue=False)
    assert c.is_closed


@case("a tag that was never given, was acked before, or is another channel's is 406")
def _():
    with open_channel() as ch:
        q = declare(ch, exclusive=False, auto_delete=True)
        publish_all(ch, q, "abc")
        get(ch, q, ack=False)

        def twice(ch):
            tag = get(ch, q, ack=False).tag
            ch.basic_ack(tag)
            ch.basic_ack(tag)
            await_end(ch)

        refused_each(406, {
            "ack": lambda ch: (ch.basic_ack(7), await_end(ch)),
            "nack": lambda ch: (ch.basic_nack(7), await_end(ch)),
            "reject": lambda ch: (ch.basic_reject(7), await_end(ch)),
            "multiple": lambda ch: (ch.basic_ack(7, multiple=True), await_end(ch)),
            "another channel's": lambda ch: (ch.basic_ack(1), await_end(ch)),
            "0 alone": lambda ch: (ch.basic_ack(0), await_end(ch)),
            "twice": twice,
            "delivered without ack": lambda ch: (
                ch.basic_ack(get(ch, q).tag), await_end(ch)),
        })
        equal(bodies(ch, q), [])
        ch.queue_delete(q)


@case("an ack for a channel that closed meanwhile is ignored")
def _():
    with open_channel() as ch:
        q = declare(ch, exclusive=False, auto_delete=True)
        publish(ch, q, "x")
        other = ch.connection.channel()
        tag = get(other, q, ack=False).tag
        raw(other, spec.Queue.Declare(queue=fresh(), passive=True))
        raw(other, spec.Basic.Ack(delivery_tag=tag))
        with refused(404):
            await_end(other)
        m = take(ch, q)
        equal((m.text, m.redelivered), ("x", True))
        ch.queue_delete(q)


@case("without acks a message is gone when it was sent")
def _():
    with open_channel() as ch:
        q = declare(ch, exclusive=False, auto_delete=True)
        publish_all(ch, q, "ab")
        other = ch.connection.channel()
        equal(Inbox(other, q, auto_ack=True, consumer_tag="other").texts(2), ["a", "b"])
        keeper = Inbox(ch, q, consumer_tag="keeper")
        other.close()
        keeper.nothing()


@case("ten thousand messages are consumed in order with a prefetch of 100")
def _():
    with open_channel(confirm=False) as ch, open_channel() as consumer:
        q, n, got = declare(ch, exclusive=False, auto_delete=True), 10000, []

        def came(_, method, __, body):
            got.append(int(body))
            if len(got) % 50 == 0:
                consumer.basic_ack(method.delivery_tag, multiple=True)

        consumer.basic_qos(prefetch_count=100)
        consumer.basic_consume(q, came)
        publish_all(ch, q, map(str, range(n)))
        while len(got) < n:
            consumer.connection.process_data_events(1)
        equal(got, list(range(n)))
        sync(consumer)
