"""Classes of difference in writes that are understood: what tells one, and why it is there."""

import re

# (pattern over "<form> | <aspect> | <kind> | <where> | <request>", why). Where the right side fails nothing is explained.
KNOWN = [
    (r"\| answer \| status \| 500 \S* > [24]", "the original fails on what it should take or refuse"),
    (r"\(writer\) \| answer \| status \| .* > 403", "whoever is no administrator is refused until permissions are built"),
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
