"""The comparison of writes compared: differences that are put in on purpose, each of which must be found, and nothing
else. One server is enough: it does every mutation twice, and the second time something is changed."""

import json

from surface import Answer


class Seeded:
    """A station whose every third outcome that the seed fits is changed; the others pass."""

    def __init__(self, station, change, before_rows):
        self.station, self.change, self.before_rows = station, change, before_rows
        self.seen, self.touched = 0, False

    def run(self, mutation):
        self.touched = False
        original = self.station.changed
        if self.before_rows:
            self.station.changed = lambda one: self.stored(original, one)
        try:
            outcome = self.station.run(mutation)
        finally:
            self.station.changed = original
        if not self.before_rows and self.is_turn() and self.change(outcome):
            self.touched = True
        return outcome

    def is_turn(self):
        self.seen += 1
        return self.seen % 3 == 0

    def stored(self, changed, mutation):
        """Changes what is stored before the rows are looked at."""
        found = changed(mutation)
        if self.is_turn() and (sql := self.change(found)):
            self.station.rows.run(sql)
            self.touched = True
            return changed(mutation)
        return found


def quoted(value):
    return "'" + str(value).replace("'", "''") + "'"


def some_row(changes):
    for table in sorted(changes):
        for row in changes[table][0]:
            if table.startswith("w_") and "id" in row:
                return table, row
    return None


def a_stored_value(changes):
    found = some_row(changes)
    names = found and [name for name, value in found[1].items()
                       if isinstance(value, str) and name in ("title", "name", "text", "body", "s", "label")]
    if not names:
        return None
    return (f'UPDATE public."{found[0]}" SET "{names[0]}" = \'seeded\' WHERE id::text = {quoted(found[1]["id"])};')


def a_missing_row(changes):
    found = some_row(changes)
    if not found:
        return None
    return (f'SET session_replication_role = replica; DELETE FROM public."{found[0]}" WHERE id::text = '
            f'{quoted(found[1]["id"])}; SET session_replication_role = origin;')


def a_stray_row(changes):
    return "INSERT INTO public.w_badges (code) VALUES ('seeded');" if changes else None


def a_status(outcome):
    if outcome.answer.status != 200:
        return False
    outcome.answer = Answer(403, '{"errors":[{"message":"x","extensions":{"code":"FORBIDDEN"}}]}')
    return True


def an_error_code(outcome):
    if outcome.answer.status != 400:
        return False
    body = outcome.answer.json()
    body["errors"][0]["extensions"]["code"] = "SEEDED"
    outcome.answer = Answer(400, json.dumps(body))
    return True


def an_extension(outcome):
    body = outcome.answer.json() if outcome.answer.status == 400 else None
    if not body or "field" not in body["errors"][0]["extensions"]:
        return False
    body["errors"][0]["extensions"]["field"] = "seeded"
    outcome.answer = Answer(400, json.dumps(body))
    return True


def an_answered_value(outcome):
    body = outcome.answer.json() if outcome.answer.status == 200 else None
    one = body["data"][0] if body and isinstance(body["data"], list) and body["data"] else body and body["data"]
    if not isinstance(one, dict):
        return False
    name = list(one)[-1]
    one[name] = "seeded"
    outcome.answer = Answer(200, json.dumps(body))
    return True


def a_missing_act(outcome):
    return bool(outcome.activity) and bool(outcome.activity.pop())


def the_order_of_acts(outcome):
    acts = outcome.activity
    if len({(one["action"], one["collection"], one["item"]) for one in acts}) < 2:
        return False
    acts.reverse()
    return True


def a_delta(outcome):
    changed = {one["id"] for one in outcome.activity if one["action"] == "update"}
    for one in outcome.revisions:
        if one["activity"] in changed and isinstance(one["delta"], dict) and one["delta"]:
            one["delta"] = {**one["delta"], "seeded": 1}
            return True
    return False


# What is changed, whether before the rows are read, and the aspects that may be named.
SEEDS = {
    "nothing": (lambda _: False, False, set()),
    "a stored value": (a_stored_value, True, {"rows"}),
    "a missing row": (a_missing_row, True, {"rows"}),
    "a stray row": (a_stray_row, True, {"rows"}),
    "a status": (a_status, False, {"answer"}),
    "an error code": (an_error_code, False, {"answer"}),
    "a field of an error": (an_extension, False, {"answer"}),
    "a value in an answer": (an_answered_value, False, {"answer"}),
    "a missing act": (a_missing_act, False, {"activity"}),
    "the order of acts": (the_order_of_acts, False, {"activity"}),
    "a delta": (a_delta, False, {"revisions"}),
}


def self_test(station, mutations, effects):
    well = True
    for name, (change, before_rows, aspects) in SEEDS.items():
        other = Seeded(station, change, before_rows)
        changed = found = invented = 0
        said = set()
        for mutation in mutations:
            ours, theirs = station.run(mutation), other.run(mutation)
            differing = set(effects.differences(mutation, ours, theirs))
            changed += other.touched
            found += other.touched and bool(aspects & differing)
            invented += bool(differing) and not other.touched
            said |= differing if other.touched else set()
        good = found == changed and not invented and (changed > 0 or name == "nothing")
        well = well and good
        print(f"{'caught' if good else 'NOT CAUGHT':<11}{name}: {changed} outcomes changed, {found} found, "
              f"{invented} invented, said as {sorted(said)}", flush=True)
    return well
