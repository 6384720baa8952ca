# SPDX-License-Identifier: MIT
"""A client that must not notice what others do to the daemon."""
import threading
import time


class WellBehaved(threading.Thread):
    """Publishes, consumes and acks, one message after the other, until told to stop."""

    def __init__(self, d, patience=2):
        super().__init__(daemon=True)
        self.patience = patience
        self.client = d.client()
        self.client.subscribe("/queue/good", ack="client")
        self.rounds = self.slowest = 0
        self.fault = None
        self.over = threading.Event()
        self.start()

    def run(self):
        try:
            while not self.over.is_set():
                began = time.monotonic()
                self._round(b"round %d" % self.rounds)
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.rounds += 1
        except Exception as e:  # pylint: disable=broad-except
            self.fault = repr(e)

    def _round(self, body):
        self.client.ask("SEND", {"destination": "/queue/good"}, body, self.patience)
        frame = self.client.message(self.patience)
        assert frame.body == body and "redelivered" not in frame.headers, frame
        self.client.ask("ACK", {"id": frame["ack"]}, patience=self.patience)

    def end(self, rounds=20):
        """It must get so many rounds done still."""
        wanted = self.rounds + rounds
        end = time.monotonic() + 10
        while self.rounds < wanted and not self.fault and time.monotonic() < end:
            time.sleep(0.005)
        self.over.set()
        self.join(10)
        self.client.close()
        assert not self.fault, f"the well-behaved client: {self.fault}"
        assert self.rounds >= wanted, "the well-behaved client came to a halt"
