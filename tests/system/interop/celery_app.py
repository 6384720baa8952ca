# SPDX-License-Identifier: MIT
"""The application of test_celery.py: imported by the test and, as -A celery_app, by its worker."""
import os
import time

from celery import Celery

QUEUE = os.environ.get("INTEROP_QUEUE", "celery")

app = Celery("interop", broker=os.environ.get("INTEROP_URL"), backend="rpc://")
app.conf.update(
    task_default_queue=QUEUE, task_default_exchange=QUEUE, task_default_routing_key=QUEUE,
    task_reject_on_worker_lost=True, broker_connection_timeout=5, task_send_sent_event=True,
    result_expires=300, worker_prefetch_multiplier=4)


@app.task
def add(a, b):
    return a + b


@app.task(bind=True, max_retries=5)
def flaky(self, n):
    """Succeeds at the third attempt."""
    if self.request.retries < 2:
        raise self.retry(countdown=0.05)
    return n, self.request.retries


@app.task(acks_late=True)
def late(n):
    return n * n


@app.task
def now():
    return time.time()


@app.task
def fail(text):
    raise ValueError(text)


@app.task
def sleep(seconds, n):
    time.sleep(seconds)
    return n


@app.task
def echo(text):
    return text


@app.task(bind=True, acks_late=True)
def die_once(self, marker):
    """Takes its process with it, the first time."""
    if not os.path.exists(marker):
        with open(marker, "w", encoding="ascii"):
            pass
        os._exit(1)
    return self.request.delivery_info["redelivered"]
