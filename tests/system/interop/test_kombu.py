#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""python3-kombu, and python3-amqp under it: what Celery and OpenStack stand on."""
import contextlib
import itertools
import socket
import threading
import time
import uuid

from amqp_lib import BROKER, PATIENCE, case, equal, fresh, need, wait_for

need("kombu", "python3-kombu")

import amqp  # noqa: E402  pylint: disable=wrong-import-position
import kombu  # noqa: E402  pylint: disable=wrong-import-position
from kombu import pidbox  # noqa: E402  pylint: disable=wrong-import-position
from kombu.common import Broadcast  # noqa: E402  pylint: disable=wrong-import-position
from kombu.mixins import ConsumerProducerMixin  # noqa: E402  pylint: disable=wrong-import-position
from kombu.pools import producers  # noqa: E402  pylint: disable=wrong-import-position

QUIET = 0.2  # seconds in which what must not come would have come


def connection(**more):
    return kombu.Connection(BROKER.url, **more)


@contextlib.contextmanager
def raw_connection(**more):
    """A connection of python3-amqp itself."""
    c = amqp.Connection(f"{BROKER.host}:{BROKER.port}", userid=BROKER.user,
                        password=more.pop("password", BROKER.password),
                        virtual_host=BROKER.vhost, connect_timeout=PATIENCE, **more)
    c.connect()
    yield c
    c.close()


def drain(c, got, n, patience=PATIENCE):
    """Lets events come until there are n in got."""
    end = time.monotonic() + patience
    while len(got) < n and time.monotonic() < end:
        with contextlib.suppress(socket.timeout):
            c.drain_events(timeout=0.1)
    return got


def temporary(name=None, exchange=None, **more):
    return kombu.Queue(name or fresh(), exchange or kombu.Exchange(""), auto_delete=True, **more)


# ---- python3-amqp --------------------------------------------------------------------------------


@case("python3-amqp: AMQPLAIN and PLAIN log in, and each is refused with a wrong password")
def _():
    for method in ("AMQPLAIN", "PLAIN"):
        with raw_connection(login_method=method) as c:
            assert method.encode() in c.mechanisms, c.mechanisms
            assert c.channel().is_open
        try:
            with raw_connection(login_method=method, password="wrong"):
                raise AssertionError(f"{method} let it in")
        except amqp.AccessRefused as e:
            equal(e.reply_code, 403)


@case("python3-amqp: by itself it finds a way to log in")
def _():
    with raw_connection() as c:
        assert "en_US" in c.locales, c.locales
        equal(c.server_capabilities["publisher_confirms"], True)


@case("python3-amqp: a consumer without a tag gets one from the server")
def _():
    with raw_connection() as c:
        ch = c.channel()
        q = ch.queue_declare(exclusive=True).queue
        tags = {str(ch.basic_consume(q, callback=print)) for _ in range(2)}
        assert len(tags) == 2 and all(tag.startswith("amq.ctag-") for tag in tags), tags


@case("python3-amqp: numbers of every size and sign come back in headers")
def _():
    headers = {"n": [0, -1, 127, -128, 2 ** 31, -2 ** 31, 2 ** 62, -2 ** 63], "f": [0.5, -1e300],
               "b": [True, False], "none": None, "text": "日本"}
    with raw_connection() as c:
        ch = c.channel()
        q = ch.queue_declare(exclusive=True).queue
        ch.basic_publish(amqp.Message("x", application_headers=headers), routing_key=q)
        equal(ch.basic_get(q).headers, headers)


@case("python3-amqp: a passive declare of what is not there is NotFound, on that channel only")
def _():
    with raw_connection() as c:
        for look in (lambda ch: ch.queue_declare(fresh(), passive=True),
                     lambda ch: ch.exchange_declare(fresh("x"), "direct", passive=True)):
            try:
                look(c.channel())
                raise AssertionError("it was found")
            except amqp.NotFound as e:
                equal(e.reply_code, 404)
        assert c.channel().is_open


@case("python3-amqp: confirm_select and basic_publish_confirm, transactions on another channel")
def _():
    with raw_connection() as c:
        ch, tx = c.channel(), c.channel()
        q = ch.queue_declare(exclusive=True).queue
        for i in range(10):
            ch.basic_publish_confirm(amqp.Message(str(i), delivery_mode=2), routing_key=q)
        equal(ch.queue_declare(q, passive=True).message_count, 10)
        tx.tx_select()
        tx.basic_publish(amqp.Message("in tx"), routing_key=q)
        equal(ch.queue_declare(q, passive=True).message_count, 10)
        tx.tx_commit()
        equal(ch.queue_declare(q, passive=True).message_count, 11)


@case("python3-amqp: channel.flow is answered, and heart-beats keep an idle connection")
def _():
    with raw_connection(heartbeat=1) as c:
        ch = c.channel()
        ch.flow(True)
        for _ in range(5):
            time.sleep(0.5)
            c.heartbeat_tick()
            with contextlib.suppress(socket.timeout):
                c.drain_events(timeout=0.1)
        q = ch.queue_declare(exclusive=True).queue
        equal(ch.queue_declare(q, passive=True), (q, 0, 0))


@case("python3-amqp: a queue declared, bound and deleted with nowait")
def _():
    with raw_connection() as c:
        ch, q, x = c.channel(), fresh(), fresh("x")
        ch.exchange_declare(x, "topic", nowait=True)
        ch.queue_declare(q, exclusive=True, nowait=True)
        ch.queue_bind(q, x, "a.*", nowait=True)
        ch.basic_publish(amqp.Message("x"), x, "a.b")
        equal(ch.basic_get(q, no_ack=True).body, "x")
        ch.queue_purge(q, nowait=True)
        ch.queue_delete(q, nowait=True)
        ch.exchange_delete(x, nowait=True)
        try:
            ch.queue_declare(q, passive=True)
            raise AssertionError("it is still there")
        except amqp.NotFound:
            pass


# ---- producers and consumers ---------------------------------------------------------------------


@case("kombu: what a producer serializes a consumer gets back")
def _():
    with connection() as c:
        got, q = [], temporary(exchange=kombu.Exchange(fresh("x"), "topic", auto_delete=True),
                               routing_key="a.#")
        sent = [{"n": 1, "list": [1, None, "é"]}, "text", b"\0\xff bytes", ["x"] * 1000]
        with c.Consumer(q, callbacks=[lambda body, m: (got.append(body), m.ack())],
                        accept=["json", "pickle", "text/plain", "application/data"]):
            p = c.Producer(exchange=q.exchange)
            for body in sent:
                p.publish(body, routing_key="a.b", declare=[q],
                          compression="zlib" if isinstance(body, list) else None)
            p.publish({"pickled": {1, 2}}, routing_key="a", serializer="pickle")
            equal(drain(c, got, 5), [*sent, {"pickled": {1, 2}}])


@case("kombu: properties and headers come back")
def _():
    with connection() as c:
        name = fresh()
        simple = c.SimpleQueue(temporary(name, routing_key=name))
        simple.put({"a": 1}, headers={"deep": {"er": [1, 2]}}, correlation_id="7", reply_to="me",
                   priority=3, expiration=60, message_id="id", timestamp=1700000000,
                   delivery_mode=1)
        m = simple.get(timeout=PATIENCE)
        equal(m.payload, {"a": 1})
        equal(m.headers, {"deep": {"er": [1, 2]}})
        got = {k: m.properties.get(k) for k in ("correlation_id", "reply_to", "priority",
                                                "expiration", "message_id", "delivery_mode")}
        equal(got, {"correlation_id": "7", "reply_to": "me", "priority": 3, "expiration": "60000",
                    "message_id": "id", "delivery_mode": 1})
        equal((m.content_type, m.content_encoding), ("application/json", "utf-8"))
        m.ack()
        simple.close()


@case("kombu: SimpleQueue is a queue: put, get, Empty, length, clear")
def _():
    with connection() as c:
        simple = c.SimpleQueue(fresh())
        for i in range(5):
            simple.put(i)
        wait_for("five messages", lambda: simple.qsize() == 5)
        m = simple.get(timeout=PATIENCE)
        equal(m.payload, 0)
        m.requeue()
        m = simple.get(timeout=PATIENCE)
        m.ack()
        simple.clear()
        try:
            while True:  # the consumer may hold some
                simple.get(timeout=QUIET).ack()
        except simple.Empty:
            pass
        simple.close()
        simple.queue(c.channel()).delete()


@case("kombu: reject, requeue and qos")
def _():
    with connection() as c:
        ch, got, q = c.channel(), [], temporary()
        q(ch).declare()
        p = c.Producer()
        for i in range(6):
            p.publish(i, routing_key=q.name)
        consumer = kombu.Consumer(ch, q, callbacks=[lambda body, m: got.append(m)])
        consumer.qos(prefetch_count=2)
        consumer.consume()
        drain(c, got, 2)
        drain(c, got, 3, QUIET)
        equal([m.payload for m in got], [0, 1])
        got[0].reject()
        got[1].requeue()
        drain(c, got, 4)
        equal(sorted((m.payload, m.delivery_info["redelivered"]) for m in got[2:]),
              [(1, True), (2, False)])
        consumer.cancel()


@case("kombu: publishing waits for the confirm when confirm_publish is on")
def _():
    with connection(transport_options={"confirm_publish": True}) as c:
        q = temporary()(c.channel())
        q.declare()
        p = c.Producer()
        for i in range(20):
            p.publish(i, routing_key=q.name)
        equal(q.queue_declare(passive=True).message_count, 20)


@case("kombu: what nobody takes is returned")
def _():
    with connection() as c:
        returned = []
        p = kombu.Producer(c.channel(), on_return=lambda *a: returned.append(a))
        p.publish("x", routing_key=fresh("nowhere"), mandatory=True)
        drain(c, returned, 1)
        (error, exchange, key, message), = returned
        equal((error.reply_code, exchange, message.body), (312, "", "x"))
        assert "nowhere" in key, key


@case("kombu: queues declare themselves again alike; otherwise PreconditionFailed")
def _():
    with connection() as c:
        args = {"max_length": 10, "expires": 60.0, "message_ttl": 30.0, "max_priority": 3}
        q = kombu.Queue(fresh(), kombu.Exchange(fresh("x"), "direct", auto_delete=True), "k",
                        durable=True, **args)
        for _ in range(2):
            q(c.channel()).declare()
        q(c.channel()).queue_declare(passive=True)
        try:
            kombu.Queue(q.name, durable=True, **dict(args, max_length=11))(
                c.channel()).queue_declare()
            raise AssertionError("it was accepted")
        except amqp.PreconditionFailed as e:
            equal(e.reply_code, 406)
        equal(q(c.channel()).delete(), 0)


@case("kombu: unbinding, purging, binding of exchanges to exchanges")
def _():
    with connection() as c:
        ch = c.channel()
        inner = kombu.Exchange(fresh("x"), "direct", auto_delete=True)(ch)
        outer = kombu.Exchange(fresh("x"), "topic", auto_delete=True)(ch)
        inner.declare()
        outer.declare()
        inner.bind_to(outer, routing_key="a.#")
        q = temporary(exchange=inner, routing_key="a.b")(ch)
        q.declare()
        p = c.Producer(exchange=outer)
        for key in ("a.b", "a.b", "a.c"):
            p.publish("x", routing_key=key)
        wait_for("two messages", lambda: q.queue_declare(passive=True).message_count == 2)
        equal(q.purge(), 2)
        inner.unbind_from(outer, routing_key="a.#")
        p.publish("x", routing_key="a.b")
        equal(q.queue_declare(passive=True).message_count, 0)


@case("kombu: a pool of producers in threads")
def _():
    with connection(transport_options={"confirm_publish": True}) as c:
        q = temporary()(c.channel())
        q.declare()

        def work(n):
            for i in range(25):
                with producers[c].acquire(block=True, timeout=PATIENCE) as p:
                    p.publish((n, i), routing_key=q.name)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(PATIENCE)
        got = [tuple(q.get(no_ack=True).payload) for _ in range(100)]
        equal(sorted(got), sorted(itertools.product(range(4), range(25))))
        for n in range(4):
            equal([i for m, i in got if m == n], list(range(25)), f"order of thread {n}")
        producers[c].force_close_all()


@case("kombu: a lost connection is made again, and the consumer goes on")
def _():
    with connection() as c:
        got, q = [], temporary(expires=60.0)
        with c.Consumer(q, callbacks=[lambda body, m: (got.append(body), m.ack())]):
            c.Producer().publish("one", routing_key=q.name, declare=[q])
            drain(c, got, 1)
        c.connection.transport.sock.shutdown(socket.SHUT_RDWR)
        p = c.Producer()
        publish = c.ensure(p, p.publish, max_retries=3)
        publish("two", routing_key=q.name, declare=[q])
        with c.Consumer(q, callbacks=[lambda body, m: (got.append(body), m.ack())]):
            equal(drain(c, got, 2), ["one", "two"])


# ---- one to many ---------------------------------------------------------------------------------


@case("kombu: Broadcast: everybody gets it")
def _():
    with connection() as c:
        name, got = fresh("broadcast"), [[], [], []]
        with contextlib.ExitStack() as stack:
            for box in got:
                ch = c.channel()
                stack.enter_context(kombu.Consumer(
                    ch, Broadcast(name, unique=True, auto_delete=True),
                    callbacks=[lambda body, m, box=box: (box.append(body), m.ack())]))
            c.Producer(exchange=kombu.Exchange(name, "fanout")).publish("all")
            for box in got:
                equal(drain(c, box, 1), ["all"])


@case("kombu: pidbox: a question to all nodes or to one, and the answers")
def _():
    mailbox = pidbox.Mailbox(fresh("pidbox"), type="fanout", accept=["json"])
    stop, nodes = threading.Event(), []

    def serve(name, ready):
        with connection() as c:
            node = mailbox(c).Node(name, handlers={
                "add": lambda state, a, b: a + b, "name": lambda state: name})
            with node.listen(channel=c.channel()):
                ready.set()
                while not stop.is_set():
                    with contextlib.suppress(socket.timeout):
                        c.drain_events(timeout=0.05)

    try:
        for name in ("one", "two"):
            ready = threading.Event()
            nodes.append(threading.Thread(target=serve, args=(name, ready)))
            nodes[-1].start()
            assert ready.wait(PATIENCE), "a node did not start"
        with connection() as c:
            ask = mailbox(c)
            replies = ask.multi_call("add", {"a": 1, "b": 2}, timeout=PATIENCE, limit=2)
            equal(sorted(str(r) for r in replies), ["{'one': 3}", "{'two': 3}"])
            equal(ask.call(["two"], "name", timeout=PATIENCE), [{"two": "two"}])
    finally:
        stop.set()
        for thread in nodes:
            thread.join(PATIENCE)


@case("kombu: a service and its client over a reply queue")
def _():
    q, answers = temporary(), {}

    class Service(ConsumerProducerMixin):
        def __init__(self, c):
            self.connection = c

        def get_consumers(self, Consumer, channel):  # pylint: disable=invalid-name
            return [Consumer(q, callbacks=[self.answer], prefetch_count=1)]

        def answer(self, body, message):
            self.producer.publish(body * 2, routing_key=message.properties["reply_to"],
                                  correlation_id=message.properties["correlation_id"])
            message.ack()

    with connection() as c:
        service = Service(connection())
        thread = threading.Thread(target=service.run)
        thread.start()
        reply = kombu.Queue("amq.rabbitmq.reply-to", kombu.Exchange(""), no_declare=True)
        mine = kombu.Queue(fresh(), kombu.Exchange(""), exclusive=True, auto_delete=True)
        try:
            with c.Consumer(mine, no_ack=True, callbacks=[
                    lambda body, m: answers.update({m.properties["correlation_id"]: body})]):
                for n in range(10):
                    c.Producer().publish(n, routing_key=q.name, reply_to=mine.name, declare=[q],
                                         correlation_id=str(n))
                drain(c, answers, 10)
            equal(answers, {str(n): 2 * n for n in range(10)})
            answers.clear()
            ch = c.channel()
            with kombu.Consumer(ch, reply, no_ack=True, callbacks=[
                    lambda body, m: answers.update({m.properties["correlation_id"]: body})]):
                key = str(uuid.uuid4())
                kombu.Producer(ch).publish("ab", routing_key=q.name, reply_to=reply.name,
                                           correlation_id=key)
                equal(drain(c, answers, 1), {key: "abab"})
        finally:
            service.should_stop = True
            thread.join(PATIENCE)


if __name__ == "__main__":
    BROKER.run()
