# SPDX-License-Identifier: MIT
"""Cases of test_pika.py: connections and channels [AMQP 0-9-1, 2.2.4, 2.3]."""
import subprocess
import time

from amqp_lib import LODGED, case, equal, fresh, only_lodge, wait_for
from pika_lib import (Inbox, await_end, bodies, connect, count, declare, get, open_channel, pika,
                      publish, refused, sync)

CAPABILITIES = {"publisher_confirms", "exchange_exchange_bindings", "basic.nack",
                "consumer_cancel_notify", "connection.blocked", "consumer_priorities",
                "authentication_failure_close", "per_consumer_qos", "direct_reply_to"}


def properties(c):
    return c._impl.server_properties  # pylint: disable=protected-access


def agreed(c):
    return c._impl.params  # pylint: disable=protected-access


@case("PLAIN logs in, and the server tells its nine capabilities")
def _():
    with connect() as c:
        has = properties(c)["capabilities"]
        equal({name for name in CAPABILITIES if has.get(name) is True}, CAPABILITIES)


@case("the server says what it is")
def _():
    with connect() as c:
        for name in ("product", "version", "platform", "copyright", "information", "cluster_name"):
            assert properties(c).get(name), f"no {name} in {properties(c)}"


@case("the product is not RabbitMQ: clients change their ways by that name")
def _():
    only_lodge()
    with connect() as c:
        assert "RabbitMQ" not in properties(c)["product"], properties(c)


def refusal(**more):
    """What pika makes of the end of a connection that is not let in."""
    try:
        connect(**more).close()
    except pika.exceptions.AMQPConnectionError as e:
        return e
    raise AssertionError("it was let in")


def at_the_door(e):
    kinds = (pika.exceptions.ProbableAuthenticationError, pika.exceptions.AuthenticationError)
    assert isinstance(e, kinds), repr(e)


@case("a wrong password is refused with ACCESS_REFUSED")
def _():
    e = refusal(password="wrong")
    at_the_door(e)
    assert "403" in repr(e) and "ACCESS_REFUSED" in repr(e), repr(e)


@case("an unknown user is refused as one with a wrong password")
def _():
    e = refusal(user=fresh("user"), password="wrong")
    at_the_door(e)
    assert "403" in repr(e), repr(e)


@case("a client that does not know authentication_failure_close is only hung up on")
def _():
    e = refusal(password="wrong", client_properties={
        "capabilities": {"authentication_failure_close": False}})
    at_the_door(e)
    assert "403" not in repr(e), repr(e)


@case("an unknown virtual host is refused with 530")
def _():
    e = refusal(vhost=fresh("vhost"))
    assert "530" in repr(e) and "NOT_ALLOWED" in repr(e), repr(e)


@case("/ is a virtual host")
def _():
    with connect(vhost="/") as c:
        assert c.channel().is_open


@case("the server proposes limits: channels, frames of at least 4096 bytes, heart-beats")
def _():
    with connect(heartbeat=None) as c:
        assert agreed(c).heartbeat > 0, agreed(c).heartbeat
        assert agreed(c).frame_max >= 4096, agreed(c).frame_max
        assert agreed(c).channel_max > 0, agreed(c).channel_max


@case("heart-beats every second keep an idle connection for three")
def _():
    with connect(heartbeat=1) as c:
        equal(agreed(c).heartbeat, 1)
        ch = c.channel()
        c.sleep(3)
        sync(ch)


@case("who is silent for longer than two heart-beats is hung up on")
def _():
    with open_channel() as ch:
        silent = connect(heartbeat=1)
        q = declare(silent.channel(), exclusive=False, auto_delete=True)
        Inbox(silent.channel(), q)  # the queue goes with its consumer
        began = time.monotonic()
        wait_for("the connection to end", lambda: not is_there(ch.connection, q), 8)
        took = time.monotonic() - began
        assert took > 1, f"was hung up on after {took} s"
        try:
            silent.close()
        except pika.exceptions.AMQPConnectionError:
            pass


def is_there(c, queue):
    time.sleep(0.1)
    ch = c.channel()
    try:
        ch.queue_declare(queue, passive=True)
        ch.close()
        return True
    except pika.exceptions.ChannelClosedByBroker:
        return False


@case("ten channels work side by side")
def _():
    with connect() as c:
        channels = [c.channel() for _ in range(10)]
        queues = [declare(ch) for ch in channels]
        for round_ in range(5):
            for ch, q in zip(channels, queues):
                publish(ch, q, f"{q} {round_}")
        for ch, q in zip(channels, queues):
            sync(ch)
            equal(bodies(ch, q), [f"{q} {round_}" for round_ in range(5)])


@case("a channel's error closes that channel only, and its number can be used again")
def _():
    with connect() as c:
        bad, good = c.channel(7), c.channel(8)
        q = declare(good)
        with refused(404):
            bad.queue_declare(fresh(), passive=True)
        assert bad.is_closed and good.is_open
        publish(good, q, "still here")
        again = c.channel(7)
        equal(bodies(again, q), ["still here"])


@case("channels are opened and closed many times")
def _():
    with connect() as c:
        q = declare(c.channel())
        for i in range(200):
            with c.channel(2) as ch:
                publish(ch, q, str(i))
        equal(count(c.channel(), q), (200, 0))


@case("closing a channel gives back what it had not acked, in order")
def _():
    with open_channel() as ch:
        q = declare(ch)
        for i in range(4):
            publish(ch, q, str(i))
        other = ch.connection.channel()
        got = [get(other, q, ack=False) for _ in range(3)]
        other.basic_ack(got[1].tag)
        other.close()
        equal(bodies(ch, q), ["0", "2", "3"])


@case("closing a connection gives back what it had not acked")
def _():
    with open_channel() as ch:
        q = declare(ch, exclusive=False, auto_delete=True)
        publish(ch, q, "once")
        with connect() as other:
            equal(get(other.channel(), q, ack=False).text, "once")
            equal(count(ch, q), (0, 0))
        m = get(ch, q)
        equal((m.text, m.redelivered), ("once", True))
        ch.queue_delete(q)


@case("a body of 1 MB goes through frames of 4096 bytes, both ways")
def _():
    with open_channel(frame_max=4096) as ch:
        equal(agreed(ch.connection).frame_max, 4096)
        q, body = declare(ch), bytes(range(256)) * 4096
        publish(ch, q, body)
        assert get(ch, q).body == body, "it came back otherwise"


@case("a method on a channel that was never opened closes the connection")
def _():
    c = connect()
    ch = c.channel()
    with refused(504):
        # pylint: disable=protected-access
        c._impl._send_method(99, pika.spec.Basic.Qos(prefetch_count=1))
        await_end(ch)
    assert c.is_closed


@case("the version of the server is that of the program")
def _():
    only_lodge()
    said = subprocess.run([LODGED, "--version"], capture_output=True, text=True, check=True).stdout
    with connect() as c:
        assert properties(c)["version"] in said, (properties(c), said)
