# SPDX-License-Identifier: MIT
"""The command `lodge`, and through it the library, against the daemon."""
import base64
import json
import os
import re
import signal
import subprocess
import time

from lib import LODGE, PATIENCE, ROOT, Lodged, case, equal, free_port, run, scratch, wait_for


class Running:
    """A command of lodge that goes on; its output is in files."""

    def __init__(self, daemon, *args, stdin=subprocess.DEVNULL):
        home = scratch()
        self.out_path, self.err_path = os.path.join(home, "out"), os.path.join(home, "err")
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen([LODGE, *args], stdin=stdin, stdout=out, stderr=err,
                                            env=daemon.client_env())

    def out(self):
        with open(self.out_path, "rb") as f:
            return f.read()

    def err(self):
        with open(self.err_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def lines(self):
        return self.out().decode().split()

    def end(self, sig=None, patience=None):
        if sig:
            self.process.send_signal(sig)
        try:
            return self.process.wait(patience or PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("lodge did not end; it said: " + self.err()) from None


def ok(done):
    equal(done.returncode, 0, done.stderr.decode(errors="replace"))
    return done.stdout


def numbers(count):
    return b"".join(b"%d\n" % i for i in range(count))


def drain(d, queue):
    """What is in the queue, as the lines of bodies."""
    done = d.lodge("sub", queue, "--timeout", "700ms")
    equal(done.returncode, 3, done.stderr.decode())
    return done.stdout.decode().split()


@case("what pub sends, sub prints")
def _():
    with Lodged() as d:
        ok(d.lodge("pub", "a", "good morning"))
        ok(d.lodge("pub", "/queue/a", input=b"from stdin\nas one"))
        equal(ok(d.lodge("sub", "a", "--count", "2")), b"good morning\nfrom stdin\nas one\n")


@case("any bytes pass, by file and back")
def _():
    body = bytes(range(256)) * 5000
    path = os.path.join(scratch(), "body")
    with open(path, "wb") as f:
        f.write(body)
    with Lodged() as d:
        ok(d.lodge("pub", "bytes", "--file", path))
        equal(ok(d.lodge("sub", "bytes", "-n", "1", "--no-newline")), body)


@case("with --lines every line is a message, in order")
def _():
    with Lodged() as d:
        ok(d.lodge("pub", "lines", "--lines", input=numbers(25000) + b"last"))
        got = ok(d.lodge("sub", "lines", "-n", "25001"))
        equal(got, numbers(25000) + b"last\n")


@case("--count sends a message so many times")
def _():
    with Lodged() as d:
        ok(d.lodge("pub", "copies", "x", "--count", "500"))
        equal(drain(d, "copies"), ["x"] * 500)


@case("JSON has the headers, and base64 for what is not text")
def _():
    with Lodged() as d:
        ok(d.lodge("pub", "json", "t\u00e4xt", "-H", "colour:r:ed", "--content-type", "text/plain"))
        ok(d.lodge("pub", "json", input=b"\xff\x00\x01"))
        first, second = ok(d.lodge("sub", "json", "-n", "2", "--format", "json")).splitlines()
        first, second = json.loads(first), json.loads(second)
        equal(first["body"], "t\u00e4xt")
        equal(first["headers"]["colour"], "r:ed")
        equal(first["headers"]["content-type"], "text/plain")
        equal(first["destination"], "/queue/json")
        equal(base64.b64decode(second["body_base64"]), b"\xff\x00\x01")


@case("headers of a message are printed before its body")
def _():
    with Lodged() as d:
        ok(d.lodge("pub", "heads", "body", "-H", "k:v"))
        got = ok(d.lodge("sub", "heads", "-n", "1", "-o", "headers")).decode()
        head, body = got.split("\n\n")
        assert "k:v" in head.split("\n"), head
        equal(body, "body\n")


@case("a command that exits 0 has done its message")
def _():
    with Lodged() as d:
        ok(d.lodge("pub", "exec", "--lines", "-H", "Shoe-Size:44", "-H", "server:evil",
                   input=b"one\ntwo\n"))
        got = ok(d.lodge("sub", "exec", "-n", "2", "--exec",
                         'read x; echo "$x $LODGE_SHOE_SIZE $LODGE_SERVER $LODGE_DESTINATION"'))
        want = "%%s 44 %s /queue/exec\n" % d.client_env()["LODGE_SERVER"]
        equal(got.decode(), want % "one" + want % "two")
        equal(drain(d, "exec"), [])


@case("what a command fails to do comes again, after a while")
def _():
    seen = os.path.join(scratch(), "seen")
    script = f"echo >> {seen}; test $(wc -l < {seen}) -ge 3"
    with Lodged() as d:
        ok(d.lodge("pub", "fails", "x"))
        began = time.monotonic()
        done = d.lodge("sub", "fails", "-n", "1", "--exec", script)
        ok(done)
        assert time.monotonic() - began > 2.9, "1 s and 2 s of waiting"
        assert b"goes back" in done.stderr, done.stderr
        equal(drain(d, "fails"), [])


@case("jobs run side by side")
def _():
    with Lodged() as d:
        ok(d.lodge("pub", "jobs", "x", "-n", "6"))
        began = time.monotonic()
        ok(d.lodge("sub", "jobs", "-n", "6", "-j", "6", "--exec", "sleep 1"))
        assert time.monotonic() - began < 4, time.monotonic() - began


@case("a signal lets the running command finish, and the rest stays")
def _():
    with Lodged() as d:
        ok(d.lodge("pub", "stop", "--lines", input=b"a\nb\nc\n"))
        sub = Running(d, "sub", "stop", "--exec", "read x; echo start; sleep 1; echo end $x")
        wait_for("the first command", lambda: b"start" in sub.out())
        equal(sub.end(signal.SIGINT), 0)
        equal(sub.out(), b"start\nend a\n")
        equal(sorted(drain(d, "stop")), ["b", "c"])


@case("SIGINT while printing neither loses nor repeats")
def _():
    count, got = 30000, []
    with Lodged() as d:
        ok(d.lodge("pub", "sigint", "--lines", input=numbers(count)))
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            sub = Running(d, "sub", "sigint", "--prefetch", "50")
            wait_for("some output", lambda s=sub: len(s.out()) > 1000)
            equal(sub.end(sig), 0, sub.err())
            got += sub.lines()
        got += drain(d, "sigint")
    equal(sorted(got, key=int), [str(i) for i in range(count)])


@case("SIGKILL while printing loses nothing")
def _():
    count, got = 30000, []
    with Lodged() as d:
        ok(d.lodge("pub", "sigkill", "--lines", input=numbers(count)))
        sub = Running(d, "sub", "sigkill", "--prefetch", "50")
        wait_for("some output", lambda: len(sub.out()) > 1000)
        sub.end(signal.SIGKILL)
        got = sub.out().decode().split("\n")[:-1] + drain(d, "sigkill")
    equal(sorted(set(got), key=int), [str(i) for i in range(count)])


@case("what cannot be written is not acknowledged")
def _():
    with Lodged() as d:
        ok(d.lodge("pub", "full", "x"))
        with open("/dev/full", "wb") as full:
            done = subprocess.run([LODGE, "sub", "full"], stdout=full, stderr=subprocess.PIPE,
                                  env=d.client_env(), timeout=PATIENCE, check=False)
        equal(done.returncode, 1, done.stderr.decode())
        assert b"cannot write: No space left" in done.stderr, done.stderr
        equal(drain(d, "full"), ["x"])


@case("a reader that stops holds nothing up, and what it did not read comes again")
def _():
    count = 30000
    with Lodged() as d:
        ok(d.lodge("pub", "stuck", "--lines", input=numbers(count)))
        sub = subprocess.Popen([LODGE, "sub", "stuck"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=d.client_env())
        time.sleep(0.5)
        sub.send_signal(signal.SIGTERM)
        equal(sub.wait(20), 1)
        assert b"the output is not read" in sub.stderr.read()
        got = sub.stdout.read().decode().split("\n")[:-1] + drain(d, "stuck")
        sub.stdout.close()
        sub.stderr.close()
        equal(sorted(set(got), key=int), [str(i) for i in range(count)])


@case("a request gets the reply that its command wrote")
def _():
    with Lodged() as d:
        reply = Running(d, "reply", "upper", "--exec", "tr a-z A-Z", "--count", "3")
        for text in ("one", "two", "three"):
            equal(ok(d.lodge("request", "upper", text, "-t", "9s")).decode(), text.upper() + "\n")
        equal(reply.end(), 0, reply.err())
        done = d.lodge("request", "upper", "again", "--timeout", "300ms")
        equal(done.returncode, 3, done.stderr.decode())


@case("exit codes and errors are one line")
def _():
    with Lodged() as d:
        def fails(code, pattern, *args):
            done = d.lodge(*args)
            equal(done.returncode, code, done.stderr.decode())
            last = done.stderr.decode().splitlines()[-1]
            assert re.search(pattern, last), last

        fails(4, "cannot connect to 127.0.0.1:.*refused", "pub", "q", "x", "-s",
              f"127.0.0.1:{free_port()}")
        fails(4, "refused the connection", "pub", "q", "x", "--user", "nobody")
        fails(2, "--nosuch is not an option", "pub", "q", "--nosuch")
        fails(2, "DEST .TEXT. is missing", "pub")
        fails(2, "no command", "publish")
        fails(2, "must be .stomp", "pub", "q", "x", "-s", "h:99999")
        fails(1, "refused: ", "pub", "/nosuch/thing", "x")
        fails(1, "cannot subscribe: ", "sub", "/nosuch/thing")
        fails(3, "no message for 100 ms", "sub", "q", "-t", "100ms")


@case("nothing is lost when the daemon is killed and comes back")
def _():
    count = 6000
    with Lodged() as d:
        read_end, write_end = os.pipe()
        sub = Running(d, "sub", "breaks")
        pub = Running(d, "pub", "breaks", "--lines", stdin=read_end)
        os.close(read_end)
        for i in range(count):
            os.write(write_end, b"%d\n" % i)
            if i % 2000 == 1000:
                wait_for("something to arrive", lambda: sub.out())
                d.kill()
                time.sleep(0.2)
                d.start()
            elif i % 100 == 0:
                time.sleep(0.01)
        os.close(write_end)
        equal(pub.end(patience=30), 0, pub.err())
        assert "trying again" in pub.err(), pub.err()
        wanted = [str(i) for i in range(count)]
        wait_for("all messages", lambda: len(set(sub.lines())) >= count, 30)
        equal(sub.end(signal.SIGINT), 0, sub.err())
        equal(sorted(set(sub.lines()), key=int), wanted)


@case("a delayed message waits, an expired one is gone")
def _():
    with Lodged() as d:
        ok(d.lodge("pub", "later", "late", "--delay", "1500ms"))
        ok(d.lodge("pub", "later", "gone", "--ttl", "100ms"))
        time.sleep(0.3)
        began = time.monotonic()
        equal(ok(d.lodge("sub", "later", "-n", "1")), b"late\n")
        assert time.monotonic() - began > 0.8, time.monotonic() - began


@case("bench counts every message and says what is promised")
def _():
    with Lodged() as d:
        got = ok(d.lodge("bench", "both", "-n", "5000", "-c", "2", "--size", "64")).decode()
        assert "confirmed 5000 messages" in got and "received 5000 messages" in got, got
        assert "every message confirmed by a receipt (on disk when the server is lodged)" in got
        ok(d.lodge("bench", "pub", "-n", "1000"))
        assert b"received 1000 messages" in ok(d.lodge("bench", "sub", "-n", "1000"))


@case("every option is in the help, the completion and the manual")
def _():
    def lodge(*args):
        return ok(subprocess.run([LODGE, *args], capture_output=True, check=False)).decode()

    commands = lodge("help", "--words").split()
    with open(os.path.join(ROOT, "client/man/lodge.1"), encoding="utf-8") as f:
        common = f.read().replace("\\-", "-")
    for command in commands:
        assert command in lodge("help"), command
        path = os.path.join(ROOT, f"client/man/lodge-{command}.1")
        manual = common
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                manual += f.read().replace("\\-", "-")
        for word in lodge("help", "--words", command).split():
            assert word in lodge("help", command), (command, word)
            skip = word in ("--help", "-h", "--words") or len(word) == 2
            assert skip or word in manual, (command, word)


run()
