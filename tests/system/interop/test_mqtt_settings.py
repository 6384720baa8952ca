#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""MQTT where the server is set otherwise than by default: keep alive, retained messages."""
import contextlib
import json
import os
import signal
import time

from mqtt_lib import (PATIENCE, Mqtt, Skip, both, equal, fresh, run, scratch, v3, v5, wait_for, will)


@contextlib.contextmanager
def server(*settings):
    b = Mqtt(*[arg for each in settings for arg in ("--set", each)])
    if not b.is_lodge:
        raise Skip("the server's settings are not ours")
    with b:
        yield b


# ---- keep alive ----------------------------------------------------------------------------------


@v5("mqtt.keep_alive_max: who asks for more, or for none, is told the server's [3.1.2-21, 3.2.2-21]")
def _():
    with server("mqtt.keep_alive_max=10s") as b:
        for asked, told in ((0, 10), (11, 10), (65535, 10), (10, None), (1, None)):
            with b.client(5, keep_alive=asked) as c:
                equal(c.connack.props.get("server_keep_alive"), told, f"asked for {asked}")


@v5("mqtt.keep_alive_max is what counts then: silence of one and a half times it is the end [3.1.2-22]")
def _():
    with server("mqtt.keep_alive_max=1s") as b:
        for asked in (0, 600):
            began = time.monotonic()
            c = b.client(5, keep_alive=asked)
            equal(c.closed(0x8D).reason, 0x8D)
            assert time.monotonic() - began > 1, "closed too early"


@v3("a client that cannot be told keeps the keep alive that it asked for [3.1.2-24]")
def _():
    with server("mqtt.keep_alive_max=1s") as b:
        for asked in (0, 600):
            with b.client(4, keep_alive=asked) as c:
                assert c.packet(2.5) is None
                c.ping()


@v5("mqtt.keep_alive_max is taken over by SIGHUP, for who connects from then on [3.2.2-21]")
def _():
    path = os.path.join(scratch(), "lodge.conf")

    def settings(value):
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"mqtt.keep_alive_max": value}, f)

    settings("0")
    b = Mqtt("--config", path)
    if not b.is_lodge:
        raise Skip("the server's settings are not ours")
    with b, b.client(5) as old:
        assert "server_keep_alive" not in old.connack.props, old.connack
        settings("1500ms")
        b.lodged.process.send_signal(signal.SIGHUP)
        b.lodged.wait_log("config.changed setting=mqtt.keep_alive_max")
        b.lodged.wait_log("config.reloaded ok=true")
        with b.client(5) as c:
            equal(c.connack.props.get("server_keep_alive"), 2)  # whole seconds
        assert old.packet(2) is None


# ---- retained messages ---------------------------------------------------------------------------


@v5("max_retained = 0: CONNACK says so, and RETAIN ends the connection with 0x9A [3.2.2-14]")
def _():
    with server("max_retained=0") as b, b.client(5) as watch:
        topic = fresh()
        watch.subscribe(topic, qos=2)
        for qos in (0, 1, 2):
            for payload in (b"", b"x", b"x" * 300000):
                c = b.client(5)
                equal(c.connack.props.get("retain_available"), 0)
                c.put(topic, payload, qos, retain=True)
                c.closed(0x9A)
        with b.client(5) as c:
            c.publish(topic, b"without", 1)
        equal(watch.payloads(1), [b"without"])


@v5("max_retained = 0: a will with RETAIN is refused with 0x9A [3.2.2-13]")
def _():
    with server("max_retained=0") as b:
        c = b.raw(5)
        equal(c.connect(fresh("c"), the_will=will("a", b"x", 1, True)).reason, 0x9A)
        c.closed()
        with b.client(5, the_will=will("a", b"x", 1)):
            pass


@both("with retained messages CONNACK does not speak of them [3.2.2-13]")
def _(level):
    with server() as b, b.client(level) as c:
        assert "retain_available" not in c.connack.props, c.connack


@v3("max_retained = 0: who retains at QoS 1 or 2 is closed; at QoS 0 it goes unheard [3.3.1-5]")
def _():
    with server("max_retained=0") as b:
        for qos in (1, 2):
            c = b.client(4)
            c.put(fresh(), b"x", qos, retain=True)
            c.closed()
        with b.client(4) as c:
            c.put(fresh(), b"x", 0, retain=True)
            c.ping()
            wait_for("a line in the log", lambda: "mqtt.refused" in b.lodged.log(), PATIENCE)


if __name__ == "__main__":
    run(4)
