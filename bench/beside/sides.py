"""The servers that are compared: Eventus in one process, Eventus in processes, and the original."""

import os
import re
import signal
import socket
import subprocess

from seed import call

ROLES = ["items", "auth", "hooks", "analytics", "webhooks", "cdn-purge", "gateway"]
EMAIL = "admin@example.com"


class Side:
    """One server, or one fleet of them."""

    def __init__(self, name, base, token, pids, children=()):
        self.name, self.base, self.token, self.pids, self.children = name, base, token, pids, list(children)
        self.idle = 0.0

    def stop(self):
        for child in self.children:
            child.send_signal(signal.SIGTERM)
        for child in self.children:
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(command, env, log, cwd=None):
    with open(log, "w") as file:
        return subprocess.Popen(command, env=env, stdout=file, stderr=subprocess.STDOUT, cwd=cwd)


class Sides:
    """Starts them, all on one database."""

    def __init__(self, arguments, database, token):
        self.arguments, self.database, self.token = arguments, database, token
        self.work = arguments.work

    def bootstrap(self):
        """The original makes the database and Eventus takes it over; without the original it is Eventus's own."""
        self.database.create()
        if self.arguments.original:
            command = [self.arguments.node, "node_modules/directus/cli.js", "bootstrap"]
            child = start(command, self.original_env(free_port()), self.work + "/bootstrap.log", self.arguments.original)
            if child.wait(300):
                raise SystemExit(f"the original could not be set up, see {self.work}/bootstrap.log")

    def eventus_env(self):
        with open(self.work + "/log") as file:
            nats = re.search(r"NATS\s+(nats://\S+)", file.read()).group(1)
        dropped = ("EVENTUS_HOME", "EVENTUS_GRPC_LISTEN", "PORT", "EVENTUS_BIN")
        env = {key: value for key, value in os.environ.items() if key not in dropped}
        return env | {
            "DATABASE_URL": self.database.url(), "NATS_URL": nats, "SECRET": "bench-secret-of-more-than-32-characters",
            "HOST": "127.0.0.1", "LOG_LEVEL": "warn", "EVENTUS_ADMIN_LISTEN": "127.0.0.1:0",
            "EVENTUS_SUBJECT_PREFIX": "beside", "ADMIN_EMAIL": EMAIL, "ADMIN_TOKEN": self.token,
        }

    def all_in_one(self):
        port = free_port()
        env = self.eventus_env() | {"PORT": str(port)}
        child = start([self.arguments.program, "run", "all"], env, self.work + "/all.log")
        side = Side("all in one", f"http://127.0.0.1:{port}", self.token, [child.pid], [child])
        call(side.base, side.token, "/collections", patience=60)
        return side

    def split(self):
        """One process for each role."""
        ports = {role: free_port() for role in ROLES}
        env = self.eventus_env()
        for role in ("items", "auth", "hooks", "analytics", "webhooks"):
            env[f"EVENTUS_{role.upper()}_URL"] = f"http://127.0.0.1:{ports[role]}"
        children = []
        for role in ROLES:
            own = dict(env)
            if role == "gateway":
                own["PORT"] = str(ports[role])
            elif role != "cdn-purge":
                own["EVENTUS_GRPC_LISTEN"] = f"127.0.0.1:{ports[role]}"
            children.append(start([self.arguments.program, "run", role], own, f"{self.work}/{role}.log"))
        base = f"http://127.0.0.1:{ports['gateway']}"
        side = Side("split", base, self.token, [child.pid for child in children], children)
        call(side.base, side.token, "/items/articles?limit=1", patience=60)
        return side

    def original_env(self, port):
        """Its best configuration: the schema is frozen in memory, answers are not kept."""
        env = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG")}
        for folder in ("uploads", "extensions"):
            os.makedirs(f"{self.work}/{folder}", exist_ok=True)
        return env | {
            "HOST": "127.0.0.1", "PORT": str(port), "PUBLIC_URL": f"http://127.0.0.1:{port}", "DB_CLIENT": "pg",
            "DB_HOST": self.database.socket, "DB_PORT": self.database.port, "DB_USER": self.database.user,
            "DB_PASSWORD": "none", "DB_DATABASE": self.database.name, "KEY": "bench",
            "SECRET": "bench-secret-0123456789abcdef0123456789", "ADMIN_EMAIL": EMAIL, "ADMIN_PASSWORD": "bench-password",
            "ADMIN_TOKEN": self.token, "TELEMETRY": "false", "RATE_LIMITER_ENABLED": "false",
            "PRESSURE_LIMITER_ENABLED": "false", "SERVE_APP": "false", "WEBSOCKETS_ENABLED": "false",
            "CACHE_ENABLED": "false", "CACHE_SCHEMA": "true", "CACHE_SCHEMA_FREEZE_ENABLED": "true",
            "EMAIL_VERIFY_SETUP": "false", "LOG_LEVEL": "warn", "LOG_STYLE": "raw", "TZ": "UTC",
            "NODE_ENV": "production", "STORAGE_LOCAL_ROOT": self.work + "/uploads",
            "EXTENSIONS_PATH": self.work + "/extensions",
        }

    def original(self):
        port = free_port()
        command = [self.arguments.node, "node_modules/directus/cli.js", "start"]
        child = start(command, self.original_env(port), self.work + "/original.log", self.arguments.original)
        side = Side("original", f"http://127.0.0.1:{port}", self.token, [child.pid], [child])
        call(side.base, side.token, "/items/articles?limit=1", patience=120)
        return side
