# SPDX-License-Identifier: MIT
"""The brokers that are measured: each on a port and in a directory of its own, ended with us.

While one is measured the others stand still (SIGSTOP), so that all can stay started."""
import atexit
import ctypes
import os
import resource
import shutil
import signal
import socket
import subprocess
import time

PATIENCE_S = 180
_libc = ctypes.CDLL(None)
_running = []


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _as_child():
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@atexit.register
def end_all():
    for server in list(_running):
        server.kill()


class Server:
    """name: in the tables; speak: what load speaks to it; promise: what its confirm means;
    load_options: what else load is told when it declares queues."""
    name = speak = promise = ""
    load_options = ()
    idle_connections = 10000
    backlog_share = 1  # of the messages that the restart section queues
    many_queues = True  # takes a thousand of them, and a restart, in seconds

    def __init__(self, home, **options):
        self.home = os.path.join(home, self.name.lower().replace(" ", "-"))
        self.options = options
        self.port = free_port()
        self.process = None
        self.launched_ns = 0
        self.stopped = False

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def version(self):
        raise NotImplementedError

    @classmethod
    def installed(cls):
        raise NotImplementedError

    @property
    def pid(self):
        return self.process.pid

    def launch(self):
        """Starts it and does not wait."""
        os.makedirs(self.home, exist_ok=True)
        with open(os.path.join(self.home, "log"), "ab") as log:
            self.launched_ns = time.monotonic_ns()
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.home,
                env=dict(os.environ, **self.environment()), preexec_fn=_as_child)
        _running.append(self)

    def listening_s(self):
        """Waits until it listens; seconds since launch()."""
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at its start: {self.log()[-800:]}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return (time.monotonic_ns() - self.launched_ns) / 1e9
            except OSError:
                if time.monotonic_ns() - self.launched_ns > PATIENCE_S * 1e9:
                    raise RuntimeError(f"{self.name} does not listen") from None
                time.sleep(0.001)

    def start(self):
        self.launch()
        return self.listening_s()

    def fresh(self):
        """Starts it with no data."""
        shutil.rmtree(self.home, ignore_errors=True)
        return self.start()

    def log(self):
        with open(os.path.join(self.home, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def pause(self):
        if self.process and not self.stopped:
            self.process.send_signal(signal.SIGSTOP)
            self.stopped = True

    def go_on(self):
        if self.process and self.stopped:
            self.process.send_signal(signal.SIGCONT)
            self.stopped = False

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.stopped = False
            _running.remove(self)

    def forget(self, queue):
        """Removes what a drained queue leaves behind."""


class Lodge(Server):
    """It listens for all its protocols; `speak` says which of the ports is measured."""
    name, speak = "Lodge", "stomp"
    promise = "on disk (fdatasync before the receipt)"
    bin_dir = "build"

    def __init__(self, home, **options):
        super().__init__(home, **options)
        self.ports = {protocol: free_port() for protocol in ("stomp", "amqp", "mqtt")}
        self.ports[self.speak] = self.port

    def command(self):
        sets = [f"--set={k}={v}" for k, v in self.options.get("settings", {}).items()]
        return [os.path.join(self.bin_dir, "lodged"), "--data", os.path.join(self.home, "data"),
                *[f"--{protocol}=127.0.0.1:{port}" for protocol, port in self.ports.items()],
                "--ws", "off", *sets]

    def environment(self):
        return self.options.get("environment", {})

    def version(self):
        return subprocess.check_output([self.command()[0], "--version"], text=True).split()[-1]

    @classmethod
    def installed(cls):
        return True


class LodgeAMQP(Lodge):
    name, speak = "Lodge AMQP", "amqp"
    promise = "on disk (fdatasync before the ack)"


class LodgeMQTT(Lodge):
    name, speak = "Lodge MQTT", "mqtt"
    promise = "on disk (fdatasync before the PUBACK)"


class Redis(Server):
    name, speak = "Redis", "redis"
    promise = "on disk (appendfsync always)"

    def command(self):
        return ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "",
                "--appendonly", "yes", "--appendfsync", "always", "--maxclients", "15000",
                "--dir", self.home]

    def version(self):
        words = subprocess.check_output(["redis-server", "--version"], text=True).split()
        return next(w[2:] for w in words if w.startswith("v="))

    @classmethod
    def installed(cls):
        return shutil.which("redis-server")

    def forget(self, queue):
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as s:
            s.sendall(b"FLUSHALL\r\n")
            s.recv(100)


class RabbitMQ(Server):
    name, speak = "RabbitMQ", "stomp"
    promise = "on disk (3.x classic queue)"
    idle_connections = 1000
    backlog_share = 0.1
    many_queues = False
    script = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # the one in PATH changes the user
    plugins = "rabbitmq_stomp"

    def listeners(self):
        return f"listeners.tcp = none\nstomp.listeners.tcp.1 = 127.0.0.1:{self.port}\n"

    def command(self):
        with open(os.path.join(self.home, "rabbitmq.conf"), "w", encoding="utf-8") as f:
            f.write(self.listeners() + "log.file.level = warning\n")
        with open(os.path.join(self.home, "enabled_plugins"), "w", encoding="utf-8") as f:
            f.write(f"[{self.plugins}].\n")
        return [self.script]

    def environment(self):
        def at(name):
            return os.path.join(self.home, name)
        if "ports" not in self.options:
            self.options["ports"] = (str(free_port()), str(free_port()))
        epmd, dist = self.options["ports"]
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {"HOME": self.home, "RABBITMQ_NODENAME": f"bench{os.getpid()}@localhost",
                "ERL_EPMD_PORT": epmd, "ERL_EPMD_ADDRESS": "127.0.0.1",
                "RABBITMQ_DIST_PORT": dist, "RABBITMQ_MNESIA_BASE": at("data"),
                "RABBITMQ_LOG_BASE": at("logs"), "RABBITMQ_CONFIG_FILE": at("rabbitmq"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": at("enabled_plugins"),
                "RABBITMQ_CONF_ENV_FILE": at("none"), "RABBITMQ_PID_FILE": at("pid"),
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": loopback,
                "RUNNING_UNDER_SYSTEMD": "true"}  # no shell between us and it

    def kill(self):
        super().kill()
        if "ports" in self.options:  # its port mapper stays behind
            subprocess.run(["epmd", "-kill"], stdout=subprocess.DEVNULL, check=False,
                           stderr=subprocess.DEVNULL,
                           env=dict(os.environ, ERL_EPMD_PORT=self.options["ports"][0]))

    def version(self):
        link = os.path.realpath(self.script)
        return next((d.split("-")[-1] for d in link.split("/")
                     if d.startswith("rabbitmq_server-")), "?")

    @classmethod
    def installed(cls):
        return os.path.exists(cls.script) and shutil.which("epmd")


class RabbitMQQuorum(RabbitMQ):
    """A quorum queue of one node: as durable as it gets there without others."""
    name, speak = "RabbitMQ AMQP quorum", "amqp"
    promise = "on disk (quorum queue, its log synced)"
    load_options = ("--queue-arg", "x-queue-type=quorum")
    plugins = ""

    def listeners(self):
        return f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"


class Beanstalkd(Server):
    name, speak = "beanstalkd", "beanstalk"
    promise = "on disk (-f0)"
    backlog_share = 0.02

    def command(self):
        os.makedirs(os.path.join(self.home, "data"), exist_ok=True)
        return ["beanstalkd", "-l", "127.0.0.1", "-p", str(self.port), "-f0",
                "-b", os.path.join(self.home, "data")]

    def version(self):
        return subprocess.check_output(["beanstalkd", "-v"], text=True).split()[-1]

    @classmethod
    def installed(cls):
        return shutil.which("beanstalkd")


class Mosquitto(Server):
    """Without persistence, which it would write from time to time and not before a PUBACK."""
    name, speak = "mosquitto", "mqtt"
    promise = "in memory, nothing on disk"
    script = "/usr/sbin/mosquitto"

    def command(self):
        path = os.path.join(self.home, "mosquitto.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
                    "max_inflight_messages 0\nmax_queued_messages 0\nset_tcp_nodelay true\n"
                    "log_dest none\n")
        return [self.script, "-c", path]

    def version(self):
        said = subprocess.run([self.script, "-h"], capture_output=True, text=True, check=False)
        return said.stdout.split()[2]

    @classmethod
    def installed(cls):
        return os.access(cls.script, os.X_OK)


PEERS = {"redis": Redis, "rabbitmq": RabbitMQ, "beanstalkd": Beanstalkd}
AMQP_PEERS = {"redis": Redis, "rabbitmq": RabbitMQQuorum}  # beside Lodge AMQP
MQTT_PEERS = {"mosquitto": Mosquitto}  # beside Lodge MQTT
