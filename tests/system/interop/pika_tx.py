# SPDX-License-Identifier: MIT
"""Cases of test_pika.py: transactions [tx class] and requests with amq.rabbitmq.reply-to."""
from amqp_lib import case, equal, fresh
from pika_lib import (Inbox, await_end, bodies, connect, count, declare, get, open_channel, pika,
                      publish, publish_all, refused, refused_each, sync, take)


def transactional(c):
    ch = c.channel()
    ch.tx_select()
    return ch


@case("tx: nothing is seen before the commit, then all of it, in order")
def _():
    with open_channel() as ch:
        a, b = declare(ch), declare(ch)
        tx = transactional(ch.connection)
        publish_all(tx, a, "123")
        publish_all(tx, b, "45")
        sync(tx)
        equal((count(ch, a), count(ch, b)), ((0, 0), (0, 0)))
        tx.tx_commit()
        equal((bodies(ch, a), bodies(ch, b)), (["1", "2", "3"], ["4", "5"]))
        publish(tx, a, "6")  # the next one
        sync(tx)
        equal(count(ch, a), (0, 0))
        tx.tx_commit()
        equal(bodies(ch, a), ["6"])


@case("tx: a rollback forgets what was published, closing does too")
def _():
    with open_channel() as ch:
        q = declare(ch)
        tx = transactional(ch.connection)
        publish_all(tx, q, "12")
        tx.tx_rollback()
        publish(tx, q, "3")
        tx.tx_commit()
        publish(tx, q, "4")
        tx.close()
        equal(bodies(ch, q), ["3"])


@case("tx: acks count with the commit; after a rollback the messages can be acked again")
def _():
    with open_channel() as ch:
        q = declare(ch)
        publish_all(ch, q, "abc")
        tx = transactional(ch.connection)
        got = [get(tx, q, ack=False) for _ in "abc"]
        tx.basic_ack(got[0].tag)
        tx.tx_commit()
        tx.basic_ack(got[1].tag)
        tx.tx_rollback()
        tx.basic_ack(got[1].tag)
        tx.tx_commit()
        tx.basic_ack(got[2].tag)
        tx.close()  # without a commit
        equal(bodies(ch, q), ["c"])


@case("tx: a nack counts with the commit")
def _():
    with open_channel() as ch:
        dead = declare(ch)
        q = declare(ch, dead_letter_exchange="", dead_letter_routing_key=dead)
        publish_all(ch, q, "ab")
        tx = transactional(ch.connection)
        got = [get(tx, q, ack=False) for _ in "ab"]
        tx.basic_nack(got[0].tag)
        tx.basic_nack(got[1].tag, requeue=False)
        sync(tx)
        equal((count(ch, q)[0], count(ch, dead)[0]), (0, 0))
        tx.tx_commit()
        equal((take(ch, q).text, take(ch, dead).text), ("a", "b"))


@case("tx: moving a message is one commit: it is acked here and published there")
def _():
    with open_channel() as ch:
        a, b = declare(ch), declare(ch)
        publish(ch, a, "x")
        for attempt in ("rollback", "commit"):
            tx = transactional(ch.connection)
            m = take(tx, a, ack=False)
            publish(tx, b, m.body)
            tx.basic_ack(m.tag)
            (tx.tx_rollback if attempt == "rollback" else tx.tx_commit)()
            tx.close()
        equal((bodies(ch, a), bodies(ch, b)), ([], ["x"]))


@case("tx: what no queue takes comes back with the commit, if mandatory")
def _():
    with open_channel() as ch:
        tx, got = transactional(ch.connection), []
        tx.add_on_return_callback(lambda *a: got.append((a[1].reply_code, a[3])))
        publish(tx, fresh(), "x", mandatory=True)
        sync(tx)
        tx.connection.process_data_events(0)
        equal(got, [])
        tx.tx_commit()
        tx.connection.process_data_events(0)
        equal(got, [(312, b"x")])


@case("tx: an unknown exchange is 404 and the rest is forgotten")
def _():
    with open_channel() as ch:
        q = declare(ch)
        tx = transactional(ch.connection)
        publish(tx, q, "x")
        with refused(404):
            publish(tx, "k", "x", to=fresh("x"))
            tx.tx_commit()
        equal(bodies(ch, q), [])


@case("tx: a thousand messages of 1 kB are one commit")
def _():
    with open_channel() as ch:
        q, tx = declare(ch), transactional(ch.connection)
        for i in range(1000):
            publish(tx, q, str(i).ljust(1000), delivery_mode=2)
        tx.tx_commit()
        equal([int(text) for text in bodies(ch, q)], list(range(1000)))


@case("tx: select may be said twice; commit and rollback without it are 406")
def _():
    with connect() as c:
        transactional(c).tx_select()
    refused_each(406, {"commit": lambda ch: ch.tx_commit(),
                       "rollback": lambda ch: ch.tx_rollback()})


@case("tx and confirms exclude each other on a channel: 406")
def _():
    refused_each(406, {
        "confirm after tx": lambda ch: (ch.tx_select(), ch.confirm_delivery()),
        "tx after confirm": lambda ch: (ch.confirm_delivery(), ch.tx_select()),
    })


# ---- direct reply-to -----------------------------------------------------------------------------

REPLY_TO = "amq.rabbitmq.reply-to"


def serve(ch, q):
    """Answers the next request with its own text."""
    m = take(ch, q)
    publish(ch, m.properties.reply_to, "re: " + m.text,
            correlation_id=m.properties.correlation_id)
    return m


@case("reply-to: an answer comes straight back to who asked")
def _():
    with open_channel() as service, open_channel() as asker, open_channel() as other:
        q = declare(service)
        boxes = [Inbox(ch, REPLY_TO, auto_ack=True) for ch in (asker, other)]
        for n, ch in enumerate((asker, other, asker)):
            publish(ch, q, f"question {n}", reply_to=REPLY_TO, correlation_id=str(n))
        for _ in range(3):
            m = serve(service, q)
            assert m.properties.reply_to.startswith(REPLY_TO + "."), m.properties
        got = [boxes[0].next(), boxes[0].next()]
        equal([(m.text, m.properties.correlation_id) for m in got],
              [("re: question 0", "0"), ("re: question 2", "2")])
        equal((got[0].method.exchange, got[0].method.routing_key[:len(REPLY_TO)]), ("", REPLY_TO))
        equal(boxes[1].texts(1), ["re: question 1"])


@case("reply-to: who asks must listen, on that channel and without acks: 406")
def _():
    with open_channel() as ch:
        q = declare(ch)
        refused_each(406, {
            "acks": lambda ch: Inbox(ch, REPLY_TO),
            "nobody listens": lambda ch: (
                publish(ch, q, "x", reply_to=REPLY_TO), await_end(ch)),
            "listens twice": lambda ch: [Inbox(ch, REPLY_TO, auto_ack=True) for _ in range(2)],
        })


@case("reply-to: one can ask whether an asker is still there")
def _():
    with open_channel() as service:
        q = declare(service)
        with open_channel() as asker:
            Inbox(asker, REPLY_TO, auto_ack=True)
            publish(asker, q, "x", reply_to=REPLY_TO)
            address = take(service, q).properties.reply_to
            equal(count(service, address), (0, 1))
        with refused(404):
            for _ in range(50):
                service.queue_declare(address, passive=True)
                service.connection.sleep(0.02)


@case("reply-to: an answer for one who left comes back if mandatory, and hurts nobody")
def _():
    with open_channel() as service:
        q = declare(service)
        with open_channel() as asker:
            Inbox(asker, REPLY_TO, auto_ack=True)
            publish(asker, q, "x", reply_to=REPLY_TO)
            m = take(service, q)
        publish(service, m.properties.reply_to, "late")
        publish(service, REPLY_TO + ".nonsense", "late")
        try:
            publish(service, m.properties.reply_to, "late", mandatory=True)
            raise AssertionError("it was routed")
        except pika.exceptions.UnroutableError:
            pass


@case("reply-to: a cancelled one can be consumed again")
def _():
    with open_channel() as ch:
        q = declare(ch)
        Inbox(ch, REPLY_TO, auto_ack=True).cancel()
        box = Inbox(ch, REPLY_TO, auto_ack=True)
        publish(ch, q, "x", reply_to=REPLY_TO)
        serve(ch, q)
        equal(box.texts(1), ["re: x"])


@case("reply-to: an ordinary exclusive queue does it too")
def _():
    with open_channel() as service, open_channel() as asker:
        q, mine = declare(service), declare(asker)
        box = Inbox(asker, mine)
        publish(asker, q, "x", reply_to=mine, correlation_id="1")
        serve(service, q)
        m = box.next()
        equal((m.text, m.properties.correlation_id), ("re: x", "1"))
