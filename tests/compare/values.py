"""Values of every type for payloads: good ones, and ones that are refused or bent."""

import uuid

GOOD = {
    "string": ["plain", "ünï 漢字", "", " blanks ", "a,b", "q\"'\\", "<b>x</b>", "null", "5", "$NOW"],
    "text": ["plain", "two\nlines\ttab", "", "x" * 300, "😀"],
    "integer": [0, 1, -5, 42, 2147483647, -2147483648, "17"],
    "bigInteger": [0, 5, "9007199254740993", "-9223372036854775808", 123456789012],
    "float": [0, 1.5, -2.25, 1e20, "3.5", 0.1],
    "decimal": [0, 1, "12.50", 99.99, "0.01", -3, 1.005],
    "boolean": [True, False, "true", "false", 0, 1],
    "date": ["2024-02-29", "1999-12-31", "2024-07-01T10:00:00", "2024-07-01T23:30:00Z"],
    "time": ["00:00:00", "13:14:15", "23:59"],
    "dateTime": ["2024-02-29T12:30:00", "2024-07-01T10:00:00Z", "2024-07-01 10:00:00", "2024-07-01"],
    "timestamp": ["2024-02-29T12:30:00Z", "2024-07-01T10:00:00+02:00", "2024-07-01T10:00:00.123Z", "2024-07-01"],
    "json": [{}, [], {"a": {"b": [1, None, "x"]}}, [1, "two", {"x": 1.5}], "\"text\"", "{\"a\":1}", 5, True],
    "csv": [["a", "b"], [], "a,b", ["with space", "ü"], ""],
    "uuid": ["5a5a5a5a-5a5a-4a5a-8a5a-5a5a5a5a5a5a", "00000000-0000-4000-8000-00000000e001"],
    "hash": ["secret", "pw"],
}
BAD = {
    "string": [{"a": 1}, ["x"], 5, True, 1.5],
    "text": [{"a": 1}, ["x"], 5],
    "integer": ["abc", 1.5, 2147483648, "", [1], {"a": 1}, True, "12abc"],
    "bigInteger": ["abc", 1.5, "9223372036854775808", "", True],
    "float": ["abc", "", [1], "1e400", True],
    "decimal": ["abc", "1e30", "", {"a": 1}, 12345678901],
    "boolean": ["yes", 2, "", "abc", [True]],
    "date": ["2024-02-30", "abc", 5, "", "2024-13-01", True],
    "time": ["25:00:00", "abc", "", 5],
    "dateTime": ["2024-02-30T00:00:00", "abc", "", 5],
    "timestamp": ["2024-02-30T00:00:00Z", "abc", "", 5],
    "json": ["not json", "{", ""],
    "csv": [5, {"a": 1}, True],
    "uuid": ["x", 5, "", "00000000-0000-4000-8000-00000000000"],
    "hash": [5, ""],
}


def is_uuid(text):
    try:
        uuid.UUID(text)
        return True
    except (ValueError, AttributeError, TypeError):
        return False


class Values:
    """Draws values for fields; texts that must be unique hold a number that is never drawn again."""

    def __init__(self, random):
        self.random, self.drawn = random, 0

    def fresh(self):
        self.drawn += 1
        return self.drawn

    def key(self, field):
        """A key that no item has."""
        if field.type == "uuid":
            return f"00000000-0000-4000-8000-0000000d{self.fresh() % 10000:04}"
        if field.type in ("integer", "bigInteger"):
            return 500_000 + self.fresh()
        return f"k{self.fresh()}"[: field.longest or 99]

    def good(self, field):
        if field.choices:
            return self.random.choice(field.choices)
        if field.unique:
            text = f"u{self.fresh()}"
            return text if field.type in ("string", "text") else self.key(field)
        value = self.random.choice(GOOD[field.type])
        if field.type in ("string", "text") and field.longest and len(str(value)) > field.longest:
            value = str(value)[: field.longest]
        if field.type == "decimal" and field.digits and field.digits < 12 and value == 12345678901:
            value = 1
        if field.nullable and not field.needed and self.random.random() < 0.12:
            return None
        return value

    def bad(self, field):
        """(value, what is wrong with it)."""
        choices = [("type", value) for value in BAD[field.type]]
        if field.longest:
            choices += [("length", "y" * (field.longest + 1))] * 3
        if not field.nullable or field.needed:
            choices += [("null", None)] * 4
        if field.refused:
            choices += [("validation", value) for value in field.refused] * 3
        kind = self.random.choice(sorted({kind for kind, _ in choices}))
        return self.random.choice([value for other, value in choices if other == kind]), kind
