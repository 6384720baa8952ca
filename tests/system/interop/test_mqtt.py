#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""MQTT 3.1.1 and 5.0, a clause of the standards a case, with a client that hides nothing."""
# pylint: disable=unused-import
from mqtt_lib import BROKER

import mqtt_connect  # noqa: F401
import mqtt_packets  # noqa: F401
import mqtt_publish  # noqa: F401
import mqtt_retained  # noqa: F401
import mqtt_wills  # noqa: F401
import mqtt_subscribe  # noqa: F401
import mqtt_sessions  # noqa: F401
import mqtt_shared  # noqa: F401
import mqtt_props  # noqa: F401

if __name__ == "__main__":
    BROKER.run()
