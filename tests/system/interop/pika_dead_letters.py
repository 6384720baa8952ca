# SPDX-License-Identifier: MIT
"""Cases of test_pika.py: dead letters, their headers, and delivery limits."""
import datetime
import time

from amqp_lib import case, equal, fresh, only_lodge
from pika_lib import (Inbox, bodies, count, declare, exchange, get, open_channel, pika, publish,
                      publish_all, sync, take)


def dead_of(ch, q, **more):
    """(queue, the queue for its dead letters)"""
    dead = declare(ch)
    return declare(ch, q, dead_letter_exchange="", dead_letter_routing_key=dead, **more), dead


def reject(ch, q):
    ch.basic_reject(take(ch, q, ack=False).tag, requeue=False)


@case("a rejected message goes to the dead-letter exchange, its headers say why")
def _():
    with open_channel() as ch:
        q, dead = dead_of(ch, fresh())
        before = datetime.datetime.utcnow()
        publish(ch, q, "bad", headers={"mine": 1}, message_id="7", delivery_mode=2)
        reject(ch, q)
        m = take(ch, dead)
        equal((m.text, m.properties.message_id, m.properties.delivery_mode), ("bad", "7", 2))
        equal((m.method.exchange, m.method.routing_key, m.redelivered), ("", dead, False))
        equal(m.headers["mine"], 1)
        (death,) = m.headers["x-death"]
        when = death.pop("time")
        equal(death, {"count": 1, "reason": "rejected", "queue": q, "exchange": "",
                      "routing-keys": [q]})
        assert abs((when - before).total_seconds()) < 60, when
        equal({k: v for k, v in m.headers.items() if k.startswith("x-first-death")},
              {"x-first-death-reason": "rejected", "x-first-death-queue": q,
               "x-first-death-exchange": ""})


@case("what expires goes to the dead-letter exchange without its expiration")
def _():
    with open_channel() as ch:
        q, dead = dead_of(ch, fresh())
        publish(ch, q, "old", expiration="50")
        m = take(ch, dead)
        (death,) = m.headers["x-death"]
        equal((m.text, death["reason"], death["original-expiration"], m.properties.expiration),
              ("old", "expired", "50", None))


@case("what a queue's ttl ends goes to the dead-letter exchange in order")
def _():
    with open_channel() as ch:
        q, dead = dead_of(ch, fresh(), message_ttl=100)
        publish_all(ch, q, "abc")
        got = [take(ch, dead) for _ in "abc"]
        equal([m.text for m in got], ["a", "b", "c"])
        equal([m.headers["x-death"][0]["reason"] for m in got], ["expired"] * 3)
        equal(count(ch, q), (0, 0))


@case("what makes room in a full queue goes to the dead-letter exchange as maxlen")
def _():
    with open_channel() as ch:
        q, dead = dead_of(ch, fresh(), max_length=1)
        publish_all(ch, q, "abc")
        got = [take(ch, dead) for _ in "ab"]
        equal([(m.text, m.headers["x-death"][0]["reason"]) for m in got],
              [("a", "maxlen"), ("b", "maxlen")])
        equal(bodies(ch, q), ["c"])


@case("reject-publish-dlx: what finds no room is nacked, and a dead letter")
def _():
    with open_channel() as ch:
        q, dead = dead_of(ch, fresh(), max_length=1, overflow="reject-publish-dlx")
        publish(ch, q, "a")
        try:
            publish(ch, q, "b")
            raise AssertionError("it was confirmed")
        except pika.exceptions.NackError:
            pass
        m = take(ch, dead)
        equal((m.text, m.headers["x-death"][0]["reason"]), ("b", "maxlen"))
        equal(bodies(ch, q), ["a"])


@case("without a dead-letter-routing-key the message keeps its own")
def _():
    with open_channel() as ch:
        x, dlx = exchange(ch), exchange(ch, "direct")
        q, dead = declare(ch, dead_letter_exchange=dlx), declare(ch)
        ch.queue_bind(q, x, "key")
        ch.queue_bind(dead, dlx, "key")
        publish(ch, "key", "x", to=x)
        reject(ch, q)
        m = take(ch, dead)
        equal((m.method.exchange, m.method.routing_key), (dlx, "key"))
        equal((m.headers["x-death"][0]["exchange"], m.headers["x-death"][0]["routing-keys"]),
              (x, ["key"]))


@case("a dead-letter exchange that is not there drops them, and may come later")
def _():
    with open_channel() as ch:
        dlx = fresh("x")
        q, dead = declare(ch, dead_letter_exchange=dlx), declare(ch)
        publish(ch, q, "lost")
        reject(ch, q)
        sync(ch)
        time.sleep(0.1)
        exchange(ch, "fanout", name=dlx)
        ch.queue_bind(dead, dlx)
        publish(ch, q, "found")
        reject(ch, q)
        equal(take(ch, dead).text, "found")
        equal(bodies(ch, dead), [])


@case("dying twice in one queue for one reason counts; another queue comes first")
def _():
    with open_channel() as ch:
        first = fresh()
        second = declare(ch, message_ttl=50, dead_letter_exchange="",
                         dead_letter_routing_key=first)
        declare(ch, first, dead_letter_exchange="", dead_letter_routing_key=second)
        publish(ch, first, "x")
        for _ in range(3):
            reject(ch, first)
        m = take(ch, first)
        equal([(d["queue"], d["reason"], d["count"]) for d in m.headers["x-death"]],
              [(second, "expired", 3), (first, "rejected", 3)])
        equal((m.headers["x-first-death-queue"], m.headers["x-first-death-reason"]),
              (first, "rejected"))


@case("a circle in which nobody rejects ends: the message is dropped")
def _():
    with open_channel() as ch:
        q = fresh()
        declare(ch, q, message_ttl=50, dead_letter_exchange="", dead_letter_routing_key=q)
        publish(ch, q, "x")
        time.sleep(0.3)
        equal(count(ch, q), (0, 0))


@case("a retry through a queue with a ttl comes back later")
def _():
    with open_channel() as ch:
        work = fresh()
        wait = declare(ch, message_ttl=300, dead_letter_exchange="", dead_letter_routing_key=work)
        declare(ch, work, dead_letter_exchange="", dead_letter_routing_key=wait)
        box = Inbox(ch, work)
        publish(ch, work, "again")
        ch.basic_nack(box.next().tag, requeue=False)
        began = time.monotonic()
        m = box.next()
        took = time.monotonic() - began
        equal((m.text, m.redelivered), ("again", False))
        assert 0.2 < took < 3, f"came back after {took} s"


@case("deleted and purged messages are no dead letters")
def _():
    with open_channel() as ch:
        q, dead = dead_of(ch, fresh())
        publish_all(ch, q, "ab")
        ch.queue_purge(q)
        publish_all(ch, q, "cd")
        ch.queue_delete(q)
        time.sleep(0.1)
        equal(bodies(ch, dead), [])


@case("dead letters reach several queues, each with the same history")
def _():
    with open_channel() as ch:
        dlx, targets = exchange(ch, "fanout"), [declare(ch), declare(ch)]
        for target in targets:
            ch.queue_bind(target, dlx)
        q = declare(ch, dead_letter_exchange=dlx)
        publish(ch, q, "x")
        reject(ch, q)
        equal([take(ch, t).headers["x-death"][0]["queue"] for t in targets], [q, q])


# ---- quorum queues count deliveries --------------------------------------------------------------


def quorum(ch, **more):
    return declare(ch, exclusive=False, durable=True, queue_type="quorum", **more)


@case("a queue of type quorum counts deliveries in x-delivery-count")
def _():
    with open_channel() as ch:
        q = quorum(ch)
        publish(ch, q, "x", headers={"mine": "stays"})
        for n in range(3):
            m = take(ch, q, ack=False)
            equal((m.headers.get("x-delivery-count", 0), m.headers["mine"]), (n, "stays"))
            ch.basic_nack(m.tag)
        ch.queue_delete(q)


@case("x-delivery-limit: what comes back too often is a dead letter for that reason")
def _():
    with open_channel() as ch:
        dead = declare(ch)
        q = quorum(ch, delivery_limit=2, dead_letter_exchange="", dead_letter_routing_key=dead)
        publish(ch, q, "poison")
        seen = 0
        while get(ch, dead, ack=False) is None:
            m = get(ch, q, ack=False)
            if m:
                seen += 1
                ch.basic_nack(m.tag)
            ch.connection.sleep(0.02)
        equal(seen, 3)
        ch.basic_recover(requeue=True)
        m = take(ch, dead)
        equal((m.text, m.headers["x-death"][0]["reason"]), ("poison", "delivery_limit"))
        equal(count(ch, q)[0], 0)
        ch.queue_delete(q)


@case("x-delivery-limit: without a dead-letter exchange it is dropped")
def _():
    with open_channel() as ch:
        q = quorum(ch, delivery_limit=1)
        box = Inbox(ch, q)
        publish(ch, q, "poison")
        for _ in range(2):
            ch.basic_nack(box.next().tag)
        box.nothing()
        ch.queue_delete(q)


@case("a delivery limit is kept on a classic queue too")
def _():
    only_lodge("only quorum queues count there")
    with open_channel() as ch:
        dead = declare(ch)
        q = declare(ch, delivery_limit=1, dead_letter_exchange="", dead_letter_routing_key=dead)
        publish(ch, q, "x")
        for _ in range(2):
            ch.basic_nack(get(ch, q, ack=False).tag)
        equal(take(ch, dead).headers["x-death"][0]["reason"], "delivery_limit")
