#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""MQTT as users speak it: the commands of mosquitto, Debian's paho for Python, npm's mqtt.

Without node or the npm registry the last is skipped with a line that says so."""
import collections
import functools
import os
import queue
import re
import shutil
import socket
import subprocess
import threading
import time

from mqtt_lib import (BROKER, HERE, PATIENCE, Skip, equal, fresh, need, only_lodge, scratch,
                      together, wait_for)
from lib import ROOT, case

need("paho.mqtt.client", "python3-paho-mqtt")

from paho.mqtt import client as paho  # noqa: E402  pylint: disable=wrong-import-position
from paho.mqtt.packettypes import PacketTypes  # noqa: E402  pylint: disable=wrong-import-position
from paho.mqtt.properties import Properties  # noqa: E402  pylint: disable=wrong-import-position
from paho.mqtt.subscribeoptions import (  # noqa: E402  pylint: disable=wrong-import-position
    SubscribeOptions)

BURST = 100_000
PAHO_C_SECONDS = 240
BURST_SECONDS = 120  # a busy machine with sanitizers is given this long
TEXT = "grüße, 日本"

# ---- the commands of mosquitto -------------------------------------------------------------------

PROTOCOLS = {"3.1": "mqttv31", "3.1.1": "mqttv311", "5.0": "mqttv5"}
NEW = ("3.1.1", "5.0")


def each_version(sentence, versions=tuple(PROTOCOLS)):
    """Registers f(protocol) for these."""
    def register(f):
        for version in versions:
            together(f"{sentence}, MQTT {version}")(functools.partial(f, PROTOCOLS[version]))
        return f
    return register


def command(name, protocol, *args):
    if not shutil.which("mosquitto_" + name):
        raise Skip("mosquitto-clients is not installed")
    return ["mosquitto_" + name, "-p", str(BROKER.mqtt_port), "-V", protocol, *args]


def tool(name, protocol, *args, data=None, status=0):
    """Runs it to its end, and returns what it printed."""
    got = subprocess.run(command(name, protocol, *args), input=data, capture_output=True,
                         timeout=PATIENCE, check=False)
    equal(got.returncode, status, got.stderr.decode())
    return got.stdout


def pub(protocol, topic, message, qos, *more):
    tool("pub", protocol, "-t", topic, "-q", str(qos), "-m", message, *more)


class Sub:
    """A mosquitto_sub that has subscribed; form: what it prints of a message."""

    def __init__(self, protocol, topic, *more, form="%q %r %t %p"):
        self.lines, self.said = [], []
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", *command("sub", protocol, "-t", topic, "-d", "-F", "came: " + form,
                                       *more)], stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()
        wait_for("the subscription", lambda: any(s.startswith("Subscribed") for s in self.said))

    def _read(self):
        for line in self.process.stdout:
            mark, _, rest = line.rstrip("\n").partition("came: ")
            (self.said if mark else self.lines).append(mark or rest)

    def wait(self, n):
        """The first n messages, with no more."""
        wait_for(f"{n} messages", lambda: len(self.lines) >= n)
        equal(len(self.lines), n, "messages")
        return self.lines

    def end(self, kill=False):
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


@each_version("mosquitto_pub to mosquitto_sub, QoS 0, 1 and 2")
def _(protocol):
    topic = fresh()
    for granted in (0, 1, 2):
        with Sub(protocol, topic + "/+", "-q", str(granted)) as sub:
            for qos in (0, 1, 2):
                pub(protocol, f"{topic}/{qos}", TEXT, qos)
            equal(sorted(sub.wait(3)),
                  [f"{min(qos, granted)} 0 {topic}/{qos} {TEXT}" for qos in (0, 1, 2)])


@each_version("mosquitto_sub -C ends with the last of its messages")
def _(protocol):
    topic = fresh()
    with Sub(protocol, topic, "-q", "2", "-C", "3", form="%p") as sub:
        tool("pub", protocol, "-t", topic, "-q", "2", "-l", data=b"1\n2\n3\n")
        equal(sub.process.wait(PATIENCE), 0)
        equal(sub.wait(3), ["1", "2", "3"])


@each_version("mosquitto_pub -r keeps a message, -n removes it", NEW)
def _(protocol):
    topic = fresh()
    for qos in (0, 1, 2):
        pub(protocol, f"{topic}/{qos}", "kept", qos, "-r")
    with Sub(protocol, topic + "/#", "-q", "2") as sub:
        equal(sorted(sub.wait(3)), [f"{qos} 1 {topic}/{qos} kept" for qos in (0, 1, 2)])
    got = tool("sub", protocol, "-t", topic + "/1", "--retained-only", "-C", "1")
    equal(got, b"kept\n")
    for qos in (0, 1, 2):
        tool("pub", protocol, "-t", f"{topic}/{qos}", "-q", str(qos), "-r", "-n")
    with Sub(protocol, topic + "/#") as sub:
        pub(protocol, topic, "fence", 1)
        equal(sub.wait(1), [f"0 0 {topic} fence"])


@each_version("mosquitto_sub --remove-retained cleans up", NEW)
def _(protocol):
    topic = fresh()
    for i in range(3):
        pub(protocol, f"{topic}/{i}", "kept", 1, "-r")
    tool("sub", protocol, "-t", topic + "/#", "--remove-retained", "-W", "1", status=27)
    with BROKER.client() as c:
        c.subscribe(topic + "/#")
        c.nothing()


@each_version("the will of a mosquitto_sub that was killed")
def _(protocol):
    topic = fresh()
    for qos in (0, 1, 2):
        with Sub(protocol, topic, "-q", "2") as watch:
            with Sub(protocol, fresh(), "--will-topic", topic, "--will-payload", TEXT,
                     "--will-qos", str(qos)) as dies:
                dies.end(kill=True)
                equal(watch.wait(1), [f"{qos} 0 {topic} {TEXT}"])


@each_version("the session of mosquitto_sub -c waits for it")
def _(protocol):
    topic, name = fresh(), fresh("c")
    session = ("-t", topic, "-c", "-i", name, "-q", "2")
    tool("sub", protocol, *session, "-E")
    for qos in (1, 2):
        for i in range(3):
            pub(protocol, topic, f"{qos} {i}", qos)
    got = tool("sub", protocol, *session, "-C", "6").decode().splitlines()
    for qos in (1, 2):
        equal([line for line in got if line[0] == str(qos)], [f"{qos} {i}" for i in range(3)])


@each_version("mosquitto_sub -x: its session expires", ("5.0",))
def _(protocol):
    topic, name = fresh(), fresh("c")
    for expiry in (1, 60):
        tool("sub", protocol, "-t", topic, "-c", "-i", f"{name}{expiry}", "-q", "1", "-E", "-x",
             str(expiry))
    time.sleep(3)
    for expiry, present in ((1, 0), (60, 1)):
        with BROKER.client(5, f"{name}{expiry}", clean=False) as c:
            equal(c.connack.present, present, f"expiry {expiry}")


@each_version("two mosquitto_sub share a subscription", ("5.0",))
def _(protocol):
    topic, n = fresh(), 40
    shared = f"$share/{fresh('g')}/{topic}"
    with Sub(protocol, shared, "-q", "2", form="%p") as one, \
            Sub(protocol, shared, "-q", "2", form="%p") as two:
        tool("pub", protocol, "-t", topic, "-q", "2", "-l",
             data=b"".join(b"%d\n" % i for i in range(n)))
        wait_for("all of them", lambda: len(one.lines) + len(two.lines) >= n)
        equal(sorted(one.lines + two.lines, key=int), [str(i) for i in range(n)])
        assert len(one.lines) >= n // 8 and len(two.lines) >= n // 8, (one.lines, two.lines)


@each_version("mosquitto_rr asks and is answered", NEW)
def _(protocol):
    level = 5 if protocol == "mqttv5" else 4
    topic, back = fresh(), fresh()
    with BROKER.client(level) as c:
        c.subscribe(topic, qos=1)
        asks = subprocess.Popen(command("rr", protocol, "-t", topic, "-e", back, "-m", TEXT, "-q",
                                        "1", "-W", str(int(PATIENCE))), stdout=subprocess.PIPE)
        p = c.message()
        equal(p.payload.decode(), TEXT)
        props = {}
        if level == 5:
            equal(p.props["response_topic"], back)
            props = {k: v for k, v in p.props.items() if k == "correlation_data"}
        c.publish(back, b"answer", 1, **props)
        equal(asks.communicate(timeout=PATIENCE)[0], b"answer\n")
        equal(asks.returncode, 0)


@each_version("mosquitto_pub -D to mosquitto_sub -F: properties", ("5.0",))
def _(protocol):
    topic = fresh()
    given = {"content-type": ("text/plain",), "response-topic": ("a/b",), "correlation-data":
             ("x1",), "payload-format-indicator": ("1",), "user-property": ("key", "value")}
    with Sub(protocol, topic, "-q", "1", "-D", "subscribe", "subscription-identifier", "77",
             form="%C|%R|%D|%F|%P|%S|%p") as sub:
        pub(protocol, topic, TEXT, 1, *[arg for name, value in given.items()
                                        for arg in ("-D", "publish", name, *value)])
        equal(sub.wait(1), [f"text/plain|a/b|x1|1|key:value|77|{TEXT}"])


@each_version("mosquitto_pub -s: 1 MB of every byte", NEW)
def _(protocol):
    topic, body = fresh(), bytes(range(256)) * 4096
    with BROKER.client() as c:
        c.subscribe(topic, qos=2)
        for qos in (0, 1, 2):
            tool("pub", protocol, "-t", topic, "-q", str(qos), "-s", data=body)
            assert c.message().payload == body, "it came otherwise"


@each_version("mosquitto_pub with a wrong password is refused", NEW)
def _(protocol):
    only_lodge()
    said = subprocess.run(command("pub", protocol, "-t", "a", "-m", "x", "-u", "guest", "-P", "?"),
                          capture_output=True, timeout=PATIENCE, check=False)
    assert said.returncode and re.search("(?i)authori[sz]ed|password", said.stderr.decode()), said
    tool("pub", protocol, "-t", fresh(), "-m", "x", "-u", "guest", "-P", "guest", "-q", "1")


# ---- paho ----------------------------------------------------------------------------------------


class Paho:
    """A client of paho that is connected, its loop in a thread."""

    def __init__(self, protocol, name=None, keep=0, the_will=None, **properties):
        """keep: seconds that the session stays; of 3.1.1: whether."""
        self.came, self.acks, self.protocol = queue.Queue(), queue.Queue(), protocol
        name = fresh("c") if name is None else name
        more = {} if protocol == paho.MQTTv5 else {"clean_session": not keep}
        self.client = paho.Client(name, protocol=protocol, **more)
        self.client.on_message = lambda *args: self.came.put(args[-1])
        self.client.on_connect = lambda *args: self.acks.put(args[2:4])
        self.client.on_subscribe = lambda *args: self.acks.put(args[3])
        self.client.on_unsubscribe = lambda *args: self.acks.put(None)
        if the_will:
            self.client.will_set(*the_will)
        more = {}
        if protocol == paho.MQTTv5:
            more = {"clean_start": not keep, "properties": Properties(PacketTypes.CONNECT)}
            more["properties"].SessionExpiryInterval = keep
            for key, value in properties.items():
                setattr(more["properties"], key, value)
        self.client.connect("127.0.0.1", BROKER.mqtt_port, **more)
        self.client.loop_start()
        flags, reason = self.acks.get(timeout=PATIENCE)
        equal(getattr(reason, "value", reason), 0)
        self.present = flags["session present"]

    def subscribe(self, *args, **more):
        equal(self.client.subscribe(*args, **more)[0], 0)
        return [getattr(code, "value", code) for code in self.acks.get(timeout=PATIENCE)]

    def unsubscribe(self, topic):
        equal(self.client.unsubscribe(topic)[0], 0)
        self.acks.get(timeout=PATIENCE)

    def publish(self, *args, **more):
        """Waits until all of it is done."""
        done = self.client.publish(*args, **more)
        done.wait_for_publish(PATIENCE)
        assert done.is_published(), "it was not acknowledged"

    def message(self):
        return self.came.get(timeout=PATIENCE)

    def nothing(self):
        try:
            m = self.came.get(timeout=0.2)
        except queue.Empty:
            return
        raise AssertionError(f"{m.topic} {m.payload} came")

    def drop(self):
        """The network fails, and it does not connect again."""
        mine = self.client.socket()
        self.client.on_message = None
        self.client.loop_stop()
        mine.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()


def each_paho(sentence):
    """Registers f(protocol) for both."""
    def register(f):
        for version, protocol in (("3.1.1", paho.MQTTv311), ("5.0", paho.MQTTv5)):
            together(f"paho, MQTT {version}: {sentence}")(functools.partial(f, protocol))
        return f
    return register


def paho_5(sentence):
    return together(f"paho, MQTT 5.0: {sentence}")


@each_paho("QoS 0, 1 and 2, of every length and byte")
def _(protocol):
    topic = fresh()
    with Paho(protocol) as c, Paho(protocol) as d:
        equal(c.subscribe(topic + "/#", 2), [2])
        for payload in (b"", TEXT.encode(), bytes(range(256)) * 4096):
            for qos in (0, 1, 2):
                d.publish(f"{topic}/{TEXT}", payload, qos)
                m = c.message()
                assert m.payload == payload, f"{len(payload)} bytes came otherwise"
                equal((m.topic, m.qos, m.retain, m.dup), (f"{topic}/{TEXT}", qos, 0, 0))
        c.nothing()


@each_paho("many of QoS 1 and 2 at once come in order, once")
def _(protocol):
    topic, n = fresh(), 1000
    with Paho(protocol) as c, Paho(protocol) as d:
        c.subscribe(topic, 2)
        for qos in (1, 2):
            for i in range(n):
                last = d.client.publish(topic, str(i), qos)
            last.wait_for_publish(PATIENCE)
            equal([c.message().payload for _ in range(n)], [b"%d" % i for i in range(n)])
        c.nothing()


@each_paho("several subscriptions, and the end of one")
def _(protocol):
    topic = fresh()
    with Paho(protocol) as c:
        wanted = [(f"{topic}/{i}", i) for i in range(3)]
        if protocol == paho.MQTTv5:
            wanted = [(each, SubscribeOptions(qos)) for each, qos in wanted]
        equal(c.subscribe(wanted), [0, 1, 2])
        c.unsubscribe(topic + "/1")
        for i in range(3):
            c.publish(f"{topic}/{i}", b"x", 2)
        equal(sorted((m.topic, m.qos) for m in (c.message(), c.message())),
              [(topic + "/0", 0), (topic + "/2", 2)])
        c.nothing()


@each_paho("retained messages")
def _(protocol):
    topic = fresh()
    with Paho(protocol) as d:
        for qos in (0, 1, 2):
            d.publish(f"{topic}/{qos}", b"kept", qos, retain=True)
        with Paho(protocol) as c:
            c.subscribe(topic + "/+", 2)
            got = [c.message() for _ in range(3)]
            equal(sorted((m.topic, m.qos, m.retain) for m in got),
                  [(f"{topic}/{qos}", qos, 1) for qos in (0, 1, 2)])
        for qos in (0, 1, 2):
            d.publish(f"{topic}/{qos}", b"", qos, retain=True)
        with Paho(protocol) as c:
            c.subscribe(topic + "/+", 2)
            c.nothing()


@each_paho("a will, where the network fails and not where the client goes")
def _(protocol):
    topic = fresh()
    with Paho(protocol) as watch:
        watch.subscribe(topic, 2)
        for qos in (0, 1, 2):
            with Paho(protocol, the_will=(topic, b"no", qos)):
                pass
            Paho(protocol, the_will=(topic, b"gone", qos)).drop()
            m = watch.message()
            equal((m.payload, m.qos), (b"gone", qos))
        watch.nothing()


@each_paho("a session that stays gets what it missed, once")
def _(protocol):
    topic, name = fresh(), fresh("c")
    with Paho(protocol, name, keep=60) as c:
        equal((c.present, c.subscribe(topic, 2)), (0, [2]))
    with Paho(protocol) as d:
        for i in range(20):
            d.publish(topic, str(i), 1 + i % 2)
    with Paho(protocol, name, keep=60) as c:
        equal(c.present, 1)
        got = [c.message() for _ in range(20)]
        for qos in (1, 2):
            equal([int(m.payload) for m in got if m.qos == qos],
                  [i for i in range(20) if 1 + i % 2 == qos])
    with Paho(protocol, name, keep=60) as c:
        c.nothing()
    with Paho(protocol, name) as c:
        equal(c.present, 0)


@each_paho("a client that lost its connection goes on where it was")
def _(protocol):
    topic, name = fresh(), fresh("c")
    with Paho(protocol, name, keep=60) as c, Paho(protocol) as d:
        c.subscribe(topic, 2)
        d.publish(topic, b"1", 2)
        equal(c.message().payload, b"1")
        c.client.reconnect_delay_set(1, 1)
        c.client.socket().shutdown(socket.SHUT_RDWR)
        d.publish(topic, b"2", 2)
        flags, _ = c.acks.get(timeout=PATIENCE)
        equal(flags["session present"], 1)
        equal(c.message().payload, b"2")
        c.publish(topic, b"3", 2)
        equal(c.message().payload, b"3")
        c.nothing()


@paho_5("two share a subscription")
def _():
    topic, n = fresh(), 40
    shared = f"$share/{fresh('g')}/{topic}"
    with Paho(paho.MQTTv5) as one, Paho(paho.MQTTv5) as two, Paho(paho.MQTTv5) as d:
        for c in (one, two):
            equal(c.subscribe(shared, 2), [2])
        for i in range(n):
            d.publish(topic, str(i), i % 3)
        wait_for("all of them", lambda: one.came.qsize() + two.came.qsize() >= n)
        got = [[c.message().payload for _ in range(c.came.qsize())] for c in (one, two)]
        equal(sorted(map(int, sum(got, []))), list(range(n)))
        assert min(map(len, got)) >= n // 8, got


@paho_5("properties come as they were sent")
def _():
    topic = fresh()
    with Paho(paho.MQTTv5) as c:
        sub = Properties(PacketTypes.SUBSCRIBE)
        sub.SubscriptionIdentifier = 300
        c.subscribe(topic, options=SubscribeOptions(2), properties=sub)
        given = Properties(PacketTypes.PUBLISH)
        given.PayloadFormatIndicator = 1
        given.ContentType = "text/plain"
        given.ResponseTopic = "re/sponse"
        given.CorrelationData = b"\0\xff"
        given.MessageExpiryInterval = 1000
        given.UserProperty = [("b", "1"), ("a", "2"), ("b", "1")]
        c.publish(topic, TEXT, 2, properties=given)
        got = c.message().properties
        assert 900 < got.MessageExpiryInterval <= 1000, got
        equal((got.PayloadFormatIndicator, got.ContentType, got.ResponseTopic, got.CorrelationData,
               got.UserProperty, got.SubscriptionIdentifier),
              (1, "text/plain", "re/sponse", b"\0\xff", [("b", "1"), ("a", "2"), ("b", "1")],
               [300]))


@paho_5("no local, retain as published, retain handling")
def _():
    topic = fresh()
    with Paho(paho.MQTTv5) as c, Paho(paho.MQTTv5) as d:
        d.publish(topic, b"kept", 1, retain=True)
        c.subscribe(topic, options=SubscribeOptions(
            2, noLocal=True, retainAsPublished=True, retainHandling=2))
        c.publish(topic, b"mine", 1)
        d.publish(topic, b"other", 1, retain=True)
        m = c.message()
        equal((m.payload, m.retain), (b"other", 1))
        c.nothing()


@paho_5("a delayed will with properties")
def _():
    topic = fresh()
    given = Properties(PacketTypes.WILLMESSAGE)
    given.WillDelayInterval = 1
    given.ContentType = "text/plain"
    given.UserProperty = [("a", "1")]
    with Paho(paho.MQTTv5) as watch:
        watch.subscribe(topic, 2)
        Paho(paho.MQTTv5, the_will=(topic, b"gone", 1, False, given), keep=60).drop()
        m = watch.message()
        equal((m.payload, m.properties.ContentType, m.properties.UserProperty),
              (b"gone", "text/plain", [("a", "1")]))


@paho_5("aliases of the server and a small receive maximum")
def _():
    topic, n = fresh(), 60
    with Paho(paho.MQTTv5, TopicAliasMaximum=2, ReceiveMaximum=3) as c, Paho(paho.MQTTv5) as d:
        c.subscribe(topic + "/#", 2)
        for i in range(n):
            d.client.publish(f"{topic}/{i % 5}", str(i), i % 3)
        got = [c.message() for _ in range(n)]
        numbers = [int(m.payload) for m in got]
        for first in range(15):  # a topic and a QoS
            equal([i for i in numbers if i % 15 == first], list(range(first, n, 15)))
        for i, m in zip(numbers, got):  # paho leaves the topic empty where only an alias came
            equal((m.qos, m.topic or f"{topic}/{i % 5}"), (i % 3, f"{topic}/{i % 5}"))


@case(f"{BURST} messages of QoS 2 in a row: each comes once, in order")
def _():
    topic, where = fresh(), os.path.join(scratch(), "got")
    with open(where, "wb") as out, Paho(paho.MQTTv311) as c:
        name = fresh("c")
        tool("sub", "mqttv311", "-t", topic, "-q", "2", "-c", "-i", name, "-E")
        sub = subprocess.Popen(command("sub", "mqttv311", "-t", topic, "-q", "2", "-c", "-i", name,
                                       "-C", str(BURST)), stdout=out)
        try:
            waiting = collections.deque()
            for i in range(BURST):
                waiting.append(c.client.publish(topic, str(i), 2))
                if len(waiting) > 10000:  # paho has 65535 places
                    waiting.popleft().wait_for_publish(BURST_SECONDS)
            waiting[-1].wait_for_publish(BURST_SECONDS)
            assert waiting[-1].is_published(), "not all were taken in time"
            equal(sub.wait(BURST_SECONDS), 0)
        finally:
            sub.kill()
    with open(where, encoding="ascii") as f:
        for i, line in enumerate(f):
            equal(line, f"{i}\n", f"message {i}")
    equal(i + 1, BURST)
    with BROKER.client(4, name, clean=False) as c:
        equal(c.connack.present, 1)
        c.nothing()


# ---- C -------------------------------------------------------------------------------------------


def paho_c(name):
    """The lines of that program, which is built here.  lib.run prints each as a case of its own."""
    where = os.path.join("build", "system", name)
    built = subprocess.run(["make", "-s", where], cwd=ROOT, capture_output=True, text=True, check=False,
                           env={k: v for k, v in os.environ.items() if k != "MAKEFLAGS"})
    if built.returncode:
        if not os.path.exists("/usr/include/MQTTClient.h"):
            raise Skip("libpaho-mqtt-dev is not installed")
        raise AssertionError(built.stderr[-800:])
    got = subprocess.run([os.path.join(ROOT, where), str(BROKER.mqtt_port)], capture_output=True,
                         text=True, timeout=PAHO_C_SECONDS, check=False)
    lines = got.stdout.splitlines()
    assert got.returncode in (0, 1) and lines, f"{name} ended with {got.returncode}: {got.stderr[-800:]}"
    return lines


def each_paho_c(name):
    """Registers the program's sentences, which are in its source, as cases; it runs once."""
    with open(os.path.join(HERE, name + ".c"), encoding="utf-8") as f:
        rows = re.findall(r'^    { "([^"]+)",\s+\w+,\s+(true|false) }', f.read(), re.M)
    api = "asynchronous" if name.endswith("async") else "blocking"
    lines = functools.cache(lambda: paho_c(name))

    def check(sentence):
        said = [line for line in lines() if sentence in line]
        assert len(said) == 1 and said[0].startswith("ok "), said or f"it said nothing: {lines()}"

    for version in NEW:
        for sentence, only_5 in rows:
            if version == "5.0" or only_5 == "false":
                whole = f"paho C, {api}, MQTT {version}: {sentence}"
                case(whole)(functools.partial(check, whole))


each_paho_c("mqtt_paho_c")
each_paho_c("mqtt_paho_c_async")

# ---- JavaScript ----------------------------------------------------------------------------------


@functools.cache
def modules():
    """A directory with npm's mqtt in node_modules."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise Skip("node and npm are not installed")
    where = scratch()
    try:
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "mqtt@5"],
                       cwd=where, check=True, capture_output=True, timeout=120)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise Skip("the npm registry cannot be reached") from None
    return os.path.join(where, "node_modules")


def checks():
    """The names of the script's checks."""
    with open(os.path.join(HERE, "mqttjs_client.js"), encoding="utf-8") as f:
        return re.findall(r"^  '([^']+)': async", f.read(), re.M)


@together("npm's mqtt, MQTT 3.1.1 and 5.0: all its checks")
def _():
    got = subprocess.run(
        ["node", os.path.join(HERE, "mqttjs_client.js"), str(BROKER.mqtt_port)],
        env=dict(os.environ, NODE_PATH=modules()), capture_output=True, text=True, timeout=200,
        check=False)
    lines = got.stdout.splitlines()
    bad = [line for line in lines if not line.startswith("ok ")]
    assert len(lines) == 2 * len(checks()) and not bad and got.returncode == 0, \
        "; ".join(bad) or got.stderr[-800:]


if __name__ == "__main__":
    BROKER.run()
