#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Users and permissions from a file of definitions, and what they let an MQTT client do: what is
denied is said, and has no effect.  AMQP and STOMP: test_permissions_each.py."""
import os
import socket

from lib import case, equal, run, wait_for
from mqtt_wire import Decoder, ack, connect, publish, subscribe
from permitted import ALL, Broker, may, may_topic
from wire import PATIENCE, Closed

NOT_AUTHORIZED = 0x87


class Mqtt:
    """A blocking client that has connected, or was refused: .connack."""

    def __init__(self, d, level, user, client_id="c", vhost=None, clean=True, will=None):
        self.level, self.last_id = level, 0
        self.socket = socket.create_connection(("127.0.0.1", d.mqtt_port), PATIENCE)
        self.socket.settimeout(PATIENCE)
        self.decoder = Decoder(level)
        name = f"{vhost}:{user}" if vhost else user
        self.say(connect(level, client_id, clean, name, user, will))
        self.connack = self.hear("CONNACK").reason

    def say(self, data):
        self.socket.sendall(data)

    def next(self):
        while True:
            packet = self.decoder.next()
            if packet:
                return packet
            data = self.socket.recv(65536)
            if not data:
                raise Closed
            self.decoder.feed(data)

    def hear(self, kind):
        packet = self.next()
        equal(packet.kind, kind)
        return packet

    def new_id(self):
        self.last_id += 1
        return self.last_id

    def publish(self, topic, qos=1, payload=b"x", retain=False):
        """The reason of its first answer; None of QoS 0; Closed is raised."""
        self.say(publish(self.level, topic, payload, qos, self.new_id(), retain=retain))
        if qos == 0:
            return None
        return self.hear("PUBACK" if qos == 1 else "PUBREC").reason

    def subscribe(self, topic_filter, qos=1):
        """Messages that come before its answer are passed over."""
        self.say(subscribe(self.level, self.new_id(), topic_filter, qos))
        packet = self.next()
        while packet.kind == "PUBLISH":
            packet = self.next()
        equal(packet.kind, "SUBACK")
        return packet.reason

    def hears(self, topic):
        packet = self.hear("PUBLISH")
        equal(packet.topic, topic)
        if packet.qos == 1:
            self.say(ack("PUBACK", packet.id))
        return packet

    def ping(self):
        self.say(b"\xc0\0")
        self.hear("PINGRESP")

    def is_closed(self, reason=NOT_AUTHORIZED):
        """With that DISCONNECT in 5.0."""
        if self.level == 5:
            equal(self.hear("DISCONNECT").reason, reason)
        try:
            got = self.next()
        except (Closed, ConnectionResetError):
            return
        raise AssertionError(f"not closed: {got}")

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def refusal(level):
    return NOT_AUTHORIZED if level == 5 else 5


# ---- MQTT

@case("mqtt: a user without a permission on the vhost is refused in CONNACK")
def _():
    with Broker(["in", "out"], [may("in"), may("out", "other")], vhosts=["other"]) as d:
        for level in (4, 5):
            equal(Mqtt(d, level, "in").connack, 0)
            equal(Mqtt(d, level, "out").connack, refusal(level))
            equal(Mqtt(d, level, "out", vhost="other").connack, 0)
            equal(Mqtt(d, level, "in", vhost="other").connack, refusal(level))
        d.wait_log("access to vhost")


@case("mqtt: a message needs write on amq.topic, or the client is told and nobody gets it")
def _():
    with Broker(["w", "none", "r"], [may("w", write=r"^amq\.topic$"), may("none"),
                                     may("r", **ALL)]) as d:
        with Mqtt(d, 5, "r", "reader") as r:
            equal(r.subscribe("#"), 1)
            for level in (4, 5):
                for qos in (0, 1, 2):
                    w = Mqtt(d, level, "w", "w")
                    equal(w.publish("a", qos), None if qos == 0 else 0)
                    r.hears("a") if qos != 2 else None
                    w.close()
            for qos in (1, 2):
                with Mqtt(d, 5, "none", "none") as n:
                    equal(n.publish("b", qos, retain=True), NOT_AUTHORIZED)
                    n.ping()
            with Mqtt(d, 5, "none", "none") as n:
                n.publish("b", 0)
                n.is_closed()
            for qos in (0, 1, 2):
                with Mqtt(d, 4, "none", "none") as n:
                    n.say(publish(4, "b", b"x", qos, 1))
                    n.is_closed()
            with Mqtt(d, 5, "w", "w") as w:
                w.publish("end")
            while True:
                p = r.next()
                assert p.topic != "b", p
                r.say(ack("PUBACK", p.id)) if p.qos == 1 else None
                if p.topic == "end":
                    break
        with Mqtt(d, 5, "r", "late") as r:
            equal(r.subscribe("b"), 1)
            r.ping()    # nothing retained came before
        d.wait_log("write access to exchange")


@case("mqtt: a long payload is refused before it comes")
def _():
    size = 600 * 1024
    with Broker(["none"], [may("none")]) as d:
        whole = publish(5, "b", bytes(size), 1, 1)
        for level, qos in ((4, 1), (4, 2), (5, 0)):
            with Mqtt(d, level, "none") as n:
                n.say(publish(level, "b", bytes(size), qos, 1)[:1000])
                n.is_closed()
        with Mqtt(d, 5, "none") as n:
            n.say(whole[:1000])
            n.say(whole[1000:])
            equal(n.hear("PUBACK").reason, NOT_AUTHORIZED)
            n.ping()
        equal(d.rows("SELECT count(*) FROM part"), [(0,)])


@case("mqtt: routing keys are asked where there is a row for the exchange")
def _():
    topics = [may_topic("u", write=r"^{username}\.{client_id}\.", read=r"^open(\.|$)|^\$SYS"),
              may_topic("r")]
    with Broker(["u", "r"], [may("u", **ALL), may("r", **ALL)], topics) as d:
        for name in ("a.c", "a/c", "a+c"):    # stands for itself
            with Mqtt(d, 5, "u", name) as c:
                for level in ("a.c", "a/c", "abc", "aac"):
                    equal(c.publish(f"u/{level}/x") < 0x80, level == name, f"{name} {level}")
        with Mqtt(d, 5, "u", ".*") as c:
            equal(c.publish("u/other/x"), NOT_AUTHORIZED)
        with Mqtt(d, 5, "u", "me") as c:
            for _ in range(3):
                assert c.publish("u/me/x") < 0x80
                equal(c.publish("u/you/x"), NOT_AUTHORIZED)
                equal(c.publish("r/me/x", 2), NOT_AUTHORIZED)
            equal(c.subscribe("open/+"), 1)
            equal(c.subscribe("open"), 1)
            equal(c.subscribe("#"), NOT_AUTHORIZED)
            equal(c.subscribe("+/x"), NOT_AUTHORIZED)
            equal(c.subscribe("$share/g/#"), NOT_AUTHORIZED)
            equal(c.subscribe("$share/g/open/#"), 1)
            equal(c.subscribe("$SYS/broker/uptime"), 1)
        with Mqtt(d, 4, "r", "r") as c:
            equal(c.subscribe("a"), 0x80)
            c.ping()


@case("mqtt: a subscription needs read on amq.topic and its queue to itself")
def _():
    queue = "^mqtt-subscription-c$"
    whole = {"configure": queue, "write": queue, "read": queue + r"|^amq\.topic$|^jobs$"}
    users = {"whole": whole, "topic": dict(whole, read=queue)}
    users.update({k: dict(whole, **{k: ""}) for k in ("configure", "write", "read")})
    with Broker(users, [may(u, **p) for u, p in users.items()]) as d:
        with Mqtt(d, 5, "whole") as c:
            equal(c.subscribe("a"), 1)
            equal(c.subscribe("$queue/jobs"), 0x8f)     # allowed, and not there
            equal(c.subscribe("$queue/other"), NOT_AUTHORIZED)
            equal(c.subscribe("$share/g/a"), NOT_AUTHORIZED)
        with Mqtt(d, 5, "whole", "other") as c:
            equal(c.subscribe("a"), NOT_AUTHORIZED)
        for user in ("topic", "configure", "write", "read"):
            for level in (4, 5):
                with Mqtt(d, level, user) as c:
                    equal(c.subscribe("a"), NOT_AUTHORIZED if level == 5 else 0x80, user)
                    c.ping()


@case("mqtt: a session that stays is its user's who may use its queue; another cannot take it over")
def _():
    mine = {k: "^mqtt-subscription-mine$" for k in ("configure", "write")}
    with Broker(["u", "v"], [may("u", read=".*", **mine), may("v", write=".*", read=".*")]) as d:
        with Mqtt(d, 5, "u", "mine", clean=False) as c:
            equal(c.connack, 0)
            equal(c.subscribe("a"), 1)
            for clean in (True, False):
                equal(Mqtt(d, 5, "v", "mine", clean=clean).connack, NOT_AUTHORIZED)
            c.ping()
        equal(Mqtt(d, 4, "v", "mine").connack, 5)
        equal(Mqtt(d, 4, "u", "yours", clean=False).connack, 5)
        with Mqtt(d, 5, "v", "w") as v:
            equal(v.publish("a"), 0)    # its session is still there
        with Mqtt(d, 5, "u", "mine", clean=False) as c:
            c.hears("a")


@case("mqtt: a will is asked for at CONNECT")
def _():
    with Broker(["u", "r"], [may("u", write=".*"), may("r", **ALL)],
                [may_topic("u", write="^good$")]) as d:
        with Mqtt(d, 5, "r", "r") as r:
            equal(r.subscribe("#"), 1)
            for level in (4, 5):
                equal(Mqtt(d, level, "u", "u", will="bad").connack, refusal(level))
                c = Mqtt(d, level, "u", "u", will="good")
                equal(c.connack, 0)
                c.close()
                r.hears("good")


# ---- the file

@case("what the file says is on disk before a client is served, and survives kill -9 without it")
def _():
    with Broker(["u"], [may("u", write="^amq.topic$")], [may_topic("u", write="^a$")]) as d:
        d.kill()
        d.write({})
        d.start()
        with Mqtt(d, 5, "u") as c:
            assert c.publish("a") < 0x80
            equal(c.publish("b"), NOT_AUTHORIZED)
        d.kill()
        d.start()
        equal(Mqtt(d, 5, "u").connack, 0)


@case("SIGHUP reads it again, and connections that are open have what it says")
def _():
    with Broker(["u"], [may("u", write=".*")]) as d:
        with Mqtt(d, 5, "u") as c:
            assert c.publish("a") < 0x80
            d.define(["u"], [may("u")])
            d.reload()
            equal(c.publish("a"), NOT_AUTHORIZED)
            d.define(["u"], [may("u", write="amq")], [may_topic("u", write="^b")])
            d.reload()
            equal(c.publish("a"), NOT_AUTHORIZED)
            assert c.publish("b") < 0x80
            d.define([], [], [may_topic("u", write="^a")])
            d.reload()
            equal(c.publish("b"), NOT_AUTHORIZED)
            assert c.publish("a") < 0x80
            d.write('{"users": [{"name": 7}]}')
            d.reload("definitions.refused")
            d.wait_log(r"error=.*users\[0\]\.name: must be a string")
            assert c.publish("a") < 0x80
            d.write('{"users": [\n  nonsense]}')
            d.reload("definitions.refused")
            d.wait_log("line 2, column 3: not valid JSON")


@case("a file at fault stops the start with status 78 and changes nothing")
def _():
    d = Broker([])
    for text, says in (
            ('{"users": [{"name": "u"}], "permissions": [{"user": "u", "vhost": "/",'
             ' "configure": "", "write": "(", "read": ""}]}', r"permissions\[0\]\.write: "),
            ('{"permissions": [{"user": "who", "vhost": "/", "configure": "", "write": "",'
             ' "read": ""}]}', "there is no user who"),
            ('{"users": [{"name": "u", "password_hash": "k3Rv9"}]}', "password_hash: is not"),
            ("[]", "one object"), ('{"users"', "not valid JSON")):
        d.write(text)
        d.start(wait=False)
        equal(d.wait(), 78, text)
        d.wait_log(says)
    os.unlink(d.path)
    d.start(wait=False)
    equal(d.wait(), 78)
    d.wait_log("No such file")
    d.write({"vhosts": []})
    d.start()
    equal(Mqtt(d, 5, "guest").connack, 0)    # the first user, as at a first start
    d.stop()


@case("the first user is made where the file names none, and guest otherwise only by name")
def _():
    with Broker([]) as d:
        equal(Mqtt(d, 5, "guest").connack, 0)
    with Broker(["u"], [may("u")]) as d:
        assert Mqtt(d, 5, "guest").connack >= 0x80


@case("a clear password is hashed once: the row stays as it is until the password changes")
def _():
    d = Broker([])
    d.write({"users": [{"name": "u", "password": "u"}], "permissions": [may("u")]})
    with d:
        def row():
            return d.rows("SELECT password_hash FROM user WHERE name='u'")[0][0]

        first = row()
        assert first.startswith("$y$"), first
        d.stop()
        d.start()
        d.reload()
        equal(row(), first)
        d.wait_log("definitions.imported .*hashed=0")
        d.write({"users": [{"name": "u", "password": "new", "tags": ["monitoring", "x"]}]})
        d.reload()
        wait_for("the new row", lambda: row() != first)
        d.write({"users": [{"name": "u", "password_hash": first}]})
        d.reload()
        wait_for("the old row", lambda: row() == first)
        equal(Mqtt(d, 5, "u").connack, 0)


@case("what RabbitMQ exports beside is passed over and named")
def _():
    d = Broker([])
    d.write({"rabbit_version": "3.12", "queues": [{"name": "q"}], "policies": [],
             "bindings": [{}], "users": [{"name": "u", "limits": {}}, {"name": "v", "limits": {}}]})
    with d:
        d.wait_log('definitions.not_imported .*names="queues, bindings, users.*limits"')


run()
