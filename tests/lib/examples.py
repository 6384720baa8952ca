#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs every program of build/examples against a daemon of its own; each must end with 0."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from lib import PATIENCE, ROOT, Lodged, case, equal, run  # noqa: E402

EXAMPLES = os.path.join(ROOT, "build", "examples")


def check(name):
    @case(f"example {name} does what it says")
    def _():
        with Lodged() as d:
            done = subprocess.run([os.path.join(EXAMPLES, name)], capture_output=True, check=False,
                                  timeout=2 * PATIENCE, env=d.client_env())
            equal(done.returncode, 0, (done.stdout + done.stderr).decode(errors="replace")[-500:])


for example in sorted(os.listdir(EXAMPLES)):
    check(example)
run()
