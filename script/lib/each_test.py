"""Runs every test in a process of its own, as cargo-nextest does, for machines that don't have it.

usage: each_test.py MESSAGES [FILTER...]
MESSAGES is what `cargo test --no-run --message-format json-render-diagnostics` printed. With filters only tests whose
name contains one of them run. Tests of the system suite run three at a time, others as many as there are processors, but
at least four. Ends with 1 when a test failed.
"""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

SYSTEM = ("system-tests", "torture")
SECONDS = {True: 300, False: 180}


def programs(path):
    """(package, folder, program) of every test program."""
    for line in open(path):
        message = json.loads(line)
        if message.get("reason") != "compiler-artifact" or not message.get("executable"):
            continue
        if message["profile"]["test"]:
            folder = os.path.dirname(message["manifest_path"])
            yield message["package_id"].split("#")[-1].split("@")[0].split("/")[-1], folder, message["executable"]


def names(program, filters):
    listed = subprocess.run([program, "--list", "--format", "terse"], capture_output=True, text=True, check=True)
    found = [line[: -len(": test")] for line in listed.stdout.splitlines() if line.endswith(": test")]
    return [name for name in found if not filters or any(part in name for part in filters)]


def run(test, gate):
    package, folder, program, name = test
    system = package in SYSTEM or os.path.basename(folder) in SYSTEM or folder.endswith("/tests")
    with gate[system]:
        begun = time.time()
        command = [program, "--exact", name, "--nocapture", "--test-threads", "1"]
        environment = dict(os.environ, CARGO_MANIFEST_DIR=folder)
        try:
            done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, text=True,
                                  errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS[system])
            good, output = done.returncode == 0, done.stdout
        except subprocess.TimeoutExpired as late:
            good, output = False, (late.stdout or b"").decode(errors="replace") + "\nnot over in time\n"
    return good, f"{os.path.basename(folder)}::{name}", time.time() - begun, output


def main():
    path, filters = sys.argv[1], sys.argv[2:]
    tests = [(package, folder, program, name)
             for package, folder, program in programs(path) for name in names(program, filters)]
    width = max(4, os.cpu_count() or 4)
    gate = {True: threading.Semaphore(3), False: threading.Semaphore(width)}
    print(f"{len(tests)} tests", flush=True)
    failed = []
    with ThreadPoolExecutor(width + 2) as pool:
        for good, name, seconds, output in pool.map(lambda test: run(test, gate), tests):
            if not good:
                failed.append(name)
                print(f"---- FAILED {name} ({seconds:.1f} s)\n{output}", flush=True)
    print(f"{len(tests) - len(failed)} passed, {len(failed)} failed" + "".join(f"\n  {name}" for name in failed), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
