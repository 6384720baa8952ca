#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Queues and sessions that STOMP, AMQP and MQTT share: $queue and $share, who is offline, SIGKILL."""
import contextlib
import signal

from cross_lib import SERVER, Paho, Pika, RawMqtt, RawStomp, Server, destination_of, key_of
from amqp_lib import case, equal, fresh, wait_for
from mqtt_lib import frame, u16
import pika_lib
from pika_lib import bodies, count, publish, publish_all, take

N = 20
NUMBERS = [b"%d" % i for i in range(N)]


@contextlib.contextmanager
def work(**more):
    """(AMQP channel, the name of a durable queue)"""
    with Pika() as a:
        q = pika_lib.declare(a.ch, exclusive=False, durable=True, **more)
        yield a.ch, q
        a.ch.queue_delete(q)


def of(q):
    """The queue as a filter."""
    return "$queue/" + q


def sync(c):
    """What the client sent before was done."""
    c.ping()


# ---- $queue/NAME ---------------------------------------------------------------------------------


@case("$queue/NAME works what AMQP and STOMP queued before; its acks remove, its end returns")
def _():
    for level in (4, 5):
        with work() as (ch, q), RawStomp() as s:
            publish(ch, q, b"amqp", delivery_mode=2, content_type="a/b")
            s.c.send("/amq/queue/" + q, b"stomp", persistent="true")
            publish(ch, q, b"third", delivery_mode=2)
            with SERVER.client(level) as c:
                equal(c.subscribe(of(q), qos=1), [1])
                got = c.messages(3, ack=False)
                equal([(p.payload, p.qos, p.topic, p.dup) for p in got],
                      [(body, 1, key_of(q), False) for body in (b"amqp", b"stomp", b"third")])
                if level == 5:
                    equal(got[0].props, {"content_type": "a/b"})
                equal(count(ch, q), (0, 1))
                c.ack("PUBACK", got[1].id)
                sync(c)
            equal(count(ch, q), (2, 0))
            for body in (b"amqp", b"third"):
                m = take(ch, q)
                equal((m.body, m.redelivered), (body, True))
            equal(count(ch, q), (0, 0))


@case("$queue/NAME with paho, of a queue that STOMP made")
def _():
    q = fresh()
    with RawStomp() as s, Pika() as a:
        for level in (4, 5):
            for body in NUMBERS:
                s.c.send("/queue/" + q, body)
            with Paho(level) as c:
                c.listen(of(q))
                equal([c.next() for _ in NUMBERS], [(key_of(q), body) for body in NUMBERS])
            wait_for("the worker to be gone", lambda: count(a.ch, q) == (0, 0))
        a.ch.queue_delete(q)


@case("$queue/NAME at QoS 1 is acknowledged, whatever was said of persistence; at QoS 0 it is not")
def _():
    with work() as (ch, q), SERVER.client(5) as d:
        ch.queue_bind(q, "amq.topic", q)
        for granted, wanted in ((0, [0, 0, 0]), (1, [1, 1, 1]), (2, [1, 1, 2])):
            with SERVER.client(5) as c:
                equal(c.subscribe(of(q), qos=granted), [granted])
                publish(ch, q, b"transient", delivery_mode=1)
                publish(ch, q, b"persistent", delivery_mode=2)
                d.publish(key_of(q), b"2", 2)
                equal([c.message().qos for _ in range(3)], wanted, f"granted {granted}")
        equal(count(ch, q)[0], 0)


@case("two that work a queue share it fairly, and no more is on its way than the receive maximum")
def _():
    with work() as (ch, q), SERVER.client(5, receive_maximum=3) as one, \
            SERVER.client(5, receive_maximum=3) as two:
        for c in (one, two):
            c.subscribe(of(q), qos=1)
        publish_all(ch, q, NUMBERS, delivery_mode=2)
        equal(count(ch, q), (N - 6, 2))
        for c in (one, two):
            got = c.messages(3, ack=False)
            c.nothing()
            for p in got:
                c.ack("PUBACK", p.id)
        got = [[c.message(ack=False) for _ in range(3)] for c in (one, two)]
        for each, c in zip(got, (one, two)):
            c.nothing()
            for p in each:
                c.ack("PUBACK", p.id)
        rest = [c.message().payload for c in (one, two) for _ in range(3)]
        equal(len(set(rest)), 6)
        for c in (one, two):
            c.drop()
        equal(count(ch, q)[0], N - 18)


@case("an MQTT client and an AMQP consumer with the same prefetch share a queue by turns")
def _():
    with work() as (ch, q), SERVER.client(5, receive_maximum=2) as c:
        ch.basic_qos(prefetch_count=2)
        box = pika_lib.Inbox(ch, q)
        c.subscribe(of(q), qos=1)
        publish_all(ch, q, "abcd", delivery_mode=2)
        publish(ch, q, b"later", delivery_mode=2)
        mine = [box.next() for _ in range(2)]
        yours = c.messages(2, ack=False)
        equal(len({m.body for m in mine} | {p.payload for p in yours}), 4)
        box.nothing()
        c.ack("PUBACK", yours[0].id)
        equal(c.message().payload, b"later")
        for m in mine:
            ch.basic_ack(m.tag)


@case("what an MQTT client refuses is taken; what is returned comes again with DUP")
def _():
    with work() as (ch, q), SERVER.client(5) as two:
        with SERVER.client(5) as one:
            one.subscribe(of(q), qos=2)
            publish_all(ch, q, [b"refused", b"left"], delivery_mode=2)
            got = one.messages(2, ack=False)
            one.ack("PUBACK", got[0].id, 0x80)
            sync(one)
        two.subscribe(of(q), qos=1)
        p = two.message()
        equal((p.payload, p.dup), (b"left", True))
        two.nothing()


@case("of a fanout exchange, where a key is none, the topic is $queue/NAME itself")
def _():
    with work() as (ch, q), SERVER.client(5) as c:
        ch.queue_bind(q, "amq.fanout")
        c.subscribe(of(q), qos=1)
        for key in ("", "a.#", "a+b"):
            publish(ch, key, b"x", to="amq.fanout", delivery_mode=2)
            p = c.message()
            equal((p.topic, p.payload), (of(q), b"x"))
        ch.queue_unbind(q, "amq.fanout")


@case("a message that is too large for a client of MQTT goes to the dead letters of its queue")
def _():
    with Pika() as a:
        dead = pika_lib.declare(a.ch)
        with work(dead_letter_exchange="", dead_letter_routing_key=dead) as (ch, q), \
                SERVER.client(5, maximum_packet_size=1000) as c:
            c.subscribe(of(q), qos=1)
            publish(ch, q, b"x" * 1000, delivery_mode=2)
            publish(ch, q, b"small", delivery_mode=2)
            equal(c.payloads(1), [b"small"])
            m = take(a.ch, dead)
            equal((len(m.body), m.headers["x-death"][0]["reason"]), (1000, "rejected"))


@case("a queue that is not there, or is another connection's own, cannot be worked")
def _():
    with Pika() as a:
        mine = pika_lib.declare(a.ch)
        for level, codes in ((4, [0x80, 0x80]), (5, [0x8F, 0x87])):
            with SERVER.client(level) as c:
                equal(c.subscribe(of(fresh()), of(mine)), codes)
                c.ping()


@case("a worker is told nothing when AMQP deletes its queue, and goes on with all else")
def _():
    with Pika() as a, SERVER.client(5) as c:
        q, topic = pika_lib.declare(a.ch, exclusive=False), fresh()
        c.subscribe(of(q), topic, qos=1)
        publish(a.ch, q, b"x", delivery_mode=2)
        p = c.message(ack=False)
        a.ch.queue_delete(q)
        c.ack("PUBACK", p.id)
        c.publish(topic, b"y", 1)
        equal(c.payloads(1), [b"y"])


@case("a long body of AMQP comes whole to who works its queue, and to who subscribes")
def _():
    body = bytes(range(256)) * 8192
    with work() as (ch, q), SERVER.client(5) as c, SERVER.client(4) as d:
        topic = fresh()
        c.subscribe(of(q), qos=1)
        d.subscribe(topic, qos=1)
        publish(ch, q, body, delivery_mode=2)
        publish(ch, topic, body, to="amq.topic", delivery_mode=2)
        for hears in (c, d):
            assert hears.message().payload == body, "it came otherwise"
        c.publish(topic, body, 1)
        assert d.message().payload == body, "it came otherwise"


# ---- $share --------------------------------------------------------------------------------------


@case("$share: of what AMQP and STOMP publish one member gets each, and all get some")
def _():
    topic = fresh()
    shared = f"$share/{fresh('g')}/{topic}/#"
    with Pika() as a, RawStomp() as s, SERVER.client(5) as one, SERVER.client(5) as two:
        for c in (one, two):
            equal(c.subscribe(shared, qos=1), [1])
        for i, body in enumerate(NUMBERS):
            if i % 2:
                a.send(f"{topic}/{i}", body)
            else:
                s.send(f"{topic}/{i}", body)
        got = []
        for c in (one, two):
            c.ping()
            share = [c.message() for _ in range(len(c.inbox))]
            assert len(share) >= N // 8, share
            got += share
        equal(sorted(p.payload for p in got), sorted(NUMBERS))
        equal({p.topic for p in got}, {f"{topic}/{i}" for i in range(N)})


@case("$share: AMQP sees the group as a queue, takes its turn there, and finds what waits")
def _():
    topic, group = fresh(), fresh("g")
    with Pika() as a, SERVER.client(5) as c:
        c.subscribe(f"$share/{group}/{topic}", qos=1)
        q = f"mqtt-share-{group}-{topic}"
        equal(count(a.ch, q), (0, 1))
        box = pika_lib.Inbox(a.ch, q, auto_ack=True)
        for body in (b"1", b"2", b"3", b"4"):
            a.send(topic, body)
        equal(sorted(box.texts(2) + [p.decode() for p in c.payloads(2)]), list("1234"))
        box.cancel()
        c.disconnect()
        a.send(topic, b"waits")
        equal(take(a.ch, q).body, b"waits")


# ---- offline, and over the end of the server -----------------------------------------------------


@case("a session that is offline collects what AMQP and STOMP publish, in order")
def _():
    for level in (4, 5):
        name, topic = fresh("c"), fresh()
        with SERVER.resume(level, name) as c:
            c.subscribe(topic + "/+", qos=2)
            c.disconnect()
        with Pika() as a, RawStomp() as s:
            for i, body in enumerate(NUMBERS):
                (a if i % 2 else s).send(f"{topic}/{i}", body)
            equal(count(a.ch, "mqtt-subscription-" + name), (N, 0))
        with SERVER.resume(level, name) as c:
            equal(c.connack.present, 1)
            got = c.messages(N)
            c.nothing()
            equal([(p.topic, p.payload, p.qos) for p in got],
                  [(f"{topic}/{i}", body, 1) for i, body in enumerate(NUMBERS)])


@case("paho's session that is offline collects what pika publishes")
def _():
    name, topic = fresh("c"), fresh()
    with Paho(4, name, clean=False) as c:
        c.listen(topic)
    with Pika() as a:
        for body in NUMBERS:
            a.send(topic, body)
    with Paho(4, name, clean=False) as c:
        equal([c.next() for _ in NUMBERS], [(topic, body) for body in NUMBERS])


@case("a queue of AMQP that is bound to amq.topic gets what MQTT publishes, of QoS 0, 1 and 2, once")
def _():
    for level in (4, 5):
        with work() as (ch, q), SERVER.client(level) as c:
            topic = fresh() + "/v1.2"
            ch.queue_bind(q, "amq.topic", key_of(topic))
            for qos in (0, 1, 2):
                for body in NUMBERS:
                    equal(c.publish(topic, body, qos) and 0, None if qos == 0 else 0)
            sync(c)
            packet_id = c.put(topic, b"twice", 2)
            c.wait("PUBREC", packet_id)
            c.put(topic, b"twice", 2, packet_id, dup=True)
            c.wait("PUBREC", packet_id)
            c.release(packet_id)
            equal([m.encode() for m in bodies(ch, q)], NUMBERS * 3 + [b"twice"])


@case("PUBACK says 0x10 when no queue of AMQP is bound either, and 0 when one is")
def _():
    topic = fresh()
    with RawMqtt(5) as m, Pika() as a:
        equal(m.c.publish(topic, b"x", 1).reason, 0x10)
        a.listen(topic)
        equal(m.c.publish(topic, b"x", 1).reason, 0)


@case("a headers exchange behind amq.topic knows messages of MQTT by their User Properties")
def _():
    topic = fresh()
    with RawMqtt(5) as m, Pika() as a:
        x, q = pika_lib.exchange(a.ch, "headers"), pika_lib.declare(a.ch)
        a.ch.queue_bind(q, x, arguments={"colour": "red", "x-match": "all"})
        a.ch.exchange_bind(x, "amq.topic", topic)
        m.send(topic, b"blue", user_property=[("colour", "blue")])
        m.send(topic, b"red", user_property=[("size", "1"), ("colour", "red")])
        m.send(topic, b"none")
        equal(bodies(a.ch, q), ["red"])


def publish_everywhere(b, topic):
    """From each of the three; all is confirmed, and then the server is killed."""
    a = pika_lib.connect(broker=b)
    ch = a.channel()
    ch.confirm_delivery()
    with b.stomp() as s, b.client(5) as m:
        publish(ch, key_of(topic), b"amqp", to="amq.topic", delivery_mode=2,
                headers={"k": "v", "list": [1]})
        s.send(destination_of(key_of(topic)), b"stomp", persistent="true", k="v")
        for qos in (1, 2):
            m.publish(topic, b"mqtt %d" % qos, qos, user_property=[("k", "v"), ("k", "v")])
        b.stop(signal.SIGKILL)


@case("what each was confirmed the others find after SIGKILL, with its properties")
def _():
    bodies_sent, topic = [b"amqp", b"stomp", b"mqtt 1", b"mqtt 2"], "a/v1.2/c"
    with Server() as b:
        a = pika_lib.connect(broker=b)
        ch = a.channel()
        for q in ("for-amqp", "for-stomp", "for-mqtt"):
            ch.queue_declare(q, durable=True)
            ch.queue_bind(q, "amq.topic", key_of(topic))
        for level in (4, 5):
            with b.resume(level, f"c{level}") as c:
                c.subscribe("a/+/#", qos=2)
                c.disconnect()
        publish_everywhere(b, topic)
        b.start()
        a = pika_lib.connect(broker=b)
        got = [take(a.channel(), "for-amqp") for _ in bodies_sent]
        equal([m.body for m in got], bodies_sent)
        equal([m.headers["k"] for m in got], ["v"] * 4)
        with b.stomp() as s:
            s.subscribe("/amq/queue/for-stomp")
            got = [s.message() for _ in bodies_sent]
            equal([(m.body, m["k"]) for m in got], [(body, "v") for body in bodies_sent])
        with b.client(5) as c:
            c.subscribe("$queue/for-mqtt", qos=2)
            equal(c.payloads(4), bodies_sent)
        for level in (4, 5):
            with b.resume(level, f"c{level}") as c:
                got = c.messages(4)
                equal([(p.topic, p.payload, p.qos) for p in got],
                      [(topic, body, qos) for body, qos in zip(bodies_sent, (1, 1, 1, 2))])
                c.nothing()
        a.close()


@case("work that an MQTT client had and did not acknowledge is there after SIGKILL; what it did is not")
def _():
    with Server() as b:
        ch = pika_lib.connect(broker=b).channel()
        ch.confirm_delivery()
        ch.queue_declare("q", durable=True)
        publish_all(ch, "q", NUMBERS, delivery_mode=2)
        c = b.client(5, receive_maximum=N)
        c.subscribe("$queue/q", qos=1)
        got = c.messages(N, ack=False)
        for p in got[:10]:
            c.send(frame("PUBACK", u16(p.id)))
        c.publish("fence", b"", 1)  # its PUBACK comes behind the commit of all of them
        b.stop(signal.SIGKILL)
        c.socket.close()
        b.start()
        with b.client(5) as c:
            c.subscribe("$queue/q", qos=1)
            equal(c.payloads(10), NUMBERS[10:])


if __name__ == "__main__":
    SERVER.run()
