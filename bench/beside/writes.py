"""The shapes of writes that are measured: the request, how many items it writes, and the bars."""

import json
from dataclasses import dataclass

from shapes import Bars

ONE = {"title": "bench", "slug": "b", "status": "draft", "word_count": 5}
STATED = Bars(original=None, peer=None, peer_split=None, tail=None, cpu=None)
# Keys of the seeded posts; what is deleted lies above, and is made just before.
SEEDED = 100_000


def bars(original, peer=None):
    return Bars(original=original, peer=peer, peer_split=None, tail=None, cpu=None)


@dataclass(frozen=True)
class Write:
    """One kind of write. `{key}` in the path and `{low}`, `{high}` in the body are others each time."""

    name: str
    method: str
    path: str
    body: str | None = None
    items: int = 1  # written by one request
    bars: Bars = STATED
    statements: int | None = None  # at most, for one request
    has_plan: bool = False  # one statement, which pgbench does too
    slow: bool = False  # one request after the other, each takes seconds
    eats: bool = False  # each request needs an item of its own

    def script(self, first=1):
        """What wrk is told beside the headers. `first`: the first key that a delete takes."""
        lines = ['wrk.headers["Content-Type"] = "application/json"']
        lines.append(f"local body = {json.dumps(self.body)}" if self.body else "local body = nil")
        if self.eats:
            lines += [f"local key = {first - 1}", "local next = function() key = key + 1; return key end"]
        else:
            lines.append(f"local next = function() return math.random(1, {SEEDED - 1000}) end")
        lines += ["local fixed", "request = function()"]
        if "{key}" in self.path or "{low}" in (self.body or ""):
            lines += ["  local key = next()", f'  local path = ("{self.path}"):gsub("{{key}}", key)',
                      '  local sent = body and body:gsub("{low}", key):gsub("{high}", key + 999)',
                      f'  return wrk.format("{self.method}", path, nil, sent)']
        else:
            # Always the same: made once, so that wrk stays out of the way.
            lines += [f'  fixed = fixed or wrk.format("{self.method}", "{self.path}", nil, body)', "  return fixed"]
        return "\n".join([*lines, "end"]) + "\n"

    def once(self, key):
        """(method, path, body) of one request."""
        body = None
        if self.body:
            body = json.loads(self.body.replace("{low}", str(key)).replace("{high}", str(key + 999)))
        return self.method, self.path.replace("{key}", str(key)), body


def many(count):
    return json.dumps([ONE] * count)


BY_QUERY = ('{"query":{"filter":{"id":{"_between":["{low}","{high}"]}},"limit":1000},'
            '"data":{"status":"archived"}}')
NESTED = json.dumps(ONE | {
    "comments": [{"text": f"comment {number}"} for number in range(5)],
    "tags": [{"tags_id": number + 1} for number in range(5)]})

WRITES = [
    Write("create one", "POST", "/items/posts", json.dumps(ONE), 1, bars(20, 0.35), has_plan=True),
    Write("create 100", "POST", "/items/posts?fields=id", many(100), 100, bars(30, 0.40), statements=5, has_plan=True),
    Write("create 10,000", "POST", "/items/posts?fields=id", many(10_000), 10_000, slow=True),
    Write("update one", "PATCH", "/items/posts/{key}", '{"title":"changed"}', 1, bars(20)),
    Write("update 1,000 by query", "PATCH", "/items/posts?fields=id", BY_QUERY, 1000),
    Write("delete one", "DELETE", "/items/posts/{key}", None, 1, bars(10), eats=True),
    Write("nested create (1 + 5 + 5)", "POST", "/items/posts?fields=id", NESTED, 11),
]
