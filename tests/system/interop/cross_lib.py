# SPDX-License-Identifier: MIT
"""One lodged that speaks all three protocols, and clients of each with one face:

    with Pika() as sends, Paho(5) as hears:
        hears.listen("a/+/c")
        sends.send("a/b/c", b"x")                    # waits until it was accepted
        equal(hears.next(), ("a/b/c", b"x"))

Topics are MQTT's everywhere; what the others call them is for the clients here.  Those with a name
that begins with Raw are of the tests' own, the others what users have."""
import logging
import queue
import sys
import urllib.parse

from mqtt_lib import PATIENCE, Mqtt, equal, free_port, fresh, need, wait_for
from amqp_wire import Amqp
import lib
import pika_lib

need("stomp", "python3-stomp")
need("paho.mqtt.client", "python3-paho-mqtt")

import stomp  # noqa: E402  pylint: disable=wrong-import-position
from paho.mqtt import client as paho  # noqa: E402  pylint: disable=wrong-import-position

logging.getLogger("stomp.py").setLevel(logging.CRITICAL)

TOPIC = "/topic/"
SWAP = str.maketrans("/.", "./")


class Server(Mqtt):
    """As mqtt_lib's, with AMQP; what pika_lib.connect() takes for a broker."""

    host, user, password, vhost = "127.0.0.1", "guest", "guest", "/"

    def __init__(self):
        self.port = free_port()
        super().__init__("--amqp", f"{self.host}:{self.port}")

    def stomp(self):
        return self.lodged.client()

    def run(self):
        """Runs the cases of the file, those of amqp_lib.case, while the server is up."""
        if not self.is_lodge:
            print("skip: another server is tested")
            sys.exit(77)
        with self:
            lib.run()


SERVER = Server()


def key_of(topic):
    """The routing key of a topic, or the topic of a key."""
    return topic.translate(SWAP)


def pattern_of(topic_filter):
    return key_of(topic_filter).replace("+", "*")


def destination_of(key):
    return TOPIC + key.replace("%", "%25").replace("/", "%2F")


def topic_of(destination):
    assert destination.startswith(TOPIC), destination
    return key_of(urllib.parse.unquote(destination[len(TOPIC):]))


class Peer:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class RawStomp(Peer):
    protocol, name = "STOMP", "raw STOMP"

    def __init__(self):
        self.c = SERVER.stomp()
        self.close = self.c.close

    def listen(self, topic_filter):
        self.c.subscribe(destination_of(pattern_of(topic_filter)), id=fresh())

    def send(self, topic, body):
        self.c.send(destination_of(key_of(topic)), body)

    def next(self):
        m = self.c.message()
        return topic_of(m["destination"]), m.body


class StompPy(Peer):
    protocol, name = "STOMP", "python3-stomp"

    def __init__(self):
        self.came, self.receipts = queue.Queue(), queue.Queue()
        self.c = stomp.Connection12([("127.0.0.1", SERVER.lodged.port)], auto_decode=False)
        self.c.set_listener("", self)
        self.c.connect("guest", "guest", wait=True)
        self.close = self.c.disconnect

    # python3-stomp calls these.
    def __getattr__(self, name):
        if name.startswith("on_"):
            return lambda *a: a[0] if name == "on_before_message" else None
        raise AttributeError(name)

    def on_message(self, frame):
        self.came.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def wait(self, receipt):
        equal(self.receipts.get(timeout=PATIENCE), receipt)

    def listen(self, topic_filter):
        tag = fresh()
        self.c.subscribe(destination_of(pattern_of(topic_filter)), tag, headers={"receipt": tag})
        self.wait(tag)

    def send(self, topic, body, **headers):
        tag = fresh()
        self.c.send(destination_of(key_of(topic)), body, headers=dict(headers, receipt=tag))
        self.wait(tag)

    def next(self):
        m = self.came.get(timeout=PATIENCE)
        body = m.body.encode() if isinstance(m.body, str) else m.body
        return topic_of(m.headers["destination"]), body or b""


class RawAmqp(Peer):
    protocol, name = "AMQP", "raw AMQP"

    def __init__(self):
        self.c, self.queue, self.kept = Amqp((SERVER.host, SERVER.port)), None, []
        self.c.call("confirm.select")

    def close(self):
        self.c.socket.close()

    def listen(self, topic_filter):
        if not self.queue:
            self.queue = fresh()
            self.c.call("queue.declare", queue=self.queue, exclusive=True)
            self.c.call("basic.consume", queue=self.queue, no_ack=True)
        self.c.call("queue.bind", queue=self.queue, exchange="amq.topic",
                    routing_key=pattern_of(topic_filter))

    def send(self, topic, body, **more):
        self.c.put("basic.publish", body, exchange="amq.topic", routing_key=key_of(topic), **more)
        self.c.wait("basic.ack")

    def deliver(self):
        return self.c.wait("basic.deliver")

    def next(self):
        m = self.deliver()
        return key_of(m.args["routing_key"]), m.body


class Pika(Peer):
    protocol, name = "AMQP", "pika"

    def __init__(self):
        self.c = pika_lib.connect(broker=SERVER)
        self.ch, self.queue, self.box = self.c.channel(), None, None
        self.ch.confirm_delivery()

    def close(self):
        if self.c.is_open:
            self.c.close()

    def listen(self, topic_filter):
        if not self.queue:
            self.queue = pika_lib.declare(self.ch)
            self.box = pika_lib.Inbox(self.ch, self.queue, auto_ack=True)
        self.ch.queue_bind(self.queue, "amq.topic", pattern_of(topic_filter))

    def send(self, topic, body, **properties):
        pika_lib.publish(self.ch, key_of(topic), body, to="amq.topic",
                         **{"delivery_mode": 2, **properties})

    def next(self):
        m = self.box.next()
        return key_of(m.method.routing_key), m.body


class RawMqtt(Peer):
    protocol = "MQTT"

    def __init__(self, level):
        self.name = f"raw MQTT {'5.0' if level == 5 else '3.1.1'}"
        self.c = SERVER.client(level)
        self.close = self.c.drop

    def listen(self, topic_filter):
        equal(self.c.subscribe(topic_filter, qos=2), [2])

    def send(self, topic, body, qos=1, **more):
        self.c.publish(topic, body, qos, **more)

    def next(self):
        p = self.c.message()
        return p.topic, p.payload


class Paho(Peer):
    protocol = "MQTT"

    def __init__(self, level, client_id="", clean=True):
        self.name = f"paho {'5.0' if level == 5 else '3.1.1'}"
        self.came, self.acks = queue.Queue(), queue.Queue()
        more = {} if level == 5 else {"clean_session": clean}
        self.c = paho.Client(client_id or fresh("c"), protocol=level, **more)
        self.c.on_message = lambda *args: self.came.put(args[-1])
        self.c.on_connect = lambda *args: self.acks.put(args[3])
        self.c.on_subscribe = lambda *args: self.acks.put(args[3][0])
        self.c.connect("127.0.0.1", SERVER.mqtt_port)
        self.c.loop_start()
        self.answer(0)

    def answer(self, wanted):
        got = self.acks.get(timeout=PATIENCE)
        equal(getattr(got, "value", got), wanted)

    def close(self):
        self.c.disconnect()
        self.c.loop_stop()

    def listen(self, topic_filter):
        self.c.subscribe(topic_filter, 2)
        self.answer(2)

    def send(self, topic, body, qos=1, **more):
        done = self.c.publish(topic, body, qos, **more)
        done.wait_for_publish(PATIENCE)
        assert done.is_published(), "it was not acknowledged"

    def message(self):
        return self.came.get(timeout=PATIENCE)

    def next(self):
        m = self.message()
        return m.topic, m.payload


REAL = {"python3-stomp": StompPy, "pika": Pika, "paho 3.1.1": lambda: Paho(4),
        "paho 5.0": lambda: Paho(5)}
RAW = {"raw STOMP": RawStomp, "raw AMQP": RawAmqp, "raw MQTT 3.1.1": lambda: RawMqtt(4),
       "raw MQTT 5.0": lambda: RawMqtt(5)}
PROTOCOL = {name: name.split()[1] if name.startswith("raw") else protocol
            for names in (REAL, RAW)
            for name, protocol in zip(names, ("STOMP", "AMQP", "MQTT", "MQTT"))}


def pairs():
    """(name of a sender, its class, name of a receiver, its class): every way from one protocol
    to another, with the clients that users have and with those that hide nothing."""
    for kind in (REAL, RAW):
        for a in kind:
            for b in kind:
                if PROTOCOL[a] != PROTOCOL[b]:
                    yield a, kind[a], b, kind[b]


__all__ = ["SERVER", "Paho", "Pika", "RawAmqp", "RawMqtt", "RawStomp", "StompPy", "destination_of",
           "key_of", "pairs", "topic_of", "wait_for"]
