#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Node's amqplib: the newest, and one from before 0.10.7, which asks for frames of 4096 bytes.

Without node or the npm registry this is skipped with a line that says so."""
import os
import re
import shutil
import subprocess

from amqp_lib import BROKER, HERE, Skip, scratch
from lib import case  # without a limit: the registry may be slow

MODULES = {"amqplib": "amqplib@0.10", "amqplib-old": "amqplib-old@npm:amqplib@0.10.4"}

_installed = []


def modules():
    """A directory with both in node_modules."""
    if _installed:
        return _installed[0]
    if not shutil.which("node") or not shutil.which("npm"):
        raise Skip("node and npm are not installed")
    where = scratch()
    try:
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts",
                        *MODULES.values()], cwd=where, check=True, capture_output=True, timeout=120)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise Skip("the npm registry cannot be reached") from None
    _installed.append(where)
    return where


def script(module):
    env = dict(os.environ, NODE_PATH=os.path.join(modules(), "node_modules"))
    got = subprocess.run(["node", os.path.join(HERE, "amqplib_client.js"), BROKER.url, module],
                         env=env, capture_output=True, text=True, timeout=200, check=False)
    return got.stdout.splitlines(), got


def checks():
    """The names of the script's checks, which are cases here."""
    with open(os.path.join(HERE, "amqplib_client.js"), encoding="utf-8") as f:
        return re.findall(r"^  '([^']+)': async", f.read(), re.M)


for each in MODULES:
    @case(f"{each}: all its checks")
    def _(module=each):
        lines, got = script(module)
        bad = [line for line in lines if not line.startswith("ok ")]
        assert len(lines) == len(checks()) and not bad and got.returncode == 0, \
            "; ".join(bad) or got.stderr[-800:]


if __name__ == "__main__":
    BROKER.run()
