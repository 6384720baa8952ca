#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""AMQP 0-9-1 as python3-pika speaks it: a sentence of what holds, a case."""
# pylint: disable=unused-import
from amqp_lib import BROKER

import pika_connection  # noqa: F401
import pika_exchanges  # noqa: F401
import pika_delayed  # noqa: F401
import pika_queues  # noqa: F401
import pika_dead_letters  # noqa: F401
import pika_publish  # noqa: F401
import pika_consume  # noqa: F401
import pika_tx  # noqa: F401
import pika_restart  # noqa: F401

if __name__ == "__main__":
    BROKER.run()
