"""Classes of difference in writes that are understood: what tells one, and why it is there."""

import re

ANOTHER_REASON = ("of several reasons to refuse another one is told: payloads are judged level by level here, item by item with "
                  "all that is in it there")
# (pattern over "<form> | <aspect> | <kind> | <where> | <depth n, faults n, twice, numbering> | <request>", why). `twice`: an
# item stands more than once in the payload. Where the right side fails nothing is explained.
KNOWN = [
    (r"\| answer \| status \| 500 \S* > [24]", "the original fails on what it should take or refuse"),
    (r"\(writer\) \| answer \| status \| .* > 403", "whoever is no administrator is refused until permissions are built"),
    (r"\| answer \| status \| 200 > 400 INVALID_PAYLOAD .*\| PATCH \S+ \[(\{\})?\]$", "a list is no change of one item"),
    (r"\| answer \| status \| 403 FORBIDDEN > 400 INVALID_PAYLOAD .*\| DELETE ", "what can be no key is a wrong payload"),
    (r"\| (answer|rows) \| .*\| (PATCH|DELETE) .*\"_in\": \[([^\]]*, )?0[,\]]", "a query of the original does not find the key 0"),
    (r"\| answer \| (status|code) \| (200|400 \S+|\S+) > (400 )?INVALID_PAYLOAD .*\| POST \S+ \[(\d+|null|\[\]|\"[^\"]*\")\]$",
     "the original makes an item of what is no object"),
    (r"\| answer \| (status|code) \| (200|400 \S+|\S+) > (400 )?INVALID_PAYLOAD .*(\[\[\]\]|\": \[(\d+|\"[^\"]*\")\])",
     "the original makes an empty item of a list that stands where an item is meant"),
    (r"\| answer \| status \| 20[04] > 400 INVALID_QUERY .*\"limit\": \"", "the original takes a limit that is no number"),
    (r"\| answer \| status \| (20[04]|400 INVALID_FOREIGN_KEY) > 403 FORBIDDEN .*\| PATCH ",
     "the original writes, or tries to write, what is nested in an item that is not there"),
    (r"\| answer \| status \| 4\d\d \S+ > 200 .*depth [1-9].*twice",
     "an item that stands twice in a payload, or a given key, is in the way there: depth first"),
    (r"\| answer \| value \| data\.<key> .*/items/w_steps", "items that share a place in the order of a collection have none among them there"),
    (r"\| answer \| status \| 400 INVALID_PAYLOAD > 200 .*\| PATCH /translations.*\"language\".*\"key\"|\| PATCH /translations.*\"key\".*\"language\"",
     "the original refuses every key that comes with a language"),
    (r"\| answer \| (status|code) \| (4\d\d )?[A-Z_]+ > (4\d\d )?[A-Z_]+ .*\| depth [1-9]", ANOTHER_REASON),
    (r"\| answer \| (rows|value|member) \| (?!data|value).*\| depth [1-9]", ANOTHER_REASON),
    (r"\| answer \| (value|number type) \| value \|", "a refused value is named as PostgreSQL holds it"),
    (r"\| (answer|rows) \| .*\| depth [1-9].*numbering", "numbers are given out level by level here, there depth first"),
    (r"\| (answer|rows) \| (rows|value|member) .*\| depth [1-9].*twice",
     "an item that stands twice in a payload ends where it is named last: level by level here, there depth first"),
    (r"\| answer \| rows \| data \| .*\| PATCH /permissions", "the original adds rules that are no items to the answer"),
    (r"\| activity \| order \| .*[\[{].*[\[{]", "the events of nested items follow that of their parent here"),
    (r"\| (activity \| activity \| counts|revisions \| rows \| an item)",
     "an item that stands twice in one list is updated and logged twice there"),
    (r"\| activity \| order of keys", "the original logs the items of one update in the order of their keys' texts"),
    (r"^delete .*\| ((activity|revisions) \| .*added|activity \| order)", "what foreign keys do to other items is logged here, there it is not"),
    (r"\| (activity \| activity|revisions \| member) \| (missing update|items? is missing) .*(5000\d\d|0000000d0|\"k\d)",
     "the original logs an update of an item that is not there"),
    (r"\| activity \| activity \| missing update .*(PATCH \S+ \{\}|\"data\": \{\}|\{\"(id|code|key|slug)\": [^,{}]*\})",
     "an update that changes nothing has no event here"),
    (r"\| revisions \| (number type \| delta|value \| delta\.<(time|date|dateTime|csv|json)>)",
     "deltas hold values as they were sent there, and as they are stored here"),
    (r"\| (activity|revisions) \| .*(/presets|directus_presets)", "presets have no history there"),
]


def explained(said):
    for pattern, why in KNOWN:
        if re.search(pattern, said):
            return why
    return ""
