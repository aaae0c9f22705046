"""When two answers are equal, and what kind of difference there is. RULES says all that is evened out first."""

import json

RULES = [
    "Answers other than 200 are equal when status and code of the first error are (texts of errors differ freely).",
    "Bodies are compared as JSON values: blanks and the spelling of numbers (1e30, 1e+30; 5, 5.0) don't count; "
    "a number and its text do (5, \"5\").",
    "The order of an object's members doesn't count; the report says how many answers have another one.",
    "Numbers with a fraction are compared to 12 digits: sums of doubles depend on the order of adding.",
    "Lists of related items are compared as sets, unless the request orders them by `_sort` up to their key.",
    "`last_access` of users is left out: each side writes it when a user is seen.",
    "Fields that the sides describe by different types in /fields, and those of type `unknown`, are left out of "
    "requests, and of answers by name.",
]
TIME = {"last_access"}


class Verdict:
    def __init__(self, collections, left_out=()):
        self.collections = collections
        self.dropped = TIME | {name.split(":")[0].split(".")[1] for name in left_out}

    def kind(self, request, left, right):
        """Nothing when equal, else (kind, where)."""
        if left.status != right.status or left.status != 200:
            if (left.status, left.code()) == (right.status, right.code()):
                return None
            said = [f"{one.status} {one.code()}".strip() for one in (left, right)]
            return ("status" if left.status != right.status else "code"), " > ".join(said)
        ours, theirs = left.json(), right.json()
        if ours is None or theirs is None:
            return None if left.text == right.text else ("text", "")
        normal = [self.envelope(body, request) for body in (ours, theirs)]
        found = differs(*normal, "")
        if found and all(isinstance(one.get("data"), list) for one in normal):
            rows = [sorted(map(spelled, body["data"])) for body in normal]
            if rows[0] == rows[1]:
                return "order", "data"
        return found

    def envelope(self, body, request):
        if not isinstance(body, dict):
            return {"data": body}
        collection = self.collections.get(request.collection)
        read = body.get("data")
        if isinstance(read, list):
            read = [self.normal(item, collection, request) for item in read]
        else:
            read = self.normal(read, collection, request)
        return {**body, "data": read}

    def normal(self, value, collection, request):
        if isinstance(value, float) or isinstance(value, int) and abs(value) > 2**53:
            return float(f"{value:.12g}")
        if isinstance(value, list):
            return [self.normal(item, collection, request) for item in value]
        if not isinstance(value, dict):
            return value
        result = {}
        for name, below in value.items():
            if name in self.dropped:
                continue
            field = None
            if collection is not None:
                field = collection.fields.get(request.alias.get(name, name))
            related = self.collections.get(field.related) if field is not None and field.related else None
            if field is not None and field.kind == "any" and isinstance(below, dict):
                # Of the collections that it may be of, the one that has these fields.
                known = [self.collections[name] for name in field.allowed]
                related = max(known, key=lambda one: len(set(one.fields) & set(below)), default=None)
            below = self.normal(below, related, request)
            is_list = field.is_list() if field is not None else collection is None and holds_items(below)
            if is_list and isinstance(below, list) and not request.ordered_below:
                below = sorted(below, key=spelled)
            result[name] = below
        return result


def same_members(left, right):
    """The members of all objects come in the same order."""
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same_members(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return all(map(same_members, left, right))
    return True


def holds_items(value):
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def spelled(value):
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def differs(left, right, where):
    """The first difference of two JSON values, as (kind, path)."""
    if isinstance(left, dict) and isinstance(right, dict):
        for name in left:
            if name not in right:
                return "member", f"{where}.{name} is missing"
        for name in right:
            if name not in left:
                return "member", f"{where}.{name} is added"
        for name in left:
            if found := differs(left[name], right[name], f"{where}.{name}"):
                return found
        return None
    if isinstance(left, list) and isinstance(right, list):
        if len(left) != len(right):
            return "rows", f"{where}[]"
        for ours, theirs in zip(left, right):
            if found := differs(ours, theirs, f"{where}[]"):
                return found
        return None
    if isinstance(left, bool) or isinstance(right, bool):
        return None if left is right else ("value", where)
    if left == right:
        return None
    numbers = [isinstance(one, (int, float)) for one in (left, right)]
    texts = [isinstance(one, str) for one in (left, right)]
    if any(numbers) and any(texts):
        return "number type", where
    return "value", where
