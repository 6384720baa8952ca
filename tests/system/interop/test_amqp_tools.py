#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The commands of Debian's amqp-tools, that is, librabbitmq in C."""
import shutil
import subprocess

from amqp_lib import BROKER, PATIENCE, Skip, case, equal, fresh

NO_MESSAGE = 2  # exit status of amqp-get


def start(command, *args, **more):
    if not shutil.which("amqp-" + command):
        raise Skip("amqp-tools is not installed")
    return subprocess.Popen(
        ["amqp-" + command, "--server=" + BROKER.host, f"--port={BROKER.port}",
         f"--vhost={BROKER.vhost}", "--username=" + BROKER.user,
         "--password=" + BROKER.password, *args],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def end(process, data=b"", status=0):
    """Waits for it; its output, which is that of an error if the status is not 0."""
    try:
        out, err = process.communicate(data, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"{process.args[0]} did not end") from None
    equal(process.returncode, status, err.decode())
    return err.decode() if status else out


def tool(command, *args, data=b"", status=0):
    return end(start(command, *args), data, status)


def queue(*more):
    name = fresh()
    equal(tool("declare-queue", "-q", name, *more).decode().strip(), name)
    return name


def publish(q, body, *more):
    tool("publish", "-r", q, "-b", body, *more)


@case("amqp-declare-queue and amqp-delete-queue: how many messages were in it")
def _():
    q = queue("-d")
    equal(tool("declare-queue", "-q", q, "-d").decode().strip(), q)
    publish(q, "1")
    publish(q, "2", "-p")
    equal(tool("delete-queue", "-q", q).decode().strip(), "2")


@case("amqp-declare-queue: an empty name is filled in by the server")
def _():
    said = tool("declare-queue", "-q", "").decode().strip()
    assert said.startswith("amq.gen-"), said
    tool("delete-queue", "-q", said)


@case("amqp-declare-queue: otherwise than it is, 406")
def _():
    q = queue()
    assert "406" in tool("declare-queue", "-q", q, "-d", status=1)
    tool("delete-queue", "-q", q)


@case("amqp-get: messages in their order, then none")
def _():
    q = queue()
    for body in ("one", "two"):
        publish(q, body, "-C", "text/plain", "-E", "utf-8", "-H", "a: 1", "-H", "b: 2", "-t", "r")
    equal([tool("get", "-q", q) for _ in range(2)], [b"one", b"two"])
    tool("get", "-q", q, status=NO_MESSAGE)
    tool("delete-queue", "-q", q, "--if-empty", "--if-unused")


@case("amqp-get: a queue that is not there is 404")
def _():
    assert "404" in tool("get", "-q", fresh(), status=1)


@case("amqp-publish: every line of its input, and a body of 1 MB and every byte")
def _():
    q = queue()
    tool("publish", "-r", q, "-l", data=b"first\nsecond\n")
    equal([tool("get", "-q", q).strip() for _ in range(2)], [b"first", b"second"])
    body = bytes(range(256)) * 4096
    tool("publish", "-r", q, data=body)
    assert tool("get", "-q", q) == body, "it came back otherwise"
    tool("delete-queue", "-q", q)


@case("amqp-publish: an exchange that is not there is 404")
def _():
    assert "404" in tool("publish", "-e", fresh("x"), "-r", "k", "-b", "x", status=1)


@case("amqp-publish: a wrong password is refused")
def _():
    assert "403" in tool("publish", "--password=wrong", "-r", "k", "-b", "x", status=1)


@case("amqp-consume: a command gets each message, and its success acks")
def _():
    q = queue()
    for body in ("a", "b", "c"):
        publish(q, body)
    equal(tool("consume", "-q", q, "-c", "2", "-p", "1", "cat"), b"ab")
    equal(tool("consume", "-q", q, "-c", "1", "-A", "cat"), b"c")
    tool("get", "-q", q, status=NO_MESSAGE)
    tool("delete-queue", "-q", q)


@case("amqp-consume: what a command failed at is there again")
def _():
    q = queue()
    publish(q, "x")
    tool("consume", "-q", q, "-c", "1", "--", "grep", "what is not there")
    equal(tool("get", "-q", q), b"x")
    tool("delete-queue", "-q", q)


@case("amqp-consume: waits on an exclusive queue of its own, bound to an exchange")
def _():
    key = fresh("key")
    waiting = start("consume", "-x", "-e", "amq.topic", "-r", key + ".#", "-c", "2", "cat")
    while waiting.poll() is None:  # it may not listen yet
        publish(key + ".a", "x", "-e", "amq.topic")
    equal(end(waiting), b"xx")


@case("heart-beats asked for by a command keep it")
def _():
    q = queue()
    waiting = start("consume", "--heartbeat=1", "-q", q, "-c", "1", "cat")
    try:
        waiting.wait(3)
        raise AssertionError(f"it ended: {end(waiting, status=waiting.returncode)}")
    except subprocess.TimeoutExpired:
        pass
    publish(q, "late")
    equal(end(waiting), b"late")
    tool("delete-queue", "-q", q)


if __name__ == "__main__":
    BROKER.run()
