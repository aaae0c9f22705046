"""Requests, drawn from a seed: each is one family of the query language, with parts of others around it."""

import json
import random
import re
import urllib.parse

from filters import FUNCTIONS, NUMBERS, Conditions, comparable
from surface import Request

# What is never asked, because the original's answer is known to be an accident (docs/COMPATIBILITY.md, "Reading").
LEFT_OUT = [
    "sorts without the key at their end: among equal sort keys the original has no order;",
    "`%`, `_` and `\\` in operands of `_contains` and its like, and in `search`: wildcards there, letters here;",
    "`_some`, `_none` with more than one condition or below other relations: silently dropped there;",
    "operands that don't fit the type of the field, lists with null, `_between` without two values;",
    "figures over a filter on lists (joined rows are counted), `count` of dates and csv, `countAll`, min and max of "
    "types that the original fails on;",
    "secrets in `sort`, `groupBy` and figures: refused here;",
    "`deep[..][_sort]` by fields that may be null, or by bigInteger and decimal: sorted again as text there;",
    "groups by several fields without a sort: only the first has an order there;",
    "`search` in collections with fields of type `unknown`: fails there;",
    "wildcards that expand more than 500 relations; `export`; `version`; fields that come to nothing.",
]
WEIGHTS = {"filter": 40, "fields": 13, "sort": 9, "deep": 10, "aggregate": 5, "group": 6, "search": 4, "alias": 4,
           "page": 4, "single": 4, "refusal": 5}


class Generator:
    def __init__(self, seed, collections):
        self.random = random.Random(seed)
        self.collections = collections
        self.conditions = Conditions(self.random, collections)
        full = [one for one in collections.values() if one.items and not one.singleton]
        # Collections with relations and many fields say more.
        self.weighted = [(one, 1 + len(one.fields) + 3 * len(one.relations())) for one in full]

    def requests(self, count):
        families = list(WEIGHTS)
        made = []
        while len(made) < count:
            family = self.random.choices(families, [WEIGHTS[name] for name in families])[0]
            collection = self.random.choices([one for one, _ in self.weighted], [w for _, w in self.weighted])[0]
            asked = getattr(self, "ask_" + family)(collection)
            if asked:
                made.append(asked)
        return made

    # one per family: a query as a mapping, turned into a request by one of three ways to say it

    def ask_filter(self, collection):
        drawn = self.conditions.filter(collection, self.random.choice([0, 1, 1, 2, 2, 3, 4]))
        if not drawn:
            return None
        query = {"filter": drawn[0], "sort": collection.key, "fields": self.few(collection)}
        if self.random.random() < 0.15:
            query["meta"] = self.random.choice(["*", "filter_count", "total_count", "filter_count,total_count"])
        return self.said("filter", collection, query, drawn[1])

    def ask_fields(self, collection):
        roll = self.random.random()
        query = {"sort": collection.key}
        covers, deepest = [], 0
        if roll < 0.05:
            query["fields"], deepest = ["*.*"], 3
        else:
            fields = []
            for _ in range(self.random.randint(1, 4)):
                depth = self.random.choice([0, 0, 1, 1, 2, 3, 4, 5])
                found = self.conditions.way(collection, depth)
                if not found or sum(field.is_list() for field, _ in found[0]) > 2:
                    continue
                steps, there, _ = found
                path = "".join(f"{field.name}:{scope}." if scope else f"{field.name}." for field, scope in steps)
                leaf = self.leaf(there, bool(steps))
                fields.append(path + leaf)
                deepest = max(deepest, len(steps))
                covers.append(("fields", "any", self.conditions.relation(steps), len(steps)))
            query["fields"] = fields
            if not fields:
                return None
        # Lists within lists multiply.
        query["limit"] = self.random.randint(1, [30, 15, 8, 4, 2, 1][deepest])
        if roll > 0.9:
            query["backlink"] = self.random.choice(["true", "false"])
        return self.said("fields", collection, query, covers)

    def ask_sort(self, collection):
        keys, covers = [], []
        for _ in range(self.random.choice([1, 1, 2])):
            depth = self.random.choice([0, 0, 1, 1, 2, 3])
            found = self.conditions.way(collection, depth)
            if not found or sum(field.is_list() for field, _ in found[0]) > 1:
                continue
            steps, there, _ = found
            fields = self.sortable(there)
            if not fields:
                continue
            field = self.random.choice(fields)
            name, operator = field.name, "sort"
            if field.type in FUNCTIONS and self.random.random() < 0.3:
                name = f"{self.random.choice(FUNCTIONS[field.type])}({name})"
                operator = "sort fn()"
            sign = self.random.choice(["", "-"])
            path = "".join(f"{one.name}:{scope}." if scope else f"{one.name}." for one, scope in steps)
            keys.append(sign + path + name)
            covers.append((operator, field.type, self.conditions.relation(steps), len(steps)))
        if not keys:
            return None
        query = {"sort": [*keys, collection.key], "fields": self.few(collection)}
        if self.random.random() < 0.3:
            query |= {"limit": self.random.randint(1, 20), "offset": self.random.randint(0, 5)}
        return self.said("sort", collection, query, covers)

    def ask_deep(self, collection):
        lists = [field for field in collection.relations() if field.is_list()]
        lists = [field for field in lists if any(item.get(field.name) for item in collection.items)]
        if not lists:
            return None
        query = {"sort": collection.key, "limit": self.random.randint(5, 40)}
        fields, deep, covers, ordered = [collection.key], {}, [], True
        for field in self.random.sample(lists, min(len(lists), self.random.randint(1, 2))):
            asked, below = self.below(field, covers)
            ordered = ordered and "_sort" in asked
            deep[field.name] = asked
            fields += [f"{field.name}.{name}" for name in below]
        query |= {"fields": fields, "deep": deep}
        asked = self.said("deep", collection, query, covers)
        asked.ordered_below = ordered
        return asked

    def below(self, field, covers):
        there = self.collections[field.related]
        asked = {}
        plain = [one for one in self.sortable(there) if not one.kind and one.type not in ("bigInteger", "decimal")]
        certain = [one for one in plain if all(item.get(one.name) is not None for item in there.items)]
        # A key that is sorted again as text there decides nothing.
        decides = there.fields[there.key].type not in ("bigInteger", "decimal")
        is_cut = decides and self.random.random() < 0.5
        if is_cut or decides and self.random.random() < 0.4:
            by = self.random.choice(["", "-"]) + self.random.choice(certain).name if certain else there.key
            asked["_sort"] = [by, there.key]
        if is_cut:
            asked["_limit"] = self.random.randint(1, 3)
            if self.random.random() < 0.3:
                asked[self.random.choice(["_offset", "_page"])] = 1
        if self.random.random() < 0.5 or not asked:
            drawn = self.conditions.condition(there, 1)
            if drawn:
                asked["_filter"] = drawn[0]
                covers.append((f"deep {drawn[1][0]}", drawn[1][1], field.kind, 1 + drawn[1][3]))
        if not asked:
            asked["_limit"] = 50
        fields = [there.key] + [one.name for one in self.random.sample(plain, min(2, len(plain)))]
        covers += [(f"deep {name}", "any", field.kind, 1) for name in asked if name != "_filter"]
        return asked, fields

    def ask_aggregate(self, collection):
        query = {"aggregate": self.figures(collection)}
        if not query["aggregate"]:
            return None
        covers = [("aggregate " + name, "any", "own", 0) for name in query["aggregate"]]
        if self.random.random() < 0.6:
            drawn = self.conditions.condition(collection, depth=0)
            if drawn and drawn[1][1] != "list":
                query["filter"] = drawn[0]
                covers.append(drawn[1])
        return self.said("aggregate", collection, query, covers)

    def ask_group(self, collection):
        fields = [field for field in collection.plain() if not field.is_secret() and field.type not in ("json", "csv")]
        fields = [field for field in fields if field.type != "unknown"]
        if not fields:
            return None
        groups = []
        for field in self.random.sample(fields, min(len(fields), self.random.choice([1, 1, 2]))):
            if field.type in FUNCTIONS and self.random.random() < 0.7:
                groups.append(f"{self.random.choice(FUNCTIONS[field.type])}({field.name})")
            else:
                groups.append(field.name)
        query = {"groupBy": groups, "limit": self.random.choice([-1, -1, 3, 100])}
        if self.random.random() < 0.8:
            query["aggregate"] = self.figures(collection) or {"count": ["*"]}
        if len(groups) > 1 or self.random.random() < 0.4:
            query["sort"] = [self.random.choice(["", "-"]) + name for name in groups]
        covers = [("groupBy", "any", "own", 0)]
        if self.random.random() < 0.4:
            drawn = self.conditions.condition(collection, depth=0)
            if drawn and drawn[1][1] != "list":
                query["filter"] = drawn[0]
                covers.append(drawn[1])
        return self.said("group", collection, query, covers)

    def ask_search(self, collection):
        if collection.strange:
            return None
        fields = [field for field in collection.plain() if field.type in ("string", "text", "integer", "uuid")]
        values = [item.get(field.name) for field in fields for item in collection.items if not field.is_secret()]
        pieces = [piece for value in values if comparable(value) for piece in re.findall(r"[^\W_]{2,}", str(value))]
        pieces += [str(value) for value in values if isinstance(value, int)]
        if not pieces:
            return None
        query = {"search": self.random.choice(pieces), "sort": collection.key, "fields": self.few(collection)}
        if self.random.random() < 0.3:
            query["meta"] = "*"
        covers = [("search", "any", "own", 0)]
        if self.random.random() < 0.2:
            drawn = self.conditions.condition(collection, 1)
            if drawn:
                query["filter"] = drawn[0]
                covers.append(drawn[1])
        return self.said("search", collection, query, covers)

    def ask_alias(self, collection):
        fields = [field for field in collection.fields.values() if field.type != "unknown"]
        alias, asked, deep = {}, [collection.key], {}
        for number, field in enumerate(self.random.sample(fields, min(len(fields), self.random.randint(1, 3)))):
            name = f"a{number}"
            alias[name] = field.name
            if field.type in FUNCTIONS and self.random.random() < 0.4:
                alias[name] = f"{self.random.choice(FUNCTIONS[field.type])}({field.name})"
            if field.is_list():
                there = self.collections[field.related]
                asked.append(f"{name}.{there.key}")
                if self.random.random() < 0.5:
                    deep[name] = {"_sort": [there.key], "_limit": 2}
            elif field.kind in ("m2o", "file", "self") and self.random.random() < 0.6:
                asked.append(f"{name}.{self.collections[field.related].key}")
            else:
                asked.append(name)
        query = {"alias": alias, "fields": asked, "sort": collection.key}
        if deep:
            query["deep"] = deep
        return self.said("alias", collection, query, [("alias", "any", "own", 0)])

    def ask_page(self, collection):
        query = {"sort": self.random.choice(["", "-"]) + collection.key, "fields": self.few(collection)}
        roll = self.random.random()
        query["limit"] = self.random.choice([-1, 1, 2, 5, 10, 100])
        if roll < 0.4:
            query["offset"] = self.random.randint(0, max(1, len(collection.items) - 1))
        elif roll < 0.8:
            query["page"] = self.random.randint(1, 3)
        if self.random.random() < 0.4:
            query["meta"] = self.random.choice(["*", "total_count", "filter_count"])
        return self.said("page", collection, query, [("page", "any", "own", 0)])

    def ask_single(self, collection):
        query = {"fields": self.few(collection)}
        singletons = [one for one in self.collections.values() if one.singleton and one.items]
        if singletons and self.random.random() < 0.15:
            collection = self.random.choice(singletons)
            return self.said("single", collection, {"fields": self.few(collection)}, [("single", "any", "own", 0)])
        key = str(self.random.choice(collection.items)[collection.key])
        if re.search(r"[^\w-]", key):
            return None
        asked = self.said("single", collection, query, [("single", "any", "own", 0)], ways=["json", "brackets"])
        asked.path += "/" + urllib.parse.quote(key)
        return asked

    def ask_refusal(self, collection):
        """What both sides must refuse alike."""
        plain = [field for field in collection.plain() if field.type in NUMBERS] or collection.plain()
        field = self.random.choice(plain)
        wrong = "_contains" if field.type in NUMBERS else "_lt"
        wrong = "_regex" if field.type not in NUMBERS and field.type not in ("string", "text", "uuid") else wrong
        query = self.random.choice([
            {"fields": ["nope"]}, {"fields": [collection.key, "nope_2"]}, {"sort": ["nope"]},
            {"filter": {"nope": {"_eq": 1}}}, {"filter": {field.name: {"_nope": 1}}},
            {"filter": {field.name: {wrong: 1}}}, {"limit": -2}, {"limit": "x"}, {"offset": -1}, {"page": "x"},
            {"aggregate": {"count": ["nope"]}}, {"groupBy": ["nope"]}, {"meta": "nope"},
            {"fields": [f"hour({collection.key})"]}, {"filter": {f"year({collection.key})": {"_eq": 1}}},
        ])
        return self.said("refusal", collection, query, [], ways=["json"])

    # parts

    def leaf(self, collection, is_below):
        roll = self.random.random()
        dated = [field for field in collection.plain() if field.type in FUNCTIONS]
        lists = [field for field in collection.fields.values() if field.is_list()]
        if roll < 0.3:
            return "*"
        if roll < 0.42 and dated:
            field = self.random.choice(dated)
            return f"{self.random.choice(FUNCTIONS[field.type])}({field.name})"
        if roll < 0.5 and lists:
            return f"count({self.random.choice(lists).name})"
        fields = [field for field in collection.fields.values() if field.type != "unknown"]
        return self.random.choice(fields).name if fields else collection.key

    def few(self, collection):
        """The key and some fields; sometimes all."""
        if self.random.random() < 0.2:
            return ["*"]
        fields = [field.name for field in collection.plain() if field.type != "unknown" and not field.key]
        return [collection.key, *self.random.sample(fields, min(len(fields), self.random.randint(0, 4)))]

    @staticmethod
    def sortable(collection):
        kept = [field for field in collection.plain() if not field.is_secret() and field.kind != "any"]
        return [field for field in kept if field.type not in ("json", "unknown", "csv")]

    def figures(self, collection):
        plain = [field for field in collection.plain() if not field.is_secret() and not field.kind]
        numbers = [field.name for field in plain if field.type in NUMBERS]
        counted = [field.name for field in plain if field.type in {"string", "text", "integer", "uuid"}]
        ordered = [field.name for field in plain if field.type in NUMBERS | {"date", "dateTime", "timestamp", "string"}]
        figures = {}
        for name in self.random.sample(["count", "countDistinct", "sum", "sumDistinct", "avg", "avgDistinct", "min",
                                        "max"], self.random.randint(1, 3)):
            some = counted if name.startswith("count") else ordered if name in ("min", "max") else numbers
            if name == "count" and self.random.random() < 0.5:
                figures[name] = ["*"]
            elif some:
                figures[name] = self.random.sample(some, min(len(some), self.random.randint(1, 2)))
        return figures

    def said(self, family, collection, query, covers, ways=("json", "brackets", "body")):
        """One of the ways to say a query: JSON in parameters, brackets, the body of SEARCH."""
        way = self.random.choice(list(ways))
        alias = {name: field for name, field in query.get("alias", {}).items() if "(" not in field}
        asked = Request(collection.path, collection=collection.name, family=family, covers=covers, alias=alias)
        if way == "body" and not collection.singleton and family != "refusal" and not collection.path.startswith("/roles"):
            asked.method, asked.body = "SEARCH", {"query": query}
            if isinstance(query.get("sort"), str):
                query["sort"] = [query["sort"]]
            return asked
        for name, value in query.items():
            if name in ("fields", "sort", "groupBy") and isinstance(value, list):
                asked.params.append((name, ",".join(value)))
            elif name in ("filter", "deep", "alias", "aggregate"):
                if way == "brackets" and depth_of(value) <= 4 and len(json.dumps(value)) < 1500:
                    asked.params += brackets(name, value)
                else:
                    asked.params.append((name, json.dumps(value, ensure_ascii=False)))
            else:
                asked.params.append((name, str(value)))
        return asked


def depth_of(value):
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def brackets(name, value):
    if isinstance(value, dict):
        return [pair for key, below in value.items() for pair in brackets(f"{name}[{key}]", below)]
    if isinstance(value, list):
        return [pair for index, below in enumerate(value) for pair in brackets(f"{name}[{index}]", below)]
    return [(name, json.dumps(value) if isinstance(value, bool) else str(value))]
