#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""STOMP and AMQP on one broker: what the one sends the other receives.

Against another broker $STOMP_ADDRESS says where it listens for STOMP."""
import contextlib
import decimal
import signal

from amqp_lib import BROKER, Broker, case, equal, fresh, only_lodge, wait_for
from pika_lib import (Inbox, bodies, connect, count, declare, exchange, get, open_channel, publish,
                      publish_all, sync, take)

EVERY_BYTE = bytes(range(256))


@contextlib.contextmanager
def both(exclusive=False, **queue):
    """(AMQP channel, STOMP client, the name of a queue)"""
    with open_channel() as ch, BROKER.stomp() as s:
        q = declare(ch, exclusive=exclusive, **(queue if exclusive else {"durable": True, **queue}))
        yield ch, s, q
        if not exclusive:
            ch.queue_delete(q)


def at(q):
    """The queue as a destination; it is there, whatever its arguments."""
    return "/amq/queue/" + q


# ---- one message ---------------------------------------------------------------------------------


@case("STOMP to AMQP: properties are properties, other headers are headers, of text")
def _():
    with both() as (ch, s, q):
        s.send(at(q), b"hi", content_type="text/plain", content_encoding="gzip", correlation_id="7",
               reply_to="somewhere", priority=4, expiration=60000, persistent="true", type="t",
               app_id="a", timestamp=1700000000, amqp_message_id="mid", user_id=BROKER.user,
               colour="red", number=5)
        m = take(ch, q)
        p = m.properties
        equal((m.text, m.method.exchange, m.method.routing_key), ("hi", "", q))
        equal((p.content_type, p.content_encoding, p.correlation_id, p.reply_to, p.priority),
              ("text/plain", "gzip", "7", "somewhere", 4))
        equal((p.expiration, p.delivery_mode, p.type, p.app_id, p.timestamp, p.message_id,
               p.user_id), ("60000", 2, "t", "a", 1700000000, "mid", BROKER.user))
        equal((m.headers["colour"], m.headers["number"]), ("red", "5"))
        for name in ("destination", "content-type", "priority", "persistent", "reply-to"):
            assert name not in m.headers, m.headers


@case("AMQP to STOMP: properties and headers are headers; numbers become text")
def _():
    with both() as (ch, s, q):
        publish(ch, q, "yo", content_type="text/plain", content_encoding="gzip", delivery_mode=2,
                priority=3, correlation_id="c", reply_to="r", expiration="60000", message_id="mid",
                timestamp=5, type="ty", user_id=BROKER.user, app_id="app",
                headers={"colour": "red", "number": 5, "negative": -7})
        s.subscribe(at(q))
        m = s.message()
        equal((m.body, m["destination"], m["subscription"]), (b"yo", "/queue/" + q, "0"))
        wanted = {"content-type": "text/plain", "content-encoding": "gzip", "persistent": "true",
                  "priority": "3", "correlation-id": "c", "reply-to": "/reply-queue/r",
                  "expiration": "60000", "amqp-message-id": "mid", "timestamp": "5", "type": "ty",
                  "user-id": BROKER.user, "app-id": "app", "colour": "red", "number": "5",
                  "negative": "-7", "content-length": "2"}
        equal({name: m.get(name) for name in wanted}, wanted)


@case("AMQP to STOMP: tables, lists, nothing and bytes that are no text are left out")
def _():
    with both() as (ch, s, q):
        publish(ch, q, "x", headers={
            "list": [1, 2], "table": {"a": 1}, "none": None, "bytes": b"\xff\xfe\0",
            "decimal": decimal.Decimal("1.5"), "text": "here"})
        s.subscribe(at(q))
        m = s.message()
        equal(m["text"], "here")
        for name in ("list", "table", "none", "bytes", "decimal"):
            assert name not in m.headers, m.headers


@case("AMQP to STOMP: a header cannot forge one of the protocol's")
def _():
    with both() as (ch, s, q):
        publish(ch, q, "body", headers={"destination": "/queue/other", "subscription": "9",
                                        "content-length": "1", "text": "here"})
        s.subscribe(at(q))
        m = s.message()
        equal((m.body, m["destination"], m["subscription"], m["text"]),
              (b"body", "/queue/" + q, "0", "here"))


@case("names and values with colons, backslashes and line ends pass both ways")
def _():
    with both() as (ch, s, q):
        hard = "a:b \\ c \n d é 日本"
        s.ask("SEND", {"destination": at(q), "key": hard, "k:e\\y": "v"}, b"x")
        m = take(ch, q)
        equal((m.headers["key"], m.headers["k:e\\y"]), (hard, "v"))
        publish(ch, q, "x", headers={"key": hard, "k:e\\y": "v"})
        s.subscribe(at(q))
        m = s.message()
        equal((m["key"], m["k:e\\y"]), (hard, "v"))


@case("bodies of every byte, empty ones and 1 MB pass both ways")
def _():
    with both() as (ch, s, q):
        s.subscribe(at(q), id="s", ack="client-individual")
        for body in (b"", b"\0", EVERY_BYTE, EVERY_BYTE * 4096):
            publish(ch, q, body)
            m = s.message()
            assert m.body == body, f"{len(body)} bytes came otherwise to STOMP"
            s.ack(m)
        s.ask("UNSUBSCRIBE", {"id": "s"})
        for body in (b"", b"\0", EVERY_BYTE, EVERY_BYTE * 4096):
            s.send(at(q), body)
            assert take(ch, q).body == body, f"{len(body)} bytes came otherwise to AMQP"


@case("persistence passes both ways")
def _():
    with both() as (ch, s, q):
        for said, mode in (("true", {2}), ("false", {1, None})):
            s.send(at(q), b"x", persistent=said)
            assert take(ch, q).properties.delivery_mode in mode
        s.subscribe(at(q))
        for mode in (2, 1, None):
            publish(ch, q, "x", delivery_mode=mode)
            equal(s.message().get("persistent") == "true", mode == 2, f"mode {mode}")


# ---- queues --------------------------------------------------------------------------------------


@case("/queue/NAME is the queue of that name, and a slash in it is %2F")
def _():
    with open_channel() as ch, BROKER.stomp() as s:
        q = fresh() + "/with/slashes"
        ch.queue_declare(q, durable=True)
        s.send("/queue/" + q.replace("/", "%2F"), b"x")
        equal(take(ch, q).text, "x")
        publish(ch, q, "y")
        s.subscribe("/queue/" + q.replace("/", "%2F"))
        m = s.message()
        equal((m.body, m["destination"]), (b"y", "/queue/" + q.replace("/", "%2F")))
        ch.queue_delete(q)


@case("a queue that STOMP made is there for AMQP, durable, with its messages and consumers")
def _():
    with open_channel() as ch, BROKER.stomp() as s:
        q = fresh()
        s.send("/queue/" + q, b"x")
        ch.queue_declare(q, durable=True)
        equal(count(ch, q), (1, 0))
        s.subscribe("/queue/" + q)
        s.message()
        wait_for("the consumer to be counted", lambda: count(ch, q) == (0, 1))
        ch.queue_delete(q)


@case("x-max-priority: the order is the same, whoever sends")
def _():
    with both(max_priority=9) as (ch, s, q):
        s.send(at(q), b"1", priority=1)
        publish(ch, q, "5", priority=5)
        s.send(at(q), b"9", priority=9)
        publish(ch, q, "0")
        equal(bodies(ch, q), ["9", "5", "1", "0"])


@case("messages of both keep the order in which they were confirmed")
def _():
    with both() as (ch, s, q):
        for i in range(10):
            publish(ch, q, f"amqp {i}")
            s.send(at(q), f"stomp {i}".encode())
        equal(bodies(ch, q), [f"{who} {i}" for i in range(10) for who in ("amqp", "stomp")])


@case("consumers of both share a queue by turns")
def _():
    with both() as (ch, s, q):
        box = Inbox(ch, q, auto_ack=True)
        s.subscribe(at(q))
        publish_all(ch, q, "abcdef")
        equal(sorted(box.texts(3) + [s.message().body.decode() for _ in range(3)]), list("abcdef"))


@case("an exclusive queue of AMQP is locked for STOMP")
def _():
    with both(exclusive=True) as (_, s, q):
        s.put("SUBSCRIBE", {"destination": at(q), "id": "1"})
        frame = s.wait("ERROR")
        assert "locked" in (frame.body.decode() + str(frame.headers)).lower(), frame


@case("a STOMP subscriber is told when AMQP deletes its queue")
def _():
    with open_channel() as ch, BROKER.stomp() as s:
        q = declare(ch, exclusive=False)
        s.subscribe(at(q), id="mine")
        ch.queue_delete(q)
        equal(s.wait("ERROR").get("subscription"), "mine")


# ---- acks, transactions, dead letters ------------------------------------------------------------


@case("what the one gives back the other gets, redelivered")
def _():
    with both() as (ch, s, q):
        s.subscribe(at(q), ack="client-individual")
        publish(ch, q, "x")
        s.message()
        s.close()
        m = take(ch, q, ack=False)
        equal((m.text, m.redelivered), ("x", True))
        ch.basic_nack(m.tag)
        with BROKER.stomp() as other:
            other.subscribe(at(q))
            m = other.message()
            equal((m.body, m["redelivered"]), (b"x", "true"))


@case("STOMP rejects, and AMQP finds the dead letter with its history")
def _():
    with open_channel() as ch:
        dead = declare(ch)
        with both(dead_letter_exchange="", dead_letter_routing_key=dead) as (_, s, q):
            s.subscribe(at(q), id="1", ack="client-individual")
            s.send(at(q), b"x", colour="red")
            s.nack(s.message(), requeue="false")
            m = take(ch, dead)
            (death,) = m.headers["x-death"]
            equal((m.text, m.headers["colour"], death["reason"], death["queue"], death["count"]),
                  ("x", "red", "rejected", q, 1))


@case("what AMQP lets expire STOMP finds, with the reason")
def _():
    with both() as (ch, s, dead):
        q = declare(ch, dead_letter_exchange="", dead_letter_routing_key=dead)
        s.subscribe(at(dead))
        publish(ch, q, "old", expiration="50")
        m = s.message()
        equal((m.body, m["x-first-death-reason"], m["x-first-death-queue"], m.get("expiration")),
              (b"old", "expired", q, None))


@case("transactions of both are seen when they commit")
def _():
    with both() as (ch, s, q):
        s.put("BEGIN", {"transaction": "t"})
        s.put("SEND", {"destination": at(q), "transaction": "t"}, b"from stomp")
        tx = ch.connection.channel()
        tx.tx_select()
        publish(tx, q, "from amqp")
        sync(tx)
        equal(count(ch, q)[0], 0)
        tx.tx_commit()
        s.ask("COMMIT", {"transaction": "t"})
        equal([take(ch, q).text, take(ch, q).text], ["from amqp", "from stomp"])


# ---- exchanges -----------------------------------------------------------------------------------


@case("/topic/KEY is amq.topic, both ways, with its patterns")
def _():
    with both(exclusive=True) as (ch, s, q):
        key = fresh("key")
        ch.queue_bind(q, "amq.topic", key + ".#")
        s.send(f"/topic/{key}.a.b", b"to amqp")
        m = take(ch, q)
        equal((m.text, m.method.exchange, m.method.routing_key),
              ("to amqp", "amq.topic", key + ".a.b"))
        s.subscribe(f"/topic/{key}.*.c")
        publish(ch, key + ".x.c", "to stomp", to="amq.topic")
        publish(ch, key + ".x.d", "not to stomp", to="amq.topic")
        m = s.message()
        equal((m.body, m["destination"]), (b"to stomp", f"/topic/{key}.x.c"))
        s.no_message()


@case("/exchange/X/KEY is the exchange X, both ways")
def _():
    with both(exclusive=True) as (ch, s, q):
        x = exchange(ch, "direct")
        ch.queue_bind(q, x, "in")
        s.send(f"/exchange/{x}/in", b"to amqp")
        m = take(ch, q)
        equal((m.text, m.method.exchange, m.method.routing_key), ("to amqp", x, "in"))
        s.subscribe(f"/exchange/{x}/out")
        publish(ch, "out", "to stomp", to=x)
        m = s.message()
        equal((m.body, m["destination"]), (b"to stomp", f"/exchange/{x}/out"))


# ---- requests ------------------------------------------------------------------------------------


@case("STOMP asks from a temporary queue, AMQP answers by the default exchange")
def _():
    with both(exclusive=True) as (ch, s, q):
        s.send(at(q), b"question", reply_to="/temp-queue/me", correlation_id="9")
        m = take(ch, q)
        publish(ch, m.properties.reply_to, "answer", correlation_id=m.properties.correlation_id)
        m = s.message()
        equal((m.body, m["subscription"], m["correlation-id"]), (b"answer", "/temp-queue/me", "9"))


@case("AMQP asks from an exclusive queue, STOMP answers to its reply-to")
def _():
    with both() as (ch, s, q):
        mine = declare(ch)
        s.subscribe(at(q))
        publish(ch, q, "question", reply_to=mine, correlation_id="1")
        m = s.message()
        equal(m["reply-to"], "/reply-queue/" + mine)
        s.send(m["reply-to"], b"answer", correlation_id=m["correlation-id"])
        m = take(ch, mine)
        equal((m.text, m.properties.correlation_id), ("answer", "1"))


@case("AMQP asks with amq.rabbitmq.reply-to, STOMP answers")
def _():
    with both() as (ch, s, q):
        box = Inbox(ch, "amq.rabbitmq.reply-to", auto_ack=True)
        s.subscribe(at(q))
        publish(ch, q, "question", reply_to="amq.rabbitmq.reply-to", correlation_id="1")
        m = s.message()
        s.send(m["reply-to"], b"answer", correlation_id=m["correlation-id"])
        m = box.next()
        equal((m.text, m.properties.correlation_id), ("answer", "1"))


# ---- restart -------------------------------------------------------------------------------------


@case("what each was confirmed the other finds after SIGKILL")
def _():
    only_lodge("the broker is not ours to restart")
    with Broker() as b:
        ch = connect(broker=b).channel()
        ch.confirm_delivery()
        with b.stomp() as s:
            q = declare(ch, exclusive=False, durable=True)
            s.send(at(q), b"from stomp", persistent="true", colour="red")
            publish(ch, q, "from amqp", delivery_mode=2, headers={"list": [1, {"a": None}]})
            b.restart(signal.SIGKILL)
        c = connect(broker=b)
        with b.stomp() as s:
            m = get(c.channel(), q)
            equal((m.text, m.headers["colour"]), ("from stomp", "red"))
            s.subscribe(at(q))
            equal(s.message().body, b"from amqp")
        c.close()


if __name__ == "__main__":
    BROKER.run()
