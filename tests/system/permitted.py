# SPDX-License-Identifier: MIT
"""A daemon with a file of definitions, and what the tests of permissions write into it."""
import json
import os
import re
import signal
import sqlite3
import warnings

from lib import Lodged, free_port, scratch, wait_for

ALL = {"configure": ".*", "write": ".*", "read": ".*"}
NAME_IS_PASSWORD = {}


def hash_of(name):
    """Cheap, and made once: what is tested is not the hash."""
    if name not in NAME_IS_PASSWORD:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import crypt    # pylint: disable=import-outside-toplevel
        NAME_IS_PASSWORD[name] = crypt.crypt(name, "$6$rounds=1000$lodge")
    return NAME_IS_PASSWORD[name]


def may(user, vhost="/", **patterns):
    return dict({"configure": "", "write": "", "read": ""}, user=user, vhost=vhost, **patterns)


def may_topic(user, write="", read="", exchange="amq.topic", vhost="/"):
    return {"user": user, "vhost": vhost, "exchange": exchange, "write": write, "read": read}


def exactly(needs):
    """Patterns for [(permission, kind, name), ...] and for nothing else; a name that ends in *
    begins what is meant."""
    names = {}
    for permission, _, name in needs:
        end = ".*" if name.endswith("*") else ""
        names.setdefault(permission, []).append(re.escape(name.rstrip("*")) + end)
    return {p: f"^({'|'.join(n)})$" for p, n in names.items()}


class Broker(Lodged):
    """Users go by their names, which are their passwords."""

    def __init__(self, users, permissions=(), topics=(), vhosts=(), **more):
        self.path = os.path.join(scratch(), "definitions.json")
        self.mqtt_port, self.amqp_port = free_port(), free_port()
        self.define(users, permissions, topics, vhosts)
        super().__init__("--definitions", self.path, "--mqtt", f"127.0.0.1:{self.mqtt_port}",
                         "--amqp", f"127.0.0.1:{self.amqp_port}", **more)

    def define(self, users=(), permissions=(), topics=(), vhosts=()):
        self.write({"users": [{"name": u, "password_hash": hash_of(u), "tags": ""} for u in users],
                    "vhosts": [{"name": v} for v in vhosts],
                    "permissions": list(permissions), "topic_permissions": list(topics)})

    def write(self, what):
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(what if isinstance(what, str) else json.dumps(what))

    def reload(self, word="definitions.imported"):
        before = self.log().count(word)
        self.process.send_signal(signal.SIGHUP)
        wait_for(word, lambda: self.log().count(word) > before)

    def rows(self, sql):
        db = sqlite3.connect(os.path.join(self.data, "lodge.db"))
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def topology(self):
        """What is on disk of exchanges, queues and bindings."""
        return [self.rows(f"SELECT * FROM {t} ORDER BY id")
                for t in ("exchange", "queue", "binding")]
