"""The servers of a run: a nats-server that can be stopped and wiped, and Eventus in two processes: relay and workers."""

import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.request

from sides import free_port, start

TOKEN = os.environ.get("ADMIN_TOKEN", "")
PASSWORD = "bench-nats-password"


def until(what, ask, seconds):
    """What `ask` gives once it is true."""
    end = time.time() + seconds
    while time.time() < end:
        found = ask()
        if found:
            return found
        time.sleep(0.02)
    raise SystemExit(f"bench: {what}: not within {seconds} s")


class Nats:
    """nats-server on a store that is ours. Other settings with each start."""

    def __init__(self, work, program):
        self.folder, self.program, self.child = work + "/spine-nats", program, None
        self.port, self.monitor = free_port(), free_port()
        os.makedirs(self.folder, exist_ok=True)
        self.url = f"nats://bench:{PASSWORD}@127.0.0.1:{self.port}"

    def start(self, always=False):
        sync = "sync_interval: always" if always else ""
        with open(self.folder + "/nats.conf", "w") as file:
            file.write(f"listen: 127.0.0.1:{self.port}\nhttp: 127.0.0.1:{self.monitor}\n"
                       f"authorization {{ user: bench, password: {PASSWORD} }}\n"
                       f"jetstream {{ store_dir: \"{self.folder}/store\"\n{sync} }}\n")
        self.child = start([self.program, "-c", self.folder + "/nats.conf"], dict(os.environ), self.folder + "/log")
        until("nats-server", lambda: self.ask("/healthz") is not None, 30)

    def stop(self):
        if self.child:
            self.child.terminate()
            self.child.wait(60)
            self.child = None

    def wipe(self):
        shutil.rmtree(self.folder + "/store", ignore_errors=True)

    def ask(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor}{path}", timeout=10) as answer:
                return json.load(answer)
        except OSError:
            return None

    def stream(self):
        """The stream and its consumers, as the server tells them; None while there is none."""
        said = self.ask("/jsz?streams=true&consumers=true&config=false") or {}
        for account in said.get("account_details") or []:
            for stream in account.get("stream_detail") or []:
                if stream["name"] == "EVENTS":
                    return stream
        return None

    def messages(self):
        stream = self.stream()
        return stream["state"]["messages"] if stream else 0


class Receiver(http.server.ThreadingHTTPServer):
    """Takes webhooks, and remembers their ids."""

    daemon_threads = True

    def __init__(self):
        self.port, self.got, self.ids, self.guard = free_port(), 0, set(), threading.Lock()
        super().__init__(("127.0.0.1", self.port), Taking)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Taking(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        with self.server.guard:
            self.server.got += 1
            self.server.ids.add(self.headers.get("webhook-id"))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Part:
    """One process of Eventus, some roles."""

    def __init__(self, program, roles, env, log):
        self.program, self.roles, self.env, self.log = program, roles, env, log
        self.child, self.admin = None, env["EVENTUS_ADMIN_LISTEN"]

    def start(self):
        self.child = start([self.program, "run", self.roles], self.env, self.log)
        until(self.roles, self.ready, 90)

    def ready(self):
        if self.child.poll() is not None:
            raise SystemExit(f"bench: {self.roles} ended, see {self.log}")
        try:
            with urllib.request.urlopen(f"http://{self.admin}/health/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self):
        if self.child and self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(40)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.child = None

    def metrics(self):
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=10) as answer:
            return answer.read().decode()


class Fleet:
    """`relay` is items, auth and gateway; `workers` are all consumers. One without the other goes, too."""

    def __init__(self, arguments, database, nats):
        self.port = free_port()
        grpc = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        dropped = ("EVENTUS_HOME", "EVENTUS_GRPC_LISTEN", "PORT", "EVENTUS_BIN", "EVENTUS_ADMIN_LISTEN")
        env = {key: value for key, value in os.environ.items() if key not in dropped} | {
            "DATABASE_URL": database.url(), "NATS_URL": nats.url, "SECRET": "bench-secret-of-more-than-32-characters",
            "HOST": "127.0.0.1", "PORT": str(self.port), "LOG_LEVEL": "warn", "ADMIN_EMAIL": "admin@example.com",
            "ADMIN_TOKEN": TOKEN, "EVENTUS_OUTBOUND_ALLOW": "127.0.0.1", "EVENTUS_OUTBOUND_PORTS": "*",
            "MAX_PAYLOAD_SIZE": "8mb",
        }
        for role, at in (("ITEMS", 0), ("AUTH", 0), ("HOOKS", 1), ("ANALYTICS", 1), ("WEBHOOKS", 1)):
            env[f"EVENTUS_{role}_URL"] = f"http://{grpc[at]}"
        parts = []
        for roles, at in (("items,auth,gateway", 0), ("hooks,analytics,webhooks,cdn-purge", 1)):
            own = env | {"EVENTUS_GRPC_LISTEN": grpc[at], "EVENTUS_ADMIN_LISTEN": f"127.0.0.1:{free_port()}"}
            parts.append(Part(arguments.program, roles, own, f"{arguments.work}/spine-{at}.log"))
        self.relay, self.workers = parts
        self.program, self.env = arguments.program, env

    def call(self, method, path, body=None):
        headers = {"authorization": "Bearer " + TOKEN, "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            text = answer.read()
            return json.loads(text)["data"] if text else None

    def command(self, *words):
        """`eventus WORDS`, to its end."""
        env = {key: self.env[key] for key in ("DATABASE_URL", "NATS_URL", "SECRET", "PATH") if key in self.env}
        done = subprocess.run([self.program, *words], env=env, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"bench: eventus {' '.join(words)}: {done.stderr}{done.stdout}")
        return done.stdout

    def stop(self):
        self.workers.stop()
        self.relay.stop()
