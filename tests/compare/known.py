"""Classes of difference that are understood: what tells one, and why it is there."""

import re

# (pattern over "<family> | <kind> | <where> | <request>", why). Where the right side fails nothing is explained.
KNOWN = [
    (r"\| status \| 500 \S+ > [234]", "the original fails on what it should take or refuse"),
    (r"\| status \| 400 INVALID_QUERY > 200 .*\d(e\+|\d{15})",
     "the original refuses JSON numbers beyond 2^53; here they are exact"),
    (r"\| status \| 200 > 403 FORBIDDEN .*external_identifier",
     "the identifier of an external login is a secret here: it can't be sorted by, grouped by or counted"),
    (r"\| (member \| item is added|(value|number type|rows) \| item \|.*item:)",
     "the original leaves out the item of a many-to-any whose collection was not asked for where its key is not called "
     "`id`; here its key stands there as for all others"),
    (r"^deep \| rows .*\"_filter\": \{\"(?P<by>\w+)\": \{\"_in\"",
     "the original drops a condition with `_in` on the field that refers to the parent: its own takes the place"),
    (r"^sort \| (order|value|rows) .*\b(\w+)\.[^,\]&]*,\s*\"?-?\2\.",
     "several sort keys through one list: the original takes all of them from one related item, here each key has its own"),
]


def explained(said):
    for pattern, why in KNOWN:
        if re.search(pattern, said):
            return why
    return ""
