"""Classes of difference in writes that are understood: what tells one, and why it is there."""

import re

# (pattern over "<form> | <aspect> | <kind> | <where> | <request>", why). Where the right side fails nothing is explained.
KNOWN = [
    (r"\| answer \| status \| 500 \S* > [24]", "the original fails on what it should take or refuse"),
]


def explained(said):
    for pattern, why in KNOWN:
        if re.search(pattern, said):
            return why
    return ""
