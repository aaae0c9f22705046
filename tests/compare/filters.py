"""Conditions that are likely to hold: operands come from items that are there, ways from items that are linked."""

import datetime
import re

LIKE = ["_contains", "_ncontains", "_icontains", "_starts_with", "_nstarts_with", "_istarts_with", "_nistarts_with",
        "_ends_with", "_nends_with", "_iends_with", "_niends_with"]
TEXT = ["_eq", "_neq", "_in", "_nin", "_null", "_nnull", "_empty", "_nempty", *LIKE]
ORDERED = ["_eq", "_neq", "_lt", "_lte", "_gt", "_gte", "_in", "_nin", "_between", "_nbetween", "_null", "_nnull"]
NULLS = ["_null", "_nnull"]
OPERATORS = {
    "string": TEXT, "text": TEXT, "csv": TEXT,
    "integer": ORDERED, "bigInteger": ORDERED, "float": ORDERED, "decimal": ORDERED,
    "date": ORDERED, "time": ORDERED, "dateTime": ORDERED, "timestamp": ORDERED,
    "boolean": ["_eq", "_neq", *NULLS],
    "uuid": ["_eq", "_neq", "_in", "_nin", *NULLS],
    "json": NULLS,
    "hash": [*NULLS, "_empty", "_nempty"],
}
SECRET = [*NULLS, "_empty", "_nempty"]
NEGATED = {"_neq", "_nin", "_ncontains", "_nstarts_with", "_nistarts_with", "_nends_with", "_niends_with", "_nbetween"}
NUMBERS = {"integer", "bigInteger", "float", "decimal"}
DATES = {"date", "dateTime", "timestamp"}
FUNCTIONS = {"date": ["year", "month", "week", "day", "weekday"], "time": ["hour", "minute", "second"]}
FUNCTIONS["dateTime"] = FUNCTIONS["timestamp"] = FUNCTIONS["date"] + FUNCTIONS["time"]
WORDS = {"null", "true", "false"}


def operators(field):
    return SECRET if field.is_secret() else OPERATORS.get(field.type, [])


def comparable(value):
    """A value that can stand as an operand: no empty text, nothing that the language reads as another value."""
    if isinstance(value, str):
        return value.strip() == value != "" and value.lower() not in WORDS and not value.startswith("$")
    return value is not None and not isinstance(value, (list, dict))


class Conditions:
    """Draws conditions over a world; `seen` counts what was covered, and the least covered comes first."""

    def __init__(self, random, collections):
        self.random, self.collections, self.seen = random, collections, {}

    # ways: lists of (field, scope), and where they end

    def way(self, collection, depth, kinds=None):
        """A way of `depth` relations along items that are linked: (steps, collection, item), or nothing."""
        if not collection.items:
            return None
        steps, item = [], self.random.choice(collection.items)
        for _ in range(depth):
            ends = [one for field in collection.relations() for one in self.ends(collection, field, item)
                    if not kinds or steps or field.kind in kinds]
            if not ends:
                return None
            # Each field alike, however many items it leads to.
            field = self.random.choice(sorted({one[0].name for one in ends}))
            found, scope, collection, item = self.random.choice([one for one in ends if one[0].name == field])
            steps.append((found, scope))
        return steps, collection, item

    def ends(self, collection, field, item):
        value = item.get(field.name)
        if value is None:
            return []
        if field.kind == "any":
            scope = item.get(field.names_collection)
            there = self.collections.get(scope)
            target = there.by_key.get(str(value)) if there else None
            return [(field, scope, there, target)] if target else []
        there = self.collections.get(field.related)
        if there is None:
            return []
        keys = value if isinstance(value, list) else [value]
        return [(field, None, there, there.by_key[str(key)]) for key in keys if str(key) in there.by_key]

    @staticmethod
    def relation(steps):
        """The kind of relation of a way: its first list, else its first step; a junction's target belongs to it."""
        kinds = [field.kind for field, _ in steps]
        lists = [kind for kind in kinds if kind not in ("m2o", "file", "self", "any")]
        return lists[0] if lists else kinds[0] if kinds else "own"

    @staticmethod
    def wrapped(steps, inner):
        for field, scope in reversed(steps):
            inner = {f"{field.name}:{scope}" if scope else field.name: inner}
        return inner

    # one condition

    def condition(self, collection, most_depth=3, depth=None):
        """The least covered of some drawn conditions: (filter, covers)."""
        drawn = [self.draw(collection, self.random.randint(0, most_depth) if depth is None else depth)
                 for _ in range(12)]
        drawn = [one for one in drawn if one]
        if not drawn:
            return None
        best = min(drawn, key=lambda one: self.seen.get(one[1], 0))
        self.seen[best[1]] = self.seen.get(best[1], 0) + 1
        return best[0], best[1]

    def draw(self, collection, depth):
        found = self.way(collection, depth)
        if not found:
            return None
        steps, there, item = found
        roll = self.random.random()
        if roll < 0.15:
            made = self.function(there, item)
        elif roll < 0.22:
            made = self.key_of_relation(there, item)
        else:
            made = self.plain(there, item)
        if not made:
            return None
        inner, operator, kind = made
        relation, quantified = self.relation(steps), self.random.random() < 0.25
        if quantified and steps and steps[0][0].is_list() and not any(scope for _, scope in steps):
            # The original honours chains of single keys only, and only at the top.
            first = steps[0][0]
            some = "_some" if self.random.random() < 0.6 else "_none"
            inner = {first.name: {some: self.wrapped(steps[1:], inner)}}
            return inner, (f"{some} {operator}", kind, relation, len(steps))
        return self.wrapped(steps, inner), (operator, kind, relation, len(steps))

    def plain(self, collection, item):
        fields = [field for field in collection.plain() if operators(field) and not (field.kind == "any")]
        if not fields:
            return None
        # Types alike, however many fields they have.
        kind = self.random.choice(sorted({field.type for field in fields}))
        field = self.random.choice([field for field in fields if field.type == kind])
        operator = self.random.choice(operators(field))
        made = self.operand(collection, field, operator, item.get(field.name))
        if made is None:
            return None
        said = "secret" if field.is_secret() else field.type
        return {field.name: {operator: made[0]}}, operator, said

    def operand(self, collection, field, operator, value):
        """An operand that lets the item through, if it can: (operand,) or nothing."""
        if operator in ("_null", "_nnull", "_empty", "_nempty"):
            if field.is_secret():
                is_null = value is None
            else:
                is_null = value is None or operator.endswith("empty") and value in ("", [])
            wanted = is_null == (operator in ("_null", "_empty"))
            return (wanted,)
        others = [item.get(field.name) for item in collection.items]
        others = [one for one in others if comparable(one)]
        if field.type == "csv":
            # Whole values are texts with commas; parts of them are words.
            lists = [item.get(field.name) for item in collection.items]
            spelled = (lambda one: ",".join(one)) if operator not in LIKE else self.random.choice
            others = [spelled(one) for one in lists if isinstance(one, list) and one]
            others = [one for one in others if comparable(one)]
            value = spelled(value) if isinstance(value, list) and value else None
        if not others:
            return None
        other = self.random.choice(others)
        if operator in NEGATED and operator not in ("_nin", "_nbetween"):
            return self.alike(operator, other)
        if not comparable(value):
            value = other
        if operator in ("_in", "_nin"):
            some = [other] if operator == "_nin" else [value, other, self.random.choice(others)]
            return (some[: self.random.randint(1, 3)],)
        if operator in ("_between", "_nbetween"):
            low, high = sorted([value, other], key=measure)
            if operator == "_nbetween":
                high = low
            return ([low, high],)
        if operator in ("_lt", "_lte", "_gt", "_gte"):
            pair = sorted([value, other], key=measure)
            return (pair[1] if operator.startswith("_l") else pair[0],)
        return self.alike(operator, value)

    def alike(self, operator, value):
        if operator not in LIKE:
            return (value,)
        value = str(value)
        pieces = re.findall(r"[^\W_]{2,}", value)
        if operator.endswith("contains") and pieces:
            piece = self.random.choice(pieces)
        elif operator.endswith("starts_with") and re.match(r"[^\W_]{2,}", value):
            piece = pieces[0]
        elif operator.endswith("ends_with") and re.search(r"[^\W_]{2,}$", value):
            piece = pieces[-1]
        else:
            return None
        if re.match(r"_n?i", operator) and self.random.random() < 0.5:
            piece = piece.swapcase()
        return None if piece.lower() in WORDS else (piece,)

    def function(self, collection, item):
        choices = [(field, name) for field in collection.plain() for name in FUNCTIONS.get(field.type, [])]
        choices += [(field, "count") for field in collection.fields.values() if field.is_list()]
        if not choices:
            return None
        field, name = self.random.choice(choices)
        operator = self.random.choice(ORDERED[:-2])
        if name == "count":
            value = len(item.get(field.name) or [])
        else:
            value = computed(name, item.get(field.name))
        value = 1 if value is None else value
        if operator in NEGATED and not operator.endswith("between") or operator in ("_lt", "_gt"):
            value += -1 if operator == "_gt" else 1
        operand = [value] if operator in ("_in", "_nin") else value
        if operator == "_nin":
            operand = [value + 1]
        if operator in ("_between", "_nbetween"):
            operand = [value + 1, value + 2] if operator == "_nbetween" else [value - 1, value + 1]
        kind = "list" if name == "count" else field.type
        return {f"{name}({field.name})": {operator: operand}}, f"{name}() {operator}", kind

    def key_of_relation(self, collection, item):
        """Operators on a list itself: whether it has items, or one with this key."""
        lists = [field for field in collection.fields.values() if field.is_list()]
        if not lists:
            return None
        field = self.random.choice(lists)
        keys = item.get(field.name) or []
        if keys and self.random.random() < 0.5:
            return {field.name: {"_eq": keys[0]}}, "_eq", "list"
        return {field.name: {"_null" if not keys else "_nnull": True}}, "_null" if not keys else "_nnull", "list"

    # several

    def filter(self, collection, most_depth=3):
        """A filter of one to three conditions: (filter, covers)."""
        roll, one = self.random.random(), self.condition(collection, most_depth)
        if one is None or roll < 0.65:
            return one and (one[0], [one[1]])
        more = [one for one in (self.condition(collection, 1) for _ in range(self.random.randint(1, 2))) if one]
        parts = [one[0]] + [each[0] for each in more]
        covers = [one[1]] + [each[1] for each in more]
        return {"_or" if roll < 0.9 else "_and": parts}, covers


def measure(value):
    """What two operands are ordered by: texts of numbers as numbers."""
    try:
        return (0, float(value), "")
    except (TypeError, ValueError):
        return (1, 0.0, str(value))


def computed(name, value):
    if not isinstance(value, str):
        return None
    try:
        if re.fullmatch(r"\d\d:\d\d:\d\d.*", value):
            value = "2000-01-01T" + value
        at = datetime.datetime.fromisoformat(value.replace("Z", ""))
    except ValueError:
        return None
    if name == "week":
        return at.isocalendar()[1]
    if name == "weekday":
        return at.isoweekday() % 7
    return getattr(at, name)
