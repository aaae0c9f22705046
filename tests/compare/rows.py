"""The database behind a side, by psql: keeps its rows aside, says what has changed since, puts everything back."""

import json
import subprocess

# Written by a server for itself, or compared through the API.
LEFT_ALONE = {"directus_activity", "directus_revisions", "directus_sessions", "directus_migrations", "directus_settings",
              "spatial_ref_sys"}
SEEN = "'{last_access,last_page}'"  # a server writes them when a user is seen


class Rows:
    """One connection of a superuser (it puts rows back past foreign keys). `keep` once, then `changes` and `restore`."""

    def __init__(self, url, psql="psql"):
        command = [psql, "-qAtX", "-v", "ON_ERROR_STOP=0", url]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, bufsize=1, encoding="utf-8")
        self.run("SET client_min_messages = error; SET synchronous_commit = off;")
        self.tables, self.marked = [], {}

    def run(self, sql):
        self.process.stdin.write(sql + "\n\\echo <<done>>\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line == "<<done>>\n":
                break
            lines.append(line[:-1])
        else:
            raise SystemExit("psql went away:\n" + "\n".join(lines))
        wrong = [line for line in lines if "ERROR:  " in line or "FATAL:  " in line]
        if wrong:
            raise SystemExit(f"{wrong[0]}\n{sql[:2000]}")
        return lines

    def keep(self):
        """Copies every table and the place of every sequence into the schema `compare`. If it is there, a run was here
        before: everything is put back to what it held then."""
        if self.run("SELECT 1 FROM pg_tables WHERE schemaname = 'compare' AND tablename = 'kept';"):
            self.tables = self.run("SELECT name FROM compare.kept ORDER BY 1;")
            return self.restore(self.tables)
        self.run("DROP SCHEMA IF EXISTS compare CASCADE; CREATE SCHEMA compare;")
        named = self.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1;")
        self.tables = [name for name in named if name not in LEFT_ALONE]
        for name in self.tables:
            self.run(f'CREATE TABLE compare."{name}" AS TABLE public."{name}";')
            self.run(f'CREATE TABLE compare."{name}:text" AS SELECT (to_jsonb(t) - {SEEN}::text[])::text AS line '
                     f'FROM public."{name}" t;')
        self.run("CREATE TABLE compare.sequences AS SELECT format('%I.%I', schemaname, sequencename) AS name, "
                 "coalesce(last_value, start_value) AS value, last_value IS NOT NULL AS called FROM pg_sequences "
                 "WHERE schemaname = 'public' AND sequencename !~ '^directus_(activity|revisions)_';")
        names = ", ".join(f"('{name}')" for name in self.tables)
        self.run(f"CREATE TABLE compare.kept (name) AS VALUES {names}; ANALYZE;")

    def fingerprint(self):
        """What is kept, in one text: equal on both sides."""
        parts = [f"SELECT '{name}', md5(coalesce(string_agg(line, ',' ORDER BY line), '')) FROM compare.\"{name}:text\""
                 for name in self.tables]
        parts.append("SELECT name, value || called::text FROM compare.sequences")
        return {line.split("|")[0]: line.split("|", 1)[1] for line in self.run("\nUNION ALL ".join(parts) + ";")}

    def changes(self):
        """{table: (rows that are new, rows that are gone)}; a changed row is both. Rows are objects."""
        marks, parts = self.marks(), []
        for name in [name for name in self.tables if marks[name] != self.marked.get(name)]:
            now = f'SELECT (to_jsonb(t) - {SEEN}::text[])::text AS line FROM public."{name}" t'
            then = f'SELECT line FROM compare."{name}:text"'
            parts.append(f"SELECT '+{name}', line FROM ({now} EXCEPT ALL {then}) a")
            parts.append(f"SELECT '-{name}', line FROM ({then} EXCEPT ALL {now}) b")
        found = {}
        for line in self.run("\nUNION ALL ".join(parts) + ";") if parts else []:
            head, _, row = line.partition("|")
            found.setdefault(head[1:], ([], []))[head[0] == "-"].append(json.loads(row, parse_float=str))
        return found

    def marks(self):
        """{table: a mark that every change of a row leaves}: only what moved has to be compared row by row."""
        parts = [f"SELECT '{name}', count(*), max(xmin::text::bigint) FROM public.\"{name}\"" for name in self.tables]
        return {line.partition("|")[0]: line.partition("|")[2] for line in self.run("\nUNION ALL ".join(parts) + ";")}

    def restore(self, tables):
        """Puts these tables and every sequence back."""
        statements = ["BEGIN; SET LOCAL session_replication_role = replica;"]
        for name in tables:
            statements.append(f'DELETE FROM public."{name}"; INSERT INTO public."{name}" SELECT * FROM compare."{name}";')
        statements.append("SELECT count(setval(name::regclass, value, called)) FROM compare.sequences; COMMIT;")
        self.run("\n".join(statements))
        self.marked = self.marks()
