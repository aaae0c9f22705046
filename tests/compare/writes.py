"""Mutations, drawn from a seed: every form over every collection, each case from the same kept rows."""

import json
import random
import urllib.parse
from dataclasses import dataclass

from ground import RULES
from payloads import Drawing, Payloads
from surface import Request

LEFT_OUT = [
    "the administrator who asks, his role and policy;",
    "of system collections: secrets (passwords, tokens, second factors), contents of files, and what only the server sets;",
    "collections with fields of types that the language doesn't know (`natives`); `binary` fields;",
    "JSON numbers beyond 2^53, which the original rounds before it looks at them;",
    "deletes by query in system collections.",
]
FORMS = {"create one": 24, "create many": 10, "update one": 26, "update keys": 8, "update query": 6, "update array": 8,
         "delete one": 4, "delete keys": 3, "delete query": 2, "singleton": 5, "wrong request": 4}
SKIPPED = {"natives"}
RULED = {collection for collection, action, *_ in RULES if action != "read"}


@dataclass
class Mutation(Request):
    """One write. `writer`: asked by a user with limited rights; `token`: asked by who has it."""
    form: str = ""
    writer: bool = False
    token: str = ""
    faults: int = 0
    deepest: int = 0


class Writes:
    def __init__(self, seed, collections, writer_share=0.0, own=("w_",), is_flat=False):
        self.random = random.Random(seed)
        self.collections = {name: one for name, one in collections.items() if name not in SKIPPED}
        self.payloads = Payloads(self.random, self.collections, is_flat)
        self.writer_share = writer_share
        usual = [one for one in self.collections.values() if not one.singleton]
        self.weighted = [(one, self.weight(one, own)) for one in usual]
        self.singletons = [one for one in self.collections.values() if one.singleton]

    @staticmethod
    def weight(collection, own):
        weight = 2 + 2 * len(collection.relations()) + len(collection.fields) / 6
        return weight * (5 if collection.name.startswith(own) else 1)

    def mutations(self, count):
        made, forms = [], list(FORMS)
        while len(made) < count:
            form = self.random.choices(forms, [FORMS[name] for name in forms])[0]
            collections = self.singletons if form == "singleton" else None
            writer = self.random.random() < self.writer_share
            drawn = self.draw(form, collections, writer)
            if drawn is not None and len(json.dumps(drawn.body)) < 20_000:
                made.append(drawn)
        return made

    def draw(self, form, collections, writer):
        if collections is None:
            weighted = [pair for pair in self.weighted if not writer or pair[0].name in RULED]
            collection = self.random.choices([one for one, _ in weighted], [weight for _, weight in weighted])[0]
        elif not collections:
            return None
        else:
            collection = self.random.choice(collections)
        if not collection.items and form.startswith(("update", "delete")):
            return None
        faults = self.random.choices([0, 1, 2], [80, 17, 3])[0]
        # What a limited user may do is mostly flat; half of the others nest a lot.
        drawing = Drawing(form, faults, 0.15 if writer else self.random.choice([0.3, 1.4]))
        made = getattr(self, form.replace(" ", "_"))(drawing, collection)
        if made is None:
            return None
        method, path, body = made
        mutation = Mutation(path, method=method, body=body, collection=collection.name, family=form, form=form,
                            writer=writer, covers=drawing.covers or [(form, "own", "nothing", 0)],
                            faults=faults - drawing.faults, deepest=drawing.deepest)
        if method != "DELETE" and self.random.random() < 0.25:
            lists = [one.name + ".*" for one in collection.relations() if one.kind != "any"]
            mutation.params = [("fields", ",".join(["*", *self.random.sample(lists, min(2, len(lists)))]))]
        return mutation

    # forms: (method, path, body)

    def at(self, collection, key):
        return f"{collection.path}/{urllib.parse.quote(str(key), safe='')}"

    def key_for(self, drawing, collection):
        """A key of an item, or of none."""
        if self.payloads.faulty(drawing, 0.12):
            what = self.random.choice(["missing key", "bad key"])
            self.payloads.cover(drawing, "own", what, 0)
            key = collection.fields[collection.key]
            return self.payloads.values.key(key) if what == "missing key" else "not-a-key"
        return self.payloads.some_key(collection)

    def keys_for(self, drawing, collection, most=3):
        keys = [self.key_for(drawing, collection) for _ in range(self.random.randint(1, most))]
        return list(dict.fromkeys(keys))

    def create_one(self, drawing, collection):
        return "POST", collection.path, self.payloads.item(drawing, collection)

    def create_many(self, drawing, collection):
        items = [self.payloads.item(drawing, collection) for _ in range(self.random.choice([1, 2, 2, 3, 4]))]
        return "POST", collection.path, items

    def update_one(self, drawing, collection):
        key = self.key_for(drawing, collection)
        return "PATCH", self.at(collection, key), self.payloads.item(drawing, collection, making=False)

    def update_keys(self, drawing, collection):
        keys = self.keys_for(drawing, collection)
        return "PATCH", collection.path, {"keys": keys, "data": self.payloads.item(drawing, collection, making=False)}

    def update_query(self, drawing, collection):
        data = self.payloads.item(drawing, collection, making=False)
        return "PATCH", collection.path, {"query": self.query(drawing, collection), "data": data}

    def update_array(self, drawing, collection):
        items = []
        for key in self.keys_for(drawing, collection):
            items.append({collection.key: key, **self.payloads.item(drawing, collection, making=False)})
        if self.payloads.faulty(drawing, 0.2):
            items[-1].pop(collection.key)
            self.payloads.cover(drawing, "own", "an entry without a key", 0)
        return "PATCH", collection.path, items

    def delete_one(self, drawing, collection):
        return "DELETE", self.at(collection, self.key_for(drawing, collection)), None

    def delete_keys(self, drawing, collection):
        keys = self.keys_for(drawing, collection)
        return "DELETE", collection.path, keys if self.random.random() < 0.5 else {"keys": keys}

    def delete_query(self, drawing, collection):
        if collection.name.startswith("directus_"):
            return None
        return "DELETE", collection.path, {"query": self.query(drawing, collection)}

    def query(self, drawing, collection):
        if self.payloads.faulty(drawing, 0.2):
            return self.random.choice([{"filter": {"nope": {"_eq": 1}}}, {"limit": "x"}, {"sort": ["nope"]}])
        query = {"filter": {collection.key: {"_in": self.keys_for(drawing, collection)}}}
        if self.random.random() < 0.3:
            query |= {"sort": [collection.key], "limit": self.random.choice([1, 2, -1])}
        return query

    def singleton(self, drawing, collection):
        return "PATCH", collection.path, self.payloads.item(drawing, collection, making=False)

    def wrong_request(self, drawing, collection):
        path = collection.path
        drawing.covers.append((drawing.form, "own", "shape", 0))
        good = self.payloads.some_key(collection)
        return self.random.choice([
            ("POST", path, []), ("POST", path, [[]]), ("POST", path, "x"), ("POST", path, 5), ("POST", path, None),
            ("POST", path, [5]), ("POST", path, ["x"]), ("POST", path, [None]),
            ("PATCH", path, {}), ("PATCH", path, []), ("PATCH", path, {"keys": [good]}), ("PATCH", path, {"data": {}}),
            ("PATCH", path, {"keys": good, "data": {}}), ("PATCH", path, {"keys": [], "data": {}}), ("PATCH", path, [5]),
            ("PATCH", path, [{}]), ("PATCH", path, {"keys": [good], "data": []}), ("PATCH", path, {"query": {}, "data": 5}),
            ("PATCH", self.at(collection, good), []), ("PATCH", self.at(collection, good), [{}]),
            ("PATCH", self.at(collection, good), "x"), ("PATCH", self.at(collection, good), {}),
            ("DELETE", path, {}), ("DELETE", path, []), ("DELETE", path, "x"), ("DELETE", path, {"keys": good}),
            ("DELETE", path, [{}]), ("DELETE", path, {"nope": 1}),
            ("POST", "/items/nope", {}), ("PATCH", "/items/nope/1", {}), ("DELETE", "/items/nope/1", None),
            ("PATCH", "/items/nope", {"keys": [1], "data": {}}),
        ])
