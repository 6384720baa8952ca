#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every operation of AMQP and STOMP by users that may do exactly what it needs, and by users that
lack one thing of it: those are told so in RabbitMQ's words, and nothing has changed."""
import pika
from pika.exceptions import ChannelClosedByBroker, ProbableAccessDeniedError

from lib import case, equal, run
from permitted import ALL, Broker, exactly, may, may_topic
from wire import encode


def refusal(permission, kind, name, user):
    name = name.rstrip("*")
    return f"{permission} access to {kind} '{name}", f" in vhost '/' refused for user '{user}'"


class Each:
    """Operations as {name: (needs, act)}; needs: [(permission, kind, name), ...].  Its users:
    NAME may do what NAME needs, NAME-I all but need I."""

    def __init__(self, operations):
        self.operations = operations
        self.users = {}
        for name, (needs, _) in operations.items():
            self.users[name] = needs
            for i in range(len(needs)):
                self.users[f"{name}-{i}"] = needs[:i] + needs[i + 1:]

    def broker(self):
        return Broker(["root", *self.users], [may("root", **ALL)] +
                      [may(u, **exactly(needs)) for u, needs in self.users.items()])

    def run(self, d, attempt):
        """attempt(user, act) gives the text of the refusal, or None."""
        for name, (needs, act) in self.operations.items():
            for i, need in enumerate(needs):
                before = d.topology()
                said = attempt(f"{name}-{i}", act)
                for part in refusal(*need, f"{name}-{i}"):
                    assert part in (said or ""), f"{name} without {need}: {said}"
                equal(d.topology(), before, f"{name} without {need}")
            equal(attempt(name, act), None, name)


# ---- AMQP

def amqp(d, user, vhost="/"):
    return pika.BlockingConnection(pika.ConnectionParameters(
        "127.0.0.1", d.amqp_port, vhost, pika.PlainCredentials(user, user)))


def published(mode, exchange, body=b"x", key="k", headers=None):
    def act(ch):
        if mode == "confirm":
            ch.confirm_delivery()
        if mode == "tx":
            ch.tx_select()
        ch.basic_publish(exchange, key, body, pika.BasicProperties(headers=headers))
        if mode == "tx":
            ch.tx_commit()
        ch.basic_qos(prefetch_count=1)      # an answer comes behind it
    return act


def q(permission, name="q"):
    return permission, "queue", name


def x(permission, name="x"):
    return permission, "exchange", name


AMQP = Each({
    "declare-x": ([x("configure", "new-x")],
                  lambda c: c.exchange_declare("new-x", durable=True)),
    "declare-ae": ([x("configure", "new-ae"), x("read", "new-ae"), x("write")],
                   lambda c: c.exchange_declare("new-ae", durable=True,
                                                arguments={"alternate-exchange": "x"})),
    "delete-x": ([x("configure", "gone-x")], lambda c: c.exchange_delete("gone-x")),
    "bind-x": ([x("write", "y"), x("read")], lambda c: c.exchange_bind("y", "x", "k")),
    "unbind-x": ([x("write", "y"), x("read")], lambda c: c.exchange_unbind("y", "x", "k")),
    "declare-q": ([q("configure", "new-q")], lambda c: c.queue_declare("new-q", durable=True)),
    "declare-own": ([q("configure", "amq.gen-*")], lambda c: c.queue_declare("", durable=True)),
    "declare-dlx": ([q("configure", "new-d"), q("read", "new-d"), x("write")],
                    lambda c: c.queue_declare("new-d", durable=True,
                                              arguments={"x-dead-letter-exchange": "x"})),
    "declare-dlx-default": ([q("configure", "new-e"), q("read", "new-e"),
                             x("write", "amq.default")],
                            lambda c: c.queue_declare("new-e", durable=True, arguments={
                                "x-dead-letter-exchange": "",
                                "x-dead-letter-routing-key": "q"})),
    "bind-q": ([q("write"), x("read")], lambda c: c.queue_bind("q", "x", "k")),
    "unbind-q": ([q("write"), x("read")], lambda c: c.queue_unbind("q", "x", "k")),
    "publish": ([x("write")], published("", "x")),
    "publish-default": ([x("write", "amq.default")], published("", "", key="q")),
    "publish-confirm": ([x("write")], published("confirm", "x")),
    "publish-tx": ([x("write")], published("tx", "x")),
    "publish-long": ([x("write")], published("", "x", bytes(700000))),
    "get": ([q("read")], lambda c: c.basic_get("q")),
    "consume": ([q("read")], lambda c: c.basic_consume("q", lambda *_: None)),
    "purge": ([q("read")], lambda c: c.queue_purge("q")),
    "delete-q": ([q("configure", "gone-q")], lambda c: c.queue_delete("gone-q")),
})


def prepare(d):
    c = amqp(d, "root").channel()
    for name in ("x", "y", "gone-x"):
        c.exchange_declare(name, durable=True)
    for name in ("q", "gone-q"):
        c.queue_declare(name, durable=True)
    return c


def attempt_amqp(d, user, act):
    connection = amqp(d, user)
    try:
        act(connection.channel())
        return None
    except ChannelClosedByBroker as e:
        equal(e.reply_code, 403, e.reply_text)
        connection.channel()                # the connection goes on
        return e.reply_text
    finally:
        connection.close()


@case("amqp: each operation needs what RabbitMQ wants for it, and without it changes nothing")
def _():
    with AMQP.broker() as d:
        root = prepare(d)
        root.queue_declare("counted", durable=True)
        root.queue_bind("counted", "x", "k")
        AMQP.run(d, lambda user, act: attempt_amqp(d, user, act))
        # one from each publish to x that was allowed
        equal(root.queue_declare("counted", passive=True).method.message_count, 4)


@case("amqp: who has no permission on the vhost is refused in connection.open with 530")
def _():
    with Broker(["u", "v"], [may("u"), may("v", "other")], vhosts=["other"]) as d:
        amqp(d, "u").close()
        amqp(d, "v", "other").close()
        try:
            amqp(d, "v")
            raise AssertionError("not refused")
        except ProbableAccessDeniedError as e:
            assert "(530)" in str(e) and "access to vhost '/' refused for user 'v'" in str(e), e


@case("amqp: what is declared already is no reason to ask for more; passive asks for nothing")
def _():
    with Broker(["root", "u", "none"], [may("root", **ALL), may("u", configure=".*"),
                                        may("none")]) as d:
        arguments = {"x-dead-letter-exchange": "x"}
        root = prepare(d)
        root.queue_declare("d", durable=True, arguments=arguments)
        root.exchange_declare("a", durable=True, arguments={"alternate-exchange": "x"})
        c = amqp(d, "u").channel()
        c.queue_declare("d", durable=True, arguments=arguments)
        c.exchange_declare("a", durable=True, arguments={"alternate-exchange": "x"})
        c = amqp(d, "none").channel()
        c.queue_declare("d", passive=True)
        c.exchange_declare("a", passive=True)


@case("amqp: direct reply-to needs no queue of one's own")
def _():
    with Broker(["root", "u"], [may("root", **ALL), may("u", write="^amq.default$")]) as d:
        root = prepare(d)
        c, got = amqp(d, "u").channel(), []
        c.basic_consume("amq.rabbitmq.reply-to", lambda *a: got.append(a[3]), auto_ack=True)
        c.basic_publish("", "q", b"ask", pika.BasicProperties(reply_to="amq.rabbitmq.reply-to"))
        for _, properties, _ in root.consume("q", auto_ack=True):
            root.basic_publish("", properties.reply_to, b"answer")
            break
        while not got:
            c.connection.process_data_events(1)
        equal(got, [b"answer"])


@case("amqp: routing keys are asked on exchanges of type topic, CC and BCC among them")
def _():
    topics = [may_topic("u", write=r"^{username}\.", read=r"^{username}\.|^#$", exchange=e)
              for e in ("t", "x", "amq.topic")]
    topics += [may_topic("c", write="{client_id}", exchange="t")]
    with Broker(["root", "u", "c"], [may("root", **ALL), may("u", **ALL), may("c", **ALL)],
                topics) as d:
        root = prepare(d)
        root.exchange_declare("t", "topic", durable=True)
        root.exchange_declare("y-t", "topic", durable=True)
        root.queue_bind("q", "t", "#")

        def denied(act, permission, key, user="u"):
            said = attempt_amqp(d, user, act)
            equal(said, f"ACCESS_REFUSED - {permission} access to topic '{key}' in exchange 't' in "
                        f"vhost '/' refused for user '{user}'")

        for mode in ("", "confirm", "tx"):
            equal(attempt_amqp(d, "u", published(mode, "t", key="u.a")), None)
            denied(published(mode, "t", key="v.a"), "write", "v.a")
            for header in ("CC", "BCC"):
                equal(attempt_amqp(d, "u", published(mode, "t", key="u.a",
                                                     headers={header: ["u.b"]})), None)
                denied(published(mode, "t", key="u.a", headers={header: ["u.b", "v.b"]}), "write",
                       "v.b")
        denied(published("", "t", bytes(700000), "v.a"), "write", "v.a")
        denied(published("", "t", key="{client_id}"), "write", "{client_id}", "c")
        equal(attempt_amqp(d, "u", published("", "x", key="v.a")), None)      # not of that type
        denied(lambda c: c.queue_bind("q", "t", "v.#"), "read", "v.#")
        denied(lambda c: c.exchange_bind("y", "t", "v.#"), "read", "v.#")
        denied(lambda c: c.queue_unbind("q", "t", "*"), "read", "*")
        equal(attempt_amqp(d, "u", lambda c: c.queue_bind("q", "t", "u.#")), None)
        equal(root.queue_declare("q", passive=True).method.message_count, 3 + 2 * 3)


# ---- STOMP

LOOSE = [("configure", "queue", "stomp-subscription-*"), ("write", "queue", "stomp-subscription-*"),
         ("read", "queue", "stomp-subscription-*")]


def sent(destination, body=b"x", **headers):
    def act(c):
        c.send(destination, body, **headers)
    return act


def send_in_transaction(c):
    c.ask("BEGIN", {"transaction": "t"})
    c.ask("SEND", {"destination": "/exchange/x/k", "transaction": "t"}, b"x")
    c.ask("COMMIT", {"transaction": "t"})


STOMP = Each({
    "send-new": ([("write", "exchange", "amq.default"), q("configure", "new-s")],
                 sent("/queue/new-s")),
    "send-queue": ([x("write", "amq.default")], sent("/queue/q")),
    "send-amq-queue": ([x("write", "amq.default")], sent("/amq/queue/q")),
    "send-topic": ([x("write", "amq.topic")], sent("/topic/k")),
    "send-exchange": ([x("write")], sent("/exchange/x/k")),
    "send-long": ([x("write")], sent("/exchange/x/k", bytes(700000))),
    "send-tx": ([x("write")], send_in_transaction),
    "send-reply": ([x("write", "amq.default"), q("configure", "stomp-temp-*"),
                    q("read", "stomp-temp-*")], sent("/queue/q", reply_to="/temp-queue/me")),
    "subscribe-new": ([q("read", "new-r"), q("configure", "new-r")],
                      lambda c: c.subscribe("/queue/new-r")),
    "subscribe-queue": ([q("read")], lambda c: c.subscribe("/queue/q")),
    "subscribe-amq-queue": ([q("read")], lambda c: c.subscribe("/amq/queue/q")),
    "subscribe-topic": (LOOSE + [x("read", "amq.topic")], lambda c: c.subscribe("/topic/k")),
    "subscribe-durable": (LOOSE + [x("read")],
                          lambda c: c.subscribe("/exchange/x/k", durable="true",
                                                auto_delete="false")),
    "subscribe-named": ([q("configure", "mine"), q("write", "mine"), q("read", "mine"), x("read")],
                        lambda c: c.subscribe("/exchange/x/k", x_queue_name="mine")),
})


def attempt_stomp(d, user, act):
    with d.client(login=user, passcode=user) as c:
        try:
            act(c)
            return None
        except AssertionError as e:
            said = str(e)
            assert "'message': 'Access refused'" in said, said
            c.closed()
            return said.replace("\\'", "'")


@case("stomp: each frame needs what it does, and without it changes nothing and ends with an ERROR")
def _():
    with STOMP.broker() as d:
        root = prepare(d)
        root.queue_declare("counted", durable=True)
        root.queue_bind("counted", "x", "k")
        STOMP.run(d, lambda user, act: attempt_stomp(d, user, act))
        equal(root.queue_declare("counted", passive=True).method.message_count, 3)


@case("stomp: a durable subscription is deleted by who may configure its queue")
def _():
    loose = {"write": "^stomp-sub", "read": "^stomp-sub|^amq.topic$"}
    with Broker(["u"], [may("u", configure="^stomp-sub", **loose)]) as d:
        with d.client(login="u", passcode="u") as c:
            c.subscribe("/topic/k", id="mine", durable="true", auto_delete="false")
            d.define(["u"], [may("u", **loose)])
            d.reload()
            c.put("UNSUBSCRIBE", {"id": "mine", "durable": "true"})
            assert b"configure access to queue 'stomp-sub" in c.error().body
        equal(len(d.rows("SELECT * FROM queue")), 1)


@case("stomp: a long body is refused before it comes")
def _():
    with Broker(["u"], [may("u")]) as d:
        with d.client(login="u", passcode="u") as c:
            c.write(encode("SEND", {"destination": "/exchange/amq.topic/k"}, bytes(700000))[:500])
            assert b"write access to exchange 'amq.topic'" in c.error().body


@case("stomp: routing keys are asked on amq.topic")
def _():
    with Broker(["u"], [may("u", **ALL)], [may_topic("u", r"^u\.", r"^u\.")]) as d:
        for act in (sent("/topic/u.a"), sent("/exchange/amq.topic/u.a"), sent("/queue/v"),
                    lambda c: c.subscribe("/topic/u.#")):
            equal(attempt_stomp(d, "u", act), None)
        for act in (sent("/topic/v.a"), sent("/exchange/amq.topic/v.a"),
                    lambda c: c.subscribe("/topic/#")):
            assert "access to topic '" in attempt_stomp(d, "u", act)
        equal(len(d.rows("SELECT * FROM queue WHERE name LIKE 'stomp%'")), 0)


@case("stomp: who has no permission on the vhost is refused in CONNECT")
def _():
    with Broker(["u"], [may("u", "other")], vhosts=["other"]) as d:
        d.client(login="u", passcode="u", host="other").close()
        with d.raw() as c:
            c.put("CONNECT", {"accept-version": "1.2", "host": "/", "login": "u", "passcode": "u"})
            assert b"access to vhost '/' refused for user 'u'" in c.error().body


run()
