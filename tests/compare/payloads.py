"""Payloads with nested ones: m2o, o2m, m2m, m2a, files and translations in all forms, with at most a few faults."""

from values import GOOD, Values
from writable import STAMPS

DEEPEST = 4


class Drawing:
    """One mutation while it is drawn: how many faults it may still get, and what it covers."""

    def __init__(self, form, faults, nesting=1.0):
        self.form, self.faults, self.nesting, self.covers, self.deepest = form, faults, nesting, [], 0


class Payloads:
    def __init__(self, random, collections, is_flat=False):
        self.random, self.collections, self.values, self.is_flat = random, collections, Values(random), is_flat

    def chance(self, share):
        return self.random.random() < share

    def faulty(self, drawing, share=0.18):
        """Whether the fault that is still to be made is made here."""
        if drawing.faults and self.chance(share):
            drawing.faults -= 1
            return True
        return False

    def cover(self, drawing, relation, what, depth):
        drawing.covers.append((drawing.form, relation, what, depth))
        drawing.deepest = max(drawing.deepest, depth)

    # an item

    def item(self, drawing, collection, depth=0, making=True, without=()):
        """The members of one payload. `without`: fields that somebody else sets."""
        payload = {}
        relation = "own" if depth == 0 else "below"
        for field in collection.fields.values():
            if field.name in without or field.kind == "any" or field.name in self.named_collections(collection):
                continue
            if field.key:
                self.own_key(drawing, collection, field, payload, depth, making)
            elif field.kind:
                self.relation(drawing, collection, field, payload, depth, making)
            else:
                self.plain(drawing, collection, field, payload, relation, depth, making)
        for field in collection.fields.values():
            if field.kind == "any" and field.name not in without:
                self.any(drawing, field, payload, depth, making)
        if self.faulty(drawing, 0.04):
            payload["nope"] = self.random.choice([1, {"a": 1}, None])
            self.cover(drawing, relation, "unknown field", depth)
        return payload

    @staticmethod
    def named_collections(collection):
        return {field.names_collection for field in collection.fields.values() if field.kind == "any"}

    def own_key(self, drawing, collection, field, payload, depth, making):
        counts = field.type in ("integer", "bigInteger") and field.has_default
        relation = "own" if depth == 0 else "below"
        if making and not counts and not (field.type == "uuid" and self.chance(0.7)):
            payload[field.name] = self.values.key(field)
        if making and self.faulty(drawing, 0.05):
            taken = self.random.choice([self.some_key(collection), "x", "", None, -1, 1.5])
            payload[field.name] = taken
            self.cover(drawing, relation, "key that is taken or bad", depth)

    def plain(self, drawing, collection, field, payload, relation, depth, making):
        if field.type not in GOOD:
            return
        is_stamp = bool(field.special & STAMPS)
        wanted = making and field.must() or self.chance(0.06 if is_stamp else 0.3 if depth else 0.35)
        if making and field.must() and self.faulty(drawing):
            self.cover(drawing, relation, "a needed field is missing", depth)
            return
        if not wanted:
            return
        if not is_stamp and self.faulty(drawing):
            payload[field.name], kind = self.values.bad(field)
            self.cover(drawing, relation, f"{field.type}: bad {kind}", depth)
        else:
            payload[field.name] = self.values.good(field)
            self.cover(drawing, relation, field.type, depth)

    # relations

    @staticmethod
    def share(drawing, depth):
        """How likely a relation gets a value."""
        return drawing.nesting * [0.4, 0.45, 0.35, 0.2, 0][min(depth, DEEPEST)]

    def relation(self, drawing, collection, field, payload, depth, making):
        must = making and field.must() and not field.is_list()
        if not must and not self.chance(self.share(drawing, depth)):
            return
        if self.is_flat:
            if not field.is_list():
                payload[field.name] = self.some_key(self.collections[field.related])
                self.cover(drawing, field.kind, "key", depth)
        elif field.is_list():
            self.list(drawing, collection, field, payload, depth, making)
        else:
            self.one(drawing, field, payload, depth, must)

    def one(self, drawing, field, payload, depth, must):
        there = self.collections[field.related]
        if self.faulty(drawing, 0.2):
            what, value = self.random.choice([
                ("missing key", self.values.key(there.fields[there.key])), ("bad key", "x y"), ("{}", {}),
                ("an array", [self.some_key(there)]), ("a boolean", True), ("empty text", ""),
                ("{missing key}", {there.key: self.values.key(there.fields[there.key])})])
            self.cover(drawing, field.kind, what, depth)
            payload[field.name] = value
            return
        forms = ["key", "key", "new", "{key}", "{key, values}", "null", "{new key, values}"]
        form = self.random.choice([one for one in forms if not (must and one == "null")])
        if depth + 1 >= DEEPEST and form in ("new", "{key, values}", "{new key, values}"):
            form = "key"
        if not there.items and form in ("key", "{key}", "{key, values}"):
            form = "new"
        self.cover(drawing, field.kind, form, depth)
        if form == "null":
            payload[field.name] = None
        elif form == "key":
            payload[field.name] = self.some_key(there)
        elif form == "{key}":
            payload[field.name] = {there.key: self.some_key(there)}
        elif form == "{key, values}":
            payload[field.name] = {there.key: self.some_key(there), **self.item(drawing, there, depth + 1, False)}
        else:
            below = self.item(drawing, there, depth + 1)
            if form.startswith("{new"):
                below[there.key] = self.values.key(there.fields[there.key])
            payload[field.name] = below

    def list(self, drawing, collection, field, payload, depth, making):
        there = self.collections[field.related]
        if self.faulty(drawing, 0.15):
            what, value = self.random.choice([
                ("a text", "x"), ("a number", 5), ("{}", {}), ("true", True), ("[text]", ["x y"]), ("[[]]", [[]]),
                ("[missing key]", [self.values.key(there.fields[there.key])]), ("{other: 1}", {"other": 1}),
                ("create is no list", {"create": {"a": 1}, "update": [], "delete": []}),
                ("update without key", {"create": [], "update": [{}], "delete": []}),
                ("delete of a missing key", {"create": [], "update": [], "delete": [self.values.key(there.fields[there.key])]}),
                ("delete is no list", {"create": [], "update": [], "delete": 5})])
            self.cover(drawing, field.kind, what, depth)
            payload[field.name] = value
            return
        form = self.random.choice(["array", "array", "detailed", "detailed", "null", "[]"])
        if form in ("null", "[]"):
            self.cover(drawing, field.kind, form, depth)
            payload[field.name] = None if form == "null" else []
        elif form == "array":
            payload[field.name] = [self.entry(drawing, field, there, depth) for _ in range(self.random.randint(1, 3))]
        else:
            payload[field.name] = self.detailed(drawing, field, there, depth)

    def entry(self, drawing, field, there, depth):
        forms = ["new", "new", "key", "{key}", "{key, values}"] if there.items else ["new"]
        form = self.random.choice(forms)
        self.cover(drawing, field.kind, f"[{form}]", depth)
        if form == "new":
            return self.item(drawing, there, depth + 1, without=(field.by,))
        key = self.some_key(there)
        if form == "key":
            return key
        values = self.item(drawing, there, depth + 1, False, (field.by,)) if form == "{key, values}" else {}
        return {there.key: key, **values}

    def detailed(self, drawing, field, there, depth):
        parts = {"create": [], "update": [], "delete": []}
        wanted = self.random.sample(list(parts), self.random.randint(1, 3))
        if not there.items:
            wanted = ["create"]
        for part in wanted:
            self.cover(drawing, field.kind, part, depth)
            for _ in range(self.random.randint(1, 2)):
                if part == "create":
                    parts[part].append(self.item(drawing, there, depth + 1, without=(field.by,)))
                elif part == "update":
                    values = self.item(drawing, there, depth + 1, False, (field.by,))
                    parts[part].append({there.key: self.some_key(there), **values})
                else:
                    parts[part].append(self.some_key(there))
        if self.chance(0.1):
            parts = {name: part for name, part in parts.items() if part}
        return parts

    def any(self, drawing, field, payload, depth, making):
        """The item of a many-to-any, with the field that names its collection."""
        if not making and self.chance(0.6):
            return
        names = [name for name in field.allowed if self.collections[name].items]
        there = self.collections[self.random.choice(names)]
        payload[field.names_collection] = there.name
        if self.faulty(drawing, 0.25):
            what = self.random.choice(["disallowed collection", "no collection", "unknown collection", "missing key"])
            payload[field.name] = self.some_key(there)
            if what == "no collection":
                del payload[field.names_collection]
            elif what == "missing key":
                payload[field.name] = self.values.key(there.fields[there.key])
            else:
                payload[field.names_collection] = "w_skills" if what.startswith("dis") else "nope"
            self.cover(drawing, "any", what, depth)
            return
        form = self.random.choice(["key", "new", "{key, values}", "{key}"])
        if depth + 1 >= DEEPEST or self.is_flat:
            form = "key"
        self.cover(drawing, "any", form, depth)
        if form == "key":
            payload[field.name] = self.some_key(there)
        elif form == "new":
            payload[field.name] = self.item(drawing, there, depth + 1)
        else:
            values = self.item(drawing, there, depth + 1, False) if form == "{key, values}" else {}
            payload[field.name] = {there.key: self.some_key(there), **values}

    def some_key(self, collection):
        if not collection.items:
            return self.values.key(collection.fields[collection.key])
        # Few of them: parts of one payload meet.
        return self.random.choice(collection.items[:12])[collection.key]
