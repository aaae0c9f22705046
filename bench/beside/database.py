"""The one PostgreSQL that everybody works on, and what it says of the statements it was sent."""

import contextlib
import glob
import os
import re
import shutil
import subprocess
import time


class Database:
    """The private server of a fleet under `home`."""

    def __init__(self, home):
        folder = home + "/postgres"
        with open(folder + "/data/postmaster.pid") as file:
            lines = file.read().splitlines()
        self.pid, self.port, self.socket = int(lines[0]), lines[3], lines[4]
        self.log, self.user, self.name = folder + "/server.log", "eventus", "beside"
        self.pid = self.outer_pid()
        self.bin = self.find_bin()
        self.idle = 0.0

    def outer_pid(self):
        """The process id as we see it: in its own namespace the server may have another."""
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    with open(f"/proc/{entry}/cmdline") as file:
                        words = file.read().split("\0")
                    if "postgres" in words[0] and any(self.socket in word for word in words):
                        return int(entry)
        return self.pid

    def find_bin(self):
        options = glob.glob(os.environ.get("EVENTUS_BIN", "") + "/postgres/**/bin", recursive=True)
        options += sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
        found = [folder for folder in options if os.path.exists(folder + "/pgbench")]
        return found[0] if found else os.path.dirname(shutil.which("pgbench"))

    def create(self):
        self.psql(f"CREATE DATABASE {self.name};", "eventus")

    def psql(self, sql, database=None):
        command = [self.bin + "/psql", "-h", self.socket, "-U", self.user, "-d", database or self.name, "-qAt",
                   "-v", "ON_ERROR_STOP=1", "-f", "-"]
        done = subprocess.run(command, input=sql, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"psql: {done.stderr}\n{sql}")
        return done.stdout.strip()

    def url(self):
        host = self.socket.replace("/", "%2F")
        return f"postgres:///{self.name}?host={host}&port={self.port}&user={self.user}"

    def setting(self, name, value):
        self.psql(f"ALTER SYSTEM SET {name} = {value};\nSELECT pg_reload_conf();")

    def statement(self, act, table):
        """The statement over a table that `act` has sent, with the values of its parameters."""
        self.setting("log_statement", "'all'")
        time.sleep(0.3)
        with open(self.log, errors="replace") as file:
            file.seek(0, os.SEEK_END)
            act()
            end = time.time() + 5
            found = None
            text = ""
            while found is None and time.time() < end:
                time.sleep(0.1)
                text += file.read()
                found = find_statement(text, table)
        self.setting("log_statement", "DEFAULT")
        if found is None:
            raise SystemExit(f"PostgreSQL's log has no statement over {table}; see {self.log}")
        return found

    def count(self, act, table):
        """How many statements `act` takes: those of the sessions that name the table meanwhile, PostgreSQL's log says."""
        self.setting("log_statement", "'all'")
        time.sleep(0.3)
        with open(self.log, errors="replace") as file:
            file.seek(0, os.SEEK_END)
            act()
            # Not longer: the session that is counted may be the next one that a poll is given.
            time.sleep(0.1)
            text = file.read()
        self.setting("log_statement", "DEFAULT")
        sessions, named = {}, set()
        for session, sent in re.findall(r"\[(\d+)\] LOG:\s+(?:execute [^:]+|statement): (.*)", text):
            sessions[session] = sessions.get(session, 0) + 1
            if f'"{table}"' in sent:
                named.add(session)
        return sum(sessions[session] for session in named)


def find_statement(text, table):
    lines = text.splitlines()
    for at, line in enumerate(lines):
        sent = re.search(r"LOG:\s+execute [^:]+: (.*)", line)
        if not sent or not re.search(rf'"public"\."{table}"', sent.group(1)):
            continue
        detail = lines[at + 1] if at + 1 < len(lines) else ""
        values = re.findall(r"\$(\d+) = (NULL|'(?:[^']|'')*')", detail if "DETAIL" in detail else "")
        return sent.group(1), {int(number): unquoted(value) for number, value in values}
    return None


def unquoted(value):
    return None if value == "NULL" else value[1:-1].replace("''", "'")


def for_pgbench(sql, values, key=None):
    """A statement as pgbench's script and variables. `key` is the value that is another one each time."""
    variables = {}

    def placeholder(found):
        number = int(found.group(1))
        value = values[number]
        if value is None:
            return "NULL"
        if key is not None and value == key:
            return ":key"
        variables[f"p{number}"] = value
        return f":p{number}"

    pieces = re.split(r"('(?:[^']|'')*')", sql)
    for at, piece in enumerate(pieces):
        if at % 2 == 0:
            pieces[at] = re.sub(r"\$(\d+)", placeholder, piece)
        elif re.search(r":\w", piece):
            # pgbench takes what follows a colon for a variable, in a literal too.
            pieces[at] = "(" + re.sub(r":(?=\w)", ":' || '", piece) + ")"
    head = "\\set key random(1, 100000)\n" if key is not None else ""
    return head + "".join(pieces) + ";\n", variables
