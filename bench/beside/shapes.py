"""The shapes of reads that are measured: the request, the hand-written SQL beside it, and the bars."""

from dataclasses import dataclass

LISTED = "fields=id,title,status,word_count,published_at"
OWN = "fields=id,title,slug,content,status,word_count,price,published_at,author"
PUBLISHED = "filter[status][_eq]=published&sort=-published_at&limit=25"


@dataclass(frozen=True)
class Bars:
    """What a shape has to reach. None: stated only."""

    original: float | None = 4.0  # times the original's requests a second, all in one
    original_split: float | None = None  # the same, in processes
    peer: float | None = 0.60  # of pgbench with the plan's SQL, all in one
    peer_split: float | None = 0.45
    tail: float | None = 0.1  # of the original's p99
    cpu: float | None = 0.05  # of the original's server CPU, PostgreSQL left out


@dataclass(frozen=True)
class Shape:
    """One kind of request. `key` stands for a number that is another one each time."""

    name: str
    path: str
    sql: str | None  # in bench/sql
    bars: Bars = Bars()
    slow: bool = False  # the original needs seconds for one
    marks: bool = False  # measured after the collection has been marked for full-text search

    def varies(self):
        return "{key}" in self.path

    def script(self):
        """What wrk is told beside the headers."""
        if not self.varies():
            return ""
        head, tail = self.path.split("{key}")
        return f'request = function() return wrk.format("GET", "{head}" .. math.random(1, 100000) .. "{tail}") end\n'


ONE = Bars(original=20, original_split=14, peer=0.20, peer_split=None)

SHAPES = [
    Shape("read by id", f"/items/articles/{{key}}?{OWN}", "read_by_id.sql", ONE),
    Shape("read by id, keys of its tags too", "/items/articles/{key}", "read_by_id_tags.sql", ONE),
    Shape("list 25, filter and sort", f"/items/articles?{LISTED}&{PUBLISHED}", "list.sql"),
    Shape("list with m2o", f"/items/articles?{LISTED},author.id,author.name&{PUBLISHED}", "m2o.sql"),
    Shape("list with m2m", f"/items/articles?{LISTED},tags.tags_id.id,tags.tags_id.name&{PUBLISHED}", "m2m.sql"),
    Shape("deep filter, m2o", f"/items/articles?{LISTED}&filter[author][name][_eq]=author 77&sort=-published_at&limit=25",
          "deep_m2o.sql"),
    Shape("deep filter, m2m",
          f"/items/articles?{LISTED}&filter[tags][tags_id][name][_eq]=tag 77&sort=-published_at&limit=25",
          "deep_m2m.sql"),
    Shape("search", f"/items/articles?{LISTED}&search=Title 77777&limit=25", "search.sql",
          Bars(original=None, tail=None, cpu=None), slow=True),
    Shape("aggregate and groupBy", "/items/articles?aggregate[count]=*&aggregate[avg]=word_count&groupBy[]=status",
          "aggregate.sql", Bars(original=None, tail=None)),
    Shape("search, indexed", f"/items/articles?{LISTED}&search=Title 77777&limit=25", None,
          Bars(original=200, peer=None, peer_split=None), slow=True, marks=True),
]
