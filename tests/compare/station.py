"""One side of a mutation: the server, the database behind it, and all that one mutation has done there."""

from dataclasses import dataclass, field as member

from surface import Answer, Request, Side


@dataclass
class Outcome:
    """What a mutation was answered, which rows it changed, and what the history says of it."""
    answer: Answer
    changes: dict = member(default_factory=dict)
    activity: list = member(default_factory=list)    # oldest first
    revisions: list = member(default_factory=list)


class Station:
    def __init__(self, url, token, writer_token, rows):
        self.admin, self.writer, self.rows = Side(url, token), Side(url, writer_token), rows
        self.last = None

    def newest(self, path):
        found = self.admin.get(path, sort="-id", limit=1, fields="id")
        return found[0]["id"] if found else 0

    def run(self, mutation):
        """Does it, looks at what it has done, and puts everything back."""
        if self.last is None:
            self.last = [self.newest("/activity"), self.newest("/revisions")]
        answer = self.asked(mutation)
        outcome = Outcome(answer, self.changed(mutation))
        outcome.activity = self.since("/activity", 0, "id,action,collection,item,user")
        outcome.revisions = self.since("/revisions", 1, "id,activity,collection,item,data,delta,parent")
        self.rows.restore(outcome.changes)
        return outcome

    def asked(self, mutation):
        if mutation.token:
            return Side(self.admin.url, mutation.token).ask(mutation, once=True)
        return (self.writer if mutation.writer else self.admin).ask(mutation, once=True)

    def changed(self, mutation):
        return self.rows.changes()

    def since(self, path, which, fields):
        """What is new in a list, oldest first."""
        asked = [("sort", "-id"), ("limit", "200"), ("fields", fields)]
        answer = self.admin.ask(Request(path, asked))
        if answer.status != 200:
            raise SystemExit(f"{self.admin.url}{path} answers {answer.status}: {answer.text[:300]}")
        found = [one for one in reversed(answer.json()["data"]) if one["id"] > self.last[which]]
        if found:
            self.last[which] = found[-1]["id"]
        return found
