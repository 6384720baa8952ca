#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A Celery application: its worker is a real one, its results come by rpc://."""
import contextlib
import ctypes
import datetime
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from amqp_lib import BROKER, HERE, PATIENCE, case, equal, fresh, need, scratch, wait_for

need("celery", "python3-celery")

os.environ.update(INTEROP_URL=BROKER.url, INTEROP_QUEUE=fresh("celery"))
import celery_app  # noqa: E402  pylint: disable=wrong-import-position
from celery import chain, group  # noqa: E402  pylint: disable=wrong-import-position
from celery_app import app  # noqa: E402  pylint: disable=wrong-import-position

SLOW = 3 * PATIENCE  # for what takes the worker some time


class Worker:
    """A worker of two processes, as `celery worker` starts it."""

    def __init__(self):
        self.name = f"{fresh('worker')}@localhost"
        self.home = scratch()
        self.log_path = os.path.join(self.home, "log")
        env = dict(os.environ, PYTHONPATH=HERE, PYTHONDONTWRITEBYTECODE="1", C_FORCE_ROOT="1")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--pool", "prefork",
                 "--concurrency", "2", "--task-events", "--loglevel", "INFO", "--hostname",
                 self.name], cwd=self.home, env=env, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
                preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL))  # dies with us
        wait_for("the worker to be ready", self._ready, SLOW)

    def _ready(self):
        assert self.process.poll() is None, f"the worker ended: {self.log()[-1000:]}"
        time.sleep(0.1)
        return " ready." in self.log()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def stop(self):
        """Warm: what it works on is done before."""
        self.process.terminate()
        return self.process.wait(SLOW)

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)


_worker = []


def worker():
    if not _worker:
        _worker.append(Worker())
    return _worker[0]


def looked_up(queue):
    with app.connection_for_read() as c:
        return c.default_channel.queue_declare(queue, passive=True)


def ready(queue=celery_app.QUEUE):
    """How many messages are ready in the queue."""
    return looked_up(queue).message_count


def equal_results(result, wanted):
    equal(result.get(timeout=SLOW, propagate=True), wanted)


@case("celery: the worker starts, answers a ping and tells what it does")
def _():
    name = worker().name
    equal(app.control.ping(destination=[name], timeout=PATIENCE, limit=1), [{name: {"ok": "pong"}}])
    ask = app.control.inspect(destination=[name], timeout=PATIENCE, limit=1)
    stats = ask.stats()[name]
    equal((stats["broker"]["transport"], stats["pool"]["max-concurrency"]), ("amqp", 2))
    (queue,) = ask.active_queues()[name]
    equal((queue["name"], queue["durable"]), (celery_app.QUEUE, True))


@case("celery: 500 tasks, some retried, some later, some acked late: all results are right")
def _():
    worker()
    tasks, wanted = [], []
    for n in range(500):
        kind = n % 5
        if kind == 1:
            tasks.append(celery_app.flaky.s(n))
            wanted.append([n, 2])
        elif kind == 2:
            tasks.append(celery_app.late.s(n))
            wanted.append(n * n)
        else:
            tasks.append(celery_app.add.s(n, 1).set(**({"countdown": 1} if kind == 3 else {})))
            wanted.append(n + 1)
    equal_results(group(tasks).apply_async(), wanted)
    wait_for("the queue to be empty", lambda: ready() == 0)


@case("celery: a chain hands its result on")
def _():
    worker()
    equal_results(chain(celery_app.add.s(1, 2), celery_app.add.s(3), celery_app.late.s())(), 36)


@case("celery: an error comes to who asks for the result")
def _():
    worker()
    try:
        celery_app.fail.delay("on purpose").get(timeout=SLOW)
        raise AssertionError("there was no error")
    except ValueError as e:
        equal(str(e), "on purpose")


@case("celery: a text of 2 MB goes there and back")
def _():
    worker()
    text = "é" * (1 << 20)
    assert celery_app.echo.delay(text).get(timeout=SLOW) == text, "it came back otherwise"


@case("celery: countdown and eta: not before, and soon after")
def _():
    worker()
    began = time.time()
    eta = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1.5)
    for result in [celery_app.now.apply_async(countdown=1.5), celery_app.now.apply_async(eta=eta)]:
        took = result.get(timeout=SLOW) - began
        assert 1.4 < took < 6, f"came after {took} s"


@case("celery: tasks that wait for their time do not hold up the others")
def _():
    worker()
    began = time.time()
    waiting = [celery_app.now.apply_async(countdown=6) for _ in range(12)]
    equal(celery_app.add.delay(1, 1).get(timeout=SLOW), 2)
    took = time.time() - began
    for result in waiting:
        assert result.get(timeout=SLOW) - began > 5.9, "one came too early"
    assert took < 5, f"the task behind them came after {took} s"


@case("celery: a task that is acked late is done again when its process dies")
def _():
    marker = os.path.join(worker().home, "died")
    equal_results(celery_app.die_once.delay(marker), True)
    assert os.path.exists(marker), "it never died"


@case("celery: a revoked task is not done")
def _():
    w = worker()
    result = celery_app.now.apply_async(countdown=1)
    app.control.revoke(result.id, destination=[w.name], reply=True, timeout=PATIENCE, limit=1)
    try:
        result.get(timeout=SLOW)
        raise AssertionError("it was done")
    except app.backend.exception_to_python({"exc_type": "TaskRevokedError", "exc_message": [""],
                                            "exc_module": "celery.exceptions"}).__class__:
        pass


@case("celery: a worker consumes from one more queue, and leaves it again")
def _():
    w, queue = worker(), fresh("more")
    app.control.add_consumer(queue, destination=[w.name], reply=True, timeout=PATIENCE, limit=1)
    equal_results(celery_app.add.apply_async((1, 2), queue=queue), 3)
    app.control.cancel_consumer(queue, destination=[w.name], reply=True, timeout=PATIENCE, limit=1)
    wait_for("the consumer to go", lambda: looked_up(queue).consumer_count == 0)
    celery_app.add.apply_async((1, 2), queue=queue)
    time.sleep(0.3)
    equal(ready(queue), 1)
    with app.connection_for_write() as c:
        c.default_channel.queue_delete(queue)


@case("celery: events tell the life of a task")
def _():
    worker()
    seen, connected = [], threading.Event()

    def watch():
        with app.connection_for_read() as c:
            receiver = app.events.Receiver(c, handlers={
                "*": lambda event: seen.append((event.get("uuid"), event["type"]))})
            with receiver.consumer_context() as (own, *_):
                connected.set()
                while "task-succeeded" not in [kind for _, kind in seen]:
                    with contextlib.suppress(socket.timeout):
                        own.drain_events(timeout=0.1)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    assert connected.wait(PATIENCE)
    result = celery_app.add.delay(1, 1)
    result.get(timeout=SLOW)
    thread.join(SLOW)
    equal([kind for uuid, kind in seen if uuid == result.id and kind != "task-sent"],
          ["task-received", "task-started", "task-succeeded"])


@case("celery: a worker that is told to stop ends what it does, and leaves the rest in the queue")
def _():
    w = worker()
    running = [celery_app.sleep.delay(2.5, n) for n in range(2)]
    wait_for("both to run", lambda: len(app.control.inspect(
        destination=[w.name], timeout=1, limit=1).active()[w.name]) == 2)
    later = [celery_app.sleep.delay(0.01, n) for n in range(2, 22)]
    # Eight are prefetched: the acks of those that run were sent, which a stop would not wait for.
    wait_for("the worker to have its fill", lambda: ready() <= len(later) - 8)
    _worker.clear()
    equal(w.stop(), 0, w.log()[-500:])
    equal([r.get(timeout=PATIENCE) for r in running], [0, 1])
    try:
        wait_for("all that was not done", lambda: ready() == len(later))
    except AssertionError as e:
        raise AssertionError(f"{e}: {ready()} of {len(later)} are ready again, "
                             f"{sum(r.ready() for r in later)} were done") from None
    worker()
    equal([r.get(timeout=SLOW) for r in later], list(range(2, 22)))


@case("celery: what a killed worker had not acked is done by the next")
def _():
    w = worker()
    results = [celery_app.late.apply_async((n,), countdown=1) for n in range(20)]
    wait_for("the worker to have them", lambda: ready() == 0)
    _worker.clear()
    w.kill()
    worker()
    equal([r.get(timeout=SLOW) for r in results], [n * n for n in range(20)])
    equal(worker().stop(), 0)


if __name__ == "__main__":
    try:
        BROKER.run()
    finally:
        for each in _worker:
            each.kill()
