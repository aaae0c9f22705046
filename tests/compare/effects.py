"""When two outcomes are equal: answers, rows, activity and revisions, evened out as RULES says."""

import contextlib
import datetime
import decimal
import hashlib
import json
import re

from verdict import Verdict, differs, spelled

RULES = [
    "Refusals are equal when the status is, and code and extensions of all their errors (in any order); `reason` is wording, "
    "`field` and `value` of VALUE_TOO_LONG and VALUE_OUT_OF_RANGE are guesses of the left.",
    "Rows: all tables but activity, revisions, sessions and settings, as PostgreSQL holds them; each row that is new, "
    "changed or gone, by its key. `last_access` and `last_page` of users are left out.",
    "Keys that sequences made have to be the same: every case begins with the same rows and sequences.",
    "UUIDs that were not there before are the same when they stand in the same places.",
    "Times of today are one and the same; hashes by argon2 too.",
    "Answers: lists of related items are sets; all else as for reads.",
    "Activity: actions, collections and items in order; its order alone is a kind of its own.",
    "Revisions: which items have one, the item of the parent, and the delta of updates (of a create the left keeps what "
    "was sent; `data` is not compared).",
    "Items with UUIDs for keys that one request made or changed are answered in any order.",
]
# The original says any column of the statement here: PostgreSQL doesn't tell which it was.
GUESSED = ("VALUE_TOO_LONG", "VALUE_OUT_OF_RANGE")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
HASH = re.compile(r"\$argon2[a-z]+\$[^\"\\]+")


def today():
    day = datetime.datetime.now(datetime.timezone.utc).date()
    days = "|".join(str(day + datetime.timedelta(shift)) for shift in (-1, 0, 1))
    return re.compile(rf'"({days})[T ][^"]*"')


def named_alike(left, right):
    """Names of both sides. Items that differ have different names; they are paired by their tables, if as many are left."""
    names = [{one: name for one, (name, _) in side.items()} for side in (left, right)]
    shared = set(names[0].values()) & set(names[1].values())
    rest = [{}, {}]
    for side, found in zip((left, right), rest):
        for one, (name, table) in side.items():
            if name not in shared:
                found.setdefault(table, []).append(one)
    for table in rest[0]:
        if len(rest[0][table]) == len(rest[1].get(table, [])):
            for number, pair in enumerate(zip(rest[0][table], rest[1][table])):
                for side, one in zip(names, pair):
                    side[one] = "new " + hashlib.md5(f"{table} {number}".encode()).hexdigest()[:10]
    return names


CENT = decimal.Decimal("0.01")


def plain(delta, collection):
    """A delta holds values as they were sent there and as they are stored here: numbers and booleans in one form."""
    result = {}
    for name, value in (delta or {}).items():
        field = collection.fields.get(name) if collection else None
        kind = field.type if field else ""
        if kind == "boolean" and value in ("true", "false", 0, 1):
            value = value in ("true", 1, True)
        elif kind in ("integer", "bigInteger", "float", "decimal") and isinstance(value, (str, int, float)):
            with contextlib.suppress(decimal.InvalidOperation):
                value = float(decimal.Decimal(str(value)).quantize(CENT, decimal.ROUND_HALF_UP))
        result[name] = value
    return result if isinstance(delta, dict) else delta


class Effects:
    """Compares outcomes over a world. `known`: the UUIDs that were there before."""

    def __init__(self, collections, left_out, known):
        self.collections, self.known = collections, known
        self.verdict = Verdict(collections, left_out)
        self.now = today()

    def differences(self, mutation, left, right):
        """{aspect: (kind, where)} of all that is not equal."""
        found = {}
        ours, theirs = self.evened(mutation, left, right)
        if left.answer.status != right.answer.status:
            said = [f"{one.answer.status} {one.answer.code()}".strip() for one in (left, right)]
            found["answer"] = ("status", " > ".join(said))
        elif different := differs(ours["answer"], theirs["answer"], ""):
            codes = [one.answer.code() for one in (left, right)]
            if codes[0] != codes[1]:
                different = ("code", " > ".join(codes))
            found["answer"] = different
        if different := differs(ours["rows"], theirs["rows"], ""):
            same = self.numberless(left) == self.numberless(right)
            found["rows"] = ("numbering", different[1]) if same else different
        acts = [one["activity"] for one in (ours, theirs)]
        if acts[0] != acts[1]:
            kind = "activity" if sorted(acts[0]) != sorted(acts[1]) else "order"
            if kind == "order" and [one.rpartition(" ")[0] for one in acts[0]] == [one.rpartition(" ")[0] for one in acts[1]]:
                kind = "order of keys"
            found["activity"] = (kind, self.first(*acts) if kind == "activity" else "")
        if different := differs(ours["revisions"], theirs["revisions"], ""):
            found["revisions"] = different
        return found

    @staticmethod
    def first(ours, theirs):
        """The first act that only one side knows."""
        rest = [one for one in theirs if one not in ours]
        lost = [one for one in ours if one not in theirs]
        words = [f"missing {lost[0].split(' ')[0]} {lost[0].split(' ')[1]}"] if lost else []
        words += [f"added {rest[0].split(' ')[0]} {rest[0].split(' ')[1]}"] if rest else []
        return ", ".join(words) or "counts"

    def evened(self, mutation, left, right):
        """Both outcomes with their UUIDs, times and hashes evened out."""
        units = [self.units(one) for one in (left, right)]
        texts = [HASH.sub("<hash>", self.now.sub('"<now>"', json.dumps(one, ensure_ascii=False))) for one in units]
        names = named_alike(*(self.names(text) for text in texts))
        for text, named, one in zip(texts, names, (left, right)):
            units = json.loads(UUID.sub(lambda it: named.get(it[0], it[0]), text))
            yield {
                "answer": self.answer(units["answer"], mutation, one.answer.status),
                "rows": self.by_key(units["rows"]),
                "activity": [" ".join(map(str, act)) for act in units["activity"]],
                "revisions": self.listed(units["revisions"], mutation),
            }

    def units(self, outcome):
        return {
            "answer": outcome.answer.json() if outcome.answer.text else None,
            "rows": [[table, sign, row] for table, signs in outcome.changes.items()
                     for sign, rows in zip("+-", signs) for row in rows],
            "activity": [[one["action"], one["collection"], one["item"]] for one in outcome.activity],
            "revisions": self.histories(outcome),
        }

    @staticmethod
    def histories(outcome):
        names = {one["id"]: f"{one['collection']} {one['item']}" for one in outcome.revisions}
        made = {one["id"] for one in outcome.activity if one["action"] == "create"}
        return [[one["collection"], one["item"], None if one["activity"] in made else one["delta"],
                 names.get(one["parent"], one["parent"])] for one in outcome.revisions]

    def names(self, text):
        """{new UUID: (a name that says where it stands, the table it is of)}: three rounds of refinement over the places."""
        new = set(UUID.findall(text)) - self.known
        if not new:
            return {}
        units = json.loads(text)
        # Rows say most, and in no order; only what is in none is told by its place in the history or the answer.
        pieces = [json.dumps(one) for one in units["rows"]]
        for more in ("revisions", "activity"):
            if not new <= set(UUID.findall("".join(pieces))):
                pieces += [json.dumps(one) for one in units[more]]
        if not new <= set(UUID.findall("".join(pieces))):
            pieces.append(json.dumps(units["answer"]))
        names = dict.fromkeys(new, "?")
        for _ in range(3):
            places = {one: [] for one in new}
            for piece in pieces:
                for one in set(UUID.findall(piece)) & new:
                    places[one].append(UUID.sub(lambda it: "@" if it[0] == one else names.get(it[0], it[0]), piece))
            names = {one: "new " + hashlib.md5("\n".join(sorted(found)).encode()).hexdigest()[:10]
                     for one, found in places.items()}
        tables = {}
        for table, _, row in units["rows"]:
            key = self.collections[table].key if table in self.collections else next(iter(row))
            tables[str(row.get(key))] = table
        return {one: (names[one], tables.get(one, "")) for one in sorted(new, key=lambda it: names[it])}

    def answer(self, body, mutation, status):
        if status >= 300 and isinstance(body, dict) and "errors" in body:
            errors = [one.get("extensions") or {} for one in body["errors"]]
            errors = [{name: value for name, value in one.items()
                       if name != "reason" and not (name in ("field", "value") and one.get("code") in GUESSED)}
                      for one in errors]
            return sorted(errors, key=spelled)
        if isinstance(body, dict) and "data" in body:
            body = self.verdict.envelope(body, mutation)
            collection = self.collections.get(mutation.collection)
            if collection and collection.fields[collection.key].type == "uuid" and isinstance(body["data"], list):
                body["data"] = sorted(body["data"], key=spelled)
        return body

    def by_key(self, rows):
        """{table: {key: {"now": row, "was": row}}}; of a changed row only what has changed."""
        found = {}
        for table, sign, row in rows:
            key = self.collections[table].key if table in self.collections else next(iter(row))
            held = found.setdefault(table, {}).setdefault(str(row.get(key)), {})
            name = "now" if sign == "+" else "was"
            while name in held:
                name += " too"
            held[name] = row
        for items in found.values():
            for held in items.values():
                if set(held) == {"now", "was"}:
                    same = [name for name in held["now"] if held["now"][name] == held["was"].get(name)]
                    for name in same:
                        del held["now"][name], held["was"][name]
        return found

    def numberless(self, outcome):
        """The rows with new numbers taken away: equal on both sides when only the numbering differs."""
        made = {}
        for table, (new, gone) in outcome.changes.items():
            if table in self.collections:
                key = self.collections[table].key
                old = {row[key] for row in gone}
                made[table] = {row[key] for row in new if row[key] not in old and isinstance(row[key], int)}
        rows = []
        for table, signs in outcome.changes.items():
            collection = self.collections.get(table)
            for sign, some in zip("+-", signs):
                rows += [[table, sign, self.without_numbers(row, collection, made)] for row in some]
        text = json.dumps({"answer": None, "rows": rows, "activity": [], "revisions": []})
        text = self.now.sub('"<now>"', text)
        names = self.names(text)
        text = UUID.sub(lambda it: names[it[0]][0] if it[0] in names else it[0], text)
        return sorted(map(spelled, json.loads(text)["rows"]))

    @staticmethod
    def without_numbers(row, collection, made):
        if collection is None:
            return row
        result = dict(row)
        for name, field in collection.fields.items():
            there = collection.name if field.key else field.related if field.kind in ("m2o", "self", "file") else None
            if field.kind == "any":
                there = row.get(field.names_collection)
            numbers = made.get(there) or ()
            if name in row and str(row[name]) in {str(one) for one in numbers}:
                result[name] = f"<new {there}>"
        return result

    def listed(self, revisions, mutation):
        """{item: [what each revision of it says]}"""
        found = {}
        for collection, item, delta, parent in revisions:
            there = self.collections.get(collection)
            said = {"delta": self.verdict.normal(plain(delta, there), there, mutation), "parent": parent}
            found.setdefault(f"{collection} {item}", []).append(said)
        return found
