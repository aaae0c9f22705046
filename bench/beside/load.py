"""Load (wrk, pgbench) and what it costs: rates, latencies, CPU of processes."""

import math
import os
import re
import resource
import subprocess
import time
from dataclasses import dataclass

TICK = os.sysconf("SC_CLK_TCK")
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}


@dataclass
class Round:
    """One measurement. Times are milliseconds; CPU is milliseconds for one request."""

    rate: float
    p50: float = 0.0
    p99: float = 0.0
    cpu: float = 0.0  # the server's processes
    postgres: float = 0.0
    bad: int = 0  # refusals
    load: float = 0.0  # share of one core that the load generator took


def fields(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


def cpu_of(pids):
    """Seconds of CPU that processes have taken."""
    total = 0
    for pid in pids:
        try:
            total += sum(int(ticks) for ticks in fields(pid)[11:13])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total / TICK


def family_cpu(parent):
    """Seconds of CPU of a process, its children and those that it has buried."""
    total = sum(int(ticks) for ticks in fields(parent)[11:15])
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = fields(entry)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if stat[1] == str(parent):
                total += sum(int(ticks) for ticks in stat[11:13])
    return total / TICK


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def milliseconds(text):
    found = re.fullmatch(r"([\d.]+)([a-z]+)", text)
    # Not one answer came in time.
    return float(found.group(1)) * UNITS[found.group(2)] if found else math.inf


class Load:
    """Both load generators, with the same number of connections."""

    def __init__(self, work, database, connections):
        self.work, self.database, self.connections = work, database, connections

    def taken(self, side):
        """Seconds of CPU so far: of the side, of PostgreSQL, of the load generators."""
        return cpu_of(side.pids), family_cpu(self.database.pid), children_cpu()

    def rest(self, sides, seconds):
        """What everybody takes of a second when nobody asks: polls, leases, timers. It is no request's."""
        before = [self.taken(side) for side in sides]
        time.sleep(seconds)
        for side, first in zip(sides, before):
            now = self.taken(side)
            side.idle, self.database.idle = (now[0] - first[0]) / seconds, (now[1] - first[1]) / seconds

    def wrk(self, side, shape, seconds, told=None):
        """Requests over HTTP to one side. `told`: what wrk is told, if it is not the shape's own."""
        script = self.work + "/scenario.lua"
        with open(script, "w") as file:
            file.write(f'wrk.headers["Authorization"] = "Bearer {side.token}"\nmath.randomseed(os.time())\n')
            file.write(shape.script() if told is None else told)
        path = shape.path.replace("{key}", "1").replace(" ", "%20")
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "--timeout", "60s", "--latency",
                   "-s", script, side.base + path]
        before = self.taken(side)
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        after = self.taken(side)
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        bad = int(bad.group(1)) if bad else 0
        if bad and not shape.slow:
            raise SystemExit(f"{side.name}: {path}: {bad} bad answers\n{text}")
        requests = int(re.search(r"(\d+) requests in", text).group(1))
        each = 1000 / max(requests, 1)
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
        return Round(
            # A server that has enough to do says so; only answers count.
            rate=rate * (requests - bad) / max(requests, 1),
            bad=bad,
            p50=milliseconds(re.search(r"^\s+50%\s+(\S+)", text, re.M).group(1)),
            p99=milliseconds(re.search(r"^\s+99%\s+(\S+)", text, re.M).group(1)),
            cpu=max(after[0] - before[0] - side.idle * seconds, 0) * each,
            postgres=max(after[1] - before[1] - self.database.idle * seconds, 0) * each,
            load=(after[2] - before[2]) / seconds,
        )

    def pgbench(self, script, variables, seconds):
        """The same as SQL, without us."""
        path = self.work + "/scenario.sql"
        with open(path, "w") as file:
            file.write(script)
        command = [self.database.bin + "/pgbench", "-h", self.database.socket, "-U", self.database.user, "-n", "-M",
                   "prepared", "-j", "1", "-c", str(self.connections), "-T", str(seconds), "-f", path]
        for name, value in variables.items():
            command += ["-D", f"{name}={value}"]
        before = family_cpu(self.database.pid), children_cpu()
        done = subprocess.run([*command, self.database.name], capture_output=True, text=True)
        # The sessions end now; what a process has taken counts with its parent once it is buried.
        time.sleep(0.3)
        after = family_cpu(self.database.pid), children_cpu()
        if done.returncode:
            raise SystemExit(f"pgbench: {done.stderr}\n{script}")
        rate = float(re.search(r"tps = ([\d.]+)", done.stdout).group(1))
        latency = float(re.search(r"latency average = ([\d.]+)", done.stdout).group(1))
        count = int(re.search(r"actually processed: (\d+)", done.stdout).group(1))
        postgres = max(after[0] - before[0] - self.database.idle * seconds, 0) * 1000 / max(count, 1)
        return Round(rate=rate, p50=latency, postgres=postgres, load=(after[1] - before[1]) / seconds)
